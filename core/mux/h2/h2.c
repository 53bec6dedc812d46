#include "core/mux/h2/h2.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/tls.h"
#include "core/mux/h2/h2_int.h"
#include "core/mux/mux.h"
#include "core/runtime/memory.h"

#define TURN 262144u			/* most bytes moved each way per turn of the loop */
#define OUT_FULL 65536u			/* frames that lower has not taken: no more from there on */
#define OUT_CAP (OUT_FULL + 65536u)	/* with the last piece, which is at most a frame */
#define REPLIES_MAX 1000u		/* frames that answer the peer's: beyond, it is not read */
#define SESSION_WINDOW (16 << 20)	/* what arrives is returned at once */
#define RESETS_MAX 1000			/* of streams, by a client that opens and resets them */
#define RESETS_PER_S 33			/* by which that many come back */
#define FIRST_STREAMS 100u		/* until the peer has said how many */
#define SESSION_LINGER ADIT_SECONDS(5)	/* of a closed session with something to send */
#define DRAIN_MARK (1ull << 63)		/* tells the PING behind a GOAWAY from the others */
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
	if (*h->fault)
		why = (struct adit_reason){ .err = -EPROTO, .text = h->fault };
	else if (h->goaway)
		why = (struct adit_reason){
			.err = -ECONNRESET, .code = h->goaway,
			.text = nghttp2_http2_strerror(h->goaway),
		};
	h2_fail_closing(h, &why, 0);
}

void
h2_close_drained(struct h2 *h)
{
	if (!h->closing || h->n_closed || h->terminated)
		return;
	h->terminated = true;
	nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR);
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

static struct h2_stream *
h2_find(const struct h2 *h, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(h->ng, id) : NULL;
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, id);

	(void)flags;
	mux_use(&h->base);
	if (nghttp2_session_consume_connection(ng, len) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (s && h2_stream_receive(s, data, len) < 0)
		return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id,
						 NGHTTP2_INTERNAL_ERROR);
	return 0;
}

/* The answer to a PING of ours. */
static void
h2_pong(struct h2 *h, const uint8_t opaque[8])
{
	uint64_t said, took, now = adit_now();

	memcpy(&said, opaque, sizeof(said));
	if (said == h->drain_ping)
		h->drain_heard = true;
	if (said != h->pinged)
		return;
	took = now - h->pinged;
	h->pinged = 0;
	if (!h->rtt || took < h->rtt)
		h->rtt = took ? took : 1;
}

static void
h2_goaway(struct h2 *h, uint32_t code)
{
	h->peer_drains = true;
	h->goaway = code;
	adit_mux_unready(&h->base, ADIT_WRITE);
}

/*
 * A client that resets what it opens before it was answered, or has us reset it, costs us work and
 * has no limit of streams (CVE-2023-44487, CVE-2025-8671). Streams that were answered have counted:
 * visitors who go may be many.
 */
static void
h2_count_reset(struct h2 *h)
{
	uint64_t now = adit_now();

	if (h->conf->client)
		return;
	h->resets += (double)(now - h->resets_at) * RESETS_PER_S / (double)ADIT_SECONDS(1);
	if (h->resets > RESETS_MAX)
		h->resets = RESETS_MAX;
	h->resets_at = now;
	if (h->resets >= 1)
		h->resets -= 1;
	else
		nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Whether a reset of ours says that the peer has done wrong. */
static bool
is_fault(uint32_t code)
{
	return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
	       code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_REFUSED_STREAM;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, frame->hd.stream_id);

	(void)ng;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (s)
			h2_head_done(h, s);
		break;
	case NGHTTP2_SETTINGS:
		h->settled |= !(frame->hd.flags & NGHTTP2_FLAG_ACK);
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			h2_pong(h, frame->ping.opaque_data);
		break;
	case NGHTTP2_GOAWAY:
		h2_goaway(h, frame->goaway.error_code);
		break;
	case NGHTTP2_RST_STREAM:
		if (s && !s->answered)
			h2_count_reset(h);
		break;
	default:
		break;
	}
	if (s && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		h2_stream_end(s);
	return 0;
}

/*
 * Our GOAWAY. What answers the PING behind it has heard it: nghttp2 sends a PING before what is
 * queued already. One with a code is nghttp2's word for what the peer did wrong.
 */
static void
h2_said_goaway(struct h2 *h, const nghttp2_goaway *frame)
{
	uint8_t opaque[8];

	if (adit_mux_draining(&h->base) && !h->drain_ping) {
		h->drain_ping = adit_now() | DRAIN_MARK;
		memcpy(opaque, &h->drain_ping, sizeof(opaque));
		nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, opaque);
	}
	if (frame->error_code == NGHTTP2_NO_ERROR || *h->fault)
		return;
	snprintf(h->fault, sizeof(h->fault), "%s%s%.*s",
		 nghttp2_http2_strerror(frame->error_code), frame->opaque_data_len ? ": " : "",
		 (int)frame->opaque_data_len, (const char *)frame->opaque_data);
}

static int
on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *s = h2_find(arg, frame->hd.stream_id);

	(void)ng;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		h2_said_goaway(arg, &frame->goaway);
	if (frame->hd.type == NGHTTP2_RST_STREAM && is_fault(frame->rst_stream.error_code))
		h2_count_reset(arg);
	if (s && frame->hd.type == NGHTTP2_HEADERS)
		s->answered = true;
	if (s && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		h2_stream_finished(s);
	return 0;
}

