#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/conn.h"
#include "core/conn/tally.h"
#include "core/conn/throttle.h"
#include "core/runtime/memory.h"

#define UNREAD_MAX 65536
#define POUR_PIECES 8			/* chunks of a queue that one write takes */
#define CUT_PIECES 8			/* of a write that is throttled: the rest is for the next */
#define CONN_COST 2048			/* with what its owner has for it, about: memory used */
#define ALIGN(n) (((n) + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1))

static atomic_uint_fast64_t last_id;

/* Whether the table is new enough to have that optional operation, and has it. */
#define HAS(c, op) \
	((c)->ops->size > offsetof(struct adit_conn_ops, op) && (c)->ops->op)

static struct adit_conn_core *
conn_of_io(struct io *io)
{
	return adit_container_of(io, struct adit_conn_core, io);
}

static void
conn_run(struct io *io, unsigned events)
{
	struct adit_conn_core *core = conn_of_io(io);

	if (core->cb)
		core->cb(core->owner, core->conn, events);
}

static void
conn_tell_watches(struct adit_conn_core *core, int err)
{
	struct conn_watch *watch;

	while ((watch = core->watches)) {
		core->watches = watch->next;
		watch->told(watch, err);
	}
}

void
conn_watch_open(struct adit_conn *c, struct conn_watch *watch)
{
	watch->next = c->core->watches;
	c->core->watches = watch;
	if (c->core->err || (c->core->io.ready & ADIT_OPEN))
		conn_tell_watches(c->core, c->core->err);
}

