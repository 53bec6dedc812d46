#include <errno.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/mux/quic/internal.h"

#define BURST	  16384		/* of one stream, before another has its turn */
#define QUEUED_MAX(p) (4 * (p)->send_queue_max)	/* of all streams: beyond it no send queue grows */

/* ---- what streams and flows have in common ----------------------------------------- */

void
quic_chan_join(struct quic_chan *c, struct quic_session *s)
{
	c->session = s;
	TAILQ_INSERT_TAIL(&s->chans, c, all);
	adit_conn_set_local(&c->base, adit_mux_local(&s->base));
	adit_conn_set_remote(&c->base, adit_mux_remote(&s->base));
	adit_conn_hold(&c->base);
}

void
quic_chan_count(struct quic_chan *c, bool on)
{
	if (c->counted == on)
		return;
	c->counted = on;
	adit_mux_count(&c->session->base, on ? 1 : -1);
}

void
quic_chan_leave(struct quic_chan *c)
{
	struct quic_session *s = c->session;

	quic_chan_count(c, false);
	quic_chan_unlist(c);
	if (c->unaccepted)
		TAILQ_REMOVE(&s->unaccepted, c, wait);
	if (c->pending) {
		TAILQ_REMOVE(&s->pending, c, wait);
		s->n_pending--;
	}
	c->unaccepted = c->pending = false;
	TAILQ_REMOVE(&s->chans, c, all);
	c->session = NULL;
	adit_conn_release(&c->base);
}

/* What it had to send is not wanted any more. */
static void
stream_drop_tx(struct quic_stream *st)
{
	struct quic_chan *c = &st->chan;

	quic_linger_stop(st);
	quic_chan_unlist(c);
	c->session->queued -= c->tx.len;
	queue_fini(&c->tx);
	st->n_ahead = 0;
	st->stopped = true;
}

void
quic_chan_fail(struct quic_chan *c, int err, uint64_t code)
{
	bool orphan = c->unaccepted;

	if (c->is_flow) {
		quic_flow_leave(quic_flow_of(c));
	} else {
		stream_drop_tx(quic_stream_of(c));
		quic_stream_of(c)->attached = false;
	}
	if (!c->closed) {
		if (code)
			adit_conn_set_code(&c->base, code);
		adit_conn_fail(&c->base, err);
	}
	quic_chan_leave(c);
	if (orphan)
		adit_conn_close(&c->base, err);
}

/* ---- as a conn ------------------------------------------------------------------------ */

/* Neither its owner nor ngtcp2 has it any more: the peer may open another. */
static void
stream_done(struct quic_stream *st)
{
	struct quic_session *s = st->chan.session;

	s->grown -= st->grown;
	if (!st->local && !adit_mux_draining(&s->base)) {
		if (st->uni)
			ngtcp2_conn_extend_max_streams_uni(s->conn, 1);
		else
			ngtcp2_conn_extend_max_streams_bidi(s->conn, 1);
		quic_dirty(s);
	}
	if (!st->local && !st->uni)
		s->peer_open--;
	quic_chan_leave(&st->chan);
}

/*
 * How much of its window st gets back now. While memory is short a chunk at a time, when all that
 * came was read.
 */
static uint64_t
stream_grant(const struct quic_stream *st)
{
	if (quic_memory(st->chan.session) < MEMORY_SHORT || st->chan.base.core->vital)
		return st->credit < st->window.size / 4 ? 0 : st->credit;
	return st->chan.rx.len || st->credit < CHUNK_SIZE ? 0 : CHUNK_SIZE;
}

void
quic_stream_consume(struct quic_stream *st, size_t len)
{
	struct quic_session *s = st->chan.session;
	uint64_t max, room, more, grant;

	if (!s)
		return;
	s->unread -= len;
	if (!st->attached || st->ended)
		return;
	st->credit += len;
	if (mux_window_use(&st->window, len)) {
		max = s->params.window_max;
		room = max > st->window.size ? max - st->window.size : 0;
		if (room > max - s->grown)
			room = max - s->grown;
		if (quic_memory(s) != MEMORY_PLENTY)
			room = 0;
		more = mux_window_grow(&st->window, quic_rtt(s), room, adit_now());
		st->grown += more;
		s->grown += more;
		st->credit += more;
	}
	grant = stream_grant(st);
	if (!grant)
		return;
	ngtcp2_conn_extend_max_stream_offset(s->conn, st->id, grant);
	st->credit -= grant;
	quic_dirty(s);
}

static ssize_t
stream_read(struct adit_conn *c, void *buf, size_t len)
{
	struct quic_stream *st = quic_stream_of(quic_chan_of(c));
	size_t n = queue_take(&st->chan.rx, buf, len);

	if (!n)
		return st->ended ? 0 : -EAGAIN;
	quic_stream_consume(st, n);
	return (ssize_t)n;
}

