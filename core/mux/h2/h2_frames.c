/* What nghttp2 tells of frames, the peer's and ours, and what the peer may cost us. */
#include "core/mux/h2/h2_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mux/mux.h"
#include "core/runtime/memory.h"

#define SESSION_WINDOW (16 << 20)	/* what arrives is returned at once */
#define RESETS_MAX 1000			/* of streams, by a client that opens and resets them */
#define RESETS_PER_S 33			/* by which that many come back */
#define NOISE_MAX 10000			/* frames that carry nothing: empty, PING, PRIORITY, ... */
#define NOISE_PER_S 2000
#define CONTINUED_MAX 7u			/* frames that go on with one head; an nghttp2 that
					 * has a limit, 8, gives up without a GOAWAY */
#define DRAIN_MARK (1ull << 63)		/* tells the PING behind a GOAWAY from the others */

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

void
h2_ping(struct h2 *h)
{
	uint8_t opaque[8];

	if (h->pinged)
		return;
	h->pinged = adit_now();
	memcpy(opaque, &h->pinged, sizeof(opaque));
	nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, opaque);
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
	if (h->role->kind)
		adit_mux_say_peer_drains(&h->base);
}

/* False: the peer has had more of that than it is allowed. */
static bool
h2_allow(struct h2_allowance *a, double most, double per_s)
{
	uint64_t now = adit_now();

	a->left += (double)(now - a->at) * per_s / (double)ADIT_SECONDS(1);
	if (a->left > most)
		a->left = most;
	a->at = now;
	a->left -= 1;
	return a->left >= 0;
}

/*
 * A client that resets what it opens before it was answered, or has us reset it, costs us work and
 * has no limit of streams (CVE-2023-44487, CVE-2025-8671). Streams that were answered have counted:
 * visitors who go may be many.
 */
void
h2_count_reset(struct h2 *h)
{
	if (!h->role->client && !h2_allow(&h->resets, RESETS_MAX, RESETS_PER_S))
		nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
}

void
h2_count_noise(struct h2 *h)
{
	if (!h2_allow(&h->noise, NOISE_MAX, NOISE_PER_S))
		nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
}

/*
 * RFC 9113, 10.5: frames that cost work, and that no window or limit of streams holds back. Unknown
 * ones are skipped, and not told of.
 */
static bool
is_noise(const nghttp2_frame_hd *f)
{
	switch (f->type) {
	case NGHTTP2_DATA:
		return !f->length && !(f->flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
		return !(f->flags & NGHTTP2_FLAG_ACK);
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_WINDOW_UPDATE:
	case NGHTTP2_GOAWAY:
		return false;
	default:
		return true;
	}
}

static int
on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *f, void *arg)
{
	struct h2 *h = arg;

	if (is_noise(f))
		h2_count_noise(h);
	h->continued = f->type == NGHTTP2_CONTINUATION ? h->continued + 1 : 0;
	/* A head without an end (CVE-2024-27316, -28182): a client that means it needs few. */
	if (h->continued > CONTINUED_MAX)
		return nghttp2_session_terminate_session(ng, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

/* ---- heads ----------------------------------------------------------------------------- */

static bool
takes_streams(const struct h2 *h)
{
	return !h->closing && !memory_is_short(worker_memory(adit_mux_worker(&h->base)));
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	int32_t id = frame->hd.stream_id;
	struct h2_stream *s = h2_find(h, id);
	int ret = 0;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	h->heading = adit_now();
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s = takes_streams(h) ? h2_stream_new(h) : NULL;
		if (!s)
			return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id,
							 NGHTTP2_REFUSED_STREAM);
		s->id = id;
		s->headless = true;
		ret = nghttp2_session_set_stream_user_data(ng, id, s);
	}
	if (s && h->role->begin)
		h->role->begin(s);
	return ret;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
	  const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, frame->hd.stream_id);

	(void)ng;
	(void)flags;
	if (!s || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	return h->role->field(s, (struct adit_text){ (const char *)name, name_len },
			      (struct adit_text){ (const char *)value, value_len });
}

