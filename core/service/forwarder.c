#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/tls_creds.h"
#include "core/service/filter.h"
#include "core/policy/policy.h"
#include "core/service/forwarder.h"
#include "core/service/probe.h"
#include "core/service/world.h"

static int
forwarder_refuse_unsupported(const struct place *at)
{
	static const char *const own[] = { "hopGroup", NULL };

	return place_unavailable(at, own);
}

/* ---- building ------------------------------------------------------------------------------- */

/* A rule without a priority has its length: the longer one is taken for the more precise. */
static int64_t
node_priority(const struct forward_node *n)
{
	int64_t priority = n->conf->matcher->priority;

	return priority ? priority : (int64_t)strlen(n->conf->matcher->rule);
}

static int
node_take_matcher(struct forward_node *n, const struct place *at)
{
	const struct tree_path matcher = { .up = at->path, .key = "matcher" };
	const struct tree_path path = { .up = &matcher, .key = "rule" };
	const struct matcher_conf *conf = n->conf->matcher;
	struct adit_err e = ADIT_ERR_INIT;
	struct config_problem problem = { .path = &path };
	size_t offset;

	if (!conf || !conf->rule || !*conf->rule)
		return 0;
	n->matcher = matcher_new(conf->rule, &offset, &e);
	if (n->matcher)
		return 0;
	problem.pos = tree_pos_at(tree_get(conf->node, "rule"), offset);
	config_errors_add(at->errs, &problem, "%s", e.text);
	return e.code;
}

static int
node_take_tls(struct forward_node *n, struct adit_log *log, const struct place *at)
{
	const struct tls_conf *conf = n->conf->tls;
	struct adit_err e = ADIT_ERR_INIT;
	struct place_step step;

	if (!conf)
		return 0;
	n->tls = tls_source_new(&conf->tls, TLS_CLIENT, log, &e);
	return n->tls ? 0 : place_refuse(place_step(&step, at, "tls", conf->node), &e);
}

static int
node_take_http(struct forward_node *n, const struct place *at)
{
	const struct http_conf *conf = n->conf->http;
	struct place_step step;

	if (!conf)
		return 0;
	n->http = node_http_new(conf, place_step(&step, at, "http", conf->node));
	return n->http ? 0 : ADIT_ECONFIG;
}

static int
node_check_probe(const struct forward_node *n, const struct place *at)
{
	const struct probe_conf *conf = n->conf->probe;
	struct place_step step;

	return conf ? probe_check(n, place_step(&step, at, "probe", conf->node)) : 0;
}

static int
node_init(struct forward_node *n, const struct node_conf *conf, const struct service_world *world,
	  const struct place *at)
{
	static const char *const unavailable[] = {
		"interface", "netns", "sockopts", "resolver", "hosts", NULL,
	};
	static atomic_uint_fast64_t ids;
	int failed = place_unavailable(at, unavailable), err = 0;

	n->conf = conf;
	n->id = atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed) + 1;
	n->bypasses = world_held(world, CONFIG_BYPASSES, &conf->bypasses, &err);
	if (err)
		failed = place_say(at, err, "out of memory");
	err = node_take_matcher(n, at);
	failed = err ? err : failed;
	err = node_take_http(n, at);
	failed = err ? err : failed;
	err = node_take_tls(n, world->log, at);
	failed = err ? err : failed;
	err = node_check_probe(n, at);
	return err ? err : failed;
}

static void
forwarder_note(struct forwarder *f, const struct forward_node *n)
{
	const struct filter_conf *filter = n->conf->filter;

	f->by_client |= n->matcher && matcher_asks_client(n->matcher);
	f->by_path |= n->matcher || (filter && filter->path);
	f->by_request |= n->matcher || n->bypasses || (filter && (filter->host || filter->path));
	f->edits |= n->http != NULL;
}

static int
forwarder_take_nodes(struct forwarder *f, const struct node_list *nodes,
		     const struct service_world *world, const struct place *at)
{
	struct place_step step;
	int failed = 0, err;

	if (nodes->n > SELECTOR_MAX)
		return place_say(at, ADIT_ECONFIG, "nodes: more than %d", SELECTOR_MAX);
	f->nodes = calloc(nodes->n + 1, sizeof(*f->nodes));
	if (!f->nodes)
		return place_say(at, -ENOMEM, "out of memory");
	for (f->n = 0; f->n < nodes->n; f->n++) {
		place_step_item(&step, at, "nodes", f->n, nodes->v[f->n].node);
		err = node_init(&f->nodes[f->n], &nodes->v[f->n], world, &step.at);
		failed = err ? err : failed;
		forwarder_note(f, &f->nodes[f->n]);
	}
	return failed;
}

/*
 * One of the top, in the place of nodes. What its nodes have for the way through a chain (connector
 * and dialer) is of no use here, as in gost.
 */
static int
forwarder_take_hop(struct forwarder *f, const struct hop_conf *hop,
		   const struct service_world *world, struct config_errors *errs)
{
	static const char *const unavailable[] = {
		"interface", "sockopts", "plugin", "file", "redis", "http", "resolver", "hosts",
		NULL,
	};
	const struct place top = { .errs = errs };
	struct place_step step;
	int err = 0, failed;

	place_step_item(&step, &top, config_list_name(CONFIG_HOPS),
			(size_t)(hop - world->config->hops.v), hop->node);
	failed = place_unavailable(&step.at, unavailable);
	if (!failed && !hop->nodes.n)
		failed = place_say(&step.at, ADIT_ECONFIG, "a hop needs nodes");
	f->bypasses = world_held(world, CONFIG_BYPASSES, &hop->bypasses, &err);
	if (err)
		failed = place_say(&step.at, err, "out of memory");
	f->by_request = f->bypasses != NULL;
	err = forwarder_take_nodes(f, &hop->nodes, world, &step.at);
	return err ? err : failed;
}

