#include "core/http/h1_session.h"

#include <errno.h>

#include "core/conn/conn.h"
#include "core/runtime/worker.h"

#define IN_MAX	     65536
#define OUT_MAX	     (3 * 65536)	/* a head or trailers, one large chunk, and some */
#define CLOSE_NS     ADIT_SECONDS(10)	/* for the peer to take the last bytes */
#define DROP_NS	     ADIT_SECONDS(5)
#define DROP_MAX     (256 * 1024)
#define FLUSH_PIECES 16

struct h1 *
h1_of(struct adit_mux *m)
{
	return adit_container_of(m, struct h1, base);
}

const struct h1 *
h1_of_const(const struct adit_mux *m)
{
	const void *first = m;

	return first;
}

/* ---- time --------------------------------------------------------------------------- */

static void
h1_timer(void *arg)
{
	struct h1 *h = arg;
	uint64_t now = adit_now();

	h->timer_at = 0;
	if (!h->deadline)
		return;
	if (now < h->deadline) {
		h->timer_at = h->deadline;
		adit_timer_set(h->timer, h->deadline - now);
		return;
	}
	h->deadline = 0;
	if (h->closing)
		h1_abort(h, -ETIMEDOUT, "the peer does not read");
	else
		h->role->timeout(h);
	h1_update(h);
}

void
h1_set_deadline(struct h1 *h, uint64_t ns)
{
	if (!ns) {
		h->deadline = 0;
		return;
	}
	h->deadline = adit_now() + ns;
	if (h->timer_at && h->timer_at <= h->deadline)
		return;
	if (!h->timer)
		h->timer = adit_timer_new(adit_mux_worker(&h->base), h1_timer, h);
	if (!h->timer)
		return;		/* without a limit is better than without service */
	h->timer_at = h->deadline;
	adit_timer_set(h->timer, ns);
}

/* ---- the end --------------------------------------------------------------------------- */

void
h1_detach(struct h1 *h, int err)
{
	struct h1_exchange *x = h->x;

	if (!x)
		return;
	h->x = NULL;
	x->h = NULL;
	adit_mux_count(&h->base, -1);
	if (err && h->lower)
		conn_explain(&x->base.body, conn_failure(h->lower));
	if (err)
		adit_conn_fail(&x->base.body, err);
	if (err && !h->accepted)
		adit_conn_close(&x->base.body, err);
}

static void
h1_close_lower(struct h1 *h, int why)
{
	struct adit_conn *lower = h->lower;

	h->lower = NULL;
	h->deadline = 0;
	adit_timer_stop(h->timer);
	queue_fini(&h->in);
	queue_fini(&h->out);
	adit_conn_close(lower, why);
	if (h->held) {
		h->held = false;
		adit_mux_release(&h->base);
	}
}

void
h1_abort(struct h1 *h, int err, const char *why)
{
	adit_mux_fail(&h->base, &(struct adit_reason){ .err = err, .text = why });
	h1_detach(h, err);
	if (h->lower)
		h1_close_lower(h, err);
}

void
h1_finish(struct h1 *h, int err, const char *why)
{
	adit_mux_fail(&h->base, &(struct adit_reason){ .err = err, .text = why });
	h1_detach(h, err);
	if (!h->lower || h->closing)
		return;
	h->closing = true;
	queue_fini(&h->in);
	h1_set_deadline(h, CLOSE_NS);
	h1_flush(h);
	h1_update(h);
}

/* What was read too far is not h's but of what comes now. 0, or -ENOMEM. */
static int
h1_unread(struct h1 *h)
{
	size_t room, len;
	char *scratch = adit_worker_scratch(adit_mux_worker(&h->base), &room);

	len = queue_take(&h->in, scratch, room);
	adit_mux_moved(&h->base, 0 - (uint64_t)len, 0);
	return adit_conn_unread(h->lower, scratch, len);
}

struct adit_conn *
h1_yield_lower(struct h1 *h)
{
	struct adit_conn *lower = h->lower;
	int err = h1_unread(h);

	if (err < 0) {
		h1_abort(h, err, adit_strerror(err));
		return NULL;
	}
	adit_conn_own(lower, NULL, NULL);
	adit_conn_want(lower, 0);
	adit_mux_fail(&h->base, &(struct adit_reason){ .err = -ESHUTDOWN, .text = "upgraded" });
	h1_detach(h, 0);
	h->lower = NULL;
	h->deadline = 0;
	adit_timer_stop(h->timer);
	queue_fini(&h->in);
	queue_fini(&h->out);
	return lower;
}

