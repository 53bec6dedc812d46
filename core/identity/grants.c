#include "core/identity/grants.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/wire/fingerprint.h"
#include "core/wire/hostname.h"

/* How much a grant is used; of the grant, and of who uses it. */
struct grant_use {
	atomic_uint	refs;
	atomic_uint	n;
};

struct grant {
	const struct grant_conf	*conf;		/* of the configuration that is referenced */
	struct grant_use	*use;
};

struct grants {
	struct config	*config;	/* referenced */
	size_t		 n;
	struct grant	 v[];
};

static bool
is_any(const char *text)
{
	return strcmp(text, GRANT_ANY) == 0;
}

/* ---- who ---------------------------------------------------------------------------------- */

static bool
has_text(const struct adit_strings *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], text) == 0)
			return true;
	return false;
}

static bool
names_user(const struct adit_strings *users, const char *user)
{
	return has_text(users, GRANT_ANY) || (user && has_text(users, user));
}

static bool
names_fingerprint(const struct adit_strings *list, const char *fingerprint)
{
	char wanted[FINGERPRINT_TEXT];

	for (size_t i = 0; i < list->n; i++)
		if (fingerprint_normalise(list->v[i], wanted) == 0 &&
		    strcmp(wanted, fingerprint) == 0)
			return true;
	return false;
}

/* Names of hosts have no case (RFC 4343), and what is no host has none to lose here. */
static bool
names_alternative(const struct adit_strings *list, const struct adit_certificate *c)
{
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < c->n_names; k++)
			if (strcasecmp(list->v[i], c->names[k]) == 0)
				return true;
	return false;
}

static bool
names_certificate(const struct grant_conf *g, const struct adit_certificate *c)
{
	if (!g->common_names.n && !g->alternative_names.n && !g->fingerprints.n)
		return true;
	if (!c)
		return false;
	if (g->common_names.n && !(*c->common_name && has_text(&g->common_names, c->common_name)))
		return false;
	if (g->alternative_names.n && !names_alternative(&g->alternative_names, c))
		return false;
	return !g->fingerprints.n || names_fingerprint(&g->fingerprints, c->fingerprint);
}

/* Every kind of name that a grant has must be one of his; a grant without any is nobody's. */
static bool
grant_names(const struct grant_conf *g, const struct identity *who)
{
	if (!g->users.n && !g->common_names.n && !g->alternative_names.n && !g->fingerprints.n)
		return false;
	if (g->users.n && !names_user(&g->users, who ? who->user : NULL))
		return false;
	return names_certificate(g, who ? who->certificate : NULL);
}

/* ---- what --------------------------------------------------------------------------------- */

static bool
names_tunnel(const struct adit_strings *tunnels, const struct adit_uuid *id)
{
	struct adit_uuid one;

	for (size_t i = 0; i < tunnels->n; i++)
		if (is_any(tunnels->v[i]) || (adit_uuid_parse(tunnels->v[i], false, &one) == 0 &&
					      memcmp(&one, id, sizeof(one)) == 0))
			return true;
	return false;
}

/* pattern: "host", or ".host" for it and what is below it. */
static bool
host_is(const char *pattern, const char *host)
{
	size_t len = strlen(host), tail = strlen(pattern);

	if (*pattern != '.')
		return strcmp(pattern, host) == 0;
	if (strcmp(pattern + 1, host) == 0)
		return true;
	return len > tail && strcmp(host + len - tail, pattern) == 0;
}

static bool
names_host(const struct adit_strings *hosts, const struct grant_claim *claim)
{
	char host[HOSTNAME_MAX + 1], pattern[HOSTNAME_PATTERN_SIZE];

	if (!hosts->n || has_text(hosts, GRANT_ANY))
		return true;
	/* A client that asks for no name gets none; a visitor who says none might mean any. */
	if (!*claim->host)
		return claim->role == GRANT_CLIENT;
	if (hostname_normalise(claim->host, strlen(claim->host), host) < 0)
		return false;
	for (size_t i = 0; i < hosts->n; i++)
		if (hostname_pattern(hosts->v[i], pattern) == 0 && host_is(pattern, host))
			return true;
	return false;
}

/* How near somebody came to being allowed what he asks for. */
enum lack {
	LACK_NAME,		/* no grant names him */
	LACK_TUNNEL, LACK_ROLE, LACK_HOST, LACK_WEIGHT, LACK_ROOM, LACK_NOTHING,
};

static const char *const lacks[] = {
	[LACK_TUNNEL] = "that tunnel",
	[LACK_ROLE] = "that role",
	[LACK_HOST] = "that host",
	[LACK_WEIGHT] = "that weight",
};

static enum lack
grant_lacks(const struct grant_conf *g, const struct identity *who, const struct grant_claim *claim)
{
	unsigned weight = claim->weight ? claim->weight : 1;

	if (!grant_names(g, who))
		return LACK_NAME;
	if (!names_tunnel(&g->tunnels, &claim->tunnel))
		return LACK_TUNNEL;
	if (g->role && g->role != (int)claim->role)
		return LACK_ROLE;
	if (!names_host(&g->hosts, claim))
		return LACK_HOST;
	if (claim->role == GRANT_CLIENT && g->weight && weight > (unsigned)g->weight)
		return LACK_WEIGHT;
	return LACK_NOTHING;
}

