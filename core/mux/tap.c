#include "core/mux/tap.h"

#include <errno.h>

#include <adit/plugin.h>

#include "core/mux/mux.h"

struct tap {
	struct adit_mux	 base;
	struct adit_mux	*below;		/* held: it may be closed before us */
};

static struct tap *
tap_of(const struct adit_mux *m)
{
	return adit_container_of((struct adit_mux *)(uintptr_t)m, struct tap, base);
}

static struct adit_conn *
tap_open(struct adit_mux *m, unsigned kind, struct adit_err *e)
{
	return adit_mux_open(tap_of(m)->below, kind, e);
}

static struct adit_conn *
tap_accept(struct adit_mux *m)
{
	return adit_mux_err(m) ? NULL : mux_accept_tapped(tap_of(m)->below);
}

static unsigned
tap_room(const struct adit_mux *m, unsigned kind)
{
	return adit_mux_room(tap_of(m)->below, kind);
}

static void
tap_probe(struct adit_mux *m)
{
	adit_mux_probe(tap_of(m)->below);
}

/* The protocol that is spoken in it tells the peer. */
static void
tap_drain(struct adit_mux *m)
{
	(void)m;
}

static void
tap_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct adit_mux *below = tap_of(m)->below;

	mux_set_tap(below, NULL);	/* also of one that has ended: it may be closed later */
	if (adit_mux_err(m))
		return;
	adit_mux_fail(below, &(struct adit_reason){
		.err = why->err ? why->err : -ESHUTDOWN, .code = why->code, .text = why->text,
	});
}

static void
tap_free(struct adit_mux *m)
{
	adit_mux_release(tap_of(m)->below);
}

static unsigned
tap_streams(const struct adit_mux *m)
{
	return adit_mux_streams(tap_of(m)->below);
}

static const struct adit_traffic *
tap_traffic(const struct adit_mux *m)
{
	return adit_mux_traffic(tap_of(m)->below);
}

static const char *
tap_protocol(const struct adit_mux *m)
{
	return adit_mux_protocol(tap_of(m)->below);
}

static uint64_t
tap_silence(struct adit_mux *m, uint64_t now)
{
	(void)now;
	return adit_mux_silence(tap_of(m)->below);
}

static const struct adit_mux_ops tap_ops = {
	.size = sizeof(tap_ops),
	.name = "tap",
	.open = tap_open,
	.accept = tap_accept,
	.room = tap_room,
	.probe = tap_probe,
	.drain = tap_drain,
	.close = tap_close,
	.free = tap_free,
	.streams = tap_streams,
	.traffic = tap_traffic,
	.protocol = tap_protocol,
	.silence = tap_silence,
};

struct adit_mux *
tap_new(struct adit_mux *m)
{
	struct tap *t = adit_mux_new(adit_mux_worker(m), &tap_ops, sizeof(*t));

	if (!t)
		return NULL;
	t->below = m;
	adit_mux_hold(m);
	adit_mux_set_local(&t->base, adit_mux_local(m));
	adit_mux_set_remote(&t->base, adit_mux_remote(m));
	mux_set_tap(m, &t->base);
	return &t->base;
}