static int
on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	struct h2_stream *s = h2_find(arg, id);

	(void)ng;
	if (s && s->session)
		h2_stream_gone(s, code);
	return 0;
}

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
		h2_close_drained(h);
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

static void
h2_tick(void *arg)
{
	struct h2 *h = arg;
	uint64_t now = adit_now();
	struct h2_stream *s;

	h->wake_at = 0;
	if (now >= h->close_at) {
		h2_fail(h, -ETIMEDOUT, NULL);
		return;
	}
	while ((s = TAILQ_FIRST(&h->lingering)) && s->deadline <= now)
		h2_stream_expire(s);
	if (s)
		h2_wake_at(h, s->deadline);
	h2_wake_at(h, h->close_at);
}

/* ---- the conn below --------------------------------------------------------------------- */

/* A PING, unless one is under way. */
static void
h2_ping(struct h2 *h)
{
	uint8_t opaque[8];

	if (h->pinged)
		return;
	h->pinged = adit_now();
	memcpy(opaque, &h->pinged, sizeof(opaque));
	nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, opaque);
}

static void
h2_opened(struct h2 *h)
{
	const char *alpn = tls_alpn(h->lower);

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
	h2_want(h);
}

/* ---- operations -------------------------------------------------------------------------- */

static unsigned
h2_room(const struct adit_mux *base, unsigned kind)
{
	const struct h2 *h = h2_of_const(base);
	uint32_t most = FIRST_STREAMS;

	if (kind || !h->conf->client || h->peer_drains ||
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

	if (kind || !h->conf->client) {
		adit_err_set(e, -ENOTSUP, "in HTTP/2 a client opens streams, and nothing else");
		return NULL;
	}
	s = h2_room(base, 0) ? h2_stream_new(h) : NULL;
	if (s && h2_head_request(h, s) == 0) {
		h->n_opened++;
		if (!h2_room(base, 0))
			adit_mux_unready(base, ADIT_WRITE);
		adit_conn_deadline(&s->base, h->conf->open_ms);
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

	if (!h->open || !h->lower || h->conf->client)
		return;
	nghttp2_submit_shutdown_notice(h->ng);
	h2_want(h);
}

static bool
h2_drained(const struct adit_mux *base)
{
	const struct h2 *h = h2_of_const(base);

	return h->conf->client || !h->open || h->drain_heard;
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
	/* Streams that were closed politely may still have to send. */
	for (s = TAILQ_FIRST(&h->streams); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		h2_stream_cut(s, err);
	}
	h->close_at = adit_now() + SESSION_LINGER;
	h2_wake_at(h, h->close_at);
	h2_close_drained(h);
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

static int
h2_make_session(struct h2 *h, nghttp2_session_callbacks *cb, nghttp2_option *option)
{
	int ret;

	h2_head_callbacks(cb);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_peer_max_concurrent_streams(option, FIRST_STREAMS);
#ifdef HAVE_NGHTTP2_RESET_LIMIT
	/* Its own limit counts streams that were answered, too; h2_count_reset has another. */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
#endif
	ret = h->conf->client ? nghttp2_session_client_new2(&h->ng, cb, h, option)
			      : nghttp2_session_server_new2(&h->ng, cb, h, option);
	return ret;
}

static int
h2_first_frames(struct h2 *h)
{
	const nghttp2_settings_entry all[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_MAX },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		  h->conf->client ? 0 : h->conf->streams },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },	/* a client's to say: RFC 9113, 6.5.2 */
	};
	int ret = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, all,
					  h->conf->client ? 4 : 3);

	if (ret == 0)
		ret = nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
							    SESSION_WINDOW);
	return ret;
}

static int
h2_init(struct h2 *h)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int ret = nghttp2_session_callbacks_new(&cb);

	if (ret == 0)
		ret = nghttp2_option_new(&option);
	if (ret == 0)
		ret = h2_make_session(h, cb, option);
	if (ret == 0)
		ret = h2_first_frames(h);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	return ret;
}

static struct h2 *
h2_alloc(struct adit_conn *lower, const struct h2_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct h2 *h = adit_mux_new(w, &h2_ops, sizeof(*h));

	if (!h)
		return NULL;
	memory_take(worker_memory(w), SESSION_COST);
	h->conf = conf;
	h->close_at = UINT64_MAX;
	h->resets = RESETS_MAX;
	h->resets_at = adit_now();
	TAILQ_INIT(&h->streams);
	TAILQ_INIT(&h->backlog);
	TAILQ_INIT(&h->lingering);
	queue_init(&h->out, worker_chunks(w), OUT_CAP);
	h->timer = adit_timer_new(w, h2_tick, h);
	if (!h->timer || h2_init(h) != 0) {
		adit_mux_close(&h->base, NULL);		/* without lower: nothing to end */
		return NULL;
	}
	return h;
}

struct adit_mux *
h2_new(struct adit_conn *lower, const struct h2_conf *conf)
{
	struct h2 *h = h2_alloc(lower, conf);

	if (!h) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	h->lower = lower;
	conn_set_vital(lower);
	adit_conn_own(lower, h2_event, h);
	h2_want(h);
	return &h->base;
}
