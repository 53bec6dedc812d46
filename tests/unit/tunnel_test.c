#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/mux/smux.h"
#include "core/tunnel/table.h"
#include "tests/unit/loop.h"
#include "tests/unit/tunnel_fake.h"

#define NAME "4d21094e-b74c-4916-86c1-d9fa36ea677b"

static const struct adit_open request = {
	.tunnel = NAME, .network = ADIT_TCP, .host = "a.example",
};

static void
ignore_event(void *owner, struct adit_conn *c, unsigned events)
{
	unsigned *calls = owner;

	(void)events;
	(*calls)++;
	adit_conn_want(c, 0);
}

static void
expect_echo(struct loop *l, struct adit_conn *c)
{
	char in[8];

	assert_true(adit_conn_is_open(c));
	assert_int_equal(adit_conn_write(c, "hello", 5), 5);
	loop_turn(l, 8);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 5);
	assert_memory_equal(in, "hello", 5);
}

/* A conn of it may fail before its owner has heard of the end, and who had it asks at once. */
static void
a_session_that_failed_is_over_at_once(void **state)
{
	struct loop *l = *state;
	struct smux_conf conf = smux_conf_default(false, 2);
	struct fake a = { .worker = l->worker };
	struct adit_conn *near, *far;
	struct adit_choice choice;
	struct adit_mux *m;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 4096, &near, &far), 0);
	m = smux_new(near, &conf);
	assert_non_null(m);
	fake_join(&a, NAME, ADIT_TCP, 0);
	tunnels_follow(tunnels_of(l->worker), a.number, m);
	assert_true(tunnels_has(tunnels_of(l->worker), NAME, a.number));
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), 0);
	adit_mux_fail(m, &(struct adit_reason){ .err = -EPIPE });
	assert_false(tunnels_has(tunnels_of(l->worker), NAME, a.number));
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), ADIT_ENOTUNNEL);
	fake_leave(&a);
	adit_mux_close(m, NULL);
	adit_conn_close(far, 0);
	loop_turn(l, 3);
}

static void
sessions_join_and_leave(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker }, b = { .worker = l->worker };
	struct adit_choice choice;
	uint64_t first;

	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), ADIT_ENOTUNNEL);
	fake_join(&a, NAME, ADIT_TCP, 0);
	first = a.number;
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), 0);
	assert_int_equal(choice.session, a.number);
	assert_int_equal(choice.worker, 0);
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_UDP, &choice), ADIT_ENOTUNNEL);
	assert_int_equal(adit_tunnel_pick(l->worker, NAME "x", ADIT_TCP, &choice),
			 ADIT_ENOTUNNEL);

	/* One in trouble is the last choice. */
	fake_join(&b, NAME, ADIT_TCP, 0);
	adit_tunnel_set_usable(l->worker, a.number, false);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), 0);
		assert_int_equal(choice.session, b.number);
	}
	fake_leave(&b);
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), 0);
	assert_int_equal(choice.session, a.number);
	adit_tunnel_set_usable(l->worker, a.number, true);

	fake_join(&b, NAME, ADIT_UDP, 0);
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_UDP, &choice), 0);
	assert_int_equal(choice.session, b.number);
	fake_leave(&a);
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), ADIT_ENOTUNNEL);
	fake_join(&a, NAME, ADIT_TCP, 0);
	assert_int_not_equal(a.number, first);		/* numbers are not used again */
	fake_leave(&a);
	fake_leave(&b);
	adit_tunnel_leave(l->worker, 0);
	adit_tunnel_leave(l->worker, first);
	adit_tunnel_set_usable(l->worker, first, true);
	loop_turn(l, 4);
}

/* Also where others joined in between. Draws are fair: the bounds hold but once in 10^9 runs. */
static void
sessions_of_one_client_are_one(void **state)
{
	struct loop *l = *state;
	struct fake many[9], alone = { .worker = l->worker };
	unsigned n = 0;

	fake_join(&alone, NAME, ADIT_TCP, 0);
	for (int i = 0; i < 9; i++) {
		many[i] = (struct fake){
			.worker = l->worker, .client = { .id = { i == 4 ? 2 : 1 } },
		};
		fake_join(&many[i], NAME, ADIT_TCP, 0);
	}
	for (int i = 0; i < 3000; i++) {
		struct adit_choice choice;

		assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), 0);
		n += choice.session == alone.number;
	}
	assert_in_range(n, 850, 1150);
	for (int i = 0; i < 9; i++)
		fake_leave(&many[i]);
	fake_leave(&alone);
	loop_turn(l, 4);
}

