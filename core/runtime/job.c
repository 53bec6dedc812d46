#include "core/runtime/job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/runtime/worker.h"

struct job_pool {
	/*
	 * lock guards all but threads, which is of the thread that stops; more wakes the helpers.
	 */
	pthread_mutex_t		 lock;
	pthread_cond_t		 more;
	struct adit_message	*first, **last;	/* the jobs' messages: their place in the queue */
	unsigned		 waiting, idle, started;
	bool			 stopping;
	pthread_t		 threads[JOB_THREADS];
};

static struct adit_job *
job_of(struct adit_message *m)
{
	return adit_container_of(m, struct adit_job, message);
}

static void
job_done(struct adit_message *m, struct adit_worker *w)
{
	struct adit_job *j = job_of(m);

	j->done(j, w, j->cancelled);
}

/* Cannot be while the group keeps to the order of job.h; done frees what would leak. */
static void
job_discard(struct adit_message *m)
{
	struct adit_job *j = job_of(m);

	j->done(j, j->worker, j->cancelled);
}

/* The next job, or NULL: the pool stops. Locked. */
static struct adit_job *
job_wait(struct job_pool *p)
{
	struct adit_message *m;

	p->idle++;
	while (!p->first && !p->stopping)
		pthread_cond_wait(&p->more, &p->lock);
	p->idle--;
	m = p->first;
	if (!m)
		return NULL;
	p->first = m->next;
	if (!p->first)
		p->last = &p->first;
	p->waiting--;
	return job_of(m);
}

static void *
job_thread(void *arg)
{
	struct job_pool *p = arg;
	struct adit_job *j;

	pthread_mutex_lock(&p->lock);
	while ((j = job_wait(p))) {
		j->cancelled = p->stopping;
		pthread_mutex_unlock(&p->lock);
		if (!j->cancelled)
			j->work(j);
		adit_worker_post(j->worker, &j->message);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Without signals: those are for the threads that handle them. Locked. */
static int
job_start_thread(struct job_pool *p)
{
	pthread_t *t = &p->threads[p->started];
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(t, NULL, job_thread, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_setname_np(*t, "adit/job");
	p->started++;
	return 0;
}

/* Whether a job may be queued: somebody will run it. Locked. */
static int
job_admit(struct job_pool *p)
{
	if (p->stopping)
		return ADIT_ESTOPPED;
	if (p->waiting >= JOB_QUEUE)
		return -EAGAIN;
	if (p->idle <= p->waiting && p->started < JOB_THREADS && job_start_thread(p) < 0 &&
	    !p->started)
		return -EAGAIN;
	return 0;
}

int
adit_job_run(struct adit_worker *w, struct adit_job *j)
{
	struct job_pool *p = worker_jobs(w);
	int err;

	j->worker = w;
	j->cancelled = false;
	j->message = (struct adit_message){ .run = job_done, .discard = job_discard };
	pthread_mutex_lock(&p->lock);
	err = job_admit(p);
	if (!err) {
		*p->last = &j->message;
		p->last = &j->message.next;
		p->waiting++;
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

struct job_pool *
job_pool_new(void)
{
	struct job_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	return p;
}

void
job_pool_stop(struct job_pool *p)
{
	unsigned n;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	n = p->started;
	p->started = 0;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(p->threads[i], NULL);
}

void
job_pool_free(struct job_pool *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->more);
	free(p);
}
