/*
 * The body of an exchange as a conn: after CONNECT it is one like any other, and the conformance
 * test applies; as two messages it is not (its ends depend on each other), so that is tested with
 * bytes alone, over a conn that makes trouble.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/exchange.h>

#include "core/http/h1.h"
#include "tests/unit/conformance.h"
#include "tests/unit/jitter.h"

#define LIMIT_MS 60000

struct joined {
	struct adit_mux		*client, *server;
	struct adit_exchange	*asks, *answers;
	const char		*method, *length;
	bool			 asked, answered;
	bool			 open;
};

static struct adit_fields *
head(const struct joined *j, int status)
{
	struct adit_fields *f = adit_fields_new();

	assert_non_null(f);
	adit_fields_set_status(f, status);
	if (!status) {
		adit_fields_set_control(f, ADIT_METHOD, j->method, strlen(j->method));
		adit_fields_set_control(f, ADIT_AUTHORITY, "a:1", 3);
		adit_fields_set_control(f, ADIT_TARGET, "/", 1);
	}
	if (j->length)
		adit_fields_set(f, "Content-Length", j->length);
	return f;
}

static bool
send_head(struct adit_exchange *x, struct adit_fields *f)
{
	int err = adit_exchange_send_head(x, f, 0);

	adit_fields_free(f);
	assert_true(err == 0 || err == -EAGAIN);
	return err == 0;
}

/* One step toward two bodies that are open both ways. */
static bool
join_on(void *arg)
{
	struct joined *j = arg;
	struct adit_conn *c;

	if (!j->asked)
		j->asked = send_head(j->asks, head(j, 0));
	if (!j->answers) {
		c = adit_mux_accept(j->server);
		j->answers = adit_exchange_of(c);
	}
	if (j->answers && !j->answered && adit_exchange_head(j->answers))
		j->answered = send_head(j->answers, head(j, 200));
	if (j->answered && !j->open)
		j->open = adit_exchange_head(j->asks) != NULL;
	return j->open;
}

static struct joined *
join(struct loop *l, struct adit_conn *la, struct adit_conn *lb, const char *method,
     const char *length)
{
	struct joined *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->method = method;
	j->length = length;
	j->client = h1_client(la, NULL);
	j->server = h1_server(lb, NULL);
	j->asks = adit_exchange_of(adit_mux_open(j->client, ADIT_CONN_EXCHANGE, NULL));
	assert_non_null(j->asks);
	assert_true(loop_until(l, join_on, j, LIMIT_MS));
	return j;
}

static void
joined_free(struct joined *j)
{
	adit_mux_close(j->client, NULL);
	adit_mux_close(j->server, NULL);
	free(j);
}

static int
make_tunnel(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	struct adit_conn *la, *lb;
	struct joined *j;

	if (conformance_lower(t, &la, &lb) < 0)
		return -ENOMEM;
	t->own = j = join(t->loop, la, lb, "CONNECT", NULL);
	*a = &j->asks->body;
	*b = &j->answers->body;
	return 0;
}

static void
finish_tunnel(struct conformance *t)
{
	joined_free(t->own);
}

static void
a_tunnel_conforms(void **state)
{
	static const struct conformance_case tunnel = {
		.name = "http/1.1 tunnel",
		.make = make_tunnel,
		.finish = finish_tunnel,
		.in_flight = 65536 + 4 * 65536,
		.chunks = 131072 + 4 * 65536,
	};

	(void)state;
	conformance_run(&tunnel);
}

/* ---- two messages ----------------------------------------------------------------------- */

#define TOTAL 300007

/* Writes a pattern, reads one, each in its own time. */
struct flow {
	struct adit_conn	*c;
	size_t			 sent, got;
	bool			 shut, ended;
	uint64_t		 seed;
};

static uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 255);
}

static void
flow_write(struct flow *f)
{
	uint8_t buf[3000];
	size_t len = 1 + jitter_next(&f->seed) % sizeof(buf);
	ssize_t n;

	if (len > TOTAL - f->sent)
		len = TOTAL - f->sent;
	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(f->sent + i);
	n = len ? adit_conn_write(f->c, buf, len) : 0;
	assert_true(n >= 0 || n == -EAGAIN);
	f->sent += n > 0 ? (size_t)n : 0;
	if (f->sent == TOTAL && !f->shut) {
		assert_int_equal(adit_conn_shutdown(f->c), 0);
		f->shut = true;
	}
}

static void
flow_read(struct flow *f)
{
	uint8_t buf[5000];
	ssize_t n = adit_conn_read(f->c, buf, 1 + jitter_next(&f->seed) % sizeof(buf));

	assert_true(n >= 0 || n == -EAGAIN);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(buf[i], pattern(f->got + (size_t)i));
	f->got += n > 0 ? (size_t)n : 0;
	f->ended = f->ended || n == 0;
}

static void
flow_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct flow *f = owner;

	if (events & ADIT_WRITE)
		flow_write(f);
	if (events & ADIT_READ)
		flow_read(f);
	adit_conn_want(c, (f->shut ? 0u : ADIT_WRITE) | (f->ended ? 0u : ADIT_READ));
}

static void
flow_start(struct flow *f, struct adit_exchange *x, uint64_t seed)
{
	*f = (struct flow){ .c = &x->body, .seed = seed };
	adit_conn_own(f->c, flow_event, f);
	adit_conn_want(f->c, ADIT_READ | ADIT_WRITE);
}

static bool
both_ended(void *arg)
{
	const struct flow *flows = arg;

	return flows[0].shut && flows[0].ended && flows[1].shut && flows[1].ended;
}

static void
move_bodies(struct loop *l, const char *length, const struct jitter_opts *opts)
{
	struct adit_conn *la, *lb;
	struct flow flows[2];
	struct joined *j;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, &la, &lb), 0);
	j = join(l, jitter_conn(la, opts), jitter_conn(lb, opts), "POST", length);
	flow_start(&flows[0], j->asks, opts->seed);
	flow_start(&flows[1], j->answers, opts->seed + 1);
	assert_true(loop_until(l, both_ended, flows, LIMIT_MS));
	assert_int_equal(flows[0].got, TOTAL);
	assert_int_equal(flows[1].got, TOTAL);
	adit_conn_close(flows[0].c, 0);
	adit_conn_close(flows[1].c, 0);
	assert_true(h1_client_idle(j->client));		/* it could go on */
	assert_int_equal(adit_mux_err(j->server), 0);
	joined_free(j);
}

static void
bodies_arrive_whole_both_ways(void **state)
{
	uint64_t seed = jitter_seed();
	char length[24];

	snprintf(length, sizeof(length), "%d", TOTAL);
	for (int again = 0; again <= 60; again += 30) {
		struct jitter_opts opts = { .again = (unsigned)again, .seed = seed };

		move_bodies(*state, NULL, &opts);
		move_bodies(*state, length, &opts);
		opts.read_max = 97;
		opts.write_max = 89;
		move_bodies(*state, NULL, &opts);
		move_bodies(*state, length, &opts);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tunnel_conforms),
		cmocka_unit_test_setup_teardown(bodies_arrive_whole_both_ways, loop_setup,
						loop_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
