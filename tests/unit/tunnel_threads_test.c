/*
 * Tunnels over several workers, each a thread. The test's own thread runs things on them and waits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/h1.h"
#include "core/runtime/worker.h"
#include "core/tunnel/table.h"
#include "tests/unit/tunnel_fake.h"

#define WORKERS 3
#define LIMIT ADIT_SECONDS(60)

struct call {
	unsigned	 index;
	void		(*fn)(struct adit_worker *w, void *arg);
	void		*arg;
};

static void
call_one(struct adit_worker *w, void *arg)
{
	const struct call *call = arg;

	if (adit_worker_index(w) == call->index)
		call->fn(w, call->arg);
}

static void
on(struct worker_group *g, unsigned index, void (*fn)(struct adit_worker *w, void *arg), void *arg)
{
	struct call call = { .index = index, .fn = fn, .arg = arg };

	workers_call(g, call_one, &call);
}

static void
nothing(struct adit_worker *w, void *arg)
{
	(void)w;
	(void)arg;
}

/* Goes round the workers until done is set. */
static void
await(struct worker_group *g, atomic_uint *done, unsigned n)
{
	uint64_t began = adit_now();

	while (atomic_load(done) < n) {
		assert_true(adit_now() - began < LIMIT);
		workers_call(g, nothing, NULL);
	}
}

static int
setup(void **state)
{
	const struct worker_conf conf = { .workers = WORKERS };
	struct worker_group *g = workers_start(&conf, NULL);

	if (!g || tunnels_start(g) < 0)
		return -1;
	*state = g;
	return 0;
}

static int
teardown(void **state)
{
	workers_stop(*state);
	return 0;
}

static void
join(struct adit_worker *w, void *arg)
{
	struct fake *f = arg;

	f->worker = w;
	fake_join(f, "t", ADIT_TCP, 0);
}

static void
leave(struct adit_worker *w, void *arg)
{
	(void)w;
	fake_leave(arg);
}

static void
decide_well(struct adit_worker *w, void *arg)
{
	(void)w;
	fake_decide(arg, 0);
}

static void
decide_badly(struct adit_worker *w, void *arg)
{
	(void)w;
	fake_decide(arg, -ECONNRESET);
}

static void
decide_finally(struct adit_worker *w, void *arg)
{
	(void)w;
	fake_decide(arg, ADIT_ETARGET);
}

/* One visitor: sends len bytes, reads them back, closes. */
struct visitor {
	struct adit_conn	*c;
	size_t			 len, sent, got;
	int			 err;
	atomic_uint		 done, opened;
};

static void
visitor_end(struct visitor *v, int err)
{
	v->err = err;
	adit_conn_close(v->c, err);
	v->c = NULL;
	atomic_fetch_add(&v->done, 1);
}

static void
visitor_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct visitor *v = owner;
	uint8_t buf[4096];
	ssize_t n = -EAGAIN;

	if (!adit_conn_is_open(c)) {
		visitor_end(v, adit_conn_err(c));
		return;
	}
	if (events & ADIT_OPEN)
		atomic_fetch_add(&v->opened, 1);
	while (v->sent < v->len) {
		size_t len = v->len - v->sent < sizeof(buf) ? v->len - v->sent : sizeof(buf);

		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)((v->sent + i) * 13);
		n = adit_conn_write(c, buf, len);
		if (n <= 0)
			break;
		v->sent += (size_t)n;
	}
	while ((n = adit_conn_read(c, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != (uint8_t)(v->got++ * 13))
				abort();
	if (n != -EAGAIN || v->got == v->len) {
		visitor_end(v, n == -EAGAIN ? 0 : -EIO);
		return;
	}
	adit_conn_want(c, v->sent < v->len ? ADIT_READ | ADIT_WRITE : ADIT_READ);
}

static void
visit(struct adit_worker *w, void *arg)
{
	const struct adit_open req = { .tunnel = "t", .network = ADIT_TCP, .host = "h" };
	struct visitor *v = arg;
	struct adit_err e = ADIT_ERR_INIT;

	v->c = adit_tunnel_open(w, &req, NULL, &e);
	if (!v->c) {
		v->err = e.code;
		atomic_fetch_add(&v->done, 1);
		return;
	}
	adit_conn_own(v->c, visitor_event, v);
	adit_conn_want(v->c, ADIT_OPEN);
}

static void
give_up(struct adit_worker *w, void *arg)
{
	(void)w;
	visitor_end(arg, -ECANCELED);
}

static void
bytes_cross_workers(void **state)
{
	struct fake f = { .worker = NULL };

	on(*state, 1, join, &f);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct visitor v = { .len = 3000000 };

		on(*state, i, visit, &v);
		await(*state, &v.done, 1);
		assert_int_equal(v.err, 0);
		assert_int_equal(v.got, v.len);
	}
	assert_string_equal(f.host, "h");
	on(*state, 1, leave, &f);
}

