/*
 * What a session sends: first the rest of the frame that was cut by the last write, then what
 * stands by itself (NOPs), then SYN and UPD of any stream, then data, one frame of each stream in
 * turn. A plan lists the frames of one write; only what the conn below took of it changes anything,
 * the rest is planned anew.
 */
#include <errno.h>
#include <string.h>

#include "core/mux/smux_int.h"

#define FIRST_FLIGHT 65536u		/* of a stream whose peer has not read yet: at least, */
#define FIRST_FLIGHTS (4u << 20)	/* and all of them together */
#define PLAN_FRAMES 32
#define PLAN_IOV 96
#define PLAN_LEN (SMUX_TURN / 2)

struct plan {
	struct smux_out		 frames[PLAN_FRAMES];
	int			 n;
	struct iovec		 iov[PLAN_IOV];
	int			 n_iov;
	size_t			 len;

	struct smux_stream	*passing;	/* its bytes come from pass, not from its queue */
	const struct iovec	*pass;
	int			 n_pass;
};

/* ---- how much a stream may send ------------------------------------------------- */

static size_t
stream_inflight(const struct smux_stream *s)
{
	return (uint32_t)(s->sent - s->consumed) + s->planned;
}

/*
 * The peer's window. What every stream has before its first UPD, which comes with the first read,
 * is not used up where many have it: each of them may turn out to be one that nobody reads.
 */
static size_t
stream_window(const struct smux *m, const struct smux_stream *s)
{
	size_t first = FIRST_FLIGHTS / m->streams.n;

	if (s->updated || first >= s->window)
		return s->window;
	return first > FIRST_FLIGHT ? first : FIRST_FLIGHT;
}

static size_t
stream_window_room(const struct smux *m, const struct smux_stream *s)
{
	size_t inflight = stream_inflight(s), window;

	if (m->conf.version < 2)
		return SIZE_MAX;
	window = stream_window(m, s);
	return window > inflight ? window - inflight : 0;
}

size_t
smux_out_cap(const struct smux *m, const struct smux_stream *s)
{
	return stream_window_room(m, s) ? SMUX_OUT_CAP : SMUX_OUT_BLOCKED;
}

/*
 * A stream's share of the peer's session buffer: half of what is free (Choudhury and Hahne's
 * dynamic threshold), so that whoever comes finds some; at least what makes a reading peer send its
 * next UPD.
 */
static size_t
stream_share(const struct smux *m, const struct smux_stream *s)
{
	size_t least = s->window / 2 + m->conf.frame, share = 0;

	if (m->conf.session_buffer > m->inflight)
		share = (m->conf.session_buffer - m->inflight) / 2;
	return share > least ? share : least;
}

static size_t
stream_room(const struct smux *m, const struct smux_stream *s)
{
	size_t room = stream_window_room(m, s), inflight = stream_inflight(s), share;

	if (m->conf.version < 2 || m->adit)
		return room;
	share = stream_share(m, s);
	share = share > inflight ? share - inflight : 0;
	return room < share ? room : share;
}

/* Bytes at the front of its queue that belong to a frame that has begun. */
static size_t
stream_begun(const struct smux *m, const struct smux_stream *s)
{
	return m->part.stream == s ? m->part.payload : 0;
}

static size_t
stream_unplanned(const struct smux *m, const struct smux_stream *s)
{
	return s->out.len - stream_begun(m, s) - s->planned;
}

/* ---- who has something to send --------------------------------------------------- */

static enum smux_place
stream_wants_place(const struct smux *m, const struct smux_stream *s)
{
	if (!stream_unplanned(m, s))
		return s->due & (DUE_END | DUE_FIN) ? PLACE_READY : PLACE_NONE;
	if (!stream_window_room(m, s))
		return PLACE_NONE;
	return stream_room(m, s) ? PLACE_READY : PLACE_HELD;
}

