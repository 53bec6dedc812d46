/* QUIC: who takes what comes in at an endpoint that outlives its listeners. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mux/quic/group.h"
#include "tests/unit/quic_rig.h"

/* A listener, as far as its endpoint knows it. */
struct taker {
	struct quic_server	*server;
	struct adit_mux		*got;		/* the last */
	unsigned		 accepted, failed, over;
	bool			 drops;		/* what it gets */
};

static void
taker_accept(void *arg, struct adit_mux *m)
{
	struct taker *t = arg;

	t->got = m;
	t->accepted++;
	if (t->drops)
		adit_mux_close(m, &(struct adit_reason){ .err = -ENOMEM });
}

static void
taker_failed(void *arg, const struct adit_mux *m)
{
	struct taker *t = arg;

	(void)m;
	t->failed++;
}

static void
taker_over(void *arg)
{
	struct taker *t = arg;

	t->server = NULL;
	t->over++;
}

static void
taker_serve(struct quic_rig *r, struct taker *t)
{
	struct quic_conf conf = r->conf;
	struct adit_err e = ADIT_ERR_INIT;

	conf.accept = taker_accept;
	conf.failed = taker_failed;
	conf.over = taker_over;
	conf.arg = t;
	t->server = quic_endpoint_serve(r->server, &conf, &e);
	if (!t->server)
		fail_msg("%s", e.text);
}

/* An endpoint whose servers are the test's own. */
static void
start(struct quic_rig *r)
{
	const struct quic_conf conf = r->conf, none = { .params = { .idle = 0 } };

	r->conf = none;
	quic_rig_start(r);
	r->conf = conf;
}

struct counted {
	const unsigned	*n;
	unsigned	 least;
};

static bool
is_there(void *arg)
{
	const struct counted *c = arg;

	return *c->n >= c->least;
}

static void
until_count(struct quic_rig *r, const unsigned *n, unsigned least)
{
	struct counted c = { .n = n, .least = least };

	assert_true(loop_until(r->l, is_there, &c, RIG_LIMIT));
}

/* A new session, which t must get. */
static struct adit_mux *
comes_to(struct quic_rig *r, struct taker *t)
{
	unsigned before = t->accepted;
	struct adit_mux *client = quic_rig_connect(r);

	assert_true(quic_rig_until_open(r, client));
	until_count(r, &t->accepted, before + 1);
	return client;
}

static void
assert_refused(struct quic_rig *r)
{
	struct adit_mux *client = quic_rig_connect(r);

	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), -ECONNREFUSED);
	adit_mux_close(client, NULL);
}

static void
assert_goes_on(struct quic_rig *r, struct adit_mux *client, struct adit_mux *server)
{
	struct adit_conn *a, *b;

	quic_rig_stream(r, client, server, &a, &b);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
}

/* A session that is under way: the client has not heard of the server yet. */
static struct adit_mux *
begins(struct quic_rig *r)
{
	unsigned before = quic_endpoint_stats(r->server)->handshakes;
	struct adit_mux *client;

	r->down.cut = true;
	client = quic_rig_connect(r);
	until_count(r, &quic_endpoint_stats(r->server)->handshakes, before + 1);
	return client;
}

static void
the_newest_takes_what_comes(void **state)
{
	struct quic_rig *r = *state;
	struct taker first = { .accepted = 0 }, second = { .accepted = 0 };
	struct adit_mux *one, *other;

	start(r);
	taker_serve(r, &first);
	one = comes_to(r, &first);
	taker_serve(r, &second);
	other = comes_to(r, &second);
	assert_int_equal(first.accepted, 1);
	assert_true(quic_server_stop(first.server, false));
	assert_goes_on(r, one, first.got);
	assert_goes_on(r, other, second.got);
	assert_int_equal(first.over, 0);	/* it was told at once */
	adit_mux_close(first.got, NULL);
	adit_mux_close(second.got, NULL);
	adit_mux_close(one, NULL);
	adit_mux_close(other, NULL);
}

/* A reload that is refused half way. */
static void
the_one_before_takes_over_again(void **state)
{
	struct quic_rig *r = *state;
	struct taker v[3] = { { .accepted = 0 } };
	struct adit_mux *client;

	start(r);
	for (int i = 0; i < 3; i++)
		taker_serve(r, &v[i]);
	assert_true(quic_server_stop(v[1].server, true));
	assert_true(quic_server_stop(v[2].server, true));
	client = comes_to(r, &v[0]);
	assert_int_equal(v[1].accepted + v[2].accepted, 0);
	assert_true(quic_server_stop(v[0].server, true));
	assert_goes_on(r, client, v[0].got);
	assert_refused(r);
	adit_mux_close(v[0].got, NULL);
	adit_mux_close(client, NULL);
}

