/*
 * QUIC: sessions of streams and datagram flows over a packet_conn.
 *
 * An endpoint is one packet_conn of one worker and all sessions over it, dialled (quic_connect) or
 * accepted. A session is an adit_mux: its streams are conns (kind 0, or ADIT_CONN_UNI), and so are
 * its datagram flows (ADIT_CONN_DGRAM) if the ALPN that was agreed on has them. Everything is of
 * the endpoint's worker.
 *
 * Streams: reading returns the stream's window, arrival the session's, so that a stream that nobody
 * reads stops no other. Both windows and the send queues begin small and grow while the measured
 * round trip says that they are what limits. adit_conn_shutdown is FIN; adit_conn_close(c, 0) FIN
 * after all that was taken, and STOP_SENDING if the peer had not ended; with a reason RESET_STREAM
 * and STOP_SENDING with adit_conn_code. A reset by the peer is -ECONNRESET with its code;
 * STOP_SENDING from it makes writes fail with -EPIPE.
 *
 * Flows: one read or write is one datagram. It travels in a DATAGRAM frame (RFC 9221) behind the
 * flow's number, so it may be lost; what does not fit a packet goes on a stream of the flow's own.
 * Nothing tells the peer that a flow has ended: idle time-outs do.
 *
 * Ways: a session survives a change of either end's address. A server follows its client, whose new
 * address is validated before more is sent there than came from it; a client whose machine has
 * another way to the server moves to that at once.
 *
 * What costs state: nothing before an Initial has passed the checks of quic_endpoint_new's limits;
 * TLS only with the first authentic handshake bytes. Over the limits clients prove their address by
 * a Retry, or are refused. Connection ids begin with the worker's number and the process's
 * generation; datagrams with another's go to conf.forward once, and an unknown one gets a stateless
 * reset, whose key comes from conf.secret: sessions that a crash left behind end in one round trip
 * after the restart.
 */
#ifndef ADIT_CORE_QUIC_H
#define ADIT_CORE_QUIC_H

#include <adit/err.h>
#include <adit/mux.h>
#include <adit/packet.h>

#include "core/conn/tls_session.h"

/*
 * The byte of a datagram that is the worker's number, with a short header and with a long one: the
 * first of the connection id. Of an Initial it is the client's choice: a random one, or its lane.
 * For udp_steer_by_byte.
 */
#define QUIC_WORKER_BYTE 1
#define QUIC_WORKER_BYTE_LONG 6

struct quic_endpoint;

/* A protocol to agree on. */
struct quic_alpn {
	const char	*name;
	bool flows; /* datagrams begin with a flow's number, and the uni streams are
	             * theirs; else there are no flows, and uni streams are
	             * ADIT_CONN_UNI
	             */
};

/* Versions of QUIC on the wire: RFC 9000, RFC 9369. */
#define QUIC_V1 0x00000001u
#define QUIC_V2 0x6b3343cfu

enum quic_congestion { QUIC_CUBIC, QUIC_BBR, QUIC_RENO };

/*
 * Of each session. 0 stands for the default named. Times are ns, sizes bytes. alpn, tls and
 * versions are borrowed: they outlive each session that was made with them, dialled or come in, and
 * the endpoint or the server that makes such sessions.
 */
struct quic_params {
	uint64_t		 idle;		/* silence after which a session ends: 90 s */
	uint64_t		 keep_alive;	/* silence before a PING: 10 s; UINT64_MAX: none */
	uint64_t		 handshake;	/* limit of a handshake: 5 s */
	uint64_t		 unheard;	/* of one dialled that says nothing: 1.25 s */
	uint64_t		 window;	/* a session's first receive window: 1 MiB */
	uint64_t		 stream_window;	/* a stream's: 64 KiB */
	uint64_t		 window_max;	/* up to which both grow: 16 MiB */
	uint64_t send_queue; /* what a stream takes ahead of the peer's ACK at first: 64 KiB */
	uint64_t		 send_queue_max;/* up to which that grows: 8 MiB */
	unsigned		 streams;	/* the peer may open at first: 100 */
	unsigned		 streams_max;	/* grows to that while it uses them: 32768 */
	unsigned		 flows_max;	/* flows at a time: 1024 */
	uint16_t payload_max; /* a datagram's longest payload, if the path takes it: 16352 */
	enum quic_congestion	 congestion;	/* cubic */
	const uint32_t *versions; /* by preference: 2, 1. A client begins with the last of them,
	                           * and the server chooses (RFC 9368, 2.3) */
	unsigned		 n_versions;
	uint64_t		 key_packets;	/* sent by us, after which the keys change: 2^22 */
	uint64_t		 key_life;	/* time after which they do: 1 h */
	bool			 stay;		/* tells the peer not to move to other addresses */
	const struct quic_alpn *alpn; /* by preference, at least one; what the TLS configuration
	                               * names is offered instead */
	unsigned		 n_alpn;
	struct tls_source	*tls;		/* for the side of the session */
};

