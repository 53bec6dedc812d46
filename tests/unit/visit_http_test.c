/*
 * HTTP at the entry point, as visitors and targets see it: where each request goes, over which
 * stream, what is in it when it arrives, and what a visitor gets when something is missing.
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

#include "core/conn/opening.h"
#include "core/tunnel/kept.h"
#include "tests/unit/visit_stage.h"

#define ABOUT(host)                                                                                \
	"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: " host "\r\n"                             \
	"X-Forwarded-Proto: http\r\nGost-Forwarded-Node: here\r\n"
#define GET(path, host)  "GET " path " HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define GOT(path, host)  "GET " path " HTTP/1.1\r\nHost: " host "\r\n" ABOUT(host) "\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " #length "\r\n\r\n" body

static struct wire_end *
stream(struct stage *t, unsigned i)
{
	assert_true(i < t->opens);
	return &t->streams[i].end;
}

/* A request for path at a.example that the given stream answers. */
static void
exchange(struct stage *t, struct wire_end *visitor, unsigned i)
{
	stage_say(t, visitor, GET("/", "a.example"));
	assert_int_equal(t->opens, i + 1);
	stage_expect(t, stream(t, i), GOT("/", "a.example"));
	stage_say(t, stream(t, i), OK(2, "hi"));
	stage_expect(t, visitor, OK(2, "hi"));
}

/* ---- there and back -------------------------------------------------------------- */

static void
a_request_and_its_response(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);
	char text[ADIT_ADDR_TEXT];

	stage_say(t, v,
	          "GET /x?y=1 HTTP/1.1\r\nHost: A.Example:8080\r\nUser-Agent: t\r\n"
	          "Connection: keep-alive, x-mine\r\nX-Mine: 1\r\nTE: gzip\r\n\r\n");
	assert_int_equal(t->opens, 1);
	assert_string_equal(t->streams[0].host, "a.example");
	assert_int_equal(t->streams[0].port, 8080);
	assert_string_equal(adit_addr_format(&t->streams[0].from, text), "192.0.2.1:1000");
	stage_expect(t, stream(t, 0),
	             "GET /x?y=1 HTTP/1.1\r\nHost: A.Example:8080\r\nUser-Agent: t\r\n" ABOUT(
			     "A.Example:8080") "\r\n");
	stage_say(t, stream(t, 0),
	          "HTTP/1.1 203 Sure\r\nX-Tag: 1\r\nKeep-Alive: 5\r\n"
	          "Content-Length: 2\r\n\r\nhi");
	stage_expect(t, v, "HTTP/1.1 203 Sure\r\nX-Tag: 1\r\nContent-Length: 2\r\n\r\nhi");
}

static void
without_a_port_it_is_80(void **state)
{
	struct stage *t = *state;

	stage_say(t, stage_visitor(t, NULL), GET("/", "a.example"));
	assert_int_equal(t->opens, 1);
	assert_int_equal(t->streams[0].port, 80);
}

static void
bodies_with_a_length(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 7\r\n\r\nque");
	stage_expect(t, stream(t, 0),
	             "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 7\r\n" ABOUT(
			     "a.example") "\r\nque");
	stage_say(t, v, "stio");
	stage_expect(t, stream(t, 0), "stio");
	stage_say(t, stream(t, 0), OK(2, "ok"));
	stage_expect(t, v, OK(2, "ok"));
}

