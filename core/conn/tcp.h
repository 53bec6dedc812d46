/*
 * Stream sockets as conns: TCP and Unix. The descriptor is registered once, edge-triggered;
 * readiness is kept in memory from then on.
 *
 * End in: FIN. shutdown: shutdown(SHUT_WR). close(0): everything taken is still sent; while the
 * peer has not ended its direction, what it still sends is read and dropped for a moment, because a
 * close over unread bytes would turn into a reset that can destroy our last ones. close(why): RST.
 */
#ifndef ADIT_CORE_TCP_H
#define ADIT_CORE_TCP_H

#include <adit/conn.h>

/*
 * A conn on a connected (connecting: still being connected) non-blocking stream socket, whose
 * descriptor it owns from now on, also on failure (NULL: out of memory). Addresses are asked of the
 * kernel; options are left as they are (tcp_socket sets them, and what is accepted inherits them
 * from the listening socket).
 */
struct adit_conn *tcp_conn(struct adit_worker *w, int fd, bool connecting);

/* Starts to connect to an IP address; 0 or more ms for it to take (0: the kernel's limit). NULL
 * with e filled. */
struct adit_conn *tcp_connect(struct adit_worker *w, const struct adit_addr *to, unsigned ms,
			      struct adit_err *e);

/* Starts to connect to a Unix socket. */
struct adit_conn *unix_connect(struct adit_worker *w, const char *path, struct adit_err *e);

/* A non-blocking socket with our options (no delay, keepalive, TCP_NOTSENT_LOWAT), or -errno. */
int tcp_socket(int family);

/* Sets those options; a listening socket passes them on to what it accepts. */
void tcp_tune(int fd, int family);

/* An opening conn on no descriptor yet; tcp_adopt gives it one that is connected, and opens it. */
struct adit_conn *tcp_dialing(struct adit_worker *w);
void tcp_adopt(struct adit_conn *c, int fd);

/* Called when a dialing conn is closed before tcp_adopt: what dials is to be stopped. */
void tcp_on_cancel(struct adit_conn *c, void (*cancel)(void *arg), void *arg);

/* Bytes written that the peer's kernel has not acknowledged (SIOCOUTQ), or -errno. */
int tcp_unacked(struct adit_conn *c);

#endif
