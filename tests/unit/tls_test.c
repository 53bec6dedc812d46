#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/tls.h"
#include "core/conn/tls_default.h"
#include "tests/unit/loop.h"
#include "tests/unit/pki.h"

#define LIMIT 20000		/* ms: of a test that fails */
#define CAP 65536		/* of a wire's pairs */
#define ALL SIZE_MAX

static struct {
	char		*dir, *ca, *other_ca;
	struct pki_cert	*root, *other_root, *server, *expired, *client, *stray;
	char		*server_cert, *server_key, *expired_cert, *expired_key;
	char		*client_cert, *client_key, *stray_cert, *stray_key;
} pki;

static void
pki_pair(const char *name, const struct pki_cert *c, char **cert, char **key)
{
	char file[64];

	snprintf(file, sizeof(file), "%s.pem", name);
	*cert = pki_write(pki.dir, file, c->cert_pem);
	snprintf(file, sizeof(file), "%s-key.pem", name);
	*key = pki_write(pki.dir, file, c->key_pem);
}

static int
pki_setup(void **state)
{
	(void)state;
	pki.dir = pki_dir();
	pki.root = pki_new(&(struct pki_want){ .name = "root", .ca = true });
	pki.other_root = pki_new(&(struct pki_want){ .name = "other root", .ca = true });
	pki.server = pki_new(&(struct pki_want){
		.name = "gw.test", .ip = "\x7f\0\0\1", .issuer = pki.root,
		.purpose = GNUTLS_KP_TLS_WWW_SERVER });
	pki.expired = pki_new(&(struct pki_want){
		.name = "gw.test", .issuer = pki.root, .begins = -7200, .ends = -3600 });
	pki.client = pki_new(&(struct pki_want){
		.name = "edge-7", .issuer = pki.root, .purpose = GNUTLS_KP_TLS_WWW_CLIENT });
	pki.stray = pki_new(&(struct pki_want){ .name = "stray", .issuer = pki.other_root });
	pki.ca = pki_write(pki.dir, "ca.pem", pki.root->cert_pem);
	pki.other_ca = pki_write(pki.dir, "other-ca.pem", pki.other_root->cert_pem);
	pki_pair("server", pki.server, &pki.server_cert, &pki.server_key);
	pki_pair("expired", pki.expired, &pki.expired_cert, &pki.expired_key);
	pki_pair("client", pki.client, &pki.client_cert, &pki.client_key);
	pki_pair("stray", pki.stray, &pki.stray_cert, &pki.stray_key);
	return 0;
}

static int
pki_teardown(void **state)
{
	struct pki_cert *certs[] = { pki.root, pki.other_root, pki.server, pki.expired, pki.client,
				     pki.stray };
	char *paths[] = { pki.ca, pki.other_ca, pki.server_cert, pki.server_key, pki.expired_cert,
			  pki.expired_key, pki.client_cert, pki.client_key, pki.stray_cert,
			  pki.stray_key };

	(void)state;
	for (size_t i = 0; i < sizeof(certs) / sizeof(*certs); i++)
		pki_free(certs[i]);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		free(paths[i]);
	pki_dir_free(pki.dir);
	tls_default_set_dir(NULL);
	return 0;
}

static struct tls_creds *
creds(const struct adit_tls_conf *conf, enum tls_side side)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct tls_source *src = tls_source_new(conf, side, NULL, &e);
	struct tls_creds *c;

	if (!src)
		fail_msg("%s", e.text);
	c = tls_creds_current(src);
	tls_source_free(src);
	return c;
}

/* ---- a wire: two pairs, and the test between them -------------------------------------- */

/* One direction: how many bytes may pass, and what happens then. */
struct lane {
	struct adit_conn	*from, *to;
	size_t			 limit, passed;
	bool			 full, done;	/* `to` takes no more now; the end was passed on */
	bool			 stall;		/* at the limit: nothing more; else `why` */
	int			 why;		/* both far ends are closed with it, 0 politely */
	uint8_t			 flip;		/* changes the last byte that passes */
};

struct wire {
	struct lane	 up, down;		/* from the client, to the client */
	bool		 cut;
};

static void
wire_cut(struct wire *w, int why)
{
	w->cut = true;
	adit_conn_close(w->up.from, why);
	adit_conn_close(w->down.from, why);
	w->up.from = w->down.from = NULL;
}

