/*
 * The messages of adit/1, the protocol of two adits over QUIC (docs/protocol.md). A stream begins
 * with one, and is answered with one; the stream of a bind carries more of them.
 *
 *	message:  TYPE(varint) LEN(varint) fields (LEN bytes)
 *	field:    NAME(varint) LEN(varint) value (LEN bytes)
 *
 * Fields may come in any order, each once. A field of a name we do not know is skipped, and so is
 * one that means nothing in a message of that type. A number is a varint that fills its field.
 * Text has no NUL in it, so every text is a C string too. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_NATIVE_H
#define ADIT_CORE_WIRE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <adit/opt.h>

#include "core/wire/addr.h"

#define NATIVE_ALPN "adit/1"

enum {
	NATIVE_VERSION = 1,
	NATIVE_BODY_MAX = 4096,		/* bytes of all fields of a message */
	NATIVE_MAX = NATIVE_BODY_MAX + 16,
	NATIVE_TEXT_MAX = 255,		/* bytes of a text */
};

enum native_type {
	NATIVE_BIND = 1,		/* from the client: give me the visitors of a tunnel */
	NATIVE_OPEN = 2,		/* a visitor */
	NATIVE_ANSWER = 3,		/* to either */
	NATIVE_DRAIN = 4,		/* on the stream of a bind: open no more */
	NATIVE_DRAINED = 5,		/* the answer to that */
};

enum native_field {
	NATIVE_F_VERSION = 0,
	NATIVE_F_TUNNEL = 1,
	NATIVE_F_CONNECTOR = 2,
	NATIVE_F_BIND = 3,
	NATIVE_F_NETWORK = 4,
	NATIVE_F_WEIGHT = 5,
	NATIVE_F_FLAGS = 6,
	NATIVE_F_USER = 7,
	NATIVE_F_PASSWORD = 8,
	NATIVE_F_HOST = 9,
	NATIVE_F_PORT = 10,
	NATIVE_F_FROM = 11,
	NATIVE_F_STATUS = 12,
	NATIVE_F_TEXT = 13,
	NATIVE_F_CONNECTIONS = 14,
	NATIVE_F_FLOW = 15,
	NATIVE_F_STREAMS = 16,
	NATIVE_FIELDS,
};

enum native_network {
	NATIVE_TCP = 0,
	NATIVE_UDP = 1,
};

enum native_flags {
	NATIVE_SHOWS_VISITOR = 1,	/* the target learns who visits */
};

/* What an answer says, and the code of a stream that is reset. */
enum native_status {
	NATIVE_OK = 0,
	NATIVE_BAD_REQUEST = 1,
	NATIVE_UNAUTHORIZED = 2,
	NATIVE_FORBIDDEN = 3,
	NATIVE_NOT_FOUND = 4,		/* no rule for the host */
	NATIVE_UNAVAILABLE = 5,		/* nobody is bound */
	NATIVE_UNREACHABLE = 6,		/* the target cannot be reached */
	NATIVE_TIMEOUT = 7,
	NATIVE_DRAINING = 8,
	NATIVE_LIMIT = 9,
	NATIVE_UNSUPPORTED = 10,
	NATIVE_INTERNAL = 11,
	/* only as codes */
	NATIVE_RESET = 16,		/* the far side of the stream was reset */
	NATIVE_CANCELLED = 17,		/* nobody wants it any more */
	NATIVE_STOPPED = 18,		/* ended by whoever runs this side */
};

struct native_msg {
	uint64_t		type;		/* enum native_type, or one we do not know */
	uint32_t		has;		/* of 1 << enum native_field */
	uint64_t		version, bind, flags, status, connections, flow, streams;
	uint8_t			network;	/* enum native_network */
	uint8_t			weight;
	uint16_t		port;
	struct adit_uuid	tunnel, connector;
	struct wire_addr	from;		/* numeric */
	char			host[NATIVE_TEXT_MAX + 1], text[NATIVE_TEXT_MAX + 1];
	char			user[NATIVE_TEXT_MAX + 1];
	char			password[NATIVE_TEXT_MAX + 1];	/* a secret */
};

/* Whether the field is there. */
static inline bool
native_has(const struct native_msg *m, enum native_field f)
{
	return m->has >> f & 1;
}

/*
 * Decodes one message from the beginning of buf. Returns the bytes it takes, 0 if it is not all
 * there yet (native_need() says how much is), or -EBADMSG with why (static; may be NULL) saying
 * what is wrong. Bytes after the message are left alone. On success m is filled completely.
 */
ssize_t native_decode(const void *buf, size_t len, struct native_msg *m, const char **why);

/* How many bytes the message at buf has, as far as the len bytes there tell: len + 1, or all. */
size_t native_need(const void *buf, size_t len);

/*
 * Encodes the fields that m has, in the order of their names. Returns the size, -ENOSPC if cap is
 * less, -EINVAL if m has no encoding (from is not numeric, a number is too large).
 */
ssize_t native_encode(const struct native_msg *m, void *buf, size_t cap);

/* Sets a text field; false: it is too long, and nothing was changed. */
bool native_set_text(struct native_msg *m, enum native_field f, const char *text);

/* What a status means, for a person. */
const char *native_status_text(uint64_t status);

#endif
