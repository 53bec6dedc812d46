#include "core/conn/tls_creds.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include <adit/log.h>
#include <adit/worker.h>

#include "core/conn/tls_default.h"

#define CHECK_NS ADIT_SECONDS(1)
#define FILE_MAX (1024 * 1024)

enum { FILE_CERT, FILE_KEY, FILE_CA, FILES };

/*
 * What tells one state of a file from another, also where it was replaced by rename or behind a
 * symbolic link.
 */
struct stamp {
	int		 err;		/* why it cannot be looked at */
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 mtime, ctime;
};

struct tls_source {
	struct tls_policy	*policy;	/* a reference */
	struct adit_log		*log;		/* borrowed */
	pthread_mutex_t		 lock;		/* guards what follows */
	struct tls_creds	*current;	/* a reference */
	uint64_t		 next_look;
	bool			 looking;	/* a worker is at the files and uses the rest */
	struct stamp		 stamps[FILES];	/* of the last attempt, good or not */
	struct adit_err		 broken;	/* what was wrong with it; 0: nothing, or told */
};

/* ---- files -------------------------------------------------------------- */

static const char *
source_path(const struct tls_source *src, int file)
{
	const struct adit_tls_conf *conf = &src->policy->conf;

	switch (file) {
	case FILE_CERT:
		return conf->cert_file;
	case FILE_KEY:
		return conf->key_file;
	default:
		return conf->ca_file;
	}
}

static struct stamp
stamp_of(const struct stat *st)
{
	return (struct stamp){
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size,
		.mtime = st->st_mtim, .ctime = st->st_ctim,
	};
}

static bool
time_equal(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->err == b->err && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       time_equal(&a->mtime, &b->mtime) && time_equal(&a->ctime, &b->ctime);
}

/* Looks at all files; what a load that fails early does not open is known too, then. */
static void
source_stat(const struct tls_source *src, struct stamp stamps[FILES])
{
	for (int i = 0; i < FILES; i++) {
		const char *path = source_path(src, i);
		struct stat st;

		stamps[i] = (struct stamp){ 0 };
		if (path && stat(path, &st) < 0)
			stamps[i].err = errno;
		else if (path)
			stamps[i] = stamp_of(&st);
	}
}

/* Whether a file is not what it was at the last attempt; notes what it is. */
static bool
source_changed(struct tls_source *src)
{
	struct stamp now[FILES];
	bool changed = false;

	source_stat(src, now);
	for (int i = 0; i < FILES; i++)
		changed |= !stamp_equal(&now[i], &src->stamps[i]);
	memcpy(src->stamps, now, sizeof(now));
	return changed;
}

static void
text_wipe(gnutls_datum_t *text)
{
	if (text->data)
		gnutls_memset(text->data, 0, text->size);
	free(text->data);
	*text = (gnutls_datum_t){ 0 };
}

