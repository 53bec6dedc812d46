/*
 * Exchanges that were captured between gosts, with one of the two being us: as a tunnel's server,
 * and as its client. What is ours to choose (ids, when a window is renewed) is taken from what we
 * sent; where we differ on purpose it says why.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/tunnel.h>

#include "core/service/component.h"
#include "core/service/instance.h"
#include "core/wire/relay.h"
#include "core/wire/smux.h"
#include "tests/unit/service_stage.h"
#include "tests/unit/vector.h"
#include "tests/unit/wire_end.h"

#define A     "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define SRV   "ac74d9dd-3125-442a-a7c1-f9e49e05faca"
#define TURNS 16

/* The servers of gost-tunnel-refused.txt, and the one of the other files. */
static const char servers[] =
	"services:\n"
	"- {name: A, addr: ':0', listener: {type: pair}, handler: {type: tunnel, metadata: "
	"{ingress: rules, entrypoint.id: 9fd6c586-86f9-49c1-a03a-d4876851695a}}}\n"
	"- {name: B, addr: ':0', listener: {type: pair}, handler: {type: tunnel, "
	"auth: {username: user, password: pass}, metadata: {ingress: rules}}}\n"
	"- {name: D, addr: ':0', listener: {type: pair}, handler: {type: tunnel, metadata: "
	"{tunnel.direct: true}}}\n"
	"ingresses:\n"
	"- name: rules\n"
	"  rules:\n"
	"  - {hostname: .example.com, endpoint: " A "}\n"
	"  - {hostname: priv.local, endpoint: $" A "}\n"
	"  - {hostname: srv.local, endpoint: " SRV "}\n"
	"  - {hostname: srv-2.local, endpoint: $" SRV "}\n";

/* ---- bytes ------------------------------------------------------------------------- */

struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes
said(const struct vector *v, size_t section, char dir)
{
	struct bytes b;

	b.p = vector_stream(v, section, section, dir, &b.len);
	return b;
}

/* What has come begins with these, and they are taken away. */
static void
expect_begin(struct wire_end *end, const void *p, size_t len)
{
	loop_turn(end->loop, TURNS);
	assert_true(end->len >= len);
	if (len)
		assert_memory_equal(end->got, p, len);
	wire_end_drop(end, len);
}

/* The next frame of a session, its payload in out; a NOP is a matter of time, and a gost ignores
 * it. */
static struct smux_frame
next_frame(struct wire_end *end, uint8_t out[1024])
{
	struct smux_frame f;
	const char *why = "";

	loop_turn(end->loop, TURNS);
	do {
		if (smux_decode(end->got, end->len, 2, &f, &why) <= 0)
			fail_msg("no frame: %s", why);
		wire_end_drop(end, SMUX_HEADER_LEN);
		assert_in_range(f.len, 0, end->len < 1024 ? end->len : 1024);
		memcpy(out, end->got, f.len);
		wire_end_drop(end, f.len);
	} while (f.cmd == SMUX_NOP);
	return f;
}

/* A captured session, frame by frame. */
struct capture {
	struct bytes all;
	size_t at;
};

static struct smux_frame
captured(struct capture *c, const uint8_t **payload)
{
	struct smux_frame f;

	assert_true(smux_decode(c->all.p + c->at, c->all.len - c->at, 2, &f, NULL) > 0);
	*payload = c->all.p + c->at + SMUX_HEADER_LEN;
	c->at += SMUX_HEADER_LEN + (size_t)f.len;
	assert_true(c->at <= c->all.len);
	return f;
}

/* We send the next captured frame. */
static void
expect_captured(struct wire_end *end, struct capture *c)
{
	uint8_t got[1024];
	const uint8_t *payload;
	struct smux_frame want = captured(c, &payload), f = next_frame(end, got);

	assert_int_equal(f.cmd, want.cmd);
	assert_int_equal(f.stream, want.stream);
	assert_int_equal(f.len, want.len);
	assert_memory_equal(got, payload, f.len);
}

/* The peer sends its next captured frame. Returns its payload, *len bytes. */
static const uint8_t *
send_captured(struct wire_end *end, struct capture *c, size_t *len)
{
	const uint8_t *payload;
	size_t at = c->at;
	struct smux_frame f = captured(c, &payload);

	wire_end_send(end, c->all.p + at, c->at - at);
	loop_turn(end->loop, TURNS);
	if (len)
		*len = f.len;
	return payload;
}

