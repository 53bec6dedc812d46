/*
 * Handler `tunnel`: gost's reverse proxy tunnel, the server's side. A connection begins with one
 * relay request: a client binds a tunnel and the connection becomes a session, or a visitor reaches
 * one. Public entry points bring the visitors that speak HTTP or TLS.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <adit/log.h>
#include <adit/plugin.h>
#include <adit/pump.h>
#include <adit/tunnel.h>

#include "core/config/tree.h"
#include "core/service/component.h"
#include "core/tunnel/endpoint.h"
#include "core/tunnel/entry.h"
#include "core/tunnel/forwarded.h"
#include "core/tunnel/relay_conn.h"
#include "core/tunnel/relay_opts.h"
#include "core/tunnel/relay_session.h"
#include "core/tunnel/rules.h"
#include "core/wire/hostname.h"

#define ENTRIES_MAX 16
#define HALF_CLOSED_NS ADIT_SECONDS(60)

struct tunnel_handler {
	struct adit_handler	 base;
	char			*entrypoint;
	const struct adit_tree	*entrypoints;
	struct adit_uuid	 entrypoint_id;
	bool			 has_entrypoint_id;
	int64_t			 proxy_protocol;
	bool			 keepalive, compression, direct, sniff_websocket;
	uint64_t		 entry_timeout, read_timeout, ttl;
	struct adit_strings	 trusted;
	char			*ingress_name, *inline_rules, *sd, *sample_rate;
	struct mux_opts		 mux;

	struct smux_conf	 smux;
	struct adit_ingress	*ingress;		/* borrowed from the configuration, or NULL */
	struct rules		*rules;			/* of inline_rules, owned */
	char			 node[37];		/* this server's id, for loops */
	struct tunnel_entry {
		struct tunnel_handler	*handler;
		const char		*addr;
		struct adit_ingress	*ingress;	/* of its own, or the handler's; NULL: rules */
		struct entry		*entry;		/* while open; owned */
	}			 entries[ENTRIES_MAX];
	size_t			 n_entries;
};

#define AT(f) offsetof(struct tunnel_handler, f)
static const struct adit_opt tunnel_opts[] = {
	{ .name = "entrypoint", .type = ADIT_OPT_ADDR, .offset = AT(entrypoint),
	  .help = "address of the public entry point: HTTP by Host, TLS by SNI" },
	{ .name = "entrypoints", .type = ADIT_OPT_TREE, .offset = AT(entrypoints),
	  .help = "more entry points: a list of {addr, ingress}" },
	{ .name = "entrypoint.id", .type = ADIT_OPT_UUID, .offset = AT(entrypoint_id),
	  .given = AT(has_entrypoint_id),
	  .help = "visitors with this tunnel id count as a public entry point" },
	{ .name = "entrypoint.proxyProtocol", .type = ADIT_OPT_INT, .offset = AT(proxy_protocol),
	  .min = 0, .max = 2, .help = "take a PROXY header (version 1 or 2) in front, if there is one" },
	{ .name = "entrypoint.keepalive", .type = ADIT_OPT_BOOL, .offset = AT(keepalive), .def = "true",
	  .help = "keep idle streams to clients and use them for later requests" },
	{ .name = "entrypoint.compression", .type = ADIT_OPT_BOOL, .offset = AT(compression),
	  .help = "accepted for gost's sake; bodies are passed on as they are" },
	{ .name = "entrypoint.readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(entry_timeout),
	  .def = "15s", .help = "limit for the first bytes of a target's answer" },
	{ .name = "entrypoint.trustedProxies", .type = ADIT_OPT_LIST, .offset = AT(trusted),
	  .help = "addresses and networks whose word about the client's address is taken" },
	{ .name = "ingress", .type = ADIT_OPT_NAME, .offset = AT(ingress_name), .refers = "ingresses",
	  .help = "rules: which host belongs to which tunnel" },
	{ .name = "tunnel", .type = ADIT_OPT_STRING, .offset = AT(inline_rules),
	  .help = "rules as host:id,host:id; used when no ingress is named" },
	{ .name = "tunnel.direct", .type = ADIT_OPT_BOOL, .offset = AT(direct),
	  .help = "visitors reach the tunnel whose id they give, whatever the rules say" },
	{ .name = "tunnel.ttl", .type = ADIT_OPT_DURATION, .offset = AT(ttl), .def = "15s",
	  .help = "accepted for gost's sake; dead sessions are removed at once" },
	{ .name = "sd", .type = ADIT_OPT_NAME, .offset = AT(sd), .refers = "sds",
	  .help = "shares tunnels with other servers" },
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(read_timeout), .def = "10s",
	  .help = "limit for a connection's request" },
	{ .name = "sniffing.websocket", .type = ADIT_OPT_BOOL, .offset = AT(sniff_websocket),
	  .help = "recording of WebSocket frames" },
	{ .name = "sniffing.websocket.sampleRate", .type = ADIT_OPT_STRING, .offset = AT(sample_rate),
	  .help = "frames recorded per second" },
	MUX_OPTS(struct tunnel_handler, mux),
	ADIT_OPT_END,
};

