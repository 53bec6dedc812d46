#include "core/policy/listing.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime/turned.h"
#include "core/runtime/watched_file.h"

#define BLANK " \t\r"

struct listing {
	_Atomic(void *)		 now;
	struct listing_conf	 conf;
	struct watched_file	*file;		/* NULL: there is none */
};

char *
listing_line(char **rest)
{
	char *line = strsep(rest, "\n");
	size_t len;

	if (!line)
		return NULL;
	line[strcspn(line, "#")] = 0;
	line += strspn(line, BLANK);
	for (len = strlen(line); len && strchr(BLANK, line[len - 1]); len--)
		line[len - 1] = 0;
	return line;
}

const void *
listing_now(const struct listing *l)
{
	return atomic_load_explicit(&l->now, memory_order_acquire);
}

/* ---- changes ----------------------------------------------------------------------------- */

static void *
listing_parse(void *arg, char *text, struct adit_err *e)
{
	const struct listing *l = arg;

	return l->conf.kind->make(l->conf.conf, text, e);
}

static void
listing_log(const struct listing *l, enum adit_log_level level, const char *text)
{
	adit_log(l->conf.log, level,
		 ADIT_FIELDS(ADIT_STR("kind", l->conf.kind->name), ADIT_STR("name", l->conf.name)),
		 "%s", text);
}

static void
listing_take(void *arg, void *fresh)
{
	struct listing *l = arg;
	struct turned *turned = turned_new(l->conf.home);

	if (!turned) {
		watched_file_again(l->file);
		l->conf.kind->free(fresh);
		return;
	}
	adit_log(l->conf.log, ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", l->conf.kind->name), ADIT_STR("name", l->conf.name)),
		 "%zu entries, with those of %s", l->conf.kind->count(fresh),
		 l->conf.loader->file->path);
	turned_start(turned, NULL, l->conf.kind->free,
		     atomic_exchange_explicit(&l->now, fresh, memory_order_acq_rel));
}

static void
listing_failed(void *arg, const struct adit_err *e)
{
	const struct listing *l = arg;
	struct adit_err said = *e;

	adit_err_context(&said, "the list stays as it was");
	listing_log(l, ADIT_LOG_WARN, said.text);
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

static struct watched_file *
listing_watch(struct listing *l)
{
	const struct loader_conf *loader = l->conf.loader;
	const struct watched_file_conf conf = {
		.path = loader->file->path,
		.reload = loader->reload > 0 && l->conf.home ? (uint64_t)loader->reload : 0,
		.max = LISTING_FILE_MAX,
		.parse = listing_parse, .take = listing_take, .failed = listing_failed,
		.drop = l->conf.kind->free, .gone = listing_gone, .arg = l,
	};

	return watched_file_new(l->conf.home, &conf);
}

static int
listing_load(struct listing *l, struct adit_err *e)
{
	char nothing[1] = "";
	void *made;

	if (l->conf.loader->file) {
		l->file = listing_watch(l);
		if (!l->file)
			return adit_err_set(e, -ENOMEM, "out of memory");
		made = watched_file_read(l->file, e);
	} else {
		made = listing_parse(l, nothing, e);
	}
	if (!made)
		return e->code;
	atomic_store(&l->now, made);
	if (l->file)
		watched_file_start(l->file);
	return 0;
}

struct listing *
listing_new(const struct listing_conf *conf, const struct place *at)
{
	static const char *const elsewhere[] = { "plugin", "redis", "http", NULL };
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
	if (l && l->file)
		watched_file_free(l->file);
	else if (l)
		listing_gone(l);
}
