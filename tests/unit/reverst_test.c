/* Registrations at a reverst server, as captured and as they might be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/reverst.h"
#include "tests/unit/vector.h"

#define VECTORS "reverst-registration.txt"

/* Pieces of messages: a version alone, an unknown key and a group, the two other keys. */
#define VERSION	      "\x81\xa7Version"
#define SKIP	      "\x82\xa1x"
#define GROUP	      "\xabTunnelGroup"
#define METADATA      "\xa8Metadata"
#define AUTHORIZATION "\xad" "Authorization"

static struct vector *vectors;

static uint8_t *
stream_of(const char *section, char dir, size_t *len)
{
	size_t i = vector_section(vectors, section);

	return vector_stream(vectors, i, i, dir, len);
}

static int
load_vectors(void **state)
{
	(void)state;
	vectors = vector_load(VECTORS);
	return 0;
}

static int
free_vectors(void **state)
{
	(void)state;
	vector_free(vectors);
	return 0;
}

/*
 * Reads bytes that come one by one, each time at another address, up to an outcome, which must be
 * that of all at once. Returns it; the texts are in bytes.
 */
static ssize_t
read_in_pieces(enum reverst_kind kind, const uint8_t *bytes, size_t len, char why[64],
	       struct reverst_message *out)
{
	struct reverst_decoder slow, once;
	struct reverst_message m;
	ssize_t n = 0, k;

	reverst_begin(&slow, kind);
	for (size_t i = 0; i <= len && n == 0; i++) {
		uint8_t *piece = malloc(i + 1);

		assert_non_null(piece);
		memcpy(piece, bytes, i);
		n = reverst_decode(&slow, piece, i, &m);
		free(piece);
	}
	reverst_begin(&once, kind);
	k = reverst_decode(&once, bytes, len, out);
	assert_int_equal(n, k);
	assert_string_equal(slow.why, once.why);
	snprintf(why, 64, "%s", once.why);
	return k;
}

static void
expect_text(struct reverst_text got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.s, want, got.len);
}

static void
accepted_requests_are_read(void **state)
{
	static const struct { const char *section, *group, *authorization; uint8_t version; }
	rows[] = {
		{ "no credentials, group open", "open", "", 1 },
		{ "basic user/pass, group localhost", "localhost", "Basic dXNlcjpwYXNz", 1 },
		{ "bearer some-token", "group-name", "Bearer some-token", 1 },
		{ "external with scheme JWT", "group-name", "JWT abc.def.ghi", 1 },
		{ "as sent by the reverst CLI", "grp", "Basic dXNlcjpwYXNz", 1 },
		{ "group name of 40 bytes", "gggggggggggggggggggggggggggggggggggggggg", "", 1 },
		{ "array of exactly 3", "open", "", 1 },
		{ "other order, unknown key", "open", "", 1 },
		{ "version 99", "open", "", 99 },
		{ "only the group", "open", "", 0 },
		{ "group as bin8", "open", "", 0 },
		{ "version 300 as uint16", "open", "", 44 },
		{ "lower-case key", "", "", 0 },
		{ "nil message", "", "", 0 },
		{ "empty map", "", "", 0 },
		{ "metadata key in lower case", "basic", "", 1 },
		{ "blanks around the whole value", "basic", "  Basic dXNlcjpwYXNz  ", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct reverst_message m;
		size_t len;
		uint8_t *bytes = stream_of(rows[i].section, 'C', &len);
		char why[64];

		assert_int_equal(read_in_pieces(REVERST_REQUEST, bytes, len, why, &m), len);
		expect_text(m.group, rows[i].group);
		expect_text(m.authorization, rows[i].authorization);
		assert_int_equal(m.version, rows[i].version);
		free(bytes);
	}
}

static void
refusals_say_what_reverst_says(void **state)
{
	static const struct { const char *section, *why; } rows[] = {
		{ "refused: array of 2",
		  "msgpack: number of fields in array-encoded struct has changed" },
		{ "refused: not msgpack", "msgpack: unexpected code=c1 decoding map length" },
		{ "refused: a string", "msgpack: unexpected code=a3 decoding map length" },
		{ "refused: version is a string", "msgpack: invalid code=a1 decoding uint64" },
		{ "refused: metadata value is an int",
		  "msgpack: invalid code=1 decoding string/bytes length" },
	};
	struct reverst_message m;
	char why[64];
	size_t len;
	uint8_t *bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bytes = stream_of(rows[i].section, 'C', &len);
		assert_int_equal(read_in_pieces(REVERST_REQUEST, bytes, len, why, &m), -EBADMSG);
		assert_string_equal(why, rows[i].why);
		free(bytes);
	}
	bytes = stream_of("refused: truncated", 'C', &len);
	assert_int_equal(read_in_pieces(REVERST_REQUEST, bytes, len, why, &m), 0);
	assert_string_equal(reverst_unfinished(len), "unexpected EOF");
	assert_string_equal(reverst_unfinished(0), "EOF");
	free(bytes);
}

