#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/ending.h"
#include "core/service/component.h"
#include "core/tunnel/endpoint.h"
#include "core/tunnel/join.h"
#include "core/tunnel/relay_conn.h"
#include "core/tunnel/relay_request.h"
#include "core/tunnel/relay_session.h"

struct request {
	struct adit_activity			 activity;
	const struct request_conf		*conf;	/* lives as long as activity's component */
	struct adit_conn			*conn;	/* owned */
	struct collected			 in;
	struct relay_msg			 message;
};

/* ---- a request's end ------------------------------------------------------------------ */

static void
request_free(struct request *r)
{
	collected_fini(&r->in);
	explicit_bzero(&r->message, sizeof(r->message));
	adit_activity_end(&r->activity);
	free(r);
}

static void
request_close(struct request *r, int why)
{
	adit_conn_close(r->conn, why);
	request_free(r);
}

/* It was closed by its peer, by its limit, or said what is no request. */
static void
request_lose(struct request *r, int err, const char *text)
{
	struct ending end = ending_of(r->activity.component, r->conn);

	end.kind = "handler";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_WARN, "no request: %s", text);
	request_close(r, err == -ETIMEDOUT ? 0 : err);
}

/* Answers with a status and closes, as a gost does after any but OK. */
static void
request_refuse(struct request *r, unsigned status, const char *what)
{
	const struct relay_msg answer = { .code = (uint8_t)status };
	struct ending end;
	char id[37];

	adit_uuid_format(&r->message.tunnel.id, id);
	relay_send(r->conn, &answer);
	end = ending_of(r->activity.component, r->conn);
	end.kind = "handler";
	end.tunnel = r->message.has_tunnel ? id : NULL;
	end.how = "refused";
	ending_log(&end, ADIT_LOG_WARN, "%s refused: %s, tunnel=%s", what,
		   relay_status_text(status), r->message.has_tunnel ? id : "-");
	request_close(r, 0);
}

static enum adit_network
request_network(const struct request *r)
{
	return relay_msg_network(&r->message) == RELAY_NET_UDP ? ADIT_UDP : ADIT_TCP;
}

static void
request_stop(struct adit_activity *a, int why)
{
	struct request *r = adit_container_of(a, struct request, activity);

	request_lose(r, why ? why : ADIT_EDRAINING, adit_strerror(ADIT_EDRAINING));
}

/* ---- clients ------------------------------------------------------------------------ */

/* The host name in the answer: the endpoint's, unless the client asked for one. */
static void
request_bind_answer(struct request *r, const struct adit_uuid *connector, struct relay_msg *answer)
{
	const struct wire_addr *wanted = &r->message.addr[1];
	bool udp = relay_msg_network(&r->message) == RELAY_NET_UDP;

	*answer = (struct relay_msg){ .code = RELAY_OK, .n_addr = 1, .has_tunnel = true };
	answer->addr[0] = *wanted;
	if (wire_addr_is_any(wanted) || !r->conf->names || wanted->type != WIRE_ADDR_NAME) {
		answer->addr[0] = (struct wire_addr){ .type = WIRE_ADDR_NAME, .len = 16 };
		tunnel_endpoint_name(&r->message.tunnel.id, answer->addr[0].name);
		answer->addr[0].port = wanted->port;
	}
	answer->tunnel = (struct relay_tunnel){
		.id = *connector, .flags = udp ? RELAY_CONNECTOR_UDP : 0,
		.weight = r->message.tunnel.weight,
	};
	if (r->message.tunnel.has_client)
		answer->tunnel.sessions = (uint8_t)bound_useful(adit_conn_worker(r->conn));
}

static void
request_bind(struct request *r)
{
	const struct relay_tunnel *asked = &r->message.tunnel;
	struct relay_session_conf conf = {
		.bound = {
			.component = r->conf->component,
			.tunnel = asked->id,
			.connector = asked->has_client ? asked->client : adit_uuid_random(),
			.network = request_network(r),
			.weight = asked->weight,
			.visitor_address = asked->hints & RELAY_TUNNEL_SHOWS_VISITOR,
		},
		.smux = r->conf->smux,
	};
	struct relay_msg answer;
	char tunnel[37], connector[37];
	int err;

	if (r->message.n_addr < 2) {	/* nothing to answer with: a gost closes without a word */
		request_lose(r, -EBADMSG, "bind with less than two addresses");
		return;
	}
	if (asked->has_client)
		memcpy(conf.bound.client.id, &asked->client, sizeof(conf.bound.client.id));
	request_bind_answer(r, &conf.bound.connector, &answer);
	conf.answer = &answer;
	adit_uuid_format(&conf.bound.tunnel, tunnel);
	adit_uuid_format(&conf.bound.connector, connector);
	adit_conn_log(r->conn, ADIT_LOG_INFO, "bind: tunnel=%s, connector=%s, weight=%u", tunnel,
		      connector, conf.bound.weight);
	adit_conn_want(r->conn, 0);
	adit_conn_own(r->conn, NULL, NULL);
	err = relay_session_start(r->conn, &conf);
	if (err < 0)
		adit_log(adit_component_log(conf.bound.component), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", adit_component_name(conf.bound.component)),
				     ADIT_STR("tunnel", tunnel)),
			 "bind: %s", adit_strerror(err));
	r->conn = NULL;
	request_free(r);
}

