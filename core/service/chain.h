/*
 * What a chain is made of: hops, each a choice of nodes. chain.c makes it, and route.c goes by it;
 * for all others it is core/service/route.h.
 */
#ifndef ADIT_CORE_CHAIN_H
#define ADIT_CORE_CHAIN_H

#include <stdatomic.h>

#include "core/service/component.h"
#include "core/service/instance.h"
#include "core/service/names.h"
#include "core/service/race.h"
#include "core/service/route.h"
#include "core/service/selector.h"
#include "core/service/session_pool.h"

#define HOPS_MAX 16

/* A node of a hop. Its two components are what its instances stand on. */
struct node {
	const struct node_conf	*conf;
	struct adit_component	 dialer_place, connector_place;
	struct instance		 dialer, connector;
	struct session_pool	*pool;		/* where dialer ends in a session; owned */
	struct race		*race;		/* where dialer is several; owned */
	struct race_opts	 race_opts;
	struct node_state	 state;
	struct held		**bypasses;	/* owned; ended by NULL; NULL: none */
	struct names		 names;		/* of host */
	int64_t			 proxy_protocol;	/* version of the PROXY header that it is
							 * sent; 0: none */
	char			 host[256];
	uint16_t		 port;
};

struct hop {
	const struct hop_conf	*conf;
	struct selector		 selector;
	struct held		**bypasses;	/* as a node's */
	struct node		*nodes;
	size_t			 n;
};

struct chain {
	atomic_uint		 refs;
	struct config		*config;	/* referenced */
	const struct chain_conf	*conf;
	size_t			 n;
	struct hop		 hops[HOPS_MAX];
};

#endif
