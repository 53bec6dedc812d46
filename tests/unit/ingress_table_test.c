#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config/model.h"
#include "core/tunnel/ingress_table.h"
#include "tests/unit/loop.h"

#define A "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define B "6a9f1d3c-0e5b-4a7d-9c28-1f3b5d7e9012"
#define C "00000000-0000-0000-0000-000000000001"

extern const struct adit_ingress_ops ingress_rules;

struct world {
	struct loop		*loop;
	char			 dir[64], path[80], other[80];
	struct file_conf	 file;
	struct rule_conf	 rules[2];
	struct ingress_conf	 conf;		/* inline: in.example -> A, both.example -> A */
	struct ingress_table	*table;
};

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	strcpy(t->dir, "/tmp/adit-ingress-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/rules", t->dir);
	snprintf(t->other, sizeof(t->other), "%s/new", t->dir);
	t->file.path = t->path;
	t->rules[0].hostname = "in.example";
	t->rules[1].hostname = "both.example";
	for (int i = 0; i < 2; i++)
		assert_int_equal(adit_uuid_parse(A, false, &t->rules[i].endpoint), 0);
	t->conf = (struct ingress_conf){ .name = "test", .rules = { .n = 2, .v = t->rules } };
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	ingress_table_free(t->table);
	loop_turn(t->loop, 2);
	loop_free(t->loop);
	unlink(t->path);
	unlink(t->other);
	rmdir(t->dir);
	free(t);
	return 0;
}

