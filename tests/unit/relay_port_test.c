/*
 * A UDP port at a relay, with the test as the node: whose each datagram is, what is said back, and
 * what the end of it all is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/proxy/relay_port.h"
#include "tests/unit/wire_end.h"

#define TURNS 8
#define PATIENCE 10000
#define BYTES(text) (text), sizeof(text) - 1

/* Frames of five bytes, from two addresses. */
#define FROM_7 "\0\5\xff\1\xc0\0\2\7\0\x35"
#define FROM_8 "\0\5\xff\1\xc0\0\2\x8\0\x35"
#define FROM_A_NAME "\0\5\xff\3\4name\0\x35"

struct world {
	struct loop		*loop;
	struct wire_end		 node;
	struct adit_mux		*mux;
	unsigned		 bound;
};

static void
on_bound(void *arg, struct adit_mux *m, const struct relay_msg *answer)
{
	struct world *t = arg;

	assert_ptr_equal(m, t->mux);
	assert_int_equal(answer->n_addr, 1);
	t->bound++;
}

static int
setup(void **state)
{
	static const struct relay_msg request = {
		.code = RELAY_BIND | RELAY_UDP, .has_network = true, .network = RELAY_NET_UDP,
		.n_addr = 1, .addr = { { .type = WIRE_ADDR_IPV4, .port = 53 } },
	};
	struct world *t = calloc(1, sizeof(*t));
	const struct relay_port_conf conf = {
		.request = &request, .answer_ms = PATIENCE, .name = "test", .bound = on_bound,
		.arg = t, .flows = {
			.ttl = ADIT_SECONDS(60), .backlog = 4, .queue = 4, .largest = 1000,
		},
	};

	assert_non_null(t);
	t->loop = loop_new();
	t->mux = relay_port(wire_end_init(&t->node, t->loop), &conf);
	assert_non_null(t->mux);
	loop_turn(t->loop, TURNS);
	assert_int_equal(t->node.len, 4 + 5 + 10);
	assert_memory_equal(t->node.got, "\1\x82\0\xf\4\0\2\0\1\2\0\7\1\0\0\0\0\0\x35", 19);
	wire_end_drop(&t->node, 19);
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

static void
say(struct world *t, const void *bytes, size_t len)
{
	wire_end_send(&t->node, bytes, len);
	loop_turn(t->loop, TURNS);
}

static void
agree(struct world *t)
{
	say(t, BYTES("\1\0\0\xa\2\0\7\1\0\0\0\0\0\x35"));
	assert_true(adit_mux_is_open(t->mux));
	assert_int_equal(t->bound, 1);
}

static void
expect_read(struct adit_conn *c, const char *text)
{
	char buf[100];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, (size_t)n);
}

static struct adit_conn *
accept_from(struct world *t, const char *address)
{
	struct adit_conn *c = adit_mux_accept(t->mux);
	char text[ADIT_ADDR_TEXT];

	assert_non_null(c);
	assert_string_equal(adit_addr_format(adit_conn_remote(c), text), address);
	return c;
}

static void
each_address_is_a_flow(void **state)
{
	static const char frames[] = FROM_7 "one.1" FROM_8 "two.1" FROM_A_NAME "nobod"
				     "\0\0\xff\1\xc0\0\2\7\0\x35" FROM_7 "one.2";
	struct world *t = *state;
	struct adit_conn *one, *two;

	agree(t);
	for (size_t i = 0; i < sizeof(frames) - 1; i++)
		say(t, frames + i, 1);
	assert_int_equal(adit_mux_streams(t->mux), 2);
	one = accept_from(t, "192.0.2.7:53");
	two = accept_from(t, "192.0.2.8:53");
	assert_null(adit_mux_accept(t->mux));
	expect_read(one, "one.1");
	expect_read(one, "one.2");
	expect_read(two, "two.1");
	assert_int_equal(adit_conn_read(one, (char[1]){ 0 }, 1), -EAGAIN);
	adit_conn_close(one, 0);
	adit_conn_close(two, 0);
	assert_int_equal(adit_mux_streams(t->mux), 0);
}

