#include "core/tunnel/bound.h"

#include <errno.h>

#include <adit/log.h>

#include "core/service/ending.h"
#include "core/tunnel/kept.h"

/* Between two looks for idle streams of a client that drains. */
#define DRAIN_NS ADIT_MS(100)

int
bound_join(struct bound *b, struct adit_worker *w, const struct bound_conf *conf,
	   adit_session_open *open, void *session)
{
	b->worker = w;
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
	return b->number ? 0 : ADIT_ELIMIT;
}

void
bound_begin(struct bound *b, const struct bound_conf *conf,
	    void (*stop)(struct adit_activity *a, int why))
{
	b->activity.stop = stop;
	adit_activity_begin(&b->activity, conf->component, b->worker);
}

void
bound_leave(struct bound *b)
{
	adit_tunnel_leave(b->worker, b->number);
	b->number = 0;
	adit_timer_free(b->drain);
	b->drain = NULL;
}

static void
bound_drop_kept(void *arg)
{
	bound_drain(arg);
}

void
bound_drain(struct bound *b)
{
	adit_tunnel_leave(b->worker, b->number);
	b->number = 0;
	kept_drop_session(b->worker, b->key);
	if (!b->drain)
		b->drain = adit_timer_new(b->worker, bound_drop_kept, b);
	if (b->drain)
		adit_timer_set(b->drain, DRAIN_NS);
}

static const char *
bound_how(int err)
{
	if (err == -ESHUTDOWN)
		return "EOF";
	return adit_strerror(err ? err : ADIT_ESTOPPED);
}

void
bound_end(struct bound *b, const struct adit_mux *m, const struct adit_reason *why)
{
	struct ending end = ending_of_mux(b->activity.component, m);

	end.kind = "handler";
	end.tunnel = b->tunnel;
	end.connector = b->connector;
	end.by = why->err ? ending_by(why->err, "client") : NULL;
	end.how = ending_how(why->err ? why->err : ADIT_ESTOPPED);
	ending_log(&end, ADIT_LOG_INFO, "connector %s: %s%s%s", b->connector, bound_how(why->err),
		   why->text ? ": " : "", why->text ? why->text : "");
	bound_leave(b);
	adit_activity_end(&b->activity);
}
