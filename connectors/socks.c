/*
 * Connectors `socks5` and `socks4`, also called `socks` and `socks4a`: ask a SOCKS proxy for the
 * target, with the node's credentials where there are any.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/conn.h"
#include "core/conn/framed.h"
#include "core/conn/opening.h"
#include "core/proxy/inbox.h"
#include "core/proxy/socks_flow.h"
#include "core/service/component.h"
#include "core/wire/socks.h"

struct socks_connector {
	struct adit_connector	base;
	uint64_t		timeout;
	int			relay;		/* what carries datagrams: of relay_words */
	bool			notls, disable4a;
	atomic_bool		plain;		/* the proxy does not know gost's command */
};

enum { RELAY_BY_TCP, RELAY_BY_UDP };
static const char *const relay_words[] = { "tcp", "udp", NULL };

#define AT(f) offsetof(struct socks_connector, f)
static const struct adit_opt socks5_opts[] = {
	{ .name = "timeout", .type = ADIT_OPT_DURATION, .offset = AT(timeout), .def = "15s",
	  .help = "limit for the way to the proxy and for its answer" },
	{ .name = "notls", .type = ADIT_OPT_BOOL, .offset = AT(notls),
	  .help = "accepted for gost's sake; its TLS inside SOCKS is never used" },
	{ .name = "relay", .type = ADIT_OPT_ENUM, .values = relay_words, .offset = AT(relay),
	  .def = "tcp",
	  .help = "how UDP gets to the proxy: tcp: in the connection, as gost and adit take it; "
		  "udp: beside it and in the clear, by UDP ASSOCIATE, as others do" },
	ADIT_OPT_END,
};

static const struct adit_opt socks4_opts[] = {
	{ .name = "timeout", .type = ADIT_OPT_DURATION, .offset = AT(timeout), .def = "15s",
	  .help = "limit for the way to the proxy and for its answer" },
	{ .name = "disable4a", .type = ADIT_OPT_BOOL, .offset = AT(disable4a),
	  .help = "send addresses alone: a target that is a name is refused" },
	ADIT_OPT_END,
};

struct socks_asking;

/* Reads an answer. 1: done, and another follows; 0: more is needed, or it was the last; or how it
 * failed. */
typedef int socks_step(struct socks_asking *a);

struct socks_asking {
	struct adit_conn	*conn;		/* the caller's */
	struct adit_conn	*lower;		/* owned */
	struct socks_connector	*node;
	int			(*begin)(struct socks_asking *a);	/* once lower is open */
	socks_step		*step;		/* what is awaited; NULL: nothing, it agreed */
	struct socks_request	 request;
	struct wire_addr	 to, relay;	/* relay: of an association */
	struct inbox		 in;
};

static void
asking_free(struct socks_asking *a, int why)
{
	adit_conn_close(a->lower, why);
	free(a);
}

static void
asking_cancelled(void *arg)
{
	asking_free(arg, -ECONNABORTED);
}

/* ---- SOCKS 5 ------------------------------------------------------------------------------ */

static int
socks5_error(uint8_t reply)
{
	switch (reply) {
	case SOCKS5_OK:
		return 0;
	case SOCKS5_NOT_ALLOWED:
		return ADIT_EFORBIDDEN;
	case SOCKS5_NETWORK_UNREACHABLE:
	case SOCKS5_HOST_UNREACHABLE:
		return ADIT_ETARGET;
	case SOCKS5_REFUSED:
		return -ECONNREFUSED;
	case SOCKS5_TTL_EXPIRED:
		return -ETIMEDOUT;
	default:
		return ADIT_EREFUSED;
	}
}

/*
 * A SOCKS proxy like most. Its answer ends the connection (RFC 1928, 6), and this flow; the next
 * ones ask as it understands. Not where datagrams had a way that is encrypted, or leads through
 * other nodes: to leave that takes a word in the configuration.
 */
static void
socks5_remember_plain(struct socks_asking *a)
{
	struct adit_component *node = a->node->base.component;

	if (adit_conn_flags(a->lower) & ADIT_CONN_SECURE || node->behind)
		return;
	if (!atomic_exchange_explicit(&a->node->plain, true, memory_order_relaxed))
		adit_log(adit_component_log(node), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("kind", "connector"), ADIT_STR("connector", "socks5"),
				     ADIT_STR("node", adit_component_name(node))),
			 "the proxy takes no UDP in the connection: from now on by UDP ASSOCIATE");
}

static int
socks5_read_reply(struct socks_asking *a)
{
	struct socks_request reply;
	ssize_t n = socks5_decode_request(a->in.buf, a->in.len, &reply, NULL);

	if (n <= 0)
		return (int)n;
	inbox_drop(&a->in, (size_t)n);
	a->step = NULL;
	a->relay = reply.addr;
	if (a->request.code == SOCKS_UDP_TUNNEL && reply.code == SOCKS5_BAD_COMMAND)
		socks5_remember_plain(a);
	return socks5_error(reply.code);
}

