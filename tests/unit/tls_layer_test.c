#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/tls_layer.h"
#include "core/service/component.h"
#include "tests/unit/tls_duo.h"

/* One configured use, as core makes it. */
struct use {
	struct adit_component	 component;
	struct adit_layer	*layer;
};

static int
use_init(struct use *u, bool server, struct adit_tls_conf conf, const char *timeout,
	 struct adit_err *e)
{
	const struct adit_opt *opt = adit_opt_find(layer_tls.base.opts, "handshakeTimeout");

	component_init(&u->component, "front", NULL, NULL);
	u->component.tls = conf;
	u->layer = calloc(1, layer_tls.base.instance);
	assert_non_null(u->layer);
	u->layer->ops = &layer_tls;
	u->layer->component = &u->component;
	u->layer->server = server;
	adit_opt_defaults(layer_tls.base.opts, u->layer);
	if (timeout)
		assert_int_equal(adit_opt_set(opt, u->layer, timeout, NULL), 0);
	return layer_tls.init(u->layer, e);
}

static void
use_fini(struct use *u)
{
	layer_tls.fini(u->layer);
	adit_opt_fini(layer_tls.base.opts, u->layer);
	free(u->layer);
}

static void
two_layers_speak(void **state)
{
	struct loop *l = *state;
	struct use client, server;
	struct adit_conn *a, *b;
	struct side near = { 0 }, far = { 0 };

	assert_int_equal(use_init(&client, false, (struct adit_tls_conf){ .ca_file = duo_kit.ca },
				  NULL, NULL), 0);
	assert_int_equal(use_init(&server, true, duo_server_conf(), NULL, NULL), 0);
	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &a, &b), 0);
	near.c = layer_tls.client(client.layer, a, "gw.test", NULL);
	far.c = layer_tls.server(server.layer, b, NULL);
	side_own(&near);
	side_own(&far);
	/* The instances may go before their conns. */
	use_fini(&client);
	use_fini(&server);
	side_wants(&far, 5);
	loop_turn(l, 5);
	assert_int_equal(adit_conn_write(near.c, "hello", 5), 5);
	assert_true(loop_until(l, side_full, &far, LIMIT));
	assert_memory_equal(far.in, "hello", 5);
	adit_conn_close(near.c, 0);
	adit_conn_close(far.c, 0);
	free(far.in);
}

static void
the_side_decides_what_is_an_error(void **state)
{
	const struct adit_tls_conf conf = { .ca_file = duo_kit.ca };
	struct adit_err e = ADIT_ERR_INIT;
	struct use u;

	(void)state;
	assert_int_equal(use_init(&u, false, conf, NULL, &e), 0);
	use_fini(&u);
	assert_int_equal(use_init(&u, true, conf, NULL, &e), ADIT_ECONFIG);
	duo_says(e.text, "client certificates");
	use_fini(&u);
}

static void
a_handshake_has_the_configured_limit(void **state)
{
	struct loop *l = *state;
	struct adit_conn *a, *b;
	struct side s = { 0 };
	struct use u;

	assert_int_equal(use_init(&u, true, duo_server_conf(), "20ms", NULL), 0);
	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &a, &b), 0);
	s.c = layer_tls.server(u.layer, a, NULL);
	side_own(&s);
	assert_true(loop_until(l, side_failed, &s, LIMIT));
	assert_int_equal(s.err, -ETIMEDOUT);
	adit_conn_close(s.c, s.err);
	adit_conn_close(b, 0);
	use_fini(&u);
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(two_layers_speak),
		cmocka_unit_test(the_side_decides_what_is_an_error),
		IN_LOOP(a_handshake_has_the_configured_limit),
	};

	return cmocka_run_group_tests(tests, duo_kit_setup, duo_kit_teardown);
}
