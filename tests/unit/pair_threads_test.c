/* The in-process pair between two workers: what conformance_test.c shows on one, with threads. */
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <adit/conn.h>

#include "core/runtime/worker.h"
#include "tests/unit/jitter.h"

#define PAIRS 32
#define CAP 20000
#define TOTAL 200000
#define LIMIT_S 100

/* In a worker's thread: a failed check of cmocka's would jump to the main thread's stack. */
#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

struct end {
	struct adit_message	 message;	/* carries it to its worker */
	struct adit_conn	*conn;
	sem_t			*done;		/* posted when it is closed */
	uint64_t		 seed;
	uint8_t			 mine, theirs;	/* patterns begin here */
	size_t			 sent, received, total, close_at;
	bool			 closes, shut, ended;
	int			 err, why;
};

static void
end_close(struct end *e, int why)
{
	adit_conn_close(e->conn, why);
	e->conn = NULL;
	sem_post(e->done);
}

static bool
end_write(struct end *e)
{
	uint8_t buf[3000];
	size_t len = 1 + jitter_next(&e->seed) % sizeof(buf);
	ssize_t n;

	if (len > e->total - e->sent)
		len = e->total - e->sent;
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(e->mine + (e->sent + i) * 3);
	n = adit_conn_write(e->conn, buf, len);
	if (n > 0)
		e->sent += (size_t)n;
	else if (n != -EAGAIN)
		e->err = (int)n;
	return n > 0;
}

static bool
end_read(struct end *e)
{
	uint8_t buf[5000];
	ssize_t n = adit_conn_read(e->conn, buf, 1 + jitter_next(&e->seed) % sizeof(buf));

	for (ssize_t i = 0; i < n; i++)
		CHECK(buf[i] == (uint8_t)(e->theirs + (e->received + (size_t)i) * 3));
	if (n > 0)
		e->received += (size_t)n;
	else if (n == 0)
		e->ended = true;
	else if (n != -EAGAIN)
		e->err = (int)n;
	return n > 0;
}

static void
end_woken(void *owner, struct adit_conn *c, unsigned events)
{
	struct end *e = owner;

	(void)events;
	CHECK(c == e->conn);
	for (int i = 0; i < 3; i++) {
		if (e->closes && e->sent + e->received >= e->close_at) {
			end_close(e, e->why);
			return;
		}
		if (!e->err)
			end_write(e);
		if (!e->ended && !e->err)
			end_read(e);
	}
	if (e->sent == e->total && !e->shut && !e->err) {
		e->shut = true;
		CHECK(adit_conn_shutdown(c) == 0);
	}
	if (e->err || (e->ended && e->shut)) {
		end_close(e, e->err);
		return;
	}
	adit_conn_want(c, (e->ended ? 0 : ADIT_READ) | (e->shut ? 0 : ADIT_WRITE));
}

static void
end_begin(struct adit_message *m, struct adit_worker *w)
{
	struct end *e = adit_container_of(m, struct end, message);

	CHECK(adit_conn_worker(e->conn) == w);
	adit_conn_own(e->conn, end_woken, e);
	adit_conn_want(e->conn, ADIT_READ | ADIT_WRITE);
}

/* ---- a run --------------------------------------------------------------------------- */

struct run {
	struct worker_group	*group;
	sem_t			 done;
	struct end		 a[PAIRS], b[PAIRS];
};

/* On worker 0: makes the pairs and sends the other ends away, one in eight to this same worker. */
static void
run_begin(struct adit_worker *w, void *arg)
{
	struct run *r = arg;

	if (adit_worker_index(w) != 0)
		return;
	for (int i = 0; i < PAIRS; i++) {
		struct adit_worker *to = adit_worker_at(w, i % 8 != 7);

		CHECK(adit_conn_pair(w, to, CAP, &r->a[i].conn, &r->b[i].conn) == 0);
		r->b[i].message.run = end_begin;
		adit_worker_post(to, &r->b[i].message);
		end_begin(&r->a[i].message, w);
	}
}

static void
run_init(struct run *r)
{
	const struct worker_conf conf = { .workers = 2 };
	uint64_t seed = jitter_seed();

	sem_init(&r->done, 0, 0);
	r->group = workers_start(&conf, NULL);
	assert_non_null(r->group);
	for (int i = 0; i < PAIRS; i++) {
		r->a[i] = (struct end){ .done = &r->done, .seed = seed++, .total = TOTAL };
		r->b[i] = r->a[i];
		r->b[i].seed = seed++;
		r->a[i].mine = r->b[i].theirs = (uint8_t)i;
		r->b[i].mine = r->a[i].theirs = (uint8_t)(i + 100);
	}
}

