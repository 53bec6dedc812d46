/*
 * Lists of hosts, as `bypasses` and `admissions` have them: compiled once, then read only, by any
 * thread. What a lookup costs hardly depends on how many there are. A matcher is, in this order
 * (gost's grammar):
 *
 *	10.0.0.0/8, 2001:db8::/32	addresses
 *	*.ads.example, a?c.example:443	a pattern: "*" is any text, "?" one character of it
 *	192.0.2.1-192.0.2.20		the first to the last
 *	192.0.2.1, ::1			an address
 *	example.com, host:8000-8080	a name, or an address with a port (IPv6 in brackets)
 *	.example.com			that name and all below it
 *
 * The last three may name a port, or ports from-to. Case does not count, nor a dot at the end.
 */
#ifndef ADIT_CORE_MATCHERS_H
#define ADIT_CORE_MATCHERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/addr.h>
#include <adit/err.h>

#define MATCHERS_MAX	  1000000	/* of one list */
#define MATCHERS_OPEN_MAX 1000		/* patterns that begin and end with a wildcard: these alone
					 * are tried one after the other */

struct matchers;

struct matchers *matchers_new(void);		/* empty; NULL: out of memory */
void matchers_free(struct matchers *m);	/* NULL is fine */

/*
 * Adds one. 0, -EINVAL with e filled, which does not quote it: it is none, or they are too many;
 * -ENOMEM with e.
 */
int matchers_add(struct matchers *m, const char *text, struct adit_err *e);

/*
 * Adds the address, or range of addresses, that text is; a name alone is looked up here and now and
 * stands for the addresses it has. It blocks. As matchers_add.
 */
int matchers_add_address(struct matchers *m, const char *text, struct adit_err *e);

/* After the last one, before the first question. */
void matchers_seal(struct matchers *m);

/*
 * Whether one of them matches that host: a name or a literal in any spelling that a dialer would
 * understand, with brackets or without. port 0: none is known, and none that names ports matches.
 */
bool matchers_match(const struct matchers *m, const char *host, uint16_t port);

/* Whether one matches that address; its port does not count. */
bool matchers_match_addr(const struct matchers *m, const struct adit_addr *a);

size_t matchers_count(const struct matchers *m);

#endif
