#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <adit/pump.h>

#include "core/conn/conn.h"
#include "core/conn/pipes.h"
#include "core/conn/tcp.h"
#include "tests/unit/conformance.h"
#include "tests/unit/jitter.h"

#define CAP 65536
#define LIMIT_MS 20000

/* a - x, pump, y - b: the test holds a and b. */
struct rig {
	struct loop		*loop;
	struct adit_conn	*a, *x, *y, *b;
	struct adit_pump	*pump;
	struct adit_pump_opts	 opts;
	struct adit_pump_stats	 stats;		/* once done */
	unsigned		 reports;
	bool			 calling;	/* inside a call on the pump */

	/* what the hooks do */
	unsigned		 heads, ends;
	int			 answers[4];	/* to one call after another */
	bool			 stops;
};

static void
pump_done(void *arg, const struct adit_pump_stats *stats)
{
	struct rig *r = arg;

	assert_false(r->calling);
	r->stats = *stats;
	r->reports++;
}

static void
start(struct rig *r)
{
	r->opts.size = sizeof(r->opts);
	r->calling = true;
	r->pump = adit_pump(r->x, r->y, &r->opts, pump_done, r);
	r->calling = false;
	assert_non_null(r->pump);
}

static struct rig
rig(void **state)
{
	struct rig r = { .loop = *state };

	assert_int_equal(adit_conn_pair(r.loop->worker, r.loop->worker, CAP, &r.a, &r.x), 0);
	assert_int_equal(adit_conn_pair(r.loop->worker, r.loop->worker, CAP, &r.y, &r.b), 0);
	return r;
}

static bool
is_done(void *arg)
{
	return ((struct rig *)arg)->reports > 0;
}

static void
finish(struct rig *r)
{
	assert_true(loop_until(r->loop, is_done, r, LIMIT_MS));
	loop_turn(r->loop, 3);
	assert_int_equal(r->reports, 1);
	adit_conn_close(r->a, 0);
	adit_conn_close(r->b, 0);
}

static void
put(struct rig *r, struct adit_conn *c, const char *text)
{
	assert_int_equal(adit_conn_write(c, text, strlen(text)), strlen(text));
	loop_turn(r->loop, 4);
}

/* Reads what is there: text, "" for an end, or NULL with *err. */
static const char *
got(struct rig *r, struct adit_conn *c, int *err)
{
	static char buf[100];
	ssize_t n;

	loop_turn(r->loop, 4);
	n = adit_conn_read(c, buf, sizeof(buf) - 1);
	*err = n < 0 ? (int)n : 0;
	if (n < 0)
		return "(failed)";
	buf[n] = 0;
	return buf;
}

#define assert_got(r, c, text) \
	do { \
		int err_; \
		const char *got_ = got(r, c, &err_); \
		assert_int_equal(err_, 0); \
		assert_string_equal(got_, text); \
	} while (0)

#define assert_failed(r, c, why) \
	do { \
		int err_; \
		got(r, c, &err_); \
		assert_int_equal(err_, why); \
	} while (0)

static void
assert_stats(const struct rig *r, int err, int side, const char *how)
{
	assert_int_equal(r->stats.err, err);
	assert_int_equal(r->stats.side, side);
	assert_string_equal(r->stats.how, how);
}

/* ---- ends -------------------------------------------------------------------------- */

static void
ends_are_passed_on_and_counted(void **state)
{
	struct rig r = rig(state);

	start(&r);
	put(&r, r.a, "question");
	assert_got(&r, r.b, "question");
	assert_int_equal(adit_pump_stats(r.pump)->bytes[0], 8);
	adit_conn_shutdown(r.b);
	assert_got(&r, r.a, "");
	put(&r, r.a, "more");
	assert_int_equal(r.reports, 0);
	adit_conn_shutdown(r.a);
	finish(&r);
	assert_stats(&r, 0, 1, "end");
	assert_int_equal(r.stats.bytes[0], 12);
	assert_int_equal(r.stats.bytes[1], 0);
	assert_true(r.stats.duration > 0);
}

static void
without(struct rig *r)
{
	struct jitter_opts opts = { .no_half_close = true };

	r->y = jitter_conn(r->y, &opts);
	assert_non_null(r->y);
}

