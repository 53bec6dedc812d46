#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tunnel/awaiting.h"
#include "tests/unit/loop.h"

#define LIMIT_MS 20000

struct world {
	struct awaiting		 awaiting;
	struct adit_conn	*conn, *peer;	/* what waits, and the far end of its stream */
	unsigned		 asked;		/* late() */
	bool			 give_up;
};

static bool
late(void *arg)
{
	struct world *w = arg;

	w->asked++;
	return w->give_up;
}

static void
add(struct world *w, struct loop *l)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *stream;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 4096, &stream, &w->peer), 0);
	w->conn = awaiting_add(&w->awaiting, stream, &e);
	assert_non_null(w->conn);
	assert_false(adit_conn_is_open(w->conn));
}

static bool
was_asked_twice(void *arg)
{
	return ((struct world *)arg)->asked >= 2;
}

static bool
has_failed(void *arg)
{
	return adit_conn_err(arg) != 0;
}

static void
nothing_is_handed_over_before_the_peer_is_heard(void **state)
{
	struct loop *l = *state;
	struct world w = { .asked = 0 };
	char c;

	awaiting_init(&w.awaiting, late, &w);
	assert_false(awaiting_any(&w.awaiting));
	add(&w, l);
	assert_true(awaiting_any(&w.awaiting));
	loop_turn(l, 5);
	assert_int_equal(adit_conn_write(w.conn, "x", 1), -EAGAIN);
	assert_int_equal(adit_conn_read(w.peer, &c, 1), -EAGAIN);
	awaiting_heard(&w.awaiting);
	assert_false(awaiting_any(&w.awaiting));
	assert_true(adit_conn_is_open(w.conn));
	assert_int_equal(adit_conn_write(w.conn, "x", 1), 1);
	assert_int_equal(adit_conn_read(w.peer, &c, 1), 1);
	adit_conn_close(w.conn, 0);
	adit_conn_close(w.peer, 0);
	awaiting_fini(&w.awaiting, -ECONNRESET);
}

/* It waits on as long as nobody else could do it, and is given up as soon as somebody can. */
static void
who_waits_for_long_is_given_up(void **state)
{
	struct loop *l = *state;
	struct world w = { .asked = 0 };
	uint64_t began = adit_now();

	awaiting_init(&w.awaiting, late, &w);
	add(&w, l);
	assert_true(loop_until(l, was_asked_twice, &w, LIMIT_MS));
	assert_true(adit_now() - began >= ADIT_SECONDS(1));
	assert_int_equal(adit_conn_err(w.conn), 0);
	w.give_up = true;
	assert_true(loop_until(l, has_failed, w.conn, LIMIT_MS));
	assert_int_equal(adit_conn_err(w.conn), ADIT_EPEERDEAD);
	assert_true(adit_conn_read(w.peer, &began, 1) <= 0);
	assert_false(awaiting_any(&w.awaiting));
	adit_conn_close(w.conn, 0);
	adit_conn_close(w.peer, 0);
	awaiting_fini(&w.awaiting, -ECONNRESET);
}

static void
who_goes_takes_his_stream_with_him(void **state)
{
	struct loop *l = *state;
	struct world w = { .asked = 0 };
	char c;

	awaiting_init(&w.awaiting, late, &w);
	add(&w, l);
	adit_conn_close(w.conn, -ECANCELED);
	assert_false(awaiting_any(&w.awaiting));
	assert_int_equal(adit_conn_read(w.peer, &c, 1), -ECANCELED);
	adit_conn_close(w.peer, 0);
	awaiting_heard(&w.awaiting);
	awaiting_fini(&w.awaiting, -ECONNRESET);
}

static void
the_end_of_the_session_fails_what_waits(void **state)
{
	struct loop *l = *state;
	struct world w = { .asked = 0 };

	awaiting_init(&w.awaiting, late, &w);
	add(&w, l);
	awaiting_fini(&w.awaiting, -ECONNRESET);
	assert_int_equal(adit_conn_err(w.conn), -ECONNRESET);
	adit_conn_close(w.conn, 0);
	adit_conn_close(w.peer, 0);
}

int
main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		LOOP_TEST(nothing_is_handed_over_before_the_peer_is_heard),
		LOOP_TEST(who_waits_for_long_is_given_up),
		LOOP_TEST(who_goes_takes_his_stream_with_him),
		LOOP_TEST(the_end_of_the_session_fails_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
