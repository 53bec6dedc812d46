/*
 * Sessions from the inside: what core has of every session beside adit/mux.h.
 */
#ifndef ADIT_CORE_MUX_H
#define ADIT_CORE_MUX_H

#include <stdatomic.h>
#include <sys/queue.h>

#include <adit/mux.h>

#define MUX_FAILED 0		/* of what a follower is told as heard */

/*
 * Somebody who follows whether a session is heard; several may. Embedded, all of one worker. It is
 * let go when the session is closed: mux is NULL then.
 */
struct mux_follower {
	struct adit_mux			*mux;	/* NULL: none */
	_Atomic uint64_t		*heard;	/* set before, or NULL: adit_mux_heard, kept up to
						 * date for readers on other workers; MUX_FAILED
						 * from the moment it fails, before any of its conns
						 * does */
	void				(*await)(void *arg);
	void				*arg;
	LIST_ENTRY(mux_follower)	 entry;
};

void mux_follow(struct adit_mux *m, struct mux_follower *f);
void mux_unfollow(struct mux_follower *f);	/* also of none */

/*
 * Calls heard(arg) once, from the loop, when a byte of the peer's has come from now on. Replaces
 * what it was to call before; NULL: nothing. Nothing either where f follows none.
 */
void mux_await_heard(struct mux_follower *f, void (*heard)(void *arg), void *arg);

/*
 * For core/mux/tap.c. What m has for its owner goes to tap, but for its life: events, what can be
 * accepted, its end; NULL: to its owner again.
 */
void mux_set_tap(struct adit_mux *m, struct adit_mux *tap);
struct adit_conn *mux_accept_tapped(struct adit_mux *m);

/*
 * Somebody has use of m: a conn of it moves bytes, or was opened (adit_mux_count says that). For
 * implementers whose sessions may rest (core/mux/liveness.h); costs next to nothing.
 */
void mux_use(struct adit_mux *m);

/* Whether somebody had since this was asked last. */
bool mux_take_used(struct adit_mux *m);

/*
 * Calls used(arg) once, the next time that somebody has: from the inside of anything, so that it
 * may set a timer and no more. NULL: nothing. One for each session.
 */
void mux_await_use(struct adit_mux *m, void (*used)(void *arg), void *arg);

#endif