/* Several of one turn, the last of them shorter, and an empty one, which has no frame. */
static void
what_is_said_back_is_framed(void **state)
{
	static const char answers[] = FROM_7 "first" FROM_7 "secon"
				      "\0\1\xff\1\xc0\0\2\7\0\x35" "d";
	struct world *t = *state;
	struct adit_conn *c;

	agree(t);
	say(t, BYTES(FROM_7 "hello"));
	c = accept_from(t, "192.0.2.7:53");
	assert_int_equal(adit_conn_write(c, "first", 5), 5);
	assert_int_equal(adit_conn_write(c, "secon", 5), 5);
	assert_int_equal(adit_conn_write(c, "d", 1), 1);
	adit_conn_write(c, "", 0);
	loop_turn(t->loop, TURNS);
	assert_int_equal(t->node.len, sizeof(answers) - 1);
	assert_memory_equal(t->node.got, answers, sizeof(answers) - 1);
	adit_conn_close(c, 0);
}

/* Nobody waits for a node that does not read, and what it is told afterwards is whole frames. */
static void
a_node_that_does_not_read_holds_up_nothing(void **state)
{
	static const char payload[1000];
	struct world *t = *state;
	struct adit_conn *c;
	ssize_t n = 0;

	agree(t);
	say(t, BYTES(FROM_7 "hello"));
	c = accept_from(t, "192.0.2.7:53");
	wire_end_pause(&t->node, true);
	for (int i = 0; i < 2000 && n != -EAGAIN; i++) {
		n = adit_conn_write(c, payload, sizeof(payload));
		loop_turn(t->loop, 1);
	}
	assert_int_equal(n, -EAGAIN);
	wire_end_pause(&t->node, false);
	while (adit_conn_write(c, "last.", 5) == -EAGAIN)
		loop_turn(t->loop, 1);
	loop_turn(t->loop, 100);
	for (size_t i = 0; i + 15 < t->node.len; i += 10 + sizeof(payload))
		assert_memory_equal(t->node.got + i, "\3\xe8\xff\1\xc0\0\2\7\0\x35", 10);
	assert_int_equal((t->node.len - 15) % (10 + sizeof(payload)), 0);
	assert_memory_equal(t->node.got + t->node.len - 15, FROM_7 "last.", 15);
	adit_conn_close(c, 0);
}

static bool
has_failed(void *arg)
{
	return adit_mux_err(((struct world *)arg)->mux);
}

static void
with_the_connection_all_flows_end(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	agree(t);
	say(t, BYTES(FROM_7 "hello" FROM_8 "other"));
	c = accept_from(t, "192.0.2.7:53");
	wire_end_close(&t->node, 0);
	assert_true(loop_until(t->loop, has_failed, t, PATIENCE));
	assert_int_equal(adit_mux_err(t->mux), -ESHUTDOWN);
	adit_conn_write(c, "lost", 4);		/* until the owner of the session closes it */
	adit_mux_close(t->mux, NULL);
	t->mux = NULL;
	expect_read(c, "hello");		/* it had come */
	assert_int_equal(adit_conn_err(c), -ECONNRESET);
	adit_conn_close(c, 0);
}

static void
half_a_frame_is_no_end(void **state)
{
	struct world *t = *state;

	agree(t);
	say(t, BYTES(FROM_7 "hel"));
	wire_end_close(&t->node, 0);
	assert_true(loop_until(t->loop, has_failed, t, PATIENCE));
	assert_int_equal(adit_mux_err(t->mux), ADIT_ETRUNCATED);
}

static void
a_session_that_drains_takes_nobody_more(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	agree(t);
	say(t, BYTES(FROM_7 "hello"));
	c = accept_from(t, "192.0.2.7:53");
	adit_mux_drain(t->mux);
	say(t, BYTES(FROM_8 "other" FROM_7 "again"));
	assert_null(adit_mux_accept(t->mux));
	expect_read(c, "hello");
	expect_read(c, "again");
	assert_false(adit_mux_drained(t->mux));
	adit_conn_close(c, 0);
	assert_true(adit_mux_drained(t->mux));
}

static void
a_refusal_is_the_end(void **state)
{
	struct world *t = *state;

	say(t, BYTES("\1\3\0\0"));
	assert_int_equal(adit_mux_err(t->mux), ADIT_EFORBIDDEN);
	assert_int_equal(t->bound, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_address_is_a_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_said_back_is_framed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_node_that_does_not_read_holds_up_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(with_the_connection_all_flows_end, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_frame_is_no_end, setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_that_drains_takes_nobody_more, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_the_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
