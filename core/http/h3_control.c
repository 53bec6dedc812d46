#include "core/http/h3_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mux/quic/quic.h"

#define PIECE 512

/* ---- ours ------------------------------------------------------------------------------ */

static void
control_flush(struct h3 *h)
{
	ssize_t n;

	if (!h->n_own || !h->control)
		return;
	if (adit_conn_is_open(h->control) && !quic_stream_takes(h->control)) {
		h3_end(h, -EPROTO, H3_CLOSED_CRITICAL_STREAM, "control stream not wanted");
		return;
	}
	n = adit_conn_write(h->control, h->own, h->n_own);
	if (n > 0) {
		h->n_own -= (size_t)n;
		memmove(h->own, h->own + n, h->n_own);
	}
	/* A failure is told by the session, or by the peer's closing of its own. */
	adit_conn_want(h->control, h->n_own && !adit_conn_err(h->control) ? ADIT_WRITE : 0);
}

static void
control_event(void *owner, struct adit_conn *c, unsigned events)
{
	(void)c;
	(void)events;
	control_flush(owner);
}

static void
control_put(struct h3 *h, const uint8_t *bytes, size_t len)
{
	if (h->n_own + len > sizeof(h->own))
		return;
	memcpy(h->own + h->n_own, bytes, len);
	h->n_own += len;
	control_flush(h);
}

int
h3_control_open(struct h3 *h)
{
	const struct h3_settings own = {
		.section_max = h->conf.section_max,
		.connect = h->server && h->conf.extended_connect,
	};
	uint8_t bytes[1 + H3_SETTINGS_SIZE] = { H3_STREAM_CONTROL };
	struct adit_err e = ADIT_ERR_INIT;

	h->control = adit_mux_open(h->streams, ADIT_CONN_UNI, &e);
	if (!h->control)
		return e.code;
	adit_conn_own(h->control, control_event, h);
	control_put(h, bytes, 1 + h3_settings_write(bytes + 1, &own));
	return 0;
}

void
h3_control_goaway(struct h3 *h)
{
	uint8_t number[VARINT_MAX_LEN], frame[H3_HEAD_MAX + VARINT_MAX_LEN];
	size_t len, head;

	h->goaway = h->server ? h->next : 0;	/* a client's is about pushes (RFC 9114, 5.2) */
	len = varint_write(number, h->goaway);
	head = h3_head_write(frame, H3_GOAWAY, len);
	memcpy(frame + head, number, len);
	control_put(h, frame, head + len);
}

/* ---- the peer's control stream --------------------------------------------------------- */

static void
take_goaway(struct h3 *h, uint64_t id)
{
	struct h3_exchange *x, *next;

	/*
	 * Where the server dialled, some say the stream's own number and some the one it would have
	 * had: both mean the same request.
	 */
	if (!h->server && h->crossed)
		id &= ~UINT64_C(3);
	if (id > h->peer_limit || (!h->server && id % 4 != 0)) {
		h3_end(h, -EPROTO, H3_ID_ERROR, "GOAWAY");
		return;
	}
	h->peer_limit = id;
	for (x = TAILQ_FIRST(&h->exchanges); x && !h->server; x = next) {
		next = TAILQ_NEXT(x, entry);
		if (x->stream && h3_request_id(x->stream) >= id)
			h3_exchange_unprocessed(x);
	}
	adit_mux_say_peer_drains(&h->base);
}

static void
take_settings(struct h3 *h, const uint8_t *p, size_t len)
{
	uint64_t code = h3_settings_read(p, len, &h->peer);
	struct h3_exchange *x;

	if (code) {
		h3_end(h, -EPROTO, code, "SETTINGS");
		return;
	}
	h->settled = true;
	/* An extended CONNECT may wait for that. */
	TAILQ_FOREACH(x, &h->exchanges, entry)
		if (x->opened && x->tx == H3_TX_HEAD)
			adit_conn_ready(&x->base.body, ADIT_WRITE);
}

