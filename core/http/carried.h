/*
 * An exchange in a conn of bytes, as one request of HTTP/1.1 and its response: so it gets from one
 * worker to another, which has a conn that an HTTP/1 client speaks over, as over any stream.
 */
#ifndef ADIT_CORE_HTTP_CARRIED_H
#define ADIT_CORE_HTTP_CARRIED_H

#include <adit/exchange.h>

/*
 * Serves near, the conn's far end, by far, a client's exchange of which nothing was sent: takes
 * both. What goes wrong before a response is there is near's failure, so that who asked may ask
 * another. On the worker of both.
 */
void http_carry(struct adit_conn *near, struct adit_exchange *far);

#endif
