/*
 * Datagrams into a server's endpoint. The input is a list of them, each behind 2 bytes of length;
 * the top bit of the length makes the length field of an Initial right and pads it to 1200 bytes,
 * so that more gets past the first checks. What the endpoint answers goes nowhere.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "core/mux/quic/quic.h"
#include "core/runtime/worker.h"

#define DATAGRAMS 16

struct hole {
	struct adit_packet_conn	base;
	const uint8_t		*data;
	size_t			 len;
	unsigned		 n;
};

static struct event_base *base;
static struct adit_worker *worker;
static struct tls_source *tls;
static struct quic_endpoint *ep;
static struct hole *hole;

static size_t
hole_pad(uint8_t *p, size_t len)
{
	size_t at;

	if (len < 1200)
		memset(p + len, 0, 1200 - len);
	p[0] = 0xc0 | (p[0] & 0x0f);
	memcpy(p + 1, "\0\0\0\1", 4);
	at = 7 + (size_t)p[5];
	if (at < 1180)
		at += p[at - 1];
	if (at < 1180) {
		p[at] = 0;			/* no token */
		p[at + 1] = 0x44;
		p[at + 2] = 0x00;
	}
	return 1200;
}

static int
hole_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	struct hole *h = adit_container_of(p, struct hole, base);
	size_t len, take;
	bool pad;

	(void)n;
	if (h->len < 2 || h->n++ >= DATAGRAMS)
		return -EAGAIN;
	len = (size_t)(h->data[0] & 0x07) << 8 | h->data[1];
	pad = h->data[0] & 0x80;
	h->data += 2;
	h->len -= 2;
	take = len < h->len ? len : h->len;
	memcpy(v[0].data.iov_base, h->data, take);
	h->data += take;
	h->len -= take;
	v[0].data.iov_len = pad ? hole_pad(v[0].data.iov_base, take) : take;
	v[0].from = (struct adit_addr){ .family = AF_INET, .port = 4433, .ip = { 127, 0, 0, 1 } };
	v[0].to = *adit_packet_local(p);
	v[0].segment = 0;
	return 1;
}

static int
hole_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	(void)p;
	(void)v;
	return n;
}

static void
hole_close(struct adit_packet_conn *p)
{
	(void)p;
}

static const struct adit_packet_ops hole_ops = {
	.size = sizeof(hole_ops),
	.name = "hole",
	.recv = hole_recv,
	.send = hole_send,
	.close = hole_close,
	.free = hole_close,
};

static void
on_accept(void *arg, struct adit_mux *m)
{
	(void)arg;
	(void)m;
	abort();	/* nobody finishes a handshake without its keys */
}

static void
start(void)
{
	static const struct adit_tls_conf conf;
	static const struct quic_alpn alpn[] = { { "h3", false } };
	const struct adit_addr local = { .family = AF_INET, .port = 443, .ip = { 127, 0, 0, 1 } };
	struct quic_conf quic = {
		.secret = (const uint8_t *)"0123456789abcdef", .secret_len = 16,
		.accept = on_accept,
		.params = { .alpn = alpn, .n_alpn = 1 },
	};

	base = event_base_new();
	worker = worker_attach(base, NULL, NULL);
	tls = tls_source_new(&conf, TLS_SERVER, NULL, NULL);
	quic.params.tls = tls;
	hole = adit_packet_new(worker, &hole_ops, sizeof(*hole));
	if (!worker || !tls || !hole)
		abort();
	adit_packet_set_local(&hole->base, &local);
	ep = quic_endpoint_new(&hole->base, &quic, NULL);
	if (!ep)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!ep)
		start();
	hole->data = data;
	hole->len = len;
	hole->n = 0;
	adit_packet_ready(&hole->base, ADIT_READ | ADIT_WRITE);
	for (int i = 0; i < DATAGRAMS + 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	if (quic_endpoint_stats(ep)->handshakes > quic_endpoint_stats(ep)->sessions)
		abort();
	return 0;
}
