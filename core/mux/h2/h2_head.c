/*
 * Requests and their answers: gost's are CONNECT with the node's host as authority, or with the
 * option `path` GET; a server that has a path takes any method there, one that has none CONNECT
 * alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/mux/h2/h2_int.h"
#include "core/runtime/memory.h"

#define FIELDS_MAX 64			/* of a request, the pseudo fields too */
#define FIELD_COST 32			/* RFC 9113, 6.5.2: of each, beside its bytes */

static nghttp2_nv
field(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name, .namelen = strlen(name),
		.value = (uint8_t *)(uintptr_t)value, .valuelen = strlen(value),
	};
}

static struct h2_stream *
stream_at(nghttp2_session *ng, int32_t id)
{
	return nghttp2_session_get_stream_user_data(ng, id);
}

/* ---- the client ------------------------------------------------------------------------ */

static bool
has_user_agent(const struct adit_pairs *header)
{
	for (size_t i = 0; header && i < header->n; i++)
		if (strcmp(header->name[i], "user-agent") == 0)
			return true;
	return false;
}

static size_t
request_fields(const struct h2_conf *conf, nghttp2_nv nv[FIELDS_MAX])
{
	size_t n = 0;

	nv[n++] = field(":method", conf->path ? "GET" : "CONNECT");
	if (conf->path) {
		nv[n++] = field(":scheme", conf->secure ? "https" : "http");
		nv[n++] = field(":path", conf->path);
	}
	nv[n++] = field(":authority", conf->authority);
	if (!has_user_agent(conf->header))
		nv[n++] = field("user-agent", "adit/" ADIT_VERSION);
	for (size_t i = 0; conf->header && i < conf->header->n && n < FIELDS_MAX; i++)
		nv[n++] = field(conf->header->name[i], conf->header->value[i]);
	return n;
}

int
h2_head_request(struct h2 *h, struct h2_stream *s)
{
	const nghttp2_data_provider bytes = { { .ptr = NULL }, h2_stream_give };
	nghttp2_nv nv[FIELDS_MAX];
	size_t n = request_fields(h->conf, nv);

	s->id = nghttp2_submit_request(h->ng, NULL, nv, n, &bytes, s);
	if (s->id > 0)
		return 0;
	s->gone = true;
	return s->id == NGHTTP2_ERR_NOMEM ? -ENOMEM : ADIT_ELIMIT;
}

/* RFC 9110, 15.2: interim ones are skipped. */
static void
answer_done(struct h2_stream *s)
{
	int status = s->status;
	char why[48];

	if (status / 100 == 1)
		return;
	if (status == 200) {
		h2_stream_opened(s);
		return;
	}
	snprintf(why, sizeof(why), "the server answered %d", status);
	conn_explain(&s->base, why);
	h2_stream_fail(s, ADIT_EREFUSED);
}

/* ---- the server ------------------------------------------------------------------------ */

static int
request_judge(const struct h2_conf *conf, const struct h2_stream *s)
{
	if (conf->path)
		return s->found ? 200 : 400;
	return s->connects ? 200 : 405;
}

static int
answer(struct h2 *h, struct h2_stream *s, int status)
{
	const nghttp2_data_provider bytes = { { .ptr = NULL }, h2_stream_give };
	char text[4];
	nghttp2_nv nv;

	snprintf(text, sizeof(text), "%d", status % 1000);
	nv = field(":status", text);
	return nghttp2_submit_response(h->ng, s->id, &nv, 1, status == 200 ? &bytes : NULL);
}

/* Nobody's yet: it ends behind the answer, if there is one. */
static void
request_refuse(struct h2 *h, struct h2_stream *s, int status)
{
	if (status == 200 || answer(h, s, status) < 0) {
		adit_conn_close(&s->base, ADIT_ELIMIT);
		return;
	}
	h2_stream_opened(s);
	adit_conn_close(&s->base, 0);
}

static void
request_done(struct h2 *h, struct h2_stream *s)
{
	int status = request_judge(h->conf, s);

	s->headless = false;
	if (status != 200 || h->n_backlog >= h->conf->backlog || answer(h, s, 200) < 0) {
		request_refuse(h, s, status);
		return;
	}
	TAILQ_INSERT_TAIL(&h->backlog, s, wait);
	h->n_backlog++;
	s->in_backlog = true;
	h2_stream_opened(s);
	adit_mux_ready(&h->base, ADIT_READ);
}

void
h2_head_done(struct h2 *h, struct h2_stream *s)
{
	if (adit_conn_is_open(&s->base) || s->closed)
		return;				/* trailers */
	if (h->conf->client)
		answer_done(s);
	else
		request_done(h, s);
}

/* ---- callbacks --------------------------------------------------------------------------- */

static bool
takes_streams(const struct h2 *h)
{
	return !h->closing && !memory_is_short(worker_memory(adit_mux_worker(&h->base)));
}

static int
on_begin(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	int32_t id = frame->hd.stream_id;
	struct h2_stream *s;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	s = takes_streams(h) ? h2_stream_new(h) : NULL;
	if (!s)
		return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	s->id = id;
	s->headless = true;
	return nghttp2_session_set_stream_user_data(ng, id, s);
}

static bool
is(const uint8_t *text, size_t len, const char *s)
{
	return len == strlen(s) && memcmp(text, s, len) == 0;
}

/* Pseudo fields are checked by nghttp2: each once, and before all others. */
static int
on_field(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
	 const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2_stream *s = stream_at(ng, frame->hd.stream_id);
	const struct h2 *h = arg;

	(void)flags;
	if (!s || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	s->head += name_len + value_len + FIELD_COST;
	if (s->head > H2_HEAD_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;	/* the stream is reset */
	if (is(name, name_len, ":status") && value_len == 3)	/* of digits: nghttp2 has checked */
		s->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0';
	else if (is(name, name_len, ":method"))
		s->connects = is(value, value_len, "CONNECT");
	else if (is(name, name_len, ":path") && h->conf->path)
		s->found = is(value, value_len, h->conf->path);
	return 0;
}

void
h2_head_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_field);
}