void
conn_count(struct adit_conn *c, atomic_uint *n)
{
	assert(!c->core->count);
	c->core->count = n;
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

void
conn_hold_ticket(struct adit_conn *c, struct conn_ticket *ticket)
{
	ticket->next = c->core->tickets;
	c->core->tickets = ticket;
}

static void
conn_give_tickets(struct adit_conn_core *core)
{
	struct conn_ticket *ticket;

	while ((ticket = core->tickets)) {
		core->tickets = ticket->next;
		ticket->gone(ticket);
	}
}

static void
conn_free(struct io *io)
{
	struct adit_conn_core *core = conn_of_io(io);

	conn_tell_watches(core, -ECANCELED);
	if (core->tallied)
		tallied_end(core->tallied, -ECONNABORTED);
	core->conn->ops->free(core->conn);
	throttle_free(core->throttle);
	conn_give_tickets(core);
	adit_timer_free(core->deadline);
	adit_component_put(core->component);
	if (core->count)
		atomic_fetch_sub_explicit(core->count, 1, memory_order_relaxed);
	memory_give(worker_memory(io->worker), CONN_COST);
	free(core->asked);
	free(core->failure);
	free(core->unread);
	free(core);
}

static void
conn_cut(struct io *io)
{
	struct adit_conn *c = conn_of_io(io)->conn;

	c->ops->cut(c);
}

void *
adit_conn_new(struct adit_worker *w, const struct adit_conn_ops *ops, size_t size, unsigned flags)
{
	struct adit_conn_core *core = calloc(1, ALIGN(sizeof(*core)) + size);
	struct adit_conn *c;

	if (!core)
		return NULL;
	memory_take(worker_memory(w), CONN_COST);
	c = (struct adit_conn *)(void *)((char *)core + ALIGN(sizeof(*core)));
	c->ops = ops;
	c->core = core;
	core->conn = c;
	core->flags = flags;
	core->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	core->born = adit_now();
	io_init(&core->io, w, conn_run, conn_free);
	core->io.cut = HAS(c, cut) ? conn_cut : NULL;
	return c;
}

void
adit_conn_own(struct adit_conn *c, adit_conn_cb *cb, void *owner)
{
	c->core->cb = cb;
	c->core->owner = owner;
}

void
adit_conn_want(struct adit_conn *c, unsigned events)
{
	struct adit_conn_core *core = c->core;

	if (core->io.closed || core->io.want == events)
		return;
	io_want(&core->io, events);
	if (HAS(c, want))
		c->ops->want(c);
}

unsigned
adit_conn_wanted(const struct adit_conn *c)
{
	return c->core->io.want;
}

void
adit_conn_ready(struct adit_conn *c, unsigned events)
{
	if (c->core->throttle && !c->core->err)
		events = throttle_pass(c->core->throttle, events);
	io_ready(&c->core->io, events);
	if ((events & ADIT_OPEN) && c->core->watches)
		conn_tell_watches(c->core, 0);
}

void
adit_conn_fail(struct adit_conn *c, int err)
{
	assert(err < 0);
	if (!c->core->err)
		c->core->err = err;
	conn_tell_watches(c->core, err);
	adit_timer_stop(c->core->deadline);
	io_ready(&c->core->io, ADIT_READ | ADIT_WRITE | ADIT_OPEN | ADIT_HEAD);
}

void
conn_explain(struct adit_conn *c, const char *why)
{
	if (!c->core->failure && why)
		c->core->failure = strdup(why);
}

const char *
conn_failure(const struct adit_conn *c)
{
	return c ? c->core->failure : NULL;
}

/* What a write to a conn that is not open, or has failed, answers; 0: go on. */
static int
conn_refuse(const struct adit_conn *c)
{
	if (c->core->err)
		return c->core->err;
	return c->core->io.ready & ADIT_OPEN || c->core->early ? 0 : -EAGAIN;
}

static ssize_t
conn_take_unread(struct adit_conn_core *core, void *buf, size_t len)
{
	size_t n = core->unread_len < len ? core->unread_len : len;

	memcpy(buf, core->unread + core->unread_start, n);
	core->unread_start += (uint32_t)n;
	core->unread_len -= (uint32_t)n;
	if (!core->unread_len) {
		free(core->unread);
		core->unread = NULL;
	}
	return (ssize_t)n;
}

/*
 * An operation gave something although its bit was clear: the owner tried without having been
 * told. What it used up may be what the layer below would have told of, and a part of it may stand
 * in this one (a record that was read in part): the rest is told of here.
 */
static void
conn_tell_rest(struct adit_conn *c, unsigned before, unsigned event)
{
	if (!(before & event))
		io_ready(&c->core->io, event);
}

/* How many of len bytes may be read now; 0: none, and that none are there, for the owner. */
static size_t
conn_may_read(struct adit_conn_core *core, size_t len)
{
	size_t n = throttle_allow(core, ADIT_READ, len);

	if (!n)
		conn_unready(core->conn, ADIT_READ);
	/* A datagram is read whole, or its rest is lost: what was too much delays the next one. */
	return n && core->flags & ADIT_CONN_DGRAM ? len : n;
}

/* The same for a write of what stands in *iov, which is shortened: that part stands in part. */
static int
conn_may_write(struct adit_conn_core *core, const struct iovec **iov, int n,
	       struct iovec part[CUT_PIECES])
{
	size_t want = 0, left;
	int used = 0;

	for (int i = 0; i < n; i++)
		want += (*iov)[i].iov_len;
	left = throttle_allow(core, ADIT_WRITE, want);
	if (want && !left)
		conn_unready(core->conn, ADIT_WRITE);
	if ((left && core->flags & ADIT_CONN_DGRAM) || left == want)
		return n;
	for (; used < n && used < CUT_PIECES && left; used++) {
		part[used] = (*iov)[used];
		if (part[used].iov_len > left)
			part[used].iov_len = left;
		left -= part[used].iov_len;
	}
	*iov = part;
	return used;
}

ssize_t
adit_conn_read(struct adit_conn *c, void *buf, size_t len)
{
	struct adit_conn_core *core = c->core;
	unsigned before = core->io.ready;
	ssize_t n;

	if (core->unread && len)
		return conn_take_unread(core, buf, len);
	if (!(core->io.ready & ADIT_OPEN) && !core->err)
		return -EAGAIN;
	if (core->throttle && len && !core->err) {	/* of a failure is heard at once */
		len = conn_may_read(core, len);
		if (!len)
			return -EAGAIN;
	}
	n = c->ops->read(c, buf, len);
	if (core->throttle && n > 0)
		throttle_used(core->throttle, ADIT_READ, (size_t)n);
	if (n == -EAGAIN) {
		if (core->err)
			return core->err;
		conn_unready(c, ADIT_READ);
		if (core->throttle)
			throttle_idle(core->throttle, ADIT_READ);
	} else if (n < 0) {
		adit_conn_fail(c, (int)n);
		n = core->err;
	} else {
		core->traffic.in += (uint64_t)n;
		conn_tell_rest(c, before, ADIT_READ);
	}
	return n;
}

/* A write that nothing forbids and nothing holds up. */
static ssize_t
conn_put(struct adit_conn *c, const struct iovec *iov, int n)
{
	unsigned before = c->core->io.ready;
	ssize_t took = c->ops->writev(c, iov, n);

	if (c->core->throttle && took > 0)
		throttle_used(c->core->throttle, ADIT_WRITE, (size_t)took);
	if (took == -EAGAIN) {
		if (c->core->err)
			return c->core->err;
		conn_unready(c, ADIT_WRITE);
		if (c->core->throttle)
			throttle_idle(c->core->throttle, ADIT_WRITE);
	} else if (took < 0) {
		adit_conn_fail(c, (int)took);
		took = c->core->err;
	} else {
		c->core->traffic.out += (uint64_t)took;
		conn_tell_rest(c, before, ADIT_WRITE);
	}
	return took;
}

ssize_t
adit_conn_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	ssize_t err = conn_refuse(c);
	struct iovec part[CUT_PIECES];

	if (err < 0)
		return err;
	if (c->core->throttle) {
		n = conn_may_write(c->core, &iov, n, part);
		if (!n)
			return -EAGAIN;
	}
	return conn_put(c, iov, n);
}

