#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/opt_field.h"
#include "core/config/opts.h"
#include "core/config/scalar.h"

/* What a command line says wrongly forbids to start, not to print it. */
static struct config_problem
problem_at(const struct adit_tree *node, const struct tree_path *path)
{
	struct config_problem problem = { .pos = tree_pos(node), .path = path };

	problem.start_only = problem.pos.source && problem.pos.source->argument;
	return problem;
}

/* A mistake and the node that it is in. */
struct found {
	const struct adit_tree	*at;
	struct adit_err		 e;
};

/* ---- one value ------------------------------------------------------------ */

static int
wrong(const struct adit_tree *value, const struct tree_path *path, struct config_errors *errs,
      const struct adit_err *e)
{
	struct config_problem problem = problem_at(value, path);

	config_errors_add(errs, &problem, "%s", e->text);
	return ADIT_ECONFIG;
}

static int
fill_list(struct adit_strings *list, const struct adit_tree *value, struct adit_err *e)
{
	opt_strings_fini(list);
	for (size_t i = 0; i < tree_len(value); i++) {
		const struct adit_tree *item = tree_item(value, i);

		if (tree_type(item) != TREE_SCALAR || tree_is_null(item))
			return adit_err_set(e, ADIT_ECONFIG,
					    "expected a list of texts, not %s in it",
					    tree_describe(item));
		if (opt_strings_add(list, tree_text(item), strlen(tree_text(item))) < 0)
			return adit_err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

static int
fill_map(struct adit_pairs *pairs, const struct adit_tree *value, struct adit_err *e)
{
	opt_pairs_fini(pairs);
	for (size_t i = 0; i < tree_len(value); i++) {
		const struct adit_tree *item = tree_item(value, i);

		if (tree_type(item) != TREE_SCALAR)
			return adit_err_set(e, ADIT_ECONFIG,
					    "expected a map of texts, not %s in it",
					    tree_describe(item));
		if (opt_pairs_add(pairs, tree_text(tree_key(value, i)),
				  tree_is_null(item) ? "" : tree_text(item)) < 0)
			return adit_err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

static const char *
type_article(enum adit_opt_type type)
{
	static const char *const names[] = {
		[ADIT_OPT_BOOL] = "true or false",
		[ADIT_OPT_INT] = "a whole number",
		[ADIT_OPT_DURATION] = "a duration like \"30s\"",
		[ADIT_OPT_SIZE] = "a size like \"64KB\"",
		[ADIT_OPT_STRING] = "a text",
		[ADIT_OPT_LIST] = "a list",
		[ADIT_OPT_MAP] = "a map",
		[ADIT_OPT_ADDR] = "an address like \"host:443\"",
		[ADIT_OPT_UUID] = "a UUID",
		[ADIT_OPT_ENUM] = "a text",
		[ADIT_OPT_NAME] = "a name",
		[ADIT_OPT_TREE] = "a value",
	};

	return names[type];
}

static int
fill_field(const struct adit_opt *row, void *instance, const struct adit_tree *value,
	   struct adit_err *e)
{
	void *field = (char *)instance + row->offset;

	if (row->type == ADIT_OPT_TREE) {
		*(const struct adit_tree **)field = value;
		return 0;
	}
	if (row->type == ADIT_OPT_LIST && tree_type(value) == TREE_LIST)
		return fill_list(field, value, e);
	if (row->type == ADIT_OPT_MAP && tree_type(value) == TREE_MAP)
		return fill_map(field, value, e);
	if (row->type == ADIT_OPT_MAP || tree_type(value) != TREE_SCALAR)
		return adit_err_set(e, ADIT_ECONFIG, "expected %s, not %s", type_article(row->type),
				    tree_describe(value));
	return adit_opt_set(row, instance, tree_text(value), e);
}

/* Which item of a list is wrong is told by its own place, where it has one. */
static int
check_items(const struct adit_opt *row, const struct adit_strings *list, struct found *found)
{
	const struct adit_tree *value = found->at;
	int err = 0;

	for (size_t i = 0; !err && i < list->n; i++) {
		if (tree_type(value) == TREE_LIST)
			found->at = tree_item(value, i);
		err = row->check(list->v[i], &found->e);
	}
	return err;
}

int
opts_check_value(const struct adit_opt *row, const struct adit_tree *value,
		 const struct tree_path *path, struct config_errors *errs)
{
	struct adit_opt alone[2] = { *row, ADIT_OPT_END };
	struct found found = { .at = value, .e = ADIT_ERR_INIT };
	union {
		struct adit_pairs	pairs;
		struct adit_strings	list;
		struct adit_uuid	uuid;
		int64_t			number;
	} field = { .pairs = { .n = 0 } };
	int err;

	if (tree_is_null(value))
		return 0;
	alone->offset = 0;
	alone->given = 0;
	err = fill_field(alone, &field, value, &found.e);
	if (!err && row->check && row->type == ADIT_OPT_LIST)
		err = check_items(row, &field.list, &found);
	else if (!err && row->check)
		err = row->check(tree_text(value), &found.e);
	adit_opt_fini(alone, &field);
	return err ? wrong(found.at, path, errs, &found.e) : 0;
}

/* ---- all of them ---------------------------------------------------------- */

static ptrdiff_t
find_value(const struct adit_opt *row, const struct adit_tree *node)
{
	ptrdiff_t i = tree_find(node, row->name);

	for (size_t j = 0; i < 0 && row->aliases && row->aliases[j]; j++)
		i = tree_find(node, row->aliases[j]);
	return i;
}

const struct adit_tree *
opts_value(const struct adit_opt *row, const struct adit_tree *node)
{
	ptrdiff_t i = find_value(row, node);

	return i < 0 ? NULL : tree_item(node, (size_t)i);
}

void
opts_nearest(const struct adit_opt *rows, struct nearest *n)
{
	for (; rows && rows->name; rows++) {
		nearest_try(n, rows->name);
		for (size_t i = 0; rows->aliases && rows->aliases[i]; i++)
			nearest_try(n, rows->aliases[i]);
	}
}

static int
check_unknown(const struct adit_opt *rows, const struct opts_src *src, struct config_errors *errs)
{
	int err = 0;

	for (size_t i = 0; i < tree_len(src->node); i++) {
		const struct adit_tree *key = tree_key(src->node, i);
		struct tree_path path = { .up = src->path, .key = tree_text(key) };
		struct config_problem problem = problem_at(key, &path);
		struct nearest n;

		if (adit_opt_find(rows, tree_text(key)))
			continue;
		nearest_init(&n, tree_text(key));
		opts_nearest(rows, &n);
		problem.hint = n.best;
		config_errors_add(errs, &problem, "unknown key");
		err = ADIT_ECONFIG;
	}
	return err;
}

static int
missing(const struct adit_opt *row, const struct opts_src *src, struct config_errors *errs)
{
	struct config_problem problem = problem_at(src->node, src->path);

	config_errors_add(errs, &problem, "key \"%s\" is missing", row->name);
	return ADIT_ECONFIG;
}

/* One row against the map. */
static int
take_row(const struct adit_opt *row, void *instance, const struct opts_src *src,
	 struct config_errors *errs)
{
	ptrdiff_t i = find_value(row, src->node);
	struct adit_err e = ADIT_ERR_INIT;
	const struct adit_tree *value;
	struct tree_path path;
	int err;

	value = i < 0 ? NULL : tree_item(src->node, (size_t)i);
	if (tree_is_null(value))
		return row->flags & ADIT_OPT_REQUIRED ? missing(row, src, errs) : 0;
	path = (struct tree_path){ .up = src->path,
				   .key = tree_text(tree_key(src->node, (size_t)i)) };
	err = fill_field(row, instance, value, &e);
	if (err)
		return wrong(value, &path, errs, &e);
	if (row->given)
		*(bool *)((char *)instance + row->given) = true;
	return 0;
}

static int
take_rows(const struct adit_opt *rows, void *instance, const struct opts_src *src,
	  struct config_errors *errs)
{
	struct config_problem problem = problem_at(src->node, src->path);
	int err = 0;

	if (!tree_is_null(src->node) && tree_type(src->node) != TREE_MAP) {
		config_errors_add(errs, &problem, "expected a map, not %s",
				  tree_describe(src->node));
		return ADIT_ECONFIG;
	}
	if (!src->lenient)
		err = check_unknown(rows, src, errs);
	for (; rows && rows->name; rows++)
		if (take_row(rows, instance, src, errs) < 0)
			err = ADIT_ECONFIG;
	return err;
}

int
opts_fill(const struct adit_opt *rows, void *instance, const struct opts_src *src,
	  struct config_errors *errs)
{
	adit_opt_defaults(rows, instance);
	return take_rows(rows, instance, src, errs);
}

/* ---- the reference -------------------------------------------------------- */

static const char *
type_name(enum adit_opt_type type)
{
	static const char *const names[] = {
		[ADIT_OPT_BOOL] = "bool",
		[ADIT_OPT_INT] = "int",
		[ADIT_OPT_DURATION] = "duration",
		[ADIT_OPT_SIZE] = "size",
		[ADIT_OPT_STRING] = "text",
		[ADIT_OPT_LIST] = "list",
		[ADIT_OPT_MAP] = "map",
		[ADIT_OPT_ADDR] = "address",
		[ADIT_OPT_UUID] = "uuid",
		[ADIT_OPT_ENUM] = "one of",
		[ADIT_OPT_NAME] = "name",
		[ADIT_OPT_TREE] = "structure",
	};

	return names[type];
}

static void
print_limit(FILE *f, const struct adit_opt *row, int64_t n)
{
	char buf[40];

	if (row->type == ADIT_OPT_DURATION) {
		scalar_duration_format(n, buf);
		fputs(buf, f);
	} else {
		fprintf(f, "%" PRId64, n);
	}
}

static void
print_limits(FILE *f, const struct adit_opt *row)
{
	if (row->type != ADIT_OPT_INT && row->type != ADIT_OPT_DURATION &&
	    row->type != ADIT_OPT_SIZE)
		return;
	if (!row->min && !row->max)
		return;
	fputs(", ", f);
	print_limit(f, row, row->min);
	if (row->max == INT64_MAX) {
		fputs(" or more", f);
		return;
	}
	fputs(" to ", f);
	print_limit(f, row, row->max);
}

static void
print_row(FILE *f, const struct adit_opt *row)
{
	fprintf(f, "  %s", row->name);
	for (size_t i = 0; row->aliases && row->aliases[i]; i++)
		fprintf(f, " | %s", row->aliases[i]);
	fprintf(f, "  (%s", type_name(row->type));
	for (size_t i = 0; row->type == ADIT_OPT_ENUM && row->values[i]; i++)
		fprintf(f, "%s %s", i ? "," : "", row->values[i]);
	if (row->type == ADIT_OPT_NAME && row->refers)
		fprintf(f, " in %s", row->refers);
	print_limits(f, row);
	if (row->flags & ADIT_OPT_REQUIRED)
		fputs(", required", f);
	else if (row->def)
		fprintf(f, ", default %s", row->def);
	fprintf(f, ")\n      %s\n", row->help ? row->help : "");
}

void
opts_print(FILE *f, const char *kind, const char *name, const struct adit_opt *rows)
{
	fprintf(f, "%s %s\n", kind, name);
	if (!rows || !rows->name)
		fputs("  takes no keys\n", f);
	for (; rows && rows->name; rows++)
		print_row(f, rows);
}
