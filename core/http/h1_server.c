#include "core/http/h1.h"

#include <errno.h>
#include <string.h>

#include "core/http/fields.h"
#include "core/http/h1_session.h"
#include "core/http/respond.h"

/* ---- answers of our own ------------------------------------------------------------------ */

/* Answers what cannot be handed to anybody, and ends. */
static void
server_answer(struct h1 *h, int status, const char *why)
{
	char text[HTTP_LAST_WORDS];

	/* Behind a response that was cut no other may stand; here none was begun. */
	if (h->lower)
		queue_add(&h->out, text, http_last_words(status, why, text));
	adit_mux_fail(&h->base, &(struct adit_reason){
		.err = -EBADMSG, .code = (uint64_t)status, .text = why,
	});
	h1_finish(h, -EBADMSG, why);
}

/* A request that was answered is not answered again, whatever its dropped rest looks like. */
static void
server_refused(struct h1 *h)
{
	if (!h->x && h->tx == H1_TX_HEAD)
		server_answer(h, h->parser.fault.status, h->parser.fault.why);
}

static void
server_ended(struct h1 *h)
{
	if (h1_parser_begun(&h->parser))
		server_answer(h, 400, "connection ended within a head");
	else
		h1_finish(h, -ESHUTDOWN, NULL);
}

