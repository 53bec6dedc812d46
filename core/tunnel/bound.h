/*
 * The server's end of a bound client, whatever its wire: a member of its tunnel, an activity of its
 * service, a line in the log at its end. A client that was silent for a second is asked whether it
 * is there before a visitor's bytes go to it; others are preferred until it is heard.
 */
#ifndef ADIT_CORE_BOUND_H
#define ADIT_CORE_BOUND_H

#include <adit/mux.h>
#include <adit/plugin.h>
#include <adit/tunnel.h>

#include "core/identity/permit.h"
#include "core/mux/mux.h"
#include "core/tunnel/awaiting.h"
#include "core/tunnel/temporary.h"

struct ending;

/*
 * How many sessions of one client are of use to a server of w's workers: one for each, and at least
 * two, since one may be cut.
 */
unsigned bound_useful(const struct adit_worker *w);

/* Embedded in a wire's session. Its fields are this module's, but for number and connector. */
struct bound {
	struct adit_activity	 activity;
	struct adit_worker	*worker;
	struct adit_timer	*drain;		/* runs once the client drains */
	uint64_t		 number;	/* in the tunnel table; 0: has left */
	uint64_t		 key;		/* the number it had */
	enum adit_network	 network;
	struct mux_follower	 carrier;	/* of the session that carries it */
	struct awaiting		 awaiting;	/* opens that wait for a sign of life */
	struct temporary	 temporary;	/* its tunnel's name */
	struct permit		*permit;	/* by which it is; owned, or NULL */
	const char		*withdrawn;	/* while it ends: why that is not valid any more */
	const char		*service;	/* its name; the component's */
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
	struct adit_addr	 from;		/* where it comes from */
	const struct temporary_conf *temporary;	/* lives as long as component; NULL: no names */
	struct permit		*permit;	/* or NULL: none was needed */
};

/*
 * Joins the tunnel: open(session, ...) may be called from now on, on w. Takes conf's permit, also
 * on failure. 0, or ADIT_ELIMIT and nothing is left to undo.
 */
int bound_join(struct bound *b, struct adit_worker *w, const struct bound_conf *conf,
	       adit_session_open *open, void *session);

/*
 * Of one that joined: it counts as an activity, with that stop, until bound_end. It is stopped too
 * when its permit is withdrawn.
 */
void bound_begin(struct bound *b, const struct bound_conf *conf,
		 void (*stop)(struct adit_activity *a, int why));

/*
 * m carries the session, perhaps among others: when m is heard, its client is. Once, after
 * bound_join. m may be closed before bound_leave or bound_end.
 */
void bound_follow(struct bound *b, struct adit_mux *m);

/* Whether m was not heard for that many ns (LIVENESS_FRESH: the client has to be asked first). */
bool bound_is_silent(const struct bound *b, uint64_t ns);

/*
 * Of such a client: takes c, a stream whose head was written, and probes m. What is returned opens
 * over c when the client is heard and c is open, or fails with ADIT_EPEERDEAD once others could do
 * it sooner. NULL with e filled: out of memory, and c is closed.
 */
struct adit_conn *bound_ask(struct bound *b, struct adit_conn *c, struct adit_err *e);

/* The client is late with its answer: others are preferred until it is heard. */
void bound_doubt(struct bound *b);

/* Takes back bound_join, of one that did not begin. */
void bound_leave(struct bound *b);

/*
 * Whether it has to stay though its service drains: that was replaced a moment ago, its client was
 * told, and the tunnel's visitors have nobody else yet.
 */
bool bound_stays(struct bound *b);

/*
 * No new visitors, and the streams that only wait for some are let go: again and again, as requests
 * end.
 */
void bound_drain(struct bound *b);

/*
 * Leaves, says in the log how and why its session has ended, of which end has the bytes and the
 * time (ending_of_mux), and is no activity any more.
 */
void bound_end(struct bound *b, struct ending *end, const struct adit_reason *why);

#endif
