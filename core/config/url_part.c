#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"
#include "core/config/url_part.h"

const struct adit_tree *
url_param(const struct adit_tree *params, const char *const *names)
{
	for (; *names; names++) {
		const struct adit_tree *value = tree_get(params, *names);

		if (*tree_text(value))
			return value;
	}
	return NULL;
}

void
url_drop(struct adit_tree *params, const char *const *names)
{
	for (; *names; names++)
		tree_remove(params, *names);
}

void
url_set_map(struct url_set *set, struct adit_tree *owner, const char *key, struct adit_tree *map)
{
	if (tree_len(map))
		tree_set(set->arena, owner, key, map);
}

/* ---- wrong values --------------------------------------------------------- */

static void
bad_value(struct url_set *set, const struct adit_tree *value, const char *expected)
{
	struct config_problem problem = { .pos = tree_pos(value) };

	config_errors_add(set->errs, &problem, "expected %s, not \"%.60s\"", expected,
			  tree_text(value));
}

void
url_drop_value(struct adit_tree *params, const struct adit_tree *value)
{
	for (size_t i = 0; i < tree_len(params); i++) {
		if (tree_item(params, i) != value)
			continue;
		tree_remove(params, tree_text(tree_key(params, i)));
		return;
	}
}

int64_t
url_number(struct url_set *set, struct adit_tree *params, const struct adit_tree *value)
{
	int64_t n = 0;

	if (value && scalar_int(tree_text(value), &n) < 0) {
		bad_value(set, value, "a whole number");
		url_drop_value(params, value);
		return 0;
	}
	return n;
}

void
url_unknown(struct url_set *set, const struct url *url, const char *name,
	    const enum adit_kind *kinds, size_t n_kinds)
{
	struct config_problem problem = { .pos = url->pos, .start_only = true };
	struct nearest n;

	nearest_init(&n, name);
	for (size_t i = 0; i < n_kinds; i++)
		kinds_nearest(set->kinds, kinds[i], &n);
	problem.hint = n.best;
	config_errors_add(set->errs, &problem, "unknown %s \"%.60s\"",
			  n_kinds > 1 ? "scheme" : config_kind_name(kinds[0]), name);
}

/* ---- credentials ---------------------------------------------------------- */

static struct adit_tree *
auth_map(struct url_set *set, const char *user, const char *password, struct tree_pos pos)
{
	struct adit_tree *auth = tree_map(set->arena, pos);

	if (user && *user)
		tree_set_text(set->arena, auth, "username", user, pos);
	if (password && *password)
		tree_set_text(set->arena, auth, "password", password, pos);
	return tree_len(auth) ? auth : NULL;
}

struct adit_tree *
url_auth(struct url_set *set, struct url *url, struct adit_tree *params)
{
	const struct adit_tree *text = tree_get(params, "auth");
	const char *user = NULL, *password = NULL;

	if (*tree_text(text) &&
	    url_base64_pair(set->arena, tree_text(text), &user, &password) < 0) {
		struct config_problem problem = { .pos = tree_pos(text) };

		config_errors_add(set->errs, &problem, "auth is not the base64 of user:password");
	}
	tree_remove(params, "auth");
	if (!url->user)
		return auth_map(set, user, password, tree_pos(text));
	user = url->user;
	password = url->password;
	/* SIP002: method:password of shadowsocks in base64. Anything else is a plain user. */
	if (!password && strncmp(url->scheme, "ss", 2) == 0) {
		const char *method = NULL, *key = NULL;

		if (url_base64_pair(set->arena, user, &method, &key) == 0 && key) {
			user = method;
			password = key;
		}
	}
	return auth_map(set, user, password, url->pos);
}

/* ---- tls ------------------------------------------------------------------ */

struct adit_tree *
url_tls_files(struct url_set *set, struct adit_tree *params)
{
	static const struct {
		const char	*field;
		const char	*names[5];	/* the first one that is set counts */
	} files[] = {
		{ "certFile", { "tls.certFile", "tls.cert", "certFile", "cert" } },
		{ "keyFile", { "tls.keyFile", "tls.key", "keyFile", "key" } },
		{ "caFile", { "tls.caFile", "tls.ca", "caFile", "ca" } },
	};
	struct adit_tree *tls = tree_map(set->arena, tree_pos(params));

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		const struct adit_tree *value = url_param(params, files[i].names);

		if (value)
			tree_set(set->arena, tls, files[i].field, value);
		url_drop(params, files[i].names);
	}
	return tls;
}

/* ---- selector ------------------------------------------------------------- */

