#include <errno.h>

#include "core/conn/conn.h"
#include "core/conn/opening.h"

struct opening {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned; NULL until it is there */
	struct adit_conn	*tried;		/* borrowed: what gets the kept bytes; NULL: none */
	struct queue		 kept;		/* written before it was open */
	size_t			 passed;	/* of those, to tried */
	void			(*cancel)(void *arg);	/* NULL once the maker is done with it */
	void			*arg;
};

static struct opening *
opening_of(struct adit_conn *c)
{
	return adit_container_of(c, struct opening, base);
}

static ssize_t
opening_read(struct adit_conn *c, void *buf, size_t len)
{
	struct opening *o = opening_of(c);
	ssize_t n;

	if (!o->lower)
		return -EAGAIN;
	n = adit_conn_read(o->lower, buf, len);
	if (n < 0)
		adit_conn_set_code(c, adit_conn_code(o->lower));
	return n;
}

/* What is kept goes to where it is tried. True: all of it did. */
static bool
opening_pass(struct opening *o)
{
	struct iovec iov;

	while (o->tried && queue_peek(&o->kept, o->passed, &iov, 1) > 0) {
		ssize_t n = adit_conn_writev(o->tried, &iov, 1);

		if (n < 0)
			return false;
		o->passed += (size_t)n;
	}
	return o->passed == o->kept.len;
}

static ssize_t
opening_keep(struct opening *o, const struct iovec *iov, int n)
{
	size_t took = queue_addv(&o->kept, iov, n);

	if (!took)
		return conn_refused(&o->base, &o->kept);
	opening_pass(o);
	return (ssize_t)took;
}

static size_t
opening_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct opening *o = opening_of(c);

	return o->lower ? conn_pour(o->lower, to, len) : 0;
}

static ssize_t
opening_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct opening *o = opening_of(c);
	ssize_t took;

	if (!adit_conn_is_open(c))
		return opening_keep(o, iov, n);
	took = adit_conn_writev(o->lower, iov, n);
	if (took < 0)
		adit_conn_set_code(c, adit_conn_code(o->lower));
	return took;
}

/* Before it is open there is nobody to tell. */
static int
opening_shutdown(struct adit_conn *c)
{
	struct opening *o = opening_of(c);

	return o->lower ? adit_conn_shutdown(o->lower) : -ENOTCONN;
}

static void
opening_close(struct adit_conn *c, int why)
{
	struct opening *o = opening_of(c);
	void (*cancel)(void *arg) = o->cancel;

	o->cancel = NULL;
	o->tried = NULL;
	if (cancel)
		cancel(o->arg);
	if (!o->lower)
		return;
	adit_conn_set_code(o->lower, adit_conn_code(c));
	adit_conn_close(o->lower, why);
	o->lower = NULL;
}

static void
opening_free(struct adit_conn *c)
{
	queue_fini(&opening_of(c)->kept);
}

static void
opening_want(struct adit_conn *c)
{
	struct opening *o = opening_of(c);

	if (o->lower && adit_conn_is_open(c))
		adit_conn_want(o->lower, adit_conn_wanted(c) & (ADIT_READ | ADIT_WRITE));
}

static int
opening_splice_fd(struct adit_conn *c, unsigned dir)
{
	struct opening *o = opening_of(c);

	return o->lower ? adit_conn_splice_fd(o->lower, dir) : -1;
}

static struct adit_mux *
opening_mux(struct adit_conn *c)
{
	struct opening *o = opening_of(c);

	return o->lower ? adit_conn_mux(o->lower) : NULL;
}

static void
opening_agree(struct adit_conn *c)
{
	struct opening *o = opening_of(c);

	if (o->lower)
		adit_conn_agree(o->lower);
}

static int
opening_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	struct opening *o = opening_of(c);

	return o->lower ? adit_conn_delivery(o->lower, d) : -ENOTSUP;
}

static const struct adit_certificate *
opening_certificate(struct adit_conn *c)
{
	struct opening *o = opening_of(c);

	return o->lower ? adit_conn_certificate(o->lower) : NULL;
}

