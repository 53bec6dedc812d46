#include "core/tunnel/native_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/ending.h"
#include "core/tunnel/endpoint.h"
#include "core/tunnel/join.h"
#include "core/tunnel/native_conn.h"
#include "core/tunnel/native_session.h"

struct request {
	struct adit_activity		 activity;
	const struct request_conf	*conf;	/* lives as long as activity's component */
	struct adit_conn		*conn;	/* owned */
	struct collected		 in;
	struct native_msg		 message;
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

/* It was closed by its peer, by its limit, or said what is no request. */
static void
request_lose(struct request *r, int err, const char *text)
{
	bool hears = err == -EBADMSG || err == -ETIMEDOUT;
	int failed = hears ? native_send_refusal(r->conn, err, text) : err;
	struct ending end = ending_of(r->activity.component, r->conn);

	end.kind = "handler";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_WARN, "no request: %s", text ? text : adit_strerror(err));
	adit_conn_close(r->conn, failed);
	request_free(r);
}

static void
request_refuse(struct request *r, int err, const char *text)
{
	int failed = native_send_refusal(r->conn, err, text);
	struct ending end = ending_of(r->activity.component, r->conn);
	char id[37];

	adit_uuid_format(&r->message.tunnel, id);
	end.kind = "handler";
	end.tunnel = native_has(&r->message, NATIVE_F_TUNNEL) ? id : NULL;
	end.how = "refused";
	ending_log(&end, ADIT_LOG_WARN, "request refused: %s%s%s, tunnel=%s", adit_strerror(err),
		   text ? ": " : "", text ? text : "", end.tunnel ? id : "-");
	adit_conn_close(r->conn, failed);
	request_free(r);
}

static void
request_stop(struct adit_activity *a, int why)
{
	struct request *r = adit_container_of(a, struct request, activity);

	native_refuse(r->conn, why ? why : ADIT_EDRAINING, NULL);
	request_free(r);
}

/* ---- clients ------------------------------------------------------------------------ */

/* The host name is the endpoint's, unless the client asked for one. */
static void
request_answer(struct request *r, const struct bound_conf *bound, struct native_msg *answer)
{
	char name[TUNNEL_ENDPOINT_LEN];

	*answer = (struct native_msg){
		.type = NATIVE_ANSWER, .status = NATIVE_OK, .version = NATIVE_VERSION,
		.connector = bound->connector, .port = r->message.port,
		.network = r->message.network,
		.connections = bound_useful(adit_conn_worker(r->conn)),
		.has = 1u << NATIVE_F_STATUS | 1u << NATIVE_F_VERSION | 1u << NATIVE_F_CONNECTOR |
		       1u << NATIVE_F_NETWORK | 1u << NATIVE_F_PORT | 1u << NATIVE_F_CONNECTIONS,
	};
	if (r->conf->names && *r->message.host) {
		native_set_text(answer, NATIVE_F_HOST, r->message.host);
	} else {
		tunnel_endpoint_name(&bound->tunnel, name);
		native_set_text(answer, NATIVE_F_HOST, name);
	}
}

static void
request_bind(struct request *r)
{
	const struct native_msg *m = &r->message;
	struct native_session_conf conf = {
		.bound = {
			.component = r->conf->component,
			.tunnel = m->tunnel,
			.connector = native_has(m, NATIVE_F_CONNECTOR) ? m->connector :
				     adit_uuid_random(),
			.network = m->network == NATIVE_UDP ? ADIT_UDP : ADIT_TCP,
			.weight = native_has(m, NATIVE_F_WEIGHT) ? m->weight : 1,
			.visitor_address = m->flags & NATIVE_SHOWS_VISITOR,
		},
		.bind = m->bind,
	};
	struct native_msg answer;
	char tunnel[37], connector[37];
	int err;

	if (native_has(m, NATIVE_F_CONNECTOR))
		memcpy(conf.bound.client.id, &m->connector, sizeof(conf.bound.client.id));
	request_answer(r, &conf.bound, &answer);
	conf.answer = &answer;
	adit_uuid_format(&conf.bound.tunnel, tunnel);
	adit_uuid_format(&conf.bound.connector, connector);
	adit_conn_log(r->conn, ADIT_LOG_INFO, "bind: tunnel=%s, connector=%s, weight=%u", tunnel,
		      connector, conf.bound.weight);
	err = native_session_start(r->conn, &conf);
	if (err < 0)
		adit_log(adit_component_log(conf.bound.component), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", adit_component_name(conf.bound.component)),
				     ADIT_STR("tunnel", tunnel)),
			 "bind: %s", adit_strerror(err));
	request_free(r);
}

/* ---- visitors ----------------------------------------------------------------------- */

static int
visitor_agree(struct adit_conn *c)
{
	adit_conn_agree(c);
	return adit_conn_err(c);
}

static void
request_open(struct request *r)
{
	const struct native_msg *m = &r->message;
	struct join_conf conf = {
		.component = r->conf->component, .agree = visitor_agree, .refuse = adit_conn_close,
		.req = {
			.network = m->network == NATIVE_UDP ? ADIT_UDP : ADIT_TCP,
			.host = m->host, .port = m->port, .from = native_visitor(m),
		},
	};
	struct adit_conn *visitor;
	char tunnel[37];
	struct adit_uuid id;
	int err = request_route(r->conf, adit_conn_worker(r->conn), &m->tunnel, m->host, &id);

	if (err < 0) {
		request_refuse(r, err, NULL);
		return;
	}
	if (!conf.req.from.family)
		conf.req.from = *adit_conn_remote(r->conn);
	adit_uuid_format(&id, tunnel);
	conf.req.tunnel = tunnel;
	visitor = native_answer_to(r->conn, m);
	if (visitor)
		join_visitor(visitor, &conf);
	request_free(r);
}

/* ---- the request -------------------------------------------------------------------- */

static void
request_serve(struct request *r)
{
	static const struct adit_uuid zero;
	const struct native_msg *m = &r->message;
	bool has_user = native_has(m, NATIVE_F_USER);

	if (m->type != NATIVE_BIND && m->type != NATIVE_OPEN) {
		request_refuse(r, -ENOTSUP, NULL);
		return;
	}
	if (memcmp(&m->tunnel, &zero, sizeof(zero)) == 0) {
		request_refuse(r, -EBADMSG, "no tunnel");
		return;
	}
	if (m->network > NATIVE_UDP) {
		request_refuse(r, -ENOTSUP, "no such network");
		return;
	}
	if (adit_component_authenticate(r->conf->component, has_user ? m->user : NULL,
					strlen(m->user), has_user ? m->password : NULL,
					strlen(m->password)) < 0) {
		request_refuse(r, ADIT_EUNAUTH, NULL);
		return;
	}
	adit_conn_deadline(r->conn, 0);
	if (m->type == NATIVE_BIND)
		request_bind(r);
	else
		request_open(r);
}

static void
request_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct request *r = owner;
	const char *why = NULL;
	int err = native_read(&r->in, c, &r->message, &why);

	(void)events;
	if (err == -EAGAIN)
		return;
	adit_conn_want(c, 0);
	if (err == -ECONNRESET && !adit_conn_err(c))
		err = r->in.len ? ADIT_ETRUNCATED : -ESHUTDOWN;
	if (err == 1)
		request_serve(r);
	else
		request_lose(r, err, why);
}

void
native_request(struct adit_conn *c, const struct request_conf *conf)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r || adit_conn_flags(c) & (ADIT_CONN_DGRAM | ADIT_CONN_UNI)) {
		adit_conn_close(c, r ? -ENOTSUP : -ENOMEM);
		free(r);
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
