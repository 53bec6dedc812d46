/*
 * A service's listener, which may be several: one after the other is asked for the same, those of a
 * choice at one address, whose port is the same for all, also where the kernel chooses it.
 */
#ifndef ADIT_CORE_LISTENING_H
#define ADIT_CORE_LISTENING_H

#include "core/service/instance.h"

/* As the operations of a listener. i: a listener's instance; nothing happens if it has none. */
int listening_open(struct instance *i, struct adit_err *e);
int listening_start(struct instance *i, struct adit_worker *w, struct adit_err *e);
void listening_stop(struct instance *i, struct adit_worker *w);
void listening_close(struct instance *i);
void listening_settle(struct instance *i);
bool listening_is_ready(const struct instance *i);

/* The way that l is of, i itself if it is no choice. Any thread. */
const struct instance *listening_way(const struct instance *i, const struct adit_listener *l);

/* One line of the log for each: where it listens. service and handler: names. */
void listening_log(struct instance *i, const char *service, const char *handler);

#endif
