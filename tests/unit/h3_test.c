#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/front.h"
#include "core/http/h3_int.h"
#include "tests/unit/h1_side.h"
#include "tests/unit/h3_rig.h"

#define MEBI 1048576

static void
assert_text(struct adit_text t, const char *expected)
{
	assert_non_null(t.s);
	assert_string_equal(t.s, expected);
}

/* ---- messages -------------------------------------------------------------------------- */

static void
check_request(struct h3_rig *r)
{
	struct adit_exchange *c = h3_rig_open(r), *s;
	const struct adit_fields *f;

	assert_int_equal(h3_rig_send(r, c, "POST https a.test:1 /x?y\nX-Name: v\n"
				     "Connection: close\nContent-Length: 5\n", 0), 0);
	h3_rig_write(r, c, "hello", true);
	s = h3_rig_accept(r);
	f = h3_rig_head(r, s);
	assert_non_null(f);
	assert_text(adit_fields_control(f, ADIT_METHOD), "POST");
	assert_text(adit_fields_control(f, ADIT_SCHEME), "https");
	assert_text(adit_fields_control(f, ADIT_AUTHORITY), "a.test:1");
	assert_text(adit_fields_control(f, ADIT_TARGET), "/x?y");
	assert_int_equal(adit_fields_version(f), 30);
	assert_int_equal(adit_fields_count(f), 2);
	assert_text(adit_fields_at(f, 0)->name, "x-name");
	assert_text(adit_fields_get(f, "content-length"), "5");
	h3_rig_expect(r, s, "hello");
	assert_int_equal(h3_rig_send(r, s, "200\nServer: x\n", 0), 0);
	h3_rig_write(r, s, "world!", true);
	f = h3_rig_head(r, c);
	assert_non_null(f);
	assert_int_equal(adit_fields_status(f), 200);
	assert_text(adit_fields_get(f, "server"), "x");
	h3_rig_expect(r, c, "world!");
	assert_true(adit_conn_mux(&c->body) == r->client);
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
a_request_gets_its_response(void **state)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_BOTH, false);
	check_request(r);
	check_request(r);
	assert_int_equal(adit_mux_err(r->client), 0);
	assert_int_equal(adit_mux_streams(r->client), 0);
	assert_int_equal(adit_mux_streams(r->server), 0);
}

static void
the_server_may_have_dialled(void **state)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_BOTH, true);
	check_request(r);
	check_request(r);
	assert_int_equal(adit_mux_err(r->client), 0);
}

static void
a_request_may_have_no_body(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	assert_int_equal(adit_exchange_version(c), 30);
	assert_int_equal(adit_exchange_version(s), 30);
	h3_rig_expect(r, s, "");
	assert_int_equal(h3_rig_send(r, s, "404", ADIT_HEAD_END), 0);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 404);
	h3_rig_expect(r, c, "");
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
interim_heads_come_before_the_final_one(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "PUT https a /\nExpect: 100-continue\n", 0, &c, &s);
	assert_int_equal(h3_rig_send(r, s, "100", 0), 0);
	assert_int_equal(h3_rig_send(r, s, "103\nLink: x\n", 0), 0);
	assert_int_equal(h3_rig_send(r, s, "101", 0), -EINVAL);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	h3_rig_write(r, s, "a", true);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 100);
	assert_int_equal(adit_conn_read(&c->body, &(char){ 0 }, 1), -EAGAIN);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 103);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 200);
	h3_rig_expect(r, c, "a");
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
trailers_follow_both_bodies(void **state)
{
	struct h3_rig *r = *state;
	struct adit_fields *t = adit_fields_new();
	struct adit_exchange *c, *s;
	const struct adit_fields *f;

	adit_fields_set(t, "X-Sum", "7");
	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "POST https a /", 0, &c, &s);
	h3_rig_write(r, c, "body", false);
	assert_int_equal(adit_exchange_trailers(c, t), 0);
	h3_rig_write(r, c, "", true);
	h3_rig_expect(r, s, "body");
	f = h3_rig_head(r, s);
	assert_text(adit_fields_get(f, "x-sum"), "7");
	assert_null(adit_exchange_head(s));
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	assert_int_equal(adit_exchange_trailers(s, t), 0);
	h3_rig_write(r, s, "", true);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 200);
	h3_rig_expect(r, c, "");
	assert_text(adit_fields_get(h3_rig_head(r, c), "x-sum"), "7");
	adit_fields_free(t);
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

