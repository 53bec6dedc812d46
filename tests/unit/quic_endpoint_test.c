/* QUIC endpoints: what costs state and what does not, limits, resets, forwarding. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ngtcp2/ngtcp2.h>

#include "core/mux/quic/cid.h"
#include "core/mux/quic/group.h"
#include "core/mux/window.h"
#include "tests/unit/quic_rig.h"

/* ---- somebody with a plain socket -------------------------------------------------------- */

struct stranger {
	int	fd;
	uint8_t	buf[2048];
	ssize_t	len;		/* of what came last */
	int	n;
};

static void
stranger_open(struct stranger *s, const struct adit_addr *to)
{
	struct sockaddr_storage sa;
	socklen_t len = adit_addr_to(to, &sa);

	*s = (struct stranger){ .fd = socket(to->family, SOCK_DGRAM | SOCK_NONBLOCK, 0) };
	assert_true(s->fd >= 0);
	assert_int_equal(connect(s->fd, (struct sockaddr *)&sa, len), 0);
}

static bool
stranger_has(void *arg)
{
	struct stranger *s = arg;
	ssize_t n = recv(s->fd, s->buf, sizeof(s->buf), 0);

	if (n < 0)
		return false;
	s->len = n;
	s->n++;
	return true;
}

struct counting {
	const uint64_t	*value;
	uint64_t	 want;
};

static bool
has_counted(void *arg)
{
	const struct counting *c = arg;

	return *c->value >= c->want;
}

static void
until_counted(struct quic_rig *r, const uint64_t *value, uint64_t want)
{
	struct counting c = { .value = value, .want = want };

	assert_true(loop_until(r->l, has_counted, &c, RIG_LIMIT));
}

/* A long header as a client's first packet has it, of some version. */
static size_t
initial(uint8_t *p, size_t len, uint32_t version, size_t dcid)
{
	adit_random(p, len);
	p[0] = 0xc0 | (p[0] & 0x0f);
	for (int i = 0; i < 4; i++)
		p[1 + i] = (uint8_t)(version >> (24 - 8 * i));
	p[5] = (uint8_t)dcid;
	p[6 + dcid] = 8;		/* source id */
	p[15 + dcid] = 0;		/* no token */
	p[16 + dcid] = 0x44;		/* length: 1100 */
	p[17 + dcid] = 0x4c;
	return len;
}

/* ---- what costs nothing ---------------------------------------------------------------------- */

static void
garbage_costs_no_state(void **state)
{
	struct quic_rig *r = *state;
	const struct quic_stats *st;
	struct stranger s;
	uint8_t p[1500];

	quic_rig_start(r);
	st = quic_endpoint_stats(r->server);
	stranger_open(&s, &r->at);
	for (int i = 0; i < 200; i++) {
		size_t len = initial(p, 1 + adit_random_below(1199), NGTCP2_PROTO_VER_V1, 8);

		send(s.fd, p, len, 0);
		loop_turn(r->l, 2);
	}
	until_counted(r, &st->dropped, 150);	/* the kernel may lose some */
	assert_int_equal(st->initials, 0);	/* too short, all of them */
	assert_int_equal(st->sessions, 0);
	for (int i = 0; i < 50; i++) {
		initial(p, 1200, NGTCP2_PROTO_VER_V1, 8);
		send(s.fd, p, 1200, 0);
		loop_turn(r->l, 2);
	}
	until_counted(r, &st->initials, 10);	/* looked at: they do not decrypt */
	assert_int_equal(st->sessions, 0);
	assert_int_equal(st->handshakes, 0);
	assert_false(stranger_has(&s));
	close(s.fd);
}

