/*
 * A session of HTTP/2 against a peer that sends anything. The first byte chooses the role, whether
 * there is a path, whether the connection's preface goes before, and how the bytes are cut; the
 * second what the owner does with the streams that come; the rest comes from the peer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "core/mux/h2/h2_int.h"

#define STREAMS 16

struct owner {
	struct adit_conn	*streams[STREAMS];
	struct adit_mux		*mux;
	unsigned		 n, habits;
};

enum habit {
	READS = 1, ECHOES = 2, CLOSES = 4, OPENS = 8, ABORTS = 16, HALF_CLOSES = 32, PROBES = 64,
	DRAINS = 128,
};

static void
use(struct owner *o, unsigned i)
{
	struct adit_conn *c = o->streams[i];
	uint8_t buf[300];
	ssize_t n = -1;

	if (o->habits & READS)
		n = adit_conn_read(c, buf, sizeof(buf));
	if (n > 0 && o->habits & ECHOES)
		adit_conn_write(c, buf, (size_t)n);
	if (n == 0 && o->habits & HALF_CLOSES)
		adit_conn_shutdown(c);
	if (n == 0 || (o->habits & CLOSES && i % 3 == 0)) {
		adit_conn_close(c, o->habits & ABORTS ? -ECONNRESET : 0);
		o->streams[i] = o->streams[--o->n];
	}
}

static void
act(struct owner *o)
{
	struct adit_conn *c;

	while (o->n < STREAMS && (c = adit_mux_accept(o->mux)))
		o->streams[o->n++] = c;
	if (o->habits & OPENS && o->n < STREAMS && (c = adit_mux_open(o->mux, 0, NULL)))
		o->streams[o->n++] = c;
	if (o->habits & PROBES)
		adit_mux_probe(o->mux);
	if (o->habits & DRAINS && o->n > 2)
		adit_mux_drain(o->mux);
	for (unsigned i = o->n; i-- > 0;)
		use(o, i);
}

static void
turn(struct event_base *base)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
run(struct event_base *base, struct adit_worker *w, const uint8_t *data, size_t len)
{
	const struct h2_conf conf = {
		.client = data[0] & 1, .path = data[0] & 2 ? "/h2" : NULL, .authority = "a:1",
		.streams = 64, .backlog = 8, .open_ms = 1000,
	};
	struct owner o = { .habits = data[1] };
	size_t piece = data[0] & 8 ? 1 + (size_t)(data[0] >> 4) : 4096;
	struct adit_conn *lower, *wire;
	uint8_t sink[4096];

	if (adit_conn_pair(w, w, 65536, &lower, &wire) < 0)
		abort();
	o.mux = h2_new(lower, &conf);
	turn(base);
	if (!conf.client && data[0] & 4)
		adit_conn_write(wire, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	for (data += 2, len -= 2; len;) {
		ssize_t n = adit_conn_write(wire, data, len < piece ? len : piece);

		if (n < 0 && n != -EAGAIN)
			break;
		data += n > 0 ? n : 1;		/* one that does not fit is lost: more variety */
		len -= n > 0 ? (size_t)n : 1;
		turn(base);
		act(&o);
		adit_conn_read(wire, sink, sizeof(sink));
	}
	while (o.n)
		adit_conn_close(o.streams[--o.n], 0);
	adit_mux_close(o.mux, NULL);
	turn(base);
	adit_conn_close(wire, 0);
	turn(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct event_base *base;
	struct adit_worker *w;

	if (len < 2)
		return 0;
	base = event_base_new();
	w = worker_attach(base, NULL, NULL);
	if (!w)
		abort();
	run(base, w, data, len);
	if (chunk_pool_used(worker_chunks(w)))
		abort();
	worker_detach(w);
	event_base_free(base);
	return 0;
}
