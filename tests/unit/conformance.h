/*
 * The conformance test: what every kind of conn must do, whatever is below it. A module plugs in by
 * a function that makes two connected ends, and passes when all of this holds:
 *
 *  - bytes arrive whole and in order, both ways at the same time, from 1 byte to 8 MiB;
 *  - the end of one direction leaves the other one open (or shutdown says -ENOTSUP);
 *  - close(0) delivers what was taken, then the end; close(why) is a failure at the other side;
 *  - who does not read stops who writes, and what is held meanwhile is bounded;
 *  - an end may be closed at any moment: before it is open, after any number of bytes, inside its
 *    own callback; the other side then sees an end or a failure, and nothing leaks;
 *  - a failure, once seen, is every later answer; a deadline is such a failure;
 *  - bytes given back are read again;
 *  - nobody is called from inside a call, after close, or for what it does not want.
 *
 * Each check runs over plain conns, over conns whose reads and writes are cut to one byte, and over
 * conns that answer -EAGAIN at random (ADIT_SEED repeats a run). A layer is made over
 * conformance_lower, so that the trouble is below it:
 *
 *	static int
 *	make_ws(struct conformance *t, struct adit_conn **a, struct adit_conn **b)
 *	{
 *		struct adit_conn *la, *lb;
 *
 *		if (conformance_lower(t, &la, &lb) < 0)
 *			return -ENOMEM;
 *		*a = ws_client(la, ...);
 *		*b = ws_server(lb, ...);
 *		return *a && *b ? 0 : -ENOMEM;
 *	}
 *
 *	static void
 *	ws_conforms(void **state)
 *	{
 *		static const struct conformance_case ws = {
 *			.name = "ws", .make = make_ws, .flags = CONFORMANCE_NO_HALF_CLOSE,
 *		};
 *
 *		conformance_run(&ws);
 *	}
 *
 * A stream of a session: make opens the session over conformance_lower and a stream in it, turning
 * t->loop until the other side has accepted (loop_until); it keeps the sessions in t->own for
 * finish, which closes them after the two conns were closed.
 */
#ifndef ADIT_TEST_CONFORMANCE_H
#define ADIT_TEST_CONFORMANCE_H

#include <adit/conn.h>

#include "tests/unit/loop.h"

enum conformance_flag {
	CONFORMANCE_NO_HALF_CLOSE = 1,	/* shutdown answers -ENOTSUP */
	CONFORMANCE_NO_RESET = 2,	/* close(why) may look like an end at the other side */
	CONFORMANCE_DGRAM = 4,		/* datagrams; may be dropped under pressure, have no end */
	CONFORMANCE_DGRAM_LOSSY = 8,	/* the other end is not told of a close */
};

struct conformance;

struct conformance_case {
	const char	*name;

	/* Makes two ends, which may still be opening. Returns 0, else the test fails. */
	int		(*make)(struct conformance *t, struct adit_conn **a, struct adit_conn **b);

	/*
	 * optional: after both ends were closed; the loop turns a little and checks for leaks after
	 * it
	 */
	void		(*finish)(struct conformance *t);

	unsigned	 flags;
	size_t		 in_flight;	/* most that is taken while nobody reads; 0: 16 MiB */
	size_t		 chunks;	/* most that all queues hold meanwhile; 0: 1 MiB */
	void		*arg;		/* the module's */
};

/* One run of one check. */
struct conformance {
	const struct conformance_case	*test;
	struct loop			*loop;
	void				*own;	/* make's, for finish */
	unsigned			 mode;	/* the rest is the suite's */
	uint64_t			 seed;
	bool				 below;
};

/* Two connected conns to build upon: a pair, with the trouble of this run in it. 0 or -ENOMEM. */
int conformance_lower(struct conformance *t, struct adit_conn **a, struct adit_conn **b);

/* Runs all checks; fails the cmocka test it is called from. */
void conformance_run(const struct conformance_case *test);

/*
 * make functions: the in-process pair; two ends of a TCP connection over 127.0.0.1; of a Unix
 * socket pair.
 */
int conformance_make_pair(struct conformance *t, struct adit_conn **a, struct adit_conn **b);
int conformance_make_tcp(struct conformance *t, struct adit_conn **a, struct adit_conn **b);
int conformance_make_unix(struct conformance *t, struct adit_conn **a, struct adit_conn **b);

/*
 * Two connected TCP sockets (non-blocking), for tests that need the bare descriptors. 0 or -errno.
 */
int conformance_tcp_sockets(int fds[2]);

#endif
