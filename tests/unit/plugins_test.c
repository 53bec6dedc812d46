/*
 * The built-in plugins as tables: every option that one takes is complete and can be set, and what
 * its help, its default and its limits say is what adit_opt_set does.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "core/service/registry.h"
#include "plugins/builtin.h"

static int
setup(void **state)
{
	struct registry *r = registry_new();
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(r);
	if (builtin_register(r, &e) < 0)
		fail_msg("%s", e.text);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	registry_free(*state);
	return 0;
}

typedef void
row_check(const struct adit_plugin *p, const struct adit_opt *rows, const struct adit_opt *row);

static unsigned
each_row_as(struct registry *r, enum adit_kind kind, const struct adit_plugin *p, row_check *check)
{
	bool known;
	const struct adit_opt *rows = registry_rows(r, kind, p->name, &known);
	unsigned n = 0;

	assert_true(known);
	for (const struct adit_opt *row = rows; row && row->name; row++, n++)
		check(p, rows, row);
	return n;
}

static bool
is_of_others(const struct adit_plugin *p)
{
	return p->kind == ADIT_STACK || p->kind == ADIT_EITHER;
}

/* Of each plugin; a stack is its parts, as a listener and as a dialer. */
static void
each_row(struct registry *r, row_check *check)
{
	const struct adit_plugin *p;
	unsigned n = 0;

	for (size_t i = 0; (p = registry_at(r, i)); i++) {
		if (!is_of_others(p)) {
			n += each_row_as(r, p->kind, p, check);
			continue;
		}
		if (registry_serves(p, ADIT_LISTENER))
			n += each_row_as(r, ADIT_LISTENER, p, check);
		if (registry_serves(p, ADIT_DIALER))
			n += each_row_as(r, ADIT_DIALER, p, check);
	}
	assert_true(n > 50);
}

static const char *
where(const struct adit_plugin *p, const struct adit_opt *row)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s %s, option %s", registry_kind_name(p->kind), p->name,
	         row->name);
	return text;
}

static size_t
field_size(enum adit_opt_type type)
{
	switch (type) {
	case ADIT_OPT_BOOL:
		return sizeof(bool);
	case ADIT_OPT_INT:
	case ADIT_OPT_DURATION:
	case ADIT_OPT_SIZE:
		return sizeof(uint64_t);
	case ADIT_OPT_STRING:
	case ADIT_OPT_ADDR:
	case ADIT_OPT_NAME:
	case ADIT_OPT_TREE:
		return sizeof(char *);
	case ADIT_OPT_LIST:
		return sizeof(struct adit_strings);
	case ADIT_OPT_MAP:
		return sizeof(struct adit_pairs);
	case ADIT_OPT_UUID:
		return sizeof(struct adit_uuid);
	case ADIT_OPT_ENUM:
		return sizeof(int);
	}
	return 0;
}

/* ---- every plugin ------------------------------------------------------------------- */

static void
plugins_say_what_they_are(void **state)
{
	for (size_t i = 0; registry_at(*state, i); i++) {
		const struct adit_plugin *p = registry_at(*state, i);

		assert_true(p->name && *p->name);
		if (!p->help || !*p->help || strchr(p->help, '\n'))
			fail_msg("%s %s: help is one line", registry_kind_name(p->kind), p->name);
		if (!is_of_others(p))
			assert_true(p->instance >= 2 * sizeof(void *));
	}
}

/* ---- every row ------------------------------------------------------------------------ */

static void
row_is_complete(const struct adit_plugin *p, const struct adit_opt *rows,
                const struct adit_opt *row)
{
	(void)rows;
	if (!row->help || strlen(row->help) < 8 || strchr(row->help, '\n'))
		fail_msg("%s: help is one line", where(p, row));
	if (row->help[strlen(row->help) - 1] == '.')
		fail_msg("%s: help is no sentence with a full stop", where(p, row));
	if ((row->type == ADIT_OPT_ENUM) != (row->values != NULL))
		fail_msg("%s: words for an enum, and for nothing else", where(p, row));
	if ((row->type == ADIT_OPT_NAME) != (row->refers != NULL))
		fail_msg("%s: what a name refers to, and nothing else", where(p, row));
	if (row->min > row->max)
		fail_msg("%s: no value is allowed", where(p, row));
}

static void
rows_are_complete(void **state)
{
	each_row(*state, row_is_complete);
}

/* As the lookup does: names and aliases are one set, without case. */
static unsigned
times_named(const struct adit_opt *rows, const char *name)
{
	unsigned n = 0;

	for (const struct adit_opt *row = rows; row->name; row++) {
		n += strcasecmp(row->name, name) == 0;
		for (const char *const *a = row->aliases; a && *a; a++)
			n += strcasecmp(*a, name) == 0;
	}
	return n;
}

