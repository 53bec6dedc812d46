#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <adit/log.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/conn/listen.h"
#include "core/conn/peek.h"
#include "core/conn/tally.h"
#include "core/conn/tcp.h"
#include "core/http/respond.h"
#include "core/runtime/memory.h"
#include "core/runtime/worker.h"
#include "core/tunnel/forwarded.h"
#include "core/tunnel/relay_conn.h"
#include "core/tunnel/visit.h"
#include "core/wire/clienthello.h"
#include "core/wire/proxy.h"
#include "core/wire/sniff.h"

/* For the bytes that tell where a connection goes. */
#define SNIFF_LIMIT_MS 5000

struct entry {
	struct entry_shared	*shared;
	struct listen_set	*sockets;
	struct entry_port	*ports[ADIT_WORKERS_MAX];	/* each worker's own */
};

/* A connection of which it is not known yet where it goes. */
struct newcomer {
	struct adit_activity	 activity;
	struct entry_shared	*shared;
	struct adit_conn	*conn;
	struct adit_timer	*limit;	/* no deadline of conn, which could not be answered then */
	struct peek		 seen;
	struct adit_lookup	 lookup;	/* the rule for host is waited for */
	bool			 proxy_done, counted;
	char			 host[HOSTNAME_MAX + 1];
};

void
entry_shared_put(struct entry_shared *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	adit_component_put(s->conf.component);
	free(s->tally);
	free(s);
}

