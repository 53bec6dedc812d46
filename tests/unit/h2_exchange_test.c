/*
 * Exchanges over HTTP/2: what they promise (adit/exchange.h), from either side, with the test as
 * the peer; and a client and a server with each other. What is hostile is h2_hostile_test's.
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
#include "core/mux/h2/h2_int.h"
#include "tests/unit/h2_wire.h"

#define GET ":method: GET\n:scheme: https\n:authority: a.b\n:path: /x\n"
#define POST ":method: POST\n:scheme: https\n:authority: a.b\n:path: /x\n"
#define LIMIT_MS 20000

static void
expect_read(struct adit_exchange *x, const char *text)
{
	char buf[256];

	assert_int_equal(adit_conn_read(&x->body, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static ssize_t
read_answer(struct adit_exchange *x)
{
	char byte;

	return adit_conn_read(&x->body, &byte, 1);
}

static void
say(struct adit_exchange *x, const char *text)
{
	assert_int_equal(adit_conn_write(&x->body, text, strlen(text)), strlen(text));
}

static void
data(struct h2_wire *w, unsigned flags, uint32_t id, const char *text)
{
	h2w_send(w, NGHTTP2_DATA, flags, id, text, strlen(text));
}

static void
expect_data(struct h2_wire *w, unsigned flags, int32_t id, const char *text)
{
	struct h2_frame f = h2w_expect(w, NGHTTP2_DATA, id);

	assert_int_equal(f.len, strlen(text));
	assert_memory_equal(f.payload, text, f.len);
	assert_int_equal(f.flags, flags);
}

static struct adit_exchange *
accepted(struct h2_wire *w)
{
	struct adit_exchange *x = adit_exchange_of(adit_mux_accept(w->mux));

	assert_non_null(x);
	return x;
}

/* A request of the peer's. */
static struct adit_exchange *
asked(struct h2_wire *w, unsigned flags, uint32_t id, const char *fields)
{
	h2w_head(w, flags | H2W_HEAD, id, fields);
	return accepted(w);
}

static struct adit_exchange *
opened(struct h2_wire *w)
{
	struct adit_exchange *x = adit_exchange_of(adit_mux_open(w->mux, ADIT_CONN_EXCHANGE, NULL));

	assert_non_null(x);
	return x;
}

/* A request of ours, without a body. */
static struct adit_exchange *
ask(struct h2_wire *w, int32_t id)
{
	struct adit_exchange *x = opened(w);

	assert_int_equal(h2w_send_head(x, "GET https a.b /x", ADIT_HEAD_END), 0);
	h2w_expect_head(w, H2W_HEAD | H2W_END, id, GET);
	return x;
}

/* ---- the server's ---------------------------------------------------------------------------- */

static void
a_request_is_an_exchange(void **state)
{
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	x = asked(&w, 0, 1, POST "cookie: a=1\ncookie: b=2\nx-y: z\n");
	data(&w, 0, 1, "early");
	assert_int_equal(read_answer(x), -EAGAIN);	/* the head was not taken */
	h2w_expect_fields(x, "POST https a.b /x\ncookie: a=1; b=2\nx-y: z\n");
	expect_read(x, "early");
	assert_int_equal(read_answer(x), -EAGAIN);
	assert_int_equal(adit_conn_write(&x->body, "a", 1), -EAGAIN);
	assert_int_equal(h2w_send_head(x, "103\nLink: </a>", 0), 0);
	h2w_expect_head(&w, H2W_HEAD, 1, ":status: 103\nlink: </a>\n");
	assert_int_equal(h2w_send_head(x, "200\nServer: s\nConnection: close", 0), 0);
	assert_int_equal(h2w_send_head(x, "200", 0), -EINVAL);
	h2w_expect_head(&w, H2W_HEAD, 1, ":status: 200\nserver: s\n");
	say(x, "answer");
	expect_data(&w, 0, 1, "answer");
	h2w_head(&w, H2W_HEAD | H2W_END, 1, "sum: 5\n");
	assert_int_equal(read_answer(x), 0);
	h2w_expect_fields(x, "\nsum: 5\n");
	assert_null(adit_exchange_head(x));
	adit_conn_close(&x->body, 0);
	expect_data(&w, H2W_END, 1, "");
	h2w_expect_none(&w, NGHTTP2_RST_STREAM);
	assert_int_equal(adit_mux_streams(w.mux), 0);
	h2w_fini(&w);
}

