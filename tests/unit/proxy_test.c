#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "core/wire/addr.h"
#include "core/wire/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(bytes) { SIGNATURE bytes, sizeof(SIGNATURE bytes) - 1 }

static struct sockaddr_storage
at(const char *text)
{
	struct sockaddr_storage ss;
	struct wire_addr a;

	assert_int_equal(wire_addr_parse(text, strlen(text), &a), 0);
	assert_true(wire_addr_to_sockaddr(&a, &ss) > 0);
	return ss;
}

static void
assert_at(const struct sockaddr_storage *ss, const char *text)
{
	struct wire_addr a;
	char told[WIRE_ADDR_TEXT];

	assert_int_equal(wire_addr_from_sockaddr((const struct sockaddr *)ss, &a), 0);
	wire_addr_format(&a, told);
	assert_string_equal(told, text);
}

/* Decodes with every number of bytes; all but the last must be too few. */
static ssize_t
decode_growing(const char *bytes, size_t len, struct proxy_header *h)
{
	const char *why = NULL;
	ssize_t ret = 0;

	for (size_t n = 0; n <= len; n++) {
		char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		ret = proxy_decode(copy, n, h, &why);
		free(copy);
		if (n < len)
			assert_int_equal(ret, 0);
	}
	assert_true(ret != -EBADMSG || why);
	return ret;
}

static void
lines_are_read(void **state)
{
	static const struct {
		const char *line, *src, *dst;
	} cases[] = {
		{ "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324",
			"192.168.0.11:443" },
		{ "PROXY TCP4 7.7.7.7 0.0.0.0 0 0\r\n", "7.7.7.7:0", "0.0.0.0:0" },
		{ "PROXY TCP6 2001:db8::1 ::1 65535 1\r\n", "[2001:db8::1]:65535", "[::1]:1" },
		{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
		{ "PROXY UNKNOWN\r\n", NULL, NULL },
		{ "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct proxy_header h;
		size_t len = strlen(cases[i].line);

		assert_int_equal(decode_growing(cases[i].line, len, &h), len);
		assert_int_equal(h.version, 1);
		assert_int_equal(h.proxied, cases[i].src != NULL);
		assert_false(h.dgram);
		if (cases[i].src) {
			assert_at(&h.src, cases[i].src);
			assert_at(&h.dst, cases[i].dst);
		} else {
			assert_int_equal(h.src.ss_family, AF_UNSPEC);
		}
	}
}

static void
malformed_lines_are_refused(void **state)
{
	static const char *const cases[] = {
		"PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999999\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
		"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
		"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UNKNOWN\n", "PROXY UNKNOWNX\r\n",
	};
	char longest[PROXY_V1_MAX + 2];
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(decode_growing(cases[i], strlen(cases[i]), &h), -EBADMSG);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "PROXY UNKNOWN ", 14);
	memcpy(longest + PROXY_V1_MAX - 2, "\r\n", 2);
	assert_int_equal(decode_growing(longest, PROXY_V1_MAX, &h), PROXY_V1_MAX);
	memcpy(longest + PROXY_V1_MAX - 2, "x\r\n", 3);
	assert_int_equal(decode_growing(longest, PROXY_V1_MAX, &h), -EBADMSG);
}

static void
binary_headers_are_read(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *src, *dst;
		bool dgram;
	} cases[] = {
		{ SIGNATURE "\x21\x11\0\14" "\1\2\3\4\5\6\7\10\0\120\1\273", 28, "1.2.3.4:80",
			"5.6.7.8:443", false },
		{ SIGNATURE "\x21\x12\0\21" "\1\2\3\4\5\6\7\10\0\120\1\273" "\4\0\2ab", 33,
			"1.2.3.4:80", "5.6.7.8:443", true },
		{ SIGNATURE "\x21\x21\0\44" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
			"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2" "\0\120\1\273", 52, "[::1]:80",
			"[::2]:443", false },
		{ SIGNATURE "\x20\0\0\0", 16, NULL, NULL, false },
		{ SIGNATURE "\x20\x11\0\3abc", 19, NULL, NULL, false },
		{ SIGNATURE "\x21\0\0\3abc", 19, NULL, NULL, false },
		{ SIGNATURE "\x21\x31\0\3abc", 19, NULL, NULL, false },
		{ SIGNATURE "\x21\x10\0\3abc", 19, NULL, NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct proxy_header h;

		assert_int_equal(decode_growing(cases[i].bytes, cases[i].len, &h), cases[i].len);
		assert_int_equal(h.version, 2);
		assert_int_equal(h.proxied, cases[i].src != NULL);
		assert_int_equal(h.dgram, cases[i].dgram);
		if (cases[i].src) {
			assert_at(&h.src, cases[i].src);
			assert_at(&h.dst, cases[i].dst);
		} else {
			assert_int_equal(h.src.ss_family, AF_UNSPEC);
		}
	}
}

static void
malformed_binary_headers_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		V2("\x11\x11\0\0"), V2("\x22\x11\0\0"), V2("\x2f\0\0\0"), V2("\x21\x41\0\0"),
		V2("\x21\x13\0\0"), V2("\x21\x11\0\13" "\1\2\3\4\5\6\7\10\0\120\1"),
		V2("\x21\x21\0\14" "\1\2\3\4\5\6\7\10\0\120\1\273"),
		V2("\x20\0\2\11"),			/* 537 bytes, said before they come */
	};
	char longest[PROXY_V2_MAX] = SIGNATURE "\x20\0\2\10";
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(decode_growing(cases[i].bytes, cases[i].len, &h), -EBADMSG);
	assert_int_equal(decode_growing(longest, sizeof(longest), &h), PROXY_V2_MAX);
}

