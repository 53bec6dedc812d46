/*
 * A service: a listener, a handler, and what they need. Made from the configuration in the main
 * thread, started on every worker, stopped and drained. A service whose configuration a reload does
 * not change is carried over as it is.
 */
#ifndef ADIT_CORE_SERVICE_H
#define ADIT_CORE_SERVICE_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/service/registry.h"
#include "core/service/route.h"

struct listen_book;
struct service;
struct worker_group;

/* What services are made in: of the process, and of one configuration. */
struct service_world {
	const struct registry	*registry;
	struct listen_book	*sockets;	/* NULL: nothing is opened, for a check */
	struct adit_worker	*home;		/* for what is nobody's: files that are watched */
	struct adit_log		*log;
	struct config		*config;
	struct chain		**chains;	/* in the order of config->chains */
	struct adit_ingress	**ingresses;	/* in the order of config->ingresses */
};

/*
 * Makes one and opens its sockets. References what it needs of world. NULL with e filled. Main
 * thread.
 */
struct service *service_new(const struct service_conf *conf, const struct service_world *world,
			    struct adit_err *e);

/* Who may pass, as its configuration and the files that names say now. Main thread. */
struct service_auth {
	struct auth_set	*handler, *listener;
};

/* Reads it anew. 0, or a failure with e filled (e must be clear before). */
int service_read_auth(const struct service *s, struct service_auth *out, struct adit_err *e);

/* Gives s the new ones, and auth the old, to be freed when every worker has turned once. */
void service_swap_auth(struct service *s, struct service_auth *auth);

/* The configuration it was made from, and its part of that; s's. Any thread. */
struct config *service_config(const struct service *s);
const struct service_conf *service_conf_of(const struct service *s);

/* Accepts on all workers. On failure it is stopped again. Main thread. */
int service_start(struct service *s, struct worker_group *workers, struct adit_err *e);

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

/* How much still goes on. Any thread. */
unsigned service_active(const struct service *s);

/*
 * Closes its sockets and drops the caller's reference; it is freed when the last conn that began
 * with it has gone.
 */
void service_put(struct service *s);

#endif
