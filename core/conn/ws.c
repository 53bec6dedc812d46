#include "core/conn/ws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/http/h1_parse.h"
#include "core/wire/ws_unpack.h"

#define HEAD_MAX 16384		/* of a request or response */
#define INTERIM_MAX 16		/* responses before the answer; HEAD_MAX is of all of them */
#define HANDSHAKE_MS 15000
#define FRAME_MAX 65536		/* most payload in one of ours, unless configured */
#define OUT_FULL 65536		/* no more frames from here on */
#define OUT_LOW 32768		/* frames again */
#define OUT_CAP (OUT_FULL + FRAME_MAX + 4096)	/* with the last one, and control frames */
#define CLOSE_IDLE_MS 10000	/* of a polite close: while lower takes nothing */
#define CLOSE_MS 60000		/* in all */
#define READS_MAX 16		/* of lower in a row that bring control frames only */
#define IOVECS 16

enum ws_state {
	WS_WAITING,		/* lower is not open yet */
	WS_HANDSHAKE,
	WS_OPEN,
	WS_FAILED,
	WS_CLOSING,		/* closed by its owner; out is being sent */
};

struct ws {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned; NULL once closed */
	struct ws_policy	*policy;	/* a reference */
	enum ws_state		 state;
	bool			 client;
	bool			 ended;		/* no more comes; closing: lower has ended */
	bool			 told;		/* the peer knows why: by 1002, or a status */
	bool			 parted;	/* our Close frame is queued, or sent */
	bool			 blocked;	/* lower took nothing of what passes by out */
	int			 fault;		/* what the next read answers; 0: none */

	/* the handshake */
	struct h1_parser	 parser;
	size_t			 head_bytes;
	unsigned		 interim;	/* client: responses before the answer */
	char			*host;		/* client, until its request is written; owned */
	char			 accept[WS_ACCEPT_TEXT];

	struct ws_unpack	 in;		/* receiving */

	/* sending */
	struct queue		 out;
	uint8_t			 pong[WS_CONTROL_MAX];	/* owed, while pong_owed */
	size_t			 pong_len;
	bool			 pong_owed;
	uint8_t			 keys[16][WS_KEY_LEN];	/* client: fresh random bytes */
	unsigned		 n_keys;

	/* time */
	struct adit_timer	*pinger;	/* NULL: no pings */
	uint64_t		 asked;		/* first ping since something came; 0: none */
	uint64_t		 close_by;	/* WS_CLOSING: when lower is cut */
};

static struct ws *
ws_of(struct adit_conn *c)
{
	return adit_container_of(c, struct ws, base);
}

/* ---- toward lower --------------------------------------------------------------- */

/*
 * Asks of lower what the state, the queue and the owner's wishes need; the only place that does.
 */
static void
ws_want_lower(struct ws *w)
{
	unsigned want = w->out.len || w->blocked ? ADIT_WRITE : 0;

	if (w->state == WS_WAITING)
		want = ADIT_OPEN;
	else if (w->state == WS_HANDSHAKE)
		want |= ADIT_READ;
	else if (w->state == WS_OPEN && !w->ended && !w->fault)
		want |= adit_conn_wanted(&w->base) & ADIT_READ;
	else if (w->state == WS_CLOSING && !w->ended)
		want |= ADIT_READ;
	if (w->lower)
		adit_conn_want(w->lower, want);
}

static int
ws_fail(struct ws *w, int err)
{
	w->state = WS_FAILED;
	conn_explain(&w->base, conn_failure(w->lower));
	adit_conn_fail(&w->base, err);
	ws_want_lower(w);
	return err;
}

/* A frame of our own, whole into the queue. Returns 0, or what ws_fail did. */
static int
ws_queue_frame(struct ws *w, uint8_t opcode, const void *payload, size_t len)
{
	struct ws_frame f = { .fin = true, .opcode = opcode, .masked = w->client, .len = len };
	uint8_t bytes[WS_HEAD_MAX + WS_CONTROL_MAX];
	size_t n;

	if (w->client)
		w->policy->conf.random(f.key, WS_KEY_LEN);
	n = ws_encode(&f, bytes);
	if (w->client)
		ws_mask(bytes + n, payload, len, f.key, 0);
	else if (len)
		memcpy(bytes + n, payload, len);
	return queue_add(&w->out, bytes, n + len) < n + len ? -ENOMEM : 0;
}

