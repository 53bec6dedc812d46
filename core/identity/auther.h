/*
 * The users of one `auther`: those of the configuration, and over them those of a file, a Redis or
 * a URL (core/source/sources.h), which are read again while it is in use. Nobody is let in before
 * each of them was read, not even who stands in the configuration; nor while a file cannot be read
 * or is wrong. Where that is so of a Redis or a URL, what was read last counts. Whose right it was
 * that something goes on is asked again whenever the users have changed (core/identity/permit.h).
 */
#ifndef ADIT_CORE_AUTHER_H
#define ADIT_CORE_AUTHER_H

#include <adit/log.h>
#include <adit/worker.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/identity/auth_set.h"

struct auther;

/*
 * That of conf, which is of config (referenced) and stands at at. Reads its file, and all that conf
 * says as often as it says, on home and its helper threads. before: what it is to replace, and goes
 * on with where it has the same sources, or NULL. NULL with the reason at its place: a file that
 * cannot be read, a source that this build has not. Main thread.
 */
struct auther *auther_new(struct adit_worker *home, struct config *config,
			  const struct auther_conf *conf, const struct auther *before,
			  struct adit_log *log, const struct place *at);

/*
 * The users, for the callback that is running; NULL: nobody can be let in now. a NULL: nobody. Any
 * worker.
 */
struct auth_set *auther_users(const struct auther *a);

/* When nobody asks any more, before home ends. Any thread; NULL is fine. */
void auther_free(struct auther *a);

#endif
