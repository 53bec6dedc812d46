/*
 * Exchanges over HTTP/2 against a peer that means no good, or does not know better: each case with
 * the reset, the status or the GOAWAY that RFC 9113 asks for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/conn.h"
#include "tests/unit/h2_wire.h"

#define METHOD ":method: GET\n"
#define SCHEME ":scheme: https\n"
#define AUTHORITY ":authority: a.b\n"
#define PATH ":path: /x\n"
#define GET METHOD SCHEME AUTHORITY PATH
#define POST ":method: POST\n" SCHEME AUTHORITY PATH
#define LIMIT_MS 20000

static void
expect_no_request(struct h2_wire *w)
{
	assert_null(adit_mux_accept(w->mux));
}

/* A request that is as it should be is served. */
static void
expect_served(struct h2_wire *w, uint32_t id)
{
	struct adit_exchange *x;

	h2w_head(w, H2W_HEAD | H2W_END, id, GET);
	x = adit_exchange_of(adit_mux_accept(w->mux));
	assert_non_null(x);
	h2w_expect_fields(x, "GET https a.b /x\n");
	assert_int_equal(h2w_send_head(x, "204", 0), 0);
	adit_conn_close(&x->body, 0);
	h2w_expect_head(w, H2W_HEAD | H2W_END, (int32_t)id, ":status: 204\n");
}

static bool
has_ended(void *arg)
{
	struct h2_wire *w = arg;

	return adit_mux_err(w->mux) != 0;
}

/* ---- messages: RFC 9113, 8 ------------------------------------------------------------------- */

/* Each costs its stream, and no other: what stands around it is served. */
static void
malformed_requests_are_reset(void **state)
{
	static const char *const rows[] = {
		GET "X-Upper: a\n",				/* 8.2.1 */
		GET "x y: a\n",
		GET "x-y:  a\n",
		GET "x-y: a \n",
		GET "x-y: a\rb\n",
		GET "connection: close\n",			/* 8.2.2 */
		GET "keep-alive: 1\n",
		GET "proxy-connection: close\n",
		GET "transfer-encoding: chunked\n",
		GET "upgrade: websocket\n",
		GET "te: gzip\n",
		METHOD SCHEME AUTHORITY "x-y: a\n" PATH,	/* 8.3 */
		GET ":unknown: a\n",
		GET ":status: 200\n",
		GET ":path: /y\n",
		SCHEME AUTHORITY PATH,				/* 8.3.1 */
		METHOD AUTHORITY PATH,
		METHOD SCHEME AUTHORITY,
		METHOD SCHEME AUTHORITY ":path: x\n",
		METHOD SCHEME AUTHORITY ":path: *\n",
		METHOD SCHEME ":authority: u@a.b\n" PATH,
		METHOD SCHEME AUTHORITY PATH "host: c.d\n",
		GET "host: a.b\nhost: a.b\n",
		GET "content-length: 1x\n",
		GET "content-length: 1\ncontent-length: 2\n",
		":method: CONNECT\n" SCHEME AUTHORITY PATH,	/* 8.5 */
		":method: CONNECT\n",
	};
	uint32_t id = 1;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++, id += 4) {
		h2w_head(&w, H2W_HEAD | H2W_END, id, rows[i]);
		expect_no_request(&w);
		h2w_expect_reset(&w, (int32_t)id, NGHTTP2_PROTOCOL_ERROR);
		expect_served(&w, id + 2);
	}
	assert_int_equal(adit_mux_streams(w.mux), 0);
	h2w_fini(&w);
}

/* Who has begun with it hears of it, after what was right. */
static void
wrong_trailers_and_lengths_are_reset(void **state)
{
	static const struct {
		const char	*fields, *body, *trailers;
	} rows[] = {
		{ POST, "ab", ":path: /\n" },
		{ POST, "ab", "connection: close\n" },
		{ POST "content-length: 3\n", "ab", "sum: 1\n" },
		{ POST "content-length: 3\n", "abcd", NULL },
	};
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t id = (uint32_t)(4 * i + 1);
		struct adit_exchange *x;
		ssize_t n;
		char buf[8];

		h2w_head(&w, H2W_HEAD, id, rows[i].fields);
		x = adit_exchange_of(adit_mux_accept(w.mux));
		assert_non_null(x);
		assert_non_null(adit_exchange_head(x));
		h2w_send(&w, NGHTTP2_DATA, 0, id, rows[i].body, strlen(rows[i].body));
		if (rows[i].trailers)
			h2w_head(&w, H2W_HEAD | H2W_END, id, rows[i].trailers);
		h2w_expect_reset(&w, (int32_t)id, NGHTTP2_PROTOCOL_ERROR);
		n = adit_conn_read(&x->body, buf, sizeof(buf));
		assert_true(n == -EBADMSG || n == 2);
		assert_int_equal(adit_conn_read(&x->body, buf, sizeof(buf)), -EBADMSG);
		adit_conn_close(&x->body, -EBADMSG);
		expect_served(&w, id + 2);
	}
	h2w_fini(&w);
}