ssize_t
conn_write_now(struct adit_conn *c, const void *buf, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	ssize_t err = conn_refuse(c);

	return err < 0 ? err : conn_put(c, &iov, 1);
}

ssize_t
adit_conn_write(struct adit_conn *c, const void *buf, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return adit_conn_writev(c, &iov, 1);
}

size_t
conn_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct adit_conn_core *core = c->core;
	unsigned before = core->io.ready;
	size_t n;

	if (core->err || core->unread || !(before & ADIT_OPEN) || !HAS(c, pour))
		return 0;
	if (core->throttle) {
		len = conn_may_read(core, len);
		if (!len)
			return 0;
	}
	n = c->ops->pour(c, to, len);
	if (core->throttle)
		throttle_used(core->throttle, ADIT_READ, n);
	core->traffic.in += n;
	if (n)
		conn_tell_rest(c, before, ADIT_READ);
	return n;
}

size_t
conn_pour_queue(struct queue *q, struct adit_conn *to, size_t len)
{
	struct iovec iov[POUR_PIECES];
	int n = queue_peek(q, 0, iov, POUR_PIECES), used = 0;
	ssize_t took;

	for (; used < n && len; used++) {
		if (iov[used].iov_len > len)
			iov[used].iov_len = len;
		len -= iov[used].iov_len;
	}
	took = used ? adit_conn_writev(to, iov, used) : 0;
	if (took <= 0)
		return 0;
	queue_drop(q, (size_t)took);
	return (size_t)took;
}

int
conn_fill_queue(struct adit_conn *c, struct queue *q)
{
	size_t room;
	void *at = queue_reserve(q, &room);
	ssize_t n;

	if (!at)
		return -ENOMEM;
	n = adit_conn_read(c, at, room);
	queue_commit(q, n > 0 ? (size_t)n : 0);
	if (n == 0)
		return q->len ? ADIT_ETRUNCATED : -ESHUTDOWN;
	return n < 0 ? (int)n : 0;
}

int
conn_refused(struct adit_conn *c, const struct queue *q)
{
	if (q->yielded)
		io_starve(&c->core->io);
	return q->yielded || q->len ? -EAGAIN : -ENOMEM;
}

int
adit_conn_shutdown(struct adit_conn *c)
{
	int err = c->core->err;

	if (err)
		return err;
	err = c->ops->shutdown(c);
	if (err < 0 && err != -ENOTSUP)
		adit_conn_fail(c, err);
	return err;
}

