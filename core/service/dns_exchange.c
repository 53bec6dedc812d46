#include "core/service/dns_exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/exchange.h>

#include "core/conn/tls.h"
#include "core/http/h1.h"
#include "core/service/route.h"

#define ANSWER_MAX 65535
#define SENDS	   3		/* of a datagram, until there is an answer */
#define TYPE	   "application/dns-message"

struct dns_exchange {
	const struct dns_server	*server;
	struct adit_worker	*worker;
	struct dns_question	 question;
	void			(*done)(void *arg, int err, const struct dns_answer *a);
	void			*arg;
	enum dns_transport	 how;		/* server's, or TCP */
	struct adit_conn	*conn;		/* owned; of HTTPS: the exchange */
	struct adit_mux		*http;		/* owned */
	struct adit_timer	*timer;
	uint64_t		 end;
	uint8_t			 out[2 + DNS_QUESTION_MAX];	/* its length first */
	size_t			 out_len, sent;
	uint8_t			*in;		/* owned; two bytes more than the longest */
	size_t			 got;
};

/* ---- the end ----------------------------------------------------------------------------- */

static void
exchange_hang_up(struct dns_exchange *x)
{
	adit_conn_close(x->conn, 0);
	adit_mux_close(x->http, NULL);
	x->conn = NULL;
	x->http = NULL;
	x->sent = x->got = 0;
}

void
dns_exchange_cancel(struct dns_exchange *x)
{
	if (!x)
		return;
	exchange_hang_up(x);
	adit_timer_free(x->timer);
	free(x->in);
	free(x);
}

static void
exchange_end(struct dns_exchange *x, int err, const struct dns_answer *answer)
{
	void (*done)(void *arg, int err, const struct dns_answer *a) = x->done;
	void *arg = x->arg;

	dns_exchange_cancel(x);
	done(arg, err, answer);
}

static int exchange_dial(struct dns_exchange *x, struct adit_err *e);	/* again, by TCP */

/* Whether the message ends it; what is no answer to the question is somebody else's. */
static bool
exchange_take(struct dns_exchange *x, const uint8_t *buf, size_t len)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct dns_answer answer;
	int err = dns_read(&x->question, buf, len, &answer);

	if (err < 0 && x->how == DNS_OVER_UDP)
		return false;
	if (!err && answer.truncated && x->how == DNS_OVER_UDP) {
		exchange_hang_up(x);
		x->how = DNS_OVER_TCP;
		err = exchange_dial(x, &e);
		if (!err)
			return true;
	}
	exchange_end(x, err, &answer);
	return true;
}

/* ---- datagrams --------------------------------------------------------------------------- */

static void
exchange_resend(struct dns_exchange *x)
{
	adit_conn_write(x->conn, x->out + 2, x->out_len - 2);
	adit_timer_set(x->timer, x->server->timeout / SENDS + 1);
}