static void
malformed_responses_fail_their_exchange(void **state)
{
	static const char *const rows[] = {
		"server: s\n", ":status: 20\n", ":status: 101\n", ":status: 200\n:path: /\n",
		":status: 200\nConnection: close\n", ":status: 200\ntransfer-encoding: chunked\n",
		":status: 200\ncontent-length: 5\ncontent-length: 6\n",
	};
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t id = (uint32_t)(2 * i + 1);
		struct adit_exchange *x =
			adit_exchange_of(adit_mux_open(w.mux, ADIT_CONN_EXCHANGE, NULL));

		assert_int_equal(h2w_send_head(x, "GET https a.b /x", ADIT_HEAD_END), 0);
		loop_turn(*state, 8);
		h2w_head(&w, H2W_HEAD, id, rows[i]);
		h2w_expect_reset(&w, (int32_t)id, NGHTTP2_PROTOCOL_ERROR);
		assert_int_equal(adit_conn_err(&x->body), -EBADMSG);
		adit_conn_close(&x->body, -EBADMSG);
		assert_int_equal(adit_mux_err(w.mux), 0);
	}
	h2w_fini(&w);
}

/* ---- heads without measure ------------------------------------------------------------------- */

/*
 * A field of 161 bytes in the dynamic table, which one byte names from then on: the head that is
 * too large is answered, and the decoder's state is right for the next.
 */
static void
a_head_that_is_too_large_is_answered(void **state)
{
	static const struct h2_conf conf = { .head_max = 8192 };
	static const char prefix[] = GET;
	uint8_t block[1024];
	size_t n = h2w_encode(prefix, block, sizeof(block));
	struct adit_exchange *x;
	struct h2_wire w;
	struct adit_text value;

	h2w_server(&w, *state, &conf);
	memcpy(block + n, "\x40\x01" "a\x7f\x01", 5);		/* RFC 7541, 6.2.1 */
	memset(block + n + 5, 'v', 128);
	memset(block + n + 133, 0xbe, 100);			/* 161 bytes each */
	h2w_send(&w, NGHTTP2_HEADERS, H2W_HEAD, 1, block, n + 233);
	expect_no_request(&w);
	h2w_expect_status(&w, 1, ":status: 431");
	h2w_expect_reset(&w, 1, NGHTTP2_NO_ERROR);
	block[n] = 0xbe;
	h2w_send(&w, NGHTTP2_HEADERS, H2W_HEAD | H2W_END, 3, block, n + 1);
	x = adit_exchange_of(adit_mux_accept(w.mux));
	assert_non_null(x);
	value = adit_fields_get(adit_exchange_head(x), "a");
	assert_int_equal(value.len, 128);
	adit_conn_close(&x->body, 0);
	h2w_fini(&w);
}

static void
a_response_head_too_large_fails_its_exchange(void **state)
{
	static const struct h2_conf conf = { .head_max = 512 };
	struct adit_exchange *x;
	char fields[1024], value[600];
	struct h2_wire w;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	snprintf(fields, sizeof(fields), ":status: 200\na: %s\n", value);
	h2w_client(&w, *state, &conf);
	x = adit_exchange_of(adit_mux_open(w.mux, ADIT_CONN_EXCHANGE, NULL));
	assert_int_equal(h2w_send_head(x, "GET https a.b /x", ADIT_HEAD_END), 0);
	loop_turn(*state, 8);
	h2w_head(&w, H2W_HEAD, 1, fields);
	h2w_expect_reset(&w, 1, NGHTTP2_CANCEL);
	assert_int_equal(adit_conn_err(&x->body), -E2BIG);
	adit_conn_close(&x->body, -E2BIG);
	assert_int_equal(adit_mux_err(w.mux), 0);
	h2w_fini(&w);
}

