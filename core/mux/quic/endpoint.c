#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <gnutls/crypto.h>

#include "core/conn/udp.h"
#include "core/mux/quic/internal.h"

#define RECV_SIZE    UDP_RECV_MAX
#define RECV_LONG    (RECV_SIZE / QUIC_RECV_BATCH)
#define SHORT_ENOUGH 64			/* short messages in a row, until there may be a batch */
#define FLUSH_FROM   (UDP_BYTES_MAX - 1500)	/* a burst as long as GSO takes */
#define TROUBLES_MAX 50			/* looked at per second: each looks at all sessions */

void
quic_path_set(struct quic_path *p, const struct adit_addr *local, const struct adit_addr *remote)
{
	p->path = (ngtcp2_path){
		.local = { (ngtcp2_sockaddr *)&p->local, adit_addr_to(local, &p->local) },
		.remote = { (ngtcp2_sockaddr *)&p->remote, adit_addr_to(remote, &p->remote) },
	};
}

/* ---- sending ------------------------------------------------------------------- */

/* Hands over what is there. False: some had to stay. */
static bool
tx_flush(struct quic_endpoint *ep)
{
	struct quic_tx *tx = &ep->tx;

	while (tx->first < tx->n) {
		int sent = adit_packet_send(ep->packet, tx->v + tx->first, tx->n - tx->first);

		if (sent == -EAGAIN) {
			tx->blocked = true;
			adit_packet_want(ep->packet, ADIT_READ | ADIT_WRITE);
			return false;
		}
		if (sent < 0)
			break;		/* the socket is broken; silence ends the sessions */
		tx->first += sent;
	}
	tx->first = tx->n = 0;
	tx->len = 0;
	tx->open = false;
	return true;
}

uint8_t *
quic_tx_room(struct quic_endpoint *ep, size_t len)
{
	struct quic_tx *tx = &ep->tx;

	if (tx->blocked)
		return NULL;
	if ((tx->len > FLUSH_FROM || len > QUIC_SEND_BUFFER - tx->len ||
	     tx->n == QUIC_SEND_BATCH) &&
	    !tx_flush(ep))
		return NULL;
	return tx->buf + tx->len;
}

static bool
tx_same(const struct sockaddr_storage *known, const ngtcp2_addr *a)
{
	return !memcmp(known, a->addr, a->addrlen);
}

/*
 * Whether the packet goes on the burst before it: same way, not longer than those, and they were
 * all of one size.
 */
static bool
tx_continues(const struct quic_tx *tx, const ngtcp2_path *path, uint32_t ecn, size_t len)
{
	const struct adit_packet *last = &tx->v[tx->n - 1];

	return tx->open && last->ecn == ecn && len <= last->segment &&
	       last->data.iov_len + len <= UDP_BYTES_MAX &&
	       last->data.iov_len / last->segment < UDP_SEGMENTS_MAX &&
	       tx_same(&tx->remote, &path->remote) && tx_same(&tx->local, &path->local);
}

void
quic_tx_add(struct quic_endpoint *ep, const ngtcp2_path *path, uint32_t ecn, size_t len)
{
	struct quic_tx *tx = &ep->tx;
	struct adit_packet *p;

	if (tx->n && tx_continues(tx, path, ecn, len)) {
		p = &tx->v[tx->n - 1];
		p->data.iov_len += len;
		tx->open = len == p->segment;
	} else {
		p = &tx->v[tx->n++];
		*p = (struct adit_packet){
			.data = { tx->buf + tx->len, len },
			.from = adit_addr_from(path->local.addr, path->local.addrlen),
			.to = adit_addr_from(path->remote.addr, path->remote.addrlen),
			.segment = (uint16_t)len, .ecn = (uint8_t)ecn,
		};
		memcpy(&tx->local, path->local.addr, path->local.addrlen);
		memcpy(&tx->remote, path->remote.addr, path->remote.addrlen);
		tx->open = true;
	}
	tx->len += len;
}

