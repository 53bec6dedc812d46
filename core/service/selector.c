#include <adit/worker.h>

#include "core/service/selector.h"

#define FAIL_TIMEOUT ADIT_SECONDS(10)

uint64_t
selector_hash(const struct adit_addr *who)
{
	uint64_t hash = 0;

	for (size_t i = 0; who && i < sizeof(who->ip); i++)
		hash = hash * 31 + who->ip[i];
	return hash;
}

void
selector_init(struct selector *s, const struct selector_conf *conf)
{
	*s = (struct selector){
		.strategy = SELECT_ROUND, .max_fails = 1, .fail_timeout = FAIL_TIMEOUT,
	};
	if (!conf)
		return;
	s->strategy = conf->strategy;
	s->max_fails = (unsigned)conf->max_fails;
	s->fail_timeout = (uint64_t)conf->fail_timeout;
}

static bool
is_marked(const struct selector *s, const struct candidate *c, uint64_t now)
{
	unsigned max = c->conf->max_fails > 0 ? (unsigned)c->conf->max_fails : s->max_fails;
	uint64_t timeout = c->conf->fail_timeout ? c->conf->fail_timeout : s->fail_timeout;
	uint64_t failed_at;

	if (atomic_load_explicit(&c->state->fails, memory_order_acquire) < max)
		return false;
	/* Another worker may have set it a moment after our now. */
	failed_at = atomic_load_explicit(&c->state->failed_at, memory_order_relaxed);
	return now < failed_at || now - failed_at < timeout;
}

enum { WELL = 1, PRIMARY = 2 };

/* The candidates that are well and no backups, as asked for; returns how many. */
static size_t
select_from(const struct selector *s, const struct candidate *v, size_t n, unsigned which,
	    uint64_t now, const struct candidate **out)
{
	size_t found = 0;

	for (size_t i = 0; i < n && found < SELECTOR_MAX; i++) {
		if ((which & WELL) && is_marked(s, &v[i], now))
			continue;
		if ((which & PRIMARY) && v[i].conf->backup)
			continue;
		out[found++] = &v[i];
	}
	return found;
}

static const struct candidate *
pick_weighted(const struct candidate *const *v, size_t n)
{
	uint64_t sum = 0, at;

	for (size_t i = 0; i < n; i++)
		sum += v[i]->conf->weight > 0 ? (uint64_t)v[i]->conf->weight : 1;
	at = adit_random_below((uint32_t)(sum < UINT32_MAX ? sum : UINT32_MAX));
	for (size_t i = 0; i < n; i++) {
		uint64_t weight = v[i]->conf->weight > 0 ? (uint64_t)v[i]->conf->weight : 1;

		if (at < weight)
			return v[i];
		at -= weight;
	}
	return v[n - 1];
}

/* The finalizer of MurmurHash3: every bit of x decides on every bit of the result. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

/*
 * Rendezvous hashing: each candidate draws a number for this client and the highest wins. So a node
 * that fails or comes back moves only the clients that are its own.
 */
static const struct candidate *
pick_hashed(const struct candidate *const *v, size_t n, uint64_t hash)
{
	const struct candidate *best = v[0];
	uint64_t highest = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t number = mix(hash ^ mix((uint64_t)v[i]->index + 1));

		if (number >= highest) {
			highest = number;
			best = v[i];
		}
	}
	return best;
}

const struct candidate *
selector_pick(struct selector *s, const struct candidate *v, size_t n, uint64_t hash, uint64_t now)
{
	static const unsigned tries[] = { WELL | PRIMARY, WELL, PRIMARY, 0 };
	const struct candidate *from[SELECTOR_MAX];
	size_t found = 0;

	for (size_t i = 0; !found && i < sizeof(tries) / sizeof(*tries); i++)
		found = select_from(s, v, n, tries[i], now, from);
	if (!found)
		return NULL;
	switch (s->strategy) {
	case SELECT_FIFO:
		return from[0];
	case SELECT_RANDOM:
		return pick_weighted(from, found);
	case SELECT_HASH:
		return pick_hashed(from, found, hash);
	case SELECT_ROUND:
	case SELECT_PARALLEL:
	case SELECT_LATENCY:
		break;
	}
	return from[atomic_fetch_add_explicit(&s->turn, 1, memory_order_relaxed) % found];
}

void
node_state_report(struct node_state *state, int err, uint64_t now)
{
	if (!err) {
		/* Most of the time there is nothing to clear, and the cache line stays shared. */
		if (atomic_load_explicit(&state->fails, memory_order_relaxed))
			atomic_store_explicit(&state->fails, 0, memory_order_relaxed);
		return;
	}
	atomic_store_explicit(&state->failed_at, now, memory_order_relaxed);
	atomic_fetch_add_explicit(&state->fails, 1, memory_order_release);
}
