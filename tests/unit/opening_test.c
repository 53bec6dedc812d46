#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/opening.h"
#include "tests/unit/conformance.h"

static void
never(void *arg)
{
	(void)arg;
	fail();
}

static int
make_opening(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_conn *la, *lb;

	if (conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	*a = opening_new(t->loop->worker, never, NULL);
	*b = opening_new(t->loop->worker, never, NULL);
	if (!*a || !*b)
		return -ENOMEM;
	opening_set(*a, la);
	opening_set(*b, lb);
	return 0;
}

static void
an_opened_one_conforms(void **state)
{
	static const struct conformance_case opening = {
		.name = "opening", .make = make_opening, .in_flight = 65536, .chunks = 131072,
	};

	(void)state;
	conformance_run(&opening);
}

static void
count_call(void *arg)
{
	(*(unsigned *)arg)++;
}

static void
count_event(void *owner, struct adit_conn *c, unsigned events)
{
	(void)events;
	(*(unsigned *)owner)++;
	adit_conn_want(c, 0);
}

static void
closing_cancels_once(void **state)
{
	struct loop *l = *state;
	unsigned cancels = 0;
	struct adit_conn *c = opening_new(l->worker, count_call, &cancels);

	assert_non_null(c);
	assert_int_equal(adit_conn_shutdown(c), -ENOTCONN);
	adit_conn_close(c, 0);
	assert_int_equal(cancels, 1);
	loop_turn(l, 4);
	assert_int_equal(cancels, 1);
}

static void
failing_tells_the_owner(void **state)
{
	struct loop *l = *state;
	unsigned calls = 0;
	struct adit_conn *c = opening_new(l->worker, never, NULL);

	adit_conn_own(c, count_event, &calls);
	adit_conn_want(c, ADIT_OPEN);
	loop_turn(l, 2);
	assert_int_equal(calls, 0);
	opening_fail(c, ADIT_ENOTUNNEL);
	loop_turn(l, 4);
	assert_int_equal(calls, 1);
	assert_int_equal(adit_conn_err(c), ADIT_ENOTUNNEL);
	adit_conn_close(c, 0);
}

/* One over another: opening of opening, which fails or opens as the lowest does. */
static void
it_opens_as_lower_does(void **state)
{
	struct loop *l = *state;
	struct adit_addr who = { .family = AF_INET, .port = 5, .ip = { 10, 1, 2, 3 } };
	struct adit_conn *a, *b, *c, *lower;
	uint16_t port;

	for (int fails = 0; fails < 2; fails++) {
		unsigned calls = 0;

		c = opening_new(l->worker, never, NULL);
		lower = opening_new(l->worker, never, NULL);
		adit_conn_own(c, count_event, &calls);
		adit_conn_want(c, ADIT_OPEN);
		opening_set(c, lower);
		loop_turn(l, 4);
		assert_int_equal(calls, 0);
		assert_int_equal(adit_conn_pair(l->worker, l->worker, 1000, &a, &b), 0);
		adit_conn_set_remote(a, &who);
		adit_conn_add_flags(a, ADIT_CONN_SECURE);
		assert_int_equal(adit_conn_set_asked(a, "name", 7), 0);
		if (fails) {
			opening_fail(lower, -ETIMEDOUT);
			adit_conn_close(a, 0);
		} else {
			opening_set(lower, a);
		}
		loop_turn(l, 4);
		assert_int_equal(calls, 1);
		assert_int_equal(adit_conn_err(c), fails ? -ETIMEDOUT : 0);
		assert_int_equal(adit_conn_is_open(c), !fails);
		if (!fails) {
			assert_true(adit_addr_equal(adit_conn_remote(c), &who));
			assert_string_equal(adit_conn_asked(c, &port), "name");
			assert_int_equal(port, 7);
			assert_true(adit_conn_flags(c) & ADIT_CONN_SECURE);
		}
		adit_conn_close(c, 0);
		adit_conn_close(b, 0);
	}
}

static void
reads(struct adit_conn *c, const char *expected)
{
	char got[64];
	ssize_t n = adit_conn_read(c, got, sizeof(got));

	assert_int_equal(n, strlen(expected));
	assert_memory_equal(got, expected, (size_t)n);
	assert_int_equal(adit_conn_read(c, got, sizeof(got)), -EAGAIN);
}

/* One that is opening and takes bytes early; they are to be read from *far once it is open. */
static struct adit_conn *
early_lower(struct loop *l, struct adit_conn **near, struct adit_conn **far)
{
	struct adit_conn *c = opening_new(l->worker, count_call, near);

	assert_non_null(c);
	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, near, far), 0);
	opening_take_early(c);
	return c;
}

