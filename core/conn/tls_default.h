/*
 * The certificate of a server for which none is configured: ECDSA P-256, self-signed, made once and
 * shared by all listeners of the process that use the same common name. With a state folder it is
 * kept there, so that clients that pin it go on after a restart; a new one then keeps the old key.
 */
#ifndef ADIT_CORE_TLS_DEFAULT_H
#define ADIT_CORE_TLS_DEFAULT_H

#include <stdint.h>
#include <time.h>

#include <gnutls/gnutls.h>

#include <adit/err.h>

struct adit_log;

struct tls_subject {
	const char	*common_name;	/* and alternative name; also an IP; NULL: "adit.local" */
	const char	*organization;	/* NULL: "adit" */
	uint64_t	 validity;	/* ns; 0: one year */
};

/* A certificate and its key, PEM. */
struct tls_pair {
	gnutls_datum_t	 cert, key;
	time_t		 expires;
};

/* Frees both and wipes the key. */
void tls_pair_free(struct tls_pair *p);

/*
 * Makes a pair that begins to be valid one hour before now. old_key: PEM of the key to use again,
 * or NULL. Returns 0, ADIT_ECONFIG (the name is no host name) or ADIT_ETLS; e filled.
 */
int tls_pair_make(const struct tls_subject *subject, time_t now, const gnutls_datum_t *old_key,
		  struct tls_pair *out, struct adit_err *e);

/*
 * The pair kept in dir ("auto-NAME.pem", mode 0600), or a new one that is put there if there is
 * none, it is broken, or less than a tenth of its life is left. Two processes that start together
 * agree on one. Blocks on files. Returns 0 or an error with e filled.
 */
int tls_pair_load(const char *dir, const struct tls_subject *subject, time_t now,
		  struct tls_pair *out, struct adit_err *e);

/*
 * Where the process keeps its pairs; NULL (so it begins): in memory only. Copied. Before any worker
 * starts.
 */
void tls_default_set_dir(const char *dir);

/*
 * A copy of the pair that the process uses for that common name; made, or made anew, when needed.
 * Where the state folder cannot be used a warning goes to log and the pair lives in memory. Any
 * thread; seldom blocks on files.
 */
int tls_default_pair(const struct tls_subject *subject, time_t now, struct adit_log *log,
		     struct tls_pair *out, struct adit_err *e);

#endif
