/*
 * What services and chains are made in: what the process has, and what is made of one
 * configuration.
 */
#ifndef ADIT_CORE_WORLD_H
#define ADIT_CORE_WORLD_H

#include "core/config/model.h"
#include "core/service/registry.h"

struct adit_ingress;
struct chain;
struct desk;
struct held;
struct listen_book;

struct service_world {
	const struct registry	*registry;
	struct desk		*desk;		/* the process's; or NULL */
	struct listen_book	*sockets;	/* NULL: nothing will be opened, for a check */
	struct adit_worker	*home;		/* for what is nobody's: files that are watched */
	struct adit_log		*log;
	struct config		*config;
	struct chain		**chains;	/* in the order of config->chains */
	struct adit_ingress	**ingresses;	/* in the order of config->ingresses */
	struct held		**authers;	/* of struct auther, in config->authers' order */
	struct held		**grants;	/* of struct grants, in config->grants' order */
	struct held		**held[CONFIG_LISTS];	/* of bypasses and their like, in the order
							 * of each list; NULL for the other lists */
};

/*
 * The objects of those names, which are there, in a list of world's: referenced, ended by NULL, the
 * caller's. NULL where there are no names, or no memory: -ENOMEM in *err, which is not touched
 * else.
 */
struct held **world_held(const struct service_world *world, enum config_list list,
			 const struct adit_strings *names, int *err);
void world_held_free(struct held **v);		/* any thread; NULL is fine */

/* The one of that name, referenced; NULL where there is no name. */
struct held *world_held_one(const struct service_world *world, enum config_list list,
			    const char *name);

#endif
