#include <errno.h>
#include <string.h>
#include <time.h>

#include <gnutls/crypto.h>

#include "core/mux/quic/internal.h"

#define RETRY_LIFE   ADIT_SECONDS(10)
#define RESET_LEAST  (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)
#define SHORT_PACKET 0x40

int
quic_keys_derive(struct quic_keys *keys, const uint8_t *secret, size_t len)
{
	const gnutls_datum_t reset = { (unsigned char *)(uintptr_t) "adit quic reset", 15 },
			     token = { (unsigned char *)(uintptr_t) "adit quic token", 15 };
	uint8_t random[32], prk[32];
	gnutls_datum_t key = { (unsigned char *)(uintptr_t)secret, (unsigned)len },
		       salt = { NULL, 0 };
	int err;

	if (secret && len < 16)
		return -EINVAL;
	if (!secret) {
		if (gnutls_rnd(GNUTLS_RND_KEY, random, sizeof(random)) < 0)
			return -EIO;
		key = (gnutls_datum_t){ random, sizeof(random) };
	}
	err = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &salt, prk);
	key = (gnutls_datum_t){ prk, sizeof(prk) };
	if (!err)
		err = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &reset, keys->reset,
					 sizeof(keys->reset));
	if (!err)
		err = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &token, keys->token,
					 sizeof(keys->token));
	gnutls_memset(random, 0, sizeof(random));
	gnutls_memset(prk, 0, sizeof(prk));
	return err ? -EIO : 0;
}

/* Tokens outlive the process, so their time is the wall clock's. */
static uint64_t
stateless_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
stateless_send(struct quic_endpoint *ep, const struct quic_path *path, ngtcp2_ssize len,
               uint64_t *count)
{
	if (len <= 0)
		return;
	quic_tx_add(ep, &path->path, 0, (size_t)len);
	++*count;
}

/* RFC 9000, 6.1: only for datagrams long enough to be an Initial of any version. */
static void
stateless_versions(struct quic_endpoint *ep, const struct quic_datagram *d,
                   const ngtcp2_version_cid *vc, uint64_t now)
{
	uint8_t *to, random = 0;

	if (d->len < QUIC_INITIAL_MIN || !quic_rate_take(&ep->versions, now))
		return;
	to = quic_tx_room(ep, QUIC_INITIAL_MIN);
	if (!to)
		return;
	adit_random(&random, 1);
	stateless_send(ep, d->path,
	               ngtcp2_pkt_write_version_negotiation(
			       to, QUIC_INITIAL_MIN, random, vc->scid, vc->scidlen, vc->dcid,
			       vc->dcidlen, ep->conf.params.versions,
			       ep->conf.params.n_versions),
	               &ep->stats.versions);
}

/*
 * RFC 9000, 10.3: shorter than what it answers, so that two that answer each other come to an end,
 * and as long as a packet could be.
 */
static void
stateless_reset(struct quic_endpoint *ep, const struct quic_datagram *d,
                const ngtcp2_version_cid *vc, uint64_t now)
{
	uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], random[64], *to;
	size_t len = d->len - 1, spread;
	ngtcp2_cid cid;

	if (d->len <= RESET_LEAST || !(d->bytes[0] & SHORT_PACKET) ||
	    !quic_rate_take(&ep->resets, now))
		return;
	if (len > 42) {
		spread = len - 41 < 8 ? len - 41 : 8;
		len = 42 + adit_random_below((uint32_t)spread);
	}
	ngtcp2_cid_init(&cid, vc->dcid, vc->dcidlen);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, ep->keys.reset,
	                                                 sizeof(ep->keys.reset), &cid))
		return;
	to = quic_tx_room(ep, len);
	if (!to || gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0)
		return;
	stateless_send(ep, d->path,
		       ngtcp2_pkt_write_stateless_reset(to, len, token, random,
							len - NGTCP2_STATELESS_RESET_TOKENLEN),
		       &ep->stats.resets);
}

/* RFC 9000, 10.3.1: a peer's reset has a random id. */
static bool
stateless_is_reset(struct quic_endpoint *ep, const struct quic_datagram *d, uint64_t now)
{
	struct quic_session *s;

	TAILQ_FOREACH(s, &ep->sessions, all)
		if (s->server || quic_session_try_reset(s, d, now))
			return !s->server;
	return false;
}

static void
stateless_refuse(struct quic_endpoint *ep, const struct quic_datagram *d, const ngtcp2_pkt_hd *hd,
		 uint64_t code, uint64_t now)
{
	uint8_t *to;

	if (!quic_rate_take(&ep->refusals, now))
		return;
	to = quic_tx_room(ep, QUIC_INITIAL_MIN);
	if (!to)
		return;
	stateless_send(ep, d->path,
	               ngtcp2_crypto_write_connection_close(to, QUIC_INITIAL_MIN, hd->version,
	                                                    &hd->scid, &hd->dcid, code, NULL, 0),
	               &ep->stats.refused);
}

