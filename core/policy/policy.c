#include "core/policy/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy/listing.h"
#include "core/policy/matchers.h"

struct policy {
	struct listing	*list;		/* of struct matchers */
	bool		 whitelist;
	bool		 tcp, udp;	/* what it is for */
};

/* ---- lists ------------------------------------------------------------------------------- */

typedef int add_fn(struct matchers *m, const char *text, struct adit_err *e);

struct adding {
	struct matchers		*to;
	add_fn			*add;
	const atomic_bool	*unwanted;
};

/* Each may take as long as a name is looked up. */
static int
add_line(void *arg, char *line, struct adit_err *e)
{
	const struct adding *a = arg;

	if (atomic_load_explicit(a->unwanted, memory_order_relaxed))
		return adit_err_set(e, ADIT_ESTOPPED, "not wanted any more");
	return a->add(a->to, line, e);
}

static void *
make(const struct policy_conf *conf, add_fn *add, const struct listing_source *from,
     struct adit_err *e)
{
	struct adding a = { .to = matchers_new(), .add = add, .unwanted = from->unwanted };
	int err = a.to ? 0 : adit_err_set(e, -ENOMEM, "out of memory");

	for (size_t i = 0; !err && i < conf->matchers.n; i++) {
		err = add_line(&a, conf->matchers.v[i], e);
		if (err)
			adit_err_context(e, "matchers[%zu]: \"%.100s\"", i, conf->matchers.v[i]);
	}
	for (size_t i = 0; !err && i < from->n; i++)
		err = listing_lines(from->texts[i].text, add_line, &a, e);
	if (err) {
		matchers_free(a.to);
		return NULL;
	}
	matchers_seal(a.to);
	return a.to;
}

static void *
admission_make(const void *conf, const struct listing_source *from, struct adit_err *e)
{
	return make(conf, matchers_add_address, from, e);
}

static void *
bypass_make(const void *conf, const struct listing_source *from, struct adit_err *e)
{
	return make(conf, matchers_add, from, e);
}

static void
made_free(void *made)
{
	matchers_free(made);
}

static size_t
made_count(const void *made)
{
	return matchers_count(made);
}

static const struct listing_kind admission_kind = {
	.name = "admission", .make = admission_make, .free = made_free, .count = made_count,
};

static const struct listing_kind bypass_kind = {
	.name = "bypass", .make = bypass_make, .free = made_free, .count = made_count,
};

/* ---- life -------------------------------------------------------------------------------- */

void
policy_free(void *policy)
{
	struct policy *p = policy;

	if (p)
		listing_free(p->list);
	free(p);
}

static struct policy *
policy_new(const struct policy_world *world, const struct listing_kind *kind,
	   const struct policy_conf *conf, const struct policy *before, const struct place *at)
{
	const struct listing_conf listing = {
		.kind = kind, .config = world->config, .conf = conf, .loader = &conf->loader,
		.name = conf->name, .log = world->log, .home = world->home,
		.before = before ? before->list : NULL,
	};
	struct policy *p = calloc(1, sizeof(*p));

	if (!p) {
		place_say(at, -ENOMEM, "out of memory");
		return NULL;
	}
	p->whitelist = conf->whitelist;
	p->tcp = !conf->network || strcmp(conf->network, "udp") != 0;
	p->udp = !conf->network || strcmp(conf->network, "udp") == 0;
	p->list = listing_new(&listing, at);
	if (p->list)
		return p;
	policy_free(p);
	return NULL;
}

struct policy *
admission_new(const struct policy_world *world, size_t index, const struct policy *before,
	      struct config_errors *errs)
{
	const struct policy_conf *conf = &world->config->admissions.v[index];
	const struct place top = { .errs = errs };
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_ADMISSIONS), index, conf->node);
	return policy_new(world, &admission_kind, conf, before, &step.at);
}

struct policy *
bypass_new(const struct policy_world *world, size_t index, const struct policy *before,
	   struct config_errors *errs)
{
	const struct policy_conf *conf = &world->config->bypasses.v[index];
	const struct place top = { .errs = errs };
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_BYPASSES), index, conf->node);
	return policy_new(world, &bypass_kind, conf, before, &step.at);
}

/* ---- asking ------------------------------------------------------------------------------ */

bool
policies_admit(struct held *const *v, const struct adit_addr *who)
{
	if (who->family != AF_INET && who->family != AF_INET6)
		return true;
	for (; v && *v; v++) {
		const struct policy *p = held_now(*v);

		if (!listing_is_known(p->list) ||
		    matchers_match_addr(listing_now(p->list), who) != p->whitelist)
			return false;
	}
	return true;
}

struct policy_target
policy_target(const struct adit_target *to)
{
	return (struct policy_target){
		.network = to->network, .host = to->name ? to->name : to->host,
		.port = to->port, .address = to->name ? to->host : NULL,
	};
}

static bool
policy_is_for(const struct policy *p, const struct policy_target *to)
{
	return to->network == ADIT_UDP ? p->udp : p->tcp;
}

static bool
policy_bypasses(const struct policy *p, const struct policy_target *to)
{
	const struct matchers *m;

	if (!policy_is_for(p, to))
		return false;
	if (!listing_is_known(p->list))
		return true;
	m = listing_now(p->list);	/* after that: the one before may be of no source */
	return (matchers_match(m, to->host, to->port) ||
		(to->address && matchers_match(m, to->address, to->port))) != p->whitelist;
}

bool
policies_bypass(struct held *const *v, const struct policy_target *to)
{
	bool white = false, all_white = true, any_black = false;

	if (!to->host || to->network == ADIT_UNIX)
		return false;
	for (; v && *v; v++) {
		const struct policy *p = held_now(*v);
		bool hit = policy_bypasses(p, to);

		white |= p->whitelist;
		all_white &= hit || !p->whitelist;
		any_black |= hit && !p->whitelist;
	}
	return (white && all_white) || any_black;
}

bool
policies_unknown(struct held *const *v, const struct policy_target *to)
{
	for (; v && *v; v++) {
		const struct policy *p = held_now(*v);

		if (policy_is_for(p, to) && !listing_is_known(p->list))
			return true;
	}
	return false;
}
