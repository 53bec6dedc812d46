/*
 * Metadata: what plugins read by their option rows, and the few keys that core reads itself.
 *
 * A URL copies its parameters to every part of a service or node (gost-config.md, 1.3), so a key
 * that this part does not know is fine where another part has it too, with the same value, and
 * knows it.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/opts.h"
#include "core/config/scalar.h"
#include "core/config/schema_checks.h"

enum { MAX_PARTS = 4 };

/* One of the maps that a URL's parameters were copied to. */
struct part {
	const char			*label;		/* "handler": its key in the owner */
	const struct adit_tree		*metadata;
	const struct adit_opt		*rows;		/* of the plugin; NULL: none */
	const struct adit_opt		*common;	/* of all of a kind, or core's own */
	bool				 open;		/* no such plugin here: anything goes */
};

struct parts {
	struct part		 v[MAX_PARTS];
	size_t			 n;
	const struct adit_tree	*owner;			/* the service, node or hop */
};

/* ---- core's own rows ------------------------------------------------------ */

#define SERVICE(field) .offset = offsetof(struct service_conf, field)
#define NODE(field) .offset = offsetof(struct node_conf, field)

static const char *const period_aliases[] = { "observePeriod", NULL };

static const struct adit_opt service_rows[] = {
	{ .name = "proxyProtocol",
	  .type = ADIT_OPT_INT,
	  SERVICE(proxy_protocol),
	  .max = 2,
	  .help = "take a PROXY header in front of a connection, if there is one" },
	{ .name = "trustedProxies",
	  .type = ADIT_OPT_TREE,
	  SERVICE(trusted_proxies),
	  .help = "addresses and networks whose PROXY headers are taken; none: anybody's" },
	{ .name = "interface",
	  .type = ADIT_OPT_TREE,
	  SERVICE(interface),
	  .help = "interface or address to dial from" },
	{ .name = "so_mark",
	  .type = ADIT_OPT_TREE,
	  SERVICE(so_mark),
	  .help = "mark of the sockets" },
	{ .name = "preUp",
	  .type = ADIT_OPT_TREE,
	  SERVICE(pre_up),
	  .help = "commands before the start" },
	{ .name = "postUp",
	  .type = ADIT_OPT_TREE,
	  SERVICE(post_up),
	  .help = "commands after the start" },
	{ .name = "preDown",
	  .type = ADIT_OPT_TREE,
	  SERVICE(pre_down),
	  .help = "commands before the stop" },
	{ .name = "postDown",
	  .type = ADIT_OPT_TREE,
	  SERVICE(post_down),
	  .help = "commands after the stop" },
	{ .name = "ignoreChain",
	  .type = ADIT_OPT_BOOL,
	  SERVICE(ignore_chain),
	  .help = "dial directly whatever the chain" },
	{ .name = "enableStats",
	  .type = ADIT_OPT_BOOL,
	  SERVICE(enable_stats),
	  .help = "count connections and bytes" },
	{ .name = "observer.period",
	  .aliases = period_aliases,
	  .type = ADIT_OPT_DURATION,
	  SERVICE(observe_period),
	  .def = "5s",
	  .help = "how often the observer hears" },
	{ .name = "observer.resetTraffic",
	  .type = ADIT_OPT_BOOL,
	  SERVICE(reset_traffic),
	  .help = "count bytes anew after each report" },
	{ .name = "netns",
	  .type = ADIT_OPT_TREE,
	  SERVICE(netns),
	  .help = "network namespace to listen in" },
	{ .name = "netns.out",
	  .type = ADIT_OPT_TREE,
	  SERVICE(netns_out),
	  .help = "network namespace to dial in" },
	{ .name = "dialTimeout",
	  .type = ADIT_OPT_DURATION,
	  SERVICE(dial_timeout),
	  .def = "15s",
	  .help = "limit of one try to dial or bind" },
	{ .name = "limiter.refreshInterval",
	  .type = ADIT_OPT_DURATION,
	  SERVICE(limiter_refresh),
	  .def = "30s",
	  .help = "how long a limit is believed" },
	{ .name = "limiter.cleanupInterval",
	  .type = ADIT_OPT_DURATION,
	  SERVICE(limiter_cleanup),
	  .def = "60s",
	  .help = "how often unused limits are dropped" },
	{ .name = "limiter.scope",
	  .type = ADIT_OPT_TREE,
	  SERVICE(limiter_scope),
	  .help = "service, conn, or both" },
	{ .name = "labels",
	  .type = ADIT_OPT_TREE,
	  SERVICE(labels),
	  .help = "for records and logs" },
	ADIT_OPT_END,
};

