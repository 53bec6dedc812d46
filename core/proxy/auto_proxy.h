/*
 * A proxy that is told by the first bytes what a client speaks: SOCKS 4 and 5 by their version,
 * TLS, whose server name is the target, and else HTTP, whose requests name theirs.
 */
#ifndef ADIT_CORE_AUTO_PROXY_H
#define ADIT_CORE_AUTO_PROXY_H

#include <adit/plugin.h>

#include "core/proxy/http_proxy.h"
#include "core/proxy/socks_server.h"

struct auto_conf {
	struct adit_handler	*handler;
	uint64_t		 read_timeout;	/* ns for the bytes that tell */
	uint64_t		 idle_timeout;	/* ns of silence once joined; 0: no limit */
	struct http_proxy_conf	 http;
	struct socks_conf	 socks;		/* speaks no version: there is no SOCKS */
};

/* Takes c, open. conf lives as long as its handler's component. */
void auto_proxy(struct adit_conn *c, const struct auto_conf *conf);

#endif
