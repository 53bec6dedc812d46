#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/h3_frame.h"
#include "core/wire/varint.h"

/* Reads one head from bytes as a reader does that may not take more. Returns what it used. */
static size_t
cut(const uint8_t *p, size_t len, struct h3_frame *f)
{
	struct h3_head h = { .n = 0 };
	size_t used = 0, needs;

	while ((needs = h3_head_needs(&h)) > 0) {
		assert_true(used + needs <= len);
		memcpy(h.bytes + h.n, p + used, needs);
		h.n = (uint8_t)(h.n + needs);
		used += needs;
	}
	*f = h3_head_take(&h);
	assert_int_equal(h.n, 0);
	return used;
}

static void
heads_are_cut_without_a_byte_too_many(void **state)
{
	static const uint64_t numbers[] = { 0, 63, 64, 16383, 16384, 1u << 30, VARINT_MAX };
	enum { N = sizeof(numbers) / sizeof(*numbers) };

	(void)state;
	for (size_t i = 0; i < N * N; i++) {
		uint8_t bytes[H3_HEAD_MAX];
		size_t len = h3_head_write(bytes, numbers[i / N], numbers[i % N]);
		struct h3_frame f;

		assert_int_equal(cut(bytes, len, &f), len);
		assert_true(f.type == numbers[i / N]);
		assert_true(f.len == numbers[i % N]);
	}
}

static void
a_long_spelling_means_the_same(void **state)
{
	static const uint8_t bytes[] = { 0x40, 0x01, 0xc0, 0, 0, 0, 0, 0, 0, 5 };
	struct h3_frame f;

	(void)state;
	assert_int_equal(cut(bytes, sizeof(bytes), &f), sizeof(bytes));
	assert_int_equal(f.type, H3_HEADERS);
	assert_int_equal(f.len, 5);
}

