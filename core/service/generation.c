#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/identity/auther.h"
#include "core/identity/grants.h"
#include "core/identity/permit.h"
#include "core/policy/limiter.h"
#include "core/policy/policy.h"
#include "core/runtime/worker.h"
#include "core/service/claim.h"
#include "core/service/generation.h"
#include "core/service/ingress.h"
#include "core/service/names.h"
#include "core/service/recorder.h"
#include "core/tunnel/ingress_table.h"

bool
generation_has(const struct generation *other, const struct service *s)
{
	for (size_t i = 0; other && i < other->config->services.n; i++)
		if (other->services[i] == s)
			return true;
	return false;
}

struct service *
generation_named(const struct generation *g, const char *name)
{
	ptrdiff_t i = g ? config_index_find(g->config, CONFIG_SERVICES, name) : -1;

	return i < 0 ? NULL : g->services[i];
}

void
generation_forget_chains(struct generation *g, const struct generation *other)
{
	for (size_t i = 0; other && i < g->config->chains.n; i++) {
		for (size_t j = 0; j < other->config->chains.n; j++) {
			if (g->chains[i] != other->chains[j])
				continue;
			chain_put(g->chains[i]);
			g->chains[i] = NULL;
			break;
		}
	}
}

static void
generation_drop_auths(struct generation *g)
{
	for (size_t i = 0; g->auths && i < g->config->services.n; i++)
		auth_set_free(g->auths[i]);
	free(g->auths);
	g->auths = NULL;
}

static void
drop_auther(void *auther)
{
	auther_free(auther);
}

static void
drop_grants(void *grants)
{
	grants_free(grants);
}

/* What is made anew for each generation, and replaces what it says in the object of its name. */
struct held_kind {
	enum config_list list;
	/* before: what the object of that name says now; NULL: there was none. */
	void		*(*make)(const struct policy_world *world, size_t index,
				 const void *before, struct config_errors *errs);
	void		(*drop)(void *made);
};

static void *
make_admission(const struct policy_world *world, size_t index, const void *before,
	       struct config_errors *errs)
{
	return admission_new(world, index, before, errs);
}

static void *
make_bypass(const struct policy_world *world, size_t index, const void *before,
	    struct config_errors *errs)
{
	return bypass_new(world, index, before, errs);
}

static void *
make_resolver(const struct policy_world *world, size_t index, const void *before,
	      struct config_errors *errs)
{
	(void)before;
	return name_servers_new(world, index, errs);
}

static void *
make_limiter(const struct policy_world *world, size_t index, const void *before,
	     struct config_errors *errs)
{
	return limiter_new(world, CONFIG_LIMITERS, index, before, errs);
}

static void *
make_climiter(const struct policy_world *world, size_t index, const void *before,
	      struct config_errors *errs)
{
	return limiter_new(world, CONFIG_CLIMITERS, index, before, errs);
}

static void *
make_rlimiter(const struct policy_world *world, size_t index, const void *before,
	      struct config_errors *errs)
{
	return limiter_new(world, CONFIG_RLIMITERS, index, before, errs);
}

static void *
make_recorder(const struct policy_world *world, size_t index, const void *before,
	      struct config_errors *errs)
{
	(void)before;
	return recorder_new(world, index, errs);
}

/* Whether a handler asks it; what nobody asks need not be there. */
static bool
auther_is_used(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->services.n; i++) {
		const struct adit_strings *names = &config->services.v[i].handler->authers;

		for (size_t k = 0; k < names->n; k++)
			if (strcmp(names->v[k], name) == 0)
				return true;
	}
	return false;
}

static void *
make_auther(const struct policy_world *world, size_t index, const void *before,
	    struct config_errors *errs)
{
	const struct auther_conf *conf = &world->config->authers.v[index];
	const struct place top = { .errs = errs };
	struct place_step step;

	if (!auther_is_used(world->config, conf->name))
		return NULL;
	place_step_item(&step, &top, config_list_name(CONFIG_AUTHERS), index, conf->node);
	return auther_new(world->home, world->config, conf, before, world->log, &step.at);
}

static void *
make_grants(const struct policy_world *world, size_t index, const void *before,
	    struct config_errors *errs)
{
	const struct place at = { .node = world->config->grants.v[index].node, .errs = errs };
	struct grants *made = grants_new(world->config, index, before);