void
h1_mux_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct h1 *h = h1_of(m);

	h1_detach(h, why->err ? why->err : -ECONNRESET);
	if (!h->lower)
		return;
	if (why->err || !h->out.len) {
		h1_close_lower(h, why->err);
		return;
	}
	adit_mux_hold(m);
	h->held = true;
	if (!h->closing)
		h1_finish(h, -ESHUTDOWN, NULL);
}

void
h1_mux_cut(struct adit_mux *m)
{
	struct h1 *h = h1_of(m);

	if (h->lower)
		h1_close_lower(h, ADIT_ESTOPPED);
}

void
h1_mux_free(struct adit_mux *m)
{
	struct h1 *h = h1_of(m);

	adit_timer_free(h->timer);
	h1_parser_fini(&h->parser);
}

void
h1_mux_probe(struct adit_mux *m)
{
	(void)m;	/* HTTP/1 has no question without a meaning */
}

void
h1_mux_drain(struct adit_mux *m)
{
	struct h1 *h = h1_of(m);

	h->keep = false;
	if (!h->x && h->rx == H1_RX_HEAD && !h1_parser_begun(&h->parser) && !h->in.len)
		h1_finish(h, -ESHUTDOWN, "drained");
}

/* ---- writing ------------------------------------------------------------------------------ */

void
h1_write_failed(struct h1 *h, int err)
{
	if (h->role->type == HTTP_REQUEST || h->closing || h->rx == H1_RX_DONE ||
	    h->tx_framing == H1_RAW) {
		h1_abort(h, err, adit_strerror(err));
		return;
	}
	/*
	 * A server may answer and close before it has read all: its response is worth more than the
	 * rest of the request, which is dropped from now on.
	 */
	h->tx_broken = err;
	h->keep = false;
	h->blocked = false;
	queue_fini(&h->out);
	if (h->x)
		adit_conn_ready(&h->x->base.body, ADIT_READ | ADIT_WRITE);
}

/* Out is empty. */
static void
h1_flushed(struct h1 *h)
{
	h->blocked = false;
	if (h->closing) {
		h1_close_lower(h, 0);
		return;
	}
	if (h->end_lower) {
		h->end_lower = false;
		adit_conn_shutdown(h->lower);
	}
	if (h->x)
		adit_conn_ready(&h->x->base.body, ADIT_WRITE);
}

