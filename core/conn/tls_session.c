#include "core/conn/tls_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/x509.h>

#include <adit/addr.h>

#define SNI_MAX 256
#define NAMES_MAX 64		/* alternative names looked at */
#define ALPN_MAX 8		/* GnuTLS keeps no more */

/*
 * Of the handshake of a server that asks for no certificate: a ClientHello, and what it sends
 * itself.
 */
#define HANDSHAKE_MAX 65536

static struct tls_session *
session_of(gnutls_session_t tls)
{
	return gnutls_db_get_ptr(tls);
}

static bool
is_literal(const char *host)
{
	struct adit_addr ip;

	return adit_addr_parse(host, 0, &ip) == 0;
}

/* ---- the peer's certificate --------------------------------------------- */

static int
session_verify(gnutls_session_t tls)
{
	struct tls_session *s = session_of(tls);
	const struct tls_policy *policy = s->creds->policy;
	const char *purpose = policy->side == TLS_SERVER ? GNUTLS_KP_TLS_WWW_CLIENT :
							   GNUTLS_KP_TLS_WWW_SERVER;
	gnutls_typed_vdata_st wanted[2] = {
		/* GnuTLS reads both only. */
		{ GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)purpose, 0 },
		{ GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)s->host, 0 },
	};
	unsigned n = tls_policy_checks_name(policy) ? 2 : 1;
	int ret = gnutls_certificate_verify_peers(tls, wanted, n, &s->status);

	if (ret < 0)
		return ret;
	return s->status ? GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR : 0;
}

static gnutls_alert_description_t
status_alert(unsigned status)
{
	if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return GNUTLS_A_CERTIFICATE_EXPIRED;
	if (status & GNUTLS_CERT_REVOKED)
		return GNUTLS_A_CERTIFICATE_REVOKED;
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return GNUTLS_A_UNKNOWN_CA;
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return GNUTLS_A_UNSUPPORTED_CERTIFICATE;
	return GNUTLS_A_BAD_CERTIFICATE;
}

static const struct {
	unsigned	 status;
	const char	*text;
} status_texts[] = {
	{ GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is not trusted" },
	{ GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is no certificate authority" },
	{ GNUTLS_CERT_EXPIRED, "it has expired" },
	{ GNUTLS_CERT_NOT_ACTIVATED, "it is not valid yet" },
	{ GNUTLS_CERT_REVOKED, "it is revoked" },
	{ GNUTLS_CERT_UNEXPECTED_OWNER, "it is for another name" },
	{ GNUTLS_CERT_PURPOSE_MISMATCH, "it is for another purpose" },
	{ GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong" },
	{ GNUTLS_CERT_INSECURE_ALGORITHM, "it is signed with an insecure algorithm" },
	{ GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "its issuer may not issue it" },
};

static void
status_explain(const struct tls_session *s, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "the certificate of %s is refused",
				      s->host ? s->host : "the peer");
	const char *join = ": ";

	for (size_t i = 0; i < sizeof(status_texts) / sizeof(*status_texts) && len < size; i++) {
		if (!(s->status & status_texts[i].status))
			continue;
		len += (size_t)snprintf(out + len, size - len, "%s%s", join, status_texts[i].text);
		join = ", ";
	}
}

static const gnutls_datum_t *
session_certificate(const struct tls_session *s)
{
	unsigned n;

	if (!s->tls || gnutls_certificate_type_get2(s->tls, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509)
		return NULL;
	return gnutls_certificate_get_peers(s->tls, &n);
}

static void
peer_add_name(struct adit_certificate *p, const char *name, size_t len)
{
	char **more;

	/* What a text cannot hold is nothing to compare with. */
	if (memchr(name, 0, len))
		return;
	more = reallocarray(p->names, p->n_names + 1, sizeof(*more));
	if (!more)
		return;
	p->names = more;
	more[p->n_names] = strndup(name, len);
	if (more[p->n_names])
		p->n_names++;
}

static void
peer_add_ip(struct adit_certificate *p, const char *bytes, size_t len)
{
	struct adit_addr ip = { .family = len == 4 ? AF_INET : AF_INET6 };
	char text[ADIT_ADDR_TEXT];

	if (len != 4 && len != 16)
		return;
	memcpy(ip.ip, bytes, len);
	adit_addr_format_ip(&ip, text);
	peer_add_name(p, text, strlen(text));
}

static void
peer_read_names(struct adit_certificate *p, gnutls_x509_crt_t crt)
{
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		char name[512];
		size_t len = sizeof(name);
		int type = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &len, NULL);

		if (type == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (type < 0)
			break;
		if (type == GNUTLS_SAN_IPADDRESS)
			peer_add_ip(p, name, len);
		else if (type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_URI ||
			 type == GNUTLS_SAN_RFC822NAME)
			peer_add_name(p, name, len);
	}
}

static bool
peer_read(struct adit_certificate *p, const gnutls_datum_t *der)
{
	static const char hex[] = "0123456789abcdef";
	gnutls_x509_crt_t crt;
	uint8_t digest[32];
	size_t len = sizeof(digest);
	bool good;

	if (gnutls_fingerprint(GNUTLS_DIG_SHA256, der, digest, &len) < 0 ||
	    gnutls_x509_crt_init(&crt) < 0)
		return false;
	for (size_t i = 0; i < sizeof(digest); i++) {
		p->fingerprint[2 * i] = hex[digest[i] >> 4];
		p->fingerprint[2 * i + 1] = hex[digest[i] & 15];
	}
	good = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) >= 0;
	if (good) {
		len = sizeof(p->common_name);
		if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0,
						  p->common_name, &len) < 0 ||
		    memchr(p->common_name, 0, len))
			p->common_name[0] = 0;
		peer_read_names(p, crt);
	}
	gnutls_x509_crt_deinit(crt);
	return good;
}

