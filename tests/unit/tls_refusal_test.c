/* Handshakes that fail, and peers that misbehave. */
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
#include "tests/unit/tls_duo.h"

/* ---- handshakes that fail ----------------------------------------------- */

struct refusal {
	struct adit_tls_conf	 client, server;
	const char		*client_says, *server_says;
};

static void
refused(struct loop *l, const struct refusal *r)
{
	struct duo d = { 0 };

	duo_new(&d, l, &r->client, &r->server);
	/* Under TLS 1.3 a client is open before its certificate is judged: it learns by reading. */
	side_wants(&d.client, 1);
	side_wants(&d.server, 1);
	assert_true(loop_until(l, duo_failed, &d, LIMIT));
	assert_int_equal(d.client.err, ADIT_ETLS);
	assert_int_equal(d.server.err, ADIT_ETLS);
	duo_says(conn_failure(d.client.c), r->client_says);
	duo_says(conn_failure(d.server.c), r->server_says);
	duo_free(&d);
}

static void
a_wrong_server_is_refused(void **state)
{
	struct refusal r = { .server = duo_server_conf() };

	EACH_VERSION(v) {
		r.server = duo_server_conf();
		r.client = (struct adit_tls_conf){ .ca_file = duo_kit.other_ca,
						   .max_version = duo_versions[v] };
		r.client_says = "the certificate of gw.test is refused: its issuer is not trusted";
		r.server_says = "the peer sent alert 48";
		refused(*state, &r);
		r.client = (struct adit_tls_conf){ .ca_file = duo_kit.ca, .secure = true,
						   .server_name = "x.test",
						   .max_version = duo_versions[v] };
		r.client_says = "it is for another name";
		r.server_says = "the peer sent alert 42";
		refused(*state, &r);
		r.client.server_name = NULL;
		r.server.cert_file = duo_kit.expired_cert;
		r.server.key_file = duo_kit.expired_key;
		r.client_says = "it has expired";
		r.server_says = "the peer sent alert 45";
		refused(*state, &r);
	}
}

static void
without_secure_the_name_does_not_count(void **state)
{
	struct adit_tls_conf client = { .ca_file = duo_kit.ca, .server_name = "x.test" };
	struct adit_tls_conf server = duo_server_conf();
	struct loop *l = *state;
	struct duo d = { 0 };

	duo_new(&d, l, &client, &server);
	assert_true(loop_until(l, duo_settled, &d, LIMIT));
	assert_int_equal(d.client.err | d.server.err, 0);
	assert_string_equal(tls_sni(d.server.c), "x.test");
	duo_free(&d);
}

static void
a_name_that_is_not_served_is_refused(void **state)
{
	char name[] = "other.test";
	char *names[] = { name };
	struct refusal r = {
		.server = duo_server_conf(),
		.client_says = "the peer sent alert 112",
		.server_says = "the client asked for \"gw.test\", which is not served",
	};

	r.server.reject_unknown_sni = true;
	r.server.server_names = (struct adit_strings){ 1, names };
	EACH_VERSION(v) {
		r.client.max_version = duo_versions[v];
		refused(*state, &r);
	}
}

static void
other_protocols_are_refused(void **state)
{
	char h2[] = "h2", h1[] = "http/1.1";
	char *ours[] = { h2 }, *theirs[] = { h1 };
	struct refusal r = {
		.client = { .alpn = { 1, theirs } }, .server = duo_server_conf(),
		.client_says = "the peer sent alert 120", .server_says = "pplication protocol",
	};

	r.server.alpn = (struct adit_strings){ 1, ours };
	refused(*state, &r);
}

