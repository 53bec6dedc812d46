/*
 * What is wrong with a configuration, all of it: every check adds its findings here and goes on,
 * and the loader prints the lot. One thread at a time. An entry is rendered when it is added, so it
 * outlives tree and source:
 *
 *	web.yaml:7:5: services[0].handlr: unknown key, did you mean "handler"?
 *	    7 |     handlr:
 *	      |     ^
 */
#ifndef ADIT_CORE_CONFIG_ERRORS_H
#define ADIT_CORE_CONFIG_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A text that was read: a file, standard input, an argument. Outlives the nodes that name it. */
struct tree_source {
	const char	*name;		/* "web.yaml", "stdin", "-L", "GOST_API" */
	const char	*text;
	size_t		 len;
	bool		 argument;	/* one line, shown in place of a file name */
};

struct tree_pos {
	const struct tree_source	*source;	/* NULL: made by the program itself */
	unsigned			 line, column;	/* from 1, in characters */
};

/* The way from the root to a node, innermost first. Made on the stack while walking down. */
struct tree_path {
	const struct tree_path	*up;		/* NULL: the root */
	const char		*key;		/* of a map; NULL: an item of a list */
	size_t			 index;
};

struct config_problem {
	struct tree_pos		 pos;
	const struct tree_path	*path;		/* NULL: not said (always so for arguments) */
	const char		*hint;		/* the nearest known name, or NULL */
	bool			 start_only;	/* forbids to start, not to print */
};

struct config_errors;

/* Returns an empty collection, or NULL. */
struct config_errors *config_errors_new(void);
void config_errors_free(struct config_errors *errs);

/* Adds one finding. The same text at the same place counts once; past 100 all are only counted. */
void config_errors_add(struct config_errors *errs, const struct config_problem *p, const char *fmt,
		       ...) __attribute__((format(printf, 3, 4)));

/*
 * Where that is, for the text of a finding elsewhere: "services[0].addr, web.yaml:3:9", or
 * "-L \"tcp://:80\":7", where an argument needs no path. To be freed; NULL: out of memory.
 */
char *config_where(struct tree_pos pos, const struct tree_path *path);

/* How many forbid to start, and how many of these also forbid to print. */
size_t config_errors_count(const struct config_errors *errs);
size_t config_errors_hard(const struct config_errors *errs);

/* The i-th kept finding in order of source, line and column, as printed (without the last newline);
 * NULL past the last. Belongs to errs. */
const char *config_errors_text(const struct config_errors *errs, size_t i);

/* Prints all, one below the other, and how many were left out. */
void config_errors_print(const struct config_errors *errs, FILE *f);

/* The known name that is nearest to a word by edit distance, for "did you mean". */
struct nearest {
	const char	*word;
	const char	*best;		/* NULL: none is near enough */
	unsigned	 distance;
};

/* Begin with a word, show every candidate, read best. The candidates must live as long. */
void nearest_init(struct nearest *n, const char *word);
void nearest_try(struct nearest *n, const char *candidate);

#endif
