/*
 * A stream that a client or visitor opened in a session of adit/1: it begins with a BIND
 * (native_session.h), or with an OPEN by which a visitor reaches a tunnel. Anything else is refused
 * with a status.
 */
#ifndef ADIT_CORE_NATIVE_REQUEST_H
#define ADIT_CORE_NATIVE_REQUEST_H

#include "core/tunnel/request.h"

/*
 * Takes c, open, on its worker, and ends by itself, or with its component. conf is borrowed and
 * lives as long as the component.
 */
void native_request(struct adit_conn *c, const struct request_conf *conf);

#endif
