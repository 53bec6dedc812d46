/* TLS when all is well, and how it ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/conn.h"
#include "core/conn/tcp.h"
#include "tests/unit/conformance.h"
#include "tests/unit/tls_duo.h"

/* ---- when all is well --------------------------------------------------- */

static void
a_handshake_opens_both(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };
		uint16_t port;

		duo_open(&d, l, duo_versions[v]);
		assert_string_equal(adit_conn_asked(d.server.c, &port), "gw.test");
		assert_string_equal(tls_sni(d.server.c), "gw.test");
		assert_null(tls_alpn(d.client.c));
		assert_null(conn_failure(d.client.c));
		assert_true(adit_conn_flags(d.client.c) & ADIT_CONN_SECURE);
		duo_passes(&d.client, &d.server, "hello", l);
		duo_passes(&d.server, &d.client, "hello to you", l);
		/* Idle conns hold no chunks. */
		assert_int_equal(chunk_pool_used(worker_chunks(l->worker)), 0);
		duo_free(&d);
	}
}

static void
what_is_asked_of_other_conns_is_null(void **state)
{
	struct loop *l = *state;
	struct adit_conn *a, *b;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &a, &b), 0);
	assert_null(conn_failure(a));
	assert_null(tls_alpn(a));
	assert_null(tls_sni(a));
	assert_null(adit_conn_certificate(a));
	assert_null(conn_failure(NULL));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
}

static void
small_pieces_share_a_record(void **state)
{
	struct loop *l = *state;
	char big[20000];
	char ab[] = "ab", c[] = "c", tail[] = "tail";
	struct iovec iov[] = { { ab, 2 }, { NULL, 0 }, { c, 1 }, { big, 20000 }, { tail, 4 } };
	struct duo d = { 0 };
	size_t before;

	memset(big, 'x', sizeof(big));
	duo_open(&d, l, NULL);
	before = d.wire.up.passed;
	side_wants(&d.server, 20007);
	assert_int_equal(adit_conn_writev(d.client.c, iov, 5), 20007);
	assert_true(loop_until(l, side_full, &d.server, LIMIT));
	assert_memory_equal(d.server.in, "abcxxx", 6);
	assert_memory_equal(d.server.in + 20000, "xxxtail", 7);
	/* Two records: 5 bytes of head, 16 of tag and 1 of type each. */
	assert_int_equal(d.wire.up.passed - before, 20007 + 2 * 22);
	duo_free(&d);
}

static void
an_agreed_protocol_is_told(void **state)
{
	struct loop *l = *state;
	char h2[] = "h2", h1[] = "http/1.1", x[] = "x";
	char *offered[] = { x, h1, h2 }, *served[] = { h2, h1 };
	struct adit_tls_conf client = { .alpn = { 3, offered } }, server = duo_server_conf();
	struct duo d = { 0 }, e = { 0 };

	server.alpn = (struct adit_strings){ 2, served };
	duo_new(&d, l, &client, &server);
	assert_true(loop_until(l, duo_settled, &d, LIMIT));
	assert_string_equal(tls_alpn(d.client.c), "h2");
	assert_string_equal(tls_alpn(d.server.c), "h2");
	duo_free(&d);
	/* A client that offers none, as gost's do, is served. */
	client.alpn.n = 0;
	duo_new(&e, l, &client, &server);
	assert_true(loop_until(l, duo_settled, &e, LIMIT));
	assert_int_equal(e.client.err | e.server.err, 0);
	assert_null(tls_alpn(e.server.c));
	duo_free(&e);
}

static void
literals_are_verified_and_not_sent(void **state)
{
	struct loop *l = *state;
	struct adit_tls_conf client = { .secure = true, .ca_file = duo_kit.ca };
	struct adit_tls_conf server = duo_server_conf();
	struct tls_creds *c = duo_creds(&client, TLS_CLIENT), *s = duo_creds(&server, TLS_SERVER);
	const struct {
		const char	*host, *sni;
		bool		 good;
	} cases[] = {
		{ "127.0.0.1", NULL, true }, { "127.0.0.2", NULL, false }, { "[::1]", NULL, false },
		{ "GW.test.", "GW.test", true }, { "xn--gw.test", "xn--gw.test", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct duo d = { 0 };

		duo_start(&d, l, c, s, cases[i].host);
		assert_true(loop_until(l, duo_settled, &d, LIMIT));
		assert_int_equal(d.client.err, cases[i].good ? 0 : ADIT_ETLS);
		if (cases[i].sni)
			assert_string_equal(tls_sni(d.server.c), cases[i].sni);
		else
			assert_null(tls_sni(d.server.c));
		duo_free(&d);
	}
	tls_creds_put(c);
	tls_creds_put(s);
}

static void
a_name_is_needed_to_verify(void **state)
{
	struct loop *l = *state;
	struct adit_tls_conf conf = { .secure = true, .ca_file = duo_kit.ca };
	struct tls_creds *c = duo_creds(&conf, TLS_CLIENT);
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *a, *b;
	char byte;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &a, &b), 0);
	assert_null(tls_client(a, c, NULL, &e));
	assert_int_equal(e.code, ADIT_ECONFIG);
	assert_int_equal(adit_conn_read(b, &byte, 1), ADIT_ETLS);	/* a was closed */
	adit_conn_close(b, 0);
	tls_creds_put(c);
}