/* ---- how often ---------------------------------------------------------------------------- */

static struct grant_use *
use_get(struct grant_use *use)
{
	atomic_fetch_add_explicit(&use->refs, 1, memory_order_relaxed);
	return use;
}

static void
use_put(struct grant_use *use)
{
	if (use && atomic_fetch_sub_explicit(&use->refs, 1, memory_order_acq_rel) == 1)
		free(use);
}

/* Counts one more if there is room for it; limit 0: there always is. */
static bool
use_begin(struct grant_use *use, unsigned limit)
{
	unsigned n = atomic_load(&use->n);

	do {
		if (limit && n >= limit)
			return false;
	} while (!atomic_compare_exchange_weak(&use->n, &n, n + 1));
	use_get(use);
	return true;
}

/* Of one that is counted: whether it may stay. If not it is counted no more. */
static bool
use_keep(struct grant_use *use, unsigned limit)
{
	unsigned n = atomic_load(&use->n);

	do {
		if (!limit || n <= limit)
			return true;
	} while (!atomic_compare_exchange_weak(&use->n, &n, n - 1));
	use_put(use);
	return false;
}

void
grant_use_end(struct grant_use *use)
{
	if (!use)
		return;
	atomic_fetch_sub(&use->n, 1);
	use_put(use);
}

/* One use of g, what is held if that is one; what is held and may not go on is ended. */
static struct grant_use *
grant_begin(const struct grant *g, struct grant_use **held)
{
	unsigned limit = (unsigned)g->conf->connections;
	struct grant_use *mine = *held;

	if (mine != g->use)
		return use_begin(g->use, limit) ? g->use : NULL;
	*held = NULL;
	return use_keep(mine, limit) ? mine : NULL;
}

int
grants_take(const struct grants *g, const struct identity *who, const struct grant_claim *claim,
	    struct grant_use *held, struct grant_use **use, struct adit_err *e)
{
	enum lack least = LACK_NAME;
	char text[IDENTITY_TEXT];

	*use = NULL;
	for (size_t i = 0; i < g->n && !*use; i++) {
		enum lack lack = grant_lacks(g->v[i].conf, who, claim);

		if (lack == LACK_NOTHING)
			*use = grant_begin(&g->v[i], &held);
		if (lack == LACK_NOTHING && !*use)
			lack = LACK_ROOM;
		if (lack > least)
			least = lack;
	}
	grant_use_end(held);
	if (*use)
		return 0;
	identity_text(who, text);
	if (least == LACK_ROOM)
		return adit_err_set(e, ADIT_ELIMIT, "too many connections of %s", text);
	if (least == LACK_NAME)
		return adit_err_set(e, ADIT_EFORBIDDEN, "no grant names %s", text);
	return adit_err_set(e, ADIT_EFORBIDDEN, "no grant gives %s to %s", lacks[least], text);
}

unsigned
grants_limit(const struct grants *g, const struct grant_use *use)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].use == use)
			return (unsigned)g->v[i].conf->connections;
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool
same_texts(const struct adit_strings *a, const struct adit_strings *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return a->n == b->n;
}

/* Whether they are the same but for how often, so that their uses add up. */
static bool
same_grant(const struct grant_conf *a, const struct grant_conf *b)
{
	return same_texts(&a->users, &b->users) && same_texts(&a->common_names, &b->common_names) &&
	       same_texts(&a->alternative_names, &b->alternative_names) &&
	       same_texts(&a->fingerprints, &b->fingerprints) &&
	       same_texts(&a->tunnels, &b->tunnels) && same_texts(&a->hosts, &b->hosts) &&
	       a->role == b->role && a->weight == b->weight;
}

static struct grant_use *
grant_use_of(const struct grant_conf *conf, const struct grants *before)
{
	struct grant_use *use;

	for (size_t i = 0; before && i < before->n; i++)
		if (same_grant(before->v[i].conf, conf))
			return use_get(before->v[i].use);
	use = calloc(1, sizeof(*use));
	if (use)
		atomic_init(&use->refs, 1);
	return use;
}

void
grants_free(struct grants *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		use_put(g->v[i].use);
	config_put(g->config);
	free(g);
}

struct grants *
grants_new(struct config *config, size_t index, const struct grants *before)
{
	const struct grant_list *list = &config->grants.v[index].rules;
	struct grants *g = calloc(1, sizeof(*g) + list->n * sizeof(*g->v));

	if (!g)
		return NULL;
	g->config = config_get(config);
	for (; g->n < list->n; g->n++) {
		g->v[g->n].conf = &list->v[g->n];
		g->v[g->n].use = grant_use_of(&list->v[g->n], before);
		if (!g->v[g->n].use) {
			grants_free(g);
			return NULL;
		}
	}
	return g;
}