/* The payload of the n-th next PSH, without moving on. */
static const uint8_t *
peek_psh(const struct capture *c, int n, size_t *len)
{
	struct capture copy = *c;
	const uint8_t *payload;
	struct smux_frame f;

	do
		f = captured(&copy, &payload);
	while (f.cmd != SMUX_PSH || --n);
	*len = f.len;
	return payload;
}

static void
expect_read(struct loop *l, struct adit_conn *c, const void *bytes, size_t len)
{
	uint8_t buf[1024];
	size_t got = 0;

	loop_turn(l, TURNS);
	while (got < len) {
		ssize_t n = adit_conn_read(c, buf + got, sizeof(buf) - got);

		if (n <= 0)
			fail_msg("read: %zd", n);
		got += (size_t)n;
	}
	assert_int_equal(got, len);
	assert_memory_equal(buf, bytes, len);
}

static struct adit_addr
addr_of(const char *ip, uint16_t port)
{
	struct adit_addr a;

	assert_int_equal(adit_addr_parse(ip, port, &a), 0);
	return a;
}

/* ---- as the server -------------------------------------------------------------------- */

static void
connect_to(struct service_stage *t, const char *service, struct wire_end *end)
{
	struct adit_conn *c = wire_end_init(end, t->loop);
	struct adit_addr peer = addr_of("127.0.0.1", 40936);

	adit_conn_set_remote(c, &peer);
	service_stage_accept(t, service, c);
}

/* The connector's id, in the last feature, is the server's choice: random, of version 4. */
static void
expect_answer(struct wire_end *end, const struct bytes *want)
{
	enum { ID = 30, WITH_ID = 50 };

	loop_turn(end->loop, TURNS);
	if (want->len == WITH_ID && end->len >= WITH_ID) {
		assert_int_equal(end->got[ID + 6] & 0xf0, 0x40);
		assert_memory_not_equal(end->got + ID, want->p + ID, 16);
		memcpy(want->p + ID, end->got + ID, 16);
	}
	expect_begin(end, want->p, want->len);
}

/* A client of the tunnel in the captured bind's stead. */
static void
bind_as_captured(struct service_stage *t, struct wire_end *end, const char *id)
{
	struct vector *v = vector_load("gost-tunnel-bind-http.txt");
	struct bytes request = said(v, 0, 'C');
	struct adit_uuid uuid;

	assert_int_equal(adit_uuid_parse(id, false, &uuid), 0);
	memcpy(request.p + request.len - 20, uuid.b, 16);
	connect_to(t, "A", end);
	wire_end_send(end, request.p, request.len);
	loop_turn(t->loop, TURNS);
	assert_true(end->len > 4 && end->got[1] == 0);
	wire_end_drop(end, 50);
	free(request.p);
	vector_free(v);
}

static void
a_captured_client_binds(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-bind-http.txt");
	struct bytes request = said(v, 0, 'C'), answer = said(v, 0, 'S');
	struct capture client = { said(v, 1, 'C'), 0 }, server = { said(v, 1, 'S'), 0 };
	const struct adit_open open = {
		.tunnel = A,
		.from = addr_of("127.0.0.1", 60666),
		.host = "www.example.com",
		.port = 80,
	};
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *visitor;
	const uint8_t *get, *response;
	struct wire_end end;
	size_t get_len, response_len;

	service_stage_load(t, servers);
	connect_to(t, "A", &end);
	wire_end_send(&end, request.p, request.len);
	expect_answer(&end, &answer);

	/* A visitor's stream, and the request that was captured on it. */
	visitor = adit_tunnel_open(t->loop->worker, &open, NULL, &e);
	assert_non_null(visitor);
	get = peek_psh(&server, 2, &get_len);
	loop_turn(t->loop, TURNS);
	assert_int_equal(adit_conn_write(visitor, get, get_len), get_len);
	expect_captured(&end, &server);     /* SYN */
	expect_captured(&end, &server);     /* PSH: who comes, and what for */
	expect_captured(&end, &server);     /* PSH: the request */
	send_captured(&end, &client, NULL); /* UPD */
	response = send_captured(&end, &client, &response_len);
	expect_read(t->loop, visitor, response, response_len);
	expect_captured(&end, &server); /* UPD */
	adit_conn_close(visitor, 0);
	expect_captured(&end, &server); /* FIN */
	send_captured(&end, &client, NULL);
	wire_end_fini(&end);
	loop_turn(t->loop, TURNS);
	assert_null(adit_tunnel_open(t->loop->worker, &open, NULL, &e));
	assert_int_equal(e.code, ADIT_ENOTUNNEL);
	free(request.p);
	free(answer.p);
	free(client.all.p);
	free(server.all.p);
	vector_free(v);
}

