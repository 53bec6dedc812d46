#include "core/runtime/bucket.h"

#include <assert.h>

#define PERIOD UINT64_C(1000000000000)	/* 1000 s in ns: the unit of rates */

/*
 * How long before the clock's 0 the buckets' own begins, and the most that may gather: a machine
 * that has just been started owes nobody the pause that was before.
 */
#define BEFORE (UINT64_C(1) << 62)

static uint64_t
relaxed(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

void
bucket_set(struct bucket *b, uint64_t rate, uint64_t burst)
{
	double ns = rate ? (double)burst * (double)PERIOD / (double)rate : 0;
	uint64_t whole = ns < (double)BEFORE ? (uint64_t)ns : BEFORE;

	assert(rate <= BUCKET_RATE_MAX);
	/* Rounded up as costs are, or one whose burst is 1 would never give that one. */
	if (whole < BEFORE && (double)whole < ns)
		whole++;
	atomic_store_explicit(&b->burst, whole, memory_order_relaxed);
	atomic_store_explicit(&b->rate, rate, memory_order_relaxed);
}

/* What n cost, in ns; rounded up, so that no rate is exceeded by many small amounts. */
static uint64_t
bucket_cost(uint64_t n, uint64_t rate)
{
	assert(n <= BUCKET_TAKE_MAX);
	return (n * PERIOD + rate - 1) / rate;
}

/* Until when it is paid for n more, if they are taken now; and what paid was. By b's clock. */
static uint64_t
bucket_next(const struct bucket *b, uint64_t cost, uint64_t now, uint64_t *paid)
{
	uint64_t from = now - relaxed(&b->burst);

	*paid = relaxed(&b->paid);
	return (*paid > from ? *paid : from) + cost;
}

uint64_t
bucket_take(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t rate = relaxed(&b->rate), paid, next;

	if (!rate)
		return 0;
	now += BEFORE;
	do {
		next = bucket_next(b, bucket_cost(n, rate), now, &paid);
	} while (!atomic_compare_exchange_weak_explicit(&b->paid, &paid, next,
							memory_order_relaxed,
							memory_order_relaxed));
	return next > now ? next - now : 0;
}

void
bucket_give(struct bucket *b, uint64_t n)
{
	uint64_t rate = relaxed(&b->rate), paid = relaxed(&b->paid), cost;

	if (!rate)
		return;
	assert(n <= BUCKET_TAKE_MAX);
	cost = n * PERIOD / rate;
	while (!atomic_compare_exchange_weak_explicit(&b->paid, &paid,
						      paid > cost ? paid - cost : 0,
						      memory_order_relaxed,
						      memory_order_relaxed))
		;
}

bool
bucket_try(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t rate = relaxed(&b->rate), paid, next;

	if (!rate)
		return true;
	now += BEFORE;
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
	now += BEFORE;
	next = bucket_next(b, bucket_cost(n, rate), now, &paid);
	return next > now ? next - now : 0;
}

bool
bucket_is_full(const struct bucket *b, uint64_t now)
{
	return !relaxed(&b->rate) || relaxed(&b->paid) <= now + BEFORE - relaxed(&b->burst);
}
