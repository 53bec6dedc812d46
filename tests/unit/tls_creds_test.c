#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <adit/worker.h>

#include "core/conn/tls_creds.h"
#include "core/conn/tls_default.h"
#include "core/runtime/log.h"
#include "tests/unit/pki.h"

struct files {
	char		*dir, *cert, *key, *ca;
	struct pki_cert	*root, *first, *second;
};

static int
files_setup(void **state)
{
	struct files *f = calloc(1, sizeof(*f));

	f->dir = pki_dir();
	f->root = pki_new(&(struct pki_want){ .name = "root", .ca = true });
	f->first = pki_new(&(struct pki_want){ .name = "first.test", .issuer = f->root });
	f->second = pki_new(&(struct pki_want){ .name = "second.test", .issuer = f->root });
	f->cert = pki_write(f->dir, "cert.pem", f->first->cert_pem);
	f->key = pki_write(f->dir, "key.pem", f->first->key_pem);
	f->ca = pki_write(f->dir, "ca.pem", f->root->cert_pem);
	*state = f;
	return 0;
}

static int
files_teardown(void **state)
{
	struct files *f = *state;

	pki_free(f->root);
	pki_free(f->first);
	pki_free(f->second);
	free(f->cert);
	free(f->key);
	free(f->ca);
	pki_dir_free(f->dir);
	free(f);
	return 0;
}

static struct adit_tls_conf
files_conf(const struct files *f)
{
	return (struct adit_tls_conf){ .cert_file = f->cert, .key_file = f->key };
}

/* Whether the credentials hold exactly that certificate. */
static bool
holds(const struct tls_creds *c, const struct pki_cert *want)
{
	gnutls_x509_crt_t *chain;
	unsigned n;
	bool same;

	assert_int_equal(gnutls_certificate_get_x509_crt(c->certificate, 0, &chain, &n), 0);
	assert_true(n > 0);
	same = gnutls_x509_crt_equals(chain[0], want->crt);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return same;
}

/* Takes the credentials at that second and compares them. */
static bool
serves(struct tls_source *src, unsigned second, const struct pki_cert *want)
{
	struct tls_creds *c = tls_creds_current_at(src, ADIT_SECONDS(second));
	bool same = holds(c, want);

	tls_creds_put(c);
	return same;
}

static void
replace(struct files *f, const char *name, const char *text)
{
	free(pki_write(f->dir, name, text));
}

/* ---- loading ------------------------------------------------------------ */

static void
files_are_loaded(void **state)
{
	struct files *f = *state;
	struct adit_tls_conf conf = files_conf(f);
	struct adit_err e = ADIT_ERR_INIT;
	struct tls_source *src = tls_source_new(&conf, TLS_SERVER, NULL, &e);

	assert_non_null(src);
	assert_true(serves(src, 10, f->first));
	tls_source_free(src);
}

static void
refuses(const struct adit_tls_conf *conf, enum tls_side side, int code, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;

	assert_null(tls_source_new(conf, side, NULL, &e));
	assert_int_equal(e.code, code);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" is not in: %s", text, e.text);
}

