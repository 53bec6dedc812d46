/*
 * A DATAGRAM frame of a session with flows:       number (varint) payload A stream for what fits no
 * packet:               number (varint), then of each: length (16 bits) payload
 *
 * The client's numbers are even, the server's odd, both count up.
 */
#include <errno.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/mux/quic/internal.h"
#include "core/wire/varint.h"

#define DATAGRAM_MAX	65535
#define QUEUE_CAP       (DATAGRAM_MAX + 2 + 65536) /* the longest always fits a queue half full */
#define CROWDED		(QUEUE_CAP / 2)	/* then there is room for one more read */
#define UNREAD_MAX      (8u << 20) /* of all flows of a session: what comes beyond is dropped */
#define VECS		6
#define PACKET_COST	(1 + 4 + 16)	/* short header without its id, the tag */
#define FRAME_COST	(1 + 4)		/* type, length */

/* ---- queues of datagrams ---------------------------------------------------------------- */

static size_t
flow_next(const struct queue *q)
{
	uint8_t head[2];

	return queue_copy(q, 0, head, 2) == 2 ? (size_t)head[0] << 8 | head[1] : 0;
}

static bool
flow_put_head(struct queue *q, size_t len)
{
	const uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	return queue_add(q, head, 2) == 2;
}

/* ---- as a conn ---------------------------------------------------------------------------- */

static ssize_t
flow_read(struct adit_conn *c, void *buf, size_t len)
{
	struct quic_chan *chan = quic_chan_of(c);
	size_t size = flow_next(&chan->rx), n = size < len ? size : len;

	if (!chan->rx.len)
		return -EAGAIN;
	queue_drop(&chan->rx, 2);
	queue_take(&chan->rx, buf, n);
	queue_drop(&chan->rx, size - n);
	if (chan->session)
		chan->session->flow_unread -= size + 2;
	return (ssize_t)n;
}

/* The longest payload that goes in a frame; 0: none does. */
static size_t
flow_fits(const struct quic_flow *f)
{
	ngtcp2_conn *conn = f->chan.session->conn;
	const ngtcp2_transport_params *peer = ngtcp2_conn_get_remote_transport_params(conn);
	size_t cost = PACKET_COST + FRAME_COST + ngtcp2_conn_get_dcid(conn)->datalen;
	size_t room = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn);
	uint8_t number[8];
	size_t prefix = varint_write(number, f->node.id);

	room = room > cost ? room - cost : 0;
	if (!peer || peer->max_datagram_frame_size < FRAME_COST)
		return 0;
	if (room > peer->max_datagram_frame_size - FRAME_COST)
		room = peer->max_datagram_frame_size - FRAME_COST;
	return room > prefix ? room - prefix : 0;
}

/* For a datagram of len bytes. One that waits is enough while memory is short. */
static bool
flow_has_room(const struct quic_flow *f, const struct queue *q, size_t len)
{
	if (q->len && quic_memory(f->chan.session) >= MEMORY_SHORT)
		return false;
	return queue_room(q) >= len + 2;
}

static void
flow_big_event(void *owner, struct adit_conn *big, unsigned events)
{
	struct quic_flow *f = owner;

	(void)events;
	adit_conn_want(big, 0);
	if (adit_conn_err(big)) {
		adit_conn_close(big, adit_conn_err(big));
		f->big = NULL;
	}
	f->chan.full = false;
	adit_conn_ready(&f->chan.base, ADIT_WRITE);
}

/* Sends what fits no frame: whole, or not at all. */
static ssize_t
flow_write_big(struct quic_flow *f, const struct iovec *iov, int n, size_t len)
{
	struct quic_stream *st;
	struct queue *tx;
	uint8_t number[8];

	if (!f->big) {
		f->big = quic_stream_open(f->chan.session, true, NULL);
		if (!f->big)
			return -ENOMEM;
		adit_conn_own(f->big, flow_big_event, f);
		st = quic_stream_of(quic_chan_of(f->big));
		queue_add(&st->chan.tx, number, varint_write(number, f->node.id));
		f->chan.session->queued += st->chan.tx.len;
	}
	st = quic_stream_of(quic_chan_of(f->big));
	tx = &st->chan.tx;
	if (!adit_conn_is_open(f->big) || !flow_has_room(f, tx, len)) {
		st->chan.full = f->chan.full = true;
		conn_unready(f->big, ADIT_WRITE);
		adit_conn_want(f->big, ADIT_WRITE);
		return -EAGAIN;
	}
	f->chan.session->queued += len + 2;
	if (!flow_put_head(tx, len) || queue_addv(tx, iov, n) < len) {
		/* Out of memory in the middle: that stream means nothing any more. */
		f->chan.session->queued -= len + 2;
		adit_conn_close(f->big, -ENOMEM);
		f->big = NULL;
		return (ssize_t)len;
	}
	quic_chan_send(&st->chan);
	return (ssize_t)len;
}

