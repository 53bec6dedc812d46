#include "core/http/h3_int.h"

#include <errno.h>
#include <stdlib.h>

#include "core/http/section.h"
#include "core/mux/quic/quic.h"
#include "core/runtime/worker.h"

#define HEAD_TIMEOUT  ADIT_SECONDS(10)
#define IDLE_TIMEOUT  ADIT_SECONDS(60)
#define SECTION_BYTES 65536
#define EXCHANGES     1024
#define RESETS_MAX    1000	/* of requests that were not answered, by a client */
#define RESETS_PER_S  33	/* by which that many come back */

/* ---- its end --------------------------------------------------------------------------- */

/* What the session of streams has to say, if that has ended by itself. */
static struct adit_reason
end_reason(const struct h3 *h, int err, uint64_t code, const char *text)
{
	if (h->streams && adit_mux_err(h->streams))
		return *adit_mux_reason(h->streams);
	return (struct adit_reason){ err, code, text ? text : h3_code_text(code) };
}

void
h3_end(struct h3 *h, int err, uint64_t code, const char *text)
{
	struct adit_reason why = end_reason(h, err, code, text);
	struct h3_exchange *x, *next;

	if (h->ended)
		return;
	h->ended = true;
	adit_timer_stop(h->idle);
	adit_mux_fail(&h->base, &why);
	for (x = TAILQ_FIRST(&h->exchanges); x; x = next) {
		next = TAILQ_NEXT(x, entry);
		h3_exchange_over(x, why.err, why.code);
	}
	while (!TAILQ_EMPTY(&h->unis))
		h3_uni_close(TAILQ_FIRST(&h->unis));
	mux_unfollow(&h->follower);
	adit_conn_close(h->control, why.err);
	adit_mux_close(h->streams, &why);
	h->control = NULL;
	h->streams = NULL;
}

void
h3_heard(struct h3 *h, size_t n)
{
	adit_mux_moved(&h->base, n, 0);
	if (h->streams)
		adit_mux_hear(&h->base, adit_mux_heard(h->streams));
}

/*
 * A client that resets what it opens costs us work and itself nothing, and gets its credit for
 * streams back each time (as CVE-2023-44487 of HTTP/2).
 */
void
h3_reset_early(struct h3 *h)
{
	uint64_t now = adit_now(), step = ADIT_SECONDS(1) / RESETS_PER_S;

	if (h->resets_until < now)
		h->resets_until = now;
	h->resets_until += step;
	if (h->resets_until - now > RESETS_MAX * step)
		h3_end(h, -EPROTO, H3_EXCESSIVE_LOAD, "too many requests reset");
}

static void
session_idle(void *arg)
{
	h3_end(arg, -ETIMEDOUT, H3_NO_ERROR, "idle");
}

static void
session_rest(struct h3 *h)
{
	if (h->server && !h->ended && !h->n_exchanges && h->conf.idle_timeout != UINT64_MAX)
		adit_timer_set(h->idle, h->conf.idle_timeout);
}

/* Who waits for room is told that there is some, perhaps. */
static void
session_tell_room(struct h3 *h)
{
	if (!h->full || h->ended)
		return;
	h->full = false;
	adit_mux_ready(&h->base, ADIT_WRITE);
}

void
h3_forget(struct h3_exchange *x)
{
	struct h3 *h = x->h;

	TAILQ_REMOVE(&h->exchanges, x, entry);
	if (x->waiting_accept)
		TAILQ_REMOVE(&h->arrived, x, wait);
	x->waiting_accept = false;
	x->h = NULL;
	h->n_exchanges--;
	adit_mux_count(&h->base, -1);
	session_tell_room(h);
	session_rest(h);
	adit_mux_release(&h->base);
}

/* ---- requests -------------------------------------------------------------------------- */

uint64_t
h3_request_id(const struct adit_conn *stream)
{
	int64_t number = quic_conn_number(stream);

	return number < 0 ? UINT64_MAX : (uint64_t)number & ~UINT64_C(3);
}

void
h3_announce(struct h3_exchange *x)
{
	x->waiting_accept = true;
	TAILQ_INSERT_TAIL(&x->h->arrived, x, wait);
	adit_mux_ready(&x->h->base, ADIT_READ);
}

/* Over stream, which it takes. */
static struct h3_exchange *
add_exchange(struct h3 *h, struct adit_conn *stream)
{
	struct h3_exchange *x = h3_exchange_new(h, stream);

	if (!x)
		return NULL;
	TAILQ_INSERT_TAIL(&h->exchanges, x, entry);
	h->n_exchanges++;
	adit_mux_count(&h->base, 1);
	adit_mux_hold(&h->base);
	adit_timer_stop(h->idle);
	return x;
}

