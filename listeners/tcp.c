/*
 * listener tcp: one listening socket for each worker; what is accepted there stays there. What may
 * become a session, which stays for long and brings its worker many visitors, goes to the worker
 * that has the fewest instead: the kernel's hash deals few connections unevenly.
 */
#include <adit/plugin.h>

#include "core/conn/conn.h"
#include "core/conn/listen.h"
#include "core/conn/tcp.h"
#include "core/conn/tcp_keepalive.h"
#include "core/service/claim.h"
#include "core/service/component.h"

struct tcp_port {
	struct adit_listener	*listener;
	struct adit_worker	*worker;
	struct acceptor		*acceptor;
};

struct tcp_listener {
	struct adit_listener	 base;
	struct tcp_keepalive	 keepalive;
	bool			 reuseport, mptcp;
	struct listen_set	*sockets;			/* between open and close */
	struct tcp_port		 ports[ADIT_WORKERS_MAX];	/* each worker's own */
};

static const struct adit_opt tcp_listener_opts[] = {
	TCP_KEEPALIVE_ROWS(struct tcp_listener, keepalive),
	{ .name = "reuseport", .type = ADIT_OPT_BOOL,
	  .offset = offsetof(struct tcp_listener, reuseport),
	  .help = "let other processes listen on the same address" },
	{ .name = "mptcp", .type = ADIT_OPT_BOOL, .offset = offsetof(struct tcp_listener, mptcp),
	  .help = "Multipath TCP, where the kernel has it" },
	ADIT_OPT_END,
};

static struct tcp_listener *
tcp_listener_of(struct adit_listener *l)
{
	return adit_container_of(l, struct tcp_listener, base);
}

static unsigned
tcp_listener_flags(const struct tcp_listener *t)
{
	return (t->reuseport ? LISTEN_SHARED : 0) | (t->mptcp ? LISTEN_MPTCP : 0);
}

static int
tcp_listener_init(struct adit_listener *l, struct adit_err *e)
{
	(void)e;
	return claim_address(l->component, l->addr, tcp_listener_flags(tcp_listener_of(l)), "addr");
}

/* What is accepted has its socket's settings from the beginning. */
static void
tcp_listener_settle(struct adit_listener *l)
{
	struct tcp_listener *t = tcp_listener_of(l);
	int fd;

	for (unsigned i = 0; (fd = listen_fd(t->sockets, i)) >= 0; i++)
		tcp_keepalive_set(fd, &t->keepalive);
}

static int
tcp_listener_open(struct adit_listener *l, struct adit_err *e)
{
	struct tcp_listener *t = tcp_listener_of(l);

	t->sockets = listen_get_for(l->component->sockets, adit_component_name(l->component),
				    l->addr, tcp_listener_flags(t), e);
	if (!t->sockets)
		return e->code;
	if (!listen_is_shared(t->sockets))
		tcp_listener_settle(l);
	return 0;
}

static void
tcp_listener_arrived(struct adit_conn *c, void *arg)
{
	struct adit_listener *l = arg;
	struct adit_component *p = l->component;

	if (c)
		adit_accept(l, c);
	adit_component_put(p);
}

/* To the worker that carries the least, if that is another one. False: c stays. */
static bool
tcp_listener_deal(struct adit_listener *l, struct adit_conn *c)
{
	struct adit_worker *w = adit_conn_worker(c), *to = worker_least_loaded(w);

	conn_count(c, worker_load(to));
	if (to == w)
		return false;
	adit_component_get(l->component);
	if (adit_conn_move(c, to, tcp_listener_arrived, l) == 0)
		return true;
	adit_component_put(l->component);
	return false;
}

static void
tcp_listener_accepted(void *arg, int fd)
{
	struct tcp_port *port = arg;
	struct adit_listener *l = port->listener;
	struct adit_conn *c = tcp_conn(port->worker, fd, false);

	if (!c)
		return;
	if (!adit_component_protocol(l->component) || !tcp_listener_deal(l, c))
		adit_accept(l, c);
}

static int
tcp_listener_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	struct tcp_listener *t = tcp_listener_of(l);
	struct tcp_port *port = &t->ports[adit_worker_index(w)];

	*port = (struct tcp_port){ .listener = l, .worker = w };
	port->acceptor = acceptor_new(w, t->sockets, tcp_listener_accepted, port, e);
	return port->acceptor ? 0 : e->code;
}

static void
tcp_listener_stop(struct adit_listener *l, struct adit_worker *w)
{
	struct tcp_port *port = &tcp_listener_of(l)->ports[adit_worker_index(w)];

	acceptor_free(port->acceptor);
	port->acceptor = NULL;
}

static void
tcp_listener_close(struct adit_listener *l)
{
	struct tcp_listener *t = tcp_listener_of(l);

	listen_put(l->component->sockets, t->sockets);
	t->sockets = NULL;
}

static const struct adit_addr *
tcp_listener_local(const struct adit_listener *l)
{
	const struct tcp_listener *t = (const void *)l;

	return t->sockets ? listen_addr(t->sockets) : NULL;
}

const struct adit_listener_ops listener_tcp = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener_tcp),
		.kind = ADIT_LISTENER,
		.name = "tcp",
		.help = "TCP",
		.instance = sizeof(struct tcp_listener),
		.opts = tcp_listener_opts,
	},
	.open = tcp_listener_open,
	.start = tcp_listener_start,
	.stop = tcp_listener_stop,
	.close = tcp_listener_close,
	.init = tcp_listener_init,
	.local = tcp_listener_local,
	.settle = tcp_listener_settle,
};
