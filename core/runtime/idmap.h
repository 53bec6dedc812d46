/*
 * Objects by number, O(1): streams by id, sessions by number. The node stands inside the object, so
 * adding never allocates and never fails. The hash has a secret key: a peer that chooses the
 * numbers cannot choose collisions. One thread.
 */
#ifndef ADIT_CORE_IDMAP_H
#define ADIT_CORE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_node {
	struct idmap_node	*next;
	uint64_t		 id;
};

struct idmap {
	struct idmap_node	**buckets;	/* 1 << bits of them */
	unsigned		 bits;
	uint64_t		 key;
	size_t			 n;
};

/* Returns 0 or -ENOMEM. */
int idmap_init(struct idmap *m);

/* The objects are the caller's; what is still in m is no longer linked. A zeroed m is fine. */
void idmap_fini(struct idmap *m);

/* NULL: there is none. */
struct idmap_node *idmap_find(const struct idmap *m, uint64_t id);

/* id must not be in m. When there is no memory to grow, m gets slower instead. */
void idmap_add(struct idmap *m, struct idmap_node *node, uint64_t id);

/* node must be in m. */
void idmap_remove(struct idmap *m, struct idmap_node *node);

/* Calls fn for each; fn may remove the one it is called for, and nothing else. */
void idmap_each(struct idmap *m, void (*fn)(struct idmap_node *node, void *arg), void *arg);

#endif
