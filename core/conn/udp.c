#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>	/* needs time.h */
#include <linux/filter.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/conn/udp.h"
#include "core/runtime/worker.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BUFFER	 (4 << 20)
#define TROUBLES 16		/* remembered until asked for; later ones are dropped */
#define ECN_MASK 3

/* Room for all that one datagram brings or takes along. */
struct control {
	_Alignas(struct cmsghdr)
	char buf[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) +
	         2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int))];
};

struct udp {
	struct adit_packet_conn	 base;
	int			 fd;
	int			 family;
	bool			 connected, gso, gro;
	struct event		 readable;	/* an edge */
	struct event writable; /* once, after a send that answered EAGAIN: a UDP socket
	                        * reports each sent datagram otherwise */
	const void *cut; /* the packet whose cut_done bytes have left without GSO */
	size_t			 cut_done;
	struct adit_trouble	 troubles[TROUBLES];
	unsigned		 n_troubles;
};

static struct udp *
udp_of(const struct adit_packet_conn *p)
{
	return adit_container_of((struct adit_packet_conn *)(uintptr_t)p, struct udp, base);
}

/* Errors that are about one destination; the socket is as good as before. */
static bool
udp_is_trouble(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENOPROTOOPT:	/* ICMP protocol unreachable */
	case EPROTO:		/* ICMP parameter problem */
	case EMSGSIZE:
	case EPERM:		/* a firewall's word about an outgoing datagram */
	case EACCES:
	case EADDRNOTAVAIL:
	case ENOBUFS:		/* the interface's queue is full: lost, as anywhere on the way */
	case ENOMEM:		/* the kernel's, for now: the same */
	case EINVAL:		/* a destination of port 0 */
		return true;
	default:
		return false;
	}
}

static void
udp_note(struct udp *u, const struct adit_addr *peer, int err, const struct iovec *quote)
{
	struct adit_trouble *t = &u->troubles[u->n_troubles];

	if (u->n_troubles == TROUBLES)
		return;
	*t = (struct adit_trouble){ .peer = *peer, .err = err };
	if (quote && quote->iov_len) {
		t->quote_len = (uint8_t)(quote->iov_len < sizeof(t->quote) ? quote->iov_len :
									       sizeof(t->quote));
		memcpy(t->quote, quote->iov_base, t->quote_len);
	}
	u->n_troubles++;
}

/* Only what comes from elsewhere can quote something that it would not know else. */
static bool
udp_is_icmp(const struct sock_extended_err *ee)
{
	return ee->ee_origin == SO_EE_ORIGIN_ICMP || ee->ee_origin == SO_EE_ORIGIN_ICMP6;
}

/* Takes what IP_RECVERR has queued: the destination and the ICMP's (or the interface's) meaning. */
static void
udp_read_errors(struct udp *u)
{
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage to;
		union { struct cmsghdr align; char buf[512]; } control;
		char quoted[ADIT_QUOTE_MAX];
		struct iovec iov = { quoted, sizeof(quoted) };
		struct msghdr m = {
			.msg_name = &to,
			.msg_namelen = sizeof(to),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		ssize_t n = recvmsg(u->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (n < 0)
			return;
		iov.iov_len = (size_t)n;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			struct sock_extended_err ee;
			struct adit_addr peer;

			if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
			    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
				continue;
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
			peer = adit_addr_from((struct sockaddr *)&to, m.msg_namelen);
			udp_note(u, &peer, -(int)ee.ee_errno, udp_is_icmp(&ee) ? &iov : NULL);
		}
	}
}

/* ---- receiving ---------------------------------------------------------------- */

static void
udp_read_control(struct msghdr *m, struct adit_packet *p, uint16_t port)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			p->to = (struct adit_addr){ .family = AF_INET, .port = port };
			memcpy(p->to.ip, &info.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
				                   .sin6_port = htons(port) };
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			sa.sin6_addr = info.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&sa.sin6_addr))
				sa.sin6_scope_id = info.ipi6_ifindex;
			p->to = adit_addr_from((struct sockaddr *)&sa, sizeof(sa));
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			p->ecn = *CMSG_DATA(c) & ECN_MASK;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			int tclass;

			memcpy(&tclass, CMSG_DATA(c), sizeof(tclass));
			p->ecn = (uint8_t)(tclass & ECN_MASK);
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int segment;

			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
			p->segment = (uint16_t)segment;
		}
	}
}

