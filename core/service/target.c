#include "core/service/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/tls.h"
#include "core/policy/policy.h"
#include "core/service/component.h"
#include "core/service/route.h"
#include "core/service/service.h"
#include "core/wire/proxy.h"

const struct forwarder *
target_forwarder(const struct adit_handler *h)
{
	return service_forwarder(h->component->service);
}

bool
target_has_chain(const struct adit_handler *h)
{
	return service_handler_chain(h->component->service) != NULL;
}

bool
target_asks(const struct adit_handler *h)
{
	const struct forwarder *f = target_forwarder(h);

	return !f->conf || f->by_request || service_bypasses(h->component->service);
}

struct route_request
target_request(const struct adit_conn *visitor)
{
	return (struct route_request){
		.host = adit_conn_asked(visitor, NULL), .client = adit_conn_remote(visitor),
		.network = adit_conn_flags(visitor) & ADIT_CONN_DGRAM ? "udp" : "tcp",
	};
}

/* How a step on the way to a node ended. Its service is held while that is not known. */
struct target_report {
	struct conn_watch	 watch;
	struct adit_component	*component;
	struct node_state	*state;
	bool			 last;		/* no step follows: it is reached */
};

static void
target_told(struct conn_watch *watch, int err)
{
	struct target_report *r = adit_container_of(watch, struct target_report, watch);

	if (err != -ECANCELED && (err || r->last))
		node_state_report(r->state, err, adit_now());
	adit_component_put(r->component);
	free(r);
}

static void
target_watch(struct adit_handler *h, struct forward_node *node, struct adit_conn *c, bool last)
{
	struct target_report *r = malloc(sizeof(*r));

	if (!r)
		return;
	adit_component_get(h->component);
	*r = (struct target_report){
		.watch = { .told = target_told }, .component = h->component, .state = &node->state,
		.last = last && !node_http_judges(node->http),
	};
	conn_watch_open(c, &r->watch);
}

/* The chain alone knows where to; it is told what was sniffed, if anything. */
static int
target_of_chain(const struct route_request *req, const struct adit_tried *tried,
		struct forward_target *out, struct adit_err *e)
{
	bool datagrams = req->network && *req->network == 'u';

	if (tried->n)
		return adit_err_set(e, ADIT_ENOROUTE, "node not available");
	*out = (struct forward_target){
		.target = {
			.network = datagrams ? ADIT_UDP : ADIT_TCP, .host = out->host,
		},
	};
	if (req->protocol && req->host && strlen(req->host) < sizeof(out->host)) {
		strcpy(out->host, req->host);
		out->target.port = req->port;
	}
	return 0;
}

/* What was asked for counts, where that is known, and else the node. */
static bool
target_is_allowed(const struct service *s, const struct route_request *req,
		  const struct forward_target *to)
{
	struct policy_target target = policy_target(&to->target);

	if (req->host && *req->host) {
		target.host = req->host;
		target.port = req->port;
	}
	if (target.host && !*target.host)
		target.host = NULL;
	return service_allows(s, &target);
}

int
target_pick(struct adit_handler *h, const struct route_request *req,
	    const struct adit_tried *tried, struct forward_target *out, struct adit_err *e)
{
	struct service *s = h->component->service;
	int err;

	if (service_forwarder(s)->conf || !service_handler_chain(s))
		err = forwarder_pick(service_forwarder(s), req, tried, out, e);
	else
		err = target_of_chain(req, tried, out, e);
	if (!err && !target_is_allowed(s, req, out))
		err = adit_err_set(e, ADIT_EFORBIDDEN, "bypassed");
	return err;
}

void
target_failed(const struct forward_target *to, int err)
{
	if (to->node)
		node_state_report(&to->node->state, err, adit_now());
}

struct adit_conn *
target_dial(struct adit_handler *h, struct adit_worker *w, const struct forward_target *to,
	   const struct adit_addr *visitor, struct adit_err *e)
{
	struct adit_conn *c = service_dial(h->component->service, w, &to->target, visitor, e);

	if (!to->node)
		return c;
	if (c)
		target_watch(h, to->node, c, !to->node->tls);
	else
		node_state_report(&to->node->state, e->code, adit_now());
	return c;
}

struct adit_conn *
target_secure(struct adit_handler *h, struct forward_node *node, struct adit_conn *c,
	     struct adit_err *e)
{
	char host[256];
	uint16_t port;
	bool named;

	if (!node || !node->tls)
		return c;
	named = node->conf->addr[0] != '/' &&
		adit_hostport_split(node->conf->addr, host, sizeof(host), &port) == 0;
	c = tls_client_of(c, node->tls, named ? host : NULL, e);
	if (c)
		target_watch(h, node, c, true);
	else
		node_state_report(&node->state, e->code, adit_now());
	return c;
}

int
target_send_proxy(struct adit_conn *c, unsigned version, const struct adit_addr *remote,
		 const struct adit_addr *local)
{
	struct proxy_header h = { .version = version, .proxied = true };
	char text[PROXY_ENCODED_MAX];
	ssize_t len;

	if (!version)
		return 0;
	if (!adit_addr_to(remote, &h.src))
		h.proxied = false;
	adit_addr_to(local, &h.dst);
	len = proxy_encode(&h, text);
	if (len > 0)
		len = adit_conn_write(c, text, (size_t)len) == len ? 0 : -ENOBUFS;
	return (int)len;
}

void
target_judge(const struct forward_target *to, int status)
{
	if (to->node && node_http_judges(to->node->http))
		node_state_report(&to->node->state,
				  node_http_fails(to->node->http, status) ? ADIT_ETARGET : 0,
				  adit_now());
}

struct adit_conn *
adit_forward(struct adit_handler *h, struct adit_conn *visitor, struct adit_tried *tried,
	     struct adit_err *e)
{
	const struct route_request req = target_request(visitor);
	struct adit_err none = ADIT_ERR_INIT;
	struct adit_conn *c = NULL;
	struct forward_target to;

	while (!c && target_pick(h, &req, tried, &to, &none) == 0) {
		forwarder_tried(target_forwarder(h), to.node, tried);
		c = target_dial(h, adit_conn_worker(visitor), &to, adit_conn_remote(visitor), e);
		c = c ? target_secure(h, to.node, c, e) : NULL;
	}
	if (!c && !e->code)
		*e = none;
	return c;
}
