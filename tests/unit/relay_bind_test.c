/*
 * The client's end of a bind, with the test as the node: what it answers, and what becomes of
 * streams whose heads come in pieces, late, or not at all.
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

#include "core/tunnel/relay_bind.h"
#include "core/wire/smux.h"
#include "tests/unit/wire_end.h"

#define TURNS 8
#define PATIENCE 10000

struct world {
	struct loop		*loop;
	struct wire_end		 node;
	struct adit_mux		*mux;
	struct relay_msg	 request;
	unsigned		 wanted;	/* sessions */
	unsigned		 opened, bound;
	struct relay_msg	 answer;	/* what bound was told */
	int			 err;		/* of the mux, once it has failed */
	char			 why[100];
};

static void
on_mux(void *owner, struct adit_mux *m, unsigned events)
{
	struct world *t = owner;
	const struct adit_reason *reason = adit_mux_reason(m);

	(void)events;
	t->opened += adit_mux_is_open(m);
	t->err = reason->err;
	snprintf(t->why, sizeof(t->why), "%s", reason->text ? reason->text : "");
	/* There is never room to open: this comes with the end alone. */
	adit_mux_want(m, t->err ? 0 : ADIT_WRITE);
}

static void
on_bound(void *arg, struct adit_mux *m, const struct relay_msg *answer)
{
	struct world *t = arg;

	assert_ptr_equal(m, t->mux);
	assert_false(adit_mux_is_open(m));
	t->bound++;
	t->answer = *answer;
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	t->request = (struct relay_msg){
		.code = RELAY_BIND, .n_addr = 2, .has_tunnel = true,
		.addr = { { .type = WIRE_ADDR_IPV4 }, { .type = WIRE_ADDR_NAME } },
		.tunnel = { .weight = 3 },
	};
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	adit_mux_close(t->mux, NULL);
	loop_turn(t->loop, TURNS);
	wire_end_fini(&t->node);
	loop_free(t->loop);
	free(t);
	return 0;
}

/* Binds, and the node has read the request. */
static void
begin(struct world *t, unsigned answer_ms)
{
	const struct relay_bind_conf conf = {
		.request = &t->request, .smux = smux_conf_default(false, 2),
		.answer_ms = answer_ms, .connections = t->wanted, .bound = on_bound, .arg = t,
	};
	struct adit_conn *lower = wire_end_init(&t->node, t->loop);
	struct relay_msg got;
	ssize_t n;

	t->mux = relay_bind(lower, &conf);
	assert_non_null(t->mux);
	adit_mux_own(t->mux, on_mux, t);
	adit_mux_want(t->mux, ADIT_OPEN | ADIT_READ);
	loop_turn(t->loop, TURNS);
	n = relay_decode(t->node.got, t->node.len, &got, NULL);
	assert_int_equal(n, t->node.len);
	assert_int_equal(got.code, RELAY_BIND);
	assert_int_equal(got.tunnel.weight, 3);
	wire_end_drop(&t->node, (size_t)n);
}

static void
say(struct world *t, const struct relay_msg *m)
{
	uint8_t buf[512];
	ssize_t n = relay_encode(m, buf, sizeof(buf));

	assert_true(n > 0);
	wire_end_send(&t->node, buf, (size_t)n);
	loop_turn(t->loop, TURNS);
}

static void
agree(struct world *t)
{
	const struct relay_msg ok = {
		.code = RELAY_OK, .n_addr = 1, .has_tunnel = true,
		.addr = { { .type = WIRE_ADDR_NAME, .len = 1, .name = "x", .port = 80 } },
		.tunnel = { .weight = 3 },
	};

	begin(t, 1000);
	say(t, &ok);
	assert_int_equal(t->err, 0);
	assert_true(t->opened);
}

static bool
has_failed(void *arg)
{
	return ((struct world *)arg)->err;
}

static void
expect_failure(struct world *t, int err)
{
	assert_true(loop_until(t->loop, has_failed, t, PATIENCE));
	assert_int_equal(t->err, err);
	assert_null(adit_mux_accept(t->mux));
}

/* ---- frames ------------------------------------------------------------------------- */

static void
frame(struct world *t, enum smux_cmd cmd, uint32_t stream, const void *payload, size_t len)
{
	uint8_t buf[SMUX_HEADER_LEN + 512];

	assert_true(len <= 512);
	smux_encode(&(struct smux_frame){ .version = 2, .cmd = (uint8_t)cmd, .len = (uint16_t)len,
					  .stream = stream }, buf);
	if (len)
		memcpy(buf + SMUX_HEADER_LEN, payload, len);
	wire_end_send(&t->node, buf, SMUX_HEADER_LEN + len);
	loop_turn(t->loop, TURNS);
}

