#include "tests/unit/conformance.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/conn/tcp.h"
#include "tests/unit/jitter.h"

#define LIMIT_MS 60000		/* of a wait that should not fail; generous for TSan */
#define CLOSING_BYTES 300000	/* each way, while an end is closed */
#define PAIR_CAP 65536
#define PATTERN_LEN 65521	/* a prime: a shift by any power of two shows */

enum { MODE_PLAIN, MODE_BYTEWISE, MODE_RANDOM, MODES };

static const char *const mode_names[MODES] = { "plain", "bytewise", "random" };

/* ---- makers ------------------------------------------------------------------------- */

static struct adit_conn *
jittered(struct conformance *t, struct adit_conn *c)
{
	struct jitter_opts opts = { .again = 30, .seed = t->seed++ };

	if (!c || t->mode == MODE_PLAIN)
		return c;
	opts.read_max = t->mode == MODE_BYTEWISE ? 1 : 3000;
	opts.write_max = t->mode == MODE_BYTEWISE ? 1 : 5000;
	return jitter_conn(c, &opts);
}

int
conformance_make_pair(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	return adit_conn_pair(t->loop->worker, t->loop->worker, PAIR_CAP, a, b);
}

int
conformance_lower(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	int err = conformance_make_pair(t, a, b);

	if (err < 0)
		return err;
	t->below = true;
	*a = jittered(t, *a);
	*b = jittered(t, *b);
	return *a && *b ? 0 : -ENOMEM;
}

static int
tcp_listener(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)addr, len) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)addr, &len) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

int
conformance_tcp_sockets(int fds[2])
{
	struct sockaddr_in addr;
	int listener = tcp_listener(&addr), err;

	if (listener < 0)
		return listener;
	fds[0] = tcp_socket(AF_INET);
	err = connect(fds[0], (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	fds[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	close(listener);
	return fds[1] >= 0 && (!err || err == -EINPROGRESS) ? 0 : -ECONNREFUSED;
}

static int
make_from_sockets(struct conformance *t, int fds[2], struct adit_conn **a, struct adit_conn **b)
{
	*a = tcp_conn(t->loop->worker, fds[0], false);
	*b = tcp_conn(t->loop->worker, fds[1], false);
	return *a && *b ? 0 : -ENOMEM;
}

int
conformance_make_tcp(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	int fds[2], err = conformance_tcp_sockets(fds);

	return err < 0 ? err : make_from_sockets(t, fds, a, b);
}

int
conformance_make_unix(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	return make_from_sockets(t, fds, a, b);
}

/* ---- a peer: the owner of one end ------------------------------------------------------ */

struct peer {
	struct adit_conn	*conn;		/* NULL once closed */
	struct peer		*other;
	unsigned		 start;		/* where in the pattern its bytes begin */
	uint64_t		 to_send, sent, received;
	size_t			 read_len;	/* of one read; 0: 64 KiB */
	bool			 stopped;	/* does not read */
	bool			 end_after;	/* shutdown when all is sent */
	bool			 shut, ended;	/* shutdown was called; an end was read */
	bool			 refused;	/* the last write answered -EAGAIN */
	bool			 calling;	/* inside a call on conn */
	int			 err;		/* the failure that was seen, or 0 */
	uint64_t		 close_at;	/* bytes sent and read, then it closes itself */
	int			 close_why;
	bool			 closes;
	bool			 ignores;	/* the check reads by hand */
};

static uint8_t pattern[2 * PATTERN_LEN];

static void
pattern_make(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < PATTERN_LEN; i++)
		pattern[i] = pattern[i + PATTERN_LEN] = (uint8_t)jitter_next(&seed);
}

static const uint8_t *
pattern_at(const struct peer *p, uint64_t offset)
{
	return pattern + (offset + p->start) % PATTERN_LEN;
}

static void
peer_failed(struct peer *p, int err)
{
	assert_true(err < 0);
	if (p->err)
		assert_int_equal(err, p->err);	/* the first one stays */
	p->err = err;
	assert_int_equal(adit_conn_err(p->conn), err);
}

static void
peer_close(struct peer *p, int why)
{
	struct adit_conn *c = p->conn;

	p->conn = NULL;
	p->calling = true;
	adit_conn_close(c, why);
	p->calling = false;
}

static void
peer_want(struct peer *p)
{
	unsigned want = ADIT_OPEN;

	if (adit_conn_is_open(p->conn) || adit_conn_err(p->conn))
		want = 0;
	if (!p->stopped && !p->ended && !p->err)
		want |= ADIT_READ;
	if ((p->sent < p->to_send || (p->end_after && !p->shut)) && !p->err)
		want |= ADIT_WRITE;
	p->calling = true;
	adit_conn_want(p->conn, want);
	p->calling = false;
}

/* One read, checked against what the other one has sent. Returns whether there may be more. */
static bool
peer_read(struct peer *p)
{
	static uint8_t buf[PATTERN_LEN];
	size_t len = p->read_len ? p->read_len : sizeof(buf);
	ssize_t n;

	p->calling = true;
	n = adit_conn_read(p->conn, buf, len);
	p->calling = false;
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		peer_failed(p, (int)n);
		return false;
	}
	assert_true((size_t)n <= len);
	if (n == 0) {
		p->ended = true;
		return false;
	}
	assert_false(p->ended);
	assert_true(p->received + (uint64_t)n <= p->other->sent);
	assert_memory_equal(buf, pattern_at(p->other, p->received), (size_t)n);
	p->received += (uint64_t)n;
	return true;
}

/*
 * One write of what is left, in several pieces, an empty one among them. Returns whether it may
 * take more.
 */
static bool
peer_write(struct peer *p)
{
	uint64_t left = p->to_send - p->sent;
	size_t len = left < 40000 ? (size_t)left : 40000, cut = len / 3;
	struct iovec iov[] = {
		{ .iov_base = (void *)(uintptr_t)pattern_at(p, p->sent), .iov_len = cut },
		{ .iov_base = NULL, .iov_len = 0 },
		{ .iov_base = (void *)(uintptr_t)pattern_at(p, p->sent + cut),
		  .iov_len = len - cut },
	};
	ssize_t n;

	if (!len)
		return false;
	p->calling = true;
	n = adit_conn_writev(p->conn, iov, 3);
	p->calling = false;
	p->refused = n == -EAGAIN;
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		peer_failed(p, (int)n);
		return false;
	}
	assert_in_range(n, 1, len);
	p->sent += (uint64_t)n;
	return true;
}

