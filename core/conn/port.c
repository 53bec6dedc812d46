#include "core/conn/port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/conn/tcp.h"
#include "core/runtime/worker.h"

#define BACKLOG 128
#define ACCEPTS 64			/* in one turn */
#define PAUSE_NS ADIT_MS(100)		/* when there is no descriptor left */

struct port {
	struct port_conf	 conf;
	struct adit_worker	*worker;
	struct adit_addr	 local;
	int			 fd;		/* owned; -1: closed */
	struct event		 event;
	struct adit_timer	*pause;
	bool			 accepting;	/* close only marks it then */
};

static void
port_free(struct port *p)
{
	if (event_initialized(&p->event))
		event_del(&p->event);
	if (p->fd >= 0)
		close(p->fd);
	adit_timer_free(p->pause);
	free(p);
}

static void
port_resume(void *arg)
{
	struct port *p = arg;

	event_add(&p->event, NULL);
}

/* One of those that wait. False: there is none, or it has to wait. */
static bool
port_accept(struct port *p)
{
	int fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct adit_conn *c;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		event_del(&p->event);
		adit_timer_set(p->pause, PAUSE_NS);
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	c = tcp_conn(p->worker, fd, false);
	if (c)
		p->conf.accepted(p->conf.arg, c);
	return true;
}

static void
port_event(evutil_socket_t fd, short what, void *arg)
{
	struct port *p = arg;

	(void)fd;
	(void)what;
	p->accepting = true;
	for (int i = 0; i < ACCEPTS && p->fd >= 0; i++)
		if (!port_accept(p))
			break;
	p->accepting = false;
	if (p->fd < 0)
		port_free(p);
}

void
port_close(struct port *p)
{
	if (!p)
		return;
	if (!p->accepting) {
		port_free(p);
		return;
	}
	event_del(&p->event);
	adit_timer_stop(p->pause);
	close(p->fd);
	p->fd = -1;
}

const struct adit_addr *
port_addr(const struct port *p)
{
	return &p->local;
}

/* A bound, listening socket, or -errno. */
static int
port_socket(const struct adit_addr *at)
{
	static const int on = 1, off = 0;
	struct sockaddr_storage ss;
	socklen_t len = adit_addr_to(at, &ss);
	int fd, err;

	if (!len)
		return -EAFNOSUPPORT;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	tcp_tune(fd, ss.ss_family);
	if (ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* All addresses: of both families where there is IPv6, else of IPv4. */
static int
port_socket_any(uint16_t port)
{
	struct adit_addr any = { .family = AF_INET6, .port = port };
	int fd = port_socket(&any);

	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	any.family = AF_INET;
	return port_socket(&any);
}

struct port *
port_open(struct adit_worker *w, const struct port_conf *conf, struct adit_err *e)
{
	struct port *p = calloc(1, sizeof(*p));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (!p) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	p->conf = *conf;
	p->worker = w;
	p->fd = conf->at.family ? port_socket(&conf->at) : port_socket_any(conf->at.port);
	if (p->fd < 0) {
		adit_err_set(e, p->fd, "listen: %s", adit_strerror(p->fd));
		port_free(p);
		return NULL;
	}
	if (getsockname(p->fd, (struct sockaddr *)&ss, &len) == 0)
		p->local = adit_addr_from((struct sockaddr *)&ss, len);
	p->pause = adit_timer_new(w, port_resume, p);
	event_assign(&p->event, worker_base(w), p->fd, EV_READ | EV_PERSIST, port_event, p);
	if (p->pause && event_add(&p->event, NULL) == 0)
		return p;
	adit_err_set(e, -ENOMEM, "out of memory");
	port_free(p);
	return NULL;
}
