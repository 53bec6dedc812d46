#include "core/proxy/relay_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/ending.h"
#include "core/conn/framed.h"
#include "core/proxy/bind.h"
#include "core/proxy/errand.h"
#include "core/proxy/inbox.h"
#include "core/proxy/udptun.h"
#include "core/service/component.h"
#include "core/tunnel/relay_conn.h"

#define UDP_TTL_NS ADIT_SECONDS(60)	/* of the flow to a target that says nothing */

struct relay_visit {
	struct adit_activity	 activity;
	const struct relay_server_conf *conf;
	struct adit_conn	*conn;		/* owned, until it is given away */
	struct collected	 in;
	struct relay_msg	 request;
	struct login		 login;
};

/* ---- the end ------------------------------------------------------------------------- */

static void
visit_free(struct relay_visit *v)
{
	login_end(&v->login);
	collected_fini(&v->in);
	explicit_bzero(&v->request, sizeof(v->request));
	adit_activity_end(&v->activity);
	free(v);
}

static void
visit_lose(struct relay_visit *v, int err, const char *text)
{
	errand_log_none(v->activity.component, v->conn, err, text);
	adit_conn_close(v->conn, err == -ETIMEDOUT ? 0 : err);
	visit_free(v);
}

/* text: more than the status says, or NULL. */
static void
visit_refuse_for(struct relay_visit *v, enum relay_status status, const char *text)
{
	const struct relay_msg answer = { .code = (uint8_t)status };
	struct ending end = ending_of(v->activity.component, v->conn);

	end.kind = "handler";
	end.how = "refused";
	ending_log(&end, ADIT_LOG_WARN, "request refused: %s%s%s", relay_status_text(status),
		   text ? ": " : "", text ? text : "");
	relay_send(v->conn, &answer);
	adit_conn_close(v->conn, 0);
	visit_free(v);
}

static void
visit_refuse(struct relay_visit *v, enum relay_status status)
{
	visit_refuse_for(v, status, NULL);
}

static void
visit_stop(struct adit_activity *a, int why)
{
	visit_lose(adit_container_of(a, struct relay_visit, activity),
		   why ? why : ADIT_EDRAINING, NULL);
}

/* The conn, free of the request; v goes. */
static struct adit_conn *
visit_release(struct relay_visit *v)
{
	struct adit_conn *c = v->conn;

	adit_conn_deadline(c, 0);
	adit_conn_own(c, NULL, NULL);
	adit_conn_want(c, 0);
	visit_free(v);
	return c;
}

/* ---- CONNECT --------------------------------------------------------------------------- */

static int
connect_agree(void *arg, struct adit_conn **near, struct adit_conn *far)
{
	static const struct relay_msg ok = { .code = RELAY_OK };
	int err = relay_send(*near, &ok);

	(void)arg;
	if (!err && adit_conn_flags(far) & ADIT_CONN_DGRAM)
		*near = framed_conn(*near);
	return *near ? err : -ENOMEM;
}

/* Why a target cannot be reached is one status to a gost, whatever the reason. */
static void
connect_refuse(void *arg, struct adit_conn *near, int err)
{
	struct relay_msg answer = { .code = RELAY_NETWORK_UNREACHABLE };

	(void)arg;
	if (err == ADIT_EDRAINING || err == ADIT_ESTOPPED || err == ADIT_ELIMIT || err == -ENOMEM)
		answer.code = RELAY_SERVICE_UNAVAILABLE;
	if (err == ADIT_EFORBIDDEN)
		answer.code = RELAY_FORBIDDEN;
	relay_send(near, &answer);
	adit_conn_close(near, 0);
}

/* As gost says it: no node, or one that could not be reached. */
static void
forward_refuse(void *arg, struct adit_conn *near, int err)
{
	const struct relay_msg answer = {
		.code = err == ADIT_ENOROUTE ? RELAY_SERVICE_UNAVAILABLE : RELAY_HOST_UNREACHABLE,
	};

	(void)arg;
	relay_send(near, &answer);
	adit_conn_close(near, 0);
}

static const struct errand_ops connect_ops = { .agree = connect_agree, .refuse = connect_refuse };
static const struct errand_ops forward_ops = { .agree = connect_agree, .refuse = forward_refuse };

/* gost goes by either of the two. */
static bool
request_is_udp(const struct relay_msg *m)
{
	return m->code & RELAY_UDP || relay_msg_network(m) == RELAY_NET_UDP;
}

/* The last of several, as gost has it; one without a type where there is none. */
static const struct wire_addr *
request_target(const struct relay_msg *m)
{
	static const struct wire_addr none;

	if (!m->n_addr)
		return &none;
	return &m->addr[m->n_addr < RELAY_ADDRS ? m->n_addr - 1 : RELAY_ADDRS - 1];
}

static void
visit_connect(struct relay_visit *v)
{
	const struct relay_msg *m = &v->request;
	struct adit_target to = { .network = request_is_udp(m) ? ADIT_UDP : ADIT_TCP };
	const struct errand_conf conf = {
		.ops = &connect_ops, .handler = v->conf->handler, .to = &to,
		.idle = v->conf->idle_timeout,
	};
	char host[WIRE_ADDR_TEXT];

	/* Sockets of this machine's other programs are not given to whoever may connect. */
	if (relay_msg_network(m) > RELAY_NET_UDP ||
	    inbox_target(request_target(m), host, &to) < 0)
		visit_refuse(v, RELAY_BAD_REQUEST);
	else
		errand(visit_release(v), &conf);
}

static int
framed_agree(void *arg, struct adit_conn **near, struct adit_conn *far)
{
	(void)arg;
	(void)near;
	(void)far;
	return 0;		/* it was told before */
}

