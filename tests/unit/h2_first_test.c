/* The first request of HTTP/2, in bytes that come one by one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/h2_first.h"

#define PREFACE	 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\6\4\0\0\0\0\0\0\4\0\1\0\0"
#define ACK	 "\0\0\0\4\1\0\0\0\0"
#define WINDOW	 "\0\0\4\x8\0\0\0\0\0\0\0\1\0"
#define BLOCK	 "\x82\x86\x84\x01\4host"
#define HEADERS	 "\0\0\x9\1\5\0\0\0\1" BLOCK
#define DATA	 "\0\0\2\0\1\0\0\0\1hi"

struct text {
	const char	*s;
	size_t		 len;
};
#define T(text) { (text), sizeof(text) - 1 }

/* In a block of its own size: reads beyond the end are seen. */
static int
look(struct text t, size_t len, struct h2_first *first)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, t.s, len);
	err = h2_first_look(copy, len, first);
	free(copy);
	return err;
}

static void
expect(struct text t, const char *authority, const char *path)
{
	struct adit_fields *f;
	struct h2_first first;

	assert_int_equal(look(t, t.len, &first), 0);
	assert_int_not_equal(first.head, 0);
	assert_int_equal(h2_first_request((const uint8_t *)t.s, &first, &f), 0);
	assert_string_equal(adit_fields_control(f, ADIT_AUTHORITY).s, authority);
	assert_string_equal(adit_fields_control(f, ADIT_TARGET).s, path);
	adit_fields_free(f);
}

static void
it_is_found_when_it_is_whole(void **state)
{
	static const struct text t = T(PREFACE SETTINGS WINDOW HEADERS DATA ACK);
	const size_t head = sizeof(PREFACE SETTINGS WINDOW) - 1, ack = t.len - 9;
	struct h2_first first;

	(void)state;
	for (size_t n = 24; n <= t.len; n++) {
		assert_int_equal(look(t, n, &first), 0);
		assert_int_equal(first.settled, n >= sizeof(PREFACE SETTINGS) - 1);
		assert_int_equal(first.head, n >= head + 18 ? head : 0);
		assert_int_equal(first.head_len, n >= head + 18 ? 18 : 0);
		assert_int_equal(first.ack, n == t.len ? ack : 0);
	}
	expect(t, "host", "/");
}

static void
a_head_may_have_padding_priority_and_pieces(void **state)
{
	static const struct text t[] = {
		T(PREFACE SETTINGS "\0\0\xc\1\xd\0\0\0\1\2" BLOCK "\0\0"),
		T(PREFACE SETTINGS "\0\0\xe\1\x25\0\0\0\1\0\0\0\0\xff" BLOCK),
		T(PREFACE SETTINGS "\0\0\1\1\1\0\0\0\1\x82" "\0\0\4\x9\0\0\0\0\1\x86\x84\x01\4"
		  "\0\0\4\x9\4\0\0\0\1host" DATA),
		T(PREFACE SETTINGS ACK HEADERS),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		expect(t[i], "host", "/");
}

static void
no_client_begins_like_that(void **state)
{
	static const struct text t[] = {
		T(PREFACE HEADERS),			/* RFC 9113, 3.4: settings come first */
		T(PREFACE ACK),
		T(PREFACE "\0\x40\1\4\0\0\0\0\0"),	/* longer than frames may be */
		T(PREFACE SETTINGS "\0\0\1\1\0\0\0\0\1\x82" ACK),	/* in a head's middle */
		T(PREFACE SETTINGS "\0\0\1\1\0\0\0\0\1\x82" "\0\0\1\x9\4\0\0\0\3\x86"),
		T(PREFACE SETTINGS "\0\0\1\1\4\0\0\0\0\x82"),
	};
	struct h2_first first;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		assert_int_equal(look(t[i], t[i].len, &first), -EBADMSG);
}

static void
what_is_no_request_says_nothing(void **state)
{
	static const struct text t[] = {
		T(PREFACE SETTINGS "\0\0\1\1\5\0\0\0\1\x82"),		/* a method alone */
		T(PREFACE SETTINGS "\0\0\1\1\5\0\0\0\1\xff"),		/* cut short */
		T(PREFACE SETTINGS "\0\0\1\1\5\0\0\0\1\xbe"),		/* of no table */
		T(PREFACE SETTINGS "\0\0\1\1\xd\0\0\0\1\1"),		/* padding alone */
		T(PREFACE SETTINGS "\0\0\0\1\x2d\0\0\0\1"),		/* no room for a priority */
	};
	struct h2_first first;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct adit_fields *f;

		assert_int_equal(look(t[i], t[i].len, &first), 0);
		assert_int_not_equal(first.head, 0);
		assert_int_equal(h2_first_request((const uint8_t *)t[i].s, &first, &f), -EBADMSG);
		assert_null(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_when_it_is_whole),
		cmocka_unit_test(a_head_may_have_padding_priority_and_pieces),
		cmocka_unit_test(no_client_begins_like_that),
		cmocka_unit_test(what_is_no_request_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
