/* Timers: none too early, in order, none lost, whatever is started and stopped in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/runtime/timers.h"
#include "tests/unit/loop.h"

#define MANY 2000
#define SPREAD_MS 50

struct alarm {
	struct adit_timer	*timer;
	uint64_t		 due, due_by;	/* its time is between the two */
	unsigned		 rang;
	bool			 again;		/* starts itself once more */
};

static uint64_t last_due;
static unsigned rings, disorder, early;

static void
alarm_set(struct alarm *a, uint64_t ns)
{
	a->due = adit_now() + ns;
	adit_timer_set(a->timer, ns);
	a->due_by = adit_now() + ns;
}

static void
alarm_ring(void *arg)
{
	struct alarm *a = arg;

	rings++;
	a->rang++;
	early += adit_now() < a->due;
	disorder += a->due_by < last_due;
	last_due = a->due;
	if (!a->again)
		return;
	a->again = false;
	alarm_set(a, ADIT_MS(1));
}

static bool
have_rung(void *arg)
{
	return rings == *(unsigned *)arg;
}

static struct alarm *
alarms_new(struct loop *l, unsigned n)
{
	struct alarm *all = calloc(n, sizeof(*all));

	assert_non_null(all);
	rings = disorder = early = 0;
	last_due = 0;
	for (unsigned i = 0; i < n; i++) {
		all[i].timer = adit_timer_new(l->worker, alarm_ring, &all[i]);
		assert_non_null(all[i].timer);
	}
	return all;
}

static void
alarms_free(struct alarm *all, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		adit_timer_free(all[i].timer);
	free(all);
}

static void
run_out_in_order_and_never_early(void **state)
{
	struct loop *l = *state;
	struct alarm *all = alarms_new(l, MANY);
	unsigned expected = 0;

	for (unsigned i = 0; i < MANY; i++) {
		alarm_set(&all[i], 1 + adit_random_below(SPREAD_MS * 1000) * 1000u);
		all[i].again = i % 3 == 0;
	}
	/* A third is moved, earlier or later; of these every other one is stopped. */
	for (unsigned i = 0; i < MANY; i += 3)
		alarm_set(&all[i], 1 + adit_random_below(SPREAD_MS * 1000) * 1000u);
	for (unsigned i = 0; i < MANY; i += 6)
		adit_timer_stop(all[i].timer);
	for (unsigned i = 0; i < MANY; i++)
		expected += i % 6 == 0 ? 0 : 1 + all[i].again;
	assert_int_equal(timers_running(worker_timers(l->worker)), MANY - (MANY + 5) / 6);
	assert_true(loop_until(l, have_rung, &expected, 20000));
	assert_int_equal(early, 0);
	assert_int_equal(disorder, 0);
	assert_int_equal(timers_running(worker_timers(l->worker)), 0);
	for (unsigned i = 0; i < MANY; i++) {
		assert_false(adit_timer_running(all[i].timer));
		assert_int_equal(all[i].rang, i % 6 == 0 ? 0 : i % 3 == 0 ? 2 : 1);
	}
	alarms_free(all, MANY);
}

/* The descriptor was set for the later one first. */
static void
an_earlier_one_is_not_kept_waiting(void **state)
{
	struct loop *l = *state;
	struct alarm *all = alarms_new(l, 2);
	unsigned one = 1;

	alarm_set(&all[0], ADIT_SECONDS(1000));
	alarm_set(&all[1], ADIT_MS(1));
	assert_true(loop_until(l, have_rung, &one, 20000));
	assert_int_equal(all[1].rang, 1);
	assert_true(adit_timer_running(all[0].timer));
	alarms_free(all, 2);
}

/* It was set for one that was stopped, and has run out for nobody. */
static void
one_behind_a_stopped_one_rings(void **state)
{
	struct loop *l = *state;
	struct alarm *all = alarms_new(l, 2);
	unsigned one = 1;

	alarm_set(&all[0], ADIT_MS(1));
	alarm_set(&all[1], ADIT_MS(5));
	adit_timer_stop(all[0].timer);
	assert_true(loop_until(l, have_rung, &one, 20000));
	assert_int_equal(all[0].rang, 0);
	assert_int_equal(all[1].rang, 1);
	assert_int_equal(early, 0);
	alarms_free(all, 2);
}

static void
free_itself(void *arg)
{
	struct alarm *a = arg;

	adit_timer_free(a->timer);
	a->timer = NULL;
	rings++;
}

static void
one_may_free_itself(void **state)
{
	struct loop *l = *state;
	struct alarm a = { .timer = adit_timer_new(l->worker, free_itself, &a) };
	unsigned one = 1;

	rings = 0;
	assert_non_null(a.timer);
	adit_timer_set(a.timer, 0);
	assert_true(loop_until(l, have_rung, &one, 20000));
	assert_null(a.timer);
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(run_out_in_order_and_never_early),
		IN_LOOP(an_earlier_one_is_not_kept_waiting),
		IN_LOOP(one_behind_a_stopped_one_rings),
		IN_LOOP(one_may_free_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
