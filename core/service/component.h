/*
 * A component from the inside: the configured place of an instance. Whoever owns the instance (a service, a node)
 * embeds one for each; the last reference frees the owner through destroy, in the thread that dropped it.
 */
#ifndef ADIT_CORE_COMPONENT_H
#define ADIT_CORE_COMPONENT_H

#include <stdatomic.h>

#include <adit/plugin.h>

struct auth_set;	/* core/service/auth.h */
struct service;
struct route;

struct adit_component {
	atomic_uint			 refs;
	const char			*name;		/* borrowed from the configuration, as all below */
	struct adit_log			*log;
	struct adit_tls_conf		 tls;
	const char			*user, *password;	/* to present; NULL: none */
	const struct auth_set		*auth;		/* to check; NULL: anybody */
	struct service			*service;	/* of listeners and handlers */
	void				(*destroy)(struct adit_component *p);
};

void component_init(struct adit_component *p, const char *name, struct adit_log *log,
		    void (*destroy)(struct adit_component *p));

#endif
