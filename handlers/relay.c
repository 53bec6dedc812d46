/*
 * Handler `relay`: gost's relay protocol, a proxy for TCP and UDP that can also listen for its
 * clients.
 */
#include <adit/plugin.h>

#include "core/proxy/relay_server.h"

struct relay_handler {
	struct adit_handler		base;
	struct relay_server_conf	relay;
	bool				nodelay;
};

#define AT(f) offsetof(struct relay_handler, f)
static const struct adit_opt relay_opts[] = {
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(relay.read_timeout),
	  .def = "15s", .help = "limit for a client's request" },
	{ .name = "idleTimeout", .type = ADIT_OPT_DURATION, .offset = AT(relay.idle_timeout),
	  .help = "ends a connection that is silent for so long; 0: never" },
	{ .name = "bind", .type = ADIT_OPT_BOOL, .offset = AT(relay.bind),
	  .help = "let clients listen here: rtcp and rudp over relay" },
	{ .name = "nodelay", .type = ADIT_OPT_BOOL, .offset = AT(nodelay),
	  .help = "accepted for gost's sake; the answer is always sent at once" },
	ADIT_OPT_END,
};

static struct relay_handler *
relay_of(struct adit_handler *h)
{
	return adit_container_of(h, struct relay_handler, base);
}

static void
relay_handle(struct adit_handler *h, struct adit_conn *c)
{
	relay_server(c, &relay_of(h)->relay);
}

static int
relay_init(struct adit_handler *h, struct adit_err *e)
{
	(void)e;
	relay_of(h)->relay.handler = h;
	return 0;
}

const struct adit_handler_ops handler_relay = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(handler_relay),
		.kind = ADIT_HANDLER,
		.name = "relay",
		.help = "gost's relay: a proxy for TCP and UDP, also with a forwarder's targets",
		.instance = sizeof(struct relay_handler),
		.opts = relay_opts,
	},
	.authenticates = true,
	.handle = relay_handle,
	.init = relay_init,
};
