#include "core/conn/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/tls_creds.h"
#include "core/runtime/memory.h"

#define IN_CAP 65536		/* read ahead of GnuTLS */
#define OUT_FULL 81920		/* no more records from here on: 64 KiB and their framing */
#define OUT_LOW 32768		/* records again */
#define OUT_CAP (256 * 1024)	/* with the last record, a flight, answers to key updates */
#define RECORD_MAX 16384	/* RFC 8446, 5.1 */
#define IDLE_RECORDS_MAX 32	/* without data, one after the other, in one read */
#define HANDSHAKE_MS 15000
#define CLOSE_IDLE_MS 10000	/* of a polite close: while lower takes nothing */
#define CLOSE_MS 60000		/* in all */
#define SESSION_COST 24576	/* what GnuTLS holds for one, about: counted as memory used */
#define READ_MAX 49152		/* of lower; with part of a record before it no more than the 64 KiB
				 * that owners read */
#define IOVECS 8

enum tls_state {
	TLS_WAITING,		/* lower is not open yet */
	TLS_HANDSHAKE,
	TLS_OPEN,
	TLS_FAILED,		/* the session is of no use any more */
	TLS_CLOSING,		/* closed by its owner; out is being sent */
};

enum tls_end {
	TLS_END_NONE,
	TLS_END_OWED,		/* shutdown came before the handshake was done */
	TLS_END_SAID,
};

struct tls {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned; NULL once closed */
	enum tls_state		 state;
	bool			 starved;	/* lower had nothing for the last pull */
	bool			 sated;		/* a read has something: lower is not asked */
	bool			 ended;		/* close_notify was read; closing: lower's end */
	bool			 alerted;	/* we sent a fatal alert */
	enum tls_end		 end;		/* our close_notify */
	int			 lower_err;	/* why reading or writing lower failed */
	unsigned		 handshake_ms;
	struct queue		 in, out;
	struct tls_session	 session;
	char			*alpn;		/* owned */
	uint64_t		 close_by;	/* TLS_CLOSING: when lower is cut */
};

/*
 * What is read from lower stands here while GnuTLS takes it, so that one call brings several
 * records and no conn needs a buffer of its own. One per worker: TLS within TLS finds it taken, and
 * reads into its queue.
 */
struct tls_buffer {
	struct tls	*user;		/* NULL: it is free */
	size_t		 start, len;	/* of what is left */
	uint8_t		 bytes[READ_MAX];
};

static struct tls *
tls_of(struct adit_conn *c)
{
	return adit_container_of(c, struct tls, base);
}

/* ---- between GnuTLS and lower ------------------------------------------- */

static struct tls_buffer *
tls_buffer(const struct tls *t)
{
	void **slot = worker_slot(adit_conn_worker(&t->base), SLOT_TLS, free);

	if (!*slot)
		*slot = calloc(1, sizeof(struct tls_buffer));
	return *slot;
}

/* Takes the buffer for what is read until tls_let_go. NULL: it is taken, or there is no memory. */
static struct tls_buffer *
tls_take_buffer(struct tls *t)
{
	struct tls_buffer *b = tls_buffer(t);

	if (!b || (b->user && b->user != t))
		return NULL;
	b->user = t;
	return b;
}

/* What GnuTLS was not asked to take is kept. Returns 0 or -ENOMEM. */
static int
tls_let_go(struct tls *t)
{
	struct tls_buffer *b = tls_buffer(t);
	size_t len;

	if (!b || b->user != t)
		return 0;
	len = b->len;
	b->user = NULL;
	b->len = 0;
	return queue_add(&t->in, b->bytes + b->start, len) < len ? -ENOMEM : 0;
}

/* Whether bytes were read from lower that GnuTLS did not take. */
static bool
tls_has_more(const struct tls *t)
{
	const struct tls_buffer *b = tls_buffer(t);

	return t->in.len || (b && b->user == t && b->len);
}

/* Reads from lower while it fills what it is given. > 0, 0 the end, or an error. */
static ssize_t
tls_fill_queue(struct tls *t)
{
	ssize_t n;
	size_t room;

	do {
		void *to = queue_reserve(&t->in, &room);

		if (!to)
			n = -ENOMEM;
		else
			n = adit_conn_read(t->lower, to, room);
		if (to)
			queue_commit(&t->in, n > 0 ? (size_t)n : 0);
	} while (n > 0 && (size_t)n == room && queue_room(&t->in));
	return t->in.len ? (ssize_t)t->in.len : n;
}

