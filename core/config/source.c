#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/config/source.h"
#include "core/config/url.h"

struct loading {
	struct arena			*arena;
	const struct config_args	*args;
	const struct config_kinds	*kinds;
	struct config_errors		*errs;
	struct adit_tree		*root;
	bool				 found;		/* anything at all */
};

__attribute__((format(printf, 2, 3))) static void
complain(struct loading *l, const char *fmt, ...)
{
	struct config_problem problem = { .path = NULL };
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	config_errors_add(l->errs, &problem, "%s", text);
}

static struct tree_source *
add_source(struct loading *l, const char *name, const char *text, size_t len)
{
	struct tree_source *source = arena_alloc(l->arena, sizeof(*source));

	if (!source)
		return NULL;
	source->name = arena_strdup(l->arena, name);
	source->text = text;
	source->len = len;
	return source->name && text ? source : NULL;
}

static struct tree_source *
add_argument(struct loading *l, const char *name, const char *text)
{
	struct tree_source *source =
		add_source(l, name, arena_strdup(l->arena, text), strlen(text));

	if (source)
		source->argument = true;
	return source;
}

/* ---- merging -------------------------------------------------------------- */

static bool
is_single(const char *key)
{
	static const char *const singles[] = { "tls", "log", "profiling", "api", "metrics", NULL };

	for (size_t i = 0; singles[i]; i++)
		if (strcasecmp(singles[i], key) == 0)
			return true;
	return false;
}

static void
append_all(struct loading *l, struct adit_tree *list, const struct adit_tree *value)
{
	/* A map counts as a list of one. */
	if (tree_type(value) != TREE_LIST)
		tree_append(l->arena, list, value);
	for (size_t i = 0; tree_type(value) == TREE_LIST && i < tree_len(value); i++)
		tree_append(l->arena, list, tree_item(value, i));
}

/* Sets a key of the whole: later single objects replace, lists go on. */
static void
merge_key(struct loading *l, const struct adit_tree *key, const struct adit_tree *value)
{
	const struct adit_tree *old = tree_get(l->root, tree_text(key));
	struct adit_tree *list;

	if (!old || is_single(tree_text(key)) || tree_is_null(old)) {
		tree_replace(l->arena, l->root, key, value);
		return;
	}
	if (tree_is_null(value))
		return;
	list = tree_list(l->arena, tree_pos(old));
	append_all(l, list, old);
	append_all(l, list, value);
	tree_replace(l->arena, l->root, key, list);
}

/* log.level: x at the top is log: {level: x}; of a path that is set twice the later counts. */
static void
set_path(struct loading *l, struct adit_tree *map, const struct adit_tree *key, const char *name,
	 const struct adit_tree *value)
{
	const char *dot = strchr(name, '.');
	const struct adit_tree *old;
	struct adit_tree *below;
	char *first;

	if (!dot || dot == name || !dot[1]) {
		tree_replace(l->arena, map, tree_scalar(l->arena, tree_pos(key), name, false),
			     value);
		return;
	}
	first = arena_strndup(l->arena, name, (size_t)(dot - name));
	if (!first)
		return;
	old = tree_get(map, first);
	below = tree_type(old) == TREE_MAP ? tree_copy(l->arena, old) :
					     tree_map(l->arena, tree_pos(key));
	set_path(l, below, key, dot + 1, value);
	tree_replace(l->arena, map, tree_scalar(l->arena, tree_pos(key), first, false), below);
}

static void
merge_root(struct loading *l, const struct adit_tree *root)
{
	struct config_problem problem = { .pos = tree_pos(root) };
	bool first = !tree_len(l->root);	/* then no key of it is there already */
	struct adit_tree *map = tree_map(l->arena, tree_pos(root));

	if (tree_type(root) != TREE_MAP) {
		config_errors_add(l->errs, &problem, "a configuration is a map, not %s",
				  tree_describe(root));
		return;
	}
	if (!tree_pos(l->root).source)		/* the whole begins where its first part does */
		l->root = tree_map(l->arena, tree_pos(root));
	for (size_t i = 0; i < tree_len(root); i++)
		if (!strchr(tree_text(tree_key(root, i)), '.'))
			tree_add(l->arena, map, tree_key(root, i), tree_item(root, i));
	for (size_t i = 0; i < tree_len(root); i++)
		if (strchr(tree_text(tree_key(root, i)), '.'))
			set_path(l, map, tree_key(root, i), tree_text(tree_key(root, i)),
				 tree_item(root, i));
	for (size_t i = 0; i < tree_len(map); i++)
		if (first)
			tree_add(l->arena, l->root, tree_key(map, i), tree_item(map, i));
		else
			merge_key(l, tree_key(map, i), tree_item(map, i));
}

