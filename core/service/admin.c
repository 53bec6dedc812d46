#include "core/service/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/mask.h"
#include "core/config/own_service.h"
#include "core/conn/tally.h"
#include "core/runtime/put_file.h"

/* gost's codes of what is wrong with a request. */
enum {
	CODE_INVALID = 40001, CODE_TAKEN = 40002, CODE_FAILED = 40003, CODE_MISSING = 40004,
	CODE_SAVE = 40005,
};

/* One request, while it is answered. */
struct job {
	const struct admin	*admin;
	struct desk_ask		*ask;
	const struct generation	*now;
	const struct adit_tree	*root;		/* of the configuration in force */
	struct arena		*arena;
	enum config_list	 list;
	struct adit_tree	*items;		/* of list, to be changed */
	char			*name;		/* of one of them, in ask->path; NULL: none */
	ptrdiff_t		 index;		/* its place; -1: it is not there */
	bool			 lost;		/* a secret was hidden that nothing is known of */
};

/* ---- answers ------------------------------------------------------------------------- */

static void
answer_tree(struct job *j, const struct adit_tree *tree, enum tree_format format)
{
	struct desk_ask *a = j->ask;

	a->answer = arena_failed(j->arena) ? NULL : tree_emit(tree, format, &a->answer_len);
	a->status = a->answer ? 200 : 503;
	a->type = format == TREE_YAML ? "text/x-yaml" : "application/json; charset=utf-8";
}

static void
set_number(struct job *j, struct adit_tree *map, const char *key, uint64_t n)
{
	const struct tree_pos nowhere = { .source = NULL };

	tree_set(j->arena, map, key,
		 tree_scalar(j->arena, nowhere, arena_printf(j->arena, "%" PRIu64, n), false));
}

static void
set_text(struct job *j, struct adit_tree *map, const char *key, const char *text)
{
	tree_set_text(j->arena, map, key, text, (struct tree_pos){ .source = NULL });
}

static struct adit_tree *
new_map(struct job *j)
{
	return tree_map(j->arena, (struct tree_pos){ .source = NULL });
}

static void
answer_done(struct job *j)
{
	struct adit_tree *map = new_map(j);

	set_text(j, map, "msg", "OK");
	answer_tree(j, map, TREE_JSON);
}

__attribute__((format(printf, 4, 5))) static void
answer_error(struct job *j, int status, unsigned code, const char *fmt, ...)
{
	struct adit_tree *map = new_map(j);
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_number(j, map, "code", code);
	set_text(j, map, "msg", text);
	answer_tree(j, map, TREE_JSON);
	if (j->ask->answer)
		j->ask->status = status;
}

/* What an error of a list's objects calls them. */
static const char *
kind_name(const struct job *j)
{
	switch (j->list) {
	case CONFIG_CLIMITERS:
	case CONFIG_RLIMITERS:
		return "limiter";
	default:
		return config_list_singular(j->list);
	}
}

/*
 * All that is wrong, in one text. What was changed here was never in a file: the lines of it say
 * nothing.
 */
static void
errors_join(const struct config_errors *errs, const char *source, char *text, size_t size)
{
	size_t prefix = strlen(source), used = 0;
	const char *one;

	*text = '\0';
	for (size_t i = 0; (one = config_errors_text(errs, i)) && used < size; i++) {
		if (*source && strncmp(one, source, prefix) == 0 && one[prefix] == ':') {
			one += prefix;
			one += strspn(one, ":0123456789");
			one += *one == ' ';
		}
		used += (size_t)snprintf(text + used, size - used, "%s%.*s", i ? "; " : "",
					 (int)strcspn(one, "\n"), one);
	}
}

/* ---- secrets ------------------------------------------------------------------------- */

/* Whether text may be a URL whose scheme is left out: a recorder's or a plugin's. */
static bool
is_bare_url(const char *key, const char *text)
{
	return key && (strcasecmp(key, "url") == 0 || strcasecmp(key, "addr") == 0) &&
	       strpbrk(text, "@?");
}

/* A text, with asterisks for the password of a URL; for all of it where there is no memory. */
static const struct adit_tree *
hide_text(struct job *j, const struct adit_tree *node, const char *key)
{
	const char *text = tree_text(node);
	const struct adit_tree *hidden = node;
	bool whole = strstr(text, "://");
	char *masked;

	if (!whole && !is_bare_url(key, text))
		return node;
	masked = config_mask_url(text, strlen(text));
	if (masked && (!whole || strncasecmp(text, "http", 4) == 0))
		config_mask_query(masked);
	if (!masked || strcmp(masked, text) != 0)
		hidden = tree_scalar(j->arena, tree_pos(node), masked ? masked : ADMIN_SECRET,
				     true);
	free(masked);
	return hidden;
}