static void
stateless_retry(struct quic_endpoint *ep, const struct quic_path *path, const ngtcp2_pkt_hd *hd,
		uint64_t now)
{
	uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2], *to;
	ngtcp2_cid scid = { .datalen = QUIC_CID_LEN };
	ngtcp2_ssize n;

	if (!quic_rate_take(&ep->retries, now))
		return;
	to = quic_tx_room(ep, QUIC_INITIAL_MIN);
	if (!to)
		return;
	quic_cid_make(scid.data, adit_worker_index(ep->worker), ep->conf.generation);
	n = ngtcp2_crypto_generate_retry_token2(
		token, ep->keys.token, sizeof(ep->keys.token), hd->version, path->path.remote.addr,
		path->path.remote.addrlen, &scid, &hd->dcid, stateless_wall());
	if (n < 0)
		return;
	stateless_send(ep, path,
	               ngtcp2_crypto_write_retry(to, QUIC_INITIAL_MIN, hd->version, &hd->scid,
	                                         &scid, &hd->dcid, token, (size_t)n),
	               &ep->stats.retries);
}

/* The bucket of the source's handshakes: an IPv4 address, or an IPv6 /64. */
static unsigned
stateless_source(const struct quic_endpoint *ep, const struct adit_addr *a)
{
	uint64_t prefix = 0;
	__uint128_t mixed;

	memcpy(&prefix, a->ip, a->family == AF_INET ? 4 : 8);
	mixed = (__uint128_t)(prefix ^ ep->source_key) * (ep->source_key | 1);
	return (unsigned)((uint64_t)(mixed >> 64) ^ (uint64_t)mixed) % QUIC_SOURCES;
}

/*
 * Reads the client's token. 0: none; 1: its address is proven; < 0: a Retry token that is not ours.
 */
static int
stateless_token(struct quic_endpoint *ep, const struct quic_datagram *d, struct quic_initial *in)
{
	const ngtcp2_pkt_hd *hd = &in->hd;
	const ngtcp2_addr *remote = &d->path->path.remote;

	in->odcid = hd->dcid;
	if (!hd->tokenlen || hd->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2)
		return 0;
	if (ngtcp2_crypto_verify_retry_token2(&in->odcid, hd->token, hd->tokenlen, ep->keys.token,
	                                      sizeof(ep->keys.token), hd->version, remote->addr,
	                                      remote->addrlen, &hd->dcid, RETRY_LIFE,
	                                      stateless_wall()))
		return -EINVAL;
	in->retried = true;
	return 1;
}

/* Whether somebody listens, to him. */
static bool
stateless_admits(struct quic_endpoint *ep, const struct adit_addr *peer)
{
	const struct quic_server *s = quic_server_current(ep);

	return s && (!s->conf.admit || s->conf.admit(s->conf.arg, peer));
}

static int
stateless_initial(struct quic_endpoint *ep, const struct quic_datagram *d, struct quic_initial *in,
		  uint64_t now)
{
	const struct quic_conf *c = &ep->conf;
	const struct quic_stats *st = &ep->stats;
	int token = stateless_token(ep, d, in);

	if (token < 0) {
		stateless_refuse(ep, d, &in->hd, NGTCP2_INVALID_TOKEN, now);
		return 1;
	}
	if (!stateless_admits(ep, &d->packet->from) || st->sessions >= c->sessions_max ||
	    memory_is_short(worker_memory(ep->worker))) {
		stateless_refuse(ep, d, &in->hd, NGTCP2_CONNECTION_REFUSED, now);
		return 1;
	}
	in->source = stateless_source(ep, &d->packet->from);
	if (st->handshakes >= c->handshakes_max ||
	    (token && ep->sources[in->source] >= c->source_max)) {
		ep->stats.dropped++;
		return 1;
	}
	if (!token &&
	    (st->handshakes >= c->retry_from || ep->sources[in->source] >= c->source_max)) {
		stateless_retry(ep, d->path, &in->hd, now);
		return 1;
	}
	return 0;
}

static bool
stateless_speaks(const struct quic_endpoint *ep, uint32_t version)
{
	for (unsigned i = 0; i < ep->conf.params.n_versions; i++)
		if (ep->conf.params.versions[i] == version)
			return true;
	return false;
}

int
quic_stateless(struct quic_endpoint *ep, const struct quic_datagram *d,
               const ngtcp2_version_cid *vc, struct quic_initial *out, uint64_t now)
{
	bool is_long = d->bytes[0] & 0x80;

	*out = (struct quic_initial){ .retried = false };
	if (!is_long && !stateless_is_reset(ep, d, now))
		stateless_reset(ep, d, vc, now);
	if (!is_long)
		return 1;
	if (!ep->serves || !vc->version)	/* version negotiation is not answered */
		ep->stats.dropped++;
	else if (!stateless_speaks(ep, vc->version))
		stateless_versions(ep, d, vc, now);
	else if (d->len < QUIC_INITIAL_MIN || ngtcp2_accept(&out->hd, d->bytes, d->len))
		ep->stats.dropped++;
	else
		return stateless_initial(ep, d, out, now);
	return 1;
}
