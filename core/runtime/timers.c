#include "core/runtime/timers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <adit/worker.h>

#include "core/runtime/worker.h"

#define ROOM_AT_FIRST 64

struct adit_timer {
	struct timers	*timers;
	void		(*cb)(void *arg);
	void		*arg;
	uint64_t	 at;
	size_t		 place;		/* in the heap, from 1 on; 0: it does not run */
};

struct timers {
	struct adit_timer	**heap;	/* [1] is the earliest; no parent is later than a child */
	size_t			  n, room;	/* room: for all timers, running or not */
	size_t			  made;
	uint64_t		  armed;	/* when fd runs out; UINT64_MAX: it is not set */
	int			  fd;
	struct event		  event;
};

/* ---- the heap ----------------------------------------------------------------- */

static void
heap_put(struct timers *ts, size_t place, struct adit_timer *t)
{
	ts->heap[place] = t;
	t->place = place;
}

/* Moves t up from the free place to where it belongs. */
static void
heap_rise(struct timers *ts, size_t place, struct adit_timer *t)
{
	while (place > 1 && ts->heap[place / 2]->at > t->at) {
		heap_put(ts, place, ts->heap[place / 2]);
		place /= 2;
	}
	heap_put(ts, place, t);
}

/* The same, down. */
static void
heap_sink(struct timers *ts, size_t place, struct adit_timer *t)
{
	size_t child;

	while ((child = 2 * place) <= ts->n) {
		if (child < ts->n && ts->heap[child + 1]->at < ts->heap[child]->at)
			child++;
		if (ts->heap[child]->at >= t->at)
			break;
		heap_put(ts, place, ts->heap[child]);
		place = child;
	}
	heap_put(ts, place, t);
}

static void
heap_move(struct timers *ts, size_t place, struct adit_timer *t)
{
	if (place > 1 && ts->heap[place / 2]->at > t->at)
		heap_rise(ts, place, t);
	else
		heap_sink(ts, place, t);
}

static void
heap_remove(struct timers *ts, struct adit_timer *t)
{
	size_t place = t->place;
	struct adit_timer *last = ts->heap[ts->n--];

	t->place = 0;
	if (last != t)
		heap_move(ts, place, last);
}

/* So that starting a timer cannot fail. */
static bool
heap_make_room(struct timers *ts)
{
	size_t room = ts->room ? 2 * ts->room : ROOM_AT_FIRST;
	struct adit_timer **heap;

	if (ts->made < ts->room)
		return true;
	heap = reallocarray(ts->heap, room + 1, sizeof(struct adit_timer *));
	if (!heap)
		return false;
	ts->heap = heap;
	ts->room = room;
	return true;
}

/* ---- the descriptor ------------------------------------------------------------- */

/* A timer that was stopped may leave fd too early: it is set right when it has run out. */
static void
timers_arm(struct timers *ts)
{
	struct itimerspec when = { .it_interval = { 0 } };
	uint64_t at = ts->n ? ts->heap[1]->at : UINT64_MAX;

	if (at >= ts->armed)
		return;
	ts->armed = at;
	when.it_value.tv_sec = (time_t)(at / ADIT_SECONDS(1));
	when.it_value.tv_nsec = (long)(at % ADIT_SECONDS(1));
	timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void
timers_run(evutil_socket_t fd, short what, void *arg)
{
	struct timers *ts = arg;
	uint64_t now = adit_now(), n;

	(void)what;
	/* Readable until it is read, or set anew. */
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	ts->armed = 0;			/* not set by what the callbacks start */
	while (ts->n && ts->heap[1]->at <= now) {
		struct adit_timer *t = ts->heap[1];

		heap_remove(ts, t);
		t->cb(t->arg);
	}
	ts->armed = UINT64_MAX;
	timers_arm(ts);
}

void
timers_free(struct timers *ts)
{
	if (!ts)
		return;
	if (ts->fd >= 0) {
		event_del(&ts->event);
		close(ts->fd);
	}
	free(ts->heap);
	free(ts);
}

struct timers *
timers_new(struct event_base *base)
{
	struct timers *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return NULL;
	ts->armed = UINT64_MAX;
	ts->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	event_assign(&ts->event, base, ts->fd, EV_READ | EV_PERSIST, timers_run, ts);
	if (ts->fd < 0 || event_add(&ts->event, NULL) < 0) {
		timers_free(ts);
		return NULL;
	}
	return ts;
}

size_t
timers_running(const struct timers *ts)
{
	return ts->n;
}

/* ---- a timer ----------------------------------------------------------------------- */

struct adit_timer *
adit_timer_new(struct adit_worker *w, void (*cb)(void *arg), void *arg)
{
	struct timers *ts = worker_timers(w);
	struct adit_timer *t = heap_make_room(ts) ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	*t = (struct adit_timer){ .timers = ts, .cb = cb, .arg = arg };
	ts->made++;
	return t;
}

void
timer_set_at(struct adit_timer *t, uint64_t at)
{
	struct timers *ts = t->timers;

	t->at = at;
	if (t->place)
		heap_move(ts, t->place, t);
	else
		heap_rise(ts, ++ts->n, t);
	timers_arm(ts);
}

void
adit_timer_set(struct adit_timer *t, uint64_t ns)
{
	uint64_t now = adit_now();

	timer_set_at(t, ns < UINT64_MAX - now ? now + ns : UINT64_MAX - 1);
}

void
adit_timer_stop(struct adit_timer *t)
{
	if (t && t->place)
		heap_remove(t->timers, t);
}

bool
adit_timer_running(const struct adit_timer *t)
{
	return t && t->place;
}

void
adit_timer_free(struct adit_timer *t)
{
	if (!t)
		return;
	adit_timer_stop(t);
	t->timers->made--;
	free(t);
}
