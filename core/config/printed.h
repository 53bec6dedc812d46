/*
 * A configuration as gost prints it (-O): what a file says is read by gost into its own structures
 * and written again, so keys that it has no field for lose their case, durations have its form, and
 * what is false, 0 or empty is not there.
 */
#ifndef ADIT_CORE_PRINTED_H
#define ADIT_CORE_PRINTED_H

#include "core/config/tree.h"

/* root in that form, in a; it shares what does not change. What came by arguments is in it already.
 * NULL: out of memory. */
const struct adit_tree *config_printed(struct arena *a, const struct adit_tree *root);

#endif
