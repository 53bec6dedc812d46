/*
 * Each worker's pipes for splice(2). A pipe is taken while bytes are in it and given back when it
 * is empty, so few are in use at any time; their number is bounded, because each costs two
 * descriptors and up to PIPE_BYTES of kernel memory.
 */
#ifndef ADIT_CORE_PIPES_H
#define ADIT_CORE_PIPES_H

#include <adit/worker.h>

#define PIPE_BYTES (256 * 1024)
#define PIPES_MAX 256		/* in use at the same time, per worker */

struct pipe {
	int		 in, out;	/* ends to write to, to read from */
	struct pipe	*next;		/* of the pool */
};

/*
 * An empty pipe, or NULL: the bound is reached, no descriptor is left, or SIGPIPE would hit this
 * process (splice has no MSG_NOSIGNAL, and in a library the signal is not ours to ignore).
 */
struct pipe *pipe_get(struct adit_worker *w);

/* Gives it back; empty: nothing is in it, so it may serve again. NULL is fine. */
void pipe_put(struct adit_worker *w, struct pipe *p, bool empty);

#endif