static void
merge_text(struct loading *l, const char *name, const char *text, size_t len)
{
	struct tree_source *source = add_source(l, name, text, len);
	const struct adit_tree *root = source ? tree_read(l->arena, source, l->errs) : NULL;

	l->found = true;
	if (root)
		merge_root(l, root);
}

/* ---- files ---------------------------------------------------------------- */

/* Reads to the end or just past the limit, so that tree_read can refuse it. Returns a length or
 * -errno. */
static ssize_t
read_all(int fd, char **text)
{
	size_t room = 1 << 16, len = 0;
	char *buf = malloc(room), *grown;
	ssize_t n = buf ? 1 : -ENOMEM;

	while (n > 0 && len <= TREE_MAX_BYTES) {
		if (len == room) {
			grown = realloc(buf, room * 2);
			if (!grown) {
				n = -ENOMEM;
				break;
			}
			buf = grown;
			room *= 2;
		}
		n = read(fd, buf + len, room - len);
		if (n < 0)
			n = errno == EINTR ? 1 : -errno;
		else
			len += (size_t)n;
	}
	if (n < 0) {
		free(buf);
		return n;
	}
	*text = buf;
	return (ssize_t)len;
}

static void
merge_descriptor(struct loading *l, const char *name, int fd)
{
	char *text = NULL;
	ssize_t len = read_all(fd, &text);

	if (len < 0)
		complain(l, "read %s: %s", name, adit_strerror((int)len));
	else
		merge_text(l, name, arena_strndup(l->arena, text, (size_t)len), (size_t)len);
	free(text);
}

static void
merge_input(struct loading *l)
{
	size_t len = l->args->input_len;

	if (l->args->input)
		merge_text(l, l->args->input_name ? l->args->input_name : "stdin",
			   arena_strndup(l->arena, l->args->input, len), len);
	else
		merge_descriptor(l, "stdin", STDIN_FILENO);
}

static bool
known_format(struct loading *l, const char *path)
{
	static const char *const formats[] = { "yaml", "yml", "json", NULL };
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');

	for (size_t i = 0; dot && formats[i]; i++)
		if (strcmp(formats[i], dot + 1) == 0)
			return true;
	complain(l, "%s: unknown configuration format \"%s\", expected .yaml, .yml or .json", path,
		 dot ? dot + 1 : "");
	return false;
}

static void
merge_file(struct loading *l, const char *path)
{
	int fd;

	l->found = true;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		complain(l, "open %s: %s", path, adit_strerror(-errno));
		return;
	}
	if (known_format(l, path))
		merge_descriptor(l, path, fd);
	close(fd);
}

static void
merge_source(struct loading *l, const char *value)
{
	size_t len = strlen(value);

	if (strcmp(value, "-") == 0)
		merge_input(l);
	else if (len > 1 && value[0] == '{' && value[len - 1] == '}')
		merge_text(l, "-C {...}", arena_strdup(l->arena, value), len);
	else if (strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0)
		complain(l,
			 "-C %s: a configuration from a web server is not available in this build",
			 value);
	else
		merge_file(l, value);
}

/* ---- the default file ----------------------------------------------------- */

static const char *
environment(const struct loading *l, const char *name)
{
	return l->args->env ? l->args->env(name) : getenv(name);
}

/* The first file of a program in a folder. Returns whether there was one. */
static bool
search_folder(struct loading *l, const char *folder, const char *program)
{
	static const char *const formats[] = { "yaml", "yml", "json", NULL };
	char path[4096];

	for (size_t i = 0; formats[i]; i++) {
		int n = snprintf(path, sizeof(path), "%s/%s.%s", folder, program, formats[i]);

		if (n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) < 0)
			continue;
		merge_file(l, strncmp(path, "./", 2) == 0 ? path + 2 : path);
		return true;
	}
	return false;
}

