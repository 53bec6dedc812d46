#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/model.h"
#include "core/runtime/turned.h"
#include "core/runtime/watched_file.h"
#include "core/tunnel/ingress_table.h"
#include "core/tunnel/rules.h"

struct ingress_table {
	struct rules *_Atomic	 rules;
	char			*name, *path;	/* path NULL: no file */
	struct rules		*inlined;
	struct adit_log		*log;
	struct adit_worker	*home;
	struct watched_file	*file;		/* NULL: none */
};

/* ---- reading the file -------------------------------------------------------------- */

/* The inline rules with those of text over them, or NULL with e. */
static struct rules *
rules_over(const struct rules *inlined, const char *text, struct adit_err *e)
{
	struct rules *r = rules_new();

	if (!r || rules_merge(r, inlined) < 0)
		adit_err_set(e, -ENOMEM, "out of memory");
	else if (rules_add_text(r, text, e) == 0)
		return r;
	rules_free(r);
	return NULL;
}

static void
warn_repeated(const struct ingress_table *t, const struct rules *r)
{
	unsigned first, again, n = rules_repeated(r, &first, &again);

	if (n)
		adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
			 "%s: line %u has the host of line %u, whose rule does not count%s",
			 t->path, again, first, n > 1 ? " (and more such lines)" : "");
}

static void *
table_parse(void *arg, char *text, struct adit_err *e)
{
	const struct ingress_table *t = arg;
	struct rules *r = rules_over(t->inlined, text, e);

	if (r)
		warn_repeated(t, r);
	return r;
}

/* ---- changing rules under those who read them --------------------------------------- */

static void
drop_rules(void *rules)
{
	rules_free(rules);
}

static void
table_take(void *arg, void *fresh)
{
	struct ingress_table *t = arg;
	struct turned *turned = turned_new(t->home);

	if (!turned) {	/* the next look finds it again */
		watched_file_again(t->file);
		rules_free(fresh);
		return;
	}
	turned_start(turned, NULL, drop_rules,
		     atomic_exchange_explicit(&t->rules, fresh, memory_order_acq_rel));
	adit_log(t->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
		 "%zu rules from %s", rules_count(fresh), t->path);
}

static void
table_failed(void *arg, const struct adit_err *e)
{
	const struct ingress_table *t = arg;

	adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
		 "%s: the rules stay as they are", e->text);
}

/* ---- life -------------------------------------------------------------------------------- */

static void
table_destroy(void *arg)
{
	struct ingress_table *t = arg;

	rules_free(t->rules);
	rules_free(t->inlined);
	free(t->name);
	free(t->path);
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

static struct rules *
table_first_rules(struct ingress_table *t, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;
	struct rules *r;

	if (t->file)
		return watched_file_read(t->file, e);
	r = rules_over(t->inlined, "", &why);
	if (!r)
		adit_err_set(e, why.code, "%s", why.text);
	return r;
}

static int
table_watch(struct ingress_table *t, const struct loader_conf *loader)
{
	const struct watched_file_conf conf = {
		.path = loader->file->path,
		.reload = loader->reload > 0 ? (uint64_t)loader->reload : 0,
		.max = INGRESS_FILE_MAX,
		.parse = table_parse, .take = table_take, .failed = table_failed,
		.drop = drop_rules, .gone = table_destroy, .arg = t,
	};

	t->path = strdup(loader->file->path);
	if (t->path)
		t->file = watched_file_new(t->home, &conf);
	return t->file ? 0 : -ENOMEM;
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
	if (t->name && t->inlined &&
	    (!conf->loader.file || table_watch(t, &conf->loader) == 0))
		return t;
	table_destroy(t);
	return NULL;
}

struct ingress_table *
ingress_table_new(struct adit_worker *home, const struct ingress_conf *conf, struct adit_log *log,
		  struct adit_err *e)
{
	struct ingress_table *t = table_new(home, conf, log);
	struct rules *first = NULL;

	if (!t) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (table_add_inline(t, &conf->rules, e) == 0)
		first = table_first_rules(t, e);
	if (!first) {
		ingress_table_free(t);
		return NULL;
	}
	atomic_init(&t->rules, first);
	if (t->file)
		watched_file_start(t->file);
	return t;
}

int
ingress_table_find(const struct ingress_table *t, const char *host, struct adit_rule *out)
{
	return rules_find(atomic_load_explicit(&t->rules, memory_order_acquire), host, out);
}

size_t
ingress_table_count(const struct ingress_table *t)
{
	return rules_count(atomic_load_explicit(&t->rules, memory_order_acquire));
}

void
ingress_table_free(struct ingress_table *t)
{
	if (t && t->file)
		watched_file_free(t->file);
	else if (t)
		table_destroy(t);
}