static void
a_captured_visitor_reaches_a_private_tunnel(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-visitor-private.txt");
	size_t one = vector_section(v, "part 1"), two = vector_section(v, "part 2");
	struct bytes asks = said(v, one, 'V'), answers = said(v, one, 'S');
	struct capture client = { said(v, two, 'C'), 0 }, server = { said(v, two, 'S'), 0 };
	const struct adit_open first = { .tunnel = SRV, .host = "" };
	const size_t head = asks.len - 4; /* without "ping" */
	struct adit_err e = ADIT_ERR_INIT;
	struct wire_end end, visitor;
	struct adit_conn *c;
	uint8_t buf[1024];

	service_stage_load(t, servers);
	bind_as_captured(t, &end, SRV);
	c = adit_tunnel_open(t->loop->worker, &first, NULL,
	                     &e); /* the captured one was the second */
	assert_non_null(c);
	loop_turn(t->loop, TURNS);
	adit_conn_close(c, 0);
	while (next_frame(&end, buf).cmd != SMUX_FIN)
		;

	connect_to(t, "A", &visitor);
	wire_end_send(&visitor, asks.p, head);
	expect_begin(&visitor, answers.p, 4);
	expect_captured(&end, &server);     /* SYN */
	expect_captured(&end, &server);     /* PSH: the visitor's own address, not his node's */
	send_captured(&end, &client, NULL); /* UPD */
	wire_end_send(&visitor, asks.p + head, 4);
	expect_captured(&end, &server); /* PSH: ping */
	send_captured(&end, &client, NULL);
	expect_begin(&visitor, answers.p + 4, answers.len - 4);
	expect_captured(&end, &server); /* UPD */
	/* A gost has no half-close, so a visitor's end is not passed on before the client's own. */
	wire_end_close(&visitor, 0);
	loop_turn(t->loop, TURNS);
	assert_int_equal(end.len, 0);
	send_captured(&end, &client, NULL); /* FIN */
	expect_captured(&end, &server);     /* FIN */
	assert_int_equal(client.at, client.all.len);
	assert_int_equal(server.at, server.all.len);
	wire_end_fini(&end);
	wire_end_fini(&visitor);
	free(asks.p);
	free(answers.p);
	free(client.all.p);
	free(server.all.p);
	vector_free(v);
}

/* The note behind a section's bytes says whether the connection ends. */
static bool
stays_open(const struct vector *v, size_t section)
{
	for (size_t i = 0; i < v->n_line; i++)
		if (v->line[i].section == section && !v->line[i].len &&
		    strstr(v->line[i].text, "stays open"))
			return true;
	return false;
}

/* E, a relay request at a public entry point, is another matter: see entry_test.c. */
static void
captured_requests_get_the_captured_answers(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-refused.txt");
	unsigned n = 0;

	service_stage_load(t, servers);
	for (size_t i = 0; i < v->n_section; i++) {
		const char service[] = { v->section[i][0], 0 };
		struct bytes request, answer;
		struct wire_end end;

		if (!*service || !strchr("ABD", *service))
			continue;
		n++;
		request = said(v, i, 'C');
		answer = said(v, i, 'S');
		connect_to(t, service, &end);
		wire_end_send(&end, request.p, request.len);
		expect_answer(&end, &answer);
		if (stays_open(v, i)) {
			assert_false(end.ended || end.err);
		} else {
			assert_int_equal(end.len, 0);
			assert_true(end.ended || end.err);
		}
		wire_end_fini(&end);
		loop_turn(t->loop, TURNS);
		free(request.p);
		free(answer.p);
	}
	assert_int_equal(n, 21);
	vector_free(v);
}

