#include "core/service/name_servers.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/tls_creds.h"
#include "core/runtime/text_hash.h"
#include "core/service/dns_exchange.h"
#include "core/service/route.h"

#define TIMEOUT_NS ADIT_SECONDS(5)	/* gost's default */
#define WAYS	   4			/* of a set of the memory: who comes fifth takes a place */
#define SETS	   (NAME_SERVERS_KEPT / WAYS)
#define HOST_SIZE  256

struct name_server {
	struct dns_server		 server;
	const struct nameserver_conf	*conf;
	struct dns_subnet		 subnet;
	bool				 ip6[2];	/* which families, in this order */
	unsigned			 n_families;
};

/* What was said of a name. */
struct kept_name {
	char			*host;		/* owned; NULL: nothing is kept here */
	uint64_t		 until;
	size_t			 n;
	struct adit_addr	 addrs[RESOLVER_MAX];
};

/* A worker's own. */
struct memory_of_names {
	struct kept_name	 kept[SETS][WAYS];
	unsigned		 asked;		/* questions under way */
};

struct name_servers {
	atomic_uint		 refs;
	struct config		*config;	/* referenced */
	const struct resolver_conf *conf;
	struct adit_log		*log;
	size_t			 n;
	struct name_server	 v[NAME_SERVERS_MAX];
	struct memory_of_names	*memory[ADIT_WORKERS_MAX];	/* owned; NULL: not yet */
};

struct names_query {
	struct name_servers	*servers;	/* referenced */
	struct adit_worker	*worker;
	struct memory_of_names	*memory;
	resolver_cb		*done;
	void			*arg;
	struct adit_timer	*timer;		/* for what is known at once */
	struct dns_exchange	*exchange;	/* that goes on */
	size_t			 server;	/* who is asked, of servers */
	unsigned		 family;	/* of its */
	bool			 denied;	/* some server said that there is none */
	int			 err;		/* why the last one could not say */
	size_t			 n;
	struct adit_addr	 addrs[RESOLVER_MAX];
	char			 host[HOST_SIZE];
};

/* ---- building ----------------------------------------------------------------------------- */

static void
server_fini(struct name_server *s)
{
	tls_source_free(s->server.tls);
	chain_put(s->server.chain);
}

