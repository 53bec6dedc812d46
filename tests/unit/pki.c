#include "tests/unit/pki.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "pki: %s\n", what);
	abort();
}

#define MUST(call) must((call) >= 0, #call)

static char *
pki_text(const gnutls_datum_t *d)
{
	char *text = strndup((const char *)d->data, d->size);

	must(text, "memory");
	gnutls_free(d->data);
	return text;
}

static void
pki_fill(struct pki_cert *c, const struct pki_want *w)
{
	static unsigned serial;
	uint8_t number[4];
	time_t now = time(NULL);

	serial++;
	for (int i = 0; i < 4; i++)
		number[i] = (uint8_t)(serial >> (24 - 8 * i));
	number[0] |= 0x40;
	MUST(gnutls_x509_crt_set_version(c->crt, 3));
	MUST(gnutls_x509_crt_set_serial(c->crt, number, sizeof(number)));
	MUST(gnutls_x509_crt_set_key(c->crt, c->key));
	MUST(gnutls_x509_crt_set_dn_by_oid(c->crt, GNUTLS_OID_X520_COMMON_NAME, 0, w->name,
					   (unsigned)strlen(w->name)));
	MUST(gnutls_x509_crt_set_subject_alt_name(c->crt, GNUTLS_SAN_DNSNAME, w->name,
						  (unsigned)strlen(w->name), GNUTLS_FSAN_SET));
	if (w->ip)
		MUST(gnutls_x509_crt_set_subject_alt_name(c->crt, GNUTLS_SAN_IPADDRESS, w->ip, 4,
							  GNUTLS_FSAN_APPEND));
	MUST(gnutls_x509_crt_set_activation_time(c->crt, now + (w->begins ? w->begins : -3600)));
	MUST(gnutls_x509_crt_set_expiration_time(c->crt, now + (w->ends ? w->ends : 3600)));
	MUST(gnutls_x509_crt_set_basic_constraints(c->crt, w->ca, -1));
	MUST(gnutls_x509_crt_set_key_usage(c->crt, GNUTLS_KEY_DIGITAL_SIGNATURE |
					   (w->ca ? GNUTLS_KEY_KEY_CERT_SIGN : 0)));
	if (w->purpose)
		MUST(gnutls_x509_crt_set_key_purpose_oid(c->crt, w->purpose, 0));
}

struct pki_cert *
pki_new(const struct pki_want *w)
{
	struct pki_cert *c = calloc(1, sizeof(*c));
	gnutls_datum_t pem;

	must(c, "memory");
	MUST(gnutls_x509_privkey_init(&c->key));
	MUST(gnutls_x509_crt_init(&c->crt));
	MUST(gnutls_x509_privkey_generate(c->key, GNUTLS_PK_ECDSA,
					  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
	pki_fill(c, w);
	MUST(gnutls_x509_crt_sign2(c->crt, w->issuer ? w->issuer->crt : c->crt,
				   w->issuer ? w->issuer->key : c->key, GNUTLS_DIG_SHA256, 0));
	MUST(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem));
	c->cert_pem = pki_text(&pem);
	MUST(gnutls_x509_privkey_export2(c->key, GNUTLS_X509_FMT_PEM, &pem));
	c->key_pem = pki_text(&pem);
	return c;
}

void
pki_free(struct pki_cert *c)
{
	if (!c)
		return;
	gnutls_x509_crt_deinit(c->crt);
	gnutls_x509_privkey_deinit(c->key);
	free(c->cert_pem);
	free(c->key_pem);
	free(c);
}

char *
pki_dir(void)
{
	char template[] = "/tmp/adit-test-XXXXXX", *dir;

	must(mkdtemp(template), "mkdtemp");
	dir = strdup(template);
	must(dir, "memory");
	return dir;
}

void
pki_dir_free(char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	must(d, "opendir");
	while ((entry = readdir(d))) {
		char *path = pki_path(dir, entry->d_name);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			MUST(unlink(path));
		free(path);
	}
	closedir(d);
	MUST(rmdir(dir));
	free(dir);
}

char *
pki_path(const char *dir, const char *name)
{
	char *path;

	MUST(asprintf(&path, "%s/%s", dir, name));
	return path;
}

char *
pki_write(const char *dir, const char *name, const char *text)
{
	char *path = pki_path(dir, name), *temporary = pki_path(dir, "new");
	FILE *f = fopen(temporary, "w");

	must(f, temporary);
	must(fputs(text, f) >= 0 && fclose(f) == 0, "write");
	MUST(rename(temporary, path));
	free(temporary);
	return path;
}
