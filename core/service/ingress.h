/*
 * Ingresses made from the configuration: gost's own sources of rules (inline, a file that is read
 * again), or a plugin.
 */
#ifndef ADIT_CORE_INGRESS_H
#define ADIT_CORE_INGRESS_H

#include "core/service/service.h"

/* One reference. NULL with e filled. config is referenced. Main thread. */
struct adit_ingress *ingress_new(struct config *config, const struct ingress_conf *conf,
				 const struct service_world *world, struct adit_err *e);
struct adit_ingress *ingress_get(struct adit_ingress *i);
void ingress_put(struct adit_ingress *i);		/* any thread; NULL is fine */

/*
 * Gives i other rules and returns those it had, to be freed when every worker has turned once. Main
 * thread.
 */
struct ingress_table;
struct ingress_table *ingress_replace(struct adit_ingress *i, struct ingress_table *table);

#endif
