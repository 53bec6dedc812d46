/*
 * Reading one key of a Redis, or adding to it, without waiting: a connection, the commands in one
 * go (AUTH, SELECT and the rest), the answers, the end.
 */
#ifndef ADIT_CORE_REDIS_H
#define ADIT_CORE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/worker.h>

#include "core/config/model.h"

struct redis_talk;
struct tls_source;

struct redis_ask {
	const struct redis_conf	*conf;		/* with a type; borrowed for the call */
	struct tls_source	*tls;		/* NULL: none; lives as long as the talk */
	size_t			 max;		/* bytes of all that is there; more is a failure */
	uint64_t		 limit;		/* ns, for all of it */
};

/*
 * text: lines, terminated: "field value" of a hash, a member of a set or list, or a string as it
 * is. It may be changed and is wiped after the call; NULL: e says why there is none. A key that is
 * not there is empty.
 */
typedef void redis_done(void *arg, char *text, size_t len, const struct adit_err *e);

/* Whether conf is one: its address, and its type if there is one. 0, or ADIT_ECONFIG with e. */
int redis_check(const struct redis_conf *conf, struct adit_err *e);

/*
 * Begins it. done is called once, by the loop, unless it is cancelled before. NULL with e filled:
 * nothing was begun. On w, as all below.
 */
struct redis_talk *redis_begin(struct adit_worker *w, const struct redis_ask *ask, redis_done *done,
			       void *arg, struct adit_err *e);

/* The kinds of keys that can be added to: "set", "list" (in front) and "sset", by one each. */
bool redis_can_add(const char *type);

/* n: how many texts the server has taken, from the first on; e: why not all of them, or NULL. */
typedef void redis_added(void *arg, size_t n, const struct adit_err *e);

/*
 * Adds n texts to the key of ask, whose type redis_can_add and whose max is of no use; the texts
 * are borrowed for the call. As redis_begin.
 */
struct redis_talk *redis_begin_adding(struct adit_worker *w, const struct redis_ask *ask,
				      const char *const *texts, size_t n, redis_added *added,
				      void *arg, struct adit_err *e);

/* Ends it; done and added are not called any more. Before them; NULL is fine. */
void redis_cancel(struct redis_talk *r);

#endif
