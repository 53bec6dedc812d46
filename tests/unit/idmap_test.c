#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/runtime/idmap.h"

#define N 5000

static void
finds_what_was_added(void **state)
{
	struct idmap_node *nodes = calloc(N, sizeof(*nodes));
	struct idmap m;

	(void)state;
	assert_non_null(nodes);
	assert_int_equal(idmap_init(&m), 0);
	assert_null(idmap_find(&m, 0));
	for (uint64_t i = 0; i < N; i++)
		idmap_add(&m, &nodes[i], i << 40 | i);
	assert_int_equal(m.n, N);
	for (uint64_t i = 0; i < N; i++)
		assert_ptr_equal(idmap_find(&m, i << 40 | i), &nodes[i]);
	for (uint64_t i = 0; i < N; i += 2)
		idmap_remove(&m, &nodes[i]);
	for (uint64_t i = 0; i < N; i++)
		assert_ptr_equal(idmap_find(&m, i << 40 | i), i % 2 ? &nodes[i] : NULL);
	assert_int_equal(m.n, N / 2);
	idmap_fini(&m);
	free(nodes);
}

static size_t
longest_chain(const struct idmap *m)
{
	size_t longest = 0;

	for (size_t i = 0; i < (size_t)1 << m->bits; i++) {
		size_t len = 0;

		for (struct idmap_node *node = m->buckets[i]; node; node = node->next)
			len++;
		if (len > longest)
			longest = len;
	}
	return longest;
}

/* Numbers as peers choose them: in a row, even, multiples of a power of two. */
static void
patterns_do_not_collide(void **state)
{
	struct idmap_node *nodes = calloc(N, sizeof(*nodes));

	(void)state;
	assert_non_null(nodes);
	for (unsigned shift = 0; shift < 400; shift++) {
		struct idmap m;

		assert_int_equal(idmap_init(&m), 0);
		for (uint64_t i = 0; i < N; i++)
			idmap_add(&m, &nodes[i], 3 + (i << shift % 20));
		/* With 8192 buckets and a random key even 24 in one is out of the question. */
		assert_true(longest_chain(&m) < 24);
		idmap_fini(&m);
	}
	free(nodes);
}

struct walk {
	struct idmap	*m;
	size_t		 n;
};

static void
walk_remove(struct idmap_node *node, void *arg)
{
	struct walk *w = arg;

	idmap_remove(w->m, node);
	w->n++;
}

static void
each_may_remove(void **state)
{
	struct idmap_node nodes[100];
	struct idmap m;
	struct walk w = { .m = &m };

	(void)state;
	assert_int_equal(idmap_init(&m), 0);
	for (uint64_t i = 0; i < 100; i++)
		idmap_add(&m, &nodes[i], i);
	idmap_each(&m, walk_remove, &w);
	assert_int_equal(w.n, 100);
	assert_int_equal(m.n, 0);
	idmap_fini(&m);
	idmap_each(&m, walk_remove, &w);	/* nothing, also after the end */
	assert_int_equal(w.n, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added),
		cmocka_unit_test(patterns_do_not_collide),
		cmocka_unit_test(each_may_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
