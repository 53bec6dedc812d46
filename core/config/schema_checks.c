#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"
#include "core/config/schema_checks.h"
#include "core/wire/hostname.h"

/* ---- single values -------------------------------------------------------- */

void
check_is_map(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	if (tree_type(value) != TREE_MAP)
		schema_error(w, value, path, NULL, "expected a map, not %s", tree_describe(value));
}

void
check_rule(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct config_problem problem = { .path = path };
	size_t at = 0;

	if (!w->kinds || !w->kinds->check_rule ||
	    w->kinds->check_rule(w->kinds->arg, tree_text(value), &at, &e) == 0)
		return;
	problem.pos = tree_pos_at(value, at);
	problem.start_only = e.code == ADIT_EUNSUPPORTED;
	config_errors_add(w->errs, &problem, "%s", e.text);
}

/* A chain by its name, or a map that says more about it. */
void
check_group_chains(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	if (tree_type(value) != TREE_LIST) {
		schema_error(w, value, path, NULL, "expected a list, not %s", tree_describe(value));
		return;
	}
	for (size_t i = 0; i < tree_len(value); i++) {
		const struct adit_tree *item = tree_item(value, i);
		struct tree_path at = { .up = path, .index = i };

		if (tree_type(item) == TREE_SCALAR && !tree_is_null(item))
			schema_refer(w, CONFIG_CHAINS, item, &at);
		else
			schema_walk(w, &schema_group_chain, NULL, item, &at);
	}
}

void
check_ip(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	struct in6_addr addr;
	const char *text = tree_text(value);

	if (inet_pton(AF_INET, text, &addr) != 1 && inet_pton(AF_INET6, text, &addr) != 1)
		schema_error(w, value, path, NULL, "expected an IP address, not \"%.60s\"", text);
}

/* The caret goes to the bad part, where the text stands as it is: not in a file's quotes. */
static void
check_addr(struct walk *w, const struct adit_tree *value, const struct tree_path *path,
	   unsigned flags)
{
	struct tree_pos pos = tree_pos(value);
	struct adit_err e = ADIT_ERR_INIT;
	size_t at;

	if (scalar_addr(tree_text(value), flags, &at, &e) == 0)
		return;
	if (pos.source && pos.source->argument) {
		pos.column += (unsigned)at;
		value = tree_scalar(w->arena, pos, tree_text(value), true);
	}
	schema_error(w, value, path, NULL, "%s", e.text);
}

void
check_rule_host(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	char pattern[HOSTNAME_PATTERN_SIZE];

	if (hostname_pattern(tree_text(value), pattern) < 0)
		schema_error(w, value, path, NULL,
			     "expected a host, .host or *.host, not \"%.60s\"", tree_text(value));
}

void
check_endpoint_addr(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	if (strncmp(tree_text(value), "unix://", 7) != 0 || !tree_text(value)[7])
		check_addr(w, value, path, 0);
}

/* ---- small maps ----------------------------------------------------------- */

void
check_selector(struct walk *w, void *base, const struct adit_tree *node,
	       const struct tree_path *path)
{
	struct selector_conf *s = base;

	(void)w;
	(void)node;
	(void)path;
	if (!s)
		return;
	if (s->max_fails <= 0)
		s->max_fails = 1;
	if (s->fail_timeout <= 0)
		s->fail_timeout = INT64_C(10000000000);
}

void
check_peer_tls(struct walk *w, void *base, const struct adit_tree *node,
	       const struct tree_path *path)
{
	struct tls_conf *t = base;

	(void)w;
	(void)path;
	if (t && !tree_get(node, "secure"))
		t->tls.secure = true;
}

void
check_rotation(struct walk *w, void *base, const struct adit_tree *node,
	       const struct tree_path *path)
{
	struct rotation_conf *r = base;

	(void)w;
	(void)node;
	(void)path;
	if (r && r->max_size <= 0)
		r->max_size = 100;
}

void
check_log(struct walk *w, void *base, const struct adit_tree *node, const struct tree_path *path)
{
	struct config_log *l = base;

	(void)w;
	(void)path;
	if (l && tree_is_null(tree_get(node, "level")))
		l->level = ADIT_LOG_INFO;
}

/* ---- tls ------------------------------------------------------------------ */