static void
take_control_frame(struct h3_uni *u)
{
	struct h3 *h = u->h;
	uint64_t number = 0;

	if (u->frame.type == H3_SETTINGS) {
		take_settings(h, u->payload, u->n);
	} else if (!h3_number_read(u->payload, u->n, &number)) {
		h3_end(h, -EPROTO, H3_FRAME_ERROR, "malformed frame");
	} else if (u->frame.type == H3_GOAWAY) {
		take_goaway(h, number);
	} else if (number < h->push_limit) {	/* RFC 9114, 7.2.7 */
		h3_end(h, -EPROTO, H3_ID_ERROR, "MAX_PUSH_ID");
	} else {
		h->push_limit = number;
	}
}

/* A frame begins. False: the session has ended. */
static bool
begin_control_frame(struct h3_uni *u)
{
	struct h3 *h = u->h;
	uint64_t place;

	u->frame = h3_head_take(&u->head);
	u->in_frame = true;
	u->n = 0;
	/* RFC 9114, 6.2.1 and 7.2.4 */
	if (!h->settled && u->frame.type != H3_SETTINGS) {
		h3_end(h, -EPROTO, H3_MISSING_SETTINGS, "no SETTINGS");
		return false;
	}
	place = h3_frame_place(u->frame.type,
			       h->server ? H3_CONTROL_OF_CLIENT : H3_CONTROL_OF_SERVER);
	if (h->settled && u->frame.type == H3_SETTINGS)
		place = H3_FRAME_UNEXPECTED;
	u->skips = place == H3_SKIP;
	if (place == H3_TAKE && u->frame.len > H3_SETTINGS_MAX)
		place = H3_EXCESSIVE_LOAD;
	if (place != H3_TAKE && place != H3_SKIP) {
		h3_end(h, -EPROTO, place, "control stream");
		return false;
	}
	return true;
}

/* Where the next bytes of a control stream go, and how many are wanted. */
static uint8_t *
control_wants(struct h3_uni *u, uint8_t drop[PIECE], size_t *len)
{
	if (!u->in_frame) {
		*len = h3_head_needs(&u->head);
		return u->head.bytes + u->head.n;
	}
	*len = u->skips && u->frame.len > PIECE ? PIECE : (size_t)u->frame.len;
	return u->skips ? drop : u->payload + u->n;
}

/* len more bytes are where control_wants said. False: the session has ended. */
static bool
control_took(struct h3_uni *u, size_t len)
{
	struct h3 *h = u->h;

	if (!u->in_frame) {
		u->head.n = (uint8_t)(u->head.n + len);
		if (h3_head_needs(&u->head))
			return true;
		if (!begin_control_frame(u))
			return false;
	} else {
		u->frame.len -= len;
		u->n += u->skips ? 0 : len;
	}
	if (u->frame.len)
		return true;
	u->in_frame = false;
	if (!u->skips)
		take_control_frame(u);
	return !h->ended;
}

/* ---- the peer's streams of QPACK ------------------------------------------------------- */

/*
 * RFC 9204, 4.3: without a table all that may be said is that its capacity is none, in one byte.
 */
static bool
encoder_took(struct h3_uni *u, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == 0x20)
			continue;
		h3_end(u->h, -EPROTO, H3_QPACK_ENCODER_STREAM_ERROR, "there is no table");
		return false;
	}
	return true;
}

/*
 * RFC 9204, 4.4: that a section was not read is all that may be said, as none needs to be
 * acknowledged and nothing was inserted.
 */
static bool
decoder_took(struct h3_uni *u, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (u->in_number) {
			u->in_number = p[i] & 0x80;
			continue;
		}
		if ((p[i] & 0xc0) != 0x40) {
			h3_end(u->h, -EPROTO, H3_QPACK_DECODER_STREAM_ERROR, "there is no table");
			return false;
		}
		u->in_number = (p[i] & 0x3f) == 0x3f;
	}
	return true;
}

