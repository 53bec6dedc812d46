/*
 * The shape of a configuration as tables: which keys a map takes, of which type, and where in a
 * struct the value goes. One walk over tree and table fills the struct and finds every error. What
 * is made lives in the configuration's arena; all in the loading thread.
 */
#ifndef ADIT_CORE_CONFIG_SCHEMA_H
#define ADIT_CORE_CONFIG_SCHEMA_H

#include "core/config/model.h"

enum schema_type {
	SCHEMA_BOOL,		/* bool */
	SCHEMA_INT,		/* int64_t; 0 to the row's max */
	SCHEMA_DURATION,	/* int64_t ns, not negative; a bare integer is nanoseconds, in
				 * quotes an error */
	SCHEMA_SIZE,		/* text: "10MB" is checked, not stored as a number */
	SCHEMA_TEXT,		/* const char *; with words, one of them */
	SCHEMA_WORD,		/* int: the value of one of words */
	SCHEMA_NAME,		/* const char *: of an object in the list `refers` */
	SCHEMA_TEXTS,		/* struct adit_strings: a list or one text; adds to what is there */
	SCHEMA_NAMES,		/* same, of objects in the list `refers` */
	SCHEMA_PAIRS,		/* struct adit_pairs */
	SCHEMA_MAP,		/* pointer to the object's struct; if it has none, to the node */
	SCHEMA_MAPS,		/* { size_t n; struct *v; }; if it has none, pointer to the node */
	SCHEMA_TREE,		/* const struct adit_tree *: not looked into here */
	SCHEMA_IGNORED,		/* taken and dropped: what the API prints and nobody reads */
};

enum {
	SCHEMA_REQUIRED = 1,
	SCHEMA_SECRET = 2,	/* never shown */
	SCHEMA_SINGLE = 4,	/* of SCHEMA_NAMES: one text, no list */
	SCHEMA_TOP = 8,		/* of SCHEMA_MAPS: the objects of the list `refers` */
	SCHEMA_SIGNED = 16,	/* of numbers and durations: negative ones mean something */
};
#define SCHEMA_NOWHERE SIZE_MAX	/* checked, not stored */

struct walk;
struct schema_object;

struct schema_word {
	const char	*text;
	int		 value;
};

struct schema {
	const char			*key;
	const char			*old_key;	/* deprecated, or NULL */
	enum schema_type		 type;
	size_t				 offset;
	const struct schema_object	*object;
	const struct schema_word	*words;
	enum config_list		 refers;
	unsigned			 flags;
	int64_t				 max;		/* of SCHEMA_INT; 0: none */

	/* Looks at a value of the right type; adds errors itself. Optional. */
	void (*check)(struct walk *w, const struct adit_tree *value, const struct tree_path *path);
};

struct schema_object {
	size_t			 size;		/* 0: nothing is stored but the node */
	const struct schema	*rows;		/* ended by key NULL */

	/* After all rows. base: the struct (NULL if size is 0). Optional. */
	void	(*finish)(struct walk *w, void *base, const struct adit_tree *node,
			  const struct tree_path *path);

	/* Where a key that is unknown here belongs ("metadata"), or NULL. Optional. */
	const char *(*place)(struct walk *w, const struct adit_tree *node, const char *key);
};

/* One reference from a top object to another. */
struct schema_ref {
	enum config_list	 list;
	size_t			 index;
};

struct walk {
	struct arena			*arena;
	struct config_errors		*errs;
	const struct config_kinds	*kinds;
	struct config			*config;
	bool				 partial;	/* a part could not be read: what seems
							 * not to be there may be in it */
	struct schema_ref		*refs;		/* of the top object being walked */
	size_t				 n_refs, room_refs;
};

/* Fills base (zeroed) from node by the table. */
void schema_walk(struct walk *w, const struct schema_object *object, void *base,
		 const struct adit_tree *node, const struct tree_path *path);

/* Adds an error at node. hint may be NULL. */
void schema_error(struct walk *w, const struct adit_tree *node, const struct tree_path *path,
		  const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* As schema_error for what forbids to start, but not to print. */
void schema_start_error(struct walk *w, const struct adit_tree *node, const struct tree_path *path,
			const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Checks that an object of that name exists and remembers the reference. Returns whether it
 * does. */
bool schema_refer(struct walk *w, enum config_list list, const struct adit_tree *name,
		  const struct tree_path *path);

/* The table of the whole configuration (schema_tables.c). */
extern const struct schema_object schema_root;

/* Lists by their name at the top ("ingresses", -1 for others). */
int schema_list_by_name(const char *name);

/* Keeps the references of a top object when it has been walked. */
void config_index_keep(struct walk *w, enum config_list list, size_t index);

/* Shows n all names of a list. */
void config_index_nearest(const struct config *c, enum config_list list, struct nearest *n);

#endif