/*
 * Turns n received messages into packets, without those that were cut for want of room; returns how
 * many.
 */
static int
udp_take(struct udp *u, struct mmsghdr *m, struct adit_packet *v, int n)
{
	const struct adit_addr *local = adit_packet_local(&u->base);
	int got = 0;

	for (int i = 0; i < n; i++) {
		struct msghdr *h = &m[i].msg_hdr;
		struct iovec room = v[got].data;

		if (h->msg_flags & MSG_TRUNC)
			continue;
		v[got] = (struct adit_packet){ .data = v[i].data, .to = *local };
		if (got != i)
			v[i].data = room;	/* each keeps a buffer of its own */
		v[got].data.iov_len = m[i].msg_len;
		v[got].from = adit_addr_from(h->msg_name, h->msg_namelen);
		udp_read_control(h, &v[got], local->port);
		if (v[got].segment >= m[i].msg_len)
			v[got].segment = 0;
		got++;
	}
	return got;
}

static int
udp_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	struct udp *u = udp_of(p);
	struct sockaddr_storage from[UDP_BATCH];
	struct control control[UDP_BATCH];
	struct mmsghdr m[UDP_BATCH];
	int got;

	if (n > UDP_BATCH)
		n = UDP_BATCH;
	for (int i = 0; i < n; i++)
		m[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i], .msg_namelen = sizeof(from[i]),
			.msg_iov = &v[i].data, .msg_iovlen = 1,
			.msg_control = &control[i], .msg_controllen = sizeof(control[i]),
		};
	got = recvmmsg(u->fd, m, (unsigned)n, MSG_DONTWAIT, NULL);
	if (got >= 0)
		return udp_take(u, m, v, got);
	if (errno == EAGAIN)
		return -EAGAIN;
	if (errno == EINTR)
		return 0;
	if (!udp_is_trouble(errno))
		return -errno;
	udp_read_errors(u);
	return 0;		/* datagrams may stand behind the error */
}

/* ---- sending ------------------------------------------------------------------ */

struct outgoing {
	struct sockaddr_storage	 to;
	struct control		 control;
	struct iovec		 iov;
};

static socklen_t
udp_sockaddr(const struct udp *u, const struct adit_addr *a, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *sa = (struct sockaddr_in6 *)out;

	if (u->family != AF_INET6 || a->family != AF_INET)
		return adit_addr_to(a, out);
	*sa = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
	sa->sin6_addr.s6_addr[10] = sa->sin6_addr.s6_addr[11] = 0xff;
	memcpy(sa->sin6_addr.s6_addr + 12, a->ip, 4);
	return sizeof(*sa);
}

struct ancillary {
	int		 level, type;
	size_t		 len;
	const void	*value;
};

static void
udp_add_control(struct msghdr *m, const struct ancillary *a)
{
	char *at = (char *)m->msg_control + m->msg_controllen;
	struct cmsghdr head = {
		.cmsg_level = a->level, .cmsg_type = a->type, .cmsg_len = CMSG_LEN(a->len),
	};

	memset(at, 0, CMSG_SPACE(a->len));
	memcpy(at, &head, sizeof(head));
	memcpy(at + CMSG_LEN(0), a->value, a->len);
	m->msg_controllen += CMSG_SPACE(a->len);
}

static void
udp_add_source(struct msghdr *m, const struct adit_addr *from)
{
	struct in_pktinfo info = { 0 };
	struct in6_pktinfo info6 = { .ipi6_ifindex = from->scope };

	if (from->family == AF_INET) {
		memcpy(&info.ipi_spec_dst, from->ip, 4);
		udp_add_control(m, &(struct ancillary){ .level = IPPROTO_IP, .type = IP_PKTINFO,
							.len = sizeof(info), .value = &info });
	} else {
		memcpy(&info6.ipi6_addr, from->ip, 16);
		udp_add_control(m, &(struct ancillary){ .level = IPPROTO_IPV6, .type = IPV6_PKTINFO,
							.len = sizeof(info6), .value = &info6 });
	}
}

/*
 * The own address, the ECN bits and the segment size, as far as they are not the socket's defaults.
 */