static const struct adit_opt node_rows[] = {
	{ .name = "weight",
	  .type = ADIT_OPT_INT,
	  NODE(weight),
	  .max = 1000000,
	  .help = "share of the random strategy" },
	{ .name = "backup",
	  .type = ADIT_OPT_BOOL,
	  NODE(backup),
	  .help = "only when no other is left" },
	{ .name = "maxFails",
	  .type = ADIT_OPT_INT,
	  NODE(max_fails),
	  .max = 1000000,
	  .help = "failures before it is skipped" },
	{ .name = "failTimeout",
	  .type = ADIT_OPT_DURATION,
	  NODE(fail_timeout),
	  .help = "how long it is skipped" },
	ADIT_OPT_END,
};

/* Of nodes and hops; a node inherits them. Their values are the dialer's business. */
static const struct adit_opt socket_rows[] = {
	{ .name = "interface", .type = ADIT_OPT_TREE },
	{ .name = "so_mark", .type = ADIT_OPT_TREE },
	{ .name = "proxyProtocol", .type = ADIT_OPT_TREE },
	{ .name = "netns", .type = ADIT_OPT_TREE },
	ADIT_OPT_END,
};

static const struct adit_opt handler_rows[] = {
	{ .name = "skipauth", .type = ADIT_OPT_LIST, .help = "addresses that need no password" },
	ADIT_OPT_END,
};

/* Parameters that became structure and that gost leaves in the metadata: harmless while the
 * structure is there. */
static const struct {
	const char	*key;
	const char	*field;		/* of the owner, or of its handler or first node */
} remnants[] = {
	{ "retries", "handler.retries" },
	{ "admission", "admission" },
	{ "bypass", "bypass" },
	{ "resolver", "resolver" },
	{ "prefer", "resolver" },
	{ "hosts", "hosts" },
	{ "limiter.in", "limiter" },
	{ "limiter.out", "limiter" },
	{ "limiter.conn.in", "limiter" },
	{ "limiter.conn.out", "limiter" },
	{ "climiter", "climiter" },
	{ "rlimiter", "rlimiter" },
	{ "auth", "nodes.connector.auth" },
	{ "auth", "nodes.dialer.auth" },
	{ "certFile", "nodes.dialer.tls" },
	{ "cert", "nodes.dialer.tls" },
	{ "keyFile", "nodes.dialer.tls" },
	{ "key", "nodes.dialer.tls" },
	{ "caFile", "nodes.dialer.tls" },
	{ "ca", "nodes.dialer.tls" },
	{ "secure", "nodes.dialer.tls" },
	{ "serverName", "nodes.dialer.tls" },
	{ "servername", "dialer.tls" },
};

/* ---- what is known -------------------------------------------------------- */

static const struct adit_opt *
find_row(const struct part *part, const char *key)
{
	const struct adit_opt *row = adit_opt_find(part->rows, key);

	return row ? row : adit_opt_find(part->common, key);
}

/* Follows "nodes.dialer.tls" from map, taking the first item of a list. */
static bool
has_field(const struct adit_tree *map, const char *field)
{
	char name[32];
	size_t len;

	while (*field) {
		len = strcspn(field, ".");
		if (len >= sizeof(name))
			return false;
		memcpy(name, field, len);
		name[len] = 0;
		map = tree_get(map, name);
		if (tree_type(map) == TREE_LIST)
			map = tree_item(map, 0);
		if (tree_is_null(map))
			return false;
		field += len + (field[len] == '.');
	}
	return true;
}

