/*
 * Handlers `tcp`, `udp`, `rtcp`, `rudp` and `forward`: join each conn, of bytes or of datagrams,
 * with one of the forwarder's nodes.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>
#include <adit/pump.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/wire/proxy.h"

#define HALF_CLOSED_NS ADIT_SECONDS(60)
#define QUIET_NS ADIT_MS(500)	/* of datagrams: then a drain does not wait for them */
#define TELL_NS ADIT_SECONDS(10)	/* between two lines about datagrams that reach nobody */

struct forward_handler {
	struct adit_handler	 base;
	uint64_t		 idle_timeout, read_timeout, sniffing_timeout;
	int64_t			 proxy_protocol;
	bool			 sniffing, http_keepalive, sniff_websocket;
	_Atomic uint64_t	 told;		/* when datagrams last had such a line */
	atomic_uint		 untold;	/* how many had none since */
};

#define AT(f) offsetof(struct forward_handler, f)
static const struct adit_opt forward_opts[] = {
	{ .name = "idleTimeout", .type = ADIT_OPT_DURATION, .offset = AT(idle_timeout),
	  .help = "ends a connection that is silent for so long; 0: never" },
	{ .name = "proxyProtocol", .type = ADIT_OPT_INT, .offset = AT(proxy_protocol),
	  .min = 0, .max = 2, .help = "version of the PROXY header sent to the target; 0: none" },
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION, .offset = AT(read_timeout),
	  .def = "15s", .help = "limit for the head of a sniffed request and of its answer" },
	{ .name = "sniffing", .type = ADIT_OPT_BOOL, .offset = AT(sniffing),
	  .help = "look at the first bytes for a host name and protocol" },
	{ .name = "sniffing.timeout", .type = ADIT_OPT_DURATION, .offset = AT(sniffing_timeout),
	  .help = "limit for the bytes that sniffing needs" },
	{ .name = "sniffing.websocket", .type = ADIT_OPT_BOOL, .offset = AT(sniff_websocket),
	  .help = "recording of WebSocket frames" },
	{ .name = "http.keepalive", .type = ADIT_OPT_BOOL, .offset = AT(http_keepalive),
	  .help = "keep a sniffed HTTP connection for further requests" },
	ADIT_OPT_END,
};

struct forwarding {
	struct adit_activity	 activity;
	struct forward_handler	*handler;
	struct adit_conn	*conn, *far;	/* owned until the pump has them */
	struct adit_pump	*pump;
	unsigned		 attempt;
	bool			 datagrams;
	const struct adit_worker *worker;
	uint64_t		 id, born;	/* of conn */
	struct adit_addr	 remote;
	char			*asked;		/* owned; may be NULL */
};

static void
forwarding_free(struct forwarding *f)
{
	adit_activity_end(&f->activity);
	free(f->asked);
	free(f);
}

/*
 * Whether the failure of f has a line of its own. A visitor's datagrams make a session each time
 * that he is tried again, and visitors may be many; untold: how many had none before this one.
 */
static bool
forwarding_is_told(struct forwarding *f, unsigned *untold)
{
	struct forward_handler *h = f->handler;
	uint64_t now = adit_now(), told = atomic_load(&h->told);

	*untold = 0;
	if (!f->datagrams)
		return true;
	if ((told && now - told < TELL_NS) ||
	    !atomic_compare_exchange_strong(&h->told, &told, now)) {
		atomic_fetch_add(&h->untold, 1);
		return false;
	}
	*untold = atomic_exchange(&h->untold, 0);
	return true;
}

static void
forwarding_tell_failure(struct forwarding *f, const char *by, int why, const char *text)
{
	struct ending end = ending_of(f->activity.component, f->conn);
	char more[64] = "";
	unsigned untold;

	if (!forwarding_is_told(f, &untold))
		return;
	end.kind = "handler";
	end.host = f->asked;
	end.by = by;
	end.how = ending_how(why);
	if (untold)
		snprintf(more, sizeof(more), " (and %u more since the line before)", untold);
	ending_log(&end, ADIT_LOG_ERROR, "%s%s%s%s", f->asked ? f->asked : "",
		   f->asked ? ": " : "", text, more);
}

/* No target was reached: bytes and time are those of the conn that waited for one. */
static void
forwarding_fail(struct forwarding *f, int why, const char *by, const char *text)
{
	forwarding_tell_failure(f, by, why, text);
	adit_conn_close(f->conn, why);
	adit_conn_close(f->far, why);
	forwarding_free(f);
}

static void
forwarding_done(void *arg, const struct adit_pump_stats *stats)
{
	struct forwarding *f = arg;
	const struct ending end = {
		.component = f->activity.component, .kind = "handler", .id = f->id,
		.worker = f->worker, .remote = &f->remote, .host = f->asked,
		.traffic = { stats->bytes[0], stats->bytes[1] },
		.dropped = stats->dropped[0] + stats->dropped[1],
		.duration = adit_now() - f->born,
		.by = ending_side(stats->side, "peer", "target"), .how = stats->how,
	};
	char remote[ADIT_ADDR_TEXT];

	ending_log(&end, ADIT_LOG_INFO, "%s >-< target", adit_addr_format(&f->remote, remote));
	forwarding_free(f);
}

