#include "core/tunnel/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/opening.h"
#include "core/tunnel/later.h"

/* While lower opens. One of conn and mux is there, the owner's. */
struct reaching {
	const struct reach_conf	*conf;
	struct adit_conn	*lower;		/* owned */
	struct adit_conn	*conn;
	struct adit_mux		*mux;
	struct reach_ask	 ask;
	char			 host[];
};

static void
reach_fail_conn(struct reaching *r, int err, const char *text)
{
	conn_explain(r->conn, text);
	opening_fail(r->conn, err);
}

static void
reach_fail(struct reaching *r, int err, const char *text)
{
	if (r->mux)
		later_fail(r->mux, &(struct adit_reason){ .err = err, .text = text });
	else
		reach_fail_conn(r, err, text);
	free(r);
}

static void
reach_opened(struct reaching *r)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = NULL;
	struct adit_mux *m = NULL;

	if (r->mux)
		m = r->conf->bind(r->conf->arg, r->lower, &r->ask, &e);
	else
		c = r->conf->connect(r->conf->arg, r->lower, &r->ask, &e);
	if (!c && !m) {
		reach_fail(r, e.code ? e.code : -ENOMEM, e.text);
		return;
	}
	if (m)
		later_set(r->mux, m);
	else
		opening_set(r->conn, c);
	free(r);
}

static void
reach_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct reaching *r = owner;
	int err = adit_conn_err(lower);

	(void)events;
	adit_conn_deadline(lower, 0);
	adit_conn_want(lower, 0);
	if (!err) {
		reach_opened(r);
		return;
	}
	adit_conn_close(lower, err);
	reach_fail(r, err, conn_failure(lower));	/* there until the turn ends */
}

static void
reach_cancelled(void *arg)
{
	struct reaching *r = arg;

	adit_conn_close(r->lower, -ECANCELED);
	free(r);
}

static struct reaching *
reach_new(struct adit_conn *lower, const struct reach_ask *ask, const struct reach_conf *conf)
{
	size_t len = strlen(ask->to.host) + 1;
	struct reaching *r = calloc(1, sizeof(*r) + len);

	if (!r) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	r->conf = conf;
	r->lower = lower;
	r->ask = *ask;
	r->ask.to.host = memcpy(r->host, ask->to.host, len);
	adit_conn_own(lower, reach_event, r);
	adit_conn_want(lower, ADIT_OPEN);
	adit_conn_deadline(lower, conf->ms);
	return r;
}

/* Of what was made for it there is nothing: out of memory. */
static void
reach_discard(struct reaching *r, struct adit_err *e)
{
	if (r)
		reach_cancelled(r);
	adit_err_set(e, -ENOMEM, "out of memory");
}

struct adit_conn *
reach_connect(struct adit_conn *lower, const struct reach_ask *ask, const struct reach_conf *conf,
	      struct adit_err *e)
{
	struct reaching *r = reach_new(lower, ask, conf);

	if (r)
		r->conn = opening_new(adit_conn_worker(lower), reach_cancelled, r);
	if (r && r->conn)
		return r->conn;
	reach_discard(r, e);
	return NULL;
}

struct adit_mux *
reach_bind(struct adit_conn *lower, const struct reach_ask *ask, const struct reach_conf *conf,
	   struct adit_err *e)
{
	struct reaching *r = reach_new(lower, ask, conf);

	if (r)
		r->mux = later_new(adit_conn_worker(lower), reach_cancelled, r);
	if (r && r->mux)
		return r->mux;
	reach_discard(r, e);
	return NULL;
}
