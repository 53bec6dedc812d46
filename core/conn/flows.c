#include "core/conn/flows.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <adit/log.h>

#include "core/conn/conn.h"
#include "core/conn/pauses.h"
#include "core/conn/udp.h"
#include "core/runtime/addr_hash.h"
#include "core/runtime/idmap.h"
#include "core/runtime/memory.h"
#include "core/runtime/worker.h"

#define LEN_SIZE     2			/* before each datagram in a flow's queue */
#define IN_CAP	     (512 * 1024)	/* bytes that wait to be read, of one flow */
#define OUT_BYTES    65536		/* what leaves together: at least the longest datagram */
#define READS	     4			/* batches a socket reads in one turn */
#define DRAIN_NS     ADIT_MS(500)	/* silence that ends a flow of a socket that was stopped */
#define WARN_NS	     ADIT_SECONDS(10)	/* between two lines about what was dropped */
#define PAUSE_NS     ADIT_MS(100)	/* until a socket that failed is asked again */
#define CONNECTED_QUEUE 1024		/* datagrams of a connected socket that wait */

/* The datagrams of one turn on their way out; those of one size for one peer are one packet. */
struct flows_out {
	uint8_t			*bytes;		/* OUT_BYTES of them, or NULL: none wait */
	size_t			 len;
	struct adit_packet	 v[UDP_BATCH];
	int			 n, sent;	/* of v */
	bool			 open;		/* the last of v may grow */
};

struct flow {
	struct adit_conn	 base;
	struct flows		*flows;		/* NULL: it is over */
	struct idmap_node	 node;
	TAILQ_ENTRY(flow)	 entry;
	struct adit_addr	 local, remote;
	uint64_t		 last;		/* when a datagram came or went */
	uint64_t		 came, went;	/* datagrams */
	struct queue		 in;
	unsigned		 waiting;	/* datagrams in it */
	bool			 unread;	/* nobody has read anything yet */
};

TAILQ_HEAD(flow_list, flow);

struct flows {
	struct flows_conf	 conf;
	struct flows_stats	 stats;
	struct adit_packet_conn	*packet;	/* owned */
	struct adit_worker	*worker;
	struct idmap		 table;		/* by a keyed hash of both addresses */
	struct flow_list	 list;		/* the one silent for longest first */
	unsigned		 n, unread;
	uint64_t		 key;
	struct flows_out	 out;
	struct pauses		*pauses;	/* of who got no answer; NULL: none ever failed */
	struct adit_timer	*timer;		/* NULL: a connected one */
	uint64_t		 warned, told;	/* when, and how many drops were told of */
	uint64_t		 complained;	/* when it last said that the socket fails */
	bool			 stopped, connected;
	bool			 blocked;	/* somebody was told -EAGAIN, and waits */
	bool			 paused;	/* a listener failed: until the timer's tick */
};

/* A worker's buffers for one batch: nothing in them outlives the call that reads. */
struct batch {
	uint8_t	bytes[UDP_BATCH][UDP_RECV_MAX];
};

static struct flow *
flow_of(struct adit_conn *c)
{
	return adit_container_of(c, struct flow, base);
}

/* ---- what was dropped -------------------------------------------------------------------- */

static uint64_t
flows_drops(const struct flows *f)
{
	const struct flows_stats *s = &f->stats;

	return s->evicted + s->refused + s->paused + s->full + s->too_long;
}

