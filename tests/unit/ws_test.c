/*
 * WebSockets with the test as the other end, byte by byte: the handshake in both roles, what gosts
 * said to each other, frames of every kind, and how it ends.
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

#include <gnutls/gnutls.h>

#include "core/conn/conn.h"
#include "core/conn/ws.h"
#include "core/wire/ws.h"
#include "tests/unit/vector.h"
#include "tests/unit/wire_end.h"

#define LIMIT 20000
#define TURNS 8
#define REQUEST(more) \
	"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" more "\r\n"
#define ANSWER \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

/* One WebSocket, whose other end is the wire. */
struct side {
	struct wire_end		 wire;
	struct ws_policy	*policy;
	struct adit_conn	*c;
};

/* ---- random bytes that are known ------------------------------------------------ */

static struct {
	uint8_t	nonce[16];
	uint8_t	keys[32][WS_KEY_LEN];	/* of data frames, in their order */
} known;

static void
known_random(void *buf, size_t len)
{
	if (len == sizeof(known.nonce))
		memcpy(buf, known.nonce, len);
	else
		memcpy(buf, known.keys, len);
}

/* The key of RFC 6455, 1.3. */
static void
known_reset(void)
{
	memset(&known, 0, sizeof(known));
	memcpy(known.nonce, "the sample nonce", sizeof(known.nonce));
	memcpy(known.keys[0], "\x37\xfa\x21\x3d", WS_KEY_LEN);
}

/* ---- sides ---------------------------------------------------------------------- */

