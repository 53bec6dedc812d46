/*
 * Every key of every map (gost-config.md, chapter 2, 4 and 5). A new key is a row here; what a row
 * cannot say stands in schema_checks.c.
 */
#include <stddef.h>

#include "core/config/schema.h"
#include "core/config/schema_checks.h"

#define AT(owner, field) .offset = offsetof(struct owner, field)
#define NOWHERE .offset = SCHEMA_NOWHERE
#define END { .key = NULL }

/* ---- small maps ----------------------------------------------------------- */

/* What is asked over TLS is checked unless `secure: false` is written. */
static const struct schema peer_tls_rows[] = {
	{ .key = "secure", .type = SCHEMA_BOOL, AT(tls_conf, tls.secure) },
	{ .key = "serverName", .type = SCHEMA_TEXT, AT(tls_conf, tls.server_name) },
	{ .key = "caFile", .type = SCHEMA_TEXT, AT(tls_conf, tls.ca_file) },
	END,
};

static const struct schema_object peer_tls = {
	.size = sizeof(struct tls_conf), .rows = peer_tls_rows, .finish = check_peer_tls,
};

static const struct schema_word plugin_words[] = {
	{ "grpc", PLUGIN_GRPC }, { "http", PLUGIN_HTTP }, { NULL, 0 },
};

static const struct schema plugin_rows[] = {
	{ .key = "type", .type = SCHEMA_WORD, AT(plugin_conf, type), .words = plugin_words },
	{ .key = "addr", .type = SCHEMA_TEXT, AT(plugin_conf, addr), .flags = SCHEMA_REQUIRED },
	{ .key = "tls", .type = SCHEMA_MAP, AT(plugin_conf, tls), .object = &peer_tls },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(plugin_conf, timeout) },
	{ .key = "token", .type = SCHEMA_TEXT, AT(plugin_conf, token), .flags = SCHEMA_SECRET },
	END,
};

static const struct schema_object plugin = {
	.size = sizeof(struct plugin_conf), .rows = plugin_rows,
};

static const struct schema redis_rows[] = {
	{ .key = "addr", .type = SCHEMA_TEXT, AT(redis_conf, addr), .flags = SCHEMA_REQUIRED },
	{ .key = "db", .type = SCHEMA_INT, AT(redis_conf, db) },
	{ .key = "username", .type = SCHEMA_TEXT, AT(redis_conf, username) },
	{ .key = "password", .type = SCHEMA_TEXT, AT(redis_conf, password),
	  .flags = SCHEMA_SECRET },
	{ .key = "key", .type = SCHEMA_TEXT, AT(redis_conf, key) },
	{ .key = "type", .type = SCHEMA_TEXT, AT(redis_conf, type) },
	{ .key = "ttl", .type = SCHEMA_DURATION, NOWHERE },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(redis_conf, timeout) },
	{ .key = "tls", .type = SCHEMA_MAP, AT(redis_conf, tls), .object = &peer_tls },
	END,
};

static const struct schema_object redis = {
	.size = sizeof(struct redis_conf), .rows = redis_rows,
};

static const struct schema file_rows[] = {
	{ .key = "path", .type = SCHEMA_TEXT, AT(file_conf, path), .flags = SCHEMA_REQUIRED },
	END,
};

static const struct schema_object file = { .size = sizeof(struct file_conf), .rows = file_rows };

static const struct schema url_rows[] = {
	{ .key = "url", .type = SCHEMA_TEXT, AT(url_conf, url), .flags = SCHEMA_REQUIRED },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(url_conf, timeout) },
	{ .key = "tls", .type = SCHEMA_MAP, AT(url_conf, tls), .object = &peer_tls },
	END,
};

static const struct schema_object url = { .size = sizeof(struct url_conf), .rows = url_rows };

/* Where the struct holds a loader, and where only the node is kept. */
#define LOADER(owner) \
	{ .key = "reload", .type = SCHEMA_DURATION, AT(owner, loader.reload) }, \
	{ .key = "file", .type = SCHEMA_MAP, AT(owner, loader.file), .object = &file }, \
	{ .key = "redis", .type = SCHEMA_MAP, AT(owner, loader.redis), .object = &redis }, \
	{ .key = "http", .type = SCHEMA_MAP, AT(owner, loader.http), .object = &url }
#define LOADER_NOWHERE \
	{ .key = "reload", .type = SCHEMA_DURATION, NOWHERE }, \
	{ .key = "file", .type = SCHEMA_MAP, NOWHERE, .object = &file }, \
	{ .key = "redis", .type = SCHEMA_MAP, NOWHERE, .object = &redis }, \
	{ .key = "http", .type = SCHEMA_MAP, NOWHERE, .object = &url }
#define NAME(owner) \
	{ .key = "name", .type = SCHEMA_TEXT, AT(owner, name), .flags = SCHEMA_REQUIRED }
#define OBJECT(rows_) { .size = sizeof(struct object_conf), .rows = rows_ }

static const struct schema auth_rows[] = {
	{ .key = "username", .type = SCHEMA_TEXT, AT(auth_conf, username) },
	{ .key = "password", .type = SCHEMA_TEXT, AT(auth_conf, password), .flags = SCHEMA_SECRET },
	{ .key = "file", .type = SCHEMA_TEXT, AT(auth_conf, file) },
	END,
};

static const struct schema_object auth = { .size = sizeof(struct auth_conf), .rows = auth_rows };

static const struct schema_word strategy_words[] = {
	{ "round", SELECT_ROUND },	{ "rr", SELECT_ROUND },
	{ "random", SELECT_RANDOM },	{ "rand", SELECT_RANDOM },
	{ "fifo", SELECT_FIFO },	{ "ha", SELECT_FIFO },
	{ "hash", SELECT_HASH },	{ "parallel", SELECT_PARALLEL },
	{ "lowestlatency", SELECT_LATENCY }, { "lowest", SELECT_LATENCY },
	{ "ll", SELECT_LATENCY },	{ NULL, 0 },
};

