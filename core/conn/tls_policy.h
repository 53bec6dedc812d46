/*
 * What the configuration says about TLS, digested: which versions and ciphers, which names, whom to
 * trust. Made once per place in the configuration, immutable, reference counted, shared by all
 * workers and by all credentials that are loaded for that place over time.
 */
#ifndef ADIT_CORE_TLS_POLICY_H
#define ADIT_CORE_TLS_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>

#include <gnutls/gnutls.h>

#include <adit/plugin.h>

enum tls_side { TLS_CLIENT, TLS_SERVER };

/* Enough for every priority string that tls_priority_text makes. */
#define TLS_PRIORITY_TEXT 512

struct tls_policy {
	atomic_uint		 refs;
	enum tls_side		 side;
	struct adit_tls_conf	 conf;		/* a copy, owned */
	gnutls_priority_t	 tcp;		/* for TLS over a conn */
	gnutls_priority_t	 quic;		/* TLS 1.3 alone; NULL where it is excluded */
};

/*
 * Copies and checks conf. NULL with e filled: versions or cipher suites unknown or contradictory, a
 * certificate without its key, caFile for a server that has no certificate of its own (it would
 * look as if clients were checked).
 */
struct tls_policy *tls_policy_new(const struct adit_tls_conf *conf, enum tls_side side,
				  struct adit_err *e);

/* Any thread. put: NULL is fine. */
struct tls_policy *tls_policy_get(struct tls_policy *p);
void tls_policy_put(struct tls_policy *p);

/* Whether the peer's chain is checked, and whether its name is too. */
bool tls_policy_checks_chain(const struct tls_policy *p);
bool tls_policy_checks_name(const struct tls_policy *p);

/* Whether a server with these rules serves a client that asks for sni ("" or NULL: for none). */
bool tls_policy_serves(const struct tls_policy *p, const char *sni);

/*
 * Writes the GnuTLS priority string of conf: TLS 1.2 and 1.3, ECDHE with AEAD ciphers, AES-128-GCM
 * first and ChaCha20 (13 times slower in GnuTLS than AES-GCM) last, unless conf says otherwise.
 * Go's cipher suite names are taken; GnuTLS combines key exchanges, ciphers and MACs freely, so
 * what is allowed is the product of what the names contain, for TLS 1.3 too (where Go's list has no
 * say). quic: TLS 1.3 alone, as RFC 9001, 4.2 demands. Returns 0 or ADIT_ECONFIG with e filled.
 */
int tls_priority_text(const struct adit_tls_conf *conf, bool quic, char out[TLS_PRIORITY_TEXT],
		      struct adit_err *e);

#endif
