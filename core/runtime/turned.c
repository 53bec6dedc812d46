#include "core/runtime/turned.h"

#include <stdatomic.h>
#include <stdlib.h>

struct turned {
	struct adit_worker	*group;		/* one of it */
	void			(*passed)(struct adit_worker *w, void *old);
	void			(*done)(void *old);
	void			*old;
	unsigned		 n;
	atomic_uint		 left;
	struct turned_message {
		struct adit_message	 message;
		struct turned		*all;
	}			 messages[];
};

static void
turned_pass(struct adit_message *m)
{
	struct turned *t = adit_container_of(m, struct turned_message, message)->all;

	if (atomic_fetch_sub_explicit(&t->left, 1, memory_order_acq_rel) != 1)
		return;
	t->done(t->old);
	free(t);
}

static void
turned_run(struct adit_message *m, struct adit_worker *w)
{
	struct turned *t = adit_container_of(m, struct turned_message, message)->all;

	if (t->passed)
		t->passed(w, t->old);
	turned_pass(m);
}

struct turned *
turned_new(struct adit_worker *w)
{
	unsigned n = adit_worker_count(w);
	struct turned *t = calloc(1, sizeof(*t) + n * sizeof(*t->messages));

	if (!t)
		return NULL;
	t->group = w;
	t->n = n;
	atomic_init(&t->left, n);
	for (unsigned i = 0; i < n; i++) {
		t->messages[i].all = t;
		t->messages[i].message = (struct adit_message){
			.run = turned_run, .discard = turned_pass,
		};
	}
	return t;
}

void
turned_start(struct turned *t, void (*passed)(struct adit_worker *w, void *old),
	     void (*done)(void *old), void *old)
{
	struct adit_worker *group = t->group;
	unsigned n = t->n;

	t->passed = passed;
	t->done = done;
	t->old = old;
	/* The last one may free t. */
	for (unsigned i = 0; i < n; i++)
		adit_worker_post(adit_worker_at(group, i), &t->messages[i].message);
}