static const struct schema selector_rows[] = {
	{ .key = "strategy", .type = SCHEMA_WORD, AT(selector_conf, strategy),
	  .words = strategy_words },
	{ .key = "maxFails", .type = SCHEMA_INT, AT(selector_conf, max_fails), .max = 1000000 },
	{ .key = "failTimeout", .type = SCHEMA_DURATION, AT(selector_conf, fail_timeout) },
	{ .key = "maxLatency", .type = SCHEMA_DURATION, AT(selector_conf, max_latency) },
	END,
};

static const struct schema_object selector = {
	.size = sizeof(struct selector_conf), .rows = selector_rows, .finish = check_selector,
};

/* ---- tls ------------------------------------------------------------------ */

static const struct schema_word version_words[] = {
	{ "VersionTLS10", 0 }, { "VersionTLS11", 1 }, { "VersionTLS12", 2 }, { "VersionTLS13", 3 },
	{ NULL, 0 },
};

/* A map of its own in the file, fields of the same struct here. */
static const struct schema tls_option_rows[] = {
	{ .key = "minVersion", .type = SCHEMA_TEXT, NOWHERE, .words = version_words },
	{ .key = "maxVersion", .type = SCHEMA_TEXT, NOWHERE, .words = version_words },
	{ .key = "cipherSuites", .type = SCHEMA_TEXTS, NOWHERE },
	{ .key = "alpn", .type = SCHEMA_TEXTS, NOWHERE },
	END,
};

static const struct schema_object tls_options = { .rows = tls_option_rows };

static const struct schema tls_rows[] = {
	{ .key = "certFile", .type = SCHEMA_TEXT, AT(tls_conf, tls.cert_file) },
	{ .key = "keyFile", .type = SCHEMA_TEXT, AT(tls_conf, tls.key_file) },
	{ .key = "caFile", .type = SCHEMA_TEXT, AT(tls_conf, tls.ca_file) },
	{ .key = "secure", .type = SCHEMA_BOOL, AT(tls_conf, tls.secure) },
	{ .key = "serverName", .type = SCHEMA_TEXT, AT(tls_conf, tls.server_name) },
	{ .key = "options", .type = SCHEMA_MAP, NOWHERE, .object = &tls_options },
	{ .key = "validity", .type = SCHEMA_DURATION, AT(tls_conf, tls.validity) },
	{ .key = "commonName", .type = SCHEMA_TEXT, AT(tls_conf, tls.common_name) },
	{ .key = "organization", .type = SCHEMA_TEXT, AT(tls_conf, tls.organization) },
	{ .key = "rejectUnknownSNI", .type = SCHEMA_BOOL, AT(tls_conf, tls.reject_unknown_sni) },
	{ .key = "serverNames", .type = SCHEMA_TEXTS, AT(tls_conf, tls.server_names) },
	END,
};

static const struct schema_object tls = {
	.size = sizeof(struct tls_conf), .rows = tls_rows, .finish = check_tls,
};

/* ---- matcher, chain groups, sockets --------------------------------------- */

static const struct schema matcher_rows[] = {
	{ .key = "rule", .type = SCHEMA_TEXT, AT(matcher_conf, rule), .check = check_rule },
	{ .key = "priority", .type = SCHEMA_INT, AT(matcher_conf, priority),
	  .flags = SCHEMA_SIGNED },
	{ .key = "bodySize", .type = SCHEMA_INT, AT(matcher_conf, body_size) },
	END,
};

static const struct schema_object matcher = {
	.size = sizeof(struct matcher_conf), .rows = matcher_rows,
};

static const struct schema_word probe_words[] = {
	{ "tcp", PROBE_TCP }, { "http", PROBE_HTTP }, { "cmd", PROBE_CMD }, { NULL, 0 },
};

static const struct schema probe_rows[] = {
	{ .key = "type", .type = SCHEMA_WORD, AT(probe_conf, type), .words = probe_words },
	{ .key = "addr", .type = SCHEMA_TEXT, AT(probe_conf, addr) },
	{ .key = "interval", .type = SCHEMA_DURATION, AT(probe_conf, interval) },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(probe_conf, timeout) },
	{ .key = "httpPath", .type = SCHEMA_TEXT, AT(probe_conf, http_path) },
	{ .key = "httpHost", .type = SCHEMA_TEXT, AT(probe_conf, http_host) },
	{ .key = "httpHeaders", .type = SCHEMA_PAIRS, AT(probe_conf, http_headers) },
	{ .key = "expectedStatus", .type = SCHEMA_INT, AT(probe_conf, expected), .max = 599 },
	{ .key = "command", .type = SCHEMA_TEXT, AT(probe_conf, command) },
	END,
};

static const struct schema_object probe = {
	.size = sizeof(struct probe_conf), .rows = probe_rows,
};

static const struct schema group_chain_rows[] = {
	{ .key = "chain", .old_key = "name", .type = SCHEMA_NAME, NOWHERE, .refers = CONFIG_CHAINS,
	  .flags = SCHEMA_REQUIRED },
	{ .key = "matcher", .type = SCHEMA_MAP, NOWHERE, .object = &matcher },
	{ .key = "probe", .type = SCHEMA_MAP, NOWHERE, .object = &probe },
	END,
};

const struct schema_object schema_group_chain = { .rows = group_chain_rows };

static const struct schema chain_group_rows[] = {
	{ .key = "chains", .type = SCHEMA_TREE, NOWHERE, .check = check_group_chains },
	{ .key = "selector", .type = SCHEMA_MAP, NOWHERE, .object = &selector },
	END,
};

static const struct schema_object chain_group = { .rows = chain_group_rows };

static const struct schema group_hop_rows[] = {
	{ .key = "hop", .old_key = "name", .type = SCHEMA_NAME, NOWHERE, .refers = CONFIG_HOPS,
	  .flags = SCHEMA_REQUIRED },
	{ .key = "matcher", .type = SCHEMA_MAP, NOWHERE, .object = &matcher },
	{ .key = "probe", .type = SCHEMA_MAP, NOWHERE, .object = &probe },
	END,
};

static const struct schema_object group_hop = { .rows = group_hop_rows };

static const struct schema hop_group_rows[] = {
	{ .key = "hops", .type = SCHEMA_MAPS, NOWHERE, .object = &group_hop },
	{ .key = "selector", .type = SCHEMA_MAP, NOWHERE, .object = &selector },
	END,
};

