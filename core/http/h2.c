#include "core/http/h2.h"

#include <errno.h>
#include <string.h>

#include <adit/plugin.h>

#include "core/conn/conn.h"
#include "core/http/fields.h"
#include "core/http/respond.h"
#include "core/http/section.h"
#include "core/mux/h2/h2_int.h"

#define STREAMS 100u			/* at a time, unless configured */
#define HEAD_TIMEOUT ADIT_SECONDS(10)
#define IDLE_TIMEOUT ADIT_SECONDS(60)
#define HEADS_MAX 4			/* that nobody has asked for: interim ones, and the final */
#define UNSENT_MAX 4			/* that nghttp2 has not sent */
#define LIST_MAX (FIELDS_MAX + 8)	/* fields of a head, and pseudo-fields */

/* Where our message is. */
enum h2_tx {
	H2_TX_HEAD,		/* its (final) head was not sent */
	H2_TX_BODY,
	H2_TX_NOTHING,		/* its head was all of it */
	H2_TX_DONE,
};

struct h2_exchange {
	struct h2_stream	 stream;	/* begins with the conn, as an adit_exchange does */
	struct section		 section;	/* that is coming */
	bool			 taking;	/* one is */
	bool			 final;		/* of the peer's heads: next are trailers */
	bool			 head_given;	/* to the owner: the body may be read */
	bool			 tunnel;	/* after a 2xx to CONNECT */
	enum h2_tx		 tx;
	enum section_asked	 asked;
	unsigned		 unsent;	/* heads of ours */
	uint64_t		 tx_left;	/* of a Content-Length, or SECTION_NO_LENGTH */
	struct adit_fields	*heads[HEADS_MAX];	/* arrived, in order; owned */
	unsigned		 n_heads;
	struct adit_fields	*trailers;	/* arrived, not asked for */
	struct adit_fields	*given;		/* to the owner, last */
	struct adit_fields	*trailing;	/* ours, behind the body */
};

static struct h2_exchange *
exchange_of(struct h2_stream *s)
{
	return adit_container_of(s, struct h2_exchange, stream);
}

static struct h2_exchange *
exchange_of_conn(struct adit_conn *c)
{
	return adit_container_of(c, struct h2_exchange, stream.base);
}

static struct h2_exchange *
exchange_of_base(struct adit_exchange *x)
{
	return exchange_of_conn(&x->body);
}

static bool
is_client(const struct h2_exchange *x)
{
	return x->stream.session->role->client;
}

/* ---- heads that go ------------------------------------------------------------------------ */

static size_t
list_to_nv(const struct section_list *list, nghttp2_nv nv[LIST_MAX])
{
	size_t n = 0;

	for (; n < list->n && n < LIST_MAX; n++) {
		const struct section_field *f = &list->v[n];

		nv[n] = (nghttp2_nv){
			.name = (uint8_t *)(uintptr_t)f->name.s, .namelen = f->name.len,
			.value = (uint8_t *)(uintptr_t)f->value.s, .valuelen = f->value.len,
			.flags = f->secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
		};
	}
	return n;
}

static int
error_of(int ret)
{
	return ret == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ECONNRESET;
}

/* A body comes behind what was sent, or not. */
static void
exchange_begin_body(struct h2_exchange *x, bool body, uint64_t length)
{
	x->tx = body ? H2_TX_BODY : H2_TX_NOTHING;
	x->tx_left = body && !x->tunnel ? length : SECTION_NO_LENGTH;
	x->stream.ending = !body;
	x->unsent++;
	adit_conn_ready(&x->stream.base, ADIT_WRITE);
	h2_want(x->stream.session);
}

/* RFC 8441, 3: only a server that has said so understands one. */
static int
may_extend(struct h2 *h)
{
	if (!h->settled)
		return -EAGAIN;
	if (nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL))
		return 0;
	return -ENOTSUP;
}

