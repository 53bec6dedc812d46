#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/wire/smux.h"
#include "vector.h"

/* ---- the captures: every frame of both directions, and each says what its comment says ---- */

struct frame_comments {
	const struct vector	*v;
	size_t			 first, last;	/* sections */
	char			 dir;
	size_t			 next;		/* line to look at */
};

/* The next comment of that direction that begins with prefix, or NULL. */
static const char *
next_comment(struct frame_comments *c, const char *prefix)
{
	while (c->next < c->v->n_line) {
		const struct vector_line *line = &c->v->line[c->next++];
		const char *text = line->text + strspn(line->text, " ");

		if (line->dir == c->dir && line->section >= c->first && line->section <= c->last
			&& line->len && !strncmp(text, prefix, strlen(prefix)))
			return text;
	}
	return NULL;
}

static void
check_upd(struct frame_comments *c, const uint8_t *payload)
{
	struct smux_upd u = smux_decode_upd(payload);
	uint8_t again[SMUX_UPD_LEN];
	char told[64];

	snprintf(told, sizeof(told), "UPD consumed=%u window=%u ", u.consumed, u.window);
	assert_memory_equal(next_comment(c, "UPD "), told, strlen(told));
	smux_encode_upd(&u, again);
	assert_memory_equal(again, payload, SMUX_UPD_LEN);
}

static void
check_frame(struct frame_comments *c, const uint8_t *bytes, const struct smux_frame *f)
{
	static const char *const names[] = { "SYN", "FIN", "PSH", "NOP", "UPD" };
	uint8_t again[SMUX_HEADER_LEN];
	const char *comment = next_comment(c, "smux v");
	char told[64];

	snprintf(told, sizeof(told), "smux v%u %s len=%u sid=%u", f->version, names[f->cmd], f->len,
		f->stream);
	assert_non_null(comment);
	assert_string_equal(comment, told);
	smux_encode(f, again);
	assert_memory_equal(again, bytes, SMUX_HEADER_LEN);
	if (f->cmd == SMUX_UPD)
		check_upd(c, bytes + SMUX_HEADER_LEN);
}

/* Returns how many frames one direction of the sections has. */
static size_t
check_direction(struct frame_comments c, unsigned version)
{
	size_t len, n = 0, at = 0;
	uint8_t *bytes = vector_stream(c.v, c.first, c.last, c.dir, &len);

	while (at < len) {
		struct smux_frame f;
		const char *why = NULL;

		for (size_t cut = 0; cut < SMUX_HEADER_LEN; cut++)
			assert_int_equal(smux_decode(bytes + at, cut, version, &f, &why), 0);
		assert_int_equal(smux_decode(bytes + at, len - at, version, &f, &why),
			SMUX_HEADER_LEN);
		assert_in_range(f.len, 0, len - at - SMUX_HEADER_LEN);
		check_frame(&c, bytes + at, &f);
		at += (size_t)SMUX_HEADER_LEN + f.len;
		n++;
	}
	assert_null(next_comment(&c, "smux v"));
	free(bytes);
	return n;
}

static void
captured_frames_are_understood(void **state)
{
	static const struct {
		const char *name, *section;
		unsigned version;
		size_t client, server;
	} sessions[] = {
		{ "gost-tunnel-bind-http.txt", "smux v2 session starts", 2, 4, 6 },
		{ "gost-tunnel-visitor-private.txt", "part 2", 2, 3, 5 },
		{ "gost-tunnel-udp.txt", "smux v2 on the same", 2, 4, 6 },
		{ "gost-relay-bind-tcp.txt", "smux v1 session", 1, 2, 4 },
		{ "gost-mtcp-relay.txt", "", 2, 8, 6 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sessions) / sizeof(*sessions); i++) {
		struct vector *v = vector_load(sessions[i].name);
		size_t section = vector_section(v, sessions[i].section);
		struct frame_comments c = { .v = v, .first = section, .last = section, .dir = 'C' };

		assert_int_equal(check_direction(c, sessions[i].version), sessions[i].client);
		c.dir = 'S';
		assert_int_equal(check_direction(c, sessions[i].version), sessions[i].server);
		vector_free(v);
	}
}

/* ---- what no capture has ---- */

static void
frames_that_end_a_session_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[8];
		unsigned version;
	} cases[] = {
		{ { 1, 0, 0, 0, 3, 0, 0, 0 }, 2 },	/* the other version */
		{ { 2, 0, 0, 0, 3, 0, 0, 0 }, 1 },
		{ { 0, 0, 0, 0, 3, 0, 0, 0 }, 2 },
		{ { 2, 5, 0, 0, 3, 0, 0, 0 }, 2 },	/* commands nobody knows */
		{ { 1, 4, 8, 0, 3, 0, 0, 0 }, 1 },
		{ { 2, 4, 7, 0, 3, 0, 0, 0 }, 2 },	/* lengths */
		{ { 2, 4, 0, 0, 3, 0, 0, 0 }, 2 },
		{ { 2, 0, 1, 0, 3, 0, 0, 0 }, 2 },
		{ { 2, 1, 0, 1, 3, 0, 0, 0 }, 2 },
		{ { 2, 3, 1, 0, 0, 0, 0, 0 }, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why = NULL;
		struct smux_frame f;

		assert_int_equal(smux_decode(cases[i].bytes, 8, cases[i].version, &f, &why),
			-EBADMSG);
		assert_non_null(why);
	}
}

static void
numbers_are_little_endian(void **state)
{
	static const uint8_t expected[] = { 2, 2, 0xfe, 0xff, 0x04, 0x03, 0x02, 0x81 };
	static const uint8_t expected_upd[] = { 4, 3, 2, 0xff, 0xff, 0xfe, 0, 1 };
	struct smux_frame f = {
		.version = 2, .cmd = SMUX_PSH, .len = 65534, .stream = 0x81020304,
	};
	struct smux_upd u = { .consumed = 0xff020304, .window = 0x0100feff };
	uint8_t out[8];

	(void)state;
	smux_encode(&f, out);
	assert_memory_equal(out, expected, sizeof(out));
	assert_int_equal(smux_decode(out, sizeof(out), 2, &f, NULL), 8);
	assert_int_equal(f.len, 65534);
	assert_int_equal(f.stream, 0x81020304);
	smux_encode_upd(&u, out);
	assert_memory_equal(out, expected_upd, sizeof(out));
	u = smux_decode_upd(expected_upd);
	assert_int_equal(u.consumed, 0xff020304);
	assert_int_equal(u.window, 0x0100feff);
}

/* An empty PSH is legal, and a NOP may carry a stream id: gost ignores it, we probe with it. */
static void
odd_but_legal_frames_are_taken(void **state)
{
	static const uint8_t psh[] = { 2, 2, 0, 0, 3, 0, 0, 0 };
	static const uint8_t nop[] = { 1, 3, 0, 0, 9, 0, 0, 0x80 };
	struct smux_frame f;

	(void)state;
	assert_int_equal(smux_decode(psh, sizeof(psh), 2, &f, NULL), 8);
	assert_int_equal(smux_decode(nop, sizeof(nop), 1, &f, NULL), 8);
	assert_int_equal(f.stream, 0x80000009);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_frames_are_understood),
		cmocka_unit_test(frames_that_end_a_session_are_refused),
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(odd_but_legal_frames_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