static void
trailers_follow_the_body(void **state)
{
	struct adit_fields *sum;
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	x = asked(&w, H2W_END, 1, GET);
	h2w_expect_fields(x, "GET https a.b /x\n");
	assert_int_equal(read_answer(x), 0);
	sum = h2w_fields("trailers\nSum: 6");
	assert_int_equal(adit_exchange_trailers(x, sum), -ENOTSUP);	/* no head yet */
	assert_int_equal(h2w_send_head(x, "200", 0), 0);
	say(x, "answer");
	assert_int_equal(adit_exchange_trailers(x, sum), 0);
	assert_int_equal(adit_conn_shutdown(&x->body), 0);
	h2w_expect_head(&w, H2W_HEAD, 1, ":status: 200\n");
	expect_data(&w, 0, 1, "answer");
	h2w_expect_head(&w, H2W_HEAD | H2W_END, 1, "sum: 6\n");
	adit_conn_close(&x->body, 0);
	/* Behind no body, too. */
	x = asked(&w, H2W_END, 3, GET);
	assert_int_equal(h2w_send_head(x, "200", 0), 0);
	assert_int_equal(adit_exchange_trailers(x, sum), 0);
	adit_conn_close(&x->body, 0);
	h2w_expect_head(&w, H2W_HEAD, 3, ":status: 200\n");
	h2w_expect_head(&w, H2W_HEAD | H2W_END, 3, "sum: 6\n");
	adit_fields_free(sum);
	h2w_fini(&w);
}

struct bodiless {
	const char	*method, *status;
	ssize_t		 write;		/* what one of 3 bytes answers */
};

static void
some_responses_have_no_body(void **state)
{
	static const struct bodiless rows[] = {
		{ "HEAD", "200", 3 }, { "GET", "204", -EMSGSIZE }, { "GET", "304", -EMSGSIZE },
	};
	char fields[128], status[32];
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t id = (uint32_t)(2 * i + 1);
		struct adit_exchange *x;

		snprintf(fields, sizeof(fields),
			 ":method: %s\n:scheme: https\n:authority: a.b\n:path: /\n",
			 rows[i].method);
		x = asked(&w, H2W_END, id, fields);
		assert_int_equal(h2w_send_head(x, rows[i].status, 0), 0);
		snprintf(status, sizeof(status), ":status: %s\n", rows[i].status);
		h2w_expect_head(&w, H2W_HEAD | H2W_END, (int32_t)id, status);
		assert_int_equal(adit_conn_write(&x->body, "abc", 3), rows[i].write);
		adit_conn_close(&x->body, 0);
		h2w_expect_none(&w, NGHTTP2_RST_STREAM);
	}
	h2w_fini(&w);
}

static void
a_length_is_kept(void **state)
{
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	x = asked(&w, H2W_END, 1, GET);
	assert_int_equal(h2w_send_head(x, "200\nContent-Length: 5", 0), 0);
	say(x, "abc");
	assert_int_equal(adit_conn_write(&x->body, "defg", 4), 2);
	assert_int_equal(adit_conn_write(&x->body, "fg", 2), -EMSGSIZE);
	adit_conn_close(&x->body, 0);

	x = asked(&w, H2W_END, 3, GET);
	assert_int_equal(h2w_send_head(x, "200\nContent-Length: 5", 0), 0);
	say(x, "abc");
	loop_turn(*state, 8);
	assert_int_equal(adit_conn_shutdown(&x->body), -EPROTO);
	adit_conn_close(&x->body, 0);			/* two are missing */
	h2w_expect_reset(&w, 3, NGHTTP2_INTERNAL_ERROR);
	h2w_fini(&w);
}