/* ---- visitors ----------------------------------------------------------------------- */

static int
visitor_agree(struct adit_conn *c)
{
	static const struct relay_msg ok = { .code = RELAY_OK };

	return relay_send(c, &ok);
}

static void
visitor_refuse(struct adit_conn *c, int err)
{
	const struct relay_msg answer = { .code = (uint8_t)relay_error_status(err) };

	relay_send(c, &answer);
	adit_conn_close(c, 0);
}

static struct adit_addr
request_visitor(const struct request *r)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int n = wire_addr_to_sockaddr(&r->message.addr[0], &ss);

	len = n > 0 ? (socklen_t)n : 0;
	return n > 0 ? adit_addr_from((struct sockaddr *)&ss, len) : *adit_conn_remote(r->conn);
}

static void
request_connect(struct request *r)
{
	struct join_conf conf = {
		.component = r->conf->component, .agree = visitor_agree, .refuse = visitor_refuse,
	};
	char tunnel[37], host[WIRE_ADDR_TEXT] = "";
	struct adit_uuid id;
	int err;

	if (r->message.n_addr > 1) {
		wire_addr_host(&r->message.addr[1], host);
		conf.req.port = r->message.addr[1].port;
	}
	err = request_route(r->conf, adit_conn_worker(r->conn), &r->message.tunnel.id, host, &id);
	if (err < 0) {
		request_refuse(r, relay_error_status(err), "visitor");
		return;
	}
	adit_uuid_format(&id, tunnel);
	conf.req.tunnel = tunnel;
	conf.req.network = request_network(r);
	conf.req.from = request_visitor(r);
	conf.req.host = host;
	join_visitor(r->conn, &conf);
	r->conn = NULL;
	request_free(r);
}

/* ---- the request -------------------------------------------------------------------- */

/* Checks in gost's order: the tunnel's id, the credentials, the command. */
static void
request_serve(struct request *r)
{
	static const struct adit_uuid zero;
	const struct relay_msg *m = &r->message;
	int err;

	if (!m->has_tunnel || memcmp(&m->tunnel.id, &zero, sizeof(zero)) == 0) {
		request_refuse(r, RELAY_BAD_REQUEST, "request");
		return;
	}
	err = adit_component_authenticate(r->conf->component,
					  m->has_auth ? m->auth.user : NULL, m->auth.user_len,
					  m->has_auth ? m->auth.pass : NULL, m->auth.pass_len);
	if (err < 0) {
		request_refuse(r, RELAY_UNAUTHORIZED, "request");
		return;
	}
	adit_conn_deadline(r->conn, 0);
	switch (m->code & RELAY_CMD_MASK) {
	case RELAY_BIND:
		request_bind(r);
		break;
	case RELAY_CONNECT:
		request_connect(r);
		break;
	default:
		request_refuse(r, RELAY_BAD_REQUEST, "request");
	}
}

static void
request_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct request *r = owner;
	const char *why = NULL;
	int err = relay_read(&r->in, c, &r->message, &why);

	(void)events;
	if (err == -EAGAIN)
		return;
	adit_conn_want(c, 0);
	if (err == 1) {
		request_serve(r);
		return;
	}
	if (err == -ECONNRESET && !adit_conn_err(c))
		err = r->in.len ? ADIT_ETRUNCATED : -ESHUTDOWN;
	request_lose(r, err, why ? why : adit_strerror(err));
}

void
relay_request(struct adit_conn *c, const struct request_conf *conf)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	r->conf = conf;
	r->conn = c;
	r->activity.stop = request_stop;
	adit_activity_begin(&r->activity, conf->component, adit_conn_worker(c));
	adit_conn_own(c, request_event, r);
	adit_conn_deadline(c, (unsigned)(conf->read_timeout / ADIT_MS(1)));
	adit_conn_want(c, ADIT_READ);
}
