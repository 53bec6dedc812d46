#include "core/policy/limiter.h"

#include <errno.h>
#include <stdlib.h>

#include "core/policy/listing.h"

struct limiter {
	struct listing	*list;		/* of struct limits */
	struct shares	*shares;	/* referenced */
};

/* ---- lists ------------------------------------------------------------------------------- */

static int
add_lines(struct limits *l, const struct adit_strings *lines, struct adit_err *e)
{
	for (size_t i = 0; i < lines->n; i++) {
		int err = limits_add(l, lines->v[i], e);

		if (err) {
			adit_err_context(e, "limits[%zu]", i);
			return err;
		}
	}
	return 0;
}

static void *
make(const struct limiter_conf *conf, enum limit_kind kind, const struct listing_source *from,
     struct adit_err *e)
{
	struct limits *l = limits_new(kind);
	int err = l ? add_lines(l, &conf->limits, e) : adit_err_set(e, -ENOMEM, "out of memory");

	for (size_t i = 0; !err && i < from->n; i++)
		err = limits_add_text(l, from->texts[i].text, e);
	if (!err)
		err = limits_seal(l, e);
	if (!err)
		return l;
	limits_free(l);
	return NULL;
}

static void *
traffic_make(const void *conf, const struct listing_source *from, struct adit_err *e)
{
	return make(conf, LIMIT_TRAFFIC, from, e);
}

static void *
conns_make(const void *conf, const struct listing_source *from, struct adit_err *e)
{
	return make(conf, LIMIT_CONNS, from, e);
}

static void *
rate_make(const void *conf, const struct listing_source *from, struct adit_err *e)
{
	return make(conf, LIMIT_RATE, from, e);
}

static void
made_free(void *made)
{
	limits_free(made);
}

static size_t
made_count(const void *made)
{
	return limits_count(made);
}

static const struct listing_kind traffic_kind = {
	.name = "limiter", .make = traffic_make, .free = made_free, .count = made_count,
};

static const struct listing_kind conns_kind = {
	.name = "climiter", .make = conns_make, .free = made_free, .count = made_count,
};

static const struct listing_kind rate_kind = {
	.name = "rlimiter", .make = rate_make, .free = made_free, .count = made_count,
};

/* ---- life -------------------------------------------------------------------------------- */

void
limiter_free(void *limiter)
{
	struct limiter *l = limiter;

	if (!l)
		return;
	listing_free(l->list);
	shares_put(l->shares);
	free(l);
}

static const struct limiter_conf *
conf_of(const struct config *c, enum config_list list, size_t index,
	const struct listing_kind **kind)
{
	switch (list) {
	case CONFIG_CLIMITERS:
		*kind = &conns_kind;
		return &c->climiters.v[index];
	case CONFIG_RLIMITERS:
		*kind = &rate_kind;
		return &c->rlimiters.v[index];
	default:
		*kind = &traffic_kind;
		return &c->limiters.v[index];
	}
}

static int
limiter_make(struct limiter *l, const struct listing_conf *listing, const struct limiter *before,
	     const struct place *at)
{
	l->shares = before ? shares_get(before->shares) : shares_new();
	if (!l->shares)
		return place_say(at, -ENOMEM, "out of memory");
	l->list = listing_new(listing, at);
	return l->list ? 0 : ADIT_ECONFIG;
}

struct limiter *
limiter_new(const struct policy_world *world, enum config_list list, size_t index,
	    const struct limiter *before, struct config_errors *errs)
{
	struct listing_conf listing = {
		.config = world->config, .log = world->log, .home = world->home,
	};
	const struct limiter_conf *conf = conf_of(world->config, list, index, &listing.kind);
	const struct place top = { .errs = errs };
	struct limiter *l = calloc(1, sizeof(*l));
	struct place_step step;

	listing.conf = conf;
	listing.loader = &conf->loader;
	listing.name = conf->name;
	listing.before = before ? before->list : NULL;
	place_step_item(&step, &top, config_list_name(list), index, conf->node);
	if (!l) {
		place_say(&step.at, -ENOMEM, "out of memory");
		return NULL;
	}
	if (limiter_make(l, &listing, before, &step.at) == 0)
		return l;
	limiter_free(l);
	return NULL;
}

const struct limits *
limiter_limits(const struct limiter *l)
{
	return listing_now(l->list);
}

struct shares *
limiter_shares(const struct limiter *l)
{
	return l->shares;
}
