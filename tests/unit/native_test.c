/* The messages of adit/1, byte for byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/native.h"
#include "core/wire/varint.h"

#define BIT(f) ((uint32_t)1 << (f))

/* ---- varints: the examples of RFC 9000, A.1 ------------------------------------------ */

static void
varints_are_those_of_rfc_9000(void **state)
{
	static const struct { uint8_t bytes[8]; size_t len; uint64_t value; } rows[] = {
		{ { 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c }, 8, 151288809941952652u },
		{ { 0x9d, 0x7f, 0x3e, 0x7d }, 4, 494878333 },
		{ { 0x7b, 0xbd }, 2, 15293 },
		{ { 0x25 }, 1, 37 },
	};
	uint8_t out[VARINT_MAX_LEN];
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(varint_read(rows[i].bytes, rows[i].len, &value), rows[i].len);
		assert_true(value == rows[i].value);
		assert_int_equal(varint_read(rows[i].bytes, rows[i].len - 1, &value), 0);
		assert_int_equal(varint_write(out, rows[i].value), rows[i].len);
		assert_memory_equal(out, rows[i].bytes, rows[i].len);
	}
	assert_int_equal(varint_read((const uint8_t[]){ 0x40, 0x25 }, 2, &value), 2);
	assert_int_equal(value, 37);	/* longer than it had to be */
}

/* ---- messages --------------------------------------------------------------------------- */

static const uint8_t bind_bytes[] = {
	0x01, 0x40, 0x46,
	0x00, 0x01, 0x01,				/* version */
	0x01, 0x10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	0x02, 0x10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
	0x03, 0x01, 0x05,				/* bind */
	0x04, 0x01, 0x01,				/* network */
	0x05, 0x02, 0x40, 0xff,				/* weight */
	0x06, 0x01, 0x01,				/* flags */
	0x07, 0x02, 'm', 'e',
	0x08, 0x03, 'p', 'w', '!',
	0x09, 0x03, 'w', 'e', 'b',
	0x0a, 0x02, 0x41, 0xbb,				/* port */
};

static struct native_msg
bind_message(void)
{
	struct native_msg m = {
		.type = NATIVE_BIND, .version = 1, .bind = 5, .network = NATIVE_UDP, .weight = 255,
		.flags = NATIVE_SHOWS_VISITOR, .port = 443,
		.has = BIT(NATIVE_F_VERSION) | BIT(NATIVE_F_TUNNEL) | BIT(NATIVE_F_CONNECTOR) |
		       BIT(NATIVE_F_BIND) | BIT(NATIVE_F_NETWORK) | BIT(NATIVE_F_WEIGHT) |
		       BIT(NATIVE_F_FLAGS) | BIT(NATIVE_F_PORT),
	};
	uint8_t id[32];

	for (uint8_t i = 0; i < 32; i++)
		id[i] = i;
	memcpy(&m.tunnel, id, 16);
	memcpy(&m.connector, id + 16, 16);
	assert_true(native_set_text(&m, NATIVE_F_USER, "me"));
	assert_true(native_set_text(&m, NATIVE_F_PASSWORD, "pw!"));
	assert_true(native_set_text(&m, NATIVE_F_HOST, "web"));
	return m;
}

static void
a_bind_is_these_bytes(void **state)
{
	const struct native_msg m = bind_message();
	uint8_t buf[NATIVE_MAX];
	struct native_msg back;

	(void)state;
	assert_int_equal(native_encode(&m, buf, sizeof(buf)), sizeof(bind_bytes));
	assert_memory_equal(buf, bind_bytes, sizeof(bind_bytes));
	assert_int_equal(native_decode(buf, sizeof(buf), &back, NULL), sizeof(bind_bytes));
	assert_memory_equal(&back, &m, sizeof(m));
	assert_int_equal(native_encode(&m, buf, sizeof(bind_bytes) - 1), -ENOSPC);
}

static void
a_part_is_no_message(void **state)
{
	struct native_msg m;

	(void)state;
	for (size_t n = 0; n < sizeof(bind_bytes); n++) {
		assert_int_equal(native_decode(bind_bytes, n, &m, NULL), 0);
		assert_int_equal(native_need(bind_bytes, n), n < 1 ? 1 : n < 2 ? 2 : n < 3 ? 3 :
				 sizeof(bind_bytes));
	}
}

static void
addresses_are_numeric(void **state)
{
	static const uint8_t v4[] = { 0x02, 0x08, 0x0b, 0x06, 192, 0, 2, 1, 0x30, 0x39 };
	static const uint8_t v6[] = {
		0x02, 0x14, 0x0b, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x01, 0xbb,
	};
	char text[WIRE_ADDR_TEXT];
	uint8_t buf[64];
	struct native_msg m;

	(void)state;
	assert_int_equal(native_decode(v4, sizeof(v4), &m, NULL), sizeof(v4));
	wire_addr_format(&m.from, text);
	assert_string_equal(text, "192.0.2.1:12345");
	assert_int_equal(native_encode(&m, buf, sizeof(buf)), sizeof(v4));
	assert_memory_equal(buf, v4, sizeof(v4));
	assert_int_equal(native_decode(v6, sizeof(v6), &m, NULL), sizeof(v6));
	wire_addr_format(&m.from, text);
	assert_string_equal(text, "[::1]:443");
	m.from.type = WIRE_ADDR_NAME;
	assert_int_equal(native_encode(&m, buf, sizeof(buf)), -EINVAL);
}

