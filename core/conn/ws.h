/*
 * WebSocket (RFC 6455) over any stream conn, as gost uses it: bytes in binary messages, one frame
 * for each write, whose borders mean nothing to who reads. What comes is taken apart where it was
 * read to, so that nothing stands in a queue of its own; what a client sends is masked on its way
 * into the queue, what a server sends passes by that while lower takes it.
 *
 *	lower  -- read -->  the owner's buffer, frames taken out in place --> owner
 *	lower  <-- writev -- out <-- head, masked payload -- owner
 *
 * How things end. A Close frame is the end, answered with one; so is the end of lower between two
 * messages, because a gost sends no Close frame (RFC 6455, 7.1.5 calls it abnormal): within a frame
 * or message it is ADIT_ETRUNCATED. There is no half-close: shutdown says -ENOTSUP. close(0) sends
 * what was taken (10 s without progress, 60 s in all), then a Close frame; close(why) closes lower
 * with why. A peer that breaks the protocol is told so by a Close frame with 1002, and the conn has
 * failed with -EPROTO. Pings are answered as the stream is read, only the last one where several
 * wait (RFC 6455, 5.5.3).
 */
#ifndef ADIT_CORE_WS_H
#define ADIT_CORE_WS_H

#include <adit/conn.h>

#include "core/conn/ws_handshake.h"

/*
 * A conn over lower, which it owns from now on, also on failure (NULL, e filled). lower may still
 * be opening; the new conn is open when the handshake is done, for which conf.handshake_ms are
 * given from when lower is. p is borrowed for the call. host: the node's address, for Host where p
 * has none. A handshake that fails is -EPROTO, ADIT_EREFUSED (the server's answer was another
 * status) or why lower failed, and conn_failure tells more.
 */
struct adit_conn *ws_client(struct adit_conn *lower, struct ws_policy *p, const char *host,
			    struct adit_err *e);
struct adit_conn *ws_server(struct adit_conn *lower, struct ws_policy *p, struct adit_err *e);

#endif
