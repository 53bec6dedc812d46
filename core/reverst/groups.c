#include "core/reverst/groups.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/arena.h"
#include "core/config/place.h"
#include "core/runtime/watched_file.h"
#include "core/source/fetch.h"
#include "core/wire/hostname.h"

#define STRATEGIES_MAX 3

struct group {
	const char	*name;
	struct strategy	 strategies[STRATEGIES_MAX];
	size_t		 n_strategies;
};

struct host {
	const char		*name;
	const struct group	*group;
	struct tree_pos		 pos;		/* while it is read */
};

struct groups {
	struct arena	*arena;
	struct group	*groups;		/* both in the order of their names */
	struct host	*hosts;
	size_t		 n_groups, n_hosts;
};

/* What is being read. The tree has passwords, and goes before the groups do. */
struct reading {
	struct groups		*g;
	struct config_errors	*errs, *warnings;
};

/* ---- what reverst does not look at ---------------------------------------------------------- */

static void
warn(const struct reading *r, const struct place *at, const struct adit_tree *node,
     const char *text)
{
	const struct place p = { .node = node, .path = at->path, .errs = r->warnings };

	place_say(&p, ADIT_ECONFIG, "%s", text);
}

/* known is ended by NULL. */
static void
warn_unknown(const struct reading *r, const struct place *map, const char *const *known)
{
	char text[200];

	for (size_t i = 0; i < tree_len(map->node); i++) {
		const struct adit_tree *key = tree_key(map->node, i);
		const char *const *k = known;

		while (*k && strcasecmp(*k, tree_text(key)) != 0)
			k++;
		if (*k)
			continue;
		snprintf(text, sizeof(text), "unknown key \"%s\" says nothing", tree_text(key));
		warn(r, map, key, text);
	}
}

/* ---- values --------------------------------------------------------------------------------- */

/* The map of that key, or false: it is absent or, which is said, something else. */
static bool
step_map(struct place_step *s, const struct place *up, const char *key)
{
	const struct adit_tree *node = tree_get(up->node, key);

	if (tree_is_null(node))
		return false;
	place_step(s, up, key, node);
	if (tree_type(node) == TREE_MAP)
		return true;
	place_say(&s->at, ADIT_ECONFIG, "expected a map, not %s", tree_describe(node));
	return false;
}

/* "" where it is absent, null or, which is said, no text. */
static const char *
text_of(const struct place *map, const char *key)
{
	const struct adit_tree *node = tree_get(map->node, key);

	if (tree_is_null(node))
		return "";
	if (tree_type(node) != TREE_SCALAR)
		place_say(map, ADIT_ECONFIG, "%s: expected a text, not %s", key,
			  tree_describe(node));
	return tree_text(node);
}

static void
digest_of(const struct place *map, const char *text, size_t len, uint8_t out[STRATEGY_DIGEST])
{
	if (strategy_digest(text, len, out) < 0)
		place_say(map, -EIO, "no SHA-256");
}

/* ---- files ---------------------------------------------------------------------------------- */

char *
groups_path(const char *text, struct adit_err *e)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789+-.");
	char *path;

	if (scheme && strncmp(text + scheme, "://", 3) == 0) {
		if (scheme == 3 && strncasecmp(text, "k8s", 3) == 0) {
			adit_err_set(e, ADIT_EUNSUPPORTED,
				     "k8s:// is not available in this build");
			return NULL;
		}
		if (scheme != 4 || strncasecmp(text, "file", 4) != 0) {
			adit_err_set(e, ADIT_ECONFIG,
				     "unsupported path scheme: \"%.*s\" (expected one of "
				     "[file k8s])", (int)scheme, text);
			return NULL;
		}
		text += scheme + 3;
	}
	path = strdup(text);
	if (!path)
		adit_err_set(e, -ENOMEM, "out of memory");
	return path;
}

static void *
token_copy(void *arg, char *text, struct adit_err *e)
{
	char *token = strdup(text);

	(void)arg;
	if (!token)
		adit_err_set(e, -ENOMEM, "out of memory");
	return token;
}

static void
token_gone(void *arg)
{
	(void)arg;
}

/* A token without the end of its line (malloc, a secret). NULL with e. */
static char *
token_read(const char *from, struct adit_err *e)
{
	struct watched_file_conf conf = {
		.max = GROUPS_TOKEN_MAX, .parse = token_copy, .gone = token_gone,
	};
	char *path = groups_path(from, e), *token = NULL;
	struct watched_file *f;
	size_t len;

	if (!path)
		return NULL;
	conf.path = path;
	f = watched_file_new(NULL, &conf);
	if (f)
		token = watched_file_read(f, e);
	else
		adit_err_set(e, -ENOMEM, "out of memory");
	watched_file_free(f);
	free(path);
	len = token ? strlen(token) : 0;
	if (len && token[len - 1] == '\n')
		token[--len] = '\0';
	if (len && token[len - 1] == '\r')
		token[--len] = '\0';
	return token;
}

