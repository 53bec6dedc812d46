#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "core/conn/udp.h"
#include "core/runtime/worker.h"

struct world {
	struct event_base	*base;
	struct adit_worker	*worker;
};

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));
	struct event_config *conf = event_config_new();

	event_config_set_flag(conf, EVENT_BASE_FLAG_PRECISE_TIMER);
	t->base = event_base_new_with_config(conf);
	event_config_free(conf);
	t->worker = worker_attach(t->base, NULL, NULL);
	*state = t;
	return t->worker ? 0 : -1;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	worker_detach(t->worker);
	event_base_free(t->base);
	free(t);
	return 0;
}

static struct adit_addr
ip(const char *text)
{
	struct adit_addr a;

	assert_int_equal(adit_addr_parse(text, 0, &a), 0);
	return a;
}

static struct adit_packet_conn *
open_at(struct world *t, const struct udp_conf *conf)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_packet_conn *p = udp_open(t->worker, conf, &e);

	if (!p)
		fail_msg("%s", e.text);
	return p;
}

struct inbox {
	struct adit_packet	 v[UDP_BATCH];
	int			 n;		/* of the last batch */
	size_t			 datagrams, bytes;
	uint8_t			*buf;
	bool			 intact;	/* each byte is its datagram's number */
};

static void
inbox_init(struct inbox *in)
{
	*in = (struct inbox){ .buf = malloc((size_t)UDP_BATCH * UDP_RECV_MAX), .intact = true };
	assert_non_null(in->buf);
}

static void
inbox_count(struct inbox *in, const struct adit_packet *p)
{
	const uint8_t *b = p->data.iov_base;
	size_t segment = p->segment ? p->segment : p->data.iov_len;

	for (size_t at = 0; at < p->data.iov_len; at += segment) {
		size_t end = at + segment < p->data.iov_len ? at + segment : p->data.iov_len;

		for (size_t i = at; i < end; i++)
			in->intact &= b[i] == (uint8_t)in->datagrams;
		in->datagrams++;
	}
	in->bytes += p->data.iov_len;
}

static void
inbox_read(void *owner, struct adit_packet_conn *p, unsigned events)
{
	struct inbox *in = owner;
	int n;

	(void)events;
	for (int i = 0; i < UDP_BATCH; i++)
		in->v[i].data = (struct iovec){ in->buf + (size_t)i * UDP_RECV_MAX, UDP_RECV_MAX };
	n = adit_packet_recv(p, in->v, UDP_BATCH);
	if (n == -EAGAIN)
		return;
	assert_true(n >= 0);
	if (n)
		in->n = n;
	for (int i = 0; i < n; i++)
		inbox_count(in, &in->v[i]);
}

/*
 * Turns the loop until that many datagrams are in; the test's own time limit ends a loop that has
 * no end.
 */
static void
inbox_wait(struct world *t, struct inbox *in, size_t datagrams)
{
	while (in->datagrams < datagrams)
		event_base_loop(t->base, EVLOOP_ONCE);
}

static void
inbox_own(struct inbox *in, struct adit_packet_conn *p)
{
	adit_packet_own(p, inbox_read, in);
	adit_packet_want(p, ADIT_READ);
}

/* n datagrams of size bytes (the last of rest) in one packet, each filled with its number. */
static struct adit_packet
burst(uint8_t *buf, size_t n, size_t size, size_t rest, const struct adit_addr *to)
{
	for (size_t i = 0; i < n; i++)
		memset(buf + i * size, (uint8_t)i, i + 1 < n ? size : rest);
	return (struct adit_packet){
		.data = { buf, (n - 1) * size + rest }, .to = *to, .segment = (uint16_t)size,
	};
}

