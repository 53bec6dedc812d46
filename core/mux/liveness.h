/*
 * Watches whether a session's peer still answers: asks once a second, tells when it has owed an
 * answer for so long that others should be preferred, and when it has for 3 s. Any byte counts, not
 * only the answer; what has not arrived there yet owes nothing (adit_mux_silence). A process that
 * was itself held up (stopped, starved) does not take that for its peer's silence.
 */
#ifndef ADIT_CORE_LIVENESS_H
#define ADIT_CORE_LIVENESS_H

#include <adit/mux.h>

/* A session that was heard within that time is taken to be there without being asked. */
#define LIVENESS_FRESH ADIT_SECONDS(1)

struct liveness;

struct liveness_watch {
	void	(*doubt)(void *arg);	/* it is late with its answer; may come again. Optional */
	void	(*dead)(void *arg);	/* it was silent for 3 s; called once */
	void	*arg;
};

/*
 * Watches m, which stays the caller's, until liveness_stop. Both are called from the loop. NULL:
 * out of memory.
 */
struct liveness *liveness_start(struct adit_mux *m, const struct liveness_watch *watch);

/* Before m is closed; also from dead. NULL is fine. */
void liveness_stop(struct liveness *l);

#endif
