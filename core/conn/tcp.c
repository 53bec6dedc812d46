#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/conn/conn.h"
#include "core/conn/tcp.h"
#include "core/conn/tcp_keepalive.h"

/* Unsent bytes the kernel keeps beyond what is in flight: enough for a wake-up's delay, not a
 * hidden queue. */
#define NOTSENT_LOWAT (128 * 1024)

/* How long, and for how many bytes, a polite close reads on. */
#define LINGER_NS ADIT_SECONDS(1)
#define LINGER_BYTES (256 * 1024)

struct tcp {
	struct adit_conn	 base;
	int			 fd;		/* -1: dialing, or closed */
	struct event		 event;
	uint64_t		 sent;		/* bytes the kernel took */
	int			 failure;	/* the socket's, to be told by the next call */
	bool			 connecting;
	bool			 ended;		/* the peer's end was read */
	bool			 end_seen;	/* the peer's end is in the socket */
	struct adit_timer	*linger;
	size_t			 lingered;	/* bytes dropped */
	void			(*cancel)(void *arg);
	void			*cancel_arg;
};

static struct tcp *
tcp_of(struct adit_conn *c)
{
	return adit_container_of(c, struct tcp, base);
}

static void
tcp_addresses(struct tcp *t)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct adit_addr a;

	if (getsockname(t->fd, (struct sockaddr *)&ss, &len) == 0) {
		a = adit_addr_from((struct sockaddr *)&ss, len);
		adit_conn_set_local(&t->base, &a);
	}
	len = sizeof(ss);
	if (getpeername(t->fd, (struct sockaddr *)&ss, &len) == 0) {
		a = adit_addr_from((struct sockaddr *)&ss, len);
		adit_conn_set_remote(&t->base, &a);
	}
}

static void
tcp_close_fd(struct tcp *t)
{
	if (t->fd < 0)
		return;
	event_del(&t->event);
	close(t->fd);
	t->fd = -1;
}

/* ---- the polite close ---------------------------------------------------------- */

static void
tcp_linger_end(struct tcp *t)
{
	adit_timer_free(t->linger);
	t->linger = NULL;
	tcp_close_fd(t);
	adit_conn_release(&t->base);
}

static void
tcp_linger_timeout(void *arg)
{
	tcp_linger_end(arg);
}

static void
tcp_linger_read(struct tcp *t)
{
	char dropped[4096];	/* not the worker's scratch: who closes us may be using it */
	ssize_t n;

	do {
		n = recv(t->fd, dropped, sizeof(dropped), MSG_DONTWAIT);
		if (n > 0)
			t->lingered += (size_t)n;
	} while (n > 0 && t->lingered < LINGER_BYTES);
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		tcp_linger_end(t);
}

static void
tcp_linger(struct tcp *t)
{
	t->linger = adit_timer_new(adit_conn_worker(&t->base), tcp_linger_timeout, t);
	if (!t->linger || shutdown(t->fd, SHUT_WR) < 0) {
		adit_timer_free(t->linger);
		t->linger = NULL;
		tcp_close_fd(t);
		return;
	}
	adit_timer_set(t->linger, LINGER_NS);
	adit_conn_hold(&t->base);
	tcp_linger_read(t);
}

/* ---- events ---------------------------------------------------------------------- */

static void
tcp_opened(struct tcp *t)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	t->connecting = false;
	if (err) {
		adit_conn_fail(&t->base, -err);
		return;
	}
	tcp_addresses(t);
	adit_conn_deadline(&t->base, 0);
	adit_conn_ready(&t->base, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
}

static void
tcp_event(evutil_socket_t fd, short what, void *arg)
{
	struct tcp *t = arg;
	unsigned events = 0;

	(void)fd;
	if (t->linger) {
		tcp_linger_read(t);
		return;
	}
	if (t->connecting) {
		if (what & EV_WRITE)
			tcp_opened(t);
		return;
	}
	if (what & EV_CLOSED)
		t->end_seen = true;
	if (what & (EV_READ | EV_CLOSED))
		events |= ADIT_READ;
	if (what & EV_WRITE)
		events |= ADIT_WRITE;
	adit_conn_ready(&t->base, events);
}

static int
tcp_register(struct tcp *t, struct adit_worker *w)
{
	event_assign(&t->event, worker_base(w), t->fd,
		     EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, tcp_event, t);
	return event_add(&t->event, NULL) < 0 ? -ENOMEM : 0;
}

