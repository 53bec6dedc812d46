#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "core/config/opts.h"
#include "core/config/own_service.h"
#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/policy/policy.h"
#include "core/runtime/worker.h"
#include "core/service/auth.h"
#include "core/service/desk.h"
#include "core/service/listening.h"
#include "core/service/probe.h"
#include "core/service/service_int.h"
#include "core/tunnel/forwarded.h"

static const struct adit_opt trusted_rows[] = {
	{ .name = "trustedProxies", .type = ADIT_OPT_LIST,
	  .offset = offsetof(struct service, trusted) },
	ADIT_OPT_END,
};

/* ---- life ---------------------------------------------------------------------------- */

static void
service_free(struct service *s)
{
	instance_fini(&s->listener);
	instance_fini(&s->handler);
	component_fini(&s->listener_place);
	component_fini(&s->handler_place);
	chain_put(s->listener_chain);
	chain_put(s->handler_chain);
	forwarder_fini(&s->forwarder);
	adit_opt_fini(trusted_rows, s);
	claims_fini(&s->claims);
	for (size_t i = 0; s->ingresses && s->ingresses[i]; i++)
		adit_component_put(s->ingresses[i]->component);
	free(s->ingresses);
	for (size_t i = 0; s->grants && s->grants[i]; i++)
		held_put(s->grants[i]);
	free(s->grants);
	world_held_free(s->admissions);
	world_held_free(s->bypasses);
	names_fini(&s->router.names);
	guard_fini(&s->guard);
	records_fini(&s->records);
	config_put(s->config);
	free(s);
}

static void
service_drop(struct service *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		service_free(s);
}

static void
place_destroyed(struct adit_component *p)
{
	service_drop(p->service);
}

static void
place_init(struct service *s, struct adit_component *p, const struct service_world *world)
{
	component_init(p, s->conf->name, world->log, place_destroyed);
	p->service = s;
	p->activities = &s->activities;
	p->claims = &s->claims;
	p->sockets = world->sockets;
	p->guard = &s->guard;
	p->records = &s->records;
	p->desk = world->desk;
}

/* The service of that place in config; of a reload's, which may have moved it, not its own. */
static const struct place *
service_place(struct place_step *s, const struct config *config, size_t index,
	      struct config_errors *errs)
{
	const struct service_conf *conf = &config->services.v[index];
	const struct place top = { .errs = errs };

	if (own_service_is(conf->name))
		return place_step(s, &top, conf->name + 1, conf->node);
	return place_step_item(s, &top, config_list_name(CONFIG_SERVICES), index, conf->node);
}

/* The chain of that name, referenced; NULL if there is none to look for. */
static struct chain *
world_chain(const struct service_world *world, const char *name)
{
	ptrdiff_t i = name ? config_index_find(world->config, CONFIG_CHAINS, name) : -1;

	return i < 0 ? NULL : chain_get(world->chains[i]);
}

static void
service_refuse_metadata(const struct service_conf *c, const struct place *at)
{
	static const char *const unavailable[] = {
		"interface", "so_mark", "netns", "netns.out", "preUp", "postUp", "preDown",
		"postDown", NULL,
	};
	static const char *const ignore_chain[] = { "ignoreChain", NULL };
	struct place_step metadata;

	if (!c->metadata)
		return;
	place_step(&metadata, at, "metadata", c->metadata);
	place_unavailable(&metadata.at, unavailable);
	if (c->ignore_chain)
		place_unavailable(&metadata.at, ignore_chain);
}

/* Whether the handler asks for credentials: one that does not would let everybody in. */
static bool
handler_authenticates(const struct service_world *world, const struct component_conf *c)
{
	const struct adit_plugin *p = registry_find(world->registry, ADIT_HANDLER, c->type);

	return p && ((const struct adit_handler_ops *)(const void *)p)->authenticates;
}

static void
service_refuse_handler(const struct service_world *world, const struct component_conf *c,
		       const struct place *at)
{
	static const char *const unavailable[] = { "chainGroup", "observer", NULL };
	static const char *const auth[] = { "auth", "auther", "authers", NULL };
	static const char *const metadata[] = { "skipauth", NULL };
	struct place_step below;

	place_unavailable(at, unavailable);
	if (!handler_authenticates(world, c))
		place_unavailable(at, auth);
	if (c->metadata)
		place_unavailable(place_step(&below, at, "metadata", c->metadata), metadata);
}

