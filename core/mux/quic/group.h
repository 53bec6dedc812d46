/*
 * The endpoints of one set of sockets, one per worker: hands each datagram that came to the wrong
 * one to its owner, by mailbox and once, and tells all of them what one was told about a peer. Its
 * users are the listeners of that address: more than one while those before a reload still drain.
 */
#ifndef ADIT_CORE_QUIC_GROUP_H
#define ADIT_CORE_QUIC_GROUP_H

#include "core/mux/quic/quic.h"

struct quic_group;

/* For so many workers, of one process generation. NULL: out of memory. */
struct quic_group *quic_group_new(unsigned workers, unsigned generation);

/*
 * The creator's reference, when the endpoints have left. Datagrams under way end nowhere. Any
 * thread. NULL is fine.
 */
void quic_group_put(struct quic_group *g);

/* Another reference. Any thread. */
struct quic_group *quic_group_get(struct quic_group *g);

/* The endpoint of w, the calling worker, or NULL. */
struct quic_endpoint *quic_group_endpoint(const struct quic_group *g, const struct adit_worker *w);

/*
 * Somebody uses the endpoint of the calling worker: the first makes it known to the others. leave:
 * whether that was the last, who closes it.
 */
void quic_group_join(struct quic_group *g, struct quic_endpoint *ep);
bool quic_group_leave(struct quic_group *g, struct quic_endpoint *ep);

/*
 * For conf.forward, with the group as forward_arg. At most 256 are under way to a worker; more are
 * lost.
 */
bool
quic_group_forward(void *group, unsigned generation, unsigned worker, const struct adit_packet *p);

/*
 * For conf.trouble, with the group as forward_arg: tells the endpoints of the other workers. Counts
 * among what is under way to each.
 */
void quic_group_trouble(void *group, const struct adit_worker *from, const struct adit_trouble *t);

#endif
