#include "core/policy/shares.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <adit/err.h>
#include <adit/worker.h>

#include "core/conn/conn.h"
#include "core/conn/throttle.h"
#include "core/runtime/addr_hash.h"
#include "core/runtime/bucket.h"

#define TABLE 4096			/* a power of two */
#define CLEANUP ADIT_SECONDS(60)
#define CLEANUP_FULL ADIT_SECONDS(1)	/* while the table has no room */
#define IPV6_BITS 64			/* of an address that say whose: RFC 4291, 2.5.4 */

/* Of one address, or of all. */
struct share {
	struct share		*next;
	struct adit_addr	 who;		/* port: how many bits of it count */
	atomic_uint		 refs;		/* who may touch it; taken under the lock */
	atomic_uint		 open;
	struct bucket		 in, out;	/* in: requests, too */
};

struct shares {
	atomic_uint		 refs;
	struct share		 all;
	_Atomic uint64_t	 period;
	pthread_mutex_t		 lock;		/* of what is below */
	struct share		*table[TABLE];
	size_t			 n;
	uint64_t		 key;		/* of the hash */
	uint64_t		 cleaned;	/* when */
};

struct shares *
shares_new(void)
{
	struct shares *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	atomic_init(&s->period, CLEANUP);
	pthread_mutex_init(&s->lock, NULL);
	adit_random(&s->key, sizeof(s->key));
	return s;
}

