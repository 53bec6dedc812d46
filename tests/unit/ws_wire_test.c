/*
 * The WebSocket codec, and libwslay as the other side: what one writes the other reads.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <wslay/wslay.h>

#include "core/wire/ws_unpack.h"

/* ---- heads ---------------------------------------------------------------------- */

struct head_case {
	const char	*name;
	uint8_t		 bytes[WS_HEAD_MAX];
	size_t		 len;
	struct ws_frame	 want;
};

static const struct head_case heads[] = {
	{ "empty binary", { 0x82, 0x00 }, 2, { .fin = true, .opcode = WS_BINARY } },
	{ "text in parts", { 0x01, 0x05 }, 2, { .opcode = WS_TEXT, .len = 5 } },
	{ "continuation", { 0x80, 0x7d }, 2, { .fin = true, .len = 125 } },
	{ "16 bits, least", { 0x82, 0x7e, 0x00, 0x7e }, 4,
	  { .fin = true, .opcode = WS_BINARY, .len = 126 } },
	{ "16 bits, most", { 0x82, 0x7e, 0xff, 0xff }, 4,
	  { .fin = true, .opcode = WS_BINARY, .len = 65535 } },
	{ "64 bits, least", { 0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0 }, 10,
	  { .fin = true, .opcode = WS_BINARY, .len = 65536 } },
	{ "64 bits, most",
	  { 0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 10,
	  { .fin = true, .opcode = WS_BINARY, .len = INT64_MAX } },
	{ "masked", { 0x82, 0xfe, 0x01, 0x00, 1, 2, 3, 4 }, 8,
	  { .fin = true, .masked = true, .opcode = WS_BINARY, .key = { 1, 2, 3, 4 },
	    .len = 256 } },
	{ "masked ping", { 0x89, 0x80, 9, 8, 7, 6 }, 6,
	  { .fin = true, .masked = true, .opcode = WS_PING, .key = { 9, 8, 7, 6 } } },
	{ "close", { 0x88, 0x02 }, 2, { .fin = true, .opcode = WS_CLOSE, .len = 2 } },
};

static void
heads_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		const struct head_case *h = &heads[i];
		uint8_t out[WS_HEAD_MAX];
		struct ws_frame f;

		for (size_t len = 0; len < h->len; len++)
			assert_int_equal(ws_decode(h->bytes, len, &f, NULL), 0);
		assert_int_equal(ws_decode(h->bytes, h->len, &f, NULL), h->len);
		assert_int_equal(f.fin, h->want.fin);
		assert_int_equal(f.masked, h->want.masked);
		assert_int_equal(f.opcode, h->want.opcode);
		assert_int_equal(f.len, h->want.len);
		assert_memory_equal(f.key, h->want.key, WS_KEY_LEN);
		assert_int_equal(ws_encode(&f, out), h->len);
		assert_memory_equal(out, h->bytes, h->len);
	}
}

static const struct head_case refused[] = {
	{ "reserved bit 1", { 0xc2, 0x00 }, 2, { 0 } },
	{ "reserved bit 2", { 0xa2, 0x00 }, 2, { 0 } },
	{ "reserved bit 3", { 0x92, 0x00 }, 2, { 0 } },
	{ "unknown data frame", { 0x83, 0x00 }, 2, { 0 } },
	{ "unknown control frame", { 0x8b, 0x00 }, 2, { 0 } },
	{ "ping in parts", { 0x09, 0x00 }, 2, { 0 } },
	{ "ping too long", { 0x89, 0x7e }, 2, { 0 } },
	{ "16 bits for 125", { 0x82, 0x7e, 0x00, 0x7d }, 4, { 0 } },
	{ "64 bits for 65535", { 0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 10, { 0 } },
	{ "64 bits, negative", { 0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0 }, 10, { 0 } },
};

static void
what_is_no_head_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		const struct head_case *h = &refused[i];
		const char *why = NULL;
		struct ws_frame f;

		assert_int_equal(ws_decode(h->bytes, h->len, &f, &why), -EBADMSG);
		assert_non_null(why);
		assert_int_equal(ws_decode(h->bytes, h->len, &f, NULL), -EBADMSG);
	}
}

/* ---- masks ---------------------------------------------------------------------- */

