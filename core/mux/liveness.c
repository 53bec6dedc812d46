#include <stdlib.h>

#include "core/mux/liveness.h"

#define PROBE_NS ADIT_SECONDS(1)
#define SILENCE_NS ADIT_SECONDS(3)

struct liveness {
	struct adit_mux		*mux;
	struct adit_timer	*timer;
	bool			(*answers)(const struct adit_mux *m);
	void			(*dead)(void *arg);
	void			*arg;
	uint64_t		 looked;	/* when it looked last */
	uint64_t		 since;		/* silence before that does not count */
};

static bool
liveness_is_silent(struct liveness *l, uint64_t now)
{
	uint64_t heard = adit_mux_heard(l->mux);

	/* Late itself: what the peer sent meanwhile may not have been read yet. */
	if (now - l->looked > 2 * PROBE_NS)
		l->since = now;
	if (heard < l->since)
		heard = l->since;
	return now > heard && now - heard >= SILENCE_NS;
}

static void
liveness_look(void *arg)
{
	struct liveness *l = arg;
	uint64_t now = adit_now();
	bool silent;

	if (adit_mux_err(l->mux))
		return;
	adit_timer_set(l->timer, PROBE_NS);
	if (!adit_mux_is_open(l->mux) || (l->answers && !l->answers(l->mux))) {
		l->looked = l->since = now;
		return;
	}
	silent = liveness_is_silent(l, now);
	l->looked = now;
	if (!silent) {
		adit_mux_probe(l->mux);
		return;
	}
	adit_timer_stop(l->timer);
	l->dead(l->arg);
}

struct liveness *
liveness_start(struct adit_mux *m, bool (*answers)(const struct adit_mux *m),
	       void (*dead)(void *arg), void *arg)
{
	struct liveness *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct liveness){
		.mux = m, .answers = answers, .dead = dead, .arg = arg,
		.looked = adit_now(), .since = adit_now(),
	};
	l->timer = adit_timer_new(adit_mux_worker(m), liveness_look, l);
	if (!l->timer) {
		free(l);
		return NULL;
	}
	adit_timer_set(l->timer, PROBE_NS);
	return l;
}

void
liveness_stop(struct liveness *l)
{
	if (!l)
		return;
	adit_timer_free(l->timer);
	free(l);
}