/* ---- strategies ----------------------------------------------------------------------------- */

static void
read_basic(const struct reading *r, const struct place *at, struct strategy *s)
{
	static const char *const known[] = { "scheme", "username", "password", NULL };
	const char *user = text_of(at, "username"), *password = text_of(at, "password");

	warn_unknown(r, at, known);
	if (!*user)
		place_say(at, ADIT_ECONFIG, "username must be non-empty string");
	if (!*password)
		place_say(at, ADIT_ECONFIG, "password must be non-empty string");
	digest_of(at, user, strlen(user), s->user);
	digest_of(at, password, strlen(password), s->secret);
}

/* What a bearer's key says; it is not empty. */
static void
read_token(const struct place *at, const char *key, const char *text, struct strategy *s)
{
	bool hashed = strncmp(key, "hashed", 6) == 0, elsewhere = strstr(key, "Path");
	struct adit_err e = ADIT_ERR_INIT;
	char *file = elsewhere ? token_read(text, &e) : NULL;
	const char *token = elsewhere ? file : text;

	if (!token)
		place_say(at, e.code, "%s: %s", key, e.text);
	else if (hashed && strategy_digest_parse(token, s->secret) < 0)
		place_say(at, ADIT_ECONFIG, "%s: not a SHA-256 in hex", key);
	else if (!hashed)
		digest_of(at, token, strlen(token), s->secret);
	if (file)
		explicit_bzero(file, strlen(file));
	free(file);
}

static void
read_bearer(const struct reading *r, const struct place *at, struct strategy *s)
{
	static const char *const keys[] = {
		"token", "tokenPath", "hashedToken", "hashedTokenPath",
	};
	static const char *const known[] = {
		"scheme", "token", "tokenPath", "hashedToken", "hashedTokenPath", NULL,
	};

	warn_unknown(r, at, known);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *text = text_of(at, keys[i]);

		if (*text) {
			read_token(at, keys[i], text, s);
			return;
		}
	}
	place_say(at, ADIT_ECONFIG, "one of token, tokenPath, hashedToken or hashedTokenPath must "
				    "be non-empty string");
}

static void
read_external(const struct reading *r, const struct place *at, struct strategy *s)
{
	static const char *const known[] = { "scheme", "endpoint", NULL };
	const char *url = text_of(at, "endpoint");
	struct adit_err e = ADIT_ERR_INIT;
	bool https;

	warn_unknown(r, at, known);
	if (!*url)
		place_say(at, ADIT_ECONFIG, "endpoint must be non-empty string");
	else if (fetch_check_url(url, &https, &e) < 0)
		place_say(at, ADIT_ECONFIG, "endpoint: parsing endpoint as URL: %s", e.text);
	s->endpoint = arena_strdup(r->g->arena, url);
}

static const struct strategy_row {
	const char	*key, *scheme;
	void		(*read)(const struct reading *r, const struct place *at,
				struct strategy *s);
} strategy_rows[STRATEGIES_MAX] = {
	[STRATEGY_BASIC] = { "basic", "Basic", read_basic },
	[STRATEGY_BEARER] = { "bearer", "Bearer", read_bearer },
	[STRATEGY_EXTERNAL] = { "external", "Bearer", read_external },
};

static void
read_scheme(const struct reading *r, const struct place *at, const struct group *group,
	    struct strategy *s)
{
	const char *scheme = text_of(at, "scheme");

	if (!*scheme)
		scheme = strategy_rows[s->kind].scheme;
	if (scheme[strcspn(scheme, " \t\r\n")])
		place_say(at, ADIT_ECONFIG, "scheme: has a blank in it");
	for (size_t i = 0; i < group->n_strategies; i++)
		if (strcmp(group->strategies[i].scheme, scheme) == 0)
			place_say(at, ADIT_ECONFIG,
				  "only one authentication strategy per scheme allowed: \"%s\" has "
				  "duplicates", scheme);
	s->scheme = arena_strdup(r->g->arena, scheme);
}

