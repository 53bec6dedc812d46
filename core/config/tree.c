#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"
#include "core/config/tree.h"

struct entry {
	const struct adit_tree	*key;		/* NULL in a list */
	const struct adit_tree	*value;
};

struct adit_tree {
	enum tree_type	 type;
	bool		 quoted;
	struct tree_pos	 pos;
	unsigned	 height, weight;
	const char	*text;		/* of a scalar */
	struct entry	*entries;	/* of lists and maps */
	size_t		 n, room;
};

/* ---- reading -------------------------------------------------------------- */

enum tree_type
tree_type(const struct adit_tree *node)
{
	return node ? node->type : TREE_SCALAR;
}

struct tree_pos
tree_pos(const struct adit_tree *node)
{
	return node ? node->pos : (struct tree_pos){ .source = NULL };
}

/* What was written at pos, to the end of its source; NULL if pos is of no text. */
static const char *
source_at(const struct tree_pos *pos, size_t *len)
{
	const struct tree_source *source = pos->source;
	const char *p, *end;

	if (!source || !source->text || source->argument || !pos->column)
		return NULL;
	p = source->text;
	end = p + source->len;
	for (unsigned line = pos->line; p && line > 1; line--) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	for (unsigned column = pos->column; p && p < end && column > 1; column--)
		do
			p++;
		while (p < end && ((unsigned char)*p & 0xc0) == 0x80);
	*len = p ? (size_t)(end - p) : 0;
	return p;
}

struct tree_pos
tree_pos_at(const struct adit_tree *node, size_t offset)
{
	struct tree_pos pos = tree_pos(node);
	const char *text = tree_text(node), *written;
	size_t len = strlen(text), left;
	bool quote;

	written = source_at(&pos, &left);
	if (!written || offset > len || !left)
		return pos;
	quote = *written == '"' || *written == '\'';
	if (left < quote + len || memcmp(written + quote, text, len) != 0)
		return pos;
	pos.column += quote;
	for (size_t i = 0; i < offset; i++)
		pos.column += ((unsigned char)text[i] & 0xc0) != 0x80;
	return pos;
}

const char *
tree_text(const struct adit_tree *node)
{
	return node && node->text ? node->text : "";
}

bool
tree_quoted(const struct adit_tree *node)
{
	return node && node->quoted;
}

bool
tree_is_null(const struct adit_tree *node)
{
	const char *text = tree_text(node);

	if (!node)
		return true;
	if (node->type != TREE_SCALAR || node->quoted)
		return false;
	return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 ||
	       strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0;
}

const char *
tree_describe(const struct adit_tree *node)
{
	if (tree_is_null(node))
		return "null";
	switch (node->type) {
	case TREE_LIST:
		return "a list";
	case TREE_MAP:
		return "a map";
	case TREE_SCALAR:
		break;
	}
	return "a text";
}

size_t
tree_len(const struct adit_tree *node)
{
	return node ? node->n : 0;
}

const struct adit_tree *
tree_item(const struct adit_tree *node, size_t i)
{
	return node && i < node->n ? node->entries[i].value : NULL;
}

const struct adit_tree *
tree_key(const struct adit_tree *node, size_t i)
{
	return node && i < node->n ? node->entries[i].key : NULL;
}

ptrdiff_t
tree_find(const struct adit_tree *node, const char *key)
{
	if (!node || node->type != TREE_MAP)
		return -1;
	for (size_t i = 0; i < node->n; i++)
		if (strcasecmp(tree_text(node->entries[i].key), key) == 0)
			return (ptrdiff_t)i;
	return -1;
}

const struct adit_tree *
tree_get(const struct adit_tree *node, const char *key)
{
	ptrdiff_t i = tree_find(node, key);

	return i < 0 ? NULL : node->entries[i].value;
}

unsigned
tree_height(const struct adit_tree *node)
{
	return node ? node->height : 0;
}

unsigned
tree_weight(const struct adit_tree *node)
{
	return node ? node->weight : 0;
}

/* ---- comparing ------------------------------------------------------------ */

static bool
scalar_equal(const struct adit_tree *a, const struct adit_tree *b)
{
	if (tree_is_null(a) || tree_is_null(b))
		return tree_is_null(a) && tree_is_null(b);
	if (strcmp(tree_text(a), tree_text(b)) != 0)
		return false;
	return a->quoted == b->quoted || scalar_kind(tree_text(a)) == SCALAR_TEXT;
}

static bool
list_equal(const struct adit_tree *a, const struct adit_tree *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!tree_equal(a->entries[i].value, b->entries[i].value))
			return false;
	return true;
}

static bool
map_equal(const struct adit_tree *a, const struct adit_tree *b)
{
	for (size_t i = 0; i < a->n; i++) {
		const char *key = tree_text(a->entries[i].key);
		/* Mostly the order is the same too. */
		bool aligned = strcasecmp(key, tree_text(b->entries[i].key)) == 0;
		ptrdiff_t j = aligned ? (ptrdiff_t)i : tree_find(b, key);

		if (j < 0 || !tree_equal(a->entries[i].value, b->entries[j].value))
			return false;
	}
	return true;
}

bool
tree_equal(const struct adit_tree *a, const struct adit_tree *b)
{
	if (a == b)
		return true;
	if (tree_type(a) != tree_type(b))
		return false;
	if (tree_type(a) == TREE_SCALAR)
		return scalar_equal(a, b);
	if (a->n != b->n || a->weight != b->weight)
		return false;
	return a->type == TREE_LIST ? list_equal(a, b) : map_equal(a, b);
}

