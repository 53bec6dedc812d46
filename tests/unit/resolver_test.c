#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/runtime/resolver.h"
#include "core/runtime/worker.h"
#include "tests/unit/loop.h"

struct answer {
	bool			 came;
	int			 err;
	size_t			 n;
	struct adit_addr	 first;
};

static void
answered(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct answer *a = arg;

	a->came = true;
	a->err = err;
	a->n = n;
	if (n)
		a->first = addrs[0];
}

static bool
came(void *arg)
{
	return ((struct answer *)arg)->came;
}

static void
literals_are_answered_from_the_loop(void **state)
{
	struct loop *loop = loop_new();
	struct answer a = { 0 };

	(void)state;
	assert_non_null(resolver_ask(loop->worker, "[::1]", answered, &a, NULL));
	assert_false(a.came);
	loop_until(loop, came, &a, 1000);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.first.family, AF_INET6);
	loop_free(loop);
}

static void
localhost_is_known(void **state)
{
	struct loop *loop = loop_new();
	struct answer a = { 0 };

	(void)state;
	assert_non_null(resolver_ask(loop->worker, "localhost", answered, &a, NULL));
	assert_false(a.came);
	loop_until(loop, came, &a, 6000);
	assert_int_equal(a.err, 0);
	assert_true(a.n >= 1);
	loop_free(loop);
}

static void
no_name_is_an_error(void **state)
{
	struct loop *loop = loop_new();
	struct answer a = { 0 };

	(void)state;
	assert_non_null(resolver_ask(loop->worker, "no such name", answered, &a, NULL));
	loop_until(loop, came, &a, 6000);
	assert_true(a.err < 0);
	assert_int_equal(a.n, 0);
	loop_free(loop);
}

static void
what_is_cancelled_is_not_answered(void **state)
{
	struct loop *loop = loop_new();
	struct answer literal = { 0 }, name = { 0 }, last = { 0 };
	struct resolver_query *q, *p;

	(void)state;
	q = resolver_ask(loop->worker, "127.0.0.1", answered, &literal, NULL);
	p = resolver_ask(loop->worker, "localhost", answered, &name, NULL);
	resolver_cancel(q);
	resolver_cancel(p);
	resolver_cancel(NULL);
	assert_non_null(resolver_ask(loop->worker, "localhost", answered, &last, NULL));
	loop_until(loop, came, &last, 6000);
	assert_false(literal.came);
	assert_false(name.came);
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals_are_answered_from_the_loop),
		cmocka_unit_test(localhost_is_known),
		cmocka_unit_test(no_name_is_an_error),
		cmocka_unit_test(what_is_cancelled_is_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
