/*
 * The sessions that a node's dialer keeps, where its stack ends in one (mtcp, mws, h2): each worker
 * has one for each lane, made by the first dial, and a dial is a stream of it. While one has no
 * room for a stream, another is made beside it; one that has ended is forgotten.
 */
#ifndef ADIT_CORE_SESSION_POOL_H
#define ADIT_CORE_SESSION_POOL_H

#include <adit/plugin.h>

struct instance;
struct session_pool;

/* For the dialer i, borrowed for the pool's life. NULL: out of memory. */
struct session_pool *session_pool_new(const struct instance *i);

/* After session_pool_stop on every worker. NULL is fine. */
void session_pool_free(struct session_pool *p);

/*
 * A stream to the node, which may still be opening, or NULL with e filled: ADIT_EDRAINING after
 * session_pool_stop on that worker. req->via is closed where there is a session already, and on
 * failure. On req->worker.
 */
struct adit_conn *session_pool_dial(struct session_pool *p, const struct adit_dial *req,
				    struct adit_err *e);

/* As a dialer's stop: that worker's sessions end, and no more are made. On w. */
void session_pool_stop(struct session_pool *p, struct adit_worker *w);

#endif