static void
exchange_read_datagrams(struct dns_exchange *x)
{
	ssize_t n;

	do {
		n = adit_conn_read(x->conn, x->in, ANSWER_MAX);
		if (n >= 0 && exchange_take(x, x->in, (size_t)n))
			return;
	} while (n >= 0);
	if (n != -EAGAIN)
		exchange_end(x, (int)n, NULL);
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* The length of the message whose first bytes are there; 0: not known yet. */
static size_t
message_len(const struct dns_exchange *x)
{
	return x->got < 2 ? 0 : (size_t)x->in[0] << 8 | x->in[1];
}

static void
exchange_read_stream(struct dns_exchange *x)
{
	ssize_t n;

	do {
		n = adit_conn_read(x->conn, x->in + x->got, ANSWER_MAX + 2 - x->got);
		x->got += n > 0 ? (size_t)n : 0;
	} while (n > 0 && x->got < ANSWER_MAX + 2);
	if (x->got >= 2 && x->got - 2 >= message_len(x))
		exchange_take(x, x->in + 2, message_len(x));
	else if (n != -EAGAIN)
		exchange_end(x, n < 0 ? (int)n : ADIT_ETRUNCATED, NULL);
}

/* 0, also where it takes no more now; or a failure. */
static int
exchange_write(struct dns_exchange *x)
{
	ssize_t n = 1;

	while (x->sent < x->out_len && n > 0) {
		n = adit_conn_write(x->conn, x->out + x->sent, x->out_len - x->sent);
		x->sent += n > 0 ? (size_t)n : 0;
	}
	return n < 0 && n != -EAGAIN ? (int)n : 0;
}

static void
exchange_serve_stream(struct dns_exchange *x, unsigned events)
{
	int err = exchange_write(x);

	if (err) {
		exchange_end(x, err, NULL);
		return;
	}
	adit_conn_want(x->conn,
		       ADIT_READ | (x->sent < x->out_len ? (unsigned)ADIT_WRITE : 0));
	if (events & ADIT_READ)
		exchange_read_stream(x);
}

/* ---- HTTP -------------------------------------------------------------------------------- */

/* RFC 8484, section 4.1. */
static int
exchange_post(struct dns_exchange *x)
{
	struct adit_exchange *http = adit_exchange_of(x->conn);
	struct adit_fields *f = adit_fields_new();
	size_t len = x->out_len - 2;
	char text[24];
	int err = f ? 0 : -ENOMEM;

	snprintf(text, sizeof(text), "%zu", len);
	if (!err)
		err = adit_fields_set_control(f, ADIT_METHOD, "POST", 4);
	if (!err)
		err = adit_fields_set_control(f, ADIT_TARGET, x->server->path,
					      strlen(x->server->path));
	if (!err)
		err = adit_fields_set_control(f, ADIT_AUTHORITY, x->server->authority,
					      strlen(x->server->authority));
	if (!err)
		err = adit_fields_set(f, "Content-Type", TYPE);
	if (!err)
		err = adit_fields_set(f, "Accept", TYPE);
	if (!err)
		err = adit_fields_set(f, "Content-Length", text);
	if (!err)
		err = adit_exchange_send_head(http, f, 0);
	adit_fields_free(f);
	if (!err && adit_conn_write(x->conn, x->out + 2, len) != (ssize_t)len)
		err = -ENOBUFS;
	return err ? err : adit_conn_shutdown(x->conn);
}

/* 0, -EAGAIN: it is not there yet; or why it is no answer. */
static int
exchange_read_head(struct dns_exchange *x)
{
	const struct adit_fields *head = adit_exchange_head(adit_exchange_of(x->conn));
	int status = head ? adit_fields_status(head) : 0;

	if (!head || (status >= 100 && status < 200))
		return -EAGAIN;
	if (status != 200 || !adit_fields_has(head, "Content-Type", TYPE))
		return ADIT_ERESOLVE;
	x->sent = x->out_len;
	return 0;
}

static void
exchange_serve_http(struct dns_exchange *x)
{
	int err = x->sent == x->out_len ? 0 : exchange_read_head(x);
	ssize_t n = err ? err : 1;

	while (n > 0 && x->got < ANSWER_MAX) {
		n = adit_conn_read(x->conn, x->in + x->got, ANSWER_MAX - x->got);
		x->got += n > 0 ? (size_t)n : 0;
	}
	if (n == -EAGAIN)
		return;
	if (n)
		exchange_end(x, n < 0 ? (int)n : -EMSGSIZE, NULL);
	else
		exchange_take(x, x->in, x->got);
}

/* ---- any --------------------------------------------------------------------------------- */

/* It has opened: the question goes out. */
static int
exchange_begin(struct dns_exchange *x)
{
	int err = 0;

	switch (x->how) {
	case DNS_OVER_UDP:
		exchange_resend(x);
		adit_conn_want(x->conn, ADIT_READ);
		break;
	case DNS_OVER_TCP:
	case DNS_OVER_TLS:
		adit_conn_want(x->conn, ADIT_READ | ADIT_WRITE);
		break;
	case DNS_OVER_HTTPS:
		err = exchange_post(x);
		adit_conn_want(x->conn, ADIT_HEAD | ADIT_READ);
		break;
	}
	return err;
}

static void
exchange_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct dns_exchange *x = owner;
	int err = adit_conn_err(c);

	if (events & ADIT_OPEN && !err)
		err = exchange_begin(x);
	if (err)
		exchange_end(x, err, NULL);
	else if (x->how == DNS_OVER_UDP)
		exchange_read_datagrams(x);
	else if (x->how == DNS_OVER_HTTPS)
		exchange_serve_http(x);
	else
		exchange_serve_stream(x, events);
}

