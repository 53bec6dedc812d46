/* The server's side of adit/1; the client is played byte for byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/mux.h>
#include <adit/tunnel.h>

#include "core/conn/conn.h"
#include "core/tunnel/native_conn.h"
#include "core/tunnel/native_request.h"
#include "tests/unit/native_rig.h"

#define LIMIT 10000

static struct request_conf conf;

#define TUNNEL 0x4d, 0x21, 0x09, 0x4e, 0xb7, 0x4c, 0x49, 0x16, \
	       0x86, 0xc1, 0xd9, 0xfa, 0x36, 0xea, 0x67, 0x7b
#define CONNECTOR 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31

/* BIND: version 1, the tunnel, the connector, number 7. */
static const uint8_t bind_bytes[] = {
	0x01, 0x2a, 0x00, 0x01, 0x01, 0x01, 0x10, TUNNEL, 0x02, 0x10, CONNECTOR, 0x03, 0x01, 0x07,
};

/* OPEN of a visitor: the tunnel, app.local port 80. */
static const uint8_t visit_bytes[] = {
	0x02, 0x21, 0x01, 0x10, TUNNEL,
	0x09, 0x09, 'a', 'p', 'p', '.', 'l', 'o', 'c', 'a', 'l', 0x0a, 0x02, 0x40, 0x50,
};

static void
server_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct adit_conn *c;

	(void)owner;
	(void)events;
	while ((c = adit_mux_accept(m)))
		native_request(c, &conf);
}

static int
lookup(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	(void)arg;
	(void)w;
	if (strcmp(host, "app.local") != 0)
		return ADIT_ENOROUTE;
	*out = (struct adit_rule){ .private_ = false };
	return adit_uuid_parse(NATIVE_TUNNEL, false, &out->tunnel);
}

static int
setup(void **state)
{
	struct native_rig *t;

	native_rig_setup(state);
	t = *state;
	conf = (struct request_conf){
		.component = &t->component, .lookup = lookup, .read_timeout = ADIT_SECONDS(10),
	};
	adit_mux_own(t->server, server_event, t);
	adit_mux_want(t->server, ADIT_READ);
	return 0;
}

static bool
is_bound(void *arg)
{
	struct native_rig *t = arg;
	struct adit_choice choice;

	return adit_tunnel_pick(t->loop->worker, NATIVE_TUNNEL, ADIT_TCP, &choice) == 0;
}

static bool
is_not_bound(void *arg)
{
	return !is_bound(arg);
}

/* A bound client's stream, its answer read. */
static struct adit_conn *
bound(struct native_rig *t)
{
	struct adit_conn *c = native_rig_open(t, t->client, bind_bytes, sizeof(bind_bytes));
	struct native_msg m = native_rig_message(t, c);

	assert_int_equal(m.type, NATIVE_ANSWER);
	assert_int_equal(m.status, NATIVE_OK);
	return c;
}

