#include "core/service/claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <adit/addr.h>

#include "core/config/model.h"
#include "core/conn/listen.h"
#include "core/service/component.h"

struct claim {
	struct claim	*next;
	const char	*addr;		/* as written; borrowed */
	char		*key;		/* owned */
	unsigned	 flags;
	uint16_t	 port;		/* of LISTEN_UNIX 0 */
	char		 host[256];
};

static void
claim_free(struct claim *c)
{
	free(c->key);
	free(c);
}

int
claim_address(struct adit_component *p, const char *addr, unsigned flags, const char *key)
{
	struct claim *c = p->claims ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return p->claims ? -ENOMEM : 0;
	c->addr = addr;
	c->flags = flags;
	if (!(flags & LISTEN_UNIX) &&
	    (adit_hostport_split(addr, c->host, sizeof(c->host), &c->port) < 0 || !c->port)) {
		claim_free(c);
		return 0;
	}
	c->key = strdup(key);
	if (!c->key) {
		claim_free(c);
		return -ENOMEM;
	}
	c->next = p->claims->first;
	p->claims->first = c;
	return 0;
}

void
claims_fini(struct claims *c)
{
	struct claim *one;

	while ((one = c->first)) {
		c->first = one->next;
		claim_free(one);
	}
}

/* ---- comparing ------------------------------------------------------------------------- */

struct claimed {
	const struct claim	*claim;
	const struct adit_tree	*node;		/* of its service */
	size_t			 index;		/* of that */
	struct adit_addr	 at;		/* once asked for; family 0: not known */
	bool			 asked;
};

static const char *
claim_network(const struct claim *c)
{
	return c->flags & LISTEN_UNIX ? "unix" : c->flags & LISTEN_UDP ? "udp" : "tcp";
}

/* What is the same for both, if they clash. */
static int
claim_compare(const struct claim *a, const struct claim *b)
{
	int order = strcmp(claim_network(a), claim_network(b));

	if (!order && a->flags & LISTEN_UNIX)
		return strcmp(a->addr, b->addr);
	return order ? order : (int)a->port - (int)b->port;
}

static int
claimed_compare(const void *a, const void *b)
{
	const struct claimed *x = a, *y = b;
	int order = claim_compare(x->claim, y->claim);

	if (!order && x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return order ? order : strcmp(x->claim->key, y->claim->key);
}

/* A name is asked for as it is at the start, but only where it matters. */
static const struct adit_addr *
claimed_addr(struct claimed *c)
{
	struct adit_err e = ADIT_ERR_INIT;

	if (!c->asked)
		listen_resolve(c->claim->host, c->claim->port, c->claim->flags, &c->at, &e);
	if (e.code)
		c->at.family = 0;	/* nor will it be opened */
	c->asked = true;
	return &c->at;
}

/* All addresses of b's family; [::] is of both (listen.c opens it so). */
static bool
addr_covers(const struct adit_addr *a, const struct adit_addr *b)
{
	static const uint8_t any[sizeof(a->ip)];

	if (memcmp(a->ip, any, a->family == AF_INET6 ? 16 : 4) != 0)
		return false;
	return a->family == AF_INET6 || a->family == b->family;
}

static bool
claims_meet(struct claimed *a, struct claimed *b)
{
	const struct adit_addr *x, *y;

	if (a->claim->flags & LISTEN_UNIX || strcasecmp(a->claim->host, b->claim->host) == 0)
		return true;
	x = claimed_addr(a);
	y = claimed_addr(b);
	if (!x->family || !y->family)
		return false;
	return adit_addr_equal(x, y) || addr_covers(x, y) || addr_covers(y, x);
}

static bool
claims_clash(struct claimed *a, struct claimed *b)
{
	return !(a->claim->flags & b->claim->flags & LISTEN_SHARED) && claims_meet(a, b);
}

static const struct place *
claimed_place(struct place_step steps[2], const struct claimed *c, struct config_errors *errs)
{
	const struct place top = { .errs = errs };

	place_step_item(&steps[0], &top, config_list_name(CONFIG_SERVICES), c->index, c->node);
	return place_step(&steps[1], &steps[0].at, c->claim->key,
			  place_find(c->node, c->claim->key));
}

static void
claimed_refuse(const struct claimed *again, const struct claimed *first,
	       struct config_errors *errs)
{
	struct place_step steps[2], first_steps[2];
	const struct place *at = claimed_place(steps, again, errs);
	const struct place *other = claimed_place(first_steps, first, errs);
	const struct config_problem problem = { .pos = tree_pos(at->node), .path = at->path };
	char *where = config_where(tree_pos(other->node), other->path);

	config_errors_add(errs, &problem, "%s %s is taken by %s", claim_network(again->claim),
			  again->claim->addr, where ? where : "another");
	free(where);
}

/* The i-th against those before it that it could clash with. */
static void
claimed_check(struct claimed *all, size_t first, size_t i, struct config_errors *errs)
{
	for (size_t k = first; k < i; k++) {
		if (!claims_clash(&all[k], &all[i]))
			continue;
		claimed_refuse(&all[i], &all[k], errs);
		return;
	}
}

void
claims_check(const struct claimant *v, size_t n, struct config_errors *errs)
{
	struct claimed *all;
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		for (const struct claim *c = v[i].claims->first; c; c = c->next)
			count++;
	all = calloc(count + 1, sizeof(*all));
	if (!all) {
		place_say(&(const struct place){ .errs = errs }, -ENOMEM, "out of memory");
		return;
	}
	count = 0;
	for (size_t i = 0; i < n; i++)
		for (const struct claim *c = v[i].claims->first; c; c = c->next)
			all[count++] = (struct claimed){ .claim = c, .node = v[i].node,
							 .index = i };
	qsort(all, count, sizeof(*all), claimed_compare);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (claim_compare(all[first].claim, all[i].claim) != 0)
			first = i;
		claimed_check(all, first, i, errs);
	}
	free(all);
}