static int64_t
fail_timeout(struct url_set *set, const struct adit_tree *value)
{
	int64_t ns = 0;

	if (value && scalar_duration(tree_text(value), BARE_SECONDS, &ns) < 0) {
		bad_value(set, value, "a duration like \"30s\"");
		return 0;
	}
	return ns;
}

struct adit_tree *
url_selector(struct url_set *set, struct adit_tree *params)
{
	static const char *const strategies[] = { "strategy", NULL };
	static const char *const fails[] = { "maxFails", "max_fails", NULL };
	static const char *const timeouts[] = { "failTimeout", "fail_timeout", NULL };
	const struct adit_tree *strategy = url_param(params, strategies);
	const struct adit_tree *max = url_param(params, fails), *time = url_param(params, timeouts);
	int64_t n = url_number(set, params, max), ns = fail_timeout(set, time);
	struct tree_pos pos = tree_pos(strategy ? strategy : max ? max : time);
	struct adit_tree *selector;
	char text[40];

	url_drop(params, strategies);
	url_drop(params, fails);
	url_drop(params, timeouts);
	if (!strategy && n <= 0 && ns <= 0)
		return NULL;
	selector = tree_map(set->arena, pos);
	tree_set_text(set->arena, selector, "strategy", strategy ? tree_text(strategy) : "round",
		      pos);
	snprintf(text, sizeof(text), "%" PRId64, n > 0 ? n : 1);
	tree_set(set->arena, selector, "maxFails", tree_scalar(set->arena, pos, text, false));
	scalar_duration_format(ns > 0 ? ns : INT64_C(30000000000), text);
	tree_set_text(set->arena, selector, "failTimeout", text, pos);
	return selector;
}

/* ---- objects -------------------------------------------------------------- */

struct adit_tree *
url_object(struct url_set *set, struct adit_tree *owner, enum url_list list, const char *field,
	   struct tree_pos pos)
{
	struct adit_tree *object = tree_map(set->arena, pos);
	const char *name = arena_printf(set->arena, "%s-%zu", field, tree_len(set->lists[list]));

	if (!object || !name)
		return NULL;
	tree_set_text(set->arena, object, "name", name, pos);
	tree_set_text(set->arena, owner, field, name, pos);
	tree_append(set->arena, set->lists[list], object);
	return object;
}

void
url_split_list(struct url_set *set, struct adit_tree *list, const struct adit_tree *value,
	       bool keep)
{
	const char *begin = tree_text(value), *text = begin;

	for (size_t len; text; text = text[len] ? text + len + 1 : NULL) {
		struct tree_pos pos = tree_pos(value);
		char *item;

		len = strcspn(text, ",");
		if (!len && !keep)
			continue;
		/* Right for what was not escaped, near enough for what was. */
		pos.column += (unsigned)(text - begin);
		item = arena_strndup(set->arena, text, len);
		if (item)
			tree_append(set->arena, list, tree_scalar(set->arena, pos, item, true));
	}
}

void
url_matchers(struct url_set *set, struct adit_tree *object, const struct adit_tree *value)
{
	struct adit_tree *matchers = tree_list(set->arena, tree_pos(value));

	if (*tree_text(value) == '~') {
		tree_set(set->arena, object, "whitelist",
			 tree_scalar(set->arena, tree_pos(value), "true", false));
		value = tree_scalar(set->arena, tree_pos(value), tree_text(value) + 1, true);
	}
	url_split_list(set, matchers, value, false);
	if (tree_len(matchers))
		tree_set(set->arena, object, "matchers", matchers);
}

static void
add_servers(struct url_set *set, struct adit_tree *object, const struct adit_tree *value,
	    const struct adit_tree *prefer)
{
	struct adit_tree *addrs = tree_list(set->arena, tree_pos(value));
	struct adit_tree *servers = tree_list(set->arena, tree_pos(value));

	url_split_list(set, addrs, value, false);
	for (size_t i = 0; i < tree_len(addrs); i++) {
		struct adit_tree *server = tree_map(set->arena, tree_pos(value));

		tree_set(set->arena, server, "addr", tree_item(addrs, i));
		if (*tree_text(prefer))
			tree_set(set->arena, server, "prefer", prefer);
		tree_append(set->arena, servers, server);
	}
	if (tree_len(servers))
		tree_set(set->arena, object, "nameservers", servers);
}

static void
add_mapping(struct url_set *set, struct adit_tree *mappings, const struct adit_tree *item)
{
	struct adit_tree *mapping = tree_map(set->arena, tree_pos(item));
	const char *text = tree_text(item), *colon = strchr(text, ':');
	char *name;

	if (!colon) {
		bad_value(set, item, "name:ip");
		return;
	}
	name = arena_strndup(set->arena, text, (size_t)(colon - text));
	if (!name)
		return;
	tree_set_text(set->arena, mapping, "ip", colon + 1, tree_pos(item));
	tree_set_text(set->arena, mapping, "hostname", name, tree_pos(item));
	tree_append(set->arena, mappings, mapping);
}

