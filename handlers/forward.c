/*
 * Handlers `tcp`, `udp`, `unix`, `rtcp`, `rudp` and `forward`: join each conn, of bytes or of
 * datagrams, with one of the forwarder's nodes. With `sniffing` the first bytes decide on the node:
 * HTTP/1 goes request by request, HTTP/2 by the first request of a connection, TLS by its SNI,
 * anything else by its protocol; none of it is decrypted.
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
#include "core/conn/opening.h"
#include "core/conn/patience.h"
#include "core/conn/peek.h"
#include "core/http/h2_first.h"
#include "core/http/uri.h"
#include "core/service/http_forward.h"
#include "core/service/target.h"
#include "core/tunnel/forwarded.h"
#include "core/wire/clienthello.h"
#include "core/wire/sniff.h"

#define SETTINGS_NS ADIT_MS(50)	/* until a client of HTTP/2 that waits is told ours */
#define TELL_NS ADIT_SECONDS(10)	/* between two lines about datagrams that reach nobody */

struct forward_handler {
	struct adit_handler	 base;
	uint64_t		 idle_timeout, read_timeout, sniffing_timeout;
	int64_t			 proxy_protocol;
	bool			 sniffing, http_keepalive, sniff_websocket, forwarded;
	struct adit_strings	 trusted;
	struct http_forward_conf http;
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
	  .help = "choose nodes by what the first bytes tell: HTTP/1 request by request, HTTP/2 "
		  "by the first one, TLS by its server name, else by the protocol" },
	{ .name = "sniffing.timeout", .type = ADIT_OPT_DURATION, .offset = AT(sniffing_timeout),
	  .help = "limit for the bytes that sniffing needs; then a connection is of no known "
		  "protocol; 0: readTimeout" },
	{ .name = "sniffing.websocket", .type = ADIT_OPT_BOOL, .offset = AT(sniff_websocket),
	  .help = "recording of WebSocket frames" },
	{ .name = "http.forwarded", .type = ADIT_OPT_BOOL, .offset = AT(forwarded),
	  .help = "tell targets of sniffed HTTP who visits, by X-Forwarded-For, -Host and -Proto; "
		  "what visitors say there of themselves is removed" },
	{ .name = "http.trustedProxies", .type = ADIT_OPT_LIST, .offset = AT(trusted),
	  .check = forwarded_check_network,
	  .help = "with http.forwarded: addresses and networks whose word about the client is "
		  "taken and added to" },
	{ .name = "http.keepalive", .type = ADIT_OPT_BOOL, .offset = AT(http_keepalive),
	  .def = "true", .help = "keep sniffed HTTP connections, and those to targets, for further "
				 "requests" },
	ADIT_OPT_END,
};

struct forwarding {
	struct adit_activity	 activity;
	struct forward_handler	*handler;
	struct adit_conn	*conn, *far;	/* owned until the pump has them */
	struct adit_pump	*pump;
	struct peek		 seen;		/* while sniffing */
	struct adit_timer	*limit;		/* of that; owned; else NULL */
	struct adit_timer	*hello;		/* of SETTINGS_NS; owned; else NULL */
	const char		*protocol;	/* sniffed; NULL: unknown */
	uint16_t		 port;		/* of asked; 0: unknown */
	char			*path;		/* sniffed, as rules mean it; owned; may be NULL */
	size_t			 path_len;
	bool			 settled;	/* the visitor has our settings, and what he said to
						 * that is not taken off yet */
	struct forward_node	*secure;	/* wants TLS when far is open; or NULL */
	struct forward_node	*node;		/* that far is to; or NULL */
	struct adit_tried	 tried;
	bool			 datagrams;
	bool			 greeted;	/* far has its header in front */
	const struct adit_worker *worker;
	uint64_t		 id, born;	/* of conn */
	struct adit_addr	 remote;
	char			*asked;		/* owned; may be NULL */

	/* What it was before it became another protocol's, by an upgrade. */
	struct adit_traffic	 before;
	unsigned		 requests;
};

