#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/ending.h"
#include "core/tunnel/endpoint.h"
#include "core/tunnel/join.h"
#include "core/tunnel/relay_conn.h"
#include "core/tunnel/relay_request.h"
#include "core/tunnel/relay_session.h"

struct relay_ask {
	struct request		base;
	struct collected	in;
	struct relay_msg	message;
};

/* ---- a request's end ------------------------------------------------------------------ */

static void
relay_ask_free(struct relay_ask *r)
{
	collected_fini(&r->in);
	explicit_bzero(&r->message, sizeof(r->message));
	request_end(&r->base);
	free(r);
}

static void
relay_ask_lose(struct relay_ask *r, int err, const char *text)
{
	request_log_lost(&r->base, err, text);
	adit_conn_close(r->base.conn, err == -ETIMEDOUT ? 0 : err);
	relay_ask_free(r);
}

/* Answers with a status and closes, as a gost does after any but OK. why: NULL, it says enough. */
static void
relay_ask_refuse(struct relay_ask *r, unsigned status, const char *what, const char *why)
{
	const struct relay_msg answer = { .code = (uint8_t)status };

	relay_send(r->base.conn, &answer);
	request_log_refused(&r->base, what, relay_status_error(status),
			    why ? why : relay_status_text(status),
			    r->message.has_tunnel ? &r->message.tunnel.id : NULL);
	adit_conn_close(r->base.conn, 0);
	relay_ask_free(r);
}

static enum adit_network
relay_ask_network(const struct relay_ask *r)
{
	return relay_msg_network(&r->message) == RELAY_NET_UDP ? ADIT_UDP : ADIT_TCP;
}

static void
relay_ask_stop(struct adit_activity *a, int why)
{
	struct relay_ask *r = adit_container_of(a, struct relay_ask, base.activity);

	if (!why && adit_component_has_grace(a->component))
		return;
	relay_ask_lose(r, why ? why : ADIT_EDRAINING, adit_strerror(ADIT_EDRAINING));
}

/* ---- clients ------------------------------------------------------------------------ */

/* The host name in the answer: the endpoint's, unless the client asked for one. */
static void
relay_ask_answer(struct relay_ask *r, const struct bound_conf *bound, struct relay_msg *answer)
{
	const struct wire_addr *wanted = &r->message.addr[1];
	bool udp = relay_msg_network(&r->message) == RELAY_NET_UDP;

	*answer = (struct relay_msg){ .code = RELAY_OK, .n_addr = 1, .has_tunnel = true };
	answer->addr[0] = *wanted;
	if (wire_addr_is_any(wanted) || !r->base.conf->names || wanted->type != WIRE_ADDR_NAME) {
		answer->addr[0] = (struct wire_addr){ .type = WIRE_ADDR_NAME, .len = 16 };
		tunnel_endpoint_name(&r->message.tunnel.id, answer->addr[0].name);
		answer->addr[0].port = wanted->port;
	}
	answer->tunnel = (struct relay_tunnel){
		.id = bound->connector, .flags = udp ? RELAY_CONNECTOR_UDP : 0,
		.weight = r->message.tunnel.weight,
	};
	if (r->message.tunnel.has_client)
		answer->tunnel.sessions = (uint8_t)request_useful(&r->base, bound->permit);
}

/* Which host it is about: its second address, unless that is any; "": none. */
static void
relay_ask_host(const struct relay_ask *r, char host[WIRE_ADDR_TEXT])
{
	const struct relay_msg *m = &r->message;

	*host = '\0';
	if (m->n_addr > 1 && !wire_addr_is_any(&m->addr[1]))
		wire_addr_host(&m->addr[1], host);
}

/* What a request claims. */
static int
relay_ask_claim(struct relay_ask *r, enum grant_role role, struct permit **permit)
{
	const struct relay_msg *m = &r->message;
	char host[WIRE_ADDR_TEXT];
	const struct grant_claim claim = {
		.role = role, .tunnel = m->tunnel.id, .host = host, .weight = m->tunnel.weight,
	};
	struct adit_err e = ADIT_ERR_INIT;
	char reason[ENDING_REASON];
	int err;

	relay_ask_host(r, host);
	err = request_claim(&r->base, &claim, permit, &e);
	if (err)
		relay_ask_refuse(r, relay_error_status(err),
				 role == GRANT_CLIENT ? "request" : "visitor",
				 ending_reason(err, e.text, reason));
	return err;
}

/* To an adit, which shows it to who has started it. url: lives as long as answer. */
static void
relay_ask_tell_url(const struct relay_ask *r, const char *url, struct relay_msg *answer)
{
	if (!*url || !r->message.tunnel.has_client)
		return;
	answer->n_pair = 1;
	answer->pair[0] = (struct relay_pair){
		.key = RELAY_PAIR_URL, .key_len = sizeof(RELAY_PAIR_URL) - 1,
		.value = url, .value_len = (uint8_t)strlen(url),
	};
}

