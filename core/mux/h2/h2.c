#include "core/mux/h2/h2_int.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/tls.h"
#include "core/mux/mux.h"
#include "core/runtime/memory.h"

#define TURN 262144u			/* most bytes moved each way per turn of the loop */
#define OUT_FULL 65536u			/* frames that lower has not taken: no more from there on */
#define OUT_CAP (OUT_FULL + 65536u)	/* with the last piece, which is at most a frame */
#define REPLIES_MAX 1000u		/* frames that answer the peer's: beyond, it is not read */
#define SESSION_LINGER ADIT_SECONDS(5)	/* of a closed session with something to send */
#define SESSION_COST 65536u		/* what nghttp2 needs for one, about */

static struct h2 *
h2_of(struct adit_mux *m)
{
	return adit_container_of(m, struct h2, base);
}

static const struct h2 *
h2_of_const(const struct adit_mux *m)
{
	return (const struct h2 *)m;		/* base is its first member */
}

void
h2_wake_at(struct h2 *h, uint64_t at)
{
	uint64_t now;

	if (at == UINT64_MAX || (h->wake_at && h->wake_at <= at))
		return;
	now = adit_now();
	h->wake_at = at;
	adit_timer_set(h->timer, at > now ? at - now : 0);
}

/* ---- the end ----------------------------------------------------------------------- */

/* Lets everything go; nghttp2's part may be in use by a caller. close_err is for the conn below. */
static void
h2_end(struct h2 *h, int err, int close_err)
{
	struct adit_conn *lower = h->lower;
	struct h2_stream *s, *next;

	for (s = TAILQ_FIRST(&h->streams); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		/* One that has ended by itself has been told so. */
		if (!s->gone || s->in_backlog)
			h2_stream_fail(s, err);
	}
	while ((s = TAILQ_FIRST(&h->streams)))
		h2_stream_forget(s);
	queue_fini(&h->out);
	adit_timer_free(h->timer);
	h->timer = NULL;
	h->lower = NULL;
	adit_conn_close(lower, close_err);
	if (h->closing)
		adit_mux_release(&h->base);
}

/*
 * close_err 0: the peer ended it, below too. However orderly that was, streams that are open are
 * cut by it.
 */
static void
h2_fail_closing(struct h2 *h, const struct adit_reason *why, int close_err)
{
	if (!h->lower)
		return;
	if (!h->closing)
		adit_mux_fail(&h->base, why);
	h2_end(h, why->err == -ESHUTDOWN ? -ECONNRESET : why->err, close_err);
}

static void
h2_fail(struct h2 *h, int err, const char *text)
{
	h2_fail_closing(h, &(struct adit_reason){ .err = err, .text = text }, err);
}

/* What nghttp2 has answered means the end of the session. */
static void
h2_fail_of(struct h2 *h, int ret)
{
	if (ret == NGHTTP2_ERR_NOMEM || ret == NGHTTP2_ERR_CALLBACK_FAILURE)
		h2_fail(h, -ENOMEM, NULL);
	else if (ret == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
		h2_fail(h, -EPROTO, "what came is not HTTP/2");
	else
		h2_fail(h, -EPROTO, nghttp2_strerror(ret));
}

/* Neither side has anything to say any more: after a GOAWAY, ours or the peer's. */
static void
h2_over(struct h2 *h)
{
	struct adit_reason why = { .err = -ESHUTDOWN, .text = "closed by the peer" };

	if (h->closing) {
		h2_end(h, -ECONNRESET, 0);
		return;
	}
	if (h->was_idle)
		why = (struct adit_reason){ .err = -ETIMEDOUT, .text = "idle" };
	else if (*h->fault)
		why = (struct adit_reason){ .err = -EPROTO, .text = h->fault };
	else if (h->goaway)
		why = (struct adit_reason){
			.err = -ECONNRESET, .code = h->goaway,
			.text = nghttp2_http2_strerror(h->goaway),
		};
	h2_fail_closing(h, &why, 0);
}

/* Goes on with the end of a session whose owner has gone, when no stream has to send any more. */
static void
session_close_drained(struct h2 *h)
{
	if (!h->closing || h->n_closed || h->terminated)
		return;
	h->terminated = true;
	nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR);
}

void
h2_emptied(struct h2 *h)
{
	if (!h->setup.idle_timeout || !h->open)
		return;
	h->idle_since = adit_now();
	h2_wake_at(h, h->idle_since + h->setup.idle_timeout);
}

/* ---- readiness --------------------------------------------------------------------- */

static bool
h2_pending(const struct h2 *h)
{
	return h->out.len || nghttp2_session_want_write(h->ng);
}