static void
stream_set_place(struct smux *m, struct smux_stream *s, enum smux_place place)
{
	struct smux_streams *const lists[] = { NULL, &m->ready, &m->held };

	if (place == s->place)
		return;
	if (s->place != PLACE_NONE)
		TAILQ_REMOVE(lists[s->place], s, data);
	s->place = place;
	if (place != PLACE_NONE)
		TAILQ_INSERT_TAIL(lists[place], s, data);
}

void
smux_place(struct smux *m, struct smux_stream *s)
{
	enum smux_place place = stream_wants_place(m, s);

	/* Both sides have gone and the peer's window is full: it will not open again. */
	if (s->closed && s->fin && place == PLACE_NONE && s->out.len) {
		queue_truncate(&s->out, stream_begun(m, s));
		place = stream_wants_place(m, s);
	}
	stream_set_place(m, s, place);
}

void
smux_drop_queued(struct smux *m, struct smux_stream *s)
{
	queue_truncate(&s->out, stream_begun(m, s));
	smux_place(m, s);
}

static void
due_clear(struct smux *m, struct smux_stream *s, unsigned due)
{
	bool was = s->due & (DUE_SYN | DUE_UPD);

	s->due &= (uint8_t)~due;
	if (was && !(s->due & (DUE_SYN | DUE_UPD)))
		TAILQ_REMOVE(&m->control, s, control);
}

void
smux_due(struct smux *m, struct smux_stream *s, enum smux_due due)
{
	bool was = s->due & (DUE_SYN | DUE_UPD);

	if (s->finished)
		return;
	if (due == DUE_FIN)
		due_clear(m, s, s->out.len ? DUE_END : DUE_UPD | DUE_END);
	s->due |= (uint8_t)due;
	if (due & (DUE_END | DUE_FIN))
		smux_place(m, s);
	else if (!was)
		TAILQ_INSERT_TAIL(&m->control, s, control);
	smux_want(m);
}

void
smux_unplace(struct smux *m, struct smux_stream *s)
{
	due_clear(m, s, s->due);
	stream_set_place(m, s, PLACE_NONE);
	if (m->conf.version >= 2)
		m->inflight -= (uint32_t)(s->sent - s->consumed);
}

void
smux_unhold(struct smux *m)
{
	struct smux_stream *s, *next;

	for (s = TAILQ_FIRST(&m->held); s; s = next) {
		next = TAILQ_NEXT(s, data);
		smux_place(m, s);
	}
}

bool
smux_pending(const struct smux *m)
{
	return m->part.head_len || m->raw.len || !TAILQ_EMPTY(&m->control) ||
	       !TAILQ_EMPTY(&m->ready);
}

/* ---- the plan -------------------------------------------------------------------- */

/* Whether there is no room for one more frame with a piece of payload. */
static bool
plan_full(const struct plan *p)
{
	return p->n == PLAN_FRAMES || p->n_iov + 2 > PLAN_IOV || p->len >= PLAN_LEN;
}

static void
plan_iov(struct plan *p, void *base, size_t len)
{
	p->iov[p->n_iov++] = (struct iovec){ .iov_base = base, .iov_len = len };
	p->len += len;
}

/* Adds pieces of a queue from offset on, at most len bytes; returns how many. */
static size_t
plan_queue(struct plan *p, const struct queue *q, size_t offset, size_t len)
{
	struct iovec *iov = &p->iov[p->n_iov];
	int n = queue_peek(q, offset, iov, PLAN_IOV - p->n_iov);
	size_t done = 0;

	for (int i = 0; i < n && done < len; i++) {
		if (iov[i].iov_len > len - done)
			iov[i].iov_len = len - done;
		done += iov[i].iov_len;
		p->n_iov++;
	}
	p->len += done;
	return done;
}

