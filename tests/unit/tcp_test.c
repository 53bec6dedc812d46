/* What is special about sockets; the conformance test covers what all conns do. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/conn/tcp.h"
#include "tests/unit/conformance.h"
#include "tests/unit/loop.h"

#define LIMIT 10000

/* A conn whose other end is a bare socket, blocking reads of which are the test's. */
struct world {
	struct loop		*loop;
	struct adit_conn	*conn;
	int			 peer;
	ssize_t			 last;		/* what the owner's last read gave */
	size_t			 got;		/* bytes the owner has read */
	unsigned		 calls;
};

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));
	int fds[2];

	assert_non_null(t);
	t->loop = loop_new();
	assert_int_equal(conformance_tcp_sockets(fds), 0);
	t->conn = tcp_conn(t->loop->worker, fds[0], false);
	assert_non_null(t->conn);
	t->peer = fds[1];
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	if (t->peer >= 0)
		close(t->peer);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void
reset_by_peer(struct world *t)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(t->peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(t->peer);
	t->peer = -1;
}

/* Reads until there is nothing more, as a pump does, into a buffer that is larger than what comes.
 */
static void
on_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct world *t = owner;
	char buf[4096];

	(void)events;
	t->calls++;
	t->last = adit_conn_read(c, buf, sizeof(buf));
	if (t->last > 0)
		t->got += (size_t)t->last;
	else if (t->last != -EAGAIN)
		adit_conn_want(c, 0);
}

static void
own(struct world *t)
{
	adit_conn_own(t->conn, on_event, t);
	adit_conn_want(t->conn, ADIT_READ);
}

static bool
ended(void *arg)
{
	const struct world *t = arg;

	return t->last == 0 && t->calls;
}

static bool
failed(void *arg)
{
	const struct world *t = arg;

	return t->last < 0 && t->last != -EAGAIN;
}

static bool
has_5(void *arg)
{
	return ((struct world *)arg)->got == 5;
}

/* The peer's next bytes, the end (0) or -errno; turns the loop while there is nothing. */
static ssize_t
peer_reads(struct world *t, void *buf, size_t len)
{
	uint64_t start = adit_now();
	ssize_t n;

	do {
		loop_turn(t->loop, 1);
		n = recv(t->peer, buf, len, MSG_DONTWAIT);
	} while (n < 0 && errno == EAGAIN && adit_now() - start < ADIT_MS(LIMIT));
	return n < 0 ? -errno : n;
}

static void
data_and_a_reset_at_once(void **state)
{
	struct world *t = *state;

	own(t);
	loop_turn(t->loop, 3);
	assert_int_equal(send(t->peer, "hello", 5, 0), 5);
	reset_by_peer(t);
	assert_true(loop_until(t->loop, failed, t, LIMIT));
	assert_int_equal(t->got, 5);
	assert_int_equal(t->last, -ECONNRESET);
	adit_conn_close(t->conn, 0);
}

static void
data_and_the_end_at_once(void **state)
{
	struct world *t = *state;

	own(t);
	loop_turn(t->loop, 3);
	assert_int_equal(send(t->peer, "hello", 5, 0), 5);
	shutdown(t->peer, SHUT_WR);
	assert_true(loop_until(t->loop, ended, t, LIMIT));
	assert_int_equal(t->got, 5);
	adit_conn_close(t->conn, 0);
}

/* An owner that has read all is not called again: it would be a busy loop. */
static void
nobody_is_called_in_vain(void **state)
{
	struct world *t = *state;
	unsigned calls;

	own(t);
	assert_int_equal(send(t->peer, "hello", 5, 0), 5);
	assert_true(loop_until(t->loop, has_5, t, LIMIT));
	loop_turn(t->loop, 5);
	calls = t->calls;
	loop_turn(t->loop, 20);
	assert_int_equal(t->calls, calls);
	adit_conn_close(t->conn, 0);
}