static void
peer_end(struct peer *p)
{
	int err;

	p->shut = true;
	p->calling = true;
	err = adit_conn_shutdown(p->conn);
	p->calling = false;
	if (err < 0)
		peer_failed(p, err);
}

static bool
peer_closes_now(const struct peer *p)
{
	return p->closes && p->sent + p->received >= p->close_at;
}

static void
peer_woken(void *owner, struct adit_conn *c, unsigned events)
{
	struct peer *p = owner;

	assert_ptr_equal(c, p->conn);		/* also: not after close */
	assert_false(p->calling);
	assert_int_equal(events & ~adit_conn_wanted(c), 0);
	if (p->ignores)
		return;
	for (int i = 0; i < 4; i++) {
		bool more = false;

		if (peer_closes_now(p)) {
			peer_close(p, p->close_why);
			return;
		}
		if (!p->stopped && !p->ended && !p->err)
			more |= peer_read(p);
		/* Who does not read learns of a failure by writing. */
		if (!p->err && (adit_conn_is_open(c) || (p->stopped && adit_conn_err(c))))
			more |= peer_write(p);
		if (!more)
			break;
	}
	if (p->end_after && !p->shut && p->sent == p->to_send && !p->err && adit_conn_is_open(c))
		peer_end(p);
	peer_want(p);
}

static void
peer_go(struct peer *p)
{
	if (p->conn)
		peer_want(p);
}

/* ---- one check ------------------------------------------------------------------------- */

