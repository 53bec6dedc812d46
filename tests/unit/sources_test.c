#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config/model.h"
#include "core/source/sources.h"
#include "tests/unit/loop.h"

/* A list that is its text. Making one that begins with "slow" waits until the test says so. */
struct world {
	struct loop		*loop;
	char			 dir[64], path[80], other[80];
	struct file_conf	 file;
	struct loader_conf	 loader;
	struct sources		*sources;
	sem_t			 begun, go;
	char			 now[64];	/* what was taken last */
	unsigned		 taken, lost, gone;
};

static void *
make(void *arg, const struct source_text *texts, size_t n, struct adit_err *e)
{
	struct timespec limit;
	struct world *t = arg;

	if (n && strncmp(texts[0].text, "slow", 4) == 0) {
		sem_post(&t->begun);
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 60;
		while (sem_timedwait(&t->go, &limit) < 0 && errno == EINTR)
			;
	}
	(void)e;
	return strdup(n ? texts[0].text : "");
}

static bool
take(void *arg, void *made, const char *from, bool complete)
{
	struct world *t = arg;

	assert_string_equal(from, t->path);
	assert_true(complete);
	assert_true(strcmp(made, "last") == 0 || strcmp(made, "slow, of many lines") == 0);
	snprintf(t->now, sizeof(t->now), "%s", (char *)made);
	t->taken++;
	free(made);
	return true;
}

static void
lost(void *arg)
{
	((struct world *)arg)->lost++;
}

static void
gone(void *arg)
{
	((struct world *)arg)->gone++;
}

static void
replace(struct world *t, const char *text)
{
	FILE *f = fopen(t->other, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(t->other, t->path), 0);
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	strcpy(t->dir, "/tmp/adit-sources-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/list", t->dir);
	snprintf(t->other, sizeof(t->other), "%s/new", t->dir);
	t->file.path = t->path;
	t->loader = (struct loader_conf){ .file = &t->file, .reload = (int64_t)ADIT_SECONDS(1) };
	sem_init(&t->begun, 0, 0);
	sem_init(&t->go, 0, 0);
	*state = t;
	return 0;
}

static bool
has_gone(void *arg)
{
	return ((struct world *)arg)->gone;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	sources_free(t->sources);
	assert_true(loop_until(t->loop, has_gone, t, 30000));
	loop_free(t->loop);
	sem_destroy(&t->begun);
	sem_destroy(&t->go);
	unlink(t->path);
	unlink(t->other);
	rmdir(t->dir);
	free(t);
	return 0;
}

/* Begins with "first". */
static void
start(struct world *t, bool forgets)
{
	const struct sources_conf conf = {
		.loader = &t->loader, .kind = "list", .name = "test", .stays = "it stays",
		.max = 1024, .redis_type = "set", .make = make, .take = take,
		.lost = forgets ? lost : NULL, .drop = free, .gone = gone, .arg = t,
	};
	struct adit_err e = ADIT_ERR_INIT;
	char *made;

	replace(t, "first");
	t->sources = sources_new(t->loop->worker, &conf, &e);
	assert_non_null(t->sources);
	made = sources_read(t->sources, &e);
	assert_string_equal(made, "first");
	free(made);
	assert_true(sources_are_known(t->sources));
	sources_start(t->sources);
}

static bool
is_being_made(void *arg)
{
	return sem_trywait(&((struct world *)arg)->begun) == 0;
}

static bool
is_lost(void *arg)
{
	return ((struct world *)arg)->lost;
}

static bool
last_is_there(void *arg)
{
	return strcmp(((struct world *)arg)->now, "last") == 0;
}

static bool
is_over(void *arg)
{
	return adit_now() > *(uint64_t *)arg;
}

/* Long enough for the file to be looked at, where the machine is not too busy. */
static void
look(struct world *t)
{
	uint64_t end = adit_now() + ADIT_MS(1500);
	struct adit_timer *turn = adit_timer_new(t->loop->worker, free, NULL);

	adit_timer_set(turn, ADIT_MS(1500));
	assert_true(loop_until(t->loop, is_over, &end, 30000));
	adit_timer_free(turn);
}

/* The text that a list is made of is there until it is made. */
static void
a_file_changes_while_a_list_is_made_of_it(void **state)
{
	struct world *t = *state;

	start(t, false);
	replace(t, "slow, of many lines");
	assert_true(loop_until(t->loop, is_being_made, t, 30000));
	replace(t, "last");
	look(t);
	sem_post(&t->go);
	assert_true(loop_until(t->loop, last_is_there, t, 30000));
	assert_true(t->taken <= 2);
	look(t);
	assert_string_equal(t->now, "last");
}

/* A list that must not outlive its file is not made of what is gone. */
static void
a_file_is_lost_while_a_list_is_made_of_it(void **state)
{
	struct world *t = *state;

	start(t, true);
	replace(t, "slow, of many lines");
	assert_true(loop_until(t->loop, is_being_made, t, 30000));
	unlink(t->path);
	assert_true(loop_until(t->loop, is_lost, t, 30000));
	assert_false(sources_are_known(t->sources));
	sem_post(&t->go);
	look(t);
	assert_int_equal(t->taken, 0);
	assert_false(sources_are_known(t->sources));
	replace(t, "last");
	assert_true(loop_until(t->loop, last_is_there, t, 30000));
	assert_true(sources_are_known(t->sources));
}

static void
a_list_is_being_made_at_the_end(void **state)
{
	struct world *t = *state;

	start(t, true);
	replace(t, "slow, of many lines");
	assert_true(loop_until(t->loop, is_being_made, t, 30000));
	sources_free(t->sources);
	t->sources = NULL;
	loop_turn(t->loop, 3);
	assert_int_equal(t->gone, 0);
	sem_post(&t->go);
	assert_true(loop_until(t->loop, has_gone, t, 30000));
	assert_int_equal(t->taken, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_changes_while_a_list_is_made_of_it),
		TEST(a_file_is_lost_while_a_list_is_made_of_it),
		TEST(a_list_is_being_made_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
