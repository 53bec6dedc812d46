#include "core/http/asked.h"

void
asked_begin(struct asked *a, const struct adit_component *p, const struct adit_fields *head)
{
	if (!adit_component_records(p) || adit_fields_has(head, "Gost-Record", "off"))
		return;
	a->head = adit_fields_copy(head);
	a->begun = adit_now();
}

void
asked_drop(struct asked *a)
{
	adit_fields_free(a->head);
	a->head = NULL;
}

void
asked_end(struct asked *a, const struct adit_component *p, struct adit_record record,
	  const struct adit_traffic *now)
{
	record.traffic = (struct adit_traffic){ now->in - a->before.in, now->out - a->before.out };
	a->before = *now;
	if (!a->head)
		return;
	record.request = a->head;
	record.duration = adit_now() - a->begun;
	adit_component_record(p, &record);
	asked_drop(a);
}
