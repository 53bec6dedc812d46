/* A groups file that changes in every way that files change. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/reverst/groups_source.h"
#include "core/runtime/log.h"
#include "tests/unit/loop.h"

struct world {
	struct loop		*loop;
	char			 dir[64];
	struct adit_log		*log;
	struct groups_source	*source;
	unsigned		 changed, gone;
	unsigned		 wanted;	/* of changed */
};

static void
in_dir(const struct world *t, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", t->dir, name);
}

/* A file that says one group. */
static void
write_group(const struct world *t, const char *name, const char *group)
{
	char path[128];
	FILE *f;

	in_dir(t, name, path);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "groups: {%s: {hosts: [a], authentication: {bearer: {token: t}}}}\n", group);
	assert_int_equal(fclose(f), 0);
}

static void
move(const struct world *t, const char *from, const char *to)
{
	char a[128], b[128];

	in_dir(t, from, a);
	in_dir(t, to, b);
	assert_int_equal(rename(a, b), 0);
}

static void
make_folder(const struct world *t, const char *name)
{
	char path[128];

	in_dir(t, name, path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
make_link(const struct world *t, const char *to, const char *name)
{
	char path[128];

	in_dir(t, name, path);
	assert_int_equal(symlink(to, path), 0);
}

static void
changed(struct adit_worker *w, void *arg)
{
	(void)w;
	((struct world *)arg)->changed++;
}

static void
gone(void *arg)
{
	((struct world *)arg)->gone++;
}

static struct groups_source *
open_source(struct world *t, const char *name, bool watch, struct adit_err *e)
{
	char path[128];
	const struct groups_source_conf conf = {
		.from = path, .watch = watch, .service = "tunnels", .log = t->log,
		.changed = changed, .gone = gone, .arg = t,
	};

	in_dir(t, name, path);
	return groups_source_new(t->loop->worker, &conf, e);
}

static void
start(struct world *t, const char *name)
{
	struct adit_err e = ADIT_ERR_INIT;

	t->source = open_source(t, name, true, &e);
	assert_string_equal(e.text, "");
	assert_non_null(t->source);
}

static bool
has_changed(void *arg)
{
	struct world *t = arg;

	return t->changed >= t->wanted;
}

/* Waits for the next change, after which there is that group and no other. */
static void
expect_group(struct world *t, const char *group)
{
	const struct groups *now;

	t->wanted++;
	assert_true(loop_until(t->loop, has_changed, t, 60000));
	now = groups_source_now(t->source);
	assert_int_equal(groups_count(now), 1);
	assert_non_null(groups_find(now, group, strlen(group)));
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));
	char path[128];
	struct log_conf conf = { .level = ADIT_LOG_INFO, .format = LOG_JSON, .output = path };
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(t);
	t->loop = loop_new();
	strcpy(t->dir, "/tmp/adit-groups-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	in_dir(t, "log", path);
	t->log = log_open(&conf, &e);
	assert_non_null(t->log);
	*state = t;
	return 0;
}

static bool
has_gone(void *arg)
{
	return ((struct world *)arg)->gone;
}

static void
remove_all(const struct world *t)
{
	static const char *const names[] = {
		"groups.yml", "new", "log", "..data", "one/groups.yml", "two/groups.yml",
		"one", "two", "",
	};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		in_dir(t, names[i], path);
		assert_true(remove(path) == 0 || errno == ENOENT || errno == ENOTDIR);
	}
}

static int
teardown(void **state)
{
	struct world *t = *state;

	if (t->source) {
		groups_source_free(t->source);
		assert_true(loop_until(t->loop, has_gone, t, 60000));
		assert_int_equal(t->gone, 1);
	}
	log_free(t->log);
	loop_free(t->loop);
	remove_all(t);
	free(t);
	return 0;
}

static void
a_file_that_is_written_or_replaced_is_read_again(void **state)
{
	struct world *t = *state;

	write_group(t, "groups.yml", "first");
	start(t, "groups.yml");
	write_group(t, "groups.yml", "written");
	expect_group(t, "written");
	write_group(t, "new", "renamed");
	move(t, "new", "groups.yml");
	expect_group(t, "renamed");
}

/* groups.yml -> ..data/groups.yml, ..data -> one: kubelet renames another ..data over it. */
static void
a_mounted_configmap_is_read_again(void **state)
{
	struct world *t = *state;

	make_folder(t, "one");
	make_folder(t, "two");
	write_group(t, "one/groups.yml", "first");
	write_group(t, "two/groups.yml", "swapped");
	make_link(t, "one", "..data");
	make_link(t, "..data/groups.yml", "groups.yml");
	start(t, "groups.yml");
	make_link(t, "two", "new");
	move(t, "new", "..data");
	expect_group(t, "swapped");
}

/* How often the log says it. */
static unsigned
said(const struct world *t, const char *text)
{
	char path[128], *line = NULL;
	unsigned n = 0;
	size_t room = 0;
	FILE *f;

	in_dir(t, "log", path);
	f = fopen(path, "r");
	while (f && getline(&line, &room, f) > 0)
		n += strstr(line, text) != NULL;
	if (f)
		fclose(f);
	free(line);
	return n;
}

static bool
has_said(void *arg)
{
	return said(arg, "the tunnel groups stay as they are") > 0;
}

/* An empty file too: it is what others see of one that is being written. */
static void
what_is_wrong_changes_nothing(void **state)
{
	struct world *t = *state;
	char path[128];
	FILE *f;

	write_group(t, "groups.yml", "first");
	start(t, "groups.yml");
	in_dir(t, "groups.yml", path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_true(loop_until(t->loop, has_said, t, 60000));
	assert_int_equal(t->changed, 0);
	assert_non_null(groups_find(groups_source_now(t->source), "first", 5));
	write_group(t, "groups.yml", "right");
	expect_group(t, "right");
	assert_int_equal(said(t, "expected groups: {NAME: ...}"), 1);
}

static void
what_cannot_be_read_at_first_is_told(void **state)
{
	struct world *t = *state;
	struct adit_err e = ADIT_ERR_INIT;
	char path[128];
	FILE *f;

	assert_null(open_source(t, "groups.yml", true, &e));
	assert_non_null(strstr(e.text, "groups.yml: No such file or directory"));

	in_dir(t, "groups.yml", path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("groups:\n  a: {hosts: 1}\n  b: {authentication: {basic: {password: hidden}}}\n", f);
	assert_int_equal(fclose(f), 0);
	e = (struct adit_err)ADIT_ERR_INIT;
	assert_null(open_source(t, "groups.yml", true, &e));
	assert_int_equal(e.code, ADIT_ECONFIG);
	assert_non_null(strstr(e.text, "hosts: expected a list"));
	assert_non_null(strstr(e.text, "username must be non-empty string"));
	assert_null(strstr(e.text, "hidden"));
	assert_int_equal(t->gone, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_that_is_written_or_replaced_is_read_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_mounted_configmap_is_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_at_first_is_told, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