/* RFC 9110, 6.4.1 */
static void
some_responses_have_no_content(void **state)
{
	static const struct { const char *request, *response; } rows[] = {
		{ "HEAD https a /", "200\nContent-Length: 100\n" },
		{ "GET https a /", "204" },
		{ "GET https a /", "304\nContent-Length: 100\n" },
	};
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		h3_rig_ask(r, rows[i].request, ADIT_HEAD_END, &c, &s);
		assert_int_equal(h3_rig_send(r, s, rows[i].response, 0), 0);
		assert_int_equal(adit_conn_write(&s->body, "abc", 3), i ? -EMSGSIZE : 3);
		assert_non_null(h3_rig_head(r, c));
		h3_rig_expect(r, c, "");
		h3_rig_close(c, 0);
		h3_rig_close(s, 0);
	}
}

static void
what_a_length_promises_is_kept(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "POST https a /\nContent-Length: 3\n", 0, &c, &s);
	h3_rig_write(r, c, "ab", false);
	assert_int_equal(adit_conn_shutdown(&c->body), -EPROTO);
	h3_rig_close(c, -EPROTO);
	assert_int_equal(h3_rig_failure(r, s), -ECONNRESET);
	assert_int_equal(adit_conn_code(&s->body), H3_REQUEST_CANCELLED);
	h3_rig_close(s, -ECONNRESET);
	h3_rig_ask(r, "POST https a /\nContent-Length: 3\n", 0, &c, &s);
	assert_int_equal(adit_conn_write(&c->body, "abcd", 4), 3);
	assert_int_equal(adit_conn_write(&c->body, "d", 1), -EMSGSIZE);
	h3_rig_close(c, -EMSGSIZE);
	h3_rig_close(s, -ECONNRESET);
	check_request(r);
}

/* ---- bodies ---------------------------------------------------------------------------- */

static void
run_crossings(struct h3_rig *r, struct crossing *x, size_t n)
{
	assert_true(crossings_run(r->quic, x, n, 2 * RIG_LIMIT));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(x[i].failed, 0);
		assert_true(x[i].ended && !x[i].bad);
		assert_int_equal(x[i].got, x[i].want);
	}
}

static void
check_bodies(struct h3_rig *r, size_t len)
{
	struct adit_exchange *c, *s;
	struct crossing x[2];

	h3_rig_ask(r, "POST https a /", 0, &c, &s);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	assert_non_null(h3_rig_head(r, c));
	crossing_start(&x[0], &c->body, &s->body, len);
	crossing_start(&x[1], &s->body, &c->body, len);
	run_crossings(r, x, 2);
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
large_bodies_pass_both_ways(void **state)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_BOTH, false);
	check_bodies(r, 8 * MEBI);
}

static void
large_bodies_pass_where_the_server_dialled(void **state)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_BOTH, true);
	check_bodies(r, MEBI);
}

/* Who does not read stops his own body, and it alone. */
static void
a_slow_reader_stops_nobody_else(void **state)
{
	static char piece[65536];
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;
	size_t sent = 0;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "POST https a /", 0, &c, &s);
	for (int i = 0; i < 400; i++) {
		ssize_t n = adit_conn_write(&c->body, piece, sizeof(piece));

		sent += n > 0 ? (size_t)n : 0;
		loop_turn(r->quic->l, 1);
	}
	assert_int_equal(adit_conn_write(&c->body, piece, 1), -EAGAIN);
	assert_true(sent < 2 * MEBI);
	check_bodies(r, MEBI);
	while (sent) {
		ssize_t n = quic_rig_read(r->quic, &s->body, piece, sizeof(piece));

		assert_true(n > 0);
		sent -= (size_t)n;
	}
	assert_true(adit_conn_read(&s->body, piece, 1) == -EAGAIN);
	h3_rig_write(r, c, "end", true);
	h3_rig_expect(r, s, "end");
	h3_rig_close(c, 0);
	h3_rig_close(s, -ECONNRESET);
}

#define MANY 100