static void
read_authentication(const struct reading *r, const struct place *at, struct group *group)
{
	static const char *const known[] = { "basic", "bearer", "external", NULL };
	struct place_step step;

	warn_unknown(r, at, known);
	for (size_t i = 0; i < STRATEGIES_MAX && !arena_failed(r->g->arena); i++) {
		struct strategy *s = &group->strategies[group->n_strategies];

		if (!step_map(&step, at, strategy_rows[i].key))
			continue;
		s->kind = (enum strategy_kind)i;
		read_scheme(r, &step.at, group, s);
		strategy_rows[i].read(r, &step.at, s);
		group->n_strategies++;
	}
}

/* ---- hosts ---------------------------------------------------------------------------------- */

/* An IPv6 address may stand without its brackets, as reverst compares it. */
static int
parse_host(const char *text, struct hostname *out)
{
	const char *colon = strchr(text, ':');
	char bracketed[HOSTNAME_MAX + 3];

	if (*text == '[' || !colon || !strchr(colon + 1, ':') || strlen(text) > HOSTNAME_MAX)
		return hostname_parse(text, strlen(text), out);
	snprintf(bracketed, sizeof(bracketed), "[%s]", text);
	return hostname_parse(bracketed, strlen(bracketed), out);
}

static void
read_host(const struct reading *r, const struct place *at, const struct group *group)
{
	struct groups *g = r->g;
	struct hostname host;

	if (tree_type(at->node) != TREE_SCALAR) {
		place_say(at, ADIT_ECONFIG, "expected a text, not %s", tree_describe(at->node));
		return;
	}
	if (parse_host(tree_text(at->node), &host) < 0) {
		warn(r, at, at->node, "not the name of a host: nobody can ask for it");
		return;
	}
	if (host.has_port)
		warn(r, at, at->node, "the port does not count");
	if (g->n_hosts == GROUPS_HOSTS_MAX)
		return;				/* which is said at the end */
	if ((g->n_hosts & (g->n_hosts - 1)) == 0)
		g->hosts = arena_grow(g->arena, g->hosts, g->n_hosts,
				      g->n_hosts ? g->n_hosts * 2 : 1, sizeof(*g->hosts));
	if (g->hosts)
		g->hosts[g->n_hosts++] = (struct host){
			.name = arena_strdup(g->arena, host.text), .group = group,
			.pos = tree_pos(at->node),
		};
}

static void
read_hosts(const struct reading *r, const struct place *at, const struct group *group)
{
	const struct adit_tree *list = tree_get(at->node, "hosts");
	struct place_step step;

	if (tree_is_null(list))
		return;
	if (tree_type(list) != TREE_LIST) {
		place_say(at, ADIT_ECONFIG, "hosts: expected a list, not %s", tree_describe(list));
		return;
	}
	for (size_t i = 0; i < tree_len(list) && !arena_failed(r->g->arena); i++)
		read_host(r, place_step_item(&step, at, "hosts", i, tree_item(list, i)), group);
}

static int
compare_hosts(const void *a, const void *b)
{
	const struct host *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->group->name, y->group->name);
}

/* Sorts them; one that stands twice in a group is one. */
static void
settle_hosts(const struct reading *r)
{
	struct groups *g = r->g;
	size_t n = 0;

	if (g->n_hosts)
		qsort(g->hosts, g->n_hosts, sizeof(*g->hosts), compare_hosts);
	for (size_t i = 0; i < g->n_hosts; i++) {
		const struct host *last = n ? &g->hosts[n - 1] : NULL;

		if (!last || strcmp(last->name, g->hosts[i].name) != 0)
			g->hosts[n++] = g->hosts[i];
		else if (last->group != g->hosts[i].group)
			config_errors_add(r->errs,
					  &(struct config_problem){ .pos = g->hosts[i].pos },
					  "%s is a host of group \"%s\" too", last->name,
					  last->group->name);
	}
	if (g->n_hosts == GROUPS_HOSTS_MAX)
		config_errors_add(r->errs, &(struct config_problem){ .path = NULL },
				  "%d hosts or more", GROUPS_HOSTS_MAX);
	g->n_hosts = n;
}

/* ---- groups --------------------------------------------------------------------------------- */

static int
compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void
read_group(const struct reading *r, const struct place *at, struct group *group)
{
	static const char *const known[] = { "hosts", "authentication", NULL };
	struct place_step step;

	if (!tree_is_null(at->node) && tree_type(at->node) != TREE_MAP) {
		place_say(at, ADIT_ECONFIG, "expected a map, not %s", tree_describe(at->node));
		return;
	}
	warn_unknown(r, at, known);
	read_hosts(r, at, group);
	if (step_map(&step, at, "authentication"))
		read_authentication(r, &step.at, group);
	if (!group->n_strategies)
		warn(r, at, at->node, "no authentication: any client may register");
}