/* What is sent is not looked at before the end: the first bytes are there while the rest is not. */
static void
bodies_are_streamed(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: "
	          "chunked\r\n\r\n3\r\none\r\n");
	stage_expect(t, stream(t, 0),
	             "POST / HTTP/1.1\r\nHost: a.example\r\n" ABOUT(
			     "a.example") "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
	stage_say(t, v, "3\r\ntwo\r\n");
	stage_expect(t, stream(t, 0), "3\r\ntwo\r\n");
	stage_say(t, stream(t, 0),
	          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nthre\r\n");
	stage_expect(t, v, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nthre\r\n");
	stage_say(t, v, "0\r\n\r\n");
	stage_expect(t, stream(t, 0), "0\r\n\r\n");
	stage_say(t, stream(t, 0), "1\r\ne\r\n");
	stage_expect(t, v, "1\r\ne\r\n");
	stage_say(t, stream(t, 0), "0\r\n\r\n");
	stage_expect(t, v, "0\r\n\r\n");
	exchange(t, v, 0);
}

static void
trailers_pass_both_ways(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
	          "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n");
	stage_expect_begin(t, stream(t, 0),
	                   "POST / HTTP/1.1\r\nHost: a.example\r\n" ABOUT(
				   "a.example") "Transfer-Encoding: chunked\r\n\r\n");
	stage_expect(t, stream(t, 0), "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n");
	stage_say(t, stream(t, 0),
	          "HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n"
	          "1\r\ny\r\n0\r\nX-End: 2\r\n\r\n");
	stage_expect(t, v,
	             "HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n"
	             "1\r\ny\r\n0\r\nX-End: 2\r\n\r\n");
}

/* To one of HTTP/1.0 nothing can be chunked: the end of the connection is the end of the body. */
static void
a_visitor_of_http_1_0(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
	stage_expect(t, stream(t, 0), GOT("/", "a.example"));
	stage_say(t, stream(t, 0),
	          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	          "2\r\nhi\r\n0\r\nX-End: 2\r\n\r\n");
	stage_expect_last(t, v, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi");
}

/* Far more than the pairs and our own buffers hold, to a peer that stops reading in between. */
static void
big_bodies_arrive_intact(void **state)
{
	enum { LEN = 3 * 1000 * 1000 };
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);
	char head[256], *body = malloc(LEN);
	size_t sent;

	assert_non_null(body);
	for (size_t i = 0; i < LEN; i++)
		body[i] = (char)('a' + i * i % 23);
	snprintf(head, sizeof(head),
	         "PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n", LEN);
	stage_say(t, v, head);
	stage_say_bytes(t, v, body, LEN);
	snprintf(head, sizeof(head),
	         "PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n" ABOUT(
			 "a.example") "\r\n",
	         LEN);
	stage_expect_begin(t, stream(t, 0), head);
	assert_int_equal(stream(t, 0)->len, LEN);
	assert_memory_equal(stream(t, 0)->got, body, LEN);
	stage_forget(stream(t, 0));
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LEN);
	stage_say(t, stream(t, 0), head);
	stage_expect(t, v, head);

	wire_end_pause(v, true);
	for (sent = 0; sent < LEN;) {
		ssize_t n = adit_conn_write(stream(t, 0)->conn, body + sent, LEN - sent);

		if (n < 0)
			break;
		sent += (size_t)n;
		stage_settle(t);
	}
	assert_in_range(sent, 1, LEN / 2); /* bounded, however much there is */
	wire_end_pause(v, false);
	stage_say_bytes(t, stream(t, 0), body + sent, LEN - sent);
	assert_int_equal(v->len, LEN);
	assert_memory_equal(v->got, body, LEN);
	free(body);
}