static const struct schema_object hop_group = { .rows = hop_group_rows };

static const struct schema sockopts_rows[] = {
	{ .key = "mark", .type = SCHEMA_INT, NOWHERE },
	END,
};

static const struct schema_object sockopts = { .rows = sockopts_rows };

/* ---- components ----------------------------------------------------------- */

#define COMPONENT \
	{ .key = "type", .type = SCHEMA_TEXT, AT(component_conf, type) }, \
	{ .key = "auth", .type = SCHEMA_MAP, AT(component_conf, auth), .object = &auth }, \
	{ .key = "tls", .type = SCHEMA_MAP, AT(component_conf, tls), .object = &tls }, \
	{ .key = "metadata", .type = SCHEMA_TREE, AT(component_conf, metadata), \
	  .check = check_is_map }
#define SERVER_COMPONENT \
	COMPONENT, \
	{ .key = "chain", .type = SCHEMA_NAME, AT(component_conf, chain), \
	  .refers = CONFIG_CHAINS }, \
	{ .key = "chainGroup", .type = SCHEMA_MAP, AT(component_conf, chain_group), \
	  .object = &chain_group }, \
	{ .key = "auther", .type = SCHEMA_NAMES, AT(component_conf, authers), \
	  .refers = CONFIG_AUTHERS, \
	  .flags = SCHEMA_SINGLE }, \
	{ .key = "authers", .type = SCHEMA_NAMES, AT(component_conf, authers), \
	  .refers = CONFIG_AUTHERS }

static const struct schema handler_rows[] = {
	SERVER_COMPONENT,
	{ .key = "retries", .type = SCHEMA_INT, AT(component_conf, retries), .max = 100 },
	{ .key = "limiter", .type = SCHEMA_NAME, AT(component_conf, limiter),
	  .refers = CONFIG_LIMITERS },
	{ .key = "observer", .type = SCHEMA_NAME, AT(component_conf, observer),
	  .refers = CONFIG_OBSERVERS },
	END,
};

static const struct schema_object handler = {
	.size = sizeof(struct component_conf), .rows = handler_rows, .finish = check_handler,
	.place = place_handler,
};

static const struct schema listener_rows[] = { SERVER_COMPONENT, END };

static const struct schema_object listener = {
	.size = sizeof(struct component_conf), .rows = listener_rows, .finish = check_listener,
	.place = place_listener,
};

static const struct schema client_rows[] = { COMPONENT, END };

static const struct schema_object connector = {
	.size = sizeof(struct component_conf), .rows = client_rows, .finish = check_connector,
	.place = place_connector,
};

static const struct schema_object dialer = {
	.size = sizeof(struct component_conf), .rows = client_rows, .finish = check_dialer,
	.place = place_dialer,
};

/* ---- nodes ---------------------------------------------------------------- */

static const struct schema filter_rows[] = {
	{ .key = "host", .type = SCHEMA_TEXT, AT(filter_conf, host) },
	{ .key = "protocol", .type = SCHEMA_TEXT, AT(filter_conf, protocol) },
	{ .key = "path", .type = SCHEMA_TEXT, AT(filter_conf, path) },
	END,
};

static const struct schema_object filter = {
	.size = sizeof(struct filter_conf), .rows = filter_rows,
};

static const struct schema rewrite_url_rows[] = {
	{ .key = "match", .type = SCHEMA_TEXT, AT(rewrite_conf, match), .flags = SCHEMA_REQUIRED },
	{ .key = "replacement", .type = SCHEMA_TEXT, AT(rewrite_conf, replacement) },
	END,
};

static const struct schema_object rewrite_url = {
	.size = sizeof(struct rewrite_conf), .rows = rewrite_url_rows,
};

static const struct schema rewrite_body_rows[] = {
	{ .key = "type", .type = SCHEMA_TEXT, AT(rewrite_conf, type) },
	{ .key = "match", .type = SCHEMA_TEXT, AT(rewrite_conf, match) },
	{ .key = "replacement", .type = SCHEMA_TEXT, AT(rewrite_conf, replacement) },
	{ .key = "rewriter", .type = SCHEMA_NAME, AT(rewrite_conf, rewriter),
	  .refers = CONFIG_REWRITERS },
	{ .key = "maxChunkSize", .type = SCHEMA_INT, AT(rewrite_conf, max_chunk_size) },
	END,
};

static const struct schema_object rewrite_body = {
	.size = sizeof(struct rewrite_conf), .rows = rewrite_body_rows,
};

static const struct schema http_rows[] = {
	{ .key = "host", .type = SCHEMA_TEXT, AT(http_conf, host) },
	{ .key = "requestHeader", .old_key = "header",
	  .type = SCHEMA_PAIRS, AT(http_conf, request_header) },
	{ .key = "responseHeader", .type = SCHEMA_PAIRS, AT(http_conf, response_header) },
	{ .key = "auth", .type = SCHEMA_MAP, AT(http_conf, auth), .object = &auth },
	{ .key = "rewriteURL", .old_key = "rewrite",
	  .type = SCHEMA_MAPS, AT(http_conf, rewrite_url),
	  .object = &rewrite_url },
	{ .key = "rewriteRequestBody", .type = SCHEMA_MAPS, AT(http_conf, rewrite_request_body),
	  .object = &rewrite_body },
	{ .key = "rewriteResponseBody", .old_key = "rewriteBody", .type = SCHEMA_MAPS,
	  AT(http_conf, rewrite_response_body), .object = &rewrite_body },
	{ .key = "failCodes", .type = SCHEMA_TEXT, AT(http_conf, fail_codes) },
	END,
};

static const struct schema_object http = { .size = sizeof(struct http_conf), .rows = http_rows };

