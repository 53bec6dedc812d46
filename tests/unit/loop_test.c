#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/loop.h"

static void
count(void *arg)
{
	++*(int *)arg;
}

static bool
is_two(void *arg)
{
	return *(int *)arg == 2;
}

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

static void
turns_until_it_has_happened(void **state)
{
	struct loop *l = *state;
	int n = 0;
	struct adit_timer *a = adit_timer_new(l->worker, count, &n);
	struct adit_timer *b = adit_timer_new(l->worker, count, &n);

	adit_timer_set(a, 0);
	adit_timer_set(b, ADIT_MS(1));
	assert_true(loop_until(l, is_two, &n, 5000));
	assert_int_equal(n, 2);
	adit_timer_free(a);
	adit_timer_free(b);
}

static void
gives_up_at_its_limit(void **state)
{
	struct loop *l = *state;
	uint64_t start = adit_now();

	assert_false(loop_until(l, never, NULL, 20));
	assert_true(adit_now() - start >= ADIT_MS(15));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(turns_until_it_has_happened, loop_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(gives_up_at_its_limit, loop_setup, loop_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
