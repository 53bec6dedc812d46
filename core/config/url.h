/*
 * gost's command line URLs (-L, -F, -api, -metrics) as configuration: the tree that a YAML file
 * with the same meaning would give, so that nothing behind it knows where a service came from.
 * Every node remembers the argument and the column that it came from.
 *
 * What gost reads wrongly without a word (a bad port, a bad escape) is an error here. A name that
 * it does not know is replaced as gost does it, and forbids to start only. All in the loading
 * thread.
 */
#ifndef ADIT_CORE_CONFIG_URL_H
#define ADIT_CORE_CONFIG_URL_H

#include "core/config/kinds.h"
#include "core/config/tree.h"

/* The lists that a command line adds to. */
enum url_list {
	URL_SERVICES, URL_CHAINS, URL_ADMISSIONS, URL_BYPASSES, URL_RESOLVERS, URL_HOSTS,
	URL_LIMITERS, URL_CLIMITERS, URL_RLIMITERS, URL_LISTS,
};

/* What a command line adds up to. Begin with url_set_init. */
struct url_set {
	struct arena			*arena;
	struct config_errors		*errs;
	const struct config_kinds	*kinds;		/* may be NULL */
	struct adit_tree		*lists[URL_LISTS];
	struct adit_tree		*hops;		/* of chain-0; empty: no chain */
};

/* Begins an empty one; all is borrowed, and what is made lives in a. */
void url_set_init(struct url_set *set, struct arena *a, struct config_errors *errs,
		  const struct config_kinds *kinds);

/* Adds one -F: a hop of chain-0. All of them come before the first -L. */
void url_add_node(struct url_set *set, const struct tree_source *arg);

/* Adds one -L: a service, or one for each port of a range. A blank one adds nothing. */
void url_add_service(struct url_set *set, const struct tree_source *arg);

/* The configuration they make together: a map with the lists that are not empty. */
struct adit_tree *url_set_finish(struct url_set *set);

/* The map for `api` or `metrics`, or NULL with the reason in errs. keys: the parameters it
 * takes. */
struct adit_tree *url_endpoint(struct url_set *set, const struct tree_source *arg,
			       const char *const *keys);

#endif
