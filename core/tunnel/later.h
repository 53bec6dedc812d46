/*
 * A session that arrives later, as core/conn/opening.h has it for conns: what is answered while it
 * is not known yet which kind it will be. It passes everything through from then on. Owned as any;
 * its maker keeps a borrowed pointer until later_set, later_fail, or cancel was called.
 */
#ifndef ADIT_CORE_LATER_H
#define ADIT_CORE_LATER_H

#include <adit/mux.h>

/* NULL: out of memory. cancel(arg) is called once when the owner closes it before it was set. */
struct adit_mux *later_new(struct adit_worker *w, void (*cancel)(void *arg), void *arg);

/* Gives m its session, of the same worker, open or opening, owned from now on. */
void later_set(struct adit_mux *m, struct adit_mux *lower);

/* Of one that was set: closed(arg) is called once when the owner closes it. NULL: nothing is. */
void later_on_close(struct adit_mux *m, void (*closed)(void *arg), void *arg);

/* Fails it instead. */
void later_fail(struct adit_mux *m, const struct adit_reason *why);

#endif
