/* The lines of limiters: what each says, which of them holds for whom, and which are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy/limits.h"

#define MB (UINT64_C(1) << 20)

static struct limits *
limits_of(enum limit_kind kind, const char *lines)
{
	struct limits *l = limits_new(kind);
	struct adit_err e = ADIT_ERR_INIT;
	char text[4096];

	assert_non_null(l);
	snprintf(text, sizeof(text), "%s", lines);
	if (limits_add_text(l, text, &e) < 0 || limits_seal(l, &e) < 0)
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

static void
test_traffic_lines(void **state)
{
	static const struct {
		const char	*line;
		uint64_t	in, out, burst;
	} rows[] = {
		{ "$ 100MB 200MB", 100 * MB, 200 * MB, 0 },
		{ "$ 100MB", 100 * MB, 0, 0 },
		{ "$ 1KB 2KB 8KB", 1024, 2048, 8192 },
		{ "$\t1MB \t 2MB\r", MB, 2 * MB, 0 },
		{ " $ 1.5MB 0", 3 * MB / 2, 0, 0 },
		{ "$ 1000 1000B", 1000, 1000, 0 },
		{ "$ 1MB512KB 1MiB", 3 * MB / 2, MB, 0 },
		{ "$ 1MB  # as fast as the old line", MB, 0, 0 },
		/* As gost writes what limiter.in, and limiter.out, alone make. */
		{ "$ 1MB ", MB, 0, 0 },
		{ "$  1MB", 0, MB, 0 },
		/* Lined up by a person: */
		{ "$   1MB", MB, 0, 0 },
		{ "$  1MB  2MB", MB, 2 * MB, 0 },
		{ "$\t\t1MB", MB, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct limits *l = limits_of(LIMIT_TRAFFIC, rows[i].line);
		const struct limit *all = limits_all(l);

		assert_non_null(all);
		if (all->in != rows[i].in || all->out != rows[i].out || all->burst != rows[i].burst)
			fail_msg("%s: %ju %ju %ju", rows[i].line, (uintmax_t)all->in,
				 (uintmax_t)all->out, (uintmax_t)all->burst);
		assert_null(limits_each(l));
		limits_free(l);
	}
}

static void
test_counts_and_rates(void **state)
{
	struct limits *l = limits_of(LIMIT_CONNS, "$ 1000\n$$ 100\n");

	(void)state;
	assert_int_equal(limits_all(l)->n, 1000);
	assert_int_equal(limits_each(l)->n, 100);
	assert_int_equal(limits_count(l), 2);
	limits_free(l);
	l = limits_of(LIMIT_RATE, "$ 2.5\n$$ .1\n127.0.0.1 1e3\n::1 0");
	assert_int_equal(limits_all(l)->n, 2500);
	assert_int_equal(limits_each(l)->n, 100);
	assert_int_equal(limits_address(l, &(struct adit_addr){ .family = AF_INET,
								.ip = { 127, 0, 0, 1 } })->n,
			 1000000);
	assert_int_equal(limits_count(l), 4);
	limits_free(l);
}

/* The narrowest range that has it, whatever the order of the lines. */
static void
test_addresses(void **state)
{
	static const struct {
		const char	*who;
		uint64_t	n;	/* 0: no line */
	} rows[] = {
		{ "10.1.2.3", 3 }, { "10.1.2.4", 2 }, { "10.1.3.1", 1 }, { "11.0.0.0", 0 },
		{ "2001:db8::1", 5 }, { "2001:db8::2", 4 }, { "2001:db9::", 0 },
		{ "192.0.2.130", 7 }, { "192.0.2.127", 6 }, { "::ffff:10.1.2.3", 3 },
	};
	struct limits *l = limits_of(LIMIT_CONNS, "10.0.0.0/8 1\n10.1.2.9/24 2\n10.1.2.3 3\n"
						  "2001:db8::/32 4\n2001:db8::1 5\n"
						  "192.0.2.0/24 6\n192.0.2.128/25 7\n");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_addr a = ip(rows[i].who);
		const struct limit *found = limits_address(l, &a);

		if ((found ? found->n : 0) != rows[i].n)
			fail_msg("%s", rows[i].who);
	}
	assert_null(limits_address(l, &(struct adit_addr){ .family = AF_UNIX }));
	limits_free(l);
}

