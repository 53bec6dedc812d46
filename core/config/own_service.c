#include "core/config/own_service.h"

#include <string.h>

#define UNIX_SCHEME "unix://"

/* gost's names of them, in its log too. */
static const struct own {
	const char	*name, *key;
	const char	*options[3];	/* that are its handler's; ended by NULL */
} own[] = {
	{ "@api", "api", { "pathPrefix", "accesslog", NULL } },
	{ "@metrics", "metrics", { "path", NULL } },
};

bool
own_service_is(const char *name)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strcmp(own[i].name, name) == 0)
			return true;
	return false;
}

static void
copy_key(struct arena *a, struct adit_tree *to, const struct adit_tree *from, const char *key)
{
	if (tree_get(from, key))
		tree_set(a, to, key, tree_get(from, key));
}

static const struct adit_tree *
own_handler(struct arena *a, const struct own *o, const struct adit_tree *conf)
{
	struct adit_tree *handler = tree_map(a, tree_pos(conf));
	struct adit_tree *metadata = tree_map(a, tree_pos(conf));

	tree_set_text(a, handler, "type", o->key, tree_pos(conf));
	copy_key(a, handler, conf, "auth");
	copy_key(a, handler, conf, "auther");
	for (size_t i = 0; o->options[i]; i++)
		copy_key(a, metadata, conf, o->options[i]);
	tree_set(a, handler, "metadata", metadata);
	return handler;
}

static const struct adit_tree *
own_service(struct arena *a, const struct own *o, const struct adit_tree *conf)
{
	const struct adit_tree *addr = tree_get(conf, "addr");
	bool is_unix = strncmp(tree_text(addr), UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0;
	struct adit_tree *service = tree_map(a, tree_pos(conf));
	struct adit_tree *listener = tree_map(a, tree_pos(conf));

	tree_set_text(a, service, "name", o->name, tree_pos(conf));
	if (is_unix)
		tree_set_text(a, service, "addr", tree_text(addr) + strlen(UNIX_SCHEME),
			      tree_pos(addr));
	else
		tree_set(a, service, "addr", addr);
	tree_set_text(a, listener, "type", is_unix ? "unix" : "tcp", tree_pos(conf));
	tree_set(a, service, "handler", own_handler(a, o, conf));
	tree_set(a, service, "listener", listener);
	return service;
}

const struct adit_tree *
own_services_add(struct arena *a, const struct adit_tree *root)
{
	struct adit_tree *list = NULL, *copy;

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		const struct adit_tree *conf = tree_get(root, own[i].key);

		/* Without an address that is the error, and nothing else is to be said. */
		if (tree_type(conf) != TREE_MAP || !*tree_text(tree_get(conf, "addr")))
			continue;
		if (!list)
			list = tree_items(a, tree_get(root, "services"));
		tree_append(a, list, own_service(a, &own[i], conf));
	}
	if (!list)
		return root;
	copy = tree_copy(a, root);
	tree_set(a, copy, "services", list);
	return copy;
}
