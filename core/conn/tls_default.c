#include "core/conn/tls_default.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include <adit/addr.h>
#include <adit/log.h>

#include "core/runtime/folder.h"
#include "core/runtime/put_file.h"

#define YEAR (365 * 24 * 3600)
#define NAME_MAX_LEN 253		/* of a host name */
#define FILE_MAX (64 * 1024)

static const char *
subject_name(const struct tls_subject *s)
{
	return s->common_name && *s->common_name ? s->common_name : "adit.local";
}

static const char *
subject_organization(const struct tls_subject *s)
{
	return s->organization && *s->organization ? s->organization : "adit";
}

static time_t
subject_life(const struct tls_subject *s)
{
	return s->validity ? (time_t)(s->validity / 1000000000u) : YEAR;
}

/* A host name or an IP literal: it becomes an alternative name, and part of a file's name. */
static int
subject_check(const struct tls_subject *s, struct adit_err *e)
{
	const char *name = subject_name(s);
	size_t len = strlen(name);

	for (size_t i = 0; i < len && len <= NAME_MAX_LEN; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr(".-:*_", name[i]))
			len = NAME_MAX_LEN + 1;
	if (len > NAME_MAX_LEN || name[0] == '.')
		return adit_err_set(e, ADIT_ECONFIG, "tls: commonName \"%s\" is no host name",
				    name);
	return 0;
}

/* ---- the pair ----------------------------------------------------------- */

static void
datum_wipe(gnutls_datum_t *d)
{
	if (d->data)
		gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
	*d = (gnutls_datum_t){ 0 };
}

void
tls_pair_free(struct tls_pair *p)
{
	gnutls_free(p->cert.data);
	datum_wipe(&p->key);
	*p = (struct tls_pair){ 0 };
}

static bool
datum_copy(gnutls_datum_t *to, const gnutls_datum_t *from)
{
	to->data = gnutls_malloc(from->size + 1);
	if (!to->data)
		return false;
	memcpy(to->data, from->data, from->size);
	to->data[from->size] = 0;
	to->size = from->size;
	return true;
}

static int
pair_copy(struct tls_pair *to, const struct tls_pair *from, struct adit_err *e)
{
	*to = (struct tls_pair){ .expires = from->expires };
	if (datum_copy(&to->cert, &from->cert) && datum_copy(&to->key, &from->key))
		return 0;
	tls_pair_free(to);
	return adit_err_set(e, -ENOMEM, "out of memory");
}

static int
pair_key(gnutls_x509_privkey_t key, const gnutls_datum_t *old_key)
{
	if (old_key)
		return gnutls_x509_privkey_import(key, old_key, GNUTLS_X509_FMT_PEM);
	return gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int
cert_set_name(gnutls_x509_crt_t crt, const struct tls_subject *s)
{
	const char *name = subject_name(s), *organization = subject_organization(s);
	struct adit_addr ip;
	bool is_ip = adit_addr_parse(name, 0, &ip) == 0;
	int ret;

	ret = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, organization,
					    (unsigned)strlen(organization));
	if (ret == 0)
		ret = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
						    (unsigned)strlen(name));
	if (ret == 0 && is_ip)
		ret = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip.ip,
							   ip.family == AF_INET ? 4 : 16,
							   GNUTLS_FSAN_SET);
	else if (ret == 0)
		ret = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
							   (unsigned)strlen(name), GNUTLS_FSAN_SET);
	return ret;
}

static int
cert_set_times(gnutls_x509_crt_t crt, const struct tls_subject *s, time_t now)
{
	int ret = gnutls_x509_crt_set_activation_time(crt, now - 3600);

	return ret < 0 ? ret : gnutls_x509_crt_set_expiration_time(crt, now + subject_life(s));
}

static int
cert_set_usage(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	uint8_t serial[16], id[20];
	size_t len = sizeof(id);
	int ret;

	/* RFC 5280, 4.1.2.2: positive. */
	ret = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40;
	if (ret == 0)
		ret = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	if (ret == 0)
		ret = gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
	if (ret == 0)
		ret = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE |
						    GNUTLS_KEY_KEY_CERT_SIGN);
	if (ret == 0)
		ret = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (ret == 0)
		ret = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	if (ret == 0)
		ret = gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA1, id, &len);
	return ret < 0 ? ret : gnutls_x509_crt_set_subject_key_id(crt, id, len);
}