struct check {
	struct conformance	 run;
	const char		*what;
	struct peer		 a, b;
	uint64_t		 mark;		/* after how many bytes */
	bool			 close_b;	/* which side closes; else a */
	int			 close_why;
	uint8_t			 taken[10];	/* read by hand */
	size_t			 n_taken;
};

struct check_row {
	const char	*what;
	void		(*body)(struct check *k);
};

/* The bytes of large transfers: in the modes with trouble each costs a loop turn or a call. */
static uint64_t
scaled(const struct check *k, uint64_t n)
{
	static const uint64_t most[] = {
		[MODE_PLAIN] = 8 << 20, [MODE_BYTEWISE] = 2000, [MODE_RANDOM] = 500000,
	};

	return n < most[k->run.mode] ? n : most[k->run.mode];
}

static bool
has(const struct check *k, unsigned flag)
{
	return k->run.test->flags & flag;
}

static void
peer_init(struct peer *p, struct adit_conn *c, struct peer *other, unsigned start)
{
	assert_non_null(c);
	*p = (struct peer){ .conn = c, .other = other, .start = start };
	adit_conn_own(c, peer_woken, p);
}

static bool
both_open(void *arg)
{
	struct check *k = arg;

	return adit_conn_is_open(k->a.conn) && adit_conn_is_open(k->b.conn);
}

static void
check_open(struct check *k)
{
	peer_go(&k->a);
	peer_go(&k->b);
	assert_true(loop_until(k->run.loop, both_open, k, LIMIT_MS));
}

static void
check_make(struct check *k)
{
	struct adit_conn *a = NULL, *b = NULL;

	assert_int_equal(k->run.test->make(&k->run, &a, &b), 0);
	if (!k->run.below) {
		a = jittered(&k->run, a);
		b = jittered(&k->run, b);
	}
	peer_init(&k->a, a, &k->b, 17);
	peer_init(&k->b, b, &k->a, 40009);
}

static void
check_finish(struct check *k)
{
	peer_close(&k->a, 0);
	peer_close(&k->b, 0);
	if (k->run.test->finish)
		k->run.test->finish(&k->run);
	loop_free(k->run.loop);
}

/* Runs one check on fresh ends; how says in which mode, and how to close. */
static void
check(const struct check *how, const struct check_row *row)
{
	struct check *k = malloc(sizeof(*k));

	assert_non_null(k);
	*k = *how;
	k->run.loop = loop_new();
	k->run.seed = jitter_seed();
	k->what = row->what;
	check_make(k);
	row->body(k);
	check_finish(k);
	free(k);
}

static void
print_peer(const char *name, const struct peer *p)
{
	print_error("  %s: sent %llu of %llu, received %llu, %s, %s\n", name,
		    (unsigned long long)p->sent, (unsigned long long)p->to_send,
		    (unsigned long long)p->received, p->ended ? "ended" : "open",
		    p->err ? adit_strerror(p->err) : p->conn ? "well" : "closed");
}

static void
print_state(const struct check *k)
{
	print_error("%s, %s: %s (at %llu, side %c, why %d): not within the limit\n",
		    k->run.test->name, mode_names[k->run.mode], k->what,
		    (unsigned long long)k->mark, k->close_b ? 'b' : 'a', k->close_why);
	print_peer("a", &k->a);
	print_peer("b", &k->b);
}

static void
until(struct check *k, bool (*cond)(void *arg), void *arg)
{
	bool met;

	peer_go(&k->a);
	peer_go(&k->b);
	met = loop_until(k->run.loop, cond, arg, LIMIT_MS);
	if (!met)
		print_state(k);
	assert_true(met);
}

static bool
all_received(void *arg)
{
	struct check *k = arg;

	return k->a.received == k->b.to_send && k->b.received == k->a.to_send;
}

static bool
has_ended(void *arg)
{
	const struct peer *p = arg;

	return p->ended || p->err;
}

static bool
has_failed(void *arg)
{
	return ((struct peer *)arg)->err != 0;
}

static bool
both_ended(void *arg)
{
	struct check *k = arg;

	return has_ended(&k->a) && has_ended(&k->b);
}

/* ---- bytes ------------------------------------------------------------------------------ */

