#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <adit/pump.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/conn/pipes.h"
#include "core/conn/stuck.h"
#include "core/runtime/memory.h"

#define BUDGET (256 * 1024)		/* bytes a direction moves before others have their turn */
#define HELD_MAX 65536			/* what one read into the scratch can leave over */
#define SHORT_READ 4096			/* while memory is short: what may be left of it to hold */
#define SPLICE_AFTER (256 * 1024)
#define DATAGRAM_COST 512		/* of the budget, beside its bytes */
#define DELIVER_NS ADIT_SECONDS(30)	/* for what was read before its sender failed */

enum state {
	MOVING,
	ENDING,		/* the end was read; it is passed on when what is held has gone */
	FAILING,	/* from has failed; the same */
	ENDED,		/* the end was passed on, or is owed */
	DEAD,		/* to takes nothing any more */
};

struct direction {
	struct adit_conn	*from, *to;
	struct queue		 held;		/* what to did not take: nothing is read now */
	struct pipe		*pipe;		/* owned; NULL while nothing is in it */
	size_t			 piped;
	uint64_t		*bytes;
	uint64_t		 moved;		/* when to took something */
	enum state		 state;
	int			 err;		/* of FAILING and DEAD */
	bool			 owed;		/* to has no half-close */
	bool			 blocked;	/* waits until to is writable */
	bool			 head;		/* a head is waiting to be passed on */
	bool			 copies;	/* splice was refused, once and for all */
};

struct adit_pump {
	struct direction	 dirs[2];	/* [0] from a to b, [1] from b to a */
	struct adit_pump_opts	 opts;
	struct adit_pump_stats	 stats;
	void			(*done)(void *arg, const struct adit_pump_stats *stats);
	void			*arg;
	struct adit_worker	*worker;
	struct io		 end;		/* closed when it is over: its free reports */
	bool			 datagrams, over;
	uint64_t		 begun, moved;	/* times of the start, of the last byte */
	struct stuck		 stuck;		/* while a side does not take what came for it */
	uint64_t		 limit;		/* of silence, as the timer knows it; 0: none */
	struct adit_timer	*timer;
};

/* ---- the end ---------------------------------------------------------------------- */

static void
direction_drop(struct adit_pump *p, struct direction *d)
{
	queue_fini(&d->held);
	pipe_put(p->worker, d->pipe, d->piped == 0);
	d->pipe = NULL;
	d->piped = 0;
}

/* One that the caller keeps has no owner from now on: its readiness waits for the next. */
static void
pump_let_go(struct adit_conn *c, bool keep, int why)
{
	if (!keep) {
		adit_conn_close(c, why);
		return;
	}
	adit_conn_own(c, NULL, NULL);
	adit_conn_want(c, 0);
}

/* Closes both, each with its reason. Reports at the turn's end: a hook may be on the stack. */
static void
pump_finish(struct adit_pump *p, int why_a, int why_b)
{
	struct adit_conn *a = p->dirs[0].from, *b = p->dirs[1].from;

	p->over = true;
	p->stats.duration = adit_now() - p->begun;
	direction_drop(p, &p->dirs[0]);
	direction_drop(p, &p->dirs[1]);
	stuck_leave(&p->stuck);
	pump_let_go(a, p->opts.keep & ADIT_PUMP_KEEP_A, why_a);
	pump_let_go(b, p->opts.keep & ADIT_PUMP_KEEP_B, why_b);
	adit_timer_stop(p->timer);
	io_close(&p->end);
}

static void
pump_end(struct adit_pump *p, int err, int side, const char *how)
{
	p->stats.err = err;
	p->stats.side = side;
	p->stats.how = how;
	pump_finish(p, err, err);
}

/* That side has failed, so the other is closed: in the same words if it speaks them. */
static void
pump_fail(struct adit_pump *p, int side, int err)
{
	struct adit_conn *failed = p->dirs[side].from, *other = p->dirs[side].to;

	if (p->datagrams && err == -ESHUTDOWN) {
		pump_end(p, 0, side, "end");
		return;
	}
	if (failed->ops == other->ops)
		adit_conn_set_code(other, adit_conn_code(failed));
	pump_end(p, err, side, ending_how(err));
}

static int
side_of(const struct adit_pump *p, const struct direction *d)
{
	return d == &p->dirs[1];
}

/* ---- writing ---------------------------------------------------------------------- */

static void
direction_count(struct adit_pump *p, struct direction *d, size_t n)
{
	*d->bytes += n;
	d->moved = p->moved = adit_now();
	p->stats.duration = p->moved - p->begun;
}

