/*
 * Datagrams in a conn of bytes, each behind its length (core/wire/dgram.h, the first framing): what
 * UDP is in a tunnel's streams, in a visitor's connection to a tunnel's server, and between two
 * workers.
 *
 * Written datagrams stand in a queue until the end of the loop's turn, so that small ones share
 * packets; when the conn below does not take them and the queue is full, a write answers -EAGAIN.
 * The end of the conn below is the end of the flow: -ESHUTDOWN, or ADIT_ETRUNCATED inside a
 * datagram.
 */
#ifndef ADIT_CORE_FRAMED_H
#define ADIT_CORE_FRAMED_H

#include <adit/conn.h>

struct wire_addr;

/*
 * An ADIT_CONN_DGRAM conn over lower, which it owns, also on failure (NULL: out of memory; lower
 * NULL is such a failure too). lower may still be opening: it opens with it.
 */
struct adit_conn *framed_conn(struct adit_conn *lower);

/*
 * The same in the second framing, udp-tun, with one far side: what is written goes to to, and what
 * comes is taken from whomever it is. An empty datagram cannot be said there, and is lost.
 */
struct adit_conn *framed_conn_to(struct adit_conn *lower, const struct wire_addr *to);

#endif