void
h1_flush(struct h1 *h)
{
	struct iovec iov[FLUSH_PIECES];

	while (h->out.len) {
		int n = queue_peek(&h->out, 0, iov, FLUSH_PIECES);
		ssize_t took = adit_conn_writev(h->lower, iov, n);

		if (took == -EAGAIN) {
			h->blocked = true;
			return;
		}
		if (took < 0) {
			h1_write_failed(h, (int)took);
			return;
		}
		adit_mux_moved(&h->base, 0, (uint64_t)took);
		queue_drop(&h->out, (size_t)took);
	}
	h1_flushed(h);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* What the parser said to the bytes of a head. */
static void
h1_head_read(struct h1 *h, ssize_t used)
{
	int err = 0;

	if (used == -EBADMSG) {
		h->rx = H1_RX_BROKEN;
		h->role->refused(h);
		return;
	}
	if (used < 0)
		err = (int)used;
	else if (h->parser.head_done)
		err = h->role->head(h);
	if (err < 0)
		h1_abort(h, err, adit_strerror(err));
}

/* Whether bytes may be taken for a head now: one that arrived is asked for first. */
static bool
h1_reads_head(const struct h1 *h)
{
	return h->lower && !h->closing && h->rx == H1_RX_HEAD && !(h->x && h->x->arrived);
}

void
h1_parse_ahead(struct h1 *h)
{
	struct iovec iov;

	while (h1_reads_head(h) && queue_peek(&h->in, 0, &iov, 1) > 0) {
		ssize_t used = h1_parse_head(&h->parser, iov.iov_base, iov.iov_len);

		if (used > 0)
			queue_drop(&h->in, (size_t)used);
		h1_head_read(h, used);
	}
}

static void
h1_keep_rest(struct h1 *h, const char *s, size_t len)
{
	if (h->lower && !h->closing && queue_add(&h->in, s, len) < len)
		h1_abort(h, -ENOMEM, adit_strerror(-ENOMEM));
}

bool
h1_is_spent(const struct h1 *h)
{
	return h->lower_ended && !h->in.len;
}

/* Bytes of a head, straight from lower. The rest is kept before what the head means is acted on. */
static void
h1_feed_head(struct h1 *h, const char *s, size_t len)
{
	ssize_t used = h1_parse_head(&h->parser, s, len);

	if (used >= 0 && (size_t)used < len)
		h1_keep_rest(h, s + used, len - (size_t)used);
	h1_head_read(h, used);
	h1_parse_ahead(h);
	if (h->role->begun && h->rx == H1_RX_HEAD && h1_parser_begun(&h->parser))
		h->role->begun(h);
}

static void
h1_bytes_came(struct h1 *h, const char *s, size_t len)
{
	adit_mux_hear(&h->base, adit_now());
	if (h->rx != H1_RX_HEAD)
		h1_keep_rest(h, s, len);
	else if (h->role->type == HTTP_RESPONSE && h->tx == H1_TX_HEAD)
		h1_abort(h, -EPROTO, "a response that was not asked for");
	else
		h1_feed_head(h, s, len);
}

/*
 * Outside of a body. A client that has its whole response does not care how the connection ends; a
 * server still has requests to answer if they came before it.
 */
static void
h1_lower_ended(struct h1 *h, int err)
{
	h->lower_ended = true;
	if (h->role->type == HTTP_RESPONSE || h1_is_spent(h))
		h->keep = false;
	if (h->rx == H1_RX_HEAD && !err)
		h->role->ended(h);
	else if (err && !(h->rx == H1_RX_DONE && h->role->type == HTTP_RESPONSE))
		h1_abort(h, err, adit_strerror(err));
}

/* Lower has bytes or its end while no body is being read. */
static void
h1_read_lower(struct h1 *h)
{
	size_t len;
	char *scratch = adit_worker_scratch(adit_mux_worker(&h->base), &len);
	ssize_t n;

	if (h->rx != H1_RX_HEAD && len > queue_room(&h->in))
		len = queue_room(&h->in);
	n = len ? adit_conn_read(h->lower, scratch, len) : -EAGAIN;
	if (n == -EAGAIN)
		return;
	if (n > 0)
		adit_mux_moved(&h->base, (uint64_t)n, 0);
	if (n > 0)
		h1_bytes_came(h, scratch, (size_t)n);
	else
		h1_lower_ended(h, (int)n);
}

/* The rest of a request that nobody reads: a connection is kept if it is short. */
static void
h1_drop_body(struct h1 *h)
{
	size_t len;
	char *scratch = adit_worker_scratch(adit_mux_worker(&h->base), &len);
	ssize_t n;

	do {
		n = h1_body_read(h, scratch, len);
		if (n > 0)
			h->dropped += (size_t)n;
	} while (n > 0 && h->dropped < DROP_MAX);
	if (n == -EAGAIN)
		return;
	if (n == 0 && h->lower)
		h1_exchange_over(h, 0);
	else
		h1_finish(h, -ESHUTDOWN, "request not read");
}

static void
h1_readable(struct h1 *h)
{
	if (h->rx != H1_RX_BODY) {
		h1_read_lower(h);
		return;
	}
	h->waiting = false;
	if (h->x)
		adit_conn_ready(&h->x->base.body, ADIT_READ);
	else
		h1_drop_body(h);
}

/* There is something in h->in, perhaps. */
static void
h1_kicked(struct h1 *h)
{
	if (h->rx == H1_RX_BODY && !h->x) {
		h1_drop_body(h);
		return;
	}
	h1_parse_ahead(h);
	if (h1_reads_head(h) && h1_is_spent(h))
		h->role->ended(h);
}

/*
 * ---- events ------------------------------------------------------------------------------------
 */

static bool
h1_wants_read(const struct h1 *h)
{
	switch (h->rx) {
	case H1_RX_HEAD:
		return h1_reads_head(h) && !h->in.len;
	case H1_RX_BODY:
		return h->waiting && (!h->x || (adit_conn_wanted(&h->x->base.body) & ADIT_READ));
	case H1_RX_DONE:
		return !h->lower_ended && queue_room(&h->in) > 0;
	case H1_RX_BROKEN:
		break;
	}
	return false;
}

void
h1_update(struct h1 *h)
{
	unsigned events = 0;

	if (!h->lower)
		return;
	if (!h->opened)
		events = ADIT_OPEN;
	else if (!h->closing && h1_wants_read(h))
		events = ADIT_READ;
	if (h->opened && (h->out.len || h->blocked || h->kick))
		events |= ADIT_WRITE;
	adit_conn_want(h->lower, events);
}

/* A request may go its way before lower is open. */
static bool
h1_may_begin(const struct adit_conn *lower)
{
	return adit_conn_is_open(lower) || conn_is_early(lower);
}

static void
h1_open(struct h1 *h)
{
	h->opened = true;
	adit_mux_set_local(&h->base, adit_conn_local(h->lower));
	adit_mux_set_remote(&h->base, adit_conn_remote(h->lower));
	adit_mux_ready(&h->base, ADIT_OPEN);
	if (h->role->type == HTTP_RESPONSE)
		adit_mux_ready(&h->base, ADIT_WRITE);
	if (h->x)
		adit_conn_ready(&h->x->base.body, ADIT_OPEN | ADIT_WRITE);
}

static void
h1_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct h1 *h = owner;

	if (!h->opened) {
		if (!adit_conn_is_open(lower)) {
			if (adit_conn_err(lower))
				h1_abort(h, adit_conn_err(lower),
					 adit_strerror(adit_conn_err(lower)));
			return;
		}
		h1_open(h);
	}
	if (events & ADIT_WRITE)
		h1_flush(h);
	if (h->lower && h->kick) {
		h->kick = false;
		h1_kicked(h);
	}
	if (h->lower && !h->closing && (events & ADIT_READ))
		h1_readable(h);
	h1_update(h);
}

