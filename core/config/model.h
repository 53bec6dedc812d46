/*
 * The typed configuration: what the tree means, checked. Made once by config_load, immutable and
 * reference counted from then on; any thread may read it. Everything in it lives as long as it
 * does.
 *
 * Every struct begins with the node that it was read from, which says where it stands. A text that
 * is absent is NULL, a list that is absent has n == 0. Names of other objects have been checked:
 * they exist. What no feature reads yet is checked all the same and kept as node.
 */
#ifndef ADIT_CORE_CONFIG_MODEL_H
#define ADIT_CORE_CONFIG_MODEL_H

#include <adit/log.h>
#include <adit/opt.h>
#include <adit/plugin.h>

#include "core/config/kinds.h"
#include "core/config/source.h"
#include "core/config/tree.h"

/* The named objects at the top, in this order in struct config. */
enum config_list {
	CONFIG_SERVICES, CONFIG_CHAINS, CONFIG_HOPS, CONFIG_AUTHERS, CONFIG_ADMISSIONS,
	CONFIG_BYPASSES, CONFIG_RESOLVERS, CONFIG_HOSTS, CONFIG_INGRESSES, CONFIG_ROUTERS,
	CONFIG_SDS, CONFIG_RECORDERS, CONFIG_REWRITERS, CONFIG_CACHES, CONFIG_LIMITERS,
	CONFIG_CLIMITERS, CONFIG_RLIMITERS, CONFIG_QUOTAS, CONFIG_OBSERVERS, CONFIG_LOGGERS,
	CONFIG_GRANTS,
	CONFIG_LISTS,
};

struct auth_conf {
	const struct adit_tree	*node;
	const char		*username, *password;
	const char		*file;			/* first line: user[ password] */
	const char		*token;			/* of authers: in place of a password */
};

enum selector_strategy {
	SELECT_ROUND, SELECT_RANDOM, SELECT_FIFO, SELECT_HASH, SELECT_PARALLEL, SELECT_LATENCY,
};

struct selector_conf {
	const struct adit_tree	*node;
	enum selector_strategy	 strategy;
	int64_t			 max_fails;		/* 1 when absent or not positive */
	int64_t			 fail_timeout;		/* ns; 10 s when absent or not positive */
	int64_t			 max_latency;		/* ns; 0: none */
};

struct tls_conf {
	const struct adit_tree	*node;
	struct adit_tls_conf	 tls;			/* zero where nothing is said */
};

/* A handler, listener, connector or dialer. */
struct component_conf {
	const struct adit_tree	*node;			/* NULL: not written, the default type */
	enum adit_kind		 kind;
	const char		*type;			/* never NULL */
	const struct adit_tree	*metadata;		/* a map or NULL; for opts_fill, lenient */
	struct auth_conf	*auth;			/* or NULL */
	struct tls_conf		*tls;			/* or NULL */

	/* Handlers and listeners only. */
	const char		*chain;
	const struct adit_tree	*chain_group;
	struct adit_strings	 authers;		/* auther and authers together */

	/* Handlers only. */
	int64_t			 retries;
	const char		*limiter, *observer;
};

struct file_conf {
	const struct adit_tree	*node;
	const char		*path;
};

struct url_conf {
	const struct adit_tree	*node;
	const char		*url;
	int64_t			 timeout;		/* ns; 0: not said */
	struct tls_conf		*tls;			/* or NULL: checked fully, as below */
};

struct redis_conf {
	const struct adit_tree	*node;
	const char		*addr, *username, *password, *key;
	const char		*type;			/* of the key; NULL: the list's own */
	int64_t			 db;
	int64_t			 timeout;		/* ns; 0: not said */
	struct tls_conf		*tls;			/* NULL: no TLS */
};

enum plugin_type { PLUGIN_GRPC, PLUGIN_HTTP };

/* A program that is asked. */
struct plugin_conf {
	const struct adit_tree	*node;
	int			 type;			/* enum plugin_type */
	const char		*addr, *token;
	int64_t			 timeout;		/* ns; 0: not said */
	struct tls_conf		*tls;			/* or NULL: checked fully */
};

/* Where more of a list comes from; later sources win. */
struct loader_conf {
	int64_t			 reload;		/* ns; 0: read once */
	struct file_conf	*file;			/* or NULL, as the others */
	struct redis_conf	*redis;
	struct url_conf		*http;
};

