#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/pump.h>

#include "core/tunnel/visit.h"
#include "core/wire/clienthello.h"

struct tls_visit {
	struct adit_activity	 activity;
	struct entry_shared	*shared;
	struct adit_conn	*visitor, *far;	/* owned until the pump has them */
	struct adit_pump	*pump;
	struct adit_timer	*answer;	/* for the first byte of the far side */
	struct visit_id		 id;
	char			 tunnel[37];
};

void
visit_id_init(struct visit_id *id, const struct adit_conn *c, const char *host)
{
	id->conn = adit_conn_id(c);
	id->remote = *adit_conn_remote(c);
	snprintf(id->host, sizeof(id->host), "%s", host);
}

void
visit_log_end(const struct visit_id *id, const struct entry_shared *s, const char *tunnel,
	      const struct adit_pump_stats *st)
{
	static const char *const sides[] = { "nobody", "visitor", "client" };
	char remote[ADIT_ADDR_TEXT];

	adit_log(adit_component_log(s->conf.component), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", "entrypoint"), ADIT_UINT("conn", id->conn),
			     ADIT_STR("service", adit_component_name(s->conf.component)),
			     ADIT_STR("remote", adit_addr_format(&id->remote, remote)),
			     ADIT_STR("host", id->host), ADIT_STR("tunnel", tunnel),
			     ADIT_UINT("inputBytes", st->bytes[0]),
			     ADIT_UINT("outputBytes", st->bytes[1]),
			     ADIT_DURATION("duration", st->duration),
			     ADIT_STR("endedBy", sides[st->side + 1]), ADIT_STR("how", st->how)),
		 "%s >< %s", remote, id->host);
}

static void
tls_visit_free(struct tls_visit *v)
{
	adit_timer_free(v->answer);
	adit_activity_end(&v->activity);
	entry_shared_put(v->shared);
	free(v);
}

/* Before a byte of the far side's could be passed on: TLS has a word for it. */
static void
tls_visit_refuse(struct tls_visit *v, int why)
{
	uint8_t alert[CLIENTHELLO_ALERT_LEN];

	adit_conn_log(v->visitor, ADIT_LOG_WARN, "%s: tunnel %s: %s", v->id.host, v->tunnel,
		      adit_strerror(why));
	clienthello_alert(TLS_ALERT_INTERNAL_ERROR, alert);
	adit_conn_write(v->visitor, alert, sizeof(alert));
	adit_conn_close(v->visitor, 0);
	adit_conn_close(v->far, why);
	tls_visit_free(v);
}

static void
tls_visit_done(void *arg, const struct adit_pump_stats *stats)
{
	struct tls_visit *v = arg;

	visit_log_end(&v->id, v->shared, v->tunnel, stats);
	tls_visit_free(v);
}

static void
tls_visit_stop(struct adit_activity *a, int why)
{
	struct tls_visit *v = adit_container_of(a, struct tls_visit, activity);

	if (!why)
		return;
	if (v->pump)
		adit_pump_stop(v->pump, why);
	else
		tls_visit_refuse(v, why);
}

static void
tls_visit_unanswered(void *arg)
{
	struct tls_visit *v = arg;

	if (!v->pump)
		tls_visit_refuse(v, -ETIMEDOUT);
	else if (!adit_pump_stats(v->pump)->bytes[1])
		adit_pump_stop(v->pump, -ETIMEDOUT);
}

static void
tls_visit_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct tls_visit *v = owner;
	const struct adit_pump_opts opts = {
		.size = sizeof(opts), .half_closed = ADIT_SECONDS(60),
	};

	(void)events;
	if (adit_conn_err(far)) {
		tls_visit_refuse(v, adit_conn_err(far));
		return;
	}
	v->pump = adit_pump(v->visitor, far, &opts, tls_visit_done, v);
	if (!v->pump)
		tls_visit_free(v);
}

/* A visitor that goes while the far side is being opened is noticed by the pump. */
static void
tls_visitor_event(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

void
visit_tls(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start)
{
	struct adit_worker *w = adit_conn_worker(c);
	struct tls_visit *v = calloc(1, sizeof(*v));
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_open req = {
		.network = ADIT_TCP, .from = *adit_conn_remote(c), .host = start->host, .port = 443,
		.session = start->choice.session,
	};

	if (!v) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	v->shared = entry_shared_get(s);
	v->visitor = c;
	visit_id_init(&v->id, c, start->host);
	v->activity.stop = tls_visit_stop;
	adit_activity_begin(&v->activity, s->conf.component, w);
	adit_conn_own(c, tls_visitor_event, v);
	if (entry_route(s, w, start->host, v->tunnel) == 0) {
		req.tunnel = v->tunnel;
		v->far = adit_tunnel_open(w, &req, NULL, &e);
	} else {
		e.code = ADIT_ENOROUTE;
	}
	v->answer = adit_timer_new(w, tls_visit_unanswered, v);
	if (!v->far || !v->answer) {
		tls_visit_refuse(v, e.code ? e.code : -ENOMEM);
		return;
	}
	if (s->conf.read_timeout)
		adit_timer_set(v->answer, s->conf.read_timeout);
	adit_conn_own(v->far, tls_visit_event, v);
	adit_conn_want(v->far, ADIT_OPEN);
}