static void
forwarding_free(struct forwarding *f)
{
	adit_activity_end(&f->activity);
	adit_timer_free(f->limit);
	adit_timer_free(f->hello);
	peek_fini(&f->seen);
	free(f->asked);
	free(f->path);
	free(f);
}

/* TLS has a word for it, before a byte of the target's could be passed on. */
static bool
forwarding_alert(struct forwarding *f, int why)
{
	uint8_t alert[CLIENTHELLO_ALERT_LEN];

	if (!f->protocol || strcmp(f->protocol, "tls") != 0)
		return false;
	clienthello_alert(why == ADIT_ENOROUTE ? TLS_ALERT_UNRECOGNIZED_NAME :
			  TLS_ALERT_INTERNAL_ERROR, alert);
	return conn_write_now(f->conn, alert, sizeof(alert)) == sizeof(alert);
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
	enum adit_log_level level = why == ADIT_EDRAINING ? ADIT_LOG_INFO : ADIT_LOG_ERROR;
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
	ending_log(&end, level, "%s%s%s%s", f->asked ? f->asked : "",
		   f->asked ? ": " : "", text, more);
}

/* No target was reached: bytes and time are those of the conn that waited for one. */
static void
forwarding_fail(struct forwarding *f, int why, const char *by, const char *text)
{
	forwarding_tell_failure(f, by, why, text);
	adit_conn_close(f->conn, forwarding_alert(f, why) ? 0 : why);
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
		.requests = f->requests, .status = f->requests ? 101 : 0,
		.traffic = { f->before.in + stats->bytes[0], f->before.out + stats->bytes[1] },
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
	bool silent = f->limit && !f->seen.len;		/* while it is sniffed: nothing is lost */

	if (!why && silent && !adit_component_has_grace(a->component)) {
		forwarding_fail(f, ADIT_EDRAINING, NULL, adit_strerror(ADIT_EDRAINING));
		return;
	}
	if (!why && !(f->pump && f->datagrams && adit_pump_silence(f->pump) >= QUIET_NS))
		return;
	if (f->pump)
		adit_pump_stop(f->pump, why);
	else
		forwarding_fail(f, why, NULL, adit_strerror(why));
}

static void
forwarding_join(struct forwarding *f)
{
	const struct adit_pump_opts opts = {
		.size = sizeof(opts), .idle = f->handler->idle_timeout,
		.half_closed = HALF_CLOSED_NS, .final = ADIT_PUMP_FINAL_B,
	};

	adit_conn_agree(f->conn);
	f->pump = adit_pump(f->conn, f->far, &opts, forwarding_done, f);
	if (!f->pump)
		forwarding_free(f);
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
	forwarder_tried(target_forwarder(&f->handler->base), f->node, &f->tried);
	forwarding_open(f, err, text);
	free(text);
}

/* TLS toward the target, behind what is sent in the clear. 0, or why there is none. */
static int
forwarding_secure(struct forwarding *f)
{
	struct adit_err e = ADIT_ERR_INIT;

	f->far = target_secure(&f->handler->base, f->secure, f->far, &e);
	f->secure = NULL;
	return f->far ? 0 : e.code;
}

/* What is due once far is open. 1: it opens anew; 0: nothing; or a failure. */
static int
forwarding_greet(struct forwarding *f)
{
	unsigned version = (unsigned)f->handler->proxy_protocol;
	bool secure = f->secure;
	int err = 0;

	if ((adit_conn_flags(f->far) ^ adit_conn_flags(f->conn)) & ADIT_CONN_DGRAM)
		return -ENOTSUP;	/* datagrams by a connector that knows bytes alone */
	if (!f->greeted && !f->datagrams)
		err = target_send_proxy(f->far, version, &f->remote, adit_conn_local(f->conn));
	f->greeted = true;
	if (!err && secure)
		err = forwarding_secure(f);
	return err ? err : secure;
}

static void
forwarding_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct forwarding *f = owner;
	int err = adit_conn_err(far);

	(void)events;
	if (!err)
		err = forwarding_greet(f);
	if (err < 0) {
		forwarding_go_on(f, err);
	} else if (err > 0) {
		adit_conn_own(f->far, forwarding_far_event, f);
		adit_conn_want(f->far, ADIT_OPEN);
	} else {
		adit_conn_want(f->far, 0);
		forwarding_join(f);
	}
}

