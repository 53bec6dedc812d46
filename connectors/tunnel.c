/*
 * Connector `tunnel`: toward a tunnel's server, as a client that binds a tunnel, or as a visitor
 * that reaches one: by adit/1 where a QUIC session agreed on that, else by gost's relay protocol.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/framed.h"
#include "core/mux/mux_opts.h"
#include "core/service/component.h"
#include "core/tunnel/native_bind.h"
#include "core/tunnel/native_conn.h"
#include "core/tunnel/reach.h"
#include "core/tunnel/relay_bind.h"
#include "core/tunnel/relay_conn.h"

/*
 * For the transport to open and the server to answer: a gost that accepts and stays silent would
 * block us for ever.
 */
#define ANSWER_MS 15000

struct tunnel_connector {
	struct adit_connector	 base;
	struct adit_uuid	 id;
	bool			 has_id;
	int64_t			 weight, connections;
	uint64_t		 connect_timeout;
	char			*record_mode;
	struct mux_opts		 mux;
	struct smux_conf	 smux;
	struct reach_conf	 reach;
};

static const char *const id_aliases[] = { "tunnelID", NULL };

#define AT(f) offsetof(struct tunnel_connector, f)
static const struct adit_opt tunnel_opts[] = {
	{ .name = "tunnel.id", .aliases = id_aliases, .type = ADIT_OPT_UUID, .offset = AT(id),
	  .given = AT(has_id), .help = "the tunnel; random at each start when absent" },
	{ .name = "tunnel.weight", .type = ADIT_OPT_INT, .offset = AT(weight), .def = "1", .min = 0,
	  .max = 255, .help = "share among the clients of a tunnel; 255 excludes the others" },
	{ .name = "connections", .type = ADIT_OPT_INT, .offset = AT(connections), .def = "2",
	  .min = 1, .max = 16, .help = "sessions to an adit, as far as it gains by them; they "
				       "count as one client; one to a gost" },
	{ .name = "connectTimeout", .type = ADIT_OPT_DURATION, .offset = AT(connect_timeout),
	  .def = "15s", .help = "limit for the server's answer to a visitor" },
	{ .name = "record.mode", .type = ADIT_OPT_STRING, .offset = AT(record_mode),
	  .help = "asks a gost server to record less: headers or off" },
	MUX_BIND_OPTS(struct tunnel_connector, mux, "2"),
	ADIT_OPT_END,
};

static struct tunnel_connector *
tunnel_of(struct adit_connector *n)
{
	return adit_container_of(n, struct tunnel_connector, base);
}

static int
tunnel_set_auth(struct tunnel_connector *t, struct relay_msg *m)
{
	const char *user, *password;

	if (!adit_component_auth(t->base.component, &user, &password))
		return 0;
	return relay_set_auth(m, user, password);
}

/* What requests have in common. 0, or -EINVAL with e: credentials or a host that do not fit. */
static int
tunnel_request(struct tunnel_connector *t, uint8_t cmd, const struct adit_target *to,
	       struct relay_msg *m, struct adit_err *e)
{
	size_t host_len = strlen(to->host);

	*m = (struct relay_msg){ .code = cmd, .n_addr = 2, .has_tunnel = true };
	if (to->network == ADIT_UDP) {
		m->code |= RELAY_UDP;
		m->has_network = true;
		m->network = RELAY_NET_UDP;
	}
	m->addr[1] = (struct wire_addr){ .type = WIRE_ADDR_NAME };
	if (tunnel_set_auth(t, m) < 0 ||
	    (host_len && wire_addr_parse(to->host, host_len, &m->addr[1]) < 0))
		return adit_err_set(e, -EINVAL,
				    "\"%s\" or the credentials do not fit into a request",
				    to->host);
	m->addr[1].port = to->port;
	m->tunnel.id = t->id;
	if (t->record_mode) {
		m->n_pair = 1;
		m->pair[0] = (struct relay_pair){ "record.mode", t->record_mode, 11,
						  (uint8_t)strnlen(t->record_mode, 255) };
	}
	return 0;
}

/* The same for adit/1. */
static int
tunnel_native_request(struct tunnel_connector *t, const struct adit_target *to,
		      struct native_msg *m, struct adit_err *e)
{
	const char *user, *password;
	bool fits = true;

	*m = (struct native_msg){
		.version = NATIVE_VERSION, .tunnel = t->id,
		.network = to->network == ADIT_UDP ? NATIVE_UDP : NATIVE_TCP,
		.has = 1u << NATIVE_F_VERSION | 1u << NATIVE_F_TUNNEL | 1u << NATIVE_F_NETWORK,
	};
	if (adit_component_auth(t->base.component, &user, &password))
		fits = native_set_text(m, NATIVE_F_USER, user) &&
		       native_set_text(m, NATIVE_F_PASSWORD, password);
	if (fits)
		return 0;
	return adit_err_set(e, -EINVAL, "the credentials do not fit into a request");
}