static void
many_go_on_at_once(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c[MANY], *s[MANY];
	struct crossing *x = calloc(2 * MANY, sizeof(*x));

	h3_rig_start(r, H3_BOTH, true);
	for (int i = 0; i < MANY; i++) {
		h3_rig_ask(r, "POST https a /", 0, &c[i], &s[i]);
		assert_int_equal(h3_rig_send(r, s[i], "200", 0), 0);
	}
	assert_int_equal(adit_mux_streams(r->client), MANY);
	for (int i = 0; i < MANY; i++) {
		assert_non_null(h3_rig_head(r, c[i]));
		crossing_start(&x[2 * i], &c[i]->body, &s[i]->body, 20000 + (size_t)i);
		crossing_start(&x[2 * i + 1], &s[i]->body, &c[i]->body, 10000 + (size_t)i);
	}
	run_crossings(r, x, 2 * MANY);
	for (int i = 0; i < MANY; i++) {
		h3_rig_close(c[i], 0);
		h3_rig_close(s[i], 0);
	}
	free(x);
}

/* ---- tunnels --------------------------------------------------------------------------- */

static void
send_connect(struct h3_rig *r, struct adit_exchange *x, const char *protocol, int expected)
{
	struct adit_fields *f = adit_fields_new();

	adit_fields_set_control(f, ADIT_METHOD, "CONNECT", 7);
	adit_fields_set_control(f, ADIT_AUTHORITY, "a:443", 5);
	if (protocol) {
		adit_fields_set_control(f, ADIT_PROTOCOL, protocol, strlen(protocol));
		adit_fields_set_control(f, ADIT_TARGET, "/", 1);
	}
	for (int i = 0; i < 1000 && adit_exchange_send_head(x, f, 0) == -EAGAIN; i++)
		loop_turn(r->quic->l, 1);
	if (expected)
		assert_int_equal(adit_exchange_send_head(x, f, 0), expected);
	adit_fields_free(f);
}

static void
connect_makes_a_tunnel(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;
	char buf[8];

	h3_rig_start(r, H3_BOTH, false);
	c = h3_rig_open(r);
	send_connect(r, c, NULL, 0);
	assert_int_equal(adit_conn_write(&c->body, "x", 1), -EAGAIN);
	s = h3_rig_accept(r);
	assert_null(adit_fields_control(h3_rig_head(r, s), ADIT_TARGET).s);
	assert_int_equal(h3_rig_send(r, s, "200\nContent-Length: 9\n", 0), 0);
	assert_null(adit_fields_get(h3_rig_head(r, c), "content-length").s);
	h3_rig_write(r, s, "first", false);
	assert_int_equal(quic_rig_read(r->quic, &c->body, buf, sizeof(buf)), 5);
	h3_rig_write(r, c, "second", true);
	h3_rig_expect(r, s, "second");
	h3_rig_write(r, s, "third", true);
	h3_rig_expect(r, c, "third");
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
a_refused_connect_is_a_response(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	c = h3_rig_open(r);
	send_connect(r, c, NULL, 0);
	s = h3_rig_accept(r);
	h3_rig_head(r, s);
	assert_int_equal(h3_rig_send(r, s, "502\nContent-Length: 2\n", 0), 0);
	h3_rig_write(r, s, "no", true);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 502);
	h3_rig_expect(r, c, "no");
	assert_int_equal(adit_conn_write(&c->body, "x", 1), -EPIPE);
	h3_rig_expect(r, s, "");
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
a_tunnel_that_breaks_is_told_so(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	c = h3_rig_open(r);
	send_connect(r, c, NULL, 0);
	s = h3_rig_accept(r);
	h3_rig_head(r, s);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	assert_non_null(h3_rig_head(r, c));
	h3_rig_close(s, -ECONNRESET);
	assert_int_equal(h3_rig_failure(r, c), -ECONNRESET);
	assert_int_equal(adit_conn_code(&c->body), H3_CONNECT_ERROR);
	h3_rig_close(c, -ECONNRESET);
}

/* RFC 9220 */
static void
extended_connect_waits_for_the_settings(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	r->server_conf.extended_connect = true;
	h3_rig_start(r, H3_BOTH, false);
	c = h3_rig_open(r);
	send_connect(r, c, "websocket", 0);
	s = h3_rig_accept(r);
	assert_text(adit_fields_control(h3_rig_head(r, s), ADIT_PROTOCOL), "websocket");
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	assert_non_null(h3_rig_head(r, c));
	h3_rig_write(r, c, "ping", true);
	h3_rig_expect(r, s, "ping");
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
}

static void
extended_connect_has_to_be_allowed(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c;

	h3_rig_start(r, H3_BOTH, false);
	c = h3_rig_open(r);
	send_connect(r, c, "websocket", -ENOTSUP);
	h3_rig_close(c, -ENOTSUP);
	check_request(r);
}

/* ---- ends ------------------------------------------------------------------------------ */

static void
a_client_that_goes_is_noticed(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	/* within its request, */
	h3_rig_ask(r, "POST https a /", 0, &c, &s);
	h3_rig_close(c, -ECONNRESET);
	assert_int_equal(h3_rig_failure(r, s), -ECONNRESET);
	assert_int_equal(adit_conn_code(&s->body), H3_REQUEST_CANCELLED);
	h3_rig_close(s, -ECONNRESET);
	/* while it waits, */
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	h3_rig_expect(r, s, "");
	h3_rig_close(c, -ECONNRESET);
	assert_int_equal(h3_rig_failure(r, s), -ECONNRESET);
	h3_rig_close(s, -ECONNRESET);
	/* within the response, */
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	h3_rig_expect(r, s, "");
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	assert_non_null(h3_rig_head(r, c));
	h3_rig_close(c, -ECONNRESET);
	assert_int_equal(h3_rig_failure(r, s), -ECONNRESET);
	h3_rig_close(s, -ECONNRESET);
	/* and before it was accepted: nobody has to hear of it. */
	c = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, c, "POST https a /", 0), 0);
	h3_rig_close(c, -ECONNRESET);
	check_request(r);
}

