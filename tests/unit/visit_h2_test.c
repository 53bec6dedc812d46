/*
 * HTTP/2 at the entry point, where requests of one connection go on at a time. What is the same in
 * HTTP/1.1 is visit_http_test's.
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

#include "core/http/h2.h"
#include "tests/unit/h1_side.h"
#include "tests/unit/visit_stage.h"

#define CAP 65536
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define ABOUT                                                                                      \
	"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: a.example\r\n"                            \
	"X-Forwarded-Proto: http\r\nGost-Forwarded-Node: here\r\n"

/* A visitor's client. */
static struct adit_mux *
visitor(struct stage *t)
{
	struct adit_worker *w = t->loop->worker;
	struct adit_conn *near, *far;
	struct adit_addr remote;
	struct adit_mux *m;

	assert_int_equal(adit_addr_parse("192.0.2.1", 1000, &remote), 0);
	assert_int_equal(adit_conn_pair(w, w, CAP, &near, &far), 0);
	adit_conn_set_remote(far, &remote);
	visit_h2(&t->shared, far, &t->start);
	m = h2_client(near, NULL);
	assert_non_null(m);
	stage_settle(t);
	return m;
}

static void
leave(struct stage *t, struct adit_mux *m)
{
	adit_mux_close(m, NULL);
	stage_settle(t);
}

/* A request without a body, on its way. */
static struct adit_exchange *
put_request(struct adit_mux *m, const char *head)
{
	struct adit_exchange *x = adit_exchange_of(adit_mux_open(m, ADIT_CONN_EXCHANGE, NULL));
	struct adit_fields *f = side_fields(head);

	assert_non_null(x);
	assert_int_equal(adit_exchange_send_head(x, f, ADIT_HEAD_END), 0);
	adit_fields_free(f);
	return x;
}

static struct adit_exchange *
ask(struct stage *t, struct adit_mux *m, const char *head)
{
	struct adit_exchange *x = put_request(m, head);

	stage_settle(t);
	return x;
}

/* The response is OK's, and whole. */
static void
expect_ok(struct stage *t, struct adit_exchange *x)
{
	const struct adit_fields *head;
	char body[8];

	stage_settle(t);
	head = adit_exchange_head(x);
	assert_non_null(head);
	assert_int_equal(adit_fields_status(head), 200);
	assert_int_equal(adit_conn_read(&x->body, body, sizeof(body)), 2);
	assert_memory_equal(body, "hi", 2);
	assert_int_equal(adit_conn_read(&x->body, body, sizeof(body)), 0);
	adit_conn_close(&x->body, 0);
	stage_settle(t);
}

static struct wire_end *
stream(struct stage *t, unsigned i)
{
	assert_true(i < t->opens);
	return &t->streams[i].end;
}

/*
 * Methods are compared with case (RFC 9110, 9.1), and HTTP/2 can say any: to what only looks like
 * HEAD a response has a body, which is nobody else's, and what only looks like CONNECT opens no way
 * for bytes that are no request.
 */
static void
methods_are_compared_with_case(void **state)
{
	static const char *const methods[] = { "head", "Head", "connect", "Connect" };
	struct stage *t = *state;
	struct adit_mux *m = visitor(t);

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		struct adit_exchange *x;
		char head[64], got[256];

		snprintf(head, sizeof(head), "%s http a.example /x", methods[i]);
		snprintf(got, sizeof(got), "%s /x HTTP/1.1\r\nHost: a.example\r\n" ABOUT "\r\n",
			 methods[i]);
		x = ask(t, m, head);
		assert_int_equal(t->opens, 1);		/* the stream is kept */
		stage_expect(t, stream(t, 0), got);
		stage_say(t, stream(t, 0), OK);
		expect_ok(t, x);
	}
	leave(t, m);
}

#define OF(client) "GET http a.example /\nX-Forwarded-For: " client

/*
 * A proxy's connection carries visitors at the same time. What was opened for one is not another's,
 * whoever was the first to be done.
 */
static void
visitors_behind_one_proxy_are_told_apart(void **state)
{
	static char network[] = "192.0.2.1";
	static char *list[] = { network };
	struct stage *t = *state;
	struct adit_exchange *one, *two;
	char text[ADIT_ADDR_TEXT];
	struct adit_mux *m;

	t->shared.conf.trusted = (struct adit_strings){ .n = 1, .v = list };
	stage_visitor_address(t);
	m = visitor(t);
	one = ask(t, m, OF("198.51.100.1"));
	two = ask(t, m, OF("198.51.100.2"));
	assert_int_equal(t->opens, 2);
	stage_say(t, stream(t, 1), OK);
	stage_say(t, stream(t, 0), OK);
	expect_ok(t, two);
	expect_ok(t, one);
	stage_forget(stream(t, 0));
	stage_forget(stream(t, 1));

	two = ask(t, m, OF("198.51.100.2"));
	assert_int_equal(t->opens, 2);
	assert_string_equal(adit_addr_format_ip(&t->streams[1].from, text), "198.51.100.2");
	assert_int_equal(stream(t, 0)->len, 0);
	stage_say(t, stream(t, 1), OK);
	expect_ok(t, two);
	leave(t, m);
}

/* What comes while it is under way was looked at by nobody, and may be asked of another. */
static void
a_stop_begins_no_request(void **state)
{
	struct stage *t = *state;
	struct adit_mux *m = visitor(t);
	struct adit_exchange *goes_on = ask(t, m, "GET http a.example /"), *next;

	assert_int_equal(t->opens, 1);
	next = put_request(m, "GET http a.example /");
	activities_stop(&t->activities, t->loop->worker, ADIT_ESTOPPED);
	stage_settle(t);
	assert_int_equal(t->opens, 1);
	assert_int_equal(adit_conn_err(&next->body), ADIT_EDRAINING);
	assert_int_equal(t->activities.n, 0);
	adit_conn_close(&next->body, 0);
	adit_conn_close(&goes_on->body, 0);
	leave(t, m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(methods_are_compared_with_case),
		TEST(visitors_behind_one_proxy_are_told_apart),
		TEST(a_stop_begins_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
