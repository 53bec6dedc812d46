#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smux_rig.h"
#include "tests/unit/vector.h"

/* ---- captured sessions ---------------------------------------------------------- */
struct event {
	char			 dir;
	struct smux_frame	 frame;
	const uint8_t		*bytes;		/* with its header */
	size_t			 len;
};

struct replay {
	struct rig		 rig;
	struct adit_conn	*streams[16];	/* by id */
	uint32_t		 read[16];
	uint8_t			*bytes[2];
	struct event		 events[64];
	int			 n;
};

static bool
replay_frame(const uint8_t *bytes, size_t len, unsigned version, struct event *e)
{
	if (smux_decode(bytes, len, version, &e->frame, NULL) <= 0)
		return false;
	e->bytes = bytes;
	e->len = SMUX_HEADER_LEN + (size_t)e->frame.len;
	return len >= e->len;
}

/* The frames of both directions, each where its last byte stands in the file. */
static void
replay_load(struct replay *p, const char *file, unsigned version)
{
	struct vector *v = vector_load(file);
	size_t first = v->n_section > 1 ? vector_section(v, "smux") : 0;
	size_t at[2] = { 0, 0 }, have[2] = { 0, 0 }, len;

	for (int i = 0; i < 2; i++)
		p->bytes[i] = vector_stream(v, first, v->n_section - 1, i ? 'S' : 'C', &len);
	for (size_t i = 0; i < v->n_line; i++) {
		int side = v->line[i].dir == 'S';
		struct event *e = &p->events[p->n];

		if (v->line[i].section < first)
			continue;
		have[side] += v->line[i].len;
		while (replay_frame(p->bytes[side] + at[side], have[side] - at[side], version, e)) {
			e->dir = side ? 'S' : 'C';
			at[side] += e->len;
			assert_true(++p->n < 64);
			e++;
		}
	}
	vector_free(v);
}

static void
replay_read(struct replay *p, uint32_t id, uint32_t upto)
{
	uint8_t buf[1024];
	size_t len = upto - p->read[id];

	assert_true(len <= sizeof(buf));
	assert_int_equal(adit_conn_read(p->streams[id], buf, len), len);
	p->read[id] = upto;
}

/* Does what makes the session send e's frame. */
static void
replay_act(struct replay *p, const struct event *e)
{
	uint32_t id = e->frame.stream;
	struct adit_err err = ADIT_ERR_INIT;
	ssize_t n;

	switch (e->frame.cmd) {
	case SMUX_SYN:
		p->streams[id] = adit_mux_open(p->rig.mux, 0, &err);
		assert_non_null(p->streams[id]);
		break;
	case SMUX_PSH:
		n = adit_conn_write(p->streams[id], e->bytes + SMUX_HEADER_LEN, e->frame.len);
		assert_int_equal(n, e->frame.len);
		break;
	case SMUX_UPD:
		replay_read(p, id, smux_decode_upd(e->bytes + SMUX_HEADER_LEN).consumed);
		break;
	case SMUX_FIN:
		adit_conn_close(p->streams[id], 0);
		p->streams[id] = NULL;
		break;
	}
}

static void
replay(struct loop *l, const char *file, char us, unsigned version, size_t buffer)
{
	struct smux_conf conf = quiet(us == 'S', version);
	struct replay p = { .n = 0 };

	replay_load(&p, file, version);
	assert_true(p.n > 4);
	conf.client = p.events[0].dir == us;	/* the SYN's side */
	conf.stream_buffer = buffer;
	p.rig = rig_new(l, &conf, 8 * MIB);
	rig_start(&p.rig);
	for (int i = 0; i < p.n; i++) {
		struct event *e = &p.events[i];
		struct adit_conn *c;

		if (e->frame.cmd == SMUX_NOP && e->dir == us)
			continue;		/* a matter of time */
		if (e->dir != us) {
			rig_send(&p.rig, e->bytes, e->len);
			c = adit_mux_accept(p.rig.mux);
			if (c)
				p.streams[e->frame.stream] = c;
			continue;
		}
		replay_act(&p, e);
		loop_turn(l, 8);
		assert_int_equal(p.rig.got_len, e->len);
		assert_memory_equal(p.rig.got, e->bytes, e->len);
		p.rig.got_len = 0;
	}
	assert_int_equal(adit_mux_streams(p.rig.mux), 0);
	assert_int_equal(adit_mux_err(p.rig.mux), 0);
	rig_end(&p.rig);
	free(p.bytes[0]);
	free(p.bytes[1]);
}

