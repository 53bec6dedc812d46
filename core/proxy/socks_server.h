/*
 * A proxy that speaks SOCKS 5 (RFC 1928, 1929), 4 and 4a: CONNECT in all of them, in 5 also UDP
 * ASSOCIATE and BIND, and gost's forms of the two that go in the connection.
 */
#ifndef ADIT_CORE_SOCKS_SERVER_H
#define ADIT_CORE_SOCKS_SERVER_H

#include <adit/plugin.h>

struct socks_conf {
	struct adit_handler	*handler;	/* whose credentials and chain */
	uint64_t		 read_timeout;	/* ns for the client's messages, all of them */
	uint64_t		 idle_timeout;	/* ns of silence once joined; 0: no limit */
	bool			 v4, v5;	/* which are spoken */
	bool			 udp, bind;	/* whether UDP, and BIND, are allowed */
	struct adit_addr	 address;	/* that a UDP client is told to send to; family 0:
						 * the one that he came to */
};

/* Takes c, open. conf lives as long as its handler's component. */
void socks_server(struct adit_conn *c, const struct socks_conf *conf);

#endif
