#include "core/policy/limits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/scalar.h"
#include "core/policy/listing.h"
#include "core/runtime/bucket.h"

#define BLANKS " \t\r"
#define WORDS_MAX 4
#define RATE_MAX (BUCKET_RATE_MAX / 1000)	/* a second */

/* Ranges of one family and length: sorted by address, to be searched. */
struct group {
	uint16_t	family;
	unsigned	bits;
	size_t		first, n;	/* in limits.v */
};

struct limits {
	enum limit_kind	 kind;
	struct limit	 all, each;
	size_t		 source, n, room;	/* source: which one adds */
	struct entry {
		struct limit	limit;
		size_t		source;
	}		*v;
	size_t		 all_source, each_source;
	struct group	*groups;		/* the longest first */
	size_t		 n_groups;
};

struct limits *
limits_new(enum limit_kind kind)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (l)
		l->kind = kind;
	return l;
}

void
limits_free(struct limits *l)
{
	if (!l)
		return;
	free(l->v);
	free(l->groups);
	free(l);
}

size_t
limits_count(const struct limits *l)
{
	return l->n + (l->all.key != LIMIT_NONE) + (l->each.key != LIMIT_NONE);
}

/* ---- a line -------------------------------------------------------------------------- */

struct word {
	const char	*text;		/* NULL: there is none */
	char		 buf[80];
};

/* The next word of *line, which moves behind it. */
static int
next_word(const char **line, struct word *w, struct adit_err *e)
{
	const char *p = *line + strspn(*line, BLANKS);
	size_t n = strcspn(p, BLANKS);

	*line = p + n;
	if (n >= sizeof(w->buf))
		return adit_err_set(e, ADIT_ECONFIG, "\"%.60s...\" is too long", p);
	memcpy(w->buf, p, n);
	w->buf[n] = 0;
	w->text = n ? w->buf : NULL;
	return 0;
}

static int
read_key(const char *text, struct limit *to, struct adit_err *e)
{
	if (strcmp(text, "$") == 0) {
		to->key = LIMIT_ALL;
	} else if (strcmp(text, "$$") == 0) {
		to->key = LIMIT_EACH;
	} else if (addr_range_parse(text, &to->range) == 0) {
		to->key = LIMIT_ADDRESS;
		to->range.first.port = 0;
	} else {
		return adit_err_set(e, ADIT_ECONFIG,
				    "expected $, $$, an address or a network like 10.0.0.0/8, not "
				    "\"%s\"", text);
	}
	return 0;
}

static int
read_size(const char *text, uint64_t *to, struct adit_err *e)
{
	if (!text)
		return 0;
	if (scalar_size(text, to) == 0 && *to <= RATE_MAX)
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "expected a size a second, like 10MB, not \"%s\"",
			    text);
}

static int
read_count(const char *text, uint64_t *to, struct adit_err *e)
{
	int64_t n;

	if (scalar_int(text, &n) < 0 || n < 0)
		return adit_err_set(e, ADIT_ECONFIG, "expected a number of connections, not \"%s\"",
				    text);
	*to = (uint64_t)n;
	return 0;
}

static int
read_rate(const char *text, uint64_t *to, struct adit_err *e)
{
	char *end;
	double rate;

	/* strtod also takes blanks, hexadecimal, infinities and NaN. */
	rate = text[strspn(text, "0123456789.eE+-")] ? -1 : strtod(text, &end);
	if (rate < 0 || *end || rate > (double)RATE_MAX || (rate > 0 && rate < 0.001))
		return adit_err_set(e, ADIT_ECONFIG,
				    "expected a number a second, like 2.5, not \"%s\"", text);
	*to = (uint64_t)(rate * 1000 + 0.5);
	return 0;
}

/*
 * gost writes "$  1MB" where only `out` was given: the word between two single blanks is empty.
 * Columns that a person has lined up have other widths.
 */
static bool
in_is_empty(const char *line, const struct word *words)
{
	const char *p = line + strspn(line, BLANKS) + strlen(words[0].text);

	return !words[2].text && p[0] == ' ' && p[1] == ' ' && p[2] && !strchr(BLANKS, p[2]) &&
	       words[0].text[0] == '$';
}

static int
read_traffic(const char *line, const struct word *words, struct limit *to, struct adit_err *e)
{
	bool out_alone = in_is_empty(line, words);
	int err = read_size(words[1].text, out_alone ? &to->out : &to->in, e);

	if (!err && !out_alone)
		err = read_size(words[2].text, &to->out, e);
	return err ? err : read_size(words[3].text, &to->burst, e);
}

/* Returns 0 also for a line without a word: then to's key is LIMIT_NONE. */
static int
read_line(enum limit_kind kind, const char *line, struct limit *to, struct adit_err *e)
{
	struct word words[WORDS_MAX + 1] = { { .text = NULL } };
	const char *rest = line;
	size_t n = 0, most = kind == LIMIT_TRAFFIC ? WORDS_MAX : 2;
	int err = 0;

	for (; !err && n <= most && (err = next_word(&rest, &words[n], e)) == 0; n++)
		if (!words[n].text)
			break;
	if (err || !n)
		return err;
	if (n > most)
		return adit_err_set(e, ADIT_ECONFIG, "\"%s\" is one word too many",
				    words[most].text);
	if (n < 2)
		return adit_err_set(e, ADIT_ECONFIG, "there is no limit behind \"%s\"",
				    words[0].text);
	err = read_key(words[0].text, to, e);
	if (err)
		return err;
	switch (kind) {
	case LIMIT_TRAFFIC:
		return read_traffic(line, words, to, e);
	case LIMIT_CONNS:
		return read_count(words[1].text, &to->n, e);
	case LIMIT_RATE:
		return read_rate(words[1].text, &to->n, e);
	}
	return 0;
}