/* What follows belongs to nobody here, and the length says where it begins. */
static void
what_follows_is_left(void **state)
{
	struct reverst_decoder d;
	struct reverst_message m;

	(void)state;
	reverst_begin(&d, REVERST_REQUEST);
	assert_int_equal(reverst_decode(&d, "\x80\x80\xc1", 3, &m), 1);
}

static void
odd_values_are_read(void **state)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
		uint8_t		 version;
		const char	*group, *authorization;
	} rows[] = {
#define ROW(bytes, ...) { (bytes), sizeof(bytes) - 1, __VA_ARGS__ }
		ROW(VERSION "\xff", 255, "", ""),		/* -1 */
		ROW(VERSION "\xd0\x80", 128, "", ""),
		ROW(VERSION "\xce\1\2\3\4", 4, "", ""),
		ROW(VERSION "\xcf\1\2\3\4\5\6\7\x8", 8, "", ""),
		ROW(VERSION "\xd3\xff\xff\xff\xff\xff\xff\xff\xfe", 254, "", ""),
		ROW(VERSION "\xc0", 0, "", ""),
		ROW("\x90", 0, "", ""),
		ROW("\xde\0\1" GROUP "\xda\0\1g", 0, "g", ""),
		ROW("\xdf\0\0\0\1" GROUP "\xc6\0\0\0\1g", 0, "g", ""),
		ROW("\x81" GROUP "\xc0", 0, "", ""),
		ROW("\x82\xc0\1" GROUP "\xa1g", 0, "g", ""),	/* a key that is nil */
		ROW("\x82" GROUP "\xa1g" GROUP "\xa1h", 0, "h", ""),
		ROW(SKIP "\x92\x81\xc3\xc2\xdc\0\1\xcb\0\0\0\0\0\0\0\0" GROUP "\xa1g", 0, "g", ""),
		ROW(SKIP "\xca\0\0\0\0" GROUP "\xa1g", 0, "g", ""),
		ROW(SKIP "\xd4\1\2" GROUP "\xa1g", 0, "g", ""),
		ROW(SKIP "\xd8\1" "0123456789abcdef" GROUP "\xa1g", 0, "g", ""),
		ROW(SKIP "\xc7\2\1ab" GROUP "\xa1g", 0, "g", ""),
		ROW(SKIP "\xc9\0\0\0\0\1" GROUP "\xa1g", 0, "g", ""),
		ROW(SKIP "\xde\0\1\1\xdd\0\0\0\0" GROUP "\xa1g", 0, "g", ""),
		ROW("\x81" METADATA "\x82" AUTHORIZATION "\xa1" "a\xa1k\xc0", 0, "", "a"),
		ROW("\x82" METADATA "\x81" AUTHORIZATION "\xa1" "a" METADATA "\xc0", 0, "", ""),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
		struct reverst_message m;
		char why[64];

		assert_int_equal(read_in_pieces(REVERST_REQUEST, bytes, rows[i].len, why, &m),
				 rows[i].len);
		assert_int_equal(m.version, rows[i].version);
		expect_text(m.group, rows[i].group);
		expect_text(m.authorization, rows[i].authorization);
	}
}

