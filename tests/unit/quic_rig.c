#include "tests/unit/quic_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mux/quic/internal.h"

/* ---- weather ---------------------------------------------------------------------- */

struct weather_conn {
	struct adit_packet_conn	 base;
	struct adit_packet_conn	*lower;
	struct weather		*w;
	struct adit_packet	 late;		/* the one held back */
	uint8_t			 late_bytes[65536];
	bool			 holding, deaf, dammed;
	struct adit_trouble	 forged;	/* to be told */
	unsigned		 want;		/* of lower */
};

static struct weather_conn *
weather_of(struct adit_packet_conn *p)
{
	return adit_container_of(p, struct weather_conn, base);
}

static bool
weather_chance(struct weather *w, unsigned per_thousand)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (w->seed >> 8) % 1000 < per_thousand;
}

static int
weather_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	struct weather_conn *c = weather_of(p);
	int got;

	if (c->dammed)
		return -EAGAIN;
	got = adit_packet_recv(c->lower, v, n);
	if (got == -EAGAIN)
		adit_packet_want(c->lower, c->want |= ADIT_READ);
	return got;
}

static void
weather_pass(struct weather_conn *c, struct adit_packet one)
{
	struct weather *w = c->w;

	w->sent++;
	if (w->cut || weather_chance(w, w->lost))
		return;
	if (!c->holding && weather_chance(w, w->late)) {
		memcpy(c->late_bytes, one.data.iov_base, one.data.iov_len);
		c->late = one;
		c->late.data.iov_base = c->late_bytes;
		c->holding = true;
		return;
	}
	adit_packet_send(c->lower, &one, 1);
	if (weather_chance(w, w->twice))
		adit_packet_send(c->lower, &one, 1);
	if (c->holding) {
		adit_packet_send(c->lower, &c->late, 1);
		c->holding = false;
	}
}

static void
weather_watch(struct weather *w, const struct adit_packet *p)
{
	const uint8_t *b = p->data.iov_base;

	if (p->data.iov_len >= sizeof(w->quote) && !(b[0] & 0x80))
		memcpy(w->quote, b, sizeof(w->quote));
	if (p->data.iov_len < 5 || !(b[0] & 0x80))
		return;
	w->last = (uint32_t)b[1] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 8 | b[4];
	if (!w->first)
		w->first = w->last;
}

static unsigned
datagrams_of(const struct adit_packet *v, int n)
{
	size_t datagrams = 0;

	for (int i = 0; i < n; i++) {
		size_t len = v[i].data.iov_len, segment = v[i].segment;

		datagrams += segment && len ? (len + segment - 1) / segment : 1;
	}
	return (unsigned)datagrams;
}

static int
weather_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	struct weather_conn *c = weather_of(p);

	for (int i = 0; i < n; i++)
		weather_watch(c->w, &v[i]);
	if (!c->w->lost && !c->w->late && !c->w->twice && !c->w->cut) {
		int sent = adit_packet_send(c->lower, v, n);

		if (sent == -EAGAIN)
			adit_packet_want(c->lower, c->want |= ADIT_WRITE);
		c->w->sent += datagrams_of(v, sent);
		return sent;
	}
	for (int i = 0; i < n; i++) {
		size_t segment = v[i].segment ? v[i].segment : v[i].data.iov_len;

		for (size_t at = 0; at < v[i].data.iov_len; at += segment) {
			struct adit_packet one = v[i];
			size_t left = v[i].data.iov_len - at;

			one.data.iov_base = (char *)v[i].data.iov_base + at;
			one.data.iov_len = left < segment ? left : segment;
			one.segment = 0;
			weather_pass(c, one);
		}
	}
	return n;
}

static bool
weather_trouble(struct adit_packet_conn *p, struct adit_trouble *t)
{
	struct weather_conn *c = weather_of(p);
	bool told;

	*t = c->forged;
	c->forged.err = 0;
	if (t->err)
		return true;
	while ((told = adit_packet_trouble(c->lower, t)) && c->deaf)
		;
	return told;
}