static void
take_request(struct h3 *h, struct adit_conn *stream)
{
	uint64_t id = h3_request_id(stream);

	if (id >= h->goaway || h->n_exchanges >= h->conf.exchanges_max) {
		adit_conn_set_code(stream, H3_REQUEST_REJECTED);
		adit_conn_close(stream, ADIT_EREFUSED);
		return;
	}
	if (id >= h->next)
		h->next = id + 4;
	if (add_exchange(h, stream))
		adit_conn_deadline(stream, (unsigned)(h->conf.head_timeout / ADIT_MS(1)));
}

static void
take_streams(struct h3 *h)
{
	struct adit_conn *c;

	while (!h->ended && (c = adit_mux_accept(h->streams))) {
		if (adit_conn_flags(c) & ADIT_CONN_UNI) {
			h3_uni_accept(h, c);
		} else if (h->server) {
			take_request(h, c);
		} else {		/* RFC 9114, 6.1 */
			adit_conn_close(c, -ECONNABORTED);
			h3_end(h, -EPROTO, H3_STREAM_CREATION_ERROR, "a request from a server");
		}
	}
}

/* ---- the session of streams ------------------------------------------------------------ */

static void
session_update(struct h3 *h)
{
	unsigned want = ADIT_READ;

	if (h->ended)
		return;
	if (!h->opened)
		want |= ADIT_OPEN;
	if (h->full)
		want |= ADIT_WRITE;
	adit_mux_want(h->streams, want);
}

/* SETTINGS come before all else: one who drains before that says so then (RFC 9114, 6.2.1). */
static void
session_tell_drain(struct h3 *h)
{
	if (h->opened && !h->ended && !h->conf.no_goaway && adit_mux_draining(&h->base))
		h3_control_goaway(h);
}

static void
session_opened(struct h3 *h)
{
	int err;

	h->opened = true;
	adit_mux_set_local(&h->base, adit_mux_local(h->streams));
	adit_mux_set_remote(&h->base, adit_mux_remote(h->streams));
	adit_mux_ready(&h->base, ADIT_OPEN | ADIT_WRITE);
	err = h3_control_open(h);
	if (err < 0)
		h3_end(h, err, H3_GENERAL_PROTOCOL_ERROR, "no room for a control stream");
	session_tell_drain(h);
	session_rest(h);
}

static void
streams_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct h3 *h = owner;

	if (adit_mux_err(m)) {
		h3_end(h, adit_mux_err(m), 0, NULL);
		return;
	}
	if (!h->opened && adit_mux_is_open(m))
		session_opened(h);
	if (events & ADIT_WRITE)
		session_tell_room(h);
	take_streams(h);
	session_update(h);
}

/* ---- as a mux -------------------------------------------------------------------------- */

static unsigned
session_room(const struct adit_mux *m, unsigned kind)
{
	const struct h3 *h = h3_of(m);
	unsigned left = h->conf.exchanges_max - h->n_exchanges, below;

	if (kind != ADIT_CONN_EXCHANGE || h->ended || h->peer_limit != UINT64_MAX)
		return 0;
	below = adit_mux_room(h->streams, 0);
	return left < below ? left : below;
}

static struct adit_conn *
session_open(struct adit_mux *m, unsigned kind, struct adit_err *e)
{
	struct h3 *h = h3_of(m);
	struct adit_conn *stream;
	struct h3_exchange *x;

	if (kind != ADIT_CONN_EXCHANGE) {
		adit_err_set(e, -ENOTSUP, "a session of HTTP/3 carries exchanges only");
		return NULL;
	}
	if (h->peer_limit != UINT64_MAX) {
		adit_err_set(e, ADIT_EDRAINING, "the peer takes no more requests");
		return NULL;
	}
	if (!session_room(m, kind)) {
		h->full = true;
		adit_mux_unready(m, ADIT_WRITE);
		adit_mux_unready(h->streams, ADIT_WRITE);	/* which we did not ask */
		session_update(h);
		adit_err_set(e, ADIT_ELIMIT, "the session has no room for another request");
		return NULL;
	}
	stream = adit_mux_open(h->streams, 0, e);
	if (!stream)
		return NULL;
	x = add_exchange(h, stream);
	if (!x) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	return &x->base.body;
}

