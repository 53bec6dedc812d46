#include "core/tunnel/native_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <adit/mux.h>

#include "core/conn/conn.h"
#include "core/mux/quic/quic.h"

#define STRAY_MS 10000	/* for the message of a stream that nobody waits for */

bool
native_speaks(struct adit_conn *c)
{
	struct adit_mux *m = adit_conn_mux(c);
	const char *protocol = m ? adit_mux_protocol(m) : NULL;

	return protocol && strcmp(protocol, NATIVE_ALPN) == 0;
}

/* ---- messages --------------------------------------------------------------------- */

int
native_read(struct collected *r, struct adit_conn *c, struct native_msg *out, const char **why)
{
	for (;;) {
		ssize_t n = native_decode(r->buf, r->len, out, why);
		int err;

		if (n < 0)
			return (int)n;
		if (n > 0) {	/* never more was read than the message needs */
			r->len = 0;
			return 1;
		}
		err = collect_more(r, c, native_need(r->buf, r->len));
		if (err < 0)
			return err;
	}
}

int
native_send(struct adit_conn *c, const struct native_msg *m)
{
	uint8_t buf[NATIVE_MAX];
	ssize_t size = native_encode(m, buf, sizeof(buf)), n;

	if (size < 0)
		return (int)size;
	n = conn_write_now(c, buf, (size_t)size);
	explicit_bzero(buf, (size_t)size);
	if (n < 0)
		return n == -EAGAIN ? -ENOBUFS : (int)n;
	return n == size ? 0 : -ENOBUFS;
}

static int
native_send_answer(struct adit_conn *c, int err, const char *text)
{
	struct native_msg m = {
		.type = NATIVE_ANSWER, .has = 1u << NATIVE_F_STATUS,
		.status = native_error_status(err),
	};

	if (text && *text)
		native_set_text(&m, NATIVE_F_TEXT, text);
	return native_send(c, &m);
}

int
native_send_refusal(struct adit_conn *c, int err, const char *text)
{
	adit_conn_set_code(c, native_error_status(err));	/* if it cannot be sent */
	return native_send_answer(c, err, text);
}

void
native_refuse(struct adit_conn *c, int err, const char *text)
{
	adit_conn_close(c, native_send_refusal(c, err, text));
}

/* Of those with the same status the first is what it means. */
static const struct {
	enum native_status	status;
	int			err;
} statuses[] = {
	{ NATIVE_BAD_REQUEST, -EBADMSG },
	{ NATIVE_UNAUTHORIZED, ADIT_EUNAUTH },
	{ NATIVE_FORBIDDEN, ADIT_EFORBIDDEN },
	{ NATIVE_NOT_FOUND, ADIT_ENOROUTE },
	{ NATIVE_UNAVAILABLE, ADIT_ENOTUNNEL },
	{ NATIVE_UNAVAILABLE, ADIT_ENORULES },
	{ NATIVE_UNREACHABLE, ADIT_ETARGET },
	{ NATIVE_TIMEOUT, -ETIMEDOUT },
	{ NATIVE_DRAINING, ADIT_EDRAINING },
	{ NATIVE_LIMIT, ADIT_ELIMIT },
	{ NATIVE_LIMIT, -ENOMEM },
	{ NATIVE_LIMIT, -ENOBUFS },
	{ NATIVE_UNSUPPORTED, -ENOTSUP },
	{ NATIVE_UNSUPPORTED, ADIT_EUNSUPPORTED },
	{ NATIVE_INTERNAL, ADIT_EREFUSED },
	{ NATIVE_RESET, -ECONNRESET },
	{ NATIVE_RESET, -EPIPE },
	{ NATIVE_CANCELLED, -ECANCELED },
	{ NATIVE_STOPPED, ADIT_ESTOPPED },
};

#define STATUSES (sizeof(statuses) / sizeof(*statuses))

int
native_status_error(uint64_t status)
{
	if (status == NATIVE_OK)
		return 0;
	for (size_t i = 0; i < STATUSES; i++)
		if (statuses[i].status == status)
			return statuses[i].err;
	return ADIT_EREFUSED;
}

