#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/runtime/worker.h"
#include "core/tunnel/kept.h"

#define KEPT_MAX 4096			/* a worker */
#define KEPT_IDLE_NS ADIT_SECONDS(30)	/* as long as gost keeps one */
#define BUCKETS 256

struct kept {
	struct adit_mux		*mux;
	struct kept_pool	*pool;
	uint64_t		 session, visitor, since;
	TAILQ_ENTRY(kept)	 age;		/* the pool's, oldest first */
	LIST_ENTRY(kept)	 bucket;
	uint16_t		 port;
	uint16_t		 host;		/* offset of the host in text */
	char			 text[];	/* tunnel, host */
};

TAILQ_HEAD(kept_list, kept);
LIST_HEAD(kept_bucket, kept);

struct kept_pool {
	struct kept_list	 oldest;
	struct kept_bucket	 buckets[BUCKETS];
	struct adit_timer	*sweep;
	unsigned		 n;
};

static void
kept_free(struct kept *k)
{
	TAILQ_REMOVE(&k->pool->oldest, k, age);
	LIST_REMOVE(k, bucket);
	if (--k->pool->n == 0)
		adit_timer_stop(k->pool->sweep);
	free(k);
}

static void
kept_close(struct kept *k)
{
	struct adit_mux *m = k->mux;

	kept_free(k);
	adit_mux_close(m, NULL);
}

static void
kept_pool_free(void *arg)
{
	struct kept_pool *p = arg;

	while (!TAILQ_EMPTY(&p->oldest))
		kept_close(TAILQ_FIRST(&p->oldest));
	adit_timer_free(p->sweep);
	free(p);
}

/* Closes what has been idle for too long and waits for the next to become so. */
static void
kept_sweep(void *arg)
{
	struct kept_pool *p = arg;
	uint64_t now = adit_now();
	struct kept *k;

	while ((k = TAILQ_FIRST(&p->oldest)) && now - k->since >= KEPT_IDLE_NS)
		kept_close(k);
	if (k)
		adit_timer_set(p->sweep, k->since + KEPT_IDLE_NS - now);
}

static struct kept_pool *
kept_pool(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_FRONTS, kept_pool_free);
	struct kept_pool *p = *slot;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	TAILQ_INIT(&p->oldest);
	p->sweep = adit_timer_new(w, kept_sweep, p);
	if (!p->sweep) {
		free(p);
		return NULL;
	}
	*slot = p;
	return p;
}

/* The session's number spreads well enough: it is what most keys differ in. */
static struct kept_bucket *
kept_bucket(struct kept_pool *p, const struct kept_key *key)
{
	uint64_t h = key->session * 0x9e3779b97f4a7c15u;

	for (const char *s = key->host; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return &p->buckets[(h >> 32) % BUCKETS];
}

static bool
kept_fits(const struct kept *k, const struct kept_key *key)
{
	return k->session == key->session && k->visitor == key->visitor && k->port == key->port &&
	       strcmp(k->text + k->host, key->host) == 0 && strcmp(k->text, key->tunnel) == 0;
}

struct adit_mux *
kept_take(struct adit_worker *w, const struct kept_key *key)
{
	struct kept_pool *p = kept_pool(w);
	struct adit_mux *m;
	struct kept *k;

	if (!p)
		return NULL;
	/* The one used last stands first: the others get their chance to grow old. */
	LIST_FOREACH(k, kept_bucket(p, key), bucket)
		if (kept_fits(k, key) && adit_mux_room(k->mux, ADIT_CONN_EXCHANGE))
			break;
	if (!k)
		return NULL;
	m = k->mux;
	kept_free(k);
	adit_mux_own(m, NULL, NULL);
	adit_mux_want(m, 0);
	return m;
}

static void
kept_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct kept *k = owner;

	(void)events;
	if (adit_mux_err(m))
		kept_close(k);
	else
		adit_mux_unready(m, ADIT_READ);
}

void
kept_put(struct adit_mux *m, const struct kept_key *key)
{
	struct kept_pool *p = kept_pool(adit_mux_worker(m));
	size_t tunnel = strlen(key->tunnel) + 1, host = strlen(key->host) + 1;
	struct kept *k = p && p->n < KEPT_MAX ? malloc(sizeof(*k) + tunnel + host) : NULL;

	if (!k) {
		adit_mux_close(m, NULL);
		return;
	}
	*k = (struct kept){
		.mux = m, .pool = p, .session = key->session, .visitor = key->visitor,
		.since = adit_now(), .port = key->port, .host = (uint16_t)tunnel,
	};
	memcpy(k->text, key->tunnel, tunnel);
	memcpy(k->text + tunnel, key->host, host);
	TAILQ_INSERT_TAIL(&p->oldest, k, age);
	LIST_INSERT_HEAD(kept_bucket(p, key), k, bucket);
	if (++p->n == 1)
		adit_timer_set(p->sweep, KEPT_IDLE_NS);
	adit_mux_own(m, kept_event, k);
	adit_mux_want(m, ADIT_READ);
}

void
kept_drop(struct adit_worker *w, uint64_t visitor)
{
	struct kept_pool *p = kept_pool(w);
	struct kept *k, *next;

	if (!p)
		return;
	for (k = TAILQ_FIRST(&p->oldest); k; k = next) {
		next = TAILQ_NEXT(k, age);
		if (!visitor || k->visitor == visitor)
			kept_close(k);
	}
}

struct drop {
	struct adit_message	 message;
	uint64_t		 session;
};

static void
drop_run(struct adit_message *m, struct adit_worker *w)
{
	struct drop *d = adit_container_of(m, struct drop, message);
	struct kept_pool *p = kept_pool(w);
	struct kept *k, *next;

	for (k = p ? TAILQ_FIRST(&p->oldest) : NULL; k; k = next) {
		next = TAILQ_NEXT(k, age);
		if (k->session == d->session)
			kept_close(k);
	}
	free(d);
}

static void
drop_discard(struct adit_message *m)
{
	free(adit_container_of(m, struct drop, message));
}

void
kept_drop_session(struct adit_worker *w, uint64_t session)
{
	for (unsigned i = 0; i < adit_worker_count(w); i++) {
		struct drop *d = malloc(sizeof(*d));

		if (!d)
			return;		/* they grow old */
		*d = (struct drop){
			.message = { .run = drop_run, .discard = drop_discard }, .session = session,
		};
		adit_worker_post(adit_worker_at(w, i), &d->message);
	}
}