/* CVE-2024-28182: a head that has no end. */
static void
a_flood_of_continuations_ends_it(void **state)
{
	uint8_t block[256];
	size_t n = h2w_encode("a: b\n", block, sizeof(block));
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	h2w_head(&w, 0, 1, GET);
	for (int i = 0; i < 7; i++)
		h2w_send(&w, NGHTTP2_CONTINUATION, 0, 1, block, n);
	assert_int_equal(adit_mux_err(w.mux), 0);
	for (int i = 0; i < 4 && !adit_mux_err(w.mux); i++)
		h2w_send(&w, NGHTTP2_CONTINUATION, 0, 1, block, n);
	h2w_expect_goaway(&w, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(adit_mux_err(w.mux), -EPROTO);
	expect_no_request(&w);
	h2w_fini(&w);
}

static void
a_head_that_is_continued_is_a_head(void **state)
{
	uint8_t block[256];
	size_t n = h2w_encode(GET, block, sizeof(block));
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	h2w_send(&w, NGHTTP2_HEADERS, H2W_END, 1, block, 10);
	for (size_t at = 10; at < n; at += 20)
		h2w_send(&w, NGHTTP2_CONTINUATION, at + 20 < n ? 0 : H2W_HEAD, 1, block + at,
			 n - at < 20 ? n - at : 20);
	x = adit_exchange_of(adit_mux_accept(w.mux));
	assert_non_null(x);
	h2w_expect_fields(x, "GET https a.b /x\n");
	adit_conn_close(&x->body, 0);
	/* Nothing may stand between: RFC 9113, 6.10. */
	h2w_head(&w, 0, 3, GET);
	h2w_send(&w, NGHTTP2_PING, 0, 0, "12345678", 8);
	h2w_expect_goaway(&w, NGHTTP2_PROTOCOL_ERROR);
	h2w_fini(&w);
}

/* ---- floods: RFC 9113, 10.5 ------------------------------------------------------------------ */

/* Many of the same frame at once. Until the session ends; fails the test if it does not. */
static void
flood(struct h2_wire *w, const uint8_t *frame, size_t len, unsigned most)
{
	static uint8_t many[64 * 64];
	size_t n = sizeof(many) / len;

	for (size_t i = 0; i < n; i++)
		memcpy(many + i * len, frame, len);
	for (unsigned sent = 0; sent < most && !adit_mux_err(w->mux); sent += (unsigned)n) {
		wire_end_send(&w->wire, many, n * len);
		loop_turn(w->wire.loop, 4);
		if (!adit_mux_err(w->mux))
			h2w_expect_none(w, NGHTTP2_GOAWAY);
	}
	assert_int_equal(adit_mux_err(w->mux), -EPROTO);
	assert_non_null(strstr(adit_mux_reason(w->mux)->text, "ENHANCE_YOUR_CALM"));
}

static void
frames_that_say_nothing_end_it(void **state)
{
	static const struct {
		size_t	len;
		uint8_t	bytes[17];
	} rows[] = {
		{ 17, { 0, 0, 8, NGHTTP2_PING } },
		{ 9, { 0, 0, 0, NGHTTP2_SETTINGS } },
		{ 14, { 0, 0, 5, NGHTTP2_PRIORITY, 0, 0, 0, 0, 3 } },
		{ 9, { 0, 0, 0, NGHTTP2_DATA, 0, 0, 0, 0, 1 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_exchange *x;
		struct h2_wire w;

		h2w_server(&w, *state, NULL);
		h2w_head(&w, H2W_HEAD, 1, POST);
		x = adit_exchange_of(adit_mux_accept(w.mux));
		assert_non_null(x);
		flood(&w, rows[i].bytes, rows[i].len, 200000);
		adit_conn_close(&x->body, 0);
		h2w_fini(&w);
	}
}

/* CVE-2023-44487. Those that are wrong from the beginning count, too. */
static void
who_only_resets_is_sent_away(void **state)
{
	for (int wrong = 0; wrong < 2; wrong++) {
		struct adit_conn *c;
		uint32_t id = 1;
		struct h2_wire w;

		h2w_server(&w, *state, NULL);
		for (; id < 4000 && !adit_mux_err(w.mux); id += 2) {
			h2w_head(&w, H2W_HEAD, id, wrong ? METHOD : GET);
			if (!wrong && !adit_mux_err(w.mux))
				h2w_reset(&w, id, NGHTTP2_CANCEL);
			while ((c = adit_mux_accept(w.mux)))
				adit_conn_close(c, -ECONNRESET);
		}
		assert_int_equal(adit_mux_err(w.mux), -EPROTO);
		assert_true(id > 2000);
		h2w_fini(&w);
	}
}

static void
more_streams_than_allowed_end_it(void **state)
{
	static const struct h2_conf conf = { .streams = 2 };
	struct adit_conn *c[2];
	struct h2_wire w;

	h2w_server(&w, *state, &conf);
	for (uint32_t i = 0; i < 2; i++) {
		h2w_head(&w, H2W_HEAD, 2 * i + 1, POST);
		c[i] = adit_mux_accept(w.mux);
		assert_non_null(c[i]);
	}
	h2w_head(&w, H2W_HEAD, 5, POST);		/* 5.1.2 */
	expect_no_request(&w);
	h2w_expect_goaway(&w, NGHTTP2_PROTOCOL_ERROR);
	for (int i = 0; i < 2; i++)
		adit_conn_close(c[i], 0);
	h2w_fini(&w);
}

/* ---- windows: RFC 9113, 6.9 ------------------------------------------------------------------ */

static void
windows_are_kept(void **state)
{
	static const uint8_t bytes[16384], most[4] = { 0x7f, 0xff, 0xff, 0xff }, zero[4];
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	h2w_head(&w, H2W_HEAD, 1, POST);
	x = adit_exchange_of(adit_mux_accept(w.mux));
	for (int i = 0; i < 5; i++)			/* nobody reads: 64 KiB, and no more */
		h2w_send(&w, NGHTTP2_DATA, 0, 1, bytes, sizeof(bytes));
	h2w_expect_reset(&w, 1, NGHTTP2_FLOW_CONTROL_ERROR);
	adit_conn_close(&x->body, 0);
	/* An increment of nothing, and one beyond what there is. */
	h2w_head(&w, H2W_HEAD, 3, POST);
	x = adit_exchange_of(adit_mux_accept(w.mux));
	h2w_send(&w, NGHTTP2_WINDOW_UPDATE, 0, 3, most, 4);
	h2w_expect_reset(&w, 3, NGHTTP2_FLOW_CONTROL_ERROR);
	adit_conn_close(&x->body, 0);
	expect_served(&w, 5);
	h2w_send(&w, NGHTTP2_WINDOW_UPDATE, 0, 0, most, 4);
	h2w_expect_goaway(&w, NGHTTP2_FLOW_CONTROL_ERROR);
	h2w_fini(&w);

	h2w_server(&w, *state, NULL);
	h2w_send(&w, NGHTTP2_WINDOW_UPDATE, 0, 0, zero, 4);
	h2w_expect_goaway(&w, NGHTTP2_PROTOCOL_ERROR);
	h2w_fini(&w);
}

/* ---- frames out of place: RFC 9113, 5.1, 6 --------------------------------------------------- */

static void
frames_out_of_place_end_it(void **state)
{
	static const struct {
		unsigned	type, flags;
		uint32_t	id;
		size_t		len;
		uint32_t	code;
	} rows[] = {
		{ NGHTTP2_DATA, 0, 0, 1, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_DATA, 0, 1, 1, NGHTTP2_PROTOCOL_ERROR },	/* idle */
		{ NGHTTP2_HEADERS, H2W_HEAD, 2, 0, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_CONTINUATION, H2W_HEAD, 1, 0, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_PUSH_PROMISE, H2W_HEAD, 1, 4, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_RST_STREAM, 0, 1, 4, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_SETTINGS, 0, 0, 5, NGHTTP2_FRAME_SIZE_ERROR },
		{ NGHTTP2_SETTINGS, 0, 1, 0, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_PING, 0, 0, 7, NGHTTP2_FRAME_SIZE_ERROR },
		{ NGHTTP2_PING, 0, 1, 8, NGHTTP2_PROTOCOL_ERROR },
		{ NGHTTP2_WINDOW_UPDATE, 0, 0, 3, NGHTTP2_FRAME_SIZE_ERROR },
		{ NGHTTP2_HEADERS, H2W_HEAD, 1, 3, NGHTTP2_COMPRESSION_ERROR },
	};
	static const uint8_t bytes[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct h2_wire w;

		h2w_server(&w, *state, NULL);
		h2w_send(&w, rows[i].type, rows[i].flags, rows[i].id, bytes, rows[i].len);
		h2w_expect_goaway(&w, rows[i].code);
		assert_int_equal(adit_mux_err(w.mux), -EPROTO);
		expect_no_request(&w);
		h2w_fini(&w);
	}
}

/* ---- who takes his time ---------------------------------------------------------------------- */

static void
a_slow_head_ends_it(void **state)
{
	static const struct h2_conf conf = { .head_timeout = ADIT_MS(20) };
	struct wire_end silent;
	struct adit_mux *m;
	struct h2_wire w;

	h2w_server(&w, *state, &conf);
	h2w_head(&w, 0, 1, GET);
	assert_true(loop_until(*state, has_ended, &w, LIMIT_MS));
	h2w_expect_goaway(&w, NGHTTP2_ENHANCE_YOUR_CALM);
	h2w_fini(&w);

	/* Not a byte. */
	m = h2_server(wire_end_init(&silent, *state), &conf);
	w.mux = m;
	assert_true(loop_until(*state, has_ended, &w, LIMIT_MS));
	assert_int_equal(adit_mux_err(m), -ETIMEDOUT);
	adit_mux_close(m, NULL);
	wire_end_fini(&silent);
}

static void
who_asks_nothing_is_sent_away(void **state)
{
	static const struct h2_conf conf = { .idle_timeout = ADIT_MS(20) };
	struct h2_wire w;

	h2w_server(&w, *state, &conf);
	assert_true(loop_until(*state, has_ended, &w, LIMIT_MS));
	assert_int_equal(adit_mux_err(w.mux), -ETIMEDOUT);
	h2w_expect_goaway(&w, NGHTTP2_NO_ERROR);
	h2w_fini(&w);
}

/* Who asks, and takes no answer: what is left of it, nobody's any more, is no reason to stay. */
static void
who_takes_nothing_is_sent_away(void **state)
{
	static const uint8_t window[] = { 0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, 0, 0 };
	static const struct h2_conf conf = { .idle_timeout = ADIT_MS(20) };
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, &conf);
	h2w_send(&w, NGHTTP2_SETTINGS, 0, 0, window, sizeof(window));
	h2w_head(&w, H2W_HEAD | H2W_END, 1, GET);
	x = adit_exchange_of(adit_mux_accept(w.mux));
	assert_non_null(x);
	assert_int_equal(h2w_send_head(x, "200", 0), 0);
	assert_int_equal(adit_conn_write(&x->body, "body", 4), 4);
	adit_conn_close(&x->body, 0);
	assert_true(loop_until(*state, has_ended, &w, LIMIT_MS));
	assert_int_equal(adit_mux_err(w.mux), -ETIMEDOUT);
	h2w_expect_goaway(&w, NGHTTP2_NO_ERROR);
	h2w_fini(&w);
}

/* Of a request that waits when the session ends nobody has looked at anything: RFC 9113, 8.7. */
static void
who_was_not_heard_may_ask_another(void **state)
{
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	h2w_head(&w, H2W_HEAD | H2W_END, 1, GET);
	adit_mux_close(w.mux, NULL);
	w.mux = NULL;
	h2w_expect_reset(&w, 1, NGHTTP2_REFUSED_STREAM);
	h2w_fini(&w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(malformed_requests_are_reset),
		TEST(wrong_trailers_and_lengths_are_reset),
		TEST(malformed_responses_fail_their_exchange),
		TEST(a_head_that_is_too_large_is_answered),
		TEST(a_response_head_too_large_fails_its_exchange),
		TEST(a_flood_of_continuations_ends_it),
		TEST(a_head_that_is_continued_is_a_head),
		TEST(frames_that_say_nothing_end_it),
		TEST(who_only_resets_is_sent_away),
		TEST(more_streams_than_allowed_end_it),
		TEST(windows_are_kept),
		TEST(frames_out_of_place_end_it),
		TEST(a_slow_head_ends_it),
		TEST(who_asks_nothing_is_sent_away),
		TEST(who_takes_nothing_is_sent_away),
		TEST(who_was_not_heard_may_ask_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
