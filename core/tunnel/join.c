#include "core/tunnel/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/pump.h>

#include "core/conn/ending.h"
#include "core/conn/framed.h"
#include "core/conn/patience.h"
#include "core/conn/tally.h"

struct joining {
	struct adit_activity	 activity;
	struct adit_conn	*visitor, *far;	/* owned, until the pump has them */
	struct adit_pump	*pump;
	int			(*agree)(struct adit_conn *c);
	void			(*refuse)(struct adit_conn *c, int err);
	bool			 datagrams;
	struct adit_worker	*worker;
	struct permit		*permit;	/* owned, or NULL */
	uint64_t		 id, born;	/* of visitor, for the log */
	struct adit_addr	 remote;
	char			*host;		/* owned; NULL if he named none */
	char			 tunnel[ADIT_TUNNEL_NAME_MAX + 1];
};

static void
join_free(struct joining *j)
{
	permit_end(j->permit);
	adit_activity_end(&j->activity);
	free(j->host);
	free(j);
}

/* Nothing was joined: bytes and time are those of the visitor's conn so far, if he has one yet. */
static void
join_log_failure(const struct joining *j, const char *how, const char *text)
{
	struct ending end = {
		.component = j->activity.component, .kind = "handler", .id = j->id,
		.worker = j->worker, .remote = &j->remote,
		.user = permit_user(j->permit), .host = j->host, .tunnel = j->tunnel,
		.duration = adit_now() - j->born, .how = how,
	};

	if (j->visitor)
		end.traffic = *adit_conn_traffic(j->visitor);
	ending_log(&end, ADIT_LOG_WARN, "visitor refused: %s, tunnel=%s", text, j->tunnel);
}

static void
join_tally(const struct joining *j, int err)
{
	tally_refusal(j->worker, adit_component_name(j->activity.component), err);
}

static void
join_close(struct joining *j, int why)
{
	join_tally(j, why);
	join_log_failure(j, ending_how(why), adit_strerror(why));
	adit_conn_close(j->visitor, why);
	adit_conn_close(j->far, why);
	join_free(j);
}

static void
join_refuse(struct joining *j, int err)
{
	join_tally(j, err);
	join_log_failure(j, "refused", adit_strerror(err));
	j->refuse(j->visitor, err);
	adit_conn_close(j->far, err);
	join_free(j);
}

static void
join_stop(struct adit_activity *a, int why)
{
	struct joining *j = adit_container_of(a, struct joining, activity);

	if (j->pump && (why || (j->datagrams && adit_pump_silence(j->pump) >= QUIET_NS)))
		adit_pump_stop(j->pump, why);
	else if (!j->pump)
		join_refuse(j, why ? why : ADIT_EDRAINING);
}

static void
join_withdrawn(void *arg, const struct adit_err *why)
{
	struct joining *j = arg;

	join_stop(&j->activity, why->code);
}

static void
join_done(void *arg, const struct adit_pump_stats *stats)
{
	struct joining *j = arg;
	const struct ending end = {
		.component = j->activity.component, .kind = "handler", .id = j->id,
		.worker = j->worker, .remote = &j->remote,
		.user = permit_user(j->permit), .host = j->host, .tunnel = j->tunnel,
		.traffic = { stats->bytes[0], stats->bytes[1] },
		.dropped = stats->dropped[0] + stats->dropped[1],
		.duration = adit_now() - j->born,
		.by = ending_side(stats->side, "visitor", "client"), .how = stats->how,
	};
	char remote[ADIT_ADDR_TEXT];

	ending_log(&end, ADIT_LOG_INFO, "%s >< tunnel", adit_addr_format(&j->remote, remote));
	join_free(j);
}

/*
 * A visitor of a tunnel's UDP has his datagrams framed, in a protocol that has bytes alone. False:
 * out of memory, and he is closed.
 */
static bool
join_same_kind(struct joining *j)
{
	if (adit_conn_flags(j->far) & ~adit_conn_flags(j->visitor) & ADIT_CONN_DGRAM)
		j->visitor = framed_conn(j->visitor);
	return j->visitor;
}

static void
join_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	const struct adit_pump_opts opts = { .size = sizeof(opts), .half_closed = HALF_CLOSED_NS };
	struct joining *j = owner;
	int err = adit_conn_err(far);

	(void)events;
	if (err) {
		join_refuse(j, err);
		return;
	}
	err = j->agree(j->visitor);
	if (err < 0) {
		join_close(j, err);
		return;
	}
	if (!join_same_kind(j)) {
		join_close(j, -ENOMEM);
		return;
	}
	adit_conn_want(far, 0);
	j->datagrams = adit_conn_flags(far) & ADIT_CONN_DGRAM;
	j->pump = adit_pump(j->visitor, far, &opts, join_done, j);
	j->visitor = j->far = NULL;
	if (!j->pump)
		join_free(j);
}

/* A visitor who goes while the far side is being opened is noticed by the pump. */
static void
join_idle(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

void
join_visitor(struct adit_conn *visitor, const struct join_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(visitor);
	struct joining *j = calloc(1, sizeof(*j));
	struct adit_err e = ADIT_ERR_INIT;

	if (!j) {
		permit_end(conf->permit);
		adit_conn_close(visitor, -ENOMEM);
		return;
	}
	j->visitor = visitor;
	j->id = adit_conn_id(visitor);
	j->worker = adit_conn_worker(visitor);
	j->born = adit_now() - adit_conn_age(visitor);
	j->remote = *adit_conn_remote(visitor);
	j->host = conf->req.host && *conf->req.host ? strdup(conf->req.host) : NULL;
	j->agree = conf->agree;
	j->refuse = conf->refuse;
	memcpy(j->tunnel, conf->req.tunnel, strnlen(conf->req.tunnel, ADIT_TUNNEL_NAME_MAX));
	j->activity.stop = join_stop;
	adit_activity_begin(&j->activity, conf->component, w);
	j->permit = conf->permit;
	permit_own(j->permit, join_withdrawn, j);
	adit_conn_own(visitor, join_idle, j);
	adit_conn_want(visitor, 0);
	j->far = adit_tunnel_open(w, &conf->req, NULL, &e);
	if (!j->far) {
		join_refuse(j, e.code);
		return;
	}
	adit_conn_own(j->far, join_far_event, j);
	adit_conn_want(j->far, ADIT_OPEN);
}