uint64_t
native_error_status(int err)
{
	if (!err)
		return NATIVE_OK;
	for (size_t i = 0; i < STATUSES; i++)
		if (statuses[i].err == err)
			return statuses[i].status;
	return NATIVE_INTERNAL;
}

/* Why c failed: its error, or what the peer's code says of that. */
static int
native_conn_error(struct adit_conn *c)
{
	int err = adit_conn_err(c);
	uint64_t code = adit_conn_code(c);

	return err == -ECONNRESET && code ? native_status_error(code) : err;
}

bool
native_set_visitor(struct native_msg *m, const struct adit_addr *from, const char *host,
		   uint16_t port)
{
	struct sockaddr_storage ss;

	if (adit_addr_to(from, &ss) &&
	    wire_addr_from_sockaddr((struct sockaddr *)&ss, &m->from) == 0)
		m->has |= 1u << NATIVE_F_FROM;
	if (port) {
		m->port = port;
		m->has |= 1u << NATIVE_F_PORT;
	}
	return !host || !*host || native_set_text(m, NATIVE_F_HOST, host);
}

void
native_set_flow(struct native_msg *m, const struct adit_conn *flow)
{
	m->network = NATIVE_UDP;
	m->flow = (uint64_t)quic_conn_number(flow);
	m->has |= 1u << NATIVE_F_NETWORK | 1u << NATIVE_F_FLOW;
}

struct adit_addr
native_visitor(const struct native_msg *m)
{
	struct adit_addr a = { .port = m->from.port };

	if (!native_has(m, NATIVE_F_FROM))
		return (struct adit_addr){ .family = 0 };
	a.family = m->from.type == WIRE_ADDR_IPV4 ? AF_INET : AF_INET6;
	memcpy(a.ip, m->from.ip, m->from.type == WIRE_ADDR_IPV4 ? 4 : 16);
	return a;
}

/* ---- the layer ------------------------------------------------------------------ */

struct native_conn {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* the stream; owned */
	struct adit_conn	*flow;		/* of datagrams; owned; NULL: bytes in the stream */
	struct collected	 in;
	struct native_msg	*request;	/* until lower is open */
	native_head_cb		*head;
	void			*arg;
	bool			 asks;		/* the OPEN is ours */
	bool			 open, answered;
	uint64_t		 bind;		/* that the OPEN names */
	struct native_group	*group;		/* NULL: none */
	TAILQ_ENTRY(native_conn) entry;
};

static struct native_conn *
native_of(struct adit_conn *c)
{
	return adit_container_of(c, struct native_conn, base);
}

void
native_group_init(struct native_group *g)
{
	TAILQ_INIT(&g->list);
	g->n = 0;
	g->left = (struct adit_traffic){ 0, 0 };
}

static void
traffic_add(struct adit_traffic *sum, const struct native_conn *n)
{
	const struct adit_traffic *t = adit_conn_traffic(&n->base);

	sum->in += t->in;
	sum->out += t->out;
}

struct adit_traffic
native_group_traffic(const struct native_group *g)
{
	struct adit_traffic sum = g->left;
	const struct native_conn *n;

	TAILQ_FOREACH(n, &g->list, entry)
		traffic_add(&sum, n);
	return sum;
}

static void
native_leave(struct native_conn *n)
{
	if (!n->group)
		return;
	TAILQ_REMOVE(&n->group->list, n, entry);
	n->group->n--;
	traffic_add(&n->group->left, n);
	n->group = NULL;
}

void
native_group_fail(struct native_group *g, int err)
{
	struct native_conn *n;

	while ((n = TAILQ_FIRST(&g->list))) {
		native_leave(n);
		adit_conn_fail(&n->base, err);
	}
}

uint64_t
native_conn_bind(struct adit_conn *c)
{
	return native_of(c)->bind;
}

