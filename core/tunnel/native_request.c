#include "core/tunnel/native_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/ending.h"
#include "core/tunnel/endpoint.h"
#include "core/tunnel/join.h"
#include "core/tunnel/native_conn.h"
#include "core/tunnel/native_session.h"

struct native_ask {
	struct request		base;
	struct collected	in;
	struct native_msg	message;
};

/* ---- a request's end ------------------------------------------------------------------ */

static void
native_ask_free(struct native_ask *r)
{
	collected_fini(&r->in);
	explicit_bzero(&r->message, sizeof(r->message));
	request_end(&r->base);
	free(r);
}

static void
native_ask_lose(struct native_ask *r, int err, const char *text)
{
	bool hears = err == -EBADMSG || err == -ETIMEDOUT;
	int failed = hears ? native_send_refusal(r->base.conn, err, text) : err;

	request_log_lost(&r->base, err, text);
	adit_conn_close(r->base.conn, failed);
	native_ask_free(r);
}

static void
native_ask_refuse(struct native_ask *r, int err, const char *text)
{
	int failed = native_send_refusal(r->base.conn, err, text);
	bool named = native_has(&r->message, NATIVE_F_TUNNEL);
	char reason[ENDING_REASON];

	request_log_refused(&r->base, "request", err, ending_reason(err, text, reason),
			    named ? &r->message.tunnel : NULL);
	adit_conn_close(r->base.conn, failed);
	native_ask_free(r);
}

static void
native_ask_stop(struct adit_activity *a, int why)
{
	struct native_ask *r = adit_container_of(a, struct native_ask, base.activity);
	struct adit_mux *m = adit_conn_mux(r->base.conn);

	/* Who may not know yet that we go is served. */
	if (!why && (adit_component_has_grace(a->component) || (m && !adit_mux_draining(m))))
		return;
	native_refuse(r->base.conn, why ? why : ADIT_EDRAINING, NULL);
	native_ask_free(r);
}

/* ---- clients ------------------------------------------------------------------------ */

/* The host name is the endpoint's, unless the client asked for one. */
static void
native_ask_answer(struct native_ask *r, const struct bound_conf *bound, struct native_msg *answer)
{
	char name[TUNNEL_ENDPOINT_LEN], url[TEMPORARY_URL_SIZE];

	*answer = (struct native_msg){
		.type = NATIVE_ANSWER, .status = NATIVE_OK, .version = NATIVE_VERSION,
		.connector = bound->connector, .port = r->message.port,
		.network = r->message.network,
		.connections = request_useful(&r->base, bound->permit),
		.has = 1u << NATIVE_F_STATUS | 1u << NATIVE_F_VERSION | 1u << NATIVE_F_CONNECTOR |
		       1u << NATIVE_F_NETWORK | 1u << NATIVE_F_PORT | 1u << NATIVE_F_CONNECTIONS,
	};
	if (r->base.conf->names && *r->message.host) {
		native_set_text(answer, NATIVE_F_HOST, r->message.host);
	} else {
		tunnel_endpoint_name(&bound->tunnel, name);
		native_set_text(answer, NATIVE_F_HOST, name);
	}
	if (*temporary_url(bound->temporary, &bound->tunnel, bound->network, url))
		native_set_text(answer, NATIVE_F_TEXT, url);
}

static int
native_ask_claim(struct native_ask *r, enum grant_role role, struct permit **permit)
{
	const struct native_msg *m = &r->message;
	const struct grant_claim claim = {
		.role = role, .tunnel = m->tunnel, .host = m->host,
		.weight = native_has(m, NATIVE_F_WEIGHT) ? m->weight : 1,
	};
	struct adit_err e = ADIT_ERR_INIT;
	int err = request_claim(&r->base, &claim, permit, &e);

	if (err)
		native_ask_refuse(r, err, e.text);
	return err;
}

static void
native_ask_bind(struct native_ask *r)
{
	const struct native_msg *m = &r->message;
	struct native_session_conf conf = {
		.bound = {
			.component = r->base.conf->component,
			.tunnel = m->tunnel,
			.connector = native_has(m, NATIVE_F_CONNECTOR) ? m->connector :
				     adit_uuid_random(),
			.network = m->network == NATIVE_UDP ? ADIT_UDP : ADIT_TCP,
			.weight = native_has(m, NATIVE_F_WEIGHT) ? m->weight : 1,
			.visitor_address = m->flags & NATIVE_SHOWS_VISITOR,
			.from = *adit_conn_remote(r->base.conn),
			.temporary = &r->base.conf->temporary,
		},
		.bind = m->bind,
	};
	struct native_msg answer;
	int err;

	if (native_ask_claim(r, GRANT_CLIENT, &conf.bound.permit) < 0)
		return;
	if (native_has(m, NATIVE_F_CONNECTOR))
		memcpy(conf.bound.client.id, &m->connector, sizeof(conf.bound.client.id));
	native_ask_answer(r, &conf.bound, &answer);
	conf.answer = &answer;
	request_log_bind(&r->base, &conf.bound);
	request_offer(&r->base, &m->tunnel, m->host);
	err = native_session_start(r->base.conn, &conf);
	if (err < 0)
		request_log_unbound(&conf.bound, err);
	native_ask_free(r);
}

