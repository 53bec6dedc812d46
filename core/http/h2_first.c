#include "core/http/h2_first.h"

#include <errno.h>

#include <nghttp2/nghttp2.h>

#include "core/http/fields.h"
#include "core/http/section.h"

#define PREFACE_LEN 24		/* of text, in front of the frames */
#define FRAME_MAX   16384	/* before other settings are known (RFC 9113, 4.2) */
#define PRIORITY_LEN 5		/* in front of a head with NGHTTP2_FLAG_PRIORITY */

const uint8_t h2_first_settings[H2_FIRST_FRAME] = { 0, 0, 0, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0 };

/* The last stream is none, and there was no error. */
const uint8_t h2_first_goaway[H2_FIRST_GOAWAY] = { 0, 0, 8, NGHTTP2_GOAWAY };

struct frame {
	const uint8_t	*payload;
	size_t		 len;
	uint8_t		 type, flags;
	uint32_t	 stream;
};

/* The frame at at: its size as a whole, 0: it is not all there; -EBADMSG. */
static ssize_t
frame_take(const uint8_t *buf, size_t len, size_t at, struct frame *f)
{
	const uint8_t *p = buf + at;

	if (len - at < H2_FIRST_FRAME)
		return 0;
	*f = (struct frame){
		.payload = p + H2_FIRST_FRAME, .len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2],
		.type = p[3], .flags = p[4],
		.stream = (uint32_t)(p[5] & 0x7f) << 24 | (uint32_t)p[6] << 16 |
			  (uint32_t)p[7] << 8 | p[8],
	};
	if (f->len > FRAME_MAX)
		return -EBADMSG;
	return len - at < H2_FIRST_FRAME + f->len ? 0 : (ssize_t)(H2_FIRST_FRAME + f->len);
}

/* ---- where it is ---------------------------------------------------------------------------- */

/* What the walk over the frames has seen; a head that is begun is gone on with by nothing else. */
struct walk {
	struct h2_first	*first;
	uint32_t	 begun;		/* the stream of a head without its end; 0: none */
};

/* 0, or -EBADMSG: not at this place. */
static int
walk_frame(struct walk *w, const struct frame *f, size_t at, size_t size)
{
	struct h2_first *first = w->first;
	bool head = f->type == NGHTTP2_HEADERS && !first->head;
	bool settings = f->type == NGHTTP2_SETTINGS, ack = f->flags & NGHTTP2_FLAG_ACK;

	if (w->begun ? f->type != NGHTTP2_CONTINUATION || f->stream != w->begun :
		       !first->settled && (!settings || ack))
		return -EBADMSG;
	first->settled = true;
	if (settings && ack && !first->ack)
		first->ack = at;
	if (!head && !w->begun)
		return 0;
	if (!f->stream)
		return -EBADMSG;
	w->begun = f->flags & NGHTTP2_FLAG_END_HEADERS ? 0 : f->stream;
	if (head)
		first->head = at;
	first->head_len += size;
	return 0;
}

int
h2_first_look(const uint8_t *buf, size_t len, struct h2_first *out)
{
	struct walk w = { .first = out };
	size_t at = PREFACE_LEN;
	int err = 0;

	*out = (struct h2_first){ .head = 0 };
	while (!err && at < len && !(out->head && !w.begun && out->ack)) {
		struct frame f;
		ssize_t size = frame_take(buf, len, at, &f);

		if (size <= 0) {
			err = (int)size;
			break;
		}
		err = walk_frame(&w, &f, at, (size_t)size);
		at += (size_t)size;
	}
	if (w.begun)
		out->head = out->head_len = 0;
	return err;
}

/* ---- what it says ------------------------------------------------------------------------- */

/* Without its padding and its priority (RFC 9113, 6.2): 0 or -EBADMSG. */
static int
frame_strip(struct frame *f)
{
	size_t before = 0, behind = 0;

	if (f->type != NGHTTP2_HEADERS)
		return 0;
	if (f->flags & NGHTTP2_FLAG_PADDED) {
		if (!f->len)
			return -EBADMSG;
		before = 1;
		behind = f->payload[0];
	}
	if (f->flags & NGHTTP2_FLAG_PRIORITY)
		before += PRIORITY_LEN;
	if (before + behind > f->len)
		return -EBADMSG;
	f->payload += before;
	f->len -= before + behind;
	return 0;
}

/* Takes the fields of a piece of the head. 0, or a failure that is no matter of one field. */
static int
inflate(nghttp2_hd_inflater *hd, const struct frame *f, struct section *s)
{
	const bool final = f->flags & NGHTTP2_FLAG_END_HEADERS;
	const uint8_t *at = f->payload;
	size_t left = f->len;

	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(hd, &nv, &flags, at, left, final);

		if (n < 0)
			return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EBADMSG;
		at += n;
		left -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			section_add(s, (struct adit_text){ (const char *)nv.name, nv.namelen },
				    (struct adit_text){ (const char *)nv.value, nv.valuelen });
		else if (flags & NGHTTP2_HD_INFLATE_FINAL || !left)
			return 0;
	}
}

static int
inflate_frames(nghttp2_hd_inflater *hd, const uint8_t *head, size_t len, struct section *s)
{
	int err = 0;

	for (size_t at = 0; !err && at < len;) {
		struct frame f;
		ssize_t size = frame_take(head, len, at, &f);

		if (size <= 0)
			return -EBADMSG;
		err = frame_strip(&f);
		if (!err)
			err = inflate(hd, &f, s);
		at += (size_t)size;
	}
	return err;
}

int
h2_first_request(const uint8_t *buf, const struct h2_first *first, struct adit_fields **out)
{
	const struct section_rules rules = {
		.kind = SECTION_REQUEST, .version = 20, .limit = FIELDS_BYTES_MAX, .extended = true,
	};
	nghttp2_hd_inflater *hd;
	struct section s;
	int err;

	*out = NULL;
	if (nghttp2_hd_inflate_new(&hd))
		return -ENOMEM;
	section_begin(&s, &rules);
	err = inflate_frames(hd, buf + first->head, first->head_len, &s);
	nghttp2_hd_inflate_del(hd);
	if (!err)
		err = section_done(&s, out);
	section_drop(&s);
	return err;
}
