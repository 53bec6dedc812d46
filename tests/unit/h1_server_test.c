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
server(void **state)
{
	return side_server(*state, NULL, false);
}

static void
a_request_is_answered(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\nX-A: 1\r\nx-a:  2 \r\n\r\n");
	side_expect_heads(s, "GET http example.org:8080 /a?b=c 11\nX-A: 1\nx-a: 2\n\n");
	assert_true(s->body_ended);
	assert_int_equal(adit_mux_streams(s->mux), 1);
	assert_int_equal(side_head(s, "200\nContent-Length: 5\nServer: x", 0), 0);
	side_body(s, "hello");
	side_end(s);
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello");
	side_close(s, 0);
	side_settle(s);
	assert_non_null(s->mux);
	assert_int_equal(adit_mux_streams(s->mux), 0);
	assert_false(s->wire_ended);
	side_free(s);
}

/* The next request is not looked at before the one before is over, not even if it is malformed. */
static void
requests_may_be_pipelined(void **state)
{
	struct side *s = server(state);

	side_send(s, "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
		     "POST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc"
		     "PUT /3 HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: "
		     "chunked\r\n\r\n1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n"
		     "bad\r\n\r\n");
	side_expect_heads(s, "GET http a /1 11\n\n");
	assert_int_equal(s->accepted, 1);
	side_respond(s, "one");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
	side_expect_heads(s, "POST http b /2 11\nContent-Length: 3\n\n");
	side_expect_body(s, "abc");
	assert_true(s->body_ended);
	side_respond(s, "two");
	side_expect_heads(s, "PUT http c /3 11\nTransfer-Encoding: chunked\n\n");
	side_expect_body(s, "xyz");
	side_respond(s, "");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"
		       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		       "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
		       "Content-Length: 23\r\nConnection: close\r\n\r\nmalformed request line\n");
	assert_true(s->wire_ended);
	assert_int_equal(s->mux_err, -EBADMSG);
	assert_int_equal(s->accepted, 3);
	side_free(s);
}

static void
bytes_may_come_one_by_one(void **state)
{
	struct side *s = side_server(*state, NULL, true);

	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\nGET /2 HTTP/1.1\r\nHost: "
		     "a\r\n\r\n");
	side_expect_heads(s, "POST http a / 11\nTransfer-Encoding: chunked\n\ntrailers\nX-T: "
			     "1\n\n");
	side_expect_body(s, "hello!");
	assert_true(s->body_ended);
	assert_int_equal(side_head(s, "200", 0), 0);
	side_body(s, "answer");
	side_end(s);
	side_close(s, 0);
	side_expect(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n6\r\nanswer\r\n0\r\n\r\n");
	side_expect_heads(s, "GET http a /2 11\n\n");
	side_free(s);
}

static void
the_first_head_of_many_pieces(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HT");
	side_expect_heads(s, "");
	side_send(s, "TP/1.1\r\nHo");
	side_settle(s);
	side_send(s, "st: a\r\n\r");
	side_expect_heads(s, "");
	side_send(s, "\n");
	side_expect_heads(s, "GET http a / 11\n\n");
	side_free(s);
}

static void
absolute_targets_win_over_host(void **state)
{
	static const struct { const char *request, *head; } rows[] = {
		{ "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET http b:81 /x?y 11\n\n" },
		{ "GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET HTTPS b / 11\n\n" },
		{ "OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS http b * 11\n\n" },
		{ "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "OPTIONS http [::1]:80 * "
								  "11\n\n" },
		{ "GET http://b?y/z HTTP/1.1\r\nHost: a\r\n\r\n", "GET http b /?y/z 11\n\n" },
		{ "OPTIONS http://b:1? HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http b:1 /? "
									"11\n\n" },
		{ "CONNECT c:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT - c:443 - 11\n\n" },
		{ "GET / HTTP/1.0\r\n\r\n", "GET http - / 10\n\n" },
		{ "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET http a / 10\n\n" },
		{ "GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n", "GET http b / 11\n\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = server(state);

		side_send(s, rows[i].request);
		side_expect_heads(s, rows[i].head);
		side_free(s);
	}
}

static void
http_1_0_gets_what_it_understands(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "100", 0), 0);	/* no interim responses */
	side_respond(s, "x");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx");
	side_send(s, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "200", 0), 0);	/* no chunks */
	side_body(s, "until the end");
	side_end(s);
	side_expect(s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
	assert_true(s->wire_ended);
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	side_free(s);
}