static void
versions_are_negotiated(void **state)
{
	struct quic_rig *r = *state;
	struct stranger s;
	uint8_t p[1200];

	quic_rig_start(r);
	stranger_open(&s, &r->at);
	initial(p, 1200, 0x1a2a3a4a, 8);
	send(s.fd, p, 1199, 0);			/* too short for an answer */
	send(s.fd, p, 1200, 0);
	assert_true(loop_until(r->l, stranger_has, &s, RIG_LIMIT));
	assert_true(s.buf[0] & 0x80);
	assert_memory_equal(s.buf + 1, "\0\0\0\0", 4);
	assert_int_equal(s.buf[5], 8);
	assert_memory_equal(s.buf + 6, p + 15, 8);	/* the ids change places */
	assert_memory_equal(s.buf + 15, p + 6, 8);
	assert_int_equal(s.len, 31);
	assert_memory_equal(s.buf + 23, "\x6b\x33\x43\xcf", 4);
	assert_memory_equal(s.buf + 27, "\0\0\0\1", 4);
	assert_int_equal(quic_endpoint_stats(r->server)->versions, 1);
	initial(p, 1200, 0, 8);				/* a negotiation is not answered */
	send(s.fd, p, 1200, 0);
	until_counted(r, &quic_endpoint_stats(r->server)->dropped, 2);
	assert_false(stranger_has(&s));
	for (int i = 0; i < 3000; i++) {		/* and answers are limited */
		initial(p, 1200, 0x1a2a3a4a, 8);
		send(s.fd, p, 1200, 0);
		loop_turn(r->l, 1);
	}
	assert_in_range(quic_endpoint_stats(r->server)->versions, 2, 2990);
	close(s.fd);
}

static void
unknown_ids_are_reset(void **state)
{
	struct quic_rig *r = *state;
	struct stranger s;
	uint8_t p[1200];

	quic_rig_start(r);
	stranger_open(&s, &r->at);
	for (size_t len = 11; len < 70; len++) {
		adit_random(p, len);
		p[0] = 0x40;
		p[1] = 200;		/* of a worker that we do not have */
		send(s.fd, p, len, 0);
		if (len <= 21) {
			loop_turn(r->l, 5);
			assert_false(stranger_has(&s));
			continue;
		}
		assert_true(loop_until(r->l, stranger_has, &s, RIG_LIMIT));
		assert_in_range(s.len, 21, len - 1);
		assert_int_equal(s.buf[0] & 0xc0, 0x40);
		if (len > 43)
			assert_true(s.len >= 42);
	}
	assert_int_equal(quic_endpoint_stats(r->server)->sessions, 0);
	close(s.fd);
}

/*
 * ---- restart ------------------------------------------------------------------------------------
 */

/*
 * The server is gone without a word and comes back with the same secret: one packet tells the
 * client.
 */
static void
a_restart_is_noticed_at_once(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	uint64_t began;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &a, &b);
	adit_conn_close(b, 0);
	r->down.cut = true;
	quic_rig_stop_server(r);
	r->down.cut = false;
	quic_rig_start_server(r);
	assert_int_equal(adit_mux_err(client), 0);
	began = adit_now();
	adit_mux_probe(client);
	assert_true(quic_rig_until_ended(r, client));
	assert_true(adit_now() - began < ADIT_MS(1000));
	assert_int_equal(adit_mux_err(client), -ECONNRESET);
	assert_non_null(strstr(adit_mux_reason(client)->text, "stateless reset"));
	assert_int_equal(adit_conn_err(a), -ECONNRESET);
	/* One for each datagram that was on its way: the probe, perhaps an acknowledgement too. */
	assert_in_range(quic_endpoint_stats(r->server)->resets, 1, 3);
	adit_conn_close(a, 0);
	adit_mux_close(client, NULL);
	quic_rig_session(r, &client, &server);
	adit_mux_close(client, NULL);
}

/* Another secret: the reset is nobody's, the client goes on as if nothing had come. */
static void
a_foreign_reset_is_ignored(void **state)
{
	static const uint8_t other[] = "not the same as before!";
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	r->down.cut = true;
	quic_rig_stop_server(r);
	r->down.cut = false;
	r->conf.secret = other;
	r->conf.secret_len = sizeof(other);
	quic_rig_start_server(r);
	adit_mux_probe(client);
	until_counted(r, &quic_endpoint_stats(r->server)->resets, 1);
	loop_turn(r->l, 10);
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(client, NULL);
}

/*
 * ---- handshakes
 * ------------------------------------------------------------------------------------
 */

static void
no_protocol_in_common(void **state)
{
	static const struct quic_alpn other[] = { { "other", false } };
	struct quic_rig *r = *state;
	struct adit_mux *client;

	r->params.alpn = other;
	r->params.n_alpn = 1;
	quic_rig_start(r);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), ADIT_ETLS);
	assert_int_equal(adit_mux_reason(client)->code, 0x178);
	assert_int_equal(r->n_accepted, 0);
	assert_int_equal(quic_endpoint_stats(r->server)->handshakes, 0);
	adit_mux_close(client, NULL);
}

