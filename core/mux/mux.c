#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <adit/mux.h>

#include "core/mux/mux.h"
#include "core/runtime/worker.h"

/* For how long a peer may open more after a drain: one that cannot be told, or does not answer. */
#define DRAIN_NS ADIT_MS(200)
#define DRAIN_MAX_NS ADIT_SECONDS(3)

/* Of an io: the peer was heard, and somebody waits for that. Beside enum adit_event. */
#define MUX_HEARD 128u

#define HAS(m, op) \
	((m)->ops->size > offsetof(struct adit_mux_ops, op) && (m)->ops->op)
#define ALIGN(n) (((n) + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1))

struct adit_mux_core {
	struct io		 io;
	struct adit_mux		*mux;
	adit_mux_cb		*cb;
	void			*owner;
	adit_mux_taker		*take;
	void			*take_arg;
	struct adit_mux		*tap;		/* borrowed; or NULL */
	struct adit_reason	 reason;	/* err 0 while it lives; text owned */
	unsigned		 streams;
	bool			 used;		/* see mux_use */
	void			(*on_use)(void *arg);
	void			*on_use_arg;
	uint64_t		 draining;	/* since when; 0: not */
	bool			 peer_drains, superseded;
	uint64_t		 heard, id;
	uint64_t		 born;		/* adit_now() */
	struct adit_traffic	 traffic;
	LIST_HEAD(, mux_follower) followers;
	struct adit_addr	 local, remote;
};

static atomic_uint_fast64_t last_id;

static void
mux_hand_out(struct adit_mux_core *core)
{
	struct adit_conn *c;

	while (core->take && !core->reason.err && (c = adit_mux_accept(core->mux)))
		core->take(core->take_arg, c);
}

static void
mux_was_heard(struct adit_mux_core *core)
{
	struct mux_follower *f = LIST_FIRST(&core->followers), *next;

	core->io.ready &= (uint8_t)~MUX_HEARD;
	core->io.want &= (uint8_t)~MUX_HEARD;
	for (; f; f = next) {
		void (*await)(void *arg) = f->await;

		next = LIST_NEXT(f, entry);
		f->await = NULL;
		if (await)
			await(f->arg);
	}
}

static void
mux_run(struct io *io, unsigned events)
{
	struct adit_mux_core *core = adit_container_of(io, struct adit_mux_core, io);

	if (events & MUX_HEARD)
		mux_was_heard(core);
	events &= ~MUX_HEARD;
	if (events & ADIT_READ)
		mux_hand_out(core);
	if (core->cb && events)
		core->cb(core->owner, core->mux, events);
}

static void
mux_free(struct io *io)
{
	struct adit_mux_core *core = adit_container_of(io, struct adit_mux_core, io);

	if (HAS(core->mux, free))
		core->mux->ops->free(core->mux);
	free((void *)(uintptr_t)core->reason.text);
	free(core);
}

static void
mux_cut(struct io *io)
{
	struct adit_mux *m = adit_container_of(io, struct adit_mux_core, io)->mux;

	m->ops->cut(m);
}

void *
adit_mux_new(struct adit_worker *w, const struct adit_mux_ops *ops, size_t size)
{
	struct adit_mux_core *core = calloc(1, ALIGN(sizeof(*core)) + size);
	struct adit_mux *m;

	if (!core)
		return NULL;
	m = (struct adit_mux *)(void *)((char *)core + ALIGN(sizeof(*core)));
	m->ops = ops;
	m->core = core;
	core->mux = m;
	core->heard = core->born = adit_now();
	core->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	io_init(&core->io, w, mux_run, mux_free);
	if (HAS(m, cut))
		core->io.cut = mux_cut;
	return m;
}

void
adit_mux_own(struct adit_mux *m, adit_mux_cb *cb, void *owner)
{
	m->core->cb = cb;
	m->core->owner = owner;
}

void
adit_mux_want(struct adit_mux *m, unsigned events)
{
	events |= m->core->io.want & MUX_HEARD;
	if (m->core->io.closed || m->core->io.want == events)
		return;
	io_want(&m->core->io, events);
	if (HAS(m, want))
		m->ops->want(m);
}

struct adit_conn *
adit_mux_open(struct adit_mux *m, unsigned kind, struct adit_err *e)
{
	const struct adit_mux_core *core = m->core;

	if (core->reason.err) {
		adit_err_set(e, core->reason.err, "session ended: %s",
			     core->reason.text ? core->reason.text
					       : adit_strerror(core->reason.err));
		return NULL;
	}
	if (core->draining) {
		adit_err_set(e, ADIT_EDRAINING, "session is draining");
		return NULL;
	}
	if (!HAS(m, open)) {
		adit_err_set(e, -ENOTSUP, "a session of %s only accepts", m->ops->name);
		return NULL;
	}
	return m->ops->open(m, kind, e);
}