static void
an_end_is_owed_where_there_is_no_half_close(void **state)
{
	struct rig r = rig(state);

	without(&r);
	start(&r);
	put(&r, r.a, "all");
	adit_conn_shutdown(r.a);
	assert_got(&r, r.b, "all");
	assert_failed(&r, r.b, -EAGAIN);	/* b is not told */
	put(&r, r.b, "answer");			/* and its answer still passes */
	assert_got(&r, r.a, "answer");
	assert_int_equal(r.reports, 0);
	adit_conn_shutdown(r.b);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_got(&r, r.a, "");
	assert_got(&r, r.b, "");		/* now it is */
	finish(&r);
	assert_stats(&r, 0, 0, "end");
}

static void
an_end_is_not_owed_for_ever(void **state)
{
	struct rig r = rig(state);

	without(&r);
	r.opts.idle = ADIT_SECONDS(600);
	r.opts.half_closed = ADIT_MS(30);
	start(&r);
	adit_conn_shutdown(r.a);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_got(&r, r.b, "");		/* politely */
	assert_got(&r, r.a, "");
	finish(&r);
	assert_stats(&r, 0, 0, "half-closed");
}

static void
a_final_end_is_the_end_of_both(void **state)
{
	struct rig r = rig(state);

	without(&r);
	r.opts.final = ADIT_PUMP_FINAL_A;
	start(&r);
	put(&r, r.a, "all");
	adit_conn_shutdown(r.a);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_got(&r, r.b, "all");
	assert_got(&r, r.b, "");
	assert_got(&r, r.a, "");
	finish(&r);
	assert_stats(&r, 0, 0, "end");
}

/* Only where it cannot be passed on, and only of that side. */
static void
the_end_of_the_other_is_not_final(void **state)
{
	struct rig r = rig(state);

	r.opts.final = ADIT_PUMP_FINAL_A | ADIT_PUMP_FINAL_B;
	start(&r);
	adit_conn_shutdown(r.a);
	assert_got(&r, r.b, "");
	put(&r, r.b, "answer");
	assert_got(&r, r.a, "answer");
	adit_conn_shutdown(r.b);
	finish(&r);

	r = rig(state);
	without(&r);
	r.opts.final = ADIT_PUMP_FINAL_B;
	start(&r);
	adit_conn_shutdown(r.a);
	put(&r, r.b, "answer");
	assert_got(&r, r.a, "answer");
	assert_int_equal(r.reports, 0);
	adit_pump_stop(r.pump, 0);
	finish(&r);
}

static void
conns_can_be_given_back(void **state)
{
	struct rig r = rig(state);

	r.opts.keep = ADIT_PUMP_KEEP_A;
	start(&r);
	put(&r, r.a, "x");
	assert_got(&r, r.b, "x");
	adit_pump_stop(r.pump, 0);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_int_equal(adit_conn_wanted(r.x), 0);
	put(&r, r.x, "still here");
	assert_got(&r, r.a, "still here");
	assert_got(&r, r.b, "");		/* the other one was not kept */
	adit_conn_close(r.x, 0);
	finish(&r);
}

/* ---- failures ------------------------------------------------------------------------ */

static void
a_reset_is_passed_on(void **state)
{
	struct rig r = rig(state);

	start(&r);
	put(&r, r.a, "x");
	adit_conn_set_code(r.b, 77);
	adit_conn_close(r.b, -ECONNRESET);
	r.b = NULL;
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_failed(&r, r.a, -ECONNRESET);
	assert_int_equal(adit_conn_code(r.a), 77);	/* both are pairs: the same words */
	finish(&r);
	assert_stats(&r, -ECONNRESET, 1, "reset");
}

static void
fill(struct rig *r, struct adit_conn *c, size_t total)
{
	static char zeros[CAP];
	size_t sent = 0;

	while (sent < total) {
		ssize_t n = adit_conn_write(c, zeros, total - sent < CAP ? total - sent : CAP);

		if (n > 0)
			sent += (size_t)n;
		else
			assert_int_equal(n, -EAGAIN);
		loop_turn(r->loop, 4);
	}
}

