/*
 * A proxy that speaks gost's relay protocol (core/wire/relay.h): CONNECT, for TCP and UDP, to the
 * target that is asked for or, with a forwarder, to one of its nodes; BIND for both.
 */
#ifndef ADIT_CORE_RELAY_SERVER_H
#define ADIT_CORE_RELAY_SERVER_H

#include <adit/plugin.h>

struct relay_server_conf {
	struct adit_handler	*handler;	/* whose credentials, chain and forwarder */
	uint64_t		 read_timeout;	/* ns for a request */
	uint64_t		 idle_timeout;	/* ns of silence once joined; 0: no limit */
	bool			 bind;		/* whether BIND is allowed */
};

/* Takes c, open. conf lives as long as its handler's component. */
void relay_server(struct adit_conn *c, const struct relay_server_conf *conf);

#endif