/* A request that comes byte by byte is the same request, and bytes behind it are the session's. */
static void
a_bind_byte_by_byte(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-bind-http.txt");
	struct bytes request = said(v, 0, 'C'), answer = said(v, 0, 'S');
	struct wire_end end;

	service_stage_load(t, servers);
	connect_to(t, "A", &end);
	for (size_t i = 0; i < request.len; i++) {
		loop_turn(t->loop, 4);
		assert_int_equal(end.len, 0);
		wire_end_send(&end, request.p + i, 1);
	}
	expect_answer(&end, &answer);
	wire_end_fini(&end);
	free(request.p);
	free(answer.p);
	vector_free(v);
}

/* ---- as the client ----------------------------------------------------------------------- */

struct client {
	struct service_stage *t;
	struct config *config;
	struct adit_component place;
	struct instance instance;
	struct adit_connector *connector;
	struct wire_end server;
	struct adit_conn *lower;
};

static void
client_init(struct client *c, struct service_stage *t, const char *auth, const char *id, int weight)
{
	struct config_errors *errs = config_errors_new();
	struct instance_source from = { .registry = t->registry, .at = { .errs = errs } };
	struct adit_addr local = addr_of("127.0.0.1", 40936);
	char text[512];

	snprintf(
		text, sizeof(text),
		"{\"chains\":[{\"name\":\"c\",\"hops\":[{\"name\":\"h\",\"nodes\":[{\"name\":\"n\","
		"\"addr\":\"127.0.0.1:1\",\"connector\":{\"type\":\"tunnel\"%s,\"metadata\":"
		"{\"tunnel.id\":\"%s\",\"tunnel.weight\":%d}}}]}]}]}",
		auth, id, weight);
	*c = (struct client){ .t = t, .config = service_stage_config(t, text) };
	from.conf = c->config->chains.v[0].hops.v[0].nodes.v[0].connector;
	component_init(&c->place, "n", NULL, NULL);
	if (component_configure(&c->place, &from) < 0 ||
	    instance_init(&c->instance, &from, &c->place) < 0)
		fail_msg("%s", config_errors_text(errs, 0));
	config_errors_free(errs);
	c->connector = c->instance.base;
	c->lower = wire_end_init(&c->server, t->loop);
	adit_conn_set_local(c->lower, &local);
}

static void
client_fini(struct client *c)
{
	wire_end_fini(&c->server);
	loop_turn(c->t->loop, TURNS);
	instance_fini(&c->instance);
	component_fini(&c->place);
	config_put(c->config);
}

static struct adit_mux *
client_bind(struct client *c, const char *host, uint16_t port)
{
	const struct adit_target address = { .network = ADIT_TCP, .host = host, .port = port };
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_mux *m = c->connector->ops->bind(c->connector, c->lower, &address, &e);

	if (!m)
		fail_msg("%s", e.text);
	loop_turn(c->t->loop, TURNS);
	return m;
}

static void
a_captured_server_takes_our_bind(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-bind-http.txt");
	struct bytes request = said(v, 0, 'C'), answer = said(v, 0, 'S');
	struct capture client = { said(v, 1, 'C'), 0 }, server = { said(v, 1, 'S'), 0 };
	const uint8_t *get, *response, *window;
	struct smux_frame f;
	struct client c;
	struct adit_mux *m;
	struct adit_conn *stream;
	uint8_t payload[1024];
	char text[ADIT_ADDR_TEXT];
	size_t get_len, response_len;
	uint16_t port;

	client_init(&c, t, "", A, 5);
	m = client_bind(&c, "0.0.0.0", 0);
	expect_begin(&c.server, request.p, request.len);
	assert_int_equal(c.server.len, 0);
	assert_false(adit_mux_is_open(m));
	wire_end_send(&c.server, answer.p, answer.len);
	loop_turn(t->loop, TURNS);
	assert_true(adit_mux_is_open(m));

	send_captured(&c.server, &server, NULL); /* SYN */
	assert_null(adit_mux_accept(m));
	send_captured(&c.server, &server, NULL); /* PSH: the head */
	stream = adit_mux_accept(m);
	assert_non_null(stream);
	assert_string_equal(adit_conn_asked(stream, &port), "www.example.com");
	assert_int_equal(port, 80);
	assert_string_equal(adit_addr_format(adit_conn_remote(stream), text), "127.0.0.1:60666");

	/* gost reads the head's first 4 bytes alone; we tell of all we have read. */
	f = next_frame(&c.server, payload);
	captured(&client, &window);
	assert_int_equal(f.cmd, SMUX_UPD);
	assert_int_equal(smux_decode_upd(payload).window, smux_decode_upd(window).window);
	assert_int_equal(smux_decode_upd(payload).consumed, 36);

	get = send_captured(&c.server, &server, &get_len);
	expect_read(t->loop, stream, get, get_len);
	response = peek_psh(&client, 1, &response_len);
	assert_int_equal(adit_conn_write(stream, response, response_len), response_len);
	expect_captured(&c.server, &client);     /* PSH: the response */
	send_captured(&c.server, &server, NULL); /* UPD */
	send_captured(&c.server, &server, NULL); /* FIN */
	assert_int_equal(adit_conn_read(stream, payload, sizeof(payload)), 0);
	adit_conn_close(stream, 0);
	expect_captured(&c.server, &client);     /* FIN */
	send_captured(&c.server, &server, NULL); /* NOP */
	loop_turn(t->loop, TURNS);
	assert_int_equal(adit_mux_err(m), 0);
	adit_mux_close(m, NULL);
	client_fini(&c);
	free(request.p);
	free(answer.p);
	free(client.all.p);
	free(server.all.p);
	vector_free(v);
}