static void
failures_cross_workers(void **state)
{
	struct fake f[3] = { { .later = true }, { .later = true }, { .later = true } };
	struct visitor v = { .len = 10 };
	unsigned tried = 0;

	for (unsigned i = 0; i < 3; i++)
		on(*state, i % 2 + 1, join, &f[i]);
	on(*state, 0, visit, &v);
	/* Each fails, and the next is asked, wherever it is. */
	while (tried < 3) {
		workers_call(*state, nothing, NULL);
		for (unsigned i = 0; i < 3; i++) {
			if (!f[i].waiting)
				continue;
			assert_int_equal(f[i].opened, 1);
			assert_int_equal(atomic_load(&v.done), 0);
			on(*state, i % 2 + 1, decide_badly, &f[i]);
			tried++;
		}
	}
	await(*state, &v.done, 1);
	assert_int_equal(v.err, ADIT_ENOTUNNEL);
	assert_int_equal(atomic_load(&v.opened), 0);
	for (unsigned i = 0; i < 3; i++)
		on(*state, i % 2 + 1, leave, &f[i]);
}

/* The near end is open when the far one is, and not before. */
static void
opening_waits_for_the_far_side(void **state)
{
	struct fake f = { .later = true };
	struct visitor a = { .len = 1000 }, b = { .len = 1000 };

	on(*state, 2, join, &f);
	on(*state, 0, visit, &a);
	while (!f.waiting)
		workers_call(*state, nothing, NULL);
	for (int i = 0; i < 10; i++)
		workers_call(*state, nothing, NULL);
	assert_int_equal(atomic_load(&a.opened), 0);
	on(*state, 2, decide_well, &f);
	await(*state, &a.done, 1);
	assert_int_equal(a.err, 0);

	on(*state, 1, visit, &b);
	while (!f.waiting)
		workers_call(*state, nothing, NULL);
	on(*state, 2, decide_finally, &f);
	await(*state, &b.done, 1);
	assert_int_equal(b.err, ADIT_ETARGET);
	on(*state, 2, leave, &f);
}

static void
giving_up_reaches_the_far_side(void **state)
{
	struct fake f = { .later = true };

	on(*state, 1, join, &f);
	/* Before the far side knows, while it opens, and when its answer is on the way. */
	for (int rounds = 0; rounds < 6; rounds++) {
		struct visitor v = { .len = 10 };

		on(*state, 0, visit, &v);
		for (int i = 0; i < rounds; i++)
			workers_call(*state, nothing, NULL);
		if (rounds == 5)
			on(*state, 1, decide_well, &f);
		if (!atomic_load(&v.done))
			on(*state, 0, give_up, &v);
		await(*state, &v.done, 1);
		for (int i = 0; i < 10; i++)
			workers_call(*state, nothing, NULL);
		assert_null(f.waiting);
	}
	on(*state, 1, leave, &f);
}

static void
one_that_has_left_is_not_opened(void **state)
{
	struct fake f = { .refuse = 0 };
	struct visitor v = { .len = 10 };

	on(*state, 1, join, &f);
	on(*state, 1, leave, &f);
	on(*state, 0, visit, &v);
	await(*state, &v.done, 1);
	assert_int_equal(v.err, ADIT_ENOTUNNEL);
	assert_int_equal(f.opened, 0);
}

/* ---- sessions of exchanges --------------------------------------------------------------- */

#define ASKED	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define ANSWERED "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* A session whose conns are exchanges with a target that answers the first request. */
struct site {
	struct adit_worker	*worker;
	struct adit_conn	*target;
	struct adit_mux		*client;
	size_t			 got;
	uint64_t		 number;
};

static void
site_target_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct site *s = owner;
	char buf[256];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		adit_conn_close(c, (int)n);
		s->target = NULL;
		return;
	}
	s->got += (size_t)n;
	if (s->got == strlen(ASKED))
		adit_conn_write(c, ANSWERED, strlen(ANSWERED));
}

static struct adit_conn *
site_open(void *session, const struct adit_open *req, struct adit_err *e)
{
	struct site *s = session;
	struct adit_conn *near;

	(void)req;
	if (adit_conn_pair(s->worker, s->worker, 4096, &near, &s->target) < 0)
		abort();
	adit_conn_own(s->target, site_target_event, s);
	adit_conn_want(s->target, ADIT_READ);
	s->client = h1_client(near, NULL);
	return adit_mux_open(s->client, ADIT_CONN_EXCHANGE, e);
}

static void
site_join(struct adit_worker *w, void *arg)
{
	struct site *s = arg;

	s->worker = w;
	s->number = adit_tunnel_join(w, &(const struct adit_member){
		.tunnel = "t", .network = ADIT_TCP, .open = site_open, .session = s,
	});
}