/* Every length, offset and alignment within a few words, byte by byte as RFC 6455, 5.3 says. */
static void
masks_are_those_of_the_rfc(void **state)
{
	static const uint8_t key[WS_KEY_LEN] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t from[64], to[64];

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 31 + 7);
	for (size_t at = 0; at < 9; at++) {
		for (size_t len = 0; at + len <= sizeof(from); len++) {
			for (uint64_t offset = 0; offset < 5; offset++) {
				memset(to, 0xee, sizeof(to));
				ws_mask(to, from + at, len, key, offset);
				for (size_t i = 0; i < len; i++)
					assert_int_equal(to[i],
							 from[at + i] ^ key[(offset + i) % 4]);
				if (len < sizeof(to))
					assert_int_equal(to[len], 0xee);
			}
		}
	}
}

static void
masks_move_to_the_front_in_place(void **state)
{
	static const uint8_t key[WS_KEY_LEN] = { 1, 2, 4, 8 };

	(void)state;
	for (size_t by = 0; by < 20; by++) {
		uint8_t buf[100], want[100];
		size_t len = sizeof(buf) - by;

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)i;
		for (size_t i = 0; i < len; i++)
			want[i] = buf[by + i] ^ key[i % 4];
		ws_mask(buf, buf + by, len, key, 0);
		assert_memory_equal(buf, want, len);
	}
}

/* ---- libwslay ------------------------------------------------------------------- */

struct wire {
	uint8_t	bytes[200000];
	size_t	len, at;
	size_t	piece;		/* most that is given at a time */
};

static ssize_t
wslay_sends(const uint8_t *bytes, size_t len, int flags, void *arg)
{
	struct wire *w = arg;

	(void)flags;
	assert_true(w->len + len <= sizeof(w->bytes));
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
	return (ssize_t)len;
}

static ssize_t
wslay_receives(uint8_t *buf, size_t len, int flags, void *arg)
{
	struct wire *w = arg;

	(void)flags;
	if (len > w->len - w->at)
		len = w->len - w->at;
	if (len > w->piece)
		len = w->piece;
	memcpy(buf, w->bytes + w->at, len);
	w->at += len;
	return len ? (ssize_t)len : -1;
}

static int
wslay_masks(uint8_t *key, size_t len, void *arg)
{
	(void)arg;
	memset(key, 0xa5, len);
	key[1] = 0x11;
	return 0;
}

static const struct wslay_frame_callbacks callbacks = { wslay_sends, wslay_receives, wslay_masks };
static const size_t lengths[] = { 0, 1, 125, 126, 127, 1000, 65535, 65536, 100000 };

static void
wslay_reads_what_we_write(void **state)
{
	struct wire *w = calloc(1, sizeof(*w));
	wslay_frame_context_ptr wslay;

	(void)state;
	assert_int_equal(wslay_frame_context_init(&wslay, &callbacks, w), 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths) * 2; i++) {
		struct ws_frame f = {
			.fin = true, .opcode = WS_BINARY, .masked = i & 1, .key = { 5, 6, 7, 8 },
			.len = lengths[i / 2],
		};
		uint8_t plain[4096];
		size_t got = 0;

		memset(plain, 'p', sizeof(plain));
		w->piece = 700 + i;
		w->at = 0;
		w->len = ws_encode(&f, w->bytes);
		memset(w->bytes + w->len, 'p', lengths[i / 2]);
		if (f.masked)
			ws_mask(w->bytes + w->len, w->bytes + w->len, lengths[i / 2], f.key, 0);
		w->len += lengths[i / 2];
		do {
			struct wslay_frame_iocb in;
			ssize_t n = wslay_frame_recv(wslay, &in);

			assert_true(n >= 0);
			assert_int_equal(in.payload_length, lengths[i / 2]);
			assert_int_equal(in.mask, f.masked);
			assert_int_equal(in.opcode, WSLAY_BINARY_FRAME);
			assert_memory_equal(in.data, plain, in.data_length);
			got += (size_t)n;
		} while (got < lengths[i / 2]);
	}
	wslay_frame_context_free(wslay);
	free(w);
}