static ssize_t
flow_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct quic_flow *f = quic_flow_of(quic_chan_of(c));
	struct quic_chan *chan = &f->chan;
	size_t len = iov_total(iov, n);

	if (!chan->session)
		return -EPIPE;
	if (len > DATAGRAM_MAX)
		return -EMSGSIZE;
	if (len > flow_fits(f))
		return flow_write_big(f, iov, n, len);
	if (!flow_has_room(f, &chan->tx, len)) {
		chan->full = true;
		return -EAGAIN;
	}
	if (!flow_put_head(&chan->tx, len) || queue_addv(&chan->tx, iov, n) < len)
		queue_fini(&chan->tx);		/* out of memory: these datagrams are lost */
	quic_chan_send(chan);
	return (ssize_t)len;
}

static int
flow_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;		/* a flow has no end */
}

void
quic_flow_leave(struct quic_flow *f)
{
	struct quic_session *s = f->chan.session;

	s->flow_unread -= f->chan.rx.len;
	s->n_flows--;
	idmap_remove(&s->flows, &f->node);
	adit_conn_close(f->big, 0);
	f->big = NULL;
	queue_fini(&f->chan.tx);
}

/* Its owner has closed it, and what it was to send has gone. */
static void
flow_done(struct quic_flow *f)
{
	struct quic_chan *chan = &f->chan;

	quic_flow_leave(f);
	adit_mux_ready(&chan->session->base, ADIT_WRITE);
	quic_chan_leave(chan);
}

/* Politely: what was taken in this turn still leaves with the next packets. */
static void
flow_close(struct adit_conn *c, int why)
{
	struct quic_chan *chan = quic_chan_of(c);

	chan->closed = true;
	if (chan->session && (why || !chan->tx.len))
		flow_done(quic_flow_of(chan));
}

static void
flow_free(struct adit_conn *c)
{
	struct quic_chan *chan = quic_chan_of(c);

	queue_fini(&chan->rx);
	queue_fini(&chan->tx);
}

static const struct adit_conn_ops flow_ops = {
	.size = sizeof(flow_ops),
	.name = "quic-datagram",
	.read = flow_read,
	.writev = flow_writev,
	.shutdown = flow_shutdown,
	.close = flow_close,
	.free = flow_free,
};

static struct quic_flow *
flow_new(struct quic_session *s, uint64_t number)
{
	struct chunk_pool *pool = worker_chunks(s->ep->worker);
	struct quic_flow *f;

	if (s->n_flows >= s->params.flows_max || (!s->flows.buckets && idmap_init(&s->flows) < 0))
		return NULL;
	f = adit_conn_new(s->ep->worker, &flow_ops, sizeof(*f), ADIT_CONN_SECURE | ADIT_CONN_DGRAM);
	if (!f)
		return NULL;
	f->chan.is_flow = true;
	queue_init(&f->chan.rx, pool, QUEUE_CAP);
	queue_init(&f->chan.tx, pool, QUEUE_CAP);
	idmap_add(&s->flows, &f->node, number);
	s->n_flows++;
	quic_chan_join(&f->chan, s);
	adit_conn_ready(&f->chan.base, ADIT_OPEN | ADIT_WRITE);
	return f;
}

struct adit_conn *
quic_flow_open(struct quic_session *s, struct adit_err *e)
{
	struct quic_flow *f = flow_new(s, s->next_flow * 2 + s->server);

	if (!f) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	s->next_flow++;
	return &f->chan.base;
}

/* ---- receiving ----------------------------------------------------------------------------- */

