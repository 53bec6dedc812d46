/* Several ways to a node, which open, answer and fail when the test says so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/mux.h>

#include "core/conn/conn.h"
#include "core/service/component.h"
#include "core/service/race.h"
#include "tests/unit/loop.h"

#define WAYS	 3
#define LIMIT_MS 20000

struct stage {
	struct loop		*loop;
	struct adit_component	 component;
	struct race		*race;
	struct adit_conn	*conn;		/* what was asked for, one of the two */
	struct adit_mux		*mux;
	struct adit_conn	*dialed[WAYS], *asked[WAYS];	/* borrowed; NULL: there is none */
	struct adit_mux		*bound[WAYS];
	bool			 closed[WAYS];	/* nothing can be dialed there */
	bool			 mute;		/* nothing can be asked */
	unsigned		 dials;		/* that were ever begun */
	char			 notes[1024];	/* what happened since expect */
};

static void
note(struct stage *t, const char *what, unsigned way)
{
	size_t len = strlen(t->notes);

	snprintf(t->notes + len, sizeof(t->notes) - len, "%s%s%s%c", len ? "; " : "", what,
		 way < WAYS ? " " : "", way < WAYS ? (char)('a' + way) : 0);
}

/* That happened, in this order, once there is nothing more to do. */
static void
expect(struct stage *t, const char *notes)
{
	loop_turn(t->loop, 6);
	assert_string_equal(t->notes, notes);
	t->notes[0] = 0;
}

/* ---- ways ---------------------------------------------------------------------------------- */

struct way_conn {
	struct adit_conn	 base;
	struct stage		*stage;
	struct adit_conn	*lower;		/* of what asks; owned */
	unsigned		 way;
};

struct way_mux {
	struct adit_mux		 base;
	struct stage		*stage;
	struct adit_conn	*lower;		/* owned */
	unsigned		 way;
};

static struct way_conn *
way_of(struct adit_conn *c)
{
	return adit_container_of(c, struct way_conn, base);
}

static struct way_mux *
way_of_mux(struct adit_mux *m)
{
	return adit_container_of(m, struct way_mux, base);
}

static ssize_t
way_read(struct adit_conn *c, void *buf, size_t len)
{
	(void)c;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static ssize_t
way_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	(void)c;
	(void)iov;
	(void)n;
	return -EAGAIN;
}

static int
way_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

static void
way_close(struct adit_conn *c, int why)
{
	struct way_conn *v = way_of(c);
	struct stage *t = v->stage;

	if (c == t->dialed[v->way])
		note(t, "close", v->way);
	else if (c == t->asked[v->way])
		note(t, "forget", v->way);
	if (c == t->dialed[v->way])
		t->dialed[v->way] = NULL;
	if (c == t->asked[v->way])
		t->asked[v->way] = NULL;
	adit_conn_close(v->lower, why);
}

static void
way_free(struct adit_conn *c)
{
	(void)c;
}

static const struct adit_conn_ops way_ops = {
	.size = sizeof(way_ops),
	.name = "way",
	.read = way_read,
	.writev = way_writev,
	.shutdown = way_shutdown,
	.close = way_close,
	.free = way_free,
};

static struct adit_conn *
way_conn(struct stage *t, unsigned way, struct adit_conn *lower)
{
	struct way_conn *v = adit_conn_new(t->loop->worker, &way_ops, sizeof(*v), 0);

	assert_non_null(v);
	v->stage = t;
	v->way = way;
	v->lower = lower;
	return &v->base;
}

static struct adit_conn *
way_accept(struct adit_mux *m)
{
	(void)m;
	return NULL;
}

static void
way_nothing(struct adit_mux *m)
{
	(void)m;
}

static void
way_close_mux(struct adit_mux *m, const struct adit_reason *why)
{
	struct way_mux *v = way_of_mux(m);

	note(v->stage, "forget", v->way);
	v->stage->bound[v->way] = NULL;
	adit_conn_close(v->lower, why->err);
}

static const struct adit_mux_ops way_mux_ops = {
	.size = sizeof(way_mux_ops),
	.name = "way",
	.accept = way_accept,
	.probe = way_nothing,
	.drain = way_nothing,
	.close = way_close_mux,
};

/* ---- trips --------------------------------------------------------------------------------- */

struct trip {
	struct race_trip	 base;
	struct stage		*stage;
};

static struct stage *
stage_of(struct race_trip *base)
{
	return adit_container_of(base, struct trip, base)->stage;
}

static struct adit_conn *
trip_dial(struct race_trip *base, unsigned way, struct adit_err *e)
{
	struct stage *t = stage_of(base);

	t->dials++;
	note(t, "dial", way);
	if (t->closed[way]) {
		adit_err_set(e, -ENETUNREACH, "closed");
		return NULL;
	}
	assert_null(t->dialed[way]);
	return t->dialed[way] = way_conn(t, way, NULL);
}

