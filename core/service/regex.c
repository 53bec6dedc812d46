#define PCRE2_CODE_UNIT_WIDTH 8

#include "core/service/regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pcre2.h>

struct regex {
	pcre2_code		*code;
	pcre2_match_context	*limits;
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
	if (re)
		re->limits = pcre2_match_context_create(NULL);
	if (!re || !re->limits) {
		adit_err_set(e, -ENOMEM, "out of memory");
		regex_free(re);
		return NULL;
	}
	pcre2_set_match_limit(re->limits, REGEX_STEPS);
	pcre2_set_heap_limit(re->limits, REGEX_HEAP);
	re->code = regex_compile(pattern, len, at, e);
	if (re->code)
		return re;
	regex_free(re);
	return NULL;
}

void
regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->code);
	pcre2_match_context_free(re->limits);
	free(re);
}

/* 1, 0, or a failure. */
static int
regex_find(const struct regex *re, const char *s, size_t len, size_t from, pcre2_match_data *found)
{
	int n = pcre2_match(re->code, (PCRE2_SPTR)s, len, from, 0, found, re->limits);

	if (n >= 0)
		return 1;
	if (n == PCRE2_ERROR_NOMATCH)
		return 0;
	return n == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
}

int
regex_matches(const struct regex *re, const char *s, size_t len)
{
	pcre2_match_data *found = pcre2_match_data_create_from_pattern(re->code, NULL);
	int err = found ? regex_find(re, s, len, 0, found) : -ENOMEM;

	pcre2_match_data_free(found);
	return err;
}

/* ---- replacing ---------------------------------------------------------------------------- */

struct replacing {
	const struct regex	*re;
	const char		*s;
	pcre2_match_data	*found;
	void			(*put)(void *arg, const char *s, size_t len, bool written);
	void			*arg;
};

/* What a name of len bytes stands for; nothing if there is no such group or it took no part. */
static void
put_group(const struct replacing *r, const char *name, size_t len)
{
	const size_t *ends = pcre2_get_ovector_pointer(r->found);
	char text[33];
	char *end;
	long n;

	if (len >= sizeof(text))
		return;
	memcpy(text, name, len);
	text[len] = 0;
	n = strtol(text, &end, 10);
	if (*end)
		n = pcre2_substring_number_from_name(r->re->code, (PCRE2_SPTR)text);
	if (n < 0 || (unsigned long)n >= pcre2_get_ovector_count(r->found) ||
	    ends[2 * n] == PCRE2_UNSET || ends[2 * n + 1] < ends[2 * n])
		return;
	r->put(r->arg, r->s + ends[2 * n], ends[2 * n + 1] - ends[2 * n], false);
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
replace_all(const struct replacing *r, size_t len, const char *replacement)
{
	const size_t *ends = pcre2_get_ovector_pointer(r->found);
	size_t from = 0, done = 0;
	bool any = false;
	int err;

	while (from <= len && (err = regex_find(r->re, r->s, len, from, r->found)) != 0) {
		if (err < 0)
			return err;
		if (ends[0] < done || ends[1] < ends[0])
			break;		/* \K: there is no sense in it here */
		any = true;
		r->put(r->arg, r->s + done, ends[0] - done, false);
		put_replacement(r, replacement);
		done = ends[1];
		from = ends[1] > ends[0] ? ends[1] : ends[1] + 1;
	}
	if (any)
		r->put(r->arg, r->s + done, len - done, false);
	return any;
}

int
regex_replace(const struct regex *re, const char *s, size_t len, const char *replacement,
	      void (*put)(void *arg, const char *s, size_t len, bool written), void *arg)
{
	struct replacing r = {
		.re = re, .s = s, .put = put, .arg = arg,
		.found = pcre2_match_data_create_from_pattern(re->code, NULL),
	};
	int err = r.found ? replace_all(&r, len, replacement) : -ENOMEM;

	pcre2_match_data_free(r.found);
	return err;
}
