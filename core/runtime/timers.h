/*
 * The timers of one worker: a heap by time over one timerfd, which is set anew only when the
 * earliest time comes earlier (libevent sets its own in every turn of the loop, changed or not).
 * adit/worker.h has the functions that one uses.
 */
#ifndef ADIT_CORE_TIMERS_H
#define ADIT_CORE_TIMERS_H

#include <stddef.h>

struct event_base;
struct timers;

/* NULL: no memory, or no descriptor. */
struct timers *timers_new(struct event_base *base);

/* All its timers have been freed. NULL is fine. */
void timers_free(struct timers *ts);

/* How many run. */
size_t timers_running(const struct timers *ts);

#endif
