#include "core/runtime/log_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/runtime/folder.h"

#define STAMP "2026-11-21T07-59-10.700"	/* sorts by time */
#define STAMP_LEN (sizeof(STAMP) - 1)

enum file_kind {
	FILE_READY,		/* a file on disk, or non-blocking */
	FILE_SOCKET,		/* has a flag for that */
	FILE_BLOCKING,		/* ask before */
};

struct log_file {
	int			 fd;	/* -1: nowhere */
	bool			 owned;
	enum file_kind		 kind;
	char			*path;	/* NULL: a standard stream */
	uint64_t		 size;
	struct log_rotation	 rotation;
};

static int
file_open_path(struct log_file *f)
{
	mode_t mode = f->rotation.max_size || f->rotation.secret ? 0600 : 0644;
	struct stat st;
	int fd, err = folder_make_for(f->path, 0755);

	if (err)
		return err;
	/* O_NONBLOCK: a FIFO that nobody reads is an error, not a wait. */
	fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
	if (fd < 0)
		return -errno;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->owned = true;
	f->size = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	return 0;
}

/*
 * A standard stream is shared with other processes, so it must not be made non-blocking; a pipe or
 * terminal is opened once more instead. (A file is not: its position is shared, too.)
 */
static void
file_take_stream(struct log_file *f, int fd)
{
	struct stat st;
	char again[32];

	f->fd = fd;
	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
		return;
	if (S_ISSOCK(st.st_mode)) {
		f->kind = FILE_SOCKET;
		return;
	}
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	fd = open(again, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		f->kind = FILE_BLOCKING;
		return;
	}
	f->fd = fd;
	f->owned = true;
}

struct log_file *
log_file_open(const char *output, const struct log_rotation *rotation, struct adit_err *e)
{
	struct log_file *f = calloc(1, sizeof(*f));
	int err = 0;

	if (!f) {
		adit_err_set(e, -ENOMEM, "log: out of memory");
		return NULL;
	}
	f->fd = -1;
	if (rotation)
		f->rotation = *rotation;
	if (!output || !*output || !strcmp(output, "stderr")) {
		file_take_stream(f, STDERR_FILENO);
	} else if (!strcmp(output, "stdout")) {
		file_take_stream(f, STDOUT_FILENO);
	} else if (strcmp(output, "none") != 0 && strcmp(output, "null") != 0) {
		f->path = strdup(output);
		err = f->path ? file_open_path(f) : -ENOMEM;
	}
	if (err) {
		adit_err_set(e, err, "log file %s: %s", output, adit_strerror(err));
		log_file_free(f);
		return NULL;
	}
	return f;
}

void
log_file_free(struct log_file *f)
{
	if (!f)
		return;
	if (f->owned)
		close(f->fd);
	free(f->path);
	free(f);
}

int
log_file_reopen(struct log_file *f)
{
	return f->path ? file_open_path(f) : 0;
}

/* ---- rotation ------------------------------------------------------------------ */

/* What stands before and after the time in the name of a file that was set aside. */
struct backup_name {
	char		folder[PATH_MAX];	/* with its slash, or empty: the current one */
	const char	*base;
	int		 base_len;
	const char	*ext;			/* with its dot, or empty */
};

static void
backup_name_from(const char *path, struct backup_name *b)
{
	const char *slash = strrchr(path, '/');

	b->base = slash ? slash + 1 : path;
	snprintf(b->folder, sizeof(b->folder), "%.*s", (int)(b->base - path), path);
	b->ext = strrchr(b->base, '.');
	if (!b->ext || b->ext == b->base)
		b->ext = b->base + strlen(b->base);
	b->base_len = (int)(b->ext - b->base);
}

/* milliseconds of the epoch to the form of STAMP */
static void
stamp(int64_t ms, char out[STAMP_LEN + 1])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(out, STAMP_LEN + 1, "%Y-%m-%dT%H-%M-%S", &tm);
	snprintf(out + n, STAMP_LEN + 1 - n, ".%03d", (int)(ms % 1000));
}

static bool
is_stamp(const char *s)
{
	for (size_t i = 0; i < STAMP_LEN; i++) {
		bool digit = s[i] >= '0' && s[i] <= '9';

		if (STAMP[i] >= '0' && STAMP[i] <= '9' ? !digit : s[i] != STAMP[i])
			return false;
	}
	return true;
}

