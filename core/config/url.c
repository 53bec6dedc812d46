/* -L: one service, or one for each port of a range; -api and -metrics. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"
#include "core/config/url_part.h"

enum { MAX_PORTS = 65536 };

static const char *const parts[] = { "handler", "listener", "service", NULL };

static const char *const list_names[] = {
	[URL_SERVICES] = "services",   [URL_CHAINS] = "chains",
	[URL_ADMISSIONS] = "admissions", [URL_BYPASSES] = "bypasses",
	[URL_RESOLVERS] = "resolvers", [URL_HOSTS] = "hosts",
	[URL_LIMITERS] = "limiters",   [URL_CLIMITERS] = "climiters",
	[URL_RLIMITERS] = "rlimiters",
};

struct service_url {
	struct url		 url;
	const char		*handler, *listener;
	struct adit_tree	*params;		/* what is left becomes metadata */
	struct adit_tree	*addrs, *targets;
	struct adit_tree	*selector, *auth, *tls, *sockets;
};

void
url_set_init(struct url_set *set, struct arena *a, struct config_errors *errs,
	     const struct config_kinds *kinds)
{
	struct tree_pos nowhere = { .source = NULL };

	*set = (struct url_set){ .arena = a, .errs = errs, .kinds = kinds };
	set->hops = tree_list(a, nowhere);
	for (int i = 0; i < URL_LISTS; i++)
		set->lists[i] = tree_list(a, nowhere);
}

/* ---- the scheme ----------------------------------------------------------- */

static const char *
default_listener(struct url_set *set, const char *handler)
{
	const char *partner = NULL;

	if (set->kinds && set->kinds->partner)
		partner = set->kinds->partner(set->kinds->arg, ADIT_HANDLER, handler);
	if (partner)
		return partner;
	return strcmp(handler, "ssu") == 0 ? "udp" : "tcp";
}

static void
read_scheme(struct url_set *set, struct service_url *s)
{
	static const enum adit_kind handler = ADIT_HANDLER, listener = ADIT_LISTENER;
	static const enum adit_kind both[] = { ADIT_HANDLER, ADIT_LISTENER };
	const char *first, *second;
	bool first_known, second_known;

	if (url_names(set->arena, &s->url, &first, &second) < 0)
		first = second = "";
	first_known = kinds_url_known(set->kinds, ADIT_HANDLER, first);
	second_known = kinds_url_known(set->kinds, ADIT_LISTENER, second);
	/* What means a handler and nothing else to a gost (auto) alone means that here, too. */
	if (first == second && kinds_gost_has(ADIT_HANDLER, first) &&
	    !kinds_gost_has(ADIT_LISTENER, second))
		second_known = false;
	s->handler = first_known ? first : "auto";
	s->listener = second_known ? second : default_listener(set, s->handler);
	if (!first_known && strcmp(s->listener, "stdio") == 0)
		s->handler = "tcp";
	if (first == second && !first_known && !second_known)
		url_unknown(set, &s->url, s->url.scheme, both, 2);
	if (first != second && !first_known)
		url_unknown(set, &s->url, first, &handler, 1);
	if (first != second && !second_known)
		url_unknown(set, &s->url, second, &listener, 1);
}

/* ---- addresses ------------------------------------------------------------ */

struct port_range {
	unsigned long	low, high;
};

static int
bad_port(struct url_set *set, const struct tree_source *arg, struct url_slice text)
{
	return url_error(set->errs, arg, text.text,
			 "bad port \"%.*s\", expected 0 to 65535 or a range",
			 (int)(text.len < 60 ? text.len : 60), text.text);
}

/* "80" or "80-90" behind the colon. Returns 0 or -1 (an error was added). */
static int
read_ports(struct url_set *set, const struct tree_source *arg, struct url_slice text,
	   struct port_range *range)
{
	unsigned long *n = &range->low;

	*range = (struct port_range){ .low = 0 };
	for (size_t i = 0; i < text.len; i++) {
		char c = text.text[i];

		if (c == '-' && n == &range->low && i && i + 1 < text.len) {
			n = &range->high;
			continue;
		}
		if (c < '0' || c > '9')
			return bad_port(set, arg, text);
		*n = *n * 10 + (unsigned long)(c - '0');
		if (*n > 65535)
			return bad_port(set, arg, text);
	}
	if (!text.len)
		return url_error(set->errs, arg, text.text, "no port after \":\"");
	if (n == &range->low)
		range->high = range->low;
	if (range->high < range->low)
		return url_error(set->errs, arg, text.text, "port range %lu-%lu runs backwards",
				 range->low, range->high);
	return 0;
}

