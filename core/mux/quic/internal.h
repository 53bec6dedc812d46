/*
 * What the files of the QUIC module share.
 *
 * endpoint.c	one packet_conn: receiving, whose a datagram is, batches out, life
 * server.c	who takes what comes in
 * stateless.c	what is answered without a session: version negotiation, Retry, resets, refusals
 * session.c	one connection as a mux: life and end	callbacks.c	what ngtcp2 tells it
 * transmit.c	what a session sends in one turn
 * move.c	a dialled session whose way to the server changes
 * stream.c	streams as conns	flow.c	datagram flows as conns
 *
 * ngtcp2 is called from top-level callbacks (packets, timers, the flush) and from owners' calls on
 * conns and muxes; its own callbacks only queue and mark, they never end a session and never call
 * an owner.
 */
#ifndef ADIT_CORE_QUIC_INTERNAL_H
#define ADIT_CORE_QUIC_INTERNAL_H

#include <sys/queue.h>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "core/mux/quic/cid.h"
#include "core/mux/quic/quic.h"
#include "core/mux/quic/rate.h"
#include "core/mux/window.h"
#include "core/runtime/idmap.h"
#include "core/runtime/memory.h"
#include "core/runtime/network.h"
#include "core/runtime/worker.h"

#define QUIC_RECV_BATCH	  8		/* buffers; used where what comes is short */
#define QUIC_TURN_PACKETS 128		/* datagrams read before the owners have their turn */
#define QUIC_SEND_BATCH	  16
#define QUIC_SEND_BUFFER  81920		/* a full GSO burst, and a longest packet begun behind it */
#define QUIC_SOURCES	  1024		/* buckets of handshakes by source */
#define QUIC_INITIAL_MIN  1200		/* RFC 9000, 14.1 */
#define QUIC_AHEAD	  6		/* chunks */
#define QUIC_LINGER	  ADIT_SECONDS(30)	/* without an ACK, for a stream closed politely */

struct quic_session;

TAILQ_HEAD(quic_chans, quic_chan);
TAILQ_HEAD(quic_sessions, quic_session);

/* What streams and flows have in common. */
struct quic_chan {
	struct adit_conn	 base;
	struct quic_session	*session;	/* NULL once it has ended */
	struct quic_chans	*list;		/* sending, blocked, or NULL */
	TAILQ_ENTRY(quic_chan)	 turn;		/* in list */
	TAILQ_ENTRY(quic_chan)	 all;		/* in the session's chans */
	TAILQ_ENTRY(quic_chan)	 wait;		/* in unaccepted, or in pending */
	struct queue		 rx, tx;
	bool			 is_flow;
	bool			 unaccepted, pending;
	bool counted; /* as a conn of the session's: it has an owner outside */
	bool			 closed;	/* by its owner */
	bool full; /* a write was refused: wake the owner when there is room */
};

struct quic_stream {
	struct quic_chan	 chan;
	int64_t			 id;		/* -1: waits for the peer to grant another */
	uint64_t		 acked, sent;	/* offsets; tx begins at acked */
	uint64_t		 credit;	/* read, not yet granted again */
	uint64_t		 grown;		/* by how much the window is beyond the first one */
	size_t			 burst;		/* sent since others had their turn */
	struct mux_window window, drain; /* what it may receive; how fast tx is acknowledged */
	ngtcp2_vec ahead[QUIC_AHEAD];           /* of tx, from sent on: not looked for anew for
	                                         * each packet */
	unsigned		 n_ahead;
	bool			 attached;	/* ngtcp2 knows it, and tx belongs to it */
	bool			 uni, local;
	bool			 fin, fin_sent;	/* shut down; and that is on its way */
	bool			 ended;		/* the peer's end has arrived */
	bool			 stopped;	/* nothing leaves any more */
	bool			 lingering;
	uint64_t		 linger_until;
	bool			 numbered;	/* the peer's stream of a flow: flow is known */
	uint64_t		 flow;
	TAILQ_ENTRY(quic_stream) linger;
};

/* A datagram in rx or tx: 2 bytes of length, then its bytes. */
struct quic_flow {
	struct quic_chan	 chan;
	struct idmap_node	 node;		/* in the session's flows, by number */
	struct adit_conn	*big;		/* our stream for what fits no packet; owned */
};

/* What leaves: packets for adit_packet_send, whose bytes stand in buf one behind the other. */
struct quic_tx {
	uint8_t			*buf;
	size_t			 len;
	struct adit_packet	 v[QUIC_SEND_BATCH];
	int			 first, n;	/* v[first..n) have not left */
	bool			 open;		/* the last may be continued */
	struct sockaddr_storage	 local, remote;	/* of the last */
	bool			 blocked;
};

