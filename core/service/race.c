#include "core/service/race.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <adit/log.h>

#include "core/conn/conn.h"
#include "core/conn/opening.h"
#include "core/tunnel/later.h"

#define STAGGER_NS ADIT_MS(250)		/* RFC 8305, section 5 */
#define ASK_NS ADIT_SECONDS(1)		/* for an answer, before another one asks, too */
#define ATTEMPT_MS 15000		/* for a way to be through */
#define RETRY_FACTOR 60			/* the longest pause is so many times the first */
#define STEADY_NS ADIT_SECONDS(60)	/* a way that was good for so long is good */

/* What one worker knows, and has under way. */
struct race_place {
	struct race		*race;
	LIST_HEAD(, run)	 runs;
	uint64_t		 pause;		/* between two tries of the first way */
	uint64_t		 again;		/* when it is tried next; 0: it has not failed */
	uint64_t		 good;		/* since when it is; 0: it is not */
};

struct race {
	struct race_conf	 conf;
	atomic_int		 best;		/* by which the node answered last; -1: none */
	struct race_place	*places[ADIT_WORKERS_MAX];	/* each worker's own */
};

/* A trip: until it has come to its end, and of a bind while the first way is not its own. */
struct run {
	LIST_ENTRY(run)		 entry;
	struct race_place	*place;
	struct race_trip	*trip;		/* owned */
	struct adit_conn	*conn;		/* the caller's, still opening; one of the two */
	struct adit_mux		*mux;		/* the same, as long as the caller has it */
	LIST_HEAD(, attempt)	 attempts;
	unsigned		 left;		/* ways that were not begun: bits */
	unsigned		 top;		/* the first of those there can be */
	int			 won;		/* the way; -1: not yet */
	bool			 moves;		/* its bind was told to */
	struct adit_timer	*timer;		/* the next way is begun; of a bind: tried again */
	struct adit_timer	*patience;	/* another one asks */
	int			 err;
	char			 why[384];	/* of each way that failed */
};

enum state { DIALING, HELD, ASKING };

struct attempt {
	LIST_ENTRY(attempt)	 entry;
	struct run		*run;
	unsigned		 way;
	enum state		 state;
	bool			 retried;	/* it was tried to see whether it is good again */
	struct adit_conn	*conn;		/* owned, as is */
	struct adit_mux		*mux;		/* what a bind asked for */
};

const struct adit_opt race_rows[] = {
	{ .name = "auto.retry", .type = ADIT_OPT_DURATION,
	  .offset = offsetof(struct race_opts, retry), .def = "10s", .max = 86400 * 1000000000ll,
	  .help = "while QUIC does not get through, time until it is tried again, at first; it "
		  "grows to 60 times that; 0: it is not tried again" },
	ADIT_OPT_END,
};

struct race *
race_new(const struct race_conf *conf)
{
	struct race *r = calloc(1, sizeof(*r));

	assert(conf->n && conf->n <= RACE_WAYS);
	if (!r)
		return NULL;
	r->conf = *conf;
	atomic_init(&r->best, -1);
	return r;
}

void
race_free(struct race *r)
{
	for (unsigned i = 0; r && i < ADIT_WORKERS_MAX; i++) {
		assert(!r->places[i] || LIST_EMPTY(&r->places[i]->runs));
		free(r->places[i]);
	}
	free(r);
}

static struct race_place *
race_place(struct race *r, struct adit_worker *w)
{
	struct race_place **slot = &r->places[adit_worker_index(w)];

	if (*slot)
		return *slot;
	*slot = calloc(1, sizeof(**slot));
	if (*slot) {
		(*slot)->race = r;
		(*slot)->pause = r->conf.retry;
		LIST_INIT(&(*slot)->runs);
	}
	return *slot;
}

