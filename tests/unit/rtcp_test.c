/*
 * Listener rtcp over a chain of the test's own: a dialer whose conns lead nowhere, and a connector
 * whose sessions are open at once and say how many of them are wanted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <adit/mux.h>

#include "core/service/service.h"
#include "tests/unit/service_stage.h"

#define WORKERS 3
#define LIMIT_NS ADIT_SECONDS(60)

/* What happened, on whichever worker. */
static atomic_uint wanted;			/* siblings, as sessions say */
static atomic_uint bound[WORKERS];		/* sessions that were ever made there */
static atomic_uint living;
static atomic_uint strangers;			/* sessions of another client than the first */
static atomic_uint left_alone;			/* superseded, and the last one at their end */
static _Atomic(struct adit_mux *) last[WORKERS];
static struct adit_client client;		/* written by the first bind */
static atomic_bool have_client;

/* ---- the plugins ----------------------------------------------------------------------- */

static struct adit_conn *
nowhere_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	struct adit_conn *near, *far;

	(void)d;
	if (adit_conn_pair(req->worker, req->worker, 4096, &near, &far) < 0) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	adit_conn_close(far, 0);
	return near;
}

static const struct adit_dialer_ops dialer_nowhere = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(dialer_nowhere),
		.kind = ADIT_DIALER,
		.name = "nowhere",
		.help = "leads nowhere",
		.instance = sizeof(struct adit_dialer),
	},
	.dial = nowhere_dial,
};

static struct adit_conn *
session_accept(struct adit_mux *m)
{
	(void)m;
	return NULL;
}

static void
session_nothing(struct adit_mux *m)
{
	(void)m;
}

static void
session_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct adit_mux *me = m;

	(void)why;
	if (atomic_compare_exchange_strong(&last[adit_worker_index(adit_mux_worker(m))], &me,
					   NULL) &&
	    adit_mux_is_superseded(m))
		atomic_fetch_add(&left_alone, 1);
	atomic_fetch_sub(&living, 1);
}

static bool
session_drained(const struct adit_mux *m)
{
	(void)m;
	return true;
}

static unsigned
session_siblings(const struct adit_mux *m)
{
	(void)m;
	return atomic_load(&wanted);
}

static const struct adit_mux_ops session_ops = {
	.size = sizeof(session_ops),
	.name = "session",
	.accept = session_accept,
	.probe = session_nothing,
	.drain = session_nothing,
	.close = session_close,
	.drained = session_drained,
	.siblings = session_siblings,
};

static struct adit_mux *
session_bind(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *address,
	     struct adit_err *e)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct adit_mux *m = adit_mux_new(w, &session_ops, sizeof(*m));

	(void)n;
	adit_conn_close(lower, 0);
	if (!m) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	/* The first session is open before there is a second. */
	if (!atomic_exchange(&have_client, true))
		client = address->client;
	else if (memcmp(&client, &address->client, sizeof(client)) != 0)
		atomic_fetch_add(&strangers, 1);
	atomic_fetch_add(&living, 1);
	atomic_store(&last[adit_worker_index(w)], m);
	atomic_fetch_add(&bound[adit_worker_index(w)], 1);
	adit_mux_ready(m, ADIT_OPEN);
	return m;
}

static struct adit_conn *
session_connect(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *to,
		const struct adit_addr *visitor, struct adit_err *e)
{
	(void)n;
	(void)to;
	(void)visitor;
	adit_conn_close(lower, 0);
	adit_err_set(e, -ENOTSUP, "not here");
	return NULL;
}

static const struct adit_connector_ops connector_session = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(connector_session),
		.kind = ADIT_CONNECTOR,
		.name = "session",
		.help = "binds at once",
		.instance = sizeof(struct adit_connector),
	},
	.connect = session_connect,
	.bind = session_bind,
};

/* ---- the fixture ------------------------------------------------------------------------- */

static const char config[] =
	"services:\n"
	"- name: s\n"
	"  addr: :0\n"
	"  handler: { type: rtcp }\n"
	"  listener: { type: rtcp, chain: c }\n"
	"  forwarder: { nodes: [ { name: t, addr: 127.0.0.1:1 } ] }\n"
	"chains:\n"
	"- name: c\n"
	"  hops:\n"
	"  - name: h\n"
	"    nodes:\n"
	"    - name: n\n"
	"      addr: 127.0.0.1:1\n"
	"      connector: { type: session }\n"
	"      dialer: { type: nowhere }\n";

static int
setup(void **state)
{
	struct service_stage *t;

	if (service_stage_setup(state) < 0)
		return -1;
	t = *state;
	atomic_store(&have_client, false);
	atomic_store(&strangers, 0);
	for (int i = 0; i < WORKERS; i++)
		atomic_store(&bound[i], 0);
	assert_int_equal(registry_add(t->registry, &dialer_nowhere.base, NULL), 0);
	assert_int_equal(registry_add(t->registry, &connector_session.base, NULL), 0);
	service_stage_load(t, config);
	return 0;
}