static size_t
drain(struct rig *r, struct adit_conn *c, ssize_t *last)
{
	static char buf[CAP];
	size_t total = 0;

	for (;;) {
		*last = adit_conn_read(c, buf, sizeof(buf));
		if (*last <= 0)
			return total;
		total += (size_t)*last;
		loop_turn(r->loop, 4);
	}
}

static void
what_was_read_comes_before_the_failure(void **state)
{
	struct rig r = rig(state);
	ssize_t last;

	start(&r);
	/* b's pair is full, and so the pump has bytes of its own when x fails. */
	fill(&r, r.a, CAP);
	loop_turn(r.loop, 4);
	fill(&r, r.a, 3000);
	adit_conn_fail(r.x, -ECONNRESET);
	loop_turn(r.loop, 4);
	assert_int_equal(r.reports, 0);
	assert_int_equal(adit_pump_stats(r.pump)->bytes[0], CAP);
	/* Written, that is: the reset after it may overtake bytes on their way, as any reset. */
	assert_in_range(drain(&r, r.b, &last), CAP, CAP + 3000);
	assert_int_equal(last, -ECONNRESET);
	finish(&r);
	assert_stats(&r, -ECONNRESET, 0, "reset");
	assert_int_equal(r.stats.bytes[0], CAP + 3000);
}

/* As of an exchange that fails before its head, while the other one takes no byte before that. */
static void
a_failure_is_heard_though_nothing_can_be_written(void **state)
{
	struct rig r = rig(state);

	conn_unready(r.y, ADIT_WRITE);
	start(&r);
	adit_conn_close(r.a, -ECONNRESET);
	r.a = NULL;
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	finish(&r);
	assert_stats(&r, -ECONNRESET, 0, "reset");
}

/* An HTTP server may answer and close before it has read the whole request. */
static void
the_last_words_of_who_takes_no_more_are_passed_on(void **state)
{
	struct rig r = rig(state);

	start(&r);
	put(&r, r.a, "request");
	assert_int_equal(adit_conn_write(r.b, "413", 3), 3);
	adit_conn_close(r.b, 0);
	r.b = NULL;
	assert_int_equal(adit_conn_write(r.a, "body", 4), 4);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_got(&r, r.a, "413");
	assert_got(&r, r.a, "");
	finish(&r);
	assert_stats(&r, -EPIPE, 1, "reset");
	assert_int_equal(r.stats.bytes[1], 3);
}

/* ---- time ----------------------------------------------------------------------------- */

static void
silence_is_a_failure_of_both(void **state)
{
	struct rig r = rig(state);

	r.opts.idle = ADIT_MS(30);
	start(&r);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_failed(&r, r.a, -ETIMEDOUT);
	assert_failed(&r, r.b, -ETIMEDOUT);
	finish(&r);
	assert_stats(&r, -ETIMEDOUT, -1, "timeout");
	assert_true(r.stats.duration >= ADIT_MS(29));
}

struct talk {
	struct rig	*rig;
	unsigned	 n;
};

static void
talk_on(void *arg)
{
	struct talk *t = arg;

	assert_int_equal(adit_conn_write(t->rig->a, "x", 1), 1);
	t->n++;
}

static bool
has_talked(void *arg)
{
	struct talk *t = arg;

	return t->rig->reports || t->n == 20;
}

/* Each byte gives a new time, though no timer is set for it. */
static void
bytes_keep_it_alive(void **state)
{
	struct rig r = rig(state);
	struct talk t = { .rig = &r };
	struct adit_timer *timer = adit_timer_new(r.loop->worker, talk_on, &t);
	uint64_t begun = adit_now();

	r.opts.idle = ADIT_SECONDS(2);
	start(&r);
	while (!has_talked(&t)) {
		unsigned before = t.n;

		adit_timer_set(timer, ADIT_MS(110));
		while (t.n == before && !r.reports)
			loop_until(r.loop, is_done, &r, 10);
	}
	assert_int_equal(r.reports, 0);
	assert_true(adit_now() - begun > r.opts.idle);
	adit_timer_free(timer);
	adit_pump_stop(r.pump, 0);
	finish(&r);
}

