#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mux/quic/internal.h"

#define SESSION_COST	49152		/* what ngtcp2 and GnuTLS hold for one, about */
#define PENDING_MAX	64		/* streams that wait for a number */
#define UNI_STREAMS	100
#define STREAM_WINDOW_MIN 66000		/* the longest datagram of a flow has to fit */
#define LINGER_MAX	ADIT_SECONDS(5)
#define TROUBLE_PAUSE	ADIT_MS(100)	/* what comes faster is about the same flight */
#define KEY_PACKETS	(1u << 22)	/* half of what AES-GCM may encrypt (RFC 9001, 6.6) */
#define KEY_LIFE	ADIT_SECONDS(3600)
#define TROUBLES_END	4		/* one for each of so many probes, and no answer */

/*
 * Of an attempt: its first repetition comes after a second, the next after two more. Time for an
 * answer to the first; then another attempt does better.
 */
#define UNHEARD_MAX	ADIT_MS(1250)

/* UDP payloads to try: usual paths first, then jumbo frames and loopback. */
static const uint16_t mtu_probes[] = { 1452, 1404, 1342, 1232, 8952, 4052, 16352 };

/*
 * Version 2 where both have it: it keeps those on the way from taking version 1 for granted. A
 * client begins with the one that every server knows.
 */
static const uint32_t versions[] = { QUIC_V2, QUIC_V1 };

uint64_t
quic_rtt(const struct quic_session *s)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(s->conn, &info);
	return info.min_rtt == UINT64_MAX ? 0 : info.smoothed_rtt;
}

/* ---- the end ---------------------------------------------------------------------- */

void
quic_session_gone(struct quic_session *s)
{
	struct quic_endpoint *ep = s->ep;

	adit_timer_free(s->timer);
	s->timer = NULL;
	while (s->ids) {
		struct quic_cid *cid = s->ids;

		s->ids = cid->sibling;
		quic_cids_remove(&ep->cids, cid);
	}
	TAILQ_REMOVE(&ep->sessions, s, all);
	ep->stats.sessions--;
	s->ep = NULL;
	if (!s->announced)
		adit_mux_close(&s->base, NULL);
	adit_mux_release(&s->base);
}

/* Writes the last packet and keeps a copy for those who go on sending (RFC 9000, 10.2.1). */
static void
session_say(struct quic_session *s, const ngtcp2_ccerr *words, uint64_t now)
{
	struct quic_endpoint *ep = s->ep;
	uint8_t buf[QUIC_INITIAL_MIN], *to;
	ngtcp2_path_storage path;
	ngtcp2_pkt_info pi = { 0 };
	ngtcp2_ssize n;

	ngtcp2_path_storage_zero(&path);
	n = ngtcp2_conn_write_connection_close(s->conn, &path.path, &pi, buf, sizeof(buf), words,
	                                       now);
	if (n <= 0)
		return;
	to = quic_tx_room(ep, (size_t)n);
	if (to) {
		memcpy(to, buf, (size_t)n);
		quic_tx_add(ep, &path.path, pi.ecn, (size_t)n);
		io_ready(&ep->io, ADIT_WRITE);
	}
	s->last_words = malloc((size_t)n);
	if (s->last_words) {
		memcpy(s->last_words, buf, (size_t)n);
		s->last_words_len = (size_t)n;
	}
}

static void
session_unlist(struct quic_session *s)
{
	if (s->dirty) {
		TAILQ_REMOVE(&s->ep->dirty, s, dirty_entry);
		s->ep->n_dirty--;
	}
	if (s->fresh)
		TAILQ_REMOVE(&s->ep->fresh, s, fresh_entry);
	s->dirty = s->fresh = false;
}