/* The first that is tried has it all and never opens; who opens has it all, and once. */
static void
early_bytes_move_with_the_open(void **state)
{
	struct loop *l = *state;
	struct adit_conn *c = opening_new(l->worker, never, NULL);
	struct adit_conn *near[2], *far[2], *lower[2];

	assert_int_equal(adit_conn_write(c, "x", 1), -EAGAIN);
	opening_take_early(c);
	assert_int_equal(adit_conn_write(c, "one ", 4), 4);
	for (int i = 0; i < 2; i++) {
		lower[i] = early_lower(l, &near[i], &far[i]);
		opening_try(c, lower[i]);
		opening_set(lower[i], near[i]);
		reads(far[i], i ? "one two " : "one ");
		assert_int_equal(adit_conn_write(c, i ? "three" : "two ", i ? 5 : 4), i ? 5 : 4);
		reads(far[i], i ? "three" : "two ");
		if (!i)
			opening_try(c, NULL);
	}
	adit_conn_close(lower[0], -ECONNRESET);
	assert_false(adit_conn_is_open(c));
	opening_set(c, lower[1]);
	assert_true(adit_conn_is_open(c));
	assert_int_equal(adit_conn_write(c, "four", 4), 4);
	reads(far[1], "four");
	adit_conn_close(c, 0);
	adit_conn_close(far[0], 0);
	adit_conn_close(far[1], 0);
}

/* No more than is kept is taken, and where it opens all of that is passed before anything else. */
static void
early_bytes_are_bounded(void **state)
{
	struct loop *l = *state;
	struct adit_conn *c = opening_new(l->worker, never, NULL), *near, *far;
	static char bytes[OPENING_KEPT + 1000], got[OPENING_KEPT + 1000];
	size_t len = 0, done = 0;
	ssize_t n;

	memset(bytes, 'a', sizeof(bytes));
	opening_take_early(c);
	assert_int_equal(adit_conn_write(c, bytes, sizeof(bytes)), OPENING_KEPT);
	assert_int_equal(adit_conn_write(c, "b", 1), -EAGAIN);
	assert_int_equal(adit_conn_pair(l->worker, l->worker, 1000, &near, &far), 0);
	opening_set(c, near);
	assert_int_equal(adit_conn_write(c, "b", 1), -EAGAIN);
	for (unsigned turns = 0; turns < 200 && len < OPENING_KEPT + 1; turns++) {
		if (!done && adit_conn_is_open(c))
			done = adit_conn_write(c, "b", 1) == 1;
		n = adit_conn_read(far, got + len, sizeof(got) - len);
		len += n > 0 ? (size_t)n : 0;
		loop_turn(l, 1);
	}
	assert_int_equal(len, OPENING_KEPT + 1);
	assert_memory_equal(got, bytes, OPENING_KEPT);
	assert_int_equal(got[OPENING_KEPT], 'b');
	adit_conn_close(c, 0);
	adit_conn_close(far, 0);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_opened_one_conforms),
		LOOP_TEST(closing_cancels_once),
		LOOP_TEST(failing_tells_the_owner),
		LOOP_TEST(it_opens_as_lower_does),
		LOOP_TEST(early_bytes_move_with_the_open),
		LOOP_TEST(early_bytes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
