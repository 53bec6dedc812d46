#include "core/service/probe.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <adit/addr.h>
#include <adit/conn.h>

#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/service/forwarder.h"
#include "core/source/fetch.h"

#define INTERVAL_NS ADIT_SECONDS(30)	/* where nothing is said, as in gost */
#define INTERVAL_MIN_NS ADIT_SECONDS(1)
#define LIMIT_NS ADIT_SECONDS(10)

struct probe {
	const struct probes		*of;
	struct forward_node		*node;		/* the forwarder's */
	char				*url;		/* NULL: a connection is all */
	char				 host[256];
	uint16_t			 port;
	uint64_t			 interval, limit;	/* ns */
	struct adit_timer		*timer;		/* to the next one */
	struct adit_conn		*conn;		/* what is under way, one of both */
	struct fetch			*fetch;
	bool				 failed;	/* and the log has said so */
};

struct probes {
	struct adit_worker	*worker;
	struct adit_log		*log;
	size_t			 n;
	struct probe		 v[];
};

/* ---- one --------------------------------------------------------------------------------- */

/* The log tells of changes alone. */
static void
probe_end(struct probe *p, const struct adit_err *e)
{
	const struct adit_log_field *fields = ADIT_FIELDS(ADIT_STR("node", p->node->conf->name));
	int err = e ? e->code : 0;

	if (err && !p->failed)
		adit_log(p->of->log, ADIT_LOG_WARN, fields, "probe of %s: %s",
			 p->node->conf->addr, e->text);
	else if (!err && p->failed)
		adit_log(p->of->log, ADIT_LOG_INFO, fields, "probe of %s: it is well again",
			 p->node->conf->addr);
	p->failed = err;
	node_state_report(&p->node->state, err, adit_now());
	adit_timer_set(p->timer, p->interval);
}

static void
probe_fetched(void *arg, char *text, size_t len, const struct adit_err *e)
{
	struct probe *p = arg;

	(void)len;
	p->fetch = NULL;
	probe_end(p, text ? NULL : e);
}

static void
probe_connected(void *owner, struct adit_conn *c, unsigned events)
{
	struct probe *p = owner;
	int err = adit_conn_err(c);
	struct adit_err e = ADIT_ERR_INIT;

	(void)events;
	if (err)
		adit_err_set(&e, err, "%s", conn_failure(c) ? conn_failure(c) : adit_strerror(err));
	adit_conn_close(c, err);
	p->conn = NULL;
	probe_end(p, err ? &e : NULL);
}

static void
probe_ask(struct probe *p, struct adit_err *e)
{
	const struct probe_conf *conf = p->node->conf->probe;
	const char *host = conf->http_host && *conf->http_host ? conf->http_host : conf->addr;
	const struct fetch_conf ask = {
		.url = p->url, .authority = host && *host ? host : NULL,
		.fields = &conf->http_headers, .head_only = true,
		.status = conf->expected ? (int)conf->expected : 200, .tls = p->node->tls,
		.limit = p->limit,
	};

	p->fetch = fetch_begin(p->of->worker, &ask, probe_fetched, p, e);
}

static void
probe_connect(struct probe *p, struct adit_err *e)
{
	uint64_t ms = p->limit / ADIT_MS(1);

	p->conn = tcp_dial(p->of->worker, p->host, p->port, ms < UINT_MAX ? (unsigned)ms : UINT_MAX,
			   e);
	if (!p->conn)
		return;
	adit_conn_own(p->conn, probe_connected, p);
	adit_conn_want(p->conn, ADIT_WRITE);
}

static void
probe_begin(void *arg)
{
	struct probe *p = arg;
	struct adit_err e = ADIT_ERR_INIT;

	if (p->url)
		probe_ask(p, &e);
	else
		probe_connect(p, &e);
	if (e.code)
		probe_end(p, &e);
}

/* ---- all ----------------------------------------------------------------------------------- */

static int
probe_address(const struct forward_node *n, char host[256], uint16_t *port)
{
	if (adit_hostport_split(n->conf->addr, host, 256, port) < 0 || !*port || !*host)
		return -EINVAL;
	return 0;
}

int
probe_check(const struct forward_node *n, const struct place *at)
{
	const struct probe_conf *conf = n->conf->probe;
	char host[256];
	uint16_t port;

	if (conf->type == PROBE_CMD)
		return place_say(at, ADIT_EUNSUPPORTED,
				 "type: cmd is not available in this build");
	if (probe_address(n, host, &port) < 0)
		return place_say(at, ADIT_EUNSUPPORTED,
				 "a probe of a node without host and port is not available");
	if (conf->http_path && *conf->http_path && *conf->http_path != '/')
		return place_say(at, ADIT_ECONFIG, "httpPath: must begin with a /");
	for (size_t i = 0; i < conf->http_headers.n; i++)
		if (!fetch_check_field(conf->http_headers.name[i], conf->http_headers.value[i]))
			return place_say(at, ADIT_ECONFIG, "httpHeaders: %s: cannot be set",
					 conf->http_headers.name[i]);
	return 0;
}

static void
probe_fini(struct probe *p)
{
	adit_timer_free(p->timer);
	fetch_cancel(p->fetch);
	adit_conn_close(p->conn, 0);
	free(p->url);
}

void
probes_stop(struct probes *p)
{
	for (size_t i = 0; p && i < p->n; i++)
		probe_fini(&p->v[i]);
	free(p);
}

static bool
probe_init(struct probe *p, const struct probes *of, struct forward_node *n)
{
	const struct probe_conf *conf = n->conf->probe;
	const char *path = conf->http_path && *conf->http_path ? conf->http_path : "/";

	*p = (struct probe){ .of = of, .node = n };
	p->interval = conf->interval > 0 ? (uint64_t)conf->interval : INTERVAL_NS;
	if (p->interval < INTERVAL_MIN_NS)
		p->interval = INTERVAL_MIN_NS;
	p->limit = conf->timeout > 0 ? (uint64_t)conf->timeout : LIMIT_NS;
	p->timer = adit_timer_new(of->worker, probe_begin, p);
	if (conf->type == PROBE_HTTP &&
	    asprintf(&p->url, "%s://%s%s", n->tls ? "https" : "http", n->conf->addr, path) < 0)
		p->url = NULL;
	return p->timer && (p->url || conf->type != PROBE_HTTP) &&
	       probe_address(n, p->host, &p->port) == 0;
}

struct probes *
probes_start(const struct forwarder *f, struct adit_worker *w, struct adit_log *log)
{
	struct probes *p;
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += f->nodes[i].conf->probe != NULL;
	p = n ? calloc(1, sizeof(*p) + n * sizeof(*p->v)) : NULL;
	if (!p)
		return NULL;
	p->worker = w;
	p->log = log;
	for (size_t i = 0; i < f->n; i++) {
		struct probe *one = &p->v[p->n];

		if (!f->nodes[i].conf->probe)
			continue;
		if (!probe_init(one, p, &f->nodes[i])) {
			probe_fini(one);
			continue;
		}
		adit_timer_set(one->timer, 0);
		p->n++;
	}
	return p;
}
