#include "core/service/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/opening.h"
#include "core/conn/proxied.h"
#include "core/conn/tally.h"
#include "core/conn/tcp.h"
#include "core/conn/udp_dial.h"
#include "core/policy/policy.h"
#include "core/service/chain.h"

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