	if (!made)
		place_say(&at, -ENOMEM, "out of memory");
	return made;
}

static const struct held_kind held_kinds[] = {
	{ CONFIG_ADMISSIONS, make_admission, policy_free },
	{ CONFIG_BYPASSES, make_bypass, policy_free },
	{ CONFIG_HOSTS, hosts_map_new, hosts_map_free },
	{ CONFIG_RESOLVERS, make_resolver, name_servers_put },
	{ CONFIG_LIMITERS, make_limiter, limiter_free },
	{ CONFIG_CLIMITERS, make_climiter, limiter_free },
	{ CONFIG_RLIMITERS, make_rlimiter, limiter_free },
	{ CONFIG_RECORDERS, make_recorder, recorder_free },
	{ CONFIG_AUTHERS, make_auther, drop_auther },
	{ CONFIG_GRANTS, make_grants, drop_grants },
};

#define HELD_KINDS (sizeof(held_kinds) / sizeof(*held_kinds))

static int
kind_alloc(struct generation *g, const struct held_kind *kind)
{
	struct generation_held *all = &g->held[kind->list];
	size_t n = config_index_len(g->config, kind->list);

	all->v = calloc(n + 1, sizeof(*all->v));
	all->fresh = calloc(n + 1, sizeof(*all->fresh));
	return all->v && all->fresh ? 0 : -ENOMEM;
}

static bool
kind_is_complete(const struct generation *g, const struct held_kind *kind)
{
	for (size_t i = 0; i < config_index_len(g->config, kind->list); i++)
		if (!g->held[kind->list].v[i])
			return false;
	return true;
}

static void
kind_drop_fresh(struct generation *g, const struct held_kind *kind)
{
	struct generation_held *all = &g->held[kind->list];

	for (size_t i = 0; all->fresh && i < config_index_len(g->config, kind->list); i++) {
		kind->drop(all->fresh[i]);
		all->fresh[i] = NULL;
	}
}

static void
kind_commit(struct generation *g, const struct held_kind *kind)
{
	struct generation_held *all = &g->held[kind->list];

	for (size_t i = 0; i < config_index_len(g->config, kind->list); i++)
		if (all->fresh[i])
			all->fresh[i] = held_replace(all->v[i], all->fresh[i]);
}

static void
kind_free(struct generation *g, const struct held_kind *kind)
{
	struct generation_held *all = &g->held[kind->list];

	kind_drop_fresh(g, kind);
	for (size_t i = 0; all->v && i < config_index_len(g->config, kind->list); i++)
		held_put(all->v[i]);
	free(all->v);
	free(all->fresh);
}

void
generation_free(struct generation *g, const struct generation *keep)
{
	if (!g)
		return;
	for (size_t i = 0; g->services && i < g->config->services.n; i++)
		if (g->services[i] && !generation_has(keep, g->services[i]))
			service_put(g->services[i]);
	for (size_t i = 0; g->chains && i < g->config->chains.n; i++)
		chain_put(g->chains[i]);
	for (size_t i = 0; g->ingresses && i < g->config->ingresses.n; i++)
		ingress_put(g->ingresses[i]);
	for (size_t i = 0; g->tables && i < g->config->ingresses.n; i++)
		ingress_table_free(g->tables[i]);
	generation_drop_auths(g);
	for (size_t k = 0; k < HELD_KINDS; k++)
		kind_free(g, &held_kinds[k]);
	free(g->services);
	free(g->chains);
	free(g->ingresses);
	free(g->tables);
	free(g->taken);
	config_put(g->config);
	free(g);
}

static struct chain *
old_chain(const struct generation *g, const struct generation *old, const char *name)
{
	if (!old || !config_object_equal(old->config, g->config, CONFIG_CHAINS, name))
		return NULL;
	return chain_get(old->chains[config_index_find(old->config, CONFIG_CHAINS, name)]);
}

static struct adit_ingress *
old_ingress(const struct generation *old, const char *name)
{
	ptrdiff_t i = old ? config_index_find(old->config, CONFIG_INGRESSES, name) : -1;

	return i < 0 ? NULL : ingress_get(old->ingresses[i]);
}

static struct service *
old_service(const struct generation *g, const struct generation *old,
	    const struct service_conf *conf)
{
	struct service *s = generation_named(old, conf->name);

	if (s && service_conf_equal(service_config(s), service_conf_of(s), g->config, conf))
		return s;
	return NULL;
}