static void
wire_pass(struct wire *w, struct lane *lane)
{
	uint8_t buf[16384];
	size_t room = lane->limit - lane->passed;
	ssize_t n, took;

	if (room == 0 || lane->done)
		return;
	n = adit_conn_read(lane->from, buf, room < sizeof(buf) ? room : sizeof(buf));
	if (n < 0 && n != -EAGAIN)
		wire_cut(w, (int)n);
	lane->done = n == 0;
	if (n == 0)
		adit_conn_shutdown(lane->to);
	if (n <= 0)
		return;
	if (lane->passed + (size_t)n == lane->limit)
		buf[n - 1] ^= lane->flip;
	took = adit_conn_write(lane->to, buf, (size_t)n);
	if (took < 0 && took != -EAGAIN) {
		wire_cut(w, (int)took);
		return;
	}
	took = took < 0 ? 0 : took;
	lane->passed += (size_t)took;
	lane->full = took < n;
	if (lane->full)
		assert_int_equal(adit_conn_unread(lane->from, buf + took, (size_t)(n - took)), 0);
	if (lane->passed == lane->limit && !lane->stall)
		wire_cut(w, lane->why);
}

/* The end whose reads are of lane and whose writes are of back. */
static void
wire_want(struct lane *lane, const struct lane *back)
{
	bool reads = !lane->full && !lane->done && (lane->passed < lane->limit || !lane->stall);

	adit_conn_want(lane->from, (reads ? ADIT_READ : 0u) | (back->full ? ADIT_WRITE : 0u));
}

static void
wire_run(struct wire *w, struct lane *lane, struct lane *back, unsigned events)
{
	if (events & ADIT_WRITE) {
		back->full = false;
		wire_pass(w, back);
	}
	if (!w->cut && (events & ADIT_READ) && !lane->full)
		wire_pass(w, lane);
	if (w->cut)
		return;
	wire_want(lane, back);
	wire_want(back, lane);
}

static void
wire_up(void *owner, struct adit_conn *c, unsigned events)
{
	struct wire *w = owner;

	assert_ptr_equal(c, w->up.from);
	wire_run(w, &w->up, &w->down, events);
}

static void
wire_down(void *owner, struct adit_conn *c, unsigned events)
{
	struct wire *w = owner;

	assert_ptr_equal(c, w->down.from);
	wire_run(w, &w->down, &w->up, events);
}

/* ---- both ends ------------------------------------------------------------------------------ */

struct side {
	struct adit_conn	*c;
	bool			 open, ended;
	int			 err;
	uint8_t			*in;
	size_t			 in_len, in_stop;	/* reads until it has that much */
};

struct duo {
	struct loop	*l;
	struct wire	 wire;
	struct side	 client, server;
	struct adit_err	 e;
};

static void
side_read(struct side *s)
{
	ssize_t n = -EAGAIN;

	while (s->in_len < s->in_stop) {
		size_t room = s->in_stop - s->in_len;

		n = adit_conn_read(s->c, s->in + s->in_len, room < 10000 ? room : 10000);
		if (n <= 0)
			break;
		s->in_len += (size_t)n;
	}
	if (n == 0)
		s->ended = true;
	else if (n < 0 && n != -EAGAIN)
		s->err = (int)n;
	if (s->in_len == s->in_stop || s->ended || s->err)
		adit_conn_want(s->c, 0);
}

static void
side_ready(void *owner, struct adit_conn *c, unsigned events)
{
	struct side *s = owner;

	assert_ptr_equal(c, s->c);
	if (!s->open) {
		s->open = adit_conn_is_open(c);
		s->err = adit_conn_err(c);
		adit_conn_want(c, s->in_stop && !s->err ? ADIT_READ : 0);
		return;
	}
	if (events & ADIT_READ)
		side_read(s);
}

static void
side_wants(struct side *s, size_t len)
{
	s->in = realloc(s->in, s->in_len + len + 1);
	assert_non_null(s->in);
	s->in_stop = s->in_len + len;
	if (s->open)
		adit_conn_want(s->c, ADIT_READ);
}

static void
side_own(struct side *s)
{
	if (!s->c)
		return;
	adit_conn_own(s->c, side_ready, s);
	adit_conn_want(s->c, ADIT_OPEN);
}

static void
wire_init(struct wire *w, struct loop *l, struct adit_conn **client, struct adit_conn **server)
{
	struct adit_conn *a, *b;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, client, &a), 0);
	assert_int_equal(adit_conn_pair(l->worker, l->worker, CAP, server, &b), 0);
	w->up.from = w->down.to = a;
	w->down.from = w->up.to = b;
	adit_conn_own(a, wire_up, w);
	adit_conn_own(b, wire_down, w);
	adit_conn_want(a, ADIT_READ);
	adit_conn_want(b, ADIT_READ);
}