static void
row_is_found(const struct adit_plugin *p, const struct adit_opt *rows, const struct adit_opt *row)
{
	if (times_named(rows, row->name) != 1)
		fail_msg("%s: another row has that name", where(p, row));
	if (adit_opt_find(rows, row->name) != row)
		fail_msg("%s: not found by its name", where(p, row));
	for (const char *const *a = row->aliases; a && *a; a++) {
		if (times_named(rows, *a) != 1)
			fail_msg("%s: %s names another row, too", where(p, row), *a);
		if (adit_opt_find(rows, *a) != row)
			fail_msg("%s: not found as %s", where(p, row), *a);
	}
}

static void
rows_are_found_by_their_names(void **state)
{
	each_row(*state, row_is_found);
}

/* Of the plugin's own instance; the rows of a stack are of several. */
static void
row_has_a_field(const struct adit_plugin *p, const struct adit_opt *rows,
                const struct adit_opt *row)
{
	size_t size = field_size(row->type);

	if (is_of_others(p))
		return;
	if (row->offset < 2 * sizeof(void *) || row->offset + size > p->instance)
		fail_msg("%s: outside of the instance", where(p, row));
	if (row->given && row->given >= p->instance)
		fail_msg("%s: its flag is outside of the instance", where(p, row));
	for (const struct adit_opt *other = rows; other != row; other++)
		if (row->offset < other->offset + field_size(other->type) &&
		    other->offset < row->offset + size)
			fail_msg("%s: %s has the same field", where(p, row), other->name);
}

static void
rows_have_fields_of_their_own(void **state)
{
	each_row(*state, row_has_a_field);
}

/* A row's field alone, so that rows of several instances are checked alike. */
struct field {
	union {
		bool truth;
		int64_t number;
		uint64_t amount;
		char *text;
		struct adit_strings list;
		struct adit_pairs map;
		struct adit_uuid uuid;
		int word;
	} value;
	bool given;
};

static struct adit_opt
alone(const struct adit_opt *row)
{
	struct adit_opt copy = *row;

	copy.offset = offsetof(struct field, value);
	copy.given = row->given ? offsetof(struct field, given) : 0;
	return copy;
}

static void
row_takes_its_default(const struct adit_plugin *p, const struct adit_opt *rows,
                      const struct adit_opt *row)
{
	const struct adit_opt one[] = { alone(row), ADIT_OPT_END };
	struct field field = { .given = false }, filled = { .given = false };
	struct adit_err e = ADIT_ERR_INIT;

	(void)rows;
	if (row->flags & ADIT_OPT_REQUIRED && row->def)
		fail_msg("%s: must be given, and has a default", where(p, row));
	if (!row->def)
		return;
	if (adit_opt_set(one, &field, row->def, &e) < 0)
		fail_msg("%s: its default: %s", where(p, row), e.text);
	adit_opt_defaults(one, &filled);
	field.given = filled.given;
	if (row->type != ADIT_OPT_STRING && row->type != ADIT_OPT_ADDR &&
	    row->type != ADIT_OPT_NAME && row->type != ADIT_OPT_LIST && row->type != ADIT_OPT_MAP)
		assert_memory_equal(&field.value, &filled.value, field_size(row->type));
	adit_opt_fini(one, &field);
	adit_opt_fini(one, &filled);
}

static void
rows_take_their_defaults(void **state)
{
	each_row(*state, row_takes_its_default);
}

/* What lies beyond the limits, or has no meaning, is refused with a text. */
static void
row_refuses(const struct adit_plugin *p, const struct adit_opt *row, const char *text)
{
	const struct adit_opt one[] = { alone(row), ADIT_OPT_END };
	struct field field = { .given = false };
	struct adit_err e = ADIT_ERR_INIT;

	if (adit_opt_set(one, &field, text, &e) != ADIT_ECONFIG || !*e.text)
		fail_msg("%s: takes \"%s\"", where(p, row), text);
	adit_opt_fini(one, &field);
}

static void
row_has_limits(const struct adit_plugin *p, const struct adit_opt *rows, const struct adit_opt *row)
{
	char text[32];

	(void)rows;
	switch (row->type) {
	case ADIT_OPT_INT:
		row_refuses(p, row, "many");
		snprintf(text, sizeof(text), "%" PRId64, row->min - 1);
		row_refuses(p, row, text);
		snprintf(text, sizeof(text), "%" PRId64, row->max + 1);
		if (row->max)
			row_refuses(p, row, text);
		break;
	case ADIT_OPT_BOOL:
	case ADIT_OPT_ENUM:
	case ADIT_OPT_UUID:
	case ADIT_OPT_DURATION:
	case ADIT_OPT_SIZE:
	case ADIT_OPT_ADDR:
		row_refuses(p, row, "perhaps not");
		break;
	default:
		break;
	}
}

static void
rows_have_limits(void **state)
{
	each_row(*state, row_has_limits);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plugins_say_what_they_are),     TEST(rows_are_complete),
		TEST(rows_are_found_by_their_names), TEST(rows_have_fields_of_their_own),
		TEST(rows_take_their_defaults),      TEST(rows_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
