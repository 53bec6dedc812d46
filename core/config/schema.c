#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"
#include "core/config/schema.h"

/* ---- errors --------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void
add_error(struct walk *w, struct config_problem problem, const char *fmt, va_list ap)
{
	char text[400];

	vsnprintf(text, sizeof(text), fmt, ap);
	/* What a command line says too much is printed by gost all the same. */
	if (problem.pos.source && problem.pos.source->argument)
		problem.start_only = true;
	config_errors_add(w->errs, &problem, "%s", text);
}

void
schema_error(struct walk *w, const struct adit_tree *node, const struct tree_path *path,
	     const char *hint, const char *fmt, ...)
{
	struct config_problem problem = { .pos = tree_pos(node), .path = path, .hint = hint };
	va_list ap;

	va_start(ap, fmt);
	add_error(w, problem, fmt, ap);
	va_end(ap);
}

void
schema_start_error(struct walk *w, const struct adit_tree *node, const struct tree_path *path,
		   const char *hint, const char *fmt, ...)
{
	struct config_problem problem = {
		.pos = tree_pos(node), .path = path, .hint = hint, .start_only = true,
	};
	va_list ap;

	va_start(ap, fmt);
	add_error(w, problem, fmt, ap);
	va_end(ap);
}

/* What was found, cut; never the value of a secret. */
static const char *
quote(const struct schema *row, const struct adit_tree *value, char buf[80])
{
	const char *text = tree_text(value);

	if (row->flags & SCHEMA_SECRET)
		return "what is given";
	snprintf(buf, 80, strlen(text) > 60 ? "\"%.60s...\"" : "\"%s\"", text);
	return buf;
}

static void
expected(struct walk *w, const struct schema *row, const struct adit_tree *value,
	 const struct tree_path *path, const char *what)
{
	char buf[80];
	bool scalar = tree_type(value) == TREE_SCALAR && !tree_is_null(value);

	schema_error(w, value, path, NULL, "expected %s, not %s", what,
		     scalar ? quote(row, value, buf) : tree_describe(value));
}

/* ---- references ----------------------------------------------------------- */

static void
remember(struct walk *w, struct schema_ref ref)
{
	struct schema_ref *grown;

	if (w->n_refs == w->room_refs) {
		w->room_refs = w->room_refs ? w->room_refs * 2 : 8;
		grown = arena_grow(w->arena, w->refs, w->n_refs, w->room_refs, sizeof(*grown));
		if (!grown) {
			w->room_refs = w->n_refs;
			return;
		}
		w->refs = grown;
	}
	w->refs[w->n_refs++] = ref;
}

bool
schema_refer(struct walk *w, enum config_list list, const struct adit_tree *name,
	     const struct tree_path *path)
{
	ptrdiff_t i = config_index_find(w->config, list, tree_text(name));
	struct nearest n;

	if (i >= 0) {
		remember(w, (struct schema_ref){ .list = list, .index = (size_t)i });
		return true;
	}
	if (w->partial)
		return false;
	nearest_init(&n, tree_text(name));
	config_index_nearest(w->config, list, &n);
	schema_error(w, name, path, n.best, "no \"%.60s\" in %s", tree_text(name),
		     config_list_name(list));
	return false;
}

/* ---- scalars -------------------------------------------------------------- */

static void
store(void *base, const struct schema *row, const void *value, size_t len)
{
	if (base && row->offset != SCHEMA_NOWHERE)
		memcpy((char *)base + row->offset, value, len);
}

static void
take_bool(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	  const struct tree_path *path)
{
	bool b;

	if (scalar_bool(tree_text(value), &b) < 0)
		expected(w, row, value, path, "true or false");
	else
		store(base, row, &b, sizeof(b));
}

static void
take_int(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	 const struct tree_path *path)
{
	int64_t n, max = row->max ? row->max : INT64_MAX;
	char limit[48];

	if (scalar_int(tree_text(value), &n) < 0) {
		expected(w, row, value, path, "a whole number");
	} else if (n > max) {
		snprintf(limit, sizeof(limit), "at most %" PRId64, max);
		expected(w, row, value, path, limit);
	} else if (n < 0 && !(row->flags & SCHEMA_SIGNED)) {
		expected(w, row, value, path, "at least 0");
	} else {
		store(base, row, &n, sizeof(n));
	}
}

