#include "core/service/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/service/desk.h"
#include "core/service/record_sink.h"

#define TELL_S 10		/* between two lines about what was dropped */

struct recorder {
	struct config			*config;	/* referenced */
	const struct recorder_conf	*conf;
	struct adit_log			*log;
	struct desk_record		*count;		/* of all that come; or NULL */
	pthread_mutex_t			 lock;		/* of all up to running */
	pthread_cond_t			 more, less;
	struct record_batch		 waiting;
	uint64_t			 dropped;	/* records that no line has told of */
	bool				 writing, stop;
	bool				 running;	/* there is a thread */
	pthread_t			 thread;

	/* of the thread alone */
	struct record_batch		 taken;
	struct record_sink		*sink;
	uint64_t			 told, failed_at;	/* when a line has said so, in s */
	bool				 failed;
	int				 hurry;		/* eventfd: wait for nothing more */
};

/* ---- the thread --------------------------------------------------------------------------- */

/* Once, until it was well again and some time has passed. */
static void
recorder_fail(struct recorder *r, const struct adit_err *e)
{
	uint64_t now = adit_now() / ADIT_SECONDS(1);

	if (!r->failed && (!r->failed_at || now >= r->failed_at + TELL_S)) {
		r->failed_at = now;
		adit_log(r->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("recorder", r->conf->name)),
			 "%s: records are dropped until it can be written", e->text);
	}
	r->failed = true;
}

/* How many were lost. */
static uint64_t
recorder_write(struct recorder *r)
{
	struct adit_err e = ADIT_ERR_INIT;
	uint64_t lost = r->sink->ops->write(r->sink, &r->taken, &e);

	if (lost)
		recorder_fail(r, &e);
	else
		r->failed = false;
	return lost;
}

/* Says what was dropped, if it is time for that. With the lock, which is not held meanwhile. */
static void
recorder_tell(struct recorder *r)
{
	uint64_t now = adit_now() / ADIT_SECONDS(1), n = r->dropped;

	if (!n || (r->told && now < r->told + TELL_S && !r->stop))
		return;
	r->told = now;
	r->dropped = 0;
	pthread_mutex_unlock(&r->lock);
	adit_log(r->log, ADIT_LOG_WARN,
		 ADIT_FIELDS(ADIT_STR("recorder", r->conf->name), ADIT_UINT("dropped", n)),
		 "%llu records dropped", (unsigned long long)n);
	pthread_mutex_lock(&r->lock);
}

/* Until there are records, it is to stop, or there may be something to tell. With the lock. */
static void
recorder_wait(struct recorder *r)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += TELL_S;
	if (r->dropped)
		pthread_cond_timedwait(&r->more, &r->lock, &limit);
	else
		pthread_cond_wait(&r->more, &r->lock);
}

/* Writes what has come. With the lock, which is not held meanwhile. */
static void
recorder_turn(struct recorder *r)
{
	struct record_batch empty = { .buf = r->taken.buf };
	uint64_t lost;

	r->taken = r->waiting;
	r->waiting = empty;
	r->writing = true;
	pthread_mutex_unlock(&r->lock);
	lost = recorder_write(r);
	pthread_mutex_lock(&r->lock);
	r->writing = false;
	r->dropped += lost;
	pthread_cond_broadcast(&r->less);
}

static void *
recorder_thread(void *arg)
{
	struct recorder *r = arg;

	pthread_mutex_lock(&r->lock);
	while (r->waiting.len || !r->stop) {
		if (r->waiting.len)
			recorder_turn(r);
		else
			recorder_wait(r);
		recorder_tell(r);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- records ------------------------------------------------------------------------------- */

/* Without signals, as the log's thread. */
static bool
recorder_start(struct recorder *r)
{
	sigset_t all, old;

	if (r->running)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r->running = pthread_create(&r->thread, NULL, recorder_thread, r) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r->running)
		pthread_setname_np(r->thread, "adit/record");
	return r->running;
}

void
recorder_put(struct recorder *r, const char *record, size_t len)
{
	if (r->count)
		atomic_fetch_add_explicit(&r->count->n, 1, memory_order_relaxed);
	pthread_mutex_lock(&r->lock);
	if (recorder_start(r) && record_batch_add(&r->waiting, record, len, r->sink->tail))
		pthread_cond_signal(&r->more);
	else
		r->dropped++;
	pthread_mutex_unlock(&r->lock);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Waits a second for what is left; then the thread waits for nothing more. */
static void
recorder_stop(struct recorder *r)
{
	struct timespec limit;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec++;
	pthread_mutex_lock(&r->lock);
	while ((r->waiting.len || r->writing) && !err)
		err = pthread_cond_timedwait(&r->less, &r->lock, &limit);
	if (err)
		eventfd_write(r->hurry, 1);
	r->stop = true;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
}

void
recorder_free(void *recorder)
{
	struct recorder *r = recorder;

	if (!r)
		return;
	if (r->running)
		recorder_stop(r);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->more);
	pthread_cond_destroy(&r->less);
	if (r->sink)
		r->sink->ops->free(r->sink);
	free(r->waiting.buf);
	free(r->taken.buf);
	if (r->hurry >= 0)
		close(r->hurry);
	config_put(r->config);
	free(r);
}

static struct recorder *
recorder_alloc(const struct policy_world *world, const struct recorder_conf *conf)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->config = config_get(world->config);
	r->conf = conf;
	r->log = world->log;
	r->count = desk_record(world->desk, conf->name);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	pthread_cond_init(&r->less, NULL);
	r->waiting.buf = malloc(RECORDER_QUEUE);
	r->taken.buf = malloc(RECORDER_QUEUE);
	r->hurry = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->waiting.buf && r->taken.buf && r->hurry >= 0)
		return r;
	recorder_free(r);
	return NULL;
}

/* The one of conf's targets that there is. NULL with the reason said at at. */
static struct record_sink *
recorder_sink(const struct recorder *r, const struct place *at)
{
	static const char *const elsewhere[] = { "plugin", NULL };
	const struct recorder_conf *conf = r->conf;
	int n = !!conf->file + !!conf->tcp + !!conf->http + !!conf->redis;
	struct record_sink *sink;

	if (place_unavailable(at, elsewhere) < 0)
		return NULL;
	if (n != 1) {
		place_say(at, ADIT_ECONFIG,
			  "recorder %s: one of file, tcp, http and redis is needed", conf->name);
		return NULL;
	}
	if (!conf->file)
		return record_remote_new(conf, r->hurry, r->log, at);
	sink = record_file_new(conf->file, r->hurry);
	if (!sink)
		place_say(at, -ENOMEM, "out of memory");
	return sink;
}

struct recorder *
recorder_new(const struct policy_world *world, size_t index, struct config_errors *errs)
{
	const struct recorder_conf *conf = &world->config->recorders.v[index];
	const struct place top = { .errs = errs };
	struct recorder *r = recorder_alloc(world, conf);
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_RECORDERS), index, conf->node);
	if (!r) {
		place_say(&step.at, -ENOMEM, "out of memory");
		return NULL;
	}
	r->sink = recorder_sink(r, &step.at);
	if (r->sink)
		return r;
	recorder_free(r);
	return NULL;
}
