/*
 * Probes of a forwarder's nodes (gost's `probe`): each is connected to now and then, or asked for a
 * page, and what comes of it is reported to its state as that of a visitor's attempt is.
 */
#ifndef ADIT_CORE_PROBE_H
#define ADIT_CORE_PROBE_H

#include <adit/log.h>
#include <adit/worker.h>

#include "core/config/place.h"

struct forward_node;
struct forwarder;
struct probes;

/* Whether n, which has a probe, can be probed so. 0, or a failure that is said at at. */
int probe_check(const struct forward_node *n, const struct place *at);

/*
 * Begins with those of f's nodes that have one; f stays until probes_stop. NULL: there are none, or
 * no memory. On w.
 */
struct probes *probes_start(const struct forwarder *f, struct adit_worker *w, struct adit_log *log);

/* On the same worker. NULL is fine. */
void probes_stop(struct probes *p);

#endif
