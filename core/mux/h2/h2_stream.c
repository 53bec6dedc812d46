#include "core/mux/h2/h2_int.h"

#include <errno.h>

#include "core/conn/conn.h"
#include "core/mux/mux.h"
#include "core/runtime/memory.h"

static struct h2_stream *
stream_of(struct adit_conn *c)
{
	return adit_container_of(c, struct h2_stream, base);
}

static void
stream_reset(struct h2 *h, struct h2_stream *s, uint32_t code)
{
	queue_fini(&s->out);
	if (s->gone || !s->id)
		return;
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, code);
	h2_want(h);
}

/* nghttp2 may ask for bytes again. */
static void
stream_resume(struct h2 *h, struct h2_stream *s)
{
	if (s->idle && !s->gone)
		nghttp2_session_resume_data(h->ng, s->id);
	s->idle = false;
	h2_want(h);
}

/* ---- receiving ----------------------------------------------------------------------- */

static size_t
stream_growth(const struct h2 *h, const struct h2_stream *s)
{
	size_t more = s->pace.size < H2_WINDOW_MAX ? H2_WINDOW_MAX - s->pace.size : 0;
	size_t left = h->grown < H2_GROWN_MAX ? H2_GROWN_MAX - h->grown : 0;

	if (memory_level(worker_memory(adit_mux_worker(&h->base))) != MEMORY_PLENTY)
		return 0;
	return more < left ? more : left;
}

/* Returns len bytes of the window, and makes it larger where it is what limits. */
static void
stream_consume(struct h2 *h, struct h2_stream *s, size_t len)
{
	size_t more = 0;

	if (s->gone || s->in_ended || !len)
		return;
	if (mux_window_use(&s->pace, len))
		more = mux_window_grow(&s->pace, h->rtt, stream_growth(h, s), adit_now());
	s->owed += len;
	h->grown += more;
	/* While memory is short only when all that came was read. */
	if (s->in.len && memory_is_short(worker_memory(adit_mux_worker(&h->base))))
		return;
	if (more)
		nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, s->id,
						      (int32_t)s->pace.size);
	nghttp2_session_consume_stream(h->ng, s->id, s->owed);
	s->owed = 0;
	h2_want(h);
}

ssize_t
h2_stream_read(struct adit_conn *c, void *buf, size_t len)
{
	struct h2_stream *s = stream_of(c);
	size_t n;

	if (!len)
		return 0;
	n = queue_take(&s->in, buf, len);
	if (!n)
		return s->in_ended ? 0 : -EAGAIN;
	if (s->session)
		stream_consume(s->session, s, n);
	return (ssize_t)n;
}

size_t
h2_stream_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct h2_stream *s = stream_of(c);
	size_t n = conn_pour_queue(&s->in, to, len);

	if (s->session)
		stream_consume(s->session, s, n);
	return n;
}

int
h2_stream_receive(struct h2_stream *s, const void *buf, size_t len)
{
	/*
	 * Nobody reads it. It counts as read while we have something to send: two ends that close
	 * with full windows would else wait for each other.
	 */
	if (s->closed) {
		stream_consume(s->session, s, len);
		return 0;
	}
	if (queue_add(&s->in, buf, len) < len)
		return -ENOMEM;
	adit_conn_ready(&s->base, ADIT_READ);
	return 0;
}

void
h2_stream_end(struct h2_stream *s)
{
	s->in_ended = true;
	if (!s->closed)
		adit_conn_ready(&s->base, ADIT_READ);
}

/* ---- sending ------------------------------------------------------------------------- */

ssize_t
h2_stream_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct h2_stream *s = stream_of(c);
	struct h2 *h = s->session;
	size_t took;

	if (s->fin)
		return -EPIPE;
	if (!h || s->gone)
		return -ECONNRESET;
	if (s->ending)
		return -EPIPE;
	if (!iov_total(iov, n))
		return 0;
	mux_use(&h->base);
	took = queue_addv(&s->out, iov, n);
	if (!took)
		return conn_refused(c, &s->out);
	stream_resume(h, s);
	return (ssize_t)took;
}

/* What stands in the queue goes by h2_stream_send, without another copy. */
static ssize_t
stream_give(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
	    nghttp2_data_source *source, void *arg)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(ng, id);
	const struct h2 *h = arg;
	size_t n;

	(void)buf;
	(void)source;
	if (!s)
		return NGHTTP2_ERR_DEFERRED;
	n = s->out.len < len ? s->out.len : len;
	if (n)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n == s->out.len && s->ending) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (h->role->trail && h->role->trail(s))
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	s->idle = !n && !s->ending;
	return s->idle ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

