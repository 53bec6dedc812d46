/*
 * Handlers `socks5` and `socks4`, also called `socks` and `socks4a`: proxies that speak SOCKS.
 */
#include <string.h>

#include <adit/plugin.h>

#include "core/proxy/socks_server.h"

struct socks_handler {
	struct adit_handler	base;
	struct socks_conf	socks;
	bool			notls;
	char			*public_address;
};

#define AT(f) offsetof(struct socks_handler, f)
static const char *const public_aliases[] = { "publicAddr", NULL };

static const struct adit_opt socks_opts[] = {
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(socks.read_timeout),
	  .def = "15s", .help = "limit for a client's request" },
	{ .name = "idleTimeout", .type = ADIT_OPT_DURATION, .offset = AT(socks.idle_timeout),
	  .help = "ends a connection that is silent for so long; 0: never" },
	{ .name = "notls", .type = ADIT_OPT_BOOL, .offset = AT(notls),
	  .help = "accepted for gost's sake; its TLS inside SOCKS is never used" },
	{ .name = "udp", .type = ADIT_OPT_BOOL, .offset = AT(socks.udp),
	  .help = "allow UDP: UDP ASSOCIATE, and gost's UDP in the connection" },
	{ .name = "bind", .type = ADIT_OPT_BOOL, .offset = AT(socks.bind),
	  .help = "allow BIND: clients may have ports opened here" },
	{ .name = "socks.publicAddr", .aliases = public_aliases, .type = ADIT_OPT_STRING,
	  .offset = AT(public_address),
	  .help = "IP address that clients are told to send UDP to; else the one they came to" },
	ADIT_OPT_END,
};

static struct socks_handler *
socks_of(struct adit_handler *h)
{
	return adit_container_of(h, struct socks_handler, base);
}

static void
socks_handle(struct adit_handler *h, struct adit_conn *c)
{
	socks_server(c, &socks_of(h)->socks);
}

static int
socks_init(struct adit_handler *h, struct adit_err *e)
{
	struct socks_handler *s = socks_of(h);
	struct socks_conf *conf = &s->socks;

	if (s->public_address && adit_addr_parse(s->public_address, 0, &conf->address) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "socks.publicAddr: not an IP address: %s",
				    s->public_address);
	conf->handler = h;
	conf->v4 = strncmp(h->ops->base.name, "socks4", 6) == 0;
	conf->v5 = !conf->v4;
	return 0;
}

#define SOCKS_HANDLER(symbol, type, text) \
	const struct adit_handler_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_handler_ops), \
			.kind = ADIT_HANDLER, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct socks_handler), \
			.opts = socks_opts, \
		}, \
		.authenticates = true, \
		.handle = socks_handle, \
		.init = socks_init, \
	}

SOCKS_HANDLER(handler_socks5, "socks5", "a proxy that speaks SOCKS 5");
SOCKS_HANDLER(handler_socks, "socks", "as socks5");
SOCKS_HANDLER(handler_socks4, "socks4", "a proxy that speaks SOCKS 4 and 4a");
SOCKS_HANDLER(handler_socks4a, "socks4a", "as socks4");
