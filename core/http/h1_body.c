#include "core/http/h1_session.h"

#include <errno.h>

#include "core/conn/conn.h"

/*
 * Small writes of one turn leave together: what is below this is copied and sent in the next turn,
 * or at the message's end.
 */
#define CORK_MAX    (16 * 1024)
#define SMALL_REST  1024	/* is queued: an answer of a few words is written once */
#define CHUNK_MAX   65536
#define OUT_PIECES  16
#define BODY_PIECES 32

/* ---- reading ------------------------------------------------------------------------------ */

static void
rx_done(struct h1 *h)
{
	h->rx = H1_RX_DONE;
	h1_update(h);
}

/* A request like that is answered, if its owner has not begun to. */
static ssize_t
rx_truncated(struct h1 *h)
{
	static const char why[] = "connection ended within a message";

	if (h->role->type == HTTP_REQUEST) {
		h->parser.fault = (struct h1_fault){ 400, why };
		h->rx = H1_RX_BROKEN;
	} else {
		h1_abort(h, ADIT_ETRUNCATED, why);
	}
	return ADIT_ETRUNCATED;
}

/* Bytes that were read too far, else lower's. 0: its end. */
static ssize_t
rx_take(struct h1 *h, void *buf, size_t len)
{
	ssize_t n;

	if (h->in.len)
		return (ssize_t)queue_take(&h->in, buf, len);
	if (h->lower_ended)
		return 0;
	n = adit_conn_read(h->lower, buf, len);
	if (n > 0) {
		adit_mux_hear(&h->base, adit_now());
		adit_mux_moved(&h->base, (uint64_t)n, 0);
	} else if (n == -EAGAIN) {
		h->waiting = true;
		h1_update(h);
	} else if (n == 0) {
		h->lower_ended = true;
		h->keep = false;
	} else {
		h1_abort(h, (int)n, adit_strerror((int)n));
	}
	return n;
}

static ssize_t
rx_length(struct h1 *h, void *buf, size_t len)
{
	ssize_t n = rx_take(h, buf, h->rx_left < len ? (size_t)h->rx_left : len);

	if (n == 0)
		return rx_truncated(h);
	if (n < 0)
		return n;
	h->rx_left -= (uint64_t)n;
	if (!h->rx_left)
		rx_done(h);
	return n;
}

static ssize_t
rx_until_eof(struct h1 *h, void *buf, size_t len)
{
	ssize_t n = rx_take(h, buf, len);

	if (n == 0)
		rx_done(h);
	return n;
}

/* One step through chunks that were read too far. */
static ssize_t
rx_chunks_queued(struct h1 *h, char *buf, size_t len, size_t *n_out)
{
	struct iovec iov;
	ssize_t used;

	queue_peek(&h->in, 0, &iov, 1);
	used = h1_parse_chunks(&h->parser, iov.iov_base, iov.iov_len < len ? iov.iov_len : len, buf,
			       n_out);
	if (used > 0)
		queue_drop(&h->in, (size_t)used);
	return used;
}

/* One step with lower: read into buf, where the framing is then taken out. */
static ssize_t
rx_chunks_read(struct h1 *h, char *buf, size_t len, size_t *n_out)
{
	ssize_t n = rx_take(h, buf, len < h->in.cap ? len : h->in.cap), used;

	if (n == 0)
		return rx_truncated(h);
	if (n < 0)
		return n;
	used = h1_parse_chunks(&h->parser, buf, (size_t)n, buf, n_out);
	if (used >= 0 && queue_add(&h->in, buf + used, (size_t)(n - used)) < (size_t)(n - used)) {
		h1_abort(h, -ENOMEM, adit_strerror(-ENOMEM));
		return -ENOMEM;
	}
	return used;
}

static void
rx_trailers(struct h1 *h)
{
	struct adit_fields *trailers = h1_parser_take(&h->parser);

	if (h->x && trailers)
		h1_exchange_head(h->x, trailers);
	else
		adit_fields_free(trailers);
	rx_done(h);
}

static ssize_t
rx_broken(struct h1 *h)
{
	h->role->refused(h);
	return -EBADMSG;
}

