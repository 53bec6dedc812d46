/*
 * Handler `tunnel`: gost's reverse proxy tunnel, the server's side. A connection begins with one
 * relay request: a client binds a tunnel and the connection becomes a session, or a visitor reaches
 * one. Public entry points bring the visitors that speak HTTP or TLS.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/config/tree.h"
#include "core/mux/mux_opts.h"
#include "core/service/claim.h"
#include "core/service/component.h"
#include "core/service/desk.h"
#include "core/tunnel/entry.h"
#include "core/tunnel/forwarded.h"
#include "core/tunnel/native_conn.h"
#include "core/tunnel/native_request.h"
#include "core/tunnel/relay_request.h"
#include "core/tunnel/rules.h"
#include "core/wire/native.h"

#define ENTRIES_MAX 16

struct tunnel_handler {
	struct adit_handler	 base;
	char			*entrypoint;
	const struct adit_tree	*entrypoints;
	int64_t			 proxy_protocol;
	bool			 keepalive, compression, sniff_websocket;
	uint64_t		 entry_timeout, ttl;
	int64_t			 per_address;
	struct adit_strings	 trusted;
	char			*ingress_name, *inline_rules, *grants, *sd, *sample_rate, *domain;
	struct mux_opts		 mux;
	struct request_conf requests;	/* partly filled by the options */

	struct adit_ingress	*ingress;	/* borrowed from the configuration, or NULL */
	struct rules		*rules;		/* of inline_rules, owned */
	char			 node[37];	/* this server's id, for loops */
	struct tunnel_entrypoint {
		struct tunnel_handler	*handler;
		const char		*addr;
		struct adit_ingress	*ingress; /* its own, or the handler's; NULL: rules */
		struct entry		*entry;	/* while open; owned */
	}			 entries[ENTRIES_MAX];
	size_t			 n_entries;
};

#define AT(f) offsetof(struct tunnel_handler, f)
static const struct adit_opt tunnel_opts[] = {
	{ .name = "entrypoint", .type = ADIT_OPT_ADDR, .offset = AT(entrypoint),
	  .help = "address of the public entry point: HTTP by Host, TLS by SNI" },
	{ .name = "entrypoints", .type = ADIT_OPT_TREE, .offset = AT(entrypoints),
	  .help = "more entry points: a list of {addr, ingress}" },
	{ .name = "entrypoint.id", .type = ADIT_OPT_UUID, .offset = AT(requests.public_id),
	  .given = AT(requests.has_public_id),
	  .help = "visitors with this tunnel id count as a public entry point" },
	{ .name = "entrypoint.proxyProtocol", .type = ADIT_OPT_INT, .offset = AT(proxy_protocol),
	  .min = 0, .max = 2,
	  .help = "take a PROXY header (version 1 or 2) in front, if there is one, from "
		  "entrypoint.trustedProxies, or from anybody if there are none" },
	{ .name = "entrypoint.keepalive", .type = ADIT_OPT_BOOL, .offset = AT(keepalive),
	  .def = "true", .help = "keep idle streams to clients and use them for later requests" },
	{ .name = "entrypoint.compression", .type = ADIT_OPT_BOOL, .offset = AT(compression),
	  .help = "accepted for gost's sake; bodies are passed on as they are" },
	{ .name = "entrypoint.readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(entry_timeout),
	  .def = "15s", .help = "limit for the first bytes of a target's answer" },
	{ .name = "entrypoint.trustedProxies", .type = ADIT_OPT_LIST, .offset = AT(trusted),
	  .check = forwarded_check_network,
	  .help = "addresses and networks whose word about the client's address is taken" },
	{ .name = "ingress", .type = ADIT_OPT_NAME, .offset = AT(ingress_name),
	  .refers = "ingresses", .help = "rules: which host belongs to which tunnel" },
	{ .name = "grants", .type = ADIT_OPT_NAME, .offset = AT(grants), .refers = "grants",
	  .help = "who may be client or visitor of which tunnel; without them, who is let in" },
	{ .name = "tunnel", .type = ADIT_OPT_STRING, .offset = AT(inline_rules),
	  .check = rules_check_list,
	  .help = "rules as host:id,host:id; used when no ingress is named" },
	{ .name = "tunnel.direct", .type = ADIT_OPT_BOOL, .offset = AT(requests.direct),
	  .help = "visitors reach the tunnel whose id they give, whatever the rules say" },
	{ .name = "tunnel.domain", .type = ADIT_OPT_STRING, .offset = AT(domain),
	  .check = temporary_check_domain,
	  .help = "every bound tunnel can be reached by a temporary name below this domain; with "
		  ":port if visitors come to another one than the entry point's" },
	{ .name = "tunnel.ttl", .type = ADIT_OPT_DURATION, .offset = AT(ttl), .def = "24h",
	  .help = "how long a temporary name is good for after a bind; 0: as long as that lasts" },
	{ .name = "tunnel.perAddress", .type = ADIT_OPT_INT, .offset = AT(per_address),
	  .def = "32", .min = 0, .max = 16384,
	  .help = "with tunnel.domain: sessions of clients from one address, or one IPv6 /64; 0: "
		  "any number" },
	{ .name = "sd", .type = ADIT_OPT_NAME, .offset = AT(sd), .refers = "sds",
	  .help = "shares tunnels with other servers" },
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(requests.read_timeout),
	  .def = "10s", .help = "limit for a connection's request" },
	{ .name = "sniffing.websocket", .type = ADIT_OPT_BOOL, .offset = AT(sniff_websocket),
	  .help = "recording of WebSocket frames" },
	{ .name = "sniffing.websocket.sampleRate", .type = ADIT_OPT_STRING,
	  .offset = AT(sample_rate), .help = "frames recorded per second" },
	MUX_BIND_OPTS(struct tunnel_handler, mux, "2"),
	ADIT_OPT_END,
};