void
quic_session_end(struct quic_session *s, const struct adit_reason *why, const ngtcp2_ccerr *words,
		 uint64_t now)
{
	struct adit_reason end = *why;
	struct quic_chan *c;
	uint64_t linger;

	if (s->state == QUIC_ENDED)
		return;
	if (!end.err)
		end.err = -ECONNRESET;
	linger = 3 * ngtcp2_conn_get_pto(s->conn);
	if (words)
		session_say(s, words, now);
	quic_session_uncount(s);
	session_unlist(s);
	s->state = QUIC_ENDED;
	adit_mux_fail(&s->base, &end);
	while ((c = TAILQ_FIRST(&s->chans)))
		quic_chan_fail(c, end.err, end.code);
	ngtcp2_conn_del(s->conn);
	s->conn = NULL;
	quic_tls_close(s);
	adit_timer_set(s->timer, linger < LINGER_MAX ? linger : LINGER_MAX);
	if (s->taker && s->taker->conf.failed)
		s->taker->conf.failed(s->taker->conf.arg, &s->base);
	quic_server_settle(s);
}

/* What the peer said in its CONNECTION_CLOSE. */
static struct adit_reason
session_peer_reason(struct quic_session *s)
{
	const ngtcp2_ccerr *words = ngtcp2_conn_get_ccerr(s->conn);
	struct adit_reason why = { .err = -ECONNRESET,
		                   .code = words->error_code,
		                   .text = s->end_text };
	size_t len =
		words->reasonlen < sizeof(s->end_text) ? words->reasonlen : sizeof(s->end_text) - 1;

	if (s->was_reset) {
		why.text = "stateless reset: the peer does not know this session";
		return why;
	}
	if (len)
		memcpy(s->end_text, words->reason, len);
	s->end_text[len] = 0;
	if (words->type == NGTCP2_CCERR_TYPE_APPLICATION)
		return why;
	if (words->error_code == NGTCP2_CONNECTION_REFUSED) {
		why.err = -ECONNREFUSED;
	} else if ((words->error_code & ~(uint64_t)0xff) == NGTCP2_CRYPTO_ERROR) {
		const char *name = gnutls_alert_get_name(
			(gnutls_alert_description_t)(words->error_code & 0xff));

		why.err = ADIT_ETLS;
		snprintf(s->end_text, sizeof(s->end_text), "the peer's TLS alert: %s",
			 name ? name : "unknown");
	} else if (words->error_code != NGTCP2_NO_ERROR) {
		why.err = -EPROTO;
		if (!len)
			snprintf(s->end_text, sizeof(s->end_text), "the peer's QUIC error 0x%llx",
				 (unsigned long long)words->error_code);
	}
	return why;
}

void
quic_session_error(struct quic_session *s, int liberr, uint64_t now)
{
	struct adit_reason why = { .err = -EPROTO, .text = ngtcp2_strerror(liberr) };
	ngtcp2_ccerr words, *say = &words;

	ngtcp2_ccerr_default(&words);
	ngtcp2_ccerr_set_liberr(&words, liberr, NULL, 0);
	switch (liberr) {
	case NGTCP2_ERR_DRAINING:
		why = session_peer_reason(s);
		say = NULL;
		break;
	case NGTCP2_ERR_DROP_CONN:
	case NGTCP2_ERR_RETRY:
		quic_session_end(s, &why, NULL, now);
		quic_session_gone(s);
		return;
	case NGTCP2_ERR_IDLE_CLOSE:
		why = (struct adit_reason){ .err = -ETIMEDOUT, .text = "idle time-out" };
		say = NULL;
		break;
	case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
		why.err = s->trouble ? s->trouble : -ETIMEDOUT;
		why.text = "handshake timed out";
		break;
	case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
		why.err = -EPROTONOSUPPORT;
		why.text = "no QUIC version in common";
		say = NULL;
		break;
	case NGTCP2_ERR_NOMEM:
		why.err = -ENOMEM;
		break;
	case NGTCP2_ERR_CRYPTO:
		quic_tls_explain(s);
		break;
	default:
		break;
	}
	if (s->alert)
		ngtcp2_ccerr_set_tls_alert(&words, s->alert, NULL, 0);
	quic_session_end(s, s->end.err ? &s->end : &why, say, now);
}

/* An ended session was sent something: says it again, the rarer the more often it is asked. */
static void
session_repeat(struct quic_session *s, const struct quic_datagram *d)
{
	struct quic_endpoint *ep = s->ep;
	uint8_t *to;

	s->asked++;
	if (!s->last_words || s->asked & (s->asked - 1) || d->len < s->last_words_len)
		return;
	to = quic_tx_room(ep, s->last_words_len);
	if (!to)
		return;
	memcpy(to, s->last_words, s->last_words_len);
	quic_tx_add(ep, &d->path->path, 0, s->last_words_len);
}

