#include <errno.h>
#include <fcntl.h>
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

#include "core/conn/listen.h"
#include "tests/unit/loop.h"

#define WORKERS 3

static struct listen_set *
get(struct listen_book *b, const char *addr, unsigned flags)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct listen_set *s = listen_get(b, addr, flags, &e);

	if (!s)
		fail_msg("%s", e.text);
	return s;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct adit_addr a;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	a = adit_addr_from((struct sockaddr *)&ss, len);
	return a.port;
}

/* A connected socket, or -errno. */
static int
connect_to(const char *ip, uint16_t port, int type)
{
	struct sockaddr_storage ss;
	struct adit_addr a;
	socklen_t len;
	int fd;

	assert_int_equal(adit_addr_parse(ip, port, &a), 0);
	len = adit_addr_to(&a, &ss);
	fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* Another program's listening socket on 127.0.0.1; *port is its port, chosen if 0. */
static int
stranger(uint16_t *port, bool reuseport)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(*port) };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 1) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*port = port_of(fd);
	return fd;
}

/* "127.0.0.1:port", until the next call. */
static const char *
text_of(uint16_t port)
{
	static char text[32];

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	return text;
}

static void
all_workers_share_the_port_that_was_chosen(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct listen_set *s = get(b, "127.0.0.1:0", 0), *other = get(b, "127.0.0.1:0", 0);
	uint16_t port = listen_addr(s)->port;
	int fd;

	(void)state;
	assert_int_not_equal(port, 0);
	assert_int_not_equal(listen_addr(other)->port, port);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(port_of(listen_fd(s, i)), port);
		assert_true(fcntl(listen_fd(s, i), F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(listen_fd(s, i), F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(listen_fd(s, WORKERS), -1);
	fd = connect_to("127.0.0.1", port, SOCK_STREAM);
	assert_true(fd >= 0);
	close(fd);
	listen_put(b, s);
	listen_put(b, other);
	listen_book_free(b);
}

static void
the_same_address_is_found_again(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct listen_set *first = get(b, "127.0.0.1:0", 0), *second;
	uint16_t port = listen_addr(first)->port;
	int fd;

	(void)state;
	listen_put(b, first);
	first = get(b, text_of(port), 0);
	second = get(b, text_of(port), 0);
	assert_ptr_equal(first, second);

	listen_put(b, first);
	fd = connect_to("127.0.0.1", port, SOCK_STREAM);
	assert_true(fd >= 0);
	close(fd);
	listen_put(b, second);
	assert_int_equal(connect_to("127.0.0.1", port, SOCK_STREAM), -ECONNREFUSED);
	listen_book_free(b);
}

/* However it is written; and a port of the kernel's choice is its owner's when he asks for that. */
static void
the_same_address_in_other_words_is_found(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct adit_err e = ADIT_ERR_INIT;
	struct listen_set *s = listen_get_for(b, "me", "127.0.0.1:0", 0, &e), *again;
	uint16_t port;
	char text[32];

	(void)state;
	assert_non_null(s);
	port = listen_addr(s)->port;
	assert_null(listen_get_for(b, "you", text_of(port), 0, &e));
	assert_int_equal(e.code, -EADDRINUSE);
	assert_null(listen_get(b, text_of(port), 0, &e));
	snprintf(text, sizeof(text), "127.1:%u", port);
	again = listen_get_for(b, "me", text, 0, &e);
	assert_ptr_equal(again, s);
	listen_put(b, again);
	again = listen_get_for(b, "me", "127.0.0.1:0", 0, &e);
	assert_ptr_equal(again, s);
	listen_put(b, again);
	listen_put(b, s);

	s = listen_get_for(b, "me", text, 0, &e);
	again = listen_get_for(b, "you", text_of(port), 0, &e);
	assert_non_null(s);
	assert_ptr_equal(again, s);
	listen_put(b, again);
	listen_put(b, s);
	listen_book_free(b);
}

static void
slot_ends(void *shared)
{
	unsigned *ended = shared;

	(*ended)++;
}

/* Who finds the set again finds what stands beside its sockets, until the last has gone. */
static void
what_is_shared_goes_with_the_sockets(void **state)
{
	struct listen_book *b = listen_book_new(1);
	struct adit_err e = ADIT_ERR_INIT;
	struct listen_set *s = listen_get_for(b, "me", "127.0.0.1:0", LISTEN_UDP, &e), *again;
	unsigned ended = 0;

	(void)state;
	assert_non_null(s);
	assert_null(*listen_slot(s, slot_ends));
	*listen_slot(s, slot_ends) = &ended;
	again = listen_get_for(b, "me", "127.0.0.1:0", LISTEN_UDP, &e);
	assert_ptr_equal(again, s);
	assert_ptr_equal(*listen_slot(again, slot_ends), &ended);
	listen_put(b, s);
	assert_int_equal(ended, 0);
	listen_put(b, again);
	assert_int_equal(ended, 1);
	listen_book_free(b);
}

static void
tcp_and_udp_are_not_the_same_address(void **state)
{
	struct listen_book *b = listen_book_new(1);
	struct listen_set *tcp = get(b, "127.0.0.1:0", 0), *udp;

	(void)state;
	udp = get(b, text_of(listen_addr(tcp)->port), LISTEN_UDP);
	assert_ptr_not_equal(tcp, udp);
	listen_put(b, tcp);
	listen_put(b, udp);
	listen_book_free(b);
}

static void
an_address_in_use_is_refused(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct adit_err e = ADIT_ERR_INIT;
	uint16_t port = 0;
	int fd = stranger(&port, true);

	(void)state;
	assert_true(fd >= 0);
	assert_null(listen_get(b, text_of(port), 0, &e));
	assert_int_equal(e.code, -EADDRINUSE);
	assert_non_null(strstr(e.text, text_of(port)));

	/* Nothing of the attempt is left behind. */
	close(fd);
	listen_put(b, get(b, text_of(port), 0));
	listen_book_free(b);
}

static void
nobody_slips_into_our_port(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS), *daemon = listen_book_new(WORKERS);
	struct adit_err e = ADIT_ERR_INIT;
	struct listen_set *s = get(b, "127.0.0.1:0", 0);
	uint16_t port = listen_addr(s)->port;

	(void)state;
	assert_int_equal(stranger(&port, false), -EADDRINUSE);
	assert_null(listen_get(daemon, text_of(port), 0, &e));
	assert_int_equal(e.code, -EADDRINUSE);
	listen_put(b, s);
	listen_book_free(daemon);
	listen_book_free(b);
}

static void
shared_means_shared_with_others(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	uint16_t port = 0;
	int fd = stranger(&port, true);

	(void)state;
	listen_put(b, get(b, text_of(port), LISTEN_SHARED));
	close(fd);
	listen_book_free(b);
}

static void
mptcp_takes_plain_tcp_too(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct listen_set *s = get(b, "127.0.0.1:0", LISTEN_MPTCP);
	int fd = connect_to("127.0.0.1", listen_addr(s)->port, SOCK_STREAM);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	listen_put(b, s);
	listen_book_free(b);
}

static void
ipv6_and_all_addresses(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct listen_set *six = get(b, "[::1]:0", 0), *any = get(b, ":0", 0);
	char text[ADIT_ADDR_TEXT];
	int fd;

	(void)state;
	assert_int_equal(listen_addr(six)->family, AF_INET6);
	assert_string_equal(adit_addr_format_ip(listen_addr(six), text), "::1");
	fd = connect_to("::1", listen_addr(six)->port, SOCK_STREAM);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(connect_to("127.0.0.1", listen_addr(six)->port, SOCK_STREAM),
			 -ECONNREFUSED);

	fd = connect_to("127.0.0.1", listen_addr(any)->port, SOCK_STREAM);
	assert_true(fd >= 0);
	close(fd);
	fd = connect_to("::1", listen_addr(any)->port, SOCK_STREAM);
	assert_true(fd >= 0);
	close(fd);
	listen_put(b, six);
	listen_put(b, any);
	listen_book_free(b);
}

/* With 256 sources the chance that one of three sockets gets none is below 1e-44. */
static void
datagrams_are_spread_over_the_workers(void **state)
{
	struct listen_book *b = listen_book_new(WORKERS);
	struct listen_set *s = get(b, "127.0.0.1:0", LISTEN_UDP);
	unsigned total = 0;
	char c;

	(void)state;
	for (int i = 0; i < 256; i++) {
		int fd = connect_to("127.0.0.1", listen_addr(s)->port, SOCK_DGRAM);

		assert_int_equal(send(fd, "x", 1, 0), 1);
		close(fd);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		unsigned got = 0;

		while (recv(listen_fd(s, i), &c, 1, 0) == 1)
			got++;
		assert_true(got > 0);
		total += got;
	}
	assert_int_equal(total, 256);
	listen_put(b, s);
	listen_book_free(b);
}

static void
what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = { "", "127.0.0.1:x", "::1:80", "127.0.0.1:65536",
					   "127.0.0.1:-1" };
	struct listen_book *b = listen_book_new(1);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct adit_err e = ADIT_ERR_INIT;

		if (listen_get(b, bad[i], 0, &e))
			fail_msg("%s was taken", bad[i]);
		assert_true(e.code < 0);
		assert_true(*e.text);
	}
	listen_book_free(b);
}

