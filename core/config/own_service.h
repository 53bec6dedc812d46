/*
 * `api` and `metrics` of a configuration are services of this process's own: they are made, found
 * again at a reload, and stopped, as those that are written.
 */
#ifndef ADIT_CORE_OWN_SERVICE_H
#define ADIT_CORE_OWN_SERVICE_H

#include <stdbool.h>

#include "core/config/tree.h"

/*
 * root with a service more for each of the two that it has; root itself where it has none. In a,
 * where root is too; loading thread.
 */
const struct adit_tree *own_services_add(struct arena *a, const struct adit_tree *root);

/* Whether a service of that name is one, by the key that it stands for: name without the first
 * character. */
bool own_service_is(const char *name);

#endif