/* The colon before the port, or NULL: none, or several without brackets. */
static const char *
port_colon(struct url_slice text)
{
	const char *colon = memrchr(text.text, ':', text.len);
	const char *bracket = memrchr(text.text, ']', text.len);

	if (!colon || (bracket && colon < bracket))
		return NULL;
	if (!bracket && memchr(text.text, ':', text.len) != colon)
		return NULL;
	return colon;
}

/* Adds host:port, or one of them for each port of a range; what has no port stays as it is. */
static void
expand_addr(struct url_set *set, struct adit_tree *list, const struct tree_source *arg,
	    struct url_slice text)
{
	struct tree_pos pos = url_pos(arg, text.text);
	const char *colon = port_colon(text), *full;
	struct port_range range;
	struct url_slice ports;

	if (!colon) {
		full = arena_strndup(set->arena, text.text, text.len);
		if (full)
			tree_append(set->arena, list, tree_scalar(set->arena, pos, full, true));
		return;
	}
	ports = (struct url_slice){ colon + 1, text.len - (size_t)(colon + 1 - text.text) };
	if (read_ports(set, arg, ports, &range) < 0)
		return;
	for (unsigned long p = range.low; p <= range.high; p++) {
		if (tree_len(list) >= MAX_PORTS) {
			url_error(set->errs, arg, text.text, "more than %d addresses", MAX_PORTS);
			return;
		}
		full = arena_printf(set->arena, "%.*s:%lu", (int)(colon - text.text), text.text, p);
		if (full)
			tree_append(set->arena, list, tree_scalar(set->arena, pos, full, true));
	}
}

static struct url_slice
trim_slashes(struct url_slice path)
{
	for (; path.len && path.text[0] == '/'; path.text++)
		path.len--;
	while (path.len && path.text[path.len - 1] == '/')
		path.len--;
	return path;
}

static void
read_targets(struct url_set *set, struct service_url *s, struct url_slice path)
{
	const char *end = path.text + path.len, *next;

	for (const char *p = path.text; path.len && p <= end; p = next + 1) {
		next = memchr(p, ',', (size_t)(end - p));
		if (!next)
			next = end;
		expand_addr(set, s->targets, s->url.source,
			    (struct url_slice){ p, (size_t)(next - p) });
	}
}

/* A forwarder wants the handler that belongs to its listener. */
static void
choose_forward_handler(struct service_url *s)
{
	static const char *const own[] = {
		"tcp", "udp", "rtcp", "rudp", "tun", "tap", "dns", "unix", "runix", "serial", NULL,
	};

	if (strcmp(s->handler, "relay") == 0)
		return;
	s->handler = scalar_one_of(s->listener, own) ? s->listener : "forward";
}

/*
 * gost has no way to say a target behind a path that begins at the root: what follows the host is
 * the path itself. There it is a parameter, which a gost would take for metadata and not look at.
 */
static void
read_target_param(struct url_set *set, struct service_url *s)
{
	const struct adit_tree *value = tree_get(s->params, "target");

	if (!*tree_text(value))
		return;
	url_split_list(set, s->targets, value, true);
	tree_remove(s->params, "target");
}

static void
read_addrs(struct url_set *set, struct service_url *s)
{
	static const char *const on_path[] = { "unix", "runix", "serial", NULL };
	struct url_slice host = s->url.host, path = s->url.path;
	struct tree_pos pos = url_pos(s->url.source, host.text);
	const char *text;

	s->addrs = tree_list(set->arena, pos);
	s->targets = tree_list(set->arena, pos);
	if (scalar_one_of(s->listener, on_path)) {
		if (!host.len) {
			host = path;
			path.len = 0;
			read_target_param(set, s);
		}
		text = arena_strndup(set->arena, host.text, host.len);
		if (text)
			tree_append(set->arena, s->addrs, tree_scalar(set->arena, pos, text, true));
	} else {
		expand_addr(set, s->addrs, s->url.source, host);
	}
	if (strcmp(s->listener, "stdio") == 0 && host.len) {
		read_targets(set, s, host);
		return;
	}
	read_targets(set, s, trim_slashes(path));
	if (tree_len(s->targets))
		choose_forward_handler(s);
}

/* ---- limits --------------------------------------------------------------- */

static void
add_limits(struct url_set *set, struct adit_tree *object, const struct adit_tree *limits)
{
	if (tree_len(limits))
		tree_set(set->arena, object, "limits", limits);
}

