/*
 * Names mapped to addresses, as `hosts` has them: compiled once, then read only, by any thread. A
 * name is one host; ".dev.internal" is that name and all below it, "." all names. Of several that
 * fit the longest counts.
 */
#ifndef ADIT_CORE_HOST_MAP_H
#define ADIT_CORE_HOST_MAP_H

#include <stddef.h>

#include <adit/addr.h>
#include <adit/err.h>

#define HOST_MAP_MAX 1000000	/* names with their addresses */

struct host_map;

struct host_map *host_map_new(void);		/* empty; NULL: out of memory */
void host_map_free(struct host_map *m);	/* NULL is fine */

/* Adds an address of a name. 0, -EINVAL with e filled, -ENOMEM with e. */
int host_map_add(struct host_map *m, const char *ip, const char *name, struct adit_err *e);

/*
 * Adds lines "address name [alias...]", "#" comments and blank lines: as gost a line that is wrong
 * is left out. 0 or -ENOMEM with e.
 */
int host_map_add_text(struct host_map *m, const char *text, struct adit_err *e);

/* After the last one, before the first question. */
void host_map_seal(struct host_map *m);

/*
 * Writes the addresses of host, in the order they were added, at most max. Returns how many; 0: it
 * has none. Case does not count, nor a dot at the end.
 */
size_t host_map_find(const struct host_map *m, const char *host, struct adit_addr *out, size_t max);

size_t host_map_count(const struct host_map *m);

#endif
