#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <adit/conn.h>

#include "core/runtime/job.h"
#include "tests/unit/loop.h"

struct count {
	atomic_int	entered, worked;
	int		done, cancelled, want;
	bool		anywhere;	/* done may come in the main thread, which stops workers */
};

struct job {
	struct adit_job	 base;
	struct count	*n;
	pthread_t	 home;		/* the worker's thread */
	sem_t		*gate;		/* waited for in work; may be NULL */
	bool		 again;		/* done starts it once more */
};

static void
work(struct adit_job *base)
{
	struct job *j = adit_container_of(base, struct job, base);

	if (pthread_equal(pthread_self(), j->home))
		abort();
	atomic_fetch_add(&j->n->entered, 1);
	if (j->gate)
		sem_wait(j->gate);
	atomic_fetch_add(&j->n->worked, 1);
}

static void
done(struct adit_job *base, struct adit_worker *w, bool cancelled)
{
	struct job *j = adit_container_of(base, struct job, base);

	if (!j->n->anywhere && !pthread_equal(pthread_self(), j->home))
		abort();
	++*(cancelled ? &j->n->cancelled : &j->n->done);
	if (j->again)
		assert_int_equal(adit_job_run(w, base), ADIT_ESTOPPED);
}

static struct job
job_for(struct count *n, sem_t *gate)
{
	return (struct job){
		.base = { .work = work, .done = done },
		.n = n,
		.home = pthread_self(),
		.gate = gate,
	};
}

static bool
all_done(void *arg)
{
	struct count *n = arg;

	return n->done == n->want;
}

static void
work_is_done_elsewhere_and_reported_here(void **state)
{
	struct loop *l = *state;
	struct count n = { .want = 100 };
	struct job jobs[100];

	for (int i = 0; i < 100; i++) {
		jobs[i] = job_for(&n, NULL);
		assert_int_equal(adit_job_run(l->worker, &jobs[i].base), 0);
	}
	assert_true(loop_until(l, all_done, &n, 10000));
	assert_int_equal(n.worked, 100);
	assert_int_equal(n.cancelled, 0);
}

static void
a_job_that_blocks_does_not_stop_the_others(void **state)
{
	struct loop *l = *state;
	struct count n = { .want = 1 };
	struct job jobs[JOB_THREADS];
	sem_t gate;

	sem_init(&gate, 0, 0);
	for (int i = 0; i < JOB_THREADS; i++) {
		jobs[i] = job_for(&n, i < JOB_THREADS - 1 ? &gate : NULL);
		assert_int_equal(adit_job_run(l->worker, &jobs[i].base), 0);
	}
	assert_true(loop_until(l, all_done, &n, 10000));
	for (int i = 0; i < JOB_THREADS - 1; i++)
		sem_post(&gate);
	n.want = JOB_THREADS;
	assert_true(loop_until(l, all_done, &n, 10000));
	sem_destroy(&gate);
}

/* ---- the end ------------------------------------------------------------------------ */

static void *
stop(void *arg)
{
	job_pool_stop(arg);
	return NULL;
}

static void
wait_until_all_threads_are_busy(struct count *n)
{
	while (atomic_load(&n->entered) < JOB_THREADS)
		sched_yield();
}

static void
wait_until_it_stops(struct adit_worker *w)
{
	struct count n = { .want = 0 };
	struct job late = job_for(&n, NULL);

	while (adit_job_run(w, &late.base) != ADIT_ESTOPPED)	/* else -EAGAIN: it is full */
		sched_yield();
}

static void
the_queue_is_bounded_and_cancelled_at_the_end(void **state)
{
	struct loop *l = loop_new();
	struct count n = { .want = 0 };
	struct job *jobs = calloc(JOB_THREADS + JOB_QUEUE + 1, sizeof(*jobs));
	int accepted = 0, err = 0;
	pthread_t stopper;
	sem_t gate;

	(void)state;
	assert_non_null(jobs);
	sem_init(&gate, 0, 0);
	while (!err) {
		jobs[accepted] = job_for(&n, &gate);
		err = adit_job_run(l->worker, &jobs[accepted].base);
		accepted += !err;
		if (accepted == JOB_THREADS)
			wait_until_all_threads_are_busy(&n);
	}
	assert_int_equal(err, -EAGAIN);
	assert_int_equal(accepted, JOB_QUEUE + JOB_THREADS);
	jobs[0].again = true;
	jobs[accepted - 1].again = true;
	assert_int_equal(pthread_create(&stopper, NULL, stop, worker_jobs(l->worker)), 0);
	wait_until_it_stops(l->worker);
	for (int i = 0; i < JOB_THREADS; i++)
		sem_post(&gate);
	pthread_join(stopper, NULL);
	loop_free(l);
	assert_int_equal(n.done, JOB_THREADS);
	assert_int_equal(n.worked, JOB_THREADS);
	assert_int_equal(n.cancelled, JOB_QUEUE);
	sem_destroy(&gate);
	free(jobs);
}

/* ---- more than one worker --------------------------------------------------------- */

#define WORKERS 3
#define EACH 50

struct home {
	struct count	n;
	struct job	jobs[EACH];
};

static void
start_jobs(struct adit_worker *w, void *arg)
{
	struct home *homes = arg, *home = &homes[adit_worker_index(w)];

	home->n.anywhere = true;
	for (int i = 0; i < EACH; i++) {
		home->jobs[i] = job_for(&home->n, NULL);
		if (adit_job_run(w, &home->jobs[i].base) != 0)
			abort();
	}
}

static void
all_workers_share_the_pool(void **state)
{
	struct worker_conf conf = { .workers = WORKERS };
	struct worker_group *g = workers_start(&conf, NULL);
	struct home *homes = calloc(WORKERS, sizeof(*homes));

	(void)state;
	assert_non_null(g);
	assert_non_null(homes);
	workers_call(g, start_jobs, homes);
	workers_stop(g);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(homes[i].n.done, homes[i].n.worked);
		assert_int_equal(homes[i].n.done + homes[i].n.cancelled, EACH);
	}
	free(homes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(work_is_done_elsewhere_and_reported_here,
						loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(a_job_that_blocks_does_not_stop_the_others,
						loop_setup, loop_teardown),
		cmocka_unit_test(the_queue_is_bounded_and_cancelled_at_the_end),
		cmocka_unit_test(all_workers_share_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
