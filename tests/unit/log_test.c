#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/runtime/log.h"

struct place {
	char	folder[64];
	char	path[128];		/* folder/deep/er/log.json */
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->folder, "/tmp/adit-log-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/deep/er/log.json", p->folder);
	*state = p;
	return 0;
}

static void
remove_all(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	char path[512];

	while (dir && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (unlink(path) < 0)
			remove_all(path);
	}
	if (dir)
		closedir(dir);
	rmdir(folder);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	remove_all(p->folder);
	free(p);
	return 0;
}

static struct adit_log *
opened(const char *output)
{
	struct log_conf conf = LOG_CONF_DEFAULT;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_log *log;

	conf.output = output;
	log = log_open(&conf, &e);
	assert_non_null(log);
	assert_int_equal(e.code, 0);
	return log;
}

static char *
contents(const char *path)
{
	static char buf[1 << 16];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	assert_true(n >= 0);
	buf[n] = 0;
	close(fd);
	return buf;
}

static unsigned
lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static unsigned
files(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void
lines_reach_a_file_whose_folders_are_made(void **state)
{
	struct place *p = *state;
	struct adit_log *log = opened(p->path);
	struct stat st;
	const char *text;

	adit_log(log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("k", "v")), "first %d", 1);
	adit_log(log, ADIT_LOG_DEBUG, NULL, "not this one");
	adit_log(log, ADIT_LOG_ERROR, NULL, "second");
	assert_int_equal(log_flush(log, 5000), 0);
	text = contents(p->path);
	assert_int_equal(lines(text), 2);
	assert_non_null(strstr(text, "\"level\":\"info\",\"msg\":\"first 1\",\"k\":\"v\"}\n"));
	assert_non_null(strstr(text, "\"level\":\"error\",\"msg\":\"second\"}\n"));
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0022, 0644);
	log_free(log);
}

static void
levels_and_words(void **state)
{
	struct adit_log *log = opened("none");

	(void)state;
	assert_false(adit_log_enabled(log, ADIT_LOG_FATAL));
	assert_false(adit_log_enabled(NULL, ADIT_LOG_FATAL));
	adit_log(NULL, ADIT_LOG_FATAL, NULL, "nowhere");
	log_free(log);
	log_free(NULL);
	assert_int_equal(log_level_from("trace"), ADIT_LOG_TRACE);
	assert_int_equal(log_level_from("WARN"), ADIT_LOG_WARN);
	assert_int_equal(log_level_from("loud"), ADIT_LOG_INFO);
	assert_int_equal(log_level_from(NULL), ADIT_LOG_INFO);
	assert_int_equal(log_format_from("text"), LOG_TEXT);
	assert_int_equal(log_format_from("xml"), LOG_JSON);
}

static void
a_fatal_line_is_out_when_the_call_returns(void **state)
{
	struct place *p = *state;
	struct adit_log *log = opened(p->path);

	adit_log(log, ADIT_LOG_FATAL, NULL, "the end");
	assert_non_null(strstr(contents(p->path), "\"fatal\",\"msg\":\"the end\""));
	log_free(log);
}

static void
free_writes_what_is_left(void **state)
{
	struct place *p = *state;
	struct adit_log *log = opened(p->path);

	for (int i = 0; i < 500; i++)
		adit_log(log, ADIT_LOG_INFO, NULL, "%d", i);
	log_free(log);
	assert_int_equal(lines(contents(p->path)), 500);
}

static int
reconfigure(struct adit_log *log, const struct log_conf *conf, struct adit_err *e)
{
	struct log_change c;
	int err = log_prepare(&c, conf, e);

	if (err)
		return err;
	log_apply(log, &c);
	log_change_fini(&c);
	return 0;
}

static void
settings_change_while_it_runs(void **state)
{
	struct place *p = *state;
	struct adit_log *log = opened("none");
	struct log_conf conf = { .level = ADIT_LOG_DEBUG, .format = LOG_TEXT, .output = p->path };
	struct log_conf bad = { .level = ADIT_LOG_NONE, .output = "/dev/null/x" };
	struct adit_err e = ADIT_ERR_INIT;

	assert_int_equal(reconfigure(log, &conf, &e), 0);
	assert_int_equal(reconfigure(log, &bad, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, "/dev/null/x"));
	adit_log(log, ADIT_LOG_DEBUG, NULL, "still here");
	log_free(log);
	assert_non_null(strstr(contents(p->path), "level=debug msg=\"still here\"\n"));
}

