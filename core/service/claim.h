/*
 * Addresses that the parts of a configuration are to listen on. A set of sockets is found again by
 * its address (core/conn/listen.h), which is how a reload hands it over; two parts of one
 * configuration would share it without a word, and of two that overlap the kernel refuses one. So
 * each part claims its addresses while it is made, and no two may claim the same or one that has
 * the other's in it. Main thread.
 */
#ifndef ADIT_CORE_CLAIM_H
#define ADIT_CORE_CLAIM_H

#include <adit/err.h>

#include "core/config/place.h"

struct adit_component;
struct claim;

/* What one service claims; it may begin all zero. */
struct claims {
	struct claim	*first;		/* owned */
};

/*
 * For init: p is to listen at addr, with what of enum listen_flag matters: UDP or Unix, and whether
 * others may do so too (LISTEN_SHARED; then all have to say so). addr is borrowed from p's
 * configuration. key: its place there, as "handler.metadata.entrypoint". What is no address, and
 * port 0, claim nothing. 0 or -ENOMEM.
 */
int claim_address(struct adit_component *p, const char *addr, unsigned flags, const char *key);

void claims_fini(struct claims *c);

/* A service of a configuration. */
struct claimant {
	const struct claims	*claims;
	const struct adit_tree	*node;		/* its part of the tree */
};

/*
 * Says to errs of each claim of v (all services of a configuration, in their order) which other one
 * has the address already, and where. Asks for names where two claims have one port.
 */
void claims_check(const struct claimant *v, size_t n, struct config_errors *errs);

#endif