/* A burst arrives whole and in order, whichever of GSO and GRO are there. */
static void
bursts_cross(struct world *t, const char *at, bool no_gso, bool no_gro)
{
	const struct udp_conf from = { .bind = ip(at), .no_gso = no_gso },
			      to = { .bind = ip(at), .no_gro = no_gro };
	struct adit_packet_conn *a = open_at(t, &from), *b = open_at(t, &to);
	uint8_t *buf = malloc(70000);
	struct inbox in;
	struct adit_packet v[2];

	inbox_init(&in);
	inbox_own(&in, b);
	v[0] = burst(buf, 40, 1200, 700, adit_packet_local(b));
	assert_int_equal(adit_packet_send(a, v, 1), 1);
	inbox_wait(t, &in, 40);
	assert_int_equal(in.bytes, 39 * 1200 + 700);
	assert_true(in.intact);
	assert_true(adit_addr_equal(&in.v[0].from, adit_packet_local(a)));
	assert_true(adit_addr_equal(&in.v[0].to, adit_packet_local(b)));
	if (no_gro)
		assert_int_equal(in.v[0].segment, 0);
	assert_int_equal(udp_has_gso(a), !no_gso);

	in.datagrams = in.bytes = 0;	/* more segments than GSO takes: cut */
	v[0] = burst(buf, 70, 100, 100, adit_packet_local(b));
	assert_int_equal(adit_packet_send(a, v, 1), 1);
	inbox_wait(t, &in, 70);
	assert_int_equal(in.bytes, 7000);
	assert_true(in.intact);
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
	free(buf);
}

static void
bursts_with_and_without_offloads(void **state)
{
	for (int i = 0; i < 4; i++) {
		bursts_cross(*state, "127.0.0.1", i & 1, i & 2);
		bursts_cross(*state, "::1", i & 1, i & 2);
	}
}

static void
gro_joins(void **state)
{
	struct world *t = *state;
	const struct udp_conf conf = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *a = open_at(t, &conf), *b = open_at(t, &conf);
	struct adit_packet v;
	struct inbox in;
	uint8_t buf[20 * 1000];

	if (!udp_has_gso(a) || !udp_has_gro(b)) {
		adit_packet_close(a);
		adit_packet_close(b);
		skip();
	}
	inbox_init(&in);
	inbox_own(&in, b);
	v = burst(buf, 20, 1000, 10, adit_packet_local(b));
	assert_int_equal(adit_packet_send(a, &v, 1), 1);
	inbox_wait(t, &in, 20);
	assert_int_equal(in.n, 1);
	assert_int_equal(in.v[0].segment, 1000);
	assert_int_equal(in.v[0].data.iov_len, 19010);
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
}

static void
many_packets_in_one_call(void **state)
{
	struct world *t = *state;
	const struct udp_conf conf = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *a = open_at(t, &conf), *b = open_at(t, &conf);
	uint8_t buf[40][10];
	struct adit_packet v[40];
	struct inbox in;

	inbox_init(&in);
	inbox_own(&in, b);
	for (int i = 0; i < 40; i++) {
		memset(buf[i], i, sizeof(buf[i]));
		v[i] = (struct adit_packet){ .data = { buf[i], (size_t)(i % 10) },
					     .to = *adit_packet_local(b) };
	}
	v[0].data.iov_len = 3;
	assert_int_equal(adit_packet_send(a, v, 40), 40);
	/* Empty datagrams are datagrams (those of 0 bytes have no byte to be counted by). */
	while (in.bytes < 4 * 45 + 3)
		event_base_loop(t->base, EVLOOP_ONCE);
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
}

/* The two ECN bits cross, on both families and over a dual-stack socket. */
static void
ecn_crosses(void **state)
{
	static const char *const pairs[][2] = {
		{ "127.0.0.1", "127.0.0.1" },
		{ "::1", "::1" },
		{ "127.0.0.1", "::" },
		{ "::", "127.0.0.1" },
	};
	struct world *t = *state;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const struct udp_conf from = { .bind = ip(pairs[i][0]) },
				      to = { .bind = ip(pairs[i][1]) };
		struct adit_packet_conn *a = open_at(t, &from), *b = open_at(t, &to);
		struct adit_addr dest = ip(i == 1 ? "::1" : "127.0.0.1");
		uint8_t buf[5000];
		struct adit_packet v;
		struct inbox in;

		dest.port = adit_packet_local(b)->port;
		inbox_init(&in);
		inbox_own(&in, b);
		v = burst(buf, 5, 1000, 1000, &dest);
		v.ecn = 2;
		assert_int_equal(adit_packet_send(a, &v, 1), 1);
		inbox_wait(t, &in, 5);
		assert_int_equal(in.v[0].ecn, 2);
		/* Plain IPv4, also where an IPv6 socket carried it. */
		assert_int_equal(in.v[0].from.family, dest.family);
		assert_true(adit_addr_equal(&in.v[0].to, &dest));
		adit_packet_close(a);
		adit_packet_close(b);
		free(in.buf);
	}
}

