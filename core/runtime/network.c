#include "core/runtime/network.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/runtime/worker.h"

#define PAUSE	ADIT_MS(50)	/* for what comes together: an interface, its addresses, routes */
#define MESSAGES 64		/* read at a time */

TAILQ_HEAD(network_watches, network_watch);

/* One worker's. */
struct network {
	int			 fd;		/* -1: none */
	struct event		 readable;
	struct adit_timer	*pause;
	struct network_watches	 watches;
	uint64_t		 round;		/* of telling */
};

static void
network_close(struct network *net)
{
	adit_timer_stop(net->pause);
	if (net->fd < 0)
		return;
	event_del(&net->readable);
	close(net->fd);
	net->fd = -1;
}

static void
network_free(void *arg)
{
	struct network *net = arg;

	network_close(net);
	adit_timer_free(net->pause);
	free(net);
}

/* The first that has not been told of it, or NULL. */
static struct network_watch *
network_untold(struct network *net)
{
	struct network_watch *n;

	TAILQ_FOREACH(n, &net->watches, entry)
		if (n->round != net->round)
			break;
	return n;
}

/* Any of them may come or go meanwhile. */
static void
network_tell(void *arg)
{
	struct network *net = arg;
	struct network_watch *n;

	net->round++;
	while ((n = network_untold(net))) {
		n->round = net->round;
		n->changed(n->arg);
	}
}

/* What has changed does not matter: who waits looks for himself. ENOBUFS: more than fits. */
static void
network_read(evutil_socket_t fd, short what, void *arg)
{
	struct network *net = arg;
	char buf[8192];

	(void)what;
	for (int i = 0; i < MESSAGES; i++) {
		if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
		    errno == EINTR)
			continue;
		if (errno != EAGAIN)
			event_del(&net->readable);	/* broken: nothing is told any more */
		break;
	}
	if (!adit_timer_running(net->pause))
		adit_timer_set(net->pause, PAUSE);
}

static void
network_open(struct network *net, struct adit_worker *w)
{
	struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
			     RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
	};

	net->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (net->fd < 0)
		return;
	event_assign(&net->readable, worker_base(w), net->fd, EV_READ | EV_PERSIST, network_read,
		     net);
	if (bind(net->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    event_add(&net->readable, NULL) < 0)
		network_close(net);
}

static struct network *
network_of(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_NETWORK, network_free);
	struct network *net = *slot;

	if (net)
		return net;
	net = calloc(1, sizeof(*net));
	if (!net)
		return NULL;
	net->fd = -1;
	net->pause = adit_timer_new(w, network_tell, net);
	TAILQ_INIT(&net->watches);
	if (!net->pause) {
		free(net);
		return NULL;
	}
	*slot = net;
	return net;
}

void
network_watch(struct network_watch *n, struct adit_worker *w)
{
	struct network *net = n->worker ? NULL : network_of(w);

	if (!net)
		return;
	if (net->fd < 0)
		network_open(net, w);
	n->worker = w;
	n->round = net->round;
	TAILQ_INSERT_TAIL(&net->watches, n, entry);
}

void
network_unwatch(struct network_watch *n)
{
	struct network *net;

	if (!n->worker)
		return;
	net = network_of(n->worker);
	n->worker = NULL;
	TAILQ_REMOVE(&net->watches, n, entry);
	if (TAILQ_EMPTY(&net->watches))
		network_close(net);
}