/*
 * Whether number is a new one of the peer's; one that was there and has gone is not (as in an anti-
 * replay window).
 */
static bool
flow_is_new(struct quic_session *s, uint64_t number)
{
	uint64_t index = number >> 1, behind, bit;

	if ((number & 1) == s->server)
		return false;
	if (index >= s->flow_top) {
		uint64_t ahead = index - s->flow_top + 1;

		s->flow_seen = ahead < 64 ? s->flow_seen << ahead : 0;
		s->flow_top = index + 1;
	}
	behind = s->flow_top - 1 - index;
	if (behind >= 64)
		return false;
	bit = (uint64_t)1 << behind;
	if (s->flow_seen & bit)
		return false;
	s->flow_seen |= bit;
	return true;
}

/* The flow of that number, made if it is a new one of the peer's; NULL: what came is dropped. */
static struct quic_flow *
flow_find(struct quic_session *s, uint64_t number)
{
	struct idmap_node *node = s->n_flows ? idmap_find(&s->flows, number) : NULL;
	struct quic_flow *f;

	if (node)
		return adit_container_of(node, struct quic_flow, node);
	if (s->n_flows >= s->params.flows_max || !flow_is_new(s, number))
		return NULL;
	f = flow_new(s, number);
	if (!f)
		return NULL;
	f->chan.unaccepted = true;
	TAILQ_INSERT_TAIL(&s->unaccepted, &f->chan, wait);
	adit_mux_ready(&s->base, ADIT_READ);
	return f;
}

struct adit_conn *
quic_flow_claim(struct adit_mux *m, uint64_t number, struct adit_err *e)
{
	struct quic_session *s = quic_session_of(m);
	struct quic_flow *f = NULL;

	/* In any order, since the peer has told of it; what comes when it has gone is none. */
	if (s->state == QUIC_OPEN && s->has_flows && (number & 1) != s->server &&
	    !(s->n_flows && idmap_find(&s->flows, number)))
		f = flow_new(s, number);
	if (!f) {
		adit_err_set(e, -EBADMSG, "flow %llu cannot be", (unsigned long long)number);
		return NULL;
	}
	flow_is_new(s, number);
	quic_chan_count(&f->chan, true);
	return &f->chan.base;
}

/* Room for one of len bytes in its queue, whose head is then written; false: it is dropped. */
static bool
flow_begin(struct quic_flow *f, size_t len)
{
	struct quic_session *s = f->chan.session;

	if (!flow_has_room(f, &f->chan.rx, len) || s->flow_unread + len + 2 > UNREAD_MAX)
		return false;
	if (!flow_put_head(&f->chan.rx, len))
		return false;
	s->flow_unread += 2;
	return true;
}

/*
 * Where a flow has as much to read as the socket gives at a time, no more packets are read in this
 * turn: the next ones would find no room, and all work on them would be lost. They wait in the
 * socket's buffer, for their owner's turn and no longer. False: there is no memory, and all that
 * stood there is lost.
 */
static bool
flow_add(struct quic_flow *f, const void *bytes, size_t len)
{
	struct quic_session *s = f->chan.session;
	size_t before = f->chan.rx.len;

	s->flow_unread += len;
	s->ep->crowded |= before + len > CROWDED;
	if (queue_add(&f->chan.rx, bytes, len) == len)
		return true;
	s->flow_unread -= before + len;
	queue_fini(&f->chan.rx);
	return false;
}

int
quic_flow_receive(struct quic_session *s, const uint8_t *frame, size_t len)
{
	uint64_t number;
	size_t n = varint_read(frame, len, &number);
	struct quic_flow *f;

	if (!n || s->state != QUIC_OPEN || !s->has_flows)
		return 0;
	f = flow_find(s, number);
	if (!f || f->chan.closed || !flow_begin(f, len - n))
		return 0;
	if (flow_add(f, frame + n, len - n))
		adit_conn_ready(&f->chan.base, ADIT_READ);
	return 0;
}

/*
 * ---- the peer's streams for what fits no packet ------------------------------------------------
 */

