#include "tests/unit/h2_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/h1_side.h"

#define TURNS 8
#define FRAME_HEAD 9
#define FRAME_MAX 20000
#define TEXT_MAX 4096

/* ---- what the peer sends --------------------------------------------------------------------- */

void
h2w_send(struct h2_wire *w, unsigned type, unsigned flags, uint32_t id, const void *payload,
	 size_t len)
{
	uint8_t bytes[FRAME_HEAD + FRAME_MAX] = {
		(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type,
		(uint8_t)flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
		(uint8_t)id,
	};

	assert_true(len <= FRAME_MAX);
	if (len)
		memcpy(bytes + FRAME_HEAD, payload, len);
	wire_end_send(&w->wire, bytes, FRAME_HEAD + len);
	loop_turn(w->wire.loop, TURNS);
}

/* RFC 7541, 5.1 and 5.2: no Huffman. */
static size_t
put_string(uint8_t *out, size_t room, const char *s, size_t len)
{
	size_t n = 0, rest = len;

	assert_true(room > len + 5);
	if (len < 127) {
		out[n++] = (uint8_t)len;
	} else {
		out[n++] = 127;
		for (rest -= 127; rest >= 128; rest >>= 7)
			out[n++] = (uint8_t)(rest | 128);
		out[n++] = (uint8_t)rest;
	}
	memcpy(out + n, s, len);
	return n + len;
}

size_t
h2w_encode(const char *fields, uint8_t *out, size_t room)
{
	size_t n = 0;

	while (*fields) {
		size_t line = strcspn(fields, "\n"), name = 1 + strcspn(fields + 1, ":");

		assert_true(name + 2 <= line && n < room);
		out[n++] = 0;			/* RFC 7541, 6.2.2 */
		n += put_string(out + n, room - n, fields, name);
		n += put_string(out + n, room - n, fields + name + 2, line - name - 2);
		fields += line + 1;
	}
	return n;
}

void
h2w_head(struct h2_wire *w, unsigned flags, uint32_t id, const char *fields)
{
	uint8_t block[FRAME_MAX];

	h2w_send(w, NGHTTP2_HEADERS, flags, id, block, h2w_encode(fields, block, sizeof(block)));
}

void
h2w_reset(struct h2_wire *w, uint32_t id, uint8_t code)
{
	h2w_send(w, NGHTTP2_RST_STREAM, 0, id, (const uint8_t[]){ 0, 0, 0, code }, 4);
}

void
h2w_goaway(struct h2_wire *w, uint8_t last, uint8_t code)
{
	h2w_send(w, NGHTTP2_GOAWAY, 0, 0, (const uint8_t[]){ 0, 0, 0, last, 0, 0, 0, code }, 8);
}

/* ---- what came ------------------------------------------------------------------------------- */

static bool
next_frame(struct h2_wire *w, struct h2_frame *f)
{
	static uint8_t copy[1 << 17];
	const uint8_t *at = (const uint8_t *)w->wire.got;

	if (w->wire.len < FRAME_HEAD)
		return false;
	*f = (struct h2_frame){
		.len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2], .type = at[3],
		.flags = at[4], .id = at[5] << 24 | at[6] << 16 | at[7] << 8 | at[8],
		.payload = copy,
	};
	assert_true(f->len <= sizeof(copy));
	if (w->wire.len < FRAME_HEAD + f->len)
		return false;
	memcpy(copy, at + FRAME_HEAD, f->len);
	wire_end_drop(&w->wire, FRAME_HEAD + f->len);
	return true;
}

static size_t
decode(struct h2_wire *w, const struct h2_frame *f, char *text, size_t room)
{
	const uint8_t *at = f->payload;
	size_t left = f->len, len = 0;
	int flags = 0;

	text[0] = 0;
	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(w->inflater, &nv, &flags, at, left, 1);

		assert_true(n >= 0);
		at += n;
		left -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			len += (size_t)snprintf(text + len, room - len, "%s: %s\n",
						(const char *)nv.name, (const char *)nv.value);
		assert_true(len < room);
	}
	nghttp2_hd_inflate_end_headers(w->inflater);
	return len;
}

struct h2_frame
h2w_expect(struct h2_wire *w, unsigned type, int32_t id)
{
	static char text[TEXT_MAX];
	struct h2_frame f;

	loop_turn(w->wire.loop, TURNS);
	for (;;) {
		assert_true(next_frame(w, &f));
		if (f.type == type && f.id == id)
			return f;
		if (f.type == NGHTTP2_HEADERS)		/* the decoder's state needs it */
			decode(w, &f, text, sizeof(text));
	}
}