static void
session_timeout(void *arg)
{
	struct quic_session *s = arg;

	s->armed = UINT64_MAX;
	if (s->state == QUIC_ENDED)
		quic_session_gone(s);
	else
		quic_dirty(s);
}

/* ---- packets ------------------------------------------------------------------------ */

void
quic_session_read(struct quic_session *s, const struct quic_datagram *d, uint64_t now)
{
	ngtcp2_path path = d->path->path;
	ngtcp2_pkt_info pi = { .ecn = d->packet->ecn };
	bool opening = s->state == QUIC_OPENING;
	int err;

	if (s->state == QUIC_ENDED) {
		session_repeat(s, d);
		return;
	}
	if (!s->server) {
		/*
		 * Servers do not move; and our own address may be a wildcard, whatever the kernel
		 * chose.
		 */
		if (!adit_addr_equal(adit_mux_remote(&s->base), &d->packet->from))
			return;
		path.local = ngtcp2_conn_get_path(s->conn)->local;
	}
	err = ngtcp2_conn_read_pkt(s->conn, &path, &pi, d->bytes, d->len, now);
	if (err) {
		quic_session_error(s, err, now);
		return;
	}
	s->heard = true;
	adit_mux_hear(&s->base, now);
	adit_mux_moved(&s->base, d->len, 0);
	if (opening && s->state == QUIC_OPEN)
		quic_tls_done(s);
	quic_dirty(s);
}

bool
quic_session_try_reset(struct quic_session *s, const struct quic_datagram *d, uint64_t now)
{
	ngtcp2_path path = d->path->path;
	ngtcp2_pkt_info pi = { 0 };
	int err;

	if (s->state != QUIC_OPEN || !adit_addr_equal(adit_mux_remote(&s->base), &d->packet->from))
		return false;
	path.local = ngtcp2_conn_get_path(s->conn)->local;
	err = ngtcp2_conn_read_pkt(s->conn, &path, &pi, d->bytes, d->len, now);
	if (err)
		quic_session_error(s, err, now);
	return err;
}

/*
 * Whether it is about the peer's program, and quotes a packet of the session's: that id is known
 * only to those on the way (RFC 8085, 5.2). All else may be a way that is gone and comes back, or
 * anybody's word. Peers without an id of their own (a gost) cannot be told so.
 */
static bool
session_believes(const struct quic_session *s, const struct adit_trouble *t)
{
	const ngtcp2_cid *dcid = ngtcp2_conn_get_dcid(s->conn);

	if (t->err != -ECONNREFUSED)
		return false;
	return !dcid->datalen ||
	       (t->quote_len > dcid->datalen && !(t->quote[0] & 0x80) &&
		!memcmp(t->quote + 1, dcid->data, dcid->datalen));
}

/*
 * The peer's machine, or anybody else, says that nobody is there: the peer is asked. A few
 * questions that come back like this, and no answer, mean that it is so. What is not believed only
 * brings the question forward.
 */
static void
session_doubt(struct quic_session *s, const struct adit_trouble *t, uint64_t now)
{
	const struct adit_reason gone = { .err = ADIT_EPEERDEAD,
		                          .text = "the peer's address is unreachable" };
	bool first = adit_mux_heard(&s->base) >= s->trouble_at;

	if (!first && now - s->trouble_at < TROUBLE_PAUSE)
		return;
	if (first) {
		s->troubles = 0;
		s->trouble_since = now;
		s->probing = true;
	}
	s->trouble_at = now;
	s->troubles += session_believes(s, t);
	if (s->troubles >= TROUBLES_END && now - s->trouble_since > 2 * quic_rtt(s)) {
		quic_session_end(s, &gone, NULL, now);
		return;
	}
	s->probe_at = now + TROUBLE_PAUSE;
	quic_dirty(s);
}

