/*
 * A token bucket: so many a second, and a burst of one second's. For answers to packets from
 * nowhere.
 */
#ifndef ADIT_CORE_QUIC_RATE_H
#define ADIT_CORE_QUIC_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct quic_rate {
	uint64_t	step;		/* ns per token */
	uint64_t	until;		/* tokens are taken up to then */
};

static inline void
quic_rate_init(struct quic_rate *r, unsigned per_second)
{
	*r = (struct quic_rate){ .step = 1000000000u / per_second };
}

/* Takes one if there is one. */
static inline bool
quic_rate_take(struct quic_rate *r, uint64_t now)
{
	if (r->until < now)
		r->until = now;
	if (r->until - now + r->step > 1000000000u)
		return false;
	r->until += r->step;
	return true;
}

#endif
