/*
 * A forwarder: the targets of a service, and which of them is for a request. Immutable but for what
 * is known of each target, which all workers share.
 */
#ifndef ADIT_CORE_FORWARDER_H
#define ADIT_CORE_FORWARDER_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/service/filter.h"
#include "core/service/matcher.h"
#include "core/service/node_http.h"
#include "core/service/selector.h"

struct held;
struct service_world;	/* core/service/world.h */
struct tls_source;

struct forward_node {
	const struct node_conf	*conf;		/* borrowed */
	struct matcher		*matcher;	/* owned, as all below; NULL: none */
	struct node_http	*http;
	struct tls_source	*tls;		/* toward the target; NULL: in the clear */
	struct held		**bypasses;
	struct node_state	 state;
	uint64_t		 id;		/* unique in the process, reloads included */
};

/* Zeroed: one without nodes, which picks nothing. */
struct forwarder {
	const struct forwarder_conf	*conf;		/* borrowed; NULL: the service has none */
	struct selector			 selector;
	struct forward_node		*nodes;		/* owned; of conf's, or its hop's, in their
							 * order */
	struct held			**bypasses;	/* owned; the hop's */
	size_t				 n;
	bool				 by_client;	/* who asks may decide on the node */
	bool				 by_path;	/* paths are looked at */
	bool				 by_request;	/* hosts or paths are */
	bool				 edits;		/* nodes have settings that need sniffing */
};

struct forward_target {
	struct forward_node	*node;		/* the forwarder's; NULL: there is no forwarder */
	struct adit_target	 target;
	char			 host[256];	/* target's, where it is no path */
};

/*
 * f must be zeroed. conf, of world's configuration, which stands at at, may be NULL; world's log is
 * for what becomes of certificates. 0, or a failure, all of it said at its place: forwarder_fini is
 * due then too. Main thread.
 */
int forwarder_init(struct forwarder *f, const struct forwarder_conf *conf,
		   const struct service_world *world, const struct place *at);
void forwarder_fini(struct forwarder *f);	/* any thread */

/*
 * The node for req. Those that ask for something are before those that do not, and more precisely:
 * nodes whose rule matches, the highest priority alone; then those whose host filter matches, and
 * rules with a negative priority; then those whose filter matches without a host; then those that
 * ask for nothing. Among equals the selector chooses.
 *
 * Its address is in out, which may not be moved (borrowed from the configuration, and from out).
 * How reaching it ends is to be reported to its state. It is none of those tried, and none whose
 * bypasses name what req asks for. 0, or
 * ADIT_ENOROUTE or ADIT_ECONFIG with e filled: none is left, or its address is none. Any worker.
 */
int forwarder_pick(struct forwarder *f, const struct route_request *req,
		   const struct adit_tried *tried, struct forward_target *out,
		   struct adit_err *e);

/* node, one of f's, was tried in vain; NULL: what was is no node, or not known. */
void forwarder_tried(const struct forwarder *f, const struct forward_node *node,
		     struct adit_tried *tried);

#endif
