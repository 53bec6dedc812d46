/*
 * A conn: one end of an ordered byte stream, or of one flow of datagrams, with the semantics of
 * read(2) and writev(2) on a non-blocking socket. TCP, TLS over any conn, a stream of a session, an
 * HTTP body: all are conns, and nobody above can tell which.
 *
 * Readiness is a level. An owner says what it waits for (adit_conn_want) and is called, from the
 * worker's run queue and never from inside one of its own calls, again and again while something it
 * wants is ready. Not reading is backpressure. A conn has one owner and one worker; it is touched
 * by that thread only.
 *
 * End, failure and time-out are different things: the end is a read of 0 and is passed on by
 * adit_conn_shutdown; a failure is latched, every later call returns it, and it is passed on by
 * adit_conn_close(c, why); a time-out is a failure.
 */
#ifndef ADIT_CONN_H
#define ADIT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <adit/addr.h>
#include <adit/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

enum adit_event {
	ADIT_READ = 1,		/* a read may give something: bytes, the end, a failure */
	ADIT_WRITE = 2,		/* a write may take something */
	ADIT_OPEN = 4,		/* the whole stack below is open, or has failed (adit_conn_err) */
	ADIT_HEAD = 8,		/* an exchange: a head or trailers have arrived */
};

enum adit_conn_flag {
	ADIT_CONN_DGRAM = 1,	/* a read or write is one datagram, perhaps empty; has no end: one
				 * that is over, in order, fails with -ESHUTDOWN */
	ADIT_CONN_SECURE = 2,	/* encrypted and, as far as configured, authenticated on the way */
	ADIT_CONN_EXCHANGE = 4,	/* the first member of a struct adit_exchange */
	ADIT_CONN_UNI = 8,	/* one direction only */
};

struct adit_conn;
struct adit_mux;

/* How far what was written has come, in bytes as the lowest layer counts them. */
struct adit_delivery {
	uint64_t	taken;		/* down to the kernel, or to a queue on the way there */
	uint64_t	acked;		/* of those, what the peer's kernel (QUIC: the peer) has */
};

/* What a kind of conn implements. Called through the wrappers below only. */
struct adit_conn_ops {
	size_t		 size;		/* of this table: what lies beyond its end is NULL */
	const char	*name;		/* "tcp", "tls", ...: for the log */

	/*
	 * > 0 bytes read, 0 the end, -EAGAIN, or a failure. For ADIT_CONN_DGRAM 0 is an empty
	 * datagram. Called also after adit_conn_fail, until it answers -EAGAIN: bytes that had
	 * arrived come before the failure.
	 */
	ssize_t		(*read)(struct adit_conn *c, void *buf, size_t len);

	/*
	 * > 0 bytes taken, at least one; -EAGAIN; or a failure. A datagram goes whole or not at
	 * all.
	 */
	ssize_t		(*writev)(struct adit_conn *c, const struct iovec *iov, int n);

	/*
	 * Sends the end after all that was taken. Returns 0, a failure, or -ENOTSUP: no half-close
	 * in this protocol. Called once; never -EAGAIN (keep a flag and do it when flushed).
	 */
	int		(*shutdown)(struct adit_conn *c);

	/*
	 * The owner's last word. why 0: politely, after all that was taken; else abortive, as the
	 * protocol can (RST, alert, RESET_STREAM), with adit_conn_code where it carries one. May
	 * keep the instance busy (adit_conn_hold) to flush, within a limit of its own. No callback
	 * to the owner comes after.
	 */
	void		(*close)(struct adit_conn *c, int why);

	/* Frees what the instance owns (not the instance), once no caller is on the stack. */
	void		(*free)(struct adit_conn *c);

	/* ---- optional ---- */

	/*
	 * What the owner wants has changed (adit_conn_wanted): ask the layer below for what that
	 * needs.
	 */
	void		(*want)(struct adit_conn *c);

	/*
	 * The descriptor whose bytes in that direction (ADIT_READ or _WRITE) are exactly ours, now
	 * and from now on, or -1.
	 */
	int		(*splice_fd)(struct adit_conn *c, unsigned dir);

	/*
	 * Leave this worker (0, or -ENOTSUP and nothing changed); then attach runs on the other
	 * one.
	 */
	int		(*detach)(struct adit_conn *c);
	void		(*attach)(struct adit_conn *c, struct adit_worker *to);

