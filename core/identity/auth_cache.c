#include "core/identity/auth_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#define WAYS 4u
#define ROWS (AUTH_CACHE_MAX / WAYS)

struct remembered {
	uint8_t		digest[AUTH_CACHE_DIGEST];
	uint64_t	until;		/* 0: nothing */
};

struct auth_cache {
	pthread_mutex_t		lock;
	struct remembered	rows[ROWS][WAYS];
};

struct auth_cache *
auth_cache_new(void)
{
	struct auth_cache *c = calloc(1, sizeof(*c));

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
auth_cache_free(struct auth_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

static struct remembered *
cache_row(struct auth_cache *c, const uint8_t *digest)
{
	return c->rows[(digest[0] | (unsigned)digest[1] << 8) % ROWS];
}

void
auth_cache_put(struct auth_cache *c, const uint8_t digest[AUTH_CACHE_DIGEST], uint64_t now,
	       uint64_t until)
{
	struct remembered *row = cache_row(c, digest), *place = row;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < WAYS; i++) {
		if (gnutls_memcmp(row[i].digest, digest, AUTH_CACHE_DIGEST) == 0 ||
		    row[i].until <= now) {
			place = &row[i];
			break;
		}
		if (row[i].until < place->until)
			place = &row[i];
	}
	memcpy(place->digest, digest, AUTH_CACHE_DIGEST);
	place->until = until;
	pthread_mutex_unlock(&c->lock);
}

bool
auth_cache_has(struct auth_cache *c, const uint8_t digest[AUTH_CACHE_DIGEST], uint64_t now)
{
	struct remembered *row = cache_row(c, digest);
	unsigned found = 0;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < WAYS; i++)
		found |= (unsigned)(gnutls_memcmp(row[i].digest, digest, AUTH_CACHE_DIGEST) == 0) &
			 (unsigned)(row[i].until > now);
	pthread_mutex_unlock(&c->lock);
	return found;
}
