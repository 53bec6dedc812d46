/* Who may be sent to from a port; time is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/proxy/peers.h"

#define TTL 100

static struct adit_addr
at(const char *ip, uint16_t port)
{
	struct adit_addr a;

	assert_int_equal(adit_addr_parse(ip, port, &a), 0);
	return a;
}

static bool
knows(struct peers *p, const char *ip, uint16_t port, uint64_t now)
{
	const struct adit_addr a = at(ip, port);

	return peers_find(p, &a, now) != NULL;
}

static void
hear(struct peers *p, const char *ip, uint16_t port, uint64_t now)
{
	const struct adit_addr a = at(ip, port);

	peers_heard(p, &a, now);
}

static void
they_are_known_for_a_while(void **state)
{
	struct peers *p = peers_new(3, TTL);

	(void)state;
	assert_non_null(p);
	assert_false(knows(p, "192.0.2.1", 5, 1));
	hear(p, "192.0.2.1", 5, 1);
	assert_true(knows(p, "192.0.2.1", 5, TTL));
	assert_false(knows(p, "192.0.2.1", 6, TTL));
	assert_false(knows(p, "192.0.2.2", 5, TTL));
	assert_false(knows(p, "192.0.2.1", 5, TTL + 1));
	hear(p, "192.0.2.1", 5, TTL + 1);
	assert_true(knows(p, "192.0.2.1", 5, 2 * TTL));
	peers_free(p);
	peers_free(NULL);
}

static void
the_one_silent_for_longest_goes(void **state)
{
	struct peers *p = peers_new(3, TTL);

	(void)state;
	assert_non_null(p);
	for (uint16_t port = 1; port <= 3; port++)
		hear(p, "2001:db8::1", port, port);
	hear(p, "2001:db8::1", 1, 4);
	hear(p, "2001:db8::1", 4, 5);
	assert_true(knows(p, "2001:db8::1", 1, 6));
	assert_false(knows(p, "2001:db8::1", 2, 6));
	assert_true(knows(p, "2001:db8::1", 3, 6));
	assert_true(knows(p, "2001:db8::1", 4, 6));
	peers_free(p);
}

/* On the wire a link-local address has no interface: it is that from which it was heard. */
static void
an_interface_is_remembered(void **state)
{
	struct adit_addr from = at("fe80::1", 7), named = from;
	struct peers *p = peers_new(3, TTL);
	const struct adit_addr *found;

	(void)state;
	assert_non_null(p);
	from.scope = 2;
	peers_heard(p, &from, 1);
	found = peers_find(p, &named, 2);
	assert_non_null(found);
	assert_int_equal(found->scope, 2);
	peers_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_known_for_a_while),
		cmocka_unit_test(the_one_silent_for_longest_goes),
		cmocka_unit_test(an_interface_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
