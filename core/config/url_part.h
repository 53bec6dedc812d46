/* What -L and -F have in common: parameters that become structure. For url*.c alone. */
#ifndef ADIT_CORE_CONFIG_URL_PART_H
#define ADIT_CORE_CONFIG_URL_PART_H

#include <stdint.h>

#include "core/config/url.h"
#include "core/config/url_split.h"

/* The value of the first of names (NULL-terminated) that is set and not empty, or NULL. */
const struct adit_tree *url_param(const struct adit_tree *params, const char *const *names);

/* Removes names in exactly these spellings. */
void url_drop(struct adit_tree *params, const char *const *names);

/* Removes value, one of params', which is wrong and has been said to be. */
void url_drop_value(struct adit_tree *params, const struct adit_tree *value);

/* value, one of params', as a whole number, 0 when absent. Anything else is an error, gives 0 and
 * is removed. */
int64_t url_number(struct url_set *set, struct adit_tree *params, const struct adit_tree *value);

/* Adds "this name is not known" (start only) with the nearest of the kinds given. */
void url_unknown(struct url_set *set, const struct url *url, const char *name,
		 const enum adit_kind *kinds, size_t n_kinds);

/* certFile, keyFile and caFile under all their names, which are removed. Never NULL but without
 * memory. */
struct adit_tree *url_tls_files(struct url_set *set, struct adit_tree *params);

/* {username, password} from the user part or `auth=`, which is removed; NULL when there is
 * neither. */
struct adit_tree *url_auth(struct url_set *set, struct url *url, struct adit_tree *params);

/* selector from strategy, maxFails, failTimeout, which are removed; NULL when none is set. */
struct adit_tree *url_selector(struct url_set *set, struct adit_tree *params);

/* Makes the objects that bypass=, resolver=, hosts= stand for, which owner then names; they leave
 * params. */
void url_objects(struct url_set *set, struct adit_tree *owner, struct adit_tree *params);

/* Adds the matchers of a text with commas to a bypass or admission; ~ in front makes it a
 * whitelist. */
void url_matchers(struct url_set *set, struct adit_tree *object, const struct adit_tree *value);

/* A new object of a list, called after its field and its place ("bypass-0"), which owner then
 * names. */
struct adit_tree *url_object(struct url_set *set, struct adit_tree *owner, enum url_list list,
			     const char *field, struct tree_pos pos);

/* Adds to list the items of a text with commas, empty ones only if keep is set. */
void url_split_list(struct url_set *set, struct adit_tree *list, const struct adit_tree *value,
		    bool keep);

/* The parameters that go to part ("handler"): those without a prefix of parts, and its own without
 * it. */
struct adit_tree *url_metadata(struct url_set *set, const struct adit_tree *params,
			       const char *part, const char *const *parts);

/* Takes interface, so_mark, proxyProtocol (and netns, if asked) out of params: what only owners of
 * sockets see. */
struct adit_tree *url_socket_params(struct url_set *set, struct adit_tree *params, bool netns);

/* Sets all entries of from in to. */
void url_overlay(struct url_set *set, struct adit_tree *to, const struct adit_tree *from);

/* tree_set for a map that is left out when empty. */
void
url_set_map(struct url_set *set, struct adit_tree *owner, const char *key, struct adit_tree *map);

#endif
