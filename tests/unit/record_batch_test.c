#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/service/record_sink.h"
#include "core/service/recorder.h"

static int
setup(void **state)
{
	struct record_batch *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->buf = malloc(RECORDER_QUEUE);
	assert_non_null(b->buf);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct record_batch *b = *state;

	free(b->buf);
	free(b);
	return 0;
}

static void
come_out_as_they_went_in(void **state)
{
	struct record_batch *b = *state;
	size_t at = 0, len;

	assert_true(record_batch_add(b, "one and more", 3, "\n"));
	assert_true(record_batch_add(b, "", 0, ""));
	assert_true(record_batch_add(b, "three", 5, ""));
	assert_int_equal(record_batch_count(b, 0), 3);
	assert_string_equal(record_batch_next(b, &at, &len), "one\n");
	assert_int_equal(len, 4);
	assert_int_equal(record_batch_count(b, at), 2);
	assert_string_equal(record_batch_next(b, &at, &len), "");
	assert_int_equal(len, 0);
	assert_string_equal(record_batch_next(b, &at, &len), "three");
	assert_int_equal(len, 5);
	assert_null(record_batch_next(b, &at, &len));
	assert_int_equal(record_batch_count(b, at), 0);
}

/* Filled with the longest: none is too much for the memory there is, and the last is whole. */
static void
no_more_than_there_is_room_for(void **state)
{
	struct record_batch *b = *state;
	char *longest = calloc(1, RECORD_MAX + 1);
	size_t at = 0, len, n = 0;

	assert_non_null(longest);
	memset(longest, 'x', RECORD_MAX);
	assert_false(record_batch_add(b, longest, RECORD_MAX + 1, ""));
	while (record_batch_add(b, longest, RECORD_MAX, "")) {
		assert_true(b->len <= RECORDER_QUEUE);
		n++;
	}
	assert_int_equal(n, RECORDER_QUEUE / RECORD_MAX - 1);
	while (record_batch_add(b, longest, 1, "\n"))
		n++;
	assert_true(b->len + 7 > RECORDER_QUEUE && b->len <= RECORDER_QUEUE);
	assert_int_equal(record_batch_count(b, 0), n);
	assert_string_equal(record_batch_next(b, &at, &len), longest);
	free(longest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(come_out_as_they_went_in, setup, teardown),
		cmocka_unit_test_setup_teardown(no_more_than_there_is_room_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
