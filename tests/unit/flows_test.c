/*
 * Flows over a packet_conn of the test's own, which gives what a test puts into it and keeps what
 * is sent; and over real sockets of 127.0.0.1.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/conn/conn.h"
#include "core/conn/flows.h"
#include "core/conn/udp.h"
#include "core/conn/udp_dial.h"
#include "tests/unit/loop.h"

#define LIMIT_MS 20000
#define MOST	 256

/* ---- a socket in memory ---------------------------------------------------------------- */

struct letter {
	struct adit_addr	from, to;
	uint16_t		segment;
	size_t			len;
	char			bytes[64];
};

struct fake {
	struct adit_packet_conn	 base;
	struct letter		 in[MOST], out[MOST];
	unsigned		 n_in, taken, n_out, sends;
	bool			 full, closed;
	int			 trouble, err, send_err;
};

static struct {
	unsigned	closed;
} fakes;

static struct fake *
fake_of(struct adit_packet_conn *p)
{
	return adit_container_of(p, struct fake, base);
}

static int
fake_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	struct fake *f = fake_of(p);
	int got = 0;

	if (f->err)
		return f->err;
	for (; got < n && f->taken < f->n_in; got++, f->taken++) {
		const struct letter *l = &f->in[f->taken];

		memcpy(v[got].data.iov_base, l->bytes, l->len);
		v[got].data.iov_len = l->len;
		v[got].from = l->from;
		v[got].to = l->to;
		v[got].segment = l->segment;
	}
	return got ? got : -EAGAIN;
}

static int
fake_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	struct fake *f = fake_of(p);

	if (f->full)
		return -EAGAIN;
	if (f->send_err)
		return f->send_err;
	f->sends++;
	for (int i = 0; i < n; i++) {
		struct letter *l = &f->out[f->n_out++];

		assert_true(f->n_out < MOST && v[i].data.iov_len <= sizeof(l->bytes));
		*l = (struct letter){
			.from = v[i].from, .to = v[i].to, .segment = v[i].segment,
			.len = v[i].data.iov_len,
		};
		memcpy(l->bytes, v[i].data.iov_base, l->len);
	}
	return n;
}

static void
fake_close(struct adit_packet_conn *p)
{
	(void)p;
	fakes.closed++;
}

static void
fake_free(struct adit_packet_conn *p)
{
	(void)p;
}

static bool
fake_trouble(struct adit_packet_conn *p, struct adit_trouble *t)
{
	struct fake *f = fake_of(p);

	*t = (struct adit_trouble){ .err = f->trouble, .peer.family = AF_INET };
	f->trouble = 0;
	return t->err;
}

static const struct adit_packet_ops fake_ops = {
	.size = sizeof(fake_ops),
	.name = "fake",
	.recv = fake_recv,
	.send = fake_send,
	.close = fake_close,
	.free = fake_free,
	.trouble = fake_trouble,
};

/* ---- the rig ----------------------------------------------------------------------------- */

struct rig {
	struct loop		*loop;
	struct fake		*socket;
	struct flows		*flows;
	struct adit_conn	*conns[MOST];	/* accepted */
	unsigned		 n;
};

static void
rig_accept(void *arg, struct adit_conn *c)
{
	struct rig *r = arg;

	r->conns[r->n++] = c;
}

static const struct flows_conf usual = {
	.ttl = ADIT_SECONDS(3600), .keepalive = true, .max = 100, .backlog = 100, .queue = 16,
	.largest = 60,
};

static struct rig *
rig_new(struct loop *l, const struct flows_conf *conf)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct flows_conf mine = *conf;

	assert_non_null(r);
	fakes.closed = 0;
	r->loop = l;
	r->socket = adit_packet_new(l->worker, &fake_ops, sizeof(*r->socket));
	assert_non_null(r->socket);
	adit_packet_ready(&r->socket->base, ADIT_READ | ADIT_WRITE);
	mine.accept = rig_accept;
	mine.arg = r;
	r->flows = flows_new(&r->socket->base, &mine);
	assert_non_null(r->flows);
	return r;
}

static void
rig_free(struct rig *r)
{
	flows_stop(r->flows);
	for (unsigned i = 0; i < r->n; i++)
		adit_conn_close(r->conns[i], 0);
	loop_turn(r->loop, 3);
	assert_int_equal(fakes.closed, 1);
	free(r);
}

static struct adit_addr
host(uint8_t last)
{
	return (struct adit_addr){ .family = AF_INET, .port = 7, .ip = { 10, 0, 0, last } };
}