struct entry_shared *
entry_shared_get(struct entry_shared *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

bool
entry_allows(const struct entry_shared *s, const char *host, uint16_t port)
{
	return adit_component_allows(s->conf.component, &(struct adit_target){
		.network = ADIT_TCP, .host = host, .port = port,
	});
}

int
entry_route(const struct entry_shared *s, struct adit_worker *w, const char *host, char tunnel[37])
{
	struct adit_rule rule;
	int err = s->conf.lookup(s->conf.arg, w, host, &rule);

	if (err < 0 || rule.private_)
		return err < 0 ? err : ADIT_ENOROUTE;
	adit_uuid_format(&rule.tunnel, tunnel);
	return 0;
}

int
entry_wait(const struct entry_shared *s, struct adit_worker *w, const char *host,
	   struct adit_lookup *q)
{
	if (!s->conf.wait)
		return ADIT_ENORULES;
	q->service = adit_component_name(s->conf.component);
	return s->conf.wait(s->conf.arg, w, host, q);
}

/* ---- newcomers ---------------------------------------------------------------------- */

static void
newcomer_free(struct newcomer *n)
{
	adit_timer_free(n->limit);
	adit_lookup_end(&n->lookup);
	adit_activity_end(&n->activity);
	entry_shared_put(n->shared);
	peek_fini(&n->seen);
	free(n);
}

/* status: of HTTP, that he was answered with; 0: he was not. */
static void
newcomer_log_end(const struct newcomer *n, int why, const char *by, const char *how, int status)
{
	struct ending end = ending_of(n->shared->conf.component, n->conn);

	end.kind = "entrypoint";
	end.host = *n->host ? n->host : NULL;
	end.requests = status ? 1 : 0;
	end.status = status;
	end.by = by;
	end.how = how;
	ending_log(&end, ADIT_LOG_INFO, "%s%s%s", n->host, *n->host ? ": " : "",
		   adit_strerror(why));
}

static void
newcomer_tally(const struct newcomer *n, int why, int status)
{
	struct adit_worker *w = adit_conn_worker(n->conn);

	tally_refusal(w, n->shared->tally, why);
	tally_status(w, n->shared->tally, status);
}

static void
newcomer_alert(struct newcomer *n, enum tls_alert alert)
{
	uint8_t record[CLIENTHELLO_ALERT_LEN];

	clienthello_alert(alert, record);
	conn_write_now(n->conn, record, sizeof(record));
}

static void
newcomer_refuse_tls(struct newcomer *n, int why, enum tls_alert alert)
{
	newcomer_alert(n, alert);
	newcomer_tally(n, why, 0);
	newcomer_log_end(n, why, NULL, "refused", 0);
	adit_conn_close(n->conn, 0);
	newcomer_free(n);
}

/* Between servers that share tunnels only; a stranger would get past password and privacy here. */
static void
newcomer_refuse_relay(struct newcomer *n)
{
	static const struct relay_msg forbidden = { .code = RELAY_FORBIDDEN };

	relay_send(n->conn, &forbidden);
	newcomer_tally(n, ADIT_EFORBIDDEN, 0);
	newcomer_log_end(n, ADIT_EFORBIDDEN, NULL, "refused", 0);
	adit_conn_close(n->conn, 0);
	newcomer_free(n);
}

/* In HTTP's words also where nothing can be told: there is no better guess at such a port. */
static void
newcomer_refuse_http(struct newcomer *n, int why, int status, const char *text)
{
	char answer[HTTP_LAST_WORDS];

	conn_write_now(n->conn, answer, http_last_words(status, text, answer));
	newcomer_tally(n, why, status);
	newcomer_log_end(n, why, NULL, why == -ETIMEDOUT ? ending_how(why) : "refused", status);
	adit_conn_close(n->conn, 0);
	newcomer_free(n);
}

static void
newcomer_stop(struct adit_activity *a, int why)
{
	struct newcomer *n = adit_container_of(a, struct newcomer, activity);

	if (!why && adit_component_has_grace(a->component))
		return;
	/* Nobody has been asked for anything yet: a draining service need not wait for it. */
	newcomer_log_end(n, why ? why : ADIT_EDRAINING, NULL, "stopped", 0);
	adit_conn_close(n->conn, why);
	newcomer_free(n);
}

static void
newcomer_lose(struct newcomer *n, int err)
{
	bool quietly = err == -ESHUTDOWN || err == -ETIMEDOUT;

	newcomer_log_end(n, err, ending_by(err, "visitor"), ending_how(err), 0);
	adit_conn_close(n->conn, quietly ? 0 : err);
	newcomer_free(n);
}

/*
 * No more will come, or came in time: often of nothing at all, as of health checks and port scans,
 * or of browsers that connect in advance. These are let go without a word.
 */
static void
newcomer_give_up(struct newcomer *n, int err)
{
	bool late = err == -ETIMEDOUT;

	if (sniff_empty_lines(n->seen.buf, n->seen.len) == n->seen.len) {
		newcomer_lose(n, err);
	} else if (sniff_protocol(n->seen.buf, n->seen.len) != SNIFF_TLS) {
		newcomer_refuse_http(n, err, late ? 408 : 400,
				     late ? "request took too long" :
					    "connection ended within a head");
	} else {
		if (late) {	/* RFC 8446, 6.1: given up for no failure of the protocol's */
			newcomer_alert(n, TLS_ALERT_USER_CANCELED);
			newcomer_alert(n, TLS_ALERT_CLOSE_NOTIFY);
		}
		newcomer_lose(n, err);
	}
}

static void
newcomer_late(void *arg)
{
	newcomer_give_up(arg, -ETIMEDOUT);
}

/* ---- to the worker of the session that is to serve it, where nothing has to cross threads ---- */

typedef void visit_begin(struct entry_shared *s, struct adit_conn *c,
			 const struct visit_start *start);

struct arrival {
	struct entry_shared	*shared;
	visit_begin		*begin;
	struct visit_start	 start;
};

static void
newcomer_arrived(struct adit_conn *c, void *arg)
{
	struct arrival *a = arg;

	if (c)
		a->begin(a->shared, c, &a->start);
	entry_shared_put(a->shared);
	free(a);
}

static void
newcomer_cross(struct adit_conn *c, const struct arrival *from)
{
	struct adit_worker *to = adit_worker_at(adit_conn_worker(c), from->start.choice.worker);
	struct arrival *a = malloc(sizeof(*a));

	if (!a) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	*a = *from;
	entry_shared_get(a->shared);
	if (adit_conn_move(c, to, newcomer_arrived, a) < 0)
		newcomer_arrived(c, a);
}

static void
newcomer_settle(struct adit_conn *c, struct arrival *a)
{
	struct adit_worker *w = adit_conn_worker(c);
	struct visit_start *start = &a->start;

	if (!*start->host || entry_route(a->shared, w, start->host, start->tunnel) < 0 ||
	    adit_tunnel_pick(w, start->tunnel, ADIT_TCP, &start->choice) < 0)
		*start->tunnel = '\0';
	if (*start->tunnel && start->choice.worker != adit_worker_index(w))
		newcomer_cross(c, a);
	else
		a->begin(a->shared, c, start);
}

/* What was read goes back, and what the newcomer turned out to be takes over. */
static void
newcomer_leave(struct newcomer *n, visit_begin *begin)
{
	struct adit_conn *c = n->conn;
	struct arrival a = { .shared = entry_shared_get(n->shared), .begin = begin };
	int err = peek_give_back(&n->seen, c);

	strcpy(a.start.host, n->host);
	adit_conn_want(c, 0);
	newcomer_free(n);
	if (err < 0)
		adit_conn_close(c, err);
	else
		newcomer_settle(c, &a);
	entry_shared_put(a.shared);
}

/* ---- looking ------------------------------------------------------------------------- */

static void
newcomer_go_tls(struct newcomer *n, int err)
{
	if (!err && adit_component_delay(n->shared->conf.component, adit_conn_remote(n->conn)))
		err = ADIT_ELIMIT;
	if (!err)
		newcomer_leave(n, visit_tls);
	else if (err == ADIT_ENOROUTE)
		newcomer_refuse_tls(n, err, TLS_ALERT_UNRECOGNIZED_NAME);
	else
		newcomer_refuse_tls(n, err == -EAGAIN ? ADIT_ENORULES : err,
				    TLS_ALERT_INTERNAL_ERROR);
}

static void
newcomer_known(struct adit_lookup *q)
{
	struct newcomer *n = adit_container_of(q, struct newcomer, lookup);
	char tunnel[37];

	newcomer_go_tls(n, entry_route(n->shared, adit_conn_worker(n->conn), n->host, tunnel));
}

/* The bytes that tell where he goes are here: their limit is no more. */
static bool
newcomer_awaits(struct newcomer *n)
{
	n->lookup.port = 443;
	if (entry_wait(n->shared, adit_conn_worker(n->conn), n->host, &n->lookup) < 0)
		return false;
	adit_timer_stop(n->limit);
	adit_conn_want(n->conn, 0);
	return true;
}

/* Each returns whether n is settled: nothing of it may be touched then. */

/* As soon as it is known whom it is of, and in which words to tell him. */
static bool
newcomer_is_too_many(struct newcomer *n, bool tls)
{
	if (n->counted)
		return false;
	n->counted = true;
	if (adit_component_admit(n->shared->conf.component, n->conn) == 0 &&
	    adit_component_slow(n->shared->conf.component, n->conn) == 0)
		return false;
	if (tls)
		newcomer_refuse_tls(n, ADIT_ELIMIT, TLS_ALERT_INTERNAL_ERROR);
	else
		newcomer_refuse_http(n, ADIT_ELIMIT, 503, "too many connections");
	return true;
}

static bool
newcomer_look_tls(struct newcomer *n)
{
	struct clienthello hello;
	char tunnel[37];
	int err;

	switch (clienthello_parse(n->seen.buf, n->seen.len, &hello)) {
	case CLIENTHELLO_MORE:
		return false;
	case CLIENTHELLO_FOUND:
		break;
	case CLIENTHELLO_NO_NAME:
		newcomer_refuse_tls(n, ADIT_ENOROUTE, TLS_ALERT_UNRECOGNIZED_NAME);
		return true;
	case CLIENTHELLO_NOT_TLS:
	case CLIENTHELLO_MALFORMED:
		newcomer_refuse_tls(n, -EBADMSG, TLS_ALERT_DECODE_ERROR);
		return true;
	}
	strcpy(n->host, hello.name);
	err = entry_route(n->shared, adit_conn_worker(n->conn), n->host, tunnel);
	if (err != -EAGAIN || !newcomer_awaits(n))
		newcomer_go_tls(n, err);
	return true;
}

/*
 * Only a hint for the worker to be on; what the request really says is the HTTP parser's to tell.
 */
static bool
newcomer_look_http(struct newcomer *n)
{
	struct hostname host;

	switch (sniff_http_host(n->seen.buf, n->seen.len, &host)) {
	case SNIFF_HOST_MORE:
		return false;
	case SNIFF_HOST_FOUND:
		strcpy(n->host, host.text);
		break;
	case SNIFF_HOST_NONE:
	case SNIFF_HOST_MALFORMED:
		break;
	}
	newcomer_leave(n, visit_http);
	return true;
}

/* Where it is said who is a proxy, nobody else says whom he brings. */
static bool
newcomer_may_announce(const struct newcomer *n)
{
	const struct entry_conf *conf = &n->shared->conf;

	return conf->proxy_protocol &&
	       (!conf->trusted.n ||
		forwarded_is_trusted(&conf->trusted, adit_conn_remote(n->conn)));
}

/* Takes a PROXY header off the front, if there is one. Returns whether more is needed to tell. */
static bool
newcomer_look_proxy(struct newcomer *n)
{
	struct proxy_header header;
	struct adit_addr client;
	ssize_t used;

	if (n->proxy_done || !newcomer_may_announce(n))
		return false;
	used = proxy_decode(n->seen.buf, n->seen.len, &header, NULL);
	if (used == 0)
		return true;
	n->proxy_done = true;
	if (used < 0)
		return false;		/* none, or a bad one: then it is no HTTP or TLS either */
	client = adit_addr_from((struct sockaddr *)&header.src, sizeof(header.src));
	if (client.family)
		adit_conn_set_remote(n->conn, &client);
	n->seen.len -= (size_t)used;
	memmove(n->seen.buf, n->seen.buf + used, n->seen.len);
	return n->seen.len == 0;
}

static bool
newcomer_look(struct newcomer *n)
{
	if (newcomer_look_proxy(n))
		return false;
	switch (sniff_protocol(n->seen.buf, n->seen.len)) {
	case SNIFF_MORE:
		return false;
	case SNIFF_TLS:
		return newcomer_is_too_many(n, true) || newcomer_look_tls(n);
	case SNIFF_HTTP1:
		return newcomer_is_too_many(n, false) || newcomer_look_http(n);
	case SNIFF_HTTP2:
		if (!newcomer_is_too_many(n, false))
			newcomer_leave(n, visit_h2);
		return true;
	case SNIFF_RELAY:
		newcomer_refuse_relay(n);
		return true;
	case SNIFF_SSH:
	case SNIFF_UNKNOWN:
		break;
	}
	newcomer_refuse_http(n, -EBADMSG, 400, "neither HTTP nor TLS");
	return true;
}

static void
newcomer_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct newcomer *n = owner;
	int err = 0;

	(void)c;
	(void)events;
	while (!err) {
		err = peek_read(&n->seen, n->conn, SNIFF_MAX);
		if (!err && newcomer_look(n))
			return;
	}
	if (err == -EAGAIN)
		return;
	if (err == -ESHUTDOWN)
		newcomer_give_up(n, err);
	else if (err == -EMSGSIZE)
		newcomer_refuse_http(n, err, 400, "neither HTTP nor TLS");
	else
		newcomer_lose(n, err);
}