/* ---- visitors ----------------------------------------------------------------------- */

static int
visitor_agree(struct adit_conn *c)
{
	adit_conn_agree(c);
	return adit_conn_err(c);
}

static void
native_ask_open(struct native_ask *r)
{
	const struct native_msg *m = &r->message;
	struct join_conf conf = {
		.component = r->base.conf->component,
		.agree = visitor_agree, .refuse = adit_conn_close,
		.req = {
			.network = m->network == NATIVE_UDP ? ADIT_UDP : ADIT_TCP,
			.host = m->host, .port = m->port, .from = native_visitor(m),
		},
	};
	struct adit_conn *visitor;
	char tunnel[37];
	struct adit_uuid id;
	int err;

	if (native_ask_claim(r, GRANT_VISITOR, &conf.permit) < 0)
		return;
	err = request_route(r->base.conf, adit_conn_worker(r->base.conn), &m->tunnel, m->host,
			    &id);
	if (!request_allows(r->base.conf, conf.req.network, m->host, m->port))
		err = ADIT_EFORBIDDEN;
	if (err < 0) {
		permit_end(conf.permit);
		native_ask_refuse(r, err, NULL);
		return;
	}
	if (!conf.req.from.family)
		conf.req.from = *adit_conn_remote(r->base.conn);
	adit_uuid_format(&id, tunnel);
	conf.req.tunnel = tunnel;
	visitor = native_answer_to(r->base.conn, m);
	if (visitor)
		join_visitor(visitor, &conf);
	else
		permit_end(conf.permit);
	native_ask_free(r);
}

/* ---- the request -------------------------------------------------------------------- */

static void
native_ask_go(struct native_ask *r)
{
	if (r->message.type == NATIVE_BIND)
		native_ask_bind(r);
	else
		native_ask_open(r);
}

static void
native_ask_known(struct adit_lookup *q)
{
	native_ask_go(adit_container_of(q, struct native_ask, base.lookup));
}

static void
native_ask_logged_in(struct login *l, int err)
{
	struct native_ask *r = adit_container_of(l, struct native_ask, base.login);
	const struct native_msg *m = &r->message;

	if (err < 0) {
		native_ask_refuse(r, err, NULL);
		return;
	}
	adit_conn_deadline(r->base.conn, 0);
	if (!*m->host || !request_awaits_rule(&r->base, m->type == NATIVE_BIND ? NULL : &m->tunnel,
					      m->host))
		native_ask_go(r);
}

static void
native_ask_serve(struct native_ask *r)
{
	static const struct adit_uuid zero;
	const struct native_msg *m = &r->message;
	const struct credentials c = {
		.user = native_has(m, NATIVE_F_USER) ? m->user : NULL,
		.user_len = strlen(m->user),
		.password = m->password, .password_len = strlen(m->password),
	};
	int err;

	if (m->type != NATIVE_BIND && m->type != NATIVE_OPEN) {
		native_ask_refuse(r, -ENOTSUP, NULL);
		return;
	}
	if (memcmp(&m->tunnel, &zero, sizeof(zero)) == 0) {
		native_ask_refuse(r, -EBADMSG, "no tunnel");
		return;
	}
	if (m->network > NATIVE_UDP) {
		native_ask_refuse(r, -ENOTSUP, "no such network");
		return;
	}
	err = request_login(&r->base, &c);
	if (err != -EINPROGRESS)
		native_ask_logged_in(&r->base.login, err);
}

static void
native_ask_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct native_ask *r = owner;
	const char *why = NULL;
	int err = native_read(&r->in, c, &r->message, &why);

	(void)events;
	if (err == -EAGAIN)
		return;
	adit_conn_want(c, 0);
	if (err < 0)
		err = request_lost_why(&r->base, err, r->in.len);
	if (err == 1)
		native_ask_serve(r);
	else
		native_ask_lose(r, err, why);
}

void
native_request(struct adit_conn *c, const struct request_conf *conf)
{
	struct native_ask *r = calloc(1, sizeof(*r));

	if (!r || adit_conn_flags(c) & (ADIT_CONN_DGRAM | ADIT_CONN_UNI)) {
		adit_conn_close(c, r ? -ENOTSUP : -ENOMEM);
		free(r);
		return;
	}
	r->base.activity.stop = native_ask_stop;
	r->base.login.done = native_ask_logged_in;
	r->base.lookup.known = native_ask_known;
	request_begin(&r->base, c, conf, native_ask_event);
}
