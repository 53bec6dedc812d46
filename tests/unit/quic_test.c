/*
 * QUIC as a mux: streams, flows, sessions and their ends. What is about endpoints:
 * quic_endpoint_test.c
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

#include "tests/unit/conformance.h"
#include "tests/unit/quic_rig.h"

#define STREAMS 200

/* ---- conformance ------------------------------------------------------------------- */

static int
make_streams(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct quic_rig *r = quic_rig_new(t->loop);
	struct adit_mux *client, *server;

	t->own = r;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, a, b);
	r->accepted[r->n_accepted++] = client;	/* closed with the others */
	return 0;
}

static int
make_server_streams(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct quic_rig *r = quic_rig_new(t->loop);
	struct adit_mux *client, *server;

	t->own = r;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, server, client, a, b);
	r->accepted[r->n_accepted++] = client;
	return 0;
}

static void
finish_streams(struct conformance *t)
{
	quic_rig_free(t->own);
}

static void
streams_conform(void **state)
{
	static const struct conformance_case streams = {
		.name = "quic", .make = make_streams, .finish = finish_streams,
	};

	(void)state;
	conformance_run(&streams);
}

static void
servers_streams_conform(void **state)
{
	static const struct conformance_case streams = {
		.name = "quic-server", .make = make_server_streams, .finish = finish_streams,
	};

	(void)state;
	conformance_run(&streams);
}

/* ---- bytes ----------------------------------------------------------------------------- */

static void
assert_crossed(const struct crossing *x)
{
	assert_int_equal(x->failed, 0);
	assert_true(x->ended);
	assert_int_equal(x->got, x->want);
	assert_false(x->bad);
}

static void
what_was_agreed_on_is_told(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	assert_string_equal(quic_session_alpn(client), "adit/1");
	assert_string_equal(quic_session_alpn(server), "adit/1");
	assert_string_equal(quic_session_server_name(server), "server.test");
	assert_null(quic_session_peer(server));
	assert_true(adit_addr_equal(adit_mux_remote(client), &r->at));
	assert_true(adit_addr_equal(adit_mux_remote(server), quic_endpoint_local(r->client)));
	assert_true(quic_session_rtt(client) > 0);
	adit_mux_close(client, NULL);
}

static void
bytes_cross_without_offloads(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	r->udp.no_gso = r->udp.no_gro = true;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_cross(r, client, server, 1000000);
	adit_mux_close(client, NULL);
}

static void
bytes_cross_over_ipv6(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	assert_int_equal(adit_addr_parse("::1", 0, &r->udp.bind), 0);
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_cross(r, client, server, 1000000);
	adit_mux_close(client, NULL);
}

/* The server's address is a wildcard; answers come from where they were sent to. */
static void
wildcard_sockets_answer(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	assert_int_equal(adit_addr_parse("::", 0, &r->udp.bind), 0);
	quic_rig_start(r);
	assert_int_equal(adit_addr_parse("127.0.0.5", r->at.port, &r->at), 0);
	quic_rig_session(r, &client, &server);
	assert_true(adit_addr_equal(adit_mux_local(server), &r->at));
	quic_rig_cross(r, client, server, 100000);
	adit_mux_close(client, NULL);
}

static void
bytes_cross_bad_weather(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	r->up.lost = r->down.lost = 30;
	r->up.late = r->down.late = 30;
	r->up.twice = r->down.twice = 30;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_cross(r, client, server, 600000);
	quic_rig_cross(r, server, client, 300000);
	adit_mux_close(client, NULL);
}

/* More streams than are granted at first, in bad weather: each intact, with its own ends. */
static void
many_streams_at_once(void **state)
{
	struct quic_rig *r = *state;
	static struct crossing x[2 * STREAMS];
	struct adit_mux *client, *server;
	struct adit_conn *conns[2 * STREAMS];

	r->up.lost = r->down.lost = 10;
	r->up.late = r->down.late = 10;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < STREAMS; i++) {
		quic_rig_stream(r, client, server, &conns[2 * i], &conns[2 * i + 1]);
		crossing_start(&x[2 * i], conns[2 * i], conns[2 * i + 1], 5000 + (size_t)i);
		crossing_start(&x[2 * i + 1], conns[2 * i + 1], conns[2 * i], 3000 + (size_t)i);
	}
	assert_int_equal(adit_mux_streams(client), STREAMS);
	assert_int_equal(adit_mux_streams(server), STREAMS);
	assert_true(crossings_run(r, x, 2 * STREAMS, RIG_LIMIT));
	for (int i = 0; i < 2 * STREAMS; i++) {
		assert_crossed(&x[i]);
		adit_conn_close(conns[i], 0);
	}
	assert_int_equal(adit_mux_streams(client), 0);
	adit_mux_close(client, NULL);
}