static void
put(struct rig *r, uint8_t from, const char *text)
{
	struct letter *l = &r->socket->in[r->socket->n_in++];

	*l = (struct letter){ .from = host(from), .to = host(200), .len = strlen(text) };
	memcpy(l->bytes, text, l->len);
	adit_packet_ready(&r->socket->base, ADIT_READ);
}

/* One datagram from host `from` comes. */
static void
arrive(struct rig *r, uint8_t from, const char *text)
{
	put(r, from, text);
	loop_turn(r->loop, 3);
}

static void
expect(struct adit_conn *c, const char *text)
{
	char buf[64];

	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void
expect_none(struct adit_conn *c, int err)
{
	char buf[64];

	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), err);
}

static void
say(struct adit_conn *c, const char *text)
{
	assert_int_equal(adit_conn_write(c, text, strlen(text)), strlen(text));
}

/* ---- tests -------------------------------------------------------------------------------- */

static void
each_source_has_its_own(void **state)
{
	struct rig *r = rig_new(*state, &usual);
	const struct adit_addr one = host(1);

	put(r, 1, "a");
	put(r, 2, "b");
	put(r, 1, "");
	put(r, 1, "c");
	loop_turn(r->loop, 3);
	assert_int_equal(r->n, 2);
	assert_int_equal(adit_conn_flags(r->conns[0]), ADIT_CONN_DGRAM);
	assert_true(adit_addr_equal(adit_conn_remote(r->conns[0]), &one));
	expect(r->conns[0], "a");
	expect(r->conns[0], "");
	expect(r->conns[0], "c");
	expect_none(r->conns[0], -EAGAIN);
	expect(r->conns[1], "b");
	assert_int_equal(flows_stats(r->flows)->flows, 2);
	rig_free(r);
}

/* The same source asks two of our addresses: each answers from where it was asked. */
static void
answers_come_from_where_was_asked(void **state)
{
	struct rig *r = rig_new(*state, &usual);
	struct adit_addr here;

	put(r, 1, "a");
	put(r, 1, "b");
	r->socket->in[1].to = host(201);
	loop_turn(r->loop, 3);
	assert_int_equal(r->n, 2);
	say(r->conns[1], "B");
	loop_turn(r->loop, 3);
	here = host(201);
	assert_int_equal(r->socket->n_out, 1);
	assert_true(adit_addr_equal(&r->socket->out[0].from, &here));
	here = host(1);
	assert_true(adit_addr_equal(&r->socket->out[0].to, &here));
	rig_free(r);
}

static void
what_the_kernel_joined_is_cut(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	put(r, 1, "abcdefgh");
	r->socket->in[0].segment = 3;
	loop_turn(r->loop, 3);
	expect(r->conns[0], "abc");
	expect(r->conns[0], "def");
	expect(r->conns[0], "gh");
	expect_none(r->conns[0], -EAGAIN);
	rig_free(r);
}

/* One system call for a turn, one packet for those of one size; none is longer than the first. */
static void
what_one_turn_writes_leaves_together(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	put(r, 1, "x");
	put(r, 2, "y");
	loop_turn(r->loop, 3);
	say(r->conns[0], "aa");
	say(r->conns[0], "bb");
	say(r->conns[0], "c");
	say(r->conns[0], "dd");
	say(r->conns[1], "ee");
	assert_int_equal(adit_conn_write(r->conns[1], "", 0), 0);
	assert_int_equal(r->socket->n_out, 0);
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->sends, 1);
	assert_int_equal(r->socket->n_out, 4);
	assert_int_equal(r->socket->out[0].len, 5);
	assert_int_equal(r->socket->out[0].segment, 2);
	assert_memory_equal(r->socket->out[0].bytes, "aabbc", 5);
	assert_int_equal(r->socket->out[1].len, 2);
	assert_int_equal(r->socket->out[2].len, 2);
	assert_int_equal(r->socket->out[3].len, 0);
	rig_free(r);
}

static void
a_full_socket_blocks_nobody(void **state)
{
	struct rig *r = rig_new(*state, &usual);
	unsigned sent = 0;

	put(r, 1, "x");
	put(r, 2, "y");
	loop_turn(r->loop, 3);
	r->socket->full = true;
	/* No two go into one packet. */
	while (adit_conn_write(r->conns[sent % 2], "ab", 2) == 2)
		assert_true(++sent < MOST);
	assert_int_equal(sent, UDP_BATCH);
	assert_int_equal(flows_stats(r->flows)->full, 1);
	loop_turn(r->loop, 3);
	r->socket->full = false;
	adit_packet_ready(&r->socket->base, ADIT_WRITE);
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->n_out, UDP_BATCH);
	say(r->conns[0], "again");
	rig_free(r);
}

