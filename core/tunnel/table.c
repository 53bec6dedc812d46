#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/mux/mux.h"
#include "core/tunnel/table.h"

#define SHARD_BITS 10
#define SHARDS (1u << SHARD_BITS)
#define MEMBERS_MAX 1000000u		/* of all tunnels */
#define POOL_MAX 16384u			/* of one */
#define HASH_PRIME ((UINT64_C(1) << 61) - 1)

/* What stands in every object that readers may still see when it is replaced. */
struct garbage {
	struct garbage		*next;
};

/* A session in the table. Lives as long as a pool that readers may see names it. */
struct tunnel_entry {
	struct garbage		 garbage;
	struct tunnel_member	 member;
	uint64_t		 hash;
	char			 name[];
};

/* The sessions of one tunnel; at least one. Immutable. */
struct pool {
	struct garbage				 garbage;
	uint64_t				 hash;
	const char				*name;	/* one of its entries' */
	unsigned				 n;
	const struct tunnel_member		*members[];
};

/* The tunnels of one part of all names. Immutable. */
struct shard {
	struct garbage		 garbage;
	unsigned		 n;
	struct pool		*pools[];
};

struct tunnel_table {
	pthread_mutex_t		 lock;		/* of all below; of shards only to change them */
	unsigned		 refs;		/* workers' parts, and grace on its way */
	uint64_t		 last_number;
	unsigned		 n;		/* members */
	struct garbage		*replaced;	/* since the grace under way began */
	struct garbage		*dying;		/* freed at its end */
	bool			 grace;		/* it is on its way through the workers */
	struct adit_message	 message;
	unsigned		 next_worker;	/* message's */
	struct adit_worker	*any_worker;	/* of the group */

	uint64_t		 keys[2];	/* of the hash: clients choose names */
	_Atomic(struct shard *)	 shards[SHARDS];
};

static const struct tunnel_entry *
entry_of(const struct tunnel_member *m)
{
	return (const struct tunnel_entry *)(const void *)
	       ((const char *)m - offsetof(struct tunnel_entry, member));
}

/* ---- names ------------------------------------------------------------------------- */

static uint64_t
hash_step(uint64_t hash, uint64_t key, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(hash + word) * key;
	uint64_t sum = (uint64_t)(product & HASH_PRIME) + (uint64_t)(product >> 61);

	return sum >= HASH_PRIME ? sum - HASH_PRIME : sum;
}

/*
 * A polynomial over the name's words of 7 bytes in the field of 2^61 - 1, at a secret point: two
 * names collide with a probability of some 2^-58, whoever chooses them.
 */
static uint64_t
table_hash(const struct tunnel_table *t, const char *name)
{
	size_t len = strlen(name);
	uint64_t hash = hash_step(t->keys[0], t->keys[1], len);

	for (size_t at = 0; at < len; at += 7) {
		uint64_t word = 0;

		memcpy(&word, name + at, len - at < 7 ? len - at : 7);
		hash = hash_step(hash, t->keys[1], word);
	}
	return hash;
}

static _Atomic(struct shard *) *
table_shard(struct tunnel_table *t, uint64_t hash)
{
	return &t->shards[hash & (SHARDS - 1)];
}

static unsigned
shard_find(const struct shard *s, uint64_t hash, const char *name)
{
	for (unsigned i = 0; s && i < s->n; i++)
		if (s->pools[i]->hash == hash && strcmp(s->pools[i]->name, name) == 0)
			return i;
	return UINT32_MAX;
}

/* ---- what was replaced ----------------------------------------------------------------- */

static void
garbage_free(struct garbage *g)
{
	while (g) {
		struct garbage *next = g->next;

		free(g);
		g = next;
	}
}

static void
table_free(struct tunnel_table *t)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = atomic_load_explicit(&t->shards[i], memory_order_relaxed);

		for (unsigned k = 0; s && k < s->n; k++) {
			for (unsigned n = 0; n < s->pools[k]->n; n++)
				free((void *)(uintptr_t)entry_of(s->pools[k]->members[n]));
			free(s->pools[k]);
		}
		free(s);
	}
	garbage_free(t->replaced);
	garbage_free(t->dying);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Unlocks as well. */
