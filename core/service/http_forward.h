/*
 * HTTP at a forwarder: each request of a visitor's connection goes to the node that is for it, over
 * a new connection to the target or one that was kept. Heads are edited as the node says, bodies
 * are passed on, and where nothing of a response was passed on yet a failure becomes a status.
 */
#ifndef ADIT_CORE_HTTP_FORWARD_H
#define ADIT_CORE_HTTP_FORWARD_H

#include <adit/plugin.h>

#include "core/http/visitor.h"

struct http_forward_conf {
	struct adit_handler	*handler;	/* whose forwarder and chain */
	bool			 keepalive;	/* of the visitor's connection, and of targets' */
	unsigned		 proxy_version;	/* of the header for targets; 0: none */
	bool			 per_visitor;	/* targets, or who leads there, may hear who visits:
						 * what is kept is for that visitor alone */
	uint64_t		 read_timeout;	/* ns, for a request's head and for a response's */
	bool			 forwarded;	/* targets are told who visits, by fields */
	const struct adit_strings *trusted;	/* with that: proxies in front of us, whose word
						 * counts */

	/*
	 * A connection became another protocol's (101): takes both ends, to be joined, and writes
	 * v's last line at the end of that. v is borrowed for the call.
	 */
	void			(*upgraded)(struct adit_handler *h, const struct http_visitor *v,
					    struct adit_conn *near, struct adit_conn *far);
};

/* Takes c, open. conf lives as long as its handler's component. */
void http_forward(struct adit_conn *c, const struct http_forward_conf *conf);

#endif