void
native_conn_join(struct adit_conn *c, struct native_group *g)
{
	struct native_conn *n = native_of(c);

	n->group = g;
	TAILQ_INSERT_TAIL(&g->list, n, entry);
	g->n++;
}

/* What the layer below failed with, as the peer said it. */
static ssize_t
native_result(struct native_conn *n, struct adit_conn *below, ssize_t result)
{
	if (result >= 0 || result == -EAGAIN)
		return result;
	if (!adit_conn_code(&n->base))
		adit_conn_set_code(&n->base, adit_conn_code(below));
	if (result == -ECONNRESET && adit_conn_code(below))
		return native_status_error(adit_conn_code(below));
	return result;
}

/* ---- opening ---------------------------------------------------------------------- */

static int
native_send_request(struct native_conn *n)
{
	int err;

	if (!n->request)
		return 0;
	err = native_send(n->lower, n->request);
	explicit_bzero(n->request, sizeof(*n->request));
	free(n->request);
	n->request = NULL;
	return err;
}

static int
native_claim_flow(struct native_conn *n, const struct native_msg *m)
{
	struct adit_mux *mux = adit_conn_mux(n->lower);

	if (m->network > NATIVE_UDP)
		return -ENOTSUP;
	if (m->network != NATIVE_UDP)
		return 0;
	if (!native_has(m, NATIVE_F_FLOW) || !mux)
		return -EBADMSG;
	n->flow = quic_flow_claim(mux, m->flow, NULL);
	return n->flow ? 0 : ADIT_ELIMIT;
}

/* The peer's last word for the session. The stream has no other use and goes, politely. */
static int
native_take_drain(struct native_conn *n)
{
	struct adit_mux *mux = adit_conn_mux(n->lower);
	struct native_msg m = { .type = NATIVE_DRAINED, .has = 1u << NATIVE_F_STREAMS };
	int err;

	if (!mux)
		return -ECONNRESET;
	adit_mux_drain(mux);
	adit_mux_say_peer_drains(mux);
	m.streams = quic_session_opened(mux);
	err = native_send(n->lower, &m);
	adit_conn_close(n->lower, err);
	n->lower = NULL;
	return ADIT_EDRAINING;
}

static int
native_take_open(struct native_conn *n, const struct native_msg *m)
{
	struct adit_addr from = native_visitor(m);
	int err;

	if (m->type == NATIVE_DRAIN)
		return native_take_drain(n);
	if (m->type != NATIVE_OPEN)
		return -ENOTSUP;
	n->bind = m->bind;
	if (from.family)
		adit_conn_set_remote(&n->base, &from);
	err = adit_conn_set_asked(&n->base, m->host, m->port);
	if (!err && n->head)
		err = n->head(n->arg, &n->base, m);
	return err ? err : native_claim_flow(n, m);
}

static int
native_take_answer(const struct native_msg *m)
{
	if (m->type != NATIVE_ANSWER || !native_has(m, NATIVE_F_STATUS))
		return -EBADMSG;
	return native_status_error(m->status);
}

static int
native_shake_hands(struct native_conn *n)
{
	struct native_msg m;
	int err = native_conn_error(n->lower);

	if (err && (!n->asks || n->request))
		return err;
	if (!err && !adit_conn_is_open(n->lower))
		return -EAGAIN;
	/* Who refuses stops what is sent early: that may have failed, and an answer be there. */
	err = native_send_request(n);
	if (!err)
		err = native_read(&n->in, n->lower, &m, NULL);
	if (err < 0)
		return (int)native_result(n, n->lower, err);
	collected_fini(&n->in);
	return n->asks ? native_take_answer(&m) : native_take_open(n, &m);
}

static void
native_want_below(struct native_conn *n)
{
	unsigned want = adit_conn_wanted(&n->base) & (ADIT_READ | ADIT_WRITE);

	if (!n->lower)
		return;
	if (n->flow)
		adit_conn_want(n->flow, want);
	adit_conn_want(n->lower, n->flow ? ADIT_READ : want);
}