/* ---- the port ----------------------------------------------------------------------------- */

struct entry_port {
	struct entry_shared	*shared;
	struct adit_worker	*worker;
	struct acceptor		*acceptor;
};

static void
entry_accepted(void *arg, int fd)
{
	struct entry_port *port = arg;
	struct adit_conn *c;
	struct newcomer *n;

	/* Below that HTTP and TLS are told in their own words. */
	if (memory_level(worker_memory(port->worker)) == MEMORY_OVERDRAWN) {
		close(fd);
		return;
	}
	c = tcp_conn(port->worker, fd, false);
	if (!c)
		return;
	n = calloc(1, sizeof(*n));
	if (n)
		n->limit = adit_timer_new(port->worker, newcomer_late, n);
	if (!n || !n->limit) {
		free(n);
		adit_conn_close(c, -ENOMEM);
		return;
	}
	tally_conn(c, port->shared->tally);
	adit_timer_set(n->limit, ADIT_MS(SNIFF_LIMIT_MS));
	n->shared = entry_shared_get(port->shared);
	n->conn = c;
	n->activity.stop = newcomer_stop;
	n->lookup.known = newcomer_known;
	adit_activity_begin(&n->activity, port->shared->conf.component, port->worker);
	adit_conn_set_component(c, port->shared->conf.component);
	adit_conn_own(c, newcomer_event, n);
	adit_conn_want(c, ADIT_READ);
}