static void
interim_responses_pass(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\n"
	          "Content-Length: 2\r\n\r\n");
	stage_expect(t, v, ""); /* whether to go on is the target's to say */
	stage_expect(t, stream(t, 0),
	             "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\n"
	             "Content-Length: 2\r\n" ABOUT("a.example") "\r\n");
	stage_say(t, stream(t, 0), "HTTP/1.1 100 Continue\r\n\r\n");
	stage_expect(t, v, "HTTP/1.1 100 Continue\r\n\r\n");
	stage_say(t, v, "go");
	stage_expect(t, stream(t, 0), "go");
	stage_say(t, stream(t, 0), "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
	stage_expect(t, v, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
	stage_say(t, stream(t, 0), "HTTP/1.1 103 Early Hints\r\nLink: </y>\r\n\r\n" OK(2, "ok"));
	stage_expect(t, v, "HTTP/1.1 103 Early Hints\r\nLink: </y>\r\n\r\n" OK(2, "ok"));
	exchange(t, v, 0);
}

/* The target does not want the body: its answer comes at once. */
static void
an_expectation_that_fails(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\n"
	          "Content-Length: 2\r\n\r\n");
	stage_say(t, stream(t, 0), "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
	stage_expect_begin(t, v, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n");
}

static void
a_head_request_has_no_body_in_its_response(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, "HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n");
	stage_say(t, stream(t, 0), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	stage_expect(t, v, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	stage_forget(stream(t, 0));
	exchange(t, v, 0);
}

/* ---- where each request goes -------------------------------------------------------- */

static void
each_request_goes_by_its_own_host(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	exchange(t, v, 0);
	stage_say(t, v, GET("/c", "c.example"));
	assert_int_equal(t->opens, 2);
	assert_int_equal(t->streams[1].tunnel, 'C');
	stage_expect(t, stream(t, 1), GOT("/c", "c.example"));
	stage_expect(t, stream(t, 0), "");
	stage_say(t, stream(t, 1), OK(1, "c"));
	stage_expect(t, v, OK(1, "c"));
	stage_say(t, v, GET("/", "nobody.example"));
	stage_expect_begin(t, v, "HTTP/1.1 404 Not Found\r\n");
	stage_forget(v);
	stage_say(t, v, GET("/again", "a.example"));
	assert_int_equal(t->opens, 2);
	stage_expect(t, stream(t, 0), GOT("/again", "a.example"));
	stage_say(t, stream(t, 0), OK(1, "a"));
	stage_expect(t, v, OK(1, "a"));
}

/* Who was chosen when the visitor came serves his first request; each later one is a new choice. */
static void
the_first_request_goes_to_who_was_chosen(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	stage_join_exclusive(t);
	stage_choose_a(t);
	v = stage_visitor(t, NULL);
	exchange(t, v, 0);
	assert_int_equal(t->streams[0].tunnel, 'A');
	exchange(t, v, 1);
	assert_int_equal(t->streams[1].tunnel, 'B');

	/* He has left meanwhile; or it was another host's after all. */
	stage_leave(t);
	kept_drop(t->loop->worker, 0);
	exchange(t, stage_visitor(t, NULL), 2);
	assert_int_equal(t->streams[2].tunnel, 'B');
	stage_say(t, stage_visitor(t, NULL), GET("/", "c.example"));
	assert_int_equal(t->streams[3].tunnel, 'C');
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, GET("/1", "a.example") GET("/2", "c.example") GET("/3", "a.example"));
	assert_int_equal(t->opens, 1);
	stage_expect(t, stream(t, 0), GOT("/1", "a.example"));
	stage_say(t, stream(t, 0), OK(1, "1"));
	stage_expect(t, v, OK(1, "1"));
	stage_expect(t, stream(t, 1), GOT("/2", "c.example"));
	stage_say(t, stream(t, 1), OK(1, "2"));
	stage_expect(t, stream(t, 0), GOT("/3", "a.example"));
	stage_say(t, stream(t, 0), OK(1, "3"));
	stage_expect(t, v, OK(1, "2") OK(1, "3"));
	assert_int_equal(t->opens, 2);
}

/* The target in an absolute form says where to, whatever Host is (RFC 9112, 3.2.2). */
static void
an_absolute_target_counts(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, "GET http://c.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
	assert_int_equal(t->opens, 1);
	assert_int_equal(t->streams[0].tunnel, 'C');
	stage_expect(t, stream(t, 0), GOT("/x", "c.example"));
}

static void
hosts_that_lead_nowhere(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);
	static const char not_found[] =
		"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: 14\r\n\r\n404 Not Found\n";

	stage_say(t, v, GET("/", "unknown.example"));
	stage_expect(t, v, not_found);
	stage_say(t, v, GET("/", "p.example")); /* private: no word that it is there */
	stage_expect(t, v, not_found);
	stage_say(t, v, "HEAD / HTTP/1.1\r\nHost: unknown.example\r\n\r\n");
	stage_expect_begin(t, v, "HTTP/1.1 404 Not Found\r\n");
	assert_null(strstr(v->got, "404 Not Found\n"));
	stage_forget(v);
	assert_int_equal(t->opens, 0);
	exchange(t, v, 0);
}

static void
a_body_that_nobody_wants(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "POST / HTTP/1.1\r\nHost: unknown.example\r\nContent-Length: 3\r\n\r\nabc" GET(
			  "/", "a.example"));
	stage_expect_begin(t, v, "HTTP/1.1 404 Not Found\r\n");
	assert_int_equal(t->opens, 1);
	stage_expect(t, stream(t, 0), GOT("/", "a.example"));
}

static void
bad_hosts(void **state)
{
	static const char *const heads[] = {
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:99999\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: c.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a..example\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	};
	struct stage *t = *state;

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct wire_end *v = stage_visitor(t, NULL);

		stage_say(t, v, heads[i]);
		stage_expect_begin(t, v, "HTTP/1.1 400 Bad Request\r\n");
		assert_int_equal(t->opens, 0);
	}
}

static void
connect_is_not_for_visitors(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n");
	stage_expect_begin(t, v, "HTTP/1.1 405 Method Not Allowed\r\n");
	assert_non_null(strstr(v->got, "Allow: GET")); /* RFC 9110, 15.5.6 */
	assert_int_equal(t->opens, 0);
}

static void
loops_are_found(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "GET / HTTP/1.1\r\nHost: a.example\r\nGost-Forwarded-Node: x, here\r\n\r\n");
	stage_expect_begin(t, v, "HTTP/1.1 508 Loop Detected\r\n");
	assert_int_equal(t->opens, 0);
}

