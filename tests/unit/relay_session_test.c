#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/tunnel.h>

#include "core/service/component.h"
#include "core/tunnel/relay_session.h"
#include "core/wire/relay.h"
#include "core/wire/smux.h"
#include "tests/unit/wire_end.h"

#define NAME "4d21094e-b74c-4916-86c1-d9fa36ea677b"

struct world {
	struct loop		*loop;
	struct activities	 activities;
	struct adit_component	 component;
	struct relay_session_conf conf;
	struct relay_msg	 answer;
};

/* A lower conn that tells what the table says at the moment something is sent. */
struct witness {
	struct adit_conn	 base;
	int			 refuse;	/* what writing answers with; 0: it takes all */
};

static struct {
	unsigned	 writes, closes;
	int		 found_first;	/* of adit_tunnel_pick during the first write */
	uint8_t		 first[2];	/* octets of it */
} seen;

static ssize_t
witness_read(struct adit_conn *c, void *buf, size_t len)
{
	(void)c;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static ssize_t
witness_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct witness *t = adit_container_of(c, struct witness, base);
	struct adit_choice choice;
	size_t len = 0;

	if (t->refuse)
		return t->refuse;
	if (seen.writes++ == 0) {
		assert_true(iov[0].iov_len >= sizeof(seen.first));
		memcpy(seen.first, iov[0].iov_base, sizeof(seen.first));
		seen.found_first = adit_tunnel_pick(adit_conn_worker(c), NAME, ADIT_TCP, &choice);
	}
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return (ssize_t)len;
}

static int
witness_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

static void
witness_close(struct adit_conn *c, int why)
{
	(void)c;
	(void)why;
	seen.closes++;
}

static void
witness_free(struct adit_conn *c)
{
	(void)c;
}

static const struct adit_conn_ops witness_ops = {
	.size = sizeof(witness_ops),
	.name = "witness",
	.read = witness_read,
	.writev = witness_writev,
	.shutdown = witness_shutdown,
	.close = witness_close,
	.free = witness_free,
};

static struct witness *
witness_new(struct world *t)
{
	struct witness *c = adit_conn_new(t->loop->worker, &witness_ops, sizeof(*c), 0);

	assert_non_null(c);
	adit_conn_ready(&c->base, ADIT_OPEN | ADIT_WRITE);
	return c;
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	memset(&seen, 0, sizeof(seen));
	seen.found_first = 1;
	t->loop = loop_new();
	component_init(&t->component, "tunnel", NULL, NULL);
	t->component.activities = &t->activities;
	t->answer = (struct relay_msg){ .code = RELAY_OK, .has_tunnel = true };
	t->conf = (struct relay_session_conf){
		.bound = { .component = &t->component, .network = ADIT_TCP }, .answer = &t->answer,
		.smux = smux_conf_default(true, 2),
	};
	assert_int_equal(adit_uuid_parse(NAME, false, &t->conf.bound.tunnel), 0);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	activities_stop(&t->activities, t->loop->worker, ADIT_ESTOPPED);
	loop_turn(t->loop, 5);
	assert_int_equal(t->activities.n, 0);
	loop_free(t->loop);
	free(t);
	return 0;
}

static bool
is_in_table(struct world *t)
{
	struct adit_choice choice;

	return adit_tunnel_pick(t->loop->worker, NAME, ADIT_TCP, &choice) == 0;
}

/* Its visitors may come at once from anywhere, and must not hear that there is no client. */
static void
who_has_the_answer_can_be_reached(void **state)
{
	struct world *t = *state;

	assert_int_equal(relay_session_start(&witness_new(t)->base, &t->conf), 0);
	assert_int_equal(seen.first[0], RELAY_VERSION);
	assert_int_equal(seen.first[1], RELAY_OK);
	assert_int_equal(seen.found_first, 0);
	assert_true(is_in_table(t));
}

/*
 * A visitor may be waiting already, on another worker: what he opens comes in the same turn as the
 * answer, before the session has heard that the conn below is open.
 */
static void
a_visitor_of_the_same_moment_is_served(void **state)
{
	struct world *t = *state;
	const struct adit_open req = { .tunnel = NAME, .network = ADIT_TCP, .host = "app.local" };
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	assert_int_equal(relay_session_start(&witness_new(t)->base, &t->conf), 0);
	c = adit_tunnel_open(t->loop->worker, &req, NULL, &e);
	assert_string_equal(e.text, "");
	assert_non_null(c);
	loop_turn(t->loop, 5);
	assert_true(adit_conn_is_open(c));
	assert_int_equal(adit_conn_write(c, "hello", 5), 5);
	adit_conn_close(c, 0);
}