static void
add_mappings(struct url_set *set, struct adit_tree *object, const struct adit_tree *value)
{
	struct adit_tree *items = tree_list(set->arena, tree_pos(value));
	struct adit_tree *mappings = tree_list(set->arena, tree_pos(value));

	url_split_list(set, items, value, false);
	for (size_t i = 0; i < tree_len(items); i++)
		add_mapping(set, mappings, tree_item(items, i));
	if (tree_len(mappings))
		tree_set(set->arena, object, "mappings", mappings);
}

void
url_objects(struct url_set *set, struct adit_tree *owner, struct adit_tree *params)
{
	const struct adit_tree *value = tree_get(params, "bypass");
	struct tree_pos pos = tree_pos(value);

	if (*tree_text(value)) {
		url_matchers(set, url_object(set, owner, URL_BYPASSES, "bypass", pos), value);
		tree_remove(params, "bypass");
	}
	value = tree_get(params, "resolver");
	pos = tree_pos(value);
	if (*tree_text(value)) {
		add_servers(set, url_object(set, owner, URL_RESOLVERS, "resolver", pos), value,
			    tree_get(params, "prefer"));
		tree_remove(params, "resolver");
	}
	value = tree_get(params, "hosts");
	pos = tree_pos(value);
	if (*tree_text(value)) {
		add_mappings(set, url_object(set, owner, URL_HOSTS, "hosts", pos), value);
		tree_remove(params, "hosts");
	}
}

/* ---- metadata ------------------------------------------------------------- */

/* The part whose prefix key begins with, or NULL. */
static const char *
prefix_of(const char *key, const char *const *parts)
{
	for (; *parts; parts++) {
		size_t len = strlen(*parts);

		if (strncmp(key, *parts, len) == 0 && key[len] == '.' && key[len + 1])
			return *parts;
	}
	return NULL;
}

struct adit_tree *
url_metadata(struct url_set *set, const struct adit_tree *params, const char *part,
	     const char *const *parts)
{
	struct adit_tree *metadata = tree_map(set->arena, tree_pos(params));

	for (size_t i = 0; i < tree_len(params); i++)
		if (!prefix_of(tree_text(tree_key(params, i)), parts))
			tree_add(set->arena, metadata, tree_key(params, i), tree_item(params, i));
	/* What is meant for this part alone wins over what is meant for all. */
	for (size_t i = 0; i < tree_len(params); i++) {
		const struct adit_tree *key = tree_key(params, i);
		const char *prefix = prefix_of(tree_text(key), parts);

		if (!prefix || strcmp(prefix, part) != 0)
			continue;
		tree_replace(set->arena, metadata,
			     tree_scalar(set->arena, tree_pos(key),
					 tree_text(key) + strlen(prefix) + 1, false),
			     tree_item(params, i));
	}
	return metadata;
}

void
url_overlay(struct url_set *set, struct adit_tree *to, const struct adit_tree *from)
{
	for (size_t i = 0; i < tree_len(from); i++)
		tree_replace(set->arena, to, tree_key(from, i), tree_item(from, i));
}

static void
take_number(struct url_set *set, struct adit_tree *to, struct adit_tree *params, const char *name)
{
	const struct adit_tree *value = tree_get(params, name);
	int64_t n = url_number(set, params, value);
	char text[24];

	if (n <= 0)
		return;
	snprintf(text, sizeof(text), "%" PRId64, n);
	tree_set(set->arena, to, name, tree_scalar(set->arena, tree_pos(value), text, false));
	tree_remove(params, name);
}

static void
take_text(struct url_set *set, struct adit_tree *to, struct adit_tree *params, const char *name)
{
	const struct adit_tree *value = tree_get(params, name);

	if (!*tree_text(value))
		return;
	tree_set(set->arena, to, name, value);
	tree_remove(params, name);
}

struct adit_tree *
url_socket_params(struct url_set *set, struct adit_tree *params, bool netns)
{
	struct adit_tree *taken = tree_map(set->arena, tree_pos(params));

	take_text(set, taken, params, "interface");
	if (netns) {
		take_text(set, taken, params, "netns");
		take_text(set, taken, params, "netns.out");
	}
	take_number(set, taken, params, "so_mark");
	take_number(set, taken, params, "proxyProtocol");
	return taken;
}
