#include "core/tunnel/later.h"

#include <errno.h>
#include <stddef.h>

#include "core/tunnel/heads.h"

struct later {
	struct adit_mux	 base;
	struct adit_mux	*lower;			/* owned; NULL until it is there */
	void		(*cancel)(void *arg);	/* NULL once the maker is done with it */
	void		*arg;
	struct ready_list ready;		/* taken from it at once, so that it is quiet */
};

static struct later *
later_of(const struct adit_mux *m)
{
	return adit_container_of((struct adit_mux *)(uintptr_t)m, struct later, base);
}

static struct adit_conn *
later_open(struct adit_mux *m, unsigned kind, struct adit_err *e)
{
	struct later *l = later_of(m);

	if (l->lower)
		return adit_mux_open(l->lower, kind, e);
	adit_err_set(e, -ENOTCONN, "the session is not open yet");
	return NULL;
}

static struct adit_conn *
later_accept(struct adit_mux *m)
{
	return ready_take(&later_of(m)->ready);
}

static unsigned
later_room(const struct adit_mux *m, unsigned kind)
{
	const struct later *l = later_of(m);

	return l->lower ? adit_mux_room(l->lower, kind) : 0;
}

static void
later_probe(struct adit_mux *m)
{
	struct later *l = later_of(m);

	if (l->lower)
		adit_mux_probe(l->lower);
}

static void
later_drain(struct adit_mux *m)
{
	struct later *l = later_of(m);

	if (l->lower)
		adit_mux_drain(l->lower);
}

static bool
later_drained(const struct adit_mux *m)
{
	const struct later *l = later_of(m);

	return !l->lower || adit_mux_drained(l->lower);
}

static unsigned
later_siblings(const struct adit_mux *m)
{
	const struct later *l = later_of(m);

	return l->lower ? adit_mux_siblings(l->lower) : 1;
}

static unsigned
later_streams(const struct adit_mux *m)
{
	const struct later *l = later_of(m);

	return l->lower ? adit_mux_streams(l->lower) : 0;
}

static const char *
later_protocol(const struct adit_mux *m)
{
	const struct later *l = later_of(m);

	return l->lower ? adit_mux_protocol(l->lower) : NULL;
}

static void
later_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct later *l = later_of(m);
	void (*cancel)(void *arg) = l->cancel;

	l->cancel = NULL;
	if (cancel)
		cancel(l->arg);
	ready_drop(&l->ready, why->err ? why->err : -ECONNRESET);
	adit_mux_close(l->lower, why);
	l->lower = NULL;
}

static const struct adit_traffic *
later_traffic(const struct adit_mux *m)
{
	static const struct adit_traffic none;
	const struct later *l = later_of(m);

	return l->lower ? adit_mux_traffic(l->lower) : &none;
}

static const struct adit_mux_ops later_ops = {
	.size = sizeof(later_ops),
	.name = "later",
	.open = later_open,
	.accept = later_accept,
	.room = later_room,
	.probe = later_probe,
	.drain = later_drain,
	.close = later_close,
	.drained = later_drained,
	.siblings = later_siblings,
	.streams = later_streams,
	.traffic = later_traffic,
	.protocol = later_protocol,
};

static void
later_event(void *owner, struct adit_mux *lower, unsigned events)
{
	struct later *l = owner;
	const struct adit_reason *why = adit_mux_reason(lower);
	struct adit_conn *c;

	while ((c = adit_mux_accept(lower)))
		if (ready_put(&l->ready, c))
			adit_mux_ready(&l->base, ADIT_READ);
	adit_mux_hear(&l->base, adit_mux_heard(lower));
	if (adit_mux_peer_drains(lower) && !adit_mux_peer_drains(&l->base))
		adit_mux_say_peer_drains(&l->base);
	if (why->err) {
		adit_mux_want(lower, 0);
		adit_mux_fail(&l->base, why);
		return;
	}
	if (events & ADIT_OPEN) {
		adit_mux_set_local(&l->base, adit_mux_local(lower));
		adit_mux_set_remote(&l->base, adit_mux_remote(lower));
		adit_mux_want(lower, ADIT_READ);
	}
	adit_mux_ready(&l->base, events & ~(unsigned)ADIT_READ);
}

struct adit_mux *
later_new(struct adit_worker *w, void (*cancel)(void *arg), void *arg)
{
	struct later *l = adit_mux_new(w, &later_ops, sizeof(*l));

	if (!l)
		return NULL;
	TAILQ_INIT(&l->ready);
	l->cancel = cancel;
	l->arg = arg;
	return &l->base;
}

void
later_set(struct adit_mux *m, struct adit_mux *lower)
{
	struct later *l = later_of(m);

	l->cancel = NULL;
	l->lower = lower;
	adit_mux_own(lower, later_event, l);
	adit_mux_want(lower, ADIT_OPEN | ADIT_READ);
	if (adit_mux_draining(m))
		adit_mux_drain(lower);
}

void
later_on_close(struct adit_mux *m, void (*closed)(void *arg), void *arg)
{
	later_of(m)->cancel = closed;
	later_of(m)->arg = arg;
}

void
later_fail(struct adit_mux *m, const struct adit_reason *why)
{
	later_of(m)->cancel = NULL;
	adit_mux_fail(m, why);
}