/* As gost names its entry points in metrics. */
static char *
entry_tally(const struct entry_conf *conf, const struct adit_addr *addr, struct adit_err *e)
{
	char text[ADIT_ADDR_TEXT], *name;

	if (asprintf(&name, "%s-ep-%s", adit_component_name(conf->component),
		     adit_addr_format(addr, text)) >= 0)
		return name;
	adit_err_set(e, -ENOMEM, "out of memory");
	return NULL;
}

struct entry *
entry_open(const struct entry_conf *conf, struct adit_err *e)
{
	struct entry *n = calloc(1, sizeof(*n));

	if (n)
		n->shared = calloc(1, sizeof(*n->shared));
	if (!n || !n->shared) {
		free(n);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&n->shared->refs, 1);
	n->shared->conf = *conf;
	adit_component_get(conf->component);
	n->sockets = listen_get_for(conf->sockets, conf->owner, conf->addr, 0, e);
	if (!n->sockets)
		adit_err_context(e, "entrypoint");
	else
		n->shared->tally = entry_tally(conf, listen_addr(n->sockets), e);
	if (n->shared->tally)
		return n;
	if (n->sockets)
		listen_put(conf->sockets, n->sockets);
	entry_shared_put(n->shared);
	free(n);
	return NULL;
}

int
entry_start(struct entry *n, struct adit_worker *w, struct adit_err *e)
{
	struct entry_port *port = calloc(1, sizeof(*port));

	if (!port)
		return adit_err_set(e, -ENOMEM, "out of memory");
	port->shared = entry_shared_get(n->shared);
	port->worker = w;
	port->acceptor = acceptor_new(w, n->sockets, entry_accepted, port, e);
	if (!port->acceptor) {
		entry_shared_put(port->shared);
		free(port);
		return e->code;
	}
	n->ports[adit_worker_index(w)] = port;
	return 0;
}

void
entry_stop(struct entry *n, struct adit_worker *w)
{
	struct entry_port *port = n->ports[adit_worker_index(w)];

	if (!port)
		return;
	n->ports[adit_worker_index(w)] = NULL;
	acceptor_free(port->acceptor);
	entry_shared_put(port->shared);
	free(port);
}

void
entry_close(struct entry *n)
{
	if (!n)
		return;
	listen_put(n->shared->conf.sockets, n->sockets);
	entry_shared_put(n->shared);
	free(n);
}

const struct adit_addr *
entry_addr(const struct entry *n)
{
	return listen_addr(n->sockets);
}
