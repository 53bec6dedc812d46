/*
 * The conformance test over WebSockets: on a pair with and without trouble below, and over TLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/conn/tls.h"
#include "core/conn/tls_default.h"
#include "core/conn/ws.h"
#include "tests/unit/conformance.h"
#include "tests/unit/tls_duo.h"

struct recipe {
	struct ws_policy	*policy;
	struct tls_creds	*client, *server;	/* NULL: no TLS below */
};

static int
make_ws(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	const struct recipe *r = t->test->arg;
	struct adit_conn *la, *lb;

	if (conformance_lower(t, &la, &lb) < 0)
		return -1;
	if (r->client) {
		la = tls_client(la, r->client, "gw.test", NULL);
		lb = tls_server(lb, r->server, NULL);
	}
	*a = ws_client(la, r->policy, "gw.test:80", NULL);
	*b = ws_server(lb, r->policy, NULL);
	return *a && *b ? 0 : -1;
}

static void
conforms(const char *name, struct recipe r)
{
	const struct conformance_case test = {
		.name = name, .make = make_ws, .arg = &r, .flags = CONFORMANCE_NO_HALF_CLOSE,
		.in_flight = 1 << 20,
	};

	r.policy = ws_policy_new(&(struct ws_conf){ .path = "/ws" }, NULL);
	assert_non_null(r.policy);
	conformance_run(&test);
	ws_policy_put(r.policy);
}

static void
ws_conforms(void **state)
{
	(void)state;
	conforms("ws", (struct recipe){ .client = NULL });
}

static void
wss_conforms(void **state)
{
	const struct adit_tls_conf conf = { 0 };
	struct recipe r = {
		.client = duo_creds(&conf, TLS_CLIENT), .server = duo_creds(&conf, TLS_SERVER),
	};

	(void)state;
	conforms("wss", r);
	tls_creds_put(r.client);
	tls_creds_put(r.server);
	tls_default_set_dir(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ws_conforms),
		cmocka_unit_test(wss_conforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