struct adit_conn *
adit_mux_accept(struct adit_mux *m)
{
	struct adit_conn *c = m->core->tap ? NULL : m->ops->accept(m);

	if (!c && !m->core->reason.err)
		m->core->io.ready &= (uint8_t)~ADIT_READ;
	return c;
}

void
mux_set_tap(struct adit_mux *m, struct adit_mux *tap)
{
	m->core->tap = tap;
	if (tap && m->core->io.ready)
		adit_mux_ready(tap, m->core->io.ready & (ADIT_READ | ADIT_WRITE | ADIT_OPEN));
}

struct adit_conn *
mux_accept_tapped(struct adit_mux *m)
{
	return m->ops->accept(m);
}

void
adit_mux_divert(struct adit_mux *m, adit_mux_taker *take, void *arg)
{
	m->core->take = take;
	m->core->take_arg = arg;
}

void *
adit_mux_diverted(const struct adit_mux *m, adit_mux_taker *take)
{
	return m->core->take == take ? m->core->take_arg : NULL;
}

const char *
adit_mux_protocol(const struct adit_mux *m)
{
	return HAS(m, protocol) ? m->ops->protocol(m) : NULL;
}

unsigned
adit_mux_room(const struct adit_mux *m, unsigned kind)
{
	if (m->core->reason.err || m->core->draining || !HAS(m, open))
		return 0;
	return m->ops->room(m, kind);
}

void
adit_mux_probe(struct adit_mux *m)
{
	if (!m->core->reason.err)
		m->ops->probe(m);
}

void
adit_mux_drain(struct adit_mux *m)
{
	if (m->core->draining)
		return;
	m->core->draining = adit_now();
	m->ops->drain(m);
}

bool
adit_mux_draining(const struct adit_mux *m)
{
	return m->core->draining;
}

bool
adit_mux_peer_drains(const struct adit_mux *m)
{
	return m->core->peer_drains;
}

void
adit_mux_say_peer_drains(struct adit_mux *m)
{
	m->core->peer_drains = true;
	adit_mux_ready(m, ADIT_READ);
}

bool
adit_mux_is_superseded(const struct adit_mux *m)
{
	return m->core->superseded;
}

void
adit_mux_supersede(struct adit_mux *m)
{
	m->core->superseded = true;
	io_ready(&m->core->io, ADIT_READ);
}

bool
adit_mux_drained(const struct adit_mux *m)
{
	uint64_t past = adit_now() - m->core->draining;

	if (!m->core->draining || adit_mux_streams(m))
		return false;
	if (HAS(m, drained) && past < DRAIN_MAX_NS)
		return m->ops->drained(m);
	return past >= DRAIN_NS;
}

unsigned
adit_mux_siblings(const struct adit_mux *m)
{
	unsigned n = HAS(m, siblings) ? m->ops->siblings(m) : 1;

	return n ? n : 1;
}

static void
mux_lose_tap(struct adit_mux_core *core, const struct adit_reason *why)
{
	struct adit_mux *tap = core->tap;

	core->tap = NULL;
	if (tap)
		adit_mux_fail(tap, &(struct adit_reason){
			.err = why && why->err ? why->err : -ECONNRESET,
			.text = why ? why->text : NULL,
		});
}

void
adit_mux_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct adit_reason last = { .err = 0 };
	struct adit_mux_core *core;

	if (!m || m->core->io.closed)
		return;
	core = m->core;
	core->cb = NULL;
	while (!LIST_EMPTY(&core->followers))
		mux_unfollow(LIST_FIRST(&core->followers));
	mux_lose_tap(core, why);
	if (why)
		last = *why;
	if (core->reason.err && !last.text) {	/* by a tap, which has said how */
		last.code = core->reason.code;
		last.text = core->reason.text;
	}
	io_hold(&core->io);
	io_close(&core->io);
	m->ops->close(m, &last);
	io_release(&core->io);
}

bool
adit_mux_is_open(const struct adit_mux *m)
{
	return (m->core->io.ready & ADIT_OPEN) && !m->core->reason.err;
}

int
adit_mux_err(const struct adit_mux *m)
{
	return m->core->reason.err;
}

const struct adit_reason *
adit_mux_reason(const struct adit_mux *m)
{
	return &m->core->reason;
}

uint64_t
adit_mux_heard(const struct adit_mux *m)
{
	return m->core->heard;
}

uint64_t
adit_mux_silence(struct adit_mux *m)
{
	uint64_t now = adit_now();

	if (HAS(m, silence))
		return m->ops->silence(m, now);
	return now > m->core->heard ? now - m->core->heard : 0;
}

unsigned
adit_mux_streams(const struct adit_mux *m)
{
	if (HAS(m, streams))
		return m->ops->streams(m);
	return m->core->streams;
}

