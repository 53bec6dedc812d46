#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/mux/quic/group.h"

#define UNDER_WAY_MAX 256

struct member {
	_Atomic(struct adit_worker *)	 worker;	/* NULL: nobody is there */
	struct quic_endpoint		*ep;		/* touched by that worker only, as is: */
	unsigned			 users;
	atomic_uint			 under_way;
};

struct quic_group {
	atomic_uint	refs;
	unsigned	generation, n;
	struct member	members[];
};

struct parcel {
	struct adit_message	 message;
	struct quic_group	*group;		/* a reference */
	struct member		*to;
	struct adit_trouble	 trouble;	/* if it has an err, else packet */
	struct adit_packet	 packet;
	uint8_t			 bytes[];
};

struct quic_group *
quic_group_new(unsigned workers, unsigned generation)
{
	struct quic_group *g = calloc(1, sizeof(*g) + workers * sizeof(*g->members));

	if (!g)
		return NULL;
	g->n = workers;
	g->generation = generation & 0xff;
	atomic_init(&g->refs, 1);
	return g;
}

struct quic_group *
quic_group_get(struct quic_group *g)
{
	atomic_fetch_add(&g->refs, 1);
	return g;
}

void
quic_group_put(struct quic_group *g)
{
	if (g && atomic_fetch_sub(&g->refs, 1) == 1)
		free(g);
}

void
quic_group_join(struct quic_group *g, struct quic_endpoint *ep)
{
	struct adit_worker *w = quic_endpoint_worker(ep);
	struct member *m = &g->members[adit_worker_index(w)];

	m->ep = ep;
	m->users++;
	atomic_store(&m->worker, w);
}

bool
quic_group_leave(struct quic_group *g, struct quic_endpoint *ep)
{
	struct member *m = &g->members[adit_worker_index(quic_endpoint_worker(ep))];

	if (--m->users)
		return false;
	atomic_store(&m->worker, NULL);
	m->ep = NULL;
	return true;
}

struct quic_endpoint *
quic_group_endpoint(const struct quic_group *g, const struct adit_worker *w)
{
	return g->members[adit_worker_index(w)].ep;
}

static void
parcel_discard(struct adit_message *message)
{
	struct parcel *p = adit_container_of(message, struct parcel, message);

	atomic_fetch_sub(&p->to->under_way, 1);
	quic_group_put(p->group);
	free(p);
}

static void
parcel_arrive(struct adit_message *message, struct adit_worker *w)
{
	struct parcel *p = adit_container_of(message, struct parcel, message);

	(void)w;
	if (p->to->ep && p->trouble.err)
		quic_endpoint_trouble(p->to->ep, &p->trouble);
	else if (p->to->ep)
		quic_endpoint_deliver(p->to->ep, &p->packet);
	parcel_discard(message);
}

/*
 * Sends a datagram or a trouble (NULL: not that) to that worker, or loses it when too much is under
 * way. False: nobody is there.
 */
static bool
group_send(struct quic_group *g, unsigned worker, const struct adit_packet *packet,
           const struct adit_trouble *trouble)
{
	size_t len = packet ? packet->data.iov_len : 0;
	struct member *m = &g->members[worker];
	struct adit_worker *to = atomic_load(&m->worker);
	struct parcel *p;

	if (!to)
		return false;
	if (atomic_fetch_add(&m->under_way, 1) >= UNDER_WAY_MAX)
		goto lost;
	p = malloc(sizeof(*p) + len);
	if (!p)
		goto lost;
	*p = (struct parcel){
		.message = { .run = parcel_arrive, .discard = parcel_discard },
		.group = g, .to = m,
	};
	if (trouble) {
		p->trouble = *trouble;
	} else {
		p->packet = *packet;
		memcpy(p->bytes, packet->data.iov_base, len);
		p->packet.data.iov_base = p->bytes;
	}
	atomic_fetch_add(&g->refs, 1);
	adit_worker_post(to, &p->message);
	return true;

lost:
	atomic_fetch_sub(&m->under_way, 1);
	return true;
}

bool
quic_group_forward(void *group, unsigned generation, unsigned worker,
                   const struct adit_packet *packet)
{
	struct quic_group *g = group;

	if (generation != g->generation || worker >= g->n)
		return false;
	return group_send(g, worker, packet, NULL);
}

void
quic_group_trouble(void *group, const struct adit_worker *from, const struct adit_trouble *t)
{
	struct quic_group *g = group;

	for (unsigned i = 0; i < g->n; i++)
		if (i != adit_worker_index(from))
			group_send(g, i, NULL, t);
}
