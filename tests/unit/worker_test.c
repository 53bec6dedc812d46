/* Turns, and the end of workers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <adit/conn.h>
#include <adit/mux.h>

#include "core/conn/tcp.h"
#include "core/mux/smux.h"
#include "tests/unit/conformance.h"
#include "tests/unit/loop.h"
#include "tests/unit/tls_duo.h"

/* ---- a turn ----------------------------------------------------------------------------- */

#define BUSY 10000
#define BUSY_NS 20000			/* of each call */

struct busy {
	struct io	 io;
	unsigned	 calls;
};

static unsigned busy_calls;		/* of all */

static void
busy_run(struct io *io, unsigned events)
{
	uint64_t until = adit_now() + BUSY_NS;

	(void)events;
	adit_container_of(io, struct busy, io)->calls++;
	busy_calls++;
	while (adit_now() < until)
		;
}

static void
busy_free(struct io *io)
{
	(void)io;
}

static void
note_calls(void *arg)
{
	*(unsigned *)arg = busy_calls;
}

static bool
is_set(void *arg)
{
	return *(unsigned *)arg;
}

static bool
called_twice(void *arg)
{
	(void)arg;
	return busy_calls >= 2 * BUSY;
}

/* 10 000 ios are ready for ever, 0.2 s of work in all: a timer of 1 ms does not wait for all. */
static void
timers_do_not_wait_for_all_that_is_ready(void **state)
{
	struct loop *l = *state;
	struct busy *all = calloc(BUSY, sizeof(*all));
	unsigned at = 0, least = UINT32_MAX, most = 0;
	struct adit_timer *t = adit_timer_new(l->worker, note_calls, &at);
	bool rang;

	assert_true(all && t);
	busy_calls = 0;
	for (unsigned i = 0; i < BUSY; i++) {
		io_init(&all[i].io, l->worker, busy_run, busy_free);
		io_want(&all[i].io, ADIT_READ);
		io_ready(&all[i].io, ADIT_READ);
	}
	adit_timer_set(t, ADIT_MS(1));
	rang = loop_until(l, is_set, &at, 20000) && loop_until(l, called_twice, NULL, 60000);
	for (unsigned i = 0; i < BUSY; i++) {
		least = all[i].calls < least ? all[i].calls : least;
		most = all[i].calls > most ? all[i].calls : most;
		io_close(&all[i].io);
	}
	loop_turn(l, 3);
	adit_timer_free(t);
	free(all);
	assert_true(rang);
	assert_in_range(at, 1, BUSY / 10);
	/* And none has its next turn before all have had theirs. */
	assert_in_range(least, 2, 3);
	assert_in_range(most, 2, 3);
}

/* ---- the end ------------------------------------------------------------------------------ */

/* What closed politely on a worker that ends, while nobody reads at the other end. */
struct leaving {
	struct tls_creds	*creds;
	int			 fds[3];	/* below TLS, below smux, plain */
	struct adit_conn	*tls, *stream, *held, *tcp;
	struct adit_mux		*mux;
	bool			 open;
};

static unsigned held_freed;

static ssize_t
held_read(struct adit_conn *c, void *buf, size_t len)
{
	(void)c;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static ssize_t
held_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	(void)c;
	(void)iov;
	(void)n;
	return -EAGAIN;
}

static int
held_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

/* Never lets go. */
static void
held_close(struct adit_conn *c, int why)
{
	(void)why;
	adit_conn_hold(c);
}

static void
held_free(struct adit_conn *c)
{
	(void)c;
	held_freed++;
}

/* An older plugin's: it knows nothing of being cut. */
static const struct adit_conn_ops held_ops = {
	.size = offsetof(struct adit_conn_ops, cut),
	.name = "held",
	.read = held_read,
	.writev = held_writev,
	.shutdown = held_shutdown,
	.close = held_close,
	.free = held_free,
};

static void
leaving_begin(struct adit_worker *w, void *arg)
{
	const struct smux_conf conf = smux_conf_default(true, 2);
	struct leaving *v = arg;

	if (adit_worker_index(w))
		return;
	v->tls = tls_client(tcp_conn(w, v->fds[0], false), v->creds, "gw.test", NULL);
	v->mux = smux_new(tcp_conn(w, v->fds[1], false), &conf);
	v->tcp = tcp_conn(w, v->fds[2], false);
	v->held = adit_conn_new(w, &held_ops, sizeof(*v->held), 0);
	assert_true(v->tls && v->mux && v->tcp && v->held);
}

/* Until it is full, as far as an owner can tell. */
static void
fill(struct adit_conn *c)
{
	static char much[65536];

	for (int i = 0; i < 10000 && adit_conn_write(c, much, sizeof(much)) > 0; i++)
		;
}

static void
leaving_close(struct adit_worker *w, void *arg)
{
	struct leaving *v = arg;

	if (adit_worker_index(w))
		return;
	assert_true(adit_conn_is_open(v->tls) && adit_mux_is_open(v->mux));
	fill(v->tls);
	adit_conn_close(v->tls, 0);
	v->stream = adit_mux_open(v->mux, 0, NULL);
	assert_non_null(v->stream);
	fill(v->stream);
	adit_conn_close(v->stream, 0);
	adit_mux_close(v->mux, NULL);
	adit_conn_close(v->tcp, 0);
	adit_conn_close(v->held, 0);
}