/* RFC 9114, 7, table 1, and 7.2.8. */
static void
frames_have_their_places(void **state)
{
	static const struct { uint64_t type, request, response, of_client, of_server; } rows[] = {
		{ H3_DATA, H3_TAKE, H3_TAKE, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED },
		{ H3_HEADERS, H3_TAKE, H3_TAKE, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED },
		{ H3_SETTINGS, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_TAKE, H3_TAKE },
		{ H3_GOAWAY, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_TAKE, H3_TAKE },
		{ H3_MAX_PUSH_ID, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_TAKE,
		  H3_FRAME_UNEXPECTED },
		{ H3_CANCEL_PUSH, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_ID_ERROR,
		  H3_ID_ERROR },
		{ H3_PUSH_PROMISE, H3_FRAME_UNEXPECTED, H3_ID_ERROR, H3_FRAME_UNEXPECTED,
		  H3_FRAME_UNEXPECTED },
		{ 0x2, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED,
		  H3_FRAME_UNEXPECTED },
		{ 0x6, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED,
		  H3_FRAME_UNEXPECTED },
		{ 0x8, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED,
		  H3_FRAME_UNEXPECTED },
		{ 0x9, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED, H3_FRAME_UNEXPECTED,
		  H3_FRAME_UNEXPECTED },
		{ 0x21, H3_SKIP, H3_SKIP, H3_SKIP, H3_SKIP },
		{ 0xf0700, H3_SKIP, H3_SKIP, H3_SKIP, H3_SKIP },
		{ 0xa, H3_SKIP, H3_SKIP, H3_SKIP, H3_SKIP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(h3_frame_place(rows[i].type, H3_REQUEST), rows[i].request);
		assert_int_equal(h3_frame_place(rows[i].type, H3_RESPONSE), rows[i].response);
		assert_int_equal(h3_frame_place(rows[i].type, H3_CONTROL_OF_CLIENT),
				 rows[i].of_client);
		assert_int_equal(h3_frame_place(rows[i].type, H3_CONTROL_OF_SERVER),
				 rows[i].of_server);
	}
}

/* RFC 9114, 7.2.4; RFC 8441, 3. */
static void
settings_are_checked(void **state)
{
	static const struct {
		uint8_t		bytes[8];
		size_t		len;
		uint64_t	code;
	} rows[] = {
		{ { 0 }, 0, 0 },
		{ { 0x06, 0x44, 0x00 }, 3, 0 },
		{ { 0x08, 0x01 }, 2, 0 },
		{ { 0x08, 0x02 }, 2, H3_SETTINGS_ERROR },
		{ { 0x01, 0x00, 0x07, 0x00 }, 4, 0 },		/* QPACK's */
		{ { 0x21, 0x05, 0x21, 0x05 }, 4, H3_SETTINGS_ERROR },
		{ { 0x06, 0x01, 0x06, 0x01 }, 4, H3_SETTINGS_ERROR },
		{ { 0x00, 0x00 }, 2, H3_SETTINGS_ERROR },
		{ { 0x02, 0x00 }, 2, H3_SETTINGS_ERROR },
		{ { 0x03, 0x00 }, 2, H3_SETTINGS_ERROR },
		{ { 0x04, 0x00 }, 2, H3_SETTINGS_ERROR },
		{ { 0x05, 0x00 }, 2, H3_SETTINGS_ERROR },
		{ { 0x06 }, 1, H3_FRAME_ERROR },
		{ { 0x06, 0x44 }, 2, H3_FRAME_ERROR },
		{ { 0x40 }, 1, H3_FRAME_ERROR },
	};
	struct h3_settings s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(h3_settings_read(rows[i].bytes, rows[i].len, &s), rows[i].code);
	h3_settings_read(rows[0].bytes, rows[0].len, &s);
	assert_true(s.section_max == VARINT_MAX && !s.connect);
	h3_settings_read(rows[1].bytes, rows[1].len, &s);
	assert_true(s.section_max == 1024 && !s.connect);
	h3_settings_read(rows[2].bytes, rows[2].len, &s);
	assert_true(s.connect);
}

static void
settings_are_written_as_they_are_read(void **state)
{
	static const uint8_t empty[] = { 0x04, 0x00 }, connect[] = { 0x04, 0x02, 0x08, 0x01 };
	const struct h3_settings none = { .section_max = VARINT_MAX };
	const struct h3_settings alone = { .section_max = VARINT_MAX, .connect = true };
	const struct h3_settings most = { .section_max = VARINT_MAX - 1, .connect = true };
	uint8_t out[H3_SETTINGS_SIZE];
	struct h3_settings s;
	struct h3_frame f;
	size_t len, head;

	(void)state;
	assert_int_equal(h3_settings_write(out, &none), sizeof(empty));
	assert_memory_equal(out, empty, sizeof(empty));
	assert_int_equal(h3_settings_write(out, &alone), sizeof(connect));
	assert_memory_equal(out, connect, sizeof(connect));
	len = h3_settings_write(out, &most);
	head = cut(out, len, &f);
	assert_int_equal(f.type, H3_SETTINGS);
	assert_int_equal(f.len, len - head);
	assert_int_equal(h3_settings_read(out + head, len - head, &s), 0);
	assert_true(s.section_max == most.section_max && s.connect);
}

static void
a_number_fills_its_payload(void **state)
{
	static const uint8_t bytes[] = { 0x40, 0x05, 0x00 };
	uint64_t number;

	(void)state;
	assert_false(h3_number_read(bytes, 0, &number));
	assert_false(h3_number_read(bytes, 1, &number));
	assert_true(h3_number_read(bytes, 2, &number));
	assert_int_equal(number, 5);
	assert_false(h3_number_read(bytes, 3, &number));
}

static void
codes_have_names(void **state)
{
	(void)state;
	assert_string_equal(h3_code_text(H3_NO_ERROR), "H3_NO_ERROR");
	assert_string_equal(h3_code_text(H3_MESSAGE_ERROR), "H3_MESSAGE_ERROR");
	assert_string_equal(h3_code_text(H3_VERSION_FALLBACK), "H3_VERSION_FALLBACK");
	assert_string_equal(h3_code_text(H3_QPACK_DECODER_STREAM_ERROR),
			    "QPACK_DECODER_STREAM_ERROR");
	assert_string_equal(h3_code_text(0x111), "an unknown error");
	assert_string_equal(h3_code_text(0), "an unknown error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_cut_without_a_byte_too_many),
		cmocka_unit_test(a_long_spelling_means_the_same),
		cmocka_unit_test(frames_have_their_places),
		cmocka_unit_test(settings_are_checked),
		cmocka_unit_test(settings_are_written_as_they_are_read),
		cmocka_unit_test(a_number_fills_its_payload),
		cmocka_unit_test(codes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