static void
run_wait(struct run *r)
{
	struct timespec limit;

	workers_call(r->group, run_begin, r);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += LIMIT_S;
	for (int i = 0; i < 2 * PAIRS; i++)
		assert_int_equal(sem_timedwait(&r->done, &limit), 0);
	workers_stop(r->group);
	sem_destroy(&r->done);
}

static void
bytes_and_ends_cross(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	run_init(r);
	run_wait(r);
	for (int i = 0; i < PAIRS; i++) {
		assert_int_equal(r->a[i].received, TOTAL);
		assert_int_equal(r->b[i].received, TOTAL);
		assert_int_equal(r->a[i].err, 0);
		assert_int_equal(r->b[i].err, 0);
	}
	free(r);
}

/* Each pair is closed by one end, or by both at once, after another number of bytes. */
static void
closing_races_with_everything(void **state)
{
	static const int whys[] = { 0, -ECONNRESET };
	struct run *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	for (int round = 0; round < 10; round++) {
		run_init(r);
		for (int i = 0; i < PAIRS; i++) {
			struct end *e[] = { &r->a[i], &r->b[i] };

			for (int side = 0; side < 2; side++) {
				e[side]->closes = (i % 3 + 1) >> side & 1;
				e[side]->why = whys[i & 1];
				e[side]->close_at = jitter_next(&e[side]->seed) % TOTAL;
				if (round % 3 == 0)
					e[side]->close_at %= 3000;
			}
		}
		run_wait(r);
		for (int i = 0; i < PAIRS; i++)
			if (!r->a[i].closes && r->b[i].why && !r->a[i].shut)
				assert_int_not_equal(r->a[i].err, 0);
	}
	free(r);
}

/* ---- who does not read --------------------------------------------------------------------- */

struct stop {
	struct run		*run;
	struct adit_message	 message;
	sem_t			 full;
	size_t			 sent;
};

static void
fill_woken(void *owner, struct adit_conn *c, unsigned events)
{
	struct stop *s = owner;
	static const uint8_t zeros[3000];
	ssize_t n;

	(void)events;
	do {
		n = adit_conn_write(c, zeros, sizeof(zeros));
		s->sent += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n != -EAGAIN) {
		CHECK(n == -ECONNRESET);	/* the reader has had enough */
		adit_conn_want(c, 0);
	} else if (s->sent == CAP) {
		sem_post(&s->full);
	}
}

static void
drain_woken(void *owner, struct adit_conn *c, unsigned events)
{
	struct stop *s = owner;
	uint8_t buf[4096];
	ssize_t n;

	(void)events;
	while ((n = adit_conn_read(c, buf, sizeof(buf))) > 0)
		s->run->b[0].received += (size_t)n;
	if (s->run->b[0].received >= 10 * CAP) {
		adit_conn_close(c, -ECONNRESET);
		sem_post(&s->run->done);
	}
}

static void
drain_begin(struct adit_message *m, struct adit_worker *w)
{
	struct stop *s = adit_container_of(m, struct stop, message);

	(void)w;
	adit_conn_own(s->run->b[0].conn, drain_woken, s);
	adit_conn_want(s->run->b[0].conn, ADIT_READ);
}

static void
stop_begin(struct adit_worker *w, void *arg)
{
	struct stop *s = arg;
	struct run *r = s->run;

	if (adit_worker_index(w) != 0)
		return;
	CHECK(adit_conn_pair(w, adit_worker_at(w, 1), CAP, &r->a[0].conn, &r->b[0].conn) == 0);
	adit_conn_own(r->a[0].conn, fill_woken, s);
	adit_conn_want(r->a[0].conn, ADIT_WRITE);
}

static void
stop_end(struct adit_worker *w, void *arg)
{
	struct stop *s = arg;

	if (adit_worker_index(w) == 0)
		adit_conn_close(s->run->a[0].conn, 0);
}

static void
who_does_not_read_stops_who_writes(void **state)
{
	struct run *r = calloc(1, sizeof(*r));
	struct stop s = { .run = r, .message.run = drain_begin };

	(void)state;
	assert_non_null(r);
	run_init(r);
	sem_init(&s.full, 0, 0);
	workers_call(r->group, stop_begin, &s);
	sem_wait(&s.full);
	assert_int_equal(s.sent, CAP);
	adit_worker_post(workers_at(r->group, 1), &s.message);
	sem_wait(&r->done);
	workers_call(r->group, stop_end, &s);
	workers_stop(r->group);
	sem_destroy(&s.full);
	sem_destroy(&r->done);
	free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_ends_cross),
		cmocka_unit_test(closing_races_with_everything),
		cmocka_unit_test(who_does_not_read_stops_who_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