static void
service_refuse_unsupported(const struct service_world *world, const struct service_conf *c,
			   const struct place *at)
{
	static const char *const unavailable[] = {
		"quotas", "observer", "rewriter", "cache",
		"interface", "sockopts", "logger", "loggers", NULL,
	};
	static const char *const listener[] = {
		"chainGroup", "auth", "auther", "authers", NULL,
	};
	struct place_step below;

	place_unavailable(at, unavailable);
	service_refuse_metadata(c, at);
	if (c->handler->node)
		service_refuse_handler(world, c->handler,
				       place_step(&below, at, "handler", c->handler->node));
	if (c->listener->node)
		place_unavailable(place_step(&below, at, "listener", c->listener->node), listener);
}

int
service_read_auth(const struct config *config, size_t index, struct auth_set **out,
		  struct config_errors *errs)
{
	const struct service_conf *c = &config->services.v[index];
	struct place_step step, below;
	const struct place *at = service_place(&step, config, index, errs);

	return auth_set_new(c->handler, place_step(&below, at, "handler", c->handler->node), out);
}

struct auth_set *
service_swap_auth(struct service *s, struct auth_set *auth)
{
	return atomic_exchange(&s->handler_place.gate.own, auth);
}

/* References of the same objects, ended by NULL. NULL: out of memory. */
static struct held **
held_copy(struct held *const *from, size_t n)
{
	struct held **to = calloc(n + 1, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = held_get(from[i]);
	return to;
}

static int
service_take_authers(struct service *s, const struct service_world *world)
{
	const struct adit_strings *names = &s->conf->handler->authers;
	struct held **mine = calloc(names->n + 1, sizeof(struct held *));

	if (!mine)
		return -ENOMEM;
	for (size_t i = 0; i < names->n; i++)
		mine[i] = held_get(world->authers[config_index_find(world->config, CONFIG_AUTHERS,
								    names->v[i])]);
	if (names->n)
		s->handler_place.gate.authers = mine;
	else
		free(mine);
	s->grants = held_copy(world->grants, world->config->grants.n);
	return s->grants ? 0 : -ENOMEM;
}

static void
service_make_places(struct service *s, const struct service_world *world, const struct place *at)
{
	struct place_step handler_step, listener_step;
	const struct service_conf *c = s->conf;
	const struct instance_source handler = {
		.registry = world->registry, .conf = c->handler,
		.default_tls = world->config->tls,
		.at = *place_step(&handler_step, at, "handler", c->handler->node),
	};
	const struct instance_source listener = {
		.registry = world->registry, .conf = c->listener, .addr = c->addr,
		.default_tls = world->config->tls,
		.at = *place_step(&listener_step, at, "listener", c->listener->node),
	};

	if (component_configure(&s->handler_place, &handler) == 0 &&
	    instance_init(&s->handler, &handler, &s->handler_place) == 0)
		s->listener_place.protocol = instance_protocol(&s->handler);
	if (component_configure(&s->listener_place, &listener) == 0)
		instance_init(&s->listener, &listener, &s->listener_place);
}

static int
service_take_ingresses(struct service *s, const struct service_world *world)
{
	size_t n = world->config->ingresses.n;

	s->ingresses = calloc(n + 1, sizeof(*s->ingresses));
	if (!s->ingresses)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		s->ingresses[i] = world->ingresses[i];
		adit_component_get(s->ingresses[i]->component);
	}
	return 0;
}

static int
service_take_policies(struct service *s, const struct service_world *world)
{
	int err = 0;

	s->admissions = world_held(world, CONFIG_ADMISSIONS, &s->conf->admissions, &err);
	s->bypasses = world_held(world, CONFIG_BYPASSES, &s->conf->bypasses, &err);
	return err ? err : records_init(&s->records, s->conf, world);
}

