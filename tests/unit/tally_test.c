/* What is counted of conns, where the bounds of a book are, and how books are added up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <adit/conn.h>

#include "core/conn/tally.h"
#include "tests/unit/loop.h"

#define LIMIT 10000

struct gathered {
	struct tally_book	*book;
	bool			 done;
};

static void
gathered_done(void *arg, struct tally_book *book)
{
	struct gathered *g = arg;

	g->book = book;
	g->done = true;
}

static bool
is_done(void *arg)
{
	return ((struct gathered *)arg)->done;
}

static struct tally_book *
gather(struct loop *l)
{
	struct gathered g = { .done = false };

	assert_non_null(tally_gather(l->worker, gathered_done, &g));
	assert_true(loop_until(l, is_done, &g, LIMIT));
	assert_non_null(g.book);
	return g.book;
}

static struct tally_client
total_of(struct loop *l, const char *name)
{
	struct tally_book *book = gather(l);
	const struct tally_service *s = tally_find(book, name);
	struct tally_client total = { .begun = 0 };

	if (s)
		total = tally_total(s);
	tally_free(book);
	return total;
}

/* One end of a pair, as it comes from that address. */
static struct adit_conn *
conn_from(struct loop *l, const char *ip, struct adit_conn **other)
{
	struct adit_conn *c;
	struct adit_addr addr;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 1000, &c, other), 0);
	assert_int_equal(adit_addr_parse(ip, 4711, &addr), 0);
	adit_conn_set_remote(c, &addr);
	return c;
}

static void
nothing_is_counted_before_somebody_may_ask(void **state)
{
	struct loop *l = *state;
	struct adit_conn *other, *c = conn_from(l, "192.0.2.1", &other);
	struct tally_book *book;

	tally_conn(c, "web");
	tally_status(l->worker, "web", 200);
	tally_refusal(l->worker, "web", ADIT_ELIMIT);
	tally_node(l->worker, "chain", "node", 1, 0);
	book = gather(l);
	assert_null(tally_find(book, "web"));
	assert_int_equal(book->n_nodes, 0);
	tally_free(book);
	tally_sessions(l->worker, "web", 1);	/* or they would be wrong afterwards */
	tally_start(l->worker);
	tally_sessions(l->worker, "web", 1);
	tally_conn(c, "web");
	book = gather(l);
	assert_int_equal(tally_find(book, "web")->sessions, 2);
	assert_int_equal(tally_total(tally_find(book, "web")).begun, 1);
	tally_free(book);
	adit_conn_close(c, 0);
	adit_conn_close(other, 0);
}

static void
a_conn_counts_from_its_beginning_to_its_end(void **state)
{
	struct loop *l = *state;
	struct adit_conn *other, *c = conn_from(l, "192.0.2.1", &other);
	struct tally_client seen;
	char buf[16];

	tally_conn(c, "web");
	assert_int_equal(adit_conn_write(c, "12345", 5), 5);
	assert_int_equal(adit_conn_write(other, "123", 3), 3);
	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), 3);
	seen = total_of(l, "web");
	assert_int_equal(seen.begun, 1);
	assert_int_equal(seen.open, 1);
	assert_int_equal(seen.traffic.in, 3);
	assert_int_equal(seen.traffic.out, 5);
	adit_conn_close(c, -ETIMEDOUT);
	adit_conn_close(other, 0);
	seen = total_of(l, "web");
	assert_int_equal(seen.begun, 1);
	assert_int_equal(seen.open, 0);
	assert_int_equal(seen.failed, 1);
	assert_int_equal(seen.traffic.in, 3);
	assert_int_equal(seen.traffic.out, 5);
}

static void
what_ends_in_order_is_no_failure(void **state)
{
	static const int reasons[] = { 0, -ESHUTDOWN, ADIT_ESTOPPED, ADIT_EDRAINING };
	struct loop *l = *state;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		struct adit_conn *other, *c = conn_from(l, "192.0.2.1", &other);

		tally_conn(c, "web");
		adit_conn_close(c, reasons[i]);
		adit_conn_close(other, 0);
	}
	assert_int_equal(total_of(l, "web").begun, 4);
	assert_int_equal(total_of(l, "web").failed, 0);
}

static unsigned
clients_of(const struct tally_service *s, bool *others)
{
	unsigned n = 0;

	*others = false;
	for (size_t i = 0; i < TALLY_CLIENT_SLOTS; i++)
		for (const struct tally_client *c = s->clients[i]; c; c = c->next) {
			n++;
			*others |= !c->addr.family;
		}
	return n;
}

