/*
 * Credentials to check against: the users of a place's `auth` and `authers`. Immutable; any thread.
 * Only digests under a random key are kept, and every check takes the same time whoever asks.
 */
#ifndef ADIT_CORE_AUTH_H
#define ADIT_CORE_AUTH_H

#include <stddef.h>

#include <adit/err.h>

struct auth_set;
struct component_conf;
struct config;
struct place;

/*
 * The users that c, which stands at at, names in itself and through its authers: in *out, NULL
 * where it names none and everybody may pass. 0; or a failure, all that is wrong said at its place:
 * a file that cannot be read, an auther of a kind this build has not. Main thread.
 */
int auth_set_new(const struct config *config, const struct component_conf *c,
		 const struct place *at, struct auth_set **out);
void auth_set_free(struct auth_set *s);		/* NULL is fine */

/* 0 or ADIT_EUNAUTH. user NULL: none were given. s NULL: 0. */
int auth_set_check(const struct auth_set *s, const char *user, size_t user_len,
		   const char *password, size_t password_len);

/*
 * Reads "user[ password]" from the first line of a file: what a client presents. Both malloc'ed. 0
 * or a failure.
 */
int auth_read_file(const char *path, char **user, char **password, struct adit_err *e);

#endif
