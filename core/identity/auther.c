#include "core/identity/auther.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/identity/permit.h"
#include "core/runtime/turned.h"
#include "core/source/sources.h"

struct auther {
	_Atomic(struct auth_set *)	 users;		/* NULL: they are not known */
	struct config			*config;	/* referenced; conf is of it */
	const struct auther_conf	*conf;
	struct adit_log			*log;
	struct adit_worker		*home;
	struct sources			*sources;
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
auther_warn(const struct auther *a, const struct auth_set *s, const struct source_text *texts)
{
	unsigned by, text, hidden = auth_set_hidden(s, &by, &text);

	if (hidden)
		adit_log(a->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("auther", a->conf->name)),
			 "%s: line %u has the user of line %u, whose password does not count",
			 texts[text].from, by, hidden);
}

/* Over those of the configuration; a text is changed by reading it. */
static int
auther_add_text(struct auth_set *s, const struct source_text *from, struct adit_err *e)
{
	char *text = strdup(from->text);
	int err = text ? auth_set_add_text(s, text, e) : -ENOMEM;

	if (text)
		explicit_bzero(text, from->len);
	free(text);
	return err;
}

static void *
auther_make(void *arg, const struct source_text *texts, size_t n, struct adit_err *e)
{
	struct auth_set *s = auth_set_begin();
	int err = s ? auther_add_inline(arg, s) : -ENOMEM;

	for (size_t i = 0; !err && i < n; i++)
		err = auther_add_text(s, &texts[i], e);
	if (!err)
		err = auth_set_seal(s);
	if (!err) {
		auther_warn(arg, s, texts);
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

static bool
auther_take(void *arg, void *fresh, const char *from, bool complete)
{
	struct auther *a = arg;
	struct turned *turned = complete ? turned_new(a->home) : NULL;

	if (!turned) {
		auth_set_free(fresh);
		return !complete;
	}
	adit_log(a->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("auther", a->conf->name)),
		 "%zu users, with those of %s", auth_set_count(fresh), from);
	turned_start(turned, auther_passed, auther_drop,
		     atomic_exchange_explicit(&a->users, fresh, memory_order_acq_rel));
	return true;
}

/* Nobody's right is withdrawn by that: who is in stays, and nobody else is let in. */
static void
auther_lost(void *arg)
{
	struct auther *a = arg;
	struct auth_set *old = atomic_exchange_explicit(&a->users, NULL, memory_order_acq_rel);
	struct turned *turned = old ? turned_new(a->home) : NULL;

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

static int
auther_load(struct auther *a, const struct auther *before, struct adit_err *e)
{
	const struct sources_conf conf = {
		.loader = &a->conf->loader, .kind = "auther", .name = a->conf->name,
		.stays = "the users stay as they are",
		.without = "nobody is let in until it can be read",
		.log = a->log, .max = AUTH_FILE_MAX, .redis_type = "hash",
		.make = auther_make, .take = auther_take, .lost = auther_lost,
		.drop = auther_drop, .gone = auther_gone, .arg = a,
	};
	struct auth_set *users;

	a->sources = sources_new(a->home, &conf, e);
	if (!a->sources)
		return e->code;
	sources_inherit(a->sources, before ? before->sources : NULL);
	users = sources_read(a->sources, e);
	if (!users)
		return e->code;
	if (sources_are_known(a->sources))
		atomic_store(&a->users, users);
	else
		auth_set_free(users);
	sources_start(a->sources);
	return 0;
}

struct auther *
auther_new(struct adit_worker *home, struct config *config, const struct auther_conf *conf,
	   const struct auther *before, struct adit_log *log, const struct place *at)
{
	static const char *const elsewhere[] = { "plugin", NULL };
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
	if (auther_load(a, before, &e) == 0)
		return a;
	place_refuse(at, &e);
	auther_free(a);
	return NULL;
}

void
auther_free(struct auther *a)
{
	if (a && a->sources)
		sources_free(a->sources);
	else if (a)
		auther_gone(a);
}
