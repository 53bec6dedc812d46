#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smux_rig.h"

/* ---- flow control --------------------------------------------------------------- */
static void
first_window_is_262144(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;

	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	assert_int_equal(fill(*state, c, MIB), 262144 + SMUX_OUT_BLOCKED);
	assert_int_equal(count_data(&r, 2, 3), 262144);

	/* A UPD sets both numbers: 4 read, 1 MiB of window. */
	rig_update(&r, 3, 4, MIB);
	assert_int_equal(count_data(&r, 2, 3), SMUX_OUT_BLOCKED);
	fill(*state, c, 2 * MIB);
	assert_int_equal(count_data(&r, 2, 3), 4 + MIB - 262144 - SMUX_OUT_BLOCKED);

	/* A smaller one later is legal: nothing until it has been read down to it. */
	rig_update(&r, 3, 5, 65536);
	rig_update(&r, 3, 4 + MIB - 65536, 65536);
	assert_int_equal(count_data(&r, 2, 3), 0);
	rig_update(&r, 3, 4 + MIB - 65535, 65536);
	assert_int_equal(count_data(&r, 2, 3), 1);
	adit_conn_close(c, -ECONNRESET);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	rig_end(&r);
}

static void
counters_wrap(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct smux_stream *s;
	struct adit_conn *c;
	uint8_t *buf = pattern(65536, 1), in[65536];

	rig_start(&r);
	c = rig_opens(&r, 2, 3);
	s = adit_container_of(c, struct smux_stream, base);
	s->sent = s->consumed = 0xffffff00u;
	s->received = s->read = s->reported = 0xffffff00u;
	s->limit = s->received + SMUX_FIRST_WINDOW;
	assert_int_equal(fill(*state, c, MIB), 262144 + SMUX_OUT_BLOCKED);
	assert_int_equal(count_data(&r, 2, 3), 262144);
	rig_update(&r, 3, 0xffffff00u + 65536, 262144);
	assert_int_equal(count_data(&r, 2, 3), SMUX_OUT_BLOCKED);
	for (int i = 0; i < 8; i++) {
		rig_frame(&r, 2, SMUX_PSH, 3, buf, 32768);
		assert_int_equal(adit_conn_read(c, in, sizeof(in)), 32768);
		assert_memory_equal(in, buf, 32768);
	}
	rig_expect_update(&r, 3, 0xffffff00u + 131072, MIB);
	adit_conn_close(c, -ECONNRESET);
	free(buf);
	rig_end(&r);
}

static void
updates_follow_reads(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r;
	struct adit_conn *c;
	uint8_t *buf = pattern(65535, 1), in[65536];

	conf.stream_buffer = 65536;
	r = rig_new(*state, &conf, 8 * MIB);
	rig_start(&r);
	c = rig_peer_opens(&r, 2, 3);
	rig_frame(&r, 2, SMUX_PSH, 3, buf, 65535);
	rig_expect_nothing(&r);
	assert_int_equal(adit_conn_read(c, in, 3), 3);
	rig_expect_update(&r, 3, 3, 65536);
	assert_int_equal(adit_conn_read(c, in, 32767), 32767);
	rig_expect_nothing(&r);
	assert_int_equal(adit_conn_read(c, in, 1), 1);
	rig_expect_update(&r, 3, 3 + 32768, 65536);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), 65535 - 3 - 32768);
	rig_expect_nothing(&r);
	assert_int_equal(adit_conn_read(c, in, sizeof(in)), -EAGAIN);
	adit_conn_close(c, 0);
	rig_expect(&r, 2, SMUX_FIN, 3, 0);
	free(buf);
	rig_end(&r);
}

