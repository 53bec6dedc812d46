#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/service/forwarder.h"
#include "core/service/world.h"

static const struct service_world no_world;

#define ADDR .addr = "h:1"

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
		const struct route_request r = { .host = rows[i].host };

		if (filter_matches(&f, &r) != rows[i].matches)
			fail_msg("%s, %s", rows[i].pattern, rows[i].host ? rows[i].host : "NULL");
	}
}

/* Which of the nodes may be chosen for r: each of them once in so many turns. */
static void
expect(const struct node_list *nodes, const struct route_request *r, const char *expected)
{
	const struct forwarder_conf conf = { .nodes = *nodes };
	const struct place nowhere = { .node = NULL };
	struct forwarder f = { .conf = NULL };
	const struct adit_tried none = { .n = 0 };
	struct forward_target to;
	struct adit_err e;
	bool chosen[8] = { false };
	char text[9] = "";
	size_t n = 0;

	assert_int_equal(forwarder_init(&f, &conf, &no_world, &nowhere), 0);
	for (size_t i = 0; i < 8; i++)
		if (forwarder_pick(&f, r, &none, &to, &e) == 0)
			chosen[to.node - f.nodes] = true;
		else
			assert_int_equal(e.code, ADIT_ENOROUTE);
	for (size_t i = 0; i < 8; i++)
		if (chosen[i])
			text[n++] = (char)('0' + i);
	assert_string_equal(text, expected);
	forwarder_fini(&f);
}

static void
a_host_filter_excludes_nodes_without_one(void **state)
{
	struct filter_conf a = { .host = "a.example" }, below = { .host = ".example" },
			   none = { .host = NULL };
	struct node_conf v[] = {
		{ ADDR, .filter = NULL }, { ADDR, .filter = &a },
		{ ADDR, .filter = &none }, { ADDR, .filter = &below }
	};
	const struct node_list nodes = { .n = 4, .v = v }, one = { .n = 1, .v = v + 1 },
			       no = { .n = 0 };

	(void)state;
	expect(&nodes, &(struct route_request){ .host = "a.example" }, "13");
	expect(&nodes, &(struct route_request){ .host = "b.example" }, "3");
	expect(&nodes, &(struct route_request){ .host = "other" }, "02");
	expect(&nodes, &(struct route_request){ .host = "" }, "02");
	expect(&nodes, &(struct route_request){ .host = NULL }, "02");
	expect(&one, &(struct route_request){ .host = "other" }, "");
	expect(&no, &(struct route_request){ .host = "other" }, "");
}

#define PATH(text) { (text), sizeof(text) - 1 }
#define NONE { NULL, 0 }
#define ASKED(h, p, ...) \
	(&(struct route_request){ .host = (h), .protocol = (p), .path = __VA_ARGS__ })

static void
all_that_is_given_must_hold(void **state)
{
	struct filter_conf web = { .host = "a", .protocol = "http", .path = "/api" },
			   tls = { .host = "a", .protocol = "tls" }, ssh = { .protocol = "ssh" };
	struct node_conf v[] = {
		{ ADDR, .filter = &web }, { ADDR, .filter = &tls },
		{ ADDR, .filter = &ssh }, { ADDR, .filter = NULL }
	};
	const struct node_list nodes = { .n = 4, .v = v };

	(void)state;
	expect(&nodes, ASKED("a", "http", PATH("/api/x")), "0");
	expect(&nodes, ASKED("a", "http", PATH("/apix")), "0");
	expect(&nodes, ASKED("a", "HTTP", PATH("/api")), "0");
	expect(&nodes, ASKED("a", "http", PATH("/API")), "3");
	expect(&nodes, ASKED("a", "http", PATH("/ap")), "3");
	expect(&nodes, ASKED("a", "http", NONE), "3");
	expect(&nodes, ASKED("a", "tls", NONE), "1");
	expect(&nodes, ASKED(NULL, "ssh", NONE), "2");
	expect(&nodes, ASKED(NULL, NULL, NONE), "3");
}

static void
rules_go_by_priority(void **state)
{
	struct matcher_conf low = { .rule = "Host(`a`)" },
			    high = { .rule = "Host(`a`) && PathPrefix(`/x`)" },
			    first = { .rule = "Host(`b`)", .priority = 1000 },
			    second = { .rule = "Host(`b`) || Host(`a`)", .priority = 1000 },
			    negative = { .rule = "Host(`c`)", .priority = -1 };
	struct filter_conf host = { .host = "c" }, every = { .host = "*" };
	struct node_conf v[] = {
		{ ADDR, .matcher = &low },	{ ADDR, .matcher = &high },
		{ ADDR, .matcher = &first },	{ ADDR, .matcher = &second },
		{ ADDR, .matcher = &negative, .filter = &every },
		{ ADDR, .filter = &host },	{ ADDR },
	};
	const struct node_list some = { .n = 2, .v = v }, all = { .n = 7, .v = v };

	(void)state;
	/* The longer rule is taken for the more precise. */
	expect(&some, ASKED("a", "http", PATH("/x")), "1");
	expect(&some, ASKED("a", "http", PATH("/")), "0");
	expect(&some, ASKED("z", "http", PATH("/")), "");
	/* Equal ones are for the selector; a given priority counts, whatever the length. */
	expect(&all, ASKED("b", "http", PATH("/x")), "23");
	expect(&all, ASKED("a", "http", PATH("/x")), "3");
	/* A negative one is among the filters; its own filter is ignored. */
	expect(&all, ASKED("c", "http", PATH("/x")), "45");
	expect(&all, ASKED("z", "http", PATH("/x")), "6");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(a_host_filter_excludes_nodes_without_one),
		cmocka_unit_test(all_that_is_given_must_hold),
		cmocka_unit_test(rules_go_by_priority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
