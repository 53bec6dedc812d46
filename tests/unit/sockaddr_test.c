#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include <adit/addr.h>

static struct adit_addr
parsed(const char *ip, uint16_t port)
{
	struct adit_addr a;

	assert_int_equal(adit_addr_parse(ip, port, &a), 0);
	return a;
}

static void
literals_are_read_and_written(void **state)
{
	static const struct {
		const char *ip, *with_port, *alone;
	} rows[] = {
		{ "1.2.3.4", "1.2.3.4:80", "1.2.3.4" },
		{ "255.255.255.255", "255.255.255.255:80", "255.255.255.255" },
		{ "::1", "[::1]:80", "::1" },
		{ "[::1]", "[::1]:80", "::1" },
		{ "2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:80", "2001:db8::1" },
		{ "::", "[::]:80", "::" },
		{ "::ffff:10.0.0.1", "10.0.0.1:80", "10.0.0.1" },
		{ "fe80::1%4000000000", "[fe80::1%4000000000]:80", "fe80::1%4000000000" },
		{ "1111:2222:3333:4444:5555:6666:123.123.123.123",
		  "[1111:2222:3333:4444:5555:6666:7b7b:7b7b]:80",
		  "1111:2222:3333:4444:5555:6666:7b7b:7b7b" },
	};
	char text[ADIT_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_addr a = parsed(rows[i].ip, 80);

		assert_string_equal(adit_addr_format(&a, text), rows[i].with_port);
		assert_string_equal(adit_addr_format_ip(&a, text), rows[i].alone);
	}
}

static void
what_is_no_literal_is_refused(void **state)
{
	static const char *const rows[] = {
		"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", ":::",
		"::1::", "[::1", "::1]", "[]", "[1.2.3.4]", "fe80::1%", "fe80::1%no-such-interface",
		"fe80::1%4294967296", "1.2.3.4%1", "01.2.3.4x", "[[::1]]",
		("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:1111"
		 ":2222"),
	};
	struct adit_addr a = { .family = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(adit_addr_parse(rows[i], 1, &a), -EINVAL);
	assert_int_equal(a.family, 7);
}

static void
an_interface_is_a_scope(void **state)
{
	struct adit_addr a = parsed("fe80::1%lo", 1);

	(void)state;
	assert_int_equal(a.scope, 1);	/* the loopback is always the first */
}

static void
the_kernel_and_back(void **state)
{
	static const char *const rows[] = { "127.0.0.1", "::1", "fe80::1%9" };
	struct sockaddr_storage ss;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_addr a = parsed(rows[i], 65535), b;
		socklen_t len = adit_addr_to(&a, &ss);

		assert_int_equal(len, a.family == AF_INET ? sizeof(struct sockaddr_in)
							  : sizeof(struct sockaddr_in6));
		b = adit_addr_from((struct sockaddr *)&ss, len);
		assert_true(adit_addr_equal(&a, &b));
		b = adit_addr_from((struct sockaddr *)&ss, len - 1);
		assert_int_equal(b.family, 0);
	}
}

static void
mapped_ipv4_is_ipv4(void **state)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(53) };
	struct adit_addr a, b = parsed("192.0.2.1", 53);

	(void)state;
	memcpy(&sin6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01", 16);
	a = adit_addr_from((struct sockaddr *)&sin6, sizeof(sin6));
	assert_true(adit_addr_equal(&a, &b));
}

static void
families_without_ip(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/x" };
	struct sockaddr other = { .sa_family = AF_NETLINK };
	struct sockaddr_storage ss;
	struct adit_addr a = adit_addr_from((struct sockaddr *)&sun, sizeof(sa_family_t));
	struct adit_addr b = adit_addr_from(&other, sizeof(other));
	char text[ADIT_ADDR_TEXT];

	(void)state;
	assert_string_equal(adit_addr_format(&a, text), "unix");
	assert_string_equal(adit_addr_format(&b, text), "-");
	assert_string_equal(adit_addr_format_ip(&b, text), "-");
	assert_int_equal(adit_addr_to(&a, &ss), 0);
	assert_int_equal(adit_addr_to(&b, &ss), 0);
	assert_false(adit_addr_equal(&a, &b));
	b = adit_addr_from(NULL, 0);
	assert_int_equal(b.family, 0);
}

static void
equality_is_of_all_parts(void **state)
{
	struct adit_addr a = parsed("1.2.3.4", 80), b = parsed("1.2.3.4", 81);
	struct adit_addr c = parsed("1.2.3.5", 80), d = parsed("fe80::1%1", 80);
	struct adit_addr e = parsed("fe80::1%2", 80), f = a;

	(void)state;
	assert_true(adit_addr_equal(&a, &f));
	assert_false(adit_addr_equal(&a, &b));
	assert_false(adit_addr_equal(&a, &c));
	assert_false(adit_addr_equal(&a, &d));
	assert_false(adit_addr_equal(&d, &e));
}

static void
host_and_port_are_split(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} rows[] = {
		{ "example.org:443", "example.org", 443 },
		{ "example.org", "example.org", 0 },
		{ "example.org:", "example.org", 0 },	/* RFC 3986, 3.2.3 */
		{ ":8080", "", 8080 },
		{ "h:0", "h", 0 },
		{ "h:65535", "h", 65535 },
		{ "h:00080", "h", 80 },
		{ "[::1]:80", "::1", 80 },
		{ "[::1]", "::1", 0 },
		{ "[fe80::1%eth0]:1", "fe80::1%eth0", 1 },
	};
	char host[64];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		port = 1;
		assert_int_equal(adit_hostport_split(rows[i].text, host, sizeof(host), &port), 0);
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, rows[i].port);
	}
}

static void
bad_host_and_port_are_refused(void **state)
{
	static const char *const rows[] = {
		"", "h:65536", "h:-1", "h:+1", "h: 1", "h:1 ", "h:x", "::1", "a:b:1", "[::1",
		"[]:1", "[::1]1", "[::1]:x", "h:18446744073709551617",
		"h:99999999999999999999999999",
	};
	char host[64];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(adit_hostport_split(rows[i], host, sizeof(host), &port), -EINVAL);
}

static void
a_host_fits_or_is_refused(void **state)
{
	char host[5] = "";
	uint16_t port;

	(void)state;
	assert_int_equal(adit_hostport_split("abcd:1", host, sizeof(host), &port), 0);
	assert_string_equal(host, "abcd");
	assert_int_equal(adit_hostport_split("abcde:1", host, sizeof(host), &port), -EINVAL);
	assert_int_equal(adit_hostport_split("[::1:2]:1", host, sizeof(host), &port), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals_are_read_and_written),
		cmocka_unit_test(what_is_no_literal_is_refused),
		cmocka_unit_test(an_interface_is_a_scope),
		cmocka_unit_test(the_kernel_and_back),
		cmocka_unit_test(mapped_ipv4_is_ipv4),
		cmocka_unit_test(families_without_ip),
		cmocka_unit_test(equality_is_of_all_parts),
		cmocka_unit_test(host_and_port_are_split),
		cmocka_unit_test(bad_host_and_port_are_refused),
		cmocka_unit_test(a_host_fits_or_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
