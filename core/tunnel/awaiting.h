/*
 * Opens that wait for a sign of life. What a session has not heard its peer for a while is asked to
 * open is opened there at once, with its head as the question; but it is handed to who asked only
 * when the peer was heard, and until then nothing of his is sent but what may arrive early
 * (conn_set_early). An open that waits for long may be given up, and goes to another session
 * (ADIT_EPEERDEAD).
 */
#ifndef ADIT_CORE_AWAITING_H
#define ADIT_CORE_AWAITING_H

#include <sys/queue.h>

#include <adit/conn.h>

TAILQ_HEAD(await_list, await);

struct awaiting {
	struct await_list	 opens;		/* oldest first */
	struct adit_timer	*timer;		/* NULL until something waits */

	/* Asked when one has waited for a second, and again later: true, give it up. */
	bool			(*late)(void *arg);
	void			*arg;
};

void awaiting_init(struct awaiting *a, bool (*late)(void *arg), void *arg);

/* What still waits fails with err < 0. */
void awaiting_fini(struct awaiting *a, int err);

/*
 * Takes stream, open or still opening, and returns a conn that opens over it after awaiting_heard.
 * NULL with e filled: out of memory, and stream is closed.
 */
struct adit_conn *awaiting_add(struct awaiting *a, struct adit_conn *stream, struct adit_err *e);

/* The peer was heard: all that wait open. */
void awaiting_heard(struct awaiting *a);

bool awaiting_any(const struct awaiting *a);

#endif
