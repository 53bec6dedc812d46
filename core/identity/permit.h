/*
 * A permit: what goes on by somebody's right, a client's session or a visitor's connection, for as
 * long as it does. It is counted by the grant that allows it, and asked again when users or grants
 * have changed: one that is withdrawn ends what goes on by it.
 */
#ifndef ADIT_CORE_PERMIT_H
#define ADIT_CORE_PERMIT_H

#include <sys/queue.h>

#include "core/identity/gate.h"
#include "core/identity/grants.h"

struct permit;

/* A worker's part: what goes on there by somebody's right. */
struct permits_part {
	LIST_HEAD(, permit)	 permits;
	unsigned		 hashes;	/* passwords that are being hashed for it */
};

/* w's; NULL: no memory. On w. */
struct permits_part *permits_part(struct adit_worker *w);

/*
 * Asks g for what who claims; who is taken unless it fails; g outlives the permit. 0, with *out
 * NULL where g lets anybody do anything; or ADIT_EFORBIDDEN, ADIT_ELIMIT or -ENOMEM with e. On w,
 * as all below.
 */
int permit_new(struct gate *g, struct adit_worker *w, struct identity *who,
	       const struct grant_claim *claim, struct permit **out, struct adit_err *e);

/*
 * Whose it is: withdrawn is called by the loop when it is not valid any more. It may end this
 * permit and no other in the call. p may be NULL.
 */
void permit_own(struct permit *p, void (*withdrawn)(void *arg, const struct adit_err *why),
		void *arg);

/* How many connections its grant allows at a time; 0: no limit. p may be NULL. */
unsigned permit_limit(const struct permit *p);

/* The user by whose right it is, p's; NULL: a certificate's, or p is NULL. */
const char *permit_user(const struct permit *p);

void permit_end(struct permit *p);	/* NULL is fine */

/* Asks for all permits of w again. */
void permits_check(struct adit_worker *w);

#endif
