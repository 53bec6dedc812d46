/*
 * A forward proxy that speaks HTTP/1.1 (RFC 9110, 9112): CONNECT becomes a tunnel, for UDP if a
 * field of gost's asks for that (core/proxy/udptun.h); any other request is sent on to the host it
 * names, each of a connection on its own. What concerns one
 * connection only is dropped, Via is added, and a request that came by here before is a loop.
 */
#ifndef ADIT_CORE_HTTP_PROXY_H
#define ADIT_CORE_HTTP_PROXY_H

#include <adit/plugin.h>

struct http_proxy_conf {
	struct adit_handler	*handler;	/* whose credentials and chain */
	uint64_t		 read_timeout;	/* ns for a request's head, and for a response's */
	uint64_t		 idle_timeout;	/* ns of silence in a tunnel; 0: no limit */
	bool			 udp;		/* whether UDP, as gost asks for it, is allowed */
	char			*realm;		/* of credentials; owned by who has this */
	char			*agent;		/* Proxy-Agent; the same */
	char			 name[20];	/* in Via; http_proxy_init fills it */
};

/* Fills and checks what the options have left. 0, or ADIT_ECONFIG with e filled. */
int http_proxy_init(struct http_proxy_conf *conf, struct adit_handler *h, struct adit_err *e);

/* Takes c, open. conf lives as long as its handler's component. */
void http_proxy(struct adit_conn *c, const struct http_proxy_conf *conf);

/* The option rows of a handler T that has a struct http_proxy_conf f, but for its timeouts. */
#define HTTP_PROXY_OPTS(T, f) \
	{ .name = "authBasicRealm", .type = ADIT_OPT_STRING, .offset = offsetof(T, f.realm), \
	  .def = "adit", .help = "what a client is told that credentials are asked for" }, \
	{ .name = "http.proxyAgent", .aliases = http_proxy_agent_aliases, \
	  .type = ADIT_OPT_STRING, .offset = offsetof(T, f.agent), .def = "adit", \
	  .help = "Proxy-Agent of answers; empty: none" }

extern const char *const http_proxy_agent_aliases[];

#endif