static void
native_flow_event(void *owner, struct adit_conn *flow, unsigned events)
{
	struct native_conn *n = owner;

	(void)flow;
	adit_conn_ready(&n->base, events & (ADIT_READ | ADIT_WRITE));
}

static void
native_open(struct native_conn *n)
{
	n->open = true;
	if (!adit_conn_remote(&n->base)->family)
		adit_conn_set_remote(&n->base, adit_conn_remote(n->lower));
	adit_conn_set_local(&n->base, adit_conn_local(n->lower));
	adit_conn_add_flags(&n->base, adit_conn_flags(n->lower) & ADIT_CONN_SECURE);
	if (n->flow) {
		adit_conn_add_flags(&n->base, ADIT_CONN_DGRAM);
		adit_conn_own(n->flow, native_flow_event, n);
	}
	adit_conn_deadline(&n->base, 0);
	adit_conn_ready(&n->base, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
	native_want_below(n);
}

/* The stream of a flow carries nothing more: its end is the flow's. */
static void
native_flow_ended(struct native_conn *n)
{
	uint8_t dropped[256];
	ssize_t got = adit_conn_read(n->lower, dropped, sizeof(dropped));

	if (got > 0 || got == -EAGAIN)
		return;
	adit_conn_want(n->lower, 0);
	adit_conn_fail(&n->base, got ? (int)native_result(n, n->lower, got) : -ESHUTDOWN);
}

static void
native_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct native_conn *n = owner;
	int err;

	if (n->open && n->flow) {
		native_flow_ended(n);
		return;
	}
	if (n->open) {
		adit_conn_ready(&n->base, events & (ADIT_READ | ADIT_WRITE));
		return;
	}
	err = native_shake_hands(n);
	if (err == -EAGAIN) {
		adit_conn_want(lower, adit_conn_is_open(lower) ? ADIT_READ : ADIT_OPEN);
	} else if (err < 0) {
		if (n->lower)
			adit_conn_want(lower, 0);
		adit_conn_fail(&n->base, err);
	} else {
		native_open(n);
	}
}

/* ---- as a conn ---------------------------------------------------------------------- */

static struct adit_conn *
native_below(const struct native_conn *n)
{
	return n->flow ? n->flow : n->lower;
}

static void
native_agree(struct adit_conn *c)
{
	struct native_conn *n = native_of(c);
	int err;

	if (n->asks || n->answered || !n->open)
		return;
	n->answered = true;
	err = native_send_answer(n->lower, 0, NULL);
	if (err < 0)
		adit_conn_fail(c, err);
}

static ssize_t
native_conn_read(struct adit_conn *c, void *buf, size_t len)
{
	struct native_conn *n = native_of(c);
	struct adit_conn *below = native_below(n);

	return n->open ? native_result(n, below, adit_conn_read(below, buf, len)) : -EAGAIN;
}

static size_t
native_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct native_conn *n = native_of(c);

	return n->open && !n->flow ? conn_pour(n->lower, to, len) : 0;
}

static ssize_t
native_conn_writev(struct adit_conn *c, const struct iovec *iov, int n_iov)
{
	struct native_conn *n = native_of(c);
	struct adit_conn *below = native_below(n);
	ssize_t took;

	native_agree(c);
	if (!n->open && n->request)
		return -EAGAIN;		/* early, but nothing goes before the OPEN */
	took = adit_conn_writev(below, iov, n_iov);
	if (took < 0 && n->asks && !n->open)
		return -EAGAIN;		/* who refuses stops what is early: his answer counts */
	return native_result(n, below, took);
}

static int
native_shutdown(struct adit_conn *c)
{
	struct native_conn *n = native_of(c);

	native_agree(c);
	return n->flow ? 0 : adit_conn_shutdown(n->lower);
}

