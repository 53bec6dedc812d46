#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/config/opts.h"
#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/proxied.h"
#include "core/conn/tcp.h"
#include "core/conn/udp_dial.h"
#include "core/policy/policy.h"
#include "core/service/component.h"
#include "core/service/instance.h"
#include "core/service/route.h"
#include "core/service/selector.h"
#include "core/service/session_pool.h"
#include "core/service/world.h"

#define HOPS_MAX 16

/* A node of a hop. Its two components are what its instances stand on. */
struct node {
	const struct node_conf	*conf;
	struct adit_component	 dialer_place, connector_place;
	struct instance		 dialer, connector;
	struct session_pool	*pool;		/* where dialer ends in a session; owned */
	struct node_state	 state;
	struct held		**bypasses;	/* owned; ended by NULL; NULL: none */
	int64_t			 proxy_protocol;	/* version of the PROXY header that it is
							 * sent; 0: none */
	char			 host[256];
	uint16_t		 port;
};

struct hop {
	const struct hop_conf	*conf;
	struct selector		 selector;
	struct held		**bypasses;	/* as a node's */
	struct node		*nodes;
	size_t			 n;
};

struct chain {
	atomic_uint		 refs;
	struct config		*config;	/* referenced */
	const struct chain_conf	*conf;
	size_t			 n;
	struct hop		 hops[HOPS_MAX];
};

/* The nodes that lead to a target. */
struct route {
	struct chain	*chain;
	size_t		 n;
	struct node	*nodes[HOPS_MAX];
};

static const struct adit_opt proxy_rows[] = {
	{ .name = "proxyProtocol", .type = ADIT_OPT_INT, .max = 2,
	  .offset = offsetof(struct node, proxy_protocol) },
	ADIT_OPT_END,
};

/* ---- building --------------------------------------------------------------------- */

static void
node_fini(struct node *n)
{
	session_pool_free(n->pool);
	instance_fini(&n->dialer);
	instance_fini(&n->connector);
	component_fini(&n->dialer_place);
	component_fini(&n->connector_place);
	world_held_free(n->bypasses);
}

static void
chain_free(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		for (size_t j = 0; j < c->hops[i].n; j++)
			node_fini(&c->hops[i].nodes[j]);
		free(c->hops[i].nodes);
		world_held_free(c->hops[i].bypasses);
	}
	config_put(c->config);
	free(c);
}

static struct instance_source
node_source(const struct component_conf *conf, const struct registry *r, const struct place *at)
{
	return (struct instance_source){ .registry = r, .conf = conf, .at = *at };
}

static struct held **
take_bypasses(const struct service_world *world, const struct adit_strings *names,
	      const struct place *at)
{
	int err = 0;
	struct held **v = world_held(world, CONFIG_BYPASSES, names, &err);

	if (err)
		place_say(at, err, "out of memory");
	return v;
}

static void
node_init(struct node *n, const struct node_conf *conf, const struct service_world *world,
	  const struct place *at)
{
	static const char *const unavailable[] = {
		"resolver", "hosts", "matcher", "filter", "http", "tls",
		"probe", "network", "interface", "sockopts", "netns", NULL,
	};
	const struct registry *r = world->registry;
	struct place_step connector_step, dialer_step;
	const struct instance_source
		connector = node_source(conf->connector, r,
					place_step(&connector_step, at, "connector",
						   conf->connector->node)),
		dialer = node_source(conf->dialer, r,
				     place_step(&dialer_step, at, "dialer", conf->dialer->node));

	n->conf = conf;
	n->bypasses = take_bypasses(world, &conf->bypasses, at);
	component_init(&n->dialer_place, conf->name, world->log, NULL);
	component_init(&n->connector_place, conf->name, world->log, NULL);
	n->dialer_place.address = conf->addr;
	n->connector_place.dialer = conf->dialer->type;
	place_unavailable(at, unavailable);
	if (*conf->addr && adit_hostport_split(conf->addr, n->host, sizeof(n->host), &n->port) < 0)
		place_say(at, ADIT_ECONFIG, "addr: not host:port: %s", conf->addr);
	if (component_configure(&n->connector_place, &connector) == 0 &&
	    instance_init(&n->connector, &connector, &n->connector_place) == 0)
		n->dialer_place.protocol = instance_protocol(&n->connector);
	if (component_configure(&n->dialer_place, &dialer) == 0)
		instance_init(&n->dialer, &dialer, &n->dialer_place);
	if (n->dialer.session)
		n->pool = session_pool_new(&n->dialer);
	if (n->dialer.session && !n->pool)
		place_say(at, -ENOMEM, "out of memory");
}

