#include "core/tunnel/native_session.h"

#include <errno.h>
#include <stdlib.h>

#include <adit/mux.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/mux/liveness.h"
#include "core/tunnel/native_control.h"

/* For a client to reach the target and say so: an HTTP visitor's own limit is shorter, mostly. */
#define ANSWER_MS 30000

/* One that was silent for longer shows that it is there, or another client is asked. */
#define ASK_NS ADIT_MS(100)

struct native_session {
	struct bound		 bound;
	struct native_control	 control;
	struct native_group	 visitors;
	uint64_t		 bind;
};

/* ---- visitors ----------------------------------------------------------------------- */

static int
session_open_message(const struct native_session *s, const struct adit_open *req,
		     const struct adit_conn *flow, struct native_msg *m)
{
	*m = (struct native_msg){
		.type = NATIVE_OPEN, .bind = s->bind, .has = 1u << NATIVE_F_BIND,
	};
	if (flow)
		native_set_flow(m, flow);
	return native_set_visitor(m, &req->from, req->host, req->port) ? 0 : -EINVAL;
}

static struct adit_conn *
session_open_stream(struct adit_mux *mux, const struct adit_open *req, struct adit_conn **flow,
		    struct adit_err *e)
{
	*flow = NULL;
	if (req->network == ADIT_UDP) {
		*flow = adit_mux_open(mux, ADIT_CONN_DGRAM, e);
		if (!*flow)
			return NULL;
	}
	return adit_mux_open(mux, 0, e);
}

static struct adit_conn *
session_open(void *arg, const struct adit_open *req, struct adit_err *e)
{
	struct native_session *s = arg;
	struct adit_mux *mux = adit_conn_mux(s->control.stream);
	struct adit_conn *flow = NULL, *stream, *c;
	struct native_msg m;

	if (!mux) {
		adit_err_set(e, ADIT_ENOTUNNEL, "the client's session has ended");
		return NULL;
	}
	stream = session_open_stream(mux, req, &flow, e);
	if (!stream || session_open_message(s, req, flow, &m) < 0) {
		if (stream)
			adit_err_set(e, -EINVAL, "a host name of more than 255 bytes");
		adit_conn_close(stream, -EINVAL);
		adit_conn_close(flow, -EINVAL);
		return NULL;
	}
	c = native_ask(stream, flow, &m, ANSWER_MS);
	if (!c) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	native_conn_join(c, &s->visitors);
	if (adit_component_slow(s->bound.activity.component, c) < 0)
		adit_conn_fail(c, -ENOMEM);
	if (req->early && !flow && !bound_is_silent(&s->bound, LIVENESS_FRESH))
		conn_set_early(c);
	/* The answer may take as long as the target; that the client is there shows sooner. */
	return bound_is_silent(&s->bound, ASK_NS) ? bound_ask(&s->bound, c, e) : c;
}

/* ---- its life ----------------------------------------------------------------------- */

static void
session_end(struct native_session *s, const struct adit_reason *why)
{
	struct ending end = ending_of(s->bound.activity.component, s->control.stream);
	const struct adit_traffic visitors = native_group_traffic(&s->visitors);

	end.id = 0;		/* the line is about the bind, not its stream */
	end.traffic.in += visitors.in;
	end.traffic.out += visitors.out;
	bound_end(&s->bound, &end, why);
	native_group_fail(&s->visitors, why->err ? why->err : ADIT_ESTOPPED);
	native_control_close(&s->control, why->err);
	free(s);
}

/* A client that said that it goes has gone, whichever of its stream and session went first. */
static void
session_ended(void *arg, const struct adit_reason *why)
{
	static const struct adit_reason gone = { .err = -ESHUTDOWN, .text = "closed by the peer" };
	struct native_session *s = arg;
	bool polite = why->err == -ESHUTDOWN || why->err == ADIT_EDRAINING ||
		      (why->err == -ECONNRESET && s->control.peer_drains);

	session_end(s, polite ? &gone : why);
}

static void
session_message(void *arg, const struct native_msg *m)
{
	struct native_session *s = arg;

	if (m->type == NATIVE_DRAIN && s->bound.number)
		bound_drain(&s->bound);
}

/*
 * The client is told; what is open goes on, and with the last visitor the bind ends, but not before
 * the client had a chance to come to who replaces us. It does not have to wait for the client's
 * word: only we open streams.
 */
static void
session_stop(struct adit_activity *a, int why)
{
	struct native_session *s = adit_container_of(a, struct native_session, bound.activity);

	native_control_drain(&s->control);
	if (!why && bound_stays(&s->bound))
		return;
	if (s->bound.number)
		bound_drain(&s->bound);
	if (why || !s->visitors.n)
		session_end(s, &(struct adit_reason){ .err = why });
}

int
native_session_start(struct adit_conn *stream, const struct native_session_conf *conf)
{
	struct native_session *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		permit_end(conf->bound.permit);
	else
		err = bound_join(&s->bound, adit_conn_worker(stream), &conf->bound,
				 session_open, s);
	if (err < 0) {
		native_refuse(stream, err, NULL);
		free(s);
		return err;
	}
	native_group_init(&s->visitors);
	s->bind = conf->bind;
	s->control.message = session_message;
	s->control.ended = session_ended;
	s->control.arg = s;
	/* Who has the answer can be reached; nobody opens a stream before we return. */
	err = native_send(stream, conf->answer);
	if (err < 0) {
		bound_leave(&s->bound);
		adit_conn_close(stream, err);
		free(s);
		return err;
	}
	native_control_start(&s->control, stream);
	if (adit_conn_mux(stream))
		bound_follow(&s->bound, adit_conn_mux(stream));
	bound_begin(&s->bound, &conf->bound, session_stop);
	return 0;
}