static void
table_put(struct tunnel_table *t)
{
	bool last = --t->refs == 0;

	pthread_mutex_unlock(&t->lock);
	if (last)
		table_free(t);
}

/*
 * Nobody who was reading when it began still is: it has been on every worker between two callbacks.
 */
static void
grace_end(struct tunnel_table *t)
{
	struct garbage *dead = t->dying;

	t->dying = t->replaced;
	t->replaced = NULL;
	t->next_worker = 1;
	t->grace = t->dying != NULL;
	if (t->grace) {
		pthread_mutex_unlock(&t->lock);
		garbage_free(dead);
		adit_worker_post(t->any_worker, &t->message);
		return;
	}
	table_put(t);
	garbage_free(dead);
}

static void
grace_run(struct adit_message *m, struct adit_worker *w)
{
	struct tunnel_table *t = adit_container_of(m, struct tunnel_table, message);
	struct adit_worker *next = adit_worker_at(w, t->next_worker);

	t->next_worker++;
	if (next) {
		adit_worker_post(next, m);
		return;
	}
	pthread_mutex_lock(&t->lock);
	grace_end(t);
}

/* The workers are ending: what is dying goes with the table. */
static void
grace_discard(struct adit_message *m)
{
	struct tunnel_table *t = adit_container_of(m, struct tunnel_table, message);

	pthread_mutex_lock(&t->lock);
	table_put(t);
}

/* Locked. */
static void
table_retire(struct tunnel_table *t, struct garbage *g)
{
	if (!g)
		return;
	g->next = t->replaced;
	t->replaced = g;
}

/* Locked; unlocks. */
static void
table_begin_grace(struct tunnel_table *t)
{
	bool begin = !t->grace && t->replaced;

	if (begin) {
		t->grace = true;
		t->refs++;
		t->dying = t->replaced;
		t->replaced = NULL;
		t->next_worker = 1;
	}
	pthread_mutex_unlock(&t->lock);
	if (begin)
		adit_worker_post(t->any_worker, &t->message);
}

/* ---- workers' parts ---------------------------------------------------------------------- */

static struct tunnel_table *
table_new(struct adit_worker *w)
{
	struct tunnel_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->message = (struct adit_message){ .run = grace_run, .discard = grace_discard };
	t->any_worker = adit_worker_at(w, 0);
	adit_random(t->keys, sizeof(t->keys));
	for (int i = 0; i < 2; i++)
		t->keys[i] = t->keys[i] % (HASH_PRIME - 2) + 1;
	return t;
}

static void
session_free(struct idmap_node *node, void *arg)
{
	(void)arg;
	free(adit_container_of(node, struct tunnel_session, node));
}

static void
part_fini(void *arg)
{
	struct tunnel_worker *part = arg;

	idmap_each(&part->sessions, session_free, NULL);
	idmap_fini(&part->sessions);
	pthread_mutex_lock(&part->table->lock);
	table_put(part->table);
	free(part);
}

/* Locked. */
static struct tunnel_worker *
part_new(struct tunnel_table *t, struct adit_worker *w)
{
	struct tunnel_worker *part = calloc(1, sizeof(*part));

	if (!part || idmap_init(&part->sessions) < 0) {
		free(part);
		return NULL;
	}
	part->table = t;
	part->worker = w;
	adit_random(&part->chance, sizeof(part->chance));
	t->refs++;
	*worker_slot(w, SLOT_TUNNELS, part_fini) = part;
	return part;
}

struct start {
	struct tunnel_table	*table;
	unsigned		 n;
};

static void
part_start(struct adit_worker *w, void *arg)
{
	struct start *start = arg;

	pthread_mutex_lock(&start->table->lock);
	start->n += part_new(start->table, w) != NULL;
	pthread_mutex_unlock(&start->table->lock);
}

int
tunnels_start(struct worker_group *g)
{
	struct start start = { .table = table_new(workers_at(g, 0)) };

	if (!start.table)
		return -ENOMEM;
	start.table->refs = 1;
	workers_call(g, part_start, &start);
	pthread_mutex_lock(&start.table->lock);
	table_put(start.table);
	return start.n == workers_count(g) ? 0 : -ENOMEM;
}

