/*
 * A session of HTTP/2 exchanges with the test as its peer, frame by frame: heads are written as
 * text, one "name: value" a line, so that they may be wrong in any way.
 */
#ifndef ADIT_TEST_H2_WIRE_H
#define ADIT_TEST_H2_WIRE_H

#include <nghttp2/nghttp2.h>

#include "core/http/h2.h"
#include "tests/unit/wire_end.h"

#define H2W_END NGHTTP2_FLAG_END_STREAM
#define H2W_HEAD NGHTTP2_FLAG_END_HEADERS

struct h2_wire {
	struct wire_end		 wire;
	struct adit_mux		*mux;
	nghttp2_hd_inflater	*inflater;
};

struct h2_frame {
	size_t		 len;
	unsigned	 type, flags;
	int32_t		 id;
	const uint8_t	*payload;	/* until the next */
};

/* Both have exchanged SETTINGS; its own first frames are taken, but the PING that measures. */
void h2w_server(struct h2_wire *w, struct loop *l, const struct h2_conf *conf);
void h2w_client(struct h2_wire *w, struct loop *l, const struct h2_conf *conf);

/* The same, but the server has said nothing yet. */
void h2w_client_bare(struct h2_wire *w, struct loop *l, const struct h2_conf *conf);

/* Closes the session, politely if it is still there. */
void h2w_fini(struct h2_wire *w);

/* Sends a frame and turns the loop. */
void h2w_send(struct h2_wire *w, unsigned type, unsigned flags, uint32_t id, const void *payload,
	      size_t len);

/* HEADERS with those fields, spelled as they are, nothing indexed. */
void h2w_head(struct h2_wire *w, unsigned flags, uint32_t id, const char *fields);

/* The fields' block; returns its length. */
size_t h2w_encode(const char *fields, uint8_t *out, size_t room);

/* RST_STREAM, or GOAWAY with that last stream. */
void h2w_reset(struct h2_wire *w, uint32_t id, uint8_t code);
void h2w_goaway(struct h2_wire *w, uint8_t last, uint8_t code);

/* The next frame of that type and stream, past all others; fails the test where none is. */
struct h2_frame h2w_expect(struct h2_wire *w, unsigned type, int32_t id);

/* The next HEADERS of that stream: decoded, as text. Flags: exactly those. */
void h2w_expect_head(struct h2_wire *w, unsigned flags, int32_t id, const char *fields);

/* The same, of which the first field is that. */
void h2w_expect_status(struct h2_wire *w, int32_t id, const char *status);

/* A RST_STREAM, GOAWAY with that code. */
void h2w_expect_reset(struct h2_wire *w, int32_t id, uint32_t code);
void h2w_expect_goaway(struct h2_wire *w, uint32_t code);

/* No frame of that type is among those that came, which are taken. */
void h2w_expect_none(struct h2_wire *w, unsigned type);

/* "GET https a.b /path" or "200", and "name: value" lines: a struct adit_fields. */
struct adit_fields *h2w_fields(const char *text);

/* Sends such a head on x. */
int h2w_send_head(struct adit_exchange *x, const char *text, unsigned flags);

/* The next head of x is that, in the same words. */
void h2w_expect_fields(struct adit_exchange *x, const char *text);

#endif
