#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <adit/worker.h>

#include "core/runtime/idmap.h"

#define FIRST_BITS 4
#define LAST_BITS 24

/*
 * Multiply-shift (Dietzfelbinger and others, 1997): universal for a random odd key. Twice, since
 * one key in some hundred would put numbers that lie at equal distances, as stream ids do, into few
 * buckets: the second time with the golden ratio, of what the first has mixed.
 */
static size_t
idmap_bucket(const struct idmap *m, uint64_t id)
{
	uint64_t h = id * m->key;

	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15;
	return (size_t)(h >> (64 - m->bits));
}

int
idmap_init(struct idmap *m)
{
	*m = (struct idmap){ .bits = FIRST_BITS };
	m->buckets = calloc((size_t)1 << m->bits, sizeof(struct idmap_node *));
	if (!m->buckets)
		return -ENOMEM;
	adit_random(&m->key, sizeof(m->key));
	m->key |= 1;
	return 0;
}

void
idmap_fini(struct idmap *m)
{
	free(m->buckets);
	*m = (struct idmap){ 0 };
}

struct idmap_node *
idmap_find(const struct idmap *m, uint64_t id)
{
	struct idmap_node *node = m->buckets[idmap_bucket(m, id)];

	while (node && node->id != id)
		node = node->next;
	return node;
}

static void
idmap_link(struct idmap *m, struct idmap_node *node)
{
	struct idmap_node **bucket = &m->buckets[idmap_bucket(m, node->id)];

	node->next = *bucket;
	*bucket = node;
}

static void
idmap_grow(struct idmap *m)
{
	struct idmap bigger = { .bits = m->bits + 1, .key = m->key, .n = m->n };
	struct idmap_node *node, *next;

	bigger.buckets = calloc((size_t)1 << bigger.bits, sizeof(struct idmap_node *));
	if (!bigger.buckets)
		return;
	for (size_t i = 0; i < (size_t)1 << m->bits; i++) {
		for (node = m->buckets[i]; node; node = next) {
			next = node->next;
			idmap_link(&bigger, node);
		}
	}
	free(m->buckets);
	*m = bigger;
}

void
idmap_add(struct idmap *m, struct idmap_node *node, uint64_t id)
{
	if (m->n >= (size_t)1 << m->bits && m->bits < LAST_BITS)
		idmap_grow(m);
	node->id = id;
	idmap_link(m, node);
	m->n++;
}

void
idmap_remove(struct idmap *m, struct idmap_node *node)
{
	struct idmap_node **at = &m->buckets[idmap_bucket(m, node->id)];

	while (*at != node) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	m->n--;
}

void
idmap_each(struct idmap *m, void (*fn)(struct idmap_node *node, void *arg), void *arg)
{
	struct idmap_node *node, *next;

	for (size_t i = 0; m->buckets && i < (size_t)1 << m->bits; i++) {
		for (node = m->buckets[i]; node; node = next) {
			next = node->next;
			fn(node, arg);
		}
	}
}