/* The same from the caller's bytes. */
static size_t
plan_passed(struct plan *p, size_t offset, size_t len)
{
	size_t done = 0;

	for (int i = 0; i < p->n_pass && done < len && p->n_iov < PLAN_IOV; i++) {
		size_t n = p->pass[i].iov_len;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n -= offset;
		if (n > len - done)
			n = len - done;
		plan_iov(p, (uint8_t *)p->pass[i].iov_base + offset, n);
		offset = 0;
		done += n;
	}
	return done;
}

static void
plan_part(struct smux *m, struct plan *p)
{
	struct smux_out *f = &p->frames[p->n++];

	*f = m->part;
	if (f->head_sent < f->head_len)
		plan_iov(p, f->head + f->head_sent, (size_t)(f->head_len - f->head_sent));
	if (f->payload)
		plan_queue(p, &f->stream->out, 0, f->payload);
}

/* False if not all of it found room. */
static bool
plan_raw(struct smux *m, struct plan *p)
{
	struct smux_out *f = &p->frames[p->n++];

	*f = (struct smux_out){ .stream = NULL };
	f->payload = plan_queue(p, &m->raw, 0, PLAN_LEN);
	return f->payload == m->raw.len;
}

/* Adds the frame; with payload, its pieces have their places after iov. */
static struct smux_out *
plan_frame(const struct smux *m, struct plan *p, struct smux_stream *s, enum smux_cmd cmd)
{
	struct smux_out *f = &p->frames[p->n++];

	*f = (struct smux_out){ .stream = s, .cmd = cmd };
	f->head_len = SMUX_HEADER_LEN;
	if (cmd == SMUX_UPD) {
		f->upd = (struct smux_upd){ .consumed = s->read, .window = smux_grant(m, s) };
		smux_encode_upd(&f->upd, f->head + SMUX_HEADER_LEN);
		f->head_len += SMUX_UPD_LEN;
	}
	plan_iov(p, f->head, f->head_len);
	return f;
}

static void
frame_encode(const struct smux *m, struct smux_out *f)
{
	const struct smux_frame frame = {
		.version = (uint8_t)m->conf.version,
		.cmd = (uint8_t)f->cmd,
		.len = (uint16_t)(f->cmd == SMUX_UPD ? SMUX_UPD_LEN : f->payload),
		.stream = (uint32_t)f->stream->node.id,
	};

	smux_encode(&frame, f->head);
}

/* False if not all of them found room. */
static bool
plan_control(struct smux *m, struct plan *p)
{
	struct smux_stream *s;

	TAILQ_FOREACH (s, &m->control, control) {
		if (p->n + 2 > PLAN_FRAMES || p->n_iov + 2 > PLAN_IOV)
			return false;
		if (s->due & DUE_SYN)
			frame_encode(m, plan_frame(m, p, s, SMUX_SYN));
		if (s->due & DUE_UPD)
			frame_encode(m, plan_frame(m, p, s, SMUX_UPD));
	}
	return true;
}

static void
plan_data(struct smux *m, struct plan *p, struct smux_stream *s, size_t len)
{
	struct smux_out *f = plan_frame(m, p, s, SMUX_PSH);

	if (len > m->conf.frame)
		len = m->conf.frame;
	if (p->passing == s)
		f->payload = plan_passed(p, s->planned, len);
	else
		f->payload = plan_queue(p, &s->out, stream_begun(m, s) + s->planned, len);
	s->planned += f->payload;
	frame_encode(m, f);
}

/* The next frame of s, if it may send one. */
static bool
plan_stream(struct smux *m, struct plan *p, struct smux_stream *s)
{
	size_t left = stream_unplanned(m, s), room;
	unsigned due = s->due & ~s->planned_due & (DUE_END | DUE_FIN);

	if (left) {
		room = stream_room(m, s);
		if (room)
			plan_data(m, p, s, left < room ? left : room);
		return room > 0;
	}
	if (!due)
		return false;
	due = due & DUE_END ? DUE_END : DUE_FIN;
	frame_encode(m, plan_frame(m, p, s, due == DUE_END ? SMUX_PSH : SMUX_FIN));
	s->planned_due |= (uint8_t)due;
	return true;
}

