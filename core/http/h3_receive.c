#include "core/http/h3_int.h"

#include <errno.h>

#include "core/conn/conn.h"
#include "core/http/respond.h"

#define PIECE 2048

/* ---- errors ---------------------------------------------------------------------------- */

/* RFC 9114, 4.1.2: the message alone. */
static int
malformed(struct h3_exchange *x, const char *why)
{
	h3_exchange_abort(x, -EBADMSG, H3_MESSAGE_ERROR, why);
	return -EBADMSG;
}

static int
violated(struct h3_exchange *x, uint64_t code, const char *why)
{
	x->rx = H3_RX_BROKEN;
	x->left = 0;
	h3_end(x->h, -EPROTO, code, why);
	return -EPROTO;
}

/* RFC 6585, 5: the client is told, and nothing else is affected. */
static int
too_large(struct h3_exchange *x)
{
	if (x->h->server && x->rx == H3_RX_HEAD) {
		x->rx = H3_RX_DONE;
		x->head_given = x->accepted = true;
		http_refuse(&x->base, 431, 0);
		return -E2BIG;
	}
	h3_exchange_abort(x, -E2BIG, H3_EXCESSIVE_LOAD, "field section too large");
	return -E2BIG;
}

/* ---- heads ----------------------------------------------------------------------------- */

static void
take_request(struct h3_exchange *x, struct adit_fields *f, uint64_t length)
{
	x->asked = section_asked(f);
	x->arrived = f;
	x->rx = H3_RX_BODY;
	x->rx_left = length;
	adit_conn_deadline(x->stream, 0);
	adit_conn_ready(&x->base.body, ADIT_HEAD);
	h3_announce(x);
}

static void
take_response(struct h3_exchange *x, struct adit_fields *f, uint64_t length)
{
	int status = adit_fields_status(f);

	x->arrived = f;
	adit_conn_ready(&x->base.body, ADIT_HEAD);
	if (status < 200)
		return;
	x->rx = H3_RX_BODY;
	switch (section_content(status, x->asked)) {
	case SECTION_NOTHING:
		x->rx_left = 0;
		break;
	case SECTION_TUNNEL:
		x->tunnel = true;
		x->rx_left = SECTION_NO_LENGTH;
		break;
	case SECTION_BODY:
		x->rx_left = length;
		break;
	}
	h3_send_answered(x);
	adit_conn_ready(&x->base.body, ADIT_READ);
}

static int
take_section(struct h3_exchange *x)
{
	struct section *s = &x->decoder->section;
	struct adit_fields *f;
	int err = section_done(s, &f);
	const char *why = s->why;
	uint64_t length = s->length;

	h3_decoder_free(x->decoder);
	x->decoder = NULL;
	if (err == -EBADMSG)
		return malformed(x, why);
	if (err == -E2BIG)
		return too_large(x);
	if (err < 0) {
		h3_exchange_abort(x, err, H3_INTERNAL_ERROR, NULL);
		return err;
	}
	if (x->rx == H3_RX_BODY) {
		x->trailers = f;
		x->rx = H3_RX_TRAILED;
		adit_conn_ready(&x->base.body, ADIT_HEAD);
	} else if (x->h->server) {
		take_request(x, f, length);
	} else {
		take_response(x, f, length);
	}
	return 0;
}

static int
decode(struct h3_exchange *x, const uint8_t *p, size_t len)
{
	if (h3_decode(x->decoder, p, len, !x->left) < 0)
		return violated(x, H3_QPACK_DECOMPRESSION_FAILED, "malformed field section");
	return x->left ? 0 : take_section(x);
}

static int
begin_section(struct h3_exchange *x)
{
	const struct h3 *h = x->h;
	struct section_rules rules = {
		.kind = SECTION_TRAILERS, .version = 30, .limit = h->conf.section_max,
		.extended = h->conf.extended_connect,
	};

	if (x->rx == H3_RX_HEAD)
		rules.kind = h->server ? SECTION_REQUEST : SECTION_RESPONSE;
	else if (x->tunnel)		/* RFC 9114, 4.4: DATA is all that follows */
		return violated(x, H3_FRAME_UNEXPECTED, "HEADERS in a tunnel");
	x->decoder = h3_decoder_new(&rules);
	if (!x->decoder) {
		h3_exchange_abort(x, -ENOMEM, H3_INTERNAL_ERROR, NULL);
		return -ENOMEM;
	}
	return x->left ? 0 : decode(x, NULL, 0);
}

/* ---- frames ---------------------------------------------------------------------------- */

