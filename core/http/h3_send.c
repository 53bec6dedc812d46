#include "core/http/h3_int.h"

#include <errno.h>
#include <string.h>

#include "core/mux/quic/quic.h"

#define DATA_MAX    16383	/* of one frame: a length of two bytes */
#define DATA_PIECES 16

/* ---- the stream ------------------------------------------------------------------------ */

static int
queue_rest(struct h3_exchange *x, const struct iovec *iov, int n, size_t skip)
{
	for (int i = 0; i < n; i++) {
		const char *s = iov[i].iov_base;
		size_t past = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t len = iov[i].iov_len - past;

		skip -= past;
		if (queue_add(&x->out, s + past, len) == len)
			continue;
		h3_exchange_abort(x, -ENOMEM, H3_INTERNAL_ERROR, NULL);
		return -ENOMEM;
	}
	return 0;
}

int
h3_send_flush(struct h3_exchange *x)
{
	struct iovec iov[DATA_PIECES];

	if (x->out.len && !quic_stream_takes(x->stream) && adit_conn_is_open(x->stream)) {
		queue_drop(&x->out, x->out.len);
		return x->h->server || x->tunnel ? -EPIPE : 0;
	}
	while (x->out.len) {
		int n = queue_peek(&x->out, 0, iov, DATA_PIECES);
		ssize_t took = adit_conn_writev(x->stream, iov, n);

		if (took < 0)
			return (int)took;
		adit_mux_moved(&x->h->base, 0, (uint64_t)took);
		queue_drop(&x->out, (size_t)took);
	}
	if (x->fin) {
		x->fin = false;
		adit_conn_shutdown(x->stream);
	}
	return 0;
}

/*
 * Writes all of it, or nothing (-EAGAIN): what the stream does not take of a frame that was begun
 * is queued. Other failures are x's.
 */
static int
send_whole(struct h3_exchange *x, const struct iovec *iov, int n)
{
	ssize_t took = adit_conn_writev(x->stream, iov, n);
	int err;

	if (took >= 0) {
		adit_mux_moved(&x->h->base, 0, (uint64_t)took);
		err = (size_t)took < iov_total(iov, n) ? queue_rest(x, iov, n, (size_t)took) : 0;
		if (err == 0 && x->out.len)	/* to be told when there is room again */
			h3_send_flush(x);
		took = err;
	}
	if (took == -EAGAIN || x->out.len) {
		x->blocked = true;
		h3_exchange_update(x);
	}
	return (int)took;
}

/* Whether more can be written now: 0, or -EAGAIN, or a failure. */
static int
may_send(struct h3_exchange *x)
{
	int err = x->out.len ? h3_send_flush(x) : 0;

	if (err == -EAGAIN) {
		x->blocked = true;
		h3_exchange_update(x);
	}
	return err;
}

/* ---- heads ----------------------------------------------------------------------------- */

/* RFC 9114, 4.2.2: the peer would refuse it. */
static bool
is_too_large(const struct h3 *h, const struct section_list *list)
{
	uint64_t size = 0;

	for (size_t i = 0; i < list->n; i++)
		size += list->v[i].name.len + list->v[i].value.len + 32;
	return h->settled && size > h->peer.section_max;
}

static int
send_list(struct h3_exchange *x, const struct section_list *list)
{
	struct h3_encoder *e = &x->h->encoder;
	uint8_t head[H3_HEAD_MAX];
	struct iovec iov[3];

	if (is_too_large(x->h, list))
		return -E2BIG;
	if (h3_encode(e, list) < 0)
		return -ENOMEM;
	iov[1] = (struct iovec){ e->prefix.pos, nghttp3_buf_len(&e->prefix) };
	iov[2] = (struct iovec){ e->fields.pos, nghttp3_buf_len(&e->fields) };
	iov[0] = (struct iovec){ head, h3_head_write(head, H3_HEADERS,
						     iov[1].iov_len + iov[2].iov_len) };
	return send_whole(x, iov, 3);
}

