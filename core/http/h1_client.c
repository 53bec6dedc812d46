#include "core/http/h1.h"

#include <errno.h>

#include "core/http/fields.h"
#include "core/http/h1_session.h"
#include "core/http/section.h"

/* ---- responses ---------------------------------------------------------------------------- */

static void
client_refused(struct h1 *h)
{
	h1_abort(h, -EBADMSG, h->parser.fault.why);
}

static void
client_ended(struct h1 *h)
{
	if (!h->x)
		h1_finish(h, -ESHUTDOWN, NULL);
	else if (h1_parser_begun(&h->parser))
		h1_abort(h, ADIT_ETRUNCATED, "connection ended within a head");
	else
		h1_abort(h, h->tx_broken ? h->tx_broken : -ECONNRESET,
			 "connection ended without a response");
}

static void
client_timeout(struct h1 *h)
{
	(void)h;	/* how long to wait for a response is the owner's to know */
}

static bool
client_keeps(const struct adit_fields *f, enum h1_framing framing)
{
	if (framing == H1_UNTIL_EOF || adit_fields_has(f, "Connection", "close"))
		return false;
	return adit_fields_version(f) > 10 || adit_fields_has(f, "Connection", "keep-alive");
}

static void
client_begin_body(struct h1 *h, const struct adit_fields *f)
{
	h->rx_framing = h->parser.framing;
	h->rx_left = h->parser.length;
	h->rx = h->rx_framing == H1_NO_BODY ? H1_RX_DONE : H1_RX_BODY;
	if (!client_keeps(f, h->rx_framing))
		h->keep = false;
	if (h->rx_framing == H1_RAW) {
		h1_go_raw(h);
		if (h->end_asked)
			h1_body_end(h, NULL);
	} else if (h->tx == H1_TX_PENDING) {
		h->tx = H1_TX_DONE;
	}
}

static int
client_head(struct h1 *h)
{
	struct adit_fields *f = h1_parser_take(&h->parser);
	int status = adit_fields_status(f);

	if (status == 101 || status >= 200)
		client_begin_body(h, f);
	h1_exchange_head(h->x, f);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

static enum h1_asked
client_asks(const struct adit_fields *f)
{
	switch (section_asked(f)) {
	case SECTION_ASKED_HEAD:
		return H1_ASKED_HEAD;
	case SECTION_ASKED_CONNECT:
		return H1_ASKED_CONNECT;
	case SECTION_ASKED_PLAIN:
		break;
	}
	return h1_wants_upgrade(f) ? H1_ASKED_UPGRADE : H1_ASKED_PLAIN;
}

static int
client_send_head(struct h1 *h, const struct adit_fields *f, unsigned flags)
{
	struct h1_message m = {
		.asked = client_asks(f), .end = flags & ADIT_HEAD_END, .keep = true,
	};
	int err = h1_write_request(&h->out, f, &m);

	if (err < 0)
		return err;
	h->asked = h->parser.asked = m.asked;
	if (!m.keep)
		h->keep = false;
	h->tx_framing = m.framing;
	h->tx_left = m.length;
	h->tx = H1_TX_BODY;
	if (m.framing == H1_NO_BODY)
		h->tx = m.asked >= H1_ASKED_CONNECT ? H1_TX_PENDING : H1_TX_DONE;
	if (h->tx != H1_TX_BODY && !h->blocked)
		h1_flush(h);
	if (h->x)
		adit_conn_ready(&h->x->base.body, ADIT_WRITE);
	return 0;
}

/* Not a byte that nobody asked for may be in front of the next response. */
static void
client_next(struct h1 *h)
{
	if (h->in.len)
		h1_finish(h, -EPROTO, "bytes behind a response");
	else
		adit_mux_ready(&h->base, ADIT_WRITE);
}

static void
client_abandoned(struct h1 *h, int why)
{
	if (h->rx == H1_RX_DONE && !why)
		h1_finish(h, -ESHUTDOWN, "request not finished");
	else
		h1_abort(h, why ? why : -ECONNABORTED, "exchange given up");
}

/*
 * ---- the mux -----------------------------------------------------------------------------------
 */

static unsigned
client_room(const struct adit_mux *m, unsigned kind)
{
	const struct h1 *h = h1_of_const(m);

	return kind == ADIT_CONN_EXCHANGE && h->lower && !h->closing && h->keep && !h->x;
}

static struct adit_conn *
client_open(struct adit_mux *m, unsigned kind, struct adit_err *e)
{
	struct h1 *h = h1_of(m);

	if (kind != ADIT_CONN_EXCHANGE) {
		adit_err_set(e, -ENOTSUP, "HTTP/1 carries exchanges only");
		return NULL;
	}
	if (!client_room(m, kind)) {
		adit_err_set(e, -EAGAIN, "the connection is busy with another exchange");
		return NULL;
	}
	if (!h1_exchange_new(h)) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	h->accepted = true;
	adit_mux_unready(m, ADIT_WRITE);
	if (h->opened)
		adit_conn_ready(&h->x->base.body, ADIT_WRITE);
	return &h->x->base.body;
}

static struct adit_conn *
client_accept(struct adit_mux *m)
{
	(void)m;
	return NULL;
}

static const struct h1_role client_role = {
	.type = HTTP_RESPONSE,
	.send_head = client_send_head,
	.head = client_head,
	.refused = client_refused,
	.ended = client_ended,
	.next = client_next,
	.abandoned = client_abandoned,
	.timeout = client_timeout,
};

static const struct adit_mux_ops client_ops = {
	.size = sizeof(client_ops),
	.name = "http/1.1",
	.open = client_open,
	.accept = client_accept,
	.room = client_room,
	.probe = h1_mux_probe,
	.drain = h1_mux_drain,
	.close = h1_mux_close,
	.free = h1_mux_free,
	.cut = h1_mux_cut,
};

struct adit_mux *
h1_client(struct adit_conn *lower, const struct h1_conf *conf)
{
	struct h1 *h = h1_new(lower, &client_ops, &client_role, conf);

	return h ? &h->base : NULL;
}

bool
h1_client_idle(const struct adit_mux *m)
{
	return adit_mux_is_open(m) && adit_mux_room(m, ADIT_CONN_EXCHANGE) > 0;
}