/* ---- all of them ------------------------------------------------------------------------ */

/* By family, then the longest first, then by address. */
static int
compare_ranges(const struct addr_range *a, const struct addr_range *b)
{
	if (a->first.family != b->first.family)
		return a->first.family < b->first.family ? -1 : 1;
	if (a->bits != b->bits)
		return a->bits > b->bits ? -1 : 1;
	return memcmp(a->first.ip, b->first.ip, sizeof(a->first.ip));
}

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = compare_ranges(&x->limit.range, &y->limit.range);

	if (order)
		return order;
	return x->source < y->source ? -1 : x->source > y->source;
}

static int
say_twice(const char *line, struct adit_err *e)
{
	return adit_err_set(e, ADIT_ECONFIG, "\"%.60s\" is the second line of its key", line);
}

static int
limits_add_address(struct limits *l, const struct limit *limit, struct adit_err *e)
{
	if (l->n == LIMITS_MAX)
		return adit_err_set(e, ADIT_ECONFIG, "more than %d lines", LIMITS_MAX);
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct entry *v = reallocarray(l->v, room, sizeof(*v));

		if (!v)
			return adit_err_set(e, -ENOMEM, "out of memory");
		l->v = v;
		l->room = room;
	}
	l->v[l->n] = (struct entry){ .limit = *limit, .source = l->source };
	addr_range_mask(&l->v[l->n++].limit.range);
	return 0;
}

static int
limits_set(struct limits *l, const struct limit *limit, const char *line, struct adit_err *e)
{
	struct limit *to = limit->key == LIMIT_ALL ? &l->all : &l->each;
	size_t *source = limit->key == LIMIT_ALL ? &l->all_source : &l->each_source;

	if (to->key != LIMIT_NONE && *source == l->source)
		return say_twice(line, e);
	*to = *limit;
	*source = l->source;
	return 0;
}

int
limits_add(struct limits *l, const char *line, struct adit_err *e)
{
	struct limit limit = { .key = LIMIT_NONE };
	int err = read_line(l->kind, line, &limit, e);

	if (err || limit.key == LIMIT_NONE)
		return err;
	if (limit.key == LIMIT_ADDRESS)
		return limits_add_address(l, &limit, e);
	return limits_set(l, &limit, line, e);
}

static int
add_line(void *arg, char *line, struct adit_err *e)
{
	return limits_add(arg, line, e);
}

int
limits_add_text(struct limits *l, const char *text, struct adit_err *e)
{
	l->source++;
	return listing_lines(text, add_line, l, e);
}

/* Of equal ranges the last source's stays. */
static void
limits_drop_older(struct limits *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (kept && compare_ranges(&l->v[kept - 1].limit.range, &l->v[i].limit.range) == 0)
			kept--;
		l->v[kept++] = l->v[i];
	}
	l->n = kept;
}

static int
limits_group(struct limits *l)
{
	l->groups = calloc(l->n + 1, sizeof(*l->groups));
	if (!l->groups)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		const struct addr_range *r = &l->v[i].limit.range;
		struct group *g = l->n_groups ? &l->groups[l->n_groups - 1] : NULL;

		if (!g || g->family != r->first.family || g->bits != r->bits) {
			g = &l->groups[l->n_groups++];
			*g = (struct group){
				.family = r->first.family, .bits = r->bits, .first = i,
			};
		}
		g->n++;
	}
	return 0;
}

int
limits_seal(struct limits *l, struct adit_err *e)
{
	if (l->n)	/* there is no array else */
		qsort(l->v, l->n, sizeof(*l->v), compare_entries);
	for (size_t i = 1; i < l->n; i++) {
		char text[ADIT_ADDR_TEXT];

		if (compare_entries(&l->v[i - 1], &l->v[i]) != 0)
			continue;
		return adit_err_set(e, ADIT_ECONFIG, "%s/%u has two lines",
				    adit_addr_format_ip(&l->v[i].limit.range.first, text),
				    l->v[i].limit.range.bits);
	}
	limits_drop_older(l);
	return limits_group(l) < 0 ? adit_err_set(e, -ENOMEM, "out of memory") : 0;
}

/* ---- asking ------------------------------------------------------------------------------- */

const struct limit *
limits_all(const struct limits *l)
{
	return l->all.key == LIMIT_NONE ? NULL : &l->all;
}

const struct limit *
limits_each(const struct limits *l)
{
	return l->each.key == LIMIT_NONE ? NULL : &l->each;
}

static int
compare_range_entry(const void *key, const void *entry)
{
	return compare_ranges(key, &((const struct entry *)entry)->limit.range);
}

const struct limit *
limits_address(const struct limits *l, const struct adit_addr *a)
{
	for (size_t i = 0; i < l->n_groups; i++) {
		const struct group *g = &l->groups[i];
		struct addr_range key = { .first = *a, .bits = g->bits };
		const struct entry *found;

		if (g->family != a->family)
			continue;
		addr_range_mask(&key);
		found = bsearch(&key, l->v + g->first, g->n, sizeof(*l->v), compare_range_entry);
		if (found)
			return &found->limit;
	}
	return NULL;
}
