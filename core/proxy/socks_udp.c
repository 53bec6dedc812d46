#include "core/proxy/socks_udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/packet.h>

#include "core/conn/ending.h"
#include "core/conn/patience.h"
#include "core/conn/udp.h"
#include "core/proxy/associate.h"
#include "core/proxy/inbox.h"
#include "core/wire/socks.h"

#define READS	 64			/* of the client's datagrams in one turn */
#define BUFFER	 (1 << 20)		/* of each kernel buffer: one socket for each client */

struct socks_udp {
	struct adit_activity	 activity;
	struct adit_conn	*conn;		/* owned: its end is the end of all */
	struct adit_packet_conn	*socket;	/* owned, as is: */
	struct associate	*targets;
	struct adit_addr	 client;	/* who may send; port 0: as the first one */
	uint64_t		 last;		/* when a datagram came or went */
	struct adit_traffic	 traffic;	/* of payloads */
	uint64_t		 dropped;
};

static void
socks_udp_end(struct socks_udp *s, int err)
{
	struct ending end = ending_of(s->activity.component, s->conn);

	end.kind = "handler";
	end.traffic = s->traffic;
	end.dropped = s->dropped;
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_INFO, "udp association: %s", adit_strerror(err));
	associate_free(s->targets);
	adit_packet_close(s->socket);
	adit_conn_close(s->conn, err == -ESHUTDOWN ? 0 : err);
	adit_activity_end(&s->activity);
	free(s);
}

static void
socks_udp_stop(struct adit_activity *a, int why)
{
	struct socks_udp *s = adit_container_of(a, struct socks_udp, activity);

	if (why || adit_now() - s->last >= QUIET_NS)
		socks_udp_end(s, why ? why : ADIT_EDRAINING);
}

static void
socks_udp_forget_trouble(struct socks_udp *s)
{
	struct adit_trouble trouble;

	while (adit_packet_trouble(s->socket, &trouble))
		;
}

/* To the client, once it is known where he is. */
static void
socks_udp_deliver(void *arg, const struct wire_addr *from, uint8_t *buf, size_t len)
{
	struct socks_udp *s = arg;
	uint8_t head[SOCKS5_UDP_HEADER_MAX];
	size_t n = socks5_encode_udp_header(from, head);
	struct adit_packet p = {
		.data = { .iov_base = buf - n, .iov_len = n + len }, .to = s->client,
	};

	memcpy(buf - n, head, n);
	s->last = adit_now();
	if (s->client.port && adit_packet_send(s->socket, &p, 1) == 1)
		s->traffic.out += len;
	else
		s->dropped += len;
	socks_udp_forget_trouble(s);
}

/* RFC 1928, 7: what comes from anybody else is dropped. */
static bool
socks_udp_is_client(struct socks_udp *s, const struct adit_addr *from)
{
	struct adit_addr here = *from;

	if (!s->client.port)
		here.port = 0;
	if (!adit_addr_equal(&here, &s->client))
		return false;
	s->client.port = from->port;
	return true;
}

static void
socks_udp_take(struct socks_udp *s, const struct adit_packet *p)
{
	struct dgram d;

	if (!socks_udp_is_client(s, &p->from) ||
	    socks5_decode_udp(p->data.iov_base, p->data.iov_len, &d, NULL) < 0) {
		s->dropped += p->data.iov_len;
		return;
	}
	s->last = adit_now();
	s->traffic.in += d.len;
	associate_send(s->targets, &d.addr, d.payload, d.len);
}

static void
socks_udp_received(void *owner, struct adit_packet_conn *socket, unsigned events)
{
	struct socks_udp *s = owner;
	uint8_t *buf = malloc(UDP_RECV_MAX);
	int n = 1;

	(void)events;
	for (int i = 0; buf && n > 0 && i < READS; i++) {
		struct adit_packet p = { .data = { .iov_base = buf, .iov_len = UDP_RECV_MAX } };

		n = adit_packet_recv(socket, &p, 1);
		if (n > 0)
			socks_udp_take(s, &p);
	}
	socks_udp_forget_trouble(s);
	free(buf);
	if (!buf || (n < 0 && n != -EAGAIN))
		socks_udp_end(s, buf ? n : -ENOMEM);
}

static void
socks_udp_event(void *owner, struct adit_conn *c, unsigned events)
{
	int err = inbox_ignore(c);

	(void)events;
	if (err != -EAGAIN)
		socks_udp_end(owner, err);
}

/* The socket, bound to the address that the client came to. */
static int
socks_udp_open(struct socks_udp *s)
{
	struct udp_conf conf = {
		.bind = *adit_conn_local(s->conn), .fragment = true, .no_gro = true,
		.buffer = BUFFER,
	};
	struct adit_err e = ADIT_ERR_INIT;

	conf.bind.port = 0;
	s->socket = udp_open(adit_conn_worker(s->conn), &conf, &e);
	return s->socket ? 0 : e.code;
}

static int
socks_udp_answer(const struct socks_udp *s, const struct socks_udp_conf *conf)
{
	struct adit_addr told = *adit_packet_local(s->socket);
	struct socks_request reply = { .code = SOCKS5_OK };
	uint8_t out[SOCKS5_REQUEST_MAX];

	if (conf->address->family) {
		told = *conf->address;
		told.port = adit_packet_local(s->socket)->port;
	}
	reply.addr = inbox_addr(&told);
	return inbox_answer(s->conn, out, socks5_encode_request(&reply, out));
}

static void
socks_udp_begin(struct socks_udp *s)
{
	adit_conn_own(s->conn, socks_udp_event, s);
	adit_conn_want(s->conn, ADIT_READ);
	adit_packet_own(s->socket, socks_udp_received, s);
	adit_packet_want(s->socket, ADIT_READ);
}

int
socks_udp_serve(struct adit_conn *c, const struct socks_udp_conf *conf)
{
	struct socks_udp *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->conn = c;
	s->last = adit_now();
	s->client = *adit_conn_remote(c);
	s->client.port = conf->client_port;
	err = socks_udp_open(s);
	if (!err)
		s->targets = associate_new(&(struct associate_conf){
			.handler = conf->handler, .visitor = c, .ttl = conf->ttl,
			.deliver = socks_udp_deliver, .arg = s,
		});
	if (!err && !s->targets)
		err = -ENOMEM;
	if (!err)
		err = socks_udp_answer(s, conf);
	if (err) {
		associate_free(s->targets);
		adit_packet_close(s->socket);
		free(s);
		return err;
	}
	s->activity.stop = socks_udp_stop;
	adit_activity_begin(&s->activity, conf->handler->component, adit_conn_worker(c));
	socks_udp_begin(s);
	return 0;
}
