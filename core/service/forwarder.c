#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/filter.h"
#include "core/service/forwarder.h"

static int
forwarder_refuse_unsupported(const struct node_list *nodes, const struct place *at)
{
	static const char *const own[] = { "hop", "name", "hopGroup", NULL };
	static const char *const of_nodes[] = {
		"matcher", "http", "auth", "tls", "probe", "bypass", "bypasses", NULL,
	};
	int err = place_unavailable(at, own);

	for (size_t i = 0; i < nodes->n; i++) {
		struct place_step node;

		place_step_item(&node, at, "nodes", i, nodes->v[i].node);
		if (place_unavailable(&node.at, of_nodes) < 0)
			err = ADIT_EUNSUPPORTED;
	}
	return err;
}

int
forwarder_init(struct forwarder *f, const struct forwarder_conf *conf, const struct place *at)
{
	f->conf = conf;
	if (!conf)
		return 0;
	selector_init(&f->selector, conf->selector);
	f->states = calloc(conf->nodes.n + 1, sizeof(*f->states));
	if (!f->states)
		return place_say(at, -ENOMEM, "out of memory");
	if (conf->nodes.n > SELECTOR_MAX)
		return place_say(at, ADIT_ECONFIG, "nodes: more than %d", SELECTOR_MAX);
	return forwarder_refuse_unsupported(&conf->nodes, at);
}

void
forwarder_fini(struct forwarder *f)
{
	free(f->states);
	f->states = NULL;
}

/* Those already tried need no list: their failures marked them. */
static const struct candidate *
forwarder_choose(struct forwarder *f, const struct adit_conn *visitor, unsigned attempt,
		 struct candidate v[SELECTOR_MAX])
{
	const struct filter_request req = { .host = adit_conn_asked(visitor, NULL) };
	const struct node_list *nodes = &f->conf->nodes;
	size_t indexes[SELECTOR_MAX], n = filter_nodes(nodes, &req, indexes);

	if (attempt >= n)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t at = indexes[i];

		v[i] = (struct candidate){ &f->states[at], &nodes->v[at], at };
	}
	return selector_pick(&f->selector, v, n, selector_hash(adit_conn_remote(visitor)),
			     adit_now());
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

struct node_state *
forwarder_pick(struct forwarder *f, const struct adit_conn *visitor, unsigned attempt,
	       struct forward_target *out, struct adit_err *e)
{
	struct candidate v[SELECTOR_MAX];
	const struct candidate *c = f->conf ? forwarder_choose(f, visitor, attempt, v) : NULL;

	if (!c) {
		adit_err_set(e, ADIT_ENOROUTE, "node not available");
		return NULL;
	}
	if (forward_target_set(out, c->conf, adit_conn_flags(visitor) & ADIT_CONN_DGRAM) < 0) {
		adit_err_set(e, ADIT_ECONFIG, "node %s: not host:port: %s", c->conf->name,
			     c->conf->addr);
		return NULL;
	}
	return c->state;
}
