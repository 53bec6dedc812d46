#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/dgram.h"
#include "core/wire/relay.h"
#include "vector.h"

/* The bytes of one direction that follow the relay message it begins with. */
static uint8_t *
after_relay(const struct vector *v, const char *title, char dir, size_t *len)
{
	size_t section = vector_section(v, title);
	uint8_t *bytes = vector_stream(v, section, section, dir, len);
	struct relay_msg m;
	ssize_t n = relay_decode(bytes, *len, &m, NULL);

	assert_true(n > 0);
	*len -= (size_t)n;
	memmove(bytes, bytes + n, *len);
	return bytes;
}

static void
check_dgrams(uint8_t *bytes, size_t len, const char *const *payloads)
{
	size_t at = 0;

	for (; *payloads; payloads++) {
		size_t size = DGRAM_HEADER_LEN + strlen(*payloads);
		uint8_t header[DGRAM_HEADER_LEN];
		struct dgram d;

		for (size_t cut = 0; cut < size; cut++) {
			assert_int_equal(dgram_decode(bytes + at, cut, &d), 0);
			assert_in_range(dgram_need(bytes + at, cut), cut + 1, size);
		}
		assert_int_equal(dgram_decode(bytes + at, len - at, &d), size);
		assert_int_equal(d.len, strlen(*payloads));
		assert_memory_equal(d.payload, *payloads, d.len);
		assert_int_equal(dgram_encode_header(d.len, header), DGRAM_HEADER_LEN);
		assert_memory_equal(header, bytes + at, DGRAM_HEADER_LEN);
		at += size;
	}
	assert_int_equal(at, len);
	free(bytes);
}

static void
captured_datagrams_are_understood(void **state)
{
	struct vector *tunnel = vector_load("gost-tunnel-udp.txt");
	struct vector *relay = vector_load("gost-relay-udp.txt");
	size_t len;
	uint8_t *bytes;

	(void)state;
	bytes = after_relay(tunnel, "part 2", 'V', &len);
	check_dgrams(bytes, len, (const char *const[]){ "query1", "q2", NULL });
	bytes = after_relay(tunnel, "part 2", 'S', &len);
	check_dgrams(bytes, len, (const char *const[]){ "uecho:query1", "uecho:q2", NULL });
	bytes = after_relay(relay, "1. CONNECT", 'C', &len);
	check_dgrams(bytes, len, (const char *const[]){ "q1", NULL });
	bytes = after_relay(relay, "1. CONNECT", 'S', &len);
	check_dgrams(bytes, len, (const char *const[]){ "uecho:q1", NULL });
	vector_free(tunnel);
	vector_free(relay);
}

struct expected {
	const char	*addr, *payload;
};

static void
check_udptun(uint8_t *bytes, size_t len, const struct expected *e, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t header[UDPTUN_HEADER_MAX];
		char text[WIRE_ADDR_TEXT];
		struct dgram d;
		ssize_t size = udptun_decode(bytes + at, len - at, &d, NULL), head;

		assert_true(size > 0);
		wire_addr_format(&d.addr, text);
		assert_string_equal(text, e[i].addr);
		assert_int_equal(d.len, strlen(e[i].payload));
		assert_memory_equal(d.payload, e[i].payload, d.len);
		head = udptun_encode_header(d.len, &d.addr, header);
		assert_int_equal(head, size - (ssize_t)d.len);
		assert_memory_equal(header, bytes + at, (size_t)head);
		for (size_t cut = 0; cut < (size_t)size; cut++)
			assert_int_equal(udptun_decode(bytes + at, cut, &d, NULL), 0);
		at += (size_t)size;
	}
	assert_int_equal(at, len);
	free(bytes);
}

static void
captured_udptun_frames_are_understood(void **state)
{
	static const struct expected to[] = {
		{ "127.0.0.1:5353", "hi" }, { "localhost:5353", "dom" },
	};
	static const struct expected from[] = {
		{ "127.0.0.1:5353", "uecho:hi" }, { "127.0.0.1:5353", "uecho:dom" },
	};
	static const struct expected bound[] = { { "127.0.0.1:54278", "from-visitor" } };
	static const struct expected answer[] = { { "127.0.0.1:54278", "uecho:from-visitor" } };
	struct vector *v = vector_load("gost-relay-udp.txt");
	size_t len;
	uint8_t *bytes;

	(void)state;
	bytes = after_relay(v, "2. UDP association", 'C', &len);
	check_udptun(bytes, len, to, 2);
	bytes = after_relay(v, "2. UDP association", 'S', &len);
	check_udptun(bytes, len, from, 2);
	bytes = after_relay(v, "3. BIND udp", 'S', &len);
	check_udptun(bytes, len, bound, 1);
	bytes = after_relay(v, "3. BIND udp", 'C', &len);
	check_udptun(bytes, len, answer, 1);
	vector_free(v);
}

static void
empty_datagrams(void **state)
{
	static const uint8_t plain[] = { 0, 0, 0, 1, 'x' };
	static const uint8_t tun[] = { 0, 0, 0xff, 1, 127, 0, 0, 1, 0, 53, 0, 1 };
	struct wire_addr a = { .type = WIRE_ADDR_IPV4 };
	uint8_t out[UDPTUN_HEADER_MAX];
	struct dgram d;

	(void)state;
	assert_int_equal(dgram_decode(plain, sizeof(plain), &d), 2);
	assert_int_equal(d.len, 0);
	assert_int_equal(dgram_encode_header(0, out), 2);
	assert_int_equal(udptun_decode(tun, sizeof(tun), &d, NULL), 10);
	assert_int_equal(d.len, 0);
	assert_int_equal(udptun_encode_header(0, &a, out), -EMSGSIZE);
}

static void
limits_are_kept(void **state)
{
	static const uint8_t type[] = { 0, 1, 0xff, 2, 1, 2, 3, 4, 0, 53, 'x' };
	static const uint8_t nul[] = { 0, 1, 0xff, 3, 2, 'a', 0, 0, 53, 'x' };
	struct wire_addr a = { .type = WIRE_ADDR_NAME, .len = 255 };
	const char *why = NULL;
	uint8_t out[UDPTUN_HEADER_MAX];
	struct dgram d;

	(void)state;
	memset(a.name, 'x', 255);
	assert_int_equal(udptun_encode_header(DGRAM_MAX, &a, out), UDPTUN_HEADER_MAX);
	assert_int_equal(udptun_encode_header(DGRAM_MAX + 1, &a, out), -EMSGSIZE);
	assert_int_equal(dgram_encode_header(DGRAM_MAX + 1, out), -EMSGSIZE);
	a.type = WIRE_ADDR_NONE;
	assert_int_equal(udptun_encode_header(1, &a, out), -EINVAL);
	assert_int_equal(udptun_decode(type, sizeof(type), &d, &why), -EBADMSG);
	assert_non_null(why);
	assert_int_equal(udptun_decode(nul, sizeof(nul), &d, NULL), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_datagrams_are_understood),
		cmocka_unit_test(captured_udptun_frames_are_understood),
		cmocka_unit_test(empty_datagrams),
		cmocka_unit_test(limits_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
