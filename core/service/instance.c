#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/opts.h"
#include "core/service/auth.h"
#include "core/service/component.h"
#include "core/service/instance.h"

/* How every instance begins, whatever its kind. */
struct instance_base {
	const void		*ops;
	struct adit_component	*component;
};

static int
fill_options(const struct adit_opt *rows, void *instance, const struct adit_tree *metadata,
	     struct adit_err *e)
{
	const struct opts_src src = { .node = metadata, .lenient = true };
	struct config_errors *errs;
	int err;

	if (!rows)
		return 0;
	errs = config_errors_new();
	if (!errs)
		return adit_err_set(e, -ENOMEM, "out of memory");
	err = opts_fill(rows, instance, &src, errs);
	if (err)
		adit_err_set(e, ADIT_ECONFIG, "%s", config_errors_text(errs, 0));
	config_errors_free(errs);
	return err;
}

static void *
plugin_new(const struct adit_plugin *p, struct adit_component *component,
	   const struct adit_tree *metadata, struct adit_err *e)
{
	struct instance_base *base = calloc(1, p->instance);

	if (!base) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	base->ops = p;
	base->component = component;
	if (fill_options(p->opts, base, metadata, e) < 0) {
		adit_opt_fini(p->opts, base);
		free(base);
		return NULL;
	}
	return base;
}

static int
plugin_init(const struct adit_plugin *p, void *instance, struct adit_err *e)
{
	switch (p->kind) {
	case ADIT_LISTENER: {
		struct adit_listener *l = instance;

		return l->ops->init ? l->ops->init(l, e) : 0;
	}
	case ADIT_HANDLER: {
		struct adit_handler *h = instance;

		return h->ops->init ? h->ops->init(h, e) : 0;
	}
	case ADIT_DIALER: {
		struct adit_dialer *d = instance;

		return d->ops->init ? d->ops->init(d, e) : 0;
	}
	case ADIT_CONNECTOR: {
		struct adit_connector *n = instance;

		return n->ops->init ? n->ops->init(n, e) : 0;
	}
	case ADIT_LAYER: {
		struct adit_layer *l = instance;

		return l->ops->init ? l->ops->init(l, e) : 0;
	}
	default:
		return 0;
	}
}

static void
plugin_fini(const struct adit_plugin *p, void *instance)
{
	switch (p->kind) {
	case ADIT_LISTENER: {
		struct adit_listener *l = instance;

		if (l->ops->fini)
			l->ops->fini(l);
		break;
	}
	case ADIT_HANDLER: {
		struct adit_handler *h = instance;

		if (h->ops->fini)
			h->ops->fini(h);
		break;
	}
	case ADIT_DIALER: {
		struct adit_dialer *d = instance;

		if (d->ops->fini)
			d->ops->fini(d);
		break;
	}
	case ADIT_CONNECTOR: {
		struct adit_connector *n = instance;

		if (n->ops->fini)
			n->ops->fini(n);
		break;
	}
	case ADIT_LAYER: {
		struct adit_layer *l = instance;

		if (l->ops->fini)
			l->ops->fini(l);
		break;
	}
	default:
		break;
	}
	adit_opt_fini(p->opts, instance);
	free(instance);
}

static int
instance_init_layers(struct instance *i, const struct registry *r, const struct adit_stack *stack,
		     const struct component_conf *c, struct adit_err *e)
{
	struct instance_base *base = i->base;

	for (size_t n = 0; n < LAYERS_MAX && stack->layers[n]; n++) {
		const struct adit_plugin *p = registry_find(r, ADIT_LAYER, stack->layers[n]);
		struct adit_layer *l;
		int err;

		if (!p)
			return adit_err_set(e, ADIT_EUNSUPPORTED, "%s needs the layer %s", c->type,
					    stack->layers[n]);
		l = plugin_new(p, base->component, c->metadata, e);
		if (!l)
			return e->code;
		l->server = c->kind == ADIT_LISTENER;
		i->layers[i->n_layers++] = l;
		err = plugin_init(p, l, e);
		if (err)
			return err;
	}
	return 0;
}

