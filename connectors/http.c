/*
 * Connector `http`: asks a proxy that speaks HTTP for a tunnel to the target, by CONNECT (RFC 9110,
 * 9.3.6), with the node's credentials where there are any. For UDP the proxy has to be a gost, or
 * one of us: a field says so, and datagrams go in the tunnel with their addresses (udp-tun).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/exchange.h>
#include <adit/plugin.h>

#include "core/conn/conn.h"
#include "core/conn/framed.h"
#include "core/conn/opening.h"
#include "core/http/basic.h"
#include "core/http/h1.h"
#include "core/wire/addr.h"

struct http_connector {
	struct adit_connector	base;
	uint64_t		timeout;
	struct adit_pairs	header;
};

#define AT(f) offsetof(struct http_connector, f)
static const struct adit_opt http_opts[] = {
	{ .name = "timeout", .type = ADIT_OPT_DURATION, .offset = AT(timeout), .def = "15s",
	  .help = "limit for the way to the proxy and for its answer" },
	{ .name = "header", .type = ADIT_OPT_MAP, .offset = AT(header),
	  .help = "fields that are added to the request" },
	ADIT_OPT_END,
};

/* A CONNECT that is not answered yet. */
struct http_asking {
	struct adit_conn	*conn;		/* the caller's */
	struct adit_mux		*mux;		/* owned, as is: */
	struct adit_exchange	*x;
	struct adit_fields	*head;		/* until it is sent; has credentials in it */
	struct wire_addr	 to;		/* for datagrams; without a type: for bytes */
};

static void
asking_free(struct http_asking *a, int why)
{
	if (a->x)
		adit_conn_close(&a->x->body, why);
	adit_mux_close(a->mux, &(struct adit_reason){ .err = why });
	adit_fields_free(a->head);
	free(a);
}

static void
asking_cancelled(void *arg)
{
	asking_free(arg, -ECONNABORTED);
}

static void
asking_fail(struct http_asking *a, int err)
{
	struct adit_conn *c = a->conn;

	if (a->x)
		conn_explain(c, conn_failure(&a->x->body));
	asking_free(a, err);
	opening_fail(c, err);
}

/* What a status that is no 2xx means for who wanted to reach a target. */
static int
status_error(struct adit_conn *c, int status)
{
	char text[48];

	snprintf(text, sizeof(text), "the proxy answered %d", status);
	conn_explain(c, text);
	switch (status) {
	case 401:
	case 407:
		return ADIT_EUNAUTH;
	case 403:
		return ADIT_EFORBIDDEN;
	case 502:
	case 503:
		return ADIT_ETARGET;
	case 504:
		return -ETIMEDOUT;
	default:
		return ADIT_EREFUSED;
	}
}

/* It is a tunnel: HTTP is left behind. */
static void
asking_agreed(struct http_asking *a)
{
	struct adit_conn *c = a->conn, *raw = NULL;

	if (h1_may_leave(a->x))
		raw = h1_leave(a->x);
	if (!raw) {
		asking_fail(a, -EPROTO);
		return;
	}
	if (a->to.type != WIRE_ADDR_NONE)
		raw = framed_conn_to(raw, &a->to);
	asking_free(a, 0);
	adit_conn_deadline(c, 0);
	if (raw)
		opening_set(c, raw);
	else
		opening_fail(c, -ENOMEM);
}

static void
asking_event(void *owner, struct adit_conn *body, unsigned events)
{
	struct http_asking *a = owner;
	const struct adit_fields *answer;
	int err = adit_conn_err(body), status;

	(void)events;
	if (!err && a->head)
		err = adit_exchange_send_head(a->x, a->head, 0);
	if (!err && a->head) {
		adit_fields_free(a->head);
		a->head = NULL;
		adit_conn_want(body, ADIT_HEAD);
	}
	if (err == -EAGAIN) {
		adit_conn_want(body, ADIT_WRITE);
		return;
	}
	while (!err && (answer = adit_exchange_head(a->x))) {
		status = adit_fields_status(answer);
		if (status / 100 == 2) {
			asking_agreed(a);
			return;
		}
		if (status >= 200)
			err = status_error(a->conn, status);
	}
	if (err)
		asking_fail(a, err);
}

