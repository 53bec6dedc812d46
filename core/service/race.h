/*
 * A node's dialer that is several ways to it (auto), in the manner of happy eyeballs (RFC 8305).
 * The way that was good last is tried, else the first one; the next one 250 ms later, or as soon as
 * one has failed, each with its whole handshake. The first to be through asks the node for what is
 * wanted, and what the node answers decides: a front that takes TLS and nothing in it has no answer
 * from a node, and so the next one asks. When the answer takes long another one asks, too, but not
 * at once: a bind must not be there twice.
 *
 * What was good is remembered. Where that is not the first way that there can be, the first one is
 * tried again now and then, with growing pauses: together with what goes by the other, and for
 * binds by itself. When it is through, what is dialed from then on goes by it, and binds are told
 * to move (adit_mux_is_superseded).
 */
#ifndef ADIT_CORE_RACE_H
#define ADIT_CORE_RACE_H

#include <adit/plugin.h>

#define RACE_WAYS 4

struct race;

/* The options of the choosing itself. */
struct race_opts {
	uint64_t	retry;
};
extern const struct adit_opt race_rows[];

struct race_conf {
	struct adit_component	*component;	/* for the log; borrowed for the race's life */
	const char		*name;		/* of the dialer; the same, as are: */
	const char		*ways[RACE_WAYS];
	unsigned		 n;
	uint64_t		 retry;		/* ns: the first pause; 0: nothing is tried again */
};

/* NULL: out of memory. Free it after race_stop on every worker; NULL is fine. */
struct race *race_new(const struct race_conf *conf);
void race_free(struct race *r);

/* What is under way on w ends, and binds are told of nothing any more. On w. */
void race_stop(struct race *r, struct adit_worker *w);

/* Something that is wanted of the node, by any way: the first member of what its maker has. */
struct race_trip {
	const struct race_trip_ops	*ops;
	struct adit_worker		*worker;
	unsigned			 ways;	/* those there can be: bits */
};

struct race_trip_ops {
	/* A conn to the node by that way, which may be opening; NULL with e filled. */
	struct adit_conn	*(*dial)(struct race_trip *t, unsigned way, struct adit_err *e);

	/* Asks the node behind lower, owned also on failure; one of the two. NULL with e filled. */
	struct adit_conn	*(*connect)(struct race_trip *t, struct adit_conn *lower,
					    struct adit_err *e);
	struct adit_mux		*(*bind)(struct race_trip *t, struct adit_conn *lower,
					 struct adit_err *e);

	/* How it went, once, unless it is given up: 0: the node answered, if only with a no. */
	void			(*told)(struct race_trip *t, int err);
	void			(*free)(struct race_trip *t);
};

/*
 * What connect or bind give by the way that the node answers by: a conn or mux that is opening, and
 * fails with the node's answer or with why no way led there. t is the race's from now on, also on
 * failure: NULL with e, out of memory. On t's worker.
 */
struct adit_conn *race_connect(struct race *r, struct race_trip *t, struct adit_err *e);
struct adit_mux *race_bind(struct race *r, struct race_trip *t, struct adit_err *e);

#endif
