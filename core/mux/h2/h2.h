/*
 * HTTP/2 (RFC 9113) as a session of streams over any conn, as gost's transport of that name speaks
 * it (exchanges are core/http/h2.h): each stream is a request of the client's, CONNECT or, where
 * both have a path, GET, that is answered by 200; then the DATA frames both ways are the bytes.
 * nghttp2 does the framing; it does no I/O.
 *
 * Sending: what is written to a stream stands in its queue until the peer's windows let it go;
 * nghttp2 takes from the queues in turn. Receiving: a stream's window is returned as its owner
 * reads, the session's as bytes arrive, so that a stream that is not read stops itself alone.
 * Windows begin small and grow with the path, whose length a PING measures.
 *
 * Ends: END_STREAM is the end of one direction. A close without a reason sends it after what was
 * taken, then RST_STREAM with NO_ERROR if the peer has not ended too; a close with one is
 * RST_STREAM with CONNECT_ERROR. What says either of a peer that had ended its direction before,
 * NO_ERROR or CANCEL (a gost's), means that it does not read any more either.
 *
 * A client's stream is open when its answer is 200. Another one is ADIT_EREFUSED, and conn_failure
 * says which.
 */
#ifndef ADIT_CORE_MUX_H2_H
#define ADIT_CORE_MUX_H2_H

#include <stdbool.h>

#include <adit/mux.h>
#include <adit/opt.h>

struct h2_transport_conf {
	const char		*authority;	/* client: of its requests; "": none is known */
	const char		*path;		/* of the requests, by GET; NULL: CONNECT */
	const struct adit_pairs	*header;	/* client: more fields, lower case; may be NULL */
	bool			 secure;	/* what :scheme says, where there is a path */
	bool			 client;
	unsigned		 streams;	/* server: most at a time */
	unsigned		 backlog;	/* not yet accepted; more are refused */
	unsigned		 open_ms;	/* client: for the answer to a request */
};

/*
 * A session over lower, which may still be opening and is owned from now on, also when NULL is
 * returned (out of memory). conf is borrowed until the session is closed. mux->open takes kind 0
 * only, and of a client only.
 */
struct adit_mux *h2_transport(struct adit_conn *lower, const struct h2_transport_conf *conf);

#endif
