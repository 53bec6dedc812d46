/*
 * What comes in at a service: from a listener to the handler, by way of a PROXY header, who is let
 * in, and the handshakes of the listener's layers.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <adit/log.h>

#include "core/conn/conn.h"
#include "core/conn/ending.h"
#include "core/conn/opening.h"
#include "core/conn/proxied.h"
#include "core/conn/tally.h"
#include "core/policy/policy.h"
#include "core/runtime/memory.h"
#include "core/runtime/worker.h"
#include "core/service/listening.h"
#include "core/service/service_int.h"
#include "core/service/session_serve.h"
#include "core/tunnel/forwarded.h"

/* For a layer's handshake that has no limit of its own, or for the head of a stream. */
#define HANDSHAKE_MS 6000

/* ---- through the handshakes --------------------------------------------------------------- */

/* A conn on its way through the listener's handshakes, or a stream whose head is not here yet. */
struct arrival {
	struct adit_activity	 activity;
	struct service		*service;
	const struct instance	*way;		/* that it came by */
	struct adit_conn	*conn;
	bool			 asked;		/* a peer that we serve has asked for it */
};

static void
arrival_end(struct arrival *a)
{
	adit_activity_end(&a->activity);
	free(a);
}

static void
service_hand_over(struct service *s, struct adit_conn *c)
{
	struct adit_handler *h = s->handler.base;
	struct adit_conn *lower;

	while ((lower = opening_unwrap(c)) != c)	/* of what was told by its first bytes */
		c = lower;
	adit_conn_deadline(c, 0);
	adit_conn_own(c, NULL, NULL);
	adit_conn_want(c, 0);
	adit_conn_set_component(c, &s->handler_place);
	if (guard_allow(&s->guard, adit_conn_remote(c)) || guard_slow(&s->guard, c) < 0)
		adit_conn_close(c, 0);
	else
		h->ops->handle(h, c);
}

static void
arrival_log_end(const struct arrival *a, int err, const char *text)
{
	struct ending end = ending_of(&a->service->listener_place, a->conn);

	end.kind = "listener";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_INFO, "handshake: %s", text);
}

/* A stream of a client's session, open. */
static void
service_take_stream(void *arg, struct adit_conn *c)
{
	struct service *s = arg;

	if (memory_is_short(worker_memory(adit_conn_worker(c))))
		adit_conn_close(c, ADIT_ELIMIT);
	else
		service_hand_over(s, c);
}

static void
service_serve_session(struct service *s, const struct instance *way, struct adit_conn *c)
{
	struct adit_err e = ADIT_ERR_INIT;

	adit_conn_deadline(c, 0);
	if (session_serve(way, c, service_take_stream, s, &e) < 0)
		adit_log(s->listener_place.log, ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", s->conf->name)), "accept: %s", e.text);
}

static void
arrival_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct arrival *a = owner;
	int err = adit_conn_err(c);

	(void)events;
	if (err) {
		const char *text = conn_failure(c);

		arrival_log_end(a, err, text ? text : adit_strerror(err));
		adit_conn_close(c, err);
	} else if (a->way->session) {
		service_serve_session(a->service, a->way, c);
	} else {
		service_hand_over(a->service, c);
	}
	arrival_end(a);
}

/*
 * While draining nobody new is let in; but a stream of a session is a visitor whom we promised to
 * serve, and who came to a service that was replaced has nowhere else to go.
 */
static void
arrival_stop(struct adit_activity *activity, int why)
{
	struct arrival *a = adit_container_of(activity, struct arrival, activity);

	if (!why && (a->asked || adit_component_has_grace(activity->component)))
		return;
	arrival_log_end(a, ADIT_EDRAINING, adit_strerror(ADIT_EDRAINING));
	adit_conn_close(a->conn, why ? why : ADIT_EDRAINING);
	arrival_end(a);
}

/* For all handshakes, one after the other. */
static unsigned
arrival_limit_ms(const struct instance *way)
{
	uint64_t ms = way->n_layers ? 0 : HANDSHAKE_MS;

	for (size_t i = 0; i < way->n_layers; i++) {
		uint64_t ns = way->layers[i]->patience;

		ms += ns ? ns / ADIT_MS(1) + 1 : HANDSHAKE_MS;
	}
	return ms < UINT_MAX ? (unsigned)ms : UINT_MAX;
}

