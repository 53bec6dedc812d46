#include "core/conn/udp_dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/flows.h"
#include "core/conn/opening.h"
#include "core/conn/udp.h"
#include "core/runtime/resolver.h"

/* Of each kernel buffer: there are as many sockets as visitors. */
#define BUFFER (1 << 20)

struct udp_dialing {
	struct adit_conn	*conn;		/* the caller's */
	struct adit_worker	*worker;
	struct resolver_query	*query;
	uint16_t		 port;
};

static bool
is_loopback6(const struct adit_addr *a)
{
	struct in6_addr in6;

	memcpy(&in6, a->ip, sizeof(in6));
	return a->family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6);
}

/*
 * Which address to begin with. Nobody tells early that one is the wrong one, and on this machine
 * services for IPv4 alone are many, for IPv6 alone few.
 */
static size_t
first_of(const struct adit_addr *addrs, size_t n)
{
	if (!is_loopback6(&addrs[0]))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (addrs[i].family == AF_INET)
			return i;
	return 0;
}

static struct adit_conn *
udp_dial_addr(struct adit_worker *w, const struct adit_addr *to, struct adit_err *e)
{
	const struct udp_conf conf = { .connect = *to, .fragment = true, .buffer = BUFFER };
	struct adit_packet_conn *p = udp_open(w, &conf, e);
	struct adit_conn *c = p ? flow_connected(p) : NULL;

	if (p && !c)
		adit_err_set(e, -ENOMEM, "out of memory");
	if (c)
		adit_conn_set_remote(c, to);
	return c;
}

static void
udp_dial_resolved(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct udp_dialing *d = arg;
	struct adit_conn *c = NULL, *conn = d->conn;
	size_t first = err ? 0 : first_of(addrs, n);

	for (size_t i = 0; i < n && !c; i++) {
		struct adit_addr to = addrs[(first + i) % n];
		struct adit_err e = ADIT_ERR_INIT;

		to.port = d->port;
		c = udp_dial_addr(d->worker, &to, &e);
		if (!c && !err)
			err = e.code;
	}
	free(d);
	if (c)
		opening_set(conn, c);
	else
		opening_fail(conn, err);
}

static void
udp_dial_cancelled(void *arg)
{
	struct udp_dialing *d = arg;

	resolver_cancel(d->query);
	free(d);
}

struct adit_conn *
udp_dial(struct adit_worker *w, const char *host, uint16_t port, struct adit_err *e)
{
	struct udp_dialing *d;
	struct adit_conn *c;

	if (!port) {
		adit_err_set(e, -EINVAL, "a UDP target needs a port");
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	c = d ? opening_new(w, udp_dial_cancelled, d) : NULL;
	if (!c) {
		free(d);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	*d = (struct udp_dialing){ .conn = c, .worker = w, .port = port };
	d->query = resolver_ask(w, host, udp_dial_resolved, d, e);
	if (d->query)
		return c;
	adit_conn_close(c, -ECONNABORTED);	/* which frees d */
	return NULL;
}