static int
send_request(struct h2_exchange *x, const struct adit_fields *f, unsigned flags)
{
	struct h2 *h = x->stream.session;
	bool connects = section_asked(f) == SECTION_ASKED_CONNECT;
	bool body = connects || !(flags & ADIT_HEAD_END);
	struct section_list list;
	nghttp2_nv nv[LIST_MAX];
	int err = 0;

	if (connects && adit_fields_control(f, ADIT_PROTOCOL).s)
		err = may_extend(h);
	if (!err && (h->peer_drains || !nghttp2_session_check_request_allowed(h->ng)))
		err = ADIT_EDRAINING;
	if (!err)
		err = section_list(&list, f, SECTION_REQUEST);
	if (err)
		return err;
	x->stream.id = nghttp2_submit_request(h->ng, NULL, nv, list_to_nv(&list, nv),
					      body ? &h2_stream_bytes : NULL, &x->stream);
	section_list_free(&list);
	if (x->stream.id < 0) {
		err = error_of(x->stream.id);
		x->stream.id = 0;
		return err;
	}
	x->asked = section_asked(f);
	exchange_begin_body(x, body, connects ? SECTION_NO_LENGTH : list.length);
	return 0;
}

static int
send_interim(struct h2_exchange *x, const nghttp2_nv *nv, size_t n)
{
	struct h2 *h = x->stream.session;
	int ret;

	if (x->unsent >= UNSENT_MAX)
		return -EAGAIN;
	ret = nghttp2_submit_headers(h->ng, NGHTTP2_FLAG_NONE, x->stream.id, NULL, nv, n, NULL);
	if (ret < 0)
		return error_of(ret);
	x->unsent++;
	h2_want(h);
	return 0;
}

static int
send_final(struct h2_exchange *x, const nghttp2_nv *nv, size_t n, bool body)
{
	int ret = nghttp2_submit_response(x->stream.session->ng, x->stream.id, nv, n,
					  body ? &h2_stream_bytes : NULL);

	return ret < 0 ? error_of(ret) : 0;
}

static int
send_response(struct h2_exchange *x, const struct adit_fields *f, unsigned flags)
{
	int status = adit_fields_status(f), err;
	enum section_content content = section_content(status, x->asked);
	bool body = content == SECTION_TUNNEL ||
		    (content == SECTION_BODY && !(flags & ADIT_HEAD_END));
	struct section_list list;
	nghttp2_nv nv[LIST_MAX];
	size_t n;

	err = section_list(&list, f, SECTION_RESPONSE);
	if (err)
		return err;
	n = list_to_nv(&list, nv);
	err = status < 200 ? send_interim(x, nv, n) : send_final(x, nv, n, body);
	section_list_free(&list);
	if (err || status < 200)
		return err;
	x->tunnel = content == SECTION_TUNNEL;
	exchange_begin_body(x, body, list.length);
	return 0;
}

static int
exchange_send_head(struct adit_exchange *base, const struct adit_fields *f, unsigned flags)
{
	struct h2_exchange *x = exchange_of_base(base);

	if (!x->stream.session || x->stream.gone)
		return -EPIPE;
	if (x->tx != H2_TX_HEAD)
		return -EINVAL;
	return is_client(x) ? send_request(x, f, flags) : send_response(x, f, flags);
}

static void
exchange_sent(struct h2_stream *s)
{
	struct h2_exchange *x = exchange_of(s);

	if (x->unsent-- == UNSENT_MAX && !s->closed)
		adit_conn_ready(&s->base, ADIT_WRITE);
}

/* ---- bodies ------------------------------------------------------------------------------- */

static ssize_t
exchange_read(struct adit_conn *c, void *buf, size_t len)
{
	return exchange_of_conn(c)->head_given ? h2_stream_read(c, buf, len) : -EAGAIN;
}

static size_t
exchange_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	return exchange_of_conn(c)->head_given ? h2_stream_pour(c, to, len) : 0;
}

