/*
 * A request as a record will have it, from its head to the end of its response. Zeroed: nobody
 * records it.
 */
#ifndef ADIT_CORE_HTTP_ASKED_H
#define ADIT_CORE_HTTP_ASKED_H

#include <adit/exchange.h>
#include <adit/plugin.h>

struct asked {
	struct adit_fields	*head;		/* owned; NULL: none goes on */
	uint64_t		 begun;
	struct adit_traffic	 before;	/* of the connection, with the request before */
};

/* A request with that head came over a connection of p's. */
void asked_begin(struct asked *a, const struct adit_component *p, const struct adit_fields *head);

/*
 * It is over: recorded with who and how of record. What its connection has moved by now, and had
 * not with the request before, is its. The rest of record is filled in here.
 */
void asked_end(struct asked *a, const struct adit_component *p, struct adit_record record,
	       const struct adit_traffic *now);

/* Nothing is recorded of it. */
void asked_drop(struct asked *a);

#endif
