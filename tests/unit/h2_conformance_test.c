/*
 * Streams of HTTP/2 as conns, whichever side they are looked at from: the transport's, and
 * exchanges that a CONNECT has made tunnels.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/http/h2.h"
#include "core/mux/h2/h2.h"
#include "core/mux/h2/h2_int.h"
#include "tests/unit/conformance.h"
#include "tests/unit/h2_wire.h"

#define LIMIT_MS 20000

static const struct h2_transport_conf client_conf = {
	.client = true, .authority = "server.example:443", .open_ms = LIMIT_MS,
};
static const struct h2_transport_conf server_conf = { .streams = 10, .backlog = 10 };

typedef int conformance_make(struct conformance *t, struct adit_conn **a, struct adit_conn **b);

struct sessions {
	struct adit_mux		*client, *server;
	struct adit_conn	*accepted;
};

static bool
have_accepted(void *arg)
{
	struct sessions *s = arg;

	s->accepted = adit_mux_accept(s->server);
	return s->accepted != NULL;
}

static int
make_stream(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	const bool *server_first = t->test->arg;
	struct sessions *s = calloc(1, sizeof(*s));
	struct adit_conn *la, *lb, *opened;

	if (!s || conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	t->own = s;
	s->client = h2_transport(la, &client_conf);
	s->server = h2_transport(lb, &server_conf);
	opened = adit_mux_open(s->client, 0, NULL);
	if (!opened || !loop_until(t->loop, have_accepted, s, LIMIT_MS))
		return -ENOMEM;
	*a = *server_first ? s->accepted : opened;
	*b = *server_first ? opened : s->accepted;
	return 0;
}

static bool
is_open(void *arg)
{
	return adit_conn_is_open(arg);
}

static bool
has_head(void *arg)
{
	const struct adit_fields *f = adit_exchange_head(adit_exchange_of(arg));

	return f && adit_fields_status(f) == 200;
}

static int
make_tunnel(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	const bool *server_first = t->test->arg;
	struct sessions *s = calloc(1, sizeof(*s));
	struct adit_conn *la, *lb, *opened;

	if (!s || conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	t->own = s;
	s->client = h2_client(la, NULL);
	s->server = h2_server(lb, NULL);
	opened = adit_mux_open(s->client, ADIT_CONN_EXCHANGE, NULL);
	if (!opened || !loop_until(t->loop, is_open, opened, LIMIT_MS) ||
	    h2w_send_head(adit_exchange_of(opened), "CONNECT - a.b:1 -", 0) < 0 ||
	    !loop_until(t->loop, have_accepted, s, LIMIT_MS) ||
	    !adit_exchange_head(adit_exchange_of(s->accepted)) ||
	    h2w_send_head(adit_exchange_of(s->accepted), "200", 0) < 0 ||
	    !loop_until(t->loop, has_head, opened, LIMIT_MS))
		return -ENOMEM;
	*a = *server_first ? s->accepted : opened;
	*b = *server_first ? opened : s->accepted;
	return 0;
}

static void
finish(struct conformance *t)
{
	struct sessions *s = t->own;

	adit_mux_close(s->client, NULL);
	adit_mux_close(s->server, NULL);
	free(s);
}

static void
conform(const char *name, bool server_first, conformance_make *make)
{
	const struct conformance_case test = {
		.name = name,
		.make = make,
		.finish = finish,
		/* The window, grown perhaps, both queues, what is below. */
		.in_flight = H2_WINDOW_MAX + 4 * 65536,
		.chunks = H2_WINDOW_MAX + 8 * 65536,
		.arg = &server_first,
	};

	conformance_run(&test);
}

static void
the_clients_side_conforms(void **state)
{
	(void)state;
	conform("h2", false, make_stream);
}

static void
the_servers_side_conforms(void **state)
{
	(void)state;
	conform("h2, accepted", true, make_stream);
}

static void
a_clients_tunnel_conforms(void **state)
{
	(void)state;
	conform("http/2", false, make_tunnel);
}

static void
a_servers_tunnel_conforms(void **state)
{
	(void)state;
	conform("http/2, accepted", true, make_tunnel);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clients_side_conforms),
		cmocka_unit_test(the_servers_side_conforms),
		cmocka_unit_test(a_clients_tunnel_conforms),
		cmocka_unit_test(a_servers_tunnel_conforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
