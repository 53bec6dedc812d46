#include "core/service/http_forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/ending.h"
#include "core/conn/patience.h"
#include "core/http/front.h"
#include "core/http/respond.h"
#include "core/http/uri.h"
#include "core/runtime/memory.h"
#include "core/runtime/worker.h"
#include "core/service/target.h"
#include "core/tunnel/forwarded.h"
#include "core/tunnel/kept.h"
#include "core/wire/hostname.h"

#define IDLE_NS ADIT_SECONDS(60)	/* of a visitor between two requests */
#define NODE_SESSION (UINT64_C(1) << 63)	/* no tunnel's session has such a number */

struct forward_visit {
	struct http_visitor		 base;
	const struct http_forward_conf	*conf;
	struct forward_request		*request;	/* the one that is going on; owned */
	struct adit_worker		*worker;
	struct adit_addr		 local;
};

/* One request and its response. */
struct forward_request {
	struct forward_visit		*visit;
	struct adit_exchange		*near;		/* owned; NULL: front has it */
	struct adit_fields		*asked;		/* a copy of near's head; owned */
	struct adit_fields		*head;		/* what is sent on; owned */
	struct adit_conn		*far;		/* that opens, before back is made; owned */
	struct adit_mux			*back;		/* the connection to the target; owned */
	struct front			*front;		/* while the two sides are joined */
	struct forward_target		 to;
	struct hostname			 host;
	struct adit_text		 path;		/* normal; s NULL: nobody looks at it */
	char				*decoded;	/* owned; NULL: path is asked's */
	struct adit_tried		 tried;		/* of the forwarder's nodes */
	bool				 fresh;		/* no kept connection: one was dead */
	bool				 reused;	/* back had been kept, and may be dead */
	int				 status;
};

static void request_try(struct forward_request *r, int failure);	/* again, from within */

static struct forward_visit *
visit_of(struct http_visitor *v)
{
	return adit_container_of(v, struct forward_visit, base);
}

/* ---- the end of a request -------------------------------------------------------------------- */

/* A target that is told who visits, in front of all, has heard it of this one. */
static struct kept_key
request_kept_key(const struct forward_request *r)
{
	const struct forward_visit *v = r->visit;

	return (struct kept_key){
		.tunnel = "forward", .host = r->to.target.host, .port = r->to.target.port,
		.session = r->to.node ? r->to.node->id | NODE_SESSION : 0,
		.visitor = v->conf->per_visitor ? v->base.conn : 0,
	};
}

/* Without a node the chain decides, each time anew. */
static bool
request_may_keep(const struct forward_request *r)
{
	return r->visit->conf->keepalive && r->to.node;
}

static void
request_let_back_go(struct forward_request *r, int why)
{
	const struct adit_reason reason = { .err = why };
	struct kept_key key;

	if (!why && r->back && request_may_keep(r) && h1_client_idle(r->back)) {
		key = request_kept_key(r);
		kept_put(r->back, &key);
	} else {
		adit_mux_close(r->back, why ? &reason : NULL);
	}
	r->back = NULL;
}

static void
request_end(struct forward_request *r, int why)
{
	struct forward_visit *v = r->visit;

	adit_log(adit_component_log(v->base.activity.component), ADIT_LOG_DEBUG,
		 ADIT_FIELDS(ADIT_UINT("conn", v->base.conn), ADIT_STR("host", r->host.text),
			     ADIT_STR("node", r->to.node ? r->to.node->conf->name : NULL),
			     ADIT_INT("status", r->status),
			     ADIT_STR("err", why ? adit_strerror(why) : NULL)),
		 "request");
	v->request = NULL;
	v->base.status = r->status;
	if (r->near)
		adit_conn_close(&r->near->body, why);
	adit_conn_close(r->far, why ? why : -ECANCELED);
	request_let_back_go(r, why);
	adit_fields_free(r->head);
	adit_fields_free(r->asked);
	free(r->decoded);
	free(r);
	http_visitor_next(&v->base);
}

/* Answers in the target's stead: nothing of a response was passed on yet. */
static void
request_refuse(struct forward_request *r, int status, const char *why)
{
	struct adit_exchange *near = r->near;

	r->status = status;
	r->near = NULL;
	adit_conn_log(&near->body, status < 500 ? ADIT_LOG_DEBUG : ADIT_LOG_WARN, "%s: %d: %s",
		      r->host.text, status, why);
	http_refuse(near, status, 0);
	adit_mux_close(r->back, NULL);
	r->back = NULL;
	request_end(r, 0);
}

/* ---- the two sides --------------------------------------------------------------------------- */

/* What was HTTP ends here without a line in the log: that comes when what it became ends. */
static void
visit_upgrade(struct forward_visit *v, struct adit_conn *const raw[2])
{
	v->conf->upgraded(v->conf->handler, &v->base, raw[0], raw[1]);
	http_visitor_leave(&v->base);
}

