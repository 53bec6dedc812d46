/*
 * The flows of a UDP socket: what comes from one address and goes back to it is a conn of datagrams
 * (ADIT_CONN_DGRAM), whatever else comes to the socket. A listener's socket makes a new one for
 * each address that it hears of; a connected socket is one.
 *
 * Nothing waits for anybody and everything has a bound: a flow's datagrams that are not read are
 * counted and dropped, newest first; when there are as many flows as may be, a new one takes the
 * place of the one that was silent for longest. A flow that is over fails with -ESHUTDOWN, after
 * the datagrams that had come; another datagram from there begins a new one, but for a pause after
 * one that was closed with a failure and had no answer (core/conn/pauses.h).
 *
 * What is written in one turn of the loop leaves together (core/conn/udp.h).
 */
#ifndef ADIT_CORE_FLOWS_H
#define ADIT_CORE_FLOWS_H

#include <adit/conn.h>
#include <adit/packet.h>

#define FLOW_DATAGRAM_MAX 65507		/* of payload, in UDP over IPv4 */

struct flows_conf {
	uint64_t	 ttl;		/* ns without a datagram either way, then a flow is over */
	bool		 keepalive;	/* else it is over when each datagram has had an answer */
	unsigned	 max;		/* flows at a time; at least 1 */
	unsigned	 backlog;	/* of those, that nobody has read yet: a flood begins no
					 * more */
	unsigned	 queue;		/* datagrams of one flow that wait to be read */
	size_t		 largest;	/* bytes of a datagram; longer ones are dropped whole */
	const char	*name;		/* the service's, for the log; borrowed */

	/* optional: whether a flow from there may begin at all. */
	bool		(*admit)(void *arg, const struct adit_addr *from);

	/* Has c, open, from the first datagram of a new flow on. Called by the loop. */
	void		(*accept)(void *arg, struct adit_conn *c);
	void		*arg;
};

/* Since the beginning. */
struct flows_stats {
	uint64_t	flows;		/* that began */
	uint64_t	evicted;	/* by newer ones */
	uint64_t	refused;	/* datagrams that began none: backlog, memory */
	uint64_t	paused;		/* datagrams dropped: theirs had just failed */
	uint64_t	full;		/* datagrams dropped: their flow's queue, or the socket's */
	uint64_t	too_long;	/* datagrams dropped: longer than largest */
};

struct flows;

/* Of p, which it owns, also on failure: NULL, out of memory. conf is copied. */
struct flows *flows_new(struct adit_packet_conn *p, const struct flows_conf *conf);

/*
 * Begins no new ones and reads no more: the socket's datagrams may be another's by now. Those there
 * are may still send, are over once they are silent for a moment, and f goes with the last.
 */
void flows_stop(struct flows *f);

/* Ends f now, and all its flows, with that reason: the socket has gone. NULL is fine. */
void flows_end(struct flows *f, int why);

unsigned flows_count(const struct flows *f);
const struct flows_stats *flows_stats(const struct flows *f);	/* f's */

/*
 * The one flow of a connected p, which it owns, also on failure: NULL, out of memory. It has no
 * time limit; it fails with what the peer's host says (-ECONNREFUSED).
 */
struct adit_conn *flow_connected(struct adit_packet_conn *p);

#endif
