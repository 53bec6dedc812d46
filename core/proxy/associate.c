#include "core/proxy/associate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/proxy/inbox.h"
#include "core/wire/dgram.h"

#define FLOWS_MAX 128
#define EARLY_MAX 16384		/* bytes that wait for a flow to open */
#define READS	  64		/* datagrams of a flow in one turn */

/* One target. */
struct flow {
	TAILQ_ENTRY(flow)	 entry;
	struct associate	*associate;
	struct wire_addr	 to;
	struct adit_conn	*conn;		/* owned */
	uint64_t		 last;		/* when a datagram came or went */
	uint8_t			*early;		/* behind their lengths, until it is open; owned */
	size_t			 early_len;
};

TAILQ_HEAD(flow_list, flow);

struct associate {
	struct associate_conf	 conf;
	struct flow_list	 flows;		/* the one that was used last is first */
	unsigned		 n;
	struct adit_timer	*timer;
};

static void
flow_free(struct flow *f, int why)
{
	TAILQ_REMOVE(&f->associate->flows, f, entry);
	f->associate->n--;
	adit_conn_close(f->conn, why);
	free(f->early);
	free(f);
}

static void
flow_use(struct flow *f)
{
	f->last = adit_now();
	TAILQ_REMOVE(&f->associate->flows, f, entry);
	TAILQ_INSERT_HEAD(&f->associate->flows, f, entry);
}

static bool
addr_equal(const struct wire_addr *a, const struct wire_addr *b)
{
	if (a->type != b->type || a->port != b->port || a->len != b->len)
		return false;
	switch (a->type) {
	case WIRE_ADDR_IPV4:
		return memcmp(a->ip, b->ip, 4) == 0;
	case WIRE_ADDR_IPV6:
		return memcmp(a->ip, b->ip, 16) == 0;
	default:
		return memcmp(a->name, b->name, a->len) == 0;
	}
}

/* ---- what comes back ------------------------------------------------------------------- */

/* 0, or how the flow ended. */
static int
flow_read(struct flow *f)
{
	const struct associate_conf *conf = &f->associate->conf;
	uint8_t *buf = malloc(ASSOCIATE_HEADROOM + DGRAM_MAX);
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	for (int i = 0; i < READS; i++) {
		n = adit_conn_read(f->conn, buf + ASSOCIATE_HEADROOM, DGRAM_MAX);
		if (n < 0)
			break;
		f->last = adit_now();
		conf->deliver(conf->arg, &f->to, buf + ASSOCIATE_HEADROOM, (size_t)n);
	}
	free(buf);
	return n < 0 && n != -EAGAIN ? (int)n : 0;
}

/* What had to wait for the flow to open. */
static void
flow_send_early(struct flow *f)
{
	struct dgram d;

	for (size_t at = 0; at < f->early_len;) {
		at += (size_t)dgram_decode(f->early + at, f->early_len - at, &d);
		adit_conn_write(f->conn, d.payload, d.len);
	}
	free(f->early);
	f->early = NULL;
	f->early_len = 0;
}

/* Datagrams are lost where nobody takes them, and the next to the target dials anew. */
static void
flow_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct flow *f = owner;
	int err = adit_conn_err(c);

	if (!err && events & ADIT_OPEN && !(adit_conn_flags(c) & ADIT_CONN_DGRAM))
		err = -ENOTSUP;		/* a connector that knows bytes alone */
	if (!err && events & ADIT_OPEN) {
		flow_send_early(f);
		adit_conn_want(c, ADIT_READ);
	}
	if (!err || events & ADIT_READ)
		err = flow_read(f);
	if (err)
		flow_free(f, err);
}

/* ---- what is sent -------------------------------------------------------------------------- */

static void
flow_keep_early(struct flow *f, const void *buf, size_t len)
{
	uint8_t head[DGRAM_HEADER_LEN], *early;
	size_t size = f->early_len + sizeof(head) + len;

	if (size > EARLY_MAX || dgram_encode_header(len, head) < 0)
		return;
	early = realloc(f->early, size);
	if (!early)
		return;
	memcpy(early + f->early_len, head, sizeof(head));
	memcpy(early + f->early_len + sizeof(head), buf, len);
	f->early = early;
	f->early_len = size;
}

static struct flow *
flow_new(struct associate *a, const struct wire_addr *to)
{
	struct adit_target target = { .network = ADIT_UDP };
	struct adit_err e = ADIT_ERR_INIT;
	char host[WIRE_ADDR_TEXT];
	struct flow *f;

	if (inbox_target(to, host, &target) < 0 || !to->port)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->associate = a;
	f->to = *to;
	f->conn = adit_handler_dial(a->conf.handler, a->conf.visitor, &target, &e);
	if (!f->conn) {
		free(f);
		return NULL;
	}
	if (a->n == FLOWS_MAX)
		flow_free(TAILQ_LAST(&a->flows, flow_list), ADIT_ELIMIT);
	TAILQ_INSERT_HEAD(&a->flows, f, entry);
	a->n++;
	adit_conn_own(f->conn, flow_event, f);
	adit_conn_want(f->conn, ADIT_OPEN);
	return f;
}

void
associate_send(struct associate *a, const struct wire_addr *to, const void *buf, size_t len)
{
	struct flow *f;

	TAILQ_FOREACH(f, &a->flows, entry)
		if (addr_equal(&f->to, to))
			break;
	if (!f)
		f = flow_new(a, to);
	if (!f)
		return;
	flow_use(f);
	if (!adit_conn_is_open(f->conn))
		flow_keep_early(f, buf, len);
	else
		adit_conn_write(f->conn, buf, len);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void
associate_tick(void *arg)
{
	struct associate *a = arg;
	uint64_t now = adit_now();
	struct flow *f, *next;

	for (f = TAILQ_FIRST(&a->flows); f; f = next) {
		next = TAILQ_NEXT(f, entry);
		if (now - f->last >= a->conf.ttl)
			flow_free(f, 0);
	}
	adit_timer_set(a->timer, a->conf.ttl / 2 + 1);
}

struct associate *
associate_new(const struct associate_conf *conf)
{
	struct associate *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->conf = *conf;
	TAILQ_INIT(&a->flows);
	a->timer = adit_timer_new(adit_conn_worker(conf->visitor), associate_tick, a);
	if (!a->timer) {
		free(a);
		return NULL;
	}
	adit_timer_set(a->timer, conf->ttl / 2 + 1);
	return a;
}

void
associate_free(struct associate *a)
{
	if (!a)
		return;
	while (!TAILQ_EMPTY(&a->flows))
		flow_free(TAILQ_FIRST(&a->flows), 0);
	adit_timer_free(a->timer);
	free(a);
}
