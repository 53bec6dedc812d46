/*
 * Tunnel groups as reverst's groups file has them: which may register, with which credentials, for
 * which hosts. Made from the file's text, then read only, by any thread; what replaces one that is
 * in use is somebody else's business.
 *
 *	groups:
 *	  NAME:
 *	    hosts: [HOST...]
 *	    authentication:		# any of them, each with a scheme of its own
 *	      basic:	{scheme: Basic, username: U, password: P}
 *	      bearer:	{scheme: Bearer, token: T}	# tokenPath, hashedToken, hashedTokenPath
 *	      external: {scheme: Bearer, endpoint: URL}
 */
#ifndef ADIT_CORE_REVERST_GROUPS_H
#define ADIT_CORE_REVERST_GROUPS_H

#include <stddef.h>

#include <adit/err.h>

#include "core/config/errors.h"
#include "core/reverst/strategy.h"

#define GROUPS_TEXT_MAX (4 << 20)
#define GROUPS_MAX 10000
#define GROUPS_HOSTS_MAX 100000
#define GROUPS_TOKEN_MAX (64 << 10)	/* bytes of a file with a token */

struct group;
struct groups;

/* What a group's endpoint has to be asked: payload is in what was verified. */
struct group_ask {
	const struct strategy	*strategy;	/* the group's */
	const char		*payload;	/* behind the scheme, a secret */
	size_t			 len;
};

/*
 * Those that source says. NULL with everything that is wrong in errs: also a host of two groups,
 * where reverst takes one of them at random. What reverst ignores (unknown keys, a host that is
 * none) and what leaves a group open to everybody is told in warnings, and does no harm. Reads the
 * files with tokens that source names: blocks. Findings with what they quote may not be logged but
 * for their first line.
 */
struct groups *groups_read(const struct tree_source *source, struct config_errors *errs,
			   struct config_errors *warnings);
void groups_free(struct groups *g);		/* NULL is fine */

size_t groups_count(const struct groups *g);

/* The group of that name, compared byte by byte; NULL: there is none. */
const struct group *groups_find(const struct groups *g, const char *name, size_t len);

/* The group that a host belongs to, which is normalised (struct hostname's text), or NULL. */
const struct group *groups_find_host(const struct groups *g, const char *host);

const char *group_name(const struct group *group);

/*
 * Whether a registration with that value of Authorization, len bytes, may join group: 0, or
 * ADIT_EUNAUTH. -EAGAIN: *ask is to be asked (core/reverst/external.h).
 */
int group_verify(const struct group *group, const char *value, size_t len, struct group_ask *ask);

/*
 * The path that text means, "path" or "file://path" (malloc). NULL with e filled: "k8s://...",
 * which is no file, another scheme, no memory.
 */
char *groups_path(const char *text, struct adit_err *e);

#endif