static size_t
stream_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct quic_stream *st = quic_stream_of(quic_chan_of(c));
	size_t n = conn_pour_queue(&st->chan.rx, to, len);

	if (n)
		quic_stream_consume(st, n);
	return n;
}

static ssize_t
stream_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct quic_stream *st = quic_stream_of(quic_chan_of(c));
	struct quic_chan *chan = &st->chan;
	size_t took;

	if (st->fin || st->stopped || !chan->session)
		return -EPIPE;
	chan->tx.yields = !c->core->vital;
	took = queue_addv(&chan->tx, iov, n);
	if (!took) {
		chan->full = true;
		return conn_refused(c, &chan->tx);
	}
	chan->session->queued += took;
	quic_chan_send(chan);
	return (ssize_t)took;
}

static int
stream_shutdown(struct adit_conn *c)
{
	struct quic_stream *st = quic_stream_of(quic_chan_of(c));

	if (st->fin || st->stopped)
		return 0;
	st->fin = true;
	if (st->attached)
		quic_chan_send(&st->chan);
	return 0;
}

static void
stream_abort(struct quic_stream *st)
{
	struct quic_session *s = st->chan.session;

	/* What ngtcp2 may still look at stays until it lets go of the stream. */
	quic_chan_unlist(&st->chan);
	st->stopped = true;
	ngtcp2_conn_shutdown_stream(s->conn, 0, st->id, adit_conn_code(&st->chan.base));
}

static void
stream_finish(struct quic_stream *st)
{
	struct quic_session *s = st->chan.session;

	if (!st->ended)
		ngtcp2_conn_shutdown_stream_read(s->conn, 0, st->id,
						 adit_conn_code(&st->chan.base));
	if (st->stopped)
		return;
	if (!st->fin) {
		st->fin = true;
		quic_chan_send(&st->chan);
	}
	quic_linger(st, adit_now());
}

static void
stream_close(struct adit_conn *c, int why)
{
	struct quic_stream *st = quic_stream_of(quic_chan_of(c));
	struct quic_session *s = st->chan.session;

	st->chan.closed = true;
	if (!s)
		return;
	quic_chan_count(&st->chan, false);
	s->unread -= st->chan.rx.len;
	queue_fini(&st->chan.rx);
	if (!st->attached) {
		stream_drop_tx(st);
		stream_done(st);
		return;
	}
	if (why || adit_conn_err(c))
		stream_abort(st);
	else
		stream_finish(st);
	quic_dirty(s);
}

static void
stream_free(struct adit_conn *c)
{
	struct quic_chan *chan = quic_chan_of(c);

	queue_fini(&chan->rx);
	queue_fini(&chan->tx);
}

static struct adit_mux *
stream_mux(struct adit_conn *c)
{
	struct quic_session *s = quic_chan_of(c)->session;

	return s ? &s->base : NULL;
}

static int
stream_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	const struct quic_stream *st = quic_stream_of(quic_chan_of(c));

	*d = (struct adit_delivery){ .taken = st->acked + st->chan.tx.len, .acked = st->acked };
	return 0;
}

static const struct adit_certificate *
stream_certificate(struct adit_conn *c)
{
	struct adit_mux *m = stream_mux(c);

	return m ? quic_session_peer(m) : NULL;
}

static const struct adit_conn_ops stream_ops = {
	.size = sizeof(stream_ops),
	.name = "quic",
	.read = stream_read,
	.writev = stream_writev,
	.shutdown = stream_shutdown,
	.close = stream_close,
	.free = stream_free,
	.mux = stream_mux,
	.delivery = stream_delivery,
	.certificate = stream_certificate,
	.pour = stream_pour,
};

/* ---- beginning --------------------------------------------------------------------------- */

static struct quic_stream *
stream_new(struct quic_session *s, bool uni, bool local)
{
	unsigned flags = ADIT_CONN_SECURE | (uni ? ADIT_CONN_UNI : 0u);
	struct chunk_pool *pool = worker_chunks(s->ep->worker);
	struct quic_stream *st = adit_conn_new(s->ep->worker, &stream_ops, sizeof(*st), flags);

	if (!st)
		return NULL;
	st->id = -1;
	st->uni = uni;
	st->local = local;
	st->ended = uni && local;
	st->stopped = uni && !local;
	/* What arrives is within the window granted. */
	queue_init(&st->chan.rx, pool, SIZE_MAX);
	queue_init(&st->chan.tx, pool, s->params.send_queue);
	mux_window_init(&st->window, s->params.stream_window, adit_now());
	mux_window_init(&st->drain, s->params.send_queue, st->window.since);
	quic_chan_join(&st->chan, s);
	return st;
}