static struct tunnel_handler *
tunnel_of(struct adit_handler *h)
{
	return adit_container_of(h, struct tunnel_handler, base);
}

/* ---- rules -------------------------------------------------------------------------- */

static int
tunnel_lookup(struct tunnel_handler *t, struct adit_ingress *ingress, struct adit_worker *w,
	      const char *host, struct adit_rule *out)
{
	int err = ADIT_ENOROUTE;

	if (ingress)
		err = ingress->ops->lookup(ingress, w, adit_component_name(t->base.component), host,
					   out);
	else if (t->rules)
		err = rules_find(t->rules, host, out);
	return err == ADIT_ENOROUTE ? temporary_find(&t->requests.temporary, w, host, out) : err;
}

static int
tunnel_wait(struct adit_ingress *ingress, struct adit_worker *w, const char *host,
	    struct adit_lookup *q)
{
	if (!ingress || !ingress->ops->wait)
		return ADIT_ENORULES;
	return ingress->ops->wait(ingress, w, host, q);
}

static int
tunnel_entry_lookup(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	struct tunnel_entrypoint *n = arg;

	return tunnel_lookup(n->handler, n->ingress, w, host, out);
}

static int
tunnel_entry_wait(void *arg, struct adit_worker *w, const char *host, struct adit_lookup *q)
{
	struct tunnel_entrypoint *n = arg;

	return tunnel_wait(n->ingress, w, host, q);
}

static int
tunnel_request_wait(void *arg, struct adit_worker *w, const char *host, struct adit_lookup *q)
{
	struct tunnel_handler *t = arg;

	return tunnel_wait(t->ingress, w, host, q);
}

static void
tunnel_request_offer(void *arg, struct adit_worker *w, const struct adit_offer *offer)
{
	struct tunnel_handler *t = arg;

	if (t->ingress && t->ingress->ops->offer)
		t->ingress->ops->offer(t->ingress, w, offer);
}

static int
tunnel_request_lookup(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	struct tunnel_handler *t = arg;

	return tunnel_lookup(t, t->ingress, w, host, out);
}

static void
tunnel_handle(struct adit_handler *h, struct adit_conn *c)
{
	const struct request_conf *conf = &tunnel_of(h)->requests;

	if (native_speaks(c))
		native_request(c, conf);
	else
		relay_request(c, conf);
}

/*
 * ---- the handler's life ------------------------------------------------------------------------
 */