static const struct adit_conn_ops opening_ops = {
	.size = sizeof(opening_ops),
	.name = "opening",
	.read = opening_read,
	.writev = opening_writev,
	.shutdown = opening_shutdown,
	.close = opening_close,
	.free = opening_free,
	.want = opening_want,
	.splice_fd = opening_splice_fd,
	.mux = opening_mux,
	.agree = opening_agree,
	.delivery = opening_delivery,
	.certificate = opening_certificate,
	.pour = opening_pour,
};

/* Lower is open. What was written early is the first that goes there. */
static void
opening_opened(struct opening *o)
{
	struct adit_conn *c = &o->base, *lower = o->lower;
	uint16_t port;
	const char *host = adit_conn_asked(lower, &port);

	if (!opening_pass(o)) {
		adit_conn_want(lower, ADIT_WRITE);
		return;
	}
	o->tried = NULL;
	queue_fini(&o->kept);
	adit_conn_add_flags(c, adit_conn_flags(lower));
	adit_conn_set_local(c, adit_conn_local(lower));
	adit_conn_set_remote(c, adit_conn_remote(lower));
	if (host && adit_conn_set_asked(c, host, port) < 0) {
		adit_conn_fail(c, -ENOMEM);
		return;
	}
	adit_conn_ready(c, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
	opening_want(c);
}

/*
 * Runs from the run queue, on behalf of lower's owner, which is us: ours may be called at once. A
 * second way through the queue would cost every event a turn.
 */
static void
opening_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct opening *o = owner;
	struct adit_conn_core *core = o->base.core;

	if (adit_conn_err(lower)) {
		adit_conn_set_code(&o->base, adit_conn_code(lower));
		conn_explain(&o->base, conn_failure(lower));
		adit_conn_fail(&o->base, adit_conn_err(lower));
		adit_conn_want(lower, 0);
		return;
	}
	if (!adit_conn_is_open(&o->base)) {
		opening_opened(o);
		return;
	}
	core->io.ready |= (uint8_t)events;
	events &= core->io.want;
	if (core->cb && events)
		core->cb(core->owner, &o->base, events);
}

struct adit_conn *
opening_new(struct adit_worker *w, void (*cancel)(void *arg), void *arg)
{
	struct opening *o = adit_conn_new(w, &opening_ops, sizeof(*o), 0);

	if (!o)
		return NULL;
	o->cancel = cancel;
	o->arg = arg;
	queue_init(&o->kept, worker_chunks(w), OPENING_KEPT);
	return &o->base;
}

void
opening_take_early(struct adit_conn *c)
{
	conn_set_early(c);
}

void
opening_try(struct adit_conn *c, struct adit_conn *lower)
{
	struct opening *o = opening_of(c);

	if (!conn_is_early(c))
		return;
	o->tried = lower && conn_is_early(lower) ? lower : NULL;
	o->passed = 0;
	opening_pass(o);
}

void
opening_set(struct adit_conn *c, struct adit_conn *lower)
{
	struct opening *o = opening_of(c);

	o->cancel = NULL;
	o->lower = lower;
	if (o->tried != lower) {
		o->tried = lower;
		o->passed = 0;
	}
	adit_conn_own(lower, opening_event, o);
	if (adit_conn_is_open(lower))
		opening_opened(o);
	else
		adit_conn_want(lower, ADIT_OPEN);
}

/* What was given back to a conn is its lower conn's to give. */
static int
opening_give_back(const struct adit_conn_core *core, struct adit_conn *lower)
{
	if (!core->unread)
		return 0;
	return adit_conn_unread(lower, core->unread + core->unread_start, core->unread_len);
}

struct adit_conn *
opening_unwrap(struct adit_conn *c)
{
	struct adit_conn *lower;

	if (c->ops != &opening_ops || !adit_conn_is_open(c) || adit_conn_err(c))
		return c;
	lower = opening_of(c)->lower;
	if (opening_give_back(c->core, lower) < 0)
		return c;
	opening_of(c)->lower = NULL;
	adit_conn_own(lower, NULL, NULL);
	adit_conn_want(lower, 0);
	adit_conn_close(c, 0);
	return lower;
}

void
opening_fail(struct adit_conn *c, int err)
{
	opening_of(c)->cancel = NULL;
	opening_of(c)->tried = NULL;
	adit_conn_fail(c, err);
}
