#include <string.h>

#include "core/mux/liveness.h"
#include "core/mux/mux.h"
#include "core/tunnel/pick.h"
#include "core/tunnel/table.h"

static bool
member_is_usable(const struct tunnel_member *m)
{
	return atomic_load_explicit(&m->usable, memory_order_relaxed);
}

static bool
member_lives(const struct tunnel_member *m)
{
	return atomic_load_explicit(&m->heard, memory_order_relaxed) != MUX_FAILED;
}

bool
member_serves(const struct tunnel_member *m)
{
	return member_lives(m) && member_is_usable(m);
}

static bool
member_fits(const struct tunnel_member *m, const struct tunnel_wish *wish)
{
	const struct tunnel_tried *tried = wish->tried;

	if (m->network != wish->network || !member_lives(m))
		return false;
	if (wish->trust != TRUST_ANY && !member_is_usable(m))
		return false;
	for (unsigned i = 0; tried && i < tried->n; i++)
		if (tried->numbers[i] == m->number)
			return false;
	return true;
}

static unsigned
member_weight(const struct tunnel_member *m, bool exclusive)
{
	if (exclusive)
		return m->weight == ADIT_WEIGHT_EXCLUSIVE;
	return m->weight ? m->weight : 1;
}

/*
 * The next number of splitmix64 (Steele, Lea and Flood, 2014), scaled to below n. Nobody sees
 * enough of what it gives to go on with it.
 */
static uint32_t
chance_below(uint64_t *state, uint32_t n)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (uint32_t)((z >> 32) * n >> 32);
}

bool
tunnel_same_client(const struct tunnel_member *a, const struct tunnel_member *b)
{
	static const struct adit_client alone;

	return memcmp(&a->client, &b->client, sizeof(alone)) == 0 &&
	       memcmp(&a->client, &alone, sizeof(alone)) != 0;
}

/* When one of the client's sessions that begin at members[i] came into doubt; 0: none is. */
static uint64_t
client_doubted(const struct tunnel_member *const *members, unsigned n, unsigned i)
{
	const struct tunnel_member *first = members[i];
	uint64_t last = 0;

	do {
		uint64_t doubted = atomic_load_explicit(&members[i]->doubted, memory_order_relaxed);

		if (!member_is_usable(members[i]) && doubted > last)
			last = doubted;
	} while (++i < n && tunnel_same_client(first, members[i]));
	return last;
}

/* One of the client's sessions that begin at members[*i], which is moved behind the last one. */
static const struct tunnel_member *
choose_of_client(const struct tunnel_member *const *members, unsigned n, unsigned *i,
		 const struct tunnel_wish *wish, uint64_t *chance)
{
	const struct tunnel_member *first = members[*i], *near = NULL, *far = NULL;
	uint64_t doubted = wish->trust == TRUST_SURE ? client_doubted(members, n, *i) : 0;
	uint32_t n_near = 0, n_far = 0;

	do {
		const struct tunnel_member *m = members[(*i)++];

		if (!member_fits(m, wish) ||
		    atomic_load_explicit(&m->heard, memory_order_relaxed) < doubted)
			continue;
		if (m->worker != wish->worker)
			far = chance_below(chance, ++n_far) ? far : m;
		else
			near = chance_below(chance, ++n_near) ? near : m;
	} while (*i < n && tunnel_same_client(first, members[*i]));
	return near ? near : far;
}

/*
 * One pass, without knowing the sum beforehand: a candidate of weight w replaces the one held with
 * probability w / (sum so far). A member may become unusable between two passes, so there is
 * only one; the first exclusive one starts the choice anew.
 */
