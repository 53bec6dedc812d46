/*
 * The test's end of a pair of conns: what arrives is collected, what is said is written whole.
 */
#ifndef ADIT_TEST_WIRE_END_H
#define ADIT_TEST_WIRE_END_H

#include <adit/conn.h>

#include "tests/unit/loop.h"

#define WIRE_END_CAP 32768		/* bytes on the way, each way */

struct wire_end {
	struct loop		*loop;
	struct adit_conn	*conn;		/* NULL once closed by the test */
	char			*got;		/* terminated; what was not yet dropped */
	size_t			 len;
	bool			 ended;		/* the other side's end was read */
	int			 err;		/* or it failed */
	bool			 paused;	/* read nothing: see wire_end_pause */
};

/* Makes a pair. Returns the other end, open, of the same loop. */
struct adit_conn *wire_end_init(struct wire_end *end, struct loop *l);

/* Closes politely if that was not done, and frees what was collected. All zero is fine. */
void wire_end_fini(struct wire_end *end);

/* Writes all of it, turning where the pair is full; fails the test after 10 s. */
void wire_end_send(struct wire_end *end, const void *bytes, size_t len);

/* Closes: politely, or with a reason. */
void wire_end_close(struct wire_end *end, int why);

/* Stops reading, or goes on. */
void wire_end_pause(struct wire_end *end, bool paused);

/* Takes the first len bytes away, of those that came. */
void wire_end_drop(struct wire_end *end, size_t len);

#endif
