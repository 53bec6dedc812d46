#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/mux/mux.h"
#include "core/mux/smux_int.h"
#include "core/runtime/memory.h"

#define RAW_CAP 131072u			/* of frames that answer the peer's */
#define RAW_HIGH 32768u			/* beyond it the session is not read */
#define LEAST_WINDOW 65536u
#define SHORT_WINDOW 16384u		/* while memory is short: a chunk */
#define WINDOW_MAX (8u << 20)		/* for a round trip of 100 ms and 600 Mbit/s */
#define GROWN_MAX (16u << 20)		/* of all windows of a session */
#define PROBE_ANSWER 0x80000000u

/*
 * The stream id of a NOP that tells: open no more streams. From an adit to an adit, and answered as
 * any: what was opened before that has come then.
 */
#define PROBE_DRAIN 0x7fffffffu

static struct smux *
smux_of(struct adit_mux *m)
{
	return adit_container_of(m, struct smux, base);
}

static const struct smux *
smux_of_const(const struct adit_mux *m)
{
	return (const struct smux *)m;		/* base is its first member */
}

/* ---- the end ----------------------------------------------------------------------- */

static void
stream_end(struct idmap_node *node, void *err)
{
	struct smux_stream *s = adit_container_of(node, struct smux_stream, node);

	smux_stream_fail(s, *(int *)err);
	smux_stream_forget(s);
}

/* Lets everything go. close_err is for the conn below. */
static void
smux_end(struct smux *m, int err, int close_err)
{
	struct adit_conn *lower = m->lower;

	m->part = (struct smux_out){ .stream = NULL };
	idmap_each(&m->streams, stream_end, &err);
	queue_fini(&m->raw);
	adit_timer_free(m->timer);
	m->timer = NULL;
	m->lower = NULL;
	adit_conn_close(lower, close_err);
	if (m->closing)
		adit_mux_release(&m->base);
}

/*
 * What it means to an open stream. However the conn below ended, in order or cut: the stream's own
 * end has not come, and nothing is said of its peer, whose end of a message would be looked for.
 */
static int
stream_err(int err)
{
	return err == -ESHUTDOWN || err == ADIT_ETRUNCATED ? -ECONNRESET : err;
}

/* close_err 0: the peer ended it, below too. */
static void
smux_fail_closing(struct smux *m, const struct adit_reason *why, int close_err)
{
	if (!m->lower)
		return;
	if (!m->closing)
		adit_mux_fail(&m->base, why);
	smux_end(m, stream_err(why->err), close_err);
}

void
smux_fail(struct smux *m, int err, const char *text)
{
	smux_fail_closing(m, &(struct adit_reason){ .err = err, .text = text }, err);
}

void
smux_close_drained(struct smux *m)
{
	if (m->closing && m->lower && !m->n_closed && !smux_pending(m))
		smux_end(m, -ECONNRESET, 0);
}

/* ---- readiness --------------------------------------------------------------------- */

/*
 * Whether the session must not be read now. In version 2 a stream that is not read stops itself by
 * its window, and a session that is not read does not hear what lets its own streams go on.
 */
static bool
smux_full(const struct smux *m)
{
	if (m->closing)			/* all is dropped; the end must be seen */
		return false;
	if (m->n_backlog >= m->conf.backlog || m->raw.len >= RAW_HIGH)
		return true;
	return m->conf.version < 2 && m->unread >= m->conf.session_buffer;
}

void
smux_want(struct smux *m)
{
	unsigned want = ADIT_OPEN;

	if (m->open) {
		if (m->paused && !smux_full(m))
			m->resumed_at = adit_now();
		m->paused = smux_full(m);
		want = m->paused ? 0 : ADIT_READ;
		if (smux_pending(m))
			want |= ADIT_WRITE;
	}
	if (m->lower)
		adit_conn_want(m->lower, want);
}

void
smux_relax(struct smux *m)
{
	if (m->paused)
		smux_want(m);
}

static enum memory_level
smux_memory(const struct smux *m)
{
	return memory_level(worker_memory(adit_mux_worker(&m->base)));
}