static bool
is_writable(const struct adit_conn *c)
{
	return c->core->io.ready & ADIT_WRITE;
}

/* All flows hear of it then, and only then: there may be many. */
static void
who_waits_for_the_socket_is_told(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	put(r, 1, "x");
	put(r, 2, "y");
	loop_turn(r->loop, 3);
	conn_unready(r->conns[1], ADIT_WRITE);
	say(r->conns[0], "goes");
	adit_packet_ready(&r->socket->base, ADIT_WRITE);
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->n_out, 1);
	assert_false(is_writable(r->conns[1]));

	r->socket->full = true;
	/* No two go into one packet. */
	while (adit_conn_write(r->conns[0], "", 0) == 0)
		;
	assert_false(is_writable(r->conns[0]));
	loop_turn(r->loop, 3);
	r->socket->full = false;
	adit_packet_ready(&r->socket->base, ADIT_WRITE);
	loop_turn(r->loop, 3);
	assert_true(is_writable(r->conns[0]));
	assert_true(is_writable(r->conns[1]));
	rig_free(r);
}

static void
a_queue_keeps_the_first(void **state)
{
	struct flows_conf conf = usual;
	struct rig *r;

	conf.queue = 2;
	r = rig_new(*state, &conf);
	put(r, 1, "a");
	put(r, 1, "b");
	put(r, 1, "lost");
	loop_turn(r->loop, 3);
	expect(r->conns[0], "a");
	arrive(r, 1, "c");
	expect(r->conns[0], "b");
	expect(r->conns[0], "c");
	expect_none(r->conns[0], -EAGAIN);
	assert_int_equal(flows_stats(r->flows)->full, 1);
	rig_free(r);
}

static void
what_is_too_long_is_dropped_whole(void **state)
{
	struct flows_conf conf = usual;
	struct rig *r;

	conf.largest = 3;
	r = rig_new(*state, &conf);
	arrive(r, 1, "four");
	assert_int_equal(r->n, 0);
	arrive(r, 1, "thr");
	expect(r->conns[0], "thr");
	assert_int_equal(flows_stats(r->flows)->too_long, 1);
	rig_free(r);
}

static void
a_new_one_takes_the_place_of_the_most_silent(void **state)
{
	struct flows_conf conf = usual;
	struct rig *r;

	conf.max = 2;
	r = rig_new(*state, &conf);
	arrive(r, 1, "a");
	arrive(r, 2, "b");
	arrive(r, 1, "c");
	arrive(r, 3, "d");
	assert_int_equal(r->n, 3);
	assert_int_equal(flows_count(r->flows), 2);
	assert_int_equal(flows_stats(r->flows)->evicted, 1);
	expect(r->conns[1], "b");	/* what had come is still there */
	expect_none(r->conns[1], -ESHUTDOWN);
	assert_int_equal(adit_conn_write(r->conns[1], "x", 1), -ESHUTDOWN);
	expect(r->conns[0], "a");
	expect(r->conns[2], "d");
	rig_free(r);
}

/*
 * Those that nobody has read: a flood of sources does not begin more, nor end those that are
 * served.
 */
static void
a_flood_begins_no_more_than_the_backlog(void **state)
{
	struct flows_conf conf = usual;
	struct rig *r;

	conf.backlog = 2;
	r = rig_new(*state, &conf);
	arrive(r, 1, "served");
	expect(r->conns[0], "served");
	for (uint8_t i = 10; i < 30; i++)
		arrive(r, i, "flood");
	assert_int_equal(r->n, 3);
	assert_int_equal(flows_stats(r->flows)->refused, 18);
	arrive(r, 1, "again");
	expect(r->conns[0], "again");
	expect(r->conns[1], "flood");
	arrive(r, 40, "next");
	assert_int_equal(r->n, 4);
	rig_free(r);
}

static void
without_keepalive_the_last_answer_is_the_end(void **state)
{
	struct flows_conf conf = usual;
	struct rig *r;

	conf.keepalive = false;
	r = rig_new(*state, &conf);
	put(r, 1, "A");
	put(r, 1, "AAAA");
	loop_turn(r->loop, 3);
	expect(r->conns[0], "A");
	expect(r->conns[0], "AAAA");
	say(r->conns[0], "a");
	assert_int_equal(adit_conn_err(r->conns[0]), 0);
	say(r->conns[0], "aaaa");
	expect_none(r->conns[0], -ESHUTDOWN);
	assert_int_equal(flows_count(r->flows), 0);
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->n_out, 2);
	arrive(r, 1, "B");
	assert_int_equal(r->n, 2);
	rig_free(r);
}

