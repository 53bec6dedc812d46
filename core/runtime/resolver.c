#include "core/runtime/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/event.h>

#include "core/runtime/hosts.h"
#include "core/runtime/worker.h"

/* RFC 8305, section 3: how long the answer for one family waits for the other's. */
#define RESOLUTION_DELAY ADIT_MS(50)
#define NAME_MAX_LEN 253	/* RFC 1035, section 2.3.4, as text without the last dot */

struct resolver;

typedef int system_fn(const char *name, const char *service, const struct addrinfo *hints,
		      struct addrinfo **out);

/*
 * The servers of one state of resolv.conf. Replaced when that changes, freed when nobody asks there
 * any more.
 */
struct servers {
	LIST_ENTRY(servers)	 entry;
	struct evdns_base	*dns;
	struct file_stamp	 stamp;
	unsigned		 asked;		/* lookups whose callback has not come */
};

/*
 * A name's addresses of one family. evdns calls back in any case, also for what was cancelled, so
 * it outlives its query.
 */
struct lookup {
	LIST_ENTRY(lookup)	 entry;
	struct resolver_query	*query;		/* NULL: cancelled */
	struct servers		*servers;
	struct evdns_request	*request;
	bool			 ip6;
};

/* getaddrinfo on the helper pool; it, too, outlives its query. */
struct system_lookup {
	struct adit_job		 job;
	struct resolver_query	*query;		/* NULL: cancelled */
	system_fn		*ask;
	int			 err;
	size_t			 n;
	struct adit_addr	 addrs[RESOLVER_MAX];
	char			 host[NAME_MAX_LEN + 2];
};

/* Those of one family, in the order they came. */
struct answers {
	size_t			 n;
	struct adit_addr	 addrs[RESOLVER_MAX];
};

struct resolver_query {
	LIST_ENTRY(resolver_query) entry;
	struct resolver		*resolver;
	resolver_cb		*done;
	void			*arg;
	struct adit_timer	*timer;		/* the limit; the delay; or at once */
	struct lookup		*lookups[2];	/* IPv4's, IPv6's; NULL: not asked, or answered */
	struct system_lookup	*system;
	struct answers		 found[2];	/* IPv4, IPv6 */
	int			 err;		/* when nothing was found */
	char			 host[NAME_MAX_LEN + 2];
};

struct resolver {
	struct adit_worker	*worker;
	char			*resolv_conf;	/* owned */
	struct hosts		 hosts;
	system_fn		*system;
	unsigned		 ms;
	LIST_HEAD(, servers)	 servers;	/* the newest first; others await answers */
	LIST_HEAD(, lookup)	 lookups;
	LIST_HEAD(, resolver_query) queries;
	unsigned		 n;		/* of queries */
};

/* ---- answers ------------------------------------------------------------------------- */

static void
query_free(struct resolver_query *q)
{
	for (int i = 0; i < 2; i++) {
		struct lookup *l = q->lookups[i];

		if (!l)
			continue;
		l->query = NULL;
		evdns_cancel_request(l->servers->dns, l->request);
	}
	if (q->system)
		q->system->query = NULL;
	LIST_REMOVE(q, entry);
	q->resolver->n--;
	adit_timer_free(q->timer);
	free(q);
}

void
resolver_cancel(struct resolver_query *q)
{
	if (q)
		query_free(q);
}

static void
query_add(struct resolver_query *q, const struct adit_addr *a)
{
	struct answers *found = &q->found[a->family == AF_INET6];

	if (found->n == RESOLVER_MAX)
		return;
	found->addrs[found->n++] = *a;
}

/* Whether there is a way to a from here: nothing is sent (RFC 6724, section 6, rule 1). */
static bool
is_reachable(const struct adit_addr *a)
{
	struct adit_addr to = *a;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	to.port = 9;
	len = adit_addr_to(&to, &ss);
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&ss, len) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

/* Families in turn, IPv6 first unless it leads nowhere. */
static size_t
query_sort(const struct resolver_query *q, struct adit_addr out[RESOLVER_MAX])
{
	const struct answers *first = &q->found[1], *second = &q->found[0];
	size_t n = 0;

	if (first->n && second->n && !is_reachable(&first->addrs[0])) {
		first = &q->found[0];
		second = &q->found[1];
	}
	for (size_t i = 0; i < RESOLVER_MAX; i++) {
		if (i < first->n && n < RESOLVER_MAX)
			out[n++] = first->addrs[i];
		if (i < second->n && n < RESOLVER_MAX)
			out[n++] = second->addrs[i];
	}
	return n;
}

