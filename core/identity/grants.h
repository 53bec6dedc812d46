/*
 * Grants: who may be client or visitor of which tunnel, for which hosts, with which weight, how
 * often at once. Made from the configuration and read only from then on, by any thread; only how
 * often each is in use is counted, and that count is shared with the grants that take its place at
 * a reload.
 */
#ifndef ADIT_CORE_GRANTS_H
#define ADIT_CORE_GRANTS_H

#include <adit/err.h>
#include <adit/opt.h>

#include "core/config/model.h"
#include "core/identity/identity.h"

#define GRANT_ANY "*"

struct grants;
struct grant_use;

/* What is asked for. Borrowed. */
struct grant_claim {
	enum grant_role		 role;		/* GRANT_CLIENT or GRANT_VISITOR */
	struct adit_uuid	 tunnel;
	const char		*host;		/* a visitor's, or what a client wants to be
						 * known by; "": none was named */
	unsigned		 weight;	/* a client's; 0: as 1 */
};

/*
 * Those of that place in config's list, which is referenced. before: what they replace, or NULL:
 * what is counted there for a grant that says the same goes on. NULL: out of memory.
 */
struct grants *grants_new(struct config *config, size_t index, const struct grants *before);
void grants_free(struct grants *g);		/* NULL is fine */

/*
 * Whether somebody may: 0, and *use is one use of the grant that says so, the caller's until
 * grant_use_end. Else ADIT_EFORBIDDEN, or ADIT_ELIMIT where nothing is in the way but a number of
 * connections, with e saying what is missing. held: what he has by an earlier answer, ended by this
 * call; NULL: nothing.
 */
int grants_take(const struct grants *g, const struct identity *who, const struct grant_claim *claim,
		struct grant_use *held, struct grant_use **use, struct adit_err *e);

/* How many connections the grant that use is of allows; 0: as many as one likes. */
unsigned grants_limit(const struct grants *g, const struct grant_use *use);

void grant_use_end(struct grant_use *use);	/* NULL is fine */

#endif
