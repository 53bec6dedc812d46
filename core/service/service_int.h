/*
 * What a service is made of, for service.c (its life) and arrival.c (what comes in).
 */
#ifndef ADIT_CORE_SERVICE_INT_H
#define ADIT_CORE_SERVICE_INT_H

#include <stdatomic.h>

#include "core/policy/refusals.h"
#include "core/service/claim.h"
#include "core/service/component.h"
#include "core/service/forwarder.h"
#include "core/service/guard.h"
#include "core/service/instance.h"
#include "core/service/records.h"
#include "core/service/router.h"
#include "core/service/service.h"

/*
 * Freed when neither the daemon nor anything that began with one of its components holds it any
 * more.
 */
struct service {
	atomic_uint			 refs;		/* places that are held */
	const struct service_conf	*conf;
	size_t				 index;		/* its place in config's list */
	struct config			*config;	/* referenced */
	struct adit_component		 listener_place, handler_place;
	struct instance			 listener, handler;
	struct chain			*listener_chain;	/* NULL, or referenced, as is: */
	struct chain			*handler_chain;
	struct activities		 activities;
	struct adit_ingress		**ingresses;	/* referenced, in the configuration's order,
							 * ended by NULL */
	struct held			**grants;	/* the same */
	struct held			**admissions, **bypasses;	/* ended by NULL; NULL:
									 * none */
	struct refusals			 refusals;	/* of admissions */
	struct router			 router;	/* to targets; its chain is handler_chain */
	struct guard			 guard;
	struct records			 records;
	struct forwarder		 forwarder;
	struct probes			*probes;	/* of its nodes, one worker's; NULL: none */
	struct adit_strings		 trusted;	/* whose PROXY headers are taken; none:
							 * anybody's; owned */
	struct claims			 claims;
	bool				 opened_listener, opened_handler;
	int64_t				 created;	/* Unix time */
};

#endif