static void
server_timeout(struct h1 *h)
{
	if (h->rx == H1_RX_HEAD && h1_parser_begun(&h->parser))
		server_answer(h, 408, "request took too long");
	else
		h1_finish(h, -ETIMEDOUT, "idle");
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Slowloris: from its first byte on a head has a limit, however its bytes trickle in. */
static void
server_begun(struct h1 *h)
{
	if (h->head_timed)
		return;
	h->head_timed = true;
	h1_set_deadline(h, h->conf.head_timeout);
}

static enum h1_asked
server_asked(const struct adit_fields *f)
{
	struct adit_text method = adit_fields_control(f, ADIT_METHOD);

	if (http_text_equal(method, "HEAD", 4))
		return H1_ASKED_HEAD;
	if (http_text_equal(method, "CONNECT", 7))
		return H1_ASKED_CONNECT;
	return h1_wants_upgrade(f) ? H1_ASKED_UPGRADE : H1_ASKED_PLAIN;
}

/* RFC 9112, 9.3. */
static bool
server_keeps(const struct h1 *h, const struct adit_fields *f)
{
	if (h1_is_spent(h) || adit_mux_draining(&h->base) ||
	    adit_fields_has(f, "Connection", "close"))
		return false;
	return h->version > 10 || adit_fields_has(f, "Connection", "keep-alive");
}

static int
server_head(struct h1 *h)
{
	struct adit_fields *f = h1_parser_take(&h->parser);
	bool secure = adit_conn_flags(h->lower) & ADIT_CONN_SECURE;
	int err = h1_check_request(f, h->parser.target, secure, &h->parser.fault);

	if (err < 0) {
		adit_fields_free(f);
		if (err == -EBADMSG)
			server_refused(h);
		return err == -EBADMSG ? 0 : err;
	}
	h->version = adit_fields_version(f);
	h->asked = server_asked(f);
	h->keep = server_keeps(h, f);
	h->rx_framing = h->parser.framing;
	h->rx_left = h->parser.length;
	h->rx = h->rx_framing == H1_NO_BODY ? H1_RX_DONE : H1_RX_BODY;
	h->expecting = h->version > 10 && h->rx == H1_RX_BODY &&
		       adit_fields_has(f, "Expect", "100-continue");
	h1_set_deadline(h, 0);
	if (!h1_exchange_new(h)) {
		adit_fields_free(f);
		return -ENOMEM;
	}
	h1_exchange_head(h->x, f);
	adit_mux_ready(&h->base, ADIT_READ);
	return 0;
}

static void
server_next(struct h1 *h)
{
	if (h1_is_spent(h)) {
		server_ended(h);
		return;
	}
	h->kick = h->in.len > 0;
	h1_set_deadline(h, h->conf.idle_timeout);
}

static void
server_abandoned(struct h1 *h, int why)
{
	if (h->rx == H1_RX_BROKEN && h->tx == H1_TX_HEAD)
		server_answer(h, h->parser.fault.status, h->parser.fault.why);
	else
		h1_abort(h, why ? why : -ECONNABORTED, "exchange given up");
}

/*
 * ---- responses --------------------------------------------------------------------------------
 */

static int
server_send_interim(struct h1 *h, const struct adit_fields *f)
{
	struct h1_message m = {
		.asked = h->asked, .peer_version = h->version, .end = true, .keep = true,
	};
	int err;

	if (h->version < 11)		/* RFC 9110, 15.2: it would not understand them */
		return 0;
	err = h1_write_response(&h->out, f, &m);
	if (err == 0 && adit_fields_status(f) == 100)
		h->expecting = false;
	return err;
}

static void
server_begin_body(struct h1 *h, const struct h1_message *m)
{
	bool maybe_raw = h->asked >= H1_ASKED_CONNECT;

	h->keep = m->keep;
	h->tx_framing = m->framing;
	h->tx_left = m->length;
	h->tx = m->framing == H1_NO_BODY ? H1_TX_DONE : H1_TX_BODY;
	if (m->framing == H1_RAW)
		h1_go_raw(h);
	else if (maybe_raw)		/* its read may tell the end now */
		adit_conn_ready(&h->x->base.body, ADIT_READ);
	adit_conn_ready(&h->x->base.body, ADIT_WRITE);
	if ((h->tx == H1_TX_DONE || m->framing == H1_RAW) && !h->blocked)
		h1_flush(h);
}

/* Whether what comes behind the request is known to be another, and wanted. */
static bool
server_keeps_after(const struct h1 *h, int status)
{
	/* The client may still send a body that it was not asked for (RFC 9110, 10.1.1), */
	if (h->expecting)
		return false;
	/*
	 * or what it wanted to have in the tunnel. Where a password is asked for nothing is
	 * believed that comes without.
	 */
	if (h->asked == H1_ASKED_CONNECT && status / 100 != 2 && status != 407)
		return false;
	return h->keep && !h->last && !adit_mux_draining(&h->base);
}

static int
server_send_head(struct h1 *h, const struct adit_fields *f, unsigned flags)
{
	int status = adit_fields_status(f), err;
	struct h1_message m = {
		.asked = h->asked, .peer_version = h->version,
		.end = flags & ADIT_HEAD_END,
		.keep = server_keeps_after(h, status),
	};

	if (status / 100 == 1 && status != 101)
		return server_send_interim(h, f);
	/* The other protocol would begin in the middle of the request. */
	if ((status == 101 || (h->asked == H1_ASKED_CONNECT && status / 100 == 2)) &&
	    h->rx != H1_RX_DONE)
		return -EINVAL;
	err = h1_write_response(&h->out, f, &m);
	if (err < 0)
		return err;
	server_begin_body(h, &m);
	return 0;
}

/*
 * ---- the mux ------------------------------------------------------------------------------------
 */

static struct adit_conn *
server_accept(struct adit_mux *m)
{
	struct h1 *h = h1_of(m);

	if (!h->x || h->accepted)
		return NULL;
	h->accepted = true;
	return &h->x->base.body;
}

static const struct h1_role server_role = {
	.type = HTTP_REQUEST,
	.send_head = server_send_head,
	.begun = server_begun,
	.head = server_head,
	.refused = server_refused,
	.ended = server_ended,
	.next = server_next,
	.abandoned = server_abandoned,
	.timeout = server_timeout,
};

static const struct adit_mux_ops server_ops = {
	.size = sizeof(server_ops),
	.name = "http/1.1",
	.accept = server_accept,
	.probe = h1_mux_probe,
	.drain = h1_mux_drain,
	.close = h1_mux_close,
	.free = h1_mux_free,
	.cut = h1_mux_cut,
};

void
h1_server_last(struct adit_mux *m)
{
	h1_of(m)->last = true;
}

struct adit_mux *
h1_server(struct adit_conn *lower, const struct h1_conf *conf)
{
	struct h1 *h = h1_new(lower, &server_ops, &server_role, conf);

	if (!h)
		return NULL;
	server_begun(h);
	return &h->base;
}