/*
 * ---- exchanges
 * -----------------------------------------------------------------------------------
 */

static void
h1_start(struct h1 *h)
{
	h->rx = H1_RX_HEAD;
	h->tx = H1_TX_HEAD;
	h->rx_framing = h->tx_framing = H1_NO_BODY;
	h->rx_left = h->tx_left = 0;
	h->waiting = h->expecting = h->head_timed = h->end_asked = h->accepted = false;
	h->dropped = 0;
	h->asked = H1_ASKED_PLAIN;
	h1_parser_start(&h->parser, H1_ASKED_PLAIN);
}

void
h1_go_raw(struct h1 *h)
{
	h->rx = H1_RX_BODY;
	h->tx = H1_TX_BODY;
	h->rx_framing = h->tx_framing = H1_RAW;
	h->keep = false;
	h->waiting = false;
	if (h->x)
		adit_conn_ready(&h->x->base.body, ADIT_READ | ADIT_WRITE);
}

/* A server's response is complete and the request was not read to its end. */
static void
h1_drop_or_finish(struct h1 *h)
{
	if (!h->keep) {
		h1_finish(h, -ESHUTDOWN, "request not read");
		return;
	}
	h1_set_deadline(h, DROP_NS);
	h->kick = true;
}

void
h1_exchange_over(struct h1 *h, int why)
{
	bool complete = h->rx == H1_RX_DONE && h->tx == H1_TX_DONE;

	if (!h->lower || h->closing)
		return;
	if (complete && h->keep && !adit_mux_draining(&h->base)) {
		h1_start(h);
		h->role->next(h);
	} else if (complete || (h->tx_framing == H1_RAW && !why)) {
		h1_finish(h, -ESHUTDOWN, NULL);
	} else if (h->tx == H1_TX_DONE && h->rx == H1_RX_BODY && h->role->type == HTTP_REQUEST &&
		   !why) {
		h1_drop_or_finish(h);
	} else {
		h->role->abandoned(h, why);
	}
	h1_update(h);
}

struct h1 *
h1_new(struct adit_conn *lower, const struct adit_mux_ops *ops, const struct h1_role *role,
       const struct h1_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct h1 *h = adit_mux_new(w, ops, sizeof(*h));

	if (!h) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	h->role = role;
	h->lower = lower;
	if (conf)
		h->conf = *conf;
	if (!h->conf.head_timeout)
		h->conf.head_timeout = ADIT_SECONDS(10);
	if (!h->conf.idle_timeout)
		h->conf.idle_timeout = ADIT_SECONDS(60);
	queue_init(&h->in, worker_chunks(w), IN_MAX);
	queue_init(&h->out, worker_chunks(w), OUT_MAX);
	h1_parser_init(&h->parser, role->type);
	h->keep = true;
	h1_start(h);
	adit_conn_own(lower, h1_event, h);
	if (h1_may_begin(lower))
		h1_open(h);
	h1_update(h);
	return h;
}
