#include "core/tunnel/bound.h"

#include <errno.h>

#include <adit/log.h>

#include "core/conn/ending.h"
#include "core/conn/tally.h"
#include "core/mux/liveness.h"
#include "core/mux/mux.h"
#include "core/tunnel/kept.h"
#include "core/tunnel/table.h"

/* Parallel sessions of one client are useful for more than cores: one may be cut. */
#define SESSIONS_MIN 2u

/* Between two looks for idle streams of a client that drains. */
#define DRAIN_NS ADIT_MS(100)

unsigned
bound_useful(const struct adit_worker *w)
{
	unsigned workers = adit_worker_count(w);

	return workers > SESSIONS_MIN ? workers : SESSIONS_MIN;
}

/* ---- is the client there? --------------------------------------------------------------- */

static void
bound_heard(void *arg)
{
	struct bound *b = arg;

	adit_tunnel_set_usable(b->worker, b->number, true);
	awaiting_heard(&b->awaiting);
}

void
bound_doubt(struct bound *b)
{
	adit_tunnel_set_usable(b->worker, b->number, false);
	mux_await_heard(&b->carrier, bound_heard, b);
}

/* An open has waited for long: another session takes it, if there is one. */
static bool
bound_is_late(void *arg)
{
	struct bound *b = arg;
	const struct adit_open self = {
		.tunnel = b->tunnel, .network = b->network, .session = b->key,
	};

	bound_doubt(b);
	return tunnels_has_other(tunnels_of(b->worker), &self);
}

void
bound_follow(struct bound *b, struct adit_mux *m)
{
	mux_follow(m, &b->carrier);
	tunnels_follow(tunnels_of(b->worker), b->number, m);
}

bool
bound_is_silent(const struct bound *b, uint64_t ns)
{
	return b->carrier.mux && adit_now() - adit_mux_heard(b->carrier.mux) > ns;
}

struct adit_conn *
bound_ask(struct bound *b, struct adit_conn *c, struct adit_err *e)
{
	if (b->carrier.mux)
		adit_mux_probe(b->carrier.mux);
	mux_await_heard(&b->carrier, bound_heard, b);
	return awaiting_add(&b->awaiting, c, e);
}

/* ---- in its tunnel ------------------------------------------------------------------------ */

/* No visitors come to it any more. */
static void
bound_unjoin(struct bound *b)
{
	if (!b->number)
		return;
	adit_tunnel_leave(b->worker, b->number);
	tally_sessions(b->worker, b->service, -1);
	b->number = 0;
}

int
bound_join(struct bound *b, struct adit_worker *w, const struct bound_conf *conf,
	   adit_session_open *open, void *session)
{
	b->worker = w;
	b->network = conf->network;
	awaiting_init(&b->awaiting, bound_is_late, b);
	adit_uuid_format(&conf->tunnel, b->tunnel);
	adit_uuid_format(&conf->connector, b->connector);
	b->number = adit_tunnel_join(w, &(struct adit_member){
		.tunnel = b->tunnel,
		.network = conf->network,
		.weight = conf->weight,
		.visitor_address = conf->visitor_address,
		.client = conf->client,
		.open = open,
		.session = session,
	});
	b->key = b->number;
	b->service = adit_component_name(conf->component);
	if (b->number)
		tally_sessions(w, b->service, 1);
	if (b->number && conf->temporary &&
	    temporary_take(&b->temporary, w, conf->temporary, &conf->tunnel, &conf->from) < 0)
		bound_unjoin(b);
	if (b->number)
		b->permit = conf->permit;
	else
		permit_end(conf->permit);
	return b->number ? 0 : ADIT_ELIMIT;
}

static void
bound_withdrawn(void *arg, const struct adit_err *why)
{
	struct bound *b = arg;

	b->withdrawn = why->text;
	b->activity.stop(&b->activity, why->code);
}

void
bound_begin(struct bound *b, const struct bound_conf *conf,
	    void (*stop)(struct adit_activity *a, int why))
{
	b->activity.stop = stop;
	adit_activity_begin(&b->activity, conf->component, b->worker);
	permit_own(b->permit, bound_withdrawn, b);
}

void
bound_leave(struct bound *b)
{
	bound_unjoin(b);
	temporary_drop(&b->temporary);
	mux_unfollow(&b->carrier);
	awaiting_fini(&b->awaiting, ADIT_EPEERDEAD);
	adit_timer_free(b->drain);
	b->drain = NULL;
	permit_end(b->permit);
	b->permit = NULL;
}

bool
bound_stays(struct bound *b)
{
	return b->number && adit_component_has_grace(b->activity.component) &&
	       !tunnels_say_leaving(tunnels_of(b->worker), b->number);
}

static void
bound_drop_kept(void *arg)
{
	bound_drain(arg);
}

void
bound_drain(struct bound *b)
{
	bound_unjoin(b);
	kept_drop_session(b->worker, b->key);
	if (!b->drain)
		b->drain = adit_timer_new(b->worker, bound_drop_kept, b);
	if (b->drain)
		adit_timer_set(b->drain, DRAIN_NS);
}

void
bound_end(struct bound *b, struct ending *end, const struct adit_reason *why)
{
	int err = why->err ? why->err : ADIT_ESTOPPED;
	const char *text = b->withdrawn ? b->withdrawn : why->text;
	char reason[ENDING_REASON];

	end->kind = "handler";
	end->user = permit_user(b->permit);
	end->tunnel = b->tunnel;
	end->connector = b->connector;
	end->by = why->err ? ending_by(why->err, "client") : NULL;
	end->how = ending_how(err);
	/* An end in order has no error to speak of. */
	ending_log(end, ADIT_LOG_INFO, "connector %s: %s", b->connector,
		   ending_reason(err == -ESHUTDOWN && text ? 0 : err, text, reason));
	bound_leave(b);
	adit_activity_end(&b->activity);
}