/* Everything is read by hand. */
static void
side_event(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

static void
side_init(struct side *s, struct loop *l, bool client, struct ws_conf conf)
{
	struct adit_conn *lower = wire_end_init(&s->wire, l);

	conf.random = known_random;
	s->policy = ws_policy_new(&conf, NULL);
	assert_non_null(s->policy);
	s->c = client ? ws_client(lower, s->policy, "node.example:8443", NULL)
		      : ws_server(lower, s->policy, NULL);
	assert_non_null(s->c);
	adit_conn_own(s->c, side_event, NULL);
	adit_conn_want(s->c, ADIT_OPEN);
	loop_turn(l, TURNS);
}

static void
side_fini(struct side *s)
{
	adit_conn_close(s->c, 0);
	wire_end_fini(&s->wire);
	ws_policy_put(s->policy);
}

static void
say(struct side *s, const void *bytes, size_t len)
{
	wire_end_send(&s->wire, bytes, len);
	loop_turn(s->wire.loop, TURNS);
}

/* A server that is open, with nothing left to read at the wire. */
static void
open_server(struct side *s, struct loop *l)
{
	known_reset();
	side_init(s, l, false, (struct ws_conf){ .path = "/ws" });
	say(s, REQUEST(""), strlen(REQUEST("")));
	assert_true(adit_conn_is_open(s->c));
	wire_end_drop(&s->wire, s->wire.len);
}

static void
open_client(struct side *s, struct loop *l, struct ws_conf conf)
{
	known_reset();
	side_init(s, l, true, conf);
	say(s, ANSWER, strlen(ANSWER));
	assert_true(adit_conn_is_open(s->c));
	wire_end_drop(&s->wire, s->wire.len);
}

/* A masked frame from a client. */
static void
say_frame(struct side *s, struct ws_frame f, const void *payload)
{
	uint8_t bytes[WS_HEAD_MAX + 4096];
	size_t head;

	f.masked = true;
	memcpy(f.key, "\x01\x80\x7f\x33", WS_KEY_LEN);
	head = ws_encode(&f, bytes);
	ws_mask(bytes + head, payload, (size_t)f.len, f.key, 0);
	say(s, bytes, head + (size_t)f.len);
}

static void
expect_read(struct side *s, const void *want, size_t len)
{
	char got[4096];
	ssize_t n = adit_conn_read(s->c, got, sizeof(got));

	assert_int_equal(n, len);
	if (len)
		assert_memory_equal(got, want, len);
}

static void
expect_wire(struct side *s, const void *want, size_t len)
{
	loop_turn(s->wire.loop, TURNS);
	assert_int_equal(s->wire.len, len);
	assert_memory_equal(s->wire.got, want, len);
	wire_end_drop(&s->wire, len);
}

/* ---- captured between gosts ----------------------------------------------------- */

/* A direction of a capture: an HTTP head, then frames. */
struct capture {
	uint8_t	*all;
	size_t	 len, at;
};

static struct capture
capture_of(const struct vector *v, char dir)
{
	struct capture c = { .at = 0 };
	const char *end;

	c.all = vector_stream(v, 0, v->n_section - 1, dir, &c.len);
	end = memmem(c.all, c.len, "\r\n\r\n", 4);
	assert_non_null(end);
	c.at = (size_t)(end - (char *)c.all) + 4;
	return c;
}

/* The next frame; false: there is none. Its payload is unmasked where it stands. */
static bool
capture_next(struct capture *c, struct ws_frame *f, uint8_t **payload)
{
	ssize_t head = ws_decode(c->all + c->at, c->len - c->at, f, NULL);

	if (head <= 0)
		return false;
	*payload = c->all + c->at + head;
	c->at += (size_t)head + (size_t)f->len;
	assert_true(c->at <= c->len);
	if (f->masked)
		ws_mask(*payload, *payload, (size_t)f->len, f->key, 0);
	return true;
}

/* What a captured client drew by chance. */
static void
known_from(const struct vector *v)
{
	struct capture c = capture_of(v, 'C');
	const char *key = memmem(c.all, c.len, "Key: ", 5);
	gnutls_datum_t raw, text = { (void *)(uintptr_t)(key + 5), 24 };
	struct ws_frame f;
	uint8_t *payload;
	size_t n = 0;

	assert_int_equal(gnutls_base64_decode2(&text, &raw), 0);
	memcpy(known.nonce, raw.data, sizeof(known.nonce));
	gnutls_free(raw.data);
	while (capture_next(&c, &f, &payload))
		if (f.opcode == WS_BINARY)
			memcpy(known.keys[n++], f.key, WS_KEY_LEN);
	free(c.all);
}

static void
replay_client(struct loop *l, const char *name, const char *host)
{
	struct vector *v = vector_load(name);
	struct capture c = capture_of(v, 'C'), s = capture_of(v, 'S');
	char *agent[] = { (char[]){ "User-Agent" }, (char[]){ "Go-http-client/1.1" } };
	struct side side;
	struct ws_frame f;
	uint8_t *payload;
	char got[512];
	size_t at = 0;
	ssize_t n;

	known_from(v);
	side_init(&side, l, true, (struct ws_conf){
		.path = "/ws", .host = host, .header = { 1, &agent[0], &agent[1] },
	});
	expect_wire(&side, c.all, c.at);
	say(&side, s.all, s.len);
	assert_true(adit_conn_is_open(side.c));
	n = adit_conn_read(side.c, got, sizeof(got));
	while (capture_next(&s, &f, &payload)) {
		size_t len = f.opcode == WS_BINARY ? (size_t)f.len : 0;

		assert_memory_equal(got + at, payload, len);
		at += len;
	}
	assert_int_equal(n, at);
	while (capture_next(&c, &f, &payload)) {
		uint8_t want[WS_HEAD_MAX + 512];
		size_t head = ws_encode(&f, want);

		if (f.opcode != WS_BINARY)
			continue;
		ws_mask(want + head, payload, (size_t)f.len, f.key, 0);
		assert_int_equal(adit_conn_write(side.c, payload, (size_t)f.len), f.len);
		expect_wire(&side, want, head + (size_t)f.len);
	}
	side_fini(&side);
	free(c.all);
	free(s.all);
	vector_free(v);
}

static void
replay_server(struct loop *l, const char *name)
{
	struct vector *v = vector_load(name);
	struct capture c = capture_of(v, 'C'), s = capture_of(v, 'S');
	uint8_t *raw;
	struct side side;
	struct ws_frame f;
	uint8_t *payload;
	char got[512];
	size_t len, from = c.at;

	raw = vector_stream(v, 0, v->n_section - 1, 'C', &len);
	side_init(&side, l, false, (struct ws_conf){ .path = "/ws" });
	say(&side, raw, from);
	expect_wire(&side, s.all, s.at);
	for (; capture_next(&c, &f, &payload); from = c.at) {
		say(&side, raw + from, c.at - from);
		if (f.opcode != WS_BINARY) {
			assert_int_equal(adit_conn_read(side.c, got, sizeof(got)), -EAGAIN);
			expect_wire(&side, "\x8a\x00", 2);
			continue;
		}
		assert_int_equal(adit_conn_read(side.c, got, sizeof(got)), f.len);
		assert_memory_equal(got, payload, (size_t)f.len);
	}
	for (from = s.at; capture_next(&s, &f, &payload); from = s.at) {
		if (f.opcode != WS_BINARY)
			continue;
		assert_int_equal(adit_conn_write(side.c, payload, (size_t)f.len), f.len);
		expect_wire(&side, s.all + from, s.at - from);
	}
	side_fini(&side);
	free(raw);
	free(c.all);
	free(s.all);
	vector_free(v);
}

static void
a_gost_client_is_served_as_by_a_gost(void **state)
{
	replay_server(*state, "gost-ws-tunnel.txt");
	replay_server(*state, "gost-mws-relay.txt");
}

static void
a_gost_server_hears_a_gost_client(void **state)
{
	replay_client(*state, "gost-ws-tunnel.txt", "tunnel.example");
	replay_client(*state, "gost-mws-relay.txt", "127.0.0.1:8544");
}

/* ---- the handshake -------------------------------------------------------------- */

static void
the_example_of_the_rfc(void **state)
{
	struct side s;

	known_reset();
	side_init(&s, *state, false, (struct ws_conf){ .path = "/ws" });
	say(&s, REQUEST(""), strlen(REQUEST("")));
	expect_wire(&s, ANSWER, strlen(ANSWER));
	assert_true(adit_conn_is_open(s.c));
	side_fini(&s);
}

struct refusal {
	const char *sent, *answer, *why;
};

static const struct refusal bad_requests[] = {
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", "404 page not found" },
	{ "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", NULL },
	{ "GET /ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	  "HTTP/1.1 400 ", NULL },
	{ "POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ", NULL },
	{ "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 400 ", NULL },
	{ "GET /ws HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 ", NULL },
	{ REQUEST("Sec-WebSocket-Version: 8\r\n"), "HTTP/1.1 426 Upgrade Required\r\n", NULL },
	{ REQUEST("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "HTTP/1.1 400 ",
	  "more than one Sec-WebSocket-Key" },
	{ ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	   "Sec-WebSocket-Version: 13\r\n\r\n"), "HTTP/1.1 400 ", "Sec-WebSocket-Key is missing" },
	{ REQUEST("Content-Length: 3\r\n"), "HTTP/1.1 400 ",
	  "the request for a WebSocket has a body" },
	{ REQUEST("") "x", "HTTP/1.1 400 ",
	  "bytes came before the answer to the request for a WebSocket" },
	{ "\x16\x03\x01\x02", "HTTP/1.1 400 ", NULL },
};

static void
requests_that_are_not_right_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(bad_requests) / sizeof(*bad_requests); i++) {
		const struct refusal *r = &bad_requests[i];
		struct side s;

		known_reset();
		side_init(&s, *state, false, (struct ws_conf){ .path = "/ws" });
		say(&s, r->sent, strlen(r->sent));
		assert_int_equal(adit_conn_err(s.c), -EPROTO);
		assert_non_null(conn_failure(s.c));
		if (r->why)
			assert_string_equal(conn_failure(s.c), r->why);
		assert_true(s.wire.len > strlen(r->answer));
		assert_memory_equal(s.wire.got, r->answer, strlen(r->answer));
		adit_conn_close(s.c, adit_conn_err(s.c));
		s.c = NULL;
		loop_turn(s.wire.loop, TURNS);
		assert_true(s.wire.ended && !s.wire.err);	/* no reset */
		side_fini(&s);
	}
}

