/*
 * A groups file that is read again when it has changed, however that happens: in place, by a rename
 * over it, by the swap of the symbolic link that a ConfigMap is mounted with. It is looked at each
 * second, on a helper thread. A text that is wrong changes nothing; the log has its mistakes once,
 * until it is right again.
 */
#ifndef ADIT_CORE_REVERST_GROUPS_SOURCE_H
#define ADIT_CORE_REVERST_GROUPS_SOURCE_H

#include <stdbool.h>

#include <adit/err.h>
#include <adit/log.h>
#include <adit/worker.h>

#include "core/reverst/groups.h"

struct groups_source;

struct groups_source_conf {
	const char		*from;		/* as groups_path takes it; copied */
	bool			 watch;		/* read it again */
	const char		*service;	/* for the log; copied */
	struct adit_log		*log;

	/*
	 * On each worker, between two of its callbacks, when other groups count from now on: time
	 * to close what belongs to a group that has gone. Optional.
	 */
	void			(*changed)(struct adit_worker *w, void *arg);
	/* On any of them, or within groups_source_free: changed is not called any more. Optional */
	void			(*gone)(void *arg);
	void			*arg;
};

/*
 * Reads it here and now. NULL with e filled, whose text has every mistake as far as there is room,
 * and gone is not called. Main thread; blocks.
 */
struct groups_source *groups_source_new(struct adit_worker *home,
					const struct groups_source_conf *conf,
					struct adit_err *e);

/*
 * The groups as they are now: for the callback that is running, and no longer. On any worker of
 * home's group.
 */
const struct groups *groups_source_now(const struct groups_source *s);

/* When no worker asks any more. Any thread, while home lives; NULL is fine. */
void groups_source_free(struct groups_source *s);

#endif