/*
 * Two streams at a time, of which the first has sent but half of its head: the second is there
 * before it. What comes behind a head in the same frame is the stream's.
 */
static void
heads_are_awaited_at_the_same_time(void **state)
{
	static const uint8_t frames[] = {
		2, 0, 0,  0, 3,  0, 0, 0,                  /* SYN 3 */
		2, 2, 5,  0, 3,  0, 0, 0, 1, 0,  0, 22, 2, /* PSH 3 */
		2, 0, 0,  0, 5,  0, 0, 0,                  /* SYN 5 */
		2, 2, 26, 0, 5,  0, 0, 0, 1, 0,  0, 18,    /* PSH 5 */
		2, 0, 7,  1, 10, 0, 0, 5, 0, 55, 2, 0,  5, 3, 1, 'b', 0, 80, 'h', 'e', 'l', 'l',
	};
	static const uint8_t rest[] = {
		2, 2, 21, 0,  3, 0, 0, 0, /* PSH 3 */
		0, 7, 1,  10, 0, 0, 6, 0, 66, 2, 0, 9, 3, 5, 'a', '.', 'b', '.', 'c', 0, 81,
	};
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-bind-http.txt");
	struct bytes answer = said(v, 0, 'S');
	struct client c;
	struct adit_mux *m;
	struct adit_conn *first, *second;
	char text[ADIT_ADDR_TEXT];
	uint16_t port;

	client_init(&c, t, "", A, 5);
	m = client_bind(&c, "", 0);
	wire_end_send(&c.server, answer.p, answer.len);
	wire_end_send(&c.server, frames, sizeof(frames));
	loop_turn(t->loop, TURNS);
	second = adit_mux_accept(m);
	assert_non_null(second);
	assert_null(adit_mux_accept(m));
	assert_string_equal(adit_conn_asked(second, &port), "b");
	assert_string_equal(adit_addr_format(adit_conn_remote(second), text), "10.0.0.5:55");
	expect_read(t->loop, second, "hell", 4);
	wire_end_send(&c.server, rest, sizeof(rest));
	loop_turn(t->loop, TURNS);
	first = adit_mux_accept(m);
	assert_non_null(first);
	assert_string_equal(adit_conn_asked(first, &port), "a.b.c");
	assert_int_equal(port, 81);
	adit_conn_close(first, 0);
	adit_conn_close(second, 0);
	adit_mux_close(m, NULL);
	client_fini(&c);
	free(answer.p);
	vector_free(v);
}

/* Without a wanted name ours is a name of length 0, which old and new gosts understand alike. */
static void
a_bind_without_a_name(void **state)
{
	static const uint8_t name[] = { 2, 0, 4, 3, 0, 0x1f, 0x90 };
	struct vector *v = vector_load("gost-tunnel-bind-http.txt");
	struct bytes request = said(v, 0, 'C');
	struct client c;
	struct adit_mux *m;

	client_init(&c, *state, "", A, 5);
	m = client_bind(&c, "", 8080);
	request.p[3] = (uint8_t)(request.p[3] - 3);
	expect_begin(&c.server, request.p, 14);
	expect_begin(&c.server, name, sizeof(name));
	expect_begin(&c.server, request.p + 24, request.len - 24);
	assert_int_equal(c.server.len, 0);
	adit_mux_close(m, NULL);
	client_fini(&c);
	free(request.p);
	vector_free(v);
}