/* Borrows the credentials. Limits of the wire are set before. */
static void
duo_start(struct duo *d, struct loop *l, struct tls_creds *client, struct tls_creds *server,
	  const char *host)
{
	struct adit_conn *a, *b;

	d->l = l;
	if (!d->wire.up.limit)
		d->wire.up.limit = ALL;
	if (!d->wire.down.limit)
		d->wire.down.limit = ALL;
	wire_init(&d->wire, l, &a, &b);
	d->client.c = tls_client(a, client, host, &d->e);
	d->server.c = tls_server(b, server, &d->e);
	side_own(&d->client);
	side_own(&d->server);
}

static void
duo_new(struct duo *d, struct loop *l, const struct adit_tls_conf *client,
	const struct adit_tls_conf *server)
{
	struct tls_creds *c = creds(client, TLS_CLIENT), *s = creds(server, TLS_SERVER);

	duo_start(d, l, c, s, "gw.test");
	tls_creds_put(c);
	tls_creds_put(s);
}

static void
duo_free(struct duo *d)
{
	adit_conn_close(d->client.c, -ECONNABORTED);
	adit_conn_close(d->server.c, -ECONNABORTED);
	if (!d->wire.cut)
		wire_cut(&d->wire, -ECONNABORTED);
	free(d->client.in);
	free(d->server.in);
	loop_turn(d->l, 2);
}

static bool
duo_settled(void *arg)
{
	struct duo *d = arg;

	return (d->client.open || d->client.err) && (d->server.open || d->server.err);
}

static bool
duo_failed(void *arg)
{
	struct duo *d = arg;

	return d->client.err && d->server.err;
}

static bool
side_full(void *arg)
{
	struct side *s = arg;

	return s->in_len == s->in_stop || s->ended || s->err;
}

static bool
side_done(void *arg)
{
	struct side *s = arg;

	return s->ended || s->err;
}

static struct adit_tls_conf
server_conf(void)
{
	return (struct adit_tls_conf){ .cert_file = pki.server_cert, .key_file = pki.server_key };
}

static void
duo_open(struct duo *d, struct loop *l, const char *version)
{
	struct adit_tls_conf client = { .max_version = version }, server = server_conf();

	duo_new(d, l, &client, &server);
	assert_true(loop_until(l, duo_settled, d, LIMIT));
	assert_int_equal(d->client.err, 0);
	assert_int_equal(d->server.err, 0);
}

static const char *const versions[] = { "VersionTLS12", "VersionTLS13" };
#define EACH_VERSION(v) for (int v = 0; v < 2; v++)

static void
passes(struct side *from, struct side *to, const char *text, struct loop *l)
{
	size_t len = strlen(text), at = to->in_len;

	side_wants(to, len);
	assert_int_equal(adit_conn_write(from->c, text, len), len);
	assert_true(loop_until(l, side_full, to, LIMIT));
	assert_int_equal(to->err, 0);
	assert_memory_equal(to->in + at, text, len);
}

static void
says(const char *have, const char *want)
{
	if (!have || !strstr(have, want))
		fail_msg("wanted \"%s\" in: %s", want, have ? have : "nothing");
}

/* ---- when all is well ---------------------------------------------------------------------- */

static void
a_handshake_opens_both(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };
		uint16_t port;

		duo_open(&d, l, versions[v]);
		assert_string_equal(adit_conn_asked(d.server.c, &port), "gw.test");
		assert_string_equal(tls_sni(d.server.c), "gw.test");
		assert_null(tls_alpn(d.client.c));
		assert_null(tls_failure(d.client.c));
		assert_true(adit_conn_flags(d.client.c) & ADIT_CONN_SECURE);
		passes(&d.client, &d.server, "hello", l);
		passes(&d.server, &d.client, "hello to you", l);
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
	assert_null(tls_failure(a));
	assert_null(tls_alpn(a));
	assert_null(tls_sni(a));
	assert_null(tls_peer(a));
	assert_null(tls_failure(NULL));
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
}

