/*
 * The sessions of a listener whose stack ends in one: what a client opens in them are the
 * listener's connections. Each is an activity of its service: it drains with it, and ends when its
 * last stream has, when its client does not answer for 3 s, or when the limit is over.
 */
#ifndef ADIT_CORE_SESSION_SERVE_H
#define ADIT_CORE_SESSION_SERVE_H

#include <adit/plugin.h>

struct instance;

/*
 * Makes c, which is open and owned from now on, also on failure, a session of i's kind.
 * take(arg, stream) is called for each stream, open, as long as the listener's component lives. 0,
 * or a failure with e filled. On c's worker.
 */
int session_serve(const struct instance *i, struct adit_conn *c,
		  void (*take)(void *arg, struct adit_conn *c), void *arg, struct adit_err *e);

#endif