static void
our_credentials_are_sent_as_captured(void **state)
{
	struct vector *v = vector_load("gost-tunnel-refused.txt");
	struct bytes request = said(v, vector_section(v, "B: BIND, right credentials"), 'C');
	const struct adit_addr local = addr_of("127.0.0.1", 1234);
	struct client c;
	struct adit_mux *m;

	client_init(&c, *state, ",\"auth\":{\"username\":\"user\",\"password\":\"pass\"}", A, 0);
	adit_conn_set_local(c.lower, &local);
	m = client_bind(&c, "0.0.0.0", 0);
	expect_begin(&c.server, request.p, request.len);
	assert_int_equal(c.server.len, 0);
	adit_mux_close(m, NULL);
	client_fini(&c);
	free(request.p);
	vector_free(v);
}

/* Each captured refusal, and each silent end, fails the bind with what it means. */
static void
captured_refusals_end_our_bind(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-refused.txt");

	for (size_t i = 1; i < v->n_section; i++) {
		struct bytes answer = said(v, i, 'S');
		struct client c;
		struct adit_mux *m;

		if (stays_open(v, i)) {
			free(answer.p);
			continue;
		}
		client_init(&c, t, "", A, 5);
		m = client_bind(&c, "", 0);
		wire_end_send(&c.server, answer.p, answer.len);
		wire_end_close(&c.server, 0);
		loop_turn(t->loop, TURNS);
		assert_int_equal(adit_mux_err(m), answer.len == 0    ? -ECONNRESET
		                                  : answer.p[1] == 1 ? -EBADMSG
		                                  : answer.p[1] == 2 ? ADIT_EUNAUTH
		                                  : answer.p[1] == 5 ? ADIT_ENOTUNNEL
		                                  : answer.p[1] == 6 ? ADIT_ENOROUTE
		                                                     : ADIT_ETARGET);
		adit_mux_close(m, NULL);
		client_fini(&c);
		free(answer.p);
	}
	vector_free(v);
}

static void
a_captured_server_takes_our_visitor(void **state)
{
	struct service_stage *t = *state;
	struct vector *v = vector_load("gost-tunnel-visitor-private.txt");
	size_t one = vector_section(v, "part 1");
	struct bytes asks = said(v, one, 'V'), answers = said(v, one, 'S');
	const struct adit_target to = { .network = ADIT_TCP, .host = "srv-2.local", .port = 0 };
	const struct adit_addr application = addr_of("127.0.0.1", 48752);
	const size_t head = asks.len - 4;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *conn;
	struct client c;

	client_init(&c, t, "", SRV, 0);
	conn = c.connector->ops->connect(c.connector, c.lower, &to, &application, &e);
	assert_non_null(conn);
	adit_conn_want(conn, 0);
	expect_begin(&c.server, asks.p, head);
	assert_int_equal(c.server.len, 0);
	assert_false(adit_conn_is_open(conn));
	wire_end_send(&c.server, answers.p, 4);
	loop_turn(t->loop, TURNS);
	assert_true(adit_conn_is_open(conn));
	assert_int_equal(adit_conn_write(conn, "ping", 4), 4);
	expect_begin(&c.server, asks.p + head, 4);
	wire_end_send(&c.server, answers.p + 4, answers.len - 4);
	expect_read(t->loop, conn, "echo:ping", 9);
	adit_conn_close(conn, 0);
	loop_turn(t->loop, TURNS);
	assert_true(c.server.ended);
	client_fini(&c);
	free(asks.p);
	free(answers.p);
	vector_free(v);
}

#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, service_stage_setup, service_stage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_captured_client_binds),
		TEST(a_captured_visitor_reaches_a_private_tunnel),
		TEST(captured_requests_get_the_captured_answers),
		TEST(a_bind_byte_by_byte),
		TEST(a_captured_server_takes_our_bind),
		TEST(heads_are_awaited_at_the_same_time),
		TEST(a_bind_without_a_name),
		TEST(our_credentials_are_sent_as_captured),
		TEST(captured_refusals_end_our_bind),
		TEST(a_captured_server_takes_our_visitor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