#define NODE \
	{ .key = "name", .type = SCHEMA_TEXT, AT(node_conf, name) }, \
	{ .key = "addr", .type = SCHEMA_TEXT, AT(node_conf, addr) }, \
	{ .key = "network", .type = SCHEMA_TEXT, AT(node_conf, network), .words = network_words }, \
	{ .key = "bypass", .type = SCHEMA_NAMES, AT(node_conf, bypasses), \
	  .refers = CONFIG_BYPASSES, \
	  .flags = SCHEMA_SINGLE }, \
	{ .key = "bypasses", .type = SCHEMA_NAMES, AT(node_conf, bypasses), \
	  .refers = CONFIG_BYPASSES }, \
	{ .key = "filter", .type = SCHEMA_MAP, AT(node_conf, filter), .object = &filter }, \
	{ .key = "matcher", .type = SCHEMA_MAP, AT(node_conf, matcher), .object = &matcher }, \
	{ .key = "http", .type = SCHEMA_MAP, AT(node_conf, http), .object = &http }, \
	{ .key = "tls", .type = SCHEMA_MAP, AT(node_conf, tls), .object = &tls }, \
	{ .key = "probe", .type = SCHEMA_MAP, AT(node_conf, probe), .object = &probe }, \
	{ .key = "metadata", .type = SCHEMA_TREE, AT(node_conf, metadata), .check = check_is_map }

static const struct schema_word network_words[] = {
	{ "tcp", 0 }, { "udp", 1 }, { "unix", 2 }, { NULL, 0 },
};

static const struct schema chain_node_rows[] = {
	NODE,
	{ .key = "connector", .type = SCHEMA_MAP, AT(node_conf, connector), .object = &connector },
	{ .key = "dialer", .type = SCHEMA_MAP, AT(node_conf, dialer), .object = &dialer },
	{ .key = "resolver", .type = SCHEMA_NAME, AT(node_conf, resolver),
	  .refers = CONFIG_RESOLVERS },
	{ .key = "hosts", .type = SCHEMA_NAME, AT(node_conf, hosts), .refers = CONFIG_HOSTS },
	{ .key = "interface", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "netns", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "sockopts", .type = SCHEMA_MAP, NOWHERE, .object = &sockopts },
	END,
};

static const struct schema_object chain_node = {
	.size = sizeof(struct node_conf), .rows = chain_node_rows, .finish = check_chain_node,
};

static const struct schema forward_node_rows[] = {
	NODE,
	{ .key = "host", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "protocol", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "path", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "auth", .type = SCHEMA_MAP, AT(node_conf, auth), .object = &auth },
	END,
};

static const struct schema_object forward_node = {
	.size = sizeof(struct node_conf), .rows = forward_node_rows, .finish = check_forward_node,
};

/* ---- hops and chains ------------------------------------------------------ */

static const struct schema hop_rows[] = {
	{ .key = "name", .type = SCHEMA_TEXT, AT(hop_conf, name) },
	{ .key = "selector", .type = SCHEMA_MAP, AT(hop_conf, selector), .object = &selector },
	{ .key = "bypass", .type = SCHEMA_NAMES, AT(hop_conf, bypasses), .refers = CONFIG_BYPASSES,
	  .flags = SCHEMA_SINGLE },
	{ .key = "bypasses", .type = SCHEMA_NAMES, AT(hop_conf, bypasses),
	  .refers = CONFIG_BYPASSES },
	{ .key = "resolver", .type = SCHEMA_NAME, AT(hop_conf, resolver),
	  .refers = CONFIG_RESOLVERS },
	{ .key = "hosts", .type = SCHEMA_NAME, AT(hop_conf, hosts), .refers = CONFIG_HOSTS },
	{ .key = "nodes", .type = SCHEMA_MAPS, AT(hop_conf, nodes), .object = &chain_node },
	{ .key = "interface", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "sockopts", .type = SCHEMA_MAP, NOWHERE, .object = &sockopts },
	LOADER(hop_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(hop_conf, plugin), .object = &plugin },
	{ .key = "metadata", .type = SCHEMA_TREE, AT(hop_conf, metadata), .check = check_is_map },
	END,
};

static const struct schema_object top_hop = {
	.size = sizeof(struct hop_conf), .rows = hop_rows, .finish = check_top_hop,
};

static const struct schema_object chain_hop = {
	.size = sizeof(struct hop_conf), .rows = hop_rows, .finish = check_chain_hop,
};

static const struct schema chain_rows[] = {
	NAME(chain_conf),
	{ .key = "hops", .type = SCHEMA_MAPS, AT(chain_conf, hops), .object = &chain_hop },
	{ .key = "metadata", .type = SCHEMA_TREE, AT(chain_conf, metadata), .check = check_is_map },
	END,
};

static const struct schema_object chain = { .size = sizeof(struct chain_conf), .rows = chain_rows };

/* ---- services ------------------------------------------------------------- */

static const struct schema forwarder_rows[] = {
	{ .key = "hop", .old_key = "name", .type = SCHEMA_NAME, AT(forwarder_conf, hop),
	  .refers = CONFIG_HOPS },
	{ .key = "selector", .type = SCHEMA_MAP, AT(forwarder_conf, selector),
	  .object = &selector },
	{ .key = "nodes", .type = SCHEMA_MAPS, AT(forwarder_conf, nodes), .object = &forward_node },
	{ .key = "hopGroup", .type = SCHEMA_MAP, AT(forwarder_conf, hop_group),
	  .object = &hop_group },
	END,
};

static const struct schema_object forwarder = {
	.size = sizeof(struct forwarder_conf), .rows = forwarder_rows, .finish = check_forwarder,
};

static const struct schema_word record_words[] = {
	{ "recorder.service.handler", RECORD_HANDLER },
	{ "recorder.service.client.address", RECORD_CLIENT },
	{ "recorder.service.router.dial.address", RECORD_DIAL },
	{ "recorder.service.router.dial.address.error", RECORD_DIAL_ERROR },
	{ NULL, 0 },
};

static const struct schema record_metadata_rows[] = {
	{ .key = "http.body", .type = SCHEMA_BOOL, NOWHERE },
	{ .key = "http.maxBodySize", .type = SCHEMA_INT, NOWHERE },
	{ .key = "direction", .type = SCHEMA_BOOL, NOWHERE },
	{ .key = "timeStampFormat", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "hexdump", .type = SCHEMA_BOOL, NOWHERE },
	END,
};

static const struct schema_object record_metadata = { .rows = record_metadata_rows };

