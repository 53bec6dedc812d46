/*
 * A visitor's connection of HTTP, served request by request: what whoever serves one needs beside
 * the requests themselves. In HTTP/1.1 one request at a time, in HTTP/2 many; the last line of the
 * log; a drain, which lets the requests that go on end.
 *
 * Embedded as the first member of what serves it. All on the connection's worker.
 */
#ifndef ADIT_CORE_HTTP_VISITOR_H
#define ADIT_CORE_HTTP_VISITOR_H

#include <adit/exchange.h>
#include <adit/plugin.h>

#include "core/http/asked.h"
#include "core/http/h1.h"
#include "core/http/h2.h"

struct http_visitor;
struct front_result;

struct http_visitor_ops {
	const char	*kind;		/* of the log's last line: "handler", "entrypoint" */
	const char	*name;		/* what the log calls who visits: "visitor", "peer" */
	const char	*far;		/* and who he is joined with: "client", "target" */

	/*
	 * The next request, which is v's to end: http_visitor_next is due when its response is
	 * over, or http_visitor_over. Takes near, whose head is there. From the loop.
	 */
	void		(*request)(struct http_visitor *v, struct adit_exchange *near);

	/* The requests that go on are to end, with that reason: http_visitor_next, now or soon. */
	void		(*stop)(struct http_visitor *v, int why);

	/*
	 * Frees v, last of all: its connection is closed, its activity ended. The component is
	 * there until then.
	 */
	void		(*free)(struct http_visitor *v);
};

struct http_visitor {
	struct adit_activity		 activity;
	const struct http_visitor_ops	*ops;
	struct adit_mux			*front;		/* the connection; owned */
	uint64_t			 conn, born;	/* its id; adit_now() */
	const struct adit_worker	*worker;
	struct adit_addr		 remote;
	char				 host[254];	/* of the last request, by who serves it */
	unsigned			 requests;
	int				 status;	/* of the last response; the same */
	const char			*by, *how;	/* what ended it, once that is known */
	struct asked			 asked;		/* of the request that goes on: HTTP/1.1 */
	unsigned			 running;	/* requests that go on */
	bool				 many;		/* at a time: HTTP/2 */
	bool				 stopping;
};

/*
 * Begins with c, open, which is taken; v is zeroed but for what follows it. 0, or -ENOMEM: c is
 * closed, and v the caller's.
 */
int http_visitor_begin(struct http_visitor *v, const struct http_visitor_ops *ops,
		       struct adit_component *p, struct adit_conn *c, const struct h1_conf *conf);

/* The same in HTTP/2, with requests at the same time. */
int http_visitor_begin_many(struct http_visitor *v, const struct http_visitor_ops *ops,
			    struct adit_component *p, struct adit_conn *c,
			    const struct h2_conf *conf);

/* What is to be recorded of the request that goes on begins with that head. */
void http_visitor_asked(struct http_visitor *v, const struct adit_fields *head);

/* The request is over: the next one may come, or the end, from the loop. */
void http_visitor_next(struct http_visitor *v);

/*
 * The same of one that went on beside others: a is of asked_begin, and recorded with what its
 * bodies were.
 */
void http_visitor_over(struct http_visitor *v, struct asked *a, const struct adit_traffic *bodies);

/* What ended it, for its last line: the first that is known counts. Literals. */
void http_visitor_ended(struct http_visitor *v, const char *by, const char *how);

/*
 * The same from what has come of a request: a response that was cut, or an upgraded connection that
 * is over, is the visitor's end too, in HTTP/1.1; of any other nothing is noted.
 */
void http_visitor_see_end(struct http_visitor *v, const struct front_result *result);

/* Ends it now, while no request goes on; leave: without a line, which somebody else will write. */
void http_visitor_end(struct http_visitor *v);
void http_visitor_leave(struct http_visitor *v);

#endif
