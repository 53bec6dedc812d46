/*
 * The layers "tls" and "tls-h2": TLS over any stream of a listener or dialer, by the `tls` block of
 * its place. They differ in the protocols (ALPN) they offer where that block names none.
 */
#include "core/conn/tls_layer.h"

#include <stdbool.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/tls.h"

struct tls_layer {
	struct adit_layer	 base;
	uint64_t		 handshake_timeout;	/* ns; 0: the default of tls.h */
	struct tls_source	*source;		/* owned */
};

static const struct adit_opt tls_layer_opts[] = {
	{ .name = "handshakeTimeout", .type = ADIT_OPT_DURATION,
	  .offset = offsetof(struct tls_layer, handshake_timeout),
	  .min = 1000000, .max = 600 * 1000000000ll, .def = "15s",
	  .help = "how long a TLS handshake may take" },
	ADIT_OPT_END,
};

static struct tls_layer *
layer_of(struct adit_layer *l)
{
	return adit_container_of(l, struct tls_layer, base);
}

static int
tls_layer_make(struct adit_layer *l, const struct adit_tls_conf *conf, struct adit_err *e)
{
	struct adit_log *log = adit_component_log(l->component);
	struct tls_layer *t = layer_of(l);

	l->patience = t->handshake_timeout;
	t->source = tls_source_new(conf, l->server ? TLS_SERVER : TLS_CLIENT, log, e);
	if (!t->source)
		return e && e->code ? e->code : ADIT_ECONFIG;
	if (!l->server && !conf->secure && !conf->ca_file)
		adit_log(log, ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("node", adit_component_name(l->component))),
			 "the server's certificate is not verified: set tls.secure, or tls.caFile");
	return 0;
}

static int
tls_layer_init(struct adit_layer *l, struct adit_err *e)
{
	return tls_layer_make(l, adit_component_tls(l->component), e);
}

/* A gost's: what answers with http/1.1 is told apart by who speaks HTTP/2 over it. */
static int
tls_h2_layer_init(struct adit_layer *l, struct adit_err *e)
{
	static char h2[] = "h2", http1[] = "http/1.1";
	char *protocols[] = { h2, http1 };
	struct adit_tls_conf conf = *adit_component_tls(l->component);

	if (!conf.alpn.n)
		conf.alpn = (struct adit_strings){ .v = protocols, .n = 2 };
	return tls_layer_make(l, &conf, e);
}

static void
tls_layer_fini(struct adit_layer *l)
{
	tls_source_free(layer_of(l)->source);
}

static struct adit_conn *
tls_layer_limit(struct tls_layer *t, struct adit_conn *c)
{
	if (c && t->handshake_timeout)
		tls_set_handshake_limit(c, (unsigned)(t->handshake_timeout / 1000000));
	return c;
}

static struct adit_conn *
tls_layer_client(struct adit_layer *l, struct adit_conn *lower, const char *host,
		 struct adit_err *e)
{
	struct tls_layer *t = layer_of(l);

	return tls_layer_limit(t, tls_client_of(lower, t->source, host, e));
}

static struct adit_conn *
tls_layer_server(struct adit_layer *l, struct adit_conn *lower, struct adit_err *e)
{
	struct tls_layer *t = layer_of(l);
	struct tls_creds *creds = tls_creds_current(t->source);
	struct adit_conn *c = tls_server(lower, creds, e);

	tls_creds_put(creds);
	return tls_layer_limit(t, c);
}

/* A handshake record (RFC 8446, section 5.1); no protocol that we serve begins so in the clear. */
static int
tls_layer_begins(struct adit_layer *l, const uint8_t *bytes, size_t len)
{
	(void)l;
	(void)len;
	return bytes[0] == 0x16;
}

#define TLS_LAYER(call, text, made) { \
	.base = { \
		.abi = ADIT_ABI, \
		.size = sizeof(struct adit_layer_ops), \
		.kind = ADIT_LAYER, \
		.name = call, \
		.help = text, \
		.instance = sizeof(struct tls_layer), \
		.opts = tls_layer_opts, \
	}, \
	.client = tls_layer_client, \
	.server = tls_layer_server, \
	.init = made, \
	.fini = tls_layer_fini, \
	.begins = tls_layer_begins, \
}

const struct adit_layer_ops layer_tls =
	TLS_LAYER("tls", "TLS 1.2 and 1.3", tls_layer_init);
const struct adit_layer_ops layer_tls_h2 =
	TLS_LAYER("tls-h2", "TLS 1.2 and 1.3, for HTTP/2 (ALPN)", tls_h2_layer_init);
