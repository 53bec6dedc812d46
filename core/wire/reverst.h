/*
 * How a reverst tunnel client registers: one msgpack object each way on the first client-initiated
 * bidirectional stream of a QUIC connection, without a length in front and without waiting for FIN.
 *
 *	request  {"Version": 1, "TunnelGroup": group, "Metadata": nil | {"Authorization": text}}
 *	answer   {"Version": 1, "Code": 0, "Metadata": nil | {text: text}, "Body": nil | bytes}
 *
 * Written as reverst's own programs do, byte for byte; read as its decoder does: keys in any order,
 * unknown ones skipped with what they hold, missing ones empty, the fields as an array in their
 * order, nil for anything, an integer of any width cut to 8 bits, bytes for a text.
 *
 * No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_REVERST_H
#define ADIT_CORE_WIRE_REVERST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REVERST_ALPN "quic-h3-tunnel"

enum {
	REVERST_MESSAGE_MAX = 64 << 10,	/* of one message; reverst itself has no limit */
	REVERST_ANSWER_LEN = 34,
};

/* Application error codes of CONNECTION_CLOSE. */
enum reverst_close {
	REVERST_CLOSE_DONE = 0,
	REVERST_CLOSE_SERVER = 1,	/* a client tries again */
	REVERST_CLOSE_CLIENT = 2,	/* a client gives up */
};

/* Reasons in CONNECTION_CLOSE: the first two are what reverst's clients compare with. */
#define REVERST_NOT_FOUND    "not found"	/* REVERST_CLOSE_SERVER */
#define REVERST_UNAUTHORIZED "unauthorized"	/* REVERST_CLOSE_CLIENT */
#define REVERST_STOPPING     "server closing down"	/* REVERST_CLOSE_DONE */
#define REVERST_GROUP_GONE   "tunnel group removed"	/* REVERST_CLOSE_DONE */

enum reverst_kind { REVERST_REQUEST, REVERST_ANSWER };

struct reverst_text {
	const char	*s;		/* in the bytes that were read, not terminated */
	size_t		 len;
};

struct reverst_message {
	uint8_t			version;	/* nobody checks it */
	uint8_t			code;		/* an answer's; clients go on whatever it is */
	struct reverst_text	group;		/* a request's */
	struct reverst_text	authorization;	/* of Metadata; a secret */
	struct reverst_text	body;		/* an answer's */
};

/* A text as an offset: the bytes may move while they grow. */
struct reverst_span {
	size_t	at, len;
};

/* A message that is being read; to be begun with reverst_begin. */
struct reverst_decoder {
	const struct reverst_field	*fields;	/* of that kind; static */
	size_t				 n_fields, field;
	unsigned			 state;
	size_t				 at;		/* bytes that are behind us */
	uint64_t			 left;		/* fields to come */
	uint64_t			 pairs;		/* texts of Metadata to come */
	uint64_t			 skips;		/* values to be stepped over */
	bool				 array;		/* fields have no keys */
	bool				 authorizes;	/* the text to come is that one */
	uint8_t				 version, code;
	struct reverst_span		 group, authorization, body;
	char				 why[64];
};

void reverst_begin(struct reverst_decoder *d, enum reverst_kind kind);

/*
 * Goes on with the same bytes as before and those that have come behind them; only these are looked
 * at. Returns the message's length, and out points into buf; 0: more is needed. -EBADMSG, or
 * -EMSGSIZE as soon as it is clear that it cannot end within REVERST_MESSAGE_MAX: the reason is in
 * d->why, as reverst's server says it in CONNECTION_CLOSE. Not after the end or an error.
 */
ssize_t reverst_decode(struct reverst_decoder *d, const void *buf, size_t len,
		       struct reverst_message *out);

/* Why a stream that has ended after len bytes, all of which were read, has no message. */
const char *reverst_unfinished(size_t len);

/*
 * Writes a request, up to size bytes (out may be NULL then), and returns how many it has: more than
 * size, and out is of no use. authorization: "Scheme payload", or NULL.
 */
size_t reverst_encode_request(const char *group, const char *authorization, void *out, size_t size);

/* What a server answers to everyone whom it accepts. */
void reverst_encode_answer(uint8_t out[REVERST_ANSWER_LEN]);

#endif