static struct tunnel_handler *
tunnel_of(struct adit_handler *h)
{
	return adit_container_of(h, struct tunnel_handler, base);
}

/* ---- routing ------------------------------------------------------------------------ */

static int
tunnel_lookup(struct tunnel_handler *t, struct adit_ingress *ingress, struct adit_worker *w,
	      const char *host, struct adit_rule *out)
{
	if (ingress)
		return ingress->ops->lookup(ingress, w, host, out);
	return t->rules ? rules_find(t->rules, host, out) : ADIT_ENOROUTE;
}

static int
tunnel_entry_lookup(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	struct tunnel_entry *n = arg;

	return tunnel_lookup(n->handler, n->ingress, w, host, out);
}

/*
 * Which tunnel a visitor gets: a public entry point the one of the rule for the host, unless that
 * is private; anybody else his own one, if a rule says that the host is its, or always with direct
 * routing.
 */
static unsigned
tunnel_route(struct tunnel_handler *t, struct adit_worker *w, const struct relay_msg *m,
	     struct adit_uuid *out)
{
	char text[WIRE_ADDR_TEXT], host[HOSTNAME_MAX + 1];
	bool public_entry = t->has_entrypoint_id &&
			    memcmp(&m->tunnel.id, &t->entrypoint_id, sizeof(*out)) == 0;
	struct adit_rule rule;
	bool found = false;

	if (m->n_addr > 1) {
		wire_addr_host(&m->addr[1], text);
		found = hostname_normalise(text, strlen(text), host) > 0 &&
			tunnel_lookup(t, t->ingress, w, host, &rule) == 0;
	}
	*out = m->tunnel.id;
	if (public_entry) {
		if (!found)
			return RELAY_NETWORK_UNREACHABLE;
		*out = rule.tunnel;
		return rule.private_ ? RELAY_HOST_UNREACHABLE : RELAY_OK;
	}
	if (t->direct)
		return RELAY_OK;
	if (found && memcmp(&rule.tunnel, &m->tunnel.id, sizeof(*out)) == 0)
		return RELAY_OK;
	return RELAY_HOST_UNREACHABLE;
}

/* ---- one connection's request ----------------------------------------------------------- */

struct request {
	struct adit_activity	 activity;
	struct tunnel_handler	*handler;	/* lives as long as activity's component */
	struct adit_conn	*conn, *far;	/* owned */
	struct adit_pump	*pump;
	struct relay_reader	 in;
	struct relay_msg	 message;
};

static void
request_free(struct request *r)
{
	relay_reader_fini(&r->in);
	explicit_bzero(&r->message, sizeof(r->message));
	adit_activity_end(&r->activity);
	free(r);
}

