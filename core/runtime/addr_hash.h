/*
 * A keyed hash of addresses, for tables: who chooses his address cannot choose whom he collides
 * with, as long as the key is random and stays here.
 */
#ifndef ADIT_CORE_ADDR_HASH_H
#define ADIT_CORE_ADDR_HASH_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <adit/addr.h>

/* h: key, or the hash of what is in front of a. */
static inline uint64_t
addr_hash(const struct adit_addr *a, uint64_t key, uint64_t h)
{
	uint64_t words[3];

	static_assert(sizeof(*a) == sizeof(words), "an address is 3 words");
	memcpy(words, a, sizeof(*a));
	for (size_t i = 0; i < 3; i++) {
		h = (h ^ words[i]) * 0xbf58476d1ce4e5b9u;
		h ^= h >> 29;
		h = h * 0x94d049bb133111ebu + key;
	}
	return h;
}

#endif
