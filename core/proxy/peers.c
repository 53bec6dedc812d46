#include "core/proxy/peers.h"

#include <stdlib.h>
#include <sys/queue.h>

#include <adit/worker.h>

#include "core/runtime/addr_hash.h"
#include "core/runtime/idmap.h"

struct peer {
	struct idmap_node	 node;
	TAILQ_ENTRY(peer)	 entry;
	struct adit_addr	 addr;
	uint64_t		 heard;
};

struct peers {
	struct idmap		 table;		/* by a keyed hash of the address */
	TAILQ_HEAD(, peer)	 list;		/* the one silent for longest first */
	unsigned		 n, max;
	uint64_t		 ttl, key;
};

struct peers *
peers_new(unsigned max, uint64_t ttl)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p || idmap_init(&p->table) < 0) {
		free(p);
		return NULL;
	}
	TAILQ_INIT(&p->list);
	p->max = max;
	p->ttl = ttl;
	adit_random(&p->key, sizeof(p->key));
	return p;
}

static void
peer_free(struct peers *p, struct peer *peer)
{
	idmap_remove(&p->table, &peer->node);
	TAILQ_REMOVE(&p->list, peer, entry);
	p->n--;
	free(peer);
}

void
peers_free(struct peers *p)
{
	struct peer *peer;

	if (!p)
		return;
	while ((peer = TAILQ_FIRST(&p->list)))
		peer_free(p, peer);
	idmap_fini(&p->table);
	free(p);
}

/* The interface is known of what came, and not of what is named. */
static uint64_t
peers_key(const struct peers *p, const struct adit_addr *a)
{
	struct adit_addr named = *a;

	named.scope = 0;
	return addr_hash(&named, p->key, p->key);
}

static struct peer *
peers_at(const struct peers *p, uint64_t key)
{
	struct idmap_node *node = idmap_find(&p->table, key);

	return node ? adit_container_of(node, struct peer, node) : NULL;
}

/* Those that are too old go with those that are too many: nobody else needs their place. */
static struct peer *
peers_add(struct peers *p, uint64_t key)
{
	struct peer *peer;

	if (p->n >= p->max)
		peer_free(p, TAILQ_FIRST(&p->list));
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	idmap_add(&p->table, &peer->node, key);
	TAILQ_INSERT_TAIL(&p->list, peer, entry);
	p->n++;
	return peer;
}

void
peers_heard(struct peers *p, const struct adit_addr *from, uint64_t now)
{
	uint64_t key = peers_key(p, from);
	struct peer *peer = peers_at(p, key);

	if (!peer)
		peer = peers_add(p, key);
	if (!peer)
		return;
	peer->addr = *from;
	peer->heard = now;
	TAILQ_REMOVE(&p->list, peer, entry);
	TAILQ_INSERT_TAIL(&p->list, peer, entry);
}

const struct adit_addr *
peers_find(struct peers *p, const struct adit_addr *at, uint64_t now)
{
	struct peer *peer = peers_at(p, peers_key(p, at));
	struct adit_addr named = *at;

	if (!peer)
		return NULL;
	named.scope = peer->addr.scope;
	if (now - peer->heard < p->ttl && adit_addr_equal(&named, &peer->addr))
		return &peer->addr;
	return NULL;
}