static void
captured_sessions_replay(void **state)
{
	static const char sides[] = { 'C', 'S' };

	for (int i = 0; i < 2; i++) {
		replay(*state, "gost-tunnel-bind-http.txt", sides[i], 2, MIB);
		replay(*state, "gost-relay-bind-tcp.txt", sides[i], 1, MIB);
		replay(*state, "gost-mtcp-relay.txt", sides[i], 2, 65536);
	}
}

/* ---- at every byte -------------------------------------------------------------- */
static void
close_everything(struct rig *r, struct adit_conn **streams, int n)
{
	for (int i = 0; i < n; i++)
		adit_conn_close(streams[i], i % 2 ? -ECONNRESET : 0);
	rig_end(r);
	loop_turn(r->loop, 4);
}

/* The peer ends after each byte of a session; and we do. */
static void
ends_at_every_byte(void **state)
{
	struct vector *v = vector_load("gost-mtcp-relay.txt");
	struct smux_conf conf = quiet(false, 2);
	uint8_t *bytes;
	size_t len;

	bytes = vector_stream(v, 0, v->n_section - 1, 'C', &len);
	for (size_t i = 0; i < 2 * len; i++) {
		struct rig r = rig_new(*state, &conf, 8 * MIB);
		struct adit_conn *c, *streams[8];
		char in[8];
		int n = 0;

		rig_start(&r);
		for (size_t at = 0; at < i / 2; at++) {
			assert_int_equal(adit_conn_write(r.wire, bytes + at, 1), 1);
			loop_turn(r.loop, 2);
			c = adit_mux_accept(r.mux);
			if (!c)
				continue;
			streams[n++] = c;
			assert_int_equal(adit_conn_write(c, "hi", 2), 2);
			adit_conn_read(c, in, sizeof(in));
		}
		if (i % 2) {
			adit_conn_close(r.wire, 0);
			r.wire = NULL;
			loop_turn(r.loop, 4);
			assert_int_not_equal(adit_mux_err(r.mux), 0);
		}
		close_everything(&r, streams, n);
	}
	free(bytes);
	vector_free(v);
}

/* A conn below that takes one byte at a time, however large the write. */
static void
writes_cut_at_every_byte(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	uint8_t *big = pattern(20000, 3);

	for (size_t cap = 1; cap < 40; cap++) {
		struct rig r;
		struct adit_conn *c;
		struct smux_frame f;
		const uint8_t *payload;
		size_t done = 0;

		r = rig_new(*state, &conf, cap);
		rig_start(&r);
		c = adit_mux_open(r.mux, 0, NULL);
		assert_int_equal(adit_conn_write(c, big, 20000), 20000);
		adit_conn_close(c, 0);
		loop_turn(*state, (int)(80000 / cap));
		assert_true(rig_next(&r, 2, &f, &payload));
		assert_int_equal(f.cmd, SMUX_SYN);
		while (rig_next(&r, 2, &f, &payload) && f.cmd == SMUX_PSH) {
			assert_memory_equal(payload, big + done, f.len);
			done += f.len;
		}
		assert_int_equal(done, 20000);
		assert_int_equal(f.cmd, SMUX_FIN);
		assert_int_equal(r.got_len, 0);
		rig_end(&r);
	}
	free(big);
}

/* An abortive close in the middle of a frame completes that frame: its length was promised. */
static void
abort_completes_the_frame(void **state)
{
	struct smux_conf conf = quiet(true, 1);
	struct rig r;
	struct adit_conn *c;
	uint8_t *big = pattern(60000, 3);

	r = rig_new(*state, &conf, 100);
	rig_start(&r);
	c = rig_opens(&r, 1, 3);
	rig_hold(&r, true);
	assert_true(adit_conn_write(c, big, 60000) > 0);
	adit_conn_write(c, big, 10000);
	loop_turn(*state, 8);
	adit_conn_close(c, -ECONNRESET);
	rig_hold(&r, false);
	loop_turn(*state, 2000);
	rig_expect(&r, 1, SMUX_PSH, 3, SMUX_FRAME_SIZE);
	rig_expect(&r, 1, SMUX_FIN, 3, 0);
	rig_expect_nothing(&r);
	free(big);
	rig_end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(captured_sessions_replay),
		LOOP_TEST(ends_at_every_byte),
		LOOP_TEST(writes_cut_at_every_byte),
		LOOP_TEST(abort_completes_the_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
