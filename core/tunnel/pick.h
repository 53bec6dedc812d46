/*
 * Choosing one of a tunnel's sessions: weighted random among those of the network asked for that
 * are usable. Weight 0 counts as 1; where one of weight 255 is there, only such are considered.
 */
#ifndef ADIT_CORE_TUNNEL_PICK_H
#define ADIT_CORE_TUNNEL_PICK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <adit/tunnel.h>

#define TUNNEL_ATTEMPTS 3u

/* A session as all workers see it. Immutable, but for usable, which its worker sets. */
struct tunnel_member {
	uint64_t		number;
	unsigned		worker;		/* its index */
	enum adit_network	network;
	uint8_t			weight;
	bool			visitor_address;
	atomic_bool		usable;
};

/* What was tried for one open and is not to be tried again. Zero it before use. */
struct tunnel_tried {
	uint64_t		numbers[TUNNEL_ATTEMPTS];
	unsigned		n;
};

/* NULL: none is left. tried may be NULL. */
const struct tunnel_member *tunnel_choose(const struct tunnel_member *const *members, unsigned n,
					  enum adit_network network,
					  const struct tunnel_tried *tried);

struct tunnel_worker;

/*
 * Chooses who is to be tried next for req, req->session first, and notes that in tried. False:
 * nobody is left, or enough were tried.
 */
bool tunnels_choose(const struct tunnel_worker *part, const struct adit_open *req,
		    struct tunnel_tried *tried, struct adit_choice *out);

#endif
