#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mux/mux.h"
#include "core/tunnel/pick.h"

#define DRAWS 100000
#define MEMBER(...) { __VA_ARGS__, .heard = 1, .usable = true }

static const struct tunnel_wish tcp = { .network = ADIT_TCP };

static void
count(const struct tunnel_member *members, unsigned n, unsigned *counts)
{
	const struct tunnel_member *at[16];

	for (unsigned i = 0; i < n; i++) {
		at[i] = &members[i];
		counts[i] = 0;
	}
	for (int i = 0; i < DRAWS; i++) {
		const struct tunnel_member *m = tunnel_choose(at, n, &tcp);

		assert_non_null(m);
		counts[m - members]++;
	}
}

/* Each count within 6 standard deviations: wrong by chance once in 10^8 runs. */
static void
expect_shares(const struct tunnel_member *members, unsigned n, const double *weights)
{
	unsigned counts[16];
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += weights[i];
	count(members, n, counts);
	for (unsigned i = 0; i < n; i++) {
		double p = weights[i] / sum, off = counts[i] - DRAWS * p;

		assert_true(off * off <= 36 * DRAWS * p * (1 - p));
	}
}

static void
weights_are_shares(void **state)
{
	const struct tunnel_member members[] = {
		MEMBER(.number = 1, .weight = 0),
		MEMBER(.number = 2, .weight = 1),
		MEMBER(.number = 3, .weight = 5),
		MEMBER(.number = 4, .weight = 254),
		MEMBER(.number = 5, .weight = 5),
	};

	(void)state;
	expect_shares(members, 5, (const double[]){ 1, 1, 5, 254, 5 });
	expect_shares(members, 3, (const double[]){ 1, 1, 5 });
	expect_shares(members, 1, (const double[]){ 1 });
}

static void
exclusive_ones_stand_alone(void **state)
{
	struct tunnel_member members[] = {
		MEMBER(.number = 1, .weight = 254),
		MEMBER(.number = 2, .weight = 255),
		MEMBER(.number = 3, .weight = 0),
		MEMBER(.number = 4, .weight = 255),
	};

	(void)state;
	expect_shares(members, 4, (const double[]){ 0, 1, 0, 1 });
	members[1].usable = false;
	expect_shares(members, 4, (const double[]){ 0, 0, 0, 1 });
	members[3].usable = false;
	expect_shares(members, 4, (const double[]){ 254, 0, 1, 0 });
}

static void
only_what_fits_is_chosen(void **state)
{
	const struct tunnel_member a = {
		.number = 1, .network = ADIT_UDP, .heard = 1, .usable = true,
	};
	const struct tunnel_member b = {
		.number = 2, .network = ADIT_TCP, .heard = 1, .usable = false,
	};
	const struct tunnel_member c = {
		.number = 3, .network = ADIT_TCP, .heard = 1, .usable = true,
	};
	const struct tunnel_member *all[] = { &a, &b, &c };
	struct tunnel_tried tried = { .n = 0 };
	const struct tunnel_wish tcp_else = { .network = ADIT_TCP, .tried = &tried };
	const struct tunnel_wish udp_else = { .network = ADIT_UDP, .tried = &tried };
	const struct tunnel_wish unix_else = { .network = ADIT_UNIX, .tried = &tried };

	(void)state;
	assert_null(tunnel_choose(NULL, 0, &tcp));
	assert_null(tunnel_choose(all, 1, &tcp));
	for (int i = 0; i < 20; i++)
		assert_ptr_equal(tunnel_choose(all, 3, &tcp_else), &c);
	assert_ptr_equal(tunnel_choose(all, 3, &udp_else), &a);
	assert_null(tunnel_choose(all, 3, &unix_else));
	tried.numbers[tried.n++] = 3;
	assert_ptr_equal(tunnel_choose(all, 3, &tcp_else), &b);		/* better than nobody */
	tried.numbers[tried.n++] = 2;
	assert_null(tunnel_choose(all, 3, &tcp_else));
	assert_ptr_equal(tunnel_choose(all, 3, &udp_else), &a);
}