	/*
	 * Closed, and still held: the worker ends, and nothing would go on. Give up what the holds
	 * are for and release them, now. Without it free is called in spite of the holds, after all
	 * that have it.
	 */
	void		(*cut)(struct adit_conn *c);

	/* The session that c is a stream of, while that lives; NULL: none. */
	struct adit_mux	*(*mux)(struct adit_conn *c);

	/* adit_conn_agree, where the protocol tells the peer. */
	void		(*agree)(struct adit_conn *c);

	/* As adit_conn_delivery. */
	int		(*delivery)(struct adit_conn *c, struct adit_delivery *d);

	/* As adit_conn_certificate. */
	const struct adit_certificate *(*certificate)(struct adit_conn *c);

	/*
	 * Instead of read, where bytes stand in memory already: writes at most len of them to to,
	 * and takes off what that took. How many; 0 where none stand there, or to took none: read
	 * and write say why.
	 */
	size_t		(*pour)(struct adit_conn *c, struct adit_conn *to, size_t len);
};

/* The certificate that a peer presented in TLS. */
struct adit_certificate {
	char		 fingerprint[65];	/* SHA-256 of the DER, lower-case hex */
	char		 common_name[256];	/* of the subject, UTF-8; empty if there is none */
	char		**names;		/* alternative names: DNS, IP, mail, URI */
	size_t		 n_names;
	bool		 verified;		/* against caFile or the system's roots */
};

struct adit_conn_core;

/* The first member of every kind of conn. This layout never changes. */
struct adit_conn {
	const struct adit_conn_ops	*ops;
	struct adit_conn_core		*core;
};

/* Bytes both ways, seen from what counts them. */
struct adit_traffic {
	uint64_t	in, out;
};

typedef void adit_conn_cb(void *owner, struct adit_conn *c, unsigned events);

/* ---- for owners ------------------------------------------------------------ */

/*
 * Makes the caller c's owner: cb(owner, ...) is called while something wanted is ready. What is
 * wanted stays.
 */
void adit_conn_own(struct adit_conn *c, adit_conn_cb *cb, void *owner);

/* Replaces what is waited for: a set of enum adit_event, or 0. */
void adit_conn_want(struct adit_conn *c, unsigned events);

/* As the operations above; -EAGAIN before c is open. A read gives what was given back first. */
ssize_t adit_conn_read(struct adit_conn *c, void *buf, size_t len);
ssize_t adit_conn_write(struct adit_conn *c, const void *buf, size_t len);
ssize_t adit_conn_writev(struct adit_conn *c, const struct iovec *iov, int n);
int adit_conn_shutdown(struct adit_conn *c);

/*
 * Ends c: 0 politely, else abortively with that reason. From now on c is not the caller's; its
 * memory lives until the end of the loop turn. May be called anywhere, also in c's own callback.
 * NULL is fine.
 */
void adit_conn_close(struct adit_conn *c, int why);

/*
 * Gives back bytes that were read too far; they are read again first. Copies. Bounded (64 KiB in
 * all): -ENOBUFS beyond; -ENOMEM. Not for datagrams.
 */
int adit_conn_unread(struct adit_conn *c, const void *buf, size_t len);

/* Fails c with -ETIMEDOUT ms milliseconds from now; 0: no limit. Replaces the one before. */
void adit_conn_deadline(struct adit_conn *c, unsigned ms);

/* Whether the whole stack below is open and nothing has failed. */
bool adit_conn_is_open(const struct adit_conn *c);

int adit_conn_err(const struct adit_conn *c);		/* 0, or why it failed */
unsigned adit_conn_flags(const struct adit_conn *c);	/* of enum adit_conn_flag */
uint64_t adit_conn_id(const struct adit_conn *c);	/* for the log; unique in the process */
uint64_t adit_conn_age(const struct adit_conn *c);	/* ns since it was made */

/*
 * Bytes read and written so far, by a pump that splices too; those that were given back count once.
 * c's for its life.
 */
const struct adit_traffic *adit_conn_traffic(const struct adit_conn *c);

/* The worker c belongs to: never NULL, and the calling thread's. */
struct adit_worker *adit_conn_worker(const struct adit_conn *c);

/*
 * The addresses of both ends, c's for its life; family 0 where it has none. remote says who: the
 * visitor, through a tunnel too.
 */
const struct adit_addr *adit_conn_local(const struct adit_conn *c);
const struct adit_addr *adit_conn_remote(const struct adit_conn *c);