static void
take_duration(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	      const struct tree_path *path)
{
	enum scalar_bare bare = tree_quoted(value) ? BARE_REFUSED : BARE_NANOSECONDS;
	int64_t ns;

	if (scalar_duration(tree_text(value), bare, &ns) < 0)
		expected(w, row, value, path, "a duration like \"30s\"");
	else if (ns < 0 && !(row->flags & SCHEMA_SIGNED))
		expected(w, row, value, path, "at least 0s");
	else
		store(base, row, &ns, sizeof(ns));
}

static const struct schema_word *
find_word(struct walk *w, const struct schema *row, const struct adit_tree *value,
	  const struct tree_path *path)
{
	struct nearest n;

	nearest_init(&n, tree_text(value));
	for (const struct schema_word *word = row->words; word->text; word++) {
		if (strcasecmp(word->text, tree_text(value)) == 0)
			return word;
		nearest_try(&n, word->text);
	}
	schema_error(w, value, path, n.best, "unknown %s \"%.60s\"", row->key, tree_text(value));
	return NULL;
}

static void
take_word(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	  const struct tree_path *path)
{
	const struct schema_word *word = find_word(w, row, value, path);

	if (word)
		store(base, row, &word->value, sizeof(word->value));
}

static void
take_text(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	  const struct tree_path *path)
{
	const char *text = tree_text(value);
	uint64_t size;

	if (row->type == SCHEMA_SIZE && scalar_size(text, &size) < 0) {
		expected(w, row, value, path, "a size like \"64KB\"");
		return;
	}
	if (row->words && !find_word(w, row, value, path))
		return;
	if (row->type == SCHEMA_NAME && !schema_refer(w, row->refers, value, path))
		return;
	store(base, row, &text, sizeof(text));
}

/* ---- lists ---------------------------------------------------------------- */

/* One text stands for a list of one. */
static size_t
item_count(const struct adit_tree *value)
{
	return tree_type(value) == TREE_LIST ? tree_len(value) : 1;
}

static const struct adit_tree *
item_at(const struct adit_tree *value, size_t i)
{
	return tree_type(value) == TREE_LIST ? tree_item(value, i) : value;
}

static bool
named_twice(struct walk *w, const struct adit_strings *names, const struct adit_tree *item,
	    const struct tree_path *path)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->v[i], tree_text(item)) != 0)
			continue;
		schema_error(w, item, path, NULL, "\"%.60s\" is named twice", tree_text(item));
		return true;
	}
	return false;
}

static void
take_texts(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	   const struct tree_path *path)
{
	bool list = tree_type(value) == TREE_LIST, stored = base && row->offset != SCHEMA_NOWHERE;
	struct adit_strings texts = { .n = 0 };
	size_t n = item_count(value);

	if (stored)
		memcpy(&texts, (char *)base + row->offset, sizeof(texts));
	texts.v = arena_grow(w->arena, texts.v, texts.n, texts.n + n + 1, sizeof(*texts.v));
	for (size_t i = 0; texts.v && i < n; i++) {
		const struct adit_tree *item = item_at(value, i);
		struct tree_path below = { .up = path, .index = i };
		const struct tree_path *at = list ? &below : path;

		if (tree_type(item) != TREE_SCALAR || tree_is_null(item)) {
			expected(w, row, item, at, "a text");
			continue;
		}
		if (row->type == SCHEMA_NAMES &&
		    (!schema_refer(w, row->refers, item, at) || named_twice(w, &texts, item, at)))
			continue;
		texts.v[texts.n++] = arena_strdup(w->arena, tree_text(item));
	}
	store(base, row, &texts, sizeof(texts));
}

