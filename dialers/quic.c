/*
 * Dialer `quic`: one session per node address and worker; each dial is a stream of it. gost's wire.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/ending.h"
#include "core/conn/opening.h"
#include "core/conn/tls_creds.h"
#include "core/conn/udp.h"
#include "core/mux/liveness.h"
#include "core/mux/quic/opts.h"
#include "core/runtime/resolver.h"
#include "core/tunnel/native_conn.h"

/*
 * Streams that a server may open which opens one for each visitor: granting them costs nothing, and
 * who comes first must not wait for a round trip.
 */
#define STREAMS_FIRST 4096
#define STREAMS_MAX 65536

/* Where a dialer's lanes begin: those that follow do not run over the byte that tells them. */
#define FIRST_LANES 240

struct quic_dialer {
	struct adit_dialer	 base;
	struct quic_opts	 opts;
	struct quic_params	 params;
	struct tls_source	*tls;		/* owned */
	uint8_t			 first_lane;	/* as servers see it: random, or all would meet */
	struct quic_place	*places[ADIT_WORKERS_MAX];	/* each worker's own */
	bool			 stopped[ADIT_WORKERS_MAX];	/* the same */
};

/* What one worker keeps: a socket for each family in use, and its sessions. */
struct quic_place {
	struct quic_dialer		*dialer;
	struct adit_worker		*worker;
	struct quic_endpoint		*endpoints[2];		/* IPv4, IPv6 */
	LIST_HEAD(, quic_peer)		 peers;
	bool				 cautious;	/* the next attempt is: see peer_tried */
};

/* A dial that waits for its peer's name to be resolved. */
struct quic_waiting {
	struct adit_conn		*conn;		/* an opening one; borrowed */
	LIST_ENTRY(quic_waiting)	 entry;
};

/* A node address: its session, or the way there. */
struct quic_peer {
	LIST_ENTRY(quic_peer)		 entry;
	struct quic_place		*place;
	struct resolver_query		*query;		/* while its name is resolved */
	struct adit_mux			*mux;		/* from then on; owned */
	struct liveness			*liveness;	/* of mux */
	LIST_HEAD(, quic_waiting)	 waiting;
	bool				 opened, cautious;
	bool				 left;		/* the server has said that it goes */
	unsigned			 lane;
	uint16_t			 port;
	char				 host[];
};

static const struct adit_opt quic_dialer_opts[] = {
	QUIC_OPTS(struct quic_dialer, opts),
	ADIT_OPT_END,
};

static struct quic_dialer *
quic_of(struct adit_dialer *d)
{
	return adit_container_of(d, struct quic_dialer, base);
}

/* ---- peers ------------------------------------------------------------------------------- */

static void
peer_fail_waiting(struct quic_peer *p, int err)
{
	struct quic_waiting *w;

	while ((w = LIST_FIRST(&p->waiting))) {
		LIST_REMOVE(w, entry);
		opening_fail(w->conn, err);
		free(w);
	}
}

static void
peer_end(struct quic_peer *p, const struct adit_reason *why)
{
	resolver_cancel(p->query);
	peer_fail_waiting(p, why->err ? why->err : ADIT_ESTOPPED);
	LIST_REMOVE(p, entry);
	liveness_stop(p->liveness);
	adit_mux_close(p->mux, why);
	free(p);
}

static void
peer_log_open(const struct quic_peer *p)
{
	struct adit_component *component = p->place->dialer->base.component;
	char remote[ADIT_ADDR_TEXT];

	adit_log(adit_component_log(component), ADIT_LOG_DEBUG,
		 ADIT_FIELDS(ADIT_STR("kind", "dialer"), ADIT_STR("dialer", "quic"),
			     ADIT_STR("node", adit_component_name(component)),
			     ADIT_STR("remote", adit_addr_format(adit_mux_remote(p->mux), remote))),
		 "quic session: protocol %s, version %u", adit_mux_protocol(p->mux),
		 quic_session_version(p->mux));
}

/*
 * A server that is offered version 2 of QUIC answers in it, and there may be networks that let
 * through what they know only. So after an attempt that timed out the next one offers version 1
 * alone, and the next but one both again.
 */
static void
peer_tried(struct quic_peer *p, int err)
{
	if (p->opened)
		p->place->cautious = false;
	else if (err == -ETIMEDOUT)
		p->place->cautious = !p->cautious;
}