/* Returns how much of buf was taken, or the failure of to. */
static ssize_t
direction_write(struct adit_pump *p, struct direction *d, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = adit_conn_write(d->to, buf + done, len - done);

		if (n == -EAGAIN)
			break;
		if (n < 0)
			return n;
		done += (size_t)n;
	}
	if (done)
		direction_count(p, d, done);
	return (ssize_t)done;
}

/* Returns 0, -EAGAIN while something is left, or the failure of to. */
static int
direction_flush_held(struct adit_pump *p, struct direction *d)
{
	struct iovec iov[8];
	ssize_t n;

	while (d->held.len) {
		n = adit_conn_writev(d->to, iov, queue_peek(&d->held, 0, iov, 8));
		if (n < 0)
			return (int)n;
		queue_drop(&d->held, (size_t)n);
		direction_count(p, d, (size_t)n);
	}
	return 0;
}

/* The kernel refuses to splice to to: what is in the pipe is held instead. */
static int
direction_unpipe(struct adit_pump *p, struct direction *d)
{
	d->copies = true;
	while (d->piped) {
		size_t len;
		uint8_t *scratch = adit_worker_scratch(p->worker, &len);
		ssize_t n = read(d->pipe->out, scratch, d->piped < len ? d->piped : len);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		d->held.cap += (size_t)n;	/* once: a pipe's bytes, and no more are read */
		if (queue_add(&d->held, scratch, (size_t)n) < (size_t)n)
			return -ENOMEM;
		d->piped -= (size_t)n;
	}
	return direction_flush_held(p, d);
}

/* As direction_flush_held. */
static int
direction_flush_pipe(struct adit_pump *p, struct direction *d)
{
	int fd = adit_conn_splice_fd(d->to, ADIT_WRITE);
	ssize_t n;

	while (d->piped) {
		if (fd < 0)
			return adit_conn_err(d->to) ? adit_conn_err(d->to) : direction_unpipe(p, d);
		n = splice(d->pipe->out, NULL, fd, NULL, d->piped,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n > 0) {
			d->piped -= (size_t)n;
			d->to->core->traffic.out += (uint64_t)n;
			direction_count(p, d, (size_t)n);
		} else if (n < 0 && errno == EAGAIN) {
			conn_unready(d->to, ADIT_WRITE);
			return -EAGAIN;
		} else if (n < 0 && (errno == EINVAL || errno == ENOSYS)) {
			return direction_unpipe(p, d);
		} else if (n == 0 || errno != EINTR) {
			adit_conn_fail(d->to, n ? -errno : -EPIPE);
			return adit_conn_err(d->to);
		}
	}
	return 0;
}

static int
direction_flush(struct adit_pump *p, struct direction *d)
{
	int err = 0;

	if (d->pipe) {
		err = direction_flush_pipe(p, d);
		if (!d->piped) {
			pipe_put(p->worker, d->pipe, true);
			d->pipe = NULL;
		}
	}
	return err ? err : direction_flush_held(p, d);
}

/* ---- reading ---------------------------------------------------------------------- */

/* What a read gave that was not bytes. */
static void
direction_stop(struct adit_pump *p, struct direction *d, int n)
{
	if (n == -EAGAIN)
		return;
	d->state = n == 0 ? ENDING : FAILING;
	d->err = n;
	if (p->stats.side < 0)
		p->stats.side = side_of(p, d);
}

/* to takes nothing any more; what it had sent is still read. */
static void
direction_kill(struct adit_pump *p, struct direction *d, int err)
{
	direction_drop(p, d);
	d->state = DEAD;
	d->err = err;
}

/*
 * One read, one write, or both at once. Returns how much was read, 0: not now, or not any more.
 */
static size_t
direction_copy(struct adit_pump *p, struct direction *d)
{
	size_t len, poured;
	uint8_t *scratch = adit_worker_scratch(p->worker, &len);
	ssize_t n, took;

	if (len > SHORT_READ && memory_is_short(worker_memory(p->worker)))
		len = SHORT_READ;
	poured = conn_pour(d->from, d->to, len);
	if (poured) {
		direction_count(p, d, poured);
		return poured;
	}
	n = adit_conn_read(d->from, scratch, len);
	if (n <= 0) {
		direction_stop(p, d, (int)n);
		return 0;
	}
	took = direction_write(p, d, scratch, (size_t)n);
	if (took >= 0 && took < n) {
		d->held.cap = HELD_MAX;
		if (queue_add(&d->held, scratch + took, (size_t)(n - took)) < (size_t)(n - took))
			took = -ENOMEM;
		d->blocked = true;
	}
	if (took < 0)
		direction_kill(p, d, (int)took);
	return (size_t)n;
}

