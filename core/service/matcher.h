/*
 * Rules that tell for which requests a node is, in gost's language (Traefik's):
 *
 *	Host(`a.example`) && !PathPrefix(`/admin`) && (Method(`GET`) || Header(`X-Key`, `k`))
 *
 * ! binds most, then &&, then ||. Texts stand in back quotes, or in double quotes with \\ and \".
 * A rule is compiled once, is immutable then and used by any thread.
 */
#ifndef ADIT_CORE_MATCHER_H
#define ADIT_CORE_MATCHER_H

#include "core/service/filter.h"

#define MATCHER_BYTES_MAX 4096	/* of a rule */
#define MATCHER_TERMS_MAX 256	/* in it, operators included */
#define MATCHER_DEPTH_MAX 32	/* of parentheses and ! in each other */

struct matcher;

/*
 * Compiles rule. NULL with e filled; *at is then the byte of rule at which it goes wrong.
 */
struct matcher *matcher_new(const char *rule, size_t *at, struct adit_err *e);
void matcher_free(struct matcher *m);	/* NULL is fine */

/*
 * Whether req is what m asks for. A regular expression that would cost too much for a text makes
 * the whole rule fail, below a ! too.
 */
bool matcher_matches(const struct matcher *m, const struct route_request *req);

/* Whether what m says depends on who asks. */
bool matcher_asks_client(const struct matcher *m);

#endif