/* What is owed to a ping goes when there is room: the frames before it are the peer's to take. */
static void
ws_queue_pong(struct ws *w)
{
	if (!w->pong_owed || w->state != WS_OPEN || w->out.len >= OUT_FULL)
		return;
	w->pong_owed = false;
	if (ws_queue_frame(w, WS_PONG, w->pong, w->pong_len) < 0)
		ws_fail(w, -ENOMEM);
}

/*
 * Sends what is in out as far as lower takes it, and tells the owner when there is room again.
 * Returns 0, also if some is left, or an error.
 */
static int
ws_flush(struct ws *w)
{
	ws_queue_pong(w);
	while (w->out.len) {
		struct iovec iov[IOVECS];
		int n = queue_peek(&w->out, 0, iov, IOVECS);
		ssize_t sent = adit_conn_writev(w->lower, iov, n);

		if (sent == -EAGAIN)
			return 0;
		if (sent < 0) {
			queue_fini(&w->out);
			return (int)sent;
		}
		queue_drop(&w->out, (size_t)sent);
		if (w->state == WS_OPEN && w->out.len <= OUT_LOW)
			adit_conn_ready(&w->base, ADIT_WRITE);
		ws_queue_pong(w);
	}
	return 0;
}

/* The same; who has said good-bye need not hear us answer it. */
static int
ws_flush_some(struct ws *w)
{
	int err = ws_flush(w);

	return w->parted ? 0 : err;
}

/* The peer has broken the protocol: it is told, and what is read before comes first. */
static int
ws_protocol_fault(struct ws *w, const char *why)
{
	static const uint8_t code[2] = { WS_CODE_PROTOCOL >> 8, WS_CODE_PROTOCOL & 0xff };

	conn_explain(&w->base, why);
	w->told = w->parted = ws_queue_frame(w, WS_CLOSE, code, sizeof(code)) == 0;
	w->fault = -EPROTO;
	return w->fault;
}

/* ---- the handshake -------------------------------------------------------------- */

static void
ws_take_addresses(struct ws *w)
{
	adit_conn_set_local(&w->base, adit_conn_local(w->lower));
	adit_conn_set_remote(&w->base, adit_conn_remote(w->lower));
}

static int
ws_take_names(struct ws *w)
{
	uint16_t port;
	const char *asked = adit_conn_asked(w->lower, &port);

	return asked ? adit_conn_set_asked(&w->base, asked, port) : 0;
}

static void
ws_tick(void *arg)
{
	struct ws *w = arg;
	uint64_t now = adit_now(), period = w->policy->conf.ping;
	int err = 0;

	/* One that is not read says nothing: that is our owner's doing. */
	if (!(adit_conn_wanted(&w->base) & ADIT_READ))
		w->asked = 0;
	if (w->state != WS_OPEN || w->ended)
		return;
	if (w->asked && now - w->asked >= 2 * period) {
		conn_explain(&w->base, "pings are not answered");
		ws_fail(w, ADIT_EPEERDEAD);
		return;
	}
	if (!w->asked)
		w->asked = now;
	if (w->out.len < OUT_FULL)
		err = ws_queue_frame(w, WS_PING, NULL, 0);
	if (!err)
		err = ws_flush(w);
	if (err)
		ws_fail(w, err);
	if (w->state != WS_OPEN)
		return;
	adit_timer_set(w->pinger, period);
	ws_want_lower(w);
}

