/*
 * HTTP/3 over a session of QUIC, as server or as client: a mux of exchanges over a mux of streams
 * (RFC 9114, RFC 9204, RFC 9220).
 *
 * Who asks is not tied to who dialled: either end of the session may be the client, and then its
 * requests are on streams that it opens (a reverst server is one). What was accepted of the session
 * before is not touched.
 *
 * The framing is our own, so that a bad message ends its exchange and nothing else: what is
 * malformed is reset with H3_MESSAGE_ERROR and fails with -EBADMSG at who reads it, a body that
 * ends short with ADIT_ETRUNCATED, a field section beyond the limit is answered with a 431, or
 * fails with -E2BIG at a client. A violation of the framing itself ends the session with the code
 * that the RFC has for it. The dynamic table of QPACK is not used in either direction, and nothing
 * is pushed.
 *
 * End in: FIN. shutdown: FIN, after trailers. close(0) after our message is complete is polite:
 * the rest of the peer's is not asked for any more. Any other close resets both directions, with
 * adit_conn_code if that is set, else H3_REQUEST_CANCELLED by a client, H3_INTERNAL_ERROR by a
 * server, H3_CONNECT_ERROR in a tunnel. A client's exchange that the server has not processed
 * (H3_REQUEST_REJECTED, or behind its GOAWAY) fails with ADIT_EDRAINING: it may be sent again
 * elsewhere. A server that wants no more of a request while it answers takes it silently.
 *
 * A CONNECT, extended or not, is a tunnel after a 2xx; before that the client's writes answer
 * -EAGAIN. Fields of one connection are left out of what is sent; see core/http/section.h.
 */
#ifndef ADIT_CORE_HTTP_H3_H
#define ADIT_CORE_HTTP_H3_H

#include <adit/exchange.h>

/* Zero is fine everywhere. */
struct h3_conf {
	uint64_t head_timeout;	/* server: ns for a request's head from its first byte: 10 s */
	uint64_t idle_timeout;	/* server: ns without a request: 60 s; UINT64_MAX: for ever */
	size_t	 section_max;	/* of a head or of trailers, as RFC 9114, 4.2.2 counts: 64 KiB */
	unsigned exchanges_max;	/* at a time; a server rejects more, whose client may send them
				 * again: 1024 */
	bool	 extended_connect; /* server: tells that it takes CONNECT with :protocol */
	bool	 no_goaway;	/* the peer does not understand GOAWAY: a drain tells it nothing,
				 * and a server goes on taking what comes */
};

/*
 * Both own streams from now on, also when they fail (NULL: out of memory); it may still be opening.
 * It has to be a session of QUIC (core/mux/quic/quic.h) without flows. conf is copied and may be
 * NULL.
 *
 * Server: exchanges are accepted, each when its request's head has arrived. Draining sends GOAWAY:
 * what comes later is rejected. Idle for too long it ends with -ETIMEDOUT. A client that dialled,
 * and gives up too many requests before their answer, ends it too.
 *
 * Client: adit_mux_open(m, ADIT_CONN_EXCHANGE, e) while adit_mux_room says so. It waits for nothing
 * from the peer, except that the head of an extended CONNECT answers -EAGAIN until the peer's
 * settings are there, and -ENOTSUP if they do not allow it.
 */
struct adit_mux *h3_server(struct adit_mux *streams, const struct h3_conf *conf);
struct adit_mux *h3_client(struct adit_mux *streams, const struct h3_conf *conf);

#endif