/* A loop may be longer than one server: who was there before us stays in the list. */
static void
other_nodes_are_kept_for_the_loop_check(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v,
	          "GET / HTTP/1.1\r\nHost: a.example\r\nGost-Forwarded-Node: x\r\n"
	          "Gost-Forwarded-Node: y\r\n\r\n");
	stage_settle(t);
	assert_non_null(strstr(stream(t, 0)->got, "\r\nGost-Forwarded-Node: x, y, here\r\n"));
}

static void
http_2_is_told_that_it_is_not_spoken(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	stage_expect_begin(t, v, "HTTP/1.1 505 HTTP Version Not Supported\r\n");
	assert_true(v->ended);
}

/* ---- who the visitor is ------------------------------------------------------------------ */

static void
claims_of_a_stranger_are_dropped(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, "2001:db8::7");

	stage_say(t, v,
	          "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.1.1.1\r\n"
	          "x_forwarded_proto: https\r\nX-Real-IP: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n"
	          "CF-Connecting-IP: 1.1.1.1\r\n\r\n");
	stage_expect(t, stream(t, 0),
	             "GET / HTTP/1.1\r\nHost: a.example\r\n"
	             "X-Forwarded-For: 2001:db8::7\r\nX-Forwarded-Host: a.example\r\n"
	             "X-Forwarded-Proto: http\r\nGost-Forwarded-Node: here\r\n\r\n");
}

static void
claims_of_a_trusted_proxy_are_kept(void **state)
{
	static char network[] = "192.0.2.0/24";
	static char *list[] = { network };
	struct stage *t = *state;
	struct wire_end *v;
	char text[ADIT_ADDR_TEXT];

	t->shared.conf.trusted = (struct adit_strings){ .n = 1, .v = list };
	v = stage_visitor(t, NULL);
	stage_say(t, v,
	          "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 198.51.100.9\r\n"
	          "X-Forwarded-Proto: https\r\n\r\n");
	assert_string_equal(adit_addr_format_ip(&t->streams[0].from, text), "198.51.100.9");
	stage_settle(t);
	assert_non_null(
		strstr(stream(t, 0)->got, "\r\nX-Forwarded-For: 198.51.100.9, 192.0.2.1\r\n"));
	assert_non_null(strstr(stream(t, 0)->got, "\r\nX-Forwarded-Proto: https\r\n"));
	assert_null(strstr(stream(t, 0)->got, "Proto: http\r\n"));
}

/* One proxy's connection carries many visitors. What was opened for one is not another's. */
static void
visitors_behind_one_proxy_are_told_apart(void **state)
{
	static char network[] = "192.0.2.1";
	static char *list[] = { network };
	struct stage *t = *state;
	struct wire_end *v;
	char text[ADIT_ADDR_TEXT];

	t->shared.conf.trusted = (struct adit_strings){ .n = 1, .v = list };
	stage_visitor_address(t);
	v = stage_visitor(t, NULL);
	for (unsigned i = 0; i < 2; i++) {
		stage_say(t, v,
		          i ? "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: "
		              "198.51.100.2\r\n\r\n"
		            : "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: "
		              "198.51.100.1\r\n\r\n");
		assert_int_equal(t->opens, i + 1);
		stage_say(t, stream(t, i), OK(2, "hi"));
		stage_expect(t, v, OK(2, "hi"));
	}
	assert_string_equal(adit_addr_format_ip(&t->streams[1].from, text), "198.51.100.2");
}

/* ---- streams that are kept --------------------------------------------------------------- */

static void
a_kept_stream_serves_the_next_request(void **state)
{
	struct stage *t = *state;

	exchange(t, stage_visitor(t, NULL), 0);
	exchange(t, t->visitors[0], 0);
	stage_say(t, stage_visitor(t, "192.0.2.2"), GET("/", "a.example"));
	assert_int_equal(t->opens, 1);
	stage_settle(t);
	assert_non_null(strstr(stream(t, 0)->got, "\r\nX-Forwarded-For: 192.0.2.2\r\n"));
}

static void
kept_streams_are_of_one_host(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	exchange(t, v, 0);
	stage_say(t, v, GET("/", "a2.example"));
	assert_int_equal(t->opens, 2);
	stage_say(t, v, GET("/", "a.example:8080"));
	stage_say(t, stream(t, 1), OK(0, ""));
	assert_int_equal(t->opens, 3);
}