/* gost's clients offer both, and the server's order decides. */
static void
the_server_prefers(void **state)
{
	static const struct quic_alpn gost[] = { { "quic/v1", false }, { "h3", false } };
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;

	r->params.alpn = gost;
	r->params.n_alpn = 2;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	assert_string_equal(quic_session_alpn(server), "h3");
	assert_string_equal(quic_session_alpn(client), "h3");
	adit_mux_close(client, NULL);
}

static void
untrusted_certificates_are_refused(void **state)
{
	static const struct adit_tls_conf strict = { .secure = true };
	struct quic_rig *r = *state;
	struct adit_mux *client;

	r->params.tls = tls_source_new(&strict, TLS_CLIENT, NULL, NULL);
	assert_non_null(r->params.tls);
	quic_rig_start(r);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), ADIT_ETLS);
	assert_non_null(strstr(adit_mux_reason(client)->text, "certificate"));
	assert_int_equal(r->n_accepted, 0);
	adit_mux_close(client, NULL);
	quic_endpoint_close(r->client, NULL);
	r->client = NULL;
	loop_turn(r->l, 3);
	tls_source_free(r->params.tls);
}

static void
handshakes_have_a_limit(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;
	uint64_t began = adit_now();

	r->params.handshake = ADIT_MS(300);
	r->down.cut = true;
	r->conf.params.handshake = ADIT_MS(300);
	quic_rig_start(r);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), -ETIMEDOUT);
	assert_true(adit_now() - began < ADIT_MS(3000));
	while (quic_endpoint_stats(r->server)->sessions)
		loop_turn(r->l, 1);
	assert_int_equal(quic_endpoint_stats(r->server)->handshakes, 0);
	adit_mux_close(client, NULL);
}

/* Two unreachable messages in a row, and nothing heard: no waiting for the time limit. */
static void
nobody_listens(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;

	quic_rig_start(r);
	quic_rig_stop_server(r);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), -ECONNREFUSED);
	adit_mux_close(client, NULL);
}

/*
 * Nothing comes back, and nobody says why: the attempt does not wait for its handshake's limit,
 * that another one may begin while its own repetitions would become rare.
 */
static void
an_attempt_of_which_nothing_is_heard_ends(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client;
	uint64_t began;

	r->params.handshake = ADIT_SECONDS(60);
	r->params.unheard = 0;
	r->down.cut = true;
	quic_rig_start(r);
	began = adit_now();
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), -ETIMEDOUT);
	assert_in_range(adit_now() - began, ADIT_MS(1000), ADIT_SECONDS(10));
	adit_mux_close(client, NULL);
}

/* The peer has gone without a word, and its machine says so to each of a few questions. */
static void
a_peer_that_crashed_is_noticed(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	uint64_t began;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	r->down.cut = true;		/* no last words */
	quic_rig_stop_server(r);
	began = adit_now();
	adit_mux_probe(client);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_err(client), ADIT_EPEERDEAD);
	assert_in_range(adit_now() - began, ADIT_MS(300), ADIT_SECONDS(3));
	adit_mux_close(client, NULL);
}

static bool
one_under_way(void *arg)
{
	return quic_endpoint_stats(arg)->handshakes == 1;
}

/* While others are under way a new client has to prove its address first, and then is served. */
static void
addresses_are_proven_under_load(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *half, *client, *server;
	struct weather clear = { .seed = 3 };
	struct quic_endpoint *other;
	struct crossing x;
	struct adit_conn *a, *b;

	r->conf.retry_from = 1;
	quic_rig_start(r);
	other = quic_rig_endpoint(r, &(struct quic_conf){ 0 }, NULL, &clear);
	r->down.cut = true;		/* its handshake stays half done */
	half = quic_rig_connect(r);
	assert_true(loop_until(r->l, one_under_way, r->server, RIG_LIMIT));
	r->up.cut = true;
	r->down.cut = false;
	assert_int_equal(quic_endpoint_stats(r->server)->retries, 0);
	client = quic_rig_connect_from(r, other);
	assert_true(quic_rig_until_open(r, client));
	assert_int_equal(quic_endpoint_stats(r->server)->retries, 1);
	while (!r->n_accepted)
		loop_turn(r->l, 1);
	server = r->accepted[0];
	quic_rig_stream(r, client, server, &a, &b);
	crossing_start(&x, a, b, 50000);
	assert_true(crossings_run(r, &x, 1, RIG_LIMIT));
	assert_int_equal(x.got, 50000);
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
	adit_mux_close(half, NULL);
	quic_endpoint_close(other, NULL);
}

