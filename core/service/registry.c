#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/registry.h"

#define PLUGINS_MAX 256

/* The rows of a stack or choice, as listener or as dialer. */
struct stack_rows {
	const struct adit_plugin	*plugin;
	enum adit_kind			 kind;
	struct adit_opt			*rows;		/* owned; n of them and the end */
	size_t				 n;
	struct stack_rows		*next;
};

/* A table that ends before the last operation of its kind, with NULL for what lies beyond. */
struct padded {
	struct padded	*next;
	max_align_t	 table[];
};

struct registry {
	struct padded			*padded;	/* owned */
	size_t				 n;
	const struct adit_plugin	*plugins[PLUGINS_MAX];
	struct stack_rows		*stacks;
};

static const char *const kind_names[ADIT_KINDS] = {
	[ADIT_LISTENER] = "listener",	[ADIT_HANDLER] = "handler",
	[ADIT_DIALER] = "dialer",	[ADIT_CONNECTOR] = "connector",
	[ADIT_LAYER] = "layer",		[ADIT_INGRESS] = "ingress",
	[ADIT_STACK] = "stack",		[ADIT_SESSION] = "session",
	[ADIT_EITHER] = "either",
};

struct registry *
registry_new(void)
{
	return calloc(1, sizeof(struct registry));
}

void
registry_free(struct registry *r)
{
	while (r && r->padded) {
		struct padded *p = r->padded;

		r->padded = p->next;
		free(p);
	}
	while (r && r->stacks) {
		struct stack_rows *s = r->stacks;

		r->stacks = s->next;
		free(s->rows);
		free(s);
	}
	free(r);
}

const char *
registry_kind_name(enum adit_kind kind)
{
	return kind < ADIT_KINDS ? kind_names[kind] : "unknown kind";
}

bool
registry_serves(const struct adit_plugin *p, enum adit_kind kind)
{
	const struct adit_either *choice = (const void *)p;

	if (p->kind == ADIT_EITHER && kind == ADIT_LISTENER)
		return choice->told;
	if (p->kind == ADIT_EITHER && kind == ADIT_DIALER)
		return choice->dialers[0];
	if (p->kind == ADIT_STACK && (kind == ADIT_LISTENER || kind == ADIT_DIALER))
		return true;
	return p->kind == kind;
}

const struct adit_plugin *
registry_find(const struct registry *r, enum adit_kind kind, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (registry_serves(r->plugins[i], kind) && strcmp(r->plugins[i]->name, name) == 0)
			return r->plugins[i];
	return NULL;
}

const struct adit_plugin *
registry_at(const struct registry *r, size_t i)
{
	return i < r->n ? r->plugins[i] : NULL;
}

/* How far a table of a kind must reach (up to its first optional operation), how far it can, and
 * how large an instance is at least. */
