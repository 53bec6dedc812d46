#include "core/reverst/groups_source.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime/turned.h"
#include "core/runtime/watched_file.h"

#define LOOK_NS ADIT_SECONDS(1)

struct groups_source {
	_Atomic(struct groups *)	 now;
	atomic_uint			 refs;		/* the owner's, the file's, each round's */
	struct adit_worker		*home;
	struct groups_source_conf	 conf;
	char				*path, *service;
	struct watched_file		*file;

	/* Of the last reading: of the helper thread, then of home. */
	struct config_errors		*errs, *warnings;
};

/* One change on its way past the workers. */
struct round {
	struct groups_source	*source;	/* referenced */
	struct groups		*old;
};

/* ---- life, as far as it is shared ------------------------------------------------------------ */

static void
source_put(struct groups_source *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (s->conf.gone)
		s->conf.gone(s->conf.arg);
	groups_free(atomic_load(&s->now));
	config_errors_free(s->errs);
	config_errors_free(s->warnings);
	free(s->path);
	free(s->service);
	free(s);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A finding without the line that it quotes: there may be passwords in it. */
static int
finding_len(const char *text)
{
	return (int)strcspn(text, "\n");
}

static void
say_findings(const struct groups_source *s, enum adit_log_level level,
	     const struct config_errors *errs, const char *so)
{
	const char *text;

	for (size_t i = 0; (text = config_errors_text(errs, i)); i++)
		adit_log(s->conf.log, level, ADIT_FIELDS(ADIT_STR("service", s->service)),
			 "%.*s%s", finding_len(text), text, so);
}

/* All findings, as far as they fit. */
static void
collect_findings(const struct config_errors *errs, struct adit_err *e)
{
	const char *text;
	char all[sizeof(e->text)] = "";
	size_t len = 0;

	for (size_t i = 0; (text = config_errors_text(errs, i)) && len < sizeof(all); i++) {
		int n = snprintf(all + len, sizeof(all) - len, "%s%.*s", i ? "; " : "",
				 finding_len(text), text);

		len += n > 0 ? (size_t)n : 0;
	}
	adit_err_set(e, ADIT_ECONFIG, "%s", all);
}

static void *
source_parse(void *arg, char *text, struct adit_err *e)
{
	struct groups_source *s = arg;
	const struct tree_source source = { .name = s->path, .text = text, .len = strlen(text) };
	struct groups *g;

	config_errors_free(s->errs);
	config_errors_free(s->warnings);
	s->errs = config_errors_new();
	s->warnings = config_errors_new();
	if (!s->errs || !s->warnings) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	g = groups_read(&source, s->errs, s->warnings);
	if (!g)
		collect_findings(s->errs, e);
	return g;
}

/* ---- changes -------------------------------------------------------------------------------- */

static void
round_passed(struct adit_worker *w, void *arg)
{
	struct groups_source *s = ((struct round *)arg)->source;

	if (s->conf.changed)
		s->conf.changed(w, s->conf.arg);
}

static void
round_done(void *arg)
{
	struct round *r = arg;

	groups_free(r->old);
	source_put(r->source);
	free(r);
}

static void
source_take(void *arg, void *made)
{
	struct groups_source *s = arg;
	struct groups *fresh = made;
	struct turned *turned = turned_new(s->home);
	struct round *r = turned ? malloc(sizeof(*r)) : NULL;

	if (!r) {
		free(turned);
		groups_free(fresh);
		watched_file_again(s->file);
		return;
	}
	say_findings(s, ADIT_LOG_WARN, s->warnings, "");
	adit_log(s->conf.log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("service", s->service)),
		 "%s: %zu tunnel groups", s->path, groups_count(fresh));
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	*r = (struct round){
		.source = s,
		.old = atomic_exchange_explicit(&s->now, fresh, memory_order_acq_rel),
	};
	turned_start(turned, round_passed, round_done, r);
}

static void
source_failed(void *arg, const struct adit_err *e)
{
	static const char stays[] = ": the tunnel groups stay as they are";
	struct groups_source *s = arg;

	if (e->code == ADIT_ECONFIG)
		say_findings(s, ADIT_LOG_ERROR, s->errs, stays);
	else
		adit_log(s->conf.log, ADIT_LOG_ERROR,
			 ADIT_FIELDS(ADIT_STR("service", s->service)), "%s%s", e->text, stays);
}

static void
source_drop(void *made)
{
	groups_free(made);
}

static void
source_gone(void *arg)
{
	source_put(arg);
}

/* ---- life ----------------------------------------------------------------------------------- */

static int
source_load(struct groups_source *s, struct adit_err *e)
{
	const struct watched_file_conf conf = {
		.path = s->path, .reload = s->conf.watch ? LOOK_NS : 0, .max = GROUPS_TEXT_MAX,
		.parse = source_parse, .take = source_take, .failed = source_failed,
		.drop = source_drop, .gone = source_gone, .arg = s,
	};
	struct groups *first;

	s->file = watched_file_new(s->home, &conf);
	if (!s->file)
		return adit_err_set(e, -ENOMEM, "out of memory");
	atomic_fetch_add(&s->refs, 1);
	first = watched_file_read(s->file, e);
	if (!first)
		return e->code;
	atomic_store(&s->now, first);
	say_findings(s, ADIT_LOG_WARN, s->warnings, "");
	watched_file_start(s->file);
	return 0;
}

struct groups_source *
groups_source_new(struct adit_worker *home, const struct groups_source_conf *conf,
		  struct adit_err *e)
{
	struct groups_source *s = calloc(1, sizeof(*s));
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled, or NULL */

	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->home = home;
	s->conf = *conf;
	s->path = groups_path(conf->from, &why);
	s->service = strdup(conf->service);
	if (s->path && !s->service)
		adit_err_set(&why, -ENOMEM, "out of memory");
	if (!why.code && source_load(s, &why) == 0)
		return s;
	adit_err_set(e, why.code, "%s", why.text);
	s->conf.gone = NULL;
	groups_source_free(s);
	return NULL;
}

const struct groups *
groups_source_now(const struct groups_source *s)
{
	return atomic_load_explicit(&s->now, memory_order_acquire);
}

void
groups_source_free(struct groups_source *s)
{
	if (!s)
		return;
	watched_file_free(s->file);
	source_put(s);
}
