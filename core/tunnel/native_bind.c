#include "core/tunnel/native_bind.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/tunnel/heads.h"
#include "core/tunnel/native_control.h"
#include "core/tunnel/native_link.h"

struct native_bind {
	struct adit_mux			 base;
	struct native_control		 control;
	struct native_link_entry	 link;
	struct native_group		 visitors;
	struct adit_traffic		 traffic;	/* when it was asked for */
	struct ready_list		 ready;
	unsigned			 wanted, siblings;
	void				(*bound)(void *arg, const struct native_msg *answer);
	void				*arg;
};

static struct native_bind *
bind_of(struct adit_mux *m)
{
	return adit_container_of(m, struct native_bind, base);
}

static const struct native_bind *
bind_of_const(const struct adit_mux *m)
{
	return (const void *)((const char *)m - offsetof(struct native_bind, base));
}

/* ---- visitors ----------------------------------------------------------------------- */

static void
bind_take(struct native_link_entry *e, struct adit_conn *c)
{
	struct native_bind *b = adit_container_of(e, struct native_bind, link);

	native_conn_join(c, &b->visitors);
	if (ready_put(&b->ready, c))
		adit_mux_ready(&b->base, ADIT_READ);
}

/* ---- the stream of the bind --------------------------------------------------------- */

static void
bind_answered(struct native_bind *b, const struct native_msg *m)
{
	int err = native_has(m, NATIVE_F_STATUS) ? native_status_error(m->status) : -EBADMSG;

	if (err < 0) {
		adit_mux_fail(&b->base, &(struct adit_reason){
			.err = err, .code = m->status, .text = *m->text ? m->text : NULL,
		});
		return;
	}
	adit_conn_deadline(b->control.stream, 0);
	b->siblings = m->connections < b->wanted ? (unsigned)m->connections : b->wanted;
	if (b->bound)
		b->bound(b->arg, m);
	adit_mux_ready(&b->base, ADIT_OPEN);
}

static void
bind_message(void *arg, const struct native_msg *m)
{
	struct native_bind *b = arg;
	struct adit_mux *session = adit_conn_mux(b->control.stream);

	if (session)
		adit_mux_hear(&b->base, adit_mux_heard(session));
	if (!adit_mux_is_open(&b->base)) {
		if (m->type == NATIVE_ANSWER && !adit_mux_err(&b->base))
			bind_answered(b, m);
	} else if (m->type == NATIVE_DRAIN && session) {
		adit_mux_drain(session);	/* nothing new in it: the next bind makes another */
		adit_mux_say_peer_drains(&b->base);
	}
}

static void
bind_ended(void *arg, const struct adit_reason *why)
{
	struct native_bind *b = arg;

	adit_mux_fail(&b->base, why);
}

/* ---- operations --------------------------------------------------------------------- */

static struct adit_conn *
bind_accept(struct adit_mux *m)
{
	return ready_take(&bind_of(m)->ready);
}

static void
bind_probe(struct adit_mux *m)
{
	struct native_bind *b = bind_of(m);
	struct adit_mux *session = b->control.stream ? adit_conn_mux(b->control.stream) : NULL;

	if (session)
		adit_mux_probe(session);
}

static void
bind_drain(struct adit_mux *m)
{
	native_control_drain(&bind_of(m)->control);
}

static bool
bind_drained(const struct adit_mux *m)
{
	return native_control_drained(&bind_of_const(m)->control);
}

static void
bind_close(struct adit_mux *m, const struct adit_reason *why)
{
	struct native_bind *b = bind_of(m);
	struct adit_conn *stream = b->control.stream;
	int err = why->err ? why->err : -ECONNRESET;

	native_link_leave(&b->link, stream ? adit_conn_mux(stream) : NULL);
	ready_drop(&b->ready, err);
	native_group_fail(&b->visitors, err);
	native_control_close(&b->control, why->err);
}

static unsigned
bind_siblings(const struct adit_mux *m)
{
	return bind_of_const(m)->siblings;
}

static unsigned
bind_streams(const struct adit_mux *m)
{
	return bind_of_const(m)->visitors.n;
}

/* Of its visitors: what the bind itself took is little. */
static const struct adit_traffic *
bind_traffic(const struct adit_mux *m)
{
	struct native_bind *b = bind_of((struct adit_mux *)(uintptr_t)m);

	b->traffic = native_group_traffic(&b->visitors);
	return &b->traffic;
}

static const struct adit_mux_ops bind_ops = {
	.size = sizeof(bind_ops),
	.name = "native-bind",
	.accept = bind_accept,
	.probe = bind_probe,
	.drain = bind_drain,
	.drained = bind_drained,
	.siblings = bind_siblings,
	.close = bind_close,
	.streams = bind_streams,
	.traffic = bind_traffic,
};

static int
bind_send_request(struct native_bind *b, const struct native_msg *request)
{
	struct native_msg m = *request;
	int err;

	m.type = NATIVE_BIND;
	m.version = NATIVE_VERSION;
	m.bind = b->link.number;
	m.has |= 1u << NATIVE_F_VERSION | 1u << NATIVE_F_BIND;
	err = native_send(b->control.stream, &m);
	explicit_bzero(&m, sizeof(m));
	return err;
}

struct adit_mux *
native_bind(struct adit_conn *stream, const struct native_bind_conf *conf, struct adit_err *e)
{
	struct adit_mux *session = adit_conn_mux(stream);
	struct native_bind *b = adit_mux_new(adit_conn_worker(stream), &bind_ops, sizeof(*b));
	int err = -ENOMEM;

	if (!b) {
		adit_conn_close(stream, -ENOMEM);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&b->ready);
	native_group_init(&b->visitors);
	b->wanted = conf->connections;
	b->bound = conf->bound;
	b->arg = conf->arg;
	b->link.take = bind_take;
	b->control.message = bind_message;
	b->control.ended = bind_ended;
	b->control.arg = b;
	native_control_start(&b->control, stream);
	adit_mux_set_local(&b->base, adit_conn_local(stream));
	adit_mux_set_remote(&b->base, adit_conn_remote(stream));
	err = session ? native_link_join(&b->link, session) : -ECONNRESET;
	if (!err)
		err = bind_send_request(b, conf->request);
	if (err < 0) {
		adit_err_set(e, err, "bind: %s", adit_strerror(err));
		adit_mux_close(&b->base, &(struct adit_reason){ .err = err });
		return NULL;
	}
	adit_conn_deadline(stream, conf->answer_ms);
	return &b->base;
}