/* Of iov what a given length has room for. Returns how many pieces. */
static int
cut_to_length(const struct iovec *iov, int n, uint64_t left, struct iovec *part, int most)
{
	int used = 0;

	for (; used < n && used < most && left; used++) {
		part[used] = iov[used];
		if (part[used].iov_len > left)
			part[used].iov_len = (size_t)left;
		left -= part[used].iov_len;
	}
	return used;
}

static ssize_t
write_body(struct h2_exchange *x, const struct iovec *iov, int n)
{
	struct iovec part[16];
	size_t total = iov_total(iov, n);
	ssize_t took;

	if (total && !x->tx_left)
		return -EMSGSIZE;
	if (total > x->tx_left) {
		n = cut_to_length(iov, n, x->tx_left, part, 16);
		iov = part;
	}
	took = h2_stream_writev(&x->stream.base, iov, n);
	if (took > 0 && x->tx_left != SECTION_NO_LENGTH)
		x->tx_left -= (uint64_t)took;
	return took;
}

static ssize_t
exchange_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct h2_exchange *x = exchange_of_conn(c);

	switch (x->tx) {
	case H2_TX_HEAD:
		return -EAGAIN;
	case H2_TX_BODY:
		return write_body(x, iov, n);
	case H2_TX_NOTHING:
		/* To HEAD a response may be written as to GET (RFC 9110, 9.3.2). */
		if (x->asked == SECTION_ASKED_HEAD)
			return (ssize_t)iov_total(iov, n);
		return -EMSGSIZE;
	case H2_TX_DONE:
		break;
	}
	return -EPIPE;
}

static int
exchange_shutdown(struct adit_conn *c)
{
	struct h2_exchange *x = exchange_of_conn(c);

	if (x->tx == H2_TX_NOTHING || x->tx == H2_TX_DONE)
		return 0;
	if (x->tx == H2_TX_HEAD || (x->tx_left && x->tx_left != SECTION_NO_LENGTH))
		return -EPROTO;
	x->tx = H2_TX_DONE;
	return h2_stream_shutdown(c);
}

static int
exchange_trailers(struct adit_exchange *base, const struct adit_fields *f)
{
	struct h2_exchange *x = exchange_of_base(base);

	if (!x->stream.session || x->stream.gone)
		return -EPIPE;
	if (x->tx != H2_TX_BODY || x->tunnel || x->asked == SECTION_ASKED_CONNECT)
		return -ENOTSUP;
	x->trailing = adit_fields_copy(f);
	return x->trailing ? exchange_shutdown(&base->body) : -ENOMEM;
}

