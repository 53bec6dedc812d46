#include "core/conn/tls_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- versions and cipher suites ----------------------------------------- */

enum { TLS10, TLS11, TLS12, TLS13, VERSIONS };

static const struct {
	const char	*name, *priority;
} versions[VERSIONS] = {
	[TLS10] = { "VersionTLS10", "+VERS-TLS1.0" },
	[TLS11] = { "VersionTLS11", "+VERS-TLS1.1" },
	[TLS12] = { "VersionTLS12", "+VERS-TLS1.2" },
	[TLS13] = { "VersionTLS13", "+VERS-TLS1.3" },
};

/* Bits of what a suite is made of; their order is the order of preference. */
enum {
	KX_ECDHE_ECDSA = 1, KX_ECDHE_RSA = 2, KX_RSA = 4,
	AES_128_GCM = 8, AES_256_GCM = 16, AES_128_CBC = 32, AES_256_CBC = 64, CHACHA20 = 128,
	MAC_AEAD = 256, MAC_SHA256 = 512, MAC_SHA1 = 1024,
};

#define KX_PFS	(KX_ECDHE_ECDSA | KX_ECDHE_RSA)
#define AEAD	(AES_128_GCM | AES_256_GCM | CHACHA20)
#define LEGACY	(AES_128_CBC | AES_256_CBC | MAC_SHA1)

static const struct {
	unsigned	 part;
	const char	*priority;
} parts[] = {
	{ KX_ECDHE_ECDSA, "+ECDHE-ECDSA" }, { KX_ECDHE_RSA, "+ECDHE-RSA" }, { KX_RSA, "+RSA" },
	{ AES_128_GCM, "+AES-128-GCM" }, { AES_256_GCM, "+AES-256-GCM" },
	{ AES_128_CBC, "+AES-128-CBC" }, { AES_256_CBC, "+AES-256-CBC" },
	{ CHACHA20, "+CHACHA20-POLY1305" },
	{ MAC_AEAD, "+AEAD" }, { MAC_SHA256, "+SHA256" }, { MAC_SHA1, "+SHA1" },
};