uint32_t
smux_grant(const struct smux *m, const struct smux_stream *s)
{
	size_t least = m->conf.stream_buffer, window = 0;
	size_t held = m->unread + m->promised - (uint32_t)(s->limit - s->received);
	enum memory_level level = smux_memory(m);

	if (least > LEAST_WINDOW)
		least = LEAST_WINDOW;
	if (level >= MEMORY_SHORT)
		return (uint32_t)(least < SHORT_WINDOW ? least : SHORT_WINDOW);
	/*
	 * Half of what nobody has or was promised, as on the sending side; what was grown comes on
	 * top.
	 */
	if (m->conf.session_buffer > held)
		window = (m->conf.session_buffer - held) / 2;
	if (window > m->conf.stream_buffer)
		window = m->conf.stream_buffer;
	if (window < least)
		window = least;
	if (level == MEMORY_PLENTY && m->unread < m->conf.session_buffer)
		window += s->grown;
	return (uint32_t)window;
}

size_t
smux_growth(const struct smux *m, const struct smux_stream *s)
{
	size_t more = m->conf.stream_max - m->conf.stream_buffer - s->grown;

	if (smux_memory(m) != MEMORY_PLENTY || m->unread >= m->conf.session_buffer)
		return 0;
	return more < GROWN_MAX - m->grown ? more : GROWN_MAX - m->grown;
}

/* ---- receiving --------------------------------------------------------------------- */

static struct smux_stream *
smux_find(const struct smux *m, uint32_t id)
{
	struct idmap_node *node = idmap_find(&m->streams, id);

	return node ? adit_container_of(node, struct smux_stream, node) : NULL;
}

static int
receive_syn(struct smux *m, uint32_t id)
{
	struct smux_stream *s;

	if (m->closing)
		return 0;
	/*
	 * Also while we drain. One that hears of it has opened this before; a gost does not, and
	 * would tell its visitor that nobody is there.
	 */
	if (m->streams.n >= m->conf.streams || smux_memory(m) >= MEMORY_SHORT)
		return smux_send_raw(m, SMUX_FIN, id);
	s = smux_stream_new(m, id);
	if (!s)
		return smux_send_raw(m, SMUX_FIN, id);
	TAILQ_INSERT_TAIL(&m->backlog, s, wait);
	m->n_backlog++;
	s->in_backlog = true;
	adit_mux_ready(&m->base, ADIT_READ);
	return 0;
}

/* What a stream was asked for before it was known that the peer can be told. */
static void
stream_end_late(struct idmap_node *node, void *arg)
{
	struct smux_stream *s = adit_container_of(node, struct smux_stream, node);

	if (s->end_asked && !s->closed)
		smux_due(arg, s, DUE_END);
	s->end_asked = false;
}

static void
smux_is_adit(struct smux *m)
{
	m->adit = true;
	smux_unhold(m);
	if (!m->conf.half_close)
		return;
	idmap_each(&m->streams, stream_end_late, m);
	smux_want(m);
}

/* A NOP with an id is an adit's probe, or its answer to ours. */
static int
receive_nop(struct smux *m, uint32_t id)
{
	bool answer = id & PROBE_ANSWER;
	uint32_t probe = id & ~PROBE_ANSWER;

	if (id == (PROBE_DRAIN | PROBE_ANSWER)) {
		m->drain_heard |= m->drain_said;
		return 0;
	}
	if (!probe || m->closing || (answer && probe > m->probe))
		return 0;
	if (!m->adit)
		smux_is_adit(m);
	if (id == PROBE_DRAIN) {
		m->peer_drains = true;
		adit_mux_say_peer_drains(&m->base);
	}
	return answer ? 0 : smux_send_raw(m, SMUX_NOP, id | PROBE_ANSWER);
}

static int
receive_psh(struct smux *m, struct smux_stream *s, const struct smux_frame *f)
{
	char why[80];

	m->payload = f->len;
	m->into = s;
	if (!s)
		return 0;
	if (!f->len && m->adit)
		smux_stream_end(s, false);
	s->received += f->len;
	if (m->conf.version < 2)
		return 0;
	if ((int32_t)(s->limit - s->received) >= 0) {
		m->promised -= f->len;
		return 0;
	}
	s->received = s->limit;
	snprintf(why, sizeof(why), "stream %u: more bytes than its window allows", f->stream);
	smux_fail(m, -EPROTO, why);
	return -EPROTO;
}

