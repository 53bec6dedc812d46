#include "core/service/chain.h"

#include <errno.h>
#include <stdlib.h>

#include "core/config/opts.h"
#include "core/service/world.h"

static const struct adit_opt proxy_rows[] = {
	{ .name = "proxyProtocol", .type = ADIT_OPT_INT, .max = 2,
	  .offset = offsetof(struct node, proxy_protocol) },
	ADIT_OPT_END,
};

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
