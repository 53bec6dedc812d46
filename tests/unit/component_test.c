#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/service/component.h"
#include "tests/unit/loop.h"

#define N 5

struct owner {
	struct adit_component	 component;
	struct activities	 activities;
	int			 destroyed;
};

struct thing {
	struct adit_activity	 activity;
	struct world		*world;
	int			 stops, why;
	void			(*then)(struct thing *t);	/* what stop does */
};

struct world {
	struct loop	*loop;
	struct owner	 owner;
	struct thing	 things[N], extra;
};

static void
destroy(struct adit_component *p)
{
	adit_container_of(p, struct owner, component)->destroyed++;
}

static void
stop(struct adit_activity *a, int why)
{
	struct thing *t = adit_container_of(a, struct thing, activity);

	t->stops++;
	t->why = why;
	if (t->then)
		t->then(t);
}

static void
begin(struct thing *t)
{
	adit_activity_begin(&t->activity, &t->world->owner.component, t->world->loop->worker);
}

static void
end(struct thing *t)
{
	adit_activity_end(&t->activity);
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	component_init(&t->owner.component, "web", NULL, destroy);
	t->owner.component.activities = &t->owner.activities;
	for (int i = 0; i < N; i++)
		t->things[i] = (struct thing){ .activity = { .stop = stop }, .world = t };
	t->extra = t->things[0];
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	adit_component_put(&t->owner.component);
	assert_int_equal(t->owner.destroyed, 1);
	assert_int_equal(t->owner.activities.n, 0);
	assert_null(t->owner.activities.first[0]);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void
stop_all(struct world *t, int why)
{
	activities_stop(&t->owner.activities, t->loop->worker, why);
}

static void
expect_stops(const struct world *t, const char *stops)
{
	for (int i = 0; i < N; i++)
		if (t->things[i].stops != stops[i] - '0')
			fail_msg("thing %d: stopped %d times", i, t->things[i].stops);
}

static void
counted_while_they_last(void **state)
{
	struct world *t = *state;

	for (int i = 0; i < N; i++)
		begin(&t->things[i]);
	assert_int_equal(t->owner.activities.n, N);
	end(&t->things[2]);
	end(&t->things[4]);
	end(&t->things[4]);
	assert_int_equal(t->owner.activities.n, N - 2);
	end(&t->things[0]);
	end(&t->things[1]);
	end(&t->things[3]);
	end(&t->extra);		/* never begun */
}

static void
they_keep_the_component(void **state)
{
	struct world *t = *state;

	begin(&t->things[0]);
	adit_component_put(&t->owner.component);
	assert_int_equal(t->owner.destroyed, 0);
	adit_component_get(&t->owner.component);
	end(&t->things[0]);
	assert_int_equal(t->owner.destroyed, 0);
}

static void
without_a_service_nothing_is_counted(void **state)
{
	struct world *t = *state;

	t->owner.component.activities = NULL;
	begin(&t->things[0]);
	assert_int_equal(t->owner.activities.n, 0);
	end(&t->things[0]);
	adit_activity_begin(&t->things[1].activity, NULL, t->loop->worker);
	end(&t->things[1]);
	adit_component_get(NULL);
	adit_component_put(NULL);
	assert_null(adit_component_name(NULL));
	assert_string_equal(adit_component_name(&t->owner.component), "web");
}

static void
each_is_stopped_once_a_call(void **state)
{
	struct world *t = *state;

	for (int i = 0; i < N; i++)
		begin(&t->things[i]);
	stop_all(t, 0);
	expect_stops(t, "11111");
	stop_all(t, ADIT_EDRAINING);
	expect_stops(t, "22222");
	assert_int_equal(t->things[3].why, ADIT_EDRAINING);
	assert_int_equal(t->owner.activities.n, N);
	for (int i = 0; i < N; i++)
		end(&t->things[i]);
	stop_all(t, 0);
	expect_stops(t, "22222");
}

static void
they_may_end_in_stop(void **state)
{
	struct world *t = *state;

	for (int i = 0; i < N; i++) {
		begin(&t->things[i]);
		if (i != 1)
			t->things[i].then = end;
	}
	stop_all(t, ADIT_ESTOPPED);
	expect_stops(t, "11111");
	assert_int_equal(t->owner.activities.n, 1);
	stop_all(t, ADIT_ESTOPPED);
	expect_stops(t, "12111");
	end(&t->things[1]);
}

/* A session that stops takes what runs over it with it. */
static void
end_all(struct thing *t)
{
	for (int i = 0; i < N; i++)
		end(&t->world->things[i]);
}

static void
one_may_end_the_others(void **state)
{
	struct world *t = *state;
	int stops = 0;

	for (int who = 0; who < N; who++) {
		for (int i = 0; i < N; i++) {
			begin(&t->things[i]);
			t->things[i].stops = 0;
			t->things[i].then = i == who ? end_all : NULL;
		}
		stop_all(t, ADIT_ESTOPPED);
		assert_int_equal(t->things[who].stops, 1);
		assert_int_equal(t->owner.activities.n, 0);
		for (int i = 0; i < N; i++)
			stops += t->things[i].stops;
	}
	/* Whatever the order: over all choices each was stopped before 0, 1, 2, ... others. */
	assert_int_equal(stops, N * (N + 1) / 2);
}

/* Nothing that begins while they are stopped is missed by the next call, or stopped for ever in
 * this one. */
static void
begin_extra(struct thing *t)
{
	struct thing *extra = &t->world->extra;

	if (!extra->activity.component)
		begin(extra);
}

static void
one_may_begin_meanwhile(void **state)
{
	struct world *t = *state;

	for (int i = 0; i < N; i++)
		begin(&t->things[i]);
	t->things[2].then = begin_extra;
	stop_all(t, 0);
	expect_stops(t, "11111");
	assert_int_equal(t->extra.stops, 0);
	assert_int_equal(t->owner.activities.n, N + 1);
	stop_all(t, 0);
	expect_stops(t, "22222");
	assert_int_equal(t->extra.stops, 1);
	end(&t->extra);
	end_all(&t->things[0]);
}

static void
conns_keep_it_too(void **state)
{
	struct world *t = *state;
	struct adit_conn *a, *b;

	assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, 100, &a, &b), 0);
	adit_conn_set_component(a, &t->owner.component);
	adit_conn_set_component(a, &t->owner.component);
	assert_string_equal(adit_conn_service(a), "web");
	adit_component_put(&t->owner.component);
	assert_int_equal(t->owner.destroyed, 0);
	adit_component_get(&t->owner.component);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	loop_turn(t->loop, 2);
	assert_int_equal(t->owner.component.refs, 1);
}

static void
credentials_to_present(void **state)
{
	struct world *t = *state;
	const char *user = NULL, *password = NULL;

	assert_false(adit_component_auth(&t->owner.component, &user, &password));
	t->owner.component.user = "u";
	assert_true(adit_component_auth(&t->owner.component, &user, &password));
	assert_string_equal(user, "u");
	assert_string_equal(password, "");
	t->owner.component.password = "p";
	assert_true(adit_component_auth(&t->owner.component, &user, &password));
	assert_string_equal(password, "p");
	assert_non_null(adit_component_tls(&t->owner.component));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counted_while_they_last),
		TEST(they_keep_the_component),
		TEST(without_a_service_nothing_is_counted),
		TEST(each_is_stopped_once_a_call),
		TEST(they_may_end_in_stop),
		TEST(one_may_end_the_others),
		TEST(one_may_begin_meanwhile),
		TEST(conns_keep_it_too),
		TEST(credentials_to_present),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
