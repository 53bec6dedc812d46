/*
 * A session as somebody has it who speaks a protocol with sessions of its own in it (HTTP/3 in
 * QUIC's streams), while it is kept by its owner, who looks after its life: a listener, a pool.
 */
#ifndef ADIT_CORE_MUX_TAP_H
#define ADIT_CORE_MUX_TAP_H

#include <adit/mux.h>

/*
 * What m's peer opens is the tap's from now on: m's owner accepts nothing more. m's end is the
 * tap's. To close the tap is to end m, with that reason, and its owner closes it as any that has
 * ended; a drain of the tap says nothing to m's peer. NULL: out of memory. One at a time; not of
 * one that has ended.
 */
struct adit_mux *tap_new(struct adit_mux *m);

#endif