/* How a server's exchange ends, by what was said before. */
static void
a_close_says_how(void **state)
{
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	x = asked(&w, H2W_END, 1, GET);
	adit_conn_close(&x->body, 0);			/* without an answer */
	h2w_expect_reset(&w, 1, NGHTTP2_INTERNAL_ERROR);
	x = asked(&w, H2W_END, 3, GET);
	adit_conn_close(&x->body, ADIT_EDRAINING);
	h2w_expect_reset(&w, 3, NGHTTP2_REFUSED_STREAM);
	x = asked(&w, H2W_END, 5, GET);
	assert_int_equal(h2w_send_head(x, "200", 0), 0);
	adit_conn_set_code(&x->body, NGHTTP2_HTTP_1_1_REQUIRED);
	adit_conn_close(&x->body, -ECONNRESET);
	h2w_expect_reset(&w, 5, NGHTTP2_HTTP_1_1_REQUIRED);
	/* A rest of the request is not waited for: RFC 9113, 8.1. */
	x = asked(&w, 0, 7, POST);
	assert_int_equal(h2w_send_head(x, "413", ADIT_HEAD_END), 0);
	adit_conn_close(&x->body, 0);
	h2w_expect_head(&w, H2W_HEAD | H2W_END, 7, ":status: 413\n");
	h2w_expect_reset(&w, 7, NGHTTP2_NO_ERROR);
	/* The visitor goes: that is no end. */
	x = asked(&w, H2W_END, 9, GET);
	assert_int_equal(h2w_send_head(x, "200", 0), 0);
	h2w_reset(&w, 9, NGHTTP2_CANCEL);
	assert_int_equal(adit_conn_err(&x->body), -ECONNRESET);
	assert_int_equal(adit_conn_code(&x->body), NGHTTP2_CANCEL);
	adit_conn_close(&x->body, -ECONNRESET);
	assert_int_equal(adit_mux_streams(w.mux), 0);
	h2w_fini(&w);
}

static void
a_connect_becomes_a_tunnel(void **state)
{
	static const struct h2_conf extended = { .extended = true };
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	x = asked(&w, 0, 1, ":method: CONNECT\n:authority: a.b:1\n");
	h2w_expect_fields(x, "CONNECT a.b:1\n");
	assert_int_equal(h2w_send_head(x, "200", ADIT_HEAD_END), 0);
	h2w_expect_head(&w, H2W_HEAD, 1, ":status: 200\n");
	data(&w, 0, 1, "ping");
	expect_read(x, "ping");
	say(x, "pong");
	expect_data(&w, 0, 1, "pong");
	data(&w, H2W_END, 1, "");
	assert_int_equal(read_answer(x), 0);
	adit_conn_close(&x->body, -ETIMEDOUT);
	h2w_expect_reset(&w, 1, NGHTTP2_CONNECT_ERROR);
	/* Extended ones only where that was said. */
	h2w_head(&w, H2W_HEAD, 3, ":method: CONNECT\n:scheme: https\n:authority: a.b\n"
				  ":path: /c\n:protocol: websocket\n");
	assert_null(adit_mux_accept(w.mux));
	h2w_expect_reset(&w, 3, NGHTTP2_PROTOCOL_ERROR);
	h2w_fini(&w);

	h2w_server(&w, *state, &extended);
	x = asked(&w, 0, 1, ":method: CONNECT\n:scheme: https\n:authority: a.b\n"
			    ":path: /c\n:protocol: websocket\n");
	h2w_expect_fields(x, "CONNECT websocket https a.b /c\n");
	assert_int_equal(h2w_send_head(x, "200", 0), 0);
	h2w_expect_head(&w, H2W_HEAD, 1, ":status: 200\n");
	say(x, "frame");
	expect_data(&w, 0, 1, "frame");
	adit_conn_close(&x->body, 0);
	h2w_fini(&w);
}

static void
a_drain_serves_what_was_on_its_way(void **state)
{
	struct adit_exchange *x, *late;
	uint8_t ping[8];
	struct h2_wire w;

	h2w_server(&w, *state, NULL);
	x = asked(&w, H2W_END, 1, GET);
	h2w_expect(&w, NGHTTP2_PING, 0);
	adit_mux_drain(w.mux);
	h2w_expect_goaway(&w, NGHTTP2_NO_ERROR);
	memcpy(ping, h2w_expect(&w, NGHTTP2_PING, 0).payload, sizeof(ping));
	late = asked(&w, H2W_END, 3, GET);
	assert_int_equal(h2w_send_head(x, "204", 0), 0);
	assert_int_equal(h2w_send_head(late, "204", 0), 0);
	adit_conn_close(&x->body, 0);
	adit_conn_close(&late->body, 0);
	h2w_expect_head(&w, H2W_HEAD | H2W_END, 1, ":status: 204\n");
	h2w_expect_head(&w, H2W_HEAD | H2W_END, 3, ":status: 204\n");
	assert_false(adit_mux_drained(w.mux));
	h2w_send(&w, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, ping, sizeof(ping));
	assert_true(adit_mux_drained(w.mux));
	h2w_fini(&w);
}

/* ---- the client's ---------------------------------------------------------------------------- */

