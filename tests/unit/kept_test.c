/*
 * Kept streams: what fits is found, what does not is not, and what ends, speaks unasked, is too
 * much or belongs to somebody who left is closed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/h1.h"
#include "core/tunnel/kept.h"
#include "tests/unit/wire_end.h"

#define TURNS 8
#define ENDS  4
#define MAX   4096			/* what a worker keeps: docs/design.md */

struct world {
	struct loop	*loop;
	struct wire_end	 end[ENDS];	/* the targets' */
};

static const struct kept_key base = {
	.tunnel = "t", .host = "a.example", .port = 80, .session = 7,
};

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	kept_drop(t->loop->worker, 0);
	for (size_t i = 0; i < ENDS; i++)
		wire_end_fini(&t->end[i]);
	loop_free(t->loop);
	free(t);
	return 0;
}

/* An idle HTTP connection to the i-th target. */
static struct adit_mux *
idle(struct world *t, size_t i)
{
	struct adit_mux *m = h1_client(wire_end_init(&t->end[i], t->loop), NULL);

	assert_non_null(m);
	loop_turn(t->loop, TURNS);
	return m;
}

static bool
is_closed(struct world *t, size_t i)
{
	loop_turn(t->loop, TURNS);
	return t->end[i].ended || t->end[i].err;
}

static void
what_was_put_is_taken_once(void **state)
{
	struct world *t = *state;
	struct adit_mux *m = idle(t, 0);

	assert_null(kept_take(t->loop->worker, &base));
	kept_put(m, &base);
	assert_ptr_equal(kept_take(t->loop->worker, &base), m);
	assert_null(kept_take(t->loop->worker, &base));
	assert_false(is_closed(t, 0));
	assert_int_equal(adit_mux_room(m, ADIT_CONN_EXCHANGE), 1);
	adit_mux_close(m, NULL);
}

/* Each part of the key tells streams apart: another visitor, another host, another session. */
static void
what_differs_does_not_fit(void **state)
{
	struct kept_key other[] = { base, base, base, base, base };
	struct world *t = *state;

	other[0].tunnel = "u";
	other[1].host = "b.example";
	other[2].port = 81;
	other[3].session = 8;
	other[4].visitor = 1;
	kept_put(idle(t, 0), &base);
	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
		assert_null(kept_take(t->loop->worker, &other[i]));
	assert_false(is_closed(t, 0));
}

static void
strings_of_a_key_are_copied(void **state)
{
	struct world *t = *state;
	char tunnel[] = "t", host[] = "a.example";
	struct kept_key key = base;
	struct adit_mux *m = idle(t, 0);

	key.tunnel = tunnel;
	key.host = host;
	kept_put(m, &key);
	memset(tunnel, 'x', 1);
	memset(host, 'x', 9);
	assert_ptr_equal(kept_take(t->loop->worker, &base), m);
	adit_mux_close(m, NULL);
}

/* The others may grow old. */
static void
the_one_used_last_is_taken_first(void **state)
{
	struct world *t = *state;
	struct adit_mux *first = idle(t, 0), *last = idle(t, 1);

	kept_put(first, &base);
	kept_put(last, &base);
	assert_ptr_equal(kept_take(t->loop->worker, &base), last);
	assert_ptr_equal(kept_take(t->loop->worker, &base), first);
	adit_mux_close(first, NULL);
	adit_mux_close(last, NULL);
}

static void
one_that_ends_is_dropped(void **state)
{
	struct world *t = *state;

	kept_put(idle(t, 0), &base);
	wire_end_close(&t->end[0], 0);
	loop_turn(t->loop, TURNS);
	assert_null(kept_take(t->loop->worker, &base));
}

/* A response to nothing would be taken for the answer to the next request. */
static void
one_that_speaks_unasked_is_dropped(void **state)
{
	static const char unasked[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct world *t = *state;

	kept_put(idle(t, 0), &base);
	wire_end_send(&t->end[0], unasked, sizeof(unasked) - 1);
	assert_true(is_closed(t, 0));
	assert_null(kept_take(t->loop->worker, &base));
}

static void
a_visitor_who_leaves_takes_his_own(void **state)
{
	struct kept_key one = base, two = base;
	struct world *t = *state;
	struct adit_mux *m;

	one.visitor = 1;
	two.visitor = 2;
	kept_put(idle(t, 0), &one);
	kept_put(idle(t, 1), &two);
	kept_put(idle(t, 2), &base);
	kept_drop(t->loop->worker, 1);
	assert_true(is_closed(t, 0));
	assert_null(kept_take(t->loop->worker, &one));
	assert_false(is_closed(t, 1) || is_closed(t, 2));
	m = kept_take(t->loop->worker, &two);
	assert_non_null(m);
	adit_mux_close(m, NULL);
}

static void
a_session_that_drains_takes_its_own(void **state)
{
	struct kept_key other = base;
	struct world *t = *state;

	other.session = 8;
	kept_put(idle(t, 0), &base);
	kept_put(idle(t, 1), &other);
	kept_drop_session(t->loop->worker, 7);
	assert_true(is_closed(t, 0));
	assert_false(is_closed(t, 1));
}

static void
the_worker_may_drop_all(void **state)
{
	struct kept_key other = base;
	struct world *t = *state;

	other.visitor = 3;
	kept_put(idle(t, 0), &base);
	kept_put(idle(t, 1), &other);
	kept_drop(t->loop->worker, 0);
	assert_true(is_closed(t, 0) && is_closed(t, 1));
}

/* Nothing is kept beyond the limit, and what is there stays. */
static void
there_are_only_so_many(void **state)
{
	struct world *t = *state;
	struct wire_end *ends = calloc(MAX + 1, sizeof(*ends));
	unsigned taken = 0;
	struct adit_mux *m;

	assert_non_null(ends);
	for (size_t i = 0; i <= MAX; i++) {
		m = h1_client(wire_end_init(&ends[i], t->loop), NULL);
		assert_non_null(m);
		loop_turn(t->loop, 1);
		kept_put(m, &base);
	}
	loop_turn(t->loop, TURNS);
	assert_true(ends[MAX].ended || ends[MAX].err);
	assert_false(ends[0].ended || ends[0].err);
	while ((m = kept_take(t->loop->worker, &base))) {
		adit_mux_close(m, NULL);
		taken++;
	}
	assert_int_equal(taken, MAX);
	for (size_t i = 0; i <= MAX; i++)
		wire_end_fini(&ends[i]);
	free(ends);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_taken_once),
		TEST(what_differs_does_not_fit),
		TEST(strings_of_a_key_are_copied),
		TEST(the_one_used_last_is_taken_first),
		TEST(one_that_ends_is_dropped),
		TEST(one_that_speaks_unasked_is_dropped),
		TEST(a_visitor_who_leaves_takes_his_own),
		TEST(a_session_that_drains_takes_its_own),
		TEST(the_worker_may_drop_all),
		TEST(there_are_only_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