/* ---- operations ------------------------------------------------------------------- */

/*
 * After a read that got less than it asked for. The edge of an end or a reset that came together
 * with those bytes has passed; libevent tells of the end (EV_CLOSED), but a reset looks like data,
 * so the socket must say itself that it is empty. It says what else it has to say once only.
 */
static bool
tcp_is_drained(struct tcp *t)
{
	char c;

	if (t->end_seen || recv(t->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		return false;
	if (errno == EAGAIN)
		return true;
	if (errno != EINTR)
		t->failure = -errno;
	return false;
}

static ssize_t
tcp_read(struct adit_conn *c, void *buf, size_t len)
{
	struct tcp *t = tcp_of(c);
	ssize_t n;

	if (t->fd < 0 || t->connecting)
		return -EAGAIN;
	if (t->failure)
		return t->failure;
	if (!(c->core->io.ready & ADIT_READ))
		return -EAGAIN;		/* known to be empty, no need to ask again */
	do
		n = recv(t->fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	/* A socket tells of its reset once, be it to a write, and looks like an ended one then. */
	if (n == 0 && len && c->core->err && !t->ended)
		return -EAGAIN;
	if (n == 0 && len)
		t->ended = true;
	else if ((size_t)n < len && tcp_is_drained(t))
		conn_unready(c, ADIT_READ);	/* an edge tells of more */
	return n;
}

static ssize_t
tcp_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct tcp *t = tcp_of(c);
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	ssize_t sent;

	if (t->fd < 0 || t->connecting)
		return -EAGAIN;
	if (t->failure)
		return t->failure;
	do
		sent = sendmsg(t->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	t->sent += (uint64_t)sent;
	return sent;
}

static int
tcp_shutdown(struct adit_conn *c)
{
	struct tcp *t = tcp_of(c);

	if (t->fd < 0 || shutdown(t->fd, SHUT_WR) == 0 || errno == ENOTCONN)
		return 0;
	return -errno;
}

static void
tcp_close(struct adit_conn *c, int why)
{
	struct tcp *t = tcp_of(c);
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (t->cancel && t->fd < 0) {
		t->cancel(t->cancel_arg);
		t->cancel = NULL;
	}
	if (t->fd < 0)
		return;
	if (why || c->core->err) {
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		tcp_close_fd(t);
	} else if (t->connecting || t->ended) {
		tcp_close_fd(t);
	} else {
		tcp_linger(t);
	}
}

static void
tcp_free(struct adit_conn *c)
{
	struct tcp *t = tcp_of(c);

	adit_timer_free(t->linger);
	tcp_close_fd(t);
}

static void
tcp_cut(struct adit_conn *c)
{
	struct tcp *t = tcp_of(c);

	if (t->linger)
		tcp_linger_end(t);
}

static int
tcp_splice_fd(struct adit_conn *c, unsigned dir)
{
	struct tcp *t = tcp_of(c);

	(void)dir;
	return t->connecting ? -1 : t->fd;
}

static int
tcp_detach(struct adit_conn *c)
{
	struct tcp *t = tcp_of(c);

	if (t->fd < 0 || t->connecting)
		return -ENOTSUP;
	event_del(&t->event);
	return 0;
}

static void
tcp_attach(struct adit_conn *c, struct adit_worker *to)
{
	struct tcp *t = tcp_of(c);

	if (tcp_register(t, to) < 0)
		adit_conn_fail(c, -ENOMEM);
	else
		adit_conn_ready(c, ADIT_READ | ADIT_WRITE);
}

int
tcp_unacked(struct adit_conn *c)
{
	struct tcp *t = tcp_of(c);
	int n = 0;

	if (t->fd < 0)
		return -ENOTCONN;
	if (ioctl(t->fd, SIOCOUTQ, &n) < 0)
		return -errno;
	return n;
}

/* What was spliced is not counted: nobody who asks is spliced to. */
static int
tcp_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	struct tcp *t = tcp_of(c);
	int unacked = tcp_unacked(c);

	if (unacked < 0)
		return -ENOTSUP;
	d->taken = t->sent;
	d->acked = t->sent > (uint64_t)unacked ? t->sent - (uint64_t)unacked : 0;
	return 0;
}

static const struct adit_conn_ops tcp_ops = {
	.size = sizeof(tcp_ops),
	.name = "tcp",
	.read = tcp_read,
	.writev = tcp_writev,
	.shutdown = tcp_shutdown,
	.close = tcp_close,
	.free = tcp_free,
	.splice_fd = tcp_splice_fd,
	.detach = tcp_detach,
	.attach = tcp_attach,
	.cut = tcp_cut,
	.delivery = tcp_delivery,
};

/* ---- making them -------------------------------------------------------------------- */

void
tcp_tune(int fd, int family)
{
	static const int on = 1, lowat = NOTSENT_LOWAT;
	static const struct tcp_keepalive keepalive = { .on = true };

	/* None of these is worth refusing a connection for. */
	if (family != AF_INET && family != AF_INET6)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	tcp_keepalive_set(fd, &keepalive);
}

int
tcp_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	tcp_tune(fd, family);
	return fd;
}

struct adit_conn *
tcp_dialing(struct adit_worker *w)
{
	struct tcp *t = adit_conn_new(w, &tcp_ops, sizeof(*t), 0);

	if (!t)
		return NULL;
	t->fd = -1;
	return &t->base;
}

void
tcp_on_cancel(struct adit_conn *c, void (*cancel)(void *arg), void *arg)
{
	struct tcp *t = tcp_of(c);

	t->cancel = cancel;
	t->cancel_arg = arg;
}

void
tcp_adopt(struct adit_conn *c, int fd)
{
	struct tcp *t = tcp_of(c);

	assert(t->fd < 0 && !c->core->io.closed);
	t->cancel = NULL;
	if (c->core->err) {	/* its deadline has passed, and its owner not closed it yet */
		close(fd);
		return;
	}
	t->fd = fd;
	if (tcp_register(t, adit_conn_worker(c)) < 0) {
		close(fd);
		t->fd = -1;
		adit_conn_fail(c, -ENOMEM);
		return;
	}
	tcp_addresses(t);
	adit_conn_ready(c, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
}

struct adit_conn *
tcp_conn(struct adit_worker *w, int fd, bool connecting)
{
	struct adit_conn *c = tcp_dialing(w);
	struct tcp *t;

	if (!c) {
		close(fd);
		return NULL;
	}
	t = tcp_of(c);
	t->fd = fd;
	t->connecting = connecting;
	if (tcp_register(t, w) < 0) {
		close(fd);
		t->fd = -1;
		adit_conn_close(c, -ENOMEM);
		return NULL;
	}
	if (!connecting) {
		tcp_addresses(t);
		adit_conn_ready(c, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
	}
	return c;
}

static struct adit_conn *
stream_connect(struct adit_worker *w, const struct sockaddr *to, socklen_t len, struct adit_err *e)
{
	int fd = tcp_socket(to->sa_family);
	struct adit_conn *c;
	bool connecting = false;

	if (fd < 0) {
		adit_err_set(e, fd, "socket: %s", adit_strerror(fd));
		return NULL;
	}
	if (connect(fd, to, len) < 0) {
		if (errno != EINPROGRESS) {
			adit_err_set(e, -errno, "connect: %s", adit_strerror(-errno));
			close(fd);
			return NULL;
		}
		connecting = true;
	}
	c = tcp_conn(w, fd, connecting);
	if (!c)
		adit_err_set(e, -ENOMEM, "out of memory");
	return c;
}

struct adit_conn *
tcp_connect(struct adit_worker *w, const struct adit_addr *to, unsigned ms, struct adit_err *e)
{
	struct sockaddr_storage ss;
	socklen_t len = adit_addr_to(to, &ss);
	struct adit_conn *c;

	if (!len) {
		adit_err_set(e, -EAFNOSUPPORT, "no IP address to connect to");
		return NULL;
	}
	c = stream_connect(w, (struct sockaddr *)&ss, len, e);
	if (c && ms && !adit_conn_is_open(c))
		adit_conn_deadline(c, ms);
	return c;
}

struct adit_conn *
unix_connect(struct adit_worker *w, const char *path, struct adit_err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(un.sun_path)) {
		adit_err_set(e, -ENAMETOOLONG, "socket path longer than %zu bytes: %s",
			     sizeof(un.sun_path) - 1, path);
		return NULL;
	}
	strcpy(un.sun_path, path);
	return stream_connect(w, (struct sockaddr *)&un, sizeof(un), e);
}
