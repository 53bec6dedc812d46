/*
 * One session of HTTP/2, with the test as its peer, frame by frame; and two of them with each
 * other. What streams owe as conns is h2_conformance_test's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/conn.h"
#include "core/mux/h2/h2.h"
#include "core/mux/h2/h2_int.h"
#include "tests/unit/wire_end.h"

#define LIMIT_MS 20000
#define TURNS 8
#define HEAD 9				/* bytes of a frame before its payload */
#define END_STREAM NGHTTP2_FLAG_END_STREAM
#define END_HEADERS NGHTTP2_FLAG_END_HEADERS

/* HPACK, RFC 7541: fields by their numbers, values as they are. */
#define CONNECT_REQUEST "\x02\x07" "CONNECT" "\x01\x03" "a:1"
#define GET_REQUEST(path, len) ("\x82\x86\x04" len path "\x01\x01" "a")

static const struct h2_transport_conf client_conf = {
	.client = true, .authority = "a:1", .open_ms = LIMIT_MS,
};
static const struct h2_transport_conf server_conf = { .streams = 10, .backlog = 2 };

/* ---- one against the wire ---------------------------------------------------------------- */

struct rig {
	struct wire_end		 wire;
	struct adit_mux		*mux;
};

struct frame {
	size_t		 len;
	unsigned	 type, flags;
	int32_t		 id;
	const uint8_t	*payload;	/* until the next */
};

/* Writes a frame and returns its length. */
static size_t
frame_put(uint8_t *to, unsigned type, unsigned flags, uint32_t id, const void *payload, size_t len)
{
	const uint8_t head[HEAD] = {
		0, (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type, (uint8_t)flags, 0, 0,
		(uint8_t)(id >> 8), (uint8_t)id,
	};

	memcpy(to, head, HEAD);
	if (len)
		memcpy(to + HEAD, payload, len);
	return HEAD + len;
}

static void
send_frame(struct rig *r, unsigned type, unsigned flags, uint32_t id, const void *payload,
	   size_t len)
{
	uint8_t bytes[HEAD + 256];

	assert_true(len <= sizeof(bytes) - HEAD);
	wire_end_send(&r->wire, bytes, frame_put(bytes, type, flags, id, payload, len));
	loop_turn(r->wire.loop, TURNS);
}

static void
send_code(struct rig *r, unsigned type, uint32_t id, uint8_t code)
{
	const uint8_t bytes[8] = { 0, 0, 0, type == NGHTTP2_GOAWAY ? 1 : code, 0, 0, 0, code };

	send_frame(r, type, 0, id, bytes, type == NGHTTP2_GOAWAY ? 8 : 4);
}

/* The next frame that the session sent, off what came. */
static bool
next_frame(struct rig *r, struct frame *f)
{
	static uint8_t copy[1 << 17];
	const uint8_t *at = (const uint8_t *)r->wire.got;

	if (r->wire.len < HEAD)
		return false;
	*f = (struct frame){
		.len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2], .type = at[3],
		.flags = at[4], .id = at[5] << 24 | at[6] << 16 | at[7] << 8 | at[8],
		.payload = copy,
	};
	assert_true(f->len <= sizeof(copy));
	if (r->wire.len < HEAD + f->len)
		return false;
	memcpy(copy, at + HEAD, f->len);
	wire_end_drop(&r->wire, HEAD + f->len);
	return true;
}

/* The next one of that type, past all others. */
static struct frame
expect_frame(struct rig *r, unsigned type, int32_t id)
{
	struct frame f;

	do
		assert_true(next_frame(r, &f));
	while (f.type != type || f.id != id);
	return f;
}

static void
expect_none(struct rig *r, unsigned type)
{
	struct frame f;

	while (next_frame(r, &f))
		assert_int_not_equal(f.type, type);
}