static void
a_half_closed_one_has_less_time(void **state)
{
	struct rig r = rig(state);

	r.opts.idle = ADIT_SECONDS(600);
	r.opts.half_closed = ADIT_MS(20);
	start(&r);
	put(&r, r.a, "x");
	assert_got(&r, r.b, "x");
	adit_conn_shutdown(r.a);
	assert_got(&r, r.b, "");
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_failed(&r, r.a, -ETIMEDOUT);
	finish(&r);
	assert_stats(&r, -ETIMEDOUT, -1, "timeout");
}

/* ---- stopping --------------------------------------------------------------------------- */

static void
it_can_be_stopped(void **state)
{
	static const int whys[] = { 0, ADIT_ESTOPPED };

	for (int i = 0; i < 2; i++) {
		struct rig r = rig(state);

		start(&r);
		put(&r, r.a, "x");
		r.calling = true;
		adit_pump_stop(r.pump, whys[i]);
		adit_pump_stop(r.pump, -EIO);	/* the first word counts */
		r.calling = false;
		if (whys[i]) {
			assert_failed(&r, r.a, whys[i]);
			assert_failed(&r, r.b, whys[i]);
		} else {
			assert_got(&r, r.b, "x");
			assert_got(&r, r.b, "");
			assert_got(&r, r.a, "");
		}
		finish(&r);
		assert_stats(&r, whys[i], -1, "stopped");
	}
}

/* ---- hooks --------------------------------------------------------------------------------- */

static int
hook_answers(struct rig *r, unsigned calls)
{
	if (r->stops)
		adit_pump_stop(r->pump, ADIT_ESTOPPED);
	return calls <= 4 ? r->answers[calls - 1] : 0;
}

static int
on_end(void *arg, struct adit_conn *from, struct adit_conn *to)
{
	struct rig *r = arg;

	assert_ptr_equal(from, r->x);
	assert_ptr_equal(to, r->y);
	r->ends++;
	if (r->answers[r->ends - 1] == -EAGAIN)
		conn_unready(to, ADIT_WRITE);
	return hook_answers(r, r->ends);
}

static int
on_head(void *arg, struct adit_conn *from, struct adit_conn *to)
{
	struct rig *r = arg;

	(void)to;
	r->heads++;
	if (r->answers[r->heads - 1] == -EAGAIN)
		conn_unready(to, ADIT_WRITE);
	else
		conn_unready(from, ADIT_HEAD);
	return hook_answers(r, r->heads);
}

static void
the_end_waits_for_its_hook(void **state)
{
	struct rig r = rig(state);

	r.opts.ended = on_end;
	r.answers[0] = r.answers[1] = -EAGAIN;
	start(&r);
	put(&r, r.a, "x");
	adit_conn_shutdown(r.a);
	assert_got(&r, r.b, "x");
	assert_failed(&r, r.b, -EAGAIN);
	assert_int_equal(r.ends, 1);
	adit_conn_ready(r.y, ADIT_WRITE);
	assert_failed(&r, r.b, -EAGAIN);
	assert_int_equal(r.ends, 2);
	adit_conn_ready(r.y, ADIT_WRITE);
	assert_got(&r, r.b, "");
	assert_int_equal(r.ends, 3);
	adit_pump_stop(r.pump, 0);
	finish(&r);
}

static void
a_head_goes_before_the_bytes_that_follow(void **state)
{
	struct rig r = rig(state);

	r.opts.head = on_head;
	r.answers[0] = -EAGAIN;
	start(&r);
	adit_conn_ready(r.x, ADIT_HEAD);
	put(&r, r.a, "body");
	assert_int_equal(r.heads, 1);
	assert_failed(&r, r.b, -EAGAIN);
	adit_conn_ready(r.y, ADIT_WRITE);
	assert_got(&r, r.b, "body");
	assert_int_equal(r.heads, 2);
	adit_conn_ready(r.x, ADIT_HEAD);	/* and another one: an interim response */
	put(&r, r.a, "x");
	assert_int_equal(r.heads, 3);
	adit_pump_stop(r.pump, 0);
	finish(&r);
}