void
h2_want(struct h2 *h)
{
	unsigned want = ADIT_OPEN;
	bool paused;

	if (!h->lower)
		return;
	if (h->open) {
		/* A peer that asks, and does not read what it is answered, is not heard. */
		paused = nghttp2_session_get_outbound_queue_size(h->ng) >= REPLIES_MAX;
		if (h->paused && !paused)
			h->resumed_at = adit_now();
		h->paused = paused;
		want = (paused ? 0 : (unsigned)ADIT_READ) |
		       (h2_pending(h) ? (unsigned)ADIT_WRITE : 0);
	}
	adit_conn_want(h->lower, want);
}

/* ---- sending ------------------------------------------------------------------------ */

/* What there is to send, into out, until that is full. 0, or what nghttp2 failed with. */
static int
h2_fill(struct h2 *h)
{
	while (h->out.len < OUT_FULL) {
		const uint8_t *bytes;
		ssize_t n = nghttp2_session_mem_send(h->ng, &bytes);

		if (n <= 0)
			return (int)n;
		if (queue_add(&h->out, bytes, (size_t)n) < (size_t)n)
			return NGHTTP2_ERR_NOMEM;
	}
	return 0;
}

/* ---- receiving ------------------------------------------------------------------------ */

static void
h2_lower_ended(struct h2 *h, int err)
{
	struct adit_reason why = { .err = -ESHUTDOWN, .text = "closed by the peer" };

	if (err)
		why = (struct adit_reason){ .err = err, .text = conn_failure(h->lower) };
	h2_fail_closing(h, &why, err);
}

/*
 * Reads what there is, within the turn's share. The scratch buffer is free: this is the session's
 * own callback, and nothing of an owner above runs inside it.
 */
static void
h2_input(struct h2 *h)
{
	size_t size, done = 0;
	uint8_t *buf = adit_worker_scratch(adit_mux_worker(&h->base), &size);
	ssize_t n = (ssize_t)size, used;

	while (done < TURN && (size_t)n == size && !h->paused) {
		n = adit_conn_read(h->lower, buf, size);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			h2_lower_ended(h, (int)n);
			return;
		}
		adit_mux_hear(&h->base, adit_now());
		adit_mux_moved(&h->base, (uint64_t)n, 0);
		used = nghttp2_session_mem_recv(h->ng, buf, (size_t)n);
		if (used < 0) {
			h2_fail_of(h, (int)used);
			return;
		}
		done += (size_t)n;
		h2_want(h);
	}
}

/* ---- both ways -------------------------------------------------------------------------- */

/*
 * Nobody hears us any more. What the peer has said before it went is still read: it may have been
 * all, and a good-bye.
 */
static void
h2_unheard(struct h2 *h, int err)
{
	uint64_t before;

	do {
		before = adit_mux_traffic(&h->base)->in;
		h2_input(h);
	} while (h->lower && adit_mux_traffic(&h->base)->in > before);
	if (h->lower && h->peer_drains && !nghttp2_session_want_read(h->ng))
		h2_over(h);
	else
		h2_fail(h, err, h->lower ? conn_failure(h->lower) : NULL);
}

/* As much as lower takes. 0, or a failure, and the session has ended. */
static int
h2_drain_out(struct h2 *h, size_t *done)
{
	struct iovec iov[8];

	h->blocked = false;
	while (h->out.len && !h->blocked) {
		ssize_t n = adit_conn_writev(h->lower, iov, queue_peek(&h->out, 0, iov, 8));

		if (n < 0 && n != -EAGAIN) {
			h2_unheard(h, (int)n);
			return (int)n;
		}
		h->blocked = n < 0;
		n = n < 0 ? 0 : n;
		queue_drop(&h->out, (size_t)n);
		adit_mux_moved(&h->base, 0, (uint64_t)n);
		*done += (size_t)n;
	}
	return 0;
}

static void
h2_output(struct h2 *h)
{
	size_t done = 0;
	int err;

	do {
		session_close_drained(h);
		err = h2_fill(h);
		if (err) {
			h2_fail_of(h, err);
			return;
		}
		if (h2_drain_out(h, &done) < 0)
			return;
	} while (h2_pending(h) && !h->blocked && done < TURN);
	if (!h2_pending(h) && !nghttp2_session_want_read(h->ng))
		h2_over(h);
}

/* ---- time ----------------------------------------------------------------------------- */

/* What the peer was to do in time, and has not done: it is told, and the session ends. */
static void
h2_time_out(struct h2 *h, uint32_t code)
{
	if (!h->settled) {
		h2_fail(h, -ETIMEDOUT, "the peer says nothing");
		return;
	}
	h->heading = h->idle_since = 0;
	h->close_at = adit_now() + SESSION_LINGER;
	nghttp2_session_terminate_session(h->ng, code);
	h2_want(h);
}

