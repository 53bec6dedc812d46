/*
 * What went through each service, for metrics and the API. Every worker has a book of its own,
 * which nobody else touches, so that counting takes no lock; tally_gather adds them all up. Until
 * there is somebody who may ask, only sessions are counted, and all else costs a look at the slot.
 *
 * A conn is counted under a service's name and its peer's address. Both are bounded: beyond
 * TALLY_SERVICES names, or TALLY_CLIENTS addresses of one name on one worker, all others are
 * counted together, under no name or address of their own. What was counted stays until the
 * process ends.
 */
#ifndef ADIT_CORE_TALLY_H
#define ADIT_CORE_TALLY_H

#include <sys/queue.h>

#include <adit/conn.h>

#define TALLY_SERVICES 1024
#define TALLY_CLIENTS 256
#define TALLY_NODES 1024
#define TALLY_STATUS_MIN 100	/* of HTTP; what is none of 100..599 is not counted by status */
#define TALLY_STATUSES 500

/* Why a visitor, or a client's request, was not served. */
enum tally_reason {
	TALLY_NO_RULE, TALLY_NO_CLIENT, TALLY_CLIENT_DEAD, TALLY_TARGET, TALLY_TIMEOUT,
	TALLY_LIMIT, TALLY_UNAUTHORIZED, TALLY_FORBIDDEN, TALLY_STOPPING, TALLY_OTHER,
	TALLY_REASONS,
};

/* "no-rule", ...: for a label. */
const char *tally_reason_name(enum tally_reason reason);

/* Times, sorted into what lasted no longer than each bound. */
#define TALLY_BUCKETS 15
struct tally_times {
	uint64_t	n[TALLY_BUCKETS];	/* of each bound; the last is without one */
	uint64_t	total;			/* ns of them all */
};

/* Upper bounds in ms of the buckets, as many as there are before 0; the next one has none. */
extern const unsigned tally_service_bounds[TALLY_BUCKETS], tally_node_bounds[TALLY_BUCKETS];

struct tallied;

/* Conns of one service from one address. */
struct tally_client {
	struct tally_client	*next;
	struct adit_addr	 addr;		/* port 0; family 0: all others */
	uint64_t		 begun, open, failed;
	struct adit_traffic	 traffic;	/* in a worker's book: without those open */
	LIST_HEAD(, tallied)	 conns;		/* open, of a worker's book */
};

#define TALLY_CLIENT_SLOTS 64
struct tally_service {
	struct tally_service	*next;
	unsigned		 n_clients;
	struct tally_client	*clients[TALLY_CLIENT_SLOTS];
	struct tally_times	 times;		/* of conns, from beginning to close */
	uint64_t		 refused[TALLY_REASONS];
	uint64_t		*statuses;	/* as many as TALLY_STATUSES, or NULL; owned */
	int64_t			 sessions;	/* of clients, bound now */
	char			 name[];	/* "": all others */
};

/* A node of a chain. */
struct tally_node {
	struct tally_node	*next;
	struct tally_times	 times;		/* of connecting to it */
	uint64_t		 failed;
	const char		*node;		/* behind chain, in its memory */
	char			 chain[];	/* both "": all others */
};

#define TALLY_SLOTS 64
struct tally_book {
	struct tally_service	*services[TALLY_SLOTS];
	struct tally_node	*nodes[TALLY_SLOTS];
	unsigned		 n_services, n_nodes;	/* without all others, as n_clients */
	bool			 open;		/* of a worker: what comes is counted */
	bool			 sum;		/* of several: has what each of them has */
};

/* From now on all that comes is counted on w, until it ends. */
void tally_start(struct adit_worker *w);

/*
 * Counts c, which is new, under that name (copied) until it is closed, also when it moves to
 * another worker. Once: who counts it first has it. Without memory it is not counted. On c's
 * worker, as are all below on w.
 */
void tally_conn(struct adit_conn *c, const char *name);

/* A response of that status was given; 0: none was. */
void tally_status(struct adit_worker *w, const char *name, int status);

/* Somebody was not served, for that reason (an error). */
void tally_refusal(struct adit_worker *w, const char *name, int err);

/* So many more, or fewer, clients' sessions are bound: counted at all times. */
void tally_sessions(struct adit_worker *w, const char *name, int change);

/* A node was connected to within that many ns, or (err) it was not. */
void tally_node(struct adit_worker *w, const char *chain, const char *node, uint64_t ns, int err);

/* For conns: c's are over, with that reason; c goes to another worker, and has come there. */
void tallied_end(struct tallied *t, int why);
void tallied_leave(struct tallied *t);
void tallied_arrive(struct tallied *t, struct adit_worker *w);

/* ---- all workers' numbers ------------------------------------------------------------- */

struct tally_asking;

/*
 * Asks all workers, one after the other, without holding up any; done(arg, book) comes on w, from
 * the loop. book is done's, for tally_free; NULL: out of memory. NULL, and done is not called: the
 * same.
 */
struct tally_asking *tally_gather(struct adit_worker *w,
				  void (*done)(void *arg, struct tally_book *book),
				  void *arg);

/* done is not called any more. Before it was; on w. */
void tally_forget(struct tally_asking *a);

/* Of one that was gathered; NULL is fine. */
void tally_free(struct tally_book *b);

/* Sums of all addresses; conns is empty. */
struct tally_client tally_total(const struct tally_service *s);

/* The service of that name in a gathered book, or NULL. */
const struct tally_service *tally_find(const struct tally_book *b, const char *name);

#endif