/* Bytes of the buffer, from lower if it is empty. > 0, 0 the end, or an error. */
static ssize_t
tls_pull_buffer(struct tls *t, struct tls_buffer *b, void *buf, size_t len)
{
	ssize_t n;

	if (!b->len) {
		n = adit_conn_read(t->lower, b->bytes, sizeof(b->bytes));
		if (n <= 0)
			return n;
		b->start = 0;
		b->len = (size_t)n;
	}
	if (len > b->len)
		len = b->len;
	memcpy(buf, b->bytes + b->start, len);
	b->start += len;
	b->len -= len;
	return (ssize_t)len;
}

static ssize_t
tls_pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
	struct tls *t = ptr;
	struct tls_buffer *b = t->in.len ? NULL : tls_take_buffer(t);
	ssize_t n;

	if (b) {
		n = b->len || !t->sated ? tls_pull_buffer(t, b, buf, len) : -EAGAIN;
	} else {
		n = t->in.len ? 1 : tls_fill_queue(t);
		if (n > 0)
			n = (ssize_t)queue_take(&t->in, buf, len);
	}
	if (n >= 0)
		return n;
	if (n == -EAGAIN)
		t->starved = true;
	else
		t->lower_err = (int)n;
	gnutls_transport_set_errno(t->session.tls, n == -EAGAIN ? EAGAIN : EIO);
	return -1;
}

/* Takes all, or the session ends: GnuTLS never learns of a lower conn that is slow. */
static ssize_t
tls_push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int n)
{
	struct tls *t = ptr;
	size_t len = iov_total(iov, n);

	if (queue_addv(&t->out, iov, n) == len)
		return (ssize_t)len;
	t->lower_err = -ENOBUFS;
	gnutls_transport_set_errno(t->session.tls, EIO);
	return -1;
}

/*
 * Sends what is in out as far as lower takes it, and tells the owner when there is room again.
 * Returns 0, also if some is left, or an error.
 */
static int
tls_flush(struct tls *t)
{
	while (t->out.len) {
		struct iovec iov[IOVECS];
		int n = queue_peek(&t->out, 0, iov, IOVECS);
		ssize_t sent = adit_conn_writev(t->lower, iov, n);

		if (sent == -EAGAIN)
			return 0;
		if (sent < 0) {
			queue_fini(&t->out);
			t->lower_err = (int)sent;
			return t->lower_err;
		}
		queue_drop(&t->out, (size_t)sent);
		if (t->state == TLS_OPEN && t->out.len <= OUT_LOW)
			adit_conn_ready(&t->base, ADIT_WRITE);
	}
	return 0;
}

/*
 * Asks of lower what the state, the queues and the owner's wishes need; the only place that does.
 */
static void
tls_want_lower(struct tls *t)
{
	unsigned want = t->out.len ? ADIT_WRITE : 0;

	if (t->state == TLS_WAITING)
		want = ADIT_OPEN;
	else if (t->state == TLS_HANDSHAKE)
		want |= ADIT_READ;
	else if (t->state == TLS_OPEN && !t->ended)
		want |= adit_conn_wanted(&t->base) & ADIT_READ;
	else if (t->state == TLS_CLOSING && !t->ended)
		want |= ADIT_READ;
	if (t->lower)
		adit_conn_want(t->lower, want);
}

/* ---- failures ----------------------------------------------------------- */

static void
tls_send_alert(struct tls *t, gnutls_alert_description_t alert)
{
	/* RFC 5246, 7.2.2: no_renegotiation is always a warning. */
	gnutls_alert_level_t level = alert == GNUTLS_A_NO_RENEGOTIATION ? GNUTLS_AL_WARNING :
									    GNUTLS_AL_FATAL;

	if (gnutls_alert_send(t->session.tls, level, alert) == 0)
		t->alerted = true;
	tls_flush(t);
}

/*
 * The code for the owner, the words for the log and the alert for the peer, for what GnuTLS
 * answered.
 */
