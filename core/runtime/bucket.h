/*
 * A token bucket of many users, on any number of threads, without a lock: all it keeps is until
 * when what was taken is paid for, as of one counter clerk whose queue everybody joins at its end.
 * Nothing is waited for in here: time is an argument.
 */
#ifndef ADIT_CORE_BUCKET_H
#define ADIT_CORE_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BUCKET_TAKE_MAX 1000000		/* units at once */
#define BUCKET_RATE_MAX (UINT64_C(1) << 60)

struct bucket {
	_Atomic uint64_t	paid;		/* ns of its own clock: free again from then on */
	_Atomic uint64_t	rate;		/* units in 1000 s; 0: there is no limit */
	_Atomic uint64_t	burst;		/* ns; as much may be taken at once after a pause */
};

/*
 * What b gives from now on: rate units in 1000 s (at most BUCKET_RATE_MAX; 0: any number), after a
 * pause burst of them at once. b may be in use; one that is all zero is full. Any thread.
 */
void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst);

/*
 * Takes n (at most BUCKET_TAKE_MAX), also those that are not there yet: returns how many ns from
 * now they are, the caller's to wait for. Who came before is served before. Any thread.
 */
uint64_t bucket_take(struct bucket *b, uint64_t n, uint64_t now);

/*
 * Gives back n that were taken and are not used: who waits goes on waiting, and who comes waits
 * that much less. Any thread.
 */
void bucket_give(struct bucket *b, uint64_t n);

/* Takes n if they are there; else takes none and returns false. Any thread. */
bool bucket_try(struct bucket *b, uint64_t n, uint64_t now);

/* ns from now until n would be there; 0: now. Any thread. */
uint64_t bucket_wait(const struct bucket *b, uint64_t n, uint64_t now);

/* Whether it holds all it can, so that a new one would give the same. Any thread. */
bool bucket_is_full(const struct bucket *b, uint64_t now);

#endif