struct shares *
shares_get(struct shares *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void
shares_free(struct shares *s)
{
	for (size_t i = 0; i < TABLE; i++) {
		struct share *share;

		while ((share = s->table[i])) {
			s->table[i] = share->next;
			free(share);
		}
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
shares_put(struct shares *s)
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		shares_free(s);
}

void
shares_set_cleanup(struct shares *s, uint64_t period)
{
	atomic_store_explicit(&s->period, period ? period : CLEANUP, memory_order_relaxed);
}

unsigned
shares_open(const struct shares *s)
{
	return atomic_load_explicit(&s->all.open, memory_order_relaxed);
}

size_t
shares_known(struct shares *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- the table ---------------------------------------------------------------------- */

static struct share **
shares_bucket(struct shares *s, const struct adit_addr *who)
{
	return &s->table[(addr_hash(who, s->key, s->key) >> 40) & (TABLE - 1)];
}

/* Whether a new one would be no different. */
static bool
share_is_idle(const struct share *share, uint64_t now)
{
	return !atomic_load_explicit(&share->refs, memory_order_acquire) &&
	       bucket_is_full(&share->in, now) && bucket_is_full(&share->out, now);
}

static void
shares_clean(struct shares *s, uint64_t now)
{
	s->cleaned = now;
	for (size_t i = 0; i < TABLE; i++) {
		struct share **at = &s->table[i], *share;

		while ((share = *at)) {
			if (!share_is_idle(share, now)) {
				at = &share->next;
				continue;
			}
			*at = share->next;
			free(share);
			s->n--;
		}
	}
}

static struct share *
shares_add(struct shares *s, const struct adit_addr *who)
{
	struct share **at = shares_bucket(s, who), *share = calloc(1, sizeof(*share));

	if (!share)
		return NULL;
	share->who = *who;
	share->next = *at;
	*at = share;
	s->n++;
	return share;
}

/*
 * Whose share who has a part in. Whoever has an IPv6 address has 2^64 of them, so a network of that
 * many is one user; where a line is about a part of such a network each address is by itself.
 */
static struct adit_addr
share_owner(const struct adit_addr *who, const struct limit *limit)
{
	bool whole = limit->key == LIMIT_ADDRESS && limit->range.bits > IPV6_BITS;
	struct addr_range own = { .first = *who };

	own.bits = who->family == AF_INET ? 32 : whole ? 128 : IPV6_BITS;
	addr_range_mask(&own);
	own.first.port = (uint16_t)own.bits;
	own.first.scope = 0;
	return own.first;
}

/* That of who under limit, for the caller to put. 0, ADIT_ELIMIT or -ENOMEM. */
static int
shares_find(struct shares *s, const struct adit_addr *who, const struct limit *limit,
	    uint64_t now, struct share **out)
{
	struct adit_addr owner = share_owner(who, limit);
	struct share *share;
	uint64_t period;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	period = s->n < SHARES_MAX ? atomic_load(&s->period) : CLEANUP_FULL;
	if (now - s->cleaned >= period)
		shares_clean(s, now);
	for (share = *shares_bucket(s, &owner); share; share = share->next)
		if (adit_addr_equal(&share->who, &owner))
			break;
	if (!share && s->n >= SHARES_MAX)
		err = ADIT_ELIMIT;
	else if (!share && !(share = shares_add(s, &owner)))
		err = -ENOMEM;
	if (share)
		atomic_fetch_add_explicit(&share->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
	*out = share;
	return err;
}

static void
share_put(struct share *share)
{
	if (share)
		atomic_fetch_sub_explicit(&share->refs, 1, memory_order_release);
}

static bool
is_ip(const struct adit_addr *a)
{
	return a->family == AF_INET || a->family == AF_INET6;
}

/* The limit for who among the connections or requests; NULL: none. */
static const struct limit *
limit_of(const struct limits *limits, const struct adit_addr *who)
{
	const struct limit *own = is_ip(who) ? limits_address(limits, who) : NULL;

	return own || !is_ip(who) ? own : limits_each(limits);
}

/* ---- connections ---------------------------------------------------------------------- */

struct counted {
	struct conn_ticket	 ticket;
	struct shares		*shares;	/* referenced */
	struct share		*own;		/* the same; NULL: none */
};

/* Whether there was room. A limit of 0 is none. */
static bool
share_enter(struct share *share, const struct limit *limit)
{
	unsigned before = atomic_fetch_add_explicit(&share->open, 1, memory_order_relaxed);

	if (!limit || !limit->n || before < limit->n)
		return true;
	atomic_fetch_sub_explicit(&share->open, 1, memory_order_relaxed);
	return false;
}

static void
share_leave(struct share *share)
{
	atomic_fetch_sub_explicit(&share->open, 1, memory_order_relaxed);
}

static void
counted_gone(struct conn_ticket *ticket)
{
	struct counted *counted = adit_container_of(ticket, struct counted, ticket);

	share_leave(&counted->shares->all);
	if (counted->own)
		share_leave(counted->own);
	share_put(counted->own);
	shares_put(counted->shares);
	free(counted);
}

static int
counted_enter(struct counted *counted, const struct limits *limits, const struct adit_addr *who)
{
	const struct limit *own = limit_of(limits, who);
	struct shares *s = counted->shares;
	int err = own ? shares_find(s, who, own, adit_now(), &counted->own) : 0;

	if (err)
		return err;
	if (!share_enter(&s->all, limits_all(limits))) {
		share_put(counted->own);
		return ADIT_ELIMIT;
	}
	if (counted->own && !share_enter(counted->own, own)) {
		share_leave(&s->all);
		share_put(counted->own);
		return ADIT_ELIMIT;
	}
	return 0;
}

int
shares_admit(struct shares *s, const struct limits *limits, struct adit_conn *c)
{
	struct counted *counted = calloc(1, sizeof(*counted));
	int err;

	if (!counted)
		return -ENOMEM;
	counted->ticket.gone = counted_gone;
	counted->shares = s;
	err = counted_enter(counted, limits, adit_conn_remote(c));
	if (err) {
		free(counted);
		return err;
	}
	shares_get(s);
	conn_hold_ticket(c, &counted->ticket);
	return 0;
}

/* ---- requests --------------------------------------------------------------------------- */

/* gost's: one more than what comes in a second, without its fraction. */
static void
set_requests(struct bucket *b, const struct limit *limit)
{
	bucket_set(b, limit->n, limit->n / 1000 + 1);
}

/* Whether there is room for one more; else *wait says when. */
static bool
requests_fit(struct bucket *b, const struct limit *limit, uint64_t now, uint64_t *wait)
{
	if (!limit)
		return true;
	set_requests(b, limit);
	*wait = bucket_wait(b, 1, now);
	return !*wait;
}

int
shares_allow(struct shares *s, const struct limits *limits, const struct adit_addr *who,
	     uint64_t now, uint64_t *wait)
{
	const struct limit *all = limits_all(limits), *own = limit_of(limits, who);
	struct share *share = NULL;
	int err = own ? shares_find(s, who, own, now, &share) : 0;
	bool fits = !err;

	*wait = err ? CLEANUP_FULL : 0;
	/* Looked at first: who is refused by the one takes nothing from the other. */
	fits = fits && requests_fit(&s->all.in, all, now, wait);
	if (fits && share)
		fits = requests_fit(&share->in, own, now, wait) && bucket_try(&share->in, 1, now);
	if (fits && all)
		fits = bucket_try(&s->all.in, 1, now);
	share_put(share);
	return err ? err : fits ? 0 : ADIT_ELIMIT;
}

/* ---- bytes -------------------------------------------------------------------------------- */

struct slowed {
	struct shares	*shares;	/* referenced */
	struct share	*own;		/* the same; NULL: none */
	struct bucket	 in, out;	/* of this conn alone */
};

static void
slowed_gone(void *arg)
{
	struct slowed *slowed = arg;

	share_put(slowed->own);
	shares_put(slowed->shares);
	free(slowed);
}

static void
set_bytes(struct bucket *b, uint64_t rate, uint64_t burst)
{
	bucket_set(b, rate * 1000, burst ? burst : rate);
}

/* Adds what limit gives to the i-th place of conf. */
static void
slow_by(struct throttle_conf *conf, size_t i, const struct limit *limit, struct bucket *in,
	struct bucket *out)
{
	set_bytes(in, limit->in, limit->burst);
	set_bytes(out, limit->out, limit->burst);
	conf->in[i] = limit->in ? in : NULL;
	conf->out[i] = limit->out ? out : NULL;
}

static bool
slows(const struct throttle_conf *conf)
{
	for (size_t i = 0; i < THROTTLE_BUCKETS; i++)
		if (conf->in[i] || conf->out[i])
			return true;
	return false;
}

static int
slowed_fill(struct slowed *slowed, const struct limits *limits, const struct adit_addr *who,
	    unsigned scope, struct throttle_conf *conf)
{
	const struct limit *all = scope & SHARES_SERVICE ? limits_all(limits) : NULL;
	const struct limit *each = scope & SHARES_CONN ? limits_each(limits) : NULL;
	const struct limit *own =
		scope & SHARES_CONN && is_ip(who) ? limits_address(limits, who) : NULL;
	int err = own ? shares_find(slowed->shares, who, own, adit_now(), &slowed->own) : 0;

	if (err)
		return err;
	if (all)
		slow_by(conf, 0, all, &slowed->shares->all.in, &slowed->shares->all.out);
	if (each)
		slow_by(conf, 1, each, &slowed->in, &slowed->out);
	if (own)
		slow_by(conf, 2, own, &slowed->own->in, &slowed->own->out);
	return 0;
}

int
shares_slow(struct shares *s, const struct limits *limits, struct adit_conn *c, unsigned scope)
{
	struct slowed *slowed = calloc(1, sizeof(*slowed));
	struct throttle_conf conf = { .gone = slowed_gone, .arg = slowed };
	int err;

	if (!slowed)
		return -ENOMEM;
	slowed->shares = shares_get(s);
	err = slowed_fill(slowed, limits, adit_conn_remote(c), scope, &conf);
	if (!err && slows(&conf)) {
		err = conn_throttle(c, &conf);
		if (!err)
			return 0;
	}
	slowed_gone(slowed);
	return err == -EALREADY ? 0 : err;
}