static void
generation_make_chains(struct generation *g, const struct generation *old,
		       const struct service_world *world, struct config_errors *errs)
{
	for (size_t i = 0; i < g->config->chains.n; i++) {
		g->chains[i] = old_chain(g, old, g->config->chains.v[i].name);
		if (!g->chains[i])
			g->chains[i] = chain_new(world, i, errs);
	}
}

static void
generation_make_ingresses(struct generation *g, const struct generation *old,
			  const struct service_world *world, struct config_errors *errs)
{
	for (size_t i = 0; i < g->config->ingresses.n; i++) {
		const char *name = g->config->ingresses.v[i].name;

		g->ingresses[i] = old_ingress(old, name);
		if (!g->ingresses[i])
			g->ingresses[i] = ingress_new(g->config, i, world, errs);
		else if (!config_object_equal(old->config, g->config, CONFIG_INGRESSES, name))
			g->tables[i] = ingress_read(g->config, i, world, g->ingresses[i],
						    errs);
	}
}

static struct held *
old_held(const struct generation *old, enum config_list list, const char *name)
{
	ptrdiff_t i = old ? config_index_find(old->config, list, name) : -1;

	return i < 0 ? NULL : old->held[list].v[i];
}

/* One that is new says at once what was made, others from the commit on. */
static void
kind_make(struct generation *g, const struct generation *old, const struct held_kind *kind,
	  const struct policy_world *world, struct config_errors *errs)
{
	struct generation_held *all = &g->held[kind->list];
	const struct place top = { .errs = errs };

	for (size_t i = 0; i < config_index_len(g->config, kind->list); i++) {
		const char *name = config_index_name(g->config, kind->list, i);
		struct held *before = old_held(old, kind->list, name);
		void *made = kind->make(world, i, before ? held_now(before) : NULL, errs);

		all->v[i] = before ? held_get(before) : held_new(made, kind->drop);
		if (before)
			all->fresh[i] = made;
		else if (made && !all->v[i])
			place_say(&top, -ENOMEM, "out of memory");
	}
}

static void
generation_make_held(struct generation *g, const struct generation *old,
		     const struct service_world *world, struct config_errors *errs)
{
	const struct policy_world mine = {
		.config = g->config, .home = world->home, .log = world->log, .desk = world->desk,
	};

	for (size_t k = 0; k < HELD_KINDS; k++)
		kind_make(g, old, &held_kinds[k], &mine, errs);
}

/* Resolvers are named by chains, and some are asked through one. */
static void
generation_join_resolvers(struct generation *g)
{
	const struct generation_held *all = &g->held[CONFIG_RESOLVERS];

	for (size_t i = 0; i < g->config->resolvers.n; i++)
		name_servers_take_chains(all->fresh[i] ? all->fresh[i] : held_now(all->v[i]),
					 g->chains);
}

static void
generation_make_services(struct generation *g, const struct generation *old,
			 const struct service_world *world, struct config_errors *errs)
{
	for (size_t i = 0; i < g->config->services.n; i++) {
		g->services[i] = old_service(g, old, &g->config->services.v[i]);
		g->taken[i] = g->services[i] != NULL;
		if (g->taken[i])
			service_read_auth(g->config, i, &g->auths[i], errs);
		else
			g->services[i] = service_new(world, i, errs);
	}
}

static void
generation_check_claims(const struct generation *g, struct config_errors *errs)
{
	struct claimant *v = calloc(g->config->services.n + 1, sizeof(*v));
	const struct place top = { .errs = errs };
	size_t n = 0;

	if (!v) {
		place_say(&top, -ENOMEM, "out of memory");
		return;
	}
	for (; n < g->config->services.n && g->services[n]; n++)
		v[n] = (struct claimant){
			.claims = service_claims(g->services[n]),
			.node = g->config->services.v[n].node,
		};
	claims_check(v, n, errs);
	free(v);
}

static int
generation_alloc_held(struct generation *g)
{
	for (size_t k = 0; k < HELD_KINDS; k++)
		if (kind_alloc(g, &held_kinds[k]) < 0)
			return -ENOMEM;
	return 0;
}

