#include "core/identity/held.h"

#include <stdlib.h>

struct held *
held_new(void *now, void (*drop)(void *now))
{
	struct held *h = malloc(sizeof(*h));

	if (!h) {
		drop(now);
		return NULL;
	}
	atomic_init(&h->refs, 1);
	atomic_init(&h->now, now);
	h->drop = drop;
	return h;
}

struct held *
held_get(struct held *h)
{
	if (h)
		atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
	return h;
}

void
held_put(struct held *h)
{
	if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
		return;
	h->drop(atomic_load(&h->now));
	free(h);
}

void *
held_now(const struct held *h)
{
	return atomic_load_explicit(&h->now, memory_order_acquire);
}

void *
held_replace(struct held *h, void *fresh)
{
	return atomic_exchange_explicit(&h->now, fresh, memory_order_acq_rel);
}
