#include "core/service/inquiry.h"

#include <errno.h>
#include <stdlib.h>

#include "core/conn/tally.h"
#include "core/service/component.h"

struct inquiry {
	struct page		*page;
	struct tally_asking	*gather;	/* while it runs; then the desk has ask */
	struct desk_ask		*ask;
	void			(*told)(struct page *p, struct desk_ask *a);
};

static void
inquiry_answered(struct desk_ask *a)
{
	struct inquiry *q = a->arg;

	if (q) {
		q->page->asked = NULL;
		q->told(q->page, a);
		free(q);
	}
	desk_ask_free(a);
}

static void
inquiry_gathered(void *arg, struct tally_book *book)
{
	struct inquiry *q = arg;

	q->gather = NULL;
	q->ask->book = book;
	desk_put(q->page->site->component->desk, q->ask);
}

int
inquiry_begin(struct page *p, struct desk_ask *a, bool counts,
	      void (*told)(struct page *p, struct desk_ask *a))
{
	struct inquiry *q = calloc(1, sizeof(*q));

	if (!q) {
		desk_ask_free(a);
		return -ENOMEM;
	}
	*q = (struct inquiry){ .page = p, .ask = a, .told = told };
	a->home = adit_conn_worker(&p->x->body);
	a->done = inquiry_answered;
	a->arg = q;
	p->asked = q;
	if (counts)
		q->gather = tally_gather(a->home, inquiry_gathered, q);
	if (!q->gather)
		desk_put(p->site->component->desk, a);
	return 0;
}

void
inquiry_cancel(struct page *p)
{
	struct inquiry *q = p->asked;

	if (q->gather) {
		tally_forget(q->gather);
		desk_ask_free(q->ask);
	} else {
		q->ask->arg = NULL;	/* nobody waits for it */
	}
	free(q);
}
