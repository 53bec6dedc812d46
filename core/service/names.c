#include "core/service/names.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/policy/host_map.h"
#include "core/policy/listing.h"

/* ---- hosts ------------------------------------------------------------------------------- */

static int
add_mapping(struct host_map *m, const struct mapping_conf *conf, struct adit_err *e)
{
	int err = host_map_add(m, conf->ip, conf->hostname, e);

	for (size_t i = 0; !err && i < conf->aliases.n; i++)
		err = host_map_add(m, conf->ip, conf->aliases.v[i], e);
	return err;
}

static void *
hosts_make(const void *arg, const struct listing_source *from, struct adit_err *e)
{
	const struct hosts_conf *conf = arg;
	struct host_map *m = host_map_new();
	int err = m ? 0 : adit_err_set(e, -ENOMEM, "out of memory");

	for (size_t i = 0; !err && i < conf->mappings.n; i++) {
		err = add_mapping(m, &conf->mappings.v[i], e);
		if (err)
			adit_err_context(e, "mappings[%zu]", i);
	}
	for (size_t i = 0; !err && i < from->n; i++)
		err = host_map_add_text(m, from->texts[i].text, e);
	if (err) {
		host_map_free(m);
		return NULL;
	}
	host_map_seal(m);
	return m;
}

static void
hosts_free(void *made)
{
	host_map_free(made);
}

static size_t
hosts_count(const void *made)
{
	return host_map_count(made);
}

static const struct listing_kind hosts_kind = {
	.name = "hosts", .make = hosts_make, .free = hosts_free, .count = hosts_count,
};

void *
hosts_map_new(const struct policy_world *world, size_t index, const void *before,
	      struct config_errors *errs)
{
	const struct hosts_conf *conf = &world->config->hosts.v[index];
	const struct listing_conf listing = {
		.kind = &hosts_kind, .config = world->config, .conf = conf,
		.loader = &conf->loader, .name = conf->name, .log = world->log,
		.home = world->home, .before = before,
	};
	const struct place top = { .errs = errs };
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_HOSTS), index, conf->node);
	return listing_new(&listing, &step.at);
}

void
hosts_map_free(void *map)
{
	listing_free(map);
}

/* ---- asking ------------------------------------------------------------------------------ */

void
names_fini(struct names *n)
{
	held_put(n->hosts);
	held_put(n->resolver);
	*n = (struct names){ .hosts = NULL };
}

size_t
names_known(const struct names *n, const char *host, struct adit_addr out[RESOLVER_MAX])
{
	struct adit_addr literal;

	if (!n->hosts || !host || adit_addr_parse(host, 0, &literal) == 0)
		return 0;
	return host_map_find(listing_now(held_now(n->hosts)), host, out, RESOLVER_MAX);
}

static bool
is_local(const char *host)
{
	static const char local[] = "localhost";
	size_t len = strlen(host), n = sizeof(local) - 1;

	if (len && host[len - 1] == '.')
		len--;
	return len >= n && strncasecmp(host + len - n, local, n) == 0 &&
	       (len == n || host[len - n - 1] == '.');
}

bool
names_asks(const struct names *n, const char *host)
{
	struct adit_addr literal;

	return n->resolver && host && *host && adit_addr_parse(host, 0, &literal) < 0 &&
	       !is_local(host);
}

struct names_query *
names_ask(const struct names *n, struct adit_worker *w, const char *host, resolver_cb *done,
	  void *arg, struct adit_err *e)
{
	return name_servers_ask(held_now(n->resolver), w, host, done, arg, e);
}