static struct adit_strings
texts_of(struct walk *w, const struct adit_tree *value)
{
	struct adit_strings list = { .n = 0 };
	bool many = tree_type(value) == TREE_LIST;
	size_t n = tree_is_null(value) ? 0 : many ? tree_len(value) : 1;

	list.v = arena_grow(w->arena, NULL, 0, n + 1, sizeof(*list.v));
	for (size_t i = 0; list.v && i < n; i++)
		list.v[list.n++] =
			arena_strdup(w->arena, tree_text(many ? tree_item(value, i) : value));
	return list;
}

static const char *
text_of(const struct adit_tree *map, const char *key)
{
	const struct adit_tree *value = tree_get(map, key);

	return tree_is_null(value) ? NULL : tree_text(value);
}

void
check_tls(struct walk *w, void *base, const struct adit_tree *node, const struct tree_path *path)
{
	const struct adit_tree *options = tree_get(node, "options");
	struct tls_conf *t = base;

	if (!t)
		return;
	t->tls.min_version = text_of(options, "minVersion");
	t->tls.max_version = text_of(options, "maxVersion");
	t->tls.cipher_suites = texts_of(w, tree_get(options, "cipherSuites"));
	t->tls.alpn = texts_of(w, tree_get(options, "alpn"));
	if (t->tls.min_version && t->tls.max_version &&
	    strcasecmp(t->tls.min_version, t->tls.max_version) > 0)
		schema_error(w, options, path, NULL, "minVersion is above maxVersion");
	if (t->tls.cert_file && !t->tls.key_file)
		schema_error(w, node, path, NULL, "certFile needs a keyFile");
	if (t->tls.key_file && !t->tls.cert_file)
		schema_error(w, node, path, NULL, "keyFile needs a certFile");
}

/* Without a certificate gost ignores the CA, and lets in who has none: better said. */
static void
check_server_tls(struct walk *w, const struct component_conf *c, const struct tree_path *path)
{
	struct tree_path at = { .up = path, .key = "tls" };

	if (c->tls && c->tls->tls.ca_file && !c->tls->tls.cert_file)
		schema_error(w, c->tls->node, &at, NULL,
			     "caFile asks for client certificates and needs certFile and keyFile");
}

/* ---- what may stand once in a list ----------------------------------------- */

struct unique_item {
	const char		*text;		/* as it is compared */
	const struct adit_tree	*node;		/* of the item */
	size_t			 index;
};

/* The items of a list that are compared by one key. Begins zero but for the first three. */
struct unique {
	const char		*list, *key, *what;
	struct unique_item	*v;
	size_t			 n, room;
};

/* text is copied. */
static void
unique_add(struct walk *w, struct unique *all, size_t index, const struct adit_tree *node,
	   const char *text)
{
	if (all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 8;
		struct unique_item *v = arena_grow(w->arena, all->v, all->n, room, sizeof(*v));

		if (!v)
			return;
		all->v = v;
		all->room = room;
	}
	all->v[all->n] = (struct unique_item){
		.text = arena_strdup(w->arena, text), .node = node, .index = index,
	};
	all->n += all->v[all->n].text != NULL;
}

static int
compare_items(const void *a, const void *b)
{
	const struct unique_item *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order)
		return order;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* path: of the map that has the list. */
static void
unique_check(struct walk *w, struct unique *all, const struct tree_path *path)
{
	struct tree_path list = { .up = path, .key = all->list };

	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), compare_items);
	for (size_t i = 1; i < all->n; i++) {
		const struct unique_item *first = &all->v[i - 1], *again = &all->v[i];
		const struct adit_tree *value = tree_get(again->node, all->key);
		struct tree_path item = { .up = &list, .index = again->index };
		struct tree_path at = { .up = &item, .key = all->key };

		if (strcmp(first->text, again->text) == 0)
			schema_error(w, value, &at, NULL,
				     "\"%.60s\" is the %s of %s[%zu] too, on line %u",
				     tree_text(value), all->what, all->list, first->index,
				     tree_pos(tree_get(first->node, all->key)).line);
	}
}

/* ---- components ----------------------------------------------------------- */

/* gost would ask the authers alone. */
static void
check_server_auth(struct walk *w, const struct component_conf *c, const struct tree_path *path)
{
	struct tree_path at = { .up = path, .key = "auth" };

	if (c->auth && c->authers.n)
		schema_start_error(w, c->auth->node, &at, NULL,
				   "\"%s\" is set too, and one of both must do",
				   tree_get(c->node, "auther") ? "auther" : "authers");
}