static struct adit_conn *
visit_early(struct native_rig *t, enum adit_network network, bool early)
{
	struct adit_open req = {
		.tunnel = NATIVE_TUNNEL, .network = network, .host = "app.local", .port = 8080,
		.early = early,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	assert_int_equal(adit_addr_parse("192.0.2.1", 12345, &req.from), 0);
	c = adit_tunnel_open(t->loop->worker, &req, NULL, &e);
	if (!c)
		fail_msg("%s", e.text);
	return c;
}

static struct adit_conn *
visit(struct native_rig *t, enum adit_network network)
{
	return visit_early(t, network, false);
}

static const uint8_t open_bytes[] = {
	0x02, 0x1a, 0x03, 0x01, 0x07, 0x09, 0x09, 'a', 'p', 'p', '.', 'l', 'o', 'c', 'a', 'l',
	0x0a, 0x02, 0x5f, 0x90, 0x0b, 0x06, 192, 0, 2, 1, 0x30, 0x39,
};
static const uint8_t ok_bytes[] = { 0x03, 0x03, 0x0c, 0x01, 0x00 };

/* ---- clients ------------------------------------------------------------------------- */

static void
a_bind_is_answered_with_its_place(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = native_rig_open(t, t->client, bind_bytes, sizeof(bind_bytes));
	struct native_msg m = native_rig_message(t, c);

	assert_int_equal(m.type, NATIVE_ANSWER);
	assert_int_equal(m.status, NATIVE_OK);
	assert_int_equal(m.version, 1);
	assert_memory_equal(&m.connector, bind_bytes + 25, 16);
	assert_int_equal(strlen(m.host), 16);
	assert_true(m.connections >= 2);
	assert_true(is_bound(t));
	adit_conn_close(c, 0);
	assert_true(loop_until(t->loop, is_not_bound, t, LIMIT));
}

static void
refused_with(struct native_rig *t, const void *bytes, size_t len, uint64_t status)
{
	struct adit_conn *c = native_rig_open(t, t->client, bytes, len);
	struct native_msg m = native_rig_message(t, c);

	assert_int_equal(m.type, NATIVE_ANSWER);
	assert_int_equal(m.status, status);
	assert_int_equal(native_rig_end(t, c, NULL), 0);
	adit_conn_close(c, 0);
	assert_false(is_bound(t));
}

static void
what_is_no_request_is_refused(void **state)
{
	static const uint8_t unknown[] = { 0x09, 0x00 }, no_tunnel[] = { 0x01, 0x00 },
			     too_long[] = { 0x01, 0x7f, 0xff }, answer[] = { 0x03, 0x00 },
			     twice[] = { 0x01, 0x06, 0x00, 0x01, 0x01, 0x00, 0x01, 0x01 },
			     network[] = { 0x01, 0x15, 0x01, 0x10, TUNNEL, 0x04, 0x01, 0x09 };
	struct native_rig *t = *state;

	refused_with(t, unknown, sizeof(unknown), NATIVE_UNSUPPORTED);
	refused_with(t, answer, sizeof(answer), NATIVE_UNSUPPORTED);
	refused_with(t, no_tunnel, sizeof(no_tunnel), NATIVE_BAD_REQUEST);
	refused_with(t, too_long, sizeof(too_long), NATIVE_BAD_REQUEST);
	refused_with(t, twice, sizeof(twice), NATIVE_BAD_REQUEST);
	refused_with(t, network, sizeof(network), NATIVE_UNSUPPORTED);
}

static void
silence_before_a_request_ends_in_a_reset(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c;
	uint64_t code;

	conf.read_timeout = ADIT_MS(50);
	c = native_rig_open(t, t->client, bind_bytes, 9);
	assert_int_equal(native_rig_end(t, c, &code), -ECONNRESET);
	assert_int_equal(code, NATIVE_TIMEOUT);
	adit_conn_close(c, 0);
	assert_false(is_bound(t));
}

/* ---- their visitors -------------------------------------------------------------------- */

static void
a_visitor_is_a_stream(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *visitor = visit(t, ADIT_TCP), *stream;
	char got[8] = "";

	stream = quic_rig_accept(t->quic, t->client);
	native_rig_expect(t, stream, open_bytes, sizeof(open_bytes));
	assert_false(adit_conn_is_open(visitor));
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	assert_int_equal(adit_conn_err(visitor), 0);
	native_rig_send(t, visitor, "ping", 4);
	native_rig_expect(t, stream, "ping", 4);
	/* One direction ends, the other goes on. */
	assert_int_equal(adit_conn_shutdown(visitor), 0);
	assert_int_equal(native_rig_end(t, stream, NULL), 0);
	native_rig_send(t, stream, "pong", 4);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 4);
	assert_string_equal(got, "pong");
	assert_int_equal(adit_conn_shutdown(stream), 0);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 0);
	adit_conn_close(visitor, 0);
	adit_conn_close(stream, 0);
	adit_conn_close(c, 0);
}

static bool
has_all(void *conn)
{
	struct adit_conn *c = conn;
	struct adit_delivery d;

	return adit_conn_delivery(c, &d) == 0 && d.acked == d.taken;
}

