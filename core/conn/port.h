/*
 * A listening TCP socket of one worker, made while the process runs: a client asked for it. It
 * outlives no reload, and nobody else finds it (those of services: core/conn/listen.h).
 */
#ifndef ADIT_CORE_PORT_H
#define ADIT_CORE_PORT_H

#include <adit/conn.h>

struct port;

/* Accepts from now on: accepted(arg, c) has each conn, open. Called from the loop; may close it. */
struct port_conf {
	struct adit_addr	at;	/* family 0: all addresses of both; port 0: the kernel's */
	void			(*accepted)(void *arg, struct adit_conn *c);
	void			*arg;
};

/* NULL with e filled: not our address, in use, not allowed. On w, as all of it. */
struct port *port_open(struct adit_worker *w, const struct port_conf *conf, struct adit_err *e);

/* Accepts no more; what was accepted goes on. NULL is fine. */
void port_close(struct port *p);

const struct adit_addr *port_addr(const struct port *p);	/* where it really is; p's */

#endif
