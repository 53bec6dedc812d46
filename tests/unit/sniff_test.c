#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/sniff.h"

static void
protocols_are_told_apart(void **state)
{
	static const struct {
		const char *bytes;
		enum sniff_protocol protocol;
		size_t decided;			/* after so many bytes */
	} cases[] = {
		{ "\x01\x01", SNIFF_RELAY, 1 },
		{ "\x16\x03\x01", SNIFF_TLS, 1 },
		{ "GET / HTTP/1.1\r\n", SNIFF_HTTP1, 4 },
		{ "\r\nGET / HTTP/1.1\r\n", SNIFF_HTTP1, 6 },
		{ "PROPFIND /", SNIFF_HTTP1, 9 },
		{ "PRI / HTTP/1.1\r\n", SNIFF_HTTP1, 5 },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SNIFF_HTTP2, 24 },
		{ "SSH-2.0-OpenSSH_9.2", SNIFF_SSH, 5 },
		{ "SSH-1.5 x", SNIFF_HTTP1, 8 },	/* obsolete; no protocol of ours */
		{ "\x05\x01\x00", SNIFF_UNKNOWN, 1 },
		{ " GET /", SNIFF_UNKNOWN, 1 },
		{ "\rGET", SNIFF_UNKNOWN, 2 },
		{ "\r\n\r\n\r\nGET / HTTP/1.1\r\n", SNIFF_HTTP1, 10 },
		{ "\r\n\r\n\rGET", SNIFF_UNKNOWN, 6 },
		{ "\r\n\n", SNIFF_UNKNOWN, 3 },
		{ "\r\n\1\1", SNIFF_UNKNOWN, 3 },
		{ "PING\r\n", SNIFF_UNKNOWN, 5 },
		{ "{\"a\"", SNIFF_UNKNOWN, 1 },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", SNIFF_UNKNOWN, 33 },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa /", SNIFF_HTTP1, 33 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].bytes);

		for (size_t n = 0; n <= len; n++) {
			char *copy = malloc(n ? n : 1);

			assert_non_null(copy);
			memcpy(copy, cases[i].bytes, n);
			assert_int_equal(sniff_protocol(copy, n),
				n < cases[i].decided ? SNIFF_MORE : cases[i].protocol);
			free(copy);
		}
	}
}

static void
check_host(const char *head, enum sniff_host expected, const char *host)
{
	size_t len = strlen(head);
	enum sniff_host last = SNIFF_HOST_MORE;
	struct hostname h;

	for (size_t n = 0; n <= len; n++) {
		enum sniff_host now = sniff_http_host(head, n, &h);

		if (last != SNIFF_HOST_MORE)
			assert_int_equal(now, last);
		last = now;
	}
	assert_int_equal(last, expected);
	if (host)
		assert_string_equal(h.text, host);
}

static void
the_host_is_found(void **state)
{
	struct hostname h;

	(void)state;
	check_host("GET / HTTP/1.1\r\nHost: Www.Example.com:8080\r\n", SNIFF_HOST_FOUND,
		"www.example.com");
	check_host("\r\nGET / HTTP/1.1\r\nA: b\r\nhOST:\t a.b \t\r\n\r\n", SNIFF_HOST_FOUND, "a.b");
	check_host("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: c\r\n", SNIFF_HOST_FOUND, "c");
	check_host("GET / HTTP/1.1\nHost:[::1]\n", SNIFF_HOST_FOUND, "::1");
	check_host("GET / HTTP/1.1\r\nHost: first\r\nHost: second\r\n\r\n", SNIFF_HOST_FOUND,
		"first");
	check_host("Host: not-a-field HTTP/1.1\r\nHost: x\r\n", SNIFF_HOST_FOUND, "x");
	check_host("GET / HTTP/1.1\r\nX: y\r\n Host: folded\r\nHost: x\r\n", SNIFF_HOST_FOUND, "x");
	check_host("GET / HTTP/1.1\r\nHost: x", SNIFF_HOST_MORE, NULL);
	check_host("GET / HTTP/1.0\r\nX-Host: x\r\nHost2: y\r\n\r\nHost: body\r\n", SNIFF_HOST_NONE,
		NULL);
	check_host("GET / HTTP/1.1\r\nHost:\r\n", SNIFF_HOST_MALFORMED, NULL);
	check_host("GET / HTTP/1.1\r\nHost: a b\r\n", SNIFF_HOST_MALFORMED, NULL);
	check_host("GET / HTTP/1.1\r\nHost : a\r\n\r\n", SNIFF_HOST_NONE, NULL);
	assert_int_equal(sniff_http_host("GET / HTTP/1.1\r\nHost: a\0b\r\n", 27, &h),
		SNIFF_HOST_MALFORMED);
}

static void
a_head_without_end_is_given_up(void **state)
{
	char *head = malloc(SNIFF_MAX + 100);
	struct hostname h;

	(void)state;
	assert_non_null(head);
	memset(head, 'x', SNIFF_MAX + 100);
	memcpy(head, "GET / HTTP/1.1\r\nX: ", 19);
	assert_int_equal(sniff_http_host(head, SNIFF_MAX - 1, &h), SNIFF_HOST_MORE);
	assert_int_equal(sniff_http_host(head, SNIFF_MAX, &h), SNIFF_HOST_MALFORMED);
	memcpy(head + SNIFF_MAX - 4, "\r\nHost: a\r\n", 11);	/* too late */
	assert_int_equal(sniff_http_host(head, SNIFF_MAX + 100, &h), SNIFF_HOST_MALFORMED);
	memcpy(head + SNIFF_MAX - 11, "\r\nHost: a\r\n", 11);
	assert_int_equal(sniff_http_host(head, SNIFF_MAX, &h), SNIFF_HOST_FOUND);
	free(head);
}

static void
empty_lines_without_end_are_given_up(void **state)
{
	char text[SNIFF_EMPTY_MAX + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '\n' : '\r';
	for (size_t n = 0; n <= SNIFF_EMPTY_MAX; n++) {
		assert_int_equal(sniff_empty_lines(text, n), n & ~(size_t)1);
		assert_int_equal(sniff_protocol(text, n), SNIFF_MORE);
	}
	assert_int_equal(sniff_protocol(text, SNIFF_EMPTY_MAX + 1), SNIFF_UNKNOWN);
	assert_int_equal(sniff_protocol(text, sizeof(text)), SNIFF_UNKNOWN);
	memcpy(text + SNIFF_EMPTY_MAX, "GET /", 5);
	assert_int_equal(sniff_protocol(text, SNIFF_EMPTY_MAX + 4), SNIFF_HTTP1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protocols_are_told_apart),
		cmocka_unit_test(the_host_is_found),
		cmocka_unit_test(a_head_without_end_is_given_up),
		cmocka_unit_test(empty_lines_without_end_are_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
