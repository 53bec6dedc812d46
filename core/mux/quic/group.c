#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/mux/quic/group.h"

#define UNDER_WAY_MAX 256

struct member {
	_Atomic(struct adit_worker *)	 worker;	/* NULL: nobody is there */
	struct quic_endpoint		*ep;		/* of that worker, and touched by it only */
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
	atomic_store(&m->worker, w);
}

void
quic_group_leave(struct quic_group *g, struct quic_endpoint *ep)
{
	struct member *m = &g->members[adit_worker_index(quic_endpoint_worker(ep))];

	atomic_store(&m->worker, NULL);
	m->ep = NULL;
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
	if (p->to->ep)
		quic_endpoint_deliver(p->to->ep, &p->packet);
	parcel_discard(message);
}

bool
quic_group_forward(void *group, unsigned generation, unsigned worker,
                   const struct adit_packet *packet)
{
	struct quic_group *g = group;
	struct adit_worker *to;
	struct parcel *p;

	if (generation != g->generation || worker >= g->n)
		return false;
	to = atomic_load(&g->members[worker].worker);
	if (!to)
		return false;
	if (atomic_fetch_add(&g->members[worker].under_way, 1) >= UNDER_WAY_MAX)
		goto lost;
	p = malloc(sizeof(*p) + packet->data.iov_len);
	if (!p)
		goto lost;
	*p = (struct parcel){
		.message = { .run = parcel_arrive, .discard = parcel_discard },
		.group = g, .to = &g->members[worker], .packet = *packet,
	};
	memcpy(p->bytes, packet->data.iov_base, packet->data.iov_len);
	p->packet.data.iov_base = p->bytes;
	atomic_fetch_add(&g->refs, 1);
	adit_worker_post(to, &p->message);
	return true;

lost:
	atomic_fetch_sub(&g->members[worker].under_way, 1);
	return true;
}
