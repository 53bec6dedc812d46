/*
 * TLS 1.2 and 1.3 over any stream conn, with GnuTLS.
 *
 *	lower  -- large reads --> in  -- pull --> GnuTLS  -- record_recv --> owner
 *	lower  <-- writev ------- out <-- push -- GnuTLS <-- record_send --- owner
 *
 * Both queues are bounded and hold no chunk while idle. A write is refused when out is full, before
 * GnuTLS has made a record of it; so GnuTLS never has to be called again with the same bytes.
 *
 * How things end. close_notify is the end of one direction: read answers 0, and writing goes on;
 * shutdown sends ours. That is how TLS 1.3 defines it (RFC 8446, 6.1). TLS 1.2 would have the peer
 * answer close_notify at once and drop what it has left to send (RFC 5246, 7.2.1); crypto/tls of
 * Go, OpenSSL and GnuTLS do not, and neither do we: it is a half-close there too. A stream of the
 * lower conn that ends without close_notify is ADIT_ETRUNCATED. close(0) sends what was taken,
 * while lower takes it (10 s without progress, 60 s in all), then close_notify; close(why) an
 * alert, and lower is closed with why. Renegotiation is refused; key updates are answered; there is
 * no early data.
 */
#ifndef ADIT_CORE_TLS_H
#define ADIT_CORE_TLS_H

#include <adit/conn.h>

#include "core/conn/tls_session.h"

struct tls_source;

/*
 * A conn over lower, which it owns from now on, also on failure (NULL, e filled). lower may still
 * be opening; the new conn is open when the handshake is done. creds are borrowed for the call and
 * must be for that side. host: see tls_session_init. A handshake that fails is ADIT_ETLS (or why
 * lower failed) and conn_failure tells more.
 */
struct adit_conn *tls_client(struct adit_conn *lower, struct tls_creds *creds, const char *host,
			     struct adit_err *e);

/* The same, with what source has now. */
struct adit_conn *tls_client_of(struct adit_conn *lower, struct tls_source *source,
				const char *host, struct adit_err *e);

/* As tls_client; when open, adit_conn_asked is the name that the client asked for. */
struct adit_conn *tls_server(struct adit_conn *lower, struct tls_creds *creds, struct adit_err *e);

/* How long the handshake may take once lower is open; 15 s unless set. Before that. ms: not 0. */
void tls_set_handshake_limit(struct adit_conn *c, unsigned ms);

/*
 * These take any conn and answer NULL where c is not one of ours. What they return is valid as long
 * as c.
 *
 * alpn: the protocol agreed on, or NULL. sni: servers, the name asked for, or NULL.
 */
const char *tls_alpn(const struct adit_conn *c);
const char *tls_sni(const struct adit_conn *c);

#endif