void
h2w_expect_head(struct h2_wire *w, unsigned flags, int32_t id, const char *fields)
{
	struct h2_frame f = h2w_expect(w, NGHTTP2_HEADERS, id);
	char text[TEXT_MAX];

	decode(w, &f, text, sizeof(text));
	assert_string_equal(text, fields);
	assert_int_equal(f.flags & (H2W_END | H2W_HEAD), flags);
}

void
h2w_expect_status(struct h2_wire *w, int32_t id, const char *status)
{
	struct h2_frame f = h2w_expect(w, NGHTTP2_HEADERS, id);
	char text[TEXT_MAX];

	decode(w, &f, text, sizeof(text));
	text[strcspn(text, "\n")] = 0;
	assert_string_equal(text, status);
}

static uint32_t
code_at(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void
h2w_expect_reset(struct h2_wire *w, int32_t id, uint32_t code)
{
	assert_int_equal(code_at(h2w_expect(w, NGHTTP2_RST_STREAM, id).payload), code);
}

void
h2w_expect_goaway(struct h2_wire *w, uint32_t code)
{
	assert_int_equal(code_at(h2w_expect(w, NGHTTP2_GOAWAY, 0).payload + 4), code);
}

void
h2w_expect_none(struct h2_wire *w, unsigned type)
{
	static char text[TEXT_MAX];
	struct h2_frame f;

	loop_turn(w->wire.loop, TURNS);
	while (next_frame(w, &f)) {
		assert_int_not_equal(f.type, type);
		if (f.type == NGHTTP2_HEADERS)
			decode(w, &f, text, sizeof(text));
	}
}

/* ---- the session ----------------------------------------------------------------------------- */

static void
begin(struct h2_wire *w)
{
	assert_non_null(w->mux);
	assert_int_equal(nghttp2_hd_inflate_new(&w->inflater), 0);
	loop_turn(w->wire.loop, TURNS);
}

void
h2w_server(struct h2_wire *w, struct loop *l, const struct h2_conf *conf)
{
	*w = (struct h2_wire){ .mux = NULL };
	w->mux = h2_server(wire_end_init(&w->wire, l), conf);
	begin(w);
	wire_end_send(&w->wire, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	h2w_send(w, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	h2w_expect(w, NGHTTP2_SETTINGS, 0);
	h2w_send(w, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
	assert_true(adit_mux_is_open(w->mux));
}

void
h2w_client_bare(struct h2_wire *w, struct loop *l, const struct h2_conf *conf)
{
	*w = (struct h2_wire){ .mux = NULL };
	w->mux = h2_client(wire_end_init(&w->wire, l), conf);
	begin(w);
	assert_memory_equal(w->wire.got, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	wire_end_drop(&w->wire, NGHTTP2_CLIENT_MAGIC_LEN);
	h2w_expect(w, NGHTTP2_SETTINGS, 0);
	assert_true(adit_mux_is_open(w->mux));
}

void
h2w_client(struct h2_wire *w, struct loop *l, const struct h2_conf *conf)
{
	h2w_client_bare(w, l, conf);
	h2w_send(w, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

void
h2w_fini(struct h2_wire *w)
{
	adit_mux_close(w->mux, NULL);
	wire_end_fini(&w->wire);
	nghttp2_hd_inflate_del(w->inflater);
}

/* ---- heads as text --------------------------------------------------------------------------- */

struct adit_fields *
h2w_fields(const char *text)
{
	return side_fields(text);
}

int
h2w_send_head(struct adit_exchange *x, const char *text, unsigned flags)
{
	struct adit_fields *f = h2w_fields(text);
	int err = adit_exchange_send_head(x, f, flags);

	adit_fields_free(f);
	return err;
}

static void
put_control(char *text, size_t room, const struct adit_fields *f, enum adit_control which)
{
	struct adit_text t = adit_fields_control(f, which);
	size_t len = strlen(text);

	if (t.s)
		snprintf(text + len, room - len, "%s%s", len ? " " : "", t.s);
}

void
h2w_expect_fields(struct adit_exchange *x, const char *expected)
{
	const struct adit_fields *f = adit_exchange_head(x);
	char text[TEXT_MAX] = "";
	size_t len;

	assert_non_null(f);
	if (adit_fields_status(f))
		snprintf(text, sizeof(text), "%d", adit_fields_status(f));
	put_control(text, sizeof(text), f, ADIT_METHOD);
	put_control(text, sizeof(text), f, ADIT_PROTOCOL);
	put_control(text, sizeof(text), f, ADIT_SCHEME);
	put_control(text, sizeof(text), f, ADIT_AUTHORITY);
	put_control(text, sizeof(text), f, ADIT_TARGET);
	len = strlen(text);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "\n");
	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s: %s\n",
					field->name.s, field->value.s);
	}
	assert_string_equal(text, expected);
	assert_int_equal(adit_fields_version(f), 20);
}
