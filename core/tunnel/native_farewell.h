/*
 * How a server of adit/1 sends a session's client elsewhere, whatever of his goes over it: a stream
 * of ours says DRAIN, and he answers with DRAINED and opens nothing more there (docs/protocol.md,
 * Drain). A client that does not know that refuses the stream, and nothing is lost.
 */
#ifndef ADIT_CORE_NATIVE_FAREWELL_H
#define ADIT_CORE_NATIVE_FAREWELL_H

#include <adit/mux.h>

struct native_farewell;

/* Says it in m, whose owner frees this before m. NULL: it cannot be said there. */
struct native_farewell *native_farewell_new(struct adit_mux *m);

/*
 * Whether nothing that the client has opened before it heard of this is still to come, or it will
 * not hear of it: at the latest after 3 s. To be asked again from time to time: it is no event.
 */
bool native_farewell_is_over(const struct native_farewell *f);

void native_farewell_free(struct native_farewell *f);	/* NULL is fine */

#endif
