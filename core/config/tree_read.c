/* YAML to tree, over libyaml's events. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/config/tree.h"

enum {
	MAX_ANCHORS = 1000,
	MAX_MERGED_KEYS = 4096,		/* of a map with a << in it */
	MAX_MERGED_MAPS = 64,		/* in one << */
};

struct anchor {
	struct anchor		*next;
	const char		*name;
	const struct adit_tree	*node;		/* NULL while it is still being read */
};

struct reader {
	yaml_parser_t			 yaml;
	struct arena			*arena;
	const struct tree_source	*source;
	struct config_errors		*errs;
	struct anchor			*anchors;	/* newest first: names may return */
	unsigned			 depth, nodes, n_anchors;
	bool				 failed;	/* a reason is in errs: stop */
};

static struct tree_pos
position(const struct reader *r, yaml_mark_t mark)
{
	return (struct tree_pos){
		.source = r->source,
		.line = (unsigned)mark.line + 1,
		.column = (unsigned)mark.column + 1,
	};
}

__attribute__((format(printf, 3, 0))) static void
complain(struct reader *r, struct tree_pos pos, const char *fmt, va_list ap)
{
	struct config_problem problem = { .pos = pos };
	char text[200];

	vsnprintf(text, sizeof(text), fmt, ap);
	config_errors_add(r->errs, &problem, "%s", text);
}

__attribute__((format(printf, 3, 4))) static void
fail(struct reader *r, struct tree_pos pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(r, pos, fmt, ap);
	va_end(ap);
	r->failed = true;
}

/* A mistake that does not keep the rest from being read. */
__attribute__((format(printf, 3, 4))) static void
mistake(struct reader *r, struct tree_pos pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(r, pos, fmt, ap);
	va_end(ap);
}

static void
fail_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->yaml;
	const char *problem = p->problem ? p->problem : "cannot be read";
	struct tree_pos pos = position(r, p->problem_mark);

	if (p->error == YAML_READER_ERROR) {
		/* No mark is kept for bytes that are not UTF-8. */
		for (size_t i = 0; i < p->problem_offset && i < r->source->len; i++)
			pos.line += r->source->text[i] == '\n';
		pos.column = 1;
	}
	fail(r, pos, "%s", problem);
}

static bool
next_event(struct reader *r, yaml_event_t *event)
{
	if (yaml_parser_parse(&r->yaml, event))
		return true;
	fail_syntax(r);
	return false;
}

/* ---- anchors -------------------------------------------------------------- */

static struct anchor *
anchor_begin(struct reader *r, const yaml_event_t *event, const yaml_char_t *name)
{
	struct anchor *new;

	if (!name)
		return NULL;
	if (++r->n_anchors > MAX_ANCHORS) {
		fail(r, position(r, event->start_mark), "more than %d anchors", MAX_ANCHORS);
		return NULL;
	}
	new = arena_alloc(r->arena, sizeof(*new));
	if (!new)
		return NULL;
	new->name = arena_strdup(r->arena, (const char *)name);
	new->next = r->anchors;
	r->anchors = new;
	return new;
}

static const struct adit_tree *
read_alias(struct reader *r, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	struct tree_pos pos = position(r, event->start_mark);

	for (struct anchor *a = r->anchors; a; a = a->next) {
		if (!a->name || strcmp(a->name, name) != 0)
			continue;
		if (!a->node)
			fail(r, pos, "alias *%s is inside what it stands for", name);
		return a->node;
	}
	fail(r, pos, "no anchor &%s before this alias", name);
	return NULL;
}

/* ---- nodes ---------------------------------------------------------------- */

static const struct adit_tree *read_node(struct reader *r, const yaml_event_t *event);

/* An alias may stand for much more than its own bytes. */
static bool
within_limits(struct reader *r, const struct adit_tree *parent, const struct adit_tree *child,
	      struct tree_pos pos)
{
	if (r->depth + tree_height(child) > TREE_MAX_DEPTH) {
		fail(r, pos, "nested deeper than %d levels", TREE_MAX_DEPTH);
		return false;
	}
	if (tree_weight(child) > TREE_MAX_NODES ||
	    tree_weight(parent) > TREE_MAX_NODES - tree_weight(child)) {
		fail(r, pos, "more than %d nodes", TREE_MAX_NODES);
		return false;
	}
	return true;
}

static bool
known_tag(const yaml_char_t *tag)
{
	static const char *const known[] = {
		YAML_STR_TAG, YAML_INT_TAG, YAML_BOOL_TAG, YAML_FLOAT_TAG,
		YAML_NULL_TAG, YAML_MAP_TAG, YAML_SEQ_TAG, "!",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp((const char *)tag, known[i]) == 0)
			return true;
	return false;
}