static void
two_at_once_need_two_streams(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL), *u = stage_visitor(t, NULL);

	stage_say(t, v, GET("/v", "a.example"));
	stage_say(t, u, GET("/u", "a.example"));
	assert_int_equal(t->opens, 2);
	stage_say(t, stream(t, 1), OK(1, "u"));
	stage_say(t, stream(t, 0), OK(1, "v"));
	stage_expect(t, v, OK(1, "v"));
	stage_expect(t, u, OK(1, "u"));
}

static void
a_visitor_does_not_get_anothers_stream(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL), *u = stage_visitor(t, "192.0.2.2");

	stage_visitor_address(t);
	exchange(t, v, 0);
	stage_say(t, u, GET("/", "a.example"));
	assert_int_equal(t->opens, 2);
	stage_say(t, v, GET("/mine", "a.example"));
	assert_int_equal(t->opens, 2);
	stage_expect(t, stream(t, 0), GOT("/mine", "a.example"));
}

static void
what_was_kept_for_a_visitor_goes_with_him(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_visitor_address(t);
	exchange(t, v, 0);
	assert_false(stream(t, 0)->ended);
	stage_close(t, v, 0);
	assert_true(stream(t, 0)->ended);
}

static void
without_keepalive_each_request_has_its_stream(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.keepalive = false;
	v = stage_visitor(t, NULL);
	for (unsigned i = 0; i < 2; i++) {
		stage_say(t, v, GET("/", "a.example"));
		assert_int_equal(t->opens, i + 1);
		stage_expect(t, stream(t, i),
		             "GET / HTTP/1.1\r\nHost: a.example\r\n" ABOUT(
				     "a.example") "Connection: close\r\n\r\n");
		stage_say(t, stream(t, i), OK(2, "hi"));
		stage_expect(t, v, OK(2, "hi")); /* the visitor's own stays */
		assert_true(stream(t, i)->ended);
	}
}

static void
a_target_that_closes_is_not_kept(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, GET("/", "a.example"));
	stage_say(t, stream(t, 0),
	          "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	stage_expect(t, v, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_true(stream(t, 0)->ended);
	stage_say(t, v, GET("/", "a.example"));
	assert_int_equal(t->opens, 2);
}

/* It ended, or spoke unasked, while nobody used it. */
static void
an_idle_stream_that_ends_is_dropped(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	exchange(t, v, 0);
	stage_close(t, stream(t, 0), 0);
	exchange(t, v, 1);
	stage_say(t, stream(t, 1), OK(4, "evil"));
	assert_true(stream(t, 1)->ended || stream(t, 1)->err);
	exchange(t, v, 2);
}

/* The kept stream breaks when the request is on its way: nobody could know before. */
static struct wire_end *
dead_when_used(struct stage *t, const char *request)
{
	struct wire_end *v = stage_visitor(t, NULL);

	exchange(t, v, 0);
	stage_say(t, v, request);
	assert_int_equal(t->opens, 1);
	stage_close(t, stream(t, 0), 0);
	return v;
}

static void
a_dead_stream_is_replaced_once(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = dead_when_used(t, GET("/2", "a.example"));

	assert_int_equal(t->opens, 2);
	stage_expect(t, v, "");
	stage_expect(t, stream(t, 1), GOT("/2", "a.example"));
	stage_close(t, stream(t, 1), 0);
	assert_int_equal(t->opens, 2);
	stage_expect_begin(t, v, "HTTP/1.1 502 Bad Gateway\r\n");
}

static void
what_replaces_a_dead_stream_serves(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = dead_when_used(t, "DELETE /2 HTTP/1.1\r\nHost: a.example\r\n\r\n");

	assert_int_equal(t->opens, 2);
	stage_expect(t, stream(t, 1),
	             "DELETE /2 HTTP/1.1\r\nHost: a.example\r\n" ABOUT("a.example") "\r\n");
	stage_say(t, stream(t, 1), OK(3, "yes"));
	stage_expect(t, v, OK(3, "yes"));
	exchange(t, v, 1);
}

static void
a_post_is_not_sent_twice(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = dead_when_used(t, "POST / HTTP/1.1\r\nHost: a.example\r\n"
	                                        "Content-Length: 2\r\n\r\nhi");

	assert_int_equal(t->opens, 1);
	stage_expect_begin(t, v, "HTTP/1.1 502 Bad Gateway\r\n");
}

