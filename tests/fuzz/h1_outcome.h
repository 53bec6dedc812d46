/*
 * Part of both fuzz targets of HTTP/1 (each is one file): bytes from nowhere on one end of a pair,
 * a mux on the other, and a digest of what came of it: heads, bodies, trailers, their ends. The
 * same bytes must come to the same whatever pieces they arrive in.
 */
#ifndef ADIT_FUZZ_H1_OUTCOME_H
#define ADIT_FUZZ_H1_OUTCOME_H

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "core/http/h1.h"
#include "core/http/respond.h"
#include "core/runtime/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct outcome {
	const char		*request;	/* client: a method; NULL: server */
	bool			 upgrade;	/* client: whether an upgrade is asked for */
	uint64_t		 digest;
	unsigned		 exchanges;
	struct adit_conn	*wire;
	struct adit_mux		*mux;
	struct adit_exchange	*x;
	bool			 ended;		/* x's body */
};

static struct event_base *base;
static struct adit_worker *worker;

/* FNV-1a */
static void
digest_add(struct outcome *o, const void *p, size_t len)
{
	const uint8_t *s = p;

	for (size_t i = 0; i < len; i++)
		o->digest = (o->digest ^ s[i]) * 0x100000001b3u;
}

static void
digest_text(struct outcome *o, struct adit_text t)
{
	digest_add(o, &t.len, sizeof(t.len));
	if (t.s) {
		assert(t.s[t.len] == 0);
		digest_add(o, t.s, t.len);
	}
}

/* What no head may be, however it came about. */
static void
check_head(const struct outcome *o, const struct adit_fields *f)
{
	unsigned lengths = 0, codings = 0;

	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);

		assert(field->name.len && !memchr(field->name.s, ' ', field->name.len));
		assert(!memchr(field->value.s, '\n', field->value.len));
		assert(!memchr(field->value.s, '\r', field->value.len));
		assert(!memchr(field->value.s, 0, field->value.len));
		lengths += !strcasecmp(field->name.s, "content-length");
		codings += !strcasecmp(field->name.s, "transfer-encoding");
		assert(o->request || strcasecmp(field->name.s, "host") != 0);
	}
	if (o->request || !adit_fields_control(f, ADIT_METHOD).s)
		return;
	assert(lengths + codings <= 1);
	assert(adit_fields_control(f, ADIT_AUTHORITY).len || adit_fields_version(f) == 10);
}

static void
take_heads(struct outcome *o)
{
	const struct adit_fields *f;

	while ((f = adit_exchange_head(o->x))) {
		int status = adit_fields_status(f);

		check_head(o, f);
		digest_add(o, &status, sizeof(status));
		for (int i = 0; i < ADIT_CONTROLS; i++)
			digest_text(o, adit_fields_control(f, (enum adit_control)i));
		for (size_t i = 0; i < adit_fields_count(f); i++) {
			digest_text(o, adit_fields_at(f, i)->name);
			digest_text(o, adit_fields_at(f, i)->value);
		}
		if (!o->request &&
		    (h1_wants_upgrade(f) || adit_fields_control(f, ADIT_TARGET).s == NULL))
			http_respond(o->x, 200, "yes", NULL);
	}
}

static void
finish(struct outcome *o, int why)
{
	struct adit_conn *c = &o->x->body;

	digest_add(o, why ? "!" : ".", 1);
	o->x = NULL;
	if (!o->request && !why && http_respond(adit_exchange_of(c), 200, "ok", NULL) == -EAGAIN)
		why = -EAGAIN;
	adit_conn_close(c, why);
}

static void
x_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct outcome *o = owner;
	char buf[300];
	ssize_t n;

	(void)events;
	take_heads(o);
	do {
		n = adit_conn_read(c, buf, sizeof(buf));
		if (n > 0)
			digest_add(o, buf, (size_t)n);
	} while (n > 0);
	take_heads(o);
	if (n != -EAGAIN)
		finish(o, (int)n);
}

static void
own(struct outcome *o, struct adit_conn *c)
{
	o->x = adit_exchange_of(c);
	o->exchanges++;
	adit_conn_own(c, x_event, o);
	adit_conn_want(c, ADIT_READ | ADIT_HEAD);
}

static void
ask(struct outcome *o)
{
	struct adit_fields *f = adit_fields_new();
	struct adit_conn *c = adit_mux_open(o->mux, ADIT_CONN_EXCHANGE, NULL);

	if (!f || !c)
		abort();
	own(o, c);
	adit_fields_set_control(f, ADIT_METHOD, o->request, strlen(o->request));
	adit_fields_set_control(f, ADIT_AUTHORITY, "a:1", 3);
	adit_fields_set_control(f, ADIT_TARGET, "/", 1);
	if (o->upgrade) {
		adit_fields_set(f, "Upgrade", "x");
		adit_fields_set(f, "Connection", "upgrade");
	}
	if (adit_exchange_send_head(o->x, f, ADIT_HEAD_END) < 0)
		abort();
	adit_fields_free(f);
}

static void
drop_wire(struct outcome *o)
{
	char buf[4096];

	while (adit_conn_read(o->wire, buf, sizeof(buf)) > 0)
		;
}

/* Until nothing happens any more, which is after a few turns. */
static void
settle(struct outcome *o)
{
	for (int i = 0; i < 8; i++) {
		struct adit_conn *c;

		if (o->mux && !o->x && o->request && h1_client_idle(o->mux) && !o->exchanges)
			ask(o);
		if (o->mux && !o->x && !o->request) {
			c = adit_mux_accept(o->mux);
			if (c)
				own(o, c);
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
		drop_wire(o);
	}
}

static void
outcome_start(struct outcome *o)
{
	struct adit_conn *lower;

	if (!base) {
		base = event_base_new();
		worker = worker_attach(base, NULL, NULL);
	}
	if (!worker || adit_conn_pair(worker, worker, 65536, &o->wire, &lower) < 0)
		abort();
	o->mux = o->request ? h1_client(lower, NULL) : h1_server(lower, NULL);
	if (!o->mux)
		abort();
}

static void
outcome_end(struct outcome *o)
{
	adit_conn_shutdown(o->wire);
	settle(o);
	if (o->x)
		finish(o, -ECANCELED);
	adit_mux_close(o->mux, NULL);
	adit_conn_close(o->wire, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert(chunk_pool_used(worker_chunks(worker)) == 0);
}

/* Feeds the bytes in pieces of that size. */
static struct outcome
outcome_of(struct outcome o, const uint8_t *data, size_t len, size_t piece)
{
	outcome_start(&o);
	settle(&o);
	for (size_t done = 0; done < len;) {
		size_t n = len - done < piece ? len - done : piece;
		ssize_t took = adit_conn_write(o.wire, data + done, n);

		if (took < 0)
			break;
		done += (size_t)took;
		settle(&o);
	}
	outcome_end(&o);
	return o;
}

/* In one piece, and in small ones. */
static void
check_outcome(struct outcome o, const uint8_t *data, size_t len)
{
	struct outcome whole = outcome_of(o, data, len, 60000);
	struct outcome cut = outcome_of(o, data, len, 1 + len % 7);

	assert(whole.exchanges == cut.exchanges);
	assert(whole.digest == cut.digest);
}

#endif