/* Of a service that is replaced: the last one stays until somebody else is there. */
static void
who_leaves_waits_for_another(void **state)
{
	struct loop *l = *state;
	struct tunnel_worker *t = tunnels_of(l->worker);
	struct fake a = { .worker = l->worker }, b = a, udp = a, next = a;
	struct adit_choice choice;

	fake_join(&a, NAME, ADIT_TCP, 0);
	fake_join(&b, NAME, ADIT_TCP, 0);
	fake_join(&udp, NAME, ADIT_UDP, 0);
	assert_false(tunnels_say_leaving(t, a.number));
	assert_true(tunnels_say_leaving(t, a.number));		/* there is b */
	assert_false(tunnels_say_leaving(t, b.number));
	assert_false(tunnels_say_leaving(t, b.number));		/* who does not stay */
	assert_false(tunnels_say_leaving(t, a.number));
	assert_int_equal(adit_tunnel_pick(l->worker, NAME, ADIT_TCP, &choice), 0);
	fake_join(&next, NAME, ADIT_TCP, 0);
	assert_true(tunnels_say_leaving(t, a.number));
	assert_true(tunnels_say_leaving(t, b.number));
	assert_false(tunnels_say_leaving(t, udp.number));
	assert_false(tunnels_say_leaving(t, udp.number));
	assert_true(tunnels_say_leaving(t, 4711));		/* has left */
	fake_leave(&a);
	fake_leave(&b);
	fake_leave(&udp);
	fake_leave(&next);
}

static void
names_have_a_limit(void **state)
{
	struct loop *l = *state;
	char name[ADIT_TUNNEL_NAME_MAX + 2];
	struct adit_member m = { .tunnel = name };
	struct adit_choice choice;

	memset(name, 'n', sizeof(name));
	name[ADIT_TUNNEL_NAME_MAX + 1] = 0;
	assert_int_equal(adit_tunnel_join(l->worker, &m), 0);
	assert_int_equal(adit_tunnel_pick(l->worker, name, ADIT_TCP, &choice), ADIT_ENOTUNNEL);
	name[ADIT_TUNNEL_NAME_MAX] = 0;
	m.weight = 256;
	assert_int_equal(adit_tunnel_join(l->worker, &m), 0);
	m.weight = 255;
	assert_int_not_equal(adit_tunnel_join(l->worker, &m), 0);
	assert_int_equal(adit_tunnel_pick(l->worker, name, ADIT_TCP, &choice), 0);
	/* What has not left goes with the worker. */
}

static void
many_tunnels(void **state)
{
	enum { N = 5000 };
	static struct fake fakes[N];
	struct loop *l = *state;
	struct adit_choice choice;
	char name[16];

	for (int i = 0; i < N; i++) {
		fakes[i].worker = l->worker;
		snprintf(name, sizeof(name), "t%d", i);
		fake_join(&fakes[i], name, ADIT_TCP, 0);
		if (i % 100 == 0)
			loop_turn(l, 1);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_int_equal(adit_tunnel_pick(l->worker, name, ADIT_TCP, &choice), 0);
		assert_int_equal(choice.session, fakes[i].number);
		if (i % 2)
			fake_leave(&fakes[i]);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_int_equal(adit_tunnel_pick(l->worker, name, ADIT_TCP, &choice),
				 i % 2 ? ADIT_ENOTUNNEL : 0);
	}
}

static void
an_open_conn_is_handed_out_as_it_is(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker };
	struct adit_choice served = { .session = 0 };
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	fake_join(&a, NAME, ADIT_TCP, 0);
	c = adit_tunnel_open(l->worker, &request, &served, &e);
	assert_non_null(c);
	assert_int_equal(served.session, a.number);
	assert_string_equal(a.host, "a.example");
	expect_echo(l, c);
	fake_leave(&a);
	expect_echo(l, c);		/* what is open goes on */
	adit_conn_close(c, 0);
}

static void
three_are_tried_and_none_twice(void **state)
{
	struct loop *l = *state;
	struct fake f[5];
	struct adit_err e = ADIT_ERR_INIT;

	for (int i = 0; i < 5; i++) {
		f[i] = (struct fake){ .worker = l->worker, .refuse = -ECONNRESET };
		fake_join(&f[i], NAME, ADIT_TCP, 0);
	}
	for (unsigned run = 1; run <= 50; run++) {
		unsigned sum = 0;

		assert_null(adit_tunnel_open(l->worker, &request, NULL, &e));
		assert_int_equal(e.code, ADIT_ENOTUNNEL);
		for (int i = 0; i < 5; i++) {
			assert_true(f[i].opened <= run);
			sum += f[i].opened;
		}
		assert_int_equal(sum, 3 * run);
	}
	/* The only one that works is found when only two others are in the way. */
	fake_leave(&f[0]);
	fake_leave(&f[1]);
	f[2].refuse = 0;
	for (int i = 0; i < 50; i++) {
		struct adit_conn *c = adit_tunnel_open(l->worker, &request, NULL, NULL);

		assert_non_null(c);
		adit_conn_close(c, 0);
		loop_turn(l, 4);
	}
}

