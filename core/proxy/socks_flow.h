/*
 * The client's end of UDP ASSOCIATE (RFC 1928, 7): a flow of datagrams to one target by way of a
 * port that a proxy has opened for it, for as long as the connection lasts that asked for it.
 *
 * They go from a socket of our own to that port, and only what comes from there is taken: whatever
 * the connection itself goes over, they are in the clear, and need a way of UDP to the proxy.
 */
#ifndef ADIT_CORE_SOCKS_FLOW_H
#define ADIT_CORE_SOCKS_FLOW_H

#include <adit/conn.h>
#include <adit/err.h>

#include "core/wire/addr.h"

/*
 * An ADIT_CONN_DGRAM conn, still opening. control: the connection, open, its answer read; owned
 * from now on, also on failure (NULL, e filled). relay: the port that was answered; where it leaves
 * the host open, that is control's far end. What comes is taken from whichever target it is, as a
 * name says nothing of whom to expect; fragments are dropped. With control's end the flow ends.
 */
struct adit_conn *socks_flow(struct adit_conn *control, const struct wire_addr *relay,
			     const struct wire_addr *to, struct adit_err *e);

#endif
