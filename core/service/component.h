/*
 * A component from the inside: the configured place of an instance. Whoever owns the instance (a
 * service, a node) embeds one for each; the last reference frees the owner through destroy, in the
 * thread that dropped it.
 */
#ifndef ADIT_CORE_COMPONENT_H
#define ADIT_CORE_COMPONENT_H

#include <stdatomic.h>

#include <adit/plugin.h>

#include "core/identity/gate.h"

struct claims;		/* core/service/claim.h */
struct guard;		/* core/service/guard.h */
struct records;		/* core/service/records.h */
struct desk;
struct service;
struct listen_book;
struct worker_group;

/* The activities of one service. */
struct activities {
	atomic_uint		 n;			/* on all workers, but for: */
	atomic_uint		 idle;			/* those that nobody waits for */
	_Atomic uint64_t	 grace;		/* adit_component_has_grace until then */
	struct adit_activity	*first[ADIT_WORKERS_MAX];	/* each worker's own */
};

/* Ends, on w, all that goes on there with that reason. */
void activities_stop(struct activities *all, struct adit_worker *w, int why);

struct adit_component {
	atomic_uint			 refs;
	const char			*name;	/* borrowed from the configuration, as all below */
	struct adit_log			*log;
	const char			*address;	/* of a node */
	const char			*hop, *dialer;	/* of a node's connector: what it is part
							 * of, and what leads there; NULL: not
							 * known */
	bool				 behind;	/* the same: other nodes lead there */
	struct adit_tls_conf		 tls;
	const char			*user, *password;	/* to present; NULL: none */
	char				*owned_user;	/* of a file: freed with p, as is: */
	char				*owned_password;
	struct gate			 gate;		/* of handlers: who may pass */
	struct service			*service;	/* of listeners and handlers */
	struct activities		*activities;	/* the service's; NULL: not counted */
	struct claims			*claims;	/* the service's; NULL: nobody asks */
	struct listen_book		*sockets;	/* the process's; NULL: there are none */
	struct guard			*guard;	/* the service's; NULL: no limits */
	struct records			*records;	/* the same; NULL: nothing is recorded */
	struct desk			*desk;		/* the same */
	const char			*protocol;	/* of what stands behind it; NULL: none */
	void				(*destroy)(struct adit_component *p);
};

/* Begins p with one reference, the caller's; name and log are borrowed. destroy may be NULL. */
void component_init(struct adit_component *p, const char *name, struct adit_log *log,
		    void (*destroy)(struct adit_component *p));

/* Frees what p owns itself; for destroy. */
void component_fini(struct adit_component *p);

/* Whether the service that p belongs to has a forwarder. Any thread. */
bool component_forwards(const struct adit_component *p);

/*
 * The ingress of that name in the configuration p belongs to, or NULL. Main thread; borrowed from
 * p's service.
 */
struct adit_ingress *component_ingress(const struct adit_component *p, const char *name);

/*
 * From now on p's gate lets nobody do more than the grants of that name in its configuration allow.
 * 0, or ADIT_ECONFIG with e: there are none. Main thread, in init.
 */
int component_take_grants(struct adit_component *p, const char *name, struct adit_err *e);

#endif
