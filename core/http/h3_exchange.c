#include "core/http/h3_int.h"

#include <errno.h>

#include "core/conn/conn.h"
#include "core/mux/quic/quic.h"
#include "core/runtime/worker.h"

#define LINGER_MS 30000	/* for the rest of a message whose owner has gone */

static struct h3_exchange *
exchange_of(struct adit_conn *c)
{
	return adit_container_of(c, struct h3_exchange, base.body);
}

/* ---- its end --------------------------------------------------------------------------- */

/* The stream ends with that code (a failure, why < 0) or politely. */
static void
drop_stream(struct h3_exchange *x, int why, uint64_t code)
{
	struct adit_conn *stream = x->stream;

	x->stream = NULL;
	if (!stream)
		return;
	adit_conn_set_code(stream, code);
	adit_conn_close(stream, why);
}

static void
leave(struct h3_exchange *x)
{
	if (x->h)
		h3_forget(x);
}

void
h3_exchange_abort(struct h3_exchange *x, int err, uint64_t code, const char *why)
{
	drop_stream(x, err, code);
	if (x->closed) {
		leave(x);
		adit_conn_release(&x->base.body);
		return;
	}
	if (x->accepted) {
		conn_explain(&x->base.body, why);
		if (!adit_conn_code(&x->base.body))
			adit_conn_set_code(&x->base.body, code);
		adit_conn_fail(&x->base.body, err);
		return;
	}
	leave(x);
	adit_conn_close(&x->base.body, err);
}

/*
 * The client has given up a request. Where we have dialled it is one that we have chosen, and
 * stands for many: those who leave are not its fault.
 */
static void
count_reset(struct h3_exchange *x)
{
	if (x->h->server && x->tx == H3_TX_HEAD && !(quic_conn_number(x->stream) & 1))
		h3_reset_early(x->h);
}

void
h3_exchange_failed(struct h3_exchange *x, int err)
{
	uint64_t code = adit_conn_code(x->stream);
	struct h3 *h = x->h;

	if (adit_conn_err(&x->base.body))
		return;
	if (err == -ECONNRESET)
		count_reset(x);
	if (h->ended)
		return;
	if (!x->accepted && !x->waiting_accept) {
		h3_exchange_abort(x, err, err == -ETIMEDOUT ? H3_REQUEST_INCOMPLETE : code, NULL);
		return;
	}
	if (!h->server && code == H3_REQUEST_REJECTED)
		err = ADIT_EDRAINING;
	conn_explain(&x->base.body, conn_failure(x->stream));
	adit_conn_set_code(&x->base.body, code);
	adit_conn_fail(&x->base.body, err);
}

void
h3_exchange_over(struct h3_exchange *x, int err, uint64_t code)
{
	if (!x->accepted || x->closed) {
		h3_exchange_abort(x, err, code, NULL);
		return;
	}
	if (x->stream)
		adit_conn_want(x->stream, 0);
	adit_conn_set_code(&x->base.body, code);
	adit_conn_fail(&x->base.body, err);
}

void
h3_exchange_unprocessed(struct h3_exchange *x)
{
	if (x->rx == H3_RX_HEAD && !x->arrived)
		h3_exchange_abort(x, ADIT_EDRAINING, H3_REQUEST_CANCELLED, "not processed");
}

/* ---- events of the stream -------------------------------------------------------------- */

void
h3_exchange_update(struct h3_exchange *x)
{
	unsigned want = ADIT_HEAD;	/* of a stream: it is over */

	if (!x->stream)
		return;
	if (!x->opened)
		want |= ADIT_OPEN;
	if (x->closed)
		want |= ADIT_WRITE;
	else if (x->waiting || (x->rx == H3_RX_HEAD && !x->arrived))
		want |= ADIT_READ;
	if (x->blocked)
		want |= ADIT_WRITE;
	if (adit_conn_err(x->stream))	/* which x has to hear of once */
		want = adit_conn_err(&x->base.body) ? 0 : ADIT_HEAD;
	adit_conn_want(x->stream, want);
}