static void
race_log(const struct race *r, enum adit_log_level level, const char *what, unsigned way,
	 const char *why)
{
	adit_log(adit_component_log(r->conf.component), level,
		 ADIT_FIELDS(ADIT_STR("kind", "dialer"), ADIT_STR("dialer", r->conf.name),
			     ADIT_STR("node", adit_component_name(r->conf.component))),
		 "%s %s%s%s", what, r->conf.ways[way], *why ? "; " : "", why);
}

/* ---- what is known -------------------------------------------------------------------------- */

/* From half of it to one and a half: those who lost the same way do not come back together. */
static void
place_pause(struct race_place *p, uint64_t now)
{
	p->again = now + p->pause / 2 + p->pause / 1024 * adit_random_below(1025);
}

static void
place_pause_longer(struct race_place *p, uint64_t now)
{
	uint64_t most = p->race->conf.retry * RETRY_FACTOR;

	p->pause = p->pause < most / 2 ? p->pause * 2 : most;
	place_pause(p, now);
}

/* The first way is not the one. If it is good for moments only, it is tried ever less often. */
static void
place_demote(struct race_place *p)
{
	uint64_t now = adit_now();

	if (p->again && !p->good)
		return;
	if (p->good && now - p->good < STEADY_NS) {
		place_pause_longer(p, now);
	} else {
		p->pause = p->race->conf.retry;
		place_pause(p, now);
	}
	p->good = 0;
}

static void
place_promote(struct race_place *p)
{
	if (!p->good)
		p->good = adit_now();
}

/* The node has answered by that way. */
static void
run_learn(struct run *r, unsigned way)
{
	struct race *race = r->place->race;

	if (atomic_exchange_explicit(&race->best, (int)way, memory_order_relaxed) != (int)way)
		race_log(race, ADIT_LOG_INFO, "goes by", way, r->why);
	if (way == r->top)
		place_promote(r->place);
	else
		place_demote(r->place);
}

/* ---- the end of it --------------------------------------------------------------------------- */

static void
attempt_free(struct attempt *a, int why)
{
	LIST_REMOVE(a, entry);
	adit_conn_close(a->conn, why);
	adit_mux_close(a->mux, &(struct adit_reason){ .err = why });
	free(a);
}

static void
run_free(struct run *r)
{
	while (!LIST_EMPTY(&r->attempts))
		attempt_free(LIST_FIRST(&r->attempts), -ECANCELED);
	LIST_REMOVE(r, entry);
	adit_timer_free(r->timer);
	adit_timer_free(r->patience);
	r->trip->ops->free(r->trip);
	free(r);
}

/* The caller has closed what it was given. */
static void
run_closed(void *arg)
{
	run_free(arg);
}

/* err: of the node, if it answered, else why no way led there. r is gone. */
static void
run_fail(struct run *r, int err, const char *why, bool answered)
{
	r->trip->ops->told(r->trip, answered ? 0 : err);
	if (r->mux) {
		later_fail(r->mux, &(struct adit_reason){ .err = err, .text = why });
	} else {
		conn_explain(r->conn, why);
		opening_fail(r->conn, err);
	}
	run_free(r);
}

/* Of a way that has failed. */
static void
run_note(struct run *r, unsigned way, int err, const char *text)
{
	const char *name = r->place->race->conf.ways[way];
	size_t len = strlen(r->why);

	r->err = err ? err : -ENOMEM;
	snprintf(r->why + len, sizeof(r->why) - len, "%s%s: %s", len ? ", " : "", name,
		 text && *text ? text : adit_strerror(r->err));
	race_log(r->place->race, ADIT_LOG_DEBUG, "does not go by", way,
		 text && *text ? text : adit_strerror(r->err));
}

/* ---- by the first way again ------------------------------------------------------------------ */

