/*
 * Whether what a session asked of its peer is still on its way. An acknowledgement by the peer's
 * kernel is no sign of life, but until that kernel has the question nothing is owed, as long as
 * anything moves there: a full queue on a slow link is not death. One for each session.
 */
#ifndef ADIT_CORE_MUX_QUESTION_H
#define ADIT_CORE_MUX_QUESTION_H

#include <adit/conn.h>

/* Zeroed: nothing was asked. */
struct mux_question {
	uint64_t	asked;		/* when, first since the peer was heard; 0: never */
	uint64_t	mark;		/* what lower had taken by then; 0: not sent */
	uint64_t	acked;		/* of lower, as seen last */
	uint64_t	moved;		/* when that grew last, until it arrived */
	bool		arrived;	/* its kernel has the question */
};

/* Something has been written that the peer, heard last at that time, is to answer. */
void mux_question_ask(struct mux_question *q, struct adit_conn *lower, uint64_t heard);

/*
 * For how many ns, at the time now, the peer has owed the answer; 0: it owes none. queued: the
 * question, or something before it, is still in a queue of the session's.
 */
uint64_t mux_question_silence(struct mux_question *q, struct adit_conn *lower, uint64_t heard,
			      bool queued, uint64_t now);

#endif