void
quic_dirty(struct quic_session *s)
{
	if (s->dirty || s->state == QUIC_ENDED)
		return;
	s->dirty = true;
	s->ep->n_dirty++;
	TAILQ_INSERT_TAIL(&s->ep->dirty, s, dirty_entry);
	io_ready(&s->ep->io, ADIT_WRITE);
}

static struct quic_session *
endpoint_next_dirty(struct quic_endpoint *ep)
{
	struct quic_session *s = TAILQ_FIRST(&ep->dirty);

	if (s) {
		TAILQ_REMOVE(&ep->dirty, s, dirty_entry);
		s->dirty = false;
		ep->n_dirty--;
	}
	return s;
}

/*
 * Sessions that are dirty now write once each; what makes them dirty meanwhile is for the next
 * turn.
 */
static void
endpoint_flush(struct quic_endpoint *ep)
{
	uint64_t now = adit_now();
	struct quic_session *s;

	if (ep->tx.blocked)
		return;
	for (unsigned n = ep->n_dirty; n && (s = endpoint_next_dirty(ep)); n--) {
		if (!quic_transmit(s, now)) {
			quic_dirty(s);
			break;
		}
	}
	if (!ep->tx.blocked)
		tx_flush(ep);
}

/* ---- new sessions ---------------------------------------------------------------- */

/* Hands sessions whose handshake is done to the owner: not from inside ngtcp2. */
static void
endpoint_announce(struct quic_endpoint *ep)
{
	struct quic_session *s;

	while ((s = TAILQ_FIRST(&ep->fresh))) {
		struct quic_server *taker = s->taker;

		TAILQ_REMOVE(&ep->fresh, s, fresh_entry);
		s->fresh = false;
		s->announced = true;
		ep->stats.accepted++;
		quic_server_settle(s);	/* if it ends in there, that is not for conf.failed */
		taker->conf.accept(taker->conf.arg, &s->base);
	}
}

static void
endpoint_turn(struct io *io, unsigned events)
{
	struct quic_endpoint *ep = adit_container_of(io, struct quic_endpoint, io);

	(void)events;
	io->ready = 0;
	endpoint_announce(ep);
	if (!io->closed)
		quic_servers_reap(ep);
	if (!io->closed)
		endpoint_flush(ep);
}

/* ---- receiving ------------------------------------------------------------------- */

static void
endpoint_begin(struct quic_endpoint *ep, const struct quic_datagram *d,
               const ngtcp2_version_cid *vc, uint64_t now)
{
	struct quic_session *s;
	struct quic_initial in;

	if (quic_stateless(ep, d, vc, &in, now))
		return;
	in.path = d->path;
	s = quic_session_accept(ep, &in, now);
	if (!s) {
		ep->stats.dropped++;
		return;
	}
	quic_session_read(s, d, now);
}

/* Whether the datagram was handed to the worker or process whose id it carries. */
static bool
endpoint_forward(struct quic_endpoint *ep, const struct quic_datagram *d,
                 const ngtcp2_version_cid *vc)
{
	unsigned worker, generation;
	struct adit_packet one = *d->packet;

	if (!ep->conf.forward || !quic_cid_owner(vc->dcid, vc->dcidlen, &worker, &generation))
		return false;
	if (worker == adit_worker_index(ep->worker) && generation == ep->conf.generation)
		return false;
	one.data = (struct iovec){ (void *)(uintptr_t)d->bytes, d->len };
	one.segment = 0;
	if (!ep->conf.forward(ep->conf.forward_arg, generation, worker, &one))
		return false;
	ep->stats.forwarded++;
	return true;
}

