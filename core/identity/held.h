/*
 * A named object of the configuration as those see it who hold it: one thing for as long as anybody
 * does, in which what it says is replaced by a reload. Readers use what held_now gave within the
 * callback that is running.
 */
#ifndef ADIT_CORE_HELD_H
#define ADIT_CORE_HELD_H

#include <stdatomic.h>

struct held {
	atomic_uint	 refs;
	_Atomic(void *)	 now;
	void		(*drop)(void *now);
};

/* One reference, the caller's; takes now. NULL: out of memory, and now is dropped. */
struct held *held_new(void *now, void (*drop)(void *now));

/* Takes and drops a reference. Any thread; NULL is fine. */
struct held *held_get(struct held *h);
void held_put(struct held *h);

void *held_now(const struct held *h);

/* Returns what it said before, to be dropped when every worker has turned once. */
void *held_replace(struct held *h, void *fresh);

#endif
