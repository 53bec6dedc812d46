/*
 * The registry: which plugins there are. Filled once in the main thread before anything is
 * configured (built-ins, then shared objects), read by anybody afterwards.
 */
#ifndef ADIT_CORE_REGISTRY_H
#define ADIT_CORE_REGISTRY_H

#include <adit/plugin.h>

struct registry;

struct registry *registry_new(void);		/* empty; NULL: out of memory */
void registry_free(struct registry *r);		/* NULL is fine */

/*
 * Adds a table, which must live as long as r. A shorter one, of before operations were added, gets
 * NULL for them: whatever r gives can be asked for all. -EINVAL with e filled: a foreign ABI
 * number, a missing operation, a name that kind has already.
 */
int registry_add(struct registry *r, const struct adit_plugin *p, struct adit_err *e);

/* The table called name, or NULL. A stack counts as a listener and as a dialer. Any thread. */
const struct adit_plugin *registry_find(const struct registry *r, enum adit_kind kind,
					const char *name);

/* For listings: the i-th table added, or NULL. Any thread. */
const struct adit_plugin *registry_at(const struct registry *r, size_t i);

/* Whether p is a plugin of that kind: a stack and a choice are listeners and dialers, too. */
bool registry_serves(const struct adit_plugin *p, enum adit_kind kind);

/* "listener", "handler", ... */
const char *registry_kind_name(enum adit_kind kind);

/*
 * The option rows of that kind and name, of a stack those of all its parts in one table; NULL if it
 * takes none; of a choice those of all that it may be. *known tells whether there is such a plugin.
 * Belongs to r. Main thread.
 */
const struct adit_opt *registry_rows(struct registry *r, enum adit_kind kind, const char *name,
				     bool *known);

#endif
