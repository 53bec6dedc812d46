#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/fields.h"

#define T(literal) ((struct adit_text){ literal, sizeof(literal) - 1 })

static int
make(void **state)
{
	*state = adit_fields_new();
	return *state ? 0 : -1;
}

static int
drop(void **state)
{
	adit_fields_free(*state);
	return 0;
}

static void
assert_text(struct adit_text t, const char *expected)
{
	assert_non_null(t.s);
	assert_int_equal(t.len, strlen(expected));
	assert_memory_equal(t.s, expected, t.len + 1);
}

static void
fields_keep_their_order_and_case(void **state)
{
	struct adit_fields *f = *state;

	assert_int_equal(adit_fields_add(f, T("Accept"), T("a")), 0);
	assert_int_equal(adit_fields_add(f, T("X-Empty"), T("")), 0);
	assert_int_equal(adit_fields_add(f, T("accept"), T(" \tb c \t")), 0);
	assert_int_equal(adit_fields_count(f), 3);
	assert_text(adit_fields_at(f, 0)->name, "Accept");
	assert_text(adit_fields_at(f, 1)->value, "");
	assert_text(adit_fields_at(f, 2)->name, "accept");
	assert_text(adit_fields_at(f, 2)->value, "b c");
	assert_null(adit_fields_at(f, 3));
	assert_text(adit_fields_get(f, "ACCEPT"), "a");
	assert_null(adit_fields_get(f, "Accept-").s);
}

static void
set_replaces_all_in_the_first_ones_place(void **state)
{
	struct adit_fields *f = *state;

	adit_fields_add(f, T("A"), T("1"));
	adit_fields_add(f, T("B"), T("2"));
	adit_fields_add(f, T("a"), T("3"));
	assert_int_equal(adit_fields_set(f, "A", " 4 "), 0);
	assert_int_equal(adit_fields_count(f), 2);
	assert_text(adit_fields_at(f, 0)->value, "4");
	assert_int_equal(adit_fields_set(f, "C", "5"), 0);
	assert_text(adit_fields_at(f, 2)->name, "C");
	assert_int_equal(adit_fields_set(f, "A", "x\ny"), -EINVAL);
	assert_text(adit_fields_get(f, "A"), "4");
	assert_int_equal(adit_fields_remove(f, "a"), 1);
	assert_int_equal(adit_fields_remove(f, "a"), 0);
	assert_int_equal(adit_fields_count(f), 2);
}

static void
bad_names_and_values_are_refused(void **state)
{
	static const char *const names[] = {
		"",	 " ",	"a b", "a:",	":a",  "a\t", "a\r", "a\n", "\x7f",
		"a\x80", "(a)", "a/b", "\"a\"", "a,b", "a;b", "a=b", "{a",  "a}",
		"a@b",	 "a[b", "a]b", "a\\b",	"a?b", "a<b", "a>b",
	};
	struct adit_fields *f = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(adit_fields_add(f,
						 (struct adit_text){ names[i], strlen(names[i]) },
						 T("v")),
				 -EINVAL);
	assert_int_equal(adit_fields_add(f, T("a\0b"), T("v")), -EINVAL);
	assert_int_equal(adit_fields_add(f, T("a"), T("v\0w")), -EINVAL);
	assert_int_equal(adit_fields_add(f, T("a"), T("v\rw")), -EINVAL);
	assert_int_equal(adit_fields_add(f, T("a"), T("v\nw")), -EINVAL);
	assert_int_equal(adit_fields_count(f), 0);
	assert_int_equal(fields_bytes(f), 0);
	assert_int_equal(adit_fields_add(f, T("!#$%&'*+-.^_`|~09azAZ"), T("\x01\t\x7f\xff ok")), 0);
}

static void
lists_are_searched_by_element(void **state)
{
	struct adit_fields *f = *state;

	adit_fields_add(f, T("Connection"), T(",, keep-alive ,Upgrade"));
	adit_fields_add(f, T("connection"), T("\"close, x\", y"));
	assert_true(adit_fields_has(f, "connection", "upgrade"));
	assert_true(adit_fields_has(f, "connection", "Keep-Alive"));
	assert_true(adit_fields_has(f, "connection", "Y"));
	assert_false(adit_fields_has(f, "connection", "close"));
	assert_false(adit_fields_has(f, "connection", "keep"));
	assert_false(adit_fields_has(f, "connection", ""));
	assert_false(adit_fields_has(f, "upgrade", "upgrade"));
}

