#define PCRE2_CODE_UNIT_WIDTH 8

#include "core/service/regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pcre2.h>

struct regex {
	pcre2_code	*code;
	bool		 anchored;	/* it matches at the beginning or nowhere */
};

/*
 * What is looked for in one text. PCRE2 counts the steps of each place where a match may begin on
 * their own; so each has its share of them, and what one place needs beyond is taken from spare.
 */
struct search {
	const struct regex	*re;
	const char		*s;
	size_t			 len;
	pcre2_match_data	*found;
	pcre2_match_context	*limits;
	uint32_t		 share;		/* of a place */
	uint32_t		 spare;		/* for all of them */
};

/* Where bytes and characters are the same, no text has bytes that are no characters. */
static bool
is_ascii(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

static pcre2_code *
regex_compile(const char *pattern, size_t len, size_t *at, struct adit_err *e)
{
	uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
	pcre2_compile_context *how = pcre2_compile_context_create(NULL);
	pcre2_code *code = NULL;
	PCRE2_UCHAR text[256];
	size_t offset = 0;
	int err = PCRE2_ERROR_NOMEMORY;

	options |= is_ascii(pattern, len) ? PCRE2_NEVER_UTF : PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
	if (how) {
		pcre2_set_newline(how, PCRE2_NEWLINE_LF);
		code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &err, &offset, how);
	}
	pcre2_compile_context_free(how);
	if (code)
		return code;
	if (at)
		*at = offset;
	pcre2_get_error_message(err, text, sizeof(text));
	adit_err_set(e, ADIT_ECONFIG, "regular expression: %s", (const char *)text);
	return NULL;
}

struct regex *
regex_new(const char *pattern, size_t len, size_t *at, struct adit_err *e)
{
	struct regex *re;

	if (at)
		*at = 0;
	if (len > REGEX_MAX) {
		adit_err_set(e, ADIT_ECONFIG, "regular expression: longer than %d bytes",
			     REGEX_MAX);
		return NULL;
	}
	re = calloc(1, sizeof(*re));
	if (!re) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	re->code = regex_compile(pattern, len, at, e);
	if (re->code) {
		uint32_t options = 0;

		pcre2_pattern_info(re->code, PCRE2_INFO_ALLOPTIONS, &options);
		re->anchored = options & PCRE2_ANCHORED;
		return re;
	}
	regex_free(re);
	return NULL;
}

void
regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->code);
	free(re);
}

/* ---- searching ---------------------------------------------------------------------------- */

static void
search_end(struct search *f)
{
	pcre2_match_data_free(f->found);
	pcre2_match_context_free(f->limits);
}

/* 0; -ENOMEM; or -E2BIG: what looks at all of a text may be one step, or none that is counted. */
static int
search_begin(struct search *f, const struct regex *re, const char *s, size_t len)
{
	size_t places = re->anchored ? 1 : len + 1;

	*f = (struct search){ .re = re, .s = s, .len = len };
	if (len > REGEX_TEXT)
		return -E2BIG;
	f->share = (uint32_t)(REGEX_STEPS / places);
	f->spare = REGEX_STEPS;
	f->found = pcre2_match_data_create_from_pattern(re->code, NULL);
	f->limits = pcre2_match_context_create(NULL);
	if (f->found && f->limits) {
		pcre2_set_heap_limit(f->limits, REGEX_HEAP);
		return 0;
	}
	search_end(f);
	return -ENOMEM;
}

/* 1, 0, or a failure: -E2BIG if it takes more steps. */
static int
search_within(const struct search *f, size_t from, uint32_t options, uint32_t steps)
{
	int n;

	pcre2_set_match_limit(f->limits, steps);
	n = pcre2_match(f->re->code, (PCRE2_SPTR)f->s, f->len, from, options, f->found, f->limits);
	if (n >= 0)
		return 1;
	if (n == PCRE2_ERROR_NOMATCH)
		return 0;
	return n == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
}

