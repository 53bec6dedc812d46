#include "core/tunnel/native_link.h"

#include <errno.h>
#include <stdlib.h>

#include "core/tunnel/heads.h"
#include "core/tunnel/native_conn.h"

/* For the head of a stream: the server writes it with the stream's first frame. */
#define HEAD_MS 10000

struct native_link {
	LIST_HEAD(, native_link_entry)	 entries;
	struct heads			 heads;
	uint64_t			 next;		/* number */
};

static struct native_link_entry *
link_find(struct native_link *l, uint64_t number)
{
	struct native_link_entry *e;

	LIST_FOREACH(e, &l->entries, entry)
		if (e->number == number)
			return e;
	return NULL;
}

static int
link_head(void *arg, struct adit_conn *c, const struct native_msg *m)
{
	(void)c;
	if (!native_has(m, NATIVE_F_BIND))
		return -EBADMSG;
	return link_find(arg, m->bind) ? 0 : ADIT_ENOTUNNEL;
}

static void
link_ready(void *arg, struct adit_conn *c)
{
	struct native_link_entry *e = link_find(arg, native_conn_bind(c));

	if (e)
		e->take(e, c);
	else
		adit_conn_close(c, ADIT_ENOTUNNEL);
}

/* Datagrams of a flow whose head has not come are nobody's: none is sent before the answer. */
static void
link_take(void *arg, struct adit_conn *c)
{
	struct native_link *l = arg;

	if (adit_conn_flags(c) & (ADIT_CONN_DGRAM | ADIT_CONN_UNI))
		adit_conn_close(c, -ENOTSUP);
	else
		heads_add(&l->heads, native_answer(c, HEAD_MS, link_head, l));
}

int
native_link_join(struct native_link_entry *e, struct adit_mux *m)
{
	struct native_link *l = adit_mux_diverted(m, link_take);

	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		LIST_INIT(&l->entries);
		heads_init(&l->heads, link_ready, l);
		adit_mux_divert(m, link_take, l);
	}
	e->link = l;
	e->number = l->next++;
	LIST_INSERT_HEAD(&l->entries, e, entry);
	return 0;
}

void
native_link_leave(struct native_link_entry *e, struct adit_mux *m)
{
	struct native_link *l = e->link;

	if (!l)
		return;
	LIST_REMOVE(e, entry);
	e->link = NULL;
	if (!LIST_EMPTY(&l->entries))
		return;
	heads_drop(&l->heads, ADIT_ENOTUNNEL);
	if (m)
		adit_mux_divert(m, NULL, NULL);
	free(l);
}