const nghttp2_data_provider h2_stream_bytes = { { .ptr = NULL }, stream_give };

/* Moves len bytes from the front of one queue to the end of the other, which has room. */
static bool
queue_shift(struct queue *to, struct queue *from, size_t len)
{
	while (len) {
		struct iovec iov;
		size_t n;

		queue_peek(from, 0, &iov, 1);
		n = iov.iov_len < len ? iov.iov_len : len;
		if (queue_add(to, iov.iov_base, n) < n)
			return false;
		queue_drop(from, n);
		len -= n;
	}
	return true;
}

/* No padding was asked for. */
int
h2_stream_send(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
	       nghttp2_data_source *source, void *arg)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
	struct h2 *h = arg;

	(void)source;
	if (queue_room(&h->out) < H2_FRAME_HEAD + len)
		return NGHTTP2_ERR_WOULDBLOCK;
	if (!s || s->out.len < len)	/* it was reset, and RST_STREAM stands behind this */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (queue_add(&h->out, head, H2_FRAME_HEAD) < H2_FRAME_HEAD ||
	    !queue_shift(&h->out, &s->out, len))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!s->closed && !s->ending && queue_room(&s->out) >= H2_OUT_CAP / 2)
		adit_conn_ready(&s->base, ADIT_WRITE);
	return 0;
}

int
h2_stream_shutdown(struct adit_conn *c)
{
	struct h2_stream *s = stream_of(c);

	if (s->fin)
		return 0;
	if (!s->session || s->gone)
		return -ECONNRESET;
	s->ending = true;
	stream_resume(s->session, s);
	return 0;
}

void
h2_stream_finished(struct h2_stream *s)
{
	s->finished = true;
	/* RFC 9113, 8.1: what the peer still sends is not waited for. */
	if (s->closed && !s->in_ended)
		stream_reset(s->session, s, NGHTTP2_NO_ERROR);
}

/* ---- the end --------------------------------------------------------------------------- */

/* One has lost its owner. What it may still have to send does not make the session a busy one. */
static void
stream_uncount_open(struct h2 *h)
{
	adit_mux_count(&h->base, -1);
	if (!adit_mux_streams(&h->base))
		h2_emptied(h);
}

static void
stream_leave_lists(struct h2 *h, struct h2_stream *s)
{
	if (s->in_backlog) {
		TAILQ_REMOVE(&h->backlog, s, wait);
		h->n_backlog--;
	}
	if (s->lingering)
		TAILQ_REMOVE(&h->lingering, s, wait);
	s->in_backlog = s->lingering = false;
}

void
h2_stream_close(struct h2_stream *s, uint32_t code)
{
	struct h2 *h = s->session;
	size_t unread = s->in.len;

	if (!h)
		return;
	adit_conn_hold(&s->base);
	stream_uncount_open(h);
	stream_leave_lists(h, s);
	queue_fini(&s->in);
	s->closed = true;
	h->n_closed++;
	if (s->gone || !s->id) {
		h2_stream_forget(s);
		return;
	}
	s->lingering = true;
	s->deadline = adit_now() + H2_LINGER;
	TAILQ_INSERT_TAIL(&h->lingering, s, wait);
	h2_wake_at(h, s->deadline);
	if (code) {
		stream_reset(h, s, code);
		return;
	}
	stream_consume(h, s, unread);
	s->ending = true;
	if (s->finished)
		h2_stream_finished(s);
	else
		stream_resume(h, s);
}

static int
stream_err(const struct h2_stream *s, uint32_t code)
{
	if (s->faulty)
		return -EBADMSG;
	return code == NGHTTP2_REFUSED_STREAM ? ADIT_EDRAINING : -ECONNRESET;
}

/* A client's, whose number is free again. */
static void
stream_uncount(struct h2 *h, struct h2_stream *s)
{
	if (!s->counted)
		return;
	s->counted = false;
	h->n_opened--;
	adit_mux_ready(&h->base, ADIT_WRITE);
}