/* The names of crypto/tls, but for RC4 and 3DES, which are refused. */
static const struct {
	const char	*name;
	unsigned	 parts;
} suites[] = {
	{ "TLS_AES_128_GCM_SHA256", KX_PFS | AES_128_GCM | MAC_AEAD },
	{ "TLS_AES_256_GCM_SHA384", KX_PFS | AES_256_GCM | MAC_AEAD },
	{ "TLS_CHACHA20_POLY1305_SHA256", KX_PFS | CHACHA20 | MAC_AEAD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", KX_ECDHE_ECDSA | AES_128_GCM | MAC_AEAD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", KX_ECDHE_ECDSA | AES_256_GCM | MAC_AEAD },
	{ "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", KX_ECDHE_ECDSA | CHACHA20 | MAC_AEAD },
	{ "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", KX_ECDHE_ECDSA | CHACHA20 | MAC_AEAD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", KX_ECDHE_ECDSA | AES_128_CBC | MAC_SHA256 },
	{ "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", KX_ECDHE_ECDSA | AES_128_CBC | MAC_SHA1 },
	{ "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", KX_ECDHE_ECDSA | AES_256_CBC | MAC_SHA1 },
	{ "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", KX_ECDHE_RSA | AES_128_GCM | MAC_AEAD },
	{ "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", KX_ECDHE_RSA | AES_256_GCM | MAC_AEAD },
	{ "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", KX_ECDHE_RSA | CHACHA20 | MAC_AEAD },
	{ "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", KX_ECDHE_RSA | CHACHA20 | MAC_AEAD },
	{ "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", KX_ECDHE_RSA | AES_128_CBC | MAC_SHA256 },
	{ "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", KX_ECDHE_RSA | AES_128_CBC | MAC_SHA1 },
	{ "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", KX_ECDHE_RSA | AES_256_CBC | MAC_SHA1 },
	{ "TLS_RSA_WITH_AES_128_GCM_SHA256", KX_RSA | AES_128_GCM | MAC_AEAD },
	{ "TLS_RSA_WITH_AES_256_GCM_SHA384", KX_RSA | AES_256_GCM | MAC_AEAD },
	{ "TLS_RSA_WITH_AES_128_CBC_SHA256", KX_RSA | AES_128_CBC | MAC_SHA256 },
	{ "TLS_RSA_WITH_AES_128_CBC_SHA", KX_RSA | AES_128_CBC | MAC_SHA1 },
	{ "TLS_RSA_WITH_AES_256_CBC_SHA", KX_RSA | AES_256_CBC | MAC_SHA1 },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int
policy_version(const char *key, const char *name, int unset, struct adit_err *e)
{
	if (!name || !*name)
		return unset;
	for (int v = 0; v < VERSIONS; v++)
		if (strcasecmp(versions[v].name, name) == 0)
			return v;
	return adit_err_set(e, ADIT_ECONFIG,
			    "tls: %s: expected VersionTLS10 to VersionTLS13, not \"%s\"", key,
			    name);
}

/* The parts of the suites that were named, or of the usual ones; 0 with e filled. */
static unsigned
policy_parts(const struct adit_strings *names, int min, struct adit_err *e)
{
	unsigned found = 0;

	if (!names->n)
		return KX_PFS | AEAD | MAC_AEAD | (min < TLS12 ? LEGACY : 0);
	for (size_t i = 0; i < names->n; i++) {
		size_t s = 0;

		while (s < COUNT(suites) && strcasecmp(suites[s].name, names->v[i]) != 0)
			s++;
		if (s == COUNT(suites)) {
			adit_err_set(e, ADIT_ECONFIG,
				     "tls: cipherSuites: \"%s\" is unknown, or insecure",
				     names->v[i]);
			return 0;
		}
		found |= suites[s].parts;
	}
	return found;
}

static void
priority_add(char out[TLS_PRIORITY_TEXT], const char *word)
{
	size_t len = strlen(out);

	snprintf(out + len, TLS_PRIORITY_TEXT - len, ":%s", word);
}

static void
priority_add_parts(char out[TLS_PRIORITY_TEXT], unsigned set)
{
	for (size_t i = 0; i < COUNT(parts); i++)
		if (set & parts[i].part)
			priority_add(out, parts[i].priority);
}

int
tls_priority_text(const struct adit_tls_conf *conf, bool quic, char out[TLS_PRIORITY_TEXT],
		  struct adit_err *e)
{
	int min = policy_version("minVersion", conf->min_version, TLS12, e), max;
	unsigned set;

	if (min < 0)
		return min;
	max = policy_version("maxVersion", conf->max_version, TLS13, e);
	if (max < 0)
		return max;
	if (max < min && !conf->min_version)
		min = max;
	if (max < min)
		return adit_err_set(e, ADIT_ECONFIG, "tls: maxVersion %s is below minVersion %s",
				    conf->max_version, conf->min_version);
	set = policy_parts(&conf->cipher_suites, min, e);
	if (!set)
		return ADIT_ECONFIG;
	if (quic && max < TLS13)
		return adit_err_set(e, ADIT_ECONFIG, "tls: QUIC needs TLS 1.3, maxVersion is %s",
				    conf->max_version);
	if ((quic || min == TLS13) && !(set & AEAD))
		return adit_err_set(e, ADIT_ECONFIG, "tls: cipherSuites: none works with TLS 1.3");
	if (quic)
		min = TLS13;
	snprintf(out, TLS_PRIORITY_TEXT, "NORMAL:-VERS-ALL");
	for (int v = max; v >= min; v--)
		priority_add(out, versions[v].priority);
	/* RFC 9001, 8.4: no TLS compatibility mode in QUIC. */
	if (quic)
		priority_add(out, "%DISABLE_TLS13_COMPAT_MODE");
	priority_add(out, "-KX-ALL:-CIPHER-ALL:-MAC-ALL");
	priority_add_parts(out, set);
	priority_add(out, "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1");
	priority_add(out, "+GROUP-SECP521R1");
	priority_add(out, "%SERVER_PRECEDENCE");
	return 0;
}

/* ---- the copy of the configuration -------------------------------------- */

static bool
copy_text(const char **to, const char *from)
{
	*to = from && *from ? strdup(from) : NULL;
	return *to || !from || !*from;
}

static bool
copy_strings(struct adit_strings *to, const struct adit_strings *from)
{
	*to = (struct adit_strings){ 0 };
	if (!from->n)
		return true;
	to->v = calloc(from->n, sizeof(*to->v));
	if (!to->v)
		return false;
	for (; to->n < from->n; to->n++) {
		to->v[to->n] = strdup(from->v[to->n]);
		if (!to->v[to->n])
			return false;
	}
	return true;
}

static bool
policy_copy(struct adit_tls_conf *to, const struct adit_tls_conf *from)
{
	to->secure = from->secure;
	to->reject_unknown_sni = from->reject_unknown_sni;
	to->validity = from->validity;
	return copy_text(&to->cert_file, from->cert_file) &&
	       copy_text(&to->key_file, from->key_file) &&
	       copy_text(&to->ca_file, from->ca_file) &&
	       copy_text(&to->server_name, from->server_name) &&
	       copy_text(&to->min_version, from->min_version) &&
	       copy_text(&to->max_version, from->max_version) &&
	       copy_text(&to->common_name, from->common_name) &&
	       copy_text(&to->organization, from->organization) &&
	       copy_strings(&to->cipher_suites, &from->cipher_suites) &&
	       copy_strings(&to->alpn, &from->alpn) &&
	       copy_strings(&to->server_names, &from->server_names);
}

/* The fields are const for everybody who reads a configuration; this copy is ours. */
static void
free_text(const char *text)
{
	free((void *)(uintptr_t)text);
}

static void
free_strings(struct adit_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
}

static void
policy_free(struct tls_policy *p)
{
	free_text(p->conf.cert_file);
	free_text(p->conf.key_file);
	free_text(p->conf.ca_file);
	free_text(p->conf.server_name);
	free_text(p->conf.min_version);
	free_text(p->conf.max_version);
	free_text(p->conf.common_name);
	free_text(p->conf.organization);
	free_strings(&p->conf.cipher_suites);
	free_strings(&p->conf.alpn);
	free_strings(&p->conf.server_names);
	if (p->tcp)
		gnutls_priority_deinit(p->tcp);
	if (p->quic)
		gnutls_priority_deinit(p->quic);
	free(p);
}

/* ---- life --------------------------------------------------------------- */

static int
policy_check(const struct adit_tls_conf *conf, enum tls_side side, struct adit_err *e)
{
	if (!conf->cert_file != !conf->key_file)
		return adit_err_set(e, ADIT_ECONFIG, "tls: %s without %s",
				    conf->cert_file ? "certFile" : "keyFile",
				    conf->cert_file ? "keyFile" : "certFile");
	if (side == TLS_SERVER && conf->ca_file && !conf->cert_file)
		return adit_err_set(e, ADIT_ECONFIG,
				    "tls: caFile asks for client certificates, which needs a "
				    "server certificate: set certFile and keyFile too");
	for (size_t i = 0; i < conf->alpn.n; i++) {
		size_t len = strlen(conf->alpn.v[i]);

		if (len < 1 || len > 255)
			return adit_err_set(e, ADIT_ECONFIG,
					    "tls: alpn: a name has 1 to 255 bytes");
	}
	return 0;
}

static int
policy_priority(gnutls_priority_t *out, const struct adit_tls_conf *conf, bool quic,
		struct adit_err *e)
{
	char text[TLS_PRIORITY_TEXT];
	int ret = tls_priority_text(conf, quic, text, e);

	if (ret < 0)
		return ret;
	ret = gnutls_priority_init(out, text, NULL);
	if (ret < 0) {
		*out = NULL;
		return adit_err_set(e, ADIT_ECONFIG, "tls: these versions and cipher suites: %s",
				    gnutls_strerror(ret));
	}
	return 0;
}

struct tls_policy *
tls_policy_new(const struct adit_tls_conf *conf, enum tls_side side, struct adit_err *e)
{
	struct tls_policy *p = calloc(1, sizeof(*p));

	if (!p || !policy_copy(&p->conf, conf)) {
		adit_err_set(e, -ENOMEM, "out of memory");
		goto fail;
	}
	atomic_init(&p->refs, 1);
	p->side = side;
	if (policy_check(&p->conf, side, e) < 0 ||
	    policy_priority(&p->tcp, &p->conf, false, e) < 0)
		goto fail;
	/* Whoever wants QUIC here finds that there is none, and asks why. */
	policy_priority(&p->quic, &p->conf, true, NULL);
	return p;
fail:
	if (p)
		policy_free(p);
	return NULL;
}

struct tls_policy *
tls_policy_get(struct tls_policy *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void
tls_policy_put(struct tls_policy *p)
{
	if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		policy_free(p);
}

bool
tls_policy_checks_chain(const struct tls_policy *p)
{
	return p->conf.ca_file || (p->side == TLS_CLIENT && p->conf.secure);
}

bool
tls_policy_checks_name(const struct tls_policy *p)
{
	return p->side == TLS_CLIENT && p->conf.secure;
}

bool
tls_policy_serves(const struct tls_policy *p, const char *sni)
{
	const struct adit_strings *names = &p->conf.server_names;

	if (!p->conf.reject_unknown_sni)
		return true;
	if (!sni || !*sni)
		return false;
	for (size_t i = 0; i < names->n; i++)
		if (strcasecmp(names->v[i], sni) == 0)
			return true;
	return names->n == 0;
}