struct quic_conf {
	/*
	 * Resets, Retry tokens: the same for all workers, kept across restarts. Copied. At least 16
	 * bytes, or NULL: random.
	 */
	const uint8_t		*secret;
	size_t			 secret_len;
	unsigned generation; /* of the process, 0..255; another one may share the port */
	unsigned		 sessions_max;	/* then refused: 65536 */
	unsigned		 handshakes_max;/* under way at a time: 4096 */
	unsigned retry_from; /* so many under way: addresses must be proven first: 256 */
	unsigned source_max; /* under way from one IPv4 address or IPv6 /64: 64 */

	/*
	 * A server's: a session whose handshake is done, now the caller's. NULL: the endpoint only
	 * dials, until quic_endpoint_serve. params are those of accepted sessions.
	 */
	void			(*accept)(void *arg, struct adit_mux *m);
	void			*arg;
	struct quic_params	 params;

	/*
	 * optional: a session that came in, and ended before its handshake was done: accept was not
	 * and will not be called with it. For the log: it is not the caller's, and may have come
	 * from a forged address.
	 */
	void			(*failed)(void *arg, const struct adit_mux *m);

	/* optional: whether who stands there, or says so, may begin a session at all. */
	bool			(*admit)(void *arg, const struct adit_addr *peer);

	/* optional, of who was stopped: nothing more will come to it. From the loop. */
	void			(*over)(void *arg);

	/* optional: a datagram whose connection id names another worker or generation. Copies what
	 * it keeps. Returns false: not taken, answered here. */
	bool			(*forward)(void *arg, unsigned generation, unsigned worker,
					   const struct adit_packet *p);
	void			*forward_arg;

	/*
	 * optional, with forward_arg: the network says that a peer is not there. The kernel tells
	 * that to one socket of those that share a port, whatever the connection id was: the
	 * session may be another endpoint's.
	 */
	void			(*trouble)(void *arg, const struct adit_worker *w,
					   const struct adit_trouble *t);

	/*
	 * optional, with arg: the own address from which the machine now reaches peer, in from.
	 * False: there is no way. NULL: the kernel is asked.
	 */
	bool			(*source)(void *arg, const struct adit_addr *peer,
					  struct adit_addr *from);
};

struct quic_stats {
	uint64_t	accepted;	/* sessions whose handshake was done */
	uint64_t	initials;	/* that cost a connection's state, if only for a moment */
	uint64_t	retries, versions, resets, refused;	/* packets sent without state */
	uint64_t	forwarded;
	uint64_t	dropped;	/* datagrams that meant nothing */
	unsigned	sessions;	/* now, those under way included */
	unsigned	handshakes;	/* now under way, accepted ones */
};

/* Takes packet, also when it fails (NULL with e filled). conf is copied. */
struct quic_endpoint *quic_endpoint_new(struct adit_packet_conn *packet,
                                        const struct quic_conf *conf, struct adit_err *e);

/*
 * Ends it and its sessions (why as in adit_mux_close; their owners still have to close them) after
 * one CONNECTION_CLOSE to each peer. May be called anywhere. NULL is fine.
 */
void quic_endpoint_close(struct quic_endpoint *ep, const struct adit_reason *why);

/*
 * Who takes the sessions that come in. An endpoint that outlives a change of the configuration has
 * several: the newest that was not stopped gets what begins, each what began with it.
 */
struct quic_server;

