/*
 * Which nodes of a forwarder are for a request: by host, protocol and path. Nodes that ask for no
 * host are for those that no host filter matches. Nothing is kept; any thread.
 */
#ifndef ADIT_CORE_FILTER_H
#define ADIT_CORE_FILTER_H

#include "core/config/model.h"

struct filter_request {
	const char	*host;		/* asked for, without port; NULL or "": nothing */
	const char	*protocol;	/* sniffed: "http", "tls", "ssh"; NULL: unknown */
	const char	*path;		/* of a URL; NULL: none */
};

/* Whether f lets req by; f NULL: always. Without case; ".x", "*.x" and "*x" match x and all below
 * it, "*" any host. */
bool filter_matches(const struct filter_conf *f, const struct filter_request *req);

/* Puts the indexes of the nodes to choose from into out (n entries); returns how many. */
size_t filter_nodes(const struct node_list *nodes, const struct filter_request *req, size_t *out);

#endif