/* Whether a text under key is a secret; of: the key that this map is under, NULL for a list. */
static bool
is_secret(const char *key, const char *of)
{
	if (key && of && config_key_is_header(of))
		return config_field_is_secret(key);
	return key && config_key_is_secret(key);
}

/* node with what stands for each secret; key: under which it stands, or NULL; of: as above. */
static const struct adit_tree *
hide(struct job *j, const struct adit_tree *node, const char *key, const char *of)
{
	struct adit_tree *copy;

	switch (tree_type(node)) {
	case TREE_SCALAR:
		if (tree_is_null(node) || !*tree_text(node))
			return node;
		if (!is_secret(key, of))
			return hide_text(j, node, key);
		return tree_scalar(j->arena, tree_pos(node), ADMIN_SECRET, true);
	case TREE_LIST:
		copy = tree_list(j->arena, tree_pos(node));
		for (size_t i = 0; i < tree_len(node); i++)
			tree_append(j->arena, copy, hide(j, tree_item(node, i), key, of));
		return copy;
	case TREE_MAP:
		break;
	}
	copy = tree_map(j->arena, tree_pos(node));
	for (size_t i = 0; i < tree_len(node); i++)
		tree_add(j->arena, copy, tree_key(node, i),
			 hide(j, tree_item(node, i), tree_text(tree_key(node, i)), key));
	return copy;
}

/* The item of old that item is meant to be: of the same name or user, else at the same place. */
static const struct adit_tree *
partner(const struct adit_tree *old, const struct adit_tree *item, size_t place)
{
	static const char *const keys[] = { "name", "username" };

	for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
		const char *name = tree_text(tree_get(item, keys[k]));

		for (size_t i = 0; *name && i < tree_len(old); i++)
			if (strcmp(tree_text(tree_get(tree_item(old, i), keys[k])), name) == 0)
				return tree_item(old, i);
		if (*name)
			return NULL;
	}
	return place < tree_len(old) ? tree_item(old, place) : NULL;
}

/* A text, or old's, of which it is what is shown. */
static const struct adit_tree *
reveal_text(struct job *j, const struct adit_tree *node, const struct adit_tree *old,
	    const char *key)
{
	const struct adit_tree *hidden;

	if (tree_type(old) != TREE_SCALAR)
		return node;
	hidden = hide_text(j, old, key);
	return hidden != old && strcmp(tree_text(hidden), tree_text(node)) == 0 ? old : node;
}

/* node, where what stands for a secret is again the one that old has there. */
static const struct adit_tree *
reveal(struct job *j, const struct adit_tree *node, const struct adit_tree *old, const char *key,
       const char *of)
{
	struct adit_tree *copy;

	switch (tree_type(node)) {
	case TREE_SCALAR:
		if (!is_secret(key, of))
			return reveal_text(j, node, old, key);
		if (strcmp(tree_text(node), ADMIN_SECRET) != 0)
			return node;
		j->lost |= tree_type(old) != TREE_SCALAR || !*tree_text(old);
		return old ? old : node;
	case TREE_LIST:
		copy = tree_list(j->arena, tree_pos(node));
		for (size_t i = 0; i < tree_len(node); i++) {
			const struct adit_tree *item = tree_item(node, i);

			tree_append(j->arena, copy,
				    reveal(j, item, partner(old, item, i), key, of));
		}
		return copy;
	case TREE_MAP:
		break;
	}
	copy = tree_map(j->arena, tree_pos(node));
	for (size_t i = 0; i < tree_len(node); i++) {
		const struct adit_tree *at = tree_key(node, i);

		tree_add(j->arena, copy, at,
			 reveal(j, tree_item(node, i), tree_get(old, tree_text(at)),
				tree_text(at), key));
	}
	return copy;
}

/* ---- what is shown ------------------------------------------------------------------- */

static void
add_event(struct job *j, struct adit_tree *status, int64_t at, const char *name)
{
	struct adit_tree *events = tree_list(j->arena, (struct tree_pos){ .source = NULL });
	struct adit_tree *event = new_map(j);

	set_number(j, event, "time", (uint64_t)at);
	set_text(j, event, "msg", arena_printf(j->arena, "service %s is running", name));
	tree_append(j->arena, events, event);
	tree_set(j->arena, status, "events", events);
}

