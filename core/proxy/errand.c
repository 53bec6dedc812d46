#include "core/proxy/errand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/pump.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/conn/opening.h"
#include "core/conn/patience.h"

struct errand {
	struct adit_activity	 activity;
	const struct errand_ops	*ops;
	void			*arg;
	struct adit_handler	*handler;
	struct adit_conn	*near, *far;	/* owned until the pump has them */
	struct adit_pump	*pump;
	struct adit_timer	*later;		/* a failure that was known at once */
	int			 failure;	/* it, or of the node before; 0: none */
	char			*why;		/* it in words; owned; NULL: there are none */
	uint64_t		 idle;
	struct adit_tried	 tried;		/* of a forwarder's nodes */
	bool			 forward, datagrams;
	enum adit_network	 network;	/* asked for; of no node of a forwarder's */
	const struct adit_worker *worker;
	uint64_t		 id, born;	/* of near, for the log */
	struct adit_addr	 remote;
	char			 host[];	/* "" if nothing was named */
};

static void
errand_end(struct errand *n)
{
	const struct errand_ops *ops = n->ops;
	void *arg = n->arg;

	/* What arg lives in may be kept by nothing but the activity. */
	if (ops && ops->over)
		ops->over(arg);
	adit_timer_free(n->later);
	adit_activity_end(&n->activity);
	free(n->why);
	free(n);
}

static const char *
errand_host(const struct errand *n)
{
	return *n->host ? n->host : NULL;
}

/* Nothing was joined: bytes and time are those of who asked, whose conn may be gone by now. */
static struct ending
errand_ending(const struct errand *n, int err)
{
	struct ending end = {
		.component = n->activity.component, .kind = "handler", .id = n->id,
		.worker = n->worker, .remote = &n->remote, .host = errand_host(n),
		.duration = adit_now() - n->born, .how = ending_how(err),
	};

	if (n->near)
		end.traffic = *adit_conn_traffic(n->near);
	return end;
}

/* The target was not reached. text: more than err says, or NULL. */
static void
errand_refuse(struct errand *n, int err, const char *text)
{
	struct ending end = errand_ending(n, err);
	char reason[ENDING_REASON];

	end.by = "target";
	ending_log(&end, ADIT_LOG_WARN, "%s%s%s", n->host, *n->host ? ": " : "",
		   ending_reason(err, text, reason));
	adit_conn_close(n->far, err);
	adit_conn_own(n->near, NULL, NULL);
	n->ops->refuse(n->arg, n->near, err);
	errand_end(n);
}

static void
errand_done(void *arg, const struct adit_pump_stats *stats)
{
	struct errand *n = arg;
	const struct ending end = {
		.component = n->activity.component, .kind = "handler", .id = n->id,
		.worker = n->worker, .remote = &n->remote, .host = errand_host(n),
		.traffic = { stats->bytes[0], stats->bytes[1] },
		.dropped = stats->dropped[0] + stats->dropped[1],
		.duration = adit_now() - n->born,
		.by = ending_side(stats->side, "peer", "target"), .how = stats->how,
	};
	char remote[ADIT_ADDR_TEXT];

	ending_log(&end, ADIT_LOG_INFO, "%s >-< %s", adit_addr_format(&n->remote, remote),
		   *n->host ? n->host : "target");
	errand_end(n);
}

static void
errand_stop(struct adit_activity *a, int why)
{
	struct errand *n = adit_container_of(a, struct errand, activity);

	if (n->pump && (why || (n->datagrams && adit_pump_silence(n->pump) >= QUIET_NS)))
		adit_pump_stop(n->pump, why);
	else if (!n->pump && why)
		errand_refuse(n, why, NULL);
}

static void
errand_pump(struct errand *n)
{
	const struct adit_pump_opts opts = {
		.size = sizeof(opts), .idle = n->idle, .half_closed = HALF_CLOSED_NS,
		.final = ADIT_PUMP_FINAL_B,
	};

	n->datagrams = adit_conn_flags(n->far) & ADIT_CONN_DGRAM;
	n->pump = adit_pump(n->near, n->far, &opts, errand_done, n);
	n->near = n->far = NULL;
	if (!n->pump)
		errand_end(n);
}

/* The peer could not be told. near is NULL where telling him has closed it. */
static void
errand_lose(struct errand *n, int err)
{
	struct ending end = errand_ending(n, err);

	end.by = ending_by(err, "peer");
	ending_log(&end, ADIT_LOG_WARN, "answer: %s", adit_strerror(err));
	adit_conn_close(n->near, err);
	adit_conn_close(n->far, err);
	errand_end(n);
}

/* A connector that knows bytes alone gives them for UDP as well: nobody could read those. */
static bool
errand_is_other_kind(const struct errand *n)
{
	bool datagrams = adit_conn_flags(n->far) & ADIT_CONN_DGRAM;

	return !n->forward && datagrams != (n->network == ADIT_UDP);
}

