#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "core/mux/quic/internal.h"

#define ALPN_MAX 8		/* GnuTLS keeps no more */

static int
tls_offer(struct quic_session *s)
{
	const struct quic_params *p = &s->params;
	const char *names[ALPN_MAX];
	unsigned n = p->n_alpn < ALPN_MAX ? p->n_alpn : ALPN_MAX;

	for (unsigned i = 0; i < n; i++)
		names[i] = p->alpn[i].name;
	return tls_session_offer(&s->tls, names, n);
}

int
quic_tls_open(struct quic_session *s, const char *host, struct adit_err *e)
{
	struct tls_creds *creds = tls_creds_current(s->params.tls);
	int err = tls_session_init(&s->tls, creds, TLS_SESSION_QUIC, host, e);

	tls_creds_put(creds);
	if (err < 0)
		return err;
	if ((s->server ? ngtcp2_crypto_gnutls_configure_server_session(s->tls.tls) :
			 ngtcp2_crypto_gnutls_configure_client_session(s->tls.tls)) ||
	    tls_offer(s) < 0) {
		quic_tls_close(s);
		return adit_err_set(e, ADIT_ETLS, "cannot set up TLS for QUIC");
	}
	gnutls_session_set_ptr(s->tls.tls, &s->ref);
	ngtcp2_conn_set_tls_native_handle(s->conn, s->tls.tls);
	return 0;
}

/* The configuration may have named protocols that we have no row for: those have no flows. */
static bool
tls_agreed(struct quic_session *s)
{
	size_t len;
	const char *name = tls_session_alpn(&s->tls, &len);

	if (!name)
		return false;
	s->alpn = strndup(name, len);
	for (unsigned i = 0; s->alpn && i < s->params.n_alpn; i++)
		if (!strcmp(s->params.alpn[i].name, s->alpn))
			s->has_flows = s->params.alpn[i].flows;
	return s->alpn;
}

int
quic_tls_check(struct quic_session *s)
{
	const char *name = tls_session_sni(&s->tls);

	if (name)
		s->server_name = strdup(name);
	if (tls_agreed(s))
		return 0;
	/* RFC 9001, 8.1: also where the peer offered none at all. */
	s->alert = GNUTLS_A_NO_APPLICATION_PROTOCOL;
	s->end = (struct adit_reason){
		.err = ADIT_ETLS, .code = NGTCP2_CRYPTO_ERROR | s->alert,
		.text = "TLS: no application protocol was agreed on",
	};
	return -1;
}

void
quic_tls_explain(struct quic_session *s)
{
	const char *name;

	if (s->tls.status) {	/* our verdict on the peer's certificate */
		s->alert = (uint8_t)tls_session_alert(&s->tls,
		                                      GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
		tls_session_explain(&s->tls, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, s->end_text,
				    sizeof(s->end_text));
	} else {
		s->alert = ngtcp2_conn_get_tls_alert(s->conn);
		name = gnutls_alert_get_name(s->alert);
		snprintf(s->end_text, sizeof(s->end_text), "TLS: %s",
		         name ? name : "handshake failed");
	}
	s->end = (struct adit_reason){
		.err = ADIT_ETLS, .code = NGTCP2_CRYPTO_ERROR | s->alert, .text = s->end_text,
	};
}

void
quic_tls_done(struct quic_session *s)
{
	unsigned n;

	if (!s->server || !gnutls_certificate_get_peers(s->tls.tls, &n))
		quic_tls_close(s);
}

void
quic_tls_close(struct quic_session *s)
{
	if (s->tls.tls && s->conn)
		ngtcp2_conn_set_tls_native_handle(s->conn, NULL);
	tls_session_fini(&s->tls);
}
