#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mux/liveness.h"
#include "core/mux/mux.h"
#include "tests/unit/loop.h"

#define LIMIT_MS 60000		/* for a busy machine */
#define PROBE ADIT_MS(850)

/* A session without a wire: it is heard when the test says so. */
struct peer {
	struct adit_mux	 base;
	unsigned	 probes, too_soon;
	uint64_t	 silence;
	unsigned	 doubts, deaths;
	uint64_t	 doubted, died;
};

static struct peer *
peer_of(struct adit_mux *m)
{
	return adit_container_of(m, struct peer, base);
}

static void
peer_probe(struct adit_mux *m)
{
	struct peer *p = peer_of(m);

	p->probes++;
	if (adit_now() - adit_mux_heard(m) < PROBE)
		p->too_soon++;
}

static uint64_t
peer_silence(struct adit_mux *m, uint64_t now)
{
	(void)now;
	return peer_of(m)->silence;
}

static void
peer_drain(struct adit_mux *m)
{
	(void)m;
}

static void
peer_close(struct adit_mux *m, const struct adit_reason *why)
{
	(void)m;
	(void)why;
}

static const struct adit_mux_ops peer_ops = {
	.size = sizeof(peer_ops),
	.name = "peer",
	.probe = peer_probe,
	.drain = peer_drain,
	.close = peer_close,
	.silence = peer_silence,
};

static struct peer *
peer_new(struct loop *l)
{
	struct peer *p = adit_mux_new(l->worker, &peer_ops, sizeof(*p));

	assert_non_null(p);
	adit_mux_ready(&p->base, ADIT_OPEN);
	return p;
}

static void
peer_doubted(void *arg)
{
	struct peer *p = arg;

	p->doubted = p->doubts++ ? p->doubted : adit_now();
}

static void
peer_died(void *arg)
{
	struct peer *p = arg;

	p->died = adit_now();
	p->deaths++;
}

static struct liveness *
watch(struct peer *p, uint64_t rest_after, uint64_t rest)
{
	struct liveness *l = liveness_start(&p->base, &(struct liveness_watch){
		.doubt = peer_doubted, .dead = peer_died, .arg = p, .rest_after = rest_after,
		.rest = rest,
	});

	assert_non_null(l);
	return l;
}

static void
peer_end(struct peer *p, struct liveness *l)
{
	assert_int_equal(p->too_soon, 0);
	liveness_stop(l);
	adit_mux_close(&p->base, NULL);
}

/* ---- what is waited for ---------------------------------------------------------- */

static bool
is_dead(void *arg)
{
	const struct peer *p = arg;

	return p->deaths > 0;
}

static bool
was_asked(void *arg)
{
	const struct peer *p = arg;

	return p->probes > 0;
}

static bool
was_asked_twice(void *arg)
{
	const struct peer *p = arg;

	return p->probes > 1;
}

static bool
was_asked_often(void *arg)
{
	const struct peer *p = arg;

	return p->probes >= 3;
}

static bool
has_passed(void *arg)
{
	return *(bool *)arg;
}

static void
pass_now(void *arg)
{
	*(bool *)arg = true;
}

static void
pass(struct loop *l, uint64_t ns)
{
	bool passed = false;
	struct adit_timer *t = adit_timer_new(l->worker, pass_now, &passed);

	assert_non_null(t);
	adit_timer_set(t, ns);
	assert_true(loop_until(l, has_passed, &passed, LIMIT_MS));
	adit_timer_free(t);
}

/* ---- the tests -------------------------------------------------------------------- */

static void
who_is_silent_is_asked_then_doubted_then_dead(void **state)
{
	struct peer *p = peer_new(*state);
	uint64_t begun = adit_now();
	struct liveness *l = watch(p, 0, 0);

	p->silence = UINT64_MAX;
	assert_true(loop_until(*state, is_dead, p, LIMIT_MS));
	assert_true(p->probes >= 2);
	assert_true(p->doubts >= 1);
	assert_true(p->doubted - begun >= ADIT_MS(1500));
	assert_true(p->died - begun >= ADIT_SECONDS(3));
	peer_end(p, l);
}

