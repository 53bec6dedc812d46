#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <adit/log.h>

#include "core/conn/listen.h"
#include "core/conn/tally.h"
#include "core/runtime/log.h"
#include "core/runtime/worker.h"
#include "core/service/admin.h"
#include "core/service/daemon.h"
#include "core/service/desk.h"
#include "core/service/generation.h"
#include "core/tunnel/table.h"

/*
 * How often a service that drains is looked at, and how long what was ended by force may take to be
 * gone.
 */
#define DRAIN_STEP_NS ADIT_MS(20)
#define KILL_NS ADIT_SECONDS(2)

/*
 * What a service that was replaced waits for: first that the other one is ready, then that its
 * clients have moved there.
 */
#define READY_NS ADIT_SECONDS(3)
#define GRACE_NS ADIT_SECONDS(3)

/* What was made of a configuration that is not the present one, while services of it drain. */
struct retired {
	struct generation	*generation;
	unsigned		 draining;
	TAILQ_ENTRY(retired)	 entry;
};

/* A service that a reload removed, or all of them at the stop. */
struct draining {
	struct service		*service;
	struct retired		*of;		/* or NULL */
	struct service		*next;		/* which replaces it and may not be ready yet; or
						 * NULL */
	uint64_t		 deadline;	/* of next; then, once asked to end, of its own */
	bool			 asked, killed;
	LIST_ENTRY(draining)	 entry;
};

LIST_HEAD(draining_list, draining);
TAILQ_HEAD(retired_list, retired);

struct daemon {
	const struct daemon_conf	*conf;
	struct adit_log			*log;
	struct event_base		*base;
	struct event			 signals[5];
	struct event			 drain_timer, reload_timer;
	struct worker_group		*workers;
	struct listen_book		*sockets;
	struct desk			*desk;
	struct generation		*now;
	struct draining_list		 draining;
	struct retired_list		 retired;	/* the oldest first */
	bool				 stopping;
};

static struct service_world
daemon_world(struct daemon *d)
{
	return (struct service_world){
		.registry = d->conf->registry, .sockets = d->sockets, .log = d->log,
		.desk = d->desk,
		.home = workers_at(d->workers, 0),
	};
}

static void
timer_start(struct event *timer, uint64_t ns)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(ns / ADIT_SECONDS(1)),
		.tv_usec = (suseconds_t)(ns % ADIT_SECONDS(1) / 1000),
	};

	event_add(timer, &tv);
}

/* ---- draining -------------------------------------------------------------------------- */

static void
chains_stop_on(struct adit_worker *w, void *arg)
{
	struct generation *g = arg;

	for (size_t i = 0; i < g->config->chains.n; i++)
		if (g->chains[i])
			chain_stop(g->chains[i], w);
}

/* Frees g; chains that keep (or NULL) has not give up their sessions before. */
static void
daemon_drop(struct daemon *d, struct generation *g, const struct generation *keep)
{
	generation_forget_chains(g, keep);
	workers_call(d->workers, chains_stop_on, g);
	generation_free(g, keep);
}

/*
 * Drops the generations whose services have ended; the oldest first, since one's services may go
 * through chains that the next one has from it.
 */
static void
daemon_drop_retired(struct daemon *d)
{
	struct retired *r;

	while ((r = TAILQ_FIRST(&d->retired)) && !r->draining) {
		TAILQ_REMOVE(&d->retired, r, entry);
		daemon_drop(d, r->generation, NULL);
		free(r);
	}
}

static void
draining_ask(struct daemon *d, struct draining *one)
{
	one->asked = true;
	one->deadline = adit_now() + d->conf->drain;
	service_stop(one->service, d->workers);
	service_close(one->service);
}

/* next: the service that replaces s, or NULL. of: s's generation, if that is to outlive s. */
static void
daemon_drain(struct daemon *d, struct service *s, struct service *next, struct retired *of)
{
	struct draining *one = calloc(1, sizeof(*one));

	if (!one) {			/* no memory to wait with */
		service_stop(s, d->workers);
		service_close(s);
		service_kill(s, d->workers);
		service_put(s);
		return;
	}
	one->service = s;
	one->of = of;
	if (of)
		of->draining++;
	LIST_INSERT_HEAD(&d->draining, one, entry);
	if (next && !service_is_ready(next)) {
		one->next = next;
		one->deadline = adit_now() + READY_NS;
	} else {
		service_set_grace(s, next ? GRACE_NS : 0);
		draining_ask(d, one);
	}
	timer_start(&d->drain_timer, 0);
}

