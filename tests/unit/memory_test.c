#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/conn.h"
#include "core/runtime/memory.h"
#include "core/runtime/queue.h"
#include "tests/unit/loop.h"

#define BUDGET (64 * CHUNK_SIZE)
#define LIMIT_MS 5000

/* ---- levels ------------------------------------------------------------------------ */

static void
levels_have_hysteresis(void **state)
{
	struct memory *m = memory_new(8000, NULL);

	(void)state;
	assert_int_equal(memory_budget(m), 8000);
	assert_int_equal(memory_level(m), MEMORY_PLENTY);
	memory_take(m, 5999);
	assert_int_equal(memory_level(m), MEMORY_PLENTY);
	memory_take(m, 1);
	assert_int_equal(memory_level(m), MEMORY_TIGHT);
	memory_take(m, 999);
	assert_false(memory_is_short(m));
	memory_take(m, 1);
	assert_int_equal(memory_level(m), MEMORY_SHORT);
	memory_take(m, 1000);
	assert_int_equal(memory_level(m), MEMORY_GONE);
	memory_take(m, 4000);
	assert_int_equal(memory_level(m), MEMORY_OVERDRAWN);
	memory_give(m, 5000);
	assert_int_equal(memory_level(m), MEMORY_SHORT);
	memory_give(m, 1000);			/* 6000: below the border that made it short */
	assert_int_equal(memory_level(m), MEMORY_SHORT);
	memory_give(m, 1);
	assert_int_equal(memory_level(m), MEMORY_PLENTY);
	memory_give(m, 5999);
	assert_int_equal(memory_used(m), 0);
	memory_free(m);
}

static void
budget_of_the_machine(void **state)
{
	struct memory *m = memory_new(0, NULL);

	(void)state;
	assert_in_range(memory_budget(m), 16 << 20, UINT64_MAX / 8);
	memory_free(m);
}

/* ---- queues ------------------------------------------------------------------------- */

static void
queues_yield(void **state)
{
	struct memory *m = memory_new(BUDGET, NULL);
	struct chunk_pool *pool = chunk_pool_new(0, m);
	static uint8_t buf[8 * CHUNK_SIZE];
	struct queue yielding, empty, must;

	(void)state;
	queue_init(&yielding, pool, SIZE_MAX);
	queue_init(&empty, pool, SIZE_MAX);
	queue_init(&must, pool, SIZE_MAX);
	queue_yield(&yielding);
	queue_yield(&empty);
	memory_take(m, BUDGET / 8 * 7 - CHUNK_SIZE);
	/* The chunk with which memory becomes short is its last; what fits that is still taken. */
	assert_in_range(queue_add(&yielding, buf, sizeof(buf)), CHUNK_SIZE - 64, CHUNK_SIZE);
	assert_true(yielding.yielded);
	assert_int_equal(queue_add(&yielding, buf, 1), 0);
	assert_int_equal(queue_add(&empty, buf, 1), 1);
	assert_false(empty.yielded);
	assert_int_equal(queue_add(&must, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(memory_level(m), MEMORY_GONE);
	queue_fini(&empty);
	assert_int_equal(queue_add(&empty, buf, 1), 0);
	assert_true(empty.yielded);
	assert_int_equal(queue_add(&must, buf, sizeof(buf)), sizeof(buf));
	memory_give(m, BUDGET / 8 * 7 - CHUNK_SIZE);
	assert_int_equal(queue_add(&yielding, buf, sizeof(buf)), sizeof(buf));
	queue_fini(&yielding);
	queue_fini(&empty);
	queue_fini(&must);
	chunk_pool_free(pool);
	memory_free(m);
}

static void
spare_chunks_count_and_are_given_up(void **state)
{
	struct memory *m = memory_new(BUDGET, NULL);
	struct chunk_pool *pool = chunk_pool_new(8, m);
	static uint8_t buf[4 * CHUNK_SIZE];
	struct queue q;

	(void)state;
	queue_init(&q, pool, SIZE_MAX);
	queue_add(&q, buf, sizeof(buf));
	queue_fini(&q);
	assert_int_equal(memory_used(m), 5 * CHUNK_SIZE);
	memory_take(m, BUDGET);
	queue_add(&q, buf, 1);
	queue_fini(&q);
	assert_int_equal(memory_used(m), BUDGET);
	memory_give(m, BUDGET);
	chunk_pool_free(pool);
	memory_free(m);
}

/* ---- conns ---------------------------------------------------------------------------- */

struct writer {
	unsigned	 wakes;
};

static void
writer_woken(void *owner, struct adit_conn *c, unsigned events)
{
	struct writer *w = owner;

	if (events & ADIT_WRITE)
		w->wakes++;
	adit_conn_want(c, 0);
}

static bool
was_woken(void *arg)
{
	return ((struct writer *)arg)->wakes > 0;
}

/* Of the loop's worker: all that is left of the budget, and more. */
static uint64_t
exhaust(struct loop *l)
{
	struct memory *m = worker_memory(l->worker);
	uint64_t n = memory_budget(m) - memory_used(m) + CHUNK_SIZE;

	memory_take(m, n);
	return n;
}

static void
writers_wait_for_memory(void **state)
{
	struct loop *l = loop_new();
	struct memory *m = worker_memory(l->worker);
	struct writer w = { .wakes = 0 };
	struct adit_conn *a, *b;
	uint64_t taken;

	(void)state;
	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, &a, &b), 0);
	adit_conn_own(a, writer_woken, &w);
	taken = exhaust(l);
	assert_int_equal(adit_conn_write(a, "x", 1), -EAGAIN);
	adit_conn_want(a, ADIT_WRITE);
	/* It is looked at meanwhile, and not woken for nothing. */
	for (uint64_t until = adit_now() + ADIT_MS(100); adit_now() < until;)
		loop_turn(l, 1);
	assert_int_equal(w.wakes, 0);
	memory_give(m, taken);
	assert_true(loop_until(l, was_woken, &w, LIMIT_MS));
	assert_int_equal(adit_conn_write(a, "x", 1), 1);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	loop_free(l);
}

static void
waiting_writers_may_go(void **state)
{
	struct loop *l = loop_new();
	struct adit_conn *a, *b;
	uint64_t taken;

	(void)state;
	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, &a, &b), 0);
	taken = exhaust(l);
	assert_int_equal(adit_conn_write(a, "x", 1), -EAGAIN);
	assert_int_equal(adit_conn_write(b, "x", 1), -EAGAIN);
	adit_conn_close(a, 0);
	loop_turn(l, 2);
	memory_give(worker_memory(l->worker), taken);
	loop_turn(l, 2);
	adit_conn_close(b, 0);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_have_hysteresis),
		cmocka_unit_test(budget_of_the_machine),
		cmocka_unit_test(queues_yield),
		cmocka_unit_test(spare_chunks_count_and_are_given_up),
		cmocka_unit_test(writers_wait_for_memory),
		cmocka_unit_test(waiting_writers_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