/* One line for many: how many of each since the beginning. */
static void
flows_warn(struct flows *f)
{
	uint64_t now = adit_now(), drops = flows_drops(f);

	if (f->connected || drops == f->told || (f->warned && now - f->warned < WARN_NS))
		return;
	f->warned = now;
	f->told = drops;
	adit_log(adit_worker_log(f->worker), ADIT_LOG_WARN,
		 ADIT_FIELDS(ADIT_STR("kind", "listener"), ADIT_STR("service", f->conf.name)),
		 "udp: so far %llu datagrams dropped of full flows, %llu as too long, %llu that "
		 "would have begun too many flows, %llu in the pause after a failure; %llu flows "
		 "ended for newer ones",
		 (unsigned long long)f->stats.full, (unsigned long long)f->stats.too_long,
		 (unsigned long long)f->stats.refused, (unsigned long long)f->stats.paused,
		 (unsigned long long)f->stats.evicted);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void
out_fini(struct flows_out *o)
{
	free(o->bytes);
	*o = (struct flows_out){ .bytes = NULL };
}

/* What one turn wrote. 0, -EAGAIN while some of it is left, or the socket's failure. */
static int
out_send(struct flows *f)
{
	struct flows_out *o = &f->out;

	while (o->sent < o->n) {
		int sent = adit_packet_send(f->packet, o->v + o->sent, o->n - o->sent);

		if (sent < 0)
			return sent;
		o->sent += sent;
	}
	out_fini(o);
	return 0;
}

static void
flows_free(struct flows *f)
{
	if (f->out.n)
		out_send(f);		/* the last answers */
	out_fini(&f->out);
	idmap_fini(&f->table);
	adit_timer_free(f->timer);
	adit_packet_close(f->packet);
	free(f->pauses);
	free(f);
}

/* The flow is not its socket's any more. True: the socket has gone with it. */
static bool
flow_leave(struct flow *flow)
{
	struct flows *f = flow->flows;

	flow->flows = NULL;
	if (!f->connected)
		idmap_remove(&f->table, &flow->node);
	TAILQ_REMOVE(&f->list, flow, entry);
	f->n--;
	f->unread -= flow->unread;
	flow->unread = false;
	if (!f->stopped || f->n)
		return false;
	flows_free(f);
	return true;
}

static bool
flow_end(struct flow *flow, int err)
{
	adit_conn_fail(&flow->base, err);
	return flow_leave(flow);
}

/* What is wanted of the socket: to be read, unless nobody would take it; to be written. */
static void
flows_want(struct flows *f)
{
	struct flow *only = f->connected ? TAILQ_FIRST(&f->list) : NULL;
	unsigned want = f->out.n ? (unsigned)ADIT_WRITE : 0;

	if (only ? adit_conn_wanted(&only->base) & ADIT_READ : !f->stopped && !f->paused)
		want |= ADIT_READ;
	adit_packet_want(f->packet, want);
}

/* ---- time ------------------------------------------------------------------------------- */

static uint64_t
flows_ttl(const struct flows *f)
{
	return f->stopped && f->conf.ttl > DRAIN_NS ? DRAIN_NS : f->conf.ttl;
}

static void
flows_tick(void *arg)
{
	struct flows *f = arg;
	uint64_t now = adit_now(), ttl = flows_ttl(f);
	struct flow *first;

	flows_warn(f);
	if (f->paused) {
		f->paused = false;
		flows_want(f);
	}
	while ((first = TAILQ_FIRST(&f->list))) {
		uint64_t silent = now > first->last ? now - first->last : 0;

		if (silent < ttl) {
			adit_timer_set(f->timer, ttl - silent);
			return;
		}
		if (flow_end(first, -ESHUTDOWN))
			return;
	}
}

static void
flow_touch(struct flow *flow, uint64_t now)
{
	struct flows *f = flow->flows;

	flow->last = now;
	if (TAILQ_NEXT(flow, entry)) {
		TAILQ_REMOVE(&f->list, flow, entry);
		TAILQ_INSERT_TAIL(&f->list, flow, entry);
	}
}

/* ---- a socket that fails ---------------------------------------------------------------- */

static void
flows_complain(struct flows *f, int err)
{
	uint64_t now = adit_now();

	if (f->complained && now - f->complained < WARN_NS)
		return;
	f->complained = now;
	adit_log(adit_worker_log(f->worker), ADIT_LOG_ERROR,
		 ADIT_FIELDS(ADIT_STR("kind", "listener"), ADIT_STR("service", f->conf.name)),
		 "udp: %s, trying again each 100ms", adit_strerror(err));
}

/* The socket takes datagrams again: that somebody waits for it is known, but not who. */
static void
flows_tell_writable(struct flows *f)
{
	struct flow *flow;

	if (!f->blocked)
		return;
	f->blocked = false;
	TAILQ_FOREACH(flow, &f->list, entry)
		adit_conn_ready(&flow->base, ADIT_WRITE);
}

/*
 * A listener's socket is there for all who come later: what waited to leave is lost, as anywhere on
 * the way, and the socket is asked again after a pause.
 */
static void
flows_pause(struct flows *f, int err)
{
	out_fini(&f->out);
	flows_tell_writable(f);
	flows_complain(f, err);
	if (f->paused)
		return;
	f->paused = true;
	adit_timer_set(f->timer, PAUSE_NS);
}

/* ---- sending ---------------------------------------------------------------------------- */

/* Whether a datagram of len bytes goes on the packet before it. */
static bool
out_continues(const struct flows_out *o, const struct flow *flow, size_t len)
{
	const struct adit_packet *last;

	if (o->n <= o->sent || !o->open || !len)
		return false;
	last = &o->v[o->n - 1];
	return len <= last->segment &&
	       last->data.iov_len + len <= UDP_BYTES_MAX &&
	       last->data.iov_len / last->segment < UDP_SEGMENTS_MAX &&
	       adit_addr_equal(&last->to, &flow->remote) &&
	       adit_addr_equal(&last->from, &flow->local);
}

static bool
out_has_room(const struct flows_out *o, const struct flow *flow, size_t len)
{
	if (!o->bytes)
		return true;
	return o->len + len <= OUT_BYTES && (o->n < UDP_BATCH || out_continues(o, flow, len));
}

static void
out_add(struct flows_out *o, const struct flow *flow, const struct iovec *iov, int n, size_t len)
{
	uint8_t *at = o->bytes + o->len;
	bool continues = out_continues(o, flow, len);
	struct adit_packet *p = &o->v[continues ? o->n - 1 : o->n];

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(o->bytes + o->len, iov[i].iov_base, iov[i].iov_len);
		o->len += iov[i].iov_len;
	}
	if (continues) {
		p->data.iov_len += len;
		o->open = len == p->segment;
		return;
	}
	*p = (struct adit_packet){
		.data = { at, len }, .from = flow->local, .to = flow->remote,
		.segment = (uint16_t)len,
	};
	o->n++;
	o->open = len > 0;
}

