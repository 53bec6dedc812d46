/*
 * Sessions from the inside: what core has of every session beside adit/mux.h.
 */
#ifndef ADIT_CORE_MUX_H
#define ADIT_CORE_MUX_H

#include <stdatomic.h>

#include <adit/mux.h>

/*
 * Stores adit_mux_heard in *heard too, now and whenever it changes, for readers on other workers;
 * until called with NULL, which must come before *heard goes.
 */
void mux_tell_heard(struct adit_mux *m, _Atomic uint64_t *heard);

/*
 * Calls heard(arg) once, from the loop, when a byte of the peer's has come from now on. Replaces
 * what it was to call before; NULL: nothing. Not after m was closed.
 */
void mux_await_heard(struct adit_mux *m, void (*heard)(void *arg), void *arg);

#endif
