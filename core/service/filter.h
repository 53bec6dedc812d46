/*
 * The simpler of a forwarder's two ways to say which node is for a request: by host, protocol and
 * path. Nothing is kept; any thread.
 */
#ifndef ADIT_CORE_FILTER_H
#define ADIT_CORE_FILTER_H

#include <adit/exchange.h>

#include "core/config/model.h"

/* What is known of a request, or of a connection; all borrowed. */
struct route_request {
	const char			*host;		/* asked for, normalised, without port;
							 * NULL or "": nothing */
	uint16_t			 port;		/* of host; 0: unknown */
	const char			*protocol;	/* sniffed: "http", "tls", "ssh", "redis";
							 * NULL: unknown */
	const char			*network;	/* "tcp" or "udp"; NULL: unknown */
	struct adit_text		 path;		/* of HTTP, decoded; s NULL: none */
	const struct adit_fields	*head;		/* of HTTP; NULL: none */
	const struct adit_addr		*client;	/* NULL: unknown */
};

/* Whether pattern is for host: without case; ".x", "*.x" and "*x" are x and all below it, "*" any
 * host. */
bool filter_host_matches(const char *pattern, const char *host);

/* Whether f lets req by; f NULL: always. */
bool filter_matches(const struct filter_conf *f, const struct route_request *req);

#endif