/* key: where addr stands in the service. */
static int
tunnel_add_entry(struct tunnel_handler *t, const char *addr, const char *key,
		 struct adit_ingress *ingress, struct adit_err *e)
{
	if (t->n_entries == ENTRIES_MAX)
		return adit_err_set(e, ADIT_ECONFIG, "more than %d entry points", ENTRIES_MAX);
	if (claim_address(t->base.component, addr, 0, key) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	t->entries[t->n_entries++] = (struct tunnel_entrypoint){
		.handler = t, .addr = addr, .ingress = ingress,
	};
	return 0;
}

/* An item of `entrypoints`: {addr, ingress}. */
static int
tunnel_read_entry(struct tunnel_handler *t, size_t index, struct adit_err *e)
{
	const struct adit_tree *item = tree_item(t->entrypoints, index);
	const char *addr = tree_text(tree_get(item, "addr"));
	const struct adit_tree *name = tree_get(item, "ingress");
	struct adit_ingress *ingress = t->ingress;
	char host[256], place[64];
	uint16_t port;

	for (size_t i = 0; i < tree_len(item); i++) {
		const char *key = tree_text(tree_key(item, i));

		if (strcasecmp(key, "addr") != 0 && strcasecmp(key, "ingress") != 0)
			return adit_err_set(e, ADIT_ECONFIG,
					    "entrypoints[%zu].%s: unknown key", index, key);
	}
	if (adit_hostport_split(addr, host, sizeof(host), &port) < 0)
		return adit_err_set(e, ADIT_ECONFIG,
				    "entrypoints[%zu].addr: not an address: \"%s\"", index, addr);
	if (name) {
		ingress = component_ingress(t->base.component, tree_text(name));
		if (!ingress)
			return adit_err_set(e, ADIT_ECONFIG,
					    "entrypoints[%zu].ingress: there is no \"%s\"",
					    index, tree_text(name));
	}
	snprintf(place, sizeof(place), "handler.metadata.entrypoints[%zu].addr", index);
	return tunnel_add_entry(t, addr, place, ingress, e);
}

static int
tunnel_read_entries(struct tunnel_handler *t, struct adit_err *e)
{
	int err = 0;

	if (t->entrypoint)
		err = tunnel_add_entry(t, t->entrypoint, "handler.metadata.entrypoint", t->ingress,
				       e);
	if (t->entrypoints && tree_type(t->entrypoints) != TREE_LIST)
		return adit_err_set(e, ADIT_ECONFIG, "entrypoints: expected a list");
	for (size_t i = 0; !err && i < tree_len(t->entrypoints); i++)
		err = tunnel_read_entry(t, i, e);
	return err;
}

static int
tunnel_read_rules(struct tunnel_handler *t, struct adit_err *e)
{
	if (t->ingress_name) {
		t->ingress = component_ingress(t->base.component, t->ingress_name);
		return t->ingress ? 0 : adit_err_set(e, ADIT_ECONFIG, "ingress: there is no \"%s\"",
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
tunnel_read_domain(struct tunnel_handler *t, struct adit_err *e)
{
	struct temporary_conf *names = &t->requests.temporary;

	names->ttl = t->ttl;
	names->per_address = (unsigned)t->per_address;
	return t->domain ? temporary_set_domain(names, t->domain, e) : 0;
}

static int
tunnel_init(struct adit_handler *h, struct adit_err *e)
{
	struct tunnel_handler *t = tunnel_of(h);
	const struct adit_uuid node = adit_uuid_random();
	struct adit_err other = ADIT_ERR_INIT;
	int err = mux_opts_conf(&t->mux, true, &t->requests.smux, e), err2;

	adit_uuid_format(&node, t->node);
	if (!err)
		err = forwarded_check(&t->trusted, e);
	if (!err && t->sd)
		err = adit_err_set(e, ADIT_EUNSUPPORTED, "sd is not available in this build");
	if (!err)
		err = tunnel_read_rules(t, e);
	if (!err)
		err = tunnel_read_domain(t, e);
	if (!err && t->grants)
		err = component_take_grants(h->component, t->grants, e);
	t->requests.component = h->component;
	t->requests.gate = &h->component->gate;
	t->requests.lookup = tunnel_request_lookup;
	t->requests.wait = tunnel_request_wait;
	t->requests.offer = tunnel_request_offer;
	t->requests.arg = t;
	t->requests.names = t->ingress != NULL;
	/* Whatever else is wrong: what they claim is to be known. */
	err2 = tunnel_read_entries(t, err ? &other : e);
	return err ? err : err2;
}

static void
tunnel_fini(struct adit_handler *h)
{
	rules_free(tunnel_of(h)->rules);
}

static int
tunnel_open_entry(struct tunnel_handler *t, struct tunnel_entrypoint *n, struct adit_err *e)
{
	char text[ADIT_ADDR_TEXT], owner[300];
	const struct entry_conf conf = {
		.component = t->base.component, .sockets = t->base.component->sockets,
		.addr = n->addr, .owner = owner, .node = t->node,
		.lookup = tunnel_entry_lookup, .wait = tunnel_entry_wait, .arg = n,
		.read_timeout = t->entry_timeout,
		.keepalive = t->keepalive, .proxy_protocol = t->proxy_protocol > 0,
		.trusted = t->trusted,
	};

	snprintf(owner, sizeof(owner), "%s/entrypoint %zu", adit_component_name(t->base.component),
		 (size_t)(n - t->entries));
	n->entry = entry_open(&conf, e);
	if (!n->entry && !(t->entrypoint && n == t->entries))	/* one of `entrypoints` */
		adit_err_context(e, "entrypoints[%zu].addr",
				 (size_t)(n - t->entries) - (t->entrypoint != NULL));
	if (!n->entry)
		return e->code;
	desk_count_service(t->base.component->desk, 1);
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
		if (t->entries[i].entry)
			desk_count_service(h->component->desk, -1);
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
	if (!err && t->n_entries && !t->requests.temporary.port)
		t->requests.temporary.port = entry_addr(t->entries[0].entry)->port;
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
	.protocol = NATIVE_ALPN,
	.authenticates = true,
	.handle = tunnel_handle,
	.init = tunnel_init,
	.fini = tunnel_fini,
	.open = tunnel_open,
	.start = tunnel_start,
	.stop = tunnel_stop,
	.close = tunnel_close,
};