static void
a_response_comes_in_heads(void **state)
{
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	x = opened(&w);
	h2w_expect_none(&w, NGHTTP2_HEADERS);
	assert_int_equal(h2w_send_head(x, "POST https a.b /x\nHost: a.b\nTE: trailers", 0), 0);
	h2w_expect_head(&w, H2W_HEAD, 1, POST "te: trailers\n");
	say(x, "question");
	expect_data(&w, 0, 1, "question");
	h2w_head(&w, H2W_HEAD, 1, ":status: 100\n");
	h2w_head(&w, H2W_HEAD, 1, ":status: 103\nlink: </a>\n");
	h2w_head(&w, H2W_HEAD, 1, ":status: 200\nserver: s\n");
	data(&w, 0, 1, "body");
	h2w_expect_fields(x, "100\n");
	assert_int_equal(read_answer(x), -EAGAIN);
	h2w_expect_fields(x, "103\nlink: </a>\n");
	h2w_expect_fields(x, "200\nserver: s\n");
	expect_read(x, "body");
	h2w_head(&w, H2W_HEAD | H2W_END, 1, "sum: 4\n");
	assert_int_equal(read_answer(x), 0);
	h2w_expect_fields(x, "\nsum: 4\n");
	assert_int_equal(adit_conn_shutdown(&x->body), 0);
	expect_data(&w, H2W_END, 1, "");
	adit_conn_close(&x->body, 0);
	assert_int_equal(adit_mux_streams(w.mux), 0);
	h2w_fini(&w);
}

/* Interim responses that nobody asks for are bounded; the final one has its place. */
static void
too_many_interim_responses_are_dropped(void **state)
{
	struct adit_exchange *x;
	unsigned heads = 0;
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	x = ask(&w, 1);
	for (int i = 0; i < 20; i++)
		h2w_head(&w, H2W_HEAD, 1, ":status: 103\n");
	h2w_head(&w, H2W_HEAD | H2W_END, 1, ":status: 200\n");
	for (const struct adit_fields *f = adit_exchange_head(x); f; f = adit_exchange_head(x)) {
		heads++;
		if (adit_fields_status(f) == 200)
			break;
	}
	assert_int_equal(heads, 4);
	assert_int_equal(read_answer(x), 0);
	adit_conn_close(&x->body, 0);
	h2w_fini(&w);
}

static void
what_was_not_processed_is_told(void **state)
{
	struct adit_exchange *x[3];
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	for (int i = 0; i < 3; i++)
		x[i] = ask(&w, 2 * i + 1);
	h2w_reset(&w, 1, NGHTTP2_REFUSED_STREAM);
	assert_int_equal(adit_conn_err(&x[0]->body), ADIT_EDRAINING);
	h2w_goaway(&w, 3, NGHTTP2_NO_ERROR);
	assert_true(adit_mux_peer_drains(w.mux));
	assert_int_equal(adit_mux_room(w.mux, ADIT_CONN_EXCHANGE), 0);
	assert_int_equal(adit_conn_err(&x[2]->body), ADIT_EDRAINING);
	assert_int_equal(adit_conn_err(&x[1]->body), 0);
	h2w_head(&w, H2W_HEAD | H2W_END, 3, ":status: 204\n");
	h2w_expect_fields(x[1], "204\n");
	assert_int_equal(read_answer(x[1]), 0);
	for (int i = 0; i < 3; i++)
		adit_conn_close(&x[i]->body, 0);
	h2w_fini(&w);
}

static void
a_client_that_leaves_cancels(void **state)
{
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	x = ask(&w, 1);
	adit_conn_close(&x->body, 0);
	h2w_expect_reset(&w, 1, NGHTTP2_CANCEL);
	/* Before there was anything to cancel. */
	x = opened(&w);
	adit_conn_close(&x->body, 0);
	h2w_expect_none(&w, NGHTTP2_RST_STREAM);
	assert_int_equal(adit_mux_streams(w.mux), 0);
	h2w_fini(&w);
}

static void
told(void *owner, struct adit_conn *c, unsigned events)
{
	unsigned *all = owner;

	*all |= events;
	adit_conn_want(c, 0);
}