/* The rest of a message leaves without an owner. */
static void
linger(struct h3_exchange *x)
{
	int err = h3_send_flush(x);

	if (err == -EAGAIN)
		return;
	drop_stream(x, err, err ? H3_INTERNAL_ERROR : H3_NO_ERROR);
	leave(x);
	adit_conn_release(&x->base.body);
}

static void
stream_opened(struct h3_exchange *x)
{
	x->opened = true;
	adit_conn_ready(&x->base.body, ADIT_OPEN | ADIT_WRITE);
}

static void
stream_writable(struct h3_exchange *x)
{
	int err;

	x->blocked = false;
	err = h3_send_flush(x);
	x->blocked = err == -EAGAIN;
	if (!x->blocked)
		adit_conn_ready(&x->base.body, ADIT_WRITE);
}

/* Both directions are over; if ours was not, the peer asks for no more of it. */
static void
stream_gone(struct h3_exchange *x)
{
	conn_unready(x->stream, ADIT_HEAD);
	if (x->tx == H3_TX_DONE || quic_stream_takes(x->stream))
		return;
	if ((!x->h->server && !x->tunnel) || adit_conn_err(&x->base.body))
		return;
	adit_conn_set_code(&x->base.body, adit_conn_code(x->stream));
	adit_conn_fail(&x->base.body, -ECONNRESET);
	count_reset(x);		/* one that had ended cannot be reset: this does it */
}

static void
stream_readable(struct h3_exchange *x)
{
	x->waiting = false;
	if (x->rx == H3_RX_HEAD)
		h3_receive(x);
	else
		adit_conn_ready(&x->base.body, ADIT_READ);
}

static void
stream_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct h3_exchange *x = owner;

	if (x->closed) {
		linger(x);
		return;
	}
	if (!x->opened && adit_conn_is_open(c))
		stream_opened(x);
	if (events & ADIT_READ)
		stream_readable(x);
	if (x->stream && events & ADIT_WRITE && x->blocked)
		stream_writable(x);
	if (x->stream && events & ADIT_HEAD && !adit_conn_err(c))
		stream_gone(x);
	if (x->stream && adit_conn_err(c))
		h3_exchange_failed(x, adit_conn_err(c));
	h3_exchange_update(x);
}

/* ---- as a conn ------------------------------------------------------------------------- */

/* What an operation says whose stream is gone, and that has no failure to tell any more. */
static ssize_t
over(const struct h3_exchange *x)
{
	int err = adit_conn_err(&x->base.body);

	return err ? err : -ECONNRESET;
}

static ssize_t
exchange_read(struct adit_conn *c, void *buf, size_t len)
{
	struct h3_exchange *x = exchange_of(c);
	ssize_t n;

	if (!x->stream || !x->h)
		return -EAGAIN;		/* it has failed */
	if (!x->head_given)
		return -EAGAIN;
	n = h3_receive_body(x, buf, len);
	return n < 0 && adit_conn_err(c) ? -EAGAIN : n;
}

static size_t
exchange_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct h3_exchange *x = exchange_of(c);

	return x->h && x->head_given ? h3_receive_pour(x, to, len) : 0;
}

static ssize_t
exchange_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct h3_exchange *x = exchange_of(c);

	return x->stream && x->h ? h3_send_body(x, iov, n) : over(x);
}

static int
exchange_shutdown(struct adit_conn *c)
{
	struct h3_exchange *x = exchange_of(c);

	return x->stream && x->h ? h3_send_end(x) : (int)over(x);
}

static int
exchange_send_head(struct adit_exchange *base, const struct adit_fields *f, unsigned flags)
{
	struct h3_exchange *x = exchange_of(&base->body);

	return x->stream && x->h ? h3_send_head(x, f, flags) : (int)over(x);
}

static int
exchange_trailers(struct adit_exchange *base, const struct adit_fields *f)
{
	struct h3_exchange *x = exchange_of(&base->body);

	return x->stream && x->h ? h3_send_trailers(x, f) : (int)over(x);
}

/* The next of those that have arrived. */
static struct adit_fields *
next_head(struct h3_exchange *x)
{
	struct adit_fields *f = x->arrived;

	if (f) {
		x->arrived = NULL;
		x->head_given = x->rx != H3_RX_HEAD;
		return f;
	}
	f = x->trailers;
	x->trailers = NULL;
	return f;
}

