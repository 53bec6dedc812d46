#include "core/proxy/udptun_socket.h"

#include <errno.h>
#include <sys/socket.h>

#include "core/conn/conn.h"
#include "core/runtime/queue.h"
#include "core/runtime/worker.h"
#include "core/wire/dgram.h"

#define FRAME_MAX (UDPTUN_HEADER_MAX + DGRAM_MAX)
#define IN_CAP	  (FRAME_MAX + 16384)	/* the longest, and what one read brings beside it */
#define OUT_CAP	  (2 * FRAME_MAX + 65536)	/* the longest always fits a queue half full */
#define VECS	  8

struct udptun_socket {
	struct adit_packet_conn	 base;
	struct adit_conn	*lower;		/* owned; NULL once closed */
	struct queue		 in, out;
	bool			 drained;	/* lower has no more to read: it will say */
	int			 err;		/* lower has ended */
	void			(*ended)(void *arg, int err);
	void			*arg;
};

static struct udptun_socket *
socket_of(struct adit_packet_conn *p)
{
	return adit_container_of(p, struct udptun_socket, base);
}

static void
socket_want(struct udptun_socket *s)
{
	unsigned want = s->drained ? (unsigned)ADIT_READ : 0;

	want |= s->out.len ? (unsigned)ADIT_WRITE : 0;
	if (s->lower)
		adit_conn_want(s->lower, s->err ? 0 : want);
}

static void
socket_end(struct udptun_socket *s, int err)
{
	if (s->err)
		return;
	s->err = err;
	queue_fini(&s->out);
	socket_want(s);
	s->ended(s->arg, err);
}

/* ---- receiving -------------------------------------------------------------------------- */

/* The frame in front, if it is all there: 1, 0, or -EBADMSG. v->from without a family: no use. */
static int
socket_take(struct udptun_socket *s, struct adit_packet *v)
{
	uint8_t head[UDPTUN_HEADER_MAX];
	struct sockaddr_storage ss;
	struct wire_addr from;
	size_t len, room = v->data.iov_len;
	ssize_t n = udptun_decode_header(head, queue_copy(&s->in, 0, head, sizeof(head)), &len,
					 &from, NULL);
	int ss_len;

	if (n <= 0 || s->in.len < (size_t)n + len)
		return n < 0 ? (int)n : 0;
	queue_drop(&s->in, (size_t)n);
	v->data.iov_len = queue_take(&s->in, v->data.iov_base, len < room ? len : room);
	queue_drop(&s->in, len - v->data.iov_len);
	ss_len = wire_addr_to_sockaddr(&from, &ss);
	*v = (struct adit_packet){ .data = v->data };
	if (ss_len > 0 && len)
		v->from = adit_addr_from((struct sockaddr *)&ss, (socklen_t)ss_len);
	return 1;
}

/* The next datagram: 1, or -EAGAIN. */
static int
socket_next(struct udptun_socket *s, struct adit_packet *v)
{
	const size_t room = v->data.iov_len;
	int err = s->err;

	while (!err) {
		int took = socket_take(s, v);

		if (took > 0 && v->from.family)
			return 1;
		v->data.iov_len = room;
		err = took < 0 ? took : 0;
		if (!took)
			err = conn_fill_queue(s->lower, &s->in);
	}
	s->drained = err == -EAGAIN;
	if (err != -EAGAIN)
		socket_end(s, err);
	socket_want(s);
	return -EAGAIN;
}

static int
udptun_socket_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	int got = 0;

	while (got < n && socket_next(socket_of(p), &v[got]) > 0)
		got++;
	return got ? got : -EAGAIN;
}

/* ---- sending ------------------------------------------------------------------------- */

/* Whether all of it has gone; else lower will say when it takes more. */
static bool
socket_flush(struct udptun_socket *s)
{
	struct iovec iov[VECS];

	while (s->out.len) {
		ssize_t n = adit_conn_writev(s->lower, iov, queue_peek(&s->out, 0, iov, VECS));

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			socket_end(s, (int)n);
			return false;
		}
		queue_drop(&s->out, (size_t)n);
	}
	socket_want(s);
	return !s->out.len;
}

