/* How long who has failed is left alone; time is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <adit/worker.h>

#include "core/conn/pauses.h"

#define KEY 77u

/* Fails, and then says how many ms it is left alone. */
static uint64_t
fails(struct pauses *p, uint64_t key, uint64_t *now)
{
	uint64_t begun = *now;

	pauses_failed(p, key, *now);
	while (pauses_hold(p, key, *now))
		*now += ADIT_MS(1);
	return (*now - begun) / ADIT_MS(1);
}

static void
a_pause_grows_up_to_a_second(void **state)
{
	static const uint64_t expected[] = { 100, 200, 400, 800, 1000, 1000 };
	struct pauses p = { 0 };
	uint64_t now = ADIT_SECONDS(5);

	(void)state;
	assert_false(pauses_hold(&p, KEY, now));
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		assert_int_equal(fails(&p, KEY, &now), expected[i]);
}

static void
what_worked_begins_anew(void **state)
{
	struct pauses p = { 0 };
	uint64_t now = ADIT_SECONDS(5);

	(void)state;
	fails(&p, KEY, &now);
	fails(&p, KEY, &now);
	pauses_worked(&p, KEY);
	assert_int_equal(fails(&p, KEY, &now), 100);
	pauses_failed(&p, KEY, now);
	pauses_worked(&p, KEY);
	assert_false(pauses_hold(&p, KEY, now));
}

static void
what_is_long_ago_is_forgotten(void **state)
{
	struct pauses p = { 0 };
	uint64_t now = ADIT_SECONDS(5);

	(void)state;
	fails(&p, KEY, &now);
	now += ADIT_SECONDS(11);
	assert_int_equal(fails(&p, KEY, &now), 100);
}

static void
each_has_its_own(void **state)
{
	struct pauses p = { 0 };

	(void)state;
	pauses_failed(&p, KEY, 0);
	assert_true(pauses_hold(&p, KEY, 0));
	assert_false(pauses_hold(&p, KEY + 1, 0));
	/* One in the same place: the newer one counts. */
	assert_false(pauses_hold(&p, KEY + PAUSES, 0));
	pauses_worked(&p, KEY + PAUSES);
	assert_true(pauses_hold(&p, KEY, 0));
	pauses_failed(&p, KEY + PAUSES, 0);
	assert_true(pauses_hold(&p, KEY + PAUSES, 0));
	assert_false(pauses_hold(&p, KEY, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pause_grows_up_to_a_second),
		cmocka_unit_test(what_worked_begins_anew),
		cmocka_unit_test(what_is_long_ago_is_forgotten),
		cmocka_unit_test(each_has_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
