/*
 * Handler `http`: a forward proxy. CONNECT and plain requests, with credentials where `auth` or an
 * auther asks for them.
 */
#include <adit/plugin.h>

#include "core/proxy/http_proxy.h"

struct http_handler {
	struct adit_handler	base;
	struct http_proxy_conf	proxy;
	bool			keepalive;
};

static const char *const keepalive_aliases[] = { "keepalive", NULL };

#define AT(f) offsetof(struct http_handler, f)
static const struct adit_opt http_opts[] = {
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(proxy.read_timeout),
	  .def = "15s", .help = "limit for the head of a request, and of its response" },
	{ .name = "idleTimeout", .type = ADIT_OPT_DURATION, .offset = AT(proxy.idle_timeout),
	  .help = "ends a CONNECT's tunnel that is silent for so long; 0: never" },
	{ .name = "http.keepalive", .aliases = keepalive_aliases, .type = ADIT_OPT_BOOL,
	  .offset = AT(keepalive), .help = "accepted for gost's sake; connections are kept" },
	{ .name = "udp", .type = ADIT_OPT_BOOL, .offset = AT(proxy.udp),
	  .help = "allow UDP in a CONNECT's tunnel, as gost asks for it" },
	HTTP_PROXY_OPTS(struct http_handler, proxy),
	ADIT_OPT_END,
};

static struct http_handler *
http_of(struct adit_handler *h)
{
	return adit_container_of(h, struct http_handler, base);
}

static void
http_handle(struct adit_handler *h, struct adit_conn *c)
{
	http_proxy(c, &http_of(h)->proxy);
}

static int
http_init(struct adit_handler *h, struct adit_err *e)
{
	return http_proxy_init(&http_of(h)->proxy, h, e);
}

const struct adit_handler_ops handler_http = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(handler_http),
		.kind = ADIT_HANDLER,
		.name = "http",
		.help = "a forward proxy for HTTP: CONNECT and plain requests",
		.instance = sizeof(struct http_handler),
		.opts = http_opts,
	},
	.authenticates = true,
	.handle = http_handle,
	.init = http_init,
};