static int
instance_make(struct instance *i, const struct registry *r, const struct component_conf *c,
	      struct adit_component *component, const char *addr, struct adit_err *e)
{
	const struct adit_plugin *p = registry_find(r, c->kind, c->type);
	const struct adit_stack *stack = NULL;

	if (p && p->kind == ADIT_STACK) {
		stack = (const void *)p;
		p = registry_find(r, c->kind, stack->over);
	}
	if (!p || (stack && stack->mux))
		return adit_err_set(e, ADIT_EUNSUPPORTED, "%s %s is not available in this build",
				    registry_kind_name(c->kind), c->type);
	i->plugin = p;
	i->base = plugin_new(p, component, c->metadata, e);
	if (!i->base)
		return e->code;
	if (c->kind == ADIT_LISTENER)
		((struct adit_listener *)i->base)->addr = addr;
	if (plugin_init(p, i->base, e) < 0)
		return e->code ? e->code : -EINVAL;
	return stack ? instance_init_layers(i, r, stack, c, e) : 0;
}

int
instance_init(struct instance *i, const struct registry *r, const struct component_conf *c,
	      struct adit_component *p, const char *addr, struct adit_err *e)
{
	int err;

	*i = (struct instance){ .plugin = NULL };
	err = instance_make(i, r, c, p, addr, e);
	if (err)
		instance_fini(i);
	return err;
}

const char *
instance_protocol(const struct instance *i)
{
	const struct adit_handler_ops *handler = (const void *)i->plugin;
	const struct adit_connector_ops *connector = (const void *)i->plugin;

	if (i->plugin->kind == ADIT_HANDLER &&
	    i->plugin->size > offsetof(struct adit_handler_ops, protocol))
		return handler->protocol;
	if (i->plugin->kind == ADIT_CONNECTOR &&
	    i->plugin->size > offsetof(struct adit_connector_ops, protocol))
		return connector->protocol;
	return NULL;
}

void
instance_fini(struct instance *i)
{
	while (i->n_layers) {
		struct adit_layer *l = i->layers[--i->n_layers];

		plugin_fini(&l->ops->base, l);
	}
	if (i->base)
		plugin_fini(i->plugin, i->base);
	i->base = NULL;
}

struct adit_conn *
instance_client(const struct instance *i, struct adit_conn *lower, const char *host,
		struct adit_err *e)
{
	for (size_t n = 0; lower && n < i->n_layers; n++)
		lower = i->layers[n]->ops->client(i->layers[n], lower, host, e);
	return lower;
}

struct adit_conn *
instance_server(const struct instance *i, struct adit_conn *lower, struct adit_err *e)
{
	for (size_t n = 0; lower && n < i->n_layers; n++)
		lower = i->layers[n]->ops->server(i->layers[n], lower, e);
	return lower;
}

int
component_configure(struct adit_component *p, const struct component_conf *c,
		    const struct tls_conf *default_tls, struct adit_err *e)
{
	char *user, *password;
	int err;

	if (c->tls)
		p->tls = c->tls->tls;
	if (c->kind == ADIT_LISTENER && default_tls && !p->tls.cert_file) {
		p->tls.cert_file = default_tls->tls.cert_file;
		p->tls.key_file = default_tls->tls.key_file;
		p->tls.common_name = default_tls->tls.common_name;
		p->tls.organization = default_tls->tls.organization;
		p->tls.validity = default_tls->tls.validity;
	}
	if (!c->auth)
		return 0;
	p->user = c->auth->username;
	p->password = c->auth->password;
	if (p->user || !c->auth->file || c->kind == ADIT_LISTENER || c->kind == ADIT_HANDLER)
		return 0;
	err = auth_read_file(c->auth->file, &user, &password, e);
	if (err)
		return err;
	p->user = p->owned_user = user;
	p->password = p->owned_password = password;
	return 0;
}