/* What was dialed is a part of what asks from now on. */
static unsigned
trip_ask(struct stage *t, struct adit_conn *lower, struct adit_err *e)
{
	unsigned way = way_of(lower)->way;

	note(t, "ask", way);
	t->dialed[way] = NULL;
	if (!t->mute)
		return way;
	adit_conn_close(lower, -EPROTO);
	adit_err_set(e, -EPROTO, "mute");
	return WAYS;
}

static struct adit_conn *
trip_connect(struct race_trip *base, struct adit_conn *lower, struct adit_err *e)
{
	struct stage *t = stage_of(base);
	unsigned way = trip_ask(t, lower, e);

	if (way == WAYS)
		return NULL;
	return t->asked[way] = way_conn(t, way, lower);
}

static struct adit_mux *
trip_bind(struct race_trip *base, struct adit_conn *lower, struct adit_err *e)
{
	struct stage *t = stage_of(base);
	unsigned way = trip_ask(t, lower, e);
	struct way_mux *v;

	if (way == WAYS)
		return NULL;
	v = adit_mux_new(t->loop->worker, &way_mux_ops, sizeof(*v));
	assert_non_null(v);
	v->stage = t;
	v->way = way;
	v->lower = lower;
	return t->bound[way] = &v->base;
}

static void
trip_told(struct race_trip *base, int err)
{
	note(stage_of(base), err ? "no node" : "a node", WAYS);
}

static void
trip_free(struct race_trip *base)
{
	note(stage_of(base), "over", WAYS);
	free(adit_container_of(base, struct trip, base));
}

static struct race_trip *
trip(struct stage *t, unsigned ways)
{
	static const struct race_trip_ops ops = {
		.dial = trip_dial, .connect = trip_connect, .bind = trip_bind, .told = trip_told,
		.free = trip_free,
	};
	struct trip *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->stage = t;
	n->base = (struct race_trip){ .ops = &ops, .worker = t->loop->worker, .ways = ways };
	return &n->base;
}

/* ---- the stage ----------------------------------------------------------------------------- */

static int
setup(void **state)
{
	struct stage *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	component_init(&t->component, "n", NULL, NULL);
	*state = t;
	return 0;
}

static void
end(struct stage *t)
{
	adit_conn_close(t->conn, -ECANCELED);
	adit_mux_close(t->mux, NULL);
	t->conn = NULL;
	t->mux = NULL;
}

