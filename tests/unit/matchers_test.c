/* Bypass and admission lists: gost's grammar row by row. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy/matchers.h"

static struct matchers *
one(const char *text)
{
	struct matchers *m = matchers_new();
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(m);
	if (matchers_add(m, text, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	matchers_seal(m);
	return m;
}

static void
each_matcher_names_what_it_says(void **state)
{
	static const struct {
		const char	*matcher, *host;
		uint16_t	port;
		bool		matches;
	} rows[] = {
		/* networks */
		{ "10.0.0.0/8", "10.1.2.3", 80, true },
		{ "10.0.0.0/8", "11.0.0.0", 80, false },
		{ "10.9.9.9/8", "10.0.0.1", 0, true },
		{ "10.0.0.0/8", "10.example.com", 0, false },
		{ "0.0.0.0/0", "255.255.255.255", 0, true },
		{ "0.0.0.0/0", "::1", 0, false },
		{ "2001:db8::/32", "2001:db8:1::5", 0, true },
		{ "2001:db8::/32", "[2001:db8:1::5]", 443, true },
		{ "2001:db8::/32", "2001:db9::", 0, false },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", 0, true },
		/* whatever else a dialer takes for such an address */
		{ "127.0.0.0/8", "127.1", 0, true },
		{ "127.0.0.0/8", "0x7f000001", 0, true },
		{ "127.0.0.0/8", "2130706433", 0, true },
		{ "127.0.0.0/8", "127.0.0.1.", 0, true },
		/* from a to b */
		{ "192.0.2.1-192.0.2.20", "192.0.2.1", 0, true },
		{ "192.0.2.1-192.0.2.20", "192.0.2.20", 9, true },
		{ "192.0.2.1-192.0.2.20", "192.0.2.21", 0, false },
		{ "192.0.2.1-192.0.2.20", "192.0.2.0", 0, false },
		{ "::5-::9", "::7", 0, true },
		{ "::5-::9", "::a", 0, false },
		/* one address */
		{ "192.0.2.1", "192.0.2.1", 0, true },
		{ "192.0.2.1", "192.0.2.1", 65535, true },
		{ "192.0.2.1", "192.0.2.2", 0, false },
		{ "192.0.2.1:80", "192.0.2.1", 80, true },
		{ "192.0.2.1:80", "192.0.2.1", 81, false },
		{ "192.0.2.1:80", "192.0.2.1", 0, false },
		{ "192.0.2.1:80-90", "192.0.2.1", 90, true },
		{ "::1", "0:0::1", 0, true },
		{ "[::1]", "::1", 0, true },
		{ "[::1]:80", "::1", 80, true },
		{ "[::1]:80", "::1", 81, false },
		/* names */
		{ "example.com", "example.com", 0, true },
		{ "example.com", "EXAMPLE.com.", 0, true },
		{ "Example.COM.", "example.com", 0, true },
		{ "example.com", "www.example.com", 0, false },
		{ "example.com", "xexample.com", 0, false },
		{ "example.com:443", "example.com", 443, true },
		{ "example.com:443", "example.com", 80, false },
		{ "example.com:443", "example.com", 0, false },
		{ "example.com:8000-8080", "example.com", 8000, true },
		{ "example.com:8000-8080", "example.com", 8081, false },
		{ "my-host.example", "my-host.example", 0, true },
		/* names and what is below */
		{ ".evil.example:443", "evil.example", 443, true },
		{ ".evil.example:443", "a.b.evil.example", 443, true },
		{ ".evil.example:443", "a.evil.example", 80, false },
		{ ".evil.example", "notevil.example", 0, false },
		{ ".evil.example", "example", 0, false },
		{ ".example", "a.b.example", 0, true },
		/* patterns */
		{ "*.ads.example", "x.ads.example", 0, true },
		{ "*.ads.example", "x.y.ADS.example", 0, true },
		{ "*.ads.example", "ads.example", 0, false },
		{ "*.ads.example:80", "x.ads.example", 80, true },
		{ "*.ads.example:80", "x.ads.example", 443, false },
		{ "*.ads.example:80-90", "x.ads.example", 85, true },
		{ "ads.*", "ads.example", 0, true },
		{ "ads.*", "bads.example", 0, false },
		{ "*tracker*", "my-tracker.example", 0, true },
		{ "*tracker*", "track.example", 0, false },
		{ "a?c.example", "abc.example", 0, true },
		{ "a?c.example", "ac.example", 0, false },
		{ "a*b*c", "a1b2bc", 0, true },
		{ "a*b*c", "a1b2bcd", 0, false },
		{ "192.168.*", "192.168.7.7", 0, true },
		{ "192.168.*", "192.169.7.7", 0, false },
		{ "*", "anything", 0, true },
		{ "*:22", "anything", 22, true },
		{ "*:22", "anything", 23, false },
		{ "?", "ab", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct matchers *m = one(rows[i].matcher);

		if (matchers_match(m, rows[i].host, rows[i].port) != rows[i].matches)
			fail_msg("%s, %s, %u: %s", rows[i].matcher, rows[i].host, rows[i].port,
				 rows[i].matches ? "does not match" : "matches");
		matchers_free(m);
	}
}

