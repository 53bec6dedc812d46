/*
 * Handlers `auto`, told by the first bytes: SOCKS 4 and 5, TLS by its server name, HTTP; and `sni`,
 * the same without SOCKS.
 */
#include <string.h>

#include <adit/plugin.h>

#include "core/proxy/auto_proxy.h"

struct auto_handler {
	struct adit_handler	base;
	struct auto_conf	proxy;
	char			*public_address;
	bool			keepalive, notls;
};

static const char *const keepalive_aliases[] = { "keepalive", NULL };
static const char *const public_aliases[] = { "publicAddr", NULL };

#define AT(f) offsetof(struct auto_handler, f)
static const struct adit_opt auto_opts[] = {
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(proxy.read_timeout),
	  .def = "15s", .help = "limit for a client's request, and the head of a response" },
	{ .name = "idleTimeout", .type = ADIT_OPT_DURATION, .offset = AT(proxy.idle_timeout),
	  .help = "ends a connection that is silent for so long; 0: never" },
	{ .name = "http.keepalive", .aliases = keepalive_aliases, .type = ADIT_OPT_BOOL,
	  .offset = AT(keepalive), .help = "accepted for gost's sake; connections are kept" },
	{ .name = "notls", .type = ADIT_OPT_BOOL, .offset = AT(notls),
	  .help = "accepted for gost's sake; its TLS inside SOCKS is never used" },
	{ .name = "udp", .type = ADIT_OPT_BOOL, .offset = AT(proxy.socks.udp),
	  .help = "allow UDP to clients of SOCKS 5, and of HTTP as gost asks for it" },
	{ .name = "bind", .type = ADIT_OPT_BOOL, .offset = AT(proxy.socks.bind),
	  .help = "allow SOCKS 5 its BIND: clients may have ports opened here" },
	{ .name = "socks.publicAddr", .aliases = public_aliases, .type = ADIT_OPT_STRING,
	  .offset = AT(public_address),
	  .help = "IP address that clients are told to send UDP to; else the one they came to" },
	HTTP_PROXY_OPTS(struct auto_handler, proxy.http),
	ADIT_OPT_END,
};

static const struct adit_opt sni_opts[] = {
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(proxy.read_timeout),
	  .def = "15s", .help = "limit for a client's request, and the head of a response" },
	{ .name = "idleTimeout", .type = ADIT_OPT_DURATION, .offset = AT(proxy.idle_timeout),
	  .help = "ends a connection that is silent for so long; 0: never" },
	HTTP_PROXY_OPTS(struct auto_handler, proxy.http),
	ADIT_OPT_END,
};

static struct auto_handler *
auto_of(struct adit_handler *h)
{
	return adit_container_of(h, struct auto_handler, base);
}

static void
auto_handle(struct adit_handler *h, struct adit_conn *c)
{
	auto_proxy(c, &auto_of(h)->proxy);
}

static int
auto_init(struct adit_handler *h, struct adit_err *e)
{
	struct auto_handler *a = auto_of(h);
	struct auto_conf *conf = &a->proxy;

	if (a->public_address &&
	    adit_addr_parse(a->public_address, 0, &conf->socks.address) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "socks.publicAddr: not an IP address: %s",
				    a->public_address);
	conf->handler = conf->socks.handler = h;
	conf->http.udp = conf->socks.udp;
	conf->socks.v4 = conf->socks.v5 = strcmp(h->ops->base.name, "auto") == 0;
	conf->socks.read_timeout = conf->http.read_timeout = conf->read_timeout;
	conf->socks.idle_timeout = conf->http.idle_timeout = conf->idle_timeout;
	return http_proxy_init(&conf->http, h, e);
}

#define AUTO_HANDLER(symbol, type, rows, text) \
	const struct adit_handler_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_handler_ops), \
			.kind = ADIT_HANDLER, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct auto_handler), \
			.opts = (rows), \
		}, \
		.authenticates = true, \
		.handle = auto_handle, \
		.init = auto_init, \
	}

AUTO_HANDLER(handler_auto, "auto", auto_opts,
	     "a proxy for HTTP, SOCKS 4 and 5, and TLS by its server name");
AUTO_HANDLER(handler_sni, "sni", sni_opts, "a proxy for TLS by its server name, and for HTTP");