static void
finish_component(struct walk *w, struct component_conf *c, enum adit_kind kind,
		 const struct adit_tree *place, const struct tree_path *path)
{
	static const char *const defaults[] = {
		[ADIT_HANDLER] = "auto",
		[ADIT_LISTENER] = "tcp",
		[ADIT_CONNECTOR] = "http",
		[ADIT_DIALER] = "tcp",
	};

	c->kind = kind;
	if (!c->type || !*c->type)
		c->type = defaults[kind];
	if (c->metadata && tree_type(c->metadata) != TREE_MAP)
		c->metadata = NULL;
	metadata_check_type(w, kind, place, c->type, path);
	if (kind != ADIT_HANDLER && kind != ADIT_LISTENER)
		return;
	check_server_tls(w, c, path);
	check_server_auth(w, c, path);
}

void
check_handler(struct walk *w, void *base, const struct adit_tree *node,
	      const struct tree_path *path)
{
	finish_component(w, base, ADIT_HANDLER, node, path);
}

void
check_listener(struct walk *w, void *base, const struct adit_tree *node,
	       const struct tree_path *path)
{
	finish_component(w, base, ADIT_LISTENER, node, path);
}

void
check_connector(struct walk *w, void *base, const struct adit_tree *node,
		const struct tree_path *path)
{
	finish_component(w, base, ADIT_CONNECTOR, node, path);
}

void
check_dialer(struct walk *w, void *base, const struct adit_tree *node, const struct tree_path *path)
{
	finish_component(w, base, ADIT_DIALER, node, path);
}

static const char *
type_or(const struct adit_tree *node, const char *otherwise)
{
	const char *type = tree_text(tree_get(node, "type"));

	return *type ? type : otherwise;
}

const char *
place_handler(struct walk *w, const struct adit_tree *node, const char *key)
{
	return metadata_place(w, ADIT_HANDLER, type_or(node, "auto"), key);
}

const char *
place_listener(struct walk *w, const struct adit_tree *node, const char *key)
{
	return metadata_place(w, ADIT_LISTENER, type_or(node, "tcp"), key);
}

const char *
place_connector(struct walk *w, const struct adit_tree *node, const char *key)
{
	return metadata_place(w, ADIT_CONNECTOR, type_or(node, "http"), key);
}

const char *
place_dialer(struct walk *w, const struct adit_tree *node, const char *key)
{
	return metadata_place(w, ADIT_DIALER, type_or(node, "tcp"), key);
}

/* owner: where it should have been said, the place to show when the default is not there. */
static struct component_conf *
default_component(struct walk *w, enum adit_kind kind, const struct adit_tree *owner,
		  const struct tree_path *path)
{
	struct component_conf *c = arena_alloc(w->arena, sizeof(*c));

	if (c)
		finish_component(w, c, kind, owner, path);
	return c;
}

/* ---- nodes ---------------------------------------------------------------- */

static void
finish_node(struct walk *w, struct node_conf *n, const struct tree_path *path)
{
	if (!n->name)
		n->name = arena_printf(w->arena, "node-%zu", path->index);
	if (!n->addr)
		n->addr = "";
	if (n->metadata && tree_type(n->metadata) != TREE_MAP)
		n->metadata = NULL;
}

void
check_chain_node(struct walk *w, void *base, const struct adit_tree *node,
		 const struct tree_path *path)
{
	/* Dialers of something else than host:port. */
	static const char *const other[] = { "unix", "serial", "direct", "virtual", NULL };
	struct tree_path at = { .up = path, .key = "addr" };
	struct node_conf *n = base;

	finish_node(w, n, path);
	if (!n->connector)
		n->connector = default_component(w, ADIT_CONNECTOR, node, path);
	if (!n->dialer)
		n->dialer = default_component(w, ADIT_DIALER, node, path);
	if (!n->connector || !n->dialer)
		return;
	if (!scalar_one_of(n->dialer->type, other) &&
	    !(n->network && strcmp(n->network, "unix") == 0)) {
		if (*n->addr)
			check_addr(w, tree_get(node, "addr"), &at, 0);
		else if (tree_type(tree_get(node, "addr")) == TREE_SCALAR)
			schema_error(w, node, path, NULL, "key \"addr\" is missing");
	}
	metadata_check_node(w, n, path);
}

