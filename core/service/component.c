#include <stdlib.h>
#include <string.h>

#include "core/service/component.h"
#include "core/service/guard.h"
#include "core/service/records.h"

void
component_init(struct adit_component *p, const char *name, struct adit_log *log,
	       void (*destroy)(struct adit_component *p))
{
	*p = (struct adit_component){ .name = name, .log = log, .destroy = destroy };
	atomic_init(&p->refs, 1);
	atomic_init(&p->gate.own, NULL);
}

void
component_fini(struct adit_component *p)
{
	gate_fini(&p->gate);
	if (p->owned_password)
		explicit_bzero(p->owned_password, strlen(p->owned_password));
	free(p->owned_user);
	free(p->owned_password);
}

void
adit_component_get(struct adit_component *p)
{
	if (p)
		atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void
adit_component_put(struct adit_component *p)
{
	if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1 && p->destroy)
		p->destroy(p);
}

const char *
adit_component_name(const struct adit_component *p)
{
	return p ? p->name : NULL;
}

struct adit_log *
adit_component_log(const struct adit_component *p)
{
	return p ? p->log : NULL;
}

const char *
adit_component_address(const struct adit_component *p)
{
	return p ? p->address : NULL;
}

const struct adit_tls_conf *
adit_component_tls(const struct adit_component *p)
{
	return &p->tls;
}

bool
adit_component_auth(const struct adit_component *p, const char **user, const char **password)
{
	if (!p->user)
		return false;
	*user = p->user;
	*password = p->password ? p->password : "";
	return true;
}

int
adit_component_authenticate(const struct adit_component *p, const char *user, size_t user_len,
			    const char *password, size_t password_len)
{
	const struct credentials c = {
		.user = user, .user_len = user_len,
		.password = password, .password_len = password_len,
	};

	return gate_knows(&p->gate, &c) ? 0 : ADIT_EUNAUTH;
}

const char *
adit_component_protocol(const struct adit_component *p)
{
	return p->protocol;
}

bool
adit_component_has_grace(const struct adit_component *p)
{
	return p && p->activities &&
	       adit_now() < atomic_load_explicit(&p->activities->grace, memory_order_relaxed);
}

int
adit_component_admit(struct adit_component *p, struct adit_conn *c)
{
	return p && p->guard ? guard_admit(p->guard, c) : 0;
}

int
adit_component_slow(struct adit_component *p, struct adit_conn *c)
{
	return p && p->guard ? guard_slow(p->guard, c) : 0;
}

uint64_t
adit_component_delay(struct adit_component *p, const struct adit_addr *who)
{
	return p && p->guard ? guard_allow(p->guard, who) : 0;
}

bool
adit_component_records(const struct adit_component *p)
{
	return p && p->records && records_has(p->records, RECORD_HANDLER);
}

void
adit_component_record(const struct adit_component *p, const struct adit_record *record)
{
	if (p && p->records)
		records_put(p->records, record);
}

/* ---- activities ----------------------------------------------------------------- */

static void
activity_count(const struct adit_activity *a, struct activities *all, unsigned change)
{
	atomic_fetch_add_explicit(a->idle ? &all->idle : &all->n, change, memory_order_relaxed);
}

void
adit_activity_begin(struct adit_activity *a, struct adit_component *p, struct adit_worker *w)
{
	struct adit_activity **first;

	adit_component_get(p);
	a->component = p;
	a->next = NULL;
	a->prev = NULL;
	if (!p || !p->activities)
		return;
	first = &p->activities->first[adit_worker_index(w)];
	a->next = *first;
	a->prev = first;
	if (a->next)
		a->next->prev = &a->next;
	*first = a;
	activity_count(a, p->activities, 1);
}

void
adit_activity_end(struct adit_activity *a)
{
	struct adit_component *p = a->component;

	if (!p)
		return;
	a->component = NULL;
	if (a->prev) {
		*a->prev = a->next;
		if (a->next)
			a->next->prev = a->prev;
		a->prev = NULL;
		activity_count(a, p->activities, -1u);
	}
	adit_component_put(p);
}

void
activities_stop(struct activities *all, struct adit_worker *w, int why)
{
	struct adit_activity *list = all->first[adit_worker_index(w)], *a;

	/* What stop() ends takes itself out of list; what it begins goes to the worker's own list
	 * and is met by the next call. */
	all->first[adit_worker_index(w)] = NULL;
	if (list)
		list->prev = &list;
	while ((a = list)) {
		struct adit_activity **first = &all->first[adit_worker_index(w)];

		list = a->next;
		if (list)
			list->prev = &list;
		a->next = *first;
		a->prev = first;
		if (a->next)
			a->next->prev = &a->next;
		*first = a;
		a->stop(a, why);
	}
}