/* Depth costs nothing, and what cannot end within the limit is refused by its announcement. */
static void
messages_are_bounded(void **state)
{
	static const struct { const char *bytes; size_t len; } rows[] = {
		{ "\xdf\xff\xff\xff\xff", 5 },
		{ ("\x81" GROUP "\xdb\0\1\0\0"), 18 },
		{ ("\x81" METADATA "\xde\xff\xff"), 13 },
		{ (SKIP "\xdd\xff\xff\xff\xff"), 8 },
		{ (SKIP "\xc9\xff\xff\xff\xff\0"), 9 },
		{ (SKIP "\xdc\x80\0\xdc\x80\0"), 9 },
	};
	static uint8_t deep[REVERST_MESSAGE_MAX] = SKIP;
	static const char tail[] = "\xc0" GROUP "\xa1g";
	const size_t nest = sizeof(deep) - sizeof(tail) + 1;
	struct reverst_decoder d;
	struct reverst_message m;
	char why[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;

		assert_int_equal(read_in_pieces(REVERST_REQUEST, bytes, rows[i].len, why, &m),
				 -EMSGSIZE);
		assert_string_equal(why, "message longer than 65536 bytes");
	}
	memset(deep + 3, 0x91, nest - 3);
	memcpy(deep + nest, tail, sizeof(tail) - 1);
	reverst_begin(&d, REVERST_REQUEST);
	assert_int_equal(reverst_decode(&d, deep, sizeof(deep) - 1, &m), 0);
	assert_int_equal(reverst_decode(&d, deep, sizeof(deep), &m), sizeof(deep));
	expect_text(m.group, "g");
}

static void
answers_are_read(void **state)
{
	static const char hi[] = "\x84\xa7Version\xcc\1\xa4" "Code\xcc\0\xa8Metadata\x81\xa1""a\xa1"
				 "b\xa4" "Body\xc4\2hi";
	static const char list[] = "\x94\1\3\xc0\xc0";
	struct reverst_message m;
	char why[64];
	size_t len;
	uint8_t *bytes = stream_of("server answer variants", 'S', &len);

	(void)state;
	/* The section has three answers, one after the other. */
	assert_int_equal(read_in_pieces(REVERST_ANSWER, bytes, len, why, &m), REVERST_ANSWER_LEN);
	assert_int_equal(m.code, 3);
	assert_int_equal(m.body.len, 0);
	free(bytes);

	assert_int_equal(read_in_pieces(REVERST_ANSWER, (const uint8_t *)hi, sizeof(hi) - 1, why,
					&m), sizeof(hi) - 1);
	assert_int_equal(m.version, 1);
	assert_int_equal(m.code, 0);
	expect_text(m.body, "hi");

	assert_int_equal(read_in_pieces(REVERST_ANSWER, (const uint8_t *)list, sizeof(list) - 1,
					why, &m), sizeof(list) - 1);
	assert_int_equal(m.code, 3);
}

static void
expect_request(const char *section, const char *group, const char *authorization)
{
	uint8_t out[1024];
	size_t len;
	uint8_t *bytes = stream_of(section, 'C', &len);

	assert_int_equal(reverst_encode_request(group, authorization, NULL, 0), len);
	assert_int_equal(reverst_encode_request(group, authorization, out, len - 1), len);
	assert_int_equal(reverst_encode_request(group, authorization, out, sizeof(out)), len);
	assert_memory_equal(out, bytes, len);
	free(bytes);
}

static void
what_is_written_is_what_reverst_writes(void **state)
{
	uint8_t answer[REVERST_ANSWER_LEN];
	char group[301] = "";
	size_t len;
	uint8_t *bytes = stream_of("basic user/pass, group localhost", 'S', &len);

	(void)state;
	expect_request("no credentials, group open", "open", NULL);
	expect_request("basic user/pass, group localhost", "localhost", "Basic dXNlcjpwYXNz");
	expect_request("external with scheme JWT", "group-name", "JWT abc.def.ghi");
	memset(group, 'g', 300);
	expect_request("group name of 300 bytes", group, NULL);
	group[40] = '\0';
	expect_request("group name of 40 bytes", group, NULL);

	reverst_encode_answer(answer);
	assert_int_equal(len, sizeof(answer));
	assert_memory_equal(answer, bytes, len);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_requests_are_read),
		cmocka_unit_test(refusals_say_what_reverst_says),
		cmocka_unit_test(what_follows_is_left),
		cmocka_unit_test(odd_values_are_read),
		cmocka_unit_test(messages_are_bounded),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(what_is_written_is_what_reverst_writes),
	};

	return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