struct filter_conf {
	const struct adit_tree	*node;
	const char		*host, *protocol, *path;
};

struct matcher_conf {
	const struct adit_tree	*node;
	const char		*rule;
	int64_t			 priority;		/* 0: the length of the rule */
	int64_t			 body_size;
};

struct rewrite_conf {
	const struct adit_tree	*node;
	const char		*match, *replacement;
	const char		*type, *rewriter;	/* of bodies */
	int64_t			 max_chunk_size;
};

struct rewrite_list {
	size_t			 n;
	struct rewrite_conf	*v;
};

struct http_conf {
	const struct adit_tree	*node;
	const char		*host;
	struct adit_pairs	 request_header, response_header;
	struct auth_conf	*auth;
	struct rewrite_list	 rewrite_url, rewrite_request_body, rewrite_response_body;
	const char		*fail_codes;
};

enum probe_type { PROBE_TCP, PROBE_HTTP, PROBE_CMD };

struct probe_conf {
	const struct adit_tree	*node;
	int			 type;			/* enum probe_type */
	const char		*addr;			/* a Host, where http_host is not said */
	int64_t			 interval, timeout;	/* ns; 0: not said */
	const char		*http_path, *http_host, *command;
	struct adit_pairs	 http_headers;
	int64_t			 expected;		/* status; 0: 200 */
};

/* A node of a hop, or of a forwarder (no connector and dialer there). */
struct node_conf {
	const struct adit_tree	*node;
	const char		*name;			/* never NULL */
	const char		*addr;			/* "" when absent */
	const char		*network;
	struct adit_strings	 bypasses;
	const char		*resolver, *hosts;
	struct component_conf	*connector, *dialer;	/* never NULL in a hop */
	struct filter_conf	*filter;
	struct matcher_conf	*matcher;
	struct http_conf	*http;
	struct auth_conf	*auth;			/* the old place of http->auth */
	struct tls_conf		*tls;
	struct probe_conf	*probe;
	const struct adit_tree	*metadata;

	/* From metadata. */
	int64_t			 weight;		/* 0 counts as 1 */
	bool			 backup;
	int64_t			 max_fails;		/* 0: the selector's */
	uint64_t		 fail_timeout;		/* ns; 0: the selector's */
};

struct node_list {
	size_t			 n;
	struct node_conf	*v;
};

struct hop_conf {
	const struct adit_tree	*node;
	const char		*name;
	const struct hop_conf	*ref;			/* in a chain: the hop of the top that it
							 * stands for; the rest is empty then */
	struct selector_conf	*selector;
	struct adit_strings	 bypasses;
	const char		*resolver, *hosts;
	struct node_list	 nodes;
	struct loader_conf	 loader;
	struct plugin_conf	*plugin;
	const struct adit_tree	*metadata;
};

struct hop_list {
	size_t			 n;
	struct hop_conf		*v;
};

struct chain_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct hop_list		 hops;
	const struct adit_tree	*metadata;
};

struct forwarder_conf {
	const struct adit_tree	*node;
	const char		*hop;			/* then there is nothing else */
	const struct hop_conf	*ref;			/* the one that hop names, or NULL */
	const struct adit_tree	*hop_group;
	struct selector_conf	*selector;
	struct node_list	 nodes;
};

/* The values of a service's recorders[].record, in gost's order. */
enum record_kind {
	RECORD_HANDLER, RECORD_CLIENT, RECORD_DIAL, RECORD_DIAL_ERROR, RECORD_KINDS,
};

struct record_conf {
	const struct adit_tree	*node;
	const char		*name;			/* of the recorder */
	int			 kind;			/* enum record_kind */
	const struct adit_tree	*metadata;
};

struct record_list {
	size_t			 n;
	struct record_conf	*v;
};

struct service_conf {
	const struct adit_tree	*node;
	const char		*name;			/* never NULL */
	const char		*addr;			/* "" when absent */
	struct component_conf	*handler, *listener;	/* never NULL */
	struct forwarder_conf	*forwarder;
	struct adit_strings	 admissions, bypasses, loggers, quotas;
	const char		*resolver, *hosts, *limiter, *climiter, *rlimiter;
	const char		*observer, *rewriter, *cache;
	struct record_list	 recorders;
	const struct adit_tree	*metadata;