static const char *const bad_answers[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
	("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
	("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	 "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
	("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	 "Sec-WebSocket-Protocol: chat\r\n\r\n"),
	"SSH-2.0-OpenSSH_9.2\r\n",
};

static void
answers_that_are_not_right_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(bad_answers) / sizeof(*bad_answers); i++) {
		struct side s;
		int err;

		known_reset();
		side_init(&s, *state, true, (struct ws_conf){ .path = "/ws" });
		say(&s, bad_answers[i], strlen(bad_answers[i]));
		err = adit_conn_err(s.c);
		assert_int_equal(err, i < 2 ? ADIT_EREFUSED : -EPROTO);
		assert_non_null(conn_failure(s.c));
		side_fini(&s);
	}
}

#define HINTS "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

/* Also cut anywhere, and with the first frame behind the answer; not for ever. */
static void
interim_responses_are_skipped(void **state)
{
	static const char sent[] = HINTS "HTTP/1.1 100 Continue\r\n\r\n" ANSWER "\x82\x02hi";
	size_t len = sizeof(sent) - 1;
	char buf[8];
	struct side s;

	for (size_t cut = 1; cut < len - 4; cut += 3) {
		known_reset();
		side_init(&s, *state, true, (struct ws_conf){ .path = "/ws" });
		say(&s, sent, cut);
		assert_false(adit_conn_is_open(s.c));
		say(&s, sent + cut, len - cut);
		assert_true(adit_conn_is_open(s.c));
		assert_int_equal(adit_conn_read(s.c, buf, sizeof(buf)), 2);
		assert_memory_equal(buf, "hi", 2);
		side_fini(&s);
	}
	known_reset();
	side_init(&s, *state, true, (struct ws_conf){ .path = "/ws" });
	for (int i = 0; i < 100 && !adit_conn_err(s.c); i++)
		say(&s, HINTS, strlen(HINTS));
	assert_int_equal(adit_conn_err(s.c), -EPROTO);
	assert_string_equal(conn_failure(s.c), "too many interim responses instead of an answer");
	side_fini(&s);
}

static void
a_head_without_an_end_is_refused(void **state)
{
	struct side s;
	char line[1000];

	known_reset();
	side_init(&s, *state, false, (struct ws_conf){ .path = "/ws" });
	say(&s, "GET /ws HTTP/1.1\r\n", 18);
	memset(line, 'x', sizeof(line));
	memcpy(line, "X: ", 3);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	for (int i = 0; i < 20 && !adit_conn_err(s.c); i++)
		say(&s, line, sizeof(line));
	assert_int_equal(adit_conn_err(s.c), -EPROTO);
	assert_memory_equal(s.wire.got, "HTTP/1.1 431 ", 13);
	side_fini(&s);
}

static bool
has_failed(void *arg)
{
	return adit_conn_err(arg) != 0;
}

static void
a_handshake_that_is_too_slow_ends(void **state)
{
	for (int client = 0; client < 2; client++) {
		struct side s;

		known_reset();
		side_init(&s, *state, client,
			  (struct ws_conf){ .path = "/ws", .handshake_ms = 20 });
		assert_true(loop_until(*state, has_failed, s.c, LIMIT));
		assert_int_equal(adit_conn_err(s.c), -ETIMEDOUT);
		assert_string_equal(conn_failure(s.c), "the WebSocket handshake took too long");
		side_fini(&s);
	}
}

static void
frames_may_come_with_the_answer(void **state)
{
	static const char all[] = ANSWER "\x82\x05hello";
	struct side s;

	known_reset();
	side_init(&s, *state, true, (struct ws_conf){ .path = "/ws" });
	say(&s, all, sizeof(all) - 1);
	assert_true(adit_conn_is_open(s.c));
	expect_read(&s, "hello", 5);
	side_fini(&s);
}

static void
what_a_policy_refuses(void **state)
{
	char *names[] = { (char[]){ "Upgrade" }, (char[]){ "X y" }, (char[]){ "X" } };
	char *values[] = { (char[]){ "h2c" }, (char[]){ "1" }, (char[]){ "a\r\nb" } };
	struct adit_err e;

	(void)state;
	assert_null(ws_policy_new(&(struct ws_conf){ .path = "ws" }, &e));
	assert_null(ws_policy_new(&(struct ws_conf){ .path = "/w s" }, &e));
	assert_null(ws_policy_new(&(struct ws_conf){ .path = "/ws\r\nX: y" }, &e));
	assert_null(ws_policy_new(&(struct ws_conf){ .path = "/ws", .host = "a b" }, &e));
	for (size_t i = 0; i < 3; i++) {
		struct ws_conf conf = { .path = "/ws", .header = { 1, &names[i], &values[i] } };

		assert_null(ws_policy_new(&conf, &e));
		assert_int_equal(e.code, ADIT_ECONFIG);
	}
}

/* ---- frames --------------------------------------------------------------------- */

static void
any_split_of_messages_is_one_stream(void **state)
{
	struct side s;

	open_server(&s, *state);
	say_frame(&s, (struct ws_frame){ .opcode = WS_TEXT, .len = 3 }, "one");
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_PING, .len = 2 }, "hi");
	say_frame(&s, (struct ws_frame){ .opcode = WS_CONTINUATION, .len = 0 }, "");
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_CONTINUATION, .len = 3 }, "two");
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_BINARY, .len = 5 }, "three");
	expect_read(&s, "onetwothree", 11);
	expect_wire(&s, "\x8a\x02hi", 4);
	side_fini(&s);
}

