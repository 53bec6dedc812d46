/* Options as the public header has them: one row, one field, one text. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uuid.h>

#include <adit/opt.h>

#include "core/config/opt_field.h"
#include "core/config/scalar.h"

/* What was found, for a message; never the value of a secret. */
static const char *
quote(const struct adit_opt *opt, const char *text, char buf[80])
{
	if (opt->flags & ADIT_OPT_SECRET)
		return "what is given";
	snprintf(buf, 80, strlen(text) > 60 ? "\"%.60s...\"" : "\"%s\"", text);
	return buf;
}

static int
expected(const struct adit_opt *opt, const char *what, const char *text, struct adit_err *e)
{
	char buf[80];

	return adit_err_set(e, ADIT_ECONFIG, "expected %s, not %s", what, quote(opt, text, buf));
}

/* ---- numbers -------------------------------------------------------------- */

/* Both limits 0 stand for "not negative". */
static void
limits(const struct adit_opt *opt, int64_t *min, int64_t *max)
{
	bool none = !opt->min && !opt->max;

	*min = none ? 0 : opt->min;
	*max = none ? INT64_MAX : opt->max;
}

static bool
within(const struct adit_opt *opt, int64_t n)
{
	int64_t min, max;

	limits(opt, &min, &max);
	return n >= min && n <= max;
}

static void
format_limit(const struct adit_opt *opt, int64_t n, char buf[40])
{
	if (opt->type == ADIT_OPT_DURATION)
		scalar_duration_format(n, buf);
	else
		snprintf(buf, 40, "%" PRId64, n);
}

/* err: -ERANGE where it is more than can be counted. */
static int
out_of_range(const struct adit_opt *opt, const char *text, int err, struct adit_err *e)
{
	char low[40], high[40], what[100];
	int64_t min, max;

	limits(opt, &min, &max);
	format_limit(opt, min, low);
	format_limit(opt, max, high);
	if (max == INT64_MAX && err != -ERANGE)
		snprintf(what, sizeof(what), "at least %s", low);
	else
		snprintf(what, sizeof(what), "%s to %s", low, high);
	return expected(opt, what, text, e);
}

static int
set_int(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	int64_t n;
	int err = scalar_int(text, &n);

	if (err == -EINVAL)
		return expected(opt, "a whole number", text, e);
	if (err || !within(opt, n))
		return out_of_range(opt, text, err, e);
	memcpy(field, &n, sizeof(n));
	return 0;
}

static int
set_duration(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	int64_t n;
	int err = scalar_duration(text, BARE_SECONDS, &n);

	if (err == -EINVAL)
		return expected(opt, "a duration like \"30s\"", text, e);
	if (err || !within(opt, n))
		return out_of_range(opt, text, err, e);
	memcpy(field, &n, sizeof(n));
	return 0;
}

static int
set_size(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	uint64_t n;
	int err = scalar_size(text, &n);

	if (err == -EINVAL)
		return expected(opt, "a size like \"64KB\"", text, e);
	if (err || n > INT64_MAX || !within(opt, (int64_t)n))
		return out_of_range(opt, text, err, e);
	memcpy(field, &n, sizeof(n));
	return 0;
}

static int
set_bool(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	bool value;

	if (scalar_bool(text, &value) < 0)
		return expected(opt, "true or false", text, e);
	memcpy(field, &value, sizeof(value));
	return 0;
}

/* ---- texts ---------------------------------------------------------------- */

static int
out_of_memory(struct adit_err *e)
{
	return adit_err_set(e, -ENOMEM, "out of memory");
}