static bool
has_room(void *arg)
{
	return adit_mux_room(arg, 0);
}

/* Room is what the peer grants; it comes back as streams close. */
static void
streams_are_counted(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a[8], *b[8];
	struct adit_err e = ADIT_ERR_INIT;

	r->conf.params.streams = r->conf.params.streams_max = 8;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(adit_mux_room(client, 0), 8 - i);
		quic_rig_stream(r, client, server, &a[i], &b[i]);
		assert_int_equal(quic_conn_number(a[i]), 4 * i);
		assert_int_equal(quic_conn_number(b[i]), 4 * i);
	}
	assert_int_equal(adit_mux_room(client, 0), 0);
	assert_null(adit_mux_open(client, 0, &e));
	assert_int_equal(e.code, ADIT_ELIMIT);
	for (int i = 0; i < 8; i++) {
		adit_conn_close(a[i], 0);
		adit_conn_close(b[i], 0);
	}
	assert_true(loop_until(r->l, has_room, client, RIG_LIMIT));
	for (int i = 0; i < 100; i++) {
		assert_true(loop_until(r->l, has_room, client, RIG_LIMIT));
		quic_rig_stream(r, client, server, &a[0], &b[0]);
		adit_conn_close(a[0], i & 1 ? -ECONNRESET : 0);
		adit_conn_close(b[0], i & 2 ? -ECONNRESET : 0);
	}
	adit_mux_close(client, NULL);
}

/* Streams may be opened before the handshake is done, and wait. */
static void
early_streams_wait(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;
	struct adit_conn *a, *b, *unused;
	char buf[8];

	quic_rig_start(r);
	client = quic_rig_connect(r);
	a = adit_mux_open(client, 0, NULL);
	unused = adit_mux_open(client, 0, NULL);
	assert_non_null(a);
	assert_non_null(unused);
	assert_false(adit_conn_is_open(a));
	assert_int_equal(adit_conn_write(a, "x", 1), -EAGAIN);
	adit_conn_close(unused, 0);
	assert_true(quic_rig_until_open(r, client));
	while (adit_conn_write(a, "early", 5) == -EAGAIN)
		loop_turn(r->l, 1);
	while (!r->n_accepted)
		loop_turn(r->l, 1);
	b = quic_rig_accept(r, r->accepted[0]);
	assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), 5);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

static void
unidirectional_streams(void **state)
{
	static const struct quic_alpn h3[] = { { "h3", false } };
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	char buf[8];

	r->params.alpn = h3;
	r->params.n_alpn = 1;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	assert_string_equal(quic_session_alpn(server), "h3");
	assert_int_equal(adit_mux_room(client, ADIT_CONN_DGRAM), 0);
	a = adit_mux_open(server, ADIT_CONN_UNI, NULL);
	assert_int_equal(adit_conn_write(a, "one way", 7), 7);
	assert_int_equal(adit_conn_shutdown(a), 0);
	assert_int_equal(adit_conn_read(a, buf, 1), 0);
	b = quic_rig_accept(r, client);
	assert_true(adit_conn_flags(b) & ADIT_CONN_UNI);
	assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), 7);
	assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), 0);
	assert_int_equal(adit_conn_write(b, "back", 4), -EPIPE);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

/* ---- ends ------------------------------------------------------------------------------ */

static void
resets_carry_their_code(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	char buf[8];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 2; i++) {
		quic_rig_stream(r, i ? server : client, i ? client : server, &a, &b);
		adit_conn_set_code(a, 0x10c + (uint64_t)i);
		adit_conn_close(a, -ECONNABORTED);
		assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), -ECONNRESET);
		assert_int_equal(adit_conn_code(b), 0x10c + i);
		assert_int_equal(adit_conn_write(b, "x", 1), -ECONNRESET);
		adit_conn_close(b, -ECONNRESET);
	}
	assert_int_equal(adit_mux_err(client), 0);
	quic_rig_cross(r, client, server, 1000);
	adit_mux_close(client, NULL);
}

