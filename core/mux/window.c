#include "core/mux/window.h"

void
mux_window_init(struct mux_window *w, uint64_t size, uint64_t now)
{
	*w = (struct mux_window){ .size = size, .since = now };
}

uint64_t
mux_window_grow(struct mux_window *w, uint64_t rtt, uint64_t room, uint64_t now)
{
	uint64_t more = 0;

	if (rtt && now - w->since < 2 * rtt)
		more = w->size < room ? w->size : room;
	w->size += more;
	w->used = 0;
	w->since = now;
	return more;
}