/* Of stateless resets and of Retry tokens. */
struct quic_keys {
	uint8_t			 reset[32], token[32];
};

struct quic_server {
	TAILQ_ENTRY(quic_server) entry;		/* in the endpoint's servers */
	struct quic_endpoint	*ep;
	struct quic_conf	 conf;		/* accept, failed, over, arg, params */
	struct quic_keys	 keys;
	unsigned		 under_way;	/* sessions that it has not got yet */
	bool			 stopped;
};

struct quic_endpoint {
	struct io		 io;		/* its turn: announce, flush */
	struct adit_worker	*worker;
	struct adit_packet_conn	*packet;	/* owned */
	struct quic_conf	 conf;		/* defaults filled in; secret not kept */
	struct quic_keys	 keys;		/* the newest server's */
	TAILQ_HEAD(, quic_server) servers;	/* the newest first; the stopped ones last */
	struct quic_cids	 cids;
	struct quic_sessions	 sessions;	/* those that were dialled first */
	struct quic_sessions	 dirty, fresh;
	unsigned		 n_dirty;
	uint16_t		 sources[QUIC_SOURCES];
	uint64_t		 source_key;
	struct quic_rate	 resets, versions, retries, refusals, troubles;
	uint8_t *rx; /* QUIC_RECV_BATCH buffers; untouched pages cost nothing */
	unsigned		 rx_short;	/* messages of the socket since a long one */
	struct quic_tx		 tx;
	TAILQ_HEAD(, quic_stream) lingering;	/* by linger_until */
	struct adit_timer	*linger;
	struct network_watch	 network;
	struct quic_stats	 stats;
	bool crowded; /* a flow has much to read: its owner is next, then more packets */
	bool			 serves;	/* it was to, once: what comes in gets an answer */
};

enum quic_state {
	QUIC_OPENING,
	QUIC_OPEN,
	QUIC_ENDED, /* no conn, no TLS; the ids stay for a while, to be answered or ignored */
};

struct quic_session {
	struct adit_mux		 base;
	struct quic_endpoint	*ep;		/* NULL once its ids have gone too */
	struct quic_server	*taker;		/* one that came in: until it has it */
	enum quic_state		 state;
	bool			 server;
	bool			 dirty, fresh;	/* in the endpoint's lists */
	bool			 announced;	/* it has an owner */
	bool			 probing;	/* a PING is due */
	bool			 counted;	/* among those under way */
	bool			 was_reset;	/* statelessly */
	bool			 heard;		/* anything at all */
	TAILQ_ENTRY(quic_session) all, dirty_entry, fresh_entry;
	struct quic_params	 params;
	ngtcp2_conn		*conn;
	ngtcp2_crypto_conn_ref	 ref;
	struct tls_session	 tls;		/* zeroed before and after the handshake */
	char			*alpn, *server_name;
	bool			 has_flows;
	struct quic_cid		*ids;
	unsigned		 source;	/* its bucket, while under way */

	struct adit_timer	*timer;
	uint64_t		 armed;		/* when it runs out; UINT64_MAX: it does not run */

	struct quic_chans	 chans, sending, blocked, unaccepted, pending;
	unsigned		 n_pending;
	uint64_t		 opened, peer_opened;	/* bidi streams so far */
	unsigned peer_open, peer_may; /* bidi streams of the peer's: open, granted */
	struct mux_window	 window;
	uint64_t		 grown;		/* sum of the streams' */
	uint64_t		 unread;	/* bytes in all rx */
	uint64_t		 queued;	/* bytes in all tx */

	struct idmap		 flows;
	unsigned		 n_flows;
	size_t			 flow_unread;	/* bytes in their rx */
	uint64_t		 next_flow;
	uint64_t flow_top, flow_seen; /* the peer's numbers: highest + 1, and a bit for
	                               * each of the 64 below */

	unsigned		 keys_made;	/* each time for the next change */
	uint64_t		 key_sent;	/* packets since then */
	uint64_t		 key_since;

	uint64_t		 began;
	int			 trouble;	/* what ICMP said while nothing was heard */
	unsigned		 troubles;	/* how often, since something was heard */
	uint64_t		 trouble_since, trouble_at;	/* the first of them, the last */
	uint64_t		 probe_at;	/* another PING then; 0: none */
	struct adit_addr sends_from; /* dialled, from a socket that is bound to no address: what
	                              * the kernel chose; family 0: nothing */
	uint64_t		 move_at;	/* another try to move then; 0: none */
	struct adit_reason	 end;		/* set by a callback: why to end; text is static */
	uint8_t alert; /* with end, in a handshake: TLS's word for it; 0: none */
	char			 end_text[128];
	uint8_t *last_words; /* CONNECTION_CLOSE, for those who ask again; owned */
	size_t			 last_words_len;
	unsigned		 asked;
};

