/*
 * HTTP at the entry point. Each request of a connection is routed by its own Host: a request takes
 * a kept stream to a client or a new one, its heads are passed on by us and its bodies by the pump,
 * and where nothing of a response was passed on yet a failure becomes a status.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <adit/exchange.h>
#include <adit/log.h>
#include <adit/pump.h>

#include "core/conn/ending.h"
#include "core/conn/patience.h"
#include "core/conn/tally.h"
#include "core/http/front.h"
#include "core/http/h1.h"
#include "core/http/respond.h"
#include "core/http/visitor.h"
#include "core/runtime/memory.h"
#include "core/runtime/worker.h"
#include "core/tunnel/forwarded.h"
#include "core/tunnel/kept.h"
#include "core/tunnel/table.h"
#include "core/tunnel/visit.h"
#include "core/wire/hostname.h"

#define IDLE_NS ADIT_SECONDS(60)	/* of a visitor between two requests */
#define HEAD_NS ADIT_SECONDS(10)	/* of a request's head */
#define REPEATS_MAX 4			/* of one request: a client may have several sessions */

struct http_visit {
	struct http_visitor	 base;
	struct entry_shared	*shared;
	struct adit_worker	*worker;
	LIST_HEAD(, http_request) requests;	/* that are going on; owned */
	struct adit_addr	 client;	/* the visitor, as far as known and trusted */
	struct visit_start	 start;		/* of the first request */
	bool			 keeps;		/* streams that are for this visitor only */
};

/* One request and its response. */
struct http_request {
	struct http_visit	*visit;
	LIST_ENTRY(http_request) entry;
	struct asked		 asked_of;	/* what is recorded of it */
	struct adit_traffic	 bodies;
	struct adit_addr	 client;	/* the visitor, by this one */
	struct adit_exchange	*near;		/* toward the visitor; owned; NULL: front has it */
	const struct adit_fields *asked;	/* near's head */
	struct adit_fields	*head;		/* what is sent on; owned */
	struct adit_lookup	 lookup;	/* the rule for host is waited for */
	struct adit_mux		*back;		/* the stream to the client, as a session; owned;
						 * NULL: its session has exchanges */
	struct front		*front;		/* while the two sides are joined */
	struct hostname		 host;
	char			 tunnel[37];
	struct adit_choice	 choice;	/* who serves it */
	bool			 reused;	/* back had been kept, and may be dead */
	unsigned		 repeats;	/* tries before this one */
	unsigned		 retry;		/* of 429: seconds */
	int			 status;
};

static void request_try(struct http_request *r);	/* again, from its own failure */

static struct http_visit *
visit_of(struct http_visitor *v)
{
	return adit_container_of(v, struct http_visit, base);
}

static void
visit_drop_kept(struct http_visit *v)
{
	if (v->keeps)
		kept_drop(v->worker, v->base.conn);
	v->keeps = false;
}

static void
visit_free(struct http_visitor *base)
{
	struct http_visit *v = visit_of(base);

	visit_drop_kept(v);
	entry_shared_put(v->shared);
	free(v);
}

/* ---- the end of a request --------------------------------------------------------- */

/*
 * The stream may serve a next request: not one of another visitor's where the client's side shows
 * who visits.
 */
static void
request_keep_back(struct http_request *r)
{
	const struct kept_key key = {
		.tunnel = r->tunnel, .host = r->host.text, .port = r->host.port,
		.session = r->choice.session,
		.visitor = r->choice.visitor_address ? r->visit->base.conn : 0,
	};
	/* Where many go on at a time, what is kept may be for another of a proxy's by now. */
	bool others = r->choice.visitor_address && !adit_addr_equal(&r->client, &r->visit->client);

	if (r->visit->shared->conf.keepalive && !others && h1_client_idle(r->back)) {
		r->visit->keeps |= r->choice.visitor_address;
		kept_put(r->back, &key);
	} else {
		adit_mux_close(r->back, NULL);
	}
	r->back = NULL;
}

static void
request_end(struct http_request *r, int why)
{
	struct http_visit *v = r->visit;

	adit_log(adit_component_log(v->shared->conf.component), ADIT_LOG_DEBUG,
		 ADIT_FIELDS(ADIT_UINT("conn", v->base.conn), ADIT_STR("host", r->host.text),
			     ADIT_STR("tunnel", r->tunnel), ADIT_INT("status", r->status),
			     ADIT_STR("err", why ? adit_strerror(why) : NULL)),
		 "request");
	adit_lookup_end(&r->lookup);
	LIST_REMOVE(r, entry);
	v->base.status = r->status;
	tally_status(v->worker, v->shared->tally, r->status);
	if (r->near)
		adit_conn_close(&r->near->body, why);
	if (why)
		adit_mux_close(r->back, &(struct adit_reason){ .err = why });
	else if (r->back)
		request_keep_back(r);
	adit_fields_free(r->head);
	if (v->base.many) {
		snprintf(v->base.host, sizeof(v->base.host), "%s", r->host.text);
		http_visitor_over(&v->base, &r->asked_of, &r->bodies);
	} else {
		http_visitor_next(&v->base);
	}
	free(r);
}