/* The node was tried in vain. */
static void
request_try_next(struct forward_request *r, int failure)
{
	forwarder_tried(target_forwarder(r->visit->conf->handler), r->to.node, &r->tried);
	request_try(r, failure);
}

/*
 * The request is sent again where that can do no harm: once where a kept connection was dead, and
 * to other nodes while there are.
 */
static void
request_again(struct forward_request *r, const struct front_result *result)
{
	adit_mux_close(r->back, NULL);
	r->back = NULL;
	if (r->reused) {
		r->fresh = true;
		request_try(r, result->err);
		return;
	}
	if (result->sent)	/* else who opened it has said so */
		target_failed(&r->to, result->err);
	request_try_next(r, result->err);
}

static void
request_done(void *arg, const struct front_result *result)
{
	struct forward_request *r = arg;
	struct forward_visit *v = r->visit;

	r->front = NULL;
	r->near = result->near;
	r->status = result->status;
	http_visitor_see_end(&v->base, result);
	if (result->status)
		target_judge(&r->to, result->status);
	if (result->raw[0]) {
		request_end(r, 0);
		visit_upgrade(v, result->raw);
	} else if (!result->err) {
		request_end(r, 0);
	} else if (result->again && !v->base.stopping) {
		request_again(r, result);
	} else if (r->near) {
		/* RFC 9110, 15.5.9: it is his to send the rest of his request in time. */
		request_refuse(r, result->unfinished ? 408 : http_status_of(result->err),
			       adit_strerror(result->err));
	} else {
		request_end(r, result->err);
	}
}

static int
request_edit(void *arg, struct adit_fields *response)
{
	const struct forward_request *r = arg;

	return r->to.node ? node_http_edit_response(r->to.node->http, response) : 0;
}

/* What was sent on is not sent again: a tunnel may last, and its heads are let go. */
static void
request_answered(void *arg)
{
	struct forward_request *r = arg;

	adit_fields_free(r->head);
	adit_fields_free(r->asked);
	r->head = NULL;
	r->asked = NULL;
}

/* back is there: the two sides are joined. */
static void
request_join(struct forward_request *r)
{
	const uint64_t limit = r->visit->conf->read_timeout;
	const struct front_opts opts = {
		.open_timeout = limit, .head_timeout = limit, .half_closed = HALF_CLOSED_NS,
		.leave = true, .edit = request_edit, .answered = request_answered,
	};
	struct adit_exchange *near = r->near;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *x = adit_mux_open(r->back, ADIT_CONN_EXCHANGE, &e);

	if (!x) {
		request_refuse(r, http_status_of(e.code), e.text);
		return;
	}
	r->near = NULL;
	r->front = http_front(near, adit_exchange_of(x), r->head, &opts, request_done, r);
	if (!r->front)
		request_end(r, -ENOMEM);
}

/* far is HTTP's from here on, but for TLS if the node wants it. */
static void
request_use(struct forward_request *r)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	adit_conn_own(r->far, NULL, NULL);
	adit_conn_want(r->far, 0);
	c = target_secure(r->visit->conf->handler, r->to.node, r->far, &e);
	r->far = NULL;
	if (c)
		r->back = h1_client(c, NULL);
	if (r->back)
		request_join(r);
	else
		request_refuse(r, c ? 503 : http_status_of(e.code), c ? "out of memory" : e.text);
}

/* A header in front of everything needs a conn that is open. */
static void
request_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct forward_request *r = owner;
	const struct forward_visit *v = r->visit;
	int err = adit_conn_err(far);

	(void)events;
	if (!err)
		err = target_send_proxy(far, v->conf->proxy_version, &v->base.remote, &v->local);
	if (!err) {
		request_use(r);
		return;
	}
	adit_conn_close(far, err);
	r->far = NULL;
	request_try_next(r, err);
}

static void
request_open(struct forward_request *r)
{
	const struct forward_visit *v = r->visit;
	struct adit_err e = ADIT_ERR_INIT;

	r->reused = false;
	r->far = target_dial(v->conf->handler, v->worker, &r->to,
			    &v->base.remote, &e);
	if (!r->far) {
		request_try_next(r, e.code);
	} else if (v->conf->proxy_version) {
		adit_conn_own(r->far, request_far_event, r);
		adit_conn_want(r->far, ADIT_OPEN);
	} else {
		request_use(r);
	}
}

/* ---- the beginning of a request -------------------------------------------------------------- */

/* What is sent on: without what concerns the visitor's connection, with what the node says. */
static int
request_make_head(struct forward_request *r)
{
	const struct http_forward_conf *conf = r->visit->conf;
	bool upgrade = h1_wants_upgrade(r->asked);
	struct adit_addr client;
	int err;

	adit_fields_free(r->head);
	r->head = adit_fields_copy(r->asked);
	if (!r->head)
		return -ENOMEM;
	err = h1_strip_hop_by_hop(r->head, upgrade);
	if (!err && conf->forwarded)
		err = forwarded_set(r->head, &r->visit->base.remote, conf->trusted, &client);
	if (!err && r->to.node)
		err = node_http_edit_request(r->to.node->http, r->head);
	if (!err && !request_may_keep(r) && !upgrade)
		err = adit_fields_set(r->head, "Connection", "close");
	return err;
}

