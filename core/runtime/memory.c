#include "core/runtime/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <adit/log.h>

#define MIB(n) ((n) >> 20)

struct memory {
	atomic_uint_fast64_t	 used;
	atomic_bool		 is_short;
	uint64_t		 budget;
	uint64_t		 low, high;	/* below low: short no more; from high on: short */
	struct adit_log		*log;		/* borrowed */
};

static uint64_t
memory_default(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 2 : UINT64_MAX / 8;
}

struct memory *
memory_new(uint64_t budget, struct adit_log *log)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	atomic_init(&m->used, 0);
	atomic_init(&m->is_short, false);
	m->budget = budget ? budget : memory_default();
	m->low = m->budget / 4 * 3;
	m->high = m->budget / 8 * 7;
	m->log = log;
	return m;
}

void
memory_free(struct memory *m)
{
	assert(!m || atomic_load(&m->used) == 0);
	free(m);
}

/* Only one of the threads that see a border crossed changes is_short, and logs. */
static bool
memory_turn(struct memory *m, bool to_short, uint64_t used)
{
	bool was = !to_short;

	if (!atomic_compare_exchange_strong(&m->is_short, &was, to_short))
		return false;
	if (to_short)
		adit_log(m->log, ADIT_LOG_WARN, NULL,
			 "memory: %llu of %llu MiB used: reading less, new work is refused",
			 (unsigned long long)MIB(used), (unsigned long long)MIB(m->budget));
	else
		adit_log(m->log, ADIT_LOG_INFO, NULL,
			 "memory: %llu of %llu MiB used: going on as usual",
			 (unsigned long long)MIB(used), (unsigned long long)MIB(m->budget));
	return true;
}

void
memory_take(struct memory *m, size_t n)
{
	uint64_t used = atomic_fetch_add(&m->used, n) + n;

	if (used < m->high || atomic_load(&m->is_short) || !memory_turn(m, true, used))
		return;
	/* Who gave much back in between has not seen it short. */
	used = atomic_load(&m->used);
	if (used < m->low)
		memory_turn(m, false, used);
}

void
memory_give(struct memory *m, size_t n)
{
	uint64_t used = atomic_fetch_sub(&m->used, n);

	assert(used >= n);
	used -= n;
	if (used < m->low && atomic_load(&m->is_short))
		memory_turn(m, false, used);
}

enum memory_level
memory_level(const struct memory *m)
{
	uint64_t used = atomic_load_explicit(&m->used, memory_order_relaxed);

	if (used >= m->budget + m->budget / 2)
		return MEMORY_OVERDRAWN;
	if (atomic_load_explicit(&m->is_short, memory_order_relaxed))
		return used >= m->budget ? MEMORY_GONE : MEMORY_SHORT;
	return used >= m->low ? MEMORY_TIGHT : MEMORY_PLENTY;
}

uint64_t
memory_used(const struct memory *m)
{
	return atomic_load_explicit(&m->used, memory_order_relaxed);
}

uint64_t
memory_budget(const struct memory *m)
{
	return m->budget;
}