/* Without memory it is lost, as anywhere on the way; so is what its framing has no words for. */
static void
socket_queue(struct udptun_socket *s, const struct wire_addr *to, const uint8_t *bytes, size_t len)
{
	uint8_t head[UDPTUN_HEADER_MAX];
	ssize_t n = udptun_encode_header(len, to, head);
	size_t before = s->out.len;

	if (n > 0 && (queue_add(&s->out, head, (size_t)n) < (size_t)n ||
		      queue_add(&s->out, bytes, len) < len))
		queue_truncate(&s->out, before);
}

/* All of a packet's datagrams, or none. */
static bool
socket_send(struct udptun_socket *s, const struct adit_packet *p)
{
	size_t len = p->data.iov_len, segment = p->segment ? p->segment : len;
	size_t n = segment ? (len + segment - 1) / segment : 0;
	const uint8_t *bytes = p->data.iov_base;
	struct sockaddr_storage ss;
	struct wire_addr to;

	if (!adit_addr_to(&p->to, &ss) || wire_addr_from_sockaddr((struct sockaddr *)&ss, &to) < 0)
		return true;		/* nowhere */
	if (queue_room(&s->out) < len + n * UDPTUN_HEADER_MAX)
		return false;
	for (size_t at = 0; at < len; at += segment)
		socket_queue(s, &to, bytes + at, len - at < segment ? len - at : segment);
	return true;
}

static int
udptun_socket_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	struct udptun_socket *s = socket_of(p);
	bool full = false;
	int sent = 0;

	while (!s->err && !full && sent < n) {
		if (socket_send(s, &v[sent]))
			sent++;
		else
			full = !s->out.len || !socket_flush(s);
	}
	if (!s->err && !full)
		socket_flush(s);
	if (s->err)			/* lost, as all that comes after */
		return n;
	return sent ? sent : -EAGAIN;
}

/* ---- the conn below --------------------------------------------------------------------- */

static void
socket_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct udptun_socket *s = owner;

	if (adit_conn_err(lower))
		events |= ADIT_READ;	/* what arrived before is there to be read */
	if (events & ADIT_WRITE)
		socket_flush(s);
	if (!s->err && queue_room(&s->out) >= OUT_CAP / 2)
		adit_packet_ready(&s->base, ADIT_WRITE);
	if (events & ADIT_READ) {
		s->drained = false;
		adit_packet_ready(&s->base, ADIT_READ);
	}
	socket_want(s);
}

/* ---- as a packet_conn ---------------------------------------------------------------------- */

static void
udptun_socket_close(struct adit_packet_conn *p)
{
	struct udptun_socket *s = socket_of(p);

	adit_conn_close(s->lower, s->out.len ? -ECONNABORTED : 0);	/* half a frame is no end */
	s->lower = NULL;
}

static void
udptun_socket_free(struct adit_packet_conn *p)
{
	struct udptun_socket *s = socket_of(p);

	queue_fini(&s->in);
	queue_fini(&s->out);
}

static const struct adit_packet_ops udptun_socket_ops = {
	.size = sizeof(udptun_socket_ops),
	.name = "udp-tun",
	.recv = udptun_socket_recv,
	.send = udptun_socket_send,
	.close = udptun_socket_close,
	.free = udptun_socket_free,
};

struct adit_packet_conn *
udptun_socket(struct adit_conn *lower, void (*ended)(void *arg, int err), void *arg)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct udptun_socket *s = adit_packet_new(w, &udptun_socket_ops, sizeof(*s));

	if (!s) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	s->lower = lower;
	s->ended = ended;
	s->arg = arg;
	s->drained = true;
	queue_init(&s->in, worker_chunks(w), IN_CAP);
	queue_init(&s->out, worker_chunks(w), OUT_CAP);
	adit_conn_own(lower, socket_event, s);
	socket_want(s);
	adit_packet_ready(&s->base, ADIT_WRITE);
	return &s->base;
}
