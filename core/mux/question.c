#include "core/mux/question.h"

void
mux_question_ask(struct mux_question *q, struct adit_conn *lower, uint64_t heard)
{
	struct adit_delivery d;

	if (q->asked > heard)
		return;			/* the first question counts */
	q->asked = adit_now();
	q->mark = q->moved = 0;
	q->arrived = adit_conn_delivery(lower, &d) < 0 || d.taken == d.acked;
	q->acked = q->arrived ? 0 : d.acked;
}

static void
question_follow(struct mux_question *q, struct adit_conn *lower, bool queued, uint64_t now)
{
	struct adit_delivery d;

	if (q->arrived)
		return;
	if (adit_conn_delivery(lower, &d) < 0) {
		q->arrived = true;
		return;
	}
	if (!q->mark && !queued)
		q->mark = d.taken;
	q->arrived = q->mark && d.acked >= q->mark;
	if (q->arrived || d.acked > q->acked)
		q->moved = now;
	q->acked = d.acked;
}

uint64_t
mux_question_silence(struct mux_question *q, struct adit_conn *lower, uint64_t heard, bool queued,
		     uint64_t now)
{
	uint64_t from = heard;

	if (q->asked <= heard)
		return 0;
	question_follow(q, lower, queued, now);
	/* Of the silence before the question not more than the time between two probes counts. */
	if (from + ADIT_SECONDS(1) < q->asked)
		from = q->asked - ADIT_SECONDS(1);
	if (from < q->moved)
		from = q->moved;
	return now > from ? now - from : 0;
}
