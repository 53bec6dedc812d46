#include "core/service/guard.h"

#include <errno.h>
#include <string.h>

#include <adit/log.h>

#include "core/identity/held.h"
#include "core/policy/limiter.h"
#include "core/service/world.h"

static int
guard_take_scope(struct guard *g, const struct service_conf *conf, const struct place *at)
{
	const char *text = tree_text(conf->limiter_scope);
	struct place_step metadata, below;

	g->scope = SHARES_SERVICE | SHARES_CONN;
	if (!*text)
		return 0;
	if (strcmp(text, "service") == 0)
		g->scope = SHARES_SERVICE;
	else if (strcmp(text, "conn") == 0)
		g->scope = SHARES_CONN;
	else
		return place_say(place_step(&below,
					    place_step(&metadata, at, "metadata", conf->metadata),
					    "limiter.scope", conf->limiter_scope),
				 ADIT_ECONFIG, "expected service or conn, not \"%.60s\"", text);
	return 0;
}

/*
 * How often its addresses are looked through; of several services' the last counts. There is none
 * where its limits were refused, which stops the start, or the reload, after all services are made.
 */
static void
limiter_set_cleanup(struct held *limiter, uint64_t period)
{
	const struct limiter *l = limiter ? held_now(limiter) : NULL;

	if (l)
		shares_set_cleanup(limiter_shares(l), period);
}

int
guard_init(struct guard *g, const struct service_conf *conf, const struct service_world *world,
	   const struct place *at)
{
	g->log = world->log;
	g->service = conf->name;
	g->bytes = world_held_one(world, CONFIG_LIMITERS, conf->limiter);
	g->conns = world_held_one(world, CONFIG_CLIMITERS, conf->climiter);
	g->rate = world_held_one(world, CONFIG_RLIMITERS, conf->rlimiter);
	limiter_set_cleanup(g->bytes, conf->limiter_cleanup);
	limiter_set_cleanup(g->conns, conf->limiter_cleanup);
	limiter_set_cleanup(g->rate, conf->limiter_cleanup);
	if (conf->handler->limiter)
		adit_log(g->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("service", conf->name)),
			 "handler.limiter %s: only a plugin knows the limits of one client: it "
			 "limits nothing", conf->handler->limiter);
	return guard_take_scope(g, conf, at);
}

void
guard_fini(struct guard *g)
{
	held_put(g->bytes);
	held_put(g->conns);
	held_put(g->rate);
}

int
guard_admit(struct guard *g, struct adit_conn *c)
{
	const struct limiter *l = g->conns ? held_now(g->conns) : NULL;
	int err = l ? shares_admit(limiter_shares(l), limiter_limits(l), c) : 0;

	if (err)
		refusals_count(&g->refusals, g->log, g->service, adit_conn_remote(c),
			       "connection limit");
	return err;
}

uint64_t
guard_allow(struct guard *g, const struct adit_addr *who)
{
	const struct limiter *l = g->rate ? held_now(g->rate) : NULL;
	uint64_t wait = 0;

	if (!l || shares_allow(limiter_shares(l), limiter_limits(l), who, adit_now(), &wait) == 0)
		return 0;
	refusals_count(&g->refusals, g->log, g->service, who, "rate limit");
	return wait ? wait : 1;
}

int
guard_slow(struct guard *g, struct adit_conn *c)
{
	const struct limiter *l = g->bytes ? held_now(g->bytes) : NULL;

	return l ? shares_slow(limiter_shares(l), limiter_limits(l), c, g->scope) : 0;
}
