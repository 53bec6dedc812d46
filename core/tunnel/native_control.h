/*
 * The stream of a bind from either end: messages both ways as long as the bind lasts, and the drain
 * that each side may ask for and the other acknowledges.
 */
#ifndef ADIT_CORE_NATIVE_CONTROL_H
#define ADIT_CORE_NATIVE_CONTROL_H

#include <adit/mux.h>

#include "core/tunnel/native_conn.h"

/* Embedded in a bind's end. */
struct native_control {
	struct adit_conn	*stream;	/* owned; NULL once closed */
	struct collected	 in;
	bool			 drains;	/* we said so */
	bool			 peer_drains;	/* the peer did; it has its answer */
	bool			 drained;	/* our word was acknowledged */
	uint64_t		 streams;	/* that the peer had opened by then */

	void			(*message)(void *arg, const struct native_msg *m);
	void			(*ended)(void *arg, const struct adit_reason *why);
	void			*arg;
};

/*
 * Takes stream, open. message gets what is no DRAIN or DRAINED; after each message that was one,
 * too, with peer_drains or drained set before. ended is called once, last; both from the loop, and
 * either may close c.
 */
void native_control_start(struct native_control *c, struct adit_conn *stream);

/* Says that we drain, once. */
void native_control_drain(struct native_control *c);

/* Whether the peer has heard of that, and all that it had opened before has come to us. */
bool native_control_drained(const struct native_control *c);

/* Whether all has come to us in session m that the peer had opened before it said that it knows. */
bool native_control_has_all(const struct native_control *c, const struct adit_mux *m);

/* Ends the stream. No call comes after. */
void native_control_close(struct native_control *c, int why);

#endif