/* Without a copy in between: as much as is asked for and is taken; the rest stays to be read. */
static void
what_has_arrived_is_poured(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *visitor = visit(t, ADIT_TCP), *stream, *to, *far;
	char got[8] = "";

	stream = quic_rig_accept(t->quic, t->client);
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	native_rig_send(t, stream, "pong", 4);
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	assert_true(loop_until(t->loop, has_all, stream, LIMIT));
	assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, 3, &to, &far), 0);
	assert_int_equal(conn_pour(visitor, to, 2), 2);
	assert_int_equal(conn_pour(visitor, to, 100), 1);
	assert_int_equal(conn_pour(visitor, to, 100), 0);
	assert_int_equal(adit_conn_read(far, got, sizeof(got)), 3);
	assert_int_equal(adit_conn_read(visitor, got + 3, 4), 1);
	assert_string_equal(got, "pong");
	assert_int_equal(conn_pour(visitor, to, 100), 0);
	assert_int_equal(adit_conn_traffic(visitor)->in, 4);
	adit_conn_close(to, 0);
	adit_conn_close(far, 0);
	adit_conn_close(visitor, 0);
	adit_conn_close(stream, 0);
	adit_conn_close(c, 0);
}

/* Only of who said that they may. */
static void
first_bytes_follow_the_head_at_once(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *visitor = visit_early(t, ADIT_TCP, true), *stream;
	struct adit_conn *waits = visit(t, ADIT_TCP);
	char got[8] = "";

	native_rig_send(t, visitor, "ping", 4);
	assert_int_equal(adit_conn_write(waits, "ping", 4), -EAGAIN);
	stream = quic_rig_accept(t->quic, t->client);
	native_rig_expect(t, stream, open_bytes, sizeof(open_bytes));
	native_rig_expect(t, stream, "ping", 4);
	assert_false(adit_conn_is_open(visitor));
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	native_rig_send(t, stream, "pong", 4);
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 4);
	assert_string_equal(got, "pong");
	native_rig_send(t, visitor, "more", 4);
	native_rig_expect(t, stream, "more", 4);
	adit_conn_close(visitor, 0);
	adit_conn_close(waits, 0);
	adit_conn_close(stream, 0);
	adit_conn_close(c, 0);
}

/* Who refuses has read none of them; they are the first of what the next one gets. */
static void
first_bytes_move_on_with_the_open(void **state)
{
	static const uint8_t draining[] = { 0x03, 0x03, 0x0c, 0x01, NATIVE_DRAINING };
	struct native_rig *t = *state;
	struct adit_conn *c[2] = { bound(t), bound(t) };
	struct adit_conn *visitor = visit_early(t, ADIT_TCP, true), *stream;

	native_rig_send(t, visitor, "ping", 4);
	stream = quic_rig_accept(t->quic, t->client);
	native_rig_send(t, stream, draining, sizeof(draining));
	adit_conn_close(stream, 0);
	stream = quic_rig_accept(t->quic, t->client);
	native_rig_expect(t, stream, open_bytes, sizeof(open_bytes));
	native_rig_expect(t, stream, "ping", 4);
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	assert_int_equal(adit_conn_err(visitor), 0);
	native_rig_send(t, visitor, "more", 4);
	native_rig_expect(t, stream, "more", 4);
	adit_conn_close(visitor, 0);
	adit_conn_close(stream, 0);
	adit_conn_close(c[0], 0);
	adit_conn_close(c[1], 0);
}