static void
query_answer(struct resolver_query *q)
{
	struct adit_addr addrs[RESOLVER_MAX];
	size_t n = query_sort(q, addrs);
	resolver_cb *done = q->done;
	void *arg = q->arg;
	int err = n ? 0 : q->err ? q->err : ADIT_ENOHOST;

	query_free(q);
	done(arg, err, addrs, n);
}

/* The limit, the end of the delay, or an answer that was there from the start. */
static void
query_tick(void *arg)
{
	struct resolver_query *q = arg;

	if (q->lookups[0] || q->lookups[1] || q->system)
		q->err = -ETIMEDOUT;
	query_answer(q);
}

/* ---- the C library --------------------------------------------------------------------- */

static int
system_error(int err)
{
	switch (err) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return ADIT_ENOHOST;
	default:
		return ADIT_ERESOLVE;
	}
}

static void
system_work(struct adit_job *j)
{
	struct system_lookup *s = adit_container_of(j, struct system_lookup, job);
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, };
	struct addrinfo *list = NULL;

	s->err = system_error(s->ask(s->host, NULL, &hints, &list));
	for (const struct addrinfo *ai = list; ai && s->n < RESOLVER_MAX; ai = ai->ai_next)
		s->addrs[s->n++] = adit_addr_from(ai->ai_addr, ai->ai_addrlen);
	if (list)
		freeaddrinfo(list);
}

static void
system_done(struct adit_job *j, struct adit_worker *w, bool cancelled)
{
	struct system_lookup *s = adit_container_of(j, struct system_lookup, job);
	struct resolver_query *q = s->query;

	(void)w;
	if (q) {
		q->system = NULL;
		q->err = cancelled ? ADIT_ESTOPPED : s->err;
		for (size_t i = 0; i < s->n; i++)
			query_add(q, &s->addrs[i]);
		query_answer(q);
	}
	free(s);
}

/* Returns whether there will be an answer. */
static bool
query_ask_system(struct resolver_query *q)
{
	struct system_lookup *s = calloc(1, sizeof(*s));

	if (!s)
		return false;
	s->job = (struct adit_job){ .work = system_work, .done = system_done };
	s->ask = q->resolver->system;
	memcpy(s->host, q->host, sizeof(s->host));
	if (adit_job_run(q->resolver->worker, &s->job) != 0) {
		free(s);
		return false;
	}
	s->query = q;
	q->system = s;
	return true;
}

/* ---- DNS ------------------------------------------------------------------------------- */

static int
dns_error(int result)
{
	switch (result) {
	case DNS_ERR_NOTEXIST:
	case DNS_ERR_NODATA:
	case DNS_ERR_NONE:
		return ADIT_ENOHOST;
	case DNS_ERR_TIMEOUT:
		return -ETIMEDOUT;
	default:
		return ADIT_ERESOLVE;
	}
}

static void
query_take(struct resolver_query *q, bool ip6, int count, const uint8_t *bytes)
{
	struct adit_addr a = { .family = ip6 ? AF_INET6 : AF_INET };
	size_t len = ip6 ? 16 : 4;

	for (int i = 0; i < count; i++) {
		memcpy(a.ip, bytes + (size_t)i * len, len);
		query_add(q, &a);
	}
}

/* One family has been answered. */
static void
query_go_on(struct resolver_query *q)
{
	bool found = q->found[0].n || q->found[1].n;

	if (q->lookups[0] || q->lookups[1]) {
		if (found)
			adit_timer_set(q->timer, RESOLUTION_DELAY);
		return;			/* else the other one may know more, within the limit */
	}
	if (!found && q->err != -ETIMEDOUT && query_ask_system(q))
		return;
	query_answer(q);
}