static const struct {
	size_t	table, whole, instance;
} least[ADIT_KINDS] = {
#define LEAST(kind, optional)                                                                      \
	{ offsetof(struct adit_##kind##_ops, optional), sizeof(struct adit_##kind##_ops),          \
	  sizeof(struct adit_##kind) }
	[ADIT_LISTENER] = LEAST(listener, init),
	[ADIT_HANDLER] = LEAST(handler, init),
	[ADIT_DIALER] = LEAST(dialer, init),
	[ADIT_CONNECTOR] = LEAST(connector, bind),
	[ADIT_LAYER] = LEAST(layer, init),
	[ADIT_INGRESS] = LEAST(ingress, init),
	[ADIT_STACK] = { sizeof(struct adit_stack), sizeof(struct adit_stack), 0 },
	[ADIT_SESSION] = LEAST(session, init),
	[ADIT_EITHER] = { sizeof(struct adit_either), sizeof(struct adit_either), 0 },
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
	case ADIT_SESSION: {
		const struct adit_session_ops *ops = (const void *)p;

		return ops->client && ops->server;
	}
	case ADIT_EITHER:
		return registry_serves(p, ADIT_LISTENER) || registry_serves(p, ADIT_DIALER);
	case ADIT_KINDS:
		break;
	}
	return false;
}

static bool
is_taken(const struct registry *r, const struct adit_plugin *p)
{
	if (p->kind == ADIT_STACK || p->kind == ADIT_EITHER)
		return registry_find(r, ADIT_LISTENER, p->name) ||
		       registry_find(r, ADIT_DIALER, p->name);
	return registry_find(r, p->kind, p->name);
}

/* p, or a copy of it that can be asked for every operation of its kind; NULL without memory. */
static const struct adit_plugin *
registry_whole(struct registry *r, const struct adit_plugin *p)
{
	struct padded *copy;

	if (p->size >= least[p->kind].whole)
		return p;
	copy = calloc(1, sizeof(*copy) + least[p->kind].whole);
	if (!copy)
		return NULL;
	memcpy(copy->table, p, p->size);
	copy->next = r->padded;
	r->padded = copy;
	return (const void *)copy->table;
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
	p = registry_whole(r, p);
	if (!p)
		return adit_err_set(e, -ENOMEM, "out of memory");
	r->plugins[r->n++] = p;
	return 0;
}

/* Appends the rows of a part; a key that an earlier part has is that one's. */
static int
rows_append(struct stack_rows *s, const struct adit_opt *part)
{
	struct adit_opt *more;

	for (const struct adit_opt *o = part; o && o->name; o++) {
		if (s->rows && adit_opt_find(s->rows, o->name))
			continue;
		more = realloc(s->rows, (s->n + 2) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->rows = more;
		more[s->n++] = *o;
		more[s->n] = (struct adit_opt)ADIT_OPT_END;
	}
	return 0;
}

/* The same of a plugin by its name; one that is not there has none. */
static int
rows_append_of(struct stack_rows *s, struct registry *r, enum adit_kind kind, const char *name)
{
	bool known;

	return rows_append(s, registry_rows(r, kind, name, &known));
}

static int
rows_of_stack(struct stack_rows *s, struct registry *r, const struct adit_stack *stack)
{
	int err = rows_append_of(s, r, s->kind, stack->over);

	for (size_t i = 0; !err && i < 4 && stack->layers[i]; i++)
		err = rows_append_of(s, r, ADIT_LAYER, stack->layers[i]);
	if (!err && stack->mux)
		err = rows_append_of(s, r, ADIT_SESSION, stack->mux);
	return err;
}

static int
rows_of_choice(struct stack_rows *s, struct registry *r, const struct adit_either *choice)
{
	int err;

	if (s->kind == ADIT_LISTENER) {
		err = rows_of_stack(s, r, choice->told);
		return err || !choice->beside ? err :
						rows_append_of(s, r, s->kind, choice->beside);
	}
	err = rows_append(s, choice->base.opts);
	for (size_t i = 0; !err && i < 4 && choice->dialers[i]; i++)
		err = rows_append_of(s, r, s->kind, choice->dialers[i]);
	return err;
}

static struct stack_rows *
stack_rows_new(struct registry *r, const struct adit_plugin *p, enum adit_kind kind)
{
	struct stack_rows *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return NULL;
	*s = (struct stack_rows){ .plugin = p, .kind = kind, .next = r->stacks };
	r->stacks = s;
	err = p->kind == ADIT_STACK ? rows_of_stack(s, r, (const void *)p) :
				      rows_of_choice(s, r, (const void *)p);
	return err ? NULL : s;
}

const struct adit_opt *
registry_rows(struct registry *r, enum adit_kind kind, const char *name, bool *known)
{
	const struct adit_plugin *p = registry_find(r, kind, name);
	struct stack_rows *s;

	*known = p != NULL;
	if (!p || (p->kind != ADIT_STACK && p->kind != ADIT_EITHER))
		return p ? p->opts : NULL;
	for (s = r->stacks; s; s = s->next)
		if (s->plugin == p && s->kind == kind)
			return s->rows;
	s = stack_rows_new(r, p, kind);
	return s ? s->rows : NULL;
}
