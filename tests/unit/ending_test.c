/* What the last line of a connection says; that it is written once for each, test_log.py tests. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/ending.h"
#include "tests/unit/wire_end.h"

static void
each_failure_has_its_word(void **state)
{
	static const struct {
		int err;
		const char *how;
		bool by_peer;
	} rows[] = {
		{ 0, "end", true },
		{ -ESHUTDOWN, "end", true },
		{ -ECONNRESET, "reset", true },
		{ -EPIPE, "reset", true },
		{ ADIT_ETRUNCATED, "failure", true },
		{ ADIT_ETLS, "failure", true },
		{ -EBADMSG, "failure", false },
		{ -ETIMEDOUT, "timeout", false },
		{ ADIT_EPEERDEAD, "timeout", false },
		{ ADIT_ESTOPPED, "stopped", false },
		{ ADIT_EDRAINING, "stopped", false },
		{ ADIT_EUNAUTH, "refused", false },
		{ ADIT_ENOTUNNEL, "refused", false },
		{ -ENOMEM, "failure", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *by = ending_by(rows[i].err, "peer");

		assert_string_equal(ending_how(rows[i].err), rows[i].how);
		assert_int_equal(by != NULL, rows[i].by_peer);
	}
	assert_string_equal(ending_side(0, "a", "b"), "a");
	assert_string_equal(ending_side(1, "a", "b"), "b");
	assert_null(ending_side(-1, "a", "b"));
}

/* What is known of a failure comes from many places, some of which say what the error means. */
static void
nothing_is_said_twice(void **state)
{
	static const struct {
		int		 err;
		const char	*text, *said;
	} rows[] = {
		{ -ECONNRESET, NULL, "Connection reset by peer" },
		{ -ECONNRESET, "", "Connection reset by peer" },
		{ -ECONNRESET, "Connection reset by peer", "Connection reset by peer" },
		{ -ECONNREFUSED, "node a: connection refused", "node a: connection refused" },
		{ -EADDRINUSE, "listen :1: Address already in use: x",
		  "listen :1: Address already in use: x" },
		{ ADIT_EUNAUTH, "who are you", "unauthorized: who are you" },
		{ ADIT_EUNAUTH, "Unauthorized", "Unauthorized" },
		{ 0, "closed by the peer", "closed by the peer" },
	};
	char buf[ENDING_REASON];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_string_equal(ending_reason(rows[i].err, rows[i].text, buf), rows[i].said);
}

/* What was read, given back and read again counts once. */
static void
bytes_are_those_of_the_conn(void **state)
{
	struct wire_end end;
	struct adit_conn *c = wire_end_init(&end, *state);
	struct ending line;
	char buf[8];

	wire_end_send(&end, "hello", 5);
	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), 5);
	assert_int_equal(adit_conn_unread(c, buf, 5), 0);
	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), 5);
	assert_int_equal(adit_conn_write(c, "bye", 3), 3);
	line = ending_of(NULL, c);
	assert_int_equal(line.traffic.in, 5);
	assert_int_equal(line.traffic.out, 3);
	assert_int_equal(line.id, adit_conn_id(c));
	assert_ptr_equal(line.remote, adit_conn_remote(c));
	adit_conn_close(c, 0);
	wire_end_fini(&end);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_failure_has_its_word),
		cmocka_unit_test(nothing_is_said_twice),
		cmocka_unit_test_setup_teardown(bytes_are_those_of_the_conn, loop_setup,
						loop_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
