#include "core/service/claim.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/addr.h>

#include "core/config/model.h"
#include "core/conn/listen.h"
#include "core/service/component.h"

struct claim {
	struct claim	*next;
	const char	*addr;		/* as written; borrowed */
	char		*at;		/* the same address is always the same text; owned */
	char		*key;		/* owned */
	unsigned	 flags;
};

/* "host:port" in one spelling, or a path; NULL: *nothing to claim, or no memory. */
static char *
claim_text(const char *addr, unsigned flags, bool *nothing)
{
	char host[256], *text;
	uint16_t port;

	*nothing = false;
	if (flags & LISTEN_UNIX)
		return strdup(addr);
	*nothing = adit_hostport_split(addr, host, sizeof(host), &port) < 0 || !port;
	if (*nothing)
		return NULL;
	for (char *p = host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return asprintf(&text, "%s:%u", host, port) < 0 ? NULL : text;
}

static void
claim_free(struct claim *c)
{
	free(c->at);
	free(c->key);
	free(c);
}

int
claim_address(struct adit_component *p, const char *addr, unsigned flags, const char *key)
{
	struct claim *c;
	bool nothing;
	char *at;

	if (!p->claims)
		return 0;
	at = claim_text(addr, flags, &nothing);
	if (nothing)
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c) {
		free(at);
		return -ENOMEM;
	}
	*c = (struct claim){ .addr = addr, .at = at, .key = strdup(key), .flags = flags };
	if (!c->at || !c->key) {
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
};

static const char *
claim_network(const struct claim *c)
{
	return c->flags & LISTEN_UNIX ? "unix" : c->flags & LISTEN_UDP ? "udp" : "tcp";
}

static int
claim_compare(const struct claim *a, const struct claim *b)
{
	int order = strcmp(claim_network(a), claim_network(b));

	return order ? order : strcmp(a->at, b->at);
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

static bool
claims_clash(const struct claim *a, const struct claim *b)
{
	return claim_compare(a, b) == 0 && !(a->flags & b->flags & LISTEN_SHARED);
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
	for (size_t i = 1; i < count; i++)
		if (claims_clash(all[i - 1].claim, all[i].claim))
			claimed_refuse(&all[i], &all[i - 1], errs);
	free(all);
}
