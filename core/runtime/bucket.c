#include "core/runtime/bucket.h"

#include <assert.h>

#define PERIOD UINT64_C(1000000000000)	/* 1000 s in ns: the unit of rates */

static uint64_t
relaxed(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

void
bucket_set(struct bucket *b, uint64_t rate, uint64_t burst)
{
	double ns = rate ? (double)burst * (double)PERIOD / (double)rate : 0;

	assert(rate <= BUCKET_RATE_MAX);
	atomic_store_explicit(&b->burst, ns < (double)INT64_MAX ? (uint64_t)ns : INT64_MAX,
			      memory_order_relaxed);
	atomic_store_explicit(&b->rate, rate, memory_order_relaxed);
}

/* What n cost, in ns; rounded up, so that no rate is exceeded by many small amounts. */
static uint64_t
bucket_cost(uint64_t n, uint64_t rate)
{
	assert(n <= BUCKET_TAKE_MAX);
	return (n * PERIOD + rate - 1) / rate;
}

/* Until when it is paid for n more, if they are taken now; and what paid was. */
static uint64_t
bucket_next(const struct bucket *b, uint64_t cost, uint64_t now, uint64_t *paid)
{
	uint64_t burst = relaxed(&b->burst), from = now > burst ? now - burst : 0;

	*paid = relaxed(&b->paid);
	return (*paid > from ? *paid : from) + cost;
}

uint64_t
bucket_take(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t rate = relaxed(&b->rate), paid, next;

	if (!rate)
		return 0;
	do {
		next = bucket_next(b, bucket_cost(n, rate), now, &paid);
	} while (!atomic_compare_exchange_weak_explicit(&b->paid, &paid, next,
							memory_order_relaxed,
							memory_order_relaxed));
	return next > now ? next - now : 0;
}

bool
bucket_try(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t rate = relaxed(&b->rate), paid, next;

	if (!rate)
		return true;
	do {
		next = bucket_next(b, bucket_cost(n, rate), now, &paid);
		if (next > now)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&b->paid, &paid, next,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

uint64_t
bucket_wait(const struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t rate = relaxed(&b->rate), paid, next;

	if (!rate)
		return 0;
	next = bucket_next(b, bucket_cost(n, rate), now, &paid);
	return next > now ? next - now : 0;
}

bool
bucket_is_full(const struct bucket *b, uint64_t now)
{
	uint64_t burst = relaxed(&b->burst);

	return !relaxed(&b->rate) || relaxed(&b->paid) + burst <= now;
}