static void
request_close(struct request *r, int why)
{
	adit_conn_close(r->conn, why);
	adit_conn_close(r->far, why);
	request_free(r);
}

/* Answers with a status and closes, as a gost does after any but OK. */
static void
request_refuse(struct request *r, unsigned status, const char *what)
{
	const struct relay_msg answer = { .code = (uint8_t)status };
	char id[37];

	adit_uuid_format(&r->message.tunnel.id, id);
	adit_conn_log(r->conn, ADIT_LOG_WARN, "%s refused: %s, tunnel=%s", what,
		      relay_status_text(status), r->message.has_tunnel ? id : "-");
	relay_send(r->conn, &answer);
	request_close(r, 0);
}

static void
request_stop(struct adit_activity *a, int why)
{
	struct request *r = adit_container_of(a, struct request, activity);

	if (r->pump && why)
		adit_pump_stop(r->pump, why);
	else if (!r->pump)
		request_close(r, why ? why : ADIT_EDRAINING);
}

/* The host name in the answer: the endpoint's, unless the client asked for one. */
static void
request_bind_answer(struct request *r, const struct adit_uuid *connector, struct relay_msg *answer)
{
	const struct wire_addr *wanted = &r->message.addr[1];
	bool udp = relay_msg_network(&r->message) == RELAY_NET_UDP;

	*answer = (struct relay_msg){ .code = RELAY_OK, .n_addr = 1, .has_tunnel = true };
	answer->addr[0] = *wanted;
	if (wire_addr_is_any(wanted) || !r->handler->ingress || wanted->type != WIRE_ADDR_NAME) {
		answer->addr[0] = (struct wire_addr){ .type = WIRE_ADDR_NAME, .len = 16 };
		tunnel_endpoint_name(&r->message.tunnel.id, answer->addr[0].name);
		answer->addr[0].port = wanted->port;
	}
	answer->tunnel = (struct relay_tunnel){
		.id = *connector, .flags = udp ? RELAY_CONNECTOR_UDP : 0,
		.weight = r->message.tunnel.weight,
	};
}

static void
request_bind(struct request *r)
{
	struct relay_session_conf conf = {
		.component = r->handler->base.component,
		.tunnel = r->message.tunnel.id,
		.connector = adit_uuid_random(),
		.network = relay_msg_network(&r->message) == RELAY_NET_UDP ? ADIT_UDP : ADIT_TCP,
		.weight = r->message.tunnel.weight,
		.smux = r->handler->smux,
	};
	struct relay_msg answer;
	char tunnel[37], connector[37];
	int err;

	if (r->message.n_addr < 2) {	/* nothing to answer with: a gost closes without a word */
		adit_conn_log(r->conn, ADIT_LOG_WARN, "bind with less than two addresses");
		request_close(r, -EBADMSG);
		return;
	}
	request_bind_answer(r, &conf.connector, &answer);
	conf.answer = &answer;
	adit_uuid_format(&conf.tunnel, tunnel);
	adit_uuid_format(&conf.connector, connector);
	adit_conn_log(r->conn, ADIT_LOG_INFO, "bind: tunnel=%s, connector=%s, weight=%u", tunnel,
		      connector, conf.weight);
	adit_conn_want(r->conn, 0);
	adit_conn_own(r->conn, NULL, NULL);
	err = relay_session_start(r->conn, &conf);
	if (err < 0)
		adit_log(adit_component_log(conf.component), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", adit_component_name(conf.component)),
				     ADIT_STR("tunnel", tunnel)),
			 "bind: %s", adit_strerror(err));
	r->conn = NULL;
	request_free(r);
}

/* ---- visitors ------------------------------------------------------------------------------- */