void
weather_forge(struct weather *w, const struct adit_trouble *t)
{
	weather_of(w->conn)->forged = *t;
	adit_packet_ready(w->conn, ADIT_READ);
}

void
weather_dam(struct weather *w, bool dammed)
{
	struct weather_conn *c = weather_of(w->conn);

	c->dammed = dammed;
	if (!dammed)
		adit_packet_want(c->lower, c->want |= ADIT_READ);
}

static void
weather_close(struct adit_packet_conn *p)
{
	adit_packet_close(weather_of(p)->lower);
}

static void
weather_free(struct adit_packet_conn *p)
{
	(void)p;
}

static const struct adit_packet_ops weather_ops = {
	.size = sizeof(weather_ops),
	.name = "weather",
	.recv = weather_recv,
	.send = weather_send,
	.close = weather_close,
	.free = weather_free,
	.trouble = weather_trouble,
};

static void
weather_event(void *owner, struct adit_packet_conn *lower, unsigned events)
{
	struct weather_conn *c = owner;

	adit_packet_want(lower, c->want &= ~events);
	adit_packet_ready(&c->base, events);
}

struct adit_packet_conn *
weather_new(struct adit_packet_conn *lower, struct weather *w)
{
	struct weather_conn *c =
		adit_packet_new(adit_packet_worker(lower), &weather_ops, sizeof(*c));

	assert_non_null(c);
	c->lower = lower;
	c->w = w;
	c->deaf = w->deaf;
	w->conn = &c->base;
	adit_packet_set_local(&c->base, adit_packet_local(lower));
	adit_packet_own(lower, weather_event, c);
	c->want = ADIT_READ | ADIT_WRITE;
	adit_packet_want(lower, c->want);
	return &c->base;
}

/* ---- the rig ----------------------------------------------------------------------------- */

static const struct quic_alpn rig_alpn[] = { { "adit/1", true },
	                                     { "h3", false },
	                                     { "quic/v1", false } };

static struct tls_source *
rig_tls(enum tls_side side)
{
	static const struct adit_tls_conf conf;
	struct adit_err e = ADIT_ERR_INIT;
	struct tls_source *src = tls_source_new(&conf, side, NULL, &e);

	if (!src)
		fail_msg("%s", e.text);
	return src;
}

static void
rig_on_accept(void *arg, struct adit_mux *m)
{
	struct quic_rig *r = arg;

	assert_true(r->n_accepted < RIG_SESSIONS);
	r->accepted[r->n_accepted++] = m;
}

struct quic_rig *
quic_rig_new(struct loop *l)
{
	static const uint8_t secret[] = "the same after every restart";
	struct quic_rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->l = l;
	r->server_tls = rig_tls(TLS_SERVER);
	r->client_tls = rig_tls(TLS_CLIENT);
	assert_int_equal(adit_addr_parse("127.0.0.1", 0, &r->udp.bind), 0);
	r->up.seed = 1;
	r->down.seed = 2;
	r->conf = (struct quic_conf){
		.secret = secret, .secret_len = sizeof(secret),
		.accept = rig_on_accept, .arg = r,
		.params = { .alpn = rig_alpn, .n_alpn = 3, .tls = r->server_tls },
	};
	/*
	 * Bad weather is no reason to give an attempt up: what its limits say, tests of them say.
	 */
	r->params = (struct quic_params){
		.alpn = rig_alpn, .n_alpn = 3, .tls = r->client_tls, .unheard = ADIT_SECONDS(60),
	};
	return r;
}

void
quic_rig_free(struct quic_rig *r)
{
	quic_endpoint_close(r->client, NULL);
	quic_endpoint_close(r->server, NULL);
	for (unsigned i = 0; i < r->n_accepted; i++)
		adit_mux_close(r->accepted[i], NULL);
	tls_source_free(r->server_tls);
	tls_source_free(r->client_tls);
	free(r);
}

int
quic_rig_setup(void **state)
{
	*state = quic_rig_new(loop_new());
	return 0;
}

int
quic_rig_teardown(void **state)
{
	struct quic_rig *r = *state;
	struct loop *l = r->l;

	quic_rig_free(r);
	loop_free(l);
	return 0;
}