static void
small_pieces_share_a_record(void **state)
{
	struct loop *l = *state;
	char big[20000];
	struct iovec iov[] = { { (char *)(uintptr_t)"ab", 2 }, { NULL, 0 }, { (char *)(uintptr_t)"c", 1 },
			       { big, sizeof(big) }, { (char *)(uintptr_t)"tail", 4 } };
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
	struct adit_tls_conf client = { .alpn = { 3, offered } }, server = server_conf();
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
	struct adit_tls_conf client = { .secure = true, .ca_file = pki.ca }, server = server_conf();
	struct tls_creds *c = creds(&client, TLS_CLIENT), *s = creds(&server, TLS_SERVER);
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
	struct adit_tls_conf conf = { .secure = true, .ca_file = pki.ca };
	struct tls_creds *c = creds(&conf, TLS_CLIENT);
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

/* ---- how things end ---------------------------------------------------------------------------- */

static void
one_direction_may_end_before_the_other(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct duo d = { 0 };

		duo_open(&d, l, versions[v]);
		side_wants(&d.server, 100);
		assert_int_equal(adit_conn_write(d.client.c, "question", 8), 8);
		assert_int_equal(adit_conn_shutdown(d.client.c), 0);
		assert_true(loop_until(l, side_done, &d.server, LIMIT));
		assert_true(d.server.ended);
		assert_int_equal(d.server.in_len, 8);
		passes(&d.server, &d.client, "a late answer", l);
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
	struct adit_tls_conf client = { 0 }, server = server_conf();
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

		duo_open(&d, l, versions[v]);
		passes(&d.client, &d.server, "some", l);
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
	assert_non_null(tls_failure(d.server.c));
	says(tls_failure(d.client.c), "the peer sent alert 20");
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

		duo_open(&d, l, versions[v]);
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

		duo_open(&d, l, versions[v]);
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
	passes(&d.client, &d.server, "goes on", l);
	duo_free(&d);
}

/* ---- handshakes that fail --------------------------------------------------------------------- */

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
	says(tls_failure(d.client.c), r->client_says);
	says(tls_failure(d.server.c), r->server_says);
	duo_free(&d);
}

static void
a_wrong_server_is_refused(void **state)
{
	struct refusal r = { .server = server_conf() };

	EACH_VERSION(v) {
		r.server = server_conf();
		r.client = (struct adit_tls_conf){ .ca_file = pki.other_ca, .max_version = versions[v] };
		r.client_says = "the certificate of gw.test is refused: its issuer is not trusted";
		r.server_says = "the peer sent alert 48";
		refused(*state, &r);
		r.client = (struct adit_tls_conf){ .ca_file = pki.ca, .secure = true,
						   .server_name = "x.test", .max_version = versions[v] };
		r.client_says = "it is for another name";
		r.server_says = "the peer sent alert 42";
		refused(*state, &r);
		r.client.server_name = NULL;
		r.server.cert_file = pki.expired_cert;
		r.server.key_file = pki.expired_key;
		r.client_says = "it has expired";
		r.server_says = "the peer sent alert 45";
		refused(*state, &r);
	}
}

static void
without_secure_the_name_does_not_count(void **state)
{
	struct adit_tls_conf client = { .ca_file = pki.ca, .server_name = "x.test" };
	struct adit_tls_conf server = server_conf();
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
		.server = server_conf(),
		.client_says = "the peer sent alert 112",
		.server_says = "the client asked for \"gw.test\", which is not served",
	};

	r.server.reject_unknown_sni = true;
	r.server.server_names = (struct adit_strings){ 1, names };
	EACH_VERSION(v) {
		r.client.max_version = versions[v];
		refused(*state, &r);
	}
}

static void
other_protocols_are_refused(void **state)
{
	char h2[] = "h2", h1[] = "http/1.1";
	char *ours[] = { h2 }, *theirs[] = { h1 };
	struct refusal r = {
		.client = { .alpn = { 1, theirs } }, .server = server_conf(),
		.client_says = "the peer sent alert 120", .server_says = "pplication protocol",
	};

	r.server.alpn = (struct adit_strings){ 1, ours };
	refused(*state, &r);
}

static void
versions_that_do_not_meet_are_refused(void **state)
{
	struct refusal r = {
		.client = { .max_version = "VersionTLS11" }, .server = server_conf(),
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
		passes(&d.client, &d.server, "old", *state);
		duo_free(&d);
	}
}

