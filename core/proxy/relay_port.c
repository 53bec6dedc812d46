#include "core/proxy/relay_port.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/flows.h"
#include "core/proxy/udptun_socket.h"
#include "core/tunnel/heads.h"
#include "core/tunnel/relay_conn.h"

struct relay_port {
	struct adit_mux		 base;
	struct adit_conn	*lower;		/* a relay conn, until the answer came; owned */
	struct flows		*flows;		/* from then on */
	struct adit_conn	*carrier;	/* what carries them; theirs */
	struct ready_list	 ready;
	struct adit_flow_limits	 limits;
	const char		*name;
	void			(*bound)(void *arg, struct adit_mux *m,
					 const struct relay_msg *answer);
	void			*arg;
};

static struct relay_port *
port_of(struct adit_mux *m)
{
	return adit_container_of(m, struct relay_port, base);
}

static const struct relay_port *
port_of_const(const struct adit_mux *m)
{
	return (const void *)((const char *)m - offsetof(struct relay_port, base));
}

static void
relay_port_fail(struct relay_port *p, int err, const char *text)
{
	adit_mux_fail(&p->base, &(struct adit_reason){ .err = err, .text = text });
}

/* ---- flows ------------------------------------------------------------------------- */

static void
relay_port_ended(void *arg, int err)
{
	relay_port_fail(arg, err, NULL);
}

static bool
relay_port_admits(void *arg, const struct adit_addr *from)
{
	struct relay_port *p = arg;

	(void)from;
	return !adit_mux_draining(&p->base);
}

static void
relay_port_accept(void *arg, struct adit_conn *c)
{
	struct relay_port *p = arg;

	if (ready_put(&p->ready, c))
		adit_mux_ready(&p->base, ADIT_READ);
}

static struct flows *
relay_port_flows(struct relay_port *p, struct adit_packet_conn *socket)
{
	const struct flows_conf conf = {
		.ttl = p->limits.ttl, .keepalive = true, .max = RELAY_PORT_FLOWS,
		.backlog = p->limits.backlog, .queue = p->limits.queue,
		.largest = p->limits.largest, .name = p->name, .admit = relay_port_admits,
		.accept = relay_port_accept, .arg = p,
	};

	return flows_new(socket, &conf);
}

/* ---- the handshake -------------------------------------------------------------------- */

static int
relay_port_answered(void *arg, struct adit_conn *c, const struct relay_msg *m)
{
	struct relay_port *p = arg;

	(void)c;
	if (p->bound)
		p->bound(p->arg, &p->base, m);
	return 0;
}

static void
relay_port_open(struct relay_port *p)
{
	struct adit_conn *lower = relay_conn_unwrap(p->lower);
	struct adit_packet_conn *socket;

	p->lower = NULL;
	adit_mux_set_local(&p->base, adit_conn_local(lower));
	adit_mux_set_remote(&p->base, adit_conn_remote(lower));
	socket = udptun_socket(lower, relay_port_ended, p);
	p->flows = socket ? relay_port_flows(p, socket) : NULL;
	if (!p->flows) {
		relay_port_fail(p, -ENOMEM, "out of memory");
		return;
	}
	p->carrier = lower;
	adit_mux_ready(&p->base, ADIT_OPEN);
}

static void
relay_port_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct relay_port *p = owner;
	int err = adit_conn_err(lower);

	(void)events;
	if (adit_conn_is_open(lower)) {
		relay_port_open(p);
		return;
	}
	adit_conn_want(lower, 0);
	relay_port_fail(p, err, conn_failure(lower));
}

/* ---- operations ------------------------------------------------------------------------- */

static struct adit_conn *
relay_port_take(struct adit_mux *m)
{
	return ready_take(&port_of(m)->ready);
}

/* It has none: that a node is gone is what its transport says. */
static void
relay_port_probe(struct adit_mux *m)
{
	(void)m;
}

/* The node is told nothing: there are no words for it. */
static void
relay_port_drain(struct adit_mux *m)
{
	(void)m;
}

static bool
relay_port_drained(const struct adit_mux *m)
{
	const struct relay_port *p = port_of_const(m);

	return !p->flows || !flows_count(p->flows);
}

static void
relay_port_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct relay_port *p = port_of(m);
	int err = why->err ? why->err : -ECONNRESET;

	ready_drop(&p->ready, err);
	flows_end(p->flows, err);
	adit_conn_close(p->lower, why->err);
	p->flows = NULL;
	p->carrier = p->lower = NULL;
}

static unsigned
relay_port_streams(const struct adit_mux *m)
{
	const struct relay_port *p = port_of_const(m);

	return p->flows ? flows_count(p->flows) : 0;
}

static const struct adit_traffic *
relay_port_traffic(const struct adit_mux *m)
{
	static const struct adit_traffic none;
	const struct relay_port *p = port_of_const(m);

	return p->carrier ? adit_conn_traffic(p->carrier) : &none;
}

static const struct adit_mux_ops relay_port_ops = {
	.size = sizeof(relay_port_ops),
	.name = "relay-port",
	.accept = relay_port_take,
	.probe = relay_port_probe,
	.drain = relay_port_drain,
	.drained = relay_port_drained,
	.close = relay_port_close,
	.streams = relay_port_streams,
	.traffic = relay_port_traffic,
};

struct adit_mux *
relay_port(struct adit_conn *lower, const struct relay_port_conf *conf)
{
	struct relay_port *p = adit_mux_new(adit_conn_worker(lower), &relay_port_ops, sizeof(*p));

	if (!p) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	TAILQ_INIT(&p->ready);
	p->limits = conf->flows;
	p->name = conf->name;
	p->bound = conf->bound;
	p->arg = conf->arg;
	p->lower = relay_conn(lower, conf->request, conf->answer_ms, relay_port_answered, p);
	if (!p->lower) {
		adit_mux_close(&p->base, NULL);
		return NULL;
	}
	adit_conn_own(p->lower, relay_port_event, p);
	adit_conn_want(p->lower, ADIT_OPEN);
	return &p->base;
}
