/*
 * The client's end of a bind over adit/1: a stream of a QUIC session on which the BIND is sent and
 * answered, and which says later that one side drains. The session that it gives accepts conns for
 * its visitors only: streams that the server opened, their heads read, or flows of
 * datagrams.
 */
#ifndef ADIT_CORE_NATIVE_BIND_H
#define ADIT_CORE_NATIVE_BIND_H

#include <adit/mux.h>

#include "core/wire/native.h"

struct native_bind_conf {
	const struct native_msg	*request;	/* a BIND, but for version and number; borrowed */
	unsigned		 answer_ms;	/* limit for the answer */
	unsigned		 connections;	/* that are wanted, if the server gains by them */

	/* Called once when the server agreed: for the log. Optional. */
	void			(*bound)(void *arg, const struct native_msg *answer);
	void			*arg;
};

/*
 * Takes stream, which is open and has an adit_conn_mux, also on failure (NULL with e filled).
 * Opens, or fails as the server answered.
 */
struct adit_mux *native_bind(struct adit_conn *stream, const struct native_bind_conf *conf,
			     struct adit_err *e);

#endif
