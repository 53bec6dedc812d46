/*
 * Part of the fuzz targets of sessions (each is one file): who has a session and does with the
 * streams that come what a byte of the input says, and the loop in which a peer sends the rest.
 */
#ifndef ADIT_FUZZ_SESSION_OWNER_H
#define ADIT_FUZZ_SESSION_OWNER_H

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include <adit/mux.h>

#include "core/runtime/worker.h"

#define STREAMS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct owner {
	struct event_base	*base;
	struct adit_mux		*mux;
	struct adit_conn	*wire;		/* the peer's end below it */
	struct adit_conn	*streams[STREAMS];
	unsigned		 n, habits;
	size_t			 piece;		/* bytes that come at a time */
	size_t			 burst;		/* bytes that begin a stream of ours */
	unsigned		 kind;		/* of those that we open: as adit_mux_open */
	void			(*begin)(struct adit_conn *c, bool ours);	/* NULL: nothing */
};

enum habit {
	READS = 1, ECHOES = 2, CLOSES = 4, OPENS = 8, ABORTS = 16, HALF_CLOSES = 32, PROBES = 64,
	DRAINS = 128,
};

static void
owner_use(struct owner *o, unsigned i)
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
owner_begin(struct owner *o, struct adit_conn *c, bool ours)
{
	if (o->begin)
		o->begin(c, ours);
	o->streams[o->n++] = c;
}

static void
owner_act(struct owner *o)
{
	static const uint8_t big[20000];
	struct adit_conn *c;

	while (o->n < STREAMS && (c = adit_mux_accept(o->mux)))
		owner_begin(o, c, false);
	if (o->habits & OPENS && o->n < STREAMS && (c = adit_mux_open(o->mux, o->kind, NULL))) {
		if (o->burst)
			adit_conn_write(c, big, o->burst < sizeof(big) ? o->burst : sizeof(big));
		owner_begin(o, c, true);
	}
	if (o->habits & PROBES)
		adit_mux_probe(o->mux);
	if (o->habits & DRAINS && o->n > 2)
		adit_mux_drain(o->mux);
	for (unsigned i = o->n; i-- > 0;)
		owner_use(o, i);
}

static void
owner_turn(struct event_base *base)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* What comes from the peer; then all is closed. */
static void
owner_hear(struct owner *o, const uint8_t *data, size_t len)
{
	uint8_t sink[4096];

	while (len) {
		ssize_t n = adit_conn_write(o->wire, data, len < o->piece ? len : o->piece);

		if (n < 0 && n != -EAGAIN)
			break;
		data += n > 0 ? n : 1;		/* one that does not fit is lost: more variety */
		len -= n > 0 ? (size_t)n : 1;
		owner_turn(o->base);
		owner_act(o);
		adit_conn_read(o->wire, sink, sizeof(sink));
	}
	while (o->n)
		adit_conn_close(o->streams[--o->n], 0);
	adit_mux_close(o->mux, NULL);
	owner_turn(o->base);
	adit_conn_close(o->wire, 0);
	owner_turn(o->base);
}

/* In a loop and a worker of its own, of which nothing may be left over. */
static int
owner_run(const uint8_t *data, size_t len,
	  void (*run)(struct event_base *base, struct adit_worker *w, const uint8_t *data,
		      size_t len))
{
	struct event_base *base = event_base_new();
	struct adit_worker *w = worker_attach(base, NULL, NULL);

	if (!w)
		abort();
	run(base, w, data, len);
	if (chunk_pool_used(worker_chunks(w)))
		abort();
	worker_detach(w);
	event_base_free(base);
	return 0;
}

#endif