static struct service *
start(struct service_stage *t, unsigned siblings)
{
	struct service *s = service_stage_find(t, "s");

	atomic_store(&wanted, siblings);
	assert_int_equal(service_start(s, t->workers, t->errs), 0);
	return s;
}

static int
teardown(void **state)
{
	struct service_stage *t = *state;

	service_kill(service_stage_find(t, "s"), t->workers);
	assert_int_equal(service_active(service_stage_find(t, "s")), 0);
	assert_int_equal(atomic_load(&living), 0);
	return service_stage_teardown(state);
}

static unsigned
bound_anywhere(void)
{
	unsigned n = 0;

	for (int i = 0; i < WORKERS; i++)
		n += atomic_load(&bound[i]);
	return n;
}

static unsigned
living_now(void)
{
	return atomic_load(&living);
}

static void
await(unsigned (*count)(void), unsigned n)
{
	const struct timespec look = { .tv_nsec = 1000000 };
	uint64_t until = adit_now() + LIMIT_NS;

	while (count() != n && adit_now() < until)
		nanosleep(&look, NULL);
	assert_int_equal(count(), n);
}

static void
await_bound(unsigned n)
{
	await(bound_anywhere, n);
}

static void
turn(struct adit_worker *w, void *arg)
{
	(void)w;
	(void)arg;
}

/* What the workers post to each other has been done, and nothing more comes. */
static void
settle(struct service_stage *t)
{
	for (int i = 0; i < 20; i++)
		workers_call(t->workers, turn, NULL);
}

static void
lose(struct adit_worker *w, void *arg)
{
	const unsigned *index = arg;
	struct adit_mux *m = atomic_load(&last[adit_worker_index(w)]);

	if (adit_worker_index(w) == *index && m)
		adit_mux_fail(m, &(struct adit_reason){ .err = -ECONNRESET });
}

static struct adit_mux *left[WORKERS], *visited[WORKERS];	/* each worker's own */

static void
say_drains(struct adit_worker *w, void *arg)
{
	struct adit_mux *m = atomic_load(&last[adit_worker_index(w)]);

	(void)arg;
	left[adit_worker_index(w)] = m;
	if (m)
		adit_mux_say_peer_drains(m);
}

/* The last session there has a visitor. */
static void
visit(struct adit_worker *w, void *arg)
{
	struct adit_mux *m = atomic_load(&last[adit_worker_index(w)]);

	(void)arg;
	visited[adit_worker_index(w)] = m;
	if (m)
		adit_mux_count(m, 1);
}

static void
end_visit(struct adit_worker *w, void *arg)
{
	struct adit_mux *m = visited[adit_worker_index(w)];

	(void)arg;
	if (m)
		adit_mux_count(m, -1);
}

static void
supersede(struct adit_worker *w, void *arg)
{
	(void)arg;
	adit_mux_supersede(atomic_load(&last[adit_worker_index(w)]));
}

static void
end_left(struct adit_worker *w, void *arg)
{
	(void)arg;
	adit_mux_fail(left[adit_worker_index(w)], &(struct adit_reason){ .err = -ESHUTDOWN });
}

static void
lose_anywhere(struct adit_worker *w, void *arg)
{
	unsigned index = adit_worker_index(w);

	(void)arg;
	lose(w, &index);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
one_session_where_one_is_wanted(void **state)
{
	assert_false(service_is_ready(service_stage_find(*state, "s")));
	start(*state, 1);
	await_bound(1);
	settle(*state);
	assert_int_equal(bound_anywhere(), 1);
	assert_true(service_is_ready(service_stage_find(*state, "s")));
}

static void
several_are_of_one_client_on_several_workers(void **state)
{
	static const struct adit_client none;

	start(*state, WORKERS);
	await_bound(WORKERS);
	settle(*state);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(atomic_load(&bound[i]), 1);
	assert_int_equal(atomic_load(&strangers), 0);
	assert_memory_not_equal(&client, &none, sizeof(none));
}

static void
there_is_a_limit(void **state)
{
	start(*state, 1000);
	await_bound(16);
	settle(*state);
	assert_int_equal(atomic_load(&living), 16);
	for (int i = 0; i < WORKERS; i++)
		assert_in_range(atomic_load(&bound[i]), 5, 6);
}

static void
each_that_is_lost_comes_back(void **state)
{
	start(*state, WORKERS);
	await_bound(WORKERS);
	settle(*state);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers_call(((struct service_stage *)*state)->workers, lose, &i);
		await_bound(WORKERS + 1 + i);
		settle(*state);
		assert_int_equal(atomic_load(&bound[i]), 2);
		assert_int_equal(atomic_load(&living), WORKERS);
	}
}

/*
 * A server that takes each bind and breaks each session, as one with another version of the session
 * protocol does, is not asked ten times a second for ever.
 */
