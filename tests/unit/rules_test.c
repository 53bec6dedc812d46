#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/tunnel/rules.h"

#define A "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define B "6a9f1d3c-0e5b-4a7d-9c28-1f3b5d7e9012"
#define C "00000000-0000-0000-0000-000000000001"

static struct rules *
rules_of(const char *text)
{
	struct rules *r = rules_new();
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(r);
	if (rules_add_text(r, text, &e) < 0)
		fail_msg("%s", e.text);
	return r;
}

/* The id that host leads to, "$" in front if private; "" for no rule. */
static const char *
find(const struct rules *r, const char *host)
{
	static char text[38];
	struct adit_rule rule;

	if (rules_find(r, host, &rule) < 0) {
		assert_int_equal(rules_find(r, host, &rule), ADIT_ENOROUTE);
		return "";
	}
	adit_uuid_format(&rule.tunnel, text + rule.private_);
	if (rule.private_)
		text[0] = '$';
	return text;
}

static void
exact_names(void **state)
{
	struct rules *r = rules_of("a.example " A "\nB.Example. $" B "\nlocalhost\t" C);

	(void)state;
	assert_int_equal(rules_count(r), 3);
	assert_string_equal(find(r, "a.example"), A);
	assert_string_equal(find(r, "b.example"), "$" B);
	assert_string_equal(find(r, "localhost"), C);
	assert_string_equal(find(r, "x.a.example"), "");
	assert_string_equal(find(r, "example"), "");
	assert_string_equal(find(r, ""), "");
	rules_free(r);
}

static void
the_longest_match_wins(void **state)
{
	struct rules *r = rules_of(".example " A "\n*.b.example " B "\nx.b.example " C);

	(void)state;
	assert_string_equal(find(r, "example"), A);
	assert_string_equal(find(r, "a.example"), A);
	assert_string_equal(find(r, "z.y.x.a.example"), A);
	assert_string_equal(find(r, "b.example"), B);
	assert_string_equal(find(r, "y.b.example"), B);
	assert_string_equal(find(r, "x.b.example"), C);
	assert_string_equal(find(r, "y.x.b.example"), B);
	assert_string_equal(find(r, "bexample"), "");
	assert_string_equal(find(r, "ab.example"), A);
	rules_free(r);
}

static void
a_leading_star_alone_is_no_wildcard(void **state)
{
	struct rules *r = rules_of("*a.example " A);

	(void)state;
	assert_string_equal(find(r, "a.example"), A);
	assert_string_equal(find(r, "b.a.example"), "");
	assert_string_equal(find(r, "xa.example"), "");
	rules_free(r);
}

static void
addresses(void **state)
{
	struct rules *r = rules_of("127.0.0.1 " A "\n[::1] " B "\n[2001:DB8:0::7] " C);

	(void)state;
	assert_string_equal(find(r, "127.0.0.1"), A);
	assert_string_equal(find(r, "::1"), B);
	assert_string_equal(find(r, "2001:db8::7"), C);
	rules_free(r);
}

static void
the_later_rule_wins(void **state)
{
	struct rules *r = rules_of("a " A "\nA $" B), *over = rules_of("b " C "\na " C);

	(void)state;
	assert_int_equal(rules_count(r), 1);
	assert_string_equal(find(r, "a"), "$" B);
	assert_int_equal(rules_merge(r, over), 0);
	assert_int_equal(rules_count(r), 2);
	assert_string_equal(find(r, "a"), C);
	assert_string_equal(find(r, "b"), C);
	rules_free(over);
	assert_string_equal(find(r, "a"), C);
	rules_free(r);
}

static void
lines_that_replace_earlier_ones_are_counted(void **state)
{
	struct rules *r = rules_of("a " A "\n.a " A "\n"), *over = rules_new();
	unsigned first = 9, again = 9;
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(rules_repeated(r, &first, &again), 0);
	/* What another set says is no line of this text. */
	assert_int_equal(rules_merge(over, r), 0);
	assert_int_equal(rules_add_text(over, "b " B "\na " B "\n\nA " C "\nb " C "\n", &e), 0);
	assert_int_equal(rules_repeated(over, &first, &again), 2);
	assert_int_equal(first, 2);
	assert_int_equal(again, 4);
	assert_int_equal(rules_add_text(over, "a " B "\n", &e), 0);
	assert_int_equal(rules_repeated(over, &first, &again), 0);
	rules_free(over);
	rules_free(r);
}