/* "$ IN OUT"; a side that is not given leaves its blank behind. */
static void
add_rate(struct url_set *set, struct adit_tree *limits, const char *key, const struct adit_tree *in,
	 const struct adit_tree *out)
{
	const char *line;

	if (!*tree_text(in) && !*tree_text(out))
		return;
	line = arena_printf(set->arena, "%s %s %s", key, tree_text(in), tree_text(out));
	if (line)
		tree_append(
			set->arena, limits,
			tree_scalar(set->arena, tree_pos(*tree_text(in) ? in : out), line, true));
}

static void
read_rates(struct url_set *set, struct adit_tree *service, struct adit_tree *params)
{
	static const char *const names[] = {
		"limiter.in", "limiter.out", "limiter.conn.in", "limiter.conn.out", NULL,
	};
	struct adit_tree *limits = tree_list(set->arena, tree_pos(params));

	add_rate(set, limits, "$", tree_get(params, names[0]), tree_get(params, names[1]));
	add_rate(set, limits, "$$", tree_get(params, names[2]), tree_get(params, names[3]));
	if (!tree_len(limits))
		return;
	add_limits(
		set,
		url_object(set, service, URL_LIMITERS, "limiter", tree_pos(tree_item(limits, 0))),
		limits);
	url_drop(params, names);
}

static void
add_single_limit(struct url_set *set, struct adit_tree *service, enum url_list list,
		 const char *field, const struct adit_tree *text)
{
	struct adit_tree *limits = tree_list(set->arena, tree_pos(text));
	const char *line = arena_printf(set->arena, "$ %s", tree_text(text));

	if (line)
		tree_append(set->arena, limits,
			    tree_scalar(set->arena, tree_pos(text), line, true));
	add_limits(set, url_object(set, service, list, field, tree_pos(text)), limits);
}

/* A decimal number; 0 when there is none. */
static double
read_rate(struct url_set *set, struct adit_tree *params, const struct adit_tree *value)
{
	struct config_problem problem = { .pos = tree_pos(value) };
	const char *text = tree_text(value);
	double rate;
	char *end;

	rate = strtod(text, &end);
	/* strtod also takes blanks, hexadecimal, infinities and NaN. */
	if (!*end && !text[strspn(text, "0123456789.eE+-")])
		return rate;
	config_errors_add(set->errs, &problem, "expected a number, not \"%.60s\"", text);
	url_drop_value(params, value);
	return 0;
}

/* Drops those that are no numbers, before any part gets a copy and takes it for unknown. */
static void
check_counts(struct url_set *set, struct adit_tree *params)
{
	static const char *const names[] = { "retries", "climiter", "rlimiter" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct adit_tree *value = tree_get(params, names[i]);
		struct config_problem problem = { .pos = tree_pos(value), .start_only = true };
		double n = i < 2 ? (double)url_number(set, params, value) :
				   read_rate(set, params, value);

		if (n >= 0)
			continue;
		config_errors_add(set->errs, &problem, "expected at least 0, not \"%.60s\"",
				  tree_text(value));
	}
}

static void
read_counts(struct url_set *set, struct adit_tree *service, struct adit_tree *params)
{
	const struct adit_tree *conns = tree_get(params, "climiter"),
			       *rate = tree_get(params, "rlimiter");

	if (url_number(set, params, conns) > 0) {
		add_single_limit(set, service, URL_CLIMITERS, "climiter", conns);
		tree_remove(params, "climiter");
	}
	if (read_rate(set, params, rate) > 0) {
		add_single_limit(set, service, URL_RLIMITERS, "rlimiter", rate);
		tree_remove(params, "rlimiter");
	}
}

static void
read_admission(struct url_set *set, struct adit_tree *service, struct adit_tree *params)
{
	const struct adit_tree *value = tree_get(params, "admission");

	if (!*tree_text(value))
		return;
	url_matchers(set, url_object(set, service, URL_ADMISSIONS, "admission", tree_pos(value)),
		     value);
	tree_remove(params, "admission");
}

/* ---- services ------------------------------------------------------------- */

static struct adit_tree *
make_handler(struct url_set *set, const struct service_url *s, struct adit_tree *params, bool ssh)
{
	struct adit_tree *handler = tree_map(set->arena, s->url.pos);
	const struct adit_tree *retries = tree_get(params, "retries");
	int64_t n = url_number(set, params, retries);

	tree_set_text(set->arena, handler, "type", s->handler, s->url.pos);
	if (n > 0) {
		const char *text = arena_printf(set->arena, "%" PRId64, n);

		if (text)
			tree_set(set->arena, handler, "retries",
				 tree_scalar(set->arena, tree_pos(retries), text, false));
		tree_remove(params, "retries");
	}
	if (s->auth && !ssh)
		tree_set(set->arena, handler, "auth", s->auth);
	url_set_map(set, handler, "metadata", url_metadata(set, params, "handler", parts));
	return handler;
}