/* The head of a stream for a visitor from that port, in buf; returns its size. */
static size_t
head_of(uint16_t port, uint8_t buf[128])
{
	const struct relay_msg m = {
		.code = RELAY_OK, .n_addr = 2,
		.addr = { { .type = WIRE_ADDR_IPV4, .ip = { 192, 0, 2, 7 }, .port = port },
			  { .type = WIRE_ADDR_NAME, .len = 9, .name = "app.local", .port = 8080 } },
	};
	ssize_t n = relay_encode(&m, buf, 128);

	assert_true(n > 0);
	return (size_t)n;
}

static void
open_stream(struct world *t, uint32_t stream, uint16_t port)
{
	uint8_t head[128];
	size_t len = head_of(port, head);

	frame(t, SMUX_SYN, stream, NULL, 0);
	frame(t, SMUX_PSH, stream, head, len);
}

/* The stream that is next must be that visitor's. */
static struct adit_conn *
accept_from(struct world *t, uint16_t port)
{
	struct adit_conn *c = adit_mux_accept(t->mux);
	char text[ADIT_ADDR_TEXT], want[32];
	uint16_t asked;

	assert_non_null(c);
	snprintf(want, sizeof(want), "192.0.2.7:%u", port);
	assert_string_equal(adit_addr_format(adit_conn_remote(c), text), want);
	assert_string_equal(adit_conn_asked(c, &asked), "app.local");
	assert_int_equal(asked, 8080);
	assert_true(adit_conn_is_open(c));
	return c;
}

/* Whether the session sent such a frame of that stream; all that came is taken. */
static bool
sent(struct world *t, enum smux_cmd cmd, uint32_t stream)
{
	struct smux_frame f;
	bool found = false;

	loop_turn(t->loop, TURNS);
	while (t->node.len) {
		assert_true(smux_decode(t->node.got, t->node.len, 2, &f, NULL) > 0);
		found |= f.cmd == cmd && f.stream == stream;
		wire_end_drop(&t->node, SMUX_HEADER_LEN + (size_t)f.len);
	}
	return found;
}

/* ---- the answer ---------------------------------------------------------------------- */

static void
an_agreed_bind_is_a_session(void **state)
{
	struct world *t = *state;

	begin(t, 1000);
	assert_false(adit_mux_is_open(t->mux));
	say(t, &(struct relay_msg){ .code = RELAY_OK, .has_tunnel = true,
				    .tunnel = { .weight = 9 } });
	assert_true(adit_mux_is_open(t->mux));
	assert_int_equal(t->bound, 1);
	assert_int_equal(t->answer.tunnel.weight, 9);
	assert_int_equal(adit_mux_room(t->mux, 0), 0);
	assert_null(adit_mux_open(t->mux, 0, NULL));
}

/* As many as are wanted and of use to the server; a gost, which sends 0, has one. */
static void
the_answer_says_how_many_sessions_are_of_use(void **state)
{
	static const struct { unsigned wanted, useful, siblings; } rows[] = {
		{ 2, 0, 1 }, { 2, 4, 2 }, { 4, 2, 2 }, { 1, 4, 1 }, { 16, 255, 16 },
	};
	struct world *t = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		t->wanted = rows[i].wanted;
		begin(t, 1000);
		say(t, &(struct relay_msg){ .code = RELAY_OK, .has_tunnel = true,
					    .tunnel = { .sessions = (uint8_t)rows[i].useful } });
		assert_true(adit_mux_is_open(t->mux));
		assert_int_equal(adit_mux_siblings(t->mux), rows[i].siblings);
		adit_mux_close(t->mux, NULL);
		wire_end_fini(&t->node);
		t->mux = NULL;
	}
}

static void
a_refusal_is_the_failure(void **state)
{
	static const struct { uint8_t status; int err; } rows[] = {
		{ RELAY_UNAUTHORIZED, ADIT_EUNAUTH }, { RELAY_FORBIDDEN, ADIT_EFORBIDDEN },
	};
	struct world *t = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		t->err = 0;
		begin(t, 1000);
		say(t, &(struct relay_msg){ .code = rows[i].status });
		expect_failure(t, rows[i].err);
		assert_int_equal(t->bound, 0);
		adit_mux_close(t->mux, NULL);
		wire_end_fini(&t->node);
		t->mux = NULL;
	}
}