static void
what_is_none_is_left_alone(void **state)
{
	static const char *const cases[] = {
		"GET / HTTP/1.1", "PROXZ", "\r\n\r\nX", "\x16\3\1", "PA",
	};
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(proxy_decode(cases[i], strlen(cases[i]), &h, NULL), -ENOMSG);
	assert_int_equal(proxy_decode("P", 1, &h, NULL), 0);
	assert_int_equal(proxy_decode("\r\n\r\n\0\r\nQUIT", 11, &h, NULL), 0);
	assert_int_equal(proxy_decode(NULL, 0, &h, NULL), 0);
}

static void
headers_are_written(void **state)
{
	static const struct {
		const char *src, *dst;		/* NULL: AF_UNSPEC */
		bool dgram;
		const char *line;		/* version 1 */
		const char *v2_src, *v2_dst;	/* what version 2 says */
	} cases[] = {
		{ "1.2.3.4:5", "6.7.8.9:10", false, "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n",
			"1.2.3.4:5", "6.7.8.9:10" },
		{ "[2001:db8::1]:5", "[::1]:6", false, "PROXY TCP6 2001:db8::1 ::1 5 6\r\n",
			"[2001:db8::1]:5", "[::1]:6" },
		{ "7.7.7.7:0", NULL, false, "PROXY TCP4 7.7.7.7 0.0.0.0 0 0\r\n", "7.7.7.7:0",
			"0.0.0.0:0" },
		{ "[2001:db8::1]:5", NULL, false, "PROXY TCP6 2001:db8::1 :: 5 0\r\n",
			"[2001:db8::1]:5", "[::]:0" },
		{ "[2001:db8::1]:5", "6.7.8.9:10", false,
			"PROXY TCP6 2001:db8::1 ::ffff:6.7.8.9 5 10\r\n", "[2001:db8::1]:5",
			"6.7.8.9:10" },
		{ NULL, "6.7.8.9:10", false, "PROXY UNKNOWN\r\n", NULL, NULL },
		{ "1.2.3.4:5", "6.7.8.9:10", true, "PROXY UNKNOWN\r\n", "1.2.3.4:5", "6.7.8.9:10" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct proxy_header h = { .version = 1, .proxied = true, .dgram = cases[i].dgram };
		char out[PROXY_ENCODED_MAX];
		size_t len = strlen(cases[i].line);
		ssize_t n;

		if (cases[i].src)
			h.src = at(cases[i].src);
		if (cases[i].dst)
			h.dst = at(cases[i].dst);
		assert_int_equal(proxy_encode(&h, out), len);
		assert_memory_equal(out, cases[i].line, len);
		h.version = 2;
		n = proxy_encode(&h, out);
		assert_int_equal(decode_growing(out, (size_t)n, &h), n);
		assert_int_equal(h.proxied, cases[i].v2_src != NULL);
		assert_int_equal(h.dgram, cases[i].dgram);
		if (cases[i].v2_src) {
			assert_at(&h.src, cases[i].v2_src);
			assert_at(&h.dst, cases[i].v2_dst);
		}
	}
}

static void
a_local_header_says_nothing(void **state)
{
	static const char local[] = SIGNATURE "\x20\0\0";
	struct proxy_header h = { .version = 2, .src = at("1.2.3.4:5"), .dst = at("1.2.3.4:5") };
	char out[PROXY_ENCODED_MAX];

	(void)state;
	assert_int_equal(proxy_encode(&h, out), sizeof(local));
	assert_memory_equal(out, local, sizeof(local));
	h.version = 3;
	assert_int_equal(proxy_encode(&h, out), -EINVAL);
	h.version = 1;
	assert_int_equal(proxy_encode(&h, out), 15);
	h.dst.ss_family = AF_UNIX;
	assert_int_equal(proxy_encode(&h, out), -EAFNOSUPPORT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read),
		cmocka_unit_test(malformed_lines_are_refused),
		cmocka_unit_test(binary_headers_are_read),
		cmocka_unit_test(malformed_binary_headers_are_refused),
		cmocka_unit_test(what_is_none_is_left_alone),
		cmocka_unit_test(headers_are_written),
		cmocka_unit_test(a_local_header_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