static bool
is_remnant(const struct adit_tree *owner, const char *key)
{
	if (strncasecmp(key, "tls.", 4) == 0)
		key += 4;
	for (size_t i = 0; i < sizeof(remnants) / sizeof(*remnants); i++)
		if (strcasecmp(remnants[i].key, key) == 0 && has_field(owner, remnants[i].field))
			return true;
	return false;
}

/* One that stands for a count: 0, for none, makes no structure, and below it is refused where
 * URLs are read. */
static bool
is_no_count(const char *key, const struct adit_tree *value)
{
	static const char *const counts[] = { "retries", "climiter", "rlimiter", NULL };
	char *end;

	return scalar_one_of(key, counts) && *tree_text(value) &&
	       strtod(tree_text(value), &end) <= 0 && !*end;
}

/* A copy of what another part knows. */
static bool
is_copy(const struct parts *parts, const struct part *self, const char *key,
	const struct adit_tree *value)
{
	for (size_t i = 0; i < parts->n; i++) {
		const struct part *other = &parts->v[i];

		if (other == self || !tree_equal(tree_get(other->metadata, key), value))
			continue;
		if (other->open || find_row(other, key))
			return true;
	}
	return false;
}

/* ---- references ----------------------------------------------------------- */

/* Names inside a structure stand under what one such object is called: entrypoints[].ingress. */
static void
refer_below(struct walk *w, enum config_list list, const struct adit_tree *value,
	    const struct tree_path *path)
{
	for (size_t i = 0; i < tree_len(value); i++) {
		const struct adit_tree *item = tree_item(value, i);
		bool map = tree_type(value) == TREE_MAP;
		struct tree_path at = { .up = path, .index = i };

		if (map)
			at.key = tree_text(tree_key(value, i));
		if (map && strcasecmp(at.key, config_list_singular(list)) == 0 && *tree_text(item))
			schema_refer(w, list, item, &at);
		else
			refer_below(w, list, item, &at);
	}
}

static void
check_references(struct walk *w, const struct adit_opt *row, const struct adit_tree *value,
		 const struct tree_path *path)
{
	int list = row->refers ? schema_list_by_name(row->refers) : -1;

	if (list < 0 || tree_is_null(value))
		return;
	if (row->type == ADIT_OPT_NAME && *tree_text(value))
		schema_refer(w, (enum config_list)list, value, path);
	if (row->type == ADIT_OPT_TREE)
		refer_below(w, (enum config_list)list, value, path);
}

/* ---- the walk over one part ----------------------------------------------- */

static bool
from_argument(const struct adit_tree *node)
{
	struct tree_pos pos = tree_pos(node);

	return pos.source && pos.source->argument;
}

/* A parameter of a URL is unknown to all parts, and said to be so once: any of them may be
 * meant. */
static void
unknown_key(struct walk *w, const struct parts *parts, const struct part *part,
	    const struct adit_tree *key, const struct tree_path *path)
{
	struct nearest n;

	for (size_t i = 0; i < parts->n; i++) {
		if (!parts->v[i].label || !find_row(&parts->v[i], tree_text(key)))
			continue;
		schema_error(w, key, path, NULL, "this key belongs to the %s", parts->v[i].label);
		return;
	}
	nearest_init(&n, tree_text(key));
	for (size_t i = 0; i < parts->n; i++) {
		if (!from_argument(key) && &parts->v[i] != part)
			continue;
		opts_nearest(parts->v[i].rows, &n);
		opts_nearest(parts->v[i].common, &n);
	}
	schema_error(w, key, path, n.best, "unknown key \"%.60s\"", tree_text(key));
}

