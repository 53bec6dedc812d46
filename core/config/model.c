#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/own_service.h"
#include "core/config/schema.h"

/* ---- the named objects ---------------------------------------------------- */

struct named {
	const char	*name;
	size_t		 i;			/* its place in the list */
};

struct refs {
	struct schema_ref	*v;
	size_t			 n;
};

/* All objects of one list. */
struct index_list {
	size_t				 n;
	const struct adit_tree		**nodes;	/* in the order of the list */
	struct refs			*refs;		/* same: what each of them names */
	struct named			*names;		/* sorted; without the nameless */
	size_t				 n_names;
};

struct config_index {
	struct arena		*arena;		/* of the whole configuration */
	atomic_uint		 count;		/* of references to it */
	struct index_list	 lists[CONFIG_LISTS];
};

static const struct {
	const char	*name, *singular;
} lists[] = {
	[CONFIG_SERVICES] = { "services", "service" },
	[CONFIG_CHAINS] = { "chains", "chain" },
	[CONFIG_HOPS] = { "hops", "hop" },
	[CONFIG_AUTHERS] = { "authers", "auther" },
	[CONFIG_ADMISSIONS] = { "admissions", "admission" },
	[CONFIG_BYPASSES] = { "bypasses", "bypass" },
	[CONFIG_RESOLVERS] = { "resolvers", "resolver" },
	[CONFIG_HOSTS] = { "hosts", "hosts" },
	[CONFIG_INGRESSES] = { "ingresses", "ingress" },
	[CONFIG_ROUTERS] = { "routers", "router" },
	[CONFIG_SDS] = { "sds", "sd" },
	[CONFIG_RECORDERS] = { "recorders", "recorder" },
	[CONFIG_REWRITERS] = { "rewriters", "rewriter" },
	[CONFIG_CACHES] = { "caches", "cache" },
	[CONFIG_LIMITERS] = { "limiters", "limiter" },
	[CONFIG_CLIMITERS] = { "climiters", "climiter" },
	[CONFIG_RLIMITERS] = { "rlimiters", "rlimiter" },
	[CONFIG_QUOTAS] = { "quotas", "quota" },
	[CONFIG_OBSERVERS] = { "observers", "observer" },
	[CONFIG_LOGGERS] = { "loggers", "logger" },
	[CONFIG_GRANTS] = { "grants", "grants" },
};

const char *
config_list_name(enum config_list list)
{
	return lists[list].name;
}

const char *
config_list_singular(enum config_list list)
{
	return lists[list].singular;
}

int
schema_list_by_name(const char *name)
{
	for (int i = 0; i < CONFIG_LISTS; i++)
		if (strcmp(lists[i].name, name) == 0)
			return i;
	return -1;
}

static int
compare_names(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order)
		return order;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* A service may go without a name and gets one by its place. */
static const char *
name_of(struct arena *a, enum config_list list, const struct adit_tree *node, size_t i)
{
	const char *name = tree_text(tree_get(node, "name"));

	if (*name)
		return name;
	return list == CONFIG_SERVICES ? arena_printf(a, "service-%zu", i) : NULL;
}

static void
check_unique(struct walk *w, enum config_list list)
{
	const struct index_list *l = &w->config->index->lists[list];
	struct tree_path top = { .key = lists[list].name };

	for (size_t i = 1; i < l->n_names; i++) {
		struct tree_path item = { .up = &top, .index = l->names[i].i };
		struct tree_path at = { .up = &item, .key = "name" };
		const struct adit_tree *node = l->nodes[l->names[i].i], *name;
		size_t first = l->names[i - 1].i;

		if (strcmp(l->names[i - 1].name, l->names[i].name) != 0)
			continue;
		name = tree_get(node, "name");
		schema_error(w, name ? name : node, &at, NULL,
			     "\"%.60s\" is the name of %s[%zu] too", l->names[i].name,
			     lists[list].name, first);
	}
}

static void
index_list(struct walk *w, enum config_list list, const struct adit_tree *value)
{
	struct index_list *l = &w->config->index->lists[list];
	bool one = tree_type(value) == TREE_MAP;

	l->n = one ? 1 : tree_type(value) == TREE_LIST ? tree_len(value) : 0;
	l->nodes = arena_grow(w->arena, NULL, 0, l->n + 1, sizeof(*l->nodes));
	l->refs = arena_grow(w->arena, NULL, 0, l->n + 1, sizeof(*l->refs));
	l->names = arena_grow(w->arena, NULL, 0, l->n + 1, sizeof(*l->names));
	if (!l->nodes || !l->refs || !l->names)
		return;
	for (size_t i = 0; i < l->n; i++) {
		const char *name;

		l->nodes[i] = one ? value : tree_item(value, i);
		name = name_of(w->arena, list, l->nodes[i], i);
		if (name)
			l->names[l->n_names++] = (struct named){ .name = name, .i = i };
	}
	qsort(l->names, l->n_names, sizeof(*l->names), compare_names);
	check_unique(w, list);
}

