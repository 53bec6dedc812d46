#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "core/wire/addr.h"
#include "core/wire/bytes.h"

static struct wire_addr
parsed(const char *text)
{
	struct wire_addr a;

	assert_int_equal(wire_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static void
text_becomes_what_gost_makes_of_it(void **state)
{
	static const struct {
		const char *text;
		unsigned type, port;
		const char *again;
	} cases[] = {
		{ "127.0.0.1:8081", WIRE_ADDR_IPV4, 8081, "127.0.0.1:8081" },
		{ "127.0.0.1", WIRE_ADDR_IPV4, 0, "127.0.0.1:0" },
		{ "[::ffff:10.1.2.3]:5", WIRE_ADDR_IPV4, 5, "10.1.2.3:5" },
		{ "[2001:DB8::1]:65535", WIRE_ADDR_IPV6, 65535, "[2001:db8::1]:65535" },
		{ "[::1]", WIRE_ADDR_IPV6, 0, "[::1]:0" },
		{ "::1", WIRE_ADDR_IPV6, 0, "[::1]:0" },
		{ "Www.Example.com:80", WIRE_ADDR_NAME, 80, "Www.Example.com:80" },
		{ "srv.local", WIRE_ADDR_NAME, 0, "srv.local:0" },
		{ "127.1:80", WIRE_ADDR_NAME, 80, "127.1:80" },
		{ ":80", WIRE_ADDR_NAME, 80, ":80" },
		{ ":", WIRE_ADDR_NAME, 0, ":0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wire_addr a = parsed(cases[i].text);
		char text[WIRE_ADDR_TEXT];

		assert_int_equal(a.type, cases[i].type);
		assert_int_equal(a.port, cases[i].port);
		assert_int_equal(wire_addr_format(&a, text), strlen(cases[i].again));
		assert_string_equal(text, cases[i].again);
	}
}

static void
text_without_an_address_is_refused(void **state)
{
	static const char *const cases[] = {
		"", "a:b", "a:65536", "a:-1", "a: 1", "a:99999999999", "[::1", "[::1]80", "[::1]:x",
		"0.0.0.0::7005", "a:b:80", "[::1%lo]:80", "[]", "[[]", "[name]:80", "[1.2.3.4]:80",
	};
	char longest[256];
	struct wire_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(wire_addr_parse(cases[i], strlen(cases[i]), &a), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(wire_addr_parse(longest, 256, &a), -EINVAL);
	assert_int_equal(wire_addr_parse(longest, 255, &a), 0);
	assert_int_equal(wire_addr_parse("a\0b:80", 6, &a), -EINVAL);
}

static void
the_longest_address_fits(void **state)
{
	char longest[255], text[WIRE_ADDR_TEXT];
	uint8_t buf[WIRE_ADDR_MAX];
	struct wire_writer w = { .p = buf, .cap = sizeof(buf) };
	struct wire_addr a;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(wire_addr_parse(longest, sizeof(longest), &a), 0);
	a.port = 65535;
	assert_int_equal(wire_addr_format(&a, text), 255 + 6);
	assert_string_equal(text + 255, ":65535");
	wire_addr_write(&w, &a);
	assert_int_equal(w.len, WIRE_ADDR_MAX);
	assert_false(w.bad);
}

static void
bytes_are_read_back(void **state)
{
	static const char *const cases[] = {
		"1.2.3.4:5", "[2001:db8::1]:53", "www.example.com:443", ":7",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wire_addr a = parsed(cases[i]), b;
		uint8_t buf[WIRE_ADDR_MAX];
		struct wire_writer w = { .p = buf, .cap = sizeof(buf) };

		wire_addr_write(&w, &a);
		for (size_t cut = 0; cut < w.len; cut++) {
			struct wire_reader r = { .p = buf, .left = cut };

			assert_int_equal(wire_addr_read(&r, &b), -EAGAIN);
		}
		struct wire_reader r = { .p = buf, .left = w.len };

		assert_int_equal(wire_addr_read(&r, &b), 0);
		assert_int_equal(r.left, 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void
bad_bytes_are_refused(void **state)
{
	static const uint8_t type[] = { 7, 0, 0, 0, 0, 0, 0 };
	static const uint8_t nul[] = { 3, 3, 'a', 0, 'b', 0, 80 };
	struct wire_reader r = { .p = type, .left = sizeof(type) };
	struct wire_writer w = { .cap = 0 };
	struct wire_addr a;

	(void)state;
	assert_int_equal(wire_addr_read(&r, &a), -EBADMSG);
	r = (struct wire_reader){ .p = nul, .left = sizeof(nul) };
	assert_int_equal(wire_addr_read(&r, &a), -EBADMSG);
	wire_addr_write(&w, &(struct wire_addr){ .port = 1 });
	assert_true(w.bad);
}

static void
socket_addresses_go_both_ways(void **state)
{
	static const char *const cases[] = { "1.2.3.4:5", "[2001:db8::1]:53" };
	struct sockaddr_storage ss;
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct wire_addr a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		a = parsed(cases[i]);
		assert_int_equal(wire_addr_to_sockaddr(&a, &ss),
			i ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		assert_int_equal(wire_addr_from_sockaddr((const struct sockaddr *)&ss, &b), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_int_equal(inet_pton(AF_INET6, "::ffff:1.2.3.4", &mapped.sin6_addr), 1);
	assert_int_equal(wire_addr_from_sockaddr((const struct sockaddr *)&mapped, &b), 0);
	a = parsed("1.2.3.4:9");
	assert_memory_equal(&a, &b, sizeof(a));
	a = parsed("name:9");
	assert_int_equal(wire_addr_to_sockaddr(&a, &ss), -EAFNOSUPPORT);
	ss.ss_family = AF_UNIX;
	assert_int_equal(wire_addr_from_sockaddr((const struct sockaddr *)&ss, &b), -EAFNOSUPPORT);
}

static void
wildcards_are_known(void **state)
{
	static const char *const any[] = { ":0", ":80", "0.0.0.0:80", "[::]:80" };
	static const char *const some[] = { "x:0", "0.0.0.1:0", "[::1]:0" };

	(void)state;
	for (size_t i = 0; i < sizeof(any) / sizeof(*any); i++)
		assert_true(wire_addr_is_any(&(struct wire_addr[]){ parsed(any[i]) }[0]));
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++)
		assert_false(wire_addr_is_any(&(struct wire_addr[]){ parsed(some[i]) }[0]));
	assert_true(wire_addr_is_any(&(struct wire_addr){ .port = 80 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_what_gost_makes_of_it),
		cmocka_unit_test(text_without_an_address_is_refused),
		cmocka_unit_test(the_longest_address_fits),
		cmocka_unit_test(bytes_are_read_back),
		cmocka_unit_test(bad_bytes_are_refused),
		cmocka_unit_test(socket_addresses_go_both_ways),
		cmocka_unit_test(wildcards_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