/* Chooses a node. Of what is not taken for HTTP none sees credentials: it gets past no node's. */
static int
forwarding_pick(struct forwarding *f, const struct route_request *req, struct forward_target *to,
		struct adit_err *e)
{
	int err = target_pick(&f->handler->base, req, &f->tried, to, e);
	const struct node_conf *node;

	if (err < 0)
		return err;
	if (!f->handler->sniffing || !to->node || !node_http_asks(to->node->http))
		return 0;
	node = to->node->conf;
	return adit_err_set(e, ADIT_EUNAUTH, "node %s asks for credentials, and this is no HTTP/1",
			    node->name ? node->name : node->addr);
}

/* A node for what is known of the conn, and the way to it. */
static struct adit_conn *
forwarding_dial(struct forwarding *f, struct adit_err *e)
{
	struct adit_handler *h = &f->handler->base;
	struct route_request req = target_request(f->conn);
	struct forward_target to;

	req.host = f->asked;
	req.port = f->port;
	req.protocol = f->protocol;
	req.path = (struct adit_text){ f->path, f->path_len };
	f->greeted = false;
	if (forwarding_pick(f, &req, &to, e) < 0)
		return NULL;
	f->node = to.node;
	/* What is TLS already stays what it is. */
	f->secure = to.node && to.node->tls && !f->datagrams &&
		    !(f->protocol && strcmp(f->protocol, "tls") == 0) ? to.node : NULL;
	return target_dial(h, adit_conn_worker(f->conn), &to, &f->remote, e);
}