/* Through the handshakes of the listener's layers, if it has any, and to the handler. */
static void
service_receive(struct service *s, const struct instance *way, struct adit_conn *c)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct arrival *a;

	if (!way->n_layers && adit_conn_is_open(c)) {
		if (way->session)
			service_serve_session(s, way, c);
		else
			service_hand_over(s, c);
		return;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	c = instance_server(way, c, &e);
	if (!c) {
		adit_log(s->listener_place.log, ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", s->conf->name)), "accept: %s", e.text);
		free(a);
		return;
	}
	a->service = s;
	a->way = way;
	a->conn = c;
	a->asked = !way->n_layers;
	a->activity.stop = arrival_stop;
	adit_activity_begin(&a->activity, &s->listener_place, adit_conn_worker(c));
	adit_conn_set_component(c, &s->listener_place);
	adit_conn_own(c, arrival_event, a);
	adit_conn_deadline(c, arrival_limit_ms(way));
	adit_conn_want(c, ADIT_OPEN);
}

/* ---- who is let in ------------------------------------------------------------------------ */

static bool
service_admits(struct service *s, const struct adit_addr *who)
{
	if (policies_admit(s->admissions, who))
		return true;
	refusals_count(&s->refusals, s->listener_place.log, s->conf->name, who, "not admitted");
	return false;
}

/* From whom it is, is known: as who is let in or not. */
static void
service_admit(struct service *s, const struct instance *way, struct adit_conn *c)
{
	if (!service_admits(s, adit_conn_remote(c)))
		adit_conn_close(c, ADIT_EFORBIDDEN);
	else if (guard_admit(&s->guard, c) < 0)
		adit_conn_close(c, 0);
	else {
		records_visitor(&s->records, adit_conn_remote(c));
		service_receive(s, way, c);
	}
}

/* ---- PROXY headers ------------------------------------------------------------------------ */

/* A conn whose header is awaited. */
struct announced {
	struct adit_activity	 activity;
	struct service		*service;
	const struct instance	*way;		/* that it came by */
	struct adit_conn	*conn;
	struct proxied		 header;
};

static void
announced_end(struct announced *a)
{
	adit_activity_end(&a->activity);
	free(a);
}

static void
announced_lose(struct announced *a, int err)
{
	struct ending end = ending_of(&a->service->listener_place, a->conn);

	end.kind = "listener";
	end.by = ending_by(err, "peer");
	end.how = ending_how(err);
	ending_log(&end, ADIT_LOG_INFO, "PROXY header: %s", adit_strerror(err));
	adit_conn_close(a->conn, err);
	announced_end(a);
}

static void
announced_stop(struct adit_activity *activity, int why)
{
	announced_lose(adit_container_of(activity, struct announced, activity),
		       why ? why : ADIT_EDRAINING);
}

static void
announced_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct announced *a = owner;
	const struct instance *way = a->way;
	struct service *s = a->service;
	int err = proxied_read(&a->header, c);

	(void)events;
	if (err == -EAGAIN)
		return;
	if (err) {
		announced_lose(a, err);
		return;
	}
	adit_conn_deadline(c, 0);
	adit_conn_own(c, NULL, NULL);
	adit_conn_want(c, 0);
	announced_end(a);
	service_admit(s, way, c);
}

/* Who stands there may tell of whom he is. */
static bool
service_trusts(const struct service *s, const struct adit_addr *peer)
{
	return s->conf->proxy_protocol > 0 &&
	       (!s->trusted.n || forwarded_is_trusted(&s->trusted, peer));
}

/* Of a conn of bytes, right from its peer, who may be believed. */
static bool
service_awaits_header(const struct service *s, const struct adit_conn *c)
{
	return !(adit_conn_flags(c) & ADIT_CONN_DGRAM) && adit_conn_is_open(c) &&
	       service_trusts(s, adit_conn_remote(c));
}

static void
service_await_header(struct service *s, const struct instance *way, struct adit_conn *c)
{
	struct announced *a = calloc(1, sizeof(*a));

	if (!a) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	a->service = s;
	a->way = way;
	a->conn = c;
	a->activity.stop = announced_stop;
	adit_activity_begin(&a->activity, &s->listener_place, adit_conn_worker(c));
	adit_conn_own(c, announced_event, a);
	adit_conn_deadline(c, HANDSHAKE_MS);
	adit_conn_want(c, ADIT_READ);
}

void
adit_accept(struct adit_listener *l, struct adit_conn *c)
{
	struct service *s = l->component->service;
	const struct instance *way = listening_way(&s->listener, l);

	if (memory_is_short(worker_memory(adit_conn_worker(c)))) {
		adit_conn_close(c, ADIT_ELIMIT);
		return;
	}
	adit_conn_set_component(c, l->component);
	tally_conn(c, s->conf->name);
	if (service_awaits_header(s, c))
		service_await_header(s, way, c);
	else
		service_admit(s, way, c);
}

bool
adit_listener_admits(const struct adit_listener *l, const struct adit_addr *peer)
{
	struct service *s = l->component->service;

	return service_trusts(s, peer) || service_admits(s, peer);
}
