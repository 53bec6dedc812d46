/*
 * What the requests of clients and visitors to a tunnel's server have in common, whatever their
 * wire: how they are served, and to which tunnel a visitor is led.
 */
#ifndef ADIT_CORE_REQUEST_H
#define ADIT_CORE_REQUEST_H

#include <adit/plugin.h>

#include "core/mux/smux.h"

struct request_conf {
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
 * Which tunnel a visitor gets who names one and a host ("" if none): through a public entry point
 * that of the rule for the host, unless the rule is private; anybody else his own one, if a rule
 * says that the host is its, or always with direct routing. 0, ADIT_ENOROUTE, or ADIT_ETARGET from
 * an entry point without a rule.
 */
int request_route(const struct request_conf *conf, struct adit_worker *w,
		  const struct adit_uuid *named, const char *host, struct adit_uuid *out);

#endif
