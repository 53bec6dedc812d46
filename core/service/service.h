/*
 * A service: a listener, a handler, and what they need. Made from the configuration in the main
 * thread, started on every worker, stopped and drained. A service whose configuration a reload does
 * not change is carried over as it is.
 */
#ifndef ADIT_CORE_SERVICE_H
#define ADIT_CORE_SERVICE_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/service/route.h"
#include "core/service/world.h"

struct auth_set;
struct chain;
struct claims;		/* core/service/claim.h */
struct forwarder;
struct gate;
struct policy_target;	/* core/policy/policy.h */
struct service;
struct worker_group;

/*
 * The service of that place in world's configuration; references what it needs of world. What is
 * wrong with it goes to errs: then it may only be put. NULL: out of memory, which errs says too.
 * Main thread.
 */
struct service *service_new(const struct service_world *world, size_t index,
			    struct config_errors *errs);

/* The addresses that it claims; s's. Main thread. */
const struct claims *service_claims(const struct service *s);

/*
 * Opens its sockets, of which world has a book. 0, or a failure that errs says: it may be put, or
 * tried again. Main thread.
 */
int service_open(struct service *s, struct config_errors *errs);

/*
 * Who may pass by its own `auth`, as the file that that may name says now: in *out, the caller's,
 * for the service of that place in config. 0, or a failure that errs says. Main thread.
 */
int service_read_auth(const struct config *config, size_t index, struct auth_set **out,
		      struct config_errors *errs);

/* Gives s those, and returns the ones it had, to be freed when every worker has turned once. Main
 * thread. */
struct auth_set *service_swap_auth(struct service *s, struct auth_set *auth);

/* Whom its handler lets in; s's. Any thread. */
struct gate *service_gate(struct service *s);

/* The configuration it was made from, and its part of that; s's. Any thread. */
struct config *service_config(const struct service *s);
const struct service_conf *service_conf_of(const struct service *s);

/* Whether its bypasses leave that target to it. Any thread. */
bool service_allows(const struct service *s, const struct policy_target *to);

/* Whether it has any. Any thread. */
bool service_bypasses(const struct service *s);

/*
 * A way to a target that it allows: as router_dial. visitor: who it is for, or NULL. On w.
 */
struct adit_conn *service_dial(struct service *s, struct adit_worker *w,
			       const struct adit_target *to, const struct adit_addr *visitor,
			       struct adit_err *e);

/* Since when there is such a service, in Unix time. Any thread. */
int64_t service_created(const struct service *s);

/* Its targets, and the chain its handler dials through (NULL: none); s's. Any thread. */
struct forwarder *service_forwarder(struct service *s);
struct chain *service_handler_chain(const struct service *s);

/*
 * Accepts on all workers. 0, or a failure that errs says: it is stopped again. After service_open.
 * Main thread.
 */
int service_start(struct service *s, struct worker_group *workers, struct config_errors *errs);

/* Its configuration is in force, for good. After service_start. Main thread. */
void service_settle(struct service *s);

/* Whether it accepts, where that takes more than its start (a bind far away). Any thread. */
bool service_is_ready(const struct service *s);

/*
 * For how many ns from now on adit_component_has_grace is true: before service_stop of one that
 * another replaces. 0: it ends. Any thread.
 */
void service_set_grace(struct service *s, uint64_t ns);

/*
 * Accepts no more, and what goes on is asked to end when it can. Main thread; may be called again
 * and again.
 */
void service_stop(struct service *s, struct worker_group *workers);

/*
 * Gives up its ports, so that nobody waits in a queue that is not emptied any more. After the first
 * service_stop; what goes on goes on. Main thread.
 */
void service_close(struct service *s);

/* Ends what still goes on, now. Main thread. */
void service_kill(struct service *s, struct worker_group *workers);

/*
 * What went on only as long as something else did ends: of a service that was stopped and of which
 * nothing is active. Waits for workers to come by, if there is something. Main thread.
 */
void service_finish(struct service *s, struct worker_group *workers);

/* How much still goes on. Any thread. */
unsigned service_active(const struct service *s);

/*
 * Closes its sockets and drops the caller's reference; it is freed when the last conn that began
 * with it has gone.
 */
void service_put(struct service *s);

#endif