void
adit_mux_moved(struct adit_mux *m, uint64_t in, uint64_t out)
{
	m->core->traffic.in += in;
	m->core->traffic.out += out;
}

const struct adit_traffic *
adit_mux_traffic(const struct adit_mux *m)
{
	if (HAS(m, traffic))
		return m->ops->traffic(m);
	return &m->core->traffic;
}

uint64_t
adit_mux_age(const struct adit_mux *m)
{
	return adit_now() - m->core->born;
}

uint64_t
adit_mux_id(const struct adit_mux *m)
{
	return m->core->id;
}

struct adit_worker *
adit_mux_worker(const struct adit_mux *m)
{
	return m->core->io.worker;
}

const struct adit_addr *
adit_mux_local(const struct adit_mux *m)
{
	return &m->core->local;
}

const struct adit_addr *
adit_mux_remote(const struct adit_mux *m)
{
	return &m->core->remote;
}

void
adit_mux_ready(struct adit_mux *m, unsigned events)
{
	io_ready(&m->core->io, events);
	if (m->core->tap)
		io_ready(&m->core->tap->core->io, events);
}

void
adit_mux_unready(struct adit_mux *m, unsigned events)
{
	m->core->io.ready &= (uint8_t)~events;
	if (m->core->tap)
		m->core->tap->core->io.ready &= (uint8_t)~events;
}

/* Followers are told now: the mux itself, and its conns, are told by the loop. */
static void
mux_tell_heard(const struct adit_mux_core *core, const struct mux_follower *f)
{
	if (f->heard)
		atomic_store_explicit(f->heard, core->reason.err ? MUX_FAILED : core->heard,
				      memory_order_relaxed);
}

void
adit_mux_fail(struct adit_mux *m, const struct adit_reason *why)
{
	struct adit_mux_core *core = m->core;
	struct mux_follower *f;

	assert(why->err < 0);
	if (!core->reason.err) {
		core->reason = *why;
		core->reason.text = why->text ? strdup(why->text) : NULL;
	}
	LIST_FOREACH(f, &core->followers, entry)
		mux_tell_heard(core, f);
	io_ready(&core->io, ADIT_READ | ADIT_WRITE | ADIT_OPEN);
	if (core->tap)
		adit_mux_fail(core->tap, &core->reason);
}

void
adit_mux_hear(struct adit_mux *m, uint64_t now)
{
	struct adit_mux_core *core = m->core;
	struct mux_follower *f;

	if (now <= core->heard)
		return;
	core->heard = now;
	LIST_FOREACH(f, &core->followers, entry)
		mux_tell_heard(core, f);
	if (core->io.want & MUX_HEARD)
		io_ready(&core->io, MUX_HEARD);
	if (core->tap)
		adit_mux_hear(core->tap, now);
}

void
mux_follow(struct adit_mux *m, struct mux_follower *f)
{
	f->mux = m;
	f->await = NULL;
	LIST_INSERT_HEAD(&m->core->followers, f, entry);
	mux_tell_heard(m->core, f);
}

void
mux_unfollow(struct mux_follower *f)
{
	if (f->mux)
		LIST_REMOVE(f, entry);
	f->mux = NULL;
	f->await = NULL;
}

void
mux_await_heard(struct mux_follower *f, void (*heard)(void *arg), void *arg)
{
	struct io *io = f->mux ? &f->mux->core->io : NULL;

	f->await = heard;
	f->arg = arg;
	if (!heard || !io || io->closed)
		return;
	io->ready &= (uint8_t)~MUX_HEARD;
	io_want(io, io->want | MUX_HEARD);
}

void
mux_use(struct adit_mux *m)
{
	struct adit_mux_core *core = m->core;
	void (*on_use)(void *arg) = core->on_use;

	core->used = true;
	core->on_use = NULL;
	if (on_use)
		on_use(core->on_use_arg);
}

bool
mux_take_used(struct adit_mux *m)
{
	bool used = m->core->used;

	m->core->used = false;
	return used;
}

void
mux_await_use(struct adit_mux *m, void (*used)(void *arg), void *arg)
{
	m->core->on_use = used;
	m->core->on_use_arg = arg;
}

void
adit_mux_count(struct adit_mux *m, int change)
{
	if (change > 0)
		mux_use(m);
	assert(change >= 0 || m->core->streams >= (unsigned)-change);
	m->core->streams = (unsigned)((int)m->core->streams + change);
}

void
adit_mux_set_local(struct adit_mux *m, const struct adit_addr *a)
{
	m->core->local = *a;
}

void
adit_mux_set_remote(struct adit_mux *m, const struct adit_addr *a)
{
	m->core->remote = *a;
}

void
adit_mux_hold(struct adit_mux *m)
{
	io_hold(&m->core->io);
}

void
adit_mux_release(struct adit_mux *m)
{
	io_release(&m->core->io);
}