/* ---- the peer's streams ---------------------------------------------------------------- */

void
h3_uni_close(struct h3_uni *u)
{
	TAILQ_REMOVE(&u->h->unis, u, entry);
	adit_conn_close(u->stream, -ECONNABORTED);
	free(u);
}

/* RFC 9114, 6.2.1; RFC 9204, 4.2: one of each. False: u or the session has ended. */
static bool
uni_typed(struct h3_uni *u)
{
	struct h3 *h = u->h;
	unsigned bit;

	varint_read(u->head.bytes, u->head.n, &u->type);
	memset(&u->head, 0, sizeof(u->head));
	u->typed = true;
	if (u->type == H3_STREAM_PUSH) {	/* RFC 9114, 4.6 and 6.2.2 */
		h3_end(h, -EPROTO, h->server ? H3_STREAM_CREATION_ERROR : H3_ID_ERROR, "push");
		return false;
	}
	if (u->type > H3_STREAM_DECODER) {	/* RFC 9114, 6.2.3 */
		adit_conn_set_code(u->stream, H3_STREAM_CREATION_ERROR);
		h3_uni_close(u);
		return false;
	}
	bit = 1u << u->type;
	if (h->seen & bit) {
		h3_end(h, -EPROTO, H3_STREAM_CREATION_ERROR, "a second such stream");
		return false;
	}
	h->seen |= bit;
	/* Streams that the client opened have even numbers (RFC 9000, 2.1). */
	h->crossed = (quic_conn_number(u->stream) & 1) != !h->server;
	return true;
}

static bool
uni_took_type(struct h3_uni *u, size_t len)
{
	uint64_t type;

	u->head.n = (uint8_t)(u->head.n + len);
	return varint_read(u->head.bytes, u->head.n, &type) ? uni_typed(u) : true;
}

/* One read of what comes next. False: u or the session has ended, or there is nothing more now. */
static bool
uni_step(struct h3_uni *u)
{
	bool control = !u->typed || u->type == H3_STREAM_CONTROL;
	uint8_t piece[PIECE], *at = piece;
	size_t len = sizeof(piece);
	ssize_t n;

	if (!u->typed) {
		at = u->head.bytes + u->head.n;
		len = 1;
	} else if (control) {
		at = control_wants(u, piece, &len);
	}
	n = adit_conn_read(u->stream, at, len);
	if (n == -EAGAIN)
		return false;
	if (n <= 0 && !u->typed) {		/* RFC 9114, 6.2: it may end before its type */
		h3_uni_close(u);
		return false;
	}
	if (n <= 0) {				/* RFC 9114, 6.2.1; RFC 9204, 4.2 */
		h3_end(u->h, -EPROTO, H3_CLOSED_CRITICAL_STREAM, "critical stream closed");
		return false;
	}
	h3_heard(u->h, (size_t)n);
	if (!u->typed)
		return uni_took_type(u, (size_t)n);
	if (control)
		return control_took(u, (size_t)n);
	return u->type == H3_STREAM_ENCODER ? encoder_took(u, piece, (size_t)n) :
					      decoder_took(u, piece, (size_t)n);
}

static void
uni_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct h3_uni *u = owner;

	(void)c;
	(void)events;
	while (uni_step(u))
		;
}

void
h3_uni_accept(struct h3 *h, struct adit_conn *stream)
{
	struct h3_uni *u = calloc(1, sizeof(*u) + H3_SETTINGS_MAX);

	if (!u) {
		adit_conn_set_code(stream, H3_INTERNAL_ERROR);
		adit_conn_close(stream, -ENOMEM);
		return;
	}
	u->h = h;
	u->stream = stream;
	TAILQ_INSERT_TAIL(&h->unis, u, entry);
	adit_conn_own(stream, uni_event, u);
	adit_conn_want(stream, ADIT_READ);
}
