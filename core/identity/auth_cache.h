/*
 * Digests of credentials that were verified a short while ago. Any thread; bounded: a new one takes
 * the place of an old one.
 */
#ifndef ADIT_CORE_AUTH_CACHE_H
#define ADIT_CORE_AUTH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#define AUTH_CACHE_DIGEST 32
#define AUTH_CACHE_MAX 1024

struct auth_cache;

struct auth_cache *auth_cache_new(void);	/* NULL: out of memory */
void auth_cache_free(struct auth_cache *c);	/* NULL is fine */

/* digest is of a keyed function: nobody outside can choose its bytes. now: adit_now(). */
void auth_cache_put(struct auth_cache *c, const uint8_t digest[AUTH_CACHE_DIGEST], uint64_t now,
		    uint64_t until);
bool auth_cache_has(struct auth_cache *c, const uint8_t digest[AUTH_CACHE_DIGEST], uint64_t now);

#endif
