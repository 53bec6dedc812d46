/*
 * Tells when the machine's own network changes: an interface, an address, a route came or went. One
 * netlink socket per worker, while somebody there waits for it. Where the system gives none,
 * nothing is told: a hint, not a service.
 */
#ifndef ADIT_CORE_NETWORK_H
#define ADIT_CORE_NETWORK_H

#include <sys/queue.h>

#include <adit/worker.h>

/* Part of who waits; changed and arg are his to set. */
struct network_watch {
	/*
	 * What changes together is told once, a moment after the first of it. Not called from
	 * inside network_watch; may unwatch.
	 */
	void			(*changed)(void *arg);
	void			*arg;
	struct adit_worker	*worker;	/* NULL: is not waiting */
	TAILQ_ENTRY(network_watch) entry;
	uint64_t		 round;		/* the last it was told of */
};

/* Waits, on w, until network_unwatch. Nothing happens where n waits already. */
void network_watch(struct network_watch *n, struct adit_worker *w);
void network_unwatch(struct network_watch *n);

#endif