static struct adit_conn *
tunnel_connect_relay(struct tunnel_connector *t, struct adit_conn *lower,
		     const struct reach_ask *ask, struct adit_err *e)
{
	struct sockaddr_storage ss;
	struct relay_msg m;
	struct adit_conn *c;

	if (tunnel_request(t, RELAY_CONNECT, &ask->to, &m, e) < 0) {
		adit_conn_close(lower, -EINVAL);
		return NULL;
	}
	if (adit_addr_to(&ask->visitor, &ss))
		wire_addr_from_sockaddr((struct sockaddr *)&ss, &m.addr[0]);
	c = relay_conn(lower, &m, (unsigned)(t->connect_timeout / ADIT_MS(1)), NULL, NULL);
	explicit_bzero(&m, sizeof(m));
	if (ask->to.network == ADIT_UDP)
		c = framed_conn(c);
	if (!c)
		adit_err_set(e, -ENOMEM, "out of memory");
	return c;
}

static struct adit_conn *
tunnel_connect_native(struct tunnel_connector *t, struct adit_conn *lower,
		      const struct reach_ask *ask, struct adit_err *e)
{
	struct adit_conn *c = NULL, *flow = NULL;
	struct native_msg m;
	int err = tunnel_native_request(t, &ask->to, &m, e);

	m.type = NATIVE_OPEN;
	if (!err && !native_set_visitor(&m, &ask->visitor, ask->to.host, ask->to.port))
		err = adit_err_set(e, -EINVAL, "\"%s\" does not fit into a request", ask->to.host);
	if (!err && ask->to.network == ADIT_UDP) {
		flow = adit_mux_open(adit_conn_mux(lower), ADIT_CONN_DGRAM, e);
		err = flow ? 0 : e->code;
		if (flow)
			native_set_flow(&m, flow);
	}
	if (err)
		adit_conn_close(lower, err);
	else
		c = native_ask(lower, flow, &m, (unsigned)(t->connect_timeout / ADIT_MS(1)));
	explicit_bzero(&m, sizeof(m));
	if (!c && !err)
		adit_err_set(e, -ENOMEM, "out of memory");
	return c;
}

static struct adit_conn *
tunnel_connect_now(void *arg, struct adit_conn *lower, const struct reach_ask *ask,
		   struct adit_err *e)
{
	return native_speaks(lower) ? tunnel_connect_native(arg, lower, ask, e) :
				      tunnel_connect_relay(arg, lower, ask, e);
}

static struct adit_conn *
tunnel_connect(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *to,
	       const struct adit_addr *visitor, struct adit_err *e)
{
	struct reach_ask ask = { .to = *to };

	if (visitor)
		ask.visitor = *visitor;
	return reach_connect(lower, &ask, &tunnel_of(n)->reach, e);
}

/* What the server said to a bind. */
struct tunnel_place {
	const char		*host;
	char			 where[WIRE_ADDR_TEXT];	/* with the port */
	struct adit_uuid	 connector;
	bool			 udp;
	const char		*url;	/* for visitors; "": there is none */
	size_t			 url_len;
};

static void
tunnel_log_bound(struct tunnel_connector *t, const struct tunnel_place *place)
{
	char id[37], connector[37];

	adit_uuid_format(&t->id, id);
	adit_uuid_format(&place->connector, connector);
	adit_log(adit_component_log(t->base.component), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", "connector"), ADIT_STR("connector", "tunnel"),
			     ADIT_STR("dialer", t->base.component->dialer),
			     ADIT_STR("hop", t->base.component->hop),
			     ADIT_STR("node", adit_component_name(t->base.component)),
			     ADIT_STR("endpoint", place->host), ADIT_STR("tunnel", id)),
		 "create tunnel on %s/%s OK, tunnel=%s, connector=%s, weight=%u", place->where,
		 place->udp ? "udp" : "tcp", id, connector, (unsigned)t->weight);
	if (place->url_len)
		adit_log(adit_component_log(t->base.component), ADIT_LOG_INFO,
			 ADIT_FIELDS(ADIT_STR("kind", "connector"), ADIT_STR("tunnel", id)),
			 "%s at %.*s", place->udp ? "for visitors of UDP" : "to be visited",
			 (int)place->url_len, place->url);
}

static void
tunnel_bound_relay(void *arg, struct adit_mux *m, const struct relay_msg *answer)
{
	char host[WIRE_ADDR_TEXT] = "";
	const struct relay_pair *url = relay_msg_pair(answer, RELAY_PAIR_URL);
	struct tunnel_place place = {
		.host = host, .connector = answer->tunnel.id,
		.udp = answer->tunnel.flags & RELAY_CONNECTOR_UDP,
		.url = url ? url->value : NULL, .url_len = url ? url->value_len : 0,
	};

	(void)m;
	if (answer->n_addr) {
		wire_addr_host(&answer->addr[0], host);
		wire_addr_format(&answer->addr[0], place.where);
	}
	tunnel_log_bound(arg, &place);
}