/* A frame has arrived whole, but for a PSH's payload. Returns 0, or the session has ended. */
static int
receive_frame(struct smux *m, const struct smux_frame *f)
{
	struct smux_stream *s = f->cmd == SMUX_NOP ? NULL : smux_find(m, f->stream);
	struct smux_upd upd;

	m->head_len = 0;
	switch (f->cmd) {
	case SMUX_SYN:
		return s ? 0 : receive_syn(m, f->stream);
	case SMUX_FIN:
		if (s)
			smux_stream_end(s, true);
		return 0;
	case SMUX_PSH:
		mux_use(&m->base);
		return receive_psh(m, s, f);
	case SMUX_UPD:
		upd = smux_decode_upd(m->head + SMUX_HEADER_LEN);
		if (s)
			smux_stream_update(s, &upd);
		return 0;
	default:
		return receive_nop(m, f->stream);
	}
}

/* Moves bytes to m->head until it has need of them. */
static bool
receive_head(struct smux *m, size_t need, const uint8_t **at, const uint8_t *end)
{
	size_t n = need > m->head_len ? need - m->head_len : 0;

	if (n > (size_t)(end - *at))
		n = (size_t)(end - *at);
	memcpy(m->head + m->head_len, *at, n);
	m->head_len += n;
	*at += n;
	return m->head_len >= need;
}

/* Returns 0, or the session has ended. */
static int
receive_next(struct smux *m, const uint8_t **at, const uint8_t *end)
{
	struct smux_frame f;
	const char *why;

	if (!receive_head(m, SMUX_HEADER_LEN, at, end))
		return 0;
	if (smux_decode(m->head, SMUX_HEADER_LEN, m->conf.version, &f, &why) < 0) {
		smux_fail(m, -EPROTO, why);
		return -EPROTO;
	}
	if (f.cmd == SMUX_UPD && !receive_head(m, SMUX_HEADER_LEN + SMUX_UPD_LEN, at, end))
		return 0;
	return receive_frame(m, &f);
}

static int
receive_payload(struct smux *m, const uint8_t **at, const uint8_t *end)
{
	size_t n = (size_t)(end - *at);

	if (n > m->payload)
		n = m->payload;
	if (m->into && smux_stream_receive(m->into, *at, n) < 0) {
		smux_fail(m, -ENOMEM, NULL);
		return -ENOMEM;
	}
	m->payload -= n;
	*at += n;
	return 0;
}

/* Returns 0, or the session has ended. */
static int
smux_receive(struct smux *m, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;
	int err = 0;

	while (at < end && !err)
		err = m->payload ? receive_payload(m, &at, end) : receive_next(m, &at, end);
	return err;
}

static void
smux_lower_ended(struct smux *m, int err)
{
	struct adit_reason why = { .err = -ESHUTDOWN, .text = "closed by the peer" };

	if (m->payload || m->head_len)
		why = (struct adit_reason){ ADIT_ETRUNCATED, 0, "ended in the middle of a frame" };
	if (err)
		why = (struct adit_reason){ .err = err, .text = conn_failure(m->lower) };
	smux_fail_closing(m, &why, err);
}

/*
 * Reads what there is, within the turn's share. The scratch buffer is free: this is the session's
 * own callback, and nothing of an owner above runs inside it.
 */
static void
smux_input(struct smux *m)
{
	size_t size, done = 0;
	uint8_t *buf = adit_worker_scratch(adit_mux_worker(&m->base), &size);
	ssize_t n = (ssize_t)size;

	while (done < SMUX_TURN && (size_t)n == size && !smux_full(m)) {
		n = adit_conn_read(m->lower, buf, size);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			smux_lower_ended(m, (int)n);
			return;
		}
		adit_mux_hear(&m->base, adit_now());
		adit_mux_moved(&m->base, (uint64_t)n, 0);
		if (smux_receive(m, buf, (size_t)n) < 0)
			return;
		done += (size_t)n;
	}
}

/* ---- time -------------------------------------------------------------------------- */

void
smux_wake_at(struct smux *m, uint64_t at)
{
	uint64_t now;

	if (at == UINT64_MAX || (m->wake_at && m->wake_at <= at))
		return;
	now = adit_now();
	m->wake_at = at;
	adit_timer_set(m->timer, at > now ? at - now : 0);
}

