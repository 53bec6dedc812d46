/* The layer "ws": a WebSocket over any stream of a listener or dialer. */
#include "core/conn/ws_layer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <adit/plugin.h>

#include "core/conn/ws.h"

#define PING_NS (15 * 1000000000ull)		/* between two pings, where they are asked for */

struct ws_layer {
	struct adit_layer	 base;
	char			*path, *host;
	struct adit_pairs	 header;
	uint64_t		 handshake_timeout, head_timeout;	/* ns */
	uint64_t		 read_buffer, write_buffer;
	bool			 compression, pings, keepalive;
	uint64_t		 ttl, interval;
	struct ws_policy	*policy;		/* a reference */
};

static const char *const path_names[] = { "ws.path", NULL };
static const char *const host_names[] = { "ws.host", NULL };
static const char *const header_names[] = { "ws.header", NULL };
static const char *const handshake_names[] = { "ws.handshakeTimeout", NULL };
static const char *const head_names[] = { "ws.readHeaderTimeout", NULL };
static const char *const read_names[] = { "ws.readBufferSize", NULL };
static const char *const write_names[] = { "ws.writeBufferSize", NULL };
static const char *const compression_names[] = { "ws.enableCompression", NULL };

#define AT(field) .offset = offsetof(struct ws_layer, field)
static const struct adit_opt ws_layer_opts[] = {
	{ .name = "path", .aliases = path_names, .type = ADIT_OPT_STRING, AT(path), .def = "/ws",
	  .help = "path of the WebSocket; a listener answers any other with 404" },
	{ .name = "host", .aliases = host_names, .type = ADIT_OPT_STRING, AT(host),
	  .help = "dialers: what Host says, instead of the node's address" },
	{ .name = "header", .aliases = header_names, .type = ADIT_OPT_MAP, AT(header),
	  .help = "fields to add to the request, or to the answer" },
	{ .name = "handshakeTimeout", .aliases = handshake_names, .type = ADIT_OPT_DURATION,
	  AT(handshake_timeout), .min = 1000000, .max = 600 * 1000000000ll, .def = "15s",
	  .help = "how long a TLS handshake, and then a WebSocket's, may take" },
	{ .name = "readHeaderTimeout", .aliases = head_names, .type = ADIT_OPT_DURATION,
	  AT(head_timeout), .max = 600 * 1000000000ll,
	  .help = "the same for the WebSocket's alone, if that is shorter" },
	{ .name = "ws.keepalive", .type = ADIT_OPT_BOOL, AT(pings),
	  .help = "dialers: send pings, give up a server that answers none; keepalive does so "
		  "too where it is set to true, not by default" },
	{ .name = "ttl", .type = ADIT_OPT_DURATION, AT(ttl), .max = 86400 * 1000000000ll,
	  .help = "dialers: time between two pings; 0: keepalive.interval where that is set, "
		  "else 15 s" },
	/* Where the base has these too, the merged table of a stack shows its rows. */
	{ .name = "keepalive", .type = ADIT_OPT_BOOL, AT(keepalive),
	  .help = "as ws.keepalive" },
	{ .name = "keepalive.interval", .type = ADIT_OPT_DURATION, AT(interval),
	  .max = 86400 * 1000000000ll, .help = "time between two pings" },
	{ .name = "enableCompression", .aliases = compression_names, .type = ADIT_OPT_BOOL,
	  AT(compression), .help = "permessage-deflate: not available in this build" },
	{ .name = "readBufferSize", .aliases = read_names, .type = ADIT_OPT_SIZE,
	  AT(read_buffer), .max = 1 << 20,
	  .help = "without a meaning here: what is read stands in no buffer of its own" },
	{ .name = "writeBufferSize", .aliases = write_names, .type = ADIT_OPT_SIZE,
	  AT(write_buffer), .max = 1 << 20,
	  .help = "most bytes of data in a frame that is sent, at most 65536; 0: that" },
	ADIT_OPT_END,
};

static struct ws_layer *
layer_of(struct adit_layer *l)
{
	return adit_container_of(l, struct ws_layer, base);
}

/* 0: none. */
static uint64_t
ws_layer_ping(const struct ws_layer *w)
{
	if (!w->pings && !w->keepalive)
		return 0;
	return w->ttl ? w->ttl : w->interval ? w->interval : PING_NS;
}

static int
ws_layer_init(struct adit_layer *l, struct adit_err *e)
{
	struct ws_layer *w = layer_of(l);
	uint64_t limit = w->handshake_timeout;
	struct ws_conf conf = {
		.path = w->path, .host = w->host, .header = w->header,
		.ping = ws_layer_ping(w), .frame = (size_t)w->write_buffer,
	};

	if (w->compression)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "enableCompression is not available in this build");
	if (w->head_timeout && w->head_timeout < limit)
		limit = w->head_timeout;
	l->patience = limit;
	conf.handshake_ms = limit < 1000000 ? 1 : (unsigned)(limit / 1000000);
	w->policy = ws_policy_new(&conf, e);
	if (!w->policy)
		return e && e->code ? e->code : ADIT_ECONFIG;
	return 0;
}

static void
ws_layer_fini(struct adit_layer *l)
{
	ws_policy_put(layer_of(l)->policy);
}

static struct adit_conn *
ws_layer_client(struct adit_layer *l, struct adit_conn *lower, const char *host,
		struct adit_err *e)
{
	const char *address = adit_component_address(l->component);

	return ws_client(lower, layer_of(l)->policy, address ? address : host, e);
}

static struct adit_conn *
ws_layer_server(struct adit_layer *l, struct adit_conn *lower, struct adit_err *e)
{
	return ws_server(lower, layer_of(l)->policy, e);
}

/* A request of the form that a proxy is not asked in (RFC 9112, section 3.2.1). */
static int
ws_layer_begins(struct adit_layer *l, const uint8_t *bytes, size_t len)
{
	static const char get[] = { 'G', 'E', 'T', ' ', '/' };

	(void)l;
	if (memcmp(bytes, get, len < sizeof(get) ? len : sizeof(get)) != 0)
		return 0;
	return len < sizeof(get) ? -EAGAIN : 1;
}

const struct adit_layer_ops layer_ws = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(layer_ws),
		.kind = ADIT_LAYER,
		.name = "ws",
		.help = "WebSocket (RFC 6455): a stream in binary messages",
		.instance = sizeof(struct ws_layer),
		.opts = ws_layer_opts,
	},
	.client = ws_layer_client,
	.server = ws_layer_server,
	.init = ws_layer_init,
	.fini = ws_layer_fini,
	.begins = ws_layer_begins,
};