static struct adit_conn *
session_accept(struct adit_mux *m)
{
	struct h3 *h = h3_of(m);
	struct h3_exchange *x = TAILQ_FIRST(&h->arrived);

	if (!x)
		return NULL;
	TAILQ_REMOVE(&h->arrived, x, wait);
	x->waiting_accept = false;
	x->accepted = true;
	return &x->base.body;
}

static void
session_heard(void *arg)
{
	struct h3 *h = arg;

	adit_mux_hear(&h->base, adit_mux_heard(h->streams));
}

static void
session_probe(struct adit_mux *m)
{
	struct h3 *h = h3_of(m);

	if (h->ended)
		return;
	mux_await_heard(&h->follower, session_heard, h);
	adit_mux_probe(h->streams);
}

static uint64_t
session_silence(struct adit_mux *m, uint64_t now)
{
	struct h3 *h = h3_of(m);

	(void)now;
	return h->ended ? 0 : adit_mux_silence(h->streams);
}

static void
session_drain(struct adit_mux *m)
{
	session_tell_drain(h3_of(m));
}

static void
session_close(struct adit_mux *m, const struct adit_reason *why)
{
	uint64_t code = why->code;

	if (!code)
		code = why->err ? H3_INTERNAL_ERROR : H3_NO_ERROR;
	h3_end(h3_of(m), why->err ? why->err : -ECONNRESET, code, why->text ? why->text : "");
}

static void
session_free(struct adit_mux *m)
{
	struct h3 *h = h3_of(m);

	adit_timer_free(h->idle);
	h3_encoder_fini(&h->encoder);
}

/* Its exchanges are still their owners', who will not find it again. */
static void
session_cut(struct adit_mux *m)
{
	struct h3 *h = h3_of(m);

	while (!TAILQ_EMPTY(&h->exchanges))
		h3_forget(TAILQ_FIRST(&h->exchanges));
}

static const char *
session_protocol(const struct adit_mux *m)
{
	const struct h3 *h = h3_of(m);

	return h->streams ? adit_mux_protocol(h->streams) : NULL;
}

static const struct adit_mux_ops server_ops = {
	.size = sizeof(server_ops),
	.name = "http/3",
	.accept = session_accept,
	.probe = session_probe,
	.drain = session_drain,
	.close = session_close,
	.free = session_free,
	.cut = session_cut,
	.protocol = session_protocol,
	.silence = session_silence,
};

static const struct adit_mux_ops client_ops = {
	.size = sizeof(client_ops),
	.name = "http/3",
	.open = session_open,
	.accept = session_accept,
	.room = session_room,
	.probe = session_probe,
	.drain = session_drain,
	.close = session_close,
	.free = session_free,
	.cut = session_cut,
	.protocol = session_protocol,
	.silence = session_silence,
};

static struct h3_conf
with_defaults(const struct h3_conf *conf)
{
	struct h3_conf c = conf ? *conf : (struct h3_conf){ .head_timeout = 0 };

	c.head_timeout = c.head_timeout ? c.head_timeout : HEAD_TIMEOUT;
	c.idle_timeout = c.idle_timeout ? c.idle_timeout : IDLE_TIMEOUT;
	c.section_max = c.section_max ? c.section_max : SECTION_BYTES;
	c.exchanges_max = c.exchanges_max ? c.exchanges_max : EXCHANGES;
	return c;
}

static struct adit_mux *
h3_new(struct adit_mux *streams, const struct h3_conf *conf, const struct adit_mux_ops *ops)
{
	struct adit_worker *w = adit_mux_worker(streams);
	struct h3 *h = adit_mux_new(w, ops, sizeof(*h));

	if (!h) {
		adit_mux_close(streams, NULL);
		return NULL;
	}
	h->streams = streams;
	h->conf = with_defaults(conf);
	h->server = ops == &server_ops;
	h->peer_limit = h->goaway = UINT64_MAX;
	TAILQ_INIT(&h->exchanges);
	TAILQ_INIT(&h->arrived);
	TAILQ_INIT(&h->unis);
	mux_follow(streams, &h->follower);
	h->idle = adit_timer_new(w, session_idle, h);
	if (!h->idle) {
		adit_mux_close(&h->base, NULL);
		return NULL;
	}
	adit_mux_own(streams, streams_event, h);
	if (adit_mux_is_open(streams))
		session_opened(h);
	session_update(h);
	return &h->base;
}

struct adit_mux *
h3_server(struct adit_mux *streams, const struct h3_conf *conf)
{
	return h3_new(streams, conf, &server_ops);
}

struct adit_mux *
h3_client(struct adit_mux *streams, const struct h3_conf *conf)
{
	return h3_new(streams, conf, &client_ops);
}
