#include "core/tunnel/bound.h"

#include <errno.h>

#include <adit/log.h>

#include "core/tunnel/kept.h"

/* Between two looks for idle streams of a client that drains. */
#define DRAIN_NS ADIT_MS(100)

int
bound_join(struct bound *b, struct adit_worker *w, const struct bound_conf *conf,
	   adit_session_open *open, void *session)
{
	b->worker = w;
	b->began = adit_now();
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
	if (err == -ECONNRESET)
		return "EOF";
	return adit_strerror(err ? err : ADIT_ESTOPPED);
}

void
bound_end(struct bound *b, const struct adit_addr *remote, const struct adit_reason *why)
{
	struct adit_component *p = b->activity.component;
	char peer[ADIT_ADDR_TEXT];

	adit_log(adit_component_log(p), ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", "handler"), ADIT_STR("handler", "tunnel"),
			     ADIT_STR("service", adit_component_name(p)),
			     ADIT_STR("remote", adit_addr_format(remote, peer)),
			     ADIT_STR("tunnel", b->tunnel), ADIT_STR("connector", b->connector),
			     ADIT_DURATION("duration", adit_now() - b->began)),
		 "connector %s: %s%s%s", b->connector, bound_how(why->err), why->text ? ": " : "",
		 why->text ? why->text : "");
	bound_leave(b);
	adit_activity_end(&b->activity);
}
