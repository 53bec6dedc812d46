#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smux_rig.h"

#define LIMIT_MS 20000

/* ---- ends ----------------------------------------------------------------------- */
static void
fin_ends_both_directions(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;
	char in[16];

	rig_start(&r);
	c = rig_peer_opens(&r, 2, 3);
	rig_frame(&r, 2, SMUX_PSH, 3, "last", 4);
	rig_frame(&r, 2, SMUX_FIN, 3, NULL, 0);
	rig_frame(&r, 2, SMUX_PSH, 3, "late", 4);
	assert_int_equal(adit_conn_shutdown(c), -ENOTSUP);
	assert_int_equal(adit_conn_write(c, "x", 1), -EPIPE);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 4);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 0);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 0);
	rig_expect_nothing(&r);			/* no UPD to somebody who has gone */
	adit_conn_close(c, 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	rig_expect_nothing(&r);
	rig_end(&r);
}

static void
polite_close_sends_the_rest(void **state)
{
	struct smux_conf conf = quiet(true, 1);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;

	rig_start(&r);
	c = rig_opens(&r, 1, 3);
	assert_int_equal(adit_conn_write(c, "bye", 3), 3);
	adit_conn_close(c, 0);
	assert_int_equal(adit_mux_streams(r.mux), 0);
	rig_expect(&r, 1, SMUX_PSH, 3, 3);
	rig_expect(&r, 1, SMUX_FIN, 3, 0);
	rig_end(&r);
}

static void
abortive_close_drops_the_rest(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;

	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	fill(*state, c, MIB);
	assert_int_equal(count_data(&r, 2, 3), 262144);
	adit_conn_close(c, -ECONNRESET);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	rig_update(&r, 3, 262144, MIB);
	rig_expect_nothing(&r);
	rig_end(&r);
}

/* The peer has gone and its window is full: waiting for it would be for nothing. */
static void
close_after_a_fin_does_not_wait(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;

	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	fill(*state, c, MIB);
	count_data(&r, 2, 3);
	rig_frame(&r, 2, SMUX_FIN, 3, NULL, 0);
	adit_conn_close(c, 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);

	/* The other order. */
	c = rig_opens(&r, 2, 5);
	fill(*state, c, MIB);
	count_data(&r, 2, 5);
	adit_conn_close(c, 0);
	rig_expect_nothing(&r);
	rig_frame(&r, 2, SMUX_FIN, 5, NULL, 0);
	rig_expect(&r, 2, SMUX_FIN, 5, 0);
	rig_end(&r);
}

/*
 * What arrives for a stream that is closed and still sending counts as read: the peer may be
 * closing too.
 */
static void
closed_streams_return_their_window(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;
	uint8_t *buf = pattern(32768, 0);

	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	fill(*state, c, MIB);
	count_data(&r, 2, 3);
	rig_frame(&r, 2, SMUX_PSH, 3, buf, 32768);
	adit_conn_close(c, 0);
	rig_expect_update(&r, 3, 32768, MIB);
	for (int i = 0; i < 16; i++)
		rig_frame(&r, 2, SMUX_PSH, 3, buf, 32768);
	rig_expect_update(&r, 3, 17 * 32768, MIB);
	rig_update(&r, 3, 262144, MIB);
	rig_expect(&r, 2, SMUX_PSH, 3, SMUX_OUT_BLOCKED);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	free(buf);
	rig_end(&r);
}

static void
stream_that_said_nothing_is_not_announced(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	rig_start(&r);
	c = adit_mux_open(r.mux, 0, &e);
	assert_non_null(c);
	adit_conn_close(c, 0);
	rig_expect_nothing(&r);
	assert_int_equal(adit_mux_streams(r.mux), 0);
	adit_conn_close(rig_opens(&r, 2, 5), 0);
	rig_expect(&r, 2, SMUX_FIN, 5, 0);
	rig_end(&r);
}