/* What a close over unread input would turn into a reset that overtakes our last bytes. */
static void
a_polite_close_delivers_all(void **state)
{
	struct world *t = *state;
	static char out[300000];
	char buf[4096];
	size_t got = 0;
	ssize_t n;

	memset(out, 'o', sizeof(out));
	assert_int_equal(send(t->peer, "unread", 6, 0), 6);
	while (!adit_conn_is_open(t->conn))
		loop_turn(t->loop, 1);
	n = adit_conn_write(t->conn, out, sizeof(out));
	assert_true(n > 0);
	adit_conn_close(t->conn, 0);
	assert_int_equal(send(t->peer, "late", 4, MSG_NOSIGNAL), 4);
	while (got < (size_t)n) {
		ssize_t m = peer_reads(t, buf, sizeof(buf));

		assert_true(m > 0);
		got += (size_t)m;
	}
	assert_int_equal(peer_reads(t, buf, sizeof(buf)), 0);
	/* Still no reset: the conn reads on until the peer ends, too. */
	assert_int_equal(send(t->peer, "later", 5, MSG_NOSIGNAL), 5);
	loop_turn(t->loop, 3);
	assert_int_equal(send(t->peer, "latest", 6, MSG_NOSIGNAL), 6);
}

/* The worker's scratch belongs to the callback that is running, which may be in the middle of it.
 */
static void
closing_leaves_the_scratch_alone(void **state)
{
	struct world *t = *state;
	size_t len;
	char *scratch = adit_worker_scratch(t->loop->worker, &len);

	memset(scratch, 's', len);
	assert_int_equal(send(t->peer, "unread", 6, 0), 6);
	adit_conn_close(t->conn, 0);
	assert_memory_equal(scratch, "ssssss", 6);
	loop_turn(t->loop, 3);
	assert_int_equal(send(t->peer, "later", 5, MSG_NOSIGNAL), 5);
}

static void
an_abortive_close_is_a_reset(void **state)
{
	struct world *t = *state;
	char c;

	assert_int_equal(adit_conn_write(t->conn, "x", 1), 1);
	adit_conn_close(t->conn, -ECONNABORTED);
	/* The reset overtakes what has not been read yet, or comes after it. */
	if (peer_reads(t, &c, 1) == 1)
		assert_int_equal(peer_reads(t, &c, 1), -ECONNRESET);
}

static void
a_failed_conn_is_reset_whatever_close_says(void **state)
{
	struct world *t = *state;
	char c;

	adit_conn_fail(t->conn, -ETIMEDOUT);
	adit_conn_close(t->conn, 0);
	assert_int_equal(peer_reads(t, &c, 1), -ECONNRESET);
}

