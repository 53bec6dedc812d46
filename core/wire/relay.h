/*
 * The relay protocol: one request and one response at the beginning of a stream, of the same shape.
 *
 *	 0        1            2        4
 *	+--------+------------+--------+-------------------------+
 *	| VER=01 | CMD | FLAG | FEALEN | features (FEALEN bytes) |	request
 *	| VER=01 | STATUS     | FEALEN | features (FEALEN bytes) |	response
 *	+--------+------------+--------+-------------------------+
 *	feature: TYPE(1) LEN(2) DATA(LEN)				all big-endian
 *
 *	01 USERAUTH	ULEN(1) UNAME PLEN(1) PASSWD
 *	02 ADDR		ATYP(1) HOST PORT(2)		may come several times; the order counts
 *	03 TUNNEL	ID(16) FLAG(1) HINTS(1) SESSIONS(1) WEIGHT(1) [CLIENT(16)]
 *	04 NETWORK	NETWORK(2)
 *	05 METADATA	N(2), N times KLEN(2) KEY VLEN(2) VALUE
 *
 * Of a feature that is repeated, ADDR apart, the last one counts; a type we do not know is
 * skipped, as gost does since 3.3. Text with a NUL in it is malformed, so every text is a C
 * string too. HINTS, SESSIONS and CLIENT are ours: to a gost the first two are reserved, sent as 0
 * and ignored, and it does not look at what follows WEIGHT (docs/protocol.md says what they are
 * for). No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_RELAY_H
#define ADIT_CORE_WIRE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <adit/opt.h>

#include "core/wire/addr.h"

enum {
	RELAY_VERSION = 1,
	RELAY_HEADER = 4,		/* bytes in front of the features */
	RELAY_MAX = RELAY_HEADER + 65535,
	RELAY_ADDRS = 3,
	RELAY_PAIRS = 20,		/* what gost reads of METADATA; more are skipped */
};

enum relay_cmd {
	RELAY_CONNECT = 1,		/* gost's relay handler takes 0 for it too */
	RELAY_BIND = 2,
	RELAY_ASSOCIATE = 3,		/* defined, and refused by every handler */
	RELAY_CMD_MASK = 0x0f,
	RELAY_UDP = 0x80,		/* flag, beside NETWORK */
};

enum relay_status {
	RELAY_OK,
	RELAY_BAD_REQUEST,
	RELAY_UNAUTHORIZED,
	RELAY_FORBIDDEN,
	RELAY_TIMEOUT,
	RELAY_SERVICE_UNAVAILABLE,	/* no connector for the tunnel; cannot listen */
	RELAY_HOST_UNREACHABLE,		/* no rule for the host, or not for this visitor */
	RELAY_NETWORK_UNREACHABLE,	/* the target cannot be dialed */
	RELAY_INTERNAL_ERROR,
};

enum relay_network {
	RELAY_NET_TCP = 0,
	RELAY_NET_UDP = 1,
	RELAY_NET_IP = 2,
	RELAY_NET_UNIX = 0x10,
	RELAY_NET_SERIAL = 0x11,
};

enum relay_tunnel_flags {
	RELAY_CONNECTOR_UDP = 0x01,	/* in a response: of the connector id */
	RELAY_TUNNEL_PRIVATE = 0x80,	/* in a request; gost never sends it */
};

enum relay_tunnel_hints {		/* of a BIND request */
	/*
	 * What a stream leads to depends on the visitor that its head shows: the client passes the
	 * address on, or chooses by it. A server must not use the stream for another visitor.
	 */
	RELAY_TUNNEL_SHOWS_VISITOR = 0x01,
};

struct relay_auth {
	uint8_t	user_len, pass_len;
	char	user[256], pass[256];	/* terminated; the password is a secret */
};

struct relay_tunnel {
	struct adit_uuid	id;	/* of the tunnel; in a response, of the connector */
	uint8_t			flags;	/* enum relay_tunnel_flags */
	uint8_t			hints;	/* enum relay_tunnel_hints; others are to be ignored */
	uint8_t			sessions;	/* in a response to a BIND with a client: how many
						 * of one client are of use; 0: as from a gost */
	uint8_t			weight;	/* 0 counts as 1; 255 excludes all lower ones */
	bool			has_client;
	struct adit_uuid	client;	/* in a BIND: whose session it is to be, with others' */
};

/* An adit's answer to another's BIND: where the tunnel is to be visited. */
#define RELAY_PAIR_URL "url"

struct relay_pair {			/* key and value as they are on the wire, not terminated */
	const char	*key, *value;
	uint8_t		 key_len, value_len;	/* longer ones are cut, as gost does */
};

struct relay_msg {
	uint8_t			code;	/* a relay_cmd and flags, or a relay_status */
	bool			has_network, has_auth, has_tunnel;
	uint16_t		network;	/* as sent; relay_msg_network() reads it */
	struct relay_auth	auth;
	uint16_t		n_addr;	/* how many came */
	struct wire_addr	addr[RELAY_ADDRS];	/* src, dst; of more [2] is the last */
	struct relay_tunnel	tunnel;
	uint8_t			n_pair;
	struct relay_pair	pair[RELAY_PAIRS];	/* METADATA; borrowed from buf */
};

/*
 * Decodes one message from the beginning of buf. Returns the bytes it takes, 0 if it is not all
 * there yet (relay_need() says how much is), or -EBADMSG with why (static; may be NULL) saying
 * what is wrong. Bytes after the message are left alone. An ADDR with the name "0.0.0.0::PORT"
 * and port 0, a bug of gost 3.3's relay connector, is read as 0.0.0.0:PORT. On success m is
 * filled completely.
 */
ssize_t relay_decode(const void *buf, size_t len, struct relay_msg *m, const char **why);

/*
 * How many bytes the message at buf has, as far as the len bytes there tell: at least
 * RELAY_HEADER.
 */
size_t relay_need(const void *buf, size_t len);

/*
 * Encodes m, features in gost's order: NETWORK, USERAUTH, ADDR, TUNNEL, METADATA. Returns its
 * size, -ENOSPC if cap is less, -EINVAL if m has no encoding (more than RELAY_ADDRS addresses,
 * one without a type).
 */
ssize_t relay_encode(const struct relay_msg *m, void *buf, size_t cap);

/* What relay_encode() will return when there is room: the exact size, or -EINVAL. */
ssize_t relay_size(const struct relay_msg *m);

/*
 * What kind of traffic NETWORK asks for; none, and unknown ones, are tcp. The flag RELAY_UDP is
 * not looked at: the tunnel handler goes by NETWORK alone, the relay handler by either.
 */
enum relay_network relay_msg_network(const struct relay_msg *m);

/* The METADATA value of key, or NULL. Borrowed from m. */
const struct relay_pair *relay_msg_pair(const struct relay_msg *m, const char *key);

/* Fills USERAUTH. 0, or -EINVAL: user or password has more than 255 bytes. */
int relay_set_auth(struct relay_msg *m, const char *user, const char *password);

/* What a status means, for a person; "unknown status" if nobody defined it. */
const char *relay_status_text(unsigned status);

#endif