static bool
write_fails(void *arg)
{
	static char buf[16384];
	ssize_t n = adit_conn_write(arg, buf, sizeof(buf));

	return n < 0 && n != -EAGAIN;
}

/* Who only writes learns of a reset too. */
static void
resets_reach_who_only_writes(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 2; i++) {
		quic_rig_stream(r, i ? server : client, i ? client : server, &a, &b);
		adit_conn_close(a, -ECONNRESET);
		assert_true(loop_until(r->l, write_fails, b, RIG_LIMIT));
		assert_int_equal(adit_conn_err(b), -ECONNRESET);
		adit_conn_close(b, -ECONNRESET);
	}
	adit_mux_close(client, NULL);
}

static void
note_ready(void *owner, struct adit_conn *c, unsigned events)
{
	*(bool *)owner = events;
	adit_conn_want(c, 0);
}

static bool
is_set(void *arg)
{
	return *(bool *)arg;
}

/* What had arrived comes before the failure. */
static void
bytes_come_before_the_reset(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	bool ready = false;
	char buf[16];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &a, &b);
	assert_int_equal(adit_conn_read(b, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(adit_conn_write(a, "before", 6), 6);
	adit_conn_own(b, note_ready, &ready);
	adit_conn_want(b, ADIT_READ);
	assert_true(loop_until(r->l, is_set, &ready, RIG_LIMIT));
	adit_conn_close(a, -ECONNABORTED);
	while (!adit_conn_err(b))
		loop_turn(r->l, 1);
	assert_int_equal(adit_conn_read(b, buf, sizeof(buf)), 6);
	assert_int_equal(adit_conn_read(b, buf, sizeof(buf)), -ECONNRESET);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

/*
 * A side that closes politely does not read any more: the other one's writes fail, also when its
 * window is full.
 */
static void
stop_sending_is_noticed(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	char buf[8];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &a, &b);
	for (int i = 0; i < 300; i++) {
		static char big[16384];

		adit_conn_write(a, big, sizeof(big));
		loop_turn(r->l, 1);
	}
	adit_conn_close(b, 0);
	assert_true(loop_until(r->l, write_fails, a, RIG_LIMIT));
	assert_int_equal(adit_conn_err(a), -EPIPE);
	assert_int_equal(adit_conn_read(a, buf, sizeof(buf)), 0);	/* its end had come */
	adit_conn_close(a, -EPIPE);
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(client, NULL);
}

/* A polite close delivers all that was taken, though its owner is gone. */
static void
polite_close_delivers(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	static char buf[65536];
	size_t taken = 0, got = 0;
	ssize_t n;

	r->up.lost = 50;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &a, &b);
	while ((n = adit_conn_write(a, buf, sizeof(buf))) > 0)
		taken += (size_t)n;
	assert_in_range(taken, 65536, 66000);	/* the first send queue */
	adit_conn_close(a, 0);
	while ((n = quic_rig_read(r, b, buf, sizeof(buf))) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, taken);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

static void
closing_tells_why(void **state)
{
	const struct adit_reason why = { .err = ADIT_ESTOPPED,
		                         .code = 42,
		                         .text = "that is enough" };
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b, *never;
	char buf[8];

	for (int i = 0; i < 2; i++) {
		if (!i)
			quic_rig_start(r);
		quic_rig_session(r, &client, &server);
		quic_rig_stream(r, client, server, &a, &b);
		never = adit_mux_open(client, 0, NULL);		/* nobody accepts it */
		adit_conn_write(never, "x", 1);
		loop_turn(r->l, 20);
		adit_mux_close(i ? client : server, &why);
		assert_int_equal(adit_conn_read(i ? a : b, buf, 1), ADIT_ESTOPPED);
		assert_true(quic_rig_until_ended(r, i ? server : client));
		assert_int_equal(adit_mux_err(i ? server : client), -ECONNRESET);
		assert_int_equal(adit_mux_reason(i ? server : client)->code, 42);
		assert_string_equal(adit_mux_reason(i ? server : client)->text, "that is enough");
		assert_int_equal(quic_rig_read(r, i ? b : a, buf, 1), -ECONNRESET);
		assert_null(adit_mux_open(i ? server : client, 0, NULL));
		assert_int_equal(adit_mux_room(i ? server : client, 0), 0);
		adit_conn_close(a, 0);
		adit_conn_close(b, 0);
		adit_conn_close(never, 0);
		if (!i)
			adit_mux_close(client, NULL);
	}
}

static void
idle_sessions_time_out(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	r->params.idle = ADIT_MS(200);
	r->params.keep_alive = r->conf.params.keep_alive = UINT64_MAX;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	assert_true(quic_rig_until_ended(r, client));
	assert_true(quic_rig_until_ended(r, server));
	assert_int_equal(adit_mux_err(client), -ETIMEDOUT);
	assert_int_equal(adit_mux_err(server), -ETIMEDOUT);
	adit_mux_close(client, NULL);
}

struct lapse {
	uint64_t	 until;
	struct adit_mux	*m;
};

static bool
has_lapsed(void *arg)
{
	const struct lapse *l = arg;

	return adit_mux_err(l->m) || adit_now() >= l->until;
}

static void
keep_alive_keeps_alive(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct lapse l = { 0 };

	r->params.idle = ADIT_MS(400);
	r->params.keep_alive = ADIT_MS(50);
	r->conf.params.keep_alive = UINT64_MAX;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	l = (struct lapse){ .until = adit_now() + ADIT_MS(1200), .m = client };
	assert_true(loop_until(r->l, has_lapsed, &l, RIG_LIMIT));
	assert_int_equal(adit_mux_err(client), 0);
	assert_int_equal(adit_mux_err(server), 0);
	assert_true(adit_now() - adit_mux_heard(client) < ADIT_MS(400));
	adit_mux_close(client, NULL);
}

/*
 * A probe is answered within a round trip, whatever the keep-alive, and not when the delay of an
 * acknowledgement (25 ms) is over; a dead peer answers nothing.
 */
static void
probes_are_answered(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	uint64_t asked, fastest = UINT64_MAX;
	struct hearing h;
	unsigned sent;

	r->params.keep_alive = r->conf.params.keep_alive = UINT64_MAX;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 8; i++) {
		struct adit_mux *m = i & 1 ? client : server;

		loop_until(r->l, has_heard, &(struct hearing){ m, adit_now() }, 60); /* quiet now */
		h = (struct hearing){ m, adit_mux_heard(m) };
		asked = adit_now();
		adit_mux_probe(m);
		assert_true(loop_until(r->l, has_heard, &h, RIG_LIMIT));
		assert_int_equal(adit_mux_err(m), 0);
		if (adit_now() - asked < fastest)
			fastest = adit_now() - asked;
	}
	assert_true(fastest < ADIT_MS(20));
	r->down.cut = true;
	h = (struct hearing){ client, adit_mux_heard(client) };
	sent = r->up.sent;
	adit_mux_probe(client);
	assert_false(loop_until(r->l, has_heard, &h, 300));
	assert_true(r->up.sent > sent);
	adit_mux_close(client, NULL);
}

