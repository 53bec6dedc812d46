/*
 * Routes: chains of hops, each hop a choice of nodes, each node a dialer and a connector. A chain
 * is built once from the configuration and shared by the services that name it; what its dialers
 * keep (sessions) and what is known of its nodes (failures) outlives a reload that does not change
 * it.
 */
#ifndef ADIT_CORE_ROUTE_H
#define ADIT_CORE_ROUTE_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/service/registry.h"

struct chain;
struct service_world;	/* core/service/world.h */
struct worker_group;

/*
 * Makes the chain of that place in the list of world's configuration, which is referenced, as the
 * bypasses that it names are. What is wrong with it (a plugin that is not available or refuses its
 * options) goes to errs: then it may only be named, and put. NULL: out of memory, which errs says
 * too. Main thread.
 */
struct chain *chain_new(const struct service_world *world, size_t index,
			struct config_errors *errs);

/* Takes and drops a reference. Any thread. */
struct chain *chain_get(struct chain *c);
void chain_put(struct chain *c);		/* NULL is fine */

/* As the configuration calls it; c's. Any thread. */
const char *chain_name(const struct chain *c);

/* What its dialers keep on w is let go, before the last chain_put. On w. */
void chain_stop(struct chain *c, struct adit_worker *w);

/* Whether every node of its last hop can bind, as far as it could be made. Any thread. */
bool chain_binds(const struct chain *c);

/*
 * Through all hops to to: a conn that is still opening, the caller's. c NULL: directly. A hop whose
 * bypasses name the target, or those of all its nodes, ends the way before it; where that is not
 * known yet there is no way. visitor: who it is for (connectors may tell their nodes, the strategy
 * `hash` goes by it), or NULL. NULL with e filled. On w.
 */
struct adit_conn *chain_dial(struct chain *c, struct adit_worker *w, const struct adit_target *to,
			     const struct adit_addr *visitor, struct adit_err *e);

/* Through all hops, and the last one binds address. NULL with e filled. On w. */
struct adit_mux *chain_bind(struct chain *c, struct adit_worker *w,
			    const struct adit_target *address, struct adit_err *e);

#endif
