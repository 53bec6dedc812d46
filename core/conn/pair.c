/*
 * The in-process pair. Where both ends are on one worker nothing is locked and a write wakes the
 * other end at once; across two workers a lock guards the bytes and each end is woken by one
 * message at a time, which stands in the part that both share.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/conn/conn.h"

struct pair;

struct pair_end {
	struct adit_conn	 base;
	struct pair		*pair;
	int			 side;
};

struct pair_side {
	struct adit_message	 wake;
	struct pair		*pair;
	struct pair_end		*end;		/* NULL once closed */
	struct adit_worker	*worker;
	struct queue		 in;		/* what this side has not read yet */
	bool			 in_ended;	/* the other one's shutdown or close */
	int			 in_err;	/* the other one's close with a reason */
	uint64_t		 in_code;
	bool			 out_blocked;	/* a write was refused: wake when there is room */
	bool			 waking;	/* wake is on its way */
};

struct pair {
	pthread_mutex_t		 lock;
	bool			 crossing;
	unsigned		 refs;		/* open ends and wakes on their way */
	struct chunk_pool	*pool;		/* of its own if crossing */
	struct pair_side	 sides[2];
};

static void
pair_lock(struct pair *p)
{
	if (p->crossing)
		pthread_mutex_lock(&p->lock);
}

static void
pair_unlock(struct pair *p)
{
	if (p->crossing)
		pthread_mutex_unlock(&p->lock);
}

static void
pair_free(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		if (p->sides[i].in.pool)
			queue_fini(&p->sides[i].in);
	if (p->crossing)
		chunk_pool_free(p->pool);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Drops a reference; p is locked, and unlocked or gone afterwards. */
static void
pair_drop(struct pair *p)
{
	bool last = --p->refs == 0;

	pair_unlock(p);
	if (last)
		pair_free(p);
}

/* What may be tried at that side. Locked. */
static unsigned
pair_events(const struct pair_side *s)
{
	const struct pair_side *other = &s->pair->sides[s == &s->pair->sides[0]];
	unsigned events = 0;

	if (s->in.len || s->in_ended || s->in_err)
		events |= ADIT_READ;
	if (queue_room(&other->in) || !other->end)
		events |= ADIT_WRITE;
	return events;
}

static void
pair_woken(struct adit_message *m, struct adit_worker *w)
{
	struct pair_side *s = adit_container_of(m, struct pair_side, wake);
	struct pair *p = s->pair;

	(void)w;
	pair_lock(p);
	s->waking = false;
	if (s->end)
		adit_conn_ready(&s->end->base, pair_events(s));
	pair_drop(p);
}

static void
pair_wake_discarded(struct adit_message *m)
{
	struct pair_side *s = adit_container_of(m, struct pair_side, wake);
	struct pair *p = s->pair;

	pair_lock(p);
	s->waking = false;
	pair_drop(p);
}

/* Locked; may be called by the other side's thread. */
static void
pair_wake(struct pair_side *s)
{
	struct pair *p = s->pair;

	if (!s->end)
		return;
	if (!p->crossing) {
		adit_conn_ready(&s->end->base, pair_events(s));
		return;
	}
	if (s->waking)
		return;
	s->waking = true;
	p->refs++;
	s->wake = (struct adit_message){ .run = pair_woken, .discard = pair_wake_discarded };
	/*
	 * The receiver takes the lock in its own turn: posting under it cannot deadlock, except
	 * when its worker has ended and discard runs here.
	 */
	pair_unlock(p);
	adit_worker_post(s->worker, &s->wake);
	pair_lock(p);
}

static struct pair_end *
pair_of(struct adit_conn *c)
{
	return adit_container_of(c, struct pair_end, base);
}

static ssize_t
pair_read(struct adit_conn *c, void *buf, size_t len)
{
	struct pair_end *end = pair_of(c);
	struct pair *p = end->pair;
	struct pair_side *s = &p->sides[end->side], *other = &p->sides[!end->side];
	ssize_t n;

	pair_lock(p);
	n = (ssize_t)queue_take(&s->in, buf, len);
	if (n > 0 && other->out_blocked) {
		other->out_blocked = false;
		pair_wake(other);
	}
	if (n == 0 && len) {
		n = s->in_err ? s->in_err : s->in_ended ? 0 : -EAGAIN;
		c->core->code = s->in_code;
	}
	pair_unlock(p);
	return n;
}

static ssize_t
pair_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct pair_end *end = pair_of(c);
	struct pair *p = end->pair;
	struct pair_side *s = &p->sides[end->side], *other = &p->sides[!end->side];
	ssize_t took;

	pair_lock(p);
	if (!other->end) {
		took = s->in_err ? s->in_err : -EPIPE;
	} else {
		took = (ssize_t)queue_addv(&other->in, iov, n);
		if (took)
			pair_wake(other);
		else
			took = conn_refused(c, &other->in);
	}
	if (took == -EAGAIN)
		s->out_blocked = true;
	pair_unlock(p);
	return took;
}

static int
pair_shutdown(struct adit_conn *c)
{
	struct pair_end *end = pair_of(c);
	struct pair_side *other = &end->pair->sides[!end->side];

	pair_lock(end->pair);
	other->in_ended = true;
	pair_wake(other);
	pair_unlock(end->pair);
	return 0;
}

static void
pair_close(struct adit_conn *c, int why)
{
	struct pair_end *end = pair_of(c);
	struct pair *p = end->pair;
	struct pair_side *s = &p->sides[end->side], *other = &p->sides[!end->side];

	pair_lock(p);
	s->end = NULL;
	queue_fini(&s->in);
	other->in_ended = true;
	if (why) {
		queue_fini(&other->in);
		other->in_err = why;
		other->in_code = c->core->code;
	}
	pair_wake(other);
	end->pair = NULL;
	pair_drop(p);
}

static void
pair_free_end(struct adit_conn *c)
{
	(void)c;
}

static const struct adit_conn_ops pair_ops = {
	.size = sizeof(pair_ops),
	.name = "pair",
	.read = pair_read,
	.writev = pair_writev,
	.shutdown = pair_shutdown,
	.close = pair_close,
	.free = pair_free_end,
};

static struct adit_conn *
pair_end_new(struct pair *p, int side, struct adit_worker *w, size_t cap)
{
	struct pair_end *end = adit_conn_new(w, &pair_ops, sizeof(*end), 0);
	struct pair_side *s = &p->sides[side];

	if (!end)
		return NULL;
	end->pair = p;
	end->side = side;
	*s = (struct pair_side){ .pair = p, .end = end, .worker = w };
	queue_init(&s->in, p->pool, cap);
	queue_yield(&s->in);
	p->refs++;
	adit_conn_ready(&end->base, ADIT_OPEN | ADIT_WRITE);
	return &end->base;
}

int
adit_conn_pair(struct adit_worker *wa, struct adit_worker *wb, size_t cap, struct adit_conn **a,
	       struct adit_conn **b)
{
	struct pair *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->crossing = wa != wb;
	pthread_mutex_init(&p->lock, NULL);
	p->pool = p->crossing ? chunk_pool_new(1, worker_memory(wa)) : worker_chunks(wa);
	*a = p->pool ? pair_end_new(p, 0, wa, cap) : NULL;
	*b = *a ? pair_end_new(p, 1, wb, cap) : NULL;
	if (*b)
		return 0;
	if (*a)
		adit_conn_close(*a, 0);
	else
		pair_free(p);
	*a = NULL;
	return -ENOMEM;
}