static void
probe_and_hear(struct quic_rig *r, struct adit_mux *asks, struct adit_mux *hears)
{
	struct hearing h = { hears, adit_mux_heard(hears) };

	adit_mux_probe(asks);
	assert_true(loop_until(r->l, has_heard, &h, RIG_LIMIT));
}

/* An acknowledgement that leaves at the same time is not taken for the question. */
static void
a_probe_beside_an_acknowledgement_is_sent(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	uint64_t due;

	r->params.keep_alive = r->conf.params.keep_alive = UINT64_MAX;
	r->params.payload_max = r->conf.params.payload_max = 1200;	/* nothing to find out */
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 3; i++) {
		/* Quiet now. ngtcp2 adds a PING to the second bare acknowledgement by itself. */
		loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 60);
		probe_and_hear(r, i < 2 ? server : client, server);
	}
	/*
	 * The loop stands still until the acknowledgement is overdue, but not for a PTO of the
	 * client's.
	 */
	for (due = adit_now() + ADIT_MS(10); adit_now() < due;)
		;
	probe_and_hear(r, server, server);
	adit_mux_close(client, NULL);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Streams that nobody reads hold a bounded amount and stop no other. */
static void
stuck_streams_stop_no_other(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *stuck[20][2];
	static char buf[65536];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 20; i++)
		quic_rig_stream(r, client, server, &stuck[i][0], &stuck[i][1]);
	for (int n = 0; n < 100; n++) {
		for (int i = 0; i < 20; i++)
			adit_conn_write(stuck[i][0], buf, sizeof(buf));
		loop_turn(r->l, 3);
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(adit_conn_write(stuck[i][0], buf, sizeof(buf)), -EAGAIN);
	quic_rig_cross(r, client, server, 3000000);
	/* Per stream: one window unread, one queue unsent. */
	assert_in_range(chunk_pool_used(worker_chunks(r->l->worker)), 20 * (64 << 10),
			20 * ((128 << 10) + (128 << 10)) + (4 << 20));
	for (int i = 0; i < 20; i++) {
		adit_conn_close(stuck[i][0], -ECONNRESET);
		adit_conn_close(stuck[i][1], -ECONNRESET);
	}
	quic_rig_cross(r, server, client, 100000);
	adit_mux_close(client, NULL);
}

