/*
 * Regular expressions of the configuration: compiled once, immutable, used by any thread. The
 * syntax is that of PCRE2, which takes what gost's (RE2) takes; `$` is the end of the text alone.
 * What a text may cost is bounded: one for which it would cost more is neither matched nor not.
 */
#ifndef ADIT_CORE_REGEX_H
#define ADIT_CORE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include <adit/err.h>

#define REGEX_MAX	4096	/* bytes of a pattern */
#define REGEX_TEXT	8192	/* bytes of a text */
#define REGEX_STEPS	100000	/* for one text, all places and matches together; at the very worst
				 * three times as many, as what was tried in vain is tried again */
#define REGEX_HEAP	1024	/* KiB of memory of one match */

struct regex;

/*
 * Compiles len bytes of pattern. NULL with e filled: at (may be NULL) is then where in pattern.
 */
struct regex *regex_new(const char *pattern, size_t len, size_t *at, struct adit_err *e);
void regex_free(struct regex *re);	/* NULL is fine */

/* 1: somewhere in the len bytes at s; 0: nowhere; -E2BIG: it would cost too much; -ENOMEM. */
int regex_matches(const struct regex *re, const char *s, size_t len);

/*
 * All len bytes at s with every match replaced, piece by piece to put: what stood in s, and what
 * stands in replacement (written), where $1, ${1}, $name and ${name} are groups and $$ is a dollar,
 * as Go's regexp has it. 1; 0: no match, nothing was put; or as regex_matches, perhaps in the
 * middle.
 */
int regex_replace(const struct regex *re, const char *s, size_t len, const char *replacement,
		  void (*put)(void *arg, const char *s, size_t len, bool written), void *arg);

#endif