static void
bytes_arrive_both_ways(struct check *k)
{
	static const uint64_t sizes[] = { 1, 2, 100, 4096, 65536, 1 << 20, 8 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		k->a.to_send += scaled(k, sizes[i]);
		k->b.to_send += scaled(k, sizes[sizeof(sizes) / sizeof(*sizes) - 1 - i]);
		until(k, all_received, k);
	}
	assert_false(k->a.ended || k->b.ended || k->a.err || k->b.err);
}

static void
bytes_arrive_in_small_reads(struct check *k)
{
	k->a.to_send = k->b.to_send = scaled(k, 10000);
	k->a.read_len = 1;
	k->b.read_len = 7;
	until(k, all_received, k);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void
half_close(struct check *k, struct peer *first, struct peer *second)
{
	first->to_send = scaled(k, 300000);
	first->end_after = true;
	until(k, has_ended, second);
	assert_true(second->ended);
	assert_int_equal(second->received, first->to_send);
	assert_false(first->ended);

	/* The end is a level: it is read again. */
	second->ended = false;
	until(k, has_ended, second);
	assert_true(second->ended);

	second->to_send = scaled(k, 500000);
	second->end_after = true;
	until(k, has_ended, first);
	assert_true(first->ended);
	assert_int_equal(first->received, second->to_send);
}

static void
no_half_close(struct check *k)
{
	check_open(k);
	assert_int_equal(adit_conn_shutdown(k->a.conn), -ENOTSUP);
	assert_int_equal(adit_conn_err(k->a.conn), 0);
	k->a.to_send = k->b.to_send = scaled(k, 100000);
	until(k, all_received, k);
}

static void
one_direction_ends_then_the_other(struct check *k)
{
	if (has(k, CONFORMANCE_NO_HALF_CLOSE))
		no_half_close(k);
	else
		half_close(k, &k->a, &k->b);
}

static void
the_other_direction_ends_first(struct check *k)
{
	if (!has(k, CONFORMANCE_NO_HALF_CLOSE))
		half_close(k, &k->b, &k->a);
}

static void
an_end_without_bytes(struct check *k)
{
	if (has(k, CONFORMANCE_NO_HALF_CLOSE))
		return;
	k->a.end_after = k->b.end_after = true;
	until(k, both_ended, k);
	assert_true(k->a.ended && k->b.ended);
}

static bool
all_sent(void *arg)
{
	const struct peer *p = arg;

	return p->sent == p->to_send;
}

static void
close_delivers(struct check *k, struct peer *closer, struct peer *reader)
{
	closer->to_send = scaled(k, 1000000);
	until(k, all_sent, closer);
	peer_close(closer, 0);
	until(k, has_ended, reader);
	assert_true(reader->ended);
	assert_int_equal(reader->received, closer->sent);
}

static void
a_polite_close_delivers_first(struct check *k)
{
	close_delivers(k, &k->a, &k->b);
}

static void
a_polite_close_of_the_other_too(struct check *k)
{
	close_delivers(k, &k->b, &k->a);
}

/* Half of the bytes are still on the way when the reader begins. */
static void
a_polite_close_delivers_to_who_was_slow(struct check *k)
{
	check_open(k);
	k->b.stopped = true;
	k->a.to_send = k->run.mode == MODE_BYTEWISE ? 200 : 30000;	/* kernels count buffers */
	until(k, all_sent, &k->a);
	peer_close(&k->a, 0);
	loop_turn(k->run.loop, 5);
	k->b.stopped = false;
	until(k, has_ended, &k->b);
	assert_true(k->b.ended);
	assert_int_equal(k->b.received, k->a.sent);
}

/* ---- failures ----------------------------------------------------------------------------- */

static void
failure_stays(struct peer *p)
{
	char byte;

	assert_int_equal(adit_conn_read(p->conn, &byte, 1), p->err);
	assert_int_equal(adit_conn_write(p->conn, "x", 1), p->err);
	assert_int_equal(adit_conn_shutdown(p->conn), p->err);
	assert_int_equal(adit_conn_read(p->conn, &byte, 1), p->err);
	assert_false(adit_conn_is_open(p->conn));
}

static void
reset(struct check *k, struct peer *from, struct peer *to)
{
	k->a.to_send = k->b.to_send = scaled(k, 100000);
	until(k, all_received, k);
	peer_close(from, -ECONNRESET);
	if (has(k, CONFORMANCE_NO_RESET)) {
		until(k, has_ended, to);
		return;
	}
	until(k, has_failed, to);
	assert_false(to->ended);
	failure_stays(to);
}

static void
a_reset_is_a_failure_at_the_other_side(struct check *k)
{
	reset(k, &k->a, &k->b);
}

static void
a_reset_from_the_other_side(struct check *k)
{
	reset(k, &k->b, &k->a);
}

/* A writer, too, learns that nobody is there any more, without reading. */
static void
writing_to_who_left_fails(struct check *k)
{
	check_open(k);
	k->b.stopped = true;
	peer_close(&k->a, -ECONNRESET);
	k->b.to_send = UINT64_MAX;
	if (has(k, CONFORMANCE_NO_RESET))
		k->b.stopped = false;
	until(k, has_ended, &k->b);
}

static void
a_deadline_is_a_failure(struct check *k)
{
	check_open(k);
	adit_conn_deadline(k->b.conn, 60000);
	adit_conn_deadline(k->b.conn, 10);
	until(k, has_failed, &k->b);
	assert_int_equal(k->b.err, -ETIMEDOUT);
	failure_stays(&k->b);
	peer_close(&k->b, -ETIMEDOUT);
	until(k, has_ended, &k->a);
}

static void
a_deadline_taken_back_is_none(struct check *k)
{
	check_open(k);
	adit_conn_deadline(k->b.conn, 5);
	adit_conn_deadline(k->b.conn, 0);
	adit_conn_deadline(k->a.conn, 20);
	k->a.to_send = k->b.to_send = 1000;
	until(k, has_failed, &k->a);
	assert_int_equal(k->a.err, -ETIMEDOUT);
	assert_int_equal(adit_conn_err(k->b.conn), 0);
}

/* ---- backpressure --------------------------------------------------------------------------- */

static bool
is_stuck(void *arg)
{
	struct check *k = arg;
	const struct conformance_case *test = k->run.test;
	size_t bound = test->chunks ? test->chunks : 1 << 20;
	uint64_t before;

	/* Refused for a while: whatever could still move has moved. */
	do {
		before = k->a.sent;
		assert_true(before <= (test->in_flight ? test->in_flight : 16 << 20));
		assert_true(chunk_pool_used(worker_chunks(k->run.loop->worker)) <= bound);
		loop_turn(k->run.loop, 200);
	} while (k->a.sent != before);
	return k->a.refused;
}

static void
who_does_not_read_stops_who_writes(struct check *k)
{
	if (k->run.mode == MODE_BYTEWISE)
		return;			/* a call per byte of what sockets hold: hours */
	check_open(k);
	k->b.stopped = true;
	k->a.to_send = UINT64_MAX;
	until(k, is_stuck, k);
	assert_true(k->a.sent > 0);
	assert_int_equal(k->b.received, 0);

	/* The other direction is not stopped by it. */
	k->b.to_send = scaled(k, 300000);
	until(k, all_sent, &k->b);

	/* a may have sent more meanwhile: a kernel's buffers grow. */
	k->b.stopped = false;
	k->a.to_send = k->a.sent + scaled(k, 3000000);
	until(k, all_received, k);
}

static bool
has_moved(void *arg)
{
	struct check *k = arg;

	return k->b.received > k->mark;
}

/* A reader that stops and goes on, again and again: no wake-up is lost. */
static void
a_reader_that_pauses_misses_nothing(struct check *k)
{
	k->a.to_send = scaled(k, 2000000);
	k->b.read_len = 30000;
	while (k->b.received < k->a.to_send) {
		k->b.stopped = true;
		peer_go(&k->a);
		peer_go(&k->b);
		loop_turn(k->run.loop, 3);
		k->b.stopped = false;
		k->mark = k->b.received;
		until(k, has_moved, k);
	}
}

/*
 * ---- giving back ------------------------------------------------------------------------------
 */

static bool
read_by_hand(void *arg)
{
	struct check *k = arg;
	ssize_t n = adit_conn_read(k->b.conn, k->taken, 10);

	if (n == -EAGAIN)
		return false;
	assert_in_range(n, 1, 10);
	k->n_taken = (size_t)n;
	return true;
}

static void
bytes_given_back_are_read_again(struct check *k)
{
	static const uint8_t much[65536];
	uint8_t again[10];
	size_t n;

	check_open(k);
	k->b.stopped = true;
	k->a.to_send = 200;
	k->a.end_after = !has(k, CONFORMANCE_NO_HALF_CLOSE);
	until(k, all_sent, &k->a);
	adit_conn_want(k->b.conn, ADIT_READ);
	k->b.ignores = true;
	assert_true(loop_until(k->run.loop, read_by_hand, k, LIMIT_MS));
	k->b.ignores = false;
	n = k->n_taken;
	assert_int_equal(adit_conn_unread(k->b.conn, k->taken, n), 0);
	assert_int_equal(adit_conn_splice_fd(k->b.conn, ADIT_READ), -1);
	assert_int_equal(adit_conn_unread(k->b.conn, much, sizeof(much) - n + 1), -ENOBUFS);
	assert_int_equal(adit_conn_read(k->b.conn, again, 1), 1);
	assert_int_equal(again[0], k->taken[0]);
	assert_int_equal(adit_conn_unread(k->b.conn, again, 1), 0);
	k->b.stopped = false;
	until(k, all_received, k);
	if (k->a.end_after)
		until(k, has_ended, &k->b);
}

/*
 * ---- closing at every point ---------------------------------------------------------------------
 */

static struct peer *
closer_of(struct check *k)
{
	return k->close_b ? &k->b : &k->a;
}

static bool
is_closed(void *arg)
{
	return ((struct peer *)arg)->conn == NULL;
}

/* The one that is left learns of it, as far as the protocol can say so. */
static void
other_learns(struct check *k)
{
	if (has(k, CONFORMANCE_DGRAM_LOSSY))
		loop_turn(k->run.loop, 10);
	else
		until(k, has_ended, closer_of(k)->other);
}

static void
closed_before_open(struct check *k)
{
	peer_close(closer_of(k), k->close_why);
	other_learns(k);
}

static void
closed_after_some_bytes(struct check *k)
{
	struct peer *closer = closer_of(k);

	k->a.to_send = k->b.to_send = scaled(k, CLOSING_BYTES);
	closer->closes = true;
	closer->close_at = k->mark;
	closer->close_why = k->close_why;
	until(k, is_closed, closer);
	other_learns(k);
}

static bool
has_received_some(void *arg)
{
	struct check *k = arg;

	return closer_of(k)->received >= k->mark;
}

static void
closed_from_outside(struct check *k)
{
	k->a.to_send = k->b.to_send = scaled(k, CLOSING_BYTES);
	until(k, has_received_some, k);
	peer_close(closer_of(k), k->close_why);
	other_learns(k);
}

static void
both_closed_at_once(struct check *k)
{
	k->a.to_send = k->b.to_send = scaled(k, CLOSING_BYTES);
	until(k, has_received_some, k);
	peer_close(&k->a, k->close_why);
	peer_close(&k->b, k->close_why);
}

/*
 * ---- datagrams ----------------------------------------------------------------------------------
 */

static bool
datagram_sent(void *arg)
{
	struct check *k = arg;
	struct peer *from = closer_of(k);
	ssize_t n = adit_conn_write(from->conn, pattern, (size_t)k->mark);

	if (n == -EAGAIN)
		return false;
	assert_int_equal(n, k->mark);
	return true;
}

static bool
datagram_read(void *arg)
{
	struct check *k = arg;
	struct peer *to = closer_of(k)->other;
	static uint8_t buf[65536];
	ssize_t n = adit_conn_read(to->conn, buf, sizeof(buf));

	if (n == -EAGAIN)
		return false;
	assert_int_equal(n, k->mark);
	assert_memory_equal(buf, pattern, (size_t)n);
	return true;
}

static void
datagrams_keep_their_borders(struct check *k)
{
	static const uint64_t sizes[] = { 1, 2, 0, 100, 1200, 0, 0, 7 };

	check_open(k);
	assert_true(adit_conn_flags(k->a.conn) & adit_conn_flags(k->b.conn) & ADIT_CONN_DGRAM);
	k->a.ignores = k->b.ignores = true;
	adit_conn_want(k->a.conn, ADIT_READ);
	adit_conn_want(k->b.conn, ADIT_READ);
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		k->mark = sizes[i / 2];
		k->close_b = i % 2;	/* who sends */
		assert_true(loop_until(k->run.loop, datagram_sent, k, LIMIT_MS));
		assert_true(loop_until(k->run.loop, datagram_read, k, LIMIT_MS));
	}
}

