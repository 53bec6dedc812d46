/*
 * The server's end of a bound client: a smux session on which we open a stream for each visitor,
 * its head first (who comes and what he asked for), as a member of a tunnel.
 */
#ifndef ADIT_CORE_RELAY_SESSION_H
#define ADIT_CORE_RELAY_SESSION_H

#include "core/mux/smux.h"
#include "core/tunnel/bound.h"

struct relay_msg;

struct relay_session_conf {
	struct bound_conf	 bound;
	struct smux_conf	 smux;
	const struct relay_msg	*answer;	/* to the client's request, borrowed for the
						 * call; NULL: none */
};

/*
 * Joins the tunnel, then answers, and makes lower (owned, also on failure) a session: a client that
 * has the answer can be reached. It ends itself, with a line in the log, when the peer goes or the
 * service stops. 0, -ENOMEM, ADIT_ELIMIT (the client was told), or why the answer could not be
 * sent.
 */
int relay_session_start(struct adit_conn *lower, const struct relay_session_conf *conf);

#endif
