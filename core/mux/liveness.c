#include <stdlib.h>

#include "core/mux/liveness.h"

/* A little more often than what counts as fresh, so that a near peer always is. */
#define PROBE_NS ADIT_MS(900)
#define DOUBT_NS ADIT_MS(1500)
#define SILENCE_NS ADIT_SECONDS(3)

struct liveness {
	struct adit_mux		*mux;
	struct adit_timer	*timer;
	struct liveness_watch	 watch;
	uint64_t		 looked;	/* when it looked last */
	uint64_t		 since;		/* silence before that does not count */
};

static uint64_t
liveness_silence(struct liveness *l, uint64_t now)
{
	uint64_t silence = adit_mux_silence(l->mux);

	/* Late itself: what the peer sent meanwhile may not have been read yet. */
	if (now - l->looked > 2 * PROBE_NS)
		l->since = now;
	return silence < now - l->since ? silence : now - l->since;
}

static void
liveness_look(void *arg)
{
	struct liveness *l = arg;
	uint64_t now = adit_now(), silence, left;

	if (adit_mux_err(l->mux))
		return;
	if (!adit_mux_is_open(l->mux)) {
		l->looked = l->since = now;
		adit_timer_set(l->timer, PROBE_NS);
		return;
	}
	silence = liveness_silence(l, now);
	l->looked = now;
	if (silence >= SILENCE_NS) {
		l->watch.dead(l->watch.arg);
		return;
	}
	left = SILENCE_NS - silence;
	adit_timer_set(l->timer, left < PROBE_NS ? left : PROBE_NS);
	adit_mux_probe(l->mux);
	if (silence >= DOUBT_NS && l->watch.doubt)
		l->watch.doubt(l->watch.arg);
}

struct liveness *
liveness_start(struct adit_mux *m, const struct liveness_watch *watch)
{
	struct liveness *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct liveness){
		.mux = m, .watch = *watch, .looked = adit_now(), .since = adit_now(),
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
