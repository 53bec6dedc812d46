/*
 * Looking at the first bytes of a conn, which are given back once it is known what they are.
 * Bounded; put a time limit on it. They may hold credentials, and are wiped with what held them.
 * Zeroed: nothing was read yet.
 */
#ifndef ADIT_CORE_PEEK_H
#define ADIT_CORE_PEEK_H

#include <adit/conn.h>

struct peek {
	uint8_t	*buf;		/* owned */
	size_t	 len, cap;
};

/*
 * Reads on. 0: there are more bytes; -EAGAIN; -ESHUTDOWN: the end; -EMSGSIZE: there are max
 * already; -ENOMEM; or c's failure.
 */
int peek_read(struct peek *p, struct adit_conn *c, size_t max);

/* Gives back what was read, and frees what held it. 0, or a failure as of adit_conn_unread. */
int peek_give_back(struct peek *p, struct adit_conn *c);

/* Frees without giving back. */
void peek_fini(struct peek *p);

#endif