static const struct schema record_rows[] = {
	{ .key = "name", .type = SCHEMA_NAME, AT(record_conf, name), .refers = CONFIG_RECORDERS,
	  .flags = SCHEMA_REQUIRED },
	{ .key = "record", .type = SCHEMA_WORD, AT(record_conf, kind), .words = record_words,
	  .flags = SCHEMA_REQUIRED },
	{ .key = "metadata", .type = SCHEMA_MAP, AT(record_conf, metadata),
	  .object = &record_metadata },
	END,
};

static const struct schema_object record = {
	.size = sizeof(struct record_conf), .rows = record_rows,
};

static const struct schema service_rows[] = {
	{ .key = "name", .type = SCHEMA_TEXT, AT(service_conf, name) },
	{ .key = "addr", .type = SCHEMA_TEXT, AT(service_conf, addr) },
	{ .key = "interface", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "sockopts", .type = SCHEMA_MAP, NOWHERE, .object = &sockopts },
	{ .key = "admission", .type = SCHEMA_NAMES, AT(service_conf, admissions),
	  .refers = CONFIG_ADMISSIONS,
	  .flags = SCHEMA_SINGLE },
	{ .key = "admissions", .type = SCHEMA_NAMES, AT(service_conf, admissions),
	  .refers = CONFIG_ADMISSIONS },
	{ .key = "bypass", .type = SCHEMA_NAMES, AT(service_conf, bypasses),
	  .refers = CONFIG_BYPASSES,
	  .flags = SCHEMA_SINGLE },
	{ .key = "bypasses", .type = SCHEMA_NAMES, AT(service_conf, bypasses),
	  .refers = CONFIG_BYPASSES },
	{ .key = "resolver", .type = SCHEMA_NAME, AT(service_conf, resolver),
	  .refers = CONFIG_RESOLVERS },
	{ .key = "hosts", .type = SCHEMA_NAME, AT(service_conf, hosts), .refers = CONFIG_HOSTS },
	{ .key = "limiter", .type = SCHEMA_NAME, AT(service_conf, limiter),
	  .refers = CONFIG_LIMITERS },
	{ .key = "climiter", .type = SCHEMA_NAME, AT(service_conf, climiter),
	  .refers = CONFIG_CLIMITERS },
	{ .key = "rlimiter", .type = SCHEMA_NAME, AT(service_conf, rlimiter),
	  .refers = CONFIG_RLIMITERS },
	{ .key = "quotas", .type = SCHEMA_NAMES, AT(service_conf, quotas),
	  .refers = CONFIG_QUOTAS },
	{ .key = "logger", .type = SCHEMA_NAMES, AT(service_conf, loggers),
	  .refers = CONFIG_LOGGERS,
	  .flags = SCHEMA_SINGLE },
	{ .key = "loggers", .type = SCHEMA_NAMES, AT(service_conf, loggers),
	  .refers = CONFIG_LOGGERS },
	{ .key = "observer", .type = SCHEMA_NAME, AT(service_conf, observer),
	  .refers = CONFIG_OBSERVERS },
	{ .key = "rewriter", .type = SCHEMA_NAME, AT(service_conf, rewriter),
	  .refers = CONFIG_REWRITERS },
	{ .key = "cache", .type = SCHEMA_NAME, AT(service_conf, cache), .refers = CONFIG_CACHES },
	{ .key = "recorders", .type = SCHEMA_MAPS, AT(service_conf, recorders), .object = &record },
	{ .key = "handler", .type = SCHEMA_MAP, AT(service_conf, handler), .object = &handler },
	{ .key = "listener", .type = SCHEMA_MAP, AT(service_conf, listener), .object = &listener },
	{ .key = "forwarder", .type = SCHEMA_MAP, AT(service_conf, forwarder),
	  .object = &forwarder },
	{ .key = "metadata", .type = SCHEMA_TREE, AT(service_conf, metadata),
	  .check = check_is_map },
	{ .key = "status", .type = SCHEMA_IGNORED, NOWHERE },
	END,
};

static const struct schema_object service = {
	.size = sizeof(struct service_conf), .rows = service_rows, .finish = check_service,
};

/* ---- ingresses and authers ------------------------------------------------ */

static const struct schema rule_rows[] = {
	{ .key = "hostname", .type = SCHEMA_TEXT, AT(rule_conf, hostname),
	  .flags = SCHEMA_REQUIRED, .check = check_rule_host },
	{ .key = "endpoint", .type = SCHEMA_TEXT, NOWHERE, .flags = SCHEMA_REQUIRED },
	END,
};

static const struct schema_object rule = {
	.size = sizeof(struct rule_conf), .rows = rule_rows, .finish = check_ingress_rule,
};

static const struct schema ingress_rows[] = {
	NAME(ingress_conf),
	{ .key = "type", .type = SCHEMA_TEXT, AT(ingress_conf, type) },
	{ .key = "rules", .type = SCHEMA_MAPS, AT(ingress_conf, rules), .object = &rule },
	LOADER(ingress_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(ingress_conf, plugin), .object = &plugin },
	{ .key = "metadata", .type = SCHEMA_TREE, AT(ingress_conf, metadata),
	  .check = check_is_map },
	END,
};

static const struct schema_object ingress = {
	.size = sizeof(struct ingress_conf), .rows = ingress_rows, .finish = check_ingress,
};

static const struct schema user_rows[] = {
	{ .key = "username", .type = SCHEMA_TEXT, AT(auth_conf, username),
	  .flags = SCHEMA_REQUIRED },
	{ .key = "password", .type = SCHEMA_TEXT, AT(auth_conf, password), .flags = SCHEMA_SECRET },
	{ .key = "token", .type = SCHEMA_TEXT, AT(auth_conf, token), .flags = SCHEMA_SECRET },
	END,
};

static const struct schema_object user = {
	.size = sizeof(struct auth_conf), .rows = user_rows, .finish = check_user,
};

static const struct schema auther_rows[] = {
	NAME(auther_conf),
	{ .key = "auths", .type = SCHEMA_MAPS, AT(auther_conf, auths), .object = &user },
	LOADER(auther_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(auther_conf, plugin), .object = &plugin },
	END,
};