static void
request_pumped(void *arg, const struct adit_pump_stats *stats)
{
	static const char *const sides[] = { "nobody", "visitor", "client" };
	struct request *r = arg;
	char tunnel[37];

	adit_uuid_format(&r->message.tunnel.id, tunnel);
	adit_log(adit_component_log(r->activity.component), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("service", adit_component_name(r->activity.component)),
			     ADIT_STR("tunnel", tunnel), ADIT_UINT("inputBytes", stats->bytes[0]),
			     ADIT_UINT("outputBytes", stats->bytes[1]),
			     ADIT_DURATION("duration", stats->duration),
			     ADIT_STR("endedBy", sides[stats->side + 1]), ADIT_STR("how", stats->how)),
		 "visitor >< tunnel");
	request_free(r);
}

static void
request_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	static const struct relay_msg ok = { .code = RELAY_OK };
	const struct adit_pump_opts opts = { .size = sizeof(opts), .half_closed = HALF_CLOSED_NS };
	struct request *r = owner;
	int err = adit_conn_err(far);

	(void)events;
	if (err) {
		request_refuse(r, relay_error_status(err), "visitor");
		return;
	}
	err = relay_send(r->conn, &ok);
	if (err < 0) {
		request_close(r, err);
		return;
	}
	adit_conn_want(far, 0);
	r->pump = adit_pump(r->conn, far, &opts, request_pumped, r);
	r->conn = r->far = NULL;
	if (!r->pump)
		request_free(r);
}

static void
request_idle(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

static struct adit_addr
request_visitor(const struct request *r)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int n = wire_addr_to_sockaddr(&r->message.addr[0], &ss);

	len = n > 0 ? (socklen_t)n : 0;
	return n > 0 ? adit_addr_from((struct sockaddr *)&ss, len) : *adit_conn_remote(r->conn);
}

static void
request_connect(struct request *r)
{
	struct adit_worker *w = adit_conn_worker(r->conn);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_open req = { .host = "" };
	char tunnel[37], host[WIRE_ADDR_TEXT] = "";
	struct adit_uuid id;
	unsigned status = tunnel_route(r->handler, w, &r->message, &id);

	if (status != RELAY_OK) {
		request_refuse(r, status, "visitor");
		return;
	}
	adit_uuid_format(&id, tunnel);
	if (r->message.n_addr > 1) {
		wire_addr_host(&r->message.addr[1], host);
		req.port = r->message.addr[1].port;
	}
	req.tunnel = tunnel;
	req.network = relay_msg_network(&r->message) == RELAY_NET_UDP ? ADIT_UDP : ADIT_TCP;
	req.from = request_visitor(r);
	req.host = host;
	r->far = adit_tunnel_open(w, &req, NULL, &e);
	if (!r->far) {
		request_refuse(r, relay_error_status(e.code), "visitor");
		return;
	}
	adit_conn_own(r->conn, request_idle, r);
	adit_conn_own(r->far, request_far_event, r);
	adit_conn_want(r->far, ADIT_OPEN);
}

/* Checks in gost's order: the tunnel's id, the credentials, the command. */
static void
request_serve(struct request *r)
{
	static const struct adit_uuid zero;
	const struct relay_msg *m = &r->message;
	int err;

	if (!m->has_tunnel || memcmp(&m->tunnel.id, &zero, sizeof(zero)) == 0) {
		request_refuse(r, RELAY_BAD_REQUEST, "request");
		return;
	}
	err = adit_component_authenticate(r->handler->base.component,
					  m->has_auth ? m->auth.user : NULL, m->auth.user_len,
					  m->has_auth ? m->auth.pass : NULL, m->auth.pass_len);
	if (err < 0) {
		request_refuse(r, RELAY_UNAUTHORIZED, "request");
		return;
	}
	adit_conn_deadline(r->conn, 0);
	switch (m->code & RELAY_CMD_MASK) {
	case RELAY_BIND:
		request_bind(r);
		break;
	case RELAY_CONNECT:
		request_connect(r);
		break;
	default:
		request_refuse(r, RELAY_BAD_REQUEST, "request");
	}
}

