/*
 * Listener `quic`: each stream that a client opens is a conn. gost's wire: its ALPN, no HTTP/3.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/ending.h"
#include "core/conn/listen.h"
#include "core/conn/tls_creds.h"
#include "core/conn/udp.h"
#include "core/mux/liveness.h"
#include "core/mux/quic/group.h"
#include "core/mux/quic/opts.h"
#include "core/service/claim.h"
#include "core/service/component.h"
#include "core/service/secret.h"
#include "core/tunnel/native_farewell.h"

struct quic_listener {
	struct adit_listener	 base;
	struct quic_opts	 opts;
	struct quic_params	 params;
	struct tls_source	*tls;		/* owned */
	uint8_t			 secret[SECRET_LEN];
	struct listen_set	*sockets;	/* as long as sessions come in by them */
	struct quic_group	*group;		/* of all listeners of these sockets; referenced */
	struct quic_port	*ports[ADIT_WORKERS_MAX];	/* each worker's own */
};

/*
 * A listener on one worker. Its endpoint is that of all listeners of these sockets: after a reload
 * the next one takes what comes in, while what came in before stays with this one.
 */
struct quic_port {
	struct adit_activity	 activity;	/* once stopped, while handshakes are under way */
	struct adit_activity	 rest;		/* then, to say to who comes that he should not */
	struct quic_listener	*listener;
	struct adit_component	*component;	/* referenced: the endpoint may outlive it */
	struct quic_endpoint	*endpoint;
	struct quic_server	*server;	/* until nothing more can come to it */
	unsigned		 sessions;
	bool			 stopped;
	bool			 replaced;	/* when it was stopped */
};

/* A client's session. */
struct quic_session {
	struct adit_activity	 activity;
	struct quic_port	*port;
	struct adit_mux		*mux;		/* owned */
	struct liveness		*liveness;
	struct native_farewell	*farewell;	/* to a client that can be told to go; owned */
	bool			 told;		/* it was, or cannot be */
	bool			 used;		/* a stream came: it has a line of its own */
};

#define AT(f) offsetof(struct quic_listener, f)
static const struct adit_opt quic_listener_opts[] = {
	QUIC_OPTS(struct quic_listener, opts),
	ADIT_OPT_END,
};

static struct quic_listener *
quic_of(struct adit_listener *l)
{
	return adit_container_of(l, struct quic_listener, base);
}

/* ---- sessions ---------------------------------------------------------------------------- */

/*
 * It goes when it gets nothing more, its last session has ended and so has all that its service
 * drains of; the endpoint goes with the last. Until then its socket is read: who comes is refused
 * (RFC 9000, 20.1) and need not find out by silence.
 */
static void
port_settle(struct quic_port *p)
{
	if (!p->stopped || p->sessions || p->server || p->rest.component)
		return;
	if (quic_group_leave(p->listener->group, p->endpoint))
		quic_endpoint_close(p->endpoint, NULL);
	adit_component_put(p->component);
	free(p);
}

static void
port_over(void *arg)
{
	struct quic_port *p = arg;

	p->server = NULL;
	adit_activity_end(&p->activity);
	port_settle(p);
}

static void
port_stop(struct adit_activity *a, int why)
{
	struct quic_port *p = adit_container_of(a, struct quic_port, activity);

	if (why && quic_server_stop(p->server, true))
		port_over(p);
}

static void
port_rested(struct adit_activity *a, int why)
{
	struct quic_port *p = adit_container_of(a, struct quic_port, rest);

	if (!why)
		return;
	adit_activity_end(a);
	port_settle(p);
}

/* Of what came no further than its handshake this is the only line. */
static void
session_log_end(const struct quic_session *s, int why)
{
	const struct adit_reason *reason = adit_mux_reason(s->mux);
	struct ending end = ending_of_mux(s->port->component, s->mux);
	int err = reason->err ? reason->err : why;

	end.kind = "listener";
	end.by = err ? ending_by(err, "peer") : NULL;
	end.how = err ? ending_how(err) : "stopped";
	ending_log(&end, s->used ? ADIT_LOG_DEBUG : ADIT_LOG_INFO, "quic session: %s",
		   reason->text ? reason->text : adit_strerror(err));
}

/* One that only timed out may have been nobody's: its address was forged. */
static void
port_failed(void *arg, const struct adit_mux *m)
{
	const struct quic_port *port = arg;
	const struct adit_reason *reason = adit_mux_reason(m);
	struct ending end = ending_of_mux(port->component, m);

	end.kind = "listener";
	end.by = ending_by(reason->err, "peer");
	end.how = ending_how(reason->err);
	ending_log(&end, reason->err == -ETIMEDOUT ? ADIT_LOG_DEBUG : ADIT_LOG_INFO,
		   "handshake: %s", reason->text ? reason->text : adit_strerror(reason->err));
}

