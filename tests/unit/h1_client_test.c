#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/h1.h"
#include "tests/unit/h1_side.h"

static struct side *
client(void **state)
{
	return side_client(*state, NULL, false);
}

/* A client whose GET is on the wire. */
static struct side *
asked(void **state)
{
	struct side *s = client(state);

	side_open(s);
	assert_int_equal(side_head(s, "GET http a /", ADIT_HEAD_END), 0);
	side_expect(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	return s;
}

static void
a_request_is_sent_and_its_answer_read(void **state)
{
	struct side *s = client(state);

	assert_true(h1_client_idle(s->mux));
	side_open(s);
	assert_int_equal(adit_mux_room(s->mux, ADIT_CONN_EXCHANGE), 0);
	assert_false(h1_client_idle(s->mux));
	assert_null(adit_mux_open(s->mux, ADIT_CONN_EXCHANGE, NULL));
	assert_null(adit_mux_open(s->mux, 0, NULL));
	assert_int_equal(
		side_head(s, "GET http a.b:81 /x?y\nX: 1\nHost: evil\nTransfer-Encoding: gzip",
			  ADIT_HEAD_END),
		0);
	side_expect(s, "GET /x?y HTTP/1.1\r\nHost: a.b:81\r\nX: 1\r\n\r\n");
	side_send(s, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nY: 2\r\n\r\nhello");
	side_expect_heads(s, "200 11\nContent-Length: 5\nY: 2\n\n");
	side_expect_body(s, "hello");
	assert_true(s->body_ended);
	side_close(s, 0);
	assert_true(h1_client_idle(s->mux));
	side_free(s);
}

static void
a_connection_serves_many(void **state)
{
	struct side *s = client(state);

	for (int i = 0; i < 3; i++) {
		side_open(s);
		assert_int_equal(
			side_head(s, i == 1 ? "GET http b /" : "GET http a /", ADIT_HEAD_END), 0);
		side_expect(s, i == 1 ? "GET / HTTP/1.1\r\nHost: b\r\n\r\n"
				      : "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		side_send(s, "HTTP/1.1 204 No Content\r\n\r\n");
		side_expect_heads(s, "204 11\n\n");
		assert_true(s->body_ended);
		side_close(s, 0);
	}
	assert_true(h1_client_idle(s->mux));
	side_free(s);
}

static void
it_may_be_opened_before_it_is_open(void **state)
{
	struct side *s = client(state);

	/* A pair is open at once; what is not yet is asked for with -EAGAIN by the wrapper. */
	side_open(s);
	assert_true(adit_conn_is_open(&s->x->body));
	assert_int_equal(adit_conn_write(&s->x->body, "x", 1), -EAGAIN);
	side_free(s);
}

static void
bodies_are_framed(void **state)
{
	static const struct {
		const char *head;
		unsigned flags;
		const char *body, *wire;
	} rows[] = {
		{ "POST http a /\nContent-Length: 2", 0, "hi",
		  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" },
		{ "POST http a /", 0, "hi",
		  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" },
		{ "POST http a /", ADIT_HEAD_END, "",
		  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" },
		{ "DELETE http a /", ADIT_HEAD_END, "", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ "GET http a /", 0, "",
		  "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
		{ "OPTIONS http a *", ADIT_HEAD_END, "", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ "GET http - /", ADIT_HEAD_END, "", "GET / HTTP/1.1\r\nHost: \r\n\r\n" },
		{ "GET http a /\nConnection: close", ADIT_HEAD_END, "",
		  "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = client(state);

		side_open(s);
		assert_int_equal(side_head(s, rows[i].head, rows[i].flags), 0);
		if (*rows[i].body)
			side_body(s, rows[i].body);
		side_end(s);
		side_expect(s, rows[i].wire);
		side_free(s);
	}
}

static void
heads_that_cannot_be_are_refused(void **state)
{
	static const struct { const char *head; unsigned flags; } rows[] = {
		{ "POST http a /\nContent-Length: 2", ADIT_HEAD_END },
		{ "POST http a /\nContent-Length: 2\nContent-Length: 2", 0 },
		{ "POST http a /\nContent-Length: +2", 0 },
		{ "- http a /", 0 },
		{ "GET http a -", 0 },
	};
	struct side *s = client(state);

	side_open(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(side_head(s, rows[i].head, rows[i].flags), -EINVAL);
	assert_int_equal(side_head(s, "GET http a /", ADIT_HEAD_END), 0);
	assert_int_equal(side_head(s, "GET http a /", ADIT_HEAD_END), -EINVAL);
	side_expect(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_free(s);
}

/* wire, what is read, and whether the connection can be used again. */
static void
answers_are_framed(void **state)
{
	static const struct { const char *request, *wire, *heads, *body; bool again; } rows[] = {
		{ "GET",
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y "
		  "z\"\r\nabc\r\n0\r\nT: 1\r\n\r\n",
		  "200 11\nTransfer-Encoding: chunked\n\ntrailers\nT: 1\n\n", "abc", true },
		{ "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		  "200 11\nContent-Length: 5\n\n", "", true },
		{ "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "200 11\nTransfer-Encoding: chunked\n\n", "", true },
		{ "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		  "304 11\nContent-Length: 5\n\n", "", true },
		{ "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		  "200 11\nContent-Length: 0\n\n", "", true },
		{ "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
		  "200 11\nConnection: close\nContent-Length: 1\n\n", "x", false },
		{ "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
		  "200 10\nContent-Length: 1\n\n", "x", false },
		{ "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
		  "200 10\nConnection: keep-alive\nContent-Length: 1\n\n", "x", true },
		{ "GET",
		  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n"
		  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		  "100 11\n\n103 11\nLink: <a>\n\n200 11\nContent-Length: 1\n\n", "x", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (int cut = 0; cut < 2; cut++) {
			struct side *s = side_client(*state, NULL, cut);
			char head[64];

			side_open(s);
			snprintf(head, sizeof(head), "%s http a /", rows[i].request);
			assert_int_equal(side_head(s, head, ADIT_HEAD_END), 0);
			side_settle(s);
			side_send(s, rows[i].wire);
			side_expect_heads(s, rows[i].heads);
			side_expect_body(s, rows[i].body);
			assert_true(s->body_ended);
			side_close(s, 0);
			side_settle(s);
			assert_int_equal(s->mux && h1_client_idle(s->mux), rows[i].again);
			side_free(s);
		}
	}
}

static void
an_answer_may_last_until_the_end(void **state)
{
	struct side *s = asked(state);

	side_send(s, "HTTP/1.1 200 OK\r\n\r\nall of");
	side_expect_heads(s, "200 11\n\n");
	side_expect_body(s, "all of");
	assert_false(s->body_ended);
	side_send(s, " this");
	adit_conn_shutdown(s->wire);
	side_expect_body(s, " this");
	assert_true(s->body_ended);
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	side_free(s);
}

static void
bad_answers_fail_the_exchange(void **state)
{
	static const char *const rows[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\n\r\nx",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1200 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.2 200 OK\r\n\r\n",
		"HTTP/0.9 200 OK\r\n\r\n",
		"http/1.1 200 OK\r\n\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n\r\n",
		"<html>\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = asked(state);

		side_send(s, rows[i]);
		side_settle(s);
		if (s->x_err != -EBADMSG)
			fail_msg("taken: %s", rows[i]);
		assert_int_equal(s->heads.len, 0);
		assert_int_equal(s->mux_err, -EBADMSG);
			side_free(s);
	}
}

static void
an_early_end_is_no_end(void **state)
{
	static const char *const rows[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = asked(state);

		side_send(s, rows[i]);
		adit_conn_shutdown(s->wire);
		side_expect_body(s, "hello");
		assert_false(s->body_ended);
		assert_int_equal(s->x_err, ADIT_ETRUNCATED);
		side_free(s);
	}
}

/* A kept connection that was closed meanwhile: the request may go out again on another one. */
static void
an_end_before_the_answer_is_told_apart(void **state)
{
	struct side *s = asked(state);

	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_int_equal(s->x_err, -ECONNRESET);
	side_free(s);

	s = asked(state);
	adit_conn_close(s->wire, -ECONNRESET);
	s->wire = NULL;
	side_settle(s);
	assert_int_equal(s->x_err, -ECONNRESET);
	side_free(s);

	s = asked(state);
	side_send(s, "H");
	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_int_equal(s->x_err, ADIT_ETRUNCATED);
	side_free(s);

	s = asked(state);
	side_send(s, "HTTP/1.1 100 Continue\r\n\r\n");
	side_settle(s);
	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_int_equal(s->x_err, -ECONNRESET);
	side_free(s);
}

static void
what_nobody_asked_for_ends_the_connection(void **state)
{
	struct side *s = client(state);

	side_send(s, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	side_settle(s);
	assert_int_equal(s->mux_err, -EPROTO);
	side_free(s);

	s = client(state);
	side_open(s);
	side_send(s, "HTTP/1.1 200 OK\r\n\r\n");
	side_settle(s);
	assert_int_equal(s->x_err, -EPROTO);
	side_free(s);

	s = asked(state);
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n");
	side_expect_body(s, "x");
	assert_true(s->body_ended);
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->mux_err, -EPROTO);
	side_free(s);

	s = client(state);
	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	side_free(s);
}

static void
an_upgrade_makes_it_raw(void **state)
{
	struct side *s = client(state);

	side_open(s);
	assert_int_equal(side_head(s, "GET http a /ws\nUpgrade: websocket\nConnection: Upgrade", 0),
			 0);
	side_expect(s, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		       "Upgrade\r\n\r\n");
	assert_int_equal(adit_conn_write(&s->x->body, "x", 1), -EAGAIN);
	side_send(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		     "Upgrade\r\n\r\nearly");
	side_expect_heads(s, "101 11\nUpgrade: websocket\nConnection: Upgrade\n\n");
	side_expect_body(s, "early");
	side_body(s, "raw");
	side_expect(s, "raw");
	side_end(s);
	side_settle(s);
	assert_true(s->wire_ended);
	side_send(s, "last");
	adit_conn_shutdown(s->wire);
	side_expect_body(s, "last");
	assert_true(s->body_ended);
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	side_free(s);
}

static void
a_refused_upgrade_is_http_again(void **state)
{
	struct side *s = client(state);

	side_open(s);
	assert_int_equal(side_head(s, "GET http a /ws\nUpgrade: websocket\nConnection: Upgrade", 0),
			 0);
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	side_expect_body(s, "no");
	assert_true(s->body_ended);
	side_close(s, 0);
	assert_true(h1_client_idle(s->mux));
	side_free(s);
}

static void
connect_makes_it_raw(void **state)
{
	struct side *s = client(state);

	side_open(s);
	assert_int_equal(side_head(s, "CONNECT - b:443 -", 0), 0);
	side_expect(s, "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n");
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
	side_settle(s);
	/* llhttp refuses that pair of fields before it can know that they do not count here. */
	assert_int_equal(s->x_err, -EBADMSG);
	side_free(s);

	s = client(state);
	side_open(s);
	assert_int_equal(side_head(s, "CONNECT - b:443 -", 0), 0);
	side_settle(s);
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmore than five");
	side_expect_body(s, "more than five");
	side_body(s, "hi");
	side_close(s, 0);
	side_expect(s, "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\nhi");
	assert_true(s->wire_ended);
	side_free(s);

	s = client(state);
	side_open(s);
	assert_int_equal(side_head(s, "CONNECT - b:443 -", 0), 0);
	side_send(s, "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno");
	side_expect_body(s, "no");
	side_close(s, 0);
	assert_true(h1_client_idle(s->mux));
	side_free(s);
}

/* A server may answer and close before it has read the request: that answer is worth having. */
static void
an_answer_comes_before_the_request_is_sent(void **state)
{
	struct side *s = client(state);
	static char block[65536];
	ssize_t n;

	side_open(s);
	assert_int_equal(side_head(s, "POST http a /\nContent-Length: 10000000", 0), 0);
	side_settle(s);
	side_send(s, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: "
		     "close\r\n\r\nno");
	adit_conn_close(s->wire, 0);
	s->wire = NULL;
	/* What is written meanwhile goes nowhere, without a failure before the answer was read. */
	for (int i = 0; i < 4 && !s->body_ended; i++) {
		n = adit_conn_write(&s->x->body, block, sizeof(block));
		assert_true(n > 0 || n == -EAGAIN);
		loop_turn(s->loop, 1);
	}
	side_expect_heads(s, "413 11\nContent-Length: 2\nConnection: close\n\n");
	side_expect_body(s, "no");
	assert_true(s->body_ended);
	assert_true(adit_conn_write(&s->x->body, block, sizeof(block)) < 0);
	side_free(s);
}

static void
an_answer_without_the_rest_of_the_request(void **state)
{
	struct side *s = client(state);

	side_open(s);
	assert_int_equal(side_head(s, "POST http a /", 0), 0);
	side_body(s, "some");
	side_settle(s);
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	side_expect_body(s, "ok");
	assert_true(s->body_ended);
	side_close(s, 0);		/* the request was not finished: nothing can follow it */
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	assert_true(s->wire_ended);
	side_free(s);
}

static void
giving_up_ends_the_connection(void **state)
{
	struct side *s = asked(state);

	side_close(s, -ECANCELED);
	side_settle(s);
	assert_int_equal(s->mux_err, -ECANCELED);
	assert_int_equal(s->wire_err, -ECANCELED);
	side_free(s);
}

static void
an_unread_answer_stops_the_server(void **state)
{
	struct side *s = asked(state);
	struct loop *l = *state;
	static char block[65536];
	size_t sent = 0;

	s->paused = true;
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
	side_expect_heads(s, "200 11\nContent-Length: 1000000000\n\n");
	for (int i = 0; i < 100; i++) {
		ssize_t n = adit_conn_write(s->wire, block, sizeof(block));

		sent += n > 0 ? (size_t)n : 0;
		loop_turn(l, 2);
	}
	assert_true(sent <= 65536 + 65536);
	assert_true(chunk_pool_used(worker_chunks(l->worker)) < 256 * 1024);
	s->paused = false;
	side_settle(s);
	assert_int_equal(s->body.len, sent);
	side_free(s);
}

/* Heads that nobody takes stop what comes behind them. */
static void
interim_heads_wait_to_be_taken(void **state)
{
	struct side *s = asked(state);
	struct loop *l = *state;
	static const char interim[] = "HTTP/1.1 103 Early Hints\r\n\r\n";
	size_t sent = 0;

	adit_conn_want(&s->x->body, 0);
	for (int i = 0; i < 20000; i++) {
		ssize_t n = adit_conn_write(s->wire, interim, sizeof(interim) - 1);

		sent += n > 0 ? (size_t)n : 0;
		if (n <= 0)
			loop_turn(l, 2);
	}
	assert_true(sent < 4 * 65536);
	side_free(s);
}

static void
draining_lets_the_current_one_end(void **state)
{
	struct side *s = asked(state);

	adit_mux_drain(s->mux);
	side_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	side_expect_body(s, "x");
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	assert_true(s->wire_ended);
	side_free(s);
}

static void
hop_by_hop_fields_are_removed(void **state)
{
	static const struct { const char *fields; bool keep; const char *left; } rows[] = {
		{ "trailers\nConnection: close, X-A,, x-b\nX-A: 1\nX-B: 2\nX-C: 3\nKeep-Alive: "
		  "5\nTE: trailers\n"
		  "Proxy-Connection: x\nTransfer-Encoding: chunked\nUpgrade: h2c",
		  false, "X-C" },
		{ "trailers\nConnection: upgrade\nConnection: x-a\nUpgrade: websocket\nX-A: 1",
		  true, "Upgrade Connection" },
		{ "trailers\nUpgrade: websocket", true, "" },
		{ "trailers\nConnection: content-length, host\nContent-Length: 1", false,
		  "Content-Length" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_fields *f = side_fields(rows[i].fields);
		char left[256] = "";

		assert_int_equal(h1_strip_hop_by_hop(f, rows[i].keep), 0);
		for (size_t k = 0; k < adit_fields_count(f); k++)
			snprintf(left + strlen(left), sizeof(left) - strlen(left), "%s%s",
				 k ? " " : "", adit_fields_at(f, k)->name.s);
		assert_string_equal(left, rows[i].left);
		adit_fields_free(f);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_sent_and_its_answer_read),
		TEST(a_connection_serves_many),
		TEST(it_may_be_opened_before_it_is_open),
		TEST(bodies_are_framed),
		TEST(heads_that_cannot_be_are_refused),
		TEST(answers_are_framed),
		TEST(an_answer_may_last_until_the_end),
		TEST(bad_answers_fail_the_exchange),
		TEST(an_early_end_is_no_end),
		TEST(an_end_before_the_answer_is_told_apart),
		TEST(what_nobody_asked_for_ends_the_connection),
		TEST(an_upgrade_makes_it_raw),
		TEST(a_refused_upgrade_is_http_again),
		TEST(connect_makes_it_raw),
		TEST(an_answer_comes_before_the_request_is_sent),
		TEST(an_answer_without_the_rest_of_the_request),
		TEST(giving_up_ends_the_connection),
		TEST(an_unread_answer_stops_the_server),
		TEST(interim_heads_wait_to_be_taken),
		TEST(draining_lets_the_current_one_end),
		cmocka_unit_test(hop_by_hop_fields_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
