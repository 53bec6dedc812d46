/*
 * Connections counted and slowed down, requests counted: by the limits that hold, for all together
 * and for each address, and given back when a conn is freed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/conn.h>
#include <adit/pump.h>

#include "core/conn/conn.h"
#include "core/policy/shares.h"
#include "tests/unit/loop.h"

#define LIMIT_MS 30000
#define NOW ADIT_SECONDS(5000)

static struct limits *
limits_of(enum limit_kind kind, const char *lines)
{
	struct limits *l = limits_new(kind);
	struct adit_err e = ADIT_ERR_INIT;
	char text[512];

	snprintf(text, sizeof(text), "%s", lines);
	if (!l || limits_add_text(l, text, &e) < 0 || limits_seal(l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

static struct adit_addr
ip(const char *text)
{
	struct adit_addr a;

	assert_int_equal(adit_addr_parse(text, 4711, &a), 0);
	return a;
}

/* Both ends of a pair; a has that remote address. */
static void
pair_of(struct loop *l, const char *who, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_addr remote = ip(who);

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, a, b), 0);
	adit_conn_set_remote(*a, &remote);
}

static void
close_pair(struct loop *l, struct adit_conn *a, struct adit_conn *b)
{
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	loop_turn(l, 3);
}

/* ---- connections ------------------------------------------------------------------------ */

static void
test_connections(void **state)
{
	struct loop *l = *state;
	struct limits *limits = limits_of(LIMIT_CONNS, "$ 4\n$$ 2\n10.0.0.1 3\n10.0.1.0/24 1\n");
	struct shares *s = shares_new();
	static const struct {
		const char	*who;
		int		answer;
	} rows[] = {
		{ "192.0.2.1", 0 }, { "192.0.2.1", 0 }, { "192.0.2.1", ADIT_ELIMIT },
		{ "10.0.1.1", 0 }, { "10.0.1.1", ADIT_ELIMIT },
		{ "10.0.1.2", 0 },		/* each of a range by itself */
		{ "10.0.0.1", ADIT_ELIMIT },	/* all are taken */
	};
	struct adit_conn *a[7], *b[7];

	for (size_t i = 0; i < 7; i++) {
		pair_of(l, rows[i].who, &a[i], &b[i]);
		if (shares_admit(s, limits, a[i]) != rows[i].answer)
			fail_msg("%zu", i);
	}
	assert_int_equal(shares_open(s), 4);
	close_pair(l, a[0], b[0]);
	assert_int_equal(shares_open(s), 3);
	assert_int_equal(shares_admit(s, limits, a[2]), 0);
	assert_int_equal(shares_admit(s, limits, a[4]), ADIT_ELIMIT);
	for (size_t i = 1; i < 7; i++)
		close_pair(l, a[i], b[i]);
	assert_int_equal(shares_open(s), 0);
	shares_put(s);
	limits_free(limits);
}

/*
 * Whoever has an IPv6 address has its network of 64 bits; where a line is about less than that each
 * address of it is by itself.
 */
static void
test_networks_of_ipv6(void **state)
{
	struct limits *limits =
		limits_of(LIMIT_RATE, "$$ 0.5\n2001:db8:0:2::/63 1.5\n2001:db8:0:1::/120 0.5");
	static const struct {
		const char	*who;
		int		answer;
	} rows[] = {
		{ "2001:db8::1", 0 }, { "2001:db8::2", ADIT_ELIMIT },
		{ "2001:db8:0:2::1", 0 }, { "2001:db8:0:2::2", 0 },
		{ "2001:db8:0:2:3::1", ADIT_ELIMIT }, { "2001:db8:0:3::1", 0 },
		{ "2001:db8:0:1::1", 0 }, { "2001:db8:0:1::1", ADIT_ELIMIT },
		{ "2001:db8:0:1::2", 0 },
		{ "2001:db8:0:1::100", 0 }, { "2001:db8:0:1::101", ADIT_ELIMIT },
	};
	struct shares *s = shares_new();
	uint64_t wait;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_addr who = ip(rows[i].who);

		if (shares_allow(s, limits, &who, NOW, &wait) != rows[i].answer)
			fail_msg("%zu", i);
	}
	assert_int_equal(shares_known(s), 6);
	shares_put(s);
	limits_free(limits);
}