static void
close_is_respected_and_said(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\nGET / "
		     "HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	side_respond(s, "x");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
	assert_true(s->wire_ended);
	assert_int_equal(s->accepted, 1);
	side_free(s);

	s = server(state);
	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "204\nConnection: close", ADIT_HEAD_END), 0);
	side_close(s, 0);
	side_expect(s, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	assert_true(s->wire_ended);
	side_free(s);
}

static void
framing_is_derived(void **state)
{
	static const struct {
		const char *method, *head;
		unsigned flags;
		const char *wire;
	} rows[] = {
		{ "GET", "200", ADIT_HEAD_END, "200 OK\r\nContent-Length: 0\r\n\r\n" },
		{ "GET", "200", 0, "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "GET", "200\nTransfer-Encoding: gzip", 0,
		  "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "GET", "204\nContent-Length: 0", ADIT_HEAD_END, "204 No Content\r\n\r\n" },
		{ "GET", "304\nContent-Length: 7", 0,
		  "304 Not Modified\r\nContent-Length: 7\r\n\r\n" },
		{ "GET", "299\nContent-Length: 0", 0, "299 Unknown\r\nContent-Length: 0\r\n\r\n" },
		{ "HEAD", "200\nContent-Length: 7", 0, "200 OK\r\nContent-Length: 7\r\n\r\n" },
		{ "HEAD", "200", 0, "200 OK\r\n\r\n" },
		{ "GET", "200\nHost: x\nContent-Length: 0", 0,
		  "200 OK\r\nContent-Length: 0\r\n\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = server(state);
		char text[256];

		snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].method);
		side_send(s, text);
		side_settle(s);
		assert_int_equal(side_head(s, rows[i].head, rows[i].flags), 0);
		snprintf(text, sizeof(text), "HTTP/1.1 %s", rows[i].wire);
		side_expect(s, text);
		side_free(s);
	}
}

static void
heads_that_cannot_be_are_refused(void **state)
{
	static const struct { const char *head; unsigned flags; } rows[] = {
		{ "200\nContent-Length: 1\nContent-Length: 1", 0 },
		{ "200\nContent-Length: x", 0 },
		{ "200\nContent-Length: 1", ADIT_HEAD_END },
		{ "101\nUpgrade: x\nConnection: upgrade", 0 },	/* nobody asked */
		{ "trailers", 0 },
	};
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(side_head(s, rows[i].head, rows[i].flags), -EINVAL);
	side_respond(s, "x");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	side_free(s);
}

static void
a_response_keeps_to_its_length(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(adit_conn_write(&s->x->body, "early", 5), -EAGAIN);
	assert_int_equal(side_head(s, "200\nContent-Length: 3", 0), 0);
	assert_int_equal(adit_conn_write(&s->x->body, "abcd", 4), 3);
	assert_int_equal(adit_conn_write(&s->x->body, "d", 1), -EMSGSIZE);
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
	side_free(s);

	s = server(state);
	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "200\nContent-Length: 3", 0), 0);
	side_body(s, "ab");
	assert_int_equal(adit_conn_shutdown(&s->x->body), -EPROTO);
	side_close(s, 0);
	side_settle(s);
	assert_int_not_equal(s->wire_err, 0);	/* not to be taken for a whole message */
	side_free(s);
}

static void
head_has_no_body_whatever_is_written(void **state)
{
	struct side *s = server(state);

	side_send(s, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	side_respond(s, "hello");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	assert_int_equal(s->accepted, 2);
	side_free(s);
}

static void
interim_responses_and_trailers_pass(void **state)
{
	struct side *s = server(state);
	struct adit_fields *t = side_fields("trailers\nX-Sum: 1\nContent-Length: 3\nHost: x");

	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		     "2\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "103\nLink: </a>", 0), 0);
	assert_int_equal(side_head(s, "100", 0), 0);
	side_expect(s, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 "
		       "Continue\r\n\r\n");
	side_send(s, "hi");
	side_expect_body(s, "hi");
	assert_int_equal(side_head(s, "200", 0), 0);
	side_body(s, "yo");
	assert_int_equal(adit_exchange_trailers(s->x, t), 0);
	side_end(s);
	side_close(s, 0);
	side_expect(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n2\r\nyo\r\n0\r\nX-Sum: 1\r\n\r\n");
	assert_non_null(s->mux);
	adit_fields_free(t);
	side_free(s);
}

static void
continue_is_said_where_that_was_asked_for(void **state)
{
	struct h1_conf conf = { .send_continue = true };
	struct side *s = side_server(*state, &conf, false);

	s->paused = true;
	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: "
		     "2\r\n\r\n");
	side_expect(s, "");
	s->paused = false;
	side_expect(s, "HTTP/1.1 100 Continue\r\n\r\n");
	side_send(s, "hi");
	side_expect_body(s, "hi");
	side_respond(s, "");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	side_free(s);
}

/* The client may or may not send the body now: only a new connection is without doubt. */
static void
refused_expectation_ends_the_connection(void **state)
{
	struct side *s = server(state);

	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		     "2\r\n\r\n");
	side_settle(s);
	side_respond(s, "");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	assert_true(s->wire_ended);
	side_free(s);
}

