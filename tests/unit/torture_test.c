/*
 * The n-th allocation of ours fails, for every n: each scenario ends, by what it was to reach or by
 * a failure that somebody is told of, and leaves nothing behind (loop_free looks at chunks and
 * events, ASan at the rest). The linker puts us between our code and malloc; libraries are not
 * concerned.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/exchange.h>
#include <adit/pump.h>
#include <adit/tunnel.h>

#include "core/conn/tls.h"
#include "core/conn/tls_default.h"
#include "core/http/h1.h"
#include "core/mux/smux.h"
#include "core/service/component.h"
#include "core/tunnel/native_bind.h"
#include "core/tunnel/native_request.h"
#include "core/tunnel/relay_bind.h"
#include "core/tunnel/relay_request.h"
#include "tests/unit/quic_rig.h"

#define LEN 300000		/* more than any window at first */
#define CAP 65536
#define LIMIT_MS 10000		/* of a scenario that hangs */
#define MOST 5000		/* allocations of a scenario */

/* ---- allocations --------------------------------------------------------------------- */

static unsigned armed;		/* counts down to the one that fails; 0: none does any more */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool
fails_now(void)
{
	return armed && --armed == 0;
}

void *
__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

char *
__wrap_strdup(const char *text)
{
	return fails_now() ? NULL : __real_strdup(text);
}

/* ---- a scenario ------------------------------------------------------------------------ */

struct scene {
	struct loop		*l;
	struct adit_mux		*client, *server;	/* of those that have sessions */
	struct adit_conn	*a, *b;		/* a writes LEN bytes and the end, b reads */
	/* Until both are there; or NULL: b is what server accepts. */
	void			(*join)(struct scene *s);
	struct adit_exchange	*asks, *answers;
	bool			 asked, answered;
	struct quic_rig		*rig;
	void			(*end)(struct scene *s);	/* optional: after all was closed */
	size_t			 sent, got;
	bool			 shut, whole;	/* all came, then the end */
	int			 err;		/* what somebody was told */
};

static void
nobody(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)c;
	(void)events;
}