static void
draining_free(struct daemon *d, struct draining *one)
{
	LIST_REMOVE(one, entry);
	if (one->of)
		one->of->draining--;
	service_finish(one->service, d->workers);
	service_put(one->service);
	free(one);
}

/* Not asked to end yet: the service that replaces it has to be ready first. */
static void
draining_wait(struct daemon *d, struct draining *one, uint64_t now)
{
	if (one->next && !service_is_ready(one->next) && now < one->deadline)
		return;
	service_set_grace(one->service, one->next ? GRACE_NS : 0);
	draining_ask(d, one);
}

/* Whether it is done with. */
static bool
draining_step(struct daemon *d, struct draining *one)
{
	uint64_t now = adit_now();

	if (!one->asked) {
		draining_wait(d, one, now);
		return false;
	}
	if (!service_active(one->service))
		return true;
	if (now < one->deadline) {
		service_stop(one->service, d->workers);
		return !service_active(one->service);
	}
	if (!one->killed) {
		adit_log(d->log, ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", service_conf_of(one->service)->name),
				     ADIT_UINT("active", service_active(one->service))),
			 "not finished within the limit: closing what is open");
		one->killed = true;
		one->deadline = now + KILL_NS;
		service_kill(one->service, d->workers);
		return !service_active(one->service);
	}
	return true;
}

static void
daemon_drain_step(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct draining *one, *next;

	(void)fd;
	(void)what;
	for (one = LIST_FIRST(&d->draining); one; one = next) {
		next = LIST_NEXT(one, entry);
		if (draining_step(d, one))
			draining_free(d, one);
	}
	daemon_drop_retired(d);
	if (!LIST_EMPTY(&d->draining))
		timer_start(&d->drain_timer, DRAIN_STEP_NS);
	else if (d->stopping)
		event_base_loopbreak(d->base);
}

/* ---- reload ------------------------------------------------------------------------------- */

static struct log_conf
log_conf_of(const struct config *config)
{
	const struct config_log *conf = config->log;
	struct log_conf settings = LOG_CONF_DEFAULT;

	settings.level = conf->level;
	settings.format = conf->format == CONFIG_LOG_TEXT ? LOG_TEXT : LOG_JSON;
	settings.output = conf->output;
	if (conf->rotation) {
		settings.rotation.max_size = (uint64_t)conf->rotation->max_size << 20;
		settings.rotation.max_backups = (unsigned)conf->rotation->max_backups;
		settings.rotation.max_age_days = (unsigned)conf->rotation->max_age;
	}
	return settings;
}

/* Starts what is new in next. On failure what was started is stopped again. */
static int
daemon_start_new(struct daemon *d, struct generation *next, struct config_errors *errs)
{
	for (size_t i = 0; i < next->config->services.n; i++) {
		int err = next->taken[i] ? 0 : service_start(next->services[i], d->workers, errs);

		if (!err)
			continue;
		while (i-- > 0)
			if (!next->taken[i])
				service_kill(next->services[i], d->workers);
		return err;
	}
	return 0;
}

/* Nobody waits any more for what goes itself: at most for what comes in its place. */
static void
daemon_forget_next(struct daemon *d, const struct service *s, struct service *next)
{
	struct draining *one;

	LIST_FOREACH(one, &d->draining, entry)
		if (one->next == s)
			one->next = next;
}

/*
 * Lets old go: services that next has not are drained. Chains that it has not keep their sessions
 * until those are through.
 */