static void
client_certificates_are_required_and_checked(void **state)
{
	struct loop *l = *state;

	EACH_VERSION(v) {
		struct refusal r = { .server = server_conf() };
		struct duo d = { 0 };
		const struct tls_peer *peer;

		r.server.ca_file = pki.ca;
		r.client = (struct adit_tls_conf){ .max_version = versions[v],
						   .cert_file = pki.client_cert,
						   .key_file = pki.client_key };
		duo_new(&d, l, &r.client, &r.server);
		assert_true(loop_until(l, duo_settled, &d, LIMIT));
		assert_int_equal(d.client.err | d.server.err, 0);
		passes(&d.client, &d.server, "known", l);
		peer = tls_peer(d.server.c);
		assert_non_null(peer);
		assert_string_equal(peer->common_name, "edge-7");
		assert_true(peer->verified);
		assert_false(tls_peer(d.client.c)->verified);
		duo_free(&d);

		r.client.cert_file = pki.stray_cert;
		r.client.key_file = pki.stray_key;
		r.client_says = "the peer sent alert 48";
		r.server_says = "its issuer is not trusted";
		refused(l, &r);
		r.client.cert_file = pki.server_cert;
		r.client.key_file = pki.server_key;
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
	const struct tls_peer *peer;
	char want[65];
	uint8_t digest[32];
	size_t len = sizeof(digest);

	duo_open(&d, l, NULL);
	peer = tls_peer(d.client.c);
	assert_non_null(peer);
	assert_ptr_equal(peer, tls_peer(d.client.c));
	assert_string_equal(peer->common_name, "gw.test");
	assert_int_equal(peer->names.n, 2);
	assert_string_equal(peer->names.v[0], "gw.test");
	assert_string_equal(peer->names.v[1], "127.0.0.1");
	assert_int_equal(gnutls_x509_crt_get_fingerprint(pki.server->crt, GNUTLS_DIG_SHA256, digest,
							 &len), 0);
	for (int i = 0; i < 32; i++)
		snprintf(want + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(peer->fingerprint, want);
	assert_null(tls_peer(d.server.c));
	duo_free(&d);
}

/* ---- peers that misbehave ------------------------------------------------------------------------ */

static bool
side_failed(void *arg)
{
	return ((struct side *)arg)->err != 0;
}

static void
a_silent_peer_is_timed_out(void **state)
{
	struct adit_tls_conf client = { 0 }, server = server_conf();
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
			says(tls_failure(d.client.c), "took too long");
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
	struct adit_tls_conf conf = server_conf();
	struct tls_creds *c = creds(&conf, TLS_SERVER);
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
				  "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "SSH-2.0-OpenSSH_9\r\n" };
	const size_t len[] = { 27, 9, 10, 19 };
	struct loop *l = *state;

	for (size_t i = 0; i < 4; i++) {
		struct bare b = { 0 };
		uint8_t answer[16];

		bare_new(&b, l);
		assert_int_equal(adit_conn_write(b.raw, garbage[i], len[i]), len[i]);
		assert_true(loop_until(l, side_failed, &b.server, LIMIT));
		assert_int_equal(b.server.err, ADIT_ETLS);
		assert_non_null(tls_failure(b.server.c));
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
		struct adit_tls_conf client = { .max_version = versions[v] }, server = server_conf();
		struct tls_creds *c = creds(&client, TLS_CLIENT), *s = creds(&server, TLS_SERVER);
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

/* ---- a client that is GnuTLS alone ------------------------------------------------------------------ */

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
	says(tls_failure(p.b.server.c), "renegotiation");
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
	struct adit_tls_conf conf = server_conf();

	EACH_VERSION(v) {
		struct tls_creds *here = creds(&conf, TLS_SERVER), *elsewhere = creds(&conf, TLS_SERVER);
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

/* ---- certificates that change --------------------------------------------------------------------------- */

static void
the_next_handshake_has_the_new_certificate(void **state)
{
	struct loop *l = *state;
	char *cert = pki_write(pki.dir, "live.pem", pki.server->cert_pem);
	char *key = pki_write(pki.dir, "live-key.pem", pki.server->key_pem);
	struct adit_tls_conf conf = { .cert_file = cert, .key_file = key }, plain = { 0 };
	struct tls_source *src = tls_source_new(&conf, TLS_SERVER, NULL, NULL);
	struct tls_creds *client = creds(&plain, TLS_CLIENT), *server;
	struct duo before = { 0 }, after = { 0 };

	server = tls_creds_current_at(src, ADIT_SECONDS(1));
	duo_start(&before, l, client, server, "gw.test");
	tls_creds_put(server);
	assert_true(loop_until(l, duo_settled, &before, LIMIT));
	assert_string_equal(tls_peer(before.client.c)->common_name, "gw.test");
	free(pki_write(pki.dir, "live.pem", pki.client->cert_pem));
	free(pki_write(pki.dir, "live-key.pem", pki.client->key_pem));
	server = tls_creds_current_at(src, ADIT_SECONDS(3));
	tls_source_free(src);
	duo_start(&after, l, client, server, "gw.test");
	tls_creds_put(server);
	assert_true(loop_until(l, duo_settled, &after, LIMIT));
	assert_string_equal(tls_peer(after.client.c)->common_name, "edge-7");
	passes(&before.client, &before.server, "the old one goes on", l);
	duo_free(&before);
	duo_free(&after);
	tls_creds_put(client);
	free(cert);
	free(key);
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
		IN_LOOP(the_next_handshake_has_the_new_certificate),
	};

	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