/* A datagram has gone: without keepalive the last answer is the end. */
static void
flow_went(struct flow *flow)
{
	struct flows *f = flow->flows;

	flow->went++;
	if (f->connected)
		return;
	flow_touch(flow, adit_now());
	if (!f->conf.keepalive && flow->went >= flow->came)
		flow_end(flow, -ESHUTDOWN);
}

static ssize_t
flow_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct flow *flow = flow_of(c);
	struct flows *f = flow->flows;
	size_t len = iov_total(iov, n);
	int err;

	if (!f)
		return -ESHUTDOWN;
	if (len > FLOW_DATAGRAM_MAX) {		/* of a tunnel's 64 KiB: UDP has less */
		f->stats.too_long++;
		return (ssize_t)len;
	}
	err = out_has_room(&f->out, flow, len) ? 0 : out_send(f);
	if (err && err != -EAGAIN && !f->connected) {
		flows_pause(f, err);
		err = 0;		/* the room is there: those before it are lost */
	}
	if (err) {
		f->blocked = err == -EAGAIN;
		f->stats.full++;
		return err;
	}
	if (!f->out.bytes)
		f->out.bytes = malloc(OUT_BYTES);
	if (!f->out.bytes) {
		f->stats.full++;
		return (ssize_t)len;
	}
	out_add(&f->out, flow, iov, n, len);
	flows_want(f);
	flow_went(flow);
	return (ssize_t)len;
}

