/*
 * HTTP/2 over any conn, as server or as client: a mux of exchanges (RFC 9113, RFC 8441). The
 * session and its streams are core/mux/h2's, what may stand in a head is core/http/section.h's.
 *
 * Bodies are streamed; an exchange that is not read stops itself alone. What breaks a rule of
 * messages costs its stream (RST_STREAM with PROTOCOL_ERROR; at a client the exchange fails with
 * -EBADMSG, after what had come), what breaks one of the connection all of it (GOAWAY). A request's
 * head beyond the limit is answered with 431, a response's fails with -E2BIG.
 *
 * ADIT_EDRAINING at a client: the server says that it has done nothing about the request
 * (REFUSED_STREAM, or a GOAWAY that came before it): it may be sent again, whatever it is.
 *
 * End in: END_STREAM. shutdown: END_STREAM, -EPROTO while bytes of a given Content-Length are
 * missing, which are then owed by a reset. close(0) by a server whose response is complete: so, and
 * the rest of a request that nobody has read is not waited for (RST_STREAM with NO_ERROR). Any
 * other close is RST_STREAM: with adit_conn_code, else CANCEL by a client, INTERNAL_ERROR by a
 * server, CONNECT_ERROR in a tunnel; REFUSED_STREAM by a server for -ELIMIT and -EDRAINING.
 *
 * A CONNECT stays open both ways until it was answered, whatever flags it is sent with; with
 * ADIT_PROTOCOL it is an extended one, which a client sends once the server has said in its
 * SETTINGS that it takes them (-EAGAIN until those are there; -ENOTSUP: it does not).
 */
#ifndef ADIT_CORE_HTTP_H2_H
#define ADIT_CORE_HTTP_H2_H

#include <adit/exchange.h>

/* Zero is fine everywhere. */
struct h2_conf {
	uint64_t head_timeout;	/* server: ns for a head, and for the first bytes; 0: 10 s */
	uint64_t idle_timeout;	/* server: ns without an exchange; 0: 60 s */
	size_t	 head_max;	/* of a head: names, values and 32 for each field; 0: 64 KiB */
	unsigned streams;	/* server: exchanges at a time; 0: 100 */
	bool	 extended;	/* server: takes extended CONNECT */
};

/*
 * Both own lower from now on, also when they fail (NULL: out of memory); lower may still be
 * opening, and in TLS must have agreed on "h2" or on nothing. conf is copied and may be NULL.
 *
 * Server: exchanges are accepted, each when its request's head has arrived. Draining says GOAWAY;
 * what was on its way is still served. One that was idle for too long ends with -ETIMEDOUT.
 *
 * Client: adit_mux_open(m, ADIT_CONN_EXCHANGE, e), as many as there is room for; before m is open
 * too. Nothing of an exchange is sent before its head.
 */
struct adit_mux *h2_server(struct adit_conn *lower, const struct h2_conf *conf);
struct adit_mux *h2_client(struct adit_conn *lower, const struct h2_conf *conf);

#endif
