#include "core/tunnel/heads.h"

#include <errno.h>
#include <stdlib.h>

#include <adit/log.h>

struct head_wait {
	struct adit_conn	*conn;
	struct heads		*heads;
	TAILQ_ENTRY(head_wait)	 entry;
};

struct ready_conn {
	struct adit_conn	*conn;
	TAILQ_ENTRY(ready_conn)	 entry;
};

void
heads_init(struct heads *h, void (*ready)(void *arg, struct adit_conn *c), void *arg)
{
	*h = (struct heads){ .ready = ready, .arg = arg };
	TAILQ_INIT(&h->list);
}

static void
heads_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct head_wait *w = owner;
	struct heads *h = w->heads;

	(void)events;
	TAILQ_REMOVE(&h->list, w, entry);
	free(w);
	adit_conn_want(c, 0);
	adit_conn_own(c, NULL, NULL);
	if (adit_conn_is_open(c)) {
		h->ready(h->arg, c);
		return;
	}
	adit_conn_log(c, ADIT_LOG_DEBUG, "stream without a head: %s",
		      adit_strerror(adit_conn_err(c)));
	adit_conn_close(c, adit_conn_err(c));
}

void
heads_add(struct heads *h, struct adit_conn *c)
{
	struct head_wait *w = c ? calloc(1, sizeof(*w)) : NULL;

	if (!w) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	w->heads = h;
	w->conn = c;
	adit_conn_own(c, heads_event, w);
	adit_conn_want(c, ADIT_OPEN);
	TAILQ_INSERT_TAIL(&h->list, w, entry);
}

void
heads_drop(struct heads *h, int why)
{
	struct head_wait *w;

	while ((w = TAILQ_FIRST(&h->list))) {
		TAILQ_REMOVE(&h->list, w, entry);
		adit_conn_close(w->conn, why);
		free(w);
	}
}

bool
ready_put(struct ready_list *list, struct adit_conn *c)
{
	struct ready_conn *r = malloc(sizeof(*r));

	if (!r) {
		adit_conn_close(c, -ENOMEM);
		return false;
	}
	r->conn = c;
	TAILQ_INSERT_TAIL(list, r, entry);
	return true;
}

struct adit_conn *
ready_take(struct ready_list *list)
{
	struct ready_conn *r = TAILQ_FIRST(list);
	struct adit_conn *c;

	if (!r)
		return NULL;
	c = r->conn;
	TAILQ_REMOVE(list, r, entry);
	free(r);
	return c;
}

void
ready_drop(struct ready_list *list, int why)
{
	struct adit_conn *c;

	while ((c = ready_take(list)))
		adit_conn_close(c, why);
}
