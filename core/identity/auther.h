/*
 * The users of one `auther`: those of the configuration, and over them those of a file, which may
 * be read again while it is in use. A file that cannot be read or is wrong lets nobody in until it
 * can be: not even those of the configuration. Whose right it was that something goes on is asked
 * again whenever the users have changed (core/identity/permit.h).
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
 * That of conf, which is of config (referenced) and stands at at. Reads its file, and looks at it
 * again as often as conf says, on home and its helper threads. NULL with the reason at its place: a
 * file that cannot be read, a source that this build has not. Main thread.
 */
struct auther *auther_new(struct adit_worker *home, struct config *config,
			  const struct auther_conf *conf, struct adit_log *log,
			  const struct place *at);

/*
 * The users, for the callback that is running; NULL: nobody can be let in now. a NULL: nobody. Any
 * worker.
 */
struct auth_set *auther_users(const struct auther *a);

/* When nobody asks any more, before home ends. Any thread; NULL is fine. */
void auther_free(struct auther *a);

#endif