static const struct schema_object auther = {
	.size = sizeof(struct auther_conf), .rows = auther_rows, .finish = check_auther,
};

/* ---- grants --------------------------------------------------------------- */

static const struct schema_word role_words[] = {
	{ "client", GRANT_CLIENT }, { "visitor", GRANT_VISITOR }, { NULL, 0 },
};

static const struct schema grant_rows[] = {
	{ .key = "users", .type = SCHEMA_TEXTS, AT(grant_conf, users) },
	{ .key = "commonNames", .type = SCHEMA_TEXTS, AT(grant_conf, common_names) },
	{ .key = "alternativeNames", .type = SCHEMA_TEXTS, AT(grant_conf, alternative_names) },
	{ .key = "fingerprints", .type = SCHEMA_TEXTS, AT(grant_conf, fingerprints),
	  .check = check_grant_fingerprints },
	{ .key = "tunnels", .type = SCHEMA_TEXTS, AT(grant_conf, tunnels),
	  .flags = SCHEMA_REQUIRED, .check = check_grant_tunnels },
	{ .key = "hosts", .type = SCHEMA_TEXTS, AT(grant_conf, hosts),
	  .check = check_grant_hosts },
	{ .key = "role", .type = SCHEMA_WORD, AT(grant_conf, role), .words = role_words },
	{ .key = "weight", .type = SCHEMA_INT, AT(grant_conf, weight), .max = 255 },
	{ .key = "connections", .type = SCHEMA_INT, AT(grant_conf, connections), .max = 1000000 },
	END,
};

static const struct schema_object grant = {
	.size = sizeof(struct grant_conf), .rows = grant_rows, .finish = check_grant,
};

static const struct schema grants_rows[] = {
	NAME(grants_conf),
	{ .key = "rules", .type = SCHEMA_MAPS, AT(grants_conf, rules), .object = &grant },
	END,
};

static const struct schema_object grants = {
	.size = sizeof(struct grants_conf), .rows = grants_rows,
};

/* ---- policies ------------------------------------------------------------- */

static const struct schema admission_rows[] = {
	NAME(policy_conf),
	{ .key = "whitelist", .old_key = "reverse", .type = SCHEMA_BOOL,
	  AT(policy_conf, whitelist) },
	{ .key = "matchers", .type = SCHEMA_TEXTS, AT(policy_conf, matchers) },
	LOADER(policy_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(policy_conf, plugin), .object = &plugin },
	END,
};

static const struct schema_object admission = {
	.size = sizeof(struct policy_conf), .rows = admission_rows,
};

static const struct schema bypass_rows[] = {
	NAME(policy_conf),
	{ .key = "whitelist", .old_key = "reverse", .type = SCHEMA_BOOL,
	  AT(policy_conf, whitelist) },
	{ .key = "network", .type = SCHEMA_TEXT, AT(policy_conf, network),
	  .words = network_words },
	{ .key = "matchers", .type = SCHEMA_TEXTS, AT(policy_conf, matchers) },
	LOADER(policy_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(policy_conf, plugin), .object = &plugin },
	END,
};

static const struct schema_object bypass = {
	.size = sizeof(struct policy_conf), .rows = bypass_rows,
};

static const struct schema_word prefer_words[] = { { "ipv4", 4 }, { "ipv6", 6 }, { NULL, 0 } };

static const struct schema nameserver_rows[] = {
	{ .key = "addr", .type = SCHEMA_TEXT, AT(nameserver_conf, addr), .flags = SCHEMA_REQUIRED },
	{ .key = "chain", .type = SCHEMA_NAME, AT(nameserver_conf, chain),
	  .refers = CONFIG_CHAINS },
	{ .key = "prefer", .type = SCHEMA_WORD, AT(nameserver_conf, prefer),
	  .words = prefer_words },
	{ .key = "only", .type = SCHEMA_WORD, AT(nameserver_conf, only), .words = prefer_words },
	{ .key = "clientIP", .type = SCHEMA_TEXT, AT(nameserver_conf, client_ip) },
	{ .key = "hostname", .type = SCHEMA_TEXT, AT(nameserver_conf, hostname) },
	{ .key = "ttl", .type = SCHEMA_DURATION, AT(nameserver_conf, ttl), .flags = SCHEMA_SIGNED },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(nameserver_conf, timeout) },
	{ .key = "async", .type = SCHEMA_BOOL, AT(nameserver_conf, async) },
	END,
};

static const struct schema_object nameserver = {
	.size = sizeof(struct nameserver_conf), .rows = nameserver_rows,
};

static const struct schema resolver_rows[] = {
	NAME(resolver_conf),
	{ .key = "nameservers", .type = SCHEMA_MAPS, AT(resolver_conf, nameservers),
	  .object = &nameserver },
	{ .key = "plugin", .type = SCHEMA_MAP, AT(resolver_conf, plugin), .object = &plugin },
	END,
};

static const struct schema_object resolver = {
	.size = sizeof(struct resolver_conf), .rows = resolver_rows,
};

static const struct schema mapping_rows[] = {
	{ .key = "ip", .type = SCHEMA_TEXT, AT(mapping_conf, ip), .flags = SCHEMA_REQUIRED,
	  .check = check_ip },
	{ .key = "hostname", .type = SCHEMA_TEXT, AT(mapping_conf, hostname),
	  .flags = SCHEMA_REQUIRED },
	{ .key = "aliases", .type = SCHEMA_TEXTS, AT(mapping_conf, aliases) },
	END,
};

static const struct schema_object mapping = {
	.size = sizeof(struct mapping_conf), .rows = mapping_rows,
};

static const struct schema hosts_rows[] = {
	NAME(hosts_conf),
	{ .key = "mappings", .type = SCHEMA_MAPS, AT(hosts_conf, mappings), .object = &mapping },
	LOADER(hosts_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(hosts_conf, plugin), .object = &plugin },
	END,
};

static const struct schema_object hosts = {
	.size = sizeof(struct hosts_conf), .rows = hosts_rows,
};

/* ---- objects that are kept as they are ------------------------------------ */