static void
daemon_retire(struct daemon *d, struct generation *old, const struct generation *next)
{
	struct retired *r;

	if (!old)
		return;
	r = calloc(1, sizeof(*r));
	generation_forget_chains(old, next);
	for (size_t i = 0; i < old->config->services.n; i++) {
		struct service *s = old->services[i], *other;

		old->services[i] = NULL;
		if (generation_has(next, s))
			continue;
		other = generation_named(next, service_conf_of(s)->name);
		daemon_forget_next(d, s, other);
		daemon_drain(d, s, other, r);
	}
	if (!r) {			/* no memory to wait with */
		daemon_drop(d, old, next);
		return;
	}
	r->generation = old;
	TAILQ_INSERT_TAIL(&d->retired, r, entry);
	daemon_drop_retired(d);
}

static void
count_on(struct adit_worker *w, void *arg)
{
	(void)arg;
	tally_start(w);
}

/* 0, ADIT_ECONFIG where config is wrong, or what kept it from being opened or started. */
static int
daemon_switch(struct daemon *d, struct config *config, struct config_errors *errs)
{
	const struct service_world world = daemon_world(d);
	struct generation *next = generation_new(config, d->now, &world, errs), *old = d->now;
	int err;

	if (!next)
		return ADIT_ECONFIG;
	if (atomic_load(&desk_counts(d->desk)->wanted))
		workers_call(d->workers, count_on, NULL);
	err = generation_open(next, errs);
	if (!err)
		err = daemon_start_new(d, next, errs);
	if (err) {
		daemon_drop(d, next, old);	/* what was started may have dialed already */
		return err;
	}
	generation_commit(next, d->workers);
	d->now = next;
	daemon_retire(d, old, next);
	return 0;
}

/* A line each, with the line of the file that it is about beside it. */
static void
daemon_log_errors(struct daemon *d, enum adit_log_level level, const struct config_errors *errs)
{
	const char *text;

	for (size_t i = 0; (text = config_errors_text(errs, i)); i++) {
		size_t len = strcspn(text, "\n");
		const char *bar = text[len] ? strchr(text + len, '|') : NULL;
		char line[256] = "";

		if (bar)
			snprintf(line, sizeof(line), "%.*s", (int)strcspn(bar + 2, "\n"), bar + 2);
		adit_log(d->log, level, ADIT_FIELDS(ADIT_STR("line", *line ? line : NULL)), "%.*s",
			 (int)len, text);
	}
}

static void
say_nowhere(struct config_errors *errs, const struct adit_err *e)
{
	const struct place nowhere = { .errs = errs };

	place_refuse(&nowhere, e);
}

/* Says that the log cannot be written as config asks. Returns ADIT_ECONFIG. */
static int
say_log(const struct config *config, const struct adit_err *e, struct config_errors *errs)
{
	const struct place top = { .errs = errs };
	struct place_step log, output;

	place_step(&log, &top, "log", config->log->node);
	place_refuse(place_step(&output, &log.at, "output", tree_get(log.at.node, "output")), e);
	return ADIT_ECONFIG;
}

/* All of config, its log too, or nothing. */
static int
daemon_take(struct daemon *d, struct config *config, struct config_errors *errs)
{
	const struct log_conf conf = log_conf_of(config);
	struct adit_err e = ADIT_ERR_INIT;
	struct log_change log;
	int err;

	if (log_prepare(&log, &conf, &e) < 0)
		return say_log(config, &e, errs);
	err = daemon_switch(d, config, errs);
	if (!err)
		log_apply(d->log, &log);
	log_change_fini(&log);
	return err;
}

/* As daemon_take, when something runs already: it is counted. config NULL: it could not be read. */
static int
daemon_replace(struct daemon *d, struct config *config, struct config_errors *errs)
{
	struct desk_counts *counts = desk_counts(d->desk);
	int err = config ? daemon_take(d, config, errs) : ADIT_ECONFIG;

	atomic_fetch_add(err ? &counts->refused : &counts->reloads, 1);
	if (!err)
		atomic_store(&counts->changed, time(NULL));
	return err;
}

/* Reads all sources again. 0, or why nothing has changed, with reasons in errs. */
static int
daemon_read_again(struct daemon *d, struct config_errors *errs)
{
	struct config *config = config_load(&d->conf->args, d->conf->kinds, 0, errs);
	int err = daemon_replace(d, config, errs);

	config_put(config);
	return err;
}