/* One whole datagram from the stream to its flow. */
static void
flow_take_big(struct quic_stream *st, size_t len)
{
	struct quic_flow *f = flow_find(st->chan.session, st->flow);
	uint8_t piece[4096];
	size_t left = len;

	queue_drop(&st->chan.rx, 2);
	if (f && (f->chan.closed || !flow_begin(f, len)))
		f = NULL;
	while (left) {
		size_t n = queue_take(&st->chan.rx, piece,
		                      left < sizeof(piece) ? left : sizeof(piece));

		if (f && !flow_add(f, piece, n))
			f = NULL;	/* nor is the rest of any use */
		left -= n;
	}
	quic_stream_consume(st, len + 2);
	if (f)
		adit_conn_ready(&f->chan.base, ADIT_READ);
}

static bool
flow_read_number(struct quic_stream *st)
{
	uint8_t head[8];
	size_t n = queue_copy(&st->chan.rx, 0, head, sizeof(head));

	n = varint_read(head, n, &st->flow);
	if (!n)
		return false;
	queue_drop(&st->chan.rx, n);
	quic_stream_consume(st, n);
	st->numbered = true;
	return true;
}

static void
flow_stream_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct quic_stream *st = owner;
	struct queue *rx = &st->chan.rx;

	(void)events;
	if (adit_conn_err(c) || !st->chan.session) {
		adit_conn_close(c, -ECONNRESET);
		return;
	}
	if (st->numbered || flow_read_number(st))
		while (rx->len >= 2 && rx->len >= flow_next(rx) + 2)
			flow_take_big(st, flow_next(rx));
	if (st->ended)
		adit_conn_close(c, 0);
	else
		conn_unready(c, ADIT_READ);
}

void
quic_flow_attach(struct quic_stream *st)
{
	adit_conn_own(&st->chan.base, flow_stream_event, st);
	adit_conn_want(&st->chan.base, ADIT_READ);
}

/*
 * ---- sending
 * -------------------------------------------------------------------------------------
 */

static void
flow_sent(struct quic_flow *f, size_t len)
{
	struct quic_chan *c = &f->chan;

	queue_drop(&c->tx, len + 2);
	if (!c->tx.len) {
		quic_chan_unlist(c);
	} else {
		TAILQ_REMOVE(c->list, c, turn);
		TAILQ_INSERT_TAIL(c->list, c, turn);
	}
	if (c->full && queue_room(&c->tx) >= QUEUE_CAP / 2) {
		c->full = false;
		adit_conn_ready(&c->base, ADIT_WRITE);
	}
	if (c->closed && !c->tx.len)
		flow_done(f);
}

ngtcp2_ssize
quic_flow_write(struct quic_flow *f, struct quic_writing *w)
{
	struct queue *tx = &f->chan.tx;
	size_t len = flow_next(tx), left = len, k = 1;
	bool more = w->more || tx->len > len + 2;	/* several share a packet */
	uint32_t flags = more ? NGTCP2_WRITE_DATAGRAM_FLAG_MORE : 0;
	uint8_t number[8];
	struct iovec iov[VECS - 1];
	ngtcp2_vec v[VECS];
	ngtcp2_ssize n;
	int accepted = 0, pieces;

	if (!tx->len) {
		quic_chan_unlist(&f->chan);
		return NGTCP2_ERR_WRITE_MORE;
	}
	v[0] = (ngtcp2_vec){ .base = number, .len = varint_write(number, f->node.id) };
	pieces = queue_peek(tx, 2, iov, VECS - 1);
	for (int i = 0; i < pieces && left; i++, k++) {
		v[k] = (ngtcp2_vec){ .base = iov[i].iov_base,
				     .len = iov[i].iov_len < left ? iov[i].iov_len : left };
		left -= v[k].len;
	}
	n = ngtcp2_conn_writev_datagram(f->chan.session->conn, w->path, w->pi, w->dest, w->len,
	                                &accepted, flags, 0, v, k, w->now);
	if (accepted)
		flow_sent(f, len);
	else if (n == NGTCP2_ERR_INVALID_ARGUMENT || n == NGTCP2_ERR_INVALID_STATE ||
		 (n == 0 && len > flow_fits(f))) {
		flow_sent(f, len);	/* the path became narrower: lost */
		return NGTCP2_ERR_WRITE_MORE;
	}
	return n;
}