	/* From metadata. */
	int64_t			 proxy_protocol;
	bool			 ignore_chain, enable_stats, reset_traffic;
	uint64_t		 observe_period;	/* ns */
	uint64_t		 dial_timeout;		/* ns, of one try */
	uint64_t		 limiter_refresh, limiter_cleanup;	/* ns */
	const struct adit_tree	*trusted_proxies;
	const struct adit_tree	*interface, *so_mark, *labels, *limiter_scope;
	const struct adit_tree	*netns, *netns_out, *pre_up, *post_up, *pre_down, *post_down;
};

struct rule_conf {
	const struct adit_tree	*node;
	const char		*hostname;
	struct adit_uuid	 endpoint;
	bool			 private_;		/* endpoint had a $ */
};

struct rule_list {
	size_t			 n;
	struct rule_conf	*v;
};

struct ingress_conf {
	const struct adit_tree	*node;
	const char		*name;
	const char		*type;			/* of the plugin; NULL: gost's kinds */
	struct rule_list	 rules;
	struct loader_conf	 loader;
	struct plugin_conf	*plugin;
	const struct adit_tree	*metadata;
};

struct auth_list {
	size_t			 n;
	struct auth_conf	*v;
};

struct auther_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct auth_list	 auths;
	struct loader_conf	 loader;
	struct plugin_conf	*plugin;
};

/* A bypass or an admission. */
struct policy_conf {
	const struct adit_tree	*node;
	const char		*name;
	bool			 whitelist;
	const char		*network;		/* of bypasses: the one that it is for */
	struct adit_strings	 matchers;
	struct loader_conf	 loader;
	const struct adit_tree	*plugin;
};

struct policy_list {
	size_t			 n;
	struct policy_conf	*v;
};

struct mapping_conf {
	const struct adit_tree	*node;
	const char		*ip, *hostname;
	struct adit_strings	 aliases;
};

struct mapping_list {
	size_t			 n;
	struct mapping_conf	*v;
};

struct hosts_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct mapping_list	 mappings;
	struct loader_conf	 loader;
	const struct adit_tree	*plugin;
};

struct hosts_list {
	size_t			 n;
	struct hosts_conf	*v;
};

struct nameserver_conf {
	const struct adit_tree	*node;
	const char		*addr;
	const char		*chain;
	int			 prefer, only;		/* 4 or 6; 0: not said */
	const char		*client_ip;
	const char		*hostname;		/* of the certificate */
	int64_t			 ttl, timeout;		/* ns; ttl below 0: nothing is kept */
	bool			 async;
};

struct nameserver_list {
	size_t			 n;
	struct nameserver_conf	*v;
};

struct resolver_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct nameserver_list	 nameservers;
	const struct adit_tree	*plugin;
};

struct resolver_list {
	size_t			 n;
	struct resolver_conf	*v;
};

/* A limiter, climiter or rlimiter. */
struct limiter_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct adit_strings	 limits;		/* lines (core/policy/limits.h) */
	struct loader_conf	 loader;
	const struct adit_tree	*plugin;
};

struct limiter_list {
	size_t			 n;
	struct limiter_conf	*v;
};

enum grant_role { GRANT_CLIENT = 1, GRANT_VISITOR = 2 };

/* Who may do what; a list that is empty says nothing, but for the first four together. */
struct grant_conf {
	const struct adit_tree	*node;
	struct adit_strings	 users, common_names, alternative_names, fingerprints;
	struct adit_strings	 tunnels, hosts;
	int			 role;			/* enum grant_role; 0: both */
	int64_t			 weight;		/* the highest; 0: any */
	int64_t			 connections;		/* at a time; 0: any number */
};

struct grant_list {
	size_t			 n;
	struct grant_conf	*v;
};

struct grants_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct grant_list	 rules;
};

struct grants_list {
	size_t			 n;
	struct grants_conf	*v;
};

/* The named objects that are checked and kept as they are. */
struct object_conf {
	const struct adit_tree	*node;
	const char		*name;
};

struct rotation_conf {
	const struct adit_tree	*node;
	int64_t			 max_size;		/* MB; 100 when absent */
	int64_t			 max_age, max_backups;	/* days; files; 0: no limit */
	bool			 local_time, compress;
};

enum config_log_format { CONFIG_LOG_JSON, CONFIG_LOG_TEXT };

struct config_log {
	const struct adit_tree	*node;
	enum adit_log_level	 level;			/* info when absent */
	enum config_log_format	 format;		/* json when absent */
	const char		*output;		/* NULL: stderr */
	struct rotation_conf	*rotation;		/* or NULL */
};

