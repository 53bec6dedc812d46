#include "core/proxy/bind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/conn/ending.h"
#include "core/conn/port.h"
#include "core/mux/liveness.h"
#include "core/mux/smux.h"
#include "core/proxy/errand.h"

#define ONE_MS 120000	/* for the one connection to come */

int
bind_address(const struct wire_addr *asked, struct adit_addr *at)
{
	struct sockaddr_storage ss;
	int n;

	*at = (struct adit_addr){ .port = asked->port };
	if (wire_addr_is_any(asked))
		return 0;
	n = wire_addr_to_sockaddr(asked, &ss);
	if (n < 0)
		return -EINVAL;
	*at = adit_addr_from((struct sockaddr *)&ss, (socklen_t)n);
	return 0;
}

static void
bind_log(struct adit_conn *c, const struct adit_addr *at)
{
	char text[ADIT_ADDR_TEXT];

	adit_conn_log(c, ADIT_LOG_INFO, "bind: listening on %s", adit_addr_format(at, text));
}

/* Tells the client of a port that was opened, or not: port is NULL then, and e filled. */
static int
bind_tell(struct adit_conn *c, const struct bind_conf *conf, const struct port *port,
	  struct adit_err *e)
{
	int err = port ? conf->listening(c, port_addr(port)) : e->code;

	return port && err ? adit_err_set(e, err, "answer: %s", adit_strerror(err)) : err;
}

/* ---- one --------------------------------------------------------------------------------- */

struct one {
	struct adit_activity	 activity;
	struct bind_conf	 conf;
	struct adit_conn	*conn;		/* owned */
	struct port		*port;		/* owned */
};

static void
one_end(struct one *o, int err)
{
	struct ending end = ending_of(o->activity.component, o->conn);

	end.kind = "handler";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_WARN, "bind: nobody came: %s", adit_strerror(err));
	port_close(o->port);
	adit_conn_close(o->conn, err == -ESHUTDOWN || err == -ETIMEDOUT ? 0 : err);
	adit_activity_end(&o->activity);
	free(o);
}

static void
one_stop(struct adit_activity *a, int why)
{
	one_end(adit_container_of(a, struct one, activity), why ? why : ADIT_EDRAINING);
}

/* What the client says before anybody is there waits for him. */
static void
one_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct one *o = owner;
	char byte;
	ssize_t n = adit_conn_read(c, &byte, 1);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n > 0)
		n = adit_conn_unread(c, &byte, 1);
	else
		n = n ? n : -ESHUTDOWN;
	if (n < 0)
		one_end(o, (int)n);
	else
		adit_conn_want(c, 0);
}

/* His port is not looked at: clients cannot know it. */
static bool
one_expects(const struct one *o, const struct adit_addr *peer)
{
	struct adit_addr expected = o->conf.expected;

	expected.port = peer->port;
	return !expected.family || adit_addr_equal(&expected, peer);
}

static void
one_accepted(void *arg, struct adit_conn *far)
{
	struct one *o = arg;
	struct adit_conn *near = o->conn;
	int err;

	if (!one_expects(o, adit_conn_remote(far))) {
		adit_conn_close(far, ADIT_EFORBIDDEN);
		return;
	}
	err = o->conf.arrived(near, adit_conn_remote(far));
	if (err) {
		adit_conn_close(far, err);
		one_end(o, err);
		return;
	}
	port_close(o->port);
	adit_conn_deadline(near, 0);
	adit_conn_own(near, NULL, NULL);
	adit_conn_want(near, 0);
	errand_join(o->activity.component, near, far, NULL);
	adit_activity_end(&o->activity);
	free(o);
}

int
bind_one(struct adit_conn *c, const struct bind_conf *conf, struct adit_err *e)
{
	struct adit_worker *w = adit_conn_worker(c);
	struct one *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return adit_err_set(e, -ENOMEM, "out of memory");
	o->conf = *conf;
	o->conn = c;
	o->port = port_open(w, &(struct port_conf){
		.at = conf->at, .accepted = one_accepted, .arg = o,
	}, e);
	err = bind_tell(c, conf, o->port, e);
	if (err) {
		port_close(o->port);
		free(o);
		return err;
	}
	bind_log(c, port_addr(o->port));
	o->activity.stop = one_stop;
	adit_activity_begin(&o->activity, conf->handler->component, w);
	adit_conn_own(c, one_event, o);
	adit_conn_want(c, ADIT_READ);
	adit_conn_deadline(c, ONE_MS);
	return 0;
}