/*
 * Chooses a node and goes there; failure is why the one before could not be reached. There are at
 * most as many attempts as nodes, so it may call itself.
 */
static void
request_try(struct forward_request *r, int failure)
{
	struct forward_visit *v = r->visit;
	const struct route_request req = {
		.host = r->host.text, .port = r->host.has_port ? r->host.port : 80,
		.protocol = "http", .network = "tcp", .path = r->path,
		.head = r->asked, .client = &v->base.remote,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct kept_key key;

	if (target_pick(v->conf->handler, &req, &r->tried, &r->to, &e) < 0) {
		if (failure)
			request_refuse(r, http_status_of(failure), adit_strerror(failure));
		else
			request_refuse(r, e.code == ADIT_EFORBIDDEN ? 403 : 502, e.text);
		return;
	}
	if (r->to.node && !node_http_admits(r->to.node->http, r->asked)) {
		request_refuse(r, 401, "wrong credentials");
		return;
	}
	if (request_make_head(r) < 0) {
		request_refuse(r, 500, "the request's head cannot be made");
		return;
	}
	key = request_kept_key(r);
	if (request_may_keep(r) && !r->fresh)
		r->back = kept_take(v->worker, &key);
	r->reused = r->back != NULL;
	if (r->back)
		request_join(r);
	else
		request_open(r);
}

/* The path as rules and filters mean it, if any of them asks for one. */
static int
request_take_path(struct forward_request *r)
{
	const struct forwarder *f = target_forwarder(r->visit->conf->handler);
	struct adit_text path = uri_path(adit_fields_control(r->asked, ADIT_TARGET));

	if (!f->by_path)
		return 0;
	r->path = path;
	if (!uri_is_odd(path))
		return 0;
	r->decoded = malloc(path.len);
	if (!r->decoded)
		return -ENOMEM;
	r->path = (struct adit_text){ r->decoded, uri_normalise(path, r->decoded) };
	return 0;
}

/* 0, or the status to refuse with. */
static int
request_judge(struct forward_request *r)
{
	struct adit_text authority = adit_fields_control(r->asked, ADIT_AUTHORITY);
	struct adit_text method = adit_fields_control(r->asked, ADIT_METHOD);

	if (strcmp(method.s, "CONNECT") == 0)
		return 405;
	if (authority.len && hostname_parse(authority.s, authority.len, &r->host) < 0)
		return 400;
	if (memory_is_short(worker_memory(r->visit->worker)))
		return 503;
	return request_take_path(r) < 0 ? 503 : 0;
}

static void
visit_request(struct http_visitor *base, struct adit_exchange *near)
{
	struct forward_visit *v = visit_of(base);
	struct forward_request *r = calloc(1, sizeof(*r));
	const struct adit_fields *head = adit_exchange_head(near);
	int status;

	/* near's own is gone when its trailers come, and the request may be sent again. */
	if (r && head)
		r->asked = adit_fields_copy(head);
	if (!r || !r->asked) {
		free(r);
		adit_conn_close(&near->body, -ENOMEM);
		http_visitor_next(base);
		return;
	}
	http_visitor_asked(base, head);
	r->visit = v;
	r->near = near;
	v->request = r;
	if (!v->conf->keepalive)
		h1_server_last(base->front);
	status = request_judge(r);
	strcpy(base->host, r->host.text);
	if (status)
		request_refuse(r, status, http_status_text(status));
	else
		request_try(r, 0);
}

/* ---- the visitor's connection ---------------------------------------------------------------- */

static void
visit_stop(struct http_visitor *base, int why)
{
	struct forward_request *r = visit_of(base)->request;

	if (r->front)
		http_front_stop(r->front, why);		/* ends it by its done */
	else
		request_end(r, why);
}

static void
visit_free(struct http_visitor *base)
{
	struct forward_visit *v = visit_of(base);

	if (v->conf->per_visitor)
		kept_drop(v->worker, base->conn);
	free(v);
}

static const struct http_visitor_ops visit_ops = {
	.kind = "handler", .name = "peer", .far = "target",
	.request = visit_request, .stop = visit_stop, .free = visit_free,
};

void
http_forward(struct adit_conn *c, const struct http_forward_conf *conf)
{
	const struct h1_conf h1 = { .head_timeout = conf->read_timeout, .idle_timeout = IDLE_NS };
	struct forward_visit *v = calloc(1, sizeof(*v));

	if (!v) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	v->conf = conf;
	v->worker = adit_conn_worker(c);
	v->local = *adit_conn_local(c);
	if (http_visitor_begin(&v->base, &visit_ops, conf->handler->component, c, &h1) < 0)
		free(v);
}