static int
cert_make(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const struct tls_subject *s, time_t now)
{
	int ret = gnutls_x509_crt_set_version(crt, 3);

	if (ret == 0)
		ret = gnutls_x509_crt_set_key(crt, key);
	if (ret == 0)
		ret = cert_set_name(crt, s);
	if (ret == 0)
		ret = cert_set_times(crt, s, now);
	if (ret == 0)
		ret = cert_set_usage(crt, key);
	return ret < 0 ? ret : gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

int
tls_pair_make(const struct tls_subject *subject, time_t now, const gnutls_datum_t *old_key,
	      struct tls_pair *out, struct adit_err *e)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;
	int ret = subject_check(subject, e);

	*out = (struct tls_pair){ .expires = now + subject_life(subject) };
	if (ret < 0)
		return ret;
	ret = gnutls_x509_privkey_init(&key);
	if (ret == 0)
		ret = gnutls_x509_crt_init(&crt);
	if (ret == 0)
		ret = pair_key(key, old_key);
	if (ret == 0)
		ret = cert_make(crt, key, subject, now);
	if (ret == 0)
		ret = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out->cert);
	if (ret == 0)
		ret = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
							GNUTLS_PKCS_PLAIN, &out->key);
	if (ret < 0) {
		tls_pair_free(out);
		adit_err_set(e, ADIT_ETLS, "making a certificate for %s: %s", subject_name(subject),
			     gnutls_strerror(ret));
	}
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (key)
		gnutls_x509_privkey_deinit(key);
	return ret < 0 ? ADIT_ETLS : 0;
}

/* ---- kept in a folder --------------------------------------------------- */

/*
 * The file holds the key first, then the certificate: one file, so that both always belong
 * together.
 */
static const char CERT_BEGIN[] = "-----BEGIN CERTIFICATE-----";

static void
file_path(const char *dir, const struct tls_subject *s, char out[4096])
{
	int n = snprintf(out, 4096, "%s/auto-%s.pem", dir, subject_name(s));

	for (int i = (int)strlen(dir); i < n && i < 4096; i++)
		if (out[i] == '*' || out[i] == ':')
			out[i] = '_';
}