static void
rig_init(struct rig *r, struct loop *l, const struct h2_transport_conf *conf)
{
	*r = (struct rig){ .mux = NULL };
	r->mux = h2_transport(wire_end_init(&r->wire, l), conf);
	assert_non_null(r->mux);
	if (!conf->client)
		wire_end_send(&r->wire, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	send_frame(r, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	if (conf->client) {
		assert_memory_equal(r->wire.got, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
		wire_end_drop(&r->wire, NGHTTP2_CLIENT_MAGIC_LEN);
	}
	expect_frame(r, NGHTTP2_SETTINGS, 0);
	assert_true(adit_mux_is_open(r->mux));
}

static void
rig_fini(struct rig *r)
{
	adit_mux_close(r->mux, NULL);
	wire_end_fini(&r->wire);
}

static void
ask(struct rig *r, uint32_t id, const char *fields, size_t len)
{
	send_frame(r, NGHTTP2_HEADERS, END_HEADERS, id, fields, len);
}

/* A stream that the peer, a client, opens. */
static struct adit_conn *
accept_stream(struct rig *r, uint32_t id)
{
	struct adit_conn *c;
	struct frame f;

	ask(r, id, CONNECT_REQUEST, sizeof(CONNECT_REQUEST) - 1);
	c = adit_mux_accept(r->mux);
	assert_non_null(c);
	assert_true(adit_conn_is_open(c));
	f = expect_frame(r, NGHTTP2_HEADERS, (int32_t)id);
	assert_int_equal(f.flags, END_HEADERS);
	assert_int_equal(f.payload[0], 0x88);		/* :status 200 */
	return c;
}

/* A stream of the session's, asked for. */
static struct adit_conn *
open_stream(struct rig *r, uint32_t id)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = adit_mux_open(r->mux, 0, &e);

	assert_non_null(c);
	loop_turn(r->wire.loop, TURNS);
	expect_frame(r, NGHTTP2_HEADERS, (int32_t)id);
	assert_false(adit_conn_is_open(c));
	return c;
}

static void
answer(struct rig *r, uint32_t id)
{
	ask(r, id, "\x88", 1);
}

static void
expect_read(struct adit_conn *c, const char *text)
{
	char buf[64];

	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static ssize_t
read_answer(struct adit_conn *c)
{
	char byte;

	return adit_conn_read(c, &byte, 1);
}

/* ---- requests and answers ------------------------------------------------------------------ */

static void
a_request_is_a_stream(void **state)
{
	struct rig r;
	struct adit_conn *c;
	struct frame f;

	rig_init(&r, *state, &server_conf);
	c = accept_stream(&r, 1);
	send_frame(&r, NGHTTP2_DATA, 0, 1, "ping", 4);
	expect_read(c, "ping");
	assert_int_equal(adit_conn_write(c, "pong", 4), 4);
	assert_int_equal(adit_conn_shutdown(c), 0);
	loop_turn(*state, TURNS);
	f = expect_frame(&r, NGHTTP2_DATA, 1);
	assert_int_equal(f.len, 4);
	assert_memory_equal(f.payload, "pong", 4);
	assert_int_equal(f.flags, END_STREAM);
	send_frame(&r, NGHTTP2_DATA, END_STREAM, 1, "more", 4);
	expect_read(c, "more");
	assert_int_equal(read_answer(c), 0);
	adit_conn_close(c, 0);
	rig_fini(&r);
}

struct request {
	const char	*path;		/* of the server */
	const char	*fields;
	size_t		 len;
	const char	*status;
};

static void
requests_for_something_else_are_refused(void **state)
{
	static const char get_h2[] = GET_REQUEST("/h2", "\x03");
	static const struct request rows[] = {
		{ NULL, get_h2, sizeof(get_h2) - 1, "405" },
		{ "/other", get_h2, sizeof(get_h2) - 1, "400" },
		{ "/h2", CONNECT_REQUEST, sizeof(CONNECT_REQUEST) - 1, "400" },
		{ "/h2", get_h2, sizeof(get_h2) - 1, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct h2_transport_conf conf = server_conf;
		struct adit_conn *c;
		struct frame f;
		struct rig r;

		conf.path = rows[i].path;
		rig_init(&r, *state, &conf);
		ask(&r, 1, rows[i].fields, rows[i].len);
		c = adit_mux_accept(r.mux);
		assert_int_equal(!!c, !rows[i].status);
		f = expect_frame(&r, NGHTTP2_HEADERS, 1);
		if (rows[i].status) {
			assert_int_equal(f.flags, END_HEADERS | END_STREAM);
			assert_int_equal(expect_frame(&r, NGHTTP2_RST_STREAM, 1).payload[3],
					 NGHTTP2_NO_ERROR);
			assert_int_equal(adit_mux_streams(r.mux), 0);
		}
		adit_conn_close(c, 0);
		rig_fini(&r);
	}
}

static void
what_does_not_fit_the_backlog_is_refused(void **state)
{
	struct rig r;

	rig_init(&r, *state, &server_conf);
	for (uint32_t id = 1; id <= 5; id += 2)
		ask(&r, id, CONNECT_REQUEST, sizeof(CONNECT_REQUEST) - 1);
	assert_int_equal(expect_frame(&r, NGHTTP2_RST_STREAM, 5).payload[3],
			 NGHTTP2_REFUSED_STREAM);
	assert_int_equal(adit_mux_streams(r.mux), 2);
	/* One that is given up before anybody took it is nobody's. */
	send_code(&r, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
	assert_int_equal(adit_mux_streams(r.mux), 1);
	adit_conn_close(adit_mux_accept(r.mux), 0);
	assert_null(adit_mux_accept(r.mux));
	rig_fini(&r);
}

static void
a_stream_is_open_when_it_was_answered(void **state)
{
	struct rig r;
	struct adit_conn *c;

	rig_init(&r, *state, &client_conf);
	c = open_stream(&r, 1);
	ask(&r, 1, "\x08\x03" "103", 5);		/* an interim response */
	assert_false(adit_conn_is_open(c));
	answer(&r, 1);
	assert_true(adit_conn_is_open(c));
	send_frame(&r, NGHTTP2_DATA, 0, 1, "hello", 5);
	expect_read(c, "hello");
	/* Trailers are an end too. */
	send_frame(&r, NGHTTP2_HEADERS, END_HEADERS | END_STREAM, 1, "\x00\x01" "a\x01" "b", 5);
	assert_int_equal(read_answer(c), 0);
	adit_conn_close(c, 0);
	rig_fini(&r);
}

static void
another_answer_is_a_refusal(void **state)
{
	struct rig r;
	struct adit_conn *c;

	rig_init(&r, *state, &client_conf);
	c = open_stream(&r, 1);
	send_frame(&r, NGHTTP2_HEADERS, END_HEADERS | END_STREAM, 1, "\x08\x03" "405", 5);
	assert_int_equal(adit_conn_err(c), ADIT_EREFUSED);
	assert_string_equal(conn_failure(c), "the server answered 405");
	adit_conn_close(c, ADIT_EREFUSED);
	c = open_stream(&r, 3);
	send_code(&r, NGHTTP2_RST_STREAM, 3, NGHTTP2_REFUSED_STREAM);
	assert_int_equal(adit_conn_err(c), ADIT_EDRAINING);
	adit_conn_close(c, ADIT_EDRAINING);
	/* Nobody answers. */
	c = open_stream(&r, 5);
	adit_conn_close(c, 0);
	loop_turn(*state, TURNS);
	assert_int_equal(expect_frame(&r, NGHTTP2_RST_STREAM, 5).payload[3], NGHTTP2_CANCEL);
	rig_fini(&r);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void
a_reset_is_a_failure_unless_all_was_said(void **state)
{
	struct rig r;
	struct adit_conn *c;

	rig_init(&r, *state, &server_conf);
	c = accept_stream(&r, 1);
	send_frame(&r, NGHTTP2_DATA, 0, 1, "half", 4);
	send_code(&r, NGHTTP2_RST_STREAM, 1, NGHTTP2_CONNECT_ERROR);
	expect_read(c, "half");
	assert_int_equal(read_answer(c), -ECONNRESET);
	assert_int_equal(adit_conn_code(c), NGHTTP2_CONNECT_ERROR);
	adit_conn_close(c, -ECONNRESET);

	/* A gost that closes: no more comes, and nobody reads there. */
	c = accept_stream(&r, 3);
	send_frame(&r, NGHTTP2_DATA, END_STREAM, 3, "all", 3);
	send_code(&r, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
	expect_read(c, "all");
	assert_int_equal(read_answer(c), 0);
	assert_int_equal(adit_conn_write(c, "x", 1), -EPIPE);
	adit_conn_close(c, 0);
	assert_int_equal(adit_mux_streams(r.mux), 0);
	rig_fini(&r);
}

static void
a_close_says_how(void **state)
{
	struct rig r;
	struct adit_conn *c;
	struct frame f;

	rig_init(&r, *state, &server_conf);
	c = accept_stream(&r, 1);
	assert_int_equal(adit_conn_write(c, "last", 4), 4);
	adit_conn_close(c, 0);
	loop_turn(*state, TURNS);
	f = expect_frame(&r, NGHTTP2_DATA, 1);
	assert_int_equal(f.len, 4);
	if (!(f.flags & END_STREAM))
		assert_int_equal(expect_frame(&r, NGHTTP2_DATA, 1).flags, END_STREAM);
	assert_int_equal(expect_frame(&r, NGHTTP2_RST_STREAM, 1).payload[3], NGHTTP2_NO_ERROR);

	c = accept_stream(&r, 3);
	adit_conn_close(c, -ECONNREFUSED);
	loop_turn(*state, TURNS);
	assert_int_equal(expect_frame(&r, NGHTTP2_RST_STREAM, 3).payload[3],
			 NGHTTP2_CONNECT_ERROR);

	/* The peer has ended: there is nothing to reset. */
	c = accept_stream(&r, 5);
	send_frame(&r, NGHTTP2_DATA, END_STREAM, 5, NULL, 0);
	adit_conn_close(c, 0);
	loop_turn(*state, TURNS);
	assert_int_equal(expect_frame(&r, NGHTTP2_DATA, 5).flags, END_STREAM);
	expect_none(&r, NGHTTP2_RST_STREAM);
	rig_fini(&r);
}

static void
a_peer_that_breaks_the_protocol_is_told(void **state)
{
	struct adit_conn *c;
	struct frame f;
	struct rig r;

	rig_init(&r, *state, &server_conf);
	c = accept_stream(&r, 1);
	send_frame(&r, NGHTTP2_DATA, 0, 0, "x", 1);	/* on no stream */
	assert_int_equal(adit_mux_err(r.mux), -EPROTO);
	assert_non_null(strstr(adit_mux_reason(r.mux)->text, "PROTOCOL_ERROR"));
	assert_true(adit_conn_err(c) < 0);
	f = expect_frame(&r, NGHTTP2_GOAWAY, 0);
	assert_int_equal(f.payload[7], NGHTTP2_PROTOCOL_ERROR);
	adit_conn_close(c, -EPROTO);
	rig_fini(&r);
}

/* CVE-2023-44487: streams that are reset are not among those that are counted at a time. */
static void
who_only_resets_is_sent_away(void **state)
{
	uint32_t id = 1;
	struct rig r;

	rig_init(&r, *state, &server_conf);
	for (; id < 4000 && !adit_mux_err(r.mux); id += 2) {
		static const uint8_t cancel[4] = { 0, 0, 0, NGHTTP2_CANCEL };
		uint8_t bytes[2 * HEAD + sizeof(CONNECT_REQUEST) + sizeof(cancel)];
		struct adit_conn *c;
		size_t len;

		len = frame_put(bytes, NGHTTP2_HEADERS, END_HEADERS, id, CONNECT_REQUEST,
				sizeof(CONNECT_REQUEST) - 1);
		len += frame_put(bytes + len, NGHTTP2_RST_STREAM, 0, id, cancel, sizeof(cancel));
		wire_end_send(&r.wire, bytes, len);
		loop_turn(*state, TURNS);
		while ((c = adit_mux_accept(r.mux)))
			adit_conn_close(c, 0);
	}
	assert_int_equal(adit_mux_err(r.mux), -EPROTO);
	assert_true(id > 2000);
	rig_fini(&r);
}

/* Visitors who go are none who attack: their streams were there, and were counted. */
static void
who_resets_what_was_answered_stays(void **state)
{
	struct rig r;

	rig_init(&r, *state, &server_conf);
	for (uint32_t id = 1; id < 4000; id += 2) {
		struct adit_conn *c = accept_stream(&r, id);

		send_code(&r, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
		adit_conn_close(c, 0);
		assert_int_equal(adit_mux_err(r.mux), 0);
	}
	rig_fini(&r);
}

static void
a_head_has_a_limit(void **state)
{
	/* A field of 161 bytes in the dynamic table, which one byte names from then on. */
	static const char request[] = CONNECT_REQUEST;
	char fields[sizeof(request) + 200];
	struct adit_conn *c;
	struct rig r;

	rig_init(&r, *state, &server_conf);
	memcpy(fields, request, sizeof(request) - 1);
	memcpy(fields + sizeof(request) - 1, "\x40\x01" "a\x7f\x01", 5);
	memset(fields + sizeof(request) + 4, 'v', 128);
	memset(fields + sizeof(request) + 132, 0xbe, 60);
	ask(&r, 1, fields, sizeof(request) + 132 + 60);
	c = adit_mux_accept(r.mux);
	assert_non_null(c);
	adit_conn_close(c, 0);
	memset(fields + sizeof(request) - 1, 0xbe, 120);
	ask(&r, 3, fields, sizeof(request) - 1 + 120);
	assert_null(adit_mux_accept(r.mux));
	expect_frame(&r, NGHTTP2_RST_STREAM, 3);
	assert_int_equal(adit_mux_err(r.mux), 0);
	rig_fini(&r);
}

static void
what_is_not_http2_ends_at_once(void **state)
{
	struct rig r = { .mux = NULL };

	r.mux = h2_transport(wire_end_init(&r.wire, *state), &server_conf);
	wire_end_send(&r.wire, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	loop_turn(*state, TURNS);
	assert_int_equal(adit_mux_err(r.mux), -EPROTO);
	assert_string_equal(adit_mux_reason(r.mux)->text, "what came is not HTTP/2");
	rig_fini(&r);
}

/* ---- room, and going away ----------------------------------------------------------------- */

static void
there_is_room_as_the_server_says(void **state)
{
	static const uint8_t one[] = { 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0, 0, 0, 1 };
	struct rig r;
	struct adit_conn *c;

	rig_init(&r, *state, &client_conf);
	send_frame(&r, NGHTTP2_SETTINGS, 0, 0, one, sizeof(one));
	assert_int_equal(adit_mux_room(r.mux, 0), 1);
	c = open_stream(&r, 1);
	assert_int_equal(adit_mux_room(r.mux, 0), 0);
	assert_null(adit_mux_open(r.mux, 0, NULL));
	answer(&r, 1);
	send_code(&r, NGHTTP2_RST_STREAM, 1, NGHTTP2_CONNECT_ERROR);
	assert_int_equal(adit_mux_room(r.mux, 0), 1);
	adit_conn_close(c, -ECONNRESET);
	rig_fini(&r);
}

static void
after_a_goaway_what_is_open_goes_on(void **state)
{
	struct rig r;
	struct adit_conn *c;

	rig_init(&r, *state, &client_conf);
	c = open_stream(&r, 1);
	answer(&r, 1);
	send_code(&r, NGHTTP2_GOAWAY, 0, NGHTTP2_NO_ERROR);
	assert_int_equal(adit_mux_err(r.mux), 0);
	assert_int_equal(adit_mux_room(r.mux, 0), 0);
	send_frame(&r, NGHTTP2_DATA, END_STREAM, 1, "rest", 4);
	assert_int_equal(adit_conn_shutdown(c), 0);
	loop_turn(*state, TURNS);
	/* The last stream has ended: so has the session, and the stream as it should. */
	assert_int_equal(adit_mux_err(r.mux), -ESHUTDOWN);
	expect_read(c, "rest");
	assert_int_equal(read_answer(c), 0);
	adit_conn_close(c, 0);
	rig_fini(&r);
}

static void
a_drain_is_told_and_heard(void **state)
{
	struct rig r;
	struct adit_conn *c, *late;
	uint8_t ping[8];

	rig_init(&r, *state, &server_conf);
	c = accept_stream(&r, 1);
	expect_none(&r, NGHTTP2_GOAWAY);
	adit_mux_drain(r.mux);
	loop_turn(*state, TURNS);
	assert_int_equal(expect_frame(&r, NGHTTP2_GOAWAY, 0).payload[7], NGHTTP2_NO_ERROR);
	memcpy(ping, expect_frame(&r, NGHTTP2_PING, 0).payload, sizeof(ping));	/* behind it */
	late = accept_stream(&r, 3);			/* was on its way */
	adit_conn_close(c, 0);
	adit_conn_close(late, 0);
	loop_turn(*state, TURNS);
	assert_false(adit_mux_drained(r.mux));
	send_frame(&r, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, ping, sizeof(ping));
	assert_true(adit_mux_drained(r.mux));
	rig_fini(&r);
}

/* ---- signs of life ------------------------------------------------------------------------- */

static bool
is_silent(void *arg)
{
	return adit_mux_silence(arg) >= ADIT_MS(2);
}

static void
a_probe_is_a_ping(void **state)
{
	struct rig r;
	struct frame f;

	rig_init(&r, *state, &client_conf);
	f = expect_frame(&r, NGHTTP2_PING, 0);		/* to know how long the way is */
	send_frame(&r, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, f.payload, 8);
	assert_int_equal(adit_mux_silence(r.mux), 0);
	adit_mux_probe(r.mux);
	adit_mux_probe(r.mux);
	loop_turn(*state, TURNS);
	f = expect_frame(&r, NGHTTP2_PING, 0);
	expect_none(&r, NGHTTP2_PING);			/* one that was not answered is enough */
	while (!is_silent(r.mux))
		loop_turn(*state, 1);
	send_frame(&r, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, f.payload, 8);
	assert_int_equal(adit_mux_silence(r.mux), 0);
	rig_fini(&r);
}

/* ---- two of them --------------------------------------------------------------------------- */

struct duo {
	struct adit_mux		*client, *server;
};

static struct duo
duo_new(struct loop *l)
{
	struct adit_conn *a, *b;
	struct duo d;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, &a, &b), 0);
	d.client = h2_transport(a, &client_conf);
	d.server = h2_transport(b, &server_conf);
	assert_true(d.client && d.server);
	return d;
}

static void
duo_open(struct duo *d, struct loop *l, struct adit_conn **a, struct adit_conn **b)
{
	*a = adit_mux_open(d->client, 0, NULL);
	assert_non_null(*a);
	loop_turn(l, 20);
	*b = adit_mux_accept(d->server);
	assert_non_null(*b);
	assert_true(adit_conn_is_open(*a));
}

/* Writes until no more is taken. */
static size_t
fill(struct loop *l, struct adit_conn *c)
{
	static const char bytes[4096];
	size_t done = 0;

	for (int idle = 0; idle < 8;) {
		ssize_t n = adit_conn_write(c, bytes, sizeof(bytes));

		assert_true(n > 0 || n == -EAGAIN);
		done += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_turn(l, 4);
	}
	return done;
}

static size_t
drink(struct loop *l, struct adit_conn *c)
{
	char buf[16384];
	size_t done = 0;
	ssize_t n;

	for (int idle = 0; idle < 8;) {
		n = adit_conn_read(c, buf, sizeof(buf));
		done += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_turn(l, 4);
	}
	return done;
}

/* More of them than a session's window would carry, were that returned as they are read. */
static void
who_does_not_read_stops_himself_alone(void **state)
{
	struct duo d = duo_new(*state);
	struct adit_conn *a[3], *b[3];
	size_t stuck;

	for (int i = 0; i < 3; i++)
		duo_open(&d, *state, &a[i], &b[i]);
	stuck = fill(*state, a[0]);
	assert_in_range(stuck, H2_WINDOW, H2_WINDOW + H2_OUT_CAP);
	assert_in_range(fill(*state, b[1]), H2_WINDOW, H2_WINDOW + H2_OUT_CAP);
	for (int round = 0; round < 20; round++) {
		size_t sent = fill(*state, a[2]);

		assert_true(sent > 0);
		assert_int_equal(drink(*state, b[2]), sent);
	}
	assert_int_equal(drink(*state, b[0]), stuck);
	for (int i = 0; i < 3; i++) {
		adit_conn_close(a[i], 0);
		adit_conn_close(b[i], 0);
	}
	adit_mux_close(d.client, NULL);
	adit_mux_close(d.server, NULL);
}

/* Read at once, and on a way with a length: then the window is what limits. */
static void
a_window_grows_where_it_limits(void **state)
{
	static const char bytes[16384];
	struct duo d = duo_new(*state);
	struct adit_conn *a, *b;
	struct h2_stream *s;
	char buf[16384];

	duo_open(&d, *state, &a, &b);
	s = adit_container_of(b, struct h2_stream, base);
	s->session->rtt = ADIT_SECONDS(5);
	for (int i = 0; i < 100 && s->pace.size == H2_WINDOW; i++) {
		adit_conn_write(a, bytes, sizeof(bytes));
		loop_turn(*state, 4);
		while (adit_conn_read(b, buf, sizeof(buf)) > 0)
			;
	}
	assert_true(s->pace.size > H2_WINDOW);
	loop_turn(*state, 8);
	/* The writer has it too. */
	assert_true(fill(*state, a) > s->pace.size - H2_WINDOW / 2);
	adit_conn_close(a, -ECONNRESET);
	adit_conn_close(b, -ECONNRESET);
	adit_mux_close(d.client, NULL);
	adit_mux_close(d.server, NULL);
}

/* What was taken before is delivered, and the other side hears an end. */
static void
a_session_is_closed_behind_its_streams(void **state)
{
	struct duo d = duo_new(*state);
	struct adit_conn *a, *b;
	size_t sent;

	duo_open(&d, *state, &a, &b);
	sent = fill(*state, a);
	adit_conn_close(a, 0);
	adit_mux_close(d.client, NULL);
	assert_int_equal(drink(*state, b), sent);
	assert_int_equal(read_answer(b), 0);
	assert_int_equal(adit_mux_err(d.server), -ESHUTDOWN);
	adit_conn_close(b, 0);
	adit_mux_close(d.server, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_a_stream),
		TEST(requests_for_something_else_are_refused),
		TEST(what_does_not_fit_the_backlog_is_refused),
		TEST(a_stream_is_open_when_it_was_answered),
		TEST(another_answer_is_a_refusal),
		TEST(a_reset_is_a_failure_unless_all_was_said),
		TEST(a_close_says_how),
		TEST(a_peer_that_breaks_the_protocol_is_told),
		TEST(who_only_resets_is_sent_away),
		TEST(who_resets_what_was_answered_stays),
		TEST(a_head_has_a_limit),
		TEST(what_is_not_http2_ends_at_once),
		TEST(there_is_room_as_the_server_says),
		TEST(after_a_goaway_what_is_open_goes_on),
		TEST(a_drain_is_told_and_heard),
		TEST(a_probe_is_a_ping),
		TEST(who_does_not_read_stops_himself_alone),
		TEST(a_window_grows_where_it_limits),
		TEST(a_session_is_closed_behind_its_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
