#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/framed.h"
#include "core/wire/dgram.h"
#include "tests/unit/conformance.h"
#include "tests/unit/jitter.h"

#define LIMIT_MS 20000

static uint8_t bytes[DGRAM_MAX + 1], got[DGRAM_MAX + 1];

/* A framed conn, and the bytes below it. */
struct rig {
	struct loop		*loop;
	struct adit_conn	*framed, *below;
	ssize_t			 n;		/* the last read's answer */
};

/* Whoever waits asks again. */
static void
woken(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

static struct rig
rig_new(struct loop *l, size_t cap)
{
	struct rig r = { .loop = l };
	struct adit_conn *lower;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, cap, &lower, &r.below), 0);
	r.framed = framed_conn(lower);
	assert_non_null(r.framed);
	adit_conn_own(r.framed, woken, NULL);
	adit_conn_own(r.below, woken, NULL);
	return r;
}

static void
rig_free(struct rig *r)
{
	adit_conn_close(r->framed, 0);
	adit_conn_close(r->below, 0);
	loop_turn(r->loop, 3);
}

static bool
has_read(void *arg)
{
	struct rig *r = arg;

	r->n = adit_conn_read(r->framed, got, sizeof(got));
	adit_conn_want(r->framed, r->n == -EAGAIN ? ADIT_READ : 0);
	return r->n != -EAGAIN;
}

/* The next datagram has len bytes of what bytes has. */
static void
expect(struct rig *r, size_t len)
{
	assert_true(loop_until(r->loop, has_read, r, LIMIT_MS));
	assert_int_equal(r->n, len);
	assert_memory_equal(got, bytes, len);
}

static void
expect_failure(struct rig *r, int err)
{
	assert_true(loop_until(r->loop, has_read, r, LIMIT_MS));
	assert_int_equal(r->n, err);
	assert_int_equal(adit_conn_err(r->framed), err);
}

/* ---- reading ------------------------------------------------------------------------- */

