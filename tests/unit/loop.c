#include "tests/unit/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <event2/event.h>

#include "core/runtime/timers.h"

#define CLOSING_MS 3000

struct loop *
loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct adit_err e = ADIT_ERR_INIT;

	if (l)
		l->base = event_base_new();
	if (l && l->base)
		l->worker = worker_attach(l->base, NULL, &e);
	if (!l || !l->worker) {
		fprintf(stderr, "loop: %s\n", e.text);
		abort();
	}
	return l;
}

static void
loop_expire(evutil_socket_t fd, short what, void *arg)
{
	bool *expired = arg;

	(void)fd;
	(void)what;
	*expired = true;
}

bool
loop_until(struct loop *l, bool (*cond)(void *arg), void *arg, unsigned limit_ms)
{
	struct timeval tv = { .tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000 };
	bool expired = false, met;
	struct event *limit = event_new(l->base, -1, 0, loop_expire, &expired);

	if (!limit || event_add(limit, &tv) < 0)
		abort();
	for (met = cond(arg); !met && !expired; met = cond(arg))
		event_base_loop(l->base, EVLOOP_ONCE);
	event_free(limit);
	return met;
}

void
loop_turn(struct loop *l, int n)
{
	while (n-- > 0)
		event_base_loop(l->base, EVLOOP_NONBLOCK);
}

/* Three events always stand here: the mailbox, the timers and the limit of loop_until. */
static bool
loop_is_idle(void *arg)
{
	struct loop *l = arg;

	return event_base_get_num_events(l->base, EVENT_BASE_COUNT_ADDED) <= 3 &&
	       !timers_running(worker_timers(l->worker)) &&
	       event_base_get_num_events(l->base, EVENT_BASE_COUNT_ACTIVE) == 0;
}

void
loop_free(struct loop *l)
{
	size_t used;

	if (!l)
		return;
	loop_turn(l, 2);
	loop_until(l, loop_is_idle, l, CLOSING_MS);
	used = chunk_pool_used(worker_chunks(l->worker));
	worker_detach(l->worker);
	event_base_free(l->base);
	free(l);
	assert_int_equal(used, 0);
}

int
loop_setup(void **state)
{
	*state = loop_new();
	return 0;
}

int
loop_teardown(void **state)
{
	loop_free(*state);
	return 0;
}
