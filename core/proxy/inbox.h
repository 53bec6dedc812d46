/*
 * The first messages of a binary protocol, as they come from a conn: SOCKS in either role. What was
 * read too far goes back to the conn, which is then free of the protocol.
 */
#ifndef ADIT_CORE_INBOX_H
#define ADIT_CORE_INBOX_H

#include <adit/conn.h>
#include <adit/plugin.h>

#include "core/wire/addr.h"

#define INBOX_SIZE 1024		/* at least a longest message of whoever uses it */

/* Zero it before use. It may hold credentials: wipe it at the end. */
struct inbox {
	uint8_t	buf[INBOX_SIZE];
	size_t	len;
};

/*
 * Reads on. 0: something came; -EAGAIN; -ECONNRESET for an end; -EMSGSIZE: it is full, which no
 * message makes it; or c's own failure.
 */
int inbox_fill(struct inbox *in, struct adit_conn *c);

/* What was decoded from the beginning is done with. */
void inbox_drop(struct inbox *in, size_t n);

/* What is left goes back to c. 0, or c's refusal to take it. */
int inbox_give_back(struct inbox *in, struct adit_conn *c);

/* Writes a message that c, which has been sent little, takes whole. 0, or a failure. */
int inbox_answer(struct adit_conn *c, const void *message, size_t len);

/*
 * Of a connection that is to say nothing more but its end: what comes is dropped, so much in one
 * turn. -EAGAIN; -ESHUTDOWN for the end; or c's own failure.
 */
int inbox_ignore(struct adit_conn *c);

/*
 * The target that a message names, as a connection's or a datagram's: host is where its name goes.
 * 0, or -EINVAL: none at all, or a name that is no host's.
 */
int inbox_target(const struct wire_addr *a, char host[WIRE_ADDR_TEXT], struct adit_target *to);

/* An IP address as messages have it; 0.0.0.0:0 where a is none. */
struct wire_addr inbox_addr(const struct adit_addr *a);

#endif
