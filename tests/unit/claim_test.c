/* Claims: what is the same address, what is not, and how it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/listen.h"
#include "core/service/claim.h"
#include "core/service/component.h"
#include "tests/unit/config_text.h"

#define SERVICES 3

static const char text[] =
	"services:\n"
	"- {addr: \"one:1\", handler: {metadata: {entrypoint: \"one:2\"}}}\n"
	"- {addr: \"two:1\", handler: {metadata: {entrypoint: \"two:2\"}}}\n"
	"- {addr: \"three:1\"}\n";

struct stage {
	struct config		*config;
	struct config_errors	*errs;
	struct claims		 claims[SERVICES];
};

static int
setup(void **state)
{
	static struct stage t;

	t = (struct stage){ .config = config_of_text(NULL, text), .errs = config_errors_new() };
	*state = &t;
	return 0;
}

static int
teardown(void **state)
{
	struct stage *t = *state;

	for (size_t i = 0; i < SERVICES; i++)
		claims_fini(&t->claims[i]);
	config_errors_free(t->errs);
	config_put(t->config);
	return 0;
}

static void
claim(struct stage *t, size_t service, const char *addr, unsigned flags, const char *key)
{
	struct adit_component p;

	component_init(&p, "s", NULL, NULL);
	p.claims = &t->claims[service];
	assert_int_equal(claim_address(&p, addr, flags, key), 0);
	component_fini(&p);
}

static void
check(struct stage *t)
{
	struct claimant v[SERVICES];

	for (size_t i = 0; i < SERVICES; i++)
		v[i] = (struct claimant){
			.claims = &t->claims[i], .node = t->config->services.v[i].node,
		};
	claims_check(v, SERVICES, t->errs);
}

static void
both_places_are_told(void **state)
{
	static const char *const said[] = {
		("stdin:3:10: services[1].addr: tcp HOST:080 is taken by services[0].addr, "
		 "stdin:2:10"),
		("stdin:3:52: services[1].handler.metadata.entrypoint: udp :81 is taken by "
		 "services[0].handler.metadata.entrypoint, stdin:2:52"),
		"stdin:4:10: services[2].addr: unix /a/s is taken by services[1].addr, stdin:3:10",
	};
	struct stage *t = *state;

	claim(t, 0, "host:80", 0, "addr");
	claim(t, 0, ":81", LISTEN_UDP, "handler.metadata.entrypoint");
	claim(t, 1, "/a/s", LISTEN_UNIX, "addr");
	claim(t, 2, "/a/s", LISTEN_UNIX, "addr");
	claim(t, 1, "HOST:080", LISTEN_SHARED, "addr");
	claim(t, 1, ":81", LISTEN_UDP, "handler.metadata.entrypoint");
	check(t);
	config_errors_expect(t->errs, said, 3);
}

static void
one_service_may_not_take_what_is_its_own(void **state)
{
	static const char *const said[] = {
		("stdin:2:52: services[0].handler.metadata.entrypoint: tcp [::1]:80 is taken by "
		 "services[0].addr, stdin:2:10"),
	};
	struct stage *t = *state;

	claim(t, 0, "[::1]:80", 0, "handler.metadata.entrypoint");
	claim(t, 0, "[::1]:80", 0, "addr");
	check(t);
	config_errors_expect(t->errs, said, 1);
}

static void
what_is_not_the_same_does_not_clash(void **state)
{
	struct stage *t = *state;

	claim(t, 0, ":80", 0, "addr");
	claim(t, 0, ":80", LISTEN_UDP, "handler.metadata.entrypoint");
	claim(t, 2, ":8080", 0, "addr");
	claim(t, 0, "127.0.0.1:81", 0, "addr");
	claim(t, 1, "127.0.0.2:81", 0, "addr");
	claim(t, 2, "[::1]:81", 0, "addr");
	claim(t, 0, "0.0.0.0:82", 0, "addr");
	claim(t, 1, "[::1]:82", 0, "addr");
	claim(t, 0, "no-such-host.invalid:83", 0, "addr");
	claim(t, 1, "127.0.0.1:83", 0, "addr");
	claim(t, 0, ":0", 0, "addr");
	claim(t, 1, ":0", 0, "addr");
	claim(t, 0, "nonsense:x", 0, "addr");
	claim(t, 1, "nonsense:x", 0, "addr");
	check(t);
	assert_int_equal(config_errors_count(t->errs), 0);
}

/* The kernel gives none of these to the second, in either order. */
static void
the_same_in_other_words_clashes(void **state)
{
	static const char *const pairs[][2] = {
		{ ":80", "0.0.0.0:80" }, { ":80", "[::]:80" }, { "0.0.0.0:80", "[::]:080" },
		{ ":80", "127.0.0.1:80" }, { "[::]:80", "[::1]:80" }, { "0.0.0.0:80", "127.1:80" },
		{ "127.0.0.1:80", "127.1:80" }, { "[::1]:80", "[0:0::1]:80" },
		{ "127.0.0.1:80", "[::ffff:127.0.0.1]:80" },
	};
	struct stage *t = *state;

	for (size_t i = 0; i < 2 * sizeof(pairs) / sizeof(*pairs); i++) {
		config_errors_free(t->errs);
		t->errs = config_errors_new();
		claim(t, 0, pairs[i / 2][i % 2], 0, "addr");
		claim(t, 1, pairs[i / 2][!(i % 2)], 0, "addr");
		check(t);
		if (config_errors_count(t->errs) != 1)
			fail_msg("%s and %s", pairs[i / 2][0], pairs[i / 2][1]);
		claims_fini(&t->claims[0]);
		claims_fini(&t->claims[1]);
	}
}

/* Not only the one that stands next to it. */
static void
each_clash_is_told(void **state)
{
	static const char *const said[] = {
		("stdin:4:10: services[2].addr: tcp [::1]:80 is taken by services[0].addr, "
		 "stdin:2:10"),
	};
	struct stage *t = *state;

	claim(t, 0, "[::1]:80", 0, "addr");
	claim(t, 1, "127.0.0.1:80", 0, "addr");
	claim(t, 2, "[::1]:80", 0, "addr");
	check(t);
	config_errors_expect(t->errs, said, 1);
}

static void
what_is_shared_by_all_is_no_clash(void **state)
{
	struct stage *t = *state;

	claim(t, 0, ":80", LISTEN_SHARED, "addr");
	claim(t, 1, ":80", LISTEN_SHARED | LISTEN_MPTCP, "addr");
	check(t);
	assert_int_equal(config_errors_count(t->errs), 0);
	claim(t, 2, ":80", 0, "addr");
	check(t);
	assert_int_equal(config_errors_count(t->errs), 1);
}

static void
where_nobody_asks_nothing_is_kept(void **state)
{
	struct adit_component p;

	(void)state;
	component_init(&p, "s", NULL, NULL);
	assert_int_equal(claim_address(&p, ":80", 0, "addr"), 0);
	component_fini(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_places_are_told),
		TEST(one_service_may_not_take_what_is_its_own),
		TEST(what_is_not_the_same_does_not_clash),
		TEST(the_same_in_other_words_clashes),
		TEST(each_clash_is_told),
		TEST(what_is_shared_by_all_is_no_clash),
		TEST(where_nobody_asks_nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
