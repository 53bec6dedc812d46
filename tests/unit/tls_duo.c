#include "tests/unit/tls_duo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/tls_default.h"

#define ALL SIZE_MAX

struct duo_kit duo_kit;
const char *const duo_versions[2] = { "VersionTLS12", "VersionTLS13" };

static void
duo_kit_pair(const char *name, const struct pki_cert *c, char **cert, char **key)
{
	char file[64];

	snprintf(file, sizeof(file), "%s.pem", name);
	*cert = pki_write(duo_kit.dir, file, c->cert_pem);
	snprintf(file, sizeof(file), "%s-key.pem", name);
	*key = pki_write(duo_kit.dir, file, c->key_pem);
}

int
duo_kit_setup(void **state)
{
	struct duo_kit *k = &duo_kit;

	(void)state;
	k->dir = pki_dir();
	k->root = pki_new(&(struct pki_want){ .name = "root", .ca = true });
	k->other_root = pki_new(&(struct pki_want){ .name = "other root", .ca = true });
	k->server = pki_new(&(struct pki_want){
		.name = "gw.test", .ip = "\x7f\0\0\1", .issuer = k->root,
		.purpose = GNUTLS_KP_TLS_WWW_SERVER });
	k->expired = pki_new(&(struct pki_want){
		.name = "gw.test", .issuer = k->root, .begins = -7200, .ends = -3600 });
	k->client = pki_new(&(struct pki_want){
		.name = "edge-7", .issuer = k->root, .purpose = GNUTLS_KP_TLS_WWW_CLIENT });
	k->stray = pki_new(&(struct pki_want){ .name = "stray", .issuer = k->other_root });
	k->ca = pki_write(k->dir, "ca.pem", k->root->cert_pem);
	k->other_ca = pki_write(k->dir, "other-ca.pem", k->other_root->cert_pem);
	duo_kit_pair("server", k->server, &k->server_cert, &k->server_key);
	duo_kit_pair("expired", k->expired, &k->expired_cert, &k->expired_key);
	duo_kit_pair("client", k->client, &k->client_cert, &k->client_key);
	duo_kit_pair("stray", k->stray, &k->stray_cert, &k->stray_key);
	return 0;
}

int
duo_kit_teardown(void **state)
{
	struct duo_kit *k = &duo_kit;
	struct pki_cert *certs[] = { k->root, k->other_root, k->server, k->expired, k->client,
				     k->stray };
	char *paths[] = { k->ca, k->other_ca, k->server_cert, k->server_key, k->expired_cert,
			  k->expired_key, k->client_cert, k->client_key, k->stray_cert,
			  k->stray_key };

	(void)state;
	for (size_t i = 0; i < sizeof(certs) / sizeof(*certs); i++)
		pki_free(certs[i]);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		free(paths[i]);
	pki_dir_free(k->dir);
	tls_default_set_dir(NULL);
	return 0;
}

struct tls_creds *
duo_creds(const struct adit_tls_conf *conf, enum tls_side side)
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

/* ---- a wire: two pairs, and the test between them ----------------------- */

void
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

/* ---- both ends ---------------------------------------------------------- */

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

void
side_wants(struct side *s, size_t len)
{
	s->in = realloc(s->in, s->in_len + len + 1);
	assert_non_null(s->in);
	s->in_stop = s->in_len + len;
	if (s->open)
		adit_conn_want(s->c, ADIT_READ);
}

void
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
void
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

void
duo_new(struct duo *d, struct loop *l, const struct adit_tls_conf *client,
	const struct adit_tls_conf *server)
{
	struct tls_creds *c = duo_creds(client, TLS_CLIENT), *s = duo_creds(server, TLS_SERVER);

	duo_start(d, l, c, s, "gw.test");
	tls_creds_put(c);
	tls_creds_put(s);
}

void
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

bool
duo_settled(void *arg)
{
	struct duo *d = arg;

	return (d->client.open || d->client.err) && (d->server.open || d->server.err);
}

bool
duo_failed(void *arg)
{
	struct duo *d = arg;

	return d->client.err && d->server.err;
}

bool
side_full(void *arg)
{
	struct side *s = arg;

	return s->in_len == s->in_stop || s->ended || s->err;
}

bool
side_failed(void *arg)
{
	return ((struct side *)arg)->err != 0;
}

bool
side_done(void *arg)
{
	struct side *s = arg;

	return s->ended || s->err;
}

struct adit_tls_conf
duo_server_conf(void)
{
	return (struct adit_tls_conf){ .cert_file = duo_kit.server_cert,
				       .key_file = duo_kit.server_key };
}

void
duo_open(struct duo *d, struct loop *l, const char *version)
{
	struct adit_tls_conf client = { .max_version = version }, server = duo_server_conf();

	duo_new(d, l, &client, &server);
	assert_true(loop_until(l, duo_settled, d, LIMIT));
	assert_int_equal(d->client.err, 0);
	assert_int_equal(d->server.err, 0);
}

void
duo_passes(struct side *from, struct side *to, const char *text, struct loop *l)
{
	size_t len = strlen(text), at = to->in_len;

	side_wants(to, len);
	assert_int_equal(adit_conn_write(from->c, text, len), len);
	assert_true(loop_until(l, side_full, to, LIMIT));
	assert_int_equal(to->err, 0);
	assert_memory_equal(to->in + at, text, len);
}

void
duo_says(const char *have, const char *want)
{
	if (!have || !strstr(have, want))
		fail_msg("wanted \"%s\" in: %s", want, have ? have : "nothing");
}
