#include "core/policy/refusals.h"

void
refusals_count(struct refusals *r, struct adit_log *log, const char *service,
	       const struct adit_addr *who, const char *why)
{
	uint64_t n = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed) + 1;
	uint64_t now = adit_now(), next = atomic_load_explicit(&r->next, memory_order_relaxed);
	char text[ADIT_ADDR_TEXT];
	uint64_t told;

	if (now < next || !atomic_compare_exchange_strong(&r->next, &next, now + REFUSALS_LOG_NS))
		return;
	told = atomic_exchange_explicit(&r->told, n, memory_order_relaxed);
	adit_log(log, ADIT_LOG_DEBUG,
		 ADIT_FIELDS(ADIT_STR("kind", "service"), ADIT_STR("service", service),
			     ADIT_STR("remote", adit_addr_format(who, text)),
			     ADIT_UINT("refused", n - told)),
		 "%s", why);
}
