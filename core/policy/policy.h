/*
 * Bypasses and admissions: who is let in, and which targets are not for a service, a hop or a node.
 * Those who ask hold a list of them (struct held, in which what one says is replaced), ended by
 * NULL; a list NULL is an empty one. Any worker.
 */
#ifndef ADIT_CORE_POLICY_H
#define ADIT_CORE_POLICY_H

#include <adit/plugin.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/identity/held.h"

struct policy;

/* What a policy is made in. */
struct policy_world {
	struct config		*config;	/* referenced by what is made */
	struct adit_worker	*home;		/* where lists that are read again arrive */
	struct adit_log		*log;
	struct desk		*desk;		/* core/service/desk.h; or NULL */
};

/*
 * The admission, or bypass, of that place in its list of world's configuration. before: what it was
 * in the configuration before, or NULL. NULL with the reason in errs. Main thread; blocks where an
 * admission has names, and for its file.
 */
struct policy *admission_new(const struct policy_world *world, size_t index,
			     const struct policy *before, struct config_errors *errs);
struct policy *bypass_new(const struct policy_world *world, size_t index,
			  const struct policy *before, struct config_errors *errs);
void policy_free(void *policy);			/* any thread; NULL is fine */

/*
 * Whether all of them admit that address; one of no IP address passes. As long as a source has not
 * been read at all nobody is let in, and below every target is left out.
 */
bool policies_admit(struct held *const *v, const struct adit_addr *who);

/* Where somebody wants to go. */
struct policy_target {
	enum adit_network	 network;
	const char		*host;		/* NULL: not known, nothing is said of it */
	uint16_t		 port;		/* 0: not known */
	const char		*address;	/* what host was looked up to be, or NULL */
};

struct policy_target policy_target(const struct adit_target *to);	/* borrows of it */

/*
 * Whether they say that it is to be left out: all whitelists, where there are any, or one of the
 * others (gost's rule for a group).
 */
bool policies_bypass(struct held *const *v, const struct policy_target *to);

/*
 * Of what is left out: whether it may be only because a source has not been read at all. Then it
 * must not go where what is left out goes, either, if that is past somebody who hides it.
 */
bool policies_unknown(struct held *const *v, const struct policy_target *to);

#endif
