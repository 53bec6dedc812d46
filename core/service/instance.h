/*
 * Instances of plugins: allocated, filled from the configuration, initialised. A listener or dialer
 * that is a stack becomes its base and the layers over it, one that is a choice several instances.
 */
#ifndef ADIT_CORE_INSTANCE_H
#define ADIT_CORE_INSTANCE_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/service/registry.h"

#define LAYERS_MAX 4
#define WAYS_MAX 4	/* of a choice */

struct instance {
	const struct adit_plugin	*plugin;
	void				*base;		/* a struct adit_listener, ...; owned; NULL:
							 * it could not be made, or is a choice */
	struct adit_layer		*layers[LAYERS_MAX];	/* from below to above; owned */
	size_t				 n_layers;
	struct adit_session		*session;	/* at the end; owned; NULL: none */
	bool				 told;		/* each layer is there if a client's first
							 * bytes say so */
	struct instance			*ways;		/* of a choice; owned */
	size_t				 n_ways;
	const char			*name;		/* of a way: what the choice calls it */
	char				*addr;		/* of a way's listener; owned; NULL: as
							 * configured */
};

/* What an instance is made of, all borrowed. */
struct instance_source {
	const struct registry		*registry;
	const struct component_conf	*conf;
	const char			*addr;		/* a listener's, as long as it; else NULL */
	const struct tls_conf		*default_tls;	/* of servers without a certificate; or
							 * NULL */
	struct place			 at;		/* of conf, to say what is wrong with it */
};

/*
 * Makes what from describes, for component p, which must be configured. 0, or a failure that has
 * been said: the name is unknown or not available in this build, an option is wrong, init refused;
 * then i is as instance_fini leaves it. Main thread.
 */
int instance_init(struct instance *i, const struct instance_source *from, struct adit_component *p);
void instance_fini(struct instance *i);		/* any thread; i may be all zero */

/*
 * What is to be used: i itself, or the ways of a choice; none if it could not be made. n of them,
 * in an array.
 */
struct instance *instance_ways(struct instance *i, size_t *n);

/* The protocol that its table names, of a handler or connector; NULL: none. */
const char *instance_protocol(const struct instance *i);

/* Puts the layers over lower, which is owned from now on. NULL with e filled. */
struct adit_conn *instance_client(const struct instance *i, struct adit_conn *lower,
				  const char *host, struct adit_err *e);
struct adit_conn *instance_server(const struct instance *i, struct adit_conn *lower,
				  struct adit_err *e);

/*
 * Fills p's tls and credentials to present. 0, or a failure that has been said: a file of
 * credentials cannot be read. Main thread.
 */
int component_configure(struct adit_component *p, const struct instance_source *from);

#endif