/* It is through: what is bound by others moves. */
static void
run_climbed(struct run *of)
{
	struct race_place *p = of->place;
	struct run *r;

	if (atomic_exchange_explicit(&p->race->best, (int)of->top, memory_order_relaxed) !=
	    (int)of->top)
		race_log(p->race, ADIT_LOG_INFO, "goes again by", of->top, "");
	place_promote(p);
	LIST_FOREACH(r, &p->runs, entry) {
		if (r->won < 0 || !r->mux || r->moves || r->top != of->top)
			continue;
		r->moves = true;
		adit_timer_stop(r->timer);
		adit_mux_supersede(r->mux);
	}
}

/* Of one that has won: what there is to wait for. r may be gone afterwards. */
static void
run_settle(struct run *r)
{
	const struct race_place *p = r->place;
	bool climbs = r->mux && r->won != (int)r->top && p->race->conf.retry;
	uint64_t now = adit_now();

	if (!LIST_EMPTY(&r->attempts) || r->moves)
		return;
	if (climbs) {
		adit_timer_set(r->timer, p->again > now ? p->again - now : 0);
		return;
	}
	if (r->mux)
		later_on_close(r->mux, NULL, NULL);
	run_free(r);
}

/* ---- attempts -------------------------------------------------------------------------------- */

static void run_go_on(struct run *r, bool begin);

/* Whether err is what a node says, and not that there was none. */
static bool
is_answer(int err)
{
	switch (err) {
	case ADIT_ETLS:
	case ADIT_ETRUNCATED:
	case ADIT_EPEERDEAD:
	case ADIT_ENOHOST:
	case ADIT_ERESOLVE:
	case ADIT_ESTOPPED:
		return false;
	default:
		return err <= ADIT_EREFUSED;
	}
}

/* r may be gone afterwards. */
static void
attempt_lost(struct attempt *a, int err, const char *text)
{
	struct run *r = a->run;
	bool retried = a->retried;

	run_note(r, a->way, err, text);
	attempt_free(a, err);
	if (retried)
		place_pause_longer(r->place, adit_now());
	if (r->won < 0)
		run_go_on(r, true);
	else
		run_settle(r);
}

/* The node has not given what was asked for. */
static void
attempt_refused(struct attempt *a, int err, const char *text)
{
	struct run *r = a->run;
	char why[sizeof(r->why)];

	if (!is_answer(err)) {
		attempt_lost(a, err, text);
		return;
	}
	snprintf(why, sizeof(why), "%s", text && *text ? text : adit_strerror(err));
	run_learn(r, a->way);
	run_fail(r, err, why, true);
}

/* Of those under way goes on what may tell that the first way is good. */
static void
run_drop_losers(struct run *r)
{
	struct attempt *a, *next;
	bool through = false;

	for (a = LIST_FIRST(&r->attempts); a; a = next) {
		bool first = a->way == r->top && r->won != (int)r->top;

		next = LIST_NEXT(a, entry);
		through |= first && a->state == HELD;
		if (!first || a->state != DIALING)
			attempt_free(a, -ECANCELED);
	}
	if (through)
		run_climbed(r);
}

/* r may be gone afterwards. */
static void
attempt_won(struct attempt *a)
{
	struct run *r = a->run;
	struct adit_conn *conn = a->conn;
	struct adit_mux *mux = a->mux;

	a->conn = NULL;
	a->mux = NULL;
	r->won = (int)a->way;
	attempt_free(a, 0);
	adit_timer_stop(r->timer);
	adit_timer_stop(r->patience);
	run_learn(r, (unsigned)r->won);
	r->trip->ops->told(r->trip, 0);
	if (mux) {
		later_set(r->mux, mux);
		later_on_close(r->mux, run_closed, r);
	} else {
		opening_set(r->conn, conn);
		r->conn = NULL;
	}
	run_drop_losers(r);
	run_settle(r);
}

static void
attempt_connected(void *owner, struct adit_conn *c, unsigned events)
{
	struct attempt *a = owner;
	int err = adit_conn_err(c);

	(void)events;
	if (err)
		attempt_refused(a, err, conn_failure(c));
	else
		attempt_won(a);
}