int
forwarder_init(struct forwarder *f, const struct forwarder_conf *conf,
	       const struct service_world *world, const struct place *at)
{
	const struct hop_conf *hop = conf ? conf->ref : NULL;
	int failed, err;

	f->conf = conf;
	if (!conf)
		return 0;
	selector_init(&f->selector, hop ? hop->selector : conf->selector);
	f->by_client = f->selector.strategy == SELECT_HASH;
	failed = forwarder_refuse_unsupported(at);
	err = hop ? forwarder_take_hop(f, hop, world, at->errs) :
		    forwarder_take_nodes(f, &conf->nodes, world, at);
	return err ? err : failed;
}

void
forwarder_fini(struct forwarder *f)
{
	for (size_t i = 0; i < f->n; i++) {
		matcher_free(f->nodes[i].matcher);
		node_http_free(f->nodes[i].http);
		tls_source_free(f->nodes[i].tls);
		world_held_free(f->nodes[i].bypasses);
	}
	world_held_free(f->bypasses);
	free(f->nodes);
	f->bypasses = NULL;
	f->nodes = NULL;
	f->n = 0;
}

/* ---- choosing ------------------------------------------------------------------------------- */

/* How precisely a node asks for a request: the most precise ones are chosen from. */
enum {
	RANK_NONE,	/* it is not for it */
	RANK_ANY,	/* it asks for nothing */
	RANK_FILTER,
	RANK_HOST,
	RANK_RULE,	/* and more: its priority is added */
};

static int64_t
node_rank(const struct forward_node *n, const struct route_request *req)
{
	const struct filter_conf *f = n->conf->filter;

	if (n->matcher) {
		int64_t priority = node_priority(n);

		if (!matcher_matches(n->matcher, req))
			return RANK_NONE;
		if (priority < 0)
			return RANK_HOST;
		return priority > INT64_MAX - RANK_RULE ? INT64_MAX : RANK_RULE + priority;
	}
	if (!filter_matches(f, req))
		return RANK_NONE;
	if (!f || (!f->host && !f->protocol && !f->path))
		return RANK_ANY;
	return f->host ? RANK_HOST : RANK_FILTER;
}

static bool
is_tried(const struct adit_tried *tried, size_t i)
{
	return tried->nodes[i / 64] >> i % 64 & 1;
}

void
forwarder_tried(const struct forwarder *f, const struct forward_node *node,
		struct adit_tried *tried)
{
	size_t i = node ? (size_t)(node - f->nodes) : 0;

	static_assert(SELECTOR_MAX <= 64 * sizeof(tried->nodes) / sizeof(*tried->nodes),
		      "there is a bit for each node");
	tried->n++;
	if (node)
		tried->nodes[i / 64] |= UINT64_C(1) << i % 64;
}

static struct policy_target
request_target(const struct route_request *req)
{
	return (struct policy_target){
		.network = req->network && *req->network == 'u' ? ADIT_UDP : ADIT_TCP,
		.host = req->host && *req->host ? req->host : NULL, .port = req->port,
	};
}

/* Less precise ones do not stand in for those that were tried. */
static const struct candidate *
forwarder_choose(struct forwarder *f, const struct route_request *req,
		 const struct adit_tried *tried, struct candidate v[SELECTOR_MAX])
{
	const struct policy_target target = request_target(req);
	int64_t best = RANK_ANY;
	size_t n = 0, all = 0;

	if (policies_bypass(f->bypasses, &target))
		return NULL;
	for (size_t i = 0; i < f->n; i++) {
		int64_t rank = node_rank(&f->nodes[i], req);

		if (rank < best || policies_bypass(f->nodes[i].bypasses, &target))
			continue;
		if (rank > best)
			n = all = 0;
		best = rank;
		all++;
		if (!is_tried(tried, i))
			v[n++] = (struct candidate){ &f->nodes[i].state, f->nodes[i].conf, i };
	}
	if (tried->n >= all)
		return NULL;
	return selector_pick(&f->selector, v, n, selector_hash(req->client), adit_now());
}

/* A visitor's datagrams go to a UDP port, bytes to a TCP port or a Unix socket. */
static int
forward_target_set(struct forward_target *t, const struct node_conf *n, bool datagrams)
{
	if (!datagrams && n->network && strcmp(n->network, "unix") == 0) {
		t->target = (struct adit_target){ .network = ADIT_UNIX, .host = n->addr };
		return 0;
	}
	t->target = (struct adit_target){
		.network = datagrams ? ADIT_UDP : ADIT_TCP, .host = t->host,
	};
	return adit_hostport_split(n->addr, t->host, sizeof(t->host), &t->target.port);
}

int
forwarder_pick(struct forwarder *f, const struct route_request *req,
	       const struct adit_tried *tried, struct forward_target *out, struct adit_err *e)
{
	bool datagrams = req->network && strcmp(req->network, "udp") == 0;
	struct candidate v[SELECTOR_MAX];
	const struct candidate *c = f->conf ? forwarder_choose(f, req, tried, v) : NULL;

	if (!c)
		return adit_err_set(e, ADIT_ENOROUTE, "node not available");
	out->node = &f->nodes[c->index];
	if (forward_target_set(out, c->conf, datagrams) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "node %s: not host:port: %s", c->conf->name,
				    c->conf->addr);
	return 0;
}