/* Answers in the target's stead: nothing of a response was passed on yet. */
static void
request_refuse(struct http_request *r, int status, int why)
{
	struct adit_exchange *near = r->near;

	r->status = status;
	tally_refusal(r->visit->worker, r->visit->shared->tally, why);
	adit_conn_log(&near->body, ADIT_LOG_DEBUG, "%s: %d: %s", r->host.text, status,
		      adit_strerror(why));
	r->near = NULL;
	adit_mux_close(r->back, &(struct adit_reason){ .err = why });
	r->back = NULL;
	http_refuse(near, status, status == 429 ? r->retry : status == 503 ? 1 : 0);
	request_end(r, 0);
}

/* What a failure to open the way to the target means to the visitor. */
static int
request_failure_status(int why)
{
	return why == ADIT_ENOROUTE ? 404 : http_status_of(why);
}

/* ---- the two sides -------------------------------------------------------------------- */

/*
 * Whether the request is sent once more, on a new stream, which can do no harm: a kept one may have
 * been closed by the target while our request was on its way (then once), or the client has died or
 * gone (another session of it may be the next to be found out).
 */
static bool
request_moves(const struct http_request *r, const struct front_result *result)
{
	const struct tunnel_worker *part = tunnels_of(r->visit->worker);

	if (!result->again || r->repeats >= REPEATS_MAX || r->visit->base.stopping)
		return false;
	return (r->reused && !r->repeats) || result->err == ADIT_EPEERDEAD ||
	       result->err == ADIT_EDRAINING ||
	       !tunnels_has(part, r->tunnel, r->choice.session);
}

/* What was HTTP ends here without a line in the log: that comes when what it became ends. */
static void
visit_upgrade(struct http_visit *v, struct adit_conn *const raw[2])
{
	const struct upgrade up = {
		.visitor = raw[0], .far = raw[1], .before = *adit_mux_traffic(v->base.front),
		.requests = v->base.requests,
	};
	struct visit_id id = {
		.conn = v->base.conn, .worker = v->base.worker, .born = v->base.born,
		.remote = v->base.remote,
	};

	snprintf(id.host, sizeof(id.host), "%s", v->base.host);
	if (visit_upgraded(v->shared, &id, &up) == 0) {
		http_visitor_leave(&v->base);
		return;
	}
	http_visitor_ended(&v->base, NULL, ending_how(-ENOMEM));
	http_visitor_end(&v->base);
}

static void
request_done(void *arg, const struct front_result *result)
{
	struct http_request *r = arg;
	struct http_visit *v = r->visit;

	r->front = NULL;
	r->near = result->near;
	r->status = result->status;
	r->bodies = (struct adit_traffic){ result->stats.bytes[0], result->stats.bytes[1] };
	http_visitor_see_end(&v->base, result);
	if (result->raw[0]) {
		request_end(r, 0);
		visit_upgrade(v, result->raw);
	} else if (!result->err) {
		request_end(r, 0);
	} else if (request_moves(r, result)) {
		adit_mux_close(r->back, NULL);
		r->back = NULL;
		r->repeats++;
		request_try(r);
	} else if (r->near) {
		/* RFC 9110, 15.5.9: it is his to send the rest of his request in time. */
		request_refuse(r, result->unfinished ? 408 : request_failure_status(result->err),
			       result->err);
	} else {
		request_end(r, result->err);
	}
}

/* What was sent on is not sent again: a tunnel may last, and its head is let go. */
static void
request_answered(void *arg)
{
	struct http_request *r = arg;

	adit_fields_free(r->head);
	r->head = NULL;
}

