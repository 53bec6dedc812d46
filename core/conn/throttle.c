#include "core/conn/throttle.h"

#include <errno.h>
#include <stdlib.h>

#include "core/conn/conn.h"
#include "core/runtime/bucket.h"

/*
 * A share: what the slowest bucket gives in a 32nd of a second, within bounds. Smaller ones wake
 * too often, larger ones come in jerks.
 */
#define SHARES_PER_SECOND 32
#define SHARE_MIN 64
#define SHARE_MAX 65536

struct side {
	struct bucket		*buckets[THROTTLE_BUCKETS];
	struct adit_timer	*timer;
	int64_t			 left;		/* bytes that may move; below 0: a debt */
	int64_t			 coming;	/* added when the timer runs out; 0: none waited
						 * for */
	bool			 untouched;	/* left is a share of which nothing has moved */
};

struct throttle {
	struct adit_conn_core	*core;
	struct side		 in, out;
	void			(*gone)(void *arg);
	void			*arg;
};

static struct side *
throttle_side(struct throttle *t, unsigned dir)
{
	return dir == ADIT_READ ? &t->in : &t->out;
}

static void
side_arrive(struct side *s)
{
	s->untouched = s->coming && s->left + s->coming > 0;
	s->left += s->coming;
	s->coming = 0;
}

static void
throttle_may_read(void *arg)
{
	struct throttle *t = arg;

	side_arrive(&t->in);
	io_ready(&t->core->io, ADIT_READ);
}

static void
throttle_may_write(void *arg)
{
	struct throttle *t = arg;

	side_arrive(&t->out);
	io_ready(&t->core->io, ADIT_WRITE);
}

/* At most want. */
static int64_t
side_share(const struct side *s, size_t want)
{
	int64_t share = SHARE_MAX;

	for (size_t i = 0; i < THROTTLE_BUCKETS && s->buckets[i]; i++) {
		uint64_t rate = atomic_load_explicit(&s->buckets[i]->rate, memory_order_relaxed);
		uint64_t part = rate / (1000 * SHARES_PER_SECOND);

		if (rate && part < (uint64_t)share)
			share = part > SHARE_MIN ? (int64_t)part : SHARE_MIN;
	}
	return want < (uint64_t)share ? (int64_t)want : share;
}

/* Takes the next share. Returns how many ns from now it comes; 0: it is there. */
static uint64_t
side_take(struct side *s, size_t want)
{
	uint64_t now = adit_now(), longest = 0;

	s->coming = side_share(s, want) - s->left;
	for (size_t i = 0; i < THROTTLE_BUCKETS && s->buckets[i]; i++) {
		uint64_t wait = bucket_take(s->buckets[i], (uint64_t)s->coming, now);

		longest = wait > longest ? wait : longest;
	}
	if (!longest)
		side_arrive(s);
	return longest;
}

static bool
side_wait(struct throttle *t, unsigned dir, uint64_t ns)
{
	struct side *s = throttle_side(t, dir);

	if (!s->timer)
		s->timer = adit_timer_new(t->core->io.worker,
					  dir == ADIT_READ ? throttle_may_read : throttle_may_write,
					  t);
	if (s->timer)
		adit_timer_set(s->timer, ns);
	return s->timer;
}

size_t
throttle_allow(struct adit_conn_core *core, unsigned dir, size_t len)
{
	struct side *s = throttle_side(core->throttle, dir);
	uint64_t ns;

	if (!s->buckets[0])
		return len;
	if (s->coming)
		return 0;
	if (s->left <= 0) {
		/* What is to be read is not known; what is to be written is. */
		ns = side_take(s, dir == ADIT_READ ? SHARE_MAX : len);
		if (ns && !side_wait(core->throttle, dir, ns)) {
			side_arrive(s);
			adit_conn_fail(core->conn, -ENOMEM);
			return 0;
		}
	}
	if (s->coming || s->left <= 0)
		return 0;
	return len < (uint64_t)s->left ? len : (size_t)s->left;
}

void
throttle_used(struct throttle *t, unsigned dir, size_t n)
{
	struct side *s = throttle_side(t, dir);

	if (s->buckets[0])
		s->left -= (int64_t)n;
	s->untouched &= !n;
}

unsigned
throttle_pass(const struct throttle *t, unsigned events)
{
	if (t->in.coming)
		events &= ~(unsigned)ADIT_READ;
	if (t->out.coming)
		events &= ~(unsigned)ADIT_WRITE;
	return events;
}

static void
side_leave(struct side *s)
{
	adit_timer_free(s->timer);
	s->timer = NULL;
	side_arrive(s);
}

void
throttle_leave(struct throttle *t)
{
	side_leave(&t->in);
	side_leave(&t->out);
}

/* What was taken in advance goes back, or short conns would cost far more than they move. */
static void
side_settle(const struct side *s)
{
	uint64_t n = s->left < 0 ? (uint64_t)-s->left : (uint64_t)s->left, now = adit_now();

	if (n > BUCKET_TAKE_MAX)
		n = BUCKET_TAKE_MAX;
	for (size_t i = 0; i < THROTTLE_BUCKETS && s->buckets[i]; i++) {
		if (s->left < 0)
			bucket_take(s->buckets[i], n, now);
		else
			bucket_give(s->buckets[i], n);
	}
}

void
throttle_idle(struct throttle *t, unsigned dir)
{
	struct side *s = throttle_side(t, dir);

	if (!s->untouched)
		return;
	side_settle(s);
	s->left = 0;
	s->untouched = false;
}

void
throttle_free(struct throttle *t)
{
	if (!t)
		return;
	throttle_leave(t);
	side_settle(&t->in);
	side_settle(&t->out);
	t->gone(t->arg);
	free(t);
}

/* Those that are there, first. */
static void
side_init(struct side *s, struct bucket *const *buckets)
{
	size_t n = 0;

	for (size_t i = 0; i < THROTTLE_BUCKETS; i++)
		if (buckets[i])
			s->buckets[n++] = buckets[i];
}

int
conn_throttle(struct adit_conn *c, const struct throttle_conf *conf)
{
	struct throttle *t;

	if (c->core->throttle)
		return -EALREADY;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->core = c->core;
	t->gone = conf->gone;
	t->arg = conf->arg;
	side_init(&t->in, conf->in);
	side_init(&t->out, conf->out);
	c->core->throttle = t;
	return 0;
}
