/*
 * The binds of one QUIC session, at the client: gives each of them a number, takes the streams that
 * the server opens, reads their heads and hands each to the bind that it names.
 */
#ifndef ADIT_CORE_NATIVE_LINK_H
#define ADIT_CORE_NATIVE_LINK_H

#include <sys/queue.h>

#include <adit/mux.h>

struct native_link;

/* Embedded in a bind. Fill in take. */
struct native_link_entry {
	void				(*take)(struct native_link_entry *e, struct adit_conn *c);
	struct native_link		*link;
	uint64_t			 number;
	LIST_ENTRY(native_link_entry)	 entry;
};

/* 0 or -ENOMEM. m is kept by somebody else. */
int native_link_join(struct native_link_entry *e, struct adit_mux *m);

/* m: what it was joined with, or NULL if that has ended. Without having joined: nothing. */
void native_link_leave(struct native_link_entry *e, struct adit_mux *m);

#endif
