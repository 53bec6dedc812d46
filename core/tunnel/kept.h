/*
 * Streams to clients that are kept between requests: idle HTTP/1.1 connections, per worker, by
 * tunnel, host and session; likewise what a forwarder keeps to its targets. A visitor's request
 * that finds one costs no new connection to the target. What is kept is bounded in number and time;
 * one that ends or says something unasked while idle is dropped.
 */
#ifndef ADIT_CORE_KEPT_H
#define ADIT_CORE_KEPT_H

#include <adit/mux.h>
#include <adit/tunnel.h>

struct kept_key {
	const char	*tunnel;	/* its name */
	const char	*host;		/* with which it was used */
	uint16_t	 port;
	uint64_t	 session;	/* the one it goes through */
	uint64_t	 visitor;	/* not 0: only for that visitor's connection */
};

/*
 * Takes one that fits out of the worker's pool: a client-side HTTP session with room for an
 * exchange, or NULL.
 */
struct adit_mux *kept_take(struct adit_worker *w, const struct kept_key *key);

/* Puts one in (owned from now on; closed at once when there are too many). */
void kept_put(struct adit_mux *m, const struct kept_key *key);

/* Closes what is kept for that visitor (not 0), or all of the worker's (0). */
void kept_drop(struct adit_worker *w, uint64_t visitor);

/* Closes what any worker of w's group keeps through that session. */
void kept_drop_session(struct adit_worker *w, uint64_t session);

#endif
