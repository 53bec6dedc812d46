/*
 * A named object of `limiters`, `climiters` or `rlimiters`: the lines of the configuration, with
 * those of a file over them, and what has been taken of them. Services that name the same one share
 * it. Another configuration makes another limiter of that name, which goes on with what was taken.
 */
#ifndef ADIT_CORE_LIMITER_H
#define ADIT_CORE_LIMITER_H

#include "core/policy/limits.h"
#include "core/policy/policy.h"
#include "core/policy/shares.h"

struct limiter;

/*
 * That of that place in list, which is one of the three, of world's configuration; before: of the
 * same name, or NULL. NULL with the reason in errs. Main thread; reads its file.
 */
struct limiter *limiter_new(const struct policy_world *world, enum config_list list, size_t index,
			    const struct limiter *before, struct config_errors *errs);
void limiter_free(void *limiter);		/* any thread; NULL is fine */

/* What it says now, for the callback that is running. Any worker. */
const struct limits *limiter_limits(const struct limiter *l);
struct shares *limiter_shares(const struct limiter *l);

#endif
