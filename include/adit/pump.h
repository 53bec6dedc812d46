/*
 * The pump joins two conns: the only code that moves users' bytes between two conns. It moves both
 * directions until both have ended, passing on ends and failures, then closes both and reports.
 */
#ifndef ADIT_PUMP_H
#define ADIT_PUMP_H

#include <adit/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

struct adit_pump;

enum { ADIT_PUMP_KEEP_A = 1, ADIT_PUMP_KEEP_B = 2 };	/* of adit_pump_opts.keep */
enum { ADIT_PUMP_FINAL_A = 1, ADIT_PUMP_FINAL_B = 2 };	/* of adit_pump_opts.final */

struct adit_pump_opts {
	size_t		size;		/* sizeof(struct adit_pump_opts) */
	uint64_t	idle;		/* ns without a byte either way, then both fail; 0: none */
	uint64_t	half_closed;	/* ns, the same once one direction has ended; 0: as idle.
					 * Also how long a side without half-close is owed an end */
	uint64_t	splice_after;	/* bytes moved before splice(2) is tried; 0: 256 KiB;
					 * UINT64_MAX: never */

	/*
	 * Whose end is the end of both where it cannot be passed on, because the other has no
	 * half-close: ADIT_PUMP_FINAL_A and _B. Else such an end is owed (half_closed). A target
	 * that has ended will answer nothing more, so it is final; a visitor that has ended still
	 * waits for its answer.
	 */
	unsigned	final;

	/*
	 * Which conns are not closed at the end but given back to the caller, before done:
	 * ADIT_PUMP_KEEP_A and _B. They then have no owner and nothing is wanted of them.
	 */
	unsigned	keep;

	/*
	 * optional; arg is done's. Called when from's end was read and before it is passed on to
	 * to: trailers. Returns 0, or -EAGAIN to be called again when to is writable.
	 */
	int		(*ended)(void *arg, struct adit_conn *from, struct adit_conn *to);

	/*
	 * optional: from has ADIT_HEAD ready. 0, -EAGAIN (again when to is writable), or a failure
	 * that ends both.
	 */
	int		(*head)(void *arg, struct adit_conn *from, struct adit_conn *to);
};

struct adit_pump_stats {
	uint64_t	bytes[2];	/* [0] from a to b, [1] from b to a */
	uint64_t	duration;	/* ns since the pump began */
	int		err;		/* 0: both ended; else what ended it */
	int		side;		/* who ended first, or failed: 0 a, 1 b, -1 neither */
	const char	*how;		/* "end", "reset", "timeout", "stopped", ...: a literal */
	uint64_t	dropped[2];	/* datagrams that were not taken at once, as bytes */
};

/*
 * Takes a and b (open, of one worker) and reports once, after closing both: done(arg, stats), from
 * the loop. NULL if out of memory: both are closed and done is not called. opts are copied; may be
 * NULL.
 */
struct adit_pump *adit_pump(struct adit_conn *a, struct adit_conn *b,
			    const struct adit_pump_opts *opts,
			    void (*done)(void *arg, const struct adit_pump_stats *stats),
			    void *arg);

/* Ends it (0: politely, else with that reason); done still comes, from the loop. On its worker. */
void adit_pump_stop(struct adit_pump *p, int why);

/* ns since it moved anything, or began: datagrams have no other end to wait for. On its worker. */
uint64_t adit_pump_silence(const struct adit_pump *p);

/* What it has moved so far; p's, and valid until done returns. On its worker. */
const struct adit_pump_stats *adit_pump_stats(const struct adit_pump *p);

#ifdef __cplusplus
}
#endif
#endif
