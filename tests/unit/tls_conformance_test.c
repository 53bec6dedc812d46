/*
 * The conformance test over TLS: 1.2 and 1.3, on a pair with and without trouble below, and on TCP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/conn/tls.h"
#include "core/conn/tls_default.h"
#include "tests/unit/conformance.h"
#include "tests/unit/tls_duo.h"

struct recipe {
	int			(*lower)(struct conformance *t, struct adit_conn **a,
					 struct adit_conn **b);
	struct tls_creds	*client, *server;
};

static int
make_tls(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	const struct recipe *r = t->test->arg;
	struct adit_conn *la, *lb;

	if (r->lower(t, &la, &lb) < 0)
		return -1;
	*a = tls_client(la, r->client, "gw.test", NULL);
	*b = tls_server(lb, r->server, NULL);
	return *a && *b ? 0 : -1;
}

static void
conforms(const char *name, const char *version,
	 int (*lower)(struct conformance *t, struct adit_conn **a, struct adit_conn **b))
{
	const struct adit_tls_conf of_client = { .max_version = version }, of_server = { 0 };
	struct recipe r = {
		lower, duo_creds(&of_client, TLS_CLIENT), duo_creds(&of_server, TLS_SERVER),
	};
	const struct conformance_case test = { .name = name, .make = make_tls, .arg = &r };

	conformance_run(&test);
	tls_creds_put(r.client);
	tls_creds_put(r.server);
	tls_default_set_dir(NULL);
}

static void
tls13_conforms(void **state)
{
	(void)state;
	conforms("tls 1.3", NULL, conformance_lower);
}

static void
tls12_conforms(void **state)
{
	(void)state;
	conforms("tls 1.2", "VersionTLS12", conformance_lower);
}

static void
tls_over_tcp_conforms(void **state)
{
	(void)state;
	conforms("tls over tcp", NULL, conformance_make_tcp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls13_conforms),
		cmocka_unit_test(tls12_conforms),
		cmocka_unit_test(tls_over_tcp_conforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
