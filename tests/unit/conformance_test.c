#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/conformance.h"

static void
the_pair_conforms(void **state)
{
	static const struct conformance_case pair = {
		.name = "pair",
		.make = conformance_make_pair,
		.in_flight = 65536,
		.chunks = 131072,
	};

	(void)state;
	conformance_run(&pair);
}

/* Of what the suite itself is made: it must not invent trouble. */
static void
jitter_conforms(void **state)
{
	static const struct conformance_case jitter = {
		.name = "jitter",
		.make = conformance_lower,
		.in_flight = 65536,
		.chunks = 131072,
	};

	(void)state;
	conformance_run(&jitter);
}

static void
tcp_conforms(void **state)
{
	static const struct conformance_case tcp = { .name = "tcp", .make = conformance_make_tcp };

	(void)state;
	conformance_run(&tcp);
}

static void
unix_conforms(void **state)
{
	static const struct conformance_case unix_ = {
		.name = "unix",
		.make = conformance_make_unix,
		.flags = CONFORMANCE_NO_RESET,
	};

	(void)state;
	conformance_run(&unix_);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pair_conforms),
		cmocka_unit_test(jitter_conforms),
		cmocka_unit_test(tcp_conforms),
		cmocka_unit_test(unix_conforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