static void
request_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct request *r = owner;
	const char *why = NULL;
	int err = relay_reader_read(&r->in, c, &r->message, &why);

	(void)events;
	if (err == -EAGAIN)
		return;
	adit_conn_want(c, 0);
	if (err == 1) {
		request_serve(r);
		return;
	}
	if (r->in.len || err != -ECONNRESET)
		adit_conn_log(c, ADIT_LOG_WARN, "no request: %s", why ? why : adit_strerror(err));
	request_close(r, err == -ETIMEDOUT ? 0 : err);
}

static void
tunnel_handle(struct adit_handler *h, struct adit_conn *c)
{
	struct tunnel_handler *t = tunnel_of(h);
	struct request *r = calloc(1, sizeof(*r));

	if (!r) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	r->handler = t;
	r->conn = c;
	r->activity.stop = request_stop;
	adit_activity_begin(&r->activity, h->component, adit_conn_worker(c));
	adit_conn_own(c, request_event, r);
	adit_conn_deadline(c, (unsigned)(t->read_timeout / ADIT_MS(1)));
	adit_conn_want(c, ADIT_READ);
}

/*
 * ---- the handler's life ------------------------------------------------------------------------
 */

static int
tunnel_add_entry(struct tunnel_handler *t, const char *addr, struct adit_ingress *ingress,
		 struct adit_err *e)
{
	if (t->n_entries == ENTRIES_MAX)
		return adit_err_set(e, ADIT_ECONFIG, "more than %d entry points", ENTRIES_MAX);
	t->entries[t->n_entries++] = (struct tunnel_entry){
		.handler = t, .addr = addr, .ingress = ingress,
	};
	return 0;
}

/* One item of `entrypoints`: {addr, ingress}. */
static int
tunnel_read_entry(struct tunnel_handler *t, const struct adit_tree *item, struct adit_err *e)
{
	const char *addr = tree_text(tree_get(item, "addr"));
	const struct adit_tree *name = tree_get(item, "ingress");
	struct adit_ingress *ingress = t->ingress;
	uint16_t port;
	char host[256];

	for (size_t i = 0; i < tree_len(item); i++) {
		const char *key = tree_text(tree_key(item, i));

		if (strcasecmp(key, "addr") != 0 && strcasecmp(key, "ingress") != 0)
			return adit_err_set(e, ADIT_ECONFIG, "entrypoints: unknown key \"%s\"", key);
	}
	if (adit_hostport_split(addr, host, sizeof(host), &port) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "entrypoints: not an address: \"%s\"", addr);
	if (name) {
		ingress = component_ingress(t->base.component, tree_text(name));
		if (!ingress)
			return adit_err_set(e, ADIT_ECONFIG, "entrypoints: there is no ingress \"%s\"",
					    tree_text(name));
	}
	return tunnel_add_entry(t, addr, ingress, e);
}

static int
tunnel_read_entries(struct tunnel_handler *t, struct adit_err *e)
{
	int err = t->entrypoint ? tunnel_add_entry(t, t->entrypoint, t->ingress, e) : 0;

	if (t->entrypoints && tree_type(t->entrypoints) != TREE_LIST)
		return adit_err_set(e, ADIT_ECONFIG, "entrypoints: expected a list");
	for (size_t i = 0; !err && i < tree_len(t->entrypoints); i++)
		err = tunnel_read_entry(t, tree_item(t->entrypoints, i), e);
	return err;
}

static int
tunnel_read_rules(struct tunnel_handler *t, struct adit_err *e)
{
	if (t->ingress_name) {
		t->ingress = component_ingress(t->base.component, t->ingress_name);
		return t->ingress ? 0 : adit_err_set(e, ADIT_ECONFIG, "there is no ingress \"%s\"",
						     t->ingress_name);
	}
	if (!t->inline_rules)
		return 0;
	t->rules = rules_new();
	if (!t->rules)
		return adit_err_set(e, -ENOMEM, "out of memory");
	if (rules_add_list(t->rules, t->inline_rules, e) == 0)
		return 0;
	adit_err_context(e, "tunnel");
	return ADIT_ECONFIG;
}