static void
an_output_that_cannot_be_is_stderr(void **state)
{
	struct place *p = *state;
	struct log_conf conf = { .level = ADIT_LOG_INFO, .output = "/dev/null/x" };
	struct adit_err e = ADIT_ERR_INIT;
	int old = dup(STDERR_FILENO), fd;
	char path[128];
	struct adit_log *log;

	snprintf(path, sizeof(path), "%s/stderr", p->folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	dup2(fd, STDERR_FILENO);
	log = log_open(&conf, &e);
	log_free(log);
	dup2(old, STDERR_FILENO);
	close(fd);
	close(old);
	assert_non_null(log);
	assert_non_null(strstr(contents(path), "\"warn\",\"msg\":\"log file /dev/null/x: Not a "
					       "directory; using stderr\""));
}

static void
a_moved_file_is_left_at_reopen(void **state)
{
	struct place *p = *state;
	struct adit_log *log = opened(p->path);
	char moved[200];

	snprintf(moved, sizeof(moved), "%s.1", p->path);
	adit_log(log, ADIT_LOG_INFO, NULL, "one");
	assert_int_equal(log_flush(log, 5000), 0);
	assert_int_equal(rename(p->path, moved), 0);
	log_reopen(log);
	adit_log(log, ADIT_LOG_INFO, NULL, "two");
	log_free(log);
	assert_int_equal(lines(contents(moved)), 1);
	assert_non_null(strstr(contents(p->path), "two"));
}

static void
files_are_set_aside_by_size_and_number(void **state)
{
	struct place *p = *state;
	struct log_conf conf = {
		.level = ADIT_LOG_INFO, .output = p->path,
		.rotation = { .max_size = 1000, .max_backups = 3 },
	};
	struct adit_log *log = log_open(&conf, NULL);
	char folder[128], other[200];
	struct stat st;
	FILE *f;

	snprintf(folder, sizeof(folder), "%s/deep/er", p->folder);
	snprintf(other, sizeof(other), "%s/log-keepme.json", folder);
	f = fopen(other, "w");
	assert_non_null(f);
	fclose(f);
	assert_non_null(log);
	for (int i = 0; i < 20; i++) {
		adit_log(log, ADIT_LOG_INFO, NULL, "%0500d", i);
		assert_int_equal(log_flush(log, 5000), 0);
		assert_int_equal(stat(p->path, &st), 0);
		assert_true(st.st_size <= 1000);
	}
	log_free(log);
	assert_int_equal(files(folder), 1 + 3 + 1);
	assert_int_equal(access(other, F_OK), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_non_null(strstr(contents(p->path), "00019\""));
}

static void
files_too_old_are_removed(void **state)
{
	struct place *p = *state;
	struct log_conf conf = {
		.level = ADIT_LOG_INFO, .output = p->path,
		.rotation = { .max_size = 100, .max_age_days = 2 },
	};
	struct adit_log *log = log_open(&conf, NULL);
	char old[200];
	FILE *f;

	snprintf(old, sizeof(old), "%s/deep/er/log-2020-01-01T00-00-00.000.json", p->folder);
	f = fopen(old, "w");
	assert_non_null(f);
	fclose(f);
	for (int i = 0; i < 2; i++) {
		adit_log(log, ADIT_LOG_INFO, NULL, "%090d", i);
		assert_int_equal(log_flush(log, 5000), 0);
	}
	log_free(log);
	assert_int_equal(access(old, F_OK), -1);
	snprintf(old, sizeof(old), "%s/deep/er", p->folder);
	assert_int_equal(files(old), 2);
}

/* ---- an output that does not take anything ---------------------------------------- */

struct fifo {
	char	path[128];
	int	fd;
};

static void
fifo_open(struct fifo *f, const struct place *p)
{
	snprintf(f->path, sizeof(f->path), "%s/fifo", p->folder);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	f->fd = open(f->path, O_RDONLY | O_NONBLOCK);
	assert_true(f->fd >= 0);
}

/*
 * Reads until all of n lines are accounted for; returns how many came, the rest was reported as
 * dropped.
 */
static uint64_t
fifo_account(struct fifo *f, uint64_t n)
{
	FILE *in;
	char line[LOG_LINE_MAX + 1];
	uint64_t came = 0, dropped = 0;
	const char *report;

	fcntl(f->fd, F_SETFL, 0);
	in = fdopen(f->fd, "r");
	assert_non_null(in);
	while (came + dropped < n) {
		assert_non_null(fgets(line, sizeof(line), in));
		assert_ptr_equal(strstr(line, "{\"time\":\""), line);
		assert_non_null(strstr(line, "}\n"));
		report = strstr(line, " log lines dropped\"");
		if (report) {
			while (report[-1] >= '0' && report[-1] <= '9')
				report--;
			dropped += strtoull(report, NULL, 10);
		} else {
			came++;
		}
	}
	assert_int_equal(came + dropped, n);
	fclose(in);
	return came;
}

static void
a_full_pipe_stops_nobody_and_drops_are_counted(void **state)
{
	struct fifo f;
	struct adit_log *log;
	uint64_t came;

	fifo_open(&f, *state);
	log = opened(f.path);
	for (int i = 0; i < 6000; i++)
		adit_log(log, ADIT_LOG_INFO, NULL, "%0450d", i);
	assert_int_equal(log_flush(log, 1), -ETIMEDOUT);
	came = fifo_account(&f, 6000);
	assert_in_range(came, 1900, 4000);	/* of 500 bytes: the ring, the pipe, a batch */
	log_free(log);
}

static void
free_does_not_wait_for_ever(void **state)
{
	struct fifo f;
	struct adit_log *log;

	fifo_open(&f, *state);
	log = opened(f.path);
	for (int i = 0; i < 1000; i++)
		adit_log(log, ADIT_LOG_INFO, NULL, "%0450d", i);
	log_free(log);
	close(f.fd);
}

static void
a_reader_that_left_is_no_signal(void **state)
{
	struct fifo f;
	struct adit_log *log;

	fifo_open(&f, *state);
	log = opened(f.path);
	close(f.fd);
	for (int i = 0; i < 3; i++) {
		adit_log(log, ADIT_LOG_INFO, NULL, "lost");
		assert_int_equal(log_flush(log, 5000), 0);
	}
	f.fd = open(f.path, O_RDONLY | O_NONBLOCK);
	adit_log(log, ADIT_LOG_INFO, NULL, "heard");
	assert_int_equal(fifo_account(&f, 4), 1);
	log_free(log);
}

/*
 * As under a service manager: a log on a stream that nobody reads, and whose flags are not ours to
 * change.
 */
static void
standard_stream(int ours, int theirs)
{
	int old = dup(STDERR_FILENO), flags = fcntl(ours, F_GETFL);
	struct adit_log *log;
	char buf[64];

	dup2(ours, STDERR_FILENO);
	log = opened("stderr");
	adit_log(log, ADIT_LOG_INFO, NULL, "begin");
	assert_int_equal(log_flush(log, 5000), 0);
	for (int i = 0; i < 6000; i++)
		adit_log(log, ADIT_LOG_INFO, NULL, "%0450d", i);
	log_free(log);
	assert_int_equal(fcntl(ours, F_GETFL), flags);
	dup2(old, STDERR_FILENO);
	close(old);
	assert_int_equal(read(theirs, buf, 9), 9);
	assert_memory_equal(buf, "{\"time\":\"", 9);
	close(ours);
	close(theirs);
}

static void
standard_streams_are_not_waited_for_either(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	standard_stream(fds[1], fds[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	standard_stream(fds[1], fds[0]);
}

#define THREADS 4
#define EACH 3000

static void *
write_many(void *arg)
{
	for (int i = 0; i < EACH; i++)
		adit_log(arg, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_INT("i", i)), "many");
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct fifo f;
	struct adit_log *log;
	struct log_conf conf = LOG_CONF_DEFAULT;
	pthread_t threads[THREADS];

	fifo_open(&f, *state);
	log = opened(f.path);
	conf.output = f.path;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, log), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(reconfigure(log, &conf, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	conf.format = LOG_JSON;
	fifo_account(&f, (uint64_t)THREADS * EACH);
	log_free(log);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_reach_a_file_whose_folders_are_made),
		TEST(levels_and_words),
		TEST(a_fatal_line_is_out_when_the_call_returns),
		TEST(free_writes_what_is_left),
		TEST(settings_change_while_it_runs),
		TEST(an_output_that_cannot_be_is_stderr),
		TEST(a_moved_file_is_left_at_reopen),
		TEST(files_are_set_aside_by_size_and_number),
		TEST(files_too_old_are_removed),
		TEST(a_full_pipe_stops_nobody_and_drops_are_counted),
		TEST(free_does_not_wait_for_ever),
		TEST(a_reader_that_left_is_no_signal),
		TEST(standard_streams_are_not_waited_for_either),
		TEST(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