static int
teardown(void **state)
{
	struct stage *t = *state;

	end(t);
	loop_turn(t->loop, 6);
	race_stop(t->race, t->loop->worker);
	race_free(t->race);
	component_fini(&t->component);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void
begin(struct stage *t, uint64_t retry)
{
	t->race = race_new(&(struct race_conf){
		.component = &t->component, .name = "auto", .ways = { "a", "b", "c" }, .n = WAYS,
		.retry = retry,
	});
	assert_non_null(t->race);
}

static void
connects(struct stage *t)
{
	struct adit_err e = ADIT_ERR_INIT;

	end(t);
	t->conn = race_connect(t->race, trip(t, 7), &e);
	assert_non_null(t->conn);
}

static void
binds(struct stage *t)
{
	struct adit_err e = ADIT_ERR_INIT;

	end(t);
	t->mux = race_bind(t->race, trip(t, 7), &e);
	assert_non_null(t->mux);
}

static void
opens(struct stage *t, unsigned way)
{
	assert_non_null(t->dialed[way]);
	adit_conn_ready(t->dialed[way], ADIT_OPEN);
}

static void
fails(struct stage *t, unsigned way)
{
	assert_non_null(t->dialed[way]);
	adit_conn_fail(t->dialed[way], -ECONNREFUSED);
}

/* err 0: with what was asked for. */
static void
answers(struct stage *t, unsigned way, int err)
{
	assert_true(t->asked[way] || t->bound[way]);
	if (t->asked[way] && err)
		adit_conn_fail(t->asked[way], err);
	else if (t->asked[way])
		adit_conn_ready(t->asked[way], ADIT_OPEN);
	else if (err)
		adit_mux_fail(t->bound[way], &(struct adit_reason){ .err = err });
	else
		adit_mux_ready(t->bound[way], ADIT_OPEN);
}

static bool
has_notes(void *arg)
{
	return ((struct stage *)arg)->notes[0] != 0;
}

/* That is what happens next, when its time has come. */
static void
expect_later(struct stage *t, const char *notes)
{
	assert_true(loop_until(t->loop, has_notes, t, LIMIT_MS));
	expect(t, notes);
}

/* b is the way that is good, a is not. */
static void
goes_by_b(struct stage *t)
{
	fails(t, 0);
	expect(t, "dial a; close a; dial b");
	opens(t, 1);
	expect(t, "ask b");
	answers(t, 1, 0);
}

/* ---- one trip ------------------------------------------------------------------------------ */

static void
one_begins_after_the_other(void **state)
{
	struct stage *t = *state;
	uint64_t began = adit_now();

	begin(t, 0);
	connects(t);
	expect(t, "dial a");
	expect_later(t, "dial b");
	expect_later(t, "dial c");
	assert_true(adit_now() - began >= ADIT_MS(490));
	end(t);
	expect(t, "close c; close b; close a; over");
}

static void
only_ways_that_there_can_be_are_tried(void **state)
{
	struct stage *t = *state;
	struct adit_err e = ADIT_ERR_INIT;

	begin(t, 0);
	t->conn = race_connect(t->race, trip(t, 1u << 1 | 1u << 2), &e);
	expect(t, "dial b");
	fails(t, 1);
	expect(t, "close b; dial c");
	fails(t, 2);
	expect(t, "close c; no node; over");
}

static void
a_failure_begins_the_next_at_once(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	t->closed[1] = true;
	connects(t);
	expect(t, "dial a");
	fails(t, 0);
	expect(t, "close a; dial b; dial c");
	fails(t, 2);
	expect(t, "close c; no node; over");
	assert_int_equal(adit_conn_err(t->conn), -ECONNREFUSED);
	assert_non_null(strstr(conn_failure(t->conn), "a: "));
	assert_non_null(strstr(conn_failure(t->conn), ", b: closed, c: "));
}

static void
who_cannot_ask_is_as_one_that_failed(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	t->mute = true;
	connects(t);
	opens(t, 0);
	expect(t, "dial a; ask a; dial b");
	opens(t, 1);
	expect(t, "ask b; dial c");
	opens(t, 2);
	expect(t, "ask c; no node; over");
	assert_int_equal(adit_conn_err(t->conn), -EPROTO);
}

static void
the_winner_ends_the_others(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	connects(t);
	expect(t, "dial a");
	expect_later(t, "dial b");
	opens(t, 0);
	expect(t, "ask a");
	answers(t, 0, 0);
	expect(t, "a node; close b; over");
	assert_true(adit_conn_is_open(t->conn));
	end(t);
	expect(t, "forget a");
}

/* One that takes the connection and has no node behind it. */
static void
who_is_through_and_has_no_answer_has_lost(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	connects(t);
	opens(t, 0);
	expect(t, "dial a; ask a");
	answers(t, 0, -ECONNRESET);
	expect(t, "forget a; dial b");
	opens(t, 1);
	expect(t, "ask b");
	answers(t, 1, ADIT_ETLS);
	expect(t, "forget b; dial c");
}

static void
a_no_of_the_node_is_an_answer(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	connects(t);
	opens(t, 0);
	expect(t, "dial a; ask a");
	answers(t, 0, ADIT_EFORBIDDEN);
	expect(t, "a node; forget a; over");
	assert_int_equal(adit_conn_err(t->conn), ADIT_EFORBIDDEN);
}

static void
another_asks_when_the_answer_takes_long(void **state)
{
	struct stage *t = *state;
	uint64_t asked = adit_now();

	begin(t, 0);
	connects(t);
	opens(t, 0);
	expect(t, "dial a; ask a");
	expect_later(t, "dial b");
	opens(t, 1);
	expect_later(t, "dial c");
	expect_later(t, "ask b");
	assert_true(adit_now() - asked >= ADIT_MS(990));
	answers(t, 1, 0);
	expect(t, "a node; close c; forget a; over");
}

static void
closing_ends_it_in_any_state(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	connects(t);
	expect(t, "dial a");
	expect_later(t, "dial b");
	opens(t, 0);
	opens(t, 1);
	expect(t, "ask a");
	expect_later(t, "dial c");
	end(t);
	expect(t, "close c; close b; forget a; over");
	/* Before anything has happened. */
	connects(t);
	end(t);
	expect(t, "dial a; close a; over");
}

/* ---- what is learned ----------------------------------------------------------------------- */

static void
what_was_good_is_tried_first(void **state)
{
	struct stage *t = *state;

	begin(t, ADIT_SECONDS(3600));
	connects(t);
	goes_by_b(t);
	expect(t, "a node; over");
	connects(t);
	expect(t, "forget b; dial b");
	fails(t, 1);
	expect(t, "close b; dial a");
}

/* It was begun, and goes on after another was faster. */
static void
the_first_way_is_good_if_it_was_only_late(void **state)
{
	struct stage *t = *state;

	begin(t, ADIT_SECONDS(3600));
	connects(t);
	expect(t, "dial a");
	expect_later(t, "dial b");
	opens(t, 1);
	expect(t, "ask b");
	answers(t, 1, 0);
	expect(t, "a node");
	opens(t, 0);
	expect(t, "close a; over");
	connects(t);
	expect(t, "forget b; dial a");
}

static void
the_first_way_is_tried_again_beside_the_good_one(void **state)
{
	struct stage *t = *state;
	uint64_t paused;

	begin(t, ADIT_MS(10));
	connects(t);
	goes_by_b(t);
	expect(t, "a node; over");
	for (paused = adit_now() + ADIT_MS(15); adit_now() <= paused; )	/* the longest pause */
		loop_turn(t->loop, 1);
	connects(t);
	expect(t, "forget b; dial a; dial b");
	opens(t, 1);
	expect(t, "ask b");
	answers(t, 1, 0);
	expect(t, "a node");
	/* What it was begun for is gone, and it tells all the same. */
	end(t);
	expect(t, "forget b");
	opens(t, 0);
	expect(t, "close a; over");
	connects(t);
	expect(t, "dial a");
}

/* ---- binds --------------------------------------------------------------------------------- */

static void
a_bind_climbs_back(void **state)
{
	struct stage *t = *state;

	begin(t, ADIT_MS(10));
	binds(t);
	goes_by_b(t);
	expect_later(t, "a node");
	assert_true(adit_mux_is_open(t->mux));
	/* It is tried again and again. */
	for (int i = 0; i < 2; i++) {
		expect_later(t, "dial a");
		assert_false(adit_mux_is_superseded(t->mux));
		fails(t, 0);
		expect(t, "close a");
	}
	expect_later(t, "dial a");
	opens(t, 0);
	expect(t, "close a");
	assert_true(adit_mux_is_superseded(t->mux));
	assert_true(adit_mux_is_open(t->mux));
	end(t);
	expect(t, "over; forget b");
	binds(t);
	expect(t, "dial a");
}

static void
a_bind_by_the_first_way_is_left_alone(void **state)
{
	struct stage *t = *state;

	begin(t, ADIT_MS(1));
	binds(t);
	opens(t, 0);
	expect(t, "dial a; ask a");
	answers(t, 0, 0);
	expect(t, "a node; over");
	assert_true(adit_mux_is_open(t->mux));
}

static void
closing_ends_a_bind_in_any_state(void **state)
{
	struct stage *t = *state;

	begin(t, ADIT_MS(10));
	binds(t);
	opens(t, 0);
	expect(t, "dial a; ask a");
	end(t);
	expect(t, "forget a; over");
	binds(t);
	goes_by_b(t);
	expect_later(t, "a node");
	expect_later(t, "dial a");
	end(t);
	expect(t, "close a; over; forget b");
}

static void
a_bind_that_is_refused_fails(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	binds(t);
	opens(t, 0);
	expect(t, "dial a; ask a");
	answers(t, 0, ADIT_EFORBIDDEN);
	expect(t, "a node; forget a; over");
	assert_int_equal(adit_mux_err(t->mux), ADIT_EFORBIDDEN);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void
stopping_ends_what_is_under_way(void **state)
{
	struct stage *t = *state;

	begin(t, 0);
	connects(t);
	expect(t, "dial a");
	race_stop(t->race, t->loop->worker);
	expect(t, "no node; close a; over");
	assert_int_equal(adit_conn_err(t->conn), ADIT_EDRAINING);
}

static void
what_was_bound_outlives_a_stop(void **state)
{
	struct stage *t = *state;

	begin(t, ADIT_SECONDS(3600));
	binds(t);
	goes_by_b(t);
	expect(t, "a node");
	race_stop(t->race, t->loop->worker);
	expect(t, "over");
	assert_true(adit_mux_is_open(t->mux));
	end(t);
	expect(t, "forget b");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_begins_after_the_other), TEST(only_ways_that_there_can_be_are_tried),
		TEST(a_failure_begins_the_next_at_once),
		TEST(who_cannot_ask_is_as_one_that_failed), TEST(the_winner_ends_the_others),
		TEST(who_is_through_and_has_no_answer_has_lost),
		TEST(a_no_of_the_node_is_an_answer),
		TEST(another_asks_when_the_answer_takes_long),
		TEST(closing_ends_it_in_any_state), TEST(what_was_good_is_tried_first),
		TEST(the_first_way_is_good_if_it_was_only_late),
		TEST(the_first_way_is_tried_again_beside_the_good_one),
		TEST(a_bind_climbs_back), TEST(a_bind_by_the_first_way_is_left_alone),
		TEST(closing_ends_a_bind_in_any_state), TEST(a_bind_that_is_refused_fails),
		TEST(stopping_ends_what_is_under_way), TEST(what_was_bound_outlives_a_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