/* The length that the section gave is *length. */
static int
send_section(struct h3_exchange *x, const struct adit_fields *f, enum section_kind kind,
	     uint64_t *length)
{
	struct section_list list;
	int err = may_send(x);

	if (err == 0)
		err = section_list(&list, f, kind);
	if (err < 0)
		return err;
	*length = list.length;
	err = send_list(x, &list);
	section_list_free(&list);
	return err;
}

static void
finish(struct h3_exchange *x)
{
	x->tx = H3_TX_DONE;
	if (x->out.len)
		x->fin = true;
	else
		adit_conn_shutdown(x->stream);
}

static int
send_request(struct h3_exchange *x, const struct adit_fields *f, unsigned flags)
{
	bool extended = adit_fields_control(f, ADIT_PROTOCOL).s;
	int err;

	if (extended && !x->h->settled)
		return -EAGAIN;
	if (extended && !x->h->peer.connect)	/* RFC 8441, 3 */
		return -ENOTSUP;
	err = send_section(x, f, SECTION_REQUEST, &x->tx_left);
	if (err < 0)
		return err;
	x->asked = section_asked(f);
	if (x->asked == SECTION_ASKED_CONNECT) {
		x->tx = H3_TX_ASKED;
		return 0;
	}
	x->tx = H3_TX_BODY;
	if (flags & ADIT_HEAD_END)
		finish(x);
	return 0;
}

/* A 2xx to CONNECT says no length (RFC 9110, 8.6); the copy is of a few fields. */
static int
send_agreement(struct h3_exchange *x, const struct adit_fields *f)
{
	struct adit_fields *copy = adit_fields_copy(f);
	uint64_t length;
	int err;

	if (!copy)
		return -ENOMEM;
	adit_fields_remove(copy, "content-length");
	err = send_section(x, copy, SECTION_RESPONSE, &length);
	adit_fields_free(copy);
	return err;
}

static int
send_final(struct h3_exchange *x, const struct adit_fields *f, unsigned flags)
{
	enum section_content content = section_content(adit_fields_status(f), x->asked);
	uint64_t length = SECTION_NO_LENGTH;
	int err = content == SECTION_TUNNEL ? send_agreement(x, f) :
					      send_section(x, f, SECTION_RESPONSE, &length);

	if (err < 0)
		return err;
	x->tx = H3_TX_BODY;
	x->tx_left = length;
	x->tunnel = content == SECTION_TUNNEL;
	x->empty = content == SECTION_NOTHING;
	if (x->tunnel)
		x->rx_left = SECTION_NO_LENGTH;
	if (x->empty || (flags & ADIT_HEAD_END && !x->tunnel))
		finish(x);
	adit_conn_ready(&x->base.body, ADIT_WRITE | ADIT_READ);
	return 0;
}

int
h3_send_head(struct h3_exchange *x, const struct adit_fields *f, unsigned flags)
{
	int status = adit_fields_status(f);
	uint64_t length;

	if (x->tx != H3_TX_HEAD)
		return -EINVAL;
	if (x->h->server && !quic_stream_takes(x->stream))
		return -EPIPE;
	if (!x->h->server)
		return send_request(x, f, flags);
	if (status >= 100 && status < 200)
		return send_section(x, f, SECTION_RESPONSE, &length);
	return send_final(x, f, flags);
}

int
h3_send_trailers(struct h3_exchange *x, const struct adit_fields *f)
{
	uint64_t length;
	int err;

	if (x->tunnel || x->empty || x->tx == H3_TX_DONE)
		return -ENOTSUP;
	if (x->tx != H3_TX_BODY)
		return -EAGAIN;
	if (!quic_stream_takes(x->stream))
		return -ENOTSUP;
	err = send_section(x, f, SECTION_TRAILERS, &length);
	if (err == 0)
		x->tx = H3_TX_TRAILED;
	return err;
}