static void
only_the_last_ping_is_owed_an_answer(void **state)
{
	struct side s;

	open_server(&s, *state);
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_PING, .len = 1 }, "1");
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_PING, .len = 1 }, "2");
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_PONG, .len = 1 }, "3");
	assert_int_equal(adit_conn_read(s.c, (char[8]){ 0 }, 8), -EAGAIN);
	expect_wire(&s, "\x8a\x01""2", 3);
	side_fini(&s);
}

static void
a_client_masks_with_a_new_key_each_time(void **state)
{
	struct side s;

	open_client(&s, *state, (struct ws_conf){ .path = "/ws" });
	memcpy(known.keys[1], "\x01\x02\x03\x04", WS_KEY_LEN);
	assert_int_equal(adit_conn_write(s.c, "Hello", 5), 5);
	expect_wire(&s, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);	/* RFC 6455, 5.7 */
	assert_int_equal(adit_conn_write(s.c, "\0\0\0\0", 4), 4);
	expect_wire(&s, "\x82\x84\x01\x02\x03\x04\x01\x02\x03\x04", 10);
	side_fini(&s);
}

static void
frames_are_no_larger_than_asked_for(void **state)
{
	struct side s;

	open_client(&s, *state, (struct ws_conf){ .path = "/ws", .frame = 3 });
	assert_int_equal(adit_conn_write(s.c, "Hello", 5), 3);
	expect_wire(&s, "\x82\x83\x37\xfa\x21\x3d\x7f\x9f\x4d", 9);
	side_fini(&s);
}

