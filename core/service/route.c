#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/tcp.h"
#include "core/service/component.h"
#include "core/service/instance.h"
#include "core/service/route.h"
#include "core/service/selector.h"

#define HOPS_MAX 16

/* A node of a hop. Its two components are what its instances stand on. */
struct node {
	const struct node_conf	*conf;
	struct adit_component	 dialer_place, connector_place;
	struct instance		 dialer, connector;
	struct node_state	 state;
	char			 host[256];
	uint16_t		 port;
};

struct hop {
	const struct hop_conf	*conf;
	struct selector		 selector;
	struct node		*nodes;
	size_t			 n;
};

struct chain {
	atomic_uint		 refs;
	struct config		*config;	/* referenced */
	const struct chain_conf	*conf;
	struct adit_log		*log;
	size_t			 n;
	struct hop		 hops[HOPS_MAX];
};

/* ---- building --------------------------------------------------------------------- */

static void
node_fini(struct node *n)
{
	instance_fini(&n->dialer);
	instance_fini(&n->connector);
	component_fini(&n->dialer_place);
	component_fini(&n->connector_place);
}

static void
chain_free(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		for (size_t j = 0; j < c->hops[i].n; j++)
			node_fini(&c->hops[i].nodes[j]);
		free(c->hops[i].nodes);
	}
	config_put(c->config);
	free(c);
}

static int
node_init(struct node *n, const struct node_conf *conf, const struct registry *r,
	  struct adit_log *log, struct adit_err *e)
{
	int err;

	n->conf = conf;
	if (conf->bypasses.n || conf->resolver || conf->hosts || conf->matcher || conf->filter ||
	    conf->http || conf->tls || conf->probe || conf->network ||
	    tree_get(conf->node, "interface") || tree_get(conf->node, "sockopts") ||
	    tree_get(conf->node, "netns"))
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "bypass, resolver, hosts, filter, matcher, http, tls, probe, "
				    "network, interface, sockopts and netns of a hop's node are "
				    "not available in this build");
	component_init(&n->dialer_place, conf->name, log, NULL);
	component_init(&n->connector_place, conf->name, log, NULL);
	if (*conf->addr && adit_hostport_split(conf->addr, n->host, sizeof(n->host), &n->port) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "not host:port: %s", conf->addr);
	err = component_configure(&n->dialer_place, conf->dialer, NULL, e);
	if (!err)
		err = component_configure(&n->connector_place, conf->connector, NULL, e);
	if (!err)
		err = instance_init(&n->connector, r, conf->connector, &n->connector_place, NULL,
				    e);
	if (!err)
		n->dialer_place.protocol = instance_protocol(&n->connector);
	if (!err)
		err = instance_init(&n->dialer, r, conf->dialer, &n->dialer_place, NULL, e);
	return err;
}

static int
hop_init(struct hop *h, const struct hop_conf *conf, const struct registry *r, struct adit_log *log,
	 struct adit_err *e)
{
	if (conf->ref)
		conf = conf->ref;
	h->conf = conf;
	if (conf->bypasses.n || conf->resolver || conf->hosts ||
	    tree_get(conf->node, "interface") || tree_get(conf->node, "sockopts"))
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "hop %s: bypass, resolver, hosts, interface and "
				    "sockopts are not available in this build",
				    conf->name ? conf->name : "");
	if (conf->plugin || conf->loader.file || conf->loader.redis || conf->loader.http)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "hop %s: nodes from elsewhere are not available in this build",
				    conf->name ? conf->name : "");
	selector_init(&h->selector, conf->selector);
	if (!conf->nodes.n || conf->nodes.n > SELECTOR_MAX)
		return adit_err_set(e, ADIT_ECONFIG, "hop %s: needs 1 to %d nodes",
				    conf->name ? conf->name : "", SELECTOR_MAX);
	h->nodes = calloc(conf->nodes.n, sizeof(*h->nodes));
	if (!h->nodes)
		return adit_err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < conf->nodes.n; i++) {
		int err;

		h->n = i + 1;
		err = node_init(&h->nodes[i], &conf->nodes.v[i], r, log, e);
		if (err) {
			adit_err_context(e, "node %s", conf->nodes.v[i].name);
			return err;
		}
	}
	return 0;
}

struct chain *
chain_new(struct config *config, const struct chain_conf *conf, const struct registry *r,
	  struct adit_log *log, struct adit_err *e)
{
	struct chain *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->config = config_get(config);
	c->conf = conf;
	c->log = log;
	if (!conf->hops.n || conf->hops.n > HOPS_MAX)
		err = adit_err_set(e, ADIT_ECONFIG, "needs 1 to %d hops", HOPS_MAX);
	while (!err && c->n < conf->hops.n) {
		c->n++;
		err = hop_init(&c->hops[c->n - 1], &conf->hops.v[c->n - 1], r, log, e);
	}
	if (!err)
		return c;
	adit_err_context(e, "chain %s", conf->name);
	chain_free(c);
	return NULL;
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

