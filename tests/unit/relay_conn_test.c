#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/conn/tcp.h"
#include "core/tunnel/relay_conn.h"
#include "tests/unit/conformance.h"
#include "tests/unit/loop.h"

#define LIMIT 10000
#define CAP 70000

struct world {
	struct loop		*loop;
	struct adit_conn	*lower, *peer;	/* a pair; lower is soon the relay conn's */
	struct adit_conn	*conn;
	bool			 told;
	unsigned		 heads;		/* calls of on_head */
	int			 verdict;	/* what on_head returns */
	struct relay_msg	 head;
};

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, CAP, &t->lower, &t->peer),
			 0);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	adit_conn_close(t->conn, 0);
	adit_conn_close(t->peer, 0);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void
on_open(void *owner, struct adit_conn *c, unsigned events)
{
	struct world *t = owner;

	(void)events;
	assert_ptr_equal(c, t->conn);
	t->told = true;
	adit_conn_want(c, 0);
}

static bool
is_told(void *arg)
{
	return ((struct world *)arg)->told;
}

static int
on_head(void *arg, struct adit_conn *c, const struct relay_msg *m)
{
	struct world *t = arg;

	assert_ptr_equal(c, t->conn);
	assert_false(adit_conn_is_open(c));
	t->heads++;
	t->head = *m;
	return t->verdict;
}

static void
make_over(struct world *t, struct adit_conn *lower, const struct relay_msg *request, unsigned ms)
{
	t->conn = relay_conn(lower, request, ms, on_head, t);
	assert_non_null(t->conn);
	adit_conn_own(t->conn, on_open, t);
	adit_conn_want(t->conn, ADIT_OPEN);
}

static void
make(struct world *t, const struct relay_msg *request, unsigned ms)
{
	make_over(t, t->lower, request, ms);
}

static size_t
encode(const struct relay_msg *m, uint8_t *buf, size_t cap)
{
	ssize_t n = relay_encode(m, buf, cap);

	assert_true(n > 0);
	return (size_t)n;
}

static void
peer_writes(struct world *t, const void *buf, size_t len)
{
	assert_int_equal(adit_conn_write(t->peer, buf, len), len);
}

static void
peer_sends(struct world *t, const struct relay_msg *m)
{
	uint8_t buf[2048];

	peer_writes(t, buf, encode(m, buf, sizeof(buf)));
}

static void
expect_failure(struct world *t, int err)
{
	assert_true(loop_until(t->loop, is_told, t, LIMIT));
	assert_false(adit_conn_is_open(t->conn));
	assert_int_equal(adit_conn_err(t->conn), err);
}

static void
expect_open(struct world *t)
{
	assert_true(loop_until(t->loop, is_told, t, LIMIT));
	assert_int_equal(adit_conn_err(t->conn), 0);
	assert_true(adit_conn_is_open(t->conn));
}

