/*
 * Listeners `rtcp` and `rudp`: what a node far away accepts for us. Bind through the listener's
 * chain and hand on the conns that come, of bytes or of datagrams; when the session is lost they
 * bind again, for ever, with jittered pauses.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/ending.h"

/*
 * Pauses between attempts: doubled from the first, bounded tightly during the first minute of an
 * outage.
 */
#define PAUSE_FIRST ADIT_MS(100)
#define PAUSE_MAX_SOON ADIT_SECONDS(1)
#define PAUSE_MAX_LATE ADIT_SECONDS(30)
#define PAUSE_REFUSED ADIT_SECONDS(5)	/* the credentials will not be right in a moment */
#define SOON ADIT_SECONDS(60)
/* A session that ends sooner was none: a server may take a bind that it cannot serve, each time. */
#define SETTLED ADIT_SECONDS(1)

/*
 * A server that drains is left within that time, by each session at a moment of its own: clients
 * that were told at once do not come back at once.
 */
#define MOVE_NS ADIT_MS(50)
#define LEAVE_NS ADIT_MS(250)		/* between two looks whether what was left is empty */

/* Sessions of one bind, if its connector wants several: each on another worker, while there are. */
#define SESSIONS_MAX 16u

/* One of them; it belongs to its worker. */
struct rtcp_part {
	struct rtcp_bind	*bind;		/* NULL while it is not wanted */
	bool			 stopped;
};

struct rtcp_listener {
	struct adit_listener	 base;
	char			 host[256];
	uint16_t		 port;
	enum adit_network	 network;
	unsigned		 worker;	/* of the first session */
	struct adit_client	 client;
	atomic_bool		 bound;		/* a session was open */
	uint64_t		 ttl, largest;	/* of flows of rudp, as is: */
	int64_t			 queue, backlog;
	struct rtcp_part	 parts[SESSIONS_MAX];
};

struct rtcp_bind {
	struct adit_activity	 activity;
	struct rtcp_listener	*listener;
	unsigned		 index;		/* of its part; the first decides how many */
	struct adit_worker	*worker;
	struct adit_mux		*mux;		/* owned; NULL while pausing */
	struct adit_timer	*retry;
	uint64_t		 pause;		/* the next one, before jitter */
	uint64_t		 tried;		/* when the last attempt began */
	uint64_t		 lost;		/* when the outage began: this one or the last */
	uint64_t		 opened;	/* since when there is one; 0: there is none */
	unsigned		 siblings;	/* as the session says */
	bool			 draining;
	struct rtcp_bind	*before, *after;	/* of the same part: what it took the place
							 * of, and what took its place; or NULL */
};

/* Makes a part on its worker. */
struct rtcp_wake {
	struct adit_message	 message;
	struct rtcp_listener	*listener;	/* its component is referenced */
	unsigned		 index;
};

static struct rtcp_listener *
rtcp_of(struct adit_listener *l)
{
	return adit_container_of(l, struct rtcp_listener, base);
}

/* How the session ended, or the attempt at one. err 0: we did it, in order. */
static struct ending
rtcp_ending(const struct rtcp_bind *b, int err)
{
	const struct adit_component *p = b->listener->base.component;
	struct ending end = { .component = p };

	if (b->mux)
		end = ending_of_mux(p, b->mux);
	end.kind = "listener";
	end.by = err ? ending_by(err, "server") : NULL;
	end.how = err ? ending_how(err) : "stopped";
	if (strcmp(end.how, "refused") == 0 || (err && b->mux && adit_mux_peer_drains(b->mux)))
		end.by = "server";
	return end;
}

static void
rtcp_log_lost(const struct rtcp_bind *b, int err, const char *text, uint64_t pause)
{
	const struct ending end = rtcp_ending(b, err);
	char reason[ENDING_REASON];

	ending_log(&end, ADIT_LOG_WARN, "accept: %s, retrying in %llums",
		   ending_reason(err, text, reason), (unsigned long long)(pause / ADIT_MS(1)));
}

/*
 * From half of it to all of it: those who lost the same server do not come back at the same time.
 */
static uint64_t
rtcp_jitter(uint64_t pause)
{
	return pause / 2 + (uint64_t)adit_random_below((uint32_t)(pause / 2000)) * 1000;
}