static void
tunnel_bound_native(void *arg, const struct native_msg *answer)
{
	struct tunnel_place place = {
		.host = answer->host, .connector = answer->connector,
		.udp = answer->network == NATIVE_UDP,
		.url = answer->text, .url_len = strlen(answer->text),
	};

	snprintf(place.where, sizeof(place.where), "%s:%u", answer->host, answer->port);
	tunnel_log_bound(arg, &place);
}

static bool
tunnel_is_alone(const struct adit_client *client)
{
	static const struct adit_client alone;

	return memcmp(client, &alone, sizeof(alone)) == 0;
}

/*
 * Without a wanted host name the address is a name of length 0: old gosts take 0.0.0.0 for a name,
 * and all answer the empty one with the endpoint.
 */
static struct adit_mux *
tunnel_bind_relay(struct tunnel_connector *t, struct adit_conn *lower, const struct reach_ask *ask,
		  struct adit_err *e)
{
	struct relay_bind_conf conf = {
		.smux = t->smux, .answer_ms = ANSWER_MS, .connections = (unsigned)t->connections,
		.datagrams = ask->to.network == ADIT_UDP, .bound = tunnel_bound_relay, .arg = t,
	};
	struct relay_msg m;
	struct adit_mux *mux;

	if (tunnel_request(t, RELAY_BIND, &ask->to, &m, e) < 0) {
		adit_conn_close(lower, -EINVAL);
		return NULL;
	}
	m.tunnel.weight = (uint8_t)t->weight;
	if (ask->to.visitor_address)
		m.tunnel.hints = RELAY_TUNNEL_SHOWS_VISITOR;
	if (t->connections > 1 && !tunnel_is_alone(&ask->to.client)) {
		m.tunnel.has_client = true;
		memcpy(&m.tunnel.client, &ask->to.client, sizeof(m.tunnel.client));
	}
	conf.request = &m;
	mux = relay_bind(lower, &conf);
	explicit_bzero(&m, sizeof(m));
	if (!mux)
		adit_err_set(e, -ENOMEM, "out of memory");
	return mux;
}

static struct adit_mux *
tunnel_bind_native(struct tunnel_connector *t, struct adit_conn *lower, const struct reach_ask *ask,
		   struct adit_err *e)
{
	struct native_msg m;
	const struct native_bind_conf conf = {
		.request = &m, .answer_ms = ANSWER_MS, .connections = (unsigned)t->connections,
		.bound = tunnel_bound_native, .arg = t,
	};
	int err = tunnel_native_request(t, &ask->to, &m, e);
	struct adit_mux *mux;

	if (!err && !native_set_visitor(&m, &ask->visitor, ask->to.host, ask->to.port))
		err = adit_err_set(e, -EINVAL, "\"%s\" does not fit into a request", ask->to.host);
	if (err) {
		explicit_bzero(&m, sizeof(m));
		adit_conn_close(lower, err);
		return NULL;
	}
	m.weight = (uint8_t)t->weight;
	m.has |= 1u << NATIVE_F_WEIGHT;
	if (ask->to.visitor_address) {
		m.flags = NATIVE_SHOWS_VISITOR;
		m.has |= 1u << NATIVE_F_FLAGS;
	}
	if (!tunnel_is_alone(&ask->to.client)) {
		memcpy(&m.connector, &ask->to.client, sizeof(m.connector));
		m.has |= 1u << NATIVE_F_CONNECTOR;
	}
	mux = native_bind(lower, &conf, e);
	explicit_bzero(&m, sizeof(m));
	return mux;
}

static struct adit_mux *
tunnel_bind_now(void *arg, struct adit_conn *lower, const struct reach_ask *ask, struct adit_err *e)
{
	return native_speaks(lower) ? tunnel_bind_native(arg, lower, ask, e) :
				      tunnel_bind_relay(arg, lower, ask, e);
}

static struct adit_mux *
tunnel_bind(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *address,
	    struct adit_err *e)
{
	const struct reach_ask ask = { .to = *address };

	return reach_bind(lower, &ask, &tunnel_of(n)->reach, e);
}

static int
tunnel_init(struct adit_connector *n, struct adit_err *e)
{
	struct tunnel_connector *t = tunnel_of(n);

	if (!t->has_id)
		t->id = adit_uuid_random();
	t->reach = (struct reach_conf){
		.ms = ANSWER_MS, .connect = tunnel_connect_now, .bind = tunnel_bind_now, .arg = t,
	};
	return mux_opts_conf(&t->mux, false, &t->smux, e);
}

const struct adit_connector_ops connector_tunnel = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(connector_tunnel),
		.kind = ADIT_CONNECTOR,
		.name = "tunnel",
		.help = "gost's reverse proxy tunnel: binds one, or reaches one as a visitor",
		.instance = sizeof(struct tunnel_connector),
		.opts = tunnel_opts,
	},
	.protocol = NATIVE_ALPN,
	.connect = tunnel_connect,
	.bind = tunnel_bind,
	.init = tunnel_init,
};
