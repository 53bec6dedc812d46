#include "core/policy/listing.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime/turned.h"

#define BLANK " \t\r"

struct listing {
	_Atomic(void *)		 now;
	atomic_bool		 unwanted;
	struct listing_conf	 conf;
	struct sources		*sources;
};

/* ---- lines ------------------------------------------------------------------------------- */

static char *
line_trim(char *line)
{
	size_t len;

	line[strcspn(line, "#")] = 0;
	line += strspn(line, BLANK);
	for (len = strlen(line); len && strchr(BLANK, line[len - 1]); len--)
		line[len - 1] = 0;
	return line;
}

int
listing_lines(const char *text, int (*each)(void *arg, char *line, struct adit_err *e), void *arg,
	      struct adit_err *e)
{
	char *copy = strdup(text), *rest = copy, *line;
	unsigned number = 0;
	int err = 0;

	if (!copy)
		return adit_err_set(e, -ENOMEM, "out of memory");
	while (!err && (line = strsep(&rest, "\n"))) {
		number++;
		line = line_trim(line);
		err = *line ? each(arg, line, e) : 0;
	}
	free(copy);
	if (err)
		adit_err_context(e, "line %u", number);
	return err;
}

/* ---- changes ----------------------------------------------------------------------------- */

const void *
listing_now(const struct listing *l)
{
	return atomic_load_explicit(&l->now, memory_order_acquire);
}

bool
listing_is_known(const struct listing *l)
{
	return sources_are_known(l->sources);
}

static void *
listing_make(void *arg, const struct source_text *texts, size_t n, struct adit_err *e)
{
	const struct listing *l = arg;
	const struct listing_source from = { .texts = texts, .n = n, .unwanted = &l->unwanted };

	return l->conf.kind->make(l->conf.conf, &from, e);
}

static bool
listing_take(void *arg, void *fresh, const char *from, bool complete)
{
	struct listing *l = arg;
	struct turned *turned = turned_new(l->conf.home);
	size_t n = l->conf.kind->count(fresh);

	(void)complete;
	if (!turned) {
		l->conf.kind->free(fresh);
		return false;
	}
	turned_start(turned, NULL, l->conf.kind->free,
		     atomic_exchange_explicit(&l->now, fresh, memory_order_acq_rel));
	adit_log(l->conf.log, ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", l->conf.kind->name), ADIT_STR("name", l->conf.name)),
		 "%zu entries, with those of %s", n, from);
	return true;
}

/* ---- life -------------------------------------------------------------------------------- */

static void
listing_gone(void *arg)
{
	struct listing *l = arg;

	l->conf.kind->free(atomic_load(&l->now));
	config_put(l->conf.config);
	free(l);
}

static int
listing_load(struct listing *l, struct adit_err *e)
{
	const struct sources_conf conf = {
		.loader = l->conf.loader, .kind = l->conf.kind->name, .name = l->conf.name,
		.stays = "the list stays as it was", .log = l->conf.log, .max = LISTING_TEXT_MAX,
		.redis_type = "set", .make = listing_make, .take = listing_take,
		.drop = l->conf.kind->free, .gone = listing_gone, .arg = l,
	};
	void *made;

	l->sources = sources_new(l->conf.home, &conf, e);
	if (!l->sources)
		return e->code;
	sources_inherit(l->sources, l->conf.before ? l->conf.before->sources : NULL);
	l->conf.before = NULL;
	made = sources_read(l->sources, e);
	if (!made)
		return e->code;
	atomic_store(&l->now, made);
	sources_start(l->sources);
	return 0;
}

struct listing *
listing_new(const struct listing_conf *conf, const struct place *at)
{
	static const char *const elsewhere[] = { "plugin", NULL };
	struct adit_err e = ADIT_ERR_INIT;
	struct listing *l;

	if (place_unavailable(at, elsewhere) < 0)
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l) {
		place_say(at, -ENOMEM, "out of memory");
		return NULL;
	}
	l->conf = *conf;
	config_get(conf->config);
	if (listing_load(l, &e) == 0)
		return l;
	place_refuse(at, &e);
	listing_free(l);
	return NULL;
}

void
listing_free(struct listing *l)
{
	if (!l)
		return;
	atomic_store_explicit(&l->unwanted, true, memory_order_relaxed);
	if (l->sources)
		sources_free(l->sources);
	else
		listing_gone(l);
}
