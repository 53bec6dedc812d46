/*
 * Watches whether a session's peer still answers, and asks as seldom as it can. Any byte counts,
 * not only the answer; what has not arrived there yet owes nothing (adit_mux_silence). A process
 * that was itself held up (stopped, starved) does not take that for its peer's silence.
 *
 * A session that is not heard for a moment (0.85 s) is asked, so that of two ends that both watch
 * one asks and the other is content: best the one with many sessions, which asks those of them
 * together whose time has come, and then hears the answers together. One that owes an answer is
 * told of: once it is late, so that others are preferred, and once it was silent for 3 s, which is
 * its end.
 *
 * A session may rest: where its kernel tells when the peer's process ends, and nobody has used it
 * for rest_after, a sign of life each rest will do, which the protocol's own keep-alive gives; then
 * it costs nothing here. It is watched closely again from the moment that a conn is opened in it or
 * moves bytes. So a peer that freezes is found within 3 s while it is used, and within rest + 3 s
 * else; who opens a conn at a session that was not heard for LIVENESS_FRESH asks first in any case.
 * Over QUIC nothing tells of the end of a process but an answer to what is sent, or the lack of
 * one: such a session does not rest.
 */
#ifndef ADIT_CORE_LIVENESS_H
#define ADIT_CORE_LIVENESS_H

#include <adit/mux.h>

/* A session that was heard within that time is taken to be there without being asked. */
#define LIVENESS_FRESH ADIT_SECONDS(1)

/* rest_after, and rest: above the 10 s between two NOPs of smux, which then are all there is. */
#define LIVENESS_USED ADIT_SECONDS(30)
#define LIVENESS_REST ADIT_SECONDS(12)

struct liveness;

struct liveness_watch {
	void		(*doubt)(void *arg);	/* its answer is late; may come again. Optional */
	void		(*dead)(void *arg);	/* it was silent for 3 s; called once */
	void		*arg;
	uint64_t	 rest_after;		/* ns without use; 0: it never rests */
	uint64_t	 rest;			/* ns between two signs of life then */
	bool		 second;		/* asks a little later than the other end would */
};

/*
 * Watches m, which stays the caller's, until liveness_stop. Both are called from the loop. NULL:
 * out of memory. One for each session.
 */
struct liveness *liveness_start(struct adit_mux *m, const struct liveness_watch *watch);

/* Before m is closed; also from dead. NULL is fine. */
void liveness_stop(struct liveness *l);

#endif