static int
tls_describe(struct tls *t, int ret)
{
	bool opening = t->state == TLS_HANDSHAKE;
	char text[256];

	if (t->lower_err == -ETIMEDOUT && opening)
		conn_explain(&t->base, "the handshake took too long");
	if (t->lower_err) {
		conn_explain(&t->base, conn_failure(t->lower));
		return t->lower_err;
	}
	if (ret == GNUTLS_E_PREMATURE_TERMINATION && !opening)
		return ADIT_ETRUNCATED;
	if (ret == GNUTLS_E_PREMATURE_TERMINATION)
		snprintf(text, sizeof(text), "the peer ended the connection during the handshake");
	else
		tls_session_explain(&t->session, ret, text, sizeof(text));
	conn_explain(&t->base, text);
	if (ret != GNUTLS_E_PREMATURE_TERMINATION && ret != GNUTLS_E_FATAL_ALERT_RECEIVED)
		tls_send_alert(t, tls_session_alert(&t->session, ret));
	return ADIT_ETLS;
}

static int
tls_fail(struct tls *t, int ret)
{
	int err = tls_describe(t, ret);

	t->state = TLS_FAILED;
	queue_fini(&t->in);
	adit_conn_fail(&t->base, err);
	tls_want_lower(t);
	return err;
}

/* ---- the handshake ------------------------------------------------------ */

static void
tls_take_addresses(struct tls *t)
{
	adit_conn_set_local(&t->base, adit_conn_local(t->lower));
	adit_conn_set_remote(&t->base, adit_conn_remote(t->lower));
}

static int
tls_take_names(struct tls *t)
{
	const char *asked = tls_session_sni(&t->session), *alpn;
	uint16_t port = adit_conn_local(t->lower)->port;
	size_t len = 0;

	alpn = tls_session_alpn(&t->session, &len);
	if (alpn) {
		t->alpn = strndup(alpn, len);
		if (!t->alpn)
			return -ENOMEM;
	}
	if (!asked)
		asked = adit_conn_asked(t->lower, &port);
	return asked ? adit_conn_set_asked(&t->base, asked, port) : 0;
}

/* Appends close_notify, once. Returns 0 or GnuTLS's error. */
static int
tls_say_end(struct tls *t)
{
	if (t->end == TLS_END_SAID)
		return 0;
	t->end = TLS_END_SAID;
	return gnutls_bye(t->session.tls, GNUTLS_SHUT_WR);
}

