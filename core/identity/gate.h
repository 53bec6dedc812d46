/*
 * The gate of a place in the configuration: whom it lets in, and by which grants. A login is the
 * check of what somebody presents there; where a password is kept as a hash it takes a helper
 * thread and does not end in the call that began it.
 */
#ifndef ADIT_CORE_GATE_H
#define ADIT_CORE_GATE_H

#include <stdatomic.h>

#include "core/identity/auth_set.h"
#include "core/identity/held.h"
#include "core/identity/identity.h"

/* Hashes that are being made or wait for it, of one worker; who comes then is refused. */
#define LOGIN_HASHES_MAX 32

struct gate {
	_Atomic(struct auth_set *)	 own;		/* of the place itself; NULL: none */
	struct held			**authers;	/* of struct auther, ended by NULL; then own
							 * does not count. NULL: none. Fixed once
							 * anybody may come */
	struct held			*grants;	/* of struct grants; NULL: who is let in may
							 * do anything. Fixed */
};

/* Frees what it holds. Of a zeroed one too. */
void gate_fini(struct gate *g);

/* Whether credentials are asked for. */
bool gate_asks(const struct gate *g);

/*
 * The users of its source number i, which may be NULL: they are not known now. False: there are not
 * so many. For the callback that is running.
 */
bool gate_source(const struct gate *g, size_t i, struct auth_set **users);

/* Whether c may pass at once, where there is no waiting for a hash. */
bool gate_knows(const struct gate *g, const struct credentials *c);

struct login_hash;

/* Embedded in who asks; zero it before use. All on one worker. */
struct login {
	/*
	 * Set by the caller: called by the loop, once, if login_begin answered -EINPROGRESS, with
	 * what it would have answered.
	 */
	void			(*done)(struct login *l, int err);
	struct identity		*who;		/* after 0: who came, or NULL: anybody may */

	struct gate		*gate;		/* the module's, below too */
	struct adit_conn	*conn;
	struct login_hash	*hash;		/* under way, or NULL */
	size_t			 source;	/* which is asked */
};

/*
 * Whether somebody may pass g who came by c with those credentials. g may be NULL: anybody may. 0;
 * ADIT_EUNAUTH; ADIT_ELIMIT: too many hashes are being made; -ENOMEM; -EINPROGRESS: done comes, if
 * not login_end before. g and c outlive that.
 */
int login_begin(struct login *l, struct gate *g, struct adit_conn *c,
		const struct credentials *credentials);

/* Frees who, unless that was taken (and set to NULL), and done is not called any more. */
void login_end(struct login *l);

#endif
