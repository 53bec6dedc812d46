/*
 * How far a receive window reaches: it doubles while half of it is used up within two round trips,
 * which is when it limits the sender rather than the path or the reader.
 */
#ifndef ADIT_CORE_MUX_WINDOW_H
#define ADIT_CORE_MUX_WINDOW_H

#include <stdint.h>

struct mux_window {
	uint64_t	size;
	uint64_t	used;		/* since then */
	uint64_t	since;
};

void mux_window_init(struct mux_window *w, uint64_t size, uint64_t now);

/*
 * Counts n used bytes. True: half is used up since the last time, so mux_window_grow is to be
 * asked.
 */
static inline int
mux_window_use(struct mux_window *w, uint64_t n)
{
	w->used += n;
	return w->used >= w->size / 2;
}

/* How much the window has grown by (0: none), at most room; begins a new round. rtt 0: unknown. */
uint64_t mux_window_grow(struct mux_window *w, uint64_t rtt, uint64_t room, uint64_t now);

#endif
