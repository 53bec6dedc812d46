#include "core/tunnel/request.h"

#include <errno.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/ending.h"
#include "core/conn/tally.h"
#include "core/tunnel/endpoint.h"
#include "core/wire/hostname.h"

void
request_begin(struct request *r, struct adit_conn *c, const struct request_conf *conf,
	      adit_conn_cb *owner)
{
	r->conf = conf;
	r->conn = c;
	adit_activity_begin(&r->activity, conf->component, adit_conn_worker(c));
	adit_conn_own(c, owner, r);
	adit_conn_deadline(c, (unsigned)(conf->read_timeout / ADIT_MS(1)));
	adit_conn_want(c, ADIT_READ);
}

void
request_end(struct request *r)
{
	login_end(&r->login);
	adit_lookup_end(&r->lookup);
	adit_activity_end(&r->activity);
}

int
request_login(struct request *r, const struct credentials *c)
{
	return login_begin(&r->login, r->conf->gate, r->conn, c);
}

int
request_claim(struct request *r, const struct grant_claim *claim, struct permit **permit,
	      struct adit_err *e)
{
	int err = permit_new(r->conf->gate, adit_conn_worker(r->conn), r->login.who, claim, permit,
			     e);

	if (!err)
		r->login.who = NULL;
	return err;
}

unsigned
request_useful(const struct request *r, const struct permit *permit)
{
	unsigned useful = bound_useful(adit_conn_worker(r->conn)), limit = permit_limit(permit);

	return limit && limit < useful ? limit : useful;
}

int
request_lost_why(const struct request *r, int err, size_t got)
{
	if (err != -ECONNRESET || adit_conn_err(r->conn))
		return err;
	return got ? ADIT_ETRUNCATED : -ESHUTDOWN;	/* the end, and not a reset */
}

void
request_log_lost(const struct request *r, int err, const char *text)
{
	struct ending end = ending_of(r->activity.component, r->conn);

	end.kind = "handler";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_WARN, "no request: %s", text ? text : adit_strerror(err));
}

void
request_log_refused(const struct request *r, const char *what, int err, const char *reason,
		    const struct adit_uuid *tunnel)
{
	struct ending end = ending_of(r->activity.component, r->conn);
	char id[37] = "-";

	if (tunnel) {
		adit_uuid_format(tunnel, id);
		end.tunnel = id;
	}
	end.kind = "handler";
	end.how = "refused";
	end.user = r->login.who ? r->login.who->user : NULL;
	ending_log(&end, ADIT_LOG_WARN, "%s refused: %s, tunnel=%s", what, reason, id);
	tally_refusal(adit_conn_worker(r->conn), adit_component_name(r->activity.component), err);
}

void
request_log_bind(const struct request *r, const struct bound_conf *bound)
{
	const char *user = permit_user(bound->permit);
	char tunnel[37], connector[37];

	adit_uuid_format(&bound->tunnel, tunnel);
	adit_uuid_format(&bound->connector, connector);
	adit_conn_log(r->conn, ADIT_LOG_INFO, "bind: tunnel=%s, connector=%s, weight=%u%s%s",
		      tunnel, connector, bound->weight, user ? ", user=" : "", user ? user : "");
}

void
request_log_unbound(const struct bound_conf *bound, int err)
{
	char tunnel[37];

	adit_uuid_format(&bound->tunnel, tunnel);
	adit_log(adit_component_log(bound->component), ADIT_LOG_WARN,
		 ADIT_FIELDS(ADIT_STR("service", adit_component_name(bound->component)),
			     ADIT_STR("tunnel", tunnel)),
		 "bind: %s", adit_strerror(err));
}

bool
request_allows(const struct request_conf *conf, enum adit_network network, const char *host,
	       uint16_t port)
{
	return adit_component_allows(conf->component, &(struct adit_target){
		.network = network, .host = host, .port = port,
	});
}

static int
request_lookup(const struct request_conf *conf, struct adit_worker *w, const char *host,
	       struct adit_rule *rule)
{
	int err = conf->lookup(conf->arg, w, host, rule);

	return err == -EAGAIN ? ADIT_ENORULES : err;	/* it was waited for, if it could be */
}

static bool
is_public(const struct request_conf *conf, const struct adit_uuid *named)
{
	return conf->has_public_id && memcmp(named, &conf->public_id, sizeof(*named)) == 0;
}

/* Whether who names that tunnel gets it, whatever the rules say. */
static bool
is_direct(const struct request_conf *conf, const struct adit_uuid *named)
{
	return conf->direct && !is_public(conf, named);
}

bool
request_awaits_rule(struct request *r, const struct adit_uuid *named, const char *host)
{
	const struct request_conf *conf = r->conf;
	struct adit_worker *w = adit_conn_worker(r->conn);
	char name[HOSTNAME_MAX + 1];
	struct adit_rule rule;

	if (!conf->wait || (named && is_direct(conf, named)) ||
	    hostname_normalise(host, strlen(host), name) <= 0 ||
	    conf->lookup(conf->arg, w, name, &rule) != -EAGAIN)
		return false;
	r->lookup.service = adit_component_name(conf->component);
	return conf->wait(conf->arg, w, name, &r->lookup) == 0;
}

void
request_offer(const struct request *r, const struct adit_uuid *tunnel, const char *host)
{
	const struct request_conf *conf = r->conf;
	struct adit_worker *w = adit_conn_worker(r->conn);
	char endpoint[TUNNEL_ENDPOINT_LEN], name[HOSTNAME_MAX + 1];
	struct adit_offer offer = {
		.host = endpoint, .tunnel = *tunnel,
		.service = adit_component_name(conf->component),
	};
	struct adit_rule rule;
	int err;

	if (!conf->offer)
		return;
	if (tunnel_endpoint_name(tunnel, endpoint) == 0)
		conf->offer(conf->arg, w, &offer);
	if (hostname_normalise(host, strlen(host), name) <= 0)
		return;
	err = request_lookup(conf, w, name, &rule);
	if (err != ADIT_ENOROUTE &&
	    (err || memcmp(&rule.tunnel, tunnel, sizeof(*tunnel)) != 0))
		return;
	offer.host = name;
	conf->offer(conf->arg, w, &offer);
}

int
request_route(const struct request_conf *conf, struct adit_worker *w, const struct adit_uuid *named,
	      const char *host, struct adit_uuid *out)
{
	char name[HOSTNAME_MAX + 1];
	bool public_entry = is_public(conf, named);
	struct adit_rule rule;
	int err = ADIT_ENOROUTE;

	*out = *named;
	if (is_direct(conf, named))
		return 0;
	if (hostname_normalise(host, strlen(host), name) > 0)
		err = request_lookup(conf, w, name, &rule);
	if (err)
		return public_entry && err == ADIT_ENOROUTE ? ADIT_ETARGET : err;
	if (!public_entry)
		return memcmp(&rule.tunnel, named, sizeof(*named)) == 0 ? 0 : ADIT_ENOROUTE;
	*out = rule.tunnel;
	return rule.private_ ? ADIT_ENOROUTE : 0;
}