static int
text_fill(int fd, gnutls_datum_t *text, size_t size)
{
	size_t len = 0;

	text->data = malloc(size + 1);
	if (!text->data)
		return -ENOMEM;
	while (len < size) {
		ssize_t n = read(fd, text->data + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		text->size = (unsigned)len;
	}
	text->data[len] = 0;
	return 0;
}

/* Reads a whole file; its stamp is that of the file that was read, not of the path. */
static int
text_read(const char *path, gnutls_datum_t *text, struct stamp *stamp, struct adit_err *e)
{
	struct stat st;
	int fd, err = 0;

	*text = (gnutls_datum_t){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		err = -errno;
	*stamp = err ? (struct stamp){ .err = -err } : stamp_of(&st);
	if (!err && !S_ISREG(st.st_mode))
		err = -EINVAL;
	if (!err && st.st_size > FILE_MAX)
		err = -EFBIG;
	if (!err)
		err = text_fill(fd, text, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	return err < 0 ? adit_err_set(e, err, "tls: %s: %s", path, adit_strerror(err)) : 0;
}

/* ---- loading ------------------------------------------------------------ */

static int
load_fail(struct adit_err *e, const char *path, int ret)
{
	if (ret == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return adit_err_set(e, ADIT_ETLS,
				    "tls: %s: the key does not belong to the certificate", path);
	return adit_err_set(e, ADIT_ETLS, "tls: %s: %s", path, gnutls_strerror(ret));
}

/* The key may be encrypted or no key at all: GnuTLS says so. */
static int
load_pair(struct tls_source *src, struct tls_creds *c, struct adit_err *e)
{
	const char *cert_path = source_path(src, FILE_CERT), *key_path = source_path(src, FILE_KEY);
	gnutls_datum_t cert = { 0 }, key = { 0 };
	gnutls_x509_crt_t *chain = NULL;
	unsigned n = 0;
	int ret = text_read(cert_path, &cert, &src->stamps[FILE_CERT], e);
	int ret2 = text_read(key_path, &key, &src->stamps[FILE_KEY], ret < 0 ? NULL : e);

	if (ret == 0)
		ret = ret2;
	if (ret < 0)
		goto out;
	/* Once alone, to know which of the files is wrong. */
	ret = gnutls_x509_crt_list_import2(&chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
	if (ret < 0) {
		ret = load_fail(e, cert_path, ret);
		goto out;
	}
	ret = gnutls_certificate_set_x509_key_mem(c->certificate, &cert, &key, GNUTLS_X509_FMT_PEM);
	if (ret < 0)
		ret = load_fail(e, key_path, ret);
out:
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	text_wipe(&cert);
	text_wipe(&key);
	return ret < 0 ? ret : 0;
}

static int
load_generated(struct tls_source *src, struct tls_creds *c, struct adit_err *e)
{
	const struct adit_tls_conf *conf = &src->policy->conf;
	const struct tls_subject subject = {
		.common_name = conf->common_name, .organization = conf->organization,
		.validity = conf->validity,
	};
	time_t now = time(NULL);
	struct tls_pair pair;
	int ret = tls_default_pair(&subject, now, src->log, &pair, e);

	if (ret < 0)
		return ret;
	ret = gnutls_certificate_set_x509_key_mem(c->certificate, &pair.cert, &pair.key,
						  GNUTLS_X509_FMT_PEM);
	/* By then less than a tenth of its life is left, and another one will be given. */
	c->renew = pair.expires - (pair.expires - now) / 20;
	tls_pair_free(&pair);
	return ret < 0 ? load_fail(e, "the generated certificate", ret) : 0;
}

static int
load_roots(struct tls_source *src, struct tls_creds *c, struct adit_err *e)
{
	const char *path = source_path(src, FILE_CA);
	gnutls_datum_t text;
	int ret;

	if (!path) {
		ret = gnutls_certificate_set_x509_system_trust(c->certificate);
		if (ret > 0)
			return 0;
		return adit_err_set(e, ADIT_ETLS, "tls: the system has no root certificates");
	}
	ret = text_read(path, &text, &src->stamps[FILE_CA], e);
	if (ret < 0)
		return ret;
	ret = gnutls_certificate_set_x509_trust_mem(c->certificate, &text, GNUTLS_X509_FMT_PEM);
	text_wipe(&text);
	if (ret == 0)
		ret = GNUTLS_E_NO_CERTIFICATE_FOUND;
	return ret < 0 ? load_fail(e, path, ret) : 0;
}

static int
load_ticket_key(struct tls_creds *c, struct adit_err *e)
{
	int ret = gnutls_session_ticket_key_generate(&c->ticket_key);

	return ret < 0 ? load_fail(e, "ticket key", ret) : 0;
}

/* Makes credentials of what the files hold now, and notes their stamps. */
static struct tls_creds *
source_load(struct tls_source *src, struct adit_err *e)
{
	struct tls_creds *c = calloc(1, sizeof(*c));
	bool server = src->policy->side == TLS_SERVER;
	int err = 0;

	if (!c || gnutls_certificate_allocate_credentials(&c->certificate) < 0) {
		adit_err_set(e, -ENOMEM, "out of memory");
		free(c);
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->policy = tls_policy_get(src->policy);
	if (source_path(src, FILE_CERT))
		err = load_pair(src, c, e);
	else if (server)
		err = load_generated(src, c, e);
	if (err == 0 && tls_policy_checks_chain(src->policy))
		err = load_roots(src, c, e);
	if (err == 0 && server)
		err = load_ticket_key(c, e);
	if (err < 0) {
		tls_creds_put(c);
		return NULL;
	}
	return c;
}

/* ---- references --------------------------------------------------------- */

struct tls_creds *
tls_creds_get(struct tls_creds *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

static void
creds_free(struct tls_creds *c)
{
	gnutls_certificate_free_credentials(c->certificate);
	if (c->ticket_key.data)
		gnutls_memset(c->ticket_key.data, 0, c->ticket_key.size);
	gnutls_free(c->ticket_key.data);
	tls_policy_put(c->policy);
	free(c);
}

void
tls_creds_put(struct tls_creds *c)
{
	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		creds_free(c);
}

/* ---- the source --------------------------------------------------------- */

struct tls_source *
tls_source_new(const struct adit_tls_conf *conf, enum tls_side side, struct adit_log *log,
	       struct adit_err *e)
{
	struct tls_source *src = calloc(1, sizeof(*src));

	if (!src) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	src->log = log;
	pthread_mutex_init(&src->lock, NULL);
	src->policy = tls_policy_new(conf, side, e);
	if (src->policy) {
		source_stat(src, src->stamps);
		src->current = source_load(src, e);
	}
	if (!src->current) {
		tls_source_free(src);
		return NULL;
	}
	return src;
}

void
tls_source_free(struct tls_source *src)
{
	if (!src)
		return;
	tls_creds_put(src->current);
	tls_policy_put(src->policy);
	pthread_mutex_destroy(&src->lock);
	free(src);
}

/* Tells once what is still broken. */
static void
source_complain(struct tls_source *src)
{
	if (!src->broken.code)
		return;
	adit_log(src->log, ADIT_LOG_WARN, NULL,
		 "a changed file is not used, the old certificate stays: %s", src->broken.text);
	src->broken = (struct adit_err)ADIT_ERR_INIT;
}

/*
 * By the one worker that is looking, without the lock. Returns new credentials, or NULL: nothing
 * new.
 */
static struct tls_creds *
source_look(struct tls_source *src, time_t renew)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct tls_creds *fresh;

	if (!source_changed(src) && (!renew || time(NULL) < renew)) {
		source_complain(src);
		return NULL;
	}
	fresh = source_load(src, &e);
	src->broken = e;
	if (fresh)
		adit_log(src->log, ADIT_LOG_INFO, NULL, "certificate loaded anew: %s",
			 source_path(src, FILE_CERT) ? source_path(src, FILE_CERT) : "generated");
	return fresh;
}

struct tls_creds *
tls_creds_current_at(struct tls_source *src, uint64_t now)
{
	struct tls_creds *c, *fresh = NULL;
	bool look;

	pthread_mutex_lock(&src->lock);
	c = tls_creds_get(src->current);
	look = !src->looking && now >= src->next_look;
	src->looking |= look;
	pthread_mutex_unlock(&src->lock);
	if (!look)
		return c;

	fresh = source_look(src, c->renew);
	pthread_mutex_lock(&src->lock);
	src->looking = false;
	src->next_look = now + CHECK_NS;
	if (fresh) {
		tls_creds_put(src->current);
		src->current = tls_creds_get(fresh);
	}
	pthread_mutex_unlock(&src->lock);
	if (!fresh)
		return c;
	tls_creds_put(c);
	return fresh;
}

struct tls_creds *
tls_creds_current(struct tls_source *src)
{
	return tls_creds_current_at(src, adit_now());
}