static void
peer_free(struct adit_certificate *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_names; i++)
		free(p->names[i]);
	free(p->names);
	free(p);
}

const struct adit_certificate *
tls_session_peer(struct tls_session *s)
{
	const gnutls_datum_t *der = session_certificate(s);
	struct adit_certificate *p;

	if (s->peer || !der)
		return s->peer;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (!peer_read(p, der)) {
		peer_free(p);
		return NULL;
	}
	p->verified = tls_policy_checks_chain(s->creds->policy) && !s->status;
	s->peer = p;
	return p;
}

/* ---- SNI and ALPN ------------------------------------------------------- */

/* The ClientHello is read, nothing was answered yet. */
static int
session_client_hello(gnutls_session_t tls)
{
	struct tls_session *s = session_of(tls);
	char name[SNI_MAX];
	size_t len = sizeof(name);
	unsigned type;

	free(s->sni);
	s->sni = NULL;
	/* GnuTLS has refused names with bytes that belong in none. */
	if (gnutls_server_name_get(tls, name, &len, &type, 0) == 0) {
		s->sni = strdup(name);
		if (!s->sni)
			return GNUTLS_E_MEMORY_ERROR;
	}
	/* RFC 6066, 3. */
	return tls_policy_serves(s->creds->policy, s->sni) ? 0 : GNUTLS_E_UNRECOGNIZED_NAME;
}

int
tls_session_offer(struct tls_session *s, const char *const *protocols, unsigned n)
{
	const struct adit_strings *configured = &s->creds->policy->conf.alpn;
	gnutls_datum_t list[ALPN_MAX];

	/* tls_session_init has offered those already, and GnuTLS would count them twice. */
	if (configured->n && protocols)
		return 0;
	if (configured->n) {
		protocols = (const char *const *)configured->v;
		n = (unsigned)configured->n;
	}
	if (!n)
		return 0;
	if (n > ALPN_MAX)
		n = ALPN_MAX;
	for (unsigned i = 0; i < n; i++) {
		list[i].data = (unsigned char *)(uintptr_t)protocols[i];	/* copied */
		list[i].size = (unsigned)strlen(protocols[i]);
	}
	return gnutls_alpn_set_protocols(s->tls, list, n, GNUTLS_ALPN_MANDATORY |
					 GNUTLS_ALPN_SERVER_PRECEDENCE) < 0 ? -ENOMEM : 0;
}

const char *
tls_session_alpn(const struct tls_session *s, size_t *len)
{
	gnutls_datum_t chosen;

	if (!s->tls || gnutls_alpn_get_selected_protocol(s->tls, &chosen) < 0)
		return NULL;
	if (len)
		*len = chosen.size;
	return (const char *)chosen.data;
}

const char *
tls_session_sni(const struct tls_session *s)
{
	return s->sni;
}

/* ---- failures ----------------------------------------------------------- */

gnutls_alert_description_t
tls_session_alert(const struct tls_session *s, int ret)
{
	if (ret == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return status_alert(s->status);
	/* A peer that tears one of GnuTLS's own limits did nothing to us. */
	if (ret == GNUTLS_E_TOO_MANY_EMPTY_PACKETS || ret == GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS)
		return GNUTLS_A_UNEXPECTED_MESSAGE;
	return (gnutls_alert_description_t)gnutls_error_to_alert(ret, NULL);
}

char *
tls_session_explain(struct tls_session *s, int ret, char *out, size_t size)
{
	const char *name;
	int alert;

	switch (ret) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
	case GNUTLS_E_WARNING_ALERT_RECEIVED:
		alert = (int)gnutls_alert_get(s->tls);
		name = gnutls_alert_get_name((gnutls_alert_description_t)alert);
		snprintf(out, size, "the peer sent alert %d: %s", alert, name ? name : "unknown");
		break;
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
		status_explain(s, out, size);
		break;
	case GNUTLS_E_UNRECOGNIZED_NAME:
		if (s->sni)
			snprintf(out, size, "the client asked for \"%s\", which is not served",
				 s->sni);
		else
			snprintf(out, size, "the client asked for no name");
		break;
	case GNUTLS_E_PREMATURE_TERMINATION:
		snprintf(out, size, "the connection ended without the end of TLS");
		break;
	case GNUTLS_E_REHANDSHAKE:
		snprintf(out, size, "the peer asked for a renegotiation");
		break;
	default:
		snprintf(out, size, "%s", gnutls_strerror(ret));
	}
	return out;
}