/* It may be repeated, but we do not have it any more. */
static void
a_body_that_was_used_up_is_not_sent_twice(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = dead_when_used(t, "PUT / HTTP/1.1\r\nHost: a.example\r\n"
	                                        "Content-Length: 2\r\n\r\nhi");

	assert_int_equal(t->opens, 1);
	stage_expect_begin(t, v, "HTTP/1.1 502 Bad Gateway\r\n");
}

static void
a_stream_that_answered_is_not_replaced(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	exchange(t, v, 0);
	stage_say(t, v, GET("/", "a.example"));
	stage_say(t, stream(t, 0), "HTTP/1.1 2");
	stage_close(t, stream(t, 0), 0);
	assert_int_equal(t->opens, 1);
	stage_expect_begin(t, v, "HTTP/1.1 502 Bad Gateway\r\n");
}

/* ---- when it does not work ------------------------------------------------------------------- */

static void
nobody_serves_the_tunnel(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, GET("/", "b.example"));
	stage_expect(t, v,
	             "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
	             "Content-Type: text/plain; charset=utf-8\r\n"
	             "Content-Length: 24\r\n\r\n503 Service Unavailable\n");
	exchange(t, v, 0);
}

static void
a_client_that_went_comes_back(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	exchange(t, v, 0);
	stage_leave(t);
	stage_say(t, v, GET("/", "a.example"));
	stage_expect_begin(t, v, "HTTP/1.1 503 Service Unavailable\r\n");
	stage_forget(v);
	stage_join(t);
	exchange(t, v, 1); /* the stream that was kept went through the session that left */
}

static void
a_session_that_opens_nothing(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	t->refuse = ADIT_ELIMIT;
	stage_say(t, v, GET("/", "a.example"));
	stage_expect_begin(t, v, "HTTP/1.1 503 Service Unavailable\r\n");
	t->refuse = 0;
	stage_forget(v);
	t->later = true;
	stage_say(t, v, GET("/", "a.example"));
	assert_non_null(t->waiting);
	stage_expect(t, v, "");
	opening_fail(t->waiting, -ECONNREFUSED);
	stage_expect_begin(t, v, "HTTP/1.1 50");
}

static void
a_target_that_closes_without_a_word(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, GET("/", "a.example"));
	stage_close(t, stream(t, 0), 0);
	stage_expect(t, v,
	             "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
	             "Content-Length: 16\r\n\r\n502 Bad Gateway\n");
	assert_int_equal(t->opens, 1);
	exchange(t, v, 1);
}

static void
a_target_that_does_not_speak_http(void **state)
{
	static const char *const words[] = {
		"SSH-2.0-x\r\n",
		"HTTP/1.1 200\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: ",
	};
	struct stage *t = *state;

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct wire_end *v = stage_visitor(t, NULL);

		stage_say(t, v, GET("/", "a.example"));
		stage_say(t, stream(t, i), words[i]);
		if (stream(t, i)->conn && !stream(t, i)->err && !stream(t, i)->ended)
			stage_close(t, stream(t, i), 0);
		stage_expect_begin(t, v, "HTTP/1.1 502 Bad Gateway\r\n");
	}
}

/* A response that stops in the middle must not look like a whole one. */
static void
a_response_that_is_cut(void **state)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	};
	struct stage *t = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct wire_end *v = stage_visitor(t, NULL);

		stage_say(t, v, GET("/", "a.example"));
		stage_say(t, stream(t, i), heads[i]);
		stage_expect(t, v, heads[i]);
		stage_close(t, stream(t, i), 0);
		stage_settle(t);
		assert_int_equal(v->len, 0);
		assert_int_not_equal(v->err, 0);
	}
}

static void
a_silent_target(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.read_timeout = ADIT_MS(50);
	v = stage_visitor(t, NULL);
	stage_say(t, v, GET("/", "a.example"));
	stage_await(t, v);
	stage_expect_begin(t, v, "HTTP/1.1 504 Gateway Timeout\r\n");
	assert_true(stream(t, 0)->ended || stream(t, 0)->err);
}

/* Of an upgrade no end can be awaited before its answer: it is the target's to speak. */
static void
an_upgrade_that_is_not_answered(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.read_timeout = ADIT_MS(50);
	v = stage_visitor(t, NULL);
	stage_say(t, v, "GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: x\r\n"
			"Connection: Upgrade\r\n\r\n");
	stage_await(t, v);
	stage_expect_begin(t, v, "HTTP/1.1 504 Gateway Timeout\r\n");
}