/* A session that is not read cannot be heard: its silence says nothing. */
static bool
smux_check_heard(struct smux *m, uint64_t now)
{
	uint64_t heard = adit_mux_heard(&m->base);

	if (heard < m->resumed_at)
		heard = m->resumed_at;
	if (!m->conf.timeout || !m->open)
		return true;
	if (m->paused) {
		smux_wake_at(m, now + m->conf.timeout);
		return true;
	}
	if (now - heard < m->conf.timeout) {
		smux_wake_at(m, heard + m->conf.timeout);
		return true;
	}
	smux_fail(m, ADIT_EPEERDEAD, "nothing heard from the peer");
	return false;
}

static void
smux_expire(struct smux *m, uint64_t now)
{
	struct smux_stream *s;

	while ((s = TAILQ_FIRST(&m->lingering)) && s->deadline <= now)
		smux_stream_expire(s);
	if (s)
		smux_wake_at(m, s->deadline);
}

static void
smux_tick(void *arg)
{
	struct smux *m = arg;
	uint64_t now = adit_now();

	m->wake_at = 0;
	if (now >= m->close_at) {
		smux_fail(m, -ETIMEDOUT, NULL);
		return;
	}
	if (!smux_check_heard(m, now))
		return;
	/* One that was not taken yet is enough. */
	if (now >= m->nop_at) {
		m->nop_at = now + m->conf.keepalive;
		if (m->raw.len < SMUX_HEADER_LEN && smux_send_raw(m, SMUX_NOP, 0) < 0)
			return;
	}
	smux_expire(m, now);
	smux_wake_at(m, m->nop_at);
	smux_wake_at(m, m->close_at);
	smux_want(m);
}

/* ---- the conn below ------------------------------------------------------------------ */

static void
stream_opened(struct idmap_node *node, void *arg)
{
	(void)arg;
	smux_stream_opened(adit_container_of(node, struct smux_stream, node));
}

static void
smux_opened(struct smux *m)
{
	uint64_t now = adit_now();

	m->open = true;
	adit_mux_hear(&m->base, now);
	adit_mux_set_local(&m->base, adit_conn_local(m->lower));
	adit_mux_set_remote(&m->base, adit_conn_remote(m->lower));
	idmap_each(&m->streams, stream_opened, NULL);
	adit_mux_ready(&m->base, ADIT_OPEN | ADIT_WRITE);
	if (m->conf.keepalive)
		m->nop_at = now + m->conf.keepalive;
	smux_wake_at(m, m->nop_at);
	if (m->conf.timeout)
		smux_wake_at(m, now + m->conf.timeout);
}

static void
smux_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct smux *m = owner;

	if (!m->open) {
		if (!adit_conn_is_open(lower)) {
			smux_lower_ended(m, adit_conn_err(lower));
			return;
		}
		smux_opened(m);
	}
	if (events & ADIT_READ)
		smux_input(m);
	/* Also when the wait was only for reading: what came may be answered at once. */
	if (m->lower && smux_pending(m) && (!m->blocked || events & ADIT_WRITE))
		smux_flush(m);
	if (m->lower)
		smux_want(m);
}

/* ---- operations ---------------------------------------------------------------------- */

/* The next of our ids that is not in use (the peer may use any); 0: there is none any more. */
static uint32_t
smux_take_id(struct smux *m)
{
	while (m->next_id <= UINT32_MAX) {
		uint32_t id = (uint32_t)m->next_id;

		m->next_id += 2;
		if (!smux_find(m, id))
			return id;
	}
	return 0;
}

static unsigned
smux_room(const struct adit_mux *base, unsigned kind)
{
	const struct smux *m = smux_of_const(base);
	uint64_t ids = m->next_id > UINT32_MAX ? 0 : (UINT32_MAX - m->next_id) / 2 + 1;
	size_t room = m->streams.n < m->conf.streams ? m->conf.streams - m->streams.n : 0;

	if (kind || m->peer_drains)
		return 0;
	return (unsigned)(room < ids ? room : ids);
}

static struct adit_conn *
smux_open(struct adit_mux *base, unsigned kind, struct adit_err *e)
{
	struct smux *m = smux_of(base);
	struct smux_stream *s;
	uint32_t id;

	if (kind) {
		adit_err_set(e, -ENOTSUP, "smux has streams only");
		return NULL;
	}
	id = smux_room(base, 0) ? smux_take_id(m) : 0;
	if (!id) {
		adit_err_set(e, ADIT_ELIMIT, "no room for another stream in the session");
		return NULL;
	}
	s = smux_stream_new(m, id);
	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	smux_due(m, s, DUE_SYN);
	if (!smux_room(base, 0))
		adit_mux_unready(base, ADIT_WRITE);
	return &s->base;
}

