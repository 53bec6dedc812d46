/*
 * What a connection to a tunnel's server is: it begins with one relay request, by which a client
 * binds a tunnel and the connection becomes a session (relay_session.h), or a visitor reaches one
 * and is joined to the stream that opens. Any other request is refused with a status.
 */
#ifndef ADIT_CORE_RELAY_REQUEST_H
#define ADIT_CORE_RELAY_REQUEST_H

#include <adit/plugin.h>

#include "core/mux/smux.h"

struct relay_request_conf {
	struct adit_component	*component;	/* the handler's */

	/* The rule for a normalised host name: 0 or ADIT_ENOROUTE. Any worker. */
	int			(*lookup)(void *arg, struct adit_worker *w, const char *host,
					  struct adit_rule *out);
	void			*arg;

	bool			 has_public_id;
	struct adit_uuid	 public_id;	/* whose visitors come as to an entry point */
	bool			 direct;	/* visitors need no rule for the tunnel they name */
	bool			 names;		/* a client is told the host name it asked for */
	uint64_t		 read_timeout;	/* ns, for the whole request; 0: no limit */
	struct smux_conf	 smux;		/* of the sessions of clients */
};

/*
 * Takes c, open, on its worker, and ends by itself, or with its component. conf is borrowed and
 * lives as long as the component.
 */
void relay_request(struct adit_conn *c, const struct relay_request_conf *conf);

#endif