static void
handshakes_end_with_whom_they_began(void **state)
{
	struct quic_rig *r = *state;
	struct taker first = { .accepted = 0 }, second = { .accepted = 0 };
	struct adit_mux *client;

	start(r);
	taker_serve(r, &first);
	client = begins(r);
	taker_serve(r, &second);
	assert_false(quic_server_stop(first.server, false));
	assert_int_equal(first.over, 0);
	r->down.cut = false;
	until_count(r, &first.over, 1);
	assert_int_equal(first.accepted, 1);
	assert_int_equal(first.failed, 0);
	assert_int_equal(second.accepted, 0);
	assert_true(quic_rig_until_open(r, client));
	assert_goes_on(r, client, first.got);
	adit_mux_close(first.got, NULL);
	adit_mux_close(client, NULL);
}

/* Its handshake was done, whatever became of it then. */
static void
what_was_accepted_has_not_failed(void **state)
{
	struct quic_rig *r = *state;
	struct taker t = { .drops = true };
	struct adit_mux *client;

	start(r);
	taker_serve(r, &t);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(t.accepted, 1);
	assert_int_equal(t.failed, 0);
	assert_true(quic_server_stop(t.server, false));
	adit_mux_close(client, NULL);
}

static void
handshakes_may_be_cut(void **state)
{
	struct quic_rig *r = *state;
	struct taker first = { .accepted = 0 }, second = { .accepted = 0 };
	struct adit_mux *client;

	start(r);
	taker_serve(r, &first);
	client = begins(r);
	taker_serve(r, &second);
	assert_false(quic_server_stop(first.server, false));
	assert_true(quic_server_stop(first.server, true));	/* patience is over */
	assert_int_equal(first.failed, 1);
	assert_int_equal(first.over, 0);
	r->down.cut = false;
	assert_true(quic_rig_until_ended(r, client));
	adit_mux_close(client, NULL);
	client = comes_to(r, &second);
	assert_int_equal(first.accepted, 0);
	adit_mux_close(second.got, NULL);
	adit_mux_close(client, NULL);
}

/* An endpoint may go before its servers, with all that is under way. */
static void
endpoints_take_their_servers_along(void **state)
{
	struct quic_rig *r = *state;
	struct taker first = { .accepted = 0 }, second = { .accepted = 0 };
	struct adit_mux *client;

	start(r);
	taker_serve(r, &first);
	client = begins(r);
	taker_serve(r, &second);
	assert_false(quic_server_stop(first.server, false));
	quic_endpoint_close(r->server, NULL);
	r->server = NULL;
	assert_int_equal(first.failed, 1);
	adit_mux_close(client, NULL);
	loop_turn(r->l, 3);
	assert_int_equal(first.over + second.over, 0);
}

static void
a_server_needs_a_protocol_and_a_secret(void **state)
{
	struct quic_rig *r = *state;
	struct adit_err e = ADIT_ERR_INIT;
	struct quic_conf conf = r->conf;
	struct taker first = { .accepted = 0 };
	struct adit_mux *client;

	start(r);
	taker_serve(r, &first);
	conf.params.n_alpn = 0;
	assert_null(quic_endpoint_serve(r->server, &conf, &e));
	assert_int_equal(e.code, -EINVAL);
	conf = r->conf;
	conf.secret_len = 15;
	assert_null(quic_endpoint_serve(r->server, &conf, &e));
	client = comes_to(r, &first);		/* it is whose it was */
	adit_mux_close(first.got, NULL);
	adit_mux_close(client, NULL);
}

static void
the_last_user_closes(void **state)
{
	struct quic_rig *r = *state;
	struct quic_group *g = quic_group_new(1, 0);

	quic_rig_start(r);
	assert_null(quic_group_endpoint(g, r->l->worker));
	quic_group_join(g, r->server);
	assert_ptr_equal(quic_group_endpoint(g, r->l->worker), r->server);
	quic_group_join(g, r->server);
	assert_false(quic_group_leave(g, r->server));
	assert_ptr_equal(quic_group_endpoint(g, r->l->worker), r->server);
	assert_true(quic_group_leave(g, r->server));
	assert_null(quic_group_endpoint(g, r->l->worker));
	quic_group_put(quic_group_get(g));
	quic_group_put(g);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(the_newest_takes_what_comes),
		rig_test(the_one_before_takes_over_again),
		rig_test(handshakes_end_with_whom_they_began),
		rig_test(what_was_accepted_has_not_failed),
		rig_test(handshakes_may_be_cut),
		rig_test(endpoints_take_their_servers_along),
		rig_test(a_server_needs_a_protocol_and_a_secret),
		rig_test(the_last_user_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