/*
 * Pauses lie between the beginnings of two attempts: one that has waited for an answer need not
 * wait again.
 */
static uint64_t
rtcp_rest(uint64_t pause, uint64_t past)
{
	uint64_t least = rtcp_jitter(PAUSE_FIRST);

	return pause > past + least ? pause - past : least;
}

static void
rtcp_pause(struct rtcp_bind *b, int err, const char *text)
{
	uint64_t now = adit_now(), max, pause;

	if (b->opened && now - b->opened >= SETTLED) {
		b->lost = b->tried = now;
		b->pause = PAUSE_FIRST;
	}
	b->opened = 0;
	max = now - b->lost < SOON ? PAUSE_MAX_SOON : PAUSE_MAX_LATE;
	pause = b->pause < max ? b->pause : max;
	if (err == ADIT_EUNAUTH || err == ADIT_EFORBIDDEN)
		pause = PAUSE_REFUSED;
	b->pause = pause * 2;
	pause = rtcp_rest(rtcp_jitter(pause), now - b->tried);
	rtcp_log_lost(b, err, text, pause);
	adit_timer_set(b->retry, pause);
}

static void
rtcp_end(struct rtcp_bind *b, int why)
{
	const struct ending end = rtcp_ending(b, why == ADIT_ESTOPPED ? 0 : why);

	if (b->mux && b->opened)
		ending_log(&end, ADIT_LOG_INFO, "session ended");
	if (b->listener->parts[b->index].bind == b)
		b->listener->parts[b->index].bind = NULL;
	if (b->before)
		b->before->after = b->after;
	if (b->after)
		b->after->before = b->before;
	adit_mux_close(b->mux, &(struct adit_reason){ .err = why });
	adit_timer_free(b->retry);
	adit_activity_end(&b->activity);
	free(b);
}

static unsigned
part_worker(const struct rtcp_listener *l, unsigned index, const struct adit_worker *w)
{
	return (l->worker + index) % adit_worker_count(w);
}

static void rtcp_wake_siblings(struct rtcp_bind *b);
static int rtcp_begin(struct rtcp_listener *l, unsigned index, struct adit_worker *w,
		      uint64_t after);

/* A better session is there: this one is for those who have come by it. */
static void
rtcp_leave(struct rtcp_bind *b)
{
	adit_mux_drain(b->mux);
	if (adit_mux_drained(b->mux))
		rtcp_end(b, 0);
	else
		adit_timer_set(b->retry, LEAVE_NS);
}

/*
 * The server has said that it drains, or there is a better way to it. Another session takes this
 * one's place, which goes on for those who have come by it, and while the other is not there for
 * those who come: what was there before it for these is needed no more.
 */
static void
rtcp_move(struct rtcp_bind *b)
{
	bool settled = b->opened && adit_now() - b->opened >= SETTLED;
	uint64_t after = settled ? adit_random_below(MOVE_NS) : rtcp_jitter(b->pause);
	struct rtcp_bind *next;

	if (rtcp_begin(b->listener, b->index, b->worker, after) < 0)
		return;
	b->draining = true;
	next = b->listener->parts[b->index].bind;
	next->before = b;
	b->after = next;
	if (b->before)
		rtcp_leave(b->before);
	if (!settled)		/* a server that is never to stay with is tried ever less often */
		next->pause = b->pause < PAUSE_MAX_LATE / 2 ? b->pause * 2 : PAUSE_MAX_LATE;
}

/*
 * The session is open. The first one says how many are wanted, each time anew: the server may be
 * another by now. One that is not wanted any more goes.
 */
static bool
rtcp_opened(struct rtcp_bind *b, struct adit_mux *m)
{
	struct rtcp_bind *next;

	for (struct rtcp_bind *left = b->before; left; left = next) {
		next = left->before;
		if (adit_mux_is_superseded(left->mux))
			rtcp_leave(left);
	}
	b->opened = adit_now();
	atomic_store_explicit(&b->listener->bound, true, memory_order_relaxed);
	b->siblings = adit_mux_siblings(m);
	if (b->index == 0)
		rtcp_wake_siblings(b);
	if (b->index < b->siblings)
		return true;
	rtcp_end(b, 0);
	return false;
}

