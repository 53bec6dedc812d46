#include "tests/unit/smux_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
rig_read(void *arg, struct adit_conn *c, unsigned events)
{
	struct rig *r = arg;
	ssize_t n;

	(void)events;
	do {
		if (r->got_cap - r->got_len < 65536) {
			r->got_cap = r->got_cap * 2 + 65536;
			r->got = realloc(r->got, r->got_cap);
			assert_non_null(r->got);
		}
		n = adit_conn_read(c, r->got + r->got_len, r->got_cap - r->got_len);
		if (n > 0)
			r->got_len += (size_t)n;
	} while (n > 0);
	if (n == -EAGAIN)
		return;
	r->ended = true;
	adit_conn_want(c, 0);
}

void
rig_hold(struct rig *r, bool hold)
{
	adit_conn_want(r->wire, hold ? 0 : ADIT_READ);
}

struct rig
rig_new(struct loop *l, const struct smux_conf *conf, size_t cap)
{
	struct rig r = { .loop = l };
	struct adit_conn *lower;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, cap, &lower, &r.wire), 0);
	r.mux = smux_new(lower, conf);
	assert_non_null(r.mux);
	return r;
}

/* r must not move from here on. */
void
rig_start(struct rig *r)
{
	adit_conn_own(r->wire, rig_read, r);
	rig_hold(r, false);
	loop_turn(r->loop, 4);
	assert_true(adit_mux_is_open(r->mux));
}

void
rig_end(struct rig *r)
{
	adit_mux_close(r->mux, NULL);
	adit_conn_close(r->wire, 0);
	free(r->got);
}

struct smux_conf
quiet(bool client, unsigned version)
{
	struct smux_conf conf = smux_conf_default(client, version);

	conf.keepalive = conf.timeout = 0;
	conf.stream_buffer = MIB;
	return conf;
}

void
rig_send(struct rig *r, const void *buf, size_t len)
{
	assert_int_equal(adit_conn_write(r->wire, buf, len), len);
	loop_turn(r->loop, 8);
}

void
rig_frame(struct rig *r, unsigned version, enum smux_cmd cmd, uint32_t id, const void *payload,
	  size_t len)
{
	const struct smux_frame f = {
		.version = (uint8_t)version,
		.cmd = (uint8_t)cmd,
		.len = (uint16_t)len,
		.stream = id,
	};
	uint8_t head[SMUX_HEADER_LEN];

	smux_encode(&f, head);
	assert_int_equal(adit_conn_write(r->wire, head, sizeof(head)), sizeof(head));
	if (len)
		assert_int_equal(adit_conn_write(r->wire, payload, len), len);
	loop_turn(r->loop, 8);
}

void
rig_update(struct rig *r, uint32_t id, uint32_t consumed, uint32_t window)
{
	const struct smux_upd u = { .consumed = consumed, .window = window };
	uint8_t payload[SMUX_UPD_LEN];

	smux_encode_upd(&u, payload);
	rig_frame(r, 2, SMUX_UPD, id, payload, sizeof(payload));
}

/*
 * Takes the next frame the session sent off r->got; *payload points into r->got until the next
 * call.
 */
bool
rig_next(struct rig *r, unsigned version, struct smux_frame *f, const uint8_t **payload)
{
	static uint8_t copy[SMUX_PAYLOAD_MAX];
	const char *why;
	ssize_t n = smux_decode(r->got, r->got_len, version, f, &why);

	assert_true(n >= 0);
	if (!n || r->got_len < (size_t)n + f->len)
		return false;
	memcpy(copy, r->got + n, f->len);
	r->got_len -= (size_t)n + f->len;
	memmove(r->got, r->got + n + f->len, r->got_len);
	*payload = copy;
	return true;
}

void
rig_expect(struct rig *r, unsigned version, enum smux_cmd cmd, uint32_t id, size_t len)
{
	struct smux_frame f;
	const uint8_t *payload;

	loop_turn(r->loop, 8);
	assert_true(rig_next(r, version, &f, &payload));
	assert_int_equal(f.cmd, cmd);
	assert_int_equal(f.stream, id);
	assert_int_equal(f.len, len);
}

void
rig_expect_update(struct rig *r, uint32_t id, uint32_t consumed, uint32_t window)
{
	struct smux_frame f;
	struct smux_upd u;
	const uint8_t *payload;

	loop_turn(r->loop, 8);
	assert_true(rig_next(r, 2, &f, &payload));
	assert_int_equal(f.cmd, SMUX_UPD);
	assert_int_equal(f.stream, id);
	u = smux_decode_upd(payload);
	assert_int_equal(u.consumed, consumed);
	assert_int_equal(u.window, window);
}

void
rig_expect_nothing(struct rig *r)
{
	loop_turn(r->loop, 8);
	assert_int_equal(r->got_len, 0);
}

/* The stream with that id, opened by the peer. */
struct adit_conn *
rig_peer_opens(struct rig *r, unsigned version, uint32_t id)
{
	struct adit_conn *c;

	rig_frame(r, version, SMUX_SYN, id, NULL, 0);
	c = adit_mux_accept(r->mux);
	assert_non_null(c);
	assert_true(adit_conn_is_open(c));
	return c;
}

struct adit_conn *
rig_opens(struct rig *r, unsigned version, uint32_t id)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = adit_mux_open(r->mux, 0, &e);

	assert_non_null(c);
	rig_expect(r, version, SMUX_SYN, id, 0);
	return c;
}

uint8_t *
pattern(size_t len, unsigned seed)
{
	uint8_t *buf = malloc(len ? len : 1);

	assert_non_null(buf);
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((i * 7 + i / 251) ^ seed);
	return buf;
}

/* Writes until the stream takes no more; returns how much it took. */
size_t
fill(struct loop *l, struct adit_conn *c, size_t len)
{
	uint8_t *buf = pattern(len, 0);
	size_t done = 0;

	for (int idle = 0; done < len && idle < 8;) {
		ssize_t n = adit_conn_write(c, buf + done, len - done);

		assert_true(n > 0 || n == -EAGAIN);
		if (n > 0)
			done += (size_t)n;
		idle = n > 0 ? 0 : idle + 1;
		loop_turn(l, 2);
	}
	free(buf);
	return done;
}

size_t
count_data(struct rig *r, unsigned version, uint32_t id)
{
	struct smux_frame f;
	const uint8_t *payload;
	size_t len = 0;

	loop_turn(r->loop, 8);
	while (rig_next(r, version, &f, &payload)) {
		assert_int_equal(f.cmd, SMUX_PSH);
		assert_int_equal(f.stream, id);
		assert_in_range(f.len, 1, SMUX_FRAME_SIZE);
		len += f.len;
	}
	assert_int_equal(r->got_len, 0);
	return len;
}