/* What was counted under other limits is counted still; a refused one leaves nothing. */
static void
test_connections_over_a_reload(void **state)
{
	struct loop *l = *state;
	struct limits *before = limits_of(LIMIT_CONNS, "$$ 5");
	struct limits *after = limits_of(LIMIT_CONNS, "$$ 2");
	struct shares *s = shares_new();
	struct adit_conn *a[4], *b[4];

	for (size_t i = 0; i < 4; i++)
		pair_of(l, "192.0.2.1", &a[i], &b[i]);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(shares_admit(s, before, a[i]), 0);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(shares_admit(s, after, a[3]), ADIT_ELIMIT);
	close_pair(l, a[0], b[0]);
	assert_int_equal(shares_admit(s, after, a[3]), ADIT_ELIMIT);
	close_pair(l, a[1], b[1]);
	assert_int_equal(shares_admit(s, after, a[3]), 0);
	close_pair(l, a[2], b[2]);
	close_pair(l, a[3], b[3]);
	shares_put(s);
	limits_free(before);
	limits_free(after);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void
test_requests(void **state)
{
	struct limits *limits = limits_of(LIMIT_RATE, "$ 10\n$$ 2\n10.0.0.1 1");
	struct adit_addr some = ip("192.0.2.1"), other = ip("192.0.2.2"), own = ip("10.0.0.1");
	struct shares *s = shares_new();
	uint64_t wait;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(shares_allow(s, limits, &some, NOW, &wait), 0);
	assert_int_equal(shares_allow(s, limits, &some, NOW, &wait), ADIT_ELIMIT);
	assert_int_equal(wait, ADIT_MS(500));
	for (int i = 0; i < 2; i++)
		assert_int_equal(shares_allow(s, limits, &own, NOW, &wait), 0);
	assert_int_equal(shares_allow(s, limits, &own, NOW, &wait), ADIT_ELIMIT);
	assert_int_equal(wait, ADIT_SECONDS(1));
	for (int i = 0; i < 3; i++)
		assert_int_equal(shares_allow(s, limits, &other, NOW, &wait), 0);
	/* 8 of the 11 are gone: those who were refused took none of them. */
	for (int i = 0; i < 3; i++) {
		struct adit_addr fresh = ip("192.0.2.77");

		fresh.ip[3] = (uint8_t)(fresh.ip[3] + i);
		assert_int_equal(shares_allow(s, limits, &fresh, NOW, &wait), 0);
	}
	assert_int_equal(shares_allow(s, limits, &own, NOW + ADIT_MS(50), &wait), ADIT_ELIMIT);
	assert_int_equal(wait, ADIT_MS(50));
	shares_put(s);
	limits_free(limits);
}

/* Addresses are forgotten as soon as nothing of them matters; more than fit are refused. */
static void
test_table_is_bounded(void **state)
{
	struct limits *limits = limits_of(LIMIT_RATE, "$$ 1");
	struct adit_addr who = { .family = AF_INET6 };
	struct shares *s = shares_new();
	uint64_t wait;

	(void)state;
	for (uint32_t i = 0; i < SHARES_MAX; i++) {
		memcpy(who.ip, &i, sizeof(i));
		assert_int_equal(shares_allow(s, limits, &who, NOW, &wait), 0);
	}
	assert_int_equal(shares_known(s), SHARES_MAX);
	who.ip[7] = 1;
	assert_int_equal(shares_allow(s, limits, &who, NOW, &wait), ADIT_ELIMIT);
	assert_int_equal(shares_allow(s, limits, &who, NOW + ADIT_SECONDS(2), &wait), 0);
	assert_int_equal(shares_known(s), 1);
	shares_put(s);
	limits_free(limits);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

#define CARGO 24000

struct transfer {
	struct adit_conn	*from, *to;
	uint8_t			 sent[CARGO], got[CARGO];
	size_t			 n_sent, n_got;
	unsigned		 calls;
};

static void
transfer_write(void *arg, struct adit_conn *c, unsigned events)
{
	struct transfer *t = arg;
	ssize_t n = adit_conn_write(c, t->sent + t->n_sent, CARGO - t->n_sent);

	(void)events;
	t->calls++;
	if (n > 0)
		t->n_sent += (size_t)n;
	if (t->n_sent == CARGO)
		adit_conn_want(c, 0);
}

static void
transfer_read(void *arg, struct adit_conn *c, unsigned events)
{
	struct transfer *t = arg;
	ssize_t n = adit_conn_read(c, t->got + t->n_got, CARGO - t->n_got);

	(void)events;
	t->calls++;
	if (n > 0)
		t->n_got += (size_t)n;
	if (t->n_got == CARGO)
		adit_conn_want(c, 0);
}

static bool
transfer_is_done(void *arg)
{
	return ((struct transfer *)arg)->n_got == CARGO;
}

/* Returns how many ms the cargo took. */
static uint64_t
transfer_run(struct loop *l, struct transfer *t, struct adit_conn *from, struct adit_conn *to)
{
	uint64_t begun = adit_now();

	memset(t, 0, sizeof(*t));
	adit_random(t->sent, CARGO);
	adit_conn_own(from, transfer_write, t);
	adit_conn_own(to, transfer_read, t);
	adit_conn_want(from, ADIT_WRITE);
	adit_conn_want(to, ADIT_READ);
	assert_true(loop_until(l, transfer_is_done, t, LIMIT_MS));
	assert_memory_equal(t->sent, t->got, CARGO);
	return (adit_now() - begun) / ADIT_MS(1);
}

/*
 * 24000 bytes at 60000 a second after 6000 at once: 300 ms, either way, in pieces of a 32nd of a
 * second. What is not slowed down goes in one piece, however busy the machine.
 */
static bool
is_slow(struct loop *l, struct transfer *t, struct adit_conn *from, struct adit_conn *to)
{
	uint64_t ms = transfer_run(l, t, from, to);

	if (t->calls <= 6)
		return false;
	assert_in_range(ms, 299, LIMIT_MS);
	assert_in_range(t->calls, 10, 100);
	return true;
}

static void
test_bytes(void **state)
{
	static const struct {
		const char	*lines;
		unsigned	scope;
		bool		in, out;	/* which direction is slow */
	} rows[] = {
		{ "$ 60000 0 6000", 3, true, false },
		{ "$ 0 60000 6000", 3, false, true },
		{ "$$ 60000 60000 6000", 3, true, true },
		{ "$ 60000 60000 6000", SHARES_CONN, false, false },
		{ "$$ 60000 60000 6000\n192.0.2.1 0", SHARES_SERVICE, false, false },
		{ "192.0.2.0/24 60000 60000 6000", SHARES_CONN, true, true },
		{ "192.0.2.1 60000 60000 6000\n$ 10MB\n$$ 0 10MB", 3, true, true },
		{ "192.0.3.1 60000 60000 6000", 3, false, false },
	};
	struct transfer *t = malloc(sizeof(*t));
	struct loop *l = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct limits *limits = limits_of(LIMIT_TRAFFIC, rows[i].lines);
		struct shares *s = shares_new();
		struct adit_conn *a, *b;
		bool in, out;

		pair_of(l, "192.0.2.1", &a, &b);
		assert_int_equal(shares_slow(s, limits, a, rows[i].scope), 0);
		in = is_slow(l, t, b, a);
		out = is_slow(l, t, a, b);
		if (rows[i].in != in || rows[i].out != out)
			fail_msg("%s: %d in, %d out", rows[i].lines, in, out);
		close_pair(l, a, b);
		shares_put(s);
		limits_free(limits);
	}
	free(t);
}

/* What all share two have together; and the table's lines hold for each address by itself. */
static void
test_bytes_are_shared(void **state)
{
	struct limits *limits = limits_of(LIMIT_TRAFFIC, "$ 0 60000 3000");
	struct transfer *t = calloc(2, sizeof(*t));
	struct shares *s = shares_new();
	uint64_t begun = adit_now();
	struct adit_conn *a[2], *b[2];
	struct loop *l = *state;

	for (int i = 0; i < 2; i++) {
		pair_of(l, i ? "192.0.2.1" : "192.0.2.2", &a[i], &b[i]);
		assert_int_equal(shares_slow(s, limits, a[i], 3), 0);
		assert_int_equal(shares_slow(s, limits, a[i], 3), 0);	/* once counts */
		adit_conn_own(a[i], transfer_write, &t[i]);
		adit_conn_own(b[i], transfer_read, &t[i]);
		adit_conn_want(a[i], ADIT_WRITE);
		adit_conn_want(b[i], ADIT_READ);
	}
	assert_true(loop_until(l, transfer_is_done, &t[0], LIMIT_MS));
	/* In turns: neither has all before the other has half. */
	assert_true(t[1].n_got > CARGO / 2);
	assert_true(loop_until(l, transfer_is_done, &t[1], LIMIT_MS));
	assert_true(adit_now() - begun >= ADIT_MS(700));
	for (int i = 0; i < 2; i++)
		close_pair(l, a[i], b[i]);
	shares_put(s);
	limits_free(limits);
	free(t);
}

/* A second's worth of bytes is that many, also of conns that move one each. */
static void
test_short_conns_cost_what_they_move(void **state)
{
	struct limits *limits = limits_of(LIMIT_TRAFFIC, "$ 64000 64000");
	struct shares *s = shares_new();
	struct adit_conn *a, *b;
	struct loop *l = *state;
	char byte;

	for (int i = 0; i < 500; i++) {
		pair_of(l, "192.0.2.1", &a, &b);
		assert_int_equal(shares_slow(s, limits, a, 3), 0);
		assert_int_equal(adit_conn_write(a, "x", 1), 1);
		assert_int_equal(adit_conn_write(b, "y", 1), 1);
		assert_int_equal(adit_conn_read(a, &byte, 1), 1);
		close_pair(l, a, b);
	}
	shares_put(s);
	limits_free(limits);
}

/* Nor do those that are open and have nothing to move, or little, take what others may have. */
static void
test_silent_conns_cost_nothing(void **state)
{
	struct limits *limits = limits_of(LIMIT_TRAFFIC, "$ 64000 64000");
	struct shares *s = shares_new();
	struct adit_conn *a[200], *b[200];
	struct loop *l = *state;
	char buf[100] = "";

	for (int i = 0; i < 200; i++) {
		pair_of(l, "192.0.2.1", &a[i], &b[i]);
		assert_int_equal(shares_slow(s, limits, a[i], 3), 0);
		assert_int_equal(adit_conn_read(a[i], buf, sizeof(buf)), -EAGAIN);
		assert_int_equal(adit_conn_write(a[i], buf, sizeof(buf)), sizeof(buf));
	}
	assert_int_equal(adit_conn_write(b[199], "y", 1), 1);
	assert_int_equal(adit_conn_read(a[199], buf, sizeof(buf)), 1);
	for (int i = 0; i < 200; i++)
		close_pair(l, a[i], b[i]);
	shares_put(s);
	limits_free(limits);
}

static bool
takes_a_byte(void *arg)
{
	return adit_conn_write(arg, "x", 1) == 1;
}

/* Answers do not wait, but what comes after them does, for them too; nor do failures. */
static void
test_answers_and_failures_do_not_wait(void **state)
{
	struct limits *limits = limits_of(LIMIT_TRAFFIC, "$ 6400 6400 1");
	struct shares *s = shares_new();
	uint64_t begun = adit_now();
	struct adit_conn *a, *b;
	struct loop *l = *state;
	char buf[2000] = "";

	pair_of(l, "192.0.2.1", &a, &b);
	assert_int_equal(shares_slow(s, limits, a, 3), 0);
	assert_int_equal(adit_conn_write(a, buf, 10), -EAGAIN);
	assert_int_equal(conn_write_now(a, buf, 1900), 1900);
	assert_int_equal(adit_conn_write(a, buf, 10), -EAGAIN);
	assert_true(loop_until(l, takes_a_byte, a, LIMIT_MS));
	assert_true(adit_now() - begun >= ADIT_MS(280));
	assert_int_equal(adit_conn_read(a, buf, sizeof(buf)), -EAGAIN);
	adit_conn_fail(a, -ETIMEDOUT);
	assert_int_equal(adit_conn_read(a, buf, sizeof(buf)), -ETIMEDOUT);
	close_pair(l, a, b);
	shares_put(s);
	limits_free(limits);
}

/* A conn that is closed while it waits gives everything back. */
static void
test_closed_while_waiting(void **state)
{
	struct limits *limits = limits_of(LIMIT_TRAFFIC, "192.0.2.1 10 10 10");
	struct shares *s = shares_new();
	struct adit_conn *a, *b;
	struct loop *l = *state;
	char buf[64] = "";

	pair_of(l, "192.0.2.1", &a, &b);
	assert_int_equal(shares_slow(s, limits, a, 3), 0);
	assert_int_equal(adit_conn_write(a, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(adit_conn_write(b, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(adit_conn_read(a, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(adit_conn_splice_fd(a, ADIT_READ), -1);
	close_pair(l, a, b);
	shares_put(s);
	limits_free(limits);
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(test_connections),
		IN_LOOP(test_connections_over_a_reload),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_networks_of_ipv6),
		cmocka_unit_test(test_table_is_bounded),
		IN_LOOP(test_bytes),
		IN_LOOP(test_bytes_are_shared),
		IN_LOOP(test_short_conns_cost_what_they_move),
		IN_LOOP(test_silent_conns_cost_nothing),
		IN_LOOP(test_answers_and_failures_do_not_wait),
		IN_LOOP(test_closed_while_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
