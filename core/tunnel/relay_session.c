#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/tunnel.h>

#include "core/mux/liveness.h"
#include "core/tunnel/kept.h"
#include "core/tunnel/relay_conn.h"
#include "core/tunnel/relay_session.h"

/* Between two looks for idle streams of a client that drains. */
#define DRAIN_NS ADIT_MS(100)

struct relay_session {
	struct adit_activity	 activity;
	struct adit_mux		*mux;		/* owned */
	struct liveness		*liveness;
	struct adit_timer	*drain;		/* runs once the client drains */
	uint64_t		 number;	/* in the tunnel table; 0: has left */
	uint64_t		 key;		/* the number it had */
	uint64_t		 began;
	char			 tunnel[37], connector[37];
};

void
relay_stream_message(const struct adit_open *req, struct relay_msg *m)
{
	struct sockaddr_storage ss;

	*m = (struct relay_msg){ .code = RELAY_OK, .n_addr = 2 };
	if (!adit_addr_to(&req->from, &ss) ||
	    wire_addr_from_sockaddr((struct sockaddr *)&ss, &m->addr[0]) < 0)
		m->addr[0] = (struct wire_addr){ .type = WIRE_ADDR_IPV4 };
	if (!req->host || !*req->host ||
	    wire_addr_parse(req->host, strlen(req->host), &m->addr[1]) < 0)
		m->addr[1] = (struct wire_addr){ .type = WIRE_ADDR_NAME };
	m->addr[1].port = req->port;
}

static struct adit_conn *
session_open(void *arg, const struct adit_open *req, struct adit_err *e)
{
	struct relay_session *s = arg;
	struct adit_conn *c = adit_mux_open(s->mux, 0, e);
	struct relay_msg m;
	int err;

	if (!c)
		return NULL;
	relay_stream_message(req, &m);
	err = relay_send(c, &m);
	if (err < 0) {
		/*
		 * A stream without a head makes a gost drop its session: nothing of it was sent
		 * yet.
		 */
		adit_conn_close(c, err);
		adit_err_set(e, err, "stream head: %s", adit_strerror(err));
		return NULL;
	}
	return c;
}

static void
session_end(struct relay_session *s, const struct adit_reason *why, const char *how)
{
	char peer[ADIT_ADDR_TEXT];

	adit_log(adit_component_log(s->activity.component), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", "handler"), ADIT_STR("handler", "tunnel"),
			     ADIT_STR("service", adit_component_name(s->activity.component)),
			     ADIT_STR("remote", adit_addr_format(adit_mux_remote(s->mux), peer)),
			     ADIT_STR("tunnel", s->tunnel), ADIT_STR("connector", s->connector),
			     ADIT_DURATION("duration", adit_now() - s->began)),
		 "connector %s: %s%s%s", s->connector, how, why->text ? ": " : "",
		 why->text ? why->text : "");
	adit_tunnel_leave(adit_mux_worker(s->mux), s->number);
	liveness_stop(s->liveness);
	adit_timer_free(s->drain);
	adit_mux_close(s->mux, why);
	adit_activity_end(&s->activity);
	free(s);
}

/*
 * No new visitors, and the streams that only wait for some are let go: again and again, as requests
 * end.
 */
static void
session_drain(void *arg)
{
	struct relay_session *s = arg;
	struct adit_worker *w = adit_mux_worker(s->mux);

	adit_tunnel_leave(w, s->number);
	s->number = 0;
	kept_drop_session(w, s->key);
	if (!s->drain)
		s->drain = adit_timer_new(w, session_drain, s);
	if (s->drain)
		adit_timer_set(s->drain, DRAIN_NS);
}

static void
session_dead(void *arg)
{
	struct relay_session *s = arg;
	const struct adit_reason why = { .err = ADIT_EPEERDEAD, .text = "does not answer" };

	session_end(s, &why, adit_strerror(why.err));
}

static void
session_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct relay_session *s = owner;
	const struct adit_reason *why = adit_mux_reason(m);
	struct adit_conn *c;

	if (events & ADIT_OPEN) {
		adit_mux_want(m, ADIT_READ);
		/* An adit answers, and half-close is possible; a gost ignores it. */
		adit_mux_probe(m);
	}
	/* Only we open. What a client opens is closed at once, as a gost does. */
	while ((c = adit_mux_accept(m)))
		adit_conn_close(c, 0);
	if (smux_peer_drains(m) && s->number)
		session_drain(s);
	if (why->err)
		session_end(s, why, why->err == -ECONNRESET ? "EOF" : adit_strerror(why->err));
}

static void
session_stop(struct adit_activity *a, int why)
{
	struct relay_session *s = adit_container_of(a, struct relay_session, activity);

	if (s->number)
		session_drain(s);
	adit_mux_drain(s->mux);
	if (why || !adit_mux_streams(s->mux))
		session_end(s, &(struct adit_reason){ .err = why }, adit_strerror(ADIT_ESTOPPED));
}

/* Nobody was told of the session yet: the client gets a status in place of the answer. */
static int
session_refuse(struct relay_session *s, struct adit_conn *lower, int err)
{
	const struct relay_msg refusal = { .code = (uint8_t)relay_error_status(err) };

	if (lower) {
		relay_send(lower, &refusal);
		adit_conn_close(lower, 0);
	}
	free(s);
	return err;
}

static int
session_join(struct relay_session *s, struct adit_worker *w, const struct relay_session_conf *conf)
{
	s->number = adit_tunnel_join(w, &(struct adit_member){
		.tunnel = s->tunnel,
		.network = conf->network,
		.weight = conf->weight,
		.visitor_address = conf->visitor_address,
		.open = session_open,
		.session = s,
	});
	s->key = s->number;
	return s->number ? 0 : ADIT_ELIMIT;
}

int
relay_session_start(struct adit_conn *lower, const struct relay_session_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct relay_session *s = calloc(1, sizeof(*s));
	struct adit_addr remote = *adit_conn_remote(lower);
	int err;

	if (!s)
		return session_refuse(NULL, lower, -ENOMEM);
	s->began = adit_now();
	adit_uuid_format(&conf->tunnel, s->tunnel);
	adit_uuid_format(&conf->connector, s->connector);
	err = session_join(s, w, conf);
	if (err)
		return session_refuse(s, lower, err);
	/*
	 * Who has the answer may count on being found, from any worker. No stream comes before it:
	 * streams are opened on this worker, and by nobody before we return.
	 */
	err = conf->answer ? relay_send(lower, conf->answer) : 0;
	if (!err)
		s->mux = smux_new(lower, &conf->smux);
	else
		adit_conn_close(lower, err);
	if (!s->mux) {
		adit_tunnel_leave(w, s->number);
		return session_refuse(s, NULL, err ? err : -ENOMEM);
	}
	adit_mux_set_remote(s->mux, &remote);
	s->liveness = liveness_start(s->mux, smux_peer_is_adit, session_dead, s);
	s->activity.stop = session_stop;
	adit_activity_begin(&s->activity, conf->component, w);
	adit_mux_own(s->mux, session_event, s);
	adit_mux_want(s->mux, ADIT_OPEN | ADIT_READ);
	return 0;
}
