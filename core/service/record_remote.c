#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <adit/addr.h>
#include <adit/conn.h>

#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/tls_creds.h"
#include "core/runtime/worker.h"
#include "core/service/record_sink.h"
#include "core/source/fetch.h"
#include "core/source/redis.h"

#define LIMIT_NS ADIT_SECONDS(10)	/* for a record, or a batch for Redis */
#define END_NS ADIT_SECONDS(1)		/* for the other side to end its half too */
#define AT_ONCE 8			/* connections to a server */
#define HOST_MAX 256

struct remote;

/* A connection, and the records that are sent over it. */
struct sending {
	struct remote		*of;
	bool			 busy;
	uint64_t		 n;		/* records */
	const char		*text;		/* the first of them, in the batch */
	size_t			 len, sent;
	struct adit_conn	*conn;		/* what is under way: one of these */
	struct fetch		*fetch;
	struct redis_talk	*talk;
	struct adit_timer	*timer;		/* of conn */
};

struct remote_ops {
	/* Begins with the next record, or more of them. Negative with e: it failed at once. */
	int		(*begin)(struct sending *s, struct adit_err *e);
	unsigned	at_once;
};

/*
 * The recorder's thread has a worker of its own for it, on a loop that runs while there is a batch:
 * all that is begun for a batch has ended before remote_write returns.
 */
struct remote {
	struct record_sink		 base;
	const struct remote_ops		*ops;
	const struct recorder_conf	*conf;
	struct adit_log			*log;
	struct tls_source		*tls;		/* NULL: none */
	char				*url;		/* may have a secret */
	char				*name;		/* of the server, for the log */
	char				 host[HOST_MAX];
	uint16_t			 port;
	uint64_t			 limit;		/* ns */

	struct event_base		*loop;
	struct event			*stop;
	struct adit_worker		*worker;	/* NULL: not made yet */

	const struct record_batch	*batch;
	size_t				 at;		/* what of it comes next */
	struct sending			 sendings[AT_ONCE];
	unsigned			 under_way;
	bool				 broken;	/* no more of this batch */
	uint64_t			 lost;
	struct adit_err			 why;		/* of the first that was lost */
};

/* ---- the end of one -------------------------------------------------------------------------- */

/* It is over, with that many of its records sent. e: why not all; NULL: they are. */
static void
sending_end(struct sending *s, uint64_t n, const struct adit_err *e)
{
	struct remote *r = s->of;

	adit_timer_free(s->timer);
	if (n < s->n && e && !r->lost)
		adit_err_set(&r->why, e->code, "%s: %s", r->name, e->text);
	r->lost += s->n - n;
	r->under_way--;
	*s = (struct sending){ .of = r };
}

static void
sending_fail(struct sending *s, const struct adit_err *e)
{
	s->of->broken = true;
	sending_end(s, 0, e);
}

static void
sending_cancel(struct sending *s)
{
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, -ECANCELED, "there was no time left");
	adit_conn_close(s->conn, -ECANCELED);
	fetch_cancel(s->fetch);
	redis_cancel(s->talk);
	sending_fail(s, &e);
}

/* ---- tcp: as from a gost, each in a connection of its own ------------------------------------ */

static void
tcp_failed(struct sending *s, int err, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, err, "%s", text);
	adit_conn_close(s->conn, err);
	sending_fail(s, &e);
}

/* Late: what was sent in time has arrived, whatever the other side does with its half. */
static void
tcp_late(void *arg)
{
	struct sending *s = arg;

	if (s->sent < s->len) {
		tcp_failed(s, -ETIMEDOUT, adit_strerror(-ETIMEDOUT));
		return;
	}
	adit_conn_close(s->conn, 0);
	sending_end(s, s->n, NULL);
}

/* What it says is nothing to us. Returns 0 at its end, or a failure. */
static int
tcp_drop(struct sending *s)
{
	size_t room;
	void *scratch = adit_worker_scratch(s->of->worker, &room);
	ssize_t n;

	do
		n = adit_conn_read(s->conn, scratch, room);
	while (n > 0);
	return (int)n;
}

static int
tcp_send(struct sending *s)
{
	while (s->sent < s->len) {
		ssize_t n = adit_conn_write(s->conn, s->text + s->sent, s->len - s->sent);

		if (n < 0)
			return (int)n;
		s->sent += (size_t)n;
		if (s->sent < s->len)
			continue;
		adit_conn_shutdown(s->conn);
		adit_timer_set(s->timer, END_NS);
	}
	return 0;
}

static void
tcp_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct sending *s = owner;
	int err = tcp_send(s);

	(void)events;
	if (err == -EAGAIN) {
		adit_conn_want(c, ADIT_WRITE);
		return;
	}
	if (err < 0) {
		tcp_failed(s, err, conn_failure(c) ? conn_failure(c) : adit_strerror(err));
		return;
	}
	if (tcp_drop(s) == -EAGAIN) {
		adit_conn_want(c, ADIT_READ);
		return;
	}
	adit_conn_close(c, 0);
	sending_end(s, s->n, NULL);
}

