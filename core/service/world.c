#include "core/service/world.h"

#include <errno.h>
#include <stdlib.h>

#include "core/identity/held.h"

struct held *
world_held_one(const struct service_world *world, enum config_list list, const char *name)
{
	ptrdiff_t i = name ? config_index_find(world->config, list, name) : -1;

	return i < 0 || !world->held[list] ? NULL : held_get(world->held[list][i]);
}

struct held **
world_held(const struct service_world *world, enum config_list list,
	   const struct adit_strings *names, int *err)
{
	struct held **v = names->n ? calloc(names->n + 1, sizeof(*v)) : NULL;

	if (names->n && !v)
		*err = -ENOMEM;
	for (size_t i = 0; v && i < names->n; i++)
		v[i] = world_held_one(world, list, names->v[i]);
	return v;
}

void
world_held_free(struct held **v)
{
	for (size_t i = 0; v && v[i]; i++)
		held_put(v[i]);
	free(v);
}
