#include "core/http/carried.h"

#include <errno.h>
#include <stdlib.h>

#include "core/http/front.h"
#include "core/http/h1.h"

struct carried {
	struct adit_mux		*near;		/* owned */
	struct adit_exchange	*far;		/* owned, until the two are joined */
	struct adit_fields	*head;
};

static void
carried_end(struct carried *c, int err)
{
	if (c->far)
		adit_conn_close(&c->far->body, err ? err : -ECANCELED);
	adit_mux_close(c->near, err ? &(struct adit_reason){ .err = err } : NULL);
	adit_fields_free(c->head);
	free(c);
}

static void
carried_done(void *arg, const struct front_result *r)
{
	if (r->near)
		adit_conn_close(&r->near->body, r->err);
	carried_end(arg, r->err);
}

static int
carried_join(struct carried *c, struct adit_exchange *near)
{
	const struct adit_fields *head = adit_exchange_head(near);
	struct adit_exchange *far = c->far;
	int err;

	c->head = head ? adit_fields_copy(head) : NULL;
	err = c->head ? h1_strip_hop_by_hop(c->head, true) : -ENOMEM;
	if (err < 0) {
		adit_conn_close(&near->body, err);
		return err;
	}
	h1_server_last(c->near);
	c->far = NULL;
	return http_front(near, far, c->head, NULL, carried_done, c) ? 0 : -ENOMEM;
}

/* Until the request is there. */
static void
carried_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct adit_conn *x = adit_mux_accept(m);
	struct carried *c = owner;
	int err = adit_mux_err(m);

	(void)events;
	if (x) {
		adit_mux_own(m, NULL, NULL);
		adit_mux_want(m, 0);
		err = carried_join(c, adit_exchange_of(x));
	}
	if (err)
		carried_end(c, err);
}

void
http_carry(struct adit_conn *near, struct adit_exchange *far)
{
	struct carried *c = calloc(1, sizeof(*c));

	/* Until the two are joined nothing is told of it, to whoever has opened it least of all. */
	adit_conn_own(&far->body, NULL, NULL);
	adit_conn_want(&far->body, 0);
	if (c)
		c->near = h1_server(near, NULL);
	else
		adit_conn_close(near, -ENOMEM);
	if (!c || !c->near) {
		adit_conn_close(&far->body, -ENOMEM);
		free(c);
		return;
	}
	c->far = far;
	adit_mux_own(c->near, carried_event, c);
	adit_mux_want(c->near, ADIT_READ);
}