static void
control_data_is_checked(void **state)
{
	static const struct { enum adit_control which; const char *good, *bad; } rows[] = {
		{ ADIT_METHOD, "GET", "GE T" },
		{ ADIT_METHOD, "M-SEARCH", "" },
		{ ADIT_TARGET, "/a?b=c&d=%20\"|", "/a b" },
		{ ADIT_TARGET, "*", "/a\r\nX: y" },
		{ ADIT_TARGET, "/", "/a#b" },
		{ ADIT_TARGET, "/", "/\xc3\xa4" },
		{ ADIT_AUTHORITY, "example.org:8080", "user@example.org" },
		{ ADIT_AUTHORITY, "[::1]:80", "a/b" },
		{ ADIT_AUTHORITY, "a", "a b" },
		{ ADIT_SCHEME, "https", "9p" },
		{ ADIT_SCHEME, "a+b-c.d", "http:" },
		{ ADIT_PROTOCOL, "websocket", "web socket" },
		{ ADIT_REASON, "Not Found", "a\nb" },
	};
	struct adit_fields *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_null(adit_fields_control(f, rows[i].which).s);
		assert_int_equal(adit_fields_set_control(f, rows[i].which, rows[i].bad,
							 strlen(rows[i].bad)), -EINVAL);
		assert_null(adit_fields_control(f, rows[i].which).s);
		assert_int_equal(adit_fields_set_control(f, rows[i].which, rows[i].good,
							 strlen(rows[i].good)), 0);
		assert_text(adit_fields_control(f, rows[i].which), rows[i].good);
		assert_int_equal(adit_fields_set_control(f, rows[i].which, NULL, 0), 0);
	}
	assert_int_equal(fields_bytes(f), 0);
	assert_int_equal(adit_fields_set_control(f, ADIT_METHOD, "GET\0", 4), -EINVAL);
	adit_fields_set_status(f, 204);
	adit_fields_set_version(f, 11);
	assert_int_equal(adit_fields_status(f), 204);
	assert_int_equal(adit_fields_version(f), 11);
}

static void
the_number_of_fields_is_limited(void **state)
{
	struct adit_fields *f = *state;

	for (int i = 0; i < FIELDS_MAX; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%d", i);
		assert_int_equal(
			adit_fields_add(f, T("n"), (struct adit_text){ value, strlen(value) }), 0);
	}
	assert_int_equal(adit_fields_add(f, T("n"), T("")), -E2BIG);
	for (int i = 0; i < FIELDS_MAX; i++)
		assert_int_equal(atoi(adit_fields_at(f, (size_t)i)->value.s), i);
	assert_int_equal(adit_fields_remove(f, "N"), FIELDS_MAX);
	assert_int_equal(fields_bytes(f), 0);
	assert_int_equal(adit_fields_add(f, T("n"), T("")), 0);
}

static void
the_size_is_limited(void **state)
{
	struct adit_fields *f = *state;
	static char big[FIELDS_BYTES_MAX];

	memset(big, 'x', sizeof(big));
	assert_int_equal(
		adit_fields_add(f, T("a"), (struct adit_text){ big, FIELDS_BYTES_MAX - 4 }),
		-E2BIG);
	assert_int_equal(
		adit_fields_add(f, T("a"), (struct adit_text){ big, FIELDS_BYTES_MAX - 5 }), 0);
	assert_int_equal(adit_fields_add(f, T("b"), T("")), -E2BIG);
	assert_int_equal(adit_fields_set_control(f, ADIT_METHOD, "G", 1), -E2BIG);
	assert_int_equal(adit_fields_at(f, 0)->value.len, FIELDS_BYTES_MAX - 5);
	assert_int_equal(adit_fields_set(f, "a", "short"), 0);
	assert_int_equal(adit_fields_set_control(f, ADIT_METHOD, "G", 1), 0);
}

