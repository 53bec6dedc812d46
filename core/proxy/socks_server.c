#include "core/proxy/socks_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/ending.h"
#include "core/proxy/bind.h"
#include "core/proxy/errand.h"
#include "core/proxy/inbox.h"
#include "core/proxy/socks_udp.h"
#include "core/proxy/udptun.h"
#include "core/service/component.h"
#include "core/wire/socks.h"

#define UDP_TTL_NS ADIT_SECONDS(60)	/* of the flow to a target that says nothing */

struct socks_visit;

/* What is awaited: reads on in its inbox. 1: done, and another step may follow; 0: more is needed;
 * negative: the visit is over, or waits for something else. */
typedef int socks_step(struct socks_visit *v);

struct socks_visit {
	struct adit_activity	 activity;
	const struct socks_conf	*conf;
	struct adit_conn	*conn;		/* owned, until it is given away; then NULL */
	socks_step		*step;
	struct login		 login;
	struct inbox		 in;
};

/* ---- the end ------------------------------------------------------------------------- */

static void
socks_free(struct socks_visit *v)
{
	login_end(&v->login);
	adit_activity_end(&v->activity);
	explicit_bzero(&v->in, sizeof(v->in));
	free(v);
}

/* It went, was too slow, or said what is no request. */
static void
socks_lose(struct socks_visit *v, int err, const char *text)
{
	errand_log_none(v->activity.component, v->conn, err, text);
	adit_conn_close(v->conn, err == -ETIMEDOUT ? 0 : err);
	socks_free(v);
}

/* Its last words are on their way. text: more than err says, or NULL. */
static void
socks_refused(struct socks_visit *v, int err, const char *text)
{
	struct ending end = ending_of(v->activity.component, v->conn);
	char reason[ENDING_REASON];

	end.kind = "handler";
	end.how = "refused";
	ending_log(&end, ADIT_LOG_WARN, "request refused: %s",
		   ending_reason(err, text, reason));
	adit_conn_close(v->conn, 0);
	socks_free(v);
}

static void
socks_stop(struct adit_activity *a, int why)
{
	struct socks_visit *v = adit_container_of(a, struct socks_visit, activity);

	socks_lose(v, why ? why : ADIT_EDRAINING, NULL);
}

/* ---- replies --------------------------------------------------------------------------- */

static uint8_t
socks5_code(int err)
{
	switch (err) {
	case 0:
		return SOCKS5_OK;
	case ADIT_EUNAUTH:
	case ADIT_EFORBIDDEN:
		return SOCKS5_NOT_ALLOWED;
	case -ENETUNREACH:
		return SOCKS5_NETWORK_UNREACHABLE;
	case -ECONNREFUSED:
		return SOCKS5_REFUSED;
	case -ETIMEDOUT:
		return SOCKS5_TTL_EXPIRED;
	case ADIT_EUNSUPPORTED:
		return SOCKS5_BAD_COMMAND;
	case -EINVAL:
	case -EAFNOSUPPORT:
		return SOCKS5_BAD_ADDRESS;
	case -EHOSTUNREACH:
	case ADIT_ENOHOST:
	case ADIT_ERESOLVE:
	case ADIT_ENOROUTE:
	case ADIT_ENOTUNNEL:
	case ADIT_ETARGET:
		return SOCKS5_HOST_UNREACHABLE;
	default:
		return SOCKS5_FAILURE;
	}
}

static int
socks5_reply(struct adit_conn *c, int err, const struct wire_addr *bound)
{
	const struct socks_request reply = { .code = socks5_code(err), .addr = *bound };
	uint8_t out[SOCKS5_REQUEST_MAX];

	return inbox_answer(c, out, socks5_encode_request(&reply, out));
}

static int
socks4_reply(struct adit_conn *c, int err, const struct wire_addr *bound)
{
	const struct socks_request reply = {
		.code = err ? SOCKS4_FAILED : SOCKS4_OK, .addr = *bound,
	};
	uint8_t out[SOCKS4_REPLY_LEN];

	socks4_encode_reply(&reply, out);
	return inbox_answer(c, out, sizeof(out));
}

/* ---- CONNECT ------------------------------------------------------------------------------ */

static int
socks5_agree(void *arg, struct adit_conn **near, struct adit_conn *far)
{
	const struct wire_addr bound = inbox_addr(adit_conn_local(far));

	(void)arg;
	return socks5_reply(*near, 0, &bound);
}