static void
a_hook_may_fail(void **state)
{
	struct rig r = rig(state);

	r.opts.head = on_head;
	r.answers[0] = -EPROTO;
	start(&r);
	adit_conn_ready(r.x, ADIT_HEAD);
	assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
	assert_failed(&r, r.b, -EPROTO);
	finish(&r);
	assert_stats(&r, -EPROTO, 0, "failure");
}

static void
a_hook_may_stop_the_pump(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct rig r = rig(state);

		r.stops = true;
		r.opts.head = on_head;
		r.opts.ended = on_end;
		start(&r);
		put(&r, r.a, "x");
		if (i)
			adit_conn_ready(r.x, ADIT_HEAD);
		else
			adit_conn_shutdown(r.a);
		assert_true(loop_until(r.loop, is_done, &r, LIMIT_MS));
		finish(&r);
		assert_int_equal(r.heads + r.ends, 1);
		assert_stats(&r, ADIT_ESTOPPED, -1, "stopped");
	}
}

/* ---- splice ---------------------------------------------------------------------------------- */

struct flow {
	struct rig	*rig;
	uint64_t	 sent, received, total;
};

static bool
flow_on(void *arg)
{
	struct flow *f = arg;
	static uint8_t out[CAP], in[CAP];
	ssize_t n = 1;

	while (f->sent < f->total && n > 0) {
		uint64_t left = f->total - f->sent;
		size_t len = left < 50000 ? (size_t)left : 50000;

		for (size_t i = 0; i < len; i++)
			out[i] = (uint8_t)((f->sent + i) * 7 >> 3);
		n = adit_conn_write(f->rig->a, out, len);
		assert_true(n > 0 || n == -EAGAIN);
		f->sent += n > 0 ? (uint64_t)n : 0;
	}
	while ((n = adit_conn_read(f->rig->b, in, sizeof(in))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(in[i], (uint8_t)((f->received + (uint64_t)i) * 7 >> 3));
		f->received += (uint64_t)n;
	}
	assert_int_equal(n, -EAGAIN);
	return f->received == f->total;
}

static struct rig
tcp_rig(void **state)
{
	struct rig r = { .loop = *state };
	int in[2], out[2];

	assert_int_equal(conformance_tcp_sockets(in), 0);
	assert_int_equal(conformance_tcp_sockets(out), 0);
	r.a = tcp_conn(r.loop->worker, in[0], false);
	r.x = tcp_conn(r.loop->worker, in[1], false);
	r.y = tcp_conn(r.loop->worker, out[0], false);
	r.b = tcp_conn(r.loop->worker, out[1], false);
	return r;
}

static void
no_callback(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)c;
	(void)events;
}

static void
run_flow(struct rig *r, uint64_t total)
{
	struct flow f = { .rig = r, .total = total };

	start(r);
	adit_conn_own(r->b, no_callback, NULL);
	adit_conn_want(r->b, ADIT_READ);
	assert_true(loop_until(r->loop, flow_on, &f, LIMIT_MS));
	assert_int_equal(adit_pump_stats(r->pump)->bytes[0], total);
	adit_conn_close(r->a, 0);
	adit_conn_close(r->b, 0);
	r->a = r->b = NULL;
	finish(r);
}

static bool
has_spliced(const struct rig *r)
{
	return *worker_slot(r->loop->worker, SLOT_PIPES, NULL) != NULL;
}

/* Asking for the slot has lost its fini; a pipe that is taken sets it again. */
static void
keep_pool(const struct rig *r)
{
	pipe_put(r->loop->worker, pipe_get(r->loop->worker), true);
}

static void
bulk_is_spliced_and_little_is_not(void **state)
{
	struct rig r = tcp_rig(state);

	run_flow(&r, 200000);
	assert_false(has_spliced(&r));
	r = tcp_rig(state);
	run_flow(&r, 3000000);
	assert_true(has_spliced(&r));
	keep_pool(&r);
}

static void
nothing_is_spliced_where_sigpipe_would_hit(void **state)
{
	struct rig r = tcp_rig(state);

	signal(SIGPIPE, SIG_DFL);
	run_flow(&r, 3000000);
	assert_null(pipe_get(r.loop->worker));
	signal(SIGPIPE, SIG_IGN);
}