static void
what_cannot_be_used_is_refused(void **state)
{
	struct files *f = *state;
	struct adit_tls_conf conf = files_conf(f);

	conf.cert_file = "/nonexistent.pem";
	refuses(&conf, TLS_SERVER, -ENOENT, "/nonexistent.pem: No such file");
	conf = files_conf(f);
	conf.key_file = NULL;
	refuses(&conf, TLS_SERVER, ADIT_ECONFIG, "certFile without keyFile");
	conf = (struct adit_tls_conf){ .ca_file = f->ca };
	refuses(&conf, TLS_SERVER, ADIT_ECONFIG, "client certificates");
	conf = files_conf(f);
	conf.ca_file = f->key;
	refuses(&conf, TLS_SERVER, ADIT_ETLS, "key.pem");
	conf = files_conf(f);
	conf.cert_file = f->dir;
	refuses(&conf, TLS_SERVER, -EINVAL, f->dir);
	conf = files_conf(f);
	replace(f, "key.pem", f->second->key_pem);
	refuses(&conf, TLS_SERVER, ADIT_ETLS, "does not belong");
	replace(f, "key.pem", "");
	refuses(&conf, TLS_SERVER, ADIT_ETLS, "key.pem");
	replace(f, "cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
	refuses(&conf, TLS_SERVER, ADIT_ETLS, "cert.pem");
}

static void
a_client_needs_no_certificate(void **state)
{
	struct files *f = *state;
	struct adit_tls_conf conf = { .ca_file = f->ca };
	struct adit_err e = ADIT_ERR_INIT;
	struct tls_source *src = tls_source_new(&conf, TLS_CLIENT, NULL, &e);
	struct tls_creds *c;

	assert_non_null(src);
	c = tls_creds_current(src);
	assert_true(tls_policy_checks_chain(c->policy));
	assert_false(tls_policy_checks_name(c->policy));
	tls_creds_put(c);
	tls_source_free(src);
}

/* ---- files that change -------------------------------------------------- */

static struct tls_source *
source(struct files *f)
{
	struct adit_tls_conf conf = files_conf(f);
	struct tls_source *src = tls_source_new(&conf, TLS_SERVER, NULL, NULL);

	assert_non_null(src);
	assert_true(serves(src, 10, f->first));
	return src;
}

static void
a_renewed_pair_is_taken(void **state)
{
	struct files *f = *state;
	struct tls_source *src = source(f);
	struct tls_creds *old = tls_creds_current_at(src, ADIT_SECONDS(10));

	replace(f, "cert.pem", f->second->cert_pem);
	replace(f, "key.pem", f->second->key_pem);
	assert_true(serves(src, 10, f->first));		/* looked at less than a second ago */
	assert_true(serves(src, 11, f->second));
	assert_true(holds(old, f->first));		/* and sessions keep what they began with */
	tls_creds_put(old);
	tls_source_free(src);
}

static void
unchanged_files_are_not_loaded_again(void **state)
{
	struct tls_source *src = source(*state);
	struct tls_creds *a = tls_creds_current_at(src, ADIT_SECONDS(20));
	struct tls_creds *b = tls_creds_current_at(src, ADIT_SECONDS(30));

	assert_ptr_equal(a, b);
	tls_creds_put(a);
	tls_creds_put(b);
	tls_source_free(src);
}

static void
two_steps_never_mix(void **state)
{
	struct files *f = *state;
	struct tls_source *src = source(f);

	replace(f, "cert.pem", f->second->cert_pem);
	assert_true(serves(src, 12, f->first));
	assert_true(serves(src, 14, f->first));
	replace(f, "key.pem", f->second->key_pem);
	assert_true(serves(src, 16, f->second));
	/* The other way round. */
	replace(f, "key.pem", f->first->key_pem);
	assert_true(serves(src, 18, f->second));
	replace(f, "cert.pem", f->first->cert_pem);
	assert_true(serves(src, 20, f->first));
	tls_source_free(src);
}

static void
a_broken_file_keeps_the_old_pair(void **state)
{
	struct files *f = *state;
	struct tls_source *src = source(f);

	replace(f, "cert.pem", "no certificate");
	assert_true(serves(src, 12, f->first));
	assert_int_equal(unlink(f->key), 0);
	assert_true(serves(src, 14, f->first));
	replace(f, "cert.pem", f->second->cert_pem);
	replace(f, "key.pem", f->second->key_pem);
	assert_true(serves(src, 16, f->second));
	tls_source_free(src);
}

/* How often text stands in the file. */
static unsigned
lines_with(const char *path, const char *text)
{
	char line[2048];
	unsigned n = 0;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

static void
a_broken_file_is_told_once(void **state)
{
	struct files *f = *state;
	char *path = pki_path(f->dir, "log");
	const struct log_conf log_conf = { .level = ADIT_LOG_WARN, .output = path };
	struct adit_log *log = log_open(&log_conf, NULL);
	struct adit_tls_conf conf = files_conf(f);
	struct tls_source *src = tls_source_new(&conf, TLS_SERVER, log, NULL);

	assert_non_null(src);
	/* In the middle of a change nothing is told. */
	replace(f, "cert.pem", f->second->cert_pem);
	assert_true(serves(src, 12, f->first));
	replace(f, "key.pem", f->second->key_pem);
	assert_true(serves(src, 14, f->second));
	assert_int_equal(log_flush(log, 2000), 0);
	assert_int_equal(lines_with(path, "is not used"), 0);
	replace(f, "key.pem", f->first->key_pem);
	for (unsigned second = 16; second < 30; second++)
		assert_true(serves(src, second, f->second));
	assert_int_equal(log_flush(log, 2000), 0);
	assert_int_equal(lines_with(path, "does not belong to the certificate"), 1);
	tls_source_free(src);
	log_free(log);
	free(path);
}

static void
a_symbolic_link_may_be_switched(void **state)
{
	struct files *f = *state;
	char *next = pki_write(f->dir, "second.pem", f->second->cert_pem);
	char *next_key = pki_write(f->dir, "second-key.pem", f->second->key_pem);
	char *real = pki_write(f->dir, "first.pem", f->first->cert_pem);
	char *real_key = pki_write(f->dir, "first-key.pem", f->first->key_pem);
	struct tls_source *src;

	assert_int_equal(unlink(f->cert) | unlink(f->key), 0);
	assert_int_equal(symlink(real, f->cert) | symlink(real_key, f->key), 0);
	src = source(f);
	assert_int_equal(unlink(f->cert) | unlink(f->key), 0);
	assert_int_equal(symlink(next, f->cert) | symlink(next_key, f->key), 0);
	assert_true(serves(src, 12, f->second));
	tls_source_free(src);
	free(next);
	free(next_key);
	free(real);
	free(real_key);
}

#define THREADS 4
#define ROUNDS 200

struct hammer {
	struct tls_source	*src;
	struct files		*files;
	int			 wrong;
};

static void *
hammer_run(void *arg)
{
	struct hammer *h = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		/* Each is two seconds on for its thread: all of them look, at the same time. */
		struct tls_creds *c = tls_creds_current_at(h->src, ADIT_SECONDS(100 + 2 * i));

		if (!holds(c, h->files->first) && !holds(c, h->files->second))
			h->wrong++;
		tls_creds_put(c);
	}
	return NULL;
}

static void
workers_may_ask_at_the_same_time(void **state)
{
	struct files *f = *state;
	struct tls_source *src = source(f);
	struct hammer h[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		h[i] = (struct hammer){ .src = src, .files = f };
		assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &h[i]), 0);
	}
	for (int i = 0; i < 20; i++) {
		const struct pki_cert *next = i % 2 ? f->first : f->second;

		replace(f, "cert.pem", next->cert_pem);
		replace(f, "key.pem", next->key_pem);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(h[i].wrong, 0);
	}
	assert_true(serves(src, 10000, f->first));
	tls_source_free(src);
}

