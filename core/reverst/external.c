#include "core/reverst/external.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/source/fetch.h"

#define GROUP_FIELD "X-Reverst-Tunnel-Group"

struct external {
	struct fetch		*fetch;
	unsigned		*under_way;
	external_done		*done;
	void			*arg;
	char			*name, *value;	/* the field's: name is static, value ours */
	struct adit_pairs	 fields;
};

static void
external_free(struct external *x)
{
	--*x->under_way;
	free(x->value);
	free(x);
}

void
external_cancel(struct external *x)
{
	if (!x)
		return;
	fetch_cancel(x->fetch);
	external_free(x);
}

/* Of the failures that fetch knows these are a server's answer. */
static int
verdict_of(const struct adit_err *e)
{
	return e->code == ADIT_EREFUSED || e->code == -ENOENT ? ADIT_EUNAUTH : e->code;
}

static void
external_answered(void *arg, char *text, size_t len, const struct adit_err *e)
{
	struct external *x = arg;
	external_done *done = x->done;
	void *owner = x->arg;

	(void)text;
	(void)len;
	external_free(x);
	done(owner, e ? verdict_of(e) : 0, e);
}

/* The field's value (malloc, a secret) or NULL with e. */
static char *
credential_of(const struct group_ask *ask, struct adit_err *e)
{
	char *value;

	if (memchr(ask->payload, '\0', ask->len) ||
	    asprintf(&value, "%s %.*s", ask->strategy->scheme, (int)ask->len, ask->payload) < 0) {
		adit_err_set(e, ADIT_EUNAUTH, "a credential that is no text");
		return NULL;
	}
	if (fetch_check_field("Authorization", value))
		return value;
	explicit_bzero(value, strlen(value));
	free(value);
	adit_err_set(e, ADIT_EUNAUTH, "a credential that is no value of a field");
	return NULL;
}

static struct external *
external_new(const struct external_conf *conf, struct adit_err *e)
{
	static char name[] = GROUP_FIELD;
	struct external *x = calloc(1, sizeof(*x));

	if (x)
		x->value = strdup(group_name(conf->group));
	if (!x || !x->value) {
		free(x);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	x->name = name;
	x->fields = (struct adit_pairs){ .n = 1, .name = &x->name, .value = &x->value };
	x->under_way = conf->under_way;
	++*x->under_way;
	return x;
}

static int
check(const struct external_conf *conf, struct adit_err *e)
{
	if (*conf->under_way >= EXTERNAL_MAX)
		return adit_err_set(e, ADIT_ELIMIT, "too many questions at once");
	if (!fetch_check_field(GROUP_FIELD, group_name(conf->group)))
		return adit_err_set(e, ADIT_EUNAUTH, "a group's name that is no value of a field");
	return 0;
}

struct external *
external_ask(struct adit_worker *w, const struct external_conf *conf, external_done *done,
	     void *arg, struct adit_err *e)
{
	struct fetch_conf fetch = {
		.url = conf->ask.strategy->endpoint, .tls = conf->tls,
		.max = EXTERNAL_ANSWER_MAX, .limit = EXTERNAL_LIMIT_NS,
	};
	char *credential = check(conf, e) == 0 ? credential_of(&conf->ask, e) : NULL;
	struct external *x = credential ? external_new(conf, e) : NULL;

	if (x) {
		x->done = done;
		x->arg = arg;
		fetch.authorization = credential;
		fetch.fields = &x->fields;
		x->fetch = fetch_begin(w, &fetch, external_answered, x, e);
		if (!x->fetch) {
			external_free(x);
			x = NULL;
		}
	}
	if (credential)
		explicit_bzero(credential, strlen(credential));
	free(credential);
	return x;
}