static void
an_extended_connect_waits_for_leave(void **state)
{
	static const uint8_t enable[] = { 0, 8, 0, 0, 0, 1 };
	struct adit_fields *f = h2w_fields("CONNECT https a.b /c");
	struct adit_exchange *x;
	unsigned events = 0;
	struct h2_wire w;

	assert_int_equal(adit_fields_set_control(f, ADIT_PROTOCOL, "websocket", 9), 0);
	h2w_client_bare(&w, *state, NULL);
	x = opened(&w);
	assert_int_equal(adit_exchange_send_head(x, f, 0), -EAGAIN);
	adit_conn_own(&x->body, told, &events);
	adit_conn_want(&x->body, ADIT_WRITE);
	loop_turn(*state, 8);
	assert_int_equal(events, 0);
	h2w_send(&w, NGHTTP2_SETTINGS, 0, 0, enable, sizeof(enable));
	assert_int_equal(events, ADIT_WRITE);
	assert_int_equal(adit_exchange_send_head(x, f, ADIT_HEAD_END), 0);
	h2w_expect_head(&w, H2W_HEAD, 1, ":method: CONNECT\n:scheme: https\n:authority: a.b\n"
					 ":path: /c\n:protocol: websocket\n");
	h2w_head(&w, H2W_HEAD, 1, ":status: 200\n");
	h2w_expect_fields(x, "200\n");
	say(x, "frame");
	expect_data(&w, 0, 1, "frame");
	data(&w, 0, 1, "back");
	expect_read(x, "back");
	adit_conn_close(&x->body, 0);
	expect_data(&w, H2W_END, 1, "");
	h2w_fini(&w);

	h2w_client(&w, *state, NULL);
	h2w_send(&w, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	x = opened(&w);
	assert_int_equal(adit_exchange_send_head(x, f, 0), -ENOTSUP);
	adit_conn_close(&x->body, 0);
	adit_fields_free(f);
	h2w_fini(&w);
}

static void
there_is_room_as_the_server_says(void **state)
{
	static const uint8_t one[] = { 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0, 0, 0, 1 };
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	h2w_send(&w, NGHTTP2_SETTINGS, 0, 0, one, sizeof(one));
	assert_int_equal(adit_mux_room(w.mux, ADIT_CONN_EXCHANGE), 1);
	assert_int_equal(adit_mux_room(w.mux, 0), 0);
	x = opened(&w);					/* counts before it is sent */
	assert_null(adit_mux_open(w.mux, ADIT_CONN_EXCHANGE, NULL));
	adit_conn_close(&x->body, 0);
	x = ask(&w, 1);
	assert_int_equal(adit_mux_room(w.mux, ADIT_CONN_EXCHANGE), 0);
	h2w_head(&w, H2W_HEAD | H2W_END, 1, ":status: 204\n");
	assert_int_equal(adit_mux_room(w.mux, ADIT_CONN_EXCHANGE), 1);
	adit_conn_close(&x->body, 0);
	h2w_fini(&w);
}

/* ---- both ------------------------------------------------------------------------------------ */

struct duo {
	struct loop		*loop;
	struct adit_mux		*client, *server;
};

static void
duo_init(struct duo *d, struct loop *l)
{
	struct adit_conn *a, *b;

	d->loop = l;
	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, &a, &b), 0);
	d->client = h2_client(a, NULL);
	d->server = h2_server(b, NULL);
	assert_true(d->client && d->server);
}

static void
duo_fini(struct duo *d)
{
	adit_mux_close(d->client, NULL);
	adit_mux_close(d->server, NULL);
}

static void
duo_open(struct duo *d, struct adit_exchange **a, struct adit_exchange **b)
{
	*a = adit_exchange_of(adit_mux_open(d->client, ADIT_CONN_EXCHANGE, NULL));
	assert_non_null(*a);
	loop_turn(d->loop, 8);
	assert_int_equal(h2w_send_head(*a, "POST https a.b /x", 0), 0);
	loop_turn(d->loop, 8);
	*b = adit_exchange_of(adit_mux_accept(d->server));
	assert_non_null(*b);
	h2w_expect_fields(*b, "POST https a.b /x\n");
	assert_int_equal(h2w_send_head(*b, "200", 0), 0);
	loop_turn(d->loop, 8);
	h2w_expect_fields(*a, "200\n");
}

/* One direction of a body: what is written is known by its place. */
struct flow {
	struct adit_conn	*from, *to;
	size_t			 written, got, size;
	size_t			 read_max;	/* at a time */
	bool			 ended;
};

static void
flow_step(struct flow *f)
{
	uint8_t buf[8192];
	size_t len = f->size - f->written < sizeof(buf) ? f->size - f->written : sizeof(buf);
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((f->written + i) * 31 >> 3);
	n = len ? adit_conn_write(f->from, buf, len) : 0;
	if (n > 0 && (f->written += (size_t)n) == f->size)
		assert_int_equal(adit_conn_shutdown(f->from), 0);
	n = adit_conn_read(f->to, buf, f->read_max);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(buf[i], (uint8_t)((f->got + (size_t)i) * 31 >> 3));
	f->got += n > 0 ? (size_t)n : 0;
	f->ended = n == 0;
}

