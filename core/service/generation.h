/*
 * A generation: one configuration and everything made of it. Built whole before anything of it
 * runs; what the one before already has and the new configuration does not change is taken over,
 * not made again.
 */
#ifndef ADIT_CORE_GENERATION_H
#define ADIT_CORE_GENERATION_H

#include "core/service/service.h"

/* Named objects that are the same thing in every generation that has them. */
struct generation_held {
	struct held		**v;		/* referenced; one whose name was there before is
						 * the object that was there */
	void			**fresh;	/* what those say now, until the commit; owned */
};

struct generation {
	struct config		*config;	/* referenced */
	struct chain		**chains;	/* as many as config has, referenced */
	struct adit_ingress	**ingresses;	/* the same; one whose name was there before is
						 * the object that was there */
	struct ingress_table	**tables;	/* other rules for those, until the commit; owned */
	struct service		**services;	/* the same */
	bool			*taken;		/* which services are old's */
	struct auth_set		**auths;	/* of those, read anew, until the commit; owned */
	struct generation_held	 held[CONFIG_LISTS];	/* bypasses and their like; empty for the
							 * other lists */
};

/*
 * Makes all that config asks for and old (or NULL) has not, of world, whose configuration, chains
 * and ingresses are not looked at. NULL with every reason in errs: then old is as it was. Main
 * thread.
 */
struct generation *generation_new(struct config *config, const struct generation *old,
				  const struct service_world *world, struct config_errors *errs);

/*
 * Opens the sockets of the services that are new in g. 0, or a failure: errs has the reasons of all
 * that could not be opened. Main thread.
 */
int generation_open(struct generation *g, struct config_errors *errs);

/*
 * What cannot fail any more: ingresses that were there before get their other rules, services their
 * other users. Waits for workers to come by. Main thread.
 */
void generation_commit(struct generation *g, struct worker_group *workers);

/* Whether s is one of other's services; no, where other is NULL. Main thread. */
bool generation_has(const struct generation *other, const struct service *s);

/* g's service of that name, or NULL; g may be NULL. Borrowed. Main thread. */
struct service *generation_named(const struct generation *g, const char *name);

/* Drops those of g's chains that other has too, so that what is left is g's alone. Main thread. */
void generation_forget_chains(struct generation *g, const struct generation *other);

/* Frees g and its references; services that are not keep's are put. Either may be NULL. Main
 * thread. */
void generation_free(struct generation *g, const struct generation *keep);

#endif