struct tunnel_worker *
tunnels_of(struct adit_worker *w)
{
	struct tunnel_worker *part = *worker_slot(w, SLOT_TUNNELS, part_fini);
	struct tunnel_table *t;

	if (part || adit_worker_count(w) > 1)
		return part;
	t = table_new(w);
	if (!t)
		return NULL;
	part = part_new(t, w);
	if (!part)
		table_free(t);
	return part;
}

struct tunnel_session *
tunnels_session(const struct tunnel_worker *part, uint64_t number)
{
	struct idmap_node *node = idmap_find(&part->sessions, number);

	return node ? adit_container_of(node, struct tunnel_session, node) : NULL;
}

const struct tunnel_member *const *
tunnels_find(const struct tunnel_worker *part, const char *name, unsigned *n)
{
	uint64_t hash = table_hash(part->table, name);
	const struct shard *s = atomic_load_explicit(table_shard(part->table, hash),
						     memory_order_acquire);
	unsigned i = shard_find(s, hash, name);

	if (i == UINT32_MAX) {
		*n = 0;
		return NULL;
	}
	*n = s->pools[i]->n;
	return s->pools[i]->members;
}

unsigned
tunnels_count(const struct tunnel_worker *part)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SHARDS; i++) {
		const struct shard *s = atomic_load_explicit(&part->table->shards[i],
							     memory_order_acquire);

		n += s ? s->n : 0;
	}
	return n;
}

/* ---- changes ----------------------------------------------------------------------------- */

/* A pool like old (may be NULL) with add, or without drop. NULL: no memory. Locked. */
static struct pool *
pool_copy(const struct pool *old, const struct tunnel_entry *add, const struct tunnel_entry *drop)
{
	unsigned n = old ? old->n : 0;
	struct pool *p = calloc(1, sizeof(*p) + (n + 1) * sizeof(*p->members));

	if (!p)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		if (!drop || old->members[i] != &drop->member)
			p->members[p->n++] = old->members[i];
		/* Sessions of one client stand side by side. */
		if (add && tunnel_same_client(old->members[i], &add->member)) {
			p->members[p->n++] = &add->member;
			add = NULL;
		}
	}
	if (add)
		p->members[p->n++] = &add->member;
	if (p->n) {
		p->hash = entry_of(p->members[0])->hash;
		p->name = entry_of(p->members[0])->name;
	}
	return p;
}

/*
 * A shard like old (may be NULL) where p stands at i (at its end: a new one), or nothing if p is
 * empty.
 */
static struct shard *
shard_copy(const struct shard *old, unsigned i, struct pool *p)
{
	unsigned n = old ? old->n : 0;
	struct shard *s = calloc(1, sizeof(*s) + (n + 1) * sizeof(struct pool *));

	if (!s)
		return NULL;
	for (unsigned k = 0; k < n; k++) {
		if (k != i)
			s->pools[s->n++] = old->pools[k];
		else if (p->n)
			s->pools[s->n++] = p;
	}
	if (i >= n && p->n)
		s->pools[s->n++] = p;
	return s;
}

/* Adds or drops one; 0 or -ENOMEM, -EUSERS. Locked. */
static int
table_change(struct tunnel_table *t, struct tunnel_entry *add, struct tunnel_entry *drop)
{
	const struct tunnel_entry *e = add ? add : drop;
	_Atomic(struct shard *) *at = table_shard(t, e->hash);
	struct shard *old = atomic_load_explicit(at, memory_order_relaxed), *s = NULL;
	unsigned i = shard_find(old, e->hash, e->name);
	struct pool *was = i == UINT32_MAX ? NULL : old->pools[i], *p;

	if (add && was && was->n >= POOL_MAX)
		return -EUSERS;
	p = pool_copy(was, add, drop);
	if (p)
		s = shard_copy(old, i, p);
	if (!s) {
		free(p);
		return -ENOMEM;
	}
	atomic_store_explicit(at, s, memory_order_release);
	if (!p->n)
		free(p);
	if (was)
		table_retire(t, &was->garbage);
	if (old)
		table_retire(t, &old->garbage);
	if (drop)
		table_retire(t, &drop->garbage);
	return 0;
}