/*
 * ---- all of them
 * ----------------------------------------------------------------------------------
 */

static const struct check_row stream_checks[] = {
	{ "bytes arrive both ways", bytes_arrive_both_ways },
	{ "bytes arrive in small reads", bytes_arrive_in_small_reads },
	{ "one direction ends, then the other", one_direction_ends_then_the_other },
	{ "the other direction ends first", the_other_direction_ends_first },
	{ "an end without bytes", an_end_without_bytes },
	{ "a polite close delivers first", a_polite_close_delivers_first },
	{ "a polite close of the other side too", a_polite_close_of_the_other_too },
	{ "a polite close delivers to who was slow", a_polite_close_delivers_to_who_was_slow },
	{ "a reset is a failure at the other side", a_reset_is_a_failure_at_the_other_side },
	{ "a reset from the other side", a_reset_from_the_other_side },
	{ "writing to who left fails", writing_to_who_left_fails },
	{ "a deadline is a failure", a_deadline_is_a_failure },
	{ "a deadline taken back is none", a_deadline_taken_back_is_none },
	{ "who does not read stops who writes", who_does_not_read_stops_who_writes },
	{ "a reader that pauses misses nothing", a_reader_that_pauses_misses_nothing },
	{ "bytes given back are read again", bytes_given_back_are_read_again },
	{ NULL, NULL },
};

