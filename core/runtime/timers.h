/*
 * The timers of one worker: a heap by time over one timerfd, which is set anew only when the
 * earliest time comes earlier (libevent sets its own in every turn of the loop, changed or not).
 * adit/worker.h has the functions that one uses.
 */
#ifndef ADIT_CORE_TIMERS_H
#define ADIT_CORE_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct adit_timer;
struct event_base;
struct timers;

/* NULL: no memory, or no descriptor. */
struct timers *timers_new(struct event_base *base);

/* All its timers have been freed. NULL is fine. */
void timers_free(struct timers *ts);

/*
 * As adit_timer_set, for a moment as adit_now() has it. Timers that are to run out together are set
 * to the same one, and cost the loop one turn.
 */
void timer_set_at(struct adit_timer *t, uint64_t at);

/* at, or the next multiple of step (a power of two) after it: so that many have it in common. */
static inline uint64_t
timer_round(uint64_t at, uint64_t step)
{
	return at < UINT64_MAX - step ? (at + step - 1) & ~(step - 1) : at;
}

/* How many run. */
size_t timers_running(const struct timers *ts);

#endif
