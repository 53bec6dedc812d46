/*
 * Listener udp: a conn of datagrams for each address that something comes from, and each worker a
 * socket of its own: the kernel sends what comes from one address to the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <adit/plugin.h>

#include "core/conn/flows.h"
#include "core/conn/listen.h"
#include "core/conn/udp.h"
#include "core/service/claim.h"
#include "core/service/component.h"

struct udp_listener {
	struct adit_listener	 base;
	uint64_t		 ttl, largest;
	int64_t			 queue, backlog, sessions;
	bool			 keepalive, reuseport;
	struct listen_set	*sockets;			/* between open and close */
	struct flows		*flows[ADIT_WORKERS_MAX];	/* each worker's; frees itself */
};

static const char *const ttl_aliases[] = { "keepalive.ttl", NULL };
static const char *const buffer_aliases[] = { "udp.bufferSize", NULL };
static const char *const queue_aliases[] = { "recvQueueSize", NULL };

#define AT(f) offsetof(struct udp_listener, f)
static const struct adit_opt udp_opts[] = {
	{ .name = "keepalive", .type = ADIT_OPT_BOOL, .offset = AT(keepalive),
	  .help = "a session lasts until it is silent; else until each datagram is answered" },
	{ .name = "ttl", .aliases = ttl_aliases, .type = ADIT_OPT_DURATION, .offset = AT(ttl),
	  .def = "5s", .min = 1000000, .max = INT64_MAX,
	  .help = "silence, both ways, that ends a session" },
	{ .name = "readBufferSize", .aliases = buffer_aliases, .type = ADIT_OPT_SIZE,
	  .offset = AT(largest), .def = "65507", .min = 1, .max = 65535,
	  .help = "longest datagram; longer ones are dropped" },
	{ .name = "readQueueSize", .aliases = queue_aliases, .type = ADIT_OPT_INT,
	  .offset = AT(queue), .def = "128", .min = 1, .max = 65535,
	  .help = "datagrams of a session that may wait; more are dropped" },
	{ .name = "backlog", .type = ADIT_OPT_INT, .offset = AT(backlog), .def = "128", .min = 1,
	  .max = 65535,
	  .help = "sessions that may wait for their way to be open; what would begin more is "
		  "dropped (each worker)" },
	{ .name = "sessions", .type = ADIT_OPT_INT, .offset = AT(sessions), .def = "4096",
	  .min = 1, .max = 1000000,
	  .help = "sessions at a time, each worker; one more ends the one that is silent for "
		  "longest" },
	{ .name = "reuseport", .type = ADIT_OPT_BOOL, .offset = AT(reuseport),
	  .help = "let other processes listen on the same address" },
	ADIT_OPT_END,
};

static struct udp_listener *
udp_listener_of(struct adit_listener *l)
{
	return adit_container_of(l, struct udp_listener, base);
}

static int
udp_listener_init(struct adit_listener *l, struct adit_err *e)
{
	(void)e;
	return claim_address(l->component, l->addr, LISTEN_UDP, "addr");
}

static int
udp_listener_open(struct adit_listener *l, struct adit_err *e)
{
	struct udp_listener *u = udp_listener_of(l);

	u->sockets = listen_get_for(l->component->sockets, adit_component_name(l->component),
				    l->addr, LISTEN_UDP | (u->reuseport ? LISTEN_SHARED : 0), e);
	return u->sockets ? 0 : e->code;
}

static bool
udp_listener_admits(void *arg, const struct adit_addr *from)
{
	const struct udp_listener *u = arg;

	return adit_listener_admits(&u->base, from);
}

static void
udp_listener_accept(void *arg, struct adit_conn *c)
{
	struct udp_listener *u = arg;

	adit_accept(&u->base, c);
}

static int
udp_listener_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	static const struct udp_conf conf = { .fragment = true };
	struct udp_listener *u = udp_listener_of(l);
	unsigned index = adit_worker_index(w);
	const struct flows_conf flows = {
		.ttl = u->ttl, .keepalive = u->keepalive, .max = (unsigned)u->sessions,
		.backlog = (unsigned)u->backlog, .queue = (unsigned)u->queue,
		.largest = (size_t)u->largest, .name = adit_component_name(l->component),
		.admit = udp_listener_admits, .accept = udp_listener_accept, .arg = u,
	};
	struct adit_packet_conn *p;
	int fd = fcntl(listen_fd(u->sockets, index), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return adit_err_set(e, -errno, "%s", adit_strerror(-errno));
	p = udp_adopt(w, fd, &conf, e);
	if (!p)
		return e->code;
	u->flows[index] = flows_new(p, &flows);
	return u->flows[index] ? 0 : adit_err_set(e, -ENOMEM, "out of memory");
}

static void
udp_listener_stop(struct adit_listener *l, struct adit_worker *w)
{
	struct udp_listener *u = udp_listener_of(l);

	flows_stop(u->flows[adit_worker_index(w)]);
	u->flows[adit_worker_index(w)] = NULL;
}

static void
udp_listener_close(struct adit_listener *l)
{
	struct udp_listener *u = udp_listener_of(l);

	listen_put(l->component->sockets, u->sockets);
	u->sockets = NULL;
}

static const struct adit_addr *
udp_listener_local(const struct adit_listener *l)
{
	const struct udp_listener *u = (const void *)l;

	return u->sockets ? listen_addr(u->sockets) : NULL;
}

const struct adit_listener_ops listener_udp = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener_udp),
		.kind = ADIT_LISTENER,
		.name = "udp",
		.help = "UDP: a session for each address that datagrams come from",
		.instance = sizeof(struct udp_listener),
		.opts = udp_opts,
	},
	.open = udp_listener_open,
	.start = udp_listener_start,
	.stop = udp_listener_stop,
	.close = udp_listener_close,
	.init = udp_listener_init,
	.local = udp_listener_local,
	.network = "udp",
};