static void
add_stats(struct job *j, struct adit_tree *status, const char *name)
{
	const struct tally_book *book = j->ask->book;
	const struct tally_service *s = book ? tally_find(book, name) : NULL;
	struct tally_client total = { .begun = 0 };
	struct adit_tree *stats = new_map(j);

	if (s)
		total = tally_total(s);
	set_number(j, stats, "totalConns", total.begun);
	set_number(j, stats, "currentConns", total.open);
	set_number(j, stats, "totalErrs", total.failed);
	set_number(j, stats, "inputBytes", total.traffic.in);
	set_number(j, stats, "outputBytes", total.traffic.out);
	tree_set(j->arena, status, "stats", stats);
}

static const struct adit_tree *
show_service(struct job *j, const struct adit_tree *node, size_t index)
{
	struct adit_tree *copy = tree_copy(j->arena, hide(j, node, NULL, NULL));
	const struct service *s = j->now->services[index];
	const struct service_conf *conf = &j->now->config->services.v[index];
	struct adit_tree *status = new_map(j);

	set_number(j, status, "createTime", (uint64_t)service_created(s));
	set_text(j, status, "state", service_is_ready(s) ? "ready" : "running");
	add_event(j, status, service_created(s), conf->name);
	if (conf->enable_stats)
		add_stats(j, status, conf->name);
	tree_set(j->arena, copy, "status", status);
	return copy;
}

static const struct adit_tree *
show_item(struct job *j, size_t index)
{
	const struct adit_tree *node = tree_item(j->items, index);

	if (j->list == CONFIG_SERVICES)
		return show_service(j, node, index);
	return hide(j, node, NULL, NULL);
}

static struct adit_tree *
show_items(struct job *j)
{
	struct adit_tree *list = tree_list(j->arena, tree_pos(j->items));

	for (size_t i = 0; i < tree_len(j->items); i++)
		tree_append(j->arena, list, show_item(j, i));
	return list;
}

/* Fills items with what is in the list in force. */
static void
job_take_list(struct job *j, enum config_list list)
{
	j->list = list;
	j->items = tree_items(j->arena, tree_get(j->root, config_list_name(list)));
}

static void
get_whole(struct job *j)
{
	const char *format = j->ask->format;
	struct adit_tree *root = tree_copy(j->arena, hide(j, j->root, NULL, NULL));

	job_take_list(j, CONFIG_SERVICES);
	if (tree_len(j->items))
		tree_set(j->arena, root, config_list_name(CONFIG_SERVICES), show_items(j));
	answer_tree(j, root, format && strcmp(format, "yaml") == 0 ? TREE_YAML : TREE_JSON);
}

static const struct adit_tree *
null_node(struct job *j)
{
	return tree_scalar(j->arena, (struct tree_pos){ .source = NULL }, "null", false);
}

static void
get_list(struct job *j)
{
	struct adit_tree *map = new_map(j), *found = new_map(j);

	set_number(j, found, "count", tree_len(j->items));
	tree_set(j->arena, found, "list", tree_len(j->items) ? show_items(j) : null_node(j));
	tree_set(j->arena, map, "data", found);
	answer_tree(j, map, TREE_JSON);
}

static void
get_one(struct job *j)
{
	struct adit_tree *map = new_map(j);

	tree_set(j->arena, map, "data",
		 j->index < 0 ? null_node(j) : show_item(j, (size_t)j->index));
	answer_tree(j, map, TREE_JSON);
}

/* ---- changes ------------------------------------------------------------------------- */

static const char *
no_environment(const char *name)
{
	(void)name;
	return NULL;
}

/* The configuration that the text of one says. */
static struct config *
load_text(const struct job *j, const char *text, size_t len, struct config_errors *errs)
{
	static const char *const input[] = { "-" };
	const struct config_args args = {
		.sources = input, .n_sources = 1, .env = no_environment,
		.input = text, .input_len = len, .input_name = "api",
	};

	return config_load(&args, j->admin->kinds, 0, errs);
}