/* The visitor is told once, and the request is not sent to anybody else: it may be at work. */
static void
a_kept_stream_that_is_silent(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.read_timeout = ADIT_MS(50);
	v = stage_visitor(t, NULL);
	exchange(t, v, 0);
	stage_say(t, v, GET("/", "a.example"));
	stage_await(t, v);
	stage_expect_begin(t, v, "HTTP/1.1 504 Gateway Timeout\r\n");
	assert_int_equal(t->opens, 1);
}

static void
a_stream_that_does_not_open(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.read_timeout = ADIT_MS(50);
	t->later = true;
	v = stage_visitor(t, NULL);
	stage_say(t, v, GET("/", "a.example"));
	assert_non_null(t->waiting);
	stage_await(t, v);
	stage_expect_begin(t, v, "HTTP/1.1 504 Gateway Timeout\r\n");
	assert_null(t->waiting);
}

/* The limit is for the answer, and a target cannot answer what it has not got yet. */
static void
a_slow_upload_is_not_a_silent_target(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;
	uint64_t start;

	t->shared.conf.read_timeout = ADIT_MS(100);
	v = stage_visitor(t, NULL);
	stage_say(t, v, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
	start = adit_now();
	while (adit_now() - start < ADIT_MS(300))
		stage_say(t, v, "1\r\nx\r\n");
	stage_expect(t, v, "");
	stage_say(t, v, "0\r\n\r\n");
	stage_await(t, v);
	stage_expect_begin(t, v, "HTTP/1.1 504 Gateway Timeout\r\n");
}

/* RFC 9110, 15.5.9: and the connection is not for a next request, of which it would be a part. */
static void
an_upload_that_stops_is_the_visitors_fault(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.read_timeout = ADIT_MS(50);
	v = stage_visitor(t, NULL);
	stage_say(t, v, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nab");
	stage_await(t, v);
	stage_expect_begin(t, v, "HTTP/1.1 408 Request Timeout\r\n");
	assert_true(stream(t, 0)->ended || stream(t, 0)->err);
	assert_non_null(memmem(v->got, v->len, "Connection: close\r\n", 19));
}

static void
a_visitor_who_goes(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, GET("/", "a.example"));
	stage_close(t, v, -ECONNRESET);
	assert_true(stream(t, 0)->ended || stream(t, 0)->err);
	assert_int_equal(t->activities.n, 0);
}

/* ---- other protocols
 * ------------------------------------------------------------------------------ */

#define UPGRADE                                                                                    \
	"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\n"               \
	"Upgrade: websocket\r\n\r\n"
#define SWITCHING                                                                                  \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"                               \
	"Connection: Upgrade\r\n\r\n"

static void
an_upgrade_is_a_pipe_from_then_on(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, UPGRADE "early");
	stage_expect(t, stream(t, 0),
	             "GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n"
	             "Connection: Upgrade\r\n" ABOUT("a.example") "\r\n");
	stage_say(t, stream(t, 0), SWITCHING "first");
	stage_expect(t, v, SWITCHING "first");
	stage_expect(t, stream(t, 0), "early");
	stage_say_bytes(t, v, "\0\1GET", 5);
	assert_int_equal(stream(t, 0)->len, 5);
	assert_memory_equal(stream(t, 0)->got, "\0\1GET", 5);
	stage_forget(stream(t, 0));
	stage_say(t, stream(t, 0), "back");
	stage_expect(t, v, "back");

	/* One direction ends, the other goes on. */
	assert_int_equal(adit_conn_shutdown(v->conn), 0);
	stage_expect_last(t, stream(t, 0), "");
	stage_say(t, stream(t, 0), "still");
	stage_expect(t, v, "still");
	stage_close(t, stream(t, 0), 0);
	stage_expect_last(t, v, "");
	assert_int_equal(t->activities.n, 0);
}

static void
an_upgrade_without_keepalive(void **state)
{
	struct stage *t = *state;
	struct wire_end *v;

	t->shared.conf.keepalive = false;
	v = stage_visitor(t, NULL);
	stage_say(t, v, UPGRADE);
	stage_settle(t);
	assert_non_null(strstr(stream(t, 0)->got, "\r\nConnection: Upgrade\r\n"));
	stage_say(t, stream(t, 0), SWITCHING);
	stage_expect(t, v, SWITCHING);
}