static void
versions_that_do_not_meet_are_refused(void **state)
{
	struct refusal r = {
		.client = { .max_version = "VersionTLS11" }, .server = duo_server_conf(),
		.client_says = "the peer sent alert 70", .server_says = "version",
	};

	refused(*state, &r);
	/* And what was asked for explicitly works. */
	r.server.min_version = "VersionTLS10";
	EACH_VERSION(v) {
		struct duo d = { 0 };

		r.client.max_version = v ? "VersionTLS10" : "VersionTLS11";
		duo_new(&d, *state, &r.client, &r.server);
		assert_true(loop_until(*state, duo_settled, &d, LIMIT));
		assert_int_equal(d.client.err | d.server.err, 0);
		duo_passes(&d.client, &d.server, "old", *state);
		duo_free(&d);
	}
}

static void
client_certificates_are_required_and_checked(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct refusal r = { .server = duo_server_conf() };
		struct duo d = { 0 };
		const struct adit_certificate *peer;

		r.server.ca_file = duo_kit.ca;
		r.client = (struct adit_tls_conf){ .max_version = duo_versions[v],
						   .cert_file = duo_kit.client_cert,
						   .key_file = duo_kit.client_key };
		duo_new(&d, l, &r.client, &r.server);
		assert_true(loop_until(l, duo_settled, &d, LIMIT));
		assert_int_equal(d.client.err | d.server.err, 0);
		duo_passes(&d.client, &d.server, "known", l);
		peer = adit_conn_certificate(d.server.c);
		assert_non_null(peer);
		assert_string_equal(peer->common_name, "edge-7");
		assert_true(peer->verified);
		assert_false(adit_conn_certificate(d.client.c)->verified);
		duo_free(&d);

		r.client.cert_file = duo_kit.stray_cert;
		r.client.key_file = duo_kit.stray_key;
		r.client_says = "the peer sent alert 48";
		r.server_says = "its issuer is not trusted";
		refused(l, &r);
		r.client.cert_file = duo_kit.server_cert;
		r.client.key_file = duo_kit.server_key;
		r.client_says = "the peer sent alert 43";
		r.server_says = "it is for another purpose";
		refused(l, &r);
		r.client.cert_file = r.client.key_file = NULL;
		r.client_says = v ? "the peer sent alert 116" : "the peer sent alert";
		r.server_says = "ertificate";
		refused(l, &r);
	}
}

static void
the_peers_identity_is_told(void **state)
{
	struct loop *l = *state;
	struct duo d = { 0 };
	const struct adit_certificate *peer;
	char want[65];
	uint8_t digest[32];
	size_t len = sizeof(digest);

	duo_open(&d, l, NULL);
	peer = adit_conn_certificate(d.client.c);
	assert_non_null(peer);
	assert_ptr_equal(peer, adit_conn_certificate(d.client.c));
	assert_string_equal(peer->common_name, "gw.test");
	assert_int_equal(peer->n_names, 2);
	assert_string_equal(peer->names[0], "gw.test");
	assert_string_equal(peer->names[1], "127.0.0.1");
	assert_int_equal(gnutls_x509_crt_get_fingerprint(duo_kit.server->crt, GNUTLS_DIG_SHA256,
							 digest, &len), 0);
	for (int i = 0; i < 32; i++)
		snprintf(want + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(peer->fingerprint, want);
	assert_null(adit_conn_certificate(d.server.c));
	duo_free(&d);
}

/* ---- peers that misbehave ----------------------------------------------- */

static void
a_silent_peer_is_timed_out(void **state)
{
	struct adit_tls_conf client = { 0 }, server = duo_server_conf();
	struct loop *l = *state;

	for (int ours = 0; ours < 2; ours++) {
		struct duo d = { .wire = { .up = { .limit = 10, .stall = true } } };

		duo_new(&d, l, &client, &server);
		if (ours)
			tls_set_handshake_limit(d.client.c, 20);
		else
			adit_conn_deadline(d.client.c, 20);
		assert_true(loop_until(l, side_failed, &d.client, LIMIT));
		assert_int_equal(d.client.err, -ETIMEDOUT);
		if (ours)
			duo_says(conn_failure(d.client.c), "took too long");
		assert_false(d.server.open);
		duo_free(&d);
	}
}

/* A TLS server, and the other end of its lower conn in the test's hands. */
struct bare {
	struct side		 server;
	struct adit_conn	*raw;
	uint8_t			 got[4096];
	size_t			 got_len;
	bool			 ended;
};

static void
bare_new(struct bare *b, struct loop *l)
{
	struct adit_tls_conf conf = duo_server_conf();
	struct tls_creds *c = duo_creds(&conf, TLS_SERVER);
	struct adit_conn *lower;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &lower, &b->raw), 0);
	b->server.c = tls_server(lower, c, NULL);
	side_own(&b->server);
	tls_creds_put(c);
}

