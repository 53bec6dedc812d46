/*
 * Listening sockets that outlive a reload. A set is one address with a SO_REUSEPORT socket for each
 * worker; it is found again by that address, so a service that was configured anew takes over the
 * sockets, and with them the connections that wait in them. Main thread, but for acceptors.
 */
#ifndef ADIT_CORE_LISTEN_H
#define ADIT_CORE_LISTEN_H

#include <adit/conn.h>

struct listen_book;	/* all sets of a process */
struct listen_set;

/* An empty one, for so many workers; NULL: out of memory. Main thread, as all of a book. */
struct listen_book *listen_book_new(unsigned workers);
void listen_book_free(struct listen_book *b);	/* all sets must have been put back */

enum listen_flag {
	LISTEN_UDP = 1,		/* datagram sockets */
	LISTEN_SHARED = 2,	/* another process may listen there too (SO_REUSEPORT) */
	LISTEN_MPTCP = 4,	/* Multipath TCP (RFC 8684), where the kernel has it */
	LISTEN_UNIX = 8,	/* a Unix socket: set by listen_get_unix */
};

/*
 * The set of that address (":80": all addresses, both families; "host:port"; "[v6]:port"; port 0:
 * the kernel's choice, the same for all workers), opened if it is not open yet; one that is open
 * stays as it was opened. Counted. NULL with e.
 */
struct listen_set *listen_get(struct listen_book *b, const char *addr, unsigned flags,
			      struct adit_err *e);

/*
 * The same for who is to find its set again after a reload also where the port is 0: by its name,
 * unique in the process. Others never get that set.
 */
struct listen_set *listen_get_for(struct listen_book *b, const char *owner, const char *addr,
				  unsigned flags, struct adit_err *e);

/*
 * Where a set of that host (a name, which is asked for here and now; "": all addresses, as [::])
 * and port would listen. A set is also found again by that, however it was written, and so is one
 * of its owner's whose port the kernel chose. 0, or a failure with e.
 */
int listen_resolve(const char *host, uint16_t port, unsigned flags, struct adit_addr *out,
		   struct adit_err *e);
void listen_put(struct listen_book *b, struct listen_set *s);	/* any thread */

/*
 * What those who share the set have beside its sockets: a place for it, NULL at first. fini(*slot)
 * is run with the set's end. Main thread.
 */
void **listen_slot(struct listen_set *s, void (*fini)(void *shared));

/*
 * The set of a Unix socket at path (see unix_listen), whose file goes with it; mode: of the file,
 * if there is none yet. Counted. NULL with e.
 */
struct listen_set *listen_get_unix(struct listen_book *b, const char *path, unsigned mode,
				   struct adit_err *e);

/* Gives the file of a Unix socket another mode. 0, or a failure with e filled. */
int listen_set_mode(struct listen_set *s, unsigned mode, struct adit_err *e);

/* Whether somebody got it before, whom a change of its sockets would concern too. */
bool listen_is_shared(const struct listen_set *s);

/* Where it listens really (the port that the kernel chose). */
const struct adit_addr *listen_addr(const struct listen_set *s);

/* How many sockets: one per worker. */
unsigned listen_count(const struct listen_set *s);

/* The descriptor for that worker; stays the set's. */
int listen_fd(const struct listen_set *s, unsigned worker);

/* An acceptor of one worker on one set. */
struct acceptor;

/*
 * Accepts on w's socket of s: accepted(arg, fd) gets each new non-blocking descriptor, at most 64 a
 * turn. When the process has no descriptor left it pauses for 100 ms. NULL with e filled. Called on
 * w.
 */
struct acceptor *acceptor_new(struct adit_worker *w, struct listen_set *s,
			      void (*accepted)(void *arg, int fd), void *arg, struct adit_err *e);
void acceptor_free(struct acceptor *a);

#endif