static void
ws_opened(struct ws *w)
{
	h1_parser_fini(&w->parser);
	w->state = WS_OPEN;
	adit_conn_deadline(w->lower, 0);
	adit_conn_add_flags(&w->base, adit_conn_flags(w->lower));
	if (w->client && w->policy->conf.ping) {
		w->pinger = adit_timer_new(adit_conn_worker(&w->base), ws_tick, w);
		if (w->pinger)
			adit_timer_set(w->pinger, w->policy->conf.ping);
	}
	if (ws_take_names(w) < 0) {
		ws_fail(w, -ENOMEM);
		return;
	}
	adit_conn_ready(&w->base, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
}

/* RFC 9110, 15.2: any number of them may come before the answer; ours to bound. */
static bool
ws_is_interim(const struct adit_fields *f)
{
	int status = adit_fields_status(f);

	return status >= 100 && status < 200 && status != 101;
}

/* 1: the answer is still to come; or there were too many of these. */
static int
ws_skip_interim(struct ws *w)
{
	if (++w->interim > INTERIM_MAX) {
		conn_explain(&w->base, "too many interim responses instead of an answer");
		return -EPROTO;
	}
	h1_parser_start(&w->parser, H1_ASKED_UPGRADE);
	return 1;
}

static int
ws_check_answer(struct ws *w, const struct adit_fields *f)
{
	char why[160];
	int err = ws_check_response(f, w->accept, why, sizeof(why));

	if (err != -EPROTO)
		return err;
	conn_explain(&w->base, why);
	return adit_fields_status(f) == 101 ? err : ADIT_EREFUSED;
}

/*
 * The whole head of a response of the server's is there. 0: the WebSocket is open; 1: the answer is
 * still to come; or a failure.
 */
static int
ws_answered(struct ws *w)
{
	struct adit_fields *f = h1_parser_take(&w->parser);
	int err = ws_is_interim(f) ? ws_skip_interim(w) : ws_check_answer(w, f);

	adit_fields_free(f);
	return err;
}

static int
ws_answer(struct ws *w, int status, const char *why)
{
	int err = ws_write_response(&w->out, w->policy, status, w->accept, why);

	if (err || status == 101)
		return err;
	conn_explain(&w->base, why);
	w->told = true;
	return -EPROTO;
}

/* What there must not be behind a request of whose head rest bytes are left over; NULL: nothing. */
static const char *
ws_excess(const struct ws *w, size_t rest)
{
	if (w->parser.framing == H1_LENGTH || w->parser.framing == H1_CHUNKED)
		return "the request for a WebSocket has a body";
	if (rest)		/* RFC 6455, 4.1: a client must wait for the answer. */
		return "bytes came before the answer to the request for a WebSocket";
	return NULL;
}

/* The whole head of a request is there, and rest bytes behind it. */
static int
ws_asked_for(struct ws *w, size_t rest)
{
	struct adit_fields *f = h1_parser_take(&w->parser);
	struct h1_fault fault = { .status = 400 };
	const char *why = NULL;
	int err = h1_check_request(f, w->parser.target, false, &fault), status = fault.status;

	if (!err) {
		status = ws_check_request(f, w->policy, w->accept, &why);
		if (status == 101)
			why = ws_excess(w, rest);
		if (why && status == 101)
			status = 400;
	} else {
		why = fault.why;
	}
	adit_fields_free(f);
	return err == -ENOMEM ? err : ws_answer(w, status, why);
}

/* The peer has said what is none of a handshake. */
static int
ws_bad_head(struct ws *w, const struct h1_fault *fault)
{
	if (!w->client)
		return ws_answer(w, fault->status, fault->why);
	conn_explain(&w->base, fault->why);
	return -EPROTO;
}

/* As many bytes as belong to a head, *done: that is complete. How many, or why it failed. */
static ssize_t
ws_one_head(struct ws *w, const char *bytes, size_t len, bool *done)
{
	const struct h1_fault too_long = {
		431, w->client ? "the server's answer is too long" : "head too large",
	};
	ssize_t used = h1_parse_head(&w->parser, bytes, len);

	*done = w->parser.head_done;
	if (used == -EBADMSG)
		return ws_bad_head(w, &w->parser.fault);
	if (used < 0)
		return used;
	w->head_bytes += (size_t)used;
	if (!*done && w->head_bytes >= HEAD_MAX)
		return ws_bad_head(w, &too_long);
	return used;
}

/* Bytes of heads. Returns 1 when the last is done and right, 0 for more, or why it failed. */
static int
ws_head_bytes(struct ws *w, const char *bytes, size_t len)
{
	int err;

	do {
		bool done;
		ssize_t used = ws_one_head(w, bytes, len, &done);

		if (used < 0 || !done)
			return used < 0 ? (int)used : 0;
		bytes += used;
		len -= (size_t)used;
		err = w->client ? ws_answered(w) : ws_asked_for(w, len);
	} while (err > 0 && len);
	if (err > 0)
		return 0;
	if (!err)
		err = adit_conn_unread(w->lower, bytes, len);
	return err ? err : 1;
}

static int
ws_lower_failed(struct ws *w, int err)
{
	if (err == -ETIMEDOUT && w->state == WS_HANDSHAKE)
		conn_explain(&w->base, "the WebSocket handshake took too long");
	return err;
}

static void
ws_handshake(struct ws *w)
{
	char bytes[4096];
	ssize_t n;
	int err = 0;

	while (!err) {
		n = adit_conn_read(w->lower, bytes, sizeof(bytes));
		if (n == -EAGAIN)
			break;
		if (n == 0)
			conn_explain(&w->base,
				     "the peer ended the connection during the handshake");
		if (n > 0)
			err = ws_head_bytes(w, bytes, (size_t)n);
		else
			err = n ? ws_lower_failed(w, (int)n) : -ECONNRESET;
	}
	if (err == 1)
		ws_opened(w);
	if (w->out.len) {
		int sent = ws_flush(w);

		if (sent < 0 && err >= 0)
			err = sent;
	}
	if (err < 0)
		ws_fail(w, err);
}

static void
ws_start(struct ws *w)
{
	int err = adit_conn_err(w->lower);

	if (err) {
		ws_fail(w, err);
		return;
	}
	if (!adit_conn_is_open(w->lower))
		return;
	ws_take_addresses(w);
	adit_conn_deadline(w->lower, w->policy->conf.handshake_ms ? w->policy->conf.handshake_ms
								  : HANDSHAKE_MS);
	w->state = WS_HANDSHAKE;
	h1_parser_init(&w->parser, w->client ? HTTP_RESPONSE : HTTP_REQUEST);
	h1_parser_start(&w->parser, w->client ? H1_ASKED_UPGRADE : H1_ASKED_PLAIN);
	if (w->client) {
		err = ws_write_request(&w->out, w->policy, w->host, w->accept);
		free(w->host);
		w->host = NULL;
	}
	if (err)
		ws_fail(w, err);
	else
		ws_handshake(w);
}

/* ---- the end -------------------------------------------------------------------- */

static void
ws_close_lower(struct ws *w, int why)
{
	struct adit_conn *lower = w->lower;

	w->lower = NULL;
	queue_fini(&w->out);
	adit_conn_close(lower, why);
}

/* As for TLS: two ends that close with full pipes both ways would wait for each other else. */
static int
ws_discard(struct ws *w)
{
	char dropped[4096];
	ssize_t n = adit_conn_read(w->lower, dropped, sizeof(dropped));

	w->ended |= n == 0;
	return n < 0 && n != -EAGAIN ? (int)n : 0;
}

static void
ws_limit_close(struct ws *w)
{
	uint64_t now = adit_now(), left = w->close_by > now ? w->close_by - now : 0;

	if (left > ADIT_MS(CLOSE_IDLE_MS))
		left = ADIT_MS(CLOSE_IDLE_MS);
	adit_conn_deadline(w->lower, 1 + (unsigned)(left / ADIT_MS(1)));
}

/* Closed by its owner, with bytes still to send. */
static void
ws_drain(struct ws *w)
{
	size_t before = w->out.len;
	int err = ws_flush(w);

	if (!err && w->out.len && !w->ended)
		err = ws_discard(w);
	if (!err)
		err = adit_conn_err(w->lower);		/* the limit passed */
	if (!err && w->out.len) {
		if (w->out.len < before)
			ws_limit_close(w);
		ws_want_lower(w);
		return;
	}
	ws_close_lower(w, err);
	adit_conn_release(&w->base);
}

static void
ws_lower_ready(void *owner, struct adit_conn *lower, unsigned events)
{
	struct ws *w = owner;
	int err;

	(void)lower;
	/* Failed from above, by a deadline: the owner will close. */
	if (adit_conn_err(&w->base) && w->state < WS_OPEN)
		w->state = WS_FAILED;
	switch (w->state) {
	case WS_WAITING:
		ws_start(w);
		break;
	case WS_HANDSHAKE:
		ws_handshake(w);
		break;
	case WS_OPEN:
		if (events & ADIT_WRITE) {
			if (w->blocked)
				adit_conn_ready(&w->base, ADIT_WRITE);
			w->blocked = false;
			err = ws_flush_some(w);
			if (err < 0)
				ws_fail(w, err);
		}
		if (events & ADIT_READ)
			adit_conn_ready(&w->base, ADIT_READ);
		break;
	case WS_FAILED:
		ws_flush(w);
		break;
	case WS_CLOSING:
		ws_drain(w);
		return;
	}
	ws_want_lower(w);
}

/* ---- receiving ------------------------------------------------------------------ */

/* RFC 6455, 5.5.1: a Close is answered with its code. */
static int
ws_answer_close(struct ws *w)
{
	w->ended = w->parted = true;
	return ws_queue_frame(w, WS_CLOSE, w->in.control, w->in.control_len < 2 ? 0 : 2);
}

/*
 * Takes frames apart in place. Returns the bytes of data, which then stand at the front; what went
 * wrong is in w->fault, for after them.
 */
static size_t
ws_take(struct ws *w, uint8_t *buf, size_t len)
{
	size_t got = ws_unpack(&w->in, buf, len);
	int err = 0;

	if (w->in.pinged) {
		memcpy(w->pong, w->in.ping, w->in.ping_len);
		w->pong_len = w->in.ping_len;
		w->pong_owed = true;
		w->in.pinged = false;
	}
	if (w->in.fault)
		err = ws_protocol_fault(w, w->in.fault);
	else if (w->in.closed)
		err = ws_answer_close(w);
	if (err && !w->fault)
		w->fault = err;
	return got;
}

/* lower has ended, or failed. */
static ssize_t
ws_no_more(struct ws *w, ssize_t n)
{
	if (n < 0)
		return n;
	if (!ws_unpack_is_between(&w->in))
		return ADIT_ETRUNCATED;
	w->ended = true;
	return 0;
}

/* The next bytes of data; 0 the end; -EAGAIN; or a failure. */
static ssize_t
ws_receive(struct ws *w, void *buf, size_t len)
{
	for (unsigned i = 0; i < READS_MAX; i++) {
		ssize_t n;
		size_t got;

		if (w->fault)
			return w->fault;
		if (w->ended)
			return 0;
		n = adit_conn_read(w->lower, buf, len);
		if (n <= 0)
			return n == -EAGAIN ? n : ws_no_more(w, n);
		w->asked = 0;
		got = ws_take(w, buf, (size_t)n);
		if (got)
			return (ssize_t)got;
	}
	/* lower is still ready: it calls again. */
	return -EAGAIN;
}

static ssize_t
ws_read(struct adit_conn *c, void *buf, size_t len)
{
	struct ws *w = ws_of(c);
	ssize_t n;
	int err;

	if (w->state != WS_OPEN)
		return -EAGAIN;		/* or why it failed: adit_conn_read knows */
	if (!len)
		return 0;
	n = ws_receive(w, buf, len);
	err = w->pong_owed || w->out.len ? ws_flush_some(w) : 0;
	if (n < 0 && n != -EAGAIN)
		ws_fail(w, (int)n);
	else if (err < 0)
		ws_fail(w, err);
	ws_want_lower(w);
	return n < 0 ? -EAGAIN : n;	/* if it failed: as above */
}

/* ---- sending -------------------------------------------------------------------- */

static void
ws_new_key(struct ws *w, uint8_t key[WS_KEY_LEN])
{
	if (!w->n_keys) {
		w->policy->conf.random(w->keys, sizeof(w->keys));
		w->n_keys = sizeof(w->keys) / sizeof(*w->keys);
	}
	w->n_keys--;
	memcpy(key, w->keys[sizeof(w->keys) / sizeof(*w->keys) - 1 - w->n_keys], WS_KEY_LEN);
}

/* Queues a frame's payload, masked. Returns how much was queued. */
static size_t
ws_queue_masked(struct ws *w, const struct ws_frame *f, const struct iovec *iov, int n)
{
	size_t done = 0;

	for (int i = 0; i < n && done < f->len; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		if (left > f->len - done)
			left = (size_t)f->len - done;
		while (left) {
			size_t room, piece;
			uint8_t *to = queue_reserve(&w->out, &room);

			if (!to)
				return done;
			piece = left < room ? left : room;
			ws_mask(to, from, piece, f->key, done);
			queue_commit(&w->out, piece);
			from += piece;
			left -= piece;
			done += piece;
		}
	}
	return done;
}

/* The first *len bytes of iov, or as many as fit; returns how many pieces there are. */
static int
ws_gather(struct iovec *to, int room, const struct iovec *iov, int n, size_t *len)
{
	size_t total = 0;
	int pieces = 0;

	for (int i = 0; i < n && pieces < room && total < *len; i++) {
		to[pieces] = iov[i];
		if (to[pieces].iov_len > *len - total)
			to[pieces].iov_len = *len - total;
		total += to[pieces++].iov_len;
	}
	*len = total;
	return pieces;
}

/* What lower did not take of iov, sent bytes from its beginning, is queued. */
static int
ws_queue_rest(struct ws *w, const struct iovec *iov, int n, size_t sent)
{
	for (int i = 0; i < n; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
		size_t left = iov[i].iov_len - skip;

		sent -= skip;
		if (left && queue_add(&w->out, (uint8_t *)iov[i].iov_base + skip, left) < left)
			return -ENOMEM;
	}
	return 0;
}

/* Without a mask and with nothing queued: straight to lower, and only what it does not take is
 * copied. */
static ssize_t
ws_pass(struct ws *w, const struct iovec *iov, int n, size_t len)
{
	struct ws_frame f = { .fin = true, .opcode = WS_BINARY };
	struct iovec all[IOVECS];
	uint8_t head[WS_HEAD_MAX];
	ssize_t sent;
	int pieces = 1 + ws_gather(all + 1, IOVECS - 1, iov, n, &len);

	f.len = len;
	all[0] = (struct iovec){ head, ws_encode(&f, head) };
	sent = adit_conn_writev(w->lower, all, pieces);
	w->blocked = sent == -EAGAIN;
	if (sent < 0)
		return sent;
	if (ws_queue_rest(w, all, pieces, (size_t)sent) < 0)
		return -ENOMEM;
	return (ssize_t)len;
}

static ssize_t
ws_pack(struct ws *w, const struct iovec *iov, int n, size_t len)
{
	struct ws_frame f = {
		.fin = true, .opcode = WS_BINARY, .masked = w->client, .len = len,
	};
	uint8_t head[WS_HEAD_MAX];
	size_t head_len;

	if (w->client)
		ws_new_key(w, f.key);
	head_len = ws_encode(&f, head);
	if (queue_add(&w->out, head, head_len) < head_len ||
	    ws_queue_masked(w, &f, iov, n) < len)
		return -ENOMEM;
	return (ssize_t)len;
}

static ssize_t
ws_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct ws *w = ws_of(c);
	size_t len = iov_total(iov, n), most = w->policy->conf.frame;
	ssize_t took = -EAGAIN;
	int err = 0;

	if (w->state != WS_OPEN)
		return -EAGAIN;
	if (w->parted)
		return -EPIPE;		/* RFC 6455, 5.5.1: no data after a Close */
	if (w->out.len >= OUT_FULL)
		err = ws_flush(w);	/* before we answer that there is no room */
	if (!most || most > FRAME_MAX)
		most = FRAME_MAX;
	if (len > most)
		len = most;
	if (!len)
		return 0;
	if (!err && !w->client && !w->out.len && !w->pong_owed)
		took = ws_pass(w, iov, n, len);
	else if (!err && w->out.len < OUT_FULL)
		took = ws_pack(w, iov, n, len);
	if (took > 0 && w->out.len)
		err = ws_flush(w);
	if (took != -EAGAIN && took < 0)
		err = (int)took;
	if (err < 0)
		return ws_fail(w, err);
	ws_want_lower(w);
	return took;
}

