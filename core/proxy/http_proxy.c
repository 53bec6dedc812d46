#include "core/proxy/http_proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/exchange.h>
#include <adit/log.h>

#include "core/conn/ending.h"
#include "core/conn/patience.h"
#include "core/http/asked.h"
#include "core/http/basic.h"
#include "core/http/fields.h"
#include "core/http/front.h"
#include "core/http/h1.h"
#include "core/http/respond.h"
#include "core/proxy/errand.h"
#include "core/proxy/udptun.h"
#include "core/runtime/memory.h"
#include "core/runtime/worker.h"
#include "core/service/component.h"
#include "core/wire/hostname.h"

#define IDLE_NS	       ADIT_SECONDS(60)	/* of a client between two requests */
#define REALM_MAX      200
#define UDP_TTL_NS     ADIT_SECONDS(60)	/* of the flow to a target that says nothing */

const char *const http_proxy_agent_aliases[] = { "proxyAgent", NULL };

/* A client's connection. */
struct proxy_visit {
	struct adit_activity	 activity;
	const struct http_proxy_conf *conf;
	struct adit_mux		*front;		/* owned; NULL once it is a tunnel */
	struct proxy_request	*request;	/* that is going on; owned */
	struct login		 login;
	struct adit_exchange	*asking;	/* whose credentials are being checked; owned */
	const struct adit_fields *asked;	/* its head, and its own */
	bool			 errand;	/* a CONNECT has the exchange, and will say when
						 * it is over */
	struct adit_mux		*back;		/* of the last request, if it can be used again;
						 * owned */
	struct hostname		 back_host;	/* whose it is */
	uint64_t		 id, born;
	struct adit_addr	 remote;
	char			 host[HOSTNAME_MAX + 1];	/* of the last request */
	unsigned		 requests;
	int			 status;
	struct asked		 record;	/* of the request that goes on */
	bool			 stopping;	/* the end of what goes on is the end of all */
};

/* A request that is sent on. */
struct proxy_request {
	struct proxy_visit	*visit;
	struct adit_exchange	*near;		/* owned; NULL: front has it */
	struct adit_fields	*head;		/* what is sent on; owned */
	struct adit_mux		*back;		/* owned */
	struct front		*front;		/* while the two are joined */
	struct hostname		 host;
	bool			 reused;	/* back had served before, and may be dead */
	bool			 repeated;
};

/* ---- a client's end ---------------------------------------------------------------------- */

static void
visit_record(struct proxy_visit *v)
{
	const struct adit_record record = {
		.size = sizeof(record), .conn = v->id, .remote = &v->remote,
		.host = *v->host ? v->host : NULL, .status = v->status,
	};

	if (v->front)
		asked_end(&v->record, v->activity.component, record, adit_mux_traffic(v->front));
}

static void
visit_free(struct proxy_visit *v)
{
	visit_record(v);
	asked_drop(&v->record);
	login_end(&v->login);
	adit_mux_close(v->back, NULL);
	adit_mux_close(v->front, NULL);
	adit_activity_end(&v->activity);
	free(v);
}

static void
visit_log_end(const struct proxy_visit *v, const char *by, const char *how)
{
	struct ending end = ending_of_mux(v->activity.component, v->front);
	char remote[ADIT_ADDR_TEXT];

	end.kind = "handler";
	end.id = v->id;
	end.remote = &v->remote;
	end.duration = adit_now() - v->born;
	end.host = *v->host ? v->host : NULL;
	end.requests = v->requests;
	end.status = v->status;
	end.by = by;
	end.how = how;
	ending_log(&end, ADIT_LOG_INFO, "%s >< %s", adit_addr_format(&v->remote, remote), v->host);
}

static void
visit_end(struct proxy_visit *v, const char *by, const char *how)
{
	visit_log_end(v, by, how);
	visit_free(v);
}