/* ---- how things end ----------------------------------------------------- */

static void
one_direction_may_end_before_the_other(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };

		duo_open(&d, l, duo_versions[v]);
		side_wants(&d.server, 100);
		assert_int_equal(adit_conn_write(d.client.c, "question", 8), 8);
		assert_int_equal(adit_conn_shutdown(d.client.c), 0);
		assert_true(loop_until(l, side_done, &d.server, LIMIT));
		assert_true(d.server.ended);
		assert_int_equal(d.server.in_len, 8);
		duo_passes(&d.server, &d.client, "a late answer", l);
		side_wants(&d.client, 1);
		assert_int_equal(adit_conn_shutdown(d.server.c), 0);
		assert_true(loop_until(l, side_done, &d.client, LIMIT));
		assert_true(d.client.ended);
		duo_free(&d);
	}
}

static void
an_end_before_the_handshake_is_kept(void **state)
{
	struct adit_tls_conf client = { 0 }, server = duo_server_conf();
	struct loop *l = *state;
	struct duo d = { 0 };

	side_wants(&d.server, 10);
	duo_new(&d, l, &client, &server);
	assert_int_equal(adit_conn_shutdown(d.client.c), 0);
	assert_true(loop_until(l, side_done, &d.server, LIMIT));
	assert_true(d.server.ended);
	assert_int_equal(d.client.err, 0);
	duo_free(&d);
}

static void
an_end_without_close_notify_is_truncation(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };

		duo_open(&d, l, duo_versions[v]);
		duo_passes(&d.client, &d.server, "some", l);
		side_wants(&d.server, 100);
		wire_cut(&d.wire, 0);
		assert_true(loop_until(l, side_done, &d.server, LIMIT));
		assert_int_equal(d.server.err, ADIT_ETRUNCATED);
		assert_false(d.server.ended);
		duo_free(&d);
	}
}

static void
a_reset_below_is_a_reset(void **state)
{
	struct loop *l = *state;
	struct duo d = { 0 };

	duo_open(&d, l, NULL);
	side_wants(&d.server, 100);
	wire_cut(&d.wire, -ECONNRESET);
	assert_true(loop_until(l, side_done, &d.server, LIMIT));
	assert_int_equal(d.server.err, -ECONNRESET);
	duo_free(&d);
}

static void
a_changed_byte_is_noticed(void **state)
{
	struct loop *l = *state;
	struct duo d = { 0 };

	duo_open(&d, l, NULL);
	side_wants(&d.server, 100);
	side_wants(&d.client, 100);
	assert_int_equal(adit_conn_write(d.client.c, "first", 5), 5);
	assert_int_equal(adit_conn_write(d.client.c, "second", 6), 6);
	d.wire.up.limit = d.wire.up.passed + 5 + 22 + 6 + 22;
	d.wire.up.flip = 1;
	d.wire.up.stall = true;
	assert_true(loop_until(l, duo_failed, &d, LIMIT));
	/* What came before is delivered. */
	assert_int_equal(d.server.in_len, 5);
	assert_int_equal(d.server.err, ADIT_ETLS);
	assert_non_null(conn_failure(d.server.c));
	duo_says(conn_failure(d.client.c), "the peer sent alert 20");
	duo_free(&d);
}

static void
a_polite_close_sends_everything(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };
		static char bulk[70000];
		ssize_t n;
		size_t sent = 0;

		duo_open(&d, l, duo_versions[v]);
		memset(bulk, 'b', sizeof(bulk));
		while ((n = adit_conn_write(d.client.c, bulk, sizeof(bulk))) > 0)
			sent += (size_t)n;
		assert_int_equal(n, -EAGAIN);
		adit_conn_close(d.client.c, 0);
		d.client.c = NULL;
		side_wants(&d.server, sent + 1);
		assert_true(loop_until(l, side_done, &d.server, LIMIT));
		assert_true(d.server.ended);
		assert_int_equal(d.server.in_len, sent);
		duo_free(&d);
	}
}

