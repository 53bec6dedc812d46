#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/model.h"
#include "core/runtime/turned.h"
#include "core/source/sources.h"
#include "core/tunnel/ingress_plugin.h"
#include "core/tunnel/ingress_table.h"
#include "core/tunnel/rules.h"

struct ingress_table {
	struct rules *_Atomic	 rules;
	char			*name;
	struct rules		*inlined;
	struct adit_log		*log;
	struct adit_worker	*home;
	struct sources		*sources;
	struct ingress_plugin	*plugin;	/* instead of all else, or NULL */
};

/* ---- making rules of what was read ---------------------------------------------------- */

static void
warn_repeated(const struct ingress_table *t, const char *from, const struct rules *r)
{
	unsigned first, again, n = rules_repeated(r, &first, &again);

	if (n)
		adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
			 "%s: line %u has the host of line %u, whose rule does not count%s",
			 from, again, first, n > 1 ? " (and more such lines)" : "");
}

/* The inline rules with those of the texts over them. */
static void *
table_make(void *arg, const struct source_text *texts, size_t n, struct adit_err *e)
{
	const struct ingress_table *t = arg;
	struct rules *r = rules_new();
	int err = r ? rules_merge(r, t->inlined) : -ENOMEM;

	if (err)
		adit_err_set(e, err, "out of memory");
	for (size_t i = 0; !err && i < n; i++) {
		err = rules_add_text(r, texts[i].text, e);
		if (!err)
			warn_repeated(t, texts[i].from, r);
	}
	if (!err)
		return r;
	rules_free(r);
	return NULL;
}

/* ---- changing rules under those who read them --------------------------------------- */

static void
drop_rules(void *rules)
{
	rules_free(rules);
}

static bool
table_take(void *arg, void *fresh, const char *from, bool complete)
{
	struct ingress_table *t = arg;
	struct turned *turned = turned_new(t->home);
	size_t n = rules_count(fresh);

	(void)complete;		/* who asks for more than there is finds out (ADIT_ENORULES) */
	if (!turned) {
		rules_free(fresh);
		return false;
	}
	turned_start(turned, NULL, drop_rules,
		     atomic_exchange_explicit(&t->rules, fresh, memory_order_acq_rel));
	adit_log(t->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
		 "%zu rules, with those of %s", n, from);
	return true;
}

/* ---- life -------------------------------------------------------------------------------- */

static void
table_destroy(void *arg)
{
	struct ingress_table *t = arg;

	ingress_plugin_free(t->plugin);
	rules_free(t->rules);
	rules_free(t->inlined);
	free(t->name);
	free(t);
}

static int
table_add_inline(struct ingress_table *t, const struct rule_list *list, struct adit_err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct rule_conf *c = &list->v[i];
		const struct adit_rule rule = { .tunnel = c->endpoint, .private_ = c->private_ };

		if (rules_set(t->inlined, c->hostname, &rule, e) < 0)
			return adit_err_context(e, "rules[%zu]", i);
	}
	return 0;
}

static struct ingress_table *
table_new(struct adit_worker *home, const struct ingress_conf *conf, struct adit_log *log)
{
	struct ingress_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->home = home;
	t->log = log;
	t->name = strdup(conf->name ? conf->name : "");
	t->inlined = rules_new();
	if (t->name && t->inlined)
		return t;
	table_destroy(t);
	return NULL;
}

static int
table_set_sources(struct ingress_table *t, const struct ingress_conf *conf, struct adit_err *e)
{
	const struct sources_conf from = {
		.loader = &conf->loader, .kind = "ingress", .name = t->name,
		.stays = "the rules stay as they are", .log = t->log, .max = INGRESS_FILE_MAX,
		.redis_type = "hash", .make = table_make, .take = table_take,
		.drop = drop_rules, .gone = table_destroy, .arg = t,
	};

	t->sources = sources_new(t->home, &from, e);
	return t->sources ? 0 : e->code;
}

/* As in a gost, which does not say so. */
static void
warn_beside_plugin(const struct ingress_table *t, const struct ingress_conf *conf)
{
	const struct loader_conf *l = &conf->loader;

	if (conf->rules.n || l->file || l->redis || l->http)
		adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
			 "rules, file, redis and http do not count beside a plugin");
}

static int
table_set_plugin(struct ingress_table *t, const struct ingress_conf *conf, struct adit_err *e)
{
	t->plugin = ingress_plugin_new(t->home, conf, t->log, e);
	if (!t->plugin)
		return e->code;
	warn_beside_plugin(t, conf);
	return 0;
}

struct ingress_table *
ingress_table_new(struct adit_worker *home, const struct ingress_conf *conf, struct adit_log *log,
		  const struct ingress_table *before, struct adit_err *e)
{
	struct ingress_table *t = table_new(home, conf, log);
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled */
	struct rules *first = NULL;

	if (!t) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (conf->plugin && table_set_plugin(t, conf, &why) == 0)
		return t;
	if (!conf->plugin && table_add_inline(t, &conf->rules, &why) == 0 &&
	    table_set_sources(t, conf, &why) == 0) {
		sources_inherit(t->sources, before ? before->sources : NULL);
		first = sources_read(t->sources, &why);
	}
	if (!first) {
		adit_err_set(e, why.code, "%s", why.text);
		ingress_table_free(t);
		return NULL;
	}
	atomic_init(&t->rules, first);
	sources_start(t->sources);
	return t;
}

int
ingress_table_find(struct ingress_table *t, struct adit_worker *w, const char *service,
		   const char *host, struct adit_rule *out)
{
	int err;

	if (t->plugin)
		return ingress_plugin_find(t->plugin, w, service, host, out);
	err = rules_find(atomic_load_explicit(&t->rules, memory_order_acquire), host, out);
	return err == ADIT_ENOROUTE && !sources_are_known(t->sources) ? ADIT_ENORULES : err;
}

int
ingress_table_wait(struct ingress_table *t, struct adit_worker *w, const char *host,
		   struct adit_lookup *q)
{
	return t->plugin ? ingress_plugin_wait(t->plugin, w, host, q) : ADIT_ENORULES;
}

void
ingress_table_offer(struct ingress_table *t, struct adit_worker *w, const struct adit_offer *offer)
{
	if (t->plugin)
		ingress_plugin_offer(t->plugin, w, offer);
}

size_t
ingress_table_count(const struct ingress_table *t)
{
	return rules_count(atomic_load_explicit(&t->rules, memory_order_acquire));
}

void
ingress_table_free(struct ingress_table *t)
{
	if (t && t->sources)
		sources_free(t->sources);
	else if (t)
		table_destroy(t);
}