static void
endpoint_datagram(struct quic_endpoint *ep, const struct quic_datagram *d, bool forwarded,
                  uint64_t now)
{
	ngtcp2_version_cid vc;
	struct quic_cid *cid;
	int err = ngtcp2_pkt_decode_version_cid(&vc, d->bytes, d->len, QUIC_CID_LEN);

	if (err && err != NGTCP2_ERR_VERSION_NEGOTIATION) {
		ep->stats.dropped++;
		return;
	}
	cid = quic_cids_find(&ep->cids, vc.dcid, vc.dcidlen);
	if (cid && !err)
		quic_session_read(cid->session, d, now);
	else if (forwarded || !endpoint_forward(ep, d, &vc))
		endpoint_begin(ep, d, &vc, now);
}

/* One packet of the socket: a datagram, or several of one peer. Returns how many. */
static int
endpoint_packet(struct quic_endpoint *ep, const struct adit_packet *p, bool forwarded, uint64_t now)
{
	size_t segment = p->segment ? p->segment : p->data.iov_len, left = p->data.iov_len;
	const uint8_t *bytes = p->data.iov_base;
	struct quic_path path;
	int n = 0;

	if (!p->from.port || !p->from.family)
		return 1;
	quic_path_set(&path, &p->to, &p->from);
	for (; left; n++) {
		size_t len = left < segment ? left : segment;
		struct quic_datagram d = { .packet = p, .path = &path, .bytes = bytes, .len = len };

		endpoint_datagram(ep, &d, forwarded, now);
		bytes += len;
		left -= len;
	}
	return n ? n : 1;
}

/* Somebody says that nobody is at a peer. Each session with it is asked by its own packets. */
static void
endpoint_trouble(struct quic_endpoint *ep, const struct adit_trouble *t, uint64_t now)
{
	struct quic_session *s, *next;

	for (s = TAILQ_FIRST(&ep->sessions); s; s = next) {
		next = TAILQ_NEXT(s, all);
		if (adit_addr_equal(adit_mux_remote(&s->base), &t->peer))
			quic_session_trouble(s, t, now);
	}
}

/* Of the same peer, and as far as can be seen here of the same session: the first is enough. */
static bool
trouble_again(const struct adit_trouble *t, const struct adit_trouble *last)
{
	return adit_addr_equal(&t->peer, &last->peer) && !memcmp(t->quote + 1, last->quote + 1, 8);
}

static void
endpoint_troubles(struct quic_endpoint *ep, uint64_t now)
{
	struct adit_trouble t, last = { .err = 0 };

	while (adit_packet_trouble(ep->packet, &t)) {
		/* Too big: a probe of the path's MTU that was lost, nothing else. */
		if (t.err == -EMSGSIZE || trouble_again(&t, &last) ||
		    !quic_rate_take(&ep->troubles, now))
			continue;
		last = t;
		endpoint_trouble(ep, &t, now);
		if (ep->conf.trouble)
			ep->conf.trouble(ep->conf.forward_arg, ep->worker, &t);
	}
}

void
quic_endpoint_trouble(struct quic_endpoint *ep, const struct adit_trouble *t)
{
	uint64_t now = adit_now();

	if (!ep->io.closed && quic_rate_take(&ep->troubles, now))
		endpoint_trouble(ep, t, now);
}

/*
 * One buffer where packets are long or the kernel joins them, several where all have been short for
 * a while: 64 KiB either way, a cache's worth, and what a flow's queue takes.
 */
static int
endpoint_receive(struct quic_endpoint *ep, uint64_t now)
{
	int batch = ep->rx_short < SHORT_ENOUGH ? 1 : QUIC_RECV_BATCH, got, n = 0;
	struct adit_packet v[QUIC_RECV_BATCH];

	for (int i = 0; i < batch; i++)
		v[i] = (struct adit_packet){
			.data = { ep->rx + (size_t)i * RECV_SIZE, RECV_SIZE },
		};
	got = adit_packet_recv(ep->packet, v, batch);
	if (got < 0)
		return got;
	for (int i = 0; i < got && !ep->io.closed; i++) {
		if (v[i].data.iov_len > RECV_LONG)
			ep->rx_short = 0;
		else if (ep->rx_short < SHORT_ENOUGH)
			ep->rx_short++;
		n += endpoint_packet(ep, &v[i], false, now);
	}
	return n;
}