/* Tries a node; failure is why the one before could not be reached, and text, in words, or NULL. */
static void
forwarding_open(struct forwarding *f, int failure, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;
	char reason[ENDING_REASON];

	f->far = forwarding_dial(f, &e);
	if (!f->far) {
		int why = failure == -ETIMEDOUT ? failure : ADIT_ETARGET;

		if (!failure && e.code == ADIT_ENOROUTE && f->protocol)
			why = e.code;
		forwarding_fail(f, why, "target",
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

/* ---- sniffing ------------------------------------------------------------------------------- */

static void
forwarding_become_http(struct forwarding *f)
{
	struct forward_handler *h = f->handler;
	struct adit_conn *c = f->conn;

	http_forward(c, &h->http);
	forwarding_free(f);
}

/* A client of HTTP/2 that was spoken to, and said nothing that would tell where he wants to go. */
static void
forwarding_send_away(struct forwarding *f)
{
	struct ending end = ending_of(f->activity.component, f->conn);

	end.kind = "handler";
	end.by = "peer";
	end.how = ending_how(-ETIMEDOUT);
	ending_log(&end, ADIT_LOG_INFO, "no request of HTTP/2 came");
	conn_write_now(f->conn, h2_first_goaway, sizeof(h2_first_goaway));
	adit_conn_close(f->conn, 0);
	forwarding_free(f);
}

/* It is known what it is, as far as it will be: what was read goes back. */
static void
forwarding_settle(struct forwarding *f, bool http)
{
	int err = f->settled ? -ETIMEDOUT : peek_give_back(&f->seen, f->conn);

	adit_timer_free(f->limit);
	adit_timer_free(f->hello);
	f->limit = f->hello = NULL;
	adit_conn_own(f->conn, forwarding_idle, f);
	adit_conn_want(f->conn, 0);
	if (f->settled)
		forwarding_send_away(f);
	else if (err < 0)
		forwarding_fail(f, err, NULL, adit_strerror(err));
	else if (http)
		forwarding_become_http(f);
	else
		forwarding_open(f, 0, NULL);
}

/* Whether enough of a ClientHello is there. Its name counts, not what a tunnel's server said. */
static bool
forwarding_look_tls(struct forwarding *f)
{
	struct clienthello hello;
	enum clienthello_result result = clienthello_parse(f->seen.buf, f->seen.len, &hello);

	f->protocol = "tls";
	f->port = 443;
	if (result == CLIENTHELLO_FOUND) {
		free(f->asked);
		f->asked = strdup(hello.name);
	}
	return result != CLIENTHELLO_MORE;
}

/* Some clients ask for nothing before they have a server's settings (grpc-go). */
static void
forwarding_hello(void *arg)
{
	struct forwarding *f = arg;

	if (conn_write_now(f->conn, h2_first_settings, sizeof(h2_first_settings)) > 0)
		f->settled = true;
}

/* What the visitor said to our settings is not for the target. */
static void
forwarding_take_ack(struct forwarding *f, size_t at)
{
	uint8_t *ack = f->seen.buf + at;

	f->seen.len -= H2_FIRST_FRAME;
	memmove(ack, ack + H2_FIRST_FRAME, f->seen.len - at);
	f->settled = false;
}

/* 0, or why there is no way to go by what the request says: its target will say what it is. */
static int
forwarding_take_request(struct forwarding *f, const struct adit_fields *request)
{
	struct adit_text authority = adit_fields_control(request, ADIT_AUTHORITY);
	struct adit_text path = uri_path(adit_fields_control(request, ADIT_TARGET));
	struct hostname host;

	if (!authority.len || hostname_parse(authority.s, authority.len, &host) < 0)
		return -EBADMSG;
	free(f->asked);
	f->asked = strdup(host.text);
	f->port = host.has_port ? host.port : 80;
	f->path = path.len ? malloc(path.len) : NULL;
	if (f->path)
		f->path_len = uri_normalise(path, f->path);
	return f->asked ? 0 : -ENOMEM;
}

/* Whether the first request of HTTP/2 in the clear is there; all others go where it goes. */
static bool
forwarding_look_h2(struct forwarding *f)
{
	struct adit_worker *w = adit_conn_worker(f->conn);
	struct adit_fields *request;
	struct h2_first first;
	int err;

	f->protocol = "http";
	if (!target_asks(&f->handler->base))
		return true;
	err = h2_first_look(f->seen.buf, f->seen.len, &first);
	if (err)
		return true;
	if (first.settled && !first.head && !f->hello) {
		f->hello = adit_timer_new(w, forwarding_hello, f);
		if (f->hello)
			adit_timer_set(f->hello, SETTINGS_NS);
	}
	if (!first.head || (f->settled && !first.ack))
		return false;
	if (h2_first_request(f->seen.buf, &first, &request) == 0)
		forwarding_take_request(f, request);
	adit_fields_free(request);
	if (f->settled)
		forwarding_take_ack(f, first.ack);
	return true;
}

/* RESP's types: none of them begins a method that anybody uses. */
static bool
is_redis(const struct peek *seen)
{
	return seen->len && memchr("*+-:$", seen->buf[0], 5);
}

/* Whether it is settled: nothing of f may be touched then. */
static bool
forwarding_look(struct forwarding *f)
{
	bool known = true, http = false;

	switch (is_redis(&f->seen) ? SNIFF_UNKNOWN :
		sniff_protocol(f->seen.buf, f->seen.len)) {
	case SNIFF_MORE:
		known = false;
		break;
	case SNIFF_TLS:
		known = forwarding_look_tls(f);
		break;
	case SNIFF_HTTP1:
		http = true;
		break;
	case SNIFF_HTTP2:
		known = forwarding_look_h2(f);
		break;
	case SNIFF_SSH:
		f->protocol = "ssh";
		break;
	case SNIFF_RELAY:
	case SNIFF_UNKNOWN:
		f->protocol = is_redis(&f->seen) ? "redis" : NULL;
		break;
	}
	if (known)
		forwarding_settle(f, http);
	return known;
}

/* Protocols in which the server speaks first show nothing. Where HTTP/2 is to go is no guess. */
static void
forwarding_sniffed_late(void *arg)
{
	struct forwarding *f = arg;

	if (f->hello && !f->settled)
		forwarding_hello(f);
	forwarding_settle(f, false);
}

static void
forwarding_sniff_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct forwarding *f = owner;
	int err = 0;

	(void)events;
	while (!err) {
		err = peek_read(&f->seen, c, SNIFF_MAX);
		if (!err && forwarding_look(f))
			return;
	}
	if (err == -EAGAIN)
		return;
	/* What is too long for us, or cut, its target may understand. */
	if (f->seen.len && (err == -EMSGSIZE || err == -ESHUTDOWN))
		forwarding_settle(f, false);
	else
		forwarding_fail(f, err, ending_by(err, "peer"), adit_strerror(err));
}

static void
forwarding_sniff(struct forwarding *f)
{
	const struct forward_handler *h = f->handler;
	uint64_t limit = h->sniffing_timeout ? h->sniffing_timeout : h->read_timeout;

	f->limit = adit_timer_new(adit_conn_worker(f->conn), forwarding_sniffed_late, f);
	if (!f->limit) {
		forwarding_fail(f, -ENOMEM, NULL, adit_strerror(-ENOMEM));
		return;
	}
	adit_timer_set(f->limit, limit);
	adit_conn_agree(f->conn);	/* or who asked sends nothing */
	adit_conn_own(f->conn, forwarding_sniff_event, f);
	adit_conn_want(f->conn, ADIT_READ);
}

/* ---- the handler ----------------------------------------------------------------------------- */

static struct forwarding *
forwarding_new(struct forward_handler *h, struct adit_conn *c)
{
	struct forwarding *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->handler = h;
	f->conn = c;
	f->datagrams = adit_conn_flags(c) & ADIT_CONN_DGRAM;
	f->id = adit_conn_id(c);
	f->worker = adit_conn_worker(c);
	f->born = adit_now() - adit_conn_age(c);
	f->remote = *adit_conn_remote(c);
	f->activity.stop = forwarding_stop;
	adit_activity_begin(&f->activity, h->base.component, adit_conn_worker(c));
	adit_conn_own(c, forwarding_idle, f);
	return f;
}

static void
forward_handle(struct adit_handler *base, struct adit_conn *c)
{
	struct forward_handler *h = adit_container_of(base, struct forward_handler, base);
	const char *asked = adit_conn_asked(c, NULL);
	struct forwarding *f = forwarding_new(h, c);

	if (!f) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	f->asked = asked && *asked ? strdup(asked) : NULL;
	if (h->sniffing && !f->datagrams)
		forwarding_sniff(f);
	else
		forwarding_open(f, 0, NULL);
}

static void
forward_upgraded(struct adit_handler *base, const struct http_visitor *v, struct adit_conn *near,
		 struct adit_conn *far)
{
	struct forward_handler *h = adit_container_of(base, struct forward_handler, base);
	struct forwarding *f = forwarding_new(h, near);

	if (!f) {
		adit_conn_close(near, -ENOMEM);
		adit_conn_close(far, -ENOMEM);
		return;
	}
	f->far = opening_unwrap(far);
	f->asked = *v->host ? strdup(v->host) : NULL;
	f->id = v->conn;
	f->born = v->born;
	f->remote = v->remote;
	f->before = *adit_mux_traffic(v->front);
	f->requests = v->requests;
	forwarding_join(f);
}

static int
forward_init(struct adit_handler *h, struct adit_err *e)
{
	struct forward_handler *f = adit_container_of(h, struct forward_handler, base);

	(void)e;
	f->http = (struct http_forward_conf){
		.handler = h, .keepalive = f->http_keepalive, .read_timeout = f->read_timeout,
		.forwarded = f->forwarded, .trusted = &f->trusted,
		.proxy_version = (unsigned)f->proxy_protocol, .upgraded = forward_upgraded,
		.per_visitor = f->proxy_protocol > 0 || target_has_chain(h),
	};
	if (!f->sniffing && target_forwarder(h)->edits)
		adit_log(adit_component_log(h->component), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", adit_component_name(h->component))),
			 "the nodes' http settings do nothing without sniffing");
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
FORWARD_HANDLER(handler_unix, "unix", "joins connections to a path with the forwarder's nodes");
FORWARD_HANDLER(handler_forward, "forward", "as tcp and udp, behind any listener");