/* A descriptor that cannot be spliced, on either side: copying goes on where splicing has begun. */
static void
what_the_kernel_refuses_is_copied(void **state)
{
	for (int side = 0; side < 2; side++) {
		struct rig r = tcp_rig(state);
		struct jitter_opts opts = { .splice_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
		struct adit_conn **end = side ? &r.y : &r.x;

		*end = jitter_conn(*end, &opts);
		r.opts.splice_after = 1000;
		run_flow(&r, 2000000);
		close(opts.splice_fd);
	}
}

static void
pipes_are_bounded(void **state)
{
	struct loop *l = *state;
	struct pipe *pipes[PIPES_MAX];

	for (int i = 0; i < PIPES_MAX; i++) {
		pipes[i] = pipe_get(l->worker);
		assert_non_null(pipes[i]);
	}
	assert_null(pipe_get(l->worker));
	pipe_put(l->worker, pipes[0], false);
	pipes[0] = pipe_get(l->worker);
	assert_non_null(pipes[0]);
	for (int i = 0; i < PIPES_MAX; i++)
		pipe_put(l->worker, pipes[i], i % 2);
	pipe_put(l->worker, NULL, true);
}

/*
 * ---- datagrams
 * -----------------------------------------------------------------------------------
 */

#define SLOTS_IN 4
#define DATAGRAM_MAX 64

/*
 * One end of a flow, as the test likes: what the pump reads is put in, what it writes is counted
 * and kept.
 */
struct flow_end {
	struct adit_conn	 base;
	size_t			 in_len[SLOTS_IN];
	char			 in[SLOTS_IN][DATAGRAM_MAX];
	unsigned		 n_in, n_out;
	size_t			 out_len;	/* of the last one */
	char			 out[DATAGRAM_MAX];
	bool			 full;		/* takes nothing */
};

static struct flow_end *
flow_end_of(struct adit_conn *c)
{
	return adit_container_of(c, struct flow_end, base);
}

static ssize_t
flow_end_read(struct adit_conn *c, void *buf, size_t len)
{
	struct flow_end *f = flow_end_of(c);
	size_t n = f->in_len[0];

	if (!f->n_in)
		return -EAGAIN;
	assert_true(n <= len);
	memcpy(buf, f->in[0], n);
	f->n_in--;
	memmove(f->in, f->in + 1, sizeof(f->in) - sizeof(f->in[0]));
	memmove(f->in_len, f->in_len + 1, sizeof(f->in_len) - sizeof(f->in_len[0]));
	return (ssize_t)n;
}

static ssize_t
flow_end_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct flow_end *f = flow_end_of(c);

	assert_int_equal(n, 1);
	if (f->full)
		return -EAGAIN;
	f->out_len = iov->iov_len;
	memcpy(f->out, iov->iov_base, iov->iov_len);
	f->n_out++;
	return (ssize_t)iov->iov_len;
}

static int
flow_end_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

static void
flow_end_close(struct adit_conn *c, int why)
{
	(void)c;
	(void)why;
}

static void
flow_end_free(struct adit_conn *c)
{
	(void)c;
}

static const struct adit_conn_ops flow_end_ops = {
	.size = sizeof(flow_end_ops),
	.name = "flow",
	.read = flow_end_read,
	.writev = flow_end_writev,
	.shutdown = flow_end_shutdown,
	.close = flow_end_close,
	.free = flow_end_free,
};

static struct flow_end *
flow_end_new(struct loop *l)
{
	struct flow_end *f = adit_conn_new(l->worker, &flow_end_ops, sizeof(*f), ADIT_CONN_DGRAM);

	assert_non_null(f);
	adit_conn_ready(&f->base, ADIT_OPEN | ADIT_WRITE);
	return f;
}

static void
flow_end_arrive(struct flow_end *f, const char *text)
{
	assert_true(f->n_in < SLOTS_IN);
	f->in_len[f->n_in] = strlen(text);
	memcpy(f->in[f->n_in++], text, strlen(text));
	adit_conn_ready(&f->base, ADIT_READ);
}

