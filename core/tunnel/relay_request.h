/*
 * What a connection to a tunnel's server is: it begins with one relay request, by which a client
 * binds a tunnel and the connection becomes a session (relay_session.h), or a visitor reaches one
 * and is joined to the stream that opens. Any other request is refused with a status.
 */
#ifndef ADIT_CORE_RELAY_REQUEST_H
#define ADIT_CORE_RELAY_REQUEST_H

#include "core/tunnel/request.h"

/*
 * Takes c, open, on its worker, and ends by itself, or with its component. conf is borrowed and
 * lives as long as the component.
 */
void relay_request(struct adit_conn *c, const struct request_conf *conf);

#endif