static bool
check_tag(struct reader *r, const yaml_char_t *tag, yaml_mark_t mark)
{
	if (!tag || known_tag(tag))
		return true;
	fail(r, position(r, mark), "unknown tag %.60s", (const char *)tag);
	return false;
}

static const struct adit_tree *
read_scalar(struct reader *r, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	const yaml_char_t *tag = event->data.scalar.tag;
	struct tree_pos pos = position(r, event->start_mark);
	bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;

	if (!check_tag(r, tag, event->start_mark))
		return NULL;
	if (strlen(text) != event->data.scalar.length) {
		fail(r, pos, "a text cannot hold a NUL character");
		return NULL;
	}
	if (tag)
		quoted =
			!strcmp((const char *)tag, YAML_STR_TAG) || !strcmp((const char *)tag, "!");
	return tree_scalar(r->arena, pos, text, quoted);
}

static const struct adit_tree *
read_list(struct reader *r, const yaml_event_t *start)
{
	struct adit_tree *list = tree_list(r->arena, position(r, start->start_mark));
	const struct adit_tree *item;
	yaml_event_t event;

	if (!check_tag(r, start->data.sequence_start.tag, start->start_mark))
		return NULL;
	while (!r->failed && next_event(r, &event)) {
		bool end = event.type == YAML_SEQUENCE_END_EVENT;
		struct tree_pos pos = position(r, event.start_mark);

		item = end ? NULL : read_node(r, &event);
		yaml_event_delete(&event);
		if (end)
			return list;
		if (!item || !within_limits(r, list, item, pos))
			return NULL;
		tree_append(r->arena, list, item);
	}
	return NULL;
}

/* ---- maps ----------------------------------------------------------------- */

/* What the map itself says wins over what << brings, and of several maps in a << the earlier. */
static void
merge_map(struct reader *r, struct adit_tree *map, const struct adit_tree *from,
	  struct tree_pos pos)
{
	if (tree_len(map) + tree_len(from) > MAX_MERGED_KEYS) {
		fail(r, pos, "<< makes a map of more than %d keys", MAX_MERGED_KEYS);
		return;
	}
	for (size_t i = 0; i < tree_len(from); i++) {
		const struct adit_tree *key = tree_key(from, i);

		if (!tree_get(map, tree_text(key)))
			tree_add(r->arena, map, key, tree_item(from, i));
	}
}

static void
merge(struct reader *r, struct adit_tree *map, const struct adit_tree *from, struct tree_pos pos)
{
	if (tree_type(from) == TREE_MAP) {
		merge_map(r, map, from, pos);
		return;
	}
	if (tree_type(from) != TREE_LIST) {
		fail(r, pos, "<< takes a map or a list of maps, not %s", tree_describe(from));
		return;
	}
	if (tree_len(from) > MAX_MERGED_MAPS)
		fail(r, pos, "<< with more than %d maps", MAX_MERGED_MAPS);
	for (size_t i = 0; i < tree_len(from) && !r->failed; i++) {
		const struct adit_tree *item = tree_item(from, i);

		if (tree_type(item) == TREE_MAP)
			merge_map(r, map, item, pos);
		else
			fail(r, pos, "<< takes a map or a list of maps, not a list with %s",
			     tree_describe(item));
	}
}

static void
told_duplicate(void *arg, const struct adit_tree *key, const struct adit_tree *first)
{
	mistake(arg, tree_pos(key), "key \"%.100s\" stands here twice, first in line %u",
		tree_text(key), tree_pos(first).line);
}

static const struct adit_tree *
read_key(struct reader *r, const yaml_event_t *event)
{
	const struct adit_tree *key;

	if (event->type != YAML_SCALAR_EVENT && event->type != YAML_ALIAS_EVENT) {
		fail(r, position(r, event->start_mark), "a key must be a text");
		return NULL;
	}
	key = read_node(r, event);
	if (key && tree_type(key) != TREE_SCALAR) {
		fail(r, position(r, event->start_mark), "a key must be a text, not %s",
		     tree_describe(key));
		return NULL;
	}
	return key;
}

static const struct adit_tree *
read_value(struct reader *r, const struct adit_tree *map)
{
	const struct adit_tree *value;
	struct tree_pos pos;
	yaml_event_t event;

	if (!next_event(r, &event))
		return NULL;
	pos = position(r, event.start_mark);
	value = read_node(r, &event);
	yaml_event_delete(&event);
	return value && within_limits(r, map, value, pos) ? value : NULL;
}

