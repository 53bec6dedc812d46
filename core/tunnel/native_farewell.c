#include "core/tunnel/native_farewell.h"

#include <stdlib.h>
#include <string.h>

#include "core/tunnel/native_control.h"

#define HEARD_NS ADIT_SECONDS(3)

struct native_farewell {
	struct native_control	 control;	/* its stream is NULL once there is an answer */
	struct adit_mux		*mux;		/* borrowed */
	struct adit_conn	*opening;	/* owned; NULL: control has it */
	uint64_t		 since;
	bool			 heard;		/* the client has: of streams it knows how many */
};

static void
farewell_end(struct native_farewell *f)
{
	adit_conn_close(f->opening, 0);
	f->opening = NULL;
	native_control_close(&f->control, 0);
}

static void
farewell_message(void *arg, const struct native_msg *m)
{
	struct native_farewell *f = arg;

	f->heard = m->type == NATIVE_DRAINED;
	farewell_end(f);
}

static void
farewell_ended(void *arg, const struct adit_reason *why)
{
	(void)why;
	farewell_end(arg);
}

static void
farewell_event(void *owner, struct adit_conn *stream, unsigned events)
{
	struct native_farewell *f = owner;

	(void)events;
	f->opening = NULL;
	if (adit_conn_err(stream)) {
		adit_conn_close(stream, 0);
		return;
	}
	native_control_start(&f->control, stream);
	native_control_drain(&f->control);
}

struct native_farewell *
native_farewell_new(struct adit_mux *m)
{
	const char *protocol = adit_mux_protocol(m);
	struct adit_err e = ADIT_ERR_INIT;
	struct native_farewell *f;

	if (!protocol || strcmp(protocol, NATIVE_ALPN) != 0)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->mux = m;
	f->since = adit_now();
	f->control.message = farewell_message;
	f->control.ended = farewell_ended;
	f->control.arg = f;
	f->opening = adit_mux_open(m, 0, &e);
	if (!f->opening) {
		free(f);
		return NULL;
	}
	adit_conn_own(f->opening, farewell_event, f);
	adit_conn_want(f->opening, ADIT_OPEN);
	return f;
}

bool
native_farewell_is_over(const struct native_farewell *f)
{
	if (adit_now() - f->since > HEARD_NS)
		return true;
	if (f->opening || f->control.stream)
		return false;
	return !f->heard || native_control_has_all(&f->control, f->mux);
}

void
native_farewell_free(struct native_farewell *f)
{
	if (f)
		farewell_end(f);
	free(f);
}
