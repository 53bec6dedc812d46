/* The built-in plugins, all of them: the only place that names them. */
#ifndef ADIT_PLUGINS_BUILTIN_H
#define ADIT_PLUGINS_BUILTIN_H

#include <adit/err.h>

struct registry;

/* Adds every built-in to r. 0, or a failure with e filled (a bug). */
int builtin_register(struct registry *r, struct adit_err *e);

#endif
