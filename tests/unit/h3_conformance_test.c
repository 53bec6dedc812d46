/*
 * The rules of RFC 9114 one by one: a peer that writes bytes on streams, and what becomes of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/conn.h"
#include "core/http/h3_int.h"
#include "tests/unit/h3_rig.h"

#define GET ":method: GET\n:scheme: https\n:authority: a\n:path: /\n"
#define POST ":method: POST\n:scheme: https\n:authority: a\n:path: /\n"
#define BYTES 4096

/* ---- bytes ---------------------------------------------------------------------------------- */

struct bytes {
	uint8_t	b[BYTES];
	size_t	len;
};

static void
put(struct bytes *to, const void *p, size_t len)
{
	assert_true(to->len + len <= sizeof(to->b));
	memcpy(to->b + to->len, p, len);
	to->len += len;
}

static void
put_frame(struct bytes *to, uint64_t type, const void *payload, size_t len)
{
	uint8_t head[H3_HEAD_MAX];

	put(to, head, h3_head_write(head, type, len));
	put(to, payload, len);
}

/* A HEADERS frame of "name: value" lines, whatever they are. */
static void
put_fields(struct bytes *to, const char *lines)
{
	struct h3_encoder e = { .qpack = NULL };
	struct section_field v[16];
	struct section_list list = { .v = v };
	struct bytes section = { .len = 0 };

	while (*lines) {
		const char *colon = strstr(lines + 1, ": "), *end = strchr(lines, '\n');

		assert_true(colon && end && list.n < 16);
		v[list.n++] = (struct section_field){
			.name = { lines, (size_t)(colon - lines) },
			.value = { colon + 2, (size_t)(end - colon - 2) },
		};
		lines = end + 1;
	}
	assert_int_equal(h3_encode(&e, &list), 0);
	put(&section, e.prefix.pos, nghttp3_buf_len(&e.prefix));
	put(&section, e.fields.pos, nghttp3_buf_len(&e.fields));
	h3_encoder_fini(&e);
	put_frame(to, H3_HEADERS, section.b, section.len);
}

/*
 * Steps of a message: "H" a HEADERS frame of the next text, "D" a DATA frame of it, "X" its bytes
 * as they are (in hexadecimal), "." FIN.
 */
#define STEPS 6

struct step {
	char		 what;
	const char	*text;
};

static void
put_hex(struct bytes *to, const char *hex)
{
	for (; *hex; hex += 2) {
		unsigned byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		put(to, &(uint8_t){ (uint8_t)byte }, 1);
	}
}

static void
play(struct adit_conn *stream, const struct step steps[STEPS])
{
	for (int i = 0; i < STEPS && steps[i].what; i++) {
		struct bytes out = { .len = 0 };

		switch (steps[i].what) {
		case 'H':
			put_fields(&out, steps[i].text);
			break;
		case 'D':
			put_frame(&out, H3_DATA, steps[i].text, strlen(steps[i].text));
			break;
		case 'X':
			put_hex(&out, steps[i].text);
			break;
		case '.':
			assert_int_equal(adit_conn_shutdown(stream), 0);
			break;
		default:
			fail();
		}
		if (out.len)
			assert_int_equal(adit_conn_write(stream, out.b, out.len), out.len);
	}
}

/* ---- a stream of the peer's --------------------------------------------------------------- */

static struct adit_conn *
open_stream(struct h3_rig *r, unsigned kind)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = adit_mux_open(r->raw, kind, &e);

	if (!c)
		fail_msg("%s", e.text);
	return c;
}

struct ending {
	struct h3_rig		*r;
	struct adit_conn	*c;
	bool			 answered;	/* a byte came */
	bool			 ended;
};

static bool
has_ended(void *arg)
{
	struct ending *e = arg;
	char buf[512];
	ssize_t n;

	if (adit_mux_err(e->r->raw))
		return true;
	while ((n = adit_conn_read(e->c, buf, sizeof(buf))) > 0)
		e->answered = true;
	e->ended = n == 0;
	return n != -EAGAIN;
}

/* The codes that what was played brought: of the stream, and of the session (0: it lives). */
static void
watch(struct h3_rig *r, struct adit_conn *c, struct ending *e)
{
	*e = (struct ending){ .r = r, .c = c };
	assert_true(loop_until(r->quic->l, has_ended, e, RIG_LIMIT));
}