static int
socks5_send_request(struct socks_asking *a)
{
	uint8_t out[SOCKS5_REQUEST_MAX];
	int err = inbox_answer(a->lower, out, socks5_encode_request(&a->request, out));

	a->step = socks5_read_reply;
	return err ? err : 1;
}

static int
socks5_read_auth(struct socks_asking *a)
{
	if (a->in.len < 2)
		return 0;
	if (a->in.buf[0] != SOCKS5_AUTH_VERSION)
		return -EBADMSG;
	if (a->in.buf[1])
		return ADIT_EUNAUTH;
	inbox_drop(&a->in, 2);
	return socks5_send_request(a);
}

static int
socks5_send_auth(struct socks_asking *a)
{
	uint8_t out[SOCKS5_AUTH_MAX];
	const char *user, *password;
	ssize_t len;
	int err;

	if (!adit_component_auth(a->node->base.component, &user, &password))
		return -EBADMSG;	/* it was not offered */
	len = socks5_encode_auth(user, password, out);
	err = len < 0 ? (int)len : inbox_answer(a->lower, out, (size_t)len);
	explicit_bzero(out, sizeof(out));
	a->step = socks5_read_auth;
	return err ? err : 1;
}

static int
socks5_read_method(struct socks_asking *a)
{
	uint8_t method;

	if (a->in.len < 2)
		return 0;
	if (a->in.buf[0] != SOCKS5_VERSION)
		return -EBADMSG;
	method = a->in.buf[1];
	inbox_drop(&a->in, 2);
	switch (method) {
	case SOCKS5_NO_AUTH:
		return socks5_send_request(a);
	case SOCKS5_USER_PASSWORD:
		return socks5_send_auth(a);
	case SOCKS5_NO_METHOD:
		return ADIT_EUNAUTH;
	default:
		return -EBADMSG;
	}
}

static int
socks5_begin(struct socks_asking *a)
{
	const uint8_t greeting[] = { SOCKS5_VERSION, 2, SOCKS5_NO_AUTH, SOCKS5_USER_PASSWORD };
	const uint8_t open[] = { SOCKS5_VERSION, 1, SOCKS5_NO_AUTH };
	const char *user, *password;

	a->step = socks5_read_method;
	if (adit_component_auth(a->node->base.component, &user, &password))
		return inbox_answer(a->lower, greeting, sizeof(greeting));
	return inbox_answer(a->lower, open, sizeof(open));
}

/* ---- SOCKS 4 ------------------------------------------------------------------------------ */

static int
socks4_read_reply(struct socks_asking *a)
{
	uint8_t code;

	if (a->in.len < SOCKS4_REPLY_LEN)
		return 0;
	if (a->in.buf[0])
		return -EBADMSG;
	code = a->in.buf[1];
	inbox_drop(&a->in, SOCKS4_REPLY_LEN);
	a->step = NULL;
	return code == SOCKS4_OK ? 0 : ADIT_ETARGET;
}

static int
socks4_begin(struct socks_asking *a)
{
	const char *user = "", *password;
	uint8_t out[SOCKS4_REQUEST_MAX];
	ssize_t len;

	adit_component_auth(a->node->base.component, &user, &password);
	len = socks4_encode_request(&a->request, user, out);
	a->step = socks4_read_reply;
	return len < 0 ? (int)len : inbox_answer(a->lower, out, (size_t)len);
}

/* ---- the way to an answer ---------------------------------------------------------------- */

static void
asking_fail(struct socks_asking *a, int err)
{
	struct adit_conn *c = a->conn;

	conn_explain(c, conn_failure(a->lower));
	asking_free(a, err);
	opening_fail(c, err);
}

/* What was asked for, over lower: bytes, or datagrams in it or beside it. NULL with e filled. */
static struct adit_conn *
asking_got(const struct socks_asking *a, struct adit_conn *lower, struct adit_err *e)
{
	if (a->request.code == SOCKS_UDP_ASSOCIATE)
		return socks_flow(lower, &a->relay, &a->to, e);
	if (a->request.code == SOCKS_UDP_TUNNEL)
		lower = framed_conn_to(lower, &a->to);
	if (!lower)
		adit_err_set(e, -ENOMEM, "out of memory");
	return lower;
}