static struct tunnel_entry *
entry_new(const struct adit_member *m, unsigned worker)
{
	size_t len = strlen(m->tunnel);
	struct tunnel_entry *e = calloc(1, sizeof(*e) + len + 1);

	if (!e)
		return NULL;
	memcpy(e->name, m->tunnel, len);
	e->member.worker = worker;
	e->member.network = m->network;
	e->member.client = m->client;
	e->member.weight = (uint8_t)m->weight;
	e->member.visitor_address = m->visitor_address;
	atomic_init(&e->member.usable, true);
	atomic_init(&e->member.heard, UINT64_MAX);
	return e;
}

/* Returns its number, or 0. */
static uint64_t
table_add(struct tunnel_table *t, struct tunnel_entry *e)
{
	uint64_t number = 0;

	pthread_mutex_lock(&t->lock);
	e->hash = table_hash(t, e->name);
	e->member.number = t->last_number + 1;
	if (t->n < MEMBERS_MAX && table_change(t, e, NULL) == 0) {
		t->n++;
		number = ++t->last_number;
	}
	table_begin_grace(t);
	return number;
}

uint64_t
adit_tunnel_join(struct adit_worker *w, const struct adit_member *m)
{
	struct tunnel_worker *part = tunnels_of(w);
	struct tunnel_session *s;
	uint64_t number = 0;

	if (!part || strlen(m->tunnel) > ADIT_TUNNEL_NAME_MAX || m->weight > ADIT_WEIGHT_EXCLUSIVE)
		return 0;
	s = calloc(1, sizeof(*s));
	if (s)
		s->entry = entry_new(m, adit_worker_index(w));
	if (s && s->entry)
		number = table_add(part->table, s->entry);
	if (!number) {
		if (s)
			free(s->entry);
		free(s);
		return 0;
	}
	s->open = m->open;
	s->session = m->session;
	idmap_add(&part->sessions, &s->node, number);
	return number;
}

void
adit_tunnel_leave(struct adit_worker *w, uint64_t number)
{
	struct tunnel_worker *part = tunnels_of(w);
	struct tunnel_session *s = part && number ? tunnels_session(part, number) : NULL;
	struct tunnel_table *t;

	if (!s)
		return;
	t = part->table;
	mux_unfollow(&s->follower);
	idmap_remove(&part->sessions, &s->node);
	atomic_store_explicit(&s->entry->member.usable, false, memory_order_relaxed);
	pthread_mutex_lock(&t->lock);
	/* Without memory it stays where it is, unusable, until the table goes. */
	if (table_change(t, NULL, s->entry) == 0)
		t->n--;
	table_begin_grace(t);
	free(s);
}

void
tunnels_follow(struct tunnel_worker *part, uint64_t number, struct adit_mux *m)
{
	struct tunnel_session *s = tunnels_session(part, number);

	if (!s)
		return;
	mux_unfollow(&s->follower);
	s->follower.heard = &s->entry->member.heard;
	mux_follow(m, &s->follower);
}

bool
tunnels_say_leaving(struct tunnel_worker *part, uint64_t number)
{
	struct tunnel_session *s = tunnels_session(part, number);
	const struct tunnel_member *const *members;
	unsigned n;

	if (!s)
		return true;
	/* Others who go are perhaps about to say so, too. */
	if (!atomic_exchange_explicit(&s->entry->member.leaving, true, memory_order_relaxed))
		return false;
	members = tunnels_find(part, s->entry->name, &n);
	for (unsigned i = 0; i < n; i++)
		if (members[i]->network == s->entry->member.network &&
		    !atomic_load_explicit(&members[i]->leaving, memory_order_relaxed) &&
		    member_serves(members[i]))
			return true;
	return false;
}

void
adit_tunnel_set_usable(struct adit_worker *w, uint64_t number, bool usable)
{
	struct tunnel_worker *part = tunnels_of(w);
	struct tunnel_session *s = part && number ? tunnels_session(part, number) : NULL;

	if (!s)
		return;
	if (!usable)
		atomic_store_explicit(&s->entry->member.doubted, adit_now(), memory_order_relaxed);
	atomic_store_explicit(&s->entry->member.usable, usable, memory_order_relaxed);
}
