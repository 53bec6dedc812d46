#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <adit/log.h>

#include "core/conn/listen.h"
#include "core/runtime/log.h"
#include "core/runtime/worker.h"
#include "core/service/daemon.h"
#include "core/service/generation.h"
#include "core/tunnel/table.h"

/*
 * How often a service that drains is looked at, and how long what was ended by force may take to be
 * gone.
 */
#define DRAIN_STEP_NS ADIT_MS(20)
#define KILL_NS ADIT_SECONDS(2)

/* A service that a reload removed, or all of them at the stop. */
struct draining {
	struct service		*service;
	uint64_t		 deadline;
	bool			 killed;
	LIST_ENTRY(draining)	 entry;
};

LIST_HEAD(draining_list, draining);

struct daemon {
	const struct daemon_conf	*conf;
	struct adit_log			*log;
	struct event_base		*base;
	struct event			 signals[5];
	struct event			 drain_timer, reload_timer;
	struct worker_group		*workers;
	struct listen_book		*sockets;
	struct generation		*now;
	struct draining_list		 draining;
	bool				 stopping;
};

static struct service_world
daemon_world(struct daemon *d)
{
	return (struct service_world){
		.registry = d->conf->registry, .sockets = d->sockets, .log = d->log,
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
daemon_drain(struct daemon *d, struct service *s)
{
	struct draining *one = calloc(1, sizeof(*one));

	service_stop(s, d->workers);
	service_close(s);
	if (!one) {			/* no memory to wait with */
		service_kill(s, d->workers);
		service_put(s);
		return;
	}
	one->service = s;
	one->deadline = adit_now() + d->conf->drain;
	LIST_INSERT_HEAD(&d->draining, one, entry);
	timer_start(&d->drain_timer, 0);
}

/* Whether it is done with. */
static bool
draining_step(struct daemon *d, struct draining *one)
{
	uint64_t now = adit_now();

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
		if (!draining_step(d, one))
			continue;
		LIST_REMOVE(one, entry);
		service_put(one->service);
		free(one);
	}
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
daemon_start_new(struct daemon *d, struct generation *next, struct adit_err *e)
{
	for (size_t i = 0; i < next->config->services.n; i++) {
		if (next->taken[i])
			continue;
		if (service_start(next->services[i], d->workers, e) == 0)
			continue;
		while (i-- > 0)
			if (!next->taken[i])
				service_kill(next->services[i], d->workers);
		return e->code;
	}
	return 0;
}

static void
chains_stop_on(struct adit_worker *w, void *arg)
{
	struct generation *g = arg;

	for (size_t i = 0; i < g->config->chains.n; i++)
		if (g->chains[i])
			chain_stop(g->chains[i], w);
}

/*
 * Lets old go: services that next has not are drained, chains that it has not give up their
 * sessions.
 */
static void
daemon_retire(struct daemon *d, struct generation *old, const struct generation *next)
{
	if (!old)
		return;
	for (size_t i = 0; i < old->config->services.n; i++) {
		struct service *s = old->services[i];

		old->services[i] = NULL;
		if (!generation_has(next, s))
			daemon_drain(d, s);
	}
	generation_forget_chains(old, next);
	workers_call(d->workers, chains_stop_on, old);
	generation_free(old, next);
}

static int
daemon_switch(struct daemon *d, struct config *config, struct adit_err *e)
{
	const struct service_world world = daemon_world(d);
	struct generation *next = generation_new(config, d->now, &world, e), *old = d->now;

	if (!next)
		return e->code;
	if (daemon_start_new(d, next, e) < 0) {
		generation_free(next, old);
		return e->code;
	}
	generation_commit(next, d->workers);
	d->now = next;
	daemon_retire(d, old, next);
	return 0;
}

static void
daemon_log_errors(struct daemon *d, const struct config_errors *errs)
{
	const char *text;

	for (size_t i = 0; (text = config_errors_text(errs, i)); i++)
		adit_log(d->log, ADIT_LOG_ERROR, NULL, "%.*s", (int)strcspn(text, "\n"), text);
}

/* All of config, its log too, or nothing. */
static int
daemon_take(struct daemon *d, struct config *config, struct adit_err *e)
{
	const struct log_conf conf = log_conf_of(config);
	struct log_change log;
	int err = log_prepare(&log, &conf, e);

	if (err)
		return err;
	err = daemon_switch(d, config, e);
	if (!err)
		log_apply(d->log, &log);
	log_change_fini(&log);
	return err;
}

static void
daemon_reload(struct daemon *d, bool by_itself)
{
	struct config_errors *errs = config_errors_new();
	struct config *config = errs ? config_load(&d->conf->args, d->conf->kinds, 0, errs) : NULL;
	struct adit_err e = ADIT_ERR_INIT;
	int err = ADIT_ECONFIG;

	if (!config)
		daemon_log_errors(d, errs);
	else
		err = daemon_take(d, config, &e);
	if (err)
		adit_log(d->log, ADIT_LOG_ERROR, NULL,
			 "config not reloaded, nothing has changed%s%s",
			 *e.text ? ": " : "", e.text);
	else
		adit_log(d->log, by_itself ? ADIT_LOG_DEBUG : ADIT_LOG_INFO, NULL, "%s",
			 by_itself ? "config auto reloaded" : "config reloaded");
	config_put(config);
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
	for (size_t i = 0; d->now && i < d->now->config->services.n; i++) {
		daemon_drain(d, d->now->services[i]);
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

static int
daemon_start(struct daemon *d, struct config *config, struct adit_err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct worker_conf workers = { .workers = d->conf->workers, .memory = d->conf->memory };
	const struct log_conf log = log_conf_of(config);
	sigset_t all, old;

	d->log = log_open(&log, e);
	if (!d->log)
		return e->code;
	raise_descriptors();
	if (!workers.workers)
		workers.workers = cores > 0 ? (unsigned)cores : 1;
	if (workers.workers > ADIT_WORKERS_MAX)
		workers.workers = ADIT_WORKERS_MAX;
	workers.log = d->log;
	d->base = event_base_new();
	d->sockets = listen_book_new(workers.workers);
	if (!d->base || !d->sockets)
		return adit_err_set(e, -ENOMEM, "out of memory");
	event_assign(&d->drain_timer, d->base, -1, 0, daemon_drain_step, d);
	event_assign(&d->reload_timer, d->base, -1, 0, daemon_reload_timer, d);
	/* Signals are the main thread's: the others start with all of them blocked. */
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	d->workers = workers_start(&workers, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!d->workers)
		return e->code;
	if (tunnels_start(d->workers) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	if (daemon_watch_signals(d) < 0)
		return adit_err_set(e, -ENOMEM, "cannot watch signals");
	return daemon_switch(d, config, e);
}

static void
daemon_fini(struct daemon *d)
{
	struct draining *one;

	if (d->now)
		daemon_retire(d, d->now, NULL);
	while ((one = LIST_FIRST(&d->draining))) {
		LIST_REMOVE(one, entry);
		service_kill(one->service, d->workers);
		service_put(one->service);
		free(one);
	}
	workers_stop(d->workers);
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

int
daemon_run(const struct daemon_conf *conf, struct config *config)
{
	struct daemon d = { .conf = conf };
	struct adit_err e = ADIT_ERR_INIT;
	int err;

	LIST_INIT(&d.draining);
	err = daemon_start(&d, config, &e);
	config_put(config);
	if (err) {
		adit_log(d.log, ADIT_LOG_FATAL, NULL, "%s", e.text);
	} else {
		if (conf->reload)
			timer_start(&d.reload_timer, conf->reload);
		event_base_dispatch(d.base);
		if (d.now) {		/* its services were drained one by one */
			workers_call(d.workers, chains_stop_on, d.now);
			generation_free(d.now, NULL);
			d.now = NULL;
		}
		adit_log(d.log, ADIT_LOG_INFO, NULL, "stopped");
	}
	daemon_fini(&d);
	return err ? 1 : 0;
}

int
daemon_check(const struct registry *registry, struct config *config, struct adit_err *e)
{
	const struct worker_conf one = { .workers = 1 };
	struct worker_group *workers = workers_start(&one, e);
	struct service_world world = { .registry = registry };
	struct generation *g;

	if (!workers)
		return e->code;
	world.home = workers_at(workers, 0);
	g = generation_new(config, NULL, &world, e);
	generation_free(g, NULL);
	workers_stop(workers);
	return g ? 0 : e->code;
}