/*
 * From now on what comes in is conf's: its accept, failed, over, arg, params and secret; the rest
 * is the endpoint's own, and so is which versions are answered at all (params.versions of
 * quic_endpoint_new; these here are what sessions may agree on). Resets and tokens are made of this
 * secret from now on, also for what came before: servers of one endpoint had better have the same.
 * NULL with e filled: it is whose it was. The endpoint's, which may be closed without stopping it.
 */
struct quic_server *quic_endpoint_serve(struct quic_endpoint *ep, const struct quic_conf *conf,
					struct adit_err *e);

/*
 * What comes in is again the one's before, or is refused. Handshakes under way come to their end,
 * or end at once (cut). True: nothing was under way, and s is gone; false: conf.over comes then. To
 * be called again to cut. Not from conf's callbacks.
 */
bool quic_server_stop(struct quic_server *s, bool cut);

const struct adit_addr *quic_endpoint_local(const struct quic_endpoint *ep);
struct adit_worker *quic_endpoint_worker(const struct quic_endpoint *ep);
const struct quic_stats *quic_endpoint_stats(const struct quic_endpoint *ep);

/*
 * A datagram that another worker's (or process's) socket got: as if it had come here; not forwarded
 * again.
 */
void quic_endpoint_deliver(struct quic_endpoint *ep, const struct adit_packet *p);

/* What conf.trouble of another endpoint was called with; not told again. */
void quic_endpoint_trouble(struct quic_endpoint *ep, const struct adit_trouble *t);

/*
 * Addresses or routes of the machine have changed, perhaps: dialled sessions that another way leads
 * to now go on over that (RFC 9000, section 9), or end with -ENETRESET where their peer does not
 * allow it. Endpoints whose socket is bound to no address find out by themselves, and to those
 * only this means something.
 */
void quic_endpoint_moved(struct quic_endpoint *ep);

struct quic_target {
	struct adit_addr		 addr;
	const char *host; /* for SNI and the certificate (tls_session_init); may be NULL */
	const struct quic_params	*params;	/* copied */
	bool				 has_lane;
	uint8_t				 lane;	/* sessions of different lanes are served by
						 * different cores of a server of ours, as
						 * far as it has so many */
};

/* A session that is opening: ADIT_OPEN comes, or its failure. NULL with e filled. */
struct adit_mux *quic_connect(struct quic_endpoint *ep, const struct quic_target *target,
			      struct adit_err *e);

/* Of sessions only. Both are NULL before the handshake; owned by m. */
const char *quic_session_alpn(const struct adit_mux *m);
const char *
quic_session_server_name(const struct adit_mux *m); /* what the client asked for; NULL: nothing */

/* The version of QUIC that is spoken: 1 or 2; 0 before that is agreed on, and once m has ended. */
unsigned quic_session_version(const struct adit_mux *m);

/* How often its keys have changed, because either end wanted that (RFC 9001, section 6). */
unsigned quic_session_key_updates(const struct adit_mux *m);

/* Servers: the certificate that the client presented, or NULL. Valid until m has ended. */
const struct adit_certificate *quic_session_peer(const struct adit_mux *m);

/* Smoothed round trip in ns; 0 once ended. */
uint64_t quic_session_rtt(const struct adit_mux *m);

/* How many bidirectional streams either end has opened so far. */
uint64_t quic_session_opened(const struct adit_mux *m);
uint64_t quic_session_peer_opened(const struct adit_mux *m);

/*
 * The flow of that number, which the peer has opened and told of in its own way: whether a datagram
 * of it has arrived or not. Not to be waited for in adit_mux_accept then. NULL with e filled: it is
 * none of the peer's, was there already, or there are too many.
 */
struct adit_conn *quic_flow_claim(struct adit_mux *m, uint64_t number, struct adit_err *e);

/*
 * Whether a write to a stream may still go to the peer: not after its STOP_SENDING, of which its
 * owner is told by an ADIT_HEAD once the stream is over. To be asked by who reads on: a write that
 * fails ends the reading, too.
 */
bool quic_stream_takes(const struct adit_conn *c);

/* The stream's number, or a flow's. -1 while it waits for room. */
int64_t quic_conn_number(const struct adit_conn *c);

#endif
