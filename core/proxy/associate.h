/*
 * The targets of a UDP association: a client sends datagrams to any number of them, by name or by
 * address, and each is reached by a flow of its own, dialed through the handler's chain. What comes
 * back on a flow is the client's, as from the address that he has sent to.
 *
 * Nothing waits for anybody: what cannot be sent at once is dropped, the flow that was silent for
 * longest goes when there are too many, and each goes after a while of silence.
 */
#ifndef ADIT_CORE_ASSOCIATE_H
#define ADIT_CORE_ASSOCIATE_H

#include <adit/plugin.h>

#include "core/wire/addr.h"

#define ASSOCIATE_HEADROOM 300	/* bytes in front of what is delivered: of the callee's use */

struct associate;

struct associate_conf {
	struct adit_handler	*handler;
	const struct adit_conn	*visitor;	/* the client; lives longer */
	uint64_t		 ttl;		/* ns of silence that end a flow; not 0 */

	/*
	 * A datagram of from's; buf has ASSOCIATE_HEADROOM writable bytes in front of it. Does not
	 * free the association. From the loop.
	 */
	void			(*deliver)(void *arg, const struct wire_addr *from, uint8_t *buf,
					   size_t len);
	void			*arg;
};

/* conf is copied. NULL: out of memory. One worker. */
struct associate *associate_new(const struct associate_conf *conf);
void associate_free(struct associate *a);		/* NULL is fine */

/* Sends a datagram to to, or drops it. */
void associate_send(struct associate *a, const struct wire_addr *to, const void *buf, size_t len);

#endif