static void
session_end(struct quic_session *s, int why)
{
	struct quic_port *port = s->port;

	session_log_end(s, why);
	liveness_stop(s->liveness);
	native_farewell_free(s->farewell);
	adit_mux_close(s->mux, &(struct adit_reason){ .err = why });
	adit_activity_end(&s->activity);
	free(s);
	port->sessions--;
	port_settle(port);
}

static void
session_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct quic_session *s = owner;
	struct adit_conn *c;

	(void)events;
	while ((c = adit_mux_accept(m))) {
		s->used = true;
		if (adit_mux_draining(m))
			adit_conn_close(c, ADIT_EDRAINING);
		else
			adit_accept(&s->port->listener->base, c);
	}
	if (adit_mux_err(m))
		session_end(s, adit_mux_err(m));
}

/* Whether its client knows that it is to go elsewhere, or will not hear of it. */
static bool
session_is_told(struct quic_session *s)
{
	if (!s->told)
		s->farewell = native_farewell_new(s->mux);
	s->told = true;
	if (s->farewell && !native_farewell_is_over(s->farewell))
		return false;
	native_farewell_free(s->farewell);
	s->farewell = NULL;
	return true;
}

static void
session_stop(struct adit_activity *a, int why)
{
	struct quic_session *s = adit_container_of(a, struct quic_session, activity);

	bool awaited = adit_mux_streams(s->mux) || adit_component_has_grace(s->port->component);

	/* What is opened meanwhile is served: whoever comes next is ours too. */
	if (!why && awaited && s->port->replaced)
		return;
	if (!why && !s->port->replaced && !session_is_told(s))
		return;
	adit_mux_drain(s->mux);
	if (why || !adit_mux_streams(s->mux))
		session_end(s, why);
}

static void
session_dead(void *arg)
{
	session_end(arg, ADIT_EPEERDEAD);
}

static bool
port_admits(void *arg, const struct adit_addr *peer)
{
	const struct quic_port *port = arg;

	return adit_listener_admits(&port->listener->base, peer);
}

static void
port_accepted(void *arg, struct adit_mux *m)
{
	struct quic_port *port = arg;
	char remote[ADIT_ADDR_TEXT];
	struct quic_session *s = calloc(1, sizeof(*s));

	if (!s) {
		adit_mux_close(m, &(struct adit_reason){ .err = -ENOMEM });
		return;
	}
	s->port = port;
	s->mux = m;
	s->activity.stop = session_stop;
	s->liveness = liveness_start(m, &(struct liveness_watch){ .dead = session_dead, .arg = s });
	port->sessions++;
	adit_log(adit_component_log(port->component), ADIT_LOG_DEBUG,
		 ADIT_FIELDS(ADIT_STR("kind", "listener"),
			     ADIT_STR("service", adit_component_name(port->component)),
			     ADIT_STR("remote", adit_addr_format(adit_mux_remote(m), remote))),
		 "quic session: protocol %s, version %u", adit_mux_protocol(m),
		 quic_session_version(m));
	adit_activity_begin(&s->activity, port->component, adit_mux_worker(m));
	adit_mux_own(m, session_event, s);
	adit_mux_want(m, ADIT_READ);
}

/* ---- the listener --------------------------------------------------------------------------- */

static int
quic_init(struct adit_listener *l, struct adit_err *e)
{
	struct quic_listener *q = quic_of(l);
	const struct adit_tls_conf *tls = adit_component_tls(l->component);
	int err = claim_address(l->component, l->addr, LISTEN_UDP, "addr");

	if (!err)
		err = quic_opts_params(&q->opts, adit_component_protocol(l->component), &q->params,
				       e);
	if (err)
		return err;
	q->tls = tls_source_new(tls, TLS_SERVER, adit_component_log(l->component), e);
	if (!q->tls)
		return e->code;
	q->params.tls = q->tls;
	secret_get(tls->key_file, adit_component_log(l->component), q->secret);
	return 0;
}

static void
quic_fini(struct adit_listener *l)
{
	struct quic_listener *q = quic_of(l);

	tls_source_free(q->tls);
	quic_group_put(q->group);
	if (q->sockets)
		listen_put(l->component->sockets, q->sockets);
	explicit_bzero(q->secret, sizeof(q->secret));
}

static void
group_gone(void *group)
{
	quic_group_put(group);
}