/* They are looked at in each turn: who is ready keeps the loop turning. */
static void
scene_watch(struct adit_conn *c)
{
	if (!c)
		return;
	adit_conn_own(c, nobody, NULL);
	adit_conn_want(c, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
}

static void
scene_write(struct scene *s)
{
	static const char buf[16384];
	ssize_t n = 1;

	while (n > 0 && s->sent < LEN) {
		size_t left = LEN - s->sent;

		n = adit_conn_write(s->a, buf, left < sizeof(buf) ? left : sizeof(buf));
		if (n > 0)
			s->sent += (size_t)n;
	}
	if (n < 0 && n != -EAGAIN)
		s->err = (int)n;
	if (s->sent == LEN && !s->shut) {
		int err = adit_conn_shutdown(s->a);

		s->shut = true;
		if (err < 0 && err != -ENOTSUP)
			s->err = err;
	}
}

static void
scene_read(struct scene *s)
{
	char buf[16384];
	ssize_t n;

	do {
		n = adit_conn_read(s->b, buf, sizeof(buf));
		if (n > 0)
			s->got += (size_t)n;
	} while (n > 0);
	if (n == 0 && s->got < LEN)
		s->err = -ECONNRESET;
	else if (n < 0 && n != -EAGAIN)
		s->err = (int)n;
	s->whole = s->got == LEN;
}

/* One step; whether it is over. */
static bool
scene_step(void *arg)
{
	struct scene *s = arg;

	if (s->client && adit_mux_err(s->client))
		s->err = adit_mux_err(s->client);
	if (s->server && adit_mux_err(s->server))
		s->err = adit_mux_err(s->server);
	if (!s->b && s->join) {
		s->join(s);
	} else if (!s->b && s->server) {
		s->b = adit_mux_accept(s->server);
		scene_watch(s->b);
	}
	if (s->a && !s->err) {
		scene_write(s);
		if (!s->b && adit_conn_read(s->a, (char[1]){ 0 }, 1) == 0)
			s->err = -ECONNRESET;	/* refused */
	}
	if (s->b && !s->whole)
		scene_read(s);
	return s->err || s->whole;
}

static void
scene_end(struct scene *s)
{
	adit_conn_close(s->asks ? &s->asks->body : s->a, 0);
	adit_conn_close(s->answers ? &s->answers->body : s->b, 0);
	adit_mux_close(s->client, NULL);
	adit_mux_close(s->server, NULL);
	if (s->end)
		s->end(s);
}

static bool
scene_pair(struct scene *s, struct adit_conn **a, struct adit_conn **b)
{
	s->err = adit_conn_pair(s->l->worker, s->l->worker, CAP, a, b);
	return !s->err;
}

/* To its end, with the n-th allocation armed. Whether there was one, which failed. */
static bool
scene_run(struct scene *s, unsigned n)
{
	bool failed;

	scene_watch(s->a);
	scene_watch(s->b);
	if (!loop_until(s->l, scene_step, s, LIMIT_MS))
		fail_msg("hangs after failure %u: %zu sent, %zu read", n, s->sent, s->got);
	failed = !armed;
	armed = 0;
	return failed;
}

/* Runs a scenario for each n until it has no n-th allocation. begin may set err. */
static void
torture(void (*begin)(struct scene *s), unsigned step)
{
	unsigned n = 1;
	bool failed = true;

	for (; failed && n < MOST; n += step) {
		struct scene s = { .l = loop_new() };

		armed = n;
		begin(&s);
		failed = scene_run(&s, n);
		if (!failed)
			assert_true(s.whole);
		scene_end(&s);
		loop_free(s.l);
	}
	assert_in_range(n, 5, MOST - 1);	/* it has failed something, and came to an end */
}

/* ---- scenarios ----------------------------------------------------------------------------- */

static void
pumped(void *arg, const struct adit_pump_stats *stats)
{
	(void)arg;
	(void)stats;
}

static void
begin_pump(struct scene *s)
{
	struct adit_conn *x, *y;

	if (!scene_pair(s, &s->a, &x))
		return;
	if (!scene_pair(s, &y, &s->b))
		adit_conn_close(x, -ENOMEM);
	else
		adit_pump(x, y, NULL, pumped, NULL);
}

static void
begin_smux(struct scene *s, unsigned version)
{
	struct smux_conf conf = smux_conf_default(true, version);
	struct adit_conn *x, *y;
	struct adit_err e = ADIT_ERR_INIT;

	if (!scene_pair(s, &x, &y))
		return;
	s->client = smux_new(x, &conf);
	conf.client = false;
	s->server = smux_new(y, &conf);
	if (s->client)
		s->a = adit_mux_open(s->client, 0, &e);
	if (!s->a || !s->server)
		s->err = -ENOMEM;
}

static void
begin_smux_1(struct scene *s)
{
	begin_smux(s, 1);
}

static void
begin_smux_2(struct scene *s)
{
	begin_smux(s, 2);
}

/* status 0: the request. Returns whether it was sent. */
static bool
h1_send(struct scene *s, struct adit_exchange *x, int status)
{
	struct adit_fields *f = adit_fields_new();
	int err = f ? 0 : -ENOMEM;

	if (f)
		adit_fields_set_status(f, status);
	if (f && !status) {
		err = adit_fields_set_control(f, ADIT_METHOD, "CONNECT", 7);
		if (!err)
			err = adit_fields_set_control(f, ADIT_AUTHORITY, "a:1", 3);
	}
	if (!err)
		err = adit_exchange_send_head(x, f, 0);
	adit_fields_free(f);
	if (err && err != -EAGAIN)
		s->err = err;
	return !err;
}

static void
join_h1(struct scene *s)
{
	const struct adit_fields *head;

	if (!s->asked)
		s->asked = h1_send(s, s->asks, 0);
	if (!s->answers) {
		s->answers = adit_exchange_of(adit_mux_accept(s->server));
		if (s->answers)
			scene_watch(&s->answers->body);
	}
	if (s->answers && !s->answered && adit_exchange_head(s->answers))
		s->answered = h1_send(s, s->answers, 200);
	head = s->asked ? adit_exchange_head(s->asks) : NULL;
	if (adit_conn_err(&s->asks->body))
		s->err = adit_conn_err(&s->asks->body);
	else if (head && !s->answered)
		s->err = -ECONNREFUSED;		/* our server's own word */
	if (!head || s->err)
		return;
	s->a = &s->asks->body;
	s->b = &s->answers->body;
}

static void
begin_h1(struct scene *s)
{
	struct adit_conn *x, *y;
	struct adit_err e = ADIT_ERR_INIT;

	if (!scene_pair(s, &x, &y))
		return;
	s->client = h1_client(x, NULL);
	s->server = h1_server(y, NULL);
	if (s->client && s->server)
		s->asks = adit_exchange_of(adit_mux_open(s->client, ADIT_CONN_EXCHANGE, &e));
	if (!s->asks) {
		s->err = -ENOMEM;
		return;
	}
	s->join = join_h1;
	scene_watch(&s->asks->body);
}

static struct tls_creds *tls_creds_of[2];

static void
begin_tls(struct scene *s)
{
	struct adit_conn *x, *y;

	if (!scene_pair(s, &x, &y))
		return;
	s->a = tls_client(x, tls_creds_of[TLS_CLIENT], "gw.test", NULL);
	s->b = tls_server(y, tls_creds_of[TLS_SERVER], NULL);
	if (!s->a || !s->b)
		s->err = -ENOMEM;
}

static struct tls_creds *
creds(enum tls_side side)
{
	const struct adit_tls_conf conf = { .max_version = NULL };
	struct tls_source *src = tls_source_new(&conf, side, NULL, NULL);
	struct tls_creds *c = tls_creds_current(src);

	tls_source_free(src);
	return c;
}

/* ---- tunnels: a client binds, a visitor is led to it ---------------------------------------- */

#define TUNNEL "4d21094e-b74c-4916-86c1-d9fa36ea677b"

/* The server. One scene at a time has it. */
static struct {
	struct activities	 activities;
	struct adit_component	 component;
	struct request_conf	 conf;
	struct adit_mux		*session;	/* the client's, of QUIC, which carries the bind */
} stage;

static int
no_rule(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	(void)arg;
	(void)w;
	(void)host;
	(void)out;
	return ADIT_ENOROUTE;
}

/* What was on its way when it was stopped begins after that. */
static bool
stage_is_empty(void *arg)
{
	const struct scene *s = arg;

	activities_stop(&stage.activities, s->l->worker, ADIT_ESTOPPED);
	return stage.activities.n == 0;
}

static void
stage_end(struct scene *s)
{
	assert_true(loop_until(s->l, stage_is_empty, s, LIMIT_MS));
	adit_mux_close(stage.session, NULL);
	if (s->rig)
		quic_rig_free(s->rig);
}

static void
stage_begin(struct scene *s)
{
	memset(&stage, 0, sizeof(stage));
	component_init(&stage.component, "tunnel", NULL, NULL);
	stage.component.activities = &stage.activities;
	stage.conf = (struct request_conf){
		.component = &stage.component, .lookup = no_rule,
		.read_timeout = ADIT_SECONDS(5), .smux = smux_conf_default(true, 2),
	};
	s->end = stage_end;
}

/* Of a session that is looked at: its end is not to wake us for ever. */
static void
no_mux(void *owner, struct adit_mux *m, unsigned events)
{
	(void)owner;
	(void)events;
	if (adit_mux_err(m))
		adit_mux_want(m, 0);
}

/* a is the visitor's end, at the server; b what the client gets of him. */
static void
join_tunnel(struct scene *s)
{
	const struct adit_open req = {
		.tunnel = TUNNEL, .network = ADIT_TCP, .host = "app.local", .port = 80,
	};
	struct adit_err e = ADIT_ERR_INIT;

	if (!s->a && adit_mux_is_open(s->client)) {
		s->a = adit_tunnel_open(s->l->worker, &req, NULL, &e);
		s->err = s->a ? 0 : e.code;
		scene_watch(s->a);
	}
	if (!s->a)
		return;
	s->b = adit_mux_accept(s->client);
	if (s->b)
		adit_conn_agree(s->b);		/* its target is reached */
	scene_watch(s->b);
}

/* What bind has begun. */
static void
scene_binds(struct scene *s, struct adit_mux *bind)
{
	s->client = bind;
	if (!bind) {
		s->err = -ENOMEM;
		return;
	}
	adit_mux_own(bind, no_mux, NULL);
	adit_mux_want(bind, ADIT_OPEN | ADIT_READ);
	s->join = join_tunnel;
}

static void
begin_relay_tunnel(struct scene *s)
{
	struct relay_msg m = {
		.code = RELAY_BIND, .n_addr = 2, .has_tunnel = true,
		.addr = { { .type = WIRE_ADDR_IPV4 }, { .type = WIRE_ADDR_NAME } },
		.tunnel = { .has_client = true },
	};
	const struct relay_bind_conf conf = {
		.request = &m, .smux = smux_conf_default(false, 2), .answer_ms = LIMIT_MS / 2,
		.connections = 2,
	};
	struct adit_conn *x, *y;

	stage_begin(s);
	assert_int_equal(adit_uuid_parse(TUNNEL, false, &m.tunnel.id), 0);
	if (!scene_pair(s, &x, &y))
		return;
	relay_request(y, &stage.conf);
	scene_binds(s, relay_bind(x, &conf));
}

static void
on_native_server(void *owner, struct adit_mux *m, unsigned events)
{
	struct adit_conn *c;

	while ((c = adit_mux_accept(m)))
		native_request(c, &stage.conf);
	no_mux(owner, m, events);
}

/* What came for a bind that is gone. */
static void
on_native_client(void *owner, struct adit_mux *m, unsigned events)
{
	struct adit_conn *c;

	while ((c = adit_mux_accept(m)))
		adit_conn_close(c, ADIT_ENOTUNNEL);
	no_mux(owner, m, events);
}

/* The QUIC session is there. */
static void
begin_native_tunnel(struct scene *s)
{
	struct native_msg m = { .type = NATIVE_BIND, .has = 1u << NATIVE_F_TUNNEL };
	const struct native_bind_conf conf = {
		.request = &m, .answer_ms = LIMIT_MS / 2, .connections = 2,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_mux *server;
	struct adit_conn *c;
	unsigned n = armed;

	armed = 0;
	stage_begin(s);
	assert_int_equal(adit_uuid_parse(TUNNEL, false, &m.tunnel), 0);
	s->rig = quic_rig_new(s->l);
	quic_rig_start(s->rig);
	quic_rig_session(s->rig, &stage.session, &server);
	adit_mux_own(server, on_native_server, NULL);
	adit_mux_want(server, ADIT_READ);
	armed = n;
	c = adit_mux_open(stage.session, 0, &e);
	adit_mux_own(stage.session, on_native_client, NULL);
	adit_mux_want(stage.session, ADIT_READ);	/* as a dialer does */
	scene_binds(s, c ? native_bind(c, &conf, &e) : NULL);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void
pump_fails_cleanly(void **state)
{
	(void)state;
	torture(begin_pump, 1);
}

static void
smux_1_fails_cleanly(void **state)
{
	(void)state;
	torture(begin_smux_1, 1);
}

static void
smux_2_fails_cleanly(void **state)
{
	(void)state;
	torture(begin_smux_2, 1);
}

static void
h1_fails_cleanly(void **state)
{
	(void)state;
	torture(begin_h1, 1);
}

static void
tls_fails_cleanly(void **state)
{
	(void)state;
	tls_creds_of[TLS_CLIENT] = creds(TLS_CLIENT);
	tls_creds_of[TLS_SERVER] = creds(TLS_SERVER);
	torture(begin_tls, 1);
	tls_creds_put(tls_creds_of[TLS_CLIENT]);
	tls_creds_put(tls_creds_of[TLS_SERVER]);
	tls_default_set_dir(NULL);
}

/* The server's session is the rig's. */
static void
quic_scene_end(struct scene *s, struct quic_rig *r)
{
	struct loop *l = r->l;

	adit_conn_close(s->a, 0);
	adit_conn_close(s->b, 0);
	adit_mux_close(s->client, NULL);
	quic_rig_free(r);
	loop_free(l);
}

/* The sessions are there; a stream opens, carries and ends. */
static void
quic_fails_cleanly(void **state)
{
	bool failed = true;
	unsigned n = 1;

	(void)state;
	for (; failed && n < MOST; n++) {
		struct quic_rig *r = quic_rig_new(loop_new());
		struct scene s = { .l = r->l };
		struct adit_err e = ADIT_ERR_INIT;

		quic_rig_start(r);
		quic_rig_session(r, &s.client, &s.server);
		armed = n;
		s.a = adit_mux_open(s.client, 0, &e);
		s.err = s.a ? 0 : -ENOMEM;
		failed = scene_run(&s, n);
		quic_scene_end(&s, r);
	}
	assert_in_range(n, 5, MOST - 1);
}

static void
join_quic(struct scene *s)
{
	if (!s->server && s->rig->n_accepted)
		s->server = s->rig->accepted[0];
	if (s->server)
		s->b = adit_mux_accept(s->server);
	scene_watch(s->b);
}

/* The handshake too. What is lost on the way for want of memory is sent again. */
static void
quic_handshake_fails_cleanly(void **state)
{
	bool failed = true;
	unsigned n = 1;

	(void)state;
	for (; failed && n < MOST; n++) {
		struct quic_rig *r = quic_rig_new(loop_new());
		struct scene s = { .l = r->l, .rig = r, .join = join_quic };
		struct quic_target to = { .host = "server.test", .params = &r->params };
		struct adit_err e = ADIT_ERR_INIT;

		quic_rig_start(r);
		to.addr = r->at;
		armed = n;
		s.client = quic_connect(r->client, &to, &e);
		s.a = s.client ? adit_mux_open(s.client, 0, &e) : NULL;
		s.err = s.a ? 0 : -ENOMEM;
		failed = scene_run(&s, n);
		quic_scene_end(&s, r);
	}
	assert_in_range(n, 5, MOST - 1);
}

static void
tunnel_over_smux_fails_cleanly(void **state)
{
	(void)state;
	torture(begin_relay_tunnel, 1);
}

static void
tunnel_over_adit_1_fails_cleanly(void **state)
{
	(void)state;
	torture(begin_native_tunnel, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pump_fails_cleanly),
		cmocka_unit_test(smux_1_fails_cleanly),
		cmocka_unit_test(smux_2_fails_cleanly),
		cmocka_unit_test(h1_fails_cleanly),
		cmocka_unit_test(tls_fails_cleanly),
		cmocka_unit_test(quic_fails_cleanly),
		cmocka_unit_test(quic_handshake_fails_cleanly),
		cmocka_unit_test(tunnel_over_smux_fails_cleanly),
		cmocka_unit_test(tunnel_over_adit_1_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
