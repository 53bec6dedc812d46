#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/runtime/log_line.h"

#define PREFIX_JSON "{\"time\":\"2026-11-21T07:59:10.700Z\",\"level\":\"info\",\"msg\":"
#define PREFIX_TEXT "time=2026-11-21T07:59:10.700Z level=info msg="

static struct log_line line;

static const char *
formatted(enum log_format format, const char *msg, const struct adit_log_field *fields)
{
	static char text[LOG_LINE_MAX + 1];
	struct log_event ev = {
		.level = ADIT_LOG_INFO,
		.when = { .tv_sec = 1795247950, .tv_nsec = 700999999 },
		.msg = msg,
		.fields = fields,
	};

	log_line_format(&line, format, &ev);
	assert_true(line.len <= LOG_LINE_MAX);
	memcpy(text, line.text, line.len);
	text[line.len] = 0;
	return text;
}

static void
json_has_time_level_msg_and_fields(void **state)
{
	(void)state;
	assert_string_equal(
		formatted(LOG_JSON, "up",
			  ADIT_FIELDS(ADIT_STR("service", "web"), ADIT_INT("i", -5),
				      ADIT_UINT("u", UINT64_MAX), ADIT_BOOL("b", true),
				      ADIT_DURATION("duration", 1140321), ADIT_STR("gone", NULL))),
		PREFIX_JSON "\"up\",\"service\":\"web\",\"i\":-5,\"u\":18446744073709551615,"
			    "\"b\":true,\"duration\":1140321}\n");
	assert_string_equal(formatted(LOG_JSON, "", NULL), PREFIX_JSON "\"\"}\n");
}

static void
text_is_quoted_if_needed(void **state)
{
	(void)state;
	assert_string_equal(
		formatted(LOG_TEXT, "up",
			  ADIT_FIELDS(ADIT_STR("a", "1.2.3.4:80"), ADIT_STR("b", "two words"),
				      ADIT_STR("c", ""), ADIT_STR("d", "x=y"),
				      ADIT_STR("e", "q\"q"), ADIT_BOOL("f", false))),
		PREFIX_TEXT "up a=1.2.3.4:80 b=\"two words\" c=\"\" d=\"x=y\" e=\"q\\\"q\" "
			    "f=false\n");
}

static void
durations_are_for_people_in_text(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0ns" }, { 999, "999ns" }, { 1000, "1us" }, { 999999, "999.99us" },
		{ 1140321, "1.14ms" }, { 999999999, "999.99ms" }, { 1500000000, "1.5s" },
		{ 60000000000, "1m0s" }, { 3599999999999, "59m59s" }, { 3661000000000, "1h1m1s" },
		{ UINT64_MAX, "5124095h34m33s" },
	};
	char want[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		strcpy(want, PREFIX_TEXT "m d=");
		strcat(want, rows[i].text);
		strcat(want, "\n");
		assert_string_equal(formatted(LOG_TEXT, "m",
					      ADIT_FIELDS(ADIT_DURATION("d", rows[i].ns))), want);
	}
}