static ssize_t
rx_chunks(struct h1 *h, char *buf, size_t len)
{
	size_t n_out = 0;

	while (!n_out && h->rx == H1_RX_BODY) {
		ssize_t used = h->in.len ? rx_chunks_queued(h, buf, len, &n_out)
					 : rx_chunks_read(h, buf, len, &n_out);

		if (used == -EBADMSG) {
			h->rx = H1_RX_BROKEN;
			h->keep = false;
			break;		/* what came before it comes first */
		}
		if (used < 0)
			return used;
		if (h->parser.body_done)
			rx_trailers(h);
	}
	return n_out || h->rx != H1_RX_BROKEN ? (ssize_t)n_out : rx_broken(h);
}

ssize_t
h1_body_read(struct h1 *h, void *buf, size_t len)
{
	if (h->rx == H1_RX_DONE)
		return 0;
	if (h->rx == H1_RX_BROKEN)
		return rx_broken(h);
	switch (h->rx_framing) {
	case H1_LENGTH:
		return rx_length(h, buf, len);
	case H1_CHUNKED:
		return rx_chunks(h, buf, len);
	case H1_UNTIL_EOF:
	case H1_RAW:
		return rx_until_eof(h, buf, len);
	case H1_NO_BODY:
		break;
	}
	return 0;
}