/* gost drops them without a word, and with a CA the check of the clients' certificates. */
static void
check_tls(struct url_set *set, const struct adit_tree *tls)
{
	static const char *const alone[] = { "caFile", "keyFile" };

	for (size_t i = 0; !tree_get(tls, "certFile") && i < 2; i++) {
		const struct adit_tree *value = tree_get(tls, alone[i]);
		struct config_problem problem = { .pos = tree_pos(value), .start_only = true };

		if (value)
			config_errors_add(set->errs, &problem, "%s without a certFile", alone[i]);
	}
}

static struct adit_tree *
make_listener(struct url_set *set, const struct service_url *s, bool ssh)
{
	struct adit_tree *listener = tree_map(set->arena, s->url.pos);

	tree_set_text(set->arena, listener, "type", s->listener, s->url.pos);
	if (s->auth && ssh)
		tree_set(set->arena, listener, "auth", s->auth);
	if (tree_get(s->tls, "certFile"))
		tree_set(set->arena, listener, "tls", s->tls);
	url_set_map(set, listener, "metadata", url_metadata(set, s->params, "listener", parts));
	return listener;
}

/* The parts that all services of a port range share; their addresses and forwarders come last. */
static struct adit_tree *
make_service(struct url_set *set, struct service_url *s)
{
	static const char *const ssh[] = { "ssh", "sshd", NULL };
	static const char *const remote[] = { "rtcp", "rudp", "runix", NULL };
	struct adit_tree *service = tree_map(set->arena, s->url.pos);
	struct adit_tree *params, *handler, *listener, *metadata;
	bool by_ssh = scalar_one_of(s->listener, ssh);

	check_counts(set, s->params);
	params = tree_copy(set->arena, s->params);
	read_admission(set, service, params);
	url_objects(set, service, params);
	read_rates(set, service, params);
	read_counts(set, service, params);
	handler = make_handler(set, s, params, by_ssh);
	listener = make_listener(set, s, by_ssh);
	if (tree_len(set->hops))
		tree_set_text(set->arena,
			      scalar_one_of(s->listener, remote) ? listener : handler, "chain",
			      "chain-0", s->url.pos);
	tree_set(set->arena, service, "handler", handler);
	tree_set(set->arena, service, "listener", listener);
	metadata = url_metadata(set, s->params, "service", parts);
	url_overlay(set, metadata, s->sockets);
	url_set_map(set, service, "metadata", metadata);
	return service;
}

static struct adit_tree *
make_target(struct url_set *set, const struct service_url *s, size_t i)
{
	const struct adit_tree *addr = tree_item(s->targets, i);
	struct adit_tree *node = tree_map(set->arena, tree_pos(addr));
	const char *name = arena_printf(set->arena, "target-%zu", i);

	if (!name)
		return NULL;
	tree_set_text(set->arena, node, "name", name, tree_pos(addr));
	if (*tree_text(addr))
		tree_set(set->arena, node, "addr", addr);
	return node;
}

/* Of several services each gets its own target, unless there is but one. */
static struct adit_tree *
make_forwarder(struct url_set *set, const struct service_url *s, size_t service)
{
	struct adit_tree *forwarder = tree_map(set->arena, s->url.pos);
	struct adit_tree *nodes = tree_list(set->arena, s->url.pos);
	size_t n = tree_len(s->targets);
	bool shared = n == 1 || tree_len(s->addrs) == 1;

	if (!n || (!shared && service >= n))
		return NULL;
	url_set_map(set, forwarder, "selector", s->selector);
	for (size_t i = shared ? 0 : service; i < (shared ? n : service + 1); i++)
		tree_append(set->arena, nodes, make_target(set, s, i));
	tree_set(set->arena, forwarder, "nodes", nodes);
	return forwarder;
}

static void
add_services(struct url_set *set, struct service_url *s)
{
	struct adit_tree *common = make_service(set, s);

	for (size_t i = 0; i < tree_len(s->addrs); i++) {
		struct adit_tree *service = tree_copy(set->arena, common);
		const char *name = arena_printf(set->arena, "service-%zu",
						tree_len(set->lists[URL_SERVICES]));

		if (!service || !name)
			return;
		tree_set_text(set->arena, service, "name", name, s->url.pos);
		if (*tree_text(tree_item(s->addrs, i)))
			tree_set(set->arena, service, "addr", tree_item(s->addrs, i));
		url_set_map(set, service, "forwarder", make_forwarder(set, s, i));
		tree_append(set->arena, set->lists[URL_SERVICES], service);
	}
}

