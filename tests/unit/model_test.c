/* The typed configuration: what it holds, and every way to be wrong with its exact words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config/model.h"
#include "core/config/opts.h"
#include "tests/unit/config_text.h"

/* ---- a registry ----------------------------------------------------------- */

static const char *const id_aliases[] = { "tunnelID", NULL };

static int
is_no_x(const char *text, struct adit_err *e)
{
	return strcmp(text, "x") == 0 ? adit_err_set(e, ADIT_ECONFIG, "\"%s\" is an x", text) : 0;
}

static const struct adit_opt tunnel_rows[] = {
	{ .name = "entrypoint", .type = ADIT_OPT_ADDR },
	{ .name = "entrypoints", .type = ADIT_OPT_TREE, .refers = "ingresses" },
	{ .name = "ingress", .type = ADIT_OPT_NAME, .refers = "ingresses" },
	{ .name = "tunnel.ttl", .type = ADIT_OPT_DURATION },
	{ .name = "tunnel", .type = ADIT_OPT_STRING, .check = is_no_x },
	{ .name = "trusted", .type = ADIT_OPT_LIST, .check = is_no_x },
	{ .name = "entrypoint.readTimeout", .type = ADIT_OPT_DURATION },
	ADIT_OPT_END,
};

static const struct adit_opt stream_rows[] = {
	{ .name = "sniffing", .type = ADIT_OPT_BOOL },
	{ .name = "sniffing.timeout", .type = ADIT_OPT_DURATION },
	{ .name = "http.keepalive", .type = ADIT_OPT_BOOL },
	{ .name = "readTimeout", .type = ADIT_OPT_DURATION },
	{ .name = "bind", .type = ADIT_OPT_BOOL },
	ADIT_OPT_END,
};

static const struct adit_opt connector_rows[] = {
	{ .name = "tunnel.id", .aliases = id_aliases, .type = ADIT_OPT_UUID },
	{ .name = "tunnel.weight", .type = ADIT_OPT_INT, .max = 255 },
	ADIT_OPT_END,
};

static const struct adit_opt ws_rows[] = {
	{ .name = "path", .type = ADIT_OPT_STRING },
	{ .name = "header", .type = ADIT_OPT_MAP },
	ADIT_OPT_END,
};

static const struct adit_opt udp_rows[] = {
	{ .name = "keepalive", .type = ADIT_OPT_BOOL },
	{ .name = "ttl", .type = ADIT_OPT_DURATION },
	ADIT_OPT_END,
};

static const struct adit_opt needy_rows[] = {
	{ .name = "token", .type = ADIT_OPT_STRING, .flags = ADIT_OPT_REQUIRED | ADIT_OPT_SECRET },
	ADIT_OPT_END,
};

static const struct adit_opt page_rows[] = {
	{ .name = "path", .type = ADIT_OPT_STRING },
	{ .name = "pathPrefix", .type = ADIT_OPT_STRING },
	{ .name = "accesslog", .type = ADIT_OPT_BOOL },
	ADIT_OPT_END,
};

static const struct {
	enum adit_kind		 kind;
	const char		*name;
	const struct adit_opt	*rows;
} registry[] = {
	{ ADIT_HANDLER, "api", page_rows },	  { ADIT_HANDLER, "metrics", page_rows },
	{ ADIT_HANDLER, "tunnel", tunnel_rows },  { ADIT_HANDLER, "rtcp", stream_rows },
	{ ADIT_HANDLER, "rudp", stream_rows },	  { ADIT_HANDLER, "tcp", stream_rows },
	{ ADIT_HANDLER, "udp", stream_rows },	  { ADIT_HANDLER, "relay", stream_rows },
	{ ADIT_HANDLER, "http", stream_rows },	  { ADIT_HANDLER, "auto", NULL },
	{ ADIT_HANDLER, "needy", needy_rows },	  { ADIT_LISTENER, "tcp", NULL },
	{ ADIT_LISTENER, "tls", NULL },		  { ADIT_LISTENER, "wss", ws_rows },
	{ ADIT_LISTENER, "rtcp", NULL },	  { ADIT_LISTENER, "rudp", udp_rows },
	{ ADIT_LISTENER, "udp", udp_rows },	  { ADIT_LISTENER, "unix", NULL },
	{ ADIT_CONNECTOR, "tunnel", connector_rows }, { ADIT_CONNECTOR, "relay", NULL },
	{ ADIT_CONNECTOR, "http", NULL },	  { ADIT_DIALER, "tcp", NULL },
	{ ADIT_DIALER, "tls", NULL },		  { ADIT_DIALER, "wss", ws_rows },
	{ ADIT_DIALER, "unix", NULL },
};

static const size_t n_registry = sizeof(registry) / sizeof(*registry);

static const char *
registry_name(void *arg, enum adit_kind kind, size_t i)
{
	(void)arg;
	for (size_t k = 0; k < n_registry; k++)
		if (registry[k].kind == kind && i-- == 0)
			return registry[k].name;
	return NULL;
}

static const struct adit_opt *
registry_opts(void *arg, enum adit_kind kind, const char *name, bool *known)
{
	(void)arg;
	*known = false;
	for (size_t k = 0; k < n_registry; k++)
		if (registry[k].kind == kind && strcmp(registry[k].name, name) == 0) {
			*known = true;
			return registry[k].rows;
		}
	return NULL;
}

static int
registry_rule(void *arg, const char *rule, size_t *at, struct adit_err *e)
{
	(void)arg;
	*at = 0;
	if (strncmp(rule, "Foo", 3) == 0)
		return adit_err_set(e, ADIT_ECONFIG, "unknown function \"Foo\" in a rule");
	return 0;
}

static const struct config_kinds kinds = {
	.name = registry_name, .opts = registry_opts, .check_rule = registry_rule,
};

/* ---- loading -------------------------------------------------------------- */

static const char *
no_environment(const char *name)
{
	(void)name;
	return NULL;
}

static struct config *
load_flags(const char *yaml, unsigned flags, struct config_errors *errs)
{
	static const char *const input = "-";
	struct config_args args = {
		.sources = &input, .n_sources = 1, .env = no_environment,
		.input = yaml, .input_len = strlen(yaml),
	};

	return config_load(&args, &kinds, flags, errs);
}

/* A configuration that must be right. */
static struct config *
load(const char *yaml)
{
	struct config_errors *errs = config_errors_new();
	struct config *c = load_flags(yaml, 0, errs);

	config_errors_print(errs, stderr);
	config_errors_free(errs);
	assert_non_null(c);
	return c;
}

/* The object of that name, which must be there, in its own list. */
#define FIND(config, list, field, name) (&(config)->field.v[find_index(config, list, name)])

static size_t
find_index(const struct config *c, enum config_list list, const char *name)
{
	ptrdiff_t i = config_index_find(c, list, name);

	if (i < 0)
		fail_msg("no %s in %s", name, config_list_name(list));
	return (size_t)i;
}

static const struct service_conf *
find_service(const struct config *c, const char *name)
{
	return FIND(c, CONFIG_SERVICES, services, name);
}

static void
assert_errors(const char *yaml, const char *expected)
{
	struct config_errors *errs = config_errors_new();
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_null(load_flags(yaml, 0, errs));
	config_errors_print(errs, f);
	fclose(f);
	assert_string_equal(text, expected);
	config_errors_free(errs);
	free(text);
}

/* ---- what is right -------------------------------------------------------- */

