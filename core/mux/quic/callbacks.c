#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "core/mux/quic/internal.h"

/* ---- connection ids ------------------------------------------------------------- */

int
quic_session_add_id(struct quic_session *s, const uint8_t *bytes, size_t len)
{
	struct quic_cid *cid = quic_cids_add(&s->ep->cids, bytes, len, s);

	if (!cid)
		return -ENOMEM;
	cid->sibling = s->ids;
	s->ids = cid;
	return 0;
}

static void
session_remove_id(struct quic_session *s, const uint8_t *bytes, size_t len)
{
	for (struct quic_cid **at = &s->ids, *cid; (cid = *at); at = &cid->sibling) {
		if (cid->len != len || memcmp(cid->bytes, bytes, len))
			continue;
		*at = cid->sibling;
		quic_cids_remove(&s->ep->cids, cid);
		return;
	}
}

int
quic_session_make_id(struct quic_session *s, ngtcp2_cid *cid, uint8_t *token)
{
	struct quic_endpoint *ep = s->ep;

	cid->datalen = QUIC_CID_LEN;
	quic_cid_make(cid->data, adit_worker_index(ep->worker), ep->conf.generation);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, ep->keys.reset,
	                                                 sizeof(ep->keys.reset), cid))
		return -EIO;
	return quic_session_add_id(s, cid->data, cid->datalen);
}

/* ---- ngtcp2's callbacks ----------------------------------------------------------- */

void
quic_random(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *unused)
{
	(void)unused;
	if (gnutls_rnd(GNUTLS_RND_NONCE, dest, len) < 0)
		adit_random(dest, len);
}

static int
session_new_id(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
	(void)conn;
	(void)len;
	return quic_session_make_id(user, cid, token) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int
session_old_id(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user)
{
	(void)conn;
	session_remove_id(user, cid->data, cid->datalen);
	return 0;
}

/* A server makes its TLS session only now: the bytes are authentic, as far as an Initial can be. */
static int
session_on_crypto(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
		  const uint8_t *bytes, size_t len, void *user)
{
	struct quic_session *s = user;
	struct adit_err e = ADIT_ERR_INIT;

	if (s->state == QUIC_OPEN)
		return 0;	/* tickets: we resume nothing */
	if (!s->tls.tls && quic_tls_open(s, NULL, &e) < 0) {
		snprintf(s->end_text, sizeof(s->end_text), "%s", e.text);
		s->end = (struct adit_reason){ .err = e.code, .text = s->end_text };
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	return ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, bytes, len, user);
}

void
quic_session_uncount(struct quic_session *s)
{
	if (!s->counted)
		return;
	s->counted = false;
	s->ep->stats.handshakes--;
	s->ep->sources[s->source]--;
}

static int
session_on_handshake(ngtcp2_conn *conn, void *user)
{
	struct quic_session *s = user;

	(void)conn;
	if (quic_tls_check(s) < 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	s->state = QUIC_OPEN;
	quic_session_uncount(s);
	adit_mux_ready(&s->base, ADIT_OPEN | ADIT_WRITE);
	if (s->server) {
		s->fresh = true;
		TAILQ_INSERT_TAIL(&s->ep->fresh, s, fresh_entry);
	}
	return 0;
}

static int
session_on_open(ngtcp2_conn *conn, int64_t id, void *user)
{
	(void)conn;
	return quic_stream_accept(user, id) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int
session_on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                const uint8_t *bytes, size_t len, void *user, void *stream)
{
	(void)conn;
	(void)id;
	(void)offset;
	(void)user;
	if (!stream)
		return 0;
	return quic_stream_receive(stream, bytes, len, flags & NGTCP2_STREAM_DATA_FLAG_FIN) < 0 ?
		       NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int
session_on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t len, void *user,
                 void *stream)
{
	(void)conn;
	(void)id;
	(void)offset;
	(void)user;
	if (stream)
		quic_stream_acked(stream, len);
	return 0;
}

static int
session_on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user,
                 void *stream)
{
	(void)conn;
	(void)id;
	(void)user;
	if (stream)
		quic_stream_detach(stream, flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET,
		                   code);
	return 0;
}

static int
session_on_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *user,
                 void *stream)
{
	struct quic_stream *st = stream;

	(void)conn;
	(void)id;
	(void)size;
	(void)user;
	if (st && !st->ended) {
		adit_conn_set_code(&st->chan.base, code);
		adit_conn_fail(&st->chan.base, -ECONNRESET);
	}
	return 0;
}

static int
session_on_window(ngtcp2_conn *conn, int64_t id, uint64_t max, void *user, void *stream)
{
	struct quic_stream *st = stream;
	struct quic_session *s = user;

	(void)conn;
	(void)id;
	(void)max;
	if (st && st->chan.list == &s->blocked) {
		quic_chan_unlist(&st->chan);
		quic_chan_send(&st->chan);
	}
	return 0;
}

static int
session_on_streams(ngtcp2_conn *conn, uint64_t max, void *user)
{
	struct quic_session *s = user;

	(void)conn;
	(void)max;
	adit_mux_ready(&s->base, ADIT_WRITE);
	return 0;
}

static int
session_on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *bytes, size_t len, void *user)
{
	(void)conn;
	(void)flags;
	return quic_flow_receive(user, bytes, len) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int
session_on_stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *user)
{
	struct quic_session *s = user;

	(void)conn;
	(void)reset;
	s->was_reset = true;
	return 0;
}

/* A server has followed its client: what is said of the old address concerns it no more. */
static int
session_on_path(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path,
		const ngtcp2_path *old, ngtcp2_path_validation_result result, void *user)
{
	const ngtcp2_path *now = ngtcp2_conn_get_path(conn);
	struct adit_addr remote = adit_addr_from(now->remote.addr, now->remote.addrlen);
	struct quic_session *s = user;

	(void)flags;
	(void)path;
	(void)old;
	if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS)
		adit_mux_set_remote(&s->base, &remote);
	return 0;
}

/* The keys for the next change are made when the last change is over, whoever began it. */
static int
session_on_keys(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
		ngtcp2_crypto_aead_ctx *rx, uint8_t *rx_iv, ngtcp2_crypto_aead_ctx *tx,
		uint8_t *tx_iv, const uint8_t *rx_now, const uint8_t *tx_now, size_t len,
		void *user)
{
	struct quic_session *s = user;

	s->keys_made++;
	s->key_sent = 0;
	s->key_since = adit_now();
	return ngtcp2_crypto_update_key_cb(conn, rx_secret, tx_secret, rx, rx_iv, tx, tx_iv,
					   rx_now, tx_now, len, user);
}

const ngtcp2_callbacks quic_callbacks = {
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = session_on_crypto,
	.handshake_completed = session_on_handshake,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.recv_stream_data = session_on_data,
	.acked_stream_data_offset = session_on_acked,
	.stream_open = session_on_open,
	.stream_close = session_on_close,
	.stream_reset = session_on_reset,
	.recv_stateless_reset = session_on_stateless_reset,
	.recv_retry = ngtcp2_crypto_recv_retry_cb,
	.extend_max_local_streams_bidi = session_on_streams,
	.extend_max_local_streams_uni = session_on_streams,
	.extend_max_stream_data = session_on_window,
	.rand = quic_random,
	.get_new_connection_id = session_new_id,
	.remove_connection_id = session_old_id,
	.update_key = session_on_keys,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.recv_datagram = session_on_datagram,
	.path_validation = session_on_path,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};
