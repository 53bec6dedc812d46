/*
 * A visit: what one visitor's connection at an entry point is doing. Inside the entry point only.
 */
#ifndef ADIT_CORE_VISIT_H
#define ADIT_CORE_VISIT_H

#include <stdatomic.h>

#include <adit/plugin.h>
#include <adit/tunnel.h>

#include "core/tunnel/entry.h"
#include "core/wire/hostname.h"

/*
 * Immutable, shared by an entry point and its visits; counted, because visits outlive the entry
 * point.
 */
struct entry_shared {
	atomic_uint		 refs;
	struct entry_conf	 conf;
	char			*tally;		/* what visitors are counted under; owned */
};

/* Takes and drops a reference. Any thread. */
struct entry_shared *entry_shared_get(struct entry_shared *s);
void entry_shared_put(struct entry_shared *s);

/* Who a visit is of, kept for the log: its conn is gone when the last line is written. */
struct visit_id {
	uint64_t		 conn;
	const struct adit_worker *worker;
	uint64_t		 born;		/* adit_now() */
	struct adit_addr	 remote;
	char			 host[254];
};

/*
 * The tunnel for a host name (normalised): its name in out. 0; ADIT_ENOROUTE: no rule, or a private
 * one; ADIT_ENORULES: that cannot be said now; -EAGAIN: entry_wait for it.
 */
int entry_route(const struct entry_shared *s, struct adit_worker *w, const char *host,
		char tunnel[37]);

/* Whether the service's bypasses leave that host to its tunnels. */
bool entry_allows(const struct entry_shared *s, const char *host, uint16_t port);

/*
 * After entry_route's -EAGAIN: q->known comes unless adit_lookup_end, and entry_route is asked
 * again: then -EAGAIN is as ADIT_ENORULES. 0, or a failure, and it does not.
 */
int entry_wait(const struct entry_shared *s, struct adit_worker *w, const char *host,
	       struct adit_lookup *q);	/* q's port is set */

/* What is known of a visitor from his first bytes. */
struct visit_start {
	char			 host[HOSTNAME_MAX + 1];	/* "": not known */
	char			 tunnel[37];			/* host's; "": none was chosen */
	struct adit_choice	 choice;	/* of tunnel: what made him be on this worker */
};

/*
 * HTTP from here on: takes c (open, its first bytes given back) and ends by itself. s: referenced
 * for as long as needed. start is a hint; what the request says counts.
 */
void visit_http(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start);

/* The same in HTTP/2 (RFC 9113, 3.3: the client has begun with its preface). */
void visit_h2(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start);

/* What HTTP leaves behind when a visitor's connection has become another protocol's. */
struct upgrade {
	struct adit_conn	*visitor, *far;	/* with nobody's bytes but that protocol's */
	struct adit_traffic	 before;	/* of HTTP, as the visitor's side had it */
	unsigned		 requests;
};

/*
 * Joins the two, which it takes, until both have ended, and then writes the visit's last line. s:
 * as above; id and up are borrowed. 0 or -ENOMEM: both are closed, and the line is the caller's.
 */
int visit_upgraded(struct entry_shared *s, const struct visit_id *id, const struct upgrade *up);

/* TLS by SNI: takes c, opens the tunnel for the host and joins the two. */
void visit_tls(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start);

#endif
