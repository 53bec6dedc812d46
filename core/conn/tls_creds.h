/*
 * Credentials: a certificate with its key, the roots to check a peer by, the key of session
 * tickets. One struct tls_creds is what was loaded at one time; it never changes, is reference
 * counted and serves any number of sessions, TLS or QUIC, on any worker. A struct tls_source is the
 * place they come from: it notices files that changed and loads them anew, so that a renewed
 * certificate needs no restart.
 */
#ifndef ADIT_CORE_TLS_CREDS_H
#define ADIT_CORE_TLS_CREDS_H

#include <stdint.h>
#include <time.h>

#include "core/conn/tls_policy.h"

struct tls_source;

struct tls_creds {
	atomic_uint				 refs;
	struct tls_policy			*policy;	/* a reference */
	gnutls_certificate_credentials_t	 certificate;
	/* Servers: one key for each of these, so that a ticket opens only what it was given for. */
	gnutls_datum_t				 ticket_key;
	time_t					 renew;	/* when to generate another; or 0 */
};

/*
 * Loads what conf names; a server that has no certificate gets the process's own (tls_default.h).
 * NULL with e filled: a file that cannot be read or used, or a contradiction (tls_policy_new). log:
 * where changes are told, may be NULL. conf is copied. Blocks on files: main thread.
 */
struct tls_source *tls_source_new(const struct adit_tls_conf *conf, enum tls_side side,
				  struct adit_log *log, struct adit_err *e);

/* Credentials that were handed out live on. NULL is fine. */
void tls_source_free(struct tls_source *src);

/*
 * The credentials for a new session: a reference, never NULL. At most once a second, by one caller
 * at a time, the files are looked at (stat) and, if one changed, all are loaded; callers meanwhile
 * get the old ones. As long as the new files do not work together (half written, the key not yet
 * there) the old ones stay; a state that is still broken at the next look is told to the log once.
 * The files should be local: a dead network mount would stop the worker that looks. Any thread.
 */
struct tls_creds *tls_creds_current(struct tls_source *src);

/* The same, with the time of adit_now given. */
struct tls_creds *tls_creds_current_at(struct tls_source *src, uint64_t now);

/* Another reference. Any thread. */
struct tls_creds *tls_creds_get(struct tls_creds *c);

/* Drops one; sessions that use c hold one. NULL is fine. Any thread. */
void tls_creds_put(struct tls_creds *c);

#endif