/* The rest of a frame goes out, though the stream it is of has failed with the session. */
static void
session_close_ends_the_frame_that_was_cut(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 4096);
	struct smux_frame f = { .cmd = 0 };
	const uint8_t *payload;
	struct adit_conn *a, *b;
	size_t len, got = 0;

	rig_start(&r);
	a = rig_opens(&r, 2, 3);
	b = rig_opens(&r, 2, 5);
	rig_hold(&r, true);
	len = fill(*state, a, 200000);
	assert_true(len > SMUX_FRAME_SIZE);
	adit_mux_close(r.mux, NULL);
	r.mux = NULL;
	loop_turn(*state, 8);
	assert_int_equal(adit_conn_err(a), -ECONNRESET);
	assert_int_equal(adit_conn_err(b), -ECONNRESET);
	adit_conn_close(b, 0);
	adit_conn_close(a, 0);
	rig_hold(&r, false);
	loop_turn(*state, 64);
	while (rig_next(&r, 2, &f, &payload) && f.cmd == SMUX_PSH)
		got += f.len;
	assert_in_range(got, 4096, SMUX_FRAME_SIZE);
	assert_int_equal(f.cmd, SMUX_FIN);
	rig_expect_nothing(&r);
	assert_true(r.ended);
	rig_end(&r);
}

/* Closing the session politely lets closed streams finish; what is still open fails. */
static void
session_close_flushes(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *a, *b;
	uint8_t *buf = pattern(290000, 0);

	rig_start(&r);
	a = rig_opens(&r, 2, 3);
	b = rig_opens(&r, 2, 5);
	assert_int_equal(fill(*state, a, 290000), 290000);
	assert_int_equal(count_data(&r, 2, 3), 262144);
	adit_conn_close(a, 0);
	adit_mux_close(r.mux, NULL);
	r.mux = NULL;
	loop_turn(*state, 8);
	assert_int_equal(adit_conn_err(b), -ECONNRESET);
	adit_conn_close(b, 0);
	assert_false(r.ended);
	rig_update(&r, 3, 262144, MIB);
	rig_expect(&r, 2, SMUX_PSH, 3, 290000 - 262144);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	assert_true(r.ended);
	free(buf);
	rig_end(&r);
}

static void
session_ends_with_the_conn_below(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *a, *b;
	char in[8];

	rig_start(&r);
	a = rig_peer_opens(&r, 2, 3);
	rig_frame(&r, 2, SMUX_PSH, 3, "abc", 3);
	rig_frame(&r, 2, SMUX_SYN, 5, NULL, 0);	/* not accepted */
	b = rig_opens(&r, 2, 2);
	rig_send(&r, "\2\2\5\0\3\0\0\0de", 10);
	adit_conn_close(r.wire, 0);
	r.wire = NULL;
	loop_turn(*state, 8);
	assert_int_equal(adit_mux_err(r.mux), ADIT_ETRUNCATED);
	assert_int_equal(adit_conn_read(a, in, sizeof(in)), 5);
	assert_int_equal(adit_conn_read(a, in, sizeof(in)), -ECONNRESET);
	assert_int_equal(adit_conn_write(b, "x", 1), -ECONNRESET);
	assert_null(adit_mux_accept(r.mux));
	assert_null(adit_mux_open(r.mux, 0, &e));
	assert_int_equal(e.code, ADIT_ETRUNCATED);
	adit_conn_close(a, 0);
	adit_conn_close(b, -ECONNRESET);
	assert_int_equal(adit_mux_streams(r.mux), 0);
	rig_end(&r);
}

/* What the error says is not said again as its text. */
static void
a_reset_below_has_no_text_of_its_own(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);

	rig_start(&r);
	adit_conn_close(r.wire, -ECONNRESET);
	r.wire = NULL;
	loop_turn(*state, 8);
	assert_int_equal(adit_mux_reason(r.mux)->err, -ECONNRESET);
	assert_null(adit_mux_reason(r.mux)->text);
	rig_end(&r);
}

/* ---- faults --------------------------------------------------------------------- */
static void
violations_end_the_session(void **state)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
		const char	*why;
	} faults[] = {
		{ "\1\0\0\0\3\0\0\0", 8, "version" },
		{ "\3\0\0\0\3\0\0\0", 8, "version" },
		{ "\2\5\0\0\3\0\0\0", 8, "command" },
		{ "\2\0\1\0\3\0\0\0", 8, "payload" },
		{ "\2\3\1\0\0\0\0\0", 8, "payload" },
		{ "\2\4\7\0\3\0\0\0", 8, "UPD" },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct smux_conf conf = quiet(false, 2);
		struct rig r = rig_new(*state, &conf, 8 * MIB);
		struct adit_conn *c;

		rig_start(&r);
		c = rig_peer_opens(&r, 2, 9);
		rig_send(&r, faults[i].bytes, faults[i].len);
		assert_int_equal(adit_mux_err(r.mux), -EPROTO);
		assert_non_null(strstr(adit_mux_reason(r.mux)->text, faults[i].why));
		assert_int_equal(adit_conn_err(c), -EPROTO);
		assert_true(r.ended);
		assert_int_equal(r.got_len, 0);		/* no error frame exists */
		adit_conn_close(c, 0);
		rig_end(&r);
	}
}

