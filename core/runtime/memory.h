/*
 * The memory budget of a process. What holds bytes or state for peers is counted against it, by any
 * thread: the chunks of all pools, every conn with what its owner needs for it, TLS and QUIC
 * sessions.
 *
 * Beyond 3/4 of the budget no window grows. From 7/8 on memory is short, until it has fallen below
 * 3/4 again: queues that hold something take no more, so reading stops by backpressure, and new
 * work is refused. Beyond the whole of it nothing is taken that can be refused. What was promised
 * to a peer before (a window that is open) is still taken, and so is what lets bytes leave: the
 * budget is exceeded by that, and never stands in the way of its own recovery.
 */
#ifndef ADIT_CORE_MEMORY_H
#define ADIT_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adit_log;

enum memory_level {
	MEMORY_PLENTY,
	MEMORY_TIGHT,		/* no window grows */
	MEMORY_SHORT,		/* reading stops, new work is refused */
	MEMORY_GONE,		/* nothing is taken that can be refused */
	MEMORY_OVERDRAWN,	/* half as much again as there is: nobody is even told why not */
};

struct memory;

/*
 * budget: bytes, 0: half of the machine's. Both changes between short and not are logged, once
 * each. NULL if out of memory.
 */
struct memory *memory_new(uint64_t budget, struct adit_log *log);
void memory_free(struct memory *m);	/* all must have been given back */

/* Counts n bytes more or less. Any thread. */
void memory_take(struct memory *m, size_t n);
void memory_give(struct memory *m, size_t n);

enum memory_level memory_level(const struct memory *m);
uint64_t memory_used(const struct memory *m);
uint64_t memory_budget(const struct memory *m);

static inline bool
memory_is_short(const struct memory *m)
{
	return memory_level(m) >= MEMORY_SHORT;
}

#endif
