/*
 * Workers and timers. A worker is one thread with one event loop. Whatever has a descriptor or a
 * timer belongs to one worker from creation to end and is touched by that thread only; what
 * concerns another worker's objects is posted to it.
 */
#ifndef ADIT_WORKER_H
#define ADIT_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>

#ifdef __cplusplus
extern "C" {
#endif

struct adit_worker;
struct adit_log;

/* From a pointer to a member to the struct around it. */
#define adit_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define ADIT_WORKERS_MAX 128

/* 0..count-1, below ADIT_WORKERS_MAX; a worker of a library in somebody's loop is 0 of 1. */
unsigned adit_worker_index(const struct adit_worker *w);
unsigned adit_worker_count(const struct adit_worker *w);

/* The worker with that index in the same process part, for adit_worker_post. */
struct adit_worker *adit_worker_at(const struct adit_worker *w, unsigned index);

/* The log of the process part; NULL: nothing is logged. Any thread. */
struct adit_log *adit_worker_log(const struct adit_worker *w);

/* Monotonic time in nanoseconds, read from the clock. Any thread. */
uint64_t adit_now(void);

/*
 * Work for another worker (or, later, for this one). The sender allocates it, usually inside a
 * struct of its own; run owns it from then on. Posted to a worker that has ended, discard is run
 * instead, in the poster's or the main thread, so that nothing leaks; discard may be NULL when
 * there is nothing to free.
 */
struct adit_message {
	void			(*run)(struct adit_message *m, struct adit_worker *w);
	void			(*discard)(struct adit_message *m);
	struct adit_message	 *next;		/* core's */
};

/* Queues m for to; in order per sender and receiver. Any thread. */
void adit_worker_post(struct adit_worker *to, struct adit_message *m);

/*
 * 64 KiB for the callback that is running: nothing in it survives the return to the loop, and
 * layers do not use it (their owner may be in the middle of it). Owners of conns read into it.
 */
void *adit_worker_scratch(struct adit_worker *w, size_t *len);

/*
 * Runs work on a helper thread (what blocks: getaddrinfo, password hashes, files), then done on w.
 * The queue is bounded: -EAGAIN when full, and neither is run. done comes also while w is stopping
 * (cancelled is then true if work was not run); a job that is new then gets ADIT_ESTOPPED.
 */
struct adit_job {
	void		(*work)(struct adit_job *j);			/* helper thread */
	void		(*done)(struct adit_job *j, struct adit_worker *w, bool cancelled);
	struct adit_worker	*worker;				/* core's, below too */
	struct adit_message	 message;
	bool			 cancelled;
};

/* Queues j, core's until done. 0, or -EAGAIN or ADIT_ESTOPPED: it is not run. On w. */
int adit_job_run(struct adit_worker *w, struct adit_job *j);

/* A timer of one worker. */
struct adit_timer;

/* cb runs on w once each time the timer runs out. NULL if out of memory. */
struct adit_timer *adit_timer_new(struct adit_worker *w, void (*cb)(void *arg), void *arg);

/* (Re)starts it to run out ns nanoseconds from now; precise to about 50 us. */
void adit_timer_set(struct adit_timer *t, uint64_t ns);

/* Stops it; no callback comes after. NULL is fine. */
void adit_timer_stop(struct adit_timer *t);
bool adit_timer_running(const struct adit_timer *t);

/* Stops and frees it; may be called from its own callback. NULL is fine. */
void adit_timer_free(struct adit_timer *t);

#define ADIT_MS(n)	((uint64_t)(n) * 1000000u)
#define ADIT_SECONDS(n)	((uint64_t)(n) * 1000000000u)

/* Random bytes for jitter, ids and choices; not for keys. Any thread. */
void adit_random(void *buf, size_t len);

/* Uniform in 0..n-1; 0 if n is 0. */
uint32_t adit_random_below(uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