/* On a wildcard socket the own address is the one that was written to, and it can be chosen. */
static void
own_address_is_told_and_chosen(void **state)
{
	struct world *t = *state;
	const struct udp_conf any = { .bind = ip("0.0.0.0") }, one = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *a = open_at(t, &any), *b = open_at(t, &one);
	struct adit_addr second = ip("127.0.0.2");
	struct inbox in, back;
	uint8_t buf[10];
	struct adit_packet v;

	second.port = adit_packet_local(a)->port;
	inbox_init(&in);
	inbox_init(&back);
	inbox_own(&in, a);
	inbox_own(&back, b);
	v = burst(buf, 1, 10, 10, &second);
	v.segment = 0;
	assert_int_equal(adit_packet_send(b, &v, 1), 1);
	inbox_wait(t, &in, 1);
	assert_true(adit_addr_equal(&in.v[0].to, &second));
	v.from = in.v[0].to;
	v.to = in.v[0].from;
	assert_int_equal(adit_packet_send(a, &v, 1), 1);
	inbox_wait(t, &back, 1);
	assert_true(adit_addr_equal(&back.v[0].from, &second));
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
	free(back.buf);
}

/* A port where nobody listens is told with its address, and stops neither sending nor receiving. */
static void
unreachable_is_told(void **state)
{
	struct world *t = *state;
	const struct udp_conf conf = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *a = open_at(t, &conf), *b = open_at(t, &conf),
				*gone = open_at(t, &conf);
	struct adit_addr nobody = *adit_packet_local(gone);
	struct adit_packet v;
	struct inbox in, mine;
	uint8_t buf[10];
	struct adit_trouble trouble;

	adit_packet_close(gone);
	inbox_init(&in);
	inbox_init(&mine);
	inbox_own(&in, b);
	inbox_own(&mine, a);
	v = burst(buf, 1, 10, 10, &nobody);
	v.segment = 0;
	assert_int_equal(adit_packet_send(a, &v, 1), 1);
	v.to = *adit_packet_local(b);
	assert_int_equal(adit_packet_send(a, &v, 1), 1);
	inbox_wait(t, &in, 1);
	while (!adit_packet_trouble(a, &trouble))
		event_base_loop(t->base, EVLOOP_ONCE);
	assert_int_equal(trouble.err, -ECONNREFUSED);
	assert_true(adit_addr_equal(&trouble.peer, &nobody));
	assert_int_equal(trouble.quote_len, 10);
	assert_memory_equal(trouble.quote, buf, 10);
	assert_false(adit_packet_trouble(a, &trouble));
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
	free(mine.buf);
}

/*
 * A datagram longer than the interface's MTU is a loss, not a failure, and does not stop those
 * behind it.
 */
static void
too_big_is_a_loss(void **state)
{
	struct world *t = *state;
	const struct udp_conf conf = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *a = open_at(t, &conf), *b = open_at(t, &conf);
	struct adit_packet v[2];
	struct adit_trouble trouble;
	struct inbox in;
	uint8_t *buf = calloc(1, 65530);
	int told = 0;

	inbox_init(&in);
	inbox_own(&in, b);
	v[0] = (struct adit_packet){ .data = { buf, 65530 }, .to = *adit_packet_local(b) };
	v[1] = (struct adit_packet){ .data = { buf, 10 }, .to = *adit_packet_local(b) };
	assert_int_equal(adit_packet_send(a, v, 2), 2);
	inbox_wait(t, &in, 1);
	assert_int_equal(in.bytes, 10);
	while (adit_packet_trouble(a, &trouble)) {
		told += trouble.err == -EMSGSIZE;
		assert_int_equal(trouble.quote_len, 0);
	}
	assert_true(told);
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
	free(buf);
}

static void
connected_sockets(void **state)
{
	struct world *t = *state;
	const struct udp_conf conf = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *b = open_at(t, &conf);
	const struct udp_conf to_b = { .connect = *adit_packet_local(b) };
	struct adit_packet_conn *a = open_at(t, &to_b);
	struct adit_packet v;
	struct inbox in;
	uint8_t buf[3000];

	inbox_init(&in);
	inbox_own(&in, b);
	v = burst(buf, 3, 1000, 1000, &(struct adit_addr){ 0 });
	assert_int_equal(adit_packet_send(a, &v, 1), 1);
	inbox_wait(t, &in, 3);
	assert_true(in.intact);
	adit_packet_close(a);
	adit_packet_close(b);
	free(in.buf);
}