void
h3_send_answered(struct h3_exchange *x)
{
	if (x->tx != H3_TX_ASKED)
		return;
	x->tx = H3_TX_BODY;
	x->tx_left = SECTION_NO_LENGTH;
	if (!x->tunnel)			/* nothing of a tunnel that is not there */
		finish(x);
	else if (x->fin_asked)
		h3_send_end(x);
	adit_conn_ready(&x->base.body, ADIT_WRITE);
}

/* ---- the body -------------------------------------------------------------------------- */

/* At most limit bytes of what begins skip bytes into iov, behind the frame's head. */
static int
make_frame(struct iovec out[DATA_PIECES + 1], const struct iovec *iov, int n, size_t skip,
	   size_t limit)
{
	int used = 1;

	for (int i = 0; i < n && limit && used <= DATA_PIECES; i++) {
		size_t past = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t len = iov[i].iov_len - past;

		skip -= past;
		if (!len)
			continue;
		if (len > limit)
			len = limit;
		out[used++] = (struct iovec){ (char *)iov[i].iov_base + past, len };
		limit -= len;
	}
	return used;
}

/* One frame. How many bytes of the body it took, or -EAGAIN, or a failure. */
static ssize_t
send_frame(struct h3_exchange *x, const struct iovec *iov, int n, size_t skip)
{
	size_t limit = x->tx_left < DATA_MAX ? (size_t)x->tx_left : DATA_MAX, len;
	struct iovec frame[DATA_PIECES + 1];
	int used = make_frame(frame, iov, n, skip, limit), err;
	uint8_t head[H3_HEAD_MAX];

	len = iov_total(frame + 1, used - 1);
	if (!len)
		return 0;
	frame[0] = (struct iovec){ head, h3_head_write(head, H3_DATA, len) };
	err = send_whole(x, frame, used);
	if (err < 0)
		return err;
	if (x->tx_left != SECTION_NO_LENGTH)
		x->tx_left -= len;
	return (ssize_t)len;
}

static ssize_t
send_frames(struct h3_exchange *x, const struct iovec *iov, int n)
{
	size_t took = 0;
	ssize_t got;

	do {
		got = send_frame(x, iov, n, took);
		took += got > 0 ? (size_t)got : 0;
	} while (got > 0 && !x->out.len);
	if (took || got == 0)
		return (ssize_t)took;
	return got;
}

/* What a write behind the end of our message answers. */
static ssize_t
refuse_write(const struct h3_exchange *x, const struct iovec *iov, int n)
{
	/* To HEAD a response may be written as to GET (RFC 9110, 9.3.2). */
	if (x->h->server && x->asked == SECTION_ASKED_HEAD)
		return (ssize_t)iov_total(iov, n);
	return x->empty || !x->tx_left ? -EMSGSIZE : -EPIPE;
}

ssize_t
h3_send_body(struct h3_exchange *x, const struct iovec *iov, int n)
{
	int err;

	switch (x->tx) {
	case H3_TX_HEAD:
	case H3_TX_ASKED:
		return -EAGAIN;
	case H3_TX_TRAILED:
		return -EPIPE;
	case H3_TX_DONE:
		return refuse_write(x, iov, n);
	case H3_TX_BODY:
		break;
	}
	if (!quic_stream_takes(x->stream))	/* RFC 9114, 4.1: the response may still come */
		return x->h->server || x->tunnel ? -EPIPE : (ssize_t)iov_total(iov, n);
	if (!x->tx_left && iov_total(iov, n))
		return -EMSGSIZE;
	err = may_send(x);
	return err < 0 ? err : send_frames(x, iov, n);
}

int
h3_send_end(struct h3_exchange *x)
{
	switch (x->tx) {
	case H3_TX_HEAD:
		return -EPROTO;
	case H3_TX_ASKED:
		x->fin_asked = true;
		return 0;
	case H3_TX_DONE:
		return 0;
	case H3_TX_BODY:
	case H3_TX_TRAILED:
		break;
	}
	if (!quic_stream_takes(x->stream)) {
		x->tx = H3_TX_DONE;
		return 0;
	}
	if (x->tx_left && x->tx_left != SECTION_NO_LENGTH)
		return -EPROTO;
	finish(x);
	return 0;
}
