#include "core/conn/framed.h"

#include <errno.h>
#include <stdlib.h>

#include "core/conn/conn.h"
#include "core/runtime/queue.h"
#include "core/wire/dgram.h"

#define FRAME_MAX (UDPTUN_HEADER_MAX + DGRAM_MAX)
#define IN_CAP	  (FRAME_MAX + 16384)	/* the longest, and what one read brings beside it */
#define OUT_CAP	  (FRAME_MAX + 65536)	/* the longest always fits a queue half full */
#define FLUSH_AT  32768			/* bytes that are not kept until the turn's end */
#define VECS	  8

struct framed {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned; NULL once closed */
	struct queue		 in, out;
	struct wire_addr	*to;		/* owned; NULL: frames are lengths alone */
	bool			 open;
};

static struct framed *
framed_of(struct adit_conn *c)
{
	return adit_container_of(c, struct framed, base);
}

/* What lower failed with, in its own words too. */
static int
framed_failure(struct framed *f, int err)
{
	if (!adit_conn_code(&f->base))
		adit_conn_set_code(&f->base, adit_conn_code(f->lower));
	conn_explain(&f->base, conn_failure(f->lower));
	return err;
}

static void
framed_want(struct adit_conn *c)
{
	struct framed *f = framed_of(c);

	if (!f->lower || !f->open)
		return;
	adit_conn_want(f->lower, (adit_conn_wanted(c) & ADIT_READ) |
					 (f->out.len ? (unsigned)ADIT_WRITE : 0));
}

/* ---- reading ---------------------------------------------------------------------- */

/* More bytes from below. 0, -EAGAIN, or how it ended. */
static int
framed_fill(struct framed *f)
{
	int err = conn_fill_queue(f->lower, &f->in);

	return err && err == adit_conn_err(f->lower) ? framed_failure(f, err) : err;
}

/*
 * The frame at the front, as far as it is there: its header's length (0: more is needed to tell, or
 * -EBADMSG) and its payload's.
 */
static ssize_t
framed_head(const struct framed *f, size_t *payload)
{
	uint8_t head[UDPTUN_HEADER_MAX];
	size_t n = queue_copy(&f->in, 0, head, sizeof(head));
	struct wire_addr from;

	if (f->to)
		return udptun_decode_header(head, n, payload, &from, NULL);
	*payload = dgram_need(head, n) - DGRAM_HEADER_LEN;
	return n < DGRAM_HEADER_LEN ? 0 : DGRAM_HEADER_LEN;
}

static ssize_t
framed_read(struct adit_conn *c, void *buf, size_t len)
{
	struct framed *f = framed_of(c);
	size_t size, n;

	for (;;) {
		ssize_t head = framed_head(f, &size);
		int err;

		if (head < 0)
			return head;
		if (head && f->in.len >= (size_t)head + size) {
			queue_drop(&f->in, (size_t)head);
			break;
		}
		err = framed_fill(f);
		if (err)
			return err;
	}
	n = queue_take(&f->in, buf, size < len ? size : len);
	queue_drop(&f->in, size - n);
	return (ssize_t)n;
}

/* ---- writing ---------------------------------------------------------------------- */

/* 0, -EAGAIN while something is left, or lower's failure. */
static int
framed_flush(struct framed *f)
{
	struct iovec iov[VECS];

	while (f->out.len) {
		ssize_t n = adit_conn_writev(f->lower, iov, queue_peek(&f->out, 0, iov, VECS));

		if (n < 0)
			return (int)n;
		queue_drop(&f->out, (size_t)n);
	}
	return 0;
}

/*
 * Whole, or -EAGAIN. Without memory it is lost, as anywhere on the way; so is what its framing has
 * no words for.
 */
static int
framed_queue(struct framed *f, const struct iovec *iov, int n, size_t len)
{
	size_t before = f->out.len;
	uint8_t head[UDPTUN_HEADER_MAX];
	ssize_t head_len = f->to ? udptun_encode_header(len, f->to, head) :
				   dgram_encode_header(len, head);

	if (head_len < 0)
		return 0;
	if (queue_room(&f->out) < (size_t)head_len + len)
		return -EAGAIN;
	if (queue_add(&f->out, head, (size_t)head_len) == (size_t)head_len &&
	    queue_addv(&f->out, iov, n) == len)
		return 0;
	queue_truncate(&f->out, before);
	return 0;
}

