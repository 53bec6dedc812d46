/*
 * The configuration as a tree: what YAML (or JSON, or a URL) said, before anybody asks what it
 * means.
 *
 * A node is a scalar, a list or a map and knows where it was written. Nodes live in an arena and do
 * not change once their tree is complete; an alias is the same node reached twice, never a copy.
 * Map keys are compared without case, keep their order and their spelling, and are unique.
 */
#ifndef ADIT_CORE_CONFIG_TREE_H
#define ADIT_CORE_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/config/arena.h"
#include "core/config/errors.h"

enum {
	TREE_MAX_BYTES = 16 << 20,	/* of one source */
	TREE_MAX_DEPTH = 64,
	TREE_MAX_NODES = 1000000,	/* of one tree, aliases counted as often as they are used */
};

enum tree_type { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct adit_tree;

/* ---- reading: every function takes NULL for "not there" ------------------- */

/* What node is. NULL is a scalar: null. */
enum tree_type tree_type(const struct adit_tree *node);

/* Where node was written; of a node reached by an alias, where the anchor is. */
struct tree_pos tree_pos(const struct adit_tree *node);

/* Where the byte of a scalar's text at offset was written: node's own place where that cannot be
 * told (a text of several lines, with escapes, of an argument). */
struct tree_pos tree_pos_at(const struct adit_tree *node, size_t offset);

/* A scalar's text, never NULL; "" for lists and maps. */
const char *tree_text(const struct adit_tree *node);

/* True for a scalar in quotes (or a block): text whatever it looks like. */
bool tree_quoted(const struct adit_tree *node);

/* True for nothing, ~, null, and an empty plain scalar. */
bool tree_is_null(const struct adit_tree *node);

/* What a person would call it: "a map", "a list", "null", "a text". */
const char *tree_describe(const struct adit_tree *node);

/* Number of items of a list or entries of a map; 0 for scalars. */
size_t tree_len(const struct adit_tree *node);

/* The i-th item of a list, or value of a map. */
const struct adit_tree *tree_item(const struct adit_tree *node, size_t i);

/* The i-th key of a map: a scalar node with its own position. */
const struct adit_tree *tree_key(const struct adit_tree *node, size_t i);

/* The value of key in a map, compared without case; NULL when absent or node is no map. */
const struct adit_tree *tree_get(const struct adit_tree *node, const char *key);

/* As tree_get, for its index; -1 when absent. */
ptrdiff_t tree_find(const struct adit_tree *node, const char *key);

/* Same content: order of map keys and positions do not count, quotes do where they change the
 * meaning. */
bool tree_equal(const struct adit_tree *a, const struct adit_tree *b);

/* ---- building: NULL in, NULL out, so that one check at the end is enough --- */

/* A scalar with a copy of text. quoted: it is a text, also when it looks like a number or bool. */
struct adit_tree *tree_scalar(struct arena *a, struct tree_pos pos, const char *text, bool quoted);
struct adit_tree *tree_list(struct arena *a, struct tree_pos pos);
struct adit_tree *tree_map(struct arena *a, struct tree_pos pos);

/* Adds item at the end of list. */
void tree_append(struct arena *a, struct adit_tree *list, const struct adit_tree *item);

/* A new list of what value lists; a map is the one item of it, and anything else has none. */
struct adit_tree *tree_items(struct arena *a, const struct adit_tree *value);

/* Adds an entry without looking for an older one of that key; the key is a scalar node. */
void tree_add(struct arena *a, struct adit_tree *map, const struct adit_tree *key,
	      const struct adit_tree *value);

/* Sets key, in place of an older value; a new key gets the value's position. */
void tree_set(struct arena *a, struct adit_tree *map, const char *key,
	      const struct adit_tree *value);

/* As tree_set, with a key node that has a place of its own; of an older entry the key stays. */
void tree_replace(struct arena *a, struct adit_tree *map, const struct adit_tree *key,
		  const struct adit_tree *value);

/* tree_set with a text in quotes (what a URL gives), written at pos. */
void tree_set_text(struct arena *a, struct adit_tree *map, const char *key, const char *text,
		   struct tree_pos pos);

/* Removes key in exactly this spelling, if it is there. */
void tree_remove(struct adit_tree *map, const char *key);

/* A copy of a map whose entries can be changed without changing map; the values are shared. */
struct adit_tree *tree_copy(struct arena *a, const struct adit_tree *map);

/* Levels below and including node, and nodes, each alias counted at every use (cut at UINT_MAX). */
unsigned tree_height(const struct adit_tree *node);
unsigned tree_weight(const struct adit_tree *node);

/* Removes each entry whose key an earlier one has; told(arg, key, first) gets both keys before. */
void tree_drop_duplicates(struct arena *a, struct adit_tree *map,
			  void (*told)(void *arg, const struct adit_tree *key,
				       const struct adit_tree *first), void *arg);

/* ---- text to tree and back ------------------------------------------------ */

/*
 * Reads the YAML document of source. Returns its root (an empty map for an empty document), or NULL
 * with the reason in errs. Keys that stand twice are told in errs too, and of these the first
 * counts. Anchors, aliases and << are resolved; JSON is read as the YAML it is.
 */
const struct adit_tree *tree_read(struct arena *a, const struct tree_source *source,
				  struct config_errors *errs);

enum tree_format { TREE_YAML, TREE_JSON };

/* Returns the text of a tree (malloc, terminated, length in *len unless NULL), or NULL without
 * memory. */
char *tree_emit(const struct adit_tree *node, enum tree_format format, size_t *len);

#endif