static bool
no_chunks(void *arg)
{
	struct quic_rig *r = arg;

	return !chunk_pool_used(worker_chunks(r->l->worker));
}

static void
idle_sessions_hold_no_buffers(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &a, &b);
	assert_true(loop_until(r->l, no_chunks, r, RIG_LIMIT));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

/* ---- flows --------------------------------------------------------------------------------- */

static void
flow_echoes(struct quic_rig *r, struct adit_conn *a, struct adit_conn *b, size_t len)
{
	static uint8_t out[70000], in[70000];

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(i * 7 + len);
	assert_int_equal(adit_conn_write(a, out, len), len);
	assert_int_equal(quic_rig_read(r, b, in, sizeof(in)), len);
	assert_memory_equal(in, out, len);
	assert_int_equal(adit_conn_write(b, out, len), len);
	memset(in, 0, sizeof(in));
	assert_int_equal(quic_rig_read(r, a, in, sizeof(in)), len);
	assert_memory_equal(in, out, len);
}

static void
flows_carry_datagrams(void **state)
{
	static const size_t sizes[] = { 1, 100, 1300, 5000, 20000, 65535, 0, 16300, 16352, 3 };
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a[3], *b[3];
	static char big[65536];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 3; i++) {
		bool up = i < 2;

		a[i] = adit_mux_open(up ? client : server, ADIT_CONN_DGRAM, NULL);
		assert_non_null(a[i]);
		assert_int_equal(adit_conn_write(a[i], "hello", 5), 5);
		b[i] = quic_rig_accept(r, up ? server : client);
		assert_true(adit_conn_flags(b[i]) & ADIT_CONN_DGRAM);
		assert_int_equal(quic_conn_number(b[i]), quic_conn_number(a[i]));
		assert_int_equal(quic_rig_read(r, b[i], big, 3), 3);	/* the rest of it is gone */
		assert_int_equal(adit_conn_read(b[i], big, 3), -EAGAIN);
	}
	for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++)
		for (int i = 0; i < 3; i++)
			flow_echoes(r, a[i], b[i], sizes[k]);
	for (int i = 0; i < 3; i++) {
		adit_conn_close(a[i], 0);
		adit_conn_close(b[i], 0);
	}
	adit_mux_close(client, NULL);
}

static void
datagrams_longer_than_any(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a;
	static char big[65536];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	a = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	assert_int_equal(adit_conn_write(a, big, sizeof(big)), -EMSGSIZE);
	adit_conn_close(a, 0);
	adit_mux_close(client, NULL);
}

struct room {
	struct adit_mux	*mux;
	unsigned	 flows;
};

static bool
room_is_back(void *arg)
{
	const struct room *r = arg;

	return adit_mux_room(r->mux, ADIT_CONN_DGRAM) == r->flows;
}

/* What was taken leaves, though the flow is closed in the same turn; then it is forgotten. */
static void
a_closed_flow_sends_what_it_took(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	struct room room;
	char buf[8];

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	room = (struct room){ client, adit_mux_room(client, ADIT_CONN_DGRAM) };
	a = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	assert_int_equal(adit_conn_write(a, "one", 3), 3);
	assert_int_equal(adit_conn_write(a, "last", 4), 4);
	adit_conn_close(a, 0);
	b = quic_rig_accept(r, server);
	assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), 3);
	assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), 4);
	assert_true(loop_until(r->l, room_is_back, &room, RIG_LIMIT));
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