static void
native_close(struct adit_conn *c, int why)
{
	struct native_conn *n = native_of(c);
	bool lost = n->lower && adit_conn_err(n->lower);

	native_leave(n);
	adit_conn_close(n->flow, why);
	n->flow = NULL;
	if (!n->lower)
		return;
	if (!n->asks && !n->answered && !lost && (why || !n->open)) {
		native_refuse(n->lower, why ? why : -ECANCELED, adit_strerror(why));
	} else {
		if (!why && n->asks && !n->open)
			why = -ECANCELED;
		if (!why && !n->asks)
			native_agree(c);
		adit_conn_set_code(n->lower, native_error_status(why));
		adit_conn_close(n->lower, why);
	}
	n->lower = NULL;
}

static void
native_free(struct adit_conn *c)
{
	struct native_conn *n = native_of(c);

	collected_fini(&n->in);
	if (n->request)
		explicit_bzero(n->request, sizeof(*n->request));
	free(n->request);
}

static void
native_want(struct adit_conn *c)
{
	struct native_conn *n = native_of(c);

	if (n->open)
		native_want_below(n);
}

static const struct adit_conn_ops native_ops = {
	.size = sizeof(native_ops),
	.name = "native",
	.read = native_conn_read,
	.writev = native_conn_writev,
	.shutdown = native_shutdown,
	.close = native_close,
	.free = native_free,
	.want = native_want,
	.agree = native_agree,
	.pour = native_pour,
};

static struct native_conn *
native_new(struct adit_conn *lower)
{
	struct native_conn *n = adit_conn_new(adit_conn_worker(lower), &native_ops, sizeof(*n), 0);

	if (!n) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	n->lower = lower;
	adit_conn_own(lower, native_event, n);
	return n;
}

struct adit_conn *
native_ask(struct adit_conn *lower, struct adit_conn *flow, const struct native_msg *m, unsigned ms)
{
	struct native_conn *n = native_new(lower);

	if (!n) {
		adit_conn_close(flow, -ENOMEM);
		return NULL;
	}
	n->asks = true;
	n->flow = flow;
	n->request = malloc(sizeof(*m));
	if (!n->request) {
		adit_conn_close(&n->base, -ENOMEM);
		return NULL;
	}
	*n->request = *m;
	adit_conn_deadline(&n->base, ms);
	adit_conn_want(lower, ADIT_OPEN);
	if (adit_conn_is_open(lower)) {
		int err = native_send_request(n);

		if (err < 0)
			adit_conn_fail(&n->base, err);
		adit_conn_want(lower, err < 0 ? 0 : ADIT_READ);
	}
	return &n->base;
}

struct adit_conn *
native_answer(struct adit_conn *lower, unsigned ms, native_head_cb *head, void *arg)
{
	struct native_conn *n = native_new(lower);

	if (!n)
		return NULL;
	n->head = head;
	n->arg = arg;
	adit_conn_want(lower, ADIT_READ);
	adit_conn_deadline(&n->base, ms);
	return &n->base;
}

static int
stray_head(void *arg, struct adit_conn *c, const struct native_msg *m)
{
	(void)arg;
	(void)c;
	(void)m;
	return ADIT_ENOTUNNEL;
}

static void
stray_event(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_close(c, adit_conn_err(c));
}

void
native_stray(struct adit_conn *stream)
{
	struct adit_conn *c;

	if (adit_conn_flags(stream) & (ADIT_CONN_DGRAM | ADIT_CONN_UNI) || !native_speaks(stream)) {
		adit_conn_close(stream, ADIT_EREFUSED);
		return;
	}
	c = native_answer(stream, STRAY_MS, stray_head, NULL);
	if (!c)
		return;
	adit_conn_own(c, stray_event, NULL);
	adit_conn_want(c, ADIT_OPEN);
}

struct adit_conn *
native_answer_to(struct adit_conn *lower, const struct native_msg *m)
{
	struct native_conn *n = native_new(lower);
	int err;

	if (!n)
		return NULL;
	err = native_take_open(n, m);
	if (err < 0) {
		adit_conn_close(&n->base, err);
		return NULL;
	}
	native_open(n);
	return &n->base;
}
