/* QUIC: what the network says of a path, and what becomes of a session whose path changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/quic_rig.h"

/* Tells the server of its client: err, and of what it has sent last if seen. */
static void
forge_of_client(struct quic_rig *r, int err, bool seen)
{
	struct adit_trouble t = { .err = err, .peer = *quic_endpoint_local(r->client) };

	t.quote_len = sizeof(t.quote);
	memcpy(t.quote, r->down.quote, sizeof(t.quote));
	t.quote[5] ^= !seen;
	weather_forge(&r->down, &t);
}

/*
 * Anybody can send an ICMP message: it makes the session ask its peer, and no number of them ends
 * one that answers, whatever they quote.
 */
static void
forged_troubles_only_cast_doubt(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	unsigned asked = 0;

	r->params.keep_alive = r->conf.params.keep_alive = UINT64_MAX;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 30; i++) {
		struct hearing quiet = { server, adit_now() };

		loop_until(r->l, has_heard, &quiet, 60);
		forge_of_client(r, -ECONNREFUSED, i & 1);
		asked += loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 60);
		assert_int_equal(adit_mux_err(server), 0);
	}
	assert_true(asked > 0);		/* they were not just dropped */
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(client, NULL);
}

/*
 * Nor does one of those who are not on the way end a session whose peer is held up: they do not
 * know what is sent to it.
 */
static void
strangers_do_not_end_a_session(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 60);
	r->up.cut = true;
	for (int i = 0; i < 10; i++) {
		forge_of_client(r, -ECONNREFUSED, false);
		loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 110);
		assert_int_equal(adit_mux_err(server), 0);
	}
	for (int i = 0; i < 100 && !adit_mux_err(server); i++) {
		forge_of_client(r, -ECONNREFUSED, true);
		loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 110);
	}
	assert_int_equal(adit_mux_err(server), ADIT_EPEERDEAD);
	adit_mux_close(client, NULL);
}

/*
 * The network says that the way is gone, and it is, for a while: a client that moves from one
 * network to another. Asked often, it answers as soon as it can.
 */
static void
a_way_that_is_gone_may_come_back(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct hearing h;
	unsigned sent;

	r->params.keep_alive = r->conf.params.keep_alive = UINT64_MAX;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	r->up.cut = true;
	sent = r->down.sent;
	for (int i = 0; i < 10; i++) {
		forge_of_client(r, -EHOSTUNREACH, true);
		loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 110);
		assert_int_equal(adit_mux_err(server), 0);
	}
	assert_true(r->down.sent - sent >= 5);
	r->up.cut = false;
	h = (struct hearing){ server, adit_now() };
	forge_of_client(r, -EHOSTUNREACH, true);
	assert_true(loop_until(r->l, has_heard, &h, RIG_LIMIT));
	adit_mux_close(client, NULL);
}

/* ---- the client's way to the server ------------------------------------------------------- */

/* The machine, as the client sees it. */
struct machine {
	bool			 cut_off;
	struct adit_addr	 address;
};

static bool
machine_source(void *arg, const struct adit_addr *peer, struct adit_addr *from)
{
	const struct machine *m = arg;

	(void)peer;
	if (m->cut_off)
		return false;
	*from = m->address;
	return true;
}

/* A client whose socket is bound to no address, on a machine with 127.0.0.0/8. */
static void
start_mobile(struct quic_rig *r, struct machine *m)
{
	const struct quic_conf conf = { .source = machine_source, .arg = m };

	quic_rig_start_server(r);
	assert_int_equal(adit_addr_parse("0.0.0.0", 0, &r->udp.bind), 0);
	assert_int_equal(adit_addr_parse("127.0.0.1", 0, &m->address), 0);
	r->client = quic_rig_endpoint(r, &conf, NULL, &r->up);
}

static void
move_to(struct quic_rig *r, struct machine *m, uint8_t number)
{
	m->address.ip[3] = number;
	quic_endpoint_moved(r->client);
}

struct remote {
	struct adit_mux	*m;
	uint8_t		 number;
	uint16_t	 port;
};

static bool
has_followed(void *arg)
{
	const struct remote *want = arg;
	const struct adit_addr *a = adit_mux_remote(want->m);

	return a->ip[3] == want->number && a->port == want->port;
}

static void
until_followed(struct quic_rig *r, struct adit_mux *server, uint8_t number)
{
	struct remote want = { server, number, quic_endpoint_local(r->client)->port };

	assert_true(loop_until(r->l, has_followed, &want, RIG_LIMIT));
}

static bool
half_crossed(void *arg)
{
	const struct crossing *x = arg;

	return x->got > x->want / 2;
}