/* Named and in order first, since hosts point to them. */
static void
name_groups(struct groups *g, const struct adit_tree *map)
{
	g->groups = arena_alloc(g->arena, (tree_len(map) + 1) * sizeof(*g->groups));
	for (size_t i = 0; g->groups && i < tree_len(map); i++)
		g->groups[g->n_groups++].name = arena_strdup(g->arena,
							     tree_text(tree_key(map, i)));
	if (!arena_failed(g->arena))
		qsort(g->groups, g->n_groups, sizeof(*g->groups), compare_groups);
}

static struct group *
group_of(const struct groups *g, const char *name)
{
	const struct group key = { .name = name };

	return bsearch(&key, g->groups, g->n_groups, sizeof(*g->groups), compare_groups);
}

static void
read_groups(const struct reading *r, const struct place *root)
{
	static const char *const known[] = { "groups", NULL };
	struct place_step all, one;
	const struct adit_tree *map;

	warn_unknown(r, root, known);
	if (tree_find(root->node, "groups") < 0)
		place_say(root, ADIT_ECONFIG, "expected groups: {NAME: ...}");
	if (!step_map(&all, root, "groups"))
		return;
	map = all.at.node;
	if (tree_len(map) > GROUPS_MAX) {
		place_say(&all.at, ADIT_ECONFIG, "more than %d groups", GROUPS_MAX);
		return;
	}
	name_groups(r->g, map);
	for (size_t i = 0; i < tree_len(map) && !arena_failed(r->g->arena); i++) {
		const char *name = tree_text(tree_key(map, i));

		read_group(r, place_step(&one, &all.at, name, tree_item(map, i)),
			   group_of(r->g, name));
	}
	if (!arena_failed(r->g->arena))
		settle_hosts(r);
}

static bool
is_whole(const struct reading *r)
{
	if (arena_failed(r->g->arena))
		config_errors_add(r->errs, &(struct config_problem){ .path = NULL },
				  "out of memory");
	return config_errors_count(r->errs) == 0;
}

struct groups *
groups_read(const struct tree_source *source, struct config_errors *errs,
	    struct config_errors *warnings)
{
	struct groups *g = calloc(1, sizeof(*g));
	struct reading r = { .g = g, .errs = errs, .warnings = warnings };
	struct arena *arena = arena_new();
	struct place root = { .errs = errs };

	if (g)
		g->arena = arena_new();
	if (!g || !g->arena || !arena) {
		config_errors_add(errs, &(struct config_problem){ .path = NULL }, "out of memory");
		groups_free(g);
		arena_free(arena);
		return NULL;
	}
	root.node = tree_read(arena, source, errs);
	if (root.node)
		read_groups(&r, &root);
	if (!is_whole(&r)) {
		groups_free(g);
		g = NULL;
	}
	arena_free(arena);
	return g;
}

void
groups_free(struct groups *g)
{
	if (g)
		arena_free(g->arena);
	free(g);
}

/* ---- asking --------------------------------------------------------------------------------- */

size_t
groups_count(const struct groups *g)
{
	return g->n_groups;
}

const char *
group_name(const struct group *group)
{
	return group->name;
}

const struct group *
groups_find(const struct groups *g, const char *name, size_t len)
{
	size_t low = 0, high = g->n_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2, n = strlen(g->groups[middle].name);
		int order = memcmp(name, g->groups[middle].name, len < n ? len : n);

		if (order == 0 && len == n)
			return &g->groups[middle];
		if (order < 0 || (order == 0 && len < n))
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct group *
groups_find_host(const struct groups *g, const char *host)
{
	size_t low = 0, high = g->n_hosts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(host, g->hosts[middle].name);

		if (order == 0)
			return g->hosts[middle].group;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int
group_verify(const struct group *group, const char *value, size_t len, struct group_ask *ask)
{
	const char *blank;

	if (!group->n_strategies)
		return 0;
	for (; len && isspace((unsigned char)*value); len--)
		value++;
	while (len && isspace((unsigned char)value[len - 1]))
		len--;
	blank = memchr(value, ' ', len);
	for (size_t i = 0; blank && i < group->n_strategies; i++) {
		const struct strategy *s = &group->strategies[i];
		size_t scheme = (size_t)(blank - value);

		if (strlen(s->scheme) != scheme || memcmp(s->scheme, value, scheme) != 0)
			continue;
		*ask = (struct group_ask){
			.strategy = s, .payload = blank + 1, .len = len - scheme - 1,
		};
		return strategy_check(s, ask->payload, ask->len);
	}
	return ADIT_EUNAUTH;
}
