/*
 * What was replaced under workers that may be reading it is freed when each of them has turned
 * once: none can be in the middle of it then.
 */
#ifndef ADIT_CORE_TURNED_H
#define ADIT_CORE_TURNED_H

#include <adit/worker.h>

struct turned;

/* Memory for one round through w's group; NULL: there is none. Any thread. */
struct turned *turned_new(struct adit_worker *w);

/*
 * Runs passed (optional) on each worker, between two of its callbacks, and after the last one done;
 * on any of them, or by who ends them. old is theirs. Takes t. Any thread.
 */
void turned_start(struct turned *t, void (*passed)(struct adit_worker *w, void *old),
		  void (*done)(void *old), void *old);

#endif