static bool
are_none(void *arg)
{
	return flows_count(((struct rig *)arg)->flows) == 0;
}

static void
silence_is_the_end(void **state)
{
	struct flows_conf conf = usual;
	struct rig *r;
	uint64_t began = adit_now();

	conf.ttl = ADIT_MS(30);
	r = rig_new(*state, &conf);
	put(r, 1, "a");
	put(r, 2, "b");
	loop_turn(r->loop, 3);
	assert_true(loop_until(*state, are_none, r, LIMIT_MS));
	assert_true(adit_now() - began >= ADIT_MS(30));
	expect(r->conns[0], "a");
	expect_none(r->conns[0], -ESHUTDOWN);
	rig_free(r);
}

static void
a_closed_one_is_forgotten(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	arrive(r, 1, "a");
	adit_conn_close(r->conns[0], 0);
	assert_int_equal(flows_count(r->flows), 0);
	r->n = 0;
	arrive(r, 1, "b");
	assert_int_equal(r->n, 1);
	expect(r->conns[0], "b");
	rig_free(r);
}

/* Else each datagram of a visitor whose way is down would be a dial, and a line in the log. */
static void
after_a_failure_is_a_pause(void **state)
{
	struct rig *r = rig_new(*state, &usual);
	uint64_t began = adit_now();

	arrive(r, 1, "a");
	adit_conn_close(r->conns[0], -ECONNREFUSED);
	arrive(r, 2, "another's");
	assert_int_equal(r->n, 2);
	adit_conn_close(r->conns[1], 0);
	r->n = 1;
	while (r->n == 1 && adit_now() - began < ADIT_MS(LIMIT_MS)) {
		r->socket->n_in = r->socket->taken = 0;
		arrive(r, 1, "again");
	}
	assert_int_equal(r->n, 2);
	assert_true(adit_now() - began >= ADIT_MS(100));
	assert_true(flows_stats(r->flows)->paused > 0);
	assert_int_equal(flows_stats(r->flows)->refused, 0);
	expect(r->conns[1], "again");

	/* One that had an answer did not fail so. */
	say(r->conns[1], "answer");
	adit_conn_close(r->conns[1], -ECONNRESET);
	r->n = 1;
	arrive(r, 1, "b");
	assert_int_equal(r->n, 2);
	r->conns[0] = r->conns[1];
	r->n = 1;
	rig_free(r);
}

static bool
is_closed(void *arg)
{
	(void)arg;
	return fakes.closed > 0;
}

/* Those there are go on for a moment; the socket is read no more, and goes with the last. */
static void
a_stopped_one_ends_soon(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	arrive(r, 1, "a");
	flows_stop(r->flows);
	r->flows = NULL;
	arrive(r, 2, "nobody's");
	assert_int_equal(r->n, 1);
	say(r->conns[0], "last");
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->n_out, 1);
	assert_true(loop_until(*state, is_closed, r, LIMIT_MS));
	expect(r->conns[0], "a");
	expect_none(r->conns[0], -ESHUTDOWN);
	rig_free(r);
}

static bool
has_third(void *arg)
{
	return ((struct rig *)arg)->n == 3;
}

/* Those that are there stay, and newer ones come as soon as the socket works again. */
static void
a_socket_that_fails_is_asked_again(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	arrive(r, 1, "a");
	arrive(r, 2, "b");
	r->socket->err = -EIO;
	arrive(r, 3, "c");
	assert_int_equal(r->n, 2);
	r->socket->err = 0;
	loop_turn(r->loop, 3);
	assert_int_equal(r->n, 2);	/* after a pause: it does not spin */
	assert_true(loop_until(*state, has_third, r, LIMIT_MS));
	expect(r->conns[2], "c");
	expect(r->conns[0], "a");
	expect_none(r->conns[0], -EAGAIN);
	say(r->conns[0], "x");
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->n_out, 1);
	rig_free(r);
}

/* What one turn wrote is lost, no more. */
static void
a_send_that_fails_ends_nobody(void **state)
{
	struct rig *r = rig_new(*state, &usual);

	arrive(r, 1, "a");
	r->socket->send_err = -EIO;
	say(r->conns[0], "lost");
	loop_turn(r->loop, 3);
	r->socket->send_err = 0;
	assert_int_equal(adit_conn_err(r->conns[0]), 0);
	say(r->conns[0], "next");
	loop_turn(r->loop, 3);
	assert_int_equal(r->socket->n_out, 1);
	assert_memory_equal(r->socket->out[0].bytes, "next", 4);
	put(r, 2, "b");
	put(r, 3, "c");
	assert_true(loop_until(*state, has_third, r, LIMIT_MS));
	rig_free(r);
}