/* gost's limit of a try is what dialing has by itself. */
static void
service_take_router(struct service *s, const struct service_world *world)
{
	const struct service_conf *c = s->conf;

	s->router = (struct router){
		.chain = s->handler_chain, .retries = (unsigned)c->handler->retries,
		.names = {
			.hosts = world_held_one(world, CONFIG_HOSTS, c->hosts),
			.resolver = world_held_one(world, CONFIG_RESOLVERS, c->resolver),
		},
	};
	if (c->dial_timeout != ADIT_MS(DIAL_MS))
		s->router.timeout = c->dial_timeout;
}

static void
service_read_trusted(struct service *s, const struct place *at)
{
	struct place_step metadata;
	const struct opts_src source = {
		.node = s->conf->metadata, .path = &metadata.path, .lenient = true,
	};
	struct adit_err e = ADIT_ERR_INIT;

	place_step(&metadata, at, "metadata", s->conf->metadata);
	if (opts_fill(trusted_rows, s, &source, at->errs) == 0 &&
	    forwarded_check(&s->trusted, &e) < 0) {
		adit_err_context(&e, "trustedProxies");
		place_refuse(&metadata.at, &e);
	}
}

static void
service_make(struct service *s, const struct service_world *world, const struct place *at)
{
	const struct service_conf *c = s->conf;
	struct auth_set *auth;
	struct place_step below;

	service_refuse_unsupported(world, c, at);
	service_read_trusted(s, at);
	guard_init(&s->guard, c, world, at);
	s->listener_chain = world_chain(world, c->listener->chain);
	s->handler_chain = world_chain(world, c->handler->chain);
	if (service_take_ingresses(s, world) < 0 || service_take_authers(s, world) < 0 ||
	    service_take_policies(s, world) < 0) {
		place_say(at, -ENOMEM, "out of memory");
		return;
	}
	service_take_router(s, world);
	if (c->forwarder)
		forwarder_init(&s->forwarder, c->forwarder, world,
			       place_step(&below, at, "forwarder", c->forwarder->node));
	service_read_auth(world->config, s->index, &auth, at->errs);
	service_swap_auth(s, auth);
	service_make_places(s, world, at);
	if (s->listener.base)
		s->records.network = ((struct adit_listener *)s->listener.base)->ops->network;
}

/* The API and the metrics do not count themselves, as in gost. */
static void
service_count(const struct service *s, int change)
{
	if (!own_service_is(s->conf->name))
		desk_count_service(s->listener_place.desk, change);
}

void
service_close(struct service *s)
{
	struct adit_handler *h = s->handler.base;

	if (s->opened_listener) {
		listening_close(&s->listener);
		service_count(s, -1);
	}
	if (s->opened_handler && h->ops->close)
		h->ops->close(h);
	s->opened_listener = s->opened_handler = false;
}

static int
service_open_listener(struct service *s, const struct place *at)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct place_step below;
	int err = listening_open(&s->listener, &e);

	s->opened_listener = err == 0;
	if (!err) {
		service_count(s, 1);
		return 0;
	}
	return place_refuse(place_step(&below, at, "addr", tree_get(s->conf->node, "addr")), &e);
}

static int
service_open_handler(struct service *s, const struct place *at)
{
	struct adit_handler *h = s->handler.base;
	const struct adit_tree *metadata = s->conf->handler->metadata;
	struct adit_err e = ADIT_ERR_INIT;
	struct place_step handler, below;
	int err = h->ops->open ? h->ops->open(h, &e) : 0;

	/* What a half-opened one holds is let go by close. */
	s->opened_handler = true;
	if (!err)
		return 0;
	if (!e.code)
		adit_err_set(&e, err, "handler %s: %s", s->conf->handler->type, adit_strerror(err));
	place_step(&handler, at, "handler", s->conf->handler->node);
	return place_refuse(place_step(&below, &handler.at, "metadata", metadata), &e);
}

int
service_open(struct service *s, struct config_errors *errs)
{
	struct place_step step;
	const struct place *at = service_place(&step, s->config, s->index, errs);
	int err = service_open_handler(s, at), err2 = service_open_listener(s, at);

	return err ? err : err2;
}

