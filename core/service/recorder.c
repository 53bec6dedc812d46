#include "core/service/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/runtime/log_file.h"

#define MIB (UINT64_C(1) << 20)
#define TELL_S 10		/* between two lines about what was dropped */

struct batch {
	char	*buf;		/* of RECORDER_QUEUE bytes, owned */
	size_t	 len;
};

struct recorder {
	struct config			*config;	/* referenced */
	const struct recorder_conf	*conf;
	struct adit_log			*log;
	pthread_mutex_t			 lock;		/* of all up to running */
	pthread_cond_t			 more, less;
	struct batch			 waiting;
	uint64_t			 dropped;	/* records that no line has told of */
	bool				 writing, stop;
	bool				 running;	/* there is a thread */
	pthread_t			 thread;

	/* of the thread alone */
	struct batch			 taken;
	struct log_file			*file;		/* NULL: not opened, or not to be opened */
	uint64_t			 told;		/* when, in s */
	bool				 failed;	/* a line has said so */
	int				 hurry;		/* eventfd: wait for the file no more */
};

/* ---- the thread --------------------------------------------------------------------------- */

static void
recorder_fail(struct recorder *r, const char *why)
{
	if (!r->failed)
		adit_log(r->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("recorder", r->conf->name)),
			 "%s: records are dropped until it can be written", why);
	r->failed = true;
}

static int
recorder_open(struct recorder *r)
{
	const struct rotation_conf *from = r->conf->file->rotation;
	const struct log_rotation rotation = {
		.max_size = from ? (uint64_t)from->max_size * MIB : 0,
		.max_backups = from ? (unsigned)from->max_backups : 0,
		.max_age_days = from ? (unsigned)from->max_age : 0,
		.secret = true,
	};
	struct adit_err e = ADIT_ERR_INIT;

	if (!r->file)
		r->file = log_file_open(r->conf->file->path, &rotation, &e);
	if (!r->file)
		recorder_fail(r, e.text);
	return r->file ? 0 : -EIO;
}

/* How long the first record of buf is, its separator included; all of it where there is none. */
static size_t
record_len(const struct recorder *r, const char *buf, size_t len)
{
	const char *sep = r->conf->file->sep;
	const char *end = sep && *sep ? memmem(buf, len, sep, strlen(sep)) : NULL;

	return end ? (size_t)(end - buf) + strlen(sep) : len;
}

/* Returns how many records were lost. A file is set aside between two records, not within one. */
static uint64_t
recorder_write(struct recorder *r)
{
	uint64_t lost = 0;
	size_t at = 0, done;
	int err = recorder_open(r);

	while (at < r->taken.len) {
		size_t len = record_len(r, r->taken.buf + at, r->taken.len - at);

		if (!err)
			err = log_file_write(r->file, r->hurry, r->taken.buf + at, len, &done);
		lost += err != 0;
		at += len;
	}
	if (err && r->file)
		recorder_fail(r, adit_strerror(err));
	if (!err)
		r->failed = false;
	return lost;
}

/* What was dropped by now; 0: none, or a line has just told of others. */
static uint64_t
recorder_tell(struct recorder *r)
{
	uint64_t now = adit_now() / ADIT_SECONDS(1), n = r->dropped;

	if (!n || (r->told && now < r->told + TELL_S && !r->stop))
		return 0;
	r->told = now;
	r->dropped = 0;
	return n;
}

static void *
recorder_thread(void *arg)
{
	struct recorder *r = arg;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		struct batch empty = r->taken;
		uint64_t lost, told;

		while (!r->waiting.len && !r->stop)
			pthread_cond_wait(&r->more, &r->lock);
		if (!r->waiting.len)
			break;
		r->taken = r->waiting;
		r->waiting = (struct batch){ .buf = empty.buf };
		r->writing = true;
		pthread_mutex_unlock(&r->lock);
		lost = recorder_write(r);
		pthread_mutex_lock(&r->lock);
		r->writing = false;
		r->dropped += lost;
		told = recorder_tell(r);
		pthread_cond_broadcast(&r->less);
		if (told)
			adit_log(r->log, ADIT_LOG_WARN,
				 ADIT_FIELDS(ADIT_STR("recorder", r->conf->name),
					     ADIT_UINT("dropped", told)),
				 "%llu records dropped", (unsigned long long)told);
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
	const char *sep = r->conf->file->sep ? r->conf->file->sep : "";
	size_t sep_len = strlen(sep);
	struct batch *b = &r->waiting;

	pthread_mutex_lock(&r->lock);
	if (len > RECORD_MAX || len + sep_len > RECORDER_QUEUE - b->len || !recorder_start(r)) {
		r->dropped++;
	} else {
		memcpy(b->buf + b->len, record, len);
		memcpy(b->buf + b->len + len, sep, sep_len);
		b->len += len + sep_len;
		pthread_cond_signal(&r->more);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Waits a second for what is left; then the thread waits for the file no more. */
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
	log_file_free(r->file);
	free(r->waiting.buf);
	free(r->taken.buf);
	if (r->hurry >= 0)
		close(r->hurry);
	config_put(r->config);
	free(r);
}

static struct recorder *
recorder_alloc(struct config *config, const struct recorder_conf *conf, struct adit_log *log)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->config = config_get(config);
	r->conf = conf;
	r->log = log;
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

struct recorder *
recorder_new(struct config *config, size_t index, struct adit_log *log, struct config_errors *errs)
{
	static const char *const elsewhere[] = { "plugin", "tcp", "http", "redis", NULL };
	const struct recorder_conf *conf = &config->recorders.v[index];
	const struct place top = { .errs = errs };
	struct recorder *r;
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_RECORDERS), index, conf->node);
	if (place_unavailable(&step.at, elsewhere) < 0)
		return NULL;
	if (!conf->file) {
		place_say(&step.at, ADIT_ECONFIG, "recorder %s: file is needed", conf->name);
		return NULL;
	}
	r = recorder_alloc(config, conf, log);
	if (!r)
		place_say(&step.at, -ENOMEM, "out of memory");
	return r;
}
