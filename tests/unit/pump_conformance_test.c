/* Two ends with a pump between them are, for who holds them, one conn. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <adit/pump.h>

#include "tests/unit/conformance.h"

struct middle {
	struct adit_pump	*pump;
	unsigned		 reports;
};

static void
middle_done(void *arg, const struct adit_pump_stats *stats)
{
	struct middle *m = arg;

	assert_non_null(stats->how);
	m->reports++;
}

static int
make_middle(struct conformance *t, struct adit_conn *x, struct adit_conn *y)
{
	const uint64_t *splice_after = t->test->arg;
	struct adit_pump_opts opts = {
		.size = sizeof(opts),
		.splice_after = splice_after ? *splice_after : 0,
	};
	struct middle *m = calloc(1, sizeof(*m));

	t->own = m;
	m->pump = adit_pump(x, y, &opts, middle_done, m);
	return m->pump ? 0 : -ENOMEM;
}

static bool
has_reported(void *arg)
{
	return ((struct middle *)arg)->reports > 0;
}

static void
finish_middle(struct conformance *t)
{
	assert_true(loop_until(t->loop, has_reported, t->own, 60000));
	loop_turn(t->loop, 3);
	assert_int_equal(((struct middle *)t->own)->reports, 1);
	free(t->own);
}

static int
make_pairs(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_conn *x, *y;

	if (conformance_lower(t, a, &x) < 0 || conformance_lower(t, &y, b) < 0)
		return -ENOMEM;
	return make_middle(t, x, y);
}

static int
make_tcp(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_conn *x, *y;

	if (conformance_make_tcp(t, a, &x) < 0 || conformance_make_tcp(t, &y, b) < 0)
		return -ENOMEM;
	return make_middle(t, x, y);
}

static int
make_mixed(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_conn *x, *y;

	if (conformance_make_tcp(t, a, &x) < 0 || conformance_make_pair(t, &y, b) < 0)
		return -ENOMEM;
	return make_middle(t, x, y);
}

static void
pair_pump_pair(void **state)
{
	static const struct conformance_case test = {
		.name = "pair-pump-pair",
		.make = make_pairs,
		.finish = finish_middle,
		.in_flight = 3 * 65536,
		.chunks = 6 * 65536,
	};

	(void)state;
	conformance_run(&test);
}

static void
tcp_copied(void **state)
{
	static uint64_t never = UINT64_MAX;
	static const struct conformance_case test = {
		.name = "tcp-pump-tcp, copied",
		.make = make_tcp,
		.finish = finish_middle,
		.in_flight = 32 << 20,
		.chunks = 131072,
		.arg = &never,
	};

	(void)state;
	conformance_run(&test);
}

static void
tcp_spliced(void **state)
{
	static uint64_t at_once = 1;
	static const struct conformance_case test = {
		.name = "tcp-pump-tcp, spliced",
		.make = make_tcp,
		.finish = finish_middle,
		.in_flight = 32 << 20,
		.chunks = 131072,
		.arg = &at_once,
	};

	(void)state;
	conformance_run(&test);
}

static void
tcp_first_copied_then_spliced(void **state)
{
	static uint64_t later = 100000;
	static const struct conformance_case test = {
		.name = "tcp-pump-tcp, both",
		.make = make_tcp,
		.finish = finish_middle,
		.in_flight = 32 << 20,
		.chunks = 131072,
		.arg = &later,
	};

	(void)state;
	conformance_run(&test);
}

static void
tcp_pump_pair(void **state)
{
	static const struct conformance_case test = {
		.name = "tcp-pump-pair",
		.make = make_mixed,
		.finish = finish_middle,
		.in_flight = 32 << 20,
		.chunks = 3 * 65536,
	};

	(void)state;
	conformance_run(&test);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pair_pump_pair),
		cmocka_unit_test(tcp_copied),
		cmocka_unit_test(tcp_spliced),
		cmocka_unit_test(tcp_first_copied_then_spliced),
		cmocka_unit_test(tcp_pump_pair),
	};

	signal(SIGPIPE, SIG_IGN);	/* else nothing is spliced */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