/* With one mind about masking for all of a context: libwslay 1.1.1 goes on masking else. */
static void
read_wslay(bool masked)
{
	struct wire *w = calloc(1, sizeof(*w));
	uint8_t *plain = calloc(1, sizeof(w->bytes));
	wslay_frame_context_ptr wslay;

	assert_int_equal(wslay_frame_context_init(&wslay, &callbacks, w), 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct wslay_frame_iocb out = {
			.fin = 1, .opcode = WSLAY_BINARY_FRAME, .mask = masked,
			.payload_length = lengths[i], .data = plain, .data_length = lengths[i],
		};
		struct ws_frame f;
		size_t head;

		w->len = 0;
		do {
			ssize_t n = wslay_frame_send(wslay, &out);

			assert_true(n >= 0);
			out.data += n;
			out.data_length -= (size_t)n;
		} while (out.data_length);
		head = (size_t)ws_decode(w->bytes, w->len, &f, NULL);
		assert_int_equal(head + lengths[i], w->len);
		assert_int_equal(f.len, lengths[i]);
		assert_int_equal(f.masked, masked);
		if (masked)
			ws_mask(w->bytes + head, w->bytes + head, lengths[i], f.key, 0);
		assert_memory_equal(w->bytes + head, plain, lengths[i]);
	}
	wslay_frame_context_free(wslay);
	free(plain);
	free(w);
}

static void
we_read_what_wslay_writes(void **state)
{
	(void)state;
	read_wslay(false);
	read_wslay(true);
}

/* ---- out of a stream ------------------------------------------------------------- */

/* A message in two parts, a ping between them, an empty one, a Close; and what nobody reads. */
static const uint8_t stream[] = {
	0x01, 0x03, 'a', 'b', 'c', 0x89, 0x02, 'h', 'i', 0x00, 0x01, 'd', 0x80, 0x00, 0x82, 0x01,
	'e', 0x8a, 0x01, '?', 0x88, 0x02, 0x03, 0xe8, 0x82, 0x01, 'f',
};

static void
a_stream_is_taken_apart_in_place(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		struct ws_unpack u = { .client = true };
		char got[sizeof(stream)];
		size_t n_got = 0;

		for (size_t at = 0; at < sizeof(stream) && !u.closed; at += piece) {
			size_t n = sizeof(stream) - at < piece ? sizeof(stream) - at : piece;
			uint8_t buf[sizeof(stream)];

			memcpy(buf, stream + at, n);
			n = ws_unpack(&u, buf, n);
			memcpy(got + n_got, buf, n);
			n_got += n;
		}
		assert_null(u.fault);
		assert_true(u.closed && u.pinged && ws_unpack_is_between(&u));
		assert_int_equal(n_got, 5);
		assert_memory_equal(got, "abcde", 5);
		assert_int_equal(u.ping_len, 2);
		assert_memory_equal(u.ping, "hi", 2);
		assert_int_equal(u.control_len, 2);
		assert_memory_equal(u.control, "\x03\xe8", 2);
	}
}

static void
what_breaks_the_protocol_comes_behind_the_data(void **state)
{
	static const struct {
		bool	client;
		uint8_t	bytes[12];
		size_t	len;
	} rows[] = {
		{ true, { 0x82, 0x01, 'x', 0x82, 0x81, 0, 0, 0, 0, 'y' }, 10 },	/* masked */
		{ true, { 0x82, 0x01, 'x', 0x80, 0x01, 'y' }, 6 },	/* no beginning */
		{ true, { 0x02, 0x01, 'x', 0x82, 0x01, 'y' }, 6 },	/* one within another */
		{ true, { 0x82, 0x01, 'x', 0x88, 0x01, 3 }, 6 },	/* half a code */
		{ true, { 0x82, 0x01, 'x', 0xc2, 0x01, 'y' }, 6 },	/* a reserved bit */
		{ false, { 0x82, 0x81, 0, 0, 0, 0, 'x', 0x82, 0x01, 'y' }, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ws_unpack u = { .client = rows[i].client };
		uint8_t buf[12];

		memcpy(buf, rows[i].bytes, sizeof(buf));
		assert_int_equal(ws_unpack(&u, buf, rows[i].len), 1);
		assert_int_equal(buf[0], 'x');
		assert_non_null(u.fault);
		assert_int_equal(ws_unpack(&u, buf, 1), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_read_and_written),
		cmocka_unit_test(what_is_no_head_is_refused),
		cmocka_unit_test(masks_are_those_of_the_rfc),
		cmocka_unit_test(masks_move_to_the_front_in_place),
		cmocka_unit_test(wslay_reads_what_we_write),
		cmocka_unit_test(we_read_what_wslay_writes),
		cmocka_unit_test(a_stream_is_taken_apart_in_place),
		cmocka_unit_test(what_breaks_the_protocol_comes_behind_the_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
