#include "core/http/h3_qpack.h"

#include <errno.h>
#include <stdlib.h>

#include "core/http/fields.h"

/* ---- written --------------------------------------------------------------------------- */

static int
encoder_begin(struct h3_encoder *e)
{
	if (e->qpack)
		return 0;
	nghttp3_buf_init(&e->prefix);
	nghttp3_buf_init(&e->fields);
	nghttp3_buf_init(&e->stream);
	return nghttp3_qpack_encoder_new(&e->qpack, 0, nghttp3_mem_default()) ? -ENOMEM : 0;
}

void
h3_encoder_fini(struct h3_encoder *e)
{
	if (!e->qpack)
		return;
	nghttp3_qpack_encoder_del(e->qpack);
	nghttp3_buf_free(&e->prefix, nghttp3_mem_default());
	nghttp3_buf_free(&e->fields, nghttp3_mem_default());
	nghttp3_buf_free(&e->stream, nghttp3_mem_default());
	e->qpack = NULL;
}

static uint8_t *
bytes_of(struct adit_text t)
{
	return (uint8_t *)(uintptr_t)t.s;
}

int
h3_encode(struct h3_encoder *e, const struct section_list *list)
{
	nghttp3_nv nv[SECTION_LIST_MAX];

	if (encoder_begin(e) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++) {
		const struct section_field *f = &list->v[i];

		nv[i] = (nghttp3_nv){
			.name = bytes_of(f->name), .namelen = f->name.len,
			.value = bytes_of(f->value), .valuelen = f->value.len,
			.flags = f->secret ? NGHTTP3_NV_FLAG_NEVER_INDEX : NGHTTP3_NV_FLAG_NONE,
		};
	}
	nghttp3_buf_reset(&e->prefix);
	nghttp3_buf_reset(&e->fields);
	nghttp3_buf_reset(&e->stream);
	/* Which stream it is matters to a dynamic table alone. */
	if (!nghttp3_qpack_encoder_encode(e->qpack, &e->prefix, &e->fields, &e->stream, 0, nv,
					  list->n))
		return 0;
	h3_encoder_fini(e);
	return -ENOMEM;
}

/* ---- read ------------------------------------------------------------------------------ */

struct h3_decoder *
h3_decoder_new(const struct section_rules *rules)
{
	struct h3_decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	section_begin(&d->section, rules);
	if (nghttp3_qpack_decoder_new(&d->qpack, 0, 0, nghttp3_mem_default()) ||
	    nghttp3_qpack_stream_context_new(&d->stream, 0, nghttp3_mem_default())) {
		h3_decoder_free(d);
		return NULL;
	}
	return d;
}

void
h3_decoder_free(struct h3_decoder *d)
{
	if (!d)
		return;
	section_drop(&d->section);
	if (d->stream)
		nghttp3_qpack_stream_context_del(d->stream);
	nghttp3_qpack_decoder_del(d->qpack);
	free(d);
}

static struct adit_text
text_of(nghttp3_rcbuf *buf)
{
	nghttp3_vec v = nghttp3_rcbuf_get_buf(buf);

	return (struct adit_text){ (const char *)v.base, v.len };
}

static void
take_field(struct h3_decoder *d, const nghttp3_qpack_nv *nv)
{
	section_add(&d->section, text_of(nv->name), text_of(nv->value));
	nghttp3_rcbuf_decref(nv->name);
	nghttp3_rcbuf_decref(nv->value);
}

/* What nghttp3 does not take of a field is a limit of its own: one text is too long. */
static int
decoder_failed(struct h3_decoder *d, nghttp3_ssize err)
{
	if (err != NGHTTP3_ERR_NOMEM && err != NGHTTP3_ERR_QPACK_HEADER_TOO_LARGE)
		return -EPROTO;
	section_fail(&d->section, err == NGHTTP3_ERR_NOMEM ? -ENOMEM : -E2BIG);
	return 0;
}

int
h3_decode(struct h3_decoder *d, const uint8_t *p, size_t len, bool last)
{
	uint8_t flags = 0;

	/* Once it failed nothing more of it is of interest: no other section depends on it. */
	while (!d->section.err && !(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL)) {
		nghttp3_qpack_nv nv;
		nghttp3_ssize n = nghttp3_qpack_decoder_read_request(d->qpack, d->stream, &nv,
								     &flags, p, len, last);

		if (n < 0)
			return decoder_failed(d, n);
		p = n ? p + n : p;	/* which may be NULL */
		len -= (size_t)n;
		if (flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT)
			take_field(d, &nv);
		else if (!len)
			break;
		if (flags & NGHTTP3_QPACK_DECODE_FLAG_BLOCKED)
			return -EPROTO;
	}
	if (last && !d->section.err && !(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL))
		return -EPROTO;
	return 0;
}
