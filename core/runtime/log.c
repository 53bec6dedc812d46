#include "core/runtime/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define RING_SIZE (1u << 20)
#define BATCH_SIZE 65536	/* more than a line */
#define MSG_MAX 2560		/* more than log_line_format prints, so that it marks the cut */
#define LAST_MS 1000		/* for the lines before an exit */

struct adit_log {
	_Atomic int	 level, format;

	/* lock guards all up to file; more wakes the writer, less those who flush. */
	pthread_mutex_t	 lock;
	pthread_cond_t	 more, less;
	char		*ring;
	uint64_t	 head, taken;	/* bytes ever put in, and taken out */
	uint64_t	 written;	/* of those taken; the rest is in batch */
	uint64_t	 dropped;
	struct log_file	*next;		/* owned: takes the place of file */
	bool		 reopen, stop;

	/* of the writer alone, once it runs */
	struct log_file	*file;
	char		*batch;
	pthread_t	 thread;
	int		 hurry;		/* eventfd: do not wait for the output any more */
};

/* ---- the writer ------------------------------------------------------------------ */

/* Copies whole lines out of the ring: what a batch may hold. Locked. */
static size_t
log_take(struct adit_log *log)
{
	size_t len = (size_t)(log->head - log->taken), start = (size_t)(log->taken % RING_SIZE);
	size_t first;

	if (len > BATCH_SIZE)
		len = BATCH_SIZE;
	first = len < RING_SIZE - start ? len : RING_SIZE - start;
	memcpy(log->batch, log->ring + start, first);
	memcpy(log->batch + first, log->ring, len - first);
	while (len && log->batch[len - 1] != '\n')
		len--;
	log->taken += len;
	return len;
}

static uint64_t
count_lines(const char *s, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '\n';
	return n;
}

static void
log_format_now(struct log_line *l, enum log_format format, struct log_event *ev)
{
	clock_gettime(CLOCK_REALTIME, &ev->when);
	log_line_format(l, format, ev);
}

/* Writes a line of the writer's own; it must not pass through the ring, which may be full. */
static int
log_write_own(struct adit_log *log, const char *msg)
{
	struct log_event ev = { .level = ADIT_LOG_WARN, .msg = msg };
	struct log_line line;
	size_t done;

	log_format_now(&line, (enum log_format)atomic_load(&log->format), &ev);
	return log_file_write(log->file, log->hurry, line.text, line.len, &done);
}

static void
log_change_file(struct adit_log *log, struct log_file *next, bool reopen)
{
	char msg[128];
	int err;

	if (next) {
		log_file_free(log->file);
		log->file = next;
	}
	if (!reopen)
		return;
	err = log_file_reopen(log->file);
	if (err) {
		snprintf(msg, sizeof(msg), "log: reopen: %s", adit_strerror(err));
		log_write_own(log, msg);
	}
}

/*
 * Returns how many lines are lost now: those before, unless they could be reported, and those that
 * failed.
 */
static uint64_t
log_write_batch(struct adit_log *log, size_t len, uint64_t lost)
{
	char msg[64];
	size_t done;

	if (log_file_write(log->file, log->hurry, log->batch, len, &done) < 0)
		return lost + count_lines(log->batch + done, len - done);
	if (!lost)
		return 0;
	snprintf(msg, sizeof(msg), "%llu log lines dropped", (unsigned long long)lost);
	return log_write_own(log, msg) < 0 ? lost : 0;
}

/* What there is to do, taken under the lock to be done without it. */
struct log_work {
	struct log_file	*next;
	bool		 reopen;
	size_t		 len;
	uint64_t	 lost;
};

/* Waits for work; false: there is none and there will be none. Locked. */
static bool
log_next_work(struct adit_log *log, struct log_work *work)
{
	while (log->head == log->taken && !log->next && !log->reopen && !log->stop)
		pthread_cond_wait(&log->more, &log->lock);
	if (log->head == log->taken && log->stop)
		return false;
	*work = (struct log_work){
		.next = log->next,
		.reopen = log->reopen,
		.len = log_take(log),
		.lost = log->dropped,
	};
	log->next = NULL;
	log->reopen = false;
	log->dropped = 0;
	return true;
}