static void
a_short_rest_of_a_request_is_dropped(void **state)
{
	struct side *s = server(state);

	s->paused = true;
	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
	side_settle(s);
	side_respond(s, "no");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	assert_non_null(s->mux);
	s->paused = false;
	side_send(s, "lo\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(s->accepted, 2);
	side_free(s);
}

/* Another answer would be taken for the next request's. */
static void
a_malformed_rest_of_a_request_is_not_answered(void **state)
{
	struct side *s = server(state);

	s->paused = true;
	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
	side_settle(s);
	side_respond(s, "no");
	side_send(s, "lo\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	assert_true(s->wire_ended);
	assert_int_equal(s->accepted, 1);
	side_free(s);
}

static void
a_long_rest_of_a_request_is_not_awaited(void **state)
{
	struct side *s = server(state);
	static char zeros[65536];

	s->paused = true;
	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
	side_settle(s);
	side_respond(s, "no");
	side_settle(s);
	for (int i = 0; i < 8 && !s->wire_ended; i++) {
		side_send_bytes(s, zeros, sizeof(zeros));
		side_settle(s);
	}
	assert_true(s->wire_ended);
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	side_free(s);
}

static void
a_malformed_body_fails_the_exchange(void **state)
{
	struct side *s = server(state);

	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		     "chunked\r\n\r\n2\r\nhi\r\nzz\r\n");
	side_expect_body(s, "hi");
	assert_int_equal(s->x_err, -EBADMSG);
	side_close(s, -EBADMSG);
	side_settle(s);
	assert_true(strncmp(s->got.s, "HTTP/1.1 400 Bad Request\r\n", 26) == 0);
	assert_true(s->wire_ended);
	side_free(s);
}

static void
an_early_end_fails_the_exchange(void **state)
{
	static const char *const requests[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
		("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n4\r\nhell\r\n0\r\n"),
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		struct side *s = server(state);

		side_send(s, requests[i]);
		adit_conn_shutdown(s->wire);
		side_expect_body(s, "hell");
		assert_false(s->body_ended);
		assert_int_equal(s->x_err, ADIT_ETRUNCATED);
		side_expect(s, "");
		side_close(s, ADIT_ETRUNCATED);
		side_settle(s);
		assert_int_equal(strncmp(s->got.s, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
		assert_true(s->wire_ended);
		side_free(s);
	}
}

static void
an_end_between_requests_is_polite(void **state)
{
	struct side *s = server(state);

	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	assert_true(s->wire_ended);
	side_free(s);

	/* A client that sends its end at once still gets its answer. */
	s = server(state);
	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	adit_conn_shutdown(s->wire);
	side_settle(s);
	side_respond(s, "x");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
	assert_true(s->wire_ended);
	side_free(s);
}

/* What stands before it is answered to the last, and only there it is said. */
static void
an_end_behind_pipelined_requests_waits(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
		     "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
		     "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
	adit_conn_shutdown(s->wire);
	for (int i = 0; i < 3; i++) {
		side_settle(s);
		side_respond(s, "x");
	}
	side_expect_heads(s, "GET http a /1 11\n\nPOST http a /2 11\nContent-Length: 3\n\n"
			     "GET http a /3 11\n\n");
	side_expect_body(s, "abc");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
		       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
		       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
	assert_true(s->wire_ended);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	side_free(s);

	/* Half of a next one, or nothing, is found once the one before is over. */
	for (int half = 0; half < 2; half++) {
		s = server(state);
		side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
		side_send(s, half ? "GET / HTTP/1.1\r\nHost" : "\r\n");
		adit_conn_shutdown(s->wire);
		side_settle(s);
		side_respond(s, "");
		side_settle(s);
		assert_true(s->wire_ended);
		assert_int_equal(!!strstr(s->got.s, "HTTP/1.1 400 Bad Request\r\n"), half);
		assert_int_equal(s->mux_err, half ? -EBADMSG : -ESHUTDOWN);
		side_free(s);
	}
}

static void
an_end_within_a_head_is_answered(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHos");
	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_int_equal(s->accepted, 0);
	assert_int_equal(s->mux_err, -EBADMSG);
	assert_int_equal(strncmp(s->got.s, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
	assert_true(s->wire_ended);
	side_free(s);
}

static void
a_reset_while_the_answer_is_awaited_is_seen(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	adit_conn_close(s->wire, -ECONNRESET);
	s->wire = NULL;
	side_settle(s);
	assert_int_equal(s->mux_err, -ECONNRESET);
	assert_int_equal(adit_conn_err(&s->x->body), -ECONNRESET);
	side_free(s);
}

static void
aborting_in_the_middle_is_seen(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "200", 0), 0);
	side_body(s, "half of it");
	side_settle(s);
	side_close(s, -EPIPE);
	side_settle(s);
	assert_int_equal(s->wire_err, -EPIPE);
	assert_int_equal(s->mux_err, -EPIPE);
	side_free(s);
}

static void
an_upgrade_makes_it_raw(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		     "Upgrade\r\n\r\nearly");
	side_expect_heads(s, "GET http a /ws 11\nUpgrade: websocket\nConnection: Upgrade\n\n");
	assert_false(s->body_ended);
	assert_int_equal(side_head(s, "101\nUpgrade: websocket\nConnection: Upgrade", 0), 0);
	side_expect(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		       "Upgrade\r\n\r\n");
	side_expect_body(s, "early");
	side_send(s, "GET / HTTP/1.1\r\n\r\n");
	side_expect_body(s, "GET / HTTP/1.1\r\n\r\n");
	side_body(s, "raw");
	side_expect(s, "raw");
	adit_conn_shutdown(s->wire);
	side_settle(s);
	assert_true(s->body_ended);
	side_body(s, "more");
	side_end(s);
	side_expect(s, "more");
	assert_true(s->wire_ended);
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->mux_err, -ESHUTDOWN);
	side_free(s);
}

static void
a_refused_upgrade_is_http_again(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		     "Upgrade\r\n\r\n"
		     "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_false(s->body_ended);
	assert_int_equal(side_head(s, "403", ADIT_HEAD_END), 0);
	side_expect(s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	assert_true(s->body_ended);
	side_close(s, 0);
	side_settle(s);
	assert_int_equal(s->accepted, 2);
	side_free(s);
}

static void
connect_makes_it_raw(void **state)
{
	struct side *s = server(state);

	side_send(s, "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n\x16\x03\x01");
	side_settle(s);
	assert_int_equal(side_head(s, "200\nContent-Length: 5", 0), 0);
	side_expect(s, "HTTP/1.1 200 OK\r\n\r\n");
	side_expect_body(s, "\x16\x03\x01");
	side_close(s, -ECONNRESET);
	side_settle(s);
	assert_int_equal(s->wire_err, -ECONNRESET);
	side_free(s);
}

/* What the client sent in the hope of a tunnel is not taken for requests. */
static void
a_refused_connect_ends_the_connection(void **state)
{
	struct side *s = server(state);

	side_send(s, "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\nGET / HTTP/1.1\r\nHost: "
		     "a\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "405", ADIT_HEAD_END), 0);
	side_close(s, 0);
	side_expect(s, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: "
		       "close\r\n\r\n");
	assert_true(s->wire_ended);
	assert_int_equal(s->accepted, 1);
	side_free(s);

	/* The next try, with a password, may come by the same connection. */
	s = server(state);
	side_send(s, "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "407", ADIT_HEAD_END), 0);
	side_close(s, 0);
	side_send(s, "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n");
	side_settle(s);
	assert_int_equal(s->accepted, 2);
	side_free(s);
}

/* Who does not read its body stops the client, and what is held meanwhile is bounded. */
static void
an_unread_body_stops_the_client(void **state)
{
	struct side *s = server(state);
	struct loop *l = *state;
	static char block[65536];
	size_t sent = 0;
	ssize_t n;

	s->paused = true;
	side_send(s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
	side_settle(s);
	for (int i = 0; i < 100; i++) {
		n = adit_conn_write(s->wire, block, sizeof(block));
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

static void
an_unread_answer_stops_the_owner(void **state)
{
	struct side *s = server(state);
	struct loop *l = *state;
	static char block[65536];
	size_t sent = 0;

	s->wire_paused = true;
	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "200", 0), 0);
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 100; i++) {
		ssize_t n = adit_conn_write(&s->x->body, block, sizeof(block));

		sent += n > 0 ? (size_t)n : 0;
		loop_turn(l, 2);
	}
	assert_true(sent <= 4 * 65536);
	assert_true(chunk_pool_used(worker_chunks(l->worker)) < 512 * 1024);
	s->wire_paused = false;
	side_end(s);
	side_settle(s);
	assert_true(s->got.len > sent);
	assert_memory_equal(s->got.s + s->got.len - 5, "0\r\n\r\n", 5);
	side_free(s);
}

/* What is written in one turn leaves at once: the wire's reader is woken once. */
static void
a_message_is_one_write(void **state)
{
	struct side *s = server(state);
	struct loop *l = *state;

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	assert_int_equal(side_head(s, "200", 0), 0);
	side_body(s, "a");
	side_body(s, "b");
	loop_turn(l, 0);
	assert_int_equal(s->got.len, 0);
	side_end(s);
	side_expect(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
	side_free(s);
}

static void
idle_and_slow_clients_are_let_go(void **state)
{
	struct h1_conf conf = { .head_timeout = ADIT_MS(30), .idle_timeout = ADIT_MS(30) };
	struct side *s = side_server(*state, &conf, false);

	side_send(s, "GET / HTTP/1.1\r\nHos");
	while (!s->wire_ended)
		loop_turn(*state, 1);
	assert_true(strncmp(s->got.s, "HTTP/1.1 408 Request Timeout\r\n", 30) == 0);
	side_free(s);

	s = side_server(*state, &conf, false);
	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	side_respond(s, "x");
	side_settle(s);
	while (!s->wire_ended)
		loop_turn(*state, 1);
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	assert_int_equal(s->mux_err, -ETIMEDOUT);
	side_free(s);
}

static void
draining_ends_after_the_current_exchange(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	adit_mux_drain(s->mux);
	side_settle(s);
	assert_false(s->wire_ended);
	side_respond(s, "x");
	side_expect(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
	assert_true(s->wire_ended);
	assert_int_equal(s->accepted, 1);
	side_free(s);

	s = server(state);
	adit_mux_drain(s->mux);
	side_settle(s);
	assert_true(s->wire_ended);
	side_free(s);
}

static void
closing_the_mux_fails_its_exchange(void **state)
{
	struct side *s = server(state);

	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_settle(s);
	adit_mux_close(s->mux, &(struct adit_reason){ .err = -ECONNABORTED });
	s->mux = NULL;
	side_settle(s);
	assert_int_equal(adit_conn_err(&s->x->body), -ECONNABORTED);
	assert_int_equal(s->wire_err, -ECONNABORTED);
	side_free(s);

	/* One that nobody has accepted goes with it. */
	s = server(state);
	adit_mux_want(s->mux, 0);
	side_send(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	loop_turn(*state, 8);
	assert_int_equal(s->accepted, 0);
	assert_int_equal(adit_mux_streams(s->mux), 1);
	side_free(s);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered),
		TEST(requests_may_be_pipelined),
		TEST(bytes_may_come_one_by_one),
		TEST(the_first_head_of_many_pieces),
		TEST(absolute_targets_win_over_host),
		TEST(http_1_0_gets_what_it_understands),
		TEST(close_is_respected_and_said),
		TEST(framing_is_derived),
		TEST(heads_that_cannot_be_are_refused),
		TEST(a_response_keeps_to_its_length),
		TEST(head_has_no_body_whatever_is_written),
		TEST(interim_responses_and_trailers_pass),
		TEST(continue_is_said_where_that_was_asked_for),
		TEST(refused_expectation_ends_the_connection),
		TEST(a_short_rest_of_a_request_is_dropped),
		TEST(a_malformed_rest_of_a_request_is_not_answered),
		TEST(a_long_rest_of_a_request_is_not_awaited),
		TEST(a_malformed_body_fails_the_exchange),
		TEST(an_early_end_fails_the_exchange),
		TEST(an_end_between_requests_is_polite),
		TEST(an_end_behind_pipelined_requests_waits),
		TEST(an_end_within_a_head_is_answered),
		TEST(a_reset_while_the_answer_is_awaited_is_seen),
		TEST(aborting_in_the_middle_is_seen),
		TEST(an_upgrade_makes_it_raw),
		TEST(a_refused_upgrade_is_http_again),
		TEST(connect_makes_it_raw),
		TEST(a_refused_connect_ends_the_connection),
		TEST(an_unread_body_stops_the_client),
		TEST(an_unread_answer_stops_the_owner),
		TEST(a_message_is_one_write),
		TEST(idle_and_slow_clients_are_let_go),
		TEST(draining_ends_after_the_current_exchange),
		TEST(closing_the_mux_fails_its_exchange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
