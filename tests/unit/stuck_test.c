/*
 * Who takes nothing while memory is short: the longest first, and only then. Time is told; the
 * memory is what the test says that it uses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/pump.h>

#include "core/conn/stuck.h"
#include "core/runtime/memory.h"
#include "tests/unit/loop.h"

#define LATER (adit_now() + ADIT_SECONDS(30))
#define SOONER (adit_now() + ADIT_SECONDS(29))

struct flow {
	struct stuck	 stuck;
	bool		 innocent;	/* is not to be ended */
	unsigned	 asked, ended;
};

struct world {
	struct loop	*loop;
	struct memory	*memory;
	size_t		 used;
	struct flow	 flows[40];
	struct adit_pump_stats stats;	/* of a pump that is over */
};

static bool
flow_end(struct stuck *s)
{
	struct flow *f = adit_container_of(s, struct flow, stuck);

	f->asked++;
	if (f->innocent)
		return false;
	f->ended++;
	stuck_leave(s);
	return true;
}

static void
on_done(void *arg, const struct adit_pump_stats *stats)
{
	struct world *t = arg;

	t->stats = *stats;
}

static void
use(struct world *t, size_t bytes)
{
	if (bytes > t->used)
		memory_take(t->memory, bytes - t->used);
	else
		memory_give(t->memory, t->used - bytes);
	t->used = bytes;
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	t->memory = worker_memory(t->loop->worker);
	for (size_t i = 0; i < sizeof(t->flows) / sizeof(*t->flows); i++)
		t->flows[i].stuck.end = flow_end;
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	use(t, 0);
	for (size_t i = 0; i < sizeof(t->flows) / sizeof(*t->flows); i++)
		stuck_leave(&t->flows[i].stuck);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void
run_short(struct world *t)
{
	use(t, memory_budget(t->memory));
	assert_true(memory_is_short(t->memory));
}

static void
nobody_is_ended_before_his_time_or_without_need(void **state)
{
	struct world *t = *state;

	stuck_begin(&t->flows[0].stuck, t->loop->worker);
	assert_int_equal(stuck_end_due(t->loop->worker, LATER), 0);
	run_short(t);
	assert_int_equal(stuck_end_due(t->loop->worker, SOONER), 0);
	assert_int_equal(t->flows[0].asked, 0);
	assert_int_equal(stuck_end_due(t->loop->worker, LATER), 1);
	assert_int_equal(t->flows[0].ended, 1);
	assert_int_equal(stuck_end_due(t->loop->worker, LATER), 0);
}

static void
who_has_moved_comes_last(void **state)
{
	struct world *t = *state;
	uint64_t now;

	run_short(t);
	for (int i = 0; i < 3; i++)
		stuck_begin(&t->flows[i].stuck, t->loop->worker);
	now = t->flows[0].stuck.since;
	while (adit_now() == now)
		;
	stuck_begin(&t->flows[0].stuck, t->loop->worker);	/* it took something */
	stuck_leave(&t->flows[1].stuck);
	stuck_leave(&t->flows[1].stuck);
	assert_int_equal(stuck_end_due(t->loop->worker, t->flows[0].stuck.since - 1 +
				       ADIT_SECONDS(30)), 1);
	assert_int_equal(t->flows[0].ended, 0);
	assert_int_equal(t->flows[1].ended, 0);
	assert_int_equal(t->flows[2].ended, 1);
}

/* What they held is freed at the end of the turn: all at once would be too many. */
static void
a_few_at_a_time(void **state)
{
	struct world *t = *state;
	unsigned ended = 0, n;

	run_short(t);
	for (int i = 0; i < 40; i++)
		stuck_begin(&t->flows[i].stuck, t->loop->worker);
	while ((n = stuck_end_due(t->loop->worker, LATER))) {
		assert_true(n <= 10);
		for (unsigned i = 0; i < 40; i++)
			assert_int_equal(t->flows[i].ended, i < ended + n);
		ended += n;
		if (ended > 20)
			use(t, 0);
	}
	assert_true(ended > 20 && ended < 40);
}

static void
who_only_waits_for_memory_begins_anew(void **state)
{
	struct world *t = *state;
	uint64_t now = LATER;

	run_short(t);
	t->flows[0].innocent = true;
	stuck_begin(&t->flows[0].stuck, t->loop->worker);
	stuck_begin(&t->flows[1].stuck, t->loop->worker);
	now = t->flows[1].stuck.since + ADIT_SECONDS(30);
	assert_int_equal(stuck_end_due(t->loop->worker, now), 1);
	assert_int_equal(t->flows[1].ended, 1);
	assert_true(t->flows[0].asked > 0);
	assert_non_null(t->flows[0].stuck.list);
}

/* A pump from in to out. */
static void
pump_begin(struct world *t, struct adit_conn **in, struct adit_conn **out)
{
	struct adit_worker *w = t->loop->worker;
	struct adit_conn *a, *b;

	assert_int_equal(adit_conn_pair(w, w, 65536, in, &a), 0);
	assert_int_equal(adit_conn_pair(w, w, 65536, &b, out), 0);
	assert_non_null(adit_pump(a, b, NULL, on_done, t));
}

/* More than a pump takes whose other side does not read. */
static void
fill(struct world *t, struct adit_conn *in)
{
	static const char bytes[65536];

	for (int i = 0; i < 20; i++) {
		adit_conn_write(in, bytes, sizeof(bytes));
		loop_turn(t->loop, 3);
	}
}

/* A pump whose side does not read is such a flow; what is read again is none. */
static void
a_pump_is_stuck_while_a_side_does_not_take(void **state)
{
	struct world *t = *state;
	struct adit_worker *w = t->loop->worker;
	struct adit_conn *in, *out;
	static char bytes[65536];
	ssize_t n;

	pump_begin(t, &in, &out);
	fill(t, in);
	run_short(t);
	assert_int_equal(stuck_end_due(w, SOONER), 0);
	use(t, 0);
	do {
		n = adit_conn_read(out, bytes, sizeof(bytes));
		loop_turn(t->loop, 3);
	} while (n > 0);
	run_short(t);
	assert_int_equal(stuck_end_due(w, LATER), 0);
	use(t, 0);
	fill(t, in);
	run_short(t);
	assert_int_equal(stuck_end_due(w, LATER), 1);
	loop_turn(t->loop, 3);
	assert_int_equal(t->stats.err, ADIT_ELIMIT);
	adit_conn_close(in, 0);
	adit_conn_close(out, 0);
	loop_turn(t->loop, 3);
}

/* Nor does what it says excuse who does not read. */
static void
a_pump_is_stuck_whatever_goes_the_other_way(void **state)
{
	struct world *t = *state;
	struct adit_worker *w = t->loop->worker;
	struct adit_conn *in, *out;
	static char bytes[65536];
	uint64_t blocked;

	pump_begin(t, &in, &out);
	fill(t, in);
	blocked = adit_now();
	while (adit_now() == blocked)
		;
	assert_int_equal(adit_conn_write(out, "x", 1), 1);
	loop_turn(t->loop, 3);
	assert_int_equal(adit_conn_read(in, bytes, 1), 1);
	loop_turn(t->loop, 3);
	run_short(t);
	assert_int_equal(stuck_end_due(w, blocked + ADIT_SECONDS(30)), 1);
	loop_turn(t->loop, 3);
	assert_int_equal(t->stats.err, ADIT_ELIMIT);
	adit_conn_close(in, 0);
	adit_conn_close(out, 0);
	loop_turn(t->loop, 3);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_ended_before_his_time_or_without_need),
		TEST(who_has_moved_comes_last),
		TEST(a_few_at_a_time),
		TEST(who_only_waits_for_memory_begins_anew),
		TEST(a_pump_is_stuck_while_a_side_does_not_take),
		TEST(a_pump_is_stuck_whatever_goes_the_other_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