/* Chunks have framing between them. */
size_t
h1_body_pour(struct h1 *h, struct adit_conn *to, size_t len)
{
	bool counted = h->rx_framing == H1_LENGTH;
	size_t n;

	if (h->rx != H1_RX_BODY || h->rx_framing == H1_CHUNKED || h->in.len || h->lower_ended)
		return 0;
	n = conn_pour(h->lower, to, counted && h->rx_left < len ? (size_t)h->rx_left : len);
	if (!n)
		return 0;
	adit_mux_hear(&h->base, adit_now());
	adit_mux_moved(&h->base, (uint64_t)n, 0);
	h->rx_left -= counted ? n : 0;
	if (counted && !h->rx_left)
		rx_done(h);
	return n;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* A piece of a body with its framing, ready for one writev. */
struct piece {
	char		 head[H1_CHUNK_HEAD];
	struct iovec	 iov[BODY_PIECES + 2];
	int		 n;
	size_t		 len, body;	/* all, and without the framing */
};

static void
piece_add(struct piece *p, const void *s, size_t len)
{
	p->iov[p->n++] = (struct iovec){ .iov_base = (void *)(uintptr_t)s, .iov_len = len };
	p->len += len;
}

/* At most limit bytes of iov. */
static void
piece_make(struct piece *p, const struct iovec *iov, int n, size_t limit, bool chunked)
{
	size_t body = 0;

	p->n = 0;
	p->len = 0;
	for (int i = 0; i < n && i < BODY_PIECES; i++)
		body += iov[i].iov_len;
	p->body = body < limit ? body : limit;
	if (chunked)
		piece_add(p, p->head, h1_chunk_head(p->head, p->body));
	for (int i = 0; i < n && limit && i < BODY_PIECES; i++) {
		size_t len = iov[i].iov_len < limit ? iov[i].iov_len : limit;

		piece_add(p, iov[i].iov_base, len);
		limit -= len;
	}
	if (chunked)
		piece_add(p, "\r\n", 2);
}

/* Queues p from that byte on. False: out of memory. */
static bool
piece_queue(struct h1 *h, const struct piece *p, size_t from)
{
	for (int i = 0; i < p->n; i++) {
		const char *s = p->iov[i].iov_base;
		size_t len = p->iov[i].iov_len, skip = from < len ? from : len;

		from -= skip;
		if (queue_add(&h->out, s + skip, len - skip) < len - skip)
			return false;
	}
	return true;
}

/*
 * Sends what is queued and p behind it. Of a chunk that lower takes in part the rest is queued, as
 * its size was said, and so is a small rest; else it stays the caller's. Returns how many body
 * bytes were taken.
 */
static ssize_t
piece_send(struct h1 *h, const struct piece *p, bool chunked)
{
	struct iovec iov[OUT_PIECES + BODY_PIECES + 2];
	size_t queued = h->out.len, sent;
	int n = queue_peek(&h->out, 0, iov, OUT_PIECES);
	ssize_t took;

	for (int i = 0; i < p->n; i++)
		iov[n++] = p->iov[i];
	took = adit_conn_writev(h->lower, iov, n);
	if (took < 0 && took != -EAGAIN) {
		h1_write_failed(h, (int)took);
		return h->tx_broken ? (ssize_t)p->body : took;
	}
	if (took < 0)
		took = 0;
	adit_mux_moved(&h->base, 0, (uint64_t)took);
	queue_drop(&h->out, (size_t)took < queued ? (size_t)took : queued);
	sent = (size_t)took > queued ? (size_t)took - queued : 0;
	h->blocked = sent < p->len;
	if (!chunked && p->len - sent > SMALL_REST)
		return sent ? (ssize_t)sent : -EAGAIN;
	if (!piece_queue(h, p, sent)) {
		h1_abort(h, -ENOMEM, adit_strerror(-ENOMEM));
		return -ENOMEM;
	}
	return (ssize_t)p->body;
}

static ssize_t
tx_body(struct h1 *h, const struct iovec *iov, int n)
{
	bool chunked = h->tx_framing == H1_CHUNKED, length = h->tx_framing == H1_LENGTH;
	size_t limit = chunked ? CHUNK_MAX : SIZE_MAX;
	struct piece p;
	ssize_t took;

	if (h->blocked)
		return -EAGAIN;
	if (length && h->tx_left < limit)
		limit = (size_t)h->tx_left;
	piece_make(&p, iov, n, limit, chunked);
	if (!p.body)
		return 0;
	/* The end of a message does not wait for the end of the turn. */
	if (h->out.len + p.len <= CORK_MAX && !(length && p.body == h->tx_left)) {
		if (!piece_queue(h, &p, 0)) {
			h1_abort(h, -ENOMEM, adit_strerror(-ENOMEM));
			return -ENOMEM;
		}
		took = (ssize_t)p.body;
	} else {
		took = piece_send(h, &p, chunked);
	}
	if (took > 0 && length) {
		h->tx_left -= (uint64_t)took;
		if (!h->tx_left)
			h->tx = h->asked >= H1_ASKED_CONNECT && h->role->type == HTTP_RESPONSE ?
				H1_TX_PENDING : H1_TX_DONE;
	}
	return took;
}

ssize_t
h1_body_write(struct h1 *h, const struct iovec *iov, int n)
{
	ssize_t took;

	switch (h->tx) {
	case H1_TX_HEAD:
	case H1_TX_PENDING:
		return -EAGAIN;
	case H1_TX_BODY:
		break;
	case H1_TX_DONE:
		/* To HEAD a response may be written as to GET (RFC 9110, 9.3.2). */
		if (h->asked == H1_ASKED_HEAD)
			return (ssize_t)iov_total(iov, n);
		if (h->tx_framing == H1_LENGTH || h->tx_framing == H1_NO_BODY)
			return -EMSGSIZE;
		return -EPIPE;
	}
	if (h->tx_broken)	/* until the response is there, which may still come */
		return h->rx == H1_RX_DONE ? h->tx_broken : (ssize_t)iov_total(iov, n);
	took = tx_body(h, iov, n);
	h1_update(h);
	return took;
}

static int
tx_raw_end(struct h1 *h)
{
	h->tx = H1_TX_DONE;
	if (!h->out.len)
		return adit_conn_shutdown(h->lower);
	h->end_lower = true;
	return 0;
}

int
h1_body_end(struct h1 *h, const struct adit_fields *trailers)
{
	int err = 0;

	if (h->tx == H1_TX_DONE)
		return 0;
	if (h->tx == H1_TX_PENDING) {
		h->end_asked = true;
		return 0;
	}
	if (h->tx == H1_TX_HEAD || (h->tx_framing == H1_LENGTH && !h->tx_broken)) {
		h->keep = false;
		return -EPROTO;
	}
	if (h->tx_framing == H1_RAW) {
		err = tx_raw_end(h);
	} else if (h->tx_framing == H1_UNTIL_EOF) {
		h->end_lower = true;
	} else if (h->tx_framing == H1_CHUNKED && !h->tx_broken) {
		err = h1_write_trailers(&h->out, trailers);
		if (err == -EAGAIN)
			return err;
		if (err < 0)
			h1_abort(h, err, adit_strerror(err));
	}
	h->tx = H1_TX_DONE;
	if (h->lower && !h->blocked)
		h1_flush(h);
	h1_update(h);
	return err;
}
