/*
 * The limits of one service: how many connections, how many new ones a second, how fast. What comes
 * in is measured here, by its listener and by ports of its handler's own alike; what is refused is
 * that one and nothing else.
 */
#ifndef ADIT_CORE_GUARD_H
#define ADIT_CORE_GUARD_H

#include <adit/conn.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/policy/refusals.h"

struct held;
struct service_world;	/* core/service/world.h */

struct guard {
	struct held		*bytes, *conns, *rate;	/* of struct limiter; referenced; NULL:
							 * no limit */
	unsigned		 scope;		/* of shares_slow */
	struct refusals		 refusals;
	struct adit_log		*log;		/* borrowed, as the name is */
	const char		*service;
};

/*
 * Takes what conf, of world's configuration, names; g is zeroed. 0, or a failure that has been said
 * at its place. Main thread.
 */
int guard_init(struct guard *g, const struct service_conf *conf, const struct service_world *world,
	       const struct place *at);
void guard_fini(struct guard *g);		/* any thread */

/*
 * Counts c until it is freed. 0, or ADIT_ELIMIT or -ENOMEM: it is to be closed. On c's worker, as
 * guard_slow.
 */
int guard_admit(struct guard *g, struct adit_conn *c);

/* One more from who: 0, or how many ns later it may come again. Any worker. */
uint64_t guard_allow(struct guard *g, const struct adit_addr *who);

/* From now on c is as fast as it may be. As guard_admit. */
int guard_slow(struct guard *g, struct adit_conn *c);

#endif