static int
begin_data(struct h3_exchange *x)
{
	if (x->rx == H3_RX_HEAD)		/* RFC 9114, 4.1 */
		return violated(x, H3_FRAME_UNEXPECTED, "DATA before HEADERS");
	if (x->rx_left == SECTION_NO_LENGTH)
		return 0;
	if (x->left > x->rx_left)
		return malformed(x, "more content than there can be");
	x->rx_left -= x->left;
	return 0;
}

static int
begin_frame(struct h3_exchange *x)
{
	struct h3_frame f = h3_head_take(&x->head);
	uint64_t place = h3_frame_place(f.type, x->h->server ? H3_REQUEST : H3_RESPONSE);

	x->type = f.type;
	x->left = f.len;
	if (place == H3_SKIP)
		return 0;
	if (place != H3_TAKE)
		return violated(x, place, "frame on a request stream");
	if (x->rx == H3_RX_TRAILED)
		return violated(x, H3_FRAME_UNEXPECTED, "frame behind trailers");
	return f.type == H3_HEADERS ? begin_section(x) : begin_data(x);
}

/* FIN between two frames. */
static int
take_end(struct h3_exchange *x)
{
	if (x->rx == H3_RX_HEAD && x->h->server) {	/* RFC 9114, 4.1.1 */
		h3_exchange_abort(x, -ECONNABORTED, H3_REQUEST_INCOMPLETE, NULL);
		return -ECONNABORTED;
	}
	if (x->rx == H3_RX_HEAD)
		return malformed(x, "ended without a response");
	if (x->rx_left && x->rx_left != SECTION_NO_LENGTH) {
		h3_exchange_abort(x, ADIT_ETRUNCATED, H3_MESSAGE_ERROR, "content ended short");
		return ADIT_ETRUNCATED;
	}
	x->rx = H3_RX_DONE;
	return 0;
}

/* Reads len bytes at most. 0: the end. */
static ssize_t
take(struct h3_exchange *x, void *buf, size_t len)
{
	ssize_t n = adit_conn_read(x->stream, buf, len);

	if (n > 0) {
		h3_heard(x->h, (size_t)n);
		return n;
	}
	if (n == -EAGAIN) {
		x->waiting = true;
		h3_exchange_update(x);
		return n;
	}
	if (n < 0)
		h3_exchange_failed(x, (int)n);
	return n;
}

static int
take_head(struct h3_exchange *x)
{
	ssize_t n = take(x, x->head.bytes + x->head.n, h3_head_needs(&x->head));

	if (n < 0)
		return (int)n;
	if (n == 0 && x->head.n)		/* RFC 9114, 7.1 */
		return violated(x, H3_FRAME_ERROR, "frame ended short");
	if (n == 0)
		return take_end(x);
	x->head.n = (uint8_t)(x->head.n + n);
	return h3_head_needs(&x->head) ? 0 : begin_frame(x);
}

/* Of a section, or of a frame that means nothing. */
static int
take_payload(struct h3_exchange *x)
{
	uint8_t piece[PIECE];
	ssize_t n = take(x, piece, x->left < sizeof(piece) ? (size_t)x->left : sizeof(piece));

	if (n < 0)
		return (int)n;
	if (n == 0)
		return violated(x, H3_FRAME_ERROR, "frame ended short");
	x->left -= (uint64_t)n;
	return x->type == H3_HEADERS ? decode(x, piece, (size_t)n) : 0;
}

int
h3_receive(struct h3_exchange *x)
{
	while (x->h && x->stream && x->rx < H3_RX_DONE) {
		int err;

		if (x->left && x->type == H3_DATA)
			return 1;
		/* One head at a time: the next is read when this one was taken. */
		if (!x->left && !x->head.n && x->arrived)
			return -EAGAIN;
		err = x->left ? take_payload(x) : take_head(x);
		if (err < 0)
			return err;
	}
	return x->rx == H3_RX_DONE && x->stream ? 0 : -EAGAIN;
}

/* ---- the body -------------------------------------------------------------------------- */

ssize_t
h3_receive_body(struct h3_exchange *x, void *buf, size_t len)
{
	int found = h3_receive(x);
	ssize_t n;

	if (found <= 0)
		return found;
	n = take(x, buf, x->left < len ? (size_t)x->left : len);
	if (n == 0 && len)
		return violated(x, H3_FRAME_ERROR, "frame ended short");
	if (n > 0)
		x->left -= (uint64_t)n;
	return n;
}

size_t
h3_receive_pour(struct h3_exchange *x, struct adit_conn *to, size_t len)
{
	size_t n;

	/* What else may be found there, and how it fails, a read tells. */
	if (!x->stream || !x->left || x->type != H3_DATA)
		return 0;
	n = conn_pour(x->stream, to, x->left < len ? (size_t)x->left : len);
	x->left -= n;
	h3_heard(x->h, n);
	return n;
}
