/*
 * Flows of bytes of which a side takes nothing. While memory is short those that have been so for
 * longest are ended, a few at a time and none before its time, until it is short no more: what they
 * hold would have everybody else refused, for as long as they like. While there is memory they may
 * stay for ever.
 */
#ifndef ADIT_CORE_STUCK_H
#define ADIT_CORE_STUCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct adit_worker;
struct stuck_list;

/* Embedded; zeroed before use. All but end is this module's. */
struct stuck {
	/*
	 * Ends the flow, which leaves, and returns true; or it is stuck for want of memory itself,
	 * or not really, and is left alone for the same time again. From the loop.
	 */
	bool			(*end)(struct stuck *s);
	struct stuck_list	*list;		/* NULL: it is not stuck */
	uint64_t		 since;
	TAILQ_ENTRY(stuck)	 entry;
};

/* Nothing was taken from now on, also where it was said before. */
void stuck_begin(struct stuck *s, struct adit_worker *w);

/*
 * Ends those of w whose time has come at now, the longest first, if memory is short; how many. Some
 * of them only: what they held is freed later. Called by w itself, now and then.
 */
unsigned stuck_end_due(struct adit_worker *w, uint64_t now);

/* It moves, or has ended. Of one that did not begin, too. */
void stuck_leave(struct stuck *s);

#endif