static void
daemon_reload(struct daemon *d, bool by_itself)
{
	struct config_errors *errs = config_errors_new();
	int err = errs ? daemon_read_again(d, errs) : -ENOMEM;

	if (!err) {
		adit_log(d->log, by_itself ? ADIT_LOG_DEBUG : ADIT_LOG_INFO, NULL, "%s",
			 by_itself ? "config auto reloaded" : "config reloaded");
	} else {
		if (errs)
			daemon_log_errors(d, ADIT_LOG_ERROR, errs);
		adit_log(d->log, ADIT_LOG_ERROR, NULL, "config not reloaded, nothing has changed");
	}
	config_errors_free(errs);
}

static void
daemon_reload_timer(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (d->stopping)
		return;
	daemon_reload(d, true);
	timer_start(&d->reload_timer, d->conf->reload);
}

/* ---- what is asked from outside -------------------------------------------------------------- */

static const struct generation *
daemon_now(void *arg)
{
	const struct daemon *d = arg;

	return d->stopping ? NULL : d->now;
}

static int
daemon_take_changed(void *arg, struct config *config, struct config_errors *errs)
{
	struct daemon *d = arg;
	int err = daemon_replace(d, config, errs);

	if (!err)
		adit_log(d->log, ADIT_LOG_INFO, NULL, "config changed");
	return err;
}

static int
daemon_reload_asked(void *arg, struct config_errors *errs)
{
	struct daemon *d = arg;
	int err = daemon_read_again(d, errs);

	adit_log(d->log, ADIT_LOG_INFO, NULL, "%s",
		 err ? "config not reloaded, nothing has changed" : "config reloaded");
	return err;
}

static void
daemon_answer(void *arg, struct desk_ask *a)
{
	struct daemon *d = arg;
	const struct admin admin = {
		.kinds = d->conf->kinds, .args = &d->conf->args, .now = daemon_now,
		.take = daemon_take_changed, .reload = daemon_reload_asked, .arg = d,
	};

	admin_answer(&admin, a);
}

/* ---- signals -------------------------------------------------------------------------------- */

static void
daemon_stop(struct daemon *d)
{
	struct draining *one;

	if (d->stopping) {		/* asked twice: no more patience */
		LIST_FOREACH(one, &d->draining, entry)
			one->deadline = 0;
		timer_start(&d->drain_timer, 0);
		return;
	}
	d->stopping = true;
	adit_log(d->log, ADIT_LOG_INFO, NULL, "stopping");
	LIST_FOREACH(one, &d->draining, entry) {	/* what replaces them goes too */
		one->next = NULL;
		service_set_grace(one->service, 0);
	}
	for (size_t i = 0; d->now && i < d->now->config->services.n; i++) {
		daemon_drain(d, d->now->services[i], NULL, NULL);
		d->now->services[i] = NULL;
	}
	timer_start(&d->drain_timer, 0);
}

static void
daemon_signal(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	switch (fd) {
	case SIGTERM:
	case SIGINT:
		daemon_stop(d);
		break;
	case SIGHUP:
		log_reopen(d->log);
		if (!d->stopping)
			daemon_reload(d, false);
		break;
	default:			/* SIGUSR1, SIGUSR2: gost ignores them too */
		break;
	}
}