static int
set_text(void *field, const char *text, struct adit_err *e)
{
	char *copy = strdup(text);

	if (!copy)
		return out_of_memory(e);
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int
set_addr(void *field, const char *text, struct adit_err *e)
{
	int err = scalar_addr(text, 0, NULL, e);

	return err ? err : set_text(field, text, e);
}

static int
set_name(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	if (!*text)
		return expected(opt, "a name", text, e);
	return set_text(field, text, e);
}

static int
set_uuid(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	struct adit_uuid uuid;

	if (adit_uuid_parse(text, true, &uuid) < 0)
		return expected(opt, "a UUID", text, e);
	memcpy(field, &uuid, sizeof(uuid));
	return 0;
}

static int
set_enum(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	char what[200];
	size_t used;

	for (int i = 0; opt->values[i]; i++)
		if (strcasecmp(opt->values[i], text) == 0) {
			memcpy(field, &i, sizeof(i));
			return 0;
		}
	used = (size_t)snprintf(what, sizeof(what), "one of");
	for (int i = 0; opt->values[i] && used < sizeof(what); i++)
		used += (size_t)snprintf(what + used, sizeof(what) - used, "%s %s", i ? "," : "",
					 opt->values[i]);
	return expected(opt, what, text, e);
}

/* ---- lists and maps ------------------------------------------------------- */

int
opt_strings_add(struct adit_strings *list, const char *text, size_t len)
{
	char **grown = realloc(list->v, (list->n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->v = grown;
	grown[list->n] = strndup(text, len);
	if (!grown[list->n])
		return -ENOMEM;
	list->n++;
	return 0;
}

int
opt_pairs_add(struct adit_pairs *pairs, const char *name, const char *value)
{
	char **names = realloc(pairs->name, (pairs->n + 1) * sizeof(*names));
	char **values;

	if (!names)
		return -ENOMEM;
	pairs->name = names;
	values = realloc(pairs->value, (pairs->n + 1) * sizeof(*values));
	if (!values)
		return -ENOMEM;
	pairs->value = values;
	names[pairs->n] = strdup(name);
	values[pairs->n] = strdup(value);
	if (!names[pairs->n] || !values[pairs->n]) {
		free(names[pairs->n]);
		free(values[pairs->n]);
		return -ENOMEM;
	}
	pairs->n++;
	return 0;
}

void
opt_strings_fini(struct adit_strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct adit_strings){ .n = 0 };
}

void
opt_pairs_fini(struct adit_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++) {
		free(pairs->name[i]);
		free(pairs->value[i]);
	}
	free(pairs->name);
	free(pairs->value);
	*pairs = (struct adit_pairs){ .n = 0 };
}

/* Splits at commas; blanks around an item and empty items fall away. */
static int
set_list(void *field, const char *text, struct adit_err *e)
{
	struct adit_strings *list = field;
	size_t len, skip;

	opt_strings_fini(list);
	for (;; text += len + 1) {
		skip = strspn(text, " \t");
		text += skip;
		len = strcspn(text, ",");
		for (skip = len; skip && strchr(" \t", text[skip - 1]); skip--)
			;
		if (skip && opt_strings_add(list, text, skip) < 0)
			return out_of_memory(e);
		if (!text[len])
			return 0;
	}
}

/* ---- the public functions ------------------------------------------------- */

/* No default: a new type must be thought of here. */
static int
set_field(const struct adit_opt *opt, void *field, const char *text, struct adit_err *e)
{
	switch (opt->type) {
	case ADIT_OPT_BOOL:
		return set_bool(opt, field, text, e);
	case ADIT_OPT_INT:
		return set_int(opt, field, text, e);
	case ADIT_OPT_DURATION:
		return set_duration(opt, field, text, e);
	case ADIT_OPT_SIZE:
		return set_size(opt, field, text, e);
	case ADIT_OPT_STRING:
		return set_text(field, text, e);
	case ADIT_OPT_LIST:
		return set_list(field, text, e);
	case ADIT_OPT_ADDR:
		return set_addr(field, text, e);
	case ADIT_OPT_UUID:
		return set_uuid(opt, field, text, e);
	case ADIT_OPT_ENUM:
		return set_enum(opt, field, text, e);
	case ADIT_OPT_NAME:
		return set_name(opt, field, text, e);
	case ADIT_OPT_MAP:
		return expected(opt, "a map", text, e);
	case ADIT_OPT_TREE:
		return expected(opt, "a list or a map", text, e);
	}
	return -EINVAL;
}

int
adit_opt_set(const struct adit_opt *opt, void *instance, const char *text, struct adit_err *e)
{
	int err = set_field(opt, (char *)instance + opt->offset, text, e);

	if (!err && opt->given)
		*(bool *)((char *)instance + opt->given) = true;
	return err;
}

void
adit_opt_defaults(const struct adit_opt *opts, void *instance)
{
	for (; opts && opts->name; opts++)
		if (opts->def)
			(void)set_field(opts, (char *)instance + opts->offset, opts->def, NULL);
}

/* Bytes of the field that a row of this type fills. */
static size_t
field_size(enum adit_opt_type type)
{
	switch (type) {
	case ADIT_OPT_BOOL:
		return sizeof(bool);
	case ADIT_OPT_INT:
	case ADIT_OPT_DURATION:
	case ADIT_OPT_SIZE:
		return sizeof(int64_t);
	case ADIT_OPT_LIST:
		return sizeof(struct adit_strings);
	case ADIT_OPT_MAP:
		return sizeof(struct adit_pairs);
	case ADIT_OPT_UUID:
		return sizeof(struct adit_uuid);
	case ADIT_OPT_ENUM:
		return sizeof(int);
	case ADIT_OPT_STRING:
	case ADIT_OPT_ADDR:
	case ADIT_OPT_NAME:
	case ADIT_OPT_TREE:
		return sizeof(void *);
	}
	return 0;
}

static void
fini_field(const struct adit_opt *opt, void *field)
{
	switch (opt->type) {
	case ADIT_OPT_STRING:
	case ADIT_OPT_ADDR:
	case ADIT_OPT_NAME:
		if (*(char **)field && opt->flags & ADIT_OPT_SECRET)
			explicit_bzero(*(char **)field, strlen(*(char **)field));
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case ADIT_OPT_LIST:
		opt_strings_fini(field);
		break;
	case ADIT_OPT_MAP:
		opt_pairs_fini(field);
		break;
	case ADIT_OPT_TREE:
		*(const struct adit_tree **)field = NULL;
		break;
	case ADIT_OPT_BOOL:
	case ADIT_OPT_INT:
	case ADIT_OPT_DURATION:
	case ADIT_OPT_SIZE:
	case ADIT_OPT_UUID:
	case ADIT_OPT_ENUM:
		memset(field, 0, field_size(opt->type));
		break;
	}
}

void
adit_opt_fini(const struct adit_opt *opts, void *instance)
{
	for (; opts && opts->name; opts++) {
		fini_field(opts, (char *)instance + opts->offset);
		if (opts->given)
			*(bool *)((char *)instance + opts->given) = false;
	}
}

const struct adit_opt *
adit_opt_find(const struct adit_opt *opts, const char *name)
{
	for (; opts && opts->name; opts++) {
		if (strcasecmp(opts->name, name) == 0)
			return opts;
		for (size_t i = 0; opts->aliases && opts->aliases[i]; i++)
			if (strcasecmp(opts->aliases[i], name) == 0)
				return opts;
	}
	return NULL;
}

/* ---- UUIDs ---------------------------------------------------------------- */

/* The 36 characters inside gost's other forms, or as they are. */
static int
unwrap_uuid(const char *text, char out[37])
{
	size_t len = strlen(text);

	if (len == 32) {
		snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", text, text + 8, text + 12, text + 16,
			 text + 20);
		return 0;
	}
	if (len == 38 && text[0] == '{' && text[37] == '}')
		text++;
	else if (len == 45 && strncasecmp(text, "urn:uuid:", 9) == 0)
		text += 9;
	else if (len != 36)
		return -EINVAL;
	memcpy(out, text, 36);
	out[36] = 0;
	return 0;
}

int
adit_uuid_parse(const char *text, bool loose, struct adit_uuid *out)
{
	char plain[37];
	uuid_t parsed;

	if (!loose && strlen(text) != 36)
		return -EINVAL;
	if (unwrap_uuid(text, plain) < 0 || uuid_parse(plain, parsed) < 0)
		return -EINVAL;
	memcpy(out->b, parsed, sizeof(out->b));
	return 0;
}

void
adit_uuid_format(const struct adit_uuid *u, char out[37])
{
	uuid_unparse_lower(u->b, out);
}

struct adit_uuid
adit_uuid_random(void)
{
	struct adit_uuid new;

	uuid_generate_random(new.b);
	return new;
}
