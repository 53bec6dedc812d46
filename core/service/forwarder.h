/*
 * A forwarder: the targets of a service, and which of them is for a visitor. Immutable but for what
 * is known of each target, which all workers share.
 */
#ifndef ADIT_CORE_FORWARDER_H
#define ADIT_CORE_FORWARDER_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/service/selector.h"

/* Zeroed: one without nodes, which picks nothing. */
struct forwarder {
	const struct forwarder_conf	*conf;		/* borrowed; NULL: the service has none */
	struct selector			 selector;
	struct node_state		*states;	/* of conf's nodes; owned */
};

struct forward_target {
	struct adit_target	target;
	char			host[256];	/* target's, where it is no path */
};

/*
 * f must be zeroed. conf, which stands at at, may be NULL. 0, or a failure, all of it said at its
 * place: forwarder_fini is due then too. Main thread.
 */
int forwarder_init(struct forwarder *f, const struct forwarder_conf *conf, const struct place *at);
void forwarder_fini(struct forwarder *f);	/* any thread */

/*
 * A node for visitor: one that its filter, matcher and selector let through. Its address is in out
 * (borrowed from out and from the configuration); how reaching it ends is to be reported to what is
 * returned, which lives as long as f. attempt is adit_forward's. NULL with e filled: none is left,
 * or its address is none. Any worker.
 */
struct node_state *forwarder_pick(struct forwarder *f, const struct adit_conn *visitor,
				  unsigned attempt, struct forward_target *out, struct adit_err *e);

#endif