static void
all_examples_load(void **state)
{
	static const char *const files[] = {
		TEST_DATA "/examples-config/1-tunnel-server.yaml",
		TEST_DATA "/examples-config/2-tunnel-client.yaml",
		TEST_DATA "/examples-config/3-tunnel-ha.yaml",
		TEST_DATA "/examples-config/4-relay-tls-chain.yaml",
		TEST_DATA "/examples-config/5-port-forward.yaml",
		TEST_DATA "/examples-config/6-hosts-bypass-limiter.yaml",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct config_args args = {
			.sources = &files[i], .n_sources = 1, .env = no_environment,
		};
		struct config_errors *errs = config_errors_new();
		struct config *c = config_load(&args, &kinds, 0, errs);

		config_errors_print(errs, stderr);
		assert_non_null(c);
		config_put(c);
		c = config_load(&args, NULL, CONFIG_PRINT, errs);
		assert_non_null(c);
		config_put(c);
		config_errors_free(errs);
	}
}

static void
services_are_typed(void **state)
{
	struct config *c = load(
		"services:\n"
		"- addr: 127.0.0.1:80\n"
		"  handler:\n"
		"    type: tunnel\n"
		"    retries: 2\n"
		"    auther: u\n"
		"    authers: [v]\n"
		"    metadata: {ingress: i, tunnel.ttl: 3}\n"
		"  listener:\n"
		"    type: tls\n"
		"    tls: {certFile: c, keyFile: k, caFile: a, rejectUnknownSNI: true,\n"
		"      options: {minVersion: VersionTLS12, alpn: h2}, serverNames: [x, y]}\n"
		"  metadata: {enableStats: true, observePeriod: 1ms, dialTimeout: 3}\n"
		"- {name: second, addr: ':0'}\n"
		"authers: [{name: u, auths: [{username: a, password: 0123}]}, {name: v}]\n"
		"ingresses:\n"
		"- name: i\n"
		"  reload: 10s\n"
		"  file: {path: /x}\n"
		"  rules: [{hostname: A, endpoint: $4D21094E-b74c-4916-86c1-d9fa36ea677b}]\n"
		"tls: {validity: 1h, commonName: n, organization: o}\n");
	const struct service_conf *s = find_service(c, "service-0");
	const struct ingress_conf *i;

	(void)state;
	assert_non_null(s);
	assert_ptr_equal(s, &c->services.v[0]);
	assert_string_equal(s->addr, "127.0.0.1:80");
	assert_string_equal(s->handler->type, "tunnel");
	assert_int_equal(s->handler->kind, ADIT_HANDLER);
	assert_int_equal(s->handler->retries, 2);
	assert_int_equal(s->handler->authers.n, 2);
	assert_string_equal(s->handler->authers.v[0], "u");
	assert_string_equal(s->handler->authers.v[1], "v");
	assert_string_equal(tree_text(tree_get(s->handler->metadata, "ingress")), "i");
	assert_string_equal(s->listener->tls->tls.cert_file, "c");
	assert_string_equal(s->listener->tls->tls.min_version, "VersionTLS12");
	assert_string_equal(s->listener->tls->tls.alpn.v[0], "h2");
	assert_int_equal(s->listener->tls->tls.server_names.n, 2);
	assert_true(s->listener->tls->tls.reject_unknown_sni);
	assert_true(s->enable_stats);
	assert_int_equal(s->observe_period, 1000000000);
	assert_int_equal(s->dial_timeout, 3000000000);
	assert_int_equal(s->limiter_refresh, 30000000000);
	s = find_service(c, "second");
	assert_string_equal(s->handler->type, "auto");
	assert_string_equal(s->listener->type, "tcp");
	assert_int_equal(s->dial_timeout, 15000000000);
	assert_string_equal(FIND(c, CONFIG_AUTHERS, authers, "u")->auths.v[0].password, "0123");
	i = FIND(c, CONFIG_INGRESSES, ingresses, "i");
	assert_int_equal(i->loader.reload, 10000000000);
	assert_string_equal(i->loader.file->path, "/x");
	assert_true(i->rules.v[0].private_);
	assert_int_equal(i->rules.v[0].endpoint.b[0], 0x4d);
	assert_string_equal(c->tls->tls.common_name, "n");
	assert_int_equal(c->log->level, ADIT_LOG_INFO);
	assert_int_equal(config_index_find(c, CONFIG_SERVICES, "zzz"), -1);
	config_put(c);
}

static void
chains_and_hops_are_typed(void **state)
{
	struct config *c = load(
		"chains:\n"
		"- name: c\n"
		"  hops:\n"
		"  - name: shared\n"
		"  - selector: {strategy: ha, maxFails: 3, failTimeout: 1000}\n"
		"    bypass: b\n"
		"    nodes:\n"
		"    - addr: h:1\n"
		"      connector: {type: tunnel, auth: {username: u, password: p},\n"
		"        metadata: {tunnelID: 4d21094eb74c491686c1d9fa36ea677b}}\n"
		"      dialer: {type: tls, tls: {secure: true, serverName: n}}\n"
		"      metadata: {weight: 5, backup: true, maxFails: 2, failTimeout: 20, "
		"interface: e}\n"
		"hops:\n"
		"- name: shared\n"
		"  nodes: {addr: h:2}\n"
		"bypasses: [{name: b, reverse: true, matchers: [a]}]\n");
	const struct chain_conf *chain = FIND(c, CONFIG_CHAINS, chains, "c");
	const struct hop_conf *hop = &chain->hops.v[1], *shared;
	const struct node_conf *node = &hop->nodes.v[0];

	(void)state;
	shared = FIND(c, CONFIG_HOPS, hops, "shared");
	assert_ptr_equal(chain->hops.v[0].ref, shared);
	assert_string_equal(chain->hops.v[0].ref->nodes.v[0].addr, "h:2");
	assert_null(hop->ref);
	assert_string_equal(hop->name, "hop-1");
	assert_int_equal(hop->selector->strategy, SELECT_FIFO);
	assert_int_equal(hop->selector->max_fails, 3);
	assert_int_equal(hop->selector->fail_timeout, 1000);
	assert_string_equal(hop->bypasses.v[0], "b");
	assert_string_equal(node->name, "node-0");
	assert_string_equal(node->connector->auth->password, "p");
	assert_true(node->dialer->tls->tls.secure);
	assert_int_equal(node->weight, 5);
	assert_true(node->backup);
	assert_int_equal(node->max_fails, 2);
	assert_int_equal(node->fail_timeout, 20000000000);
	assert_string_equal(shared->nodes.v[0].connector->type, "http");
	assert_int_equal(config_index_find(c, CONFIG_BYPASSES, "b"), 0);
	assert_int_equal(config_index_find(c, CONFIG_BYPASSES, "c"), -1);
	config_put(c);
}