static bool
exchange_trail(struct h2_stream *s)
{
	struct h2_exchange *x = exchange_of(s);
	struct section_list list;
	nghttp2_nv nv[LIST_MAX];
	int ret;

	if (!x->trailing || section_list(&list, x->trailing, SECTION_TRAILERS) < 0)
		return false;
	ret = !list.n ? -1 : nghttp2_submit_trailer(s->session->ng, s->id, nv,
						    list_to_nv(&list, nv));
	section_list_free(&list);
	x->unsent += ret == 0;
	return ret == 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

static uint32_t
close_code(struct h2_exchange *x, int why)
{
	uint64_t code = adit_conn_code(&x->stream.base);

	if (code && code <= UINT32_MAX)
		return (uint32_t)code;
	if (x->tunnel)
		return NGHTTP2_CONNECT_ERROR;
	if (is_client(x))
		return NGHTTP2_CANCEL;
	if (x->tx == H2_TX_HEAD && (why == ADIT_EDRAINING || why == ADIT_ELIMIT))
		return NGHTTP2_REFUSED_STREAM;
	return NGHTTP2_INTERNAL_ERROR;
}

/* Whether what was said, and heard, can be left as it is. */
static bool
is_complete(struct h2_exchange *x)
{
	if (x->tx == H2_TX_HEAD || (x->tx_left && x->tx_left != SECTION_NO_LENGTH))
		return false;
	return !is_client(x) || x->stream.in_ended || x->tunnel;
}

static void
exchange_close(struct adit_conn *c, int why)
{
	struct h2_exchange *x = exchange_of_conn(c);

	if (!x->stream.session)
		return;
	h2_stream_close(&x->stream, why || !is_complete(x) ? close_code(x, why) :
				    (uint32_t)NGHTTP2_NO_ERROR);
}

static void
exchange_free(struct adit_conn *c)
{
	struct h2_exchange *x = exchange_of_conn(c);

	section_drop(&x->section);
	for (unsigned i = 0; i < x->n_heads; i++)
		adit_fields_free(x->heads[i]);
	adit_fields_free(x->trailers);
	adit_fields_free(x->given);
	adit_fields_free(x->trailing);
	h2_stream_free(c);
}

/* ---- heads that come ---------------------------------------------------------------------- */

static struct adit_fields *
take_head(struct h2_exchange *x)
{
	struct adit_fields *f = x->trailers;

	if (!x->n_heads) {
		x->trailers = NULL;
		return f;
	}
	f = x->heads[0];
	x->n_heads--;
	memmove(x->heads, x->heads + 1, x->n_heads * sizeof(*x->heads));
	return f;
}

static bool
is_final(const struct adit_fields *f)
{
	int status = adit_fields_status(f);

	return !status || status >= 200;
}

static const struct adit_fields *
exchange_head(struct adit_exchange *base)
{
	struct h2_exchange *x = exchange_of_base(base);

	/* Who asks for the next is done with the last. */
	adit_fields_free(x->given);
	x->given = take_head(x);
	if (x->given && !x->head_given && is_final(x->given)) {
		x->head_given = true;
		adit_conn_ready(&base->body, ADIT_READ);
	}
	return x->given;
}

static enum section_kind
section_kind(const struct h2_exchange *x)
{
	if (x->final)
		return SECTION_TRAILERS;
	return is_client(x) ? SECTION_RESPONSE : SECTION_REQUEST;
}

static void
exchange_begin(struct h2_stream *s)
{
	struct h2_exchange *x = exchange_of(s);
	const struct section_rules rules = {
		.kind = section_kind(x), .version = 20, .limit = s->session->setup.head_max,
		.extended = s->session->setup.extended,
	};

	section_drop(&x->section);
	x->taking = !s->closed;
	section_begin(&x->section, &rules);
}

/* What is wrong is told at the section's end: HPACK's state is everybody's. */
static int
exchange_field(struct h2_stream *s, struct adit_text name, struct adit_text value)
{
	struct h2_exchange *x = exchange_of(s);

	if (x->taking)
		section_add(&x->section, name, value);
	return 0;
}

/* A request that nobody will see. */
static void
refuse_head(struct h2_exchange *x, int status)
{
	struct h2_stream *s = &x->stream;

	s->headless = false;
	h2_count_reset(s->session);
	h2_stream_opened(s);
	http_refuse(adit_exchange_of(&s->base), status, 0);
}

static void
head_failed(struct h2_exchange *x, int err)
{
	struct h2_stream *s = &x->stream;

	if (err == -E2BIG && s->headless) {
		refuse_head(x, 431);
		return;
	}
	if (err == -EBADMSG) {
		conn_explain(&s->base, x->section.why);
		h2_stream_cut(s, err, NGHTTP2_PROTOCOL_ERROR);
	} else {
		h2_stream_cut(s, err, is_client(x) ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
	}
}

static void
take_request(struct h2_exchange *x, struct adit_fields *f)
{
	struct h2_stream *s = &x->stream;

	x->asked = section_asked(f);
	x->final = true;
	x->heads[x->n_heads++] = f;
	if (!h2_offer(s)) {
		adit_conn_close(&s->base, ADIT_ELIMIT);
		return;
	}
	if (s->session->lower->core->component)
		adit_conn_set_component(&s->base, s->session->lower->core->component);
	adit_conn_ready(&s->base, ADIT_HEAD);
}

static void
take_response(struct h2_exchange *x, struct adit_fields *f)
{
	int status = adit_fields_status(f);

	x->final = status >= 200;
	x->tunnel = section_content(status, x->asked) == SECTION_TUNNEL;
	/* One place is the final one's. Those that nobody asks for are worth nothing. */
	if (!x->final && x->n_heads == HEADS_MAX - 1) {
		h2_count_noise(x->stream.session);
		adit_fields_free(f);
		return;
	}
	x->heads[x->n_heads++] = f;
	adit_conn_ready(&x->stream.base, ADIT_HEAD);
}

static void
exchange_head_done(struct h2_stream *s)
{
	struct h2_exchange *x = exchange_of(s);
	struct adit_fields *f;
	int err;

	if (!x->taking)
		return;
	x->taking = false;
	err = section_done(&x->section, &f);
	if (err) {
		head_failed(x, err);
	} else if (x->final) {
		x->trailers = f;
		adit_conn_ready(&s->base, ADIT_HEAD);
	} else if (is_client(x)) {
		take_response(x, f);
	} else {
		take_request(x, f);
	}
}

/* ---- the client's ------------------------------------------------------------------------- */

static int
exchange_open(struct h2_stream *s)
{
	if (s->session->open)
		h2_stream_opened(s);
	return 0;
}

/* ---- tables ------------------------------------------------------------------------------- */

static const struct adit_exchange_ops h2_exchange_ops = {
	.body = {
		.size = sizeof(struct adit_conn_ops),
		.name = "http/2",
		.read = exchange_read,
		.writev = exchange_writev,
		.shutdown = exchange_shutdown,
		.close = exchange_close,
		.free = exchange_free,
		.delivery = h2_stream_delivery,
		.certificate = h2_stream_certificate,
		.pour = exchange_pour,
	},
	.send_head = exchange_send_head,
	.head = exchange_head,
	.trailers = exchange_trailers,
	.version = 20,
};

#define EXCHANGE_ROLE(is_client) { \
	.kind = ADIT_CONN_EXCHANGE, \
	.client = is_client, \
	.session_size = sizeof(struct h2), \
	.stream_size = sizeof(struct h2_exchange), \
	.stream_ops = &h2_exchange_ops.body, \
	.open = exchange_open, \
	.opened = h2_stream_opened, \
	.begin = exchange_begin, \
	.field = exchange_field, \
	.head = exchange_head_done, \
	.sent = exchange_sent, \
	.trail = exchange_trail, \
}

static const struct h2_role client_role = EXCHANGE_ROLE(true);
static const struct h2_role server_role = EXCHANGE_ROLE(false);

static struct adit_mux *
h2_make(struct adit_conn *lower, const struct h2_role *role, const struct h2_conf *conf)
{
	static const struct h2_conf none;
	struct h2_setup setup = { .head_max = FIELDS_BYTES_MAX };
	struct h2 *h;

	if (!conf)
		conf = &none;
	if (conf->head_max && conf->head_max < FIELDS_BYTES_MAX)
		setup.head_max = conf->head_max;
	if (!role->client) {
		setup.streams = setup.backlog = conf->streams ? conf->streams : STREAMS;
		setup.head_timeout = conf->head_timeout ? conf->head_timeout : HEAD_TIMEOUT;
		setup.idle_timeout = conf->idle_timeout ? conf->idle_timeout : IDLE_TIMEOUT;
		setup.extended = conf->extended;
	}
	h = h2_new(lower, role, &setup);
	return h ? &h->base : NULL;
}

struct adit_mux *
h2_server(struct adit_conn *lower, const struct h2_conf *conf)
{
	return h2_make(lower, &server_role, conf);
}

struct adit_mux *
h2_client(struct adit_conn *lower, const struct h2_conf *conf)
{
	return h2_make(lower, &client_role, conf);
}