static void
comments_and_blank_lines(void **state)
{
	struct rules *r =
		rules_of("# all\n\n  \t\r\n a.example  " A "  # ours\r\n#b " B "\n\tc\t" C "\t\n");

	(void)state;
	assert_int_equal(rules_count(r), 2);
	assert_string_equal(find(r, "a.example"), A);
	assert_string_equal(find(r, "c"), C);
	rules_free(r);
}

static void
wrong_lines_are_told_by_number(void **state)
{
	static const struct {
		const char *text, *line;
	} rows[] = {
		{ "a", "line 1: " },
		{ "a " A "\n\nb", "line 3: " },
		{ "a not-a-uuid", "line 1: " },
		{ "a 4d21094eb74c491686c1d9fa36ea677b", "line 1: " },
		{ "a $", "line 1: " },
		{ "a $$" A, "line 1: " },
		{ "a:80 " A, "line 1: " },
		{ "* " A, "line 1: " },
		{ ". " A, "line 1: " },
		{ "*. " A, "line 1: " },
		{ "a..b " A, "line 1: " },
		{ "a/b " A, "line 1: " },
		{ "[::1]:80 " A, "line 1: " },
		{ "[::1 " A, "line 1: " },
		{ "::1 " A, "line 1: " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rules *r = rules_new();
		struct adit_err e = ADIT_ERR_INIT;

		if (rules_add_text(r, rows[i].text, &e) != -EINVAL ||
		    strncmp(e.text, rows[i].line, strlen(rows[i].line)) != 0 ||
		    strstr(e.text, ": \""))		/* it may be of a wrong file */
			fail_msg("%s: %s", rows[i].text, e.text);
		rules_free(r);
	}
}

static void
lists(void **state)
{
	struct rules *r = rules_new();
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(rules_add_list(r, "a.example:" A ",.b:$" B ",", &e), 0);
	assert_int_equal(rules_count(r), 2);
	assert_string_equal(find(r, "a.example"), A);
	assert_string_equal(find(r, "x.b"), "$" B);
	assert_int_equal(rules_add_list(r, "a.example", &e), -EINVAL);
	assert_int_equal(rules_add_list(r, "a.example:80:" A, &e), -EINVAL);
	assert_int_equal(rules_add_list(r, ":" A, &e), -EINVAL);
	e = (struct adit_err)ADIT_ERR_INIT;
	assert_int_equal(rules_add_list(r, "c:" A ",d:" A ",C:" B, &e), -EINVAL);
	assert_string_equal(e.text, "\"C\" has two tunnels");
	rules_free(r);
}

static void
names_of_every_length(void **state)
{
	struct adit_rule rule = { .private_ = false };
	char host[300];

	(void)state;
	for (size_t len = 1; len < 260; len++) {
		struct rules *r = rules_new();
		struct adit_err e = ADIT_ERR_INIT;
		int err;

		for (size_t i = 0; i < len; i++)
			host[i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
		host[len] = 0;
		err = rules_set(r, host, &rule, &e);
		assert_int_equal(err, len <= 253 ? 0 : -EINVAL);
		assert_int_equal(rules_find(r, host, &rule), len <= 253 ? 0 : ADIT_ENOROUTE);
		rules_free(r);
	}
}

/* More than the first table holds: all are found while it grows. */
static void
many(void **state)
{
	struct rules *r = rules_new();
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_rule rule = { .private_ = false }, found;
	char host[32];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(host, sizeof(host), "h%u.example", i);
		memcpy(rule.tunnel.b, &i, sizeof(i));
		assert_int_equal(rules_set(r, host, &rule, &e), 0);
	}
	assert_int_equal(rules_count(r), 5000);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(host, sizeof(host), "h%u.example", i);
		assert_int_equal(rules_find(r, host, &found), 0);
		assert_memory_equal(found.tunnel.b, &i, sizeof(i));
	}
	assert_int_equal(rules_find(r, "h5000.example", &found), ADIT_ENOROUTE);
	rules_free(r);
	rules_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_names),
		cmocka_unit_test(the_longest_match_wins),
		cmocka_unit_test(a_leading_star_alone_is_no_wildcard),
		cmocka_unit_test(addresses),
		cmocka_unit_test(the_later_rule_wins),
		cmocka_unit_test(lines_that_replace_earlier_ones_are_counted),
		cmocka_unit_test(comments_and_blank_lines),
		cmocka_unit_test(wrong_lines_are_told_by_number),
		cmocka_unit_test(lists),
		cmocka_unit_test(names_of_every_length),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