static void
test_many_addresses(void **state)
{
	struct limits *l = limits_new(LIMIT_CONNS);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_addr a = ip("10.0.0.0");
	char line[64];

	(void)state;
	for (unsigned i = 0; i < LIMITS_MAX; i++) {
		snprintf(line, sizeof(line), "10.%u.%u.%u %u", i >> 16, i >> 8 & 255, i & 255,
			 i + 1);
		assert_int_equal(limits_add(l, line, &e), 0);
	}
	assert_int_equal(limits_add(l, "11.0.0.1 1", &e), ADIT_ECONFIG);
	assert_int_equal(limits_seal(l, &e), 0);
	for (unsigned i = 0; i < LIMITS_MAX; i += 17) {
		a.ip[2] = (uint8_t)(i >> 8);
		a.ip[3] = (uint8_t)i;
		assert_int_equal(limits_address(l, &a)->n, i + 1);
	}
	limits_free(l);
}

static void
test_later_sources_win(void **state)
{
	struct limits *l = limits_new(LIMIT_CONNS);
	struct adit_err e = ADIT_ERR_INIT;
	char text[] = "# ours\n\n$ 2 # all\n10.0.0.1 20\n";
	struct adit_addr a = ip("10.0.0.1"), b = ip("10.0.0.2");

	(void)state;
	assert_int_equal(limits_add(l, "$ 1", &e), 0);
	assert_int_equal(limits_add(l, "$$ 5", &e), 0);
	assert_int_equal(limits_add(l, "10.0.0.1 10", &e), 0);
	assert_int_equal(limits_add(l, "10.0.0.2 11", &e), 0);
	assert_int_equal(limits_add_text(l, text, &e), 0);
	assert_int_equal(limits_seal(l, &e), 0);
	assert_int_equal(limits_all(l)->n, 2);
	assert_int_equal(limits_each(l)->n, 5);
	assert_int_equal(limits_address(l, &a)->n, 20);
	assert_int_equal(limits_address(l, &b)->n, 11);
	assert_int_equal(limits_count(l), 4);
	limits_free(l);
}

static void
test_what_is_no_line(void **state)
{
	static const struct {
		enum limit_kind	kind;
		const char	*lines, *says;
	} rows[] = {
		{ LIMIT_TRAFFIC, "$", "line 1: there is no limit behind \"$\"" },
		{ LIMIT_TRAFFIC, "$ 1XB",
		  "line 1: expected a size a second, like 10MB, not \"1XB\"" },
		{ LIMIT_TRAFFIC, "$ 1MB -1MB",
		  "line 1: expected a size a second, like 10MB, not \"-1MB\"" },
		{ LIMIT_TRAFFIC, "\n$ 1 2 3 4", "line 2: \"4\" is one word too many" },
		{ LIMIT_TRAFFIC, "$ 9999999999GB",
		  "line 1: expected a size a second, like 10MB, not \"9999999999GB\"" },
		{ LIMIT_TRAFFIC, "host 1MB",
		  ("line 1: expected $, $$, an address or a network like 10.0.0.0/8, not "
		   "\"host\"") },
		{ LIMIT_CONNS, "$ 1.5", "line 1: expected a number of connections, not \"1.5\"" },
		{ LIMIT_CONNS, "$ -1", "line 1: expected a number of connections, not \"-1\"" },
		{ LIMIT_CONNS, "$ 1 2", "line 1: \"2\" is one word too many" },
		{ LIMIT_RATE, "$ nan",
		  "line 1: expected a number a second, like 2.5, not \"nan\"" },
		{ LIMIT_RATE, "$ -2", "line 1: expected a number a second, like 2.5, not \"-2\"" },
		{ LIMIT_RATE, "$ 1e", "line 1: expected a number a second, like 2.5, not \"1e\"" },
		{ LIMIT_RATE, "$ 0.0001",
		  "line 1: expected a number a second, like 2.5, not \"0.0001\"" },
		{ LIMIT_CONNS, "$ 1\n$ 2", "line 2: \"$ 2\" is the second line of its key" },
		{ LIMIT_CONNS, "10.1.0.0/8 1\n10.0.0.0/8 2", "10.0.0.0/8 has two lines" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct limits *l = limits_new(rows[i].kind);
		struct adit_err e = ADIT_ERR_INIT;
		char text[128];
		int err;

		snprintf(text, sizeof(text), "%s", rows[i].lines);
		err = limits_add_text(l, text, &e);
		assert_int_equal(err ? err : limits_seal(l, &e), ADIT_ECONFIG);
		assert_string_equal(e.text, rows[i].says);
		limits_free(l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traffic_lines),
		cmocka_unit_test(test_counts_and_rates),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_later_sources_win),
		cmocka_unit_test(test_what_is_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
