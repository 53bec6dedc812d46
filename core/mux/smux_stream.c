#include <errno.h>

#include "core/conn/conn.h"
#include "core/mux/mux.h"
#include "core/mux/smux_int.h"

static struct smux_stream *
stream_of(struct adit_conn *c)
{
	return adit_container_of(c, struct smux_stream, base);
}

/* The stream's queue does not count for the session any more. */
static void
stream_uncount(struct smux *m, struct smux_stream *s)
{
	m->unread -= s->in.len;
	m->holding -= s->in.len > 0;
}

/*
 * Counts bytes as read. gost's rule for telling the peer: after the very first read, then each time
 * half the window was read. Where nobody writes any more there is nothing to tell.
 */
static void
stream_consume(struct smux *m, struct smux_stream *s, size_t len)
{
	bool first = s->read == 0;
	size_t more;

	s->read += (uint32_t)len;
	if (m->conf.version < 2 || s->in_ended || s->finished)
		return;
	if (mux_window_use(&s->pace, len)) {
		more = mux_window_grow(&s->pace, m->rtt, smux_growth(m, s), adit_now());
		s->grown += more;
		m->grown += more;
	}
	if (first || s->read - s->reported >= s->granted / 2)
		smux_due(m, s, DUE_UPD);
}

/* n bytes were taken out of what had arrived. */
static void
stream_taken(struct smux_stream *s, size_t n)
{
	struct smux *m = s->session;

	if (!m)
		return;
	m->unread -= n;
	m->holding -= !s->in.len;
	stream_consume(m, s, n);
	smux_relax(m);
}

static ssize_t
stream_read(struct adit_conn *c, void *buf, size_t len)
{
	struct smux_stream *s = stream_of(c);
	size_t n;

	if (!len)
		return 0;
	n = queue_take(&s->in, buf, len);
	if (!n)
		return s->in_ended ? 0 : -EAGAIN;
	stream_taken(s, n);
	return (ssize_t)n;
}

static size_t
stream_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct smux_stream *s = stream_of(c);
	size_t n = conn_pour_queue(&s->in, to, len);

	if (n)
		stream_taken(s, n);
	return n;
}

static ssize_t
stream_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct smux_stream *s = stream_of(c);
	struct smux *m = s->session;
	size_t len = iov_total(iov, n);
	ssize_t took;

	if (s->fin)
		return -EPIPE;
	if (!m)
		return -ECONNRESET;
	if (!len)
		return 0;
	s->end_asked = false;		/* it was refused, and its owner goes on */
	mux_use(&m->base);
	if (len >= SMUX_DIRECT && !s->out.len) {
		took = smux_pass(m, s, iov, n);
		if (took)
			return took;
	}
	s->out.cap = smux_out_cap(m, s);
	took = (ssize_t)queue_addv(&s->out, iov, n);
	if (!took)
		return conn_refused(c, &s->out);
	smux_place(m, s);
	smux_want(m);
	return took;
}

static int
stream_shutdown(struct adit_conn *c)
{
	struct smux_stream *s = stream_of(c);
	struct smux *m = s->session;

	if (!m || !m->conf.half_close)
		return -ENOTSUP;
	if (!m->adit) {
		s->end_asked = true;
		return -ENOTSUP;
	}
	smux_due(m, s, DUE_END);
	return 0;
}

static void
stream_leave_backlog(struct smux *m, struct smux_stream *s)
{
	if (!s->in_backlog)
		return;
	TAILQ_REMOVE(&m->backlog, s, wait);
	m->n_backlog--;
	s->in_backlog = false;
}

static void
stream_leave_lingering(struct smux *m, struct smux_stream *s)
{
	if (!s->lingering)
		return;
	TAILQ_REMOVE(&m->lingering, s, wait);
	s->lingering = false;
}

/*
 * Nobody reads what has come and still comes. It counts as read as long as we have something to
 * send: two ends that close with full windows would else wait for each other.
 */
static void
stream_discard(struct smux *m, struct smux_stream *s, size_t len)
{
	if (len && s->out.len)
		stream_consume(m, s, len);
}

static void
stream_close(struct adit_conn *c, int why)
{
	struct smux_stream *s = stream_of(c);
	struct smux *m = s->session;
	size_t unread = s->in.len;

	if (!m)
		return;
	adit_conn_hold(c);
	adit_mux_count(&m->base, -1);
	stream_uncount(m, s);
	queue_fini(&s->in);
	stream_leave_backlog(m, s);
	s->closed = true;
	m->n_closed++;
	s->lingering = true;
	s->deadline = adit_now() + SMUX_LINGER;
	TAILQ_INSERT_TAIL(&m->lingering, s, wait);
	if (why)
		smux_drop_queued(m, s);
	stream_discard(m, s, unread);
	if ((s->due & DUE_SYN) && !s->out.len) {
		smux_stream_forget(s);		/* the peer has never heard of it */
	} else {
		smux_due(m, s, DUE_FIN);
		smux_wake_at(m, s->deadline);
	}
	smux_relax(m);
}

static void
stream_free(struct adit_conn *c)
{
	struct smux_stream *s = stream_of(c);

	queue_fini(&s->in);
	queue_fini(&s->out);
}

/*
 * In the bytes of the conn below, where what is queued comes next, as far as it is this stream's:
 * of a session in a stream of a session it is known that way whether a question gets on.
 */
static int
stream_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	struct smux_stream *s = stream_of(c);
	int err = s->session ? adit_conn_delivery(s->session->lower, d) : -ENOTSUP;

	if (!err)
		d->taken += s->out.len;
	return err;
}