static void
rtcp_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct rtcp_bind *b = owner;
	const struct adit_reason *why = adit_mux_reason(m);
	struct adit_conn *c;

	while ((c = adit_mux_accept(m)))
		adit_accept(&b->listener->base, c);
	if (!why->err) {
		if ((adit_mux_peer_drains(m) || adit_mux_is_superseded(m)) && !b->draining)
			rtcp_move(b);
		if (!(events & ADIT_OPEN) || rtcp_opened(b, m))
			adit_mux_want(m, ADIT_READ);
		return;
	}
	if (b->draining) {
		rtcp_end(b, why->err);
		return;
	}
	rtcp_pause(b, why->err, why->text);
	b->mux = NULL;
	adit_mux_close(m, NULL);
}

static void
rtcp_bind_now(void *arg)
{
	struct rtcp_bind *b = arg;
	struct rtcp_listener *l = b->listener;
	const struct adit_target address = {
		.network = l->network, .host = l->host, .port = l->port, .client = l->client,
		.lane = b->index,
		.flows = {
			.ttl = l->ttl, .backlog = (unsigned)l->backlog,
			.queue = (unsigned)l->queue, .largest = (size_t)l->largest,
		},
	};
	struct adit_err e = ADIT_ERR_INIT;

	if (b->draining) {
		rtcp_leave(b);
		return;
	}
	b->tried = adit_now();
	b->mux = adit_listener_bind(&l->base, b->worker, &address, &e);
	if (!b->mux) {
		rtcp_pause(b, e.code, e.text);
		return;
	}
	adit_mux_own(b->mux, rtcp_event, b);
	adit_mux_want(b->mux, ADIT_OPEN | ADIT_READ);
}

/*
 * Draining: the peer is told where it can be, streams go on, and with the last one the session
 * ends.
 */
static void
rtcp_stop_activity(struct adit_activity *a, int why)
{
	struct rtcp_bind *b = adit_container_of(a, struct rtcp_bind, activity);

	b->draining = true;
	if (b->mux)
		adit_mux_drain(b->mux);
	if (why || !b->mux || !adit_mux_is_open(b->mux) || adit_mux_drained(b->mux))
		rtcp_end(b, why);
}

static int
rtcp_init(struct adit_listener *l, struct adit_err *e)
{
	struct rtcp_listener *r = rtcp_of(l);
	static unsigned next;

	r->network = strcmp(l->ops->base.name, "rudp") == 0 ? ADIT_UDP : ADIT_TCP;
	r->worker = next++;		/* main thread only: services are spread over the workers */
	adit_random(&r->client, sizeof(r->client));
	if (adit_hostport_split(l->addr, r->host, sizeof(r->host), &r->port) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "not an address: %s", l->addr);
	return adit_listener_can_bind(l, e);
}

static int
rtcp_open(struct adit_listener *l, struct adit_err *e)
{
	(void)l;
	(void)e;
	return 0;			/* nothing to bind here */
}

/* Begins a part, on its worker, after so many ns. 0 or -ENOMEM. */
static int
rtcp_begin(struct rtcp_listener *l, unsigned index, struct adit_worker *w, uint64_t after)
{
	struct rtcp_bind *b = calloc(1, sizeof(*b));

	if (b)
		b->retry = adit_timer_new(w, rtcp_bind_now, b);
	if (!b || !b->retry) {
		free(b);
		return -ENOMEM;
	}
	b->listener = l;
	b->index = index;
	b->worker = w;
	b->lost = adit_now();
	b->pause = PAUSE_FIRST;
	b->activity.stop = rtcp_stop_activity;
	adit_activity_begin(&b->activity, l->base.component, w);
	l->parts[index].bind = b;
	if (after)
		adit_timer_set(b->retry, after);
	else
		rtcp_bind_now(b);
	return 0;
}

static void
wake_discard(struct adit_message *m)
{
	struct rtcp_wake *wake = adit_container_of(m, struct rtcp_wake, message);

	adit_component_put(wake->listener->base.component);
	free(wake);
}