/* A parameter that would make structure, had it a value: a variable of a shell that is not set. */
static bool
refuse_empty(struct walk *w, const struct adit_tree *key, const struct adit_tree *value,
	     const struct tree_path *path)
{
	if (!from_argument(key) || *tree_text(value))
		return false;
	for (size_t i = 0; i < sizeof(remnants) / sizeof(*remnants); i++) {
		if (strcasecmp(remnants[i].key, tree_text(key)) != 0)
			continue;
		schema_error(w, key, path, NULL, "\"%.60s\" has no value", tree_text(key));
		return true;
	}
	return false;
}

static void
check_key(struct walk *w, const struct parts *parts, const struct part *part, size_t i,
	  const struct tree_path *path)
{
	const struct adit_tree *key = tree_key(part->metadata, i),
			       *value = tree_item(part->metadata, i);
	struct tree_path at = { .up = path, .key = tree_text(key) };
	const struct adit_opt *row = find_row(part, at.key);

	if (row) {
		if (!tree_is_null(value) && opts_value(row, part->metadata) != value)
			schema_error(w, key, &at, NULL, "another name of \"%s\", which is set too",
				     row->name);
		else if (opts_check_value(row, value, &at, w->errs) == 0)
			check_references(w, row, value, &at);
		return;
	}
	if (part->open || is_remnant(parts->owner, at.key) || is_no_count(at.key, value) ||
	    is_copy(parts, part, at.key, value) || refuse_empty(w, key, value, &at))
		return;
	unknown_key(w, parts, part, key, &at);
}

static void
check_required(struct walk *w, const struct parts *parts, const struct part *part,
	       const struct tree_path *path)
{
	const struct adit_tree *where = part->metadata ? part->metadata : parts->owner;

	for (const struct adit_opt *row = part->rows; row && row->name; row++)
		if (row->flags & ADIT_OPT_REQUIRED && tree_is_null(opts_value(row, part->metadata)))
			schema_error(w, where, path, NULL, "key \"%s\" is missing", row->name);
}

static void
check_part(struct walk *w, const struct parts *parts, const struct part *part,
	   const struct tree_path *path)
{
	struct tree_path below = { .up = path, .key = part->label };
	struct tree_path at = { .up = part->label ? &below : path, .key = "metadata" };

	for (size_t i = 0; i < tree_len(part->metadata); i++)
		check_key(w, parts, part, i, &at);
	check_required(w, parts, part, &at);
}

/* ---- components ----------------------------------------------------------- */

static struct part
component_part(struct walk *w, const struct component_conf *c, const struct adit_opt *common)
{
	struct part part = {
		.label = config_kind_name(c->kind), .metadata = c->metadata, .common = common,
	};
	bool known = false;

	if (w->kinds && w->kinds->opts)
		part.rows = w->kinds->opts(w->kinds->arg, c->kind, c->type, &known);
	part.open = !known;
	return part;
}

const char *
metadata_place(struct walk *w, enum adit_kind kind, const char *type, const char *key)
{
	struct component_conf c = { .kind = kind, .type = type };
	struct part part = component_part(w, &c, kind == ADIT_HANDLER ? handler_rows : NULL);

	return find_row(&part, key) ? "metadata" : NULL;
}

void
metadata_check_type(struct walk *w, enum adit_kind kind, const struct adit_tree *node,
		    const char *type, const struct tree_path *path)
{
	const struct adit_tree *value = tree_get(node, "type");
	struct tree_path at = { .up = path, .key = "type" };
	const char *what = config_kind_name(kind);
	struct nearest n;

	if (kinds_registered(w->kinds, kind, type))
		return;
	if (tree_is_null(value)) {
		value = node;
		at = *path;
	}
	if (kinds_gost_has(kind, type)) {
		schema_start_error(w, value, &at, NULL, "%s \"%s\" is not available in this build",
				   what, type);
		return;
	}
	nearest_init(&n, type);
	kinds_nearest(w->kinds, kind, &n);
	schema_error(w, value, &at, n.best, "unknown %s \"%.60s\"", what, type);
}

/* ---- owners --------------------------------------------------------------- */