static void
forwarders_take_old_names(void **state)
{
	struct config *c = load(
		"services:\n"
		"- name: s\n"
		"  addr: :1\n"
		"  forwarder:\n"
		"    selector: {}\n"
		"    nodes:\n"
		"    - {name: a, addr: h, host: x, protocol: http, path: /p, auth: {username: u}}\n"
		"    - {addr: h, filter: {host: y},\n"
		"       matcher: {rule: Host(`z`), priority: -1, bodySize: 5},\n"
		"       http: {header: {X-A: b}, rewrite: [{match: m, replacement: r}], "
		"failCodes: 5xx},\n"
		"       tls: {secure: true}}\n");
	const struct forwarder_conf *f = find_service(c, "s")->forwarder;

	(void)state;
	assert_int_equal(f->selector->max_fails, 1);
	assert_int_equal(f->selector->fail_timeout, 10000000000);
	assert_int_equal(f->nodes.n, 2);
	assert_string_equal(f->nodes.v[0].filter->host, "x");
	assert_string_equal(f->nodes.v[0].filter->protocol, "http");
	assert_string_equal(f->nodes.v[0].filter->path, "/p");
	assert_string_equal(f->nodes.v[0].http->auth->username, "u");
	assert_string_equal(f->nodes.v[1].addr, "h");
	assert_string_equal(f->nodes.v[1].filter->host, "y");
	assert_int_equal(f->nodes.v[1].matcher->priority, -1);
	assert_string_equal(f->nodes.v[1].http->request_header.name[0], "X-A");
	assert_string_equal(f->nodes.v[1].http->rewrite_url.v[0].replacement, "r");
	assert_string_equal(f->nodes.v[1].http->fail_codes, "5xx");
	assert_true(f->nodes.v[1].tls->tls.secure);
	config_put(c);
}

static void
log_and_endpoints_are_typed(void **state)
{
	struct config *c =
		load("log: {level: WARN, format: text, output: /l, rotation: {maxAge: 3}}\n"
		     "api: {addr: 'unix:///x', pathPrefix: /p, accesslog: 1, auth: {username: u}}\n"
		     "metrics: {addr: ':1', path: /m, auther: a}\n"
		     "authers: {name: a}\n");

	(void)state;
	assert_int_equal(c->log->level, ADIT_LOG_WARN);
	assert_int_equal(c->log->format, CONFIG_LOG_TEXT);
	assert_string_equal(c->log->output, "/l");
	assert_int_equal(c->log->rotation->max_size, 100);
	assert_int_equal(c->log->rotation->max_age, 3);
	assert_string_equal(c->api->addr, "unix:///x");
	assert_string_equal(c->api->path, "/p");
	assert_true(c->api->access_log);
	assert_string_equal(c->metrics->auther, "a");
	config_put(c);
}

/* A plugin fills its instance from what the model keeps. */
static void
metadata_fills_instances(void **state)
{
	struct {
		uint64_t	 ttl;
	} instance = { .ttl = 0 };
	static const struct adit_opt rows[] = {
		{ .name = "tunnel.ttl", .type = ADIT_OPT_DURATION, .def = "15s" },
		ADIT_OPT_END,
	};
	struct config *c =
		load("services: [{name: s, addr: ':1', handler: {type: tunnel, metadata: "
		     "{tunnel.ttl: 2s}}}]\n");
	struct config_errors *errs = config_errors_new();
	struct opts_src src = { .node = find_service(c, "s")->handler->metadata,
				.lenient = true };

	(void)state;
	assert_int_equal(opts_fill(rows, &instance, &src, errs), 0);
	assert_int_equal(instance.ttl, 2000000000);
	config_errors_free(errs);
	config_put(c);
}

/* ---- what is wrong -------------------------------------------------------- */

static void
unknown_and_misplaced_keys(void **state)
{
	(void)state;
	assert_errors("servces: []\n",
		      "stdin:1:1: servces: unknown key, did you mean \"services\"?\n"
		      "    1 | servces: []\n"
		      "      | ^\n");
	assert_errors("services:\n- {addr: ':1', handlr: {type: tcp}}\n",
		      "stdin:2:16: services[0].handlr: unknown key, did you mean \"handler\"?\n"
		      "    2 | - {addr: ':1', handlr: {type: tcp}}\n"
		      "      |                ^\n");
	assert_errors("services:\n- addr: :1\n  chain: c\nchains: [{name: c, hops: []}]\n",
		      "stdin:3:3: services[0].chain: this key belongs into \"handler\"\n"
		      "    3 |   chain: c\n"
		      "      |   ^\n");
	assert_errors("services:\n- addr: :1\n  handler:\n    type: tunnel\n    ingress: i\n",
		      "stdin:5:5: services[0].handler.ingress: this key belongs into \"metadata\"\n"
		      "    5 |     ingress: i\n"
		      "      |     ^\n");
	assert_errors("services:\n- addr: :1\n  handler:\n    type: tunnel\n    metadata:\n"
		      "      ingres: i\n",
		      "stdin:6:7: services[0].handler.metadata.ingres: unknown key \"ingres\", "
		      "did you mean \"ingress\"?\n"
		      "    6 |       ingres: i\n"
		      "      |       ^\n");
	assert_errors("services:\n- addr: :1\n  metadata: {dialTimout: 1s}\n",
		      "stdin:3:14: services[0].metadata.dialTimout: unknown key \"dialTimout\", "
		      "did you mean \"dialTimeout\"?\n"
		      "    3 |   metadata: {dialTimout: 1s}\n"
		      "      |              ^\n");
	/* A key that the listener knows is no better in the handler alone. */
	assert_errors("services:\n- addr: :1\n  handler: {type: relay, metadata: {path: /x}}\n"
		      "  listener: {type: wss}\n",
		      "stdin:3:37: services[0].handler.metadata.path: this key belongs to the "
		      "listener\n"
		      "    3 |   handler: {type: relay, metadata: {path: /x}}\n"
		      "      |                                     ^\n");
	assert_errors("bypasses: [{name: b, reverse: true, whitelist: true}]\n",
		      "stdin:1:22: bypasses[0].reverse: the old name of \"whitelist\", which is "
		      "set too\n"
		      "    1 | bypasses: [{name: b, reverse: true, whitelist: true}]\n"
		      "      |                      ^\n");
}

static void
copies_of_url_parameters_are_fine(void **state)
{
	struct config *c = load(
		"services:\n"
		"- addr: :1\n"
		"  bypass: b\n"
		"  handler: {type: relay, metadata: {path: /x, bind: true}}\n"
		"  listener: {type: wss, metadata: {path: /x, bind: true, bypass: z}}\n"
		"  metadata: {path: /x, bind: true, bypass: z}\n"
		"bypasses: [{name: b}]\n");

	(void)state;
	config_put(c);
	assert_errors("services:\n- addr: :1\n  metadata: {bypass: z}\n",
		      "stdin:3:14: services[0].metadata.bypass: unknown key \"bypass\"\n"
		      "    3 |   metadata: {bypass: z}\n"
		      "      |              ^\n");
}