static uint64_t
session_code(struct h3_rig *r)
{
	return adit_mux_err(r->raw) ? adit_mux_reason(r->raw)->code : 0;
}

/* A proper request gets through: the session is of use. */
static void
check_alive(struct h3_rig *r)
{
	static const struct step get[STEPS] = { { 'H', GET }, { '.', NULL } };
	struct adit_conn *c = open_stream(r, 0);
	struct adit_exchange *x;
	struct ending e;

	play(c, get);
	x = h3_rig_accept(r);
	assert_non_null(h3_rig_head(r, x));
	h3_rig_expect(r, x, "");
	assert_int_equal(h3_rig_send(r, x, "200", ADIT_HEAD_END), 0);
	watch(r, c, &e);
	assert_true(e.answered && e.ended);
	h3_rig_close(x, 0);
	adit_conn_close(c, 0);
	assert_int_equal(session_code(r), 0);
}

struct row {
	const char	*what;
	struct step	 steps[STEPS];
	uint64_t	 code;
};

/* A server to be tested with each row, alive after each. */
static void
start_server(void **state, bool crossed)
{
	struct h3_rig *r = *state;

	h3_rig_start(r, H3_SERVER_ALONE, crossed);
}

/* ---- requests that never get to anybody ---------------------------------------------------- */

