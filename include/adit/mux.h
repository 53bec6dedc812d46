/*
 * A mux: a session that carries conns. A QUIC connection, smux over any conn, an HTTP connection.
 * Either side may open; what the peer opened is accepted.
 */
#ifndef ADIT_MUX_H
#define ADIT_MUX_H

#include <adit/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a session ended. text is borrowed for the call, or owned by the session that tells it. */
struct adit_reason {
	int		 err;		/* 0: politely */
	uint64_t	 code;		/* the protocol's own, where it carries one */
	const char	*text;		/* may be NULL */
};

struct adit_mux;

/* What a kind of session implements. Called through the wrappers below only, on its worker. */
struct adit_mux_ops {
	size_t		 size;		/* of this table: what lies beyond its end is NULL */
	const char	*name;		/* "smux", "quic", ...: for the log */

	/*
	 * Opens a conn: kind is 0 (a stream), ADIT_CONN_DGRAM, ADIT_CONN_UNI or ADIT_CONN_EXCHANGE.
	 * It may still be opening, and fail later as conns do. NULL with e filled when it cannot be
	 * (no such kind, no room, draining, ended). NULL, as room then: the peer alone opens.
	 */
	struct adit_conn *(*open)(struct adit_mux *m, unsigned kind, struct adit_err *e);

	/* The next conn the peer opened, now the caller's, or NULL: none is waiting. */
	struct adit_conn *(*accept)(struct adit_mux *m);

	/* How many of that kind may be opened now. */
	unsigned	 (*room)(const struct adit_mux *m, unsigned kind);

	/* Asks the peer for a sign of life, which moves adit_mux_heard. */
	void		 (*probe)(struct adit_mux *m);

	/* No new conns, the peer is told where the protocol can; what is open goes on. */
	void		 (*drain)(struct adit_mux *m);

	/* The owner's last word: all its conns fail (with why->err, or -ECONNRESET if 0). */
	void		 (*close)(struct adit_mux *m, const struct adit_reason *why);

	/* optional: frees what the instance owns (not itself), once no caller is on the stack. */
	void		 (*free)(struct adit_mux *m);

	/* optional: what the owner wants has changed */
	void		 (*want)(struct adit_mux *m);

	/*
	 * optional: after drain, whether the peer has heard of it, so that it opens nothing more.
	 * Without it a peer is taken to have heard after a moment.
	 */
	bool		 (*drained)(const struct adit_mux *m);

	/* optional: adit_mux_siblings of a session that a connector's bind made */
	unsigned	 (*siblings)(const struct adit_mux *m);

	/* optional: adit_mux_streams and adit_mux_traffic, where others count */
	unsigned	 (*streams)(const struct adit_mux *m);
	const struct adit_traffic *(*traffic)(const struct adit_mux *m);

	/* optional, as that of a conn: m is closed, and held when its worker ends */
	void		 (*cut)(struct adit_mux *m);

	/* optional: adit_mux_protocol */
	const char	*(*protocol)(const struct adit_mux *m);

	/* optional: adit_mux_silence at the time now, where that is not just since it was heard */
	uint64_t	 (*silence)(struct adit_mux *m, uint64_t now);
};

struct adit_mux_core;

struct adit_mux {				/* first member of every kind */
	const struct adit_mux_ops	*ops;
	struct adit_mux_core		*core;
};

/*
 * events: ADIT_OPEN the handshake is done (or has failed), ADIT_READ something to accept,
 * ADIT_WRITE there is room to open again. All of them also when the session has ended: look at
 * adit_mux_err.
 */
typedef void adit_mux_cb(void *owner, struct adit_mux *m, unsigned events);

/* ---- for owners ------------------------------------------------------------- */

/* As adit_conn_own and adit_conn_want. */
void adit_mux_own(struct adit_mux *m, adit_mux_cb *cb, void *owner);
void adit_mux_want(struct adit_mux *m, unsigned events);

/*
 * As the operations above. While m drains, and after it ended, open fails and there is no room;
 * probe does nothing after the end, drain nothing the second time.
 */
struct adit_conn *adit_mux_open(struct adit_mux *m, unsigned kind, struct adit_err *e);
struct adit_conn *adit_mux_accept(struct adit_mux *m);

/*
 * What the peer opens goes to take(arg, c), which owns it, and is not the owner's to accept; NULL:
 * it is again. For who speaks a protocol in streams of a session that somebody else keeps.
 */
