/*
 * The desk: what workers have to ask of the main thread, which alone has the configuration. Who
 * asks goes on meanwhile, and gets the answer on his own worker. Also what the main thread counts,
 * for all to read.
 */
#ifndef ADIT_CORE_DESK_H
#define ADIT_CORE_DESK_H

#include <stdatomic.h>

#include <adit/worker.h>

struct desk;
struct event_base;
struct tally_book;

#define DESK_MAX 64	/* that wait; who comes then is told ADIT_ELIMIT */

/*
 * A question about the configuration, as it came over HTTP, and its answer. Without a path it asks
 * how many services there are.
 */
struct desk_ask {
	struct adit_message	 message;	/* of the answer: the desk's, below too */
	struct desk_ask		*next;

	struct adit_worker	*home;		/* of who asks */
	/*
	 * On home: with the answer, or without (err). The ask is done's from there on, for
	 * desk_ask_free.
	 */
	void			(*done)(struct desk_ask *a);
	void			*arg;		/* done's; home's alone */

	char			*method, *path, *body;	/* owned, as is all below; path: below the
						 * API's own, "config/services/x" */
	size_t			 len;
	char			*format, *file;	/* of the query, or NULL */
	bool			 known;		/* he has said who he is */
	struct tally_book	*book;		/* what was counted; NULL: not known */

	unsigned		 ready, running;	/* services that are up, and others; not our
							 * own ones */
	int			 err;		/* it could not be asked */
	int			 status;	/* of HTTP */
	const char		*type;		/* of answer, a literal */
	char			*answer;
	size_t			 answer_len;
};

void desk_ask_free(struct desk_ask *a);		/* NULL is fine */

/* serve answers each, in the main thread, whose loop base is. NULL: out of memory. */
struct desk *desk_new(struct event_base *base, void (*serve)(void *arg, struct desk_ask *a),
		      void *arg);

/* Answers those that wait with ADIT_ESTOPPED, and whoever comes later. Before workers end. */
void desk_close(struct desk *d);
void desk_free(struct desk *d);			/* after them; NULL is fine */

/* Puts a before the main thread. d NULL: there is none. Any thread. */
void desk_put(struct desk *d, struct desk_ask *a);

/* Of one recorder's name. Stays until the end. */
struct desk_record {
	struct desk_record	*next;
	_Atomic uint64_t	 n;
	char			 name[];
};

#define DESK_RECORDS 1024	/* names; of others nothing is counted */

struct desk_counts {
	atomic_uint		 services;	/* that are open, with entry points */
	_Atomic uint64_t	 reloads, refused;	/* configurations since the first */
	_Atomic int64_t		 changed;	/* Unix time of the last that was taken */
	_Atomic(struct desk_record *) records;	/* the first of a list that only grows */
	atomic_bool		 wanted;	/* somebody may ask what workers have counted */
};

/* d's. NULL where d is. Any thread. */
struct desk_counts *desk_counts(struct desk *d);

/* There is somebody who may ask what workers have counted. d may be NULL. Any thread. */
void desk_want_counts(struct desk *d);

/* What recorders of that name count in. NULL: they do not. d may be NULL. Main thread. */
struct desk_record *desk_record(struct desk *d, const char *name);

/* A service, or an entry point, was opened (1) or closed (-1). d may be NULL. Any thread. */
void desk_count_service(struct desk *d, int change);

#endif
