/*
 * Ingresses made from the configuration: gost's own sources of rules (inline, a file that is read
 * again), or a plugin.
 */
#ifndef ADIT_CORE_INGRESS_H
#define ADIT_CORE_INGRESS_H

#include "core/service/service.h"

struct ingress_table;

/*
 * The ingress of that place in config's list, which is referenced: one reference, the caller's.
 * What is wrong with it goes to errs: then it may only be named, and put. NULL: out of memory,
 * which errs says too. Main thread.
 */
struct adit_ingress *ingress_new(struct config *config, size_t index,
				 const struct service_world *world, struct config_errors *errs);

/* Takes and drops a reference. Any thread. */
struct adit_ingress *ingress_get(struct adit_ingress *i);
void ingress_put(struct adit_ingress *i);		/* NULL is fine */

/*
 * What the ingress of that place in config's list says now: the caller's, for ingress_replace.
 * before: whose rules it will replace, and which it goes on with where it has the same sources, or
 * NULL. NULL with the reason in errs. Main thread.
 */
struct ingress_table *ingress_read(const struct config *config, size_t index,
				   const struct service_world *world, struct adit_ingress *before,
				   struct config_errors *errs);

/*
 * Gives i other rules and returns those it had, to be freed when every worker has turned once. Main
 * thread.
 */
struct ingress_table *ingress_replace(struct adit_ingress *i, struct ingress_table *table);

#endif