static void
socks5_refuse(void *arg, struct adit_conn *near, int err)
{
	static const struct wire_addr none;

	(void)arg;
	socks5_reply(near, err, &none);
	adit_conn_close(near, 0);
}

static const struct errand_ops socks5_ops = { .agree = socks5_agree, .refuse = socks5_refuse };

static int
socks4_agree(void *arg, struct adit_conn **near, struct adit_conn *far)
{
	const struct wire_addr bound = inbox_addr(adit_conn_local(far));

	(void)arg;
	return socks4_reply(*near, 0, &bound);
}

static void
socks4_refuse(void *arg, struct adit_conn *near, int err)
{
	static const struct wire_addr none;

	(void)arg;
	socks4_reply(near, err, &none);
	adit_conn_close(near, 0);
}

static const struct errand_ops socks4_ops = { .agree = socks4_agree, .refuse = socks4_refuse };

/* The conn, free of the protocol; v goes. NULL: it could not be had. */
static struct adit_conn *
socks_release(struct socks_visit *v)
{
	struct adit_conn *c = v->conn;
	int err = inbox_give_back(&v->in, c);

	if (err) {
		socks_lose(v, err, NULL);
		return NULL;
	}
	adit_conn_deadline(c, 0);
	adit_conn_own(c, NULL, NULL);
	adit_conn_want(c, 0);
	socks_free(v);
	return c;
}

static void
socks_connect(struct socks_visit *v, const struct adit_target *to, const struct errand_ops *ops)
{
	const struct errand_conf conf = {
		.ops = ops, .handler = v->conf->handler, .to = to, .idle = v->conf->idle_timeout,
	};
	struct adit_conn *c = socks_release(v);

	if (c)
		errand(c, &conf);
}

/* ---- SOCKS 5 -------------------------------------------------------------------------------- */

/* Refuses what was asked for with the reply for that error. */
static int
socks5_deny_for(struct socks_visit *v, int err, const char *text)
{
	static const struct wire_addr none;

	socks5_reply(v->conn, err, &none);
	socks_refused(v, err, text);
	return -1;
}

static int
socks5_deny(struct socks_visit *v, int err)
{
	return socks5_deny_for(v, err, NULL);
}

/* The port is the one that he will send from, where he knows it (RFC 1928, 4). */
static int
socks5_associate(struct socks_visit *v, const struct socks_request *q)
{
	const struct socks_udp_conf conf = {
		.handler = v->conf->handler, .address = &v->conf->address,
		.client_port = q->addr.port, .ttl = UDP_TTL_NS,
	};
	struct adit_conn *c = v->conn;
	int err;

	if (!v->conf->udp)
		return socks5_deny(v, ADIT_EFORBIDDEN);
	adit_conn_deadline(c, 0);
	err = socks_udp_serve(c, &conf);
	if (err)
		return socks5_deny(v, err);
	socks_free(v);
	return -1;
}

static int
socks5_say(struct adit_conn *c, const struct adit_addr *a)
{
	const struct wire_addr addr = inbox_addr(a);

	return socks5_reply(c, 0, &addr);
}

/*
 * gost's: without a port an association, else a port to be bound. What the client says is sent from
 * that port to whomever he names, so that having one is as much a right to UDP as to BIND.
 */
static int
socks5_tunnel_udp(struct socks_visit *v, const struct socks_request *q)
{
	struct udptun_conf conf = { .handler = v->conf->handler, .ttl = UDP_TTL_NS };
	struct adit_addr bound = *adit_conn_local(v->conn), at;
	int err = bind_address(&q->addr, &at);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;

	if (err || !v->conf->udp || (q->addr.port && !v->conf->bind))
		return socks5_deny(v, err ? err : ADIT_EFORBIDDEN);
	if (q->addr.port) {
		conf.port = udptun_port(adit_conn_worker(v->conn), &at, &e);
		if (!conf.port)
			return socks5_deny_for(v, e.code, e.text);
		bound = *adit_packet_local(conf.port);
	}
	err = socks5_say(v->conn, &bound);
	c = err ? NULL : socks_release(v);
	if (c) {
		udptun_serve(c, &conf);
		return -1;
	}
	adit_packet_close(conf.port);
	if (err)
		socks_lose(v, err, NULL);
	return -1;
}

