/*
 * What was counted, as text for Prometheus: gost's names and labels, and adit_ ones for what gost
 * does not count. Any thread.
 */
#ifndef ADIT_CORE_METRICS_H
#define ADIT_CORE_METRICS_H

#include <stddef.h>

#include "core/conn/tally.h"

struct desk_counts;

/* What is not in the book. */
struct metrics_more {
	const struct desk_counts	*counts;	/* or NULL */
	uint64_t			 memory_used, memory_budget;
	unsigned			 workers, tunnels;
	bool				 states;	/* both below are known */
	unsigned			 ready, running;	/* services */
};

/* malloc'ed, terminated; NULL: out of memory. */
char *metrics_text(const struct tally_book *book, const struct metrics_more *more, size_t *len);

#endif