static void
a_server_that_fails_says_so(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	h3_rig_close(s, 0);			/* without an answer */
	assert_int_equal(h3_rig_failure(r, c), -ECONNRESET);
	assert_int_equal(adit_conn_code(&c->body), H3_INTERNAL_ERROR);
	h3_rig_close(c, -ECONNRESET);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	h3_rig_write(r, s, "part", false);
	assert_non_null(h3_rig_head(r, c));
	adit_conn_set_code(&s->body, 0x1234);
	h3_rig_close(s, -ECONNRESET);
	assert_int_equal(h3_rig_failure(r, c), -ECONNRESET);
	assert_int_equal(adit_conn_code(&c->body), 0x1234);
	h3_rig_close(c, -ECONNRESET);
	check_request(r);
}

static void
an_early_answer_arrives_while_the_request_goes_on(void **state)
{
	static char piece[65536];
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "POST https a /", 0, &c, &s);
	assert_true(adit_conn_write(&c->body, piece, sizeof(piece)) > 0);
	assert_int_equal(h3_rig_send(r, s, "413", 0), 0);
	h3_rig_write(r, s, "too much", true);
	h3_rig_close(s, 0);
	for (int i = 0; i < 200; i++) {
		ssize_t n = adit_conn_write(&c->body, piece, sizeof(piece));

		assert_true(n > 0 || n == -EAGAIN);
		loop_turn(r->quic->l, 1);
	}
	assert_int_equal(adit_conn_shutdown(&c->body), 0);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 413);
	h3_rig_expect(r, c, "too much");
	h3_rig_close(c, 0);
	check_request(r);
}

/* What is queued leaves when its owner has gone. */
static void
a_polite_close_loses_nothing(void **state)
{
	static char piece[4 * 65536];
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;
	size_t sent = 0, got = 0;
	ssize_t n;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	while ((n = adit_conn_write(&s->body, piece, sizeof(piece))) > 0)
		sent += (size_t)n;
	assert_int_equal(adit_conn_shutdown(&s->body), 0);
	h3_rig_close(s, 0);
	assert_non_null(h3_rig_head(r, c));
	while ((n = quic_rig_read(r->quic, &c->body, piece, sizeof(piece))) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, sent);
	h3_rig_close(c, 0);
}

