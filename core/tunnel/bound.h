/*
 * The server's end of a bound client, whatever its wire: a member of its tunnel, an activity of its
 * service, a line in the log at its end.
 */
#ifndef ADIT_CORE_BOUND_H
#define ADIT_CORE_BOUND_H

#include <adit/plugin.h>
#include <adit/tunnel.h>

/* Embedded in a wire's session. Its fields are this module's, but for number and connector. */
struct bound {
	struct adit_activity	 activity;
	struct adit_worker	*worker;
	struct adit_timer	*drain;		/* runs once the client drains */
	uint64_t		 number;	/* in the tunnel table; 0: has left */
	uint64_t		 key;		/* the number it had */
	char			 tunnel[37], connector[37];
};

struct bound_conf {
	struct adit_component	*component;	/* the handler's */
	struct adit_uuid	 tunnel;
	struct adit_uuid	 connector;	/* this session's id, as told to the client */
	enum adit_network	 network;
	unsigned		 weight;
	bool			 visitor_address;
	struct adit_client	 client;	/* all zero: this session is alone */
};

/*
 * Joins the tunnel: open(session, ...) may be called from now on, on w. 0, or ADIT_ELIMIT and
 * nothing is left to undo.
 */
int bound_join(struct bound *b, struct adit_worker *w, const struct bound_conf *conf,
	       adit_session_open *open, void *session);

/* Of one that joined: it counts as an activity, with that stop, until bound_end. */
void bound_begin(struct bound *b, const struct bound_conf *conf,
		 void (*stop)(struct adit_activity *a, int why));

/* Takes back bound_join, of one that did not begin. */
void bound_leave(struct bound *b);

/*
 * No new visitors, and the streams that only wait for some are let go: again and again, as requests
 * end.
 */
void bound_drain(struct bound *b);

/*
 * Leaves, says in the log how and why its session m has ended (its bytes, its time), and is no
 * activity any more.
 */
void bound_end(struct bound *b, const struct adit_mux *m, const struct adit_reason *why);

#endif