static void
datagrams_stay_what_they_are(void **state)
{
	struct rig r = { .loop = *state };
	struct flow_end *x = flow_end_new(r.loop), *y = flow_end_new(r.loop);

	r.x = &x->base;
	r.y = &y->base;
	r.opts.idle = ADIT_SECONDS(5);
	start(&r);
	flow_end_arrive(x, "one");
	flow_end_arrive(x, "three");
	loop_turn(r.loop, 3);
	assert_int_equal(y->n_out, 2);
	assert_int_equal(y->out_len, 5);
	assert_memory_equal(y->out, "three", 5);

	/* An empty one is no end. */
	flow_end_arrive(x, "");
	flow_end_arrive(y, "back");
	loop_turn(r.loop, 3);
	assert_int_equal(y->n_out, 3);
	assert_int_equal(y->out_len, 0);
	assert_memory_equal(x->out, "back", 4);

	/* One that is not taken is dropped, not kept. */
	y->full = true;
	flow_end_arrive(x, "lost");
	loop_turn(r.loop, 3);
	assert_int_equal(x->n_in, 0);
	y->full = false;
	flow_end_arrive(x, "found");
	loop_turn(r.loop, 3);
	assert_int_equal(y->n_out, 4);
	assert_memory_equal(y->out, "found", 5);
	assert_int_equal(adit_pump_stats(r.pump)->bytes[0], 3 + 5 + 0 + 5);
	assert_int_equal(adit_pump_stats(r.pump)->dropped[0], 1);
	assert_int_equal(adit_pump_stats(r.pump)->dropped[1], 0);
	assert_int_equal(r.reports, 0);
	adit_pump_stop(r.pump, 0);
	finish(&r);
}

static void
a_flow_ends_when_idle(void **state)
{
	struct rig r = { .loop = *state };
	struct flow_end *x = flow_end_new(r.loop), *y = flow_end_new(r.loop);

	r.x = &x->base;
	r.y = &y->base;
	r.opts.idle = ADIT_MS(20);
	start(&r);
	flow_end_arrive(x, "one");
	finish(&r);
	assert_stats(&r, 0, -1, "idle");
}

/* Polite, as an end of bytes is; any other failure is one. */
static void
a_flow_that_is_over_ends_the_other(void **state)
{
	struct rig r = { .loop = *state };
	struct flow_end *x = flow_end_new(r.loop), *y = flow_end_new(r.loop);

	r.x = &x->base;
	r.y = &y->base;
	start(&r);
	flow_end_arrive(y, "last");
	adit_conn_fail(&y->base, -ESHUTDOWN);
	finish(&r);
	assert_memory_equal(x->out, "last", 4);
	assert_stats(&r, 0, 1, "end");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ends_are_passed_on_and_counted),
		TEST(an_end_is_owed_where_there_is_no_half_close),
		TEST(an_end_is_not_owed_for_ever),
		TEST(a_final_end_is_the_end_of_both),
		TEST(the_end_of_the_other_is_not_final),
		TEST(conns_can_be_given_back),
		TEST(a_reset_is_passed_on),
		TEST(what_was_read_comes_before_the_failure),
		TEST(a_failure_is_heard_though_nothing_can_be_written),
		TEST(the_last_words_of_who_takes_no_more_are_passed_on),
		TEST(silence_is_a_failure_of_both),
		TEST(bytes_keep_it_alive),
		TEST(a_half_closed_one_has_less_time),
		TEST(it_can_be_stopped),
		TEST(the_end_waits_for_its_hook),
		TEST(a_head_goes_before_the_bytes_that_follow),
		TEST(a_hook_may_fail),
		TEST(a_hook_may_stop_the_pump),
		TEST(bulk_is_spliced_and_little_is_not),
		TEST(nothing_is_spliced_where_sigpipe_would_hit),
		TEST(what_the_kernel_refuses_is_copied),
		TEST(pipes_are_bounded),
		TEST(datagrams_stay_what_they_are),
		TEST(a_flow_ends_when_idle),
		TEST(a_flow_that_is_over_ends_the_other),
	};

	signal(SIGPIPE, SIG_IGN);	/* else nothing is spliced */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