			if (d && d->ops->stop)
				d->ops->stop(d, w);
		}
	}
}

/* ---- dialing ------------------------------------------------------------------------- */

static struct node *
hop_pick(struct hop *h, const struct adit_addr *visitor)
{
	struct candidate v[SELECTOR_MAX];
	const struct candidate *c;

	for (size_t i = 0; i < h->n; i++)
		v[i] = (struct candidate){ &h->nodes[i].state, h->nodes[i].conf, i };
	c = selector_pick(&h->selector, v, h->n, selector_hash(visitor), adit_now());
	return &h->nodes[c->index];
}

/* How the opening of what a node dialed ended; keeps the chain while it is not known. */
struct report {
	struct chain	*chain;
	struct node	*node;
};

static void
node_report(void *arg, int err)
{
	struct report *r = arg;

	if (err != -ECANCELED)
		node_state_report(&r->node->state, err, adit_now());
	chain_put(r->chain);
	free(r);
}

static struct adit_conn *
node_dial(struct chain *c, struct node *n, const struct adit_dial *how, struct adit_err *e)
{
	const struct adit_dial req = {
		.worker = how->worker, .host = n->host, .port = n->port, .via = how->via,
		.lane = how->lane,
	};
	struct adit_dialer *d = n->dialer.base;
	struct adit_conn *conn = d->ops->dial(d, &req, e);
	struct report *report;

	if (conn)
		conn = instance_client(&n->dialer, conn, n->host, e);
	if (!conn) {
		node_state_report(&n->state, e->code, adit_now());
		adit_err_context(e, "node %s", n->conf->name);
		return NULL;
	}
	report = malloc(sizeof(*report));
	if (report) {
		*report = (struct report){ .chain = chain_get(c), .node = n };
		conn_watch_open(conn, node_report, report);
	}
	return conn;
}

/*
 * Through all hops up to the last node: its connector is the caller's to ask. how says the worker
 * and the lane.
 */
static struct adit_conn *
chain_reach(struct chain *c, struct adit_dial how, const struct adit_addr *visitor,
	    struct node **last, struct adit_err *e)
{
	struct node *n = hop_pick(&c->hops[0], visitor);
	struct adit_conn *conn = node_dial(c, n, &how, e);

	for (size_t i = 1; conn && i < c->n; i++) {
		struct node *next = hop_pick(&c->hops[i], visitor);
		const struct adit_target to = {
			.network = ADIT_TCP, .host = next->host, .port = next->port,
		};
		struct adit_connector *via = n->connector.base;

		how.via = via->ops->connect(via, conn, &to, visitor, e);
		conn = how.via ? node_dial(c, next, &how, e) : NULL;
		n = next;
	}
	*last = n;
	return conn;
}

static struct adit_conn *
direct_dial(struct adit_worker *w, const struct adit_target *to, struct adit_err *e)
{
	if (to->network == ADIT_UNIX)
		return unix_connect(w, to->host, e);
	if (to->network == ADIT_UDP) {
		adit_err_set(e, ADIT_EUNSUPPORTED, "udp targets are not available in this build");
		return NULL;
	}
	return tcp_dial(w, to->host, to->port, DIAL_MS, e);
}

bool
chain_binds(const struct chain *c)
{
	const struct hop *last = &c->hops[c->n - 1];
	bool binds = true;

	for (size_t i = 0; i < last->n; i++) {
		const struct adit_connector *n = last->nodes[i].connector.base;

		binds = binds && n->ops->bind;
	}
	return binds;
}

struct adit_conn *
chain_dial(struct chain *c, struct adit_worker *w, const struct adit_target *to,
	   const struct adit_addr *visitor, struct adit_err *e)
{
	const struct adit_dial how = { .worker = w };
	struct adit_connector *via;
	struct adit_conn *conn;
	struct node *last;

	if (!c)
		return direct_dial(w, to, e);
	conn = chain_reach(c, how, visitor, &last, e);
	if (!conn)
		return NULL;
	via = last->connector.base;
	return via->ops->connect(via, conn, to, visitor, e);
}

struct adit_mux *
chain_bind(struct chain *c, struct adit_worker *w, const struct adit_target *address,
	   struct adit_err *e)
{
	const struct adit_dial how = { .worker = w, .lane = address->lane };
	struct adit_connector *via;
	struct adit_conn *conn;
	struct node *last;

	conn = chain_reach(c, how, NULL, &last, e);
	if (!conn)
		return NULL;
	via = last->connector.base;
	if (via->ops->bind)
		return via->ops->bind(via, conn, address, e);
	adit_conn_close(conn, -ENOTSUP);
	adit_err_set(e, -ENOTSUP, "connector %s cannot bind", via->ops->base.name);
	return NULL;
}
