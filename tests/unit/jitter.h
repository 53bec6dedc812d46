/*
 * A conn over any conn that makes life hard for its owner, in every way the contract allows: reads
 * and writes are cut short, and some calls answer -EAGAIN although there was something, to be told
 * of readiness later.
 */
#ifndef ADIT_TEST_JITTER_H
#define ADIT_TEST_JITTER_H

#include <adit/conn.h>

struct jitter_opts {
	size_t		read_max;	/* bytes a read gives at most; 0: no limit */
	size_t		write_max;	/* bytes a write takes at most; 0: no limit */
	unsigned	again;		/* of 100 calls, how many answer -EAGAIN */
	bool		no_half_close;	/* shutdown answers -ENOTSUP */
	int		splice_fd;	/* what splice_fd answers; 0: -1 */
	uint64_t	seed;		/* from jitter_seed, or another fixed number */
};

/* Takes lower. NULL if out of memory (lower is closed then). */
struct adit_conn *jitter_conn(struct adit_conn *lower, const struct jitter_opts *opts);

/*
 * The environment's ADIT_SEED, else a new one; printed at the first call so that a failure can be
 * repeated.
 */
uint64_t jitter_seed(void);

/* The next number of a small generator. */
uint32_t jitter_next(uint64_t *seed);

#endif
