#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/place.h"

/* Whether a key that a text begins with may end before c. */
static bool
ends_key(char c)
{
	return c == 0 || strchr(".:[ ", c) != NULL;
}

/* The longest key of map that text begins with (keys may have dots of their own), or -1. */
static ptrdiff_t
find_key(const struct adit_tree *map, const char *text, size_t *len)
{
	ptrdiff_t found = -1;

	*len = 0;
	for (size_t i = 0; tree_type(map) == TREE_MAP && i < tree_len(map); i++) {
		const char *key = tree_text(tree_key(map, i));
		size_t n = strlen(key);

		if (n <= *len || strncasecmp(text, key, n) != 0 || !ends_key(text[n]))
			continue;
		*len = n;
		found = (ptrdiff_t)i;
	}
	return found;
}

/* The file or address that text begins with, somewhere below node: a mere word may be one of the
 * text's own. */
static const struct adit_tree *
find_value(const struct adit_tree *node, const char *text)
{
	const struct adit_tree *found = NULL;
	size_t len = strlen(tree_text(node));

	if (strpbrk(tree_text(node), "/.:") && strncmp(text, tree_text(node), len) == 0 &&
	    (!text[len] || text[len] == ':' || text[len] == ' '))
		return node;
	for (size_t i = 0; !found && i < tree_len(node); i++)
		found = find_value(tree_item(node, i), text);
	return found;
}

/* "[1]", if node is a list that long. */
static const struct adit_tree *
find_item(const struct adit_tree *node, const char *text, size_t *len)
{
	char *end;
	unsigned long i;

	*len = 0;
	if (tree_type(node) != TREE_LIST || text[0] != '[' || text[1] < '0' || text[1] > '9')
		return NULL;
	i = strtoul(text + 1, &end, 10);
	if (*end != ']' || i >= tree_len(node))
		return NULL;
	*len = (size_t)(end + 1 - text);
	return tree_item(node, i);
}

const struct adit_tree *
place_find(const struct adit_tree *node, const char *text)
{
	const struct adit_tree *value;
	size_t len;

	for (;;) {
		ptrdiff_t i = find_key(node, text, &len);

		value = i < 0 ? find_item(node, text, &len) : tree_item(node, (size_t)i);
		if (!value)
			break;
		node = value;
		text += len;
		text += *text == '.' ? 1 : strncmp(text, ": ", 2) == 0 ? 2 : 0;
	}
	value = find_value(node, text);
	return value ? value : node;
}

const struct place *
place_step(struct place_step *s, const struct place *up, const char *key,
	   const struct adit_tree *node)
{
	s->path = (struct tree_path){ .up = up->path, .key = key };
	s->at = (struct place){
		.node = node ? node : up->node, .path = &s->path, .errs = up->errs,
	};
	return &s->at;
}

const struct place *
place_step_item(struct place_step *s, const struct place *up, const char *key, size_t index,
		const struct adit_tree *node)
{
	s->list = (struct tree_path){ .up = up->path, .key = key };
	place_step(s, up, NULL, node);
	s->path = (struct tree_path){ .up = &s->list, .index = index };
	return &s->at;
}

int
place_refuse(const struct place *p, const struct adit_err *e)
{
	const struct config_problem problem = {
		.pos = tree_pos(place_find(p->node, e->text)), .path = p->path,
	};

	config_errors_add(p->errs, &problem, "%s", e->text);
	return e->code;
}

int
place_say(const struct place *p, int code, const char *fmt, ...)
{
	struct adit_err e = { .code = code };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	return place_refuse(p, &e);
}

int
place_unavailable(const struct place *p, const char *const *keys)
{
	int err = 0;

	for (; *keys; keys++) {
		const struct adit_tree *value = tree_get(p->node, *keys);
		struct place_step key;

		if (tree_is_null(value) || (tree_type(value) == TREE_LIST && !tree_len(value)))
			continue;
		err = place_say(place_step(&key, p, *keys, value), ADIT_EUNSUPPORTED,
				"%s is not available in this build", *keys);
	}
	return err;
}