/* Bytes pass both ways, unchanged. */
static void
expect_bytes(struct world *t)
{
	char buf[8];

	assert_int_equal(adit_conn_write(t->conn, "ping", 4), 4);
	assert_int_equal(adit_conn_read(t->peer, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "ping", 4);
	peer_writes(t, "pong", 4);
	loop_turn(t->loop, 2);
	assert_int_equal(adit_conn_read(t->conn, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "pong", 4);
}

/* Two addresses, a tunnel and a pair: every length that a message has. */
static struct relay_msg
rich(void)
{
	struct relay_msg m = { .code = RELAY_OK, .n_addr = 2, .has_tunnel = true, .n_pair = 1 };

	assert_int_equal(wire_addr_parse("192.0.2.7:4321", 14, &m.addr[0]), 0);
	assert_int_equal(wire_addr_parse("web.example:80", 14, &m.addr[1]), 0);
	m.tunnel.id.b[0] = 7;
	m.pair[0] = (struct relay_pair){ .key = "k", .key_len = 1, .value = "v", .value_len = 1 };
	return m;
}

/* ---- the request ---------------------------------------------------------------- */

static void
the_request_goes_out_first(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich(), got;
	uint8_t buf[2048], expected[2048];
	size_t len = encode(&m, expected, sizeof(expected));

	make(t, &m, 0);
	memset(&m, 0, sizeof(m));	/* it was copied */
	loop_turn(t->loop, 3);
	assert_int_equal(adit_conn_read(t->peer, buf, sizeof(buf)), len);
	assert_memory_equal(buf, expected, len);
	assert_int_equal(relay_decode(buf, len, &got, NULL), len);
	assert_false(t->told);
	assert_int_equal(adit_conn_write(t->conn, "x", 1), -EAGAIN);
	assert_int_equal(adit_conn_read(t->conn, buf, 1), -EAGAIN);
	peer_sends(t, &(struct relay_msg){ .code = RELAY_OK });
	expect_open(t);
	assert_int_equal(t->heads, 1);
	expect_bytes(t);
}

/* The lower conn takes a few bytes at a time. */
static void
a_request_in_pieces(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich();
	uint8_t buf[2048], expected[2048];
	size_t len = encode(&m, expected, sizeof(expected)), got = 0;

	adit_conn_close(t->lower, 0);
	adit_conn_close(t->peer, 0);
	assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, 5, &t->lower, &t->peer),
			 0);
	make(t, &m, 0);
	while (got < len) {
		ssize_t n;

		loop_turn(t->loop, 3);
		n = adit_conn_read(t->peer, buf + got, sizeof(buf) - got);
		assert_in_range(n, 1, 5);
		got += (size_t)n;
	}
	assert_memory_equal(buf, expected, len);
	peer_sends(t, &(struct relay_msg){ .code = RELAY_OK });
	expect_open(t);
	expect_bytes(t);
}

/* An address without a type stands for our own, which is known when the lower conn is open. */
static void
our_own_address(void **state)
{
	struct world *t = *state;
	struct relay_msg m = { .code = RELAY_BIND, .n_addr = 1 }, got;
	struct adit_conn *dialing = tcp_dialing(t->loop->worker);
	struct sockaddr_storage ss;
	socklen_t sslen = sizeof(ss);
	uint8_t buf[100];
	ssize_t n;
	int fds[2];

	adit_conn_close(t->lower, 0);
	assert_int_equal(conformance_tcp_sockets(fds), 0);
	make_over(t, dialing, &m, 0);
	loop_turn(t->loop, 2);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT), -1);
	tcp_adopt(dialing, fds[0]);
	loop_turn(t->loop, 3);
	n = recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT);
	assert_int_equal(relay_decode(buf, (size_t)n, &got, NULL), n);
	assert_int_equal(got.n_addr, 1);
	assert_int_equal(got.addr[0].type, WIRE_ADDR_IPV4);
	assert_memory_equal(got.addr[0].ip, "\x7f\0\0\1", 4);
	getpeername(fds[1], (struct sockaddr *)&ss, &sslen);
	assert_int_equal(got.addr[0].port, adit_addr_from((struct sockaddr *)&ss, sslen).port);
	close(fds[1]);
	expect_failure(t, -ECONNRESET);
}

static void
no_address_of_our_own(void **state)
{
	struct world *t = *state;
	struct relay_msg m = { .code = RELAY_BIND, .n_addr = 1 }, got;
	uint8_t buf[100];
	ssize_t n;

	make(t, &m, 0);
	loop_turn(t->loop, 3);
	n = adit_conn_read(t->peer, buf, sizeof(buf));
	assert_int_equal(relay_decode(buf, (size_t)n, &got, NULL), n);
	assert_int_equal(got.addr[0].type, WIRE_ADDR_IPV4);
	assert_memory_equal(got.addr[0].ip, "\0\0\0\0", 4);
	assert_int_equal(got.addr[0].port, 0);
}