/* Has the whole with those items instead. */
static void
apply(struct job *j, const struct adit_tree *items, const char *name)
{
	struct adit_tree *root = tree_copy(j->arena, j->root);
	struct config_errors *errs = config_errors_new();
	struct config *config = NULL;
	char *text, why[1500];
	size_t len;
	int err;

	tree_set(j->arena, root, config_list_name(j->list), items);
	text = arena_failed(j->arena) || !errs ? NULL : tree_emit(root, TREE_YAML, &len);
	if (text)
		config = load_text(j, text, len, errs);
	err = config ? j->admin->take(j->admin->arg, config, errs) : ADIT_ECONFIG;
	if (!text)
		j->ask->status = 503;
	else if (!err)
		answer_done(j);
	else
		errors_join(errs, "api", why, sizeof(why));
	if (text && !config)
		answer_error(j, 400, CODE_INVALID, "%s", why);
	else if (text && err)
		answer_error(j, 500, CODE_FAILED, "create %s %s failed: %s", kind_name(j), name,
			     why);
	if (text)
		explicit_bzero(text, len);
	free(text);
	config_put(config);
	config_errors_free(errs);
}

/* The object in the body, or NULL: that was answered. */
static const struct adit_tree *
read_object(struct job *j, const struct adit_tree *old)
{
	const struct tree_source source = {
		.name = "body", .text = j->ask->body ? j->ask->body : "", .len = j->ask->len,
	};
	struct config_errors *errs = config_errors_new();
	const struct adit_tree *node = errs ? tree_read(j->arena, &source, errs) : NULL;
	struct adit_tree *object = NULL;
	char why[500] = "";

	if (errs)
		errors_join(errs, "", why, sizeof(why));
	if (!node || *why)
		answer_error(j, 400, CODE_INVALID, "%s", why);
	else if (tree_type(node) != TREE_MAP)
		answer_error(j, 400, CODE_INVALID, "expected an object, not %s",
			     tree_describe(node));
	else
		object = tree_copy(j->arena, reveal(j, node, old, NULL, NULL));
	if (object && j->lost) {
		answer_error(j, 400, CODE_INVALID, "\"%s\" stands for a secret that is not known",
			     ADMIN_SECRET);
		object = NULL;
	}
	tree_remove(object, "status");		/* we have added it */
	config_errors_free(errs);
	return object;
}

static bool
name_is_taken(const struct job *j, const char *name)
{
	return config_index_find(j->now->config, j->list, name) >= 0;
}

static void
post_one(struct job *j)
{
	const struct adit_tree *object = read_object(j, NULL);
	const char *name = tree_text(tree_get(object, "name"));

	if (!object)
		return;
	if (!*name) {
		answer_error(j, 400, CODE_INVALID, "%s name is required", kind_name(j));
	} else if (name_is_taken(j, name)) {
		answer_error(j, 400, CODE_TAKEN, "%s %s already exists", kind_name(j), name);
	} else {
		tree_append(j->arena, j->items, object);
		apply(j, j->items, name);
	}
}

/* Without the one that is asked for, or with object in its place. */
static void
replace_one(struct job *j, const struct adit_tree *object)
{
	struct adit_tree *list = tree_list(j->arena, tree_pos(j->items));

	for (size_t i = 0; i < tree_len(j->items); i++) {
		const struct adit_tree *item = tree_item(j->items, i);

		if ((ptrdiff_t)i == j->index)
			item = object;
		if (item)
			tree_append(j->arena, list, item);
	}
	apply(j, list, j->name);
}

static void
put_one(struct job *j)
{
	const struct adit_tree *object =
		read_object(j, tree_item(j->items, (size_t)j->index));
	struct adit_tree *named;

	if (!object)
		return;
	named = tree_copy(j->arena, object);
	set_text(j, named, "name", j->name);
	replace_one(j, named);
}

/* ---- saving -------------------------------------------------------------------------- */

/* The one file that the configuration comes from, all of it; else one of our own. */
static const char *
default_file(const struct job *j, bool json)
{
	const struct config_args *args = j->admin->args;

	if (args->n_sources == 1 && !args->n_services && !args->n_nodes &&
	    strcmp(args->sources[0], "-") != 0 && *args->sources[0] != '{')
		return args->sources[0];
	return json ? "adit.json" : "adit.yaml";
}

static bool
has_ending(const char *path, const char *ending)
{
	size_t len = strlen(path), n = strlen(ending);

	return len > n && strcmp(path + len - n, ending) == 0;
}

