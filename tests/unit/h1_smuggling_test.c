/*
 * Requests that two servers could read differently, or that break the grammar: refused with the
 * status given, whole or byte by byte, and nothing behind them is taken for a request. At the end,
 * look-alikes that are right.
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

#include "tests/unit/h1_side.h"

#define H "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct bytes {
	const char	*s;
	size_t		 len;
};
#define B(literal) { literal, sizeof(literal) - 1 }

struct refused {
	const char	*why;
	int		 status;
	struct bytes	 in;
};

static const struct refused heads[] = {
	/* two lengths */
	{ "length and chunks", 400,
	  B(POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
	{ "chunks and length", 400,
	  B(POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n") },
	{ "two lengths", 400, B(POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde") },
	{ "twice the same length", 400,
	  B(POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd") },
	{ "lengths in different case", 400,
	  B(POST "Content-Length: 4\r\nCONTENT-LENGTH: 5\r\n\r\nabcde") },
	{ "list of lengths", 400, B(POST "Content-Length: 4, 4\r\n\r\nabcd") },
	{ "chunks and length 0", 400,
	  B(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n") },
	/* malformed lengths */
	{ "plus", 400, B(POST "Content-Length: +4\r\n\r\nabcd") },
	{ "minus", 400, B(POST "Content-Length: -4\r\n\r\nabcd") },
	{ "hex", 400, B(POST "Content-Length: 0x4\r\n\r\nabcd") },
	{ "blank inside", 400, B(POST "Content-Length: 1 2\r\n\r\nabcdefghijkl") },
	{ "tab inside", 400, B(POST "Content-Length: 1\t2\r\n\r\nabcdefghijkl") },
	{ "empty", 400, B(POST "Content-Length:\r\n\r\n") },
	{ "blank", 400, B(POST "Content-Length: \r\n\r\n") },
	{ "fraction", 400, B(POST "Content-Length: 4.0\r\n\r\nabcd") },
	{ "exponent", 400, B(POST "Content-Length: 1e1\r\n\r\nabcdefghij") },
	{ "more than 64 bits", 400, B(POST "Content-Length: 18446744073709551620\r\n\r\nabcd") },
	{ "more than 63 bits", 400, B(POST "Content-Length: 9223372036854775808\r\n\r\nabcd") },
	{ "quoted", 400, B(POST "Content-Length: \"4\"\r\n\r\nabcd") },
	/* codings */
	{ "identity", 501, B(POST "Transfer-Encoding: identity\r\n\r\n") },
	{ "gzip before chunked", 501, B(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n") },
	{ "chunked is not last", 400, B(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n") },
	{ "chunked twice", 400, B(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n") },
	{ "two fields", 400,
	  B(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
	{ "second field is another", 400,
	  B(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n") },
	{ "comma behind", 400, B(POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n") },
	{ "comma before", 501, B(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n") },
	{ "xchunked", 501, B(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n") },
	{ "chunkedx", 501, B(POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n") },
	{ "parameter", 501, B(POST "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n") },
	{ "quoted chunked", 501, B(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n") },
	{ "vertical tab", 400,
	  B(POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n") },
	{ "empty coding", 501, B(POST "Transfer-Encoding:\r\n\r\n") },
	{ "chunked in 1.0", 400,
	  B("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
	/* names and lines */
	{ "blank before the colon", 400, B(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n") },
	{ "tab before the colon", 400, B(POST "Content-Length\t: 4\r\n\r\nabcd") },
	{ "blank before a name", 400, B(POST " Content-Length: 4\r\n\r\nabcd") },
	{ "blank before the first name", 400, B("POST / HTTP/1.1\r\n " H "\r\n") },
	{ "folded line", 400, B(POST "X: a\r\n b\r\n\r\n") },
	{ "folded coding", 400, B(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n") },
	{ "folded by a tab", 400, B(POST "X: a\r\n\tb\r\n\r\n") },
	{ "no name", 400, B(POST ": x\r\n\r\n") },
	{ "no colon", 400, B(POST "X\r\n\r\n") },
	{ "NUL in a name", 400, B(POST "X\0Y: a\r\n\r\n") },
	{ "NUL in a value", 400, B(POST "X: a\0b\r\n\r\n") },
	{ "underlined name with bracket", 400, B(POST "X[]: a\r\n\r\n") },
	{ "not ASCII in a name", 400, B(POST "X\xc3\xa4: a\r\n\r\n") },
	{ "bare LF behind the request line", 400, B("POST / HTTP/1.1\n" H "\r\n") },
	{ "bare LF behind a field", 400, B(POST "X: a\nContent-Length: 4\r\n\r\nabcd") },
	{ "bare LF at the end", 400, B(POST "X: a\r\n\nGET / HTTP/1.1\r\n" H "\r\n") },
	{ "only LFs", 400, B("POST / HTTP/1.1\nHost: a\n\n") },
	{ "bare CR in a value", 400, B(POST "X: a\rContent-Length: 4\r\n\r\nabcd") },
	{ "bare CR for the end of a line", 400, B(POST "X: a\rY: b\r\n\r\n") },
	{ "bare CR before the end", 400, B(POST "X: a\r\n\r\r\n") },
	{ "CR twice", 400, B(POST "X: a\r\r\n\r\n") },
	/* the request line */
	{ "two blanks before the target", 400, B("GET  / HTTP/1.1\r\n" H "\r\n") },
	{ "two blanks behind the target", 400, B("GET /  HTTP/1.1\r\n" H "\r\n") },
	{ "blank behind the version", 400, B("GET / HTTP/1.1 \r\n" H "\r\n") },
	{ "blank before the method", 400, B(" GET / HTTP/1.1\r\n" H "\r\n") },
	{ "tab", 400, B("GET\t/ HTTP/1.1\r\n" H "\r\n") },
	{ "blank in the target", 400, B("GET /a b HTTP/1.1\r\n" H "\r\n") },
	{ "fragment", 400, B("GET /a#b HTTP/1.1\r\n" H "\r\n") },
	{ "not ASCII in the target", 400, B("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n") },
	{ "NUL in the target", 400, B("GET /\0 HTTP/1.1\r\n" H "\r\n") },
	{ "no version", 400, B("GET /\r\n\r\n") },
	{ "version 0.9", 505, B("GET / HTTP/0.9\r\n" H "\r\n") },
	{ "version 1.2", 505, B("GET / HTTP/1.2\r\n" H "\r\n") },
	{ "version 2", 505, B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
	{ "version 1.10", 400, B("GET / HTTP/1.10\r\n" H "\r\n") },
	{ "version 01.1", 400, B("GET / HTTP/01.1\r\n" H "\r\n") },
	{ "version in lower case", 400, B("GET / http/1.1\r\n" H "\r\n") },
	{ "RTSP", 400, B("OPTIONS / RTSP/1.0\r\n" H "\r\n") },
	{ "ICE", 400, B("SOURCE / ICE/1.0\r\n" H "\r\n") },
	{ "unknown method", 501, B("BREW / HTTP/1.1\r\n" H "\r\n") },
	{ "method in lower case", 501, B("get / HTTP/1.1\r\n" H "\r\n") },
	{ "asterisk for GET", 400, B("GET * HTTP/1.1\r\n" H "\r\n") },
	{ "asterisk and more", 400, B("OPTIONS *x HTTP/1.1\r\n" H "\r\n") },
	{ "relative target", 400, B("GET a HTTP/1.1\r\n" H "\r\n") },
	{ "TLS", 400, B("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03") },
	/* the host */
	{ "no Host", 400, B("GET / HTTP/1.1\r\n\r\n") },
	{ "two Hosts", 400, B("GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n") },
	{ "twice the same Host", 400, B("GET / HTTP/1.1\r\n" H "host: a\r\n\r\n") },
	{ "two Hosts in 1.0", 400, B("GET / HTTP/1.0\r\n" H H "\r\n") },
	{ "empty Host", 400, B("GET / HTTP/1.1\r\nHost:\r\n\r\n") },
	{ "list of Hosts", 400, B("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n") },
	{ "Host with a path", 400, B("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n") },
	{ "Host with a user", 400, B("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n") },
	{ "Host with a blank", 400, B("GET / HTTP/1.1\r\nHost: a b\r\n\r\n") },
	{ "Host with a bad port", 400, B("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n") },
	{ "Host with a big port", 400, B("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n") },
	{ "Host with two ports", 400, B("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n") },
	{ "Host with an open bracket", 400, B("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n") },
	{ "Host with text behind a bracket", 400, B("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n") },
	{ "absolute target and two Hosts", 400, B("GET http://a/ HTTP/1.1\r\n" H H "\r\n") },
	{ "absolute target without Host", 400, B("GET http://a/ HTTP/1.1\r\n\r\n") },
	{ "absolute target with a user", 400, B("GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n") },
	{ "absolute target without a host", 400, B("GET http:///x HTTP/1.1\r\n" H "\r\n") },
	{ "absolute target, bad Host", 400, B("GET http://a/ HTTP/1.1\r\nHost: b b\r\n\r\n") },
	{ "CONNECT without a port", 400, B("CONNECT a HTTP/1.1\r\n" H "\r\n") },
	{ "CONNECT with a path", 400, B("CONNECT a:1/x HTTP/1.1\r\n" H "\r\n") },
	{ "CONNECT with a length", 400,
	  B("CONNECT a:1 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc") },
	{ "CONNECT with chunks", 400,
	  B("CONNECT a:1 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
};

static const struct refused bodies[] = {
	{ "size that is none", 400, B(CHUNKED "x\r\n") },
	{ "empty size", 400, B(CHUNKED "\r\nabc\r\n") },
	{ "blank before the size", 400, B(CHUNKED " 3\r\nabc\r\n0\r\n\r\n") },
	{ "blank behind the size", 400, B(CHUNKED "3 \r\nabc\r\n0\r\n\r\n") },
	{ "minus", 400, B(CHUNKED "-3\r\nabc\r\n0\r\n\r\n") },
	{ "plus", 400, B(CHUNKED "+3\r\nabc\r\n0\r\n\r\n") },
	{ "0x", 400, B(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n") },
	{ "more than 64 bits", 400, B(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n") },
	{ "all of 64 bits", 413, B(CHUNKED "ffffffffffffffff\r\nabc") },
	{ "more than anybody has", 413, B(CHUNKED "10000000001\r\nabc") },
	{ "bare LF behind the size", 400, B(CHUNKED "3\nabc\r\n0\r\n\r\n") },
	{ "bare CR behind the size", 400, B(CHUNKED "3\rabc\r\n0\r\n\r\n") },
	{ "bare LF in an extension", 400, B(CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n") },
	{ "bare LF in a quoted extension", 400, B(CHUNKED "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n") },
	{ "bare CR in an extension", 400, B(CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n") },
	{ "semicolon and nothing", 400, B(CHUNKED "3;\r\nabc\r\n0\r\n\r\n") },
	{ "blank behind an extension", 400, B(CHUNKED "3;a \r\nabc\r\n0\r\n\r\n") },
	{ "two names", 400, B(CHUNKED "3;a b\r\nabc\r\n0\r\n\r\n") },
	{ "extension without a name", 400, B(CHUNKED "3;=a\r\nabc\r\n0\r\n\r\n") },
	{ "extension without a value", 400, B(CHUNKED "3;a=\r\nabc\r\n0\r\n\r\n") },
	{ "text behind a quoted string", 400, B(CHUNKED "3;a=\"b\"c\r\nabc\r\n0\r\n\r\n") },
	{ "quoted string without an end", 400, B(CHUNKED "3;a=\"b\\\"\r\nabc\r\n0\r\n\r\n") },
	{ "quoted LF", 400, B(CHUNKED "3;a=\"\\\n\"\r\nabc\r\n0\r\n\r\n") },
	{ "quoted NUL", 400, B(CHUNKED "3;a=\"\\\0\"\r\nabc\r\n0\r\n\r\n") },
	{ "NUL in an extension", 400, B(CHUNKED "3;a\0\r\nabc\r\n0\r\n\r\n") },
	{ "no CRLF behind a chunk", 400, B(CHUNKED "3\r\nabc0\r\n\r\n") },
	{ "LF behind a chunk", 400, B(CHUNKED "3\r\nabc\n0\r\n\r\n") },
	{ "chunk longer than it says", 400, B(CHUNKED "3\r\nabcd\r\n0\r\n\r\n") },
	{ "bare LF in the trailers", 400, B(CHUNKED "0\r\nA: b\n\r\n") },
	{ "bare LF behind the trailers", 400, B(CHUNKED "0\r\nA: b\r\n\n") },
	{ "bare LF for the end", 400, B(CHUNKED "0\r\n\n") },
	{ "folded trailer", 400, B(CHUNKED "0\r\nA: b\r\n c\r\n\r\n") },
	{ "trailer without a name", 400, B(CHUNKED "0\r\n: b\r\n\r\n") },
	{ "blank in a trailer's name", 400, B(CHUNKED "0\r\nA : b\r\n\r\n") },
	{ "a request for a trailer", 400, B(CHUNKED "0\r\nGET /x HTTP/1.1\r\n" H "\r\n") },
};

static void
assert_refused(struct side *s, const struct refused *r)
{
	char line[64];

	snprintf(line, sizeof(line), "HTTP/1.1 %d ", r->status);
	if (strncmp(s->got.s, line, strlen(line)) != 0)
		fail_msg("%s: %.60s", r->why, s->got.s);
	if (!strstr(s->got.s, "\r\nConnection: close\r\n") || strstr(s->got.s + 1, "HTTP/1.1"))
		fail_msg("%s: %s", r->why, s->got.s);
	if (!s->wire_ended || s->mux_err != -EBADMSG)
		fail_msg("%s: the connection goes on", r->why);
}

/* Sends in, which may not be taken to its end, and a request behind it. */
static struct side *
send_refused(void **state, const struct bytes *in, bool cut)
{
	struct side *s = side_server(*state, NULL, cut);
	char all[512];

	assert_true(in->len < 400);
	memcpy(all, in->s, in->len);
	strcpy(all + in->len, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
	side_send_bytes(s, all, in->len + strlen(all + in->len));
	side_settle(s);
	return s;
}

static void
ambiguous_heads_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		for (int cut = 0; cut < 2; cut++) {
			struct side *s = send_refused(state, &heads[i].in, cut);

			if (s->accepted)
				fail_msg("%s: taken", heads[i].why);
			assert_refused(s, &heads[i]);
			side_free(s);
		}
	}
}

static void
ambiguous_bodies_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		for (int cut = 0; cut < 2; cut++) {
			struct side *s = send_refused(state, &bodies[i].in, cut);

			if (s->x_err != -EBADMSG || s->body_ended)
				fail_msg("%s: taken", bodies[i].why);
			side_close(s, s->x_err);
			side_settle(s);
			assert_refused(s, &bodies[i]);
			side_free(s);
		}
	}
}

/* Close enough to the above to be refused by mistake. */
static const struct {
	struct bytes	 in;
	const char	*head, *body;
} fine[] = {
	{ B(POST "Content-Length: 0004\r\n\r\nabcd"), "POST http a / 11\nContent-Length: 0004\n\n",
	  "abcd" },
	{ B(POST "Content-Length:\t 4  \r\n\r\nabcd"), "POST http a / 11\nContent-Length: 4\n\n",
	  "abcd" },
	{ B(POST "content-length:4\r\n\r\nabcd"), "POST http a / 11\ncontent-length: 4\n\n",
	  "abcd" },
	{ B(POST "Transfer-Encoding: CHUNKED \r\n\r\n0a;x;y=z\r\n0123456789\r\n00\r\n\r\n"),
	  "POST http a / 11\nTransfer-Encoding: CHUNKED\n\n", "0123456789" },
	{ B(CHUNKED "3 ;a\t; b = \"\\\"; \\\\\t\xff\" ;c=d\r\nabc\r\n1;e=\"\"\r\nd\r\n0;f\r\n\r\n"),
	  "POST http a / 11\nTransfer-Encoding: chunked\n\n", "abcd" },
	{ B(POST "X-Transfer-Encoding: chunked\r\nX: a:b \"c\"\xff\r\n\r\n"),
	  "POST http a / 11\nX-Transfer-Encoding: chunked\nX: a:b \"c\"\xff\n\n", "" },
	{ B("\r\nGET //a/../b?c?d HTTP/1.1\r\nHOST: A.b:80\r\n\r\n"),
	  "GET http A.b:80 //a/../b?c?d 11\n\n", "" },
	{ B("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), "GET http a: / 11\n\n", "" },
};

static void
what_is_right_is_taken(void **state)
{
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		for (int cut = 0; cut < 2; cut++) {
			struct side *s = send_refused(state, &fine[i].in, cut);

			side_expect_heads(s, fine[i].head);
			side_expect_body(s, fine[i].body);
			assert_true(s->body_ended);
			side_respond(s, "");
			side_settle(s);
			assert_int_equal(s->accepted, 2);
			side_free(s);
		}
	}
}

static void
fill(struct side *s, const char *piece, size_t bytes)
{
	size_t len = strlen(piece);

	for (size_t n = 0; n < bytes && !s->wire_ended; n += len) {
		if (adit_conn_write(s->wire, piece, len) != (ssize_t)len)
			loop_turn(s->loop, 2);
	}
	side_settle(s);
}

static void
sizes_are_limited(void **state)
{
	static const struct { int status; const char *start, *piece; size_t bytes; } rows[] = {
		{ 414, "GET /", "xxxxxxxxxxxxxxxx", 80000 },
		{ 431, "GET / HTTP/1.1\r\n" H "X: ", "xxxxxxxxxxxxxxxx", 80000 },
		{ 431, "GET / HTTP/1.1\r\n" H, "X: y\r\n", 6 * 260 },
		{ 431, "GET / HTTP/1.1\r\n" H, "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", 80000 },
		{ 414, "", "\r\n", 80000 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = side_server(*state, NULL, false);

		side_send(s, rows[i].start);
		fill(s, rows[i].piece, rows[i].bytes);
		assert_refused(s,
			       &(struct refused){ .why = rows[i].piece, .status = rows[i].status });
		side_free(s);
	}
}

static void
what_frames_a_body_is_limited(void **state)
{
	static const struct { const char *start, *piece; } rows[] = {
		{ CHUNKED "3;a=", "xxxxxxxxxxxxxxxx" },
		{ CHUNKED, "0000000000000000" },
		{ CHUNKED "0\r\n", "A: b\r\n" },
		{ CHUNKED "0\r\nA: ", "xxxxxxxxxxxxxxxx" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct side *s = side_server(*state, NULL, false);

		side_send(s, rows[i].start);
		fill(s, rows[i].piece, 200000);
		assert_int_equal(s->x_err, -EBADMSG);
		side_free(s);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		TEST(ambiguous_heads_are_refused),
		TEST(ambiguous_bodies_are_refused),
		TEST(what_is_right_is_taken),
		TEST(sizes_are_limited),
		TEST(what_frames_a_body_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
