/*
 * A worker from the inside: the event loop, the run queue, the mailbox, the graveyard, pools. See
 * adit/worker.h for what plugins see.
 *
 * A turn: events of the loop (descriptors, timers) mark ios ready; then the run queue calls the
 * owners of all that are ready and wanted, also of those that become it meanwhile, once each; then
 * what was closed is freed. An owner that is still ready and wanted is called again in the next
 * turn, so nobody starves and nothing is lost. A turn that takes longer than a few milliseconds is
 * broken off: descriptors and timers come first, then the rest.
 */
#ifndef ADIT_CORE_WORKER_H
#define ADIT_CORE_WORKER_H

#include <stdatomic.h>
#include <sys/queue.h>

#include <adit/log.h>
#include <adit/worker.h>

#include "core/runtime/queue.h"

struct event_base;
struct job_pool;
struct timers;
struct evdns_base;
struct memory;
struct worker_group;

struct worker_conf {
	unsigned	 workers;	/* threads; at least 1 */
	uint64_t	 memory;	/* budget of them all; 0: half of the machine's */
	struct adit_log	*log;		/* borrowed; may be NULL */
};

/* Starts the threads. NULL with e filled. Main thread, as all below. */
struct worker_group *workers_start(const struct worker_conf *conf, struct adit_err *e);

/*
 * Ends the loops, joins the threads and frees everything. Conns and sessions must have been closed
 * before by their owners. The rest is done by the calling thread, for all workers together, since
 * what one finishes may post to another:
 *
 *  1. what was posted, is ready or was closed is finished;
 *  2. ios that are closed and held, because they still flush or linger, get 5 s in all;
 *  3. the mailboxes close: what is posted from here on is discarded;
 *  4. the slots' finis run, and what they close has the rest of the 5 s;
 *  5. those left are cut: each gives up what it still does and lets go of its holds. That may close
 *     others (a layer its lower conn), which are cut in the next round, so no order is asked for.
 *     Who has no cut is freed as it is, after all that have one;
 *  6. only then the first worker is destroyed.
 */
void workers_stop(struct worker_group *g);

struct adit_worker *workers_at(struct worker_group *g, unsigned index);
unsigned workers_count(const struct worker_group *g);

/* Runs fn(w, arg) on every worker and waits until all have returned. Not from a worker. */
void workers_call(struct worker_group *g, void (*fn)(struct adit_worker *w, void *arg), void *arg);

/*
 * A worker on a loop that somebody else runs (libadit, unit tests): a group of one, no thread, no
 * signal handler. base stays the caller's.
 */
struct adit_worker *worker_attach(struct event_base *base, struct adit_log *log,
				  struct adit_err *e);
void worker_detach(struct adit_worker *w);

/* For modules with descriptors of their own. */
struct event_base *worker_base(const struct adit_worker *w);
struct timers *worker_timers(const struct adit_worker *w);
struct chunk_pool *worker_chunks(const struct adit_worker *w);
struct job_pool *worker_jobs(const struct adit_worker *w);
struct memory *worker_memory(const struct adit_worker *w);	/* the process's */

/*
 * How many conns that stay for long w carries: who deals such conns to the workers adds one, and
 * takes it back at its end. Any thread.
 */
atomic_uint *worker_load(struct adit_worker *w);

/* The worker of w's group with the least load; w itself where no other has less. Any thread. */
struct adit_worker *worker_least_loaded(struct adit_worker *w);

/*
 * Kept by a module per worker, by key: e.g. its table of sessions. Returns the slot to read or set.
 * fini (may be NULL) runs in worker_detach/workers_stop, on the value; the slot is empty by then,
 * and if it is filled again meanwhile, fini runs again.
 */
enum worker_slot {
	SLOT_RESOLVER,
	SLOT_TUNNELS,
	SLOT_PIPES,
	SLOT_STUCK,
	SLOT_UDP,
	SLOT_DIALS,
	SLOT_FRONTS,
	SLOT_TLS,
	SLOT_NETWORK,
	SLOT_DATAGRAMS,
	SLOT_PERMITS,
	SLOT_TALLY,
	SLOTS,
};
void **worker_slot(struct adit_worker *w, enum worker_slot slot, void (*fini)(void *));

/*
 * An io is readiness with an owner: the common part of conns, sessions and packet_conns. cb is
 * called from the run queue while want & ready. free runs at the end of a turn after io_close, when
 * no holds are left.
 *
 * cut (NULL until it is set after io_init) is for an io that is closed and held when its worker
 * ends: it ends at once what the holds are for, and releases them. Without one, free is called
 * although there are holds, when nothing runs any more, and must get along with that.
 */
struct io {
	struct adit_worker	*worker;
	void			(*cb)(struct io *io, unsigned events);
	void			(*free)(struct io *io);
	void			(*cut)(struct io *io);
	uint8_t			 want, ready;
	uint8_t			 ran;		/* the turn it was called in last; 0: in none */
	bool			 queued : 1;	/* in the run queue, or buried */
	bool			 closed : 1;
	bool			 lingering : 1;	/* closed, and held: in its worker's list */
	bool			 starving : 1;	/* see io_starve */
	uint16_t		 holds;
	struct io		*next;		/* in the run queue, or in the graveyard */
	TAILQ_ENTRY(io)		 entry;		/* in its worker's lingering, or starving */
};

void io_init(struct io *io, struct adit_worker *w, void (*cb)(struct io *, unsigned),
	     void (*free)(struct io *));
void io_want(struct io *io, unsigned events);
void io_ready(struct io *io, unsigned events);
void io_close(struct io *io);
void io_hold(struct io *io);
void io_release(struct io *io);

/*
 * A write to io was refused, perhaps only because memory was gone: it becomes ready for one again
 * when some is there.
 */
void io_starve(struct io *io);

/*
 * Takes io out of its worker's run queue and gives it to another worker, which must not know it
 * yet.
 */
void io_move(struct io *io, struct adit_worker *to);

#endif