static void
wrong_types(void **state)
{
	(void)state;
	assert_errors("- a\n", "stdin:1:1: a configuration is a map, not a list\n"
			       "    1 | - a\n"
			       "      | ^\n");
	assert_errors("services: x\n", "stdin:1:11: services: expected a list, not \"x\"\n"
				       "    1 | services: x\n"
				       "      |           ^\n");
	assert_errors("services: [~]\n", "stdin:1:12: services[0]: expected a map, not null\n"
					 "    1 | services: [~]\n"
					 "      |            ^\n");
	assert_errors("services: [{addr: ':1', handler: tcp}]\n",
		      "stdin:1:34: services[0].handler: expected a map, not \"tcp\"\n"
		      "    1 | services: [{addr: ':1', handler: tcp}]\n"
		      "      |                                  ^\n");
	assert_errors("services: [{addr: [':1']}]\n",
		      "stdin:1:19: services[0].addr: expected a text, not a list\n"
		      "    1 | services: [{addr: [':1']}]\n"
		      "      |                   ^\n");
	assert_errors("services: [{addr: ':1', handler: {retries: abc}}]\n",
		      "stdin:1:44: services[0].handler.retries: expected a whole number, not "
		      "\"abc\"\n"
		      "    1 | services: [{addr: ':1', handler: {retries: abc}}]\n"
		      "      |                                            ^\n");
	assert_errors("bypasses: [{name: b, whitelist: yes}]\n",
		      "stdin:1:33: bypasses[0].whitelist: expected true or false, not \"yes\"\n"
		      "    1 | bypasses: [{name: b, whitelist: yes}]\n"
		      "      |                                 ^\n");
	assert_errors("authers: [{name: a, reload: \"10\"}]\n",
		      "stdin:1:29: authers[0].reload: expected a duration like \"30s\", not "
		      "\"10\"\n"
		      "    1 | authers: [{name: a, reload: \"10\"}]\n"
		      "      |                             ^\n");
	assert_errors("authers: [{name: a, auths: [{username: u, password: [x]}]}]\n",
		      "stdin:1:53: authers[0].auths[0].password: expected a text, not a list\n"
		      "    1 | authers: [{name: a, auths: [{username: u, password: *******\n"
		      "      |                                                     ^\n");
	assert_errors("services: [{addr: ':1', handler: {type: tunnel, metadata: [a]}}]\n",
		      "stdin:1:59: services[0].handler.metadata: expected a map, not a list\n"
		      "    1 | services: [{addr: ':1', handler: {type: tunnel, metadata: [a]}}]\n"
		      "      |                                                           ^\n");
	assert_errors(
		"services: [{addr: ':1', handler: {type: tunnel, metadata: {tunnel.ttl: soon}}}]\n",
		"stdin:1:72: services[0].handler.metadata.tunnel.ttl: "
		"expected a duration like \"30s\", not \"soon\"\n"
		"    1 | services: [{addr: ':1', handler: {type: tunnel, metadata: {tunnel.ttl: "
		"soon}}}]\n"
		"      |                                                                        "
		"^\n");
	assert_errors("quotas: [{name: q, limit: 10}, {name: r, limit: x}]\n",
		      "stdin:1:49: quotas[1].limit: expected a size like \"64KB\", not \"x\"\n"
		      "    1 | quotas: [{name: q, limit: 10}, {name: r, limit: x}]\n"
		      "      |                                                 ^\n");
}

static void
unknown_words(void **state)
{
	(void)state;
	assert_errors("log: {level: inf}\n",
		      "stdin:1:14: log.level: unknown level \"inf\", did you mean \"info\"?\n"
		      "    1 | log: {level: inf}\n"
		      "      |              ^\n");
	assert_errors("hops: [{name: h, nodes: [{addr: 'a:1'}], selector: {strategy: rond}}]\n",
		      "stdin:1:63: hops[0].selector.strategy: unknown strategy \"rond\", "
		      "did you mean \"round\"?\n"
		      "    1 | hops: [{name: h, nodes: [{addr: 'a:1'}], selector: {strategy: "
		      "rond}}]\n"
		      "      |                                                               ^\n");
	assert_errors("services: [{addr: ':1', handler: {type: HTTP}}]\n",
		      "stdin:1:41: services[0].handler.type: unknown handler \"HTTP\", "
		      "did you mean \"http\"?\n"
		      "    1 | services: [{addr: ':1', handler: {type: HTTP}}]\n"
		      "      |                                         ^\n");
	assert_errors("services: [{addr: ':1', listener: {type: grpc}}]\n",
		      "stdin:1:42: services[0].listener.type: listener \"grpc\" is not "
		      "available in this "
		      "build\n"
		      "    1 | services: [{addr: ':1', listener: {type: grpc}}]\n"
		      "      |                                          ^\n");
	assert_errors("tls: {options: {minVersion: TLS1.2}}\n",
		      "stdin:1:29: tls.options.minVersion: unknown minVersion \"TLS1.2\"\n"
		      "    1 | tls: {options: {minVersion: TLS1.2}}\n"
		      "      |                             ^\n");
}

static void
rows_check_what_a_type_cannot_say(void **state)
{
	(void)state;
	assert_errors("services: [{addr: ':1', handler: {type: tunnel, metadata: {\n"
		      "  tunnel: x, trusted: [y, x]}}}]\n",
		      "stdin:2:11: services[0].handler.metadata.tunnel: \"x\" is an x\n"
		      "    2 |   tunnel: x, trusted: [y, x]}}}]\n"
		      "      |           ^\n"
		      "stdin:2:27: services[0].handler.metadata.trusted: \"x\" is an x\n"
		      "    2 |   tunnel: x, trusted: [y, x]}}}]\n"
		      "      |                           ^\n");
	assert_errors("services: [{addr: ':1', handler: {type: tunnel, metadata: {\n"
		      "  trusted: 'y,x'}}}]\n",
		      "stdin:2:12: services[0].handler.metadata.trusted: \"x\" is an x\n"
		      "    2 |   trusted: 'y,x'}}}]\n"
		      "      |            ^\n");
}

static void
hosts_of_rules_are_checked(void **state)
{
	(void)state;
	assert_errors("ingresses: [{name: i, rules: [\n"
		      "  {hostname: a b, endpoint: ac74d9dd-3125-442a-a7c1-f9e49e05faca},\n"
		      "  {hostname: '*.a', endpoint: ac74d9dd-3125-442a-a7c1-f9e49e05faca},\n"
		      "  {hostname: a.*.b, endpoint: ac74d9dd-3125-442a-a7c1-f9e49e05faca}]}]\n",
		      "stdin:2:14: ingresses[0].rules[0].hostname: "
		      "expected a host, .host or *.host, not \"a b\"\n"
		      "    2 |   {hostname: a b, endpoint: ac74d9dd-3125-442a-a7c1-f9e49e05faca},\n"
		      "      |              ^\n"
		      "stdin:4:14: ingresses[0].rules[2].hostname: "
		      "expected a host, .host or *.host, not \"a.*.b\"\n"
		      "    4 |   {hostname: a.*.b, "
		      "endpoint: ac74d9dd-3125-442a-a7c1-f9e49e05faca}]}]\n"
		      "      |              ^\n");
}

static void
targets_have_an_address(void **state)
{
	(void)state;
	assert_errors("services: [{addr: ':1', forwarder: {nodes: [\n"
		      "  {name: a},\n  {addr: ''}]}}]\n",
		      "stdin:2:3: services[0].forwarder.nodes[0].addr: a node without address is "
		      "not available in this build\n"
		      "    2 |   {name: a},\n"
		      "      |   ^\n"
		      "stdin:3:10: services[0].forwarder.nodes[1].addr: a node without address is "
		      "not available in this build\n"
		      "    3 |   {addr: ''}]}}]\n"
		      "      |          ^\n");
}

