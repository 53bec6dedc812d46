/*
 * smux: a session of streams over any conn, as gost speaks it (xtaci/smux, versions 1 and 2). The
 * session owns the conn below from smux_new on; its streams are conns of the same worker.
 *
 * Sending: what is written to a stream stands in its queue until the conn below takes it; frames of
 * all streams leave in turn, many per write, and a large write passes through without a copy where
 * nobody waits. SYN, UPD and NOP go before data. In version 2 a stream stops at its peer's window.
 * All streams together also stay within a share of the session buffer that a gost has, so that a
 * few visitors' targets that do not read leave room for the others; a stream may always fill half
 * its window and a frame, or no UPD would ever come.
 *
 * Receiving: version 2 grants each stream a window, returned as its owner reads, and reads on
 * however little one of them reads: what may stand unread is the sum of the windows. These are
 * small while much is unread or memory is short, and grow with the path: one that was used up
 * although all that came was read is what limits. Version 1 has no windows: unread bytes beyond the
 * session buffer stop the session.
 *
 * Ends: there is no half-close and no reset. A FIN says that nobody reads or writes there any more;
 * after one from the peer what had arrived is read, then the end, and a write fails with -EPIPE.
 * Toward a peer that is known to be an adit (see smux_peer_is_adit) an empty PSH is the end of one
 * direction, which every other smux ignores.
 */
#ifndef ADIT_CORE_MUX_SMUX_H
#define ADIT_CORE_MUX_SMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/mux.h>

struct smux_conf {
	bool		client;		/* opens odd ids, from 3; else even ones, from 2 */
	unsigned	version;	/* 1 or 2; the peer's must be the same */
	uint64_t	keepalive;	/* ns between two NOPs; 0: none */
	uint64_t	timeout;	/* ns without a byte, then the peer is dead; 0: never */
	size_t		frame;		/* most payload in a PSH we send */
	size_t		session_buffer;	/* unread bytes of all streams; the peer's too */
	size_t		stream_buffer;	/* the window we advertise per stream (version 2) */
	size_t		stream_max;	/* up to which it grows while it is what limits the peer */
	unsigned	streams;	/* most at a time; one more from the peer gets a FIN */
	unsigned	backlog;	/* not yet accepted; then the session is not read */
	bool		half_close;	/* use half-close once the peer is known to be an adit */
};

/*
 * gost's defaults: 10 s, 30 s, 32768, 4 MiB, 64 KiB (a tunnel's bind sets 1 MiB), 1024; no
 * half-close.
 */
struct smux_conf smux_conf_default(bool client, unsigned version);

/* 0, or -EINVAL with e filled: versions, sizes and times that do not fit each other. */
int smux_conf_check(const struct smux_conf *conf, struct adit_err *e);

/*
 * A session over lower, which may still be opening and is owned from now on, also when NULL is
 * returned (out of memory). conf must pass smux_conf_check; it is copied. mux->open takes kind 0
 * only.
 */
struct adit_mux *smux_new(struct adit_conn *lower, const struct smux_conf *conf);

/*
 * Whether the peer has sent or answered a probe (adit_mux_probe), as only an adit does. A probe is
 * a NOP with a non-zero stream id, which a gost ignores; an adit answers with the same id and its
 * top bit set.
 */
bool smux_peer_is_adit(const struct adit_mux *m);

/*
 * Tells that what was just written to a stream obliges the peer to answer: a gost of version 2
 * returns the window of the first bytes that it reads of a stream, and knows no other question.
 */
void smux_asked(struct adit_mux *m);

/* Whether the session is not read, because what was read is not taken: nothing can be heard. */
bool smux_is_paused(const struct adit_mux *m);

/*
 * Whether the peer, an adit, has asked that no more streams be opened (its adit_mux_drain): a NOP
 * with stream id 0x7fffffff. The owner is woken by ADIT_READ when that comes.
 */
bool smux_peer_drains(const struct adit_mux *m);

/*
 * Asks the same of the peer, once, while our side goes on to open streams. Nothing where the peer
 * is no adit.
 */
void smux_say_drain(struct adit_mux *m);

/* Changes conf.half_close; for writes from now on. */
void smux_set_half_close(struct adit_mux *m, bool on);

#endif