static void
asking_agreed(struct socks_asking *a)
{
	struct adit_conn *c = a->conn, *lower = a->lower;
	struct adit_err e = ADIT_ERR_INIT;
	int err = inbox_give_back(&a->in, lower);

	if (err) {
		asking_fail(a, err);
		return;
	}
	adit_conn_own(lower, NULL, NULL);
	adit_conn_want(lower, 0);
	adit_conn_deadline(c, 0);
	lower = asking_got(a, lower, &e);
	free(a);
	if (lower) {
		opening_set(c, lower);
		return;
	}
	conn_explain(c, e.text);
	opening_fail(c, e.code);
}

static void
asking_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct socks_asking *a = owner;
	int err = adit_conn_err(lower), more;

	if (!err && events & ADIT_OPEN) {
		adit_conn_want(lower, ADIT_READ);
		err = a->begin(a);
	}
	while (!err && a->step) {
		more = a->step(a);
		if (more < 0)
			err = more;
		else if (!more && a->step)
			err = inbox_fill(&a->in, lower);
	}
	if (!err)
		asking_agreed(a);
	else if (err != -EAGAIN)
		asking_fail(a, err);
}

/* Whether datagrams are to go beside the connection. */
static bool
socks_relays_by_udp(const struct socks_connector *n)
{
	return n->relay == RELAY_BY_UDP || atomic_load_explicit(&n->plain, memory_order_relaxed);
}

/* 0, or -ENOTSUP, -EINVAL with e: what the protocol has no words for. */
static int
asking_check(const struct socks_connector *n, bool v4, const struct adit_target *to,
	     struct wire_addr *addr, struct adit_err *e)
{
	const char *type = n->base.ops->base.name;
	bool udp = to->network == ADIT_UDP;

	if (to->network == ADIT_UNIX || (udp && v4))
		return adit_err_set(e, -ENOTSUP, "%s cannot ask for %s", type, to->host);
	if (wire_addr_parse(to->host, strlen(to->host), addr) < 0)
		return adit_err_set(e, -EINVAL, "%s cannot ask for %s", type, to->host);
	addr->port = to->port;
	if (v4 && (addr->type == WIRE_ADDR_IPV6 ||
		   (addr->type == WIRE_ADDR_NAME && n->disable4a)))
		return adit_err_set(e, -ENOTSUP, "%s cannot ask for %s", type, to->host);
	if (udp && n->base.component->behind && socks_relays_by_udp(n))
		return adit_err_set(e, -ENOTSUP, "UDP ASSOCIATE would go around the nodes that "
				    "lead to this one");
	return 0;
}

static struct socks_asking *
asking_new(struct socks_connector *n, struct adit_conn *lower)
{
	struct socks_asking *a = calloc(1, sizeof(*a));

	if (a)
		a->conn = opening_new(adit_conn_worker(lower), asking_cancelled, a);
	if (!a || !a->conn) {
		adit_conn_close(lower, -ENOMEM);
		free(a);
		return NULL;
	}
	a->lower = lower;
	a->node = n;
	adit_conn_own(lower, asking_event, a);
	adit_conn_want(lower, ADIT_OPEN);
	adit_conn_deadline(a->conn, (unsigned)(n->timeout / ADIT_MS(1)));
	return a;
}

static struct adit_conn *
socks_connect(struct adit_connector *base, struct adit_conn *lower, const struct adit_target *to,
	      const struct adit_addr *visitor, struct adit_err *e)
{
	struct socks_connector *n = adit_container_of(base, struct socks_connector, base);
	bool v4 = strncmp(base->ops->base.name, "socks4", 6) == 0;
	struct wire_addr addr;
	struct socks_asking *a;
	int err = asking_check(n, v4, to, &addr, e);

	(void)visitor;
	if (err) {
		adit_conn_close(lower, err);
		return NULL;
	}
	a = asking_new(n, lower);
	if (!a) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	a->to = addr;
	if (to->network == ADIT_UDP)	/* an association has no target of its own */
		a->request.code = socks_relays_by_udp(n) ? SOCKS_UDP_ASSOCIATE : SOCKS_UDP_TUNNEL;
	else
		a->request = (struct socks_request){ .code = SOCKS_CONNECT, .addr = addr };
	a->begin = v4 ? socks4_begin : socks5_begin;
	return a->conn;
}

#define SOCKS_CONNECTOR(symbol, type, rows, text) \
	const struct adit_connector_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_connector_ops), \
			.kind = ADIT_CONNECTOR, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct socks_connector), \
			.opts = (rows), \
		}, \
		.connect = socks_connect, \
	}

SOCKS_CONNECTOR(connector_socks5, "socks5", socks5_opts, "asks a SOCKS 5 proxy for the target");
SOCKS_CONNECTOR(connector_socks, "socks", socks5_opts, "as socks5");
SOCKS_CONNECTOR(connector_socks4, "socks4", socks4_opts, "asks a SOCKS 4 or 4a proxy for it");
SOCKS_CONNECTOR(connector_socks4a, "socks4a", socks4_opts, "as socks4");
