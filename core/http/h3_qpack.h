/*
 * Field sections as HTTP/3 has them on the wire: nghttp3's QPACK without a dynamic table (RFC
 * 9204). Nothing that one section says has an effect on another, so an error stays where it is.
 */
#ifndef ADIT_CORE_HTTP_H3_QPACK_H
#define ADIT_CORE_HTTP_H3_QPACK_H

#include <nghttp3/nghttp3.h>

#include "core/http/section.h"

/* ---- written --------------------------------------------------------------------------- */

/* Of a session. Zeroed: nothing was written yet. */
struct h3_encoder {
	nghttp3_qpack_encoder	*qpack;
	nghttp3_buf		 prefix, fields, stream;
};

void h3_encoder_fini(struct h3_encoder *e);

/*
 * Encodes a list: e->prefix and, behind it, e->fields are the section, until the next one. 0 or
 * -ENOMEM.
 */
int h3_encode(struct h3_encoder *e, const struct section_list *list);

/* ---- read ------------------------------------------------------------------------------ */

/* One section being decoded. */
struct h3_decoder {
	nghttp3_qpack_decoder		*qpack;
	nghttp3_qpack_stream_context	*stream;
	struct section			 section;
};

/* NULL: out of memory. */
struct h3_decoder *h3_decoder_new(const struct section_rules *rules);
void h3_decoder_free(struct h3_decoder *d);	/* NULL is fine */

/*
 * The next bytes of it; last: there are no more. 0, or -EPROTO: no QPACK that could be read without
 * a dynamic table, which ends the connection. What else is wrong d->section tells when it is done.
 */
int h3_decode(struct h3_decoder *d, const uint8_t *p, size_t len, bool last);

#endif
