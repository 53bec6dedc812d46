/*
 * Choosing one of several nodes. What is known of a node (failures in a row, when the last one was)
 * is shared by all workers; the time is an argument.
 */
#ifndef ADIT_CORE_SELECTOR_H
#define ADIT_CORE_SELECTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/addr.h>

#include "core/config/model.h"

#define SELECTOR_MAX 256	/* candidates at once: nodes of a hop, of a forwarder */

struct node_state {
	atomic_uint		 fails;		/* in a row */
	atomic_uint_fast64_t	 failed_at;	/* adit_now() of the last one */
};

struct selector {
	enum selector_strategy	 strategy;
	unsigned		 max_fails;	/* marks a node after so many */
	uint64_t		 fail_timeout;	/* ns a node stays marked */
	atomic_uint		 turn;		/* of round robin */
};

/* One that may be chosen. */
struct candidate {
	struct node_state	*state;
	const struct node_conf	*conf;		/* weight, backup, own maxFails and failTimeout */
	size_t			 index;		/* the caller's */
};

/* What who asks is to the strategy `hash`: of the address alone. NULL: 0. */
uint64_t selector_hash(const struct adit_addr *who);

/* conf NULL: round robin, one failure marks for 10 s. Nothing of it is kept. Before others see
 * s. */
void selector_init(struct selector *s, const struct selector_conf *conf);

/*
 * One of the n candidates: those that are marked as failed are left out unless all are, backups
 * unless nothing else is left. hash is selector_hash of who asks. NULL if n is 0. Any worker, at
 * the same time.
 */
const struct candidate *selector_pick(struct selector *s, const struct candidate *v, size_t n,
				      uint64_t hash, uint64_t now);

/* What came of a choice: 0 clears the mark. Any thread. */
void node_state_report(struct node_state *state, int err, uint64_t now);

#endif