static ssize_t
framed_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct framed *f = framed_of(c);
	size_t len = iov_total(iov, n);
	int err = 0;

	if (len > DGRAM_MAX)
		return -EMSGSIZE;
	if (f->out.len >= FLUSH_AT)
		err = framed_flush(f);
	if (err && err != -EAGAIN)
		return framed_failure(f, err);
	err = framed_queue(f, iov, n, len);
	framed_want(c);
	return err ? err : (ssize_t)len;
}

/* ---- the conn below ------------------------------------------------------------------ */

static void
framed_open(struct framed *f)
{
	struct adit_conn *c = &f->base;
	uint16_t port;
	const char *host = adit_conn_asked(f->lower, &port);

	adit_conn_add_flags(c, adit_conn_flags(f->lower) & ADIT_CONN_SECURE);
	adit_conn_set_local(c, adit_conn_local(f->lower));
	adit_conn_set_remote(c, adit_conn_remote(f->lower));
	if (host && adit_conn_set_asked(c, host, port) < 0) {
		adit_conn_fail(c, -ENOMEM);
		return;
	}
	f->open = true;
	adit_conn_ready(c, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
	framed_want(c);
}

static void
framed_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct framed *f = owner;
	int err = f->open ? framed_flush(f) : adit_conn_err(lower);

	if (err && err != -EAGAIN) {
		queue_fini(&f->out);
		adit_conn_fail(&f->base, framed_failure(f, err));
		adit_conn_want(lower, f->open ? adit_conn_wanted(&f->base) & ADIT_READ : 0);
	} else if (!f->open) {
		framed_open(f);
	} else {
		adit_conn_ready(&f->base, (events & ADIT_READ) |
						  (queue_room(&f->out) >= FRAME_MAX ?
							   (unsigned)ADIT_WRITE : 0));
		framed_want(&f->base);
	}
}

/* ---- as a conn ---------------------------------------------------------------------- */

static int
framed_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;		/* a flow has no end */
}

/* What cannot be sent at once is lost; half a datagram is no polite end. */
static void
framed_close(struct adit_conn *c, int why)
{
	struct framed *f = framed_of(c);

	if (!f->lower)
		return;
	if (!why && f->out.len && framed_flush(f) < 0)
		why = -ECONNABORTED;
	queue_fini(&f->out);
	adit_conn_set_code(f->lower, adit_conn_code(c));
	adit_conn_close(f->lower, why);
	f->lower = NULL;
}

static void
framed_free(struct adit_conn *c)
{
	struct framed *f = framed_of(c);

	queue_fini(&f->in);
	queue_fini(&f->out);
	free(f->to);
}

static struct adit_mux *
framed_mux(struct adit_conn *c)
{
	struct framed *f = framed_of(c);

	return f->lower ? adit_conn_mux(f->lower) : NULL;
}

static void
framed_agree(struct adit_conn *c)
{
	struct framed *f = framed_of(c);

	if (f->lower)
		adit_conn_agree(f->lower);
}

static const struct adit_conn_ops framed_ops = {
	.size = sizeof(framed_ops),
	.name = "framed",
	.read = framed_read,
	.writev = framed_writev,
	.shutdown = framed_shutdown,
	.close = framed_close,
	.free = framed_free,
	.want = framed_want,
	.mux = framed_mux,
	.agree = framed_agree,
};

struct adit_conn *
framed_conn(struct adit_conn *lower)
{
	struct framed *f = NULL;

	if (lower)
		f = adit_conn_new(adit_conn_worker(lower), &framed_ops, sizeof(*f),
				  ADIT_CONN_DGRAM);
	if (!f) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	f->lower = lower;
	queue_init(&f->in, worker_chunks(adit_conn_worker(lower)), IN_CAP);
	queue_init(&f->out, worker_chunks(adit_conn_worker(lower)), OUT_CAP);
	adit_conn_own(lower, framed_event, f);
	if (adit_conn_is_open(lower))
		framed_open(f);
	else
		adit_conn_want(lower, ADIT_OPEN);
	return &f->base;
}

struct adit_conn *
framed_conn_to(struct adit_conn *lower, const struct wire_addr *to)
{
	struct adit_conn *c = framed_conn(lower);
	struct framed *f;

	if (!c)
		return NULL;
	f = framed_of(c);
	f->to = malloc(sizeof(*to));
	if (!f->to) {
		adit_conn_close(c, -ENOMEM);
		return NULL;
	}
	*f->to = *to;
	return c;
}