static void
oddities_are_ignored(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;
	char in[8];

	rig_start(&r);
	rig_frame(&r, 2, SMUX_PSH, 77, "abc", 3);
	rig_frame(&r, 2, SMUX_FIN, 77, NULL, 0);
	rig_update(&r, 77, 1, 1);
	c = rig_peer_opens(&r, 2, 3);
	rig_frame(&r, 2, SMUX_SYN, 3, NULL, 0);
	assert_null(adit_mux_accept(r.mux));
	rig_frame(&r, 2, SMUX_PSH, 3, NULL, 0);
	rig_frame(&r, 2, SMUX_NOP, 0, NULL, 0);
	rig_frame(&r, 2, SMUX_PSH, 3, "abc", 3);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 3);
	rig_expect_update(&r, 3, 3, MIB);
	rig_expect_nothing(&r);
	assert_int_equal(adit_mux_err(r.mux), 0);
	adit_conn_close(c, 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	/* Forgotten: what still comes is dropped. */
	rig_frame(&r, 2, SMUX_PSH, 3, "abc", 3);
	rig_expect_nothing(&r);
	rig_end(&r);
}

static void
consumed_beyond_sent_fails_the_stream(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *a, *b;

	rig_start(&r);
	a = rig_opens(&r, 2, 3);
	b = rig_opens(&r, 2, 5);
	assert_int_equal(adit_conn_write(a, "abc", 3), 3);
	rig_expect(&r, 2, SMUX_PSH, 3, 3);
	rig_update(&r, 3, 4, MIB);
	assert_int_equal(adit_conn_err(a), -EPROTO);
	assert_int_equal(adit_mux_err(r.mux), 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	assert_int_equal(adit_mux_streams(r.mux), 1);
	adit_conn_close(a, 0);
	rig_expect_nothing(&r);
	assert_int_equal(adit_conn_write(b, "ok", 2), 2);
	rig_expect(&r, 2, SMUX_PSH, 5, 2);
	adit_conn_close(b, 0);
	rig_expect(&r, 2, SMUX_FIN, 5, 0);
	/* One that nobody has accepted yet goes without leaving anything. */
	rig_frame(&r, 2, SMUX_SYN, 2, NULL, 0);
	rig_frame(&r, 2, SMUX_PSH, 2, "abc", 3);
	rig_update(&r, 2, 1, MIB);
	rig_expect(&r, 2, SMUX_FIN, 2, 0);
	assert_null(adit_mux_accept(r.mux));
	assert_int_equal(adit_mux_streams(r.mux), 0);
	rig_end(&r);
}

/* ---- ids and room --------------------------------------------------------------- */
static void
ids_are_odd_or_even(void **state)
{
	for (int client = 0; client < 2; client++) {
		struct smux_conf conf = quiet(client, 2);
		struct rig r = rig_new(*state, &conf, 8 * MIB);
		uint32_t first = client ? 3 : 2;
		struct adit_conn *c[5];

		rig_start(&r);
		c[0] = rig_opens(&r, 2, first);
		c[1] = rig_peer_opens(&r, 2, first + 2);	/* ours by right: taken is taken */
		c[2] = rig_opens(&r, 2, first + 4);
		c[3] = rig_peer_opens(&r, 2, 1);
		c[4] = rig_peer_opens(&r, 2, 0xffffffffu);
		for (int i = 0; i < 5; i++)
			adit_conn_close(c[i], 0);
		rig_end(&r);
	}
}

static void
ids_run_out(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct smux *m = adit_container_of(r.mux, struct smux, base);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	rig_start(&r);
	m->next_id = UINT32_MAX - 2;
	assert_int_equal(adit_mux_room(r.mux, 0), 2);
	adit_conn_close(rig_opens(&r, 2, UINT32_MAX - 2), 0);
	rig_expect(&r, 2, SMUX_FIN, UINT32_MAX - 2, 0);
	c = rig_opens(&r, 2, UINT32_MAX);
	assert_int_equal(adit_mux_room(r.mux, 0), 0);
	assert_null(adit_mux_open(r.mux, 0, &e));
	assert_int_equal(e.code, ADIT_ELIMIT);
	adit_conn_close(c, 0);
	rig_end(&r);
}

static void
streams_are_limited(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *a, *b;

	conf.streams = 2;
	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	a = rig_peer_opens(&r, 2, 3);
	b = rig_opens(&r, 2, 2);
	assert_int_equal(adit_mux_room(r.mux, 0), 0);
	assert_null(adit_mux_open(r.mux, 0, &e));
	rig_frame(&r, 2, SMUX_SYN, 5, NULL, 0);
	assert_null(adit_mux_accept(r.mux));
	rig_expect(&r, 2, SMUX_FIN, 5, 0);
	adit_conn_close(a, 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	assert_int_equal(adit_mux_room(r.mux, 0), 1);
	a = rig_peer_opens(&r, 2, 7);

	adit_mux_drain(r.mux);
	adit_conn_close(a, 0);
	rig_expect(&r, 2, SMUX_FIN, 7, 0);
	a = rig_peer_opens(&r, 2, 9);		/* nobody could tell it */
	assert_int_equal(adit_conn_write(b, "on", 2), 2);	/* what is open goes on */
	rig_expect(&r, 2, SMUX_PSH, 2, 2);
	adit_conn_close(b, 0);
	rig_expect(&r, 2, SMUX_FIN, 2, 0);
	assert_false(adit_mux_drained(r.mux));
	adit_conn_close(a, 0);
	rig_expect(&r, 2, SMUX_FIN, 9, 0);
	assert_true(adit_mux_drained(r.mux));
	rig_end(&r);
}

/* What an adit opened before it heard of the drain is served; it answers that no more comes. */
static void
streams_that_cross_a_drain_are_served(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;

	rig_start(&r);
	rig_frame(&r, 2, SMUX_NOP, 0xffffffffu, NULL, 0);	/* of nothing: not an answer yet */
	rig_frame(&r, 2, SMUX_NOP, 1, NULL, 0);
	rig_expect(&r, 2, SMUX_NOP, 0x80000001u, 0);
	assert_false(adit_mux_drained(r.mux));
	adit_mux_drain(r.mux);
	rig_expect(&r, 2, SMUX_NOP, 0x7fffffffu, 0);
	assert_false(adit_mux_drained(r.mux));
	c = rig_peer_opens(&r, 2, 2);
	rig_frame(&r, 2, SMUX_NOP, 0xffffffffu, NULL, 0);
	assert_false(adit_mux_drained(r.mux));
	adit_conn_close(c, 0);
	rig_expect(&r, 2, SMUX_FIN, 2, 0);
	rig_frame(&r, 2, SMUX_FIN, 2, NULL, 0);
	assert_true(adit_mux_drained(r.mux));
	rig_expect_nothing(&r);
	rig_end(&r);
}

static void
drain_of_the_peer_is_answered(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_err e = ADIT_ERR_INIT;

	rig_start(&r);
	rig_frame(&r, 2, SMUX_NOP, 0x7fffffffu, NULL, 0);
	assert_true(smux_peer_drains(r.mux));
	assert_true(adit_mux_peer_drains(r.mux));
	assert_null(adit_mux_open(r.mux, 0, &e));
	rig_expect(&r, 2, SMUX_NOP, 0xffffffffu, 0);
	rig_end(&r);
}

/* Who is replaced tells its peer, and opens streams until that has moved. */
static void
drain_is_said_before_it_begins(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);

	rig_start(&r);
	smux_say_drain(r.mux);
	rig_expect_nothing(&r);		/* a gost would not know what that is */
	rig_frame(&r, 2, SMUX_NOP, 1, NULL, 0);
	rig_expect(&r, 2, SMUX_NOP, 0x80000001u, 0);
	smux_say_drain(r.mux);
	rig_expect(&r, 2, SMUX_NOP, 0x7fffffffu, 0);
	adit_conn_close(rig_opens(&r, 2, 3), 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	rig_frame(&r, 2, SMUX_FIN, 3, NULL, 0);
	rig_frame(&r, 2, SMUX_NOP, 0xffffffffu, NULL, 0);
	assert_false(adit_mux_drained(r.mux));
	adit_mux_drain(r.mux);
	rig_expect_nothing(&r);		/* it has answered */
	assert_true(adit_mux_drained(r.mux));
	rig_end(&r);
}

static void
full_backlog_stops_the_session(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r;
	struct adit_conn *c[5];
	char in[8];

	conf.backlog = 4;
	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	for (uint32_t i = 0; i < 5; i++)
		rig_frame(&r, 2, SMUX_SYN, 3 + 2 * i, NULL, 0);
	rig_frame(&r, 2, SMUX_PSH, 3, "abc", 3);
	for (int i = 0; i < 4; i++)
		c[i] = adit_mux_accept(r.mux);
	assert_non_null(c[3]);
	assert_null(adit_mux_accept(r.mux));
	assert_int_equal(adit_conn_read(c[0], in, sizeof(in)), -EAGAIN);
	loop_turn(*state, 8);
	c[4] = adit_mux_accept(r.mux);
	assert_non_null(c[4]);
	assert_int_equal(adit_conn_read(c[0], in, sizeof(in)), 3);
	for (int i = 0; i < 5; i++)
		adit_conn_close(c[i], 0);
	rig_end(&r);
}

/* Somebody who only makes us answer, and does not read the answers. */
static void
answers_are_bounded(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r;
	uint8_t flood[65536];
	const struct smux *m;
	size_t sent = 0;

	r = rig_new(*state, &conf, 65536);
	m = adit_container_of(r.mux, struct smux, base);
	rig_start(&r);
	rig_hold(&r, true);
	for (size_t i = 0; i < sizeof(flood); i += 8)
		memcpy(flood + i, "\2\3\0\0\1\0\0\0", 8);
	for (int i = 0; i < 100; i++) {
		ssize_t n = adit_conn_write(r.wire, flood, sizeof(flood) - sent % 8);

		if (n > 0)
			sent += (size_t)n;
		loop_turn(*state, 4);
		assert_true(m->raw.len <= 131072);
	}
	assert_true(sent < 10 * sizeof(flood));
	assert_int_equal(adit_mux_err(r.mux), 0);
	rig_end(&r);
}

/* ---- liveness ------------------------------------------------------------------- */
static bool
rig_has_frame(void *arg)
{
	struct rig *r = arg;

	return r->got_len >= r->want;
}

static bool
rig_has_ended(void *arg)
{
	struct rig *r = arg;

	return r->ended;
}

static void
nops_keep_it_alive(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r;

	conf.keepalive = ADIT_MS(5);
	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	r.want = 24;
	assert_true(loop_until(*state, rig_has_frame, &r, LIMIT_MS));
	assert_memory_equal(r.got, "\2\3\0\0\0\0\0\0\2\3\0\0\0\0\0\0\2\3\0\0\0\0\0\0", 24);
	rig_end(&r);
}

static void
silence_is_death(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r;
	uint64_t began;

	conf.keepalive = ADIT_MS(100);
	conf.timeout = ADIT_MS(600);	/* a machine that is busy may keep us waiting */
	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	/* Its NOPs keep it alive, for longer than the time-out. */
	began = adit_now();
	while (adit_now() - began < ADIT_MS(800)) {
		rig_frame(&r, 2, SMUX_NOP, 0, NULL, 0);
		assert_int_equal(adit_mux_err(r.mux), 0);
	}
	began = adit_mux_heard(r.mux);
	assert_true(loop_until(*state, rig_has_ended, &r, LIMIT_MS));
	assert_int_equal(adit_mux_err(r.mux), ADIT_EPEERDEAD);
	assert_true(adit_now() - began >= ADIT_MS(600));
	rig_end(&r);
}

static void
probes_are_answered(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);

	rig_start(&r);
	/* An answer to what we did not ask says nothing. */
	rig_frame(&r, 2, SMUX_NOP, 0x80000001u, NULL, 0);
	rig_frame(&r, 2, SMUX_NOP, 0x80000000u, NULL, 0);
	assert_false(smux_peer_is_adit(r.mux));
	rig_expect_nothing(&r);
	adit_mux_probe(r.mux);
	rig_expect(&r, 2, SMUX_NOP, 1, 0);
	assert_false(smux_peer_is_adit(r.mux));
	rig_frame(&r, 2, SMUX_NOP, 0x80000001u, NULL, 0);
	assert_true(smux_peer_is_adit(r.mux));
	rig_expect_nothing(&r);
	rig_frame(&r, 2, SMUX_NOP, 77, NULL, 0);
	rig_expect(&r, 2, SMUX_NOP, 77 | 0x80000000u, 0);
	rig_end(&r);
}

static void
half_close_toward_an_adit(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r;
	struct adit_conn *c;
	char in[8];

	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	rig_frame(&r, 2, SMUX_NOP, 1, NULL, 0);		/* its probe tells */
	rig_expect(&r, 2, SMUX_NOP, 0x80000001u, 0);
	assert_int_equal(adit_conn_shutdown(c), -ENOTSUP);
	smux_set_half_close(r.mux, true);
	assert_int_equal(adit_conn_write(c, "question", 8), 8);
	assert_int_equal(adit_conn_shutdown(c), 0);
	rig_expect(&r, 2, SMUX_PSH, 3, 8);
	rig_expect(&r, 2, SMUX_PSH, 3, 0);
	rig_expect_nothing(&r);
	rig_frame(&r, 2, SMUX_PSH, 3, "answer", 6);
	rig_frame(&r, 2, SMUX_PSH, 3, NULL, 0);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 6);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 0);
	adit_conn_close(c, 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	rig_end(&r);
}

