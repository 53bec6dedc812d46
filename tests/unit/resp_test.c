/* Redis's protocol, byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/resp.h"

static void
elements_are_told_apart(void **state)
{
	static const struct {
		const char	*bytes;
		enum resp_type	 type;
		const char	*text;
		int64_t		 number;
	} rows[] = {
		{ "+OK\r\n", RESP_TEXT, "OK", 0 },
		{ "+\r\n", RESP_TEXT, "", 0 },
		{ "-ERR no\r\n", RESP_ERROR, "ERR no", 0 },
		{ ":-12\r\n", RESP_NUMBER, "", -12 },
		{ "$3\r\na\r\n\r\n", RESP_BULK, "a\r\n", 3 },
		{ "$0\r\n\r\n", RESP_BULK, "", 0 },
		{ "$-1\r\n", RESP_NIL, "", -1 },
		{ "*-1\r\n", RESP_NIL, "", -1 },
		{ "*0\r\n", RESP_ARRAY, "", 0 },
		{ "*2\r\n", RESP_ARRAY, "", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].bytes);
		char more[64];
		struct resp r;

		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(resp_decode(rows[i].bytes, cut, 100, &r), 0);
		memcpy(more, rows[i].bytes, len);
		memcpy(more + len, "+x", 2);
		assert_int_equal(resp_decode(more, len + 2, 100, &r), len);
		assert_int_equal(r.type, rows[i].type);
		assert_int_equal(r.number, rows[i].number);
		assert_int_equal(r.len, strlen(rows[i].text));
		assert_memory_equal(r.len ? r.text : "", rows[i].text, r.len);
	}
}

static void
what_is_none_is_refused(void **state)
{
	static const char *const wrong[] = {
		"HTTP/1.1 200 OK\r\n", "\n", "+a\n", ":\r\n", ":1x\r\n", ": 1\r\n", ":+1\r\n",
		"$-2\r\n", "*-2\r\n", "$1\r\nabc", "$1\r\na\rb", "$\r\n",
		":9999999999999999999\r\n",
	};
	char line[RESP_LINE_MAX + 1];
	struct resp r;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(resp_decode(wrong[i], strlen(wrong[i]), 100, &r), -EBADMSG);
	assert_int_equal(resp_decode("\0\r\n", 3, 100, &r), -EBADMSG);
	memset(line, '+', sizeof(line));
	assert_int_equal(resp_decode(line, RESP_LINE_MAX - 1, 100, &r), 0);
	assert_int_equal(resp_decode(line, RESP_LINE_MAX, 100, &r), -EMSGSIZE);
	assert_int_equal(resp_decode("$101\r\n", 6, 100, &r), -EMSGSIZE);
	assert_int_equal(resp_decode("$100\r\n", 6, 100, &r), 0);
}

static void
commands_are_arrays_of_bulks(void **state)
{
	static const char *const words[] = { "GET", "", "a\r\nb" };
	static const char wire[] = "*3\r\n$3\r\nGET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n";
	char out[sizeof(wire)];

	(void)state;
	assert_int_equal(resp_encode(words, 3, NULL, 0), sizeof(wire) - 1);
	assert_int_equal(resp_encode(words, 3, out, 10), sizeof(wire) - 1);
	assert_int_equal(resp_encode(words, 3, out, sizeof(out)), sizeof(wire) - 1);
	assert_memory_equal(out, wire, sizeof(wire) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_are_told_apart),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(commands_are_arrays_of_bulks),
	};

	return cmocka_run_group_tests_name("resp", tests, NULL, NULL);
}
