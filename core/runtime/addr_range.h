/*
 * Ranges of addresses: "a.b.c.d/n", "v6/n", or one address. A value, copied by assignment; any
 * thread.
 */
#ifndef ADIT_CORE_ADDR_RANGE_H
#define ADIT_CORE_ADDR_RANGE_H

#include <adit/addr.h>

struct addr_range {
	struct adit_addr	first;		/* any address of the range */
	unsigned		bits;		/* how many of it count */
};

/* 0, or -EINVAL: text is none. */
int addr_range_parse(const char *text, struct addr_range *out);

/* Whether a, whatever its port, is in r. */
bool addr_range_has(const struct addr_range *r, const struct adit_addr *a);

/* Zeroes what r does not count, so that of equal ranges the addresses are equal bytes. */
void addr_range_mask(struct addr_range *r);

#endif
