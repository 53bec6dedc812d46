/*
 * Watches whether a session's peer still answers: asks once a second and tells when nothing has
 * been heard for three. Any byte counts, not only the answer. A process that was itself held up
 * (stopped, starved) does not take that for its peer's silence.
 */
#ifndef ADIT_CORE_LIVENESS_H
#define ADIT_CORE_LIVENESS_H

#include <adit/mux.h>

struct liveness;

/*
 * Watches m, which stays the caller's, until liveness_stop. answers: whether the peer is known to
 * answer probes at all; NULL: it does. dead(arg) is called once, from the loop. NULL: out of
 * memory.
 */
struct liveness *liveness_start(struct adit_mux *m, bool (*answers)(const struct adit_mux *m),
				void (*dead)(void *arg), void *arg);

/* Before m is closed; also from dead. NULL is fine. */
void liveness_stop(struct liveness *l);

#endif
