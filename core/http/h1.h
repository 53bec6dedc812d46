/*
 * HTTP/1.1 over any conn, as server or as client: a mux that carries one exchange at a time (RFC
 * 9110, RFC 9112).
 *
 * Bodies are streamed: the framing is taken off and put on while they pass, and an exchange that is
 * not read stops the reading of the connection. Heads are strict (see h1_parse.h): what is
 * malformed or ambiguous is answered with a 4xx and the connection is closed; from a server it
 * fails the exchange with -EBADMSG.
 *
 * End in: the length or the last chunk was reached, or EOF where the body has neither. shutdown:
 * the last chunk, EOF where there is neither length nor chunks, nothing where a length was given
 * (-EPROTO when it was not reached). close(0) after both messages are complete keeps the
 * connection; a server's close(0) after its response is complete drops a bounded rest of the
 * request. Any other close ends the connection, abortively unless everything taken makes a complete
 * message.
 *
 * Fields that concern one connection only are the caller's business (h1_strip_hop_by_hop), except:
 * Host is ADIT_AUTHORITY and no field; Transfer-Encoding and Content-Length are written as the
 * framing needs them, and "Connection: close" is added where the connection ends.
 *
 * A request with Upgrade and "Connection: upgrade" (or CONNECT) has a read that answers -EAGAIN at
 * its end, not 0, until the final response: after a 101 (or a 2xx) the exchange is the raw
 * connection, bytes that came early included; after any other the end is read. On the client's side
 * the same holds for writes. With an upgrade a body must have a length.
 */
#ifndef ADIT_CORE_HTTP_H1_H
#define ADIT_CORE_HTTP_H1_H

#include <adit/exchange.h>

/* Zero is fine everywhere. */
struct h1_conf {
	uint64_t head_timeout;	/* server: ns for a head from its first byte, and for the first byte
				 * of a connection; 0: 10 s */
	uint64_t idle_timeout;	/* server: ns without a request between two of them; 0: 60 s */
	bool	 send_continue;	/* server: answer "Expect: 100-continue" when the body is read
				 * first, instead of leaving that to who sends heads */
};

/*
 * Both own lower from now on, also when they fail (NULL: out of memory); lower may still be
 * opening. conf is copied and may be NULL. A mux that ended politely (the peer closed between
 * messages, the last exchange was not to be followed by another) has -ESHUTDOWN as its error, a
 * server that was idle for too long -ETIMEDOUT, one that was sent what is no request -EBADMSG and
 * the status it answered with as the reason's code.
 *
 * Server: exchanges are accepted, each when its request's head has arrived. Draining lets the
 * current one end and says "Connection: close".
 *
 * Client: adit_mux_open(m, ADIT_CONN_EXCHANGE, e) when adit_mux_room says 1: nothing is open and
 * the connection may be used (again). It may be called before m is open.
 */
struct adit_mux *h1_server(struct adit_conn *lower, const struct h1_conf *conf);
struct adit_mux *h1_client(struct adit_conn *lower, const struct h1_conf *conf);

/*
 * The next response says "Connection: close". Unlike a drain it ends no connection without a word,
 * whose client may be sending its next request just then.
 */
void h1_server_last(struct adit_mux *m);

/* Whether the client's connection is open and waits for a next request. */
bool h1_client_idle(const struct adit_mux *m);

/*
 * After a 101: the connection below x, which carries nothing but the other protocol's bytes from
 * now on. Whether that can be had now: not while some of HTTP is unsent, nor where x is of another
 * version or has failed, or the peer has ended already.
 */
bool h1_may_leave(struct adit_exchange *x);

/*
 * Where it may: takes it, what was read too far given back to it; without an owner, nothing wanted.
 * The session it was of ends (-ESHUTDOWN); x and that remain to be closed. NULL: out of memory, x
 * has failed.
 */
struct adit_conn *h1_leave(struct adit_exchange *x);

/*
 * Whether f asks to leave HTTP/1.1, or says that this is done: Upgrade and "Connection: upgrade"
 * (RFC 9110, 7.8).
 */
bool h1_wants_upgrade(const struct adit_fields *f);

/*
 * Removes what concerns the connection f came by and no other: Connection and the fields it names,
 * Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade (RFC 9110, 7.6.1). keep_upgrade
 * leaves an upgrade that is asked for as the only connection option. Content-Length and Host stay
 * whatever Connection names. 0, -ENOMEM, or -E2BIG: more than 64 options, which nobody has.
 */
int h1_strip_hop_by_hop(struct adit_fields *f, bool keep_upgrade);

#endif