static void
search(struct loading *l)
{
	static const char *const programs[] = { "adit", "gost" };
	const char *home = environment(l, "HOME");
	char folder[4000];

	for (size_t i = 0; i < 2; i++) {
		snprintf(folder, sizeof(folder), "/etc/%s", programs[i]);
		if (search_folder(l, folder, programs[i]))
			return;
		snprintf(folder, sizeof(folder), "%s/.%s", home ? home : "", programs[i]);
		if (home && search_folder(l, folder, programs[i]))
			return;
		if (search_folder(l, ".", programs[i]))
			return;
	}
	complain(l, "nothing to do: no -L, -C or -api, and no adit.yaml, adit.yml or adit.json in "
		    "/etc/adit, $HOME/.adit or the working directory (nor gost's)");
}

/* ---- the command line ----------------------------------------------------- */

/* Returns how many services there are. */
static size_t
merge_urls(struct loading *l)
{
	const struct config_args *args = l->args;
	struct tree_source *source;
	struct url_set set;
	size_t n;

	url_set_init(&set, l->arena, l->errs, l->kinds);
	for (size_t i = 0; i < args->n_nodes; i++) {
		source = add_argument(l, "-F", args->nodes[i]);
		if (source)
			url_add_node(&set, source);
	}
	n = config_errors_count(l->errs);
	for (size_t i = 0; i < args->n_services; i++) {
		source = add_argument(l, "-L", args->services[i]);
		if (source)
			url_add_service(&set, source);
	}
	/* A -L that is wrong is still a -L. */
	n = tree_len(set.lists[URL_SERVICES]) + config_errors_count(l->errs) - n;
	merge_root(l, url_set_finish(&set));
	return n;
}

static void
set_text(struct loading *l, const char *object, const char *key, const struct adit_tree *value)
{
	const struct adit_tree *old = tree_get(l->root, object);
	struct adit_tree *map;

	if (!value)
		return;
	map = tree_type(old) == TREE_MAP ? tree_copy(l->arena, old) :
					   tree_map(l->arena, tree_pos(value));
	tree_set(l->arena, map, key, value);
	tree_set(l->arena, l->root, object, map);
}

static void
set_argument(struct loading *l, const char *object, const char *key, const char *name,
	     const char *text)
{
	struct tree_source *source = add_argument(l, name, text);
	struct tree_pos pos = { .source = source, .line = 1, .column = 1 };

	if (source)
		set_text(l, object, key, tree_scalar(l->arena, pos, text, true));
}

static void
merge_environment(struct loading *l)
{
	static const struct {
		const char	*name, *object, *key;
	} variables[] = {
		{ "GOST_LOGGER_LEVEL", "log", "level" },
		{ "GOST_API", "api", "addr" },
		{ "GOST_METRICS", "metrics", "addr" },
		{ "GOST_PROFILING", "profiling", "addr" },
	};

	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		const char *text = environment(l, variables[i].name);

		if (text && *text)
			set_argument(l, variables[i].object, variables[i].key, variables[i].name,
				     text);
	}
}

static void
merge_endpoint(struct loading *l, const char *flag, const char *text, const char *const *keys)
{
	struct tree_source *source = text ? add_argument(l, flag, text) : NULL;
	struct adit_tree *map = NULL;
	struct url_set set;

	if (!source)
		return;
	url_set_init(&set, l->arena, l->errs, l->kinds);
	map = url_endpoint(&set, source, keys);
	if (map)
		tree_set(l->arena, l->root, flag + 1, map);
}

static void
merge_flags(struct loading *l)
{
	static const char *const api_keys[] = { "pathPrefix", "accesslog", NULL };
	static const char *const metrics_keys[] = { "path", NULL };

	if (l->args->trace)
		set_argument(l, "log", "level", "-DD", "trace");
	else if (l->args->debug)
		set_argument(l, "log", "level", "-D", "debug");
	merge_endpoint(l, "-api", l->args->api, api_keys);
	merge_endpoint(l, "-metrics", l->args->metrics, metrics_keys);
}

const struct adit_tree *
source_load(struct arena *a, const struct config_args *args, const struct config_kinds *kinds,
	    struct config_errors *errs)
{
	struct loading l = { .arena = a, .args = args, .kinds = kinds, .errs = errs };

	l.root = tree_map(a, (struct tree_pos){ .source = NULL });
	for (size_t i = 0; i < args->n_sources; i++)
		merge_source(&l, args->sources[i]);
	if (merge_urls(&l) == 0 && !l.found && !args->api)
		search(&l);
	merge_environment(&l);
	merge_flags(&l);
	if (!arena_failed(a))
		return l.root;
	complain(&l, "out of memory");
	return NULL;
}