/*
 * Of SOCKS 5 itself: whom he expects is named (RFC 1928, 4), and we listen where he came to; a
 * client that names nobody may name the port. gost's: where to listen.
 */
static int
socks5_bind(struct socks_visit *v, const struct socks_request *q)
{
	struct bind_conf conf = {
		.handler = v->conf->handler, .listening = socks5_say, .arrived = socks5_say,
	};
	struct adit_conn *c = v->conn;
	int err = bind_address(&q->addr, &conf.at);
	struct adit_err e = ADIT_ERR_INIT;

	if (err || !v->conf->bind)
		return socks5_deny(v, err ? err : ADIT_EFORBIDDEN);
	err = inbox_give_back(&v->in, c);
	if (err) {
		socks_lose(v, err, NULL);
		return -1;
	}
	adit_conn_deadline(c, 0);
	if (q->code == SOCKS_BIND) {
		conf.expected = conf.at;
		conf.at = *adit_conn_local(c);
		conf.at.port = conf.expected.family ? 0 : q->addr.port;
		err = bind_one(c, &conf, &e);
	} else {
		err = bind_session(c, &conf, &e);
	}
	if (err)
		return socks5_deny_for(v, err, e.text);
	socks_free(v);
	return -1;
}

static int
socks5_serve(struct socks_visit *v, const struct socks_request *q)
{
	struct adit_target to = { .network = ADIT_TCP };
	char host[WIRE_ADDR_TEXT];

	switch (q->code) {
	case SOCKS_CONNECT:
		if (inbox_target(&q->addr, host, &to) < 0)
			return socks5_deny(v, -EINVAL);
		socks_connect(v, &to, &socks5_ops);
		return -1;
	case SOCKS_UDP_ASSOCIATE:
		return socks5_associate(v, q);
	case SOCKS_UDP_TUNNEL:
		return socks5_tunnel_udp(v, q);
	case SOCKS_BIND:
	case SOCKS_MUX_BIND:
		return socks5_bind(v, q);
	default:
		return socks5_deny(v, ADIT_EUNSUPPORTED);
	}
}

static int
socks5_read_request(struct socks_visit *v)
{
	struct socks_request q;
	const char *why = NULL;
	ssize_t n = socks5_decode_request(v->in.buf, v->in.len, &q, &why);

	if (n == 0)
		return 0;
	if (n < 0) {
		socks_lose(v, (int)n, why);
		return -1;
	}
	inbox_drop(&v->in, (size_t)n);
	return socks5_serve(v, &q);
}

/* Nothing of his is read meanwhile; that he goes, or the time is over, is noticed. */
static int
socks5_await_login(struct socks_visit *v)
{
	(void)v;
	return 0;
}

static int
socks5_answer_login(struct socks_visit *v, int err)
{
	const uint8_t answer[2] = { SOCKS5_AUTH_VERSION, err != 0 };
	int told = inbox_answer(v->conn, answer, sizeof(answer));

	login_end(&v->login);
	if (!err)
		err = told;
	if (err) {
		socks_refused(v, err, NULL);
		return -1;
	}
	v->step = socks5_read_request;
	return 1;
}

static int
socks5_read_auth(struct socks_visit *v)
{
	struct socks_auth a;
	struct credentials c;
	const char *why = NULL;
	ssize_t n = socks5_decode_auth(v->in.buf, v->in.len, &a, &why);
	int err;

	if (n == 0)
		return 0;
	if (n < 0) {
		socks_lose(v, (int)n, why);
		return -1;
	}
	inbox_drop(&v->in, (size_t)n);
	c = (struct credentials){
		.user = a.user, .user_len = a.user_len,
		.password = a.password, .password_len = a.password_len,
	};
	err = login_begin(&v->login, &v->activity.component->gate, v->conn, &c);
	explicit_bzero(&a, sizeof(a));
	if (err != -EINPROGRESS)
		return socks5_answer_login(v, err);
	v->step = socks5_await_login;
	adit_conn_want(v->conn, 0);
	return -1;
}

/* Without credentials where none are asked for, and with them where that is all he offers. */
static enum socks5_method
socks5_choose(const struct socks_visit *v, const uint8_t *methods, size_t n)
{
	if (!gate_asks(&v->activity.component->gate) && memchr(methods, SOCKS5_NO_AUTH, n))
		return SOCKS5_NO_AUTH;
	return memchr(methods, SOCKS5_USER_PASSWORD, n) ? SOCKS5_USER_PASSWORD : SOCKS5_NO_METHOD;
}