/*
 * Replacing over and over leaves dead text behind: it ends with an error, not with all the memory.
 */
static void
replacing_for_ever_ends(void **state)
{
	struct adit_fields *f = *state;
	static char big[30001];
	int err = 0, n;

	memset(big, 'x', sizeof(big) - 1);
	for (n = 0; err == 0 && n < 1000; n++)
		err = adit_fields_set(f, "a", big);
	assert_int_equal(err, -E2BIG);
	assert_true(n > 2 && n < 20);
	assert_int_equal(adit_fields_get(f, "a").len, sizeof(big) - 1);
}

static void
text_may_come_in_pieces(void **state)
{
	struct adit_fields *f = *state;
	struct adit_text name, value;
	char piece = 'v';

	for (int round = 0; round < 3; round++) {
		assert_int_equal(fields_append(f, "Na", 2), 0);
		assert_int_equal(fields_append(f, "me", 2), 0);
		assert_int_equal(fields_finish(f, &name), 0);
		for (int i = 0; i < 5000; i++)
			assert_int_equal(fields_append(f, i % 4999 ? &piece : " ", 1), 0);
		assert_int_equal(fields_finish_value(f, &value), 0);
		assert_int_equal(fields_push(f, name, value), 0);
	}
	for (size_t i = 0; i < 3; i++) {
		const struct adit_field *field = adit_fields_at(f, i);

		assert_text(field->name, "Name");
		assert_int_equal(field->value.len, 4998);
		assert_int_equal(strspn(field->value.s, "v"), 4998);
	}
	assert_int_equal(fields_finish(f, &name), 0);
	assert_text(name, "");
	assert_int_equal(fields_push(f, name, value), -EINVAL);
}

static void
an_open_text_is_limited(void **state)
{
	struct adit_fields *f = *state;
	int n = 0;

	while (fields_append(f, "0123456789", 10) == 0)
		n++;
	assert_int_equal(n, FIELDS_BYTES_MAX / 10);
}

static void
a_copy_is_equal_and_independent(void **state)
{
	struct adit_fields *f = *state, *copy;

	adit_fields_set_control(f, ADIT_METHOD, "GET", 3);
	adit_fields_set_status(f, 200);
	adit_fields_set_version(f, 20);
	for (int i = 0; i < 100; i++)
		adit_fields_add(f, T("name"), T("some value that is long enough to fill blocks"));
	copy = adit_fields_copy(f);
	assert_non_null(copy);
	assert_int_equal(fields_bytes(copy), fields_bytes(f));
	adit_fields_free(f);
	*state = NULL;
	assert_text(adit_fields_control(copy, ADIT_METHOD), "GET");
	assert_null(adit_fields_control(copy, ADIT_TARGET).s);
	assert_int_equal(adit_fields_count(copy), 100);
	assert_text(adit_fields_at(copy, 99)->value, "some value that is long enough to fill "
						     "blocks");
	assert_int_equal(adit_fields_status(copy), 200);
	assert_int_equal(adit_fields_version(copy), 20);
	adit_fields_free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fields_keep_their_order_and_case, make, drop),
		cmocka_unit_test_setup_teardown(set_replaces_all_in_the_first_ones_place, make,
						drop),
		cmocka_unit_test_setup_teardown(bad_names_and_values_are_refused, make, drop),
		cmocka_unit_test_setup_teardown(lists_are_searched_by_element, make, drop),
		cmocka_unit_test_setup_teardown(control_data_is_checked, make, drop),
		cmocka_unit_test_setup_teardown(the_number_of_fields_is_limited, make, drop),
		cmocka_unit_test_setup_teardown(the_size_is_limited, make, drop),
		cmocka_unit_test_setup_teardown(replacing_for_ever_ends, make, drop),
		cmocka_unit_test_setup_teardown(text_may_come_in_pieces, make, drop),
		cmocka_unit_test_setup_teardown(an_open_text_is_limited, make, drop),
		cmocka_unit_test_setup_teardown(a_copy_is_equal_and_independent, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
