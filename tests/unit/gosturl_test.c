/* gost's recorded command lines against what it printed for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config/source.h"

enum { MAX_ARGS = 8 };

struct vectors {
	struct arena		*arena;
	struct config_errors	*errs;
	struct tree_source	 source;
	char			*text;
	const struct adit_tree	*list;
};

static const char *
no_environment(const char *name)
{
	(void)name;
	return NULL;
}

static int
setup(void **state)
{
	struct vectors *v = calloc(1, sizeof(*v));
	FILE *f = fopen(TEST_DATA "/gost-url-to-yaml.yaml", "r");
	long len;

	if (!f)
		return -1;
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	v->text = malloc((size_t)len);
	v->source.len = fread(v->text, 1, (size_t)len, f);
	fclose(f);
	v->source.name = "vectors";
	v->source.text = v->text;
	v->arena = arena_new();
	v->errs = config_errors_new();
	v->list = tree_read(v->arena, &v->source, v->errs);
	*state = v;
	return 0;
}

static int
teardown(void **state)
{
	struct vectors *v = *state;

	arena_free(v->arena);
	config_errors_free(v->errs);
	free(v->text);
	free(v);
	return 0;
}

/* The words of a recorded command line, sorted into args. */
struct words {
	const char		*l[MAX_ARGS], *f[MAX_ARGS], *c[MAX_ARGS];
	struct config_args	 args;
};

static void
take_word(struct words *w, const char *flag, const char *value, size_t *i)
{
	if (strcmp(flag, "-D") == 0) {
		w->args.debug = true;
		return;
	}
	if (strcmp(flag, "-DD") == 0) {
		w->args.trace = true;
		return;
	}
	++*i;
	if (strcmp(flag, "-L") == 0)
		w->l[w->args.n_services++] = value;
	else if (strcmp(flag, "-F") == 0)
		w->f[w->args.n_nodes++] = value;
	else if (strcmp(flag, "-C") == 0)
		w->c[w->args.n_sources++] = value;
	else if (strcmp(flag, "-api") == 0)
		w->args.api = value;
	else if (strcmp(flag, "-metrics") == 0)
		w->args.metrics = value;
	else
		fail_msg("unexpected flag %s", flag);
}

static void
sort_words(struct words *w, const struct adit_tree *list)
{
	*w = (struct words){ .args = { .env = no_environment } };
	w->args.services = w->l;
	w->args.nodes = w->f;
	w->args.sources = w->c;
	assert_in_range(tree_len(list), 1, MAX_ARGS);
	for (size_t i = 0; i < tree_len(list); i++)
		take_word(w, tree_text(tree_item(list, i)), tree_text(tree_item(list, i + 1)), &i);
}

/* Prints and reads again: quotes stay where they make a text of what looks like something else. */
static const struct adit_tree *
reread(struct arena *a, const struct adit_tree *tree, char **text)
{
	struct config_errors *errs = config_errors_new();
	struct tree_source source = { .name = "printed" };
	const struct adit_tree *again;

	source.text = *text = tree_emit(tree, TREE_YAML, &source.len);
	assert_non_null(*text);
	again = tree_read(a, &source, errs);
	assert_non_null(again);
	config_errors_free(errs);
	return again;
}

static void
compare(const struct adit_tree *expected, const struct adit_tree *got, struct arena *a,
	size_t number)
{
	char *texts[2];
	const struct adit_tree *x = reread(a, expected, &texts[0]), *y = reread(a, got, &texts[1]);

	if (!tree_equal(x, y))
		fail_msg("vector %zu: expected\n%s\ngot\n%s", number, texts[0], texts[1]);
	free(texts[0]);
	free(texts[1]);
}

static void
all_vectors_give_what_gost_gave(void **state)
{
	struct vectors *v = *state;

	assert_non_null(v->list);
	assert_int_equal(tree_len(v->list), 76);
	for (size_t i = 0; i < tree_len(v->list); i++) {
		const struct adit_tree *item = tree_item(v->list, i);
		struct arena *a = arena_new();
		struct config_errors *errs = config_errors_new();
		const struct adit_tree *root;
		struct words w;

		sort_words(&w, tree_get(item, "args"));
		root = source_load(a, &w.args, NULL, errs);
		if (!root || config_errors_hard(errs)) {
			config_errors_print(errs, stderr);
			fail_msg("vector %zu is refused", i);
		}
		compare(tree_get(item, "config"), root, a, i);
		config_errors_free(errs);
		arena_free(a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_vectors_give_what_gost_gave, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