static void
attempt_bound(void *owner, struct adit_mux *m, unsigned events)
{
	struct attempt *a = owner;
	const struct adit_reason *why = adit_mux_reason(m);

	(void)events;
	if (why->err)
		attempt_refused(a, why->err, why->text);
	else if (adit_mux_is_open(m))
		attempt_won(a);
}

/* 0; or it is lost, and gone. */
static int
attempt_ask(struct attempt *a)
{
	struct race_trip *t = a->run->trip;
	struct adit_conn *lower = a->conn;
	struct adit_err e = ADIT_ERR_INIT;

	a->state = ASKING;
	adit_conn_own(lower, NULL, NULL);
	a->conn = NULL;
	if (a->run->mux)
		a->mux = t->ops->bind(t, lower, &e);
	else
		a->conn = t->ops->connect(t, lower, &e);
	if (a->conn) {
		adit_conn_own(a->conn, attempt_connected, a);
		adit_conn_want(a->conn, ADIT_OPEN);
	} else if (a->mux) {
		adit_mux_own(a->mux, attempt_bound, a);
		adit_mux_want(a->mux, ADIT_OPEN);
	} else {
		run_note(a->run, a->way, e.code, e.text);
		attempt_free(a, 0);
		return -1;
	}
	return 0;
}

static void
attempt_dialed(void *owner, struct adit_conn *c, unsigned events)
{
	struct attempt *a = owner;
	struct run *r = a->run;

	(void)events;
	adit_conn_want(c, 0);
	adit_conn_deadline(c, 0);
	if (adit_conn_err(c)) {
		attempt_lost(a, adit_conn_err(c), conn_failure(c));
		return;
	}
	a->state = HELD;
	if (r->won < 0) {
		run_go_on(r, false);
		return;
	}
	attempt_free(a, -ECANCELED);
	run_climbed(r);
	run_settle(r);
}

/* 0, or it could not be begun. */
static int
attempt_begin(struct run *r, unsigned way, bool retried)
{
	struct attempt *a = calloc(1, sizeof(*a));
	struct adit_err e = ADIT_ERR_INIT;

	r->left &= ~(1u << way);
	if (a)
		a->conn = r->trip->ops->dial(r->trip, way, &e);
	if (!a || !a->conn) {
		free(a);
		run_note(r, way, e.code, e.text);
		return -1;
	}
	race_log(r->place->race, ADIT_LOG_DEBUG, "tries", way, "");
	a->run = r;
	a->way = way;
	a->retried = retried;
	LIST_INSERT_HEAD(&r->attempts, a, entry);
	adit_conn_own(a->conn, attempt_dialed, a);
	adit_conn_want(a->conn, ADIT_OPEN);
	adit_conn_deadline(a->conn, ATTEMPT_MS);
	return 0;
}

/* ---- trips ----------------------------------------------------------------------------------- */

/* The first of the ways in that state, or NULL. */
static struct attempt *
run_find(const struct run *r, enum state state)
{
	struct attempt *a, *found = NULL;

	LIST_FOREACH(a, &r->attempts, entry)
		if (a->state == state && (!found || a->way < found->way))
			found = a;
	return found;
}

/* One that is through asks, if there is one. */
static void
run_ask(struct run *r)
{
	struct attempt *a;

	while ((a = run_find(r, HELD))) {
		if (attempt_ask(a) < 0)
			continue;
		adit_timer_set(r->patience, ASK_NS);
		return;
	}
}

/* The way that was good last, then the others in their order. */
static unsigned
run_choose(const struct run *r)
{
	int best = atomic_load_explicit(&r->place->race->best, memory_order_relaxed);

	if (best >= 0 && r->left & 1u << best)
		return (unsigned)best;
	return (unsigned)__builtin_ctz(r->left);
}