/* What came of an answer counts, also where the early bytes cannot be sent any more. */
static void
answers_are_told_apart(void **state)
{
	static const struct { uint8_t status; int err; } rows[] = {
		{ NATIVE_UNREACHABLE, ADIT_ETARGET }, { NATIVE_UNAVAILABLE, ADIT_ENOTUNNEL },
		{ NATIVE_TIMEOUT, -ETIMEDOUT }, { NATIVE_FORBIDDEN, ADIT_EFORBIDDEN },
		{ NATIVE_NOT_FOUND, ADIT_ENOROUTE }, { NATIVE_UNAUTHORIZED, ADIT_EUNAUTH },
		{ 44, ADIT_EREFUSED },
	};
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t);

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
		const bool early = i % 2;
		const uint8_t answer[] = { 0x03, 0x03, 0x0c, 0x01, rows[i / 2].status };
		struct adit_conn *visitor = visit_early(t, ADIT_TCP, early);
		struct adit_conn *stream = quic_rig_accept(t->quic, t->client);

		if (early)
			native_rig_send(t, visitor, "ping", 4);
		native_rig_send(t, stream, answer, sizeof(answer));
		adit_conn_close(stream, 0);
		assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
		assert_int_equal(adit_conn_err(visitor), rows[i / 2].err);
		adit_conn_close(visitor, 0);
	}
	adit_conn_close(c, 0);
}

static void
what_is_no_answer_fails_the_visitor(void **state)
{
	static const uint8_t twice[] = { 0x03, 0x06, 0x0c, 0x01, 0x00, 0x0c, 0x01, 0x00 },
			     open_again[] = { 0x02, 0x00 }, no_status[] = { 0x03, 0x00 };
	static const struct { const uint8_t *bytes; size_t len; } rows[] = {
		{ twice, sizeof(twice) }, { open_again, sizeof(open_again) },
		{ no_status, sizeof(no_status) }, { NULL, 0 },
	};
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_conn *visitor = visit(t, ADIT_TCP);
		struct adit_conn *stream = quic_rig_accept(t->quic, t->client);

		if (rows[i].len)
			native_rig_send(t, stream, rows[i].bytes, rows[i].len);
		adit_conn_shutdown(stream);
		assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
		assert_int_equal(adit_conn_err(visitor), ADIT_ENOTUNNEL);
		adit_conn_close(visitor, 0);
		adit_conn_close(stream, 0);
	}
	adit_conn_close(c, 0);
}

static void
a_reset_is_the_visitors_alone(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *a = visit(t, ADIT_TCP), *sa, *b, *sb;
	uint64_t code;
	char got[8];

	sa = quic_rig_accept(t->quic, t->client);
	b = visit(t, ADIT_TCP);
	sb = quic_rig_accept(t->quic, t->client);
	native_rig_send(t, sa, ok_bytes, sizeof(ok_bytes));
	native_rig_send(t, sb, ok_bytes, sizeof(ok_bytes));
	assert_true(loop_until(t->loop, native_rig_is_open, a, LIMIT));
	assert_true(loop_until(t->loop, native_rig_is_open, b, LIMIT));
	/* Theirs, with its code for a target that no longer answers. */
	adit_conn_set_code(sa, NATIVE_TIMEOUT);
	adit_conn_close(sa, -ETIMEDOUT);
	assert_int_equal(quic_rig_read(t->quic, a, got, sizeof(got)), -ETIMEDOUT);
	adit_conn_close(a, -ETIMEDOUT);
	/* Ours. */
	native_rig_expect(t, sb, open_bytes, sizeof(open_bytes));
	adit_conn_close(b, -ECONNRESET);
	assert_int_equal(native_rig_end(t, sb, &code), -ECONNRESET);
	assert_int_equal(code, NATIVE_RESET);
	adit_conn_close(sb, 0);
	assert_true(is_bound(t));
	adit_conn_close(c, 0);
}

static void
a_visitor_who_goes_cancels(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *visitor = visit(t, ADIT_TCP), *stream;
	uint64_t code;

	stream = quic_rig_accept(t->quic, t->client);
	adit_conn_close(visitor, 0);
	assert_int_equal(native_rig_end(t, stream, &code), -ECONNRESET);
	assert_int_equal(code, NATIVE_CANCELLED);
	adit_conn_close(stream, 0);
	adit_conn_close(c, 0);
}