static void
dangling_names(void **state)
{
	(void)state;
	assert_errors("services: [{addr: ':1', handler: {chain: mian}}]\nchains: [{name: main}]\n",
		      "stdin:1:42: services[0].handler.chain: no \"mian\" in chains, did you "
		      "mean \"main\"?\n"
		      "    1 | services: [{addr: ':1', handler: {chain: mian}}]\n"
		      "      |                                          ^\n");
	assert_errors(
		"services: [{addr: ':1', handler: {authers: [a, b]}}]\nauthers: [{name: a}]\n",
		"stdin:1:48: services[0].handler.authers[1]: no \"b\" in authers\n"
		"    1 | services: [{addr: ':1', handler: {authers: [a, b]}}]\n"
		"      |                                                ^\n");
	assert_errors("services: [{addr: ':1', handler: {type: tunnel, metadata: {ingress: i}}}]\n",
		      "stdin:1:69: services[0].handler.metadata.ingress: no \"i\" in ingresses\n"
		      "    1 | services: [{addr: ':1', handler: {type: tunnel, metadata: "
		      "{ingress: i}}}]\n"
		      "      |                                                                  "
		      "   ^\n");
	assert_errors("services: [{addr: ':1', handler: {type: tunnel, metadata: {entrypoints:\n"
		      "  [{addr: ':2', ingress: i}]}}}]\n",
		      "stdin:2:26: services[0].handler.metadata.entrypoints[0].ingress: "
		      "no \"i\" in ingresses\n"
		      "    2 |   [{addr: ':2', ingress: i}]}}}]\n"
		      "      |                          ^\n");
	assert_errors("chains: [{name: c, hops: [{name: h}]}]\n",
		      "stdin:1:34: chains[0].hops[0].name: no \"h\" in hops\n"
		      "    1 | chains: [{name: c, hops: [{name: h}]}]\n"
		      "      |                                  ^\n");
	assert_errors("chains: [{name: c, hops: [{}]}]\n",
		      "stdin:1:27: chains[0].hops[0]: a hop needs nodes, or the name of one in "
		      "hops\n"
		      "    1 | chains: [{name: c, hops: [{}]}]\n"
		      "      |                           ^\n");
	assert_errors("services: [{addr: ':1', forwarder: {name: h}, recorders: [{name: r, record: "
		      "recorder.service.handler}]}]\n",
		      "stdin:1:43: services[0].forwarder.name: no \"h\" in hops\n"
		      "    1 | services: [{addr: ':1', forwarder: {name: h}, recorders: [{name: "
		      "r, record: "
		      "recorder.service.handler}]}]\n"
		      "      |                                           ^\n"
		      "stdin:1:66: services[0].recorders[0].name: no \"r\" in recorders\n"
		      "    1 | services: [{addr: ':1', forwarder: {name: h}, recorders: [{name: "
		      "r, record: "
		      "recorder.service.handler}]}]\n"
		      "      |                                                                  "
		      "^\n");
	assert_errors(
		"services: [{addr: ':1', handler: {chainGroup: {chains: [a, {chain: b}]}}}]\n",
		"stdin:1:57: services[0].handler.chainGroup.chains[0]: no \"a\" in chains\n"
		"    1 | services: [{addr: ':1', handler: {chainGroup: {chains: [a, {chain: "
		"b}]}}}]\n"
		"      |                                                         ^\n"
		"stdin:1:68: services[0].handler.chainGroup.chains[1].chain: no \"b\" in chains\n"
		"    1 | services: [{addr: ':1', handler: {chainGroup: {chains: [a, {chain: "
		"b}]}}}]\n"
		"      |                                                                    ^\n");
}

static void
names_missing_or_twice(void **state)
{
	(void)state;
	assert_errors("services: [{name: a, addr: ':1'}, {name: a, addr: ':2'}]\n",
		      "stdin:1:42: services[1].name: \"a\" is the name of services[0] too\n"
		      "    1 | services: [{name: a, addr: ':1'}, {name: a, addr: ':2'}]\n"
		      "      |                                          ^\n");
	assert_errors("services: [{addr: ':1'}, {name: service-0, addr: ':2'}]\n",
		      "stdin:1:33: services[1].name: \"service-0\" is the name of services[0] too\n"
		      "    1 | services: [{addr: ':1'}, {name: service-0, addr: ':2'}]\n"
		      "      |                                 ^\n");
	assert_errors("chains: [{hops: []}]\n", "stdin:1:10: chains[0]: key \"name\" is missing\n"
						"    1 | chains: [{hops: []}]\n"
						"      |          ^\n");
	assert_errors("hops: [{nodes: [{addr: 'a:1'}]}]\n",
		      "stdin:1:8: hops[0]: key \"name\" is missing\n"
		      "    1 | hops: [{nodes: [{addr: 'a:1'}]}]\n"
		      "      |        ^\n");
	assert_errors("services: [{addr: ':1', handler: {type: needy}}]\n",
		      "stdin:1:12: services[0].handler.metadata: key \"token\" is missing\n"
		      "    1 | services: [{addr: ':1', handler: {type: needy}}]\n"
		      "      |            ^\n");
}

static void
what_may_stand_once(void **state)
{
	(void)state;
	assert_errors("authers:\n- name: a\n  auths:\n  - {username: u, password: p}\n"
		      "  - {username: U, password: p}\n  - {username: u}\n",
		      "stdin:6:16: authers[0].auths[2].username: \"u\" is the user of auths[0] "
		      "too, on line 4\n    6 |   - {username: u}\n      |                ^\n");
	assert_errors("hops: [{name: h, nodes: [{name: n, addr: 'a:1'}, {addr: 'a:1'},\n"
		      "  {name: n, addr: 'a:1'}]}]\n",
		      "stdin:2:10: hops[0].nodes[2].name: \"n\" is the name of nodes[0] too, on "
		      "line 1\n    2 |   {name: n, addr: 'a:1'}]}]\n      |          ^\n");
	assert_errors("chains: [{name: c, hops: [{nodes: [{name: n, addr: 'a:1'},\n"
		      "  {name: n, addr: 'a:1'}]}]}]\n",
		      "stdin:2:10: chains[0].hops[0].nodes[1].name: \"n\" is the name of nodes[0] "
		      "too, on line 1\n    2 |   {name: n, addr: 'a:1'}]}]}]\n"
		      "      |          ^\n");
	assert_errors("authers: [{name: a}]\nservices:\n- addr: ':1'\n  handler:\n"
		      "    auth: {username: u}\n    auther: a\n",
		      "stdin:5:11: services[0].handler.auth: \"auther\" is set too, and one of "
		      "both must do\n    5 |     auth: *************\n      |           ^\n");
}

static void
what_may_be_named_once(void **state)
{
	(void)state;
	assert_errors("authers: [{name: a}, {name: b}]\nservices:\n- addr: ':1'\n  handler:\n"
		      "    authers: [a, b, a]\n",
		      "stdin:5:21: services[0].handler.authers[2]: \"a\" is named twice\n"
		      "    5 |     authers: [a, b, a]\n      |                     ^\n");
	assert_errors("authers: [{name: a}]\nservices:\n- addr: ':1'\n  handler:\n"
		      "    authers: [a]\n    auther: a\n",
		      "stdin:6:13: services[0].handler.auther: \"a\" is named twice\n"
		      "    6 |     auther: a\n      |             ^\n");
	assert_errors("chains:\n- name: c\n  hops:\n  - nodes:\n    - addr: a:1\n"
		      "      connector:\n        type: tunnel\n        metadata:\n"
		      "          tunnelID: 4d21094eb74c491686c1d9fa36ea677b\n"
		      "          tunnel.id: 4d21094eb74c491686c1d9fa36ea677b\n",
		      "stdin:9:11: chains[0].hops[0].nodes[0].connector.metadata.tunnelID: another "
		      "name of \"tunnel.id\", which is set too\n"
		      "    9 |           tunnelID: 4d21094eb74c491686c1d9fa36ea677b\n"
		      "      |           ^\n");
}

/* A key that stands twice, or a part that cannot be read, keeps nothing else from being told; only
 * what may be defined in the missing part is not called missing. */