/* Memory is bounded by what we granted: who sends more is cut off. */
static void
window_is_enforced(void **state)
{
	struct smux_conf conf = quiet(false, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c;
	uint8_t *buf = pattern(32768, 1), in[16];

	rig_start(&r);
	c = rig_peer_opens(&r, 2, 3);
	for (int i = 0; i < 8; i++)
		rig_frame(&r, 2, SMUX_PSH, 3, buf, 32768);
	assert_int_equal(adit_mux_err(r.mux), 0);
	assert_int_equal(adit_conn_read(c, in, 1), 1);
	rig_expect_update(&r, 3, 1, MIB);
	for (int i = 0; i < 24; i++)
		rig_frame(&r, 2, SMUX_PSH, 3, buf, 32768);
	rig_frame(&r, 2, SMUX_PSH, 3, buf, 1);
	assert_int_equal(adit_mux_err(r.mux), 0);
	rig_frame(&r, 2, SMUX_PSH, 3, buf, 1);
	assert_int_equal(adit_mux_err(r.mux), -EPROTO);
	assert_non_null(strstr(adit_mux_reason(r.mux)->text, "window"));
	assert_true(r.ended);
	assert_int_equal(adit_conn_read(c, in, 1), 1);	/* what had arrived comes first */
	adit_conn_close(c, 0);
	free(buf);
	rig_end(&r);
}

/* Version 1: unread bytes stop the session, reads free it. */
static void
version_1_is_bounded_by_the_session(void **state)
{
	struct smux_conf conf = quiet(false, 1);
	struct rig r;
	struct adit_conn *a, *b;
	uint8_t *buf = pattern(32768, 1), in[65536];
	const struct smux *m;

	conf.session_buffer = conf.stream_buffer = 262144;
	r = rig_new(*state, &conf, 8 * MIB);
	m = adit_container_of(r.mux, struct smux, base);
	rig_start(&r);
	a = rig_peer_opens(&r, 1, 3);
	b = rig_peer_opens(&r, 1, 5);
	for (int i = 0; i < 64; i++)
		rig_frame(&r, 1, SMUX_PSH, 3, buf, 32768);
	rig_frame(&r, 1, SMUX_PSH, 5, "x", 1);
	assert_in_range(m->unread, 262144, 262144 + 65536);
	assert_int_equal(adit_conn_read(b, in, sizeof(in)), -EAGAIN);
	for (size_t done = 0; done < 64 * 32768;) {
		ssize_t n = adit_conn_read(a, in, sizeof(in));

		assert_true(n > 0);
		done += (size_t)n;
		loop_turn(*state, 8);
		assert_true(m->unread <= 262144 + 65536);
	}
	assert_int_equal(adit_conn_read(b, in, sizeof(in)), 1);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	free(buf);
	rig_end(&r);
}

/* ---- order and fairness --------------------------------------------------------- */
static void
streams_take_turns(void **state)
{
	struct smux_conf conf = quiet(true, 2);
	struct rig r;
	struct adit_conn *c[4];
	struct smux_frame f;
	const uint8_t *payload;
	uint8_t *buf = pattern(SMUX_OUT_CAP, 0);
	uint32_t last = 0;
	size_t n = 0;

	/* The wire takes 20 000 bytes: the first frame is cut, and the rest has to wait. */
	conf.frame = 4096;
	r = rig_new(*state, &conf, 20000);
	rig_start(&r);
	for (uint32_t i = 0; i < 3; i++)
		c[i] = rig_opens(&r, 2, 3 + 2 * i);
	rig_hold(&r, true);
	for (int i = 0; i < 6; i++)
		assert_true(adit_conn_write(c[i % 3], buf, SMUX_OUT_CAP) > 0 || i > 3);
	loop_turn(*state, 8);
	/* A SYN overtakes what waits. */
	adit_conn_close(adit_mux_open(r.mux, 0, NULL), 0);
	c[3] = adit_mux_open(r.mux, 0, NULL);
	assert_int_equal(adit_conn_write(c[3], "x", 1), 1);
	rig_hold(&r, false);
	loop_turn(*state, 64);
	while (rig_next(&r, 2, &f, &payload)) {
		if (f.cmd == SMUX_SYN) {
			assert_int_equal(f.stream, 11);
			assert_true(n > 0 && n < 8);
			last = 0;
		} else if (f.stream != 11) {
			/* Nobody twice while the others have something. */
			if (n > 4 && n < 40)
				assert_int_not_equal(f.stream, last);
			last = f.stream;
		}
		n++;
	}
	assert_true(n >= 3 * SMUX_OUT_CAP / 4096);
	free(buf);
	for (int i = 0; i < 4; i++)
		adit_conn_close(c[i], 0);
	rig_end(&r);
}

/*
 * A gost stops reading all streams when 4 MiB are unread. Streams whose targets do not read must
 * not fill that, and one that is read gets through.
 */
static void
stuck_streams_leave_room_at_a_gost(void **state)
{
	enum { STUCK = 5, HEALTHY = STUCK };
	struct smux_conf conf = quiet(true, 2);
	struct rig r = rig_new(*state, &conf, 8 * MIB);
	struct adit_conn *c[STUCK + 1];
	struct smux_frame f;
	const uint8_t *payload;
	size_t unread = 0, moved = 0;
	uint32_t reported = 0;
	uint8_t *buf = pattern(65536, 0);

	rig_start(&r);
	for (uint32_t i = 0; i <= STUCK; i++) {
		c[i] = rig_opens(&r, 2, 3 + 2 * i);
		rig_update(&r, 3 + 2 * i, 0, MIB);
	}
	while (moved < 16 * MIB) {
		size_t before = moved;

		for (int i = 0; i <= STUCK; i++)
			adit_conn_write(c[i], buf, 65536);
		loop_turn(*state, 4);
		while (rig_next(&r, 2, &f, &payload)) {
			if (f.stream == 3 + 2 * HEALTHY)
				moved += f.len;
			else
				unread += f.len;
			assert_true(unread + f.len < 4 * MIB);
		}
		/* gost's rule: half the window read. */
		if (moved - reported >= MIB / 2) {
			reported = (uint32_t)moved;
			rig_update(&r, 3 + 2 * HEALTHY, reported, MIB);
		}
		assert_true(moved > before);
	}
	assert_true(unread > 2 * MIB);
	for (int i = 0; i <= STUCK; i++)
		adit_conn_close(c[i], -ECONNRESET);
	free(buf);
	rig_end(&r);
}

/* ---- two sessions --------------------------------------------------------------- */
struct flow {
	struct adit_conn	*c;
	size_t			 to_send, sent, received;
	unsigned		 seed;
	bool			 echo, stuck, done;
	uint8_t			 keep[8192];	/* echo: read and not written yet */
	size_t			 kept;
};

struct pair {
	struct loop		*loop;
	struct adit_mux		*client, *server;
	struct flow		*flows, *echoes;
	unsigned		 n, n_echoes, n_done;
};

static uint8_t
flow_byte(const struct flow *f, size_t i)
{
	return (uint8_t)((i * 31 + i / 253) ^ f->seed);
}

static void
flow_echo(struct flow *f)
{
	ssize_t n;

	for (;;) {
		if (!f->kept) {
			n = adit_conn_read(f->c, f->keep, sizeof(f->keep));
			if (n == 0) {
				adit_conn_close(f->c, 0);
				f->c = NULL;
			}
			if (n <= 0)
				return;
			f->kept = (size_t)n;
		}
		n = adit_conn_write(f->c, f->keep, f->kept);
		adit_conn_want(f->c, n > 0 ? ADIT_READ : ADIT_WRITE);
		if (n <= 0)
			return;
		f->kept -= (size_t)n;
		memmove(f->keep, f->keep + n, f->kept);
	}
}

static void
flow_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct flow *f = owner;
	uint8_t buf[16384];
	ssize_t n;

	assert_int_equal(adit_conn_err(c), 0);
	if (f->echo) {
		if (!f->stuck)
			flow_echo(f);
		else
			adit_conn_want(c, 0);
		return;
	}
	while (events & ADIT_WRITE && f->sent < f->to_send) {
		size_t left = f->to_send - f->sent;
		size_t len = left < sizeof(buf) ? left : sizeof(buf);

		for (size_t i = 0; i < len; i++)
			buf[i] = flow_byte(f, f->sent + i);
		n = adit_conn_write(c, buf, len);
		if (n <= 0)
			break;
		f->sent += (size_t)n;
	}
	while ((n = adit_conn_read(c, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], flow_byte(f, f->received++));
	adit_conn_want(c, f->sent < f->to_send ? ADIT_READ | ADIT_WRITE : ADIT_READ);
}

static void
pair_accept(void *owner, struct adit_mux *m, unsigned events)
{
	struct pair *p = owner;
	struct adit_conn *c;

	(void)events;
	while ((c = adit_mux_accept(m))) {
		struct flow *f = &p->echoes[p->n_echoes++];

		assert_true(p->n_echoes <= p->n);
		f->c = c;
		f->echo = true;
		adit_conn_own(c, flow_event, f);
		adit_conn_want(c, ADIT_READ);
	}
}

static bool
pair_done(void *arg)
{
	struct pair *p = arg;
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct flow *f = &p->flows[i];

		if (f->stuck || f->received == f->to_send)
			n++;
		if (f->c && !f->stuck && f->received == f->to_send) {
			adit_conn_close(f->c, 0);
			f->c = NULL;
		}
	}
	return n == p->n;
}