struct quic_endpoint *
quic_rig_endpoint(struct quic_rig *r, const struct quic_conf *conf, const struct adit_addr *at,
		  struct weather *w)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct udp_conf udp = r->udp;
	struct adit_packet_conn *p;
	struct quic_endpoint *ep;

	if (at && at->port)
		udp.bind = *at;
	p = udp_open(r->l->worker, &udp, &e);
	if (!p)
		fail_msg("%s", e.text);
	ep = quic_endpoint_new(weather_new(p, w), conf, &e);
	if (!ep)
		fail_msg("%s", e.text);
	return ep;
}

void
quic_rig_start_server(struct quic_rig *r)
{
	r->server = quic_rig_endpoint(r, &r->conf, &r->at, &r->down);
	r->at = *quic_endpoint_local(r->server);
}

void
quic_rig_stop_server(struct quic_rig *r)
{
	quic_endpoint_close(r->server, NULL);
	r->server = NULL;
	loop_turn(r->l, 3);
}

void
quic_rig_start(struct quic_rig *r)
{
	const struct quic_conf client = { .secret = r->conf.secret,
		                          .secret_len = r->conf.secret_len };

	quic_rig_start_server(r);
	r->client = quic_rig_endpoint(r, &client, NULL, &r->up);
}

struct adit_mux *
quic_rig_connect_from(struct quic_rig *r, struct quic_endpoint *client)
{
	const struct quic_target to = { .addr = r->at,
		                        .host = "server.test",
		                        .params = &r->params };
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_mux *m = quic_connect(client, &to, &e);

	if (!m)
		fail_msg("%s", e.text);
	return m;
}

struct adit_mux *
quic_rig_connect(struct quic_rig *r)
{
	return quic_rig_connect_from(r, r->client);
}

static bool
is_open(void *arg)
{
	return adit_mux_is_open(arg) || adit_mux_err(arg);
}

static bool
has_ended(void *arg)
{
	return adit_mux_err(arg);
}

bool
quic_rig_until_open(struct quic_rig *r, struct adit_mux *m)
{
	return loop_until(r->l, is_open, m, RIG_LIMIT) && adit_mux_is_open(m);
}

bool
quic_rig_until_ended(struct quic_rig *r, struct adit_mux *m)
{
	return loop_until(r->l, has_ended, m, RIG_LIMIT);
}

struct accepted_wait {
	struct quic_rig	*r;
	unsigned	 n;
};

static bool
has_accepted(void *arg)
{
	struct accepted_wait *w = arg;

	return w->r->n_accepted > w->n;
}

void
quic_rig_session(struct quic_rig *r, struct adit_mux **client, struct adit_mux **server)
{
	struct accepted_wait w = { .r = r, .n = r->n_accepted };

	*client = quic_rig_connect(r);
	if (!quic_rig_until_open(r, *client))
		fail_msg("no session: %s", adit_mux_reason(*client)->text);
	assert_true(loop_until(r->l, has_accepted, &w, RIG_LIMIT));
	*server = r->accepted[w.n];
}

struct conn_wait {
	struct adit_mux		*m;
	struct adit_conn	*c;
};

static bool
has_conn(void *arg)
{
	struct conn_wait *w = arg;

	w->c = adit_mux_accept(w->m);
	return w->c;
}

struct adit_conn *
quic_rig_accept(struct quic_rig *r, struct adit_mux *m)
{
	struct conn_wait w = { .m = m };

	assert_true(loop_until(r->l, has_conn, &w, RIG_LIMIT));
	return w.c;
}

struct read_wait {
	struct adit_conn	*c;
	void			*buf;
	size_t			 len;
	ssize_t			 got;
};

static bool
has_read(void *arg)
{
	struct read_wait *w = arg;

	w->got = adit_conn_read(w->c, w->buf, w->len);
	return w->got != -EAGAIN;
}

ssize_t
quic_rig_read(struct quic_rig *r, struct adit_conn *c, void *buf, size_t len)
{
	struct read_wait w = { .c = c, .buf = buf, .len = len };

	assert_true(loop_until(r->l, has_read, &w, RIG_LIMIT));
	return w.got;
}

