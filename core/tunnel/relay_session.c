#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/tunnel.h>

#include "core/conn/ending.h"
#include "core/conn/framed.h"
#include "core/mux/liveness.h"
#include "core/tunnel/relay_conn.h"
#include "core/tunnel/relay_session.h"

struct relay_session {
	struct bound		 bound;
	struct adit_mux		*mux;		/* owned */
	struct liveness		*liveness;
	unsigned		 version;	/* of smux */
};

/*
 * The head of a visitor's stream, as a client can rely on: a numeric source, always two addresses.
 */
static void
session_head(const struct adit_open *req, struct relay_msg *m)
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

/*
 * Whether the client can be asked: a gost that speaks smux 1 answers nothing but for the target,
 * and a session that we do not read is not heard.
 */
static bool
session_answers(const struct relay_session *s)
{
	return (s->version > 1 || smux_peer_is_adit(s->mux)) && !smux_is_paused(s->mux);
}

static struct adit_conn *
session_open(void *arg, const struct adit_open *req, struct adit_err *e)
{
	struct relay_session *s = arg;
	bool ask = session_answers(s) && bound_is_silent(&s->bound, LIVENESS_FRESH);
	struct adit_conn *c = adit_mux_open(s->mux, 0, e);
	struct relay_msg m;
	int err;

	if (!c)
		return NULL;
	session_head(req, &m);
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
	if (req->network == ADIT_UDP)
		c = framed_conn(c);
	if (!c) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	/* The only question that a gost answers, so each counts. */
	if (s->version > 1 && !smux_peer_is_adit(s->mux))
		smux_asked(s->mux);
	return ask ? bound_ask(&s->bound, c, e) : c;
}

static void
session_end(struct relay_session *s, const struct adit_reason *why)
{
	struct ending end = ending_of_mux(s->bound.activity.component, s->mux);

	bound_end(&s->bound, &end, why);
	liveness_stop(s->liveness);
	adit_mux_close(s->mux, why);
	free(s);
}

static void
session_doubt(void *arg)
{
	struct relay_session *s = arg;

	bound_doubt(&s->bound);
}

static void
session_dead(void *arg)
{
	struct relay_session *s = arg;
	const struct adit_reason why = { .err = ADIT_EPEERDEAD, .text = "does not answer" };

	session_end(s, &why);
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
	if (smux_peer_drains(m) && s->bound.number)
		bound_drain(&s->bound);
	if (why->err)
		session_end(s, why);
}

static void
session_stop(struct adit_activity *a, int why)
{
	struct relay_session *s = adit_container_of(a, struct relay_session, bound.activity);

	if (!why && smux_peer_is_adit(s->mux) && bound_stays(&s->bound)) {
		smux_say_drain(s->mux);
		return;
	}
	if (s->bound.number)
		bound_drain(&s->bound);
	adit_mux_drain(s->mux);
	if (why || !adit_mux_streams(s->mux))
		session_end(s, &(struct adit_reason){ .err = why });
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

int
relay_session_start(struct adit_conn *lower, const struct relay_session_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(lower);
	struct relay_session *s = calloc(1, sizeof(*s));
	struct adit_addr remote = *adit_conn_remote(lower);
	int err;

	if (!s) {
		permit_end(conf->bound.permit);
		return session_refuse(NULL, lower, -ENOMEM);
	}
	s->version = conf->smux.version;
	err = bound_join(&s->bound, w, &conf->bound, session_open, s);
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
		bound_leave(&s->bound);
		return session_refuse(s, NULL, err ? err : -ENOMEM);
	}
	adit_mux_set_remote(s->mux, &remote);
	s->liveness = liveness_start(s->mux, &(struct liveness_watch){
		.doubt = session_doubt, .dead = session_dead, .arg = s,
		.rest_after = LIVENESS_USED, .rest = LIVENESS_REST,
	});
	bound_follow(&s->bound, s->mux);
	bound_begin(&s->bound, &conf->bound, session_stop);
	adit_mux_own(s->mux, session_event, s);
	adit_mux_want(s->mux, ADIT_OPEN | ADIT_READ);
	return 0;
}