static struct adit_conn *
smux_accept(struct adit_mux *base)
{
	struct smux *m = smux_of(base);
	struct smux_stream *s = TAILQ_FIRST(&m->backlog);

	if (!s)
		return NULL;
	TAILQ_REMOVE(&m->backlog, s, wait);
	m->n_backlog--;
	s->in_backlog = false;
	smux_relax(m);
	return &s->base;
}

/* ---- whether the peer answers ---------------------------------------------------------- */

/* Something has been written that the peer is to answer. */
static void
smux_ask(struct smux *m)
{
	mux_question_ask(&m->question, m->lower, adit_mux_heard(&m->base));
}

static uint64_t
smux_silence(struct adit_mux *base, uint64_t now)
{
	struct smux *m = smux_of(base);
	uint64_t silence;
	bool queued;

	if (!m->open || !m->lower || m->paused)
		return 0;
	/* Probes go before all else; other questions are somewhere among the data. */
	queued = m->adit ? m->raw.len > 0 : smux_pending(m);
	silence = mux_question_silence(&m->question, m->lower, adit_mux_heard(base), queued, now);
	return silence < now - m->resumed_at ? silence : now - m->resumed_at;
}

void
smux_asked(struct adit_mux *base)
{
	struct smux *m = smux_of(base);

	if (m->open && m->lower && !m->closing)
		smux_ask(m);
}

static void
smux_probe(struct adit_mux *base)
{
	struct smux *m = smux_of(base);

	/*
	 * One that was not taken yet is enough, and keeps probes bounded toward a peer that is
	 * slow.
	 */
	if (!m->open || m->raw.len >= RAW_HIGH)
		return;
	m->probe = m->probe < PROBE_DRAIN - 1 ? m->probe + 1 : 1;
	if (m->adit)
		smux_ask(m);
	if (smux_send_raw(m, SMUX_NOP, m->probe) == 0)
		smux_want(m);
}

/*
 * There is no GOAWAY: a gost goes on opening streams, until there is a moment without one or the
 * owner's patience is over. An adit answers after its last SYN.
 */
static void
smux_drain(struct adit_mux *base)
{
	struct smux *m = smux_of(base);

	if (m->drain_said || !m->open || !m->adit)
		return;
	m->drain_said = true;
	if (smux_send_raw(m, SMUX_NOP, PROBE_DRAIN) == 0)
		smux_want(m);
}

static bool
smux_drained(const struct adit_mux *base)
{
	const struct smux *m = smux_of_const(base);

	return !m->adit || m->drain_heard;
}

/*
 * Lets a stream that is open go; but one of whose frame a part is sent stays until its owner has
 * closed it and the rest is sent: the peer looks for the next frame behind that.
 */
static void
stream_end_open(struct idmap_node *node, void *err)
{
	struct smux_stream *s = adit_container_of(node, struct smux_stream, node);

	if (s->closed)
		return;
	if (s != s->session->part.stream) {
		stream_end(node, err);
		return;
	}
	smux_stream_fail(s, *(int *)err);
	smux_drop_queued(s->session, s);
}

static void
smux_close(struct adit_mux *base, const struct adit_reason *why)
{
	struct smux *m = smux_of(base);
	int err = why->err ? why->err : -ECONNRESET;

	if (!m->lower)
		return;
	m->closing = true;
	adit_mux_hold(base);
	if (why->err) {
		smux_end(m, err, err);
		return;
	}
	/* Streams that were closed politely may still have to send. */
	idmap_each(&m->streams, stream_end_open, &err);
	m->close_at = adit_now() + SMUX_SESSION_LINGER;
	smux_wake_at(m, m->close_at);
	smux_want(m);
	smux_close_drained(m);
}

/* Its streams go with it. */
static void
smux_cut(struct adit_mux *base)
{
	struct smux *m = smux_of(base);

	if (m->lower)
		smux_end(m, ADIT_ESTOPPED, ADIT_ESTOPPED);
}

static void
smux_free(struct adit_mux *base)
{
	struct smux *m = smux_of(base);

	idmap_fini(&m->streams);
	queue_fini(&m->raw);
	adit_timer_free(m->timer);
}