/* Small ones do not leave in a packet each, though one flow alone has any. */
static void
datagrams_share_packets(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	char buf[64] = { 0 };
	unsigned before;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	a = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	before = r->up.sent;
	for (int i = 0; i < 100; i++) {
		buf[0] = (char)i;
		assert_int_equal(adit_conn_write(a, buf, sizeof(buf)), sizeof(buf));
	}
	b = quic_rig_accept(r, server);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(quic_rig_read(r, b, buf, sizeof(buf)), sizeof(buf));
		assert_int_equal(buf[0], i);
	}
	assert_in_range(r->up.sent - before, 1, 30);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

static bool
flow_full(void *arg)
{
	static char buf[60000];

	return adit_conn_write(arg, buf, sizeof(buf)) == -EAGAIN;
}

static bool
flow_takes(void *arg)
{
	static char buf[60000];

	return adit_conn_write(arg, buf, sizeof(buf)) > 0;
}

/*
 * A flow takes a bounded amount, and more again later; what its reader does not read is bounded
 * too.
 */
static void
flows_are_bounded(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	static char buf[1000];
	int n = 0;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	a = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	while (adit_conn_write(a, buf, sizeof(buf)) > 0)
		n++;
	assert_in_range(n, 60, 200);
	b = quic_rig_accept(r, server);
	for (int i = 0; i < 3000; i++) {
		adit_conn_write(a, buf, sizeof(buf));
		loop_turn(r->l, 1);
	}
	assert_in_range(chunk_pool_used(worker_chunks(r->l->worker)), 1, 1 << 20);
	assert_true(loop_until(r->l, flow_full, a, RIG_LIMIT));
	assert_true(loop_until(r->l, flow_takes, a, RIG_LIMIT));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

struct flow_reader {
	struct adit_conn	*c;
	unsigned		 n, until;
};

static void
flow_reader_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct flow_reader *reader = owner;
	char buf[2000];

	(void)events;
	while (adit_conn_read(c, buf, sizeof(buf)) > 0)
		reader->n++;
	if (adit_conn_err(c))
		adit_conn_want(c, 0);
}

static bool
flow_reader_has_all(void *arg)
{
	const struct flow_reader *reader = arg;

	return reader->n >= reader->until;
}

/* A flow, and who reads it on the other side. */
static struct adit_conn *
flow_with_reader(struct quic_rig *r, struct adit_mux *from, struct adit_mux *to,
		 struct flow_reader *reader)
{
	struct adit_conn *a = adit_mux_open(from, ADIT_CONN_DGRAM, NULL);

	assert_int_equal(adit_conn_write(a, "1", 1), 1);
	*reader = (struct flow_reader){ .c = quic_rig_accept(r, to), .until = 1 };
	adit_conn_own(reader->c, flow_reader_event, reader);
	adit_conn_want(reader->c, ADIT_READ);
	assert_true(loop_until(r->l, flow_reader_has_all, reader, RIG_LIMIT));
	return a;
}

/* Writes n datagrams of 1200 bytes, which wait for room. */
static void
flow_flood(struct quic_rig *r, struct adit_conn *to, unsigned n)
{
	static char buf[1200];
	uint64_t limit = adit_now() + ADIT_MS(RIG_LIMIT);

	while (n && adit_now() < limit) {
		if (adit_conn_write(to, buf, sizeof(buf)) > 0)
			n--;
		else
			loop_turn(r->l, 1);
	}
	assert_int_equal(n, 0);
}

/*
 * What has come to the socket meanwhile is more than a flow holds: it is taken in as far as its
 * owner reads, and nothing that has come that far is lost.
 */