#define CLIENT(n) { .id = { (n) } }

/* Three sessions of one client weigh as much as one of another. */
static void
sessions_of_one_client_count_once(void **state)
{
	const struct tunnel_member members[] = {
		MEMBER(.number = 1, .weight = 2, .client = CLIENT(7), .worker = 1),
		MEMBER(.number = 2, .weight = 2, .client = CLIENT(7), .worker = 2),
		MEMBER(.number = 3, .weight = 2, .client = CLIENT(7), .worker = 3),
		MEMBER(.number = 4, .weight = 2, .client = CLIENT(8), .worker = 1),
		MEMBER(.number = 5, .weight = 2, .worker = 1),
		MEMBER(.number = 6, .weight = 2, .worker = 1),
	};

	(void)state;
	expect_shares(members, 6, (const double[]){ 1, 1, 1, 3, 3, 3 });
}

/* What froze is the client, as far as is known: its other sessions make nobody wait again. */
static void
doubt_about_one_session_is_doubt_about_its_client(void **state)
{
	struct tunnel_member members[] = {
		{ .number = 1, .client = CLIENT(7), .usable = false, .doubted = 50, .heard = 10 },
		{ .number = 2, .client = CLIENT(7), .usable = true, .heard = 49 },
		{ .number = 3, .client = CLIENT(7), .usable = true, .heard = 50 },
		{ .number = 4, .client = CLIENT(8), .usable = true, .heard = 20 },
		{ .number = 5, .usable = false, .doubted = 60, .heard = 20 },
		{ .number = 6, .usable = true, .heard = 20 },
	};

	(void)state;
	expect_shares(members, 6, (const double[]){ 0, 0, 1, 1, 0, 1 });
	members[2].heard = 48;
	expect_shares(members, 6, (const double[]){ 0, 0, 0, 1, 0, 1 });
	members[3].usable = members[5].usable = false;
	expect_shares(members, 6, (const double[]){ 0, 1, 1, 0, 0, 0 });
	members[0].usable = members[3].usable = members[5].usable = true;
	expect_shares(members, 6, (const double[]){ 1, 1, 1, 3, 0, 3 });
}

static void
a_session_that_is_over_is_not_chosen(void **state)
{
	const struct tunnel_member over = { .number = 1, .heard = MUX_FAILED, .usable = true };
	const struct tunnel_member lives = { .number = 2, .heard = 1, .usable = false };
	const struct tunnel_member *both[] = { &over, &lives };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(tunnel_choose(both, 2, &tcp), &lives);
	assert_null(tunnel_choose(both, 1, &tcp));
}

static void
session_of_the_same_worker_is_preferred(void **state)
{
	struct tunnel_member members[] = {
		MEMBER(.number = 1, .client = CLIENT(7), .worker = 1),
		MEMBER(.number = 2, .client = CLIENT(7), .worker = 0),
		MEMBER(.number = 3, .client = CLIENT(7), .worker = 0),
		MEMBER(.number = 4, .client = CLIENT(8), .worker = 1),
	};

	(void)state;
	expect_shares(members, 4, (const double[]){ 0, 1, 1, 2 });
	members[1].usable = false;
	expect_shares(members, 4, (const double[]){ 0, 0, 1, 1 });
	members[2].network = ADIT_UDP;
	expect_shares(members, 4, (const double[]){ 1, 0, 0, 1 });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights_are_shares),
		cmocka_unit_test(exclusive_ones_stand_alone),
		cmocka_unit_test(only_what_fits_is_chosen),
		cmocka_unit_test(sessions_of_one_client_count_once),
		cmocka_unit_test(doubt_about_one_session_is_doubt_about_its_client),
		cmocka_unit_test(a_session_that_is_over_is_not_chosen),
		cmocka_unit_test(session_of_the_same_worker_is_preferred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