/* ---- operations ----------------------------------------------------------------- */

static int
ws_shutdown(struct adit_conn *c)
{
	(void)c;
	return -ENOTSUP;
}

/* The last things to say, into out. Returns why lower is to be closed. */
static int
ws_last_words(struct ws *w, int why)
{
	static const uint8_t code[2] = { WS_CODE_NORMAL >> 8, WS_CODE_NORMAL & 0xff };

	if (w->state == WS_OPEN && !why) {
		if (!w->parted)
			ws_queue_frame(w, WS_CLOSE, code, sizeof(code));
		return 0;
	}
	/* A peer that was told why is not to lose it to a reset. */
	if (w->state == WS_FAILED && w->told)
		return 0;
	queue_fini(&w->out);
	return why;
}

static void
ws_close(struct adit_conn *c, int why)
{
	struct ws *w = ws_of(c);
	int err;

	adit_timer_stop(w->pinger);
	why = ws_last_words(w, why);
	w->pong_owed = false;
	err = why ? 0 : ws_flush(w);
	if (err < 0)
		why = err;
	if (why || !w->out.len) {
		ws_close_lower(w, why);
		return;
	}
	w->state = WS_CLOSING;
	w->ended = false;		/* of lower, from here on */
	w->close_by = adit_now() + ADIT_MS(CLOSE_MS);
	adit_conn_hold(c);
	ws_limit_close(w);
	ws_want_lower(w);
}

