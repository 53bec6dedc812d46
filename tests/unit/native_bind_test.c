/* The client's side of adit/1; the server is played byte for byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/mux.h>

#include "core/tunnel/native_bind.h"
#include "core/tunnel/native_conn.h"
#include "tests/unit/native_rig.h"

#define LIMIT 10000

static const uint8_t bind_bytes[] = {
	0x01, 0x18, 0x00, 0x01, 0x01,
	0x01, 0x10, 0x4d, 0x21, 0x09, 0x4e, 0xb7, 0x4c, 0x49, 0x16,
	0x86, 0xc1, 0xd9, 0xfa, 0x36, 0xea, 0x67, 0x7b,
	0x03, 0x01, 0x00,
};

/* ok; 3 connections are useful */
static const uint8_t answer_bytes[] = { 0x03, 0x06, 0x0c, 0x01, 0x00, 0x0e, 0x01, 0x03 };

/* for bind 0: app.local:8080, from 192.0.2.1:12345 */
static const uint8_t open_bytes[] = {
	0x02, 0x1a, 0x03, 0x01, 0x00, 0x09, 0x09, 'a', 'p', 'p', '.', 'l', 'o', 'c', 'a', 'l',
	0x0a, 0x02, 0x5f, 0x90, 0x0b, 0x06, 192, 0, 2, 1, 0x30, 0x39,
};
static const uint8_t ok_bytes[] = { 0x03, 0x03, 0x0c, 0x01, 0x00 };

static unsigned bounds;

static void
on_bound(void *arg, const struct native_msg *answer)
{
	(void)arg;
	assert_int_equal(answer->connections, 3);
	bounds++;
}