static void
bare_free(struct bare *b, struct loop *l)
{
	adit_conn_close(b->server.c, -ECONNABORTED);
	adit_conn_close(b->raw, 0);
	free(b->server.in);
	loop_turn(l, 2);
}

static void
garbage_is_answered_by_an_alert(void **state)
{
	const char *garbage[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\xff\xff....",
				  "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
				  "SSH-2.0-OpenSSH_9\r\n" };
	const size_t len[] = { 27, 9, 10, 19 };
	struct loop *l = *state;

	for (size_t i = 0; i < 4; i++) {
		struct bare b = { 0 };
		uint8_t answer[16];

		bare_new(&b, l);
		assert_int_equal(adit_conn_write(b.raw, garbage[i], len[i]), len[i]);
		assert_true(loop_until(l, side_failed, &b.server, LIMIT));
		assert_int_equal(b.server.err, ADIT_ETLS);
		assert_non_null(conn_failure(b.server.c));
		/* The close must not take the alert away. */
		adit_conn_close(b.server.c, b.server.err);
		b.server.c = NULL;
		loop_turn(l, 3);
		assert_int_equal(adit_conn_read(b.raw, answer, sizeof(answer)), 7);
		assert_int_equal(answer[0], 21);
		assert_int_equal(answer[5], 2);
		assert_int_equal(adit_conn_read(b.raw, answer, sizeof(answer)), 0);
		bare_free(&b, l);
	}
}

/* One handshake that is cut after n bytes of one lane, then by every way of ending. */
static void
cut_at(struct loop *l, struct tls_creds *c, struct tls_creds *s, bool up, size_t n)
{
	static const int ways[] = { 0, -ECONNRESET };

	for (int way = 0; way < 3; way++) {
		struct duo d = { 0 };
		struct lane *lane = up ? &d.wire.up : &d.wire.down;

		*lane = (struct lane){ .limit = n, .stall = way == 2, .why = ways[way % 2] };
		side_wants(&d.client, 1);
		side_wants(&d.server, 1);
		duo_start(&d, l, c, s, "gw.test");
		if (way < 2) {
			assert_true(loop_until(l, duo_failed, &d, LIMIT));
			assert_false(d.client.ended || d.server.ended);
		} else {
			loop_turn(l, 10);	/* and the owners close */
		}
		duo_free(&d);
	}
}

static void
a_cut_at_any_byte_is_a_failure(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct adit_tls_conf client = { .max_version = duo_versions[v] };
		struct adit_tls_conf server = duo_server_conf();
		struct tls_creds *c = duo_creds(&client, TLS_CLIENT);
		struct tls_creds *s = duo_creds(&server, TLS_SERVER);
		struct duo d = { 0 };
		size_t up, down, step = v ? 1 : 5;

		duo_start(&d, l, c, s, "gw.test");
		assert_true(loop_until(l, duo_settled, &d, LIMIT));
		loop_turn(l, 5);
		/* An ECDSA signature may be some bytes shorter the next time. */
		up = d.wire.up.passed - 10;
		down = d.wire.down.passed - 10;
		duo_free(&d);
		for (size_t n = 1; n <= up; n += step)
			cut_at(l, c, s, true, n);
		for (size_t n = 1; n <= down; n += step)
			cut_at(l, c, s, false, n);
		assert_int_equal(chunk_pool_used(worker_chunks(l->worker)), 0);
		tls_creds_put(c);
		tls_creds_put(s);
	}
}