static void
is_opened(struct adit_worker *w, void *arg)
{
	struct leaving *v = arg;

	if (!adit_worker_index(w) && adit_conn_is_open(v->tls) && adit_mux_is_open(v->mux))
		v->open = true;
}

struct stopping {
	struct worker_group	*g;
	struct leaving		 v;
	struct adit_conn	*server;
};

static bool
both_open(void *arg)
{
	struct stopping *s = arg;

	if (!adit_conn_is_open(s->server))
		return false;
	workers_call(s->g, is_opened, &s->v);
	return s->v.open;
}

/*
 * Nothing of them is left when the limit is over: not what TLS has still to send, nor a stream of a
 * session that has closed too, nor what does not know that it is cut.
 */
static void
what_lingers_is_cut(void **state)
{
	struct loop *l = *state;
	struct adit_tls_conf client = { 0 }, server = duo_server_conf();
	struct tls_creds *cc = duo_creds(&client, TLS_CLIENT), *sc = duo_creds(&server, TLS_SERVER);
	struct stopping s = { .v.creds = cc };
	int peers[3], fds[2];
	uint64_t begun;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(conformance_tcp_sockets(fds), 0);
		s.v.fds[i] = fds[0];
		peers[i] = fds[1];
	}
	s.g = workers_start(&(struct worker_conf){ .workers = 2 }, NULL);
	assert_non_null(s.g);
	workers_call(s.g, leaving_begin, &s.v);
	s.server = tls_server(tcp_conn(l->worker, peers[0], false), sc, NULL);
	assert_true(loop_until(l, both_open, &s, LIMIT));
	workers_call(s.g, leaving_close, &s.v);
	held_freed = 0;
	begun = adit_now();
	workers_stop(s.g);
	/* TLS alone would wait for 10 s. */
	assert_true(adit_now() - begun < ADIT_SECONDS(9));
	assert_int_equal(held_freed, 1);
	adit_conn_close(s.server, -ECONNABORTED);
	close(peers[1]);
	close(peers[2]);
	tls_creds_put(cc);
	tls_creds_put(sc);
}

/* ---- slots ---------------------------------------------------------------------------------- */

struct letter {
	struct adit_message	 message;
	struct adit_worker	*from;
};

static unsigned letters_run, letters_discarded, slots_emptied;

static void
letter_run(struct adit_message *m, struct adit_worker *w)
{
	(void)w;
	free(adit_container_of(m, struct letter, message));
	letters_run++;
}

static void
letter_discard(struct adit_message *m)
{
	free(adit_container_of(m, struct letter, message));
	letters_discarded++;
}

static void
letter_send(struct adit_worker *w, unsigned to)
{
	struct letter *letter = calloc(1, sizeof(*letter));

	assert_non_null(letter);
	letter->message = (struct adit_message){ .run = letter_run, .discard = letter_discard };
	adit_worker_post(adit_worker_at(w, to), &letter->message);
}

/* Writes to all workers, those before it too, and fills the slot once more. */
static void
slot_fini(void *value)
{
	struct adit_worker *w = value;

	for (unsigned i = 0; i < adit_worker_count(w); i++)
		letter_send(w, i);
	if (slots_emptied++ < 3)
		*worker_slot(w, SLOT_RESOLVER, slot_fini) = w;
}

static void
slot_fill(struct adit_worker *w, void *arg)
{
	(void)arg;
	*worker_slot(w, SLOT_RESOLVER, slot_fini) = w;
}

static void
what_ends_may_write_to_all(void **state)
{
	struct worker_group *g = workers_start(&(struct worker_conf){ .workers = 3 }, NULL);

	(void)state;
	assert_non_null(g);
	letters_run = letters_discarded = slots_emptied = 0;
	workers_call(g, slot_fill, NULL);
	workers_stop(g);
	assert_int_equal(slots_emptied, 6);
	assert_int_equal(letters_run, 0);
	assert_int_equal(letters_discarded, 18);
}

static void
who_carries_the_least_is_next(void **state)
{
	struct worker_group *g = workers_start(&(struct worker_conf){ .workers = 3 }, NULL);
	struct adit_worker *w[3];

	(void)state;
	assert_non_null(g);
	for (unsigned i = 0; i < 3; i++)
		w[i] = workers_at(g, i);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(worker_least_loaded(w[i]), w[i]);	/* nobody has less */
	atomic_store(worker_load(w[0]), 2);
	atomic_store(worker_load(w[1]), 3);
	atomic_store(worker_load(w[2]), 2);
	assert_ptr_equal(worker_least_loaded(w[0]), w[0]);
	assert_ptr_equal(worker_least_loaded(w[1]), w[0]);
	assert_ptr_equal(worker_least_loaded(w[2]), w[2]);
	atomic_store(worker_load(w[2]), 1);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(worker_least_loaded(w[i]), w[2]);
	workers_stop(g);
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(timers_do_not_wait_for_all_that_is_ready),
		IN_LOOP(what_lingers_is_cut),
		cmocka_unit_test(what_ends_may_write_to_all),
		cmocka_unit_test(who_carries_the_least_is_next),
	};

	return cmocka_run_group_tests(tests, duo_kit_setup, duo_kit_teardown);
}
