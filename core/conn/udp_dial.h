/*
 * A UDP target: a conn of datagrams to one host and port. UDP has no handshake, so it is open as
 * soon as the name has an address that there is a way to; whether anybody is there, nobody says
 * before the first answer (or -ECONNREFUSED).
 */
#ifndef ADIT_CORE_UDP_DIAL_H
#define ADIT_CORE_UDP_DIAL_H

#include <adit/conn.h>

/*
 * An opening ADIT_CONN_DGRAM conn; closing it ends the look for the name. host: a name or literal,
 * "": this machine. NULL with e filled: nothing was begun.
 */
struct adit_conn *udp_dial(struct adit_worker *w, const char *host, uint16_t port,
			   struct adit_err *e);

#endif