static int
daemon_watch_signals(struct daemon *d)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		evsignal_assign(&d->signals[i], d->base, signals[i], daemon_signal, d);
		if (event_add(&d->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

/*
 * A shell's limit for a process is 1024 descriptors, and each connection takes one or two: all that
 * may be had are taken, as gost does.
 */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Workers, with all signals blocked: those are the main thread's. */
static int
daemon_start_workers(struct daemon *d, struct adit_err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct worker_conf workers = {
		.workers = d->conf->workers, .memory = d->conf->memory, .log = d->log,
	};
	sigset_t all, old;

	if (!workers.workers)
		workers.workers = cores > 0 ? (unsigned)cores : 1;
	if (workers.workers > ADIT_WORKERS_MAX)
		workers.workers = ADIT_WORKERS_MAX;
	d->sockets = listen_book_new(workers.workers);
	if (!d->sockets)
		return adit_err_set(e, -ENOMEM, "out of memory");
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	d->workers = workers_start(&workers, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return d->workers ? 0 : e->code;
}

/* All that a configuration needs to run in. */
static int
daemon_prepare(struct daemon *d, struct adit_err *e)
{
	raise_descriptors();
	d->base = event_base_new();
	if (!d->base)
		return adit_err_set(e, -ENOMEM, "out of memory");
	d->desk = desk_new(d->base, daemon_answer, d);
	if (!d->desk)
		return adit_err_set(e, -ENOMEM, "out of memory");
	event_assign(&d->drain_timer, d->base, -1, 0, daemon_drain_step, d);
	event_assign(&d->reload_timer, d->base, -1, 0, daemon_reload_timer, d);
	if (daemon_start_workers(d, e) < 0)
		return e->code;
	if (tunnels_start(d->workers) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	if (daemon_watch_signals(d) < 0)
		return adit_err_set(e, -ENOMEM, "cannot watch signals");
	return 0;
}

/* As daemon_switch. */
static int
daemon_start(struct daemon *d, struct config *config, struct config_errors *errs)
{
	const struct log_conf log = log_conf_of(config);
	struct adit_err e = ADIT_ERR_INIT;

	d->log = log_open(&log, &e);
	if (!d->log)
		return say_log(config, &e, errs);
	if (daemon_prepare(d, &e) < 0) {
		say_nowhere(errs, &e);
		return e.code;
	}
	atomic_store(&desk_counts(d->desk)->changed, time(NULL));
	return daemon_switch(d, config, errs);
}

static void
daemon_fini(struct daemon *d)
{
	struct draining *one;

	if (d->now)
		daemon_retire(d, d->now, NULL);
	while ((one = LIST_FIRST(&d->draining))) {
		service_kill(one->service, d->workers);
		draining_free(d, one);
	}
	daemon_drop_retired(d);
	desk_close(d->desk);
	workers_stop(d->workers);
	desk_free(d->desk);
	listen_book_free(d->sockets);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(*d->signals); i++)
		if (event_initialized(&d->signals[i]))
			event_del(&d->signals[i]);
	if (d->base) {
		event_del(&d->drain_timer);
		event_del(&d->reload_timer);
		event_base_free(d->base);
	}
	log_free(d->log);
}

/* Says why it was not started; returns the exit status. */
static int
daemon_report(struct daemon *d, int err, const struct config_errors *errs)
{
	if (err == ADIT_ECONFIG) {	/* as what the loader finds: nothing has begun */
		config_errors_print(errs, stderr);
		return 2;
	}
	daemon_log_errors(d, ADIT_LOG_FATAL, errs);
	return 1;
}

static void
daemon_loop(struct daemon *d)
{
	if (d->conf->reload)
		timer_start(&d->reload_timer, d->conf->reload);
	event_base_dispatch(d->base);
	if (d->now) {		/* its services were drained one by one */
		daemon_drop(d, d->now, NULL);
		d->now = NULL;
	}
	adit_log(d->log, ADIT_LOG_INFO, NULL, "stopped");
}

int
daemon_run(const struct daemon_conf *conf, struct config *config)
{
	struct config_errors *errs = config_errors_new();
	struct daemon d = { .conf = conf };
	int err = -ENOMEM, status = 1;

	LIST_INIT(&d.draining);
	TAILQ_INIT(&d.retired);
	if (errs)
		err = daemon_start(&d, config, errs);
	config_put(config);
	if (!err)
		daemon_loop(&d);
	if (errs)
		status = err ? daemon_report(&d, err, errs) : 0;
	config_errors_free(errs);
	daemon_fini(&d);
	return status;
}

int
daemon_check(const struct registry *registry, struct config *config, struct config_errors *errs)
{
	const struct worker_conf one = { .workers = 1 };
	struct adit_err e = ADIT_ERR_INIT;
	struct worker_group *workers = workers_start(&one, &e);
	struct service_world world = { .registry = registry };
	struct generation *g;

	if (!workers) {
		say_nowhere(errs, &e);
		return e.code;
	}
	world.home = workers_at(workers, 0);
	g = generation_new(config, NULL, &world, errs);
	generation_free(g, NULL);
	workers_stop(workers);
	return g ? 0 : ADIT_ECONFIG;
}
