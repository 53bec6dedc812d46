#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/conn/dial.h"
#include "core/conn/tcp_keepalive.h"
#include "tests/unit/loop.h"

#define LIMIT 20000

/* ---- who is dialed ---------------------------------------------------------------- */

static int
bound(const char *ip, uint16_t *port)
{
	struct sockaddr_storage ss;
	struct adit_addr a;
	socklen_t len;
	const int on = 1;
	int fd;

	assert_int_equal(adit_addr_parse(ip, *port, &a), 0);
	len = adit_addr_to(&a, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	if (ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	a = adit_addr_from((struct sockaddr *)&ss, len);
	*port = a.port;
	return fd;
}

/* Listens; *port 0: at a port that the kernel chooses. */
static int
listening(const char *ip, uint16_t *port)
{
	int fd = bound(ip, port);

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Two sockets at the same port, of ::1 and 127.0.0.1: a port may be free in one family only. */
static uint16_t
both(int *six, int *four)
{
	for (int i = 0; i < 100; i++) {
		uint16_t port = 0;

		*six = bound("::1", &port);
		assert_true(*six >= 0);
		*four = bound("127.0.0.1", &port);
		if (*four >= 0)
			return port;
		close(*six);
	}
	fail_msg("no port is free in both families");
	return 0;
}

/* A listening socket whose queue is full: the kernel drops what else wants to connect. */
struct silent {
	int		 fd, queued[16];
	int		 n;
};

static void
silent_init(struct silent *s, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	*s = (struct silent){ .fd = fd };
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	for (; s->n < 2; s->n++) {
		s->queued[s->n] = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(s->queued[s->n], (struct sockaddr *)&ss, len);
	}
}

static void
silent_fini(struct silent *s)
{
	while (s->n)
		close(s->queued[--s->n]);
	close(s->fd);
}

/* ---- dialing -------------------------------------------------------------------------- */

struct dialed {
	struct adit_conn	*conn;
	bool			 told;
};

static void
on_open(void *owner, struct adit_conn *c, unsigned events)
{
	struct dialed *d = owner;

	assert_ptr_equal(c, d->conn);
	assert_true(events & ADIT_OPEN);
	d->told = true;
	adit_conn_want(c, 0);
}

static void
dial(struct loop *l, struct dialed *d, const char *host, uint16_t port, unsigned ms)
{
	struct adit_err e = ADIT_ERR_INIT;

	*d = (struct dialed){ .conn = tcp_dial(l->worker, host, port, ms, &e) };
	if (!d->conn)
		fail_msg("%s", e.text);
	adit_conn_own(d->conn, on_open, d);
	adit_conn_want(d->conn, ADIT_OPEN);
}

static bool
is_told(void *arg)
{
	return ((struct dialed *)arg)->told;
}

static void
expect_open(struct loop *l, struct dialed *d)
{
	assert_true(loop_until(l, is_told, d, LIMIT));
	assert_int_equal(adit_conn_err(d->conn), 0);
	assert_true(adit_conn_is_open(d->conn));
}

static void
expect_failure(struct loop *l, struct dialed *d, int err)
{
	assert_true(loop_until(l, is_told, d, LIMIT));
	assert_int_equal(adit_conn_err(d->conn), err);
	assert_false(adit_conn_is_open(d->conn));
}

/* Whether bytes go from the conn to who accepts at fd. */
static void
expect_bytes(struct dialed *d, int fd)
{
	int got = accept(fd, NULL, NULL);
	char c = 0;

	assert_true(got >= 0);
	assert_int_equal(adit_conn_write(d->conn, "x", 1), 1);
	assert_int_equal(read(got, &c, 1), 1);
	assert_int_equal(c, 'x');
	close(got);
}

static void
literals(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1", "[::1]" };
	struct loop *l = *state;

	for (size_t i = 0; i < 3; i++) {
		uint16_t port = 0;
		int fd = listening(i ? "::1" : "127.0.0.1", &port);
		struct dialed d;

		dial(l, &d, hosts[i], port, 0);
		assert_false(adit_conn_is_open(d.conn) && d.told);
		expect_open(l, &d);
		assert_int_equal(adit_conn_remote(d.conn)->port, port);
		assert_int_not_equal(adit_conn_local(d.conn)->port, 0);
		expect_bytes(&d, fd);
		adit_conn_close(d.conn, 0);
		close(fd);
	}
}

static void
this_machine(void **state)
{
	static const char *const hosts[] = { "", "localhost", "LocalHost" };
	struct loop *l = *state;

	for (size_t i = 0; i < 3; i++) {
		uint16_t port = 0;
		int fd = listening("127.0.0.1", &port);
		struct dialed d;

		dial(l, &d, hosts[i], port, 0);
		expect_open(l, &d);
		expect_bytes(&d, fd);
		adit_conn_close(d.conn, 0);
		close(fd);
	}
}

static void
refused(void **state)
{
	struct loop *l = *state;
	uint16_t port = 0;
	int fd = bound("127.0.0.1", &port);	/* bound, not listening: nobody else can take it */
	struct dialed d;

	dial(l, &d, "127.0.0.1", port, 0);
	expect_failure(l, &d, -ECONNREFUSED);
	adit_conn_close(d.conn, 0);
	close(fd);
}

static void
refused_by_all(void **state)
{
	struct loop *l = *state;
	int six, four;
	uint16_t port = both(&six, &four);
	struct dialed d;

	dial(l, &d, "localhost", port, 0);
	expect_failure(l, &d, -ECONNREFUSED);
	adit_conn_close(d.conn, 0);
	close(six);
	close(four);
}

static void
one_family_refused_the_other_listening(void **state)
{
	struct loop *l = *state;
	int six, four;
	uint16_t port = both(&six, &four);
	uint64_t start = adit_now();
	struct dialed d;

	assert_int_equal(listen(four, 8), 0);
	dial(l, &d, "localhost", port, 0);
	expect_open(l, &d);
	assert_int_equal(adit_conn_remote(d.conn)->family, AF_INET);
	assert_true(adit_now() - start < ADIT_MS(200));	/* a refusal is not waited out */
	expect_bytes(&d, four);
	adit_conn_close(d.conn, 0);
	close(six);
	close(four);
}

static void
one_family_silent_the_other_listening(void **state)
{
	struct loop *l = *state;
	int six, four;
	uint16_t port = both(&six, &four);
	uint64_t start = adit_now();
	struct silent s;
	struct dialed d;

	silent_init(&s, six);
	assert_int_equal(listen(four, 8), 0);
	dial(l, &d, "localhost", port, 0);
	expect_open(l, &d);
	assert_int_equal(adit_conn_remote(d.conn)->family, AF_INET);
	assert_true(adit_now() - start >= ADIT_MS(240));
	expect_bytes(&d, four);
	adit_conn_close(d.conn, 0);
	silent_fini(&s);
	close(four);
}

static void
the_first_family_is_preferred(void **state)
{
	struct loop *l = *state;
	int six, four;
	uint16_t port = both(&six, &four);
	struct dialed d;

	assert_int_equal(listen(six, 8), 0);
	assert_int_equal(listen(four, 8), 0);
	dial(l, &d, "localhost", port, 0);
	expect_open(l, &d);
	assert_int_equal(adit_conn_remote(d.conn)->family, AF_INET6);
	expect_bytes(&d, six);
	assert_int_equal(accept(four, NULL, NULL), -1);
	adit_conn_close(d.conn, 0);
	close(six);
	close(four);
}

static void
times_out(void **state)
{
	struct loop *l = *state;
	uint16_t port = 0;
	uint64_t start = adit_now();
	struct silent s;
	struct dialed d;

	silent_init(&s, bound("127.0.0.1", &port));
	dial(l, &d, "127.0.0.1", port, 100);
	expect_failure(l, &d, -ETIMEDOUT);
	assert_true(adit_now() - start >= ADIT_MS(95));
	adit_conn_close(d.conn, 0);
	silent_fini(&s);
}

/* Somebody is there and says no: that tells more than that another address is silent. */
static void
a_refusal_tells_more_than_silence(void **state)
{
	struct loop *l = *state;
	int six, four;
	uint16_t port = both(&six, &four);
	struct silent s;
	struct dialed d;

	silent_init(&s, four);
	dial(l, &d, "localhost", port, 400);
	expect_failure(l, &d, -ECONNREFUSED);
	adit_conn_close(d.conn, 0);
	silent_fini(&s);
	close(six);
}

static void
a_name_that_is_none(void **state)
{
	struct loop *l = *state;
	struct dialed d;
	char host[400];

	/* Refused by the system's resolver without asking anybody: a label of 398 bytes. */
	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = 0;
	dial(l, &d, host, 80, 0);
	assert_true(loop_until(l, is_told, &d, LIMIT));
	assert_true(adit_conn_err(d.conn) < 0);
	adit_conn_close(d.conn, 0);
}

static void
closed_at_any_point(void **state)
{
	struct loop *l = *state;
	uint16_t port = 0, quiet = 0;
	int fd = listening("127.0.0.1", &port);
	struct silent s;
	struct dialed d;
	char host[400];

	silent_init(&s, bound("127.0.0.1", &quiet));
	for (int turns = 0; turns < 4; turns++) {
		for (int why = 0; why >= -ECONNABORTED; why -= ECONNABORTED) {
			dial(l, &d, "127.0.0.1", port, 0);
			loop_turn(l, turns);
			adit_conn_close(d.conn, why);
			dial(l, &d, "localhost", port, 0);
			loop_turn(l, turns);
			adit_conn_close(d.conn, why);
			dial(l, &d, "127.0.0.1", quiet, 0);
			loop_turn(l, turns);
			adit_conn_close(d.conn, why);
		}
	}
	/* While its name is being looked up. */
	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = 0;
	dial(l, &d, host, 80, 0);
	adit_conn_close(d.conn, 0);
	loop_turn(l, 10);
	assert_false(d.told);
	silent_fini(&s);
	close(fd);
}

struct late {
	int	listening, got;
};

static bool
came_late(void *arg)
{
	struct late *t = arg;

	t->got = accept(t->listening, NULL, NULL);
	return t->got >= 0;
}

static void
a_deadline_of_the_owner(void **state)
{
	struct loop *l = *state;
	uint16_t port = 0;
	struct silent s;
	struct dialed d;
	struct late late;
	char c;

	silent_init(&s, bound("127.0.0.1", &port));
	dial(l, &d, "127.0.0.1", port, 0);
	adit_conn_deadline(d.conn, 50);
	expect_failure(l, &d, -ETIMEDOUT);
	/* It connects after all, before the owner has closed it: the kernel tries again after 1 s.
	 */
	late.listening = s.fd;
	while (s.n)
		close(s.queued[--s.n]);
	while (came_late(&late))
		close(late.got);
	assert_true(loop_until(l, came_late, &late, LIMIT));
	loop_turn(l, 5);
	assert_int_equal(adit_conn_err(d.conn), -ETIMEDOUT);
	assert_int_equal(adit_conn_write(d.conn, "x", 1), -ETIMEDOUT);
	assert_int_equal(recv(late.got, &c, 1, MSG_DONTWAIT), 0);
	close(late.got);
	adit_conn_close(d.conn, 0);
	silent_fini(&s);
}

static void
no_descriptor_is_left(void **state)
{
	struct loop *l = *state;
	struct rlimit old, none;
	uint16_t port = 0;
	int fd = listening("127.0.0.1", &port), spare = dup(fd);
	struct dialed d;

	close(spare);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)spare, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	dial(l, &d, "127.0.0.1", port, 0);
	expect_failure(l, &d, -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	adit_conn_close(d.conn, 0);
	close(fd);
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void
keepalive(void **state)
{
	static const struct tcp_keepalive ours = {
		.on = true, .idle = ADIT_SECONDS(40), .interval = ADIT_MS(6500), .count = 3,
	};
	static const struct tcp_keepalive off = { .on = false };
	static const struct tcp_keepalive *const given[] = { NULL, &ours, &off };
	static const int idle[] = { 15, 40, 15 }, interval[] = { 15, 7, 15 }, count[] = { 9, 3, 9 };
	struct loop *l = *state;

	for (size_t i = 0; i < 3; i++) {
		uint16_t port = 0;
		int fd = listening("127.0.0.1", &port), socket;
		struct dialed d = { .told = false };
		struct adit_err e = ADIT_ERR_INIT;

		d.conn = tcp_dial_to(l->worker,
				     &(struct tcp_dial){
					     .host = "127.0.0.1",
					     .port = port,
					     .keepalive = given[i],
				     },
				     &e);
		assert_non_null(d.conn);
		adit_conn_own(d.conn, on_open, &d);
		adit_conn_want(d.conn, ADIT_OPEN);
		expect_open(l, &d);
		socket = adit_conn_splice_fd(d.conn, ADIT_READ);
		assert_int_equal(option(socket, SOL_SOCKET, SO_KEEPALIVE), i != 2);
		assert_int_equal(option(socket, IPPROTO_TCP, TCP_KEEPIDLE), idle[i]);
		assert_int_equal(option(socket, IPPROTO_TCP, TCP_KEEPINTVL), interval[i]);
		assert_int_equal(option(socket, IPPROTO_TCP, TCP_KEEPCNT), count[i]);
		assert_true(option(socket, IPPROTO_TCP, TCP_NODELAY));
		adit_conn_close(d.conn, 0);
		close(fd);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(literals),
		TEST(this_machine),
		TEST(refused),
		TEST(refused_by_all),
		TEST(one_family_refused_the_other_listening),
		TEST(one_family_silent_the_other_listening),
		TEST(the_first_family_is_preferred),
		TEST(times_out),
		TEST(a_refusal_tells_more_than_silence),
		TEST(a_name_that_is_none),
		TEST(closed_at_any_point),
		TEST(a_deadline_of_the_owner),
		TEST(no_descriptor_is_left),
		TEST(keepalive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
