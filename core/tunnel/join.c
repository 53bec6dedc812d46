#include "core/tunnel/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/pump.h>

#define HALF_CLOSED_NS ADIT_SECONDS(60)

struct joining {
	struct adit_activity	 activity;
	struct adit_conn	*visitor, *far;	/* owned, until the pump has them */
	struct adit_pump	*pump;
	int			(*agree)(struct adit_conn *c);
	void			(*refuse)(struct adit_conn *c, int err);
	char			 tunnel[ADIT_TUNNEL_NAME_MAX + 1];
};

static void
join_free(struct joining *j)
{
	adit_activity_end(&j->activity);
	free(j);
}

static void
join_close(struct joining *j, int why)
{
	adit_conn_close(j->visitor, why);
	adit_conn_close(j->far, why);
	join_free(j);
}

static void
join_refuse(struct joining *j, int err)
{
	adit_conn_log(j->visitor, ADIT_LOG_WARN, "visitor refused: %s, tunnel=%s",
		      adit_strerror(err), j->tunnel);
	j->refuse(j->visitor, err);
	adit_conn_close(j->far, err);
	join_free(j);
}

static void
join_stop(struct adit_activity *a, int why)
{
	struct joining *j = adit_container_of(a, struct joining, activity);

	if (j->pump && why)
		adit_pump_stop(j->pump, why);
	else if (!j->pump)
		join_refuse(j, why ? why : ADIT_EDRAINING);
}

static void
join_done(void *arg, const struct adit_pump_stats *stats)
{
	static const char *const sides[] = { "nobody", "visitor", "client" };
	struct joining *j = arg;
	struct adit_component *p = j->activity.component;

	adit_log(adit_component_log(p), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("service", adit_component_name(p)),
			     ADIT_STR("tunnel", j->tunnel),
			     ADIT_UINT("inputBytes", stats->bytes[0]),
			     ADIT_UINT("outputBytes", stats->bytes[1]),
			     ADIT_DURATION("duration", stats->duration),
			     ADIT_STR("endedBy", sides[stats->side + 1]),
			     ADIT_STR("how", stats->how)),
		 "visitor >< tunnel");
	join_free(j);
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
	adit_conn_want(far, 0);
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
		adit_conn_close(visitor, -ENOMEM);
		return;
	}
	j->visitor = visitor;
	j->agree = conf->agree;
	j->refuse = conf->refuse;
	memcpy(j->tunnel, conf->req.tunnel, strnlen(conf->req.tunnel, ADIT_TUNNEL_NAME_MAX));
	j->activity.stop = join_stop;
	adit_activity_begin(&j->activity, conf->component, w);
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