static const struct adit_tree *
finish_map(struct reader *r, struct adit_tree *map, const struct adit_tree *merged,
	   struct tree_pos pos)
{
	tree_drop_duplicates(r->arena, map, told_duplicate, r);
	if (merged && !r->failed)
		merge(r, map, merged, pos);
	if (tree_weight(map) > TREE_MAX_NODES && !r->failed)
		fail(r, pos, "more than %d nodes", TREE_MAX_NODES);
	return r->failed ? NULL : map;
}

static const struct adit_tree *
read_map(struct reader *r, const yaml_event_t *start)
{
	struct adit_tree *map = tree_map(r->arena, position(r, start->start_mark));
	const struct adit_tree *key, *value, *merged = NULL;
	struct tree_pos merged_at = { .source = NULL };
	yaml_event_t event;

	if (!check_tag(r, start->data.mapping_start.tag, start->start_mark))
		return NULL;
	while (!r->failed && next_event(r, &event)) {
		bool end = event.type == YAML_MAPPING_END_EVENT;

		key = end ? NULL : read_key(r, &event);
		yaml_event_delete(&event);
		if (end)
			return finish_map(r, map, merged, merged_at);
		value = key ? read_value(r, map) : NULL;
		if (!value)
			return NULL;
		if (strcmp(tree_text(key), "<<") != 0 || tree_quoted(key)) {
			tree_add(r->arena, map, key, value);
		} else if (merged) {
			mistake(r, tree_pos(key), "key \"<<\" stands here twice");
		} else {
			merged = value;
			merged_at = tree_pos(key);
		}
	}
	return NULL;
}

static const struct adit_tree *
read_anchored(struct reader *r, const yaml_event_t *event, const yaml_char_t *name)
{
	struct anchor *anchor = anchor_begin(r, event, name);
	const struct adit_tree *node;

	if (event->type == YAML_SCALAR_EVENT)
		node = read_scalar(r, event);
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		node = read_list(r, event);
	else
		node = read_map(r, event);
	if (anchor)
		anchor->node = node;
	return node;
}

static const struct adit_tree *
read_node(struct reader *r, const yaml_event_t *event)
{
	const struct adit_tree *node = NULL;
	const yaml_char_t *name = NULL;

	if (event->type == YAML_ALIAS_EVENT)
		return read_alias(r, event);
	if (event->type == YAML_SCALAR_EVENT)
		name = event->data.scalar.anchor;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		name = event->data.sequence_start.anchor;
	else
		name = event->data.mapping_start.anchor;
	if (r->depth >= TREE_MAX_DEPTH) {
		fail(r, position(r, event->start_mark), "nested deeper than %d levels",
		     TREE_MAX_DEPTH);
		return NULL;
	}
	if (++r->nodes > TREE_MAX_NODES) {
		fail(r, position(r, event->start_mark), "more than %d nodes", TREE_MAX_NODES);
		return NULL;
	}
	r->depth++;
	node = read_anchored(r, event, name);
	r->depth--;
	return node;
}

static const struct adit_tree *
read_document(struct reader *r)
{
	const struct adit_tree *root = NULL;
	yaml_event_t event;
	bool done = false;

	while (!done && next_event(r, &event)) {
		switch (event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_START_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			root = tree_map(r->arena, position(r, event.start_mark));
			done = true;
			break;
		default:
			root = read_node(r, &event);
			done = true;
		}
		yaml_event_delete(&event);
	}
	if (root && tree_is_null(root))
		root = tree_map(r->arena, tree_pos(root));
	return root;
}

/* What follows the root must be the end: nobody would look at another document. */
static void
finish_document(struct reader *r)
{
	yaml_event_t event;
	bool end = false;

	while (!end && !r->failed && next_event(r, &event)) {
		/* No event: the end was seen already, there was no document. */
		end = event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT;
		if (event.type == YAML_DOCUMENT_START_EVENT)
			fail(r, position(r, event.start_mark),
			     "a second document begins here; a configuration is one");
		yaml_event_delete(&event);
	}
}

const struct adit_tree *
tree_read(struct arena *a, const struct tree_source *source, struct config_errors *errs)
{
	struct reader r = { .arena = a, .source = source, .errs = errs };
	const struct adit_tree *root;

	if (source->len > TREE_MAX_BYTES) {
		fail(&r, (struct tree_pos){ .source = source, .line = 1, .column = 1 },
		     "larger than %d MiB", TREE_MAX_BYTES >> 20);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.yaml)) {
		fail(&r, (struct tree_pos){ .source = NULL }, "out of memory");
		return NULL;
	}
	yaml_parser_set_input_string(&r.yaml, (const unsigned char *)source->text, source->len);
	root = read_document(&r);
	if (root && !r.failed)
		finish_document(&r);
	yaml_parser_delete(&r.yaml);
	if (!root && !r.failed)
		fail(&r, (struct tree_pos){ .source = NULL }, "out of memory");
	return r.failed ? NULL : root;
}