void
h2_stream_fail(struct h2_stream *s, int err)
{
	const char *text = adit_mux_reason(&s->session->base)->text;

	if (s->closed)
		return;
	if (s->in_backlog || s->headless) {
		adit_conn_close(&s->base, err);		/* nobody else would */
		return;
	}
	conn_explain(&s->base, text);
	adit_conn_fail(&s->base, err);
}

/* Its owner, who is told, has nothing more to do with the session. */
void
h2_stream_cut(struct h2_stream *s, int err, uint32_t code)
{
	if (s->closed)
		return;
	if (s->in_backlog || s->headless) {
		adit_conn_set_code(&s->base, code);	/* closing it says so */
		h2_stream_fail(s, err);
		return;
	}
	stream_reset(s->session, s, code);
	adit_conn_set_code(&s->base, code);
	h2_stream_fail(s, err);
	if (s->session)
		h2_stream_forget(s);
}

void
h2_stream_gone(struct h2_stream *s, uint32_t code)
{
	struct h2 *h = s->session;
	bool polite = code == NGHTTP2_NO_ERROR ||
		      (code == NGHTTP2_CANCEL && h->role->cancel_ends);

	s->gone = true;
	stream_uncount(h, s);
	if (s->closed) {
		h2_stream_forget(s);
	} else if (s->in_ended && polite) {
		s->fin = true;
		adit_conn_ready(&s->base, ADIT_READ | ADIT_WRITE);
	} else {
		adit_conn_set_code(&s->base, code);
		conn_explain(&s->base, nghttp2_http2_strerror(code));
		h2_stream_fail(s, stream_err(s, code));
	}
}

void
h2_stream_expire(struct h2_stream *s)
{
	struct h2 *h = s->session;

	stream_leave_lists(h, s);
	stream_reset(h, s, NGHTTP2_CONNECT_ERROR);
}

void
h2_stream_forget(struct h2_stream *s)
{
	struct h2 *h = s->session;

	stream_leave_lists(h, s);
	TAILQ_REMOVE(&h->streams, s, entry);
	h->grown -= (size_t)s->pace.size - H2_WINDOW;
	if (!s->gone && s->id)
		nghttp2_session_set_stream_user_data(h->ng, s->id, NULL);
	stream_uncount(h, s);
	s->session = NULL;
	if (!s->closed) {
		stream_uncount_open(h);
		return;
	}
	h->n_closed--;
	adit_conn_release(&s->base);
}

void
h2_stream_free(struct adit_conn *c)
{
	struct h2_stream *s = stream_of(c);

	queue_fini(&s->in);
	queue_fini(&s->out);
}

/* In the bytes of the conn below, where what is queued comes next, as far as it is of this one. */
int
h2_stream_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	struct h2_stream *s = stream_of(c);
	int err = s->session ? adit_conn_delivery(s->session->lower, d) : -ENOTSUP;

	if (!err)
		d->taken += s->session->out.len + s->out.len;
	return err;
}

const struct adit_certificate *
h2_stream_certificate(struct adit_conn *c)
{
	struct h2_stream *s = stream_of(c);

	return s->session ? adit_conn_certificate(s->session->lower) : NULL;
}

/* ---- making them ------------------------------------------------------------------------- */

struct h2_stream *
h2_stream_new(struct h2 *h)
{
	struct adit_worker *w = adit_mux_worker(&h->base);
	unsigned flags = adit_conn_flags(h->lower) & ADIT_CONN_SECURE;
	const struct h2_role *role = h->role;
	struct h2_stream *s = adit_conn_new(w, role->stream_ops, role->stream_size,
					    flags | role->kind);

	if (!s)
		return NULL;
	h->idle_since = 0;
	s->session = h;
	queue_init(&s->in, worker_chunks(w), H2_WINDOW_MAX);
	queue_init(&s->out, worker_chunks(w), H2_OUT_CAP);
	queue_yield(&s->out);
	mux_window_init(&s->pace, H2_WINDOW, adit_now());
	TAILQ_INSERT_TAIL(&h->streams, s, entry);
	adit_mux_count(&h->base, 1);
	return s;
}

void
h2_stream_opened(struct h2_stream *s)
{
	struct h2 *h = s->session;

	adit_conn_deadline(&s->base, 0);
	adit_conn_add_flags(&s->base, adit_conn_flags(h->lower) & ADIT_CONN_SECURE);
	adit_conn_set_local(&s->base, adit_conn_local(h->lower));
	adit_conn_set_remote(&s->base, adit_conn_remote(h->lower));
	adit_conn_ready(&s->base, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
}