static void
endpoint_on_packets(void *owner, struct adit_packet_conn *packet, unsigned events)
{
	struct quic_endpoint *ep = owner;
	uint64_t now = adit_now();
	int n = 0, total = 0;

	if (events & ADIT_WRITE && ep->tx.blocked) {
		ep->tx.blocked = false;
		adit_packet_want(packet, ADIT_READ);
		tx_flush(ep);
	}
	ep->crowded = false;
	while (events & ADIT_READ && total < QUIC_TURN_PACKETS && !ep->crowded) {
		n = endpoint_receive(ep, now);
		if (n < 0)
			break;
		total += n ? n : 1;
	}
	if (n < 0 && n != -EAGAIN) {
		adit_log(adit_worker_log(ep->worker), ADIT_LOG_ERROR, NULL, "QUIC socket: %s",
			 adit_strerror(n));
		adit_packet_want(packet, 0);
	}
	endpoint_troubles(ep, now);
	/*
	 * Last in the queue: the owners of what has arrived write first, ACKs leave with their
	 * data.
	 */
	io_ready(&ep->io, ADIT_WRITE);
}

void
quic_endpoint_deliver(struct quic_endpoint *ep, const struct adit_packet *p)
{
	if (ep->io.closed)
		return;
	endpoint_packet(ep, p, true, adit_now());
	io_ready(&ep->io, ADIT_WRITE);
}

/* ---- streams that were closed politely ----------------------------------------------- */

void
quic_linger_stop(struct quic_stream *st)
{
	if (!st->lingering)
		return;
	st->lingering = false;
	TAILQ_REMOVE(&st->chan.session->ep->lingering, st, linger);
}

void
quic_linger(struct quic_stream *st, uint64_t now)
{
	struct quic_endpoint *ep = st->chan.session->ep;

	quic_linger_stop(st);
	st->linger_until = now + QUIC_LINGER;
	st->lingering = true;
	TAILQ_INSERT_TAIL(&ep->lingering, st, linger);
	if (!adit_timer_running(ep->linger))
		adit_timer_set(ep->linger, QUIC_LINGER);
}

static void
endpoint_linger_out(void *arg)
{
	struct quic_endpoint *ep = arg;
	uint64_t now = adit_now();
	struct quic_stream *st;

	while ((st = TAILQ_FIRST(&ep->lingering)) && st->linger_until <= now) {
		quic_linger_stop(st);
		ngtcp2_conn_shutdown_stream(st->chan.session->conn, 0, st->id, 0);
		quic_dirty(st->chan.session);
	}
	if (st)
		adit_timer_set(ep->linger, st->linger_until - now);
}

/* ---- life ---------------------------------------------------------------------------- */

static void
endpoint_free(struct io *io)
{
	struct quic_endpoint *ep = adit_container_of(io, struct quic_endpoint, io);

	adit_packet_close(ep->packet);
	adit_timer_free(ep->linger);
	quic_cids_fini(&ep->cids);
	free(ep->rx);
	free(ep->tx.buf);
	quic_servers_free(ep);
	gnutls_memset(&ep->keys, 0, sizeof(ep->keys));
	free(ep);
}

static void
endpoint_defaults(struct quic_conf *c)
{
	if (!c->sessions_max)
		c->sessions_max = 65536;
	if (!c->handshakes_max)
		c->handshakes_max = 4096;
	if (!c->retry_from)
		c->retry_from = 256;
	if (!c->source_max)
		c->source_max = 64;
	quic_versions_default(&c->params);
	c->generation &= 0xff;
	c->secret = NULL;
	c->secret_len = 0;
}

