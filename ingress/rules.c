/* ingress rules: host names to tunnels, from the configuration and from where it says. */
#include "core/tunnel/ingress_table.h"

static struct rules_ingress *
rules_ingress_of(struct adit_ingress *i)
{
	return adit_container_of(i, struct rules_ingress, base);
}

static int
rules_ingress_lookup(struct adit_ingress *i, struct adit_worker *w, const char *service,
		     const char *host, struct adit_rule *out)
{
	struct ingress_table *table =
		atomic_load_explicit(&rules_ingress_of(i)->table, memory_order_acquire);

	return table ? ingress_table_find(table, w, service, host, out) : ADIT_ENORULES;
}

static int
rules_ingress_wait(struct adit_ingress *i, struct adit_worker *w, const char *host,
		   struct adit_lookup *q)
{
	struct ingress_table *table =
		atomic_load_explicit(&rules_ingress_of(i)->table, memory_order_acquire);

	return table ? ingress_table_wait(table, w, host, q) : ADIT_ENORULES;
}

static void
rules_ingress_offer(struct adit_ingress *i, struct adit_worker *w, const struct adit_offer *offer)
{
	struct ingress_table *table =
		atomic_load_explicit(&rules_ingress_of(i)->table, memory_order_acquire);

	if (table)
		ingress_table_offer(table, w, offer);
}

static void
rules_ingress_fini(struct adit_ingress *i)
{
	ingress_table_free(atomic_load(&rules_ingress_of(i)->table));
}

const struct adit_ingress_ops ingress_rules = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(ingress_rules),
		.kind = ADIT_INGRESS,
		.name = "rules",
		.help = "rules of the configuration, of a file, a Redis or a URL, or of a plugin",
		.instance = sizeof(struct rules_ingress),
	},
	.lookup = rules_ingress_lookup,
	.wait = rules_ingress_wait,
	.offer = rules_ingress_offer,
	.fini = rules_ingress_fini,
};
