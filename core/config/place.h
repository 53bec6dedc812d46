/*
 * A place in the configuration, for what shows only when something is made of it: a plugin that
 * refuses, a file that cannot be read, an address that is taken. It is said as the loader says its
 * findings, with file, line, column and the line itself.
 */
#ifndef ADIT_CORE_CONFIG_PLACE_H
#define ADIT_CORE_CONFIG_PLACE_H

#include <adit/err.h>

#include "core/config/tree.h"

/* On the stack of whoever walks there; all borrowed. */
struct place {
	const struct adit_tree	*node;		/* NULL: nowhere, of no file and no argument */
	const struct tree_path	*path;		/* to node; NULL: not said */
	struct config_errors	*errs;		/* where it is said */
};

/*
 * A place below another one, with the steps of its path from there. In the memory of whoever walks,
 * as long as the place is used.
 */
struct place_step {
	struct tree_path	list, path;
	struct place		at;
};

/*
 * The value of key in up, which is node; NULL: it is not written, and what is to be said of it is
 * said where up stands. Returns the place, which is s's.
 */
const struct place *place_step(struct place_step *s, const struct place *up, const char *key,
			       const struct adit_tree *node);

/* The same for the item of that index, node, of the list that key is in up. */
const struct place *place_step_item(struct place_step *s, const struct place *up, const char *key,
				    size_t index, const struct adit_tree *node);

/*
 * The value in node that text begins with, or node. "tls: certFile: ..." leads through keys,
 * "entrypoints[1].addr: ..." through a list, and "tls: /etc/a.pem: ..." to what in tls names that
 * file (or address).
 */
const struct adit_tree *place_find(const struct adit_tree *node, const char *text);

/* Says e, at the value in p that its text begins with. Returns e's code, which must not be 0. */
int place_refuse(const struct place *p, const struct adit_err *e);

/* As place_refuse, with a text of at most as many bytes as an error's. Returns code. */
int place_say(const struct place *p, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Says of each of keys (ended by NULL) that p's node has, with more than null or an empty list,
 * that it is not available in this build. 0, or ADIT_EUNSUPPORTED.
 */
int place_unavailable(const struct place *p, const char *const *keys);

#endif