static void
udp_write_control(struct msghdr *m, struct control *control, const struct adit_packet *p,
                  uint16_t segment)
{
	bool v4 = p->to.family == AF_INET;
	int tos = p->ecn & ECN_MASK;

	m->msg_control = control;
	if (p->from.family && p->from.family == p->to.family)
		udp_add_source(m, &p->from);
	if (tos)
		udp_add_control(m, &(struct ancillary){ .level = v4 ? IPPROTO_IP : IPPROTO_IPV6,
							.type = v4 ? IP_TOS : IPV6_TCLASS,
							.len = sizeof(tos), .value = &tos });
	if (segment)
		udp_add_control(m, &(struct ancillary){ .level = SOL_UDP,
		                                        .type = UDP_SEGMENT,
		                                        .len = sizeof(segment),
		                                        .value = &segment });
	if (!m->msg_controllen)
		m->msg_control = NULL;
}

static void
udp_prepare(const struct udp *u, struct msghdr *m, struct outgoing *o, const struct adit_packet *p)
{
	*m = (struct msghdr){ .msg_iov = &o->iov, .msg_iovlen = 1 };
	if (!u->connected) {
		m->msg_name = &o->to;
		m->msg_namelen = udp_sockaddr(u, &p->to, &o->to);
	}
	udp_write_control(m, &o->control, p,
	                  p->segment && p->segment < o->iov.iov_len ? p->segment : 0);
}

/* One more try after an error that may be an old one's echo; then the datagram counts as lost. */
static int
udp_send_failed(struct udp *u, struct mmsghdr *m, const struct adit_packet *p, int err)
{
	udp_read_errors(u);
	if (sendmmsg(u->fd, m, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		return 1;
	if (errno == EAGAIN)
		return -EAGAIN;
	if (errno == err)
		udp_note(u, &p->to, -err, NULL);
	return 1;
}

/*
 * sendmmsg of k messages that belong to v[0..k): how many are done, or an error as
 * adit_packet_ops.send has it.
 */
static int
udp_push(struct udp *u, struct mmsghdr *m, const struct adit_packet *v, int k)
{
	int sent;

	do
		sent = sendmmsg(u->fd, m, (unsigned)k, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN)
		return -EAGAIN;
	if (!udp_is_trouble(errno))
		return -errno;
	return udp_send_failed(u, m, v, errno);
}

/*
 * Sends one packet as datagrams of its segment size: where there is no GSO, or it is longer than
 * GSO allows.
 */
static int
udp_send_cut(struct udp *u, const struct adit_packet *p)
{
	size_t len = p->data.iov_len, segment = p->segment ? p->segment : len;
	struct outgoing o[UDP_BATCH];
	struct mmsghdr m[UDP_BATCH];
	struct adit_packet piece = *p;

	piece.segment = 0;
	if (u->cut != p->data.iov_base || u->cut_done >= len)
		u->cut_done = 0;
	u->cut = p->data.iov_base;
	do {
		size_t at = u->cut_done;
		int k = 0, sent;

		for (; k < UDP_BATCH && (at < len || !len); k++, at += segment) {
			size_t left = len - at;

			o[k].iov = (struct iovec){ (char *)p->data.iov_base + at,
						   left < segment ? left : segment };
			udp_prepare(u, &m[k].msg_hdr, &o[k], &piece);
			if (!len) {
				k++;
				break;
			}
		}
		sent = udp_push(u, m, &piece, k);
		if (sent < 0 && sent != -EAGAIN)
			u->cut = NULL;		/* it is given up: its memory may be another's */
		if (sent < 0)
			return sent;
		u->cut_done += (size_t)sent * segment;
	} while (u->cut_done < len);
	u->cut = NULL;
	return 1;
}

static bool
udp_must_cut(const struct udp *u, const struct adit_packet *p)
{
	if (!p->segment || p->segment >= p->data.iov_len)
		return false;
	return !u->gso || p->data.iov_len > UDP_BYTES_MAX ||
	       (p->data.iov_len + p->segment - 1) / p->segment > UDP_SEGMENTS_MAX;
}

/*
 * The kernel refused a packet with a segment size: not its destination, GSO itself is what does not
 * work there.
 */
static bool
udp_gso_refused(int err)
{
	return err == EIO || err == EINVAL || err == EOPNOTSUPP || err == ENOPROTOOPT;
}

static int
udp_send_batch(struct udp *u, const struct adit_packet *v, int n)
{
	struct outgoing o[UDP_BATCH];
	struct mmsghdr m[UDP_BATCH];
	int k = 0, sent;

	for (; k < n && k < UDP_BATCH && !udp_must_cut(u, &v[k]); k++) {
		o[k].iov = v[k].data;
		udp_prepare(u, &m[k].msg_hdr, &o[k], &v[k]);
	}
	if (!k)
		return udp_send_cut(u, &v[0]);
	if (!v[0].segment)
		return udp_push(u, m, v, k);
	do
		sent = sendmmsg(u->fd, m, (unsigned)k, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN)
		return -EAGAIN;
	if (!udp_gso_refused(errno))
		return udp_is_trouble(errno) ? udp_send_failed(u, m, v, errno) : -errno;
	sent = udp_send_cut(u, &v[0]);
	if (sent == 1 && !u->n_troubles)
		u->gso = false;		/* whole it did not go, cut it did */
	return sent;
}

static int
udp_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	struct udp *u = udp_of(p);
	int done = 0;

	while (done < n) {
		int sent = udp_send_batch(u, v + done, n - done);

		if (sent == -EAGAIN)
			event_add(&u->writable, NULL);
		if (sent < 0)
			return done ? done : sent;
		done += sent;
	}
	return done;
}

static bool
udp_trouble(struct adit_packet_conn *p, struct adit_trouble *t)
{
	struct udp *u = udp_of(p);

	if (!u->n_troubles)
		return false;
	*t = u->troubles[0];
	u->n_troubles--;
	memmove(u->troubles, u->troubles + 1, u->n_troubles * sizeof(*u->troubles));
	return true;
}

/* ---- life ----------------------------------------------------------------------- */

static void
udp_close(struct adit_packet_conn *p)
{
	struct udp *u = udp_of(p);

	event_del(&u->readable);
	event_del(&u->writable);
	close(u->fd);
	u->fd = -1;
}

static void
udp_free(struct adit_packet_conn *p)
{
	(void)p;
}

static const struct adit_packet_ops udp_ops = {
	.size = sizeof(udp_ops),
	.name = "udp",
	.recv = udp_recv,
	.send = udp_send,
	.close = udp_close,
	.free = udp_free,
	.trouble = udp_trouble,
};

static void
udp_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct udp *u = arg;

	(void)fd;
	adit_packet_ready(&u->base,
	                  (what & EV_READ ? ADIT_READ : 0) | (what & EV_WRITE ? ADIT_WRITE : 0));
}