/* Whether it matches at that very place, which may take all that is spare. */
static int
search_at(struct search *f, size_t from)
{
	int found = search_within(f, from, PCRE2_ANCHORED, f->share);

	for (uint32_t steps = f->share; found == -E2BIG && f->spare; ) {
		steps = steps < f->spare / 8 ? 8 * steps : f->spare;
		f->spare -= steps;
		found = search_within(f, from, PCRE2_ANCHORED, steps);
	}
	return found;
}

/* From there on: 1, 0, or a failure. */
static int
search_next(struct search *f, size_t from)
{
	int found = search_within(f, from, 0, f->share);

	if (found != -E2BIG)
		return found;
	for (found = 0; found == 0 && from <= f->len; from++)
		found = search_at(f, from);
	return found;
}

int
regex_matches(const struct regex *re, const char *s, size_t len)
{
	struct search f;
	int found = search_begin(&f, re, s, len);

	if (found < 0)
		return found;
	found = search_next(&f, 0);
	search_end(&f);
	return found;
}

/* ---- replacing ---------------------------------------------------------------------------- */

struct replacing {
	struct search		 search;
	void			(*put)(void *arg, const char *s, size_t len, bool written);
	void			*arg;
};

/* What a name of len bytes stands for; nothing if there is no such group or it took no part. */
static void
put_group(const struct replacing *r, const char *name, size_t len)
{
	const size_t *ends = pcre2_get_ovector_pointer(r->search.found);
	char text[33];
	char *end;
	long n;

	if (len >= sizeof(text))
		return;
	memcpy(text, name, len);
	text[len] = 0;
	n = strtol(text, &end, 10);
	if (*end)
		n = pcre2_substring_number_from_name(r->search.re->code, (PCRE2_SPTR)text);
	if (n < 0 || (unsigned long)n >= pcre2_get_ovector_count(r->search.found) ||
	    ends[2 * n] == PCRE2_UNSET || ends[2 * n + 1] < ends[2 * n])
		return;
	r->put(r->arg, r->search.s + ends[2 * n], ends[2 * n + 1] - ends[2 * n], false);
}

/* The group named behind a dollar; returns what follows it, or NULL: it is a dollar. */
static const char *
put_reference(const struct replacing *r, const char *p)
{
	bool braced = *p == '{';
	const char *name = p + braced, *end = name;

	while (isalnum((unsigned char)*end) || *end == '_')
		end++;
	if (end == name || (braced && *end != '}'))
		return NULL;
	put_group(r, name, (size_t)(end - name));
	return end + braced;
}

static void
put_replacement(const struct replacing *r, const char *p)
{
	size_t len;
	const char *next;

	while (*p) {
		len = strcspn(p, "$");
		if (len)
			r->put(r->arg, p, len, true);
		p += len;
		if (!*p)
			return;
		p++;
		next = put_reference(r, p);
		if (!next)
			r->put(r->arg, "$", 1, true);
		p = next ? next : p + (*p == '$');
	}
}

/* Matches may be empty: the byte behind such a one is passed on, and looked behind. */
static int
replace_all(struct replacing *r, const char *replacement)
{
	const size_t *ends = pcre2_get_ovector_pointer(r->search.found);
	const char *s = r->search.s;
	size_t from = 0, done = 0, len = r->search.len;
	bool any = false;
	int err;

	while (from <= len && (err = search_next(&r->search, from)) != 0) {
		if (err < 0)
			return err;
		if (ends[0] < done || ends[1] < ends[0])
			break;		/* \K: there is no sense in it here */
		any = true;
		r->put(r->arg, s + done, ends[0] - done, false);
		put_replacement(r, replacement);
		done = ends[1];
		from = ends[1] > ends[0] ? ends[1] : ends[1] + 1;
	}
	if (any)
		r->put(r->arg, s + done, len - done, false);
	return any;
}

int
regex_replace(const struct regex *re, const char *s, size_t len, const char *replacement,
	      void (*put)(void *arg, const char *s, size_t len, bool written), void *arg)
{
	struct replacing r = { .put = put, .arg = arg };
	int err = search_begin(&r.search, re, s, len);

	if (err < 0)
		return err;
	err = replace_all(&r, replacement);
	search_end(&r.search);
	return err;
}