struct name_servers *
name_servers_get(struct name_servers *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void
memory_free(struct memory_of_names *m)
{
	for (size_t i = 0; m && i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			free(m->kept[i][k].host);
	free(m);
}

void
name_servers_put(void *name_servers)
{
	struct name_servers *s = name_servers;

	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		server_fini(&s->v[i]);
	for (size_t i = 0; i < ADIT_WORKERS_MAX; i++)
		memory_free(s->memory[i]);
	config_put(s->config);
	free(s);
}

/* "udp", "tcp", "tls" or "https" in front of "://"; *addr is moved behind it. */
static int
read_scheme(const char **addr, struct dns_server *out)
{
	static const struct {
		const char		*name;
		enum dns_transport	 how;
		uint16_t		 port;
	} schemes[] = {
		{ "udp://", DNS_OVER_UDP, 53 }, { "tcp://", DNS_OVER_TCP, 53 },
		{ "tls://", DNS_OVER_TLS, 853 }, { "https://", DNS_OVER_HTTPS, 443 },
	};

	out->port = 53;
	if (!strstr(*addr, "://"))
		return 0;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t len = strlen(schemes[i].name);

		if (strncmp(*addr, schemes[i].name, len) != 0)
			continue;
		*addr += len;
		out->how = schemes[i].how;
		out->port = schemes[i].port;
		return 0;
	}
	return -EINVAL;
}

/* "[scheme://]host[:port][/path]". 0 or -EINVAL. */
static int
read_addr(const char *addr, struct dns_server *out)
{
	char place[sizeof(out->authority)];
	uint16_t port;
	size_t len;

	if (read_scheme(&addr, out) < 0)
		return -EINVAL;
	len = strcspn(addr, "/");
	if (len >= sizeof(place) || strlen(addr + len) >= sizeof(out->path))
		return -EINVAL;
	memcpy(place, addr, len);
	place[len] = 0;
	if (adit_hostport_split(place, out->host, sizeof(out->host), &port) < 0 || !*out->host)
		return -EINVAL;
	if (port)
		out->port = port;
	strcpy(out->authority, place);
	strcpy(out->path, addr[len] ? addr + len : "/dns-query");
	return out->how == DNS_OVER_HTTPS || !addr[len] ? 0 : -EINVAL;
}

static void
take_families(struct name_server *s)
{
	bool first = s->conf->prefer == 6;

	s->n_families = 2;
	s->ip6[0] = first;
	s->ip6[1] = !first;
	if (!s->conf->only)
		return;
	s->n_families = 1;
	s->ip6[0] = s->conf->only == 6;
}

static int
take_subnet(struct name_server *s)
{
	struct adit_addr a;

	if (!s->conf->client_ip || !*s->conf->client_ip)
		return 0;
	if (adit_addr_parse(s->conf->client_ip, 0, &a) < 0)
		return -EINVAL;
	s->subnet = (struct dns_subnet){ .ip6 = a.family == AF_INET6 };
	s->subnet.bits = s->subnet.ip6 ? 128 : 32;
	memcpy(s->subnet.ip, a.ip, sizeof(s->subnet.ip));
	return 0;
}

/* As gost's: who answers is not verified; `hostname` is whom we ask for. */
static int
take_tls(struct name_server *s, struct adit_log *log, struct adit_err *e)
{
	const struct adit_tls_conf conf = { .server_name = s->conf->hostname };

	if (s->server.how != DNS_OVER_TLS && s->server.how != DNS_OVER_HTTPS)
		return 0;
	s->server.tls = tls_source_new(&conf, TLS_CLIENT, log, e);
	return s->server.tls ? 0 : e->code;
}

static void
server_init(struct name_server *s, const struct nameserver_conf *conf, struct adit_log *log,
	    const struct place *at)
{
	static const char *const async[] = { "async", NULL };
	struct adit_err e = ADIT_ERR_INIT;

	s->conf = conf;
	s->server.timeout = conf->timeout > 0 ? (uint64_t)conf->timeout : TIMEOUT_NS;
	take_families(s);
	if (conf->async)
		place_unavailable(at, async);
	if (read_addr(conf->addr, &s->server) < 0)
		place_say(at, ADIT_ECONFIG, "addr: not a name server like \"udp://9.9.9.9\", "
			  "\"tls://dns.example:853\" or \"https://dns.example/dns-query\": "
			  "\"%.100s\"", conf->addr);
	else if (take_subnet(s) < 0)
		place_say(at, ADIT_ECONFIG, "clientIP: not an address: \"%.60s\"",
			  conf->client_ip);
	else if (take_tls(s, log, &e) < 0)
		place_refuse(at, &e);
}

static void
servers_init(struct name_servers *s, const struct place *at)
{
	static const char *const unavailable[] = { "plugin", NULL };
	const struct nameserver_list *list = &s->conf->nameservers;

	if (place_unavailable(at, unavailable) < 0)
		return;
	if (!list->n || list->n > NAME_SERVERS_MAX) {
		place_say(at, ADIT_ECONFIG, "a resolver needs 1 to %d nameservers",
			  NAME_SERVERS_MAX);
		return;
	}
	for (; s->n < list->n; s->n++) {
		struct place_step step;

		place_step_item(&step, at, "nameservers", s->n, list->v[s->n].node);
		server_init(&s->v[s->n], &list->v[s->n], s->log, &step.at);
	}
}

struct name_servers *
name_servers_new(const struct policy_world *world, size_t index, struct config_errors *errs)
{
	const struct resolver_conf *conf = &world->config->resolvers.v[index];
	const struct place top = { .errs = errs };
	struct name_servers *s = calloc(1, sizeof(*s));
	struct place_step step;

	place_step_item(&step, &top, config_list_name(CONFIG_RESOLVERS), index, conf->node);
	if (!s) {
		place_say(&step.at, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->config = config_get(world->config);
	s->conf = conf;
	s->log = world->log;
	servers_init(s, &step.at);
	return s;
}

void
name_servers_take_chains(struct name_servers *s, struct chain *const *chains)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *name = s->v[i].conf->chain;
		ptrdiff_t k = name ? config_index_find(s->config, CONFIG_CHAINS, name) : -1;

		if (k >= 0 && chains[k])
			s->v[i].server.chain = chain_get(chains[k]);
	}
}

/* ---- what is remembered -------------------------------------------------------------------- */

/* The set of a name. Who asks for names may make them meet: then they only replace each other. */
static struct kept_name *
memory_set(struct memory_of_names *m, const char *host)
{
	return m->kept[text_hash(host, 0) % SETS];
}

/* How many addresses of the query's name are known still, which are copied there. */
static size_t
query_remember(struct names_query *q)
{
	const struct kept_name *set = memory_set(q->memory, q->host);
	uint64_t now = adit_now();

	for (size_t i = 0; i < WAYS; i++) {
		if (!set[i].host || set[i].until <= now || strcmp(set[i].host, q->host) != 0)
			continue;
		q->n = set[i].n;
		memcpy(q->addrs, set[i].addrs, sizeof(q->addrs));
		return q->n;
	}
	return 0;
}

/* In the place of what was said before, or of what is over first. */
static void
query_keep(const struct names_query *q, uint64_t ns)
{
	struct kept_name *set = memory_set(q->memory, q->host), *into = &set[0];
	char *host;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].host && strcmp(set[i].host, q->host) == 0) {
			into = &set[i];
			break;
		}
		if (!set[i].host || (into->host && set[i].until < into->until))
			into = &set[i];
	}
	host = strdup(q->host);
	if (!host)
		return;
	free(into->host);
	*into = (struct kept_name){ .host = host, .until = adit_now() + ns, .n = q->n };
	memcpy(into->addrs, q->addrs, sizeof(into->addrs));
}