static void
an_abortive_close_is_no_end(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };

		duo_open(&d, l, duo_versions[v]);
		side_wants(&d.server, 100);
		adit_conn_close(d.client.c, -ECONNABORTED);
		d.client.c = NULL;
		assert_true(loop_until(l, side_done, &d.server, LIMIT));
		assert_false(d.server.ended);
		assert_true(d.server.err < 0);
		duo_free(&d);
	}
}

static void
a_peer_that_does_not_read_stops_the_writer(void **state)
{
	struct loop *l = *state;
	static char bulk[100000];
	struct duo d = { 0 };
	size_t sent = 0, at = 0;
	ssize_t n;

	duo_open(&d, l, NULL);
	memset(bulk, 'c', sizeof(bulk));
	do {
		while ((n = adit_conn_write(d.client.c, bulk, sizeof(bulk))) > 0)
			sent += (size_t)n;
		assert_int_equal(n, -EAGAIN);
		loop_turn(l, 5);
		at++;
	} while (at < 50);
	/* Ours (64 KiB and a record), the wire's two pairs and what the wire has in hand. */
	assert_true(sent <= 65536 + 16384 + 3 * CAP);
	side_wants(&d.server, sent);
	assert_true(loop_until(l, side_full, &d.server, LIMIT));
	assert_int_equal(d.server.in_len, sent);
	duo_passes(&d.client, &d.server, "goes on", l);
	duo_free(&d);
}

/* ---- certificates that change ------------------------------------------- */

static void
the_next_handshake_has_the_new_certificate(void **state)
{
	struct loop *l = *state;
	char *cert = pki_write(duo_kit.dir, "live.pem", duo_kit.server->cert_pem);
	char *key = pki_write(duo_kit.dir, "live-key.pem", duo_kit.server->key_pem);
	struct adit_tls_conf conf = { .cert_file = cert, .key_file = key }, plain = { 0 };
	struct tls_source *src = tls_source_new(&conf, TLS_SERVER, NULL, NULL);
	struct tls_creds *client = duo_creds(&plain, TLS_CLIENT), *server;
	struct duo before = { 0 }, after = { 0 };

	server = tls_creds_current_at(src, ADIT_SECONDS(1));
	duo_start(&before, l, client, server, "gw.test");
	tls_creds_put(server);
	assert_true(loop_until(l, duo_settled, &before, LIMIT));
	assert_string_equal(adit_conn_certificate(before.client.c)->common_name, "gw.test");
	free(pki_write(duo_kit.dir, "live.pem", duo_kit.client->cert_pem));
	free(pki_write(duo_kit.dir, "live-key.pem", duo_kit.client->key_pem));
	server = tls_creds_current_at(src, ADIT_SECONDS(3));
	tls_source_free(src);
	duo_start(&after, l, client, server, "gw.test");
	tls_creds_put(server);
	assert_true(loop_until(l, duo_settled, &after, LIMIT));
	assert_string_equal(adit_conn_certificate(after.client.c)->common_name, "edge-7");
	duo_passes(&before.client, &before.server, "the old one goes on", l);
	duo_free(&before);
	duo_free(&after);
	tls_creds_put(client);
	free(cert);
	free(key);
}

/* ---- sessions without a conn -------------------------------------------- */

static void
quic_has_tls13_alone(void **state)
{
	static const char *const offer[] = { "adit/1", "h3" };
	struct adit_tls_conf conf = { .max_version = "VersionTLS12" };
	struct tls_creds *old = duo_creds(&conf, TLS_CLIENT), *c;
	struct adit_err e = ADIT_ERR_INIT;
	struct tls_session s;

	(void)state;
	assert_int_equal(tls_session_init(&s, old, TLS_SESSION_QUIC, "gw.test", &e), ADIT_ECONFIG);
	duo_says(e.text, "QUIC needs TLS 1.3");
	tls_session_fini(&s);		/* there is nothing in it */
	tls_creds_put(old);
	conf.max_version = NULL;
	c = duo_creds(&conf, TLS_CLIENT);
	assert_int_equal(tls_session_init(&s, c, TLS_SESSION_QUIC, "gw.test", &e), 0);
	assert_int_equal(tls_session_offer(&s, offer, 2), 0);
	assert_null(gnutls_session_get_ptr(s.tls));
	assert_null(tls_session_alpn(&s, NULL));
	assert_null(tls_session_peer(&s));
	tls_session_fini(&s);
	tls_creds_put(c);
}