/* ---- setting it up ------------------------------------------------------ */

static int
session_fail(struct adit_err *e, int ret)
{
	return adit_err_set(e, ret == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : ADIT_ETLS, "tls: %s",
			    gnutls_strerror(ret));
}

/* As a name in SNI and in certificates: no brackets, no zone, no dot at the end. */
static char *
session_host(const char *host)
{
	bool bracket = host[0] == '[';
	size_t len = strlen(host += bracket);

	if (strchr(host, ':') || bracket)
		len = strcspn(host, "%]");
	else if (len > 1 && host[len - 1] == '.')
		len--;
	return strndup(host, len);
}

static int
session_init_client(struct tls_session *s, const char *host, struct adit_err *e)
{
	const struct tls_policy *policy = s->creds->policy;
	int ret;

	if (policy->conf.server_name)
		host = policy->conf.server_name;
	if (tls_policy_checks_name(policy) && (!host || !*host))
		return adit_err_set(e, ADIT_ECONFIG,
				    "tls: no name to compare the certificate with: set serverName");
	if (host && *host) {
		s->host = session_host(host);
		if (!s->host)
			return adit_err_set(e, -ENOMEM, "out of memory");
	}
	/* RFC 6066, 3: literal addresses are not permitted. */
	if (s->host && !is_literal(s->host)) {
		ret = gnutls_server_name_set(s->tls, GNUTLS_NAME_DNS, s->host, strlen(s->host));
		if (ret < 0)
			return adit_err_set(e, ADIT_ETLS, "tls: \"%s\": %s", s->host,
					    gnutls_strerror(ret));
	}
	return 0;
}

static int
session_init_server(struct tls_session *s, struct adit_err *e)
{
	bool wants_certificate = tls_policy_checks_chain(s->creds->policy);
	int ret = gnutls_session_ticket_enable_server(s->tls, &s->creds->ticket_key);

	if (ret < 0)
		return session_fail(e, ret);
	gnutls_certificate_server_set_request(s->tls, wants_certificate ? GNUTLS_CERT_REQUIRE :
									  GNUTLS_CERT_IGNORE);
	if (!wants_certificate)
		gnutls_handshake_set_max_packet_length(s->tls, HANDSHAKE_MAX);
	gnutls_handshake_set_post_client_hello_function(s->tls, session_client_hello);
	return 0;
}

static int
session_init_common(struct tls_session *s, bool quic, struct adit_err *e)
{
	const struct tls_policy *policy = s->creds->policy;
	char text[TLS_PRIORITY_TEXT];
	int ret;

	if (quic && !policy->quic)
		return tls_priority_text(&policy->conf, true, text, e);
	ret = gnutls_priority_set(s->tls, quic ? policy->quic : policy->tcp);
	if (ret == 0)
		ret = gnutls_credentials_set(s->tls, GNUTLS_CRD_CERTIFICATE, s->creds->certificate);
	if (ret < 0)
		return session_fail(e, ret);
	gnutls_db_set_ptr(s->tls, s);
	if (tls_policy_checks_chain(policy))
		gnutls_session_set_verify_function(s->tls, session_verify);
	if (tls_session_offer(s, NULL, 0) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	return 0;
}

int
tls_session_init(struct tls_session *s, struct tls_creds *creds, unsigned flags, const char *host,
		 struct adit_err *e)
{
	bool server = creds->policy->side == TLS_SERVER, quic = flags & TLS_SESSION_QUIC;
	unsigned init = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
	int ret;

	*s = (struct tls_session){ 0 };
	/*
	 * A client resumes nothing, so it does not ask for tickets; it sends its certificate also
	 * where the server's list of issuers does not have it, so that the server can say why it is
	 * refused.
	 */
	if (server)
		init |= GNUTLS_SERVER;
	else
		init |= GNUTLS_CLIENT | GNUTLS_NO_TICKETS | GNUTLS_FORCE_CLIENT_CERT |
			GNUTLS_KEY_SHARE_TOP;
	if (quic)
		init |= GNUTLS_NO_END_OF_EARLY_DATA;
	ret = gnutls_init(&s->tls, init);
	if (ret < 0) {
		s->tls = NULL;
		return session_fail(e, ret);
	}
	s->creds = tls_creds_get(creds);
	ret = session_init_common(s, quic, e);
	if (ret == 0)
		ret = server ? session_init_server(s, e) : session_init_client(s, host, e);
	if (ret < 0)
		tls_session_fini(s);
	return ret;
}

void
tls_session_fini(struct tls_session *s)
{
	if (s->tls)
		gnutls_deinit(s->tls);
	tls_creds_put(s->creds);
	peer_free(s->peer);
	free(s->host);
	free(s->sni);
	*s = (struct tls_session){ 0 };
}
