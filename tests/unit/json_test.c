/* JSON piece by piece: what is escaped, and that it is whole whatever the room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/runtime/json.h"

static size_t
fill(char *buf, size_t size, bool *cut)
{
	struct json j;
	size_t len;

	json_begin(&j, buf, size);
	json_string(&j, "a", "x");
	json_string(&j, "none", NULL);
	json_number(&j, "n", -7);
	if (json_open(&j, "in")) {
		json_null(&j, "z");
		if (json_open(&j, "deep"))
			json_close(&j);
		json_list_of_one(&j, "h", 1, "v", 1);
		json_close(&j);
	}
	json_string(&j, "end", "y");
	len = json_end(&j);
	*cut = j.cut;
	return len;
}

static void
test_members(void **state)
{
	static const char all[] =
		"{\"a\":\"x\",\"n\":-7,\"in\":{\"z\":null,\"deep\":{},\"h\":[\"v\"]},"
		"\"end\":\"y\"}";
	char buf[256];
	bool cut;

	(void)state;
	assert_int_equal(fill(buf, sizeof(buf), &cut), strlen(all));
	assert_memory_equal(buf, all, strlen(all));
	assert_false(cut);
	assert_int_equal(fill(buf, strlen(all), &cut), strlen(all));
	assert_false(cut);
}

/* As many opened as closed, no comma without a member, and never more than there is room. */
static void
test_any_room(void **state)
{
	char buf[256];
	bool cut;

	(void)state;
	for (size_t size = 2; size < 64; size++) {
		size_t len;
		int depth = 0;

		memset(buf, '!', sizeof(buf));
		len = fill(buf, size, &cut);
		assert_true(len <= size && cut == (len < 62));
		assert_int_equal(buf[size], '!');
		for (size_t i = 0; i < len; i++) {
			depth += (buf[i] == '{') - (buf[i] == '}');
			assert_false(buf[i] == ',' && strchr("{,}", buf[i + 1]));
			assert_false(buf[i] == '{' && buf[i + 1] == ',');
			assert_true(depth > 0 || i == len - 1);
		}
		assert_int_equal(depth, 0);
	}
}

static void
test_texts(void **state)
{
	static const struct {
		const char	*text, *json;
	} rows[] = {
		{ "a\"b\\c", "a\\\"b\\\\c" }, { "\n\t\x7f", "\\u000a\\u0009\\u007f" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xf0\x9f\x99\x82", "\xf0\x9f\x99\x82" },
		{ "\xff", "\\ufffd" }, { "\xc3", "\\ufffd" }, { "\xc0\x80", "\\ufffd\\ufffd" },
		{ "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" },
		{ "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char buf[128], expected[128] = "{\"t\":\"";
		struct json j;

		strcat(strcat(expected, rows[i].json), "\"}");
		json_begin(&j, buf, sizeof(buf));
		json_string(&j, "t", rows[i].text);
		buf[json_end(&j)] = 0;
		assert_string_equal(buf, expected);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_any_room),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
