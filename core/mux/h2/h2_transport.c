/*
 * gost's transport: requests are CONNECT with the node's host as authority, or with the option
 * `path` GET; a server that has a path takes any method there, one that has none CONNECT alone.
 */
#include "core/mux/h2/h2.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/mux/h2/h2_int.h"

#define HEAD_MAX 16384u			/* bytes of fields that are taken of a stream's heads */
#define FIELDS_MAX 64			/* of a request, the pseudo fields too */
#define FIELD_COST 32			/* RFC 9113, 6.5.2: of each, beside its bytes */

struct h2_transport {
	struct h2			 session;
	const struct h2_transport_conf	*conf;
};

struct transport_stream {
	struct h2_stream	 base;
	int			 status;	/* client: of the answer; 0: none yet */
	bool			 connects;	/* server: the method is CONNECT */
	bool			 found;		/* server: the path is ours */
	size_t			 head;		/* bytes of fields that have come */
};

static struct transport_stream *
stream_of(struct h2_stream *s)
{
	return adit_container_of(s, struct transport_stream, base);
}

static const struct h2_transport_conf *
conf_of(struct h2_stream *s)
{
	return adit_container_of(s->session, struct h2_transport, session)->conf;
}

static nghttp2_nv
field(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name, .namelen = strlen(name),
		.value = (uint8_t *)(uintptr_t)value, .valuelen = strlen(value),
	};
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
request_fields(const struct h2_transport_conf *conf, nghttp2_nv nv[FIELDS_MAX])
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

static int
transport_open(struct h2_stream *s)
{
	const struct h2_transport_conf *conf = conf_of(s);
	nghttp2_nv nv[FIELDS_MAX];
	size_t n = request_fields(conf, nv);
	int32_t id = nghttp2_submit_request(s->session->ng, NULL, nv, n, &h2_stream_bytes, s);

	if (id < 0)
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : ADIT_ELIMIT;
	s->id = id;
	adit_conn_deadline(&s->base, conf->open_ms);
	return 0;
}

/* RFC 9110, 15.2: interim ones are skipped. */
static void
answer_done(struct transport_stream *t)
{
	struct h2_stream *s = &t->base;
	char why[48];

	if (t->status / 100 == 1)
		return;
	if (t->status == 200) {
		h2_stream_opened(s);
		return;
	}
	snprintf(why, sizeof(why), "the server answered %d", t->status);
	conn_explain(&s->base, why);
	h2_stream_fail(s, ADIT_EREFUSED);
}

/* ---- the server ------------------------------------------------------------------------ */

static int
request_judge(const struct h2_transport_conf *conf, const struct transport_stream *t)
{
	if (conf->path)
		return t->found ? 200 : 400;
	return t->connects ? 200 : 405;
}

static int
answer(struct h2_stream *s, int status)
{
	char text[4];
	nghttp2_nv nv;

	snprintf(text, sizeof(text), "%d", status % 1000);
	nv = field(":status", text);
	return nghttp2_submit_response(s->session->ng, s->id, &nv, 1,
				       status == 200 ? &h2_stream_bytes : NULL);
}

static void
request_done(struct transport_stream *t)
{
	struct h2_stream *s = &t->base;
	struct h2 *h = s->session;
	int status = request_judge(conf_of(s), t);

	if (status == 200 && h->n_backlog < h->setup.backlog && answer(s, 200) == 0) {
		h2_offer(s);
		return;
	}
	/* Nobody's: it ends behind the answer, if there is one. */
	s->headless = false;
	if (status == 200 || answer(s, status) < 0) {
		adit_conn_close(&s->base, ADIT_ELIMIT);
		return;
	}
	h2_stream_opened(s);
	adit_conn_close(&s->base, 0);
}

/* ---- both --------------------------------------------------------------------------------- */

static void
transport_head(struct h2_stream *s)
{
	if (adit_conn_is_open(&s->base))
		return;				/* trailers */
	if (s->session->role->client)
		answer_done(stream_of(s));
	else
		request_done(stream_of(s));
}

static bool
is(struct adit_text text, const char *s)
{
	return text.len == strlen(s) && memcmp(text.s, s, text.len) == 0;
}

/* Pseudo fields are checked by nghttp2: each once, and before all others. */
static int
transport_field(struct h2_stream *s, struct adit_text name, struct adit_text value)
{
	const struct h2_transport_conf *conf = conf_of(s);
	struct transport_stream *t = stream_of(s);

	t->head += name.len + value.len + FIELD_COST;
	if (t->head > HEAD_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;	/* the stream is reset */
	if (is(name, ":status") && value.len == 3)	/* of digits: nghttp2 has checked */
		t->status = (value.s[0] - '0') * 100 + (value.s[1] - '0') * 10 + value.s[2] - '0';
	else if (is(name, ":method"))
		t->connects = is(value, "CONNECT");
	else if (is(name, ":path") && conf->path)
		t->found = is(value, conf->path);
	return 0;
}

/* What the peer is told by RST_STREAM. RFC 9113, 8.5: the conn behind a CONNECT has failed. */
static uint32_t
reset_code(const struct adit_conn *c, int why)
{
	uint64_t code = adit_conn_code(c);

	if (code && code <= UINT32_MAX)
		return (uint32_t)code;
	switch (why) {
	case ADIT_EDRAINING:
	case ADIT_ELIMIT:
		return NGHTTP2_REFUSED_STREAM;
	default:
		return NGHTTP2_CONNECT_ERROR;
	}
}

static void
transport_close(struct adit_conn *c, int why)
{
	struct h2_stream *s = adit_container_of(c, struct h2_stream, base);
	uint32_t code = why ? reset_code(c, why) : NGHTTP2_NO_ERROR;

	/* Before its answer has come there is nothing to end politely. */
	if (!why && !adit_conn_is_open(c))
		code = NGHTTP2_CANCEL;
	h2_stream_close(s, code);
}

static const struct adit_conn_ops transport_ops = {
	.size = sizeof(transport_ops),
	.name = "h2",
	.read = h2_stream_read,
	.writev = h2_stream_writev,
	.shutdown = h2_stream_shutdown,
	.close = transport_close,
	.free = h2_stream_free,
	.delivery = h2_stream_delivery,
	.certificate = h2_stream_certificate,
	.pour = h2_stream_pour,
};

#define TRANSPORT_ROLE(is_client) { \
	.client = is_client, \
	.cancel_ends = true, \
	.session_size = sizeof(struct h2_transport), \
	.stream_size = sizeof(struct transport_stream), \
	.stream_ops = &transport_ops, \
	.open = transport_open, \
	.field = transport_field, \
	.head = transport_head, \
}

static const struct h2_role client_role = TRANSPORT_ROLE(true);
static const struct h2_role server_role = TRANSPORT_ROLE(false);

struct adit_mux *
h2_transport(struct adit_conn *lower, const struct h2_transport_conf *conf)
{
	const struct h2_setup setup = {
		.streams = conf->streams, .backlog = conf->backlog, .head_max = HEAD_MAX,
	};
	struct h2 *h = h2_new(lower, conf->client ? &client_role : &server_role, &setup);

	if (!h)
		return NULL;
	adit_container_of(h, struct h2_transport, session)->conf = conf;
	return &h->base;
}