struct record_file_conf {
	const struct adit_tree	*node;
	const char		*path, *sep;
	struct rotation_conf	*rotation;		/* or NULL */
};

struct record_tcp_conf {
	const struct adit_tree	*node;
	const char		*addr;
	int64_t			 timeout;		/* ns; 0: not said */
};

struct record_http_conf {
	const struct adit_tree	*node;
	const char		*url;
	int64_t			 timeout;		/* ns; 0: not said */
	struct adit_pairs	 header;
	struct tls_conf		*tls;			/* or NULL, as in a url_conf */
};

/* One of the pointers is to be there, the others NULL. */
struct recorder_conf {
	const struct adit_tree	*node;
	const char		*name;
	struct record_file_conf	*file;
	struct record_tcp_conf	*tcp;
	struct record_http_conf	*http;
	struct redis_conf	*redis;			/* type: set, list or sset */
};

struct recorder_list {
	size_t			 n;
	struct recorder_conf	*v;
};

/* api and metrics. */
struct endpoint_conf {
	const struct adit_tree	*node;
	const char		*addr;			/* host:port or unix://path */
	const char		*path;			/* pathPrefix, or path of the metrics */
	bool			 access_log;
	struct auth_conf	*auth;
	const char		*auther;
};

struct service_list {
	size_t			 n;
	struct service_conf	*v;
};

struct chain_list {
	size_t			 n;
	struct chain_conf	*v;
};

struct ingress_list {
	size_t			 n;
	struct ingress_conf	*v;
};

struct auther_list {
	size_t			 n;
	struct auther_conf	*v;
};

struct object_list {
	size_t			 n;
	struct object_conf	*v;
};

struct config_index;

struct config {
	const struct adit_tree	*node;			/* the merged tree, for -O and the API */
	struct service_list	 services;	/* with those of api and metrics, at the end */
	struct chain_list	 chains;
	struct hop_list		 hops;
	struct auther_list	 authers;
	struct ingress_list	 ingresses;
	struct grants_list	 grants;
	struct policy_list	 admissions, bypasses;
	struct hosts_list	 hosts;
	struct resolver_list	 resolvers;
	struct limiter_list	 limiters, climiters, rlimiters;
	struct recorder_list	 recorders;
	struct object_list	 objects[CONFIG_LISTS];	/* the other lists; empty for those above */
	struct tls_conf		*tls;			/* default server certificate, or NULL */
	struct config_log		*log;			/* never NULL */
	struct endpoint_conf	*api, *metrics;		/* or NULL */
	const struct adit_tree	*profiling;
	struct config_index	*index;			/* model.c's own */
};

enum config_load_flags {
	CONFIG_PRINT = 1,	/* for -O: what only forbids to start is no error, nor what a
				 * command line says and gost would print */
};

/*
 * Reads, merges and checks everything. Returns a configuration with one reference, or NULL; all
 * reasons are in errs. kinds may be NULL: then nothing can be started.
 */
struct config *config_load(const struct config_args *args, const struct config_kinds *kinds,
			   unsigned flags, struct config_errors *errs);

/* Takes and drops a reference. Any thread. */
struct config *config_get(struct config *c);
void config_put(struct config *c);	/* NULL is fine */

/* The place in its list of the object of that name, or -1. Any thread, as all below. */
ptrdiff_t config_index_find(const struct config *c, enum config_list list, const char *name);

/* How many objects a list has, and the name of the i-th ("" where it has none). */
size_t config_index_len(const struct config *c, enum config_list list);
const char *config_index_name(const struct config *c, enum config_list list, size_t i);

/*
 * True when nothing that a service is made of differs: its own node, every object it names, what
 * these name, and the default certificate unless it has one of its own. Positions and order of keys
 * do not count, nor what an ingress, a bypass and their like say: that is replaced in place.
 */
bool service_conf_equal(const struct config *a, const struct service_conf *x,
			const struct config *b, const struct service_conf *y);

/* Same for one named object of any list; false when either has none of that name. */
bool config_object_equal(const struct config *a, const struct config *b, enum config_list list,
			 const char *name);

/* "services", "chains", ...; and what one of its objects is called: "service". */
const char *config_list_name(enum config_list list);
const char *config_list_singular(enum config_list list);

#endif