/* ---- receiving -------------------------------------------------------------------------- */

static size_t
flow_next(const struct flow *flow)
{
	uint8_t head[LEN_SIZE];

	queue_copy(&flow->in, 0, head, sizeof(head));
	return (size_t)head[0] << 8 | head[1];
}

static ssize_t
flow_read(struct adit_conn *c, void *buf, size_t len)
{
	struct flow *flow = flow_of(c);
	size_t size, n;

	if (flow->unread) {
		flow->unread = false;
		flow->flows->unread--;
	}
	if (!flow->waiting)
		return -EAGAIN;
	size = flow_next(flow);
	queue_drop(&flow->in, LEN_SIZE);
	n = queue_take(&flow->in, buf, size < len ? size : len);
	queue_drop(&flow->in, size - n);
	flow->waiting--;
	return (ssize_t)n;
}

/* The newest is what is dropped: those before it are in order, and as good. */
static void
flow_take(struct flow *flow, const uint8_t *bytes, size_t len, uint64_t now)
{
	const uint8_t head[LEN_SIZE] = { (uint8_t)(len >> 8), (uint8_t)len };
	struct flows *f = flow->flows;
	size_t before = flow->in.len;

	if (!f->connected)
		flow_touch(flow, now);
	flow->came++;
	if (flow->waiting >= f->conf.queue || queue_room(&flow->in) < len + LEN_SIZE ||
	    (before && memory_is_short(worker_memory(f->worker)))) {
		f->stats.full++;
		return;
	}
	if (queue_add(&flow->in, head, LEN_SIZE) < LEN_SIZE ||
	    queue_add(&flow->in, bytes, len) < len) {
		queue_truncate(&flow->in, before);
		f->stats.full++;
		return;
	}
	flow->waiting++;
	adit_conn_ready(&flow->base, ADIT_READ);
}

static uint64_t
flows_hash(const struct flows *f, const struct adit_addr *remote, const struct adit_addr *local)
{
	uint64_t h = addr_hash(local, f->key, addr_hash(remote, f->key, f->key));

	return h ^ h >> 32;
}

static const struct adit_conn_ops flow_ops;

static struct flow *
flow_new(struct flows *f, const struct adit_addr *remote, const struct adit_addr *local)
{
	struct flow *flow = adit_conn_new(f->worker, &flow_ops, sizeof(*flow), ADIT_CONN_DGRAM);

	if (!flow)
		return NULL;
	flow->flows = f;
	flow->remote = *remote;
	flow->local = *local;
	queue_init(&flow->in, worker_chunks(f->worker), IN_CAP);
	TAILQ_INSERT_TAIL(&f->list, flow, entry);
	f->n++;
	f->stats.flows++;
	adit_conn_set_remote(&flow->base, remote);
	adit_conn_set_local(&flow->base, local);
	adit_conn_ready(&flow->base, ADIT_OPEN | ADIT_WRITE);
	return flow;
}

/* A new one, or NULL: there are too many that nobody serves, or no memory. */
static struct flow *
flows_begin(struct flows *f, const struct adit_packet *p, uint64_t hash)
{
	struct flow *flow;

	if (f->unread >= f->conf.backlog || memory_is_short(worker_memory(f->worker)))
		return NULL;
	if (f->n >= f->conf.max) {
		f->stats.evicted++;
		flow_end(TAILQ_FIRST(&f->list), -ESHUTDOWN);
	}
	flow = flow_new(f, &p->from, &p->to);
	if (!flow)
		return NULL;
	idmap_add(&f->table, &flow->node, hash);
	flow->unread = true;
	f->unread++;
	if (!adit_timer_running(f->timer))
		adit_timer_set(f->timer, f->conf.ttl);
	return flow;
}

/*
 * The next datagram of a peer whose way is down would make another flow, and that a dial and a line
 * in the log. One that got an answer has none to wait for.
 */
