/*
 * The tunnel table: which sessions there are under which name, seen by all workers. Changes take
 * its lock; readers follow one atomic pointer per shard of names to what never changes, and use it
 * within the callback that is running. What was replaced is freed when every worker has turned
 * once. How a session opens a conn is known to its own worker only, by number.
 */
#ifndef ADIT_CORE_TUNNEL_TABLE_H
#define ADIT_CORE_TUNNEL_TABLE_H

#include <stddef.h>

#include "core/mux/mux.h"
#include "core/runtime/idmap.h"
#include "core/runtime/worker.h"
#include "core/tunnel/pick.h"

struct tunnel_table;

/* A session on its own worker. */
struct tunnel_session {
	struct idmap_node	 node;		/* its number */
	struct tunnel_entry	*entry;		/* its place in the table */
	adit_session_open	*open;
	void			*session;
	struct mux_follower	 follower;	/* tells heard */
};

/* A worker's part. */
struct tunnel_worker {
	struct tunnel_table	*table;
	struct adit_worker	*worker;
	struct idmap		 sessions;
	unsigned		 crossing;	/* opens under way to other workers; bounded */
	uint64_t		 chance;	/* for choices */
};

/*
 * Makes the table of all of g's workers, before any of them joins, picks or opens. 0 or -ENOMEM. A
 * worker alone (a library's, a test's) makes its own at first use. It goes with the workers.
 */
int tunnels_start(struct worker_group *g);

/* w's part; NULL: there is no table, and no memory for one. On w. */
struct tunnel_worker *tunnels_of(struct adit_worker *w);

/* The members of that tunnel, *n of them; valid until the callback that is running returns. */
const struct tunnel_member *const *tunnels_find(const struct tunnel_worker *t, const char *name,
						unsigned *n);

/* How many tunnels have members. On t's worker. */
unsigned tunnels_count(const struct tunnel_worker *t);

/*
 * The session's peer is heard when m's is: m tells all workers when that was, until it leaves,
 * which must come before m is closed. Same worker.
 */
void tunnels_follow(struct tunnel_worker *t, uint64_t number, struct adit_mux *m);

/*
 * The session goes as soon as there is another one. Returns whether there is: one of its network
 * that does not go itself; not yet when asked for the first time. Same worker.
 */
bool tunnels_say_leaving(struct tunnel_worker *t, uint64_t number);

/* The session of this worker with that number, or NULL. */
struct tunnel_session *tunnels_session(const struct tunnel_worker *t, uint64_t number);

#endif
