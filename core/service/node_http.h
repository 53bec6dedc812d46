/*
 * What a node of a forwarder asks to be done with the requests that it is sent and with the
 * responses that it gives (`http:`): compiled once, immutable, used by any thread.
 */
#ifndef ADIT_CORE_NODE_HTTP_H
#define ADIT_CORE_NODE_HTTP_H

#include <adit/exchange.h>

#include "core/config/model.h"
#include "core/config/place.h"

struct node_http;

/*
 * Compiles conf, which stands at at and must outlive what is made. NULL: a failure, all of it said
 * at its place. Main thread.
 */
struct node_http *node_http_new(const struct http_conf *conf, const struct place *at);
void node_http_free(struct node_http *h);	/* NULL is fine, for all functions here */

/* Whether a request has the credentials that the node asks for. In constant time. */
bool node_http_admits(const struct node_http *h, const struct adit_fields *request);

/* Whether it asks for credentials: what shows none, as it is no HTTP, is not for the node then. */
bool node_http_asks(const struct node_http *h);

/* Change a head that is about to be sent on. 0, or a failure: it must not be. */
int node_http_edit_request(const struct node_http *h, struct adit_fields *request);
int node_http_edit_response(const struct node_http *h, struct adit_fields *response);

/* Whether the status of a response tells how the node is, and whether it says that it failed. */
bool node_http_judges(const struct node_http *h);
bool node_http_fails(const struct node_http *h, int status);

#endif
