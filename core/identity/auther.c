#include "core/identity/auther.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/identity/permit.h"
#include "core/runtime/turned.h"
#include "core/runtime/watched_file.h"

struct auther {
	_Atomic(struct auth_set *)	 users;		/* NULL: the file cannot be read */
	struct config			*config;	/* referenced; conf is of it */
	const struct auther_conf	*conf;
	struct adit_log			*log;
	struct adit_worker		*home;
	struct watched_file		*file;		/* NULL: there is none */
};

/* ---- users ------------------------------------------------------------------------------- */

static int
auther_add_inline(const struct auther *a, struct auth_set *s)
{
	int err = 0;

	for (size_t i = 0; !err && i < a->conf->auths.n; i++) {
		const struct auth_conf *user = &a->conf->auths.v[i];

		err = user->token ? auth_set_add_token(s, user->username, user->token) :
				    auth_set_add(s, user->username, user->password);
	}
	return err;
}

static void
auther_warn(const struct auther *a, const struct auth_set *s)
{
	unsigned by, hidden = auth_set_hidden(s, &by);

	if (hidden)
		adit_log(a->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("auther", a->conf->name)),
			 "%s: line %u has the user of line %u, whose password does not count",
			 a->conf->loader.file->path, by, hidden);
}

/* The users of the configuration with those of text over them. */
static void *
auther_parse(void *arg, char *text, struct adit_err *e)
{
	struct auth_set *s = auth_set_begin();
	int err = s ? auther_add_inline(arg, s) : -ENOMEM;

	if (!err)
		err = auth_set_add_text(s, text, e);
	if (!err)
		err = auth_set_seal(s);
	if (!err) {
		auther_warn(arg, s);
		return s;
	}
	if (err == -ENOMEM)
		adit_err_set(e, err, "out of memory");
	auth_set_free(s);
	return NULL;
}

static void
auther_drop(void *users)
{
	auth_set_free(users);
}

struct auth_set *
auther_users(const struct auther *a)
{
	return a ? atomic_load_explicit(&a->users, memory_order_acquire) : NULL;
}

/* ---- changes ----------------------------------------------------------------------------- */

static void
auther_passed(struct adit_worker *w, void *old)
{
	(void)old;
	permits_check(w);
}

static void
auther_take(void *arg, void *fresh)
{
	struct auther *a = arg;
	struct turned *turned = turned_new(a->home);

	if (!turned) {
		watched_file_again(a->file);
		auth_set_free(fresh);
		return;
	}
	adit_log(a->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("auther", a->conf->name)),
		 "%zu users, with those of %s", auth_set_count(fresh), a->conf->loader.file->path);
	turned_start(turned, auther_passed, auther_drop,
		     atomic_exchange_explicit(&a->users, fresh, memory_order_acq_rel));
}

/* Nobody's right is withdrawn by that: who is in stays, and nobody else is let in. */
static void
auther_failed(void *arg, const struct adit_err *e)
{
	struct auther *a = arg;
	struct auth_set *old = atomic_exchange_explicit(&a->users, NULL, memory_order_acq_rel);
	struct turned *turned = old ? turned_new(a->home) : NULL;

	adit_log(a->log, ADIT_LOG_ERROR, ADIT_FIELDS(ADIT_STR("auther", a->conf->name)),
		 "%s: nobody is let in until it can be read", e->text);
	if (turned)
		turned_start(turned, NULL, auther_drop, old);
	/* Else it is lost: workers may be reading it, and there is no memory to ask them. */
}

/* ---- life -------------------------------------------------------------------------------- */

static void
auther_gone(void *arg)
{
	struct auther *a = arg;

	auth_set_free(atomic_load(&a->users));
	config_put(a->config);
	free(a);
}

static struct watched_file *
auther_watch(struct auther *a)
{
	const struct loader_conf *loader = &a->conf->loader;
	const struct watched_file_conf conf = {
		.path = loader->file->path,
		.reload = loader->reload > 0 ? (uint64_t)loader->reload : 0,
		.max = AUTH_FILE_MAX,
		.parse = auther_parse, .take = auther_take, .failed = auther_failed,
		.drop = auther_drop, .gone = auther_gone, .arg = a,
	};

	return watched_file_new(a->home, &conf);
}

static int
auther_load(struct auther *a, struct adit_err *e)
{
	char nothing[1] = "";
	struct auth_set *users;

	if (a->conf->loader.file) {
		a->file = auther_watch(a);
		if (!a->file)
			return adit_err_set(e, -ENOMEM, "out of memory");
		users = watched_file_read(a->file, e);
	} else {
		users = auther_parse(a, nothing, e);
	}
	if (!users)
		return e->code;
	atomic_store(&a->users, users);
	if (a->file)
		watched_file_start(a->file);
	return 0;
}

struct auther *
auther_new(struct adit_worker *home, struct config *config, const struct auther_conf *conf,
	   struct adit_log *log, const struct place *at)
{
	static const char *const elsewhere[] = { "plugin", "redis", "http", NULL };
	struct adit_err e = ADIT_ERR_INIT;
	struct auther *a;

	if (place_unavailable(at, elsewhere) < 0)
		return NULL;
	a = calloc(1, sizeof(*a));
	if (!a) {
		place_say(at, -ENOMEM, "out of memory");
		return NULL;
	}
	a->home = home;
	a->config = config_get(config);
	a->conf = conf;
	a->log = log;
	if (auther_load(a, &e) == 0)
		return a;
	place_refuse(at, &e);
	auther_free(a);
	return NULL;
}

void
auther_free(struct auther *a)
{
	if (a && a->file)
		watched_file_free(a->file);
	else if (a)
		auther_gone(a);
}
