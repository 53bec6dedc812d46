#include "core/http/h1_session.h"

#include <errno.h>

#include <adit/plugin.h>

#include "core/conn/conn.h"

static struct h1_exchange *
exchange_of(struct adit_conn *c)
{
	return adit_container_of(c, struct h1_exchange, base.body);
}

static struct h1_exchange *
exchange_of_base(struct adit_exchange *x)
{
	return adit_container_of(x, struct h1_exchange, base);
}

/* RFC 9110, 10.1.1, for an owner that has asked for it: whoever reads wants the body. */
static void
say_continue(struct h1 *h)
{
	static const char head[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!h->conf.send_continue || !h->expecting || h->tx != H1_TX_HEAD)
		return;
	if (queue_room(&h->out) < sizeof(head) - 1)
		return;
	h->expecting = false;
	if (queue_add(&h->out, head, sizeof(head) - 1) < sizeof(head) - 1)
		h1_abort(h, -ENOMEM, adit_strerror(-ENOMEM));
	h1_update(h);
}

static ssize_t
exchange_read(struct adit_conn *c, void *buf, size_t len)
{
	struct h1_exchange *x = exchange_of(c);
	struct h1 *h = x->h;
	ssize_t n;

	if (!h || !x->head_given)
		return -EAGAIN;
	if (h->rx == H1_RX_DONE)
		/* Not the end yet if the response can make this the raw connection. */
		return h->asked >= H1_ASKED_CONNECT && h->tx == H1_TX_HEAD ? -EAGAIN : 0;
	if (h->rx == H1_RX_HEAD || !len)
		return -EAGAIN;
	say_continue(h);
	if (!h->lower)
		return -EAGAIN;
	n = h1_body_read(h, buf, len);
	if (n > 0)
		h->expecting = false;
	return n;
}

/* What is in memory already, of a body that is being read. */
static size_t
exchange_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct h1_exchange *x = exchange_of(c);
	struct h1 *h = x->h;

	return h && h->lower && x->head_given && !h->expecting ? h1_body_pour(h, to, len) : 0;
}

static ssize_t
exchange_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct h1 *h = exchange_of(c)->h;

	return h ? h1_body_write(h, iov, n) : -EPIPE;
}

static int
exchange_shutdown(struct adit_conn *c)
{
	struct h1 *h = exchange_of(c)->h;

	return h ? h1_body_end(h, NULL) : 0;
}

static void
exchange_close(struct adit_conn *c, int why)
{
	struct h1_exchange *x = exchange_of(c);
	struct h1 *h = x->h;

	if (!h)
		return;
	h1_detach(h, 0);
	h1_exchange_over(h, why);
}

static void
exchange_free(struct adit_conn *c)
{
	struct h1_exchange *x = exchange_of(c);

	adit_fields_free(x->arrived);
	adit_fields_free(x->given);
	adit_fields_free(x->trailers);
}

static void
exchange_want(struct adit_conn *c)
{
	struct h1 *h = exchange_of(c)->h;

	if (h)
		h1_update(h);
}

static int
exchange_send_head(struct adit_exchange *base, const struct adit_fields *f, unsigned flags)
{
	struct h1 *h = exchange_of_base(base)->h;
	int err;

	if (!h)
		return -EPIPE;
	if (h->tx != H1_TX_HEAD)
		return -EINVAL;
	err = h->role->send_head(h, f, flags);
	if (err == -EAGAIN)
		h->blocked = true;	/* out is not empty then: it takes any one head */
	else if (err == -ENOMEM)
		h1_abort(h, err, adit_strerror(err));
	h1_update(h);
	return err;
}

/* What the final head was, and what may be done now that the owner knows it. */
static void
exchange_given(struct h1_exchange *x)
{
	int status = adit_fields_status(x->given);
	struct h1 *h = x->h;

	if (status == 0 || status == 101 || status >= 200) {
		x->head_given = true;
		adit_conn_ready(&x->base.body, ADIT_READ);
	} else if (h) {
		h1_parser_start(&h->parser, h->asked);
		h1_parse_ahead(h);
	}
	if (h)
		h1_update(h);
}

static const struct adit_fields *
exchange_head(struct adit_exchange *base)
{
	struct h1_exchange *x = exchange_of_base(base);
	bool trailers = !x->arrived && x->trailers;
	struct adit_fields *next = trailers ? x->trailers : x->arrived;

	/* Who asks for the next is done with the last: it is not kept while a tunnel is open. */
	adit_fields_free(x->given);
	x->given = next;
	if (!next)
		return NULL;
	if (trailers) {
		x->trailers = NULL;
	} else {
		x->arrived = NULL;
		exchange_given(x);
	}
	return next;
}

static int
exchange_trailers(struct adit_exchange *base, const struct adit_fields *f)
{
	struct h1 *h = exchange_of_base(base)->h;

	if (!h)
		return -EPIPE;
	if (h->tx != H1_TX_BODY || h->tx_framing != H1_CHUNKED)
		return -ENOTSUP;
	return h1_body_end(h, f);
}

static const struct adit_exchange_ops h1_exchange_ops = {
	.body = {
		.size = sizeof(struct adit_conn_ops),
		.name = "http/1.1",
		.read = exchange_read,
		.writev = exchange_writev,
		.shutdown = exchange_shutdown,
		.close = exchange_close,
		.free = exchange_free,
		.want = exchange_want,
		.pour = exchange_pour,
	},
	.send_head = exchange_send_head,
	.head = exchange_head,
	.trailers = exchange_trailers,
	.version = 11,
};

/* Neither side has a byte of HTTP left, and none of the other protocol's was lost on the way. */
static bool
h1_is_bare(const struct h1 *h)
{
	return h->lower && h->opened && !h->closing && h->rx == H1_RX_BODY &&
	       h->tx == H1_TX_BODY && h->rx_framing == H1_RAW && h->tx_framing == H1_RAW &&
	       !h->out.len && !h->blocked && !h->lower_ended && !adit_conn_err(h->lower);
}

bool
h1_may_leave(struct adit_exchange *base)
{
	struct h1_exchange *x = exchange_of_base(base);

	return base->body.ops == &h1_exchange_ops.body && x->h && h1_is_bare(x->h) &&
	       !adit_conn_err(&base->body) && !base->body.core->unread;
}

struct adit_conn *
h1_leave(struct adit_exchange *base)
{
	return h1_yield_lower(exchange_of_base(base)->h);
}

void
h1_exchange_head(struct h1_exchange *x, struct adit_fields *f)
{
	if (x->head_given)
		x->trailers = f;
	else
		x->arrived = f;
	adit_conn_ready(&x->base.body, ADIT_HEAD);
}

struct h1_exchange *
h1_exchange_new(struct h1 *h)
{
	unsigned flags = adit_conn_flags(h->lower) & ADIT_CONN_SECURE;
	struct h1_exchange *x =
		adit_exchange_new(adit_mux_worker(&h->base), &h1_exchange_ops, sizeof(*x), flags);
	struct adit_conn *body;

	if (!x)
		return NULL;
	body = &x->base.body;
	adit_conn_set_local(body, adit_conn_local(h->lower));
	adit_conn_set_remote(body, adit_conn_remote(h->lower));
	if (h->lower->core->component)
		adit_conn_set_component(body, h->lower->core->component);
	x->h = h;
	h->x = x;
	adit_mux_count(&h->base, 1);
	if (h->opened)
		adit_conn_ready(body, ADIT_OPEN);
	return x;
}
