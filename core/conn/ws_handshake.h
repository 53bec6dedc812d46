/*
 * The opening handshake of a WebSocket (RFC 6455, 4): what is sent, and whether what came is right.
 * No I/O: heads are read and written by core/http's codec.
 */
#ifndef ADIT_CORE_WS_HANDSHAKE_H
#define ADIT_CORE_WS_HANDSHAKE_H

#include <adit/exchange.h>
#include <adit/opt.h>

#include "core/runtime/queue.h"

#define WS_NONCE 16		/* bytes of a key (RFC 6455, 4.1) */
#define WS_KEY_TEXT 25		/* 16 bytes in base64, terminated */
#define WS_ACCEPT_TEXT 29	/* 20 bytes */

/* How one side is configured. */
struct ws_conf {
	const char		*path;		/* "/ws"; a server takes no other */
	const char		*host;		/* client: for Host; NULL: the node's address */
	struct adit_pairs	 header;	/* added to the request, or to the 101 */
	unsigned		 handshake_ms;	/* 0: 15 s */
	uint64_t		 ping;		/* client: ns between two pings; 0: none */
	size_t			 frame;		/* most payload in a frame we send; 0: 64 KiB */
	void			(*random)(void *buf, size_t len);	/* NULL: adit_random */
};

/* The same, checked and copied. Counted; immutable; any thread. */
struct ws_policy {
	struct ws_conf		 conf;		/* its texts owned, header empty */
	struct adit_fields	*extra;		/* header */
	_Atomic unsigned	 refs;
};

/*
 * NULL with e filled: a path without "/" or with what no request line carries, a field that is none
 * or that the handshake has itself.
 */
struct ws_policy *ws_policy_new(const struct ws_conf *conf, struct adit_err *e);
struct ws_policy *ws_policy_get(struct ws_policy *p);
void ws_policy_put(struct ws_policy *p);	/* NULL is fine */

/*
 * What a server answers to a key (RFC 6455, 4.2.2). 0; -EBADMSG: it is not 16 bytes in base64;
 * -ENOMEM.
 */
int ws_answer_key(struct adit_text key, char accept[WS_ACCEPT_TEXT]);

/* A key of those random bytes, and its answer. 0 or -ENOMEM. */
int ws_make_key(const uint8_t nonce[WS_NONCE], char key[WS_KEY_TEXT], char accept[WS_ACCEPT_TEXT]);

/*
 * Writes a request with a new key, the answer to which is given back in accept. host: where p has
 * none. 0, -ENOMEM or -EAGAIN: q is too full.
 */
int ws_write_request(struct queue *q, const struct ws_policy *p, const char *host,
		     char accept[WS_ACCEPT_TEXT]);

/*
 * Checks a server's answer. 0, or -EPROTO with why, which is at most size long; -ENOMEM.
 */
int ws_check_response(const struct adit_fields *f, const char *accept, char *why, size_t size);

/*
 * Checks a request, whose path must be p's. Returns 101 and the answer to its key, or the status
 * that refuses it, with why (static).
 */
int ws_check_request(const struct adit_fields *f, const struct ws_policy *p,
		     char accept[WS_ACCEPT_TEXT], const char **why);

/* Writes the answer to a request; accept matters for 101 only, why for the others. As above. */
int ws_write_response(struct queue *q, const struct ws_policy *p, int status, const char *accept,
		      const char *why);

#endif
