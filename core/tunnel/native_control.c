#include "core/tunnel/native_control.h"

#include <errno.h>

#include "core/mux/quic/quic.h"

#define MESSAGES_PER_TURN 16

static void
control_end(struct native_control *c, int err, const char *text)
{
	uint64_t code = adit_conn_code(c->stream);
	struct adit_reason why = { .err = err, .code = code, .text = text };

	if (err == -ECONNRESET && code)
		why.err = native_status_error(code);
	else if (err == -ECONNRESET && !adit_conn_err(c->stream))
		why.err = c->peer_drains ? ADIT_EDRAINING : -ESHUTDOWN;	/* its end */
	adit_conn_want(c->stream, 0);
	c->ended(c->arg, &why);
}

/* QUIC numbers streams as they are opened: so many there are, whichever have arrived yet. */
static int
control_acknowledge(struct native_control *c)
{
	struct adit_mux *mux = adit_conn_mux(c->stream);
	const struct native_msg m = {
		.type = NATIVE_DRAINED, .has = 1u << NATIVE_F_STREAMS,
		.streams = mux ? quic_session_opened(mux) : 0,
	};

	return native_send(c->stream, &m);
}

static int
control_take(struct native_control *c, const struct native_msg *m)
{
	int err = 0;

	if (m->type == NATIVE_DRAIN) {
		c->peer_drains = true;
	} else if (m->type == NATIVE_DRAINED) {
		c->drained = true;
		c->streams = m->streams;
	}
	c->message(c->arg, m);
	if (m->type == NATIVE_DRAIN && c->stream)
		err = control_acknowledge(c);
	return err;
}

static void
control_event(void *owner, struct adit_conn *stream, unsigned events)
{
	struct native_control *c = owner;
	const char *why = NULL;
	struct native_msg m;
	int err = 1;

	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN && err > 0; i++) {
		err = native_read(&c->in, stream, &m, &why);
		if (err <= 0)
			break;
		if (control_take(c, &m) < 0)
			err = -ENOBUFS;
		if (!c->stream)
			return;
	}
	if (err < 0 && err != -EAGAIN)
		control_end(c, err, why);
}

void
native_control_start(struct native_control *c, struct adit_conn *stream)
{
	c->stream = stream;
	adit_conn_own(stream, control_event, c);
	adit_conn_want(stream, ADIT_READ);
}

void
native_control_drain(struct native_control *c)
{
	const struct native_msg m = { .type = NATIVE_DRAIN };

	if (c->drains || !c->stream)
		return;
	c->drains = true;
	native_send(c->stream, &m);	/* what cannot be told, is found out at the end of a time */
}

bool
native_control_drained(const struct native_control *c)
{
	struct adit_mux *mux = c->stream ? adit_conn_mux(c->stream) : NULL;

	return !mux || (c->drained && native_control_has_all(c, mux));
}

bool
native_control_has_all(const struct native_control *c, const struct adit_mux *m)
{
	return quic_session_peer_opened(m) >= c->streams;
}

void
native_control_close(struct native_control *c, int why)
{
	if (c->stream) {
		adit_conn_set_code(c->stream, native_error_status(why));
		adit_conn_close(c->stream, why);
	}
	c->stream = NULL;
	collected_fini(&c->in);
}