static void
what_is_none_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", ".", "10.0.0.0/33", "10.0.0.0/", "a/b", "http://x", "example.com:0",
		"example.com:70000", "example.com:90-80", "example.com:x", "example.com:",
		"192.0.2.9-192.0.2.1", "192.0.2.1-::1", "a b", "[::1", "[::1]x", ":80", "a,b",
		"*.{a,b}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct matchers *m = matchers_new();
		struct adit_err e = ADIT_ERR_INIT;

		if (matchers_add(m, wrong[i], &e) != -EINVAL || !e.code)
			fail_msg("\"%s\" is taken", wrong[i]);
		assert_null(strchr(e.text, '"'));	/* it may be a line of a wrong file */
		assert_int_equal(matchers_count(m), 0);
		matchers_free(m);
	}
}

static void
admissions_are_of_addresses(void **state)
{
	static const char *const texts[] = {
		"192.0.2.0/24", "198.51.100.7", "2001:db8::1-2001:db8::9",
	};
	static const struct {
		const char	*ip;
		bool		matches;
	} rows[] = {
		{ "192.0.2.200", true }, { "192.0.3.0", false }, { "198.51.100.7", true },
		{ "198.51.100.8", false }, { "2001:db8::5", true }, { "2001:db8::a", false },
		{ "127.0.0.1", true },		/* localhost */
	};
	struct matchers *m = matchers_new();
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(matchers_add_address(m, texts[i], &e), 0);
	assert_int_equal(matchers_add_address(m, "localhost", &e), 0);
	assert_int_equal(matchers_add_address(m, "*.example.com", &e), -EINVAL);
	assert_int_equal(matchers_add_address(m, "no-such-name.invalid", &e), ADIT_ENOHOST);
	matchers_seal(m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(adit_addr_parse(rows[i].ip, 99, &a), 0);
		if (matchers_match_addr(m, &a) != rows[i].matches)
			fail_msg("%s", rows[i].ip);
	}
	a = (struct adit_addr){ .family = AF_UNIX };
	assert_false(matchers_match_addr(m, &a));
	matchers_free(m);
}

/* Of many each is found, and nothing between them. */
static void
many_are_found(void **state)
{
	static const struct {
		const char *before, *after, *host_before, *host_after;
	} forms[] = {
		{ "h", ".example", "h", ".example" },
		{ ".d", ".example:80", "x.d", ".example" },
		{ "*.p", ".example", "x.p", ".example" },
		{ "q", ".*", "q", ".example" },
	};
	struct matchers *m = matchers_new();
	struct adit_err e = ADIT_ERR_INIT;
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "%s%u%s", forms[i % 4].before, i, forms[i % 4].after);
		assert_int_equal(matchers_add(m, text, &e), 0);
		snprintf(text, sizeof(text), "10.%u.%u.0/25", i / 256, i % 256);
		assert_int_equal(matchers_add(m, text, &e), 0);
	}
	matchers_seal(m);
	assert_int_equal(matchers_count(m), 20000);
	for (unsigned i = 0; i < 10000; i++) {
		for (unsigned k = 0; k < 4; k++) {
			snprintf(text, sizeof(text), "%s%u%s", forms[k].host_before, i,
				 forms[k].host_after);
			assert_int_equal(matchers_match(m, text, 80), k == i % 4);
		}
		snprintf(text, sizeof(text), "10.%u.%u.127", i / 256, i % 256);
		assert_true(matchers_match(m, text, 80));
		snprintf(text, sizeof(text), "10.%u.%u.128", i / 256, i % 256);
		assert_false(matchers_match(m, text, 80));
	}
	matchers_free(m);
}

static void
an_empty_list_matches_nothing(void **state)
{
	struct matchers *m = matchers_new();

	(void)state;
	matchers_seal(m);
	assert_false(matchers_match(m, "example.com", 80));
	assert_false(matchers_match(m, "", 80));
	assert_false(matchers_match(m, "10.0.0.1", 80));
	matchers_free(m);
	matchers_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_matcher_names_what_it_says),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(admissions_are_of_addresses),
		cmocka_unit_test(many_are_found),
		cmocka_unit_test(an_empty_list_matches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
