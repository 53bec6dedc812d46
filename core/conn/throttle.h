/*
 * What slows a conn down: the buckets that its bytes are taken from, before they are read and
 * before they are written. Part of the conn's core, below whoever owns the conn and above the
 * conn's own operations, so that nobody has to know of it: a read or write for which nothing is
 * left answers -EAGAIN, and the conn is ready again when its share has come, by a timer of its
 * worker. Not reading is backpressure to whoever sends.
 *
 * A share is taken in one piece of some milliseconds' worth, in advance, for a write no more than
 * it has: so many conns are served in turns, each is woken once for each piece and not for each
 * byte, and none holds a lock. One of which nothing could be moved goes back at once, or conns that
 * are open and silent would take all there is; what is left of it when the conn is freed, then.
 */
#ifndef ADIT_CORE_THROTTLE_H
#define ADIT_CORE_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

struct adit_conn;
struct adit_conn_core;
struct bucket;
struct throttle;

#define THROTTLE_BUCKETS 3		/* in one direction */

/* All borrowed until gone is called. */
struct throttle_conf {
	struct bucket	*in[THROTTLE_BUCKETS], *out[THROTTLE_BUCKETS];	/* NULL: no such */
	void		(*gone)(void *arg);	/* the last call, when the conn is freed */
	void		*arg;
};

/*
 * From now on c reads no faster than all of conf->in give, and writes no faster than all of
 * conf->out. 0; -ENOMEM, or -EALREADY where c has one: gone is not called. On c's worker.
 */
int conn_throttle(struct adit_conn *c, const struct throttle_conf *conf);

/* ---- for conn.c ------------------------------------------------------------------------ */

/*
 * How many bytes may move now in that direction (ADIT_READ or ADIT_WRITE), at most len (at least
 * one); 0: none, core is told when.
 */
size_t throttle_allow(struct adit_conn_core *core, unsigned dir, size_t len);

/* So many did; of a datagram more than were allowed, which delays the next. */
void throttle_used(struct throttle *t, unsigned dir, size_t n);

/* Nothing could be moved that way for now, though it was allowed. */
void throttle_idle(struct throttle *t, unsigned dir);

/* Those of events of which no more is to be heard until a share has come are left out. */
unsigned throttle_pass(const struct throttle *t, unsigned events);

/* Its conn leaves its worker: nothing is waited for any more. */
void throttle_leave(struct throttle *t);

/* NULL is fine. */
void throttle_free(struct throttle *t);

#endif
