#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/opts.h"
#include "core/conn/told.h"
#include "core/service/auth.h"
#include "core/service/component.h"
#include "core/service/instance.h"

/* How every instance begins, whatever its kind. */
struct instance_base {
	const void		*ops;
	struct adit_component	*component;
};

/* Says e there if it is about a value of there's node, and whether it is. */
static bool
source_refuse_in(const struct place *there, const struct adit_err *e)
{
	const struct adit_tree *found = place_find(there->node, e->text);

	if (!found || found == there->node)
		return false;
	place_refuse(there, e);
	return true;
}

/*
 * Says e at the option or file that it begins with, else where the component stands. The
 * certificate may be the default one, of the top of the configuration.
 */
static int
source_refuse(const struct instance_source *from, const struct adit_err *e)
{
	const struct tls_conf *tls = from->conf->kind == ADIT_LISTENER ? from->default_tls : NULL;
	const struct adit_tree *metadata = from->conf->metadata;
	const struct place top = { .errs = from->at.errs };
	struct adit_err of_it = ADIT_ERR_INIT;
	struct place_step step;

	if (metadata && source_refuse_in(place_step(&step, &from->at, "metadata", metadata), e))
		return e->code;
	if (strncmp(e->text, "tls: ", 5) == 0)
		adit_err_set(&of_it, e->code, "%s", e->text + 5);
	if (of_it.code && tls &&
	    source_refuse_in(place_step(&step, &top, "tls", tls->node), &of_it))
		return e->code;
	return place_refuse(&from->at, e);
}

static void *
plugin_new(const struct adit_plugin *p, struct adit_component *component,
	   const struct instance_source *from)
{
	const struct tree_path below = { .up = from->at.path, .key = "metadata" };
	const struct opts_src options = {
		.node = from->conf->metadata, .path = &below, .lenient = true,
	};
	struct instance_base *base = calloc(1, p->instance);

	if (!base) {
		place_say(&from->at, -ENOMEM, "out of memory");
		return NULL;
	}
	base->ops = p;
	base->component = component;
	if (p->opts && opts_fill(p->opts, base, &options, from->at.errs) < 0) {
		adit_opt_fini(p->opts, base);
		free(base);
		return NULL;
	}
	return base;
}

static int
plugin_ask_init(const struct adit_plugin *p, void *instance, struct adit_err *e)
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
	case ADIT_SESSION: {
		struct adit_session *s = instance;

		return s->ops->init ? s->ops->init(s, e) : 0;
	}
	default:
		return 0;
	}
}

/* 0, or a failure that has been said. */
static int
plugin_init(const struct adit_plugin *p, void *instance, const struct instance_source *from)
{
	struct adit_err e = ADIT_ERR_INIT;
	int err = plugin_ask_init(p, instance, &e);

	if (!err)
		return 0;
	if (!e.code)
		adit_err_set(&e, err, "%s %s: %s", registry_kind_name(p->kind), p->name,
			     adit_strerror(err));
	return source_refuse(from, &e);
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
	case ADIT_SESSION: {
		struct adit_session *s = instance;

		if (s->ops->fini)
			s->ops->fini(s);
		break;
	}
	default:
		break;
	}
	adit_opt_fini(p->opts, instance);
	free(instance);
}

static int
instance_init_layers(struct instance *i, const struct instance_source *from,
		     const struct adit_stack *stack)
{
	struct instance_base *base = i->base;

	for (size_t n = 0; n < LAYERS_MAX && stack->layers[n]; n++) {
		const struct adit_plugin *p =
			registry_find(from->registry, ADIT_LAYER, stack->layers[n]);
		struct adit_layer *l;
		int err;

		if (!p)
			return place_say(&from->at, ADIT_EUNSUPPORTED, "%s needs the layer %s",
					 from->conf->type, stack->layers[n]);
		l = plugin_new(p, base->component, from);
		if (!l)
			return ADIT_ECONFIG;
		assert(!i->told || l->ops->begins);
		l->server = from->conf->kind == ADIT_LISTENER;
		i->layers[i->n_layers++] = l;
		err = plugin_init(p, l, from);
		if (err)
			return err;
	}
	return 0;
}

static int
instance_init_session(struct instance *i, const struct instance_source *from, const char *name)
{
	const struct adit_plugin *p = registry_find(from->registry, ADIT_SESSION, name);
	struct instance_base *base = i->base;

	if (!p)
		return place_say(&from->at, ADIT_EUNSUPPORTED, "%s needs the session %s",
				 from->conf->type, name);
	i->session = plugin_new(p, base->component, from);
	if (!i->session)
		return ADIT_ECONFIG;
	i->session->server = from->conf->kind == ADIT_LISTENER;
	return plugin_init(p, i->session, from);
}

/* stack: what is over p, or NULL. */
static int
instance_make_one(struct instance *i, const struct instance_source *from,
		  const struct adit_plugin *p, const struct adit_stack *stack,
		  struct adit_component *component)
{
	int err;

	i->plugin = p;
	i->base = plugin_new(p, component, from);
	if (!i->base)
		return ADIT_ECONFIG;
	if (from->conf->kind == ADIT_LISTENER)
		((struct adit_listener *)i->base)->addr = from->addr;
	err = plugin_init(p, i->base, from);
	if (err)
		return err;
	if (stack)
		err = instance_init_layers(i, from, stack);
	return !err && stack && stack->mux ? instance_init_session(i, from, stack->mux) : err;
}