struct fault {
	const char	*bytes;
	size_t		 len;
};

/* What a server must not be sent; the last two bytes of our Close say 1002. */
static const struct fault faults[] = {
	{ "\x82\x05hello", 7 },				/* not masked */
	{ "\xc2\x80\0\0\0\0", 6 },			/* a reserved bit */
	{ "\x80\x80\0\0\0\0", 6 },			/* goes on with nothing */
	{ "\x02\x80\0\0\0\0\x82\x80\0\0\0\0", 12 },	/* a message within another */
	{ "\x83\x80\0\0\0\0", 6 },			/* an unknown kind */
	{ "\x88\x81\0\0\0\0x", 7 },			/* half a code */
	{ "\x89\xfe\0\x7e\0\0\0\0", 8 },		/* a long ping */
};

static void
who_breaks_the_protocol_is_told(void **state)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct side s;

		open_server(&s, *state);
		say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_BINARY, .len = 2 },
			  "ok");
		say(&s, faults[i].bytes, faults[i].len);
		expect_read(&s, "ok", 2);		/* what came before is not lost */
		assert_int_equal(adit_conn_read(s.c, (char[8]){ 0 }, 8), -EPROTO);
		assert_non_null(conn_failure(s.c));
		adit_conn_close(s.c, -EPROTO);
		s.c = NULL;
		expect_wire(&s, "\x88\x02\x03\xea", 4);
		assert_true(s.wire.ended && !s.wire.err);
		side_fini(&s);
	}
}

static void
a_server_does_not_mask(void **state)
{
	struct side s;

	open_client(&s, *state, (struct ws_conf){ .path = "/ws" });
	say(&s, "\x82\x81\0\0\0\0x", 7);
	assert_int_equal(adit_conn_read(s.c, (char[8]){ 0 }, 8), -EPROTO);
	side_fini(&s);
}

/* ---- ends ----------------------------------------------------------------------- */

static void
a_close_frame_is_the_end_and_answered(void **state)
{
	struct side s;

	open_server(&s, *state);
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_BINARY, .len = 2 }, "ok");
	say_frame(&s, (struct ws_frame){ .fin = true, .opcode = WS_CLOSE, .len = 6 },
		  "\x0f\xa0" "why?");
	expect_read(&s, "ok", 2);
	expect_read(&s, "", 0);
	expect_wire(&s, "\x88\x02\x0f\xa0", 4);
	assert_int_equal(adit_conn_write(s.c, "x", 1), -EPIPE);
	side_fini(&s);
}

