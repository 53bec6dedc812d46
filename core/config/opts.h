/*
 * Option rows (adit/opt.h) against the configuration tree: filling an instance, checking without
 * one, and printing the reference. Rows are what a plugin declares; nodes are its `metadata`.
 */
#ifndef ADIT_CORE_CONFIG_OPTS_H
#define ADIT_CORE_CONFIG_OPTS_H

#include <stdio.h>

#include <adit/opt.h>

#include "core/config/tree.h"

struct opts_src {
	const struct adit_tree	*node;		/* a map; NULL or null: no keys at all */
	const struct tree_path	*path;		/* of node, for messages */
	bool			 lenient;	/* keys unknown to the rows: passed over */
};

/*
 * Fills a zeroed instance: defaults first, then what the node says. The instance owns its texts and
 * lists (adit_opt_fini frees them, also after an error); ADIT_OPT_TREE rows point into the node.
 * Returns 0, or ADIT_ECONFIG with every reason in errs.
 */
int opts_fill(const struct adit_opt *rows, void *instance, const struct opts_src *src,
	      struct config_errors *errs);

/* Checks one value against its row. Returns 0 or ADIT_ECONFIG. path leads to the value. */
int opts_check_value(const struct adit_opt *row, const struct adit_tree *value,
		     const struct tree_path *path, struct config_errors *errs);

/* The node that row takes its value from (its name, then its aliases), or NULL when none is
 * there. */
const struct adit_tree *opts_value(const struct adit_opt *row, const struct adit_tree *node);

/* Shows every name and alias of rows to n. rows may be NULL. */
void opts_nearest(const struct adit_opt *rows, struct nearest *n);

/* Prints the reference of one plugin: every key with aliases, type, default, limits and its line of
 * help. */
void opts_print(FILE *f, const char *kind, const char *name, const struct adit_opt *rows);

#endif