/* dns= is the one parameter that is a list. */
static void
split_dns(struct url_set *set, struct adit_tree *params)
{
	const struct adit_tree *value = tree_get(params, "dns");
	struct adit_tree *list;

	if (!*tree_text(value))
		return;
	list = tree_list(set->arena, tree_pos(value));
	url_split_list(set, list, value, true);
	tree_set(set->arena, params, "dns", list);
}

void
url_add_service(struct url_set *set, const struct tree_source *arg)
{
	struct service_url s = { .params = NULL };

	if (url_is_blank(arg) || url_split(set->arena, arg, set->errs, &s.url) < 0)
		return;
	s.params = s.url.params;
	read_scheme(set, &s);
	read_addrs(set, &s);
	s.auth = url_auth(set, &s.url, s.params);
	s.tls = url_tls_files(set, s.params);
	check_tls(set, s.tls);
	s.selector = url_selector(set, s.params);
	split_dns(set, s.params);
	s.sockets = url_socket_params(set, s.params, true);
	add_services(set, &s);
}

struct adit_tree *
url_set_finish(struct url_set *set)
{
	struct tree_pos nowhere = { .source = NULL };
	struct adit_tree *root = tree_map(set->arena, nowhere), *chain;

	if (tree_len(set->hops)) {
		struct tree_pos pos = tree_pos(tree_item(set->hops, 0));

		chain = tree_map(set->arena, pos);
		tree_set_text(set->arena, chain, "name", "chain-0", pos);
		tree_set(set->arena, chain, "hops", set->hops);
		tree_append(set->arena, set->lists[URL_CHAINS], chain);
	}
	for (int i = 0; i < URL_LISTS; i++)
		if (tree_len(set->lists[i]))
			tree_set(set->arena, root, list_names[i], set->lists[i]);
	return root;
}

/* ---- -api, -metrics ------------------------------------------------------- */

static int
take_endpoint_param(struct url_set *set, struct adit_tree *map, const struct url *url, size_t i,
		    const char *const *keys)
{
	const struct adit_tree *key = tree_key(url->params, i), *value = tree_item(url->params, i);
	struct config_problem problem = { .pos = tree_pos(key) };
	struct nearest n;
	bool on;

	nearest_init(&n, tree_text(key));
	for (size_t k = 0; keys[k]; k++) {
		nearest_try(&n, keys[k]);
		if (strcasecmp(keys[k], tree_text(key)) != 0)
			continue;
		/* A bool prints as one. */
		if (strcmp(keys[k], "accesslog") == 0 && scalar_bool(tree_text(value), &on) == 0)
			value = tree_scalar(set->arena, tree_pos(value), on ? "true" : "false",
					    false);
		tree_set(set->arena, map, keys[k], value);
		return 0;
	}
	problem.hint = n.best;
	config_errors_add(set->errs, &problem, "unknown parameter");
	return -1;
}

static const char *
endpoint_addr(struct url_set *set, const struct url *url)
{
	if (strcmp(url->scheme, "unix") == 0)
		return arena_printf(set->arena, "unix://%.*s%.*s", (int)url->host.len,
				    url->host.text, (int)url->path.len, url->path.text);
	if (trim_slashes(url->path).len) {
		url_error(set->errs, url->source, url->path.text, "a path cannot stand here");
		return NULL;
	}
	return arena_strndup(set->arena, url->host.text, url->host.len);
}

struct adit_tree *
url_endpoint(struct url_set *set, const struct tree_source *arg, const char *const *keys)
{
	struct adit_tree *map, *auth;
	const char *addr;
	struct url url;

	if (url_is_blank(arg)) {
		url_error(set->errs, arg, arg->text, "an address is missing");
		return NULL;
	}
	if (url_split(set->arena, arg, set->errs, &url) < 0)
		return NULL;
	addr = endpoint_addr(set, &url);
	map = tree_map(set->arena, url.pos);
	if (!map || !addr)
		return NULL;
	tree_set_text(set->arena, map, "addr", addr, url_pos(arg, url.host.text));
	auth = url_auth(set, &url, url.params);
	for (size_t i = 0; i < tree_len(url.params); i++)
		if (take_endpoint_param(set, map, &url, i, keys) < 0)
			return NULL;
	if (auth)
		tree_set(set->arena, map, "auth", auth);
	return map;
}
