/*
 * What a page has to ask for before it can answer: the workers, what they have counted, and then
 * the main thread. On the page's worker, all of it.
 */
#ifndef ADIT_CORE_INQUIRY_H
#define ADIT_CORE_INQUIRY_H

#include "core/service/desk.h"
#include "core/service/page.h"

/*
 * Asks a for p: told(p, a) answers p, later and once, or never after inquiry_cancel. counts: with
 * what workers have counted in a->book, if there is memory for it. p->asked and a's home, done and
 * arg are the module's meanwhile, and a is, also on failure (-ENOMEM: told is not called).
 */
int inquiry_begin(struct page *p, struct desk_ask *a, bool counts,
		  void (*told)(struct page *p, struct desk_ask *a));

/* A site's cancel: the answer is not waited for any more. */
void inquiry_cancel(struct page *p);

#endif
