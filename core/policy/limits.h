/*
 * The lines of limiters, climiters and rlimiters, compiled: "$ 10MB 20MB", "$$ 100",
 * "10.0.0.0/8 2.5". Immutable once sealed; any thread. Which of them holds for an address is found
 * in a few steps however many there are.
 */
#ifndef ADIT_CORE_LIMITS_H
#define ADIT_CORE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>

#include "core/runtime/addr_range.h"

#define LIMITS_MAX 65536		/* lines of one limiter */

/* Which of the three lists of the configuration. */
enum limit_kind {
	LIMIT_TRAFFIC,		/* limiters: KEY IN [OUT [BURST]], sizes a second */
	LIMIT_CONNS,		/* climiters: KEY N, open at a time */
	LIMIT_RATE,		/* rlimiters: KEY N, new ones a second; may have a fraction */
};

enum limit_key {
	LIMIT_NONE,
	LIMIT_ALL,		/* $ */
	LIMIT_EACH,		/* $$: each connection (traffic), else each address */
	LIMIT_ADDRESS,		/* each address of a range, by itself */
};

/* 0 anywhere is no limit. */
struct limit {
	enum limit_key		 key;
	struct addr_range	 range;		/* of LIMIT_ADDRESS */
	uint64_t		 in, out, burst;	/* bytes a second, of traffic; burst 0: a
							 * second's worth */
	uint64_t		 n;		/* of LIMIT_CONNS; of LIMIT_RATE, in 1000 s */
};

struct limits;

/* Empty, of that kind. NULL: out of memory. */
struct limits *limits_new(enum limit_kind kind);
void limits_free(struct limits *l);	/* NULL is fine */

/*
 * Adds what one line says; one that is blank adds nothing. A key that an earlier line of the same
 * source has is an error, which may show only in limits_seal; of another source's the later one
 * counts. 0; -ENOMEM, or ADIT_ECONFIG, with e.
 */
int limits_add(struct limits *l, const char *line, struct adit_err *e);

/*
 * All lines of text, another source, whose lines win; # begins a comment. As limits_add, with the
 * line's number in front of e's text.
 */
int limits_add_text(struct limits *l, const char *text, struct adit_err *e);

/* All have been added: from now on it may be asked. As limits_add. */
int limits_seal(struct limits *l, struct adit_err *e);

size_t limits_count(const struct limits *l);

/* NULL: there is no such line. All are l's. */
const struct limit *limits_all(const struct limits *l);
const struct limit *limits_each(const struct limits *l);
/* The narrowest range that has a, whatever its port. */
const struct limit *limits_address(const struct limits *l, const struct adit_addr *a);

#endif
