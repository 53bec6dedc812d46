/*
 * The kinds of plugin that a configuration names by `type:`, and what is known of them: gost's own
 * lists, which decide how its URLs are read, and whatever the registry of this process has. Core
 * knows the registry only through struct config_kinds.
 */
#ifndef ADIT_CORE_CONFIG_KINDS_H
#define ADIT_CORE_CONFIG_KINDS_H

#include <stdbool.h>

#include <adit/opt.h>
#include <adit/plugin.h>

#include "core/config/errors.h"

/* What is registered. Each function may be NULL: nothing is. All are called from the loading
 * thread. */
struct config_kinds {
	void	*arg;

	/* The i-th name of a kind, NULL past the last. */
	const char *(*name)(void *arg, enum adit_kind kind, size_t i);

	/* The option rows of a plugin (NULL: it takes none); *known tells whether there is such a
	 * plugin. */
	const struct adit_opt *(*opts)(void *arg, enum adit_kind kind, const char *name,
				       bool *known);

	/* For a handler that a URL names alone, its listener (for a connector its dialer), or NULL:
	 * tcp. */
	const char *(*partner)(void *arg, enum adit_kind kind, const char *name);

	/* Checks the rule of a matcher. Returns 0, or a code with e, *at being the byte of rule at
	 * which it goes wrong. */
	int (*check_rule)(void *arg, const char *rule, size_t *at, struct adit_err *e);
};

/* "handler", "listener", ... */
const char *config_kind_name(enum adit_kind kind);

/* True for a name on gost's list of this kind. */
bool kinds_gost_has(enum adit_kind kind, const char *name);

/* True for a registered name. kinds may be NULL. */
bool kinds_registered(const struct config_kinds *kinds, enum adit_kind kind, const char *name);

/* Either of both: what the URL parser goes by. */
bool kinds_url_known(const struct config_kinds *kinds, enum adit_kind kind, const char *name);

/* Shows every name of a kind to n; with something registered only that, since nothing else would
 * start. */
void kinds_nearest(const struct config_kinds *kinds, enum adit_kind kind, struct nearest *n);

#endif