static void
local_time_has_its_offset(void **state)
{
	static const struct {
		const char *zone, *time;
	} rows[] = {
		{ "XXX-5:30", "2026-11-21T13:29:10.700+05:30" },
		{ "XXX3:30", "2026-11-21T04:29:10.700-03:30" },
		{ "XXX0:30", "2026-11-21T07:29:10.700-00:30" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		setenv("TZ", rows[i].zone, 1);
		tzset();
		assert_non_null(strstr(formatted(LOG_TEXT, "m", NULL), rows[i].time));
	}
	setenv("TZ", "UTC0", 1);
	tzset();
}

static void
peers_bytes_are_escaped(void **state)
{
	(void)state;
	assert_string_equal(formatted(LOG_JSON, "\"\\\n\r\t\x01\x1b[31m\x7f", NULL),
			    PREFIX_JSON "\"\\\"\\\\\\n\\r\\t\\u0001\\u001b[31m\\u007f\"}\n");
	/* valid UTF-8 stays, except what a terminal would act on */
	assert_string_equal(formatted(LOG_JSON, "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", NULL),
			    PREFIX_JSON "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"}\n");
	assert_string_equal(formatted(LOG_JSON, "\xc2\x9b\xe2\x80\xa8\xe2\x80\xae", NULL),
			    PREFIX_JSON "\"\\u009b\\u2028\\u202e\"}\n");
	assert_string_equal(formatted(LOG_TEXT, "a\xff", NULL), PREFIX_TEXT "\"a\\xff\"\n");
}

static void
broken_utf8_is_replaced_bytewise(void **state)
{
	/* alone, overlong, surrogate, beyond the last code point, cut off, never a first byte */
	static const char *const rows[] = {
		"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
		"\xf8\x88\x80\x80", "\xfc\xbf\xbf\xbf",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char want[200] = PREFIX_JSON "\"";

		for (size_t n = 0; n < strlen(rows[i]); n++)
			strcat(want, "\\ufffd");
		strcat(want, "\"}\n");
		assert_string_equal(formatted(LOG_JSON, rows[i], NULL), want);
	}
}

static void
a_key_is_there_once(void **state)
{
	(void)state;
	assert_string_equal(
		formatted(LOG_JSON, "m",
			  ADIT_FIELDS(ADIT_STR("kind", "a"), ADIT_STR("x", "1"),
				      ADIT_STR("kind", "b"), ADIT_STR("x", NULL),
				      ADIT_STR("level", "l"))),
		PREFIX_JSON "\"m\",\"x\":\"1\",\"kind\":\"b\",\"fields.level\":\"l\"}\n");
}

static void
long_texts_are_cut_and_the_line_stays_whole(void **state)
{
	static char big[20000];
	struct adit_log_field fields[8];
	const char *text;

	(void)state;
	memset(big, '\x01', sizeof(big) - 1);	/* six characters each */
	for (int i = 0; i < 7; i++)
		fields[i] = (struct adit_log_field)ADIT_STR("k", big);
	fields[0].key = "a";
	fields[1].key = "b";
	fields[2].key = "c";
	fields[3].key = "d";
	fields[4].key = "e";
	fields[5] = (struct adit_log_field)ADIT_STR("small", "s");
	fields[6] = (struct adit_log_field){ .type = ADIT_LOG_END };
	text = formatted(LOG_JSON, big, fields);
	assert_non_null(strstr(text, "\\u0001...\",\"a\":\"\\u0001"));
	assert_non_null(strstr(text, ",\"b\":"));
	assert_null(strstr(text, ",\"e\":"));		/* no room */
	assert_non_null(strstr(text, ",\"small\":\"s\"}\n"));	/* room again */
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);

	memset(big, 'x', sizeof(big) - 1);
	text = formatted(LOG_TEXT, big, NULL);
	assert_true(strlen(text) < 2200);
	assert_non_null(strstr(text, "xxx...\"\n"));
}

/*
 * At every length of the last field the line is whole: no cut between two escapes, no missing
 * brace.
 */
static void
every_border_is_safe(void **state)
{
	static char a[2049], b[2049];
	struct adit_log_field fields[] = {
		ADIT_STR("a", a), ADIT_STR("b", a), ADIT_STR("c", a), ADIT_STR("d", b),
		{ .type = ADIT_LOG_END },
	};

	(void)state;
	memset(a, 'x', 2000);
	for (size_t n = 0; n < 2048; n++) {
		const char *text;
		size_t len;

		b[n] = n % 3 ? 'y' : '"';
		text = formatted(LOG_JSON, "m", fields);
		len = strlen(text);
		assert_string_equal(text + len - 3, "\"}\n");
		assert_true(text[len - 4] != '\\' || text[len - 5] != 'y');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_time_level_msg_and_fields),
		cmocka_unit_test(text_is_quoted_if_needed),
		cmocka_unit_test(durations_are_for_people_in_text),
		cmocka_unit_test(local_time_has_its_offset),
		cmocka_unit_test(peers_bytes_are_escaped),
		cmocka_unit_test(broken_utf8_is_replaced_bytewise),
		cmocka_unit_test(a_key_is_there_once),
		cmocka_unit_test(long_texts_are_cut_and_the_line_stays_whole),
		cmocka_unit_test(every_border_is_safe),
	};

	setenv("TZ", "UTC0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
