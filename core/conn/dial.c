#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/conn/dial.h"
#include "core/conn/tcp.h"
#include "core/conn/tcp_keepalive.h"
#include "core/runtime/resolver.h"
#include "core/runtime/worker.h"

/* RFC 8305, section 5: the recommended delay between two attempts. */
#define STAGGER_NS ADIT_MS(250)
#define ADDRS_MAX RESOLVER_MAX

struct dial;

struct attempt {
	LIST_ENTRY(attempt)	 entry;
	struct dial		*dial;
	int			 fd;		/* owned */
	struct event		 event;
};

struct dial {
	struct adit_conn	*conn;		/* the caller's, told what became of it */
	struct adit_worker	*worker;
	uint16_t		 port;
	struct tcp_keepalive	 keepalive;
	struct resolver_query	*query;		/* NULL: answered */
	struct adit_addr	 addrs[ADDRS_MAX];
	size_t			 n, next;	/* of addrs; the next to try */
	LIST_HEAD(, attempt)	 attempts;	/* under way */
	struct adit_timer	*stagger, *limit;
	int			 err;		/* the most telling so far */
};

/* ---- the end ---------------------------------------------------------------------- */

static void
attempt_free(struct attempt *a)
{
	LIST_REMOVE(a, entry);
	event_del(&a->event);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

static void
dial_free(struct dial *d)
{
	resolver_cancel(d->query);
	while (!LIST_EMPTY(&d->attempts))
		attempt_free(LIST_FIRST(&d->attempts));
	adit_timer_free(d->stagger);
	adit_timer_free(d->limit);
	free(d);
}

/* The caller has closed the conn. */
static void
dial_cancel(void *arg)
{
	dial_free(arg);
}

static void
dial_fail(struct dial *d)
{
	struct adit_conn *c = d->conn;
	int err = d->err;

	dial_free(d);
	tcp_on_cancel(c, NULL, NULL);
	adit_conn_fail(c, err);
}

static void
dial_win(struct dial *d, int fd)
{
	struct adit_conn *c = d->conn;

	tcp_keepalive_set(fd, &d->keepalive);
	dial_free(d);
	tcp_adopt(c, fd);
}

/* How near to the target a failure arose: the nearer, the more it tells. */
static int
rank(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -ENETUNREACH:
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
		return 1;	/* no way from here, often for want of IPv6 */
	case -EHOSTUNREACH:
	case -ENETDOWN:
	case -EHOSTDOWN:
		return 3;	/* a router says so */
	case -ETIMEDOUT:
		return 4;
	case -ECONNREFUSED:
	case -ECONNRESET:
		return 5;	/* the host itself says so */
	default:
		return 2;	/* ours: no descriptor, no memory, not permitted */
	}
}

static void
dial_note(struct dial *d, int err)
{
	if (rank(err) >= rank(d->err))
		d->err = err;
}

/* ---- attempts ----------------------------------------------------------------------- */

/*
 * A port of the kernel's own range on this machine, where nobody listens, can be given to the
 * attempt itself as its source port: then it is connected to itself.
 */
static bool
is_own_peer(int fd)
{
	struct sockaddr_storage here, there;
	socklen_t here_len = sizeof(here), there_len = sizeof(there);
	struct adit_addr a, b;

	if (getsockname(fd, (struct sockaddr *)&here, &here_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&there, &there_len) < 0)
		return false;
	a = adit_addr_from((struct sockaddr *)&here, here_len);
	b = adit_addr_from((struct sockaddr *)&there, there_len);
	return adit_addr_equal(&a, &b);
}

/* 0: fd is connected. */
static int
attempt_result(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (!err && is_own_peer(fd))
		err = ECONNREFUSED;
	return -err;
}

static void
attempt_event(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *a = arg;
	struct dial *d = a->dial;
	int err = attempt_result(fd);

	(void)what;
	if (!err)
		a->fd = -1;
	attempt_free(a);
	if (!err) {
		dial_win(d, fd);
		return;
	}
	dial_note(d, err);
	adit_timer_set(d->stagger, 0);	/* the next one need not wait */
}