static int
quic_open(struct adit_listener *l, struct adit_err *e)
{
	struct quic_listener *q = quic_of(l);
	void **group;

	q->sockets = listen_get_for(l->component->sockets, adit_component_name(l->component),
				    l->addr, LISTEN_UDP, e);
	if (!q->sockets)
		return e->code;
	group = listen_slot(q->sockets, group_gone);
	if (!*group)
		*group = quic_group_new(listen_count(q->sockets), 0);
	if (!*group)
		return adit_err_set(e, -ENOMEM, "out of memory");
	q->group = quic_group_get(*group);
	return 0;
}

/* The endpoint of that worker's socket, for the first who listens there. */
static struct quic_endpoint *
quic_endpoint(struct quic_listener *q, struct adit_worker *w, struct adit_err *e)
{
	const struct udp_conf udp = { .reuseport = true };
	const struct udp_steer steer = {
		.offset = QUIC_WORKER_BYTE, .offset_if_set = QUIC_WORKER_BYTE_LONG,
		.sockets = adit_worker_count(w),
	};
	const struct quic_conf conf = {
		.forward = quic_group_forward, .forward_arg = q->group,
		.trouble = quic_group_trouble,
	};
	int fd = fcntl(listen_fd(q->sockets, adit_worker_index(w)), F_DUPFD_CLOEXEC, 0);
	struct adit_packet_conn *packet;

	if (fd < 0) {
		adit_err_set(e, -EMFILE, "%s", adit_strerror(-EMFILE));
		return NULL;
	}
	packet = udp_adopt(w, fd, &udp, e);
	if (packet && adit_worker_index(w) == 0)
		udp_steer_by_byte(packet, &steer);
	return packet ? quic_endpoint_new(packet, &conf, e) : NULL;
}

static int
quic_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	struct quic_listener *q = quic_of(l);
	struct quic_port *port = calloc(1, sizeof(*port));
	const struct quic_conf conf = {
		.secret = q->secret, .secret_len = sizeof(q->secret),
		.accept = port_accepted, .failed = port_failed, .over = port_over,
		.admit = port_admits, .arg = port,
		.params = q->params,
	};

	if (!port)
		return adit_err_set(e, -ENOMEM, "out of memory");
	port->endpoint = quic_group_endpoint(q->group, w);
	if (!port->endpoint)
		port->endpoint = quic_endpoint(q, w, e);
	if (!port->endpoint) {
		free(port);
		return e->code;
	}
	quic_group_join(q->group, port->endpoint);
	port->listener = q;
	port->component = l->component;
	adit_component_get(l->component);
	port->server = quic_endpoint_serve(port->endpoint, &conf, e);
	if (!port->server) {
		port->stopped = true;
		port_settle(port);
		return e->code;
	}
	q->ports[adit_worker_index(w)] = port;
	return 0;
}

/*
 * Who takes over lets the handshakes that are under way come to their end. Else nobody waits for
 * them: they may be nobody's.
 */
static void
quic_stop(struct adit_listener *l, struct adit_worker *w)
{
	struct quic_listener *q = quic_of(l);
	struct quic_port *port = q->ports[adit_worker_index(w)];

	if (!port)
		return;
	q->ports[adit_worker_index(w)] = NULL;
	port->stopped = true;
	port->replaced = adit_component_has_grace(l->component);
	port->rest.stop = port_rested;
	port->rest.idle = true;
	adit_activity_begin(&port->rest, port->component, w);
	if (quic_server_stop(port->server, !port->replaced)) {
		port_over(port);
		return;
	}
	port->activity.stop = port_stop;
	adit_activity_begin(&port->activity, port->component, w);
}

/* What came in by the sockets goes on by them: they go with the listener. */
static void
quic_close(struct adit_listener *l)
{
	(void)l;
}

static const struct adit_addr *
quic_local(const struct adit_listener *l)
{
	const struct quic_listener *q =
		(const struct quic_listener *)(const void *)((const char *)l -
							     offsetof(struct quic_listener, base));

	return q->sockets ? listen_addr(q->sockets) : NULL;
}

const struct adit_listener_ops listener_quic = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener_quic),
		.kind = ADIT_LISTENER,
		.name = "quic",
		.help = "QUIC: each stream of a client is a connection",
		.instance = sizeof(struct quic_listener),
		.opts = quic_listener_opts,
	},
	.open = quic_open,
	.start = quic_start,
	.stop = quic_stop,
	.close = quic_close,
	.init = quic_init,
	.fini = quic_fini,
	.local = quic_local,
	.network = "udp",
};