static void
addresses(void **state)
{
	struct world *t = *state;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	assert_int_equal(getsockname(t->peer, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(adit_conn_remote(t->conn)->port, ntohs(sin.sin_port));
	assert_int_equal(getpeername(t->peer, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(adit_conn_local(t->conn)->port, ntohs(sin.sin_port));
	adit_conn_close(t->conn, 0);
}

static void
unacknowledged_bytes(void **state)
{
	struct world *t = *state;
	static char out[100000];
	int n;

	assert_int_equal(tcp_unacked(t->conn), 0);
	/* Nobody reads at the peer, whose buffer is smaller than this. */
	n = 4096;
	setsockopt(t->peer, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
	assert_true(adit_conn_write(t->conn, out, sizeof(out)) > 0);
	assert_true(tcp_unacked(t->conn) > 0);
	adit_conn_close(t->conn, -ECONNABORTED);
}

/* ---- connecting -------------------------------------------------------------------- */

static void
on_open(void *owner, struct adit_conn *c, unsigned events)
{
	(void)events;
	*(bool *)owner = true;
	adit_conn_want(c, 0);
}

static bool
is_set(void *arg)
{
	return *(bool *)arg;
}

static int
tcp_listener(struct adit_addr *at)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*at = adit_addr_from((struct sockaddr *)&sin, len);
	return fd;
}

static void
connecting(void **state)
{
	struct loop *l = *state;
	struct adit_addr at;
	int fd = tcp_listener(&at);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = tcp_connect(l->worker, &at, 5000, &e);
	bool told = false;

	assert_non_null(c);
	adit_conn_own(c, on_open, &told);
	adit_conn_want(c, ADIT_OPEN);
	assert_true(loop_until(l, is_set, &told, LIMIT));
	assert_int_equal(adit_conn_err(c), -ECONNREFUSED);
	adit_conn_close(c, 0);

	assert_int_equal(listen(fd, 1), 0);
	c = tcp_connect(l->worker, &at, 5000, &e);
	assert_non_null(c);
	told = false;
	adit_conn_own(c, on_open, &told);
	adit_conn_want(c, ADIT_OPEN);
	assert_true(loop_until(l, is_set, &told, LIMIT));
	assert_true(adit_conn_is_open(c));
	assert_int_equal(adit_conn_remote(c)->port, at.port);
	adit_conn_close(c, 0);
	close(fd);
	assert_null(tcp_connect(l->worker, &(struct adit_addr){ .family = 0 }, 0, &e));
	assert_int_equal(e.code, -EAFNOSUPPORT);
}

static void
connecting_by_path(void **state)
{
	struct loop *l = *state;
	char dir[] = "/tmp/adit-tcp-XXXXXX", path[200];
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	assert_null(unix_connect(l->worker, path, &e));
	assert_int_equal(e.code, -ENOENT);
	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	c = unix_connect(l->worker, path, &e);
	assert_non_null(c);
	assert_true(adit_conn_is_open(c));
	assert_int_equal(adit_conn_remote(c)->family, AF_UNIX);
	adit_conn_close(c, 0);
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_null(unix_connect(l->worker, path, &e));
	assert_int_equal(e.code, -ENAMETOOLONG);
	close(fd);
	unlink(un.sun_path);
	rmdir(dir);
}

/* ---- moving ------------------------------------------------------------------------- */

#define MOVES 6

struct traveller {
	struct worker_group	*group;
	struct adit_conn	*conn;
	atomic_int		 moves, ended;
	char			 text[64];
	size_t			 len;
};

static void travel(struct traveller *t);

static void
traveller_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct traveller *t = owner;
	ssize_t n = adit_conn_read(c, t->text + t->len, 1);

	(void)events;
	if (n == 1) {
		t->len++;
		travel(t);
	} else if (n != -EAGAIN) {
		adit_conn_close(c, n ? -ECONNABORTED : 0);
		atomic_store(&t->ended, n == 0 ? 1 : -1);
	}
}

static void
arrived(struct adit_conn *c, void *arg)
{
	struct traveller *t = arg;

	adit_conn_own(c, traveller_event, t);
	adit_conn_want(c, ADIT_READ);
}

/* After each byte to the other worker, as long as there are moves left; some bytes are given back
 * on the way. */
static void
travel(struct traveller *t)
{
	int n = atomic_fetch_add(&t->moves, 1);
	struct adit_worker *to = workers_at(t->group, (unsigned)(n + 1) % 2);

	if (n >= MOVES)
		return;
	if (n == 2) {
		t->len--;
		assert_int_equal(adit_conn_unread(t->conn, t->text + t->len, 1), 0);
	}
	assert_int_equal(adit_conn_move(t->conn, to, arrived, t), 0);
}

static void
set_off(struct adit_worker *w, void *arg)
{
	struct traveller *t = arg;

	if (adit_worker_index(w) || !t)
		return;
	adit_conn_own(t->conn, traveller_event, t);
	adit_conn_want(t->conn, ADIT_READ);
}

struct making {
	struct traveller	*traveller;
	int			 fd;
};

static void
make_conn(struct adit_worker *w, void *arg)
{
	struct making *m = arg;

	if (adit_worker_index(w) == 0)
		m->traveller->conn = tcp_conn(w, m->fd, false);
}

static void
moving_between_workers(void **state)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct traveller t = { .group = workers_start(&(struct worker_conf){ .workers = 2 }, &e) };
	uint64_t start = adit_now();
	int fds[2];

	(void)state;
	assert_non_null(t.group);
	assert_int_equal(conformance_tcp_sockets(fds), 0);
	workers_call(t.group, make_conn, &(struct making){ .traveller = &t, .fd = fds[0] });
	assert_non_null(t.conn);
	workers_call(t.group, set_off, &t);
	assert_int_equal(send(fds[1], "0123456789", 10, 0), 10);
	shutdown(fds[1], SHUT_WR);
	while (!atomic_load(&t.ended) && adit_now() - start < ADIT_SECONDS(20))
		workers_call(t.group, set_off, NULL);
	assert_int_equal(atomic_load(&t.ended), 1);
	assert_int_equal(t.len, 10);
	assert_memory_equal(t.text, "0123456789", 10);
	assert_true(atomic_load(&t.moves) > MOVES);
	close(fds[1]);
	workers_stop(t.group);
}

static void
count_arrival(struct adit_conn *c, void *arg)
{
	*(int *)arg += c ? 1 : 10;
}

static void
moving_to_the_same_worker(void **state)
{
	struct loop *l = loop_new();
	int fds[2], arrivals = 0;
	struct adit_conn *c;
	char byte;

	(void)state;
	assert_int_equal(conformance_tcp_sockets(fds), 0);
	c = tcp_conn(l->worker, fds[0], false);
	assert_int_equal(adit_conn_move(c, l->worker, count_arrival, &arrivals), 0);
	loop_turn(l, 2);
	assert_int_equal(arrivals, 1);
	adit_conn_close(c, -ECONNABORTED);
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fds[1]);
	loop_free(l);
}

static void
what_is_opening_or_failed_does_not_move(void **state)
{
	struct loop *l = *state;
	struct adit_conn *c = tcp_dialing(l->worker);
	int arrivals = 0;

	assert_int_equal(adit_conn_move(c, l->worker, count_arrival, &arrivals), -ENOTSUP);
	adit_conn_fail(c, -ETIMEDOUT);
	assert_int_equal(adit_conn_move(c, l->worker, count_arrival, &arrivals), -ENOTSUP);
	adit_conn_close(c, 0);
	loop_turn(l, 2);
	assert_int_equal(arrivals, 0);
}

/* ---- dialing -------------------------------------------------------------------------- */

static void
count(void *arg)
{
	++*(int *)arg;
}

static void
cancelling(void **state)
{
	struct loop *l = *state;
	struct adit_conn *c = tcp_dialing(l->worker);
	int cancelled = 0, fds[2];

	tcp_on_cancel(c, count, &cancelled);
	assert_int_equal(adit_conn_write(c, "x", 1), -EAGAIN);
	adit_conn_close(c, 0);
	assert_int_equal(cancelled, 1);

	c = tcp_dialing(l->worker);
	tcp_on_cancel(c, count, &cancelled);
	assert_int_equal(conformance_tcp_sockets(fds), 0);
	tcp_adopt(c, fds[0]);
	assert_true(adit_conn_is_open(c));
	adit_conn_close(c, 0);
	assert_int_equal(cancelled, 1);
	close(fds[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITH_LOOP(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_and_a_reset_at_once),
		TEST(data_and_the_end_at_once),
		TEST(nobody_is_called_in_vain),
		TEST(a_polite_close_delivers_all),
		TEST(closing_leaves_the_scratch_alone),
		TEST(an_abortive_close_is_a_reset),
		TEST(a_failed_conn_is_reset_whatever_close_says),
		TEST(addresses),
		TEST(unacknowledged_bytes),
		WITH_LOOP(connecting),
		WITH_LOOP(connecting_by_path),
		cmocka_unit_test(moving_between_workers),
		cmocka_unit_test(moving_to_the_same_worker),
		WITH_LOOP(what_is_opening_or_failed_does_not_move),
		WITH_LOOP(cancelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
