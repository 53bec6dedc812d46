#include "core/proxy/udptun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/conn/patience.h"
#include "core/conn/udp.h"
#include "core/proxy/associate.h"
#include "core/proxy/inbox.h"
#include "core/proxy/peers.h"
#include "core/runtime/queue.h"
#include "core/runtime/worker.h"
#include "core/wire/dgram.h"

#define FRAME_MAX (UDPTUN_HEADER_MAX + DGRAM_MAX)
#define IN_CAP	  (FRAME_MAX + 16384)	/* the longest, and what one read brings beside it */
#define OUT_CAP	  (FRAME_MAX + 131072)	/* what a client that does not read may have waiting */
#define READS	  64			/* of either side in one turn */
#define VECS	  8
#define BUFFER	  (1 << 20)		/* of each kernel buffer of a bound port */
#define PEERS_MAX 4096			/* of a bound port, that it may send to */
#define PEERS_NS  ADIT_SECONDS(300)	/* after their last datagram (RFC 4787, 4.3) */

struct udptun {
	struct adit_activity	 activity;
	struct adit_conn	*conn;		/* owned */
	struct associate	*targets;	/* owned; or: */
	struct adit_packet_conn	*port;		/* owned, as is: */
	struct peers		*peers;		/* its visitors */
	struct queue		 in, out;
	uint64_t		 last;		/* when a datagram came or went */
	uint64_t		 dropped;
};

static void
udptun_end(struct udptun *t, int err)
{
	struct ending end = ending_of(t->activity.component, t->conn);

	end.kind = "handler";
	end.dropped = t->dropped;
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_INFO, "udp-tun: %s", adit_strerror(err));
	associate_free(t->targets);
	adit_packet_close(t->port);
	peers_free(t->peers);
	adit_conn_close(t->conn, err == -ESHUTDOWN ? 0 : err);
	queue_fini(&t->in);
	queue_fini(&t->out);
	adit_activity_end(&t->activity);
	free(t);
}

static void
udptun_stop(struct adit_activity *a, int why)
{
	struct udptun *t = adit_container_of(a, struct udptun, activity);

	if (why || adit_now() - t->last >= QUIET_NS)
		udptun_end(t, why ? why : ADIT_EDRAINING);
}

/* ---- to the client ------------------------------------------------------------------------- */

static void
udptun_want(struct udptun *t)
{
	adit_conn_want(t->conn, ADIT_READ | (t->out.len ? (unsigned)ADIT_WRITE : 0));
}

/* An empty datagram cannot be said in this framing. */
static void
udptun_deliver(void *arg, const struct wire_addr *from, uint8_t *buf, size_t len)
{
	struct udptun *t = arg;
	uint8_t head[UDPTUN_HEADER_MAX];
	ssize_t n = udptun_encode_header(len, from, head);
	size_t before = t->out.len;

	t->last = adit_now();
	if (n < 0)
		return;
	if (queue_room(&t->out) < (size_t)n + len ||
	    queue_add(&t->out, head, (size_t)n) < (size_t)n ||
	    queue_add(&t->out, buf, len) < len) {
		queue_truncate(&t->out, before);
		t->dropped += len;
	}
	udptun_want(t);
}

static int
udptun_flush(struct udptun *t)
{
	struct iovec iov[VECS];

	while (t->out.len) {
		ssize_t n = adit_conn_writev(t->conn, iov, queue_peek(&t->out, 0, iov, VECS));

		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		queue_drop(&t->out, (size_t)n);
	}
	return 0;
}

/* ---- from the client ---------------------------------------------------------------- */

/*
 * To a visitor of the port, and nobody else: a client that may have a port on this machine may not
 * send from it to the network behind. A name is none of theirs.
 */
static void
udptun_answer(struct udptun *t, const struct wire_addr *to, void *buf, size_t len)
{
	struct adit_packet p = { .data = { .iov_base = buf, .iov_len = len } };
	const struct adit_addr *visitor = NULL;
	struct adit_trouble trouble;
	struct sockaddr_storage ss;
	int n = wire_addr_to_sockaddr(to, &ss);
	struct adit_addr named;

	if (n > 0) {
		named = adit_addr_from((struct sockaddr *)&ss, (socklen_t)n);
		visitor = peers_find(t->peers, &named, adit_now());
	}
	if (visitor)
		p.to = *visitor;
	if (!visitor || adit_packet_send(t->port, &p, 1) != 1)
		t->dropped += len;
	while (adit_packet_trouble(t->port, &trouble))
		;
}

