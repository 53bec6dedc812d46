/* -F: one hop with its nodes. */
#include <string.h>

#include "core/config/scalar.h"
#include "core/config/url_part.h"

static const char *const parts[] = { "hop", "node", "connector", "dialer", NULL };

/* What all nodes of the hop have in common. */
struct hop_url {
	struct url		 url;
	const char		*connector, *dialer;
	struct adit_tree	*params;		/* the rest becomes metadata */
	struct adit_tree	*auth;
	struct adit_tree	*tls;			/* serverName only if given */
	bool			 named;			/* serverName was given */
};

/* ---- the scheme ----------------------------------------------------------- */

static const char *
default_dialer(struct url_set *set, const char *connector)
{
	const char *partner = NULL;

	if (set->kinds && set->kinds->partner)
		partner = set->kinds->partner(set->kinds->arg, ADIT_CONNECTOR, connector);
	if (partner)
		return partner;
	return strcmp(connector, "ssu") == 0 ? "udp" : "tcp";
}

static void
read_scheme(struct url_set *set, struct hop_url *hop)
{
	static const enum adit_kind connector = ADIT_CONNECTOR, dialer = ADIT_DIALER;
	static const enum adit_kind both[] = { ADIT_CONNECTOR, ADIT_DIALER };
	const char *first, *second;
	bool first_known, second_known;

	if (url_names(set->arena, &hop->url, &first, &second) < 0)
		first = second = "";
	first_known = kinds_url_known(set->kinds, ADIT_CONNECTOR, first);
	second_known = kinds_url_known(set->kinds, ADIT_DIALER, second);
	if (strcmp(hop->url.scheme, "auto") == 0)	/* as without a scheme: no dialer */
		second_known = false;
	hop->connector = first_known ? first : "http";
	hop->dialer = second_known ? second : default_dialer(set, hop->connector);
	if (strcmp(hop->url.scheme, "auto") == 0)
		return;
	if (first == second && !first_known && !second_known)
		url_unknown(set, &hop->url, hop->url.scheme, both, 2);
	if (first != second && !first_known)
		url_unknown(set, &hop->url, first, &connector, 1);
	if (first != second && !second_known)
		url_unknown(set, &hop->url, second, &dialer, 1);
}

/* ---- tls ------------------------------------------------------------------ */

static void
read_tls(struct url_set *set, struct hop_url *hop)
{
	static const char *const secure[] = { "tls.secure", "secure", NULL };
	static const char *const server_name[] = { "tls.serverName", "serverName", NULL };
	const struct adit_tree *verify = url_param(hop->params, secure);
	const struct adit_tree *name = url_param(hop->params, server_name);
	bool on = false;

	hop->tls = url_tls_files(set, hop->params);
	if (verify && scalar_bool(tree_text(verify), &on) < 0) {
		struct config_problem problem = { .pos = tree_pos(verify) };

		config_errors_add(set->errs, &problem, "expected true or false, not \"%.60s\"",
				  tree_text(verify));
	}
	if (on)
		tree_set(set->arena, hop->tls, "secure",
			 tree_scalar(set->arena, tree_pos(verify), "true", false));
	if (name)
		tree_set(set->arena, hop->tls, "serverName", name);
	hop->named = name != NULL;
	url_drop(hop->params, secure);
	url_drop(hop->params, server_name);
}

/* The host of host:port without brackets, or NULL when there is none. */
static const char *
host_of(struct arena *a, const char *addr)
{
	const char *colon = strrchr(addr, ':'), *end;

	if (*addr == '[') {
		end = strchr(addr, ']');
		return end ? arena_strndup(a, addr + 1, (size_t)(end - addr - 1)) : NULL;
	}
	if (!colon || strchr(addr, ':') != colon)
		return *addr ? addr : NULL;
	return colon == addr ? NULL : arena_strndup(a, addr, (size_t)(colon - addr));
}

/* A key file alone, without anything to use it for, makes no block. */
static struct adit_tree *
node_tls(struct url_set *set, const struct hop_url *hop, const struct adit_tree *addr, bool path)
{
	const char *host = path ? NULL : host_of(set->arena, tree_text(addr));
	struct adit_tree *tls = tree_copy(set->arena, hop->tls);

	if (!hop->named && host)
		tree_set_text(set->arena, tls, "serverName", host, tree_pos(addr));
	if (!tree_get(tls, "serverName") && !tree_get(tls, "secure") &&
	    !tree_get(tls, "certFile") && !tree_get(tls, "caFile"))
		return NULL;
	return tls;
}

/* ---- nodes ---------------------------------------------------------------- */

static struct adit_tree *
make_part(struct url_set *set, const struct hop_url *hop, const char *part, const char *type)
{
	struct adit_tree *map = tree_map(set->arena, hop->url.pos);

	tree_set_text(set->arena, map, "type", type, hop->url.pos);
	url_set_map(set, map, "metadata", url_metadata(set, hop->params, part, parts));
	return map;
}

