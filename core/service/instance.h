/*
 * Instances of plugins: allocated, filled from the configuration, initialised. A listener or dialer
 * that is a stack becomes its base and the layers over it.
 */
#ifndef ADIT_CORE_INSTANCE_H
#define ADIT_CORE_INSTANCE_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/service/registry.h"

#define LAYERS_MAX 4

struct instance {
	const struct adit_plugin	*plugin;
	void				*base;		/* a struct adit_listener, ...; owned */
	struct adit_layer		*layers[LAYERS_MAX];	/* from below to above; owned */
	size_t				 n_layers;
};

/*
 * Makes what c describes, for component p. addr: a listener's, borrowed; else NULL. 0, or a failure
 * with e filled: the name is unknown or not available in this build, an option is wrong, init
 * refused. Main thread.
 */
int instance_init(struct instance *i, const struct registry *r, const struct component_conf *c,
		  struct adit_component *p, const char *addr, struct adit_err *e);
void instance_fini(struct instance *i);		/* any thread; i may be all zero */

/* The protocol that its table names, of a handler or connector; NULL: none. */
const char *instance_protocol(const struct instance *i);

/* Puts the layers over lower, which is owned from now on. NULL with e filled. */
struct adit_conn *instance_client(const struct instance *i, struct adit_conn *lower,
				  const char *host, struct adit_err *e);
struct adit_conn *instance_server(const struct instance *i, struct adit_conn *lower,
				  struct adit_err *e);

/*
 * Fills p's tls and credentials to present from c; default_tls (or NULL) has the certificate for
 * servers without one.
 */
int component_configure(struct adit_component *p, const struct component_conf *c,
			const struct tls_conf *default_tls, struct adit_err *e);

#endif