static void
tls_opened(struct tls *t)
{
	t->state = TLS_OPEN;
	adit_conn_deadline(t->lower, 0);
	if (tls_take_names(t) < 0) {
		t->lower_err = -ENOMEM;
		tls_fail(t, GNUTLS_E_MEMORY_ERROR);
		return;
	}
	if (t->end == TLS_END_OWED)
		tls_say_end(t);
	adit_conn_ready(&t->base, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
}

static void
tls_handshake(struct tls *t)
{
	unsigned idle = 0;
	int ret;

	/* GnuTLS says "again" also where it dropped a record and more of them are there. */
	do {
		t->starved = false;
		ret = gnutls_handshake(t->session.tls);
	} while (ret < 0 && !gnutls_error_is_fatal(ret) && !t->starved &&
		 ++idle < IDLE_RECORDS_MAX);
	if (tls_let_go(t) < 0)
		ret = GNUTLS_E_MEMORY_ERROR;
	if (ret == 0)
		tls_opened(t);
	else if (gnutls_error_is_fatal(ret))
		tls_fail(t, ret);
	else if (!t->starved)
		tls_fail(t, GNUTLS_E_TOO_MANY_EMPTY_PACKETS);
	if (t->state != TLS_FAILED && tls_flush(t) < 0)
		tls_fail(t, GNUTLS_E_PUSH_ERROR);
}

static void
tls_start(struct tls *t)
{
	int err = adit_conn_err(t->lower);

	if (err) {
		t->lower_err = err;
		tls_fail(t, GNUTLS_E_PULL_ERROR);
		return;
	}
	if (!adit_conn_is_open(t->lower))
		return;
	tls_take_addresses(t);
	adit_conn_deadline(t->lower, t->handshake_ms);
	t->state = TLS_HANDSHAKE;
	tls_handshake(t);
}

/* ---- the end ------------------------------------------------------------ */

static void
tls_close_lower(struct tls *t, int why)
{
	struct adit_conn *lower = t->lower;

	t->lower = NULL;
	queue_fini(&t->in);
	queue_fini(&t->out);
	adit_conn_close(lower, why);
}

/*
 * Takes what arrives and drops it: two ends that close at the same time, with full pipes both ways,
 * would wait for each other else. The scratch is free: the owner is gone, and nobody else is in a
 * callback.
 */
static int
tls_discard(struct tls *t)
{
	size_t len;
	void *scratch = adit_worker_scratch(adit_conn_worker(&t->base), &len);
	ssize_t n = adit_conn_read(t->lower, scratch, len);

	t->ended |= n == 0;
	return n < 0 && n != -EAGAIN ? (int)n : 0;
}

/* Whoever reads slowly gets all of it, whoever does not read is not waited for. */
static void
tls_limit_close(struct tls *t)
{
	uint64_t now = adit_now(), left = t->close_by > now ? t->close_by - now : 0;

	if (left > ADIT_MS(CLOSE_IDLE_MS))
		left = ADIT_MS(CLOSE_IDLE_MS);
	adit_conn_deadline(t->lower, 1 + (unsigned)(left / ADIT_MS(1)));
}

/* Closed by its owner, with bytes or an alert still to send. */
static void
tls_drain(struct tls *t)
{
	size_t before = t->out.len;
	int err = tls_flush(t);

	if (!err && t->out.len && !t->ended)
		err = tls_discard(t);
	if (!err)
		err = adit_conn_err(t->lower);		/* the limit passed */
	if (!err && t->out.len) {
		if (t->out.len < before)
			tls_limit_close(t);
		tls_want_lower(t);
		return;
	}
	tls_close_lower(t, err);
	adit_conn_release(&t->base);
}

static void
tls_lower_ready(void *owner, struct adit_conn *lower, unsigned events)
{
	struct tls *t = owner;

	(void)lower;
	/* Failed from above, by a deadline: the owner will close. */
	if (adit_conn_err(&t->base) && t->state < TLS_OPEN)
		t->state = TLS_FAILED;
	switch (t->state) {
	case TLS_WAITING:
		tls_start(t);
		break;
	case TLS_HANDSHAKE:
		tls_handshake(t);
		break;
	case TLS_OPEN:
		if ((events & ADIT_WRITE) && tls_flush(t) < 0)
			adit_conn_fail(&t->base, t->lower_err);
		if (events & ADIT_READ)
			adit_conn_ready(&t->base, ADIT_READ);
		break;
	case TLS_FAILED:
		tls_flush(t);
		break;
	case TLS_CLOSING:
		tls_drain(t);
		return;
	}
	tls_want_lower(t);
}

/* ---- operations --------------------------------------------------------- */

/* Bytes, 0 the end, a failure of GnuTLS's, or GNUTLS_E_AGAIN: lower has no more. */
static ssize_t
tls_recv(struct tls *t, void *buf, size_t len)
{
	for (unsigned idle = 0; idle < IDLE_RECORDS_MAX; idle++) {
		ssize_t n;

		t->starved = false;
		n = gnutls_record_recv(t->session.tls, buf, len);
		if (n >= 0 || t->starved || n == GNUTLS_E_REHANDSHAKE ||
		    gnutls_error_is_fatal((int)n))
			return n;
		/*
		 * An empty record, a key update, a warning: GnuTLS says "again" and more is there.
		 */
	}
	return GNUTLS_E_TOO_MANY_EMPTY_PACKETS;
}

static ssize_t
tls_read(struct adit_conn *c, void *buf, size_t len)
{
	struct tls *t = tls_of(c);
	size_t got = 0;
	ssize_t n;

	if (t->state != TLS_OPEN)
		return -EAGAIN;		/* or why it failed: adit_conn_read knows */
	if (t->ended || !len)
		return 0;
	/*
	 * With something in hand lower is not asked for more; part of a record waits for the next.
	 */
	do {
		n = tls_recv(t, (uint8_t *)buf + got, len - got);
		if (n > 0)
			got += (size_t)n;
		t->sated = got;
	} while (n > 0 && got < len && tls_has_more(t));
	t->sated = false;
	if (tls_let_go(t) < 0)
		n = GNUTLS_E_MEMORY_ERROR;
	if (n == 0)
		t->ended = true;
	if (n < 0 && n != GNUTLS_E_AGAIN)
		tls_fail(t, (int)n);
	else if (tls_flush(t) < 0)	/* the answer to a key update */
		adit_conn_fail(c, t->lower_err);
	tls_want_lower(t);
	if (got)
		return (ssize_t)got;
	return n < 0 ? -EAGAIN : 0;	/* if it failed: as above */
}

/*
 * Makes one record of what is left of iov from *at in *i on. Returns the bytes in it or a GnuTLS
 * error.
 */
static ssize_t
tls_record(struct tls *t, const struct iovec *iov, int n, int *i, size_t *at)
{
	uint8_t gathered[RECORD_MAX];
	size_t len = 0;

	while (*i < n && *at == iov[*i].iov_len) {
		++*i;
		*at = 0;
	}
	/* A whole record, or all there is, lies in one piece: no copy. */
	if (*i < n && (iov[*i].iov_len - *at >= RECORD_MAX || *i == n - 1)) {
		ssize_t sent = gnutls_record_send(t->session.tls, (uint8_t *)iov[*i].iov_base + *at,
						  iov[*i].iov_len - *at);

		if (sent > 0)
			*at += (size_t)sent;
		return sent;
	}
	while (*i < n && len < RECORD_MAX) {
		size_t piece = iov[*i].iov_len - *at;

		if (piece > RECORD_MAX - len)
			piece = RECORD_MAX - len;
		if (piece)		/* an empty one may be at NULL */
			memcpy(gathered + len, (uint8_t *)iov[*i].iov_base + *at, piece);
		len += piece;
		*at += piece;
		if (*at == iov[*i].iov_len) {
			++*i;
			*at = 0;
		}
	}
	return len ? gnutls_record_send(t->session.tls, gathered, len) : 0;
}

static ssize_t
tls_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct tls *t = tls_of(c);
	size_t took = 0, at = 0;
	ssize_t sent;
	int i = 0;

	if (t->state != TLS_OPEN)
		return -EAGAIN;
	do {
		for (sent = 1; sent > 0 && t->out.len < OUT_FULL;) {
			sent = tls_record(t, iov, n, &i, &at);
			if (sent > 0)
				took += (size_t)sent;
		}
		if (sent < 0)
			return tls_fail(t, (int)sent);
		if (tls_flush(t) < 0)
			return t->lower_err;
	} while (sent > 0 && t->out.len < OUT_FULL);
	tls_want_lower(t);
	return took || t->out.len < OUT_FULL ? (ssize_t)took : -EAGAIN;
}