/*
 * A full socket buffer answers -EAGAIN, becomes writable again, and a burst cut half-way goes on
 * where it stopped.
 */
static void
full_buffers_wake_the_writer(void **state)
{
	struct world *t = *state;

	for (int no_gso = 0; no_gso < 2; no_gso++) {
		const struct udp_conf small = { .bind = ip("127.0.0.1"),
			                        .buffer = 8192,
			                        .no_gso = no_gso },
				      big = { .bind = ip("127.0.0.1") };
		struct adit_packet_conn *a = open_at(t, &small), *b = open_at(t, &big);
		uint8_t *buf = malloc(65000);
		struct adit_packet v;
		struct inbox in, out;
		size_t want = 0;

		inbox_init(&in);
		inbox_init(&out);
		inbox_own(&in, b);
		inbox_own(&out, a);
		adit_packet_want(a, ADIT_READ | ADIT_WRITE);
		v = burst(buf, 40, 1400, 1400, adit_packet_local(b));
		for (int i = 0; i < 50; i++) {
			int sent = adit_packet_send(a, &v, 1);

			while (sent == -EAGAIN) {
				event_base_loop(t->base, EVLOOP_ONCE);
				sent = adit_packet_send(a, &v, 1);
			}
			assert_int_equal(sent, 1);
			want += 40;
			inbox_wait(t, &in, want);
		}
		assert_int_equal(in.bytes, 50 * 40 * 1400);
		adit_packet_close(a);
		adit_packet_close(b);
		free(in.buf);
		free(out.buf);
		free(buf);
	}
}

/* Sockets of one group: the first byte of the connection id picks the socket. */
static void
bytes_steer(void **state)
{
	struct world *t = *state;
	struct udp_conf conf = { .bind = ip("127.0.0.1"), .reuseport = true };
	struct udp_conf from = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *group[3];
	struct inbox in[3];
	const struct udp_steer by = { .offset = 1, .offset_if_set = 6, .sockets = 3 };
	size_t n[3] = { 0 };

	for (int i = 0; i < 3; i++) {
		group[i] = open_at(t, &conf);
		conf.bind = *adit_packet_local(group[0]);
		inbox_init(&in[i]);
		inbox_own(&in[i], group[i]);
	}
	if (udp_steer_by_byte(group[0], &by) < 0)
		skip();
	for (int i = 0; i < 60; i++) {
		struct adit_packet_conn *a = open_at(t, &from);
		uint8_t buf[20] = { [0] = i & 1 ? 0xc0 : 0x40, [1] = 1, [6] = 1 };
		struct adit_packet v = { .data = { buf, sizeof(buf) }, .to = conf.bind };

		buf[i & 1 ? 6 : 1] = (uint8_t)(i * 4);		/* modulo 3: i */
		assert_int_equal(adit_packet_send(a, &v, 1), 1);
		inbox_wait(t, &in[i % 3], ++n[i % 3]);
		adit_packet_close(a);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(in[i].datagrams, 20);
	for (int i = 0; i < 3; i++) {
		adit_packet_close(group[i]);
		free(in[i].buf);
	}
}

static void
bad_addresses_are_refused(void **state)
{
	struct world *t = *state;
	struct udp_conf conf = { .bind = ip("127.0.0.1") };
	struct adit_packet_conn *a = open_at(t, &conf);
	struct adit_err e = ADIT_ERR_INIT;

	conf.bind = *adit_packet_local(a);
	assert_null(udp_open(t->worker, &conf, &e));
	assert_int_equal(e.code, -EADDRINUSE);
	conf.bind.family = AF_UNIX;
	assert_null(udp_open(t->worker, &conf, &e));
	assert_int_equal(e.code, -EAFNOSUPPORT);
	adit_packet_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bursts_with_and_without_offloads, setup, teardown),
		cmocka_unit_test_setup_teardown(gro_joins, setup, teardown),
		cmocka_unit_test_setup_teardown(many_packets_in_one_call, setup, teardown),
		cmocka_unit_test_setup_teardown(ecn_crosses, setup, teardown),
		cmocka_unit_test_setup_teardown(own_address_is_told_and_chosen, setup, teardown),
		cmocka_unit_test_setup_teardown(unreachable_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(too_big_is_a_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(connected_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(full_buffers_wake_the_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_steer, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_addresses_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
