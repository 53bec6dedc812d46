#include "core/config/printed.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"
#include "core/config/schema.h"

static bool
is_of_file(const struct adit_tree *node)
{
	const struct tree_source *source = tree_pos(node).source;

	return source && !source->argument;
}

/* ---- what gost has no field for ------------------------------------------------------ */

static const struct adit_tree *
lower_key(struct arena *a, const struct adit_tree *key)
{
	char *text = arena_strdup(a, tree_text(key));

	for (char *p = text; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return text ? tree_scalar(a, tree_pos(key), text, tree_quoted(key)) : NULL;
}

static const struct adit_tree *
fold_keys(struct arena *a, const struct adit_tree *node)
{
	struct adit_tree *copy;

	if (tree_type(node) == TREE_SCALAR || !is_of_file(node))
		return node;
	if (tree_type(node) == TREE_LIST) {
		copy = tree_list(a, tree_pos(node));
		for (size_t i = 0; i < tree_len(node); i++)
			tree_append(a, copy, fold_keys(a, tree_item(node, i)));
		return copy;
	}
	copy = tree_map(a, tree_pos(node));
	for (size_t i = 0; i < tree_len(node); i++)
		tree_add(a, copy, lower_key(a, tree_key(node, i)),
			 fold_keys(a, tree_item(node, i)));
	return copy;
}

/* ---- fields -------------------------------------------------------------------------- */

static const struct schema *
row_of(const struct schema_object *object, const char *key)
{
	for (const struct schema *row = object->rows; row->key; row++)
		if (strcasecmp(row->key, key) == 0 ||
		    (row->old_key && strcasecmp(row->old_key, key) == 0))
			return row;
	return NULL;
}

static const struct adit_tree *
print_duration(struct arena *a, const struct adit_tree *value)
{
	char text[40];
	int64_t ns;

	if (scalar_duration(tree_text(value), BARE_NANOSECONDS, &ns) < 0)
		return value;
	scalar_duration_format(ns, text);
	return ns ? tree_scalar(a, tree_pos(value), text, true) : NULL;
}

static bool
is_zero(enum schema_type type, const struct adit_tree *value)
{
	const char *text = tree_text(value);
	bool set;

	if (tree_type(value) != TREE_SCALAR)
		return tree_len(value) == 0;
	if (tree_is_null(value) || !*text)
		return true;
	if (type == SCHEMA_BOOL)
		return scalar_bool(text, &set) == 0 && !set;
	return type == SCHEMA_INT && strspn(text, "0") == strlen(text);
}

static const struct adit_tree *print_map(struct arena *a, const struct schema_object *object,
					 const struct adit_tree *map);

static const struct adit_tree *
print_maps(struct arena *a, const struct schema_object *object, const struct adit_tree *value)
{
	const struct adit_tree *items = tree_items(a, value);
	struct adit_tree *list = tree_list(a, tree_pos(value));

	for (size_t i = 0; i < tree_len(items); i++)
		tree_append(a, list, print_map(a, object, tree_item(items, i)));
	return list;
}

/* NULL: it is not printed, or out of memory. */
static const struct adit_tree *
print_field(struct arena *a, const struct schema *row, const struct adit_tree *value)
{
	if (is_zero(row->type, value))
		return NULL;
	switch (row->type) {
	case SCHEMA_DURATION:
		return print_duration(a, value);
	case SCHEMA_MAP:
		return row->object ? print_map(a, row->object, value) : fold_keys(a, value);
	case SCHEMA_MAPS:
		return row->object ? print_maps(a, row->object, value) : fold_keys(a, value);
	default:
		return fold_keys(a, value);
	}
}

static const struct adit_tree *
print_map(struct arena *a, const struct schema_object *object, const struct adit_tree *map)
{
	struct adit_tree *copy;

	if (tree_type(map) != TREE_MAP)
		return map;
	copy = tree_map(a, tree_pos(map));
	for (size_t i = 0; i < tree_len(map); i++) {
		const struct adit_tree *key = tree_key(map, i), *value = tree_item(map, i);
		const struct schema *row = row_of(object, tree_text(key));

		if (!row || (tree_type(value) == TREE_SCALAR && !is_of_file(value)))
			tree_add(a, copy, key, value);
		else
			tree_add(a, copy, key, print_field(a, row, value));
	}
	return copy;
}

const struct adit_tree *
config_printed(struct arena *a, const struct adit_tree *root)
{
	const struct adit_tree *printed = print_map(a, &schema_root, root);

	return arena_failed(a) ? NULL : printed;
}