static void
the_lower_conn_fails_to_open(void **state)
{
	struct world *t = *state;
	struct adit_conn *dialing = tcp_dialing(t->loop->worker);
	struct relay_msg m = rich();

	adit_conn_close(t->lower, 0);
	make_over(t, dialing, &m, 0);
	loop_turn(t->loop, 1);
	adit_conn_fail(dialing, -ECONNREFUSED);
	expect_failure(t, -ECONNREFUSED);
}

/* ---- the answer ------------------------------------------------------------------- */

/* Cut behind each byte: opens with the last one and not before. */
static void
a_head_byte_by_byte(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich();
	uint8_t buf[2048];
	size_t len = encode(&m, buf, sizeof(buf));

	make(t, NULL, 0);
	for (size_t i = 0; i < len; i++) {
		loop_turn(t->loop, 3);
		assert_false(t->told);
		assert_int_equal(t->heads, 0);
		peer_writes(t, buf + i, 1);
	}
	expect_open(t);
	assert_int_equal(t->heads, 1);
	assert_int_equal(t->head.n_addr, 2);
	assert_int_equal(t->head.tunnel.id.b[0], 7);
	expect_bytes(t);
}

/* Cut in two at each place, with bytes behind it in the same write. */
static void
bytes_behind_the_head(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich();
	uint8_t buf[2048];
	size_t len = encode(&m, buf, sizeof(buf));
	char text[16];

	memcpy(buf + len, "behind", 6);
	for (size_t cut = 0; cut <= len; cut++) {
		if (cut) {
			assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, CAP,
							&t->lower, &t->peer),
					 0);
			t->told = false;
		}
		make(t, NULL, 0);
		if (cut)
			peer_writes(t, buf, cut);
		loop_turn(t->loop, 3);
		peer_writes(t, buf + cut, len + 6 - cut);
		expect_open(t);
		assert_int_equal(adit_conn_read(t->conn, text, sizeof(text)), 6);
		assert_memory_equal(text, "behind", 6);
		adit_conn_close(t->conn, 0);
		adit_conn_close(t->peer, 0);
	}
	t->conn = t->peer = NULL;
}

static void
refusals(void **state)
{
	static const struct {
		unsigned status;
		int err;
	} rows[] = {
		{ RELAY_BAD_REQUEST, -EBADMSG },
		{ RELAY_UNAUTHORIZED, ADIT_EUNAUTH },
		{ RELAY_FORBIDDEN, ADIT_EFORBIDDEN },
		{ RELAY_TIMEOUT, -ETIMEDOUT },
		{ RELAY_HOST_UNREACHABLE, ADIT_ENOROUTE },
		{ RELAY_SERVICE_UNAVAILABLE, ADIT_ENOTUNNEL },
		{ RELAY_NETWORK_UNREACHABLE, ADIT_ETARGET },
		{ RELAY_INTERNAL_ERROR, ADIT_EREFUSED },
		{ 9, ADIT_EREFUSED },
		{ 255, ADIT_EREFUSED },
	};
	struct world *t = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char c;

		if (i)
			assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, CAP,
							&t->lower, &t->peer),
					 0);
		t->told = false;
		make(t, NULL, 0);
		peer_sends(t, &(struct relay_msg){ .code = (uint8_t)rows[i].status });
		expect_failure(t, rows[i].err);
		assert_int_equal(adit_conn_read(t->conn, &c, 1), rows[i].err);
		assert_int_equal(t->heads, 0);
		adit_conn_close(t->conn, 0);
		adit_conn_close(t->peer, 0);
	}
	t->conn = t->peer = NULL;
}

static void
statuses_and_errors(void **state)
{
	(void)state;
	assert_int_equal(relay_status_error(RELAY_OK), 0);
	assert_int_equal(relay_error_status(0), RELAY_OK);
	for (unsigned status = 0; status <= RELAY_INTERNAL_ERROR; status++)
		assert_int_equal(relay_error_status(relay_status_error(status)), status);
	assert_int_equal(relay_error_status(-ECONNREFUSED), RELAY_SERVICE_UNAVAILABLE);
}