static void
lookup_answered(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	struct lookup *l = arg;
	struct resolver_query *q = l->query;
	bool ip6 = l->ip6;

	(void)type;
	(void)ttl;
	l->servers->asked--;
	LIST_REMOVE(l, entry);
	free(l);
	if (!q)
		return;
	q->lookups[ip6] = NULL;
	if (result == DNS_ERR_NONE && count > 0) {
		query_take(q, ip6, count, addresses);
	} else {
		/* Of two reasons, that the servers did not know is the weaker one. */
		if (!q->err || q->err == ADIT_ENOHOST)
			q->err = dns_error(result);
	}
	query_go_on(q);
}

static void
query_ask(struct resolver_query *q, struct servers *s, bool ip6)
{
	struct lookup *l = calloc(1, sizeof(*l));
	size_t len = strlen(q->host);
	/* A dot at the end: the name is whole, no search domain is tried behind it. */
	int flags = q->host[len - 1] == '.' ? DNS_QUERY_NO_SEARCH : 0;

	if (!l)
		return;
	l->query = q;
	l->servers = s;
	l->ip6 = ip6;
	l->request = ip6 ? evdns_base_resolve_ipv6(s->dns, q->host, flags, lookup_answered, l)
			 : evdns_base_resolve_ipv4(s->dns, q->host, flags, lookup_answered, l);
	if (!l->request) {
		free(l);
		return;
	}
	s->asked++;
	q->lookups[ip6] = l;
	LIST_INSERT_HEAD(&q->resolver->lookups, l, entry);
}

/* ---- servers --------------------------------------------------------------------------- */

static void
servers_free(struct servers *s)
{
	LIST_REMOVE(s, entry);
	evdns_base_free(s->dns, 0);
	free(s);
}

/* What evdns would tell standard error of servers is in the answers, too. */
static void
ignore_log(int is_warning, const char *msg)
{
	(void)is_warning;
	(void)msg;
}

static struct servers *
servers_new(struct resolver *v, const struct file_stamp *stamp)
{
	struct servers *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	evdns_set_log_fn(ignore_log);
	s->dns = evdns_base_new(worker_base(v->worker), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!s->dns) {
		free(s);
		return NULL;
	}
	s->stamp = *stamp;
	/* Whatever cannot be read of it: there is 127.0.0.1 then, as with the C library. */
	evdns_base_resolv_conf_parse(s->dns, DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS,
				     v->resolv_conf);
	/* Three tries fit in the limit. */
	evdns_base_set_option(s->dns, "timeout:", "1.5");
	evdns_base_set_option(s->dns, "attempts:", "3");
	LIST_INSERT_HEAD(&v->servers, s, entry);
	return s;
}

/* The servers of resolv.conf as it is. */
static struct servers *
resolver_servers(struct resolver *v)
{
	struct file_stamp now = file_stamp_of(v->resolv_conf);
	struct servers *s = LIST_FIRST(&v->servers), *next;

	if (s && file_stamp_equal(&s->stamp, &now))
		return s;
	for (; s; s = next) {
		next = LIST_NEXT(s, entry);
		if (!s->asked)
			servers_free(s);
	}
	return servers_new(v, &now);
}

/* ---- life ------------------------------------------------------------------------------ */

static void
resolver_free(void *arg)
{
	struct resolver *v = arg;

	while (!LIST_EMPTY(&v->queries))
		query_free(LIST_FIRST(&v->queries));
	/*
	 * Those that were cancelled are told so by the loop, which turns no more unless it is here.
	 */
	for (int i = 0; i < 2 && !LIST_EMPTY(&v->lookups); i++)
		event_base_loop(worker_base(v->worker), EVLOOP_NONBLOCK);
	while (!LIST_EMPTY(&v->servers))
		servers_free(LIST_FIRST(&v->servers));
	while (!LIST_EMPTY(&v->lookups)) {
		struct lookup *l = LIST_FIRST(&v->lookups);

		LIST_REMOVE(l, entry);
		free(l);
	}
	hosts_fini(&v->hosts);
	free(v->resolv_conf);
	free(v);
}

static struct resolver *
resolver_of(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_RESOLVER, resolver_free);
	struct resolver *v = *slot;

	if (v)
		return v;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->worker = w;
	v->system = getaddrinfo;
	v->ms = RESOLVER_MS;
	v->resolv_conf = strdup("/etc/resolv.conf");
	if (!v->resolv_conf || hosts_init(&v->hosts, "/etc/hosts") < 0) {
		free(v->resolv_conf);
		free(v);
		return NULL;
	}
	*slot = v;
	return v;
}