/* Addresses as ngtcp2 wants them. */
struct quic_path {
	struct sockaddr_storage	local, remote;
	ngtcp2_path		path;
};

struct quic_initial {
	ngtcp2_pkt_hd		 hd;
	ngtcp2_cid		 odcid;		/* what the client chose at first */
	bool			 retried;
	const struct quic_path	*path;
	unsigned		 source;
};

/* ---- endpoint.c ---- */

void
quic_path_set(struct quic_path *p, const struct adit_addr *local, const struct adit_addr *remote);

/* Room for one more packet of len bytes, or NULL: the socket takes no more for now. */
uint8_t *quic_tx_room(struct quic_endpoint *ep, size_t len);

/* The packet of len bytes that was written there. */
void quic_tx_add(struct quic_endpoint *ep, const ngtcp2_path *path, uint32_t ecn, size_t len);

/* Has the session write in this turn. */
void quic_dirty(struct quic_session *s);

/*
 * Starts to count the time that a politely closed stream may take without progress, again each
 * time.
 */
void quic_linger(struct quic_stream *st, uint64_t now);
void quic_linger_stop(struct quic_stream *st);

/* ---- stateless.c ---- */

struct quic_datagram {
	const struct adit_packet	*packet;
	const struct quic_path		*path;
	const uint8_t			*bytes;
	size_t				 len;
};

/*
 * A datagram whose connection id belongs to no session. Returns the checked Initial of a new one
 * (0), or 1: done.
 */
int quic_stateless(struct quic_endpoint *ep, const struct quic_datagram *d,
                   const ngtcp2_version_cid *vc, struct quic_initial *out, uint64_t now);

/* Derives keys; without a secret they are random. 0 or a failure. */
int quic_keys_derive(struct quic_keys *keys, const uint8_t *secret, size_t len);

/* ---- server.c ---- */

/* Who gets what comes in now, or NULL: nobody any more. */
struct quic_server *quic_server_current(const struct quic_endpoint *ep);

/* A session begins to come in, and has been taken, or never will be. */
void quic_server_expect(struct quic_server *server, struct quic_session *s);
void quic_server_settle(struct quic_session *s);

/* Lets those go that were stopped and have nothing under way; ep may be closed by it. */
void quic_servers_reap(struct quic_endpoint *ep);

/* Of an endpoint without sessions. */
void quic_servers_free(struct quic_endpoint *ep);

/* ---- session.c ---- */

/* What 0 stands for, of versions: an endpoint needs them before it has a session. */
void quic_versions_default(struct quic_params *p);

struct quic_session *quic_session_accept(struct quic_endpoint *ep, const struct quic_initial *in,
					 uint64_t now);

/* One datagram of its own. */
void quic_session_read(struct quic_session *s, const struct quic_datagram *d, uint64_t now);

/*
 * One with an unknown id from the address of a dialled session's peer: whether it was its stateless
 * reset.
 */
bool quic_session_try_reset(struct quic_session *s, const struct quic_datagram *d, uint64_t now);

/* What a call of ngtcp2 failed with: ends the session. */
void quic_session_error(struct quic_session *s, int liberr, uint64_t now);

/* Ends it, with a CONNECTION_CLOSE if words is set: its conns fail, its mux too. */
void quic_session_end(struct quic_session *s, const struct adit_reason *why,
                      const ngtcp2_ccerr *words, uint64_t now);

/* Takes an ended session out of its endpoint. */
void quic_session_gone(struct quic_session *s);

/* An unreachable message about its peer. */
void quic_session_trouble(struct quic_session *s, const struct adit_trouble *t, uint64_t now);

/*
 * When it has to be called beside ngtcp2's own times, UINT64_MAX: never; and does what is due.
 * False: it has ended.
 */
uint64_t quic_session_due(const struct quic_session *s);
bool quic_session_do_due(struct quic_session *s, uint64_t now);

/*
 * Returns n bytes of the session's window, which arrived: whether they are read concerns their
 * stream alone.
 */
void quic_session_credit(struct quic_session *s, uint64_t n);

/* The smoothed round trip, 0 before the first was measured. */
uint64_t quic_rtt(const struct quic_session *s);

/* ---- callbacks.c ---- */

extern const ngtcp2_callbacks quic_callbacks;

/* Registers an id of the session's. 0 or -ENOMEM. */
int quic_session_add_id(struct quic_session *s, const uint8_t *bytes, size_t len);

