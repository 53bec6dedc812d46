/*
 * Dialing a name over TCP. The conn is there at once and opens when one of the name's addresses
 * answered: they are tried one after the other, families in turn, a new one each 250 ms or as soon
 * as the one before failed, and the first that connects wins (RFC 8305).
 */
#ifndef ADIT_CORE_DIAL_H
#define ADIT_CORE_DIAL_H

#include <adit/conn.h>

struct tcp_keepalive;

#define DIAL_MS 15000	/* the default limit, for all of it */

struct tcp_dial {
	const char			*host;	/* a name or literal; "": this machine. Copied */
	uint16_t			 port;
	const struct adit_addr		*addrs;	/* host's, where they are known; NULL: it is
						 * looked up. Ports do not count. Copied */
	size_t				 n_addrs;
	unsigned			 ms;	/* limit; 0: DIAL_MS */
	const struct tcp_keepalive	*keepalive;	/* copied; NULL: the default */
};

/*
 * An opening conn. It fails with what tells most of all attempts: -ECONNREFUSED rather than
 * -ETIMEDOUT rather than that there was no way to the host. Closing it ends the dialing. NULL with
 * e filled: nothing was begun.
 */
struct adit_conn *tcp_dial_to(struct adit_worker *w, const struct tcp_dial *to, struct adit_err *e);

/* The same, with the default keepalive. */
struct adit_conn *tcp_dial(struct adit_worker *w, const char *host, uint16_t port, unsigned ms,
			   struct adit_err *e);

#endif