/* "host:port" as RFC 9112, 3.2.3 has it. */
static int
head_set_authority(struct adit_fields *f, const struct adit_target *to)
{
	bool v6 = strchr(to->host, ':');
	char text[300];
	int n = snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", to->host, to->port);

	if (n < 0 || (size_t)n >= sizeof(text))
		return -EINVAL;
	return adit_fields_set_control(f, ADIT_AUTHORITY, text, (size_t)n);
}

static int
head_set_auth(struct adit_fields *f, const struct adit_component *node)
{
	const char *user, *password;
	char *value;
	int err;

	if (!adit_component_auth(node, &user, &password))
		return 0;
	value = basic_encode(user, password);
	if (!value)
		return -ENOMEM;
	err = adit_fields_set(f, "Proxy-Authorization", value);
	explicit_bzero(value, strlen(value));
	free(value);
	return err;
}

static int
head_fill(struct adit_fields *f, const struct http_connector *n, const struct adit_target *to)
{
	int err = adit_fields_set_control(f, ADIT_METHOD, "CONNECT", 7);

	if (!err)
		err = head_set_authority(f, to);
	if (!err)
		err = head_set_auth(f, n->base.component);
	if (!err && to->network == ADIT_UDP)
		err = adit_fields_set(f, "X-Gost-Protocol", "udp");
	for (size_t i = 0; !err && i < n->header.n; i++)
		err = adit_fields_set(f, n->header.name[i], n->header.value[i]);
	return err;
}

/* Takes lower. 0, or a failure: what a has is to be freed. */
static int
asking_begin(struct http_asking *a, struct adit_conn *lower, const struct http_connector *n,
	     const struct adit_target *to)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *body;
	int err;

	a->mux = h1_client(lower, NULL);
	a->head = adit_fields_new();
	if (!a->mux || !a->head)
		return -ENOMEM;
	err = head_fill(a->head, n, to);
	if (!err && to->network == ADIT_UDP)
		err = wire_addr_parse(to->host, strlen(to->host), &a->to);
	if (err)
		return err;
	a->to.port = to->port;
	body = adit_mux_open(a->mux, ADIT_CONN_EXCHANGE, &e);
	if (!body)
		return e.code;
	a->x = adit_exchange_of(body);
	a->conn = opening_new(adit_mux_worker(a->mux), asking_cancelled, a);
	if (!a->conn)
		return -ENOMEM;
	adit_conn_own(body, asking_event, a);
	adit_conn_want(body, ADIT_OPEN);
	return 0;
}

static struct adit_conn *
http_connect(struct adit_connector *base, struct adit_conn *lower, const struct adit_target *to,
	     const struct adit_addr *visitor, struct adit_err *e)
{
	struct http_connector *n = adit_container_of(base, struct http_connector, base);
	struct http_asking *a;
	int err;

	(void)visitor;
	if (to->network == ADIT_UNIX) {
		adit_conn_close(lower, -ENOTSUP);
		adit_err_set(e, -ENOTSUP, "connector http reaches no Unix sockets");
		return NULL;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		adit_conn_close(lower, -ENOMEM);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	err = asking_begin(a, lower, n, to);
	if (err) {
		asking_free(a, err);
		adit_err_set(e, err, "CONNECT %s: %s", to->host, adit_strerror(err));
		return NULL;
	}
	adit_conn_deadline(a->conn, (unsigned)(n->timeout / ADIT_MS(1)));
	return a->conn;
}

const struct adit_connector_ops connector_http = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(connector_http),
		.kind = ADIT_CONNECTOR,
		.name = "http",
		.help = "asks an HTTP proxy for a tunnel to the target (CONNECT), also for UDP as "
			"gost does",
		.instance = sizeof(struct http_connector),
		.opts = http_opts,
	},
	.connect = http_connect,
};
