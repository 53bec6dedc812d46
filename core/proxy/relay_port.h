/*
 * A UDP port that a relay node opens for us, from the client's side: over a conn to the node it
 * sends the BIND request, waits for the answer, and is then a session whose accepted conns are
 * flows, one for each address that datagrams come from. The node tells nobody's end: a flow is over
 * when it was silent for long enough.
 */
#ifndef ADIT_CORE_RELAY_PORT_H
#define ADIT_CORE_RELAY_PORT_H

#include <adit/mux.h>
#include <adit/plugin.h>

#include "core/wire/relay.h"

#define RELAY_PORT_FLOWS 4096		/* at a time; one more takes the place of the most silent */

struct relay_port_conf {
	const struct relay_msg	*request;	/* as relay_conn()'s */
	unsigned		 answer_ms;	/* limit for lower to open and the answer to come */
	struct adit_flow_limits	 flows;
	const char		*name;		/* of flows_conf */

	/* Called once when the node agreed: for the log. Optional. */
	void			(*bound)(void *arg, struct adit_mux *m,
					 const struct relay_msg *answer);
	void			*arg;
};

/* Takes lower, also on failure (NULL: out of memory). Opens, or fails as the node answered. */
struct adit_mux *relay_port(struct adit_conn *lower, const struct relay_port_conf *conf);

#endif
