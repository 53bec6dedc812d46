#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/service/matcher.h"

/* GET /api/a%20b?n=10&k=x+y&empty from 10.1.2.3 for a.example, with fields. */
static struct adit_fields *
head_new(void)
{
	struct adit_fields *f = adit_fields_new();
	static const char target[] = "/api/a%20b?n=10&k=x+y&empty&k=%7a";

	assert_non_null(f);
	assert_int_equal(adit_fields_set_control(f, ADIT_METHOD, "GET", 3), 0);
	assert_int_equal(adit_fields_set_control(f, ADIT_TARGET, target, strlen(target)), 0);
	assert_int_equal(adit_fields_set(f, "X-Key", "k1"), 0);
	assert_int_equal(adit_fields_add(f, (struct adit_text){ "x-key", 5 },
					 (struct adit_text){ "k2", 2 }), 0);
	assert_int_equal(adit_fields_set(f, "X-Size", "2.5"), 0);
	return f;
}

static bool
matches(const char *rule, const struct route_request *req)
{
	struct adit_err e = ADIT_ERR_INIT;
	size_t at;
	struct matcher *m = matcher_new(rule, &at, &e);
	bool found;

	if (!m)
		fail_msg("%s: %zu: %s", rule, at, e.text);
	found = matcher_matches(m, req);
	matcher_free(m);
	return found;
}