static void
flow_judge(const struct flow *flow, int why)
{
	struct flows *f = flow->flows;

	if (f->connected || f->stopped || (!f->pauses && (flow->went || !why)))
		return;
	if (!f->pauses)
		f->pauses = calloc(1, sizeof(*f->pauses));
	if (!f->pauses)
		return;			/* it costs more dials */
	if (flow->went)
		pauses_worked(f->pauses, flow->node.id);
	else if (why)
		pauses_failed(f->pauses, flow->node.id, adit_now());
}

/* The flow that p belongs to, begun if it has to be. NULL: p is dropped. */
static struct flow *
flows_find(struct flows *f, const struct adit_packet *p, bool *new)
{
	uint64_t hash;
	struct idmap_node *node;
	struct flow *flow;

	*new = false;
	if (f->connected)
		return TAILQ_FIRST(&f->list);
	hash = flows_hash(f, &p->from, &p->to);
	node = idmap_find(&f->table, hash);
	*new = !node;
	if (!node && f->conf.admit && !f->conf.admit(f->conf.arg, &p->from))
		return NULL;			/* counted there */
	if (!node && f->pauses && pauses_hold(f->pauses, hash, adit_now())) {
		f->stats.paused++;
		return NULL;
	}
	if (!node) {
		flow = flows_begin(f, p, hash);
		f->stats.refused += !flow;
		return flow;
	}
	flow = adit_container_of(node, struct flow, node);
	if (adit_addr_equal(&flow->remote, &p->from) && adit_addr_equal(&flow->local, &p->to))
		return flow;
	f->stats.refused++;
	return NULL;			/* two addresses of one hash */
}

static void
flows_take(struct flows *f, const struct adit_packet *p, uint64_t now)
{
	size_t len = p->data.iov_len, segment = p->segment ? p->segment : len, at = 0;
	const uint8_t *bytes = p->data.iov_base;
	struct flow *flow;
	bool new;

	if (segment > f->conf.largest) {
		f->stats.too_long++;
		return;
	}
	flow = flows_find(f, p, &new);
	if (!flow)
		return;
	do {
		size_t n = len - at < segment ? len - at : segment;

		flow_take(flow, bytes + at, n, now);
		at += n;
	} while (at < len);
	if (new)
		f->conf.accept(f->conf.arg, &flow->base);
}

static struct batch *
worker_batch(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_DATAGRAMS, free);

	if (!*slot)
		*slot = malloc(sizeof(struct batch));
	return *slot;
}

/* One batch. How many came, or the socket's answer. */
static int
flows_recv(struct flows *f, struct batch *b, uint64_t now)
{
	struct adit_packet v[UDP_BATCH];
	int n;

	for (int i = 0; i < UDP_BATCH; i++)
		v[i] = (struct adit_packet){ .data = { b->bytes[i], UDP_RECV_MAX } };
	n = adit_packet_recv(f->packet, v, UDP_BATCH);
	for (int i = 0; i < n; i++)
		flows_take(f, &v[i], now);
	return n;
}

/* What hosts on the way said. Of many peers' it is one flow's; a datagram that was lost is none. */
static bool
flows_hear_trouble(struct flows *f)
{
	struct adit_trouble t;
	bool refused = false;

	while (adit_packet_trouble(f->packet, &t))
		refused |= f->connected && t.err == -ECONNREFUSED;
	return refused && flow_end(TAILQ_FIRST(&f->list), -ECONNREFUSED);
}

/* The socket itself has failed. True: it was one flow's, and f has gone with it. */
static bool
flows_fail(struct flows *f, int err)
{
	if (!f->connected) {
		flows_pause(f, err);
		return false;
	}
	out_fini(&f->out);
	return flow_end(TAILQ_FIRST(&f->list), err);
}