typedef void adit_mux_taker(void *arg, struct adit_conn *c);
void adit_mux_divert(struct adit_mux *m, adit_mux_taker *take, void *arg);
void *adit_mux_diverted(const struct adit_mux *m, adit_mux_taker *take); /* take's arg, or NULL */

/* What both ends agreed to speak in it (ALPN), or NULL. Owned by m. */
const char *adit_mux_protocol(const struct adit_mux *m);
unsigned adit_mux_room(const struct adit_mux *m, unsigned kind);
void adit_mux_probe(struct adit_mux *m);
void adit_mux_drain(struct adit_mux *m);
bool adit_mux_draining(const struct adit_mux *m);	/* adit_mux_drain was called */

/*
 * Whether the peer has said that it drains: what is open goes on, and who needs a session makes
 * another one now. Becomes true with an ADIT_READ.
 */
bool adit_mux_peer_drains(const struct adit_mux *m);

/*
 * Whether there is a better way to the peer: who needs a session makes another one, drains this one
 * once that is open, and closes it when it is empty. Becomes true with an ADIT_READ.
 */
bool adit_mux_is_superseded(const struct adit_mux *m);

/*
 * Whether m, which drains, can be closed without a loss: nothing is open, and what the peer may
 * have opened before it heard of the drain has come (at the latest after 3 s). To be asked again
 * from time to time: it is no event.
 */
bool adit_mux_drained(const struct adit_mux *m);

/*
 * How many sessions of the same bind, this one included, serve it better than one: as configured
 * and as far as the peer gains by them. Known once m is open; at least 1.
 */
unsigned adit_mux_siblings(const struct adit_mux *m);

/* Ends m, as adit_conn_close does a conn. why may be NULL: politely. m may be NULL. */
void adit_mux_close(struct adit_mux *m, const struct adit_reason *why);

/* Whether the handshake is done and m has not ended. */
bool adit_mux_is_open(const struct adit_mux *m);

int adit_mux_err(const struct adit_mux *m);		/* 0 while it lives */
const struct adit_reason *adit_mux_reason(const struct adit_mux *m);	/* why it ended; m's */
uint64_t adit_mux_heard(const struct adit_mux *m);	/* adit_now() of the peer's last byte */

/*
 * For how many ns the peer has owed a sign of life: 0 while nothing was asked (adit_mux_probe), or
 * what was asked is still on its way to the peer's kernel and gets on, or we do not read ourselves.
 */
uint64_t adit_mux_silence(struct adit_mux *m);

unsigned adit_mux_streams(const struct adit_mux *m);	/* conns of it that are not closed */
uint64_t adit_mux_age(const struct adit_mux *m);		/* ns since it was made */
uint64_t adit_mux_id(const struct adit_mux *m);		/* for the log; unique in the process */

/* Bytes read and written below so far, for all its conns. m's for its life. */
const struct adit_traffic *adit_mux_traffic(const struct adit_mux *m);

/* As their namesakes in conn.h. */
struct adit_worker *adit_mux_worker(const struct adit_mux *m);
const struct adit_addr *adit_mux_local(const struct adit_mux *m);
const struct adit_addr *adit_mux_remote(const struct adit_mux *m);

/* ---- for implementers ------------------------------------------------------- */

/* As adit_conn_new and adit_conn_ready; what was said too much is taken back by unready. */
void *adit_mux_new(struct adit_worker *w, const struct adit_mux_ops *ops, size_t size);
void adit_mux_ready(struct adit_mux *m, unsigned events);
void adit_mux_unready(struct adit_mux *m, unsigned events);	/* nothing to accept, no room */

/* Latches the end (err < 0; the first stays; text is copied) and wakes the owner. */
void adit_mux_fail(struct adit_mux *m, const struct adit_reason *why);

void adit_mux_say_peer_drains(struct adit_mux *m);	/* adit_mux_peer_drains; wakes the owner */
void adit_mux_supersede(struct adit_mux *m);		/* adit_mux_is_superseded; the same */
void adit_mux_hear(struct adit_mux *m, uint64_t now);	/* the peer is alive: adit_mux_heard */
void adit_mux_count(struct adit_mux *m, int change);	/* of adit_mux_streams */
void adit_mux_moved(struct adit_mux *m, uint64_t in, uint64_t out);	/* of adit_mux_traffic */

/* As their namesakes in conn.h. */
void adit_mux_set_local(struct adit_mux *m, const struct adit_addr *a);
void adit_mux_set_remote(struct adit_mux *m, const struct adit_addr *a);
void adit_mux_hold(struct adit_mux *m);
void adit_mux_release(struct adit_mux *m);

#ifdef __cplusplus
}
#endif
#endif
