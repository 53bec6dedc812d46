/*
 * Credentials as the configuration has them: the users of a place's own `auth`, and what a client
 * presents.
 */
#ifndef ADIT_CORE_AUTH_H
#define ADIT_CORE_AUTH_H

#include <stddef.h>

#include <adit/err.h>

#include "core/identity/auth_set.h"

struct component_conf;
struct place;

/*
 * The users that c, which stands at at, names in itself: in *out, NULL where it names none, or
 * authers, which take their place as in gost. 0; or a failure that was said at its place: a file
 * that cannot be read. Main thread.
 */
int auth_set_new(const struct component_conf *c, const struct place *at, struct auth_set **out);

/*
 * Reads "user[ password]" from the first line of a file: what a client presents. Both malloc'ed. 0
 * or a failure.
 */
int auth_read_file(const char *path, char **user, char **password, struct adit_err *e);

#endif