void
adit_conn_close(struct adit_conn *c, int why)
{
	struct adit_conn_core *core;

	if (!c || c->core->io.closed)
		return;
	core = c->core;
	core->cb = NULL;
	core->io.want = 0;
	adit_timer_stop(core->deadline);
	if (core->tallied)
		tallied_end(core->tallied, why);
	io_hold(&core->io);		/* close may run far: not freed under it */
	core->io.closed = true;
	c->ops->close(c, why);
	io_release(&core->io);
}

int
adit_conn_unread(struct adit_conn *c, const void *buf, size_t len)
{
	struct adit_conn_core *core = c->core;
	uint8_t *all;

	if (!len)
		return 0;
	if (core->unread_len + len > UNREAD_MAX)
		return -ENOBUFS;
	all = malloc(len + core->unread_len);
	if (!all)
		return -ENOMEM;
	memcpy(all, buf, len);
	if (core->unread_len)
		memcpy(all + len, core->unread + core->unread_start, core->unread_len);
	free(core->unread);
	core->unread = all;
	core->unread_start = 0;
	core->unread_len += (uint32_t)len;
	io_ready(&core->io, ADIT_READ);
	return 0;
}

static void
conn_timed_out(void *arg)
{
	adit_conn_fail(arg, -ETIMEDOUT);
}

void
adit_conn_deadline(struct adit_conn *c, unsigned ms)
{
	struct adit_conn_core *core = c->core;

	if (!ms) {
		adit_timer_free(core->deadline);
		core->deadline = NULL;
		return;
	}
	if (!core->deadline)
		core->deadline = adit_timer_new(core->io.worker, conn_timed_out, c);
	if (core->deadline)
		adit_timer_set(core->deadline, ADIT_MS(ms));
	else
		adit_conn_fail(c, -ENOMEM);
}

bool
adit_conn_is_open(const struct adit_conn *c)
{
	return (c->core->io.ready & ADIT_OPEN) && !c->core->err;
}

int
adit_conn_err(const struct adit_conn *c)
{
	return c->core->err;
}

unsigned
adit_conn_flags(const struct adit_conn *c)
{
	return c->core->flags;
}

void
adit_conn_add_flags(struct adit_conn *c, unsigned flags)
{
	c->core->flags |= flags;
}

uint64_t
adit_conn_id(const struct adit_conn *c)
{
	return c->core->id;
}

uint64_t
adit_conn_age(const struct adit_conn *c)
{
	return adit_now() - c->core->born;
}

const struct adit_traffic *
adit_conn_traffic(const struct adit_conn *c)
{
	return &c->core->traffic;
}

struct adit_worker *
adit_conn_worker(const struct adit_conn *c)
{
	return c->core->io.worker;
}

const struct adit_addr *
adit_conn_local(const struct adit_conn *c)
{
	return &c->core->local;
}

const struct adit_addr *
adit_conn_remote(const struct adit_conn *c)
{
	return &c->core->remote;
}

void
adit_conn_set_local(struct adit_conn *c, const struct adit_addr *a)
{
	c->core->local = *a;
}

void
adit_conn_set_remote(struct adit_conn *c, const struct adit_addr *a)
{
	c->core->remote = *a;
}

const char *
adit_conn_asked(const struct adit_conn *c, uint16_t *port)
{
	if (port)
		*port = c->core->asked_port;
	return c->core->asked;
}

int
adit_conn_set_asked(struct adit_conn *c, const char *host, uint16_t port)
{
	char *copy = strdup(host);

	if (!copy)
		return -ENOMEM;
	free(c->core->asked);
	c->core->asked = copy;
	c->core->asked_port = port;
	return 0;
}

uint64_t
adit_conn_code(const struct adit_conn *c)
{
	return c->core->code;
}

void
adit_conn_set_code(struct adit_conn *c, uint64_t code)
{
	c->core->code = code;
}