static void
check_malformed_requests(struct h3_rig *r)
{
	static const struct row rows[] = {
		{ "no :path", { { 'H', ":method: GET\n:scheme: https\n:authority: a\n" } },
		  H3_MESSAGE_ERROR },
		{ "no :method", { { 'H', ":path: /\n:scheme: https\n:authority: a\n" } },
		  H3_MESSAGE_ERROR },
		{ "no :authority", { { 'H', ":method: GET\n:scheme: https\n:path: /\n" } },
		  H3_MESSAGE_ERROR },
		{ "upper case", { { 'H', GET "X-Y: z\n" } }, H3_MESSAGE_ERROR },
		{ "connection", { { 'H', GET "connection: close\n" } }, H3_MESSAGE_ERROR },
		{ "transfer-encoding", { { 'H', GET "transfer-encoding: chunked\n" } },
		  H3_MESSAGE_ERROR },
		{ "host", { { 'H', GET "host: b\n" } }, H3_MESSAGE_ERROR },
		{ "lengths", { { 'H', GET "content-length: 1\ncontent-length: 2\n" } },
		  H3_MESSAGE_ERROR },
		{ ":status", { { 'H', GET ":status: 200\n" } }, H3_MESSAGE_ERROR },
		{ ":protocol, unasked",
		  { { 'H', ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /\n"
			   ":authority: a\n" } },
		  H3_MESSAGE_ERROR },
		{ "ended before it began", { { '.', NULL } }, H3_REQUEST_INCOMPLETE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_conn *c = open_stream(r, 0);
		struct ending e;

		play(c, rows[i].steps);
		watch(r, c, &e);
		if (session_code(r) || adit_conn_code(c) != rows[i].code)
			fail_msg("%s: %llx", rows[i].what,
				 (unsigned long long)adit_conn_code(c));
		adit_conn_close(c, -ECONNRESET);
		assert_null(adit_mux_accept(r->server));
	}
	check_alive(r);
}

static void
malformed_requests_end_alone(void **state)
{
	start_server(state, false);
	check_malformed_requests(*state);
}

static void
malformed_requests_end_alone_where_the_server_dialled(void **state)
{
	start_server(state, true);
	check_malformed_requests(*state);
}

/* ---- requests whose body is wrong ----------------------------------------------------------- */

struct reading {
	struct adit_exchange	*x;
	ssize_t			 last;
};

static bool
has_read_all(void *arg)
{
	struct reading *rd = arg;
	char buf[512];

	while ((rd->last = adit_conn_read(&rd->x->body, buf, sizeof(buf))) > 0)
		;
	return rd->last != -EAGAIN;
}

/* RFC 9114, 4.1.2 */
static void
bodies_are_as_long_as_they_say(void **state)
{
	static const struct { const char *what; struct step steps[STEPS]; int err; } rows[] = {
		{ "short", { { 'H', POST "content-length: 3\n" }, { 'D', "ab" }, { '.', NULL } },
		  ADIT_ETRUNCATED },
		{ "none", { { 'H', POST "content-length: 3\n" }, { '.', NULL } },
		  ADIT_ETRUNCATED },
		{ "short, with trailers",
		  { { 'H', POST "content-length: 3\n" }, { 'D', "ab" }, { 'H', "x: y\n" },
		    { '.', NULL } },
		  ADIT_ETRUNCATED },
		{ "long", { { 'H', POST "content-length: 3\n" }, { 'D', "abcd" } }, -EBADMSG },
		{ "long in pieces",
		  { { 'H', POST "content-length: 3\n" }, { 'D', "ab" }, { 'D', "cd" } },
		  -EBADMSG },
		{ "bad trailers",
		  { { 'H', POST }, { 'D', "ab" }, { 'H', ":path: /\n" } }, -EBADMSG },
		{ "bad name in trailers",
		  { { 'H', POST }, { 'D', "ab" }, { 'H', "Xy: /\n" } }, -EBADMSG },
	};
	struct h3_rig *r = *state;

	start_server(state, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_conn *c = open_stream(r, 0);
		struct reading rd;
		struct ending e;

		play(c, rows[i].steps);
		rd = (struct reading){ .x = h3_rig_accept(r) };
		assert_non_null(h3_rig_head(r, rd.x));
		assert_true(loop_until(r->quic->l, has_read_all, &rd, RIG_LIMIT));
		if (rd.last != rows[i].err)
			fail_msg("%s: %zd", rows[i].what, rd.last);
		watch(r, c, &e);
		assert_int_equal(adit_conn_code(c), H3_MESSAGE_ERROR);
		h3_rig_close(rd.x, 0);
		adit_conn_close(c, -ECONNRESET);
	}
	check_alive(r);
}

/* ---- what ends the session ----------------------------------------------------------------- */

/* A session that ends, and who reads what comes before. */
struct ended {
	struct h3_rig		*r;
	struct adit_conn	*x;
};

static bool
session_has_ended(void *arg)
{
	struct ended *e = arg;
	char buf[512];

	if (!e->x)
		e->x = adit_mux_accept(e->r->server);
	if (e->x) {
		adit_exchange_head(adit_exchange_of(e->x));
		while (adit_conn_read(e->x, buf, sizeof(buf)) > 0)
			;
	}
	return adit_mux_err(e->r->raw);
}

/* One row, in a session of its own. */
static void
check_session_row(const struct row *row, unsigned kind, bool crossed)
{
	void *state;
	struct ended e = { .x = NULL };
	struct h3_rig *r;
	struct adit_conn *c;

	h3_rig_setup(&state);
	e.r = r = state;
	h3_rig_start(r, H3_SERVER_ALONE, crossed);
	c = open_stream(r, kind);
	play(c, row->steps);
	if (!loop_until(r->quic->l, session_has_ended, &e, RIG_LIMIT) ||
	    session_code(r) != row->code)
		fail_msg("%s: %llx", row->what, (unsigned long long)session_code(r));
	adit_conn_close(e.x, -ECONNRESET);
	adit_conn_close(c, -ECONNRESET);
	h3_rig_teardown(&state);
}

/* RFC 9114, 4.1, 7.1, 7.2; RFC 9204, 2.2 and 4.5 */
static void
violations_on_request_streams_end_the_session(void **state)
{
	static const struct row rows[] = {
		{ "DATA first", { { 'D', "a" } }, H3_FRAME_UNEXPECTED },
		{ "SETTINGS", { { 'X', "0400" } }, H3_FRAME_UNEXPECTED },
		{ "GOAWAY", { { 'X', "070100" } }, H3_FRAME_UNEXPECTED },
		{ "PUSH_PROMISE", { { 'X', "050100" } }, H3_FRAME_UNEXPECTED },
		{ "MAX_PUSH_ID", { { 'X', "0d0100" } }, H3_FRAME_UNEXPECTED },
		{ "CANCEL_PUSH", { { 'X', "030100" } }, H3_FRAME_UNEXPECTED },
		{ "PING of HTTP/2", { { 'X', "0600" } }, H3_FRAME_UNEXPECTED },
		{ "DATA behind trailers",
		  { { 'H', POST }, { 'H', "a: b\n" }, { 'D', "a" } }, H3_FRAME_UNEXPECTED },
		{ "trailers twice",
		  { { 'H', POST }, { 'H', "a: b\n" }, { 'H', "a: b\n" } },
		  H3_FRAME_UNEXPECTED },
		{ "frame cut off", { { 'X', "0105" }, { '.', NULL } }, H3_FRAME_ERROR },
		{ "head of a frame cut off", { { 'X', "01" }, { '.', NULL } }, H3_FRAME_ERROR },
		{ "DATA cut off", { { 'H', POST }, { 'X', "000561" }, { '.', NULL } },
		  H3_FRAME_ERROR },
		{ "no field section", { { 'X', "0100" } }, H3_QPACK_DECOMPRESSION_FAILED },
		{ "half a prefix", { { 'X', "010100" } }, H3_QPACK_DECOMPRESSION_FAILED },
		{ "insert count", { { 'X', "01030200c0" } }, H3_QPACK_DECOMPRESSION_FAILED },
		{ "dynamic reference", { { 'X', "0103000080" } },
		  H3_QPACK_DECOMPRESSION_FAILED },
		{ "post-base reference", { { 'X', "0103000010" } },
		  H3_QPACK_DECOMPRESSION_FAILED },
		{ "beyond the static table", { { 'X', "01040000ff30" } },
		  H3_QPACK_DECOMPRESSION_FAILED },
		{ "name cut off", { { 'X', "0104000027ff" } }, H3_QPACK_DECOMPRESSION_FAILED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check_session_row(&rows[i], 0, i % 2);
}

/* RFC 9114, 6.2, 7.2; RFC 9204, 4 */
static void
violations_on_control_streams_end_the_session(void **state)
{
	static const struct row rows[] = {
		{ "no SETTINGS", { { 'X', "000d0100" } }, H3_MISSING_SETTINGS },
		{ "unknown frame before SETTINGS", { { 'X', "002100" } }, H3_MISSING_SETTINGS },
		{ "SETTINGS twice", { { 'X', "0004000400" } }, H3_FRAME_UNEXPECTED },
		{ "setting of HTTP/2", { { 'X', "0004020200" } }, H3_SETTINGS_ERROR },
		{ "setting twice", { { 'X', "00040406010601" } }, H3_SETTINGS_ERROR },
		{ "setting cut off", { { 'X', "00040106" } }, H3_FRAME_ERROR },
		{ "too many settings", { { 'X', "00044800" } }, H3_EXCESSIVE_LOAD },
		{ "DATA", { { 'X', "0004000000" } }, H3_FRAME_UNEXPECTED },
		{ "HEADERS", { { 'X', "0004000100" } }, H3_FRAME_UNEXPECTED },
		{ "PUSH_PROMISE", { { 'X', "000400050100" } }, H3_FRAME_UNEXPECTED },
		{ "CANCEL_PUSH", { { 'X', "000400030100" } }, H3_ID_ERROR },
		{ "WINDOW_UPDATE of HTTP/2", { { 'X', "0004000800" } }, H3_FRAME_UNEXPECTED },
		{ "GOAWAY too long", { { 'X', "00040007020000" } }, H3_FRAME_ERROR },
		{ "GOAWAY that rises", { { 'X', "000400070100070104" } }, H3_ID_ERROR },
		{ "MAX_PUSH_ID that falls", { { 'X', "0004000d01050d0104" } }, H3_ID_ERROR },
		{ "control stream closed", { { 'X', "000400" }, { '.', NULL } },
		  H3_CLOSED_CRITICAL_STREAM },
		{ "push of a client", { { 'X', "0100" } }, H3_STREAM_CREATION_ERROR },
		{ "insertion", { { 'X', "02c001" } }, H3_QPACK_ENCODER_STREAM_ERROR },
		{ "capacity", { { 'X', "02203f" } }, H3_QPACK_ENCODER_STREAM_ERROR },
		{ "acknowledgement", { { 'X', "0380" } }, H3_QPACK_DECODER_STREAM_ERROR },
		{ "increment", { { 'X', "034001" } }, H3_QPACK_DECODER_STREAM_ERROR },
		{ "encoder stream closed", { { 'X', "02" }, { '.', NULL } },
		  H3_CLOSED_CRITICAL_STREAM },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check_session_row(&rows[i], ADIT_CONN_UNI, i % 2);
}

static bool
is_over(void *arg)
{
	return adit_mux_err(arg);
}

static void
a_second_control_stream_ends_the_session(void **state)
{
	static const struct step control[STEPS] = { { 'X', "000400" } };
	struct h3_rig *r = *state;
	struct adit_conn *c[2];

	start_server(state, false);
	for (int i = 0; i < 2; i++) {
		c[i] = open_stream(r, ADIT_CONN_UNI);
		play(c[i], control);
	}
	assert_true(loop_until(r->quic->l, is_over, r->raw, RIG_LIMIT));
	assert_int_equal(session_code(r), H3_STREAM_CREATION_ERROR);
	adit_conn_close(c[0], 0);
	adit_conn_close(c[1], 0);
}

/* ---- what is allowed ------------------------------------------------------------------------ */

/* RFC 9114, 6.2.3, 7.2.8, 9 */
static void
what_is_not_known_is_skipped(void **state)
{
	static const char *const unis[] = {
		/* settings, one of them unknown; an unknown frame; MAX_PUSH_ID */
		"000405064400210521036162630d01050d0105",
		"022020", "0340417fff7f", "21616263", "404161", "",
	};
	static const struct step request[STEPS] = {
		{ 'X', "2103616263" }, { 'H', POST }, { 'X', "210461616161" },
		{ 'D', "abc" }, { 'X', "4000002100" }, { '.', NULL },
	};
	struct h3_rig *r = *state;
	struct adit_conn *uni[6], *c;
	struct adit_exchange *x;

	start_server(state, false);
	for (int i = 0; i < 6; i++) {
		struct step all[STEPS] = { { 'X', unis[i] }, { i == 5 ? '.' : 0, NULL } };

		uni[i] = open_stream(r, ADIT_CONN_UNI);
		play(uni[i], all);
	}
	c = open_stream(r, 0);
	play(c, request);
	x = h3_rig_accept(r);
	assert_non_null(h3_rig_head(r, x));
	h3_rig_expect(r, x, "abc");
	h3_rig_close(x, 0);
	adit_conn_close(c, 0);
	check_alive(r);
	assert_int_equal(session_code(r), 0);
	for (int i = 0; i < 6; i++)
		adit_conn_close(uni[i], 0);
}

static void
a_request_may_come_byte_by_byte(void **state)
{
	struct h3_rig *r = *state;
	struct bytes all = { .len = 0 };
	struct adit_exchange *x = NULL;
	struct adit_conn *c;

	put_fields(&all, POST "content-length: 3\nx-long: 0123456789\n");
	put_frame(&all, 0x21, "skipped", 7);
	put_frame(&all, H3_DATA, "a", 1);
	put_frame(&all, H3_DATA, "", 0);
	put_frame(&all, H3_DATA, "bc", 2);
	put_fields(&all, "x-sum: 1\n");
	start_server(state, false);
	c = open_stream(r, 0);
	for (size_t i = 0; i < all.len; i++) {
		assert_int_equal(adit_conn_write(c, all.b + i, 1), 1);
		loop_turn(r->quic->l, 2);
	}
	adit_conn_shutdown(c);
	x = h3_rig_accept(r);
	assert_string_equal(adit_fields_get(h3_rig_head(r, x), "x-long").s, "0123456789");
	h3_rig_expect(r, x, "abc");
	assert_string_equal(adit_fields_get(h3_rig_head(r, x), "x-sum").s, "1");
	h3_rig_close(x, -ECONNRESET);
	adit_conn_close(c, 0);
	check_alive(r);
}

static void
a_head_that_does_not_come_ends_its_stream(void **state)
{
	static const struct step half[STEPS] = { { 'X', "012000" } };
	struct h3_rig *r = *state;
	struct adit_conn *c;
	struct ending e;

	r->server_conf.head_timeout = ADIT_MS(50);
	start_server(state, false);
	c = open_stream(r, 0);
	play(c, half);
	watch(r, c, &e);
	assert_int_equal(adit_conn_code(c), H3_REQUEST_INCOMPLETE);
	adit_conn_close(c, -ECONNRESET);
	assert_int_equal(adit_mux_streams(r->server), 0);
	assert_int_equal(session_code(r), 0);
}

struct flood {
	struct h3_rig	*r;
	struct step	 steps[STEPS];
	int		 why;		/* 0: it ends, and its answer is not wanted */
	unsigned	 sent, enough;	/* enough: 0: until the session ends */
};

static void
close_failed(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	conn_unready(c, events);
	if (adit_conn_err(c))
		adit_conn_close(c, -ECONNRESET);
}

/* Requests, each given up at once, of a server that takes its time. */
static bool
flood_has_ended(void *arg)
{
	struct flood *f = arg;
	struct adit_conn *c;

	for (int i = 0; i < 20 && adit_mux_room(f->r->raw, 0); i++) {
		c = adit_mux_open(f->r->raw, 0, NULL);
		play(c, f->steps);
		adit_conn_close(c, f->why);
		f->sent++;
	}
	while ((c = adit_mux_accept(f->r->server))) {
		adit_conn_own(c, close_failed, f);
		adit_conn_want(c, ADIT_WRITE);
	}
	return adit_mux_err(f->r->raw) || (f->enough && f->sent >= f->enough);
}

static void
check_flood(struct flood *f)
{
	assert_true(loop_until(f->r->quic->l, flood_has_ended, f, RIG_LIMIT));
	assert_int_equal(session_code(f->r), H3_EXCESSIVE_LOAD);
	assert_true(f->sent >= 1000);
}

/* As CVE-2023-44487 of HTTP/2. */
static void
requests_that_are_reset_in_haste_end_the_session(void **state)
{
	struct flood f = { .r = *state, .steps = { { 'H', GET } }, .why = -ECONNRESET };

	start_server(state, false);
	check_alive(f.r);
	check_flood(&f);
}

/* The same of whole ones, which cannot be reset: a STOP_SENDING does it. */
static void
answers_that_are_refused_in_haste_end_the_session(void **state)
{
	struct flood f = { .r = *state, .steps = { { 'H', GET }, { '.', NULL } } };

	start_server(state, false);
	check_flood(&f);
}

/* Who was dialled stands for many: a tunnel's visitors may leave as they like. */
static void
requests_of_one_who_was_dialled_may_be_reset(void **state)
{
	struct flood f = {
		.r = *state, .steps = { { 'H', GET } }, .why = -ECONNRESET, .enough = 2000,
	};

	start_server(state, true);
	assert_true(loop_until(f.r->quic->l, flood_has_ended, &f, RIG_LIMIT));
	assert_int_equal(session_code(f.r), 0);
}

/* RFC 9204, 7: a section of a few bytes that stands for many. */
static void
a_section_that_grows_is_cut_short(void **state)
{
	static const struct step get[STEPS] = { { '.', NULL } };
	struct h3_rig *r = *state;
	struct bytes frame = { .len = 0 };
	uint8_t section[3000] = { 0, 0 };
	struct adit_conn *c;
	struct ending e;

	/* content-security-policy: script-src 'none'; ... of the static table */
	memset(section + 2, 0xff, sizeof(section) - 2);
	for (size_t i = 2; i + 1 < sizeof(section); i += 2)
		section[i + 1] = 85 - 63;
	put_frame(&frame, H3_HEADERS, section, sizeof(section));
	start_server(state, false);
	c = open_stream(r, 0);
	assert_int_equal(adit_conn_write(c, frame.b, frame.len), frame.len);
	play(c, get);
	watch(r, c, &e);
	assert_true(e.answered && e.ended);	/* a 431 */
	adit_conn_close(c, 0);
	check_alive(r);
}

/* ---- responses ------------------------------------------------------------------------------ */

/* The stream of a request that the client has sent. */
static struct adit_conn *
take_asked(struct h3_rig *r)
{
	struct adit_conn *c = quic_rig_accept(r->quic, r->raw);

	while (adit_conn_flags(c) & ADIT_CONN_UNI) {
		adit_conn_close(c, 0);
		c = quic_rig_accept(r->quic, r->raw);
	}
	return c;
}

/* Heads are taken, and the body is read, until it ends or fails. */
static bool
has_answer(void *arg)
{
	struct reading *rd = arg;

	while (adit_exchange_head(rd->x))
		;
	return has_read_all(rd);
}

static void
check_responses(struct h3_rig *r)
{
	static const struct {
		const char	*what, *request;
		struct step	 steps[STEPS];
		int		 err;
	} rows[] = {
		{ "plain", "GET https a /", { { 'H', ":status: 200\n" }, { '.', NULL } }, 0 },
		{ "no :status", "GET https a /", { { 'H', "a: b\n" } }, -EBADMSG },
		{ "101", "GET https a /", { { 'H', ":status: 101\n" } }, -EBADMSG },
		{ "upper case", "GET https a /", { { 'H', ":status: 200\nA: b\n" } }, -EBADMSG },
		{ "connection", "GET https a /", { { 'H', ":status: 200\nconnection: close\n" } },
		  -EBADMSG },
		{ "204 with a length", "GET https a /",
		  { { 'H', ":status: 204\ncontent-length: 5\n" } }, -EBADMSG },
		{ "204 with content", "GET https a /",
		  { { 'H', ":status: 204\n" }, { 'D', "a" } }, -EBADMSG },
		{ "HEAD with content", "HEAD https a /",
		  { { 'H', ":status: 200\n" }, { 'D', "a" } }, -EBADMSG },
		{ "HEAD with a length", "HEAD https a /",
		  { { 'H', ":status: 200\ncontent-length: 5\n" }, { '.', NULL } }, 0 },
		{ "304 with a length", "GET https a /",
		  { { 'H', ":status: 304\ncontent-length: 5\n" }, { '.', NULL } }, 0 },
		{ "short", "GET https a /",
		  { { 'H', ":status: 200\ncontent-length: 5\n" }, { 'D', "a" }, { '.', NULL } },
		  ADIT_ETRUNCATED },
		{ "long", "GET https a /",
		  { { 'H', ":status: 200\ncontent-length: 1\n" }, { 'D', "ab" } }, -EBADMSG },
		{ "interim ones", "GET https a /",
		  { { 'H', ":status: 103\n" }, { 'H', ":status: 100\n" },
		    { 'H', ":status: 999\n" }, { '.', NULL } },
		  0 },
		{ "interim with a length", "GET https a /",
		  { { 'H', ":status: 103\ncontent-length: 0\n" } }, -EBADMSG },
		{ "ended without a head", "GET https a /", { { '.', NULL } }, -EBADMSG },
		{ "ended behind an interim one", "GET https a /",
		  { { 'H', ":status: 103\n" }, { '.', NULL } }, -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct reading rd = { .x = h3_rig_open(r) };
		struct adit_conn *c;

		assert_int_equal(h3_rig_send(r, rd.x, rows[i].request, ADIT_HEAD_END), 0);
		c = take_asked(r);
		play(c, rows[i].steps);
		assert_true(loop_until(r->quic->l, has_answer, &rd, RIG_LIMIT));
		if (rd.last != rows[i].err || session_code(r))
			fail_msg("%s: %zd", rows[i].what, rd.last);
		h3_rig_close(rd.x, rows[i].err);
		adit_conn_close(c, rows[i].err);
	}
}

static void
responses_are_checked(void **state)
{
	h3_rig_start(*state, H3_CLIENT_ALONE, false);
	check_responses(*state);
}

static void
responses_are_checked_where_the_server_dialled(void **state)
{
	h3_rig_start(*state, H3_CLIENT_ALONE, true);
	check_responses(*state);
}

/* A client's session ends with that. */
static void
check_client_row(const struct row *row, unsigned kind, bool crossed)
{
	struct adit_conn *c;
	struct h3_rig *r;
	void *state;

	h3_rig_setup(&state);
	r = state;
	h3_rig_start(r, H3_CLIENT_ALONE, crossed);
	c = open_stream(r, kind);
	play(c, row->steps);
	if (!loop_until(r->quic->l, is_over, r->raw, RIG_LIMIT) || session_code(r) != row->code)
		fail_msg("%s: %llx", row->what, (unsigned long long)session_code(r));
	adit_conn_close(c, -ECONNRESET);
	h3_rig_teardown(&state);
}

static void
servers_may_not_do_that(void **state)
{
	static const struct row unis[] = {
		{ "push", { { 'X', "0100" } }, H3_ID_ERROR },
		{ "MAX_PUSH_ID", { { 'X', "0004000d0100" } }, H3_FRAME_UNEXPECTED },
		{ "CANCEL_PUSH", { { 'X', "000400030100" } }, H3_ID_ERROR },
		{ "GOAWAY that rises", { { 'X', "000400070104070108" } }, H3_ID_ERROR },
		{ "control stream closed", { { 'X', "000400" }, { '.', NULL } },
		  H3_CLOSED_CRITICAL_STREAM },
	};
	static const struct row odd = { "GOAWAY of no request", { { 'X', "000400070105" } },
					H3_ID_ERROR };
	static const struct row request = { "request", { { 'H', GET } },
					    H3_STREAM_CREATION_ERROR };

	(void)state;
	for (size_t i = 0; i < sizeof(unis) / sizeof(*unis); i++)
		check_client_row(&unis[i], ADIT_CONN_UNI, i % 2);
	check_client_row(&odd, ADIT_CONN_UNI, false);
	check_client_row(&request, 0, false);
	check_client_row(&request, 0, true);
}

static bool
peer_drains(void *m)
{
	return adit_mux_peer_drains(m);
}

/* RFC 9114, 5.2: what is not named may be sent again. */
static void
check_goaway(struct h3_rig *r, const char *goaway)
{
	static const struct step answer[STEPS] = { { 'H', ":status: 200\n" }, { '.', NULL } };
	const struct step control[STEPS] = { { 'X', goaway } };
	struct adit_exchange *first = h3_rig_open(r), *second = h3_rig_open(r);
	struct adit_conn *a, *b, *uni;

	assert_int_equal(h3_rig_send(r, first, "GET https a /", ADIT_HEAD_END), 0);
	assert_int_equal(h3_rig_send(r, second, "GET https a /", ADIT_HEAD_END), 0);
	a = take_asked(r);
	b = take_asked(r);
	uni = open_stream(r, ADIT_CONN_UNI);
	play(uni, control);
	assert_true(loop_until(r->quic->l, peer_drains, r->client, RIG_LIMIT));
	assert_int_equal(adit_conn_err(&second->body), ADIT_EDRAINING);
	assert_int_equal(adit_conn_err(&first->body), 0);
	assert_null(adit_mux_open(r->client, ADIT_CONN_EXCHANGE, NULL));
	play(a, answer);
	assert_int_equal(adit_fields_status(h3_rig_head(r, first)), 200);
	h3_rig_expect(r, first, "");
	h3_rig_close(first, 0);
	h3_rig_close(second, -ECONNRESET);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_conn_close(uni, 0);
}

static void
goaway_names_what_was_not_processed(void **state)
{
	h3_rig_start(*state, H3_CLIENT_ALONE, false);
	check_goaway(*state, "000400070104");
}

/* reverst: newer clients of quic-go say the real number, others what it would be. */
static void
goaway_is_understood_both_ways(void **state)
{
	h3_rig_start(*state, H3_CLIENT_ALONE, true);
	check_goaway(*state, "000400070105");
}

/* An idle reverst server says nothing, not even its settings. */
static void
nothing_is_waited_for(void **state)
{
	static const struct step answer[STEPS] = { { 'H', ":status: 200\n" }, { 'D', "ok" },
						   { '.', NULL } };
	struct h3_rig *r = *state;
	struct adit_exchange *x;
	struct adit_conn *c;

	h3_rig_start(r, H3_CLIENT_ALONE, true);
	x = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, x, "GET https a /", ADIT_HEAD_END), 0);
	c = take_asked(r);
	play(c, answer);
	assert_int_equal(adit_fields_status(h3_rig_head(r, x)), 200);
	h3_rig_expect(r, x, "ok");
	h3_rig_close(x, 0);
	adit_conn_close(c, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, h3_rig_setup, h3_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(malformed_requests_end_alone),
		TEST(malformed_requests_end_alone_where_the_server_dialled),
		TEST(bodies_are_as_long_as_they_say),
		cmocka_unit_test(violations_on_request_streams_end_the_session),
		cmocka_unit_test(violations_on_control_streams_end_the_session),
		TEST(a_second_control_stream_ends_the_session),
		TEST(what_is_not_known_is_skipped),
		TEST(a_request_may_come_byte_by_byte),
		TEST(a_head_that_does_not_come_ends_its_stream),
		TEST(requests_that_are_reset_in_haste_end_the_session),
		TEST(answers_that_are_refused_in_haste_end_the_session),
		TEST(requests_of_one_who_was_dialled_may_be_reset),
		TEST(a_section_that_grows_is_cut_short),
		TEST(responses_are_checked),
		TEST(responses_are_checked_where_the_server_dialled),
		cmocka_unit_test(servers_may_not_do_that),
		TEST(goaway_names_what_was_not_processed),
		TEST(goaway_is_understood_both_ways),
		TEST(nothing_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
