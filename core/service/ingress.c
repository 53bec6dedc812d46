#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/component.h"
#include "core/service/ingress.h"
#include "core/tunnel/ingress_table.h"

/* Who holds it: the generations that have it, and the services that began with one of them. */
struct held_ingress {
	struct rules_ingress	 rules;
	struct adit_component	 place;
	struct config		*config;	/* referenced */
};

static void
held_destroyed(struct adit_component *p)
{
	struct held_ingress *h = adit_container_of(p, struct held_ingress, place);

	if (h->rules.base.ops && h->rules.base.ops->fini)
		h->rules.base.ops->fini(&h->rules.base);
	config_put(h->config);
	free(h);
}

struct ingress_table *
ingress_read(const struct config *config, size_t index, const struct service_world *world,
	     struct adit_ingress *before, struct config_errors *errs)
{
	static const char *const unavailable[] = { "type", NULL };
	struct rules_ingress *rules = before ? adit_container_of(before, struct rules_ingress,
								 base) : NULL;
	const struct ingress_table *old = rules ? atomic_load(&rules->table) : NULL;
	const struct ingress_conf *conf = &config->ingresses.v[index];
	const struct place top = { .errs = errs };
	struct adit_err e = ADIT_ERR_INIT;
	struct ingress_table *table;
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_INGRESSES), index, conf->node);
	if (place_unavailable(&step.at, unavailable) < 0)
		return NULL;
	table = ingress_table_new(world->home, conf, world->log, old, &e);
	if (!table)
		place_refuse(&step.at, &e);
	return table;
}

static void
held_init(struct held_ingress *h, const struct service_world *world, const struct place *at)
{
	const struct adit_plugin *p = registry_find(world->registry, ADIT_INGRESS, "rules");
	struct adit_err e = ADIT_ERR_INIT;

	h->rules.base.ops = (const void *)p;
	if (!p)
		place_say(at, ADIT_EUNSUPPORTED, "ingress is not available in this build");
	else if (h->rules.base.ops->init && h->rules.base.ops->init(&h->rules.base, &e) < 0)
		place_refuse(at, &e);
}

struct adit_ingress *
ingress_new(struct config *config, size_t index, const struct service_world *world,
	    struct config_errors *errs)
{
	const struct ingress_conf *conf = &config->ingresses.v[index];
	const struct place at = { .node = conf->node, .errs = errs };
	struct held_ingress *h = calloc(1, sizeof(*h));

	if (!h) {
		place_say(&at, -ENOMEM, "out of memory");
		return NULL;
	}
	component_init(&h->place, conf->name, world->log, held_destroyed);
	h->rules.base.component = &h->place;
	h->config = config_get(config);
	atomic_store(&h->rules.table, ingress_read(config, index, world, NULL, errs));
	held_init(h, world, &at);
	return &h->rules.base;
}

void
adit_lookup_end(struct adit_lookup *q)
{
	if (!q->prev)
		return;
	*q->prev = q->next;
	if (q->next)
		q->next->prev = q->prev;
	q->prev = NULL;
}

struct adit_ingress *
ingress_get(struct adit_ingress *i)
{
	adit_component_get(i->component);
	return i;
}

void
ingress_put(struct adit_ingress *i)
{
	if (i)
		adit_component_put(i->component);
}

struct ingress_table *
ingress_replace(struct adit_ingress *i, struct ingress_table *table)
{
	struct rules_ingress *r = adit_container_of(i, struct rules_ingress, base);

	return atomic_exchange_explicit(&r->table, table, memory_order_acq_rel);
}