static int
socks5_read_greeting(struct socks_visit *v)
{
	uint8_t answer[2] = { SOCKS5_VERSION, SOCKS5_NO_METHOD };
	const uint8_t *methods;
	const char *why = NULL;
	size_t count;
	ssize_t n = socks5_decode_greeting(v->in.buf, v->in.len, &methods, &count, &why);
	int err;

	if (n == 0)
		return 0;
	if (n < 0) {
		socks_lose(v, (int)n, why);
		return -1;
	}
	answer[1] = (uint8_t)socks5_choose(v, methods, count);
	inbox_drop(&v->in, (size_t)n);
	err = inbox_answer(v->conn, answer, sizeof(answer));
	if (!err && answer[1] == SOCKS5_NO_METHOD)
		err = ADIT_EUNAUTH;
	if (err) {
		socks_refused(v, err, NULL);
		return -1;
	}
	v->step = answer[1] == SOCKS5_NO_AUTH ? socks5_read_request : socks5_read_auth;
	return 1;
}

/* ---- SOCKS 4 -------------------------------------------------------------------------------- */

static int
socks4_deny(struct socks_visit *v, int err)
{
	static const struct wire_addr none;

	socks4_reply(v->conn, err, &none);
	socks_refused(v, err, NULL);
	return -1;
}

/* It has no password: where credentials are asked for it cannot be used. */
static int
socks4_read_request(struct socks_visit *v)
{
	struct adit_target to = { .network = ADIT_TCP };
	char host[WIRE_ADDR_TEXT];
	struct socks_request q;
	const char *why = NULL;
	ssize_t n = socks4_decode_request(v->in.buf, v->in.len, &q, &why);
	int err;

	if (n == 0)
		return 0;
	if (n < 0) {
		socks_lose(v, (int)n, why);
		return -1;
	}
	inbox_drop(&v->in, (size_t)n);
	err = adit_component_authenticate(v->activity.component, NULL, 0, NULL, 0);
	if (!err && q.code != SOCKS_CONNECT)
		err = ADIT_EUNSUPPORTED;
	if (!err)
		err = inbox_target(&q.addr, host, &to);
	if (err)
		return socks4_deny(v, err);
	socks_connect(v, &to, &socks4_ops);
	return -1;
}

/* ---- a client's connection ---------------------------------------------------------------- */

static int
socks_read_version(struct socks_visit *v)
{
	if (!v->in.len)
		return 0;
	if (v->conf->v5 && v->in.buf[0] == SOCKS5_VERSION) {
		v->step = socks5_read_greeting;
	} else if (v->conf->v4 && v->in.buf[0] == SOCKS4_VERSION) {
		v->step = socks4_read_request;
	} else {
		socks_lose(v, -EBADMSG, "a version that is not spoken here");
		return -1;
	}
	return 1;
}

static void
socks_go_on(struct socks_visit *v)
{
	int err, more;

	for (;;) {
		do
			more = v->step(v);
		while (more > 0);
		if (more < 0)
			return;
		err = inbox_fill(&v->in, v->conn);
		if (err == -EAGAIN)
			return;
		if (err) {
			socks_lose(v, err == -ECONNRESET && !adit_conn_err(v->conn) ? -ESHUTDOWN :
										      err, NULL);
			return;
		}
	}
}

static void
socks_event(void *owner, struct adit_conn *c, unsigned events)
{
	(void)c;
	(void)events;
	socks_go_on(owner);
}

static void
socks_logged_in(struct login *l, int err)
{
	struct socks_visit *v = adit_container_of(l, struct socks_visit, login);

	if (socks5_answer_login(v, err) < 0)
		return;
	adit_conn_want(v->conn, ADIT_READ);
	socks_go_on(v);
}

void
socks_server(struct adit_conn *c, const struct socks_conf *conf)
{
	struct socks_visit *v = calloc(1, sizeof(*v));

	if (!v) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	v->conf = conf;
	v->conn = c;
	v->step = socks_read_version;
	v->login.done = socks_logged_in;
	v->activity.stop = socks_stop;
	adit_activity_begin(&v->activity, conf->handler->component, adit_conn_worker(c));
	adit_conn_own(c, socks_event, v);
	adit_conn_deadline(c, (unsigned)(conf->read_timeout / ADIT_MS(1)));
	adit_conn_want(c, ADIT_READ);
}