static void
a_refusal_of_the_target_is_final(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker, .refuse = ADIT_ETARGET }, b = a;
	const struct adit_open other = { .tunnel = "other" };
	struct adit_err e = ADIT_ERR_INIT;

	fake_join(&a, NAME, ADIT_TCP, 0);
	fake_join(&b, NAME, ADIT_TCP, 0);
	assert_null(adit_tunnel_open(l->worker, &request, NULL, &e));
	assert_int_equal(e.code, ADIT_ETARGET);
	assert_int_equal(a.opened + b.opened, 1);
	assert_null(adit_tunnel_open(l->worker, &other, NULL, &e));
	assert_int_equal(e.code, ADIT_ENOTUNNEL);
}

static void
a_session_asked_for_comes_first(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker }, b = a;
	struct adit_open req = request;
	struct adit_choice served;

	fake_join(&a, NAME, ADIT_TCP, 255);
	fake_join(&b, NAME, ADIT_TCP, 1);
	req.session = b.number;
	for (int i = 0; i < 20; i++)
		adit_conn_close(adit_tunnel_open(l->worker, &req, &served, NULL), 0);
	assert_int_equal(b.opened, 20);
	assert_int_equal(served.session, b.number);
	fake_leave(&b);
	adit_conn_close(adit_tunnel_open(l->worker, &req, &served, NULL), 0);
	assert_int_equal(served.session, a.number);
}

static void
an_opening_conn_opens_later(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker, .later = true };
	struct adit_conn *c;
	unsigned calls = 0;
	char in[1];

	fake_join(&a, NAME, ADIT_TCP, 0);
	c = adit_tunnel_open(l->worker, &request, NULL, NULL);
	assert_non_null(c);
	adit_conn_own(c, ignore_event, &calls);
	adit_conn_want(c, ADIT_OPEN);
	loop_turn(l, 8);
	assert_int_equal(calls, 0);
	assert_int_equal(adit_conn_read(c, in, 1), -EAGAIN);
	assert_int_equal(adit_conn_write(c, "x", 1), -EAGAIN);
	fake_decide(&a, 0);
	loop_turn(l, 8);
	assert_int_equal(calls, 1);
	expect_echo(l, c);
	adit_conn_close(c, 0);
}

static void
a_failed_opening_moves_on(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker, .later = true }, b = a, *first, *second;
	struct adit_choice served;
	struct adit_conn *c;

	fake_join(&a, NAME, ADIT_TCP, 0);
	fake_join(&b, NAME, ADIT_TCP, 0);
	c = adit_tunnel_open(l->worker, &request, &served, NULL);
	loop_turn(l, 4);
	first = a.waiting ? &a : &b;
	second = a.waiting ? &b : &a;
	assert_null(second->waiting);
	assert_int_equal(served.session, first->number);
	fake_decide(first, -ETIMEDOUT);
	loop_turn(l, 8);
	assert_false(adit_conn_is_open(c));
	assert_int_equal(adit_conn_err(c), 0);
	assert_non_null(second->waiting);
	fake_decide(second, 0);
	loop_turn(l, 8);
	expect_echo(l, c);
	assert_int_equal(served.session, second->number);
	adit_conn_close(c, 0);

	/* Both fail, or the target itself is refused. */
	c = adit_tunnel_open(l->worker, &request, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		fake_decide(a.waiting ? &a : &b, -ECONNRESET);
		loop_turn(l, 8);
	}
	assert_int_equal(adit_conn_err(c), ADIT_ENOTUNNEL);
	adit_conn_close(c, 0);
	c = adit_tunnel_open(l->worker, &request, NULL, NULL);
	fake_decide(a.waiting ? &a : &b, ADIT_EREFUSED);
	loop_turn(l, 8);
	assert_int_equal(adit_conn_err(c), ADIT_EREFUSED);
	assert_null(a.waiting);
	assert_null(b.waiting);
	adit_conn_close(c, 0);
}

static void
closing_stops_an_opening(void **state)
{
	struct loop *l = *state;
	struct fake a = { .worker = l->worker, .later = true };
	struct adit_conn *c;

	fake_join(&a, NAME, ADIT_TCP, 0);
	c = adit_tunnel_open(l->worker, &request, NULL, NULL);
	assert_non_null(a.waiting);
	adit_conn_close(c, -ECONNRESET);
	loop_turn(l, 4);
	assert_null(a.waiting);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(a_session_that_failed_is_over_at_once),
		LOOP_TEST(sessions_join_and_leave),
		LOOP_TEST(sessions_of_one_client_are_one),
		LOOP_TEST(who_leaves_waits_for_another),
		LOOP_TEST(names_have_a_limit),
		LOOP_TEST(many_tunnels),
		LOOP_TEST(an_open_conn_is_handed_out_as_it_is),
		LOOP_TEST(three_are_tried_and_none_twice),
		LOOP_TEST(a_refusal_of_the_target_is_final),
		LOOP_TEST(a_session_asked_for_comes_first),
		LOOP_TEST(an_opening_conn_opens_later),
		LOOP_TEST(a_failed_opening_moves_on),
		LOOP_TEST(closing_stops_an_opening),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