/*
 * The name and port the other end asked for (SNI, CONNECT, a tunnel's stream head), or NULL. Owned
 * by c.
 */
const char *adit_conn_asked(const struct adit_conn *c, uint16_t *port);

/*
 * The protocol's own word for the failure (HTTP/2, HTTP/3, QUIC application code), received or, set
 * before close, to be sent; 0: none.
 */
uint64_t adit_conn_code(const struct adit_conn *c);
void adit_conn_set_code(struct adit_conn *c, uint64_t code);

/*
 * Tells the peer, where the protocol can, that what it asked for is there: a handler calls it when
 * it has reached the target. Without it the first write says so; closing with a reason before tells
 * that reason.
 */
void adit_conn_agree(struct adit_conn *c);

/*
 * The session that c is a stream of, for who speaks a protocol that has its streams (which one says
 * adit_mux_protocol). Owned by somebody else and gone with the session: ask c each time. NULL:
 * none, or it has ended.
 */
struct adit_mux *adit_conn_mux(struct adit_conn *c);

/* As the optional operation, after checking that nothing was given back. */
int adit_conn_splice_fd(struct adit_conn *c, unsigned dir);

/*
 * How far the bytes written to c have come: what is taken now has arrived once acked is that much.
 * 0, or -ENOTSUP where nobody knows.
 */
int adit_conn_delivery(struct adit_conn *c, struct adit_delivery *d);

/*
 * The certificate that the peer has shown in the TLS that carries c, whatever layers or sessions
 * are between; NULL: none, or it is not known any more. Valid until the loop turns.
 */
const struct adit_certificate *adit_conn_certificate(struct adit_conn *c);

/*
 * Gives c up and runs arrived on the other worker, which owns it from then on (no owner, nothing
 * wanted, until arrived sets them). -ENOTSUP, and c is unchanged, where it cannot move. If that
 * worker has ended, c is closed and arrived is called with NULL.
 */
int adit_conn_move(struct adit_conn *c, struct adit_worker *to,
		   void (*arrived)(struct adit_conn *c, void *arg), void *arg);

/* Writes a line with c's identity first: conn, service, peer. */
void adit_conn_log(struct adit_conn *c, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The name of the service c came in by, for the log; borrowed, must outlive c. */
void adit_conn_set_service(struct adit_conn *c, const char *service);
const char *adit_conn_service(const struct adit_conn *c);

/* ---- for implementers ------------------------------------------------------- */

/*
 * A zeroed instance of size bytes whose first member is a struct adit_conn; not open yet. NULL if
 * out of memory. Freed by the worker after close: ops->free, then the memory.
 */
void *adit_conn_new(struct adit_worker *w, const struct adit_conn_ops *ops, size_t size,
		    unsigned flags);

/*
 * Adds to what is worth trying. May be wrong upwards, never downwards: an operation that answers
 * -EAGAIN clears its bit. ADIT_OPEN is set once and stays.
 */
void adit_conn_ready(struct adit_conn *c, unsigned events);

/*
 * Latches err (< 0; the first one stays), wakes the owner; also the end of an opening that failed.
 */
void adit_conn_fail(struct adit_conn *c, int err);

unsigned adit_conn_wanted(const struct adit_conn *c);	/* what the owner wants now */

/* What adit_conn_local, _remote, _asked and _flags tell from now on. Copied; 0 or -ENOMEM. */
void adit_conn_set_local(struct adit_conn *c, const struct adit_addr *a);
void adit_conn_set_remote(struct adit_conn *c, const struct adit_addr *a);
int adit_conn_set_asked(struct adit_conn *c, const char *host, uint16_t port);
void adit_conn_add_flags(struct adit_conn *c, unsigned flags);	/* keeps those there are */

/* Keep the instance after close until adit_conn_release (to flush, to linger). Pairs may nest. */
void adit_conn_hold(struct adit_conn *c);
void adit_conn_release(struct adit_conn *c);

/* ---- an in-process pair ------------------------------------------------------ */

/*
 * Two ends: what is written to one is read from the other, at most cap bytes in flight each way. a
 * is of the calling worker and open at once; b belongs to wb and must be handed there by a message
 * (never touched here). Where wa == wb no thread is crossed. Returns 0 or -ENOMEM.
 */
int adit_conn_pair(struct adit_worker *wa, struct adit_worker *wb, size_t cap, struct adit_conn **a,
		   struct adit_conn **b);

#ifdef __cplusplus
}
#endif
#endif