static int
make_framed(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_conn *la, *lb;

	if (conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	*a = framed_conn(la);
	*b = framed_conn(lb);
	return *a && *b ? 0 : -ENOMEM;
}

static void
framed_conforms(void **state)
{
	static const struct conformance_case framed = {
		.name = "framed", .make = make_framed, .flags = CONFORMANCE_DGRAM,
	};

	(void)state;
	conformance_run(&framed);
}

static void
datagrams_come_out_of_the_bytes(void **state)
{
	struct rig r = rig_new(*state, 65536);

	/* Two and the beginning of a third in one piece, an empty one among them. */
	assert_int_equal(adit_conn_write(r.below, "\0\3\0\1\2\0\0\0\2\0", 10), 10);
	expect(&r, 3);
	expect(&r, 0);
	loop_turn(r.loop, 3);
	assert_int_equal(adit_conn_read(r.framed, got, sizeof(got)), -EAGAIN);
	assert_int_equal(adit_conn_write(r.below, "\1", 1), 1);
	expect(&r, 2);
	rig_free(&r);
}

static void
what_has_no_room_is_cut(void **state)
{
	struct rig r = rig_new(*state, 65536);

	assert_int_equal(adit_conn_write(r.below, "\0\3\0\1\2\0\1\0", 8), 8);
	loop_turn(r.loop, 3);
	assert_int_equal(adit_conn_read(r.framed, got, 2), 2);
	expect(&r, 1);
	rig_free(&r);
}

static void
the_end_below_is_the_end_after_what_came(void **state)
{
	struct rig r = rig_new(*state, 65536);

	assert_int_equal(adit_conn_write(r.below, "\0\1\0", 3), 3);
	adit_conn_close(r.below, 0);
	r.below = NULL;
	expect(&r, 1);
	expect_failure(&r, -ESHUTDOWN);
	rig_free(&r);
}

static void
an_end_inside_a_datagram_is_no_end(void **state)
{
	struct rig r = rig_new(*state, 65536);

	assert_int_equal(adit_conn_write(r.below, "\0\5\0", 3), 3);
	adit_conn_shutdown(r.below);
	expect_failure(&r, ADIT_ETRUNCATED);
	rig_free(&r);
}

static void
a_failure_below_is_passed_on(void **state)
{
	struct rig r = rig_new(*state, 65536);

	adit_conn_close(r.below, -EHOSTUNREACH);
	r.below = NULL;
	expect_failure(&r, -EHOSTUNREACH);
	assert_int_equal(adit_conn_write(r.framed, bytes, 1), -EHOSTUNREACH);
	rig_free(&r);
}

/* ---- writing --------------------------------------------------------------------------- */

static ssize_t
below_read(struct rig *r)
{
	return adit_conn_read(r->below, got, sizeof(got));
}

/* What is written in one turn leaves in one write, after the turn. */
static void
small_ones_share_a_write(void **state)
{
	static const uint8_t wire[] = { 0, 1, 0, 0, 0, 0, 2, 0, 1 };
	struct rig r = rig_new(*state, 65536);

	loop_turn(r.loop, 3);
	assert_int_equal(adit_conn_write(r.framed, bytes, 1), 1);
	assert_int_equal(adit_conn_write(r.framed, bytes, 0), 0);
	assert_int_equal(adit_conn_write(r.framed, bytes, 2), 2);
	assert_int_equal(below_read(&r), -EAGAIN);
	loop_turn(r.loop, 3);
	assert_int_equal(below_read(&r), sizeof(wire));
	assert_memory_equal(got, wire, sizeof(wire));
	rig_free(&r);
}

struct sending {
	struct rig	 r;
	struct adit_conn *other;	/* framed, over r.below */
	unsigned	 sent, came;
};

/* Sends and reads whole ones of the longest kind until so many have come. */
static bool
has_carried(void *arg)
{
	struct sending *s = arg;

	if (s->sent < 8 && adit_conn_write(s->r.framed, bytes, DGRAM_MAX) == DGRAM_MAX)
		s->sent++;
	if (adit_conn_read(s->other, got, sizeof(got)) == DGRAM_MAX) {
		assert_memory_equal(got, bytes, DGRAM_MAX);
		s->came++;
	}
	adit_conn_want(s->other, ADIT_READ);
	adit_conn_want(s->r.framed, s->sent < 8 ? ADIT_WRITE : 0);
	return s->came == 8;
}

static void
the_longest_go_through_a_narrow_way(void **state)
{
	struct sending s = { .r = rig_new(*state, 1000) };

	s.other = framed_conn(s.r.below);
	s.r.below = NULL;
	adit_conn_own(s.other, woken, NULL);
	assert_true(loop_until(*state, has_carried, &s, LIMIT_MS));
	adit_conn_close(s.other, 0);
	rig_free(&s.r);
}

static bool
below_drained(void *arg)
{
	struct rig *r = arg;

	while (below_read(r) > 0)
		;
	adit_conn_want(r->below, ADIT_READ);
	adit_conn_want(r->framed, ADIT_WRITE);
	return adit_conn_write(r->framed, bytes, 1000) == 1000;
}

/* Nobody reads below: what is kept is bounded, and writing goes on when somebody does. */
static void
a_full_queue_says_so(void **state)
{
	struct rig r = rig_new(*state, 1000);
	size_t sent = 0;

	while (adit_conn_write(r.framed, bytes, 1000) == 1000) {
		sent += 1000;
		assert_in_range(sent, 1, 1 << 20);
		loop_turn(r.loop, 1);
	}
	assert_true(sent >= DGRAM_MAX);
	assert_int_equal(adit_conn_write(r.framed, bytes, 1000), -EAGAIN);
	assert_true(loop_until(r.loop, below_drained, &r, LIMIT_MS));
	rig_free(&r);
}

static void
what_is_too_long_is_refused(void **state)
{
	struct rig r = rig_new(*state, 65536);

	assert_int_equal(adit_conn_write(r.framed, bytes, DGRAM_MAX + 1), -EMSGSIZE);
	rig_free(&r);
}

static void
a_polite_close_sends_what_was_taken(void **state)
{
	struct rig r = rig_new(*state, 65536);

	assert_int_equal(adit_conn_write(r.framed, bytes, 2), 2);
	adit_conn_close(r.framed, 0);
	r.framed = NULL;
	assert_int_equal(below_read(&r), 4);
	assert_int_equal(below_read(&r), 0);
	rig_free(&r);
}

/* Else the other side would take half a datagram for the end of all. */
static void
a_close_inside_a_datagram_is_a_failure(void **state)
{
	struct rig r = rig_new(*state, 100);
	ssize_t n;

	assert_int_equal(adit_conn_write(r.framed, bytes, 1000), 1000);
	loop_turn(r.loop, 3);
	adit_conn_close(r.framed, 0);
	r.framed = NULL;
	while ((n = below_read(&r)) > 0)
		;
	assert_int_equal(n, -ECONNABORTED);
	rig_free(&r);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void
it_is_what_the_conn_below_is(void **state)
{
	struct loop *l = *state;
	struct adit_conn *lower, *below, *c;
	struct adit_addr who = { .family = 2, .port = 7, .ip = { 10, 0, 0, 1 } };
	uint16_t port;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 100, &lower, &below), 0);
	adit_conn_set_remote(lower, &who);
	adit_conn_add_flags(lower, ADIT_CONN_SECURE);
	assert_int_equal(adit_conn_set_asked(lower, "dns.local", 53), 0);
	c = framed_conn(lower);
	assert_int_equal(adit_conn_flags(c), ADIT_CONN_DGRAM | ADIT_CONN_SECURE);
	assert_true(adit_addr_equal(adit_conn_remote(c), &who));
	assert_string_equal(adit_conn_asked(c, &port), "dns.local");
	assert_int_equal(port, 53);
	adit_conn_close(c, 0);
	adit_conn_close(below, 0);
	assert_null(framed_conn(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(framed_conforms),
		TEST(datagrams_come_out_of_the_bytes),
		TEST(what_has_no_room_is_cut),
		TEST(the_end_below_is_the_end_after_what_came),
		TEST(an_end_inside_a_datagram_is_no_end),
		TEST(a_failure_below_is_passed_on),
		TEST(small_ones_share_a_write),
		TEST(the_longest_go_through_a_narrow_way),
		TEST(a_full_queue_says_so),
		TEST(what_is_too_long_is_refused),
		TEST(a_polite_close_sends_what_was_taken),
		TEST(a_close_inside_a_datagram_is_a_failure),
		TEST(it_is_what_the_conn_below_is),
	};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i < 256 ? i : i * 7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