static void
site_leave(struct adit_worker *w, void *arg)
{
	struct site *s = arg;

	adit_tunnel_leave(w, s->number);
	adit_mux_close(s->client, NULL);
}

/* Asks once, as an HTTP/1 client, over whatever it was given. */
struct asker {
	struct adit_conn	*c;
	char			 got[256];
	size_t			 n;
	atomic_uint		 done;
};

static void
asker_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct asker *a = owner;
	ssize_t n;

	if (events & ADIT_OPEN)
		adit_conn_write(c, ASKED, strlen(ASKED));
	adit_conn_want(c, ADIT_READ);
	while ((n = adit_conn_read(c, a->got + a->n, sizeof(a->got) - 1 - a->n)) > 0)
		a->n += (size_t)n;
	if (n == -EAGAIN)
		return;
	adit_conn_close(c, (int)n);
	atomic_fetch_add(&a->done, 1);
}

static void
ask(struct adit_worker *w, void *arg)
{
	const struct adit_open req = { .tunnel = "t", .network = ADIT_TCP, .exchange = true };
	struct asker *a = arg;

	a->c = adit_tunnel_open(w, &req, NULL, NULL);
	if (!a->c || adit_conn_flags(a->c) & ADIT_CONN_EXCHANGE)
		abort();
	adit_conn_own(a->c, asker_event, a);
	adit_conn_want(a->c, ADIT_OPEN);
}

static void
exchanges_cross_workers(void **state)
{
	struct asker a = { .n = 0 };
	struct site s = { .got = 0 };

	on(*state, 1, site_join, &s);
	on(*state, 0, ask, &a);
	await(*state, &a.done, 1);
	assert_string_equal(a.got, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: "
				   "close\r\n\r\nok");
	on(*state, 1, site_leave, &s);
	workers_call(*state, nothing, NULL);
}

/* ---- all at once ------------------------------------------------------------------------- */

#define STORM_SESSIONS 8
#define STORM_ROUNDS 300

struct storm {
	struct adit_message	 message;
	struct adit_worker	*worker;
	struct fake		 fakes[STORM_SESSIONS];
	struct visitor		 visitors[STORM_ROUNDS];
	atomic_uint		 opened, *done;
	unsigned		 round;
};

static void
storm_turn(struct adit_message *m, struct adit_worker *w)
{
	struct storm *s = adit_container_of(m, struct storm, message);
	struct fake *f = &s->fakes[adit_random_below(STORM_SESSIONS)];
	struct adit_choice choice;

	if (f->number) {
		unsigned opened = f->opened;

		fake_leave(f);
		f->opened = opened;
	} else {
		fake_join(f, "t", ADIT_TCP, adit_random_below(3));
	}
	f = &s->fakes[adit_random_below(STORM_SESSIONS)];
	f->refuse = adit_random_below(4) ? 0 : -ECONNRESET;
	adit_tunnel_set_usable(w, f->number, adit_random_below(4) != 0);
	for (int i = 0; i < 20; i++)
		if (adit_tunnel_pick(w, "t", ADIT_TCP, &choice) == 0)
			assert_true(choice.session != 0 && choice.worker < WORKERS);
	s->visitors[s->round].len = 5000;
	visit(w, &s->visitors[s->round]);
	if (++s->round < STORM_ROUNDS) {
		adit_worker_post(w, m);
		return;
	}
	for (int i = 0; i < STORM_SESSIONS; i++)
		fake_leave(&s->fakes[i]);
	atomic_fetch_add(s->done, 1);
}

static void
storm_begin(struct adit_worker *w, void *arg)
{
	struct storm *s = (struct storm *)arg + adit_worker_index(w);

	s->worker = w;
	for (int i = 0; i < STORM_SESSIONS; i++)
		s->fakes[i].worker = w;
	s->message.run = storm_turn;
	adit_worker_post(w, &s->message);
}

static void
everything_at_once(void **state)
{
	struct storm *storms = calloc(WORKERS, sizeof(*storms));
	atomic_uint done = 0;
	unsigned good = 0;

	assert_non_null(storms);
	for (int i = 0; i < WORKERS; i++)
		storms[i].done = &done;
	workers_call(*state, storm_begin, storms);
	await(*state, &done, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		for (int k = 0; k < STORM_ROUNDS; k++) {
			struct visitor *v = &storms[i].visitors[k];

			await(*state, &v->done, 1);
			assert_true(v->err == 0 || v->err == ADIT_ENOTUNNEL);
			good += v->err == 0;
		}
	}
	assert_true(good > 0);
	free(storms);
}

#define GROUP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(bytes_cross_workers),
		GROUP_TEST(failures_cross_workers),
		GROUP_TEST(opening_waits_for_the_far_side),
		GROUP_TEST(giving_up_reaches_the_far_side),
		GROUP_TEST(one_that_has_left_is_not_opened),
		GROUP_TEST(exchanges_cross_workers),
		GROUP_TEST(everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