static void
too_large_a_head_is_answered(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c;
	char *head = malloc(30000);

	memcpy(head, "GET https a /\nX: ", 17);
	memset(head + 17, 'x', 20000);
	memcpy(head + 20017, "\n", 2);
	r->server_conf.section_max = 16384;
	h3_rig_start(r, H3_BOTH, false);
	check_request(r);
	/* Its client knows of the limit by now. */
	c = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, c, head, ADIT_HEAD_END), -E2BIG);
	h3_rig_close(c, -E2BIG);
	/* One that does not is told. */
	h3_of(r->client)->settled = false;
	c = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, c, head, ADIT_HEAD_END), 0);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 431);
	h3_rig_close(c, 0);
	check_request(r);
	free(head);
}

static void
too_large_a_response_fails_alone(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;
	char *head = malloc(30000);

	memcpy(head, "200\nX: ", 7);
	memset(head + 7, 'x', 20000);
	memcpy(head + 20007, "\n", 2);
	r->client_conf.section_max = 16384;
	h3_rig_start(r, H3_BOTH, false);
	check_request(r);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	h3_of(r->server)->settled = false;	/* as if the client had not told */
	assert_int_equal(h3_rig_send(r, s, head, 0), 0);
	assert_null(h3_rig_head(r, c));
	assert_int_equal(adit_conn_err(&c->body), -E2BIG);
	h3_rig_close(c, -E2BIG);
	assert_int_equal(h3_rig_failure(r, s), -ECONNRESET);
	h3_rig_close(s, 0);
	check_request(r);
	free(head);
}

static bool
peer_drains(void *m)
{
	return adit_mux_peer_drains(m);
}

static void
check_drain(struct h3_rig *r)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_exchange *c, *s;

	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	adit_mux_drain(r->server);
	assert_true(loop_until(r->quic->l, peer_drains, r->client, RIG_LIMIT));
	assert_int_equal(adit_mux_room(r->client, ADIT_CONN_EXCHANGE), 0);
	assert_null(adit_mux_open(r->client, ADIT_CONN_EXCHANGE, &e));
	assert_int_equal(e.code, ADIT_EDRAINING);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	h3_rig_write(r, s, "last", true);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 200);
	h3_rig_expect(r, c, "last");
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
	assert_int_equal(adit_mux_err(r->client), 0);
}

static void
a_drain_lets_go_on_what_is_open(void **state)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_BOTH, false);
	check_drain(r);
}

static void
a_drain_where_the_server_dialled(void **state)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_BOTH, true);
	check_drain(r);
}

/* A request that the server's GOAWAY has crossed may be sent again. */
static void
what_comes_after_a_drain_was_not_processed(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c;

	h3_rig_start(r, H3_BOTH, false);
	check_request(r);
	adit_mux_drain(r->server);
	c = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, c, "GET https a /", ADIT_HEAD_END), 0);
	assert_int_equal(h3_rig_failure(r, c), ADIT_EDRAINING);
	h3_rig_close(c, -ECONNRESET);
	assert_int_equal(adit_mux_err(r->client), 0);
}

static bool
is_accepted(void *rig)
{
	return ((struct quic_rig *)rig)->n_accepted;
}

/* SETTINGS are the first that is said (RFC 9114, 6.2.1), also by who has this to say. */
static void
a_drain_may_come_before_the_session_is_open(void **state)
{
	struct h3_rig *r = *state;

	quic_rig_start(r->quic);
	r->client = h3_client(quic_rig_connect(r->quic), &r->client_conf);
	adit_mux_drain(r->client);
	assert_true(loop_until(r->quic->l, is_accepted, r->quic, RIG_LIMIT));
	r->server = h3_server(r->quic->accepted[0], &r->server_conf);
	r->quic->n_accepted = 0;
	assert_true(loop_until(r->quic->l, peer_drains, r->server, RIG_LIMIT));
	assert_int_equal(adit_mux_err(r->server), 0);
}

/* Somebody who waits for room, and opens another one then. */
struct opener {
	struct adit_conn	*opened;
	unsigned		 told;
};

static void
opener_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct opener *o = owner;

	(void)events;
	o->told++;
	if (!o->opened)
		o->opened = adit_mux_open(m, ADIT_CONN_EXCHANGE, NULL);
}

static bool
has_opened(void *opener)
{
	return ((struct opener *)opener)->opened;
}