/* A new id of ours, and the token that resets it. 0 or a failure. */
int quic_session_make_id(struct quic_session *s, ngtcp2_cid *cid, uint8_t *token);

/* It is not under way any more. */
void quic_session_uncount(struct quic_session *s);
void quic_random(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *unused);

/* ---- tls.c ---- */

/* host: of clients. 0 or a failure with e filled. */
int quic_tls_open(struct quic_session *s, const char *host, struct adit_err *e);

/* After the handshake: 0, or s->end and s->alert say what is missing. */
int quic_tls_check(struct quic_session *s);

/* After a failed one: sets s->end and s->alert. */
void quic_tls_explain(struct quic_session *s);

/* The handshake is over: frees what nothing needs any more, 20 KiB and more. */
void quic_tls_done(struct quic_session *s);
void quic_tls_close(struct quic_session *s);

/* ---- transmit.c ---- */

/* One packet in the making: what ngtcp2's writers take again and again until it is full. */
struct quic_writing {
	ngtcp2_path	*path;
	ngtcp2_pkt_info	*pi;
	uint8_t		*dest;
	size_t		 len;
	uint32_t	 more;		/* NGTCP2_WRITE_STREAM_FLAG_MORE, or 0: nobody else waits */
	uint64_t	 now;
};

/* Writes what s has, up to its quantum, and arms its timer. False: the socket takes no more. */
bool quic_transmit(struct quic_session *s, uint64_t now);

/* Puts c among those with something to send. */
void quic_chan_send(struct quic_chan *c);
void quic_chan_unlist(struct quic_chan *c);

/* ---- move.c ---- */

/* Notes where a session that begins sends from, and from then on hears of changes. */
void quic_session_settle(struct quic_session *s);

/*
 * Has a dialled session use the way to its peer that the machine has now. False: it is the same, or
 * there is none; else it has moved, will in a moment, or has ended.
 */
bool quic_session_move(struct quic_session *s, uint64_t now);

/* ---- stream.c ---- */

struct adit_conn *quic_stream_open(struct quic_session *s, bool uni, struct adit_err *e);
struct quic_stream *quic_stream_accept(struct quic_session *s, int64_t id);

/* Gives numbers to streams that wait, as far as the peer grants them. */
void quic_streams_number(struct quic_session *s);

ngtcp2_ssize quic_stream_write(struct quic_stream *st, struct quic_writing *w);
int quic_stream_receive(struct quic_stream *st, const uint8_t *bytes, size_t len, bool end);
void quic_stream_acked(struct quic_stream *st, uint64_t len);
void quic_stream_detach(struct quic_stream *st, bool failed, uint64_t code);

/* Takes c out of its session, which has ended: it fails. */
void quic_chan_fail(struct quic_chan *c, int err, uint64_t code);

/* len bytes were taken from its rx: returns them to the windows. */
void quic_stream_consume(struct quic_stream *st, size_t len);

static inline struct quic_chan *
quic_chan_of(const struct adit_conn *c)
{
	return adit_container_of((struct adit_conn *)(uintptr_t)c, struct quic_chan, base);
}

static inline struct quic_stream *
quic_stream_of(struct quic_chan *c)
{
	return adit_container_of(c, struct quic_stream, chan);
}

static inline struct quic_flow *
quic_flow_of(struct quic_chan *c)
{
	return adit_container_of(c, struct quic_flow, chan);
}

static inline enum memory_level
quic_memory(const struct quic_session *s)
{
	return memory_level(worker_memory(adit_mux_worker(&s->base)));
}

static inline struct quic_session *
quic_session_of(const struct adit_mux *m)
{
	return adit_container_of((struct adit_mux *)(uintptr_t)m, struct quic_session, base);
}

/* A conn of a new stream or flow begins to belong to s, until quic_chan_leave. */
void quic_chan_join(struct quic_chan *c, struct quic_session *s);
void quic_chan_leave(struct quic_chan *c);

/* An owner outside has it, or has no longer. */
void quic_chan_count(struct quic_chan *c, bool on);

/* ---- flow.c ---- */

/* Takes f out of the session's flows. */
void quic_flow_leave(struct quic_flow *f);

struct adit_conn *quic_flow_open(struct quic_session *s, struct adit_err *e);
int quic_flow_receive(struct quic_session *s, const uint8_t *frame, size_t len);

/* A uni stream of the peer's in a session with flows: datagrams that fit no packet. */
void quic_flow_attach(struct quic_stream *st);
ngtcp2_ssize quic_flow_write(struct quic_flow *f, struct quic_writing *w);

#endif