static void
save(struct job *j)
{
	const char *format = j->ask->format;
	bool json = format && strcmp(format, "json") == 0;
	const char *path = j->ask->file ? j->ask->file : default_file(j, json);
	struct iovec text;
	int err;

	if (j->ask->file && !j->ask->known) {
		answer_error(j, 403, CODE_SAVE, "path: only for who has to say who he is");
		return;
	}
	json = has_ending(path, ".json");
	if (!json && !has_ending(path, ".yaml") && !has_ending(path, ".yml")) {
		answer_error(j, 400, CODE_SAVE, "create file: %s: not .yaml, .yml or .json", path);
		return;
	}
	text.iov_base = tree_emit(j->root, json ? TREE_JSON : TREE_YAML, &text.iov_len);
	err = text.iov_base ? put_file(path, &text, 1, true) : -ENOMEM;
	if (err)
		answer_error(j, 500, CODE_SAVE, "create file: %s: %s", path, adit_strerror(err));
	else
		answer_done(j);
	if (text.iov_base)
		explicit_bzero(text.iov_base, text.iov_len);
	free(text.iov_base);
}

static void
reload(struct job *j)
{
	struct config_errors *errs = config_errors_new();
	char why[1500];
	int err = errs ? j->admin->reload(j->admin->arg, errs) : -ENOMEM;

	if (!err) {
		answer_done(j);
	} else {
		if (errs)
			errors_join(errs, "", why, sizeof(why));
		answer_error(j, 400, CODE_INVALID, "%s", errs ? why : adit_strerror(err));
	}
	config_errors_free(errs);
}

/* ---- what is asked for --------------------------------------------------------------- */

static bool
method_is(const struct job *j, const char *method)
{
	return strcmp(j->ask->method, method) == 0;
}

static void
answer_list(struct job *j)
{
	if (method_is(j, "GET"))
		get_list(j);
	else if (method_is(j, "POST"))
		post_one(j);
	else
		j->ask->status = 404;
}

static void
answer_one(struct job *j)
{
	j->index = config_index_find(j->now->config, j->list, j->name);
	if (j->index >= (ptrdiff_t)tree_len(j->items))	/* it is not written, but ours */
		j->index = -1;
	if (method_is(j, "GET"))
		get_one(j);
	else if (!method_is(j, "PUT") && !method_is(j, "DELETE"))
		j->ask->status = 404;
	else if (j->index < 0)
		answer_error(j, 400, CODE_MISSING, "%s %s not found", kind_name(j), j->name);
	else if (method_is(j, "PUT"))
		put_one(j);
	else
		replace_one(j, NULL);
}

static void
answer_below(struct job *j, char *rest)
{
	char *slash = strchr(rest, '/');
	size_t len = slash ? (size_t)(slash - rest) : strlen(rest);

	for (int i = 0; i < CONFIG_LISTS; i++) {
		const char *name = config_list_name((enum config_list)i);

		if (strlen(name) != len || strncmp(name, rest, len) != 0)
			continue;
		job_take_list(j, (enum config_list)i);
		j->name = slash && slash[1] ? slash + 1 : NULL;
		if (j->name)
			answer_one(j);
		else
			answer_list(j);
		return;
	}
	j->ask->status = 404;
}

/* As show_service says it of each. */
static void
count_services(struct job *j)
{
	for (size_t i = 0; i < j->now->config->services.n; i++) {
		const char *name = j->now->config->services.v[i].name;

		if (own_service_is(name))
			continue;
		if (service_is_ready(j->now->services[i]))
			j->ask->ready++;
		else
			j->ask->running++;
	}
}

static void
answer_path(struct job *j)
{
	char *path = j->ask->path;

	if (strcmp(path, "config") == 0 && method_is(j, "GET"))
		get_whole(j);
	else if (strcmp(path, "config") == 0 && method_is(j, "POST"))
		save(j);
	else if (strcmp(path, "config/reload") == 0 && method_is(j, "POST"))
		reload(j);
	else if (strncmp(path, "config/", 7) == 0)
		answer_below(j, path + 7);
	else
		j->ask->status = 404;
}

void
admin_answer(const struct admin *m, struct desk_ask *a)
{
	struct job j = { .admin = m, .ask = a, .now = m->now(m->arg), .arena = arena_new() };

	if (!j.now || !j.arena) {
		a->status = 503;
	} else if (!a->path) {
		count_services(&j);
	} else {
		j.root = j.now->config->node;
		answer_path(&j);
	}
	arena_free(j.arena);
}
