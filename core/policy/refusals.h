/*
 * Those whom a service does not let in: counted, and told in the log at level debug, once in a
 * while however many they are. Zeroed: none. Any worker.
 */
#ifndef ADIT_CORE_REFUSALS_H
#define ADIT_CORE_REFUSALS_H

#include <stdatomic.h>

#include <adit/addr.h>
#include <adit/log.h>
#include <adit/worker.h>

#define REFUSALS_LOG_NS ADIT_SECONDS(1)	/* between two lines of one service */

struct refusals {
	_Atomic uint64_t	n;		/* since the beginning */
	_Atomic uint64_t	told;		/* of those, that a line has counted */
	_Atomic uint64_t	next;		/* when there may be another line */
};

/* Another one, for that reason; service is its name. */
void refusals_count(struct refusals *r, struct adit_log *log, const char *service,
		    const struct adit_addr *who, const char *why);

#endif