static bool
stream_number(struct quic_session *s, struct quic_stream *st)
{
	struct quic_chan *c = &st->chan;

	if (st->uni ? ngtcp2_conn_open_uni_stream(s->conn, &st->id, st) :
		      ngtcp2_conn_open_bidi_stream(s->conn, &st->id, st))
		return false;
	TAILQ_REMOVE(&s->pending, c, wait);
	c->pending = false;
	s->n_pending--;
	s->opened += !st->uni;
	st->attached = true;
	adit_conn_ready(&c->base, ADIT_OPEN | ADIT_WRITE);
	if (st->fin)
		quic_chan_send(c);
	return true;
}

void
quic_streams_number(struct quic_session *s)
{
	struct quic_chan *c = TAILQ_FIRST(&s->pending), *next;

	for (; c; c = next) {
		next = TAILQ_NEXT(c, wait);
		stream_number(s, quic_stream_of(c));
	}
}

struct adit_conn *
quic_stream_open(struct quic_session *s, bool uni, struct adit_err *e)
{
	struct quic_stream *st = stream_new(s, uni, true);

	if (!st) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	st->chan.pending = true;
	TAILQ_INSERT_TAIL(&s->pending, &st->chan, wait);
	s->n_pending++;
	if (s->state == QUIC_OPEN)
		stream_number(s, st);
	return &st->chan.base;
}

/* The peer uses most of what it may: it may more, as long as what it sends is read. */
static void
stream_grant_more(struct quic_session *s)
{
	unsigned more = s->peer_may, max = s->params.streams_max;

	if (s->peer_open < s->peer_may - s->peer_may / 4 || s->peer_may >= max ||
	    s->unread > s->params.window_max || adit_mux_draining(&s->base) ||
	    quic_memory(s) >= MEMORY_SHORT)
		return;
	if (more > max - s->peer_may)
		more = max - s->peer_may;
	s->peer_may += more;
	ngtcp2_conn_extend_max_streams_bidi(s->conn, more);
}

struct quic_stream *
quic_stream_accept(struct quic_session *s, int64_t id)
{
	bool uni = !ngtcp2_is_bidi_stream(id);
	struct quic_stream *st = stream_new(s, uni, false);

	if (!st)
		return NULL;
	st->id = id;
	st->attached = true;
	ngtcp2_conn_set_stream_user_data(s->conn, id, st);
	adit_conn_ready(&st->chan.base, ADIT_OPEN | ADIT_WRITE);
	if (uni && s->has_flows) {
		quic_flow_attach(st);
		return st;
	}
	if (!uni) {
		s->peer_opened++;
		s->peer_open++;
		stream_grant_more(s);
	}
	st->chan.unaccepted = true;
	TAILQ_INSERT_TAIL(&s->unaccepted, &st->chan, wait);
	adit_mux_ready(&s->base, ADIT_READ);
	return st;
}

/* ---- below ------------------------------------------------------------------------------- */

int
quic_stream_receive(struct quic_stream *st, const uint8_t *bytes, size_t len, bool end)
{
	struct quic_session *s = st->chan.session;

	if (st->chan.closed) {
		ngtcp2_conn_extend_max_offset(s->conn, len);
		return 0;
	}
	if (queue_add(&st->chan.rx, bytes, len) < len)
		return -ENOMEM;
	if (len) {
		s->unread += len;
		quic_session_credit(s, len);
	}
	st->ended |= end;
	adit_conn_ready(&st->chan.base, ADIT_READ);
	return 0;
}

/*
 * The owner has more than tx takes, and tx is emptied so fast that it is what limits: twice what is
 * acknowledged in a round trip is enough.
 */
static void
stream_grow_queue(struct quic_stream *st)
{
	struct quic_chan *c = &st->chan;
	const struct quic_params *p = &c->session->params;
	size_t room = p->send_queue_max > c->tx.cap ? p->send_queue_max - c->tx.cap : 0;

	if (c->session->queued > QUEUED_MAX(p) || quic_memory(c->session) != MEMORY_PLENTY)
		room = 0;
	c->tx.cap += mux_window_grow(&st->drain, quic_rtt(c->session) / 2, room, adit_now());
}

void
quic_stream_acked(struct quic_stream *st, uint64_t len)
{
	struct quic_chan *c = &st->chan;

	queue_drop(&c->tx, len);
	st->acked += len;
	c->session->queued -= len;
	if (mux_window_use(&st->drain, len) && c->full)
		stream_grow_queue(st);
	if (st->lingering)
		quic_linger(st, adit_now());
	if (c->full && queue_room(&c->tx) >= c->tx.cap / 4) {
		c->full = false;
		adit_conn_ready(&c->base, ADIT_WRITE);
	}
}