/* ---- the generated pair ------------------------------------------------- */

static gnutls_x509_crt_t
parsed(const struct tls_pair *p)
{
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &p->cert, GNUTLS_X509_FMT_PEM), 0);
	return crt;
}

static void
a_generated_certificate_has_gosts_shape(void **state)
{
	const struct tls_subject subject = { .common_name = "gw.example" };
	time_t now = time(NULL);
	struct tls_pair p;
	gnutls_x509_crt_t crt;
	char dn[128], serial[32];
	size_t len = sizeof(dn);
	unsigned ca, usage;

	(void)state;
	assert_int_equal(tls_pair_make(&subject, now, NULL, &p, NULL), 0);
	crt = parsed(&p);
	assert_int_equal(gnutls_x509_crt_get_dn(crt, dn, &len), 0);
	assert_string_equal(dn, "O=adit,CN=gw.example");
	len = sizeof(serial);
	assert_int_equal(gnutls_x509_crt_get_serial(crt, serial, &len), 0);
	assert_int_equal(len, 16);
	assert_true(gnutls_x509_crt_check_hostname(crt, "gw.example"));
	assert_int_equal(gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, NULL), 1);
	assert_int_equal(ca, 1);
	assert_int_equal(gnutls_x509_crt_get_key_usage(crt, &usage, NULL), 0);
	assert_int_equal(usage, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_CERT_SIGN);
	assert_int_equal(gnutls_x509_crt_get_expiration_time(crt), now + 365 * 24 * 3600);
	assert_true(gnutls_x509_crt_get_activation_time(crt) < now);
	assert_int_equal(gnutls_x509_crt_get_pk_algorithm(crt, NULL), GNUTLS_PK_ECDSA);
	gnutls_x509_crt_deinit(crt);
	tls_pair_free(&p);
}

static void
names_that_are_none_are_refused(void **state)
{
	const char *names[] = { "../etc/passwd", "a b", ".hidden", "x/y", "\xc3\xa4.test" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct tls_subject subject = { .common_name = names[i] };
		struct adit_err e = ADIT_ERR_INIT;
		struct tls_pair p;

		assert_int_equal(tls_pair_make(&subject, 0, NULL, &p, &e), ADIT_ECONFIG);
		assert_int_equal(tls_pair_load("/tmp", &subject, 0, &p, &e), ADIT_ECONFIG);
	}
}