static void
exchange_tick(void *arg)
{
	struct dns_exchange *x = arg;

	if (adit_now() >= x->end)
		exchange_end(x, -ETIMEDOUT, NULL);
	else
		exchange_resend(x);
}

/* c, owned, with TLS over it, and HTTP over that. NULL with e filled. */
static struct adit_conn *
exchange_dress(struct dns_exchange *x, struct adit_conn *c, struct adit_err *e)
{
	if (x->how != DNS_OVER_TLS && x->how != DNS_OVER_HTTPS)
		return c;
	c = tls_client_of(c, x->server->tls, x->server->host, e);
	if (!c || x->how == DNS_OVER_TLS)
		return c;
	x->http = h1_client(c, NULL);
	if (!x->http) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	return adit_mux_open(x->http, ADIT_CONN_EXCHANGE, e);
}

static int
exchange_dial(struct dns_exchange *x, struct adit_err *e)
{
	const struct adit_target to = {
		.network = x->how == DNS_OVER_UDP ? ADIT_UDP : ADIT_TCP,
		.host = x->server->host, .port = x->server->port,
	};
	struct adit_conn *c = chain_dial(x->server->chain, x->worker, &to, NULL, e);
	uint64_t now = adit_now();

	x->conn = c ? exchange_dress(x, c, e) : NULL;
	if (!x->conn)
		return e->code ? e->code : ADIT_ETARGET;
	adit_timer_set(x->timer, x->end > now ? x->end - now : 0);
	adit_conn_own(x->conn, exchange_event, x);
	adit_conn_want(x->conn, ADIT_OPEN);
	return 0;
}

static struct dns_exchange *
exchange_new(const struct dns_server *server, struct adit_worker *w, const struct dns_question *q)
{
	struct dns_exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = server;
	x->worker = w;
	x->how = server->how;
	x->question = *q;
	if (server->how != DNS_OVER_HTTPS)	/* RFC 8484, 4.1: 0, for caches */
		adit_random(&x->question.id, sizeof(x->question.id));
	x->end = adit_now() + server->timeout;
	x->in = malloc(ANSWER_MAX + 2);
	x->timer = adit_timer_new(w, exchange_tick, x);
	if (x->in && x->timer)
		return x;
	dns_exchange_cancel(x);
	return NULL;
}

struct dns_exchange *
dns_exchange(const struct dns_server *server, struct adit_worker *w, const struct dns_question *q,
	     void (*done)(void *arg, int err, const struct dns_answer *a), void *arg,
	     struct adit_err *e)
{
	struct dns_exchange *x = exchange_new(server, w, q);
	ssize_t len = x ? dns_ask(&x->question, x->out + 2) : 0;

	if (!x) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (len < 0) {
		adit_err_set(e, ADIT_ENOHOST, "not a host name: %s", q->name);
		dns_exchange_cancel(x);
		return NULL;
	}
	x->out[0] = (uint8_t)(len >> 8);
	x->out[1] = (uint8_t)len;
	x->out_len = (size_t)len + 2;
	x->done = done;
	x->arg = arg;
	if (exchange_dial(x, e) == 0)
		return x;
	dns_exchange_cancel(x);
	return NULL;
}
