#include "core/service/session_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <adit/log.h>

#include "core/mux/liveness.h"
#include "core/service/component.h"
#include "core/conn/ending.h"
#include "core/service/instance.h"

#define FIRST_BYTE_MS 15000	/* a server that says nothing for so long is asked anew */

LIST_HEAD(pooled_list, pooled);

struct session_pool {
	const struct instance	*instance;
	struct pooled_list	 sessions[ADIT_WORKERS_MAX];	/* each worker's own */
	bool			 stopped[ADIT_WORKERS_MAX];	/* the same */
};

struct pooled {
	LIST_ENTRY(pooled)	 entry;
	struct session_pool	*pool;
	struct adit_mux		*mux;		/* owned */
	struct liveness		*liveness;
	unsigned		 lane;
};

struct session_pool *
session_pool_new(const struct instance *i)
{
	struct session_pool *p = calloc(1, sizeof(*p));

	if (p)
		p->instance = i;
	return p;
}

void
session_pool_free(struct session_pool *p)
{
	free(p);
}

/* ---- sessions ---------------------------------------------------------------------------- */

static void
pooled_end(struct pooled *s, const struct adit_reason *why)
{
	LIST_REMOVE(s, entry);
	liveness_stop(s->liveness);
	adit_mux_close(s->mux, why);
	free(s);
}

/* What went over it has a line of its own. */
static void
pooled_log_end(const struct pooled *s, const struct adit_reason *why)
{
	const struct adit_session *kind = s->pool->instance->session;
	struct ending end = ending_of_mux(kind->component, s->mux);

	end.kind = "dialer";
	end.by = ending_by(why->err, "server");
	end.how = ending_how(why->err);
	ending_log(&end, ADIT_LOG_DEBUG, "%s session: %s", kind->ops->base.name,
		   why->text ? why->text : adit_strerror(why->err));
}

static void
pooled_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct pooled *s = owner;
	const struct adit_reason *why = adit_mux_reason(m);
	struct adit_conn *c;

	/* What the peer is shows in its answer: some need no more to pass half-closes on. */
	if (events & ADIT_OPEN)
		adit_mux_probe(m);
	/* Nobody asked a server for conns. */
	while ((c = adit_mux_accept(m)))
		adit_conn_close(c, ADIT_EREFUSED);
	adit_mux_want(m, ADIT_READ);
	if (!why->err)
		return;
	pooled_log_end(s, why);
	pooled_end(s, why);
}

static void
pooled_dead(void *arg)
{
	static const struct adit_reason dead = { .err = ADIT_EPEERDEAD, .text = "does not answer" };
	struct pooled *s = arg;

	pooled_log_end(s, &dead);
	pooled_end(s, &dead);
}

/* A connection to the node with its layers, and the session over it. */
static struct adit_mux *
pool_connect(const struct session_pool *p, const struct adit_dial *req, struct adit_err *e)
{
	const struct instance *i = p->instance;
	struct adit_dialer *d = i->base;
	struct adit_conn *c = d->ops->dial(d, req, e);

	if (c)
		c = instance_client(i, c, req->host, e);
	return c ? i->session->ops->client(i->session, c, req->host, e) : NULL;
}

static struct pooled *
pool_make(struct session_pool *p, const struct adit_dial *req, struct adit_err *e)
{
	struct pooled *s = calloc(1, sizeof(*s));

	if (!s) {
		adit_conn_close(req->via, -ENOMEM);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	s->pool = p;
	s->lane = req->lane;
	s->mux = pool_connect(p, req, e);
	if (!s->mux) {
		free(s);
		return NULL;
	}
	s->liveness = liveness_start(s->mux, &(struct liveness_watch){
		.dead = pooled_dead, .arg = s,
		.rest_after = LIVENESS_USED, .rest = LIVENESS_REST,
	});
	adit_mux_own(s->mux, pooled_event, s);
	adit_mux_want(s->mux, ADIT_OPEN | ADIT_READ);
	LIST_INSERT_HEAD(&p->sessions[adit_worker_index(req->worker)], s, entry);
	return s;
}

/* ---- dialing ------------------------------------------------------------------------------- */

/* Whether its server has never said a word, and had the time to. */
static bool
pooled_is_mute(const struct pooled *s)
{
	uint64_t patience = s->pool->instance->session->patience;

	if (!patience)
		patience = ADIT_MS(FIRST_BYTE_MS);
	return !adit_mux_traffic(s->mux)->in && adit_mux_age(s->mux) > patience;
}

static bool
pooled_is_usable(const struct pooled *s, unsigned lane)
{
	return s->lane == lane && !adit_mux_err(s->mux) && adit_mux_room(s->mux, 0);
}

/* One that can be used, or NULL. */
static struct pooled *
pool_find(struct session_pool *p, const struct adit_dial *req)
{
	struct pooled *s = LIST_FIRST(&p->sessions[adit_worker_index(req->worker)]), *next;

	for (; s; s = next) {
		next = LIST_NEXT(s, entry);
		if (pooled_is_mute(s))
			pooled_dead(s);
		else if (pooled_is_usable(s, req->lane))
			return s;
	}
	return NULL;
}

/* Who drains may still ask; a session made now would be left to nobody, and outlive p. */
static struct adit_conn *
pool_refuse(const struct adit_dial *req, struct adit_err *e)
{
	adit_conn_close(req->via, ADIT_EDRAINING);
	adit_err_set(e, ADIT_EDRAINING, "%s", adit_strerror(ADIT_EDRAINING));
	return NULL;
}

struct adit_conn *
session_pool_dial(struct session_pool *p, const struct adit_dial *req, struct adit_err *e)
{
	struct pooled *s;

	if (p->stopped[adit_worker_index(req->worker)])
		return pool_refuse(req, e);
	s = pool_find(p, req);
	if (s)
		adit_conn_close(req->via, 0);
	else
		s = pool_make(p, req, e);
	return s ? adit_mux_open(s->mux, 0, e) : NULL;
}

void
session_pool_stop(struct session_pool *p, struct adit_worker *w)
{
	static const struct adit_reason polite;
	struct pooled_list *list = &p->sessions[adit_worker_index(w)];

	p->stopped[adit_worker_index(w)] = true;
	while (!LIST_EMPTY(list))
		pooled_end(LIST_FIRST(list), &polite);
}