static void
sessions_that_do_not_last_are_no_success(void **state)
{
	struct service_stage *t = *state;
	const unsigned times = 5;
	uint64_t began = 0, opened, longest = 0;

	start(t, 1);
	for (unsigned n = 1; n <= times; n++) {
		await_bound(n);
		opened = adit_now();
		began = began ? began : opened;
		workers_call(t->workers, lose_anywhere, NULL);
		longest = adit_now() - opened > longest ? adit_now() - opened : longest;
	}
	await_bound(times + 1);
	/* Half of 100, 200, 400, 800 and 1000 ms; a session may have lasted on a slow machine. */
	if (longest < ADIT_MS(500))
		assert_true(adit_now() - began >= ADIT_MS(50 + 100 + 200 + 400 + 500));
}

/* The server is another now, for which one is enough: who comes back and is too much goes. */
static void
who_is_not_wanted_any_more_goes(void **state)
{
	struct service_stage *t = *state;

	start(t, WORKERS);
	await_bound(WORKERS);
	settle(t);
	atomic_store(&wanted, 1);
	for (unsigned i = 0; i < WORKERS; i++)
		workers_call(t->workers, lose, &i);
	await_bound(2 * WORKERS);
	settle(t);
	assert_int_equal(atomic_load(&living), 1);
	assert_int_equal(service_active(service_stage_find(t, "s")), 1);

	/* And wanted again when the first one says so. */
	atomic_store(&wanted, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++)
		workers_call(t->workers, lose, &i);
	await_bound(3 * WORKERS);
	settle(t);
	assert_int_equal(atomic_load(&living), WORKERS);
}

/*
 * Each session has another beside it before it ends, and none when it does: its place is taken.
 */
static void
a_server_that_drains_is_left(void **state)
{
	struct service_stage *t = *state;

	start(t, WORKERS);
	await_bound(WORKERS);
	settle(t);
	workers_call(t->workers, say_drains, NULL);
	await_bound(2 * WORKERS);
	settle(t);
	assert_int_equal(atomic_load(&living), 2 * WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(atomic_load(&bound[i]), 2);
	workers_call(t->workers, end_left, NULL);
	settle(t);
	assert_int_equal(atomic_load(&living), WORKERS);
	assert_int_equal(bound_anywhere(), 2 * WORKERS);

	/* And who came then is one like any other. */
	workers_call(t->workers, lose_anywhere, NULL);
	await_bound(3 * WORKERS);
	assert_int_equal(atomic_load(&strangers), 0);
}

/* A server may drain for long, and take who comes meanwhile, only to send him on. */
static void
of_those_that_drain_the_last_is_kept(void **state)
{
	struct service_stage *t = *state;

	start(t, 1);
	await_bound(1);
	for (unsigned i = 2; i < 5; i++) {
		settle(t);
		workers_call(t->workers, say_drains, NULL);
		await_bound(i);
		settle(t);
		assert_int_equal(atomic_load(&living), 2);
	}
}

/* And one before it that still has visitors goes with the last of these. */
static void
what_was_left_long_ago_ends_after_its_visitors(void **state)
{
	struct service_stage *t = *state;

	start(t, 1);
	await_bound(1);
	settle(t);
	workers_call(t->workers, visit, NULL);
	for (unsigned i = 2; i < 4; i++) {
		workers_call(t->workers, say_drains, NULL);
		await_bound(i);
		settle(t);
	}
	assert_int_equal(atomic_load(&living), 3);
	workers_call(t->workers, end_visit, NULL);
	await(living_now, 2);
}

/* Each that there is a better way for has another beside it, and is ended when it is empty. */
static void
one_that_is_superseded_ends(void **state)
{
	struct service_stage *t = *state;

	start(t, WORKERS);
	await_bound(WORKERS);
	settle(t);
	workers_call(t->workers, supersede, NULL);
	await_bound(2 * WORKERS);
	settle(t);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(atomic_load(&bound[i]), 2);
	assert_int_equal(atomic_load(&living), WORKERS);
	assert_int_equal(atomic_load(&left_alone), 0);
	assert_int_equal(atomic_load(&strangers), 0);
}

static void
stopping_ends_them_all(void **state)
{
	struct service_stage *t = *state;
	struct service *s = start(t, WORKERS);

	/* At any moment: some are just being begun. */
	service_stop(s, t->workers);
	settle(t);
	assert_int_equal(atomic_load(&living), 0);
	assert_int_equal(service_active(s), 0);
}

#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(one_session_where_one_is_wanted),
		STAGE_TEST(several_are_of_one_client_on_several_workers),
		STAGE_TEST(there_is_a_limit),
		STAGE_TEST(each_that_is_lost_comes_back),
		STAGE_TEST(sessions_that_do_not_last_are_no_success),
		STAGE_TEST(who_is_not_wanted_any_more_goes),
		STAGE_TEST(a_server_that_drains_is_left),
		STAGE_TEST(of_those_that_drain_the_last_is_kept),
		STAGE_TEST(what_was_left_long_ago_ends_after_its_visitors),
		STAGE_TEST(one_that_is_superseded_ends),
		STAGE_TEST(stopping_ends_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