static void
addresses_have_a_bound_and_none_is_lost(void **state)
{
	struct loop *l = *state;
	struct tally_book *book;
	bool others;
	char ip[32];

	for (unsigned i = 0; i < TALLY_CLIENTS + 100; i++) {
		struct adit_conn *other, *c;

		snprintf(ip, sizeof(ip), "10.0.%u.%u", i / 250, i % 250);
		c = conn_from(l, ip, &other);
		tally_conn(c, "web");
		adit_conn_close(c, 0);
		adit_conn_close(other, 0);
	}
	book = gather(l);
	assert_int_equal(clients_of(tally_find(book, "web"), &others), TALLY_CLIENTS + 1);
	assert_true(others);
	assert_int_equal(tally_total(tally_find(book, "web")).begun, TALLY_CLIENTS + 100);
	tally_free(book);
}

static void
names_have_a_bound_and_none_is_lost(void **state)
{
	struct loop *l = *state;
	struct tally_book *book;
	char name[32];

	for (unsigned i = 0; i < TALLY_SERVICES + 10; i++) {
		snprintf(name, sizeof(name), "service-%u", i);
		tally_refusal(l->worker, name, ADIT_ENOROUTE);
		tally_node(l->worker, name, "node", ADIT_MS(7), 0);
	}
	book = gather(l);
	assert_int_equal(book->n_services, TALLY_SERVICES);
	assert_int_equal(book->n_nodes, TALLY_NODES);
	assert_null(tally_find(book, name));
	assert_int_equal(tally_find(book, "service-0")->refused[TALLY_NO_RULE], 1);
	assert_int_equal(tally_find(book, "")->refused[TALLY_NO_RULE], 10);
	tally_free(book);
}

static void
what_is_no_conn_counts_by_its_kind(void **state)
{
	struct loop *l = *state;
	struct tally_book *book;
	const struct tally_service *s;

	tally_status(l->worker, "web", 200);
	tally_status(l->worker, "web", 200);
	tally_status(l->worker, "web", 599);
	tally_status(l->worker, "web", 0);
	tally_status(l->worker, "web", 99);
	tally_status(l->worker, "web", 600);
	tally_sessions(l->worker, "web", 1);
	tally_sessions(l->worker, "web", 1);
	tally_sessions(l->worker, "web", -1);
	tally_refusal(l->worker, "web", -ETIMEDOUT);
	tally_refusal(l->worker, "web", -EBADMSG);
	book = gather(l);
	s = tally_find(book, "web");
	assert_int_equal(s->statuses[200 - TALLY_STATUS_MIN], 2);
	assert_int_equal(s->statuses[599 - TALLY_STATUS_MIN], 1);
	assert_int_equal(s->sessions, 1);
	assert_int_equal(s->refused[TALLY_TIMEOUT], 1);
	assert_int_equal(s->refused[TALLY_OTHER], 1);
	assert_string_equal(tally_reason_name(TALLY_TIMEOUT), "timeout");
	tally_free(book);
}

static void
who_has_gone_is_not_answered(void **state)
{
	struct loop *l = *state;
	struct gathered g = { .done = false };

	tally_forget(tally_gather(l->worker, gathered_done, &g));
	tally_free(gather(l));		/* asked later, and has come */
	assert_false(g.done);
}

/* Bounds are inclusive (Prometheus' le), and the last bucket is without one. */
static void
times_fall_into_their_buckets(void **state)
{
	struct loop *l = *state;
	struct tally_book *book;
	const struct tally_node *n = NULL;

	tally_node(l->worker, "c", "n", ADIT_MS(10), 0);
	tally_node(l->worker, "c", "n", ADIT_MS(10) + 1, 0);
	tally_node(l->worker, "c", "n", ADIT_SECONDS(61), 0);
	tally_node(l->worker, "c", "n", 0, -ECONNREFUSED);
	book = gather(l);
	for (size_t i = 0; i < TALLY_SLOTS && !n; i++)
		n = book->nodes[i];
	assert_non_null(n);
	assert_int_equal(n->failed, 1);
	assert_int_equal(n->times.n[0], 1);
	assert_int_equal(n->times.n[1], 1);
	for (size_t i = 0; i < TALLY_BUCKETS; i++)
		if (!tally_node_bounds[i]) {
			assert_int_equal(n->times.n[i], 1);
			break;
		}
	assert_string_equal(n->node, "n");
	tally_free(book);
}

static int
counting_setup(void **state)
{
	int err = loop_setup(state);

	if (!err)
		tally_start(((struct loop *)*state)->worker);
	return err;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_counted_before_somebody_may_ask,
						loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(a_conn_counts_from_its_beginning_to_its_end,
						counting_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(what_ends_in_order_is_no_failure, counting_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(addresses_have_a_bound_and_none_is_lost,
						counting_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(names_have_a_bound_and_none_is_lost, counting_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(what_is_no_conn_counts_by_its_kind, counting_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(who_has_gone_is_not_answered, counting_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(times_fall_into_their_buckets, counting_setup,
						loop_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