/* From one source only so many at a time, whatever it proves. */
static void
sources_are_bounded(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *half[6];
	const struct quic_stats *st;

	r->conf.source_max = 3;
	r->down.cut = true;
	quic_rig_start(r);
	st = quic_endpoint_stats(r->server);
	for (int i = 0; i < 6; i++)
		half[i] = quic_rig_connect(r);
	until_counted(r, &st->retries, 3);	/* that go nowhere */
	assert_int_equal(st->handshakes, 3);
	r->down.cut = false;
	/* The first three get through; then there is room for the others. */
	for (int i = 0; i < 6; i++)
		assert_true(quic_rig_until_open(r, half[i]));
	while (r->n_accepted < 6)
		loop_turn(r->l, 1);
	for (int i = 0; i < 6; i++)
		adit_mux_close(half[i], NULL);
}

static void
full_endpoints_refuse(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server, *refused;

	r->conf.sessions_max = 1;
	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	refused = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, refused));
	assert_int_equal(adit_mux_err(refused), -ECONNREFUSED);
	assert_int_equal(quic_endpoint_stats(r->server)->refused, 1);
	adit_mux_close(refused, NULL);
	adit_mux_close(client, NULL);
}

static void
draining_endpoints_refuse(void **state)
{
	struct quic_rig *r = *state;
	struct adit_mux *client, *server, *refused;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_drain(r);
	refused = quic_rig_connect(r);
	assert_true(quic_rig_until_ended(r, refused));
	assert_int_equal(adit_mux_err(refused), -ECONNREFUSED);
	assert_int_equal(adit_mux_err(client), 0);
	adit_mux_close(refused, NULL);
	adit_mux_close(client, NULL);
}

/* Ended by its endpoint: the peer hears why, the owner still has to close. */
static void
endpoints_end_their_sessions(void **state)
{
	const struct adit_reason why = { .err = ADIT_ESTOPPED, .code = 7, .text = "bye" };
	struct quic_rig *r = *state;
	struct adit_mux *client, *server;
	struct adit_conn *a, *b;
	char byte;

	quic_rig_start(r);
	quic_rig_session(r, &client, &server);
	quic_rig_stream(r, client, server, &a, &b);
	quic_endpoint_close(r->server, &why);
	r->server = NULL;
	assert_int_equal(adit_mux_err(server), ADIT_ESTOPPED);
	assert_int_equal(adit_conn_read(b, &byte, 1), ADIT_ESTOPPED);
	assert_true(quic_rig_until_ended(r, client));
	assert_int_equal(adit_mux_reason(client)->code, 7);
	assert_string_equal(adit_mux_reason(client)->text, "bye");
	adit_mux_probe(server);
	assert_null(adit_mux_open(server, 0, NULL));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_mux_close(client, NULL);
}