void
quic_session_trouble(struct quic_session *s, const struct adit_trouble *t, uint64_t now)
{
	const struct adit_reason why = {
		.err = t->err, .text = "the peer's address is unreachable",
	};

	if (!s->server && quic_session_move(s, now))
		return;
	if (s->state == QUIC_OPEN) {
		session_doubt(s, t, now);
	} else if (s->state == QUIC_OPENING && !s->heard && now - s->trouble_at > TROUBLE_PAUSE) {
		s->trouble = t->err;
		s->trouble_at = now;
		if (++s->troubles >= 2)		/* the first flight, and its repetition */
			quic_session_end(s, &why, NULL, now);
	}
}

uint64_t
quic_session_due(const struct quic_session *s)
{
	uint64_t due = UINT64_MAX;

	if (s->state == QUIC_OPENING && !s->server && !s->heard)
		return s->began + s->params.unheard;
	if (s->state == QUIC_OPEN && s->probe_at)
		due = s->probe_at;
	return s->state == QUIC_OPEN && s->move_at && s->move_at < due ? s->move_at : due;
}

bool
quic_session_do_due(struct quic_session *s, uint64_t now)
{
	const struct adit_reason unheard = { .err = s->trouble ? s->trouble : -ETIMEDOUT,
		                             .text = "no answer to the first packets" };

	if (now < quic_session_due(s))
		return true;
	if (s->state == QUIC_OPENING) {
		quic_session_end(s, &unheard, NULL, now);
		return false;
	}
	if (s->move_at && s->move_at <= now) {
		s->move_at = 0;
		quic_session_move(s, now);
	}
	if (s->probe_at && s->probe_at <= now) {
		s->probe_at = 0;
		s->probing = true;
	}
	return s->state != QUIC_ENDED;
}

void
quic_session_credit(struct quic_session *s, uint64_t n)
{
	uint64_t max = s->params.window_max, more = 0;

	if (mux_window_use(&s->window, n))
		more = mux_window_grow(&s->window, quic_rtt(s),
		                        max > s->window.size ? max - s->window.size : 0,
		                        adit_now());
	ngtcp2_conn_extend_max_offset(s->conn, n + more);
}

/* ---- as a mux ----------------------------------------------------------------------- */

static unsigned
session_room(const struct adit_mux *m, unsigned kind)
{
	struct quic_session *s = quic_session_of(m);
	uint64_t left;

	if (s->state == QUIC_ENDED)
		return 0;
	if (kind == ADIT_CONN_DGRAM)
		return s->state == QUIC_OPEN && s->has_flows ? s->params.flows_max - s->n_flows : 0;
	if (kind != 0 && kind != ADIT_CONN_UNI)
		return 0;
	if (kind == ADIT_CONN_UNI && s->state == QUIC_OPEN && s->has_flows)
		return 0;
	if (s->state == QUIC_OPENING)
		return PENDING_MAX - s->n_pending;
	left = kind ? ngtcp2_conn_get_streams_uni_left(s->conn) :
		      ngtcp2_conn_get_streams_bidi_left(s->conn);
	if (left <= s->n_pending)
		return 0;
	return left - s->n_pending < UINT32_MAX ? (unsigned)(left - s->n_pending) : UINT32_MAX;
}

static struct adit_conn *
session_open(struct adit_mux *m, unsigned kind, struct adit_err *e)
{
	struct quic_session *s = quic_session_of(m);
	struct adit_conn *c;

	if (!session_room(m, kind)) {
		adit_mux_unready(m, ADIT_WRITE);
		adit_err_set(e, ADIT_ELIMIT, "the session has no room for another stream or flow");
		return NULL;
	}
	c = kind == ADIT_CONN_DGRAM ? quic_flow_open(s, e) :
				      quic_stream_open(s, kind == ADIT_CONN_UNI, e);
	if (c)
		quic_chan_count(quic_chan_of(c), true);
	return c;
}

static struct adit_conn *
session_accept_conn(struct adit_mux *m)
{
	struct quic_session *s = quic_session_of(m);
	struct quic_chan *c = TAILQ_FIRST(&s->unaccepted);

	if (!c)
		return NULL;
	TAILQ_REMOVE(&s->unaccepted, c, wait);
	c->unaccepted = false;
	quic_chan_count(c, true);
	return &c->base;
}

static void
session_probe(struct adit_mux *m)
{
	struct quic_session *s = quic_session_of(m);

	s->probing = true;
	quic_dirty(s);
}

/* QUIC has no word for it: the peer gets no credit for new streams any more. */
static void
session_drain(struct adit_mux *m)
{
	(void)m;
}

