/*
 * Opening a conn in a tunnel: chooses a session, opens there, and on failure chooses anew. What its
 * owner gets at once is the session's own conn where that is of this worker and open; else one that
 * opens later (core/conn/opening.h). A session of another worker is asked by message; it answers
 * with one end of a pair when its conn is open. An exchange crosses such a pair as HTTP/1.1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/pump.h>

#include "core/conn/framed.h"
#include "core/conn/opening.h"
#include "core/http/carried.h"
#include "core/runtime/memory.h"
#include "core/tunnel/table.h"

#define PAIR_CAP 262144u		/* bytes in flight each way between two workers */
#define CROSSING_MAX 65536u		/* opens under way from one worker to others */

/*
 * One open that is not answered yet. It travels to the session's worker and back as a message;
 * while it is away only the fields marked so are touched there.
 */
struct tunnel_open {
	struct adit_message	 message;
	struct adit_message	 cancel;	/* goes after it when the owner has gone */
	unsigned		 away;		/* messages that are not back */
	void			(*answered)(struct tunnel_open *o);	/* by end, or err */
	struct tunnel_worker	*part;		/* of the asking worker */
	struct adit_conn	*conn;		/* what the owner has; NULL once closed */
	struct adit_conn	*lower;		/* a session's of this worker, opening */
	struct tunnel_tried	 tried;
	struct adit_choice	*served;	/* the owner's, while it has conn; may be NULL */

	struct adit_open	 req;		/* away: read */
	struct adit_choice	 choice;	/* away: read */
	struct adit_conn	*far;		/* away: the session's conn, opening */
	struct adit_conn	*end;		/* away: our end of the pair, for the way back */
	struct adit_addr	 local, remote;	/* away: of far */
	unsigned		 flags;		/* away: of far */
	int			 err;		/* away: why not */
	char			 text[];	/* req's strings */
};

/* What the far side said about the target or the visitor would be said by another session too. */
static bool
may_try_another(int err)
{
	switch (err) {
	case ADIT_ETARGET:
	case ADIT_EREFUSED:
	case ADIT_EUNAUTH:
	case ADIT_EFORBIDDEN:
	case ADIT_ENOROUTE:
	case -ENOTSUP:
	case -ECANCELED:
		return false;
	default:
		return true;
	}
}

/* Opens at a session of this worker. NULL with e filled. */
static struct adit_conn *
session_open(const struct tunnel_worker *part, uint64_t number, const struct adit_open *req,
	     struct adit_err *e)
{
	struct tunnel_session *s = tunnels_session(part, number);
	struct adit_conn *c;

	if (!s) {
		adit_err_set(e, ADIT_ENOTUNNEL, "the session has just left the tunnel");
		return NULL;
	}
	c = s->open(s->session, req, e);
	if (!c && !e->code)
		adit_err_set(e, ADIT_ENOTUNNEL, "the session does not open");
	return c;
}

/* ---- on the session's worker --------------------------------------------------------------- */

static void
open_is_back(struct adit_message *m, struct adit_worker *w)
{
	struct tunnel_open *o = adit_container_of(m, struct tunnel_open, message);

	(void)w;
	o->away--;
	o->part->crossing--;
	o->answered(o);
}

static void
open_return(struct tunnel_open *o)
{
	o->message.run = open_is_back;
	adit_worker_post(o->part->worker, &o->message);
}

static void
open_refuse(struct tunnel_open *o, int err)
{
	if (o->far)
		adit_conn_close(o->far, err);
	o->far = NULL;
	o->err = err;
	open_return(o);
}

static void
bridge_ended(void *arg, const struct adit_pump_stats *stats)
{
	(void)arg;
	(void)stats;
}

/* Joins the two, which are taken: where that cannot be, the other end of near's pair fails. */
static void
bridge(struct adit_conn *near, struct adit_conn *far)
{
	if (adit_conn_flags(far) & ADIT_CONN_EXCHANGE) {
		http_carry(near, adit_exchange_of(far));
		return;
	}
	adit_conn_want(far, 0);
	adit_pump(near, far, NULL, bridge_ended, NULL);
}

/* far is open: what it carries crosses in a pair. */
static void
open_bridge(struct tunnel_open *o)
{
	struct adit_conn *far = o->far, *near;

	if (adit_conn_pair(adit_conn_worker(far), o->part->worker, PAIR_CAP, &near, &o->end) < 0) {
		o->end = NULL;
		open_refuse(o, -ENOMEM);
		return;
	}
	o->flags = adit_conn_flags(far) & (ADIT_CONN_SECURE | ADIT_CONN_DGRAM);
	if (o->flags & ADIT_CONN_DGRAM)
		near = framed_conn(near);
	if (!near) {
		open_refuse(o, -ENOMEM);
		return;
	}
	o->far = NULL;
	o->err = 0;
	o->local = *adit_conn_local(far);
	o->remote = *adit_conn_remote(far);
	bridge(near, far);
	open_return(o);
}

static void
open_far_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct tunnel_open *o = owner;

	(void)events;
	if (adit_conn_is_open(c))
		open_bridge(o);
	else
		open_refuse(o, adit_conn_err(c));
}

