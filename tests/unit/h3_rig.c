#include "tests/unit/h3_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/h1_side.h"

static const struct quic_alpn h3_alpn[] = { { "h3", false } };

int
h3_rig_setup(void **state)
{
	struct h3_rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->quic = quic_rig_new(loop_new());
	r->quic->conf.params.alpn = r->quic->params.alpn = h3_alpn;
	r->quic->conf.params.n_alpn = r->quic->params.n_alpn = 1;
	*state = r;
	return 0;
}

int
h3_rig_teardown(void **state)
{
	struct h3_rig *r = *state;
	struct loop *l = r->quic->l;

	adit_mux_close(r->client, NULL);
	adit_mux_close(r->server, NULL);
	adit_mux_close(r->raw, NULL);
	quic_rig_free(r->quic);
	loop_free(l);
	free(r);
	return 0;
}

void
h3_rig_start(struct h3_rig *r, enum h3_rig_ends ends, bool crossed)
{
	struct adit_mux *dialled, *accepted, *client, *server;

	quic_rig_start(r->quic);
	quic_rig_session(r->quic, &dialled, &accepted);
	r->quic->n_accepted = 0;
	client = crossed ? accepted : dialled;
	server = crossed ? dialled : accepted;
	if (ends == H3_CLIENT_ALONE)
		r->raw = server;
	else
		r->server = h3_server(server, &r->server_conf);
	if (ends == H3_SERVER_ALONE)
		r->raw = client;
	else
		r->client = h3_client(client, &r->client_conf);
}

struct adit_exchange *
h3_rig_open(struct h3_rig *r)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = adit_mux_open(r->client, ADIT_CONN_EXCHANGE, &e);

	if (!c)
		fail_msg("%s", e.text);
	return adit_exchange_of(c);
}

struct head_wait {
	struct adit_exchange	*x;
	struct adit_fields	*sent;
	const struct adit_fields *got;
	unsigned		 flags;
	int			 err;
};

static bool
is_sent(void *arg)
{
	struct head_wait *w = arg;

	w->err = adit_exchange_send_head(w->x, w->sent, w->flags);
	return w->err != -EAGAIN;
}

int
h3_rig_send(struct h3_rig *r, struct adit_exchange *x, const char *head, unsigned flags)
{
	struct head_wait w = { .x = x, .sent = side_fields(head), .flags = flags };

	assert_true(loop_until(r->quic->l, is_sent, &w, RIG_LIMIT));
	adit_fields_free(w.sent);
	return w.err;
}

struct adit_exchange *
h3_rig_accept(struct h3_rig *r)
{
	return adit_exchange_of(quic_rig_accept(r->quic, r->server));
}

static bool
is_there(void *arg)
{
	struct head_wait *w = arg;

	w->got = adit_exchange_head(w->x);
	return w->got || adit_conn_err(&w->x->body);
}

const struct adit_fields *
h3_rig_head(struct h3_rig *r, struct adit_exchange *x)
{
	struct head_wait w = { .x = x };

	assert_true(loop_until(r->quic->l, is_there, &w, RIG_LIMIT));
	return w.got;
}

void
h3_rig_ask(struct h3_rig *r, const char *head, unsigned flags, struct adit_exchange **client,
	   struct adit_exchange **server)
{
	*client = h3_rig_open(r);
	assert_int_equal(h3_rig_send(r, *client, head, flags), 0);
	*server = h3_rig_accept(r);
	assert_non_null(h3_rig_head(r, *server));
}

struct write_wait {
	struct adit_conn	*c;
	const char		*text;
};

static bool
is_written(void *arg)
{
	struct write_wait *w = arg;
	ssize_t n = adit_conn_write(w->c, w->text, strlen(w->text));

	if (n == -EAGAIN)
		return false;
	assert_true(n > 0);
	w->text += n;
	return !*w->text;
}

void
h3_rig_write(struct h3_rig *r, struct adit_exchange *x, const char *text, bool end)
{
	struct write_wait w = { .c = &x->body, .text = text };

	if (*text)
		assert_true(loop_until(r->quic->l, is_written, &w, RIG_LIMIT));
	if (end)
		assert_int_equal(adit_conn_shutdown(&x->body), 0);
}

void
h3_rig_expect(struct h3_rig *r, struct adit_exchange *x, const char *text)
{
	char buf[1024];
	size_t got = 0;
	ssize_t n;

	while ((n = quic_rig_read(r->quic, &x->body, buf + got, sizeof(buf) - got)) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, strlen(text));
	assert_memory_equal(buf, text, got);
}

static bool
has_failed(void *arg)
{
	return adit_conn_err(arg);
}

int
h3_rig_failure(struct h3_rig *r, struct adit_exchange *x)
{
	assert_true(loop_until(r->quic->l, has_failed, &x->body, RIG_LIMIT));
	return adit_conn_err(&x->body);
}

void
h3_rig_close(struct adit_exchange *x, int why)
{
	adit_conn_close(&x->body, why);
}