static void
framed_refuse(void *arg, struct adit_conn *near, int err)
{
	(void)arg;
	adit_conn_close(near, err);
}

static const struct errand_ops framed_ops = { .agree = framed_agree, .refuse = framed_refuse };

/*
 * With a forwarder it is a port forward: what is asked for is not looked at, but for the kind. A
 * node for datagrams is chosen for a conn of datagrams; that nobody is there shows later anyway.
 */
static void
visit_forward(struct relay_visit *v)
{
	static const struct relay_msg ok = { .code = RELAY_OK };
	bool udp = request_is_udp(&v->request);
	const struct errand_conf conf = {
		.ops = udp ? &framed_ops : &forward_ops, .handler = v->conf->handler,
		.idle = v->conf->idle_timeout,
	};
	int err = udp ? relay_send(v->conn, &ok) : 0;
	struct adit_conn *c;

	if (err) {
		visit_lose(v, err, NULL);
		return;
	}
	c = visit_release(v);
	if (udp)
		c = framed_conn(c);
	if (c)
		errand(c, &conf);
}

/* ---- BIND ------------------------------------------------------------------------------- */

static int
bind_say(struct adit_conn *c, const struct adit_addr *a)
{
	const struct relay_msg m = { .code = RELAY_OK, .n_addr = 1, .addr = { inbox_addr(a) } };

	return relay_send(c, &m);
}

static void
visit_bind_tcp(struct relay_visit *v, const struct adit_addr *at)
{
	const struct bind_conf conf = {
		.handler = v->conf->handler, .at = *at, .listening = bind_say, .arrived = bind_say,
	};
	struct adit_err e = ADIT_ERR_INIT;

	adit_conn_deadline(v->conn, 0);
	if (bind_session(v->conn, &conf, &e) < 0)
		visit_refuse_for(v, RELAY_SERVICE_UNAVAILABLE, e.text);
	else
		visit_free(v);
}

/* Without a port it is an association: the client says where each datagram is to go. */
static void
visit_bind_udp(struct relay_visit *v, const struct adit_addr *at)
{
	struct udptun_conf conf = { .handler = v->conf->handler, .ttl = UDP_TTL_NS };
	struct adit_addr bound = *adit_conn_local(v->conn);
	struct adit_err e = ADIT_ERR_INIT;
	int err = 0;

	if (at->port) {
		conf.port = udptun_port(adit_conn_worker(v->conn), at, &e);
		err = conf.port ? 0 : e.code;
		bound = conf.port ? *adit_packet_local(conf.port) : bound;
	}
	if (!err)
		err = bind_say(v->conn, &bound);
	if (err) {
		adit_packet_close(conf.port);
		visit_refuse_for(v, RELAY_SERVICE_UNAVAILABLE, e.code ? e.text : NULL);
		return;
	}
	udptun_serve(visit_release(v), &conf);
}

static void
visit_bind(struct relay_visit *v)
{
	const struct relay_msg *m = &v->request;
	struct adit_addr at;

	if (!v->conf->bind)
		visit_refuse(v, RELAY_FORBIDDEN);
	else if (!m->n_addr || relay_msg_network(m) > RELAY_NET_UDP ||
		 bind_address(&m->addr[0], &at) < 0)
		visit_refuse(v, RELAY_BAD_REQUEST);
	else if (request_is_udp(m))
		visit_bind_udp(v, &at);
	else
		visit_bind_tcp(v, &at);
}

/* ---- the request ------------------------------------------------------------------------- */

static void
visit_logged_in(struct login *l, int err)
{
	struct relay_visit *v = adit_container_of(l, struct relay_visit, login);

	if (err) {
		visit_refuse(v, relay_error_status(err));
		return;
	}
	if (component_forwards(v->activity.component)) {
		visit_forward(v);
		return;
	}
	switch (v->request.code & RELAY_CMD_MASK) {
	case 0:			/* so does gost */
	case RELAY_CONNECT:
		visit_connect(v);
		break;
	case RELAY_BIND:
		visit_bind(v);
		break;
	default:
		visit_refuse(v, RELAY_BAD_REQUEST);
	}
}

static void
visit_serve(struct relay_visit *v)
{
	const struct relay_msg *m = &v->request;
	const struct credentials c = {
		.user = m->has_auth ? m->auth.user : NULL, .user_len = m->auth.user_len,
		.password = m->auth.pass, .password_len = m->auth.pass_len,
	};
	int err = login_begin(&v->login, &v->activity.component->gate, v->conn, &c);

	if (err != -EINPROGRESS)
		visit_logged_in(&v->login, err);
}

static void
visit_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct relay_visit *v = owner;
	const char *why = NULL;
	int err = relay_read(&v->in, c, &v->request, &why);

	(void)events;
	if (err == -EAGAIN)
		return;
	adit_conn_want(c, 0);
	if (err == 1)
		visit_serve(v);
	else
		visit_lose(v, err == -ECONNRESET && !adit_conn_err(c) ? -ESHUTDOWN : err, why);
}

void
relay_server(struct adit_conn *c, const struct relay_server_conf *conf)
{
	struct relay_visit *v = calloc(1, sizeof(*v));

	if (!v) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	v->conf = conf;
	v->conn = c;
	v->login.done = visit_logged_in;
	v->activity.stop = visit_stop;
	adit_activity_begin(&v->activity, conf->handler->component, adit_conn_worker(c));
	adit_conn_own(c, visit_event, v);
	adit_conn_deadline(c, (unsigned)(conf->read_timeout / ADIT_MS(1)));
	adit_conn_want(c, ADIT_READ);
}