static void
take_pairs(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	   const struct tree_path *path)
{
	struct adit_pairs pairs = { .n = 0 };
	size_t n = tree_len(value);

	pairs.name = arena_grow(w->arena, NULL, 0, n ? n : 1, sizeof(*pairs.name));
	pairs.value = arena_grow(w->arena, NULL, 0, n ? n : 1, sizeof(*pairs.value));
	for (size_t i = 0; pairs.name && pairs.value && i < n; i++) {
		const struct adit_tree *item = tree_item(value, i);
		struct tree_path at = { .up = path, .key = tree_text(tree_key(value, i)) };

		if (tree_type(item) != TREE_SCALAR) {
			expected(w, row, item, &at, "a text");
			continue;
		}
		pairs.name[pairs.n] = arena_strdup(w->arena, at.key);
		pairs.value[pairs.n++] =
			arena_strdup(w->arena, tree_is_null(item) ? "" : tree_text(item));
	}
	store(base, row, &pairs, sizeof(pairs));
}

/* ---- objects -------------------------------------------------------------- */

/* Without a size there is nothing to store; the walk still finds the errors. */
static void
take_map(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	 const struct tree_path *path)
{
	void *object = row->object->size ? arena_alloc(w->arena, row->object->size) : NULL;

	if (row->object->size && !object)
		return;
	schema_walk(w, row->object, object, value, path);
	if (object)
		store(base, row, &object, sizeof(object));
	else
		store(base, row, &value, sizeof(value));
}

static void
take_maps(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	  const struct tree_path *path)
{
	struct {
		size_t	 n;
		void	*v;
	} list = { .n = item_count(value) };
	size_t size = row->object->size;
	bool one = tree_type(value) != TREE_LIST;

	if (size)
		list.v = arena_grow(w->arena, NULL, 0, list.n ? list.n : 1, size);
	if (size && !list.v)
		return;
	for (size_t i = 0; i < list.n; i++) {
		struct tree_path at = { .up = path, .index = i };

		if (row->flags & SCHEMA_TOP)
			w->n_refs = w->room_refs = 0;
		schema_walk(w, row->object, size ? (char *)list.v + i * size : NULL,
			    one ? value : tree_item(value, i), &at);
		if (row->flags & SCHEMA_TOP)
			config_index_keep(w, row->refers, i);
	}
	if (size)
		store(base, row, &list, sizeof(list));
	else
		store(base, row, &value, sizeof(value));
}

/* What kind of node a row wants; NULL when this one is right. */
static const char *
wrong_node(const struct schema *row, const struct adit_tree *value)
{
	enum tree_type type = tree_type(value);

	switch (row->type) {
	case SCHEMA_BOOL:
		return type == TREE_SCALAR ? NULL : "true or false";
	case SCHEMA_INT:
		return type == TREE_SCALAR ? NULL : "a whole number";
	case SCHEMA_DURATION:
		return type == TREE_SCALAR ? NULL : "a duration like \"30s\"";
	case SCHEMA_SIZE:
	case SCHEMA_TEXT:
	case SCHEMA_WORD:
		return type == TREE_SCALAR ? NULL : "a text";
	case SCHEMA_NAME:
		return type == TREE_SCALAR ? NULL : "a name";
	case SCHEMA_TEXTS:
		return type != TREE_MAP ? NULL : "a list of texts";
	case SCHEMA_NAMES:
		if (row->flags & SCHEMA_SINGLE)
			return type == TREE_SCALAR ? NULL : "a name";
		return type != TREE_MAP ? NULL : "a list of names";
	case SCHEMA_PAIRS:
	case SCHEMA_MAP:
		return type == TREE_MAP ? NULL : "a map";
	case SCHEMA_MAPS:
		return type != TREE_SCALAR ? NULL : "a list";
	case SCHEMA_TREE:
	case SCHEMA_IGNORED:
		break;
	}
	return NULL;
}

static void
take_value(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	   const struct tree_path *path)
{
	switch (row->type) {
	case SCHEMA_BOOL:
		take_bool(w, row, base, value, path);
		break;
	case SCHEMA_INT:
		take_int(w, row, base, value, path);
		break;
	case SCHEMA_DURATION:
		take_duration(w, row, base, value, path);
		break;
	case SCHEMA_SIZE:
	case SCHEMA_TEXT:
	case SCHEMA_NAME:
		take_text(w, row, base, value, path);
		break;
	case SCHEMA_WORD:
		take_word(w, row, base, value, path);
		break;
	case SCHEMA_TEXTS:
	case SCHEMA_NAMES:
		take_texts(w, row, base, value, path);
		break;
	case SCHEMA_PAIRS:
		take_pairs(w, row, base, value, path);
		break;
	case SCHEMA_MAP:
		take_map(w, row, base, value, path);
		break;
	case SCHEMA_MAPS:
		take_maps(w, row, base, value, path);
		break;
	case SCHEMA_TREE:
		store(base, row, &value, sizeof(value));
		break;
	case SCHEMA_IGNORED:
		break;
	}
}

