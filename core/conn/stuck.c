#include "core/conn/stuck.h"

#include <stdlib.h>

#include <adit/log.h>

#include "core/runtime/memory.h"
#include "core/runtime/worker.h"

#define STUCK_NS ADIT_SECONDS(30)	/* before that nobody is ended */
#define LOOK_NS ADIT_SECONDS(1)
#define LOOK_SHORT_NS ADIT_MS(100)	/* while memory is short: what was freed shows by then */
#define AT_ONCE 8u			/* ended in one look, and a part of all: */
#define PART 16u

/* A worker's. */
struct stuck_list {
	struct adit_worker		*worker;
	struct adit_timer		*timer;
	unsigned			 n;
	TAILQ_HEAD(stuck_head, stuck)	 flows;		/* longest first */
};

static void
list_look(void *arg)
{
	struct stuck_list *l = arg;
	bool is_short = memory_is_short(worker_memory(l->worker));

	stuck_end_due(l->worker, adit_now());
	if (l->n)
		adit_timer_set(l->timer, is_short ? LOOK_SHORT_NS : LOOK_NS);
}

/* The flows go on; nobody looks any more. */
static void
list_free(void *arg)
{
	struct stuck_list *l = arg;

	while (!TAILQ_EMPTY(&l->flows))
		stuck_leave(TAILQ_FIRST(&l->flows));
	adit_timer_free(l->timer);
	free(l);
}

static struct stuck_list *
list_of(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_STUCK, list_free);
	struct stuck_list *l = *slot;

	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->worker = w;
	l->timer = adit_timer_new(w, list_look, l);
	if (!l->timer) {
		free(l);
		return NULL;
	}
	TAILQ_INIT(&l->flows);
	*slot = l;
	return l;
}

void
stuck_begin(struct stuck *s, struct adit_worker *w)
{
	struct stuck_list *l = s->list ? s->list : list_of(w);

	if (!l)
		return;			/* without memory for it one flow is not looked at */
	if (s->list)
		TAILQ_REMOVE(&l->flows, s, entry);
	else if (l->n++ == 0)
		adit_timer_set(l->timer, LOOK_NS);
	s->list = l;
	s->since = adit_now();
	TAILQ_INSERT_TAIL(&l->flows, s, entry);
}

unsigned
stuck_end_due(struct adit_worker *w, uint64_t now)
{
	struct stuck_list *l = list_of(w);
	unsigned left = l ? AT_ONCE + l->n / PART : 0, ended = 0;
	struct stuck *s;

	while (left-- && memory_is_short(worker_memory(w)) && (s = TAILQ_FIRST(&l->flows)) &&
	       s->since + STUCK_NS <= now) {
		if (s->end(s))
			ended++;
		else
			stuck_begin(s, w);
	}
	if (ended)
		adit_log(adit_worker_log(w), ADIT_LOG_WARN, NULL,
			 "memory is short: %u connections ended that had taken nothing for %llus",
			 ended, (unsigned long long)(STUCK_NS / ADIT_SECONDS(1)));
	return ended;
}

void
stuck_leave(struct stuck *s)
{
	if (!s->list)
		return;
	TAILQ_REMOVE(&s->list->flows, s, entry);
	if (--s->list->n == 0)
		adit_timer_stop(s->list->timer);
	s->list = NULL;
}