/* ---- a question ---------------------------------------------------------------------------- */

static void
query_free(struct names_query *q)
{
	dns_exchange_cancel(q->exchange);
	adit_timer_free(q->timer);
	q->memory->asked--;
	name_servers_put(q->servers);
	free(q);
}

void
name_servers_cancel(struct names_query *q)
{
	if (q)
		query_free(q);
}

static void
query_end(struct names_query *q)
{
	struct adit_addr addrs[RESOLVER_MAX];
	resolver_cb *done = q->done;
	void *arg = q->arg;
	size_t n = q->n;
	int err = n ? 0 : q->denied || !q->err ? ADIT_ENOHOST : q->err;

	memcpy(addrs, q->addrs, sizeof(addrs));
	query_free(q);
	done(arg, err, addrs, n);
}

/* gost: a ttl of its own, the answer's, or (negative) none. */
static uint64_t
server_ttl(const struct name_server *s, const struct dns_answer *a)
{
	if (s->conf->ttl < 0)
		return 0;
	return s->conf->ttl ? (uint64_t)s->conf->ttl : ADIT_SECONDS(a->ttl);
}

static void
query_take(struct names_query *q, const struct dns_answer *a)
{
	const struct name_server *s = &q->servers->v[q->server];
	bool ip6 = s->ip6[q->family];
	uint64_t ttl = server_ttl(s, a);

	for (q->n = 0; q->n < a->n && q->n < RESOLVER_MAX; q->n++) {
		q->addrs[q->n] = (struct adit_addr){ .family = ip6 ? AF_INET6 : AF_INET };
		memcpy(q->addrs[q->n].ip, a->ip[q->n], ip6 ? 16 : 4);
	}
	if (ttl)
		query_keep(q, ttl);
}

