/*
 * The server's end of a client that is bound over adit/1: a member of a tunnel that opens a QUIC
 * stream for each visitor, in the session that the stream of the bind belongs to.
 */
#ifndef ADIT_CORE_NATIVE_SESSION_H
#define ADIT_CORE_NATIVE_SESSION_H

#include "core/tunnel/bound.h"
#include "core/wire/native.h"

struct native_session_conf {
	struct bound_conf	 bound;
	uint64_t		 bind;		/* the client's number for it */
	const struct native_msg	*answer;	/* borrowed for the call */
};

/*
 * Joins the tunnel, then answers on stream (owned, also on failure), which came with a BIND. It
 * ends itself, with a line in the log, when the client goes or the service stops. 0; -ENOMEM or
 * ADIT_ELIMIT, and the client was told; or why it could not be answered.
 */
int native_session_start(struct adit_conn *stream, const struct native_session_conf *conf);

#endif
