/*
 * How a service reaches a target: its name is looked up as the service says, then the way leads
 * through the handler's chain, and is tried again as often as the handler's retries say, each time
 * by a new choice of nodes.
 */
#ifndef ADIT_CORE_ROUTER_H
#define ADIT_CORE_ROUTER_H

#include <adit/plugin.h>

#include "core/service/names.h"

struct chain;

/* Immutable; a service's. Zeroed: directly, by the system's names, once. */
struct router {
	struct chain	*chain;		/* borrowed; NULL: directly */
	struct names	 names;		/* of targets; owned */
	unsigned	 retries;	/* after the first try */
	uint64_t	 timeout;	/* ns, of one try; 0: those of whoever dials */
};

/*
 * A conn to to that is still opening, the caller's; NULL with e filled. component: of the service,
 * held while it opens. visitor: who it is for, or NULL. On w.
 */
struct adit_conn *router_dial(struct router *r, struct adit_component *component,
			      struct adit_worker *w, const struct adit_target *to,
			      const struct adit_addr *visitor, struct adit_err *e);

#endif