/* protocol, host and path at the node itself are the filter's old place. */
static void
merge_old_filter(struct walk *w, struct node_conf *n, const struct tree_path *path)
{
	static const char *const keys[] = { "host", "protocol", "path", NULL };
	bool old = false;

	for (size_t i = 0; keys[i]; i++) {
		struct tree_path at = { .up = path, .key = keys[i] };

		if (!text_of(n->node, keys[i]))
			continue;
		if (n->filter)
			schema_error(w, tree_get(n->node, keys[i]), &at, NULL,
				     "the old name of \"filter.%s\", and there is a filter too",
				     keys[i]);
		old = true;
	}
	if (!old || n->filter)
		return;
	n->filter = arena_alloc(w->arena, sizeof(*n->filter));
	if (!n->filter)
		return;
	n->filter->node = n->node;
	n->filter->host = text_of(n->node, "host");
	n->filter->protocol = text_of(n->node, "protocol");
	n->filter->path = text_of(n->node, "path");
}

static void
merge_old_auth(struct walk *w, struct node_conf *n, const struct tree_path *path)
{
	struct tree_path at = { .up = path, .key = "auth" };

	if (!n->auth)
		return;
	if (n->http && n->http->auth) {
		schema_error(w, n->auth->node, &at, NULL,
			     "the old name of \"http.auth\", which is set too");
		return;
	}
	if (!n->http)
		n->http = arena_alloc(w->arena, sizeof(*n->http));
	if (n->http) {
		n->http->node = n->http->node ? n->http->node : n->node;
		n->http->auth = n->auth;
	}
}

/* A name alone is for a tunnel, an empty one for the host that was sniffed. */
static void
check_target(struct walk *w, const struct node_conf *n, const struct tree_path *path)
{
	const struct adit_tree *addr = tree_get(n->node, "addr");

	if (*n->addr)
		check_addr(w, addr, path, ADDR_NO_PORT);
	else
		schema_start_error(w, tree_is_null(addr) ? n->node : addr, path, NULL,
				   "a node without address is not available in this build");
}

void
check_forward_node(struct walk *w, void *base, const struct adit_tree *node,
		   const struct tree_path *path)
{
	struct tree_path at = { .up = path, .key = "addr" };
	struct node_conf *n = base;

	(void)node;
	finish_node(w, n, path);
	merge_old_filter(w, n, path);
	merge_old_auth(w, n, path);
	if (!(n->network && strcmp(n->network, "unix") == 0) && n->addr[0] != '/')
		check_target(w, n, &at);
	metadata_check_node(w, n, path);
}

/* ---- hops ----------------------------------------------------------------- */

/* The log tells nodes by their names. */
static void
check_nodes_differ(struct walk *w, const struct hop_conf *h, const struct tree_path *path)
{
	struct unique all = { .list = "nodes", .key = "name", .what = "name" };

	for (size_t i = 0; i < h->nodes.n; i++)
		if (!tree_is_null(tree_get(h->nodes.v[i].node, "name")))
			unique_add(w, &all, i, h->nodes.v[i].node, h->nodes.v[i].name);
	unique_check(w, &all, path);
}

void
check_top_hop(struct walk *w, void *base, const struct adit_tree *node,
	      const struct tree_path *path)
{
	struct hop_conf *h = base;

	if (!h->name || !*h->name)
		schema_error(w, node, path, NULL, "key \"name\" is missing");
	if (h->metadata && tree_type(h->metadata) != TREE_MAP)
		h->metadata = NULL;
	check_nodes_differ(w, h, path);
	metadata_check_hop(w, h, path);
}

static bool
is_reference(const struct hop_conf *h)
{
	return !h->nodes.n && !h->plugin && !h->loader.file && !h->loader.redis && !h->loader.http;
}

void
check_chain_hop(struct walk *w, void *base, const struct adit_tree *node,
		const struct tree_path *path)
{
	const struct adit_tree *name = tree_get(node, "name");
	struct tree_path at = { .up = path, .key = "name" };
	struct hop_conf *h = base;
	struct tree_pos pos = tree_pos(node);

	if (!h->name || !*h->name)
		h->name = arena_printf(w->arena, "hop-%zu", path->index);
	if (h->metadata && tree_type(h->metadata) != TREE_MAP)
		h->metadata = NULL;
	check_nodes_differ(w, h, path);
	metadata_check_hop(w, h, path);
	/* direct:// on a command line is a hop without nodes: no hop at all. */
	if (!is_reference(h) || (pos.source && pos.source->argument))
		return;
	if (tree_is_null(name))
		schema_error(w, node, path, NULL, "a hop needs nodes, or the name of one in hops");
	else
		schema_refer(w, CONFIG_HOPS, name, &at);
}