/* The whole file, terminated; or a negative errno. The caller wipes it. */
static int
file_read(const char *path, gnutls_datum_t *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	out->data = gnutls_malloc(FILE_MAX + 1);
	while (out->data && len < FILE_MAX) {
		ssize_t n = read(fd, out->data + len, FILE_MAX - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (!out->data)
		return -ENOMEM;
	out->data[len] = 0;
	out->size = (unsigned)len;
	if (err < 0)
		datum_wipe(out);
	return err;
}

/*
 * Takes the key and the certificate out of one text. False: not both are there, or they are broken.
 */
static bool
pair_parse(const gnutls_datum_t *text, struct tls_pair *out)
{
	const char *cert = strstr((const char *)text->data, CERT_BEGIN);
	gnutls_datum_t key = { .data = text->data };
	gnutls_certificate_credentials_t check = NULL;
	gnutls_x509_crt_t crt = NULL;
	bool good = false;

	*out = (struct tls_pair){ 0 };
	if (!cert)
		return false;
	key.size = (unsigned)(cert - (const char *)text->data);
	if (!datum_copy(&out->key, &key) ||
	    !datum_copy(&out->cert, &(gnutls_datum_t){ .data = text->data + key.size,
						       .size = text->size - key.size }))
		goto out;
	if (gnutls_certificate_allocate_credentials(&check) < 0 || gnutls_x509_crt_init(&crt) < 0)
		goto out;
	if (gnutls_certificate_set_x509_key_mem(check, &out->cert, &out->key,
						GNUTLS_X509_FMT_PEM) < 0 ||
	    gnutls_x509_crt_import(crt, &out->cert, GNUTLS_X509_FMT_PEM) < 0)
		goto out;
	out->expires = gnutls_x509_crt_get_expiration_time(crt);
	good = true;
out:
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (check)
		gnutls_certificate_free_credentials(check);
	if (!good)
		tls_pair_free(out);
	return good;
}

/* Puts the pair at path at once or not at all. replace: as put_file. */
static int
pair_store(const char *path, const struct tls_pair *p, bool replace)
{
	const struct iovec pieces[] = {
		{ .iov_base = p->key.data, .iov_len = p->key.size },
		{ .iov_base = p->cert.data, .iov_len = p->cert.size },
	};
	int err = folder_make_for(path, 0700);

	return err ? err : put_file(path, pieces, 2, replace);
}

/* Whether the kept pair, whose life began full, is still good for a while. */
static bool
pair_is_fresh(const struct tls_pair *p, const struct tls_subject *s, time_t now)
{
	return p->expires - now > subject_life(s) / 10;
}

static int
pair_create(const char *path, const struct tls_subject *subject, time_t now, struct tls_pair *old,
	    struct tls_pair *out, struct adit_err *e)
{
	int err = tls_pair_make(subject, now, old->key.data ? &old->key : NULL, out, e);
	bool exists = access(path, F_OK) == 0;
	gnutls_datum_t text = { 0 };

	if (err < 0)
		return err;
	err = pair_store(path, out, exists);
	if (err == -EEXIST && file_read(path, &text) == 0) {	/* another process was faster */
		struct tls_pair theirs;

		if (pair_parse(&text, &theirs)) {
			tls_pair_free(out);
			*out = theirs;
			err = 0;
		}
		datum_wipe(&text);
	}
	if (err < 0) {
		tls_pair_free(out);
		return adit_err_set(e, err, "%s: %s", path, adit_strerror(err));
	}
	return 0;
}

int
tls_pair_load(const char *dir, const struct tls_subject *subject, time_t now, struct tls_pair *out,
	      struct adit_err *e)
{
	gnutls_datum_t text = { 0 };
	struct tls_pair old = { 0 };
	char path[4096];
	int err = subject_check(subject, e);

	if (err < 0)
		return err;
	if (strlen(dir) + NAME_MAX_LEN + 16 > sizeof(path))
		return adit_err_set(e, -ENAMETOOLONG, "%s: %s", dir, adit_strerror(-ENAMETOOLONG));
	file_path(dir, subject, path);
	err = file_read(path, &text);
	if (err < 0 && err != -ENOENT)
		return adit_err_set(e, err, "%s: %s", path, adit_strerror(err));
	if (err == 0 && pair_parse(&text, &old) && pair_is_fresh(&old, subject, now)) {
		datum_wipe(&text);
		*out = old;
		return 0;
	}
	datum_wipe(&text);
	err = pair_create(path, subject, now, &old, out, e);
	tls_pair_free(&old);
	return err;
}

/* ---- of the process ----------------------------------------------------- */

struct kept {
	struct kept	*next;
	char		*name;
	struct tls_pair	 pair;
};

/* One process has one state folder and one certificate per name; lock guards both. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *state_dir;
static struct kept *kept_pairs;

void
tls_default_set_dir(const char *dir)
{
	pthread_mutex_lock(&lock);
	free(state_dir);
	state_dir = dir ? strdup(dir) : NULL;
	while (kept_pairs) {
		struct kept *k = kept_pairs;

		kept_pairs = k->next;
		tls_pair_free(&k->pair);
		free(k->name);
		free(k);
	}
	pthread_mutex_unlock(&lock);
}

static struct kept *
kept_find(const char *name)
{
	struct kept *k = kept_pairs;

	while (k && strcasecmp(k->name, name) != 0)
		k = k->next;
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->name = strdup(name);
	if (!k->name) {
		free(k);
		return NULL;
	}
	k->next = kept_pairs;
	kept_pairs = k;
	return k;
}

/* Locked. */
static int
kept_renew(struct kept *k, const struct tls_subject *subject, time_t now, struct adit_log *log,
	   struct adit_err *e)
{
	struct tls_pair pair = { 0 };
	int err = -ENOENT;

	if (state_dir) {
		err = tls_pair_load(state_dir, subject, now, &pair, e);
		if (err < 0 && err != ADIT_ECONFIG)
			adit_log(log, ADIT_LOG_WARN, NULL,
				 "the generated certificate is not kept: %s", e->text);
	}
	if (err < 0)
		err = tls_pair_make(subject, now, k->pair.key.data ? &k->pair.key : NULL, &pair, e);
	if (err < 0)
		return err;
	tls_pair_free(&k->pair);
	k->pair = pair;
	return 0;
}

int
tls_default_pair(const struct tls_subject *subject, time_t now, struct adit_log *log,
		 struct tls_pair *out, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;
	struct kept *k;
	int err = 0;

	pthread_mutex_lock(&lock);
	k = kept_find(subject_name(subject));
	if (!k)
		err = adit_err_set(&why, -ENOMEM, "out of memory");
	else if (!k->pair.cert.data || !pair_is_fresh(&k->pair, subject, now))
		err = kept_renew(k, subject, now, log, &why);
	if (err == 0)
		err = pair_copy(out, &k->pair, &why);
	pthread_mutex_unlock(&lock);
	return err < 0 ? adit_err_set(e, err, "%s", why.text) : 0;
}