static void
flows_event(void *owner, struct adit_packet_conn *p, unsigned events)
{
	struct batch *b = worker_batch(adit_packet_worker(p));
	struct flows *f = owner;
	int err = 0, n = b ? UDP_BATCH : 0;

	if (events & ADIT_WRITE)
		err = out_send(f);
	if (!err && (events & ADIT_WRITE))
		flows_tell_writable(f);
	for (int i = 0; (events & ADIT_READ) && i < READS && n == UDP_BATCH; i++)
		n = flows_recv(f, b, adit_now());
	if (flows_hear_trouble(f))
		return;
	if (!err || err == -EAGAIN)
		err = n < 0 ? n : 0;
	if (err && err != -EAGAIN && flows_fail(f, err))
		return;
	flows_warn(f);
	flows_want(f);
}

/* ---- as a conn ---------------------------------------------------------------------- */

static int
flow_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;		/* a flow has no end */
}

static void
flow_close(struct adit_conn *c, int why)
{
	struct flow *flow = flow_of(c);

	if (!flow->flows)
		return;
	flow_judge(flow, why);
	flow_leave(flow);
}

static void
flow_free(struct adit_conn *c)
{
	queue_fini(&flow_of(c)->in);
}

static void
flow_want(struct adit_conn *c)
{
	struct flow *flow = flow_of(c);

	if (flow->flows && flow->flows->connected)
		flows_want(flow->flows);
}

static const struct adit_conn_ops flow_ops = {
	.size = sizeof(flow_ops),
	.name = "udp",
	.read = flow_read,
	.writev = flow_writev,
	.shutdown = flow_shutdown,
	.close = flow_close,
	.free = flow_free,
	.want = flow_want,
};

/* ---- from outside ------------------------------------------------------------------------ */

static struct flows *
flows_make(struct adit_packet_conn *p, const struct flows_conf *conf)
{
	struct flows *f = calloc(1, sizeof(*f));

	if (!f || idmap_init(&f->table) < 0) {
		free(f);
		adit_packet_close(p);
		return NULL;
	}
	f->conf = *conf;
	f->packet = p;
	f->worker = adit_packet_worker(p);
	TAILQ_INIT(&f->list);
	adit_random(&f->key, sizeof(f->key));
	adit_packet_own(p, flows_event, f);
	return f;
}

struct flows *
flows_new(struct adit_packet_conn *p, const struct flows_conf *conf)
{
	struct flows *f = flows_make(p, conf);

	assert(conf->ttl && conf->max);
	if (f)
		f->timer = adit_timer_new(f->worker, flows_tick, f);
	if (f && !f->timer) {
		flows_free(f);
		return NULL;
	}
	if (f)
		flows_want(f);
	return f;
}

void
flows_stop(struct flows *f)
{
	if (!f)
		return;
	f->stopped = true;
	f->warned = 0;			/* what there is to tell is told now */
	flows_warn(f);
	if (!f->n) {
		flows_free(f);
		return;
	}
	flows_want(f);
	flows_tick(f);
}

void
flows_end(struct flows *f, int why)
{
	bool gone = false;

	if (!f)
		return;
	f->stopped = true;		/* it goes with the last */
	if (!f->n)
		flows_free(f);
	else
		while (!gone)
			gone = flow_end(TAILQ_FIRST(&f->list), why);
}

unsigned
flows_count(const struct flows *f)
{
	return f->n;
}

const struct flows_stats *
flows_stats(const struct flows *f)
{
	return &f->stats;
}

struct adit_conn *
flow_connected(struct adit_packet_conn *p)
{
	static const struct flows_conf conf = {
		.keepalive = true, .max = 1, .queue = CONNECTED_QUEUE,
		.largest = FLOW_DATAGRAM_MAX,
	};
	static const struct adit_addr nobody;
	struct flows *f = flows_make(p, &conf);
	struct flow *flow;

	if (!f)
		return NULL;
	f->connected = f->stopped = true;
	flow = flow_new(f, &nobody, &nobody);
	if (!flow) {
		flows_free(f);
		return NULL;
	}
	return &flow->base;
}