ptrdiff_t
config_index_find(const struct config *c, enum config_list list, const char *name)
{
	const struct index_list *l = &c->index->lists[list];
	size_t low = 0, high = l->n_names;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(l->names[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == l->n_names || strcmp(l->names[low].name, name) != 0)
		return -1;
	return (ptrdiff_t)l->names[low].i;
}

size_t
config_index_len(const struct config *c, enum config_list list)
{
	return c->index->lists[list].n;
}

const char *
config_index_name(const struct config *c, enum config_list list, size_t i)
{
	return tree_text(tree_get(c->index->lists[list].nodes[i], "name"));
}

void
config_index_nearest(const struct config *c, enum config_list list, struct nearest *n)
{
	const struct index_list *l = &c->index->lists[list];

	for (size_t i = 0; i < l->n_names; i++)
		nearest_try(n, l->names[i].name);
}

void
config_index_keep(struct walk *w, enum config_list list, size_t index)
{
	struct index_list *l = &w->config->index->lists[list];

	if (index >= l->n || !w->n_refs)
		return;
	l->refs[index] = (struct refs){ .v = w->refs, .n = w->n_refs };
	w->refs = NULL;
	w->n_refs = w->room_refs = 0;
}

/* ---- loading -------------------------------------------------------------- */

static struct config *
config_new(void)
{
	struct arena *a = arena_new();
	struct config *c = a ? arena_alloc(a, sizeof(*c)) : NULL;

	if (c)
		c->index = arena_alloc(a, sizeof(*c->index));
	if (!c || !c->index) {
		arena_free(a);
		return NULL;
	}
	c->index->arena = a;
	atomic_init(&c->index->count, 1);
	return c;
}

/* Hops that stand for one of the top. */
static void
resolve_hops(struct config *c)
{
	for (size_t i = 0; i < c->chains.n; i++)
		for (size_t j = 0; j < c->chains.v[i].hops.n; j++) {
			struct hop_conf *h = &c->chains.v[i].hops.v[j];
			ptrdiff_t at = -1;

			if (!h->nodes.n && !h->plugin && !h->loader.file && !h->loader.redis &&
			    !h->loader.http)
				at = config_index_find(c, CONFIG_HOPS, h->name);
			if (at >= 0 && (size_t)at < c->hops.n)
				h->ref = &c->hops.v[at];
		}
}

/* The same for forwarders. */
static void
resolve_forwarders(struct config *c)
{
	for (size_t i = 0; i < c->services.n; i++) {
		struct forwarder_conf *f = c->services.v[i].forwarder;
		ptrdiff_t at = f && f->hop ? config_index_find(c, CONFIG_HOPS, f->hop) : -1;

		if (at >= 0 && (size_t)at < c->hops.n)
			f->ref = &c->hops.v[at];
	}
}

static void
build(struct walk *w, const struct adit_tree *root)
{
	const struct adit_tree *all = own_services_add(w->arena, root);
	struct config *c = w->config;

	for (int i = 0; i < CONFIG_LISTS; i++)
		index_list(w, (enum config_list)i, tree_get(all, lists[i].name));
	schema_walk(w, &schema_root, c, all, NULL);
	c->node = root;
	resolve_hops(c);
	resolve_forwarders(c);
	if (!c->log)
		c->log = arena_alloc(w->arena, sizeof(*c->log));
	if (c->log && !c->log->node)
		c->log->level = ADIT_LOG_INFO;
}

static bool
acceptable(const struct config_errors *errs, unsigned flags)
{
	return flags & CONFIG_PRINT ? !config_errors_hard(errs) : !config_errors_count(errs);
}

struct config *
config_load(const struct config_args *args, const struct config_kinds *kinds, unsigned flags,
	    struct config_errors *errs)
{
	struct walk w = { .errs = errs, .kinds = kinds, .config = config_new() };
	struct config_problem no_memory = { .path = NULL };
	size_t before = config_errors_hard(errs);
	const struct adit_tree *root;

	if (!w.config) {
		config_errors_add(errs, &no_memory, "out of memory");
		return NULL;
	}
	w.arena = w.config->index->arena;
	root = source_load(w.arena, args, kinds, errs);
	w.partial = config_errors_hard(errs) > before;
	if (root)
		build(&w, root);
	if (root && arena_failed(w.arena))
		config_errors_add(errs, &no_memory, "out of memory");
	if (root && acceptable(errs, flags))
		return w.config;
	config_put(w.config);
	return NULL;
}

struct config *
config_get(struct config *c)
{
	atomic_fetch_add(&c->index->count, 1);
	return c;
}

void
config_put(struct config *c)
{
	if (c && atomic_fetch_sub(&c->index->count, 1) == 1)
		arena_free(c->index->arena);
}

/* ---- comparing ------------------------------------------------------------ */

/* Objects that are equal or being compared further up: names may go in circles (chain, resolver,
 * chain). */
struct comparison {
	const struct config	*a, *b;
	bool			*seen[CONFIG_LISTS];	/* by place in a */
};

static bool same_object(struct comparison *c, enum config_list list, size_t i, size_t j);

/* What such an object says changes under those who hold it. */
static bool
is_held(enum config_list list)
{
	switch (list) {
	case CONFIG_INGRESSES:
	case CONFIG_AUTHERS:
	case CONFIG_GRANTS:
	case CONFIG_ADMISSIONS:
	case CONFIG_BYPASSES:
	case CONFIG_HOSTS:
	case CONFIG_RESOLVERS:
	case CONFIG_LIMITERS:
	case CONFIG_CLIMITERS:
	case CONFIG_RLIMITERS:
	case CONFIG_RECORDERS:
		return true;
	default:
		return false;
	}
}

/*
 * A resolver that is asked through a chain cannot be a hop's: what has one is made anew, which says
 * so.
 */
static bool
is_misplaced(const struct config *config, enum config_list by, enum config_list list, size_t i)
{
	return list == CONFIG_RESOLVERS && by != CONFIG_SERVICES &&
	       config->index->lists[list].refs[i].n;
}

static bool
same_refs(struct comparison *c, enum config_list list, size_t i)
{
	const struct refs *refs = &c->a->index->lists[list].refs[i];

	for (size_t k = 0; k < refs->n; k++) {
		enum config_list to = refs->v[k].list;
		const struct index_list *l = &c->a->index->lists[to];
		const char *name = tree_text(tree_get(l->nodes[refs->v[k].index], "name"));
		ptrdiff_t j = config_index_find(c->b, to, name);

		if (is_held(to) && j >= 0 && !is_misplaced(c->b, list, to, (size_t)j))
			continue;
		if (j < 0 || !same_object(c, to, refs->v[k].index, (size_t)j))
			return false;
	}
	return true;
}

static bool
same_object(struct comparison *c, enum config_list list, size_t i, size_t j)
{
	const struct index_list *a = &c->a->index->lists[list], *b = &c->b->index->lists[list];

	if (c->seen[list] && c->seen[list][i])
		return true;
	if (!tree_equal(a->nodes[i], b->nodes[j]))
		return false;
	if (!c->seen[list])
		c->seen[list] = calloc(a->n, sizeof(bool));
	if (!c->seen[list])
		return false;
	c->seen[list][i] = true;
	return same_refs(c, list, i);
}

static bool
compare_objects(const struct config *a, const struct config *b, enum config_list list, size_t i,
		size_t j)
{
	struct comparison c = { .a = a, .b = b };
	bool same = same_object(&c, list, i, j);

	for (int k = 0; k < CONFIG_LISTS; k++)
		free(c.seen[k]);
	return same;
}

bool
config_object_equal(const struct config *a, const struct config *b, enum config_list list,
		    const char *name)
{
	ptrdiff_t i = config_index_find(a, list, name), j = config_index_find(b, list, name);

	return i >= 0 && j >= 0 && compare_objects(a, b, list, (size_t)i, (size_t)j);
}

static bool
has_certificate(const struct component_conf *c)
{
	return c->tls && c->tls->tls.cert_file;
}

bool
service_conf_equal(const struct config *a, const struct service_conf *x, const struct config *b,
		   const struct service_conf *y)
{
	const struct adit_tree *tls_a = a->tls ? a->tls->node : NULL;
	const struct adit_tree *tls_b = b->tls ? b->tls->node : NULL;

	if (strcmp(x->name, y->name) != 0)
		return false;
	if (!has_certificate(x->handler) && !has_certificate(x->listener) &&
	    !tree_equal(tls_a, tls_b))
		return false;
	return compare_objects(a, b, CONFIG_SERVICES, (size_t)(x - a->services.v),
			       (size_t)(y - b->services.v));
}
