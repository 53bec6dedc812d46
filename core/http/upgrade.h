/*
 * One protocol asked for in two ways: by HTTP/1's Upgrade (RFC 9110, 7.8; RFC 6455, 4) and by the
 * extended CONNECT of HTTP/2 and HTTP/3 (RFC 8441, RFC 9220). Where an exchange of one kind is
 * joined with one of the other, both heads are rewritten.
 *
 * Of what HTTP/1 may be upgraded to only WebSocket goes the other way: of the rest it is not known
 * what an intermediary has to do. A server may ignore an Upgrade, and so it is dropped.
 */
#ifndef ADIT_CORE_HTTP_UPGRADE_H
#define ADIT_CORE_HTTP_UPGRADE_H

#include <adit/exchange.h>

#include "core/conn/ws_handshake.h"

/* What was made of a request, for its response. */
struct http_upgrade {
	enum http_upgrade_way {
		UPGRADE_NONE,		/* nothing */
		UPGRADE_TO_CONNECT,	/* Upgrade became an extended CONNECT */
		UPGRADE_TO_UPGRADE,	/* the other way */
	}		 way;
	char		 accept[WS_ACCEPT_TEXT];	/* Sec-WebSocket-Accept of the side of
							 * HTTP/1; "": not of WebSocket */
	char		 protocol[32];	/* UPGRADE_TO_UPGRADE */
};

/*
 * Whether request, which came by that version of HTTP (10, 11, 20, 30), has to be rewritten for
 * another one: it wants an upgrade, and to says it otherwise.
 */
bool http_upgrade_differs(const struct adit_fields *request, int from, int to);

/*
 * Rewrites such a request; body: a message body comes with it, which an extended CONNECT cannot
 * have. An Upgrade that cannot be said otherwise is dropped. 0; -ENOTSUP: a protocol that HTTP/1
 * cannot ask for; -ENOMEM or -E2BIG.
 */
int http_upgrade_request(struct http_upgrade *u, struct adit_fields *request, bool body);

/*
 * Rewrites the response's head, a final or an interim one, for who asked. 0; -EBADMSG: it does not
 * do what it says; -ENOMEM or -E2BIG.
 */
int http_upgrade_response(const struct http_upgrade *u, struct adit_fields *response);

#endif
