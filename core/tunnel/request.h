/*
 * What the requests of clients and visitors to a tunnel's server have in common, whatever their
 * wire: how they are served, and to which tunnel a visitor is led.
 */
#ifndef ADIT_CORE_REQUEST_H
#define ADIT_CORE_REQUEST_H

#include <adit/plugin.h>

#include "core/identity/permit.h"
#include "core/mux/smux.h"
#include "core/tunnel/bound.h"

struct request_conf {
	struct adit_component	*component;	/* the handler's */
	struct gate		*gate;		/* the same; NULL: anybody may do anything */

	/* The rule for a normalised host name, as that of an ingress. Any worker. */
	int			(*lookup)(void *arg, struct adit_worker *w, const char *host,
					  struct adit_rule *out);
	/* After lookup's -EAGAIN: as that of an ingress; NULL: it has none. */
	int			(*wait)(void *arg, struct adit_worker *w, const char *host,
					struct adit_lookup *q);
	/* A tunnel was bound: as that of an ingress; NULL: nobody wants to know. */
	void			(*offer)(void *arg, struct adit_worker *w,
					 const struct adit_offer *offer);
	void			*arg;

	bool			 has_public_id;
	struct adit_uuid	 public_id;	/* whose visitors come as to an entry point */
	bool			 direct;	/* visitors need no rule for the tunnel they name */
	bool			 names;		/* a client is told the host name it asked for */
	struct temporary_conf	 temporary;	/* names of all tunnels */
	uint64_t		 read_timeout;	/* ns, for the whole request; 0: no limit */
	struct smux_conf	 smux;		/* of the sessions of clients */
};

/* One that is read and served: the first member of each wire's own. */
struct request {
	struct adit_activity		 activity;
	const struct request_conf	*conf;		/* lives as long as activity's component */
	struct adit_conn		*conn;		/* owned, until it is given away */
	struct login			 login;		/* done is the wire's */
	struct adit_lookup		 lookup;	/* known is the wire's */
};

/*
 * Begins r, whose activity.stop is set, for c: owner is called (with r) when there is something to
 * read, or at conf's limit. On c's worker, as all below.
 */
void request_begin(struct request *r, struct adit_conn *c, const struct request_conf *conf,
		   adit_conn_cb *owner);

/*
 * Asks the gate for who has come with those credentials: as login_begin, whose done is r's login's.
 */
int request_login(struct request *r, const struct credentials *c);

/*
 * Who has logged in wants that: 0, and *permit is the caller's, or why he may not, with e.
 */
int request_claim(struct request *r, const struct grant_claim *claim, struct permit **permit,
		  struct adit_err *e);

/* How many sessions of one client are of use, and allowed. */
unsigned request_useful(const struct request *r, const struct permit *permit);

/* r is no activity any more; the conn is as it was. */
void request_end(struct request *r);

/*
 * Why a request of which got bytes are there will not be whole, where reading it gave err: an end
 * is told from a reset.
 */
int request_lost_why(const struct request *r, int err, size_t got);

/*
 * The last line of r's conn: it was closed by its peer, by its limit, or said what is no request
 * (text; NULL: err says it). To be called before the conn is closed, as below.
 */
void request_log_lost(const struct request *r, int err, const char *text);

/*
 * The same of a request ("request", "visitor") that was refused with err, for that reason; tunnel:
 * the one it was about, NULL: none. It is counted too.
 */
void request_log_refused(const struct request *r, const char *what, int err, const char *reason,
			 const struct adit_uuid *tunnel);

/* That a client's bind is served, and that it could not be: err. */
void request_log_bind(const struct request *r, const struct bound_conf *bound);
void request_log_unbound(const struct bound_conf *bound, int err);

/* Whether the service's bypasses leave that host to its tunnels. */
bool request_allows(const struct request_conf *conf, enum adit_network network, const char *host,
		    uint16_t port);

/*
 * Whether the rule for host has to be waited for: then r->lookup.known is called by the loop,
 * unless r ends before. Else request_route says it. named: the tunnel that a visitor names; NULL: a
 * client binds.
 */
bool request_awaits_rule(struct request *r, const struct adit_uuid *named, const char *host);

/*
 * Tells who makes rules, if there is one, that tunnel may be reached by its endpoint's name, and by
 * host, unless that is "" or another tunnel's.
 */
void request_offer(const struct request *r, const struct adit_uuid *tunnel, const char *host);

/*
 * Which tunnel a visitor gets who names one and a host ("" if none): through a public entry point
 * that of the rule for the host, unless the rule is private; anybody else his own one, if a rule
 * says that the host is its, or always with direct routing. 0, ADIT_ENOROUTE, ADIT_ETARGET from an
 * entry point without a rule, or ADIT_ENORULES.
 */
int request_route(const struct request_conf *conf, struct adit_worker *w,
		  const struct adit_uuid *named, const char *host, struct adit_uuid *out);

#endif