static void
session_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct quic_session *s = quic_session_of(m);
	ngtcp2_ccerr words;

	if (s->state == QUIC_ENDED)
		return;
	ngtcp2_ccerr_default(&words);
	ngtcp2_ccerr_set_application_error(&words, why->code, (const uint8_t *)why->text,
					   why->text ? strlen(why->text) : 0);
	quic_session_end(s, why, &words, adit_now());
}

static void
session_free(struct adit_mux *m)
{
	struct quic_session *s = quic_session_of(m);

	memory_give(worker_memory(adit_mux_worker(m)), SESSION_COST);
	idmap_fini(&s->flows);
	free(s->alpn);
	free(s->server_name);
	free(s->last_words);
}

/* It has ended, and only stays to answer what was on the way. */
static void
session_cut(struct adit_mux *m)
{
	struct quic_session *s = quic_session_of(m);

	if (s->ep)
		quic_session_gone(s);
}

static const char *
session_protocol(const struct adit_mux *m)
{
	return quic_session_of(m)->alpn;
}

static const struct adit_mux_ops session_ops = {
	.size = sizeof(session_ops),
	.name = "quic",
	.open = session_open,
	.accept = session_accept_conn,
	.room = session_room,
	.probe = session_probe,
	.drain = session_drain,
	.close = session_close,
	.free = session_free,
	.cut = session_cut,
	.protocol = session_protocol,
};

/* ---- beginning ------------------------------------------------------------------------ */

void
quic_versions_default(struct quic_params *p)
{
	if (p->n_versions)
		return;
	p->versions = versions;
	p->n_versions = sizeof(versions) / sizeof(*versions);
}

static void
session_defaults(struct quic_params *p)
{
	quic_versions_default(p);
	p->idle = p->idle ? p->idle : ADIT_SECONDS(90);
	p->keep_alive = p->keep_alive ? p->keep_alive : ADIT_SECONDS(10);
	p->unheard = p->unheard ? p->unheard : UNHEARD_MAX;
	p->handshake = p->handshake ? p->handshake : ADIT_SECONDS(5);
	p->window = p->window ? p->window : 1 << 20;
	p->stream_window = p->stream_window ? p->stream_window : 64 << 10;
	p->window_max = p->window_max ? p->window_max : 16 << 20;
	p->send_queue = p->send_queue ? p->send_queue : 64 << 10;
	p->send_queue_max = p->send_queue_max ? p->send_queue_max : 8 << 20;
	p->streams = p->streams ? p->streams : 100;
	p->streams_max = p->streams_max ? p->streams_max : 32768;
	p->flows_max = p->flows_max ? p->flows_max : 1024;
	p->payload_max = p->payload_max ? p->payload_max : mtu_probes[6];
	p->key_packets = p->key_packets ? p->key_packets : KEY_PACKETS;
	p->key_life = p->key_life ? p->key_life : KEY_LIFE;
	if (p->stream_window < STREAM_WINDOW_MIN)
		p->stream_window = STREAM_WINDOW_MIN;
	if (p->send_queue < STREAM_WINDOW_MIN)
		p->send_queue = STREAM_WINDOW_MIN;
	if (p->streams_max < p->streams)
		p->streams_max = p->streams;
	if (p->payload_max < QUIC_INITIAL_MIN)
		p->payload_max = QUIC_INITIAL_MIN;
}

static ngtcp2_conn *
session_get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct quic_session *)ref->user_data)->conn;
}

