#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adit/worker.h>

#include "core/service/selector.h"

#define NODES 4
#define NOW ADIT_SECONDS(1000)

struct world {
	struct selector		 selector;
	struct node_state	 states[NODES];
	struct node_conf	 confs[NODES];
	struct candidate	 candidates[NODES];
};

static void
world_init(struct world *t, enum selector_strategy strategy)
{
	const struct selector_conf conf = {
		.strategy = strategy, .max_fails = 1, .fail_timeout = ADIT_SECONDS(10),
	};

	*t = (struct world){ .selector = { .max_fails = 0 } };
	selector_init(&t->selector, &conf);
	for (size_t i = 0; i < NODES; i++)
		t->candidates[i] = (struct candidate){
			.state = &t->states[i], .conf = &t->confs[i], .index = i,
		};
}

static size_t
pick_for(struct world *t, uint64_t client, uint64_t now)
{
	const struct candidate *c = selector_pick(&t->selector, t->candidates, NODES, client, now);

	assert_non_null(c);
	assert_ptr_equal(c->state, &t->states[c->index]);
	return c->index;
}

static size_t
pick_at(struct world *t, uint64_t now)
{
	return pick_for(t, 0, now);
}

static void
fail_node(struct world *t, size_t i, uint64_t now)
{
	node_state_report(&t->states[i], -ECONNREFUSED, now);
}

static void
by_turns(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_ROUND);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(pick_at(&t, NOW), i % NODES);
	fail_node(&t, 2, NOW);
	t.selector.turn = 0;
	assert_int_equal(pick_at(&t, NOW), 0);
	assert_int_equal(pick_at(&t, NOW), 1);
	assert_int_equal(pick_at(&t, NOW), 3);
	assert_int_equal(pick_at(&t, NOW), 0);
}

static void
nobody_is_chosen_of_nobody(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_FIFO);
	assert_null(selector_pick(&t.selector, t.candidates, 0, 0, NOW));
}

/* 30000 draws: six standard deviations are 520 for the half, 450 for the quarters. */
static void
by_weight(void **state)
{
	static const int expected[NODES] = { 7500, 15000, 0, 7500 };
	int got[NODES] = { 0 };
	struct world t;

	(void)state;
	world_init(&t, SELECT_RANDOM);
	t.confs[1].weight = 2;
	fail_node(&t, 2, NOW);
	for (int i = 0; i < 30000; i++)
		got[pick_at(&t, NOW)]++;
	for (size_t i = 0; i < NODES; i++)
		if (got[i] < expected[i] - 550 || got[i] > expected[i] + 550)
			fail_msg("node %zu: %d, expected %d", i, got[i], expected[i]);
	assert_int_equal(got[2], 0);
}

static void
enormous_weights_do_not_overflow(void **state)
{
	struct world t;
	int got[NODES] = { 0 };

	(void)state;
	world_init(&t, SELECT_RANDOM);
	for (size_t i = 0; i < NODES; i++)
		t.confs[i].weight = UINT32_MAX / NODES;
	for (int i = 0; i < 400; i++)
		got[pick_at(&t, NOW)]++;
	for (size_t i = 0; i < NODES; i++)
		assert_true(got[i] > 0);
}

static void
the_first_that_lives(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_FIFO);
	assert_int_equal(pick_at(&t, NOW), 0);
	assert_int_equal(pick_at(&t, NOW), 0);
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 1);
	fail_node(&t, 1, NOW);
	assert_int_equal(pick_at(&t, NOW), 2);
	node_state_report(&t.states[0], 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 0);
}

static void
the_same_one_for_the_same_client(void **state)
{
	size_t before[200];
	int got[NODES] = { 0 };
	struct world t;

	(void)state;
	world_init(&t, SELECT_HASH);
	for (uint64_t i = 0; i < 200; i++) {
		before[i] = pick_for(&t, i, NOW);
		assert_int_equal(pick_for(&t, i, NOW), before[i]);
		got[before[i]]++;
	}
	for (size_t i = 0; i < NODES; i++)
		assert_true(got[i] > 20);

	/* One that fails moves its own clients and nobody else's. */
	fail_node(&t, 1, NOW);
	for (uint64_t i = 0; i < 200; i++) {
		size_t now = pick_for(&t, i, NOW);

		assert_int_not_equal(now, 1);
		if (before[i] != 1)
			assert_int_equal(now, before[i]);
	}
}

static void
failures_are_counted_and_forgotten(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_FIFO);
	t.selector.max_fails = 2;
	t.selector.fail_timeout = ADIT_SECONDS(5);
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 0);
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 1);
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(5) - 1), 1);
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(5)), 0);

	/* One more failure is enough then; an answer clears all. */
	fail_node(&t, 0, NOW + ADIT_SECONDS(5));
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(6)), 1);
	node_state_report(&t.states[0], 0, NOW + ADIT_SECONDS(6));
	fail_node(&t, 0, NOW + ADIT_SECONDS(6));
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(6)), 0);

	/* Seen by a worker whose clock was read before the failure. */
	fail_node(&t, 0, NOW + ADIT_SECONDS(7));
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(7) - 1), 1);
}

static void
a_node_has_its_own_limits(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_FIFO);
	t.confs[0].max_fails = 3;
	t.confs[0].fail_timeout = ADIT_SECONDS(1);
	fail_node(&t, 0, NOW);
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 0);
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 1);
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(1)), 0);
}

static void
once_and_ten_seconds_without_a_word(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_HASH);
	selector_init(&t.selector, NULL);
	assert_int_equal(t.selector.strategy, SELECT_ROUND);
	t.selector.strategy = SELECT_FIFO;
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(10) - 1), 1);
	assert_int_equal(pick_at(&t, NOW + ADIT_SECONDS(10)), 0);
}

static void
backups_serve_when_no_other_is_left(void **state)
{
	struct world t;

	(void)state;
	world_init(&t, SELECT_FIFO);
	t.confs[0].backup = true;
	t.confs[1].backup = true;
	assert_int_equal(pick_at(&t, NOW), 2);
	fail_node(&t, 2, NOW);
	assert_int_equal(pick_at(&t, NOW), 3);
	fail_node(&t, 3, NOW);
	assert_int_equal(pick_at(&t, NOW), 0);
	fail_node(&t, 0, NOW);
	assert_int_equal(pick_at(&t, NOW), 1);

	/* All have failed: none is left out but the backups. */
	fail_node(&t, 1, NOW);
	assert_int_equal(pick_at(&t, NOW), 2);
	t.confs[2].backup = t.confs[3].backup = true;
	assert_int_equal(pick_at(&t, NOW), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_turns),
		cmocka_unit_test(nobody_is_chosen_of_nobody),
		cmocka_unit_test(by_weight),
		cmocka_unit_test(enormous_weights_do_not_overflow),
		cmocka_unit_test(the_first_that_lives),
		cmocka_unit_test(the_same_one_for_the_same_client),
		cmocka_unit_test(failures_are_counted_and_forgotten),
		cmocka_unit_test(a_node_has_its_own_limits),
		cmocka_unit_test(once_and_ten_seconds_without_a_word),
		cmocka_unit_test(backups_serve_when_no_other_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
