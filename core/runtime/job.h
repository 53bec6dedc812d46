/*
 * The helper pool behind adit_job_run: a few threads for what blocks, one pool for all workers of a
 * group, which owns it. No thread is started before the first job, and none beyond what waits.
 */
#ifndef ADIT_CORE_JOB_H
#define ADIT_CORE_JOB_H

#include <adit/worker.h>

#define JOB_THREADS 4
#define JOB_QUEUE 1024		/* jobs that wait for a thread; beyond it -EAGAIN */

struct job_pool;

/* NULL if out of memory. */
struct job_pool *job_pool_new(void);

/*
 * Ends the threads. Jobs that wait are cancelled, those that run are waited for: a work function
 * must have a limit of its own. All done calls are in the mailboxes when it returns, so the workers
 * must settle after it. From now on adit_job_run answers ADIT_ESTOPPED. NULL is fine.
 */
void job_pool_stop(struct job_pool *p);

/* After job_pool_stop and all workers have ended. NULL is fine. */
void job_pool_free(struct job_pool *p);

#endif
