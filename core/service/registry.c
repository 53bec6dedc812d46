#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/registry.h"

#define PLUGINS_MAX 256

struct registry {
	size_t				 n;
	const struct adit_plugin	*plugins[PLUGINS_MAX];
};

static const char *const kind_names[ADIT_KINDS] = {
	[ADIT_LISTENER] = "listener",	[ADIT_HANDLER] = "handler",
	[ADIT_DIALER] = "dialer",	[ADIT_CONNECTOR] = "connector",
	[ADIT_LAYER] = "layer",		[ADIT_INGRESS] = "ingress",
	[ADIT_STACK] = "stack",
};

struct registry *
registry_new(void)
{
	return calloc(1, sizeof(struct registry));
}

void
registry_free(struct registry *r)
{
	free(r);
}

const char *
registry_kind_name(enum adit_kind kind)
{
	return kind < ADIT_KINDS ? kind_names[kind] : "unknown kind";
}

static bool
kind_is(const struct adit_plugin *p, enum adit_kind kind)
{
	if (p->kind == ADIT_STACK)
		return kind == ADIT_LISTENER || kind == ADIT_DIALER || kind == ADIT_STACK;
	return p->kind == kind;
}

const struct adit_plugin *
registry_find(const struct registry *r, enum adit_kind kind, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (kind_is(r->plugins[i], kind) && strcmp(r->plugins[i]->name, name) == 0)
			return r->plugins[i];
	return NULL;
}

const struct adit_plugin *
registry_at(const struct registry *r, size_t i)
{
	return i < r->n ? r->plugins[i] : NULL;
}

/* How far a table of a kind must reach (up to its first optional operation), and how large an
 * instance is at least. */
static const struct {
	size_t	table, instance;
} least[ADIT_KINDS] = {
	[ADIT_LISTENER] = { offsetof(struct adit_listener_ops, init),
			    sizeof(struct adit_listener) },
	[ADIT_HANDLER] = { offsetof(struct adit_handler_ops, init), sizeof(struct adit_handler) },
	[ADIT_DIALER] = { offsetof(struct adit_dialer_ops, init), sizeof(struct adit_dialer) },
	[ADIT_CONNECTOR] = { offsetof(struct adit_connector_ops, bind),
			     sizeof(struct adit_connector) },
	[ADIT_LAYER] = { offsetof(struct adit_layer_ops, init), sizeof(struct adit_layer) },
	[ADIT_INGRESS] = { offsetof(struct adit_ingress_ops, init), sizeof(struct adit_ingress) },
	[ADIT_STACK] = { sizeof(struct adit_stack), 0 },
};

/* Whether the operations that kind cannot do without are there. */
static bool
plugin_is_complete(const struct adit_plugin *p)
{
	if (p->size < least[p->kind].table)
		return false;
	switch (p->kind) {
	case ADIT_LISTENER: {
		const struct adit_listener_ops *ops = (const void *)p;

		return ops->open && ops->start && ops->stop && ops->close;
	}
	case ADIT_HANDLER:
		return ((const struct adit_handler_ops *)(const void *)p)->handle != NULL;
	case ADIT_DIALER:
		return ((const struct adit_dialer_ops *)(const void *)p)->dial != NULL;
	case ADIT_CONNECTOR:
		return ((const struct adit_connector_ops *)(const void *)p)->connect != NULL;
	case ADIT_LAYER: {
		const struct adit_layer_ops *ops = (const void *)p;

		return ops->client || ops->server;
	}
	case ADIT_INGRESS:
		return ((const struct adit_ingress_ops *)(const void *)p)->lookup != NULL;
	case ADIT_STACK:
		return ((const struct adit_stack *)(const void *)p)->over != NULL;
	case ADIT_KINDS:
		break;
	}
	return false;
}

static bool
is_taken(const struct registry *r, const struct adit_plugin *p)
{
	if (p->kind == ADIT_STACK)
		return registry_find(r, ADIT_LISTENER, p->name) ||
		       registry_find(r, ADIT_DIALER, p->name);
	return registry_find(r, p->kind, p->name);
}

int
registry_add(struct registry *r, const struct adit_plugin *p, struct adit_err *e)
{
	if (p->abi != ADIT_ABI)
		return adit_err_set(e, -EINVAL, "plugin of ABI %u, this is ABI %d", p->abi,
				    ADIT_ABI);
	if (!p->name || !*p->name || p->kind >= ADIT_KINDS || p->size < sizeof(*p))
		return adit_err_set(e, -EINVAL, "plugin without a name or kind");
	if (!plugin_is_complete(p))
		return adit_err_set(e, -EINVAL, "%s %s lacks a mandatory operation",
				    registry_kind_name(p->kind), p->name);
	if (p->instance < least[p->kind].instance)
		return adit_err_set(e, -EINVAL, "%s %s has instances too small for their base",
				    registry_kind_name(p->kind), p->name);
	if (is_taken(r, p))
		return adit_err_set(e, -EINVAL, "there is a %s %s already",
				    registry_kind_name(p->kind), p->name);
	if (r->n == PLUGINS_MAX)
		return adit_err_set(e, ADIT_ELIMIT, "more than %d plugins", PLUGINS_MAX);
	r->plugins[r->n++] = p;
	return 0;
}

static size_t
opts_add(const struct adit_plugin *p, const struct adit_opt *out[REGISTRY_PARTS], size_t n)
{
	if (p && p->opts && n < REGISTRY_PARTS)
		out[n++] = p->opts;
	return n;
}

size_t
registry_opts(const struct registry *r, enum adit_kind kind, const char *name,
	      const struct adit_opt *out[REGISTRY_PARTS])
{
	const struct adit_plugin *p = registry_find(r, kind, name);
	const struct adit_stack *stack;
	size_t n = 0;

	if (!p || p->kind != ADIT_STACK)
		return opts_add(p, out, 0);
	stack = (const void *)p;
	n = opts_add(registry_find(r, kind, stack->over), out, n);
	for (size_t i = 0; i < 4 && stack->layers[i]; i++)
		n = opts_add(registry_find(r, ADIT_LAYER, stack->layers[i]), out, n);
	return n;
}
