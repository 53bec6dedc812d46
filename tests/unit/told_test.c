/* What a client's first bytes make of a conn. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/opening.h"
#include "core/conn/told.h"
#include "tests/unit/loop.h"

struct stage {
	struct loop		*loop;
	struct adit_conn	*told, *client;
	unsigned		 layered, events;
	bool			 refuses;
};

/* "ABC" begins the layer. */
static int
begins(void *arg, const uint8_t *bytes, size_t len)
{
	(void)arg;
	assert_true(len > 0);
	if (memcmp(bytes, "ABC", len < 3 ? len : 3) != 0)
		return 0;
	return len < 3 ? -EAGAIN : 1;
}

static struct adit_conn *
over(void *arg, struct adit_conn *lower, struct adit_err *e)
{
	struct stage *t = arg;

	t->layered++;
	if (!t->refuses)
		return lower;
	adit_conn_close(lower, -EPROTO);
	adit_err_set(e, -EPROTO, "no layer");
	return NULL;
}

static void
told_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct stage *t = owner;

	(void)events;
	t->events++;
	adit_conn_want(c, 0);
}

static struct stage
begin(struct loop *l)
{
	struct stage t = { .loop = l };
	struct adit_conn *lower;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 65536, &lower, &t.client), 0);
	t.told = lower;
	return t;
}

static void
tell(struct stage *t, uint64_t ns)
{
	const struct told how = { .begins = begins, .over = over, .arg = t, .ns = ns };
	struct adit_err e = ADIT_ERR_INIT;

	t->told = told_conn(t->told, &how, &e);
	assert_non_null(t->told);
	adit_conn_own(t->told, told_event, t);
	adit_conn_want(t->told, ADIT_OPEN);
	loop_turn(t->loop, 4);
	assert_false(adit_conn_is_open(t->told));
}

static void
says(struct stage *t, const char *text)
{
	assert_int_equal(adit_conn_write(t->client, text, strlen(text)), strlen(text));
	loop_turn(t->loop, 6);
}

static void
expect_bytes(struct stage *t, const char *text)
{
	char buf[64];

	assert_int_equal(adit_conn_read(t->told, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void
end(struct stage *t)
{
	adit_conn_close(t->told, 0);
	adit_conn_close(t->client, 0);
	loop_turn(t->loop, 4);
}

static void
bytes_of_the_layer_make_it(void **state)
{
	struct stage t = begin(*state);

	tell(&t, 0);
	says(&t, "A");
	says(&t, "B");
	assert_int_equal(t.layered, 0);
	assert_false(adit_conn_is_open(t.told));
	says(&t, "CD");
	assert_int_equal(t.layered, 1);
	assert_true(adit_conn_is_open(t.told));
	expect_bytes(&t, "ABCD");
	end(&t);
}

static void
other_bytes_go_by(void **state)
{
	struct stage t = begin(*state);

	tell(&t, 0);
	says(&t, "AX");
	assert_int_equal(t.layered, 0);
	assert_true(adit_conn_is_open(t.told));
	/* Who takes it for long gets the conn itself, and what was read of it. */
	t.told = opening_unwrap(t.told);
	expect_bytes(&t, "AX");
	end(&t);
}

static void
an_end_is_passed_on(void **state)
{
	struct stage t = begin(*state);
	char byte;

	tell(&t, 0);
	says(&t, "AB");
	assert_int_equal(adit_conn_shutdown(t.client), 0);
	loop_turn(t.loop, 6);
	assert_true(adit_conn_is_open(t.told));
	assert_int_equal(t.layered, 0);
	expect_bytes(&t, "AB");
	assert_int_equal(adit_conn_read(t.told, &byte, 1), 0);
	end(&t);
}

static void
a_reset_and_a_layer_that_refuses_fail_it(void **state)
{
	for (int refuses = 0; refuses < 2; refuses++) {
		struct stage t = begin(*state);

		t.refuses = refuses;
		tell(&t, 0);
		if (refuses) {
			says(&t, "ABC");
		} else {
			adit_conn_close(t.client, -ECONNRESET);
			loop_turn(t.loop, 6);
			t.client = NULL;
		}
		assert_int_equal(t.events, 1);
		assert_int_equal(adit_conn_err(t.told), refuses ? -EPROTO : -ECONNRESET);
		end(&t);
	}
}

static bool
has_failed(void *arg)
{
	return adit_conn_err(((struct stage *)arg)->told);
}

static void
silence_has_a_limit(void **state)
{
	struct stage t = begin(*state);

	tell(&t, ADIT_MS(20));
	says(&t, "A");
	assert_true(loop_until(t.loop, has_failed, &t, 5000));
	assert_int_equal(adit_conn_err(t.told), -ETIMEDOUT);
	end(&t);
}

static void
closing_lets_go(void **state)
{
	struct stage t = begin(*state);
	char byte;

	tell(&t, 0);
	adit_conn_close(t.told, -ECONNRESET);
	loop_turn(t.loop, 6);
	assert_true(adit_conn_read(t.client, &byte, 1) < 0);
	t.told = NULL;
	end(&t);
}

static int
setup(void **state)
{
	*state = loop_new();
	return *state ? 0 : -1;
}

static int
teardown(void **state)
{
	loop_free(*state);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_of_the_layer_make_it), TEST(other_bytes_go_by),
		TEST(an_end_is_passed_on), TEST(a_reset_and_a_layer_that_refuses_fail_it),
		TEST(silence_has_a_limit), TEST(closing_lets_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
