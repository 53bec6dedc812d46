#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/hostname.h"

static void
spellings_of_one_host_are_one(void **state)
{
	static const struct {
		const char *given, *text;
		enum hostname_kind kind;
		int port;			/* -1: none */
	} cases[] = {
		{ "www.example.com", "www.example.com", HOSTNAME_DNS, -1 },
		{ "Example.COM:8080", "example.com", HOSTNAME_DNS, 8080 },
		{ "EXAMPLE.com.", "example.com", HOSTNAME_DNS, -1 },
		{ "EXAMPLE.com.:80", "example.com", HOSTNAME_DNS, 80 },
		{ "example.com:", "example.com", HOSTNAME_DNS, -1 },
		{ "example.com:0", "example.com", HOSTNAME_DNS, 0 },
		{ "example.com:65535", "example.com", HOSTNAME_DNS, 65535 },
		{ "example.com:00080", "example.com", HOSTNAME_DNS, 80 },
		{ "a6265c6d9847a4be", "a6265c6d9847a4be", HOSTNAME_DNS, -1 },
		{ "_dns.srv-2.local", "_dns.srv-2.local", HOSTNAME_DNS, -1 },
		{ "127.1", "127.1", HOSTNAME_DNS, -1 },
		{ "127.0.0.1:80", "127.0.0.1", HOSTNAME_IPV4, 80 },
		{ "[::1]", "::1", HOSTNAME_IPV6, -1 },
		{ "[2001:DB8:0:0::1]:443", "2001:db8::1", HOSTNAME_IPV6, 443 },
		{ "[::1]:", "::1", HOSTNAME_IPV6, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hostname h;

		assert_int_equal(hostname_parse(cases[i].given, strlen(cases[i].given), &h), 0);
		assert_string_equal(h.text, cases[i].text);
		assert_int_equal(h.len, strlen(cases[i].text));
		assert_int_equal(h.kind, cases[i].kind);
		assert_int_equal(h.has_port, cases[i].port >= 0);
		assert_int_equal(h.port, cases[i].port >= 0 ? cases[i].port : 0);
	}
}

static void
what_is_no_host_is_refused(void **state)
{
	static const char *const cases[] = {
		"", ".", "..", ":80", ".example.com", "a..b", "example.com..", "a b", " a", "a ",
		"a\tb", "a\r\nX: y", "user@example.com", "a/b", "a%62", "a,b", "*.example.com",
		"ex\xc3\xa4mple.com", "::1", "2001:db8::1", "[::1", "[]", "[127.0.0.1]",
		"[fe80::1%eth0]", "[::1]x", "[::1]80", "[::1]:x", "a:b", "a:-1", "a:+1", "a:65536",
		"a:80:80", "a:99999999999", "example.com:8080.", "[::1].",
	};
	struct hostname h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (hostname_parse(cases[i], strlen(cases[i]), &h) != -EINVAL)
			fail_msg("took \"%s\" for a host", cases[i]);
	assert_int_equal(hostname_parse("a\0b", 3, &h), -EINVAL);
	assert_int_equal(hostname_parse("[::1\0]", 6, &h), -EINVAL);
	assert_int_equal(hostname_parse("[\0::1]", 6, &h), -EINVAL);
}

static void
lengths_are_bounded(void **state)
{
	char name[300], out[HOSTNAME_MAX + 1];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_int_equal(hostname_normalise(name, 63, out), 63);
	assert_int_equal(hostname_normalise(name, 64, out), -EINVAL);
	for (size_t i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	assert_int_equal(hostname_normalise(name, 253, out), 253);
	assert_int_equal(strlen(out), 253);
	assert_int_equal(hostname_normalise(name, 254, out), -EINVAL);
	name[253] = '.';			/* the root's dot does not count */
	assert_int_equal(hostname_normalise(name, 254, out), 253);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spellings_of_one_host_are_one),
		cmocka_unit_test(what_is_no_host_is_refused),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