static int
tls_shutdown(struct adit_conn *c)
{
	struct tls *t = tls_of(c);
	int ret;

	if (t->state != TLS_OPEN) {
		t->end = TLS_END_OWED;
		return 0;
	}
	ret = tls_say_end(t);
	if (ret < 0)
		return tls_fail(t, ret);
	if (tls_flush(t) < 0)
		return t->lower_err;
	tls_want_lower(t);
	return 0;
}

/* The last things to say, into out. Returns why lower is to be closed. */
static int
tls_last_words(struct tls *t, int why)
{
	if (t->state == TLS_OPEN && !t->lower_err) {
		if (!why)
			tls_say_end(t);
		else if (!t->out.len)
			tls_send_alert(t, GNUTLS_A_INTERNAL_ERROR);
		return why;
	}
	/* A peer that was told why by an alert is not to lose it to a reset. */
	if (t->state == TLS_FAILED && t->alerted)
		return 0;
	queue_fini(&t->out);
	return why;
}

static void
tls_close(struct adit_conn *c, int why)
{
	struct tls *t = tls_of(c);

	why = tls_last_words(t, why);
	if (tls_flush(t) < 0 && !why)
		why = t->lower_err;
	if (why || !t->out.len) {
		tls_close_lower(t, why);
		return;
	}
	t->state = TLS_CLOSING;
	t->ended = false;		/* of lower, from here on */
	queue_fini(&t->in);
	t->close_by = adit_now() + ADIT_MS(CLOSE_MS);
	adit_conn_hold(c);
	tls_limit_close(t);
	tls_want_lower(t);
}

/* A worker that ends waits less long than we would. */
static void
tls_cut(struct adit_conn *c)
{
	struct tls *t = tls_of(c);

	if (t->state != TLS_CLOSING || !t->lower)
		return;
	tls_close_lower(t, ADIT_ESTOPPED);
	adit_conn_release(c);
}

