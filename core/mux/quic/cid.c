#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/worker.h>
#include <gnutls/crypto.h>

#include "core/mux/quic/cid.h"

#define BITS_FIRST 6

/* Folded multiplication: without the key nobody can choose ids that meet. */
static uint64_t
cids_mix(uint64_t a, uint64_t b)
{
	__uint128_t r = (__uint128_t)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static struct quic_cid **
cids_bucket(const struct quic_cids *t, const uint8_t *bytes, size_t len)
{
	uint64_t words[3] = { 0 }, h;

	memcpy(words, bytes, len);
	h = cids_mix(words[0] ^ t->key[0], words[1] ^ t->key[1]);
	h = cids_mix(h ^ words[2] ^ len, t->key[0]);
	return &t->buckets[h >> (64 - t->bits)];
}

int
quic_cids_init(struct quic_cids *t)
{
	*t = (struct quic_cids){ .bits = BITS_FIRST };
	adit_random(t->key, sizeof(t->key));
	t->buckets = calloc((size_t)1 << t->bits, sizeof(*t->buckets));
	return t->buckets ? 0 : -ENOMEM;
}

void
quic_cids_fini(struct quic_cids *t)
{
	free(t->buckets);
	t->buckets = NULL;
}

struct quic_cid *
quic_cids_find(const struct quic_cids *t, const uint8_t *bytes, size_t len)
{
	struct quic_cid *cid;

	if (len > QUIC_CID_MAX)
		return NULL;
	cid = *cids_bucket(t, bytes, len);
	while (cid && (cid->len != len || memcmp(cid->bytes, bytes, len)))
		cid = cid->next;
	return cid;
}

/* Doubles the table; without memory it stays as it is, and slower. */
static void
cids_grow(struct quic_cids *t)
{
	struct quic_cids bigger = *t;

	bigger.bits++;
	bigger.buckets = calloc((size_t)1 << bigger.bits, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return;
	for (size_t i = 0; i < (size_t)1 << t->bits; i++) {
		struct quic_cid *cid = t->buckets[i], *next, **to;

		for (; cid; cid = next) {
			next = cid->next;
			to = cids_bucket(&bigger, cid->bytes, cid->len);
			cid->next = *to;
			*to = cid;
		}
	}
	free(t->buckets);
	*t = bigger;
}

struct quic_cid *
quic_cids_add(struct quic_cids *t, const uint8_t *bytes, size_t len, struct quic_session *s)
{
	struct quic_cid *cid, **to;

	if (len > QUIC_CID_MAX)
		return NULL;
	cid = calloc(1, sizeof(*cid));
	if (!cid)
		return NULL;
	if (t->n >= (size_t)1 << t->bits)
		cids_grow(t);
	*cid = (struct quic_cid){ .len = (uint8_t)len, .session = s };
	memcpy(cid->bytes, bytes, len);
	to = cids_bucket(t, bytes, len);
	cid->next = *to;
	*to = cid;
	t->n++;
	return cid;
}

void
quic_cids_remove(struct quic_cids *t, struct quic_cid *cid)
{
	struct quic_cid **at = cids_bucket(t, cid->bytes, cid->len);

	while (*at != cid)
		at = &(*at)->next;
	*at = cid->next;
	t->n--;
	free(cid);
}

void
quic_cid_make(uint8_t *bytes, unsigned worker, unsigned generation)
{
	if (gnutls_rnd(GNUTLS_RND_NONCE, bytes, QUIC_CID_LEN) < 0)
		adit_random(bytes, QUIC_CID_LEN);
	bytes[0] = (uint8_t)worker;
	bytes[1] = (uint8_t)generation;
}

bool
quic_cid_owner(const uint8_t *bytes, size_t len, unsigned *worker, unsigned *generation)
{
	if (len != QUIC_CID_LEN)
		return false;
	*worker = bytes[0];
	*generation = bytes[1];
	return true;
}