/* Bytes under way in both directions, and while they are the client's machine moves. */
static void
streams_go_on_where_the_client_moves(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	struct machine m = { 0 };
	struct crossing x[2];

	start_mobile(r, &m);
	quic_rig_session(r, &client, &server);
	until_followed(r, server, 1);
	for (uint8_t to = 2; to < 6; to++) {
		quic_rig_stream(r, client, server, &a, &b);
		crossing_start(&x[0], a, b, 3000000);
		crossing_start(&x[1], b, a, 2000000);
		while (!half_crossed(&x[0]))
			crossings_run(r, x, 2, 1);
		move_to(r, &m, to);
		assert_true(crossings_run(r, x, 2, RIG_LIMIT));
		for (int i = 0; i < 2; i++) {
			assert_int_equal(x[i].got, x[i].want);
			assert_false(x[i].bad);
		}
		until_followed(r, server, to);
		assert_int_equal(adit_mux_local(client)->ip[3], to);
		adit_conn_close(a, 0);
		adit_conn_close(b, 0);
	}
	assert_int_equal(r->n_accepted, 1);
	adit_mux_close(client, NULL);
}

/* More often than the server has given connection ids for: the last move counts. */
static void
many_moves_at_once(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct machine m = { 0 };

	start_mobile(r, &m);
	quic_rig_session(r, &client, &server);
	adit_mux_probe(client);
	loop_until(r->l, has_heard, &(struct hearing){ client, adit_now() }, RIG_LIMIT);
	for (uint8_t to = 2; to < 20; to++)
		move_to(r, &m, to);
	until_followed(r, server, 19);
	assert_int_equal(adit_mux_err(client), 0);
	assert_int_equal(adit_mux_err(server), 0);
	adit_mux_close(client, NULL);
}

static void
nothing_moves_where_the_way_is_the_same(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct machine m = { 0 };

	start_mobile(r, &m);
	quic_rig_session(r, &client, &server);
	quic_endpoint_moved(r->client);
	m.cut_off = true;
	quic_endpoint_moved(r->client);
	assert_int_equal(adit_mux_local(client)->ip[0], 0);	/* still what the kernel likes */
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(client, NULL);
}

static void
a_server_that_forbids_it_is_dialled_anew(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct machine m = { 0 };

	r->conf.params.stay = true;
	start_mobile(r, &m);
	quic_rig_session(r, &client, &server);
	move_to(r, &m, 2);
	assert_int_equal(adit_mux_err(client), -ENETRESET);
	assert_true(quic_rig_until_ended(r, server));	/* told, so that it sends nothing there */
	assert_int_equal(adit_mux_err(server), -ECONNRESET);
	adit_mux_close(client, NULL);
	quic_rig_session(r, &client, &server);
	adit_mux_close(client, NULL);
}

static void
a_handshake_is_begun_anew(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;
	struct machine m = { 0 };

	start_mobile(r, &m);
	r->down.cut = true;
	client = quic_rig_connect(r);
	loop_turn(r->l, 5);
	assert_int_equal(adit_mux_err(client), 0);
	move_to(r, &m, 2);
	assert_int_equal(adit_mux_err(client), -ENETRESET);
	adit_mux_close(client, NULL);
}

/* A send that fails on this machine is no word about the peer; and it may be the first to tell. */
static void
failing_sends_have_the_way_looked_at(void **state)
{
	struct quic_rig *r = *state;
	struct adit_trouble t = { .err = -ENETUNREACH };
	struct adit_mux *client, *server;
	struct machine m = { 0 };

	start_mobile(r, &m);
	quic_rig_session(r, &client, &server);
	t.peer = r->at;
	r->up.cut = true;
	m.cut_off = true;
	for (int i = 0; i < 10; i++) {
		weather_forge(&r->up, &t);
		loop_until(r->l, has_heard, &(struct hearing){ client, adit_now() }, 110);
		assert_int_equal(adit_mux_err(client), 0);
	}
	r->up.cut = false;
	m.cut_off = false;
	m.address.ip[3] = 7;
	t.err = -EINVAL;
	weather_forge(&r->up, &t);
	until_followed(r, server, 7);
	adit_mux_close(client, NULL);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(forged_troubles_only_cast_doubt),
		rig_test(strangers_do_not_end_a_session),
		rig_test(a_way_that_is_gone_may_come_back),
		rig_test(streams_go_on_where_the_client_moves),
		rig_test(many_moves_at_once),
		rig_test(nothing_moves_where_the_way_is_the_same),
		rig_test(a_server_that_forbids_it_is_dialled_anew),
		rig_test(a_handshake_is_begun_anew),
		rig_test(failing_sends_have_the_way_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