/* ---- a client that is GnuTLS alone -------------------------------------- */

struct plain {
	struct bare				 b;
	struct loop				*l;
	gnutls_session_t			 tls;
	gnutls_certificate_credentials_t	 cred;
	int					 ret;
};

static ssize_t
plain_pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
	struct plain *p = ptr;
	ssize_t n = adit_conn_read(p->b.raw, buf, len);

	if (n >= 0)
		return n;
	gnutls_transport_set_errno(p->tls, n == -EAGAIN ? EAGAIN : EIO);
	return -1;
}

static ssize_t
plain_push(gnutls_transport_ptr_t ptr, const void *buf, size_t len)
{
	struct plain *p = ptr;
	ssize_t n = adit_conn_write(p->b.raw, buf, len);

	if (n >= 0)
		return n;
	gnutls_transport_set_errno(p->tls, n == -EAGAIN ? EAGAIN : EIO);
	return -1;
}

static bool
plain_shaken(void *arg)
{
	struct plain *p = arg;

	p->ret = gnutls_handshake(p->tls);
	return p->ret == 0 || gnutls_error_is_fatal(p->ret);
}

/* Over p->b, which is there. ticket: from an earlier session, or NULL. */
static void
plain_start(struct plain *p, struct loop *l, const char *priority, const gnutls_datum_t *ticket)
{
	p->l = l;
	assert_int_equal(gnutls_init(&p->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&p->cred), 0);
	assert_int_equal(gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, p->cred), 0);
	assert_int_equal(gnutls_priority_set_direct(p->tls, priority, NULL), 0);
	if (ticket)
		assert_int_equal(gnutls_session_set_data(p->tls, ticket->data, ticket->size), 0);
	gnutls_transport_set_ptr(p->tls, p);
	gnutls_transport_set_pull_function(p->tls, plain_pull);
	gnutls_transport_set_push_function(p->tls, plain_push);
	adit_conn_want(p->b.raw, 0);
	assert_true(loop_until(l, plain_shaken, p, LIMIT));
	assert_int_equal(p->ret, 0);
	loop_turn(l, 5);
	assert_true(p->b.server.open);
}

static void
plain_free(struct plain *p)
{
	gnutls_deinit(p->tls);
	gnutls_certificate_free_credentials(p->cred);
	bare_free(&p->b, p->l);
}

static void
renegotiation_is_refused(void **state)
{
	struct loop *l = *state;
	struct plain p = { 0 };

	bare_new(&p.b, l);
	plain_start(&p, l, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL);
	side_wants(&p.b.server, 1);
	gnutls_handshake(p.tls);
	assert_true(loop_until(l, side_failed, &p.b.server, LIMIT));
	assert_int_equal(p.b.server.err, ADIT_ETLS);
	duo_says(conn_failure(p.b.server.c), "renegotiation");
	plain_free(&p);
}