static void
bad_configurations_are_refused(void **state)
{
	struct quic_rig *r = *state;
	struct adit_err e = ADIT_ERR_INIT;
	struct quic_conf conf = r->conf;

	conf.secret_len = 15;
	assert_null(quic_endpoint_new(udp_open(r->l->worker, &r->udp, &e), &conf, &e));
	assert_int_equal(e.code, -EINVAL);
	conf.secret_len = 16;
	conf.params.n_alpn = 0;
	assert_null(quic_endpoint_new(udp_open(r->l->worker, &r->udp, &e), &conf, &e));
	assert_int_equal(e.code, -EINVAL);
	quic_rig_start(r);
	r->params.n_alpn = 0;
	assert_null(quic_connect(r->client,
	                         &(struct quic_target){ .addr = r->at, .params = &r->params }, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_int_equal(quic_endpoint_stats(r->client)->sessions, 0);
}

/*
 * ---- parts
 * -------------------------------------------------------------------------------------------
 */

static void
windows_grow_while_they_limit(void **state)
{
	struct mux_window w;

	(void)state;
	mux_window_init(&w, 1000, 0);
	assert_false(mux_window_use(&w, 499));
	assert_true(mux_window_use(&w, 1));
	assert_int_equal(mux_window_grow(&w, 100, 10000, 199), 1000);	/* in less than 2 rtt */
	assert_int_equal(w.size, 2000);
	assert_true(mux_window_use(&w, 1000));
	assert_int_equal(mux_window_grow(&w, 100, 10000, 199 + 200), 0);
	assert_true(mux_window_use(&w, 2000));
	assert_int_equal(mux_window_grow(&w, 100, 500, 400), 500); /* as far as there is room */
	assert_true(mux_window_use(&w, 2000));
	assert_int_equal(mux_window_grow(&w, 0, 500, 400), 0);		/* nothing measured */
}

static void
connection_ids_are_found(void **state)
{
	static uint8_t ids[3000][QUIC_CID_LEN];
	struct quic_cids t;
	unsigned worker, generation;

	(void)state;
	assert_int_equal(quic_cids_init(&t), 0);
	for (size_t i = 0; i < 3000; i++) {
		quic_cid_make(ids[i], (unsigned)i % 7, 3);
		assert_null(quic_cids_find(&t, ids[i], QUIC_CID_LEN));
		assert_non_null(quic_cids_add(&t, ids[i], QUIC_CID_LEN, NULL));
	}
	for (size_t i = 0; i < 3000; i++) {
		struct quic_cid *cid = quic_cids_find(&t, ids[i], QUIC_CID_LEN);

		assert_non_null(cid);
		assert_memory_equal(cid->bytes, ids[i], QUIC_CID_LEN);
		assert_null(quic_cids_find(&t, ids[i], QUIC_CID_LEN - 1));
		assert_true(quic_cid_owner(ids[i], QUIC_CID_LEN, &worker, &generation));
		assert_int_equal(worker, i % 7);
		assert_int_equal(generation, 3);
		quic_cids_remove(&t, cid);
		assert_null(quic_cids_find(&t, ids[i], QUIC_CID_LEN));
	}
	assert_false(quic_cid_owner(ids[0], 8, &worker, &generation));
	assert_int_equal(t.n, 0);
	quic_cids_fini(&t);
}

/*
 * ---- two workers
 * ----------------------------------------------------------------------------------------
 */

/*
 * Two workers with a socket each. The one at whose socket the client's datagrams arrive is not the
 * one that has the session: each is handed over, and the session does not notice.
 */
struct pair {
	struct quic_rig		 rig;		/* its conf and TLS */
	struct quic_group	*group;
	struct worker_group	*workers;
	struct quic_endpoint	*ep[2];
	struct adit_addr	 at[2];
	struct weather		 weather[2];
	struct adit_trouble	 trouble;
	struct adit_mux		*accepted;
	struct adit_conn	*conn;
	atomic_int		 ended;		/* why the session has */
	atomic_uint		 echoed;
	atomic_ulong		 forwarded;
};

static void
pair_on_conn(void *owner, struct adit_conn *c, unsigned events)
{
	struct pair *p = owner;
	char buf[4096];
	ssize_t n;

	(void)events;
	while ((n = adit_conn_read(c, buf, sizeof(buf))) > 0) {
		atomic_fetch_add(&p->echoed, (unsigned)n);
		adit_conn_write(c, buf, (size_t)n);
	}
	if (n != -EAGAIN)
		adit_conn_want(c, 0);
}

static void
pair_on_mux(void *owner, struct adit_mux *m, unsigned events)
{
	struct pair *p = owner;
	struct adit_conn *c = adit_mux_accept(m);

	(void)events;
	if (adit_mux_err(m)) {
		atomic_store(&p->ended, adit_mux_err(m));
		adit_mux_want(m, 0);
	}
	if (!c)
		return;
	p->conn = c;
	adit_conn_own(p->conn, pair_on_conn, p);
	adit_conn_want(p->conn, ADIT_READ);
}

static void
pair_on_accept(void *arg, struct adit_mux *m)
{
	struct pair *p = arg;

	p->accepted = m;
	adit_mux_own(m, pair_on_mux, p);
	adit_mux_want(m, ADIT_READ);
}

static void
pair_open(struct adit_worker *w, void *arg)
{
	struct pair *p = arg;
	unsigned i = adit_worker_index(w);
	struct quic_conf conf = p->rig.conf;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_packet_conn *packet = udp_open(w, &p->rig.udp, &e);

	conf.accept = pair_on_accept;
	conf.arg = p;
	conf.forward = quic_group_forward;
	conf.forward_arg = p->group;
	conf.trouble = quic_group_trouble;
	p->ep[i] = quic_endpoint_new(weather_new(packet, &p->weather[i]), &conf, &e);
	p->at[i] = *quic_endpoint_local(p->ep[i]);
	quic_group_join(p->group, p->ep[i]);
}

static void
pair_close(struct adit_worker *w, void *arg)
{
	struct pair *p = arg;
	unsigned i = adit_worker_index(w);

	if (i == 0) {
		adit_conn_close(p->conn, 0);
		adit_mux_close(p->accepted, NULL);
	}
	atomic_fetch_add(&p->forwarded, quic_endpoint_stats(p->ep[i])->forwarded);
	quic_group_leave(p->group, p->ep[i]);
	quic_endpoint_close(p->ep[i], NULL);
}

/*
 * The client's way to the server, which changes as a balancer's would: another socket gets its
 * datagrams.
 */
struct detour {
	struct adit_packet_conn	 base;
	struct adit_packet_conn	*lower;
	struct adit_addr	 from, to;	/* what goes to from goes to to, when on */
	bool			 on;
};

static int
detour_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	struct detour *d = adit_container_of(p, struct detour, base);
	int got = adit_packet_recv(d->lower, v, n);

	for (int i = 0; i < got; i++)
		v[i].from = d->from;	/* whoever answers, to the client it is one address */
	if (got == -EAGAIN)
		adit_packet_want(d->lower, ADIT_READ);
	return got;
}

static int
detour_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	struct detour *d = adit_container_of(p, struct detour, base);

	for (int i = 0; i < n; i++) {
		struct adit_packet one = v[i];

		if (d->on)
			one.to = d->to;
		adit_packet_send(d->lower, &one, 1);
	}
	return n;
}