static const struct adit_fields *
exchange_head(struct adit_exchange *base)
{
	struct h3_exchange *x = exchange_of(&base->body);

	adit_fields_free(x->given);
	x->given = next_head(x);
	if (x->given && x->head_given)
		adit_conn_ready(&base->body, ADIT_READ);
	h3_exchange_update(x);
	return x->given;
}

/* The code that the peer is told where the owner has said none. */
static uint64_t
default_code(const struct h3_exchange *x)
{
	if (x->tunnel)
		return H3_CONNECT_ERROR;
	return x->h->server ? H3_INTERNAL_ERROR : H3_REQUEST_CANCELLED;
}

/* The same of a rest of the peer's message that nobody wants. */
static uint64_t
polite_code(const struct h3_exchange *x)
{
	return x->h->server || x->tunnel ? H3_NO_ERROR : H3_REQUEST_CANCELLED;
}

static void
exchange_close(struct adit_conn *c, int why)
{
	struct h3_exchange *x = exchange_of(c);
	uint64_t code = adit_conn_code(c);
	bool polite = !why && !adit_conn_err(c) && (x->tx == H3_TX_DONE || x->tunnel);

	if (!x->h || !x->stream) {
		drop_stream(x, why ? why : -ECONNABORTED, code);
		leave(x);
		return;
	}
	if (polite && x->out.len) {
		x->closed = x->fin = true;
		adit_conn_deadline(x->stream, LINGER_MS);
		adit_conn_hold(c);
		h3_exchange_update(x);
		return;
	}
	if (polite)
		drop_stream(x, 0, polite_code(x));
	else
		drop_stream(x, why ? why : -ECONNABORTED,
			    code && !adit_conn_err(x->stream) ? code : default_code(x));
	leave(x);
}

static void
exchange_free(struct adit_conn *c)
{
	struct h3_exchange *x = exchange_of(c);

	drop_stream(x, -ECONNABORTED, 0);
	adit_fields_free(x->arrived);
	adit_fields_free(x->given);
	adit_fields_free(x->trailers);
	h3_decoder_free(x->decoder);
	queue_fini(&x->out);
}

static struct adit_mux *
exchange_mux(struct adit_conn *c)
{
	struct h3_exchange *x = exchange_of(c);

	return x->h ? &x->h->base : NULL;
}

static const struct adit_certificate *
exchange_certificate(struct adit_conn *c)
{
	struct h3_exchange *x = exchange_of(c);

	return x->stream ? adit_conn_certificate(x->stream) : NULL;
}

static const struct adit_exchange_ops exchange_ops = {
	.body = {
		.size = sizeof(struct adit_conn_ops),
		.name = "http/3",
		.read = exchange_read,
		.writev = exchange_writev,
		.shutdown = exchange_shutdown,
		.close = exchange_close,
		.free = exchange_free,
		.mux = exchange_mux,
		.certificate = exchange_certificate,
		.pour = exchange_pour,
	},
	.send_head = exchange_send_head,
	.head = exchange_head,
	.trailers = exchange_trailers,
	.version = 30,
};

struct h3_exchange *
h3_exchange_new(struct h3 *h, struct adit_conn *stream)
{
	struct adit_worker *w = adit_mux_worker(&h->base);
	unsigned flags = adit_conn_flags(stream) & ADIT_CONN_SECURE;
	struct h3_exchange *x = adit_exchange_new(w, &exchange_ops, sizeof(*x), flags);

	if (!x) {
		adit_conn_set_code(stream, H3_REQUEST_REJECTED);
		adit_conn_close(stream, -ENOMEM);
		return NULL;
	}
	x->h = h;
	x->stream = stream;
	x->accepted = !h->server;
	x->rx_left = x->tx_left = SECTION_NO_LENGTH;
	/* One head, or the rest of one frame. */
	queue_init(&x->out, worker_chunks(w), SIZE_MAX);
	adit_conn_set_local(&x->base.body, adit_conn_local(stream));
	adit_conn_set_remote(&x->base.body, adit_conn_remote(stream));
	adit_conn_own(stream, stream_event, x);
	if (adit_conn_is_open(stream))
		stream_opened(x);
	h3_exchange_update(x);
	return x;
}