static void
a_burst_waits_for_its_reader(void **state)
{
	static struct flow_reader first, reader;
	const unsigned warm = 2000, burst = 250;
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct room room;
	struct adit_conn *a, *b;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	a = flow_with_reader(r, client, server, &first);
	b = flow_with_reader(r, client, server, &reader);
	room = (struct room){ client, adit_mux_room(client, ADIT_CONN_DGRAM) + 1 };
	flow_flood(r, a, warm);			/* for a congestion window that takes the burst */
	reader.until = reader.n + burst;
	weather_dam(&r->down, true);
	flow_flood(r, b, burst);
	adit_conn_close(b, 0);
	assert_true(loop_until(r->l, room_is_back, &room, RIG_LIMIT));	/* all of it has left */
	weather_dam(&r->down, false);
	assert_true(loop_until(r->l, flow_reader_has_all, &reader, RIG_LIMIT));
	adit_conn_close(a, 0);
	adit_conn_close(first.c, 0);
	adit_conn_close(reader.c, 0);
	adit_mux_close(client, NULL);
}

/*
 * A flow that was closed is not opened again by a datagram that comes late; a new one is another.
 */
static void
closed_flows_stay_closed(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b, *c;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	a = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	assert_int_equal(adit_conn_write(a, "1", 1), 1);
	b = quic_rig_accept(r, server);
	adit_conn_close(b, 0);
	assert_int_equal(adit_conn_write(a, "2", 1), 1);
	loop_turn(r->l, 50);
	assert_null(adit_mux_accept(server));
	c = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	assert_int_equal(adit_conn_write(c, "3", 1), 1);
	b = quic_rig_accept(r, server);
	assert_int_equal(quic_conn_number(b), quic_conn_number(c));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_conn_close(c, 0);
	adit_mux_close(client, NULL);
}

/* Flows and streams in bad weather: datagrams that arrive are whole, and streams do not starve. */
static void
flows_beside_streams(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b, *s, *t;
	uint64_t limit = adit_now() + ADIT_MS(RIG_LIMIT);
	struct crossing x;
	uint8_t buf[2000];
	int got = 0;

	r->up.lost = r->up.late = r->up.twice = 20;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &s, &t);
	a = adit_mux_open(client, ADIT_CONN_DGRAM, NULL);
	adit_conn_write(a, "x", 1);
	b = quic_rig_accept(r, server);
	crossing_start(&x, s, t, 1000000);
	for (int i = 0; ((!x.ended && !x.failed) || got < 50) && adit_now() < limit; i++) {
		size_t len = (size_t)(i % 1100) + 1;
		ssize_t n;

		memset(buf, (uint8_t)len, len);
		adit_conn_write(a, buf, len);
		crossings_run(r, &x, 1, 0);
		while ((n = adit_conn_read(b, buf, sizeof(buf))) > 0) {
			got++;
			for (ssize_t k = 0; k < n && n > 1; k++)
				assert_int_equal(buf[k], (uint8_t)n);
		}
		loop_turn(r->l, 1);
	}
	assert_crossed(&x);
	assert_true(got >= 50);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_conn_close(s, 0);
	adit_conn_close(t, 0);
	adit_mux_close(client, NULL);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_conform),
		cmocka_unit_test(servers_streams_conform),
		rig_test(what_was_agreed_on_is_told),
		rig_test(bytes_cross_without_offloads),
		rig_test(bytes_cross_over_ipv6),
		rig_test(wildcard_sockets_answer),
		rig_test(bytes_cross_bad_weather),
		rig_test(many_streams_at_once),
		rig_test(streams_are_counted),
		rig_test(early_streams_wait),
		rig_test(unidirectional_streams),
		rig_test(resets_carry_their_code),
		rig_test(resets_reach_who_only_writes),
		rig_test(bytes_come_before_the_reset),
		rig_test(stop_sending_is_noticed),
		rig_test(polite_close_delivers),
		rig_test(closing_tells_why),
		rig_test(idle_sessions_time_out),
		rig_test(keep_alive_keeps_alive),
		rig_test(probes_are_answered),
		rig_test(a_probe_beside_an_acknowledgement_is_sent),
		rig_test(stuck_streams_stop_no_other),
		rig_test(idle_sessions_hold_no_buffers),
		rig_test(flows_carry_datagrams),
		rig_test(datagrams_longer_than_any),
		rig_test(a_closed_flow_sends_what_it_took),
		rig_test(datagrams_share_packets),
		rig_test(flows_are_bounded),
		rig_test(a_burst_waits_for_its_reader),
		rig_test(closed_flows_stay_closed),
		rig_test(flows_beside_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