static void
detour_close(struct adit_packet_conn *p)
{
	adit_packet_close(adit_container_of(p, struct detour, base)->lower);
}

static void
detour_free(struct adit_packet_conn *p)
{
	(void)p;
}

static const struct adit_packet_ops detour_ops = {
	.size = sizeof(detour_ops),
	.name = "detour",
	.recv = detour_recv,
	.send = detour_send,
	.close = detour_close,
	.free = detour_free,
};

static void
detour_event(void *owner, struct adit_packet_conn *lower, unsigned events)
{
	struct detour *d = owner;

	adit_packet_want(lower, 0);
	adit_packet_ready(&d->base, events);
}

static struct detour *
detour_new(struct quic_rig *r, const struct adit_addr *from, const struct adit_addr *to)
{
	struct adit_packet_conn *lower = udp_open(r->l->worker, &r->udp, NULL);
	struct detour *d = adit_packet_new(r->l->worker, &detour_ops, sizeof(*d));

	assert_non_null(d);
	d->lower = lower;
	d->from = *from;
	d->to = *to;
	adit_packet_set_local(&d->base, adit_packet_local(lower));
	adit_packet_own(lower, detour_event, d);
	adit_packet_want(lower, ADIT_READ);
	adit_packet_ready(&d->base, ADIT_WRITE);
	return d;
}

static struct pair *
pair_new(struct quic_rig *r)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(p);
	p->rig = *r;
	p->weather[0].deaf = true;
	p->group = quic_group_new(2, r->conf.generation);
	p->workers = workers_start(&(struct worker_conf){ .workers = 2 }, &e);
	assert_non_null(p->workers);
	workers_call(p->workers, pair_open, p);
	r->at = p->at[0];
	return p;
}

static void
pair_stop(struct pair *p)
{
	workers_call(p->workers, pair_close, p);
	workers_stop(p->workers);
}

static void
pair_free(struct pair *p)
{
	quic_group_put(p->group);
	free(p);
}