static void
check_room(struct h3_rig *r)
{
	struct opener o = { .opened = NULL };
	struct adit_exchange *c, *s;

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	assert_int_equal(adit_mux_room(r->client, ADIT_CONN_EXCHANGE), 0);
	assert_null(adit_mux_open(r->client, ADIT_CONN_EXCHANGE, NULL));
	adit_mux_own(r->client, opener_event, &o);
	adit_mux_want(r->client, ADIT_WRITE);
	loop_turn(r->quic->l, 50);
	assert_int_equal(o.told, 0);
	assert_int_equal(h3_rig_send(r, s, "200", ADIT_HEAD_END), 0);
	assert_non_null(h3_rig_head(r, c));
	h3_rig_expect(r, c, "");
	h3_rig_close(s, 0);
	h3_rig_close(c, 0);
	assert_true(loop_until(r->quic->l, has_opened, &o, RIG_LIMIT));
	assert_in_range(o.told, 1, 3);
	adit_mux_want(r->client, 0);
	adit_conn_close(o.opened, -ECONNRESET);
}

static void
who_waits_for_room_is_told_once(void **state)
{
	struct h3_rig *r = *state;

	r->client_conf.exchanges_max = 1;
	check_room(r);
}

static void
the_peer_may_be_who_has_no_room(void **state)
{
	struct h3_rig *r = *state;

	r->quic->conf.params.streams = r->quic->conf.params.streams_max = 1;
	check_room(r);
}

static void
more_than_there_may_be_is_rejected(void **state)
{
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s, *second;

	r->server_conf.exchanges_max = 1;
	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "GET https a /", ADIT_HEAD_END, &c, &s);
	second = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, second, "GET https a /", ADIT_HEAD_END), 0);
	assert_int_equal(h3_rig_failure(r, second), ADIT_EDRAINING);
	assert_int_equal(adit_conn_code(&second->body), H3_REQUEST_REJECTED);
	h3_rig_close(second, -ECONNRESET);
	h3_rig_close(c, -ECONNRESET);
	h3_rig_close(s, -ECONNRESET);
	check_request(r);
}

static void
a_session_without_requests_ends(void **state)
{
	struct h3_rig *r = *state;

	r->server_conf.idle_timeout = ADIT_MS(50);
	h3_rig_start(r, H3_BOTH, false);
	assert_true(quic_rig_until_ended(r->quic, r->server));
	assert_int_equal(adit_mux_err(r->server), -ETIMEDOUT);
	assert_true(quic_rig_until_ended(r->quic, r->client));
	assert_int_equal(adit_mux_reason(r->client)->code, H3_NO_ERROR);
}

static void
the_end_of_a_session_is_that_of_its_exchanges(void **state)
{
	const struct adit_reason why = { .err = ADIT_ESTOPPED, .text = "enough" };
	struct h3_rig *r = *state;
	struct adit_exchange *c, *s;
	char buf[8];

	h3_rig_start(r, H3_BOTH, false);
	h3_rig_ask(r, "POST https a /", 0, &c, &s);
	assert_int_equal(h3_rig_send(r, s, "200", 0), 0);
	h3_rig_write(r, s, "here", false);
	assert_non_null(h3_rig_head(r, c));
	assert_int_equal(quic_rig_read(r->quic, &c->body, buf, 1), 1);
	adit_mux_close(r->server, &why);
	r->server = NULL;
	assert_int_equal(adit_conn_err(&s->body), ADIT_ESTOPPED);
	assert_true(quic_rig_until_ended(r->quic, r->client));
	assert_int_equal(adit_mux_reason(r->client)->code, H3_INTERNAL_ERROR);
	assert_string_equal(adit_mux_reason(r->client)->text, "enough");
	/* What had arrived comes before the failure. */
	assert_int_equal(adit_conn_read(&c->body, buf, sizeof(buf)), 3);
	assert_true(adit_conn_read(&c->body, buf, sizeof(buf)) < 0);
	adit_mux_close(r->client, NULL);
	r->client = NULL;
	loop_turn(r->quic->l, 3);
	h3_rig_close(c, -ECONNRESET);
	h3_rig_close(s, -ECONNRESET);
}

static void
a_sign_of_life_can_be_asked_for(void **state)
{
	struct h3_rig *r = *state;
	struct hearing h;

	h3_rig_start(r, H3_BOTH, false);
	h = (struct hearing){ r->client, adit_mux_heard(r->client) };
	adit_mux_probe(r->client);
	assert_true(loop_until(r->quic->l, has_heard, &h, RIG_LIMIT));
}