static void
a_silent_node_is_given_up(void **state)
{
	struct world *t = *state;

	begin(t, 30);
	expect_failure(t, -ETIMEDOUT);
	adit_mux_close(t->mux, NULL);
	t->mux = NULL;
	loop_turn(t->loop, TURNS);
	assert_true(t->node.ended || t->node.err);
}

/* The limit is on the whole answer: half of it is no sign of life. */
static void
half_an_answer_is_silence(void **state)
{
	struct world *t = *state;

	begin(t, 30);
	wire_end_send(&t->node, "\x01\x00\x00", 3);
	expect_failure(t, -ETIMEDOUT);
}

static void
an_answer_that_is_none_is_an_error(void **state)
{
	struct world *t = *state;

	begin(t, 1000);
	wire_end_send(&t->node, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	expect_failure(t, -EBADMSG);
	assert_int_equal(t->bound, 0);
}

static void
a_node_that_hangs_up_is_lost(void **state)
{
	struct world *t = *state;

	begin(t, 1000);
	wire_end_close(&t->node, 0);
	expect_failure(t, -ECONNRESET);
}

/* ---- the session --------------------------------------------------------------------- */

/* The frame stands behind the answer, in one write. */
static void
a_stream_may_come_with_the_answer(void **state)
{
	struct world *t = *state;
	uint8_t bytes[256], head[128];
	size_t len = head_of(1, head), at;
	ssize_t n = relay_encode(&(struct relay_msg){ .code = RELAY_OK }, bytes, sizeof(bytes));

	assert_true(n > 0);
	at = (size_t)n;
	smux_encode(&(struct smux_frame){ .version = 2, .cmd = SMUX_SYN, .stream = 3 }, bytes + at);
	at += SMUX_HEADER_LEN;
	smux_encode(&(struct smux_frame){ .version = 2, .cmd = SMUX_PSH, .stream = 3,
					  .len = (uint16_t)len }, bytes + at);
	at += SMUX_HEADER_LEN;
	memcpy(bytes + at, head, len);
	begin(t, 1000);
	wire_end_send(&t->node, bytes, at + len);
	loop_turn(t->loop, TURNS);
	adit_conn_close(accept_from(t, 1), 0);
}

/* A gost reads heads one after the other; here nobody waits for another's. */
static void
a_slow_head_holds_up_nobody(void **state)
{
	struct world *t = *state;
	uint8_t head[128];
	size_t len = head_of(1, head);

	agree(t);
	frame(t, SMUX_SYN, 3, NULL, 0);
	frame(t, SMUX_PSH, 3, head, 5);
	open_stream(t, 5, 2);
	adit_conn_close(accept_from(t, 2), 0);
	assert_null(adit_mux_accept(t->mux));
	frame(t, SMUX_PSH, 3, head + 5, len - 5);
	adit_conn_close(accept_from(t, 1), 0);
}

/* What follows the head in its frame is the stream's. */
static void
bytes_behind_a_head_are_kept(void **state)
{
	struct world *t = *state;
	uint8_t bytes[160];
	size_t len = head_of(1, bytes);
	struct adit_conn *c;
	char buf[16];

	agree(t);
	memcpy(bytes + len, "hello", 5);
	frame(t, SMUX_SYN, 3, NULL, 0);
	frame(t, SMUX_PSH, 3, bytes, len + 5);
	c = accept_from(t, 1);
	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	adit_conn_close(c, 0);
}

/* One stream is lost; a gost would drop the session. */
static void
a_bad_head_ends_its_stream_alone(void **state)
{
	static const char *const heads[] = {
		"\x02\x00\x00\x00", "\x01\x05\x00\x00", "\x01\x00\x00\x01\x09",
	};
	static const size_t lens[] = { 4, 4, 5 };
	struct world *t = *state;

	agree(t);
	for (uint32_t i = 0; i < 3; i++) {
		frame(t, SMUX_SYN, 3 + 2 * i, NULL, 0);
		frame(t, SMUX_PSH, 3 + 2 * i, heads[i], lens[i]);
		if (i < 2)
			assert_true(sent(t, SMUX_FIN, 3 + 2 * i));
	}
	frame(t, SMUX_FIN, 7, NULL, 0);		/* within its head */
	assert_null(adit_mux_accept(t->mux));
	assert_int_equal(adit_mux_err(t->mux), 0);
	open_stream(t, 11, 4);
	adit_conn_close(accept_from(t, 4), 0);
}

static void
garbage_ends_the_session(void **state)
{
	struct world *t = *state;

	agree(t);
	wire_end_send(&t->node, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	expect_failure(t, -EPROTO);
}

/* With streams that wait: for their heads, and to be accepted. */
static void
an_end_takes_what_waits_along(void **state)
{
	struct world *t = *state;

	agree(t);
	frame(t, SMUX_SYN, 3, NULL, 0);
	open_stream(t, 5, 2);
	wire_end_close(&t->node, 0);
	assert_true(loop_until(t->loop, has_failed, t, PATIENCE));
	assert_int_equal(t->err, -ESHUTDOWN);
	assert_string_equal(t->why, "closed by the peer");
	adit_mux_close(t->mux, NULL);
	t->mux = NULL;
	loop_turn(t->loop, TURNS);
}

static void
closing_ends_what_waits(void **state)
{
	struct world *t = *state;

	agree(t);
	frame(t, SMUX_SYN, 3, NULL, 0);
	open_stream(t, 5, 2);
	adit_mux_close(t->mux, NULL);
	t->mux = NULL;
	loop_turn(t->loop, TURNS);
	assert_true(t->node.ended || t->node.err);
}

static bool
is_drained(void *arg)
{
	return adit_mux_drained(((struct world *)arg)->mux);
}

/*
 * What is open goes on. A gost cannot be told and opens more: it would not try another client if
 * those ended at once, so they are visitors as any other, until there are none for a moment.
 */
static void
a_draining_bind_serves_who_comes(void **state)
{
	struct world *t = *state;
	struct adit_conn *c, *late;

	agree(t);
	open_stream(t, 3, 1);
	c = accept_from(t, 1);
	adit_mux_drain(t->mux);
	loop_turn(t->loop, TURNS);
	assert_true(adit_conn_is_open(c));
	assert_false(adit_mux_drained(t->mux));
	open_stream(t, 5, 2);
	late = accept_from(t, 2);
	assert_int_equal(adit_conn_write(c, "x", 1), 1);
	assert_true(sent(t, SMUX_PSH, 3));
	adit_conn_close(c, 0);
	loop_turn(t->loop, TURNS);
	assert_false(adit_mux_drained(t->mux));
	assert_int_equal(adit_conn_write(late, "y", 1), 1);
	assert_true(sent(t, SMUX_PSH, 5));
	adit_conn_close(late, 0);
	assert_true(loop_until(t->loop, is_drained, t, PATIENCE));
	assert_int_equal(adit_mux_err(t->mux), 0);
}

/* A gost answers nothing to it: a moment after the last stream it is taken to have heard. */
static void
a_drain_comes_to_an_end(void **state)
{
	struct world *t = *state;

	agree(t);
	adit_mux_drain(t->mux);
	assert_true(loop_until(t->loop, is_drained, t, PATIENCE));
}

/* Both directions, heads included: the log has them. */
static void
bytes_are_counted(void **state)
{
	struct world *t = *state;

	agree(t);
	assert_int_equal(adit_mux_traffic(t->mux)->in, 0);
	open_stream(t, 3, 1);
	adit_conn_close(accept_from(t, 1), 0);
	loop_turn(t->loop, TURNS);
	assert_int_equal(adit_mux_traffic(t->mux)->in, 2 * SMUX_HEADER_LEN + 4 + 10 + 16);
	assert_int_equal(adit_mux_traffic(t->mux)->out, t->node.len);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_agreed_bind_is_a_session),
		TEST(the_answer_says_how_many_sessions_are_of_use),
		TEST(a_refusal_is_the_failure),
		TEST(a_silent_node_is_given_up),
		TEST(half_an_answer_is_silence),
		TEST(an_answer_that_is_none_is_an_error),
		TEST(a_node_that_hangs_up_is_lost),
		TEST(a_stream_may_come_with_the_answer),
		TEST(a_slow_head_holds_up_nobody),
		TEST(bytes_behind_a_head_are_kept),
		TEST(a_bad_head_ends_its_stream_alone),
		TEST(garbage_ends_the_session),
		TEST(an_end_takes_what_waits_along),
		TEST(closing_ends_what_waits),
		TEST(a_draining_bind_serves_who_comes),
		TEST(a_drain_comes_to_an_end),
		TEST(bytes_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