static void
mistakes_do_not_hide_others(void **state)
{
	(void)state;
	assert_errors("services:\n- addr: ':1'\n  Addr: ':2'\n  listner: x\n"
		      "chains: []\nchains: []\n",
		      "stdin:3:3: key \"Addr\" stands here twice, first in line 2\n"
		      "    3 |   Addr: ':2'\n      |   ^\n"
		      "stdin:4:3: services[0].listner: unknown key, did you mean \"listener\"?\n"
		      "    4 |   listner: x\n      |   ^\n"
		      "stdin:6:1: key \"chains\" stands here twice, first in line 5\n"
		      "    6 | chains: []\n      | ^\n");
	assert_errors("services: [{addr: ':1', handler: {chain: c}}]\nchains: []\n"
		      "chains: [{name: c}]\n",
		      "stdin:3:1: key \"chains\" stands here twice, first in line 2\n"
		      "    3 | chains: [{name: c}]\n      | ^\n");
}

static void
bad_addresses_and_uuids(void **state)
{
	(void)state;
	assert_errors("services: [{addr: '127.0.0.1'}]\n",
		      "stdin:1:19: services[0].addr: no port in address \"127.0.0.1\"\n"
		      "    1 | services: [{addr: '127.0.0.1'}]\n"
		      "      |                   ^\n");
	assert_errors("services: [{addr: ':99999'}]\n",
		      "stdin:1:19: services[0].addr: bad port \"99999\", expected 0 to 65535\n"
		      "    1 | services: [{addr: ':99999'}]\n"
		      "      |                   ^\n");
	assert_errors("services: [{name: a}]\n",
		      "stdin:1:12: services[0]: key \"addr\" is missing\n"
		      "    1 | services: [{name: a}]\n"
		      "      |            ^\n");
	assert_errors("services: [{addr: ':1', forwarder: {nodes: [{addr: 'a:x'}]}}]\n",
		      "stdin:1:52: services[0].forwarder.nodes[0].addr: bad port \"x\", "
		      "expected 0 to 65535\n"
		      "    1 | services: [{addr: ':1', forwarder: {nodes: [{addr: 'a:x'}]}}]\n"
		      "      |                                                    ^\n");
	assert_errors("hops: [{name: h, nodes: [{addr: a}]}]\n",
		      "stdin:1:33: hops[0].nodes[0].addr: no port in address \"a\"\n"
		      "    1 | hops: [{name: h, nodes: [{addr: a}]}]\n"
		      "      |                                 ^\n");
	assert_errors("hops: [{name: h, nodes: [{addr: 'a:1', connector: {type: tunnel, metadata: "
		      "{tunnel.id: abc,\n  tunnel.weight: 300}}}]}]\n",
		      "stdin:1:88: hops[0].nodes[0].connector.metadata.tunnel.id: "
		      "expected a UUID, not \"abc\"\n"
		      "    1 | hops: [{name: h, nodes: [{addr: 'a:1', connector: {type: tunnel, "
		      "metadata: "
		      "{tunnel.id: abc,\n"
		      "      |                                                                  "
		      "       "
		      "               ^\n"
		      "stdin:2:18: hops[0].nodes[0].connector.metadata.tunnel.weight: "
		      "expected 0 to 255, not \"300\"\n"
		      "    2 |   tunnel.weight: 300}}}]}]\n"
		      "      |                  ^\n");
	assert_errors(
		"ingresses: [{name: i, rules: [{hostname: a, endpoint: $x}, {hostname: b}]}]\n",
		"stdin:1:55: ingresses[0].rules[0].endpoint: "
		"expected a UUID, or $ and a UUID, not \"$x\"\n"
		"    1 | ingresses: [{name: i, rules: [{hostname: a, endpoint: $x}, {hostname: "
		"b}]}]\n"
		"      |                                                       ^\n"
		"stdin:1:60: ingresses[0].rules[1]: key \"endpoint\" is missing\n"
		"    1 | ingresses: [{name: i, rules: [{hostname: a, endpoint: $x}, {hostname: "
		"b}]}]\n"
		"      |                                                            ^\n");
	assert_errors("hosts: [{name: h, mappings: [{ip: 1.2.3, hostname: x}]}]\n",
		      "stdin:1:35: hosts[0].mappings[0].ip: expected an IP address, not \"1.2.3\"\n"
		      "    1 | hosts: [{name: h, mappings: [{ip: 1.2.3, hostname: x}]}]\n"
		      "      |                                   ^\n");
	assert_errors("api: {addr: 'unix://'}\n",
		      "stdin:1:13: api.addr: expected an address like \"host:443\", not "
		      "\"unix://\"\n"
		      "    1 | api: {addr: 'unix://'}\n"
		      "      |             ^\n");
}

static void
what_does_not_fit_together(void **state)
{
	(void)state;
	assert_errors("services: [{addr: ':1', listener: {type: tls, tls: {caFile: a}}}]\n",
		      "stdin:1:52: services[0].listener.tls: caFile asks for client "
		      "certificates and "
		      "needs certFile and keyFile\n"
		      "    1 | services: [{addr: ':1', listener: {type: tls, tls: {caFile: a}}}]\n"
		      "      |                                                    ^\n");
	assert_errors("tls: {certFile: a}\n", "stdin:1:6: tls: certFile needs a keyFile\n"
					      "    1 | tls: {certFile: a}\n"
					      "      |      ^\n");
	assert_errors(
		"services: [{addr: ':1', forwarder: {nodes: [{addr: t, "
		"matcher: {rule: Foo()}}]}}]\n",
		"stdin:1:71: services[0].forwarder.nodes[0].matcher.rule: "
		"unknown function \"Foo\" in a rule\n"
		"    1 | services: [{addr: ':1', forwarder: {nodes: [{addr: t, matcher: {rule: "
		"Foo()}}]}}]\n"
		"      |                                                                 "
		"      ^\n");
	assert_errors(
		"services: [{addr: ':1', forwarder: {nodes: [{addr: t, host: a, filter: {}}]}}]\n",
		"stdin:1:61: services[0].forwarder.nodes[0].host: the old name of \"filter.host\", "
		"and there is a filter too\n"
		"    1 | services: [{addr: ':1', forwarder: {nodes: [{addr: t, host: a, filter: "
		"{}}]}}]\n"
		"      |                                                             ^\n");
}

static void
numbers_that_cannot_be(void **state)
{
	static const char yaml[] =
		"services:\n"
		"- addr: :1\n"
		"  handler: {retries: -1}\n"
		"chains:\n"
		"- name: c\n"
		"  hops:\n"
		"  - selector: {maxFails: -1, failTimeout: -10s, maxLatency: -1}\n"
		"    nodes:\n"
		"    - {addr: \"h:1\", metadata: {weight: -1, maxFails: -2, failTimeout: -3s}}\n"
		"  - selector: {maxFails: 4294967296}\n"
		"    nodes: {addr: \"h:1\", matcher: {priority: -1}}\n"
		"ingresses: [{name: i, reload: -1s}]\n"
		"tls: {validity: -1h}\n"
		"log: {rotation: {maxSize: 99999999999, maxAge: -1}}\n"
		"resolvers: [{name: r, nameservers: [{addr: x, ttl: -1s, timeout: -1s}]}]\n";
	static const char *const wrong[] = {
		"stdin:3:22: services[0].handler.retries: expected at least 0, not \"-1\"",
		"stdin:7:26: chains[0].hops[0].selector.maxFails: expected at least 0, not \"-1\"",
		("stdin:7:43: chains[0].hops[0].selector.failTimeout: expected at least 0s, not "
		 "\"-10s\""),
		("stdin:7:61: chains[0].hops[0].selector.maxLatency: expected at least 0s, not "
		 "\"-1\""),
		("stdin:9:40: chains[0].hops[0].nodes[0].metadata.weight: expected 0 to 1000000, "
		 "not \"-1\""),
		("stdin:9:54: chains[0].hops[0].nodes[0].metadata.maxFails: expected 0 to 1000000, "
		 "not \"-2\""),
		("stdin:9:71: chains[0].hops[0].nodes[0].metadata.failTimeout: expected at least "
		 "0s, not \"-3s\""),
		("stdin:10:26: chains[0].hops[1].selector.maxFails: expected at most 1000000, not "
		 "\"4294967296\""),
		"stdin:12:31: ingresses[0].reload: expected at least 0s, not \"-1s\"",
		"stdin:13:17: tls.validity: expected at least 0s, not \"-1h\"",
		("stdin:14:27: log.rotation.maxSize: expected at most 1000000, not "
		 "\"99999999999\""),
		"stdin:14:48: log.rotation.maxAge: expected at least 0, not \"-1\"",
		("stdin:15:66: resolvers[0].nameservers[0].timeout: expected at least 0s, not "
		 "\"-1s\""),
	};
	struct config_errors *errs = config_errors_new();

	(void)state;
	assert_null(load_flags(yaml, CONFIG_PRINT, errs));
	config_errors_expect(errs, wrong, sizeof(wrong) / sizeof(*wrong));
	config_errors_free(errs);
}