/* ---- connected ------------------------------------------------------------------------------ */

static void
ignore(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

static void
a_connected_one_is_one(void **state)
{
	struct loop *l = *state;
	struct rig r = { .loop = l };
	struct adit_conn *c;

	fakes.closed = 0;
	r.socket = adit_packet_new(l->worker, &fake_ops, sizeof(*r.socket));
	adit_packet_ready(&r.socket->base, ADIT_READ | ADIT_WRITE);
	c = flow_connected(&r.socket->base);
	assert_non_null(c);
	adit_conn_own(c, ignore, NULL);
	arrive(&r, 1, "a");
	expect_none(c, -EAGAIN);	/* nobody wanted to read: the kernel keeps it */
	adit_conn_want(c, ADIT_READ);
	loop_turn(l, 3);
	expect(c, "a");
	say(c, "answer");
	loop_turn(l, 3);
	assert_int_equal(r.socket->n_out, 1);
	assert_int_equal(r.socket->out[0].to.family, 0);

	r.socket->trouble = -ECONNREFUSED;
	expect_none(c, -EAGAIN);
	adit_conn_want(c, ADIT_READ);
	arrive(&r, 1, "b");
	expect(c, "b");
	expect_none(c, -ECONNREFUSED);
	adit_conn_close(c, 0);
	loop_turn(l, 3);
	assert_int_equal(fakes.closed, 1);
}

struct dialed {
	struct adit_conn	*c;
	int			 fd;
	char			 buf[64];
	ssize_t			 n;
};

static bool
is_decided(void *arg)
{
	struct dialed *d = arg;

	return adit_conn_is_open(d->c) || adit_conn_err(d->c);
}

static bool
has_heard(void *arg)
{
	struct dialed *d = arg;

	d->n = recv(d->fd, d->buf, sizeof(d->buf), MSG_DONTWAIT);
	return d->n >= 0;
}

/* "" is this machine, where a service of IPv4 alone must be found. */
static void
a_target_is_dialed_by_name(void **state)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(sa);
	struct loop *l = *state;
	struct adit_err e = ADIT_ERR_INIT;
	struct dialed d = { .fd = socket(AF_INET, SOCK_DGRAM, 0) };

	assert_int_equal(bind(d.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(d.fd, (struct sockaddr *)&sa, &len), 0);
	d.c = udp_dial(l->worker, "", ntohs(sa.sin_port), &e);
	assert_non_null(d.c);
	adit_conn_own(d.c, ignore, NULL);
	adit_conn_want(d.c, ADIT_OPEN);
	assert_true(loop_until(l, is_decided, &d, LIMIT_MS));
	assert_int_equal(adit_conn_err(d.c), 0);
	assert_true(adit_conn_flags(d.c) & ADIT_CONN_DGRAM);
	assert_int_equal(adit_conn_remote(d.c)->port, ntohs(sa.sin_port));
	say(d.c, "hello");
	assert_true(loop_until(l, has_heard, &d, LIMIT_MS));
	assert_int_equal(d.n, 5);
	adit_conn_close(d.c, 0);
	close(d.fd);

	assert_null(udp_dial(l->worker, "127.0.0.1", 0, &e));
	assert_int_equal(e.code, -EINVAL);
	d.c = udp_dial(l->worker, "127.0.0.1", 9, &e);
	adit_conn_close(d.c, 0);	/* before the name is known */
	loop_turn(l, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_source_has_its_own),
		TEST(answers_come_from_where_was_asked),
		TEST(what_the_kernel_joined_is_cut),
		TEST(what_one_turn_writes_leaves_together),
		TEST(a_full_socket_blocks_nobody),
		TEST(who_waits_for_the_socket_is_told),
		TEST(a_queue_keeps_the_first),
		TEST(what_is_too_long_is_dropped_whole),
		TEST(a_new_one_takes_the_place_of_the_most_silent),
		TEST(a_flood_begins_no_more_than_the_backlog),
		TEST(without_keepalive_the_last_answer_is_the_end),
		TEST(silence_is_the_end),
		TEST(a_closed_one_is_forgotten),
		TEST(after_a_failure_is_a_pause),
		TEST(a_stopped_one_ends_soon),
		TEST(a_socket_that_fails_is_asked_again),
		TEST(a_send_that_fails_ends_nobody),
		TEST(a_connected_one_is_one),
		TEST(a_target_is_dialed_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
