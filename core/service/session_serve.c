#include "core/service/session_serve.h"

#include <errno.h>
#include <stdlib.h>

#include <adit/log.h>

#include "core/mux/liveness.h"
#include "core/service/component.h"
#include "core/conn/ending.h"
#include "core/service/instance.h"

#define FIRST_STREAM_MS 6000	/* a client whose session has none is nobody */

struct served {
	struct adit_activity	 activity;
	const char		*kind;		/* for the log */
	struct adit_mux		*mux;		/* owned */
	struct liveness		*liveness;
	void			(*take)(void *arg, struct adit_conn *c);
	void			*arg;
	bool			 used;		/* a stream came: it has a line of its own */
	struct adit_timer	*limit;		/* until then */
};

static void
served_log_end(const struct served *s, int why)
{
	const struct adit_reason *reason = adit_mux_reason(s->mux);
	struct ending end = ending_of_mux(s->activity.component, s->mux);
	int err = reason->err ? reason->err : why;

	end.kind = "listener";
	end.by = err ? ending_by(err, "peer") : NULL;
	end.how = err ? ending_how(err) : "stopped";
	ending_log(&end, s->used ? ADIT_LOG_DEBUG : ADIT_LOG_INFO, "%s session: %s", s->kind,
		   reason->text ? reason->text : adit_strerror(err));
}

static void
served_end(struct served *s, int why)
{
	served_log_end(s, why);
	liveness_stop(s->liveness);
	adit_timer_free(s->limit);
	adit_mux_close(s->mux, &(struct adit_reason){ .err = why });
	adit_activity_end(&s->activity);
	free(s);
}

static void
served_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct served *s = owner;
	struct adit_conn *c;

	(void)events;
	while ((c = adit_mux_accept(m))) {
		s->used = true;
		adit_timer_stop(s->limit);
		s->take(s->arg, c);
	}
	if (adit_mux_err(m))
		served_end(s, adit_mux_err(m));
}

static void
served_stop(struct adit_activity *a, int why)
{
	struct served *s = adit_container_of(a, struct served, activity);

	adit_mux_drain(s->mux);
	if (why || adit_mux_drained(s->mux))
		served_end(s, why);
}

static void
served_dead(void *arg)
{
	served_end(arg, ADIT_EPEERDEAD);
}

static void
served_unused(void *arg)
{
	served_end(arg, -ETIMEDOUT);
}

static void
served_limit(struct served *s, uint64_t patience)
{
	if (!patience)
		patience = ADIT_MS(FIRST_STREAM_MS);
	s->limit = adit_timer_new(adit_mux_worker(s->mux), served_unused, s);
	if (s->limit)
		adit_timer_set(s->limit, patience);
}

int
session_serve(const struct instance *i, struct adit_conn *c,
	      void (*take)(void *arg, struct adit_conn *c), void *arg, struct adit_err *e)
{
	struct served *s = calloc(1, sizeof(*s));

	if (!s) {
		adit_conn_close(c, -ENOMEM);
		return adit_err_set(e, -ENOMEM, "out of memory");
	}
	*s = (struct served){ .kind = i->session->ops->base.name, .take = take, .arg = arg };
	s->mux = i->session->ops->server(i->session, c, e);
	if (!s->mux) {
		free(s);
		return e->code ? e->code : -ENOMEM;
	}
	s->activity.stop = served_stop;
	adit_activity_begin(&s->activity, i->session->component, adit_mux_worker(s->mux));
	s->liveness = liveness_start(s->mux, &(struct liveness_watch){
		.dead = served_dead, .arg = s,
		.rest_after = LIVENESS_USED, .rest = LIVENESS_REST,
	});
	served_limit(s, i->session->patience);
	adit_mux_own(s->mux, served_event, s);
	adit_mux_want(s->mux, ADIT_READ);
	return 0;
}