/* What may carry the request: *far, or where it is a stream an exchange of r->back. */
static int
request_open_back(struct http_request *r, struct adit_conn **far, struct adit_err *e)
{
	struct http_visit *v = r->visit;
	struct adit_worker *w = v->worker;
	struct adit_open req = {
		.tunnel = r->tunnel, .network = ADIT_TCP, .from = r->client,
		.host = r->host.text, .port = r->host.has_port ? r->host.port : 80,
		.session = r->choice.session,
		.early = http_is_safe(adit_fields_control(r->head, ADIT_METHOD)),
		.exchange = true,
	};
	struct adit_conn *c = adit_tunnel_open(w, &req, &r->choice, e);

	r->reused = false;
	if (!c)
		return e->code;
	if (adit_conn_flags(c) & ADIT_CONN_EXCHANGE) {
		*far = c;
		return 0;
	}
	r->back = h1_client(c, NULL);
	return r->back ? 0 : adit_err_set(e, -ENOMEM, "out of memory");
}

/* The first request goes where its visitor was moved to. */
static int
request_choose(struct http_request *r, struct adit_worker *w)
{
	struct visit_start *start = &r->visit->start;
	bool chosen = strcmp(start->tunnel, r->tunnel) == 0;

	*start->tunnel = '\0';
	if (!chosen)
		return adit_tunnel_pick(w, r->tunnel, ADIT_TCP, &r->choice);
	r->choice = start->choice;
	return 0;
}

static int
request_find_back(struct http_request *r, struct adit_conn **far, struct adit_err *e)
{
	struct http_visit *v = r->visit;
	struct adit_worker *w = v->worker;
	struct kept_key key = { .tunnel = r->tunnel, .host = r->host.text, .port = r->host.port };
	int err = request_choose(r, w);

	if (err < 0)
		return adit_err_set(e, err, "%s", adit_strerror(err));
	key.session = r->choice.session;
	key.visitor = r->choice.visitor_address ? v->base.conn : 0;
	/*
	 * A client that was not heard for a second is asked first, and the head of a new stream is
	 * what asks it.
	 */
	if (v->shared->conf.keepalive && !r->repeats && r->choice.fresh)
		r->back = kept_take(w, &key);
	if (!r->back)
		return request_open_back(r, far, e);
	r->reused = true;
	return 0;
}