/* ---- a session ----------------------------------------------------------------------------- */

struct session {
	struct adit_activity	 activity;
	struct bind_conf	 conf;
	struct adit_mux		*mux;		/* owned, as is: */
	struct port		*port;		/* NULL: nobody is let in any more */
	struct liveness		*liveness;
};

static void
session_end(struct session *s, const struct adit_reason *why)
{
	struct ending end = ending_of_mux(s->activity.component, s->mux);
	char text[ENDING_REASON];

	end.kind = "handler";
	end.by = ending_by(why->err, "peer");
	end.how = ending_how(why->err);
	ending_log(&end, ADIT_LOG_INFO, "bind: %s", ending_reason(why->err, why->text, text));
	port_close(s->port);
	liveness_stop(s->liveness);
	adit_mux_close(s->mux, why);
	adit_activity_end(&s->activity);
	free(s);
}

static void
session_dead(void *arg)
{
	const struct adit_reason why = { .err = ADIT_EPEERDEAD, .text = "does not answer" };

	session_end(arg, &why);
}

static void
session_stop(struct adit_activity *a, int why)
{
	struct session *s = adit_container_of(a, struct session, activity);

	port_close(s->port);
	s->port = NULL;
	adit_mux_drain(s->mux);
	if (why || !adit_mux_streams(s->mux))
		session_end(s, &(struct adit_reason){ .err = why ? why : ADIT_EDRAINING });
}

/* We alone open: what the client opens is closed at once, as a gost does. */
static void
session_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct session *s = owner;
	struct adit_conn *c;

	if (events & ADIT_OPEN) {
		adit_mux_want(m, ADIT_READ);
		adit_mux_probe(m);	/* an adit answers, and half-close is possible */
	}
	while ((c = adit_mux_accept(m)))
		adit_conn_close(c, 0);
	if (adit_mux_err(m))
		session_end(s, adit_mux_reason(m));
}

static void
session_accepted(void *arg, struct adit_conn *near)
{
	struct session *s = arg;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *stream = adit_mux_open(s->mux, 0, &e);
	int err = stream ? s->conf.arrived(stream, adit_conn_remote(near)) : e.code;

	if (err) {
		adit_conn_close(stream, err);
		adit_conn_close(near, err);
		return;
	}
	adit_conn_set_component(near, s->activity.component);
	errand_join(s->activity.component, near, stream, NULL);
}

static void
session_begin(struct session *s)
{
	struct adit_worker *w = adit_mux_worker(s->mux);

	s->liveness = liveness_start(s->mux, &(struct liveness_watch){
		.dead = session_dead, .arg = s,
		.rest_after = LIVENESS_USED, .rest = LIVENESS_REST,
	});
	s->activity.stop = session_stop;
	adit_activity_begin(&s->activity, s->conf.handler->component, w);
	adit_mux_own(s->mux, session_event, s);
	adit_mux_want(s->mux, ADIT_OPEN | ADIT_READ);
}

int
bind_session(struct adit_conn *c, const struct bind_conf *conf, struct adit_err *e)
{
	struct smux_conf smux = smux_conf_default(true, 1);
	struct session *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return adit_err_set(e, -ENOMEM, "out of memory");
	s->conf = *conf;
	s->port = port_open(adit_conn_worker(c), &(struct port_conf){
		.at = conf->at, .accepted = session_accepted, .arg = s,
	}, e);
	err = bind_tell(c, conf, s->port, e);
	if (err) {
		port_close(s->port);
		free(s);
		return err;
	}
	bind_log(c, port_addr(s->port));
	smux.half_close = true;
	s->mux = smux_new(c, &smux);
	if (!s->mux) {		/* c is closed, and the answer says nothing any more */
		port_close(s->port);
		free(s);
		return 0;
	}
	session_begin(s);
	return 0;
}