static void
tls_free(struct adit_conn *c)
{
	struct tls *t = tls_of(c);

	tls_session_fini(&t->session);
	free(t->alpn);
	memory_give(worker_memory(adit_conn_worker(c)), SESSION_COST);
}

static void
tls_want(struct adit_conn *c)
{
	tls_want_lower(tls_of(c));
}

/* In the lower conn's bytes: those of our queue will be the next it takes. */
static int
tls_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	struct tls *t = tls_of(c);
	int err = t->lower ? adit_conn_delivery(t->lower, d) : -ENOTSUP;

	if (!err)
		d->taken += t->out.len;
	return err;
}

static const struct adit_certificate *
tls_certificate(struct adit_conn *c)
{
	struct tls *t = tls_of(c);

	return t->state == TLS_OPEN ? tls_session_peer(&t->session) : NULL;
}

static const struct adit_conn_ops tls_ops = {
	.size = sizeof(tls_ops),
	.name = "tls",
	.read = tls_read,
	.writev = tls_writev,
	.shutdown = tls_shutdown,
	.close = tls_close,
	.free = tls_free,
	.want = tls_want,
	.cut = tls_cut,
	.delivery = tls_delivery,
	.certificate = tls_certificate,
};

/* ---- making them -------------------------------------------------------- */

static struct adit_conn *
tls_new(struct adit_conn *lower, struct tls_creds *creds, const char *host, struct adit_err *e)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct tls *t;

	if (adit_conn_flags(lower) & ADIT_CONN_DGRAM) {
		adit_err_set(e, -EINVAL, "tls: no stream below");
		goto fail;
	}
	t = adit_conn_new(w, &tls_ops, sizeof(*t), ADIT_CONN_SECURE);
	if (!t) {
		adit_err_set(e, -ENOMEM, "out of memory");
		goto fail;
	}
	memory_take(worker_memory(w), SESSION_COST);
	queue_init(&t->in, worker_chunks(w), IN_CAP);
	queue_init(&t->out, worker_chunks(w), OUT_CAP);
	t->lower = lower;
	t->handshake_ms = HANDSHAKE_MS;
	if (tls_session_init(&t->session, creds, 0, host, e) < 0) {
		adit_conn_close(&t->base, ADIT_ETLS);
		return NULL;
	}
	gnutls_transport_set_ptr(t->session.tls, t);
	gnutls_transport_set_pull_function(t->session.tls, tls_pull);
	gnutls_transport_set_vec_push_function(t->session.tls, tls_push);
	tls_take_addresses(t);
	adit_conn_set_service(&t->base, adit_conn_service(lower));
	adit_conn_own(lower, tls_lower_ready, t);
	tls_want_lower(t);
	return &t->base;
fail:
	adit_conn_close(lower, ADIT_ETLS);
	return NULL;
}

struct adit_conn *
tls_client(struct adit_conn *lower, struct tls_creds *creds, const char *host, struct adit_err *e)
{
	assert(creds->policy->side == TLS_CLIENT);
	return tls_new(lower, creds, host, e);
}

struct adit_conn *
tls_client_of(struct adit_conn *lower, struct tls_source *source, const char *host,
	      struct adit_err *e)
{
	struct tls_creds *creds = tls_creds_current(source);
	struct adit_conn *c = tls_client(lower, creds, host, e);

	tls_creds_put(creds);
	return c;
}

struct adit_conn *
tls_server(struct adit_conn *lower, struct tls_creds *creds, struct adit_err *e)
{
	assert(creds->policy->side == TLS_SERVER);
	return tls_new(lower, creds, NULL, e);
}

void
tls_set_handshake_limit(struct adit_conn *c, unsigned ms)
{
	tls_of(c)->handshake_ms = ms;
}

/* ---- asking ------------------------------------------------------------- */

static const struct tls *
tls_or_null(const struct adit_conn *c)
{
	return c && c->ops == &tls_ops ? adit_container_of((uintptr_t)c, struct tls, base) : NULL;
}

const char *
tls_alpn(const struct adit_conn *c)
{
	const struct tls *t = tls_or_null(c);

	return t ? t->alpn : NULL;
}

const char *
tls_sni(const struct adit_conn *c)
{
	const struct tls *t = tls_or_null(c);

	return t ? tls_session_sni(&t->session) : NULL;
}
