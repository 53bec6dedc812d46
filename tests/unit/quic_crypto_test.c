/* QUIC: the versions that two ends find, and keys that change under way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/quic_rig.h"

static const uint32_t only_v1[] = { QUIC_V1 }, only_v2[] = { QUIC_V2 };

/* ---- versions ---------------------------------------------------------------------------- */

static void
assert_version(struct quic_rig *r, unsigned version)
{
	struct adit_mux *client, *server;

	quic_rig_session(r, &client, &server);
	assert_int_equal(quic_session_version(client), version);
	assert_int_equal(quic_session_version(server), version);
	quic_rig_cross(r, client, server, 100000);
	quic_rig_cross(r, server, client, 100000);
	adit_mux_close(client, NULL);
	assert_int_equal(quic_session_version(client), 0);
}

/* Each begins with what the other must know, and both go on with what both know better. */
static void
two_of_ours_find_version_2(void **state)
{
	struct quic_rig *r = *state;

	quic_rig_start(r);
	assert_version(r, 2);
	assert_int_equal(r->up.first, QUIC_V1);
	assert_int_equal(r->up.last, QUIC_V2);
	assert_int_equal(r->down.first, QUIC_V2);
	assert_int_equal(quic_endpoint_stats(r->server)->versions, 0);	/* no round trip for it */
}

static void
servers_without_version_2_are_reached(void **state)
{
	struct quic_rig *r = *state;

	r->conf.params.versions = only_v1;
	r->conf.params.n_versions = 1;
	quic_rig_start(r);
	assert_version(r, 1);
	assert_int_equal(r->up.last, QUIC_V1);
	assert_int_equal(r->down.first, QUIC_V1);
}

static void
clients_without_version_2_are_served(void **state)
{
	struct quic_rig *r = *state;

	r->params.versions = only_v1;
	r->params.n_versions = 1;
	quic_rig_start(r);
	assert_version(r, 1);
	assert_int_equal(r->down.last, QUIC_V1);
}

static void
clients_may_begin_with_version_2(void **state)
{
	struct quic_rig *r = *state;

	r->params.versions = only_v2;
	r->params.n_versions = 1;
	quic_rig_start(r);
	assert_version(r, 2);
	assert_int_equal(r->up.first, QUIC_V2);
	assert_int_equal(r->down.first, QUIC_V2);
}

static void
nothing_in_common_is_said(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;

	r->conf.params.versions = only_v1;
	r->params.versions = only_v2;
	r->conf.params.n_versions = r->params.n_versions = 1;
	quic_rig_start(r);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), -EPROTONOSUPPORT);
	assert_int_equal(quic_endpoint_stats(r->server)->versions, 1);
	assert_int_equal(quic_endpoint_stats(r->server)->initials, 0);
	adit_mux_close(client, NULL);
}

static bool
one_under_way(void *arg)
{
	return quic_endpoint_stats(arg)->handshakes == 1;
}

/* A Retry has its version's integrity tag, and its token comes back in that version. */
static void
addresses_are_proven_in_each_version(void **state)
{
	struct quic_rig *r = *state;
	struct weather clear = { .seed = 3 };
	struct quic_endpoint *other;
	struct adit_mux *half;

	r->conf.retry_from = 1;
	quic_rig_start(r);
	other = quic_rig_endpoint(r, &(struct quic_conf){ 0 }, NULL, &clear);
	r->down.cut = true;		/* its handshake stays half done */
	half = quic_rig_connect_from(r, other);
	assert_true(loop_until(r->l, one_under_way, r->server, RIG_LIMIT));
	clear.cut = true;
	r->down.cut = false;
	assert_version(r, 2);
	assert_int_equal(r->up.first, QUIC_V1);
	assert_int_equal(quic_endpoint_stats(r->server)->retries, 1);
	r->up.first = 0;
	r->params.versions = only_v2;
	r->params.n_versions = 1;
	assert_version(r, 2);
	assert_int_equal(r->up.first, QUIC_V2);
	assert_int_equal(quic_endpoint_stats(r->server)->retries, 2);
	adit_mux_close(half, NULL);
	quic_endpoint_close(other, NULL);
}

static void
full_endpoints_refuse_in_version_2(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;

	r->params.versions = only_v2;
	r->params.n_versions = 1;
	quic_rig_start(r);
	quic_rig_drain(r);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), -ECONNREFUSED);
	adit_mux_close(client, NULL);
}

/* ---- keys -------------------------------------------------------------------------------- */

/* Bytes both ways until the keys have changed several times, at both ends. */
static void
assert_keys_change(struct quic_rig *r)
{
	uint64_t end = adit_now() + ADIT_MS(RIG_LIMIT);
	struct adit_mux *client, *server;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	assert_int_equal(quic_session_key_updates(client), 0);
	while ((quic_session_key_updates(client) < 4 || quic_session_key_updates(server) < 4) &&
	       adit_now() < end) {
		quic_rig_cross(r, client, server, 200000);
		quic_rig_cross(r, server, client, 200000);
	}
	assert_true(quic_session_key_updates(client) >= 4);
	assert_true(quic_session_key_updates(server) >= 4);
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(client, NULL);
}

static void
clients_change_keys(void **state)
{
	struct quic_rig *r = *state;

	r->params.key_packets = 20;
	assert_keys_change(r);
}

static void
servers_change_keys(void **state)
{
	struct quic_rig *r = *state;

	r->conf.params.key_packets = 20;
	assert_keys_change(r);
}

/* Both at once, in each version, while packets get lost and come late: under older keys too. */
static void
both_change_keys_in_bad_weather(void **state)
{
	struct quic_rig *r = *state;

	r->params.versions = only_v1;
	r->params.n_versions = 1;
	r->params.key_packets = r->conf.params.key_packets = 20;
	r->up.lost = r->down.lost = 20;
	r->up.late = r->down.late = 50;
	r->up.twice = r->down.twice = 20;
	assert_keys_change(r);
}

static void
keys_grow_old(void **state)
{
	struct quic_rig *r = *state;

	r->params.key_life = ADIT_MS(1);
	assert_keys_change(r);
}

static void
keys_are_kept_for_long(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	for (int i = 0; i < 5; i++)
		quic_rig_cross(r, client, server, 1000000);
	assert_int_equal(quic_session_key_updates(client), 0);
	assert_int_equal(quic_session_key_updates(server), 0);
	adit_mux_close(client, NULL);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(two_of_ours_find_version_2),
		rig_test(servers_without_version_2_are_reached),
		rig_test(clients_without_version_2_are_served),
		rig_test(clients_may_begin_with_version_2),
		rig_test(nothing_in_common_is_said),
		rig_test(addresses_are_proven_in_each_version),
		rig_test(full_endpoints_refuse_in_version_2),
		rig_test(clients_change_keys),
		rig_test(servers_change_keys),
		rig_test(both_change_keys_in_bad_weather),
		rig_test(keys_grow_old),
		rig_test(keys_are_kept_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
