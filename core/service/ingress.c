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

	if (h->rules.base.ops->fini)
		h->rules.base.ops->fini(&h->rules.base);
	config_put(h->config);
	free(h);
}

static int
held_init(struct held_ingress *h, const struct ingress_conf *conf,
	  const struct service_world *world, struct adit_err *e)
{
	const struct adit_plugin *p = registry_find(world->registry, ADIT_INGRESS, "rules");
	struct ingress_table *table;

	if (!p || conf->plugin || conf->type || conf->loader.redis || conf->loader.http)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "ingress %s: plugin, redis and http are not available in this "
				    "build", conf->name);
	h->rules.base.ops = (const void *)p;
	table = ingress_table_new(world->home, conf, world->log, e);
	if (!table)
		return e->code;
	atomic_store(&h->rules.table, table);
	return h->rules.base.ops->init ? h->rules.base.ops->init(&h->rules.base, e) : 0;
}

struct adit_ingress *
ingress_new(struct config *config, const struct ingress_conf *conf,
	    const struct service_world *world, struct adit_err *e)
{
	struct held_ingress *h = calloc(1, sizeof(*h));

	if (!h) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	component_init(&h->place, conf->name, world->log, held_destroyed);
	h->rules.base.component = &h->place;
	h->config = config_get(config);
	if (held_init(h, conf, world, e) == 0)
		return &h->rules.base;
	if (!h->rules.base.ops) {
		config_put(h->config);
		free(h);
		return NULL;
	}
	ingress_put(&h->rules.base);
	return NULL;
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
