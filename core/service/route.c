#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/config/opts.h"
#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/opening.h"
#include "core/conn/proxied.h"
#include "core/conn/tally.h"
#include "core/conn/tcp.h"
#include "core/conn/udp_dial.h"
#include "core/policy/policy.h"
#include "core/service/component.h"
#include "core/service/instance.h"
#include "core/service/names.h"
#include "core/service/race.h"
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
	struct race		*race;		/* where dialer is several; owned */
	struct race_opts	 race_opts;
	struct node_state	 state;
	struct held		**bypasses;	/* owned; ended by NULL; NULL: none */
	struct names		 names;		/* of host */
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

/* A node on the way, and where it is, as far as that was looked up. */
struct stop {
	struct node		*node;
	size_t			 n;		/* 0: the node's host is looked up by who dials */
	struct adit_addr	 addrs[RESOLVER_MAX];
};

/* The nodes that lead to a target. */
struct route {
	struct chain	*chain;
	size_t		 n;
	struct stop	 stops[HOPS_MAX];
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
	race_free(n->race);
	instance_fini(&n->dialer);
	instance_fini(&n->connector);
	component_fini(&n->dialer_place);
	component_fini(&n->connector_place);
	world_held_free(n->bypasses);
	names_fini(&n->names);
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

/* at: of the dialer, whose ways are there. */
static void
node_init_race(struct node *n, const struct component_conf *conf, const struct place *at)
{
	struct place_step metadata;
	const struct opts_src source = {
		.node = conf->metadata, .path = &metadata.path, .lenient = true,
	};
	struct race_conf race = { .component = &n->dialer_place, .name = conf->type };

	place_step(&metadata, at, "metadata", conf->metadata);
	if (opts_fill(race_rows, &n->race_opts, &source, at->errs) < 0)
		return;
	race.retry = n->race_opts.retry;
	for (; race.n < n->dialer.n_ways && race.n < RACE_WAYS; race.n++)
		race.ways[race.n] = n->dialer.ways[race.n].name;
	n->race = race_new(&race);
	if (!n->race)
		place_say(at, -ENOMEM, "out of memory");
}

static void
node_init(struct node *n, const struct node_conf *conf, const struct service_world *world,
	  const struct place *at)
{
	static const char *const unavailable[] = {
		"matcher", "filter", "http", "tls", "probe", "network", "interface", "sockopts",
		"netns", NULL,
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
	if (n->dialer.n_ways)
		node_init_race(n, conf->dialer, &dialer.at);
}

/* A resolver that is asked through a chain cannot say where the nodes of chains are. */
static void
check_resolver(const struct service_world *world, const char *name, const struct place *at)
{
	ptrdiff_t i = name ? config_index_find(world->config, CONFIG_RESOLVERS, name) : -1;
	const struct nameserver_list *list =
		i < 0 ? NULL : &world->config->resolvers.v[i].nameservers;

	for (size_t k = 0; list && k < list->n; k++)
		if (list->v[k].chain)
			place_say(at, ADIT_ECONFIG, "resolver %s: is asked through chain %s, and "
				  "cannot say where a node is", name, list->v[k].chain);
}

/* As below. */
static void
node_take_names(struct node *n, const struct hop_conf *hop, const struct service_world *world,
		const struct place *at)
{
	const char *hosts = n->conf->hosts ? n->conf->hosts : hop->hosts;
	const char *resolver = n->conf->resolver ? n->conf->resolver : hop->resolver;

	check_resolver(world, resolver, at);
	n->names.hosts = world_held_one(world, CONFIG_HOSTS, hosts);
	n->names.resolver = world_held_one(world, CONFIG_RESOLVERS, resolver);
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
	if (n->race && n->proxy_protocol)
		place_say(&metadata.at, ADIT_EUNSUPPORTED,
			  "proxyProtocol: not every way of dialer %s has room for it",
			  n->conf->dialer->type);
}

/* at: of conf itself, not of a name that stands for it. */
static void
hop_init(struct hop *h, const struct hop_conf *conf, const struct service_world *world,
	 const struct place *at)
{
	static const char *const unavailable[] = {
		"interface", "sockopts", "plugin", "file", "redis", "http", NULL,
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
		node_take_names(&h->nodes[h->n], conf, world, &step.at);
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
	hop_init(&c->hops[c->n], conf, world, &step.at);
	for (size_t i = 0; i < c->hops[c->n].n; i++)
		c->hops[c->n].nodes[i].connector_place.behind = c->n > 0;
	c->n++;
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

static void
node_stop(struct node *n, struct adit_worker *w)
{
	size_t n_ways;
	struct instance *ways = instance_ways(&n->dialer, &n_ways);

	if (n->race)
		race_stop(n->race, w);
	if (n->pool)
		session_pool_stop(n->pool, w);
	for (size_t i = 0; i < n_ways; i++) {
		struct adit_dialer *d = ways[i].base;

		if (d->ops->stop)
			d->ops->stop(d, w);
	}
}

void
chain_stop(struct chain *c, struct adit_worker *w)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t j = 0; j < c->hops[i].n; j++)
			node_stop(&c->hops[i].nodes[j], w);
}

/* ---- dialing ------------------------------------------------------------------------- */

/* 0, and *out is a node that is for that target; NULL: none is. Or ADIT_ENORULES. */
static int
hop_pick(struct hop *h, const struct policy_target *to, const struct adit_addr *visitor,
	 struct node **out)
{
	struct candidate v[SELECTOR_MAX];
	const struct candidate *c;
	bool unknown = false;
	size_t n = 0;

	*out = NULL;
	if (policies_bypass(h->bypasses, to))
		return policies_unknown(h->bypasses, to) ? ADIT_ENORULES : 0;
	for (size_t i = 0; i < h->n; i++) {
		struct node *node = &h->nodes[i];

		if (!policies_bypass(node->bypasses, to))
			v[n++] = (struct candidate){ &node->state, node->conf, i };
		else
			unknown |= policies_unknown(node->bypasses, to);
	}
	c = selector_pick(&h->selector, v, n, selector_hash(visitor), adit_now());
	if (c)
		*out = &h->nodes[c->index];
	return !c && unknown ? ADIT_ENORULES : 0;
}

/*
 * As far as there are nodes for it: 0. ADIT_ENORULES: a bypass was not read yet, and its hop may
 * hide the target, or who asks for it, from whom it would meet without the hop.
 */
static int
chain_route(struct chain *c, const struct policy_target *to, const struct adit_addr *visitor,
	    struct route *out)
{
	int err;

	out->chain = c;
	for (out->n = 0; out->n < c->n; out->n++) {
		struct stop *s = &out->stops[out->n];

		err = hop_pick(&c->hops[out->n], to, visitor, &s->node);
		if (!s->node)
			return err;
		s->n = names_known(&s->node->names, s->node->host, s->addrs);
	}
	return 0;
}

/* The next stop whose place is to be asked for; route->n: there is none. */
static size_t
route_unknown(const struct route *r, size_t from)
{
	for (; from < r->n; from++)
		if (!r->stops[from].n && names_asks(&r->stops[from].node->names,
						    r->stops[from].node->host))
			break;
	return from;
}

/* To who chooses, and to who counts. born: when the attempt began. */
static void
node_tell(const struct chain *c, struct node *n, struct adit_worker *w, uint64_t born, int err)
{
	uint64_t now = adit_now();

	node_state_report(&n->state, err, now);
	tally_node(w, c->conf->name, n->conf->name, now - born, err);
}

/* How the opening of what a node dialed ended; keeps the chain while it is not known. */
struct report {
	struct conn_watch	 watch;
	struct chain		*chain;
	struct node		*node;
	struct adit_worker	*worker;
	uint64_t		 born;		/* adit_now() */
};

static void
node_report(struct conn_watch *watch, int err)
{
	struct report *r = adit_container_of(watch, struct report, watch);

	if (err != -ECANCELED)
		node_tell(r->chain, r->node, r->worker, r->born, err);
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

/* To the node of s by dialer, its own or one of those. how->via: what the hops before opened. */
static struct adit_conn *
node_dial(struct chain *c, const struct stop *s, struct instance *dialer,
	  const struct adit_dial *how, const struct adit_addr *visitor, struct adit_err *e)
{
	struct node *n = s->node;
	const struct adit_dial req = {
		.worker = how->worker, .host = n->host, .port = n->port, .via = how->via,
		.lane = how->lane, .addrs = s->n ? s->addrs : NULL, .n_addrs = s->n,
	};
	struct adit_dialer *d = dialer->base;
	uint64_t born = adit_now();
	struct report *report;
	struct adit_conn *conn;

	conn = n->pool ? session_pool_dial(n->pool, &req, e) : d->ops->dial(d, &req, e);
	if (!n->pool)
		conn = node_announce(n, conn, visitor, e);
	if (conn && !n->pool)
		conn = instance_client(dialer, conn, n->host, e);
	if (!conn && n->race)		/* it is the race that knows */
		return NULL;
	if (!conn) {
		node_tell(c, n, how->worker, adit_now(), e->code);
		adit_err_context(e, "node %s", n->conf->name);
		return NULL;
	}
	report = n->race ? NULL : malloc(sizeof(*report));
	if (report) {
		*report = (struct report){
			.watch = { .told = node_report }, .chain = chain_get(c), .node = n,
			.worker = how->worker, .born = born,
		};
		conn_watch_open(conn, &report->watch);
	}
	return conn;
}

/* What a node whose dialer is several is to be asked for. */
struct trip {
	struct race_trip	 base;
	struct route		 route;		/* its chain is referenced */
	size_t			 at;		/* the stop of that node */
	uint64_t		 born;		/* adit_now() */
	unsigned		 lane;
	struct adit_addr	 visitor;	/* family 0: none */
	struct adit_target	 to;
	char			 host[];	/* to's */
};

static struct trip *
trip_of(struct race_trip *t)
{
	return adit_container_of(t, struct trip, base);
}

static struct node *
trip_node(const struct trip *t)
{
	return t->route.stops[t->at].node;
}

static const struct adit_addr *
trip_visitor(const struct trip *t)
{
	return t->visitor.family ? &t->visitor : NULL;
}

static struct adit_conn *
trip_connect(struct race_trip *base, struct adit_conn *lower, struct adit_err *e)
{
	struct trip *t = trip_of(base);
	struct adit_connector *via = trip_node(t)->connector.base;

	return via->ops->connect(via, lower, &t->to, trip_visitor(t), e);
}

static struct adit_mux *
trip_bind(struct race_trip *base, struct adit_conn *lower, struct adit_err *e)
{
	struct trip *t = trip_of(base);
	struct adit_connector *via = trip_node(t)->connector.base;

	return via->ops->bind(via, lower, &t->to, e);
}

static void
trip_told(struct race_trip *base, int err)
{
	struct trip *t = trip_of(base);

	if (err != ADIT_EDRAINING)
		node_tell(t->route.chain, trip_node(t), base->worker, t->born, err);
}

static void
trip_free(struct race_trip *base)
{
	struct trip *t = trip_of(base);

	chain_put(t->route.chain);
	free(t);
}

/* Bytes are what a hop before opens. */
static unsigned
node_ways(const struct node *n, bool first)
{
	unsigned ways = 0;

	for (size_t i = 0; i < n->dialer.n_ways; i++) {
		const struct adit_dialer *d = n->dialer.ways[i].base;

		if (first || !d->ops->network || strcmp(d->ops->network, "udp") != 0)
			ways |= 1u << i;
	}
	return ways;
}

static struct adit_conn *trip_dial(struct race_trip *base, unsigned way, struct adit_err *e);

/* For what the node of that stop is to be asked for: NULL: out of memory. */
static struct race_trip *
trip_new(const struct route *r, size_t at, const struct adit_dial *how,
	 const struct adit_target *to, const struct adit_addr *visitor)
{
	static const struct race_trip_ops ops = {
		.dial = trip_dial, .connect = trip_connect, .bind = trip_bind, .told = trip_told,
		.free = trip_free,
	};
	size_t len = strlen(to->host) + 1;
	struct trip *t = calloc(1, sizeof(*t) + len);

	if (!t)
		return NULL;
	t->route = *r;
	chain_get(t->route.chain);
	t->at = at;
	t->born = adit_now();
	t->base = (struct race_trip){
		.ops = &ops, .worker = how->worker, .ways = node_ways(trip_node(t), at == 0),
	};
	t->lane = how->lane;
	if (visitor)
		t->visitor = *visitor;
	t->to = *to;
	t->to.host = memcpy(t->host, to->host, len);
	t->to.name = NULL;		/* it was asked for when the way was chosen */
	t->to.addrs = NULL;		/* the name says it, too */
	t->to.n_addrs = 0;
	return &t->base;
}

/* As below: how a stop is reached that others lead to. */
static struct adit_conn *route_connect(const struct route *r, size_t at,
				       const struct adit_dial *how, const struct adit_target *to,
				       const struct adit_addr *visitor, struct adit_err *e);

/* To the node of that stop by dialer, its own or one of those; all places are known. */
static struct adit_conn *
route_go(const struct route *r, size_t at, struct instance *dialer, const struct adit_dial *how,
	 const struct adit_addr *visitor, struct adit_err *e)
{
	const struct stop *stop = &r->stops[at];
	char text[ADIT_ADDR_TEXT];
	const struct adit_target to = {
		.network = ADIT_TCP, .port = stop->node->port,
		.host = stop->n ? adit_addr_format_ip(&stop->addrs[0], text) : stop->node->host,
	};
	struct adit_dial here = *how;

	if (at) {
		here.via = route_connect(r, at - 1, how, &to, visitor, e);
		if (!here.via)
			return NULL;
	}
	return node_dial(r->chain, stop, dialer, &here, visitor, e);
}

/* A route whose nodes are looked for: their names are asked, one after the other. */
struct search {
	struct adit_conn	*conn;		/* the caller's, which opens with the last node */
	struct route		 route;		/* its chain is referenced */
	struct adit_dial	 how;
	struct adit_addr	 visitor;	/* family 0: nobody in particular */
	size_t			 at;		/* the stop that is asked for */
	size_t			 to;		/* the stop that it leads to, */
	struct instance		*dialer;	/* and by what */
	struct names_query	*query;
};

static void
search_free(struct search *s)
{
	name_servers_cancel(s->query);
	chain_put(s->route.chain);
	free(s);
}

static void
search_cancelled(void *arg)
{
	search_free(arg);
}

static void
search_fail(struct search *s, int err, const char *text)
{
	struct adit_conn *conn = s->conn;

	node_state_report(&s->route.stops[s->at].node->state, err, adit_now());
	conn_explain(conn, text);
	search_free(s);
	opening_fail(conn, err);
}

static void
search_end(struct search *s)
{
	const struct adit_addr *visitor = s->visitor.family ? &s->visitor : NULL;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *conn = s->conn;
	struct adit_conn *found = route_go(&s->route, s->to, s->dialer, &s->how, visitor, &e);

	if (!found)
		conn_explain(conn, e.text);
	search_free(s);
	if (found)
		opening_set(conn, found);
	else
		opening_fail(conn, e.code);
}

static void
search_found(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct search *s = arg;
	struct stop *stop = &s->route.stops[s->at];
	struct adit_err e = ADIT_ERR_INIT;

	s->query = NULL;
	if (err) {
		search_fail(s, err, adit_strerror(err));
		return;
	}
	stop->n = n < RESOLVER_MAX ? n : RESOLVER_MAX;
	memcpy(stop->addrs, addrs, stop->n * sizeof(*addrs));
	s->at = route_unknown(&s->route, s->at + 1);
	if (s->at == s->route.n) {
		search_end(s);
		return;
	}
	stop = &s->route.stops[s->at];
	s->query = names_ask(&stop->node->names, s->how.worker, stop->node->host, search_found, s,
			     &e);
	if (!s->query)
		search_fail(s, e.code, e.text);
}

/* first: the stop that is asked for first. */
static struct search *
search_new(const struct route *r, size_t first, const struct adit_dial *how,
	   const struct adit_addr *visitor)
{
	struct search *s = calloc(1, sizeof(*s));

	if (s)
		s->conn = opening_new(how->worker, search_cancelled, s);
	if (!s || !s->conn) {
		free(s);
		return NULL;
	}
	s->route = *r;
	chain_get(s->route.chain);
	s->how = *how;
	s->at = first;
	if (visitor)
		s->visitor = *visitor;
	return s;
}

/* To the node of that stop by dialer; how says the worker and the lane. */
static struct adit_conn *
route_reach(const struct route *r, size_t at, struct instance *dialer,
	    const struct adit_dial *how, const struct adit_addr *visitor, struct adit_err *e)
{
	size_t first = route_unknown(r, 0);
	const struct stop *stop = &r->stops[first];
	struct search *s;

	if (first == r->n)
		return route_go(r, at, dialer, how, visitor, e);
	s = search_new(r, first, how, visitor);
	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	s->to = at;
	s->dialer = dialer;
	s->query = names_ask(&stop->node->names, how->worker, stop->node->host, search_found, s, e);
	if (s->query)
		return s->conn;
	adit_conn_close(s->conn, -ECONNABORTED);	/* which frees s */
	return NULL;
}

/* A bind's trip may be long: where the nodes are mapped to may have changed since it began. */
static struct adit_conn *
trip_dial(struct race_trip *base, unsigned way, struct adit_err *e)
{
	struct trip *t = trip_of(base);
	const struct adit_dial how = { .worker = base->worker, .lane = t->lane };

	for (size_t i = 0; i < t->route.n; i++) {
		struct stop *s = &t->route.stops[i];

		s->n = names_known(&s->node->names, s->node->host, s->addrs);
	}
	return route_reach(&t->route, t->at, &trip_node(t)->dialer.ways[way], &how,
			   trip_visitor(t), e);
}

/* Through the stops up to that one, whose node is asked for to. */
static struct adit_conn *
route_connect(const struct route *r, size_t at, const struct adit_dial *how,
	      const struct adit_target *to, const struct adit_addr *visitor, struct adit_err *e)
{
	struct node *n = r->stops[at].node;
	struct adit_connector *via = n->connector.base;
	struct race_trip *trip;
	struct adit_conn *conn;

	if (n->race) {
		trip = trip_new(r, at, how, to, visitor);
		if (trip)
			return race_connect(n->race, trip, e);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	conn = route_reach(r, at, &n->dialer, how, visitor, e);
	return conn ? via->ops->connect(via, conn, to, visitor, e) : NULL;
}

/* To the one address that a name was looked up to be, or to all of them. */
static struct adit_conn *
direct_dial(struct adit_worker *w, const struct adit_target *to, struct adit_err *e)
{
	if (to->network == ADIT_UNIX)
		return unix_connect(w, to->host, e);
	if (to->network == ADIT_UDP)
		return udp_dial(w, to->host, to->port, e);
	return tcp_dial_to(w, &(struct tcp_dial){
		.host = to->host, .port = to->port, .addrs = to->addrs, .n_addrs = to->n_addrs,
	}, e);
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
	struct route route;

	if (c && chain_route(c, &target, visitor, &route) < 0) {
		adit_err_set(e, ADIT_ENORULES, "chain %s: a bypass has not been read yet",
			     c->conf->name);
		return NULL;
	}
	if (!c || !route.n)
		return direct_dial(w, to, e);
	return route_connect(&route, route.n - 1, &how, to, visitor, e);
}

struct adit_mux *
chain_bind(struct chain *c, struct adit_worker *w, const struct adit_target *address,
	   struct adit_err *e)
{
	static const struct policy_target nowhere;
	const struct adit_dial how = { .worker = w, .lane = address->lane };
	struct adit_connector *via;
	struct race_trip *trip;
	struct adit_conn *conn;
	struct route route;
	struct node *n;

	if (!c->n) {
		adit_err_set(e, -ENOTSUP, "a chain without a node cannot bind");
		return NULL;
	}
	chain_route(c, &nowhere, NULL, &route);
	n = route.stops[route.n - 1].node;
	via = n->connector.base;
	if (!via->ops->bind) {
		adit_err_set(e, -ENOTSUP, "connector %s cannot bind", via->ops->base.name);
		return NULL;
	}
	if (n->race) {
		trip = trip_new(&route, route.n - 1, &how, address, NULL);
		if (trip)
			return race_bind(n->race, trip, e);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	conn = route_reach(&route, route.n - 1, &n->dialer, &how, NULL, e);
	return conn ? via->ops->bind(via, conn, address, e) : NULL;
}