/* A datagram that is not taken at once is dropped: an old one is worth less than the next. */
static size_t
direction_copy_datagram(struct adit_pump *p, struct direction *d)
{
	size_t len;
	uint8_t *scratch = adit_worker_scratch(p->worker, &len);
	ssize_t n = adit_conn_read(d->from, scratch, len), took;

	if (n < 0) {
		direction_stop(p, d, (int)n);
		return 0;
	}
	took = adit_conn_write(d->to, scratch, (size_t)n);
	direction_count(p, d, took >= 0 ? (size_t)n : 0);
	p->stats.dropped[side_of(p, d)] += took < 0;
	if (took < 0 && took != -EAGAIN)
		direction_kill(p, d, (int)took);
	return (size_t)n + DATAGRAM_COST;
}

/* Whether bytes should go through a pipe, which is then there. */
static bool
direction_splices(struct adit_pump *p, struct direction *d)
{
	if (d->copies || *d->bytes < p->opts.splice_after)
		return false;
	if (adit_conn_splice_fd(d->from, ADIT_READ) < 0 ||
	    adit_conn_splice_fd(d->to, ADIT_WRITE) < 0)
		return false;
	if (!d->pipe)
		d->pipe = pipe_get(p->worker);
	return d->pipe;
}

/* As direction_copy, through the empty pipe. */
static size_t
direction_splice(struct adit_pump *p, struct direction *d)
{
	ssize_t n = splice(adit_conn_splice_fd(d->from, ADIT_READ), NULL, d->pipe->in, NULL,
			   PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	int err;

	if (n > 0) {
		d->piped = (size_t)n;
		d->from->core->traffic.in += (uint64_t)n;
		err = direction_flush(p, d);
		d->blocked = err == -EAGAIN;
		if (err && err != -EAGAIN)
			direction_kill(p, d, err);
		return (size_t)n;
	}
	err = n < 0 ? -errno : 0;
	pipe_put(p->worker, d->pipe, true);
	d->pipe = NULL;
	if (err == -EAGAIN) {
		conn_unready(d->from, ADIT_READ);
	} else if (err == -EINVAL || err == -ENOSYS) {
		d->copies = true;
		return direction_copy(p, d);
	} else if (err == 0) {
		return direction_copy(p, d);	/* the end: its conn should know of it */
	} else if (err != -EINTR) {
		adit_conn_fail(d->from, err);
		direction_stop(p, d, adit_conn_err(d->from));
	}
	return 0;
}

static size_t
direction_read(struct adit_pump *p, struct direction *d)
{
	if (p->datagrams)
		return direction_copy_datagram(p, d);
	/*
	 * What is known not to take anything needs no buffer of ours. But before the first byte a
	 * failure has to be heard, and it may take a read to hear it: an exchange that fails before
	 * its head leaves the other one waiting for that head, not writable.
	 */
	if (*d->bytes && !(d->to->core->io.ready & ADIT_WRITE) && !adit_conn_err(d->from)) {
		d->blocked = true;
		return 0;
	}
	return direction_splices(p, d) ? direction_splice(p, d) : direction_copy(p, d);
}

/* ---- ends and heads ----------------------------------------------------------------- */

/* A hook's answer: 0 go on, -EAGAIN when to is writable, else both end. */
static bool
direction_hooked(struct adit_pump *p, struct direction *d, int err)
{
	if (p->over)
		return false;			/* it has stopped the pump */
	d->blocked = err == -EAGAIN;
	if (err && err != -EAGAIN)
		pump_fail(p, side_of(p, d), err);
	return !err;
}

static void
direction_pass_head(struct adit_pump *p, struct direction *d)
{
	if (direction_hooked(p, d, p->opts.head(p->arg, d->from, d->to)))
		d->head = false;
}

/* Whether an end that cannot be passed on is the end of both. */
static bool
direction_is_final(const struct adit_pump *p, const struct direction *d)
{
	return p->opts.final & (side_of(p, d) ? ADIT_PUMP_FINAL_B : ADIT_PUMP_FINAL_A);
}

static void
direction_pass_end(struct adit_pump *p, struct direction *d)
{
	int err;

	if (p->opts.ended && !direction_hooked(p, d, p->opts.ended(p->arg, d->from, d->to)))
		return;
	d->state = ENDED;
	err = adit_conn_shutdown(d->to);
	if (err == -ENOTSUP && direction_is_final(p, d))
		pump_end(p, 0, side_of(p, d), "end");
	else if (err == -ENOTSUP)
		d->owed = true;
	else if (err < 0)
		direction_kill(p, d, err);
}

/* ---- a turn --------------------------------------------------------------------------- */

/* Moves until nothing more can be moved now, or the budget is used up. */
static void
direction_run(struct adit_pump *p, struct direction *d)
{
	size_t budget = BUDGET, n = 1;
	int err;

	if (d->state >= ENDED)
		return;
	d->blocked = false;
	err = direction_flush(p, d);
	if (err == -EAGAIN)
		d->blocked = true;
	else if (err)
		direction_kill(p, d, err);
	if (d->head && d->state == MOVING && !d->blocked)
		direction_pass_head(p, d);
	while (!p->over && d->state == MOVING && !d->blocked && budget && n) {
		n = direction_read(p, d);
		budget -= n < budget ? n : budget;
	}
	if (!p->over && d->state == ENDING && !d->blocked)
		direction_pass_end(p, d);
	if (!p->over && d->state == FAILING && !d->blocked)
		pump_fail(p, side_of(p, d), d->err);
}

static bool
direction_is_over(const struct direction *d)
{
	return d->state == ENDED || d->state == DEAD;
}

/* Both directions are over. Who did not take all is closed for that; the other one has its end. */
static void
pump_conclude(struct adit_pump *p)
{
	const struct direction *ab = &p->dirs[0], *ba = &p->dirs[1];
	int err_b = ab->state == DEAD ? ab->err : 0, err_a = ba->state == DEAD ? ba->err : 0;

	if (err_a || err_b) {
		p->stats.err = err_b ? err_b : err_a;
		p->stats.side = err_b != 0;
	}
	p->stats.how = ending_how(p->stats.err);
	pump_finish(p, err_a, err_b);
}

static unsigned
pump_wants(const struct adit_pump *p, int side)
{
	const struct direction *out = &p->dirs[side], *in = &p->dirs[!side];
	unsigned want = 0;

	if (out->state == MOVING && !out->blocked)
		want |= ADIT_READ;
	if (out->state == MOVING && p->opts.head && !out->head)
		want |= ADIT_HEAD;
	if (in->blocked)
		want |= ADIT_WRITE;
	return want;
}

/* How long nothing may move now; 0: for ever. */
static uint64_t
pump_limit(const struct adit_pump *p)
{
	const struct direction *ab = &p->dirs[0], *ba = &p->dirs[1];
	uint64_t limit = p->opts.idle;

	if (ab->state != MOVING || ba->state != MOVING)
		limit = p->opts.half_closed ? p->opts.half_closed : limit;
	if (ab->state == FAILING || ba->state == FAILING)
		limit = limit && limit < DELIVER_NS ? limit : DELIVER_NS;
	return limit;
}

static void
pump_arm(struct adit_pump *p)
{
	uint64_t limit = pump_limit(p), silent = adit_now() - p->moved;

	if (limit == p->limit)
		return;
	p->limit = limit;
	if (limit)
		adit_timer_set(p->timer, silent < limit ? limit - silent : 0);
	else
		adit_timer_stop(p->timer);
}

static bool
direction_is_stuck(const struct direction *d)
{
	return d->blocked && d->state < ENDED;
}

/*
 * Each time: a stuck direction that has moved a byte begins to wait anew. What goes the other way
 * is no excuse for who does not read.
 */
static void
pump_note_stuck(struct adit_pump *p)
{
	bool any = false, moved = false;

	for (int i = 0; i < 2; i++) {
		const struct direction *d = &p->dirs[i];

		if (direction_is_stuck(d)) {
			any = true;
			moved |= p->stuck.since <= d->moved;
		}
	}
	if (!any)
		stuck_leave(&p->stuck);
	else if (!p->stuck.list || moved)
		stuck_begin(&p->stuck, p->worker);
}

/* One that waits for memory, and not for its peer, is no cause of the want. */
static bool
pump_end_stuck(struct stuck *s)
{
	struct adit_pump *p = adit_container_of(s, struct adit_pump, stuck);

	for (int i = 0; i < 2; i++)
		if (direction_is_stuck(&p->dirs[i]) && p->dirs[i].to->core->io.starving)
			return false;
	pump_end(p, ADIT_ELIMIT, -1, "refused");
	return true;
}

/* After anything has moved: is it over, what is waited for. */
static void
pump_settle(struct adit_pump *p)
{
	if (!p->over && direction_is_over(&p->dirs[0]) && direction_is_over(&p->dirs[1]))
		pump_conclude(p);
	if (p->over)
		return;
	adit_conn_want(p->dirs[0].from, pump_wants(p, 0));
	adit_conn_want(p->dirs[1].from, pump_wants(p, 1));
	pump_arm(p);
	pump_note_stuck(p);
}

static void
pump_run(struct adit_pump *p, struct direction *d)
{
	struct direction *back = &p->dirs[!side_of(p, d)];
	bool was_dead = d->state == DEAD;

	if (p->over)
		return;
	direction_run(p, d);
	if (!p->over && d->state == DEAD && !was_dead)
		direction_run(p, back);		/* its last words, or its failure */
}

static void
pump_woken(void *owner, struct adit_conn *c, unsigned events)
{
	struct adit_pump *p = owner;
	int side = c == p->dirs[1].from;

	if (events & ADIT_HEAD)
		p->dirs[side].head = true;
	if (events & (ADIT_READ | ADIT_HEAD))
		pump_run(p, &p->dirs[side]);
	if (events & ADIT_WRITE)
		pump_run(p, &p->dirs[!side]);
	pump_settle(p);
}

/* ---- time ------------------------------------------------------------------------------- */

static void
pump_report(struct io *io)
{
	struct adit_pump *p = adit_container_of(io, struct adit_pump, end);

	p->done(p->arg, &p->stats);
	adit_timer_free(p->timer);
	free(p);
}

static void
pump_time_out(struct adit_pump *p)
{
	const struct direction *ab = &p->dirs[0], *ba = &p->dirs[1];

	if (ab->state == FAILING || ba->state == FAILING)
		pump_fail(p, ba->state == FAILING, ba->state == FAILING ? ba->err : ab->err);
	else if (p->datagrams)
		pump_end(p, 0, -1, "idle");		/* the only end a flow has */
	else if (ab->owed || ba->owed)
		pump_end(p, 0, p->stats.side, "half-closed");
	else
		pump_end(p, -ETIMEDOUT, -1, "timeout");
}

/* The timer is set once for many bytes: it looks whether any have moved meanwhile. */
static void
pump_tick(void *arg)
{
	struct adit_pump *p = arg;
	uint64_t silent = adit_now() - p->moved;

	if (silent >= p->limit)
		pump_time_out(p);
	else
		adit_timer_set(p->timer, p->limit - silent);
}

/* ---- from outside ------------------------------------------------------------------------ */

static void
direction_init(struct adit_pump *p, int side, struct adit_conn *from, struct adit_conn *to)
{
	struct direction *d = &p->dirs[side];

	d->from = from;
	d->to = to;
	d->bytes = &p->stats.bytes[side];
	queue_init(&d->held, worker_chunks(p->worker), HELD_MAX);
}

static void
pump_take_opts(struct adit_pump *p, const struct adit_pump_opts *opts)
{
	/* A caller's may be older, and shorter, or newer. */
	assert(!opts || opts->size);
	if (opts)
		memcpy(&p->opts, opts, opts->size < sizeof(p->opts) ? opts->size : sizeof(p->opts));
	if (!p->opts.splice_after)
		p->opts.splice_after = SPLICE_AFTER;
}

struct adit_pump *
adit_pump(struct adit_conn *a, struct adit_conn *b, const struct adit_pump_opts *opts,
	  void (*done)(void *arg, const struct adit_pump_stats *stats), void *arg)
{
	struct adit_pump *p = calloc(1, sizeof(*p));

	assert(adit_conn_worker(a) == adit_conn_worker(b));
	if (p)
		p->timer = adit_timer_new(adit_conn_worker(a), pump_tick, p);
	if (!p || !p->timer) {
		free(p);
		adit_conn_close(a, -ENOMEM);
		adit_conn_close(b, -ENOMEM);
		return NULL;
	}
	p->worker = adit_conn_worker(a);
	io_init(&p->end, p->worker, NULL, pump_report);
	p->done = done;
	p->arg = arg;
	p->stats.side = -1;
	p->stats.how = "open";
	p->stuck.end = pump_end_stuck;
	p->datagrams = adit_conn_flags(a) & adit_conn_flags(b) & ADIT_CONN_DGRAM;
	p->begun = p->moved = adit_now();
	pump_take_opts(p, opts);
	direction_init(p, 0, a, b);
	direction_init(p, 1, b, a);
	adit_conn_own(a, pump_woken, p);
	adit_conn_own(b, pump_woken, p);
	pump_settle(p);
	return p;
}

void
adit_pump_stop(struct adit_pump *p, int why)
{
	if (!p->over)
		pump_end(p, why, -1, "stopped");
}

const struct adit_pump_stats *
adit_pump_stats(const struct adit_pump *p)
{
	return &p->stats;
}

uint64_t
adit_pump_silence(const struct adit_pump *p)
{
	return adit_now() - p->moved;
}