/* ---- building ------------------------------------------------------------- */

static struct adit_tree *
node_new(struct arena *a, enum tree_type type, struct tree_pos pos)
{
	struct adit_tree *node = arena_alloc(a, sizeof(*node));

	if (!node)
		return NULL;
	node->type = type;
	node->pos = pos;
	node->height = node->weight = 1;
	return node;
}

struct adit_tree *
tree_scalar(struct arena *a, struct tree_pos pos, const char *text, bool quoted)
{
	struct adit_tree *node = node_new(a, TREE_SCALAR, pos);

	if (!node)
		return NULL;
	node->quoted = quoted;
	node->text = arena_strdup(a, text);
	return node->text ? node : NULL;
}

struct adit_tree *
tree_list(struct arena *a, struct tree_pos pos)
{
	return node_new(a, TREE_LIST, pos);
}

struct adit_tree *
tree_map(struct arena *a, struct tree_pos pos)
{
	return node_new(a, TREE_MAP, pos);
}

static void
add_size(struct adit_tree *node, const struct adit_tree *child)
{
	if (node->height <= child->height)
		node->height = child->height + 1;
	if (UINT_MAX - node->weight < child->weight)
		node->weight = UINT_MAX;
	else
		node->weight += child->weight;
}

static void
add_entry(struct arena *a, struct adit_tree *node, struct entry new)
{
	if (node->n == node->room) {
		size_t room = node->room ? node->room * 2 : 4;
		struct entry *grown = arena_grow(a, node->entries, node->n, room, sizeof(*grown));

		if (!grown)
			return;
		node->entries = grown;
		node->room = room;
	}
	node->entries[node->n++] = new;
	add_size(node, new.value);
}

void
tree_append(struct arena *a, struct adit_tree *list, const struct adit_tree *item)
{
	if (list && item)
		add_entry(a, list, (struct entry){ .value = item });
}

struct adit_tree *
tree_items(struct arena *a, const struct adit_tree *value)
{
	struct adit_tree *list = tree_list(a, tree_pos(value));

	if (tree_type(value) == TREE_MAP)
		tree_append(a, list, value);
	for (size_t i = 0; tree_type(value) == TREE_LIST && i < tree_len(value); i++)
		tree_append(a, list, tree_item(value, i));
	return list;
}

void
tree_add(struct arena *a, struct adit_tree *map, const struct adit_tree *key,
	 const struct adit_tree *value)
{
	if (map && key && value)
		add_entry(a, map, (struct entry){ .key = key, .value = value });
}

void
tree_replace(struct arena *a, struct adit_tree *map, const struct adit_tree *key,
	     const struct adit_tree *value)
{
	ptrdiff_t i;

	if (!map || !key || !value)
		return;
	i = tree_find(map, tree_text(key));
	if (i < 0) {
		tree_add(a, map, key, value);
		return;
	}
	map->weight -= map->entries[i].value->weight;
	map->entries[i].value = value;
	add_size(map, value);
}

void
tree_set(struct arena *a, struct adit_tree *map, const char *key, const struct adit_tree *value)
{
	if (map && value)
		tree_replace(a, map, tree_scalar(a, value->pos, key, false), value);
}

void
tree_set_text(struct arena *a, struct adit_tree *map, const char *key, const char *text,
	      struct tree_pos pos)
{
	tree_set(a, map, key, tree_scalar(a, pos, text, true));
}

void
tree_remove(struct adit_tree *map, const char *key)
{
	for (size_t i = 0; map && i < map->n; i++) {
		if (strcmp(tree_text(map->entries[i].key), key) != 0)
			continue;
		map->weight -= map->entries[i].value->weight;
		memmove(&map->entries[i], &map->entries[i + 1],
			(map->n - i - 1) * sizeof(*map->entries));
		map->n--;
		return;
	}
}

struct adit_tree *
tree_copy(struct arena *a, const struct adit_tree *map)
{
	struct adit_tree *copy = map ? tree_map(a, map->pos) : NULL;

	for (size_t i = 0; copy && i < map->n; i++)
		add_entry(a, copy, map->entries[i]);
	return copy;
}

/* ---- duplicates ----------------------------------------------------------- */

struct numbered {
	const char	*key;
	size_t		 i;
};

static int
compare_keys(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int order = strcasecmp(x->key, y->key);

	return order ? order : x->i < y->i ? -1 : 1;
}

void
tree_drop_duplicates(struct arena *a, struct adit_tree *map,
		     void (*told)(void *arg, const struct adit_tree *key,
				  const struct adit_tree *first), void *arg)
{
	struct numbered *keys;
	size_t first = 0, n = 0;

	if (tree_len(map) < 2)
		return;
	keys = calloc(map->n, sizeof(*keys));
	if (!keys) {
		arena_fail(a);
		return;
	}
	for (size_t i = 0; i < map->n; i++)
		keys[i] = (struct numbered){ .key = tree_text(map->entries[i].key), .i = i };
	qsort(keys, map->n, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < map->n; i++) {
		struct entry *again = &map->entries[keys[i].i];

		if (strcasecmp(keys[first].key, keys[i].key) != 0) {
			first = i;
			continue;
		}
		told(arg, again->key, map->entries[keys[first].i].key);
		map->weight -= again->value->weight;
		again->value = NULL;
	}
	free(keys);
	for (size_t i = 0; i < map->n; i++)
		if (map->entries[i].value)
			map->entries[n++] = map->entries[i];
	map->n = n;
}
