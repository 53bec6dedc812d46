#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mux/tap.h"
#include "tests/unit/quic_rig.h"

/* Whoever keeps a session, as a listener does: it is closed when it has ended. */
struct keeper {
	struct adit_mux	*m;		/* NULL once closed */
	unsigned	 accepted;
};

static void
keeper_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct keeper *k = owner;
	struct adit_conn *c;

	(void)events;
	while ((c = adit_mux_accept(m))) {
		k->accepted++;
		adit_conn_close(c, -ECANCELED);
	}
	if (!adit_mux_err(m))
		return;
	adit_mux_close(m, &(struct adit_reason){ .err = adit_mux_err(m) });
	k->m = NULL;
}

static struct adit_mux *
keep(struct quic_rig *r, struct keeper *k, struct adit_mux **client)
{
	struct adit_mux *tap;

	if (!r->server)
		quic_rig_start(r);
	quic_rig_session(r, client, &k->m);
	r->n_accepted = 0;		/* it is ours to close */
	adit_mux_own(k->m, keeper_event, k);
	adit_mux_want(k->m, ADIT_READ);
	tap = tap_new(k->m);
	assert_non_null(tap);
	return tap;
}

static bool
is_closed(void *keeper)
{
	return !((struct keeper *)keeper)->m;
}

static void
ignore_event(void *owner, struct adit_mux *m, unsigned events)
{
	unsigned *seen = owner;

	(void)m;
	*seen |= events;
}

static bool
is_seen(void *seen)
{
	return *(unsigned *)seen & ADIT_READ;
}

static void
streams_are_the_taps(void **state)
{
	struct quic_rig *r = *state;
	struct keeper k = { .m = NULL };
	struct adit_mux *client, *tap = keep(r, &k, &client);
	struct adit_conn *a, *b;
	unsigned seen = 0;

	adit_mux_own(tap, ignore_event, &seen);
	adit_mux_want(tap, ADIT_READ);
	a = adit_mux_open(client, 0, NULL);
	assert_int_equal(adit_conn_write(a, "x", 1), 1);
	assert_true(loop_until(r->l, is_seen, &seen, RIG_LIMIT));
	b = adit_mux_accept(tap);
	assert_non_null(b);
	assert_null(adit_mux_accept(tap));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);

	quic_rig_stream(r, tap, client, &a, &b);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	assert_int_equal(k.accepted, 0);
	adit_mux_close(tap, NULL);
	assert_true(loop_until(r->l, is_closed, &k, RIG_LIMIT));
	adit_mux_close(client, NULL);
}

/* Its peer is told what the tap's owner said, though its keeper closes it with less. */
static void
closing_ends_the_session(void **state)
{
	const struct adit_reason why = { .err = ADIT_ESTOPPED, .code = 77, .text = "enough" };
	struct quic_rig *r = *state;
	struct keeper k = { .m = NULL };
	struct adit_mux *client, *tap = keep(r, &k, &client);

	adit_mux_close(tap, &why);
	assert_true(quic_rig_until_ended(r, client));
	assert_null(k.m);
	assert_int_equal(adit_mux_reason(client)->code, 77);
	assert_string_equal(adit_mux_reason(client)->text, "enough");
	adit_mux_close(client, NULL);
}

static void
the_sessions_end_is_the_taps(void **state)
{
	for (int by_keeper = 0; by_keeper < 2; by_keeper++) {
		struct quic_rig *r = *state;
		struct keeper k = { .m = NULL };
		struct adit_mux *client, *tap = keep(r, &k, &client);
		const struct adit_reason why = { .err = -EPIPE, .code = 5, .text = "bye" };

		adit_mux_close(by_keeper ? k.m : client, &why);
		assert_true(quic_rig_until_ended(r, tap));
		assert_string_equal(adit_mux_reason(tap)->text, "bye");
		if (!by_keeper)
			assert_int_equal(adit_mux_reason(tap)->code, 5);
		assert_null(adit_mux_accept(tap));
		assert_null(adit_mux_open(tap, 0, NULL));
		assert_int_equal(adit_mux_room(tap, 0), 0);
		adit_mux_close(tap, NULL);
		if (by_keeper)
			adit_mux_close(client, NULL);
		else
			assert_true(loop_until(r->l, is_closed, &k, RIG_LIMIT));
	}
}

/* A keeper is told of the end by the loop, perhaps when the tap has gone already. */
static void
the_keeper_may_be_the_last(void **state)
{
	struct quic_rig *r = *state;
	struct keeper k = { .m = NULL };
	struct adit_mux *client, *tap = keep(r, &k, &client);

	adit_mux_want(k.m, 0);
	adit_mux_close(client, NULL);
	assert_true(quic_rig_until_ended(r, tap));
	adit_mux_close(tap, NULL);
	loop_turn(r->l, 3);
	adit_mux_close(k.m, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(streams_are_the_taps),
		TEST(closing_ends_the_session),
		TEST(the_sessions_end_is_the_taps),
		TEST(the_keeper_may_be_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
