#include "tests/unit/jitter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct jitter {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned */
	struct jitter_opts	 opts;
	struct adit_timer	*later;		/* tells of readiness after an -EAGAIN of ours */
};

static struct jitter *
jitter_of(struct adit_conn *c)
{
	return adit_container_of(c, struct jitter, base);
}

uint64_t
jitter_seed(void)
{
	static uint64_t seed;
	const char *given = getenv("ADIT_SEED");

	if (seed)
		return seed;
	if (given)
		seed = strtoull(given, NULL, 0);
	while (!seed)
		adit_random(&seed, sizeof(seed));
	printf("ADIT_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

uint32_t
jitter_next(uint64_t *seed)
{
	/* splitmix64, the upper half */
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) >> 32);
}

/* What lower told is passed on once; it is asked again when an operation has found nothing. */
static void
jitter_woken(void *owner, struct adit_conn *lower, unsigned events)
{
	struct jitter *j = owner;

	adit_conn_want(lower, adit_conn_wanted(lower) & ~events);
	if (adit_conn_err(lower) && !adit_conn_is_open(&j->base))
		adit_conn_fail(&j->base, adit_conn_err(lower));
	else
		adit_conn_ready(&j->base, events);
}

static void
jitter_later(void *arg)
{
	struct jitter *j = arg;

	adit_conn_ready(&j->base, ADIT_READ | ADIT_WRITE);
}

static bool
jitter_refuses(struct jitter *j)
{
	if (jitter_next(&j->opts.seed) % 100 >= j->opts.again)
		return false;
	adit_timer_set(j->later, 0);
	return true;
}

static void
jitter_ask(struct jitter *j, unsigned events)
{
	adit_conn_want(j->lower, adit_conn_wanted(j->lower) | events);
}

static ssize_t
jitter_read(struct adit_conn *c, void *buf, size_t len)
{
	struct jitter *j = jitter_of(c);
	ssize_t n;

	if (j->opts.read_max && len > j->opts.read_max)
		len = 1 + jitter_next(&j->opts.seed) % j->opts.read_max;
	/* A failure has no later: bytes that had arrived are given before it, without a break. */
	if (!adit_conn_err(c) && jitter_refuses(j))
		return -EAGAIN;
	n = adit_conn_read(j->lower, buf, len);
	if (n == -EAGAIN)
		jitter_ask(j, ADIT_READ);
	if (n < 0)
		adit_conn_set_code(c, adit_conn_code(j->lower));
	return n;
}

static ssize_t
jitter_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct jitter *j = jitter_of(c);
	struct iovec first;
	ssize_t took;

	if (jitter_refuses(j))
		return -EAGAIN;
	while (n > 1 && !iov->iov_len) {
		iov++;
		n--;
	}
	if (j->opts.write_max && n && iov->iov_len > j->opts.write_max) {
		first = *iov;
		first.iov_len = 1 + jitter_next(&j->opts.seed) % j->opts.write_max;
		took = adit_conn_writev(j->lower, &first, 1);
	} else {
		took = adit_conn_writev(j->lower, iov, n);
	}
	if (took == -EAGAIN)
		jitter_ask(j, ADIT_WRITE);
	return took;
}

static int
jitter_shutdown(struct adit_conn *c)
{
	struct jitter *j = jitter_of(c);

	return j->opts.no_half_close ? -ENOTSUP : adit_conn_shutdown(j->lower);
}

static void
jitter_close(struct adit_conn *c, int why)
{
	struct jitter *j = jitter_of(c);

	adit_timer_stop(j->later);
	adit_conn_set_code(j->lower, adit_conn_code(c));
	adit_conn_close(j->lower, why);
}

static void
jitter_free(struct adit_conn *c)
{
	adit_timer_free(jitter_of(c)->later);
}

static int
jitter_splice_fd(struct adit_conn *c, unsigned dir)
{
	struct jitter *j = jitter_of(c);

	(void)dir;
	return j->opts.splice_fd ? j->opts.splice_fd : -1;
}

static const struct adit_conn_ops jitter_ops = {
	.size = sizeof(jitter_ops),
	.name = "jitter",
	.read = jitter_read,
	.writev = jitter_writev,
	.shutdown = jitter_shutdown,
	.close = jitter_close,
	.free = jitter_free,
	.splice_fd = jitter_splice_fd,
};

struct adit_conn *
jitter_conn(struct adit_conn *lower, const struct jitter_opts *opts)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct jitter *j = adit_conn_new(w, &jitter_ops, sizeof(*j), adit_conn_flags(lower));

	if (!j) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	j->lower = lower;
	j->opts = *opts;
	if (adit_conn_flags(lower) & ADIT_CONN_DGRAM)
		j->opts.read_max = j->opts.write_max = 0;
	adit_conn_own(lower, jitter_woken, j);
	j->later = adit_timer_new(w, jitter_later, j);
	if (!j->later) {
		adit_conn_close(&j->base, -ENOMEM);
		return NULL;
	}
	adit_conn_want(lower, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
	return &j->base;
}