/* A frame from the queue, if it is all there: 1, 0, or -EBADMSG. buf has room for any. */
static int
udptun_take(struct udptun *t, uint8_t *buf)
{
	uint8_t head[UDPTUN_HEADER_MAX];
	struct wire_addr to;
	size_t len;
	ssize_t n = udptun_decode_header(head, queue_copy(&t->in, 0, head, sizeof(head)), &len, &to,
					 NULL);

	if (n <= 0 || t->in.len < (size_t)n + len)
		return n < 0 ? (int)n : 0;
	queue_drop(&t->in, (size_t)n);
	queue_take(&t->in, buf, len);
	t->last = adit_now();
	if (len && t->port)
		udptun_answer(t, &to, buf, len);
	else if (len)
		associate_send(t->targets, &to, buf, len);
	return 1;
}

/* All frames that are there are taken: nobody would say again that there are some. */
static int
udptun_read(struct udptun *t)
{
	uint8_t *buf = malloc(DGRAM_MAX);
	int err = buf ? 0 : -ENOMEM, took;

	for (int fills = 0; !err; fills++) {
		do
			took = udptun_take(t, buf);
		while (took > 0);
		if (took < 0)
			err = took;
		else if (fills < READS)
			err = conn_fill_queue(t->conn, &t->in);
		else
			break;
	}
	free(buf);
	return err == -EAGAIN ? 0 : err;
}

static void
udptun_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct udptun *t = owner;
	int err = 0;

	if (events & ADIT_WRITE)
		err = udptun_flush(t);
	if (!err && events & ADIT_READ)
		err = udptun_read(t);
	if (!err)
		err = adit_conn_err(c);
	if (err)
		udptun_end(t, err);
	else
		udptun_want(t);
}

/* ---- the port -------------------------------------------------------------------------------- */

static void
udptun_port_event(void *owner, struct adit_packet_conn *port, unsigned events)
{
	struct udptun *t = owner;
	uint8_t *buf = malloc(UDP_RECV_MAX);
	struct adit_trouble trouble;
	int n = 1;

	(void)events;
	for (int i = 0; buf && n > 0 && i < READS; i++) {
		struct adit_packet p = { .data = { .iov_base = buf, .iov_len = UDP_RECV_MAX } };
		struct wire_addr from;

		n = adit_packet_recv(port, &p, 1);
		if (n <= 0)
			break;
		peers_heard(t->peers, &p.from, adit_now());
		from = inbox_addr(&p.from);
		udptun_deliver(t, &from, buf, p.data.iov_len);
	}
	while (adit_packet_trouble(port, &trouble))
		;
	free(buf);
	if (!buf || (n < 0 && n != -EAGAIN))
		udptun_end(t, buf ? n : -ENOMEM);
}

struct adit_packet_conn *
udptun_port(struct adit_worker *w, const struct adit_addr *at, struct adit_err *e)
{
	struct udp_conf conf = { .bind = *at, .fragment = true, .no_gro = true, .buffer = BUFFER };
	struct adit_err none = ADIT_ERR_INIT;
	struct adit_packet_conn *p;

	if (at->family)
		return udp_open(w, &conf, e);
	conf.bind.family = AF_INET6;	/* both, where there is IPv6 */
	p = udp_open(w, &conf, &none);
	conf.bind.family = AF_INET;
	return p ? p : udp_open(w, &conf, e);
}

/* What it serves: a port, or targets. False: out of memory. */
static bool
udptun_take_conf(struct udptun *t, struct adit_conn *c, const struct udptun_conf *conf)
{
	const struct associate_conf targets = {
		.handler = conf->handler, .visitor = c, .ttl = conf->ttl,
		.deliver = udptun_deliver, .arg = t,
	};

	t->port = conf->port;
	if (!t->port)
		t->targets = associate_new(&targets);
	else
		t->peers = peers_new(PEERS_MAX, PEERS_NS);
	return t->targets || t->peers;
}

void
udptun_serve(struct adit_conn *c, const struct udptun_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(c);
	struct udptun *t = calloc(1, sizeof(*t));

	if (!t || !udptun_take_conf(t, c, conf)) {
		free(t);
		adit_packet_close(conf->port);
		adit_conn_close(c, -ENOMEM);
		return;
	}
	t->conn = c;
	t->last = adit_now();
	queue_init(&t->in, worker_chunks(w), IN_CAP);
	queue_init(&t->out, worker_chunks(w), OUT_CAP);
	t->activity.stop = udptun_stop;
	adit_activity_begin(&t->activity, conf->handler->component, w);
	adit_conn_own(c, udptun_event, t);
	adit_conn_want(c, ADIT_READ);
	if (t->port) {
		adit_packet_own(t->port, udptun_port_event, t);
		adit_packet_want(t->port, ADIT_READ);
	}
}