static void
a_client_that_goes_takes_its_visitors_along(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *visitor = visit(t, ADIT_TCP), *stream;
	char byte;

	stream = quic_rig_accept(t->quic, t->client);
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	adit_conn_close(c, 0);
	assert_true(quic_rig_read(t->quic, visitor, &byte, 1) < 0);
	assert_false(is_bound(t));
	adit_conn_close(visitor, 0);
	adit_conn_close(stream, 0);
}

/* ---- datagrams ------------------------------------------------------------------------- */

static const uint8_t udp_bind_bytes[] = {
	0x01, 0x18, 0x01, 0x10, TUNNEL, 0x03, 0x01, 0x00, 0x04, 0x01, 0x01,
};

static void
datagrams_go_in_a_flow_or_in_its_stream(void **state)
{
	static char large[30000], got[sizeof(large)];
	struct native_rig *t = *state;
	struct adit_conn *c, *visitor, *stream, *flow;
	struct native_msg m;

	c = native_rig_open(t, t->client, udp_bind_bytes, sizeof(udp_bind_bytes));
	assert_int_equal(native_rig_message(t, c).status, NATIVE_OK);
	visitor = visit(t, ADIT_UDP);
	stream = quic_rig_accept(t->quic, t->client);
	m = native_rig_message(t, stream);
	assert_int_equal(m.network, NATIVE_UDP);
	assert_true(native_has(&m, NATIVE_F_FLOW));
	flow = quic_flow_claim(t->client, m.flow, NULL);
	assert_non_null(flow);
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	assert_true(adit_conn_flags(visitor) & ADIT_CONN_DGRAM);
	/* The far side may speak first. */
	native_rig_send(t, flow, "knock", 5);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 5);
	native_rig_send(t, visitor, "who", 3);
	assert_int_equal(quic_rig_read(t->quic, flow, got, sizeof(got)), 3);
	assert_memory_equal(got, "who", 3);
	memset(large, 'x', sizeof(large));
	native_rig_send(t, visitor, large, sizeof(large));
	assert_int_equal(quic_rig_read(t->quic, flow, got, sizeof(got)), sizeof(large));
	assert_memory_equal(got, large, sizeof(large));
	/* The stream's end is the flow's, in order. */
	adit_conn_close(stream, 0);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), -ESHUTDOWN);
	adit_conn_close(visitor, 0);
	adit_conn_close(flow, 0);
	adit_conn_close(c, 0);
}

/* ---- drain ------------------------------------------------------------------------------ */

static void
a_client_that_drains_hears_how_many_streams_there_were(void **state)
{
	static const uint8_t drain[] = { 0x04, 0x00 }, drained[] = { 0x05, 0x03, 0x10, 0x01, 0x02 };
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *a = visit(t, ADIT_TCP), *b = visit(t, ADIT_TCP), *s[2];

	native_rig_send(t, c, drain, sizeof(drain));
	native_rig_expect(t, c, drained, sizeof(drained));
	assert_false(is_bound(t));
	/* Who had been opened before is served. */
	for (int i = 0; i < 2; i++) {
		s[i] = quic_rig_accept(t->quic, t->client);
		native_rig_send(t, s[i], ok_bytes, sizeof(ok_bytes));
	}
	assert_true(loop_until(t->loop, native_rig_is_open, a, LIMIT));
	assert_true(loop_until(t->loop, native_rig_is_open, b, LIMIT));
	assert_int_equal(adit_conn_err(a) | adit_conn_err(b), 0);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_conn_close(s[0], 0);
	adit_conn_close(s[1], 0);
	adit_conn_close(c, 0);
}

static void
a_server_that_drains_says_so_and_waits_for_its_visitors(void **state)
{
	static const uint8_t drain[] = { 0x04, 0x00 };
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *visitor = visit(t, ADIT_TCP), *stream;

	stream = quic_rig_accept(t->quic, t->client);
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	assert_true(loop_until(t->loop, native_rig_is_open, visitor, LIMIT));
	activities_stop(&t->activities, t->loop->worker, 0);
	native_rig_expect(t, c, drain, sizeof(drain));
	assert_false(is_bound(t));
	assert_int_equal(t->activities.n, 1);
	adit_conn_close(visitor, 0);
	activities_stop(&t->activities, t->loop->worker, 0);
	assert_int_equal(t->activities.n, 0);
	assert_int_equal(native_rig_end(t, c, NULL), 0);
	adit_conn_close(stream, 0);
	adit_conn_close(c, 0);
}