/* Every fourth of them is read slowly, and holds up nobody. */
static void
many_bodies_go_both_ways(void **state)
{
	enum { N = 50, SIZE = 200000 };
	static struct flow flows[2 * N];
	struct adit_exchange *a[N], *b[N];
	unsigned left = 2 * N;
	struct duo d;

	duo_init(&d, *state);
	memset(flows, 0, sizeof(flows));
	for (int i = 0; i < N; i++) {
		size_t read_max = i % 4 ? 8192 : 2000;

		duo_open(&d, &a[i], &b[i]);
		flows[2 * i] = (struct flow){ .from = &a[i]->body, .to = &b[i]->body,
					      .size = SIZE, .read_max = read_max };
		flows[2 * i + 1] = (struct flow){ .from = &b[i]->body, .to = &a[i]->body,
						  .size = SIZE, .read_max = 8192 };
	}
	for (int turn = 0; left && turn < 20000; turn++) {
		left = 2 * N;
		for (int i = 0; i < 2 * N; i++) {
			if (!flows[i].ended)
				flow_step(&flows[i]);
			left -= flows[i].ended;
		}
		loop_turn(*state, 2);
	}
	for (int i = 0; i < 2 * N; i++)
		assert_int_equal(flows[i].got, SIZE);
	for (int i = 0; i < N; i++) {
		adit_conn_close(&a[i]->body, 0);
		adit_conn_close(&b[i]->body, 0);
	}
	loop_turn(*state, 8);
	assert_int_equal(adit_mux_streams(d.client), 0);
	assert_int_equal(adit_mux_streams(d.server), 0);
	duo_fini(&d);
}

static void
who_does_not_read_stops_himself_alone(void **state)
{
	static const char bytes[4096];
	struct adit_exchange *a[2], *b[2];
	size_t stuck = 0, idle = 0;
	char buf[4096];
	struct duo d;

	duo_init(&d, *state);
	for (int i = 0; i < 2; i++)
		duo_open(&d, &a[i], &b[i]);
	while (idle < 8) {
		ssize_t n = adit_conn_write(&a[0]->body, bytes, sizeof(bytes));

		stuck += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_turn(*state, 4);
	}
	assert_in_range(stuck, H2_WINDOW, H2_WINDOW + H2_OUT_CAP);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(adit_conn_write(&a[1]->body, bytes, 4096), 4096);
		loop_turn(*state, 8);
		assert_int_equal(adit_conn_read(&b[1]->body, buf, 4096), 4096);
	}
	for (int i = 0; i < 2; i++) {
		adit_conn_close(&a[i]->body, -ECONNRESET);
		adit_conn_close(&b[i]->body, -ECONNRESET);
	}
	duo_fini(&d);
}

/* The connection is lost: each exchange says so, after what had come. */
static void
a_lost_connection_fails_all(void **state)
{
	struct adit_exchange *x;
	struct h2_wire w;

	h2w_client(&w, *state, NULL);
	x = ask(&w, 1);
	h2w_head(&w, H2W_HEAD, 1, ":status: 200\n");
	data(&w, 0, 1, "half");
	h2w_expect_fields(x, "200\n");
	wire_end_close(&w.wire, -ECONNRESET);
	loop_turn(*state, 8);
	expect_read(x, "half");
	assert_int_equal(read_answer(x), -ECONNRESET);
	assert_true(adit_mux_err(w.mux) < 0);
	adit_conn_close(&x->body, -ECONNRESET);
	h2w_fini(&w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_an_exchange),
		TEST(trailers_follow_the_body),
		TEST(some_responses_have_no_body),
		TEST(a_length_is_kept),
		TEST(a_close_says_how),
		TEST(a_connect_becomes_a_tunnel),
		TEST(a_drain_serves_what_was_on_its_way),
		TEST(a_response_comes_in_heads),
		TEST(too_many_interim_responses_are_dropped),
		TEST(what_was_not_processed_is_told),
		TEST(a_client_that_leaves_cancels),
		TEST(an_extended_connect_waits_for_leave),
		TEST(there_is_room_as_the_server_says),
		TEST(many_bodies_go_both_ways),
		TEST(who_does_not_read_stops_himself_alone),
		TEST(a_lost_connection_fails_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
