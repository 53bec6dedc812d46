/* A bucket by the clock of the test: what is given at which moment, and to whom. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adit/worker.h>

#include "core/runtime/bucket.h"

#define START ADIT_SECONDS(1000)
#define PER_SECOND(n) ((uint64_t)(n) * 1000)

static struct bucket
bucket_of(uint64_t rate, uint64_t burst)
{
	struct bucket b = { .paid = 0 };

	bucket_set(&b, rate, burst);
	return b;
}

static void
test_burst_then_rate(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(1000), 1000);

	(void)state;
	assert_int_equal(bucket_take(&b, 1000, START), 0);	/* a second's worth at once */
	assert_int_equal(bucket_take(&b, 1, START), ADIT_MS(1));
	assert_int_equal(bucket_take(&b, 499, START), ADIT_MS(500));
	assert_int_equal(bucket_take(&b, 500, START + ADIT_MS(100)), ADIT_MS(900));
	/* All is paid for; what was not taken meanwhile has gathered. */
	assert_int_equal(bucket_take(&b, 500, START + ADIT_MS(1500)), 0);
	assert_int_equal(bucket_take(&b, 1, START + ADIT_MS(1500)), ADIT_MS(1));
}

static void
test_no_more_than_the_burst_gathers(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(100), 10);

	(void)state;
	assert_int_equal(bucket_take(&b, 10, START), 0);
	assert_int_equal(bucket_take(&b, 10, START + ADIT_SECONDS(3600)), 0);
	assert_int_equal(bucket_take(&b, 1, START + ADIT_SECONDS(3600)), ADIT_MS(10));
}

/* Who came later waits for who came before, also for more than both. */
static void
test_takers_stand_in_line(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(1000), 1);

	(void)state;
	bucket_take(&b, 1, START);
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(bucket_take(&b, 100, START), ADIT_MS(100) * i);
}

static void
test_trying_takes_nothing_in_vain(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(2), 3);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(bucket_try(&b, 1, START));
	for (int i = 0; i < 100; i++)
		assert_false(bucket_try(&b, 1, START));
	assert_int_equal(bucket_wait(&b, 1, START), ADIT_MS(500));
	assert_int_equal(bucket_wait(&b, 1, START + ADIT_MS(200)), ADIT_MS(300));
	assert_true(bucket_try(&b, 1, START + ADIT_MS(500)));
	assert_false(bucket_try(&b, 1, START + ADIT_MS(999)));
	assert_true(bucket_try(&b, 1, START + ADIT_MS(1000)));
}

/* 2.5 a second: none of the fraction is lost. */
static void
test_rates_have_fractions(void **state)
{
	struct bucket b = bucket_of(2500, 1);
	unsigned given = 0;

	(void)state;
	for (uint64_t t = 0; t < ADIT_SECONDS(100); t += ADIT_MS(10))
		given += bucket_try(&b, 1, START + t);
	assert_int_equal(given, 250);
}

/* Less than one a second, also where that is no whole number of ns: the first one is let in. */
static void
test_rates_below_one(void **state)
{
	(void)state;
	for (uint64_t rate = 1; rate <= 1000; rate++) {
		uint64_t each = ADIT_SECONDS(1000) / rate;
		struct bucket b = bucket_of(rate, 1);

		if (!bucket_try(&b, 1, START) || bucket_try(&b, 1, START + each - 1) ||
		    !bucket_try(&b, 1, START + each + 1))
			fail_msg("%u in 1000 s", (unsigned)rate);
	}
}

/* What the clock says is how long the machine runs. */
static void
test_machine_that_was_just_started(void **state)
{
	struct bucket b = bucket_of(10, 1);

	(void)state;
	assert_true(bucket_is_full(&b, ADIT_SECONDS(5)));
	assert_true(bucket_try(&b, 1, ADIT_SECONDS(5)));
	assert_false(bucket_is_full(&b, ADIT_SECONDS(5)));
	assert_false(bucket_try(&b, 1, ADIT_SECONDS(104)));
	assert_true(bucket_try(&b, 1, ADIT_SECONDS(105)));
}