/* Without memory there is one session less, until the first is open again. */
static void
wake_arrive(struct adit_message *m, struct adit_worker *w)
{
	struct rtcp_wake *wake = adit_container_of(m, struct rtcp_wake, message);
	struct rtcp_part *part = &wake->listener->parts[wake->index];

	if (!part->bind && !part->stopped)
		rtcp_begin(wake->listener, wake->index, w, 0);
	wake_discard(m);
}

static void
rtcp_wake_siblings(struct rtcp_bind *b)
{
	struct rtcp_listener *l = b->listener;

	for (unsigned i = 1; i < b->siblings && i < SESSIONS_MAX; i++) {
		struct rtcp_wake *wake = calloc(1, sizeof(*wake));

		if (!wake)
			return;
		*wake = (struct rtcp_wake){
			.message = { .run = wake_arrive, .discard = wake_discard },
			.listener = l, .index = i,
		};
		adit_component_get(l->base.component);
		adit_worker_post(adit_worker_at(b->worker, part_worker(l, i, b->worker)),
				 &wake->message);
	}
}

static int
rtcp_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	struct rtcp_listener *r = rtcp_of(l);

	if (adit_worker_index(w) == part_worker(r, 0, w) && rtcp_begin(r, 0, w, 0) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	return 0;
}

static void
rtcp_stop(struct adit_listener *l, struct adit_worker *w)
{
	struct rtcp_listener *r = rtcp_of(l);

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		if (adit_worker_index(w) != part_worker(r, i, w))
			continue;
		r->parts[i].stopped = true;
		if (r->parts[i].bind)
			rtcp_stop_activity(&r->parts[i].bind->activity, 0);
	}
}

static void
rtcp_close(struct adit_listener *l)
{
	(void)l;
}

static bool
rtcp_ready(const struct adit_listener *l)
{
	const struct rtcp_listener *r =
		(const void *)((const char *)l - offsetof(struct rtcp_listener, base));

	return atomic_load_explicit(&r->bound, memory_order_relaxed);
}

/*
 * Over a relay node, whose datagrams all come in one stream. A tunnel brings each visitor in a flow
 * of his own, and his side says when it is over.
 */
static const char *const buffer_aliases[] = { "udp.bufferSize", NULL };
static const char *const queue_aliases[] = { "recvQueueSize", NULL };

#define AT(f) offsetof(struct rtcp_listener, f)
static const struct adit_opt rudp_opts[] = {
	{ .name = "ttl", .type = ADIT_OPT_DURATION, .offset = AT(ttl), .def = "5s",
	  .min = 1000000, .max = INT64_MAX,
	  .help = "over a relay: silence, both ways, that ends a session; in a tunnel the "
		  "visitor's side says when it is over" },
	{ .name = "readBufferSize", .aliases = buffer_aliases, .type = ADIT_OPT_SIZE,
	  .offset = AT(largest), .def = "65507", .min = 1, .max = 65535,
	  .help = "the same: longest datagram; longer ones are dropped" },
	{ .name = "readQueueSize", .aliases = queue_aliases, .type = ADIT_OPT_INT,
	  .offset = AT(queue), .def = "1024", .min = 1, .max = 65535,
	  .help = "the same: datagrams of a session that may wait; more are dropped" },
	{ .name = "backlog", .type = ADIT_OPT_INT, .offset = AT(backlog), .def = "128", .min = 1,
	  .max = 65535,
	  .help = "the same: sessions that may wait for their way to be open; what would begin "
		  "more is dropped" },
	ADIT_OPT_END,
};

#define RTCP_LISTENER(symbol, type, rows, net, text) \
	const struct adit_listener_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_listener_ops), \
			.kind = ADIT_LISTENER, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct rtcp_listener), \
			.opts = (rows), \
		}, \
		.open = rtcp_open, \
		.start = rtcp_start, \
		.stop = rtcp_stop, \
		.close = rtcp_close, \
		.init = rtcp_init, \
		.network = (net), \
		.ready = rtcp_ready, \
	}

RTCP_LISTENER(listener_rtcp, "rtcp", NULL, "tcp",
	      "accepts what the last node of its chain sends back: a tunnel's client");
RTCP_LISTENER(listener_rudp, "rudp", rudp_opts, "udp",
	      "the same for UDP: a session for each visitor");
