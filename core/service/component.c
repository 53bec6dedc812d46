#include <stddef.h>

#include "core/service/component.h"

void
component_init(struct adit_component *p, const char *name, struct adit_log *log,
	       void (*destroy)(struct adit_component *p))
{
	*p = (struct adit_component){ .name = name, .log = log, .destroy = destroy };
	atomic_init(&p->refs, 1);
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
