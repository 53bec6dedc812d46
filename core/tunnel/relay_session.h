/*
 * The server's end of a bound client: a smux session on which we open a stream for each visitor, its head first (who comes
 * and what he asked for), as a member of a tunnel.
 */
#ifndef ADIT_CORE_RELAY_SESSION_H
#define ADIT_CORE_RELAY_SESSION_H

#include <adit/plugin.h>

#include "core/mux/smux.h"

struct relay_session;

struct relay_session_conf {
	struct adit_component	*component;	/* the handler's */
	struct adit_uuid	 tunnel;
	struct adit_uuid	 connector;	/* this session's id, as told to the client */
	enum adit_network	 network;
	unsigned		 weight;
	bool			 visitor_address;
	struct smux_conf	 smux;
};

/*
 * Makes lower (owned, also on failure) a session and joins the tunnel. It ends itself, with a line in the log, when the
 * peer goes or the service stops. 0, -ENOMEM or ADIT_ELIMIT.
 */
int relay_session_start(struct adit_conn *lower, const struct relay_session_conf *conf);

/* Fills in the head of a visitor's stream: what a client can rely on: a numeric source, and always two addresses. */
struct relay_msg;
void relay_stream_message(const struct adit_open *req, struct relay_msg *m);

#endif