static bool
udp_set(int fd, int level, int name, int value)
{
	return !setsockopt(fd, level, name, &value, sizeof(value));
}

/* What makes the socket better and may be missing: failures are no error. */
static void
udp_tune(struct udp *u, const struct udp_conf *conf)
{
	int size = conf->buffer ? conf->buffer : BUFFER, fd = u->fd, segment;
	socklen_t len = sizeof(segment);

	/* Beyond the administrator's limit with CAP_NET_ADMIN only. */
	if (!udp_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, size))
		udp_set(fd, SOL_SOCKET, SO_RCVBUF, size);
	if (!udp_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, size))
		udp_set(fd, SOL_SOCKET, SO_SNDBUF, size);
	/* The IP_ options of an IPv6 socket are about the IPv4 that it carries. */
	udp_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	udp_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
	udp_set(fd, IPPROTO_IP, IP_RECVERR, 1);
	if (!conf->fragment)
		udp_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	if (u->family == AF_INET6) {
		udp_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		udp_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		udp_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
		if (!conf->fragment)
			udp_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	}
	u->gso = !conf->no_gso && !getsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, &len);
	u->gro = !conf->no_gro && udp_set(fd, SOL_UDP, UDP_GRO, 1);
}

static int
udp_start(struct udp *u, struct adit_worker *w, struct adit_err *e)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct adit_addr local;

	if (getsockname(u->fd, (struct sockaddr *)&sa, &len) < 0)
		return adit_err_set(e, -errno, "getsockname: %s", adit_strerror(-errno));
	local = adit_addr_from((struct sockaddr *)&sa, len);
	adit_packet_set_local(&u->base, &local);
	event_assign(&u->readable, worker_base(w), u->fd, EV_READ | EV_ET | EV_PERSIST,
	             udp_on_event, u);
	event_assign(&u->writable, worker_base(w), u->fd, EV_WRITE, udp_on_event, u);
	if (event_add(&u->readable, NULL) < 0)
		return adit_err_set(e, -ENOMEM, "cannot watch a socket");
	adit_packet_ready(&u->base, ADIT_READ | ADIT_WRITE);
	return 0;
}