static void
relay_ask_bind(struct relay_ask *r)
{
	const struct relay_tunnel *asked = &r->message.tunnel;
	struct relay_session_conf conf = {
		.bound = {
			.component = r->base.conf->component,
			.tunnel = asked->id,
			.connector = asked->has_client ? asked->client : adit_uuid_random(),
			.network = relay_ask_network(r),
			.weight = asked->weight,
			.visitor_address = asked->hints & RELAY_TUNNEL_SHOWS_VISITOR,
			.from = *adit_conn_remote(r->base.conn),
			.temporary = &r->base.conf->temporary,
		},
		.smux = r->base.conf->smux,
	};
	char url[TEMPORARY_URL_SIZE], host[WIRE_ADDR_TEXT];
	struct relay_msg answer;
	int err;

	if (r->message.n_addr < 2) {	/* nothing to answer with: a gost closes without a word */
		relay_ask_lose(r, -EBADMSG, "bind with less than two addresses");
		return;
	}
	if (relay_ask_claim(r, GRANT_CLIENT, &conf.bound.permit) < 0)
		return;
	if (asked->has_client)
		memcpy(conf.bound.client.id, &asked->client, sizeof(conf.bound.client.id));
	relay_ask_answer(r, &conf.bound, &answer);
	temporary_url(conf.bound.temporary, &asked->id, conf.bound.network, url);
	relay_ask_tell_url(r, url, &answer);
	conf.answer = &answer;
	request_log_bind(&r->base, &conf.bound);
	relay_ask_host(r, host);
	request_offer(&r->base, &asked->id, host);
	adit_conn_want(r->base.conn, 0);
	adit_conn_own(r->base.conn, NULL, NULL);
	err = relay_session_start(r->base.conn, &conf);
	if (err < 0)
		request_log_unbound(&conf.bound, err);
	r->base.conn = NULL;
	relay_ask_free(r);
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
relay_ask_visitor(const struct relay_ask *r)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int n = wire_addr_to_sockaddr(&r->message.addr[0], &ss);

	len = n > 0 ? (socklen_t)n : 0;
	return n > 0 ? adit_addr_from((struct sockaddr *)&ss, len) :
		       *adit_conn_remote(r->base.conn);
}

static void
relay_ask_connect(struct relay_ask *r)
{
	struct join_conf conf = {
		.component = r->base.conf->component,
		.agree = visitor_agree, .refuse = visitor_refuse,
	};
	char tunnel[37], host[WIRE_ADDR_TEXT] = "";
	struct adit_uuid id;
	int err;

	if (relay_ask_claim(r, GRANT_VISITOR, &conf.permit) < 0)
		return;
	if (r->message.n_addr > 1) {
		wire_addr_host(&r->message.addr[1], host);
		conf.req.port = r->message.addr[1].port;
	}
	err = request_route(r->base.conf, adit_conn_worker(r->base.conn), &r->message.tunnel.id,
			    host, &id);
	if (!request_allows(r->base.conf, relay_ask_network(r), host, conf.req.port))
		err = ADIT_EFORBIDDEN;
	if (err < 0) {
		permit_end(conf.permit);
		relay_ask_refuse(r, relay_error_status(err), "visitor", NULL);
		return;
	}
	adit_uuid_format(&id, tunnel);
	conf.req.tunnel = tunnel;
	conf.req.network = relay_ask_network(r);
	conf.req.from = relay_ask_visitor(r);
	conf.req.host = host;
	join_visitor(r->base.conn, &conf);
	r->base.conn = NULL;
	relay_ask_free(r);
}

/* ---- the request -------------------------------------------------------------------- */

static void
relay_ask_go(struct relay_ask *r)
{
	switch (r->message.code & RELAY_CMD_MASK) {
	case RELAY_BIND:
		relay_ask_bind(r);
		break;
	case RELAY_CONNECT:
		relay_ask_connect(r);
		break;
	default:
		relay_ask_refuse(r, RELAY_BAD_REQUEST, "request", NULL);
	}
}

static void
relay_ask_known(struct adit_lookup *q)
{
	relay_ask_go(adit_container_of(q, struct relay_ask, base.lookup));
}

static void
relay_ask_logged_in(struct login *l, int err)
{
	struct relay_ask *r = adit_container_of(l, struct relay_ask, base.login);
	bool bind = (r->message.code & RELAY_CMD_MASK) == RELAY_BIND;
	char host[WIRE_ADDR_TEXT];

	if (err < 0) {
		relay_ask_refuse(r, relay_error_status(err), "request",
				 err == ADIT_EUNAUTH ? NULL : adit_strerror(err));
		return;
	}
	adit_conn_deadline(r->base.conn, 0);
	relay_ask_host(r, host);
	if (!*host || !request_awaits_rule(&r->base, bind ? NULL : &r->message.tunnel.id, host))
		relay_ask_go(r);
}

/* Checks in gost's order: the tunnel's id, the credentials, the command. */
static void
relay_ask_serve(struct relay_ask *r)
{
	static const struct adit_uuid zero;
	const struct relay_msg *m = &r->message;
	const struct credentials c = {
		.user = m->has_auth ? m->auth.user : NULL, .user_len = m->auth.user_len,
		.password = m->auth.pass, .password_len = m->auth.pass_len,
	};
	int err;

	if (!m->has_tunnel || memcmp(&m->tunnel.id, &zero, sizeof(zero)) == 0) {
		relay_ask_refuse(r, RELAY_BAD_REQUEST, "request", NULL);
		return;
	}
	err = request_login(&r->base, &c);
	if (err != -EINPROGRESS)
		relay_ask_logged_in(&r->base.login, err);
}

static void
relay_ask_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct relay_ask *r = owner;
	const char *why = NULL;
	int err = relay_read(&r->in, c, &r->message, &why);

	(void)events;
	if (err == -EAGAIN)
		return;
	adit_conn_want(c, 0);
	if (err == 1) {
		relay_ask_serve(r);
		return;
	}
	if (err < 0)
		err = request_lost_why(&r->base, err, r->in.len);
	relay_ask_lose(r, err, why);
}

void
relay_request(struct adit_conn *c, const struct request_conf *conf)
{
	struct relay_ask *r = calloc(1, sizeof(*r));

	if (!r) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	r->base.activity.stop = relay_ask_stop;
	r->base.login.done = relay_ask_logged_in;
	r->base.lookup.known = relay_ask_known;
	request_begin(&r->base, c, conf, relay_ask_event);
}
