#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/pump.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/conn/opening.h"
#include "core/conn/tally.h"
#include "core/tunnel/visit.h"
#include "core/wire/clienthello.h"

struct tls_visit {
	struct adit_activity	 activity;
	struct entry_shared	*shared;
	struct adit_conn	*visitor, *far;	/* owned until the pump has them */
	struct adit_pump	*pump;
	struct adit_timer	*answer;	/* for the first byte of the far side */
	struct visit_id		 id;
	size_t			 early;		/* bytes that far got before it was open */
	char			 tunnel[37];
};

static void
visit_id_init(struct visit_id *id, const struct adit_conn *c, const char *host)
{
	id->conn = adit_conn_id(c);
	id->worker = adit_conn_worker(c);
	id->born = adit_now() - adit_conn_age(c);
	id->remote = *adit_conn_remote(c);
	snprintf(id->host, sizeof(id->host), "%s", host);
}

/* But for how it ended. */
static struct ending
visit_ending(const struct visit_id *id, const struct entry_shared *s)
{
	return (struct ending){
		.component = s->conf.component, .kind = "entrypoint", .id = id->conn,
		.worker = id->worker, .remote = &id->remote, .host = *id->host ? id->host : NULL,
		.duration = adit_now() - id->born,
	};
}

static void
tls_visit_log_end(const struct tls_visit *v, const struct adit_pump_stats *st)
{
	struct ending end = visit_ending(&v->id, v->shared);
	char remote[ADIT_ADDR_TEXT];

	end.tunnel = v->tunnel;
	end.traffic = (struct adit_traffic){ v->early + st->bytes[0], st->bytes[1] };
	end.by = ending_side(st->side, "visitor", "client");
	end.how = st->how;
	ending_log(&end, ADIT_LOG_INFO, "%s >< %s", adit_addr_format(&v->id.remote, remote),
		   v->id.host);
}

/* The same where nothing was joined: the alert is all that the visitor got. */
static void
tls_visit_log_refusal(const struct tls_visit *v, int why)
{
	struct ending end = ending_of(v->shared->conf.component, v->visitor);

	end.kind = "entrypoint";
	end.host = v->id.host;
	end.tunnel = *v->tunnel ? v->tunnel : NULL;
	end.how = "refused";
	ending_log(&end, ADIT_LOG_WARN, "%s: %s", v->id.host, adit_strerror(why));
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

	clienthello_alert(TLS_ALERT_INTERNAL_ERROR, alert);
	conn_write_now(v->visitor, alert, sizeof(alert));
	tally_refusal(adit_conn_worker(v->visitor), v->shared->tally, why);
	tls_visit_log_refusal(v, why);
	adit_conn_close(v->visitor, 0);
	adit_conn_close(v->far, why);
	tls_visit_free(v);
}

static void
tls_visit_done(void *arg, const struct adit_pump_stats *stats)
{
	struct tls_visit *v = arg;

	tls_visit_log_end(v, stats);
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
	v->pump = adit_pump(v->visitor, opening_unwrap(far), &opts, tls_visit_done, v);
	if (!v->pump)
		tls_visit_free(v);
}

/*
 * A ClientHello means nothing until it is answered, so it may go before the far side is open; what
 * follows it (RFC 8446, 4.2.10: early data) may not.
 */
static int
tls_visit_send_hello(struct tls_visit *v)
{
	size_t room;
	uint8_t *scratch = adit_worker_scratch(adit_conn_worker(v->visitor), &room);
	ssize_t n = adit_conn_read(v->visitor, scratch, room), took = 0;
	struct clienthello hello;

	if (n <= 0)
		return n == -EAGAIN ? 0 : (int)n;
	clienthello_parse(scratch, (size_t)n, &hello);
	if (hello.len)
		took = adit_conn_write(v->far, scratch, hello.len);
	if (took > 0)
		v->early = (size_t)took;
	return adit_conn_unread(v->visitor, scratch + v->early, (size_t)n - v->early);
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
		.session = start->choice.session, .early = true,
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
	if (!entry_allows(s, start->host, 443))
		e.code = ADIT_EFORBIDDEN;
	else if (*start->tunnel)	/* found just now, where he came from */
		strcpy(v->tunnel, start->tunnel);
	else
		e.code = entry_route(s, w, start->host, v->tunnel);
	if (e.code == -EAGAIN)
		e.code = ADIT_ENORULES;
	if (!e.code) {
		req.tunnel = v->tunnel;
		v->far = adit_tunnel_open(w, &req, NULL, &e);
	}
	v->answer = adit_timer_new(w, tls_visit_unanswered, v);
	if (v->far && v->answer && conn_is_early(v->far))
		e.code = tls_visit_send_hello(v);
	if (!v->far || !v->answer || e.code) {
		tls_visit_refuse(v, e.code ? e.code : -ENOMEM);
		return;
	}
	if (s->conf.read_timeout)
		adit_timer_set(v->answer, s->conf.read_timeout);
	adit_conn_own(v->far, tls_visit_event, v);
	adit_conn_want(v->far, ADIT_OPEN);
}
