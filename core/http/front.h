/*
 * The step in the middle of a reverse proxy: joins one exchange from a visitor with one toward the
 * far side, whatever the versions of the two. Passes the request's head, both bodies, interim and
 * final heads, trailers, and an upgrade; it does not choose the far side, and answers no error
 * itself.
 *
 *	near's head is taken, its copy edited (h1_strip_hop_by_hop, X-Forwarded-For, ...)
 *	far is opened (it may still be opening)
 *	http_front(near, far, request, &opts, done, arg)
 *	done: near is given back if no final head was sent to it: http_respond, or another far side
 *
 * The response's head goes to the visitor without its hop-by-hop fields. While the far side opens
 * or thinks, a visitor that goes away is noticed, and the far side let go.
 */
#ifndef ADIT_CORE_HTTP_FRONT_H
#define ADIT_CORE_HTTP_FRONT_H

#include <adit/exchange.h>
#include <adit/pump.h>

struct front;

struct front_opts {
	uint64_t	open_timeout;	/* ns for far to be open; 0: none */
	uint64_t	head_timeout;	/* ns from the request's head to the final one of the
					 * response, while no body is moving either; 0: none */
	uint64_t	idle;		/* as adit_pump_opts */
	uint64_t	half_closed;	/* the same, after an upgrade; and how long a request that
					 * goes on behind its response may be silent. A response
					 * may be for ever */

	/*
	 * After a 101 the two connections below are handed out instead of being joined here, where
	 * nothing of HTTP is left in them (usually): see raw below. Nobody needs exchanges then.
	 */
	bool		 leave;

	/*
	 * optional: the response's head (interim ones too), about to be sent to near: to be edited.
	 * arg is done's.
	 */
	int		(*edit)(void *arg, struct adit_fields *response);

	/*
	 * optional: the final head of the response was passed on. The request will not be sent
	 * again, and is no longer borrowed. Called once at most, from inside.
	 */
	void		(*answered)(void *arg);
};

struct front_result {
	/*
	 * Not NULL: the caller's again, alive, and nothing of a response was sent to it but
	 * interim heads: it can still have a status. NULL: near was closed.
	 */
	struct adit_exchange	*near;
	/*
	 * near may be joined with another far side: nothing of a response came, no byte of the
	 * request's body was passed on, and the request was not sent at all, was not processed
	 * (ADIT_EDRAINING), or was lost with its connection and may be repeated (RFC 9110, 9.2.2).
	 */
	bool			 again;
	bool			 sent;		/* the request's head was: far had been open */

	/*
	 * As front_opts.leave asks for: those below near and far, the caller's; both exchanges are
	 * closed, their sessions have ended. Else NULL.
	 */
	struct adit_conn	*raw[2];
	int			 status;	/* of the final response passed on; 0: none */
	int			 err;		/* 0: passed on whole; else why not */
	const char		*why;		/* more than err says; NULL: nothing. Until done
						 * returns */
	bool			 by_near;	/* the visitor's side failed, else the far one */
	bool			 unfinished;	/* err is -ETIMEDOUT, and what was awaited was the
						 * visitor's: the rest of his request */
	struct adit_pump_stats	 stats;		/* bytes of the bodies: [0] request, [1] response */
};

/*
 * Takes near (server side, head taken, no response begun) and far (client side, nothing sent).
 * request is the head for far: borrowed until answered or done. done comes once, from the loop; far
 * is closed before. NULL: out of memory; both are closed and done is not called. opts may be NULL.
 */
struct front *http_front(struct adit_exchange *near, struct adit_exchange *far,
			 const struct adit_fields *request, const struct front_opts *opts,
			 void (*done)(void *arg, const struct front_result *r), void *arg);

/* Ends it; done still comes, and may give near back. */
void http_front_stop(struct front *f, int why);

#endif