/* Returns the time in the name of one of our set-aside files, or NULL: it is another's. */
static const char *
backup_stamp(const struct backup_name *b, const char *name)
{
	size_t prefix = (size_t)b->base_len + 1;

	if (strlen(name) != prefix + STAMP_LEN + strlen(b->ext))
		return NULL;
	if (strncmp(name, b->base, (size_t)b->base_len) != 0 || name[b->base_len] != '-')
		return NULL;
	if (strcmp(name + prefix + STAMP_LEN, b->ext) != 0 || !is_stamp(name + prefix))
		return NULL;
	return name + prefix;
}

/* Counts the set-aside files and finds the oldest. */
static unsigned
backup_oldest(const struct backup_name *b, char oldest[STAMP_LEN + 1])
{
	DIR *dir = opendir(*b->folder ? b->folder : ".");
	const struct dirent *entry;
	unsigned n = 0;

	*oldest = 0;
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		const char *s = backup_stamp(b, entry->d_name);

		if (!s)
			continue;
		if (!n++ || strncmp(s, oldest, STAMP_LEN) < 0)
			snprintf(oldest, STAMP_LEN + 1, "%.*s", (int)STAMP_LEN, s);
	}
	closedir(dir);
	return n;
}

static int
backup_path(const struct backup_name *b, const char *when, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s%.*s-%s%s", b->folder, b->base_len, b->base, when,
			 b->ext);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void
file_prune(const struct log_file *f, const struct backup_name *b, int64_t now)
{
	const struct log_rotation *r = &f->rotation;
	char oldest[STAMP_LEN + 1], limit[STAMP_LEN + 1] = "", path[PATH_MAX];
	unsigned n;

	if (r->max_age_days)
		stamp(now - (int64_t)r->max_age_days * 86400000, limit);
	for (n = backup_oldest(b, oldest); n; n = backup_oldest(b, oldest)) {
		bool too_many = r->max_backups && n > r->max_backups;

		if (!too_many && strcmp(oldest, limit) >= 0)
			return;
		if (backup_path(b, oldest, path) < 0 || unlink(path) < 0)
			return;
	}
}

/*
 * Sets the file aside and begins a new one. If that fails the old one goes on: a log too long is
 * better than none.
 */
static void
file_rotate(struct log_file *f)
{
	char when[STAMP_LEN + 1], aside[PATH_MAX];
	struct backup_name b;
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	backup_name_from(f->path, &b);
	do {
		stamp(now++, when);
		if (backup_path(&b, when, aside) < 0)
			return;
	} while (access(aside, F_OK) == 0);
	if (rename(f->path, aside) == 0 && file_open_path(f) == 0)
		file_prune(f, &b, now);
}

/* ---- writing ------------------------------------------------------------------- */

/* Waits until something may be written. */
static int
file_wait(const struct log_file *f, int stop)
{
	struct pollfd p[] = {
		{ .fd = f->fd, .events = POLLOUT },
		{ .fd = stop, .events = POLLIN },
	};

	if (poll(p, 2, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	return p[1].revents ? -ECANCELED : 0;
}

/* What is written at once; 0: nothing yet. */
static ssize_t
file_put(const struct log_file *f, int stop, const char *buf, size_t len)
{
	ssize_t n;

	if (f->kind == FILE_BLOCKING) {
		n = file_wait(f, stop);
		if (n < 0)
			return n;
		if (len > PIPE_BUF)	/* what a pipe said to be writable takes without blocking */
			len = PIPE_BUF;
	}
	n = f->kind == FILE_SOCKET ? send(f->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				   : write(f->fd, buf, len);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		return file_wait(f, stop);
	return errno == EINTR ? 0 : -errno;
}

int
log_file_write(struct log_file *f, int stop, const char *buf, size_t len, size_t *done)
{
	ssize_t n = 0;

	*done = 0;
	if (f->fd < 0) {
		*done = len;
		return 0;
	}
	if (f->path && f->rotation.max_size && f->size && f->size + len > f->rotation.max_size)
		file_rotate(f);
	while (*done < len && n >= 0) {
		n = file_put(f, stop, buf + *done, len - *done);
		if (n > 0)
			*done += (size_t)n;
	}
	f->size += *done;
	return n < 0 ? (int)n : 0;
}