/* What a later version adds does not disturb one of today. */
static void
unknown_fields_and_types_are_skipped(void **state)
{
	static const uint8_t later[] = { 0x03, 0x0b, 0x21, 0x03, 'n', 'e', 'w', 0x0c, 0x01, 0x06,
					 0x53, 0x88, 0x00, 0xee };
	static const uint8_t type[] = { 0x40, 0x4d, 0x02, 0x21, 0x00 };
	struct native_msg m;

	(void)state;
	assert_int_equal(native_decode(later, sizeof(later), &m, NULL), sizeof(later) - 1);
	assert_int_equal(m.type, NATIVE_ANSWER);
	assert_int_equal(m.has, BIT(NATIVE_F_STATUS));
	assert_int_equal(m.status, NATIVE_UNREACHABLE);
	assert_int_equal(native_decode(type, sizeof(type), &m, NULL), sizeof(type));
	assert_int_equal(m.type, 77);
}

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void
malformed_messages_are_refused(void **state)
{
	const struct { const uint8_t *bytes; size_t len; const char *why; } rows[] = {
		{ BYTES(0x03, 0x50, 0x01), "a message is too long" },
		{ BYTES(0x03, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		  "a message is too long" },
		{ BYTES(0x03, 0x06, 0x0c, 0x01, 0x00, 0x0c, 0x01, 0x00), "a field comes twice" },
		{ BYTES(0x03, 0x03, 0x0d, 0x05, 'a'), "a field leaves its message" },
		{ BYTES(0x03, 0x01, 0x0c), "a field leaves its message" },
		{ BYTES(0x03, 0x02, 0x0c, 0x40), "a field leaves its message" },
		{ BYTES(0x03, 0x02, 0x0c, 0x00), "a number does not fill its field" },
		{ BYTES(0x03, 0x04, 0x0c, 0x02, 0x01, 0x01), "a number does not fill its field" },
		{ BYTES(0x03, 0x03, 0x0c, 0x01, 0x40), "a number does not fill its field" },
		{ BYTES(0x02, 0x06, 0x0a, 0x04, 0x80, 0x01, 0x00, 0x00), "a number is too large" },
		{ BYTES(0x01, 0x04, 0x05, 0x02, 0x41, 0x00), "a number is too large" },
		{ BYTES(0x03, 0x05, 0x0d, 0x03, 'a', 0, 'b'), "a text has a NUL" },
		{ BYTES(0x01, 0x05, 0x01, 0x03, 1, 2, 3), "an id is not of 16 bytes" },
		{ BYTES(0x02, 0x07, 0x0b, 0x05, 1, 2, 3, 4, 5), "an address is of no family" },
	};
	struct native_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *why = "nothing";

		assert_int_equal(native_decode(rows[i].bytes, rows[i].len, &m, &why), -EBADMSG);
		assert_string_equal(why, rows[i].why);
		assert_true(native_need(rows[i].bytes, rows[i].len) <= rows[i].len);
	}
}

static void
texts_have_a_limit(void **state)
{
	char long_text[NATIVE_TEXT_MAX + 2];
	uint8_t bytes[NATIVE_TEXT_MAX + 16] = { 0x03, 0x41, 0x03, 0x0d, 0x41, 0x00 };
	struct native_msg m = { .type = NATIVE_ANSWER };
	const char *why = "nothing";

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	assert_false(native_set_text(&m, NATIVE_F_TEXT, long_text));
	assert_int_equal(m.has, 0);
	long_text[NATIVE_TEXT_MAX] = 0;
	assert_true(native_set_text(&m, NATIVE_F_TEXT, long_text));
	assert_false(native_set_text(&m, NATIVE_F_PORT, "80"));
	memset(bytes + 6, 'x', NATIVE_TEXT_MAX + 1);
	assert_int_equal(native_decode(bytes, sizeof(bytes), &m, &why), -EBADMSG);
	assert_string_equal(why, "a text is too long");
}

static void
a_number_beyond_62_bits_cannot_be_written(void **state)
{
	struct native_msg m = { .type = NATIVE_DRAINED, .has = BIT(NATIVE_F_STREAMS) };
	uint8_t buf[32];

	(void)state;
	m.streams = VARINT_MAX;
	assert_int_equal(native_encode(&m, buf, sizeof(buf)), 12);
	m.streams++;
	assert_int_equal(native_encode(&m, buf, sizeof(buf)), -EINVAL);
}

static void
every_status_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(native_status_text(NATIVE_UNREACHABLE), "target unreachable");
	assert_string_equal(native_status_text(NATIVE_STOPPED), "stopped");
	assert_string_equal(native_status_text(12), "unknown status");
	assert_string_equal(native_status_text(UINT64_MAX), "unknown status");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(varints_are_those_of_rfc_9000),
		cmocka_unit_test(a_bind_is_these_bytes),
		cmocka_unit_test(a_part_is_no_message),
		cmocka_unit_test(addresses_are_numeric),
		cmocka_unit_test(unknown_fields_and_types_are_skipped),
		cmocka_unit_test(malformed_messages_are_refused),
		cmocka_unit_test(texts_have_a_limit),
		cmocka_unit_test(a_number_beyond_62_bits_cannot_be_written),
		cmocka_unit_test(every_status_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