static void
keys_may_be_updated(void **state)
{
	struct loop *l = *state;
	struct plain p = { 0 };
	char buf[16];
	ssize_t n;

	bare_new(&p.b, l);
	plain_start(&p, l, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
	side_wants(&p.b.server, 10);
	assert_int_equal(gnutls_record_send(p.tls, "first", 5), 5);
	assert_int_equal(gnutls_session_key_update(p.tls, GNUTLS_KU_PEER), 0);
	assert_int_equal(gnutls_record_send(p.tls, "other", 5), 5);
	assert_true(loop_until(l, side_full, &p.b.server, LIMIT));
	assert_memory_equal(p.b.server.in, "firstother", 10);
	assert_int_equal(adit_conn_write(p.b.server.c, "new keys", 8), 8);
	do
		n = gnutls_record_recv(p.tls, buf, sizeof(buf));
	while (n == GNUTLS_E_AGAIN);
	assert_int_equal(n, 8);
	assert_memory_equal(buf, "new keys", 8);
	plain_free(&p);
}

static void
empty_records_are_skipped_but_not_for_ever(void **state)
{
	struct loop *l = *state;
	struct plain p = { 0 };

	bare_new(&p.b, l);
	plain_start(&p, l, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
	side_wants(&p.b.server, 4);
	for (int i = 0; i < 10; i++)
		assert_int_equal(gnutls_record_send2(p.tls, "", 0, 8, 0), 0);
	assert_int_equal(gnutls_record_send(p.tls, "data", 4), 4);
	assert_true(loop_until(l, side_full, &p.b.server, LIMIT));
	assert_memory_equal(p.b.server.in, "data", 4);
	side_wants(&p.b.server, 4);
	for (int i = 0; i < 100; i++)
		assert_int_equal(gnutls_record_send2(p.tls, "", 0, 8, 0), 0);
	assert_true(loop_until(l, side_failed, &p.b.server, LIMIT));
	assert_int_equal(p.b.server.err, ADIT_ETLS);
	plain_free(&p);
}

/* A session's ticket, for the next one. */
static gnutls_datum_t
plain_ticket(struct plain *p)
{
	gnutls_datum_t ticket;
	char byte;

	assert_int_equal(gnutls_record_recv(p->tls, &byte, 1), GNUTLS_E_AGAIN);
	assert_int_equal(gnutls_session_get_data2(p->tls, &ticket), 0);
	return ticket;
}

static struct adit_conn *
bare_from(struct bare *b, struct loop *l, struct tls_creds *c)
{
	struct adit_conn *lower;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, &lower, &b->raw), 0);
	b->server.c = tls_server(lower, c, NULL);
	side_own(&b->server);
	return b->server.c;
}

static void
tickets_resume_where_they_were_given(void **state)
{
	static const char *const priorities[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.2",
						  "NORMAL:-VERS-ALL:+VERS-TLS1.3" };
	struct loop *l = *state;
	struct adit_tls_conf conf = duo_server_conf();

	EACH_VERSION(v) {
		struct tls_creds *here = duo_creds(&conf, TLS_SERVER);
		struct tls_creds *elsewhere = duo_creds(&conf, TLS_SERVER);
		struct plain first = { 0 }, again = { 0 }, other = { 0 };
		gnutls_datum_t ticket;

		bare_from(&first.b, l, here);
		plain_start(&first, l, priorities[v], NULL);
		ticket = plain_ticket(&first);
		bare_from(&again.b, l, here);
		plain_start(&again, l, priorities[v], &ticket);
		assert_true(gnutls_session_is_resumed(again.tls));
		bare_from(&other.b, l, elsewhere);
		plain_start(&other, l, priorities[v], &ticket);
		assert_false(gnutls_session_is_resumed(other.tls));
		gnutls_free(ticket.data);
		plain_free(&first);
		plain_free(&again);
		plain_free(&other);
		tls_creds_put(here);
		tls_creds_put(elsewhere);
	}
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(a_wrong_server_is_refused),
		IN_LOOP(without_secure_the_name_does_not_count),
		IN_LOOP(a_name_that_is_not_served_is_refused),
		IN_LOOP(other_protocols_are_refused),
		IN_LOOP(versions_that_do_not_meet_are_refused),
		IN_LOOP(client_certificates_are_required_and_checked),
		IN_LOOP(the_peers_identity_is_told),
		IN_LOOP(a_silent_peer_is_timed_out),
		IN_LOOP(garbage_is_answered_by_an_alert),
		IN_LOOP(a_cut_at_any_byte_is_a_failure),
		IN_LOOP(renegotiation_is_refused),
		IN_LOOP(keys_may_be_updated),
		IN_LOOP(empty_records_are_skipped_but_not_for_ever),
		IN_LOOP(tickets_resume_where_they_were_given),
	};

	return cmocka_run_group_tests(tests, duo_kit_setup, duo_kit_teardown);
}