static void *
log_thread(void *arg)
{
	struct adit_log *log = arg;
	struct log_work work;
	uint64_t lost;

	pthread_mutex_lock(&log->lock);
	while (log_next_work(log, &work)) {
		pthread_mutex_unlock(&log->lock);
		log_change_file(log, work.next, work.reopen);
		lost = log_write_batch(log, work.len, work.lost);
		pthread_mutex_lock(&log->lock);
		log->dropped += lost;
		log->written = log->taken;
		pthread_cond_broadcast(&log->less);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

/* ---- lines ------------------------------------------------------------------------ */

static void
log_put(struct adit_log *log, const char *s, size_t len)
{
	size_t start, first;

	pthread_mutex_lock(&log->lock);
	if (len > RING_SIZE - (size_t)(log->head - log->taken)) {
		log->dropped++;
	} else {
		start = (size_t)(log->head % RING_SIZE);
		first = len < RING_SIZE - start ? len : RING_SIZE - start;
		memcpy(log->ring + start, s, first);
		memcpy(log->ring, s + first, len - first);
		log->head += len;
		pthread_cond_signal(&log->more);
	}
	pthread_mutex_unlock(&log->lock);
}

bool
adit_log_enabled(const struct adit_log *log, enum adit_log_level level)
{
	return log && level < ADIT_LOG_NONE && (int)level >= atomic_load(&log->level);
}

void
adit_log(struct adit_log *log, enum adit_log_level level, const struct adit_log_field *fields,
	 const char *fmt, ...)
{
	struct log_event ev = { .level = level, .fields = fields };
	struct log_line line;
	char msg[MSG_MAX];
	va_list ap;

	if (!adit_log_enabled(log, level))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	ev.msg = msg;
	log_format_now(&line, (enum log_format)atomic_load(&log->format), &ev);
	log_put(log, line.text, line.len);
	if (level == ADIT_LOG_FATAL)
		log_flush(log, LAST_MS);
}

int
log_flush(struct adit_log *log, unsigned ms)
{
	struct timespec limit;
	uint64_t target;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	limit.tv_sec += ms / 1000;
	limit.tv_nsec += (long)(ms % 1000) * 1000000;
	if (limit.tv_nsec >= 1000000000) {
		limit.tv_sec++;
		limit.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&log->lock);
	target = log->head;
	while (log->written < target && !err)
		err = pthread_cond_timedwait(&log->less, &log->lock, &limit);
	pthread_mutex_unlock(&log->lock);
	return -err;
}

/* ---- life -------------------------------------------------------------------------- */

void
log_reopen(struct adit_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->reopen = true;
	pthread_cond_signal(&log->more);
	pthread_mutex_unlock(&log->lock);
}

static bool
is_nowhere(const char *output)
{
	return output && (!strcmp(output, "none") || !strcmp(output, "null"));
}

/* Lines for nowhere are not even formatted. */
static enum adit_log_level
conf_level(const struct log_conf *conf)
{
	return is_nowhere(conf->output) ? ADIT_LOG_NONE : conf->level;
}

int
log_prepare(struct log_change *c, const struct log_conf *conf, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;

	*c = (struct log_change){ .level = conf_level(conf), .format = conf->format };
	c->file = log_file_open(conf->output, &conf->rotation, &why);
	return c->file ? 0 : adit_err_set(e, why.code, "%s", why.text);
}

void
log_apply(struct adit_log *log, struct log_change *c)
{
	struct log_file *old;

	atomic_store(&log->level, (int)c->level);
	atomic_store(&log->format, (int)c->format);
	pthread_mutex_lock(&log->lock);
	old = log->next;
	log->next = c->file;
	pthread_cond_signal(&log->more);
	pthread_mutex_unlock(&log->lock);
	c->file = NULL;
	log_file_free(old);
}

void
log_change_fini(struct log_change *c)
{
	log_file_free(c->file);
	c->file = NULL;
}

/* Without signals: those are for the threads that handle them, and SIGPIPE becomes -EPIPE. */
static int
log_start(struct adit_log *log)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&log->thread, NULL, log_thread, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_setname_np(log->thread, "adit/log");
	return -err;
}

static void
log_destroy(struct adit_log *log)
{
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->more);
	pthread_cond_destroy(&log->less);
	log_file_free(log->next);
	log_file_free(log->file);
	free(log->ring);
	free(log->batch);
	if (log->hurry >= 0)
		close(log->hurry);
	free(log);
}

static struct adit_log *
log_new(void)
{
	struct adit_log *log = calloc(1, sizeof(*log));
	pthread_condattr_t attr;

	if (!log)
		return NULL;
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->more, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->less, &attr);
	pthread_condattr_destroy(&attr);
	log->ring = malloc(RING_SIZE);
	log->batch = malloc(BATCH_SIZE);
	log->hurry = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!log->ring || !log->batch || log->hurry < 0) {
		log_destroy(log);
		return NULL;
	}
	return log;
}

struct adit_log *
log_open(const struct log_conf *conf, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;
	struct adit_log *log = log_new();
	int err = -ENOMEM;

	if (log)
		log->file = log_file_open(conf->output, &conf->rotation, &why);
	if (log && !log->file)
		log->file = log_file_open("stderr", NULL, NULL);
	if (log && log->file)
		err = log_start(log);
	if (err) {
		if (log)
			log_destroy(log);
		adit_err_set(e, err, "cannot start the log: %s", adit_strerror(err));
		return NULL;
	}
	atomic_store(&log->level, (int)conf_level(conf));
	atomic_store(&log->format, (int)conf->format);
	if (why.code)
		adit_log(log, ADIT_LOG_WARN, NULL, "%s; using stderr", why.text);
	return log;
}

void
log_free(struct adit_log *log)
{
	if (!log)
		return;
	if (log_flush(log, LAST_MS) < 0)
		eventfd_write(log->hurry, 1);
	pthread_mutex_lock(&log->lock);
	log->stop = true;
	pthread_cond_signal(&log->more);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	log_destroy(log);
}

enum adit_log_level
log_level_from(const char *word)
{
	for (int level = ADIT_LOG_TRACE; word && level < ADIT_LOG_NONE; level++)
		if (!strcasecmp(word, log_level_name((enum adit_log_level)level)))
			return (enum adit_log_level)level;
	return ADIT_LOG_INFO;
}

enum log_format
log_format_from(const char *word)
{
	return word && !strcasecmp(word, "text") ? LOG_TEXT : LOG_JSON;
}