struct service *
service_new(const struct service_world *world, size_t index, struct config_errors *errs)
{
	struct service *s = calloc(1, sizeof(*s));
	struct place_step step;

	if (!s) {
		place_say(service_place(&step, world->config, index, errs), -ENOMEM,
			  "out of memory");
		return NULL;
	}
	s->index = index;
	s->created = time(NULL);
	s->conf = &world->config->services.v[index];
	s->config = config_get(world->config);
	atomic_init(&s->refs, 2);
	place_init(s, &s->listener_place, world);
	place_init(s, &s->handler_place, world);
	service_make(s, world, service_place(&step, s->config, index, errs));
	return s;
}

void
service_put(struct service *s)
{
	if (!s)
		return;
	service_close(s);
	adit_component_put(&s->listener_place);
	adit_component_put(&s->handler_place);
}

const struct claims *
service_claims(const struct service *s)
{
	return &s->claims;
}

struct gate *
service_gate(struct service *s)
{
	return &s->handler_place.gate;
}

int64_t
service_created(const struct service *s)
{
	return s->created;
}

struct config *
service_config(const struct service *s)
{
	return s->config;
}

const struct service_conf *
service_conf_of(const struct service *s)
{
	return s->conf;
}

bool
component_forwards(const struct adit_component *p)
{
	return p->service->forwarder.conf;
}

struct adit_ingress *
component_ingress(const struct adit_component *p, const char *name)
{
	const struct service *s = p->service;

	ptrdiff_t i = config_index_find(s->config, CONFIG_INGRESSES, name);

	return i < 0 ? NULL : s->ingresses[i];
}

int
component_take_grants(struct adit_component *p, const char *name, struct adit_err *e)
{
	const struct service *s = p->service;
	ptrdiff_t i = config_index_find(s->config, CONFIG_GRANTS, name);

	if (i < 0)
		return adit_err_set(e, ADIT_ECONFIG, "grants: there is no \"%s\"", name);
	held_put(p->gate.grants);
	p->gate.grants = held_get(s->grants[i]);
	return 0;
}

/* ---- running --------------------------------------------------------------------------- */

struct service_call {
	struct service	*service;
	atomic_flag	 failed;	/* by whom e was filled first */
	struct adit_err	 e;
};

/* They are one worker's, as many services' as there are of others. */
static bool
service_probes_on(const struct service *s, const struct adit_worker *w)
{
	return s->index % adit_worker_count(w) == adit_worker_index(w);
}

static void
service_start_on(struct adit_worker *w, void *arg)
{
	struct service_call *call = arg;
	struct service *s = call->service;
	struct adit_handler *h = s->handler.base;
	struct adit_err e = ADIT_ERR_INIT;
	int err = h->ops->start ? h->ops->start(h, w, &e) : 0;

	if (!err)
		err = listening_start(&s->listener, w, &e);
	if (!err && service_probes_on(s, w))
		s->probes = probes_start(&s->forwarder, w, s->handler_place.log);
	if (!err || atomic_flag_test_and_set(&call->failed))
		return;
	if (!e.code)
		adit_err_set(&e, err, "%s", adit_strerror(err));
	adit_err_context(&e, "worker %u", adit_worker_index(w));
	call->e = e;
}

static void
service_stop_on(struct adit_worker *w, void *arg)
{
	struct service_call *call = arg;
	struct service *s = call->service;
	struct adit_handler *h = s->handler.base;

	listening_stop(&s->listener, w);
	if (service_probes_on(s, w)) {
		probes_stop(s->probes);
		s->probes = NULL;
	}
	if (h->ops->stop)
		h->ops->stop(h, w);
	activities_stop(&s->activities, w, 0);
}

static void
service_kill_on(struct adit_worker *w, void *arg)
{
	struct service_call *call = arg;

	activities_stop(&call->service->activities, w, ADIT_ESTOPPED);
}

int
service_start(struct service *s, struct worker_group *workers, struct config_errors *errs)
{
	struct service_call call = { .service = s, .failed = ATOMIC_FLAG_INIT };
	struct place_step step;

	workers_call(workers, service_start_on, &call);
	if (!call.e.code) {
		listening_log(&s->listener, s->conf->name, s->conf->handler->type);
		return 0;
	}
	service_kill(s, workers);
	return place_refuse(service_place(&step, s->config, s->index, errs), &call.e);
}