static void
an_end_inside_the_head(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich();
	uint8_t buf[2048];
	size_t len = encode(&m, buf, sizeof(buf));

	for (size_t cut = 0; cut < len; cut++) {
		if (cut)
			assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, CAP,
							&t->lower, &t->peer),
					 0);
		t->told = false;
		make(t, NULL, 0);
		if (cut)
			peer_writes(t, buf, cut);
		adit_conn_close(t->peer, 0);
		expect_failure(t, -ECONNRESET);
		adit_conn_close(t->conn, 0);
	}
	t->conn = t->peer = NULL;
}

static void
no_relay_message(void **state)
{
	struct world *t = *state;

	make(t, NULL, 0);
	peer_writes(t, "HTTP/1.1 400\r\n\r\n", 16);
	expect_failure(t, -EBADMSG);
}

static void
a_refusal_of_our_own(void **state)
{
	struct world *t = *state;

	t->verdict = ADIT_EFORBIDDEN;
	make(t, NULL, 0);
	peer_sends(t, &(struct relay_msg){ .code = RELAY_OK });
	expect_failure(t, ADIT_EFORBIDDEN);
	assert_int_equal(t->heads, 1);
}

static void
no_answer(void **state)
{
	struct world *t = *state;
	uint64_t start = adit_now();

	make(t, NULL, 50);
	expect_failure(t, -ETIMEDOUT);
	assert_true(adit_now() - start >= ADIT_MS(45));
}

static bool
is_past(void *arg)
{
	return adit_now() >= *(uint64_t *)arg;
}

static void
keep_turning(void *arg)
{
	(void)arg;
}

static void
the_limit_is_for_the_heads_only(void **state)
{
	struct world *t = *state;
	uint64_t end = adit_now() + ADIT_MS(100);
	struct adit_timer *timer = adit_timer_new(t->loop->worker, keep_turning, NULL);

	make(t, NULL, 50);
	peer_sends(t, &(struct relay_msg){ .code = RELAY_OK });
	expect_open(t);
	adit_timer_set(timer, ADIT_MS(101));
	assert_true(loop_until(t->loop, is_past, &end, LIMIT));
	adit_timer_free(timer);
	assert_int_equal(adit_conn_err(t->conn), 0);
	expect_bytes(t);
}

/* ---- the end -------------------------------------------------------------------------- */

static void
closed_before_it_is_open(void **state)
{
	struct world *t = *state;
	char c;

	make(t, NULL, 0);
	peer_writes(t, "\1", 1);
	loop_turn(t->loop, 2);
	adit_conn_close(t->conn, 0);
	t->conn = NULL;
	/* There is no polite end in the middle of the heads. */
	assert_int_equal(adit_conn_read(t->peer, &c, 1), -ECONNABORTED);
	loop_turn(t->loop, 2);
	assert_false(t->told);
}

static void
unwrapped(void **state)
{
	struct world *t = *state;
	struct adit_conn *lower = t->lower;
	char text[8];

	make(t, NULL, 10000);
	peer_sends(t, &(struct relay_msg){ .code = RELAY_OK });
	peer_writes(t, "more", 4);
	expect_open(t);
	assert_ptr_equal(relay_conn_unwrap(t->conn), lower);
	t->conn = NULL;
	loop_turn(t->loop, 2);
	assert_int_equal(adit_conn_read(lower, text, sizeof(text)), 4);
	assert_memory_equal(text, "more", 4);
	assert_int_equal(adit_conn_write(lower, "back", 4), 4);
	assert_int_equal(adit_conn_read(t->peer, text, sizeof(text)), 4);
	adit_conn_close(lower, 0);
}

/* ---- the head of a stream, the reader, sending ------------------------------------------ */