static void
write_to(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* As an editor does. */
static void
replace(struct world *t, const char *text)
{
	write_to(t->other, text);
	assert_int_equal(rename(t->other, t->path), 0);
}

static void
make(struct world *t, bool file, uint64_t reload)
{
	struct adit_err e = ADIT_ERR_INIT;

	t->conf.loader.file = file ? &t->file : NULL;
	t->conf.loader.reload = (int64_t)reload;
	t->table = ingress_table_new(t->loop->worker, &t->conf, NULL, NULL, &e);
	if (!t->table)
		fail_msg("%s", e.text);
}

static const char *
find_in(struct ingress_table *table, const char *host)
{
	static char text[38];
	struct adit_rule rule;

	if (ingress_table_find(table, NULL, "s", host, &rule) < 0)
		return "";
	adit_uuid_format(&rule.tunnel, text + rule.private_);
	if (rule.private_)
		text[0] = '$';
	return text;
}

static const char *
find(const struct world *t, const char *host)
{
	return find_in(t->table, host);
}

static void
inline_rules_alone(void **state)
{
	struct world *t = *state;

	t->rules[1].private_ = true;
	make(t, false, ADIT_SECONDS(1));
	assert_string_equal(find(t, "in.example"), A);
	assert_string_equal(find(t, "both.example"), "$" A);
	assert_string_equal(find(t, "no.example"), "");
	assert_int_equal(ingress_table_count(t->table), 2);
}

static void
the_file_is_over_the_inline_rules(void **state)
{
	struct world *t = *state;

	write_to(t->path, "both.example $" B "\n.example " C "\n");
	make(t, true, 0);
	assert_string_equal(find(t, "in.example"), A);
	assert_string_equal(find(t, "both.example"), "$" B);
	assert_string_equal(find(t, "other.example"), C);
}

static void
what_is_wrong_at_first_is_an_error(void **state)
{
	struct world *t = *state;
	struct adit_err e = ADIT_ERR_INIT;

	t->conf.loader.file = &t->file;
	assert_null(ingress_table_new(t->loop->worker, &t->conf, NULL, NULL, &e));
	assert_int_equal(e.code, -ENOENT);
	assert_non_null(strstr(e.text, t->path));

	write_to(t->path, "a " A "\nb\n");
	e = (struct adit_err)ADIT_ERR_INIT;
	assert_null(ingress_table_new(t->loop->worker, &t->conf, NULL, NULL, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_non_null(strstr(e.text, "line 2"));

	unlink(t->path);
	assert_int_equal(mkfifo(t->path, 0600), 0);
	e = (struct adit_err)ADIT_ERR_INIT;
	assert_null(ingress_table_new(t->loop->worker, &t->conf, NULL, NULL, &e));
	assert_int_equal(e.code, -EINVAL);

	t->conf.loader.file = NULL;
	t->rules[1].hostname = "a b";
	e = (struct adit_err)ADIT_ERR_INIT;
	assert_null(ingress_table_new(t->loop->worker, &t->conf, NULL, NULL, &e));
	assert_int_equal(e.code, -EINVAL);
}

static bool
other_is_b(void *arg)
{
	return strcmp(find(arg, "other.example"), B) == 0;
}

static bool
other_is_c(void *arg)
{
	return strcmp(find(arg, "other.example"), C) == 0;
}

static bool
other_is_gone(void *arg)
{
	return strcmp(find(arg, "other.example"), "") == 0;
}

static void
a_change_is_seen(void **state)
{
	struct world *t = *state;

	write_to(t->path, "other.example " B "\n");
	make(t, true, 1);	/* raised to 1 s */
	assert_true(other_is_b(t));
	replace(t, "other.example " C "\n");
	assert_true(loop_until(t->loop, other_is_c, t, 10000));
	/* In place, same length, perhaps within the same tick of the file system's clock. */
	write_to(t->path, "other.example " B "\n");
	assert_true(loop_until(t->loop, other_is_b, t, 10000));
	replace(t, "");
	assert_true(loop_until(t->loop, other_is_gone, t, 10000));
	assert_string_equal(find(t, "in.example"), A);
}

static bool
is_one(void *arg)
{
	return *(int *)arg == 1;
}

static void
count(void *arg)
{
	++*(int *)arg;
}

static void
pass(struct world *t, uint64_t ns)
{
	int n = 0;
	struct adit_timer *timer = adit_timer_new(t->loop->worker, count, &n);

	adit_timer_set(timer, ns);
	assert_true(loop_until(t->loop, is_one, &n, 20000));
	adit_timer_free(timer);
}

static void
a_bad_file_changes_nothing(void **state)
{
	struct world *t = *state;

	write_to(t->path, "other.example " B "\n");
	make(t, true, ADIT_SECONDS(1));
	replace(t, "other.example " C "\nx y z\n");
	pass(t, ADIT_MS(1200));
	assert_true(other_is_b(t));
	unlink(t->path);
	pass(t, ADIT_MS(1200));
	assert_true(other_is_b(t));
	replace(t, "other.example " C "\n");
	assert_true(loop_until(t->loop, other_is_c, t, 10000));
}

static void
the_plugin_is_the_table(void **state)
{
	struct world *t = *state;
	struct rules_ingress instance = { .base = { .ops = &ingress_rules } };
	struct adit_rule rule;

	assert_int_equal(ingress_rules.base.instance, sizeof(instance));
	assert_int_equal(ingress_rules.lookup(&instance.base, t->loop->worker, "s", "in.example",
					    &rule),
			 ADIT_ENORULES);
	make(t, false, 0);
	instance.table = t->table;
	t->table = NULL;
	assert_int_equal(ingress_rules.lookup(&instance.base, t->loop->worker, "s", "in.example",
					    &rule),
			 0);
	ingress_rules.fini(&instance.base);
}

/* Freed at any moment of its life. */
static void
freeing(void **state)
{
	struct world *t = *state;

	write_to(t->path, "");
	make(t, true, ADIT_SECONDS(1));
	ingress_table_free(t->table);
	make(t, true, ADIT_SECONDS(1));
	loop_turn(t->loop, 1);
	ingress_table_free(t->table);
	make(t, true, ADIT_SECONDS(1));
	pass(t, ADIT_SECONDS(1) - ADIT_MS(1));
	for (int i = 0; i < 20; i++)
		loop_turn(t->loop, 1);
	ingress_table_free(t->table);
	t->table = NULL;
	ingress_table_free(NULL);
	pass(t, ADIT_MS(50));
}

struct readers {
	struct ingress_table	*table;
	atomic_int		 changed;	/* workers that saw B */
};

static void
read_a_lot(struct adit_worker *w, void *arg)
{
	struct readers *r = arg;
	struct adit_rule rule;

	for (int i = 0; i < 20000; i++)
		assert_int_equal(ingress_table_find(r->table, w, "s", "both.example", &rule), 0);
	atomic_fetch_add(&r->changed, rule.private_);
}

static void
workers_read_while_it_changes(void **state)
{
	struct world *t = *state;
	struct adit_err e = ADIT_ERR_INIT;
	struct worker_group *g = workers_start(&(struct worker_conf){ .workers = 3 }, &e);
	struct readers r = { .changed = 0 };
	uint64_t start = adit_now();

	assert_non_null(g);
	write_to(t->path, "");
	t->conf.loader =
		(struct loader_conf){ .file = &t->file, .reload = (int64_t)ADIT_SECONDS(1) };
	r.table = ingress_table_new(workers_at(g, 1), &t->conf, NULL, NULL, &e);
	assert_non_null(r.table);
	replace(t, "both.example $" B "\n");
	while (atomic_load(&r.changed) < 3 && adit_now() - start < ADIT_SECONDS(20)) {
		atomic_store(&r.changed, 0);
		workers_call(g, read_a_lot, &r);
	}
	assert_int_equal(atomic_load(&r.changed), 3);
	ingress_table_free(r.table);
	workers_stop(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(inline_rules_alone),
		TEST(the_file_is_over_the_inline_rules),
		TEST(what_is_wrong_at_first_is_an_error),
		TEST(a_change_is_seen),
		TEST(a_bad_file_changes_nothing),
		TEST(the_plugin_is_the_table),
		TEST(freeing),
		TEST(workers_read_while_it_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
