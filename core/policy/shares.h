/*
 * What has been taken of a limiter's limits: how many connections are open, in all and of each
 * address, and the buckets that bytes and requests are taken from. It outlives the limits, which a
 * reload replaces: what is asked for is measured by those that hold at that moment.
 *
 * Used by all workers. The table of addresses has a lock, which is held for one look, when a
 * connection or request begins; bytes are taken without one.
 */
#ifndef ADIT_CORE_SHARES_H
#define ADIT_CORE_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/conn.h>

#include "core/policy/limits.h"

#define SHARES_MAX 65536		/* addresses known at a time */

struct shares;

/* One reference, the caller's. NULL: out of memory. */
struct shares *shares_new(void);

/* Takes and drops a reference. Any thread; NULL is fine. */
struct shares *shares_get(struct shares *s);
void shares_put(struct shares *s);

/* Every period ns addresses of which nothing is open or owed are forgotten. Any thread. */
void shares_set_cleanup(struct shares *s, uint64_t period);

/*
 * Counts c, by its remote address, until it is freed. 0; ADIT_ELIMIT: that would be one too many,
 * of all or of that address, or more addresses are there than can be kept apart; -ENOMEM. limits:
 * of LIMIT_CONNS. On c's worker.
 */
int shares_admit(struct shares *s, const struct limits *limits, struct adit_conn *c);

/*
 * One more request from who, at now. 0; ADIT_ELIMIT, as above, and in *wait how many
 * ns from now there would be room for it; -ENOMEM. limits: of LIMIT_RATE. Any thread.
 */
int shares_allow(struct shares *s, const struct limits *limits, const struct adit_addr *who,
		 uint64_t now, uint64_t *wait);

enum { SHARES_SERVICE = 1, SHARES_CONN = 2 };

/*
 * From now on c is no faster than what holds for it of limits, which are of LIMIT_TRAFFIC: with
 * SHARES_SERVICE in scope that of all together, with SHARES_CONN those of each connection and of
 * its address. Where nothing holds c stays as it is. As shares_admit. On c's worker.
 */
int shares_slow(struct shares *s, const struct limits *limits, struct adit_conn *c, unsigned scope);

/* How many connections are open in all, and how many addresses are known. Any thread. */
unsigned shares_open(const struct shares *s);
size_t shares_known(struct shares *s);

#endif