static const struct adit_mux_ops smux_ops = {
	.size = sizeof(smux_ops),
	.name = "smux",
	.open = smux_open,
	.accept = smux_accept,
	.room = smux_room,
	.probe = smux_probe,
	.drain = smux_drain,
	.drained = smux_drained,
	.close = smux_close,
	.free = smux_free,
	.cut = smux_cut,
	.silence = smux_silence,
};

bool
smux_peer_is_adit(const struct adit_mux *m)
{
	return smux_of_const(m)->adit;
}

bool
smux_is_paused(const struct adit_mux *m)
{
	return smux_of_const(m)->paused;
}

bool
smux_peer_drains(const struct adit_mux *m)
{
	return smux_of_const(m)->peer_drains;
}

void
smux_say_drain(struct adit_mux *m)
{
	smux_drain(m);
}

void
smux_set_half_close(struct adit_mux *m, bool on)
{
	smux_of(m)->conf.half_close = on;
}

struct smux_conf
smux_conf_default(bool client, unsigned version)
{
	return (struct smux_conf){
		.client = client,
		.version = version,
		.keepalive = ADIT_SECONDS(SMUX_KEEPALIVE_SEC),
		.timeout = ADIT_SECONDS(SMUX_TIMEOUT_SEC),
		.frame = SMUX_FRAME_SIZE,
		.session_buffer = SMUX_SESSION_BUFFER,
		.stream_buffer = SMUX_MTCP_WINDOW,
		.stream_max = WINDOW_MAX,
		.streams = 32768,
		.backlog = SMUX_BACKLOG,
	};
}

int
smux_conf_check(const struct smux_conf *conf, struct adit_err *e)
{
	if (conf->version < 1 || conf->version > 2)
		return adit_err_set(e, -EINVAL, "smux version must be 1 or 2");
	if (!conf->frame || conf->frame > SMUX_PAYLOAD_MAX)
		return adit_err_set(e, -EINVAL, "smux frames carry 1 to 65535 bytes");
	if (!conf->session_buffer || conf->session_buffer > INT32_MAX)
		return adit_err_set(e, -EINVAL, "smux session buffer must be 1 to 2147483647");
	if (!conf->stream_buffer || conf->stream_buffer > conf->session_buffer)
		return adit_err_set(e, -EINVAL, "smux stream buffer exceeds the session's");
	if (conf->stream_max < conf->stream_buffer || conf->stream_max > INT32_MAX)
		return adit_err_set(e, -EINVAL, "smux windows cannot grow to less than they are");
	if (conf->timeout && conf->timeout < conf->keepalive)
		return adit_err_set(e, -EINVAL, "smux keepalive timeout is below its interval");
	if (!conf->streams || !conf->backlog)
		return adit_err_set(e, -EINVAL, "smux needs room for streams");
	return 0;
}

static struct smux *
smux_alloc(struct adit_conn *lower)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct smux *m = adit_mux_new(w, &smux_ops, sizeof(*m));

	if (!m)
		return NULL;
	m->timer = adit_timer_new(w, smux_tick, m);
	if (!m->timer || idmap_init(&m->streams) < 0) {
		adit_mux_close(&m->base, NULL);		/* without lower: nothing to end */
		return NULL;
	}
	return m;
}

struct adit_mux *
smux_new(struct adit_conn *lower, const struct smux_conf *conf)
{
	struct smux *m = smux_alloc(lower);

	assert(smux_conf_check(conf, NULL) == 0);
	if (!m) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	m->lower = lower;
	m->conf = *conf;
	m->next_id = conf->client ? 3 : 2;
	m->nop_at = m->close_at = UINT64_MAX;
	TAILQ_INIT(&m->backlog);
	TAILQ_INIT(&m->control);
	TAILQ_INIT(&m->ready);
	TAILQ_INIT(&m->held);
	TAILQ_INIT(&m->lingering);
	queue_init(&m->raw, worker_chunks(adit_mux_worker(&m->base)), RAW_CAP);
	conn_set_vital(lower);
	/* At once, where it can be: a stream may be opened and written to before the next turn. */
	if (adit_conn_is_open(lower))
		smux_opened(m);
	adit_conn_own(lower, smux_event, m);
	/* At once: another worker may open a stream before the next turn. */
	if (adit_conn_is_open(lower))
		smux_opened(m);
	smux_want(m);
	return &m->base;
}