static void
terms(void **state)
{
	static const struct {
		const char *rule;
		bool matches;
	} rows[] = {
		{ "Host(`a.example`)", true },
		{ "Host(`A.Example`)", true },
		{ "Host(\"a.example\")", true },
		{ "host(`a.example`)", true },
		{ "HOST(`a.example`)", true },
		{ "Hostregexp(`^a`)", true },
		{ "Host(`.example`)", true },
		{ "Host(`*.example`)", true },
		{ "Host(`*.a.example`)", true },
		{ "Host(`b.example`)", false },
		{ "Host(`example`)", false },
		{ "HostRegexp(`^[a-z]+\\.example$`)", true },
		{ "HostRegexp(`^example`)", false },
		{ "Method(`GET`)", true },
		{ "Method(`get`)", true },
		{ "Method(`POST`)", false },
		{ "Path(`/api/a b`)", true },
		{ "Path(`/api/a%20b`)", false },
		{ "Path(`/api`)", false },
		{ "PathPrefix(`/api`)", true },
		{ "PathPrefix(`/ap`)", true },
		{ "PathPrefix(`/api/a b/`)", false },
		{ "PathRegexp(`^/api/.* b$`)", true },
		{ "PathRegexp(`(?i)^/API/`)", true },
		{ "PathRegexp(`^/v[0-9]`)", false },
		{ "Query(`k`)", true },
		{ "Query(`empty`)", true },
		{ "Query(`none`)", false },
		{ "Query(`K`)", false },
		{ "Query(`k`, `x y`)", true },
		{ "Query(`k`, `z`)", true },
		{ "Query(`k`, `x+y`)", false },
		{ "Query(`empty`, ``)", true },
		{ "Query(`n`, `gt`, `9`)", true },
		{ "Query(`n`, `gt`, `10`)", false },
		{ "Query(`n`, `ge`, `10`)", true },
		{ "Query(`n`, `lt`, `10.5`)", true },
		{ "Query(`n`, `le`, `9`)", false },
		{ "Query(`n`, `eq`, `10`)", true },
		{ "Query(`n`, `ne`, `10`)", false },
		{ "Query(`k`, `ne`, `10`)", false },
		{ "QueryRegexp(`k`, `^x`)", true },
		{ "QueryRegexp(`k`, `^y`)", false },
		{ "Header(`x-key`)", true },
		{ "Header(`X-None`)", false },
		{ "Header(`X-Key`, `k2`)", true },
		{ "Header(`X-Key`, `K2`)", false },
		{ "Header(`X-Size`, `lt`, `3`)", true },
		{ "HeaderRegexp(`X-Key`, `^k[2-9]$`)", true },
		{ "HeaderRegexp(`X-Key`, `^k[3-9]$`)", false },
		{ "ClientIP(`10.1.2.3`)", true },
		{ "ClientIP(`10.0.0.0/8`)", true },
		{ "ClientIP(`10.1.2.4`)", false },
		{ "ClientIP(`::/0`)", false },
		{ "Proto(`http`)", true },
		{ "Proto(`tls`)", false },
		{ "Network(`tcp`)", true },
		{ "Network(`udp`)", false },
	};
	struct adit_fields *head = head_new();
	struct adit_addr client;
	const struct route_request req = {
		.host = "a.example", .protocol = "http", .network = "tcp", .client = &client,
		.path = { "/api/a b", 8 }, .head = head,
	};

	(void)state;
	assert_int_equal(adit_addr_parse("10.1.2.3", 4, &client), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (matches(rows[i].rule, &req) != rows[i].matches)
			fail_msg("%s", rows[i].rule);
	adit_fields_free(head);
}

static void
operators(void **state)
{
	static const struct {
		const char *rule;
		bool matches;
	} rows[] = {
		{ "Host(`a`)&&Proto(`tls`)", true },
		{ "Host(`a`) && Proto(`http`)", false },
		{ "Host(`b`) || Proto(`tls`)", true },
		{ "Host(`b`) || Proto(`http`)", false },
		{ "!Host(`b`)", true },
		{ "!!Host(`a`)", true },
		{ "! ! ! Host(`a`)", false },
		/* && binds more than ||, ! more than both. */
		{ "Host(`a`) || Host(`a`) && Host(`b`)", true },
		{ "Host(`b`) && Host(`a`) || Host(`a`)", true },
		{ "(Host(`a`) || Host(`a`)) && Host(`b`)", false },
		{ "!Host(`b`) && Host(`b`)", false },
		{ "!(Host(`b`) && Host(`b`))", true },
		{ "!(Host(`a`) || Host(`b`))", false },
		{ " ( ( Host( `a` ) ) ) \n && \tProto(`tls`) ", true },
		/* What is not there is not matched. */
		{ "Method(`GET`) || Path(`/`) || Header(`A`) || Query(`a`) || ClientIP(`::/0`)",
		  false },
	};
	const struct route_request req = { .host = "a", .protocol = "tls" }, empty = { .host = "" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (matches(rows[i].rule, &req) != rows[i].matches)
			fail_msg("%s", rows[i].rule);
	assert_false(matches("Host(`a`) || HostRegexp(`.`)", &empty));
}

static void
errors_say_where(void **state)
{
	static const struct {
		const char *rule;
		size_t at;
		const char *text;
	} rows[] = {
		{ "", 0, "expected a function, as Host(`a.example`), not the end" },
		{ "Foo(`x`)", 0, "unknown function \"Foo\"" },
		{ "Host(`a`) && Hots(`b`)", 13,
		  "unknown function \"Hots\", did you mean \"Host\"?" },
		{ "Host", 4, "expected \"(\", not the end" },
		{ "Host(", 5, "expected a text in back quotes or double quotes, not the end" },
		{ "Host('a')", 5, "expected a text in back quotes or double quotes, not \"'\"" },
		{ "Host(`a", 5, "a text that does not end" },
		{ "Host(\"a\\n\")", 7, "an escape that is neither \\\\ nor \\\": write the text in "
				      "back quotes" },
		{ "Host(`a` `b`)", 9, "expected \",\" or \")\", not \"`\"" },
		{ "Host()", 0, "Host takes 1 argument, not 0" },
		{ "Host(`a`, `b`)", 0, "Host takes 1 argument, not 2" },
		{ "Query()", 0, "Query takes 1 to 3 arguments, not 0" },
		{ "Query(`a`,`b`,`c`,`d`)", 18, "Query takes at most 3 arguments" },
		{ "Host(`a`) and Host(`b`)", 10, "expected \"&&\", \"||\" or the end, not \"a\"" },
		{ "Host(`a`) &&", 12, "expected a function, as Host(`a.example`), not the end" },
		{ "(Host(`a`)", 10, "expected \")\", not the end" },
		{ "Host(`a`))", 9, "expected \"&&\", \"||\" or the end, not \")\"" },
		{ "Host(``)", 6, "Host: expected a text, not \"\"" },
		{ "Host(`a b`)", 6, "Host: expected a host in ASCII, not \"a b\"" },
		{ "Path(`a`)", 6, "Path: expected a path that begins with /, not \"a\"" },
		{ "ClientIP(`a`)", 10, "ClientIP: expected an address or a network, not \"a\"" },
		{ "Query(`a`,`b`,`1`)", 11, "Query: expected gt, ge, lt, le, eq or ne, not \"b\"" },
		{ "Query(`a`,`gt`,`x`)", 16, "Query: expected a number, not \"x\"" },
		{ "PathRegexp(`/a[`)", 15, "PathRegexp: regular expression: missing terminating ] "
					    "for character class" },
		{ "BodyRegexp(`x`)", 0, "BodyRegexp is not available in this build: a request's "
					"body is passed on unread" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_err e = ADIT_ERR_INIT;
		size_t at = 999;

		assert_null(matcher_new(rows[i].rule, &at, &e));
		if (at != rows[i].at || strcmp(e.text, rows[i].text) != 0)
			fail_msg("%s: %zu: %s", rows[i].rule, at, e.text);
		assert_int_equal(e.code, ADIT_ECONFIG);
	}
}

/* Repeats text n times, behind before and in front of after; malloc'ed. */
static char *
repeated(const char *before, const char *text, unsigned n, const char *after)
{
	size_t len = strlen(before) + strlen(text) * n + strlen(after) + 1;
	char *out = malloc(len);

	assert_non_null(out);
	strcpy(out, before);
	while (n--)
		strcat(out, text);
	return strcat(out, after);
}

static void
expect_limit(char *rule, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;
	size_t at;

	assert_null(matcher_new(rule, &at, &e));
	assert_string_equal(e.text, text);
	free(rule);
}

static void
rules_are_bounded(void **state)
{
	const struct route_request req = { .host = "a" };
	char *rule;

	(void)state;
	expect_limit(repeated("Host(`a`)", " ", 4096, ""), "a rule of more than 4096 bytes");
	expect_limit(repeated("", "(", 4000, ""), "more than 32 ! and parentheses in each other");
	expect_limit(repeated("", "!", 4000, ""), "more than 32 ! and parentheses in each other");
	expect_limit(repeated("Host(`b`)", "||Host(`b`)", 128, ""),
		     "the rule has more than 256 terms");
	rule = repeated("Host(`b`)", "||Host(`b`)", 126, "||Host(`a`)");
	assert_true(matches(rule, &req));
	free(rule);
	rule = repeated("", "(", 31, "Host(`a`)");
	assert_non_null(rule = realloc(rule, strlen(rule) + 32));
	for (int i = 0; i < 31; i++)
		strcat(rule, ")");
	assert_true(matches(rule, &req));
	free(rule);
}

/* Backtracking without a limit would take longer than the test may. */
static void
a_costly_match_is_none(void **state)
{
	char path[200];
	struct route_request req = { .path = { path, sizeof(path) } };

	(void)state;
	memset(path, 'a', sizeof(path));
	*path = '/';
	path[sizeof(path) - 1] = '!';
	assert_false(matches("PathRegexp(`^/(a+)+$`)", &req));
	assert_false(matches("!PathRegexp(`^/(a+)+$`)", &req));
	assert_true(matches("Proto(`x`) || PathPrefix(`/a`) || PathRegexp(`^/(a+)+$`)", &req));
}

static void
who_asks_is_known(void **state)
{
	static const struct {
		const char *rule;
		bool asks;
	} rows[] = {
		{ "Host(`a`) && !clientip(`10.0.0.0/8`)", true }, { "Host(`ClientIP`)", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_err e = ADIT_ERR_INIT;
		size_t at;
		struct matcher *m = matcher_new(rows[i].rule, &at, &e);

		assert_non_null(m);
		assert_int_equal(matcher_asks_client(m), rows[i].asks);
		matcher_free(m);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(terms),
		cmocka_unit_test(operators),
		cmocka_unit_test(errors_say_where),
		cmocka_unit_test(rules_are_bounded),
		cmocka_unit_test(a_costly_match_is_none),
		cmocka_unit_test(who_asks_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