static void
an_answer_that_cannot_be_sent_leaves_the_tunnel(void **state)
{
	struct world *t = *state;
	struct witness *c = witness_new(t);

	c->refuse = -ECONNRESET;
	assert_int_equal(relay_session_start(&c->base, &t->conf), -ECONNRESET);
	assert_int_equal(seen.closes, 1);
	assert_false(is_in_table(t));
}

static void
a_client_that_leaves_is_out_of_the_tunnel(void **state)
{
	struct world *t = *state;
	struct witness *c = witness_new(t);

	assert_int_equal(relay_session_start(&c->base, &t->conf), 0);
	adit_conn_fail(&c->base, -ECONNRESET);
	loop_turn(t->loop, 5);
	assert_int_equal(seen.closes, 1);
	assert_false(is_in_table(t));
}

/* ---- with a client that speaks ------------------------------------------------------- */

/* A session whose client, played by the test, has read the answer. */
static void
bind_client(struct world *t, struct wire_end *client)
{
	assert_int_equal(relay_session_start(wire_end_init(client, t->loop), &t->conf), 0);
	loop_turn(t->loop, 5);
	assert_true(client->len >= 4);
	wire_end_drop(client, relay_need(client->got, client->len));
}

static void
client_frame(struct wire_end *client, enum smux_cmd cmd, uint32_t stream)
{
	uint8_t frame[SMUX_HEADER_LEN];

	smux_encode(&(struct smux_frame){
		.version = 2, .cmd = (uint8_t)cmd, .stream = stream,
	}, frame);
	wire_end_send(client, frame, sizeof(frame));
	loop_turn(client->loop, 5);
}

static void
garbage_ends_the_session(void **state)
{
	struct world *t = *state;
	struct wire_end client;

	bind_client(t, &client);
	assert_true(is_in_table(t));
	wire_end_send(&client, "GET / HTTP/1.1\r\n\r\n", 18);
	loop_turn(t->loop, 5);
	assert_false(is_in_table(t));
	assert_int_equal(t->activities.n, 0);
	assert_true(client.ended || client.err);
	wire_end_fini(&client);
}

/* Only the server opens: as a gost we end it at once, and go on. */
static void
a_stream_of_the_client_is_ended(void **state)
{
	struct world *t = *state;
	struct wire_end client;
	struct smux_frame f;
	bool ended = false;

	bind_client(t, &client);
	client_frame(&client, SMUX_SYN, 2);
	while (client.len) {
		assert_true(smux_decode(client.got, client.len, 2, &f, NULL) > 0);
		ended |= f.cmd == SMUX_FIN && f.stream == 2;
		wire_end_drop(&client, SMUX_HEADER_LEN + (size_t)f.len);
	}
	assert_true(ended);
	assert_true(is_in_table(t));
	wire_end_close(&client, 0);
	loop_turn(t->loop, 5);
	assert_false(is_in_table(t));
	wire_end_fini(&client);
}

/* New visitors go elsewhere from the first moment; who is there is served. */
static void
a_session_that_stops_serves_who_is_there(void **state)
{
	const struct adit_open req = { .tunnel = NAME, .network = ADIT_TCP, .host = "app.local" };
	struct world *t = *state;
	struct wire_end client;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	bind_client(t, &client);
	c = adit_tunnel_open(t->loop->worker, &req, NULL, &e);
	assert_non_null(c);
	loop_turn(t->loop, 5);
	activities_stop(&t->activities, t->loop->worker, 0);
	assert_false(is_in_table(t));
	assert_int_equal(t->activities.n, 1);
	assert_int_equal(adit_conn_write(c, "x", 1), 1);
	adit_conn_close(c, 0);
	loop_turn(t->loop, 5);
	activities_stop(&t->activities, t->loop->worker, 0);
	loop_turn(t->loop, 5);
	assert_int_equal(t->activities.n, 0);
	wire_end_fini(&client);
}

int
main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_WORLD(who_has_the_answer_can_be_reached),
		WITH_WORLD(a_visitor_of_the_same_moment_is_served),
		WITH_WORLD(an_answer_that_cannot_be_sent_leaves_the_tunnel),
		WITH_WORLD(a_client_that_leaves_is_out_of_the_tunnel),
		WITH_WORLD(garbage_ends_the_session),
		WITH_WORLD(a_stream_of_the_client_is_ended),
		WITH_WORLD(a_session_that_stops_serves_who_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