/* One frame of each in turn, until nobody has more or the plan is full. */
static void
plan_streams(struct smux *m, struct plan *p)
{
	struct smux_stream *s, *next;
	bool more = true;

	while (more) {
		more = false;
		for (s = TAILQ_FIRST(&m->ready); s; s = next) {
			if (plan_full(p))
				return;
			next = TAILQ_NEXT(s, data);
			if (plan_stream(m, p, s))
				more = true;
			else if (!s->planned && !s->planned_due)
				smux_place(m, s);	/* held meanwhile */
		}
	}
}

static void
plan_passing(struct smux *m, struct plan *p)
{
	size_t left = 0, room;

	for (int i = 0; i < p->n_pass; i++)
		left += p->pass[i].iov_len;
	while (p->passing->planned < left && !plan_full(p)) {
		room = stream_room(m, p->passing);
		if (!room)
			return;
		if (room > left - p->passing->planned)
			room = left - p->passing->planned;
		plan_data(m, p, p->passing, room);
	}
}

static void
plan_build(struct smux *m, struct plan *p)
{
	p->n = p->n_iov = 0;
	p->len = 0;
	if (m->part.head_len)
		plan_part(m, p);
	if (m->raw.len && !plan_raw(m, p))
		return;
	if (!plan_control(m, p))
		return;
	if (p->passing)
		plan_passing(m, p);
	else
		plan_streams(m, p);
}

/* ---- what was taken -------------------------------------------------------------- */

static void
frame_began(struct smux *m, struct smux_out *f)
{
	struct smux_stream *s = f->stream;

	switch (f->cmd) {
	case SMUX_SYN:
		due_clear(m, s, DUE_SYN);
		break;
	case SMUX_UPD:
		due_clear(m, s, DUE_UPD);
		s->reported = f->upd.consumed;
		s->granted = f->upd.window;
		s->pace.size = s->granted;
		if ((int32_t)(f->upd.consumed + f->upd.window - s->limit) <= 0)
			break;
		s->edge = s->limit;
		s->told_at = adit_now();
		m->promised += (uint32_t)(f->upd.consumed + f->upd.window - s->limit);
		s->limit = f->upd.consumed + f->upd.window;
		break;
	case SMUX_FIN:
		due_clear(m, s, DUE_FIN);
		s->finished = true;
		break;
	default:
		if (!f->payload)
			due_clear(m, s, DUE_END);
		s->sent += (uint32_t)f->payload;
		if (m->conf.version >= 2)
			m->inflight += f->payload;
		/* Its turn is over. */
		stream_set_place(m, s, PLACE_NONE);
	}
}

static void
frame_took(struct smux *m, const struct plan *p, struct smux_out *f, size_t took)
{
	struct smux_stream *s = f->stream;
	size_t head = (size_t)(f->head_len - f->head_sent);

	if (!s) {
		queue_drop(&m->raw, took);
		return;
	}
	if (!f->head_sent)
		frame_began(m, f);
	if (head > took)
		head = took;
	f->head_sent = (uint8_t)(f->head_sent + head);
	f->payload -= took - head;
	if (p->passing != s)
		queue_drop(&s->out, took - head);
	if (f->head_sent < f->head_len || f->payload)
		m->part = *f;
	else
		m->part = (struct smux_out){ .stream = NULL };
}

static void
frame_after(struct smux *m, const struct smux_out *f)
{
	struct smux_stream *s = f->stream;

	if (!s || !s->session)
		return;
	if (f->cmd == SMUX_FIN && m->part.stream != s) {
		smux_stream_forget(s);
		return;
	}
	smux_place(m, s);
	s->out.cap = smux_out_cap(m, s);
	if (!s->closed && queue_room(&s->out) >= SMUX_OUT_CAP / 2)
		adit_conn_ready(&s->base, ADIT_WRITE);
}