static void
the_head_of_a_stream(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich();
	char text[ADIT_ADDR_TEXT];
	uint16_t port;

	t->conn = relay_conn(t->lower, NULL, 0, relay_stream_head, NULL);
	adit_conn_own(t->conn, on_open, t);
	adit_conn_want(t->conn, ADIT_OPEN);
	peer_sends(t, &m);
	expect_open(t);
	assert_string_equal(adit_addr_format(adit_conn_remote(t->conn), text), "192.0.2.7:4321");
	assert_string_equal(adit_conn_asked(t->conn, &port), "web.example");
	assert_int_equal(port, 80);
}

static void
the_largest_message(void **state)
{
	struct world *t = *state;
	struct collected r = { .buf = NULL };
	struct relay_msg m;
	const char *why = NULL;
	uint8_t *buf = calloc(1, RELAY_MAX + 1);
	size_t sent = 0;
	int got;

	/* One feature of a type that nobody knows fills it. */
	buf[0] = 1;
	buf[2] = buf[3] = 0xff;
	buf[4] = 0x77;
	buf[5] = (65535 - 3) >> 8;
	buf[6] = (65535 - 3) & 0xff;
	buf[RELAY_MAX] = 'x';
	do {
		ssize_t n = adit_conn_write(t->peer, buf + sent, RELAY_MAX + 1 - sent);

		sent += n > 0 ? (size_t)n : 0;
		got = relay_read(&r, t->lower, &m, &why);
		loop_turn(t->loop, 1);
	} while (got == -EAGAIN);
	assert_int_equal(got, 1);
	collected_fini(&r);
	assert_int_equal(adit_conn_read(t->lower, buf, 10), 1);
	assert_int_equal(buf[0], 'x');
	adit_conn_close(t->lower, 0);
	free(buf);
}

static void
sending(void **state)
{
	struct world *t = *state;
	struct relay_msg m = rich(), got;
	uint8_t buf[2048];
	ssize_t n;

	assert_int_equal(relay_send(t->lower, &m), 0);
	n = adit_conn_read(t->peer, buf, sizeof(buf));
	assert_int_equal(relay_decode(buf, (size_t)n, &got, NULL), n);
	m.n_addr = 3;		/* the third has no type */
	assert_int_equal(relay_send(t->lower, &m), -EINVAL);
	adit_conn_close(t->peer, -ECONNRESET);
	t->peer = NULL;
	loop_turn(t->loop, 2);
	assert_true(relay_send(t->lower, &(struct relay_msg){ .code = RELAY_OK }) < 0);
	adit_conn_close(t->lower, 0);
}

/* ---- the same as any conn ------------------------------------------------------------------ */

/* Both send a head that is an answer as well. */
static int
make_relays(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	const struct relay_msg m = { .code = RELAY_OK };
	struct adit_conn *la, *lb;

	if (conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	*a = relay_conn(la, &m, 10000, NULL, NULL);
	*b = relay_conn(lb, &m, 10000, NULL, NULL);
	return *a && *b ? 0 : -ENOMEM;
}

static void
it_conforms(void **state)
{
	static const struct conformance_case relay = { .name = "relay", .make = make_relays };

	(void)state;
	conformance_run(&relay);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_request_goes_out_first),
		TEST(a_request_in_pieces),
		TEST(our_own_address),
		TEST(no_address_of_our_own),
		TEST(the_lower_conn_fails_to_open),
		TEST(a_head_byte_by_byte),
		TEST(bytes_behind_the_head),
		TEST(refusals),
		cmocka_unit_test(statuses_and_errors),
		TEST(an_end_inside_the_head),
		TEST(no_relay_message),
		TEST(a_refusal_of_our_own),
		TEST(no_answer),
		TEST(the_limit_is_for_the_heads_only),
		TEST(closed_before_it_is_open),
		TEST(unwrapped),
		TEST(the_head_of_a_stream),
		TEST(the_largest_message),
		TEST(sending),
		cmocka_unit_test(it_conforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