/* ---- services ------------------------------------------------------------- */

/* A hop has its own. */
void
check_forwarder(struct walk *w, void *base, const struct adit_tree *node,
		const struct tree_path *path)
{
	static const char *const own[] = { "nodes", "selector" };
	const struct forwarder_conf *f = base;

	for (size_t i = 0; f->hop && i < sizeof(own) / sizeof(*own); i++) {
		const struct tree_path at = { .up = path, .key = own[i] };
		const struct adit_tree *value = tree_get(node, own[i]);

		if (!tree_is_null(value))
			schema_error(w, value, &at, NULL, "not used beside the hop \"%.60s\"",
				     f->hop);
	}
}

static void
check_listen_addr(struct walk *w, const struct service_conf *s, const struct tree_path *path)
{
	static const char *const other[] = {
		"unix", "runix", "serial", "stdio", "tun", "tap", "tungo", NULL,
	};
	struct tree_path at = { .up = path, .key = "addr" };
	const struct adit_tree *addr = tree_get(s->node, "addr");

	if (scalar_one_of(s->listener->type, other))
		return;
	if (*s->addr)
		check_addr(w, addr, &at, 0);
	else if (tree_type(addr) == TREE_SCALAR)
		schema_error(w, s->node, path, NULL, "key \"addr\" is missing");
}

void
check_service(struct walk *w, void *base, const struct adit_tree *node,
	      const struct tree_path *path)
{
	struct tree_path handler = { .up = path, .key = "handler" };
	struct tree_path listener = { .up = path, .key = "listener" };
	struct service_conf *s = base;

	if (!s->name || !*s->name)
		s->name = arena_printf(w->arena, "service-%zu", path->index);
	if (!s->addr)
		s->addr = "";
	if (s->metadata && tree_type(s->metadata) != TREE_MAP)
		s->metadata = NULL;
	if (!s->handler)
		s->handler = default_component(w, ADIT_HANDLER, node, &handler);
	if (!s->listener)
		s->listener = default_component(w, ADIT_LISTENER, node, &listener);
	if (!s->handler || !s->listener)
		return;
	check_listen_addr(w, s, path);
	metadata_check_service(w, s, path);
}

/* ---- ingresses ------------------------------------------------------------ */

void
check_ingress_rule(struct walk *w, void *base, const struct adit_tree *node,
		   const struct tree_path *path)
{
	const struct adit_tree *endpoint = tree_get(node, "endpoint");
	struct tree_path at = { .up = path, .key = "endpoint" };
	struct rule_conf *r = base;
	const char *text = tree_text(endpoint);

	if (tree_is_null(endpoint))
		return;
	r->private_ = *text == '$';
	if (adit_uuid_parse(text + r->private_, false, &r->endpoint) < 0)
		schema_error(w, endpoint, &at, NULL,
			     "expected a UUID, or $ and a UUID, not \"%.60s\"", text);
}

/* Of two rules for one host gost takes the later one without a word: a mistake in one of them. */
static void
check_rules_differ(struct walk *w, const struct rule_list *rules, const struct tree_path *path)
{
	struct unique all = { .list = "rules", .key = "hostname", .what = "host" };
	char pattern[HOSTNAME_PATTERN_SIZE];

	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].hostname && hostname_pattern(rules->v[i].hostname, pattern) == 0)
			unique_add(w, &all, i, rules->v[i].node, pattern);
	unique_check(w, &all, path);
}

void
check_ingress(struct walk *w, void *base, const struct adit_tree *node,
	      const struct tree_path *path)
{
	struct ingress_conf *i = base;

	if (i->metadata && tree_type(i->metadata) != TREE_MAP)
		i->metadata = NULL;
	check_rules_differ(w, &i->rules, path);
	if (i->type)
		metadata_check_type(w, ADIT_INGRESS, node, i->type, path);
	metadata_check_ingress(w, i, path);
}

/* ---- authers -------------------------------------------------------------- */

/* Of a user who stands there twice gost takes the later password. */
void
check_auther(struct walk *w, void *base, const struct adit_tree *node,
	     const struct tree_path *path)
{
	struct unique all = { .list = "auths", .key = "username", .what = "user" };
	const struct auther_conf *a = base;

	(void)node;
	for (size_t i = 0; i < a->auths.n; i++)
		if (a->auths.v[i].username)
			unique_add(w, &all, i, a->auths.v[i].node, a->auths.v[i].username);
	unique_check(w, &all, path);
}
