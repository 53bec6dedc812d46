/*
 * A hash of texts, for tables (FNV-1a). Who chooses texts can make them collide, unless the seed is
 * random and stays here.
 */
#ifndef ADIT_CORE_TEXT_HASH_H
#define ADIT_CORE_TEXT_HASH_H

#include <stdint.h>

/* seed: 0, a random number, or the hash of what is in front of text. */
static inline uint64_t
text_hash(const char *text, uint64_t seed)
{
	uint64_t h = seed ^ 14695981039346656037u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 1099511628211u;
	return h ^ h >> 32;
}

#endif
