/*
 * The last line of a connection in the log: who it was of and what he asked for, bytes both ways,
 * how long it lasted, which side ended it and how. Each connection has one, of the same form
 * whatever it was: refused, joined with another, a session.
 */
#ifndef ADIT_CORE_ENDING_H
#define ADIT_CORE_ENDING_H

#include <adit/log.h>
#include <adit/mux.h>
#include <adit/plugin.h>

/* All strings are borrowed, and left out of the line where NULL. */
struct ending {
	const struct adit_component	*component;	/* says service and log */
	const char			*kind;		/* "entrypoint", "handler", "listener" */
	const struct adit_addr		*remote;	/* NULL, or family 0: left out */
	uint64_t			 id;		/* of the conn; 0: left out */
	const struct adit_worker	*worker;	/* NULL: left out */
	const char			*host, *tunnel, *connector;
	const char			*user;		/* by whose right */
	unsigned			 requests;	/* of HTTP; 0: left out, as status is */
	int				 status;	/* of the last response; 0: none */
	struct adit_traffic		 traffic;
	uint64_t			 dropped;	/* datagrams that a side did not take; 0:
							 * left out */
	uint64_t			 duration;	/* ns */
	const char			*by;		/* NULL: we: time-out, refusal, stop */
	const char			*how;		/* NULL: ending_how of the line's subject */
};

/* Who it is of, bytes and time, from a conn that is about to be closed, or from a session. */
struct ending ending_of(const struct adit_component *p, const struct adit_conn *c);
struct ending ending_of_mux(const struct adit_component *p, const struct adit_mux *m);

/* "end", "reset", "timeout", "stopped", "refused", "failure": what an error means for `how`. */
const char *ending_how(int err);

/* Who ended a conn to peer that failed with err: peer, or NULL where it was given up here. */
const char *ending_by(int err, const char *peer);

/* Which of two sides ended a pump: a, b, or NULL, as its stats say. */
const char *ending_side(int side, const char *a, const char *b);

/*
 * Why something ended, said once: text (a reason's, an error's, a peer's; NULL or "": none), with
 * what err means in front where that is not in it. Valid as long as text and buf.
 */
#define ENDING_REASON 512
const char *ending_reason(int err, const char *text, char buf[ENDING_REASON]);

/* Writes the line: the fields of n that are known, then the text. Any thread. */
void ending_log(const struct ending *n, enum adit_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
