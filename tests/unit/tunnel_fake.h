/*
 * Sessions for tests of tunnels: what they open echoes, or is refused, or waits until the test says
 * how it ends.
 */
#ifndef ADIT_TEST_TUNNEL_FAKE_H
#define ADIT_TEST_TUNNEL_FAKE_H

#include <stdatomic.h>

#include <adit/tunnel.h>

struct fake {
	struct adit_worker	*worker;
	uint64_t		 number;
	struct adit_client	 client;	/* it joins as one of its sessions */
	int			 refuse;	/* open answers NULL with this code */
	bool			 later;		/* open answers a conn that is not open */
	atomic_uint		 opened;	/* calls of open */
	_Atomic(struct adit_conn *) waiting;	/* the last such conn, until it was closed */
	char			 host[64];	/* as asked for last */
};

/* Joins on its worker; a leave and a join are a new number. */
void fake_join(struct fake *f, const char *tunnel, enum adit_network network, unsigned weight);
void fake_leave(struct fake *f);

/* Ends the waiting: it echoes (err 0), or fails. */
void fake_decide(struct fake *f, int err);

#endif