static void
strangers_are_handed_to_their_owner(void **state)
{
	struct quic_rig *r = *state;
	struct pair *p = pair_new(r);
	char buf[2000] = "round and round", back[2000];
	struct adit_err e = ADIT_ERR_INIT;
	struct detour *d;
	struct adit_mux *client;
	struct adit_conn *c;
	size_t got;

	d = detour_new(r, &p->at[0], &p->at[1]);
	r->client = quic_endpoint_new(&d->base, &(struct quic_conf){ 0 }, &e);
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_open(r, client));
	c = adit_mux_open(client, 0, NULL);
	for (int i = 0; i < 50; i++) {
		d->on = i >= 5;
		assert_int_equal(adit_conn_write(c, buf, sizeof(buf)), sizeof(buf));
		for (got = 0; got < sizeof(back);) {
			ssize_t n = quic_rig_read(r, c, back + got, sizeof(back) - got);

			assert_true(n > 0);
			got += (size_t)n;
		}
		assert_memory_equal(back, buf, sizeof(buf));
	}
	assert_int_equal(atomic_load(&p->echoed), 50 * sizeof(buf));
	assert_int_equal(adit_mux_err(client), 0);
	adit_conn_close(c, 0);
	adit_mux_close(client, NULL);
	loop_turn(r->l, 3);
	pair_stop(p);
	assert_true(atomic_load(&p->forwarded) >= 45);
	pair_free(p);
}

/* What the client's machine answers to what the first worker has sent last. */
static void
pair_see(struct adit_worker *w, void *arg)
{
	struct pair *p = arg;

	if (adit_worker_index(w) != 0)
		return;
	p->trouble = (struct adit_trouble){
		.err = -ECONNREFUSED, .peer = *quic_endpoint_local(p->rig.client),
		.quote_len = ADIT_QUOTE_MAX,
	};
	memcpy(p->trouble.quote, p->weather[0].quote, ADIT_QUOTE_MAX);
}

/* Whose socket the kernel tells is not for us to say: it is the second one's, of another worker. */
static void
pair_forge(struct adit_worker *w, void *arg)
{
	struct pair *p = arg;

	if (adit_worker_index(w) == 1)
		weather_forge(&p->weather[1], &p->trouble);
}

static bool
pair_has_ended(void *arg)
{
	return atomic_load(&((struct pair *)arg)->ended);
}

static void
what_is_told_of_a_peer_reaches_its_session(void **state)
{
	struct quic_rig *r = *state;
	struct pair *p = pair_new(r);
	struct adit_mux *client;
	struct adit_conn *c;
	char byte;

	r->client = quic_rig_endpoint(r, &(struct quic_conf){ 0 }, NULL, &r->up);
	p->rig.client = r->client;
	client = quic_rig_connect(r);
	assert_true(quic_rig_until_open(r, client));
	c = adit_mux_open(client, 0, NULL);
	assert_int_equal(adit_conn_write(c, "!", 1), 1);
	assert_int_equal(quic_rig_read(r, c, &byte, 1), 1);
	r->up.cut = true;		/* it answers nothing from here on */
	for (int i = 0; i < 1000 && !pair_has_ended(p); i++) {
		workers_call(p->workers, pair_see, p);
		workers_call(p->workers, pair_forge, p);
		loop_until(r->l, pair_has_ended, p, 20);
	}
	assert_int_equal(atomic_load(&p->ended), ADIT_EPEERDEAD);
	adit_conn_close(c, 0);
	adit_mux_close(client, NULL);
	pair_stop(p);
	pair_free(p);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, quic_rig_setup, quic_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(garbage_costs_no_state),
		rig_test(versions_are_negotiated),
		rig_test(unknown_ids_are_reset),
		rig_test(a_restart_is_noticed_at_once),
		rig_test(a_foreign_reset_is_ignored),
		rig_test(no_protocol_in_common),
		rig_test(the_server_prefers),
		rig_test(untrusted_certificates_are_refused),
		rig_test(handshakes_have_a_limit),
		rig_test(nobody_listens),
		cmocka_unit_test_setup_teardown(an_attempt_of_which_nothing_is_heard_ends,
						quic_rig_setup, quic_rig_teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_crashed_is_noticed, quic_rig_setup,
						quic_rig_teardown),
		rig_test(addresses_are_proven_under_load),
		rig_test(sources_are_bounded),
		rig_test(full_endpoints_refuse),
		rig_test(draining_endpoints_refuse),
		rig_test(endpoints_end_their_sessions),
		rig_test(bad_configurations_are_refused),
		cmocka_unit_test(windows_grow_while_they_limit),
		cmocka_unit_test(connection_ids_are_found),
		rig_test(strangers_are_handed_to_their_owner),
		rig_test(what_is_told_of_a_peer_reaches_its_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