static void
an_exchange_that_waits_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct h3_exchange) < 512);
}

/* ---- between two ----------------------------------------------------------------------- */

static void
front_done(void *arg, const struct front_result *result)
{
	struct front_result *out = arg;

	*out = *result;
	out->why = "done";
}

/* A proxy: bytes are poured from one session's streams into the other's. */
static void
two_sessions_make_a_proxy(void **state)
{
	struct h3_rig *r = *state, *far;
	struct adit_exchange *c, *near, *via, *s;
	struct front_result result = { .why = NULL };
	struct adit_fields *request, *t = adit_fields_new();
	struct crossing x[2];

	adit_fields_set(t, "x-t", "1");
	far = calloc(1, sizeof(*far));
	far->quic = quic_rig_new(r->quic->l);
	far->quic->conf.params.alpn = far->quic->params.alpn = r->quic->params.alpn;
	far->quic->conf.params.n_alpn = far->quic->params.n_alpn = 1;
	h3_rig_start(r, H3_BOTH, false);
	h3_rig_start(far, H3_BOTH, true);
	h3_rig_ask(r, "POST https a /", 0, &c, &near);
	request = side_fields("POST https a /");
	via = h3_rig_open(far);
	assert_non_null(http_front(near, via, request, NULL, front_done, &result));
	s = h3_rig_accept(far);
	assert_non_null(h3_rig_head(far, s));
	assert_int_equal(h3_rig_send(far, s, "200", 0), 0);
	assert_int_equal(adit_fields_status(h3_rig_head(r, c)), 200);
	crossing_start(&x[0], &c->body, &s->body, MEBI);
	crossing_start(&x[1], &s->body, &c->body, MEBI);
	run_crossings(r, x, 2);
	for (int i = 0; i < 1000 && !result.why; i++)
		loop_turn(r->quic->l, 10);
	assert_non_null(result.why);
	assert_int_equal(result.err, 0);
	assert_int_equal(result.status, 200);
	h3_rig_close(c, 0);
	h3_rig_close(s, 0);
	adit_fields_free(request);
	adit_fields_free(t);
	adit_mux_close(far->client, NULL);
	adit_mux_close(far->server, NULL);
	quic_rig_free(far->quic);
	free(far);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, h3_rig_setup, h3_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_gets_its_response),
		TEST(the_server_may_have_dialled),
		TEST(a_request_may_have_no_body),
		TEST(interim_heads_come_before_the_final_one),
		TEST(trailers_follow_both_bodies),
		TEST(some_responses_have_no_content),
		TEST(what_a_length_promises_is_kept),
		TEST(large_bodies_pass_both_ways),
		TEST(large_bodies_pass_where_the_server_dialled),
		TEST(a_slow_reader_stops_nobody_else),
		TEST(many_go_on_at_once),
		TEST(connect_makes_a_tunnel),
		TEST(a_refused_connect_is_a_response),
		TEST(a_tunnel_that_breaks_is_told_so),
		TEST(extended_connect_waits_for_the_settings),
		TEST(extended_connect_has_to_be_allowed),
		TEST(a_client_that_goes_is_noticed),
		TEST(a_server_that_fails_says_so),
		TEST(an_early_answer_arrives_while_the_request_goes_on),
		TEST(a_polite_close_loses_nothing),
		TEST(too_large_a_head_is_answered),
		TEST(too_large_a_response_fails_alone),
		TEST(a_drain_lets_go_on_what_is_open),
		TEST(a_drain_where_the_server_dialled),
		TEST(what_comes_after_a_drain_was_not_processed),
		TEST(a_drain_may_come_before_the_session_is_open),
		TEST(who_waits_for_room_is_told_once),
		TEST(the_peer_may_be_who_has_no_room),
		TEST(more_than_there_may_be_is_rejected),
		TEST(a_session_without_requests_ends),
		TEST(the_end_of_a_session_is_that_of_its_exchanges),
		TEST(a_sign_of_life_can_be_asked_for),
		TEST(two_sessions_make_a_proxy),
		cmocka_unit_test(an_exchange_that_waits_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
