#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/opening.h"
#include "core/http/carried.h"
#include "core/tunnel/table.h"
#include "tests/unit/h1_side.h"
#include "tests/unit/wire_end.h"

#define CAP 65536

/* A conn that carries an exchange of far. */
static struct adit_conn *
carry(struct loop *l, struct side *far)
{
	struct adit_conn *near, *end;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &near, &end), 0);
	far->hands_off = true;
	side_open(far);
	http_carry(near, far->x);
	far->x = NULL;
	return end;
}

static void
send_text(struct side *far, struct adit_conn *c, const char *text)
{
	assert_int_equal(adit_conn_write(c, text, strlen(text)), strlen(text));
	side_settle(far);
}

static void
expect_text(struct side *far, struct adit_conn *c, const char *text)
{
	char got[512];
	ssize_t n;

	side_settle(far);
	n = adit_conn_read(c, got, sizeof(got) - 1);
	assert_true(n > 0);
	got[n] = '\0';
	assert_string_equal(got, text);
}

static void
one_request_is_carried(void **state)
{
	struct side *far = side_client(*state, NULL, false);
	struct adit_conn *c = carry(*state, far);
	char byte;

	send_text(far, c, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\n\r\nhello");
	side_expect(far, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\n\r\nhello");
	side_send(far, "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
		       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		       "2\r\nhi\r\n0\r\nT: 1\r\n\r\n");
	/* Whoever asked knows that the conn serves no other. */
	expect_text(far, c, "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
			    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: "
			    "close\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n");
	assert_int_equal(adit_conn_read(c, &byte, 1), 0);
	adit_conn_close(c, 0);
	side_free(far);
}

static void
an_upgrade_is_carried(void **state)
{
	struct side *far = side_client(*state, NULL, false);
	struct adit_conn *c = carry(*state, far);

	send_text(far, c, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
	side_expect(far, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
	side_send(far, "HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw");
	expect_text(far, c,
		    "HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw");
	send_text(far, c, "bytes");
	side_expect(far, "bytes");
	adit_conn_close(c, 0);
	side_free(far);
}

/* Why the far side failed is known where it was asked: another session may do better. */
static void
a_failure_is_carried(void **state)
{
	struct side *far = side_client(*state, NULL, false);
	struct adit_conn *c = carry(*state, far);
	char byte;

	send_text(far, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	adit_mux_close(far->mux, &(struct adit_reason){ .err = ADIT_EPEERDEAD });
	far->mux = NULL;
	side_settle(far);
	assert_int_equal(adit_conn_read(c, &byte, 1), ADIT_EPEERDEAD);
	adit_conn_close(c, ADIT_EPEERDEAD);
	side_free(far);
}

static void
who_asks_may_go(void **state)
{
	static const char *const begun[] = { "", "GET /", "GET / HTTP/1.1\r\nHost: a\r\n\r\n" };

	for (size_t i = 0; i < sizeof(begun) / sizeof(*begun); i++) {
		struct side *far = side_client(*state, NULL, false);
		struct adit_conn *c = carry(*state, far);

		if (*begun[i])
			send_text(far, c, begun[i]);
		adit_conn_close(c, -ECONNRESET);
		side_settle(far);
		assert_true(far->mux_err != 0 || adit_mux_room(far->mux, ADIT_CONN_EXCHANGE) == 1);
		side_free(far);
	}
}

/* ---- sessions of exchanges in a tunnel ------------------------------------------------------ */

static struct adit_conn *
open_exchange(void *session, const struct adit_open *req, struct adit_err *e)
{
	struct side *far = session;

	(void)req;
	return adit_mux_open(far->mux, ADIT_CONN_EXCHANGE, e);
}

static bool
is_open(void *arg)
{
	return adit_conn_is_open(arg);
}

static void
who_wants_a_stream_gets_one(void **state)
{
	struct loop *l = *state;
	struct adit_open req = { .tunnel = "t", .network = ADIT_TCP };
	struct side *far = side_client(l, NULL, false);
	const struct adit_member member = {
		.tunnel = "t", .network = ADIT_TCP, .open = open_exchange, .session = far,
	};
	uint64_t number = adit_tunnel_join(l->worker, &member);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	assert_int_not_equal(number, 0);
	req.exchange = true;
	c = adit_tunnel_open(l->worker, &req, NULL, &e);
	assert_non_null(adit_exchange_of(c));
	adit_conn_close(c, -ECANCELED);
	side_free(far);
	adit_tunnel_leave(l->worker, number);

	far = side_client(l, NULL, false);
	number = adit_tunnel_join(l->worker, &(const struct adit_member){
		.tunnel = "t", .network = ADIT_TCP, .open = open_exchange, .session = far,
	});
	req.exchange = false;
	c = adit_tunnel_open(l->worker, &req, NULL, &e);
	assert_non_null(c);
	assert_null(adit_exchange_of(c));
	assert_true(loop_until(l, is_open, c, 20000));
	send_text(far, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_expect(far, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	adit_conn_close(c, -ECANCELED);
	adit_tunnel_leave(l->worker, number);
	side_free(far);
}

static void
cancelled(void *arg)
{
	(void)arg;
}

static struct adit_conn *
open_late_exchange(void *session, const struct adit_open *req, struct adit_err *e)
{
	(void)req;
	return adit_mux_open(session, ADIT_CONN_EXCHANGE, e);
}

/* Its session's exchange opens when the session does, and is told of that once. */
static void
an_exchange_may_open_late(void **state)
{
	static const char asked[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	const struct adit_open req = { .tunnel = "t", .network = ADIT_TCP };
	struct loop *l = *state;
	struct adit_conn *below = opening_new(l->worker, cancelled, NULL), *c;
	struct adit_mux *far = h1_client(below, NULL);
	struct wire_end wire;
	uint64_t number = adit_tunnel_join(l->worker, &(const struct adit_member){
		.tunnel = "t", .network = ADIT_TCP, .open = open_late_exchange, .session = far,
	});

	c = adit_tunnel_open(l->worker, &req, NULL, NULL);
	assert_non_null(c);
	loop_turn(l, 4);
	assert_false(adit_conn_is_open(c));
	opening_set(below, wire_end_init(&wire, l));
	assert_true(loop_until(l, is_open, c, 20000));
	loop_turn(l, 8);
	assert_int_equal(adit_conn_write(c, asked, strlen(asked)), strlen(asked));
	loop_turn(l, 8);
	assert_string_equal(wire.got, asked);
	adit_conn_close(c, -ECANCELED);
	adit_tunnel_leave(l->worker, number);
	loop_turn(l, 8);
	adit_mux_close(far, NULL);
	wire_end_fini(&wire);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_request_is_carried),
		TEST(an_upgrade_is_carried),
		TEST(a_failure_is_carried),
		TEST(who_asks_may_go),
		TEST(who_wants_a_stream_gets_one),
		TEST(an_exchange_may_open_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