static bool
same(const gnutls_datum_t *a, const gnutls_datum_t *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static void
a_kept_pair_survives_a_restart(void **state)
{
	struct files *f = *state;
	const struct tls_subject subject = { .common_name = "*.kept.test" };
	char *path = pki_path(f->dir, "auto-_.kept.test.pem");
	time_t now = time(NULL);
	struct tls_pair a, b, later;
	struct stat st;

	assert_int_equal(tls_pair_load(f->dir, &subject, now, &a, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tls_pair_load(f->dir, &subject, now + 3600, &b, NULL), 0);
	assert_true(same(&a.cert, &b.cert));
	assert_true(same(&a.key, &b.key));
	/* Near its end there is another certificate, of the same key. */
	assert_int_equal(tls_pair_load(f->dir, &subject, now + 360 * 24 * 3600, &later, NULL), 0);
	assert_false(same(&a.cert, &later.cert));
	assert_true(same(&a.key, &later.key));
	tls_pair_free(&a);
	tls_pair_free(&b);
	tls_pair_free(&later);
	/* What is broken is replaced. */
	free(pki_write(f->dir, "auto-_.kept.test.pem", "-----BEGIN CERTIFICATE-----\n"));
	assert_int_equal(tls_pair_load(f->dir, &subject, now, &a, NULL), 0);
	assert_int_equal(tls_pair_load(f->dir, &subject, now, &b, NULL), 0);
	assert_true(same(&a.cert, &b.cert));
	tls_pair_free(&a);
	tls_pair_free(&b);
	free(path);
}

static void
listeners_share_one_pair(void **state)
{
	struct files *f = *state;
	const struct tls_subject subject = { 0 }, other = { .common_name = "other.test" };
	time_t now = time(NULL);
	struct tls_pair a, b, c;

	tls_default_set_dir(NULL);
	assert_int_equal(tls_default_pair(&subject, now, NULL, &a, NULL), 0);
	assert_int_equal(tls_default_pair(&subject, now, NULL, &b, NULL), 0);
	assert_int_equal(tls_default_pair(&other, now, NULL, &c, NULL), 0);
	assert_true(same(&a.cert, &b.cert));
	assert_false(same(&a.cert, &c.cert));
	tls_pair_free(&a);
	tls_pair_free(&b);
	tls_pair_free(&c);
	/* A folder that cannot be used does not stop a listener. */
	tls_default_set_dir("/nonexistent");
	assert_int_equal(tls_default_pair(&subject, now, NULL, &a, NULL), 0);
	tls_pair_free(&a);
	tls_default_set_dir(f->dir);
	assert_int_equal(tls_default_pair(&subject, now, NULL, &a, NULL), 0);
	tls_default_set_dir(f->dir);		/* as after a restart */
	assert_int_equal(tls_default_pair(&subject, now, NULL, &b, NULL), 0);
	assert_true(same(&a.cert, &b.cert));
	tls_pair_free(&a);
	tls_pair_free(&b);
	tls_default_set_dir(NULL);
}

static void
a_server_without_files_generates(void **state)
{
	const struct adit_tls_conf conf = { .common_name = "gen.test" };
	struct tls_source *a, *b;
	struct tls_creds *c, *d;
	gnutls_x509_crt_t *chain;
	struct pki_cert first;
	unsigned n;

	(void)state;
	a = tls_source_new(&conf, TLS_SERVER, NULL, NULL);
	b = tls_source_new(&conf, TLS_SERVER, NULL, NULL);
	assert_non_null(a);
	assert_non_null(b);
	c = tls_creds_current(a);
	d = tls_creds_current(b);
	assert_int_equal(gnutls_certificate_get_x509_crt(c->certificate, 0, &chain, &n), 0);
	first = (struct pki_cert){ .crt = chain[0] };
	assert_true(gnutls_x509_crt_check_hostname(chain[0], "gen.test"));
	assert_true(holds(d, &first));
	assert_true(c->renew > time(NULL) + 300 * 24 * 3600);
	gnutls_x509_crt_deinit(chain[0]);
	gnutls_free(chain);
	tls_creds_put(c);
	tls_creds_put(d);
	tls_source_free(a);
	tls_source_free(b);
	tls_default_set_dir(NULL);
}

/* ---- versions and suites ------------------------------------------------ */

static void
priority(const struct adit_tls_conf *conf, bool quic, const char *has, const char *lacks)
{
	char text[TLS_PRIORITY_TEXT];
	struct adit_err e = ADIT_ERR_INIT;
	gnutls_priority_t p;

	assert_int_equal(tls_priority_text(conf, quic, text, &e), 0);
	assert_int_equal(gnutls_priority_init(&p, text, NULL), 0);
	gnutls_priority_deinit(p);
	if (!strstr(text, has) || (lacks && strstr(text, lacks)))
		fail_msg("%s: wanted %s, not %s", text, has, lacks ? lacks : "-");
}

static void
versions_and_suites_become_priorities(void **state)
{
	char gcm[] = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
	char cbc[] = "tls_rsa_with_aes_128_cbc_sha";
	char *list[] = { gcm, cbc };
	struct adit_tls_conf conf = { 0 };

	(void)state;
	priority(&conf, false, ":+VERS-TLS1.3:+VERS-TLS1.2:", "1.1");
	priority(&conf, false, ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD", "CBC");
	priority(&conf, true, ":+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE:", "TLS1.2");
	conf.max_version = "VersionTLS12";
	priority(&conf, false, ":+VERS-TLS1.2:-KX", "TLS1.3");
	conf = (struct adit_tls_conf){ .min_version = "VersionTLS13" };
	priority(&conf, false, ":+VERS-TLS1.3:-KX", "TLS1.2");
	conf.min_version = "VersionTLS10";
	priority(&conf, false, ":+VERS-TLS1.1:+VERS-TLS1.0:", NULL);
	conf = (struct adit_tls_conf){ .cipher_suites = { .n = 1, .v = list } };
	priority(&conf, false, "-MAC-ALL:+ECDHE-RSA:+AES-256-GCM:+AEAD:", "128");
	conf.cipher_suites.n = 2;
	priority(&conf, false, ":+ECDHE-RSA:+RSA:+AES-256-GCM:+AES-128-CBC:+AEAD:+SHA1:", "CHACHA");
}

static void
contradictions_are_told(void **state)
{
	char rc4[] = "TLS_RSA_WITH_RC4_128_SHA", cbc[] = "TLS_RSA_WITH_AES_128_CBC_SHA";
	char *v[] = { rc4 };
	struct adit_tls_conf conf = { .min_version = "TLS12" };

	(void)state;
	refuses(&conf, TLS_CLIENT, ADIT_ECONFIG, "minVersion: expected VersionTLS10");
	conf = (struct adit_tls_conf){ .min_version = "VersionTLS13",
				       .max_version = "VersionTLS12" };
	refuses(&conf, TLS_CLIENT, ADIT_ECONFIG, "below");
	conf = (struct adit_tls_conf){ .cipher_suites = { .n = 1, .v = v } };
	refuses(&conf, TLS_CLIENT, ADIT_ECONFIG, "RC4");
	v[0] = cbc;
	conf.min_version = "VersionTLS13";
	refuses(&conf, TLS_CLIENT, ADIT_ECONFIG, "none works with TLS 1.3");
}

static void
names_served(void **state)
{
	char a[] = "A.test", b[] = "b.test";
	char *v[] = { a, b };
	struct adit_tls_conf conf = { .server_names = { .n = 2, .v = v } };
	struct tls_policy *p = tls_policy_new(&conf, TLS_SERVER, NULL);

	(void)state;
	assert_true(tls_policy_serves(p, "c.test"));
	tls_policy_put(p);
	conf.reject_unknown_sni = true;
	p = tls_policy_new(&conf, TLS_SERVER, NULL);
	assert_true(tls_policy_serves(p, "a.test"));
	assert_true(tls_policy_serves(p, "B.test"));
	assert_false(tls_policy_serves(p, "c.test"));
	assert_false(tls_policy_serves(p, NULL));
	tls_policy_put(p);
	conf.server_names.n = 0;
	p = tls_policy_new(&conf, TLS_SERVER, NULL);
	assert_true(tls_policy_serves(p, "c.test"));
	assert_false(tls_policy_serves(p, ""));
	tls_policy_put(p);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, files_setup, files_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILES(files_are_loaded),
		WITH_FILES(what_cannot_be_used_is_refused),
		WITH_FILES(a_client_needs_no_certificate),
		WITH_FILES(a_renewed_pair_is_taken),
		WITH_FILES(unchanged_files_are_not_loaded_again),
		WITH_FILES(two_steps_never_mix),
		WITH_FILES(a_broken_file_keeps_the_old_pair),
		WITH_FILES(a_broken_file_is_told_once),
		WITH_FILES(a_symbolic_link_may_be_switched),
		WITH_FILES(workers_may_ask_at_the_same_time),
		cmocka_unit_test(a_generated_certificate_has_gosts_shape),
		cmocka_unit_test(names_that_are_none_are_refused),
		WITH_FILES(a_kept_pair_survives_a_restart),
		WITH_FILES(listeners_share_one_pair),
		cmocka_unit_test(a_server_without_files_generates),
		cmocka_unit_test(versions_and_suites_become_priorities),
		cmocka_unit_test(contradictions_are_told),
		cmocka_unit_test(names_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