static void
plan_commit(struct smux *m, struct plan *p, size_t len)
{
	for (int i = 0; i < p->n; i++) {
		if (!p->frames[i].stream)
			continue;
		p->frames[i].stream->planned = 0;
		p->frames[i].stream->planned_due = 0;
	}
	for (int i = 0; i < p->n && len; i++) {
		struct smux_out *f = &p->frames[i];
		size_t left = (size_t)(f->head_len - f->head_sent) + f->payload;
		size_t took = left < len ? left : len;

		frame_took(m, p, f, took);
		len -= took;
		/*
		 * Bytes that pass are not in the queue yet: the caller sees to them, then to the
		 * stream.
		 */
		if (!p->passing || f->stream != p->passing)
			frame_after(m, f);
	}
}

/*
 * Writes the plan. Returns how many bytes were taken, 0 if none, or a failure, and the session has
 * ended.
 */
static ssize_t
plan_write(struct smux *m, struct plan *p)
{
	ssize_t n = adit_conn_writev(m->lower, p->iov, p->n_iov);

	if (n < 0 && n != -EAGAIN) {
		smux_fail(m, (int)n, NULL);
		return n;
	}
	if (n < 0)
		n = 0;
	adit_mux_moved(&m->base, 0, (uint64_t)n);
	m->blocked = (size_t)n < p->len;
	plan_commit(m, p, (size_t)n);
	return n;
}

void
smux_flush(struct smux *m)
{
	struct plan p;
	size_t done = 0;

	p.passing = NULL;
	m->blocked = false;
	while (smux_pending(m) && !m->blocked && done < SMUX_TURN) {
		ssize_t n;

		plan_build(m, &p);
		if (!p.len)
			break;
		n = plan_write(m, &p);
		if (n < 0)
			return;
		done += (size_t)n;
	}
	smux_close_drained(m);
}

/* Keeps what the frame that was cut still needs of the caller's bytes. */
static int
pass_keep(struct smux_stream *s, const struct iovec *iov, int n, size_t from, size_t len)
{
	for (int i = 0; i < n && len; i++) {
		size_t have = iov[i].iov_len;

		if (from >= have) {
			from -= have;
			continue;
		}
		have -= from;
		if (have > len)
			have = len;
		if (queue_add(&s->out, (const uint8_t *)iov[i].iov_base + from, have) < have)
			return -ENOMEM;
		from = 0;
		len -= have;
	}
	return 0;
}

ssize_t
smux_pass(struct smux *m, struct smux_stream *s, const struct iovec *iov, int n)
{
	struct plan p = { .passing = s, .pass = iov, .n_pass = n };
	uint32_t before = s->sent;
	size_t taken, left;
	ssize_t err;

	if (!m->open || m->blocked || m->part.head_len || m->raw.len || !TAILQ_EMPTY(&m->ready))
		return 0;
	plan_build(m, &p);
	if (!p.len)
		return 0;
	err = plan_write(m, &p);
	if (err < 0)
		return err;
	taken = (uint32_t)(s->sent - before);
	s->out.cap = SMUX_OUT_CAP;
	left = stream_begun(m, s);
	if (left && pass_keep(s, iov, n, taken - left, left) < 0) {
		smux_fail(m, -ENOMEM, NULL);
		return -ENOMEM;
	}
	smux_place(m, s);
	smux_want(m);
	return (ssize_t)taken;
}

int
smux_send_raw(struct smux *m, enum smux_cmd cmd, uint32_t id)
{
	const struct smux_frame frame = {
		.version = (uint8_t)m->conf.version, .cmd = (uint8_t)cmd, .stream = id,
	};
	uint8_t head[SMUX_HEADER_LEN];

	smux_encode(&frame, head);
	if (queue_add(&m->raw, head, sizeof(head)) == sizeof(head))
		return 0;
	smux_fail(m, -ENOBUFS, "frames that ask for answers, and the answers are not read");
	return -ENOBUFS;
}
