/*
 * The client's end of a bind: over a conn to a relay or tunnel node it sends the BIND request,
 * waits for the answer, and is then a session (smux, the node opens its streams) whose accepted
 * conns have had their stream head read: who comes is their remote address, what he asked for
 * adit_conn_asked. The heads of several streams are awaited at the same time, so one that is slow
 * holds up nobody else.
 */
#ifndef ADIT_CORE_RELAY_BIND_H
#define ADIT_CORE_RELAY_BIND_H

#include <adit/mux.h>

#include "core/mux/smux.h"
#include "core/wire/relay.h"

struct relay_bind_conf {
	const struct relay_msg	*request;	/* as relay_conn()'s */
	struct smux_conf	 smux;
	unsigned		 answer_ms;	/* limit for lower to open and the answer to come */
	unsigned		 connections;	/* that are wanted, if the node gains by them; one
						 * that is no adit is never told to */
	bool			 datagrams;	/* a UDP bind: accepted conns are flows */

	/* Called once when the node agreed: for the log. Optional. */
	void			(*bound)(void *arg, struct adit_mux *m,
					 const struct relay_msg *answer);
	void			*arg;
};

/* Takes lower, also on failure (NULL: out of memory). Opens, or fails as the node answered. */
struct adit_mux *relay_bind(struct adit_conn *lower, const struct relay_bind_conf *conf);

#endif