static void
messages_that_are_not_known_are_skipped(void **state)
{
	static const uint8_t later_then_drain[] = { 0x40, 0x63, 0x02, 0x21, 0x00, 0x04, 0x00 };
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t);

	native_rig_send(t, c, later_then_drain, sizeof(later_then_drain));
	assert_int_equal(native_rig_message(t, c).type, NATIVE_DRAINED);
	adit_conn_close(c, 0);
}

static void
a_malformed_message_ends_the_bind(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t);
	uint64_t code;

	native_rig_send(t, c, "\x04\x7f\xff", 3);
	assert_int_equal(native_rig_end(t, c, &code), -ECONNRESET);
	assert_int_equal(code, NATIVE_BAD_REQUEST);
	assert_false(is_bound(t));
	adit_conn_close(c, 0);
}

/* ---- visitors who come themselves --------------------------------------------------------- */

static void
a_visitor_reaches_a_tunnel_by_a_stream_of_his_own(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = bound(t), *stream, *visitor;

	visitor = native_rig_open(t, t->client, visit_bytes, sizeof(visit_bytes));
	stream = quic_rig_accept(t->quic, t->client);
	assert_int_equal(native_rig_message(t, stream).bind, 7);
	native_rig_send(t, stream, ok_bytes, sizeof(ok_bytes));
	native_rig_expect(t, visitor, ok_bytes, sizeof(ok_bytes));
	native_rig_send(t, visitor, "hello", 5);
	native_rig_expect(t, stream, "hello", 5);
	adit_conn_close(stream, 0);
	adit_conn_close(visitor, 0);
	adit_conn_close(c, 0);
}

static void
a_visitor_of_his_own_is_told_why_not(void **state)
{
	uint8_t elsewhere[sizeof(visit_bytes)];
	struct native_rig *t = *state;

	memcpy(elsewhere, visit_bytes, sizeof(elsewhere));
	elsewhere[22] = 'o';
	refused_with(t, elsewhere, sizeof(elsewhere), NATIVE_NOT_FOUND);
	refused_with(t, visit_bytes, sizeof(visit_bytes), NATIVE_UNAVAILABLE);
}

int
main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, native_rig_teardown)
	const struct CMUnitTest tests[] = {
		WITH_RIG(a_bind_is_answered_with_its_place),
		WITH_RIG(what_is_no_request_is_refused),
		WITH_RIG(silence_before_a_request_ends_in_a_reset),
		WITH_RIG(a_visitor_is_a_stream),
		WITH_RIG(what_has_arrived_is_poured),
		WITH_RIG(first_bytes_follow_the_head_at_once),
		WITH_RIG(first_bytes_move_on_with_the_open),
		WITH_RIG(answers_are_told_apart),
		WITH_RIG(what_is_no_answer_fails_the_visitor),
		WITH_RIG(a_reset_is_the_visitors_alone),
		WITH_RIG(a_visitor_who_goes_cancels),
		WITH_RIG(a_client_that_goes_takes_its_visitors_along),
		WITH_RIG(datagrams_go_in_a_flow_or_in_its_stream),
		WITH_RIG(a_client_that_drains_hears_how_many_streams_there_were),
		WITH_RIG(a_server_that_drains_says_so_and_waits_for_its_visitors),
		WITH_RIG(messages_that_are_not_known_are_skipped),
		WITH_RIG(a_malformed_message_ends_the_bind),
		WITH_RIG(a_visitor_reaches_a_tunnel_by_a_stream_of_his_own),
		WITH_RIG(a_visitor_of_his_own_is_told_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
