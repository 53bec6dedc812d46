/*
 * A GnuTLS session set up by the rules of the configuration, over whatever carries it: a conn
 * (tls.c) or QUIC. It has the priorities, the certificate, SNI, ALPN and the checks of the peer;
 * the transport and what it does with handshake and records are its user's. One worker.
 *
 * The session's database pointer (gnutls_db_get_ptr) is ours; its session pointer
 * (gnutls_session_get_ptr) is free for the user: ngtcp2 has it.
 */
#ifndef ADIT_CORE_TLS_SESSION_H
#define ADIT_CORE_TLS_SESSION_H

#include <adit/conn.h>

#include "core/conn/tls_creds.h"

struct tls_session {
	gnutls_session_t	 tls;
	struct tls_creds	*creds;		/* a reference */
	char			*host;		/* clients: who is meant; owned, or NULL */
	char			*sni;		/* servers: who was asked for; owned, or NULL */
	struct adit_certificate		*peer;		/* owned; made when first asked for */
	unsigned		 status;	/* of the peer's certificate: GNUTLS_CERT_* */
};

enum { TLS_SESSION_QUIC = 1 };

/*
 * Sets s up, which must not move from then on, for the side that creds are for, with a reference to
 * creds of its own. host: for clients, the name or literal that was dialed, with which SNI is sent
 * (never for a literal) and the certificate is compared; serverName of the configuration overrides
 * it; may be NULL. Returns 0, or a failure with e filled and nothing to clean up.
 */
int tls_session_init(struct tls_session *s, struct tls_creds *creds, unsigned flags,
		     const char *host, struct adit_err *e);

/* Also of a zeroed one. */
void tls_session_fini(struct tls_session *s);

/*
 * The application protocols of a user that speaks them, where the configuration names none (it
 * wins). A server that was offered only others sends alert 120; one that was offered none goes on,
 * and tls_session_alpn says so. Before the handshake. Returns 0 or -ENOMEM.
 */
int tls_session_offer(struct tls_session *s, const char *const *protocols, unsigned n);

/* The alert that tells the peer why the handshake or a record failed with ret; RFC 8446, 6.2. */
gnutls_alert_description_t tls_session_alert(const struct tls_session *s, int ret);

/*
 * Writes for a person why the handshake or a record failed with ret, and which side said so.
 * Returns out.
 */
char *tls_session_explain(struct tls_session *s, int ret, char *out, size_t size);

/*
 * The protocol that was agreed on, or NULL. Valid as long as s; writes its length where len is not
 * NULL.
 */
const char *tls_session_alpn(const struct tls_session *s, size_t *len);

/* Servers, once the ClientHello is there: the name asked for, or NULL. Valid as long as s. */
const char *tls_session_sni(const struct tls_session *s);

/*
 * What the peer presented, or NULL: nothing, or no memory. Valid as long as s. After the handshake.
 */
const struct adit_certificate *tls_session_peer(struct tls_session *s);

#endif