static const struct adit_certificate *
stream_certificate(struct adit_conn *c)
{
	struct smux_stream *s = stream_of(c);

	return s->session ? adit_conn_certificate(s->session->lower) : NULL;
}

static const struct adit_conn_ops smux_stream_ops = {
	.size = sizeof(smux_stream_ops),
	.name = "smux",
	.read = stream_read,
	.writev = stream_writev,
	.shutdown = stream_shutdown,
	.close = stream_close,
	.free = stream_free,
	.delivery = stream_delivery,
	.certificate = stream_certificate,
	.pour = stream_pour,
};

/*
 * The most that may stand unread: the window, or what one read of the conn below may add to a full
 * session.
 */
static size_t
stream_in_cap(const struct smux_conf *conf)
{
	if (conf->version < 2)
		return conf->session_buffer + SMUX_TURN;
	return conf->stream_max > SMUX_FIRST_WINDOW ? conf->stream_max : SMUX_FIRST_WINDOW;
}

struct smux_stream *
smux_stream_new(struct smux *m, uint32_t id)
{
	struct adit_worker *w = adit_mux_worker(&m->base);
	unsigned flags = adit_conn_flags(m->lower) & ADIT_CONN_SECURE;
	struct smux_stream *s = adit_conn_new(w, &smux_stream_ops, sizeof(*s), flags);

	if (!s)
		return NULL;
	s->session = m;
	s->granted = s->limit = s->window = SMUX_FIRST_WINDOW;
	queue_init(&s->in, worker_chunks(w), stream_in_cap(&m->conf));
	queue_init(&s->out, worker_chunks(w), SMUX_OUT_CAP);
	queue_yield(&s->out);
	mux_window_init(&s->pace, SMUX_FIRST_WINDOW, adit_now());
	if (m->conf.version >= 2)
		m->promised += SMUX_FIRST_WINDOW;
	idmap_add(&m->streams, &s->node, id);
	adit_mux_count(&m->base, 1);
	if (m->open)
		smux_stream_opened(s);
	return s;
}

void
smux_stream_opened(struct smux_stream *s)
{
	adit_conn_set_local(&s->base, adit_conn_local(s->session->lower));
	adit_conn_set_remote(&s->base, adit_conn_remote(s->session->lower));
	adit_conn_ready(&s->base, ADIT_OPEN | ADIT_WRITE);
}

/*
 * Bytes beyond what it could send before our last UPD: a peer that waited for it shows the way's
 * length.
 */
static void
stream_measure(struct smux *m, struct smux_stream *s)
{
	uint64_t took;

	if (!s->told_at || (int32_t)(s->received - s->edge) <= 0)
		return;
	took = adit_now() - s->told_at;
	s->told_at = 0;
	if (!m->rtt || took < m->rtt)
		m->rtt = took;
}

int
smux_stream_receive(struct smux_stream *s, const void *buf, size_t len)
{
	struct smux *m = s->session;
	bool was_empty = !s->in.len;

	if (s->in_ended || !len)
		return 0;
	stream_measure(m, s);
	if (s->closed) {
		stream_discard(m, s, len);
		return 0;
	}
	if (queue_add(&s->in, buf, len) < len)
		return -ENOMEM;
	m->unread += len;
	if (was_empty)
		m->holding++;
	adit_conn_ready(&s->base, ADIT_READ);
	return 0;
}

void
smux_stream_end(struct smux_stream *s, bool fin)
{
	s->in_ended = true;
	s->fin |= fin;
	if (!s->closed)
		adit_conn_ready(&s->base, fin ? ADIT_READ | ADIT_WRITE : ADIT_READ);
	else if (fin)
		smux_place(s->session, s);	/* what cannot be sent now never will be */
}

static void
stream_fail_open(struct smux_stream *s, int err)
{
	conn_explain(&s->base, adit_mux_reason(&s->session->base)->text);
	adit_conn_fail(&s->base, err);
}

void
smux_stream_fail(struct smux_stream *s, int err)
{
	if (s->in_backlog)
		adit_conn_close(&s->base, err);		/* nobody else would */
	else if (!s->closed)
		stream_fail_open(s, err);
}

void
smux_stream_update(struct smux_stream *s, const struct smux_upd *u)
{
	struct smux *m = s->session;

	/* More than we sent: the writer fails and the stream gets its FIN, as gost does. */
	if ((int32_t)(s->sent - u->consumed) < 0) {
		smux_stream_fail(s, -EPROTO);
		smux_drop_queued(m, s);
		smux_due(m, s, DUE_FIN);
		return;
	}
	m->inflight -= (uint32_t)(s->sent - s->consumed);
	s->consumed = u->consumed;
	s->window = u->window;
	s->updated = true;
	m->inflight += (uint32_t)(s->sent - s->consumed);
	smux_place(m, s);
	smux_unhold(m);
	smux_want(m);
}

void
smux_stream_expire(struct smux_stream *s)
{
	stream_leave_lingering(s->session, s);
	smux_drop_queued(s->session, s);
	smux_want(s->session);
}

void
smux_stream_forget(struct smux_stream *s)
{
	struct smux *m = s->session;

	idmap_remove(&m->streams, &s->node);
	m->grown -= s->grown;
	if (m->conf.version >= 2)
		m->promised -= (uint32_t)(s->limit - s->received);
	stream_uncount(m, s);
	stream_leave_backlog(m, s);
	smux_unplace(m, s);
	stream_leave_lingering(m, s);
	if (m->into == s)
		m->into = NULL;
	s->session = NULL;
	smux_unhold(m);
	adit_mux_ready(&m->base, ADIT_WRITE);
	if (s->closed) {
		m->n_closed--;
		adit_conn_release(&s->base);
	} else {
		adit_mux_count(&m->base, -1);
	}
}
