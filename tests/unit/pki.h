/*
 * Certificates for tests, made at run time so that none expires in the tree, and a folder for files
 * that goes with the test. Everything here aborts when it cannot do its work.
 */
#ifndef ADIT_TEST_PKI_H
#define ADIT_TEST_PKI_H

#include <stdbool.h>

#include <gnutls/x509.h>

struct pki_cert {
	gnutls_x509_crt_t	 crt;
	gnutls_x509_privkey_t	 key;
	char			*cert_pem, *key_pem;
};

struct pki_want {
	const char		*name;		/* common name and DNS alternative name */
	const char		*ip;		/* a name more: 4 bytes of IPv4, or NULL */
	const struct pki_cert	*issuer;	/* NULL: signed by itself */
	bool			 ca;
	long			 begins, ends;	/* seconds from now; 0: an hour ago, in an hour */
	const char		*purpose;	/* a GNUTLS_KP_*, or NULL */
};

struct pki_cert *pki_new(const struct pki_want *want);
void pki_free(struct pki_cert *c);

/* A new folder, and the end of it with all files in it. */
char *pki_dir(void);
void pki_dir_free(char *dir);

/* "dir/name", freed by the caller. */
char *pki_path(const char *dir, const char *name);

/* Puts text there as a new file, by rename; returns the path, freed by the caller. */
char *pki_write(const char *dir, const char *name, const char *text);

#endif
