/*
 * Conns that wait for the heads of their streams: each is given on when it is open, and closed when
 * its head does not come. One that is slow holds up nobody else.
 */
#ifndef ADIT_CORE_HEADS_H
#define ADIT_CORE_HEADS_H

#include <sys/queue.h>

#include <adit/conn.h>

TAILQ_HEAD(heads_list, head_wait);

struct heads {
	struct heads_list	 list;
	void			(*ready)(void *arg, struct adit_conn *c);
	void			*arg;
};

/* ready takes the conns; it may end h. */
void heads_init(struct heads *h, void (*ready)(void *arg, struct adit_conn *c), void *arg);

/* Takes c, which is opening and limits the time for that itself. NULL is fine. */
void heads_add(struct heads *h, struct adit_conn *c);

/* Closes all with that reason. */
void heads_drop(struct heads *h, int why);

/* ---- conns that wait to be accepted ------------------------------------------------- */

struct ready_conn;
TAILQ_HEAD(ready_list, ready_conn);

/* Takes c. False: out of memory, and c is closed. */
bool ready_put(struct ready_list *list, struct adit_conn *c);

/* The oldest, now the caller's, or NULL. */
struct adit_conn *ready_take(struct ready_list *list);
void ready_drop(struct ready_list *list, int why);

#endif