/* The connection is over, by itself. Of what was no request it says which status that got. */
static void
visit_front_ended(struct proxy_visit *v)
{
	const struct adit_reason *why = adit_mux_reason(v->front);

	if (!why->code) {
		visit_end(v, ending_by(why->err, "peer"), ending_how(why->err));
		return;
	}
	v->requests++;
	v->status = (int)why->code;
	visit_end(v, NULL, why->code == 408 ? ending_how(-ETIMEDOUT) : "refused");
}

/* What went on is over. */
static void
visit_go_on(struct proxy_visit *v)
{
	visit_record(v);
	if (v->stopping)
		visit_end(v, NULL, "stopped");
	else
		adit_mux_want(v->front, ADIT_READ);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* RFC 9209, 2.3: what kept us from answering as asked. NULL: nothing that a client could use. */
static const char *
proxy_error(int err)
{
	switch (err) {
	case -ECONNREFUSED:
		return "connection_refused";
	case -ECONNRESET:
	case -EPIPE:
	case -ESHUTDOWN:
	case ADIT_ETRUNCATED:
		return "connection_terminated";
	case -ETIMEDOUT:
		return "connection_timeout";
	case ADIT_ENOHOST:
	case ADIT_ERESOLVE:
		return "dns_error";
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return "destination_ip_unroutable";
	case -EBADMSG:
	case -EPROTO:
		return "http_protocol_error";
	case ADIT_EFORBIDDEN:
		return "http_request_denied";
	case ADIT_ELIMIT:
		return "connection_limit_reached";
	case ADIT_ETLS:
		return "tls_protocol_error";
	case ADIT_ETARGET:
	case ADIT_ENOROUTE:
	case ADIT_ENOTUNNEL:
	case ADIT_EPEERDEAD:
		return "destination_unavailable";
	case -ELOOP:
		return "proxy_loop_detected";
	default:
		return NULL;
	}
}

static int
proxy_status(int err)
{
	switch (err) {
	case ADIT_EUNAUTH:
		return 407;
	case ADIT_EFORBIDDEN:
		return 403;
	case -ELOOP:
		return 508;
	case -EINVAL:
		return 400;
	case ADIT_EUNSUPPORTED:
		return 501;
	default:
		return http_status_of(err);
	}
}

/* What is wrong between us and the next proxy is none of the client's to put right. */
static int
far_error(int err)
{
	switch (err) {
	case ADIT_EUNAUTH:
	case ADIT_EFORBIDDEN:
	case ADIT_EUNSUPPORTED:
	case -EINVAL:
		return ADIT_ETARGET;
	default:
		return err;
	}
}

static int
refusal_fields(const struct http_proxy_conf *conf, int err, struct adit_fields *f)
{
	const char *error = proxy_error(err);
	char text[256];
	int failed = 0;

	if (err == ADIT_EUNAUTH) {
		snprintf(text, sizeof(text), "Basic realm=\"%s\"", conf->realm);
		failed = adit_fields_set(f, "Proxy-Authenticate", text);
	}
	if (!failed && *conf->agent)
		failed = adit_fields_set(f, "Proxy-Agent", conf->agent);
	if (failed || !error)
		return failed;
	snprintf(text, sizeof(text), "%s; error=%s", conf->name, error);
	return adit_fields_set(f, "Proxy-Status", text);
}

/* Answers x, of which no final head was sent, for that reason, and closes it. */
static int
proxy_refuse(struct adit_exchange *x, const struct http_proxy_conf *conf, int err)
{
	struct adit_fields *f = adit_fields_new();
	int status = proxy_status(err);

	if (!f || refusal_fields(conf, err, f) < 0)
		adit_conn_close(&x->body, -ENOMEM);
	else
		http_refuse_with(x, status, f);
	adit_fields_free(f);
	return status;
}

/* ---- CONNECT -------------------------------------------------------------------------------- */

static int
tunnel_send_head(const struct proxy_visit *v, struct adit_exchange *x)
{
	struct adit_fields *f = adit_fields_new();
	int err = f ? 0 : -ENOMEM;

	if (!err) {
		adit_fields_set_status(f, 200);
		err = adit_fields_set_control(f, ADIT_REASON, "Connection established", 22);
	}
	if (!err && *v->conf->agent)
		err = adit_fields_set(f, "Proxy-Agent", v->conf->agent);
	if (!err)
		err = adit_exchange_send_head(x, f, 0);
	adit_fields_free(f);
	return err;
}

/*
 * From here on nothing of HTTP is in the connection: usually the one below can be had, and nobody
 * need keep the rest.
 */
static int
tunnel_agree(void *arg, struct adit_conn **near, struct adit_conn *far)
{
	struct proxy_visit *v = arg;
	struct adit_exchange *x = adit_exchange_of(*near);
	struct adit_conn *raw;
	int err = tunnel_send_head(v, x);

	(void)far;
	v->status = 200;
	if (err || !h1_may_leave(x))
		return err;
	raw = h1_leave(x);
	if (!raw)
		return -ENOMEM;
	adit_conn_close(&x->body, 0);
	adit_mux_close(v->front, NULL);
	v->front = NULL;
	*near = raw;
	return 0;
}

static void
tunnel_refuse(void *arg, struct adit_conn *near, int err)
{
	struct proxy_visit *v = arg;

	v->status = proxy_refuse(adit_exchange_of(near), v->conf, far_error(err));
}

static void
tunnel_over(void *arg)
{
	struct proxy_visit *v = arg;

	v->errand = false;
	if (!v->front || v->status == 200)	/* the errand has written its line */
		visit_free(v);
	else
		visit_go_on(v);
}

static const struct errand_ops tunnel_ops = {
	.agree = tunnel_agree, .refuse = tunnel_refuse, .over = tunnel_over,
};

static void
visit_tunnel(struct proxy_visit *v, struct adit_exchange *near, const struct hostname *host)
{
	const struct adit_target to = {
		.network = ADIT_TCP, .host = host->text, .port = host->port,
	};
	const struct errand_conf conf = {
		.ops = &tunnel_ops, .arg = v, .handler = v->conf->handler, .to = &to,
		.idle = v->conf->idle_timeout,
	};

	v->errand = true;
	v->status = 0;
	errand(&near->body, &conf);
}

/* What is asked for is no target: the datagrams name theirs. Whether v is still there. */
static bool
visit_udp(struct proxy_visit *v, struct adit_exchange *near)
{
	const struct udptun_conf conf = { .handler = v->conf->handler, .ttl = UDP_TTL_NS };
	struct adit_conn *c = &near->body;
	int err = tunnel_agree(v, &c, NULL);

	if (!err && v->front)
		err = -EPROTO;		/* he has ended already: nobody would be answered */
	if (err) {
		adit_conn_close(&near->body, err);
		return true;
	}
	udptun_serve(c, &conf);
	visit_free(v);
	return false;
}

/* ---- a request that is sent on ------------------------------------------------------------- */

static void
request_end(struct proxy_request *r, int why)
{
	struct proxy_visit *v = r->visit;

	v->request = NULL;
	if (r->near)
		adit_conn_close(&r->near->body, why);
	if (why || !r->back || !h1_client_idle(r->back)) {
		adit_mux_close(r->back, &(struct adit_reason){ .err = why });
	} else {
		v->back = r->back;
		v->back_host = r->host;
	}
	adit_fields_free(r->head);
	free(r);
}

/* text: more than err says, or NULL. */
static void
request_refuse(struct proxy_request *r, int err, const char *text)
{
	struct adit_exchange *near = r->near;
	char reason[ENDING_REASON];

	r->near = NULL;
	adit_conn_log(&near->body, ADIT_LOG_WARN, "%s: %s", r->host.text,
		      ending_reason(err, text, reason));
	r->visit->status = proxy_refuse(near, r->visit->conf, far_error(err));
	request_end(r, err);
}

/* RFC 9110, 15.5.9: the rest of it was the client's to send. */
static void
request_refuse_unfinished(struct proxy_request *r, int err)
{
	r->visit->status = 408;
	http_refuse(r->near, 408, 0);
	r->near = NULL;
	request_end(r, err);
}

/* What became another protocol's: the errand's line is the connection's last. */
static void
request_upgraded(struct proxy_request *r, struct adit_conn *const raw[2])
{
	struct proxy_visit *v = r->visit;

	errand_join(v->activity.component, raw[0], raw[1], v->host);
	request_end(r, -ESHUTDOWN);
	visit_free(v);
}

/* It was kept, and its server has closed it while we sent: once more, by another. */
static bool
request_moves(const struct proxy_request *r, const struct front_result *result)
{
	return result->err && result->again && r->reused && !r->repeated && !r->visit->stopping;
}

static void request_try(struct proxy_request *r);	/* again, once */

static void
request_done(void *arg, const struct front_result *result)
{
	struct proxy_request *r = arg;
	struct proxy_visit *v = r->visit;

	r->front = NULL;
	r->near = result->near;
	if (result->status)
		v->status = result->status;
	if (result->raw[0]) {
		request_upgraded(r, result->raw);
		return;
	}
	if (request_moves(r, result)) {
		adit_mux_close(r->back, NULL);
		r->back = NULL;
		r->repeated = true;
		request_try(r);
	} else if (result->err && r->near && result->unfinished) {
		request_refuse_unfinished(r, result->err);
	} else if (result->err && r->near) {
		request_refuse(r, result->err, result->why);
	} else {
		request_end(r, result->err);
	}
	if (!v->request)
		visit_go_on(v);
}

static int
request_edit(void *arg, struct adit_fields *response)
{
	const struct proxy_request *r = arg;
	char via[32];
	int n = snprintf(via, sizeof(via), "1.1 %s", r->visit->conf->name);

	if (adit_fields_status(response) < 200)
		return 0;
	return adit_fields_add(response, (struct adit_text){ "Via", 3 },
			       (struct adit_text){ via, (size_t)n });
}

static int
request_dial(struct proxy_request *r, struct adit_err *e)
{
	const struct adit_target to = {
		.network = ADIT_TCP, .host = r->host.text,
		.port = r->host.has_port ? r->host.port : 80,
	};
	struct adit_conn *c = adit_handler_dial(r->visit->conf->handler, &r->near->body, &to, e);

	r->reused = false;
	if (!c)
		return e->code ? e->code : ADIT_ETARGET;
	r->back = h1_client(c, NULL);
	return r->back ? 0 : -ENOMEM;
}

static bool
host_is_same(const struct hostname *a, const struct hostname *b)
{
	return a->port == b->port && a->has_port == b->has_port && strcmp(a->text, b->text) == 0;
}

/* The connection of the request before, where it leads to the same host and is alive. */
static int
request_find_back(struct proxy_request *r, struct adit_err *e)
{
	struct proxy_visit *v = r->visit;

	if (v->back && host_is_same(&v->back_host, &r->host) && h1_client_idle(v->back)) {
		r->back = v->back;
		r->reused = true;
		v->back = NULL;
		return 0;
	}
	adit_mux_close(v->back, NULL);
	v->back = NULL;
	return request_dial(r, e);
}

static void
request_try(struct proxy_request *r)
{
	const struct http_proxy_conf *conf = r->visit->conf;
	const struct front_opts opts = {
		.open_timeout = conf->read_timeout, .head_timeout = conf->read_timeout,
		.half_closed = HALF_CLOSED_NS, .leave = true, .edit = request_edit,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_exchange *near = r->near;
	struct adit_conn *far = NULL;
	int err = request_find_back(r, &e);

	if (!err)
		far = adit_mux_open(r->back, ADIT_CONN_EXCHANGE, &e);
	if (!far) {
		request_refuse(r, err ? err : e.code, e.text);
		return;
	}
	r->near = NULL;
	r->front = http_front(near, adit_exchange_of(far), r->head, &opts, request_done, r);
	if (!r->front)
		request_end(r, -ENOMEM);
}

/* What is sent on: without what concerns the client's connection, or us. */
static int
request_make_head(struct proxy_request *r, const struct adit_fields *head)
{
	char via[32];
	int n = snprintf(via, sizeof(via), "1.%d %s", adit_fields_version(head) == 10 ? 0 : 1,
			 r->visit->conf->name), err;

	r->head = adit_fields_copy(head);
	if (!r->head)
		return -ENOMEM;
	err = h1_strip_hop_by_hop(r->head, h1_wants_upgrade(head));
	adit_fields_remove(r->head, "Proxy-Authorization");
	if (!err)
		err = adit_fields_add(r->head, (struct adit_text){ "Via", 3 },
				      (struct adit_text){ via, (size_t)n });
	return err;
}

static void
visit_send_on(struct proxy_visit *v, struct adit_exchange *near, const struct adit_fields *head,
	      const struct hostname *host)
{
	struct proxy_request *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		v->status = proxy_refuse(near, v->conf, -ENOMEM);
		visit_record(v);
		return;
	}
	*r = (struct proxy_request){ .visit = v, .near = near, .host = *host };
	v->request = r;
	err = request_make_head(r, head);
	if (err)
		request_refuse(r, err, NULL);
	else
		request_try(r);
}

/* ---- what is asked for --------------------------------------------------------------------- */

/* A request that we have sent on ourselves says so (RFC 9110, 7.6.3). */
static bool
head_was_here(const struct adit_fields *head, const struct http_proxy_conf *conf)
{
	char via[32];

	snprintf(via, sizeof(via), "1.1 %s", conf->name);
	if (adit_fields_has(head, "Via", via))
		return true;
	via[2] = '0';
	return adit_fields_has(head, "Via", via);
}

static bool
head_is_connect(const struct adit_fields *head)
{
	return strcmp(adit_fields_control(head, ADIT_METHOD).s, "CONNECT") == 0;
}

static bool
head_asks_udp(const struct adit_fields *head)
{
	struct adit_text protocol = adit_fields_get(head, "X-Gost-Protocol");

	return head_is_connect(head) && protocol.s && http_text_equal(protocol, "udp", 3);
}

/* Of a request that may be made. 0, or why it is refused. */
static int
visit_judge(const struct proxy_visit *v, const struct adit_fields *head, struct hostname *host)
{
	struct adit_text authority = adit_fields_control(head, ADIT_AUTHORITY);
	struct adit_text scheme = adit_fields_control(head, ADIT_SCHEME);
	struct adit_target to = { .network = ADIT_TCP, .host = host->text };

	if (!authority.s || hostname_parse(authority.s, authority.len, host) < 0) {
		*host->text = 0;
		return -EINVAL;
	}
	if (scheme.s && !http_text_equal(scheme, "http", 4))
		return ADIT_EUNSUPPORTED;	/* https is asked for by CONNECT */
	if (head_was_here(head, v->conf))
		return -ELOOP;
	if (memory_is_short(worker_memory(adit_mux_worker(v->front))))
		return ADIT_ELIMIT;
	if (head_asks_udp(head) && !v->conf->udp)
		return ADIT_EFORBIDDEN;
	to.port = host->has_port ? host->port : 80;
	return adit_component_allows(v->activity.component, &to) ? 0 : ADIT_EFORBIDDEN;
}

/* err: what the login has found. Whether v is still there. */
static bool
visit_serve(struct proxy_visit *v, struct adit_exchange *near, const struct adit_fields *head,
	    int err)
{
	struct hostname host = { .text = "" };

	asked_begin(&v->record, v->activity.component, head);
	if (!err)
		err = visit_judge(v, head, &host);
	strcpy(v->host, host.text);
	if (err) {
		adit_conn_log(&near->body, ADIT_LOG_WARN, "%s refused: %s",
			      *host.text ? host.text : "request", adit_strerror(err));
		v->status = proxy_refuse(near, v->conf, err);
		visit_record(v);
	} else if (head_asks_udp(head)) {
		asked_drop(&v->record);
		return visit_udp(v, near);
	} else if (head_is_connect(head)) {
		asked_drop(&v->record);	/* the errand says what became of it */
		visit_tunnel(v, near, &host);
	} else {
		visit_send_on(v, near, head, &host);
	}
	return true;
}

static bool
visit_is_busy(const struct proxy_visit *v)
{
	return v->request || v->errand || v->asking;
}

static void
visit_logged_in(struct login *l, int err)
{
	struct proxy_visit *v = adit_container_of(l, struct proxy_visit, login);
	struct adit_exchange *near = v->asking;

	v->asking = NULL;
	login_end(l);
	if (visit_serve(v, near, v->asked, err) && !visit_is_busy(v))
		visit_go_on(v);
}

/* Each request has its own credentials. Whether v is still there. */
static bool
visit_take(struct proxy_visit *v, struct adit_exchange *near)
{
	const struct adit_fields *head = adit_exchange_head(near);
	struct credentials c = { .user = NULL };
	struct basic b;
	int err;

	if (!head) {
		adit_conn_close(&near->body, -EBADMSG);
		return true;
	}
	v->requests++;
	if (basic_decode(adit_fields_get(head, "Proxy-Authorization"), &b) == 0)
		c = (struct credentials){
			.user = b.text, .user_len = b.user_len,
			.password = basic_password(&b), .password_len = b.password_len,
		};
	err = login_begin(&v->login, &v->activity.component->gate, &near->body, &c);
	explicit_bzero(&b, sizeof(b));
	if (err == -EINPROGRESS) {
		v->asking = near;
		v->asked = head;
		return true;
	}
	login_end(&v->login);
	return visit_serve(v, near, head, err);
}

/* ---- a client's connection ------------------------------------------------------------------ */

static void
visit_stop(struct adit_activity *a, int why)
{
	struct proxy_visit *v = adit_container_of(a, struct proxy_visit, activity);

	v->stopping = why;
	if (v->front)
		adit_mux_drain(v->front);
	if (v->errand || (!why && visit_is_busy(v)))
		return;			/* an errand is stopped by itself */
	if (v->request) {
		http_front_stop(v->request->front, why);
		return;
	}
	if (v->asking)
		adit_conn_close(&v->asking->body, why);
	visit_end(v, NULL, "stopped");
}

/* One request at a time; while it goes on there is nothing that it does not hear itself. */
static void
visit_event(void *owner, struct adit_mux *front, unsigned events)
{
	struct proxy_visit *v = owner;
	struct adit_conn *c;

	(void)events;
	while (!visit_is_busy(v) && (c = adit_mux_accept(front)))
		if (!visit_take(v, adit_exchange_of(c)))
			return;
	if (visit_is_busy(v))
		adit_mux_want(front, 0);
	else if (adit_mux_err(front))
		visit_front_ended(v);
}

/* What stands in a field of ours, there between quotes. */
static bool
is_plain_text(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~' || *s == '"' || *s == '\\')
			return false;
	return true;
}

int
http_proxy_init(struct http_proxy_conf *conf, struct adit_handler *h, struct adit_err *e)
{
	uint32_t id;

	conf->handler = h;
	adit_random(&id, sizeof(id));
	snprintf(conf->name, sizeof(conf->name), "adit-%08x", id);
	if (strlen(conf->realm) > REALM_MAX || !is_plain_text(conf->realm))
		return adit_err_set(e, ADIT_ECONFIG, "authBasicRealm: not a short, plain text");
	if (!is_plain_text(conf->agent))
		return adit_err_set(e, ADIT_ECONFIG, "http.proxyAgent: not a plain text");
	return 0;
}

void
http_proxy(struct adit_conn *c, const struct http_proxy_conf *conf)
{
	const struct h1_conf h1 = { .head_timeout = conf->read_timeout, .idle_timeout = IDLE_NS };
	struct adit_worker *w = adit_conn_worker(c);
	struct proxy_visit *v = calloc(1, sizeof(*v));

	if (!v) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	v->conf = conf;
	v->id = adit_conn_id(c);
	v->born = adit_now() - adit_conn_age(c);
	v->remote = *adit_conn_remote(c);
	v->front = h1_server(c, &h1);
	if (!v->front) {
		free(v);
		return;
	}
	v->login.done = visit_logged_in;
	v->activity.stop = visit_stop;
	adit_activity_begin(&v->activity, conf->handler->component, w);
	adit_mux_own(v->front, visit_event, v);
	adit_mux_want(v->front, ADIT_READ);
}