void
quic_rig_drain(struct quic_rig *r)
{
	struct quic_server *s;

	while ((s = quic_server_current(r->server)))
		quic_server_stop(s, false);
}

void
quic_rig_stream(struct quic_rig *r, struct adit_mux *from, struct adit_mux *to,
                struct adit_conn **a, struct adit_conn **b)
{
	char byte = 0;

	*a = adit_mux_open(from, 0, NULL);
	assert_non_null(*a);
	assert_int_equal(adit_conn_write(*a, "!", 1), 1);
	*b = quic_rig_accept(r, to);
	assert_int_equal(quic_rig_read(r, *b, &byte, 1), 1);
	assert_int_equal(byte, '!');
}

/* ---- crossings --------------------------------------------------------------------------- */

static uint8_t
crossing_byte(const struct crossing *x, size_t at)
{
	uint64_t h = (at / 8 + x->seed) * 0x9e3779b97f4a7c15u;

	return (uint8_t)(h >> (at % 8 * 8));
}

static void
crossing_write(struct crossing *x)
{
	uint8_t buf[16384];
	size_t max = x->piece && x->piece < sizeof(buf) ? x->piece : sizeof(buf);

	while (x->sent < x->want && !x->failed) {
		size_t n = x->want - x->sent < max ? x->want - x->sent : max;
		ssize_t took;

		for (size_t i = 0; i < n; i++)
			buf[i] = crossing_byte(x, x->sent + i);
		took = adit_conn_write(x->from, buf, n);
		if (took == -EAGAIN)
			return;
		if (took < 0)
			x->failed = (int)took;
		else
			x->sent += (size_t)took;
	}
	if (x->sent == x->want && !x->shut && !x->failed && adit_conn_is_open(x->from)) {
		x->shut = true;
		adit_conn_shutdown(x->from);
	}
}

static void
crossing_read(struct crossing *x)
{
	uint8_t buf[16384];
	size_t max = x->piece && x->piece < sizeof(buf) ? x->piece : sizeof(buf);
	ssize_t n;

	while ((n = adit_conn_read(x->to, buf, max)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			x->bad |= buf[i] != crossing_byte(x, x->got + (size_t)i);
		x->got += (size_t)n;
	}
	if (n == 0)
		x->ended = true;
	else if (n != -EAGAIN)
		x->failed = (int)n;
}

void
crossing_start(struct crossing *x, struct adit_conn *from, struct adit_conn *to, size_t want)
{
	*x = (struct crossing){ .from = from, .to = to, .want = want, .seed = (uint32_t)want };
}

struct crossings {
	struct crossing	*x;
	size_t		 n;
};

static bool
crossings_done(void *arg)
{
	struct crossings *all = arg;
	bool done = true;

	for (size_t i = 0; i < all->n; i++) {
		struct crossing *x = &all->x[i];

		if (x->failed || x->ended)
			continue;
		crossing_write(x);
		crossing_read(x);
		done &= x->failed || x->ended;
	}
	return done;
}

bool
crossings_run(struct quic_rig *r, struct crossing *x, size_t n, unsigned limit)
{
	struct crossings all = { .x = x, .n = n };

	return loop_until(r->l, crossings_done, &all, limit);
}

bool
has_heard(void *hearing)
{
	const struct hearing *h = hearing;

	return adit_mux_heard(h->m) > h->last;
}

void
quic_rig_cross(struct quic_rig *r, struct adit_mux *from, struct adit_mux *to, size_t n)
{
	struct adit_conn *a, *b;
	struct crossing x[2];

	quic_rig_stream(r, from, to, &a, &b);
	crossing_start(&x[0], a, b, n);
	crossing_start(&x[1], b, a, n / 2);
	assert_true(crossings_run(r, x, 2, RIG_LIMIT));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(x[i].failed, 0);
		assert_true(x[i].ended);
		assert_int_equal(x[i].got, x[i].want);
		assert_false(x[i].bad);
	}
	adit_conn_close(a, 0);
	adit_conn_close(b, 0);
}