static struct adit_tree *
make_node(struct url_set *set, const struct hop_url *hop, size_t i, const struct adit_tree *addr)
{
	static const char *const ssh[] = { "ssh", "sshd", NULL };
	struct adit_tree *node = tree_map(set->arena, tree_pos(addr));
	struct adit_tree *connector = make_part(set, hop, "connector", hop->connector);
	struct adit_tree *dialer = make_part(set, hop, "dialer", hop->dialer);
	bool path = *tree_text(addr) == '/';
	const char *name = arena_printf(set->arena, "node-%zu", i);

	if (!name)
		return NULL;
	tree_set_text(set->arena, node, "name", name, tree_pos(addr));
	tree_set(set->arena, node, "addr", addr);
	if (hop->auth)
		tree_set(set->arena, scalar_one_of(hop->dialer, ssh) ? dialer : connector, "auth",
			 hop->auth);
	url_set_map(set, dialer, "tls", node_tls(set, hop, addr, path));
	tree_set(set->arena, node, "connector", connector);
	tree_set(set->arena, node, "dialer", dialer);
	url_set_map(set, node, "metadata", url_metadata(set, hop->params, "node", parts));
	return node;
}

/* "[fe80::1%25eth0]" of a URL (RFC 6874, section 2) is "[fe80::1%eth0]". */
static void
decode_zones(char *host)
{
	bool literal = false;
	char *to = host;

	for (const char *p = host; *p; p++) {
		*to++ = *p;
		if (*p == '[' || *p == ']')
			literal = *p == '[';
		if (literal && strncmp(p, "%25", 3) == 0 && p[3] != ']')
			p += 2;
	}
	*to = 0;
}

/* A socket's path is an address; so is each item of the host's list. */
static struct adit_tree *
read_addrs(struct url_set *set, struct hop_url *hop)
{
	static const char *const on_path[] = { "unix", "serial", NULL };
	struct url_slice host = hop->url.host, path = hop->url.path;
	struct tree_pos pos = url_pos(hop->url.source, host.text);
	bool use_path = !host.len && path.len > 1 && scalar_one_of(hop->dialer, on_path);
	struct adit_tree *list = tree_list(set->arena, pos);
	char *text = use_path ? arena_strndup(set->arena, path.text, path.len) :
				arena_strndup(set->arena, host.text, host.len);

	if (text && !use_path)
		decode_zones(text);
	if (use_path)
		tree_append(set->arena, list, tree_scalar(set->arena, pos, text ? text : "", true));
	else if (text)
		url_split_list(set, list, tree_scalar(set->arena, pos, text, true), false);
	return list;
}

static void
check_addr(struct url_set *set, const struct hop_url *hop, const struct adit_tree *addr)
{
	struct config_problem problem = { .pos = tree_pos(addr) };
	struct adit_err e = ADIT_ERR_INIT;
	size_t at;

	if (*tree_text(addr) == '/' || strcmp(hop->dialer, "unix") == 0)
		return;
	if (scalar_addr(tree_text(addr), ADDR_NO_PORT, &at, &e) == 0)
		return;
	problem.pos.column += (unsigned)at;
	config_errors_add(set->errs, &problem, "%s", e.text);
}

static void
add_nodes(struct url_set *set, struct hop_url *hop, struct adit_tree *map)
{
	struct adit_tree *addrs = read_addrs(set, hop);
	struct adit_tree *nodes = tree_list(set->arena, hop->url.pos);

	for (size_t i = 0; i < tree_len(addrs); i++) {
		check_addr(set, hop, tree_item(addrs, i));
		tree_append(set->arena, nodes, make_node(set, hop, i, tree_item(addrs, i)));
	}
	if (tree_len(nodes))
		tree_set(set->arena, map, "nodes", nodes);
}

void
url_add_node(struct url_set *set, const struct tree_source *arg)
{
	struct adit_tree *map, *metadata, *sockets;
	struct hop_url hop = { .named = false };
	const char *name;

	if (url_is_blank(arg)) {
		url_error(set->errs, arg, arg->text, "a node is missing");
		return;
	}
	if (url_split(set->arena, arg, set->errs, &hop.url) < 0)
		return;
	hop.params = hop.url.params;
	map = tree_map(set->arena, hop.url.pos);
	name = arena_printf(set->arena, "hop-%zu", tree_len(set->hops));
	if (!map || !name)
		return;
	tree_set_text(set->arena, map, "name", name, hop.url.pos);
	read_scheme(set, &hop);
	url_set_map(set, map, "selector", url_selector(set, hop.params));
	url_objects(set, map, hop.params);
	sockets = url_socket_params(set, hop.params, false);
	metadata = url_metadata(set, hop.params, "hop", parts);
	url_overlay(set, metadata, sockets);
	hop.auth = url_auth(set, &hop.url, hop.params);
	read_tls(set, &hop);
	add_nodes(set, &hop, map);
	url_set_map(set, map, "metadata", metadata);
	tree_append(set->arena, set->hops, map);
}
