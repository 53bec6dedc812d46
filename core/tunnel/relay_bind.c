#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/conn.h"
#include "core/conn/framed.h"
#include "core/mux/liveness.h"
#include "core/tunnel/heads.h"
#include "core/tunnel/relay_bind.h"
#include "core/tunnel/relay_conn.h"

/* For the head of a stream: the node writes it together with the stream's first frame. */
#define HEAD_MS 10000

struct relay_bind {
	struct adit_mux		 base;
	struct adit_conn	*lower;		/* a relay conn, until the answer came */
	struct adit_mux		*session;	/* from then on; both owned */
	struct liveness		*liveness;	/* of the session */
	struct smux_conf	 smux;
	void			(*bound)(void *arg, struct adit_mux *m,
					 const struct relay_msg *answer);
	void			*arg;
	struct heads		 heads;
	struct ready_list	 ready;
	unsigned		 wanted, siblings;
	bool			 datagrams;
};

static struct relay_bind *
bind_of(struct adit_mux *m)
{
	return adit_container_of(m, struct relay_bind, base);
}

static const struct relay_bind *
bind_of_const(const struct adit_mux *m)
{
	return (const void *)((const char *)m - offsetof(struct relay_bind, base));
}

static void
bind_fail(struct relay_bind *b, int err, const char *text)
{
	adit_mux_fail(&b->base, &(struct adit_reason){ .err = err, .text = text });
}

/* ---- streams ----------------------------------------------------------------------- */

static void
bind_stream_ready(void *arg, struct adit_conn *c)
{
	struct relay_bind *b = arg;

	if (b->datagrams)
		c = framed_conn(c);
	if (c && ready_put(&b->ready, c))
		adit_mux_ready(&b->base, ADIT_READ);
}

static void
bind_session_event(void *owner, struct adit_mux *session, unsigned events)
{
	struct relay_bind *b = owner;
	const struct adit_reason *reason = adit_mux_reason(session);
	struct adit_conn *c;

	if (events & ADIT_OPEN) {
		adit_mux_want(session, ADIT_READ);
		/* An adit answers, and half-close is possible; a gost ignores it. */
		adit_mux_probe(session);
	}
	adit_mux_hear(&b->base, adit_mux_heard(session));
	while ((c = adit_mux_accept(session)))
		heads_add(&b->heads, relay_conn(c, NULL, HEAD_MS, relay_stream_head, NULL));
	if (adit_mux_peer_drains(session) && !adit_mux_peer_drains(&b->base))
		adit_mux_say_peer_drains(&b->base);
	if (reason->err) {
		adit_mux_want(session, 0);
		adit_mux_fail(&b->base, reason);
	}
}

/* ---- the handshake -------------------------------------------------------------------- */

static int
bind_answered(void *arg, struct adit_conn *c, const struct relay_msg *m)
{
	struct relay_bind *b = arg;

	(void)c;
	b->siblings = m->tunnel.sessions < b->wanted ? m->tunnel.sessions : b->wanted;
	if (b->bound)
		b->bound(b->arg, &b->base, m);
	return 0;
}

static void
bind_session_dead(void *arg)
{
	struct relay_bind *b = arg;

	bind_fail(b, ADIT_EPEERDEAD, "the server does not answer");
}

static void
bind_open_session(struct relay_bind *b)
{
	struct adit_conn *lower = relay_conn_unwrap(b->lower);

	b->lower = NULL;
	adit_mux_set_local(&b->base, adit_conn_local(lower));
	adit_mux_set_remote(&b->base, adit_conn_remote(lower));
	b->session = smux_new(lower, &b->smux);
	if (!b->session) {
		bind_fail(b, -ENOMEM, "out of memory");
		return;
	}
	b->liveness = liveness_start(b->session, &(struct liveness_watch){
		.dead = bind_session_dead, .arg = b,
		.rest_after = LIVENESS_USED, .rest = LIVENESS_REST,
	});
	adit_mux_own(b->session, bind_session_event, b);
	adit_mux_want(b->session, ADIT_OPEN | ADIT_READ);
	adit_mux_ready(&b->base, ADIT_OPEN);
}

static void
bind_lower_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct relay_bind *b = owner;
	int err = adit_conn_err(lower);

	(void)events;
	if (adit_conn_is_open(lower)) {
		bind_open_session(b);
		return;
	}
	adit_conn_want(lower, 0);
	bind_fail(b, err, conn_failure(lower));
}

/* ---- operations ------------------------------------------------------------------------- */

static struct adit_conn *
bind_accept(struct adit_mux *m)
{
	return ready_take(&bind_of(m)->ready);
}

static void
bind_probe(struct adit_mux *m)
{
	struct relay_bind *b = bind_of(m);

	if (b->session)
		adit_mux_probe(b->session);
}

static void
bind_drain(struct adit_mux *m)
{
	struct relay_bind *b = bind_of(m);

	if (b->session)
		adit_mux_drain(b->session);
}

static bool
bind_drained(const struct adit_mux *m)
{
	const struct relay_bind *b = bind_of_const(m);

	return !b->session || adit_mux_drained(b->session);
}

static void
bind_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct relay_bind *b = bind_of(m);
	int err = why->err ? why->err : -ECONNRESET;

	heads_drop(&b->heads, err);
	ready_drop(&b->ready, err);
	liveness_stop(b->liveness);
	adit_mux_close(b->session, why);
	adit_conn_close(b->lower, why->err);
	b->session = NULL;
	b->lower = NULL;
}

static unsigned
bind_siblings(const struct adit_mux *m)
{
	return bind_of_const(m)->siblings;
}

static unsigned
bind_streams(const struct adit_mux *m)
{
	const struct relay_bind *b = bind_of_const(m);

	return b->session ? adit_mux_streams(b->session) : 0;
}

static const struct adit_traffic *
bind_traffic(const struct adit_mux *m)
{
	static const struct adit_traffic none;
	const struct relay_bind *b = bind_of_const(m);

	return b->session ? adit_mux_traffic(b->session) : &none;
}

/* The server alone opens streams: a gost would close one of ours at once. */
static const struct adit_mux_ops bind_ops = {
	.size = sizeof(bind_ops),
	.name = "relay-bind",
	.accept = bind_accept,
	.probe = bind_probe,
	.drain = bind_drain,
	.drained = bind_drained,
	.siblings = bind_siblings,
	.close = bind_close,
	.streams = bind_streams,
	.traffic = bind_traffic,
};

struct adit_mux *
relay_bind(struct adit_conn *lower, const struct relay_bind_conf *conf)
{
	struct relay_bind *b = adit_mux_new(adit_conn_worker(lower), &bind_ops, sizeof(*b));

	if (!b) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	heads_init(&b->heads, bind_stream_ready, b);
	TAILQ_INIT(&b->ready);
	b->smux = conf->smux;
	b->wanted = conf->connections;
	b->datagrams = conf->datagrams;
	b->bound = conf->bound;
	b->arg = conf->arg;
	b->lower = relay_conn(lower, conf->request, conf->answer_ms, bind_answered, b);
	if (!b->lower) {
		adit_mux_close(&b->base, NULL);
		return NULL;
	}
	adit_conn_own(b->lower, bind_lower_event, b);
	adit_conn_want(b->lower, ADIT_OPEN);
	return &b->base;
}
