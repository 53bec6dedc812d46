/* The parts of a command line URL, before they mean anything. For url*.c alone. */
#ifndef ADIT_CORE_CONFIG_URL_SPLIT_H
#define ADIT_CORE_CONFIG_URL_SPLIT_H

#include "core/config/tree.h"

/* A stretch of the argument, as it stands there. */
struct url_slice {
	const char	*text;		/* not terminated */
	size_t		 len;
};

struct url {
	struct arena			*arena;
	const struct tree_source	*source;
	const char			*scheme;	/* lower case; "http+tls" for https */
	bool				 implied;	/* no scheme was given: "auto" */
	struct tree_pos			 pos;		/* of its first character */
	const char			*user, *password;	/* decoded; NULL: not given */
	struct url_slice		 host, path;	/* not decoded, path with its slashes */
	struct adit_tree		*params;	/* decoded; the first of a name counts */
};

/* True when there is nothing in it. */
bool url_is_blank(const struct tree_source *arg);

/* Returns 0, or -1 with the reason in errs. The argument is not blank. */
int url_split(struct arena *a, const struct tree_source *arg, struct config_errors *errs,
	      struct url *url);

/*
 * The two names of a scheme; for one name both pointers are the same. Returns -1 when there are
 * more (or without memory): then neither is known.
 */
int url_names(struct arena *a, const struct url *url, const char **first, const char **second);

/* Where a character of the argument stands. */
struct tree_pos url_pos(const struct tree_source *arg, const char *at);

/* Adds an error about the character at `at`. Returns -1. */
int url_error(struct config_errors *errs, const struct tree_source *arg, const char *at,
	      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* "user:password" in base64, either alphabet, padded or not. Returns 0 or -1 (nothing is set
 * then). */
int url_base64_pair(struct arena *a, const char *text, const char **user, const char **password);

#endif