static int
tunnel_init(struct adit_handler *h, struct adit_err *e)
{
	struct tunnel_handler *t = tunnel_of(h);
	const struct adit_uuid node = adit_uuid_random();
	int err = mux_opts_conf(&t->mux, true, &t->smux, e);

	adit_uuid_format(&node, t->node);
	if (!err)
		err = forwarded_check(&t->trusted, e);
	if (!err && t->sd)
		err = adit_err_set(e, ADIT_EUNSUPPORTED, "sd is not available in this build");
	if (!err)
		err = tunnel_read_rules(t, e);
	return err ? err : tunnel_read_entries(t, e);
}

static void
tunnel_fini(struct adit_handler *h)
{
	rules_free(tunnel_of(h)->rules);
}

static int
tunnel_open_entry(struct tunnel_handler *t, struct tunnel_entry *n, struct adit_err *e)
{
	char text[ADIT_ADDR_TEXT], owner[300];
	const struct entry_conf conf = {
		.component = t->base.component, .addr = n->addr, .owner = owner, .node = t->node,
		.lookup = tunnel_entry_lookup, .arg = n, .read_timeout = t->entry_timeout,
		.keepalive = t->keepalive, .proxy_protocol = t->proxy_protocol > 0,
		.trusted = t->trusted,
	};

	snprintf(owner, sizeof(owner), "%s/entrypoint %zu", adit_component_name(t->base.component),
		 (size_t)(n - t->entries));
	n->entry = entry_open(&conf, e);
	if (!n->entry)
		return e->code;
	adit_log(adit_component_log(t->base.component), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", "entrypoint"),
			     ADIT_STR("service", adit_component_name(t->base.component))),
		 "entrypoint: %s", adit_addr_format(entry_addr(n->entry), text));
	return 0;
}

static void
tunnel_close(struct adit_handler *h)
{
	struct tunnel_handler *t = tunnel_of(h);

	for (size_t i = 0; i < t->n_entries; i++) {
		entry_close(t->entries[i].entry);
		t->entries[i].entry = NULL;
	}
}

static int
tunnel_open(struct adit_handler *h, struct adit_err *e)
{
	struct tunnel_handler *t = tunnel_of(h);
	int err = 0;

	for (size_t i = 0; !err && i < t->n_entries; i++)
		err = tunnel_open_entry(t, &t->entries[i], e);
	return err;
}

static int
tunnel_start(struct adit_handler *h, struct adit_worker *w, struct adit_err *e)
{
	struct tunnel_handler *t = tunnel_of(h);
	int err = 0;

	for (size_t i = 0; !err && i < t->n_entries; i++)
		err = entry_start(t->entries[i].entry, w, e);
	return err;
}

static void
tunnel_stop(struct adit_handler *h, struct adit_worker *w)
{
	struct tunnel_handler *t = tunnel_of(h);

	for (size_t i = 0; i < t->n_entries; i++)
		if (t->entries[i].entry)
			entry_stop(t->entries[i].entry, w);
}

const struct adit_handler_ops handler_tunnel = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(handler_tunnel),
		.kind = ADIT_HANDLER,
		.name = "tunnel",
		.help = "gost's reverse proxy tunnel: clients bind, visitors come in by host name",
		.instance = sizeof(struct tunnel_handler),
		.opts = tunnel_opts,
	},
	.handle = tunnel_handle,
	.init = tunnel_init,
	.fini = tunnel_fini,
	.open = tunnel_open,
	.start = tunnel_start,
	.stop = tunnel_stop,
	.close = tunnel_close,
};