static void
open_arrive(struct adit_message *m, struct adit_worker *w)
{
	struct tunnel_open *o = adit_container_of(m, struct tunnel_open, message);
	struct tunnel_worker *part = tunnels_of(w);
	struct adit_err e = ADIT_ERR_INIT;

	o->far = session_open(part, o->choice.session, &o->req, &e);
	if (!o->far) {
		open_refuse(o, e.code);
	} else if (adit_conn_is_open(o->far)) {
		open_bridge(o);
	} else {
		adit_conn_own(o->far, open_far_event, o);
		adit_conn_want(o->far, ADIT_OPEN);
	}
}

/* Goes after the message: whatever that has come to there, it is on its way back now. */
static void
open_cancelled(struct adit_message *m, struct adit_worker *w)
{
	struct tunnel_open *o = adit_container_of(m, struct tunnel_open, cancel);

	if (w != o->part->worker) {
		if (o->far)
			open_refuse(o, -ECANCELED);
		adit_worker_post(o->part->worker, m);
		return;
	}
	if (--o->away == 0)
		free(o);
}

/* ---- on the asking worker ------------------------------------------------------------------- */

/* Its conn goes on alone, if it is still there. */
static void
open_free(struct tunnel_open *o)
{
	if (!o->away)
		free(o);
}

static void
open_fail(struct tunnel_open *o, int err)
{
	opening_fail(o->conn, err);
	open_free(o);
}

static void
open_succeed(struct tunnel_open *o, struct adit_conn *lower)
{
	if (o->served)
		*o->served = o->choice;
	opening_set(o->conn, lower);
	open_free(o);
}

/* All workers have ended: nobody else touches anything any more. */
static void
open_discarded(struct adit_message *m)
{
	struct tunnel_open *o = adit_container_of(m, struct tunnel_open, message);

	adit_conn_close(o->end, ADIT_ESTOPPED);
	o->away--;
	if (o->conn)
		open_fail(o, ADIT_ESTOPPED);
	else
		open_free(o);
}

static void
open_cancel_discarded(struct adit_message *m)
{
	struct tunnel_open *o = adit_container_of(m, struct tunnel_open, cancel);

	o->away--;
	open_free(o);
}

static void
open_cross(struct tunnel_open *o)
{
	o->part->crossing++;
	o->away++;
	o->end = NULL;
	o->message = (struct adit_message){ .run = open_arrive, .discard = open_discarded };
	adit_worker_post(adit_worker_at(o->part->worker, o->choice.worker), &o->message);
}

/* c is open, but an exchange, and o's owner wants a stream. */
static void
open_carried(struct tunnel_open *o, struct adit_conn *c)
{
	struct adit_worker *w = adit_conn_worker(c);
	struct adit_conn *near, *end;

	if (adit_conn_pair(w, w, PAIR_CAP, &near, &end) < 0) {
		adit_conn_close(c, -ENOMEM);
		open_fail(o, -ENOMEM);
		return;
	}
	adit_conn_set_local(end, adit_conn_local(c));
	adit_conn_set_remote(end, adit_conn_remote(c));
	bridge(near, c);
	open_succeed(o, end);
}

/* Of a session of this worker: open. */
static void
open_reached(struct tunnel_open *o, struct adit_conn *c)
{
	if (adit_conn_flags(c) & ADIT_CONN_EXCHANGE)
		open_carried(o, c);
	else
		open_succeed(o, c);
}

static void
open_lower_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct tunnel_open *o = owner;

	(void)events;
	o->lower = NULL;
	if (adit_conn_is_open(c)) {
		open_reached(o, c);
		return;
	}
	o->err = adit_conn_err(c);
	opening_try(o->conn, NULL);
	adit_conn_close(c, o->err);
	o->answered(o);
}

static void
open_watch(struct tunnel_open *o, struct adit_conn *c)
{
	if (adit_conn_is_open(c)) {
		open_reached(o, c);
		return;
	}
	o->lower = c;
	adit_conn_own(c, open_lower_event, o);
	adit_conn_want(c, ADIT_OPEN);
	if (!(adit_conn_flags(c) & ADIT_CONN_EXCHANGE))
		opening_try(o->conn, c);
}

/* Tries who is next, after a failure. */
static void
open_try(struct tunnel_open *o)
{
	struct tunnel_worker *part = o->part;

	while (tunnels_choose(part, &o->req, &o->tried, &o->choice)) {
		struct adit_err e = ADIT_ERR_INIT;
		struct adit_conn *c;

		if (o->choice.worker != adit_worker_index(part->worker)) {
			open_cross(o);
			return;
		}
		c = session_open(part, o->choice.session, &o->req, &e);
		if (c) {
			open_watch(o, c);
			return;
		}
		if (!may_try_another(e.code)) {
			open_fail(o, e.code);
			return;
		}
	}
	/* One that had no answer in time is told apart from nobody. */
	open_fail(o, o->err == -ETIMEDOUT ? o->err : ADIT_ENOTUNNEL);
}