static void
a_gost_ends_without_a_close_frame(void **state)
{
	struct side s;

	open_server(&s, *state);
	wire_end_close(&s.wire, 0);
	loop_turn(s.wire.loop, TURNS);
	expect_read(&s, "", 0);
	side_fini(&s);
}

static void
an_end_in_the_middle_is_none(void **state)
{
	static const struct fault cut[] = {
		{ "\x82", 1 }, { "\x82\x85\0\0\0\0hel", 9 }, { "\x02\x81\0\0\0\0x", 7 },
	};

	for (size_t i = 0; i < 3; i++) {
		struct side s;
		char got[8];
		ssize_t n;

		open_server(&s, *state);
		say(&s, cut[i].bytes, cut[i].len);
		wire_end_close(&s.wire, 0);
		loop_turn(s.wire.loop, TURNS);
		do
			n = adit_conn_read(s.c, got, sizeof(got));
		while (n > 0);
		assert_int_equal(n, ADIT_ETRUNCATED);
		side_fini(&s);
	}
}

static void
a_polite_close_says_so(void **state)
{
	struct side s;

	open_server(&s, *state);
	assert_int_equal(adit_conn_write(s.c, "bye", 3), 3);
	assert_int_equal(adit_conn_shutdown(s.c), -ENOTSUP);
	adit_conn_close(s.c, 0);
	s.c = NULL;
	expect_wire(&s, "\x82\x03" "bye\x88\x02\x03\xe8", 9);
	assert_true(s.wire.ended);
	side_fini(&s);
}

/* ---- pings ---------------------------------------------------------------------- */

static bool
heard_something(void *arg)
{
	return ((struct side *)arg)->wire.len > 0;
}

static void
a_server_that_answers_no_ping_is_given_up(void **state)
{
	struct side s;

	open_client(&s, *state, (struct ws_conf){ .path = "/ws", .ping = ADIT_MS(5) });
	assert_int_equal(adit_conn_read(s.c, (char[8]){ 0 }, 8), -EAGAIN);
	adit_conn_want(s.c, ADIT_READ);
	assert_true(loop_until(*state, heard_something, &s, LIMIT));
	assert_memory_equal(s.wire.got, "\x89\x80", 2);
	assert_true(loop_until(*state, has_failed, s.c, LIMIT));
	assert_int_equal(adit_conn_err(s.c), ADIT_EPEERDEAD);
	side_fini(&s);
}

/* It cannot be heard while its bytes are not read. */
static void
a_client_that_does_not_read_gives_nobody_up(void **state)
{
	struct side s;

	open_client(&s, *state, (struct ws_conf){ .path = "/ws", .ping = ADIT_MS(1) });
	for (int i = 0; i < 6; i++) {
		assert_true(loop_until(*state, heard_something, &s, LIMIT));
		wire_end_drop(&s.wire, s.wire.len);
	}
	assert_int_equal(adit_conn_err(s.c), 0);
	side_fini(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_gost_client_is_served_as_by_a_gost),
		TEST(a_gost_server_hears_a_gost_client),
		TEST(the_example_of_the_rfc),
		TEST(requests_that_are_not_right_are_refused),
		TEST(answers_that_are_not_right_are_refused),
		TEST(interim_responses_are_skipped),
		TEST(a_head_without_an_end_is_refused),
		TEST(a_handshake_that_is_too_slow_ends),
		TEST(frames_may_come_with_the_answer),
		TEST(what_a_policy_refuses),
		TEST(any_split_of_messages_is_one_stream),
		TEST(only_the_last_ping_is_owed_an_answer),
		TEST(a_client_masks_with_a_new_key_each_time),
		TEST(frames_are_no_larger_than_asked_for),
		TEST(who_breaks_the_protocol_is_told),
		TEST(a_server_does_not_mask),
		TEST(a_close_frame_is_the_end_and_answered),
		TEST(a_gost_ends_without_a_close_frame),
		TEST(an_end_in_the_middle_is_none),
		TEST(a_polite_close_says_so),
		TEST(a_server_that_answers_no_ping_is_given_up),
		TEST(a_client_that_does_not_read_gives_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