/* ---- the walk ------------------------------------------------------------- */

static bool
row_takes(const struct schema *row, const char *key)
{
	return strcasecmp(row->key, key) == 0 ||
	       (row->old_key && strcasecmp(row->old_key, key) == 0);
}

static const struct schema *
find_row(const struct schema *rows, const char *key)
{
	for (; rows->key; rows++)
		if (row_takes(rows, key))
			return rows;
	return NULL;
}

/* A map inside this one that takes the key, for a key that slipped out of its place. */
static const char *
find_place(struct walk *w, const struct schema_object *object, const struct adit_tree *node,
	   const char *key)
{
	const char *place = object->place ? object->place(w, node, key) : NULL;

	for (const struct schema *row = object->rows; !place && row->key; row++)
		if (row->type == SCHEMA_MAP && row->object->rows &&
		    find_row(row->object->rows, key))
			place = row->key;
	return place;
}

static void
unknown_key(struct walk *w, const struct schema_object *object, const struct adit_tree *node,
	    size_t i, const struct tree_path *path)
{
	const struct adit_tree *key = tree_key(node, i);
	struct tree_path at = { .up = path, .key = tree_text(key) };
	const char *place = find_place(w, object, node, tree_text(key));
	struct nearest n;

	if (place) {
		schema_error(w, key, &at, NULL, "this key belongs into \"%s\"", place);
		return;
	}
	nearest_init(&n, tree_text(key));
	for (const struct schema *row = object->rows; row->key; row++)
		nearest_try(&n, row->key);
	schema_error(w, key, &at, n.best, "unknown key");
}

static void
take_entry(struct walk *w, const struct schema *row, void *base, const struct adit_tree *value,
	   const struct tree_path *path)
{
	const char *wanted;

	if (tree_is_null(value))
		return;
	wanted = wrong_node(row, value);
	if (wanted) {
		expected(w, row, value, path, wanted);
		return;
	}
	take_value(w, row, base, value, path);
	if (row->check)
		row->check(w, value, path);
}

/* Both names of one key. */
static bool
said_twice(struct walk *w, const struct schema *row, const struct adit_tree *node, size_t i,
	   const struct tree_path *path)
{
	const char *key = tree_text(tree_key(node, i));

	if (strcasecmp(row->key, key) == 0 || !tree_get(node, row->key))
		return false;
	schema_error(w, tree_key(node, i), path, NULL, "the old name of \"%s\", which is set too",
		     row->key);
	return true;
}

static void
check_required(struct walk *w, const struct schema_object *object, const struct adit_tree *node,
	       const struct tree_path *path)
{
	for (const struct schema *row = object->rows; row->key; row++) {
		if (!(row->flags & SCHEMA_REQUIRED) || !tree_is_null(tree_get(node, row->key)))
			continue;
		if (!row->old_key || tree_is_null(tree_get(node, row->old_key)))
			schema_error(w, node, path, NULL, "key \"%s\" is missing", row->key);
	}
}

void
schema_walk(struct walk *w, const struct schema_object *object, void *base,
	    const struct adit_tree *node, const struct tree_path *path)
{
	if (tree_type(node) != TREE_MAP) {
		schema_error(w, node, path, NULL, "expected a map, not %s", tree_describe(node));
		return;
	}
	if (base)
		*(const struct adit_tree **)base = node;
	for (size_t i = 0; i < tree_len(node); i++) {
		struct tree_path at = { .up = path, .key = tree_text(tree_key(node, i)) };
		const struct schema *row = find_row(object->rows, at.key);

		if (!row)
			unknown_key(w, object, node, i, path);
		else if (!said_twice(w, row, node, i, &at))
			take_entry(w, row, base, tree_item(node, i), &at);
	}
	check_required(w, object, node, path);
	if (object->finish)
		object->finish(w, base, node, path);
}