static void
forwarding_stop(struct adit_activity *a, int why)
{
	struct forwarding *f = adit_container_of(a, struct forwarding, activity);

	if (!why && !(f->pump && f->datagrams && adit_pump_silence(f->pump) >= QUIET_NS))
		return;
	if (f->pump)
		adit_pump_stop(f->pump, why);
	else
		forwarding_fail(f, why, NULL, adit_strerror(why));
}

static int
forwarding_send_proxy(struct forwarding *f)
{
	struct proxy_header h = {
		.version = (unsigned)f->handler->proxy_protocol, .proxied = true,
	};
	char text[PROXY_ENCODED_MAX];
	ssize_t len;

	if (!h.version || adit_conn_flags(f->conn) & ADIT_CONN_DGRAM)
		return 0;
	if (!adit_addr_to(&f->remote, &h.src))
		h.proxied = false;
	adit_addr_to(adit_conn_local(f->conn), &h.dst);
	len = proxy_encode(&h, text);
	if (len > 0)
		len = adit_conn_write(f->far, text, (size_t)len) == len ? 0 : -ENOBUFS;
	return (int)len;
}

static void forwarding_open(struct forwarding *f, int failure, const char *text);

/* The target, or the way to it, has failed: the next one. */
static void
forwarding_go_on(struct forwarding *f, int err)
{
	const char *why = conn_failure(f->far);
	char *text = why ? strdup(why) : NULL;

	adit_conn_close(f->far, err);
	f->far = NULL;
	f->attempt++;
	forwarding_open(f, err, text);
	free(text);
}

static void
forwarding_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct forwarding *f = owner;
	const struct adit_pump_opts opts = {
		.size = sizeof(opts), .idle = f->handler->idle_timeout,
		.half_closed = HALF_CLOSED_NS, .final = ADIT_PUMP_FINAL_B,
	};
	int err = adit_conn_err(far);

	(void)events;
	if (!err && (adit_conn_flags(far) ^ adit_conn_flags(f->conn)) & ADIT_CONN_DGRAM)
		err = -ENOTSUP;		/* datagrams by a connector that knows bytes alone */
	if (!err)
		err = forwarding_send_proxy(f);
	if (err) {
		forwarding_go_on(f, err);
		return;
	}
	adit_conn_want(far, 0);
	adit_conn_agree(f->conn);
	f->pump = adit_pump(f->conn, far, &opts, forwarding_done, f);
	if (!f->pump)
		forwarding_free(f);
}

/* Tries a node; failure is why the one before could not be reached, and text, in words, or NULL. */
static void
forwarding_open(struct forwarding *f, int failure, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;
	char reason[ENDING_REASON];

	f->far = adit_forward(&f->handler->base, f->conn, f->attempt, &e);
	if (!f->far) {
		forwarding_fail(f, failure == -ETIMEDOUT ? failure : ADIT_ETARGET, "target",
				failure ? ending_reason(failure, text, reason) : e.text);
		return;
	}
	adit_conn_own(f->far, forwarding_far_event, f);
	adit_conn_want(f->far, ADIT_OPEN);
}

static void
forwarding_idle(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

static void
forward_handle(struct adit_handler *h, struct adit_conn *c)
{
	struct forwarding *f = calloc(1, sizeof(*f));
	const char *asked = adit_conn_asked(c, NULL);

	if (!f) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	f->handler = adit_container_of(h, struct forward_handler, base);
	f->conn = c;
	f->datagrams = adit_conn_flags(c) & ADIT_CONN_DGRAM;
	f->id = adit_conn_id(c);
	f->worker = adit_conn_worker(c);
	f->born = adit_now() - adit_conn_age(c);
	f->remote = *adit_conn_remote(c);
	f->asked = asked && *asked ? strdup(asked) : NULL;
	f->activity.stop = forwarding_stop;
	adit_activity_begin(&f->activity, h->component, adit_conn_worker(c));
	adit_conn_own(c, forwarding_idle, f);
	forwarding_open(f, 0, NULL);
}

static int
forward_init(struct adit_handler *h, struct adit_err *e)
{
	struct forward_handler *f = adit_container_of(h, struct forward_handler, base);

	if (f->sniffing)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "sniffing is not available in this build");
	return 0;
}

static bool
forward_shows_visitor(const struct adit_handler *h)
{
	return ((const struct forward_handler *)(const void *)h)->proxy_protocol > 0;
}

#define FORWARD_HANDLER(symbol, type, text) \
	const struct adit_handler_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_handler_ops), \
			.kind = ADIT_HANDLER, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct forward_handler), \
			.opts = forward_opts, \
		}, \
		.handle = forward_handle, \
		.init = forward_init, \
		.shows_visitor = forward_shows_visitor, \
	}

FORWARD_HANDLER(handler_tcp, "tcp", "joins connections with the forwarder's nodes");
FORWARD_HANDLER(handler_rtcp, "rtcp", "joins what a tunnel brings with the forwarder's nodes");
FORWARD_HANDLER(handler_udp, "udp", "joins sessions of datagrams with the forwarder's nodes");
FORWARD_HANDLER(handler_rudp, "rudp", "joins the datagrams that a tunnel brings with the nodes");
FORWARD_HANDLER(handler_forward, "forward", "as tcp and udp, behind any listener");
