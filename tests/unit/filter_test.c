#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/service/filter.h"

static void
hosts(void **state)
{
	static const struct {
		const char *pattern, *host;
		bool matches;
	} rows[] = {
		{ "a.example", "a.example", true },
		{ "a.example", "A.Example", true },
		{ "A.EXAMPLE", "a.example", true },
		{ "a.example", "a.example.", true },
		{ "a.example.", "a.example", true },
		{ "a.example", "b.a.example", false },
		{ "a.example", "a.example.org", false },
		{ "a.example", "xa.example", false },
		{ ".a.example", "a.example", true },
		{ ".a.example", "b.a.example", true },
		{ ".a.example", "c.b.A.example", true },
		{ ".a.example", "xa.example", false },
		{ ".a.example", "example", false },
		{ "*.a.example", "a.example", true },
		{ "*.a.example", "b.a.example", true },
		{ "*.a.example", "xa.example", false },
		{ "*a.example", "a.example", true },
		{ "*a.example", "b.a.example", true },
		{ "*a.example", "xa.example", false },
		{ "*", "anything", true },
		{ ".", "anything", false },
		{ "*.", "anything", false },
		{ "a.example", "", false },
		{ "*", "", false },
		{ "*", NULL, false },
		{ "127.0.0.1", "127.0.0.1", true },
		{ "::1", "::1", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct filter_conf f = { .host = rows[i].pattern };
		const struct filter_request r = { .host = rows[i].host };

		if (filter_matches(&f, &r) != rows[i].matches)
			fail_msg("%s, %s", rows[i].pattern, rows[i].host ? rows[i].host : "NULL");
	}
}

static void
expect(const struct node_list *nodes, const struct filter_request *r, const char *expected)
{
	size_t which[8], found = filter_nodes(nodes, r, which);
	char text[9] = "";

	for (size_t i = 0; i < found; i++)
		text[i] = (char)('0' + which[i]);
	assert_string_equal(text, expected);
}

static void
a_host_filter_excludes_nodes_without_one(void **state)
{
	struct filter_conf a = { .host = "a.example" }, below = { .host = ".example" },
			   none = { .host = NULL };
	struct node_conf v[] = {
		{ .filter = NULL }, { .filter = &a }, { .filter = &none }, { .filter = &below }
	};
	const struct node_list nodes = { .n = 4, .v = v }, one = { .n = 1, .v = v + 1 },
			       no = { .n = 0 };

	(void)state;
	expect(&nodes, &(struct filter_request){ .host = "a.example" }, "13");
	expect(&nodes, &(struct filter_request){ .host = "b.example" }, "3");
	expect(&nodes, &(struct filter_request){ .host = "other" }, "02");
	expect(&nodes, &(struct filter_request){ .host = "" }, "02");
	expect(&nodes, &(struct filter_request){ .host = NULL }, "02");
	expect(&one, &(struct filter_request){ .host = "other" }, "");
	expect(&no, &(struct filter_request){ .host = "other" }, "");
}

static void
all_that_is_given_must_hold(void **state)
{
	struct filter_conf web = { .host = "a", .protocol = "http", .path = "/api" },
			   tls = { .host = "a", .protocol = "tls" }, ssh = { .protocol = "ssh" };
	struct node_conf v[] = {
		{ .filter = &web }, { .filter = &tls }, { .filter = &ssh }, { .filter = NULL }
	};
	const struct node_list nodes = { .n = 4, .v = v };

	(void)state;
	expect(&nodes, &(struct filter_request){ "a", "http", "/api/x" }, "0");
	expect(&nodes, &(struct filter_request){ "a", "http", "/apix" }, "0");
	expect(&nodes, &(struct filter_request){ "a", "HTTP", "/api" }, "0");
	expect(&nodes, &(struct filter_request){ "a", "http", "/API" }, "3");
	expect(&nodes, &(struct filter_request){ "a", "http", "/ap" }, "3");
	expect(&nodes, &(struct filter_request){ "a", "http", NULL }, "3");
	expect(&nodes, &(struct filter_request){ "a", "tls", NULL }, "1");
	expect(&nodes, &(struct filter_request){ NULL, "ssh", NULL }, "23");
	expect(&nodes, &(struct filter_request){ NULL, NULL, NULL }, "3");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(a_host_filter_excludes_nodes_without_one),
		cmocka_unit_test(all_that_is_given_must_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