/* n echoes of len bytes at a time over one session; the first of them stuck if asked so. */
static void
echoes(struct loop *l, unsigned version, unsigned n, unsigned stuck, size_t len)
{
	struct smux_conf client = quiet(true, version), server = quiet(false, version);
	struct pair p = { .loop = l, .n = n };
	struct adit_conn *a, *b;
	struct adit_err e = ADIT_ERR_INIT;

	p.flows = calloc(n, sizeof(*p.flows));
	p.echoes = calloc(n, sizeof(*p.echoes));
	assert_non_null(p.flows);
	assert_non_null(p.echoes);
	assert_int_equal(adit_conn_pair(l->worker, l->worker, 100000, &a, &b), 0);
	p.client = smux_new(a, &client);
	p.server = smux_new(b, &server);
	adit_mux_own(p.server, pair_accept, &p);
	adit_mux_want(p.server, ADIT_READ);
	for (unsigned i = 0; i < n; i++) {
		p.flows[i] = (struct flow){ .to_send = len, .seed = i, .stuck = i < stuck };
		p.echoes[i].stuck = i < stuck;
		p.flows[i].c = adit_mux_open(p.client, 0, &e);
		assert_non_null(p.flows[i].c);
		adit_conn_own(p.flows[i].c, flow_event, &p.flows[i]);
		adit_conn_want(p.flows[i].c, ADIT_READ | ADIT_WRITE);
	}
	assert_true(loop_until(l, pair_done, &p, 60000));
	for (unsigned i = 0; i < n; i++)
		adit_conn_close(p.flows[i].c, -ECONNRESET);
	loop_turn(l, 16);
	for (unsigned i = 0; i < p.n_echoes; i++)
		adit_conn_close(p.echoes[i].c, 0);
	loop_turn(l, 16);
	assert_int_equal(adit_mux_streams(p.client), 0);
	assert_int_equal(adit_mux_streams(p.server), 0);
	adit_mux_close(p.client, NULL);
	adit_mux_close(p.server, NULL);
	free(p.flows);
	free(p.echoes);
}

static void
a_thousand_streams(void **state)
{
	echoes(*state, 1, 1000, 0, 30000);
	echoes(*state, 2, 1000, 0, 30000);
}

static void
long_streams(void **state)
{
	echoes(*state, 1, 1, 0, 8 * MIB);
	echoes(*state, 2, 3, 0, 8 * MIB);
}

static void
stuck_streams_do_not_stop_the_others(void **state)
{
	echoes(*state, 2, 60, 50, 4 * MIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(first_window_is_262144),
		LOOP_TEST(counters_wrap),
		LOOP_TEST(updates_follow_reads),
		LOOP_TEST(window_is_enforced),
		LOOP_TEST(version_1_is_bounded_by_the_session),
		LOOP_TEST(streams_take_turns),
		LOOP_TEST(stuck_streams_leave_room_at_a_gost),
		LOOP_TEST(a_thousand_streams),
		LOOP_TEST(long_streams),
		LOOP_TEST(stuck_streams_do_not_stop_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