static const struct tunnel_member *
choose(const struct tunnel_member *const *members, unsigned n, const struct tunnel_wish *wish)
{
	const struct tunnel_member *chosen = NULL, *m;
	bool exclusive = false;
	uint64_t own, *chance = wish->chance ? wish->chance : &own;
	uint32_t sum = 0;

	if (!wish->chance)
		adit_random(&own, sizeof(own));
	for (unsigned i = 0; i < n;) {
		unsigned weight;

		m = choose_of_client(members, n, &i, wish, chance);
		if (!m)
			continue;
		if (!exclusive && m->weight == ADIT_WEIGHT_EXCLUSIVE) {
			exclusive = true;
			sum = 0;
		}
		weight = member_weight(m, exclusive);
		sum += weight;
		if (weight && chance_below(chance, sum) < weight)
			chosen = m;
	}
	return chosen;
}

const struct tunnel_member *
tunnel_choose(const struct tunnel_member *const *members, unsigned n,
	      const struct tunnel_wish *wish)
{
	const struct tunnel_member *m = NULL;
	struct tunnel_wish now = *wish;

	for (; !m && now.trust <= TRUST_ANY; now.trust++)
		m = choose(members, n, &now);
	return m;
}

bool
tunnels_has(const struct tunnel_worker *part, const char *tunnel, uint64_t number)
{
	const struct tunnel_member *const *members;
	unsigned n;

	members = tunnels_find(part, tunnel, &n);
	for (unsigned i = 0; i < n; i++)
		if (members[i]->number == number)
			return member_lives(members[i]);
	return false;
}

bool
tunnels_has_other(const struct tunnel_worker *part, const struct adit_open *req)
{
	const struct tunnel_tried self = { .numbers = { req->session }, .n = 1 };
	const struct tunnel_wish wish = {
		.network = req->network, .tried = &self, .trust = TRUST_USABLE,
	};
	const struct tunnel_member *const *members;
	unsigned n;

	members = tunnels_find(part, req->tunnel, &n);
	for (unsigned i = 0; i < n; i++)
		if (member_fits(members[i], &wish))
			return true;
	return false;
}

/* Heard within the last second: may be given a request without being asked for a sign of life. */
static bool
member_is_fresh(const struct tunnel_member *m)
{
	uint64_t heard = atomic_load_explicit(&m->heard, memory_order_relaxed), now = adit_now();

	return heard >= now || now - heard <= LIVENESS_FRESH;
}

static const struct tunnel_member *
find_number(const struct tunnel_member *const *members, unsigned n, uint64_t number,
	    const struct tunnel_wish *wish)
{
	for (unsigned i = 0; i < n; i++)
		if (members[i]->number == number && member_fits(members[i], wish))
			return members[i];
	return NULL;
}

bool
tunnels_choose(struct tunnel_worker *part, const struct adit_open *req,
	       struct tunnel_tried *tried, struct adit_choice *out)
{
	const struct tunnel_wish wish = {
		.network = req->network, .worker = adit_worker_index(part->worker), .tried = tried,
		.chance = &part->chance,
	};
	const struct tunnel_member *m = NULL;
	const struct tunnel_member *const *members;
	unsigned n;

	if (tried->n == TUNNEL_ATTEMPTS)
		return false;
	members = tunnels_find(part, req->tunnel, &n);
	if (req->session)
		m = find_number(members, n, req->session, &wish);
	if (!m)
		m = tunnel_choose(members, n, &wish);
	if (!m)
		return false;
	tried->numbers[tried->n++] = m->number;
	*out = (struct adit_choice){
		.session = m->number, .worker = m->worker, .visitor_address = m->visitor_address,
		.fresh = member_is_fresh(m),
	};
	return true;
}

int
adit_tunnel_pick(struct adit_worker *w, const char *tunnel, enum adit_network network,
		 struct adit_choice *out)
{
	struct tunnel_worker *part = tunnels_of(w);
	const struct adit_open req = { .tunnel = tunnel, .network = network };
	struct tunnel_tried tried = { .n = 0 };

	return part && tunnels_choose(part, &req, &tried, out) ? 0 : ADIT_ENOTUNNEL;
}
