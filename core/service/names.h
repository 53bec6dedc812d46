/*
 * How names are looked up at one place of the configuration (a service's targets, a node's
 * address): by its `hosts`, then by its `resolver`, and else as the system does. Literals are
 * themselves.
 */
#ifndef ADIT_CORE_NAMES_H
#define ADIT_CORE_NAMES_H

#include <adit/plugin.h>

#include "core/identity/held.h"
#include "core/policy/policy.h"
#include "core/service/name_servers.h"

struct names {
	struct held	*hosts;		/* of a mapping; referenced, as is: NULL: none */
	struct held	*resolver;	/* of name servers */
};

void names_fini(struct names *n);	/* drops both; any thread */

/*
 * The mapping (struct listing of struct host_map) of that place in its list of world's
 * configuration. before: that of the configuration before, or NULL. NULL with the reason in errs.
 * Main thread.
 */
void *hosts_map_new(const struct policy_world *world, size_t index, const void *before,
		    struct config_errors *errs);
void hosts_map_free(void *map);		/* any thread; NULL is fine */

/*
 * The addresses of host that are known without asking anybody: of hosts. Written to out. Returns
 * how many; 0: it is to be asked for, or is a literal. Any worker.
 */
size_t names_known(const struct names *n, const char *host,
		   struct adit_addr out[RESOLVER_MAX]);

/*
 * Whether host is for the place's own name servers: no literal, and none of this machine's names
 * (RFC 6761, 6.3).
 */
bool names_asks(const struct names *n, const char *host);

/* Asks them, as name_servers_ask. */
struct names_query *names_ask(const struct names *n, struct adit_worker *w, const char *host,
			      resolver_cb *done, void *arg, struct adit_err *e);

#endif