/* Errors were found by check_part already, so the ones of this filling go nowhere. */
static void
fill_quietly(struct walk *w, const struct adit_opt *rows, void *base,
	     const struct adit_tree *metadata)
{
	struct config_errors *unheard = config_errors_new();
	struct opts_src src = { .node = metadata, .lenient = true };

	if (unheard)
		opts_fill(rows, base, &src, unheard);
	else
		arena_fail(w->arena);
	config_errors_free(unheard);
}

void
metadata_check_service(struct walk *w, struct service_conf *s, const struct tree_path *path)
{
	struct parts parts = { .n = 3, .owner = s->node };

	parts.v[0] = component_part(w, s->handler, handler_rows);
	parts.v[1] = component_part(w, s->listener, NULL);
	parts.v[2] = (struct part){ .metadata = s->metadata, .common = service_rows };
	for (size_t i = 0; i < parts.n; i++)
		check_part(w, &parts, &parts.v[i], path);
	fill_quietly(w, service_rows, s, s->metadata);
	if (s->observe_period < 1000000000)
		s->observe_period = 1000000000;
}

/* The parts of a node, of a hop or a forwarder. */
static struct parts
node_parts(struct walk *w, const struct node_conf *n)
{
	struct parts parts = { .n = 1, .owner = n->node };

	parts.v[0] = (struct part){
		.metadata = n->metadata, .rows = node_rows, .common = socket_rows,
	};
	if (n->connector)
		parts.v[parts.n++] = component_part(w, n->connector, NULL);
	if (n->dialer)
		parts.v[parts.n++] = component_part(w, n->dialer, NULL);
	return parts;
}

void
metadata_check_node(struct walk *w, struct node_conf *n, const struct tree_path *path)
{
	struct parts parts = node_parts(w, n);

	for (size_t i = 0; i < parts.n; i++)
		check_part(w, &parts, &parts.v[i], path);
	fill_quietly(w, node_rows, n, n->metadata);
}

/*
 * A key of the hop that one of its nodes knows, with the same value, came from the same URL. One
 * that came from a URL and that no node knows is complained about there.
 */
static bool
known_in_nodes(struct walk *w, const struct hop_conf *h, size_t key)
{
	const char *name = tree_text(tree_key(h->metadata, key));
	const struct adit_tree *value = tree_item(h->metadata, key);

	for (size_t i = 0; i < h->nodes.n; i++) {
		struct parts parts = node_parts(w, &h->nodes.v[i]);

		if (is_copy(&parts, NULL, name, value))
			return true;
		if (from_argument(value) && tree_get(parts.v[0].metadata, name))
			return true;
	}
	return false;
}

void
metadata_check_hop(struct walk *w, struct hop_conf *h, const struct tree_path *path)
{
	struct parts parts = {
		.v[0] = { .metadata = h->metadata, .common = socket_rows },
		.n = 1,
		.owner = h->node,
	};
	struct tree_path below = { .up = path, .key = "metadata" };

	for (size_t i = 0; i < tree_len(h->metadata); i++) {
		const struct adit_tree *key = tree_key(h->metadata, i);
		struct tree_path at = { .up = &below, .key = tree_text(key) };

		if (find_row(&parts.v[0], at.key) || is_remnant(h->node, at.key) ||
		    known_in_nodes(w, h, i) ||
		    refuse_empty(w, key, tree_item(h->metadata, i), &at))
			continue;
		unknown_key(w, &parts, &parts.v[0], key, &at);
	}
}

void
metadata_check_ingress(struct walk *w, struct ingress_conf *i, const struct tree_path *path)
{
	struct parts parts = { .n = 1, .owner = i->node };
	bool known = false;

	parts.v[0].metadata = i->metadata;
	if (i->type && w->kinds && w->kinds->opts)
		parts.v[0].rows = w->kinds->opts(w->kinds->arg, ADIT_INGRESS, i->type, &known);
	parts.v[0].open = i->type && !known;
	check_part(w, &parts, &parts.v[0], path);
}
