/*
 * The configuration of a running process, read and changed from outside: what the web API does, in
 * the main thread. A change is a whole new configuration, taken as a reload takes one: all of it or
 * nothing. It lasts until the next reload, unless it is saved.
 *
 * Secrets are never shown: what stands for one, sent back at the same place, leaves it as it was.
 */
#ifndef ADIT_CORE_ADMIN_H
#define ADIT_CORE_ADMIN_H

#include "core/config/model.h"
#include "core/service/desk.h"
#include "core/service/generation.h"

#define ADMIN_SECRET "******"	/* in place of one */

/* The daemon, as far as it is asked. All in the main thread. */
struct admin {
	const struct config_kinds	*kinds;
	const struct config_args	*args;

	/* What is in force; the daemon's. NULL: nothing any more. */
	const struct generation	*(*now)(void *arg);
	/* Takes a configuration, or reads its own again. 0, or a failure with reasons in errs. */
	int			(*take)(void *arg, struct config *config,
					struct config_errors *errs);
	int			(*reload)(void *arg, struct config_errors *errs);
	void			*arg;
};

/* Answers a: fills its status, type and answer. */
void admin_answer(const struct admin *m, struct desk_ask *a);

#endif