/* A hundred thousand small pieces are no faster than one of their size. */
static void
test_pieces_do_not_exceed_the_rate(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(UINT64_C(3) << 30), 1);
	uint64_t wait = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		wait = bucket_take(&b, 10, START);
	assert_true(wait >= 1000000 * UINT64_C(1000000000) / (UINT64_C(3) << 30));
}

/* What was not used is there for the next one, and no more than that. */
static void
test_what_is_given_back(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(1000), 1000), none = bucket_of(0, 0);

	(void)state;
	bucket_take(&b, 1000, START);
	bucket_take(&b, 500, START);
	bucket_give(&b, 400);
	assert_int_equal(bucket_wait(&b, 1, START), ADIT_MS(101));
	bucket_give(&b, 600);
	assert_true(bucket_try(&b, 500, START));
	assert_false(bucket_try(&b, 1, START));
	/* Meanwhile it was full again: it is not fuller than that. */
	bucket_give(&b, 1000);
	assert_true(bucket_try(&b, 1000, START + ADIT_SECONDS(10)));
	assert_false(bucket_try(&b, 1, START + ADIT_SECONDS(10)));
	bucket_give(&none, 1);
	assert_true(bucket_is_full(&none, START));
}

static void
test_no_limit(void **state)
{
	struct bucket b = bucket_of(0, 0);

	(void)state;
	assert_int_equal(bucket_take(&b, BUCKET_TAKE_MAX, START), 0);
	assert_true(bucket_try(&b, BUCKET_TAKE_MAX, START));
	assert_true(bucket_is_full(&b, START));
	/* The highest rate and the lowest do not overflow. */
	bucket_set(&b, BUCKET_RATE_MAX, UINT64_MAX);
	assert_int_equal(bucket_take(&b, BUCKET_TAKE_MAX, START), 0);
	b = bucket_of(1, 1);
	assert_int_equal(bucket_take(&b, 1, ADIT_SECONDS(2000)), 0);
	assert_int_equal(bucket_take(&b, BUCKET_TAKE_MAX, ADIT_SECONDS(2000)),
			 BUCKET_TAKE_MAX * ADIT_SECONDS(1000));
}

/* Of a rate that a reload lowers what is owed stays owed. */
static void
test_other_rates(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(1000), 1000);

	(void)state;
	bucket_take(&b, 1500, START);
	bucket_set(&b, PER_SECOND(100), 100);
	assert_int_equal(bucket_wait(&b, 1, START), ADIT_MS(510));
	assert_false(bucket_is_full(&b, START + ADIT_MS(1000)));
	assert_true(bucket_is_full(&b, START + ADIT_MS(1500)));
}

#define THREADS 4
#define PIECES 20000

static void *
take_many(void *arg)
{
	for (unsigned i = 0; i < PIECES; i++)
		bucket_take(arg, 3, START);
	return NULL;
}

static void
test_nothing_is_lost_between_threads(void **state)
{
	struct bucket b = bucket_of(PER_SECOND(1000), 1);
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, &b), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(bucket_wait(&b, 1, START), ADIT_MS(3) * THREADS * PIECES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_then_rate),
		cmocka_unit_test(test_no_more_than_the_burst_gathers),
		cmocka_unit_test(test_takers_stand_in_line),
		cmocka_unit_test(test_trying_takes_nothing_in_vain),
		cmocka_unit_test(test_rates_have_fractions),
		cmocka_unit_test(test_rates_below_one),
		cmocka_unit_test(test_machine_that_was_just_started),
		cmocka_unit_test(test_pieces_do_not_exceed_the_rate),
		cmocka_unit_test(test_what_is_given_back),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_other_rates),
		cmocka_unit_test(test_nothing_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
