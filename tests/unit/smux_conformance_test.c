#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mux/smux.h"
#include "tests/unit/conformance.h"

#define LIMIT_MS 20000

/* How the two sessions are configured. */
struct variant {
	unsigned	version;
	bool		half_close;
	bool		server_opens;
};

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

static bool
know_each_other(void *arg)
{
	struct sessions *s = arg;

	return smux_peer_is_adit(s->client) && smux_peer_is_adit(s->server);
}

static int
make_stream(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	const struct variant *v = t->test->arg;
	struct smux_conf conf = smux_conf_default(true, v->version);
	struct sessions *s = calloc(1, sizeof(*s));
	struct adit_conn *la, *lb;

	if (!s || conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	t->own = s;
	conf.session_buffer = 262144;
	conf.half_close = v->half_close;
	conf.client = !v->server_opens;
	s->client = smux_new(la, &conf);
	conf.client = v->server_opens;
	s->server = smux_new(lb, &conf);
	*a = adit_mux_open(s->client, 0, NULL);
	if (!*a || !loop_until(t->loop, have_accepted, s, LIMIT_MS))
		return -ENOMEM;
	*b = s->accepted;
	if (!v->half_close)
		return 0;
	adit_mux_probe(s->client);
	return loop_until(t->loop, know_each_other, s, LIMIT_MS) ? 0 : -ETIMEDOUT;
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
conform(const char *name, struct variant v)
{
	const struct conformance_case test = {
		.name = name,
		.make = make_stream,
		.finish = finish,
		.flags = CONFORMANCE_NO_RESET |
			 (v.half_close ? 0u : (unsigned)CONFORMANCE_NO_HALF_CLOSE),
		/* The first window or the session's buffer, a stream's queue, what is below. */
		.in_flight = 262144 + 3 * 65536,
		.chunks = 262144 + 6 * 65536,
		.arg = &v,
	};

	conformance_run(&test);
}

static void
version_1_conforms(void **state)
{
	(void)state;
	conform("smux 1", (struct variant){ .version = 1 });
}

static void
version_2_conforms(void **state)
{
	(void)state;
	conform("smux 2", (struct variant){ .version = 2, .server_opens = true });
}

static void
streams_between_adits_conform(void **state)
{
	(void)state;
	conform("smux 2, half-close", (struct variant){ .version = 2, .half_close = true });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1_conforms),
		cmocka_unit_test(version_2_conforms),
		cmocka_unit_test(streams_between_adits_conform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