static const struct check_row datagram_checks[] = {
	{ "datagrams keep their borders", datagrams_keep_their_borders },
	{ NULL, NULL },
};

static const struct check_row closing_checks[] = {
	{ "closed in its callback after some bytes", closed_after_some_bytes },
	{ "closed from outside after some bytes", closed_from_outside },
	{ "both closed after some bytes", both_closed_at_once },
	{ NULL, NULL },
};

/* All ways to close: either side, politely or not. */
static void
check_closing(struct check *k, const struct check_row *row)
{
	static const int whys[] = { 0, -ECONNABORTED };

	for (int i = 0; i < 4; i++) {
		k->close_b = i & 1;
		k->close_why = whys[i >> 1];
		check(k, row);
	}
}

static void
check_closing_everywhere(struct check *k)
{
	static const uint64_t points[] = {
		0, 1, 5, 100, 4095, 4096, 16384, 65536, 65537, 150000, CLOSING_BYTES,
	};
	static const struct check_row before = { "closed before it is open", closed_before_open };

	check_closing(k, &before);
	for (const struct check_row *row = closing_checks; row->what; row++) {
		for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
			k->mark = scaled(k, points[i]);
			if (k->mark == points[i])
				check_closing(k, row);
		}
	}
}

void
conformance_run(const struct conformance_case *test)
{
	bool datagrams = test->flags & CONFORMANCE_DGRAM;

	pattern_make();
	for (unsigned mode = 0; mode < MODES; mode++) {
		const struct check_row *row = datagrams ? datagram_checks : stream_checks;
		struct check k = { .run = { .test = test, .mode = mode } };

		for (; row->what; row++)
			check(&k, row);
		if (!datagrams)
			check_closing_everywhere(&k);
	}
}
