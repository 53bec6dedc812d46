#include "core/identity/permit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime/worker.h"

struct permit {
	LIST_ENTRY(permit)	 entry;
	struct gate		*gate;
	struct identity		*who;		/* owned */
	struct grant_use	*use;		/* owned; NULL: there are no grants */
	unsigned		 limit;		/* of its grant */
	struct grant_claim		 claim;		/* host is owned */
	void			(*withdrawn)(void *arg, const struct adit_err *why);
	void			*arg;
};

/* What is left when a worker ends is freed by those whose it is. */
struct permits_part *
permits_part(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_PERMITS, free);

	if (!*slot)
		*slot = calloc(1, sizeof(struct permits_part));
	return *slot;
}

/* What he holds by the grants of before is taken over, or ended. */
static int
permit_ask_grants(struct permit *p, struct adit_err *e)
{
	const struct grants *grants = p->gate->grants ? held_now(p->gate->grants) : NULL;
	struct grant_use *held = p->use;
	int err;

	if (!grants)
		return 0;
	p->use = NULL;
	err = grants_take(grants, p->who, &p->claim, held, &p->use, e);
	if (!err)
		p->limit = grants_limit(grants, p->use);
	return err;
}

/* Users who are not known at the moment have lost nothing. */
static bool
permit_user_is_there(const struct permit *p)
{
	struct auth_set *users;

	if (!p->who || !p->who->user)
		return true;
	for (size_t i = 0; gate_source(p->gate, i, &users); i++)
		if (!users || auth_set_has(users, p->who->proof))
			return true;
	return false;
}

int
permit_new(struct gate *g, struct adit_worker *w, struct identity *who,
	   const struct grant_claim *claim, struct permit **out, struct adit_err *e)
{
	struct permits_part *part = permits_part(w);
	struct permit *p;
	int err;

	*out = NULL;
	if (!g || (!gate_asks(g) && !g->grants)) {
		identity_free(who);
		return 0;
	}
	p = calloc(1, sizeof(*p));
	if (!p || !part) {
		free(p);
		return adit_err_set(e, -ENOMEM, "out of memory");
	}
	LIST_INSERT_HEAD(&part->permits, p, entry);
	p->gate = g;
	p->who = who;
	p->claim = *claim;
	p->claim.host = strdup(claim->host);
	err = p->claim.host ? permit_ask_grants(p, e) :
			      adit_err_set(e, -ENOMEM, "out of memory");
	if (err) {
		p->who = NULL;
		permit_end(p);
	} else {
		*out = p;
	}
	return err;
}

void
permit_own(struct permit *p, void (*withdrawn)(void *arg, const struct adit_err *why), void *arg)
{
	if (!p)
		return;
	p->withdrawn = withdrawn;
	p->arg = arg;
}

unsigned
permit_limit(const struct permit *p)
{
	return p ? p->limit : 0;
}

const char *
permit_user(const struct permit *p)
{
	return p && p->who ? p->who->user : NULL;
}

void
permit_end(struct permit *p)
{
	if (!p)
		return;
	LIST_REMOVE(p, entry);
	grant_use_end(p->use);
	identity_free(p->who);
	free((char *)(uintptr_t)p->claim.host);
	free(p);
}

static void
permit_check(struct permit *p)
{
	struct adit_err why = ADIT_ERR_INIT;
	char text[IDENTITY_TEXT];

	if (!permit_user_is_there(p))
		adit_err_set(&why, ADIT_EUNAUTH, "%s is not known any more, or has another secret",
			     identity_text(p->who, text));
	else if (permit_ask_grants(p, &why) == 0)
		return;
	adit_err_context(&why, "permission withdrawn");
	if (p->withdrawn)
		p->withdrawn(p->arg, &why);
}

void
permits_check(struct adit_worker *w)
{
	struct permits_part *part = permits_part(w);
	struct permit *p = part ? LIST_FIRST(&part->permits) : NULL, *next;

	for (; p; p = next) {
		next = LIST_NEXT(p, entry);
		permit_check(p);
	}
}
