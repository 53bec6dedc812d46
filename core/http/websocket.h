/*
 * A WebSocket that a visitor of HTTP/2 or HTTP/3 asks for by an extended CONNECT (RFC 8441, RFC
 * 9220), toward a target that speaks HTTP/1.1 (RFC 6455): the heads, as the other side has them.
 * What follows them is the same.
 */
#ifndef ADIT_CORE_HTTP_WEBSOCKET_H
#define ADIT_CORE_HTTP_WEBSOCKET_H

#include <adit/exchange.h>

#include "core/conn/ws_handshake.h"

/* Whether that request is an extended CONNECT for a WebSocket. */
bool websocket_is_asked(const struct adit_fields *request);

/*
 * Makes such a request one of HTTP/1.1, with a key, the answer to which is given back in accept. 0,
 * -ENOMEM or -E2BIG.
 */
int websocket_ask(struct adit_fields *request, char accept[WS_ACCEPT_TEXT]);

/*
 * Makes the target's response one to the extended CONNECT: 101 becomes 200, a refusal stays what it
 * is. 0; -EBADMSG: a 101 that does not answer the key, or a success that is none. -E2BIG, -ENOMEM.
 */
int websocket_answer(struct adit_fields *response, const char *accept);

#endif
