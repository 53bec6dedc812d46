#include "tests/unit/service_stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/listen.h"
#include "core/service/component.h"
#include "core/tunnel/kept.h"
#include "plugins/builtin.h"
#include "tests/unit/config_text.h"
#include "tests/unit/fakes.h"

#define QUIET_TURNS 12
#define PAIRS       16

/* ---- listener "pair" ------------------------------------------------------------- */

/* Those that are open, by the service's name: a new one of a name hides the one before. */
static struct adit_listener *pairs[PAIRS];

static int
pair_open(struct adit_listener *l, struct adit_err *e)
{
	if (strcmp(l->addr, "refuse:0") == 0)
		return adit_err_set(e, -EADDRINUSE, "%s: refused", l->addr);
	for (size_t i = PAIRS; i-- > 0;) {
		if (pairs[i])
			continue;
		pairs[i] = l;
		return 0;
	}
	return adit_err_set(e, -ENOSPC, "too many pairs");
}

static void
pair_close(struct adit_listener *l)
{
	for (size_t i = 0; i < PAIRS; i++)
		if (pairs[i] == l)
			pairs[i] = NULL;
}

static int
pair_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	(void)l;
	(void)w;
	(void)e;
	return 0;
}

static void
pair_stop(struct adit_listener *l, struct adit_worker *w)
{
	(void)l;
	(void)w;
}

static const struct adit_listener_ops listener_pair = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener_pair),
		.kind = ADIT_LISTENER,
		.name = "pair",
		.help = "accepts what a test gives it",
		.instance = sizeof(struct adit_listener),
	},
	.open = pair_open,
	.start = pair_start,
	.stop = pair_stop,
	.close = pair_close,
};

static struct adit_listener *
pair_find(const struct service_stage *t, const char *name)
{
	for (size_t i = 0; i < PAIRS; i++)
		if (pairs[i] && pairs[i]->component->service == service_stage_find(t, name))
			return pairs[i];
	fail_msg("no listener of type pair: %s", name);
	return NULL;
}

/* ---- the fixture -------------------------------------------------------------------- */

int
service_stage_setup(void **state)
{
	struct service_stage *t = calloc(1, sizeof(*t));
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(t);
	t->loop = loop_new();
	t->registry = registry_new();
	t->sockets = listen_book_new(1);
	t->workers = workers_start(&(struct worker_conf){ .workers = 3 }, &e);
	if (!t->registry || !t->sockets || !t->workers || builtin_register(t->registry, &e) < 0 ||
	    registry_add(t->registry, &listener_pair.base, &e) < 0)
		fail_msg("%s", e.text);
	*state = t;
	return 0;
}

void
service_stage_kill(struct service_stage *t)
{
	for (size_t i = 0; t->now && i < PAIRS; i++)
		if (pairs[i])
			activities_stop(pairs[i]->component->activities, t->loop->worker,
			                ADIT_ESTOPPED);
	loop_turn(t->loop, QUIET_TURNS);
}

int
service_stage_setup_fakes(void **state)
{
	struct service_stage *t;

	if (service_stage_setup(state) < 0)
		return -1;
	t = *state;
	fakes_register(t->registry);
	return 0;
}

int
service_stage_teardown(void **state)
{
	struct service_stage *t = *state;

	service_stage_kill(t);
	generation_free(t->now, NULL);
	kept_drop(t->loop->worker, 0);
	loop_turn(t->loop, QUIET_TURNS);
	for (size_t i = 0; i < PAIRS; i++)
		assert_null(pairs[i]);
	loop_free(t->loop);
	workers_stop(t->workers);
	listen_book_free(t->sockets);
	registry_free(t->registry);
	config_errors_free(t->errs);
	free(t);
	return 0;
}

/* ---- configurations --------------------------------------------------------------------- */

struct config *
service_stage_config(struct service_stage *t, const char *text)
{
	return config_to_start(t->registry, text);
}

struct generation *
service_stage_build(struct service_stage *t, const char *text)
{
	const struct service_world world = {
		.registry = t->registry,
		.sockets = t->sockets,
		.home = t->loop->worker,
	};
	struct config *config = service_stage_config(t, text);
	struct generation *g;

	config_errors_free(t->errs);
	t->errs = config_errors_new();
	assert_non_null(t->errs);
	g = generation_new(config, t->now, &world, t->errs);
	config_put(config);
	if (!g || generation_open(g, t->errs) == 0)
		return g;
	generation_free(g, t->now);
	return NULL;
}

void
service_stage_load(struct service_stage *t, const char *text)
{
	struct generation *next = service_stage_build(t, text), *old = t->now;

	if (!next)
		fail_msg("%s", config_errors_text(t->errs, 0));
	generation_commit(next, t->workers);
	t->now = next;
	generation_free(old, next);
	loop_turn(t->loop, QUIET_TURNS);
}

struct service *
service_stage_find(const struct service_stage *t, const char *name)
{
	for (size_t i = 0; t->now && i < t->now->config->services.n; i++)
		if (strcmp(t->now->config->services.v[i].name, name) == 0)
			return t->now->services[i];
	fail_msg("no service %s", name);
	return NULL;
}

void
service_stage_accept(struct service_stage *t, const char *name, struct adit_conn *c)
{
	adit_accept(pair_find(t, name), c);
}