/* A socket that is connecting, or connected (*done), or -errno. */
static int
attempt_socket(const struct adit_addr *to, bool *done)
{
	struct sockaddr_storage ss;
	socklen_t len = adit_addr_to(to, &ss);
	int fd, err = 0;

	if (!len)
		return -EAFNOSUPPORT;
	fd = tcp_socket(ss.ss_family);
	if (fd < 0)
		return fd;
	*done = connect(fd, (struct sockaddr *)&ss, len) == 0;
	if (!*done)
		err = -errno;
	else
		err = attempt_result(fd);
	if (err && err != -EINPROGRESS) {
		close(fd);
		return err;
	}
	return fd;
}

/* Waits for fd, which it takes. */
static int
attempt_begin(struct dial *d, int fd)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (!a) {
		close(fd);
		return -ENOMEM;
	}
	a->dial = d;
	a->fd = fd;
	LIST_INSERT_HEAD(&d->attempts, a, entry);
	event_assign(&a->event, worker_base(d->worker), fd, EV_WRITE, attempt_event, a);
	if (event_add(&a->event, NULL) < 0) {
		attempt_free(a);
		return -ENOMEM;
	}
	return 0;
}

/* Begins with the next address that lets itself be tried, or ends when all have failed; d may be
 * gone afterwards. */
static void
dial_go_on(struct dial *d)
{
	while (d->next < d->n) {
		bool done = false;
		int fd = attempt_socket(&d->addrs[d->next++], &done), err = fd;

		if (fd >= 0 && done) {
			dial_win(d, fd);
			return;
		}
		if (fd >= 0)
			err = attempt_begin(d, fd);
		if (!err) {
			adit_timer_set(d->stagger, STAGGER_NS);
			return;
		}
		dial_note(d, err);
	}
	if (LIST_EMPTY(&d->attempts))
		dial_fail(d);
}

static void
dial_staggered(void *arg)
{
	dial_go_on(arg);
}

static void
dial_timed_out(void *arg)
{
	struct dial *d = arg;

	dial_note(d, -ETIMEDOUT);
	dial_fail(d);
}

/* ---- addresses -------------------------------------------------------------------------- */

static void
dial_resolved(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct dial *d = arg;

	d->query = NULL;
	d->err = err;
	for (d->n = 0; d->n < n && d->n < ADDRS_MAX; d->n++) {
		d->addrs[d->n] = addrs[d->n];
		d->addrs[d->n].port = d->port;
	}
	dial_go_on(d);
}

static struct dial *
dial_new(struct adit_worker *w, const struct tcp_dial *to)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->worker = w;
	d->port = to->port;
	d->keepalive = to->keepalive ? *to->keepalive : (struct tcp_keepalive){ .on = true };
	LIST_INIT(&d->attempts);
	d->conn = tcp_dialing(w);
	d->stagger = adit_timer_new(w, dial_staggered, d);
	d->limit = adit_timer_new(w, dial_timed_out, d);
	if (d->conn && d->stagger && d->limit)
		return d;
	adit_conn_close(d->conn, -ENOMEM);
	dial_free(d);
	return NULL;
}

struct adit_conn *
tcp_dial_to(struct adit_worker *w, const struct tcp_dial *to, struct adit_err *e)
{
	struct dial *d = dial_new(w, to);
	struct adit_conn *c;

	if (!d) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c = d->conn;
	tcp_on_cancel(c, dial_cancel, d);
	adit_timer_set(d->limit, ADIT_MS(to->ms ? to->ms : DIAL_MS));
	if (to->n_addrs) {
		dial_resolved(d, 0, to->addrs, to->n_addrs);
		return c;
	}
	d->query = resolver_ask(w, to->host, dial_resolved, d, e);
	if (d->query)
		return c;
	adit_conn_close(c, -ECONNABORTED);
	return NULL;
}

struct adit_conn *
tcp_dial(struct adit_worker *w, const char *host, uint16_t port, unsigned ms, struct adit_err *e)
{
	const struct tcp_dial to = { .host = host, .port = port, .ms = ms };

	return tcp_dial_to(w, &to, e);
}