/* ---- accepting ------------------------------------------------------------------ */

#define ACCEPTED_MAX 200

struct accepted {
	int		fds[ACCEPTED_MAX];
	int		n, expected;
};

static void
take(void *arg, int fd)
{
	struct accepted *a = arg;

	assert_true(a->n < ACCEPTED_MAX);
	a->fds[a->n++] = fd;
}

static bool
all_came(void *arg)
{
	const struct accepted *a = arg;

	return a->n == a->expected;
}

static void
accepted_close(struct accepted *a)
{
	while (a->n > 0)
		close(a->fds[--a->n]);
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
accepts_with_our_options(void **state)
{
	struct loop *l = *state;
	struct listen_book *b = listen_book_new(1);
	struct listen_set *s = get(b, "127.0.0.1:0", 0);
	struct adit_err e = ADIT_ERR_INIT;
	struct accepted in = { .expected = 1 };
	struct acceptor *a = acceptor_new(l->worker, s, take, &in, &e);
	int fd = connect_to("127.0.0.1", listen_addr(s)->port, SOCK_STREAM), got;

	assert_non_null(a);
	assert_true(loop_until(l, all_came, &in, 5000));
	got = in.fds[0];
	assert_true(fcntl(got, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	assert_true(option(got, IPPROTO_TCP, TCP_NODELAY));
	assert_true(option(got, SOL_SOCKET, SO_KEEPALIVE));
	assert_int_equal(option(got, IPPROTO_TCP, TCP_KEEPIDLE), 15);
	assert_int_equal(option(got, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 * 1024);
	accepted_close(&in);
	close(fd);
	acceptor_free(a);
	listen_put(b, s);
	listen_book_free(b);
}

static void
more_than_a_turn_takes_come_all(void **state)
{
	struct loop *l = *state;
	struct listen_book *b = listen_book_new(1);
	struct listen_set *s = get(b, "127.0.0.1:0", 0);
	struct adit_err e = ADIT_ERR_INIT;
	struct accepted in = { .expected = 150 };
	int fds[150];
	struct acceptor *a;

	for (int i = 0; i < 150; i++)
		fds[i] = connect_to("127.0.0.1", listen_addr(s)->port, SOCK_STREAM);
	a = acceptor_new(l->worker, s, take, &in, &e);
	assert_non_null(a);
	assert_true(loop_until(l, all_came, &in, 5000));
	for (int i = 0; i < 150; i++)
		close(fds[i]);
	accepted_close(&in);
	acceptor_free(a);
	listen_put(b, s);
	listen_book_free(b);
}

static void
a_process_without_descriptors_pauses_and_goes_on(void **state)
{
	struct loop *l = *state;
	struct listen_book *b = listen_book_new(1);
	struct listen_set *s = get(b, "127.0.0.1:0", 0);
	struct adit_err e = ADIT_ERR_INIT;
	struct accepted in = { .expected = 1 };
	struct rlimit old, none;
	struct acceptor *a = acceptor_new(l->worker, s, take, &in, &e);
	int fd = connect_to("127.0.0.1", listen_addr(s)->port, SOCK_STREAM), spare = dup(fd);
	uint64_t start = adit_now();

	assert_non_null(a);
	close(spare);		/* the lowest descriptor that is free */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)spare, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_turn(l, 10);
	assert_int_equal(in.n, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(loop_until(l, all_came, &in, 5000));
	assert_true(adit_now() - start >= ADIT_MS(90));
	accepted_close(&in);
	close(fd);
	acceptor_free(a);
	listen_put(b, s);
	listen_book_free(b);
}

static void
nothing_comes_after_free(void **state)
{
	struct loop *l = *state;
	struct listen_book *b = listen_book_new(1);
	struct listen_set *s = get(b, "127.0.0.1:0", 0);
	struct adit_err e = ADIT_ERR_INIT;
	struct accepted in = { .expected = 1 };
	struct acceptor *a = acceptor_new(l->worker, s, take, &in, &e);
	int fd;

	acceptor_free(a);
	acceptor_free(NULL);
	fd = connect_to("127.0.0.1", listen_addr(s)->port, SOCK_STREAM);
	loop_turn(l, 10);
	assert_int_equal(in.n, 0);

	/* What came meanwhile waits for the one who takes the socket over. */
	a = acceptor_new(l->worker, s, take, &in, &e);
	assert_true(loop_until(l, all_came, &in, 5000));
	accepted_close(&in);
	close(fd);
	acceptor_free(a);
	listen_put(b, s);
	listen_book_free(b);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_workers_share_the_port_that_was_chosen),
		cmocka_unit_test(the_same_address_is_found_again),
		cmocka_unit_test(the_same_address_in_other_words_is_found),
		cmocka_unit_test(what_is_shared_goes_with_the_sockets),
		cmocka_unit_test(tcp_and_udp_are_not_the_same_address),
		cmocka_unit_test(an_address_in_use_is_refused),
		cmocka_unit_test(nobody_slips_into_our_port),
		cmocka_unit_test(shared_means_shared_with_others),
		cmocka_unit_test(mptcp_takes_plain_tcp_too),
		cmocka_unit_test(ipv6_and_all_addresses),
		cmocka_unit_test(datagrams_are_spread_over_the_workers),
		cmocka_unit_test(what_is_no_address_is_refused),
		WITH_LOOP(accepts_with_our_options),
		WITH_LOOP(more_than_a_turn_takes_come_all),
		WITH_LOOP(a_process_without_descriptors_pauses_and_goes_on),
		WITH_LOOP(nothing_comes_after_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
