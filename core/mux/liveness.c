#include <stdlib.h>

#include "core/mux/liveness.h"
#include "core/mux/mux.h"
#include "core/runtime/timers.h"

/* More often than what counts as fresh, so that a near peer always is, if it is late too. */
#define PROBE_NS ADIT_MS(850)
#define PROBE_SECOND_NS ADIT_MS(1100)	/* of the end that leaves it to the other */

/* Sessions are looked at together, in one turn of the loop: ns, a power of two, 134 ms. */
#define TOGETHER_NS (UINT64_C(1) << 27)
#define DOUBT_NS ADIT_MS(1500)
#define SILENCE_NS ADIT_SECONDS(3)

struct liveness {
	struct adit_mux		*mux;
	struct adit_timer	*timer;
	struct liveness_watch	 watch;
	uint64_t		 probe;		/* silence after which it is asked */
	uint64_t		 due;		/* when it was to look next */
	uint64_t		 since;		/* silence before that does not count */
	uint64_t		 asked;		/* the last time */
	uint64_t		 used;		/* when that was seen last */
	bool			 resting;
};

static void
liveness_look_at(struct liveness *l, uint64_t now, uint64_t at)
{
	l->due = at > now ? at : now;
	timer_set_at(l->timer, l->due);
}

/* A moment later, when others are looked at too. */
static void
liveness_look_about(struct liveness *l, uint64_t now, uint64_t at)
{
	liveness_look_at(l, now, timer_round(at, TOGETHER_NS));
}

static uint64_t
liveness_silence(struct liveness *l, uint64_t now)
{
	uint64_t silence = adit_mux_silence(l->mux);

	/* Late itself: what the peer sent meanwhile may not have been read yet. */
	if (now - l->due > PROBE_NS)
		l->since = now;
	return silence < now - l->since ? silence : now - l->since;
}

static void
liveness_ask(struct liveness *l, uint64_t now, uint64_t silence)
{
	uint64_t left = SILENCE_NS - silence;

	l->asked = now;
	if (left < PROBE_NS)
		liveness_look_at(l, now, now + left);
	else
		liveness_look_about(l, now, now + PROBE_NS);
	adit_mux_probe(l->mux);
	if (silence >= DOUBT_NS && l->watch.doubt)
		l->watch.doubt(l->watch.arg);
}

/* From inside of anything. */
static void
liveness_roused(void *arg)
{
	struct liveness *l = arg;
	uint64_t now = adit_now();

	l->resting = false;
	l->used = l->since = now;
	liveness_look_at(l, now, now);
}

/* Whether nobody would miss it now, and it owes nothing. */
static bool
liveness_may_rest(struct liveness *l, uint64_t now, uint64_t silence)
{
	if (mux_take_used(l->mux))
		l->used = now;
	return l->watch.rest_after && now - l->used >= l->watch.rest_after &&
	       (!silence || adit_mux_heard(l->mux) >= l->asked);
}

static void
liveness_rest(struct liveness *l, uint64_t now)
{
	l->resting = true;
	mux_await_use(l->mux, liveness_roused, l);
	liveness_look_about(l, now, adit_mux_heard(l->mux) + l->watch.rest);
}

/* Its peer is not heard even so: watched closely until it is. */
static void
liveness_wake(struct liveness *l, uint64_t now)
{
	l->resting = false;
	mux_await_use(l->mux, NULL, NULL);
	l->since = now;
	liveness_ask(l, now, 0);
}

static void
liveness_look_closely(struct liveness *l, uint64_t now)
{
	uint64_t heard = adit_mux_heard(l->mux), silence = liveness_silence(l, now);

	if (silence >= SILENCE_NS)
		l->watch.dead(l->watch.arg);
	else if (liveness_may_rest(l, now, silence))
		liveness_rest(l, now);
	else if (now - heard < l->probe)
		liveness_look_about(l, now, heard + l->probe);
	else
		liveness_ask(l, now, silence);
}

static void
liveness_look(void *arg)
{
	struct liveness *l = arg;
	uint64_t now = adit_now();

	if (adit_mux_err(l->mux))
		return;
	if (!adit_mux_is_open(l->mux)) {
		l->since = l->used = now;
		liveness_look_at(l, now, now + PROBE_NS);
	} else if (!l->resting) {
		liveness_look_closely(l, now);
	} else if (now - adit_mux_heard(l->mux) < l->watch.rest) {
		liveness_rest(l, now);
	} else {
		liveness_wake(l, now);
	}
}

struct liveness *
liveness_start(struct adit_mux *m, const struct liveness_watch *watch)
{
	struct liveness *l = calloc(1, sizeof(*l));
	uint64_t now = adit_now();

	if (!l)
		return NULL;
	*l = (struct liveness){
		.mux = m, .watch = *watch, .since = now, .used = now,
		.probe = watch->second ? PROBE_SECOND_NS : PROBE_NS,
	};
	l->timer = adit_timer_new(adit_mux_worker(m), liveness_look, l);
	if (!l->timer) {
		free(l);
		return NULL;
	}
	liveness_look_about(l, now, now + PROBE_NS);
	return l;
}

void
liveness_stop(struct liveness *l)
{
	if (!l)
		return;
	if (l->resting)
		mux_await_use(l->mux, NULL, NULL);
	adit_timer_free(l->timer);
	free(l);
}