void
quic_stream_detach(struct quic_stream *st, bool failed, uint64_t code)
{
	struct quic_chan *c = &st->chan;

	st->attached = false;
	stream_drop_tx(st);
	if (!c->closed && failed)
		adit_conn_set_code(&c->base, code);
	if (!c->closed && !st->ended)
		adit_conn_fail(&c->base, -ECONNRESET);
	adit_conn_ready(&c->base, ADIT_WRITE | ADIT_HEAD);
	if (c->closed)
		stream_done(st);
}

static void
stream_sent(struct quic_stream *st, size_t len, bool last)
{
	struct quic_chan *c = &st->chan;

	st->sent += len;
	st->burst += len;
	st->fin_sent |= last;
	if (st->sent == st->acked + c->tx.len && st->fin == st->fin_sent) {
		quic_chan_unlist(c);
		st->burst = 0;
	} else if (st->burst >= BURST) {
		st->burst = 0;
		TAILQ_REMOVE(c->list, c, turn);
		TAILQ_INSERT_TAIL(c->list, c, turn);
	}
}

/* Nothing leaves it any more: the peer does not want it. */
static void
stream_stop(struct quic_stream *st)
{
	quic_chan_unlist(&st->chan);
	st->stopped = true;
	adit_conn_ready(&st->chan.base, ADIT_WRITE);
}

/* Takes len sent bytes off what was looked up. */
static void
stream_skip(struct quic_stream *st, size_t len)
{
	unsigned k = 0;

	for (; k < st->n_ahead && len >= st->ahead[k].len; k++)
		len -= st->ahead[k].len;
	st->n_ahead -= k;
	if (k)
		memmove(st->ahead, st->ahead + k, st->n_ahead * sizeof(*st->ahead));
	if (!st->n_ahead)
		return;
	st->ahead[0].base += len;
	st->ahead[0].len -= len;
}

/* Looks up what to send next: a packet's worth at least, if there is so much. Returns how much. */
static size_t
stream_look(struct quic_stream *st, size_t unsent, size_t packet)
{
	struct iovec iov[QUIC_AHEAD];
	size_t given = 0;

	for (unsigned i = 0; i < st->n_ahead; i++)
		given += st->ahead[i].len;
	if (given == unsent || given >= packet)
		return given;
	st->n_ahead = (unsigned)queue_peek(&st->chan.tx, st->sent - st->acked, iov, QUIC_AHEAD);
	given = 0;
	for (unsigned i = 0; i < st->n_ahead; i++) {
		st->ahead[i] = (ngtcp2_vec){ .base = iov[i].iov_base, .len = iov[i].iov_len };
		given += iov[i].iov_len;
	}
	return given;
}

ngtcp2_ssize
quic_stream_write(struct quic_stream *st, struct quic_writing *w)
{
	struct quic_chan *c = &st->chan;
	struct quic_session *s = c->session;
	size_t unsent = st->acked + c->tx.len - st->sent, given = stream_look(st, unsent, w->len);
	uint32_t flags = w->more;
	ngtcp2_ssize taken = -1, n;

	if (st->fin && given == unsent)
		flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
	n = ngtcp2_conn_writev_stream(s->conn, w->path, w->pi, w->dest, w->len, &taken, flags,
	                              st->id, st->ahead, st->n_ahead, w->now);
	if (taken >= 0) {
		stream_skip(st, (size_t)taken);
		stream_sent(st, (size_t)taken,
			    flags & NGTCP2_WRITE_STREAM_FLAG_FIN && (size_t)taken == given);
	}
	switch (n) {
	case NGTCP2_ERR_STREAM_DATA_BLOCKED:
		quic_chan_unlist(c);
		c->list = &s->blocked;
		TAILQ_INSERT_TAIL(c->list, c, turn);
		return NGTCP2_ERR_WRITE_MORE;
	case NGTCP2_ERR_STREAM_SHUT_WR:
	case NGTCP2_ERR_STREAM_NOT_FOUND:
		stream_stop(st);
		return NGTCP2_ERR_WRITE_MORE;
	default:
		return n;
	}
}

bool
quic_stream_takes(const struct adit_conn *c)
{
	struct quic_chan *chan = quic_chan_of(c);

	return chan->session && !quic_stream_of(chan)->stopped;
}

int64_t
quic_conn_number(const struct adit_conn *c)
{
	struct quic_chan *chan = quic_chan_of(c);

	return chan->is_flow ? (int64_t)quic_flow_of(chan)->node.id : quic_stream_of(chan)->id;
}
