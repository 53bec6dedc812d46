/*
 * A conn that a client's first bytes make what it is: with a layer over it if they begin one, else
 * as it is. They are read, at most a few hundred of them in any layer we have, and given back.
 */
#ifndef ADIT_CORE_TOLD_H
#define ADIT_CORE_TOLD_H

#include <adit/conn.h>

struct told {
	/* 1: they begin the layer; 0: they do not; -EAGAIN: more of them are needed to say. */
	int			(*begins)(void *arg, const uint8_t *bytes, size_t len);
	/* The layer over lower, which it owns, also on failure: NULL, e filled. */
	struct adit_conn	*(*over)(void *arg, struct adit_conn *lower, struct adit_err *e);
	void			*arg;	/* lives as long as the conn is opening */
	uint64_t		 ns;	/* limit for the bytes once lower is open; 0: none */
};

/*
 * Over lower, open or still opening, owned from now on, also on failure (NULL, e filled). It opens
 * when it is known what it is and that is open, and fails as lower does. how is copied.
 */
struct adit_conn *told_conn(struct adit_conn *lower, const struct told *how, struct adit_err *e);

#endif
