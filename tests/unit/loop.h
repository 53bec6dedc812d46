/*
 * A worker on a loop of the test's own, turned by the test until something has happened: no sleeps,
 * no threads. As a fixture:
 *
 *	cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)
 *
 *	static void
 *	test(void **state)
 *	{
 *		struct loop *l = *state;
 *		...
 *		assert_true(loop_until(l, has_arrived, &thing, 2000));
 *	}
 */
#ifndef ADIT_TEST_LOOP_H
#define ADIT_TEST_LOOP_H

#include <stdbool.h>

#include "core/runtime/worker.h"

struct event_base;

struct loop {
	struct event_base	*base;
	struct adit_worker	*worker;
};

/* Aborts when there is no memory. */
struct loop *loop_new(void);

/*
 * Turns until what was closed has gone (a polite close may linger: at most 3 s), then frees. Fails
 * the test if a queue still holds a chunk. All conns must have been closed.
 */
void loop_free(struct loop *l);

/*
 * Turns until cond(arg) is true, asking before the first turn and after each; false if limit_ms
 * passed. The limit is for a test that fails: give it generously, it costs nothing when all is well
 * (and TSan is slow). What another thread changes without waking the loop is seen late, or at the
 * limit only: wait for that without the loop.
 */
bool loop_until(struct loop *l, bool (*cond)(void *arg), void *arg, unsigned limit_ms);

/* Turns n times without waiting for anything: "and nothing more happens". */
void loop_turn(struct loop *l, int n);

/* cmocka fixtures: *state is the loop. */
int loop_setup(void **state);
int loop_teardown(void **state);

#endif