/* As rules are compared: without case, a wildcard is not its domain. gost takes the later one. */
static void
two_rules_for_one_host(void **state)
{
	static const char yaml[] =
		"ingresses:\n"
		"- name: i\n"
		"  rules:\n"
		"  - {hostname: A.example, endpoint: 4d21094e-b74c-4916-86c1-d9fa36ea677b}\n"
		"  - {hostname: .a.example, endpoint: 4d21094e-b74c-4916-86c1-d9fa36ea677b}\n"
		"  - {hostname: b, endpoint: 4d21094e-b74c-4916-86c1-d9fa36ea677b}\n"
		"  - {hostname: a.example., endpoint: 4d21094e-b74c-4916-86c1-d9fa36ea677b}\n"
		"  - {hostname: \"*.A.example\", endpoint: 4d21094e-b74c-4916-86c1-d9fa36ea677b}\n"
		"- name: j\n"
		"  rules: [{hostname: b, endpoint: 4d21094e-b74c-4916-86c1-d9fa36ea677b}]\n";
	static const char *const wrong[] = {
		("stdin:7:16: ingresses[0].rules[3].hostname: \"a.example.\" is the host of "
		 "rules[0] too, on line 4"),
		("stdin:8:16: ingresses[0].rules[4].hostname: \"*.A.example\" is the host of "
		 "rules[1] too, on line 5"),
	};
	struct config_errors *errs = config_errors_new();

	(void)state;
	assert_null(load_flags(yaml, 0, errs));
	config_errors_expect(errs, wrong, 2);
	config_errors_free(errs);
}

static void
all_errors_in_one_run(void **state)
{
	struct config_errors *errs = config_errors_new();

	(void)state;
	assert_null(
		load_flags("services:\n- addr: x\n  handler: {type: tcp, chain: c}\n  bogus: 1\n"
			   "log: {level: loud}\nlimiters: [{}]\n",
			   0, errs));
	assert_int_equal(config_errors_count(errs), 5);
	config_errors_free(errs);
}

/* ---- command lines -------------------------------------------------------- */

static struct config *
load_url(const char *service, const char *node, unsigned flags, struct config_errors *errs)
{
	struct config_args args = {
		.services = &service, .n_services = 1, .nodes = &node, .n_nodes = node ? 1 : 0,
		.env = no_environment,
	};

	return config_load(&args, &kinds, flags, errs);
}

