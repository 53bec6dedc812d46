/*
 * What the wrappers around every kind of conn owe its owner. What all kinds do is the conformance
 * test's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adit/conn.h>

#include "tests/unit/loop.h"

#define LIMIT 10000

/* A conn that has some bytes and takes some, and never tells of either. */
struct hoard {
	struct adit_conn	base;
	size_t			has, takes;
};

static struct hoard *
hoard_of(struct adit_conn *c)
{
	return adit_container_of(c, struct hoard, base);
}

static ssize_t
hoard_read(struct adit_conn *c, void *buf, size_t len)
{
	struct hoard *h = hoard_of(c);

	(void)buf;
	if (!h->has)
		return -EAGAIN;
	if (len > h->has)
		len = h->has;
	h->has -= len;
	return (ssize_t)len;
}

static ssize_t
hoard_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct hoard *h = hoard_of(c);
	size_t len = n ? iov->iov_len : 0;

	if (!h->takes)
		return -EAGAIN;
	if (len > h->takes)
		len = h->takes;
	h->takes -= len;
	return (ssize_t)len;
}

static int
hoard_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

static void
hoard_close(struct adit_conn *c, int why)
{
	(void)c;
	(void)why;
}

static void
hoard_free(struct adit_conn *c)
{
	(void)c;
}

static const struct adit_conn_ops hoard_ops = {
	.size = sizeof(hoard_ops),
	.name = "hoard",
	.read = hoard_read,
	.writev = hoard_writev,
	.shutdown = hoard_shutdown,
	.close = hoard_close,
	.free = hoard_free,
};

struct owner {
	unsigned	calls;
	size_t		got, gave;
};

/* One byte each way a call. */
static void
owner_woken(void *arg, struct adit_conn *c, unsigned events)
{
	struct owner *o = arg;
	char byte = 0;

	o->calls++;
	if ((events & ADIT_READ) && adit_conn_read(c, &byte, 1) == 1)
		o->got++;
	if ((events & ADIT_WRITE) && adit_conn_write(c, &byte, 1) == 1)
		o->gave++;
}

static struct hoard *
hoard_new(struct loop *l, struct owner *o)
{
	struct hoard *h = adit_conn_new(l->worker, &hoard_ops, sizeof(*h), 0);

	assert_non_null(h);
	adit_conn_own(&h->base, owner_woken, o);
	adit_conn_want(&h->base, ADIT_READ | ADIT_WRITE);
	adit_conn_ready(&h->base, ADIT_OPEN);
	return h;
}

static bool
got_9(void *arg)
{
	return ((struct owner *)arg)->got == 9;
}

static bool
gave_9(void *arg)
{
	return ((struct owner *)arg)->gave == 9;
}

/* The first byte is read unasked: what told of it may be used up by that, so the conn must tell. */
static void
who_reads_unasked_is_told_of_the_rest(void **state)
{
	struct loop *l = *state;
	struct owner o = { 0 };
	struct hoard *h = hoard_new(l, &o);
	char byte;

	assert_int_equal(adit_conn_read(&h->base, &byte, 1), -EAGAIN);
	h->has = 10;
	assert_int_equal(adit_conn_read(&h->base, &byte, 1), 1);
	assert_true(loop_until(l, got_9, &o, LIMIT));
	adit_conn_close(&h->base, 0);
}

static void
who_writes_unasked_is_told_of_more_room(void **state)
{
	struct loop *l = *state;
	struct owner o = { 0 };
	struct hoard *h = hoard_new(l, &o);

	assert_int_equal(adit_conn_write(&h->base, "x", 1), -EAGAIN);
	h->takes = 10;
	assert_int_equal(adit_conn_write(&h->base, "x", 1), 1);
	assert_true(loop_until(l, gave_9, &o, LIMIT));
	adit_conn_close(&h->base, 0);
}

static void
who_was_refused_is_not_called(void **state)
{
	struct loop *l = *state;
	struct owner o = { 0 };
	struct hoard *h = hoard_new(l, &o);
	char byte;

	assert_int_equal(adit_conn_read(&h->base, &byte, 1), -EAGAIN);
	assert_int_equal(adit_conn_write(&h->base, "x", 1), -EAGAIN);
	loop_turn(l, 10);
	assert_int_equal(o.calls, 0);
	adit_conn_close(&h->base, 0);
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(who_reads_unasked_is_told_of_the_rest),
		IN_LOOP(who_writes_unasked_is_told_of_more_room),
		IN_LOOP(who_was_refused_is_not_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