static struct adit_mux *
bind_begin(struct native_rig *t)
{
	struct adit_conn *c = adit_mux_open(t->client, 0, NULL);
	struct native_msg m = { .type = NATIVE_BIND, .has = 1u << NATIVE_F_TUNNEL };
	const struct native_bind_conf conf = {
		.request = &m, .answer_ms = LIMIT, .connections = 2, .bound = on_bound,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_mux *bind;

	assert_int_equal(adit_uuid_parse(NATIVE_TUNNEL, false, &m.tunnel), 0);
	assert_non_null(c);
	bind = native_bind(c, &conf, &e);
	if (!bind)
		fail_msg("%s", e.text);
	adit_mux_want(t->client, ADIT_READ);	/* as a dialer does */
	return bind;
}

static bool
is_open(void *arg)
{
	return adit_mux_is_open(arg) || adit_mux_err(arg);
}

static bool
has_ended(void *arg)
{
	return adit_mux_err(arg);
}

/* A bind that was agreed on, and the server's end of its stream. */
static struct adit_mux *
bound(struct native_rig *t, struct adit_conn **control)
{
	struct adit_mux *bind = bind_begin(t);

	*control = quic_rig_accept(t->quic, t->server);
	assert_int_equal(native_rig_message(t, *control).type, NATIVE_BIND);
	native_rig_send(t, *control, answer_bytes, sizeof(answer_bytes));
	assert_true(loop_until(t->loop, is_open, bind, LIMIT));
	assert_int_equal(adit_mux_err(bind), 0);
	return bind;
}

static void
a_bind_is_these_bytes(void **state)
{
	struct native_rig *t = *state;
	struct adit_mux *bind = bind_begin(t);
	struct adit_conn *control = quic_rig_accept(t->quic, t->server);

	native_rig_expect(t, control, bind_bytes, sizeof(bind_bytes));
	assert_false(adit_mux_is_open(bind));
	bounds = 0;
	native_rig_send(t, control, answer_bytes, sizeof(answer_bytes));
	assert_true(loop_until(t->loop, is_open, bind, LIMIT));
	assert_int_equal(bounds, 1);
	assert_int_equal(adit_mux_siblings(bind), 2);
	adit_mux_close(bind, NULL);
	assert_int_equal(native_rig_end(t, control, NULL), 0);
	adit_conn_close(control, 0);
}

static void
a_refusal_says_why(void **state)
{
	static const uint8_t no[] = { 0x03, 0x08, 0x0c, 0x01, 0x02, 0x0d, 0x03, 'b', 'a', 'd' };
	struct native_rig *t = *state;
	struct adit_mux *bind = bind_begin(t);
	struct adit_conn *control = quic_rig_accept(t->quic, t->server);

	native_rig_send(t, control, no, sizeof(no));
	assert_true(loop_until(t->loop, is_open, bind, LIMIT));
	assert_int_equal(adit_mux_err(bind), ADIT_EUNAUTH);
	assert_string_equal(adit_mux_reason(bind)->text, "bad");
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
a_server_that_is_silent_is_given_up(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *c = adit_mux_open(t->client, 0, NULL), *control;
	struct native_msg m = { .has = 0 };
	struct adit_mux *bind = native_bind(c, &(struct native_bind_conf){
		.request = &m, .answer_ms = 50 }, NULL);
	uint64_t code;

	assert_non_null(bind);
	control = quic_rig_accept(t->quic, t->server);
	assert_true(loop_until(t->loop, is_open, bind, LIMIT));
	assert_int_equal(adit_mux_err(bind), -ETIMEDOUT);
	adit_mux_close(bind, adit_mux_reason(bind));
	assert_int_equal(native_rig_end(t, control, &code), -ECONNRESET);
	assert_int_equal(code, NATIVE_TIMEOUT);
	adit_conn_close(control, 0);
}

/* ---- visitors ---------------------------------------------------------------------------- */

struct accepting {
	struct adit_mux		*bind;
	struct adit_conn	*c;
};

static bool
has_visitor(void *arg)
{
	struct accepting *a = arg;

	a->c = adit_mux_accept(a->bind);
	return a->c;
}

static struct adit_conn *
accept_visitor(struct native_rig *t, struct adit_mux *bind)
{
	struct accepting a = { .bind = bind };

	assert_true(loop_until(t->loop, has_visitor, &a, LIMIT));
	return a.c;
}

static void
a_visitor_comes_with_who_he_is(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *control, *stream, *visitor;
	char text[ADIT_ADDR_TEXT], got[8] = "";
	uint16_t port;
	struct adit_mux *bind = bound(t, &control);

	stream = native_rig_open(t, t->server, open_bytes, sizeof(open_bytes));
	visitor = accept_visitor(t, bind);
	assert_int_equal(adit_mux_streams(bind), 1);
	assert_string_equal(adit_addr_format(adit_conn_remote(visitor), text), "192.0.2.1:12345");
	assert_string_equal(adit_conn_asked(visitor, &port), "app.local");
	assert_int_equal(port, 8080);
	/* What is written is behind the answer, which the handler may give sooner. */
	adit_conn_agree(visitor);
	native_rig_expect(t, stream, ok_bytes, sizeof(ok_bytes));
	native_rig_send(t, visitor, "hello", 5);
	native_rig_expect(t, stream, "hello", 5);
	native_rig_send(t, stream, "bye", 3);
	adit_conn_shutdown(stream);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 3);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 0);
	adit_conn_close(visitor, 0);
	assert_int_equal(native_rig_end(t, stream, NULL), 0);
	assert_int_equal(adit_mux_streams(bind), 0);
	adit_conn_close(stream, 0);
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
a_handler_that_fails_is_told_as_a_status(void **state)
{
	static const struct { int why; uint8_t status; } rows[] = {
		{ ADIT_ETARGET, NATIVE_UNREACHABLE }, { -ETIMEDOUT, NATIVE_TIMEOUT },
		{ ADIT_EDRAINING, NATIVE_DRAINING }, { ADIT_EFORBIDDEN, NATIVE_FORBIDDEN },
		{ -ENOMEM, NATIVE_LIMIT }, { -EIO, NATIVE_INTERNAL },
	};
	struct native_rig *t = *state;
	struct adit_conn *control;
	struct adit_mux *bind = bound(t, &control);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_conn *stream =
			native_rig_open(t, t->server, open_bytes, sizeof(open_bytes));
		struct native_msg m;

		adit_conn_close(accept_visitor(t, bind), rows[i].why);
		m = native_rig_message(t, stream);
		assert_int_equal(m.type, NATIVE_ANSWER);
		assert_int_equal(m.status, rows[i].status);
		assert_int_equal(native_rig_end(t, stream, NULL), 0);
		adit_conn_close(stream, 0);
	}
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
the_first_bytes_are_an_answer_too(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *control, *stream, *visitor;
	struct adit_mux *bind = bound(t, &control);
	uint64_t code;

	stream = native_rig_open(t, t->server, open_bytes, sizeof(open_bytes));
	visitor = accept_visitor(t, bind);
	native_rig_send(t, visitor, "x", 1);
	native_rig_expect(t, stream, ok_bytes, sizeof(ok_bytes));
	native_rig_expect(t, stream, "x", 1);
	/* From then on a failure is a reset with its code. */
	adit_conn_close(visitor, -ETIMEDOUT);
	assert_int_equal(native_rig_end(t, stream, &code), -ECONNRESET);
	assert_int_equal(code, NATIVE_TIMEOUT);
	adit_conn_close(stream, 0);
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
refused(struct native_rig *t, const void *bytes, size_t len, uint8_t status)
{
	struct adit_conn *stream = native_rig_open(t, t->server, bytes, len);

	assert_int_equal(native_rig_message(t, stream).status, status);
	adit_conn_close(stream, 0);
}

static void
malformed_heads_are_refused(void **state)
{
	static const uint8_t no_bind[] = { 0x02, 0x00 }, not_open[] = { 0x01, 0x03, 0x03, 0x01, 0 },
			     unbound[] = { 0x02, 0x03, 0x03, 0x01, 0x09 },
			     too_long[] = { 0x02, 0x7f, 0xff },
			     no_flow[] = { 0x02, 0x06, 0x03, 0x01, 0x00, 0x04, 0x01, 0x01 },
			     our_flow[] = { 0x02, 0x09, 0x03, 0x01, 0x00, 0x04, 0x01, 0x01,
					    0x0f, 0x01, 0x02 },
			     network[] = { 0x02, 0x06, 0x03, 0x01, 0x00, 0x04, 0x01, 0x02 };
	struct native_rig *t = *state;
	struct adit_conn *control;
	struct adit_mux *bind = bound(t, &control);

	refused(t, no_bind, sizeof(no_bind), NATIVE_BAD_REQUEST);
	refused(t, not_open, sizeof(not_open), NATIVE_UNSUPPORTED);
	refused(t, unbound, sizeof(unbound), NATIVE_UNAVAILABLE);
	refused(t, too_long, sizeof(too_long), NATIVE_BAD_REQUEST);
	refused(t, no_flow, sizeof(no_flow), NATIVE_BAD_REQUEST);
	refused(t, our_flow, sizeof(our_flow), NATIVE_LIMIT);
	refused(t, network, sizeof(network), NATIVE_UNSUPPORTED);
	assert_null(adit_mux_accept(bind));
	assert_int_equal(adit_mux_err(bind), 0);
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
datagrams_are_one_conn(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *control, *flow = adit_mux_open(t->server, ADIT_CONN_DGRAM, NULL), *stream;
	uint8_t open[] = { 0x02, 0x09, 0x03, 0x01, 0x00, 0x04, 0x01, 0x01, 0x0f, 0x01, 0x00 };
	struct adit_mux *bind = bound(t, &control);
	struct adit_conn *visitor;
	char got[8];

	assert_non_null(flow);
	open[sizeof(open) - 1] = (uint8_t)quic_conn_number(flow);
	stream = native_rig_open(t, t->server, open, sizeof(open));
	visitor = accept_visitor(t, bind);
	assert_true(adit_conn_flags(visitor) & ADIT_CONN_DGRAM);
	native_rig_send(t, visitor, "answer", 6);
	native_rig_expect(t, stream, ok_bytes, sizeof(ok_bytes));
	assert_int_equal(quic_rig_read(t->quic, flow, got, sizeof(got)), 6);
	native_rig_send(t, flow, "ask", 3);
	assert_int_equal(quic_rig_read(t->quic, visitor, got, sizeof(got)), 3);
	adit_conn_close(visitor, 0);
	assert_int_equal(native_rig_end(t, stream, NULL), 0);
	adit_conn_close(stream, 0);
	adit_conn_close(flow, 0);
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
several_binds_in_one_session_are_kept_apart(void **state)
{
	uint8_t open[sizeof(open_bytes)];
	struct native_rig *t = *state;
	struct adit_conn *control[2], *stream;
	struct adit_mux *a = bound(t, &control[0]), *b = bound(t, &control[1]);

	memcpy(open, open_bytes, sizeof(open));
	open[4] = 1;
	stream = native_rig_open(t, t->server, open, sizeof(open));
	adit_conn_close(accept_visitor(t, b), ADIT_ETARGET);
	assert_null(adit_mux_accept(a));
	adit_conn_close(stream, 0);
	adit_mux_close(b, NULL);
	/* Its number is nobody's then; the other goes on. */
	refused(t, open, sizeof(open), NATIVE_UNAVAILABLE);
	stream = native_rig_open(t, t->server, open_bytes, sizeof(open_bytes));
	adit_conn_close(accept_visitor(t, a), ADIT_ETARGET);
	adit_conn_close(stream, 0);
	adit_mux_close(a, NULL);
	adit_conn_close(control[0], 0);
	adit_conn_close(control[1], 0);
}

/* ---- drain --------------------------------------------------------------------------------- */

static bool
is_drained(void *arg)
{
	return adit_mux_drained(arg);
}

static void
drained_is_exact(void **state)
{
	static const uint8_t drain[] = { 0x04, 0x00 }, drained[] = { 0x05, 0x03, 0x10, 0x01, 0x01 };
	struct native_rig *t = *state;
	struct adit_conn *control, *stream, *visitor;
	struct adit_mux *bind = bound(t, &control);

	adit_mux_drain(bind);
	native_rig_expect(t, control, drain, sizeof(drain));
	loop_turn(t->loop, 10);
	assert_false(adit_mux_drained(bind));
	/* The server had opened one before it heard: its word comes before the stream. */
	native_rig_send(t, control, drained, sizeof(drained));
	loop_turn(t->loop, 10);
	assert_false(adit_mux_drained(bind));
	stream = native_rig_open(t, t->server, open_bytes, sizeof(open_bytes));
	visitor = accept_visitor(t, bind);
	assert_false(adit_mux_drained(bind));
	adit_conn_close(visitor, 0);
	assert_true(loop_until(t->loop, is_drained, bind, LIMIT));
	assert_int_equal(native_rig_end(t, stream, NULL), 0);
	adit_conn_close(stream, 0);
	adit_mux_close(bind, NULL);
	adit_conn_close(control, 0);
}

static void
a_server_that_drains_is_acknowledged(void **state)
{
	static const uint8_t drain[] = { 0x04, 0x00 }, drained[] = { 0x05, 0x03, 0x10, 0x01, 0x01 };
	struct native_rig *t = *state;
	struct adit_conn *control;
	struct adit_mux *bind = bound(t, &control);

	native_rig_send(t, control, drain, sizeof(drain));
	native_rig_expect(t, control, drained, sizeof(drained));
	/* Nothing new in that session: a next bind makes another. */
	assert_true(adit_mux_draining(t->client));
	assert_int_equal(adit_mux_err(bind), 0);
	adit_conn_close(control, 0);
	assert_true(loop_until(t->loop, has_ended, bind, LIMIT));
	assert_int_equal(adit_mux_err(bind), ADIT_EDRAINING);
	adit_mux_close(bind, NULL);
}

static void
a_session_that_ends_ends_its_binds(void **state)
{
	struct native_rig *t = *state;
	struct adit_conn *control, *stream, *visitor;
	struct adit_mux *bind = bound(t, &control);
	char byte;

	stream = native_rig_open(t, t->server, open_bytes, sizeof(open_bytes));
	visitor = accept_visitor(t, bind);
	adit_mux_close(t->client, NULL);
	t->client = NULL;
	assert_true(quic_rig_read(t->quic, visitor, &byte, 1) < 0);
	loop_turn(t->loop, 5);
	assert_true(adit_mux_err(bind) < 0);
	adit_conn_close(visitor, -ECONNRESET);
	adit_mux_close(bind, NULL);
	adit_conn_close(stream, 0);
	adit_conn_close(control, 0);
}

int
main(void)
{
#define WITH_RIG(test) \
	cmocka_unit_test_setup_teardown(test, native_rig_setup, native_rig_teardown)
	const struct CMUnitTest tests[] = {
		WITH_RIG(a_bind_is_these_bytes),
		WITH_RIG(a_refusal_says_why),
		WITH_RIG(a_server_that_is_silent_is_given_up),
		WITH_RIG(a_visitor_comes_with_who_he_is),
		WITH_RIG(a_handler_that_fails_is_told_as_a_status),
		WITH_RIG(the_first_bytes_are_an_answer_too),
		WITH_RIG(malformed_heads_are_refused),
		WITH_RIG(datagrams_are_one_conn),
		WITH_RIG(several_binds_in_one_session_are_kept_apart),
		WITH_RIG(drained_is_exact),
		WITH_RIG(a_server_that_drains_is_acknowledged),
		WITH_RIG(a_session_that_ends_ends_its_binds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