static void
what_is_configured_is_offered(void **state)
{
	static const char *const offer[] = { "mine" };
	char theirs[] = "configured";
	char *list[] = { theirs };
	struct adit_tls_conf client = { .alpn = { 1, list } }, server = duo_server_conf();
	struct tls_creds *c = duo_creds(&client, TLS_CLIENT), *s;
	struct loop *l = *state;
	struct duo d = { 0 };
	struct tls_session session;

	server.alpn = client.alpn;
	s = duo_creds(&server, TLS_SERVER);
	assert_int_equal(tls_session_init(&session, c, 0, NULL, NULL), 0);
	assert_int_equal(tls_session_offer(&session, offer, 1), 0);
	tls_session_fini(&session);
	duo_start(&d, l, c, s, NULL);
	assert_true(loop_until(l, duo_settled, &d, LIMIT));
	assert_string_equal(tls_alpn(d.client.c), "configured");
	assert_null(tls_sni(d.server.c));
	assert_null(adit_conn_asked(d.server.c, NULL));
	duo_free(&d);
	tls_creds_put(c);
	tls_creds_put(s);
}

/* Reads a part of a record from side's conn, between the socket's event and its owner's turn. */
static void
reads_unasked(void *owner, struct adit_conn *c, unsigned events)
{
	struct side *s = owner;
	char some[100];
	ssize_t n = adit_conn_read(s->c, some, sizeof(some));

	(void)events;
	if (n <= 0)
		return;
	s->in_len += (size_t)n;
	adit_conn_want(c, 0);
}

static bool
has_read_all(void *arg)
{
	return ((struct side *)arg)->in_len == 1000;
}

static void
reads_when_told(void *owner, struct adit_conn *c, unsigned events)
{
	struct side *s = owner;
	char some[100];
	ssize_t n = adit_conn_read(c, some, sizeof(some));

	(void)events;
	s->in_len += n > 0 ? (size_t)n : 0;
}

static bool
is_open(void *arg)
{
	return adit_conn_is_open(arg);
}

/*
 * A pump reads one end when the other is writable. It may find bytes of which the lower conn was to
 * tell; the rest of their record stands in the session, and no socket tells of it.
 */
static void
a_record_read_in_part_is_told_of(void **state)
{
	struct loop *l = *state;
	struct adit_tls_conf client = { 0 }, server = duo_server_conf();
	struct tls_creds *cc = duo_creds(&client, TLS_CLIENT), *sc = duo_creds(&server, TLS_SERVER);
	struct adit_conn *from, *a, *b;
	struct side to = { 0 };
	uint8_t record[1000] = { 0 };
	int fds[2];

	assert_int_equal(conformance_tcp_sockets(fds), 0);
	from = tls_client(tcp_conn(l->worker, fds[0], false), cc, "gw.test", NULL);
	to.c = tls_server(tcp_conn(l->worker, fds[1], false), sc, NULL);
	assert_true(loop_until(l, is_open, from, LIMIT) && loop_until(l, is_open, to.c, LIMIT));
	adit_conn_own(to.c, reads_when_told, &to);
	adit_conn_want(to.c, ADIT_READ);
	loop_turn(l, 5);

	/* An io that stands in the run queue in every turn, before the socket. */
	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &a, &b), 0);
	adit_conn_own(a, reads_unasked, &to);
	adit_conn_want(a, ADIT_WRITE);
	assert_int_equal(adit_conn_write(from, record, sizeof(record)), sizeof(record));
	assert_true(loop_until(l, has_read_all, &to, 2000));

	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
	adit_conn_close(from, 0);
	adit_conn_close(to.c, 0);
	tls_creds_put(cc);
	tls_creds_put(sc);
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(a_handshake_opens_both),
		IN_LOOP(what_is_asked_of_other_conns_is_null),
		IN_LOOP(small_pieces_share_a_record),
		IN_LOOP(an_agreed_protocol_is_told),
		IN_LOOP(literals_are_verified_and_not_sent),
		IN_LOOP(a_name_is_needed_to_verify),
		IN_LOOP(one_direction_may_end_before_the_other),
		IN_LOOP(an_end_before_the_handshake_is_kept),
		IN_LOOP(an_end_without_close_notify_is_truncation),
		IN_LOOP(a_reset_below_is_a_reset),
		IN_LOOP(a_changed_byte_is_noticed),
		IN_LOOP(a_polite_close_sends_everything),
		IN_LOOP(an_abortive_close_is_no_end),
		IN_LOOP(a_peer_that_does_not_read_stops_the_writer),
		IN_LOOP(the_next_handshake_has_the_new_certificate),
		cmocka_unit_test(quic_has_tls13_alone),
		IN_LOOP(what_is_configured_is_offered),
		IN_LOOP(a_record_read_in_part_is_told_of),
	};

	return cmocka_run_group_tests(tests, duo_kit_setup, duo_kit_teardown);
}