/* That the other end asks is a sign of its life, so only one of two asks. */
static void
who_is_heard_is_not_asked(void **state)
{
	struct peer *p = peer_new(*state);
	struct liveness *l = watch(p, 0, 0);

	for (int i = 0; i < 20; i++) {
		adit_mux_hear(&p->base, adit_now());
		pass(*state, ADIT_MS(100));
	}
	assert_true(loop_until(*state, was_asked, p, LIMIT_MS));
	peer_end(p, l);		/* none was too soon */
}

static void
without_rest_it_is_asked_for_ever(void **state)
{
	struct peer *p = peer_new(*state);
	struct liveness *l = watch(p, 0, 0);

	assert_true(loop_until(*state, was_asked_often, p, LIMIT_MS));
	assert_int_equal(p->deaths, 0);
	peer_end(p, l);
}

static void
who_is_not_used_rests_until_he_is(void **state)
{
	struct peer *p = peer_new(*state);
	struct liveness *l = watch(p, 1, ADIT_SECONDS(3600));

	pass(*state, 3 * PROBE);
	assert_int_equal(p->probes, 0);
	mux_use(&p->base);
	assert_true(loop_until(*state, was_asked, p, LIMIT_MS));
	/* And it rests again. */
	pass(*state, PROBE);
	p->probes = 0;
	pass(*state, 3 * PROBE);
	assert_true(p->probes <= 1);
	peer_end(p, l);
}

static void
who_rests_and_is_not_heard_is_asked(void **state)
{
	struct peer *p = peer_new(*state);
	struct liveness *l = watch(p, 1, 2 * PROBE);
	uint64_t begun = adit_now();

	assert_true(loop_until(*state, was_asked, p, LIMIT_MS));
	assert_true(adit_now() - begun >= 2 * PROBE);
	assert_int_equal(p->deaths, 0);
	p->silence = UINT64_MAX;
	assert_true(loop_until(*state, is_dead, p, LIMIT_MS));
	assert_true(p->died - begun >= 2 * PROBE + ADIT_SECONDS(3));
	peer_end(p, l);
}

/* Which of those moments that sessions have in common is the first one at which it may be asked. */
static uint64_t
moment(void)
{
	return (adit_now() + PROBE) >> 27;
}

/* Two that were heard at different times are asked in one turn. */
static void
several_are_asked_together(void **state)
{
	struct peer *a, *b;
	struct liveness *la, *lb;
	uint64_t first = 0;

	do {
		if (first) {
			peer_end(b, lb);
			peer_end(a, la);
		}
		a = peer_new(*state);
		b = peer_new(*state);
		first = moment();
		la = watch(a, 0, 0);
		pass(*state, ADIT_MS(20));
		lb = watch(b, 0, 0);
	} while (moment() != first);
	for (unsigned n = 1; n <= 2; n++) {
		assert_true(loop_until(*state, n > 1 ? was_asked_twice : was_asked, a, LIMIT_MS));
		assert_int_equal(a->probes, n);
		assert_int_equal(b->probes, n);
	}
	peer_end(b, lb);
	peer_end(a, la);
}

/* Where both ends watch, one is always the first. */
static void
the_second_leaves_it_to_the_other(void **state)
{
	struct peer *p = peer_new(*state);
	uint64_t begun = adit_now();
	struct liveness *l = liveness_start(&p->base, &(struct liveness_watch){
		.doubt = peer_doubted, .dead = peer_died, .arg = p, .second = true,
	});

	adit_mux_hear(&p->base, begun);
	assert_true(loop_until(*state, was_asked, p, LIMIT_MS));
	assert_true(adit_now() - begun >= ADIT_MS(1100));
	peer_end(p, l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_silent_is_asked_then_doubted_then_dead),
		TEST(who_is_heard_is_not_asked),
		TEST(without_rest_it_is_asked_for_ever),
		TEST(who_is_not_used_rests_until_he_is),
		TEST(who_rests_and_is_not_heard_is_asked),
		TEST(several_are_asked_together),
		TEST(the_second_leaves_it_to_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