static struct generation *
generation_alloc(struct config *config)
{
	struct generation *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->config = config_get(config);
	g->chains = calloc(config->chains.n + 1, sizeof(struct chain *));
	g->ingresses = calloc(config->ingresses.n + 1, sizeof(struct adit_ingress *));
	g->tables = calloc(config->ingresses.n + 1, sizeof(struct ingress_table *));
	g->services = calloc(config->services.n + 1, sizeof(struct service *));
	g->auths = calloc(config->services.n + 1, sizeof(*g->auths));
	g->taken = calloc(config->services.n + 1, sizeof(bool));
	if (g->chains && g->ingresses && g->tables && g->services && g->taken && g->auths &&
	    generation_alloc_held(g) == 0)
		return g;
	generation_free(g, NULL);
	return NULL;
}

static bool
generation_holds_all(const struct generation *g)
{
	for (size_t k = 0; k < HELD_KINDS; k++)
		if (!kind_is_complete(g, &held_kinds[k]))
			return false;
	return true;
}

static bool
generation_is_complete(const struct generation *g)
{
	if (!generation_holds_all(g))
		return false;
	for (size_t i = 0; i < g->config->chains.n; i++)
		if (!g->chains[i])
			return false;
	for (size_t i = 0; i < g->config->ingresses.n; i++)
		if (!g->ingresses[i])
			return false;
	return true;
}

struct generation *
generation_new(struct config *config, const struct generation *old,
	       const struct service_world *world, struct config_errors *errs)
{
	static const char *const unavailable[] = { "profiling", NULL };
	const struct place top = { .node = config->node, .errs = errs };
	struct generation *g = generation_alloc(config);
	size_t before = config_errors_count(errs);
	struct service_world mine = *world;

	if (!g) {
		place_say(&top, -ENOMEM, "out of memory");
		return NULL;
	}
	mine.config = config;
	mine.chains = g->chains;
	mine.ingresses = g->ingresses;
	mine.authers = g->held[CONFIG_AUTHERS].v;
	mine.grants = g->held[CONFIG_GRANTS].v;
	for (size_t k = 0; k < HELD_KINDS; k++)
		mine.held[held_kinds[k].list] = g->held[held_kinds[k].list].v;
	place_unavailable(&top, unavailable);
	if (!config->services.n)	/* gost would run and do nothing */
		place_say(&top, ADIT_ECONFIG, "services: there are none, nothing would be started");
	generation_make_held(g, old, &mine, errs);
	if (generation_holds_all(g))	/* chains name them */
		generation_make_chains(g, old, &mine, errs);
	generation_make_ingresses(g, old, &mine, errs);
	if (generation_is_complete(g)) {	/* services name them */
		generation_make_services(g, old, &mine, errs);
		generation_check_claims(g, errs);
	}
	if (config_errors_count(errs) == before) {
		generation_join_resolvers(g);
		return g;
	}
	generation_free(g, old);
	return NULL;
}

int
generation_open(struct generation *g, struct config_errors *errs)
{
	int err = 0;

	for (size_t i = 0; i < g->config->services.n; i++) {
		int one = g->taken[i] ? 0 : service_open(g->services[i], errs);

		err = err ? err : one;
	}
	return err;
}

/* What goes on by a right that was withdrawn ends here. */
static void
worker_turned(struct adit_worker *w, void *arg)
{
	(void)arg;
	permits_check(w);
}

void
generation_commit(struct generation *g, struct worker_group *workers)
{
	for (size_t i = 0; i < g->config->ingresses.n; i++)
		if (g->tables[i])
			g->tables[i] = ingress_replace(g->ingresses[i], g->tables[i]);
	for (size_t i = 0; i < g->config->services.n; i++) {
		if (g->taken[i])
			g->auths[i] = service_swap_auth(g->services[i], g->auths[i]);
		else
			service_settle(g->services[i]);
	}
	for (size_t k = 0; k < HELD_KINDS; k++)
		kind_commit(g, &held_kinds[k]);
	workers_call(workers, worker_turned, NULL);
	generation_drop_auths(g);
	for (size_t k = 0; k < HELD_KINDS; k++)
		kind_drop_fresh(g, &held_kinds[k]);
	for (size_t i = 0; i < g->config->ingresses.n; i++) {
		ingress_table_free(g->tables[i]);
		g->tables[i] = NULL;
	}
}