/* When the peer has to be done with what it is about, or about something. */
static uint64_t
h2_patience(const struct h2 *h)
{
	uint64_t head = UINT64_MAX, idle = UINT64_MAX;

	if (h->heading && h->setup.head_timeout)
		head = h->heading + h->setup.head_timeout;
	if (h->idle_since && h->setup.idle_timeout)
		idle = h->idle_since + h->setup.idle_timeout;
	return head < idle ? head : idle;
}

static void
h2_tick(void *arg)
{
	struct h2 *h = arg;
	uint64_t now = adit_now();
	struct h2_stream *s;

	h->wake_at = 0;
	if (now >= h2_patience(h)) {
		h->was_idle = !h->heading;
		h2_time_out(h, h->heading ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
		if (!h->lower)
			return;
	}
	if (now >= h->close_at) {
		h2_fail(h, -ETIMEDOUT, NULL);
		return;
	}
	while ((s = TAILQ_FIRST(&h->lingering)) && s->deadline <= now)
		h2_stream_expire(s);
	if (s)
		h2_wake_at(h, s->deadline);
	h2_wake_at(h, h->close_at);
	h2_wake_at(h, h2_patience(h));
}

/* ---- the conn below --------------------------------------------------------------------- */

static void
h2_opened(struct h2 *h)
{
	const char *alpn = tls_alpn(h->lower);
	struct h2_stream *s;

	if (alpn && strcmp(alpn, "h2") != 0) {
		h2_fail(h, -EPROTO, "the peer chose another protocol than h2");
		return;
	}
	h->open = true;
	adit_mux_hear(&h->base, adit_now());
	adit_mux_set_local(&h->base, adit_conn_local(h->lower));
	adit_mux_set_remote(&h->base, adit_conn_remote(h->lower));
	h2_ping(h);			/* tells how long the way is */
	adit_mux_ready(&h->base, ADIT_OPEN | ADIT_WRITE);
	if (h->role->opened)
		TAILQ_FOREACH(s, &h->streams, entry)
			h->role->opened(s);
	if (h->role->client)
		return;
	h->heading = adit_now();		/* the first bytes have the limit of a head */
	h2_emptied(h);
	h2_wake_at(h, h2_patience(h));
}

static void
h2_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct h2 *h = owner;

	if (!h->open && !adit_conn_is_open(lower)) {
		h2_lower_ended(h, adit_conn_err(lower));
		return;
	}
	if (!h->open)
		h2_opened(h);
	if (h->lower && events & ADIT_READ)
		h2_input(h);
	/* Also when the wait was only for reading: what came may be answered at once. */
	if (h->lower && (!h->blocked || events & ADIT_WRITE))
		h2_output(h);
	if (h->lower && h->heading)
		h2_wake_at(h, h2_patience(h));
	h2_want(h);
}

/* ---- operations -------------------------------------------------------------------------- */