static struct quic_session *
session_new(struct quic_endpoint *ep, const struct quic_params *params, bool server, uint64_t now)
{
	struct quic_session *s = adit_mux_new(ep->worker, &session_ops, sizeof(*s));

	if (!s)
		return NULL;
	memory_take(worker_memory(ep->worker), SESSION_COST);
	s->timer = adit_timer_new(ep->worker, session_timeout, s);
	if (!s->timer) {
		s->state = QUIC_ENDED;
		adit_mux_close(&s->base, NULL);
		return NULL;
	}
	s->ep = ep;
	s->server = server;
	s->announced = !server;
	s->armed = UINT64_MAX;
	s->began = now;
	s->params = *params;
	session_defaults(&s->params);
	s->ref = (ngtcp2_crypto_conn_ref){ .get_conn = session_get_conn, .user_data = s };
	s->peer_may = s->params.streams;
	mux_window_init(&s->window, s->params.window, now);
	TAILQ_INIT(&s->chans);
	TAILQ_INIT(&s->sending);
	TAILQ_INIT(&s->blocked);
	TAILQ_INIT(&s->unaccepted);
	TAILQ_INIT(&s->pending);
	if (server)
		TAILQ_INSERT_TAIL(&ep->sessions, s, all);
	else
		TAILQ_INSERT_HEAD(&ep->sessions, s, all);
	ep->stats.sessions++;
	adit_mux_hold(&s->base);	/* until quic_session_gone */
	return s;
}

static void
session_settings(const struct quic_params *p, ngtcp2_settings *set, uint64_t now)
{
	static const ngtcp2_cc_algo algos[] = {
		[QUIC_CUBIC] = NGTCP2_CC_ALGO_CUBIC,
		[QUIC_BBR] = NGTCP2_CC_ALGO_BBR,
		[QUIC_RENO] = NGTCP2_CC_ALGO_RENO,
	};

	/* Never qlog_write: CVE-2026-40170. Never max_window: our windows grow by what is read. */
	ngtcp2_settings_default(set);
	set->initial_ts = now;
	set->cc_algo = algos[p->congestion];
	set->handshake_timeout = p->handshake;
	set->max_tx_udp_payload_size = p->payload_max;
	set->pmtud_probes = mtu_probes;
	set->pmtud_probeslen = sizeof(mtu_probes) / sizeof(*mtu_probes);
	set->preferred_versions = set->available_versions = p->versions;
	set->preferred_versionslen = set->available_versionslen = p->n_versions;
}

static void
session_transport(const struct quic_params *p, ngtcp2_transport_params *t)
{
	ngtcp2_transport_params_default(t);
	t->max_idle_timeout = p->idle;
	t->initial_max_data = p->window;
	t->initial_max_stream_data_bidi_local = p->stream_window;
	t->initial_max_stream_data_bidi_remote = p->stream_window;
	t->initial_max_stream_data_uni = p->stream_window;
	t->initial_max_streams_bidi = p->streams;
	t->initial_max_streams_uni = UNI_STREAMS;
	t->active_connection_id_limit = 4;
	t->max_datagram_frame_size = UINT16_MAX;
	t->disable_active_migration = p->stay;
}

/* What failed before ngtcp2 knew the session: nobody has heard of it. */
static void
session_discard(struct quic_session *s)
{
	s->state = QUIC_ENDED;
	s->announced = false;
	quic_server_settle(s);
	quic_session_uncount(s);
	ngtcp2_conn_del(s->conn);
	s->conn = NULL;
	quic_tls_close(s);
	quic_session_gone(s);
}

static void
session_began(struct quic_session *s, const ngtcp2_path *path)
{
	struct adit_addr local = adit_addr_from(path->local.addr, path->local.addrlen),
			 remote = adit_addr_from(path->remote.addr, path->remote.addrlen);

	adit_mux_set_local(&s->base, &local);
	adit_mux_set_remote(&s->base, &remote);
	if (s->params.keep_alive != UINT64_MAX)
		ngtcp2_conn_set_keep_alive_timeout(s->conn, s->params.keep_alive);
	quic_dirty(s);
}

struct quic_session *
quic_session_accept(struct quic_endpoint *ep, const struct quic_initial *in, uint64_t now)
{
	struct quic_server *server = quic_server_current(ep);
	struct quic_session *s = session_new(ep, &server->conf.params, true, now);
	ngtcp2_transport_params t;
	ngtcp2_settings set;
	ngtcp2_cid scid;

	if (!s)
		return NULL;
	quic_server_expect(server, s);
	s->source = in->source;
	s->counted = true;
	ep->stats.handshakes++;
	ep->stats.initials++;
	ep->sources[s->source]++;
	session_settings(&s->params, &set, now);
	session_transport(&s->params, &t);
	t.original_dcid = in->odcid;
	t.original_dcid_present = 1;
	t.stateless_reset_token_present = 1;
	if (in->retried) {
		t.retry_scid = in->hd.dcid;
		t.retry_scid_present = 1;
		set.token = in->hd.token;
		set.tokenlen = in->hd.tokenlen;
		set.token_type = NGTCP2_TOKEN_TYPE_RETRY;
	}
	if (quic_session_make_id(s, &scid, t.stateless_reset_token) < 0 ||
	    quic_session_add_id(s, in->hd.dcid.data, in->hd.dcid.datalen) < 0 ||
	    ngtcp2_conn_server_new(&s->conn, &in->hd.scid, &scid, &in->path->path, in->hd.version,
				   &quic_callbacks, &set, &t, NULL, s)) {
		session_discard(s);
		return NULL;
	}
	session_began(s, &in->path->path);
	return s;
}

