/*
 * A `resolver`: name servers that are asked in turn until one of them knows an address, and what
 * they said, for as long as it holds. Counted: a question outlives what the configuration says.
 */
#ifndef ADIT_CORE_NAME_SERVERS_H
#define ADIT_CORE_NAME_SERVERS_H

#include "core/policy/policy.h"
#include "core/runtime/resolver.h"

#define NAME_SERVERS_MAX   16
#define NAME_SERVERS_KEPT  2048		/* names that each worker remembers */
#define NAME_SERVERS_ASKED 1024		/* questions of a worker at a time */

struct chain;
struct name_servers;

/*
 * The resolver of that place in its list of world's configuration, without the chains it names.
 * NULL with the reason in errs. Main thread.
 */
struct name_servers *name_servers_new(const struct policy_world *world, size_t index,
				      struct config_errors *errs);

/* The chains of its configuration, in their order: those it names are referenced. Before it is
 * asked. Main thread. */
void name_servers_take_chains(struct name_servers *s, struct chain *const *chains);

/* Takes and drops a reference. Any thread; NULL is fine. */
struct name_servers *name_servers_get(struct name_servers *s);
void name_servers_put(void *name_servers);

struct names_query;

/*
 * As resolver_ask: the addresses of host, a name, in the order the servers gave them. done comes
 * once, from the loop. NULL with e filled. On w.
 */
struct names_query *name_servers_ask(struct name_servers *s, struct adit_worker *w,
				     const char *host, resolver_cb *done, void *arg,
				     struct adit_err *e);

/* done will not come. NULL is fine. */
void name_servers_cancel(struct names_query *q);

#endif