static int
source_lacks(const struct instance_source *from, const char *name)
{
	return place_say(&from->at, ADIT_EUNSUPPORTED, "%s %s is not available in this build",
			 registry_kind_name(from->conf->kind), name);
}

/* A plugin or a stack. */
static int
instance_make_named(struct instance *i, const struct instance_source *from, const char *name,
		    struct adit_component *component)
{
	const struct adit_plugin *p = registry_find(from->registry, from->conf->kind, name);
	const struct adit_stack *stack = NULL;

	i->name = name;
	if (p && p->kind == ADIT_STACK) {
		stack = (const void *)p;
		p = registry_find(from->registry, from->conf->kind, stack->over);
	}
	if (!p || p->kind == ADIT_EITHER)
		return source_lacks(from, name);
	return instance_make_one(i, from, p, stack, component);
}

static int
instance_make_told(struct instance *i, const struct instance_source *from,
		   const struct adit_stack *stack, struct adit_component *component)
{
	const struct adit_plugin *p = registry_find(from->registry, ADIT_LISTENER, stack->over);

	if (!p || p->kind != ADIT_LISTENER)
		return source_lacks(from, stack->over);
	i->told = true;
	return instance_make_one(i, from, p, stack, component);
}

static int
instance_make_choice(struct instance *i, const struct instance_source *from,
		     const struct adit_either *choice, struct adit_component *component)
{
	int err = 0;

	i->ways = calloc(WAYS_MAX, sizeof(*i->ways));
	if (!i->ways)
		return place_say(&from->at, -ENOMEM, "out of memory");
	if (from->conf->kind == ADIT_LISTENER) {
		err = instance_make_told(&i->ways[i->n_ways++], from, choice->told, component);
		if (err || !choice->beside)
			return err;
		return instance_make_named(&i->ways[i->n_ways++], from, choice->beside, component);
	}
	for (size_t n = 0; !err && n < WAYS_MAX && choice->dialers[n]; n++)
		err = instance_make_named(&i->ways[i->n_ways++], from, choice->dialers[n],
					  component);
	return err;
}

static int
instance_make(struct instance *i, const struct instance_source *from,
	      struct adit_component *component)
{
	const struct component_conf *c = from->conf;
	const struct adit_plugin *p = registry_find(from->registry, c->kind, c->type);

	if (!p || p->kind != ADIT_EITHER)
		return instance_make_named(i, from, c->type, component);
	i->plugin = p;
	return instance_make_choice(i, from, (const void *)p, component);
}

int
instance_init(struct instance *i, const struct instance_source *from, struct adit_component *p)
{
	int err;

	*i = (struct instance){ .plugin = NULL };
	err = instance_make(i, from, p);
	if (err)
		instance_fini(i);
	return err;
}

const char *
instance_protocol(const struct instance *i)
{
	const struct adit_handler *handler = i->base;
	const struct adit_connector *connector = i->base;

	switch (i->base ? i->plugin->kind : ADIT_KINDS) {
	case ADIT_HANDLER:
		return handler->ops->protocol;
	case ADIT_CONNECTOR:
		return connector->ops->protocol;
	default:
		return NULL;
	}
}

struct instance *
instance_ways(struct instance *i, size_t *n)
{
	*n = i->ways ? i->n_ways : i->base != NULL;
	return i->ways ? i->ways : i;
}

void
instance_fini(struct instance *i)
{
	while (i->n_ways)
		instance_fini(&i->ways[--i->n_ways]);
	free(i->ways);
	i->ways = NULL;
	free(i->addr);
	i->addr = NULL;
	if (i->session)
		plugin_fini(&i->session->ops->base, i->session);
	i->session = NULL;
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

static int
layer_begins(void *arg, const uint8_t *bytes, size_t len)
{
	struct adit_layer *l = arg;

	return l->ops->begins(l, bytes, len);
}

static struct adit_conn *
layer_over(void *arg, struct adit_conn *lower, struct adit_err *e)
{
	struct adit_layer *l = arg;

	return l->ops->server(l, lower, e);
}

/* The layer over lower if its client begins with it. */
static struct adit_conn *
instance_tell(struct adit_layer *l, struct adit_conn *lower, struct adit_err *e)
{
	const struct told conf = {
		.begins = layer_begins, .over = layer_over, .arg = l, .ns = l->patience,
	};

	return told_conn(lower, &conf, e);
}

struct adit_conn *
instance_server(const struct instance *i, struct adit_conn *lower, struct adit_err *e)
{
	for (size_t n = 0; lower && n < i->n_layers; n++) {
		struct adit_layer *l = i->layers[n];

		lower = i->told ? instance_tell(l, lower, e) : l->ops->server(l, lower, e);
	}
	return lower;
}

int
component_configure(struct adit_component *p, const struct instance_source *from)
{
	const struct tls_conf *default_tls = from->default_tls;
	const struct component_conf *c = from->conf;
	struct adit_err e = ADIT_ERR_INIT;
	char *user, *password;

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
	if (auth_read_file(c->auth->file, &user, &password, &e) < 0)
		return place_refuse(&from->at, &e);
	p->user = p->owned_user = user;
	p->password = p->owned_password = password;
	return 0;
}