static void
query_log(const struct names_query *q, int err)
{
	const struct name_servers *s = q->servers;

	adit_log(s->log, ADIT_LOG_DEBUG,
		 ADIT_FIELDS(ADIT_STR("kind", "resolver"), ADIT_STR("name", s->conf->name)),
		 "%s: %s did not say: %s", q->host, s->v[q->server].conf->addr,
		 adit_strerror(err));
}

static void
query_next_server(struct names_query *q)
{
	q->server++;
	q->family = 0;
}

static void query_go(struct names_query *q);	/* again, from within: bounded by the servers */

static void
query_answered(void *arg, int err, const struct dns_answer *a)
{
	struct names_query *q = arg;
	const struct name_server *s = &q->servers->v[q->server];

	q->exchange = NULL;
	if (!err && a->rcode && a->rcode != 3)
		err = ADIT_ERESOLVE;
	if (err) {
		query_log(q, err);
		q->err = err;
		query_next_server(q);
	} else if (a->n) {
		query_take(q, a);
		query_end(q);
		return;
	} else {
		q->denied = true;
		q->family++;
		if (a->rcode || q->family == s->n_families)
			query_next_server(q);
	}
	query_go(q);
}

/* The next one who is to be asked; who cannot be asked at all has not answered. */
static void
query_go(struct names_query *q)
{
	struct name_servers *servers = q->servers;

	for (; q->server < servers->n; query_next_server(q)) {
		const struct name_server *s = &servers->v[q->server];
		const struct dns_question question = {
			.name = q->host, .ip6 = s->ip6[q->family], .subnet = s->subnet,
		};
		struct adit_err e = ADIT_ERR_INIT;

		q->exchange = dns_exchange(&s->server, q->worker, &question, query_answered, q,
					   &e);
		if (q->exchange)
			return;
		q->err = e.code;
	}
	/* It may be that nothing was asked: who asks us is told from the loop. */
	adit_timer_set(q->timer, 0);
}

static void
query_tick(void *arg)
{
	query_end(arg);
}

static struct names_query *
query_new(struct name_servers *s, struct adit_worker *w)
{
	struct memory_of_names **m = &s->memory[adit_worker_index(w)];
	struct names_query *q;

	if (!*m)
		*m = calloc(1, sizeof(**m));
	q = *m ? calloc(1, sizeof(*q)) : NULL;
	if (!q)
		return NULL;
	q->timer = adit_timer_new(w, query_tick, q);
	if (!q->timer) {
		free(q);
		return NULL;
	}
	q->servers = name_servers_get(s);
	q->worker = w;
	q->memory = *m;
	q->memory->asked++;
	return q;
}

struct names_query *
name_servers_ask(struct name_servers *s, struct adit_worker *w, const char *host,
		 resolver_cb *done, void *arg, struct adit_err *e)
{
	const struct memory_of_names *m = s->memory[adit_worker_index(w)];
	struct names_query *q;
	size_t len = strlen(host);

	if (!len || len >= HOST_SIZE) {
		adit_err_set(e, ADIT_ENOHOST, "resolve: not a host name");
		return NULL;
	}
	if (m && m->asked >= NAME_SERVERS_ASKED) {
		adit_err_set(e, ADIT_ELIMIT, "resolve %s: %u names are being resolved", host,
			     m->asked);
		return NULL;
	}
	q = query_new(s, w);
	if (!q) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	q->done = done;
	q->arg = arg;
	for (size_t i = 0; i <= len; i++)
		q->host[i] = (char)tolower((unsigned char)host[i]);
	if (len > 1 && q->host[len - 1] == '.')
		q->host[len - 1] = 0;
	if (query_remember(q))
		adit_timer_set(q->timer, 0);
	else
		query_go(q);
	return q;
}