/* A node has what its hop says, unless it says something itself. at: of the node. */
static void
node_read_proxy(struct node *n, const struct hop_conf *hop, const struct place *at)
{
	const struct adit_tree *own = n->conf->metadata;
	struct place_step metadata;
	const struct opts_src source = {
		.node = tree_get(own, "proxyProtocol") ? own : hop->metadata,
		.path = &metadata.path, .lenient = true,
	};

	place_step(&metadata, at, "metadata", own);
	opts_fill(proxy_rows, n, &source, at->errs);
	if (n->pool && n->proxy_protocol)
		place_say(&metadata.at, ADIT_EUNSUPPORTED,
			  "proxyProtocol: a session is of many visitors");
}

/* at: of conf itself, not of a name that stands for it. */
static void
hop_init(struct hop *h, const struct hop_conf *conf, const struct service_world *world,
	 const struct place *at)
{
	static const char *const unavailable[] = {
		"resolver", "hosts", "interface", "sockopts", "plugin", "file", "redis", "http",
		NULL,
	};
	bool elsewhere = place_unavailable(at, unavailable) < 0;

	h->conf = conf;
	h->bypasses = take_bypasses(world, &conf->bypasses, at);
	selector_init(&h->selector, conf->selector);
	if (!conf->nodes.n || conf->nodes.n > SELECTOR_MAX) {
		if (!elsewhere)
			place_say(at, ADIT_ECONFIG, "a hop needs 1 to %d nodes", SELECTOR_MAX);
		return;
	}
	h->nodes = calloc(conf->nodes.n, sizeof(*h->nodes));
	if (!h->nodes) {
		place_say(at, -ENOMEM, "out of memory");
		return;
	}
	for (h->n = 0; h->n < conf->nodes.n; h->n++) {
		const struct node_conf *node = &conf->nodes.v[h->n];
		struct place_step step;

		place_step_item(&step, at, "nodes", h->n, node->node);
		node_init(&h->nodes[h->n], node, world, &step.at);
		node_read_proxy(&h->nodes[h->n], conf, &step.at);
		h->nodes[h->n].connector_place.hop = conf->name;
	}
}

/* "direct://" on a command line: a hop that there is not. */
static bool
hop_is_none(const struct hop_conf *h)
{
	return !h->ref && !h->nodes.n && !h->plugin && !h->loader.file && !h->loader.redis &&
	       !h->loader.http;
}

/* A hop of the chain there, or the one of the top that it stands for. */
static void
chain_add_hop(struct chain *c, const struct hop_conf *conf, const struct service_world *world,
	      const struct place *chain)
{
	const struct place top = { .errs = chain->errs };
	struct place_step step;

	if (conf->ref) {
		place_step_item(&step, &top, config_list_name(CONFIG_HOPS),
				(size_t)(conf->ref - c->config->hops.v), conf->ref->node);
		conf = conf->ref;
	} else {
		place_step_item(&step, chain, "hops", (size_t)(conf - c->conf->hops.v),
				conf->node);
	}
	hop_init(&c->hops[c->n++], conf, world, &step.at);
}