int
adit_conn_splice_fd(struct adit_conn *c, unsigned dir)
{
	if (c->core->err || c->core->unread || c->core->throttle || !HAS(c, splice_fd))
		return -1;
	return c->ops->splice_fd(c, dir);
}

int
adit_conn_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	return HAS(c, delivery) ? c->ops->delivery(c, d) : -ENOTSUP;
}

const struct adit_certificate *
adit_conn_certificate(struct adit_conn *c)
{
	return HAS(c, certificate) ? c->ops->certificate(c) : NULL;
}

void
adit_conn_hold(struct adit_conn *c)
{
	io_hold(&c->core->io);
}

void
adit_conn_release(struct adit_conn *c)
{
	io_release(&c->core->io);
}

/* ---- moving ----------------------------------------------------------------- */

struct move {
	struct adit_message	 message;
	struct adit_conn	*conn;
	void			(*arrived)(struct adit_conn *c, void *arg);
	void			*arg;
};

static void
move_arrive(struct adit_message *m, struct adit_worker *w)
{
	struct move *move = adit_container_of(m, struct move, message);
	struct adit_conn *c = move->conn;

	c->ops->attach(c, w);
	if (c->core->tallied)
		tallied_arrive(c->core->tallied, w);
	move->arrived(c, move->arg);
	free(move);
}

/* That worker has ended, and all are ending: nobody else touches c any more. */
static void
move_discard(struct adit_message *m)
{
	struct move *move = adit_container_of(m, struct move, message);

	move->conn->ops->close(move->conn, -ECONNABORTED);
	conn_free(&move->conn->core->io);
	move->arrived(NULL, move->arg);
	free(move);
}

int
adit_conn_move(struct adit_conn *c, struct adit_worker *to,
	       void (*arrived)(struct adit_conn *c, void *arg), void *arg)
{
	struct adit_conn_core *core = c->core;
	struct move *move;
	int err;

	if (!HAS(c, detach) || !HAS(c, attach) || core->err || core->io.holds)
		return -ENOTSUP;
	move = calloc(1, sizeof(*move));
	if (!move)
		return -ENOMEM;
	err = c->ops->detach(c);
	if (err < 0) {
		free(move);
		return err;
	}
	if (core->tallied)
		tallied_leave(core->tallied);
	adit_timer_free(core->deadline);
	core->deadline = NULL;
	if (core->throttle)
		throttle_leave(core->throttle);
	core->cb = NULL;
	core->io.want = 0;
	io_move(&core->io, to);
	*move = (struct move){
		.message = { .run = move_arrive, .discard = move_discard },
		.conn = c, .arrived = arrived, .arg = arg,
	};
	adit_worker_post(to, &move->message);
	return 0;
}

/* ---- where it comes from -------------------------------------------------------- */

void
adit_conn_agree(struct adit_conn *c)
{
	if (HAS(c, agree) && !c->core->err)
		c->ops->agree(c);
}

struct adit_mux *
adit_conn_mux(struct adit_conn *c)
{
	return HAS(c, mux) ? c->ops->mux(c) : NULL;
}

/* ---- who it is ---------------------------------------------------------------- */

void
adit_conn_set_service(struct adit_conn *c, const char *service)
{
	c->core->service = service;
}

const char *
adit_conn_service(const struct adit_conn *c)
{
	return c->core->service;
}

void
adit_conn_set_component(struct adit_conn *c, struct adit_component *p)
{
	adit_component_get(p);
	adit_component_put(c->core->component);
	c->core->component = p;
	c->core->service = adit_component_name(p);
}

void
adit_conn_log(struct adit_conn *c, int level, const char *fmt, ...)
{
	struct adit_log *log = adit_worker_log(c->core->io.worker);
	char peer[ADIT_ADDR_TEXT], text[1024];
	va_list ap;

	if (!adit_log_enabled(log, (enum adit_log_level)level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	adit_log(log, (enum adit_log_level)level,
		 ADIT_FIELDS(ADIT_UINT("conn", c->core->id), ADIT_STR("service", c->core->service),
			     ADIT_STR("remote", adit_addr_format(&c->core->remote, peer))),
		 "%s", text);
}
