/*
 * Connector `relay`: asks a relay node for the target, for TCP and UDP, or to listen for us.
 */
#include <errno.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/framed.h"
#include "core/mux/mux_opts.h"
#include "core/proxy/relay_port.h"
#include "core/tunnel/relay_bind.h"
#include "core/tunnel/relay_conn.h"

#define ANSWER_MS 15000		/* to a bind: for the transport to open, and the node's word */

struct relay_connector {
	struct adit_connector	 base;
	uint64_t		 connect_timeout;
	bool			 nodelay;
	struct mux_opts		 mux;
	struct smux_conf	 smux;
};

#define AT(f) offsetof(struct relay_connector, f)
static const struct adit_opt relay_opts[] = {
	{ .name = "connectTimeout", .type = ADIT_OPT_DURATION, .offset = AT(connect_timeout),
	  .def = "15s", .help = "limit for the way to the node and, with nodelay, for its answer" },
	{ .name = "nodelay", .type = ADIT_OPT_BOOL, .offset = AT(nodelay),
	  .help = "wait for the answer before anything is sent to the target: a failure is known "
		  "at once, and a gost without nodelay answers never" },
	MUX_BIND_OPTS(struct relay_connector, mux, "1"),
	ADIT_OPT_END,
};

static struct relay_connector *
relay_of(struct adit_connector *n)
{
	return adit_container_of(n, struct relay_connector, base);
}

/* 0, or -EINVAL with e: a host or credentials that do not fit. */
static int
relay_request(const struct relay_connector *r, uint8_t cmd, const struct adit_target *to,
	      struct relay_msg *m, struct adit_err *e)
{
	const char *user, *password;
	size_t len = strlen(to->host);
	int err = 0;

	*m = (struct relay_msg){ .code = cmd, .n_addr = 1 };
	if (to->network == ADIT_UDP) {
		m->code |= RELAY_UDP;
		m->has_network = true;
		m->network = RELAY_NET_UDP;
	}
	if (to->network == ADIT_UNIX)
		return adit_err_set(e, -ENOTSUP, "connector relay reaches no Unix sockets");
	m->addr[0] = (struct wire_addr){ .type = WIRE_ADDR_IPV4 };
	if (len)
		err = wire_addr_parse(to->host, len, &m->addr[0]);
	m->addr[0].port = to->port;
	if (!err && adit_component_auth(r->base.component, &user, &password))
		err = relay_set_auth(m, user, password);
	return err ? adit_err_set(e, err, "\"%s\" or the credentials do not fit into a request",
				  to->host) : 0;
}

static struct adit_conn *
relay_connect(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *to,
	      const struct adit_addr *visitor, struct adit_err *e)
{
	struct relay_connector *r = relay_of(n);
	unsigned ms = (unsigned)(r->connect_timeout / ADIT_MS(1));
	struct relay_msg m;
	struct adit_conn *c;

	(void)visitor;
	if (relay_request(r, RELAY_CONNECT, to, &m, e) < 0) {
		adit_conn_close(lower, -EINVAL);
		return NULL;
	}
	c = r->nodelay ? relay_conn(lower, &m, ms, NULL, NULL) : relay_conn_early(lower, &m, ms);
	explicit_bzero(&m, sizeof(m));
	if (to->network == ADIT_UDP)
		c = framed_conn(c);
	if (!c)
		adit_err_set(e, -ENOMEM, "out of memory");
	return c;
}

static void
relay_log_bound(const struct relay_connector *r, const struct relay_msg *answer,
		const char *network)
{
	char where[WIRE_ADDR_TEXT] = "";

	if (answer->n_addr)
		wire_addr_format(&answer->addr[0], where);
	adit_log(adit_component_log(r->base.component), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", "connector"), ADIT_STR("connector", "relay"),
			     ADIT_STR("node", adit_component_name(r->base.component))),
		 "bind on %s/%s OK", where, network);
}

static void
relay_bound_tcp(void *arg, struct adit_mux *m, const struct relay_msg *answer)
{
	(void)m;
	relay_log_bound(arg, answer, "tcp");
}

static void
relay_bound_udp(void *arg, struct adit_mux *m, const struct relay_msg *answer)
{
	(void)m;
	relay_log_bound(arg, answer, "udp");
}

/* One stream brings the datagrams of all. m: the request. */
static struct adit_mux *
relay_bind_udp(struct relay_connector *r, struct adit_conn *lower,
	       const struct adit_target *address, const struct relay_msg *m)
{
	const struct relay_port_conf conf = {
		.request = m, .answer_ms = ANSWER_MS, .flows = address->flows,
		.name = adit_component_name(r->base.component),
		.bound = relay_bound_udp, .arg = r,
	};

	return relay_port(lower, &conf);
}

static struct adit_mux *
relay_bind_tcp(struct relay_connector *r, struct adit_conn *lower, struct relay_msg *m)
{
	const struct relay_bind_conf conf = {
		.request = m, .smux = r->smux, .answer_ms = ANSWER_MS, .connections = 1,
		.bound = relay_bound_tcp, .arg = r,
	};

	m->has_network = true;
	return relay_bind(lower, &conf);
}

static struct adit_mux *
relay_bind_at(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *address,
	      struct adit_err *e)
{
	struct relay_connector *r = relay_of(n);
	struct relay_msg m;
	bool udp = address->network == ADIT_UDP;
	struct adit_mux *mux;

	if (udp && !address->port) {	/* that means an association, and no port at all */
		adit_conn_close(lower, -EINVAL);
		adit_err_set(e, -EINVAL, "a UDP port at a relay needs a number");
		return NULL;
	}
	if (relay_request(r, RELAY_BIND, address, &m, e) < 0) {
		adit_conn_close(lower, -EINVAL);
		return NULL;
	}
	mux = udp ? relay_bind_udp(r, lower, address, &m) : relay_bind_tcp(r, lower, &m);
	explicit_bzero(&m, sizeof(m));
	if (!mux)
		adit_err_set(e, -ENOMEM, "out of memory");
	return mux;
}

static int
relay_init(struct adit_connector *n, struct adit_err *e)
{
	return mux_opts_conf(&relay_of(n)->mux, false, &relay_of(n)->smux, e);
}

const struct adit_connector_ops connector_relay = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(connector_relay),
		.kind = ADIT_CONNECTOR,
		.name = "relay",
		.help = "asks a relay node for the target, or to listen for us",
		.instance = sizeof(struct relay_connector),
		.opts = relay_opts,
	},
	.connect = relay_connect,
	.bind = relay_bind_at,
	.init = relay_init,
};