static int
session_dial(struct quic_session *s, const struct quic_target *to, const struct quic_path *path,
	     uint64_t now)
{
	ngtcp2_cid scid, dcid = { .datalen = NGTCP2_MAX_CIDLEN };
	uint8_t unused[NGTCP2_STATELESS_RESET_TOKENLEN];
	uint32_t version = s->params.versions[s->params.n_versions - 1];
	ngtcp2_transport_params t;
	ngtcp2_settings set;

	session_settings(&s->params, &set, now);
	session_transport(&s->params, &t);
	quic_random(dcid.data, dcid.datalen, NULL);
	if (to->has_lane)
		dcid.data[0] = to->lane;
	if (quic_session_make_id(s, &scid, unused) < 0)
		return -ENOMEM;
	if (ngtcp2_conn_client_new(&s->conn, &dcid, &scid, &path->path, version,
	                           &quic_callbacks, &set, &t, NULL, s))
		return -EINVAL;
	return 0;
}

struct adit_mux *
quic_connect(struct quic_endpoint *ep, const struct quic_target *target, struct adit_err *e)
{
	struct adit_addr local = *adit_packet_local(ep->packet);
	uint64_t now = adit_now();
	struct quic_session *s;
	struct quic_path path;
	int err;

	if (!target->params->n_alpn) {
		adit_err_set(e, -EINVAL, "a QUIC client needs an application protocol");
		return NULL;
	}
	s = session_new(ep, target->params, false, now);
	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	quic_path_set(&path, &local, &target->addr);
	err = session_dial(s, target, &path, now);
	if (err < 0)
		adit_err_set(e, err, "cannot make a QUIC connection");
	else
		err = quic_tls_open(s, target->host, e);
	if (err < 0) {
		session_discard(s);
		return NULL;
	}
	session_began(s, &path.path);
	quic_session_settle(s);
	return &s->base;
}

/* ---- what others ask -------------------------------------------------------------------- */

const char *
quic_session_alpn(const struct adit_mux *m)
{
	return quic_session_of(m)->alpn;
}

const char *
quic_session_server_name(const struct adit_mux *m)
{
	return quic_session_of(m)->server_name;
}

const struct adit_certificate *
quic_session_peer(const struct adit_mux *m)
{
	struct quic_session *s = quic_session_of(m);

	return s->state == QUIC_OPEN && s->server && s->tls.tls ? tls_session_peer(&s->tls) : NULL;
}

unsigned
quic_session_version(const struct adit_mux *m)
{
	struct quic_session *s = quic_session_of(m);
	uint32_t version = s->conn ? ngtcp2_conn_get_negotiated_version(s->conn) : 0;

	return version == QUIC_V2 ? 2 : version == QUIC_V1 ? 1 : 0;
}

unsigned
quic_session_key_updates(const struct adit_mux *m)
{
	unsigned made = quic_session_of(m)->keys_made;

	return made ? made - 1 : 0;
}

uint64_t
quic_session_opened(const struct adit_mux *m)
{
	return quic_session_of(m)->opened;
}

uint64_t
quic_session_peer_opened(const struct adit_mux *m)
{
	return quic_session_of(m)->peer_opened;
}

uint64_t
quic_session_rtt(const struct adit_mux *m)
{
	const struct quic_session *s = quic_session_of(m);
	ngtcp2_conn_info info;

	if (!s->conn)
		return 0;
	ngtcp2_conn_get_conn_info(s->conn, &info);
	return info.smoothed_rtt;
}