/* A worker that ends waits less long than we would. */
static void
ws_cut(struct adit_conn *c)
{
	struct ws *w = ws_of(c);

	if (w->state != WS_CLOSING || !w->lower)
		return;
	ws_close_lower(w, ADIT_ESTOPPED);
	adit_conn_release(c);
}

static void
ws_free(struct adit_conn *c)
{
	struct ws *w = ws_of(c);

	adit_timer_free(w->pinger);
	h1_parser_fini(&w->parser);
	queue_fini(&w->out);
	ws_policy_put(w->policy);
	free(w->host);
}

static void
ws_want(struct adit_conn *c)
{
	ws_want_lower(ws_of(c));
}

/* In the lower conn's bytes: those of our queue will be the next it takes. */
static int
ws_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	struct ws *w = ws_of(c);
	int err = w->lower ? adit_conn_delivery(w->lower, d) : -ENOTSUP;

	if (!err)
		d->taken += w->out.len;
	return err;
}

static const struct adit_certificate *
ws_certificate(struct adit_conn *c)
{
	struct ws *w = ws_of(c);

	return w->lower ? adit_conn_certificate(w->lower) : NULL;
}

static const struct adit_conn_ops ws_ops = {
	.size = sizeof(ws_ops),
	.name = "ws",
	.read = ws_read,
	.writev = ws_writev,
	.shutdown = ws_shutdown,
	.close = ws_close,
	.free = ws_free,
	.want = ws_want,
	.cut = ws_cut,
	.delivery = ws_delivery,
	.certificate = ws_certificate,
};

