#include "core/tunnel/temporary.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <adit/tunnel.h>

#include "core/tunnel/endpoint.h"
#include "core/tunnel/table.h"

#define LABEL_LEN (TUNNEL_ENDPOINT_LEN - 1)

/* No tunnel's own name begins with a slash. */
#define NAME_PREFIX "/name/"
#define SOURCE_PREFIX "/from/"
#define KEY_SIZE (sizeof(SOURCE_PREFIX) + ADIT_ADDR_TEXT)

/* ---- domains ---------------------------------------------------------------------- */

int
temporary_set_domain(struct temporary_conf *conf, const char *text, struct adit_err *e)
{
	const char *name = text + (text[0] == '*' && text[1] == '.');
	struct hostname host;

	name += *name == '.';
	if (hostname_parse(name, strlen(name), &host) < 0 || host.kind != HOSTNAME_DNS)
		return adit_err_set(e, -EINVAL, "not a domain: \"%s\"", text);
	if (host.len > TEMPORARY_DOMAIN_MAX)
		return adit_err_set(e, -EINVAL, "longer than %d characters", TEMPORARY_DOMAIN_MAX);
	memcpy(conf->domain, host.text, host.len + 1u);
	conf->port = host.port;
	return 0;
}

int
temporary_check_domain(const char *text, struct adit_err *e)
{
	struct temporary_conf conf;

	return temporary_set_domain(&conf, text, e);
}

/* ---- names in the tunnel table ------------------------------------------------------ */

static uint64_t
temporary_join(struct adit_worker *w, const char *key, const struct adit_uuid *tunnel)
{
	struct adit_member m = { .tunnel = key };

	_Static_assert(sizeof(m.client) == sizeof(*tunnel), "a tunnel's id stands for its client");
	memcpy(&m.client, tunnel, sizeof(*tunnel));
	return adit_tunnel_join(w, &m);
}

/* Of IPv6 it is a network of 64 bits that somebody has. False: nothing to tell strangers by. */
static bool
source_key(const struct adit_addr *from, char key[KEY_SIZE])
{
	struct adit_addr a = *from;
	char ip[ADIT_ADDR_TEXT];

	if (a.family != AF_INET && a.family != AF_INET6)
		return false;
	if (a.family == AF_INET6)
		memset(a.ip + 8, 0, 8);
	snprintf(key, KEY_SIZE, SOURCE_PREFIX "%s", adit_addr_format_ip(&a, ip));
	return true;
}

/* Who comes is counted with those who are there: two that come at once do not both slip in. */
static int
temporary_count(struct temporary *t, const struct temporary_conf *conf,
		const struct adit_uuid *tunnel, const struct adit_addr *from)
{
	char key[KEY_SIZE];
	unsigned n;

	if (!conf->per_address || !source_key(from, key))
		return 0;
	t->source = temporary_join(t->worker, key, tunnel);
	tunnels_find(tunnels_of(t->worker), key, &n);
	return t->source && n <= conf->per_address ? 0 : ADIT_ELIMIT;
}

static void
temporary_expired(void *arg)
{
	struct temporary *t = arg;

	adit_tunnel_leave(t->worker, t->name);
	t->name = 0;
}

static int
temporary_name(struct temporary *t, const struct temporary_conf *conf,
	       const struct adit_uuid *tunnel)
{
	char key[KEY_SIZE] = NAME_PREFIX;
	int err = tunnel_endpoint_name(tunnel, key + sizeof(NAME_PREFIX) - 1);

	if (err < 0)
		return err;
	t->name = temporary_join(t->worker, key, tunnel);
	if (!t->name)
		return ADIT_ELIMIT;
	if (!conf->ttl)
		return 0;
	t->timer = adit_timer_new(t->worker, temporary_expired, t);
	if (!t->timer)
		return ADIT_ELIMIT;
	adit_timer_set(t->timer, conf->ttl);
	return 0;
}

int
temporary_take(struct temporary *t, struct adit_worker *w, const struct temporary_conf *conf,
	       const struct adit_uuid *tunnel, const struct adit_addr *from)
{
	int err;

	t->worker = w;
	if (!*conf->domain)
		return 0;
	err = temporary_count(t, conf, tunnel, from);
	if (!err)
		err = temporary_name(t, conf, tunnel);
	if (err)
		temporary_drop(t);
	return err;
}

void
temporary_drop(struct temporary *t)
{
	adit_timer_free(t->timer);
	t->timer = NULL;
	if (t->name)
		adit_tunnel_leave(t->worker, t->name);
	if (t->source)
		adit_tunnel_leave(t->worker, t->source);
	t->name = t->source = 0;
}

/* ---- asking for them ---------------------------------------------------------------- */

static bool
is_temporary(const struct temporary_conf *conf, const char *host)
{
	size_t len = strlen(host), domain = strlen(conf->domain);

	return domain && len == LABEL_LEN + 1 + domain && host[LABEL_LEN] == '.' &&
	       strcmp(host + LABEL_LEN + 1, conf->domain) == 0;
}

int
temporary_find(const struct temporary_conf *conf, struct adit_worker *w, const char *host,
	       struct adit_rule *out)
{
	const struct tunnel_worker *part = tunnels_of(w);
	const struct tunnel_member *const *members;
	char key[KEY_SIZE];
	unsigned n;

	if (!part || !is_temporary(conf, host))
		return ADIT_ENOROUTE;
	snprintf(key, sizeof(key), NAME_PREFIX "%.*s", (int)LABEL_LEN, host);
	members = tunnels_find(part, key, &n);
	for (unsigned i = 0; i < n; i++) {
		if (!atomic_load_explicit(&members[i]->usable, memory_order_relaxed))
			continue;	/* has left */
		*out = (struct adit_rule){ .private_ = false };
		memcpy(&out->tunnel, &members[i]->client, sizeof(out->tunnel));
		return 0;
	}
	return ADIT_ENOROUTE;
}

const char *
temporary_url(const struct temporary_conf *conf, const struct adit_uuid *tunnel,
	      enum adit_network network, char out[TEMPORARY_URL_SIZE])
{
	char label[TUNNEL_ENDPOINT_LEN], port[8] = "";
	const char *scheme = "http://";

	*out = 0;
	if (!*conf->domain || tunnel_endpoint_name(tunnel, label) < 0)
		return out;
	if (network != ADIT_TCP)
		scheme = "";
	else if (conf->port == 443)
		scheme = "https://";
	else if (conf->port && conf->port != 80)
		snprintf(port, sizeof(port), ":%u", conf->port);
	snprintf(out, TEMPORARY_URL_SIZE, "%s%s.%s%s", scheme, label, conf->domain, port);
	return out;
}