static void
peer_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct quic_peer *p = owner;
	struct adit_component *component = p->place->dialer->base.component;
	const struct adit_reason *why = adit_mux_reason(m);
	struct adit_conn *c;
	struct ending end;

	/* A gost opens none; who awaits some, where the server does, has diverted them. */
	while ((c = adit_mux_accept(m)))
		native_stray(c);
	if (adit_mux_peer_drains(m) && !p->left) {
		p->left = true;
		adit_dialer_say_leaving(&p->place->dialer->base);
		adit_log(adit_component_log(component), ADIT_LOG_DEBUG,
			 ADIT_FIELDS(ADIT_STR("kind", "dialer"),
				     ADIT_STR("node", adit_component_name(component))),
			 "quic session: the server goes");
	}
	if (!why->err) {
		if (events & ADIT_OPEN) {
			p->opened = true;
			peer_tried(p, 0);
			peer_log_open(p);
		}
		adit_mux_want(m, ADIT_READ);
		return;
	}
	/* What went over it has a line of its own. */
	end = ending_of_mux(component, m);
	end.kind = "dialer";
	end.by = ending_by(why->err, "server");
	end.how = ending_how(why->err);
	ending_log(&end, ADIT_LOG_DEBUG, "quic session: %s",
		   why->text ? why->text : adit_strerror(why->err));
	peer_tried(p, why->err);
	peer_end(p, why);
}

static void
peer_dead(void *arg)
{
	peer_end(arg, &(struct adit_reason){ .err = ADIT_EPEERDEAD, .text = "does not answer" });
}

static struct quic_endpoint *
place_endpoint(struct quic_place *place, const struct adit_addr *to, struct adit_err *e)
{
	struct quic_endpoint **slot = &place->endpoints[to->family == AF_INET6];
	const struct udp_conf udp = { .bind = { .family = to->family } };
	const struct quic_conf conf = { .params = place->dialer->params };
	struct adit_packet_conn *packet;

	if (*slot)
		return *slot;
	packet = udp_open(place->worker, &udp, e);
	if (packet)
		*slot = quic_endpoint_new(packet, &conf, e);
	return *slot;
}

static int
peer_connect(struct quic_peer *p, const struct adit_addr *addr, struct adit_err *e)
{
	static const uint32_t only_v1[] = { QUIC_V1 };
	struct quic_endpoint *ep = place_endpoint(p->place, addr, e);
	struct quic_params params = p->place->dialer->params;
	struct quic_target target = {
		.addr = *addr, .host = p->host, .params = &params,
		.has_lane = true, .lane = (uint8_t)(p->place->dialer->first_lane + p->lane),
	};

	target.addr.port = p->port;
	p->cautious = p->place->cautious;
	if (p->cautious) {
		params.versions = only_v1;
		params.n_versions = 1;
	}
	p->mux = ep ? quic_connect(ep, &target, e) : NULL;
	if (!p->mux)
		return e->code;
	p->liveness = liveness_start(p->mux, &(struct liveness_watch){
		.dead = peer_dead, .arg = p, .second = true,
	});
	adit_mux_own(p->mux, peer_event, p);
	adit_mux_want(p->mux, ADIT_OPEN | ADIT_READ);
	return 0;
}

static void
peer_resolved(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct quic_peer *p = arg;
	struct adit_err e = ADIT_ERR_INIT;
	struct quic_waiting *w;

	p->query = NULL;
	if (!err && !n)
		err = -EADDRNOTAVAIL;
	if (!err)
		err = peer_connect(p, &addrs[0], &e);
	if (err) {
		peer_end(p, &(struct adit_reason){ .err = err });
		return;
	}
	while ((w = LIST_FIRST(&p->waiting))) {
		struct adit_conn *stream = adit_mux_open(p->mux, 0, &e);

		LIST_REMOVE(w, entry);
		if (stream)
			opening_set(w->conn, stream);
		else
			opening_fail(w->conn, e.code);
		free(w);
	}
}

static void
waiting_cancelled(void *arg)
{
	struct quic_waiting *w = arg;

	LIST_REMOVE(w, entry);
	free(w);
}