static unsigned
h2_room(const struct adit_mux *base, unsigned kind)
{
	const struct h2 *h = h2_of_const(base);
	uint32_t most = H2_FIRST_STREAMS;

	if (kind != h->role->kind || !h->role->client || h->peer_drains ||
	    !nghttp2_session_check_request_allowed(h->ng))
		return 0;
	if (h->settled)
		most = nghttp2_session_get_remote_settings(h->ng,
							   NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	return h->n_opened < most ? most - h->n_opened : 0;
}

static struct adit_conn *
h2_open(struct adit_mux *base, unsigned kind, struct adit_err *e)
{
	struct h2 *h = h2_of(base);
	struct h2_stream *s;

	if (kind != h->role->kind || !h->role->client) {
		adit_err_set(e, -ENOTSUP, "in HTTP/2 a client opens streams, and nothing else");
		return NULL;
	}
	s = h2_room(base, kind) ? h2_stream_new(h) : NULL;
	if (s && h->role->open(s) == 0) {
		s->counted = true;
		h->n_opened++;
		if (!h2_room(base, kind))
			adit_mux_unready(base, ADIT_WRITE);
		h2_want(h);
		return &s->base;
	}
	if (s)
		adit_conn_close(&s->base, -ENOMEM);	/* nghttp2 never knew it */
	adit_err_set(e, ADIT_ELIMIT, "no room for another stream in the session");
	return NULL;
}

static struct adit_conn *
h2_accept(struct adit_mux *base)
{
	struct h2 *h = h2_of(base);
	struct h2_stream *s = TAILQ_FIRST(&h->backlog);

	if (!s)
		return NULL;
	TAILQ_REMOVE(&h->backlog, s, wait);
	h->n_backlog--;
	s->in_backlog = false;
	return &s->base;
}

static void
h2_probe(struct adit_mux *base)
{
	struct h2 *h = h2_of(base);

	if (!h->open || !h->lower || h->closing)
		return;
	mux_question_ask(&h->question, h->lower, adit_mux_heard(base));
	h2_ping(h);
	h2_want(h);
}

static uint64_t
h2_silence(struct adit_mux *base, uint64_t now)
{
	struct h2 *h = h2_of(base);
	uint64_t silence;

	if (!h->open || !h->lower || h->paused)
		return 0;
	silence = mux_question_silence(&h->question, h->lower, adit_mux_heard(base), h2_pending(h),
				       now);
	return silence < now - h->resumed_at ? silence : now - h->resumed_at;
}

/* A server's GOAWAY, RFC 9113, 6.8: streams that were on their way are still served. */
static void
h2_drain(struct adit_mux *base)
{
	struct h2 *h = h2_of(base);

	if (!h->open || !h->lower || h->role->client)
		return;
	nghttp2_submit_shutdown_notice(h->ng);
	h2_want(h);
}

static bool
h2_drained(const struct adit_mux *base)
{
	const struct h2 *h = h2_of_const(base);

	return h->role->client || !h->open || h->drain_heard;
}

static void
h2_close(struct adit_mux *base, const struct adit_reason *why)
{
	struct h2 *h = h2_of(base);
	int err = why->err ? why->err : -ECONNRESET;
	struct h2_stream *s, *next;

	if (!h->lower)
		return;
	h->closing = true;
	adit_mux_hold(base);
	if (why->err || !h->open) {
		h2_end(h, err, err);
		return;
	}
	/*
	 * Streams that were closed politely may still have to send. What nobody has looked at may
	 * be asked of another (RFC 9113, 8.7).
	 */
	for (s = TAILQ_FIRST(&h->streams); s; s = next) {
		bool unseen = s->in_backlog || s->headless;

		next = TAILQ_NEXT(s, entry);
		h2_stream_cut(s, err, unseen ? NGHTTP2_REFUSED_STREAM : NGHTTP2_CANCEL);
	}
	h->close_at = adit_now() + SESSION_LINGER;
	h2_wake_at(h, h->close_at);
	session_close_drained(h);
	h2_want(h);
}

/* Its streams go with it. */
static void
h2_cut(struct adit_mux *base)
{
	struct h2 *h = h2_of(base);

	if (h->lower)
		h2_end(h, ADIT_ESTOPPED, ADIT_ESTOPPED);
}

static void
h2_free(struct adit_mux *base)
{
	struct h2 *h = h2_of(base);

	nghttp2_session_del(h->ng);
	queue_fini(&h->out);
	adit_timer_free(h->timer);
	memory_give(worker_memory(adit_mux_worker(base)), SESSION_COST);
}

static const struct adit_mux_ops h2_ops = {
	.size = sizeof(h2_ops),
	.name = "h2",
	.open = h2_open,
	.accept = h2_accept,
	.room = h2_room,
	.probe = h2_probe,
	.drain = h2_drain,
	.drained = h2_drained,
	.close = h2_close,
	.free = h2_free,
	.cut = h2_cut,
	.silence = h2_silence,
};

/* ---- making them --------------------------------------------------------------------------- */

static struct h2 *
h2_alloc(struct adit_conn *lower, const struct h2_role *role, const struct h2_setup *setup)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct h2 *h = adit_mux_new(w, &h2_ops, role->session_size);

	if (!h)
		return NULL;
	memory_take(worker_memory(w), SESSION_COST);
	h->role = role;
	h->setup = *setup;
	h->close_at = UINT64_MAX;
	TAILQ_INIT(&h->streams);
	TAILQ_INIT(&h->backlog);
	TAILQ_INIT(&h->lingering);
	queue_init(&h->out, worker_chunks(w), OUT_CAP);
	h->timer = adit_timer_new(w, h2_tick, h);
	if (!h->timer || h2_frames_init(h) != 0) {
		adit_mux_close(&h->base, NULL);		/* without lower: nothing to end */
		return NULL;
	}
	return h;
}

struct h2 *
h2_new(struct adit_conn *lower, const struct h2_role *role, const struct h2_setup *setup)
{
	struct h2 *h = h2_alloc(lower, role, setup);

	if (!h) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	h->lower = lower;
	conn_set_vital(lower);
	adit_conn_own(lower, h2_event, h);
	h2_want(h);
	return h;
}
