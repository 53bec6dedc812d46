/* For how long a smux session says that its peer owes an answer, whatever is between the two. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smux_rig.h"

/* The conn below: takes all, gives what the test puts in, and knows how far things have come. */
struct wire {
	struct adit_conn	 base;
	struct adit_delivery	 delivery;
	uint8_t			 in[64];
	size_t			 in_len;
	bool			 blind;		/* does not know */
};

static struct wire *
wire_of(struct adit_conn *c)
{
	return adit_container_of(c, struct wire, base);
}

static ssize_t
wire_read(struct adit_conn *c, void *buf, size_t len)
{
	struct wire *w = wire_of(c);
	size_t n = w->in_len;

	assert_true(len >= n);
	memcpy(buf, w->in, n);
	w->in_len = 0;
	return n ? (ssize_t)n : -EAGAIN;
}

static ssize_t
wire_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	wire_of(c)->delivery.taken += len;
	return (ssize_t)len;
}

static int
wire_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

static void
wire_close(struct adit_conn *c, int why)
{
	(void)c;
	(void)why;
}

static void
wire_free(struct adit_conn *c)
{
	(void)c;
}

static int
wire_delivery(struct adit_conn *c, struct adit_delivery *d)
{
	*d = wire_of(c)->delivery;
	return wire_of(c)->blind ? -ENOTSUP : 0;
}

static const struct adit_conn_ops wire_ops = {
	.size = sizeof(wire_ops),
	.name = "wire",
	.read = wire_read,
	.writev = wire_writev,
	.shutdown = wire_shutdown,
	.close = wire_close,
	.free = wire_free,
	.delivery = wire_delivery,
};

static struct adit_mux *
session(struct loop *l, struct wire **wire)
{
	struct smux_conf conf = quiet(true, 2);
	struct wire *w = adit_conn_new(l->worker, &wire_ops, sizeof(*w), 0);
	struct adit_mux *m;

	assert_non_null(w);
	m = smux_new(&w->base, &conf);
	assert_non_null(m);
	adit_conn_ready(&w->base, ADIT_OPEN | ADIT_WRITE);
	loop_turn(l, 2);
	*wire = w;
	return m;
}

/* A NOP of the peer's. */
static void
hear(struct loop *l, struct wire *w, uint8_t id)
{
	const uint8_t nop[8] = { 2, SMUX_NOP, 0, 0, id };

	memcpy(w->in, nop, sizeof(nop));
	w->in_len = sizeof(nop);
	adit_conn_ready(&w->base, ADIT_READ);
	loop_turn(l, 2);
	assert_int_equal(w->in_len, 0);
}

/* As if that much time had passed since it was heard last, in ms. */
static unsigned
silence(struct adit_mux *m, unsigned ms)
{
	return (unsigned)(m->ops->silence(m, adit_mux_heard(m) + ADIT_MS(ms)) / ADIT_MS(1));
}

static void
who_was_not_asked_owes_nothing(void **state)
{
	struct wire *w;
	struct adit_mux *m = session(*state, &w);

	assert_int_equal(silence(m, 60000), 0);
	/* A gost does not answer that. */
	adit_mux_probe(m);
	loop_turn(*state, 2);
	assert_int_equal(silence(m, 60000), 0);
	adit_mux_close(m, NULL);
}

static void
silence_counts_from_the_last_byte(void **state)
{
	struct wire *w;
	struct adit_mux *m = session(*state, &w);

	hear(*state, w, 1);
	loop_turn(*state, 2);
	w->delivery.acked = w->delivery.taken;
	adit_mux_probe(m);
	loop_turn(*state, 2);
	assert_int_equal(silence(m, 2000), 2000);
	/* Asking again does not begin anew, */
	adit_mux_probe(m);
	assert_int_equal(silence(m, 3000), 3000);
	/* but a byte does. */
	hear(*state, w, 0);
	assert_int_equal(silence(m, 3000), 0);
	adit_mux_close(m, NULL);
}

static void
a_question_on_its_way_is_waited_for(void **state)
{
	struct wire *w;
	struct adit_mux *m = session(*state, &w);
	uint64_t arrives;

	hear(*state, w, 1);
	loop_turn(*state, 2);
	w->delivery.taken += 100000;	/* a queue before it */
	adit_mux_probe(m);
	loop_turn(*state, 2);
	arrives = w->delivery.taken;
	for (unsigned ms = 1000; ms < 9000; ms += 1000) {
		w->delivery.taken += 5000;	/* and one behind it */
		w->delivery.acked += 10000;
		assert_int_equal(silence(m, ms), 0);
	}
	/* Nothing moves any more: that is silence. */
	assert_int_equal(silence(m, 10000), 2000);
	/* It has arrived, at the latest when all has that was there at the first look. */
	w->delivery.acked = arrives + 5000;
	assert_int_equal(silence(m, 11000), 0);
	assert_int_equal(silence(m, 12000), 1000);
	/* What comes there later is not about the question. */
	w->delivery.acked = w->delivery.taken;
	assert_int_equal(silence(m, 14000), 3000);
	adit_mux_close(m, NULL);
}

static void
where_nobody_knows_it_has_arrived(void **state)
{
	struct wire *w;
	struct adit_mux *m = session(*state, &w);

	w->blind = true;
	hear(*state, w, 1);
	adit_mux_probe(m);
	assert_int_equal(silence(m, 3000), 3000);
	adit_mux_close(m, NULL);
}

static void
a_gost_owes_what_a_stream_asks(void **state)
{
	struct wire *w;
	struct adit_mux *m = session(*state, &w);
	uint64_t asked;

	w->delivery.acked = w->delivery.taken;
	smux_asked(m);
	asked = adit_now();
	/* Long silence before that was no fault: one second of it counts. */
	adit_mux_hear(m, 0);
	assert_true(m->ops->silence(m, asked + ADIT_SECONDS(2)) >= ADIT_SECONDS(2));
	assert_true(m->ops->silence(m, asked + ADIT_SECONDS(2)) <= ADIT_SECONDS(3));
	hear(*state, w, 0);
	assert_int_equal(silence(m, 60000), 0);
	adit_mux_close(m, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(who_was_not_asked_owes_nothing),
		LOOP_TEST(silence_counts_from_the_last_byte),
		LOOP_TEST(a_question_on_its_way_is_waited_for),
		LOOP_TEST(where_nobody_knows_it_has_arrived),
		LOOP_TEST(a_gost_owes_what_a_stream_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