/* The first stream of a session is often shut down before the peer's answer is here. */
static void
half_close_waits_for_the_answer(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct adit_conn *c, *other;
	struct rig r;

	conf.half_close = true;
	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	other = rig_opens(&r, 2, 5);
	assert_int_equal(adit_conn_shutdown(c), -ENOTSUP);
	assert_int_equal(adit_conn_shutdown(other), -ENOTSUP);
	assert_int_equal(adit_conn_write(other, "but", 3), 3);	/* what -ENOTSUP leaves it */
	rig_expect(&r, 2, SMUX_PSH, 5, 3);
	rig_expect_nothing(&r);
	rig_frame(&r, 2, SMUX_NOP, 1, NULL, 0);
	rig_expect(&r, 2, SMUX_NOP, 0x80000001u, 0);
	rig_expect(&r, 2, SMUX_PSH, 3, 0);
	rig_expect_nothing(&r);
	adit_conn_close(c, 0);
	adit_conn_close(other, 0);
	rig_end(&r);
}

static void
configurations_are_checked(void **state)
{
	struct smux_conf good = smux_conf_default(true, 2), bad;
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(smux_conf_check(&good, &e), 0);
	bad = good, bad.version = 3;
	assert_int_equal(smux_conf_check(&bad, &e), -EINVAL);
	bad = good, bad.frame = 65536;
	assert_int_equal(smux_conf_check(&bad, &e), -EINVAL);
	bad = good, bad.stream_buffer = bad.session_buffer + 1;
	assert_int_equal(smux_conf_check(&bad, &e), -EINVAL);
	bad = good, bad.timeout = bad.keepalive - 1;
	assert_int_equal(smux_conf_check(&bad, &e), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(fin_ends_both_directions),
		LOOP_TEST(polite_close_sends_the_rest),
		LOOP_TEST(abortive_close_drops_the_rest),
		LOOP_TEST(close_after_a_fin_does_not_wait),
		LOOP_TEST(closed_streams_return_their_window),
		LOOP_TEST(stream_that_said_nothing_is_not_announced),
		LOOP_TEST(session_close_flushes),
		LOOP_TEST(session_close_ends_the_frame_that_was_cut),
		LOOP_TEST(session_ends_with_the_conn_below),
		LOOP_TEST(a_reset_below_has_no_text_of_its_own),
		LOOP_TEST(violations_end_the_session),
		LOOP_TEST(oddities_are_ignored),
		LOOP_TEST(consumed_beyond_sent_fails_the_stream),
		LOOP_TEST(ids_are_odd_or_even),
		LOOP_TEST(ids_run_out),
		LOOP_TEST(streams_are_limited),
		LOOP_TEST(streams_that_cross_a_drain_are_served),
		LOOP_TEST(drain_of_the_peer_is_answered),
		LOOP_TEST(drain_is_said_before_it_begins),
		LOOP_TEST(full_backlog_stops_the_session),
		LOOP_TEST(answers_are_bounded),
		LOOP_TEST(nops_keep_it_alive),
		LOOP_TEST(silence_is_death),
		LOOP_TEST(probes_are_answered),
		LOOP_TEST(half_close_toward_an_adit),
		LOOP_TEST(half_close_waits_for_the_answer),
		cmocka_unit_test(configurations_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