static const struct schema route_rows[] = {
	{ .key = "dst", .old_key = "net", .type = SCHEMA_TEXT, NOWHERE, .flags = SCHEMA_REQUIRED },
	{ .key = "gateway", .type = SCHEMA_TEXT, NOWHERE },
	END,
};

static const struct schema_object route = { .rows = route_rows };

static const struct schema router_rows[] = {
	NAME(object_conf),
	{ .key = "routes", .type = SCHEMA_MAPS, NOWHERE, .object = &route },
	LOADER_NOWHERE,
	{ .key = "plugin", .type = SCHEMA_MAP, NOWHERE, .object = &plugin },
	END,
};

static const struct schema_object router = OBJECT(router_rows);

/* Nothing but a plugin: sds, rewriters, observers. */
static const struct schema plugged_rows[] = {
	NAME(object_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, NOWHERE, .object = &plugin },
	END,
};

static const struct schema_object plugged = OBJECT(plugged_rows);

static const struct schema limiter_rows[] = {
	NAME(limiter_conf),
	{ .key = "limits", .type = SCHEMA_TEXTS, AT(limiter_conf, limits) },
	LOADER(limiter_conf),
	{ .key = "plugin", .type = SCHEMA_MAP, AT(limiter_conf, plugin), .object = &plugin },
	END,
};

static const struct schema_object limiter = {
	.size = sizeof(struct limiter_conf), .rows = limiter_rows,
};

static const struct schema rotation_rows[] = {
	{ .key = "maxSize", .type = SCHEMA_INT, AT(rotation_conf, max_size), .max = 1000000 },
	{ .key = "maxAge", .type = SCHEMA_INT, AT(rotation_conf, max_age), .max = 1000000 },
	{ .key = "maxBackups", .type = SCHEMA_INT, AT(rotation_conf, max_backups),
	  .max = 1000000 },
	{ .key = "localTime", .type = SCHEMA_BOOL, AT(rotation_conf, local_time) },
	{ .key = "compress", .type = SCHEMA_BOOL, AT(rotation_conf, compress) },
	END,
};

static const struct schema_object rotation = {
	.size = sizeof(struct rotation_conf), .rows = rotation_rows, .finish = check_rotation,
};

static const struct schema record_file_rows[] = {
	{ .key = "path", .type = SCHEMA_TEXT, AT(record_file_conf, path),
	  .flags = SCHEMA_REQUIRED },
	{ .key = "sep", .type = SCHEMA_TEXT, AT(record_file_conf, sep) },
	{ .key = "rotation", .type = SCHEMA_MAP, AT(record_file_conf, rotation),
	  .object = &rotation },
	END,
};

static const struct schema_object record_file = {
	.size = sizeof(struct record_file_conf), .rows = record_file_rows,
};

static const struct schema record_tcp_rows[] = {
	{ .key = "addr", .type = SCHEMA_TEXT, AT(record_tcp_conf, addr), .flags = SCHEMA_REQUIRED },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(record_tcp_conf, timeout) },
	END,
};

static const struct schema_object record_tcp = {
	.size = sizeof(struct record_tcp_conf), .rows = record_tcp_rows,
};

static const struct schema record_http_rows[] = {
	{ .key = "url", .type = SCHEMA_TEXT, AT(record_http_conf, url), .flags = SCHEMA_REQUIRED },
	{ .key = "timeout", .type = SCHEMA_DURATION, AT(record_http_conf, timeout) },
	{ .key = "header", .type = SCHEMA_PAIRS, AT(record_http_conf, header) },
	{ .key = "tls", .type = SCHEMA_MAP, AT(record_http_conf, tls), .object = &peer_tls },
	END,
};

static const struct schema_object record_http = {
	.size = sizeof(struct record_http_conf), .rows = record_http_rows,
};

static const struct schema recorder_rows[] = {
	NAME(recorder_conf),
	{ .key = "file", .type = SCHEMA_MAP, AT(recorder_conf, file), .object = &record_file },
	{ .key = "tcp", .type = SCHEMA_MAP, AT(recorder_conf, tcp), .object = &record_tcp },
	{ .key = "http", .type = SCHEMA_MAP, AT(recorder_conf, http), .object = &record_http },
	{ .key = "redis", .type = SCHEMA_MAP, AT(recorder_conf, redis), .object = &redis },
	{ .key = "plugin", .type = SCHEMA_MAP, NOWHERE, .object = &plugin },
	END,
};

static const struct schema_object recorder = {
	.size = sizeof(struct recorder_conf), .rows = recorder_rows,
};

static const struct schema_word eviction_words[] = { { "oldest", 0 }, { "lru", 1 }, { NULL, 0 } };

static const struct schema memory_rows[] = {
	{ .key = "ttl", .type = SCHEMA_DURATION, NOWHERE },
	{ .key = "maxSize", .type = SCHEMA_INT, NOWHERE },
	{ .key = "maxBytes", .type = SCHEMA_INT, NOWHERE },
	{ .key = "cleanupInterval", .type = SCHEMA_DURATION, NOWHERE },
	{ .key = "eviction", .type = SCHEMA_TEXT, NOWHERE, .words = eviction_words },
	END,
};

static const struct schema_object memory = { .rows = memory_rows };

static const struct schema cache_rows[] = {
	NAME(object_conf),
	{ .key = "memory", .type = SCHEMA_MAP, NOWHERE, .object = &memory },
	{ .key = "redis", .type = SCHEMA_MAP, NOWHERE, .object = &redis },
	END,
};

static const struct schema_object cache = OBJECT(cache_rows);

static const struct schema_word direction_words[] = {
	{ "in", 0 }, { "out", 1 }, { "total", 2 }, { NULL, 0 },
};

static const struct schema store_rows[] = {
	{ .key = "type", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "file", .type = SCHEMA_TEXT, NOWHERE },
	END,
};

static const struct schema_object store = { .rows = store_rows };

static const struct schema quota_rows[] = {
	NAME(object_conf),
	{ .key = "limit", .type = SCHEMA_SIZE, NOWHERE, .flags = SCHEMA_REQUIRED },
	{ .key = "startsAt", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "expiresAt", .type = SCHEMA_TEXT, NOWHERE },
	{ .key = "direction", .type = SCHEMA_TEXT, NOWHERE, .words = direction_words },
	{ .key = "flush", .type = SCHEMA_DURATION, NOWHERE },
	{ .key = "store", .type = SCHEMA_MAP, NOWHERE, .object = &store },
	END,
};