struct chain *
chain_new(const struct service_world *world, size_t index, struct config_errors *errs)
{
	const struct chain_conf *conf = &world->config->chains.v[index];
	const struct place top = { .errs = errs };
	struct chain *c = calloc(1, sizeof(*c));
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_CHAINS), index, conf->node);
	if (!c) {
		place_say(&step.at, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->config = config_get(world->config);
	c->conf = conf;
	if (!conf->hops.n || conf->hops.n > HOPS_MAX)
		place_say(&step.at, ADIT_ECONFIG, "a chain needs 1 to %d hops", HOPS_MAX);
	else
		for (size_t i = 0; i < conf->hops.n; i++)
			if (!hop_is_none(&conf->hops.v[i]))
				chain_add_hop(c, &conf->hops.v[i], world, &step.at);
	return c;
}

struct chain *
chain_get(struct chain *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
chain_put(struct chain *c)
{
	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		chain_free(c);
}

const char *
chain_name(const struct chain *c)
{
	return c->conf->name;
}

void
chain_stop(struct chain *c, struct adit_worker *w)
{
	for (size_t i = 0; i < c->n; i++) {
		for (size_t j = 0; j < c->hops[i].n; j++) {
			struct adit_dialer *d = c->hops[i].nodes[j].dialer.base;

			if (c->hops[i].nodes[j].pool)
				session_pool_stop(c->hops[i].nodes[j].pool, w);
			if (d && d->ops->stop)
				d->ops->stop(d, w);
		}
	}
}

/* ---- dialing ------------------------------------------------------------------------- */

/* A node that is for that target; NULL: none is. */
static struct node *
hop_pick(struct hop *h, const struct policy_target *to, const struct adit_addr *visitor)
{
	struct candidate v[SELECTOR_MAX];
	const struct candidate *c;
	size_t n = 0;

	if (policies_bypass(h->bypasses, to))
		return NULL;
	for (size_t i = 0; i < h->n; i++)
		if (!policies_bypass(h->nodes[i].bypasses, to))
			v[n++] = (struct candidate){ &h->nodes[i].state, h->nodes[i].conf, i };
	c = selector_pick(&h->selector, v, n, selector_hash(visitor), adit_now());
	return c ? &h->nodes[c->index] : NULL;
}

/* As far as there are nodes for it. */
static void
chain_route(struct chain *c, const struct policy_target *to, const struct adit_addr *visitor,
	    struct route *out)
{
	out->chain = c;
	for (out->n = 0; out->n < c->n; out->n++) {
		out->nodes[out->n] = hop_pick(&c->hops[out->n], to, visitor);
		if (!out->nodes[out->n])
			break;
	}
}

/* How the opening of what a node dialed ended; keeps the chain while it is not known. */
struct report {
	struct conn_watch	 watch;
	struct chain		*chain;
	struct node		*node;
};

static void
node_report(struct conn_watch *watch, int err)
{
	struct report *r = adit_container_of(watch, struct report, watch);

	if (err != -ECANCELED)
		node_state_report(&r->node->state, err, adit_now());
	chain_put(r->chain);
	free(r);
}

void
adit_dialer_say_leaving(struct adit_dialer *d)
{
	struct node *n = adit_container_of(d->component, struct node, dialer_place);

	node_state_report(&n->state, ADIT_EDRAINING, adit_now());
}

/* In front of all layers. A session is of many visitors: it has none to begin with. */
static struct adit_conn *
node_announce(const struct node *n, struct adit_conn *conn, const struct adit_addr *visitor,
	      struct adit_err *e)
{
	if (!conn || !n->proxy_protocol)
		return conn;
	conn = proxied_conn(conn, (unsigned)n->proxy_protocol, visitor);
	if (!conn)
		adit_err_set(e, -ENOMEM, "out of memory");
	return conn;
}

static struct adit_conn *
node_dial(struct chain *c, struct node *n, const struct adit_dial *how,
	  const struct adit_addr *visitor, struct adit_err *e)
{
	const struct adit_dial req = {
		.worker = how->worker, .host = n->host, .port = n->port, .via = how->via,
		.lane = how->lane,
	};
	struct adit_dialer *d = n->dialer.base;
	struct report *report;
	struct adit_conn *conn;

	conn = n->pool ? session_pool_dial(n->pool, &req, e) : d->ops->dial(d, &req, e);
	if (!n->pool)
		conn = node_announce(n, conn, visitor, e);
	if (conn && !n->pool)
		conn = instance_client(&n->dialer, conn, n->host, e);
	if (!conn) {
		node_state_report(&n->state, e->code, adit_now());
		adit_err_context(e, "node %s", n->conf->name);
		return NULL;
	}
	report = malloc(sizeof(*report));
	if (report) {
		*report = (struct report){
			.watch = { .told = node_report }, .chain = chain_get(c), .node = n,
		};
		conn_watch_open(conn, &report->watch);
	}
	return conn;
}

/*
 * Through all hops up to the last node: its connector is the caller's to ask. how says the worker
 * and the lane.
 */
static struct adit_conn *
route_reach(const struct route *r, struct adit_dial how, const struct adit_addr *visitor,
	    struct adit_err *e)
{
	struct adit_conn *conn = node_dial(r->chain, r->nodes[0], &how, visitor, e);

	for (size_t i = 1; conn && i < r->n; i++) {
		struct node *next = r->nodes[i];
		const struct adit_target to = {
			.network = ADIT_TCP, .host = next->host, .port = next->port,
		};
		struct adit_connector *via = r->nodes[i - 1]->connector.base;

		how.via = via->ops->connect(via, conn, &to, visitor, e);
		conn = how.via ? node_dial(r->chain, next, &how, visitor, e) : NULL;
	}
	return conn;
}

static struct adit_conn *
direct_dial(struct adit_worker *w, const struct adit_target *to, struct adit_err *e)
{
	if (to->network == ADIT_UNIX)
		return unix_connect(w, to->host, e);
	if (to->network == ADIT_UDP)
		return udp_dial(w, to->host, to->port, e);
	return tcp_dial(w, to->host, to->port, DIAL_MS, e);
}

bool
chain_binds(const struct chain *c)
{
	const struct hop *last = c->n ? &c->hops[c->n - 1] : NULL;

	if (!last)		/* nobody to ask, or a chain that could not be made */
		return !c->conf->hops.n || c->conf->hops.n > HOPS_MAX;
	for (size_t i = 0; i < last->n; i++) {
		const struct adit_connector *n = last->nodes[i].connector.base;

		if (n && !n->ops->bind)
			return false;
	}
	return true;
}

struct adit_conn *
chain_dial(struct chain *c, struct adit_worker *w, const struct adit_target *to,
	   const struct adit_addr *visitor, struct adit_err *e)
{
	const struct adit_dial how = { .worker = w };
	const struct policy_target target = policy_target(to);
	struct adit_connector *via;
	struct adit_conn *conn;
	struct route route;

	if (c)
		chain_route(c, &target, visitor, &route);
	if (!c || !route.n)
		return direct_dial(w, to, e);
	conn = route_reach(&route, how, visitor, e);
	if (!conn)
		return NULL;
	via = route.nodes[route.n - 1]->connector.base;
	return via->ops->connect(via, conn, to, visitor, e);
}

struct adit_mux *
chain_bind(struct chain *c, struct adit_worker *w, const struct adit_target *address,
	   struct adit_err *e)
{
	static const struct policy_target nowhere;
	const struct adit_dial how = { .worker = w, .lane = address->lane };
	struct adit_connector *via;
	struct adit_conn *conn;
	struct route route;

	if (!c->n) {
		adit_err_set(e, -ENOTSUP, "a chain without a node cannot bind");
		return NULL;
	}
	chain_route(c, &nowhere, NULL, &route);
	conn = route_reach(&route, how, NULL, e);
	if (!conn)
		return NULL;
	via = route.nodes[route.n - 1]->connector.base;
	if (via->ops->bind)
		return via->ops->bind(via, conn, address, e);
	adit_conn_close(conn, -ENOTSUP);
	adit_err_set(e, -ENOTSUP, "connector %s cannot bind", via->ops->base.name);
	return NULL;
}
