/*
 * On the way to a target of a service: which node of its forwarder it is, the conn to it through
 * the handler's chain, TLS toward it. How that ends is told to the node. For handlers; all on the
 * worker of the conn that it is about.
 */
#ifndef ADIT_CORE_TARGET_H
#define ADIT_CORE_TARGET_H

#include <adit/plugin.h>

#include "core/service/forwarder.h"

/* What h's service forwards to; borrowed. */
const struct forwarder *target_forwarder(const struct adit_handler *h);

/* Whether h's service has a chain to its targets, whose nodes may be told who visits. */
bool target_has_chain(const struct adit_handler *h);

/* Whether what is asked for matters: to the choice of a node, to bypasses, to the chain. */
bool target_asks(const struct adit_handler *h);

/* What is known of a conn without looking into it. */
struct route_request target_request(const struct adit_conn *visitor);

/*
 * As forwarder_pick. Without a forwarder the chain alone knows where to, which is told what was
 * sniffed, if anything, and out has no node. What is in out is good as long as h's component.
 * ADIT_EFORBIDDEN: the service's bypasses name what is asked for.
 */
int target_pick(struct adit_handler *h, const struct route_request *req,
		const struct adit_tried *tried, struct forward_target *out, struct adit_err *e);

/* A connection to `to` that had been open failed before there was an answer. */
void target_failed(const struct forward_target *to, int err);

/*
 * A conn to the target that is still opening, the caller's; NULL with e filled. visitor: who it is
 * for.
 */
struct adit_conn *target_dial(struct adit_handler *h, struct adit_worker *w,
			     const struct forward_target *to, const struct adit_addr *visitor,
			     struct adit_err *e);

/*
 * c with TLS over it where the node (NULL: none) asks for that, else c. Takes c, also on failure:
 * NULL with e filled. What is sent before TLS begins is to be written before.
 */
struct adit_conn *target_secure(struct adit_handler *h, struct forward_node *node,
			       struct adit_conn *c, struct adit_err *e);

/*
 * Writes the PROXY header of that version (0: none) to c, which is open and new: who visits, and
 * where he came to. 0, or a failure.
 */
int target_send_proxy(struct adit_conn *c, unsigned version, const struct adit_addr *remote,
		     const struct adit_addr *local);

/* The status of a response from to, for nodes that are judged by it. */
void target_judge(const struct forward_target *to, int status);

#endif