static struct adit_conn *
peer_wait(struct quic_peer *p, struct adit_err *e)
{
	struct quic_waiting *w = calloc(1, sizeof(*w));

	if (w)
		w->conn = opening_new(p->place->worker, waiting_cancelled, w);
	if (!w || !w->conn) {
		free(w);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	LIST_INSERT_HEAD(&p->waiting, w, entry);
	return w->conn;
}

/* A server that drains takes nothing new: the next dial makes a session to its successor. */
static bool
peer_is_usable(const struct quic_peer *p)
{
	return !p->mux || (!adit_mux_err(p->mux) && !adit_mux_draining(p->mux));
}

static struct quic_peer *
peer_new(struct quic_place *place, const struct adit_dial *req, struct adit_err *e)
{
	struct quic_peer *p = calloc(1, sizeof(*p) + strlen(req->host) + 1);
	char text[ADIT_ADDR_TEXT];
	const char *asked = req->host;

	if (!p) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	p->place = place;
	p->lane = req->lane;
	p->port = req->port;
	strcpy(p->host, req->host);
	if (req->n_addrs)
		asked = adit_addr_format_ip(&req->addrs[0], text);
	p->query = resolver_ask(place->worker, asked, peer_resolved, p, e);
	if (!p->query) {
		free(p);
		return NULL;
	}
	LIST_INSERT_HEAD(&place->peers, p, entry);
	return p;
}

/* ---- the dialer ------------------------------------------------------------------------------ */

static struct quic_place *
quic_place(struct quic_dialer *q, struct adit_worker *w)
{
	struct quic_place **slot = &q->places[adit_worker_index(w)];

	if (*slot)
		return *slot;
	*slot = calloc(1, sizeof(**slot));
	if (*slot) {
		(*slot)->dialer = q;
		(*slot)->worker = w;
		LIST_INIT(&(*slot)->peers);
	}
	return *slot;
}

static struct adit_conn *
quic_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	struct quic_dialer *q = quic_of(d);
	struct quic_place *place;
	struct quic_peer *p;

	if (req->via) {
		adit_conn_close(req->via, ADIT_EUNSUPPORTED);
		adit_err_set(e, ADIT_EUNSUPPORTED,
			     "quic through another hop is not available in this build");
		return NULL;
	}
	if (q->stopped[adit_worker_index(req->worker)]) {
		adit_err_set(e, ADIT_EDRAINING, "%s", adit_strerror(ADIT_EDRAINING));
		return NULL;
	}
	place = quic_place(q, req->worker);
	if (!place) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	LIST_FOREACH(p, &place->peers, entry)
		if (p->port == req->port && p->lane == req->lane &&
		    strcmp(p->host, req->host) == 0 && peer_is_usable(p))
			break;
	if (!p)
		p = peer_new(place, req, e);
	if (!p)
		return NULL;
	return p->mux ? adit_mux_open(p->mux, 0, e) : peer_wait(p, e);
}

static void
quic_stop(struct adit_dialer *d, struct adit_worker *w)
{
	static const struct adit_reason polite;
	struct quic_dialer *q = quic_of(d);
	struct quic_place *place = q->places[adit_worker_index(w)];

	q->stopped[adit_worker_index(w)] = true;
	if (!place)
		return;
	q->places[adit_worker_index(w)] = NULL;
	while (!LIST_EMPTY(&place->peers))
		peer_end(LIST_FIRST(&place->peers), &polite);
	for (int i = 0; i < 2; i++)
		quic_endpoint_close(place->endpoints[i], NULL);
	free(place);
}

static int
quic_init(struct adit_dialer *d, struct adit_err *e)
{
	struct quic_dialer *q = quic_of(d);
	int err = quic_opts_params(&q->opts, adit_component_protocol(d->component),
				   &q->params, e);

	if (err)
		return err;
	if (adit_component_protocol(d->component)) {
		q->params.streams_max = STREAMS_MAX;
		if (!q->opts.has_streams)
			q->params.streams = STREAMS_FIRST;
	}
	q->first_lane = (uint8_t)adit_random_below(FIRST_LANES);
	q->tls = tls_source_new(adit_component_tls(d->component), TLS_CLIENT,
				adit_component_log(d->component), e);
	q->params.tls = q->tls;
	return q->tls ? 0 : e->code;
}

static void
quic_fini(struct adit_dialer *d)
{
	tls_source_free(quic_of(d)->tls);
}

const struct adit_dialer_ops dialer_quic = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(dialer_quic),
		.kind = ADIT_DIALER,
		.name = "quic",
		.help = "QUIC: connections to a node are streams of one session",
		.instance = sizeof(struct quic_dialer),
		.opts = quic_dialer_opts,
	},
	.dial = quic_dial,
	.init = quic_init,
	.fini = quic_fini,
	.stop = quic_stop,
	.network = "udp",
};
