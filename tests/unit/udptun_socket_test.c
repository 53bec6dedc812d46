/*
 * A UDP port behind a conn: what becomes of datagrams while the conn takes no more, and afterwards.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/proxy/udptun_socket.h"
#include "tests/unit/loop.h"

#define ON_THE_WAY (1 << 20)	/* more than waits in the socket: all of that may go at once */
#define DATAGRAMS 4096		/* more than fit into both */
#define TURNS 8

struct world {
	struct loop		*loop;
	struct adit_conn	*far;
	struct adit_packet_conn	*socket;
	unsigned		 writable;
};

static void
on_end(void *arg, int err)
{
	(void)arg;
	(void)err;
	fail();
}

static void
on_packet(void *owner, struct adit_packet_conn *p, unsigned events)
{
	struct world *t = owner;

	t->writable += (events & ADIT_WRITE) != 0;
	adit_packet_want(p, 0);
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));
	struct adit_conn *lower;
	struct adit_worker *w;

	assert_non_null(t);
	t->loop = loop_new();
	w = t->loop->worker;
	assert_int_equal(adit_conn_pair(w, w, ON_THE_WAY, &lower, &t->far), 0);
	t->socket = udptun_socket(lower, on_end, t);
	assert_non_null(t->socket);
	adit_packet_own(t->socket, on_packet, t);
	loop_turn(t->loop, TURNS);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	adit_packet_close(t->socket);
	adit_conn_close(t->far, 0);
	loop_turn(t->loop, TURNS);
	loop_free(t->loop);
	free(t);
	return 0;
}

static int
send_one(struct world *t)
{
	static uint8_t payload[1000];
	const struct adit_packet p = {
		.data = { .iov_base = payload, .iov_len = sizeof(payload) },
		.to = { .family = AF_INET, .port = 53, .ip = { 192, 0, 2, 7 } },
	};

	return adit_packet_send(t->socket, &p, 1);
}

/* As many as are taken while nobody reads; returns how many. */
static size_t
send_all_that_fit(struct world *t)
{
	size_t n = 0;

	while (n < DATAGRAMS && send_one(t) == 1)
		n++;
	assert_int_equal(send_one(t), -EAGAIN);
	return n;
}

/* What is there to be read at the far end. */
static size_t
read_all(struct world *t)
{
	static char buf[65536];
	size_t len = 0;
	ssize_t n;

	while ((n = adit_conn_read(t->far, buf, sizeof(buf))) > 0)
		len += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	return len;
}

static void
who_was_refused_is_told_when_there_is_room(void **state)
{
	struct world *t = *state;

	send_all_that_fit(t);
	adit_packet_want(t->socket, ADIT_WRITE);
	loop_turn(t->loop, TURNS);
	assert_int_equal(t->writable, 0);
	read_all(t);
	loop_turn(t->loop, TURNS);
	assert_int_equal(t->writable, 1);
	assert_int_equal(send_one(t), 1);
}

/* Who sends before that is told, and finds that all that waited goes at once, need not wait. */
static void
room_that_was_made_meanwhile_is_used(void **state)
{
	struct world *t = *state;
	size_t n = send_all_that_fit(t), len = read_all(t);

	assert_int_equal(send_one(t), 1);
	loop_turn(t->loop, TURNS);
	assert_int_equal(len + read_all(t), (n + 1) * (10 + 1000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_was_refused_is_told_when_there_is_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(room_that_was_made_meanwhile_is_used, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