static int
udp_connect(struct udp *u, const struct udp_conf *conf, struct adit_err *e)
{
	struct sockaddr_storage sa;
	char text[ADIT_ADDR_TEXT];
	socklen_t len;

	if (!conf->connect.family)
		return 0;
	len = udp_sockaddr(u, &conf->connect, &sa);
	if (connect(u->fd, (struct sockaddr *)&sa, len) < 0)
		return adit_err_set(e, -errno, "connect to %s: %s",
				    adit_addr_format(&conf->connect, text), adit_strerror(-errno));
	u->connected = true;
	return 0;
}

struct adit_packet_conn *
udp_adopt(struct adit_worker *w, int fd, const struct udp_conf *conf, struct adit_err *e)
{
	struct udp *u = adit_packet_new(w, &udp_ops, sizeof(*u));
	socklen_t len = sizeof(u->family);

	if (!u) {
		close(fd);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	u->fd = fd;
	/* Set, so that udp_close may take them out also when nothing was added. */
	event_assign(&u->readable, worker_base(w), fd, EV_READ, udp_on_event, u);
	event_assign(&u->writable, worker_base(w), fd, EV_WRITE, udp_on_event, u);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &u->family, &len) < 0) {
		adit_err_set(e, -errno, "not a socket: %s", adit_strerror(-errno));
		adit_packet_close(&u->base);
		return NULL;
	}
	udp_tune(u, conf);
	if (udp_connect(u, conf, e) < 0 || udp_start(u, w, e) < 0) {
		adit_packet_close(&u->base);
		return NULL;
	}
	return &u->base;
}

static int
udp_bind(int fd, const struct udp_conf *conf, struct adit_err *e)
{
	struct sockaddr_storage sa;
	char text[ADIT_ADDR_TEXT];
	socklen_t len;

	if (conf->bind.family == AF_INET6 && !udp_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, conf->v6only))
		return adit_err_set(e, -errno, "IPV6_V6ONLY: %s", adit_strerror(-errno));
	if (conf->reuseport && !udp_set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return adit_err_set(e, -errno, "SO_REUSEPORT: %s", adit_strerror(-errno));
	if (!conf->bind.family)
		return 0;
	len = adit_addr_to(&conf->bind, &sa);
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		return adit_err_set(e, -errno, "bind to %s: %s",
		                    adit_addr_format(&conf->bind, text), adit_strerror(-errno));
	return 0;
}

struct adit_packet_conn *
udp_open(struct adit_worker *w, const struct udp_conf *conf, struct adit_err *e)
{
	int family = conf->bind.family ? conf->bind.family : conf->connect.family, fd;

	if (family != AF_INET && family != AF_INET6) {
		adit_err_set(e, -EAFNOSUPPORT, "a UDP socket needs an IP address");
		return NULL;
	}
	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		adit_err_set(e, -errno, "socket: %s", adit_strerror(-errno));
		return NULL;
	}
	if (udp_bind(fd, conf, e) < 0) {
		close(fd);
		return NULL;
	}
	return udp_adopt(w, fd, conf, e);
}

int
udp_steer_by_byte(struct adit_packet_conn *p, const struct udp_steer *by)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_B | BPF_ABS, 0, 0, 0 },
		{ BPF_JMP | BPF_JSET | BPF_K, 2, 0, 0x80 },
		{ BPF_LD | BPF_B | BPF_ABS, 0, 0, by->offset },
		{ BPF_JMP | BPF_JA, 0, 0, 1 },
		{ BPF_LD | BPF_B | BPF_ABS, 0, 0, by->offset_if_set },
		{ BPF_ALU | BPF_MOD | BPF_K, 0, 0, by->sockets },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(*code), .filter = code };

	if (setsockopt(udp_of(p)->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) <
	    0)
		return -errno;
	return 0;
}

bool
udp_has_gso(const struct adit_packet_conn *p)
{
	return udp_of(p)->gso;
}

bool
udp_has_gro(const struct adit_packet_conn *p)
{
	return udp_of(p)->gro;
}