static int
tcp_begin(struct sending *s, struct adit_err *e)
{
	struct remote *r = s->of;
	uint64_t ms = r->limit / ADIT_MS(1);

	s->text = record_batch_next(r->batch, &r->at, &s->len);
	s->timer = adit_timer_new(r->worker, tcp_late, s);
	if (!s->timer)
		return adit_err_set(e, -ENOMEM, "out of memory");
	s->conn = tcp_dial(r->worker, r->host, r->port, ms < UINT_MAX ? (unsigned)ms : UINT_MAX, e);
	if (!s->conn)
		return e->code;
	adit_timer_set(s->timer, r->limit);
	adit_conn_own(s->conn, tcp_event, s);
	adit_conn_want(s->conn, ADIT_WRITE);
	return 0;
}

static const struct remote_ops remote_tcp = { .begin = tcp_begin, .at_once = AT_ONCE };

static int
tcp_set(struct remote *r, struct adit_err *e)
{
	const struct record_tcp_conf *conf = r->conf->tcp;

	r->ops = &remote_tcp;
	r->limit = (uint64_t)conf->timeout;
	r->name = strdup(conf->addr);
	if (adit_hostport_split(conf->addr, r->host, sizeof(r->host), &r->port) < 0 || !r->port)
		return adit_err_set(e, ADIT_ECONFIG, "tcp: addr: not an address: \"%s\"",
				    conf->addr);
	return 0;
}

/* ---- http: a POST for each ------------------------------------------------------------------- */

/* A record that the server refuses says nothing about the next one. */
static void
http_done(void *arg, char *text, size_t len, const struct adit_err *e)
{
	struct sending *s = arg;

	(void)len;
	s->fetch = NULL;
	if (text)
		sending_end(s, s->n, NULL);
	else if (e->code == ADIT_EREFUSED || e->code == -ENOENT)
		sending_end(s, 0, e);
	else
		sending_fail(s, e);
}

static int
http_begin(struct sending *s, struct adit_err *e)
{
	struct remote *r = s->of;
	struct fetch_conf conf = {
		.url = r->url, .method = "POST", .fields = &r->conf->http->header,
		.head_only = true, .tls = r->tls, .limit = r->limit,
	};

	conf.body = record_batch_next(r->batch, &r->at, &s->len);
	s->fetch = fetch_begin(r->worker, &conf, http_done, s, e);
	return s->fetch ? 0 : e->code;
}

static const struct remote_ops remote_http = { .begin = http_begin, .at_once = AT_ONCE };

static int
http_check_header(const struct adit_pairs *header, struct adit_err *e)
{
	for (size_t i = 0; i < header->n; i++)
		if (!fetch_check_field(header->name[i], header->value[i]))
			return adit_err_set(e, ADIT_ECONFIG, "http: header: %s: cannot be set",
					    header->name[i]);
	return 0;
}

static int
remote_set_tls(struct remote *r, const struct tls_conf *conf, const char *kind, struct adit_err *e)
{
	const struct adit_tls_conf checked = { .secure = true };

	r->tls = tls_source_new(conf ? &conf->tls : &checked, TLS_CLIENT, r->log, e);
	return r->tls ? 0 : adit_err_context(e, "%s: tls", kind);
}

static int
http_set(struct remote *r, struct adit_err *e)
{
	const struct record_http_conf *conf = r->conf->http;
	bool https;

	r->ops = &remote_http;
	r->limit = (uint64_t)conf->timeout;
	if (asprintf(&r->url, "%s%s", strstr(conf->url, "://") ? "" : "http://", conf->url) < 0) {
		r->url = NULL;
		return adit_err_set(e, -ENOMEM, "out of memory");
	}
	r->name = fetch_url_for_log(r->url);
	if (fetch_check_url(r->url, &https, e) < 0)
		return adit_err_context(e, "http: url");
	if (http_check_header(&conf->header, e) < 0)
		return e->code;
	return https ? remote_set_tls(r, conf->tls, "http", e) : 0;
}

/* ---- redis: a batch in one connection -------------------------------------------------------- */

static void
redis_done_adding(void *arg, size_t n, const struct adit_err *e)
{
	struct sending *s = arg;

	s->talk = NULL;
	sending_end(s, n, e);
}

static int
redis_begin_batch(struct sending *s, struct adit_err *e)
{
	struct remote *r = s->of;
	struct redis_conf conf = *r->conf->redis;
	const struct redis_ask ask = { .conf = &conf, .tls = r->tls, .limit = r->limit };
	const char **texts;

	s->n = record_batch_count(r->batch, r->at);
	texts = calloc(s->n, sizeof(*texts));
	for (uint64_t i = 0; i < s->n; i++) {
		const char *text = record_batch_next(r->batch, &r->at, &s->len);

		if (texts)
			texts[i] = text;
	}
	if (!conf.type)
		conf.type = "set";
	if (texts)
		s->talk = redis_begin_adding(r->worker, &ask, texts, s->n, redis_done_adding, s, e);
	else
		adit_err_set(e, -ENOMEM, "out of memory");
	free(texts);
	return s->talk ? 0 : e->code;
}

