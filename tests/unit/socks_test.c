/* SOCKS messages, byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/socks.h"

#define BYTES(text) (text), sizeof(text) - 1

static void
a_greeting_offers_methods(void **state)
{
	const uint8_t *methods;
	size_t n;

	(void)state;
	assert_int_equal(socks5_decode_greeting(BYTES("\5\2\0\2x"), &methods, &n, NULL), 4);
	assert_int_equal(n, 2);
	assert_memory_equal(methods, "\0\2", 2);
	assert_int_equal(socks5_decode_greeting(BYTES("\5\2\0"), &methods, &n, NULL), 0);
	assert_int_equal(socks5_decode_greeting(BYTES("\5\0"), &methods, &n, NULL), -EBADMSG);
	assert_int_equal(socks5_decode_greeting(BYTES("\4\1\0"), &methods, &n, NULL), -EBADMSG);
	assert_int_equal(socks5_decode_greeting("", 0, &methods, &n, NULL), 0);
}

static void
credentials_go_both_ways(void **state)
{
	uint8_t out[SOCKS5_AUTH_MAX];
	struct socks_auth a;
	char longest[257];

	(void)state;
	assert_int_equal(socks5_encode_auth("u", "pass", out), 8);
	assert_memory_equal(out, "\1\1u\4pass", 8);
	assert_int_equal(socks5_decode_auth(out, 8, &a, NULL), 8);
	assert_string_equal(a.user, "u");
	assert_string_equal(a.password, "pass");
	assert_int_equal(a.password_len, 4);
	assert_int_equal(socks5_decode_auth(out, 7, &a, NULL), 0);
	assert_int_equal(socks5_decode_auth(BYTES("\1\2u\0\1p"), &a, NULL), -EBADMSG);
	assert_int_equal(socks5_decode_auth(BYTES("\5\1u\1p"), &a, NULL), -EBADMSG);
	memset(longest, 'x', 256);
	longest[256] = 0;
	assert_int_equal(socks5_encode_auth(longest, "", out), -EINVAL);
	assert_int_equal(socks5_encode_auth(longest + 1, longest + 1, out), SOCKS5_AUTH_MAX);
}

static void
a_request_names_a_target(void **state)
{
	static const char name[] = "\5\1\0\3\7a.local\0\x50";
	char text[WIRE_ADDR_TEXT];
	struct socks_request q;
	uint8_t out[SOCKS5_REQUEST_MAX];

	(void)state;
	assert_int_equal(socks5_decode_request(BYTES(name), &q, NULL), sizeof(name) - 1);
	assert_int_equal(q.code, SOCKS_CONNECT);
	wire_addr_format(&q.addr, text);
	assert_string_equal(text, "a.local:80");
	assert_int_equal(socks5_encode_request(&q, out), sizeof(name) - 1);
	assert_memory_equal(out, name, sizeof(name) - 1);
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		assert_int_equal(socks5_decode_request(name, i, &q, NULL), 0);
	assert_int_equal(socks5_decode_request(BYTES("\5\1\0\2\1\1"), &q, NULL), -EBADMSG);
	q = (struct socks_request){ .code = SOCKS5_REFUSED };
	assert_int_equal(socks5_encode_request(&q, out), 10);
	assert_memory_equal(out, "\5\5\0\1\0\0\0\0\0\0", 10);
}

static void
a_datagram_has_a_header(void **state)
{
	uint8_t out[SOCKS5_UDP_HEADER_MAX];
	struct dgram d;

	(void)state;
	assert_int_equal(socks5_decode_udp(BYTES("\0\0\0\1\x7f\0\0\1\0\x35hi"), &d, NULL), 0);
	assert_int_equal(d.len, 2);
	assert_memory_equal(d.payload, "hi", 2);
	assert_int_equal(d.addr.port, 53);
	assert_int_equal(socks5_encode_udp_header(&d.addr, out), 10);
	assert_memory_equal(out, "\0\0\0\1\x7f\0\0\1\0\x35", 10);
	assert_int_equal(socks5_decode_udp(BYTES("\0\0\1\1\x7f\0\0\1\0\x35hi"), &d, NULL),
			 -EBADMSG);
	assert_int_equal(socks5_decode_udp(BYTES("\0\0\0\1\x7f\0\0\1\0"), &d, NULL), -EBADMSG);
}

static void
version_four_has_addresses_and_names(void **state)
{
	uint8_t out[SOCKS4_REQUEST_MAX];
	char text[WIRE_ADDR_TEXT];
	struct socks_request q;

	(void)state;
	assert_int_equal(socks4_decode_request(BYTES("\4\1\0\x50\x7f\0\0\1me\0more"), &q, NULL),
			 11);
	wire_addr_format(&q.addr, text);
	assert_string_equal(text, "127.0.0.1:80");
	assert_int_equal(socks4_encode_request(&q, "me", out), 11);
	assert_memory_equal(out, "\4\1\0\x50\x7f\0\0\1me\0", 11);
	assert_int_equal(socks4_decode_request(BYTES("\4\1\0\x50\0\0\0\1\0a.local"), &q, NULL), 0);
	assert_int_equal(socks4_decode_request(BYTES("\4\1\0\x50\0\0\0\1\0a.local\0"), &q, NULL),
			 17);
	wire_addr_format(&q.addr, text);
	assert_string_equal(text, "a.local:80");
	assert_int_equal(socks4_encode_request(&q, "", out), 17);
	assert_int_equal(socks4_decode_request(BYTES("\5\1"), &q, NULL), -EBADMSG);
	q.code = SOCKS4_FAILED;
	socks4_encode_reply(&q, out);
	assert_memory_equal(out, "\0\x5b\0\x50\0\0\0\0", 8);
}

/* What never ends is malformed once it is too long for any. */
static void
version_four_has_bounds(void **state)
{
	uint8_t bytes[8 + 300];
	struct socks_request q;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "\4\1\0\x50\x7f\0\0\1", 8);
	assert_int_equal(socks4_decode_request(bytes, 8 + 255, &q, NULL), 0);
	assert_int_equal(socks4_decode_request(bytes, 8 + 256, &q, NULL), -EBADMSG);
	memcpy(bytes, "\4\1\0\x50\0\0\0\1\0", 9);
	assert_int_equal(socks4_decode_request(bytes, 9 + 255, &q, NULL), 0);
	assert_int_equal(socks4_decode_request(bytes, 9 + 256, &q, NULL), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_offers_methods),
		cmocka_unit_test(credentials_go_both_ways),
		cmocka_unit_test(a_request_names_a_target),
		cmocka_unit_test(a_datagram_has_a_header),
		cmocka_unit_test(version_four_has_addresses_and_names),
		cmocka_unit_test(version_four_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