static void
open_answered(struct tunnel_open *o)
{
	struct adit_conn *end = o->end;

	o->end = NULL;
	if (!o->conn) {
		adit_conn_close(end, -ECANCELED);
		open_free(o);
		return;
	}
	if (end && o->err) {	/* of a pair whose other end could not be used */
		adit_conn_close(end, o->err);
		end = NULL;
	}
	if (end) {
		adit_conn_set_local(end, &o->local);
		adit_conn_set_remote(end, &o->remote);
		adit_conn_add_flags(end, o->flags & ADIT_CONN_SECURE);
		if (o->flags & ADIT_CONN_DGRAM)
			end = framed_conn(end);
		if (end)
			open_succeed(o, end);
		else
			open_fail(o, -ENOMEM);
	} else if (may_try_another(o->err)) {
		open_try(o);
	} else {
		open_fail(o, o->err);
	}
}

/* The owner has closed the conn before it was open. */
static void
open_cancel(void *arg)
{
	struct tunnel_open *o = arg;

	o->conn = NULL;
	if (o->lower) {
		adit_conn_close(o->lower, -ECANCELED);
		free(o);
		return;
	}
	o->away++;
	o->cancel = (struct adit_message){
		.run = open_cancelled, .discard = open_cancel_discarded,
	};
	adit_worker_post(adit_worker_at(o->part->worker, o->choice.worker), &o->cancel);
}

static struct tunnel_open *
open_new(struct tunnel_worker *part, const struct adit_open *req)
{
	size_t tunnel = strlen(req->tunnel) + 1, host = req->host ? strlen(req->host) + 1 : 0;
	struct tunnel_open *o = calloc(1, sizeof(*o) + tunnel + host);

	if (!o)
		return NULL;
	o->conn = opening_new(part->worker, open_cancel, o);
	if (!o->conn) {
		free(o);
		return NULL;
	}
	if (req->early)
		opening_take_early(o->conn);
	o->part = part;
	o->answered = open_answered;
	o->req = *req;
	memcpy(o->text, req->tunnel, tunnel);
	o->req.tunnel = o->text;
	if (host) {
		memcpy(o->text + tunnel, req->host, host);
		o->req.host = o->text + tunnel;
	}
	return o;
}

/* An open from the call of its owner on, until it is done or has to wait. */
struct attempt {
	struct tunnel_worker	*part;
	const struct adit_open	*req;
	struct tunnel_tried	 tried;
	struct adit_choice	 choice;
	struct adit_choice	*served;
};

/*
 * The rest of an open that is not done at once: c is opening, or NULL and the choice is of another
 * worker.
 */
static struct adit_conn *
open_later(const struct attempt *a, struct adit_conn *c)
{
	struct tunnel_open *o = open_new(a->part, a->req);
	struct adit_conn *conn;

	if (!o) {
		adit_conn_close(c, -ENOMEM);
		return NULL;
	}
	conn = o->conn;
	o->tried = a->tried;
	o->choice = a->choice;
	o->served = a->served;
	if (c)
		open_watch(o, c);
	else
		open_cross(o);
	return conn;
}

/* *c is the answer: a conn, or NULL with e filled. False: another session may do better. */
static bool
open_first(const struct attempt *a, struct adit_conn **c, struct adit_err *e)
{
	*c = NULL;
	if (a->choice.worker == adit_worker_index(a->part->worker)) {
		*c = session_open(a->part, a->choice.session, a->req, e);
		if (!*c)
			return !may_try_another(e->code);
		if (adit_conn_flags(*c) & ADIT_CONN_EXCHANGE ? a->req->exchange
							     : adit_conn_is_open(*c))
			return true;
	} else if (a->part->crossing >= CROSSING_MAX) {
		adit_err_set(e, ADIT_ELIMIT, "too many visitors wait for another worker");
		return true;
	}
	*c = open_later(a, *c);
	if (!*c)
		adit_err_set(e, -ENOMEM, "out of memory");
	return true;
}

struct adit_conn *
adit_tunnel_open(struct adit_worker *w, const struct adit_open *req, struct adit_choice *served,
		 struct adit_err *e)
{
	struct attempt a = { .part = tunnels_of(w), .req = req, .served = served };
	struct adit_err none, last = ADIT_ERR_INIT;
	struct adit_conn *c;

	if (!e)
		e = &none;
	if (memory_is_short(worker_memory(w))) {
		adit_err_set(e, ADIT_ELIMIT, "memory is short");
		return NULL;
	}
	while (a.part && tunnels_choose(a.part, req, &a.tried, &a.choice)) {
		last.code = 0;
		if (served)
			*served = a.choice;
		if (open_first(&a, &c, &last)) {
			if (!c)
				*e = last;
			return c;
		}
	}
	if (a.tried.n)
		adit_err_set(e, ADIT_ENOTUNNEL, "no session of tunnel %s opens; the last: %s",
			     req->tunnel, last.text);
	else
		adit_err_set(e, ADIT_ENOTUNNEL, "tunnel %s has no session", req->tunnel);
	return NULL;
}