static const struct schema_object quota = OBJECT(quota_rows);

/* ---- log, api, metrics ---------------------------------------------------- */

static const struct schema_word level_words[] = {
	{ "trace", ADIT_LOG_TRACE }, { "debug", ADIT_LOG_DEBUG }, { "info", ADIT_LOG_INFO },
	{ "warn", ADIT_LOG_WARN },	{ "error", ADIT_LOG_ERROR }, { "fatal", ADIT_LOG_FATAL },
	{ NULL, 0 },
};

static const struct schema_word format_words[] = {
	{ "json", CONFIG_LOG_JSON }, { "text", CONFIG_LOG_TEXT }, { NULL, 0 },
};

static const struct schema log_rows[] = {
	{ .key = "output", .type = SCHEMA_TEXT, AT(config_log, output) },
	{ .key = "level", .type = SCHEMA_WORD, AT(config_log, level), .words = level_words },
	{ .key = "format", .type = SCHEMA_WORD, AT(config_log, format), .words = format_words },
	{ .key = "rotation", .type = SCHEMA_MAP, AT(config_log, rotation), .object = &rotation },
	END,
};

static const struct schema_object log_object = {
	.size = sizeof(struct config_log), .rows = log_rows, .finish = check_log,
};

static const struct schema logger_rows[] = {
	NAME(object_conf),
	{ .key = "log", .type = SCHEMA_MAP, NOWHERE, .object = &log_object },
	END,
};

static const struct schema_object logger = OBJECT(logger_rows);

static const struct schema api_rows[] = {
	{ .key = "addr", .type = SCHEMA_TEXT, AT(endpoint_conf, addr), .flags = SCHEMA_REQUIRED,
	  .check = check_endpoint_addr },
	{ .key = "pathPrefix", .type = SCHEMA_TEXT, AT(endpoint_conf, path) },
	{ .key = "accesslog", .type = SCHEMA_BOOL, AT(endpoint_conf, access_log) },
	{ .key = "auth", .type = SCHEMA_MAP, AT(endpoint_conf, auth), .object = &auth },
	{ .key = "auther", .type = SCHEMA_NAME, AT(endpoint_conf, auther),
	  .refers = CONFIG_AUTHERS },
	END,
};

static const struct schema_object api = { .size = sizeof(struct endpoint_conf), .rows = api_rows };

static const struct schema metrics_rows[] = {
	{ .key = "addr", .type = SCHEMA_TEXT, AT(endpoint_conf, addr), .flags = SCHEMA_REQUIRED,
	  .check = check_endpoint_addr },
	{ .key = "path", .type = SCHEMA_TEXT, AT(endpoint_conf, path) },
	{ .key = "auth", .type = SCHEMA_MAP, AT(endpoint_conf, auth), .object = &auth },
	{ .key = "auther", .type = SCHEMA_NAME, AT(endpoint_conf, auther),
	  .refers = CONFIG_AUTHERS },
	END,
};

static const struct schema_object metrics = {
	.size = sizeof(struct endpoint_conf), .rows = metrics_rows,
};

static const struct schema profiling_rows[] = {
	{ .key = "addr", .type = SCHEMA_TEXT, NOWHERE },
	END,
};

static const struct schema_object profiling = { .rows = profiling_rows };

/* ---- the whole ------------------------------------------------------------ */

#define TOP(key_, field, list, object_) \
	{ .key = key_, .type = SCHEMA_MAPS, AT(config, field), .object = &object_, .refers = list, \
	  .flags = SCHEMA_TOP }
#define TOP_OBJECTS(key_, list, object_) TOP(key_, objects[list], list, object_)

static const struct schema root_rows[] = {
	TOP("services", services, CONFIG_SERVICES, service),
	TOP("chains", chains, CONFIG_CHAINS, chain),
	TOP("hops", hops, CONFIG_HOPS, top_hop),
	TOP("authers", authers, CONFIG_AUTHERS, auther),
	TOP("ingresses", ingresses, CONFIG_INGRESSES, ingress),
	TOP("admissions", admissions, CONFIG_ADMISSIONS, admission),
	TOP("bypasses", bypasses, CONFIG_BYPASSES, bypass),
	TOP("resolvers", resolvers, CONFIG_RESOLVERS, resolver),
	TOP("hosts", hosts, CONFIG_HOSTS, hosts),
	TOP_OBJECTS("routers", CONFIG_ROUTERS, router),
	TOP_OBJECTS("sds", CONFIG_SDS, plugged),
	TOP("recorders", recorders, CONFIG_RECORDERS, recorder),
	TOP_OBJECTS("rewriters", CONFIG_REWRITERS, plugged),
	TOP_OBJECTS("caches", CONFIG_CACHES, cache),
	TOP("limiters", limiters, CONFIG_LIMITERS, limiter),
	TOP("climiters", climiters, CONFIG_CLIMITERS, limiter),
	TOP("rlimiters", rlimiters, CONFIG_RLIMITERS, limiter),
	TOP_OBJECTS("quotas", CONFIG_QUOTAS, quota),
	TOP_OBJECTS("observers", CONFIG_OBSERVERS, plugged),
	TOP_OBJECTS("loggers", CONFIG_LOGGERS, logger),
	TOP("grants", grants, CONFIG_GRANTS, grants),
	{ .key = "tls", .type = SCHEMA_MAP, AT(config, tls), .object = &tls },
	{ .key = "log", .type = SCHEMA_MAP, AT(config, log), .object = &log_object },
	{ .key = "api", .type = SCHEMA_MAP, AT(config, api), .object = &api },
	{ .key = "metrics", .type = SCHEMA_MAP, AT(config, metrics), .object = &metrics },
	{ .key = "profiling", .type = SCHEMA_MAP, AT(config, profiling), .object = &profiling },
	END,
};

const struct schema_object schema_root = { .size = sizeof(struct config), .rows = root_rows };