/* What is to be done next; begin: another way is. r may be gone afterwards. */
static void
run_go_on(struct run *r, bool begin)
{
	bool begun = false;

	if (!run_find(r, ASKING) || !adit_timer_running(r->patience))
		run_ask(r);
	while (r->left && !begun && (begin || LIST_EMPTY(&r->attempts)))
		begun = attempt_begin(r, run_choose(r), false) == 0;
	if (LIST_EMPTY(&r->attempts)) {
		run_fail(r, r->err, r->why, false);
		return;
	}
	if (r->left && !adit_timer_running(r->timer))
		adit_timer_set(r->timer, STAGGER_NS);
}

/* The first way, to see whether it is good again, if it is time to. */
static void
run_retry(struct run *r)
{
	struct race_place *p = r->place;
	uint64_t now = adit_now();

	if (!p->race->conf.retry || p->again > now)
		return;
	place_pause(p, now);
	if (attempt_begin(r, r->top, true) < 0)
		place_pause_longer(p, now);
}

/* The time of the next way has come; or, of a bind, to try the first one again. */
static void
run_timer(void *arg)
{
	struct run *r = arg;

	if (r->won < 0) {
		run_go_on(r, true);
		return;
	}
	if (LIST_EMPTY(&r->attempts)) {
		r->why[0] = 0;
		run_retry(r);
	}
	run_settle(r);
}

static void
run_impatient(void *arg)
{
	run_go_on(arg, false);
}

static struct run *
run_new(struct race *race, struct race_trip *t)
{
	struct race_place *p = race_place(race, t->worker);
	struct run *r = p ? calloc(1, sizeof(*r)) : NULL;

	assert(t->ways);
	if (!r)
		return NULL;
	*r = (struct run){
		.place = p, .trip = t, .left = t->ways, .top = (unsigned)__builtin_ctz(t->ways),
		.won = -1,
	};
	LIST_INIT(&r->attempts);
	LIST_INSERT_HEAD(&p->runs, r, entry);
	r->timer = adit_timer_new(t->worker, run_timer, r);
	r->patience = adit_timer_new(t->worker, run_impatient, r);
	if (r->timer && r->patience)
		return r;
	r->trip = NULL;
	return r;
}

/* Of one that lacks something. */
static void
run_discard(struct run *r, struct race_trip *t, struct adit_err *e)
{
	if (r) {
		r->trip = t;
		run_free(r);
	} else {
		t->ops->free(t);
	}
	adit_err_set(e, -ENOMEM, "out of memory");
}

/* The first way is tried together with the one that is good, if it is time to. */
static void
run_begin(struct run *r)
{
	if (run_choose(r) != r->top)
		run_retry(r);
	run_go_on(r, true);
}

struct adit_conn *
race_connect(struct race *race, struct race_trip *t, struct adit_err *e)
{
	struct run *r = run_new(race, t);
	struct adit_conn *c;

	if (r && r->trip)
		r->conn = opening_new(t->worker, run_closed, r);
	if (!r || !r->conn) {
		run_discard(r, t, e);
		return NULL;
	}
	c = r->conn;
	run_begin(r);
	return c;
}

struct adit_mux *
race_bind(struct race *race, struct race_trip *t, struct adit_err *e)
{
	struct run *r = run_new(race, t);
	struct adit_mux *m;

	if (r && r->trip)
		r->mux = later_new(t->worker, run_closed, r);
	if (!r || !r->mux) {
		run_discard(r, t, e);
		return NULL;
	}
	m = r->mux;
	run_begin(r);
	return m;
}

void
race_stop(struct race *race, struct adit_worker *w)
{
	struct race_place *p = race->places[adit_worker_index(w)];

	while (p && !LIST_EMPTY(&p->runs)) {
		struct run *r = LIST_FIRST(&p->runs);

		if (r->won < 0) {
			run_fail(r, ADIT_EDRAINING, NULL, false);
			continue;
		}
		if (r->mux)
			later_on_close(r->mux, NULL, NULL);
		run_free(r);
	}
}
