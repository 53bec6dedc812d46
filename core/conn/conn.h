/*
 * Conns from the inside: core's part of every conn, which stands in front of the instance in one
 * block. See adit/conn.h for the contract.
 */
#ifndef ADIT_CORE_CONN_H
#define ADIT_CORE_CONN_H

#include <stdatomic.h>

#include <adit/conn.h>

#include "core/runtime/worker.h"

struct adit_component;
struct tallied;

struct adit_conn_core {
	struct io		 io;
	struct adit_conn	*conn;
	adit_conn_cb		*cb;
	void			*owner;
	unsigned		 flags;		/* enum adit_conn_flag */
	int			 err;		/* latched */
	char			*failure;	/* owned; see conn_explain */
	uint16_t		 asked_port;
	bool			 vital;		/* see conn_set_vital */
	bool			 early;		/* see conn_set_early */
	char			*asked;		/* owned */
	uint8_t			*unread;	/* bytes given back, owned; NULL when none */
	uint32_t		 unread_start, unread_len;
	struct adit_timer	*deadline;
	struct adit_component	*component;	/* referenced */
	const char		*service;	/* borrowed */
	struct conn_watch	*watches;	/* see conn_watch_open */
	atomic_uint		*count;		/* see conn_count */
	struct conn_ticket	*tickets;	/* see conn_hold_ticket */
	struct throttle		*throttle;	/* owned; NULL: as fast as it can */
	struct tallied		*tallied;	/* see core/conn/tally.h; NULL: not counted */
	uint64_t		 code, id;
	uint64_t		 born;		/* adit_now() */
	struct adit_traffic	 traffic;
	struct adit_addr	 local, remote;
};

/* Embedded in the watcher's object, which it takes back, and may free, when it is told. */
struct conn_watch {
	void			(*told)(struct conn_watch *watch, int err);
	struct conn_watch	*next;
};

/*
 * Tells once how the opening of c ended: 0, why it failed, or -ECANCELED (c was closed before). For
 * bookkeeping only: told is called from inside, in the middle of anything, and must touch no conn.
 * Of a conn that is open or has failed it is called at once. Several may watch: the same conn is a
 * node's and a target's where the connector adds nothing.
 */
void conn_watch_open(struct adit_conn *c, struct conn_watch *watch);

/* Counts c in n, which it outlives, until c is freed. Once. */
void conn_count(struct adit_conn *c, atomic_uint *n);

/* Embedded in what somebody has to give back when a conn is freed. */
struct conn_ticket {
	void			(*gone)(struct conn_ticket *ticket);
	struct conn_ticket	*next;
};

/* Tells when c is freed, on whatever thread that is; gone takes the ticket back. */
void conn_hold_ticket(struct adit_conn *c, struct conn_ticket *ticket);

/*
 * c carries a session: while memory is short it goes on as ever, or nothing that the session's
 * streams hold could leave, and its peer would not hear that it lives.
 */
static inline void
conn_set_vital(struct adit_conn *c)
{
	c->core->vital = true;
}

/*
 * c takes a few writes before it is open, on their way to whoever is to answer: the owner has said
 * that they do no harm if they arrive and nothing else ever does, nor if they arrive twice.
 */
static inline void
conn_set_early(struct adit_conn *c)
{
	c->core->early = true;
}

static inline bool
conn_is_early(const struct adit_conn *c)
{
	return c->core->early && !c->core->err;
}

/*
 * As the operation: what has arrived at c goes to to without a copy in between, which has no
 * failure, and no end, of its own: 0 leaves all that to a read.
 */
size_t conn_pour(struct adit_conn *c, struct adit_conn *to, size_t len);

/* The same for a conn whose bytes stand in q. */
size_t conn_pour_queue(struct queue *q, struct adit_conn *to, size_t len);

/*
 * Reads from c once, into q, in which messages gather. 0: some bytes came; -EAGAIN; the end is
 * -ESHUTDOWN, or ADIT_ETRUNCATED while q is not empty; -ENOMEM; or c's failure.
 */
int conn_fill_queue(struct adit_conn *c, struct queue *q);

/*
 * adit_conn_write for what a protocol has to say at once: an answer of a few bytes. What slows c
 * down does not hold it up, as nobody would write it again; it is paid for by what comes after.
 */
ssize_t conn_write_now(struct adit_conn *c, const void *buf, size_t len);

/*
 * What a write to c answers whose queue took nothing: -EAGAIN, and if the queue has yielded c is
 * writable again once there is memory; or -ENOMEM.
 */
int conn_refused(struct adit_conn *c, const struct queue *q);

/*
 * Why c fails, or the one below it did, in words for the log: copied, the first that are not NULL
 * stay. A layer whose lower conn has failed passes those on (conn_explain(c, conn_failure(lower))).
 * conn_failure: NULL: nothing more than the error's code. c's for its life; c may be NULL.
 */
void conn_explain(struct adit_conn *c, const char *why);
const char *conn_failure(const struct adit_conn *c);

/*
 * For implementers in core: an operation that got less than it asked for knows that no more is
 * there.
 */
static inline void
conn_unready(struct adit_conn *c, unsigned events)
{
	c->core->io.ready &= (uint8_t)~events;
}

#endif