static void
an_upgrade_that_is_refused_is_a_request(void **state)
{
	struct stage *t = *state;
	struct wire_end *v = stage_visitor(t, NULL);

	stage_say(t, v, UPGRADE);
	stage_say(t, stream(t, 0), OK(2, "no"));
	stage_expect(t, v, OK(2, "no"));
	stage_forget(stream(t, 0));
	exchange(t, v, 0);
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

static void
draining_lets_a_request_end(void **state)
{
	struct stage *t = *state;
	struct wire_end *busy = stage_visitor(t, NULL), *idle = stage_visitor(t, NULL);

	stage_say(t, busy, GET("/", "a.example"));
	activities_stop(&t->activities, t->loop->worker, 0);
	stage_settle(t);
	assert_true(idle->ended);
	assert_int_equal(t->activities.n, 1);
	stage_say(t, stream(t, 0), OK(2, "hi"));
	stage_expect_last(t, busy,
	                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
	assert_int_equal(t->activities.n, 0);
}

/* In whichever state a visit is: it ends, and asks nobody again. */
static void
stopping_ends_everything(void **state)
{
	struct stage *t = *state;
	struct wire_end *v[5];

	for (unsigned i = 0; i < 5; i++)
		v[i] = stage_visitor(t, NULL);
	exchange(t, v[0], 0);
	stage_say(t, v[0], GET("/kept", "a.example"));
	stage_say(t, v[1], GET("/unanswered", "c.example"));
	stage_say(t, v[2], GET("/half", "a2.example"));
	stage_say(t, stream(t, 2), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	t->later = true;
	stage_say(t, v[3], GET("/opening", "a2.example"));
	assert_int_equal(t->opens, 4);
	activities_stop(&t->activities, t->loop->worker, ADIT_ESTOPPED);
	stage_settle(t);
	activities_stop(&t->activities, t->loop->worker, ADIT_ESTOPPED);
	stage_settle(t);
	assert_int_equal(t->opens, 4);
	assert_null(t->waiting);
	assert_int_equal(t->activities.n, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_true(v[i]->ended || v[i]->err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_response),
		TEST(without_a_port_it_is_80),
		TEST(bodies_with_a_length),
		TEST(bodies_are_streamed),
		TEST(trailers_pass_both_ways),
		TEST(a_visitor_of_http_1_0),
		TEST(big_bodies_arrive_intact),
		TEST(interim_responses_pass),
		TEST(an_expectation_that_fails),
		TEST(a_head_request_has_no_body_in_its_response),
		TEST(each_request_goes_by_its_own_host),
		TEST(the_first_request_goes_to_who_was_chosen),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(an_absolute_target_counts),
		TEST(hosts_that_lead_nowhere),
		TEST(a_body_that_nobody_wants),
		TEST(bad_hosts),
		TEST(connect_is_not_for_visitors),
		TEST(loops_are_found),
		TEST(other_nodes_are_kept_for_the_loop_check),
		TEST(http_2_is_told_that_it_is_not_spoken),
		TEST(claims_of_a_stranger_are_dropped),
		TEST(claims_of_a_trusted_proxy_are_kept),
		TEST(visitors_behind_one_proxy_are_told_apart),
		TEST(a_kept_stream_serves_the_next_request),
		TEST(kept_streams_are_of_one_host),
		TEST(two_at_once_need_two_streams),
		TEST(a_visitor_does_not_get_anothers_stream),
		TEST(what_was_kept_for_a_visitor_goes_with_him),
		TEST(without_keepalive_each_request_has_its_stream),
		TEST(a_target_that_closes_is_not_kept),
		TEST(an_idle_stream_that_ends_is_dropped),
		TEST(a_dead_stream_is_replaced_once),
		TEST(what_replaces_a_dead_stream_serves),
		TEST(a_post_is_not_sent_twice),
		TEST(a_body_that_was_used_up_is_not_sent_twice),
		TEST(a_stream_that_answered_is_not_replaced),
		TEST(nobody_serves_the_tunnel),
		TEST(a_client_that_went_comes_back),
		TEST(a_session_that_opens_nothing),
		TEST(a_target_that_closes_without_a_word),
		TEST(a_target_that_does_not_speak_http),
		TEST(a_response_that_is_cut),
		TEST(a_silent_target),
		TEST(an_upgrade_that_is_not_answered),
		TEST(a_kept_stream_that_is_silent),
		TEST(a_stream_that_does_not_open),
		TEST(a_slow_upload_is_not_a_silent_target),
		TEST(an_upload_that_stops_is_the_visitors_fault),
		TEST(a_visitor_who_goes),
		TEST(an_upgrade_is_a_pipe_from_then_on),
		TEST(an_upgrade_without_keepalive),
		TEST(an_upgrade_that_is_refused_is_a_request),
		TEST(draining_lets_a_request_end),
		TEST(stopping_ends_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
