/*
 * Listener `rtcp`: what a node far away accepts for us. Binds through the listener's chain and
 * hands on the conns that come; when the session is lost it binds again, for ever, with jittered
 * pauses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>
#include <adit/plugin.h>

/*
 * Pauses between attempts: doubled from the first, bounded tightly during the first minute of an
 * outage.
 */
#define PAUSE_FIRST ADIT_MS(100)
#define PAUSE_MAX_SOON ADIT_SECONDS(1)
#define PAUSE_MAX_LATE ADIT_SECONDS(30)
#define PAUSE_REFUSED ADIT_SECONDS(5)	/* the credentials will not be right in a moment */
#define SOON ADIT_SECONDS(60)

struct rtcp_listener {
	struct adit_listener	 base;
	char			 host[256];
	uint16_t		 port;
	enum adit_network	 network;
	unsigned		 worker;	/* the one that binds */
	struct rtcp_bind	*bind;		/* that worker's */
};

struct rtcp_bind {
	struct adit_activity	 activity;
	struct rtcp_listener	*listener;
	struct adit_worker	*worker;
	struct adit_mux		*mux;		/* owned; NULL while pausing */
	struct adit_timer	*retry;
	uint64_t		 pause;		/* the next one, before jitter */
	uint64_t		 lost;		/* since when there is no session; 0: there is one */
	bool			 draining;
};

static struct rtcp_listener *
rtcp_of(struct adit_listener *l)
{
	return adit_container_of(l, struct rtcp_listener, base);
}

static void
rtcp_log(struct rtcp_bind *b, enum adit_log_level level, int err, const char *text, uint64_t pause)
{
	struct adit_component *p = b->listener->base.component;

	adit_log(adit_component_log(p), level,
		 ADIT_FIELDS(ADIT_STR("kind", "listener"), ADIT_STR("listener", "rtcp"),
			     ADIT_STR("service", adit_component_name(p))),
		 "accept: %s%s%s, retrying in %llums", adit_strerror(err), text && *text ? ": " : "",
		 text ? text : "", (unsigned long long)(pause / ADIT_MS(1)));
}

static void
rtcp_pause(struct rtcp_bind *b, int err, const char *text)
{
	uint64_t now = adit_now(), max, pause;

	if (!b->lost) {
		b->lost = now;
		b->pause = PAUSE_FIRST;
	}
	max = now - b->lost < SOON ? PAUSE_MAX_SOON : PAUSE_MAX_LATE;
	pause = b->pause < max ? b->pause : max;
	if (err == ADIT_EUNAUTH || err == ADIT_EFORBIDDEN)
		pause = PAUSE_REFUSED;
	b->pause = pause * 2;
	/*
	 * From half of it to all of it: those who lost the same server do not come back at the same
	 * time.
	 */
	pause = pause / 2 + (uint64_t)adit_random_below((uint32_t)(pause / 2000)) * 1000;
	rtcp_log(b, ADIT_LOG_WARN, err, text, pause);
	adit_timer_set(b->retry, pause);
}

static void
rtcp_end(struct rtcp_bind *b, int why)
{
	if (b->listener->bind == b)
		b->listener->bind = NULL;
	adit_mux_close(b->mux, &(struct adit_reason){ .err = why });
	adit_timer_free(b->retry);
	adit_activity_end(&b->activity);
	free(b);
}

static void
rtcp_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct rtcp_bind *b = owner;
	const struct adit_reason *why = adit_mux_reason(m);
	struct adit_conn *c;

	(void)events;
	while ((c = adit_mux_accept(m)))
		adit_accept(&b->listener->base, c);
	if (!why->err) {
		b->lost = 0;
		adit_mux_want(m, ADIT_READ);
		return;
	}
	b->mux = NULL;
	if (b->draining)
		rtcp_end(b, why->err);
	else
		rtcp_pause(b, why->err, why->text);
	adit_mux_close(m, NULL);
}

static void
rtcp_bind_now(void *arg)
{
	struct rtcp_bind *b = arg;
	struct rtcp_listener *l = b->listener;
	const struct adit_target address = { .network = l->network, .host = l->host, .port = l->port };
	struct adit_err e = ADIT_ERR_INIT;

	b->mux = adit_listener_bind(&l->base, b->worker, &address, &e);
	if (!b->mux) {
		rtcp_pause(b, e.code, e.text);
		return;
	}
	adit_mux_own(b->mux, rtcp_event, b);
	adit_mux_want(b->mux, ADIT_OPEN | ADIT_READ);
}

/*
 * Draining: the peer is told where it can be, streams go on, and with the last one the session
 * ends.
 */
static void
rtcp_stop_activity(struct adit_activity *a, int why)
{
	struct rtcp_bind *b = adit_container_of(a, struct rtcp_bind, activity);

	b->draining = true;
	if (b->mux)
		adit_mux_drain(b->mux);
	if (why || !b->mux || !adit_mux_is_open(b->mux) || adit_mux_drained(b->mux))
		rtcp_end(b, why);
}

static int
rtcp_init(struct adit_listener *l, struct adit_err *e)
{
	struct rtcp_listener *r = rtcp_of(l);
	static unsigned next;

	r->network = strcmp(l->ops->base.name, "rudp") == 0 ? ADIT_UDP : ADIT_TCP;
	r->worker = next++;		/* main thread only: services are spread over the workers */
	if (adit_hostport_split(l->addr, r->host, sizeof(r->host), &r->port) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "not an address: %s", l->addr);
	return adit_listener_can_bind(l, e);
}

static int
rtcp_open(struct adit_listener *l, struct adit_err *e)
{
	(void)l;
	(void)e;
	return 0;			/* nothing to bind here */
}

static int
rtcp_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	struct rtcp_listener *r = rtcp_of(l);
	struct rtcp_bind *b;

	if (adit_worker_index(w) != r->worker % adit_worker_count(w))
		return 0;
	b = calloc(1, sizeof(*b));
	if (b)
		b->retry = adit_timer_new(w, rtcp_bind_now, b);
	if (!b || !b->retry) {
		free(b);
		return adit_err_set(e, -ENOMEM, "out of memory");
	}
	b->listener = r;
	b->worker = w;
	b->lost = adit_now();
	b->pause = PAUSE_FIRST;
	b->activity.stop = rtcp_stop_activity;
	adit_activity_begin(&b->activity, l->component, w);
	r->bind = b;
	rtcp_bind_now(b);
	return 0;
}

static void
rtcp_stop(struct adit_listener *l, struct adit_worker *w)
{
	struct rtcp_listener *r = rtcp_of(l);

	/* The field is that worker's alone. */
	if (adit_worker_index(w) == r->worker % adit_worker_count(w) && r->bind)
		rtcp_stop_activity(&r->bind->activity, 0);
}

static void
rtcp_close(struct adit_listener *l)
{
	(void)l;
}

const struct adit_listener_ops listener_rtcp = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener_rtcp),
		.kind = ADIT_LISTENER,
		.name = "rtcp",
		.help = "accepts what the last node of its chain sends back: a tunnel's client",
		.instance = sizeof(struct rtcp_listener),
	},
	.open = rtcp_open,
	.start = rtcp_start,
	.stop = rtcp_stop,
	.close = rtcp_close,
	.init = rtcp_init,
};