static void
request_try(struct http_request *r)
{
	const uint64_t limit = r->visit->shared->conf.read_timeout;
	const struct front_opts opts = {
		.open_timeout = limit, .head_timeout = limit, .half_closed = HALF_CLOSED_NS,
		.leave = true, .answered = request_answered,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_exchange *near = r->near;
	struct adit_conn *far = NULL;

	if (request_find_back(r, &far, &e) == 0 && !far)
		far = adit_mux_open(r->back, ADIT_CONN_EXCHANGE, &e);
	if (!far) {
		request_refuse(r, request_failure_status(e.code), e.code);
		return;
	}
	r->near = NULL;
	r->front = http_front(near, adit_exchange_of(far), r->head, &opts, request_done, r);
	if (!r->front)
		request_end(r, -ENOMEM);
}

/* ---- the beginning of a request ---------------------------------------------------------- */

/* RFC 8441: it asks for another protocol, by a path. */
static bool
is_extended(const struct adit_fields *head)
{
	return adit_fields_control(head, ADIT_PROTOCOL).s;
}

/*
 * What is sent on: without what concerns the visitor's connection, with what the target should know
 * of him.
 */
static int
request_make_head(struct http_request *r, const struct adit_fields *head)
{
	struct http_visit *v = r->visit;
	const struct entry_conf *conf = &v->shared->conf;
	const struct adit_addr before = v->client;
	bool upgrade;
	int err;

	r->head = adit_fields_copy(head);
	if (!r->head)
		return -ENOMEM;
	upgrade = h1_wants_upgrade(head) || is_extended(head);
	err = h1_strip_hop_by_hop(r->head, upgrade);
	if (!err)
		err = forwarded_set(r->head, &v->base.remote, &conf->trusted, &v->client);
	/* A proxy's connection may carry requests of many visitors, and a stream shows one. */
	if (!err && !adit_addr_equal(&before, &v->client))
		visit_drop_kept(v);
	r->client = v->client;
	if (!err)
		err = forwarded_add_node(r->head, conf->node);
	if (!err && !conf->keepalive && !upgrade)
		err = adit_fields_set(r->head, "Connection", "close");
	return err;
}

/* 0, or the status to refuse with, or a failure to find the tunnel. */
static int
request_route(struct http_request *r)
{
	const struct adit_fields *head = r->asked;
	struct http_visit *v = r->visit;
	struct adit_text authority = adit_fields_control(head, ADIT_AUTHORITY);
	struct adit_text method = adit_fields_control(head, ADIT_METHOD);

	if (strcmp(method.s, "CONNECT") == 0 && !is_extended(head))
		return 405;
	if (!authority.s || hostname_parse(authority.s, authority.len, &r->host) < 0)
		return 400;
	if (adit_fields_has(head, "Gost-Forwarded-Node", v->shared->conf.node))
		return 508;
	if (!entry_allows(v->shared, r->host.text, r->host.has_port ? r->host.port : 80))
		return 403;
	return 0;
}

/* The rest of it, which may have been waited for. The same. */
static int
request_find(struct http_request *r)
{
	struct http_visit *v = r->visit;
	int err = entry_route(v->shared, v->worker, r->host.text, r->tunnel);
	uint64_t wait;

	if (err < 0)
		return err;
	if (memory_is_short(worker_memory(v->worker)))
		return 503;
	if (request_make_head(r, r->asked) < 0)
		return 500;
	wait = adit_component_delay(v->shared->conf.component, &r->client);
	r->retry = (unsigned)(wait / ADIT_SECONDS(1) + 1);
	return wait ? 429 : 0;
}

/* For the log. */
static int
request_route_error(int status)
{
	switch (status) {
	case 403:
		return ADIT_EFORBIDDEN;
	case 503:
	case 429:
		return ADIT_ELIMIT;
	case 500:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

static void
request_go(struct http_request *r, int status)
{
	if (status == -EAGAIN)		/* it was waited for, if it could be */
		status = ADIT_ENORULES;
	if (status < 0)
		request_refuse(r, request_failure_status(status), status);
	else if (status)
		request_refuse(r, status, request_route_error(status));
	else
		request_try(r);
}

static void
request_known(struct adit_lookup *q)
{
	struct http_request *r = adit_container_of(q, struct http_request, lookup);

	request_go(r, request_find(r));
}

static void
visit_request(struct http_visitor *base, struct adit_exchange *near)
{
	struct http_request *r = calloc(1, sizeof(*r));
	const struct adit_fields *head = adit_exchange_head(near);
	struct http_visit *v = visit_of(base);
	int status;

	if (!r || !head) {
		free(r);
		adit_conn_close(&near->body, -ENOMEM);
		http_visitor_next(base);
		return;
	}
	r->visit = v;
	r->near = near;
	LIST_INSERT_HEAD(&v->requests, r, entry);
	if (base->many)
		asked_begin(&r->asked_of, base->activity.component, head);
	else
		http_visitor_asked(base, head);
	r->asked = head;
	r->lookup.known = request_known;
	status = request_route(r);
	snprintf(v->base.host, sizeof(v->base.host), "%s", r->host.text);
	if (!status)
		status = request_find(r);
	r->lookup.port = r->host.has_port ? r->host.port : 80;
	if (status != -EAGAIN ||
	    entry_wait(v->shared, v->worker, r->host.text, &r->lookup) < 0)
		request_go(r, status);
}

/* ---- the visitor's connection ------------------------------------------------------------ */

static void
visit_stop(struct http_visitor *base, int why)
{
	struct http_request *r = LIST_FIRST(&visit_of(base)->requests), *next;

	for (; r; r = next) {
		next = LIST_NEXT(r, entry);
		if (r->front)
			http_front_stop(r->front, why);	/* ends it by its done */
		else
			request_end(r, why);
	}
}

static const struct http_visitor_ops visit_ops = {
	.kind = "entrypoint", .name = "visitor", .far = "client",
	.request = visit_request, .stop = visit_stop, .free = visit_free,
};

/* NULL: c is closed. */
static struct http_visit *
visit_new(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start)
{
	struct http_visit *v = calloc(1, sizeof(*v));

	if (!v) {
		adit_conn_close(c, -ENOMEM);
		return NULL;
	}
	LIST_INIT(&v->requests);
	v->start = *start;
	v->worker = adit_conn_worker(c);
	v->client = *adit_conn_remote(c);
	v->shared = entry_shared_get(s);
	return v;
}

void
visit_http(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start)
{
	const struct h1_conf conf = {
		.head_timeout = HEAD_NS, .idle_timeout = IDLE_NS, .send_continue = false,
	};
	struct http_visit *v = visit_new(s, c, start);

	if (v && http_visitor_begin(&v->base, &visit_ops, s->conf.component, c, &conf) < 0)
		visit_free(&v->base);
}

void
visit_h2(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start)
{
	const struct h2_conf conf = {
		.head_timeout = HEAD_NS, .idle_timeout = IDLE_NS, .extended = true,
	};
	struct http_visit *v = visit_new(s, c, start);

	if (v && http_visitor_begin_many(&v->base, &visit_ops, s->conf.component, c, &conf) < 0)
		visit_free(&v->base);
}