static int
endpoint_init(struct quic_endpoint *ep, const struct quic_conf *conf, struct adit_err *e)
{
	int err = quic_keys_derive(&ep->keys, NULL, 0);

	if (err < 0)
		return adit_err_set(e, err, "no random bytes");
	if (conf->accept && !quic_endpoint_serve(ep, conf, e))
		return e->code;
	ep->rx = malloc((size_t)QUIC_RECV_BATCH * RECV_SIZE);
	ep->tx.buf = malloc(QUIC_SEND_BUFFER);
	ep->linger = adit_timer_new(ep->worker, endpoint_linger_out, ep);
	if (!ep->rx || !ep->tx.buf || !ep->linger || quic_cids_init(&ep->cids) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	return 0;
}

struct quic_endpoint *
quic_endpoint_new(struct adit_packet_conn *packet, const struct quic_conf *conf, struct adit_err *e)
{
	struct quic_endpoint *ep = calloc(1, sizeof(*ep));

	if (!ep) {
		adit_packet_close(packet);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	ep->packet = packet;
	ep->worker = adit_packet_worker(packet);
	ep->conf = *conf;
	endpoint_defaults(&ep->conf);
	io_init(&ep->io, ep->worker, endpoint_turn, endpoint_free);
	TAILQ_INIT(&ep->servers);
	TAILQ_INIT(&ep->sessions);
	TAILQ_INIT(&ep->dirty);
	TAILQ_INIT(&ep->fresh);
	TAILQ_INIT(&ep->lingering);
	adit_random(&ep->source_key, sizeof(ep->source_key));
	quic_rate_init(&ep->resets, 1000);
	quic_rate_init(&ep->versions, 1000);
	quic_rate_init(&ep->retries, 10000);
	quic_rate_init(&ep->refusals, 1000);
	quic_rate_init(&ep->troubles, TROUBLES_MAX);
	if (endpoint_init(ep, conf, e) < 0) {
		io_close(&ep->io);
		return NULL;
	}
	io_want(&ep->io, ADIT_WRITE);
	adit_packet_own(packet, endpoint_on_packets, ep);
	adit_packet_want(packet, ADIT_READ);
	return ep;
}

void
quic_endpoint_moved(struct quic_endpoint *ep)
{
	struct quic_session *s, *next;
	uint64_t now = adit_now();

	for (s = TAILQ_FIRST(&ep->sessions); s && !s->server; s = next) {
		next = TAILQ_NEXT(s, all);
		quic_session_move(s, now);
	}
}

void
quic_endpoint_close(struct quic_endpoint *ep, const struct adit_reason *why)
{
	static const struct adit_reason stopped = { .err = ADIT_ESTOPPED };
	struct quic_session *s;

	if (!ep || ep->io.closed)
		return;
	network_unwatch(&ep->network);
	io_hold(&ep->io);
	io_close(&ep->io);
	while ((s = TAILQ_FIRST(&ep->sessions))) {
		struct adit_reason end = why && why->err ? *why : stopped;
		ngtcp2_ccerr words;

		end.code = why ? why->code : 0;
		end.text = why ? why->text : NULL;
		ngtcp2_ccerr_default(&words);
		ngtcp2_ccerr_set_application_error(&words, end.code, (const uint8_t *)end.text,
						   end.text ? strlen(end.text) : 0);
		quic_session_end(s, &end, &words, adit_now());
		quic_session_gone(s);
	}
	if (!ep->tx.blocked)
		tx_flush(ep);
	adit_packet_want(ep->packet, 0);	/* whoever still holds a session of it */
	io_release(&ep->io);
}

const struct adit_addr *
quic_endpoint_local(const struct quic_endpoint *ep)
{
	return adit_packet_local(ep->packet);
}

struct adit_worker *
quic_endpoint_worker(const struct quic_endpoint *ep)
{
	return ep->worker;
}

const struct quic_stats *
quic_endpoint_stats(const struct quic_endpoint *ep)
{
	return &ep->stats;
}