void
service_settle(struct service *s)
{
	listening_settle(&s->listener);
}

bool
service_is_ready(const struct service *s)
{
	return listening_is_ready(&s->listener);
}

void
service_set_grace(struct service *s, uint64_t ns)
{
	atomic_store_explicit(&s->activities.grace, ns ? adit_now() + ns : 0,
			      memory_order_relaxed);
}

void
service_stop(struct service *s, struct worker_group *workers)
{
	struct service_call call = { .service = s };

	workers_call(workers, service_stop_on, &call);
}

void
service_kill(struct service *s, struct worker_group *workers)
{
	struct service_call call = { .service = s };

	workers_call(workers, service_stop_on, &call);
	workers_call(workers, service_kill_on, &call);
}

void
service_finish(struct service *s, struct worker_group *workers)
{
	struct service_call call = { .service = s };

	if (atomic_load_explicit(&s->activities.idle, memory_order_relaxed))
		workers_call(workers, service_kill_on, &call);
}

unsigned
service_active(const struct service *s)
{
	return atomic_load_explicit(&s->activities.n, memory_order_relaxed);
}

/* ---- what plugins ask of their service ----------------------------------------------- */

int
adit_listener_can_bind(const struct adit_listener *l, struct adit_err *e)
{
	const struct service *s = l->component->service;

	if (!s->listener_chain)
		return adit_err_set(e, ADIT_ECONFIG, "listener %s needs a chain (-F)",
				    l->ops->base.name);
	if (!chain_binds(s->listener_chain))
		return adit_err_set(e, ADIT_ECONFIG, "chain %s: its last connector cannot bind",
				    chain_name(s->listener_chain));
	return 0;
}

/*
 * Whether it matters to a target of ours, or to the choice of it, which visitor a conn is of. A
 * chain's connectors may tell their nodes.
 */
static bool
service_shows_visitor(const struct service *s)
{
	const struct adit_handler *h = s->handler.base;

	return (h->ops->shows_visitor && h->ops->shows_visitor(h)) || s->handler_chain ||
	       s->forwarder.by_client;
}

struct adit_mux *
adit_listener_bind(struct adit_listener *l, struct adit_worker *w,
		   const struct adit_target *address, struct adit_err *e)
{
	struct service *s = l->component->service;
	struct adit_target asked = *address;

	asked.visitor_address = service_shows_visitor(s);
	if (s->listener_chain)
		return chain_bind(s->listener_chain, w, &asked, e);
	adit_err_set(e, ADIT_EUNSUPPORTED,
		     "listener %s without a chain is not available in this build",
		     l->ops->base.name);
	return NULL;
}

struct forwarder *
service_forwarder(struct service *s)
{
	return &s->forwarder;
}

bool
service_allows(const struct service *s, const struct policy_target *to)
{
	return !policies_bypass(s->bypasses, to);
}

bool
service_bypasses(const struct service *s)
{
	return s->bypasses != NULL;
}

struct adit_conn *
service_dial(struct service *s, struct adit_worker *w, const struct adit_target *to,
	     const struct adit_addr *visitor, struct adit_err *e)
{
	struct adit_conn *c = router_dial(&s->router, &s->handler_place, w, to, visitor, e);

	if (to->network != ADIT_UNIX)
		records_dial(&s->records, to->host, to->port, c);
	return c;
}

struct chain *
service_handler_chain(const struct service *s)
{
	return s->handler_chain;
}

/* ---- what goes out -------------------------------------------------------------------------- */

bool
adit_component_allows(const struct adit_component *p, const struct adit_target *to)
{
	const struct policy_target target = policy_target(to);

	return !p->service || !target.host || !*target.host || service_allows(p->service, &target);
}

struct adit_conn *
adit_handler_dial(struct adit_handler *h, const struct adit_conn *visitor,
		  const struct adit_target *to, struct adit_err *e)
{
	if (!adit_component_allows(h->component, to)) {
		adit_err_set(e, ADIT_EFORBIDDEN, "bypassed");
		return NULL;
	}
	return service_dial(h->component->service, adit_conn_worker(visitor), to,
			    adit_conn_remote(visitor), e);
}
