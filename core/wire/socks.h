/*
 * SOCKS, versions 4, 4a and 5 (RFC 1928, 1929).
 *
 *	5:  VER=05 N METHOD(N)				greeting; answer: VER METHOD
 *	    VER=01 ULEN USER PLEN PASSWORD		credentials; answer: VER STATUS (0: good)
 *	    VER=05 CODE RSV=00 ATYP HOST PORT		request (a command) and replies (a reply)
 *	    RSV=0000 FRAG ATYP HOST PORT payload	a datagram of UDP ASSOCIATE
 *	4:  VER=04 CODE PORT(2) IPV4 USER 00 [NAME 00]	request; a name if IPV4 is 0.0.0.x, x not 0
 *	    00 CODE PORT(2) IPV4			reply
 *
 * Decoders return the bytes a message takes, 0 if it is not all there yet, or -EBADMSG with why
 * (static; may be NULL). Texts with a NUL in them are malformed. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_SOCKS_H
#define ADIT_CORE_WIRE_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/wire/addr.h"
#include "core/wire/dgram.h"

enum {
	SOCKS4_VERSION = 4,
	SOCKS5_VERSION = 5,
	SOCKS5_AUTH_VERSION = 1,
	SOCKS_MESSAGE_MAX = 1024,	/* no message has more bytes */
	SOCKS5_REQUEST_MAX = 3 + WIRE_ADDR_MAX,
	SOCKS5_UDP_HEADER_MAX = 3 + WIRE_ADDR_MAX,
	SOCKS5_AUTH_MAX = 3 + 255 + 255,
	SOCKS4_REPLY_LEN = 8,
	SOCKS4_REQUEST_MAX = 8 + 256 + 256,
};

enum socks5_method {
	SOCKS5_NO_AUTH = 0x00,
	SOCKS5_USER_PASSWORD = 0x02,
	SOCKS5_NO_METHOD = 0xff,
};

enum socks_command {			/* SOCKS 4 has the first two */
	SOCKS_CONNECT = 1,
	SOCKS_BIND = 2,
	SOCKS_UDP_ASSOCIATE = 3,
	SOCKS_MUX_BIND = 0xf2,		/* gost's: the stream becomes smux 1 */
	SOCKS_UDP_TUNNEL = 0xf3,	/* gost's: it carries udp-tun frames (core/wire/dgram.h) */
};

enum socks5_reply {
	SOCKS5_OK,
	SOCKS5_FAILURE,
	SOCKS5_NOT_ALLOWED,
	SOCKS5_NETWORK_UNREACHABLE,
	SOCKS5_HOST_UNREACHABLE,
	SOCKS5_REFUSED,
	SOCKS5_TTL_EXPIRED,
	SOCKS5_BAD_COMMAND,
	SOCKS5_BAD_ADDRESS,
};

enum socks4_reply { SOCKS4_OK = 90, SOCKS4_FAILED = 91 };

struct socks_auth {
	uint8_t		user_len, password_len;
	char		user[256], password[256];	/* terminated; the password is a secret */
};

struct socks_request {
	uint8_t		 code;		/* a socks_command, or in a reply a socks5_reply */
	struct wire_addr addr;
};

/* Which methods are offered; methods points into buf. */
ssize_t socks5_decode_greeting(const void *buf, size_t len, const uint8_t **methods, size_t *n,
			       const char **why);

ssize_t socks5_decode_auth(const void *buf, size_t len, struct socks_auth *a, const char **why);

/* Returns the length, or -EINVAL where user or password has more than 255 bytes. */
ssize_t socks5_encode_auth(const char *user, const char *password, uint8_t out[SOCKS5_AUTH_MAX]);

/* A request or a reply. */
ssize_t socks5_decode_request(const void *buf, size_t len, struct socks_request *r,
			      const char **why);

/* Returns the length; an address without a type becomes 0.0.0.0:0. */
size_t socks5_encode_request(const struct socks_request *r, uint8_t out[SOCKS5_REQUEST_MAX]);

/*
 * A whole datagram of UDP ASSOCIATE; the payload is the rest of buf. 0, or -EBADMSG with why, also
 * for a fragment, which nobody has to take (RFC 1928, section 7).
 */
int socks5_decode_udp(const void *buf, size_t len, struct dgram *d, const char **why);

/* The header of one to or from addr, which has a type. Returns its length. */
size_t socks5_encode_udp_header(const struct wire_addr *addr, uint8_t out[SOCKS5_UDP_HEADER_MAX]);

/* The user is skipped. */
ssize_t socks4_decode_request(const void *buf, size_t len, struct socks_request *r,
			      const char **why);

/*
 * Returns the length, or -EINVAL: a user of more than 255 bytes, an address that is neither IPv4
 * nor a name.
 */
ssize_t socks4_encode_request(const struct socks_request *r, const char *user,
			      uint8_t out[SOCKS4_REQUEST_MAX]);

/* A reply to it; an address that is none of IPv4 becomes 0.0.0.0. */
void socks4_encode_reply(const struct socks_request *r, uint8_t out[SOCKS4_REPLY_LEN]);

#endif