int
resolver_use(struct adit_worker *w, const struct resolver_system *s)
{
	struct resolver *v = resolver_of(w);
	char *copy = strdup(s->resolv_conf);
	struct hosts new_hosts;

	if (!v || !copy || hosts_init(&new_hosts, s->hosts) < 0) {
		free(copy);
		return -ENOMEM;
	}
	free(v->resolv_conf);
	v->resolv_conf = copy;
	hosts_fini(&v->hosts);
	v->hosts = new_hosts;
	v->system = s->getaddrinfo;
	v->ms = s->ms;
	return 0;
}

/* ---- asking ---------------------------------------------------------------------------- */

static bool
is_name(const char *host, size_t len)
{
	if (!len || len > NAME_MAX_LEN + (host[len - 1] == '.') || host[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f)
			return false;
	return true;
}

static bool
is_below_localhost(const char *name, size_t len)
{
	static const char local[] = ".localhost";
	size_t n = sizeof(local) - 1;

	return len > n && !strcasecmp(name + len - n, local);
}

/* RFC 6761, section 6.3: localhost and what is below it are this machine, whatever servers say. */
static void
query_add_loopback(struct resolver_query *q)
{
	static const char *const ips[] = { "::1", "127.0.0.1" };
	struct adit_addr a;

	for (int i = 0; i < 2; i++)
		if (adit_addr_parse(ips[i], 0, &a) == 0)
			query_add(q, &a);
}

/* What needs no server; false: ask one. */
static bool
query_here(struct resolver_query *q)
{
	size_t len = strlen(q->host), n;
	struct adit_addr addrs[RESOLVER_MAX];
	char name[sizeof(q->host)];

	if (adit_addr_parse(q->host, 0, &addrs[0]) == 0) {
		query_add(q, &addrs[0]);
		return true;
	}
	if (!is_name(q->host, len))
		return true;			/* nothing was found: no such host */
	memcpy(name, q->host, len + 1);
	if (name[len - 1] == '.')
		name[--len] = 0;
	if (!strcasecmp(name, "localhost")) {
		query_add_loopback(q);
		return true;
	}
	n = hosts_find(&q->resolver->hosts, name, addrs, RESOLVER_MAX);
	for (size_t i = 0; i < n; i++)
		query_add(q, &addrs[i]);
	if (n || !is_below_localhost(name, len))
		return n > 0;
	query_add_loopback(q);
	return true;
}

static void
query_there(struct resolver_query *q)
{
	struct servers *s = resolver_servers(q->resolver);

	if (s) {
		query_ask(q, s, true);
		query_ask(q, s, false);
	}
	if (q->lookups[0] || q->lookups[1]) {
		adit_timer_set(q->timer, ADIT_MS(q->resolver->ms));
		return;
	}
	q->err = -ENOMEM;
	adit_timer_set(q->timer, 0);
}

static struct resolver_query *
query_new(struct resolver *v, const char *host)
{
	struct resolver_query *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->timer = adit_timer_new(v->worker, query_tick, q);
	if (!q->timer) {
		free(q);
		return NULL;
	}
	q->resolver = v;
	if (!*host)
		host = "localhost";
	if (strlen(host) < sizeof(q->host))
		strcpy(q->host, host);	/* else empty: no name */
	LIST_INSERT_HEAD(&v->queries, q, entry);
	v->n++;
	return q;
}

struct resolver_query *
resolver_ask(struct adit_worker *w, const char *host, resolver_cb *done, void *arg,
	     struct adit_err *e)
{
	struct resolver *v = resolver_of(w);
	struct resolver_query *q;
	struct adit_addr literal;

	/* A literal is answered in the next turn, whatever servers do. */
	if (v && v->n >= RESOLVER_QUERIES && adit_addr_parse(host, 0, &literal) < 0) {
		adit_err_set(e, ADIT_ELIMIT, "resolve %s: %u names are being resolved", host, v->n);
		return NULL;
	}
	q = v ? query_new(v, host) : NULL;
	if (!q) {
		adit_err_set(e, -ENOMEM, "resolve %s: out of memory", host);
		return NULL;
	}
	q->done = done;
	q->arg = arg;
	if (query_here(q))
		adit_timer_set(q->timer, 0);
	else
		query_there(q);
	return q;
}