/* ---- making them ---------------------------------------------------------------- */

static struct adit_conn *
ws_new(struct adit_conn *lower, struct ws_policy *p, bool client, const char *host,
       struct adit_err *e)
{
	struct adit_worker *worker = adit_conn_worker(lower);
	struct ws *w = NULL;
	char *copy;

	if (adit_conn_flags(lower) & ADIT_CONN_DGRAM) {
		adit_err_set(e, -EINVAL, "ws: no stream below");
		goto fail;
	}
	copy = host ? strdup(host) : NULL;
	if (copy || !host)
		w = adit_conn_new(worker, &ws_ops, sizeof(*w), 0);
	if (!w) {
		free(copy);
		adit_err_set(e, -ENOMEM, "out of memory");
		goto fail;
	}
	queue_init(&w->out, worker_chunks(worker), OUT_CAP);
	w->policy = ws_policy_get(p);
	w->client = w->in.client = client;
	w->lower = lower;
	w->host = copy;
	ws_take_addresses(w);
	adit_conn_set_service(&w->base, adit_conn_service(lower));
	adit_conn_own(lower, ws_lower_ready, w);
	ws_want_lower(w);
	return &w->base;
fail:
	adit_conn_close(lower, -ENOMEM);
	return NULL;
}

struct adit_conn *
ws_client(struct adit_conn *lower, struct ws_policy *p, const char *host, struct adit_err *e)
{
	return ws_new(lower, p, true, host, e);
}

struct adit_conn *
ws_server(struct adit_conn *lower, struct ws_policy *p, struct adit_err *e)
{
	return ws_new(lower, p, false, NULL, e);
}
