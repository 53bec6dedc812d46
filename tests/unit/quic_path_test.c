/* QUIC: what the network says of a path, and what becomes of a session whose path changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/quic_rig.h"

struct hearing {
	struct adit_mux	*m;
	uint64_t	 last;
};

static bool
has_heard(void *arg)
{
	const struct hearing *h = arg;

	return adit_mux_heard(h->m) > h->last;
}

/*
 * Anybody can send an ICMP message: it makes the session ask its peer, and no number of them ends
 * one that answers.
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
		weather_forge(&r->down, quic_endpoint_local(r->client));
		asked += loop_until(r->l, has_heard, &(struct hearing){ server, adit_now() }, 60);
		assert_int_equal(adit_mux_err(server), 0);
	}
	assert_true(asked > 0);		/* they were not just dropped */
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(client, NULL);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(forged_troubles_only_cast_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