static const struct remote_ops remote_redis = { .begin = redis_begin_batch, .at_once = 1 };

static int
redis_set(struct remote *r, struct adit_err *e)
{
	struct redis_conf conf = *r->conf->redis;

	r->ops = &remote_redis;
	r->limit = (uint64_t)conf.timeout;
	r->name = strdup(conf.addr);
	if (!conf.key || !*conf.key)
		return adit_err_set(e, ADIT_ECONFIG, "redis: key is needed");
	if (conf.type && !redis_can_add(conf.type))
		return adit_err_set(e, ADIT_ECONFIG,
				    "redis: type: \"%s\" is none of set, list and sset",
				    conf.type);
	conf.type = NULL;
	if (redis_check(&conf, e) < 0)
		return adit_err_context(e, "redis");
	return conf.tls ? remote_set_tls(r, conf.tls, "redis", e) : 0;
}

/* ---- a batch --------------------------------------------------------------------------------- */

static struct remote *
remote_of(struct record_sink *s)
{
	return adit_container_of(s, struct remote, base);
}

/* There is no more time: nothing that is left is waited for. */
static void
remote_stop(evutil_socket_t fd, short what, void *arg)
{
	struct remote *r = arg;

	(void)fd;
	(void)what;
	r->broken = true;
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (r->sendings[i].busy)
			sending_cancel(&r->sendings[i]);
}

static int
remote_open(struct remote *r, struct adit_err *e)
{
	if (r->worker)
		return 0;
	if (!r->loop)
		r->loop = event_base_new();
	if (r->loop && !r->stop)
		r->stop = event_new(r->loop, r->base.stop, EV_READ | EV_PERSIST, remote_stop, r);
	if (!r->stop)
		return adit_err_set(e, -ENOMEM, "out of memory");
	r->worker = worker_attach(r->loop, r->log, e);
	return r->worker ? 0 : e->code;
}

static void
sending_begin(struct sending *s)
{
	struct adit_err e = ADIT_ERR_INIT;

	s->busy = true;
	s->n = 1;
	s->of->under_way++;
	if (s->of->ops->begin(s, &e) < 0)
		sending_fail(s, &e);
}

/* Returns whether there is something to wait for. */
static bool
remote_send_more(struct remote *r)
{
	for (unsigned i = 0; i < r->ops->at_once; i++)
		if (!r->sendings[i].busy && !r->broken && r->at < r->batch->len)
			sending_begin(&r->sendings[i]);
	return r->under_way;
}

static uint64_t
remote_write(struct record_sink *s, const struct record_batch *b, struct adit_err *e)
{
	struct remote *r = remote_of(s);

	if (remote_open(r, e) < 0)
		return record_batch_count(b, 0);
	r->batch = b;
	r->at = 0;
	r->lost = 0;
	r->broken = false;
	r->why = (struct adit_err)ADIT_ERR_INIT;
	event_add(r->stop, NULL);
	while (remote_send_more(r))
		event_base_loop(r->loop, EVLOOP_ONCE);
	event_del(r->stop);
	r->lost += record_batch_count(b, r->at);
	if (r->lost)
		adit_err_set(e, r->why.code, "%s", r->why.text);
	return r->lost;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void
remote_free(struct record_sink *s)
{
	struct remote *r = remote_of(s);

	worker_detach(r->worker);
	if (r->stop)
		event_free(r->stop);
	if (r->loop)
		event_base_free(r->loop);
	tls_source_free(r->tls);
	if (r->url)
		explicit_bzero(r->url, strlen(r->url));
	free(r->url);
	free(r->name);
	free(r);
}

struct record_sink *
record_remote_new(const struct recorder_conf *conf, int stop, struct adit_log *log,
		  const struct place *at)
{
	static const struct record_sink_ops ops = { .write = remote_write, .free = remote_free };
	struct remote *r = calloc(1, sizeof(*r));
	struct adit_err e = ADIT_ERR_INIT;
	int err;

	if (!r) {
		place_say(at, -ENOMEM, "out of memory");
		return NULL;
	}
	r->base = (struct record_sink){ .ops = &ops, .tail = "", .stop = stop };
	r->conf = conf;
	r->log = log;
	for (unsigned i = 0; i < AT_ONCE; i++)
		r->sendings[i].of = r;
	err = conf->tcp ? tcp_set(r, &e) : conf->http ? http_set(r, &e) : redis_set(r, &e);
	if (!err && !r->name)
		err = adit_err_set(&e, -ENOMEM, "out of memory");
	if (!r->limit)
		r->limit = LIMIT_NS;
	if (!err)
		return &r->base;
	place_refuse(at, &e);
	remote_free(&r->base);
	return NULL;
}
