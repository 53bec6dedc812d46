#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/service/regex.h"

static struct regex *
compiled(const char *pattern)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct regex *re = regex_new(pattern, strlen(pattern), NULL, &e);

	if (!re)
		fail_msg("%s: %s", pattern, e.text);
	return re;
}

static void
matches(void **state)
{
	static const struct {
		const char *pattern, *text;
		size_t len;
		bool matches;
	} rows[] = {
		{ "b", "abc", 3, true },
		{ "^b", "abc", 3, false },
		{ "^[a-c]+$", "abc", 3, true },
		{ "(?i)ABC", "abc", 3, true },
		{ "(?P<x>b)", "abc", 3, true },
		{ "\\Qa.c\\E", "abc", 3, false },
		{ "a$", "a\n", 2, false },		/* the end is the end */
		{ "(?m)a$", "a\nb", 3, true },
		{ "a.b", "a\nb", 3, false },
		{ "a.b", "a\rb", 3, true },
		{ "(?s)a.b", "a\nb", 3, true },
		{ "a.b", "a\0b", 3, true },
		{ "", "", 0, true },
		/* Of ASCII alone: bytes. Else characters, and what is none is passed over. */
		{ "^.$", "\xc3\xa9", 2, false },
		{ "^\xc3\xa9+$", "\xc3\xa9\xc3\xa9", 4, true },
		{ "\xc3\xa9", "\xff\xc3\xa9", 3, true },
		{ "/a.*b", "/a\xff" "b", 4, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct regex *re = compiled(rows[i].pattern);

		if (regex_matches(re, rows[i].text, rows[i].len) != rows[i].matches)
			fail_msg("%s, %s", rows[i].pattern, rows[i].text);
		regex_free(re);
	}
}

/* What was the text stands as it is, what was written in brackets. */
static void
put(void *arg, const char *s, size_t len, bool written)
{
	char *out = arg;

	strcat(out, written ? "[" : "");
	strncat(out, s, len);
	strcat(out, written ? "]" : "");
}

static void
replaces(void **state)
{
	static const struct {
		const char *pattern, *text, *replacement, *out;
	} rows[] = {
		{ "b", "abcb", "x", "a[x]c[x]" },
		{ "b", "ac", "x", NULL },
		{ "/api/(.*)", "/api/x/y", "/v2/$1", "[/v2/]x/y" },
		{ "(a)(b)?", "ac", "$2$1", "ac" },
		{ "(?P<one>a)", "a", "${one}$one-$none$7", "aa[-]" },
		{ "(a)", "a", "$1x", "" },		/* the name is "1x" */
		{ "(a)", "a", "${1}x", "a[x]" },
		{ "a", "a", "$$1", "[$][1]" },
		{ "a", "a", "$", "[$]" },
		{ "a", "a", "$-${x", "[$][-][$][{x]" },
		{ "x*", "ab", "-", "[-]a[-]b[-]" },
		{ "$", "a", "b", "a[b]" },
		{ "^", "", "b", "[b]" },
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct regex *re = compiled(rows[i].pattern);
		int found;

		*out = 0;
		found = regex_replace(re, rows[i].text, strlen(rows[i].text), rows[i].replacement,
				      put, out);
		assert_int_equal(found, rows[i].out != NULL);
		if (strcmp(out, rows[i].out ? rows[i].out : "") != 0)
			fail_msg("%s, %s: %s", rows[i].pattern, rows[i].replacement, out);
		regex_free(re);
	}
}

static void
costs_are_bounded(void **state)
{
	struct regex *re = compiled("^(a+)+$");
	char text[101], out[300] = "";

	(void)state;
	memset(text, 'a', sizeof(text));
	text[100] = '!';
	assert_int_equal(regex_matches(re, text, sizeof(text)), -E2BIG);
	assert_int_equal(regex_replace(re, text, sizeof(text), "", put, out), -E2BIG);
	assert_int_equal(regex_matches(re, text, 100), 1);
	regex_free(re);
}

/* Each place where a match may begin takes steps; PCRE2 alone would count them one by one. */
static void
places_share_the_steps(void **state)
{
	char *text = malloc(REGEX_TEXT + 1);
	struct regex *re = compiled("(?:a|b)+(?:!|-)");

	(void)state;
	assert_non_null(text);
	memset(text, 'a', REGEX_TEXT + 1);
	/* From each of 1000 places to the end, and back. */
	assert_int_equal(regex_matches(re, text, 100), 0);
	assert_int_equal(regex_matches(re, text, 1000), -E2BIG);
	regex_free(re);
	/* One that is expensive has what the others do not need. */
	re = compiled("/api(?:.*)x(?:.*)y");
	memcpy(text + 4000, "/api", 4);
	text[5000] = 'y';
	text[6000] = 'x';
	assert_int_equal(regex_matches(re, text, REGEX_TEXT), 0);
	text[8000] = 'y';
	assert_int_equal(regex_matches(re, text, REGEX_TEXT), 1);
	assert_int_equal(regex_matches(re, text, REGEX_TEXT + 1), -E2BIG);
	regex_free(re);
	free(text);
}

static void
count(void *arg, const char *s, size_t len, bool written)
{
	unsigned *n = arg;

	(void)s;
	*n += written && len;
}

static void
matches_share_the_steps(void **state)
{
	struct regex *re = compiled("(?:[ab]|a)*?c|a(?=(?:a|b)*)");
	struct regex *cheap = compiled("a");
	char text[2001];
	unsigned n = 0;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(regex_replace(cheap, text, 2000, "x", count, &n), 1);
	assert_int_equal(n, 2000);
	assert_int_equal(regex_replace(re, text, 2000, "x", count, &n), -E2BIG);
	regex_free(re);
	regex_free(cheap);
}

static void
errors_say_where(void **state)
{
	struct adit_err e = ADIT_ERR_INIT;
	char *large = malloc(REGEX_MAX + 1);
	size_t at = 9;

	(void)state;
	assert_null(regex_new("ab(c", 4, &at, &e));
	assert_int_equal(at, 4);
	assert_string_equal(e.text, "regular expression: missing closing parenthesis");
	assert_null(regex_new("a\\C", 3, &at, &e));
	assert_non_null(large);
	memset(large, 'a', REGEX_MAX + 1);
	assert_null(regex_new(large, REGEX_MAX + 1, &at, &e));
	assert_string_equal(e.text, "regular expression: longer than 4096 bytes");
	regex_free(compiled("a"));
	regex_free(NULL);
	free(large);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches),
		cmocka_unit_test(replaces),
		cmocka_unit_test(costs_are_bounded),
		cmocka_unit_test(places_share_the_steps),
		cmocka_unit_test(matches_share_the_steps),
		cmocka_unit_test(errors_say_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