static void
urls_are_checked_like_files(void **state)
{
	static const struct {
		const char	*service, *node, *why;
	} cases[] = {
		{ "tcp://:1?snifing=true", NULL,
		  "-L \"tcp://:1?snifing=true\":10: unknown key \"snifing\", did you mean "
		  "\"sniffing\"?\n"
		  "      | tcp://:1?snifing=true\n"
		  "      |          ^" },
		{ "tcp://:1", "tunnel+wss://h:1?tunnel.wieght=1",
		  "-F \"tunnel+wss://h:1?tunnel.wieght=1\":18: unknown key \"tunnel.wieght\", "
		  "did you mean \"tunnel.weight\"?\n"
		  "      | tunnel+wss://h:1?tunnel.wieght=1\n"
		  "      |                  ^" },
		{ "tcp://:1?rlimiter=-0.5", NULL,
		  "-L \"tcp://:1?rlimiter=-0.5\":19: expected at least 0, not \"-0.5\"\n"
		  "      | tcp://:1?rlimiter=-0.5\n"
		  "      |                   ^" },
		{ "tcp://:1", "relay://h:1?bypass=",
		  "-F \"relay://h:1?bypass=\":13: \"bypass\" has no value\n"
		  "      | relay://h:1?bypass=\n"
		  "      |             ^" },
		{ "tcp://:1", "relay://h:1?hop.note=x",
		  "-F \"relay://h:1?hop.note=x\":13: unknown key \"note\"\n"
		  "      | relay://h:1?hop.note=x\n"
		  "      |             ^" },
		{ "tunnel://:1?ingress=i", NULL,
		  "-L \"tunnel://:1?ingress=i\":21: no \"i\" in ingresses\n"
		  "      | tunnel://:1?ingress=i\n"
		  "      |                     ^" },
		{ "tcp://1.2.3.4", NULL,
		  "-L \"tcp://1.2.3.4\":7: no port in address \"1.2.3.4\"\n"
		  "      | tcp://1.2.3.4\n"
		  "      |       ^" },
		{ "rtcp://:1", "tunnel://u:pw@h:1?tunnel.id=abc",
		  "-F \"tunnel://u:**@h:1?tunnel.id=abc\":29: expected a UUID, not \"abc\"\n"
		  "      | tunnel://u:**@h:1?tunnel.id=abc\n"
		  "      |                             ^" },
		{ "grpc+tcp://:1", NULL,
		  "-L \"grpc+tcp://:1\":1: unknown handler \"grpc\"\n"
		  "      | grpc+tcp://:1\n"
		  "      | ^" },
		{ "socks5://:1", NULL,
		  "-L \"socks5://:1\":1: handler \"socks5\" is not available in this build\n"
		  "      | socks5://:1\n"
		  "      | ^" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config_errors *errs = config_errors_new();
		struct config *c = load_url(cases[i].service, cases[i].node, 0, errs);

		assert_null(c);
		assert_string_equal(config_errors_text(errs, 0), cases[i].why);
		if (config_errors_count(errs) != 1)
			fail_msg("%s and %s", cases[i].why, config_errors_text(errs, 1));
		config_errors_free(errs);
		/* Printing it is another matter. */
		errs = config_errors_new();
		c = load_url(cases[i].service, cases[i].node, CONFIG_PRINT, errs);
		assert_non_null(c);
		config_put(c);
		config_errors_free(errs);
	}
}

/* Not one more for each part that would have a copy of it. */
static void
wrong_counts_are_told_once(void **state)
{
	static const char *const urls[] = {
		"tcp://:1?climiter=x", "tcp://:1?rlimiter=0x1", "tcp://:1?retries=x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct config_errors *errs = config_errors_new();

		assert_null(load_url(urls[i], NULL, 0, errs));
		assert_non_null(strstr(config_errors_text(errs, 0), "number, not"));
		assert_int_equal(config_errors_count(errs), 1);
		config_errors_free(errs);
	}
}

static void
good_urls_start(void **state)
{
	static const struct {
		const char	*service, *node;
	} cases[] = {
		{ "tunnel+wss://u:p@:443?entrypoint=:80&path=/x&cert=c&key=k", NULL },
		{ "rtcp://:0/127.0.0.1:80,127.0.0.1:81?strategy=rr&sniffing=true",
		  "tunnel+wss://u:p@h:443,g:443?tunnel.id=4d21094e-b74c-4916-86c1-d9fa36ea677b&p"
		  "ath=/x"
		  "&secure=true&serverName=n&strategy=fifo&bypass=a&so_mark=1&node.weight=3" },
		{ "udp://:1053/1.1.1.1:53?keepalive=true&ttl=10s", "relay+unix:///run/x" },
		{ "relay://:1?bind=true&bypass=~a&admission=b&limiter.in=1MB&climiter=3&rlimiter=2"
		  "&hosts=a:1.1.1.1&resolver=1.1.1.1&prefer=ipv4&retries=2&interface=e&dialTimeo"
		  "ut=3s",
		  NULL },
		{ "tcp://:1/a:2", "direct://" },
		{ "tcp://:1?climiter=0&rlimiter=0&retries=0&limiter.in=&limiter.out=1MB", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config_errors *errs = config_errors_new();
		struct config *c = load_url(cases[i].service, cases[i].node, 0, errs);

		config_errors_print(errs, stderr);
		assert_non_null(c);
		config_put(c);
		config_errors_free(errs);
	}
}

/* ---- comparing ------------------------------------------------------------ */

static bool
same_service(const char *one, const char *other)
{
	struct config *a = load(one), *b = load(other);
	bool same = service_conf_equal(a, find_service(a, "s"), b, find_service(b, "s"));

	config_put(a);
	config_put(b);
	return same;
}

static void
equality_follows_names(void **state)
{
	static const char base[] = "services: [{name: s, addr: ':1', handler: {chain: c}}]\n"
				   "chains: [{name: c, hops: [{name: h}]}, {name: d}]\n"
				   "hops: [{name: h, resolver: r, nodes: [{addr: 'a:1'}]}]\n"
				   "resolvers: [{name: r, nameservers: [{addr: 1.1.1.1, chain: "
				   "c}]}]\n";

	(void)state;
	assert_true(same_service(base, base));
	assert_true(same_service(base,
				 "services: [{addr: ':2'}, {handler: {chain: c}, name: s, addr: "
				 "':1'}]\n"
				 "hops:\n- {name: h, resolver: r, nodes: [{addr: 'a:1'}]}\n"
				 "chains: [{name: d, hops: []}, {name: c, hops: [{name: h}]}]\n"
				 "resolvers: [{name: r, nameservers: [{addr: 1.1.1.1, chain: "
				 "c}]}]\n"));
	assert_false(same_service(base, "services: [{name: s, addr: ':2', handler: {chain: c}}]\n"
					"chains: [{name: c, hops: [{name: h}]}]\n"
					"hops: [{name: h, resolver: r, nodes: [{addr: 'a:1'}]}]\n"
					"resolvers: [{name: r, nameservers: [{addr: 1.1.1.1, "
					"chain: c}]}]\n"));
	assert_false(same_service(base, "services: [{name: s, addr: ':1', handler: {chain: c}}]\n"
					"chains: [{name: c, hops: [{name: h}]}]\n"
					"hops: [{name: h, resolver: r, nodes: [{addr: 'a:2'}]}]\n"
					"resolvers: [{name: r, nameservers: [{addr: 1.1.1.1, "
					"chain: c}]}]\n"));
	/* What a resolver says changes in place, unless a hop's is to be asked through a chain. */
	assert_true(same_service(base, "services: [{name: s, addr: ':1', handler: {chain: c}}]\n"
				       "chains: [{name: c, hops: [{name: h}]}]\n"
				       "hops: [{name: h, resolver: r, nodes: [{addr: 'a:1'}]}]\n"
				       "resolvers: [{name: r, nameservers: [{addr: 1.1.1.2}]}]\n"));
	assert_false(same_service(base, "services: [{name: s, addr: ':1', handler: {chain: c}}]\n"
					"chains: [{name: c, hops: [{name: h}]}]\n"
					"hops: [{name: h, resolver: r, nodes: [{addr: 'a:1'}]}]\n"
					"resolvers: [{name: r, nameservers: [{addr: 1.1.1.2, "
					"chain: c}]}]\n"));
}

static void
equality_follows_metadata_and_tls(void **state)
{
	static const char one[] =
		"services: [{name: s, addr: ':1', handler: {type: tunnel, metadata: {ingress: "
		"i}}}]\n"
		"ingresses: [{name: i, file: {path: /a}}]\n";
	static const char other[] =
		"services: [{name: s, addr: ':1', handler: {type: tunnel, metadata: {ingress: "
		"i}}}]\n"
		"ingresses: [{name: i, file: {path: /b}}]\n";
	static const char own[] =
		"services: [{name: s, addr: ':1', listener: {tls: {certFile: c, keyFile: k}}}]\n";
	static const char own_and_default[] =
		"services: [{name: s, addr: ':1', listener: {tls: {certFile: c, keyFile: k}}}]\n"
		"tls: {certFile: d, keyFile: e}\n";
	struct config *a = load(one), *b = load(other);

	(void)state;
	/* Rules are replaced under a service that stays. */
	assert_true(same_service(one, other));
	assert_true(same_service(own, own_and_default));
	assert_false(same_service("services: [{name: s, addr: ':1'}]\n",
				  "services: [{name: s, addr: ':1'}]\ntls: {certFile: d, "
				  "keyFile: e}\n"));
	assert_false(config_object_equal(a, b, CONFIG_INGRESSES, "i"));
	assert_true(config_object_equal(a, a, CONFIG_INGRESSES, "i"));
	assert_false(config_object_equal(a, b, CONFIG_INGRESSES, "z"));
	config_put(a);
	config_put(b);
}

static void
references_are_counted(void **state)
{
	struct config *c = load("services: []\n");

	(void)state;
	assert_ptr_equal(config_get(c), c);
	config_put(c);
	assert_int_equal(c->services.n, 0);
	config_put(c);
	config_put(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_examples_load),
		cmocka_unit_test(services_are_typed),
		cmocka_unit_test(chains_and_hops_are_typed),
		cmocka_unit_test(forwarders_take_old_names),
		cmocka_unit_test(log_and_endpoints_are_typed),
		cmocka_unit_test(metadata_fills_instances),
		cmocka_unit_test(unknown_and_misplaced_keys),
		cmocka_unit_test(copies_of_url_parameters_are_fine),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(unknown_words),
		cmocka_unit_test(rows_check_what_a_type_cannot_say),
		cmocka_unit_test(hosts_of_rules_are_checked),
		cmocka_unit_test(targets_have_an_address),
		cmocka_unit_test(dangling_names),
		cmocka_unit_test(names_missing_or_twice),
		cmocka_unit_test(what_may_stand_once),
		cmocka_unit_test(what_may_be_named_once),
		cmocka_unit_test(mistakes_do_not_hide_others),
		cmocka_unit_test(bad_addresses_and_uuids),
		cmocka_unit_test(what_does_not_fit_together),
		cmocka_unit_test(numbers_that_cannot_be),
		cmocka_unit_test(two_rules_for_one_host),
		cmocka_unit_test(all_errors_in_one_run),
		cmocka_unit_test(urls_are_checked_like_files),
		cmocka_unit_test(wrong_counts_are_told_once),
		cmocka_unit_test(good_urls_start),
		cmocka_unit_test(equality_follows_names),
		cmocka_unit_test(equality_follows_metadata_and_tls),
		cmocka_unit_test(references_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
