#include "core/runtime/watched_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RELOAD_MIN ADIT_SECONDS(1)

/* A change within one tick of the file system's clock after we looked would not be seen. */
#define SETTLED_NS ADIT_SECONDS(2)

/* Which state of the file was read. */
struct version {
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec	changed;
	bool		settled;	/* it had not been changed just then */
};

struct watched_file {
	struct watched_file_conf conf;
	struct adit_worker	*home;

	/* Of home, and of the job while it runs. */
	struct adit_message	 start, stop;
	struct adit_timer	*timer;
	struct adit_job		 job;
	bool			 started;
	bool			 running;	/* the job is */
	bool			 stopping;
	bool			 failing;	/* as has been said */
	struct version		 version;
	void			*made;		/* of what the job read, or NULL */
	struct adit_err		 err;		/* or why not */
};

/* ---- reading --------------------------------------------------------------------------- */

static bool
version_equal(const struct version *a, const struct version *b)
{
	return a->settled && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static struct version
version_of(const struct stat *st)
{
	struct timespec now;
	struct version v = {
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .changed = st->st_ctim,
	};
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (int64_t)(now.tv_sec - v.changed.tv_sec) * 1000000000 +
	      (now.tv_nsec - v.changed.tv_nsec);
	v.settled = age >= (int64_t)SETTLED_NS;
	return v;
}

/* It may hold passwords. */
static void
free_text(char *text, size_t size)
{
	explicit_bzero(text, size);
	free(text);
}

/* The whole of it, terminated, or NULL with e. */
static char *
read_text(int fd, size_t size, struct adit_err *e)
{
	char *text = malloc(size + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (!text) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	while (len < size && n) {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno != EINTR) {
			adit_err_set(e, -errno, "%s", adit_strerror(-errno));
			free_text(text, len);
			return NULL;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = 0;
	if (strlen(text) != len) {
		adit_err_set(e, -EINVAL, "not a text: it has a NUL byte");
		free_text(text, len);
		return NULL;
	}
	return text;
}

/* Of the open file if it is another one than was read. NULL and no error: it is the same. */
static void *
load_open(struct watched_file *f, int fd, struct adit_err *e)
{
	struct version version;
	struct stat st;
	char *text;
	void *made;

	if (fstat(fd, &st) < 0) {
		adit_err_set(e, -errno, "%s", adit_strerror(-errno));
		return NULL;
	}
	version = version_of(&st);
	if (version_equal(&f->version, &version))
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)f->conf.max) {
		adit_err_set(e, -EINVAL, "not a file of at most %zu KiB", f->conf.max >> 10);
		return NULL;
	}
	text = read_text(fd, (size_t)st.st_size, e);
	if (!text)
		return NULL;
	made = f->conf.parse(f->conf.arg, text, e);
	free_text(text, (size_t)st.st_size);
	if (made)
		f->version = version;
	return made;
}

static void *
load(struct watched_file *f, struct adit_err *e)
{
	/* Non-blocking: it might have become a pipe. */
	int fd = open(f->conf.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	void *made = NULL;

	if (fd < 0) {
		adit_err_set(e, -errno, "%s", adit_strerror(-errno));
	} else {
		made = load_open(f, fd, e);
		close(fd);
	}
	if (e->code)
		adit_err_context(e, "%s", f->conf.path);
	return made;
}

void *
watched_file_read(struct watched_file *f, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled, or NULL */
	void *made = load(f, &why);

	if (!made)
		adit_err_set(e, why.code, "%s", why.text);
	return made;
}

/* ---- looking again ----------------------------------------------------------------------- */

static void
watched_destroy(struct watched_file *f)
{
	adit_timer_free(f->timer);
	if (f->made)
		f->conf.drop(f->made);
	f->conf.gone(f->conf.arg);
	free((char *)(uintptr_t)f->conf.path);
	free(f);
}

static void
watched_work(struct adit_job *j)
{
	struct watched_file *f = adit_container_of(j, struct watched_file, job);

	f->made = load(f, &f->err);
}

static void
watched_looked(struct adit_job *j, struct adit_worker *w, bool cancelled)
{
	struct watched_file *f = adit_container_of(j, struct watched_file, job);
	void *made = f->made;

	(void)w;
	f->running = false;
	if (f->stopping) {
		watched_destroy(f);
		return;
	}
	f->made = NULL;
	if (f->err.code) {
		/* When it can be read again it is taken, though it may be as it was. */
		f->version.settled = false;
		if (!f->failing)
			f->conf.failed(f->conf.arg, &f->err);
	}
	f->failing = f->err.code;
	if (made)
		f->conf.take(f->conf.arg, made);
	if (!cancelled)
		adit_timer_set(f->timer, f->conf.reload);
}

static void
watched_look(void *arg)
{
	struct watched_file *f = arg;

	f->err = (struct adit_err)ADIT_ERR_INIT;
	f->job = (struct adit_job){ .work = watched_work, .done = watched_looked };
	f->running = adit_job_run(f->home, &f->job) == 0;
	if (!f->running)
		adit_timer_set(f->timer, f->conf.reload);
}

static void
watched_begin(struct adit_message *m, struct adit_worker *w)
{
	struct watched_file *f = adit_container_of(m, struct watched_file, start);
	struct adit_err e = ADIT_ERR_INIT;

	f->timer = adit_timer_new(w, watched_look, f);
	if (f->timer) {
		adit_timer_set(f->timer, f->conf.reload);
		return;
	}
	adit_err_set(&e, -ENOMEM, "%s: not looked at again: out of memory", f->conf.path);
	f->conf.failed(f->conf.arg, &e);
}

static void
watched_end(struct adit_message *m, struct adit_worker *w)
{
	struct watched_file *f = adit_container_of(m, struct watched_file, stop);

	(void)w;
	f->stopping = true;
	if (!f->running)
		watched_destroy(f);
}

void
watched_file_again(struct watched_file *f)
{
	f->version.settled = false;
}

/* ---- life -------------------------------------------------------------------------------- */

struct watched_file *
watched_file_new(struct adit_worker *home, const struct watched_file_conf *conf)
{
	struct watched_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->home = home;
	f->conf = *conf;
	f->conf.path = strdup(conf->path);
	if (f->conf.reload && f->conf.reload < RELOAD_MIN)
		f->conf.reload = RELOAD_MIN;
	if (f->conf.path)
		return f;
	free(f);
	return NULL;
}

void
watched_file_start(struct watched_file *f)
{
	if (!f->conf.reload)
		return;
	f->started = true;
	f->start = (struct adit_message){ .run = watched_begin };
	adit_worker_post(f->home, &f->start);
}

void
watched_file_free(struct watched_file *f)
{
	if (!f)
		return;
	if (!f->started) {
		watched_destroy(f);
		return;
	}
	f->stop = (struct adit_message){ .run = watched_end };
	adit_worker_post(f->home, &f->stop);
}
