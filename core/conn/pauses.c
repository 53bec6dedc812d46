#include "core/conn/pauses.h"

#include <adit/worker.h>

#define FIRST_NS ADIT_MS(100)
#define LONGEST_NS ADIT_SECONDS(1)
#define FORGET_NS ADIT_SECONDS(10)

static struct pause *
pause_at(struct pauses *p, uint64_t key)
{
	return &p->v[key % PAUSES];
}

void
pauses_failed(struct pauses *p, uint64_t key, uint64_t now)
{
	struct pause *a = pause_at(p, key);
	bool again = a->length && a->key == key && now < a->until + FORGET_NS;

	a->key = key;
	a->length = again ? 2 * a->length : FIRST_NS;
	if (a->length > LONGEST_NS)
		a->length = LONGEST_NS;
	a->until = now + a->length;
}

void
pauses_worked(struct pauses *p, uint64_t key)
{
	struct pause *a = pause_at(p, key);

	if (a->key == key)
		*a = (struct pause){ .length = 0 };
}

bool
pauses_hold(const struct pauses *p, uint64_t key, uint64_t now)
{
	const struct pause *a = &p->v[key % PAUSES];

	return a->length && a->key == key && now < a->until;
}
