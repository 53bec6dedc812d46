/*
 * Choosing one of a tunnel's sessions: weighted random among the clients that have usable ones of
 * the network asked for, then one of that client's: of the asking worker if there is one. Weight 0
 * counts as 1; where one of weight 255 is there, only such are considered.
 *
 * A session in doubt casts it on the client's others, but for those that were heard since: what
 * froze is mostly the client, not one of its ways. Those are chosen where nobody is sure, and where
 * nobody is usable the same among all: one that may still answer is better than none.
 */
#ifndef ADIT_CORE_TUNNEL_PICK_H
#define ADIT_CORE_TUNNEL_PICK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <adit/tunnel.h>

#define TUNNEL_ATTEMPTS 3u

/* A session as all workers see it. Immutable, but for the last four, which its worker sets. */
struct tunnel_member {
	uint64_t		number;
	unsigned		worker;		/* its index */
	struct adit_client	client;
	enum adit_network	network;
	uint8_t			weight;
	bool			visitor_address;
	atomic_bool		usable;
	_Atomic uint64_t	doubted;	/* adit_now() when it ceased to be usable last */
	_Atomic uint64_t	heard;	/* as adit_mux_heard; UINT64_MAX: unknown;
					 * MUX_FAILED: over, and about to leave */
	atomic_bool		leaving;	/* once another has come (tunnels_say_leaving) */
};

/* What was tried for one open and is not to be tried again. Zero it before use. */
struct tunnel_tried {
	uint64_t		numbers[TUNNEL_ATTEMPTS];
	unsigned		n;
};

enum tunnel_trust {
	TRUST_SURE,
	TRUST_USABLE,
	TRUST_ANY,
};

struct tunnel_wish {
	enum adit_network		 network;
	unsigned			 worker;	/* who asks */
	const struct tunnel_tried	*tried;		/* NULL: nothing */
	enum tunnel_trust		 trust;		/* begin with that, then take less */
	uint64_t			*chance;	/* state of the asking worker's; NULL: the
							 * kernel is asked, which costs a call */
};

/* Sessions of one client stand side by side. NULL: none is left. */
const struct tunnel_member *tunnel_choose(const struct tunnel_member *const *members, unsigned n,
					  const struct tunnel_wish *wish);

/* False for two that are alone. */
bool tunnel_same_client(const struct tunnel_member *a, const struct tunnel_member *b);

struct tunnel_worker;

/*
 * Chooses who is to be tried next for req, req->session first, and notes that in tried. False:
 * nobody is left, or enough were tried.
 */
bool tunnels_choose(struct tunnel_worker *part, const struct adit_open *req,
		    struct tunnel_tried *tried, struct adit_choice *out);

/* Whether it lives and its client answers. */
bool member_serves(const struct tunnel_member *m);

/* Whether that session is in the tunnel, and lives. */
bool tunnels_has(const struct tunnel_worker *part, const char *tunnel, uint64_t number);

/* Whether the tunnel has a usable session of that network beside req->session. */
bool tunnels_has_other(const struct tunnel_worker *part, const struct adit_open *req);

#endif