static void
errand_reached(struct errand *n)
{
	int err;

	if (errand_is_other_kind(n)) {
		errand_refuse(n, -ENOTSUP, NULL);
		return;
	}
	adit_conn_want(n->far, 0);
	adit_conn_own(n->near, NULL, NULL);
	adit_conn_want(n->near, 0);
	err = n->ops->agree(n->arg, &n->near, n->far);
	if (!err && (adit_conn_flags(n->near) ^ adit_conn_flags(n->far)) & ADIT_CONN_DGRAM)
		err = -ENOTSUP;
	if (err) {
		errand_lose(n, err);
		return;
	}
	adit_conn_agree(n->near);
	n->far = opening_unwrap(n->far);
	errand_pump(n);
}

/* Why it, or a node, could not be reached; text may be NULL. */
static void
errand_note(struct errand *n, int err, const char *text)
{
	free(n->why);
	n->why = text && *text ? strdup(text) : NULL;
	n->failure = err;
}

static void errand_forward(struct errand *n);

static void
errand_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct errand *n = owner;
	int err = adit_conn_err(far);

	(void)events;
	if (!err) {
		errand_reached(n);
		return;
	}
	errand_note(n, err, conn_failure(far));
	if (!n->forward) {
		errand_refuse(n, err, n->why);
		return;
	}
	adit_conn_close(far, err);
	n->far = NULL;
	errand_forward(n);
}

static void
errand_await(struct errand *n)
{
	adit_conn_own(n->far, errand_far_event, n);
	adit_conn_want(n->far, ADIT_OPEN);
}

/* Tries the next node, if there is one. From the loop. */
static void
errand_forward(struct errand *n)
{
	struct adit_err e = ADIT_ERR_INIT;

	n->far = adit_forward(n->handler, n->near, &n->tried, &e);
	if (n->far)
		errand_await(n);
	else
		errand_refuse(n, n->failure, n->why);
}

/* What could not even be begun is told from the loop as well: callers hold their own objects. */
static void
errand_failed(void *arg)
{
	struct errand *n = arg;

	errand_refuse(n, n->failure, n->why);
}

static void
errand_begin(struct errand *n, const struct adit_target *to)
{
	struct adit_err e = ADIT_ERR_INIT;

	if (n->forward)
		n->far = adit_forward(n->handler, n->near, &n->tried, &e);
	else
		n->far = adit_handler_dial(n->handler, n->near, to, &e);
	if (n->far) {
		errand_await(n);
		return;
	}
	errand_note(n, e.code ? e.code : ADIT_ETARGET, e.text);
	adit_timer_set(n->later, 0);
}

/* Who goes while his target is being reached is noticed by the pump. */
static void
errand_idle(void *owner, struct adit_conn *c, unsigned events)
{
	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
}

static struct errand *
errand_new(struct adit_component *component, struct adit_conn *near, const char *host)
{
	struct adit_worker *w = adit_conn_worker(near);
	struct errand *n = calloc(1, sizeof(*n) + strlen(host) + 1);

	if (!n)
		return NULL;
	n->near = near;
	n->id = adit_conn_id(near);
	n->worker = w;
	n->born = adit_now() - adit_conn_age(near);
	n->remote = *adit_conn_remote(near);
	strcpy(n->host, host);
	n->activity.stop = errand_stop;
	adit_activity_begin(&n->activity, component, w);
	return n;
}

void
errand(struct adit_conn *near, const struct errand_conf *conf)
{
	char host[300] = "";
	struct errand *n;

	if (conf->to)
		snprintf(host, sizeof(host), "%s:%u", conf->to->host, conf->to->port);
	n = errand_new(conf->handler->component, near, host);
	if (n)
		n->later = adit_timer_new(adit_conn_worker(near), errand_failed, n);
	if (!n || !n->later) {
		if (n)
			adit_activity_end(&n->activity);
		free(n);
		adit_conn_close(near, -ENOMEM);
		if (conf->ops->over)
			conf->ops->over(conf->arg);
		return;
	}
	n->ops = conf->ops;
	n->arg = conf->arg;
	n->handler = conf->handler;
	n->idle = conf->idle;
	n->forward = !conf->to;
	n->network = conf->to ? conf->to->network : ADIT_TCP;
	adit_conn_own(near, errand_idle, n);
	adit_conn_want(near, 0);
	errand_begin(n, conf->to);
}

void
errand_join(struct adit_component *component, struct adit_conn *near, struct adit_conn *far,
	    const char *host)
{
	struct errand *n = errand_new(component, near, host ? host : "");

	if (!n) {
		adit_conn_close(near, -ENOMEM);
		adit_conn_close(far, -ENOMEM);
		return;
	}
	n->far = far;
	errand_pump(n);
}

void
errand_log_none(const struct adit_component *p, const struct adit_conn *c, int err,
		const char *text)
{
	struct ending end = ending_of(p, c);

	end.kind = "handler";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_WARN, "no request: %s", text ? text : adit_strerror(err));
}