static void
h2_head_done(struct h2 *h, struct h2_stream *s)
{
	if (!s->closed)
		h->role->head(s);
}

bool
h2_offer(struct h2_stream *s)
{
	struct h2 *h = s->session;

	s->headless = false;
	if (h->n_backlog >= h->setup.backlog)
		return false;
	TAILQ_INSERT_TAIL(&h->backlog, s, wait);
	h->n_backlog++;
	s->in_backlog = true;
	h2_stream_opened(s);
	adit_mux_ready(&h->base, ADIT_READ);
	return true;
}

/* ---- what comes ------------------------------------------------------------------------ */

/* Whether a reset of ours says that the peer has done wrong. */
static bool
is_fault(uint32_t code)
{
	return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
	       code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_REFUSED_STREAM;
}

/* What had to wait for it may be asked now: an extended CONNECT. */
static void
h2_settled(struct h2 *h)
{
	struct h2_stream *s;

	h->settled = true;
	TAILQ_FOREACH(s, &h->streams, entry)
		if (!s->id && !s->closed)
			adit_conn_ready(&s->base, ADIT_WRITE);
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, frame->hd.stream_id);

	(void)ng;
	h->heading = 0;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (s)
			h2_head_done(h, s);
		break;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			h2_settled(h);
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

/* An interim response is no answer: anybody can ask for one. */
static void
h2_sent_head(struct h2_stream *s, nghttp2_headers_category cat)
{
	const struct h2_role *role = s->session->role;

	s->answered |= cat == NGHTTP2_HCAT_RESPONSE;
	if (role->sent)
		role->sent(s);
}

static int
on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *s = h2_find(arg, frame->hd.stream_id);

	(void)ng;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		h2_said_goaway(arg, &frame->goaway);
	if (frame->hd.type == NGHTTP2_RST_STREAM && is_fault(frame->rst_stream.error_code)) {
		h2_count_reset(arg);
		if (s)
			s->faulty = true;
	}
	if (s && frame->hd.type == NGHTTP2_HEADERS)
		h2_sent_head(s, frame->headers.cat);
	if (s && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		h2_stream_finished(s);
	return 0;
}

/* nghttp2 tells the peer itself. */
static int
on_invalid(nghttp2_session *ng, const nghttp2_frame *frame, int code, void *arg)
{
	struct h2 *h = arg;

	(void)ng;
	(void)frame;
	(void)code;
	h->heading = 0;
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

/* ---- making it ------------------------------------------------------------------------- */

static int
h2_make_session(struct h2 *h, nghttp2_session_callbacks *cb, nghttp2_option *option)
{
	int ret;

	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	/* What is wrong with it is the role's to say. */
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid);
	nghttp2_session_callbacks_set_send_data_callback(cb, h2_stream_send);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_peer_max_concurrent_streams(option, H2_FIRST_STREAMS);
#ifdef HAVE_NGHTTP2_RESET_LIMIT
	/* Its own limit counts streams that were answered, too; h2_count_reset has another. */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
#endif
	ret = h->role->client ? nghttp2_session_client_new2(&h->ng, cb, h, option)
			      : nghttp2_session_server_new2(&h->ng, cb, h, option);
	return ret;
}

static int
h2_first_frames(struct h2 *h)
{
	const struct h2_setup *setup = &h->setup;
	nghttp2_settings_entry all[5] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)setup->head_max },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->role->client ? 0 : setup->streams },
	};
	size_t n = 3;
	int ret;

	if (h->role->client)		/* a client's to say: RFC 9113, 6.5.2 */
		all[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
	if (setup->extended)
		all[n++] = (nghttp2_settings_entry){
			NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 };
	ret = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, all, n);
	if (ret == 0)
		ret = nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
							    SESSION_WINDOW);
	return ret;
}

int
h2_frames_init(struct h2 *h)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int ret = nghttp2_session_callbacks_new(&cb);
	uint64_t now = adit_now();

	h->resets = (struct h2_allowance){ .left = RESETS_MAX, .at = now };
	h->noise = (struct h2_allowance){ .left = NOISE_MAX, .at = now };
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
