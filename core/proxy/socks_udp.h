/*
 * UDP ASSOCIATE of SOCKS 5 (RFC 1928, 7): a UDP socket for one client, who is asked for by a
 * connection and served as long as that lasts.
 */
#ifndef ADIT_CORE_SOCKS_UDP_H
#define ADIT_CORE_SOCKS_UDP_H

#include <adit/plugin.h>

#include "core/wire/addr.h"

struct socks_udp_conf {
	struct adit_handler	*handler;
	const struct adit_addr	*address;	/* what the client is to send to, with port 0;
						 * family 0: the address that he came to */
	uint16_t		 client_port;	/* that he will send from; 0: as the first one */
	uint64_t		 ttl;		/* ns of silence that end a target's flow; not 0 */
};

/*
 * Takes c, whose request was read, answers it, and serves. An activity of the handler's component
 * while it lasts, then a line in the log. 0; or why there is no socket: c is still the caller's.
 */
int socks_udp_serve(struct adit_conn *c, const struct socks_udp_conf *conf);

#endif
